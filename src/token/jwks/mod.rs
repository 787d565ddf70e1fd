//! Keeping the keys of issuers: one [`Keeper`] per issuer fetches them, keeps them fresh and answers for them.
//!
//! Decides when an issuer is asked and whose word counts. Promises:
//! - Reading keys takes no lock. All fetching is one task's, so there is never more than one fetch at a time, and a
//!   request that is given up leaves the fetch that it caused to those who wait with it.
//! - An unknown `kid` causes a fetch, but no two such fetches come within `refetch_cooldown`, and a `kid` that the
//!   issuer turned out not to have is not asked for again until the keys change (or three cool-downs have passed, so
//!   that neither a late key set nor a guesser spoils a `kid` for long).
//! - A failed fetch never takes good keys away: they serve for `max_stale`, and the next attempt follows after 1 s,
//!   doubling to 60 s. While there are keys, they decide: a `kid` that they lack is unknown, even when the issuer could
//!   not be asked. Without keys the issuer is unavailable, which is not held against a token.
//! - When a key is gone or has changed, the keys are replaced first and all verdicts are voided then ([`Epoch`]), so that
//!   none that was reached with the old ones survives. The same when the last good keys grow too old. When a key is
//!   added, refusals are voided: it may be the one that signed the refused token.
//! - Nothing that an issuer does ends the process or the task, at the start neither.
//!
//! A key file (`jwks_file`) is kept in the same way: read at the start, on an unknown `kid`, every ten minutes, and when
//! [`Keeper::refresh`] says so.

mod desk;
pub mod discovery;
mod refresh;
pub(super) mod schedule;
pub(super) mod source;
mod status;
mod store;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use self::desk::{Answer, Desk};
use self::source::Source;
use self::store::Store;
use super::cache::Epoch;
use super::json::excerpt;
use super::key::KeySet;
use super::{Rejection, RejectionCode};
use crate::clock::{Clock, UnixTime};
use crate::config::model::Issuer;
use crate::fetch::Fetch;

pub use self::source::Failure;
pub use self::status::{FetchResult, State, Status};

/// How long a request waits for keys, whatever it waits for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Keeps the keys of one issuer. Its task ends when the last handle is dropped.
pub struct Keeper {
    core: Arc<Core>,
    task: OnceLock<AbortHandle>,
}

/// What a keeper does its work with.
pub struct Means {
    /// Asks the issuer. Trusts the issuer's `ca_file`, if it has one.
    pub fetch: Arc<dyn Fetch>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Raised when remembered verdicts may rest on keys that changed.
    pub epoch: Arc<Epoch>,
}

/// What a keeper and its task share.
struct Core {
    settings: Settings,
    store: Option<Store>,
    means: Means,
    patience: Duration,
    held: ArcSwapOption<Held>,
    desk: Mutex<Desk>,
    record: Mutex<Record>,
    fetches: [AtomicU64; FetchResult::ALL.len()],
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
    /// Wakes the task: the desk wants a fetch.
    wake: Notify,
}

/// The part of an issuer's configuration that concerns its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    name: Arc<str>,
    source: Source,
    ca_file: Option<std::path::PathBuf>,
    max_stale: Duration,
    cooldown: Duration,
}

impl Settings {
    fn of(issuer: &Issuer) -> Self {
        Self {
            name: issuer.name.clone(),
            source: Source::of(issuer),
            ca_file: issuer.ca_file.clone(),
            max_stale: issuer.max_stale,
            cooldown: issuer.refetch_cooldown,
        }
    }
}

/// The last good keys.
struct Held {
    keys: Arc<KeySet>,
    place: String,
    /// When we got hold of them, as uptime.
    since: Duration,
    /// How old they were then: not zero when they come from the disk.
    age_then: Duration,
}

impl Held {
    fn age(&self, now: Duration) -> Duration {
        self.age_then.saturating_add(now.saturating_sub(self.since))
    }
}

/// How the attempts went.
#[derive(Default)]
struct Record {
    /// Attempts that failed since the last good one.
    failures: u32,
    /// When the first of them did; or when older keys were taken over at the start.
    failing_since: Option<UnixTime>,
    last_error: Option<String>,
}

impl Keeper {
    /// A keeper that has not asked yet. `state_dir` is where good keys are stored, if anywhere.
    #[must_use]
    pub fn new(issuer: &Issuer, means: Means, state_dir: Option<&Path>) -> Self {
        Self::with_patience(issuer, means, state_dir, PATIENCE)
    }

    fn with_patience(issuer: &Issuer, means: Means, state_dir: Option<&Path>, patience: Duration) -> Self {
        let settings = Settings::of(issuer);
        let label = source::label(&issuer.keys);
        let owner = settings.source.owner.as_deref();
        let store = state_dir.zip(label).map(|(folder, label)| Store::new(folder, &issuer.issuer, &label, owner));
        let core = Core {
            desk: Mutex::new(Desk::new(settings.cooldown)),
            settings,
            store,
            means,
            patience,
            held: ArcSwapOption::empty(),
            record: Mutex::default(),
            fetches: Default::default(),
            ended: watch::Sender::new(0),
            wake: Notify::new(),
        };
        Self { core: Arc::new(core), task: OnceLock::new() }
    }

    /// Starts the task that fetches, on `runtime`. Further calls do nothing.
    pub fn start(&self, runtime: &Handle) {
        self.task.get_or_init(|| runtime.spawn(refresh::run(Arc::clone(&self.core))).abort_handle());
    }

    /// Whether this keeper is what `issuer` asks for, so that a reload can keep it.
    ///
    /// Only names of files are compared: of `ca_file`, the content is the fetcher's.
    #[must_use]
    pub fn serves(&self, issuer: &Issuer) -> bool {
        self.core.settings == Settings::of(issuer)
    }

    /// Takes over the keys of `older`, if they are of the same issuer and source, to serve with until the first fetch.
    pub fn inherit(&self, older: &Self) {
        if self.core.settings.source == older.core.settings.source {
            self.core.held.store(older.core.held.load_full());
        }
    }

    /// Has the keys fetched anew as soon as possible, whatever the cool-down.
    pub fn refresh(&self) {
        self.core.desk().order();
        self.core.wake.notify_one();
    }

    /// The keys, unless there are none or they are too old. Takes no lock.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.core.keys()
    }

    /// The keys with which to judge a token of this `kid` (none: the token names none), fetched anew if that may help.
    ///
    /// The `kid` is one of theirs, though maybe of a key that is not usable. Waits for 3 s at most. Cancel safe; works
    /// on any runtime with a timer.
    ///
    /// # Errors
    /// `unknown_key` when the issuer has no such key as far as we know; `issuer_unavailable` when there are no keys.
    pub async fn keys_for(&self, kid: Option<&str>) -> Result<Arc<KeySet>, Rejection> {
        match self.core.suitable(kid) {
            Some(keys) => Ok(keys),
            None => self.core.wait_for(kid).await,
        }
    }

    /// How the keys are.
    #[must_use]
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// How many fetches ended in which way.
    pub fn fetches(&self) -> impl Iterator<Item = (FetchResult, u64)> {
        FetchResult::ALL.into_iter().map(|result| (result, self.core.fetches[result as usize].load(Ordering::Relaxed)))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keeper").field(&self.status()).finish()
    }
}

impl Core {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> Option<Arc<KeySet>> {
        let held = self.held.load();
        let now = self.means.clock.uptime();
        held.as_ref().filter(|held| held.age(now) < self.settings.max_stale).map(|held| Arc::clone(&held.keys))
    }

    /// The keys, if they know the `kid`. One that is known as unusable is known: to ask again would not make it better.
    fn suitable(&self, kid: Option<&str>) -> Option<Arc<KeySet>> {
        let knows = |keys: &Arc<KeySet>| kid.is_none_or(|kid| keys.has_kid(kid) || keys.unusable_kid(kid).is_some());
        self.keys().filter(knows)
    }

    async fn wait_for(&self, kid: Option<&str>) -> Result<Arc<KeySet>, Rejection> {
        let told = tokio::time::timeout(self.patience, self.until_told(kid)).await;
        // Whatever the desk said, the keys of this moment decide: they may have come in between.
        self.suitable(kid).ok_or_else(|| self.rejection(kid, told.is_err()))
    }

    /// Waits until asking (again) cannot bring the `kid` (or, without one, any keys).
    async fn until_told(&self, kid: Option<&str>) {
        let mut ended = self.ended.subscribe();
        let sight = kid.map(|kid| self.desk().sight(kid, self.means.clock.uptime()));
        if ended.wait_for(|ended| *ended > 0).await.is_err() {
            return;
        }
        loop {
            ended.mark_unchanged();
            if self.suitable(kid).is_some() {
                return;
            }
            let now = self.means.clock.uptime();
            let (Some(sight), true) = (sight, self.keys().is_some()) else {
                // Nothing to judge by: tell so at once, but see to it that the issuer is asked.
                if self.desk().ask_for_any(now) == Answer::Start {
                    self.wake.notify_one();
                }
                return;
            };
            let answer = self.desk().ask(sight, now);
            match answer {
                Answer::Absent | Answer::Cooling => return,
                Answer::Start => self.wake.notify_one(),
                Answer::Wait => {}
            }
            if ended.changed().await.is_err() {
                return;
            }
        }
    }

    fn rejection(&self, kid: Option<&str>, impatient: bool) -> Rejection {
        let name = &self.settings.name;
        let trouble = match (&self.record().last_error, impatient) {
            (_, true) => format!("; the issuer did not answer within {:?}", self.patience),
            (Some(error), false) => format!("; the last fetch failed: {error}"),
            (None, false) => String::new(),
        };
        match (kid, self.keys()) {
            (Some(kid), Some(_)) => {
                let detail = format!("no key of {name} has the kid {}{trouble}", excerpt(kid));
                Rejection::new(RejectionCode::UnknownKey, detail)
            }
            _ => Rejection::new(RejectionCode::IssuerUnavailable, format!("no keys of {name} at hand{trouble}")),
        }
    }
}
