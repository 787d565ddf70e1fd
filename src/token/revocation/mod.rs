//! Tokens that are refused before they expire: by their `jti`, by the session (`sid`) they belong to, by whom they speak
//! for (`sub`), or by the client that got them.
//!
//! [`Revocations`] answers for each request, also for one whose token is remembered as good, so an entry is in force for
//! the next request after it was taken in. While there are none, that costs one load of an atomic; else a look into one
//! map for each kind of entry there is. Workers share nothing there but reads. [`Office`] takes entries in, and is the
//! only one that changes the list. [`Order`] is what an operator writes.

mod entry;
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

pub use entry::{Entry, Kind};
pub use office::{Office, OfficeError};
pub use order::{Context, Order};

/// What is refused at the moment. Read by every worker, changed by the [`Office`] alone.
#[derive(Debug, Default)]
pub struct Revocations {
    /// Whether the list has entries, so that the usual case need not look at it.
    some: AtomicBool,
    list: ArcSwap<List>,
}

impl Revocations {
    /// Whether a token that speaks for this principal may still be used.
    ///
    /// # Errors
    /// `revoked`, with the entry that says so.
    pub fn check(&self, principal: &Principal, now: UnixTime) -> Result<(), Rejection> {
        match self.some.load(Ordering::Acquire) {
            true => self.look(principal, now),
            false => Ok(()),
        }
    }

    #[cold]
    fn look(&self, principal: &Principal, now: UnixTime) -> Result<(), Rejection> {
        match self.list.load().find(principal, now) {
            Some(entry) => Err(Rejection::new(RejectionCode::Revoked, entry.to_string())),
            None => Ok(()),
        }
    }

    /// The entries, the oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.list.load().entries.clone()
    }

    /// Replaces the list. Whoever asks from now on is told by the new one.
    fn replace(&self, entries: Vec<Arc<Entry>>) {
        let some = !entries.is_empty();
        self.list.store(Arc::new(List::new(entries)));
        self.some.store(some, Ordering::Release);
    }
}

/// Entries, to be found by what they refuse.
#[derive(Debug, Default)]
struct List {
    entries: Vec<Arc<Entry>>,
    by_kind: [HashMap<Box<str>, Vec<Arc<Entry>>, RandomState>; Kind::ALL.len()],
}

impl List {
    fn new(entries: Vec<Arc<Entry>>) -> Self {
        let mut list = Self { entries, ..Self::default() };
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
