//! What a logout takes with it, and who else can end a session.

use super::support::browser::Browser;
use super::support::foreign::{Foreign, values};
use super::{World, script};

#[test]
fn a_logout_clears_the_browser() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.log_in(&mut browser, "/x");
    let out = browser.step("POST", &world.url("/.tollgate/logout"), "");
    assert_eq!((out.status, out.header("clear-site-data")), (303, Some("\"cache\", \"storage\"")));
    assert_eq!(out.header("cache-control"), Some("no-store"));
    let sets = out.head.all("set-cookie");
    assert!(sets.iter().any(|set| set.starts_with("tollgate-web=;") && set.contains("Max-Age=0")), "{sets:?}");
    assert_eq!(script(&world, &mut browser, "/x").code(), "no_credential");
    let page = browser.step("GET", &world.url("/public"), "");
    assert_eq!(page.header("clear-site-data"), None, "and nothing else does");
}

/// RFC 7009: by the client's own proof, and a logout waits for no issuer's yes.
#[test]
fn a_logout_gives_the_refresh_token_back() {
    for up in [true, false] {
        let world = Foreign::with("");
        let (mut browser, _) = world.logged_in();
        if !up {
            world.provider.break_at("/revoke");
        }
        let out = browser.step("POST", &world.url("/.tollgate/logout"), "");
        assert_eq!(out.status, 303, "{}", out.text());
        assert_eq!(World::session_cookie(&browser), None);
        let asked = world.provider.asked("/revoke");
        assert_eq!(asked.len(), 1);
        assert!(asked[0].header("authorization").is_some_and(|field| field.starts_with("Basic ")));
        let form = world.provider.forms("/revoke").swap_remove(0);
        assert_eq!(
            (values(&form, "token"), values(&form, "token_type_hint")),
            (vec!["refresh-1"], vec!["refresh_token"])
        );
    }
}

/// Which of two counts must not be a matter of who reads.
#[test]
fn two_logout_tokens_are_none() {
    let world = Foreign::with("");
    let (mut browser, _) = world.logged_in();
    let good = world.provider.logout().sign();
    for two in [format!("{good}&logout_token={good}"), format!("{good}&logout_token=x")] {
        assert_eq!(world.tell(&two).status, 400);
    }
    let lives = |browser: &mut Browser| browser.send("GET", &world.url("/.tollgate/session"), &[], "").status == 200;
    assert!(lives(&mut browser));
    assert_eq!(world.tell(&good).status, 200);
    assert!(!lives(&mut browser));
}

/// OpenID Connect Front-Channel Logout 1.0, section 3: a frame of the issuer's names the session, and needs no cookie.
#[test]
fn a_frame_of_the_issuer_ends_the_session_that_it_names() {
    let world = Foreign::with("");
    world.provider.id_token(|good| good.claim("sid", "s-1").sign());
    let (mut browser, _) = world.logged_in();
    let frame = |query: &str| {
        let url = world.url(&format!("/.tollgate/frontchannel-logout?{query}"));
        let answer = Browser::default().send(
            "GET",
            &url,
            &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "cross-site")],
            "",
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{query}");
        answer.status
    };
    let iss = &world.provider.url;
    let mut lives = || browser.send("GET", &world.url("/.tollgate/session"), &[], "").status == 200;
    for wrong in
        [String::new(), format!("iss={iss}"), "sid=s-1".into(), format!("iss={iss}1&sid=s-1"), "iss=&sid=s-1".into()]
    {
        assert_eq!(frame(&wrong), 400, "{wrong}");
    }
    assert_eq!(frame(&format!("iss={iss}&sid=s-11")), 200, "of nobody here");
    assert!(lives());
    assert_eq!(frame(&format!("iss={iss}&sid=s-1")), 200);
    assert!(!lives());
}
