//! Opening one connection to one server: name, TCP, TLS, and the HTTP that was agreed on.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper::rt::{Executor, Read, Write};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_rustls::client::TlsStream;

use crate::server::Gather;

use super::body::RequestBody;
use super::target::{Address, Place, Wire};

/// Bytes of one response head that we take, and the read buffer of an HTTP/1.1 connection. The number of fields stays at
/// hyper's default of 100: naming another makes it allocate for every head.
const MAX_HEAD: usize = 128 * 1024;
/// What an upstream may have in flight to us: of one stream, and of all streams of one HTTP/2 connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// Streams that a server is expected to take at least (RFC 9113 section 6.5.2), until it has told.
const USUAL_STREAMS: usize = 100;
/// An HTTP/2 connection that does not answer a ping this long after this much silence is given up.
const PING_AFTER: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no connection. Nothing of a request was sent.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The name could not be looked up, or TCP failed.
    #[error("cannot connect")]
    Tcp(#[source] io::Error),
    /// The TLS handshake failed, or the certificate is not trusted.
    #[error("cannot agree on TLS")]
    Tls(#[source] io::Error),
    /// HTTP could not begin.
    #[error("cannot begin HTTP")]
    Http(#[source] hyper::Error),
    /// All of that took longer than `connect_timeout`.
    #[error("no connection within connect_timeout ({0:?})")]
    Late(Duration),
    /// The connection was closed before a request could be written.
    #[error("the connection was closed before the request was sent")]
    Closed(#[source] hyper::Error),
}

/// How many streams the server takes at once. Asks the connection, since its settings may change at any time.
pub(super) type StreamLimit = Box<dyn Fn() -> usize>;

/// An open connection.
pub(super) enum Connection {
    /// HTTP/1.1: one request at a time.
    Http1(http1::SendRequest<RequestBody>),
    /// HTTP/2.
    Http2 { sender: http2::SendRequest<RequestBody>, limit: StreamLimit },
}

/// Connects to `place` within `limit`. `only_http1`: what is to be sent cannot go over HTTP/2.
pub(super) async fn connect(place: &Place, limit: Duration, only_http1: bool) -> Result<Connection, ConnectError> {
    match tokio::time::timeout(limit, open(place, only_http1)).await {
        Ok(opened) => opened,
        Err(_) => Err(ConnectError::Late(limit)),
    }
}

async fn open(place: &Place, only_http1: bool) -> Result<Connection, ConnectError> {
    let stream = match &place.address {
        Address::Fixed(address) => TcpStream::connect(address).await,
        Address::Named(host, port) => TcpStream::connect((&**host, *port)).await,
    };
    let stream = stream.map_err(ConnectError::Tcp)?;
    stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
    match &place.wire {
        Wire::Http1 => begin_http1(TokioIo::new(Gather(stream))).await,
        Wire::Http2 => begin_http2(TokioIo::new(Gather(stream))).await,
        Wire::Tls(tls, name) => {
            let connector = if only_http1 { &tls.http1 } else { &tls.any };
            begin_agreed(connector.connect(name.clone(), stream).await.map_err(ConnectError::Tls)?).await
        }
    }
}

async fn begin_agreed(stream: TlsStream<TcpStream>) -> Result<Connection, ConnectError> {
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => begin_http2(TokioIo::new(stream)).await,
        Some(_) | None => begin_http1(TokioIo::new(stream)).await,
    }
}

async fn begin_http1<T>(io: T) -> Result<Connection, ConnectError>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (sender, connection) = builder.handshake(io).await.map_err(ConnectError::Http)?;
    // Errors reach the exchange that is on the connection; without one nobody asks.
    spawn_local(async move { drop(connection.with_upgrades().await) });
    Ok(Connection::Http1(sender))
}

async fn begin_http2<T>(io: T) -> Result<Connection, ConnectError>
where
    T: Read + Write + Unpin + 'static,
{
    let mut builder = http2::Builder::new(LocalTasks);
    builder
        .timer(TokioTimer::new())
        // No stream before the server has told its limit: it would be within its right to refuse it.
        .initial_max_send_streams(0)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_WITHIN);
    let (sender, connection) = builder.handshake(io).await.map_err(ConnectError::Http)?;
    let connection = Rc::new(RefCell::new(connection));
    let asked = Rc::downgrade(&connection);
    spawn_local(poll_fn(move |context| Pin::new(&mut *connection.borrow_mut()).poll(context).map(drop)));
    let limit = move || match asked.upgrade().map(|open| open.try_borrow().map(|open| open.current_max_send_streams()))
    {
        // Not told yet: requests wait inside the connection for it.
        Some(Ok(0) | Err(_)) => USUAL_STREAMS,
        Some(Ok(told)) => told,
        None => 0,
    };
    Ok(Connection::Http2 { sender, limit: Box::new(limit) })
}

/// Runs what HTTP/2 has to do beside a connection on the worker's own thread.
#[derive(Debug, Clone, Copy)]
struct LocalTasks;

impl<F> Executor<F> for LocalTasks
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}
