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
mod rounds;
pub mod step_up;
pub mod transaction;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use jsonwebtoken::Algorithm;

use self::provider::{Provider, ProviderError};
use self::transaction::Transaction;
use crate::clock::UnixTime;
use crate::config::model;
use crate::secret::seal::Sealer;
use crate::session::{Jar, Of, SameSite, Sessions};
use crate::store::Store;
use crate::token::jwks::Keeper;

pub use self::callback::Parameters;
pub use self::logout::{LOGGED_OUT, LoggedOut};
use self::once::Once;
pub use self::refresh::Lost;
use self::refresh::Refreshes;
pub use crate::policy::StepUp;

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
    /// What the person is told; the gateway has the words for it.
    pub told: Told,
    /// For operators.
    pub detail: String,
    /// Set-Cookie fields that clean up.
    pub cookies: Vec<HeaderValue>,
    /// Where the person wanted to go, if that is known: a path of the application.
    pub return_to: Option<String>,
    /// What the sign-in had to be.
    pub step_up: StepUp,
}

/// What a person is told of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The answer is not one of a login that is on its way in this browser.
    NotHere,
    /// The person said no.
    Cancelled,
    /// The issuer wants to see the person, and was asked not to.
    SignInThere,
    /// The issuer said no.
    Refused,
    /// The issuer gave no usable answer.
    NoAnswer,
    /// The browser did not bring back what the login gave it on its way.
    NoCookie,
    /// The issuer did not confirm a sign-in as strong as the page needs.
    TooWeak,
    /// The issuer was asked to have the person sign in anew, and did not.
    TooOld,
    /// The issuer does not say when the person signed in.
    OfUnknownAge,
    /// The browser does not send the cookie of the session.
    CookieRefused,
    /// The browser sends more than one cookie of the session.
    CookieTwice,
    /// The session ends as soon as it begins.
    EndsAtOnce,
    /// The session is larger than cookies can be.
    TooLarge,
    /// The session cannot be stored.
    NotKept,
    /// The session cannot be ended.
    NotLoggedOut,
    /// A logout from elsewhere names no session.
    NobodyNamed,
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
    fn new(side: Side, told: Told, detail: impl Into<String>) -> Self {
        Self { side, told, detail: detail.into(), cookies: Vec::new(), return_to: None, step_up: StepUp::default() }
    }

    fn of_browser(told: Told, detail: impl Into<String>) -> Self {
        Self::new(Side::Browser, told, detail)
    }

    fn of_issuer(detail: impl Into<String>) -> Self {
        Self::new(Side::Issuer, Told::NoAnswer, detail)
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self::of_issuer(error.to_string())
    }
}

/// What a browser sets out with.
#[derive(Debug, Clone, Copy)]
pub struct Departure<'a> {
    /// A path of the application, to go on to; not checked yet.
    pub return_to: &'a str,
    /// Who is expected. It goes to the issuer and nowhere else, and decides nothing: who it is, the ID token says.
    pub login_hint: Option<&'a str>,
    /// What the issuer shall ask, though it need not: a word of `prompt`, but not `none`.
    pub prompt: Option<&'a str>,
    /// What the sign-in must be, beyond what the login asks of every one.
    pub step_up: &'a StepUp,
}

impl<'a> Departure<'a> {
    /// To `return_to`, with a sign-in that is as `step_up` says.
    #[must_use]
    pub const fn to(return_to: &'a str, step_up: &'a StepUp) -> Self {
        Self { return_to, login_hint: None, prompt: None, step_up }
    }
}

/// What all logins of the process share and a reload keeps.
#[derive(Debug, Default)]
pub struct Shared {
    refreshes: Refreshes,
    /// Answers to logins.
    answers: Once,
    /// Logout tokens. They have a memory of their own, which only an issuer can fill.
    logouts: Once,
}

impl Shared {
    /// With what other replicas know too, by the store that they share.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { answers: Once::sharing(Arc::clone(&store)), logouts: Once::sharing(store), ..Self::default() }
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

    /// What its sessions are known by.
    #[must_use]
    pub fn own(&self) -> Of<'_> {
        Of { login: &self.settings.name, issuer: &self.issuer }
    }

    /// Sends a browser to the issuer, to sign in as `departure` says, and afterwards to where it says.
    ///
    /// # Errors
    /// When the issuer's metadata are not to be had, or it refuses a pushed request; and when logins lead nowhere.
    pub async fn begin(&self, departure: Departure<'_>, headers: &HeaderMap, now: UnixTime) -> Result<Way, Failure> {
        let Departure { return_to, login_hint, prompt, step_up } = departure;
        let return_to = return_to::safe(return_to, &self.settings.public_url);
        // Where the issuer asks, no browser goes round by itself.
        let rounds = if prompt.is_some() { 0 } else { rounds::before(self.tools(), &return_to, headers, now) };
        if let Some(failure) = rounds::refused(rounds, self.sessions.shown(&self.jar, headers), &self.jar) {
            return Err(Failure { step_up: step_up.clone(), ..failure });
        }
        let [login_hint, prompt] = [login_hint, prompt].map(|said| said.map(str::to_owned));
        let transaction =
            Transaction { rounds, login_hint, prompt, ..Transaction::begin(return_to, step_up.clone(), now) };
        let sent = self.send(&transaction, headers).await;
        sent.map_err(|failure| Failure { step_up: transaction.step_up, ..failure })
    }

    /// Sends a browser on its way with what it has to bring back.
    async fn send(&self, transaction: &Transaction, headers: &HeaderMap) -> Result<Way, Failure> {
        let endpoints = self.provider.endpoints().await?;
        if self.settings.shares_callback && !endpoints.sends_iss {
            return Err(Failure::of_issuer(
                "the login shares its callback, and the issuer does not announce that its answers name it (RFC 9207): \
                 give the login a callback of its own",
            ));
        }
        let request = self.request(transaction);
        let mut url = endpoints.authorization.clone();
        match &endpoints.pushed {
            Some(pushed) => {
                let request: Vec<_> = request.iter().map(|(name, value)| (*name, &**value)).collect();
                let uri = self.provider.push(pushed, &request).await?;
                let named = [("client_id", &*self.settings.client_id), ("request_uri", &*uri)];
                url.query_pairs_mut().extend_pairs(named);
            }
            None => drop(url.query_pairs_mut().extend_pairs(&request)),
        }
        // A posted answer comes from another site, so its cookie has to come along from there.
        let same_site = if self.settings.form_post { SameSite::None } else { SameSite::Lax };
        let cookies = transaction.give(self.tools(), same_site, headers);
        Ok(Way { location: url.into(), cookies })
    }

    /// What its sealed cookies are made and read with.
    fn tools(&self) -> (&Sealer, &Jar) {
        (&self.sealer, &self.jar)
    }

    /// The authorization request (OpenID Connect Core 1.0 section 3.1.2.1, RFC 7636 section 4.3, RFC 8707 section 2).
    fn request<'a>(&'a self, transaction: &'a Transaction) -> Vec<(&'static str, Cow<'a, str>)> {
        let StepUp { acr_values, max_age } = self.asked(&transaction.step_up);
        let prompt = self.prompt(transaction);
        let hint = transaction.login_hint.as_ref().or(self.settings.login_hint.as_ref());
        let mut request: Vec<(_, Cow<'a, str>)> = vec![
            ("response_type", "code".into()),
            ("client_id", (&*self.settings.client_id).into()),
            ("redirect_uri", self.settings.redirect_uri().into()),
            ("scope", self.settings.scopes.join(" ").into()),
            ("state", (&*transaction.state).into()),
            ("nonce", (&*transaction.nonce).into()),
            ("code_challenge", transaction.challenge().into()),
            ("code_challenge_method", "S256".into()),
        ];
        request.extend(self.settings.form_post.then_some(("response_mode", "form_post".into())));
        request.extend((!acr_values.is_empty()).then_some(("acr_values", acr_values.into())));
        request.extend((!prompt.is_empty()).then_some(("prompt", prompt.into())));
        request.extend(hint.map(|hint| ("login_hint", (&**hint).into())));
        request.extend(self.resources().map(|(name, resource)| (name, resource.into())));
        request.extend(max_age.map(|seconds| ("max_age", seconds.to_string().into())));
        request
    }

    /// What the access token shall be for, at each endpoint that is asked for one (RFC 8707, section 2).
    fn resources(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.settings.resource.iter().map(|resource| ("resource", &**resource))
    }

    /// `prompt`: what has to be asked for a sign-in that is made anew, what the link says, and what the login says; each once.
    fn prompt(&self, transaction: &Transaction) -> String {
        let asked = transaction.anew.then_some("login").into_iter().chain(transaction.prompt.as_deref());
        let mut words: Vec<&str> = Vec::new();
        for word in asked.chain(self.settings.prompt.iter().copied()) {
            // Nobody can be asked something without being asked.
            if !words.contains(&word) && (word != "none" || words.is_empty()) {
                words.push(word);
            }
        }
        words.join(" ")
    }

    /// What the issuer is asked for: the context classes of `step_up`, else those of the login, and the shorter age.
    fn asked(&self, step_up: &StepUp) -> StepUp {
        let own = self.own_wish(step_up);
        let acr_values = if own.acr_values.is_empty() { step_up.acr_values.clone() } else { own.acr_values };
        StepUp { acr_values, max_age: step_up.max_age.into_iter().chain(own.max_age).min() }
    }

    /// What the login asks for beside `step_up`.
    fn own_wish(&self, step_up: &StepUp) -> StepUp {
        let acr_values = match step_up.acr_values.is_empty() {
            true => self.settings.acr_values.join(" "),
            false => String::new(),
        };
        StepUp { acr_values, max_age: self.settings.max_age.map(|age| age.as_secs()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers can come from whoever has an account at the issuer, and there must be no number of them that keeps the issuer from
    /// ending sessions.
    #[test]
    fn a_full_memory_of_answers_refuses_no_logout_token() {
        let (shared, now) = (Shared::default(), UnixTime::from_secs(1_800_000_000));
        let until = now.plus(Duration::from_secs(600));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut answers = 0_u32;
            while shared.answers.first("state", &[&answers.to_string()], until, now).await.expect("no store") {
                answers += 1;
            }
            assert!(answers >= 100_000, "{answers}");
            assert!(shared.logouts.first("logout", &["https://i", "1"], until, now).await.expect("no store"));
            assert!(!shared.logouts.first("logout", &["https://i", "1"], until, now).await.expect("no store"));
        });
    }
}
