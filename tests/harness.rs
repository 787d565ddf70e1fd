//! The harness tests itself: a suite is worth what its clients, upstreams and issuers notice.

mod support;

use std::io::Write;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation, decode};
use serde_json::{Value, json};
use support::client::{Conn, Request};
use support::issuer::{Answer, Issuer};
use support::keys::{Key, Kind};
use support::tls::{self, Identity};
use support::token::{AUDIENCE, Token};
use support::upstream::{self, Then, Upstream, respond};
use support::{h2, process, runtime};

#[test]
fn an_upstream_records_what_came_byte_for_byte() {
    let upstream = Upstream::echo();
    let mut conn = Conn::open(upstream.address);
    conn.send("POST /a/../b%2fc?x=%zz HTTP/1.1\r\nHoSt: x\r\nX_Y: 1\r\nx-y: 2\r\nTransfer-Encoding: chunked\r\nTrailer: t\r\n\r\n3\r\nabc\r\n0\r\nt: end\r\n\r\n");
    let answer = conn.response("POST");
    assert_eq!((answer.status, answer.json()["target"].as_str()), (200, Some("/a/../b%2fc?x=%zz")));
    let seen = upstream.only();
    assert_eq!(seen.head.fields[0], ("HoSt".to_owned(), "x".to_owned()));
    assert_eq!(seen.folded_names()[1..3], ["x-y", "x-y"]);
    assert_eq!((seen.body.as_slice(), seen.trailers.as_slice()), (&b"abc"[..], &[("t".into(), "end".into())][..]));
    assert_eq!(conn.call(&Request::get("/next")).status, 200, "the connection is kept");
    assert_eq!((upstream.only().connection, upstream.accepted(), upstream.open()), (0, 1, 1));
}

#[test]
fn a_stopped_upstream_refuses() {
    let upstream = Upstream::echo();
    let address = upstream.address;
    let mut conn = Conn::open(address);
    assert_eq!(conn.call(&Request::get("/")).status, 200);
    drop(upstream);
    assert!(conn.is_closed());
    support::eventually("the port is closed", support::PATIENCE, || Conn::try_open(address).is_err().then_some(()));
}

#[test]
fn a_response_is_read_strictly() {
    let cases: [(&str, Option<(&str, bool)>); 9] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", Some(("ab", true))),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", Some(("ab", false))),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nab", Some(("ab", true))),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", Some(("ab", true))),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", Some(("ab", false))),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", None),
        ("HTTP/1.1 200 OK\r\nno field\r\n\r\n", None),
        ("garbage\r\n\r\n", None),
    ];
    for (wire, expected) in cases {
        let listener = upstream::loopback();
        let address = listener.local_addr().expect("bound");
        let peer = std::thread::spawn(move || {
            let (mut tcp, _) = listener.accept().expect("a client");
            tcp.write_all(wire.as_bytes()).expect("a client that reads");
        });
        let response = Conn::open(address).try_response("GET").ok();
        peer.join().expect("no panic");
        let got = response.map(|response| (response.text(), response.complete));
        assert_eq!(got, expected.map(|(body, complete)| (body.to_owned(), complete)), "{wire:?}");
    }
}

#[test]
fn challenges_are_taken_apart() {
    let upstream = Upstream::start(|_, conn| {
        let fields = "WWW-Authenticate: DPoP algs=\"ES256\"\r\nWWW-Authenticate: Bearer realm=\"a \\\"b\\\"\", error=\"x, y\"\r\nContent-Type: application/problem+json\r\n";
        respond(conn, 401, fields, r#"{"code":"expired"}"#)
    });
    let answer = Request::get("/").send(upstream.address);
    assert_eq!(answer.bearer("realm").as_deref(), Some("a \"b\""));
    assert_eq!(answer.bearer("error").as_deref(), Some("x, y"));
    assert_eq!((answer.bearer("scope"), answer.code()), (None, "expired".to_owned()));
}

#[test]
fn our_tokens_satisfy_the_reference() {
    let algorithms = [
        (Kind::Rsa, "RS256"),
        (Kind::Rsa, "RS384"),
        (Kind::Rsa, "RS512"),
        (Kind::Rsa, "PS256"),
        (Kind::Rsa, "PS384"),
        (Kind::Rsa, "PS512"),
        (Kind::P256, "ES256"),
        (Kind::P384, "ES384"),
        (Kind::Ed25519, "EdDSA"),
    ];
    for (kind, alg) in algorithms {
        let key = Key::of(kind, 0, "k");
        let jwk: Jwk = serde_json::from_value(key.jwk()).expect("a JWK");
        let verify = DecodingKey::from_jwk(&jwk).expect("a key");
        let mut validation = Validation::new(alg.parse().expect("an algorithm"));
        validation.set_audience(&[AUDIENCE]);
        let token = Token::new("https://as.test", &key).alg(alg);
        let claims = decode::<Value>(token.sign(), &verify, &validation).expect(alg).claims;
        assert_eq!(claims["sub"], "alice", "{alg}");
        let (input, other) = (token.signing_input(), token.scope("more").sign());
        let swapped = format!("{input}.{}", other.rsplit('.').next().unwrap_or_default());
        assert!(decode::<Value>(swapped, &verify, &validation).is_err(), "{alg}: a signature of something else");
    }
}

#[test]
fn an_issuer_does_what_it_is_told() {
    let mut issuer = Issuer::start();
    let address = issuer.url.strip_prefix("http://").and_then(|rest| rest.parse().ok()).expect("an address");
    let get = |path: &str| Request::get(path).send(address);
    let discovery = get("/.well-known/openid-configuration").json();
    assert_eq!(
        (&discovery["issuer"], &discovery["jwks_uri"]),
        (&json!(issuer.url), &json!(format!("{}/jwks", issuer.url)))
    );
    assert_eq!(get("/jwks").json()["keys"][0]["kid"], "ec-1");
    issuer.publish(&[Key::of(Kind::Ed25519, 0, "ed-2"), issuer.key.clone()]);
    issuer.jwks_fields("Cache-Control: max-age=5\r\n");
    let rotated = get("/jwks");
    assert_eq!(
        (&rotated.json()["keys"][0]["kid"], rotated.header("cache-control")),
        (&json!("ed-2"), Some("max-age=5"))
    );
    issuer.jwks(Answer::Status(500));
    assert_eq!(get("/jwks").status, 500);
    issuer.jwks(Answer::Huge(1 << 20));
    assert!(get("/jwks").body.len() > 1 << 20);
    issuer.jwks(Answer::Trickle(Duration::from_micros(10)));
    assert_eq!(get("/jwks").json()["keys"][1]["kid"], "ec-1");
    assert_eq!(issuer.jwks_hits(), 5);
    issuer.stop();
    support::eventually("it refuses", support::PATIENCE, || Conn::try_open(address).is_err().then_some(()));
    issuer.restart();
    issuer.jwks(Answer::Good);
    assert_eq!(get("/jwks").status, 200);
}

#[test]
fn tls_peers_know_each_other() {
    let server = Identity::loopback("server");
    let config = server.server(&["h2", "http/1.1"], Some(tls::authority()));
    let upstream = Upstream::wrapped(move |tcp| tls::accept(tcp, &config), |_, conn| respond(conn, 200, "", "hi"));
    let client = tls::client(&["http/1.1"], Some(&Identity::loopback("client")));
    let (mut conn, shook) = tls::connect(upstream.address, "localhost", &client).expect("a handshake");
    assert_eq!((conn.call(&Request::get("/")).text(), shook.alpn.as_deref()), ("hi".to_owned(), Some("http/1.1")));
    assert_eq!(shook.server, server.der());
    let stranger = tls::connect(upstream.address, "localhost", &tls::client(&["http/1.1"], None));
    let refused = stranger.and_then(|(mut conn, _)| {
        conn.try_send(Request::get("/").bytes())?;
        conn.try_response("GET")
    });
    assert!(refused.is_err(), "a client without a certificate is refused");
}

#[test]
fn http2_peers_exchange_trailers() {
    let upstream = h2::Upstream::h2c();
    let read = runtime().block_on(async {
        let mut client = h2::Client::cleartext(upstream.address).await;
        let mut end = http::HeaderMap::new();
        end.insert("x-end", http::HeaderValue::from_static("1"));
        let body = h2::frames(vec![hyper::body::Frame::data("abc".into()), hyper::body::Frame::trailers(end)]);
        client.call(h2::request("POST", "/t", Some("tok")).body(body).expect("a request")).await
    });
    assert_eq!(
        (&read.body[..], read.trailers.map(|t| t["x-sum"].clone())),
        (&b"3"[..], Some("3".parse().expect("a value")))
    );
    let seen = upstream.seen().remove(0);
    assert_eq!(
        (seen.version, seen.body, seen.headers["authorization"].as_bytes()),
        (http::Version::HTTP_2, 3, &b"Bearer tok"[..])
    );
    assert_eq!(seen.trailers.map(|t| t["x-end"].clone()), Some("1".parse().expect("a value")));
}

#[test]
fn children_end_when_told_and_memory_is_read() {
    let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("sleep runs");
    assert!(process::memory_kib(child.id(), "VmHWM") > 0 && process::open_files(child.id()) >= 3);
    assert!(process::wait(&mut child, Duration::from_millis(50)).is_none());
    process::end(&mut child, Duration::from_secs(10));
    assert!(!process::signal(child.id(), "0"), "it is gone");
}

#[test]
fn scripts_may_die_in_the_middle() {
    let upstream = Upstream::start(|_, conn| {
        conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        Ok(Then::Close)
    });
    let answer = Request::get("/").send(upstream.address);
    assert_eq!((answer.text().as_str(), answer.complete), ("half", false));
}

#[test]
fn a_configuration_is_completed_only_where_it_is_silent() {
    let text = support::gateway::complete("[server]\nlisten = []\n");
    assert_eq!(text.matches("[server]").count(), 1);
    assert!(text.contains("[admin]") && text.contains("[log]"));
}
