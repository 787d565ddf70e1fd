//! One JWK (RFC 7517, 7518, 8037): a prepared key, or the reason why it may not verify tokens.
//!
//! Refuses everything symmetric, private halves, keys meant for something else (`use`, `key_ops`, `alg`), RSA below 2048
//! or above 8192 bits, moduli with the ROCA flaw, exponents that protect nothing, and points that are not on their curve.
//! `alg` narrows what a key may be used with; `x5c` and its kin are not looked at.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, EcdsaVerificationAlgorithm, ParsedPublicKey,
    RsaParameters,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, KeyOperations, OctetKeyPairParameters,
    PublicKeyUse, RSAKeyParameters,
};
use serde_json::Value;

use super::json::excerpt;
use super::key::Key;
use crate::secret::sha256;

/// Sizes of RSA moduli that we take, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

static RSA: [(Algorithm, &RsaParameters); 6] = [
    (Algorithm::RS256, &signature::RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::RS384, &signature::RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::RS512, &signature::RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::PS256, &signature::RSA_PSS_2048_8192_SHA256),
    (Algorithm::PS384, &signature::RSA_PSS_2048_8192_SHA384),
    (Algorithm::PS512, &signature::RSA_PSS_2048_8192_SHA512),
];

type Prepared = Vec<(Algorithm, ParsedPublicKey)>;

/// The key of a JWK, or why it is not used, in words that follow "it".
pub(super) fn read(entry: &Value) -> Result<Key, String> {
    prepare(entry, None)
}

/// As [`read`], prepared for one algorithm alone.
pub(super) fn read_for(entry: &Value, algorithm: Algorithm) -> Result<Key, String> {
    prepare(entry, Some(algorithm))
}

fn prepare(entry: &Value, only: Option<Algorithm>) -> Result<Key, String> {
    let members = entry.as_object().ok_or("is not a JSON object")?;
    let kty = members.get("kty").and_then(Value::as_str).ok_or("has no kty")?;
    if let Some(secret) = ["k", "d", "p", "q", "dp", "dq", "qi", "oth"].iter().find(|name| members.contains_key(**name))
    {
        let kind = if kty == "oct" { "is a symmetric key" } else { "is a private key that was published" };
        return Err(format!("{kind} (it has the member {secret:?})"));
    }
    let jwk: Jwk = serde_json::from_value(entry.clone()).map_err(|_| "has a member that is not well-formed")?;
    check_purpose(&jwk)?;
    let alg = members.get("alg").map(|alg| alg.as_str().ok_or("has an alg that is not a string")).transpose()?;
    let (id, prepared) = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => read_rsa(rsa, alg, only)?,
        AlgorithmParameters::EllipticCurve(ec) => read_ec(ec, alg)?,
        AlgorithmParameters::OctetKeyPair(okp) => read_okp(okp, alg)?,
        AlgorithmParameters::OctetKey(_) => return Err("is a symmetric key".into()),
        _ if ["RSA", "EC", "OKP"].contains(&kty) => {
            return Err(format!("has not the members of kty {kty:?}, or a curve that is not taken"));
        }
        _ => return Err(format!("has the kty {}, which is not taken", excerpt(kty))),
    };
    Ok(Key { kid: jwk.common.key_id.map(String::into_boxed_str), id: sha256(id.as_bytes()), prepared })
}

fn check_purpose(jwk: &Jwk) -> Result<(), String> {
    match &jwk.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => {}
        Some(PublicKeyUse::Encryption) => return Err("is for encryption (use is \"enc\")".into()),
        Some(PublicKeyUse::Other(other)) => return Err(format!("is for something else (use is {})", excerpt(other))),
    }
    match &jwk.common.key_operations {
        Some(operations) if !operations.contains(&KeyOperations::Verify) => {
            Err("is not for verification (key_ops lacks \"verify\")".into())
        }
        _ => Ok(()),
    }
}

/// The algorithm of a JOSE name, without HMAC and `none`. `Ed25519` is the name that RFC 9864 gives EdDSA on that curve.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

/// Whether the key's own `alg` lets it be used with `candidate`.
fn allowed(alg: Option<&str>, candidate: Algorithm) -> bool {
    alg.is_none_or(|name| algorithm(name) == Some(candidate))
}

fn misfit(alg: Option<&str>, kind: &str) -> String {
    format!("has the alg {}, which does not fit {kind} or is not taken", excerpt(alg.unwrap_or_default()))
}

/// The bytes of a base64url text that has one spelling only.
fn bytes(name: &str, text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("has an {name} that is not base64url without padding"))
}

fn read_rsa(rsa: &RSAKeyParameters, alg: Option<&str>, only: Option<Algorithm>) -> Result<(String, Prepared), String> {
    let (n, e) = (bytes("n", &rsa.n)?, bytes("e", &rsa.e)?);
    let (n, e) = (without_leading_zeros(&n), without_leading_zeros(&e));
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(format!("is a {bits}-bit RSA key; {} to {} bits are taken", RSA_BITS.start(), RSA_BITS.end()));
    }
    // 1 would make every signature its own message; an even exponent has no inverse; more than 32 bits only costs time.
    if e.len() > 4 || matches!(e, [] | [1]) || e.last().is_some_and(|last| last % 2 == 0) {
        return Err("has an RSA exponent that is 1, even or above 32 bits".into());
    }
    if has_roca_flaw(n) {
        return Err("is an RSA key with the ROCA flaw (CVE-2017-15361): its private half can be computed".into());
    }
    let components = PublicKeyComponents { n, e };
    let mut prepared = Prepared::new();
    let asked = |algorithm: Algorithm| allowed(alg, algorithm) && only.is_none_or(|only| only == algorithm);
    for (algorithm, parameters) in RSA.iter().filter(|(algorithm, _)| asked(*algorithm)) {
        let key = components.to_parsed_public_key(parameters).map_err(|_| "is not a valid RSA key")?;
        prepared.push((*algorithm, key));
    }
    if prepared.is_empty() {
        return Err(misfit(alg, "an RSA key"));
    }
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    Ok((format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#), prepared))
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

/// Whether the modulus shows the pattern of the flawed generator of CVE-2017-15361: modulo each of many small primes it
/// is a power of 65537. The chance of a sound modulus to show it is below 2^-27.
fn has_roca_flaw(n: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    PRIMES.iter().all(|prime| {
        let residue = n.iter().fold(0, |acc, byte| (acc * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * 65_537 % prime));
        powers.take(*prime as usize).any(|power| power == residue)
    })
}

fn read_ec(ec: &EllipticCurveKeyParameters, alg: Option<&str>) -> Result<(String, Prepared), String> {
    let (algorithm, parameters, curve, length): (_, &'static EcdsaVerificationAlgorithm, _, _) = match &ec.curve {
        EllipticCurve::P256 => (Algorithm::ES256, &ECDSA_P256_SHA256_FIXED, "P-256", 32),
        EllipticCurve::P384 => (Algorithm::ES384, &ECDSA_P384_SHA384_FIXED, "P-384", 48),
        EllipticCurve::P521 => return Err("is on the curve P-521, which is not taken".into()),
        _ => return Err("is on a curve that is not taken".into()),
    };
    let (x, y) = (bytes("x", &ec.x)?, bytes("y", &ec.y)?);
    if (x.len(), y.len()) != (length, length) {
        return Err(format!("has a coordinate that is not the {length} bytes of {curve}"));
    }
    if !allowed(alg, algorithm) {
        return Err(misfit(alg, curve));
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let key = ParsedPublicKey::new(parameters, point).map_err(|_| format!("is not a point on {curve}"))?;
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    Ok((format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#), vec![(algorithm, key)]))
}

fn read_okp(okp: &OctetKeyPairParameters, alg: Option<&str>) -> Result<(String, Prepared), String> {
    match &okp.curve {
        EllipticCurve::Ed25519 => {}
        _ => return Err("is on a curve that is not taken".into()),
    }
    let x = bytes("x", &okp.x)?;
    if !allowed(alg, Algorithm::EdDSA) {
        return Err(misfit(alg, "Ed25519"));
    }
    // The length first: the library would also take a longer encoding.
    let key = Some(&x).filter(|x| x.len() == 32).and_then(|x| ParsedPublicKey::new(&ED25519, x).ok());
    let key = key.ok_or("is not an Ed25519 key of 32 bytes")?;
    let x = URL_SAFE_NO_PAD.encode(x);
    Ok((format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#), vec![(Algorithm::EdDSA, key)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::testing;

    #[test]
    fn a_modulus_of_the_flawed_generator_is_seen() {
        let sound = [testing::RFC_7638_N, testing::RSA_1024_N];
        assert!(sound.iter().all(|n| !has_roca_flaw(&bytes("n", n).expect("base64url"))));
        // The product of two primes of the flawed form is a power of 65537 modulo every prime of the list; so is 65537.
        assert!(has_roca_flaw(&[1, 0, 1]));
    }

    #[test]
    fn algorithm_names_are_exact_and_asymmetric() {
        for name in ["none", "None", "NONE", "", "HS256", "HS512", "rs256", "RS1", "ES512", "ES256K", "Ed448", " RS256"]
        {
            assert_eq!(algorithm(name), None, "{name:?}");
        }
        assert_eq!(algorithm("Ed25519"), Some(Algorithm::EdDSA));
    }
}
