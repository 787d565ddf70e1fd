//! Access tokens: which scopes and audience a request gets, and the JWT that says so (RFC 9068).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use super::super::State;
use super::super::errors::{ErrorCode, OauthError};
use super::super::form::Form;
use super::super::keys::{KeySet, NoKeys, SigningAlgorithm};
use super::super::settings::Client;
use crate::secret::random_id;

/// More resources than a developer would name in one request.
const MAX_RESOURCES: usize = 8;

/// A token that was granted and not yet signed.
#[derive(Debug)]
pub(super) struct AccessToken {
    algorithm: SigningAlgorithm,
    lifetime: Duration,
    scope: String,
    claims: Value,
}

impl AccessToken {
    /// A token by which `client` acts for `subject`; without `resources` it is for the audience of the settings.
    pub(super) fn new(state: &State, client: &Client, subject: &str, scopes: &[&str], resources: &[&str]) -> Self {
        let settings = &state.settings;
        let (now, scope) = (state.clock.now(), scopes.join(" "));
        let audience = match resources {
            [] => json!(settings.audience),
            [one] => json!(one),
            several => json!(several),
        };
        let mut claims = json!({
            "iss": settings.issuer,
            "sub": subject,
            "aud": audience,
            "client_id": client.id,
            "iat": now.secs(),
            "exp": now.secs().saturating_add_unsigned(settings.token_lifetime.as_secs()),
            "jti": random_id(),
        });
        if !scope.is_empty() {
            claims["scope"] = json!(scope);
        }
        Self { algorithm: client.signing_alg, lifetime: settings.token_lifetime, scope, claims }
    }

    /// The answer of the token endpoint (RFC 6749, section 5.1) with the token signed by one of `keys`.
    pub(super) fn sign(&self, keys: &KeySet) -> Result<Value, NoKeys> {
        let key = keys.signer(self.algorithm)?;
        let header = json!({ "alg": key.algorithm().name(), "typ": "at+jwt", "kid": key.kid() });
        let mut token = format!("{}.{}", encode(&header), encode(&self.claims));
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        let mut answer =
            json!({ "access_token": token, "token_type": "Bearer", "expires_in": self.lifetime.as_secs() });
        if !self.scope.is_empty() {
            answer["scope"] = json!(self.scope);
        }
        Ok(answer)
    }
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// The scopes that `client` asks for, each once; all of the client's when it asks for none (RFC 6749, section 3.3).
pub(super) fn scopes<'a>(client: &'a Client, form: &'a Form) -> Result<Vec<&'a str>, OauthError> {
    let Some(asked) = form.get("scope") else { return Ok(client.scopes.iter().map(String::as_str).collect()) };
    let mut granted = Vec::new();
    for scope in asked.split(' ') {
        if scope.is_empty() || !scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            return Err(ErrorCode::InvalidScope.because("scope is not a list of scope names with one blank between"));
        }
        if !client.scopes.iter().any(|known| known == scope) {
            return Err(ErrorCode::InvalidScope.because(format!("the client may not ask for the scope {scope}")));
        }
        if !granted.contains(&scope) {
            granted.push(scope);
        }
    }
    Ok(granted)
}

/// The resources that the token is asked for (RFC 8707, section 2), each once.
pub(super) fn resources(form: &Form) -> Result<Vec<&str>, OauthError> {
    let mut resources = Vec::new();
    for resource in form.all("resource") {
        if !is_absolute_uri(resource) {
            return Err(ErrorCode::InvalidTarget.because("resource must be an absolute URI without a fragment"));
        }
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    if resources.len() > MAX_RESOURCES {
        return Err(ErrorCode::InvalidTarget.because("there are too many resources"));
    }
    Ok(resources)
}

/// An absolute URI (RFC 3986, section 4.3). The parser forgives blanks and controls, so the alphabet is checked before.
fn is_absolute_uri(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte)) && Url::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_an_absolute_uri_without_fragment() {
        for good in ["https://api.example", "https://api.example/a?b=c", "urn:example:api", "http://[::1]:8080/"] {
            assert!(is_absolute_uri(good), "{good}");
        }
        for bad in
            ["", "api", "/api", "//api.example/x", "https://", "https://a#", "https://a#f", " https://a", "https://a b"]
        {
            assert!(!is_absolute_uri(bad), "{bad}");
        }
    }
}
