//! A token on its way to the signature, and what can be wrong with its header and its signature.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::keys::{KeySet, NoKeys, SigningAlgorithm};
use crate::faults::Forge;

/// A token that is not signed yet.
#[derive(Debug)]
pub(super) struct Draft {
    algorithm: SigningAlgorithm,
    header: Value,
    /// What it says.
    pub(super) claims: Value,
    seal: Seal,
}

/// What stands behind the second dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seal {
    Signature,
    OfSomethingElse,
    Hmac,
    Nothing,
}

impl Draft {
    /// A good one.
    pub(super) fn new(keys: &KeySet, algorithm: SigningAlgorithm, typ: &str, claims: Value) -> Result<Self, NoKeys> {
        Ok(Self { algorithm, header: keys.header(algorithm, typ)?, claims, seal: Seal::Signature })
    }

    /// Makes a fault, and says whether it was made.
    pub(super) fn forge(&mut self, forge: Forge, keys: &KeySet) -> bool {
        match forge {
            Forge::OtherType => self.append("typ"),
            Forge::OtherKid => self.append("kid"),
            Forge::NoKid => self.header.as_object_mut().is_some_and(|header| header.remove("kid").is_some()),
            Forge::OtherAlgorithm => self.sign_by_another(keys),
            Forge::Unsigned => self.seal_by(Seal::Nothing, "none"),
            Forge::Hmac => self.seal_by(Seal::Hmac, "HS256"),
            Forge::BadSignature => {
                self.seal = Seal::OfSomethingElse;
                true
            }
        }
    }

    fn append(&mut self, name: &str) -> bool {
        let Some(text) = self.header[name].as_str().map(|text| format!("{text}1")) else { return false };
        self.header[name] = json!(text);
        true
    }

    fn seal_by(&mut self, seal: Seal, alg: &str) -> bool {
        self.header["alg"] = json!(alg);
        self.seal = seal;
        true
    }

    fn sign_by_another(&mut self, keys: &KeySet) -> bool {
        let other = match self.algorithm {
            SigningAlgorithm::Es256 => SigningAlgorithm::Rs256,
            SigningAlgorithm::Rs256 | SigningAlgorithm::EdDsa | SigningAlgorithm::Ps256 => SigningAlgorithm::Es256,
        };
        let Ok(header) = keys.header(other, self.header["typ"].as_str().unwrap_or_default()) else { return false };
        (self.algorithm, self.header) = (other, header);
        true
    }

    /// The token.
    pub(super) fn seal(&self, keys: &KeySet) -> Result<String, NoKeys> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&self.header), part(&self.claims));
        let signature = match self.seal {
            Seal::Signature => keys.sign(self.algorithm, signed.as_bytes())?,
            Seal::OfSomethingElse => keys.sign(self.algorithm, format!("{signed}1").as_bytes())?,
            Seal::Hmac => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, keys.public_pem(self.algorithm)?.as_bytes());
                hmac::sign(&secret, signed.as_bytes()).as_ref().to_vec()
            }
            Seal::Nothing => Vec::new(),
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
