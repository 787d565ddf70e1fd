//! The request that asks about a token (RFC 7662 section 2.1), and how the gateway shows in it who it is.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::json;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::MAX_ANSWER_BYTES;
use super::status::Trouble;
use crate::clock::UnixTime;
use crate::config::model::{AnswerForm, ClientAuth, Introspection, Issuer};
use crate::fetch::Request;
use crate::secret::{self, Secret};
use crate::token::signer::{Signer, SignerError};

/// How long an assertion of ours is good: it is used at once.
const ASSERTION_LIFE: Duration = Duration::from_secs(60);
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Writes the questions to one issuer.
pub(super) struct Question {
    issuer: String,
    client_id: String,
    auth: Auth,
    answer: AnswerForm,
}

enum Auth {
    /// The whole value of `Authorization`.
    Basic(Secret),
    Post(Secret),
    PrivateKeyJwt(Signer),
    /// Shown in the TLS handshake.
    Mtls,
}

impl Question {
    pub(super) fn new(issuer: &Issuer, settings: &Introspection) -> Result<Self, SignerError> {
        let auth = match &settings.auth {
            ClientAuth::Basic(secret) => Auth::Basic(basic(&settings.client_id, secret)),
            ClientAuth::Post(secret) => Auth::Post(secret.clone()),
            ClientAuth::PrivateKeyJwt { private_key, key_id } => {
                Auth::PrivateKeyJwt(Signer::read(private_key, key_id.clone())?)
            }
            ClientAuth::Mtls { .. } => Auth::Mtls,
        };
        let (issuer, client_id) = (issuer.issuer.to_string(), settings.client_id.clone());
        Ok(Self { issuer, client_id, auth, answer: settings.answer })
    }

    /// The question about `token`.
    pub(super) fn write(
        &self,
        endpoint: Url,
        token: &str,
        now: UnixTime,
        timeout: Duration,
    ) -> Result<Request, Trouble> {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", "access_token");
        let mut headers = HeaderMap::new();
        let accept = match self.answer {
            AnswerForm::Json => "application/json",
            AnswerForm::Jwt => "application/token-introspection+jwt",
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        match &self.auth {
            Auth::Basic(value) => {
                let value = HeaderValue::try_from(value.expose());
                let mut value = value.map_err(|_| Trouble::skipped("the client secret is no header value"))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            Auth::Post(secret) => {
                form.append_pair("client_id", &self.client_id).append_pair("client_secret", secret.expose());
            }
            Auth::PrivateKeyJwt(signer) => {
                let assertion = self.assertion(signer, now)?;
                form.append_pair("client_id", &self.client_id);
                form.append_pair("client_assertion_type", ASSERTION_TYPE).append_pair("client_assertion", &assertion);
            }
            Auth::Mtls => {
                form.append_pair("client_id", &self.client_id);
            }
        }
        let body = Bytes::from(form.finish());
        Ok(Request { method: Method::POST, url: endpoint, headers, body, timeout, max_bytes: MAX_ANSWER_BYTES })
    }

    /// RFC 7523 section 3. The issuer's identifier is the one audience that no other server can take for its own.
    fn assertion(&self, signer: &Signer, now: UnixTime) -> Result<String, Trouble> {
        let claims = json!({
            "iss": self.client_id, "sub": self.client_id, "aud": self.issuer, "jti": secret::random_id(),
            "iat": now.secs(), "exp": now.plus(ASSERTION_LIFE).secs(),
        });
        signer.jwt(&claims).map_err(|error| Trouble::skipped(error.to_string()))
    }
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
fn basic(client_id: &str, secret: &Secret) -> Secret {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}
