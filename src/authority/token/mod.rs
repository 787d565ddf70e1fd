//! The token endpoint (RFC 6749, section 3.2): reads the request, finds out who asks, hands over to the grant.
//!
//! Refuses whatever could be read in two ways: another method or content type, parameters in the query, repeated ones,
//! a body beyond 64 KiB.

mod access;
mod client_credentials;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode, request};
use hyper::body::Incoming;

use super::State;
use super::clients;
use super::errors::{ErrorCode, OauthError};
use super::form::Form;
use super::keys::KeySet;
use super::reply::{self, Reply};
use super::settings::Grant;
use crate::server::plain::{BodyFault, read_body};

/// Bytes of one request body.
const MAX_BODY: usize = 64 * 1024;

/// Answers one request, good or bad.
pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    if request.method() != Method::POST {
        return reply::method_not_allowed("POST");
    }
    let (head, body) = request.into_parts();
    match exchange(state, &head, body).await {
        Ok(reply) => reply,
        Err(error) => error.reply(),
    }
}

async fn exchange(state: &State, head: &request::Parts, body: Incoming) -> Result<Reply, OauthError> {
    check_head(head)?;
    let body = read_body(body, MAX_BODY).await.map_err(unreadable)?;
    let keys = state.keys.current().await.map_err(|fault| ErrorCode::ServerError.because(fault.to_string()))?;
    grant(state, &keys, head, &body)
}

fn check_head(head: &request::Parts) -> Result<(), OauthError> {
    if head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(ErrorCode::InvalidRequest.because("parameters belong in the body, not in the URL"));
    }
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let form = types.next().and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        let essence = kind.split(';').next().unwrap_or(kind).trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if form && types.next().is_none() {
        Ok(())
    } else {
        Err(ErrorCode::InvalidRequest.because("the content type must be application/x-www-form-urlencoded"))
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

/// The judgement itself: no waiting, no socket.
fn grant(state: &State, keys: &KeySet, head: &request::Parts, body: &Bytes) -> Result<Reply, OauthError> {
    let form = Form::parse(body)?;
    let caller = clients::authenticate(&state.settings.clients, &head.headers, &form)?;
    let name = form.get("grant_type").ok_or_else(|| ErrorCode::InvalidRequest.because("grant_type is missing"))?;
    let token = match Grant::from_name(name) {
        Some(Grant::ClientCredentials) => client_credentials::grant(state, caller, &form)?,
        None => {
            return Err(ErrorCode::UnsupportedGrantType.because(format!("the grant type {name} is not offered")));
        }
    };
    let signed = token.sign(keys).map_err(|fault| ErrorCode::ServerError.because(fault.to_string()))?;
    let mut reply = reply::json(StatusCode::OK, &signed);
    reply::forbid_storing(&mut reply);
    Ok(reply)
}
