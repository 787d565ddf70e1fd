//! Proofs of possession (RFC 9449): whether the one who sends a token holds the key that it is bound to.
//!
//! Promises that a proof is accepted only if it is the only one, is well-formed ([`proof`]), was made for this method and
//! URL ([`uri`]), for this token, a moment ago or with a nonce of ours ([`nonce`]), with the key that the token names, and
//! comes for the first time ([`replay`]). The signature is checked once everything that needs none is right; the
//! memory of proofs is asked last, so that only good ones fill it.

pub mod nonce;
pub mod proof;
pub mod replay;
pub mod shared;
pub mod uri;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use jsonwebtoken::Algorithm;

use super::json::excerpt;
use super::{Rejection, RejectionCode};
use crate::clock::UnixTime;
use crate::config::model;
use crate::secret::sha256;

use nonce::{Age, Nonces};
use proof::Proof;
use replay::{Answer, ProofId, Replays, Use};
use uri::Place;

/// The field that a proof comes in.
pub const FIELD: HeaderName = HeaderName::from_static("dpop");

/// The field that a nonce goes out in.
pub const NONCE_FIELD: HeaderName = HeaderName::from_static("dpop-nonce");

/// What proofs are held to; made once for a snapshot.
pub struct Dpop {
    algorithms: Vec<Algorithm>,
    /// As challenges name them.
    algs: Arc<str>,
    lifetime: Duration,
    skew: Duration,
    nonces: Option<Nonces>,
    nonce_lifetime: Duration,
    replays: Arc<dyn Replays>,
}

/// What all snapshots share: the memory of proofs, and the key of nonces where the config has none.
#[derive(Clone)]
pub struct Means {
    /// Remembers proofs.
    pub replays: Arc<dyn Replays>,
    /// Signs nonces.
    pub nonce_key: [u8; 32],
}

/// What a proof has to be about.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'r> {
    /// The request's method.
    pub method: &'r str,
    /// The URL as the client used it.
    pub place: Place<'r>,
    /// Scheme, host and port that the gateway is known by beside those of the request: `public_url`.
    pub public_url: Option<&'r str>,
    /// The token that came with it.
    pub token: &'r str,
    /// The thumbprint of the key that the token is bound to.
    pub key: &'r [u8; 32],
}

/// A proof that is good in all but one thing: whether it was used before.
pub struct Good<'d> {
    /// Whether it was.
    pub used: Answer<'d>,
    /// A newer nonce than the proof has, for the response.
    pub nonce: Option<HeaderValue>,
}

impl Dpop {
    /// The checks that `[dpop]` describes.
    #[must_use]
    pub fn new(settings: &model::Dpop, means: &Means) -> Self {
        means.replays.bound(settings.max_proofs);
        let key = settings.nonce_secret.as_ref().map_or(&means.nonce_key[..], |secret| secret.expose().as_bytes());
        Self {
            algs: algs(&settings.algorithms).into(),
            algorithms: settings.algorithms.clone(),
            lifetime: settings.proof_lifetime,
            skew: settings.clock_skew,
            nonces: settings.nonce.then(|| Nonces::new(key, settings.nonce_lifetime)),
            nonce_lifetime: settings.nonce_lifetime,
            replays: Arc::clone(&means.replays),
        }
    }

    /// The algorithms of proofs, space-delimited, for challenges.
    #[must_use]
    pub fn algs(&self) -> &Arc<str> {
        &self.algs
    }

    /// The nonce that a proof has to have now, where it has to have one.
    #[must_use]
    pub fn nonce(&self, now: UnixTime) -> Option<HeaderValue> {
        self.nonces.as_ref().map(|nonces| nonces.at(now))
    }

    /// Checks the proof that came with a token. Whether it came before is left in the answer.
    ///
    /// # Errors
    /// `bad_proof`, `proof_nonce_required`, or `bad_binding` when it was made with another key than the token's.
    pub fn check(&self, headers: &HeaderMap, purpose: &Purpose<'_>, now: UnixTime) -> Result<Good<'_>, Rejection> {
        let proof = Proof::open(only(headers)?, &self.algorithms)?;
        check_method(&proof, purpose)?;
        check_place(&proof, purpose)?;
        check_token(&proof, purpose)?;
        let (until, nonce) = self.check_time(&proof, now)?;
        if proof.thumbprint() != purpose.key {
            let detail = "the proof was made with another key than the one that the token is bound to (cnf.jkt)";
            return Err(Rejection::new(RejectionCode::BadBinding, detail));
        }
        if !proof.is_signed() {
            return Err(bad("its own key did not make the signature"));
        }
        let used = self.replays.first_use(id(&proof)?, now, until);
        Ok(Good { used, nonce })
    }

    /// When it was made: by its nonce, if it must have one, whatever the client's clock says (RFC 9449 section 4.3, step
    /// 11); else by `iat`. Gives the moment from which it would not be accepted any more, and a nonce that replaces its own.
    fn check_time(&self, proof: &Proof<'_>, now: UnixTime) -> Result<(UnixTime, Option<HeaderValue>), Rejection> {
        if let Some(nonces) = &self.nonces {
            let nonce = proof.string("nonce")?;
            let until = now.plus(self.nonce_lifetime.saturating_mul(3));
            return match (nonce.and_then(|nonce| nonces.age(nonce, now)), nonce) {
                (Some(Age::Current), _) => Ok((until, None)),
                (Some(Age::Last), _) => Ok((until, Some(nonces.at(now)))),
                (None, Some(_)) => Err(nonce_required("the proof's nonce is not one of ours, or too old")),
                (None, None) => Err(nonce_required("the proof has no nonce")),
            };
        }
        let (issued_at, until) = (proof.issued_at, proof.issued_at.plus(self.lifetime).plus(self.skew));
        if issued_at > now.plus(self.skew) {
            let ahead = issued_at.since(now).as_secs();
            return Err(bad(format!("its iat is {ahead} s in the future ({} s are tolerated)", self.skew.as_secs())));
        }
        if until <= now {
            let (age, lifetime) = (now.since(issued_at).as_secs(), self.lifetime.as_secs());
            let skew = self.skew.as_secs();
            return Err(bad(format!("its iat was {age} s ago; {lifetime} s and {skew} s of skew are tolerated")));
        }
        Ok((until, None))
    }
}

impl Good<'_> {
    /// Waits until it is known whether the proof was used before. Gives a newer nonce for the response.
    ///
    /// # Errors
    /// `bad_proof` when it was, `store_unavailable` when that cannot be told.
    pub async fn first_use(self) -> Result<Option<HeaderValue>, Rejection> {
        match self.used.get().await {
            Use::First => Ok(self.nonce),
            Use::Again => Err(bad("it was used before (its jti is known)")),
            Use::Unknown(why) => Err(Rejection::new(RejectionCode::StoreUnavailable, why)),
        }
    }
}

/// The value of the one `DPoP` field.
fn only(headers: &HeaderMap) -> Result<&str, Rejection> {
    let mut fields = headers.get_all(FIELD).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => field.to_str().map_err(|_| bad("it is not ASCII")),
        (None, _) => Err(bad("the scheme is DPoP, but there is no DPoP field with a proof")),
        (Some(_), Some(_)) => Err(bad("there is more than one DPoP field")),
    }
}

fn check_method(proof: &Proof<'_>, purpose: &Purpose<'_>) -> Result<(), Rejection> {
    match proof.needed("htm")? {
        method if method == purpose.method => Ok(()),
        method => Err(bad(format!("its htm is {}; the request's method is {}", excerpt(method), purpose.method))),
    }
}

fn check_place(proof: &Proof<'_>, purpose: &Purpose<'_>) -> Result<(), Rejection> {
    let (htu, asked) = (proof.needed("htu")?, purpose.place);
    let public = purpose.public_url.and_then(Place::of).map(|public| Place { path: asked.path, ..public });
    let named = Place::of(htu).filter(|named| [Some(asked), public].iter().flatten().any(|place| named.is_same(place)));
    if named.is_some() {
        return Ok(());
    }
    let Place { scheme, authority, path } = asked;
    let beside = public.map(|public| format!(" or {}://{}{path}", public.scheme, public.authority)).unwrap_or_default();
    Err(bad(format!("its htu is {}; the request is for {scheme}://{authority}{path}{beside}", excerpt(htu))))
}

fn check_token(proof: &Proof<'_>, purpose: &Purpose<'_>) -> Result<(), Rejection> {
    let expected = URL_SAFE_NO_PAD.encode(sha256(purpose.token.as_bytes()));
    match proof.needed("ath")? == expected {
        true => Ok(()),
        false => Err(bad("its ath is not the hash of the token that came with it")),
    }
}

fn id(proof: &Proof<'_>) -> Result<ProofId, Rejection> {
    let digest = sha256(&[proof.thumbprint(), proof.jti()?.as_bytes()].concat());
    let mut id = ProofId::default();
    id.copy_from_slice(&digest[..16]);
    Ok(id)
}

fn algs(algorithms: &[Algorithm]) -> String {
    let names: Vec<String> = algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    names.join(" ")
}

/// Says that it is the proof that is meant: details of tokens read alike.
fn bad(detail: impl Into<Cow<'static, str>>) -> Rejection {
    Rejection::new(RejectionCode::BadProof, format!("the DPoP proof: {}", detail.into()))
}

fn nonce_required(detail: &'static str) -> Rejection {
    Rejection::new(RejectionCode::ProofNonceRequired, detail)
}

#[cfg(test)]
mod tests;
