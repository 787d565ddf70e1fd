//! Who is sent to a login, who is shown a page, and who is told 401: every kind of request in every state of a session. Of
//! none of them anything reaches the upstream.

use std::thread::sleep;
use std::time::Duration;

use super::World;
use super::support::browser::Browser;
use super::support::client::{Request, Response};
use super::support::redis::Redis;
use super::support::report;

/// What a request gets that needs a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gets {
    /// The way to the issuer.
    TheWay,
    /// A page with a link.
    Page,
    /// A problem document that names the login.
    Problem,
}

use Gets::{Page, Problem, TheWay};

type Fields = &'static [(&'static str, &'static str)];

const ORIGIN: (&str, &str) = ("Sec-Fetch-Site", "same-origin");
const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const ANY: (&str, &str) = ("Accept", "*/*");
const NAVIGATE: (&str, &str) = ("Sec-Fetch-Mode", "navigate");
const CORS: (&str, &str) = ("Sec-Fetch-Mode", "cors");
const DOCUMENT: (&str, &str) = ("Sec-Fetch-Dest", "document");
const FRAME: (&str, &str) = ("Sec-Fetch-Dest", "iframe");
const SOCKET: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// What kind of request, its method, what it says of itself, and what it gets.
const KINDS: &[(&str, &str, Fields, Gets)] = &[
    ("a navigation", "GET", &[NAVIGATE, DOCUMENT, ORIGIN, HTML], TheWay),
    ("a typed address", "GET", &[NAVIGATE, DOCUMENT, ("Sec-Fetch-Site", "none"), HTML], TheWay),
    ("a link from elsewhere", "GET", &[NAVIGATE, DOCUMENT, ("Sec-Fetch-Site", "cross-site"), HTML], TheWay),
    ("a navigation of an old browser", "GET", &[HTML], TheWay),
    ("a navigation by HEAD", "HEAD", &[NAVIGATE, DOCUMENT, HTML], TheWay),
    ("a form", "POST", &[NAVIGATE, DOCUMENT, ORIGIN, HTML], Page),
    ("a form of an old browser", "POST", &[HTML], Page),
    ("a frame of the same site", "GET", &[NAVIGATE, FRAME, ORIGIN, HTML], TheWay),
    ("a frame in a page of another site", "GET", &[NAVIGATE, FRAME, ("Sec-Fetch-Site", "cross-site"), HTML], Page),
    ("fetched ahead", "GET", &[NAVIGATE, DOCUMENT, ORIGIN, HTML, ("Sec-Purpose", "prefetch")], Page),
    ("rendered ahead", "GET", &[NAVIGATE, DOCUMENT, ORIGIN, HTML, ("Sec-Purpose", "prefetch;prerender")], Page),
    ("fetched ahead by an old browser", "GET", &[HTML, ("Purpose", "prefetch")], Page),
    ("<link rel=prefetch>", "GET", &[("Sec-Fetch-Mode", "no-cors"), ORIGIN, ANY, ("Sec-Purpose", "prefetch")], Problem),
    ("fetch", "GET", &[CORS, ORIGIN, ANY], Problem),
    ("fetch that wants HTML", "GET", &[CORS, ORIGIN, ("Accept", "text/html")], Problem),
    ("fetch with a body", "PUT", &[CORS, ORIGIN, ANY], Problem),
    ("fetch of its own origin only", "GET", &[("Sec-Fetch-Mode", "same-origin"), ORIGIN, ANY], Problem),
    ("XMLHttpRequest", "POST", &[CORS, ORIGIN, ("X-Requested-With", "XMLHttpRequest"), ANY], Problem),
    ("XMLHttpRequest of an old browser", "GET", &[HTML, ("X-Requested-With", "XMLHttpRequest")], Problem),
    ("fetch of an old browser", "GET", &[ANY], Problem),
    ("a picture", "GET", &[("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image"), ORIGIN, ANY], Problem),
    (
        "a preflight",
        "OPTIONS",
        &[CORS, ("Origin", "https://x.example"), ("Access-Control-Request-Method", "PUT")],
        Problem,
    ),
    (
        "a WebSocket",
        "GET",
        &[("Sec-Fetch-Mode", "websocket"), ORIGIN, SOCKET[0], SOCKET[1], SOCKET[2], SOCKET[3]],
        Problem,
    ),
    ("a WebSocket of an old client", "GET", &[HTML, SOCKET[0], SOCKET[1], SOCKET[2], SOCKET[3]], Problem),
    ("server-sent events", "GET", &[CORS, ORIGIN, ("Accept", "text/event-stream")], Problem),
    ("curl", "GET", &[ANY, ("User-Agent", "curl/8.5.0")], Problem),
    ("curl -I", "HEAD", &[ANY, ("User-Agent", "curl/8.5.0")], Problem),
    ("a program", "GET", &[("Accept", "application/json")], Problem),
    ("a program that says nothing", "GET", &[], Problem),
    ("a program that would take HTML", "GET", &[("Accept", "application/json, text/html;q=0.5")], Problem),
    ("a program that writes", "DELETE", &[("Accept", "application/json")], Problem),
];

/// What is wrong with an answer to a request that needs a login, if anything is.
fn complaint(world: &World, (method, gets): (&str, Gets), code: &str, path: &str, answer: &Response) -> Option<String> {
    let return_to = if matches!(method, "GET" | "HEAD" | "OPTIONS") { path } else { "/" };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("login", "web");
    query.extend_pairs(Some(("acr_values", "gold")).filter(|_| path.starts_with("/strong")));
    query.append_pair("return_to", return_to);
    let login = format!("{}?{}", world.url("/.tollgate/login"), query.finish());
    let (kind, head) = (answer.header("content-type").unwrap_or_default(), method == "HEAD");
    let starts_nothing = answer.header("set-cookie").is_none() && answer.header("location").is_none();
    let challenged = answer.bearer("realm").is_some();
    let good = match gets {
        TheWay => {
            let location = answer.header("location").unwrap_or_default();
            let cookie = answer.header("set-cookie").unwrap_or_default();
            answer.status == 303
                && location.starts_with(&world.at_authority("/authorize?"))
                && cookie.starts_with("tollgate-web-tx-")
        }
        Page => {
            let link = format!("href=\"{}\"", login.replace('&', "&amp;"));
            let shown = head || answer.text().contains(&link) && answer.text().contains(code);
            answer.status == 401 && challenged && starts_nothing && shown && kind.starts_with("text/html")
        }
        Problem => {
            let told = head || answer.code() == code && answer.json()["login"] == login;
            answer.status == 401 && challenged && starts_nothing && told && kind == "application/problem+json"
        }
    };
    let fields = ["location", "set-cookie", "content-type"].map(|name| answer.header(name));
    (!good).then(|| format!("{gets:?} was due: {} {fields:?} {}", answer.status, answer.text()))
}

/// One request with these cookies.
fn ask(world: &World, (method, fields): (&str, Fields), path: &str, cookies: &str) -> Response {
    let request = Request::new(method, path).host(&world.address.to_string());
    let request = fields.iter().fold(request, |request, (name, value)| request.field(name, value));
    let request = if cookies.is_empty() { request } else { request.field("Cookie", cookies) };
    let request = if matches!(method, "POST" | "PUT") { request.body(b"a=b") } else { request };
    request.send(world.address)
}

/// Asks in every kind with the cookies that `cookies` gives for it, and holds the answers to the table.
#[track_caller]
fn all_kinds(world: &World, state: &str, code: &str, path: &str, mut cookies: impl FnMut() -> String) {
    let mut failures = Vec::new();
    for (kind, method, fields, gets) in KINDS {
        let answer = ask(world, (method, fields), path, &cookies());
        let complaint = complaint(world, (method, *gets), code, path, &answer);
        failures.extend(complaint.map(|complaint| format!("{state}, {kind}: {complaint}")));
    }
    report(KINDS.len(), &failures);
    assert!(world.upstream.seen().is_empty(), "{state}: something reached the upstream: {:?}", world.upstream.seen());
}

/// The application's cookies of somebody who just logged in.
#[track_caller]
fn logged_in(world: &World) -> (Browser, String) {
    let mut browser = Browser::default();
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    world.upstream.drain();
    let cookies = crumbs(&browser);
    (browser, cookies)
}

fn crumbs(browser: &Browser) -> String {
    let ours = browser.cookies.iter().filter(|((_, name), _)| name == "tollgate-web");
    ours.map(|((_, name), value)| format!("{name}={value}")).collect()
}

#[test]
fn without_a_session() {
    all_kinds(&World::start(), "none", "no_credential", "/x?y=z", String::new);
}

#[test]
fn with_a_cookie_that_was_made_up() {
    let world = World::start();
    all_kinds(&world, "forged", "session_expired", "/x?y=z", || "tollgate-web=forged".to_owned());
    let id = "A".repeat(43);
    all_kinds(&world, "forged", "session_expired", "/x?y=z", || format!("tollgate-web={id}"));
}

#[test]
fn with_a_session_that_was_logged_out_in_another_window() {
    let world = World::start();
    let (mut browser, cookies) = logged_in(&world);
    assert_eq!(browser.step("POST", &world.url("/.tollgate/logout"), "").status, 303);
    all_kinds(&world, "logged out elsewhere", "session_expired", "/x?y=z", || cookies.clone());
}

#[test]
fn with_a_session_that_is_over() {
    let world = World::with("", "[sessions]\nidle_timeout = \"1s\"");
    let (_, cookies) = logged_in(&world);
    sleep(Duration::from_millis(1200));
    all_kinds(&world, "expired", "session_expired", "/x?y=z", || cookies.clone());
}

#[test]
fn with_a_session_that_cannot_be_refreshed() {
    let world = World::with("", "token_lifetime = \"1s\"");
    let mut sessions: Vec<String> = KINDS.iter().map(|_| logged_in(&world).1).collect();
    world.order("fault=invalid_grant&at=refresh");
    sleep(Duration::from_millis(1200));
    let refused = || world.gateway.stderr().matches("its refresh was refused").count();
    let before = refused();
    all_kinds(&world, "failed refresh", "session_expired", "/x?y=z", || sessions.pop().expect("one for each"));
    world.gateway.until("each kind has begun a refresh", || (refused() == before + KINDS.len()).then_some(()));
}

#[test]
fn with_a_session_that_is_not_strong_enough() {
    let strong =
        "[[routes]]\nname = \"strong\"\npath = \"/strong\"\nupstream = \"app\"\nlogin = \"web\"\nacr = [\"gold\"]";
    let world = World::with("", strong);
    let (_, cookies) = logged_in(&world);
    all_kinds(&world, "lacking acr", "step_up_required", "/strong?y=z", || cookies.clone());
    all_kinds(&world, "none", "no_credential", "/strong?y=z", String::new);
}

/// Nobody knows who that is then: a login would help nobody, and nobody is logged out.
#[test]
fn while_the_store_is_away() {
    let mut redis = Redis::start();
    let sessions =
        format!("[sessions]\nstore = \"redis\"\nkey = \"0123456789abcdef0123456789abcdef\"\n{}", redis.toml());
    let world = World::with("", &sessions);
    let (_, cookies) = logged_in(&world);
    redis.kill();
    let mut failures = Vec::new();
    for (kind, method, fields, gets) in KINDS {
        let answer = ask(&world, (method, fields), "/x?y=z", &cookies);
        let form = if *gets == Problem { "application/problem+json" } else { "text/html; charset=utf-8" };
        let told =
            *method == "HEAD" || answer.text().contains("store_unavailable") && !answer.text().contains("login?");
        let quiet = ["location", "set-cookie", "www-authenticate"].iter().all(|name| answer.header(name).is_none());
        let good = answer.status == 503 && answer.header("content-type") == Some(form);
        if !(good && told && quiet && answer.header("retry-after") == Some("5")) {
            failures.push(format!("{kind}: {} {:?} {}", answer.status, answer.header("content-type"), answer.text()));
        }
    }
    report(KINDS.len(), &failures);
    assert!(world.upstream.seen().is_empty());
    redis.start_again();
    world.gateway.until("the session is there again", || {
        (ask(&world, ("GET", &[ANY]), "/x", &cookies).status == 200).then_some(())
    });
}

/// What a browser fetches ahead, or for a picture, a script or another site's frame, starts no login at the login's own path
/// either.
#[test]
fn a_login_that_nobody_asked_for_yet_does_not_begin() {
    let world = World::start();
    let unasked: [Fields; 4] = [
        &[NAVIGATE, ("Sec-Purpose", "prefetch")],
        &[("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")],
        &[("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")],
        &[NAVIGATE, ("Sec-Fetch-Dest", "iframe"), ("Sec-Fetch-Site", "cross-site")],
    ];
    for fields in unasked {
        let answer = ask(&world, ("GET", fields), "/.tollgate/login?login=web&return_to=%2Fx", "");
        let got = (answer.status, answer.header("set-cookie"), answer.header("location"));
        assert_eq!(got, (401, None, None), "{fields:?}");
    }
    let long = format!("/.tollgate/login?login=web&acr_values={}", "a+".repeat(300));
    assert_eq!(ask(&world, ("GET", &[NAVIGATE]), &long, "").status, 400);
    assert_eq!(ask(&world, ("GET", &[NAVIGATE]), "/.tollgate/login?login=web&return_to=%2Fx", "").status, 303);
}
