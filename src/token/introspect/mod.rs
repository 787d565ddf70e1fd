//! Asking issuers about tokens (RFC 7662): one [`Introspector`] per issuer that is to be asked.
//!
//! Decides when an issuer is asked, and what its word is worth. Promises:
//! - However many requests bring one token at a time, one question is asked. It belongs to nobody: a request that is given
//!   up leaves it to those who wait with it, and one that dies in a panic leaves nobody waiting.
//! - An answer is remembered for `cache`, never beyond the token's `exp`, found by endpoint and token, and never shown to
//!   another issuer's tokens. It is judged anew whenever it is used.
//! - No request waits longer than `timeout` (and a breath). `PLACES` questions are asked at a time; of more than
//!   `FLIGHTS` tokens at once the rest are turned away. An issuer that does not answer is left alone for growing pauses
//!   (`breaker`).
//! - That an issuer cannot be asked is never held against a token: it is `issuer_unavailable`. With `serve_stale` the last
//!   good answer serves on for a while.
//! - An endpoint that the configuration names is asked whatever becomes of the issuer's metadata and keys. Else it is the
//!   one that the metadata name, looked up in the background and kept when they cannot be had.

mod answer;
mod breaker;
mod flight;
mod memory;
mod question;
mod status;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use url::Url;

use self::answer::Seal;
use self::breaker::Breaker;
use self::flight::Landing;
use self::memory::{Digest, Memory, Moment};
use self::question::Question;
use self::status::Trouble;
use super::Rejection;
use super::cache::Epoch;
use super::claims::Claims;
use super::envelope::{MAX_TOKEN_BYTES, malformed};
use super::jwks::discovery::Discovery;
use super::jwks::{Keeper, schedule};
use super::signer::SignerError;
use crate::clock::{Clock, UnixTime};
use crate::config::model::{AnswerForm, ClientAuth, Introspection, Issuer};
use crate::fetch::Fetch;
use crate::secret;

pub use self::status::{AskResult, Status};

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Questions to one issuer that are asked at a time.
const PLACES: usize = 64;
/// Tokens about which one issuer is asked, or about to be.
const FLIGHTS: usize = 1024;
/// How often metadata are read again.
const REDISCOVERY: Duration = Duration::from_secs(10 * 60);
/// How much longer a request waits than its question, so that it hears why that failed.
const BREATH: Duration = Duration::from_millis(250);

/// Asks one issuer. What it does in the background ends when the last handle is dropped.
pub struct Introspector {
    core: Arc<Core>,
    search: OnceLock<AbortHandle>,
}

/// What an introspector does its work with.
pub struct Means {
    /// Asks the issuer. Trusts its `ca_file`, if it has one, and shows our certificate, if it wants one.
    pub fetch: Arc<dyn Fetch>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Raised when another endpoint is asked from now on.
    pub epoch: Arc<Epoch>,
    /// The issuer's keys, for answers that are signed.
    pub keys: Arc<Keeper>,
}

/// What an issuer says of an active token.
#[derive(Debug, Clone)]
pub struct Testimony {
    /// The members of its answer.
    pub claims: Arc<Claims>,
    /// Until when it may be relied upon.
    pub fresh_until: UnixTime,
}

/// What an introspector, its questions and its search share.
struct Core {
    settings: Settings,
    question: Question,
    seal: Option<Seal>,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    epoch: Arc<Epoch>,
    endpoint: watch::Sender<Endpoint>,
    memory: Memory,
    flights: Mutex<HashMap<Digest, Landing>>,
    places: Semaphore,
    breaker: Mutex<Breaker>,
    last_error: Mutex<Option<String>>,
    asked: [AtomicU64; AskResult::ALL.len()],
    /// Where questions live, longer than the requests that cause them.
    runtime: OnceLock<Handle>,
}

/// The part of an issuer's configuration that concerns introspection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    name: Arc<str>,
    discovery: Discovery,
    ca_file: Option<PathBuf>,
    algorithms: Vec<jsonwebtoken::Algorithm>,
    skew: Duration,
    introspection: Introspection,
}

/// Where the issuer is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Endpoint {
    /// The first look at the metadata is under way.
    Sought,
    At(Url),
    /// Why it is not known.
    Unknown(String),
}

impl Settings {
    fn of(issuer: &Issuer, introspection: &Introspection) -> Self {
        Self {
            name: Arc::clone(&issuer.name),
            discovery: Discovery::of(issuer),
            ca_file: issuer.ca_file.clone(),
            algorithms: issuer.algorithms.clone(),
            skew: issuer.clock_skew,
            introspection: introspection.clone(),
        }
    }

    /// Whether it names files, whose content may change without it.
    fn names_files(&self) -> bool {
        let ours = match self.introspection.auth {
            ClientAuth::None | ClientAuth::Basic(_) | ClientAuth::Post(_) => false,
            ClientAuth::PrivateKeyJwt { .. } | ClientAuth::Mtls { .. } => true,
        };
        ours || self.ca_file.is_some()
    }
}

impl Introspector {
    /// An introspector that has not asked yet; `None` when the issuer is not to be asked.
    ///
    /// # Errors
    /// When the private key that it needs is of no use.
    pub fn new(issuer: &Issuer, means: Means) -> Result<Option<Self>, SignerError> {
        let Some(introspection) = &issuer.introspection else { return Ok(None) };
        let Means { fetch, clock, epoch, keys } = means;
        let seal = Seal {
            issuer: Arc::clone(&issuer.issuer),
            client_id: introspection.client_id.clone(),
            algorithms: issuer.algorithms.clone(),
            skew: issuer.clock_skew,
            keys,
        };
        let settings = Settings::of(issuer, introspection);
        let endpoint = introspection.endpoint.as_deref().map_or(Endpoint::Sought, |text| {
            let permitted = settings.discovery.permitted("the introspection endpoint", text);
            permitted.map_or_else(|failure| Endpoint::Unknown(failure.detail), Endpoint::At)
        });
        let core = Core {
            question: Question::new(issuer, introspection)?,
            seal: (introspection.answer == AnswerForm::Jwt).then_some(seal),
            memory: Memory::new(introspection),
            settings,
            fetch,
            clock,
            epoch,
            endpoint: watch::Sender::new(endpoint),
            flights: Mutex::default(),
            places: Semaphore::new(PLACES),
            breaker: Mutex::new(Breaker::new()),
            last_error: Mutex::default(),
            asked: Default::default(),
            runtime: OnceLock::new(),
        };
        Ok(Some(Self { core: Arc::new(core), search: OnceLock::new() }))
    }

    /// Lets it ask, on `runtime`, and look for the endpoint, if that is not known. Further calls do nothing.
    pub fn start(&self, runtime: &Handle) {
        self.core.runtime.get_or_init(|| runtime.clone());
        if self.core.settings.introspection.endpoint.is_none() {
            self.search.get_or_init(|| runtime.spawn(search(Arc::clone(&self.core))).abort_handle());
        }
    }

    /// Whether this introspector is what `issuer` asks for, so that a reload can keep it. One that names files never is:
    /// what they hold may have changed.
    #[must_use]
    pub fn serves(&self, issuer: &Issuer, keys: &Arc<Keeper>) -> bool {
        let settings = &self.core.settings;
        let same = issuer.introspection.as_ref().is_some_and(|asked| *settings == Settings::of(issuer, asked));
        let same_keys = self.core.seal.as_ref().is_none_or(|seal| Arc::ptr_eq(&seal.keys, keys));
        same && same_keys && !settings.names_files()
    }

    /// Takes over the endpoint that `older` found in the metadata of the same issuer, until it has looked itself.
    pub fn inherit(&self, older: &Self) {
        let found = older.core.endpoint.borrow().clone();
        if matches!(found, Endpoint::At(_)) && self.core.settings.discovery == older.core.settings.discovery {
            self.core.endpoint.send_if_modified(|mine| {
                let sought = *mine == Endpoint::Sought;
                if sought {
                    *mine = found;
                }
                sought
            });
        }
    }

    /// Whether it is asked about JWTs too.
    #[must_use]
    pub fn always(&self) -> bool {
        self.core.settings.introspection.always
    }

    /// Whether an answer may be without `aud`.
    #[must_use]
    pub fn audience_optional(&self) -> bool {
        self.core.settings.introspection.audience_optional
    }

    /// What the issuer says of `token`, by memory or by question. Cancel safe; works on any runtime with a timer.
    ///
    /// # Errors
    /// `inactive`; `malformed_token` for an answer that cannot be relied upon; `issuer_unavailable` when there is none.
    pub async fn ask(&self, token: &str) -> Result<Testimony, Rejection> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed(format!("{} bytes long; at most {MAX_TOKEN_BYTES} are taken", token.len())));
        }
        let core = &self.core;
        let limit = core.settings.introspection.timeout;
        let asked = tokio::time::timeout(limit + BREATH, core.inquire(token)).await;
        asked.unwrap_or_else(|_| Err(Trouble::silent(format!("no answer within {limit:?}")))).unwrap_or_else(
            |trouble| {
                let stale =
                    core.known_endpoint().and_then(|at| core.memory.stale(&memory::digest(&at, token), core.moment()));
                stale.ok_or_else(|| trouble.rejection(&core.settings.name))
            },
        )
    }

    /// How asking goes.
    #[must_use]
    pub fn status(&self) -> Status {
        let last_error = match &*self.core.endpoint.borrow() {
            Endpoint::Unknown(why) => Some(why.clone()),
            Endpoint::Sought | Endpoint::At(_) => self.core.last_error().clone(),
        };
        let endpoint = self.core.known_endpoint().map(String::from);
        Status { endpoint, resting: self.core.breaker().is_open(), last_error }
    }

    /// How many questions ended in which way.
    pub fn questions(&self) -> impl Iterator<Item = (AskResult, u64)> {
        AskResult::ALL.into_iter().map(|result| (result, self.core.asked[result as usize].load(Ordering::Relaxed)))
    }
}

impl Drop for Introspector {
    fn drop(&mut self) {
        if let Some(search) = self.search.get() {
            search.abort();
        }
    }
}

impl std::fmt::Debug for Introspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Introspector").field(&self.core.settings.name).field(&self.status()).finish()
    }
}

/// Looks for the endpoint in the issuer's metadata, now and then again, until it is aborted.
async fn search(core: Arc<Core>) {
    let mut failures = 0;
    loop {
        let certificate = core.question.shows_certificate();
        let found = core.settings.discovery.find(core.fetch.as_ref(), "introspection_endpoint", certificate).await;
        let pause = match found {
            Ok(url) => {
                failures = 0;
                core.settle(url);
                REDISCOVERY
            }
            Err(failure) => {
                failures += 1;
                let issuer = &core.settings.name;
                tracing::warn!(%issuer, reason = %failure.detail, "the introspection endpoint was not found");
                core.endpoint.send_if_modified(|endpoint| {
                    let unknown = !matches!(endpoint, Endpoint::At(_));
                    if unknown {
                        *endpoint = Endpoint::Unknown(failure.detail);
                    }
                    unknown
                });
                schedule::backoff(failures, secret::random_bytes::<1>()[0])
            }
        };
        tokio::time::sleep(pause).await;
    }
}

impl Core {
    async fn inquire(self: &Arc<Self>, token: &str) -> Result<Result<Testimony, Rejection>, Trouble> {
        let endpoint = self.find_endpoint().await.inspect_err(|_| self.count(AskResult::Skipped))?;
        let digest = memory::digest(&endpoint, token);
        if let Some(known) = self.memory.fresh(&digest, self.moment()) {
            return Ok(known);
        }
        let mut landing = match self.board(digest, endpoint, token)? {
            flight::Boarded::Known(known) => return Ok(known),
            flight::Boarded::Flying(landing) => landing,
        };
        let landed = landing.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
        let said = landed.unwrap_or_else(|| Err(Trouble::silent("the question was given up")))?;
        Ok(self.memory.judge(&said, self.moment()))
    }

    async fn find_endpoint(&self) -> Result<Url, Trouble> {
        let mut endpoint = self.endpoint.subscribe();
        let known = endpoint.wait_for(|endpoint| *endpoint != Endpoint::Sought).await;
        match known.as_deref() {
            Ok(Endpoint::At(url)) => Ok(url.clone()),
            Ok(Endpoint::Unknown(why)) => Err(Trouble::skipped(format!("where is not known: {why}"))),
            Ok(Endpoint::Sought) | Err(_) => Err(Trouble::skipped("where is not known yet")),
        }
    }

    fn known_endpoint(&self) -> Option<Url> {
        match &*self.endpoint.borrow() {
            Endpoint::At(url) => Some(url.clone()),
            Endpoint::Sought | Endpoint::Unknown(_) => None,
        }
    }

    /// Asks there from now on. What another endpoint said counts no more.
    fn settle(&self, url: Url) {
        let changed = self.known_endpoint().as_ref() != Some(&url);
        if changed {
            tracing::info!(issuer = %self.settings.name, endpoint = %url, "introspection endpoint");
        }
        self.endpoint.send_replace(Endpoint::At(url));
        if changed {
            self.epoch.forget_all();
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), uptime: self.clock.uptime() }
    }

    fn count(&self, result: AskResult) {
        self.asked[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Digest, Landing>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_error(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
