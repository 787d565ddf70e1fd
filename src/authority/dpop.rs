//! DPoP proofs (RFC 9449): a client shows with every request that it holds the private half of a key.
//!
//! A proof counts for one request: its method and URL, its access token if there is one, once, and within a minute of
//! its making. With `dpop_nonce` it has to carry a value that the authority gave out in the last minutes (section 8).
//! Refuses keys with private members, symmetric algorithms, and two proofs at once.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, request};
use url::Url;

use super::State;
use super::endpoints::{Endpoint, Endpoints};
use super::errors::{ErrorCode, OauthError};
use super::jwk::PublicKey;
use super::jws::Jws;
use super::reply::Reply;
use super::store::key;
use crate::clock::UnixTime;
use crate::secret::{random_bytes, same, sha256};

/// How far `iat` may be from our time, on either side.
const WINDOW: Duration = Duration::from_secs(60);
/// Characters of a `jti`.
const MAX_ID: usize = 256;
/// A nonce is the current one for this long, and taken for as long again.
const NONCE_PERIOD: i64 = 300;

/// The thumbprint of the key whose proof came with the request to `endpoint`, if one came at all. With `token`, the proof
/// has to be for that access token.
pub(super) fn proof(
    state: &State,
    head: &request::Parts,
    endpoint: &Endpoint,
    token: Option<&str>,
) -> Result<Option<String>, OauthError> {
    let Some(text) = only_proof(&head.headers)? else { return Ok(None) };
    let bad = |why: &str| ErrorCode::InvalidDpopProof.because(format!("the DPoP proof is not good: {why}"));
    let jws = Jws::parse(text).map_err(bad)?;
    let key = signer(&jws).map_err(bad)?;
    made_for(&jws, head.method.as_str(), &endpoint.url, token).map_err(bad)?;
    if state.settings.dpop_nonce && !jws.text("nonce").is_some_and(|nonce| state.nonces.knows(nonce, state.clock.now()))
    {
        return Err(ErrorCode::UseDpopNonce.because("the DPoP proof needs the nonce of the DPoP-Nonce header"));
    }
    fresh(state, &jws, key.thumbprint()).map_err(bad)?;
    Ok(Some(key.thumbprint().to_owned()))
}

fn only_proof(headers: &HeaderMap) -> Result<Option<&str>, OauthError> {
    let mut proofs = headers.get_all("dpop").iter();
    let (first, second) = (proofs.next(), proofs.next());
    let Some(first) = first else { return Ok(None) };
    let text = first.to_str().ok().filter(|_| second.is_none());
    text.map(Some).ok_or_else(|| ErrorCode::InvalidDpopProof.because("there is more than one DPoP proof, or not text"))
}

/// The key that the proof brings along, which signed it.
fn signer(jws: &Jws<'_>) -> Result<PublicKey, &'static str> {
    if jws.header_text("typ") != Some("dpop+jwt") {
        return Err("its typ is not dpop+jwt");
    }
    let jwk = jws.header.get("jwk").ok_or("it has no jwk")?;
    let key = PublicKey::read(jwk).map_err(|_| "its jwk is no public RSA, P-256 or Ed25519 key")?;
    if jws.is_signed_by(&key) { Ok(key) } else { Err("its signature does not fit its jwk and alg") }
}

/// Whether it was made for this request.
fn made_for(jws: &Jws<'_>, method: &str, url: &str, token: Option<&str>) -> Result<(), &'static str> {
    if jws.text("htm") != Some(method) {
        return Err("htm is not the method of the request");
    }
    if jws.text("htu").and_then(target) != target(url) {
        return Err("htu is not the URL of the endpoint");
    }
    let Some(token) = token else { return Ok(()) };
    let expected = URL_SAFE_NO_PAD.encode(sha256(token.as_bytes()));
    match jws.text("ath") {
        Some(digest) if same(digest.as_bytes(), expected.as_bytes()) => Ok(()),
        _ => Err("ath is not the digest of the access token"),
    }
}

/// A URL without query and fragment, in one spelling (RFC 9449, section 4.3, check 9).
fn target(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

/// Whether it is of now, and comes for the first time.
fn fresh(state: &State, jws: &Jws<'_>, thumbprint: &str) -> Result<(), &'static str> {
    let now = state.clock.now();
    let made = UnixTime::from_secs(jws.seconds("iat").ok_or("it has no iat")?);
    if made < now.minus(WINDOW) || made > now.plus(WINDOW) {
        return Err("iat is more than a minute from the time of the authority");
    }
    let id = jws.text("jti").filter(|id| !id.is_empty() && id.len() <= MAX_ID).ok_or("it has no jti, or a long one")?;
    // One more second, since an end is exclusive and a window is not.
    let end = made.plus(WINDOW + Duration::from_secs(1));
    match state.store.lock().is_first(key(&format!("proof {thumbprint} {id}")), end, now) {
        true => Ok(()),
        false => Err("it was used before"),
    }
}

/// Makes and knows nonces, without keeping any: a nonce is the authentication code of the time in which it was given.
#[derive(Debug)]
pub(super) struct Nonces(hmac::Key);

impl Nonces {
    /// With a key of its own.
    pub(super) fn new() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()))
    }

    /// The one to use now.
    fn current(&self, now: UnixTime) -> String {
        self.of(now.secs().div_euclid(NONCE_PERIOD))
    }

    fn knows(&self, nonce: &str, now: UnixTime) -> bool {
        let period = now.secs().div_euclid(NONCE_PERIOD);
        [period, period - 1].iter().any(|period| same(nonce.as_bytes(), self.of(*period).as_bytes()))
    }

    fn of(&self, period: i64) -> String {
        URL_SAFE_NO_PAD.encode(&hmac::sign(&self.0, &period.to_be_bytes()).as_ref()[..16])
    }
}

/// Tells the client the nonce for its next proof, where proofs are taken and need one.
pub(super) fn supply_nonce(state: &State, path: &str, reply: &mut Reply) {
    let wanted = state.settings.dpop_nonce && takes_proofs(&state.endpoints, path);
    let nonce = wanted.then(|| HeaderValue::try_from(state.nonces.current(state.clock.now())).ok()).flatten();
    if let Some(nonce) = nonce {
        reply.headers_mut().insert("dpop-nonce", nonce);
    }
}

fn takes_proofs(endpoints: &Endpoints, path: &str) -> bool {
    [&endpoints.token, &endpoints.pushed, &endpoints.userinfo].iter().any(|endpoint| endpoint.path == path)
}

/// Whether `text` may be a thumbprint (`dpop_jkt`, section 10).
pub(super) fn is_thumbprint(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|digest| digest.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_compared_in_one_spelling() {
        let same = |a: &str, b: &str| target(a).is_some() && target(a) == target(b);
        for good in ["https://a.example/token", "HTTPS://A.example:443/token?x#y", "https://a.example/./token"] {
            assert!(same(good, "https://a.example/token"), "{good}");
        }
        for bad in ["http://a.example/token", "https://a.example/Token", "https://a.example/token/", "", "token"] {
            assert!(!same(bad, "https://a.example/token"), "{bad}");
        }
    }

    #[test]
    fn a_nonce_is_taken_for_five_to_ten_minutes() {
        let (nonces, start) = (Nonces::new(), UnixTime::from_secs(600));
        let nonce = nonces.current(start);
        let later = |seconds| start.plus(Duration::from_secs(seconds));
        assert!(nonces.knows(&nonce, start) && nonces.knows(&nonce, later(599)));
        assert!(!nonces.knows(&nonce, later(600)) && !nonces.knows("", start) && !Nonces::new().knows(&nonce, start));
        assert_ne!(nonce, nonces.current(later(300)));
    }
}
