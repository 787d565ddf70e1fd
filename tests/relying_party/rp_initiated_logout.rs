//! RP-Initiated Logout RP.

use super::support::browser::Browser;
use super::support::foreign::{Foreign, Mode, values};
use super::support::world::World;
use super::world;

/// The person is sent to the issuer's `end_session_endpoint` with the ID token as hint, and comes back.
#[test]
fn oidcc_client_test_rp_init_logout() {
    let (world, mut browser) = (world(Mode::Query, ""), Browser::default());
    world.log_in(&mut browser, "/x");
    let page = browser.post(&world.url("/.tollgate/logout?return_to=%2Fpublic"), "");
    assert_eq!((page.url, page.response.status), (world.url("/public"), 200));
    let asked = browser.history.iter().find(|at| at.contains("/logout?id_token_hint=ey")).expect("it was asked");
    let query = url::form_urlencoded::parse(asked.split_once('?').expect("a query").1.as_bytes());
    let asked: Vec<(String, String)> = query.into_owned().collect();
    assert_eq!(values(&asked, "post_logout_redirect_uri"), [world.url("/.tollgate/logged-out")]);
    assert_eq!((values(&asked, "client_id"), values(&asked, "state").len()), (vec!["web"], 1));
    assert_eq!(World::session_cookie(&browser), None);
    let again = browser.visit(&world.url("/x"));
    assert!(again.response.text().contains("type=\"password\""), "the issuer has forgotten the person too");
}

/// A browser that was just sent to log out, and the `state` that went along.
fn leaving() -> (Foreign, Browser, String) {
    let world = Foreign::start(Mode::Query);
    let (mut browser, _) = world.logged_in();
    let sent = browser.step("POST", &world.url("/.tollgate/logout?return_to=%2Fx%3Fa"), "");
    let location = sent.header("location").expect("a way").to_owned();
    assert!(location.starts_with(&format!("{}/logout?", world.provider.url)), "{location}");
    let query = url::form_urlencoded::parse(location.split_once('?').expect("a query").1.as_bytes());
    let asked: Vec<(String, String)> = query.into_owned().collect();
    let state = values(&asked, "state")[0].to_owned();
    (world, browser, state)
}

/// With another `state`, or a broken one, the person is told that it is done, and goes nowhere.
#[test]
fn oidcc_client_test_rp_init_logout_other_state() {
    let (world, mut browser, state) = leaving();
    for other in [&format!("{state}1"), "x", "%00", "https://evil.example/"] {
        let back = browser.step("GET", &world.url(&format!("/.tollgate/logged-out?state={other}")), "");
        assert_eq!((back.status, back.header("location")), (200, None), "{other}");
        assert!(back.text().contains("You are logged out"), "{}", back.text());
    }
    let right = browser.step("GET", &world.url(&format!("/.tollgate/logged-out?state={state}")), "");
    assert_eq!((right.status, right.header("location")), (303, Some("/x?a")));
}

/// The same without `state`.
#[test]
fn oidcc_client_test_rp_init_logout_no_state() {
    let (world, mut browser, _) = leaving();
    for query in ["", "?", "?state="] {
        let back = browser.step("GET", &world.url(&format!("/.tollgate/logged-out{query}")), "");
        assert_eq!((back.status, back.header("location")), (200, None), "{query}");
        assert!(back.text().contains("You are logged out"), "{}", back.text());
    }
    assert_eq!(World::session_cookie(&browser), None);
}
