//! Revocation (RFC 7009): a client gives a token back. Of an access token, that one ends; with a refresh token ends all
//! that came of the same authorization. An unknown token is no error.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use super::State;
use super::clients;
use super::errors::{ErrorCode, OauthError};
use super::intake;
use super::reply::{self, Reply};
use super::store::key;

/// Answers one request.
pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    if request.method() != Method::POST {
        return reply::method_not_allowed("POST");
    }
    let (head, body) = request.into_parts();
    let revoked = async {
        let form = intake::form(&head, body).await?;
        let caller = clients::authenticate(state, &head, &state.endpoints.revoke, &form)?;
        let token = form.get("token").ok_or_else(|| ErrorCode::InvalidRequest.because("token is missing"))?;
        revoke(state, &caller.client.id, token)
    };
    match revoked.await {
        Ok(()) => {
            let mut reply = reply::whole(StatusCode::OK, "text/plain; charset=utf-8", String::new());
            reply::forbid_storing(&mut reply);
            reply
        }
        Err(error) => error.reply(),
    }
}

fn revoke(state: &State, caller: &str, token: &str) -> Result<(), OauthError> {
    let (key, now) = (key(token), state.clock.now());
    let mut shelves = state.store.lock();
    let access = shelves.access.get(&key, now).map(|access| &access.authorization);
    let (access, refresh) = (access, shelves.refresh.get(&key, now).map(|refresh| &refresh.authorization));
    let Some(authorization) = access.or(refresh) else { return Ok(()) };
    if authorization.client != caller {
        // RFC 7009, section 2.1: refused, and the client is told.
        return Err(ErrorCode::UnauthorizedClient.because("the token is another client's"));
    }
    if refresh.is_some() {
        authorization.revoke();
    }
    shelves.access.take(&key, now);
    Ok(())
}
