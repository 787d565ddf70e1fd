//! How requests come in: the form of a body, within bounds, and in one reading only; and whether a page of ours sent it.

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, StatusCode, request};
use hyper::body::Incoming;

use super::State;
use super::errors::{ErrorCode, OauthError};
use super::form::Form;
use crate::server::plain::{BodyFault, read_body};

/// Bytes of one request body.
const MAX_BODY: usize = 64 * 1024;

/// The parameters of a GET or of a form; `None` for another method.
pub(super) async fn parameters(head: &request::Parts, body: Incoming) -> Option<Result<Form, OauthError>> {
    match head.method {
        Method::GET | Method::HEAD => Some(Form::parse(head.uri.query().unwrap_or_default().as_bytes())),
        Method::POST => Some(form(head, body).await),
        _ => None,
    }
}

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

/// Whether a browser says that a page of another origin sent this. `SameSite` does not tell: a site has all ports of a
/// host, and another program's page may be on one. Clients that are no browsers say nothing, and have no cookies to lose.
///
/// `Sec-Fetch-Site` is the browser's own verdict (Fetch Metadata, section 2.1); `Origin` comes with every form that is
/// posted, and ours let it (`Referrer-Policy: same-origin`). Its own name for us is the `Host`, which no page can choose.
pub(super) fn is_from_elsewhere(state: &State, head: &request::Parts) -> bool {
    let text = |name| head.headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(ORIGIN) else { return false };
    let host = text(HOST).or(head.uri.authority().map(Authority::as_str));
    let ours = origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host);
    !ours && !state.endpoints.is_origin(origin)
}

/// Refuses what a page of another origin sent.
pub(super) fn refuse_elsewhere(state: &State, head: &request::Parts) -> Result<(), OauthError> {
    match is_from_elsewhere(state, head) {
        true => Err(ErrorCode::InvalidRequest.because("this form was sent by a page of another origin")),
        false => Ok(()),
    }
}

fn unreadable(fault: BodyFault) -> OauthError {
    let status = match fault {
        BodyFault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        BodyFault::Slow => StatusCode::REQUEST_TIMEOUT,
        BodyFault::Broken => StatusCode::BAD_REQUEST,
    };
    ErrorCode::InvalidRequest.because(fault.to_string()).with_status(status)
}
