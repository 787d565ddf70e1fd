//! The answer itself: a code, tokens, or both, for a person who signed in and agreed.

use std::sync::Arc;
use std::time::Duration;

use super::super::State;
use super::super::errors::ErrorCode;
use super::super::granted::{Authorization, CodeRecord};
use super::super::keys::{KeySet, NoKeys};
use super::super::reply::Reply;
use super::super::session::Session;
use super::super::settings::Client;
use super::super::store::{Key, key};
use super::super::tokens::{AccessToken, IdToken, Occasion};
use super::request::AuthorizationRequest;
use super::respond;
use crate::secret::random_id;

/// How long a used or forgotten code is remembered, for the sake of replays.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Makes what the response type names, and sends it. The person signed out meanwhile, perhaps: then nothing is made.
pub(super) fn answer(
    state: &State,
    keys: &KeySet,
    request: &AuthorizationRequest,
    browser: &Key,
    session: &Session,
) -> Reply {
    let authorization = Arc::new(authorization(state, request, session));
    if !remember(state, browser, &authorization) {
        let error = ErrorCode::LoginRequired.because("the person signed out in another window");
        return respond::send_error(state, &request.back, &error);
    }
    let client = state.settings.client(&request.client).ok_or(NoKeys);
    match client.and_then(|client| parameters(state, keys, client, request, &authorization)) {
        Ok(parameters) => respond::send(state, &request.back, parameters),
        Err(fault) => respond::send_error(state, &request.back, &ErrorCode::ServerError.because(fault.to_string())),
    }
}

fn authorization(state: &State, request: &AuthorizationRequest, session: &Session) -> Authorization {
    let subject = &state.settings.users[session.user].sub;
    let (scopes, resources) = (request.scopes.clone(), request.resources.clone());
    let mut authorization =
        Authorization::of_user(&request.client, (session.user, subject), scopes, resources, session.sign_in.clone());
    authorization.claims = request.claims.clone();
    authorization.nonce = request.nonce.clone();
    authorization
}

/// Adds it to the session as it is now, so that answers of several windows all end with it. Whether there is one.
fn remember(state: &State, browser: &Key, authorization: &Arc<Authorization>) -> bool {
    let now = state.clock.now();
    state.store.lock().sessions.get_mut(browser, now).map(|session| session.remember(authorization)).is_some()
}

type Parameters = Vec<(&'static str, String)>;

fn parameters(
    state: &State,
    keys: &KeySet,
    client: &Client,
    request: &AuthorizationRequest,
    authorization: &Arc<Authorization>,
) -> Result<Parameters, NoKeys> {
    let kind = request.kind;
    let mut parameters = Parameters::new();
    let code = kind.code.then(|| keep_code(state, request, authorization));
    let access = match kind.token {
        true => Some(AccessToken::of(state, client, authorization).issue(state, keys)?),
        false => None,
    };
    if kind.id_token {
        let mut token = IdToken::new(state, client, authorization).with_nonce();
        token.attest("at_hash", access.as_ref().map(|access| access.token.as_str()));
        token.attest("c_hash", code.as_deref());
        if access.is_none() && code.is_none() {
            // There is no userinfo to be had, so the claims come here (OpenID Connect Core 1.0, section 5.4).
            token.add_claims_of_scopes(state);
        }
        parameters.push(("id_token", token.sign(state, keys, Occasion::SignIn)?));
    }
    if let Some(access) = access {
        parameters.push(("access_token", access.token));
        parameters.push(("token_type", access.token_type.into()));
        parameters.push(("expires_in", access.lifetime.to_string()));
        parameters.extend(Some(access.scope).filter(|scope| !scope.is_empty()).map(|scope| ("scope", scope)));
    }
    parameters.extend(code.map(|code| ("code", code)));
    Ok(parameters)
}

fn keep_code(state: &State, request: &AuthorizationRequest, authorization: &Arc<Authorization>) -> String {
    let (code, now) = (format!("{}{}", random_id(), random_id()), state.clock.now());
    let record = CodeRecord {
        authorization: Arc::clone(authorization),
        redirect_uri: request.named_redirect.then(|| request.back.redirect_uri.clone()),
        challenge: request.challenge.clone(),
        key: request.key.clone(),
        expires: now.plus(state.settings.code_lifetime),
        used: false,
    };
    let kept = now.plus(REMEMBERED.max(state.settings.code_lifetime));
    state.store.lock().codes.put(key(&code), record, kept, now);
    code
}
