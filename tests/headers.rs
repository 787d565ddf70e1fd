//! What of a request's and a response's fields crosses the gateway: identity, forwarding, hop-by-hop, credentials, and
//! messages whose framing two servers could read differently.

mod support;

use std::time::Duration;

use serde_json::json;
use support::client::{Conn, Request};
use support::gateway::Gateway;
use support::issuer::Issuer;
use support::report;
use support::upstream::{Seen, Upstream, respond};

struct World {
    issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
}

const ROUTES: &str = r#"
[identity_headers]
"X-Auth-Email" = "/email"
"X-Groups" = "/groups"

[[routes]]
name = "private"
path = "/private/{*rest}"
upstream = "api"

[[routes]]
name = "optional"
path = "/optional/{*rest}"
upstream = "api"
access = "optional"

[[routes]]
name = "public"
path = "/public/{*rest}"
upstream = "api"
access = "public"

[[routes]]
name = "drop"
path = "/drop/{*rest}"
upstream = "api"
credential = "drop"
"#;

impl World {
    fn start() -> Self {
        Self::with("")
    }

    /// `server` is put into `[server]`.
    fn with(server: &str) -> Self {
        let (issuer, upstream) = (Issuer::start(), Upstream::echo());
        let head = format!("[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n{server}\n");
        let parts = [head, issuer.toml("acme"), upstream.toml("api"), ROUTES.to_owned()];
        let gateway = Gateway::start(&parts.join("\n"));
        Self { issuer, upstream, gateway }
    }

    /// What the upstream gets of this request, which has to pass.
    #[track_caller]
    fn forward(&self, request: &Request) -> Seen {
        let answer = self.gateway.call(request);
        assert_eq!(answer.status, 200, "{} {}: {}", request.method, request.target, answer.text());
        self.upstream.only()
    }

    fn private(&self) -> Request {
        Request::get("/private/x").bearer(&self.issuer.token().sign())
    }
}

const IDENTITY: [&str; 6] =
    ["X-Auth-Subject", "X-Auth-Issuer", "X-Auth-Client", "X-Auth-Scopes", "X-Auth-Email", "X-Groups"];

#[test]
fn the_upstream_learns_who_calls() {
    let world = World::start();
    let claims = world.issuer.token().scope("a b").claim("email", "zo\u{eb}@x").claim("groups", json!(["a,b", "c d"]));
    let seen = world.forward(&Request::get("/private/x").bearer(&claims.sign()));
    let expected = [
        ("X-Auth-Subject", "alice"),
        ("X-Auth-Issuer", world.issuer.url.as_str()),
        ("X-Auth-Client", "cli"),
        ("X-Auth-Scopes", "a b"),
        ("X-Auth-Email", "zo%C3%AB@x"),
    ];
    for (name, value) in expected {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let groups = seen.header("X-Groups").unwrap_or_default();
    let (first, second) = groups.split_once(',').unwrap_or_default();
    assert_eq!(first.to_ascii_uppercase(), "A%2CB", "an element's own comma is encoded");
    assert!(second == "c d" || second == "c%20d", "{groups}");
}

/// A token without the claim, and a client that sends the field itself in every spelling.
#[test]
fn forged_identity_fields_never_arrive() {
    let world = World::start();
    let bare = world.issuer.token().without("sub").without("client_id").without("scope").sign();
    let targets = [("/private/x", Some(bare)), ("/optional/x", None), ("/public/x", None)];
    let mut failures = Vec::new();
    for (target, token) in &targets {
        for name in IDENTITY {
            let underscores = name.replace('-', "_");
            let mixed = name.replacen('-', "_", 1);
            let spellings = [name.to_owned(), name.to_lowercase(), name.to_uppercase(), underscores, mixed];
            for spelling in spellings {
                let mut request = Request::get(target).field(&spelling, "forged").field(&spelling, "forged2");
                if let Some(token) = token {
                    request = request.bearer(token);
                }
                let seen = world.forward(&request);
                if seen.head.fields.iter().any(|(_, value)| value.contains("forged")) {
                    failures.push(format!("- {target}: {spelling} arrived: {:?}", seen.head.fields));
                }
            }
        }
    }
    report(targets.len() * IDENTITY.len() * 5, &failures);
}

#[test]
fn forged_identity_trailers_never_arrive() {
    let world = World::start();
    let token = world.issuer.token().sign();
    for name in ["X-Auth-Subject", "x_auth_email", "Authorization", "X-Forwarded-For", "Content-Length"] {
        let mut conn = world.gateway.connect();
        conn.send(format!(
            "POST /private/x HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer {token}\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: {name}, X-Sum\r\n\r\n1\r\na\r\n0\r\n{name}: 0\r\nX-Sum: 1\r\n\r\n"
        ));
        let answer = conn.response("POST");
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let seen = world.upstream.only();
        let arrived = seen.trailers.iter().any(|(trailer, _)| trailer.eq_ignore_ascii_case(name));
        assert!(!arrived, "{name} arrived as a trailer: {:?}", seen.trailers);
    }
}

/// `Connection: X-Auth-Subject` asks a proxy to drop the field that it has just set.
#[test]
fn identity_cannot_be_named_away() {
    let world = World::start();
    let token = world.issuer.token().claim("email", "a@x").claim("groups", json!(["g"])).sign();
    for name in IDENTITY {
        let request = Request::get("/private/x").bearer(&token).field("Connection", &format!("keep-alive, {name}"));
        assert!(world.forward(&request).header(name).is_some(), "{name} was dropped");
    }
    let hops = ["X-Forwarded-For", "Forwarded", "Host", "X-Forwarded-Proto"];
    for name in hops {
        let seen = world.forward(&world.private().field("Connection", name));
        assert!(seen.header(name).is_some(), "{name} was dropped");
    }
}

#[test]
fn hop_by_hop_fields_stay_on_their_hop() {
    let world = World::start();
    let request = world
        .private()
        .field("Connection", "close, X-Private-Hop")
        .field("X-Private-Hop", "1")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Connection", "keep-alive")
        .field("Proxy-Authorization", "Basic YTpi")
        .field("Upgrade", "h2c")
        .field("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
        .field("X-Kept", "yes");
    let seen = world.forward(&request);
    let gone = ["x-private-hop", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade", "http2-settings"];
    for name in gone {
        assert!(seen.header(name).is_none(), "{name} arrived: {:?}", seen.head.fields);
    }
    assert_eq!(seen.header("X-Kept"), Some("yes"));
}

#[test]
fn a_responses_hop_by_hop_fields_stay_on_their_hop() {
    let issuer = Issuer::start();
    let upstream = Upstream::start(|_, conn| {
        let fields = "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nProxy-Authenticate: Basic\r\nX-Kept: a\r\nX-Kept: b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n";
        respond(conn, 200, fields, "ok")
    });
    let gateway = Gateway::start(&[issuer.toml("acme"), upstream.toml("api"), ROUTES.to_owned()].join("\n"));
    let answer = gateway.call(&Request::get("/public/x"));
    for name in ["x-hop", "proxy-authenticate", "keep-alive"] {
        assert!(answer.header(name).is_none(), "{name} came back: {:?}", answer.head.fields);
    }
    assert_eq!((answer.head.all("x-kept"), answer.head.all("set-cookie")), (vec!["a", "b"], vec!["a=1", "b=2"]));
}

const FORGED: [(&str, &str); 24] = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-Host", "forged.test"),
    ("X-Forwarded-Proto", "forged"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Uri", "/forged"),
    ("X-Forwarded-Path", "/forged"),
    ("X-Forwarded-Method", "FORGED"),
    ("X-Forwarded-Prefix", "/forged"),
    ("X-Forwarded-Server", "forged"),
    ("X-Forwarded-User", "forged"),
    ("X_Forwarded_For", "6.6.6.6"),
    ("x-forwarded_host", "forged.test"),
    ("Forwarded", "for=6.6.6.6;host=forged.test"),
    ("X-Original-URL", "/forged"),
    ("X-Original-Host", "forged.test"),
    ("X-Rewrite-URL", "/forged"),
    ("X-HTTP-Method", "FORGED"),
    ("X-HTTP-Method-Override", "FORGED"),
    ("X-Method-Override", "FORGED"),
    ("X-Real-IP", "6.6.6.6"),
    ("True-Client-IP", "6.6.6.6"),
    ("X-Accel-Redirect", "/forged"),
    ("X-Sendfile", "/forged"),
    ("X_Real_IP", "6.6.6.6"),
];

#[test]
fn a_stranger_forges_no_forwarding() {
    let world = World::start();
    let mut failures = Vec::new();
    for (name, value) in FORGED {
        for target in ["/public/x", "/private/x"] {
            let mut request = Request::get(target).field(name, value).field(name, value);
            if target == "/private/x" {
                request = request.bearer(&world.issuer.token().sign());
            }
            let seen = world.forward(&request);
            let folded = value.to_lowercase();
            if seen.head.fields.iter().any(|(_, got)| got.to_lowercase().contains(&folded)) {
                failures.push(format!("- {target}: {name}: {value} arrived: {:?}", seen.head.fields));
            }
        }
    }
    report(FORGED.len() * 2, &failures);
    let seen = world.forward(&Request::get("/public/x"));
    assert_eq!(seen.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(seen.header("X-Forwarded-Proto"), Some("http"));
    assert_eq!(seen.header("X-Forwarded-Host"), Some("api.test"));
    let forwarded = seen.header("Forwarded").unwrap_or_default().to_lowercase();
    let parts = ["for=127.0.0.1", "proto=http", "host=api.test"];
    assert!(parts.iter().all(|part| forwarded.replace('"', "").contains(part)), "{forwarded}");
}

#[test]
fn a_trusted_proxy_is_believed() {
    let world = World::with("trusted_proxies = [\"127.0.0.0/8\"]");
    let request = world
        .private()
        .field("X-Forwarded-For", "9.9.9.9, 8.8.8.8")
        .field("X-Forwarded-Proto", "https")
        .field("X-Forwarded-Host", "shop.example");
    let seen = world.forward(&request);
    assert_eq!(seen.header("X-Forwarded-Proto"), Some("https"));
    assert_eq!(seen.header("X-Forwarded-Host"), Some("shop.example"));
    let chain = seen.header("X-Forwarded-For").unwrap_or_default().replace(' ', "");
    assert!(chain.starts_with("9.9.9.9,8.8.8.8"), "{chain}");
    let forged = world.private().field("X-Auth-Subject", "forged").field("x_auth_scopes", "forged");
    let seen = world.forward(&forged);
    let arrived = seen.head.fields.iter().any(|(_, value)| value.contains("forged"));
    assert!(!arrived, "identity is never taken from outside: {:?}", seen.head.fields);
    // The Host decides about the route, whatever a proxy says of it.
    let refused = world.gateway.call(&Request::get("/private/x").field("X-Forwarded-Uri", "/public/x"));
    assert_eq!(refused.code(), "no_credential");
}

#[test]
fn a_credential_goes_where_the_route_says() {
    let world = World::start();
    let bearer = format!("Bearer {}", world.issuer.token().sign());
    let cases = [
        ("/private/x", bearer.as_str(), Some(bearer.as_str())),
        ("/drop/x", bearer.as_str(), None),
        ("/optional/x", bearer.as_str(), Some(bearer.as_str())),
        ("/optional/x", "Basic YTpi", Some("Basic YTpi")),
        ("/public/x", "Basic YTpi", Some("Basic YTpi")),
        ("/public/x", "Bearer garbage", Some("Bearer garbage")),
    ];
    for (target, sent, arrived) in cases {
        let seen = world.forward(&Request::get(target).field("Authorization", sent));
        assert_eq!(seen.header("Authorization"), arrived, "{target}");
    }
    let public = world.forward(&Request::get("/public/x").field("Authorization", &bearer));
    for name in IDENTITY {
        assert!(public.header(name).is_none(), "{name} on a public route, where no token is judged");
    }
    let cookies = world.forward(&Request::get("/public/x").field("Cookie", "a=1; b=2"));
    assert_eq!(cookies.header("Cookie"), Some("a=1; b=2"));
}

#[test]
fn the_host_is_the_configured_one() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let routes = ["keep", "upstream", "named"].map(|name| {
        let server = upstream.address;
        let host = if name == "named" { "inner.test" } else { name };
        format!(
            "[upstreams.{name}]\nservers = [\"http://{server}\"]\nhost = \"{host}\"\n[[routes]]\npath = \"/{name}\"\nupstream = \"{name}\"\naccess = \"public\"\n"
        )
    });
    let gateway = Gateway::start(&format!("{}\n{}", issuer.toml("acme"), routes.join("\n")));
    let address = upstream.address.to_string();
    for (path, host) in [("/keep", "api.test"), ("/upstream", address.as_str()), ("/named", "inner.test")] {
        assert_eq!(gateway.call(&Request::get(path)).status, 200);
        let seen = upstream.only();
        assert_eq!((seen.header("Host"), seen.header("X-Forwarded-Host")), (Some(host), Some("api.test")), "{path}");
    }
}

/// Messages that a second server could cut elsewhere. None may be answered by the upstream, and what follows on the
/// connection may never be taken for a request. Of Transfer-Encoding beside Content-Length, RFC 9112 section 6.1 lets a
/// server go by the first, if the second goes no further and the connection is closed.
#[test]
fn nothing_is_smuggled() {
    let world = World::start();
    let hidden = "GET /public/smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n";
    let length = hidden.len();
    let post =
        |fields: &str, body: &str| format!("POST /public/x HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n\r\n{body}");
    let cases = [
        (
            "TE and CL",
            post(&format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"), &format!("0\r\n\r\n{hidden}")),
        ),
        ("CL and TE", post("Transfer-Encoding: chunked\r\nContent-Length: 4", &format!("0\r\n\r\n{hidden}"))),
        ("two lengths", post("Content-Length: 0\r\nContent-Length: 5", hidden)),
        ("a list of lengths", post("Content-Length: 0, 5", hidden)),
        ("a signed length", post("Content-Length: +0", hidden)),
        ("a negative length", post("Content-Length: -1", hidden)),
        ("a length in hexadecimal", post("Content-Length: 0x0", hidden)),
        ("a huge length", post("Content-Length: 99999999999999999999", hidden)),
        ("TE that is not chunked", post("Transfer-Encoding: identity", hidden)),
        ("TE that does not end in chunked", post("Transfer-Encoding: chunked, gzip", hidden)),
        ("TE that is chunked after another", post("Transfer-Encoding: gzip, chunked", &format!("0\r\n\r\n{hidden}"))),
        ("TE that is chunked twice", post("Transfer-Encoding: chunked, chunked", &format!("0\r\n\r\n{hidden}"))),
        ("TE with a vertical tab", post("Transfer-Encoding: \u{b}chunked", hidden)),
        ("two TE", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", &format!("0\r\n\r\n{hidden}"))),
        ("a blank before the colon", post("Transfer-Encoding : chunked", &format!("0\r\n\r\n{hidden}"))),
        ("a folded field", post("X-A: b\r\n Transfer-Encoding: chunked", hidden)),
        ("a bad chunk size", post("Transfer-Encoding: chunked", &format!("zz\r\n{hidden}"))),
        ("a chunk size with 0x", post("Transfer-Encoding: chunked", &format!("0x0\r\n\r\n{hidden}"))),
        ("a chunk size beyond 64 bits", post("Transfer-Encoding: chunked", &format!("10000000000000000\r\n{hidden}"))),
        ("a chunk longer than it says", post("Transfer-Encoding: chunked", &format!("1\r\naaa\r\n0\r\n\r\n{hidden}"))),
        ("a bare CR in a field", format!("GET /public/x HTTP/1.1\r\nHost: api.test\r\nX-A: b\rX-B: c\r\n\r\n{hidden}")),
        ("a NUL in a field", format!("GET /public/x HTTP/1.1\r\nHost: api.test\r\nX-A: b\0c\r\n\r\n{hidden}")),
        ("another version", format!("GET /public/x HTTP/3.7\r\nHost: api.test\r\n\r\n{hidden}")),
    ];
    let mut failures = Vec::new();
    for (name, bytes) in &cases {
        let mut conn = world.gateway.connect();
        conn.patience(Duration::from_secs(10));
        let sent = conn.try_send(bytes);
        let first = conn.try_response("POST");
        let status = first.as_ref().map_or(0, |answer| answer.status);
        let closed = conn.is_closed();
        let seen = world.upstream.drain();
        let smuggled = seen.iter().any(|seen| seen.target.contains("smuggled"));
        let framing = |seen: &Seen| seen.head.all("Content-Length").len() + seen.head.all("Transfer-Encoding").len();
        let by_chunks = ["TE and CL", "CL and TE"].contains(name)
            && status == 200
            && seen.len() == 1
            && seen[0].body.is_empty()
            && framing(&seen[0]) < 2;
        if !((by_chunks || matches!(status, 0 | 400..=499 | 501 | 505)) && closed && !smuggled) {
            let targets: Vec<&String> = seen.iter().map(|seen| &seen.target).collect();
            failures.push(format!("- {name}: {status}, closed: {closed}, upstream: {targets:?}, sent: {sent:?}"));
        }
    }
    report(cases.len(), &failures);
    assert_eq!(world.gateway.call(&Request::get("/public/x")).status, 200, "the gateway lives");
}

/// A request that is refused before its body was read: the body is never read as the next request.
#[test]
fn a_refused_requests_body_is_not_the_next_request() {
    let world = World::start();
    let hidden = "GET /public/smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n";
    for expect in ["", "Expect: 100-continue\r\n"] {
        let mut conn = world.gateway.connect();
        conn.patience(Duration::from_secs(10));
        let length = hidden.len();
        let head = format!("POST /private/x HTTP/1.1\r\nHost: api.test\r\n{expect}Content-Length: {length}\r\n\r\n");
        conn.send(head + hidden);
        assert_eq!(conn.response("POST").status, 401);
        // Either the body was read and dropped, and the connection is good for the next request, or it is closed.
        let next = conn.try_send(Request::get("/public/next").bytes()).and_then(|()| conn.try_response("GET"));
        let targets: Vec<String> = world.upstream.drain().into_iter().map(|seen| seen.target).collect();
        let fine = match next {
            Ok(answer) => answer.status == 200 && targets == ["/public/next"],
            Err(_) => targets.is_empty() || targets == ["/public/next"],
        };
        assert!(fine, "{expect:?}: the upstream got {targets:?}");
    }
}

#[test]
fn heads_beyond_the_limits_are_refused() {
    let world = World::with("[server.limits]\nmax_header_bytes = \"16KiB\"\nmax_headers = 50");
    let many = (0..60).fold(Request::get("/public/x"), |request, n| request.field(&format!("X-{n}"), "v"));
    let long = Request::get("/public/x").field("X-Long", &"a".repeat(20 * 1024));
    let target = Request::get(&format!("/public/{}", "a".repeat(20 * 1024)));
    let cookies = (0..60).fold(Request::get("/public/x"), |request, n| request.field("Cookie", &format!("c{n}=1")));
    for (name, request) in [("fields", many), ("a field", long), ("a target", target), ("cookies", cookies)] {
        let mut conn = world.gateway.connect();
        let sent = conn.try_send(request.bytes());
        let status = conn.try_response("GET").map(|answer| answer.status);
        assert!(matches!(status, Ok(414 | 431)), "{name}: {status:?}, sent: {sent:?}");
    }
    assert!(world.upstream.drain().is_empty());
    let fits = (0..40).fold(Request::get("/public/x"), |request, n| request.field(&format!("X-{n}"), "v"));
    assert_eq!(world.gateway.call(&fits).status, 200);
}

#[test]
fn requests_in_a_row_are_told_apart() {
    let world = World::start();
    let mut conn: Conn = world.gateway.connect();
    let token = world.issuer.token().sign();
    let pipeline = [
        Request::get("/public/1"),
        Request::get("/private/2"),
        Request::new("POST", "/private/3").bearer(&token).body(b"hello"),
        Request::get("/nowhere/4"),
        Request::get("/public/5"),
    ];
    conn.send(pipeline.iter().flat_map(Request::bytes).collect::<Vec<u8>>());
    let statuses: Vec<u16> = pipeline.iter().map(|request| conn.response(&request.method).status).collect();
    assert_eq!(statuses, [200, 401, 200, 404, 200]);
    let seen: Vec<(String, usize)> = world.upstream.drain().into_iter().map(|s| (s.target, s.body.len())).collect();
    assert_eq!(seen, [("/public/1".to_owned(), 0), ("/private/3".to_owned(), 5), ("/public/5".to_owned(), 0)]);
}

/// One access log line per exchange, with the route, the code and who it was.
#[test]
fn the_log_tells_who_and_why() {
    let world = World::start();
    world.forward(&world.private());
    world.gateway.call(&Request::get("/private/x"));
    world.gateway.call(&Request::get("/nowhere"));
    let lines = world.gateway.until("three lines are logged", || {
        let lines = world.gateway.access_log();
        (lines.len() >= 3).then_some(lines)
    });
    assert_eq!(lines.len(), 3, "{lines:?}");
    // Each worker hands over its lines by itself, so their order is not that of the requests.
    for (status, route, part) in
        [(200, json!("private"), "alice"), (401, json!("private"), "no_credential"), (404, json!(null), "no_route")]
    {
        let line = lines.iter().find(|line| line["status"] == status).unwrap_or_else(|| panic!("{status}: {lines:?}"));
        assert_eq!(line["route"], route, "{line}");
        assert!(line.to_string().contains(part), "{line}");
    }
    let requests = world.gateway.metric("tollgate_requests_total", &["route=\"private\"", "method=\"GET\""]);
    assert!((requests - 2.0).abs() < 0.1, "{requests} requests counted on the private route");
    let unmatched = world.gateway.metric("tollgate_denials_total", &["route=\"none\"", "code=\"no_route\""]);
    assert!((unmatched - 1.0).abs() < 0.1, "{unmatched} requests without a route counted");
}
