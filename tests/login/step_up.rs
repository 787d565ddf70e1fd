//! Pages that need a stronger or a more recent sign-in than the session's (RFC 9470): the browser is sent back to the issuer
//! with that wish, once, and everybody else is told of it.

use serde_json::json;

use super::support::browser::{Browser, Page};
use super::support::client::Response;
use super::support::foreign::Foreign;
use super::support::{PATIENCE, eventually};
use super::{World, script};

const RULES: &str = r#"
[[routes]]
name = "strong"
path = "/strong"
upstream = "app"
login = "web"
acr = ["gold", "silver"]

[[routes]]
name = "stronger"
path = "/stronger"
upstream = "app"
login = "web"
acr = ["platinum"]

[[routes]]
name = "recent"
path = "/recent"
upstream = "app"
login = "web"
max_age = "2s"

[[authority.faults.on]]
fault = "unannounced_par"

[[authority.users]]
name = "bob"
sub = "user-bob"
password = "builder"
"#;

fn world() -> World {
    World::with("", RULES)
}

/// A browser in which alice is logged in, by password alone.
#[track_caller]
fn alice(world: &World) -> Browser {
    let mut browser = Browser::default();
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    world.upstream.drain();
    browser.history.clear();
    browser
}

/// What the issuer was asked in this browser.
fn asked(browser: &Browser) -> Vec<&String> {
    browser.history.iter().filter(|at| at.contains("/authorize?")).collect()
}

#[track_caller]
fn is_at(page: &Page, url: &str) {
    assert_eq!((page.url.as_str(), page.response.status), (url, 200), "{}", page.response.text());
}

/// A page with a reference number, which stands in the log beside the reason.
#[track_caller]
fn is_explained(world: &World, page: &Response, sentence: &str, detail: &str) {
    assert!(page.text().contains(sentence), "{}", page.text());
    let reference = page.text().split("login_failed, reference ").nth(1).expect("a reference")[..8].to_owned();
    let logged = world.gateway.until("the reference is in the log", || {
        world.gateway.access_log().into_iter().find(|line| line.to_string().contains(&reference))
    });
    assert!(logged.to_string().contains(detail), "{logged}");
}

#[test]
fn a_page_that_needs_a_stronger_sign_in_gets_one() {
    let world = world();
    let mut browser = alice(&world);
    let before = browser.cookies.clone();
    let page = browser.visit(&world.url("/strong?a=1"));
    assert!(page.response.text().contains("type=\"password\""), "{}", page.response.text());
    let page = browser.sign_in(page, "alice", "wonderland");
    is_at(&page, &world.url("/strong?a=1"));
    assert!(
        asked(&browser)[0].contains("acr_values=gold+silver") && asked(&browser).len() == 1,
        "{:?}",
        asked(&browser)
    );
    let seen = world.upstream.only();
    assert_eq!((seen.target.as_str(), seen.header("x-auth-subject")), ("/strong?a=1", Some("user-alice")));
    for path in ["/x", "/reader", "/strong"] {
        assert_eq!(script(&world, &mut browser, path).status, 200, "{path}");
    }
    let mut thief = Browser { cookies: before, ..Browser::default() };
    assert_eq!(script(&world, &mut thief, "/x").code(), "session_expired", "the session has a new id");
}

#[test]
fn who_has_to_log_in_anyway_does_it_once() {
    let (world, mut browser) = (world(), Browser::default());
    is_at(&world.log_in(&mut browser, "/strong"), &world.url("/strong"));
    assert_eq!(asked(&browser).len(), 1, "{:?}", browser.history);
}

#[test]
fn a_sealed_session_is_replaced_too() {
    let rules = format!("[sessions]\nstore = \"cookie\"\nkey = \"0123456789abcdef0123456789abcdef\"\n{RULES}");
    let world = World::with("", &rules);
    let mut browser = alice(&world);
    let page = browser.visit(&world.url("/strong"));
    is_at(&browser.sign_in(page, "alice", "wonderland"), &world.url("/strong"));
    assert_eq!(script(&world, &mut browser, "/x").status, 200);
}

#[test]
fn programs_are_told_what_is_needed_and_where() {
    let world = world();
    let mut browser = alice(&world);
    let refused = script(&world, &mut browser, "/strong");
    assert_eq!((refused.status, refused.code()), (401, "step_up_required".into()));
    assert_eq!(refused.bearer("error").as_deref(), Some("insufficient_user_authentication"));
    assert_eq!(refused.bearer("acr_values").as_deref(), Some("gold silver"));
    let login = format!("{}?login=web&acr_values=gold+silver&return_to=%2Fstrong", world.url("/.tollgate/login"));
    assert_eq!(refused.json()["login"], login);
    let form = browser.step("POST", &world.url("/strong"), "a=b");
    let link = format!("{}?login=web&amp;acr_values=gold+silver&amp;return_to=%2F", world.url("/.tollgate/login"));
    assert!(form.status == 401 && form.text().contains(&link), "{}", form.text());
    assert!(world.upstream.seen().is_empty(), "nothing reached the upstream");
    let page = browser.visit(&login);
    is_at(&browser.sign_in(page, "alice", "wonderland"), &world.url("/strong"));
}

#[test]
fn links_ask_for_no_more_than_the_routes_do() {
    let (world, mut browser) = (world(), Browser::default());
    // Of classes that a route asks for, each.
    let long = format!("acr_values={}", "gold+".repeat(103));
    let cases = [
        ("acr_values=gold", 303),
        ("acr_values=platinum+gold", 303),
        ("acr_values=", 303),
        ("max_age=0", 303),
        ("acr_values=bronze", 400),
        ("acr_values=gold+bronze", 400),
        ("acr_values=gold&acr_values=gold", 400),
        ("max_age=-1", 400),
        ("max_age=%2B1", 400),
        (&long, 400),
        ("max_age=x", 400),
        ("max_age=", 400),
    ];
    for (query, status) in cases {
        let answer = browser.step("GET", &world.url(&format!("/.tollgate/login?login=web&{query}")), "");
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
    }
}

#[test]
fn an_issuer_that_does_not_reach_it_ends_in_a_page_and_not_in_a_loop() {
    let world = world();
    let mut browser = alice(&world);
    world.order("fault=wrong_acr");
    let page = browser.visit(&world.url("/strong"));
    let page = browser.sign_in(page, "alice", "wonderland").response;
    assert_eq!(page.status, 400, "{}", page.text());
    is_explained(&world, &page, "needs a stronger sign-in", "the acr of the ID token is none of those");
    let again = "acr_values=gold+silver&amp;return_to=%2Fstrong\">Try again";
    assert!(page.text().contains(again), "who tries again asks for as much: {}", page.text());
    assert_eq!(asked(&browser).len(), 1, "{:?}", browser.history);
    assert!(world.upstream.seen().is_empty(), "nothing reached the upstream");
    assert_eq!(script(&world, &mut browser, "/x").status, 200, "the session that was there still is");
    assert_eq!(script(&world, &mut browser, "/strong").code(), "step_up_required");
    world.control("DELETE", "/faults?fault=wrong_acr", "");
    // An issuer may say so by itself (OpenID Connect Core Error Code unmet_authentication_requirements 1.0).
    browser.stop_at = Some(world.url("/.tollgate/callback"));
    let page = browser.visit(&world.url("/strong"));
    let page = browser.sign_in(page, "alice", "wonderland");
    browser.stop_at = None;
    let (state, iss) = (page.parameter("state").expect("a state"), world.at_authority(""));
    let refusal = format!("error=unmet_authentication_requirements&state={state}&iss={iss}");
    let page = browser.step("GET", &world.url(&format!("/.tollgate/callback?{refusal}")), "");
    assert_eq!(page.status, 400, "{}", page.text());
    is_explained(&world, &page, "needs a stronger sign-in", "unmet_authentication_requirements");
}

#[test]
fn a_page_that_needs_a_recent_sign_in_asks_for_one() {
    let world = world();
    let mut browser = alice(&world);
    let refused = eventually("the sign-in is too old", PATIENCE, || {
        let answer = script(&world, &mut browser, "/recent");
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((refused.status, refused.code()), (401, "step_up_required".into()));
    assert_eq!(refused.bearer("max_age").as_deref(), Some("2"));
    let login = format!("{}?login=web&max_age=2&return_to=%2Frecent", world.url("/.tollgate/login"));
    assert_eq!(refused.json()["login"], login);
    // The issuer counts in whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let page = browser.visit(&world.url("/recent"));
    assert!(page.response.text().contains("type=\"password\""), "{}", page.response.text());
    is_at(&browser.sign_in(page, "alice", "wonderland"), &world.url("/recent"));
    let asked = asked(&browser);
    assert!(asked.len() == 1 && asked[0].contains("max_age=2") && !asked[0].contains("prompt="), "{asked:?}");
}

/// Not every issuer knows `max_age`; every one knows `prompt=login`.
#[test]
fn an_issuer_that_does_not_know_max_age_is_asked_once_more_and_no_more() {
    let world = world();
    let mut browser = Browser::default();
    world.order("fault=old_auth_time&count=1");
    is_at(&world.log_in(&mut browser, "/recent"), &world.url("/recent"));
    let rounds: Vec<bool> = asked(&browser).iter().map(|at| at.contains("prompt=login")).collect();
    assert_eq!(rounds, [false, true], "{:?}", browser.history);
    let cases = [
        ("fault=old_auth_time", 2, "sign in anew", "older than max_age"),
        ("fault=missing_auth_time", 1, "does not say when you signed in", "no auth_time"),
    ];
    for (fault, rounds, sentence, detail) in cases {
        let mut browser = alice(&world);
        world.order(fault);
        // Its session has a good sign-in: only a link asks the issuer again.
        let page = browser.visit(&world.url("/.tollgate/login?login=web&return_to=%2Frecent&max_age=2"));
        let page = browser.sign_in(page, "alice", "wonderland").response;
        assert_eq!(page.status, 502, "{fault}: {}", page.text());
        is_explained(&world, &page, sentence, detail);
        assert_eq!(asked(&browser).len(), rounds, "{fault}: {:?}", browser.history);
        assert_eq!(script(&world, &mut browser, "/x").status, 200, "{fault}: the session that was there still is");
        world.control("DELETE", &format!("/faults?{fault}"), "");
    }
}

/// When the person signed in is told once, and no refresh changes it (OpenID Connect Core 1.0, section 12.2).
#[test]
fn a_refresh_does_not_forget_when_the_sign_in_was() {
    let recent =
        "[[routes]]\nname = \"recent\"\npath = \"/recent\"\nupstream = \"app\"\nlogin = \"web\"\nmax_age = \"1h\"";
    let world = Foreign::with(recent);
    world.provider.answer(|mut answer| {
        answer["expires_in"] = json!(1);
        answer
    });
    let (mut browser, _) = world.logged_in();
    world.provider.id_token(|good| good.without("auth_time").sign());
    eventually("a refresh", PATIENCE, || {
        assert_eq!(browser.send("GET", &world.url("/x"), &[], "").status, 200);
        world.provider.forms("/token").get(1).cloned()
    });
    assert_eq!(browser.send("GET", &world.url("/recent"), &[], "").status, 200, "{}", world.gateway.logs());
}

#[test]
fn a_link_may_ask_for_a_new_sign_in() {
    let world = world();
    let mut browser = alice(&world);
    let page = browser.visit(&world.url("/.tollgate/login?login=web&return_to=%2Frecent&max_age=0"));
    assert!(page.response.text().contains("type=\"password\""), "{}", page.response.text());
    is_at(&browser.sign_in(page, "alice", "wonderland"), &world.url("/recent"));
    let asked = asked(&browser);
    assert!(asked.len() == 1 && asked[0].contains("max_age=0") && asked[0].contains("prompt=login"), "{asked:?}");
}

#[test]
fn who_signs_in_as_somebody_else_is_somebody_else() {
    let world = world();
    let mut browser = alice(&world);
    let before = browser.cookies.clone();
    let page = browser.visit(&world.url("/strong"));
    is_at(&browser.sign_in(page, "bob", "builder"), &world.url("/strong"));
    let mut seen = world.upstream.drain();
    assert_eq!(seen.pop().expect("the page").header("x-auth-subject"), Some("user-bob"));
    assert!(seen.is_empty(), "one request: {seen:?}");
    assert_eq!(script(&world, &mut browser, "/x").status, 200);
    assert_eq!(world.upstream.only().header("x-auth-subject"), Some("user-bob"), "nothing of alice's is left");
    let mut thief = Browser { cookies: before, ..Browser::default() };
    assert_eq!(script(&world, &mut thief, "/x").code(), "session_expired");
}

#[test]
fn two_tabs_step_up_at_once() {
    let world = world();
    let mut browser = alice(&world);
    browser.stop_at = Some(world.url("/.tollgate/callback"));
    let mut answers = Vec::new();
    for path in ["/strong", "/stronger"] {
        let page = browser.visit(&world.url(path));
        answers.push((path, browser.sign_in(page, "alice", "wonderland").url));
    }
    browser.stop_at = None;
    for (path, answer) in answers.into_iter().rev() {
        is_at(&browser.visit(&answer), &world.url(path));
    }
    let strong = ["/x", "/strong", "/stronger"].map(|path| script(&world, &mut browser, path).status);
    assert_eq!(strong, [200, 200, 401], "the session is that of the sign-in that came last");
}
