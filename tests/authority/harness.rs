//! A server on a thread of its own, and a plain client for it.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tollgate::authority::{
    Authority, Client, ClientAuth, Control, Grant, RefreshLifetimes, Settings, SigningAlgorithm, TokenForm, User,
};
use tollgate::clock::{ManualClock, UnixTime};
use tollgate::secret::Secret;

/// A secret that goes wrong wherever form encoding does.
pub const ODD_SECRET: &str = "a:b@c+d%e&f=g \u{f6}";

/// The moment at which every test begins, in seconds since the epoch.
pub const START: i64 = 1_800_000_000;

/// A clock that stands at [`START`].
pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixTime::from_secs(START)))
}

/// An authority with clients of every kind.
pub fn settings(issuer: &str) -> Settings {
    let secret = |text: &str| Some(Secret::new(text.to_owned()));
    let client = |id: &str| Client {
        id: id.to_owned(),
        secret: secret("machine-secret"),
        grants: vec![Grant::ClientCredentials],
        scopes: vec!["orders:read".into(), "orders:write".into()],
        auth: None,
        signing_alg: SigningAlgorithm::Rs256,
        access_tokens: TokenForm::Jwt,
        jwks: None,
        certificate_name: None,
        certificates: Vec::new(),
        certificate_bound_access_tokens: false,
        dpop_bound_access_tokens: false,
        redirect_uris: Vec::new(),
        post_logout_redirect_uris: Vec::new(),
        backchannel_logout_uri: None,
        frontchannel_logout_uri: None,
    };
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        issuer: issuer.to_owned(),
        audience: "https://api.example".into(),
        token_lifetime: Duration::from_millis(300_900),
        code_lifetime: Duration::from_secs(60),
        refresh: RefreshLifetimes {
            idle: Duration::from_secs(3600),
            absolute: Duration::from_secs(86_400),
            grace: Duration::from_secs(10),
        },
        session_lifetime: Duration::from_secs(43_200),
        dpop_nonce: false,
        resources: BTreeMap::new(),
        scopes: BTreeMap::from([("orders:read".into(), "Read your orders".into())]),
        users: ["alice", "<b>bob</b>"].map(user).to_vec(),
        clients: vec![
            client("machine"),
            Client { signing_alg: SigningAlgorithm::Es256, ..client("machine-es256") },
            Client { signing_alg: SigningAlgorithm::EdDsa, ..client("machine-eddsa") },
            Client { signing_alg: SigningAlgorithm::Ps256, ..client("machine-ps256") },
            Client { scopes: Vec::new(), ..client("scopeless") },
            Client { auth: Some(ClientAuth::Basic), ..client("only-basic") },
            Client { auth: Some(ClientAuth::Post), ..client("only-post") },
            Client { secret: secret(ODD_SECRET), ..client("odd: client/\u{eb}") },
            Client { grants: Vec::new(), ..client("grantless") },
            Client { secret: None, ..client("public") },
        ],
        faults: None,
    }
}

fn user(name: &str) -> User {
    let password = Secret::new("wonderland".into());
    User {
        name: name.to_owned(),
        sub: name.to_owned(),
        password,
        claims: BTreeMap::from([("email".into(), json!("a@b"))]),
    }
}

/// A server that runs until this is dropped.
pub struct Served {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Served {
    /// Runs what `serve` makes of the shutdown signal on one thread.
    pub fn run<F: Future<Output = io::Result<()>>>(
        serve: impl FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || runtime().block_on(serve(stopped)));
        Self { stop: Some(stop), thread: Some(thread) }
    }

    /// The same on several threads.
    pub fn run_on<F: Future<Output = io::Result<()>>>(
        threads: usize,
        serve: impl FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
        let thread = thread::spawn(move || runtime.block_on(serve(stopped)));
        Self { stop: Some(stop), thread: Some(thread) }
    }

    /// Ends it and waits for the end.
    pub fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server did not panic").expect("the server ended well");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end();
        }
    }
}

/// A runtime for one thread.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A running authority.
pub struct Running {
    pub address: SocketAddr,
    pub control: Control,
    pub clock: Arc<ManualClock>,
    _served: Served,
}

impl Running {
    pub fn start() -> Self {
        Self::with(|_| ())
    }

    /// With settings changed before the start.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let (authority, clock) = Self::bound(change);
        let (address, control) = (authority.address(), authority.control());
        let served = Served::run(|stopped| authority.serve(async { drop(stopped.await) }));
        Self { address, control, clock, _served: served }
    }

    /// The same on several threads.
    pub fn on_threads(threads: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let (authority, clock) = Self::bound(change);
        let (address, control) = (authority.address(), authority.control());
        let served = Served::run_on(threads, |stopped| authority.serve(async { drop(stopped.await) }));
        Self { address, control, clock, _served: served }
    }

    fn bound(change: impl FnOnce(&mut Settings)) -> (Authority, Arc<ManualClock>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = settings(&format!("http://{}", listener.local_addr().unwrap()));
        change(&mut settings);
        let clock = clock();
        (Authority::on(listener, settings, clock.clone()).unwrap(), clock)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "")
    }

    /// A form.
    pub fn post(&self, path: &str, headers: &[(&str, String)], body: &str) -> Answer {
        let kind = [("content-type", "application/x-www-form-urlencoded".to_owned())];
        self.send(Method::POST, path, &[&kind, headers].concat(), body)
    }

    pub fn send(&self, method: Method, path: &str, headers: &[(&str, String)], body: &str) -> Answer {
        send(self.address, method, path, headers, body.as_bytes())
    }
}

/// One request on a connection of its own.
pub fn send(address: SocketAddr, method: Method, path: &str, headers: &[(&str, String)], body: &[u8]) -> Answer {
    let request = request(address, method, path, headers, body);
    runtime().block_on(async { exchange(TcpStream::connect(address).await.unwrap(), request).await })
}

/// As [`send`], with no header but those of `request`.
pub fn send_as_is(address: SocketAddr, request: http::request::Builder, body: &[u8]) -> Answer {
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
    runtime().block_on(async { exchange(TcpStream::connect(address).await.unwrap(), request).await })
}

/// The same over TLS.
pub fn send_over(tls: Arc<ClientConfig>, address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let name = ServerName::try_from(address.ip().to_string()).unwrap();
    runtime().block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        exchange(TlsConnector::from(tls).connect(name, stream).await.unwrap(), request).await
    })
}

/// A request as [`send`] sends it.
pub fn request(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, value.as_bytes());
    }
    request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Answer {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The one value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().unwrap();
        assert!(values.next().is_none(), "{name} comes twice");
        Some(value)
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The claims of the access token, unverified.
    pub fn claims(&self) -> Value {
        let body = self.json();
        let payload = body["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }
}

/// A Basic credential of parts that are form-encoded already.
pub fn basic(id: &str, secret: &str) -> (&'static str, String) {
    ("authorization", format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
}

/// Form encoding.
pub fn form(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
