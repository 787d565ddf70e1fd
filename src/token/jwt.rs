//! A signed token taken apart (RFC 7515 compact form, RFC 7519), strictly and before any key is looked at.
//!
//! Promises that a [`Jws`] has exactly three parts, each with one base64url spelling, a header and claims that are JSON
//! objects with one reading, an asymmetric `alg` that we know, an `iss`, and no claim of a wrong type. Refuses JWE,
//! nested and detached forms, `none`, HMAC, and every header that asks for other processing (`crit`, `b64`, `zip`, `enc`).
//! `jku`, `x5u`, `jwk` and `x5c` are never looked at: keys come from the issuer alone. Nothing here is verified yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::claims::Claims;
use super::json::{self, excerpt, kind};
use super::jwk;
use super::{Rejection, RejectionCode};

/// Bytes that a token may have.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Bytes that a `kid` may have.
const MAX_KID_BYTES: usize = 1024;

/// A token that is well-formed; whether it is true is for [`super::checks::IssuerChecks`] to say.
#[derive(Debug, Clone)]
pub struct Jws<'t> {
    /// What the header says.
    pub header: Header,
    /// What the token says.
    pub claims: Claims,
    /// Header and claims as they were signed.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
}

/// The members of a token's header that we act upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `alg`
    pub algorithm: Algorithm,
    /// `typ`
    pub typ: Option<Box<str>>,
    /// `kid`
    pub kid: Option<Box<str>>,
}

impl<'t> Jws<'t> {
    /// Takes `token` apart.
    ///
    /// # Errors
    /// `malformed_token`, `algorithm_refused`, or `missing_claim` for an absent `iss`.
    pub fn parse(token: &'t str) -> Result<Self, Rejection> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed(format!("{} bytes long; at most {MAX_TOKEN_BYTES} are taken", token.len())));
        }
        let [header, payload, signature] = three_parts(token)?;
        let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
        let header = Header::read(&object("header", header)?)?;
        let claims = Claims::read(object("payload", payload)?)?;
        if claims.issuer().is_none() {
            return Err(Rejection::new(RejectionCode::MissingClaim, "the token has no iss"));
        }
        let signature = decode("signature", signature)?;
        Ok(Self { header, claims, signed, signature })
    }

    /// `iss`, by which the issuer's checks and keys are found.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.claims.issuer().unwrap_or_default()
    }
}

impl Header {
    fn read(members: &Map<String, Value>) -> Result<Self, Rejection> {
        let algorithm = algorithm(string(members, "alg")?)?;
        for name in ["crit", "b64", "zip", "enc"] {
            if members.contains_key(name) {
                let detail = format!("the header has {name:?}, which asks for processing that is not done here");
                return Err(Rejection::new(RejectionCode::AlgorithmRefused, detail));
            }
        }
        let typ = string(members, "typ")?.map(Box::from);
        let kid = string(members, "kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID_BYTES || kid.chars().any(char::is_control)) {
            return Err(malformed(format!("the kid has control characters or more than {MAX_KID_BYTES} bytes")));
        }
        Ok(Self { algorithm, typ, kid: kid.map(Box::from) })
    }
}

fn algorithm(name: Option<&str>) -> Result<Algorithm, Rejection> {
    let name = name.ok_or_else(|| malformed("the header has no alg"))?;
    jwk::algorithm(name).ok_or_else(|| {
        let why = match name {
            _ if name.eq_ignore_ascii_case("none") => "unsigned tokens are never taken",
            "HS256" | "HS384" | "HS512" => "shared secrets are never taken",
            _ => "no such algorithm is known here",
        };
        Rejection::new(RejectionCode::AlgorithmRefused, format!("the alg is {}: {why}", excerpt(name)))
    })
}

fn three_parts(token: &str) -> Result<[&str; 3], Rejection> {
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => Ok([header, payload, signature]),
        (_, None, ..) => Err(malformed("not a JWT: there is no dot in it; it may be an opaque token")),
        _ if parts.count() == 1 => Err(malformed("five parts: an encrypted token (JWE), which is not taken")),
        _ => Err(malformed("not three parts separated by dots")),
    }
}

fn object(part: &str, text: &str) -> Result<Map<String, Value>, Rejection> {
    json::object(&decode(part, text)?).map_err(|error| malformed(format!("the {part}: {error}")))
}

/// The bytes of a part in its one spelling: no padding, no other alphabet, no bits that nobody reads.
fn decode(part: &str, text: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed(format!("the {part} is not base64url without padding")))
}

fn string<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Rejection> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(malformed(format!("the header's {name} is {}, not a string", kind(other)))),
    }
}

pub(super) fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::new(RejectionCode::MalformedToken, detail)
}
