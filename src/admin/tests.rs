//! The admin listener over real sockets.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use arc_swap::ArcSwap;

use super::*;
use crate::clock::{ManualClock, UnixTime};
use crate::config;
use crate::gateway::snapshot::{self, Snapshot};
use crate::token::dpop;
use crate::token::revocation::Office;

struct Fake;

impl Exhibit for Fake {
    fn config(&self) -> Value {
        json!({ "server": { "workers": 2 }, "client_secret": "[redacted]" })
    }

    fn issuers(&self) -> Vec<IssuerStatus> {
        vec![IssuerStatus {
            name: "acme".into(),
            issuer: "https://login.acme.example".into(),
            state: "stale",
            keys: 2,
            age: Some(Duration::from_secs(3725)),
            last_error: Some("<script>alert(1)</script>".into()),
            introspection: Some("https://login.acme.example/introspect, resting: <script>".into()),
        }]
    }

    fn routes(&self) -> Vec<RouteStatus> {
        vec![RouteStatus {
            name: "read-orders".into(),
            matches: "GET api.acme.example/orders/{id}".into(),
            access: "token: orders:read".into(),
            upstream: "orders".into(),
        }]
    }
}

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn desk(clock: &Arc<dyn Clock>) -> Desk {
    let text = "[upstreams.a]\nservers = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/\"\nupstream = \"a\"\naccess = \"public\"";
    let loaded = config::parse(text, "test", &config::System::of("test".as_ref())).expect("a valid config");
    let revocations = Arc::default();
    let dpop = dpop::Means { replays: Arc::new(dpop::replay::Memory::default()), nonce_key: [0; 32] };
    let clock = Arc::clone(clock);
    let means = snapshot::Means {
        clock: Arc::clone(&clock),
        epoch: Arc::default(),
        dpop,
        revocations: Arc::clone(&revocations),
        browsers: Arc::default(),
    };
    let snapshot = Snapshot::compile(loaded.config, &means, None).expect("nothing but loopback");
    let office = Arc::new(Office::new(revocations, Arc::clone(&clock), None));
    Desk::new(office, Arc::new(ArcSwap::from_pointee(snapshot)), clock)
}

async fn start() -> Running {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(UnixTime::from_secs(0)));
    let readiness = Readiness::default();
    let desk = desk(&clock);
    let admin = Admin::new(Metrics::new(Arc::clone(&clock)), readiness.clone(), clock, Arc::new(Fake), desk);
    let bound = admin.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = bound.address();
    assert_ne!(address.port(), 0);
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(bound.serve(async {
        let _asked = stopped.await.is_ok();
    }));
    Running { address, readiness, stop, task }
}

/// Sends bytes and reads the answer to the end of the connection: head and body.
async fn raw(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

async fn get(address: SocketAddr, target: &str) -> (String, String) {
    raw(address, &format!("GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn every_path_answers_with_its_type_and_its_fences() {
    let running = start().await;
    running.readiness.task("keys").ok();
    for (target, status, media_type, content) in [
        ("/", 200, "text/html; charset=utf-8", "read-orders"),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "tollgate_build_info{version="),
        ("/healthz", 200, "text/plain; charset=utf-8", "ok\n"),
        ("/readyz", 200, "application/json", "\"ready\": true"),
        ("/config", 200, "application/json", "\"[redacted]\""),
        ("/nowhere", 404, "text/plain; charset=utf-8", "/metrics     metrics as Prometheus text\n"),
        ("/revocations", 200, "application/json", "\"revocations\": []"),
        ("/revocationsx", 404, "text/plain; charset=utf-8", "/readyz"),
        ("/metrics/", 404, "text/plain; charset=utf-8", "/readyz"),
    ] {
        let (head, body) = get(running.address, target).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{target}: {head}");
        assert!(head.contains(&format!("content-type: {media_type}\r\n")), "{target}: {head}");
        assert!(body.contains(content), "{target}: {body}");
        for fence in [
            "content-security-policy: default-src 'none'; style-src 'sha256-",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(head.contains(fence), "{target}: {head}");
        }
        let request = format!("HEAD {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let (head, body) = raw(running.address, &request).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")) && body.is_empty(), "{target}: {head}{body}");
    }
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let running = start().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let request = format!("{method} /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let (head, _) = raw(running.address, &request).await;
        assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get, head"), "{method}: {head}");
    }
}

#[tokio::test]
async fn a_name_that_points_at_loopback_is_refused() {
    let running = start().await;
    for (host, status) in [
        ("localhost", 200),
        ("LocalHost.:9090", 200),
        ("gateway.localhost", 200),
        ("127.0.0.1:9090", 200),
        ("[::1]:9090", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:9090", 421),
        ("localhost.evil.example", 421),
        ("", 421),
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let (head, _) = raw(running.address, &request).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{host}: {head}");
    }
    let twice = "GET /config HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert!(!raw(running.address, twice).await.0.starts_with("http/1.1 200 "));
    assert!(raw(running.address, "GET /healthz HTTP/1.0\r\n\r\n").await.0.starts_with("http/1.0 200 "));
}

#[tokio::test]
async fn readiness_names_every_task() {
    let running = start().await;
    let (head, body) = get(running.address, "/readyz").await;
    assert!(head.starts_with("http/1.1 503 "), "nothing has reported: {head}");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!({ "ready": false, "tasks": [] }));
    running.readiness.task("listeners").ok();
    let keys = running.readiness.task("issuer acme");
    keys.failed("connection refused");
    let (head, body) = get(running.address, "/readyz").await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    let expected = json!({ "ready": false, "tasks": [
        { "name": "issuer acme", "state": "failed", "reason": "connection refused" },
        { "name": "listeners", "state": "ok" },
    ] });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    keys.ok_but("keys from disk");
    let (head, body) = get(running.address, "/readyz?verbose").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(body, "ok       issuer acme  keys from disk\nok       listeners\nready\n");
}

#[tokio::test]
async fn the_page_escapes_and_names_its_style() {
    let running = start().await;
    let (head, body) = get(running.address, "/").await;
    assert!(!body.contains("<script") && body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(
        body.contains("1 h 2 min ago")
            && body.contains("GET api.acme.example/orders/{id}")
            && body.contains("Not ready")
    );
    let style = body.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let digest = openssl_like_digest(style).to_ascii_lowercase();
    assert!(head.contains(&format!("'sha256-{digest}'")), "{head}");
}

fn openssl_like_digest(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(crate::secret::sha256(text.as_bytes()))
}

#[tokio::test]
async fn more_connections_than_places_wait_and_are_served() {
    let running = start().await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(TcpStream::connect(running.address).await.unwrap());
    }
    let mut waiting = TcpStream::connect(running.address).await.unwrap();
    waiting.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let early = tokio::time::timeout(Duration::from_millis(100), waiting.read_to_end(&mut answer)).await;
    assert!(early.is_err() && answer.is_empty(), "there is no place yet");
    idle.pop();
    waiting.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_the_listener() {
    let running = start().await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    running.stop.send(()).unwrap();
    // Less than what an idle connection may last by itself.
    tokio::time::timeout(HEADER_TIMEOUT / 2, running.task).await.unwrap().unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}
