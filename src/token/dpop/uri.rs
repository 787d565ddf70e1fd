//! Whether the `htu` of a proof names the URL that a request is for (RFC 9449 section 4.3, step 9).
//!
//! Compared after the normalization that RFC 3986 sections 6.2.2 and 6.2.3 describe: scheme and host without case, a
//! default port is none, an empty path is `/`, escapes in capitals and only where they are needed. Query and fragment of
//! `htu` do not count. Dot segments are left alone: a client that sends them names them. Refuses user information and
//! everything that is no absolute http or https URL.

use crate::pattern::canonical_host;

/// A URL without query, in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'u> {
    /// `http` or `https`, in any case.
    pub scheme: &'u str,
    /// Host and perhaps port.
    pub authority: &'u str,
    /// The path, escaped.
    pub path: &'u str,
}

impl<'u> Place<'u> {
    /// The place that an absolute URL names; `None` when it is none.
    #[must_use]
    pub fn of(url: &'u str) -> Option<Self> {
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Some(Self { scheme, authority, path: if path.is_empty() { "/" } else { path } })
    }

    /// Whether both name the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let Some(port) = default_port(self.scheme) else { return false };
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && same_authority(self.authority, other.authority, port)
            && (self.path == other.path || normalized(self.path).eq(normalized(other.path)))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        _ if scheme.eq_ignore_ascii_case("https") => Some(443),
        _ if scheme.eq_ignore_ascii_case("http") => Some(80),
        _ => None,
    }
}

fn same_authority(one: &str, other: &str, default_port: u16) -> bool {
    let (Some(host), Some(other_host)) = (canonical_host(one), canonical_host(other)) else { return false };
    host == other_host && port(one).unwrap_or(default_port) == port(other).unwrap_or(default_port)
}

/// The port of an authority whose host was found good.
fn port(authority: &str) -> Option<u16> {
    let behind = authority.rfind(']').map_or(authority, |end| &authority[end..]);
    behind.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

/// The bytes of a path with unreserved characters unescaped, and the other escapes in capitals.
fn normalized(path: &str) -> impl Iterator<Item = u8> {
    let (bytes, mut at, mut pending) = (path.as_bytes(), 0, [None; 2]);
    std::iter::from_fn(move || {
        if let Some(byte) = pending[0].take().or_else(|| pending[1].take()) {
            return Some(byte);
        }
        let byte = *bytes.get(at)?;
        at += 1;
        let [Some(high), Some(low)] = [at, at + 1].map(|at| bytes.get(at).copied().and_then(hex)) else {
            return Some(byte);
        };
        if byte != b'%' {
            return Some(byte);
        }
        let escaped = high * 16 + low;
        let unreserved = escaped.is_ascii_alphanumeric() || b"-._~".contains(&escaped);
        if !unreserved {
            pending = [at, at + 1].map(|at| bytes.get(at).map(u8::to_ascii_uppercase));
        }
        at += 2;
        Some(if unreserved { escaped } else { byte })
    })
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_url_in_every_spelling_and_no_other() {
        let request = Place { scheme: "https", authority: "api.test", path: "/orders/a%2fb~c" };
        let cases = [
            ("https://api.test/orders/a%2fb~c", true),
            ("HTTPS://API.Test/orders/a%2Fb~c", true),
            ("https://api.test:443/orders/a%2fb%7Ec", true),
            ("https://api.test./orders/a%2fb%7ec", true),
            ("https://api.test/%6Frders/a%2fb~c?x=1#y", true),
            ("https://api.test/orders/a%2fb~c?", true),
            ("http://api.test/orders/a%2fb~c", false),
            ("http://api.test:443/orders/a%2fb~c", false),
            ("https://api.test:8443/orders/a%2fb~c", false),
            ("https://api.test:/orders/a%2fb~c", false),
            ("https://me@api.test/orders/a%2fb~c", false),
            ("https://me:pw@api.test/orders/a%2fb~c", false),
            ("https://evil.test/orders/a%2fb~c", false),
            ("https://api.test.evil.test/orders/a%2fb~c", false),
            ("https://evil.test/api.test/orders/a%2fb~c", false),
            ("https://api.test/orders/a/b~c", false),
            ("https://api.test/Orders/a%2fb~c", false),
            ("https://api.test/orders/a%2fb~c/", false),
            ("https://api.test//orders/a%2fb~c", false),
            ("https://api.test/x/../orders/a%2fb~c", false),
            ("https://api.test/orders/a%252fb~c", false),
            ("https://api.test/orders/a%2fb~c ", false),
            ("https://api.test", false),
            ("//api.test/orders/a%2fb~c", false),
            ("/orders/a%2fb~c", false),
            ("https:/api.test/orders/a%2fb~c", false),
            ("ftp://api.test/orders/a%2fb~c", false),
            ("", false),
        ];
        for (htu, same) in cases {
            let found = Place::of(htu).is_some_and(|place| place.is_same(&request));
            assert_eq!(found, same, "{htu:?}");
        }
    }

    #[test]
    fn ports_addresses_and_the_empty_path() {
        let cases = [
            ("http://[::1]:8080", "http", "[0::1]:8080", "/", true),
            ("http://[::1]", "http", "[::1]:80", "/", true),
            ("http://[::1]:81/", "http", "[::1]", "/", false),
            ("http://127.0.0.1:80/", "http", "127.0.0.1", "/", true),
            ("http://0x7f.1/", "http", "127.0.0.1", "/", false),
            ("http://api.test/%", "http", "api.test", "/%", true),
            ("http://api.test/%4", "http", "api.test", "/%4", true),
            ("http://api.test/%4", "http", "api.test", "/D", false),
        ];
        for (htu, scheme, authority, path, same) in cases {
            let found = Place::of(htu).is_some_and(|place| place.is_same(&Place { scheme, authority, path }));
            assert_eq!(found, same, "{htu} at {authority}{path}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_every_place_is_itself(text in "\\PC{0,40}", path in "(/[a-zA-Z0-9%~._-]{0,6}){1,4}") {
            let request = Place { scheme: "http", authority: "api.test", path: &path };
            let htu = format!("http://api.test{path}");
            prop_assert!(Place::of(&htu).is_some_and(|place| place.is_same(&request)));
            let _ = Place::of(&text).is_some_and(|place| place.is_same(&request));
            let _ = Place::of(&format!("http://{text}")).is_some_and(|place| place.is_same(&request));
        }
    }
}
