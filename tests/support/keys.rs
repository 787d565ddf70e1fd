//! Key material for issuers, made once per process, and signatures made with `aws-lc-rs` alone, so that the tokens of
//! the suites owe nothing to the library that the gateway verifies with.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// base64url without padding.
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Material {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key with the `kid` that it is published under.
#[derive(Clone)]
pub struct Key {
    pub kid: String,
    material: Arc<Material>,
}

/// The kinds of key that issuers have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Key {
    /// A key of this kind. The same `slot` gives the same material all through this process: making RSA keys is slow.
    pub fn of(kind: Kind, slot: usize, kid: &str) -> Self {
        static MADE: OnceLock<Vec<[OnceLock<Arc<Material>>; 4]>> = OnceLock::new();
        let made = MADE.get_or_init(|| (0..8).map(|_| Default::default()).collect());
        let material = made[slot][kind as usize].get_or_init(|| Arc::new(make(kind)));
        Self { kid: kid.to_owned(), material: Arc::clone(material) }
    }

    /// The same material under another name.
    pub fn named(&self, kid: &str) -> Self {
        Self { kid: kid.to_owned(), material: Arc::clone(&self.material) }
    }

    /// The algorithm that this key signs with unless told otherwise.
    pub fn algorithm(&self) -> &'static str {
        match &*self.material {
            Material::Rsa(_) => "RS256",
            Material::P256(_) => "ES256",
            Material::P384(_) => "ES384",
            Material::Ed25519(_) => "EdDSA",
        }
    }

    /// The public half of an RSA key in DER (RFC 8017, appendix A.1.1).
    pub fn public_der(&self) -> Vec<u8> {
        match &*self.material {
            Material::Rsa(key) => key.public_key().as_ref().to_vec(),
            Material::P256(_) | Material::P384(_) | Material::Ed25519(_) => panic!("this is no RSA key"),
        }
    }

    /// The public half, as an issuer publishes it: `kid` and `use`, no `alg`.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &*self.material {
            Material::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus().big_endian_without_leading_zero(), public.exponent());
                json!({"kty": "RSA", "n": b64(n), "e": b64(e.big_endian_without_leading_zero())})
            }
            Material::P256(key) => point("P-256", key.public_key().as_ref()),
            Material::P384(key) => point("P-384", key.public_key().as_ref()),
            Material::Ed25519(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().as_ref())}),
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The public half alone, as a client sends it in a proof.
    pub fn public(&self) -> Value {
        let mut jwk = self.jwk();
        let members = jwk.as_object_mut().expect("a JWK is an object");
        members.remove("kid");
        members.remove("use");
        jwk
    }

    /// The thumbprint (RFC 7638): the hash of the public half's members in the order of their names.
    pub fn thumbprint(&self) -> String {
        let members: std::collections::BTreeMap<String, Value> =
            self.public().as_object().expect("a JWK is an object").clone().into_iter().collect();
        b64(sha256(serde_json::to_string(&members).expect("a map with text keys").as_bytes()))
    }

    /// Signs for the JOSE algorithm `alg`.
    ///
    /// # Panics
    /// When the key does not fit the algorithm.
    pub fn sign(&self, alg: &str, input: &[u8]) -> Vec<u8> {
        match (&*self.material, alg) {
            (Material::Rsa(key), alg) => rsa_signature(key, alg, input),
            (Material::P256(key), "ES256") | (Material::P384(key), "ES384") => {
                key.sign(&SystemRandom::new(), input).expect("randomness").as_ref().to_vec()
            }
            (Material::Ed25519(key), "EdDSA" | "Ed25519") => key.sign(input).as_ref().to_vec(),
            _ => panic!("the key {} does not sign {alg}", self.kid),
        }
    }
}

fn make(kind: Kind) -> Material {
    match kind {
        Kind::Rsa => Material::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key")),
        Kind::P256 => Material::P256(curve(&ECDSA_P256_SHA256_FIXED_SIGNING)),
        Kind::P384 => Material::P384(curve(&ECDSA_P384_SHA384_FIXED_SIGNING)),
        Kind::Ed25519 => Material::Ed25519(Ed25519KeyPair::generate().expect("an Ed25519 key")),
    }
}

fn curve(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    EcdsaKeyPair::generate(algorithm).expect("an EC key")
}

/// The JWK of an uncompressed point.
fn point(curve: &str, bytes: &[u8]) -> Value {
    let (x, y) = bytes[1..].split_at(bytes.len() / 2);
    json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)})
}

fn rsa_signature(key: &RsaKeyPair, alg: &str, input: &[u8]) -> Vec<u8> {
    let encoding: &'static dyn RsaEncoding = match alg {
        "RS256" => &RSA_PKCS1_SHA256,
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        "PS256" => &RSA_PSS_SHA256,
        "PS384" => &RSA_PSS_SHA384,
        "PS512" => &RSA_PSS_SHA512,
        other => panic!("RSA does not sign {other}"),
    };
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), input, &mut signature).expect("an RSA signature");
    signature
}

/// HMAC-SHA-256 of `input` under `secret`: what `HS256` means, for tokens that must never pass.
pub fn hs256(secret: &[u8], input: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input).as_ref().to_vec()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}
