//! Serving HTTP: listeners, connections and the workers that own them. Knows nothing of OAuth.

pub mod plain;

use std::net::SocketAddr;

use rustls_pki_types::CertificateDer;

/// The other end of one accepted connection.
#[derive(Debug)]
pub struct Peer {
    /// Where it connects from.
    pub address: SocketAddr,
    /// The listener's address that it connected to.
    pub local: SocketAddr,
    /// Present on TLS connections.
    pub tls: Option<PeerTls>,
}

/// What the TLS handshake told of the peer.
#[derive(Debug)]
pub struct PeerTls {
    /// The client's certificate, leaf only, when it sent one that verified.
    pub certificate: Option<CertificateDer<'static>>,
}

impl Peer {
    /// `http` or `https`, as the peer used it.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}
