//! How requests come in: the form of a body, within bounds, and in one reading only.

use http::header::CONTENT_TYPE;
use http::{StatusCode, request};
use hyper::body::Incoming;

use super::errors::{ErrorCode, OauthError};
use super::form::Form;
use crate::server::plain::{BodyFault, read_body};

/// Bytes of one request body.
const MAX_BODY: usize = 64 * 1024;

/// The form in the body of a POST. Refuses parameters in the query beside it, another content type, a body beyond
/// 64 KiB.
pub(super) async fn form(head: &request::Parts, body: Incoming) -> Result<Form, OauthError> {
    if head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(ErrorCode::InvalidRequest.because("parameters belong in the body, not in the URL"));
    }
    if !is_form(head) {
        return Err(ErrorCode::InvalidRequest.because("the content type must be application/x-www-form-urlencoded"));
    }
    Form::parse(&read_body(body, MAX_BODY).await.map_err(unreadable)?)
}

/// Whether the body says that it is a form, once.
pub(super) fn is_form(head: &request::Parts) -> bool {
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let form = types.next().and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        let essence = kind.split(';').next().unwrap_or(kind).trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    form && types.next().is_none()
}

fn unreadable(fault: BodyFault) -> OauthError {
    let status = match fault {
        BodyFault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        BodyFault::Slow => StatusCode::REQUEST_TIMEOUT,
        BodyFault::Broken => StatusCode::BAD_REQUEST,
    };
    ErrorCode::InvalidRequest.because(fault.to_string()).with_status(status)
}
