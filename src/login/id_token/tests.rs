use serde_json::json;

use super::*;
use crate::token::testing::{self, b64};

const ISSUER: &str = "https://login.acme.example";
const NOW: i64 = 1_800_000_000;

/// A signed ID token: a good one with the members of `changes`, and without those that are null there. `typ` goes into its
/// header.
fn token(changes: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": "web", "iat": NOW - 10, "exp": NOW + 300, "nonce": "n",
        "auth_time": NOW - 60, "acr": "silver",
    });
    let mut header = json!({ "alg": "ES256", "kid": "ec" });
    for (name, value) in changes.as_object().expect("changes") {
        let part = if name == "typ" { &mut header } else { &mut claims };
        part[name] = value.clone();
    }
    claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = testing::p256().sign(Algorithm::ES256, message.as_bytes());
    format!("{message}.{}", b64(signature))
}

fn judged(changes: &Value, expected: &Expected<'_>) -> &'static str {
    let keys = json!({ "keys": [testing::p256().jwk("ec")] }).to_string();
    let keys = KeySet::parse(keys.as_bytes()).expect("a JWK Set");
    match verify(&token(changes), &keys, expected, UnixTime::from_secs(NOW)) {
        Ok(_) => "ok",
        Err(rejection) => rejection.code.as_str(),
    }
}

#[test]
fn an_id_token_is_for_this_client_and_for_nobody_who_is_not_trusted() {
    let trusted = ["project".to_owned()];
    let expected = Expected {
        issuer: ISSUER,
        client_id: "web",
        trusted: &trusted,
        algorithms: &[Algorithm::ES256],
        nonce: Some("n"),
        access_token: Some("access"),
        skew: Duration::from_secs(30),
    };
    let half = b64(&digest::digest(&SHA256, b"access").as_ref()[..16]);
    let cases = [
        (json!({}), "ok"),
        (json!({ "aud": ["web"] }), "ok"),
        (json!({ "aud": ["web", "web"] }), "ok"),
        (json!({ "azp": "web" }), "ok"),
        (json!({ "aud": ["project", "web"], "azp": "web" }), "ok"),
        (json!({ "aud": ["project", "web"] }), "wrong_audience"),
        (json!({ "aud": ["web", "stranger"], "azp": "web" }), "wrong_audience"),
        (json!({ "aud": ["web", ""], "azp": "web" }), "wrong_audience"),
        (json!({ "aud": ["project"], "azp": "web" }), "wrong_audience"),
        (json!({ "aud": "web1" }), "wrong_audience"),
        (json!({ "aud": [] }), "wrong_audience"),
        (json!({ "aud": null }), "wrong_audience"),
        (json!({ "aud": ["web", 1] }), "malformed_token"),
        (json!({ "azp": "other" }), "wrong_audience"),
        (json!({ "azp": "" }), "wrong_audience"),
        (json!({ "azp": ["web"] }), "malformed_token"),
        (json!({ "azp": 1 }), "malformed_token"),
        (json!({ "iss": format!("{ISSUER}1") }), "unknown_issuer"),
        (json!({ "sub": null }), "missing_claim"),
        (json!({ "sub": "" }), "missing_claim"),
        (json!({ "iat": null }), "missing_claim"),
        (json!({ "exp": null }), "missing_claim"),
        (json!({ "exp": NOW - 30 }), "expired"),
        (json!({ "exp": NOW - 29 }), "ok"),
        (json!({ "iat": NOW + 31 }), "not_yet_valid"),
        (json!({ "iat": NOW + 30 }), "ok"),
        (json!({ "nbf": NOW + 31 }), "not_yet_valid"),
        (json!({ "nbf": NOW + 30 }), "ok"),
        (json!({ "nonce": "n1" }), "bad_binding"),
        (json!({ "nonce": null }), "missing_claim"),
        (json!({ "at_hash": half }), "ok"),
        (json!({ "at_hash": format!("{half}1") }), "bad_binding"),
        (json!({ "at_hash": 1 }), "bad_binding"),
        (json!({ "events": {} }), "wrong_type"),
        (json!({ "typ": "JWT" }), "ok"),
        (json!({ "typ": "application/jwt" }), "ok"),
        (json!({ "typ": "at+jwt" }), "wrong_type"),
        (json!({ "typ": "logout+jwt" }), "wrong_type"),
    ];
    for (changes, code) in &cases {
        assert_eq!(judged(changes, &expected), *code, "{changes}");
    }
    let other = Expected { algorithms: &[Algorithm::RS256], ..expected };
    assert_eq!(judged(&json!({}), &other), "algorithm_refused");
}
