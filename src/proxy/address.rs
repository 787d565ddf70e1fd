//! Where a request is addressed on its way up: the Host that the upstream sees and the form of the target.
//!
//! HTTP/1.1 takes the target in origin-form and a `Host` field, HTTP/2 takes both from the URI. Path and query are
//! forwarded byte for byte, but for a prefix that the route cuts off.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::header::{self, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};

use crate::config::model::UpstreamHost;

use super::fault::Cause;

/// What [`UpstreamHost`] says, ready to be cloned.
#[derive(Debug, Clone)]
pub enum HostRule {
    /// What the client sent.
    Keep,
    /// The server's own authority.
    Upstream,
    /// This one.
    Named(HeaderValue),
}

impl HostRule {
    /// Compiles the rule.
    ///
    /// # Errors
    /// When the name is no authority.
    pub fn compile(host: &UpstreamHost) -> Result<Self, http::uri::InvalidUri> {
        Ok(match host {
            UpstreamHost::Keep => Self::Keep,
            UpstreamHost::Upstream => Self::Upstream,
            UpstreamHost::Named(name) => {
                let name = name.parse::<Authority>()?;
                Self::Named(HeaderValue::from_str(name.as_str()).expect("an authority is printable ASCII"))
            }
        })
    }

    /// The Host for a server with this authority. A client that named none (HTTP/1.0) gets the server's own.
    #[must_use]
    pub fn choose<'a>(&'a self, client: Option<&'a HeaderValue>, server: &'a HeaderValue) -> &'a HeaderValue {
        match self {
            Self::Keep => client.unwrap_or(server),
            Self::Upstream => server,
            Self::Named(name) => name,
        }
    }
}

/// Cuts `prefix` (canonical, without a slash at its end) off the front of a raw path and query, whichever way its
/// characters are escaped. `None` when the path does not begin with it as whole segments.
#[must_use]
pub fn strip<'a>(target: &'a str, prefix: &str) -> Option<&'a str> {
    let mut rest = target.as_bytes();
    for &wanted in prefix.as_bytes() {
        let (byte, length) = match rest {
            [b'%', high, low, ..] => (hex(*high)? << 4 | hex(*low)?, 3),
            [byte, ..] => (*byte, 1),
            [] => return None,
        };
        if byte != wanted {
            return None;
        }
        rest = &rest[length..];
    }
    let rest = &target[target.len() - rest.len()..];
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The path and query that go up: what came, or that without the route's prefix, which leaves at least a slash.
///
/// # Errors
/// When the path does not begin with the prefix: the route table and its prefix disagree.
pub fn target(uri: &Uri, prefix: Option<&str>) -> Result<Option<PathAndQuery>, Cause> {
    let Some(prefix) = prefix.map(|prefix| prefix.trim_end_matches('/')).filter(|prefix| !prefix.is_empty()) else {
        return Ok(None);
    };
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = strip(whole, prefix).ok_or("the path does not begin with strip_prefix")?;
    let slash = if rest.starts_with('/') { "" } else { "/" };
    Ok(Some(PathAndQuery::from_maybe_shared(Bytes::from([slash, rest].concat()))?))
}

/// Addresses a request in HTTP/1.1; touches only what differs, in the usual case nothing.
pub fn write_http1<B>(request: &mut Request<B>, host: &HeaderValue) {
    let mut named = request.headers().get_all(header::HOST).iter();
    if named.next() != Some(host) || named.next().is_some() {
        request.headers_mut().insert(header::HOST, host.clone());
    }
    if request.uri().authority().is_some() {
        *request.uri_mut() = Uri::from(path_of(request.uri()));
    }
}

/// Addresses a request in HTTP/2.
///
/// # Errors
/// When `host` is no authority.
pub fn write_http2<B>(request: &mut Request<B>, host: &HeaderValue, tls: bool) -> Result<(), Cause> {
    request.headers_mut().remove(header::HOST);
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(Authority::try_from(host.as_bytes())?);
    parts.path_and_query = Some(path_of(request.uri()));
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

fn path_of(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// `host:port` for logs and faults, and the authority as a header value without the scheme's default port.
#[must_use]
pub fn authority(host: &str, port: u16, default_port: u16) -> (Arc<str>, Option<HeaderValue>) {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let full = format!("{host}:{port}");
    let short = if port == default_port { &host } else { &full };
    (full.as_str().into(), HeaderValue::from_str(short).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_cut_as_whole_segments_in_any_spelling() {
        let cases = [
            ("/v1/orders/7", "/v1", Some("/orders/7")),
            ("/v1/orders?q=/v1", "/v1", Some("/orders?q=/v1")),
            ("/v1", "/v1", Some("")),
            ("/v1/", "/v1", Some("/")),
            ("/v1?q=1", "/v1", Some("?q=1")),
            ("/v10/orders", "/v1", None),
            ("/%761/orders", "/v1", Some("/orders")),
            ("/v%31/orders", "/v1", Some("/orders")),
            ("/v1%2forders", "/v1", None),
            ("/a%20b/c", "/a b", Some("/c")),
            ("/caf%C3%A9/x", "/café", Some("/x")),
            ("/v", "/v1", None),
            ("/%7", "/v1", None),
            ("/%zz1/", "/v1", None),
            ("/V1/orders", "/v1", None),
        ];
        for (path, prefix, expected) in cases {
            assert_eq!(strip(path, prefix), expected, "{path} without {prefix}");
        }
    }

    #[test]
    fn targets() {
        let cases = [
            ("/v1/a?b=c", Some("/v1"), Some("/a?b=c")),
            ("/v1?b=c", Some("/v1"), Some("/?b=c")),
            ("/v1", Some("/v1/"), Some("/")),
            ("/v1/a%2Fb", Some("/v1"), Some("/a%2Fb")),
            ("/v1/a", None, None),
            ("/v1/a", Some("/"), None),
        ];
        for (uri, prefix, expected) in cases {
            let target = target(&uri.parse().unwrap(), prefix).unwrap();
            assert_eq!(target.as_ref().map(PathAndQuery::as_str), expected, "{uri} {prefix:?}");
        }
        assert!(target(&"/v2/a".parse().unwrap(), Some("/v1")).is_err());
    }

    #[test]
    fn addressing() {
        let host = HeaderValue::from_static("api.acme.example:8080");
        for uri in ["/a?b", "http://other/a?b"] {
            let mut request = Request::builder().uri(uri).body(()).unwrap();
            write_http1(&mut request, &host);
            assert_eq!((request.uri().to_string().as_str(), &request.headers()[header::HOST]), ("/a?b", &host));
            write_http2(&mut request, &host, true).unwrap();
            assert_eq!(request.uri(), "https://api.acme.example:8080/a?b");
            assert!(request.headers().is_empty());
        }
        let twice = Request::builder().header(header::HOST, host.clone()).header(header::HOST, "evil");
        let mut twice = twice.uri("*").body(()).unwrap();
        write_http1(&mut twice, &host);
        assert_eq!(twice.headers().get_all(header::HOST).iter().collect::<Vec<_>>(), [&host]);
        assert_eq!(twice.uri(), "*");
        assert!(write_http2(&mut twice, &HeaderValue::from_static("a b"), false).is_err());
    }

    #[test]
    fn hosts_by_rule() {
        let (client, server) = (HeaderValue::from_static("client"), HeaderValue::from_static("server"));
        let named = HostRule::compile(&UpstreamHost::Named("name:81".into())).unwrap();
        let cases = [
            (HostRule::Keep, Some(&client), "client"),
            (HostRule::Keep, None, "server"),
            (HostRule::Upstream, Some(&client), "server"),
            (named, Some(&client), "name:81"),
        ];
        for (rule, client, expected) in cases {
            assert_eq!(rule.choose(client, &server), expected);
        }
        assert!(HostRule::compile(&UpstreamHost::Named("a b".into())).is_err());
    }

    #[test]
    fn authorities() {
        for (host, port, full, short) in [
            ("a", 80, "a:80", "a"),
            ("a", 81, "a:81", "a:81"),
            ("::1", 80, "[::1]:80", "[::1]"),
            ("::1", 81, "[::1]:81", "[::1]:81"),
        ] {
            let (label, value) = authority(host, port, 80);
            assert_eq!((&*label, value.unwrap()), (full, HeaderValue::from_static(short)));
        }
    }
}
