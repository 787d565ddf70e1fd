//! Sessions in the memory of this process: gone with it, and not known to other replicas.
//!
//! Bounded; when it is full, sessions that are used least make room.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;

use super::store::{Ends, Key, Store, StoreFuture};
use super::{Session, Who};
use crate::clock::UnixTime;

/// Sessions that are held at once.
const MAX_SESSIONS: u64 = 100_000;
/// Sessions that one listing shows.
const MAX_LISTED: usize = 1000;

/// See the module.
#[derive(Debug)]
pub struct Memory {
    sessions: Cache<Key, Held>,
}

#[derive(Debug, Clone)]
struct Held {
    session: Arc<Session>,
    ends: UnixTime,
}

/// Forgets a session at its end. That it is over is judged where it is found; this only frees the memory.
struct AtItsEnd;

impl Expiry<Key, Held> for AtItsEnd {
    fn expire_after_create(&self, _key: &Key, held: &Held, _now: Instant) -> Option<Duration> {
        Some(held.ends.since(UnixTime::from_millis(held.session.began)))
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { sessions: Cache::builder().max_capacity(MAX_SESSIONS).expire_after(AtItsEnd).build() }
    }
}

impl Memory {
    fn of<'a>(&'a self, who: &'a Who) -> impl Iterator<Item = (Key, Arc<Session>)> + 'a {
        self.sessions.iter().filter(|(_, held)| who.is(&held.session)).map(|(key, held)| (*key, held.session))
    }
}

impl Store for Memory {
    fn load(&self, key: Key) -> StoreFuture<'_, Option<Arc<Session>>> {
        let found = self.sessions.get(&key).map(|held| held.session);
        Box::pin(async move { Ok(found) })
    }

    fn save(&self, key: Key, session: Arc<Session>, Ends(ends): Ends) -> StoreFuture<'_, ()> {
        self.sessions.insert(key, Held { session, ends });
        Box::pin(async { Ok(()) })
    }

    fn replace(&self, key: Key, session: Arc<Session>, Ends(ends): Ends) -> StoreFuture<'_, bool> {
        // A session that ended meanwhile must not come back with what a refresh brought, nor be set back.
        let replaced = self.sessions.entry(key).and_compute_with(|held| match held {
            Some(held) if held.value().session.refreshes < session.refreshes => Op::Put(Held { session, ends }),
            Some(_) | None => Op::Nop,
        });
        let replaced = matches!(replaced, CompResult::ReplacedWith(_));
        Box::pin(async move { Ok(replaced) })
    }

    fn touch(&self, _key: Key, _session: Arc<Session>, _ends: Ends) -> StoreFuture<'_, ()> {
        // All requests share the one session, which has noted it already.
        Box::pin(async { Ok(()) })
    }

    fn remove(&self, key: Key) -> StoreFuture<'_, Option<Arc<Session>>> {
        let removed = self.sessions.remove(&key).map(|held| held.session);
        Box::pin(async move { Ok(removed) })
    }

    fn end(&self, who: &Who) -> StoreFuture<'_, usize> {
        let keys: HashSet<Key> = self.of(who).map(|(key, _)| key).collect();
        let ended = keys.iter().filter(|key| self.sessions.remove(*key).is_some()).count();
        Box::pin(async move { Ok(ended) })
    }

    fn list(&self, who: &Who) -> StoreFuture<'_, Vec<Arc<Session>>> {
        let found = self.of(who).map(|(_, session)| session).take(MAX_LISTED).collect();
        Box::pin(async move { Ok(found) })
    }
}
