//! Basic OP: `response_type=code`, client_secret_basic.

use serde_json::json;

use super::checks;
use super::rp::{Flow, Refusal, Rp, authority_with, shared};
use crate::flows::{CHALLENGE, VERIFIER};

const FLOW: Flow = Flow::CODE;

#[test]
fn oidcc_server() {
    checks::server(FLOW);
}

#[test]
fn oidcc_response_type_missing() {
    checks::response_type_missing(FLOW);
}

#[test]
fn oidcc_idtoken_signature() {
    checks::idtoken_signature(FLOW);
}

/// The suite skips it where unsigned ID tokens are not offered. So nothing here may offer them, and no client get one.
#[test]
fn oidcc_idtoken_unsigned() {
    let rp = Rp::new(shared(), FLOW);
    for (name, value) in rp.metadata.as_object().unwrap() {
        let offered = name.contains("signing_alg") && value.as_array().is_some_and(|all| all.contains(&json!("none")));
        assert!(!offered, "{name}: {value}");
    }
    assert!(rp.metadata["registration_endpoint"].is_null());
    let registration = ("registration", r#"{"id_token_signed_response_alg":"none"}"#);
    assert_eq!(rp.refused(&[registration]), Refusal::Sent("registration_not_supported".into()));
    let login = rp.login(&[("id_token_signed_response_alg", "none")]);
    assert!(!login.id_token.ends_with('.'));
}

#[test]
fn oidcc_userinfo_get() {
    checks::userinfo_get(FLOW);
}

#[test]
fn oidcc_userinfo_post_header() {
    checks::userinfo_post_header(FLOW);
}

#[test]
fn oidcc_userinfo_post_body() {
    checks::userinfo_post_body(FLOW);
}

#[test]
fn oidcc_ensure_request_without_nonce_succeeds_for_code_flow() {
    checks::ensure_request_without_nonce_succeeds(FLOW);
}

#[test]
fn oidcc_scope_profile() {
    checks::scope(FLOW, &["profile"]);
}

#[test]
fn oidcc_scope_email() {
    checks::scope(FLOW, &["email"]);
}

#[test]
fn oidcc_scope_address() {
    checks::scope(FLOW, &["address"]);
}

#[test]
fn oidcc_scope_phone() {
    checks::scope(FLOW, &["phone"]);
}

#[test]
fn oidcc_scope_all() {
    checks::scope(FLOW, &["profile", "email", "address", "phone"]);
}

#[test]
fn oidcc_alternate_happy_flow() {
    checks::alternate_happy_flow(FLOW);
}

#[test]
fn oidcc_display_page() {
    checks::taken(FLOW, ("display", "page"));
}

#[test]
fn oidcc_display_popup() {
    checks::taken(FLOW, ("display", "popup"));
}

#[test]
fn oidcc_prompt_login() {
    checks::prompt_login(FLOW);
}

#[test]
fn oidcc_prompt_none_not_logged_in() {
    checks::prompt_none_not_logged_in(FLOW);
}

#[test]
fn oidcc_prompt_none_logged_in() {
    checks::prompt_none_logged_in(FLOW);
}

#[test]
fn oidcc_max_age_1() {
    checks::max_age_1(FLOW);
}

#[test]
fn oidcc_max_age_10000() {
    checks::max_age_10000(FLOW);
}

#[test]
fn oidcc_ensure_request_with_unknown_parameter_succeeds() {
    checks::taken(FLOW, ("extra", "foobar"));
}

#[test]
fn oidcc_id_token_hint() {
    checks::id_token_hint(FLOW);
}

#[test]
fn oidcc_login_hint() {
    checks::taken(FLOW, ("login_hint", "buffy@rp.example"));
}

#[test]
fn oidcc_ui_locales() {
    checks::taken(FLOW, ("ui_locales", "se fr-CA"));
}

#[test]
fn oidcc_claims_locales() {
    checks::taken(FLOW, ("claims_locales", "se"));
}

#[test]
fn oidcc_ensure_request_with_acr_values_succeeds() {
    checks::ensure_request_with_acr_values_succeeds(FLOW);
}

#[test]
fn oidcc_codereuse() {
    checks::codereuse(FLOW);
}

#[test]
fn oidcc_codereuse_30seconds() {
    checks::codereuse_30seconds(FLOW);
}

#[test]
fn oidcc_ensure_registered_redirect_uri() {
    checks::ensure_registered_redirect_uri(FLOW);
}

#[test]
fn oidcc_ensure_post_request_succeeds() {
    checks::ensure_post_request_succeeds(FLOW);
}

#[test]
fn oidcc_server_client_secret_post() {
    checks::server_client_secret_post(FLOW);
}

#[test]
fn oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported() {
    checks::request_uri(FLOW);
}

#[test]
fn oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported() {
    checks::request_object(FLOW);
}

#[test]
fn oidcc_claims_essential() {
    checks::claims_essential(FLOW);
}

#[test]
fn oidcc_ensure_request_object_with_redirect_uri() {
    checks::ensure_request_object_with_redirect_uri(FLOW);
}

#[test]
fn oidcc_refresh_token() {
    checks::refresh_token(FLOW);
}

/// With S256, by a client that has a secret and by one that has none.
#[test]
fn oidcc_ensure_request_with_valid_pkce_succeeds() {
    let pkce = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let public = authority_with(|client| client.secret = None);
    for rp in [Rp::new(shared(), FLOW), Rp::new(&public, FLOW).without_secret()] {
        assert_eq!(rp.metadata["code_challenge_methods_supported"], json!(["S256"]));
        let parameters = rp.parameters(&pkce);
        let front = rp.front(&rp.browser.answer_pages(rp.ask(&parameters)), &parameters);
        let form = [
            ("grant_type", "authorization_code"),
            ("code", front["code"].as_str()),
            ("redirect_uri", parameters["redirect_uri"].as_str()),
            ("code_verifier", VERIFIER),
        ];
        let (status, answer) = rp.token(&form);
        assert_eq!(status, 200, "{answer}");
        rp.judge_id_token(answer["id_token"].as_str().unwrap(), parameters.get("nonce"), &[]);
    }
}
