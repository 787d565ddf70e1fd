//! The device code grant (RFC 8628, section 3.4): the device asks whether somebody answered.

use serde_json::Value;

use super::super::State;
use super::super::device;
use super::super::errors::{ErrorCode, OauthError};
use super::super::keys::KeySet;
use super::super::scope;
use super::super::tokens::{AccessToken, Occasion};
use super::{Answer, Asked};

/// The tokens for the device.
pub(super) fn grant(state: &State, keys: &KeySet, asked: &Asked<'_>) -> Result<Value, OauthError> {
    let Asked { client, form, .. } = *asked;
    let code = form.get("device_code");
    let code = code.ok_or_else(|| ErrorCode::InvalidRequest.because("device_code is missing"))?;
    let authorization = device::ask(state, &client.id, code)?;
    let resources = scope::narrowed_resources(&authorization.resources, form)?;
    let scopes = authorization.scopes.clone();
    let token = AccessToken::of(state, client, &authorization).narrowed(scopes, resources);
    let answer = Answer::with(state, keys, asked, &authorization, token)?;
    Ok(answer.with_refresh_token().with_id_token(Occasion::SignIn)?.body)
}
