//! HTTP/2 on both sides of the gateway, through hyper: a client, and an upstream that records.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{PATIENCE, runtime};

/// The body of everything here.
pub type AnyBody = BoxBody<Bytes, std::convert::Infallible>;

/// No body.
pub fn empty() -> AnyBody {
    Empty::new().boxed()
}

/// A body of one piece.
pub fn full(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).boxed()
}

/// A body of these frames.
pub fn frames(frames: Vec<Frame<Bytes>>) -> AnyBody {
    Frames(frames.into_iter()).boxed()
}

struct Frames(std::vec::IntoIter<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.next().map(Ok))
    }
}

/// A response read to its end.
#[derive(Debug)]
pub struct Read {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

/// A client's connection; clones share it.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<AnyBody>,
}

impl Client {
    /// Connects in cleartext with prior knowledge.
    pub async fn cleartext(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("the gateway listens")).await
    }

    /// Connects with TLS; ALPN has to agree on `h2`.
    pub async fn tls(address: SocketAddr, config: Arc<rustls::ClientConfig>) -> Self {
        let tcp = TcpStream::connect(address).await.expect("the gateway listens");
        let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
        let tls = TlsConnector::from(config).connect(name, tcp).await.expect("a handshake");
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(tls).await
    }

    async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io));
        let (sender, connection) = handshake.await.expect("an HTTP/2 handshake");
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends a request and returns at the head of its response.
    pub async fn send(&mut self, request: Request<AnyBody>) -> hyper::Result<Response<Incoming>> {
        self.sender.ready().await?;
        tokio::time::timeout(PATIENCE, self.sender.send_request(request)).await.expect("an answer in time")
    }

    /// Sends a request and reads its response to the end.
    pub async fn call(&mut self, request: Request<AnyBody>) -> Read {
        let response = self.send(request).await.expect("a response");
        read(response).await
    }

    /// Whether the connection was closed.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// Reads a response to its end.
pub async fn read(response: Response<Incoming>) -> Read {
    let (parts, body) = response.into_parts();
    let collected = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the end of the body in time");
    let collected = collected.expect("a whole body");
    let trailers = collected.trailers().cloned();
    let (status, version, headers) = (parts.status, parts.version, parts.headers);
    Read { status, version, headers, body: collected.to_bytes(), trailers }
}

/// A request for `http://api.test` and this path.
pub fn request(method: &str, path: &str, token: Option<&str>) -> http::request::Builder {
    let builder = Request::builder().method(method).uri(format!("http://api.test{path}"));
    match token {
        Some(token) => builder.header("authorization", format!("Bearer {token}")),
        None => builder,
    }
}

/// One request as an HTTP/2 (or TLS) upstream got it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: usize,
    pub trailers: Option<HeaderMap>,
}

/// An upstream on hyper: HTTP/2 in cleartext, or TLS with the ALPN protocols of its certificate's configuration.
/// It answers 200, the number of body bytes that it got, and the trailer `x-sum`.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepted: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Upstream {
    /// Cleartext, HTTP/2 only.
    pub fn h2c() -> Self {
        Self::start(None)
    }

    /// TLS.
    pub fn tls(config: Arc<rustls::ServerConfig>) -> Self {
        Self::start(Some(TlsAcceptor::from(config)))
    }

    fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = runtime().block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (seen, accepted) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let (records, count) = (Arc::clone(&seen), Arc::clone(&accepted));
        let accepting = runtime().spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (records, tls) = (Arc::clone(&records), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(tcp, true, records).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(tcp).await else { return };
                            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            serve(stream, h2, records).await;
                        }
                    }
                });
            }
        });
        Self { address, seen, accepted, accepting }
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic while held").clone()
    }

    /// Connections that were ever opened.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, h2: bool, records: Arc<Mutex<Vec<Seen>>>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&records)));
    let io = TokioIo::new(io);
    // A peer that goes away ends its connection, not the server.
    if h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await.ok();
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.ok();
    }
}

async fn answer(request: Request<Incoming>, records: Arc<Mutex<Vec<Seen>>>) -> Result<Response<AnyBody>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned();
    let size = collected.to_bytes().len();
    let seen = Seen {
        method: parts.method,
        uri: parts.uri,
        version: parts.version,
        headers: parts.headers,
        body: size,
        trailers,
    };
    records.lock().expect("no panic while held").push(seen);
    let mut end = HeaderMap::new();
    end.insert("x-sum", http::HeaderValue::from(size));
    let body = frames(vec![Frame::data(Bytes::from(size.to_string())), Frame::trailers(end)]);
    Ok(Response::builder().header("trailer", "x-sum").body(body).expect("a plain response"))
}
