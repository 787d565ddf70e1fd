//! A small HTTP/1.1 server for side jobs, such as the development authority and the sample API: one listener, one
//! handler, any tokio runtime, in cleartext or over TLS.
//!
//! It promises bounds on everything that a client can take: connections, the time of a handshake, header size and time,
//! body size and time, and the time that open connections get when the server is told to stop. It refuses nothing by
//! itself; the handler answers. The gateway's own listeners are not served by it: they need workers and HTTP/2.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::presented::Presented;

/// Connections open at once; more wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 512;
/// From the accepted connection to the end of its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the first byte of a request, or the last one of the request before it, to the end of the head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of one request head.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// From the end of the head to the end of the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes beyond the limit that are read and forgotten, so that the client gets to read why.
const MAX_DRAIN: usize = 4 * 1024 * 1024;
/// How long they may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// What requests in flight get once the server is told to stop.
const GRACE: Duration = Duration::from_secs(2);
/// The pause after a failed accept, which usually means that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `handler` on `listener` until `shutdown` completes; requests in flight then get two seconds to end.
///
/// # Errors
/// When the listener cannot be handed to the runtime.
pub async fn serve<H, F, B>(
    listener: std::net::TcpListener,
    handler: H,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    H: Fn(Request<Incoming>, Stop) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    serve_over(listener, None, handler, shutdown).await
}

/// As [`serve`], over TLS if `tls` says how. What a client [`Presented`] there is an extension of its requests.
///
/// # Errors
/// As [`serve`].
pub async fn serve_over<H, F, B>(
    listener: std::net::TcpListener,
    tls: Option<Arc<ServerConfig>>,
    handler: H,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    H: Fn(Request<Incoming>, Stop) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let tls = tls.map(TlsAcceptor::from);
    let (stop, stopped) = watch::channel(false);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, place) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let (tls, handler, stop) = (tls.clone(), handler.clone(), Stop(stopped.clone()));
        connections.spawn(greet(stream, place, tls, handler, stop));
    }
    drop((listener, stopped));
    stop.send_replace(true);
    // Connections, and what their handlers left running, hold a `Stop` to their end. What is still open after the grace
    // is cut when the set drops.
    let _ = timeout(GRACE, stop.closed()).await;
    Ok(())
}

/// Tells a handler, and what it leaves running, that the server is about to end. Whoever holds one is waited for.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Completes when the server has been told to stop.
    pub async fn stopped(mut self) {
        // An error means that the server is gone, which is the same news.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

/// The next connection, with its place among those that may be open at once.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection: a handshake, if there is to be one, and then its requests.
async fn greet<H, F, B>(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    tls: Option<TlsAcceptor>,
    handler: H,
    stop: Stop,
) where
    H: Fn(Request<Incoming>, Stop) -> F + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let _place = place;
    // Small answers and events must not wait for a full segment; a socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return converse(stream, None, handler, stop).await };
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)) => shaken,
        () = stop.clone().stopped() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let presented = Presented::on(stream.get_ref().1);
            converse(stream, presented, handler, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake did not end in time"),
    }
}

async fn converse<S, H, F, B>(stream: S, presented: Option<Presented>, handler: H, stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>, Stop) -> F + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let for_handler = stop.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(presented) = &presented {
            request.extensions_mut().insert(presented.clone());
        }
        let answer = handler(request, for_handler.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Why a request body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// It has more bytes than the limit.
    #[error("the body is too large")]
    TooLarge,
    /// It did not end in time.
    #[error("the body did not arrive in time")]
    Slow,
    /// The client broke off, or its framing was wrong.
    #[error("the body broke off")]
    Broken,
}

/// The whole body, when it has at most `limit` bytes and ends within ten seconds.
///
/// # Errors
/// What was wrong with it; none of these is a fault of ours.
pub async fn read_body(mut body: Incoming, limit: usize) -> Result<Bytes, BodyFault> {
    match timeout(BODY_TIMEOUT, Limited::new(&mut body, limit).collect()).await {
        Err(_) => Err(BodyFault::Slow),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            // A client that is still sending when the connection closes may never see the answer.
            let _ = timeout(DRAIN_TIMEOUT, drain(body)).await;
            Err(BodyFault::TooLarge)
        }
        Ok(Err(_)) => Err(BodyFault::Broken),
    }
}

/// Reads on and forgets, within bounds.
async fn drain(mut body: Incoming) {
    let mut left = MAX_DRAIN;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}
