//! When tokens are renewed and how often, whoever hangs up or loses an answer in the middle, and what becomes of a session
//! whose tokens cannot be renewed.

use std::sync::Barrier;
use std::thread::{scope, sleep};
use std::time::Duration;

use super::support::browser::Browser;
use super::support::client::{Conn, Request, Response};
use super::support::{eventually, uptime};
use super::{World, script};

const SEALED: &str = "[sessions]\nstore = \"cookie\"\nkey = \"0123456789abcdef0123456789abcdef\"";
/// A token that lives so long, and a refresh token that counts once: who brings it twice ends the session.
const ONCE: &str = "token_lifetime = \"3s\"\nrefresh_token_grace = \"0s\"";
/// The moment has come when a fifth of the life is left.
const LATE: Duration = Duration::from_millis(2500);

#[track_caller]
fn logged_in(world: &World) -> Browser {
    let mut browser = Browser::default();
    assert_eq!(world.log_in(&mut browser, "/reader").response.status, 200);
    browser
}

/// The token that the upstream got last.
fn bearer(world: &World) -> Option<String> {
    world.upstream.drain().pop()?.header("authorization").map(str::to_owned)
}

/// How often the issuer was asked for other tokens; it takes its time for each.
fn refreshes(world: &World) -> usize {
    world.gateway.stderr().lines().filter(|line| line.contains("made on purpose") && line.contains("refresh")).count()
}

fn asking(world: &World, browser: &Browser) -> Request {
    let crumbs: Vec<_> = browser.cookies.iter().map(|((_, name), value)| format!("{name}={value}")).collect();
    let request = Request::get("/reader").host(&world.address.to_string()).field("Cookie", &crumbs.join("; "));
    request.field("Sec-Fetch-Mode", "cors").field("Sec-Fetch-Site", "same-origin")
}

#[test]
fn requests_that_come_at_once_renew_once() {
    for sessions in ["", SEALED] {
        let world = World::with("", &format!("{ONCE}\n{sessions}"));
        let browser = logged_in(&world);
        let before = bearer(&world);
        world.order("fault=slow&at=refresh&delay=400ms");
        sleep(LATE);
        let gate = Barrier::new(40);
        let answers: Vec<Response> = scope(|scope| {
            let ask = |_| {
                scope.spawn(|| {
                    gate.wait();
                    asking(&world, &browser).send(world.address)
                })
            };
            let all: Vec<_> = (0..40).map(ask).collect();
            all.into_iter().map(|one| one.join().expect("an answer")).collect()
        });
        assert!(answers.iter().all(|answer| answer.status == 200), "{}", world.gateway.logs());
        assert_eq!(refreshes(&world), 1, "{}", world.gateway.logs());
        let seen = world.upstream.drain();
        let tokens: std::collections::BTreeSet<_> = seen.iter().map(|seen| seen.header("authorization")).collect();
        assert!(tokens.len() == 1 && !tokens.contains(&before.as_deref()), "{tokens:?}");
    }
}

#[test]
fn who_hangs_up_cancels_nothing() {
    let world = World::with("", ONCE);
    let mut browser = logged_in(&world);
    let before = bearer(&world);
    world.order("fault=slow&at=refresh&delay=700ms");
    sleep(LATE);
    let mut conn = Conn::open(world.address);
    conn.send(asking(&world, &browser).bytes());
    world.gateway.until("the refresh runs", || (refreshes(&world) == 1).then_some(()));
    conn.hang_up();
    // Its own request is gone; the tokens are there for the next one, which need not ask for them again.
    sleep(Duration::from_millis(1000));
    assert_eq!(script(&world, &mut browser, "/reader").status, 200, "{}", world.gateway.logs());
    assert_ne!(bearer(&world), before);
    assert_eq!(refreshes(&world), 1);
}

/// Who asks for the session by a script gets what was renewed as by any other request.
#[test]
fn a_sealed_session_is_renewed_by_asking_for_it() {
    let world = World::with("", &format!("{ONCE}\n{SEALED}"));
    let mut browser = logged_in(&world);
    let before = bearer(&world);
    world.order("fault=slow&at=refresh&delay=1ms");
    sleep(LATE);
    let asked = script(&world, &mut browser, "/.tollgate/session");
    assert_eq!((asked.status, asked.head.all("set-cookie").len(), refreshes(&world)), (200, 1, 1), "{:?}", asked.head);
    assert_eq!(script(&world, &mut browser, "/reader").status, 200);
    let after = bearer(&world);
    assert!(after.is_some() && after != before && refreshes(&world) == 1, "{}", world.gateway.logs());
}

/// Whom an operator puts out while the tokens are renewed is out, though the issuer gives new ones.
#[test]
fn a_session_that_ends_while_it_is_refreshed_does_not_come_back() {
    let world = World::with("", ONCE);
    let browser = logged_in(&world);
    world.order("fault=slow&at=refresh&delay=2s");
    sleep(LATE);
    let waiting = asking(&world, &browser);
    let mut conn = Conn::open(world.address);
    conn.send(waiting.bytes());
    world.gateway.until("the refresh runs", || (refreshes(&world) == 1).then_some(()));
    world.upstream.drain();
    let out = Request::new("DELETE", "/sessions?sub=user-alice").host("localhost").send(world.gateway.admin());
    assert_eq!(out.status, 200, "{}", out.text());
    let answer = conn.response("GET");
    assert_eq!((answer.status, answer.code()), (401, "session_expired".into()), "{}", world.gateway.logs());
    assert_eq!(waiting.send(world.address).code(), "session_expired");
    assert!(world.upstream.seen().is_empty());
}

/// The answer with the new cookies never arrives, so the browser comes with the old ones, in which the old refresh token is.
#[test]
fn an_answer_that_the_browser_loses_is_survived() {
    let world = World::with("", &format!("{ONCE}\n{SEALED}"));
    let mut browser = logged_in(&world);
    let before = bearer(&world);
    world.order("fault=slow&at=refresh&delay=1ms");
    sleep(LATE);
    let lost = asking(&world, &browser).send(world.address);
    assert!(lost.status == 200 && lost.head.all("set-cookie").len() == 1, "{:?}", lost.head);
    let first = bearer(&world);
    assert_ne!(first, before);
    sleep(Duration::from_secs(1));
    assert_eq!(script(&world, &mut browser, "/reader").status, 200, "{}", world.gateway.logs());
    assert_eq!((bearer(&world), refreshes(&world)), (first.clone(), 1), "the same tokens");
    assert_eq!(script(&world, &mut browser, "/reader").status, 200, "with the cookies that arrived");
    assert_eq!((bearer(&world), refreshes(&world)), (first, 1));
}

/// The issuer gave other tokens, and its answer was lost: it gives them once more within its own grace.
#[test]
fn an_answer_that_the_gateway_loses_is_asked_for_again() {
    // There are two seconds and a half from when the first attempt is due, and a pause of one behind it.
    let world = World::with("", "token_lifetime = \"12s\"");
    let mut browser = logged_in(&world);
    let before = bearer(&world);
    world.order("fault=huge&at=refresh&count=1");
    eventually("other tokens go up", Duration::from_secs(20), || {
        assert_eq!(script(&world, &mut browser, "/reader").status, 200, "{}", world.gateway.logs());
        (bearer(&world) != before).then_some(())
    });
    assert_eq!(refreshes(&world), 1, "one was lost");
    assert!(world.gateway.stderr().contains("a session could not be refreshed"));
}

/// The session is as good as its tokens while the issuer cannot be asked, and is not lost with them.
#[test]
fn an_issuer_that_is_away_ends_no_session_and_breaks_nothing() {
    let world = World::with("", "token_lifetime = \"3s\"");
    let mut browser = logged_in(&world);
    world.order("fault=status&at=refresh");
    let (mut statuses, began) = (Vec::new(), uptime());
    eventually("the tokens are over", Duration::from_secs(20), || {
        let answer = script(&world, &mut browser, "/reader");
        statuses.push(answer.status);
        (answer.code() == "session_expired").then_some(())
    });
    assert!(statuses.iter().filter(|status| **status == 200).count() > 5, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 401)), "{statuses:?}");
    // It is asked once a second at most, however many requests come.
    let (asked, took) = (refreshes(&world) as u64, uptime() - began);
    assert!((1..=took.as_secs() + 1).contains(&asked), "{asked} times in {took:?}");
    world.control("DELETE", "/faults", "");
    eventually("the session goes on", Duration::from_secs(20), || {
        let answer = script(&world, &mut browser, "/reader");
        assert!(matches!(answer.status, 200 | 401), "{}", answer.status);
        (answer.status == 200).then_some(())
    });
}

#[test]
fn a_person_whose_session_cannot_be_renewed_is_led_over_a_login() {
    let world = World::with("", ONCE);
    let mut browser = logged_in(&world);
    let id = World::session_cookie(&browser);
    world.order("fault=invalid_grant&at=refresh&count=1");
    let listed = || world.gateway.admin_page("/sessions?sub=user-alice").json()["sessions"].as_array().map(Vec::len);
    sleep(LATE);
    assert_eq!((listed(), script(&world, &mut browser, "/reader").code()), (Some(1), "session_expired".into()));
    assert_eq!(listed(), Some(0), "it is gone, not only refused");
    let page = browser.visit(&world.url("/reader?a=1"));
    assert_eq!((page.response.status, page.url), (200, world.url("/reader?a=1")), "{:?}", browser.history);
    assert_ne!(World::session_cookie(&browser), id);
}

/// `offline_access` is how most issuers are asked for a refresh token, not what makes one.
#[test]
fn any_refresh_token_that_came_is_used() {
    let plain = r#"
token_lifetime = "3s"

[[routes]]
name = "plain"
path = "/plain"
upstream = "app"
login = "plain"
credential = "pass"

[logins.plain]
issuer = "main"
client_id = "plain"
scopes = ["orders:read"]
public_url = "http://@address"
callback = "/.tollgate/callback/plain"

[[authority.clients]]
id = "plain"
grants = ["authorization_code", "refresh_token"]
redirect_uris = ["http://@address/.tollgate/callback/plain"]
scopes = ["openid", "orders:read"]
"#;
    let (world, mut browser) = (World::with("", plain), Browser::default());
    assert_eq!(world.log_in(&mut browser, "/plain").response.status, 200);
    let before = bearer(&world);
    assert!(before.is_some());
    sleep(LATE);
    assert_eq!(script(&world, &mut browser, "/plain").status, 200);
    assert_ne!(bearer(&world), before, "{}", world.gateway.logs());
}
