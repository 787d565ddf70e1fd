//! What a keeper tells of itself: for readiness, metrics, the status page and the log.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use crate::clock::UnixTime;

/// How a fetch of keys ended: the values of the label `result` of `tollgate_jwks_fetches_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FetchResult {
    /// With keys.
    Ok,
    /// No answer: name, connection, TLS, time, a broken answer, a file that cannot be read.
    Unreachable,
    /// An answer other than 200, redirects included.
    Status,
    /// A longer document than we take.
    TooLarge,
    /// A document that is not what it should be, holds no usable key, or points where it must not.
    Invalid,
    /// Metadata of another issuer.
    IssuerMismatch,
}

impl FetchResult {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Unreachable, Self::Status, Self::TooLarge, Self::Invalid, Self::IssuerMismatch];

    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unreachable => "unreachable",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::IssuerMismatch => "issuer_mismatch",
        }
    }
}

/// How an issuer's keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The first fetch has not ended, and there are no keys yet.
    Starting,
    /// There are keys, and the last fetch brought them.
    Fresh,
    /// There are keys, older than they should be, for the last fetch failed.
    Stale {
        /// Since when none has succeeded.
        since: UnixTime,
    },
    /// There are no keys: tokens of this issuer cannot be judged.
    Unavailable,
}

/// What a keeper has to tell, for readiness, metrics and the status page.
#[derive(Debug, Clone)]
pub struct Status {
    /// The issuer's name in the configuration.
    pub issuer: Arc<str>,
    /// How its keys are.
    pub state: State,
    /// Usable keys.
    pub keys: usize,
    /// Time since they were fetched, those from the disk included; `None` without keys.
    pub age: Option<Duration>,
    /// Where they came from: a URL, or the path of a key file.
    pub jwks_uri: Option<String>,
    /// Why the last fetch failed; `None` when it did not.
    pub last_error: Option<String>,
}

impl Core {
    /// How the keys are now.
    pub(super) fn status(&self) -> Status {
        let now = self.means.clock.uptime();
        let record = self.record();
        let held = self.held.load_full().filter(|held| held.age(now) < self.settings.max_stale);
        let state = match (&held, record.failing_since) {
            (Some(_), None) => State::Fresh,
            (Some(_), Some(since)) => State::Stale { since },
            (None, None) if *self.ended.borrow() == 0 => State::Starting,
            (None, _) => State::Unavailable,
        };
        Status {
            issuer: Arc::clone(&self.settings.name),
            state,
            keys: held.as_ref().map_or(0, |held| held.keys.keys().len()),
            age: held.as_ref().map(|held| held.age(now)),
            jwks_uri: held.as_ref().map(|held| held.place.clone()),
            last_error: record.last_error.clone(),
        }
    }
}
