//! Basic RP once more, with the answer in a form that posts itself from another site.

use super::checks;
use super::support::foreign::Mode::FormPost;

#[test]
fn oidcc_client_test() {
    checks::client_test(FormPost);
}

#[test]
fn oidcc_client_test_invalid_iss() {
    checks::invalid_iss(FormPost);
}

#[test]
fn oidcc_client_test_missing_sub() {
    checks::missing_sub(FormPost);
}

#[test]
fn oidcc_client_test_invalid_aud() {
    checks::invalid_aud(FormPost);
}

#[test]
fn oidcc_client_test_missing_iat() {
    checks::missing_iat(FormPost);
}

#[test]
fn oidcc_client_test_kid_absent_single_jwks() {
    checks::kid_absent_single_jwks(FormPost);
}

#[test]
fn oidcc_client_test_kid_absent_multiple_jwks() {
    checks::kid_absent_multiple_jwks(FormPost);
}

#[test]
fn oidcc_client_test_idtoken_sig_rs256() {
    checks::idtoken_sig_rs256(FormPost);
}

#[test]
fn oidcc_client_test_idtoken_sig_none() {
    checks::idtoken_sig_none(FormPost);
}

#[test]
fn oidcc_client_test_invalid_sig_rs256() {
    checks::invalid_sig_rs256(FormPost);
}

#[test]
fn oidcc_client_test_userinfo_invalid_sub() {
    checks::userinfo_invalid_sub(FormPost);
}

#[test]
fn oidcc_client_test_nonce_invalid() {
    checks::nonce_invalid(FormPost);
}

#[test]
fn oidcc_client_test_scope_userinfo_claims() {
    checks::scope_userinfo_claims(FormPost);
}

#[test]
fn oidcc_client_test_client_secret_basic() {
    checks::client_secret_basic(FormPost);
}
