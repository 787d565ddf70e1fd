//! Answers of the issuer that are not what they should be, and what comes back for them.

use super::support::browser::Browser;
use super::support::client::Request;
use super::support::gateway::Gateway;
use super::support::upstream::nobody;
use super::{World, answer_for};

/// The answer to a login with these faults on; no session begins where it is not 303.
fn login_with(world: &World, faults: &[&str]) -> u16 {
    let mut browser = Browser::default();
    faults.iter().for_each(|fault| world.order(fault));
    let answer = answer_for(world, &mut browser, "/x");
    let status = browser.step("GET", &answer, "").status;
    assert_eq!(World::session_cookie(&browser).is_some(), status == 303, "{faults:?}");
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

/// Which of two values counts must not be a matter of who reads.
#[test]
fn repeated_parameters_are_refused_at_every_own_path() {
    let (world, browser) = (World::start(), &mut Browser::default());
    let cases = [
        ("GET", "login", "return_to=%2Fa", "return_to=%2Fb"),
        ("GET", "login", "login=web", "login=web"),
        ("POST", "logout", "return_to=%2Fa", "return_to=%2Fb"),
        ("GET", "logged-out", "state=a", "state=a"),
        ("GET", "frontchannel-logout", "iss=a", "iss=b"),
        ("GET", "frontchannel-logout", "sid=a", "sid=a"),
    ];
    for (method, path, once, again) in cases {
        let twice = browser.step(method, &world.url(&format!("/.tollgate/{path}?{once}&x=1&x=2&{again}")), "");
        assert_eq!(twice.status, 400, "{path} {once}");
        assert!(twice.text().contains("A parameter comes twice"), "{path} {once}: {}", twice.text());
    }
    assert_eq!(browser.step("GET", &world.url("/.tollgate/login?return_to=%2Fa&x=1&x=2"), "").status, 303);
}
