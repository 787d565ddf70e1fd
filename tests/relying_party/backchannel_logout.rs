//! Back-Channel Logout RP, at the request of the client; then what the specification asks beyond the plan.

use serde_json::json;

use super::support::browser::Browser;
use super::support::client::Response;
use super::support::foreign::{Foreign, Mode};
use super::support::now;
use super::support::token::Token;
use super::support::world::{Setting, World};

fn is_in(world: &World, browser: &mut Browser) -> bool {
    browser.send("GET", &world.url("/.tollgate/session"), &[], "").status == 200
}

/// A person who is logged in with two sessions of one sign-in at the issuer logs out in one of them. Gives what the gateway
/// answered to the logout token that comes with this fault, and whether the other session lives on.
#[track_caller]
fn told(fault: &str) -> (u64, bool) {
    let world = World::set(Setting { issuer: "algorithms = [\"RS256\"]", ..Setting::default() });
    let mut browser = Browser::default();
    world.log_in(&mut browser, "/x");
    let mut other = Browser { cookies: browser.cookies.clone(), ..Browser::default() };
    other.cookies.retain(|(_, name), _| name != "tollgate-web");
    assert_eq!(other.visit(&world.url("/x")).response.status, 200, "the issuer knows the person");
    assert!(is_in(&world, &mut browser) && is_in(&world, &mut other));
    if !fault.is_empty() {
        world.order(&format!("fault={fault}&at=logout_token"));
    }
    browser.post(&world.url("/.tollgate/logout"), "");
    let logged = world.gateway.until("a logout token came", || {
        let is_it = |line: &serde_json::Value| line.to_string().contains("/.tollgate/backchannel-logout");
        world.gateway.access_log().into_iter().find(is_it)
    });
    assert!(!is_in(&world, &mut browser), "who logs out is out, whatever becomes of the others");
    (logged["status"].as_u64().expect("a status"), is_in(&world, &mut other))
}

/// A good token: every session of the sign-in is over.
#[test]
fn oidcc_client_test_rp_backchannel_rpinitlogout() {
    assert_eq!(told(""), (200, false));
}

/// No signature.
#[test]
fn oidcc_client_test_rp_backchannel_rpinitlogout_alg_none() {
    assert_eq!(told("unsigned"), (400, true));
}

/// Another algorithm than the one that was agreed on.
#[test]
fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_alg() {
    assert_eq!(told("other_alg"), (400, true));
}

/// No `events`.
#[test]
fn oidcc_client_test_rp_backchannel_rpinitlogout_no_event() {
    assert_eq!(told("missing_events"), (400, true));
}

/// Another event alone.
#[test]
fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_event() {
    assert_eq!(told("wrong_event"), (400, true));
}

/// A `nonce`, as only ID tokens have one.
#[test]
fn oidcc_client_test_rp_backchannel_rpinitlogout_with_nonce() {
    assert_eq!(told("added_nonce"), (400, true));
}

/// For another client.
#[test]
fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_aud() {
    assert_eq!(told("wrong_aud"), (400, true));
}

/// Of another issuer.
#[test]
fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_iss() {
    assert_eq!(told("wrong_iss"), (400, true));
}

/// Somebody who is logged in with the session `s-1` at the issuer.
fn somebody() -> (Foreign, Browser) {
    let world = Foreign::start(Mode::Query);
    world.provider.id_token(|good| good.claim("sid", "s-1").sign());
    let (browser, _) = world.logged_in();
    (world, browser)
}

fn lives(world: &Foreign, browser: &mut Browser) -> bool {
    browser.send("GET", &world.url("/.tollgate/session"), &[], "").status == 200
}

fn answer(response: &Response) -> u16 {
    assert_eq!(response.header("cache-control"), Some("no-store"), "{}", response.status);
    response.status
}

/// By `sub`, by `sid` or by both; and unknown claims are ignored.
#[test]
fn who_is_named_is_logged_out() {
    type Change = fn(Token) -> Token;
    let cases: [(&str, Change, bool); 6] = [
        ("sub", |good| good, false),
        ("sid", |good| good.without("sub").claim("sid", "s-1"), false),
        ("both", |good| good.claim("sid", "s-1"), false),
        ("another sub", |good| good.claim("sub", "bob"), true),
        ("another sid", |good| good.without("sub").claim("sid", "s-11"), true),
        ("another sid of the same person", |good| good.claim("sid", "s-2"), true),
    ];
    for (what, change, alive) in cases {
        let (world, mut browser) = somebody();
        assert_eq!(answer(&world.tell(&change(world.provider.logout()).sign())), 200, "{what}");
        assert_eq!(lives(&world, &mut browser), alive, "{what}");
        let code = browser.send("GET", &world.url("/x"), &[], "").code();
        assert_eq!(code == "session_expired", !alive, "{what}: {code}");
    }
}

/// What Back-Channel Logout 1.0 asks of a logout token in sections 2.4 and 2.6.
#[test]
fn a_logout_token_that_is_none_ends_nothing() {
    let (world, mut browser) = somebody();
    let good = || world.provider.logout();
    let id_token = world.provider.good().claim("sid", "s-1");
    let events = json!({ "http://schemas.openid.net/event/backchannel-logout": true });
    let cases = [
        ("it names nobody", good().without("sub").sign()),
        ("sid is no text", good().claim("sid", 1).sign()),
        ("expired", good().claim("exp", now() - 100).sign()),
        ("no exp", good().without("exp").sign()),
        ("no iat", good().without("iat").sign()),
        ("of the future", good().claim("iat", now() + 100).claim("exp", now() + 200).sign()),
        ("made long ago", good().claim("iat", now() - 400).sign()),
        ("no jti", good().without("jti").sign()),
        ("the event is no object", good().claim("events", events).sign()),
        ("an ID token", id_token.clone().sign()),
        ("an ID token of the typ of a logout token", id_token.header("typ", "logout+jwt").sign()),
        ("typ of an access token", good().header("typ", "at+jwt").sign()),
        ("another typ", good().header("typ", "logout+jwt1").sign()),
        ("a broken signature", format!("{}A", good().sign())),
        ("unsigned", format!("{}.", good().header_text("{\"alg\":\"none\"}").signing_input())),
        ("an unknown key", good().header("kid", "rsa-11").sign()),
        ("no JWS", "x".into()),
        ("nothing", String::new()),
    ];
    for (what, token) in cases {
        let refused = world.tell(&token);
        assert_eq!(answer(&refused), 400, "{what}: {}", refused.text());
        assert_eq!(refused.header("content-type"), Some("application/json"), "{what}");
        assert_eq!(refused.json()["error"], "invalid_request", "{what}: {}", refused.text());
    }
    assert!(lives(&world, &mut browser), "and after all of them it lives");
    let token = good().sign();
    assert_eq!(answer(&world.tell(&token)), 200);
    assert!(!lives(&world, &mut browser));
    assert_eq!(answer(&world.tell(&token)), 400, "a token works once");
    assert_eq!(answer(&world.tell(&good().claim("jti", "0002").sign())), 200, "nobody is left, and that is fine");
}
