//! Refresh Token RP, and what OpenID Connect Core 1.0, section 12.2, asks beyond the plan.

use serde_json::{Value, json};

use super::support::browser::Browser;
use super::support::client::Response;
use super::support::foreign::{Foreign, Mode, Provider, values};
use super::support::now;
use super::support::token::Token;
use super::support::{PATIENCE, eventually};

/// Who is logged in, with a refresh on the way when one is due.
fn who(world: &Foreign, browser: &mut Browser) -> Response {
    browser.send("GET", &world.url("/.tollgate/session"), &[], "")
}

/// A login whose access token soon ends, at a provider whose refreshed ID tokens are made so from good ones (which here
/// repeat the claims of the sign-in).
fn world(refreshed: impl Fn(Token, &Value) -> String + Send + 'static) -> (Foreign, Browser) {
    let provider = Provider::start();
    provider.answer(|mut answer| {
        answer["expires_in"] = json!(1);
        answer
    });
    let world = Foreign::at(provider, Mode::Query, "userinfo = true");
    let first = std::sync::Mutex::new(Value::Null);
    world.provider.id_token(move |good| {
        let mut first = first.lock().expect("no panic while held");
        if first.is_null() {
            *first = good.claims();
            return good.sign();
        }
        refreshed(good.claim("auth_time", first["auth_time"].clone()), &first)
    });
    let mut browser = Browser::default();
    assert_eq!(world.log_in(&mut browser).status, 303);
    (world, browser)
}

#[track_caller]
fn goes_on(refreshed: impl Fn(Token, &Value) -> String + Send + 'static) -> Foreign {
    let (world, mut browser) = world(refreshed);
    eventually("two refreshes", PATIENCE, || {
        assert_eq!(who(&world, &mut browser).json()["sub"], "alice");
        (world.provider.forms("/token").len() >= 3).then_some(())
    });
    assert_eq!(who(&world, &mut browser).json()["sub"], "alice");
    world
}

#[track_caller]
fn ends(reason: &str, refreshed: impl Fn(Token, &Value) -> String + Send + 'static) {
    let (world, mut browser) = world(refreshed);
    eventually("the session is over", PATIENCE, || {
        (who(&world, &mut browser).code() == "session_expired").then_some(())
    });
    assert_eq!(world.provider.forms("/token").len(), 2, "{reason}: once is enough");
    assert!(world.gateway.stderr().contains(reason), "{reason}: {}", world.gateway.stderr());
    let (infos, upstream) = (world.provider.asked("/userinfo").len(), world.upstream.seen());
    assert!(infos == 1 && upstream.is_empty(), "{reason}: the answer was used");
}

/// The refresh token is used, and then the new tokens: the access token at userinfo, the refresh token the next time.
#[test]
fn oidcc_client_test_refresh_token() {
    let world = goes_on(|good, _| good.sign());
    let forms = world.provider.forms("/token");
    let used: Vec<_> = forms.iter().map(|form| values(form, "refresh_token").join("|")).take(3).collect();
    assert_eq!(used, ["", "refresh-1", "refresh-2"]);
    let infos: Vec<_> =
        world.provider.asked("/userinfo").iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert!(infos.len() >= 3 && infos[0] != infos[1] && infos[1] != infos[2], "{infos:?}");
}

/// A refreshed ID token of another issuer: nothing of the answer is used.
#[test]
fn oidcc_client_test_refresh_token_invalid_issuer() {
    ends("the iss of the ID token is not the login's issuer", |good, first| {
        good.claim("iss", format!("{}1", first["iss"].as_str().expect("a text"))).sign()
    });
}

/// A refreshed ID token about somebody else.
#[test]
fn oidcc_client_test_refresh_token_invalid_sub() {
    ends("the refreshed ID token is about somebody else", |good, _| good.claim("sub", "alice1").sign());
}

/// It may repeat the nonce of the sign-in or have none, leave `auth_time` out, be for others whom it need not name, or
/// not be there at all.
#[test]
fn what_section_12_2_allows() {
    goes_on(|good, first| good.claim("nonce", first["nonce"].clone()).sign());
    goes_on(|good, _| good.without("auth_time").sign());
    goes_on(|good, _| good.claim("aud", json!(["web"])).claim("azp", "web").sign());
    let (world, mut browser) = world(|good, _| good.sign());
    world.provider.answer(|mut answer| {
        answer["expires_in"] = json!(1);
        answer.as_object_mut().expect("an object").remove("id_token");
        answer
    });
    eventually("two refreshes", PATIENCE, || {
        assert_eq!(who(&world, &mut browser).json()["sub"], "alice");
        (world.provider.forms("/token").len() >= 3).then_some(())
    });
}

/// It must be for this client, and of the same sign-in.
#[test]
fn what_section_12_2_forbids() {
    ends("aud does not name the client", |good, _| good.claim("aud", "web1").sign());
    ends("another nonce", |good, _| good.claim("nonce", "another").sign());
    ends("another auth_time", |good, _| good.claim("auth_time", now() - 100).sign());
    ends("the ID token has no iat", |good, _| good.without("iat").sign());
    ends("the ID token has expired", |good, _| good.claim("exp", now() - 100).sign());
    ends("the ID token is refused", |good, _| {
        let (signed, _) = good.sign().rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a JWS");
        format!("{signed}.AAAA")
    });
}
