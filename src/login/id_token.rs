//! Whether an ID token proves who logged in (OpenID Connect Core 1.0, section 3.1.3.7), to the letter and in its order, up
//! to step 11. How and when the person signed in (steps 12 and 13) is for [`super::step_up`] to judge.
//!
//! Pure: keys and time come in. It always comes from the token endpoint here; its signature is checked all the same.

use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use crate::clock::UnixTime;
use crate::secret::same;
use crate::token::claims::Claims;
use crate::token::envelope::Envelope;
use crate::token::json::excerpt;
use crate::token::jwt::Jws;
use crate::token::key::KeySet;
use crate::token::{Rejection, RejectionCode};

/// What an ID token is held to.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `iss`, byte by byte.
    pub issuer: &'a str,
    /// `aud` contains it.
    pub client_id: &'a str,
    /// What `aud` may name beside it.
    pub trusted: &'a [String],
    /// The algorithms that the issuer may use.
    pub algorithms: &'a [Algorithm],
    /// `nonce`; `None` after a refresh, where none is demanded.
    pub nonce: Option<&'a str>,
    /// The access token that came along, for `at_hash`.
    pub access_token: Option<&'a str>,
    /// How far the issuer's clock may be off.
    pub skew: Duration,
}

/// The claims of `token`, if it is what we asked for.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>, now: UnixTime) -> Result<Claims, Rejection> {
    let jws = Jws::parse(token)?;
    let algorithm = jws.envelope.header.algorithm;
    check_kind(&jws)?;
    if jws.issuer() != expected.issuer {
        return Err(Rejection::new(RejectionCode::UnknownIssuer, "the iss of the ID token is not the login's issuer"));
    }
    if !expected.algorithms.contains(&algorithm) {
        return Err(Rejection::new(
            RejectionCode::AlgorithmRefused,
            format!("the ID token is signed by {algorithm:?}"),
        ));
    }
    check_audience(&jws.claims, expected.client_id, expected.trusted)?;
    check_party(&jws.claims, expected.client_id)?;
    jws.envelope.verify(keys)?;
    let claims = jws.claims;
    if claims.string("sub").is_none_or(str::is_empty) {
        return Err(missing("sub"));
    }
    check_times(&claims, expected, now)?;
    check_nonce(&claims, expected.nonce)?;
    check_hash(&claims, algorithm, expected.access_token)?;
    Ok(claims)
}

/// The `kid` of a signed token, by which its key is found.
///
/// # Errors
/// When it is no signed token of a form that is taken.
pub fn kid(token: &str) -> Result<Option<Box<str>>, Rejection> {
    Envelope::open(token).map(|(envelope, _)| envelope.header.kid)
}

/// An access token or a logout token is no ID token, though the same key may have signed it.
fn check_kind(jws: &Jws<'_>) -> Result<(), Rejection> {
    let typ = jws.envelope.header.typ.as_deref().map(str::to_ascii_lowercase);
    let plain = typ.as_deref().is_none_or(|typ| matches!(typ, "jwt" | "application/jwt"));
    match plain && !jws.claims.has("events") {
        true => Ok(()),
        false => Err(Rejection::new(RejectionCode::WrongType, "what came as ID token is a token of another kind")),
    }
}

/// `aud` names the client, and nobody else but who is trusted not to show the token here (step 3).
pub(super) fn check_audience(claims: &Claims, client_id: &str, trusted: &[String]) -> Result<(), Rejection> {
    let refused = |detail: String| Err(Rejection::new(RejectionCode::WrongAudience, detail));
    if !claims.audiences().any(|audience| audience == client_id) {
        return refused("aud does not name the client".to_owned());
    }
    match claims.audiences().find(|one| *one != client_id && !trusted.iter().any(|known| known == one)) {
        Some(stranger) => refused(format!("aud also names {}, which is not trusted", excerpt(stranger))),
        None => Ok(()),
    }
}

/// `azp` is the client, and is there when `aud` names several (steps 4 and 5). [`Claims`] holds it to be a text.
fn check_party(claims: &Claims, client_id: &str) -> Result<(), Rejection> {
    let refused = |detail: &'static str| Err(Rejection::new(RejectionCode::WrongAudience, detail));
    match claims.string("azp") {
        Some(party) if party != client_id => refused("the azp of the ID token is another client"),
        None if claims.audiences().any(|audience| audience != client_id) => {
            refused("the ID token is for several audiences and has no azp")
        }
        _ => Ok(()),
    }
}

fn check_times(claims: &Claims, expected: &Expected<'_>, now: UnixTime) -> Result<(), Rejection> {
    let expires = claims.expires_at.ok_or_else(|| missing("exp"))?;
    let issued = claims.issued_at.ok_or_else(|| missing("iat"))?;
    if now >= expires.plus(expected.skew) {
        return Err(Rejection::new(RejectionCode::Expired, "the ID token has expired"));
    }
    let latest = now.plus(expected.skew);
    if issued > latest || claims.not_before.is_some_and(|moment| moment > latest) {
        return Err(Rejection::new(RejectionCode::NotYetValid, "the ID token is from the future"));
    }
    Ok(())
}

/// A claim in whole seconds.
#[must_use]
pub fn seconds(claims: &Claims, name: &str) -> Option<i64> {
    claims.get(name).and_then(Value::as_i64).filter(|seconds| *seconds >= 0)
}

fn check_nonce(claims: &Claims, expected: Option<&str>) -> Result<(), Rejection> {
    let Some(expected) = expected else { return Ok(()) };
    let nonce = claims.get("nonce").and_then(Value::as_str).ok_or_else(|| missing("nonce"))?;
    match same(nonce.as_bytes(), expected.as_bytes()) {
        true => Ok(()),
        false => Err(Rejection::new(RejectionCode::BadBinding, "the nonce of the ID token is another login's")),
    }
}

/// `at_hash` is optional beside a code, but never wrong (section 3.1.3.8).
fn check_hash(claims: &Claims, algorithm: Algorithm, access_token: Option<&str>) -> Result<(), Rejection> {
    let (Some(hash), Some(token)) = (claims.get("at_hash"), access_token) else { return Ok(()) };
    let algorithm = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &SHA512,
        _ => &SHA256,
    };
    let digest = digest::digest(algorithm, token.as_bytes());
    let half = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..digest.as_ref().len() / 2]);
    match hash.as_str().is_some_and(|hash| same(hash.as_bytes(), half.as_bytes())) {
        true => Ok(()),
        false => {
            Err(Rejection::new(RejectionCode::BadBinding, "the at_hash of the ID token is not the access token's"))
        }
    }
}

fn missing(name: &str) -> Rejection {
    Rejection::new(RejectionCode::MissingClaim, format!("the ID token has no {name}"))
}

#[cfg(test)]
mod tests;
