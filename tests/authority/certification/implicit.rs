//! Implicit OP: `id_token`, and `id_token token`. Each module runs for both, but for those that need an access token.

use super::checks;
use super::rp::Flow;

fn both(check: impl Fn(Flow)) {
    Flow::IMPLICIT.into_iter().for_each(check);
}

#[test]
fn oidcc_server() {
    both(checks::server);
}

#[test]
fn oidcc_idtoken_signature() {
    both(checks::idtoken_signature);
}

#[test]
fn oidcc_ensure_request_without_nonce_fails() {
    both(checks::ensure_request_without_nonce_fails);
}

#[test]
fn oidcc_scope_profile() {
    both(|flow| checks::scope(flow, &["profile"]));
}

#[test]
fn oidcc_scope_email() {
    both(|flow| checks::scope(flow, &["email"]));
}

#[test]
fn oidcc_scope_address() {
    both(|flow| checks::scope(flow, &["address"]));
}

#[test]
fn oidcc_scope_phone() {
    both(|flow| checks::scope(flow, &["phone"]));
}

#[test]
fn oidcc_scope_all() {
    both(|flow| checks::scope(flow, &["profile", "email", "address", "phone"]));
}

#[test]
fn oidcc_alternate_happy_flow() {
    both(checks::alternate_happy_flow);
}

#[test]
fn oidcc_display_page() {
    both(|flow| drop(checks::taken(flow, ("display", "page"))));
}

#[test]
fn oidcc_display_popup() {
    both(|flow| drop(checks::taken(flow, ("display", "popup"))));
}

#[test]
fn oidcc_prompt_login() {
    both(checks::prompt_login);
}

#[test]
fn oidcc_prompt_none_not_logged_in() {
    both(checks::prompt_none_not_logged_in);
}

#[test]
fn oidcc_prompt_none_logged_in() {
    both(checks::prompt_none_logged_in);
}

#[test]
fn oidcc_max_age_1() {
    both(checks::max_age_1);
}

#[test]
fn oidcc_max_age_10000() {
    both(checks::max_age_10000);
}

#[test]
fn oidcc_ensure_request_with_unknown_parameter_succeeds() {
    both(|flow| drop(checks::taken(flow, ("extra", "foobar"))));
}

#[test]
fn oidcc_id_token_hint() {
    both(checks::id_token_hint);
}

#[test]
fn oidcc_login_hint() {
    both(|flow| drop(checks::taken(flow, ("login_hint", "buffy@rp.example"))));
}

#[test]
fn oidcc_ui_locales() {
    both(|flow| drop(checks::taken(flow, ("ui_locales", "se fr-CA"))));
}

#[test]
fn oidcc_claims_locales() {
    both(|flow| drop(checks::taken(flow, ("claims_locales", "se"))));
}

#[test]
fn oidcc_ensure_request_with_acr_values_succeeds() {
    both(checks::ensure_request_with_acr_values_succeeds);
}

#[test]
fn oidcc_ensure_registered_redirect_uri() {
    both(checks::ensure_registered_redirect_uri);
}

#[test]
fn oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported() {
    both(checks::request_uri);
}

#[test]
fn oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported() {
    both(checks::request_object);
}

#[test]
fn oidcc_claims_essential() {
    both(checks::claims_essential);
}

#[test]
fn oidcc_ensure_request_object_with_redirect_uri() {
    both(checks::ensure_request_object_with_redirect_uri);
}

#[test]
fn oidcc_response_type_missing() {
    checks::response_type_missing(Flow::IMPLICIT[1]);
}

#[test]
fn oidcc_userinfo_get() {
    checks::userinfo_get(Flow::IMPLICIT[1]);
}

#[test]
fn oidcc_userinfo_post_header() {
    checks::userinfo_post_header(Flow::IMPLICIT[1]);
}

#[test]
fn oidcc_userinfo_post_body() {
    checks::userinfo_post_body(Flow::IMPLICIT[1]);
}
