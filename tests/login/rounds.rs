//! Logins that lead nowhere: after a few rounds, or at once where no cookies are kept, a page says what is wrong.

use super::support::browser::{Browser, Page};
use super::{World, answer_for, script};

/// How often the browser was sent to the issuer.
fn rounds(browser: &Browser) -> usize {
    browser.history.iter().filter(|at| at.contains("/authorize?")).count()
}

/// A page in place of another redirect, whose reference stands in the log beside the reason.
#[track_caller]
fn is_explained(world: &World, page: &Page, sentence: &str, detail: &str) {
    let text = page.response.text();
    assert!(page.response.status == 400 && text.contains(sentence), "{} {} {text}", page.url, page.response.status);
    let reference = text.split("login_failed, reference ").nth(1).expect("a reference")[..8].to_owned();
    let logged = world.gateway.until("the reference is in the log", || {
        world.gateway.access_log().into_iter().find(|line| line.to_string().contains(&reference))
    });
    assert!(logged["denial"] == "login_failed" && logged.to_string().contains(detail), "{logged}");
}

fn has(browser: &Browser, name: &str) -> bool {
    browser.cookies.keys().any(|(_, held)| held == name)
}

#[test]
fn a_browser_that_keeps_no_cookies_is_told_so_at_once() {
    for posted in ["", "response_mode = \"form_post\""] {
        let world = match posted {
            "" => World::start(),
            login => World::set(super::support::world::Setting { login, tls: true, ..Default::default() }),
        };
        let ours = |name: &str| name.contains("tollgate-web");
        let mut browser = Browser { refuses: Some(ours), ..Browser::default() };
        let page = world.log_in(&mut browser, "/x");
        is_explained(&world, &page, "did not bring back the cookie of this login", "did not come back");
        assert_eq!(rounds(&browser), 1, "{:?}", browser.history);
        assert!(world.upstream.seen().is_empty());
    }
}

#[test]
fn a_browser_that_keeps_no_cookie_of_the_session_is_told_so_after_three_rounds() {
    let settings = ["", "[sessions]\nstore = \"cookie\"\nkey = \"0123456789abcdef0123456789abcdef\""];
    for sessions in settings {
        let world = World::with("", sessions);
        let of_session = |name: &str| matches!(name, "tollgate-web" | "tollgate-web-0" | "tollgate-web-1");
        let mut browser = Browser { refuses: Some(of_session), ..Browser::default() };
        let page = world.log_in(&mut browser, "/x?a=1");
        is_explained(&world, &page, "does not send back the cookie", "no cookie of the session came back");
        assert_eq!(rounds(&browser), 3, "{:?}", browser.history);
        // The page ends the count: who has changed something may try again, and gets as far as then.
        assert!(!has(&browser, "tollgate-web-round"));
        let page = browser.visit(&world.url("/x?a=1"));
        is_explained(&world, &page, "does not send back the cookie", "no cookie of the session came back");
        assert_eq!(rounds(&browser), 6, "{:?}", browser.history);
        browser.refuses = None;
        assert_eq!(browser.visit(&world.url("/x")).response.status, 200);
    }
}

#[test]
fn a_session_that_ends_at_once_is_told_of_after_three_rounds() {
    let (world, mut browser) = (World::with("", "[sessions]\nlifetime = \"1ms\""), Browser::default());
    let page = world.log_in(&mut browser, "/x");
    is_explained(&world, &page, "it ends at once", "there is no session that serves");
    assert_eq!(rounds(&browser), 3, "{:?}", browser.history);
}

#[test]
fn a_cookie_that_comes_twice_is_told_of_after_three_rounds() {
    let (world, mut browser) = (World::start(), Browser::default());
    // As a page of another path or host can plant one, where cookies have no `__Host-`.
    let planted = (world.address.ip().to_string(), "a=b; tollgate-web".to_owned());
    browser.cookies.insert(planted, "planted".into());
    let page = world.log_in(&mut browser, "/x");
    is_explained(&world, &page, "more than one cookie", "came more than once");
    assert_eq!(rounds(&browser), 3, "{:?}", browser.history);
}

/// No login of the same person changes what a claim says, so none begins for it, neither at once nor when the page is asked for
/// again.
#[test]
fn whom_a_rule_refuses_is_told_so_after_one_login() {
    let (world, mut browser) = (World::start(), Browser::default());
    let page = world.log_in(&mut browser, "/sales");
    for page in [page, browser.visit(&world.url("/sales"))] {
        let text = page.response.text();
        assert_eq!((page.response.status, page.url), (403, world.url("/sales")), "{text}");
        let kind = page.response.header("content-type");
        assert!(kind.is_some_and(|kind| kind.starts_with("text/html")) && text.contains("claim_refused"), "{text}");
        assert!(!text.contains(">Log in<") && text.contains(">Log in with another account<"), "{text}");
    }
    assert_eq!(rounds(&browser), 1, "{:?}", browser.history);
    assert!(world.upstream.seen().is_empty(), "nothing reached the upstream");
    assert_eq!(browser.visit(&world.url("/x")).response.status, 200, "the session is good for what the rules allow");
    assert_eq!(rounds(&browser), 1, "{:?}", browser.history);
}

/// A script that goes to the login whenever it is told 401 goes in rounds, too.
#[test]
fn the_way_by_a_script_ends_as_well() {
    let world = World::start();
    let mut browser = Browser { refuses: Some(|name| name == "tollgate-web"), ..Browser::default() };
    assert_eq!(script(&world, &mut browser, "/x").status, 401);
    let login = world.url("/.tollgate/login?login=web&return_to=%2Fpublic%3Fpage&max_age=600");
    let page = browser.visit(&login);
    assert_eq!(browser.sign_in(page, "alice", "wonderland").response.status, 200);
    for _ in 1..3 {
        assert_eq!(script(&world, &mut browser, "/x").status, 401);
        assert_eq!(browser.visit(&login).url, world.url("/public?page"));
    }
    let page = browser.visit(&login);
    is_explained(&world, &page, "does not send back the cookie", "no cookie of the session came back");
    let again = page.response.text();
    assert!(
        again.contains("max_age=600&amp;return_to=%2Fpublic%3Fpage\">Try again"),
        "who tries again asks for as much: {again}"
    );
}

#[test]
fn nobody_can_make_a_count_up() {
    let (world, mut browser) = (World::start(), Browser::default());
    let host = world.address.ip().to_string();
    let mut of_others = Browser::default();
    assert_eq!(world.log_in(&mut of_others, "/x").response.status, 200);
    let sealed = &of_others.cookies[&(host.clone(), "tollgate-web-round".into())];
    assert!(!sealed.contains('{') && sealed.len() < 300, "{sealed}");
    let cut = sealed[..sealed.len() - 4].to_owned();
    for made_up in ["3", "{\"count\":3}", "", "AAAA", &cut] {
        browser.cookies.insert((host.clone(), "tollgate-web-round".into()), made_up.into());
        let sent = browser.step("GET", &world.url("/x"), "");
        assert_eq!(sent.status, 303, "{made_up}");
    }
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
}

#[test]
fn logins_that_lead_somewhere_are_no_rounds() {
    let (world, mut browser) = (World::start(), Browser::default());
    // Four tabs of one page, restored at once.
    let tabs: Vec<String> = (0..4).map(|_| answer_for(&world, &mut browser, "/x")).collect();
    for tab in tabs {
        assert_eq!(browser.visit(&tab).response.status, 200);
    }
    browser.cookies.retain(|(_, name), _| name != "tollgate-web");
    assert_eq!(browser.visit(&world.url("/x")).response.status, 200, "its session is gone, and it logs in");
    // Out and in, again and again.
    for _ in 0..5 {
        browser.post(&world.url("/.tollgate/logout"), "");
        assert!(!has(&browser, "tollgate-web-round"));
        assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    }
}
