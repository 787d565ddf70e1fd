//! The client credentials grant (RFC 6749, section 4.4): a confidential client gets a token for itself. Never a refresh
//! token, never an ID token.

use std::sync::Arc;

use serde_json::Value;

use super::super::State;
use super::super::errors::{ErrorCode, OauthError};
use super::super::granted::Authorization;
use super::super::keys::KeySet;
use super::super::scope;
use super::super::tokens::AccessToken;
use super::{Answer, Asked};

/// The token that the client asks for.
pub(super) fn grant(state: &State, keys: &KeySet, asked: &Asked<'_>) -> Result<Value, OauthError> {
    let Asked { client, form, .. } = *asked;
    if !asked.authenticated {
        return Err(ErrorCode::UnauthorizedClient.because("a public client cannot have client_credentials"));
    }
    let scopes = scope::scopes(client, form)?;
    if let Some(scope) = scopes.iter().find(|scope| scope::needs_a_person(scope)) {
        let why = format!("the scope {scope} is about a person, and client_credentials has none");
        return Err(ErrorCode::InvalidScope.because(why));
    }
    let authorization = Arc::new(Authorization::of_client(&client.id, scopes, scope::resources(form)?));
    let token = AccessToken::of(state, client, &authorization);
    Ok(Answer::with(state, keys, asked, &authorization, token)?.body)
}
