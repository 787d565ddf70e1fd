//! Hybrid OP: `code id_token`, `code token`, `code id_token token`; what it has beyond the Basic and Implicit plans.

use super::checks;
use super::rp::Flow;

/// Codes and tokens by both ways; `c_hash` beside a code, `at_hash` beside a token, and one subject in all ID tokens.
#[test]
fn oidcc_server() {
    Flow::HYBRID.into_iter().for_each(checks::server);
}

#[test]
fn oidcc_ensure_request_without_nonce_fails() {
    Flow::HYBRID.into_iter().filter(|flow| flow.has("id_token")).for_each(checks::ensure_request_without_nonce_fails);
}

#[test]
fn oidcc_ensure_request_without_nonce_succeeds_for_code_flow() {
    Flow::HYBRID
        .into_iter()
        .filter(|flow| !flow.has("id_token"))
        .for_each(checks::ensure_request_without_nonce_succeeds);
}

#[test]
fn oidcc_codereuse() {
    Flow::HYBRID.into_iter().for_each(checks::codereuse);
}

#[test]
fn oidcc_refresh_token() {
    Flow::HYBRID.into_iter().for_each(checks::refresh_token);
}
