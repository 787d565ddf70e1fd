//! Bodies: of any size, both ways, as they come; what happens when one end stops, dies or never answers; and connections
//! that become something else.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use aws_lc_rs::digest;
use support::client::{Conn, Request, status_of};
use support::gateway::Gateway;
use support::process;
use support::upstream::{Then, Upstream, chunk, nobody, respond};
use support::{PATIENCE, eventually};
use tokio_tungstenite::tungstenite::{self, Message};

const GIB: u64 = 1 << 30;
/// How much more memory a stream may take than an idle gateway has.
const GROWTH_KIB: u64 = 64 * 1024;

fn config(upstream: &Upstream, extra: &str) -> String {
    let route = "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\nupstream = \"api\"\naccess = \"public\"\n";
    format!("{}{extra}\n{route}", upstream.toml("api"))
}

fn start(upstream: &Upstream) -> Gateway {
    Gateway::start(&config(upstream, ""))
}

/// One MiB that is not all the same.
fn mebibyte() -> Vec<u8> {
    (0..1_u32 << 20).map(|n| u8::try_from(n % 251).expect("less than 251")).collect()
}

/// Counts bytes and digests them, so that a lost, doubled or changed piece shows.
struct Tally {
    bytes: u64,
    digest: digest::Context,
}

impl Tally {
    fn new() -> Self {
        Self { bytes: 0, digest: digest::Context::new(&digest::SHA256) }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
    }

    fn finish(self) -> String {
        format!("{} bytes, {:?}", self.bytes, self.digest.finish())
    }

    fn of_mebibytes(count: u64) -> String {
        let (mut tally, block) = (Self::new(), mebibyte());
        (0..count).for_each(|_| tally.add(&block));
        tally.finish()
    }
}

#[test]
fn a_gibibyte_down_leaves_memory_flat() {
    let block = mebibyte();
    let upstream = Upstream::start(move |_, conn| {
        conn.try_send(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n"))?;
        for _ in 0..1024 {
            conn.try_send(&block)?;
        }
        Ok(Then::Keep)
    });
    let gateway = start(&upstream);
    assert_eq!(gateway.call(&Request::new("HEAD", "/warm")).status, 200);
    let before = process::memory_kib(gateway.pid(), "VmHWM");
    let mut conn = gateway.connect();
    conn.send(Request::get("/down").bytes());
    let head = conn.head();
    let mut tally = Tally::new();
    let (_, complete) = conn.body(&head, &mut |bytes| tally.add(bytes)).expect("a body");
    assert!(complete && head.one("content-length") == Some(&GIB.to_string()), "{head:?}");
    assert_eq!(tally.finish(), Tally::of_mebibytes(1024));
    let growth = process::memory_kib(gateway.pid(), "VmHWM") - before;
    assert!(growth < GROWTH_KIB, "the stream took {growth} KiB");
}

#[test]
fn a_gibibyte_up_leaves_memory_flat() {
    let upstream = Upstream::streaming(|seen, conn| {
        let mut tally = Tally::new();
        let (_, complete) = conn.body(&seen.head, &mut |bytes| tally.add(bytes))?;
        respond(conn, 200, "", format!("{complete} {}", tally.finish()))
    });
    let gateway = start(&upstream);
    assert_eq!(gateway.call(&Request::new("POST", "/warm").body(b"x")).status, 200);
    let before = process::memory_kib(gateway.pid(), "VmHWM");
    let mut conn = gateway.connect();
    conn.send(format!("POST /up HTTP/1.1\r\nHost: api.test\r\nContent-Length: {GIB}\r\n\r\n"));
    let block = mebibyte();
    for _ in 0..1024 {
        conn.send(&block);
    }
    assert_eq!(conn.response("POST").text(), format!("true {}", Tally::of_mebibytes(1024)));
    let growth = process::memory_kib(gateway.pid(), "VmHWM") - before;
    assert!(growth < GROWTH_KIB, "the stream took {growth} KiB");
}

#[test]
fn both_ways_at_once() {
    // Echoes each piece as it comes: the response begins long before the request ends.
    let upstream = Upstream::streaming(|seen, conn| {
        conn.try_send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let mut pieces = Vec::new();
        for _ in 0..3 {
            let bytes = conn.read_some()?;
            pieces.extend_from_slice(&bytes);
            conn.try_send(chunk(format!("got {}", bytes.len())))?;
        }
        assert!(seen.head.all("transfer-encoding") == ["chunked"]);
        conn.try_send(chunk(""))?;
        Ok(Then::Close)
    });
    let gateway = start(&upstream);
    let mut conn = gateway.connect();
    conn.send("POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for round in 0..3 {
        conn.send(chunk(vec![b'x'; 10 + round]));
        if round == 0 {
            assert_eq!(status_of(&conn.head()).expect("a status"), 200);
        }
        let mut text = String::new();
        while !text.contains("got") {
            let bytes = conn.read_some().expect("the answer to this piece, before the next is sent");
            assert!(!bytes.is_empty(), "closed in round {round}");
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

/// Events arrive one by one, each before the next is written.
#[test]
fn events_are_not_held_back() {
    let (sender, receiver) = std::sync::mpsc::sync_channel::<u32>(0);
    let receiver = std::sync::Mutex::new(receiver);
    let upstream = Upstream::start(move |_, conn| {
        conn.try_send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        while let Ok(number) = receiver.lock().expect("no panic while held").recv() {
            conn.try_send(chunk(format!("data: {number}\n\n")))?;
        }
        conn.try_send(chunk(""))?;
        Ok(Then::Keep)
    });
    let gateway = start(&upstream);
    let mut conn = gateway.connect();
    conn.send(Request::get("/events").field("Accept", "text/event-stream").bytes());
    let head = conn.head();
    assert_eq!(head.one("content-type"), Some("text/event-stream"), "the head comes before any event");
    for number in 0..5 {
        sender.send(number).expect("the upstream waits");
        let bytes = conn.read_some().expect("an event");
        assert!(String::from_utf8_lossy(&bytes).contains(&format!("data: {number}\n\n")), "event {number}");
    }
    drop(sender);
    let mut rest = Vec::new();
    while !rest.ends_with(b"0\r\n\r\n") {
        let bytes = conn.read_some().expect("the end of the body");
        assert!(!bytes.is_empty(), "closed before the last chunk");
        rest.extend_from_slice(&bytes);
    }
}

/// A client that does not read stops the upstream: nothing gathers between them.
#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let block = mebibyte();
    let upstream = Upstream::start(move |_, conn| {
        conn.patience(PATIENCE * 4);
        conn.try_send(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n"))?;
        for _ in 0..1024 {
            conn.try_send(&block)?;
            counter.fetch_add(block.len() as u64, Ordering::SeqCst);
        }
        Ok(Then::Keep)
    });
    let gateway = start(&upstream);
    let mut conn = gateway.connect();
    conn.send(Request::get("/down").bytes());
    conn.head();
    let stalled_at = eventually("the upstream stops", PATIENCE, || {
        let before = sent.load(Ordering::SeqCst);
        thread::sleep(Duration::from_millis(1500));
        let after = sent.load(Ordering::SeqCst);
        (after == before && after > 0 || after >= GIB).then_some(after)
    });
    // What the kernel's socket buffers on the way may hold, and a little of the gateway's own.
    assert!(stalled_at < 64 << 20, "{stalled_at} bytes were taken from the upstream for a client that does not read");
}

/// The same the other way: an upstream that does not read stops the client.
#[test]
fn an_upstream_that_does_not_read_stops_the_client() {
    let release = Arc::new(AtomicBool::new(false));
    let (gate, finished) = (Arc::clone(&release), Arc::clone(&release));
    let upstream = Upstream::streaming(move |_, _| {
        while !gate.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Then::Close)
    });
    let gateway = start(&upstream);
    let mut conn = gateway.connect();
    conn.send(format!("POST /up HTTP/1.1\r\nHost: api.test\r\nContent-Length: {GIB}\r\n\r\n"));
    conn.patience(Duration::from_millis(1500));
    let block = mebibyte();
    let taken = (0_u64..1024).take_while(|_| conn.try_send(&block).is_ok()).count();
    finished.store(true, Ordering::SeqCst);
    assert!(taken < 64, "{taken} MiB were taken from a client for an upstream that does not read");
}

#[test]
fn a_client_that_leaves_frees_the_upstream() {
    let upstream = Upstream::start(|_, conn| {
        conn.try_send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            conn.try_send(chunk("tick"))?;
            thread::sleep(Duration::from_millis(20));
        }
    });
    let gateway = start(&upstream);
    let mut conn = gateway.connect();
    conn.send(Request::get("/endless").bytes());
    conn.head();
    assert_eq!(upstream.open(), 1);
    conn.hang_up();
    gateway.until("the upstream's connection is closed", || (upstream.open() == 0).then_some(()));
    gateway.until("its line is logged", || (!gateway.access_log().is_empty()).then_some(()));
}

/// Nothing is written to it that would bounce: before the head of the response, and in a stream without events.
#[test]
fn a_client_that_leaves_in_silence_frees_the_upstream() {
    for begun in ["", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"] {
        let silent = Upstream::start(move |_, conn| {
            conn.try_send(begun)?;
            conn.patience(PATIENCE * 4);
            conn.read_some()?;
            Ok(Then::Close)
        });
        let gateway = start(&silent);
        let mut conn = gateway.connect();
        conn.send(Request::get("/silent").bytes());
        eventually("the request arrives", PATIENCE, || (silent.open() == 1).then_some(()));
        if !begun.is_empty() {
            conn.head();
        }
        conn.hang_up();
        gateway.until("the upstream's connection is closed", || (silent.open() == 0).then_some(()));
        gateway.until("its line is logged", || (!gateway.access_log().is_empty()).then_some(()));
    }
}

#[test]
fn an_upstream_that_dies_aborts_the_body_and_nothing_else() {
    let upstream = Upstream::start(|seen, conn| match seen.target.as_str() {
        "/length" => {
            conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")?;
            Ok(Then::Close)
        }
        "/chunked" => {
            conn.try_send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")?;
            Ok(Then::Close)
        }
        "/bad-chunk" => {
            conn.try_send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n")?;
            Ok(Then::Close)
        }
        _ => respond(conn, 200, "", "fine"),
    });
    let mut gateway = start(&upstream);
    for target in ["/length", "/chunked", "/bad-chunk"] {
        let answer = gateway.call(&Request::get(target));
        assert_eq!((answer.status, answer.complete), (200, false), "{target}: the client must notice");
        assert!("half".starts_with(&answer.text()), "{target}: {:?}", answer.text());
        assert_eq!(gateway.call(&Request::get("/next")).text(), "fine", "after {target}");
    }
    assert!(gateway.is_alive());
}

#[test]
fn faults_before_the_head_have_codes() {
    let upstream = Upstream::start(|seen, conn| match seen.target.as_str() {
        "/hang-up" => Ok(Then::Close),
        "/garbage" => {
            conn.try_send("SSH-2.0-OpenSSH_9.2\r\n\r\n")?;
            Ok(Then::Close)
        }
        "/half-a-head" => {
            conn.try_send("HTTP/1.1 200 OK\r\nContent-Le")?;
            Ok(Then::Close)
        }
        "/two-lengths" => {
            conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc")?;
            Ok(Then::Close)
        }
        "/huge-head" => {
            conn.try_send(format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(1 << 20)))?;
            Ok(Then::Close)
        }
        "/slow" => {
            thread::sleep(Duration::from_secs(3));
            respond(conn, 200, "", "late")
        }
        _ => respond(conn, 200, "", "fine"),
    });
    let extra = format!(
        "response_timeout = \"1s\"\n[upstreams.gone]\nservers = [\"http://{}\"]\n[[routes]]\npath = \"/gone\"\nupstream = \"gone\"\naccess = \"public\"\n",
        nobody()
    );
    let mut gateway = Gateway::start(&config(&upstream, &extra));
    let cases: [(&str, u16, &[&str]); 7] = [
        ("/gone", 502, &["upstream_unreachable"]),
        ("/hang-up", 502, &["upstream_unreachable", "upstream_protocol"]),
        ("/garbage", 502, &["upstream_protocol"]),
        ("/half-a-head", 502, &["upstream_unreachable", "upstream_protocol"]),
        ("/two-lengths", 502, &["upstream_protocol"]),
        ("/huge-head", 502, &["upstream_protocol"]),
        ("/slow", 504, &["upstream_timeout"]),
    ];
    for (target, status, codes) in cases {
        let answer = gateway.call(&Request::get(target));
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(codes.contains(&answer.code().as_str()), "{target}: {}", answer.text());
        assert!(!answer.text().contains("127.0.0.1"), "{target} tells callers addresses: {}", answer.text());
        assert_eq!(gateway.call(&Request::get("/next")).text(), "fine", "after {target}");
    }
    assert!(gateway.is_alive());
}

/// A kept connection that the upstream closed meanwhile is no fault of the next request.
#[test]
fn a_closed_kept_connection_is_not_the_clients_problem() {
    let upstream = Upstream::start(|_, conn| {
        respond(conn, 200, "", "once")?;
        Ok(Then::Close)
    });
    let gateway = start(&upstream);
    for round in 0..20 {
        let answer = gateway.call(&Request::get("/"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "once"), "round {round}");
        // Time for the close to come through: what crosses it on the way is another matter.
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(upstream.accepted(), 20);
}

#[test]
fn connections_to_the_upstream_are_kept() {
    let upstream = Upstream::echo();
    let gateway = start(&upstream);
    let mut conn = gateway.connect();
    for _ in 0..50 {
        assert_eq!(conn.call(&Request::get("/")).status, 200);
    }
    assert_eq!(upstream.accepted(), 1, "one client, one worker, one connection");
}

#[test]
fn servers_of_an_upstream_take_turns() {
    let (first, second) = (Upstream::echo(), Upstream::echo());
    let gateway = Gateway::start(&format!(
        "[upstreams.api]\nservers = [\"http://{}\", \"http://{}\"]\n[[routes]]\npath = \"/\"\nupstream = \"api\"\naccess = \"public\"\n",
        first.address, second.address
    ));
    let mut conn = gateway.connect();
    for _ in 0..10 {
        assert_eq!(conn.call(&Request::get("/")).status, 200);
    }
    assert_eq!((first.seen().len(), second.seen().len()), (5, 5));
}

#[test]
fn continue_is_asked_for_only_when_the_request_may_pass() {
    let upstream = Upstream::streaming(|seen, conn| {
        conn.try_send("HTTP/1.1 100 Continue\r\n\r\n")?;
        let mut body = Vec::new();
        conn.body(&seen.head, &mut |bytes| body.extend_from_slice(bytes))?;
        respond(conn, 200, "", body)
    });
    let extra = "[[routes]]\npath = \"/closed\"\nupstream = \"api\"\n[issuers.a]\nissuer = \"https://as.test\"\naudiences = [\"a\"]\njwks_file = \"keys.json\"\n";
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let jwks = serde_json::json!({"keys": [support::keys::Key::of(support::keys::Kind::P256, 0, "k").jwk()]});
    std::fs::write(folder.path().join("keys.json"), jwks.to_string()).expect("ours");
    let gateway = Gateway::listening_in(folder, &config(&upstream, extra));
    let head = |target: &str| {
        format!("POST {target} HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    };
    let mut conn = gateway.connect();
    conn.send(head("/open"));
    assert_eq!(status_of(&conn.head()).expect("a status"), 100);
    conn.send("hello");
    assert_eq!(conn.response("POST").text(), "hello");
    let mut conn = gateway.connect();
    conn.send(head("/closed"));
    assert_eq!(status_of(&conn.head()).expect("a status"), 401, "no 100 before the refusal");
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&config(&upstream, "[server.limits]\nmax_body_bytes = \"1KiB\"\n"));
    assert_eq!(gateway.call(&Request::new("POST", "/").body(&[b'x'; 1024])).status, 200);
    upstream.drain();
    let mut conn = gateway.connect();
    conn.send("POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1025\r\n\r\n");
    let answer = conn.response("POST");
    assert_eq!((answer.status, answer.code()), (413, "body_too_large".into()), "said before the body is sent");
    assert!(upstream.drain().is_empty(), "and the upstream does not hear of it");
    let mut conn = gateway.connect();
    conn.send("POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    // The refusal may come before all is sent.
    conn.try_send(chunk([b'x'; 1000])).and_then(|()| conn.try_send(chunk([b'x'; 1000]))).ok();
    conn.try_send(chunk("")).ok();
    let status = conn.try_response("POST").map(|answer| answer.status);
    assert!(matches!(status, Ok(413)), "{status:?}");
    assert!(upstream.drain().iter().all(|seen| seen.body.len() <= 1024));
    assert_eq!(gateway.call(&Request::get("/next")).status, 200);
}

#[test]
fn chunks_and_trailers_cross_both_ways() {
    let upstream = Upstream::start(|seen, conn| {
        let sum = seen.trailers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-sum")).map(|(_, v)| v.clone());
        conn.try_send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Back\r\n\r\n")?;
        conn.try_send(chunk(format!("{} {sum:?}", seen.body.len())))?;
        conn.try_send("0\r\nX-Back: yes\r\n\r\n")?;
        Ok(Then::Keep)
    });
    let gateway = start(&upstream);
    let mut conn = gateway.connect();
    conn.send(
        "POST / HTTP/1.1\r\nHost: api.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
    );
    conn.send([chunk("abc"), chunk("de"), b"0\r\nX-Sum: 9\r\n\r\n".to_vec()].concat());
    let answer = conn.response("POST");
    assert_eq!(answer.text(), "5 Some(\"9\")");
    assert!(answer.trailers.iter().any(|(name, value)| name.eq_ignore_ascii_case("x-back") && value == "yes"));
}

fn websocket_upstream() -> Upstream {
    Upstream::streaming(|seen, conn| {
        let key = seen.header("sec-websocket-key").unwrap_or_default();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        conn.try_send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: echo\r\n\r\n"
        ))?;
        let (tcp, early) = conn.detach()?;
        let role = tungstenite::protocol::Role::Server;
        let mut socket = tungstenite::WebSocket::from_partially_read(tcp, early, role, None);
        while let Ok(message) = socket.read() {
            if message.is_close() {
                socket.flush().ok();
                break;
            }
            if message.is_text() || message.is_binary() {
                socket.send(message).map_err(std::io::Error::other)?;
            }
        }
        Ok(Then::Close)
    })
}

fn upgrade(target: &str) -> Request {
    Request::get(target)
        .field("Connection", "keep-alive, Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .field("Sec-WebSocket-Protocol", "echo")
}

#[test]
fn a_websocket_echoes() {
    let upstream = websocket_upstream();
    let gateway = start(&upstream);
    let mut conn = gateway.connect();
    conn.send(upgrade("/ws").bytes());
    let answer = conn.response("GET");
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")), "{:?}", answer.head);
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.header("sec-websocket-protocol"), Some("echo"));
    let (tcp, early) = conn.detach().expect("a socket");
    let role = tungstenite::protocol::Role::Client;
    let mut socket = tungstenite::WebSocket::from_partially_read(tcp, early, role, None);
    for size in [0, 1, 125, 126, 65_536, 1 << 20] {
        let message = Message::binary(vec![7_u8; size]);
        socket.send(message.clone()).expect("the tunnel takes it");
        assert_eq!(socket.read().expect("the echo"), message, "{size} bytes");
    }
    socket.send(Message::text("zo\u{eb}")).expect("the tunnel takes it");
    assert_eq!(socket.read().expect("the echo").to_text().ok(), Some("zo\u{eb}"));
    socket.close(None).expect("a close frame");
    while socket.read().is_ok() {}
    gateway.until("the upstream's side is closed", || (upstream.seen().len() == 1).then_some(()));
    let seen = upstream.only();
    assert_eq!((seen.header("upgrade"), seen.header("sec-websocket-version")), (Some("websocket"), Some("13")));
    assert!(seen.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")), "{:?}", seen.head);
}

#[test]
fn a_websocket_ends_with_either_side() {
    let upstream = websocket_upstream();
    let gateway = start(&upstream);
    let open = process::open_files(gateway.pid());
    let mut conn = gateway.connect();
    conn.send(upgrade("/ws").bytes());
    assert_eq!(conn.response("GET").status, 101);
    conn.hang_up();
    gateway.until("both sockets are closed", || (process::open_files(gateway.pid()) <= open).then_some(()));
}

/// Only `websocket` is an upgrade; everything else is an ordinary request.
#[test]
fn other_upgrades_are_not_forwarded() {
    let upstream = Upstream::echo();
    let gateway = start(&upstream);
    for protocol in ["h2c", "TLS/1.0", "websocket2", "h2c, websocket"] {
        let request = Request::get("/").field("Connection", "Upgrade, HTTP2-Settings").field("Upgrade", protocol);
        let answer = gateway.call(&request.field("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"));
        let upgrades: Vec<Option<String>> =
            upstream.drain().iter().map(|seen| seen.header("upgrade").map(str::to_owned)).collect();
        assert!(answer.status != 101, "{protocol}");
        assert!(upgrades.iter().flatten().all(|value| value == "websocket"), "{protocol}: {upgrades:?}");
    }
}

/// What an upstream refuses to upgrade is an ordinary response.
#[test]
fn a_refused_upgrade_is_an_ordinary_response() {
    let upstream = Upstream::start(|_, conn| respond(conn, 426, "", "no"));
    let gateway = start(&upstream);
    let mut conn = gateway.connect();
    let answer = conn.call(&upgrade("/ws"));
    assert_eq!((answer.status, answer.text().as_str()), (426, "no"));
    assert_eq!(conn.call(&Request::get("/next")).status, 426, "the connection goes on in HTTP");
}

/// A 101 that nobody asked for is a broken answer.
#[test]
fn an_unasked_upgrade_is_refused() {
    let upstream = Upstream::start(|_, conn| {
        conn.try_send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")?;
        Ok(Then::Close)
    });
    let gateway = start(&upstream);
    let answer = gateway.call(&Request::get("/"));
    assert_eq!((answer.status, answer.code()), (502, "upstream_protocol".into()));
}

#[test]
fn many_slow_uploads_share_the_workers() {
    let upstream = Upstream::echo();
    let gateway = start(&upstream);
    let mut conns: Vec<Conn> = (0..100).map(|_| gateway.connect()).collect();
    for conn in &mut conns {
        conn.send("POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\n");
    }
    for byte in ["a", "b", "c"] {
        conns.iter_mut().for_each(|conn| conn.send(byte));
        assert_eq!(gateway.call(&Request::get("/meanwhile")).status, 200);
    }
    for conn in &mut conns {
        assert_eq!(conn.response("POST").json()["body"], 3);
    }
}
