//! Serving HTTP: listeners, connections and the workers that own them. Knows nothing of OAuth.
//!
//! Every worker is a thread with a runtime, listeners (`SO_REUSEPORT`) and connections of its own; workers share
//! nothing on the way of a request. Promises: each wait for a client is bounded by [`Limits`], HTTP/2 in cleartext is
//! told from HTTP/1.1 by its preface under the same bound, and a drain lets requests in flight end. What hyper's
//! parser refuses by itself (broken framing, too many fields) is answered by hyper with a bare 400 or 431 and a close.

pub mod certificate;
mod connection;
mod der;
pub mod distinguished;
mod gather;
mod listen;
pub mod plain;
pub mod presented;
#[cfg(test)]
mod tests;
pub mod tls;
mod worker;

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use rustls_pki_types::CertificateDer;

pub use gather::Gather;
pub use listen::{Listener, bind};
pub use worker::{Workers, start};

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
    /// The client's certificate, leaf only, when it sent one. Its key signed the handshake; whether an authority vouches
    /// for it is what [`tls::Clients`] says.
    pub certificate: Option<CertificateDer<'static>>,
}

impl Peer {
    /// `http` or `https`, as the peer used it.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// What one client may take of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a request (or the accepted connection) to the end of its head; TLS handshake included.
    pub header_timeout: Duration,
    /// A connection with no request is closed after this, and so is one whose client takes nothing of a response for
    /// as long. One HTTP/2 stream that is not read, on a connection that is, is not noticed.
    pub idle_timeout: Duration,
    /// Bytes of one request head.
    pub max_header_bytes: usize,
    /// Fields of one request head.
    pub max_headers: usize,
    /// Connections open at once, over all workers and listeners.
    pub max_connections: usize,
}

/// What answers requests; one per worker, so it needs no locks.
pub trait Handler: 'static {
    /// What is kept per connection.
    type Connection: 'static;
    /// The body of its responses.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + 'static;

    /// A peer connected.
    fn connected(&self, peer: Peer) -> Self::Connection;

    /// Answers one request.
    fn handle(
        self: Rc<Self>,
        connection: Rc<Self::Connection>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + 'static;

    /// What the drain of this worker waits for beside connections: tunnels, which left their connection.
    fn tunnels(&self) -> &Tunnels;

    /// Called now and then, also when no request comes.
    fn tick(&self);

    /// The worker ends: last chance to hand over what is buffered.
    fn finish(&self);
}

/// Counts the upgraded connections of one worker; each holds a [`Tunnel`] while it lives.
#[derive(Debug, Default)]
pub struct Tunnels(Rc<Cell<usize>>);

impl Tunnels {
    /// Counts one more until the returned guard drops.
    #[must_use]
    pub fn open(&self) -> Tunnel {
        self.0.set(self.0.get() + 1);
        Tunnel(Rc::clone(&self.0))
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.get()
    }
}

/// One upgraded connection, see [`Tunnels`].
#[derive(Debug)]
pub struct Tunnel(Rc<Cell<usize>>);

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
