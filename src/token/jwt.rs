//! A token taken apart (RFC 7519), strictly and before any key is looked at.
//!
//! Promises that a [`Jws`] is a strict [`Envelope`] around claims that are a JSON object with one reading, with an `iss`
//! and no claim of a wrong type. Refuses nested tokens. Nothing here is verified yet.

use super::claims::Claims;
use super::envelope::{Envelope, malformed};
use super::json;
use super::{Rejection, RejectionCode};

/// A token that is well-formed; whether it is true is for [`super::checks::IssuerChecks`] to say.
#[derive(Debug, Clone)]
pub struct Jws<'t> {
    /// Header and signature.
    pub envelope: Envelope<'t>,
    /// What the token says.
    pub claims: Claims,
}

impl<'t> Jws<'t> {
    /// Takes `token` apart.
    ///
    /// # Errors
    /// `malformed_token`, `algorithm_refused`, or `missing_claim` for an absent `iss`.
    pub fn parse(token: &'t str) -> Result<Self, Rejection> {
        let (envelope, payload) = Envelope::open(token)?;
        let claims = json::object(&payload).map_err(|error| malformed(format!("the claims: {error}")))?;
        let claims = Claims::read(claims)?;
        match claims.issuer() {
            Some(_) => Ok(Self { envelope, claims }),
            None => Err(Rejection::new(RejectionCode::MissingClaim, "the token has no iss")),
        }
    }

    /// `iss`, by which the issuer's checks and keys are found.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.claims.issuer().unwrap_or_default()
    }
}
