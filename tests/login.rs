//! Browsers in front of an application: the real gateway, the embedded authority as issuer, and a browser in the test.
//! Items of other gateways' bug lists are named after what went wrong there.

#[path = "login/answers.rs"]
mod answers;
#[path = "login/asks.rs"]
mod asks;
#[path = "login/client_auth.rs"]
mod client_auth;
#[path = "login/cookies.rs"]
mod cookies;
#[path = "login/cross_site.rs"]
mod cross_site;
#[path = "login/ends.rs"]
mod ends;
#[path = "login/form_post.rs"]
mod form_post;
#[path = "login/lives.rs"]
mod lives;
#[path = "login/named_bugs.rs"]
mod named_bugs;
#[path = "login/pages.rs"]
mod pages;
#[path = "login/refresh.rs"]
mod refresh;
#[path = "login/refreshing.rs"]
mod refreshing;
#[path = "login/rounds.rs"]
mod rounds;
#[path = "login/several.rs"]
mod several;
#[path = "login/single_page.rs"]
mod single_page;
#[path = "login/step_up.rs"]
mod step_up;
mod support;
#[path = "login/threats.rs"]
mod threats;
#[path = "login/who_is_redirected.rs"]
mod who_is_redirected;

use serde_json::json;
use support::browser::Browser;
use support::client::Response;
use support::world::World;
use support::{PATIENCE, eventually};

/// A script of the application asks: no navigation.
fn script(world: &World, browser: &mut Browser, path: &str) -> Response {
    let fields = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin"), ("Accept", "*/*")];
    browser.send("GET", &world.url(path), &fields, "")
}

#[test]
fn a_browser_logs_in_and_comes_back_to_where_it_wanted() {
    let (world, mut browser) = (World::start(), Browser::default());
    let page = world.log_in(&mut browser, "/deep/page?a=1&b=%2F");
    assert_eq!((page.response.status, page.url.as_str()), (200, world.url("/deep/page?a=1&b=%2F").as_str()));
    let seen = world.upstream.only();
    assert_eq!(seen.target, "/deep/page?a=1&b=%2F", "before the login nothing reached the upstream");
    assert_eq!(seen.header("x-auth-subject"), Some("user-alice"));
    assert_eq!(seen.header("x-auth-client"), Some("web"));
    assert_eq!(seen.header("x-auth-scopes"), Some("openid profile offline_access orders:read"));
    assert_eq!(seen.header("authorization"), None, "no token goes up unless the route says so");
    assert_eq!(seen.header("cookie").filter(|cookies| cookies.contains("tollgate-web")), None);
    assert_eq!(browser.visit(&world.url("/again")).response.status, 200);
    let ours = |name: &&str| name.starts_with("tollgate-") && !name.starts_with("tollgate-authority");
    let names: Vec<_> = browser.cookies.keys().map(|(_, name)| name.as_str()).filter(ours).collect();
    assert_eq!(names, ["tollgate-web", "tollgate-web-round"], "what the login needed on the way is gone");
}

#[test]
fn rules_hold_for_sessions_and_a_route_may_pass_the_token() {
    let (world, mut browser) = (World::start(), Browser::default());
    let page = world.log_in(&mut browser, "/reader");
    assert_eq!(page.response.status, 200);
    let bearer = world.upstream.only().header("authorization").expect("the route passes it").to_owned();
    assert!(bearer.starts_with("Bearer ey"), "{bearer}");
    let refused = script(&world, &mut browser, "/writer");
    assert_eq!((refused.status, refused.code()), (403, "insufficient_scope".into()));
}

#[test]
fn only_navigations_are_redirected() {
    let (world, mut browser) = (World::start(), Browser::default());
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("GET", &[("Sec-Fetch-Mode", "cors"), ("Accept", "text/html")]),
        ("GET", &[("Accept", "application/json")]),
        ("GET", &[]),
        ("OPTIONS", &[("Origin", "https://x.example"), ("Access-Control-Request-Method", "POST")]),
        ("GET", &[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-Fetch-Mode", "websocket")]),
    ];
    for (method, fields) in cases {
        let answer = browser.send(method, &world.url("/x?y=z"), fields, "");
        assert_eq!((answer.status, answer.code()), (401, "no_credential".into()), "{fields:?}");
        assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")));
        let login = format!("http://{}/.tollgate/login?login=web&return_to=%2Fx%3Fy%3Dz", world.address);
        assert_eq!(answer.json()["login"], login, "{method} {fields:?}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    let answer = browser.step("POST", &world.url("/x"), "a=b");
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("href=\"http://") && answer.text().contains("Log in"), "{}", answer.text());
    assert!(world.upstream.seen().is_empty(), "nothing reached the upstream");
    let page = browser.visit(&world.url("/.tollgate/login?login=web&return_to=%2Fx"));
    assert_eq!(browser.sign_in(page, "alice", "wonderland").url, world.url("/x"));
}

#[test]
fn a_request_with_another_host_is_not_redirected() {
    let (world, mut browser) = (World::start(), Browser::default());
    let navigation = [("Sec-Fetch-Mode", "navigate")];
    let evil = format!("evil.example:{}", world.address.port());
    let request = support::client::Request::get("/x").host(&evil).field(navigation[0].0, navigation[0].1);
    let answer = world.gateway.call(&request);
    assert_eq!((answer.status, answer.header("location")), (401, None));
    for path in ["login", "callback", "session", "logged-out"] {
        let answer = world.gateway.call(&support::client::Request::get(&format!("/.tollgate/{path}")).host(&evil));
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(browser.step("GET", &world.url("/.tollgate/nothing"), "").status, 404);
}

#[test]
fn authorization_decides_beside_a_session() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.log_in(&mut browser, "/x");
    let bad = browser.send("GET", &world.url("/x"), &[("Authorization", "Bearer x")], "");
    assert_eq!(bad.status, 401, "a session does not save a bad token");
    let other = browser.send("GET", &world.url("/x"), &[("Authorization", "Basic YTpi")], "");
    assert_eq!((other.status, other.code()), (401, "no_credential".into()));
    let mut nobody = Browser::default();
    let bearer =
        nobody.send("GET", &world.url("/x"), &[("Authorization", "Bearer x"), ("Sec-Fetch-Mode", "navigate")], "");
    assert_eq!((bearer.status, bearer.header("location")), (401, None), "the mere presence of a token skips nothing");
}

#[test]
fn a_token_elsewhere_decides_beside_a_session_as_well() {
    let from = "[[routes]]\nname = \"both\"\npath = \"/both\"\nupstream = \"app\"\nlogin = \"web\"\n\
                token_from = { query = \"access_token\", cookie = \"jwt\" }";
    let (world, mut browser) = (World::with("", from), Browser::default());
    world.log_in(&mut browser, "/both");
    world.upstream.drain();
    for (path, status, code) in [
        ("/both", 200, ""),
        ("/both?access_token=x", 401, "malformed_token"),
        ("/both?access_token=", 400, "bad_credential_syntax"),
        ("/both?access_token=x&access_token=x", 400, "bad_credential_syntax"),
    ] {
        let answer = script(&world, &mut browser, path);
        assert_eq!(
            (answer.status, answer.status == 200 || answer.code() == code),
            (status, true),
            "{path}: {}",
            answer.text()
        );
        assert_eq!(world.upstream.drain().len(), usize::from(status == 200), "{path}");
    }
}

#[test]
fn open_redirects_stay_at_home() {
    let world = World::start();
    for asked in
        ["//evil.example", "/%5Cevil.example", "https:%2F%2Fevil.example", "/%2F/evil", "%09//evil.example", ".evil"]
    {
        let mut browser = Browser::default();
        let page = browser.visit(&world.url(&format!("/.tollgate/login?return_to={asked}")));
        let back = browser.sign_in(page, "alice", "wonderland");
        assert_eq!(back.url, world.url("/"), "{asked}");
    }
}

#[test]
fn a_logout_leads_to_places_of_the_application_alone() {
    let (world, mut browser) = (World::start(), Browser::default());
    let logout = |target: &str| world.url(&format!("/.tollgate/logout?return_to={target}"));
    let cases =
        [("//evil.example", "/"), ("https:%2F%2Fevil.example", "/"), ("/%2Fevil", "/"), ("/public%3Fa", "/public?a")];
    for (asked, leads_to) in cases {
        let nobody = browser.step("POST", &logout(asked), "");
        assert_eq!((nobody.status, nobody.header("location")), (303, Some(leads_to)), "without a session: {asked}");
        world.log_in(&mut browser, "/x");
        let page = browser.post(&logout(asked), "");
        let end = if leads_to == "/" { "/.tollgate/logged-out?state=" } else { leads_to };
        assert!(page.url.starts_with(&world.url(end)), "{asked}: {}", page.url);
        assert!(!browser.history.iter().any(|at| at.contains("://evil")), "{asked}: {:?}", browser.history);
    }
}

/// The URL of the callback with a good answer in it, not yet visited.
#[track_caller]
fn answer_for(world: &World, browser: &mut Browser, path: &str) -> String {
    browser.stop_at = Some(world.url("/.tollgate/callback"));
    let page = browser.visit(&world.url(path));
    let page = browser.sign_in(page, "alice", "wonderland");
    browser.stop_at = None;
    assert!(page.url.contains("/.tollgate/callback?"), "{} {}", page.url, page.response.text());
    page.url
}

#[test]
fn login_csrf_a_foreign_answer_is_refused_and_an_answer_works_once() {
    let world = World::start();
    let (mut attacker, mut victim) = (Browser::default(), Browser::default());
    let answer = answer_for(&world, &mut attacker, "/x");
    let refused = victim.step("GET", &answer, "");
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(World::session_cookie(&victim), None);
    assert!(refused.text().contains("login_failed, reference"), "{}", refused.text());
    let reference = refused.text().split("reference ").nth(1).unwrap()[..8].to_owned();
    let logged = world.gateway.until("the reference is in the log", || {
        world.gateway.access_log().into_iter().find(|line| line.to_string().contains(&reference))
    });
    assert_eq!(logged["denial"], "login_failed");
    let before = attacker.cookies.clone();
    assert_eq!(attacker.step("GET", &answer, "").status, 303);
    assert!(World::session_cookie(&attacker).is_some());
    attacker.cookies = before;
    assert_eq!(attacker.step("GET", &answer, "").status, 400, "with the same cookies, once more");
}

#[test]
fn answers_that_are_not_ours_make_no_session() {
    let world = World::start();
    let with = |good: &str, name: &str, value: &str| {
        let (path, query) = good.split_once('?').unwrap();
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        let changed = pairs.map(|(found, old)| {
            let value = if found == name { value.replace('@', &old) } else { old };
            (found, value)
        });
        format!("{path}?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(changed).finish())
    };
    let without = |good: &str, name: &str| {
        let (path, query) = good.split_once('?').unwrap();
        let kept = query.split('&').filter(|pair| pair.split('=').next() != Some(name));
        format!("{path}?{}", kept.collect::<Vec<_>>().join("&"))
    };
    type Change<'c> = &'c dyn Fn(&str) -> String;
    let cases: [(&str, u16, Change<'_>); 11] = [
        ("as it came", 303, &str::to_owned),
        ("another state", 400, &|good| with(good, "state", "@1")),
        ("an empty state", 400, &|good| with(good, "state", "")),
        ("no state", 400, &|good| without(good, "state")),
        ("two states", 400, &|good| format!("{good}&state=x")),
        ("two codes", 400, &|good| format!("{good}&code=x")),
        ("another issuer", 400, &|good| with(good, "iss", "@1")),
        ("an empty issuer", 400, &|good| with(good, "iss", "")),
        ("no issuer, though it is announced", 400, &|good| without(good, "iss")),
        ("another code", 400, &|good| with(good, "code", "@1")),
        ("denied", 400, &|good| format!("{}&error=access_denied", without(good, "code"))),
    ];
    for (what, status, change) in cases {
        // Each has a login of its own: an answer that was looked at once is used up.
        let mut browser = Browser::default();
        let good = answer_for(&world, &mut browser, "/x");
        let answer = browser.step("GET", &change(&good), "");
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(World::session_cookie(&browser).is_some(), status == 303, "{what}");
    }
    let mut browser = Browser::default();
    let good = answer_for(&world, &mut browser, "/x");
    let (path, query) = good.split_once('?').unwrap();
    assert_eq!(browser.step("POST", path, query).status, 405, "posted, and the response mode is query");
    assert!(world.upstream.seen().is_empty());
}

#[test]
fn two_tabs_log_in_at_once() {
    let (world, mut browser) = (World::start(), Browser::default());
    let one = answer_for(&world, &mut browser, "/one");
    let two = answer_for(&world, &mut browser, "/two");
    let second = browser.visit(&two);
    assert_eq!((second.url.as_str(), second.response.status), (world.url("/two").as_str(), 200));
    let first = browser.visit(&one);
    assert_eq!((first.url.as_str(), first.response.status), (world.url("/one").as_str(), 200));
}

#[test]
fn a_planted_session_id_never_becomes_a_session() {
    let (world, mut browser) = (World::start(), Browser::default());
    let host = world.address.ip().to_string();
    browser.cookies.insert((host, "tollgate-web".into()), "planted".into());
    let expired = script(&world, &mut browser, "/x");
    assert_eq!((expired.status, expired.code()), (401, "session_expired".into()));
    world.log_in(&mut browser, "/x");
    assert_ne!(World::session_cookie(&browser).as_deref(), Some("planted"));
    let mut attacker = Browser {
        cookies: [((world.address.ip().to_string(), "tollgate-web".into()), "planted".into())].into(),
        ..Browser::default()
    };
    assert_eq!(script(&world, &mut attacker, "/x").status, 401);
}

#[test]
fn the_application_asks_who_is_logged_in() {
    let (world, mut browser) = (World::start(), Browser::default());
    let nobody = script(&world, &mut browser, "/.tollgate/session");
    assert_eq!((nobody.status, nobody.code()), (401, "no_credential".into()));
    world.log_in(&mut browser, "/x");
    let answer = script(&world, &mut browser, "/.tollgate/session");
    let mut document = answer.json();
    assert!(document["expires_at"].take().is_i64());
    // The authority puts `department` into access tokens; an ID token has it only when it is asked for.
    assert_eq!(document, json!({ "login": "web", "sub": "user-alice", "claims": {}, "expires_at": null }));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn unsafe_methods_from_other_sites_are_refused() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.log_in(&mut browser, "/x");
    world.upstream.drain();
    let own = format!("http://{}", world.address);
    let cases: [(&[(&str, &str)], u16); 6] = [
        (&[], 200),
        (&[("Sec-Fetch-Site", "same-origin")], 200),
        (&[("Sec-Fetch-Site", "cross-site")], 403),
        (&[("Sec-Fetch-Site", "same-site")], 403),
        (&[("Origin", &own)], 200),
        (&[("Origin", "https://evil.example")], 403),
    ];
    for (fields, status) in cases {
        assert_eq!(browser.send("POST", &world.url("/x"), fields, "").status, status, "{fields:?}");
    }
    let evil = [("Sec-Fetch-Site", "cross-site")];
    assert_eq!(browser.send("POST", &world.url("/.tollgate/logout"), &evil, "").code(), "cross_site");
    assert_eq!(browser.send("GET", &world.url("/.tollgate/logout"), &[], "").status, 405);
    assert_eq!(script(&world, &mut browser, "/x").status, 200, "still logged in");
    assert_eq!(browser.send("GET", &world.url("/x"), &evil, "").status, 200, "a link from elsewhere may lead here");
}

#[test]
fn logout_ends_the_session_here_and_at_the_issuer() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.log_in(&mut browser, "/x");
    let cookies = browser.cookies.clone();
    let page = browser.post(&world.url("/.tollgate/logout?return_to=%2Fpublic"), "");
    assert_eq!(
        (page.url.as_str(), page.response.status),
        (world.url("/public").as_str(), 200),
        "{:?}",
        browser.history
    );
    assert!(browser.history.iter().any(|at| at.contains(&format!("{}/logout?id_token_hint=", world.authority))));
    assert_eq!(World::session_cookie(&browser), None);
    let mut thief = Browser { cookies, ..Browser::default() };
    assert_eq!(script(&world, &mut thief, "/x").code(), "session_expired", "the old cookie is dead");
    let again = browser.visit(&world.url("/x"));
    assert!(again.response.text().contains("password"), "the issuer asks anew: {}", again.response.text());
}

#[test]
fn the_issuer_ends_a_session_behind_the_browser_s_back() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.log_in(&mut browser, "/x");
    let page = browser.visit(&format!("http://{}/logout", world.authority));
    browser.submit(&page, &[]);
    eventually("the session is over", PATIENCE, || {
        (script(&world, &mut browser, "/x").code() == "session_expired").then_some(())
    });
}

#[test]
fn tokens_are_refreshed_when_a_request_comes_near_their_end() {
    let world = World::with("", "token_lifetime = \"2s\"");
    let mut browser = Browser::default();
    world.log_in(&mut browser, "/reader");
    let first = world.upstream.only().header("authorization").unwrap().to_owned();
    eventually("another token goes up", PATIENCE, || {
        assert_eq!(script(&world, &mut browser, "/reader").status, 200);
        (world.upstream.drain().pop()?.header("authorization")? != first).then_some(())
    });
}

#[test]
fn sealed_sessions_live_in_the_browser() {
    let world = World::with(
        "",
        "[sessions]\nstore = \"cookie\"\nkey = \"0123456789abcdef0123456789abcdef\"\n[authority.scopes]\n\"orders:read\" = \"x\"",
    );
    let mut browser = Browser::default();
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    let good = World::session_cookie(&browser).expect("a sealed session");
    let key = browser.cookies.iter().find(|(_, value)| **value == good).map(|(key, _)| key.clone()).unwrap();
    let mut answers = std::collections::BTreeSet::new();
    for at in (2..good.len()).step_by(good.len() / 40) {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        browser.cookies.insert(key.clone(), String::from_utf8(bytes).unwrap());
        let refused = script(&world, &mut browser, "/x");
        answers.insert((refused.status, refused.text()));
    }
    assert_eq!(answers.len(), 1, "one and the same answer: {answers:?}");
    browser.cookies.insert(key, good);
    assert_eq!(script(&world, &mut browser, "/x").status, 200);
    browser.post(&world.url("/.tollgate/logout"), "");
    assert_eq!(World::session_cookie(&browser), None);
}
