//! Tokens that are refused before they expire: by their `jti`, by the session (`sid`) they belong to, by whom they speak
//! for (`sub`), or by the client that got them.
//!
//! [`Revocations`] answers for each request, also for one whose token is remembered as good, so an entry is in force for
//! the next request after it was taken in. While there are none, that costs one load of an atomic; else a look into one
//! map for each kind of entry there is. Workers share nothing there but reads. [`Office`] takes entries in, and is the
//! only one that changes the list, and [`follow`] keeps it equal to what the shared store holds. [`Order`] is what an operator writes.

mod entry;
mod feed;
mod office;
mod order;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;

use super::principal::Principal;
use super::{Rejection, RejectionCode};
use crate::clock::UnixTime;

pub use crate::config::model::Revocation as Settings;
pub use entry::{Entry, Kind};
pub use feed::follow;
pub use office::{Office, OfficeError};
pub use order::{Context, Order};

/// What is refused at the moment. Read by every worker, changed by the [`Office`] alone.
#[derive(Debug, Default)]
pub struct Revocations {
    /// Whether the list has entries or is in doubt, so that the usual case need not look at it.
    look: AtomicBool,
    list: ArcSwap<List>,
}

/// Whether the list is all that was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It is.
    #[default]
    Sure,
    /// The store cannot be read since then.
    Stale(UnixTime),
    /// The store was never read.
    Unread,
}

impl Standing {
    /// Whether requests may be judged by the list.
    #[must_use]
    pub fn serves(self, now: UnixTime, settings: &Settings) -> bool {
        match self {
            Self::Sure => true,
            Self::Stale(since) => settings.serve_on_store_loss || now.since(since) < settings.max_stale,
            Self::Unread => settings.serve_on_store_loss,
        }
    }
}

impl Revocations {
    /// Whether a token that speaks for this principal may still be used.
    ///
    /// # Errors
    /// `revoked`, with the entry that says so; `store_unavailable` when that cannot be known.
    pub fn check(&self, principal: &Principal, now: UnixTime, settings: &Settings) -> Result<(), Rejection> {
        match self.look.load(Ordering::Acquire) {
            true => self.look_up(principal, now, settings),
            false => Ok(()),
        }
    }

    #[cold]
    fn look_up(&self, principal: &Principal, now: UnixTime, settings: &Settings) -> Result<(), Rejection> {
        let list = self.list.load();
        if let Some(entry) = list.find(principal, now) {
            return Err(Rejection::new(RejectionCode::Revoked, entry.to_string()));
        }
        if list.standing.serves(now, settings) {
            return Ok(());
        }
        let detail = "what was revoked cannot be read; [revocation] on_store_loss = \"serve\" would let this pass";
        Err(Rejection::new(RejectionCode::StoreUnavailable, detail))
    }

    /// Whether the list is all that was revoked.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.list.load().standing
    }

    /// The entries, the oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.list.load().entries.clone()
    }

    /// Replaces the list. Whoever asks from now on is told by the new one.
    fn replace(&self, entries: Vec<Arc<Entry>>, standing: Standing) {
        let look = !entries.is_empty() || standing != Standing::Sure;
        self.list.store(Arc::new(List::new(entries, standing)));
        self.look.store(look, Ordering::Release);
    }
}

/// Entries, to be found by what they refuse.
#[derive(Debug, Default)]
struct List {
    entries: Vec<Arc<Entry>>,
    by_kind: [HashMap<Box<str>, Vec<Arc<Entry>>, RandomState>; Kind::ALL.len()],
    standing: Standing,
}

impl List {
    fn new(entries: Vec<Arc<Entry>>, standing: Standing) -> Self {
        let mut list = Self { entries, standing, ..Self::default() };
        for entry in &list.entries {
            let same = list.by_kind[entry.kind as usize].entry(entry.value.clone()).or_default();
            same.push(Arc::clone(entry));
        }
        list
    }

    fn find(&self, principal: &Principal, now: UnixTime) -> Option<&Entry> {
        Kind::ALL.into_iter().find_map(|kind| {
            let held = &self.by_kind[kind as usize];
            if held.is_empty() {
                return None;
            }
            let candidates = held.get(kind.of(principal)?)?;
            candidates.iter().find(|entry| entry.concerns(principal, now)).map(|entry| &**entry)
        })
    }
}

#[cfg(test)]
mod tests;
