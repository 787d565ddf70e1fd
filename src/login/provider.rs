//! The issuer as an OpenID Provider: its endpoints, and the questions that the gateway asks as its client.
//!
//! Promises: metadata are read as [`Discovery`] does, by one request at a time, and what was good before serves on while the
//! issuer is down. A refusal by the issuer is told apart from an issuer that cannot be asked.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Method};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use tokio::sync::Mutex;
use url::Url;

use crate::clock::{Clock, UnixTime};
use crate::config::model::{Issuer, Login};
use crate::fetch::{Fetch, Request, Response};
use crate::token::client::OwnClient;
use crate::token::jwks;
use crate::token::jwks::discovery::{Discovery, Metadata};
use crate::token::signer::SignerError;

/// How long metadata are taken as they are.
const FRESH: Duration = Duration::from_secs(600);
/// The pause after a failed attempt, while there are old ones.
const RETRY: Duration = Duration::from_secs(5);
/// The pause while there are none: strangers who begin logins must not flood an issuer that is in trouble.
const PAUSE: Duration = Duration::from_secs(1);
/// For one request, from the name lookup to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// Where a provider is asked, and where browsers are sent (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).
#[derive(Debug)]
pub struct Endpoints {
    /// Where browsers sign in.
    pub authorization: Url,
    token: Url,
    userinfo: Option<Url>,
    /// Where browsers sign out.
    pub end_session: Option<Url>,
    revocation: Option<Url>,
    /// Where requests are pushed (RFC 9126).
    pub pushed: Option<Url>,
    /// Whether answers name their issuer (RFC 9207).
    pub sends_iss: bool,
}

impl Endpoints {
    /// What the metadata say, to a client that shows a certificate or to one that does not.
    fn of(metadata: &Metadata, certificate: bool, discovery: &Discovery) -> Result<Self, jwks::Failure> {
        let one = |name: &str| {
            let url = metadata.endpoint(name, certificate).filter(|url| !url.is_empty());
            url.map(|url| discovery.permitted(name, url)).transpose()
        };
        let needed = |name: &str| one(name)?.ok_or_else(|| jwks::Failure::invalid(format!("they name no {name}")));
        Ok(Self {
            authorization: needed("authorization_endpoint")?,
            token: needed("token_endpoint")?,
            userinfo: one("userinfo_endpoint")?,
            end_session: one("end_session_endpoint")?,
            revocation: one("revocation_endpoint")?,
            pushed: one("pushed_authorization_request_endpoint")?,
            sends_iss: metadata.says("authorization_response_iss_parameter_supported"),
        })
    }
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

/// A number, or the same as a text: some issuers write it so, which RFC 6749, section 5.1, has not.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(f64),
        Text(String),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Seconds::Number(seconds)) => Ok(Some(seconds)),
        Some(Seconds::Text(text)) => text.parse::<u32>().map(|seconds| Some(seconds.into())).map_err(D::Error::custom),
    }
}

/// What is wrong with a document that may hold tokens, without what it holds: a value of the wrong type would be told.
fn untold(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match error.classify() {
        Category::Data if text.starts_with("missing field") => text,
        Category::Data => format!("a member of the wrong type, at line {} column {}", error.line(), error.column()),
        Category::Io | Category::Syntax | Category::Eof => format!("no JSON: {text}"),
    }
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
    #[serde(default, deserialize_with = "seconds")]
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
    /// The login's name, for the log.
    login: Arc<str>,
    discovery: Discovery,
    client: OwnClient,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    endpoints: Option<Arc<Endpoints>>,
    next: Duration,
    /// When the last attempt failed, and why.
    failed: Option<(Duration, String)>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("login", &self.login)
            .field("discovery", &self.discovery)
            .finish_non_exhaustive()
    }
}

impl Provider {
    /// The provider that this issuer is to a login. Asks nobody yet. `fetch` trusts the issuer's `ca_file`, if it has one,
    /// and shows the login's certificate.
    ///
    /// # Errors
    /// When the private key that the login needs is of no use.
    pub fn new(
        login: &Login,
        issuer: &Issuer,
        fetch: Arc<dyn Fetch>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SignerError> {
        Ok(Self {
            login: Arc::clone(&login.name),
            discovery: Discovery::of(issuer),
            client: OwnClient::new(&issuer.issuer, &login.client_id, &login.auth)?,
            fetch,
            clock,
            known: Mutex::default(),
        })
    }

    /// The time, after an answer that took its own.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Its endpoints, as its metadata had them at most ten minutes ago unless it cannot be asked. Whoever waited for an attempt
    /// that failed, or comes right after it, does not make another one, or all who wait would make theirs one after the other.
    ///
    /// # Errors
    /// When they are not known, and it cannot be asked.
    pub async fn endpoints(&self) -> Result<Arc<Endpoints>, ProviderError> {
        let came = self.clock.uptime();
        let mut known = self.known.lock().await;
        if let Some(endpoints) = known.endpoints.as_ref().filter(|_| self.clock.uptime() < known.next) {
            return Ok(Arc::clone(endpoints));
        }
        if let Some((_, detail)) = known.failed.as_ref().filter(|(moment, _)| came < *moment + PAUSE) {
            return known.endpoints.clone().ok_or_else(|| unavailable(detail.clone()));
        }
        let certificate = self.client.shows_certificate();
        let take = |metadata: &Metadata| Endpoints::of(metadata, certificate, &self.discovery);
        let read = self.discovery.read(self.fetch.as_ref(), take).await;
        // It may have taken its time.
        let now = self.clock.uptime();
        match read {
            Ok(endpoints) => {
                let endpoints = Arc::new(endpoints);
                *known = Known { endpoints: Some(Arc::clone(&endpoints)), next: now + FRESH, failed: None };
                Ok(endpoints)
            }
            Err(failure) => {
                (known.next, known.failed) = (now + RETRY, Some((now, failure.detail.clone())));
                known.endpoints.clone().ok_or_else(|| unavailable(failure.detail))
            }
        }
    }

    /// Redeems a grant at the token endpoint.
    ///
    /// # Errors
    /// When the issuer says no, cannot be asked, or gives no bearer token.
    pub async fn redeem(&self, grant: &[(&str, &str)]) -> Result<Answer, ProviderError> {
        let response = self.post(&self.endpoints().await?.token, grant).await?;
        if !response.status.is_success() {
            return Err(self.refusal(&response, grant));
        }
        let answer: Answer = serde_json::from_slice(&response.body)
            .map_err(|error| unavailable(format!("the answer of the token endpoint: {}", untold(&error))))?;
        match answer.token_type.eq_ignore_ascii_case("bearer") {
            true => Ok(answer),
            false => Err(unavailable("the token endpoint gave a token that is no bearer token")),
        }
    }

    /// Pushes an authorization request (RFC 9126). Gives its `request_uri`.
    ///
    /// # Errors
    /// When the issuer says no or cannot be asked.
    pub async fn push(&self, endpoint: &Url, request: &[(&str, &str)]) -> Result<String, ProviderError> {
        #[derive(Deserialize)]
        struct Pushed {
            request_uri: String,
        }
        let response = self.post(endpoint, request).await?;
        if !response.status.is_success() {
            return Err(self.refusal(&response, request));
        }
        let pushed: Pushed = serde_json::from_slice(&response.body)
            .map_err(|error| unavailable(format!("the answer to the pushed request: {}", untold(&error))))?;
        Ok(pushed.request_uri)
    }

    /// Gives a refresh token back (RFC 7009), as far as that works.
    pub async fn revoke(&self, refresh_token: &str) {
        let Ok(endpoints) = self.endpoints().await else { return };
        let Some(endpoint) = &endpoints.revocation else { return };
        let form = [("token", refresh_token), ("token_type_hint", "refresh_token")];
        if let Err(error) = self.post(endpoint, &form).await {
            tracing::warn!(login = &*self.login, %error, "a refresh token could not be revoked");
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
        let endpoints = self.endpoints().await?;
        let endpoint = endpoints.userinfo.clone().ok_or_else(|| unavailable("there is no userinfo endpoint"))?;
        let mut request = Request::get(endpoint);
        let bearer = HeaderValue::try_from(format!("Bearer {access_token}"));
        let bearer = bearer.map_err(|_| unavailable("the access token cannot be sent"))?;
        request.headers.insert(AUTHORIZATION, bearer);
        let response = self.send(request).await?;
        if !response.status.is_success() {
            return Err(unavailable(format!("the userinfo endpoint answered {}", response.status.as_u16())));
        }
        crate::token::json::object(&response.body).map_err(|error| unavailable(format!("the userinfo answer: {error}")))
    }

    async fn post(&self, url: &Url, parameters: &[(&str, &str)]) -> Result<Response, ProviderError> {
        let form = self.client.form(parameters, self.clock.now());
        let (headers, body) = form.map_err(|error| unavailable(error.to_string()))?;
        self.send(Request { method: Method::POST, headers, body, ..Request::get(url.clone()) }).await
    }

    async fn send(&self, mut request: Request) -> Result<Response, ProviderError> {
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        (request.max_bytes, request.timeout) = (MAX_BYTES, TIMEOUT);
        self.fetch.fetch(request).await.map_err(|error| unavailable(error.to_string()))
    }

    /// What the issuer says when it says no to these parameters. Only an answer that is one counts as a refusal; all else is
    /// a broken issuer.
    fn refusal(&self, response: &Response, sent: &[(&str, &str)]) -> ProviderError {
        let status = response.status;
        match serde_json::from_slice::<Refusal>(&response.body) {
            Ok(Refusal { error, error_description }) if status.is_client_error() => {
                let quoted = |text: String| {
                    let text = self.client.quoted(&text, sent);
                    text.chars().filter(|c| !c.is_control()).take(200).collect::<String>()
                };
                ProviderError::Refused { error: quoted(error), description: error_description.map(quoted) }
            }
            _ => unavailable(format!("the issuer answered {}", status.as_u16())),
        }
    }
}

#[cfg(test)]
mod tests;
