//! Tokens that come elsewhere than in `Authorization`: in a query parameter, as a WebSocket subprotocol, in another
//! application's cookie. Taken only on routes that say so, one at a time, gone from their place before anything is
//! forwarded, and never in a log.

mod support;

use serde_json::json;
use support::client::{Request, Response};
use support::gateway::{Gateway, run};
use support::issuer::Issuer;
use support::keys::b64;
use support::report;
use support::upstream::{Seen, Then, Upstream, respond};

const SUBPROTOCOL: &str = "base64url.bearer.authorization.k8s.io";

const ROUTES: &str = r#"
[[routes]]
name = "query"
path = "/query/{*rest}"
upstream = "api"
scopes = ["read"]
token_from = { query = "access_token" }

[[routes]]
name = "drop"
path = "/drop/{*rest}"
upstream = "api"
credential = "drop"
token_from = { query = "t", cookie = "jwt", subprotocol = "base64url.bearer.authorization.k8s.io" }

[[routes]]
name = "ws"
path = "/ws/{*rest}"
upstream = "api"
token_from = { subprotocol = "base64url.bearer.authorization.k8s.io" }

[[routes]]
name = "cookie"
path = "/cookie/{*rest}"
upstream = "api"
token_from = { cookie = "jwt", cookie_origins = ["https://app.test"] }

[[routes]]
name = "optional"
path = "/optional/{*rest}"
upstream = "api"
access = "optional"
token_from = { query = "access_token" }

[[routes]]
name = "plain"
path = "/plain/{*rest}"
upstream = "api"
"#;

struct World {
    issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
}

impl World {
    fn start() -> Self {
        Self::over(Upstream::echo(), "access = \"json\"\nsubject = \"plain\"")
    }

    fn over(upstream: Upstream, log: &str) -> Self {
        let issuer = Issuer::start();
        let log = format!("[log]\n{log}\n");
        let gateway = Gateway::start(&[&log, &*issuer.toml("acme"), &upstream.toml("api"), ROUTES].join("\n"));
        Self { issuer, upstream, gateway }
    }

    fn token(&self) -> String {
        self.issuer.token().claim("scope", json!("read")).sign()
    }

    /// What the upstream gets of this request, which has to pass.
    #[track_caller]
    fn forward(&self, request: &Request) -> (Response, Seen) {
        let answer = self.gateway.call(request);
        assert_eq!(answer.status, 200, "{} {}: {}", request.method, request.target, answer.text());
        (answer, self.upstream.only())
    }
}

/// The subprotocols of a handshake, with a token among them.
fn offer(token: &str) -> String {
    format!("chat.v1, {SUBPROTOCOL}.{}, chat.v2", b64(token))
}

fn handshake(target: &str) -> Request {
    Request::get(target)
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// Answers every handshake with this subprotocol, or with none.
fn websockets(chosen: Option<&'static str>) -> Upstream {
    Upstream::start(move |seen, conn| {
        if seen.header("upgrade").is_none() {
            return respond(conn, 200, "", "");
        }
        let chosen = chosen.map(|chosen| format!("Sec-WebSocket-Protocol: {chosen}\r\n")).unwrap_or_default();
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        conn.try_send(format!("{head}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{chosen}\r\n"))?;
        Ok(Then::Close)
    })
}

#[test]
fn a_token_is_taken_from_where_the_route_says_and_from_nowhere_else() {
    let world = World::start();
    let token = world.token();
    let offer = offer(&token);
    let query = |path: &str, name: &str| Request::get(&format!("{path}?a=1&{name}={token}&b=2"));
    let cookie = |path: &str| Request::get(path).field("Cookie", &format!("a=b; jwt={token}"));
    let protocol = |path: &str| Request::get(path).field("Sec-WebSocket-Protocol", &offer);
    let cases: Vec<(&str, Request, &str)> = vec![
        ("the query", query("/query/x", "access_token"), "allow"),
        ("the query, escaped", query("/query/x", "access%5Ftoken"), "allow"),
        ("the query, another name", query("/query/x", "t"), "no_credential"),
        ("the query of a POST", Request::new("POST", &format!("/query/x?access_token={token}")), "allow"),
        ("a subprotocol", protocol("/ws/x"), "allow"),
        ("a cookie", cookie("/cookie/x"), "allow"),
        ("one of three", query("/drop/x", "t"), "allow"),
        ("another of three", cookie("/drop/x"), "allow"),
        ("the third", protocol("/drop/x"), "allow"),
        ("Authorization, as ever", Request::get("/cookie/x").bearer(&token), "allow"),
        ("nothing on an optional route", Request::get("/optional/x?access_tokens=x"), "allow"),
        ("the query of a plain route", query("/plain/x", "access_token"), "no_credential"),
        ("a subprotocol on a plain route", protocol("/plain/x"), "no_credential"),
        ("a cookie on a plain route", cookie("/plain/x"), "no_credential"),
        ("a cookie on a route with the query", cookie("/query/x"), "no_credential"),
        ("rubbish in the query", Request::get("/query/x?access_token=rubbish"), "malformed_token"),
        ("rubbish on an optional route", Request::get("/optional/x?access_token=rubbish"), "malformed_token"),
        ("nothing in the parameter", Request::get("/query/x?access_token="), "bad_credential_syntax"),
        (
            "the parameter twice",
            query("/query/x", &format!("access_token={token}&access_token")),
            "bad_credential_syntax",
        ),
        ("the query and Authorization", query("/query/x", "access_token").bearer(&token), "bad_credential_syntax"),
        (
            "the query and Basic",
            query("/query/x", "access_token").field("Authorization", "Basic YTpi"),
            "bad_credential_syntax",
        ),
        ("a cookie and Authorization", cookie("/cookie/x").bearer(&token), "bad_credential_syntax"),
        ("a cookie and access_token", cookie(&format!("/cookie/x?access_token={token}")), "bad_credential_syntax"),
        ("the cookie twice", cookie("/cookie/x").field("Cookie", "jwt=x"), "bad_credential_syntax"),
        ("a cookie and the query", cookie(&format!("/drop/x?t={token}")), "bad_credential_syntax"),
        (
            "a cookie and a subprotocol",
            cookie("/drop/x").field("Sec-WebSocket-Protocol", &offer),
            "bad_credential_syntax",
        ),
        (
            "the token as the only subprotocol",
            Request::get("/ws/x").field("Sec-WebSocket-Protocol", &format!("{SUBPROTOCOL}.{}", b64(&token))),
            "bad_credential_syntax",
        ),
    ];
    let mut failures = Vec::new();
    for (name, request, expected) in &cases {
        failures.extend(world.upstream.misjudged(name, &world.gateway.call(request), expected));
    }
    report(cases.len(), &failures);
}

#[test]
fn what_goes_up_has_the_token_in_authorization_or_not_at_all() {
    let world = World::start();
    let token = world.token();
    let bearer = format!("Bearer {token}");
    let everything = |seen: &Seen| format!("{} {:?}", seen.target, seen.head.fields);

    let (_, seen) = world.forward(&Request::get(&format!("/query/a%20b?x=%7E&access_token={token}&&y")));
    assert_eq!((&*seen.target, seen.header("authorization")), ("/query/a%20b?x=%7E&&y", Some(&*bearer)));
    let (_, seen) = world.forward(&Request::get(&format!("/query/x?access_token={token}")));
    assert_eq!(seen.target, "/query/x");
    let (_, seen) = world.forward(&Request::get("/ws/x").field("Sec-WebSocket-Protocol", &offer(&token)));
    assert_eq!(seen.head.all("sec-websocket-protocol"), ["chat.v1, chat.v2"]);
    assert_eq!(seen.header("authorization"), Some(&*bearer));
    let (_, seen) = world.forward(&Request::get("/cookie/x").field("Cookie", &format!("a=b; jwt={token}; c=d")));
    assert_eq!((seen.header("cookie"), seen.header("authorization")), (Some("a=b; c=d"), Some(&*bearer)));

    let cookie = Request::get("/drop/x?y").field("Cookie", &format!("jwt={token}"));
    let protocol = Request::get("/drop/x?y").field("Sec-WebSocket-Protocol", &offer(&token));
    for request in [Request::get(&format!("/drop/x?t={token}&y")), cookie, protocol] {
        let (_, seen) = world.forward(&request);
        let signature = token.rsplit('.').next().expect("a JWT");
        assert_eq!(seen.target, "/drop/x?y");
        assert_eq!(seen.header("x-auth-subject"), Some("alice"));
        for hidden in [signature, &b64(&token)] {
            assert!(!everything(&seen).contains(hidden), "{}", everything(&seen));
        }
    }
}

#[test]
fn an_answer_to_a_token_from_elsewhere_is_private() {
    let world = World::over(
        Upstream::start(|_, conn| respond(conn, 200, "Cache-Control: public, max-age=60\r\n", "x")),
        "access = \"off\"",
    );
    let token = world.token();
    let answer = world.gateway.call(&Request::get(&format!("/query/x?access_token={token}")));
    assert_eq!(
        (answer.header("cache-control"), answer.header("referrer-policy")),
        (Some("private"), Some("no-referrer"))
    );
    let answer = world.gateway.call(&Request::get("/cookie/x").field("Cookie", &format!("jwt={token}")));
    assert_eq!((answer.header("cache-control"), answer.header("referrer-policy")), (Some("private"), None));
    let answer = world.gateway.call(&Request::get("/query/x").bearer(&token));
    assert_eq!((answer.header("cache-control"), answer.header("referrer-policy")), (Some("public, max-age=60"), None));
}

#[test]
fn a_cookie_opens_nothing_to_other_sites() {
    let world = World::start();
    let token = world.token();
    let with = |method: &str, fields: &[(&str, &str)]| {
        let request = Request::new(method, "/cookie/x").field("Cookie", &format!("jwt={token}"));
        fields.iter().fold(request, |request, (name, value)| request.field(name, value))
    };
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    let own = "http://api.test";
    let cases: Vec<(Request, &str)> = vec![
        (with("POST", &[]), "allow"),
        (with("POST", &[("Sec-Fetch-Site", "same-origin"), ("Origin", "http://whatever.test")]), "allow"),
        (with("POST", &[("Origin", own)]), "allow"),
        (with("POST", &[("Origin", "https://app.test"), ("Sec-Fetch-Site", "cross-site")]), "allow"),
        (with("GET", &[("Origin", "https://evil.test"), ("Sec-Fetch-Site", "cross-site")]), "allow"),
        (with("POST", &[("Origin", "https://evil.test")]), "cross_site"),
        (with("POST", &[("Origin", "null")]), "cross_site"),
        (with("POST", &[("Origin", "https://api.test")]), "cross_site"),
        (with("POST", &[("Origin", "http://api.test:81")]), "cross_site"),
        (with("POST", &[("Origin", "http://api.test:81")]).host("api.test:81"), "allow"),
        (with("POST", &[("Origin", own)]).host("api.test:81"), "cross_site"),
        (with("POST", &[("Sec-Fetch-Site", "same-site")]), "cross_site"),
        (with("DELETE", &[("Sec-Fetch-Site", "cross-site"), ("Origin", own)]), "cross_site"),
        (with("POST", &[("Origin", "https://app.test"), ("Origin", "https://evil.test")]), "cross_site"),
        (with("GET", &[upgrade[0], upgrade[1], ("Origin", "https://evil.test")]), "cross_site"),
        (with("GET", &[upgrade[0], upgrade[1], ("Origin", own)]), "allow"),
        // What no browser adds by itself is not subject to it.
        (Request::new("POST", "/cookie/x").bearer(&token).field("Origin", "https://evil.test"), "allow"),
    ];
    let mut failures = Vec::new();
    for (request, expected) in &cases {
        let name = format!("{:?}", request.fields);
        failures.extend(world.upstream.misjudged(&name, &world.gateway.call(request), expected));
    }
    report(cases.len(), &failures);
}

#[test]
fn a_bound_token_is_worth_nothing_without_its_proof_wherever_it_comes() {
    let world = World::start();
    let bound = world.issuer.token().claim("cnf", json!({"jkt": b64([7; 32])})).sign();
    for request in [
        Request::get(&format!("/drop/x?t={bound}")),
        Request::get("/drop/x").field("Cookie", &format!("jwt={bound}")),
        Request::get("/drop/x").field("Sec-WebSocket-Protocol", &offer(&bound)),
    ] {
        assert_eq!(world.gateway.call(&request).code(), "bad_binding", "{:?}", request.fields);
    }
    assert!(world.upstream.drain().is_empty());
}

#[test]
fn a_websocket_is_opened_with_a_token_among_its_subprotocols() {
    let chosen = [
        (None, 101),
        (Some("chat.v2"), 101),
        (Some("chat.v1, chat.v2"), 502),
        (Some("chat.v3"), 502),
        (Some("k8s"), 502),
    ];
    for (chosen, status) in chosen {
        let world = World::over(websockets(chosen), "access = \"off\"");
        let token = world.token();
        let answer = world.gateway.call(&handshake("/ws/x").field("Sec-WebSocket-Protocol", &offer(&token)));
        assert_eq!(answer.status, status, "{chosen:?}");
        let expected = chosen.filter(|_| status == 101);
        assert_eq!(answer.header("sec-websocket-protocol"), expected);
        if status == 502 {
            assert_eq!(answer.code(), "upstream_protocol");
        }
        assert_eq!(world.upstream.only().head.all("sec-websocket-protocol"), ["chat.v1, chat.v2"]);
    }
    // The token's own entry cannot be chosen either: the upstream never saw it.
    let entry: &'static str = format!("{SUBPROTOCOL}.{}", b64("abc")).leak();
    let world = World::over(websockets(Some(entry)), "access = \"off\"");
    let request = handshake("/ws/x").field("Sec-WebSocket-Protocol", &offer(&world.token()));
    assert_eq!(world.gateway.call(&request).code(), "upstream_protocol");
}

/// Every path on which a request is written about: answered, refused, forwarded to nobody, refused by the upstream.
#[test]
fn no_log_at_any_level_shows_a_token() {
    for level in ["error", "warn", "info", "debug", "trace"] {
        let log = format!("access = \"json\"\nlevel = \"{level}\"");
        let mut world = World::over(websockets(Some("chat.v3")), &log);
        let (token, other) = (world.token(), world.issuer.token().claim("exp", support::now() - 3600).sign());
        let send = |world: &World, token: &str| {
            [
                Request::get(&format!("/query/x?access_token={token}")),
                Request::get(&format!("/query/x?access_token={token}&access_token={token}")),
                Request::get(&format!("/query/x?access_token={token}")).field("Accept", "text/html"),
                Request::get(&format!("/plain/x?access_token={token}")),
                Request::get(&format!("/nowhere?access_token={token}")),
                Request::get(&format!("/query/%2e%2e/plain?access_token={token}")),
                Request::get(&format!("http://api.test/query/x?access_token={token}")),
                Request::get("/cookie/x").field("Cookie", &format!("jwt={token}")),
                handshake("/ws/x").field("Sec-WebSocket-Protocol", &offer(token)),
                handshake(&format!("/query/x?access_token={token}")),
            ]
            .map(|request| world.gateway.call(&request))
        };
        let mut answers: Vec<Response> = [send(&world, &token), send(&world, &other)].into_iter().flatten().collect();
        assert!(answers.iter().any(|answer| answer.status == 200), "some reach the upstream");
        let requests = answers.len() * 3 / 2;
        world.upstream = Upstream::echo();
        answers.extend(send(&world, &token));
        assert!(answers.iter().any(|answer| answer.status == 502), "some find nobody there");
        world.gateway.until("all are logged", || (world.gateway.access_log().len() >= requests).then_some(()));
        let mut shown: String = answers.iter().map(|answer| format!("{:?} {}\n", answer.head, answer.text())).collect();
        shown.push_str(&world.gateway.logs());
        for token in [&token, &other] {
            let signature = token.rsplit('.').next().expect("a JWT");
            for hidden in [signature, &token[..60], &b64(token)[20..80]] {
                let line = shown.lines().find(|line| line.contains(hidden));
                assert_eq!(line, None, "at {level}");
            }
        }
    }
}

#[test]
fn the_metadata_and_the_effective_rule_tell_of_the_places() {
    let world = World::start();
    let file = world.gateway.folder().join("tollgate.toml");
    let path = file.to_str().expect("a plain path");
    let output = run(&["check", "--effective", "--config", path]);
    let text = String::from_utf8_lossy(&output.stdout);
    for line in ["token_from.query", "token_from.subprotocol", "token_from.cookie"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let config = world.gateway.admin_page("/config").text();
    assert!(config.contains("cookie_origins"), "{config}");

    let gateway = Gateway::start(
        &[
            &*world.issuer.toml("acme"),
            &world.upstream.toml("api"),
            &ROUTES.replace("upstream", "resource = \"https://api.test\"\nupstream"),
        ]
        .join("\n"),
    );
    let document = gateway.call(&Request::get("/.well-known/oauth-protected-resource")).json();
    assert_eq!(document["bearer_methods_supported"], json!(["header", "query"]));
}
