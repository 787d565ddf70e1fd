//! Words about tokens: accepted types and signature algorithms.

use jsonwebtoken::Algorithm;
use serde_json::{Value as Json, json};

use crate::config::diagnostic::Code;
use crate::config::model::TokenType;
use crate::config::read::{Refusal, Text};
use crate::config::table::{listed, nearest};

/// The algorithms that issuers may sign with, by their registered names. `Ed25519` is RFC 9864's name of `EdDSA` with
/// an Ed25519 key, the only EdDSA key that we take.
const ALGORITHMS: [(&str, Algorithm); 10] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("Ed25519", Algorithm::EdDSA),
];

/// A signature algorithm that is accepted.
#[derive(Debug, Clone, Copy)]
pub struct AlgorithmName(pub Algorithm);

impl AlgorithmName {
    /// All that we know, each once.
    pub fn all() -> Vec<Algorithm> {
        ALGORITHMS.iter().filter(|(name, _)| *name != "Ed25519").map(|(_, algorithm)| *algorithm).collect()
    }
}

impl Text for AlgorithmName {
    const EXPECTED: &'static str = "a text with an algorithm, such as \"RS256\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some((_, algorithm)) = ALGORITHMS.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*algorithm));
        }
        if text.eq_ignore_ascii_case("none") {
            let help = "remove it: an unsigned token can be written by anybody";
            return Err(Refusal::new(Code::ForgeableAlgorithm, "\"none\" is not a signature", help));
        }
        if matches!(&*text.to_ascii_uppercase(), "HS256" | "HS384" | "HS512") {
            let help = "let the issuer sign with RS256, ES256 or EdDSA: with an HMAC whoever can check tokens can also make them";
            return Err(Refusal::new(Code::ForgeableAlgorithm, format!("{text} is an HMAC, not a signature"), help));
        }
        let names = ALGORITHMS.map(|(name, _)| name);
        let help = match nearest(text, &names) {
            Some(right) => format!("did you mean \"{right}\"? Known are {}", listed(&names)),
            None => format!("known are {}", listed(&names)),
        };
        Err(Refusal::new(Code::UnknownAlgorithm, format!("{text:?} is not an algorithm that is known here"), help))
    }

    fn hints() -> Json {
        json!({ "enum": ALGORITHMS.map(|(name, _)| name) })
    }
}

/// One accepted `typ`, or `"absent"`.
#[derive(Debug, Clone)]
pub struct TokenTypeText(pub TokenType);

impl Text for TokenTypeText {
    const EXPECTED: &'static str = "a text with a `typ` value, such as \"at+jwt\", or \"absent\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let lower = text.to_ascii_lowercase();
        if lower == "absent" {
            return Ok(Self(TokenType::Absent));
        }
        let name = lower.strip_prefix("application/").unwrap_or(&lower);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
        if name.is_empty() || !name.chars().all(allowed) {
            let help = "a media type without `application/`, such as \"at+jwt\" or \"JWT\"; \"absent\" for tokens without `typ`";
            return Err(Refusal::new(Code::BadTokenType, format!("{text:?} is not a `typ` value"), help));
        }
        Ok(Self(TokenType::Named(name.to_owned())))
    }

    fn hints() -> Json {
        json!({ "examples": ["at+jwt", "JWT", "absent"] })
    }
}

/// A tenant, as it stands in `iss`: one segment of a path that no reader takes for anything else. Kept as written, since it
/// is compared so.
#[derive(Debug, Clone)]
pub struct TenantText(pub String);

impl Text for TenantText {
    const EXPECTED: &'static str = "a text with a tenant, as it stands in `iss`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        let help =
            "letters, digits, `-`, `.`, `_` and `~`; describe a tenant with another name as an issuer of its own";
        let bad = |message: String| Refusal::new(Code::BadTenant, message, help);
        match text.char_indices().find(|(_, c)| !allowed(*c)) {
            Some((at, c)) => Err(bad(format!("{c:?} does not belong in a tenant")).at(at..at + c.len_utf8())),
            None if text.is_empty() => Err(bad("an empty text is no tenant".into())),
            None if text.bytes().all(|byte| byte == b'.') => {
                Err(bad("a path with dots alone in a segment leads elsewhere".into()))
            }
            None if text.len() > 128 => Err(bad(format!("a tenant has 128 characters at most, not {}", text.len()))),
            None => Ok(Self(text.to_owned())),
        }
    }

    fn hints() -> Json {
        json!({ "pattern": "^[A-Za-z0-9._~-]{1,128}$" })
    }
}
