//! HTTP/2 and TLS on both sides, and what a listener does to those who take too long, come too often or speak nonsense.

mod support;

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Frame;
use support::client::{Conn, HOST, Request};
use support::gateway::Gateway;
use support::issuer::Issuer;
use support::tls::{self, Authority, Identity, authority};
use support::upstream::{Upstream, respond};
use support::{PATIENCE, eventually, h2, process, runtime, uptime};

const ROUTES: &str = r#"
[[routes]]
name = "private"
path = "/private/{*rest}"
upstream = "api"

[[routes]]
name = "public"
path = "/public/{*rest}"
upstream = "api"
access = "public"
"#;

fn config(issuer: &Issuer, server: &str, upstream: &str) -> String {
    let head = format!("[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n{server}\n");
    [head, issuer.toml("acme"), upstream.to_owned(), ROUTES.to_owned()].join("\n")
}

fn upstream_at(url: &str) -> String {
    format!("[upstreams.api]\nservers = [\"{url}\"]\n")
}

fn start(server: &str, upstream: &str) -> (Issuer, Gateway) {
    let issuer = Issuer::start();
    let gateway = Gateway::start(&config(&issuer, server, upstream));
    (issuer, gateway)
}

/// A gateway with a TLS listener (and cleartext beside it).
fn start_tls(extra: &str, identity: &Identity, upstream: &str) -> (Issuer, Gateway) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (certificate, key) = identity.write(folder.path(), "server");
    std::fs::write(folder.path().join("clients.pem"), authority().pem()).expect("ours");
    let tls = format!(
        "[server.tls]\nlisten = [\"127.0.0.1:0\"]\ncertificate = {:?}\nprivate_key = {:?}\n{extra}",
        certificate.display().to_string(),
        key.display().to_string()
    );
    let issuer = Issuer::start();
    let gateway = Gateway::listening_in(folder, &config(&issuer, &tls, upstream));
    gateway.wait_ready();
    (issuer, gateway)
}

#[test]
fn cleartext_http2_with_prior_knowledge() {
    let upstream = Upstream::echo();
    let (issuer, gateway) = start("", &upstream.toml("api"));
    let token = issuer.token().sign();
    runtime().block_on(async {
        let mut client = h2::Client::cleartext(gateway.http()).await;
        let request = h2::request("POST", "/private/x?q=1", Some(&token)).body(h2::full("hello")).expect("a request");
        let answer = client.call(request).await;
        assert_eq!((answer.status.as_u16(), answer.version), (200, http::Version::HTTP_2));
        let request = h2::request("GET", "/private/x", None).body(h2::empty()).expect("a request");
        let refused = client.call(request).await;
        assert_eq!(refused.status.as_u16(), 401);
        assert!(refused.headers["www-authenticate"].to_str().expect("text").starts_with("Bearer "));
        // Many at once over one connection.
        let mut waiting = tokio::task::JoinSet::new();
        for n in 0..100 {
            let mut client = client.clone();
            let request = h2::request("GET", &format!("/private/{n}"), Some(&token)).body(h2::empty());
            waiting.spawn(async move { client.call(request.expect("a request")).await.status.as_u16() });
        }
        let statuses = waiting.join_all().await;
        assert_eq!(statuses, vec![200; 100]);
    });
    let seen = upstream.drain();
    assert_eq!((seen.len(), seen[0].target.as_str(), seen[0].body.as_slice()), (101, "/private/x?q=1", &b"hello"[..]));
    assert_eq!((seen[0].header("host"), seen[0].header("x-auth-subject")), (Some(HOST), Some("alice")));
    assert!(seen[0].header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")));
}

/// Fields that HTTP/1.1 and HTTP/2 could read differently, over HTTP/2.
#[test]
fn http2_requests_are_judged_like_others() {
    let upstream = Upstream::echo();
    let (_issuer, gateway) = start("", &upstream.toml("api"));
    type Fields = &'static [(&'static str, &'static str)];
    let cases: [(&str, &str, Fields, &[u16]); 8] = [
        ("a dot segment", "/public/../private/x", &[], &[400]),
        ("an encoded one", "/public/%2e%2e/private/x", &[], &[400]),
        ("another Host beside :authority", "/public/x", &[("host", "other.test")], &[400]),
        ("a forged identity", "/private/x", &[("x-auth-subject", "root"), ("x_auth_subject", "root")], &[401]),
        ("a forged path", "/private/x", &[("x-original-url", "/public/x")], &[401]),
        ("two credentials", "/private/x", &[("authorization", "Bearer a"), ("authorization", "Bearer b")], &[400]),
        ("an identity on a public route", "/public/x", &[("x-auth-subject", "root")], &[200]),
        ("cookies in pieces", "/public/x", &[("cookie", "a=1"), ("cookie", "b=2")], &[200]),
    ];
    runtime().block_on(async {
        let mut client = h2::Client::cleartext(gateway.http()).await;
        for (name, path, fields, statuses) in cases {
            let mut request = h2::request("GET", path, None);
            for (field, value) in fields {
                request = request.header(*field, *value);
            }
            let answer = client.call(request.body(h2::empty()).expect("a request")).await;
            assert!(statuses.contains(&answer.status.as_u16()), "{name}: {}", answer.status);
        }
    });
    let seen = upstream.drain();
    assert_eq!(seen.len(), 2, "only the two that passed");
    assert!(seen.iter().all(|seen| !seen.folded_names().contains(&"x-auth-subject".to_owned())));
    assert_eq!(seen[1].header("cookie"), Some("a=1; b=2"), "one field again (RFC 9113 section 8.2.3)");
}

#[test]
fn an_h2c_upstream_is_spoken_to_in_http2() {
    let upstream = h2::Upstream::h2c();
    let (issuer, gateway) = start("", &upstream_at(&format!("h2c://{}", upstream.address)));
    let token = issuer.token().sign();
    let plain = gateway.call(&Request::new("POST", "/private/x").bearer(&token).body(b"hello"));
    assert_eq!((plain.status, plain.text().as_str()), (200, "5"));
    let read = runtime().block_on(async {
        let mut client = h2::Client::cleartext(gateway.http()).await;
        let mut end = http::HeaderMap::new();
        end.insert("grpc-status", http::HeaderValue::from_static("0"));
        end.insert("x-auth-subject", http::HeaderValue::from_static("root"));
        let body = h2::frames(vec![Frame::data(Bytes::from_static(b"abc")), Frame::trailers(end)]);
        let request = h2::request("POST", "/private/grpc", Some(&token)).header("te", "trailers");
        client.call(request.body(body).expect("a request")).await
    });
    assert_eq!((read.status.as_u16(), &read.body[..]), (200, &b"3"[..]));
    assert_eq!(read.trailers.expect("trailers")["x-sum"], "3");
    let seen = upstream.seen();
    assert!(seen.iter().all(|seen| seen.version == http::Version::HTTP_2));
    assert_eq!(seen[0].uri.path(), "/private/x");
    assert_eq!(seen[0].headers["x-auth-subject"], "alice");
    let trailers = seen[1].trailers.clone().expect("trailers");
    assert!(trailers.contains_key("grpc-status") && !trailers.contains_key("x-auth-subject"), "{trailers:?}");
    assert!(!seen[0].headers.contains_key("connection") && !seen[0].headers.contains_key("transfer-encoding"));
}

#[test]
fn http2_streams_flow_and_stop() {
    let upstream = Upstream::start(|_, conn| {
        conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")?;
        let block = vec![1; 1 << 20];
        for _ in 0..64 {
            conn.try_send(&block)?;
        }
        Ok(support::upstream::Then::Keep)
    });
    let (_issuer, gateway) = start("", &upstream.toml("api"));
    runtime().block_on(async {
        let mut client = h2::Client::cleartext(gateway.http()).await;
        let request = |path: &str| h2::request("GET", path, None).body(h2::empty()).expect("a request");
        // A stream that nobody reads does not hold the others up.
        let unread = client.send(request("/public/unread")).await.expect("a head");
        let read = client.call(request("/public/read")).await;
        assert_eq!((read.status.as_u16(), read.body.len()), (200, 64 << 20));
        drop(unread);
    });
    gateway.until("the stream that was dropped frees its upstream", || {
        (gateway.metric("tollgate_requests_total", &["route=\"public\""]) >= 2.0).then_some(())
    });
}

#[test]
fn tls_speaks_both_protocols() {
    let upstream = Upstream::echo();
    let identity = Identity::loopback("gateway");
    let (issuer, gateway) = start_tls("", &identity, &upstream.toml("api"));
    let token = issuer.token().sign();
    let client = tls::client(&["http/1.1"], None);
    let (mut conn, shook) = tls::connect(gateway.https(), "localhost", &client).expect("a handshake");
    assert_eq!((shook.alpn.as_deref(), &shook.server), (Some("http/1.1"), &identity.der()));
    assert_eq!(conn.call(&Request::get("/private/x").bearer(&token)).status, 200);
    assert_eq!(conn.call(&Request::get("/private/x")).status, 401);
    assert_eq!(upstream.only().header("x-forwarded-proto"), Some("https"));
    let (mut conn, shook) = tls::connect(gateway.https(), "localhost", &tls::client(&[], None)).expect("a handshake");
    assert_eq!((shook.alpn, conn.call(&Request::get("/public/x")).status), (None, 200), "without ALPN: HTTP/1.1");
    upstream.drain();
    let read = runtime().block_on(async {
        let mut client = h2::Client::tls(gateway.https(), tls::client(&["h2"], None)).await;
        client.call(h2::request("GET", "/private/x", Some(&token)).body(h2::empty()).expect("a request")).await
    });
    assert_eq!((read.status.as_u16(), upstream.only().header("x-forwarded-proto")), (200, Some("https")));
    assert_eq!(gateway.call(&Request::get("/public/x")).status, 200, "cleartext beside it");
}

#[test]
fn cleartext_on_a_tls_port_is_refused() {
    let upstream = Upstream::echo();
    let (_issuer, gateway) = start_tls("", &Identity::loopback("gateway"), &upstream.toml("api"));
    let mut conn = Conn::open(gateway.https());
    conn.send(Request::get("/public/x").bytes());
    let answered = conn.try_head().is_ok_and(|head| head.is_some_and(|head| head.start.contains("200")));
    assert!(!answered && upstream.drain().is_empty());
    let client = tls::client(&["http/1.1"], None);
    let (mut conn, _) = tls::connect(gateway.https(), "localhost", &client).expect("a handshake");
    assert_eq!(conn.call(&Request::get("/public/x")).status, 200);
}

#[test]
fn client_certificates_are_demanded() {
    let upstream = Upstream::echo();
    let extra = "client_ca = \"clients.pem\"\n";
    let (_issuer, gateway) = start_tls(extra, &Identity::loopback("gateway"), &upstream.toml("api"));
    let stranger = Authority::new("A stranger").identity("client", &["client"]);
    let known = Identity::loopback("client");
    for (name, identity, passes) in
        [("none", None, false), ("strange", Some(&stranger), false), ("known", Some(&known), true)]
    {
        let client = tls::client(&["http/1.1"], identity);
        let outcome = tls::connect(gateway.https(), "localhost", &client).and_then(|(mut conn, _)| {
            conn.try_send(Request::get("/public/x").bytes())?;
            conn.try_response("GET")
        });
        let status = outcome.as_ref().map(|answer| answer.status).ok();
        assert_eq!(status, passes.then_some(200), "{name}: {outcome:?}");
        assert_eq!(upstream.drain().len(), usize::from(passes), "{name}");
    }
}

#[test]
fn https_upstreams_are_verified() {
    let stranger = Authority::new("A stranger").identity("upstream", &["127.0.0.1"]);
    let wrong_name = authority().identity("upstream", &["orders.example"]);
    let good = Identity::loopback("upstream");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority().pem()).expect("ours");
    let trust = format!("ca_file = {:?}\n", ca.display().to_string());
    let cases = [
        ("good", &good, trust.as_str(), 200),
        ("not trusted", &good, "", 502),
        ("strange", &stranger, &trust, 502),
        ("wrong name", &wrong_name, &trust, 502),
    ];
    for (name, identity, trust, status) in cases {
        let server = identity.server(&["http/1.1"], None);
        let upstream = Upstream::wrapped(move |tcp| tls::accept(tcp, &server), |_, conn| respond(conn, 200, "", "ok"));
        let (_issuer, gateway) = start("", &(upstream_at(&format!("https://{}", upstream.address)) + trust));
        let answer = gateway.call(&Request::get("/public/x"));
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(upstream.drain().len(), usize::from(status == 200), "{name}");
    }
}

#[test]
fn https_upstreams_are_spoken_to_by_alpn() {
    let identity = Identity::loopback("upstream");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority().pem()).expect("ours");
    for (alpn, version) in [(vec!["h2", "http/1.1"], http::Version::HTTP_2), (vec!["http/1.1"], http::Version::HTTP_11)]
    {
        let upstream = h2::Upstream::tls(identity.server(&alpn, None));
        let url = upstream_at(&format!("https://{}", upstream.address));
        let (_issuer, gateway) = start("", &format!("{url}ca_file = {:?}\n", ca.display().to_string()));
        for _ in 0..3 {
            assert_eq!(gateway.call(&Request::new("POST", "/public/x").body(b"abc")).text(), "3", "{alpn:?}");
        }
        assert!(upstream.seen().iter().all(|seen| seen.version == version), "{alpn:?}: {:?}", upstream.seen());
        assert!(upstream.accepted() <= 2, "{alpn:?}: kept per worker, {} were opened", upstream.accepted());
    }
}

/// Clients that begin and do not go on, in every phase of a connection.
#[test]
fn those_who_take_too_long_are_closed() {
    let upstream = Upstream::echo();
    let limits = "[server.limits]\nheader_timeout = \"1s\"\nidle_timeout = \"2s\"\n";
    let identity = Identity::loopback("gateway");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (certificate, key) = identity.write(folder.path(), "server");
    let tls = format!(
        "[server.tls]\nlisten = [\"127.0.0.1:0\"]\ncertificate = {:?}\nprivate_key = {:?}\n",
        certificate.display().to_string(),
        key.display().to_string()
    );
    let issuer = Issuer::start();
    let gateway = Gateway::start(&config(&issuer, &(limits.to_owned() + &tls), &upstream.toml("api")));
    let beginnings: [(&str, &[u8]); 6] = [
        ("nothing", b""),
        ("a part of a request line", b"GET /pub"),
        ("a part of a head", b"GET /public/x HTTP/1.1\r\nHost: api.test\r\nX-A"),
        ("a part of the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nS"),
        ("one byte that may become either", b"P"),
        ("the HTTP/2 preface alone", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ];
    let closes = |name: &str, mut conn: Conn| {
        conn.patience(PATIENCE);
        // A bare 408 may come first.
        let start = uptime();
        while !conn.is_closed() {
            assert!(uptime() - start < PATIENCE, "{name}: still open");
        }
    };
    thread::scope(|scope| {
        for (name, bytes) in beginnings {
            let mut conn = gateway.connect();
            conn.send(bytes);
            scope.spawn(move || closes(name, conn));
        }
        scope.spawn(|| closes("a TLS handshake that never comes", Conn::open(gateway.https())));
        scope.spawn(|| {
            let mut conn = gateway.connect();
            assert_eq!(conn.call(&Request::get("/public/x")).status, 200);
            closes("idle after a request", conn);
        });
        scope.spawn(|| {
            // One byte at a time is no excuse: the whole head has its time.
            let mut conn = gateway.connect();
            let bytes = Request::get(&format!("/public/{}", "a".repeat(200))).bytes();
            let sent = bytes.iter().take_while(|byte| {
                thread::sleep(Duration::from_millis(100));
                conn.try_send([**byte]).is_ok()
            });
            assert!(sent.count() < bytes.len(), "a head that took 20 s was waited for");
        });
    });
    assert!(upstream.drain().len() == 1, "only the one whole request arrived");
    assert_eq!(gateway.call(&Request::get("/public/x")).status, 200);
}

/// The first bytes decide between the protocols, however they are cut.
#[test]
fn a_preface_may_come_byte_by_byte() {
    let upstream = Upstream::echo();
    let (_issuer, gateway) = start("", &upstream.toml("api"));
    let mut conn = gateway.connect();
    // The preface and an empty SETTINGS frame.
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
        conn.send([*byte]);
        thread::sleep(Duration::from_millis(2));
    }
    let answer = conn.read_some().expect("the server's SETTINGS");
    assert_eq!(answer.get(3), Some(&4), "a SETTINGS frame: {answer:?}");
    let mut conn = gateway.connect();
    for byte in Request::new("PROPFIND", "/public/x").bytes() {
        conn.send([byte]);
    }
    assert_eq!(conn.response("PROPFIND").status, 200, "begins with P as well");
    let mut conn = gateway.connect();
    conn.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    assert!(conn.try_response("PRI").is_ok_and(|answer| answer.status >= 400) || conn.is_closed());
}

#[test]
fn connections_are_limited() {
    let upstream = Upstream::echo();
    let (_issuer, gateway) = start("[server.limits]\nmax_connections = 8\n", &upstream.toml("api"));
    let mut held: Vec<Conn> = (0..8).map(|_| gateway.connect()).collect();
    for conn in &mut held {
        assert_eq!(conn.call(&Request::get("/public/x")).status, 200);
    }
    // The ninth is closed, refused or left waiting; it is not served.
    let ninth = Conn::try_open(gateway.http()).and_then(|mut conn| {
        conn.patience(Duration::from_secs(1));
        conn.try_send(Request::get("/public/ninth").bytes())?;
        conn.try_response("GET")
    });
    assert!(!ninth.is_ok_and(|answer| answer.status == 200), "a ninth connection was served");
    assert_eq!(gateway.admin_page("/healthz").status, 200, "the admin listener is apart");
    for conn in &mut held {
        assert_eq!(conn.call(&Request::get("/public/x")).status, 200, "those who were there go on");
    }
    held.into_iter().for_each(Conn::hang_up);
    eventually("places are free again", PATIENCE, || {
        let mut conn = Conn::try_open(gateway.http()).ok()?;
        conn.patience(Duration::from_secs(1));
        conn.try_send(Request::get("/public/x").bytes()).ok()?;
        conn.try_response("GET").ok().filter(|answer| answer.status == 200)
    });
}

/// Thousands of tiny cookie fields compress to almost nothing on the wire and must not become much in memory.
#[test]
fn a_header_bomb_is_refused() {
    let upstream = Upstream::echo();
    let (_issuer, mut gateway) = start("", &upstream.toml("api"));
    let before = process::memory_kib(gateway.pid(), "VmHWM");
    runtime().block_on(async {
        let mut client = h2::Client::cleartext(gateway.http()).await;
        let mut request = h2::request("GET", "/public/x", None);
        for _ in 0..10_000 {
            request = request.header("cookie", "a=bcdefghijklmnop");
        }
        let refused = client.send(request.body(h2::empty()).expect("a request")).await;
        assert!(!refused.is_ok_and(|answer| answer.status().is_success()), "10,000 fields passed");
    });
    assert!(upstream.drain().is_empty() && gateway.is_alive());
    let growth = process::memory_kib(gateway.pid(), "VmHWM") - before;
    assert!(growth < 32 * 1024, "{growth} KiB");
    assert_eq!(gateway.call(&Request::get("/public/x")).status, 200);
}

/// Noise instead of a protocol: connections end, the gateway does not.
#[test]
fn noise_is_survived() {
    let upstream = Upstream::echo();
    let (_issuer, mut gateway) = start_tls("", &Identity::loopback("gateway"), &upstream.toml("api"));
    let noise: Vec<Vec<u8>> = vec![
        vec![0; 4096],
        vec![0xff; 4096],
        b"\x16\x03\x01\xff\xff\x01".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"GET".repeat(2000),
        b"\r\n\r\n\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n:\r\n\r\n".to_vec(),
    ];
    for bytes in &noise {
        for address in [gateway.http(), gateway.https(), gateway.admin()] {
            let mut conn = Conn::open(address);
            conn.patience(Duration::from_millis(500));
            // It may be closed while we write.
            conn.try_send(bytes).ok();
            conn.finish_sending();
            conn.try_head().ok();
        }
    }
    assert!(gateway.is_alive() && upstream.drain().is_empty());
    assert_eq!(gateway.call(&Request::get("/public/x")).status, 200);
}

#[test]
fn max_headers_holds_for_http2_too() {
    let upstream = Upstream::echo();
    let (_issuer, gateway) = start("[server.limits]\nmax_headers = 20", &upstream.toml("api"));
    runtime().block_on(async {
        let mut client = h2::Client::cleartext(gateway.http()).await;
        for (name, count, status) in [("x-a", 15, 200), ("x-a", 25, 431), ("cookie", 200, 200)] {
            let mut request = h2::request("GET", "/public/x", None);
            for number in 0..count {
                request = request.header(name, format!("a={number}"));
            }
            let answer = client.call(request.body(h2::empty()).expect("a request")).await;
            assert_eq!(answer.status, status, "{count} x {name}");
            if status == 431 {
                assert!(String::from_utf8_lossy(&answer.body).contains("\"headers_too_large\""), "{answer:?}");
            }
        }
    });
    assert_eq!(upstream.seen().len(), 2, "the refused one did not arrive");
}
