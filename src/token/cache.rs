//! Verdicts about tokens, remembered: a good token costs one signature check in its life, a bad one at most one.
//!
//! Two levels. [`Local`] belongs to one worker, is found by the token's own bytes and costs a hash and a comparison.
//! [`Shared`] is one for the process, is found by SHA-256 and also remembers tokens that were badly signed.
//!
//! Promises that a remembered verdict is never older than the [`Epoch`] it was begun in, and never outlives the moment
//! that it came with, whatever the capacity. A lookup that finds nothing gives a [`Ticket`], without which nothing can
//! be remembered: it holds the epoch of *before* the keys were taken, so a verdict reached with keys that were withdrawn
//! meanwhile is already void when it is stored. Bounded in entries and bytes; what is pushed out is only verified again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use moka::sync::Cache;

use super::{Rejection, RejectionCode};
use crate::clock::UnixTime;
use crate::secret::sha256;

/// The age of everything that verdicts rest on: keys, revocations, config.
///
/// Raise it after the new state can be seen by every reader, never before.
#[derive(Debug, Default)]
pub struct Epoch {
    acceptances: AtomicU64,
    refusals: AtomicU64,
}

/// One moment of an [`Epoch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    acceptances: u64,
    refusals: u64,
}

impl Epoch {
    /// Voids every verdict: a key was removed, a token revoked, or the config replaced.
    pub fn forget_all(&self) {
        self.acceptances.fetch_add(1, Ordering::AcqRel);
        self.forget_refusals();
    }

    /// Voids the memory of refused tokens: a key was added, which may be the one that signed them.
    pub fn forget_refusals(&self) {
        self.refusals.fetch_add(1, Ordering::AcqRel);
    }

    /// How often all verdicts were voided.
    #[must_use]
    pub fn acceptances(&self) -> u64 {
        self.acceptances.load(Ordering::Acquire)
    }

    fn now(&self) -> Moment {
        Moment { acceptances: self.acceptances(), refusals: self.refusals.load(Ordering::Acquire) }
    }
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Estimated bytes of accepted tokens in the process-wide level.
    pub shared_bytes: u64,
    /// Refused tokens that are remembered.
    pub refusals: u64,
    /// How long a refused token is remembered.
    pub refusal_memory: Duration,
    /// Tokens that one worker holds.
    pub local_entries: usize,
    /// Bytes of tokens that one worker holds.
    pub local_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            shared_bytes: 64 << 20,
            refusals: 16_384,
            refusal_memory: Duration::from_secs(60),
            local_entries: 8192,
            local_bytes: 8 << 20,
        }
    }
}

/// What is remembered of a token.
#[derive(Debug)]
pub enum Lookup<V> {
    /// It was accepted, and the verdict still holds.
    Accepted(Verdict<V>, Level),
    /// It was refused a moment ago, and nothing has changed since.
    Refused(Rejection),
    /// Nothing; judge it, then come back with the ticket.
    Unknown(Ticket),
}

/// A remembered value. Counted per worker, so that a token that all workers see does not make them share a counter.
pub type Verdict<V> = Rc<Arc<V>>;

/// Where a verdict was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// In the worker's own level.
    Local,
    /// In the process-wide level.
    Shared,
}

/// The right to remember a verdict about one token, and the moment at which judging it began.
#[derive(Debug, Clone)]
pub struct Ticket {
    digest: [u8; 32],
    begun: Moment,
}

#[derive(Debug)]
struct Accepted<V> {
    value: V,
    epoch: u64,
    fresh_until: UnixTime,
    weight: u32,
}

impl<V> Accepted<V> {
    fn holds(&self, epoch: u64, now: UnixTime) -> bool {
        self.epoch == epoch && now < self.fresh_until
    }
}

#[derive(Debug, Clone)]
struct Refused {
    rejection: Rejection,
    begun: Moment,
    until: UnixTime,
}

/// The process-wide level.
pub struct Shared<V> {
    epoch: Arc<Epoch>,
    limits: Limits,
    accepted: Cache<[u8; 32], Arc<Accepted<Arc<V>>>, RandomState>,
    refused: Cache<[u8; 32], Refused, RandomState>,
}

impl<V: Send + Sync + 'static> Shared<V> {
    /// An empty cache of these limits.
    #[must_use]
    pub fn new(limits: Limits, epoch: Arc<Epoch>) -> Arc<Self> {
        let accepted = Cache::builder()
            .max_capacity(limits.shared_bytes)
            .weigher(|_, entry: &Arc<Accepted<Arc<V>>>| entry.weight)
            .build_with_hasher(RandomState::default());
        let refused = Cache::builder().max_capacity(limits.refusals).build_with_hasher(RandomState::default());
        Arc::new(Self { epoch, limits, accepted, refused })
    }

    /// Accepted tokens held at the moment, roughly.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.accepted.entry_count()
    }

    /// Whether no accepted token is held, roughly.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn accepted(&self, ticket: &Ticket, now: UnixTime) -> Option<Arc<Accepted<Arc<V>>>> {
        // What does not hold is left to be replaced: taking it out could take out what another worker just put in.
        self.accepted.get(&ticket.digest).filter(|entry| entry.holds(ticket.begun.acceptances, now))
    }

    fn refused(&self, ticket: &Ticket, now: UnixTime) -> Option<Rejection> {
        let entry = self.refused.get(&ticket.digest)?;
        (entry.begun == ticket.begun && now < entry.until).then_some(entry.rejection)
    }
}

/// One worker's level, in front of the process-wide one.
pub struct Local<V> {
    shared: Arc<Shared<V>>,
    generations: RefCell<Generations<V>>,
}

impl<V: Send + Sync + 'static> Local<V> {
    /// An empty level in front of `shared`.
    #[must_use]
    pub fn new(shared: &Arc<Shared<V>>) -> Self {
        Self { shared: Arc::clone(shared), generations: RefCell::new(Generations::new(shared.limits)) }
    }

    /// What is remembered of `token`. A verdict of another epoch, or one that has run out, is not.
    #[must_use]
    pub fn get(&self, token: &str, now: UnixTime) -> Lookup<V> {
        let epoch = self.shared.epoch.acceptances();
        if let Some(verdict) = self.generations.borrow_mut().get(token, epoch, now) {
            return Lookup::Accepted(verdict, Level::Local);
        }
        let ticket = self.ticket(token);
        if let Some(entry) = self.shared.accepted(&ticket, now) {
            return Lookup::Accepted(self.keep(token, &entry), Level::Shared);
        }
        match self.shared.refused(&ticket, now) {
            Some(rejection) => Lookup::Refused(rejection),
            None => Lookup::Unknown(ticket),
        }
    }

    /// The right to remember another verdict in the place of one that was found and is not wanted.
    #[must_use]
    pub fn ticket(&self, token: &str) -> Ticket {
        Ticket { begun: self.shared.epoch.now(), digest: sha256(token.as_bytes()) }
    }

    /// Remembers on all workers that `token`, to which the ticket belongs, was accepted; until `fresh_until`.
    pub fn accept(&self, token: &str, ticket: &Ticket, fresh_until: UnixTime, value: Arc<V>) -> Verdict<V> {
        let entry = Accepted { value, epoch: ticket.begun.acceptances, fresh_until, weight: weight(token) };
        let entry = Arc::new(entry);
        self.shared.accepted.insert(ticket.digest, Arc::clone(&entry));
        self.keep(token, &entry)
    }

    /// Remembers on all workers, for a short time, that the token was refused, if that cost a signature check.
    pub fn refuse(&self, ticket: &Ticket, rejection: &Rejection, now: UnixTime) {
        if rejection.code == RejectionCode::BadSignature {
            let until = now.plus(self.shared.limits.refusal_memory);
            let entry = Refused { rejection: rejection.clone(), begun: ticket.begun, until };
            self.shared.refused.insert(ticket.digest, entry);
        }
    }

    fn keep(&self, token: &str, entry: &Accepted<Arc<V>>) -> Verdict<V> {
        let verdict = Rc::new(Arc::clone(&entry.value));
        let local = Accepted {
            value: Rc::clone(&verdict),
            epoch: entry.epoch,
            fresh_until: entry.fresh_until,
            weight: entry.weight,
        };
        self.generations.borrow_mut().insert(token.into(), local);
        verdict
    }
}

/// Estimated bytes that a remembered token takes: itself, its digest, and its claims as a tree of small values.
fn weight(token: &str) -> u32 {
    const FIXED: usize = 1024;
    u32::try_from(FIXED + 5 * token.len()).unwrap_or(u32::MAX)
}

type Generation<V> = HashMap<Box<str>, Accepted<Verdict<V>>, RandomState>;

/// A map that forgets by halves: what was not asked for while the young half filled up goes with the old half.
#[derive(Debug)]
struct Generations<V> {
    young: Generation<V>,
    young_bytes: usize,
    old: Generation<V>,
    entries: usize,
    bytes: usize,
}

impl<V> Generations<V> {
    fn new(limits: Limits) -> Self {
        Self {
            young: Generation::default(),
            young_bytes: 0,
            old: Generation::default(),
            entries: limits.local_entries / 2,
            bytes: limits.local_bytes / 2,
        }
    }

    fn get(&mut self, token: &str, epoch: u64, now: UnixTime) -> Option<Verdict<V>> {
        if let Some(entry) = self.young.get(token) {
            return entry.holds(epoch, now).then(|| Rc::clone(&entry.value));
        }
        let (token, entry) = self.old.remove_entry(token)?;
        if !entry.holds(epoch, now) {
            return None;
        }
        let verdict = Rc::clone(&entry.value);
        self.insert(token, entry);
        Some(verdict)
    }

    fn insert(&mut self, token: Box<str>, entry: Accepted<Verdict<V>>) {
        if token.len() > self.bytes || self.entries == 0 {
            return;
        }
        if self.young.len() >= self.entries || self.young_bytes + token.len() > self.bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        let length = token.len();
        if self.young.insert(token, entry).is_none() {
            self.young_bytes += length;
        }
    }
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
