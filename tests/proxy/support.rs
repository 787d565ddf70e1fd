//! A worker that forwards everything, and upstreams for it.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalOptions;
use tokio::task::spawn_local;
use tollgate::clock::{SystemClock, UnixTime};
use tollgate::config::model::{self, Origin, Scheme, UpstreamHost};
use tollgate::policy::{self, Access, Circumstances, Permit, Rule, Speaks};
use tollgate::proxy::*;
use tollgate::server::Peer;
use tollgate::token::principal::{Principal, Scopes};

/// Runs a test as a worker runs.
pub fn worker<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), test()).await.expect("the test ends");
    });
}

/// A verdict: a principal and its headers.
pub struct Verdict(pub Principal, pub IdentityHeaders);

impl Speaks for Verdict {
    fn principal(&self) -> &Principal {
        &self.0
    }
}

impl Identified for Verdict {
    fn identity(&self) -> &IdentityHeaders {
        &self.1
    }
}

pub fn permit() -> Permit<Verdict> {
    let principal = Principal {
        issuer: 0,
        issuer_id: "https://login.acme.example".into(),
        subject: Some("alice".into()),
        client: None,
        scopes: Scopes::parse("orders:read"),
        audiences: Vec::new(),
        expires_at: UnixTime::from_secs(0),
        binding: None,
        claims: serde_json::Map::new(),
    };
    let headers = identity(&principal, &[]).unwrap();
    let rule = Rule::plain(Access::Token, vec![0]);
    let given = Circumstances { path: "/", certain: true, now: UnixTime::from_secs(0) };
    policy::decide(&rule, Some(Verdict(principal, headers)), given).unwrap()
}

/// What a response body told its watch, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Ended,
    Failed,
    Dropped,
}

pub type Log = Rc<RefCell<Vec<Told>>>;

pub struct Recorder(Log, Rc<Cell<usize>>);

impl Watch for Recorder {
    fn sent(&mut self, bytes: usize) {
        self.1.set(self.1.get() + bytes);
    }
    fn ended(&mut self) {
        self.0.borrow_mut().push(Told::Ended);
    }
    fn failed(&mut self, _: &BodyError) {
        self.0.borrow_mut().push(Told::Failed);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.borrow_mut().push(Told::Dropped);
    }
}

pub fn config(servers: &[(Scheme, SocketAddr)]) -> model::Upstream {
    let origin = |(scheme, address): &(Scheme, SocketAddr)| Origin {
        scheme: *scheme,
        host: address.ip().to_string(),
        port: address.port(),
    };
    model::Upstream {
        name: "orders".into(),
        servers: servers.iter().map(origin).collect(),
        host: UpstreamHost::Keep,
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(60),
        ca_file: None::<PathBuf>,
    }
}

pub fn plan() -> Plan {
    Plan { strip_prefix: None, pass_credential: true, rules: Arc::new(HeaderRules::new([])) }
}

/// The forwarder behind an HTTP server of its own.
pub struct Gateway {
    pub address: SocketAddr,
    pub upstream: Rc<Upstream>,
    pub told: Log,
    pub sent: Rc<Cell<usize>>,
}

pub struct Settings {
    pub plan: Plan,
    pub trusted: bool,
    pub max_body: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { plan: plan(), trusted: false, max_body: None }
    }
}

pub async fn gateway(config: &model::Upstream) -> Gateway {
    gateway_with(config, Settings::default()).await
}

pub async fn gateway_with(config: &model::Upstream, settings: Settings) -> Gateway {
    let target = Arc::new(Target::compile(config, &mut SystemAuthorities::default()).unwrap());
    let beat = Beat::new(Arc::new(SystemClock::start()));
    spawn_local(beat.clone().run());
    let upstream = Upstreams::new(&[target], &beat, &Upstreams::default()).get(0).unwrap().clone();
    serve_with(upstream, settings).await
}

/// A gateway over an upstream that the test made.
pub async fn serve_over(upstream: Rc<Upstream>) -> SocketAddr {
    serve_with(upstream, Settings::default()).await.address
}

async fn serve_with(upstream: Rc<Upstream>, settings: Settings) -> Gateway {
    let (told, sent) = (Log::default(), Rc::new(Cell::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Rc::new((upstream.clone(), settings, told.clone(), sent.clone()));
    spawn_local(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let peer = Peer { address: peer, local: address, tls: None };
            spawn_local(serve(stream, peer, gateway.clone()));
        }
    });
    Gateway { address, upstream, told, sent }
}

type Served = Rc<(Rc<Upstream>, Settings, Log, Rc<Cell<usize>>)>;

/// HTTP/2 with prior knowledge when the first byte is that of its preface and of no method used here.
async fn serve(stream: TcpStream, peer: Peer, gateway: Served) {
    let mut first = [0];
    stream.peek(&mut first).await.unwrap();
    let connection = Rc::new(ConnectionHeaders::new(&peer, gateway.1.trusted));
    let service = service_fn(move |request| handle(request, connection.clone(), gateway.clone()));
    if first[0] == b'P' && is_preface(&stream).await {
        drop(http2::Builder::new(Local).serve_connection(TokioIo::new(stream), service).await);
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new());
        drop(builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await);
    }
}

async fn is_preface(stream: &TcpStream) -> bool {
    let mut start = [0; 3];
    stream.peek(&mut start).await.unwrap() == 3 && &start == b"PRI"
}

async fn handle(
    request: Request<Incoming>,
    connection: Rc<ConnectionHeaders>,
    gateway: Served,
) -> Result<Response<ResponseBody<Recorder>>, Infallible> {
    let (upstream, settings, told, sent) = &*gateway;
    let recorder = Recorder(told.clone(), sent.clone());
    let named = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()).unwrap());
    let host = named.or_else(|| request.headers().get(header::HOST).cloned());
    let (parts, incoming) = request.into_parts();
    let Ok(body) = RequestBody::new(incoming, settings.max_body) else {
        return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, "announced", recorder));
    };
    let client = Client { connection: &connection, host };
    let request = Request::from_parts(parts, body);
    Ok(match forward(&permit(), upstream, &settings.plan, client, request).await {
        Ok(Answer::Response(response)) => response.map(|body| ResponseBody::upstream(body, recorder)),
        Ok(Answer::Switched(response, tunnel)) => {
            let watch = Recorder(told.clone(), sent.clone());
            spawn_local(async move { drop(tunnel.run(watch).await) });
            response.map(|()| ResponseBody::empty(recorder))
        }
        Err(fault) => refusal(StatusCode::BAD_GATEWAY, &format!("{:?}", fault.kind), recorder),
    })
}

fn refusal(status: StatusCode, text: &str, recorder: Recorder) -> Response<ResponseBody<Recorder>> {
    let mut response = Response::new(ResponseBody::full(text.to_owned(), recorder));
    *response.status_mut() = status;
    response
}

#[derive(Clone)]
pub struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}

/// An upstream that is written by hand: `script` gets each connection and its number, from 0.
pub async fn scripted<F>(script: impl Fn(Wire, usize) -> F + 'static) -> (SocketAddr, Rc<Cell<usize>>)
where
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Rc::new(Cell::new(0));
    let count = connections.clone();
    spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let number = count.replace(count.get() + 1);
            spawn_local(script(Wire { stream, read: Vec::new() }, number));
        }
    });
    (address, connections)
}

/// A TCP connection that is read and written by hand.
pub struct Wire {
    pub stream: TcpStream,
    pub read: Vec<u8>,
}

impl Wire {
    pub async fn to(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    /// Reads up to and with `end`; what was read until the connection ended, if it ends before.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end.as_bytes()) {
                let text = self.read.drain(..at + end.len()).collect();
                return String::from_utf8(text).unwrap();
            }
            if !self.more().await {
                return String::from_utf8(std::mem::take(&mut self.read)).unwrap();
            }
        }
    }

    pub async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// All that comes until the other side closes.
    pub async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(count) if count > 0)
    }

    pub async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends a request and reads a response whose body is as long as `Content-Length` says.
    pub async fn ask(&mut self, request: &str) -> (String, String) {
        self.write(request).await;
        let head = self.head().await;
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        while self.read.len() < length && self.more().await {}
        let body = self.read.drain(..length.min(self.read.len())).collect();
        (head, String::from_utf8(body).unwrap())
    }
}

/// An upstream that answers each request with its head as it came, over any number of requests a connection.
pub async fn echo() -> (SocketAddr, Rc<Cell<usize>>) {
    scripted(|mut wire, _| async move {
        loop {
            let head = wire.head().await;
            if head.is_empty() {
                return;
            }
            wire.write(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len())).await;
        }
    })
    .await
}

/// One frame-by-frame body for hyper clients and servers.
pub struct Frames(pub std::collections::VecDeque<http_body::Frame<Bytes>>);

impl Frames {
    pub fn of(data: &[&'static str], trailers: Option<(&'static str, &'static str)>) -> Self {
        let mut frames: std::collections::VecDeque<_> =
            data.iter().map(|data| http_body::Frame::data(Bytes::from_static(data.as_bytes()))).collect();
        if let Some((name, value)) = trailers {
            let mut map = HeaderMap::new();
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            frames.push_back(http_body::Frame::trailers(map));
        }
        Self(frames)
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// Lets other tasks run until `reached` holds.
pub async fn eventually(reached: impl Fn() -> bool) {
    while !reached() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
