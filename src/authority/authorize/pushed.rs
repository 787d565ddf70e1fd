//! Pushed authorization requests (RFC 9126): a client hands the request in beforehand, over its own connection, and
//! sends the browser with a reference to it. The reference works once, for a minute, and for that client only.

use std::time::Duration;

use http::{Method, Request, StatusCode, request};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::super::State;
use super::super::clients;
use super::super::dpop;
use super::super::errors::{self, ErrorCode, OauthError};
use super::super::form::Form;
use super::super::intake;
use super::super::reply::{self, Reply};
use super::super::store::key;
use super::request::{AuthorizationRequest, Refused};
use crate::secret::random_id;

/// What every reference begins with (RFC 9126, section 2.2).
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// From the push to the browser's arrival.
const LIFETIME: Duration = Duration::from_secs(60);

/// Answers one push.
pub(in super::super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    if request.method() != Method::POST {
        return reply::method_not_allowed("POST");
    }
    let (head, body) = request.into_parts();
    let answered = match intake::form(&head, body).await {
        Ok(form) => push(state, &head, &form).await,
        Err(error) => Err(error),
    };
    errors::answered(StatusCode::CREATED, answered)
}

async fn push(state: &State, head: &request::Parts, form: &Form) -> Result<Value, OauthError> {
    let caller = clients::authenticate(state, head, &state.endpoints.pushed, form)?;
    if form.get("request_uri").is_some() {
        return Err(ErrorCode::InvalidRequest.because("a pushed request is not a reference to another one"));
    }
    if form.get("client_id").is_none() {
        return Err(ErrorCode::InvalidRequest.because("client_id is missing; a pushed request has it like any other"));
    }
    let keys = state.keys.current().await.map_err(|fault| ErrorCode::ServerError.because(fault.to_string()))?;
    let mut request = AuthorizationRequest::read(state, &keys, form).map_err(|refused| match refused {
        Refused::Shown(error) | Refused::Sent(_, error) => error,
    })?;
    if request.client != caller.client.id {
        return Err(ErrorCode::InvalidRequest.because("client_id is not the client that authenticated"));
    }
    bind(state, head, &mut request)?;
    let (reference, now) = (format!("{PREFIX}{}", random_id()), state.clock.now());
    state.store.lock().pushed.put(key(&reference), request, now.plus(LIFETIME), now);
    Ok(json!({ "request_uri": reference, "expires_in": LIFETIME.as_secs() }))
}

/// A proof that comes with the push stands for `dpop_jkt` (RFC 9449, section 10.1).
fn bind(state: &State, head: &request::Parts, request: &mut AuthorizationRequest) -> Result<(), OauthError> {
    let Some(proven) = dpop::proof(state, head, &state.endpoints.pushed, None)? else { return Ok(()) };
    if request.key.as_ref().is_some_and(|named| *named != proven) {
        return Err(ErrorCode::InvalidRequest.because("dpop_jkt is not the key of the DPoP proof"));
    }
    request.key = Some(proven);
    Ok(())
}

/// The request that an authorization request refers to, if it is a reference of ours at all.
pub(super) fn referred(state: &State, form: &Form) -> Option<Result<AuthorizationRequest, Refused>> {
    let reference = form.get("request_uri").filter(|uri| uri.starts_with(PREFIX))?;
    let (key, now) = (key(reference), state.clock.now());
    let mut shelves = state.store.lock();
    let mine = shelves.pushed.get(&key, now).is_some_and(|request| form.get("client_id") == Some(&request.client));
    let request = if mine { shelves.pushed.take(&key, now) } else { None };
    Some(request.ok_or_else(|| {
        let why = "request_uri is unknown, used, over, or another client's; it works once and for a minute";
        Refused::Shown(ErrorCode::InvalidRequestUri.because(why))
    }))
}
