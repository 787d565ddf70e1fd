//! What the modules check that more than one plan has, for a client of any flow.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};

use super::rp::{Flow, Refusal, Rp, authority, bearer, person, shared};
use crate::flows::{asks_to_sign_in, encode};

fn rp(flow: Flow) -> Rp<'static> {
    Rp::new(shared(), flow)
}

/// A whole login; what is checked of every one is in [`Rp`].
pub fn server(flow: Flow) {
    for rp in [rp(flow), Rp::second(shared(), flow)] {
        let login = rp.login(&[]);
        assert!(login.asked, "nobody was signed in");
        assert!(rp.about(&login)["sub"].is_string());
    }
}

/// Without `response_type` there is an error.
pub fn response_type_missing(flow: Flow) {
    let refusal = rp(flow).refused(&[("response_type", "")]);
    let fine = ["invalid_request", "unsupported_response_type"].map(|error| Refusal::Sent(error.into()));
    assert!(refusal == Refusal::Page || fine.contains(&refusal), "{refusal:?}");
}

/// The ID token is signed by RS256, with a key that the key set has under its `kid`.
pub fn idtoken_signature(flow: Flow) {
    let rp = rp(flow);
    let login = rp.login(&[]);
    let (signed, _) = login.id_token.rsplit_once('.').unwrap();
    let forged =
        std::panic::catch_unwind(|| Rp::new(shared(), flow).judge_id_token(&format!("{signed}.AAAA"), None, &[]));
    assert!(forged.is_err(), "the check itself finds nothing");
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!(header["alg"], "RS256");
}

/// Userinfo by GET, with the token in the header.
pub fn userinfo_get(flow: Flow) {
    let rp = rp(flow);
    let login = rp.login(&[]);
    let answer = rp.userinfo(login.access_token.as_ref().unwrap());
    assert_eq!((answer.status, &answer.json()["sub"]), (200, &login.id["sub"]));
}

/// Userinfo by POST, with the token in the header.
pub fn userinfo_post_header(flow: Flow) {
    let rp = rp(flow);
    let login = rp.login(&[]);
    let headers = [bearer(login.access_token.as_ref().unwrap())];
    let answer = rp.authority.send(Method::POST, &rp.at("userinfo_endpoint"), &headers, "");
    assert_eq!((answer.status, &answer.json()["sub"]), (200, &login.id["sub"]));
}

/// Userinfo by POST, with the token in the form.
pub fn userinfo_post_body(flow: Flow) {
    let rp = rp(flow);
    let login = rp.login(&[]);
    let form = encode(&[("access_token", login.access_token.as_ref().unwrap())]);
    let answer = rp.authority.post(&rp.at("userinfo_endpoint"), &[], &form);
    assert_eq!((answer.status, &answer.json()["sub"]), (200, &login.id["sub"]));
}

/// A scope is taken, and gives its claims with their right types, and no others.
pub fn scope(flow: Flow, scopes: &[&str]) {
    let of = |scope: &str| match scope {
        "profile" => vec![
            "name",
            "given_name",
            "family_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
        "email" => vec!["email", "email_verified"],
        "address" => vec!["address"],
        "phone" => vec!["phone_number", "phone_number_verified"],
        other => panic!("no scope {other}"),
    };
    let rp = rp(flow);
    let asked = format!("openid {}", scopes.join(" "));
    let login = rp.login(&[("scope", &asked)]);
    let (about, person) = (rp.about(&login), person());
    let wanted: Vec<_> = scopes.iter().flat_map(|scope| of(scope)).collect();
    for (claim, value) in person.as_object().unwrap() {
        let expected = if wanted.contains(&claim.as_str()) { value } else { &Value::Null };
        assert_eq!(&about[claim], expected, "{claim} for {asked}");
    }
    assert!(wanted.iter().all(|claim| person.get(claim).is_some()), "the person has a value for each");
    if login.access_token.is_some() {
        let known = rp.metadata["claims_supported"].as_array().unwrap();
        assert!(wanted.iter().all(|claim| known.contains(&json!(claim))), "{known:?}");
    }
}

/// The order of scopes and of parameters does not matter.
pub fn alternate_happy_flow(flow: Flow) {
    let rp = rp(flow);
    let parameters = rp.parameters(&[("scope", "phone address email profile openid")]);
    let backwards: Vec<_> = parameters.iter().rev().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let path = format!("{}?{}", rp.at("authorization_endpoint"), encode(&backwards));
    let login = rp.complete(rp.browser.send(Method::GET, &path, ""), &parameters);
    assert_eq!(rp.about(&login)["email"], person()["email"]);
}

/// A parameter, known to OpenID Connect or to nobody, that makes no error.
pub fn taken(flow: Flow, parameter: (&str, &str)) -> Value {
    rp(flow).login(&[parameter]).id
}

/// Who is signed in signs in again, and the ID token says so.
pub fn prompt_login(flow: Flow) {
    let authority = authority();
    let rp = Rp::new(&authority, flow);
    let first = rp.login(&[]);
    authority.clock.advance(Duration::from_secs(2));
    let second = rp.login(&[("prompt", "login")]);
    assert!(second.asked);
    assert_eq!(second.id["auth_time"].as_i64(), first.id["auth_time"].as_i64().map(|time| time + 2));
    assert_eq!(second.id["sub"], first.id["sub"]);
}

/// Nobody is signed in, and nobody may be asked: an error, at once.
pub fn prompt_none_not_logged_in(flow: Flow) {
    assert_eq!(rp(flow).refused(&[("prompt", "none")]), Refusal::Sent("login_required".into()));
}

/// Somebody is signed in, and nobody may be asked: the same sign-in again.
pub fn prompt_none_logged_in(flow: Flow) {
    let authority = authority();
    let rp = Rp::new(&authority, flow);
    let first = rp.login(&[]);
    authority.clock.advance(Duration::from_secs(2));
    let second = rp.silent(&[]);
    assert_eq!((&second.id["sub"], &second.id["auth_time"]), (&first.id["sub"], &first.id["auth_time"]));
}

/// A sign-in that is older than a second is not good enough.
pub fn max_age_1(flow: Flow) {
    let authority = authority();
    let rp = Rp::new(&authority, flow);
    let first = rp.login(&[]);
    authority.clock.advance(Duration::from_secs(2));
    let second = rp.login(&[("max_age", "1")]);
    assert!(second.asked);
    assert!(second.id["auth_time"].as_i64().unwrap() > first.id["auth_time"].as_i64().unwrap());
}

/// A young sign-in is good enough, and the ID token says when it was.
pub fn max_age_10000(flow: Flow) {
    let authority = authority();
    let rp = Rp::new(&authority, flow);
    let first = rp.login(&[]);
    authority.clock.advance(Duration::from_secs(2));
    let second = rp.login(&[("max_age", "10000")]);
    assert!(!second.asked);
    assert!(second.id["auth_time"].is_i64() && second.id["auth_time"] == first.id["auth_time"]);
}

/// An earlier ID token names the person who is signed in; another browser has nobody to show.
pub fn id_token_hint(flow: Flow) {
    let rp = rp(flow);
    let first = rp.login(&[]);
    let hint = [("id_token_hint", first.id_token.as_str())];
    assert_eq!(rp.silent(&hint).id["sub"], first.id["sub"]);
    let elsewhere = rp.elsewhere();
    let silent = [("prompt", "none"), hint[0]];
    assert_eq!(elsewhere.refused(&silent), Refusal::Sent("login_required".into()));
}

/// `acr_values` make no error, and the ID token has one of them.
pub fn ensure_request_with_acr_values_succeeds(flow: Flow) {
    assert_eq!(taken(flow, ("acr_values", "urn:rp:1 urn:rp:2"))["acr"], "urn:rp:1");
}

/// An address that is not registered is never gone to, and the person is told.
pub fn ensure_registered_redirect_uri(flow: Flow) {
    let elsewhere =
        ["https://rp.example/callback/", "https://rp.example/callback?a=b", "https://evil.example/callback"];
    for redirect in elsewhere {
        assert_eq!(rp(flow).refused(&[("redirect_uri", redirect)]), Refusal::Page, "{redirect}");
    }
}

/// A reference to a request object is refused by its name, not ignored.
pub fn request_uri(flow: Flow) {
    let rp = rp(flow);
    assert_eq!(rp.metadata["request_uri_parameter_supported"], false);
    let refusal = rp.refused(&[("request_uri", "https://rp.example/request.jwt")]);
    assert_eq!(refusal, Refusal::Sent("request_uri_not_supported".into()));
}

/// A request object is refused by its name, not ignored.
pub fn request_object(flow: Flow) {
    let rp = rp(flow);
    assert_eq!(rp.metadata["request_parameter_supported"], false);
    let object = unsigned(&rp.parameters(&[]));
    assert_eq!(rp.refused(&[("request", &object)]), Refusal::Sent("request_not_supported".into()));
}

/// A redirect URI in a request object does not stand in for the one beside it.
pub fn ensure_request_object_with_redirect_uri(flow: Flow) {
    let rp = rp(flow);
    let object = unsigned(&rp.parameters(&[]));
    for outside in ["https://evil.example/callback", ""] {
        let refusal = rp.refused(&[("request", &object), ("redirect_uri", outside)]);
        assert_eq!(refusal, Refusal::Page, "{outside}");
    }
}

fn unsigned(claims: &BTreeMap<String, String>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({ "alg": "none" })), part(&json!(claims)))
}

/// A claim that is essential to the client comes, though no scope asks for it.
pub fn claims_essential(flow: Flow) {
    let rp = rp(flow);
    let place = if rp.flow.response_type == "id_token" { "id_token" } else { "userinfo" };
    let login = rp.login(&[("claims", &json!({ place: { "name": { "essential": true } } }).to_string())]);
    let about = rp.about(&login);
    assert_eq!((&about["name"], &about["nickname"]), (&person()["name"], &Value::Null));
}

/// Without a nonce there is no ID token by way of the browser.
pub fn ensure_request_without_nonce_fails(flow: Flow) {
    assert_eq!(rp(flow).refused(&[("nonce", "")]), Refusal::Sent("invalid_request".into()));
}

/// Without a nonce the flow succeeds, and the ID token has none.
pub fn ensure_request_without_nonce_succeeds(flow: Flow) {
    assert!(rp(flow).login(&[("nonce", "")]).id.get("nonce").is_none());
}

/// A request as a form.
pub fn ensure_post_request_succeeds(flow: Flow) {
    let rp = rp(flow);
    let parameters = rp.parameters(&[]);
    let pairs: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let first = rp.browser.send(Method::POST, &rp.at("authorization_endpoint"), &encode(&pairs));
    assert!(asks_to_sign_in(&first));
    rp.complete(first, &parameters);
}

/// The client's secret in the form.
pub fn server_client_secret_post(flow: Flow) {
    let rp = rp(flow).with_secret_in_form();
    let methods = rp.metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("client_secret_post")));
    rp.login(&[]);
}

/// A code that comes again at once is refused.
pub fn codereuse(flow: Flow) {
    let rp = rp(flow);
    let login = rp.login(&[]);
    let (status, answer) = rp.redeem(&login.front["code"]);
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
}

/// A code that comes again after half a minute is refused, and what came of it is dead.
pub fn codereuse_30seconds(flow: Flow) {
    let authority = authority();
    let rp = Rp::new(&authority, flow);
    let login = rp.login(&[]);
    let token = login.access_token.unwrap();
    authority.clock.advance(Duration::from_secs(30));
    assert_eq!(rp.userinfo(&token).status, 200);
    let (status, answer) = rp.redeem(&login.front["code"]);
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    assert_eq!(rp.userinfo(&token).status, 401);
}

/// A refresh brings new tokens for the same sign-in, to the client that has the refresh token and to no other.
pub fn refresh_token(flow: Flow) {
    let authority = authority();
    let (first, second) = (Rp::new(&authority, flow), Rp::second(&authority, flow));
    assert!(first.metadata["grant_types_supported"].as_array().unwrap().contains(&json!("refresh_token")));
    for (rp, other) in [(&first, &second), (&second, &first)] {
        let login = rp.login(&[]);
        let before = login.answer.unwrap();
        authority.clock.advance(Duration::from_secs(1));
        let shown = before["refresh_token"].as_str().unwrap();
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", shown)];
        let (status, refused) = other.token(&refresh);
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
        let (status, after) = rp.token(&refresh);
        assert_eq!(status, 200, "{after}");
        assert_ne!(after["access_token"], before["access_token"]);
        assert_ne!(after["refresh_token"], before["refresh_token"]);
        let id = rp.judge_id_token(after["id_token"].as_str().unwrap(), None, &[]);
        for same in ["iss", "sub", "aud", "auth_time", "azp"] {
            assert_eq!(id[same], login.id[same], "{same}");
        }
        assert!(id["iat"].as_i64().unwrap() > login.id["iat"].as_i64().unwrap());
        assert_eq!(rp.userinfo(after["access_token"].as_str().unwrap()).json()["sub"], id["sub"]);
    }
}
