//! Public keys as JWKs (RFC 7517; RFC 7518, section 6; RFC 8037, section 2): our own, and those that clients show or
//! have registered.
//!
//! Promises that a key verifies only by an algorithm that fits it. Refuses private and symmetric keys, keys for
//! encryption, RSA keys below 2048 bits (when they verify), and other curves than P-256 and Ed25519.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::keys::SigningAlgorithm;
use crate::secret::sha256;

/// Members that only a private or symmetric key has (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why something is no key that we verify with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadKey(&'static str);

/// A public key.
#[derive(Debug)]
pub(super) struct PublicKey {
    material: Material,
    thumbprint: String,
    kid: Option<String>,
    algorithm: Option<SigningAlgorithm>,
}

#[derive(Debug)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point (SEC 1, section 2.3.3).
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// Reads a JWK.
    pub(super) fn read(jwk: &Value) -> Result<Self, BadKey> {
        let members = jwk.as_object().ok_or(BadKey("a JWK is a JSON object"))?;
        if PRIVATE.iter().any(|name| members.contains_key(*name)) {
            return Err(BadKey("the key has private members"));
        }
        let operations = members.get("key_ops").and_then(Value::as_array);
        if members.get("use").is_some_and(|purpose| purpose != "sig")
            || operations.is_some_and(|operations| operations.iter().all(|operation| operation != "verify"))
        {
            return Err(BadKey("the key is not meant for signatures"));
        }
        let algorithm = match members.get("alg") {
            None => None,
            Some(name) => Some(name.as_str().and_then(SigningAlgorithm::from_name).ok_or(BadKey("unknown alg"))?),
        };
        let (material, thumbprint) = material(members)?;
        let kid = members.get("kid").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { material, thumbprint, kid, algorithm })
    }

    /// Its JWK thumbprint with SHA-256 (RFC 7638).
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Its `kid`.
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether its private half signed `message` by `algorithm`.
    pub(super) fn verifies(&self, algorithm: SigningAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        if self.algorithm.is_some_and(|own| own != algorithm) {
            return false;
        }
        let verified = match (&self.material, algorithm) {
            (Material::Rsa { n, e }, SigningAlgorithm::Rs256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Material::Rsa { n, e }, SigningAlgorithm::Ps256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PSS_2048_8192_SHA256, message, signature)
            }
            (Material::P256(point), SigningAlgorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Material::Ed25519(key), SigningAlgorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            _ => return false,
        };
        verified.is_ok()
    }
}

/// The key's numbers, and its thumbprint.
fn material(members: &Map<String, Value>) -> Result<(Material, String), BadKey> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let number = |name: &str| {
        let bytes = text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bytes.filter(|bytes| !bytes.is_empty()).ok_or(BadKey("the key's numbers are missing or not base64url"))
    };
    let coordinate = |name: &str| number(name)?.try_into().map_err(|_| BadKey("a coordinate has not 32 bytes"));
    let (material, required): (_, &[&str]) = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => (Material::Rsa { n: number("n")?, e: number("e")? }, &["e", "kty", "n"]),
        (Some("EC"), Some("P-256")) => {
            let (x, y): ([u8; 32], [u8; 32]) = (coordinate("x")?, coordinate("y")?);
            (Material::P256([&[4][..], &x, &y].concat()), &["crv", "kty", "x", "y"])
        }
        (Some("OKP"), Some("Ed25519")) => {
            let x: [u8; 32] = coordinate("x")?;
            (Material::Ed25519(x.to_vec()), &["crv", "kty", "x"])
        }
        _ => return Err(BadKey("the key is neither RSA nor on P-256 or Ed25519")),
    };
    Ok((material, thumbprint(members, required)))
}

/// SHA-256 of the JSON of the `required` members, which come in the order of their names and without blanks (RFC 7638,
/// section 3).
fn thumbprint(members: &Map<String, Value>, required: &[&str]) -> String {
    let canonical: Vec<_> = required.iter().map(|name| format!("\"{name}\":{}", members[*name])).collect();
    URL_SAFE_NO_PAD.encode(sha256(format!("{{{}}}", canonical.join(",")).as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thumbprints_are_those_of_the_specifications() {
        // RFC 8037, appendix A.3.
        let okp = json!({ "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "crv": "Ed25519", "kty": "OKP" });
        let key = PublicKey::read(&okp).unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        // RFC 9449, section 6.1.
        let ec = json!({
            "kty": "EC", "crv": "P-256", "kid": "not a part of it",
            "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        });
        assert_eq!(PublicKey::read(&ec).unwrap().thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn only_public_keys_for_signatures_are_taken() {
        let good = json!({ "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "crv": "Ed25519", "kty": "OKP" });
        let changes = [
            ("d", json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")),
            ("k", json!("AAAA")),
            ("use", json!("enc")),
            ("key_ops", json!(["sign"])),
            ("alg", json!("HS256")),
            ("kty", json!("oct")),
            ("crv", json!("X25519")),
            ("x", json!("AAAA")),
            ("x", json!("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")),
            ("x", json!(7)),
        ];
        assert!(PublicKey::read(&good).is_ok());
        for (name, value) in changes {
            let mut jwk = good.clone();
            jwk[name] = value;
            assert!(PublicKey::read(&jwk).is_err(), "{jwk}");
        }
        for none in [json!(null), json!([]), json!({}), json!({ "kty": "RSA", "e": "AQAB" })] {
            assert!(PublicKey::read(&none).is_err(), "{none}");
        }
    }
}
