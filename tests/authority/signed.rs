//! What clients sign: JWTs of any header and claims, and DPoP proofs.

use serde_json::{Value, json};
use tollgate::secret::random_id;

use super::harness::START;
use super::support::keys::{Key, Kind, b64, sha256};

/// A compact JWS of exactly this.
pub fn jws(key: &Key, header: &Value, claims: &Value) -> String {
    let input = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = key.sign(header["alg"].as_str().unwrap(), input.as_bytes());
    format!("{input}.{}", b64(signature))
}

/// The key of a client; the same slot is the same key.
pub fn key(slot: usize) -> Key {
    Key::of(Kind::P256, slot, "k")
}

/// The required members of its JWK.
pub fn jwk(key: &Key) -> Value {
    let mut jwk = key.jwk();
    jwk.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "kid" | "use"));
    jwk
}

/// Its thumbprint (RFC 7638).
pub fn thumbprint(key: &Key) -> String {
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk(key)).unwrap();
    jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap()
}

/// Header and claims of a good proof.
pub fn parts(key: &Key, method: &str, url: &str) -> (Value, Value) {
    (
        json!({ "typ": "dpop+jwt", "alg": key.algorithm(), "jwk": jwk(key) }),
        json!({ "jti": random_id(), "htm": method, "htu": url, "iat": START }),
    )
}

/// A good proof as a header of a request, with claims changed or added.
pub fn proof(key: &Key, method: &str, url: &str, changes: &[(&str, Value)]) -> (&'static str, String) {
    let (header, mut claims) = parts(key, method, url);
    for (name, value) in changes {
        claims[*name] = value.clone();
    }
    ("dpop", jws(key, &header, &claims))
}

/// `ath` of an access token.
pub fn ath(token: &str) -> (&'static str, Value) {
    ("ath", json!(b64(sha256(token.as_bytes()))))
}
