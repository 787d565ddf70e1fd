//! The keys of one issuer, read from its JWK Set (RFC 7517): which ones may verify a token, and why the others may not.
//!
//! Promises that a key in [`KeySet::keys`] is asymmetric, meant for signatures, of a size and curve that we accept, and
//! already prepared, so that a verification parses nothing. A key that we cannot use does not spoil its set: it is
//! remembered with the reason. Refuses a document that is not strict JSON, and one with more than [`MAX_KEYS`] keys.

use aws_lc_rs::signature::ParsedPublicKey;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::json::{self, JsonError};
use super::jwk;

/// Keys that one set may hold; more than this is no key set but a mistake or an attack.
pub const MAX_KEYS: usize = 100;

/// Why a document is not a key set at all.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Not strict JSON.
    #[error("not a JWK Set: {0}")]
    Json(#[from] JsonError),
    /// An object, but not this one (RFC 7517 section 5).
    #[error("not a JWK Set: no member \"keys\" that is an array")]
    NoKeys,
    /// So many keys.
    #[error("a JWK Set of {0} keys; at most {MAX_KEYS} are taken")]
    TooMany(usize),
}

/// One key that may verify signatures.
#[derive(Debug, Clone)]
pub struct Key {
    /// `kid`
    pub kid: Option<Box<str>>,
    /// Its SHA-256 thumbprint (RFC 7638), over canonical values: the same key has the same id in every spelling.
    pub id: [u8; 32],
    /// Prepared once for each algorithm that it may be used with; never empty.
    pub(super) prepared: Vec<(Algorithm, ParsedPublicKey)>,
}

impl Key {
    /// The algorithms that it may be used with.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.prepared.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether it may be used with `algorithm`.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms().any(|mine| mine == algorithm)
    }

    /// Whether `signature` is this key's over `message`; false for an algorithm that it does not fit.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let prepared = self.prepared.iter().find(|(mine, _)| *mine == algorithm);
        prepared.is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok())
    }

    /// Whether a token that `other` verifies is verified by this one too, `kid` included.
    fn replaces(&self, other: &Self) -> bool {
        self.id == other.id && self.kid == other.kid && other.algorithms().all(|algorithm| self.fits(algorithm))
    }
}

/// A key of the set that we do not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// `kid`, where there is a string.
    pub kid: Option<Box<str>>,
    /// Why, in words that follow "it": `is a 1024-bit RSA key; ...`.
    pub reason: String,
}

/// The keys of one issuer. The empty set verifies nothing.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    unusable: Vec<Unusable>,
}

impl KeySet {
    /// Reads a JWK Set. It may turn out to hold no usable key; that is for the caller to judge.
    ///
    /// # Errors
    /// When the document is not a JWK Set; a key that cannot be used is not an error.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        Self::parse_for(None, bytes)
    }

    /// As [`KeySet::parse`]; of the keys that say whose they are, only those of `owner` are usable. Microsoft Entra ID says it in
    /// a member `issuer`, where `{tenantid}` stands for any of its directories.
    ///
    /// # Errors
    /// When the document is not a JWK Set.
    pub fn parse_for(owner: Option<&str>, bytes: &[u8]) -> Result<Self, KeySetError> {
        let document = json::object(bytes)?;
        let Some(Value::Array(entries)) = document.get("keys") else { return Err(KeySetError::NoKeys) };
        if entries.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(entries.len()));
        }
        let mut set = Self::default();
        entries.iter().for_each(|entry| set.add(entry, owner));
        Ok(set)
    }

    fn add(&mut self, entry: &Value, owner: Option<&str>) {
        match belongs(entry, owner).and_then(|()| jwk::read(entry)) {
            Ok(key) if self.keys.iter().any(|mine| mine.replaces(&key)) => {}
            Ok(key) => self.keys.push(key),
            Err(reason) => {
                let kid = entry.get("kid").and_then(Value::as_str).map(Box::from);
                self.unusable.push(Unusable { kid, reason });
            }
        }
    }

    /// The keys that may verify, in the order of the document.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The other keys.
    #[must_use]
    pub fn unusable(&self) -> &[Unusable] {
        &self.unusable
    }

    /// Whether no key may verify.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a usable key has this `kid`.
    #[must_use]
    pub fn has_kid(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The key with this `kid` that we do not use, if there is one.
    #[must_use]
    pub fn unusable_kid(&self, kid: &str) -> Option<&Unusable> {
        self.unusable.iter().find(|key| key.kid.as_deref() == Some(kid))
    }

    /// The keys that may have signed a token of this `alg`: those with its `kid`, or any when it has none.
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        let named = move |key: &&Key| kid.is_none() || key.kid.as_deref() == kid;
        self.keys.iter().filter(named).filter(move |key| key.fits(algorithm))
    }

    /// Thumbprints of the usable keys.
    pub fn ids(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.keys.iter().map(|key| &key.id)
    }

    /// Whether a token that `old` verified might not be verified by this set: a key is gone, has become unusable, has
    /// another `kid` or fewer algorithms. Verdicts reached with `old` must then be forgotten.
    #[must_use]
    pub fn lacks_any_of(&self, old: &Self) -> bool {
        old.keys.iter().any(|theirs| !self.keys.iter().any(|mine| mine.replaces(theirs)))
    }
}

/// Whether a key is the owner's, as far as it says whose it is.
fn belongs(entry: &Value, owner: Option<&str>) -> Result<(), String> {
    const ANY: &str = "{tenantid}";
    let (Some(owner), Some(named)) = (owner, entry.get("issuer")) else { return Ok(()) };
    let named = named.as_str().unwrap_or_default();
    let place = named.to_ascii_lowercase().find(ANY);
    let theirs = match place.map(|place| (&named[..place], &named[place + ANY.len()..])) {
        None => named == owner,
        Some((front, back)) => {
            let tenant = owner.strip_prefix(front).and_then(|rest| rest.strip_suffix(back));
            tenant.is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('/'))
        }
    };
    if theirs { Ok(()) } else { Err(format!("belongs to the issuer {}", json::excerpt(named))) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::token::testing::{self, TestKey};

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a JWK Set")
    }

    fn with(jwk: &Value, member: &str, value: Value) -> Value {
        let mut jwk = jwk.clone();
        jwk[member] = value;
        jwk
    }

    #[test]
    fn keys_that_say_whose_they_are_serve_nobody_else() {
        let owner = "https://login.test/8eaef023/v2.0";
        let cases = [
            (json!("https://login.test/8eaef023/v2.0"), true),
            (json!("https://login.test/{tenantid}/v2.0"), true),
            (json!("https://login.test/{tenantId}/v2.0"), true),
            (json!("https://login.test/9188040d/v2.0"), false),
            (json!("https://login.test/8eaef023/v2.0/"), false),
            (json!("https://login.test/{tenantid}/v1.0"), false),
            (json!("https://other.test/{tenantid}/v2.0"), false),
            (json!("https://login.test/8eaef023{tenantid}/v2.0"), false),
            (json!("{tenantid}"), false),
            (json!(""), false),
            (json!(null), false),
            (json!(["https://login.test/8eaef023/v2.0"]), false),
        ];
        for (issuer, usable) in cases {
            let key = with(&testing::p256().jwk("1"), "issuer", issuer.clone());
            let document = json!({ "keys": [key] }).to_string();
            let set = KeySet::parse_for(Some(owner), document.as_bytes()).expect("a JWK Set");
            assert_eq!(
                (set.keys().len(), set.unusable().len()),
                (usize::from(usable), usize::from(!usable)),
                "{issuer}"
            );
            assert_eq!(KeySet::parse(document.as_bytes()).expect("a JWK Set").keys().len(), 1, "{issuer}");
        }
        let silent = json!({ "keys": [testing::p256().jwk("1")] }).to_string();
        assert_eq!(KeySet::parse_for(Some(owner), silent.as_bytes()).expect("a JWK Set").keys().len(), 1);
    }

    #[test]
    fn documents_that_are_no_key_sets_are_refused() {
        let cases: &[&[u8]] = &[
            b"",
            b"<html>",
            b"[]",
            b"{}",
            b"{\"keys\":{}}",
            b"{\"keys\":null}",
            b"{\"keys\":[],\"keys\":[]}",
            b"{\"keys\":[]} x",
            b"{\"keys\":[{\"kty\":\"RSA\",\"kty\":\"EC\"}]}",
        ];
        for case in cases {
            assert!(KeySet::parse(case).is_err(), "{}", String::from_utf8_lossy(case));
        }
        let many = |n: usize| json!({ "keys": vec![json!({}); n] }).to_string();
        assert_eq!(KeySet::parse(many(MAX_KEYS).as_bytes()).expect("at the limit").unusable().len(), MAX_KEYS);
        assert!(matches!(KeySet::parse(many(MAX_KEYS + 1).as_bytes()), Err(KeySetError::TooMany(101))));
        assert!(KeySet::parse(b"{\"keys\":[]}").expect("empty but a set").is_empty());
    }

    #[test]
    fn only_keys_for_signatures_that_are_strong_enough_are_taken() {
        let rsa = testing::rsa().jwk("r");
        let ec = testing::p256().jwk("e");
        let ed = testing::ed25519().jwk("d");
        let small = testing::RSA_1024_N;
        let cases: &[(Value, &str)] = &[
            (rsa.clone(), ""),
            (ec.clone(), ""),
            (testing::p384().jwk("p"), ""),
            (ed.clone(), ""),
            (with(&rsa, "use", json!("sig")), ""),
            (with(&rsa, "key_ops", json!(["verify", "x"])), ""),
            (with(&rsa, "alg", json!("PS384")), ""),
            (with(&ed, "alg", json!("EdDSA")), ""),
            (with(&ed, "alg", json!("Ed25519")), ""),
            (with(&rsa, "x5c", json!(["MIIB"])), ""),
            (with(&rsa, "use", json!("enc")), "use"),
            (with(&rsa, "use", json!(7)), "not well-formed"),
            (with(&rsa, "key_ops", json!(["sign"])), "key_ops"),
            (with(&rsa, "alg", json!("ES256")), "alg"),
            (with(&rsa, "alg", json!("RS1")), "alg"),
            (with(&rsa, "alg", json!("RSA-OAEP")), "alg"),
            (with(&rsa, "alg", json!(null)), "alg"),
            (with(&ec, "alg", json!("ES384")), "alg"),
            (with(&ec, "alg", json!("HS256")), "alg"),
            (with(&ed, "alg", json!("Ed448")), "alg"),
            (with(&rsa, "d", json!("AQAB")), "private"),
            (with(&rsa, "n", json!(small)), "1024-bit"),
            (with(&rsa, "n", json!("")), "0-bit"),
            (with(&rsa, "n", json!("AAAA")), "0-bit"),
            (with(&rsa, "n", json!("A".repeat(20_000))), "0-bit"),
            (with(&rsa, "n", json!("_".repeat(1368))), "8208-bit"),
            (with(&rsa, "n", json!("!!")), "base64url"),
            (with(&rsa, "e", json!("AQ")), "exponent"),
            (with(&rsa, "e", json!("AQAA")), "exponent"),
            (with(&rsa, "e", json!("AQAAAAAB")), "exponent"),
            (with(&ec, "crv", json!("P-384")), "coordinate"),
            (with(&ec, "crv", json!("P-521")), "P-521"),
            (with(&ec, "crv", json!("secp256k1")), "curve"),
            (with(&ec, "y", ec["x"].clone()), "point"),
            (with(&ed, "crv", json!("X25519")), "curve"),
            (with(&ed, "x", json!("AAAA")), "Ed25519"),
            (with(&ed, "kty", json!("EC")), "EC"),
            (json!({"kty": "oct", "k": "c2VjcmV0", "kid": "o"}), "symmetric"),
            (json!({"kty": "AKP", "kid": "pq"}), "kty"),
            (json!({"kid": "none"}), "kty"),
            (json!(null), "not a JSON object"),
            (json!("x"), "not a JSON object"),
        ];
        for (jwk, expected) in cases {
            let set = set(std::slice::from_ref(jwk));
            match expected.is_empty() {
                true => assert_eq!((set.keys().len(), set.unusable()), (1, &[][..]), "{jwk}"),
                false => {
                    assert!(set.is_empty(), "{jwk}");
                    assert!(set.unusable()[0].reason.contains(expected), "{jwk}: {}", set.unusable()[0].reason);
                }
            }
        }
    }

    #[test]
    fn a_key_fits_the_algorithms_of_its_kind_and_of_its_alg() {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        let cases: &[(Value, &[Algorithm])] = &[
            (testing::rsa().jwk("r"), &[RS256, RS384, RS512, PS256, PS384, PS512]),
            (with(&testing::rsa().jwk("r"), "alg", json!("RS256")), &[RS256]),
            (testing::p256().jwk("e"), &[ES256]),
            (testing::p384().jwk("e"), &[ES384]),
            (with(&testing::ed25519().jwk("d"), "alg", json!("Ed25519")), &[EdDSA]),
        ];
        for (jwk, expected) in cases {
            let set = set(std::slice::from_ref(jwk));
            assert_eq!(set.keys()[0].algorithms().collect::<Vec<_>>(), *expected, "{jwk}");
        }
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638_in_every_spelling() {
        let n = testing::RFC_7638_N;
        let jwk = json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
        let one = set(&[jwk.clone(), with(&jwk, "e", json!("AAEAAQ")), with(&jwk, "kid", json!("other"))]);
        assert_eq!(testing::b64(one.keys()[0].id), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        let kids: Vec<_> = one.keys().iter().map(|key| key.kid.as_deref()).collect();
        assert_eq!(kids, [Some("2011-04-29"), Some("other")], "a repeat is dropped, another kid is not");
        assert!(one.ids().all(|id| *id == one.keys()[0].id));
    }

    #[test]
    fn candidates_have_the_kid_and_fit_the_algorithm() {
        let keys = [testing::rsa().jwk("a"), testing::p256().jwk("a"), testing::p256().jwk("b")];
        let set = set(&keys);
        let found = |kid, alg| set.candidates(kid, alg).map(|key| key.kid.as_deref().unwrap_or("")).collect::<Vec<_>>();
        assert_eq!(found(Some("a"), Algorithm::RS256), ["a"]);
        assert_eq!(found(Some("b"), Algorithm::RS256), [""; 0]);
        assert_eq!(found(None, Algorithm::ES256), ["a", "b"]);
        assert_eq!(found(Some("c"), Algorithm::ES256), [""; 0]);
        assert!(set.has_kid("a") && !set.has_kid("c") && !set.has_kid(""));
    }

    #[test]
    fn a_set_knows_what_it_lost() {
        let (rsa, ec) = (testing::rsa().jwk("r"), testing::p256().jwk("e"));
        let old = set(&[rsa.clone(), ec.clone()]);
        let cases: &[(Vec<Value>, bool)] = &[
            (vec![ec.clone(), rsa.clone()], false),
            (vec![ec.clone(), rsa.clone(), testing::ed25519().jwk("new")], false),
            (vec![rsa.clone()], true),
            (vec![], true),
            (vec![rsa.clone(), with(&ec, "kid", json!("renamed"))], true),
            (vec![ec.clone(), with(&rsa, "alg", json!("PS256"))], true),
            (vec![ec, with(&rsa, "use", json!("enc"))], true),
        ];
        for (now, lost) in cases {
            assert_eq!(set(now).lacks_any_of(&old), *lost, "{now:?}");
        }
        assert!(!old.lacks_any_of(&KeySet::default()));
    }

    #[test]
    fn unusable_keys_are_found_by_their_kid() {
        let set = set(&[with(&testing::rsa().jwk("weak"), "n", json!(testing::RSA_1024_N))]);
        assert!(!set.has_kid("weak"));
        let reason = &set.unusable_kid("weak").expect("remembered").reason;
        assert_eq!(reason, "is a 1024-bit RSA key; 2048 to 8192 bits are taken");
        assert_eq!(set.unusable_kid("other"), None);
    }

    #[test]
    fn a_key_verifies_its_own_signatures_only() {
        for key in [testing::rsa(), testing::p256(), testing::p384(), testing::ed25519()] {
            let set = set(&[key.jwk("k")]);
            let mine = &set.keys()[0];
            for algorithm in mine.algorithms() {
                let signature = key.sign(algorithm, b"message");
                assert!(mine.verifies(algorithm, b"message", &signature), "{algorithm:?}");
                assert!(!mine.verifies(algorithm, b"messagf", &signature), "{algorithm:?}");
                assert!(!mine.verifies(algorithm, b"message", &[]), "{algorithm:?}");
                assert!(!mine.verifies(Algorithm::HS256, b"message", &signature), "{algorithm:?}");
            }
        }
        let stranger = set(&[TestKey::p256().jwk("k")]);
        let signature = testing::p256().sign(Algorithm::ES256, b"message");
        assert!(!stranger.keys()[0].verifies(Algorithm::ES256, b"message", &signature));
    }
}
