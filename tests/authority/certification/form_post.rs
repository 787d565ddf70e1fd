//! Form Post OP: the plans once more, with the answer in a form that posts itself.

use super::checks;
use super::rp::Flow;

fn all(check: impl Fn(Flow)) {
    let flows = [Flow::CODE].into_iter().chain(Flow::IMPLICIT).chain(Flow::HYBRID);
    flows.map(|flow| Flow { form_post: true, ..flow }).for_each(check);
}

#[test]
fn oidcc_server() {
    all(checks::server);
}

#[test]
fn oidcc_prompt_none_not_logged_in() {
    all(checks::prompt_none_not_logged_in);
}

#[test]
fn oidcc_ensure_registered_redirect_uri() {
    all(checks::ensure_registered_redirect_uri);
}
