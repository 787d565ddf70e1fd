//! What a token is bound to: the claim `cnf` (RFC 7800), by which only the holder of a key may use it.
//!
//! Two confirmation methods are known: `jkt`, the thumbprint of a key that proofs are signed with (RFC 9449 section 6.1),
//! and `x5t#S256`, the hash of a TLS client certificate (RFC 8705 section 3.1). Where a token has both, both must be
//! proven. Promises that a token with `cnf` never counts as one without: other members beside a known one are ignored, as
//! RFC 7800 section 3.1 asks, but with none that is known the token is bound in a way that nobody can prove here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::Rejection;
use super::envelope::malformed;
use super::json::kind;
use crate::config::model::Bind;

/// What the sender of a token has to prove. Neither of both: something that is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// `jkt`: the SHA-256 thumbprint (RFC 7638) of the key that DPoP proofs are signed with.
    pub key: Option<[u8; 32]>,
    /// `x5t#S256`: the SHA-256 of the client's certificate in DER.
    pub certificate: Option<[u8; 32]>,
}

impl Binding {
    /// The binding that `cnf` tells of; `None` without the claim.
    ///
    /// # Errors
    /// `malformed_token` when `cnf`, or a member that is known, has not the form that its specification gives it.
    pub fn read(claims: &Map<String, Value>) -> Result<Option<Self>, Rejection> {
        let members = match claims.get("cnf") {
            None => return Ok(None),
            Some(Value::Object(members)) => members,
            Some(other) => return Err(malformed(format!("the claim cnf is {}, not an object", kind(other)))),
        };
        let (key, certificate) = (digest(members, "jkt")?, digest(members, "x5t#S256")?);
        Ok(Some(Self { key, certificate }))
    }

    /// Whether nothing in it can be proven here.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.key.is_none() && self.certificate.is_none()
    }

    /// Whether it binds in this way.
    #[must_use]
    pub const fn is_by(&self, bind: Bind) -> bool {
        match bind {
            Bind::Dpop => self.key.is_some(),
            Bind::Mtls => self.certificate.is_some(),
        }
    }
}

/// A SHA-256 in base64url, which has one spelling.
fn digest(members: &Map<String, Value>, name: &str) -> Result<Option<[u8; 32]>, Rejection> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let bytes = value.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    match bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
        Some(digest) => Ok(Some(digest)),
        None => Err(malformed(format!("the member {name} of the claim cnf is no SHA-256 in base64url"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::token::testing::b64;

    #[test]
    fn a_token_with_cnf_never_counts_as_one_without() {
        let (one, two) = (b64([1; 32]), b64([2; 32]));
        let cases: &[(Value, Option<[Option<u8>; 2]>)] = &[
            (json!({"cnf": {}}), Some([None, None])),
            (json!({"cnf": {"kid": "x"}}), Some([None, None])),
            (json!({"cnf": {"jkt": one}}), Some([Some(1), None])),
            (json!({"cnf": {"jkt": one, "kid": 7}}), Some([Some(1), None])),
            (json!({"cnf": {"x5t#S256": two}}), Some([None, Some(2)])),
            (json!({"cnf": {"jkt": one, "x5t#S256": two}}), Some([Some(1), Some(2)])),
            (json!({"cnf": null}), None),
            (json!({"cnf": one}), None),
            (json!({"cnf": [{"jkt": one}]}), None),
            (json!({"cnf": {"jkt": null}}), None),
            (json!({"cnf": {"jkt": 1}}), None),
            (json!({"cnf": {"jkt": ""}}), None),
            (json!({"cnf": {"jkt": format!("{one}=")}}), None),
            (json!({"cnf": {"jkt": b64([1; 31])}}), None),
            (json!({"cnf": {"jkt": b64([1; 33])}}), None),
            (json!({"cnf": {"jkt": one, "x5t#S256": b64([1; 20])}}), None),
        ];
        for (claims, expected) in cases {
            let found = Binding::read(claims.as_object().expect("claims"));
            let told = found.as_ref().ok().map(|binding| {
                let binding = binding.expect("there is a cnf");
                [binding.key, binding.certificate].map(|digest| digest.map(|digest| digest[0]))
            });
            assert_eq!(told, *expected, "{claims}: {found:?}");
        }
        assert_eq!(Binding::read(&Map::new()), Ok(None));
    }
}
