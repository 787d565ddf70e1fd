//! Minting tokens, good ones and any kind of bad one. A token begins as what a strict issuer would write (RFC 9068);
//! a case then changes what it is about, and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};

use super::keys::{Key, b64, sha256};
use super::now;

/// A token before it is signed.
#[derive(Clone)]
pub struct Token {
    key: Key,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    header_text: Option<String>,
    claims_text: Option<String>,
}

/// The audience of the tokens and of the issuers in the suites.
pub const AUDIENCE: &str = "https://api.test";

impl Token {
    /// A good token of `issuer`, for `alice` by the client `cli`, valid for five minutes.
    pub fn new(issuer: &str, key: &Key) -> Self {
        let header = json!({"typ": "at+jwt", "alg": key.algorithm(), "kid": key.kid});
        let claims = json!({
            "iss": issuer, "aud": AUDIENCE, "exp": now() + 300, "iat": now(), "jti": "0001",
            "sub": "alice", "client_id": "cli", "scope": "orders:read",
        });
        let members = |value: Value| value.as_object().cloned().unwrap_or_default();
        let (header, claims) = (members(header), members(claims));
        Self { key: key.clone(), header, claims, header_text: None, claims_text: None }
    }

    /// A good proof (RFC 9449) that the sender of `token` holds `key`, for one request.
    pub fn proof(key: &Key, method: &str, url: &str, token: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let header = json!({"typ": "dpop+jwt", "alg": key.algorithm(), "jwk": key.public()});
        let claims = json!({
            "jti": format!("proof-{}", COUNT.fetch_add(1, Ordering::SeqCst)), "iat": now(),
            "htm": method, "htu": url, "ath": b64(sha256(token.as_bytes())),
        });
        let members = |value: Value| value.as_object().cloned().unwrap_or_default();
        let (header, claims) = (members(header), members(claims));
        Self { key: key.clone(), header, claims, header_text: None, claims_text: None }
    }

    /// Binds it to the holder of `key` (RFC 9449 section 6.1).
    pub fn bound_to(self, key: &Key) -> Self {
        self.claim("cnf", json!({"jkt": key.thumbprint()}))
    }

    /// Binds it to the holder of a certificate with this thumbprint (RFC 8705 section 3.1).
    pub fn certified(self, thumbprint: &str) -> Self {
        self.claim("cnf", json!({"x5t#S256": thumbprint}))
    }

    /// Sets a claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a claim away.
    pub fn without(mut self, name: &str) -> Self {
        assert!(self.claims.remove(name).is_some(), "there is no claim {name:?}");
        self
    }

    /// Sets the scopes.
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// Sets a member of the header.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a member of the header away.
    pub fn without_header(mut self, name: &str) -> Self {
        assert!(self.header.remove(name).is_some(), "there is no header member {name:?}");
        self
    }

    /// Signs with `alg` and says so in the header.
    pub fn alg(self, alg: &str) -> Self {
        self.header("alg", alg)
    }

    /// Puts a member in front of the claims' JSON text, even one that is there already.
    pub fn claims_prefix(mut self, members: &str) -> Self {
        let text = json_text(&self.claims);
        self.claims_text = Some(format!("{{{members},{}", &text[1..]));
        self
    }

    /// Puts a member in front of the header's JSON text, even one that is there already.
    pub fn header_prefix(mut self, members: &str) -> Self {
        let text = json_text(&self.header);
        self.header_text = Some(format!("{{{members},{}", &text[1..]));
        self
    }

    /// Writes this in place of the claims.
    pub fn claims_text(mut self, text: &str) -> Self {
        self.claims_text = Some(text.to_owned());
        self
    }

    /// Writes this in place of the header.
    pub fn header_text(mut self, text: &str) -> Self {
        self.header_text = Some(text.to_owned());
        self
    }

    /// Header and payload, encoded and joined: what is signed.
    pub fn signing_input(&self) -> String {
        let header = self.header_text.clone().unwrap_or_else(|| json_text(&self.header));
        let claims = self.claims_text.clone().unwrap_or_else(|| json_text(&self.claims));
        format!("{}.{}", b64(header), b64(claims))
    }

    /// The signed token. An `alg` that the key cannot sign is signed with the key's own algorithm.
    pub fn sign(&self) -> String {
        let named = self.header.get("alg").and_then(Value::as_str).unwrap_or_default();
        let family = |alg: &str| alg.get(..2).unwrap_or_default().to_owned();
        let fits = match self.key.algorithm() {
            "RS256" => matches!(family(named).as_str(), "RS" | "PS") && named.len() == 5,
            "EdDSA" => matches!(named, "EdDSA" | "Ed25519"),
            own => own == named,
        };
        let alg = if fits { named } else { self.key.algorithm() };
        self.sign_by(|input| self.key.sign(alg, input))
    }

    /// The token, signed by another key with the algorithm that the header says.
    pub fn sign_with(&self, key: &Key) -> String {
        let named = self.header.get("alg").and_then(Value::as_str).unwrap_or_default();
        self.sign_by(|input| key.sign(named, input))
    }

    /// What it says so far.
    pub fn claims(&self) -> Value {
        Value::Object(self.claims.clone())
    }

    /// The token with a signature by `signer`.
    pub fn sign_by(&self, signer: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let input = self.signing_input();
        let signature = signer(input.as_bytes());
        format!("{input}.{}", b64(signature))
    }
}

fn json_text(members: &Map<String, Value>) -> String {
    serde_json::to_string(members).expect("a map with text keys")
}
