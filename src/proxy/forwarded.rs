//! `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239): who called us, told to the upstream.
//!
//! From anybody but a trusted proxy these were removed before ([`super::headers`]) and are written anew. What a trusted
//! proxy sent is believed: the list of addresses grows by the proxy's own, `Proto` and `Host` stay as it wrote them.
//! Values that are the same for all requests of a connection are made once, with the connection.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};

use crate::server::Peer;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What upstreams are told about one client connection. Kept beside its [`Peer`], for its worker alone.
#[derive(Debug)]
pub struct ConnectionHeaders {
    trusted: bool,
    node: String,
    address: HeaderValue,
    proto: HeaderValue,
    last: RefCell<Option<Element>>,
}

/// The `Forwarded` element for one Host; nearly all requests of a connection share theirs.
#[derive(Debug)]
struct Element {
    host: Option<HeaderValue>,
    value: HeaderValue,
}

impl ConnectionHeaders {
    /// For the connection of `peer`; `trusted` when its address is one of `trusted_proxies`.
    #[must_use]
    pub fn new(peer: &Peer, trusted: bool) -> Self {
        let address = peer.address.ip().to_canonical();
        let node = match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("\"[{v6}]\""),
        };
        let proto = HeaderValue::from_static(peer.scheme());
        let address = HeaderValue::try_from(address.to_string()).expect("an address is printable ASCII");
        Self { trusted, node, address, proto, last: RefCell::new(None) }
    }

    /// Whether forwarding headers of this peer are believed.
    #[must_use]
    pub fn trusted(&self) -> bool {
        self.trusted
    }

    /// Writes the four headers. `host` is what the request named, before anything was changed for the upstream.
    pub fn write(&self, headers: &mut HeaderMap, host: Option<&HeaderValue>) {
        let element = self.element(host);
        if self.trusted {
            append(headers, FOR, &self.address);
            append(headers, header::FORWARDED, &element);
            headers.entry(PROTO).or_insert_with(|| self.proto.clone());
            if let Some(host) = host {
                headers.entry(HOST).or_insert_with(|| host.clone());
            }
            return;
        }
        headers.insert(FOR, self.address.clone());
        headers.insert(header::FORWARDED, element);
        headers.insert(PROTO, self.proto.clone());
        if let Some(host) = host {
            headers.insert(HOST, host.clone());
        }
    }

    fn element(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let mut last = self.last.borrow_mut();
        match &*last {
            Some(element) if element.host.as_ref() == host => element.value.clone(),
            Some(_) | None => {
                let value = self.compose(host);
                *last = Some(Element { host: host.cloned(), value: value.clone() });
                value
            }
        }
    }

    /// `for=...;host=...;proto=...`, quoted where the syntax asks for it (RFC 7239 section 4).
    fn compose(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let mut text = format!("for={}", self.node);
        if let Some(host) = host.and_then(|host| host.to_str().ok()) {
            if host.bytes().all(is_token) && !host.is_empty() {
                let _ = write!(text, ";host={host}");
            } else {
                let _ = write!(text, ";host=\"{}\"", host.replace('\\', "\\\\").replace('"', "\\\""));
            }
        }
        let _ = write!(text, ";proto={}", self.proto.to_str().unwrap_or("http"));
        HeaderValue::try_from(text).expect("made of header values and ASCII")
    }
}

/// A character of a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Adds `value` at the end of a list header; several lines become one.
fn append(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    match headers.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(value.clone());
        }
        Entry::Occupied(mut entry) => {
            let mut list: Vec<&[u8]> = entry.iter().map(HeaderValue::as_bytes).collect();
            list.push(value.as_bytes());
            let list = HeaderValue::try_from(list.join(&b", "[..])).expect("made of header values");
            entry.insert(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::PeerTls;

    fn connection(address: &str, tls: bool, trusted: bool) -> ConnectionHeaders {
        let tls = tls.then_some(PeerTls { certificate: None });
        let peer = Peer { address: address.parse().unwrap(), local: "10.0.0.1:8080".parse().unwrap(), tls };
        ConnectionHeaders::new(&peer, trusted)
    }

    #[test]
    fn forwarded_names_client_host_and_scheme() {
        let cases = [
            ("192.0.2.7:4711", false, "api.acme.example", "for=192.0.2.7;host=api.acme.example;proto=http"),
            (
                "192.0.2.7:4711",
                true,
                "api.acme.example:8443",
                "for=192.0.2.7;host=\"api.acme.example:8443\";proto=https",
            ),
            ("[2001:db8::1]:9", false, "[::1]", "for=\"[2001:db8::1]\";host=\"[::1]\";proto=http"),
            ("[::ffff:192.0.2.7]:9", false, "a", "for=192.0.2.7;host=a;proto=http"),
            ("192.0.2.7:1", false, "a\";for=9.9.9.9", "for=192.0.2.7;host=\"a\\\";for=9.9.9.9\";proto=http"),
            ("192.0.2.7:1", false, "", "for=192.0.2.7;host=\"\";proto=http"),
        ];
        for (address, tls, host, expected) in cases {
            let connection = connection(address, tls, false);
            let host = HeaderValue::from_str(host).unwrap();
            assert_eq!(connection.element(Some(&host)), expected, "{address} {host:?}");
        }
        assert_eq!(connection("192.0.2.7:1", false, false).element(None), "for=192.0.2.7;proto=http");
    }

    #[test]
    fn the_element_follows_the_host_of_each_request() {
        let connection = connection("192.0.2.7:1", false, false);
        for host in ["a", "b", "b", "a"] {
            let value = connection.element(Some(&HeaderValue::from_static(host)));
            assert_eq!(value, format!("for=192.0.2.7;host={host};proto=http"));
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_joins_the_list() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "198.51.100.2"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=203.0.113.9"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        connection("10.0.0.9:1", false, true).write(&mut headers, Some(&HeaderValue::from_static("api")));
        let lines = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(lines("x-forwarded-for"), ["203.0.113.9, 198.51.100.2, 10.0.0.9"]);
        assert_eq!(lines("forwarded"), ["for=203.0.113.9, for=10.0.0.9;host=api;proto=http"]);
        assert_eq!(lines("x-forwarded-proto"), ["https"]);
        assert_eq!(lines("x-forwarded-host"), ["api"]);
    }

    #[test]
    fn a_trusted_proxy_that_says_nothing_is_the_first_of_the_list() {
        let mut headers = HeaderMap::new();
        connection("10.0.0.9:1", true, true).write(&mut headers, None);
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        assert_eq!(headers["forwarded"], "for=10.0.0.9;proto=https");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert!(!headers.contains_key("x-forwarded-host"));
    }
}
