//! Who is at the other end: the connection's peer, or whom a trusted proxy speaks for.

use std::net::IpAddr;
use std::rc::Rc;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request};
use ipnet::IpNet;

use crate::config::model::{Server, SubjectLog};
use crate::observe::exchange::{Exchange, Opening};
use crate::observe::worker::SnapshotSink;
use crate::proxy::ConnectionHeaders;
use crate::secret::{sha256, stand_in};
use crate::server::Peer;

use super::asking::Shown;
use super::judge::Verdict;
use super::snapshot::Snapshot;

/// What the gateway keeps beside a client's connection.
pub struct Connection {
    peer: Peer,
    /// What upstreams are told about it.
    pub(super) headers: ConnectionHeaders,
    /// SHA-256 of the certificate that the peer showed in the TLS handshake.
    certificate: Option<[u8; 32]>,
}

impl Connection {
    pub(super) fn new(peer: Peer, trusted_proxies: &[IpNet]) -> Self {
        let trusted = is_one_of(trusted_proxies, peer.address.ip());
        let certificate = peer.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        let certificate = certificate.map(|certificate| sha256(certificate));
        Self { headers: ConnectionHeaders::new(&peer, trusted), certificate, peer }
    }

    /// Where the client's certificate is to be had: from a trusted proxy, where one has to tell; the certificate of the
    /// connection is then the proxy's own. Else it is the client's.
    pub(super) fn certificate<'r>(&self, server: &'r Server) -> Shown<'r> {
        match &server.forwarded_certificate {
            Some(forwarded) if self.headers.trusted() => Shown::ByProxy(forwarded),
            Some(_) | None => Shown::Itself(self.certificate),
        }
    }

    /// `http` or `https`, as the client used it: told by a trusted proxy, once or always alike, else that of the connection.
    pub(super) fn scheme(&self, headers: &HeaderMap) -> &'static str {
        if !self.headers.trusted() {
            return self.peer.scheme();
        }
        let mut told = headers.get_all("x-forwarded-proto").iter();
        let first = told.next().filter(|first| told.all(|other| other == first));
        match first.map(HeaderValue::as_bytes) {
            Some(b"https") => "https",
            Some(b"http") => "http",
            Some(_) | None => self.peer.scheme(),
        }
    }

    pub(super) fn open_exchange<B>(
        &self,
        snapshot: &Snapshot,
        sink: &Rc<SnapshotSink>,
        request: &Request<B>,
    ) -> Exchange {
        let uri = request.uri();
        let host = match uri.authority() {
            Some(authority) => Some(authority.as_str().as_bytes()),
            None => request.headers().get(HOST).map(HeaderValue::as_bytes),
        };
        let peer = self.peer.address.ip().to_canonical();
        let client_ip = match self.headers.trusted() {
            true => client_address(peer, &snapshot.config.server.trusted_proxies, request.headers()),
            false => peer,
        };
        let (method, version) = (request.method(), request.version());
        Exchange::open(sink, &Opening { method, host, path: uri.path(), version, client_ip: Some(client_ip) })
    }
}

fn is_one_of(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Behind a trusted proxy: the last address in X-Forwarded-For that is no trusted proxy. What stands before something
/// that is no address is not believed, nor is the field when all in it are proxies.
fn client_address(peer: IpAddr, trusted_proxies: &[IpNet], headers: &HeaderMap) -> IpAddr {
    let fields: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|field| field.to_str().ok()).collect();
    let mut hops = fields.iter().rev().flat_map(|field| field.rsplit(','));
    let told = hops.find_map(|hop| match hop.trim().parse::<IpAddr>() {
        Ok(address) if is_one_of(trusted_proxies, address) => None,
        outcome => Some(outcome),
    });
    told.and_then(Result::ok).unwrap_or(peer)
}

/// Tells the exchange who the request speaks for, as far as the log may show it.
pub(super) fn name_principal(snapshot: &Snapshot, exchange: &Exchange, verdict: &Verdict) {
    if !exchange.is_logged() {
        return;
    }
    let principal = &verdict.principal;
    let subject = principal.subject.as_deref().and_then(|subject| match snapshot.config.log.subject {
        SubjectLog::Plain => Some(subject.to_owned()),
        SubjectLog::Hash => Some(stand_in(&format!("{}\n{subject}", principal.issuer_id))),
        SubjectLog::None => None,
    });
    let issuer = snapshot.issuers.get(principal.issuer).map_or("", |issuer| &*issuer.name);
    exchange.principal(issuer, subject.as_deref(), principal.client.as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_hop_that_is_no_trusted_proxy() {
        let proxies: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).into();
        let cases: [(&[&str], &str); 8] = [
            (&[], "10.0.0.1"),
            (&["192.0.2.7"], "192.0.2.7"),
            (&["198.51.100.9, 192.0.2.7"], "192.0.2.7"),
            (&["198.51.100.9, 192.0.2.7, 10.1.2.3"], "192.0.2.7"),
            (&["198.51.100.9", "192.0.2.7,fd00::5"], "192.0.2.7"),
            (&["192.0.2.7, nonsense, 10.1.2.3"], "10.0.0.1"),
            (&["10.9.9.9"], "10.0.0.1"),
            (&["2001:db8::1"], "2001:db8::1"),
        ];
        for (fields, client) in cases {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append("x-forwarded-for", HeaderValue::from_static(field));
            }
            let found = client_address("10.0.0.1".parse().unwrap(), &proxies, &headers);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{fields:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_tells_the_scheme() {
        let peer = |address: &str| Peer {
            address: address.parse().unwrap(),
            local: "10.0.0.9:8080".parse().unwrap(),
            tls: None,
        };
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert_eq!(Connection::new(peer("10.0.0.1:1"), &proxies).scheme(&headers), "https");
        assert_eq!(Connection::new(peer("192.0.2.7:1"), &proxies).scheme(&headers), "http");
    }
}
