//! What another site can have done by somebody's session: nothing. Every method, by what browsers say of where a request
//! comes from, at each kind of path.

use super::support::browser::Browser;
use super::support::client::{Request, Response};
use super::support::report;
use super::support::world::Setting;
use super::{World, answer_for};

const SITES: [Option<&str>; 6] =
    [None, Some("same-origin"), Some("none"), Some("same-site"), Some("cross-site"), Some("SAME-ORIGIN")];
const METHODS: [&str; 8] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "QUERY"];

/// What stands in `Origin`: where from, and whether that is the application's own.
fn origins(world: &World) -> Vec<(Vec<String>, bool)> {
    let own = world.url("");
    let other_port = format!("http://127.0.0.1:{}", world.authority.port());
    vec![
        (vec![], true),
        (vec![own.clone()], true),
        (vec!["https://evil.example".into()], false),
        (vec!["null".into()], false),
        (vec![other_port], false),
        (vec![own.replace("http:", "https:")], false),
        (vec![format!("{own}.evil.example")], false),
        (vec![own.clone(), "https://evil.example".into()], false),
        (vec![own.to_uppercase()], false),
        (vec![String::new()], false),
    ]
}

/// The rule: what says where a request comes from is looked at in this order, unless the method changes nothing.
fn passes(method: &str, site: Option<&str>, own: bool) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "QUERY")
        || site.map_or(own, |site| matches!(site, "same-origin" | "none"))
}

fn cookies(browser: &Browser) -> String {
    let crumbs: Vec<_> = browser.cookies.iter().map(|((_, name), value)| format!("{name}={value}")).collect();
    crumbs.join("; ")
}

fn ask(world: &World, (method, path): (&str, &str), site: Option<&str>, origins: &[String], cookies: &str) -> Response {
    let request = Request::new(method, path).host(&world.address.to_string()).field("Cookie", cookies);
    let request = site.into_iter().fold(request, |request, site| request.field("Sec-Fetch-Site", site));
    let request = origins.iter().fold(request, |request, origin| request.field("Origin", origin));
    let request = match method {
        "GET" | "HEAD" | "OPTIONS" => request,
        _ => request.field("Content-Type", "application/x-www-form-urlencoded").body(b"logout_token=x"),
    };
    request.send(world.address)
}

#[test]
fn by_a_session_nothing_is_changed_from_elsewhere() {
    let (world, mut browser) = (World::start(), Browser::default());
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    let (cookies, mut failures, mut cases) = (cookies(&browser), Vec::new(), 0);
    world.upstream.drain();
    for (method, site) in METHODS.iter().flat_map(|method| SITES.map(|site| (*method, site))) {
        for (origins, own) in origins(&world) {
            let answer = ask(&world, (method, "/x"), site, &origins, &cookies);
            let (reached, passes) = (world.upstream.drain().len(), passes(method, site, own));
            let good = match passes {
                true => answer.status == 200 && reached == 1,
                false => answer.status == 403 && answer.code() == "cross_site" && reached == 0,
            };
            if !good {
                failures.push(format!("{method} {site:?} {origins:?}: {} {reached} {}", answer.status, answer.text()));
            }
            cases += 1;
        }
    }
    report(cases, &failures);
    assert_eq!(ask(&world, ("GET", "/x"), None, &[], &cookies).status, 200, "still logged in");
}

/// Whoever opens it reads what comes (RFC 6455, section 10.2), so it is no reading like that of a page.
#[test]
fn by_a_session_no_socket_is_opened_from_elsewhere() {
    let (world, mut browser) = (World::start(), Browser::default());
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    let cookies = cookies(&browser);
    world.upstream.drain();
    for (site, (origins, own)) in SITES.iter().flat_map(|site| origins(&world).into_iter().map(move |one| (*site, one)))
    {
        let request = Request::get("/x").host(&world.address.to_string()).field("Cookie", &cookies);
        let socket = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
        let request = socket.iter().fold(request, |request, (name, value)| request.field(name, value));
        let request = request.field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let request = site.into_iter().fold(request, |request, site| request.field("Sec-Fetch-Site", site));
        let answer = origins.iter().fold(request, |request, one| request.field("Origin", one)).send(world.address);
        let passes = passes("POST", site, own);
        assert_eq!(world.upstream.drain().len(), usize::from(passes), "{site:?} {origins:?}: {}", answer.status);
        assert!(passes || answer.code() == "cross_site", "{site:?} {origins:?}: {} {}", answer.status, answer.text());
    }
}

/// Without a session there is nothing to be misused, so what is told is that one is needed.
#[test]
fn without_a_session_it_is_the_login_that_is_missing() {
    let world = World::start();
    for (cookies, code) in [("a=b", "no_credential"), ("tollgate-web=x", "session_expired")] {
        let answer = ask(&world, ("POST", "/x"), Some("cross-site"), &[], cookies);
        assert_eq!((answer.status, answer.code().as_str()), (401, code));
    }
}

#[test]
fn nobody_is_logged_out_from_elsewhere() {
    let (world, mut browser) = (World::start(), Browser::default());
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    let (mut failures, mut cases) = (Vec::new(), 0);
    for (site, (origins, own)) in SITES.iter().flat_map(|site| origins(&world).into_iter().map(move |one| (*site, one)))
    {
        let cookies = cookies(&browser);
        let answer = ask(&world, ("POST", "/.tollgate/logout"), site, &origins, &cookies);
        let lives = ask(&world, ("GET", "/x"), None, &[], &cookies).status == 200;
        let passes = passes("POST", site, own);
        let status = if passes { 303 } else { 403 };
        if answer.status != status || lives == passes {
            failures.push(format!("{site:?} {origins:?}: {} lives: {lives}", answer.status));
        }
        cases += 1;
        if !lives {
            // The person is still signed in at the issuer.
            browser.cookies.retain(|(_, name), _| !name.starts_with("tollgate-web"));
            assert_eq!(browser.visit(&world.url("/x")).response.status, 200);
        }
    }
    report(cases, &failures);
    for method in METHODS.iter().filter(|method| **method != "POST") {
        let answer = ask(&world, (method, "/.tollgate/logout"), Some("same-origin"), &[], &cookies(&browser));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
    assert_eq!(ask(&world, ("GET", "/x"), None, &[], &cookies(&browser)).status, 200);
}

/// The issuer's program and the issuer's form come from elsewhere by their nature, and bring their own proof.
#[test]
fn the_issuer_s_words_come_from_elsewhere() {
    let world = World::start();
    for (site, (origins, _)) in SITES.iter().flat_map(|site| origins(&world).into_iter().map(move |one| (*site, one))) {
        let answer = ask(&world, ("POST", "/.tollgate/backchannel-logout"), site, &origins, "a=b");
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("invalid_request")), "{site:?}");
    }
    let mut browser = Browser::default();
    let answer = answer_for(&world, &mut browser, "/x");
    let (_, query) = answer.split_once('?').expect("an answer");
    let target = format!("/.tollgate/callback?{query}");
    let redirected = ask(&world, ("GET", &target), Some("cross-site"), &[], &cookies(&browser));
    assert_eq!((redirected.status, redirected.header("location")), (303, Some("/x")));
    let posted = World::set(Setting { login: "response_mode = \"form_post\"", tls: true, ..Setting::default() });
    let mut browser = Browser::default();
    let page = posted.log_in(&mut browser, "/x");
    assert_eq!((page.response.status, page.url), (200, posted.url("/x")));
    assert!(browser.history.iter().any(|at| at.starts_with(&format!("POST {}", posted.url("/.tollgate/callback")))));
}
