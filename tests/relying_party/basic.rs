//! Basic RP: the code flow, with the answer in the query.

use super::checks;
use super::support::foreign::Mode::Query;

#[test]
fn oidcc_client_test() {
    checks::client_test(Query);
}

#[test]
fn oidcc_client_test_invalid_iss() {
    checks::invalid_iss(Query);
}

#[test]
fn oidcc_client_test_missing_sub() {
    checks::missing_sub(Query);
}

#[test]
fn oidcc_client_test_invalid_aud() {
    checks::invalid_aud(Query);
}

#[test]
fn oidcc_client_test_missing_iat() {
    checks::missing_iat(Query);
}

#[test]
fn oidcc_client_test_kid_absent_single_jwks() {
    checks::kid_absent_single_jwks(Query);
}

#[test]
fn oidcc_client_test_kid_absent_multiple_jwks() {
    checks::kid_absent_multiple_jwks(Query);
}

#[test]
fn oidcc_client_test_idtoken_sig_rs256() {
    checks::idtoken_sig_rs256(Query);
}

#[test]
fn oidcc_client_test_idtoken_sig_none() {
    checks::idtoken_sig_none(Query);
}

#[test]
fn oidcc_client_test_invalid_sig_rs256() {
    checks::invalid_sig_rs256(Query);
}

#[test]
fn oidcc_client_test_userinfo_invalid_sub() {
    checks::userinfo_invalid_sub(Query);
}

#[test]
fn oidcc_client_test_nonce_invalid() {
    checks::nonce_invalid(Query);
}

#[test]
fn oidcc_client_test_scope_userinfo_claims() {
    checks::scope_userinfo_claims(Query);
}

#[test]
fn oidcc_client_test_client_secret_basic() {
    checks::client_secret_basic(Query);
}

/// Not a module: the key set that all of them have.
#[test]
fn the_key_set_of_the_suite() {
    checks::hostile_jwks(Query);
}
