//! The signing keys: made at start, published as a JWK Set, rotated on demand, never written anywhere.
//!
//! An RSA key takes a good part of a second to find, so a thread looks for it while the program starts, and only a
//! request that comes earlier waits. Signing speaks to the cryptographic library directly, not through the one that the
//! gateway verifies with, so that the two check each other.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::jwk::PublicKey;
use super::jws::Jws;

/// How many key sets a rotation that keeps the old keys leaves published beside the new one.
const MAX_RETIRED_SETS: usize = 4;

/// A signature algorithm of the authority (RFC 7518, section 3.1; RFC 8037, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 and a key of 2048 bits.
    #[default]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PSS with SHA-256 and a key of 2048 bits.
    Ps256,
}

impl SigningAlgorithm {
    /// All of them; the default comes first.
    pub const ALL: &'static [Self] = &[Self::Rs256, Self::Es256, Self::EdDsa, Self::Ps256];

    /// Its name in JOSE.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Ps256 => "PS256",
        }
    }

    /// The algorithm of that name. Ed25519 has a second one (RFC 9864, section 2.2), which clients may use as well.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Self::EdDsa),
            name => Self::ALL.iter().copied().find(|algorithm| algorithm.name() == name),
        }
    }

    /// All names that clients may sign by.
    pub(super) fn names_for_clients() -> Vec<&'static str> {
        Self::ALL.iter().map(|algorithm| algorithm.name()).chain(["Ed25519"]).collect()
    }
}

/// What a rotation does with the keys that were in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldKeys {
    /// They stay in the JWK Set, so what they signed still verifies.
    Published,
    /// They are gone at once.
    Withdrawn,
}

/// The keys could not be made: the machine gave no randomness or no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing keys could not be generated")]
pub struct NoKeys;

/// The keys in use, which appear some time after the start and may be exchanged later.
#[derive(Debug)]
pub(super) struct KeyRing {
    keys: watch::Sender<Option<Result<Arc<KeySet>, NoKeys>>>,
    /// Makes the first ones.
    maker: Option<JoinHandle<()>>,
}

impl KeyRing {
    /// Starts to make keys on a thread of its own.
    pub(super) fn generate() -> std::io::Result<Arc<Self>> {
        let keys = watch::Sender::new(None);
        let filled = keys.clone();
        let maker = thread::Builder::new().name("authority-keys".into()).spawn(move || {
            let made = KeySet::generate().map(Arc::new);
            // A rotation may have been faster; its keys are the newer ones.
            filled.send_if_modified(|slot| slot.is_none() && slot.replace(made).is_none());
        })?;
        Ok(Arc::new(Self { keys, maker: Some(maker) }))
    }

    /// The keys in use; waits for the first ones.
    pub(super) async fn current(&self) -> Result<Arc<KeySet>, NoKeys> {
        let mut keys = self.keys.subscribe();
        let found = keys.wait_for(Option::is_some).await.map_err(|_| NoKeys)?;
        found.clone().unwrap_or(Err(NoKeys))
    }

    /// Makes new keys and signs with them from now on. Blocks until they are made.
    pub(super) fn rotate(&self, old: OldKeys) -> Result<(), NoKeys> {
        let mut fresh = KeySet::generate()?;
        self.keys.send_modify(|slot| {
            if let (OldKeys::Published, Some(Ok(before))) = (old, &*slot) {
                fresh.retire(before);
            }
            *slot = Some(Ok(Arc::new(fresh)));
        });
        Ok(())
    }
}

/// A process that ends while one of its threads makes keys is aborted by the cryptographic library.
impl Drop for KeyRing {
    fn drop(&mut self) {
        // One that panicked makes no keys any more.
        let _ = self.maker.take().map(JoinHandle::join);
    }
}

/// One key of each algorithm, and the public halves of earlier ones.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    retired: Vec<Value>,
}

impl KeySet {
    fn generate() -> Result<Self, NoKeys> {
        let keys = SigningAlgorithm::ALL.iter().map(|algorithm| Key::generate(*algorithm)).collect::<Result<_, _>>()?;
        Ok(Self { keys, retired: Vec::new() })
    }

    fn retire(&mut self, before: &Self) {
        self.retired = before.keys.iter().map(|key| key.public.clone()).chain(before.retired.iter().cloned()).collect();
        self.retired.truncate(MAX_RETIRED_SETS * SigningAlgorithm::ALL.len());
    }

    /// The key that signs by `algorithm`.
    fn signer(&self, algorithm: SigningAlgorithm) -> Result<&Key, NoKeys> {
        self.keys.iter().find(|key| key.algorithm == algorithm).ok_or(NoKeys)
    }

    /// The header of a JWS of the type `typ` (RFC 7515, section 4.1).
    pub(super) fn header(&self, algorithm: SigningAlgorithm, typ: &str) -> Result<Value, NoKeys> {
        Ok(json!({ "alg": algorithm.name(), "typ": typ, "kid": self.signer(algorithm)?.kid() }))
    }

    /// The signature of `message`, by the key for `algorithm`.
    pub(super) fn sign(&self, algorithm: SigningAlgorithm, message: &[u8]) -> Result<Vec<u8>, NoKeys> {
        self.signer(algorithm)?.sign(message)
    }

    /// The public key for `algorithm` as PEM (RFC 7468, section 13).
    pub(super) fn public_pem(&self, algorithm: SigningAlgorithm) -> Result<String, NoKeys> {
        let der = self.signer(algorithm)?.pair.public_der().map_err(|Unspecified| NoKeys)?;
        let base64 = STANDARD.encode(der);
        let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
    }

    /// The claims of a JWS of type `typ` that one of these keys signed, retired ones included; `None` for everything else.
    /// Times are not looked at: an ID token is a good hint after its end (OpenID Connect Core 1.0, section 3.1.2.1).
    pub(super) fn verified(&self, typ: &str, jws: &str) -> Option<Value> {
        let jws = Jws::parse(jws).ok().filter(|jws| jws.header_text("typ") == Some(typ))?;
        let published = self.keys.iter().map(|key| &key.public).chain(&self.retired);
        let mut keys = published.filter_map(|jwk| PublicKey::read(jwk).ok());
        let key = keys.find(|key| key.kid() == jws.header_text("kid"))?;
        jws.is_signed_by(&key).then_some(Value::Object(jws.claims))
    }

    /// The JWK Set (RFC 7517, section 5): public members only.
    pub(super) fn published(&self) -> Value {
        json!({ "keys": self.keys.iter().map(|key| &key.public).chain(&self.retired).collect::<Vec<_>>() })
    }
}

/// A key pair with its name.
#[derive(Debug)]
struct Key {
    algorithm: SigningAlgorithm,
    pair: Pair,
    kid: String,
    public: Value,
}

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    fn generate(algorithm: SigningAlgorithm) -> Result<Self, NoKeys> {
        let pair = Pair::generate(algorithm).map_err(|Unspecified| NoKeys)?;
        let mut public = pair.public().ok_or(NoKeys)?;
        let kid = PublicKey::read(&public).map_err(|_| NoKeys)?.thumbprint().to_owned();
        public["kid"] = json!(kid);
        public["use"] = json!("sig");
        public["alg"] = json!(algorithm.name());
        Ok(Self { algorithm, pair, kid, public })
    }

    /// Its name in JOSE headers: the JWK thumbprint (RFC 7638).
    fn kid(&self) -> &str {
        &self.kid
    }

    /// The JWS signature of `message` (RFC 7518, section 3).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NoKeys> {
        let random = SystemRandom::new();
        let signed = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &dyn RsaEncoding =
                    if self.algorithm == SigningAlgorithm::Ps256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                pair.sign(padding, &random, message, &mut signature).map(|()| signature)
            }
            Pair::Ec(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Pair::Ed(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
        };
        signed.map_err(|Unspecified| NoKeys)
    }
}

impl Pair {
    fn generate(algorithm: SigningAlgorithm) -> Result<Self, Unspecified> {
        match algorithm {
            SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Self::Rsa),
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::Ec),
            SigningAlgorithm::EdDsa => Ed25519KeyPair::generate().map(Self::Ed),
        }
    }

    /// The public half as a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    fn public_der(&self) -> Result<Vec<u8>, Unspecified> {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Rsa(pair) => pair.public_key().as_der()?,
            Self::Ec(pair) => pair.public_key().as_der()?,
            Self::Ed(pair) => pair.public_key().as_der()?,
        };
        Ok(der.as_ref().to_vec())
    }

    /// The required public members of its JWK (RFC 7518, section 6; RFC 8037, section 2).
    fn public(&self) -> Option<Value> {
        Some(match self {
            Self::Rsa(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let [n, e] = [n, e].map(|number| base64url(number.big_endian_without_leading_zero()));
                json!({ "kty": "RSA", "n": n, "e": e })
            }
            Self::Ec(pair) => {
                // The uncompressed point: 4, then x and y of 32 bytes each (SEC 1, section 2.3.3).
                let (x, y) = pair.public_key().as_ref().strip_prefix(&[4])?.split_at_checked(32)?;
                json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) })
            }
            Self::Ed(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) }),
        })
    }
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    };
    use jsonwebtoken::jwk::{Jwk, ThumbprintHash};

    use super::*;

    #[test]
    fn a_generated_key_names_itself_as_another_implementation_would() {
        for key in KeySet::generate().unwrap().keys {
            let jwk: Jwk = serde_json::from_value(key.public.clone()).unwrap();
            assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), key.kid(), "{:?}", key.algorithm);
            assert!(key.public.get("d").is_none() && key.public.get("p").is_none());
        }
    }

    #[test]
    fn the_public_key_as_pem_is_the_public_key() {
        let keys = KeySet::generate().unwrap();
        for (algorithm, verifier) in [
            (SigningAlgorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256 as &dyn VerificationAlgorithm),
            (SigningAlgorithm::Es256, &ECDSA_P256_SHA256_FIXED),
            (SigningAlgorithm::EdDsa, &ED25519),
        ] {
            let pem = keys.public_pem(algorithm).unwrap();
            let body = pem.strip_prefix("-----BEGIN PUBLIC KEY-----\n").unwrap();
            let body = body.strip_suffix("\n-----END PUBLIC KEY-----\n").unwrap();
            assert!(body.lines().all(|line| line.len() <= 64));
            let key = UnparsedPublicKey::new(verifier, STANDARD.decode(body.replace('\n', "")).unwrap());
            key.verify(b"m", &keys.sign(algorithm, b"m").unwrap()).unwrap();
        }
    }

    #[test]
    fn only_what_its_keys_signed_is_verified() {
        let (mut keys, others) = (KeySet::generate().unwrap(), KeySet::generate().unwrap());
        let jws = |keys: &KeySet, algorithm| {
            let header = base64url(keys.header(algorithm, "JWT").unwrap().to_string().as_bytes());
            let signed = format!("{header}.{}", base64url(br#"{"sub":"al"}"#));
            format!("{signed}.{}", base64url(&keys.sign(algorithm, signed.as_bytes()).unwrap()))
        };
        for algorithm in SigningAlgorithm::ALL {
            let good = jws(&keys, *algorithm);
            assert_eq!(keys.verified("JWT", &good), Some(json!({ "sub": "al" })), "{algorithm:?}");
            assert_eq!(others.verified("JWT", &good), None, "{algorithm:?}");
            assert_eq!(keys.verified("at+jwt", &good), None, "{algorithm:?}");
            let (signed, signature) = good.rsplit_once('.').unwrap();
            let (header, _) = signed.split_once('.').unwrap();
            let forged = format!("{header}.{}.{signature}", base64url(br#"{"sub":"bo"}"#));
            let unsigned = format!("{}.{}.", base64url(br#"{"alg":"none"}"#), base64url(br#"{"sub":"al"}"#));
            for bad in [&forged, &unsigned, signed, "", "..", "a.b.c"] {
                assert_eq!(keys.verified("JWT", bad), None, "{bad}");
            }
        }
        let before = jws(&keys, SigningAlgorithm::Es256);
        let mut fresh = KeySet::generate().unwrap();
        fresh.retire(&keys);
        keys = fresh;
        assert!(keys.verified("JWT", &before).is_some(), "retired keys still verify");
    }

    #[test]
    fn a_rotation_keeps_or_withdraws_what_was_published() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ring = KeyRing::generate().unwrap();
        let kids = || -> Vec<String> {
            let set = runtime.block_on(ring.current()).unwrap().published();
            set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
        };
        let first = kids();
        ring.rotate(OldKeys::Published).unwrap();
        let second = kids();
        assert_eq!((first.len(), second.len(), &second[4..]), (4, 8, &first[..]));
        ring.rotate(OldKeys::Withdrawn).unwrap();
        let third = kids();
        assert_eq!(third.len(), 4);
        assert!(third.iter().all(|kid| !second.contains(kid)));
    }
}
