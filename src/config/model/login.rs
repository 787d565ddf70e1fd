//! Logins of browsers, the sessions that come of them, and the pages that people see on the way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::template::Template;
use crate::secret::Secret;

use super::ClientAuth;

/// `[logins.NAME]`
#[derive(Debug, Clone)]
pub struct Login {
    /// The table's name.
    pub name: Arc<str>,
    /// Position in [`Config::issuers`](super::Config::issuers).
    pub issuer: usize,
    /// What the chooser page calls it.
    pub label: String,
    /// The client id of the gateway at the issuer.
    pub client_id: String,
    /// How the gateway proves to be that client.
    pub auth: ClientAuth,
    /// What is asked for; `openid` comes first.
    pub scopes: Vec<String>,
    /// What the access token shall be for (RFC 8707).
    pub resource: Vec<String>,
    /// `prompt`
    pub prompt: Vec<&'static str>,
    /// `login_hint`, where a request has none.
    pub login_hint: Option<String>,
    /// The context classes of which a sign-in has to reach one; empty: any will do.
    pub acr_values: Vec<String>,
    /// How long ago a person may have signed in.
    pub max_age: Option<Duration>,
    /// The origin by which browsers know the application; no trailing slash.
    pub public_url: String,
    /// What the `aud` of its ID tokens may name beside the client.
    pub trusted_audiences: Vec<String>,
    /// The path of the redirect URI.
    pub callback: String,
    /// Whether another login has the same redirect URI, so that every answer has to name its issuer (RFC 9207).
    pub shares_callback: bool,
    /// Whether the answer comes by a form that posts itself, rather than in the query.
    pub form_post: bool,
    /// Whether userinfo is asked.
    pub userinfo: bool,
    /// What the application may see of the claims.
    pub session_claims: Vec<String>,
}

impl Login {
    /// Whether browsers reach the application by https.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// The redirect URI.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        format!("{}{}", self.public_url, self.callback)
    }
}

/// `[pages]`: templates in place of the pages that are built in.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// Asks which login it shall be.
    pub chooser: Option<OwnPage>,
    /// Of a login or logout that failed.
    pub error: Option<OwnPage>,
    /// After a logout.
    pub logged_out: Option<OwnPage>,
    /// Of a refused request, or of one whose upstream failed.
    pub refusal: Option<OwnPage>,
}

/// A template, and the file that it was read from.
#[derive(Debug, Clone)]
pub struct OwnPage {
    /// What is in it.
    pub template: Arc<Template>,
    /// Absolute.
    pub path: PathBuf,
}

/// `[sessions]`
#[derive(Debug, Clone)]
pub struct Sessions {
    /// Where they are kept.
    pub store: SessionStore,
    /// The key that seals, then the ones that still open; none: one of this process.
    pub keys: Vec<Secret>,
    /// A session without a request ends after this.
    pub idle_timeout: Duration,
    /// A session ends after this.
    pub lifetime: Duration,
}

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStore {
    /// In the process.
    Memory,
    /// In the browser, sealed.
    Cookie,
    /// In Redis, where all replicas find them.
    Redis,
}
