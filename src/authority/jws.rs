//! Signed JWTs that clients make: DPoP proofs and client assertions, in the compact form (RFC 7515, section 3.1).
//!
//! Taken apart here, believed only after [`Jws::is_signed_by`]. Refuses `none` and symmetric algorithms, extensions that
//! must be understood (`crit`), and whatever is not three parts of base64url with JSON objects in them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::jwk::PublicKey;
use super::keys::SigningAlgorithm;

/// Characters of one; more is a mistake or mischief.
const MAX_LENGTH: usize = 16 * 1024;

/// A JWS whose signature is yet to be verified.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    /// The header.
    pub(super) header: Map<String, Value>,
    /// The claims.
    pub(super) claims: Map<String, Value>,
    algorithm: SigningAlgorithm,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes it apart; otherwise says what is wrong with it.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.len() > MAX_LENGTH {
            return Err("it is too long");
        }
        let (signed, signature) = text.rsplit_once('.').ok_or("it is not a signed JWT")?;
        let (header, claims) = signed.split_once('.').ok_or("it is not a signed JWT")?;
        let object = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let header: Map<String, Value> = object(header).ok_or("its header is not a JSON object in base64url")?;
        let claims = object(claims).ok_or("its claims are not a JSON object in base64url")?;
        if header.contains_key("crit") {
            return Err("it has critical extensions, and none is known here");
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(SigningAlgorithm::from_name);
        let algorithm = algorithm.ok_or("its alg is none of those that are announced")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "its signature is not base64url")?;
        Ok(Self { header, claims, algorithm, signed, signature })
    }

    /// A member of the header, when it is text.
    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// A claim, when it is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// A claim, when it is a NumericDate (RFC 7519, section 2), in whole seconds.
    pub(super) fn seconds(&self, name: &str) -> Option<i64> {
        let value = self.claims.get(name)?;
        // The cast saturates, and a date beyond i64 is out of any window.
        let whole = |seconds: f64| seconds.floor() as i64;
        value.as_i64().or_else(|| value.as_f64().map(whole))
    }

    /// Whether the private half of `key` signed it.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verifies(self.algorithm, self.signed.as_bytes(), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jws(header: &str, claims: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn only_what_can_be_verified_is_taken_apart() {
        let good = jws(r#"{"alg":"ES256","typ":"x"}"#, r#"{"iat":7.9,"exp":1e300,"sub":"al"}"#);
        let parsed = Jws::parse(&good).unwrap();
        assert_eq!(
            (parsed.seconds("iat"), parsed.seconds("exp"), parsed.seconds("sub")),
            (Some(7), Some(i64::MAX), None)
        );
        assert_eq!((parsed.text("sub"), parsed.header_text("typ")), (Some("al"), Some("x")));
        for bad in [
            "",
            "a.b",
            "..",
            &jws(r#"{"alg":"none"}"#, "{}"),
            &jws(r#"{"alg":"HS256"}"#, "{}"),
            &jws(r#"{"alg":"ES256","crit":["exp"]}"#, "{}"),
            &jws(r#"{"alg":"ES256"}"#, "[]"),
            &jws("[]", "{}"),
            &format!("{good}="),
            &format!("{good}.x"),
        ] {
            assert!(Jws::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = Jws::parse(&text);
        }
    }
}
