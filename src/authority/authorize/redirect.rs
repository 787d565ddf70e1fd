//! Which redirect URIs fit: those that are registered, character by character, but for the port of a loopback address.

use url::{Host, Url};

use super::super::settings::Client;

/// Whether `client` may be sent back to `asked`. Exact (RFC 9700, section 2.1), except that a public client, which is a
/// program on the person's machine, may use any port of a loopback IP address (RFC 8252, section 7.3).
pub(super) fn fits(client: &Client, asked: &str) -> bool {
    client.redirect_uris.iter().any(|known| known == asked || (client.is_public() && differ_in_port_only(known, asked)))
}

fn differ_in_port_only(known: &str, asked: &str) -> bool {
    let (Some(known), Some(asked)) = (loopback(known), loopback(asked)) else { return false };
    known == asked
}

/// What stands before and after the port of an http URI at a loopback IP address. The text is cut, not rebuilt, so that
/// only the port is forgiven.
fn loopback(text: &str) -> Option<(&str, &str)> {
    let authority_and_path = text.strip_prefix("http://")?;
    let url = Url::parse(text).ok()?;
    let is_loopback = match url.host()? {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain(_) => false,
    };
    let end = authority_and_path.find(['/', '?', '#']).unwrap_or(authority_and_path.len());
    let (authority, path) = authority_and_path.split_at(end);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.is_empty() => host,
        _ => authority,
    };
    (is_loopback && !authority.contains('@')).then_some((host, path))
}

#[cfg(test)]
mod tests {
    use super::super::super::settings::tests_support::client;
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn only_the_port_of_a_loopback_address_is_free_and_only_for_public_clients() {
        let registered =
            ["http://127.0.0.1:4999/cb", "http://[::1]/cb?x=1", "https://app.example/cb", "http://localhost/cb"];
        let mut client = client("app");
        client.redirect_uris = registered.map(str::to_owned).to_vec();
        let cases = [
            ("http://127.0.0.1:4999/cb", true, true),
            ("http://127.0.0.1:5000/cb", true, false),
            ("http://127.0.0.1/cb", true, false),
            ("http://[::1]:80/cb?x=1", true, false),
            ("https://app.example/cb", true, true),
            ("http://localhost/cb", true, true),
            ("http://localhost:80/cb", false, false),
            ("https://app.example:443/cb", false, false),
            ("https://app.example/CB", false, false),
            ("https://app.example/cb/", false, false),
            ("https://app.example/cb?x", false, false),
            ("http://127.0.0.1:4999/cb/", false, false),
            ("http://127.0.0.1:4999/cb?x=1", false, false),
            ("http://127.0.0.1:4999/cb#", false, false),
            ("http://127.0.0.2:4999/cb", false, false),
            ("http://127.0.0.1:4999@evil.test/cb", false, false),
            ("http://evil@127.0.0.1:4999/cb", false, false),
            ("http://127.1:4999/cb", false, false),
            ("https://127.0.0.1:4999/cb", false, false),
            ("http://127.0.0.1:/cb", true, false),
            ("", false, false),
        ];
        for (asked, public, confidential) in cases {
            client.secret = None;
            assert_eq!(fits(&client, asked), public, "{asked}");
            client.secret = Some(Secret::new("s".into()));
            assert_eq!(fits(&client, asked), confidential, "{asked}");
        }
    }
}
