//! Which route judges a request: odd paths, hosts, methods and targets. The upstream behind the protected routes records
//! what reaches it, so a path that slips past its rule shows there, whatever the answer says.

mod support;

use support::client::{Request, Response};
use support::gateway::Gateway;
use support::issuer::Issuer;
use support::report;
use support::upstream::Upstream;

/// What has to come of a request.
enum Expect {
    /// Forwarded to the open upstream with one of these targets.
    Open(&'static [&'static str]),
    /// Judged by a protected route: without a token that is 401.
    Judged,
    /// Refused as unreadable: 400, with this code or (when the HTTP parser itself refuses) without any.
    Refused,
    /// 400 `ambiguous_path`.
    Ambiguous,
    /// 404 `no_route`.
    Nowhere,
    /// Any of the refusals: which one is not ours to say.
    Closed,
    /// 405.
    Method,
    /// Refused, or read as the path before a raw `#` and then treated so: hyper cuts fragments off before anybody sees
    /// them, and what is left is what is judged and forwarded.
    Cut(Box<Expect>),
}

struct Case {
    name: &'static str,
    request: Request,
    expect: Expect,
}

fn case(name: &'static str, request: Request, expect: Expect) -> Case {
    Case { name, request, expect }
}

/// A GET request that is refused in this way; the target is its name.
fn get(target: &'static str, expect: Expect) -> Case {
    case(target, Request::get(target), expect)
}

/// A GET request that is forwarded as it is.
fn same(target: &'static str) -> Case {
    let leaked: &'static [&'static str] = Box::leak(Box::new([target]));
    get(target, Expect::Open(leaked))
}

const ROUTES: &str = r#"
[[routes]]
name = "public"
path = "/public/{*rest}"
upstream = "open"
access = "public"

[[routes]]
name = "admin"
path = "/admin/{*rest}"
upstream = "closed"
scopes = ["admin"]

[[routes]]
name = "exact"
path = "/exact"
upstream = "closed"

[[routes]]
name = "dotted"
path = "/a.b"
upstream = "closed"

[[routes]]
name = "item"
path = "/items/{id}"
upstream = "open"
access = "public"

[[routes]]
name = "items-admin"
path = "/items/admin"
upstream = "closed"

[[routes]]
name = "files"
path = "/files/{name}"
upstream = "open"
access = "public"
encoded_slash = "segment"

[[routes]]
name = "stripped-public"
path = "/v1/public/{*rest}"
upstream = "open"
access = "public"
strip_prefix = "/v1"

[[routes]]
name = "stripped"
path = "/v1/{*rest}"
upstream = "closed"
strip_prefix = "/v1"

[[routes]]
name = "post-only"
path = "/post"
methods = ["POST"]
upstream = "open"
access = "public"

[[routes]]
name = "private-host"
hosts = ["private.example"]
path = "/{*rest}"
upstream = "closed"

[[routes]]
name = "wild-host"
hosts = ["*.wild.example"]
path = "/{*rest}"
upstream = "closed"
"#;

struct World {
    issuer: Issuer,
    open: Upstream,
    closed: Upstream,
    gateway: Gateway,
}

impl World {
    fn start() -> Self {
        let (issuer, open, closed) = (Issuer::start(), Upstream::echo(), Upstream::echo());
        let parts = [issuer.toml("acme"), open.toml("open"), closed.toml("closed"), ROUTES.to_owned()];
        let gateway = Gateway::start(&parts.join("\n"));
        Self { issuer, open, closed, gateway }
    }

    fn check(&self, case: &Case) -> Option<String> {
        let answer = self.gateway.call(&case.request);
        let open: Vec<String> = self.open.drain().into_iter().map(|seen| seen.target).collect();
        let closed: Vec<String> = self.closed.drain().into_iter().map(|seen| seen.target).collect();
        if !closed.is_empty() {
            return Some(format!("- {}: reached the closed upstream as {closed:?}", case.name));
        }
        let fits = fits(&case.expect, &answer, &open);
        (!fits).then(|| format!("- {}: {} {:?}, open upstream: {open:?}", case.name, answer.status, answer.text()))
    }
}

fn fits(expect: &Expect, answer: &Response, open: &[String]) -> bool {
    let (status, code) = (answer.status, answer.code());
    let refused = |wanted: u16, codes: &[&str]| status == wanted && codes.contains(&code.as_str()) && open.is_empty();
    match expect {
        Expect::Open(targets) => status == 200 && open.len() == 1 && targets.contains(&open[0].as_str()),
        Expect::Judged => refused(401, &["no_credential"]),
        Expect::Refused => refused(400, &["bad_request", "ambiguous_path", ""]),
        Expect::Ambiguous => refused(400, &["ambiguous_path"]),
        Expect::Nowhere => refused(404, &["no_route"]),
        Expect::Closed => (400..500).contains(&status) && open.is_empty(),
        Expect::Cut(rest) => fits(&Expect::Refused, answer, open) || fits(rest, answer, open),
        Expect::Method => refused(405, &["method_not_allowed"]) && answer.header("allow").is_some(),
    }
}

fn plain_cases() -> Vec<Case> {
    vec![
        same("/public"),
        same("/public/"),
        same("/public/a/b"),
        same("/public/a?b=/../c"),
        same("/public/x?next=../../admin&y=//admin"),
        same("/public/x?a=%zz%00"),
        same("/public/x??"),
        same("/public/a%20b"),
        same("/public/caf%C3%A9"),
        same("/public/a;b=c"),
        same("/public/a/..."),
        same("/public/.hidden/..more"),
        same("/items/7"),
        same("/items/admin2"),
        same("/files/a%2Fb"),
        get("/%70ublic/x", Expect::Open(&["/%70ublic/x", "/public/x"])),
        get("/public/%41", Expect::Open(&["/public/%41", "/public/A"])),
        get("/admin", Expect::Judged),
        get("/admin/", Expect::Judged),
        get("/admin/x", Expect::Judged),
        get("/admin?x=/public", Expect::Judged),
        get("/admin?", Expect::Judged),
        get("/%61dmin", Expect::Judged),
        get("/adm%69n/x", Expect::Judged),
        get("/exact", Expect::Judged),
        get("/exact?x", Expect::Judged),
        get("/a.b", Expect::Judged),
        get("/a%2Eb", Expect::Judged),
        get("/items/admin", Expect::Judged),
        get("/items/%61dmin", Expect::Judged),
        get("/axb", Expect::Nowhere),
        get("/exact/", Expect::Nowhere),
        get("/EXACT", Expect::Nowhere),
        get("/Admin", Expect::Nowhere),
        get("/publicx", Expect::Nowhere),
        get("/items", Expect::Nowhere),
        get("/items/", Expect::Nowhere),
        get("/items/7/8", Expect::Nowhere),
        get("/", Expect::Nowhere),
    ]
}

/// Paths that some server reads as a path of another route.
fn ambiguous_cases() -> Vec<Case> {
    let paths = [
        "/public/../admin",
        "/public/x/../../admin",
        "/public/%2e%2e/admin",
        "/public/.%2E/admin",
        "/public/..%2fadmin",
        "/public/%2e%2e%2fadmin",
        "/public/..%5cadmin",
        "/public/..;/admin",
        "/public/..;x=y/admin",
        "/public/%252e%252e/admin",
        "/public/%252e%252e%252fadmin",
        "/public/..%252fadmin",
        "/public/%2e%2e%20/admin",
        "/public/%20../admin",
        "/public/%EF%BC%8E%EF%BC%8E/admin",
        "/public/%E2%80%A5/admin",
        "/public/./../admin",
        "/public//../admin",
        "/public/a//../../../admin",
        // A row of dots was more than one step up for old Windows servers.
        "/public/...",
        "/items/admin;x",
        "/items/%2561dmin",
        "/items/x%2f..%2fadmin",
        "/v1/public/../admin",
        "/v1/public/..%2fadmin",
        "/v1/../admin",
        "/v1/%2e%2e/public/x",
        "/public/../v1/x",
        "/admin/../public/x",
        "/admin/%2e%2e/public/x",
    ];
    paths.map(|path| get(path, Expect::Ambiguous)).into()
}

/// Paths that some server reads as a path of a route, though as they were sent they are of none: there is nothing to
/// confuse, so they are not there.
fn stray_cases() -> Vec<Case> {
    let paths = [
        "//admin",
        "///admin/x",
        "/./admin",
        "/%2e/admin",
        "/%2fadmin",
        "/%5cadmin",
        "/admin%2fx/../../public/x",
        "/admin;x",
        "/admin%3Bx",
        "/exact;x=1",
        "/items/./admin",
        "/items//admin",
        "/items/x/../admin",
        "/v1%2fpublic/x",
        "//v1/public/x",
        "/\\admin",
        "/admin%5c",
        "/admin\\x",
        "/%23/../admin",
    ];
    paths.map(|path| get(path, Expect::Nowhere)).into()
}

/// Paths that no reading makes sense of, and bytes that do not belong into one.
fn broken_cases() -> Vec<Case> {
    let paths = [
        "/public/%00",
        "/public/a%00/../admin",
        "/admin%00",
        "/public/%0d%0aX:%20y",
        "/public/%7f",
        "/public/%1b",
        "/public/%zz",
        "/public/%",
        "/public/%2",
        "/public/%ff",
        "/public/%c0%ae%c0%ae/admin",
        "/public/%c0%af..%c0%afadmin",
        "/public/%ed%a0%80",
        "/public/..%09/admin",
        "/public/\u{1}",
        "/public/\u{7f}",
        "/public/a\tb",
    ];
    let mut cases: Vec<Case> = paths.map(|path| get(path, Expect::Refused)).into();
    let raw = ["/public/..\\admin", "/public/\u{e9}\u{ff}"];
    cases.extend(raw.map(|path| get(path, Expect::Refused)));
    cases.push(get("/public/#/../admin", Expect::Cut(Box::new(Expect::Open(&["/public/"])))));
    cases.push(get("/public/x#?/../admin", Expect::Cut(Box::new(Expect::Open(&["/public/x"])))));
    cases.push(get("/exact#x", Expect::Cut(Box::new(Expect::Judged))));
    cases
}

fn host_cases() -> Vec<Case> {
    let host =
        |name: &'static str, host: &str, target: &str, expect| case(name, Request::get(target).host(host), expect);
    let mut cases: Vec<Case> = [
        "private.example",
        "Private.EXAMPLE",
        "private.example.",
        "private.example:80",
        "private.example:8443",
        "PRIVATE.example.:443",
        "a.wild.example",
        "A.B.Wild.Example.",
        "a.wild.example:1",
    ]
    .map(|name| host(name, name, "/public/x", Expect::Judged))
    .into();
    let others =
        ["wild.example", "evilwild.example", "privatexexample", "private.example.evil.test", "x-private.example"];
    cases.extend(others.map(|name| host(name, name, "/public/x", Expect::Open(&["/public/x"]))));
    let odd = [
        "private.example/",
        "private.example,api.test",
        "api.test private.example",
        "user@private.example",
        "[::1",
        "a:b:c",
        "",
    ];
    cases.extend(odd.map(|name| host(name, name, "/public/x", Expect::Refused)));
    cases.push(host("private host, odd path", "private.example", "/public/../x", Expect::Judged));
    let two = Request::get("/public/x").field("Host", "private.example");
    cases.push(case("two Host fields", two, Expect::Refused));
    let same = Request::get("/public/x").field("Host", support::client::HOST);
    cases.push(case("the same Host twice", same, Expect::Refused));
    let mut none = Request::get("/public/x");
    none.fields.clear();
    cases.push(case("no Host", none, Expect::Refused));
    cases
}

fn target_cases() -> Vec<Case> {
    let new = |method: &str, target: &str| Request::new(method, target);
    vec![
        case(
            "absolute form",
            new("GET", "http://api.test/public/x?q"),
            Expect::Open(&["/public/x?q", "http://api.test/public/x?q"]),
        ),
        case(
            "absolute form with another host than Host",
            new("GET", "http://private.example/public/x"),
            Expect::Judged,
        ),
        // RFC 9112 section 3.2.2: Host is ignored then; the upstream gets the one that was judged.
        case(
            "Host of a private host, absolute form of an open one",
            new("GET", "http://api.test/public/x").host("private.example"),
            Expect::Open(&["/public/x"]),
        ),
        case("absolute form, ambiguous", new("GET", "http://api.test/public/../admin"), Expect::Ambiguous),
        case("absolute form with a user", new("GET", "http://private.example@api.test/public/x"), Expect::Closed),
        case("absolute form of another scheme", new("GET", "ftp://api.test/admin"), Expect::Closed),
        case("no slash", new("GET", "admin"), Expect::Refused),
        case("no slash, a query", new("GET", "?/public/"), Expect::Refused),
        case("asterisk", new("OPTIONS", "*"), Expect::Closed),
        case("CONNECT", new("CONNECT", "private.example:443"), Expect::Closed),
        case("CONNECT with a path", new("CONNECT", "/public/x"), Expect::Closed),
        case("TRACE", new("TRACE", "/public/x"), Expect::Method),
        case("a method that the route does not have", new("GET", "/post"), Expect::Method),
        case("HEAD where only POST is", new("HEAD", "/post"), Expect::Closed),
        case("a method in small letters", new("post", "/post"), Expect::Closed),
        case("the method of the route", new("POST", "/post"), Expect::Open(&["/post"])),
        case("an extension method", new("PROPFIND", "/public/x"), Expect::Open(&["/public/x"])),
        case("an override", new("POST", "/admin").field("X-HTTP-Method-Override", "GET"), Expect::Judged),
        case("a stripped prefix", new("GET", "/v1/public/x"), Expect::Open(&["/public/x"])),
        case("a stripped prefix, whole", new("GET", "/v1/public"), Expect::Open(&["/public"])),
        case("a stripped prefix, protected", new("GET", "/v1/admin"), Expect::Judged),
    ]
}

/// Fields by which a client would like another route to be chosen.
fn field_cases() -> Vec<Case> {
    let fields = [
        ("X-Forwarded-Uri", "/public/x"),
        ("X-Forwarded-Path", "/public/x"),
        ("X-Forwarded-Host", "open.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Prefix", "/public"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Original-URL", "/public/x"),
        ("X-Original-URI", "/public/x"),
        ("X-Original-Method", "OPTIONS"),
        ("X-Rewrite-URL", "/public/x"),
        ("X-Envoy-Original-Path", "/public/x"),
        ("X-HTTP-Method-Override", "OPTIONS"),
        ("Forwarded", "host=open.example;proto=https"),
        ("User-Agent", "GoogleHC/1.0"),
        ("X-Auth-Subject", "root"),
        ("X-Auth-Scopes", "admin"),
    ];
    fields.map(|(name, value)| case(name, Request::get("/admin").field(name, value), Expect::Judged)).into()
}

#[track_caller]
fn check_all(groups: impl IntoIterator<Item = Vec<Case>>) {
    let world = World::start();
    let cases: Vec<Case> = groups.into_iter().flatten().collect();
    let failures: Vec<String> = cases.iter().filter_map(|case| world.check(case)).collect();
    report(cases.len(), &failures);
}

#[test]
fn plain_paths_find_their_route() {
    check_all([plain_cases(), target_cases()]);
}

#[test]
fn odd_paths_reach_no_other_rule() {
    check_all([ambiguous_cases(), stray_cases(), broken_cases()]);
}

#[test]
fn hosts_and_fields_choose_no_other_rule() {
    check_all([host_cases(), field_cases()]);
}

#[test]
fn the_table_is_as_long_as_promised() {
    let groups = [plain_cases(), target_cases(), ambiguous_cases(), stray_cases(), broken_cases(), host_cases()];
    assert!(groups.iter().map(Vec::len).sum::<usize>() >= 40);
}

/// With the right token the same odd paths still do not pass, unless they stay inside one route: a token for one route
/// is no reason to guess.
#[test]
fn a_token_does_not_make_an_ambiguous_path_plain() {
    let world = World::start();
    let token = world.issuer.token().scope("admin").sign();
    for case in ambiguous_cases() {
        let answer = world.gateway.call(&case.request.clone().bearer(&token));
        assert_eq!((answer.status, answer.code().as_str()), (400, "ambiguous_path"), "{}", case.name);
    }
    for case in stray_cases() {
        let answer = world.gateway.call(&case.request.clone().bearer(&token));
        assert_eq!((answer.status, answer.code().as_str()), (404, "no_route"), "{}", case.name);
    }
    assert_eq!(world.closed.drain().len() + world.open.drain().len(), 0);
    let inside = [("/admin/x", "/admin/x"), ("/admin/x/../y", "/admin/x/../y"), ("/admin//x", "/admin//x")];
    for (target, forwarded) in inside {
        let answer = world.gateway.call(&Request::get(target).bearer(&token));
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(world.closed.only().target, forwarded, "what was judged is what is forwarded");
    }
    let stripped = world.gateway.call(&Request::get("/v1/x?q=%2e").bearer(&token));
    assert_eq!((stripped.status, world.closed.only().target.as_str()), (200, "/x?q=%2e"));
}

/// An upstream that goes by Host sees the host that chose the route, whichever two the client wrote.
#[test]
fn the_upstream_is_told_the_host_that_was_judged() {
    let world = World::start();
    let request = Request::new("GET", "http://api.test/public/x").host("private.example");
    assert_eq!(world.gateway.call(&request).status, 200);
    let seen = world.open.only();
    assert_eq!((seen.header("Host"), seen.header("X-Forwarded-Host")), (Some("api.test"), Some("api.test")));
    assert!(!format!("{:?}", seen.head).contains("private.example"), "{:?}", seen.head);
}

/// A path that is a more specific route's but for letter case or a last slash is not left to a catch-all beside it: many
/// upstreams match without regard to either.
#[test]
fn near_misses_do_not_fall_through() {
    let (issuer, open, closed) = (Issuer::start(), Upstream::echo(), Upstream::echo());
    let routes = r#"
[[routes]]
name = "rest"
path = "/{*rest}"
upstream = "open"
access = "public"

[[routes]]
name = "admin"
path = "/admin"
upstream = "closed"
"#;
    let gateway =
        Gateway::start(&[issuer.toml("acme"), open.toml("open"), closed.toml("closed"), routes.into()].join("\n"));
    for near in ["/Admin", "/ADMIN", "/admin/", "/%41dmin", "/Admin/?x"] {
        let answer = gateway.call(&Request::get(near));
        assert_eq!((answer.status, answer.code().as_str()), (400, "ambiguous_path"), "{near}");
    }
    assert_eq!(gateway.call(&Request::get("/admin")).status, 401);
    assert_eq!(open.drain().len() + closed.drain().len(), 0);
    for far in ["/admins", "/admin/x", "/x/Admin"] {
        assert_eq!(gateway.call(&Request::get(far)).status, 200, "{far}");
        assert_eq!(open.only().target, far);
    }
}

#[test]
fn the_allow_header_tells_the_methods() {
    let world = World::start();
    let answer = world.gateway.call(&Request::get("/post"));
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

/// GET does not include HEAD, and a route without `methods` takes both.
#[test]
fn head_has_no_body() {
    let world = World::start();
    let answer = world.gateway.call(&Request::new("HEAD", "/public/x"));
    assert_eq!((answer.status, answer.body.len(), world.open.only().method.as_str()), (200, 0, "HEAD"));
    let refused = world.gateway.call(&Request::new("HEAD", "/admin"));
    assert_eq!((refused.status, refused.body.len()), (401, 0));
}
