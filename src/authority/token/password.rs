//! The password grant (RFC 6749, section 4.3), which is discouraged: the client sees the password. An access token, and
//! a refresh token if the client may have one, but never an ID token.

use std::sync::Arc;

use serde_json::Value;

use super::super::State;
use super::super::authorize::authenticate;
use super::super::errors::{ErrorCode, OauthError};
use super::super::granted::Authorization;
use super::super::keys::KeySet;
use super::super::scope;
use super::super::session::{PASSWORD_ACR, SignIn};
use super::super::tokens::AccessToken;
use super::{Answer, Asked};

/// The token that the client asks for in somebody's name.
pub(super) fn grant(state: &State, keys: &KeySet, asked: &Asked<'_>) -> Result<Value, OauthError> {
    let Asked { client, form, .. } = *asked;
    let (Some(name), Some(password)) = (form.get("username"), form.get("password")) else {
        return Err(ErrorCode::InvalidRequest.because("username and password are both needed"));
    };
    let (scopes, resources) = (scope::scopes(client, form)?, scope::resources(form)?);
    let user = authenticate(state, name, password);
    let user = user.ok_or_else(|| ErrorCode::InvalidGrant.because("username and password do not belong together"))?;
    let sign_in = SignIn { time: state.clock.now().secs(), acr: PASSWORD_ACR.into(), sid: None };
    let subject = &state.settings.users[user].sub;
    let authorization =
        Arc::new(Authorization::of_user(&client.id, (user, subject), scopes, resources, sign_in).without_id_token());
    let token = AccessToken::of(state, client, &authorization);
    Ok(Answer::with(state, keys, asked, &authorization, token)?.with_refresh_token().body)
}
