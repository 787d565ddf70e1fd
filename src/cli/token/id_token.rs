//! Whether an ID token is an answer to this request (OpenID Connect Core 1.0, sections 3.1.3.7 and 3.2.2.11).
//!
//! Decides by issuer, audience, expiry, `nonce` and `at_hash`. The signature counts where the token came through the
//! browser; one that came straight from the token endpoint is vouched for by that connection, as section 3.1.3.7 allows.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::fetch::Request;
use crate::token::envelope::Envelope;
use crate::token::key::KeySet;

use super::decode::{Decoded, decode};
use super::endpoint::Server;
use super::failure::Failure;
use super::shown::shown;

/// How far the clocks of two machines may be apart, in seconds.
const SKEW: f64 = 60.0;

/// What an ID token is held against.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// The access token that came with it.
    pub(super) access_token: &'a str,
    /// Whether both came through the browser, where `at_hash` is what ties them together (section 3.2.2.10).
    pub(super) through_the_browser: bool,
    pub(super) now: UnixTime,
}

impl Expected<'_> {
    /// Checks what the token says.
    pub(super) fn check(&self, token: &str) -> Result<(), Failure> {
        let Decoded { header, claims } = decode(token).map_err(|why| refused(&format!("it cannot be read ({why})")))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let shown = |name: &str| claims.get(name).map_or("absent".into(), |value| shown(&value.to_string()));
        if text("iss") != Some(self.issuer) {
            return Err(refused(&format!("its `iss` is {}, not {:?}", shown("iss"), self.issuer)));
        }
        if !is_for(&claims, self.client_id) {
            return Err(refused(&format!("its `aud` is {}, not {:?}", shown("aud"), self.client_id)));
        }
        if text("nonce") != Some(self.nonce) {
            return Err(refused("its `nonce` is not the one of this request"));
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds of this era fit exactly")]
        let now = self.now.secs() as f64;
        match claims.get("exp").and_then(Value::as_f64) {
            Some(end) if end + SKEW > now => {}
            Some(_) => return Err(refused("it has expired")),
            None => return Err(refused("it has no `exp`")),
        }
        if text("sub").is_none_or(str::is_empty) {
            return Err(refused("it has no `sub`"));
        }
        let own = half_hash(&header, self.access_token);
        match claims.get("at_hash") {
            None if self.through_the_browser => {
                Err(refused("it has no `at_hash`, so the access token may be another's"))
            }
            None => Ok(()),
            Some(hash) if own.is_some_and(|own| *hash == own) => Ok(()),
            Some(_) => Err(refused("its `at_hash` is not that of the access token")),
        }
    }
}

fn is_for(claims: &Map<String, Value>, client_id: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(audience)) => audience == client_id,
        Some(Value::Array(audiences)) => {
            let listed = audiences.iter().any(|audience| audience == client_id);
            // With several audiences `azp` says whom the token was made for.
            listed && claims.get("azp").is_none_or(|party| party == client_id)
        }
        _ => false,
    }
}

/// The left half of the access token's digest, by the digest of the signature's algorithm (section 3.1.3.6).
fn half_hash(header: &Map<String, Value>, access_token: &str) -> Option<String> {
    let algorithm = match header.get("alg")?.as_str()? {
        "EdDSA" | "Ed25519" => &SHA512,
        name if name.ends_with("256") => &SHA256,
        name if name.ends_with("384") => &SHA384,
        name if name.ends_with("512") => &SHA512,
        _ => return None,
    };
    let whole = digest::digest(algorithm, access_token.as_bytes());
    let (half, _) = whole.as_ref().split_at(whole.as_ref().len() / 2);
    Some(URL_SAFE_NO_PAD.encode(half))
}

/// Checks the signature with the keys that the server publishes.
pub(super) async fn verify_signature(token: &str, server: &Server<'_>) -> Result<(), Failure> {
    let url = server.metadata.endpoint("jwks_uri")?.clone();
    let request = Request { timeout: server.timeout, ..Request::get(url) };
    let response = server.fetch.fetch(request).await.map_err(|error| Failure::unanswered(&error))?;
    if !response.status.is_success() {
        return Err(Failure::fault(format!("the server's keys: answered {}", response.status)));
    }
    let keys = KeySet::parse(&response.body)
        .map_err(|error| Failure::fault(format!("the server's keys: {}", shown(&error.to_string()))))?;
    let (envelope, _) = Envelope::open(token).map_err(|rejection| refused(&shown(&rejection.to_string())))?;
    envelope.verify(&keys).map(drop).map_err(|rejection| refused(&shown(&rejection.to_string())))
}

fn refused(why: &str) -> Failure {
    Failure::fault(format!("the ID token is not an answer to this request: {why}"))
        .help("the access token that came with it is not shown, for it may be another person's")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expected(through_the_browser: bool) -> Expected<'static> {
        Expected {
            issuer: "https://as.test",
            client_id: "c",
            nonce: "n",
            access_token: "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
            through_the_browser,
            now: UnixTime::from_secs(1000),
        }
    }

    fn jwt(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.x", part(&json!({"alg": "RS256"})), part(claims))
    }

    #[test]
    fn through_the_browser_the_access_token_is_tied_to_the_id_token() {
        let mut claims = json!({"iss": "https://as.test", "aud": "c", "sub": "s", "nonce": "n", "exp": 1000});
        assert!(expected(false).check(&jwt(&claims)).is_ok(), "the token endpoint need not say it");
        let failure = expected(true).check(&jwt(&claims)).unwrap_err().to_string();
        assert!(failure.contains("no `at_hash`"), "{failure}");
        claims["at_hash"] = json!("77QmUPtjPfzWtF2AnpK9RQ");
        assert!(expected(true).check(&jwt(&claims)).is_ok());
    }

    #[test]
    fn an_id_token_answers_this_request_or_is_refused() {
        let good = json!({"iss": "https://as.test", "aud": "c", "sub": "s", "nonce": "n", "exp": 1000, "at_hash": "77QmUPtjPfzWtF2AnpK9RQ"});
        let cases: [(&str, Value, &str); 19] = [
            ("iss", json!("https://as.test"), ""),
            ("iss", json!("https://as.test/"), "`iss`"),
            ("iss", json!(7), "`iss`"),
            ("aud", json!(["d", "c"]), ""),
            ("aud", json!(["d"]), "`aud`"),
            ("aud", json!({"c": "c"}), "`aud`"),
            ("azp", json!("d"), ""),
            ("nonce", json!("m"), "`nonce`"),
            ("nonce", json!(null), "`nonce`"),
            ("exp", json!(941), ""),
            ("exp", json!(940), "expired"),
            ("exp", json!("1000"), "no `exp`"),
            ("at_hash", json!("AAAA"), "`at_hash`"),
            ("at_hash", json!(""), "`at_hash`"),
            ("at_hash", json!(null), "`at_hash`"),
            ("at_hash", json!(7), "`at_hash`"),
            ("sub", json!("anybody"), ""),
            ("sub", json!(""), "no `sub`"),
            ("sub", json!(7), "no `sub`"),
        ];
        for (name, value, complaint) in cases {
            let mut claims = good.clone();
            claims[name] = value.clone();
            let outcome = expected(false).check(&jwt(&claims)).map_err(|failure| failure.to_string());
            match outcome {
                Ok(()) => assert_eq!(complaint, "", "{name} {value}"),
                Err(text) => assert!(!complaint.is_empty() && text.contains(complaint), "{name} {value}: {text}"),
            }
        }
    }
}
