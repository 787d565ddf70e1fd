//! Answers of the issuer that are not what they should be, and what comes back for them.

use std::sync::Barrier;
use std::thread::scope;
use std::time::Duration;

use super::support::browser::Browser;
use super::support::client::Request;
use super::support::foreign::{Foreign, Mode, values};
use super::support::gateway::Gateway;
use super::support::upstream::{Upstream, nobody, respond};
use super::{World, answer_for};

/// The answer to a login with these faults on; no session begins where it is not 303.
fn login_with(world: &World, faults: &[&str]) -> u16 {
    let mut browser = Browser::default();
    faults.iter().for_each(|fault| world.order(fault));
    let answer = answer_for(world, &mut browser, "/x");
    let status = browser.step("GET", &answer, "").status;
    assert_eq!(World::session_cookie(&browser).is_some(), status == 303, "{faults:?}");
    let on_its_way = browser.cookies.keys().find(|(_, name)| name.contains("-tx-"));
    assert_eq!(on_its_way, None, "{faults:?}: what the login needed on its way is of no use any more");
    assert_eq!(world.control("DELETE", "/faults", "").status, 200);
    status
}

#[test]
fn an_id_token_for_others_too_is_taken_only_if_they_are_trusted() {
    assert_eq!(login_with(&World::start(), &["fault=further_aud"]), 502);
    let trusting = World::with("trusted_audiences = [\"https://other.example\"]", "");
    assert_eq!(login_with(&trusting, &["fault=further_aud"]), 303);
    assert_eq!(login_with(&trusting, &["fault=wrong_aud"]), 502);
}

/// The issuer's browser may say what it likes in `error`: the log takes a word of it.
#[test]
fn an_error_that_is_no_word_is_logged_as_one() {
    let (world, mut browser) = (Foreign::start(Mode::Query), Browser::default());
    let asked = world.ask(&mut browser, "/x");
    let error = format!("an\n\u{202e}\u{7f} error{}", "x".repeat(200));
    let refused = world.answered(&mut browser, &[("error", &error), ("state", values(&asked, "state")[0])]);
    assert_eq!(refused.status, 400, "{}", refused.text());
    let detail = world.gateway.until("the refusal is in the log", || {
        let lines = world.gateway.access_log();
        lines.into_iter().map(|line| line.to_string()).find(|line| line.contains("the issuer answered"))
    });
    assert!(detail.contains(&format!("the issuer answered anerror{}\"", "x".repeat(53))), "{detail}");
}

/// That an answer works once is not left to the issuer, which should take each code once, too.
#[test]
fn an_answer_works_once_even_where_the_issuer_takes_a_code_twice() {
    let (world, mut browser) = (Foreign::start(Mode::Query), Browser::default());
    let asked = world.ask(&mut browser, "/x");
    let mut thief = Browser { cookies: browser.cookies.clone(), ..Browser::default() };
    assert_eq!(world.come_back(&mut browser, &asked).header("location"), Some("/x"));
    let again = world.come_back(&mut thief, &asked);
    assert_eq!((again.status, World::session_cookie(&thief)), (400, None), "{}", again.text());
    assert!(again.text().contains("This login cannot be completed here"), "its cookie came: {}", again.text());
    assert_eq!(world.provider.forms("/token").len(), 1, "the code is not shown to the issuer again");
}

/// mod_auth_openidc, May 2026: an empty `iss` was as good as none, whatever the issuer announces (RFC 9207, section 2.4).
#[test]
fn an_empty_iss_is_a_wrong_one() {
    let world = World::with("", "[[authority.faults.on]]\nfault = \"unannounced_iss\"");
    let answer = |change: fn(&str) -> String| {
        let mut browser = Browser::default();
        let good = answer_for(&world, &mut browser, "/x");
        let (start, iss) = good.split_once("&iss=").expect("an iss");
        browser.step("GET", &format!("{start}{}", change(iss)), "").status
    };
    assert_eq!(answer(|_| String::new()), 303, "it says nothing of it, so there may be none");
    assert_eq!(answer(|_| "&iss=".to_owned()), 400);
    assert_eq!(answer(|iss| format!("&iss={iss}1")), 400);
    assert_eq!(answer(|iss| format!("&iss={iss}")), 303);
}

/// An issuer that cannot be asked is no reason to tell it that its logout token is bad: it has to try again.
#[test]
fn a_logout_token_that_cannot_be_judged_now_is_not_refused() {
    let (address, issuer) = (nobody(), nobody());
    let gateway = Gateway::listening(&format!(
        "[server]\nlisten = [\"{address}\"]\n[issuers.main]\nissuer = \"http://{issuer}\"\naudiences = [\"a\"]\n\
         [logins.web]\nissuer = \"main\"\nclient_id = \"web\"\npublic_url = \"http://{address}\"\n\
         [[routes]]\npath = \"/\"\nupstream = \"u\"\nlogin = \"web\"\n[upstreams.u]\nservers = [\"http://{issuer}\"]\n"
    ));
    let post = |claims: &str| {
        use base64::Engine as _;
        let encoded = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.{}", encoded(r#"{"alg":"ES256","kid":"k"}"#), encoded(claims), encoded("s"));
        Request::new("POST", "/.tollgate/backchannel-logout")
            .field("Content-Type", "application/x-www-form-urlencoded")
            .body(format!("logout_token={token}").as_bytes())
            .host(&address.to_string())
            .send(gateway.http())
    };
    let later = post(&format!(r#"{{"iss":"http://{issuer}"}}"#));
    assert_eq!((later.status, later.header("retry-after")), (503, Some("5")), "{}", later.text());
    assert_eq!(later.header("cache-control"), Some("no-store"));
    assert_eq!(post(r#"{"iss":"http://other.example"}"#).status, 400, "of an issuer that is none of ours");
}

/// Whoever begins logins and brings answers of which nothing comes would else fill the memory of answers, and nobody could log in.
#[test]
fn an_answer_of_which_nothing_came_is_not_remembered() {
    let (world, mut browser) = (World::start(), Browser::default());
    let good = answer_for(&world, &mut browser, "/x");
    let kept = browser.cookies.clone();
    let bad = [good.replace("code=", "error=access_denied&code="), good.replace("&iss=", "&iss=x")];
    for answer in bad.iter().chain(&bad) {
        assert_eq!(browser.step("GET", answer, "").status, 400);
        assert_ne!(browser.cookies, kept, "the browser is done with it");
        browser.cookies.clone_from(&kept);
    }
    assert_eq!(browser.step("GET", &good, "").status, 303, "{}", world.gateway.logs());
    browser.cookies.clone_from(&kept);
    assert_eq!(browser.step("GET", &good, "").status, 400);
    let done = || Some(world.gateway.logs().matches("with this state is done").count()).filter(|count| *count > 0);
    assert_eq!(world.gateway.until("the log says why", done), 1, "{}", world.gateway.logs());
}

/// Each of those who wait for an issuer that does not answer would else ask it anew, one after the other.
#[test]
fn all_who_wait_for_an_issuers_metadata_share_one_answer() {
    let (address, asked) = (nobody(), Barrier::new(6));
    let issuer = Upstream::start(|_, conn| {
        std::thread::sleep(Duration::from_millis(1500));
        respond(conn, 503, "Content-Type: text/html\r\n", "")
    });
    let gateway = Gateway::listening(&format!(
        "[server]\nlisten = [\"{address}\"]\n[issuers.main]\nissuer = \"http://{0}\"\njwks_uri = \"http://{0}/jwks\"\n\
         [logins.web]\nissuer = \"main\"\nclient_id = \"web\"\npublic_url = \"http://{address}\"\n\
         [[routes]]\npath = \"/\"\nupstream = \"u\"\nlogin = \"web\"\n[upstreams.u]\nservers = [\"http://{0}\"]\n",
        issuer.address
    ));
    let ask = || {
        asked.wait();
        Browser::default().step("GET", &format!("http://{address}/.tollgate/login"), "").status
    };
    let statuses: Vec<u16> = scope(|scope| {
        let all: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    assert_eq!(statuses, [502; 6], "{}", gateway.logs());
    let times = |path: &str| issuer.seen().iter().filter(|seen| seen.target == path).count();
    assert_eq!(times("/.well-known/openid-configuration"), 1, "{}", gateway.logs());
}

/// Strangers can begin as many logins as they like, and each would else have the issuer asked twice.
#[test]
fn logins_do_not_flood_an_issuer_whose_metadata_are_not_to_be_had() {
    let world = Foreign::start(Mode::Query);
    world.provider.break_at("/.well-known/openid-configuration");
    let before = world.provider.asked("/.well-known/openid-configuration").len();
    for _ in 0..30 {
        assert_eq!(Browser::default().step("GET", &world.url("/x"), "").status, 502);
    }
    let asked = world.provider.asked("/.well-known/openid-configuration").len() - before;
    assert!((1..15).contains(&asked), "{asked}");
}

/// Which of two values counts must not be a matter of who reads.
#[test]
fn repeated_parameters_are_refused_at_every_own_path() {
    let (world, browser) = (World::start(), &mut Browser::default());
    let cases = [
        ("GET", "login", "return_to=%2Fa", "return_to=%2Fb"),
        ("GET", "login", "login=web", "login=web"),
        ("GET", "login", "login_hint=a", "login_hint=b"),
        ("POST", "logout", "return_to=%2Fa", "return_to=%2Fb"),
        ("GET", "logged-out", "state=a", "state=a"),
        ("GET", "frontchannel-logout", "iss=a", "iss=b"),
        ("GET", "frontchannel-logout", "sid=a", "sid=a"),
    ];
    for (method, path, once, again) in cases {
        let url = world.url(&format!("/.tollgate/{path}?{once}&x=1&x=2&{again}"));
        let twice = browser.send(method, &url, &[], "");
        assert_eq!(twice.status, 400, "{path} {once}");
        assert!(twice.text().contains("A parameter comes twice"), "{path} {once}: {}", twice.text());
    }
    assert_eq!(browser.step("GET", &world.url("/.tollgate/login?return_to=%2Fa&x=1&x=2"), "").status, 303);
}
