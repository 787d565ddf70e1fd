//! Refresh tokens (RFC 6749, section 6; RFC 9700, section 4.14.2): each works once and brings the next one.
//!
//! A token that comes again after it was rotated revokes the whole family: either the client or a thief has an old one.
//! One exception: a client whose answer was lost may repeat the last rotation within the grace, as long as nobody used
//! the token that came of it; it gets that same token again.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::State;
use super::super::bound::Bound;
use super::super::errors::{ErrorCode, OauthError};
use super::super::granted::{Authorization, RefreshRecord, Rotation};
use super::super::keys::KeySet;
use super::super::scope;
use super::super::store::{Key, Shelves, key};
use super::super::tokens::{AccessToken, Occasion};
use super::{Answer, Asked};
use crate::clock::UnixTime;
use crate::secret::{Secret, random_id};

/// The first token of a family.
pub(super) fn begin(state: &State, authorization: &Arc<Authorization>, bound: Bound) -> String {
    let now = state.clock.now();
    let end = now.plus(state.settings.refresh.absolute);
    put(state, &mut state.store.lock(), authorization, bound, end)
}

/// New tokens for an old one.
pub(super) fn grant(state: &State, keys: &KeySet, asked: &Asked<'_>) -> Result<Value, OauthError> {
    let Asked { client, form, .. } = *asked;
    let shown = form.get("refresh_token");
    let shown = shown.ok_or_else(|| ErrorCode::InvalidRequest.because("refresh_token is missing"))?;
    let now = state.clock.now();
    // All that can be refused is refused before the token is rotated: a slip must not cost the client its access.
    let authorization = check(state, &mut state.store.lock(), asked, &key(shown), now)?;
    let scopes = scope::narrowed(&authorization.scopes, form)?;
    let resources = scope::narrowed_resources(&authorization.resources, form)?;
    let token = AccessToken::of(state, client, &authorization).narrowed(scopes.clone(), resources);
    let mut answer = Answer::with(state, keys, asked, &authorization, token)?;
    if scopes.iter().any(|scope| scope == "openid") && authorization.gives_id_tokens {
        answer = answer.with_id_token(Occasion::Refresh)?;
    }
    let successor = rotate(state, &mut state.store.lock(), asked, &key(shown), now)?;
    answer.body["refresh_token"] = json!(successor);
    Ok(answer.body)
}

/// What the token stands for, if it can be used now. Revokes the family if it must not be.
fn check(
    state: &State,
    shelves: &mut Shelves,
    asked: &Asked<'_>,
    shown: &Key,
    now: UnixTime,
) -> Result<Arc<Authorization>, OauthError> {
    let invalid = |why: &'static str| ErrorCode::InvalidGrant.because(why);
    let record = shelves.refresh.get(shown, now).filter(|record| record.authorization.client == asked.client.id);
    let record = record.ok_or_else(|| invalid("the refresh token is unknown, over, or another client's"))?;
    if record.authorization.is_revoked() {
        return Err(invalid("the refresh token was revoked"));
    }
    if !record.bound.is_met_by(&asked.bound) {
        return Err(invalid("the refresh token is bound, and the request does not prove what it is bound to"));
    }
    if let Some(rotation) = &record.rotated {
        let successor = shelves.refresh.get(&rotation.successor_key, now);
        let unused = successor.is_some_and(|successor| successor.rotated.is_none());
        if !unused || now.since(rotation.at) >= state.settings.refresh.grace {
            record.authorization.revoke();
            return Err(invalid("the refresh token was used before; its whole family is revoked"));
        }
    } else if now >= record.idle_end {
        return Err(invalid("the refresh token was not used for too long"));
    }
    Ok(Arc::clone(&record.authorization))
}

/// The token that comes in its place. Checked anew, since two requests may come at once.
fn rotate(
    state: &State,
    shelves: &mut Shelves,
    asked: &Asked<'_>,
    shown: &Key,
    now: UnixTime,
) -> Result<String, OauthError> {
    let authorization = check(state, shelves, asked, shown, now)?;
    let Some(record) = shelves.refresh.get(shown, now) else {
        return Err(ErrorCode::InvalidGrant.because("the refresh token is over"));
    };
    if let Some(rotation) = &record.rotated {
        return Ok(rotation.successor.expose().to_owned());
    }
    let (bound, end) = (record.bound.clone(), record.absolute_end);
    let successor = put(state, shelves, &authorization, bound, end);
    if let Some(record) = shelves.refresh.get_mut(shown, now) {
        let successor_key = key(&successor);
        record.rotated = Some(Rotation { at: now, successor: Secret::new(successor.clone()), successor_key });
    }
    Ok(successor)
}

fn put(
    state: &State,
    shelves: &mut Shelves,
    authorization: &Arc<Authorization>,
    bound: Bound,
    end: UnixTime,
) -> String {
    let (token, now) = (format!("{}{}", random_id(), random_id()), state.clock.now());
    let record = RefreshRecord {
        authorization: Arc::clone(authorization),
        bound,
        idle_end: now.plus(state.settings.refresh.idle),
        absolute_end: end,
        rotated: None,
    };
    shelves.refresh.put(key(&token), record, end, now);
    token
}
