//! Judging tokens: exactly one credential is taken from a request, and it becomes a principal or a rejection.

use std::borrow::Cow;
use std::fmt;

pub mod binding;
pub mod cache;
pub mod certificate;
pub mod checks;
pub mod claims;
pub mod client;
pub mod dpop;
pub mod elsewhere;
pub mod envelope;
pub mod extract;
pub mod introspect;
pub mod json;
mod jwk;
pub mod jwks;
pub mod jwt;
pub mod key;
pub mod principal;
mod profile;
pub mod revocation;
pub mod signer;
#[cfg(test)]
pub mod testing;

/// Why a credential was not accepted: a code for the caller, a detail for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The closed list that callers, logs and metrics see.
    pub code: RejectionCode,
    /// What exactly was wrong. Shown to operators only; never holds a token, a key or a secret, and of the token's
    /// content only claim names and short, escaped values of `iss`, `aud`, `typ`, `alg` and `kid`.
    pub detail: Cow<'static, str>,
}

impl Rejection {
    /// A rejection with its detail.
    pub fn new(code: RejectionCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

/// What is wrong with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectionCode {
    /// Two credentials, or not a b64token: the request is malformed (RFC 6750 section 3.1, `invalid_request`).
    BadCredentialSyntax,
    /// Not three dot-separated parts of JSON, duplicate members, or a claim of a wrong type.
    MalformedToken,
    /// `iss` names no issuer of ours, or none that the route names.
    UnknownIssuer,
    /// An ID token, a logout token, or a `typ` that the issuer's profile does not take.
    WrongType,
    /// `none`, HMAC, an unknown `crit`, or an `alg` that the key or the allow-list does not have.
    AlgorithmRefused,
    /// No usable key of the issuer signs with this `kid`.
    UnknownKey,
    /// The signature does not verify.
    BadSignature,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies in the future.
    NotYetValid,
    /// `aud` names none of ours.
    WrongAudience,
    /// A required claim is absent.
    MissingClaim,
    /// The issuer says that the token is not active (RFC 7662).
    Inactive,
    /// The token was revoked here.
    Revoked,
    /// A sender-constrained token without proof of possession, or one that is not constrained where it has to be
    /// (RFC 9449, RFC 8705).
    BadBinding,
    /// The proof of possession is not a good one (RFC 9449).
    BadProof,
    /// The proof of possession needs the nonce that comes with the refusal (RFC 9449 section 9).
    ProofNonceRequired,
    /// The issuer's keys could not be had; the token is not known to be bad.
    IssuerUnavailable,
    /// What has to be remembered or looked up could not be; the token is not known to be bad.
    StoreUnavailable,
}

impl RejectionCode {
    /// The code as callers, logs and metrics see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadCredentialSyntax => "bad_credential_syntax",
            Self::MalformedToken => "malformed_token",
            Self::UnknownIssuer => "unknown_issuer",
            Self::WrongType => "wrong_type",
            Self::AlgorithmRefused => "algorithm_refused",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongAudience => "wrong_audience",
            Self::MissingClaim => "missing_claim",
            Self::Inactive => "inactive",
            Self::Revoked => "revoked",
            Self::BadBinding => "bad_binding",
            Self::BadProof => "bad_proof",
            Self::ProofNonceRequired => "proof_nonce_required",
            Self::IssuerUnavailable => "issuer_unavailable",
            Self::StoreUnavailable => "store_unavailable",
        }
    }
}
