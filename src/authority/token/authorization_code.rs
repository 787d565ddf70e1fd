//! The authorization code grant (RFC 6749, section 4.1.3; RFC 7636): a code for tokens, once.
//!
//! A code that comes again is a sign that somebody else has it, so everything that came of it is revoked (RFC 6749,
//! section 4.1.2). What does not fit in any other way uses the code up too: whoever guesses gets one guess.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::super::State;
use super::super::errors::{ErrorCode, OauthError};
use super::super::granted::{Authorization, CodeRecord};
use super::super::keys::KeySet;
use super::super::scope;
use super::super::store::key;
use super::super::tokens::{AccessToken, Occasion};
use super::{Answer, Asked};
use crate::secret::{same, sha256};

/// The tokens that the code stands for.
pub(super) fn grant(state: &State, keys: &KeySet, asked: &Asked<'_>) -> Result<Value, OauthError> {
    let Asked { client, form, .. } = *asked;
    let code = form.get("code").ok_or_else(|| ErrorCode::InvalidRequest.because("code is missing"))?;
    let authorization = redeem(state, asked, code)?;
    let resources = scope::narrowed_resources(&authorization.resources, form)?;
    let scopes = authorization.scopes.clone();
    let token = AccessToken::of(state, client, &authorization).narrowed(scopes, resources);
    let answer = Answer::with(state, keys, asked, &authorization, token)?;
    Ok(answer.with_refresh_token().with_id_token(Occasion::SignIn)?.body)
}

fn redeem(state: &State, asked: &Asked<'_>, code: &str) -> Result<Arc<Authorization>, OauthError> {
    let invalid = |why: &'static str| ErrorCode::InvalidGrant.because(why);
    let now = state.clock.now();
    let mut shelves = state.store.lock();
    let record = shelves.codes.get_mut(&key(code), now).filter(|record| record.authorization.client == asked.client.id);
    let record = record.ok_or_else(|| invalid("the code is unknown, or another client's"))?;
    if record.used {
        record.authorization.revoke();
        return Err(invalid("the code was used before; what came of it is revoked"));
    }
    record.used = true;
    if record.authorization.is_revoked() {
        return Err(invalid("the code was revoked"));
    }
    if now >= record.expires {
        return Err(invalid("the code is too old"));
    }
    fits(record, asked)?;
    Ok(Arc::clone(&record.authorization))
}

/// Whether the request is by the one who made the authorization request.
fn fits(record: &CodeRecord, asked: &Asked<'_>) -> Result<(), OauthError> {
    let form = asked.form;
    if record.key.is_some() && record.key != asked.bound.key {
        return Err(
            ErrorCode::InvalidGrant.because("the code is bound to a key, and no proof by that key came with it")
        );
    }
    let redirect_uri = form.get("redirect_uri");
    if record.redirect_uri.as_deref() != redirect_uri {
        return Err(match redirect_uri {
            Some(_) => ErrorCode::InvalidGrant.because("redirect_uri is not that of the authorization request"),
            None => ErrorCode::InvalidGrant.because("redirect_uri is missing; the authorization request had one"),
        });
    }
    match (&record.challenge, form.get("code_verifier")) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(ErrorCode::InvalidGrant.because("code_verifier is missing")),
        // Somebody took the challenge out of the request on its way (RFC 9700, section 4.8.2).
        (None, Some(_)) => Err(ErrorCode::InvalidGrant.because("there was no code_challenge for this code_verifier")),
        (Some(challenge), Some(verifier)) if proves(verifier, challenge) => Ok(()),
        (Some(_), Some(_)) => Err(ErrorCode::InvalidGrant.because("code_verifier does not fit code_challenge")),
    }
}

/// Whether `challenge` was made of `verifier` by S256 (RFC 7636, sections 4.1 and 4.6).
fn proves(verifier: &str, challenge: &str) -> bool {
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(alphabet)
        && same(URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())).as_bytes(), challenge.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_the_specification_proves_its_challenge() {
        // RFC 7636, appendix B.
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(proves(verifier, challenge));
        assert!(!proves(&verifier[1..], challenge) && !proves(challenge, challenge) && !proves("", challenge));
    }
}
