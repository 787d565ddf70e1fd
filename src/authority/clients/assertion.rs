//! `private_key_jwt` (RFC 7523, section 2.2; OpenID Connect Core 1.0, section 9): the client signs a statement about
//! itself with a key that it has registered.
//!
//! An assertion counts once, for the client that it names twice, and for this authority. Refuses one that lasts longer than
//! an hour, since each has to be remembered until its end, and a JWT that was signed for another purpose.

use std::time::Duration;

use serde_json::Value;

use super::super::State;
use super::super::endpoints::Endpoint;
use super::super::jwk::PublicKey;
use super::super::jws::Jws;
use super::super::settings::Client;
use super::super::store::key;
use crate::clock::UnixTime;

/// What `client_assertion_type` has to be.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far the clocks of a client and ours may be apart.
const SKEW: Duration = Duration::from_secs(60);
/// From now to the end of an assertion.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// Characters of a `jti`.
const MAX_ID: usize = 256;

/// Whether the assertion is of `client` and for a request to `endpoint`; otherwise says what is wrong with it.
pub(super) fn check(state: &State, client: &Client, endpoint: &Endpoint, jws: &Jws<'_>) -> Result<(), &'static str> {
    if !jws.header_text("typ").is_none_or(|typ| typ == "JWT" || typ == "client-authentication+jwt") {
        return Err("its typ is of another kind of JWT");
    }
    if !keys(client, jws).any(|key| jws.is_signed_by(&key)) {
        return Err("none of the client's keys signed it");
    }
    if jws.text("iss") != Some(&client.id) || jws.text("sub") != Some(&client.id) {
        return Err("iss and sub are not both the client");
    }
    if !jws.claims.get("aud").is_some_and(|audience| names(audience, &audiences(state, endpoint))) {
        return Err("aud is neither the issuer nor the endpoint");
    }
    fresh(state, client, jws)
}

/// The keys of the client that may have signed it: those of its `kid`, or all when it names none.
fn keys<'a>(client: &'a Client, jws: &'a Jws<'_>) -> impl Iterator<Item = PublicKey> + 'a {
    let set = client.jwks.as_ref().and_then(|set| set["keys"].as_array()).into_iter().flatten();
    let kid = jws.header_text("kid");
    set.filter_map(|jwk| PublicKey::read(jwk).ok()).filter(move |key| kid.is_none() || key.kid() == kid)
}

/// What the authority takes for its own name: its issuer, the endpoint that is asked, and the token endpoint, which
/// clients name at other endpoints as well (RFC 9126, section 2).
fn audiences<'a>(state: &'a State, endpoint: &'a Endpoint) -> [&'a str; 3] {
    [&state.settings.issuer, &endpoint.url, &state.endpoints.token.url]
}

fn names(audience: &Value, ours: &[&str]) -> bool {
    let is_ours = |one: &Value| one.as_str().is_some_and(|one| ours.contains(&one));
    match audience {
        Value::Array(several) => several.iter().any(is_ours),
        one => is_ours(one),
    }
}

/// Whether it is of now, and comes for the first time.
fn fresh(state: &State, client: &Client, jws: &Jws<'_>) -> Result<(), &'static str> {
    let now = state.clock.now();
    let end = UnixTime::from_secs(jws.seconds("exp").ok_or("it has no exp")?);
    if end <= now {
        return Err("it is over");
    }
    if end > now.plus(MAX_LIFETIME + SKEW) {
        return Err("it lasts longer than an hour");
    }
    for name in ["nbf", "iat"] {
        let moment = jws.claims.get(name).map(|_| jws.seconds(name).ok_or("nbf or iat is not a time")).transpose()?;
        if moment.is_some_and(|moment| UnixTime::from_secs(moment) > now.plus(SKEW)) {
            return Err("nbf or iat is in the future");
        }
    }
    let id = jws.text("jti").filter(|id| !id.is_empty() && id.len() <= MAX_ID).ok_or("it has no jti, or a long one")?;
    match state.store.lock().is_first(key(&format!("assertion {} {id}", client.id)), end, now) {
        true => Ok(()),
        false => Err("it was used before"),
    }
}
