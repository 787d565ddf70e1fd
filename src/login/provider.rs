//! The issuer as an OpenID Provider: its metadata, and the questions that the gateway asks as its client.
//!
//! Promises: metadata counts only if its `issuer` is ours to the byte (OpenID Connect Discovery 1.0, section 4.3); no URL
//! is asked but https ones, or http ones on loopback or where the configuration allows them; one request for metadata at
//! a time, and what was good before serves on while the issuer is down. A refusal by the issuer is told apart from an
//! issuer that cannot be asked.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::clock::Clock;
use crate::config::model::{ClientAuthentication, Login};
use crate::fetch::{Fetch, Request, Response, is_loopback};

/// How long metadata are taken as they are.
const FRESH: Duration = Duration::from_secs(600);
/// The pause after a failed attempt, while there are old ones.
const RETRY: Duration = Duration::from_secs(5);
/// For one request, from the name lookup to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// What we use of a provider's metadata (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).
#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    issuer: String,
    /// Where browsers are sent.
    pub authorization_endpoint: String,
    /// Where codes are redeemed.
    pub token_endpoint: String,
    /// Claims about the person.
    pub userinfo_endpoint: Option<String>,
    /// Where browsers sign out.
    pub end_session_endpoint: Option<String>,
    /// Where tokens are given back.
    pub revocation_endpoint: Option<String>,
    /// Where requests are pushed (RFC 9126).
    pub pushed_authorization_request_endpoint: Option<String>,
    /// Whether answers name their issuer (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Why a question has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The issuer cannot be asked, or what it says makes no sense.
    #[error("{0}")]
    Unavailable(String),
    /// The issuer says no, with this `error` (RFC 6749, section 5.2).
    #[error("the issuer answered {error}{}", .description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// `error`
        error: String,
        /// `error_description`
        description: Option<String>,
    },
}

fn unavailable(why: impl Into<String>) -> ProviderError {
    ProviderError::Unavailable(why.into())
}

/// The answer of the token endpoint (RFC 6749, section 5.1).
#[derive(Clone, Deserialize)]
pub struct Answer {
    /// `access_token`
    pub access_token: String,
    /// `token_type`
    pub token_type: String,
    /// Seconds.
    pub expires_in: Option<f64>,
    /// `refresh_token`
    pub refresh_token: Option<String>,
    /// `id_token`
    pub id_token: Option<String>,
    /// `scope`; absent: as asked.
    pub scope: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

/// One login's provider.
pub struct Provider {
    issuer: Arc<str>,
    allow_http: bool,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    metadata: Option<Arc<Metadata>>,
    next: Duration,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Provider {
    /// The provider that is this issuer. Asks nobody yet.
    #[must_use]
    pub fn new(issuer: Arc<str>, allow_http: bool, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { issuer, allow_http, fetch, clock, known: Mutex::default() }
    }

    /// Its metadata, at most ten minutes old unless it cannot be asked.
    ///
    /// # Errors
    /// When there are none, and it cannot be asked.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let mut known = self.known.lock().await;
        let now = self.clock.uptime();
        if let Some(metadata) = known.metadata.as_ref().filter(|_| now < known.next) {
            return Ok(Arc::clone(metadata));
        }
        match self.discover().await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *known = Known { metadata: Some(Arc::clone(&metadata)), next: now + FRESH };
                Ok(metadata)
            }
            Err(error) => {
                known.next = now + RETRY;
                known.metadata.clone().ok_or(error)
            }
        }
    }

    /// OpenID Connect Discovery's address, then RFC 8414's.
    async fn discover(&self) -> Result<Metadata, ProviderError> {
        let issuer = self.permitted("issuer", &self.issuer)?;
        let path = issuer.path().trim_end_matches('/').to_owned();
        let at = |path: String| {
            let mut url = issuer.clone();
            url.set_path(&path);
            url
        };
        match self.read(at(format!("{path}/.well-known/openid-configuration"))).await {
            Ok(metadata) => Ok(metadata),
            Err(first) => {
                let second = at(format!("/.well-known/oauth-authorization-server{path}"));
                self.read(second).await.map_err(|_| first)
            }
        }
    }

    async fn read(&self, url: Url) -> Result<Metadata, ProviderError> {
        let response = self.send(Request::get(url.clone())).await?;
        if !response.status.is_success() {
            return Err(unavailable(format!("{url}: answered {}", response.status.as_u16())));
        }
        let metadata: Metadata = serde_json::from_slice(&response.body)
            .map_err(|error| unavailable(format!("{url}: not a provider's metadata: {error}")))?;
        match *metadata.issuer == *self.issuer {
            true => Ok(metadata),
            false => Err(unavailable(format!("{url}: names another issuer than {:?}", self.issuer))),
        }
    }

    /// Redeems a grant at the token endpoint.
    ///
    /// # Errors
    /// When the issuer says no, cannot be asked, or gives no bearer token.
    pub async fn redeem(&self, login: &Login, grant: &[(&str, &str)]) -> Result<Answer, ProviderError> {
        let metadata = self.metadata().await?;
        let url = self.permitted("token_endpoint", &metadata.token_endpoint)?;
        let response = self.post(login, url, grant).await?;
        if !response.status.is_success() {
            return Err(refusal(&response));
        }
        let answer: Answer = serde_json::from_slice(&response.body)
            .map_err(|error| unavailable(format!("the answer of the token endpoint: {error}")))?;
        match answer.token_type.eq_ignore_ascii_case("bearer") {
            true => Ok(answer),
            false => Err(unavailable("the token endpoint gave a token that is no bearer token")),
        }
    }

    /// Pushes an authorization request (RFC 9126). Gives its `request_uri`.
    ///
    /// # Errors
    /// When the issuer says no or cannot be asked.
    pub async fn push(&self, login: &Login, endpoint: &str, request: &[(&str, &str)]) -> Result<String, ProviderError> {
        #[derive(Deserialize)]
        struct Pushed {
            request_uri: String,
        }
        let url = self.permitted("pushed_authorization_request_endpoint", endpoint)?;
        let response = self.post(login, url, request).await?;
        if !response.status.is_success() {
            return Err(refusal(&response));
        }
        let pushed: Pushed = serde_json::from_slice(&response.body)
            .map_err(|error| unavailable(format!("the answer to the pushed request: {error}")))?;
        Ok(pushed.request_uri)
    }

    /// Gives a refresh token back (RFC 7009), as far as that works.
    pub async fn revoke(&self, login: &Login, refresh_token: &str) {
        let Ok(metadata) = self.metadata().await else { return };
        let Some(endpoint) = &metadata.revocation_endpoint else { return };
        let Ok(url) = self.permitted("revocation_endpoint", endpoint) else { return };
        let form = [("token", refresh_token), ("token_type_hint", "refresh_token")];
        if let Err(error) = self.post(login, url, &form).await {
            tracing::warn!(login = &*login.name, %error, "a refresh token could not be revoked");
        }
    }

    /// The claims that userinfo has (OpenID Connect Core 1.0, section 5.3).
    ///
    /// # Errors
    /// When the issuer says no, cannot be asked, or has no such endpoint.
    pub async fn userinfo(
        &self,
        access_token: &str,
    ) -> Result<serde_json::Map<String, serde_json::Value>, ProviderError> {
        let metadata = self.metadata().await?;
        let endpoint =
            metadata.userinfo_endpoint.as_deref().ok_or_else(|| unavailable("there is no userinfo endpoint"))?;
        let mut request = Request::get(self.permitted("userinfo_endpoint", endpoint)?);
        let bearer = HeaderValue::try_from(format!("Bearer {access_token}"));
        let bearer = bearer.map_err(|_| unavailable("the access token cannot be sent"))?;
        request.headers.insert(AUTHORIZATION, bearer);
        let response = self.send(request).await?;
        if !response.status.is_success() {
            return Err(unavailable(format!("the userinfo endpoint answered {}", response.status.as_u16())));
        }
        crate::token::json::object(&response.body).map_err(|error| unavailable(format!("the userinfo answer: {error}")))
    }

    async fn post(&self, login: &Login, url: Url, parameters: &[(&str, &str)]) -> Result<Response, ProviderError> {
        let (headers, form) = authenticated(login, parameters)?;
        let request = Request { method: Method::POST, headers, body: Bytes::from(form), ..Request::get(url) };
        self.send(request).await
    }

    async fn send(&self, mut request: Request) -> Result<Response, ProviderError> {
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        (request.max_bytes, request.timeout) = (MAX_BYTES, TIMEOUT);
        self.fetch.fetch(request).await.map_err(|error| unavailable(error.to_string()))
    }

    /// `text` as a URL that may be asked, or to which a browser may be sent.
    ///
    /// # Errors
    /// When it is none; `what` names it then.
    pub fn permitted(&self, what: &str, text: &str) -> Result<Url, ProviderError> {
        let refuse = |why: &str| unavailable(format!("{what}: {why}"));
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.allow_http || is_loopback(&url) => Ok(url),
            "http" => Err(refuse("http is for loopback addresses, unless allow_http is set")),
            _ => Err(refuse("only https is asked")),
        }
    }
}

/// A form with `parameters`, and what proves which client sends it.
fn authenticated(login: &Login, parameters: &[(&str, &str)]) -> Result<(HeaderMap, String), ProviderError> {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(parameters);
    let mut headers = HeaderMap::new();
    match &login.authentication {
        ClientAuthentication::None => drop(form.append_pair("client_id", &login.client_id)),
        ClientAuthentication::Post(secret) => {
            form.append_pair("client_id", &login.client_id).append_pair("client_secret", secret.expose());
        }
        ClientAuthentication::Basic(secret) => {
            headers.insert(AUTHORIZATION, basic(&login.client_id, secret.expose())?);
        }
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    Ok((headers, form.finish()))
}

/// A Basic credential, both halves form-encoded (RFC 6749, section 2.3.1) by the WHATWG serializer.
fn basic(id: &str, secret: &str) -> Result<HeaderValue, ProviderError> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let value = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))));
    let mut value = HeaderValue::try_from(value).map_err(|_| unavailable("the client secret cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What the issuer says when it says no. Only an answer that is one counts as a refusal; all else is a broken issuer.
fn refusal(response: &Response) -> ProviderError {
    let status = response.status;
    match serde_json::from_slice::<Refusal>(&response.body) {
        Ok(Refusal { error, error_description }) if status.is_client_error() => {
            let short = |text: String| text.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
            ProviderError::Refused { error: short(error), description: error_description.map(short) }
        }
        _ => unavailable(format!("the issuer answered {}", status.as_u16())),
    }
}
