//! Listening sockets: one per worker and address, all on the same port (`SO_REUSEPORT`).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::observe::metrics::{Connections, Metrics};

/// Connections that the kernel holds ready before a worker accepts them.
const BACKLOG: i32 = 4096;

/// One address that is listened on, with a socket for each worker.
#[derive(Debug)]
pub struct Listener {
    /// The bound address; its port is never 0.
    pub address: SocketAddr,
    /// The TLS configuration of new connections; swapped when certificates change. `None`: cleartext.
    pub tls: Option<Arc<ArcSwap<ServerConfig>>>,
    /// Counts the connections that are open now, over all workers.
    pub connections: Connections,
    pub(super) sockets: Vec<TcpListener>,
}

/// Binds `address` once for each of `workers`. Port 0 lets the system choose; all workers then share its choice.
///
/// # Errors
/// The system's, such as an address in use or a port that needs privileges.
pub fn bind(
    address: SocketAddr,
    workers: usize,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    metrics: &Metrics,
) -> io::Result<Listener> {
    refuse_shared(address)?;
    let first = socket(address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    while sockets.len() < workers {
        sockets.push(socket(address)?);
    }
    let connections = metrics.connections(&address.to_string());
    Ok(Listener { address, tls, connections, sockets })
}

/// Another gateway that listens there would share the address, as workers do, and each would judge a part of the requests by
/// its own rules. Who asks without `SO_REUSEPORT` is told that it is taken.
fn refuse_shared(address: SocketAddr) -> io::Result<()> {
    bound(address, false).map(drop)
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address, true)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Options of an accepted connection: no Nagle delay, and probes that notice a peer which is gone.
pub(super) fn tune(stream: &tokio::net::TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(std::time::Duration::from_secs(60));
    // A connection without these options still works; a peer that is gone already shows at the first read.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_share_the_port_that_the_system_chose() {
        let metrics = Metrics::new(Arc::new(crate::clock::SystemClock::start()));
        let listener = bind(([127, 0, 0, 1], 0).into(), 3, None, &metrics).unwrap();
        assert_ne!(listener.address.port(), 0);
        assert_eq!(listener.sockets.len(), 3);
        assert!(listener.sockets.iter().all(|socket| socket.local_addr().unwrap() == listener.address));
    }

    #[test]
    fn a_second_gateway_does_not_share_the_address_of_the_first() {
        let metrics = Metrics::new(Arc::new(crate::clock::SystemClock::start()));
        let first = bind(([127, 0, 0, 1], 0).into(), 2, None, &metrics).unwrap();
        let second = bind(first.address, 2, None, &metrics).map(|listener| listener.address);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let address = first.address;
        drop(first);
        assert_eq!(bind(address, 2, None, &metrics).unwrap().address, address, "it is free again");
    }
}
