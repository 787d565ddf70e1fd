//! What counts after a refresh: the claims that the issuer says then, and only those.

use super::support::browser::Browser;
use super::support::{PATIENCE, eventually};
use super::{World, script};

/// With tokens that soon have to be renewed.
fn world(login: &str) -> (World, Browser) {
    let (world, mut browser) = (World::with(login, "token_lifetime = \"2s\""), Browser::default());
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    (world, browser)
}

/// Waits for a refresh that began after this call.
#[track_caller]
fn refreshed(world: &World, browser: &mut Browser) {
    let mut bearer = || {
        world.upstream.drain();
        assert_eq!(script(world, browser, "/reader").status, 200);
        world.upstream.drain().pop()?.header("authorization").map(str::to_owned)
    };
    let first = bearer();
    eventually("another token goes up", PATIENCE, || (bearer() != first).then_some(()));
}

/// However often its tokens are renewed, a session ends when it was to end.
#[test]
fn a_refresh_makes_no_session_longer() {
    let (world, mut browser) = world("");
    let ends = |browser: &mut Browser| script(&world, browser, "/.tollgate/session").json()["expires_at"].as_i64();
    let before = ends(&mut browser);
    refreshed(&world, &mut browser);
    assert!(before.is_some());
    assert_eq!(ends(&mut browser), before);
}

#[track_caller]
fn ends(world: &World, browser: &mut Browser) {
    eventually("the session is over", PATIENCE, || {
        (script(world, browser, "/x").code() == "session_expired").then_some(())
    });
}

/// Pomerium CVE-2021-41230: what somebody was no longer allowed stayed allowed until the next login.
#[test]
fn a_claim_that_the_issuer_no_longer_says_is_gone() {
    let (world, mut browser) = world("");
    assert_eq!(script(&world, &mut browser, "/acr").status, 200);
    world.order("fault=missing_claims&at=refreshed_id_token");
    refreshed(&world, &mut browser);
    assert_eq!(script(&world, &mut browser, "/acr").code(), "claim_refused");
}

#[test]
fn an_answer_without_an_id_token_keeps_its_claims() {
    let (world, mut browser) = world("");
    world.order("fault=missing_id_token&at=refresh");
    refreshed(&world, &mut browser);
    refreshed(&world, &mut browser);
    assert_eq!(script(&world, &mut browser, "/acr").status, 200);
}

#[test]
fn userinfo_is_asked_again_and_what_it_no_longer_says_is_gone() {
    for id_token in ["", "fault=missing_id_token&at=refresh"] {
        let (world, mut browser) = world("userinfo = true");
        assert_eq!(script(&world, &mut browser, "/sales").status, 200);
        if !id_token.is_empty() {
            world.order(id_token);
        }
        refreshed(&world, &mut browser);
        assert_eq!(script(&world, &mut browser, "/sales").status, 200);
        world.order("fault=missing_claims&at=userinfo");
        refreshed(&world, &mut browser);
        assert_eq!(script(&world, &mut browser, "/sales").code(), "claim_refused", "{id_token}");
        assert_eq!(script(&world, &mut browser, "/acr").status, 200, "{id_token}: the ID token says it");
    }
}

/// mod_auth_openidc, July 2026: the refreshed ID token was not verified.
#[test]
fn a_refresh_that_brings_a_bad_token_or_somebody_else_ends_the_session() {
    let faults = [
        "fault=wrong_sub&at=refreshed_id_token",
        "fault=bad_signature&at=refreshed_id_token",
        "fault=further_aud&at=refreshed_id_token",
        "fault=added_nonce&at=refreshed_id_token",
        "fault=wrong_sub&at=userinfo",
        "fault=status&at=userinfo",
        "fault=invalid_grant&at=refresh",
    ];
    for fault in faults {
        let (world, mut browser) = world("userinfo = true");
        world.order(fault);
        ends(&world, &mut browser);
        assert!(world.gateway.stderr().contains("a session ends"), "{fault}");
    }
}
