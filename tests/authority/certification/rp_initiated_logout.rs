//! RP-Initiated Logout OP.

use http::Method;

use super::rp::{BYE, Flow, Login, Refusal, Rp, authority, shared};
use crate::flows::encode;
use crate::harness::Answer;

/// A client with somebody signed in.
fn signed_in() -> (Rp<'static>, Login) {
    let rp = Rp::new(shared(), Flow::CODE);
    let login = rp.login(&[]);
    (rp, login)
}

fn sign_out(rp: &Rp<'_>, parameters: &[(&str, &str)]) -> Answer {
    rp.browser.send(Method::GET, &format!("{}?{}", rp.at("end_session_endpoint"), encode(parameters)), "")
}

fn assert_signed_out(rp: &Rp<'_>) {
    assert_eq!(rp.refused(&[("prompt", "none")]), Refusal::Sent("login_required".into()));
}

/// Nobody is sent anywhere, and who is signed in is told so by a page.
fn assert_stays(rp: &Rp<'_>, parameters: &[(&str, &str)]) -> Answer {
    let answer = sign_out(rp, parameters);
    assert_eq!(answer.header("location"), None, "{parameters:?}");
    assert!(answer.header("content-type").unwrap().starts_with("text/html") && !answer.text().contains("http-equiv"));
    rp.silent(&[]);
    answer
}

/// Asked, and says yes: signed out, on a page of the authority.
fn assert_asks_and_signs_out(rp: &Rp<'_>, parameters: &[(&str, &str)]) {
    let page = assert_stays(rp, parameters);
    assert!(page.text().contains("<h1>Sign out?</h1>"), "{}", page.text());
    let answer = [parameters, &[("action", "sign-out")]].concat();
    let left = rp.browser.send(Method::POST, &rp.at("end_session_endpoint"), &encode(&answer));
    assert!(left.status == 200 && left.text().contains("You are signed out"), "{}", left.text());
    assert_signed_out(rp);
}

#[test]
fn oidcc_rp_initiated_logout_discovery_endpoint_verification() {
    let rp = Rp::new(shared(), Flow::CODE);
    assert_eq!(rp.at("end_session_endpoint"), "/logout");
}

#[test]
fn oidcc_rp_initiated_logout() {
    let (rp, login) = signed_in();
    let back =
        sign_out(&rp, &[("id_token_hint", &login.id_token), ("post_logout_redirect_uri", BYE), ("state", "a b&c=d")]);
    assert_eq!((back.status, back.header("location")), (303, Some(&*format!("{BYE}?state=a+b%26c%3Dd"))));
    assert_signed_out(&rp);
}

#[test]
fn oidcc_rp_initiated_logout_no_state() {
    let (rp, login) = signed_in();
    let back = sign_out(&rp, &[("id_token_hint", &login.id_token), ("post_logout_redirect_uri", BYE)]);
    assert_eq!((back.status, back.header("location")), (303, Some(BYE)));
    assert_signed_out(&rp);
}

#[test]
fn oidcc_rp_initiated_logout_bad_post_logout_redirect_uri() {
    let (rp, login) = signed_in();
    let evil = [("id_token_hint", login.id_token.as_str()), ("post_logout_redirect_uri", "https://evil.example/bye")];
    assert_stays(&rp, &evil);
}

#[test]
fn oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri() {
    let (rp, login) = signed_in();
    let uri = format!("{BYE}?foo=bar");
    assert_stays(&rp, &[("id_token_hint", &login.id_token), ("post_logout_redirect_uri", &uri)]);
}

#[test]
fn oidcc_rp_initiated_logout_modified_id_token_hint() {
    let (rp, login) = signed_in();
    let payload = login.id_token.split('.').nth(1).unwrap();
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{payload}.");
    assert_stays(&rp, &[("id_token_hint", &unsigned), ("post_logout_redirect_uri", BYE)]);
}

#[test]
fn oidcc_rp_initiated_logout_bad_id_token_hint() {
    let (rp, login) = signed_in();
    let other = authority();
    let foreign = Rp::new(&other, Flow::CODE).login(&[]).id_token;
    // The same again, as if it were by a key of ours.
    let (header, rest) = (login.id_token.split('.').next().unwrap(), foreign.split_once('.').unwrap().1);
    for hint in [&foreign, &format!("{header}.{rest}")] {
        assert_stays(&rp, &[("id_token_hint", hint), ("post_logout_redirect_uri", BYE)]);
    }
}

#[test]
fn oidcc_rp_initiated_logout_no_id_token_hint() {
    let (rp, _) = signed_in();
    assert_stays(&rp, &[("post_logout_redirect_uri", BYE)]);
    assert_stays(&rp, &[("post_logout_redirect_uri", BYE), ("client_id", "first")]);
}

#[test]
fn oidcc_rp_initiated_logout_no_params() {
    assert_asks_and_signs_out(&signed_in().0, &[]);
}

#[test]
fn oidcc_rp_initiated_logout_only_state() {
    assert_asks_and_signs_out(&signed_in().0, &[("state", "s")]);
}

#[test]
fn oidcc_rp_initiated_logout_no_post_logout_redirect_uri() {
    let (rp, login) = signed_in();
    let left = sign_out(&rp, &[("id_token_hint", &login.id_token), ("state", "s")]);
    assert!(left.status == 200 && left.text().contains("You are signed out"), "{}", left.text());
    assert_signed_out(&rp);
}
