//! A signed message in its compact form (RFC 7515), taken apart strictly, and whether an issuer's key signed it.
//!
//! Promises that an [`Envelope`] has exactly three parts, each with one base64url spelling, a header that is a JSON object
//! with one reading, and an asymmetric `alg` that we know. Refuses JWE, detached and JSON forms, `none`, HMAC, and every
//! header that asks for other processing (`crit`, `b64`, `zip`, `enc`). `jku`, `x5u`, `jwk` and `x5c` are never looked at:
//! keys come from the issuer alone.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::json::{self, excerpt, kind};
use super::jwk;
use super::key::{Key, KeySet};
use super::{Rejection, RejectionCode};

/// Bytes that a token may have.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Bytes that a `kid` may have.
const MAX_KID_BYTES: usize = 1024;

/// Keys that one signature is tried with.
pub(super) const MAX_CANDIDATES: usize = 8;

/// A signed message without its payload; what the payload says, and whether the signature is good, is open.
#[derive(Debug, Clone)]
pub struct Envelope<'t> {
    /// What the header says.
    pub header: Header,
    signed: &'t [u8],
    signature: Vec<u8>,
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

/// The members of a header.
type Members = Map<String, Value>;

impl<'t> Envelope<'t> {
    /// Takes `token` apart, into the envelope and the payload.
    ///
    /// # Errors
    /// `malformed_token` or `algorithm_refused`.
    pub fn open(token: &'t str) -> Result<(Self, Vec<u8>), Rejection> {
        Self::open_whole(token, MAX_TOKEN_BYTES).map(|(envelope, _, payload)| (envelope, payload))
    }

    /// As [`Envelope::open`], with another bound, and with all members of the header: a proof brings its key there.
    pub(super) fn open_whole(token: &'t str, max_bytes: usize) -> Result<(Self, Members, Vec<u8>), Rejection> {
        if token.len() > max_bytes {
            return Err(malformed(format!("{} bytes long; at most {max_bytes} are taken", token.len())));
        }
        let [header, payload, signature] = three_parts(token)?;
        let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
        let members =
            json::object(&decode("header", header)?).map_err(|error| malformed(format!("the header: {error}")))?;
        let header = Header::read(&members)?;
        let payload = decode("payload", payload)?;
        let signature = decode("signature", signature)?;
        Ok((Self { header, signed, signature }, members, payload))
    }

    /// Whether `key` made the signature, by the algorithm of the header.
    pub(super) fn is_signed_by(&self, key: &Key) -> bool {
        key.verifies(self.header.algorithm, self.signed, &self.signature)
    }

    /// Checks the signature with these keys. Gives the id of the key that made it.
    ///
    /// # Errors
    /// `unknown_key`, `algorithm_refused` when the key with this `kid` is of another kind, or `bad_signature`.
    pub fn verify(&self, keys: &KeySet) -> Result<[u8; 32], Rejection> {
        let (kid, algorithm) = (self.header.kid.as_deref(), self.header.algorithm);
        let mut tried = 0;
        for key in keys.candidates(kid, algorithm).take(MAX_CANDIDATES) {
            if key.verifies(algorithm, self.signed, &self.signature) {
                return Ok(key.id);
            }
            tried += 1;
        }
        Err(match (tried, kid) {
            (0, Some(kid)) => no_key_named(kid, algorithm, keys),
            (0, None) => no_key_fits(algorithm, keys),
            (1, _) => Rejection::new(RejectionCode::BadSignature, "the issuer's key did not make this signature"),
            _ => Rejection::new(RejectionCode::BadSignature, format!("none of {tried} keys made this signature")),
        })
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

/// Whether a token is a JWT to whoever looks at its form: three parts, of which the first is a JSON object. Good or bad,
/// it is then judged as one, and never taken for an opaque token.
#[must_use]
pub fn is_jwt(token: &str) -> bool {
    let Ok([header, ..]) = three_parts(token) else { return false };
    match LENIENT.decode(header).map(|header| json::object(&header)) {
        Ok(Ok(_)) => true,
        // An object that has more than one reading, or too many levels.
        Ok(Err(json::JsonError::Refused(error))) => error.is_data(),
        Ok(Err(json::JsonError::NotAnObject(_))) | Err(_) => false,
    }
}

/// Takes the spellings of base64url too that a verifier refuses.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn three_parts(token: &str) -> Result<[&str; 3], Rejection> {
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => Ok([header, payload, signature]),
        (_, None, ..) => Err(malformed("not a JWT: there is no dot in it; it may be an opaque token")),
        _ if parts.count() == 1 => Err(malformed("five parts: an encrypted token (JWE), which is not taken")),
        _ => Err(malformed("not three parts separated by dots")),
    }
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

fn no_key_named(kid: &str, algorithm: Algorithm, keys: &KeySet) -> Rejection {
    let name = excerpt(kid);
    let named: Vec<&Key> = keys.keys().iter().filter(|key| key.kid.as_deref() == Some(kid)).collect();
    if !named.is_empty() {
        let fits: Vec<Algorithm> = named.iter().flat_map(|key| key.algorithms()).collect();
        let detail = format!("the alg is {algorithm:?}, but the key with the kid {name} is for {fits:?}");
        return Rejection::new(RejectionCode::AlgorithmRefused, detail);
    }
    let detail = match keys.unusable_kid(kid) {
        Some(unusable) => format!("the kid {name} exists but cannot be used: it {}", unusable.reason),
        None => format!("none of the issuer's {} keys has the kid {name}", keys.keys().len()),
    };
    Rejection::new(RejectionCode::UnknownKey, detail)
}

fn no_key_fits(algorithm: Algorithm, keys: &KeySet) -> Rejection {
    let unusable = keys.unusable().first().map(|key| format!("; one that is not used {}", key.reason));
    let count = keys.keys().len();
    let detail =
        format!("no kid, and none of the issuer's {count} keys fits {algorithm:?}{}", unusable.unwrap_or_default());
    Rejection::new(RejectionCode::UnknownKey, detail)
}
