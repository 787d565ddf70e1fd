//! The task behind a keeper: fetch, take over what came or note why nothing did, rest until the next fetch is due.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::desk::Outcome;
use super::source::{Failure, Haul};
use super::store::Kept;
use super::{Core, FetchResult, Held, Record, schedule};
use crate::secret;
use crate::token::json::excerpt;
use crate::token::key::{Key, KeySet};

/// Runs until it is aborted.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        let pause = core.attempt().await;
        core.rest(core.means.clock.uptime() + pause).await;
    }
}

impl Core {
    /// Asks once, and tells those who wait. Gives the time until the next regular attempt.
    pub(super) async fn attempt(&self) -> Duration {
        let flight = self.desk().begin();
        let hauled = self.settings.source.attempt(self.means.fetch.as_ref()).await;
        let result = hauled.as_ref().map_or_else(|failure| failure.result, |_| FetchResult::Ok);
        self.fetches[result as usize].fetch_add(1, Ordering::Relaxed);
        match hauled {
            Ok(Haul { keys, document, place, lifetime }) => {
                *self.record() = Record::default();
                let outcome = self.replace(keys, place.clone(), Duration::ZERO);
                self.end(&flight, outcome);
                self.save(document, place).await;
                // Keys must not grow too old before they are asked for again.
                schedule::refresh(lifetime, dice()).min(self.settings.max_stale / 2)
            }
            Err(failure) => {
                let pause = self.fail(&failure);
                self.fall_back().await;
                self.end(&flight, Outcome::Failed);
                pause
            }
        }
    }

    /// In this order: who is woken finds the desk and the keys as they are after the fetch.
    fn end(&self, flight: &super::desk::Flight, outcome: Outcome) {
        self.desk().finish(flight, outcome, self.means.clock.uptime());
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Puts keys in the place of those that we had, and voids the verdicts that may rest on the difference.
    fn replace(&self, keys: KeySet, place: String, age: Duration) -> Outcome {
        let since = self.means.clock.uptime();
        let keys = Arc::new(keys);
        let held = Held { keys: Arc::clone(&keys), place, since, age_then: age };
        let old = self.held.swap(Some(Arc::new(held))).map(|old| Arc::clone(&old.keys)).unwrap_or_default();
        let (lost, won) = (keys.lacks_any_of(&old), old.lacks_any_of(&keys));
        if lost {
            self.means.epoch.forget_all();
        } else if won {
            self.means.epoch.forget_refusals();
        }
        if lost || won {
            self.announce(&old, &keys);
            return Outcome::Changed;
        }
        Outcome::Same
    }

    fn announce(&self, old: &KeySet, new: &KeySet) {
        let (added, removed) = (names(new, old), names(old, new));
        tracing::info!(issuer = %self.settings.name, keys = new.keys().len(), %added, %removed, "new keys");
        for key in new.unusable() {
            let kid = key.kid.as_deref().map_or_else(|| "none".into(), excerpt);
            tracing::debug!(issuer = %self.settings.name, %kid, "a key is not used: it {}", key.reason);
        }
    }

    /// Notes a failure. Gives the pause that follows it.
    fn fail(&self, failure: &Failure) -> Duration {
        let pause = {
            let mut record = self.record();
            record.failures = record.failures.saturating_add(1);
            record.failing_since.get_or_insert_with(|| self.means.clock.now());
            record.last_error = Some(failure.detail.clone());
            schedule::backoff(record.failures, dice())
        };
        tracing::warn!(
            issuer = %self.settings.name,
            result = failure.result.as_str(),
            reason = %failure.detail,
            retry_in_ms = pause.as_millis(),
            keys = if self.keys().is_some() { "the last good ones serve on" } else { "none" },
            "fetching keys failed",
        );
        pause
    }

    /// After the first attempt failed: without keys, those on the disk are better than none.
    async fn fall_back(&self) {
        let first = *self.ended.borrow() == 0;
        let Some(store) = self.store.clone().filter(|_| first && self.held.load().is_none()) else {
            return;
        };
        let (now, max_stale) = (self.means.clock.now(), self.settings.max_stale);
        let loaded = tokio::task::spawn_blocking(move || store.load(now, max_stale)).await;
        match loaded {
            Ok(Ok(Some(Kept { keys, place, age }))) => {
                tracing::warn!(issuer = %self.settings.name, age_s = age.as_secs(), "stored keys are used");
                self.replace(keys, place, age);
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(issuer = %self.settings.name, %error, "stored keys are not used"),
            Err(error) => tracing::error!(issuer = %self.settings.name, %error, "reading stored keys broke off"),
        }
    }

    async fn save(&self, document: Bytes, place: String) {
        let Some(store) = self.store.clone() else { return };
        let now = self.means.clock.now();
        let path = store.path().display().to_string();
        match tokio::task::spawn_blocking(move || store.save(&document, &place, now)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(issuer = %self.settings.name, path, %error, "keys cannot be stored"),
            Err(error) => tracing::error!(issuer = %self.settings.name, path, %error, "storing keys broke off"),
        }
    }

    /// Rests until `due` (as uptime), or until a request wants a fetch. Meanwhile keys that grow too old are dropped.
    async fn rest(&self, due: Duration) {
        loop {
            let now = self.means.clock.uptime();
            let expiry = self.drop_expired(now);
            if now >= due || self.desk().wanted() {
                return;
            }
            let nap = expiry.map_or(due, |expiry| expiry.min(due)).saturating_sub(now);
            tokio::select! {
                () = tokio::time::sleep(nap) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Drops keys that are too old, with the verdicts that rest on them. Gives when those that stay will be, as uptime.
    pub(super) fn drop_expired(&self, now: Duration) -> Option<Duration> {
        let held = self.held.load_full()?;
        let left = self.settings.max_stale.saturating_sub(held.age(now));
        if !left.is_zero() {
            return Some(now + left);
        }
        self.held.store(None);
        self.means.epoch.forget_all();
        let max_stale_s = self.settings.max_stale.as_secs();
        tracing::warn!(issuer = %self.settings.name, max_stale_s, "the last good keys are too old and serve no longer");
        None
    }
}

/// The keys of `these` that are not among `those`, as text for a log line.
fn names(these: &KeySet, those: &KeySet) -> String {
    let other = |key: &&Key| !those.keys().iter().any(|theirs| theirs.id == key.id && theirs.kid == key.kid);
    let name = |key: &Key| key.kid.as_deref().map_or_else(|| "(no kid)".into(), excerpt);
    these.keys().iter().filter(other).map(name).collect::<Vec<_>>().join(" ")
}

fn dice() -> u8 {
    secret::random_bytes::<1>()[0]
}
