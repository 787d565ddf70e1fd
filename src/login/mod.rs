//! Logging browsers in: the relying party of OpenID Connect inside the gateway.
//!
//! Only the code flow, always with PKCE by S256, `state` and `nonce`. What a login decides comes from the configuration
//! and from what the issuer signed; never from Host, the scheme of the connection, or a parameter that was not checked. A
//! browser is sent to the issuer and to the application's own origin, and nowhere else.
//!
//! Nothing here writes responses: it says where the browser goes and with which cookies ([`Way`]), or why not
//! ([`Failure`]).

mod callback;
pub mod id_token;
mod logout;
mod once;
pub mod provider;
mod refresh;
pub mod return_to;
pub mod transaction;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use jsonwebtoken::Algorithm;

use self::provider::{Provider, ProviderError};
use self::transaction::Transaction;
use crate::clock::UnixTime;
use crate::config::model;
use crate::secret::seal::Sealer;
use crate::session::{Jar, SameSite, Sessions};
use crate::store::Store;
use crate::token::jwks::Keeper;

pub use self::callback::Parameters;
pub use self::logout::{LOGGED_OUT, LoggedOut};
use self::once::Once;
use self::refresh::Refreshes;

/// Where a browser goes next.
#[derive(Debug)]
pub struct Way {
    /// The URL, or a path of the application.
    pub location: String,
    /// Set-Cookie fields.
    pub cookies: Vec<HeaderValue>,
}

/// Why a browser is not logged in.
#[derive(Debug)]
pub struct Failure {
    /// Who is to blame.
    pub side: Side,
    /// For the person, one sentence.
    pub sentence: &'static str,
    /// For operators.
    pub detail: String,
    /// Set-Cookie fields that clean up.
    pub cookies: Vec<HeaderValue>,
}

/// Who is to blame for a failed login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The browser's request is not one that a login of ours leads to, or the person said no.
    Browser,
    /// The issuer gave an answer that cannot be used, or none.
    Issuer,
    /// The session cannot be stored.
    Store,
}

impl Failure {
    fn of_browser(sentence: &'static str, detail: impl Into<String>) -> Self {
        Self { side: Side::Browser, sentence, detail: detail.into(), cookies: Vec::new() }
    }

    fn of_issuer(detail: impl Into<String>) -> Self {
        let sentence = "The login server gave no usable answer. Please try again in a moment.";
        Self { side: Side::Issuer, sentence, detail: detail.into(), cookies: Vec::new() }
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self::of_issuer(error.to_string())
    }
}

/// A demand on the sign-in that is stronger than that of any session (RFC 9470).
#[derive(Debug, Clone, Default)]
pub struct StepUp {
    /// `acr_values`, of which one must be reached.
    pub acr: Vec<String>,
    /// `max_age`, in seconds.
    pub max_age: Option<u64>,
}

/// What all logins of the process share and a reload keeps.
#[derive(Debug, Default)]
pub struct Shared {
    refreshes: Refreshes,
    once: Once,
}

impl Shared {
    /// With what other replicas know too, by the store that they share.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { once: Once::sharing(store), ..Self::default() }
    }
}

/// One login, compiled.
#[derive(Debug)]
pub struct Login {
    /// What the configuration says.
    pub settings: model::Login,
    /// `iss`
    pub issuer: Arc<str>,
    /// Its cookies.
    pub jar: Jar,
    /// The issuer as provider.
    pub provider: Provider,
    keys: Arc<Keeper>,
    algorithms: Vec<Algorithm>,
    skew: Duration,
    sealer: Arc<Sealer>,
    sessions: Arc<Sessions>,
    shared: Arc<Shared>,
}

/// What a login is made with.
#[derive(Debug)]
pub struct Means {
    /// The issuer as provider.
    pub provider: Provider,
    /// The issuer's keys.
    pub keys: Arc<Keeper>,
    /// Seals transactions.
    pub sealer: Arc<Sealer>,
    /// Keeps sessions.
    pub sessions: Arc<Sessions>,
    /// What a reload keeps.
    pub shared: Arc<Shared>,
}

impl Login {
    /// The login that `settings` describe, at this issuer.
    #[must_use]
    pub fn new(settings: model::Login, issuer: &model::Issuer, means: Means) -> Self {
        let Means { provider, keys, sealer, sessions, shared } = means;
        Self {
            issuer: Arc::clone(&issuer.issuer),
            jar: Jar::new(&settings.name, settings.is_secure()),
            provider,
            keys,
            algorithms: issuer.algorithms.clone(),
            skew: issuer.clock_skew,
            sealer,
            sessions,
            shared,
            settings,
        }
    }

    /// The sessions that it begins.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Sends a browser to the issuer, and afterwards to `return_to`, a path of the application.
    ///
    /// # Errors
    /// When the issuer's metadata are not to be had, or it refuses a pushed request.
    pub async fn begin(
        &self,
        return_to: &str,
        step_up: &StepUp,
        headers: &HeaderMap,
        now: UnixTime,
    ) -> Result<Way, Failure> {
        let endpoints = self.provider.endpoints().await?;
        let return_to = return_to::safe(return_to, &self.settings.public_url);
        let transaction = Transaction::begin(return_to, step_up.acr.clone(), step_up.max_age, now);
        let (redirect_uri, scope) = (self.settings.redirect_uri(), self.settings.scopes.join(" "));
        let (challenge, acr) = (transaction.challenge(), step_up.acr.join(" "));
        let max_age = step_up.max_age.map(|seconds| seconds.to_string());
        let mut request = vec![
            ("response_type", "code"),
            ("client_id", &*self.settings.client_id),
            ("redirect_uri", &*redirect_uri),
            ("scope", &*scope),
            ("state", &*transaction.state),
            ("nonce", &*transaction.nonce),
            ("code_challenge", &*challenge),
            ("code_challenge_method", "S256"),
        ];
        request.extend(self.settings.form_post.then_some(("response_mode", "form_post")));
        request.extend(Some(("acr_values", &*acr)).filter(|(_, acr)| !acr.is_empty()));
        request.extend(max_age.as_deref().map(|seconds| ("max_age", seconds)));
        let mut url = endpoints.authorization.clone();
        match &endpoints.pushed {
            Some(pushed) => {
                let uri = self.provider.push(pushed, &request).await?;
                let named = [("client_id", &*self.settings.client_id), ("request_uri", &*uri)];
                url.query_pairs_mut().extend_pairs(named);
            }
            None => drop(url.query_pairs_mut().extend_pairs(&request)),
        }
        // A posted answer comes from another site, so its cookie has to come along from there.
        let same_site = if self.settings.form_post { SameSite::None } else { SameSite::Lax };
        let tools = (&*self.sealer, &self.jar);
        let cookies = transaction.give(tools, same_site, headers);
        Ok(Way { location: url.into(), cookies })
    }
}
