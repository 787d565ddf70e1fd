//! The client credentials grant (RFC 6749, section 4.4): a confidential client gets a token for itself. Never a refresh
//! token, never an ID token.

use super::super::State;
use super::super::clients::Caller;
use super::super::errors::{ErrorCode, OauthError};
use super::super::form::Form;
use super::super::settings::Grant;
use super::access::{AccessToken, resources, scopes};

/// The token that `caller` asks for.
pub(super) fn grant(state: &State, caller: Caller<'_>, form: &Form) -> Result<AccessToken, OauthError> {
    let Caller { client, authenticated } = caller;
    if !authenticated {
        return Err(ErrorCode::UnauthorizedClient.because("a public client cannot have client_credentials"));
    }
    if !client.grants.contains(&Grant::ClientCredentials) {
        return Err(ErrorCode::UnauthorizedClient.because("this client is not registered for client_credentials"));
    }
    let scopes = scopes(client, form)?;
    let resources = resources(form)?;
    Ok(AccessToken::new(state, client, &client.id, &scopes, &resources))
}
