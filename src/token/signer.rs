//! A private key of the gateway's own, and the JWTs that it signs.
//!
//! Takes the keys that a PEM file may hold (PKCS#8, PKCS#1, SEC1) and are fit for signing: RSA of 2048 bits or more, P-256,
//! P-384 and Ed25519. The key decides the algorithm. Prepared once, as a signature must not begin with parsing.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::{self, PemObject as _};
use serde_json::{Value, json};

/// The least size of an RSA key, in bytes (RFC 7518 section 3.3).
const MIN_RSA_BYTES: usize = 256;

/// Why a file holds no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The file cannot be read, or is not PEM.
    #[error("cannot read a private key from {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The key is of another kind, too small, or broken.
    #[error("the key in {} is none of RSA (2048 bits or more), P-256, P-384 and Ed25519", path.display())]
    Kind {
        /// Which file.
        path: PathBuf,
    },
}

/// The machine gave no randomness, or no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature could not be made")]
pub struct NotSigned;

/// A private key that signs JWTs.
pub struct Signer {
    pair: Pair,
    key_id: Option<String>,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    /// The key of a PEM file, known to verifiers by `key_id`.
    ///
    /// # Errors
    /// When there is no key in it, or none that can sign here.
    pub fn read(path: &Path, key_id: Option<String>) -> Result<Self, SignerError> {
        let der =
            PrivateKeyDer::from_pem_file(path).map_err(|source| SignerError::Read { path: path.into(), source })?;
        let pair = Pair::of(&der).ok_or_else(|| SignerError::Kind { path: path.into() })?;
        Ok(Self { pair, key_id })
    }

    /// A JWT of these claims (RFC 7519 section 7.1).
    ///
    /// # Errors
    /// When the machine cannot sign.
    pub fn jwt(&self, claims: &Value) -> Result<String, NotSigned> {
        let mut header = json!({ "alg": self.pair.algorithm(), "typ": "JWT" });
        if let Some(key_id) = &self.key_id {
            header["kid"] = json!(key_id);
        }
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", encoded(&header), encoded(claims));
        let signature = self.pair.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("algorithm", &self.pair.algorithm()).field("key_id", &self.key_id).finish()
    }
}

impl Pair {
    fn of(der: &PrivateKeyDer<'_>) -> Option<Self> {
        let bytes = der.secret_der();
        let rsa = match der {
            PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(bytes).ok(),
            _ => RsaKeyPair::from_pkcs8(bytes).ok(),
        };
        if let Some(rsa) = rsa {
            return (rsa.public_modulus_len() >= MIN_RSA_BYTES).then_some(Self::Rsa(rsa));
        }
        let ec = |algorithm| EcdsaKeyPair::from_private_key_der(algorithm, bytes).ok();
        ec(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map(Self::P256)
            .or_else(|| ec(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Self::P384))
            .or_else(|| Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).ok().map(Self::Ed25519))
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NotSigned> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(|_| NotSigned)?;
                Ok(signature)
            }
            Self::P256(pair) | Self::P384(pair) => {
                pair.sign(&SystemRandom::new(), message).map(|made| made.as_ref().to_vec()).map_err(|_| NotSigned)
            }
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}
