//! What the authority remembers: in memory, for a time, and never more than a fixed number of each kind.
//!
//! Everything is found by the SHA-256 of the value that a client or browser holds, so that the values themselves are
//! not kept. When a shelf is full its oldest entry makes room: a development server that is flooded forgets rather than
//! grows.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::authorize::request::AuthorizationRequest;
use super::authorize::transaction::Transaction;
use super::device::DeviceRecord;
use super::flows::Walk;
use super::granted::{AccessRecord, CodeRecord, RefreshRecord};
use super::session::Session;
use crate::clock::UnixTime;
use crate::secret::sha256;

/// Entries of one kind.
const CAPACITY: usize = 20_000;
/// Walks of the flow page, which are large.
const WALKS: usize = 200;

/// The digest by which something is found.
pub(super) type Key = [u8; 32];

/// The key of what is called `value` outside.
pub(super) fn key(value: &str) -> Key {
    sha256(value.as_bytes())
}

/// All that is remembered.
#[derive(Debug)]
pub(super) struct Shelves {
    /// Sign-ins by the browser's cookie.
    pub(super) sessions: Shelf<Session>,
    /// Authorization requests that wait for a person.
    pub(super) transactions: Shelf<Transaction>,
    /// Authorization requests that were pushed.
    pub(super) pushed: Shelf<AuthorizationRequest>,
    /// Devices that wait, by device code.
    pub(super) devices: Shelf<DeviceRecord>,
    /// Keys of waiting devices, by user code.
    pub(super) user_codes: Shelf<Key>,
    /// Authorization codes, used ones too, so that a replay is seen.
    pub(super) codes: Shelf<CodeRecord>,
    /// Access tokens of either form.
    pub(super) access: Shelf<AccessRecord>,
    /// Refresh tokens, rotated ones too, so that a reuse is seen.
    pub(super) refresh: Shelf<RefreshRecord>,
    /// Proofs and assertions that work once.
    spent: Shelf<()>,
    /// Walks of the flow page.
    pub(super) walks: Shelf<Walk>,
}

impl Shelves {
    /// Whether this is the first time that what is called `key`, and is no use after `end`, comes along.
    pub(super) fn is_first(&mut self, key: Key, end: UnixTime, now: UnixTime) -> bool {
        let first = self.spent.get(&key, now).is_none();
        if first {
            self.spent.put(key, (), end, now);
        }
        first
    }
}

/// The shelves behind their lock, which nothing holds while it waits.
#[derive(Debug)]
pub(super) struct Store(Mutex<Shelves>);

impl Store {
    /// With nothing in it.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Shelves {
            sessions: Shelf::with_capacity(CAPACITY),
            transactions: Shelf::with_capacity(CAPACITY),
            pushed: Shelf::with_capacity(CAPACITY),
            devices: Shelf::with_capacity(CAPACITY),
            user_codes: Shelf::with_capacity(CAPACITY),
            codes: Shelf::with_capacity(CAPACITY),
            access: Shelf::with_capacity(CAPACITY),
            refresh: Shelf::with_capacity(CAPACITY),
            spent: Shelf::with_capacity(CAPACITY),
            walks: Shelf::with_capacity(WALKS),
        }))
    }

    /// Takes the lock. A panic elsewhere cannot leave a shelf half written, so poison is no reason to stop.
    pub(super) fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries of one kind with their ends.
#[derive(Debug)]
pub(super) struct Shelf<V> {
    entries: HashMap<Key, (UnixTime, V)>,
    /// Keys by age, the oldest first; some of them may be gone from `entries`.
    ages: VecDeque<Key>,
    capacity: usize,
}

impl<V> Shelf<V> {
    fn with_capacity(capacity: usize) -> Self {
        Self { entries: HashMap::new(), ages: VecDeque::new(), capacity }
    }

    /// Keeps `value` until `end`, and drops what is over or too much.
    pub(super) fn put(&mut self, key: Key, value: V, end: UnixTime, now: UnixTime) {
        while let Some(oldest) = self.ages.front() {
            let live = self.entries.get(oldest).is_some_and(|(end, _)| now < *end);
            if live && self.entries.len() < self.capacity {
                break;
            }
            self.entries.remove(oldest);
            self.ages.pop_front();
        }
        if self.ages.len() >= 2 * self.capacity {
            self.entries.retain(|_, (end, _)| now < *end);
            self.ages.retain(|key| self.entries.contains_key(key));
        }
        if self.entries.insert(key, (end, value)).is_none() {
            self.ages.push_back(key);
        }
    }

    /// What is kept under `key` and not over.
    pub(super) fn get(&self, key: &Key, now: UnixTime) -> Option<&V> {
        self.entries.get(key).filter(|(end, _)| now < *end).map(|(_, value)| value)
    }

    /// As [`Shelf::get`], to be changed.
    pub(super) fn get_mut(&mut self, key: &Key, now: UnixTime) -> Option<&mut V> {
        self.entries.get_mut(key).filter(|(end, _)| now < *end).map(|(_, value)| value)
    }

    /// All that is there, to be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|(_, value)| value)
    }

    /// Takes it off the shelf.
    pub(super) fn take(&mut self, key: &Key, now: UnixTime) -> Option<V> {
        self.entries.remove(key).filter(|(end, _)| now < *end).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_end_and_the_oldest_make_room() {
        let (mut shelf, start) = (Shelf::with_capacity(2), UnixTime::from_secs(0));
        let later = |seconds| start.plus(Duration::from_secs(seconds));
        shelf.put(key("a"), 1, later(10), start);
        shelf.put(key("b"), 2, later(20), start);
        assert_eq!((shelf.get(&key("a"), later(9)), shelf.get(&key("a"), later(10))), (Some(&1), None));
        shelf.put(key("c"), 3, later(30), start);
        assert_eq!((shelf.get(&key("a"), start), shelf.get(&key("b"), start)), (None, Some(&2)));
        assert_eq!(shelf.take(&key("b"), later(20)), None, "it was over");
        *shelf.get_mut(&key("c"), start).unwrap() = 4;
        assert_eq!((shelf.take(&key("c"), start), shelf.take(&key("c"), start)), (Some(4), None));
    }

    proptest! {
        #[test]
        fn a_shelf_never_grows_beyond_its_bounds(steps in prop::collection::vec((0_u8..40, 0_u64..5, any::<bool>()), 0..300)) {
            let (mut shelf, mut now) = (Shelf::with_capacity(5), UnixTime::from_secs(0));
            for (name, seconds, takes) in steps {
                now = now.plus(Duration::from_secs(seconds));
                let key = key(&name.to_string());
                if takes {
                    shelf.take(&key, now);
                } else {
                    shelf.put(key, (), now.plus(Duration::from_secs(seconds + 1)), now);
                    prop_assert!(shelf.get(&key, now).is_some());
                }
                prop_assert!(shelf.entries.len() <= 5 && shelf.ages.len() <= 10);
                prop_assert!(shelf.entries.keys().all(|key| shelf.ages.contains(key)));
            }
        }
    }
}
