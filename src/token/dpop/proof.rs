//! One proof, taken apart (RFC 9449 section 4.2).
//!
//! Promises that a [`Proof`] is a strict compact JWS of the type `dpop+jwt`, with an asymmetric `alg` that is allowed and
//! fits the public key in its `jwk`, and with claims of the right types. Refuses a `jwk` that holds a private or symmetric
//! key, one that may not verify, and weak ones, as in an issuer's key set. Nothing here is verified yet.

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::bad;
use crate::clock::UnixTime;
use crate::token::Rejection;
use crate::token::claims::date;

use crate::token::envelope::{Envelope, MAX_TOKEN_BYTES};
use crate::token::json::{self, excerpt, kind};
use crate::token::jwk;
use crate::token::key::Key;

/// Bytes that a proof may have; an RSA key of 8192 bits and its signature fit.
const MAX_PROOF_BYTES: usize = 8 * 1024;

/// Bytes that a `jti` may have.
const MAX_JTI_BYTES: usize = 256;

/// A proof that is well-formed.
#[derive(Debug)]
pub struct Proof<'p> {
    envelope: Envelope<'p>,
    key: Key,
    claims: Map<String, Value>,
    /// `iat`
    pub issued_at: UnixTime,
}

impl<'p> Proof<'p> {
    /// Takes the value of a `DPoP` field apart.
    ///
    /// # Errors
    /// `bad_proof`
    pub fn open(text: &'p str, algorithms: &[Algorithm]) -> Result<Self, Rejection> {
        if text.len() > MAX_PROOF_BYTES {
            return Err(bad(format!("{} bytes long; at most {MAX_PROOF_BYTES} are taken", text.len())));
        }
        let (envelope, header, payload) =
            Envelope::open_whole(text, MAX_TOKEN_BYTES).map_err(|rejection| bad(rejection.detail))?;
        match envelope.header.typ.as_deref() {
            Some(typ) if typ.eq_ignore_ascii_case("dpop+jwt") => {}
            Some(typ) => return Err(bad(format!("the typ is {}, not \"dpop+jwt\"", excerpt(typ)))),
            None => return Err(bad("there is no typ, which must be \"dpop+jwt\"")),
        }
        let algorithm = envelope.header.algorithm;
        if !algorithms.contains(&algorithm) {
            return Err(bad(format!("the alg is {algorithm:?}; proofs may use {algorithms:?}")));
        }
        let jwk = header.get("jwk").ok_or_else(|| bad("the header has no jwk"))?;
        let key = jwk::read_for(jwk, algorithm).map_err(|reason| bad(format!("the key in jwk {reason}")))?;
        if !key.fits(algorithm) {
            return Err(bad(format!("the alg is {algorithm:?}, which is not one of the key in jwk")));
        }
        let claims = json::object(&payload).map_err(|error| bad(format!("the claims: {error}")))?;
        let issued_at = date(&claims, "iat").map_err(|rejection| bad(rejection.detail))?;
        let issued_at = issued_at.ok_or_else(|| bad("there is no iat"))?;
        let proof = Self { envelope, key, claims, issued_at };
        match proof.jti()?.len() {
            1..=MAX_JTI_BYTES => Ok(proof),
            length => Err(bad(format!("the jti has {length} bytes; 1 to {MAX_JTI_BYTES} are taken"))),
        }
    }

    /// The thumbprint of its key (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.key.id
    }

    /// `jti`
    ///
    /// # Errors
    /// `bad_proof`, as for the other claims.
    pub fn jti(&self) -> Result<&str, Rejection> {
        self.needed("jti")
    }

    /// The string claim of this name, which has to be there.
    ///
    /// # Errors
    /// `bad_proof`
    pub fn needed(&self, name: &str) -> Result<&str, Rejection> {
        self.string(name)?.ok_or_else(|| bad(format!("there is no {name}")))
    }

    /// The string claim of this name.
    ///
    /// # Errors
    /// `bad_proof` when it is no string.
    pub fn string(&self, name: &str) -> Result<Option<&str>, Rejection> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(bad(format!("the claim {name} is {}, not a string", kind(other)))),
        }
    }

    /// Whether its own key signed it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.envelope.is_signed_by(&self.key)
    }
}
