//! Sessions in the memory of this process: gone with it, and not known to other replicas.
//!
//! Bounded; when it is full, sessions that are used least make room. Whose they are stands beside them, so that a request to end
//! somebody's looks at no others: strangers may ask for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::notification::RemovalCause;
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;

use super::store::{Ends, Key, Store, StoreFuture};
use super::{Session, Who, shared};
use crate::clock::UnixTime;

/// Sessions that are held at once.
const MAX_SESSIONS: u64 = 100_000;
/// Sessions that one listing shows.
const MAX_LISTED: usize = 1000;

/// See the module.
#[derive(Debug)]
pub struct Memory {
    sessions: Cache<Key, Held>,
    owners: Arc<Owners>,
}

#[derive(Debug, Clone)]
struct Held {
    session: Arc<Session>,
    ends: UnixTime,
}

/// The sessions of each subject and of each `sid`.
#[derive(Debug, Default)]
struct Owners(Mutex<HashMap<String, HashSet<Key>>>);

impl Owners {
    fn enroll(&self, key: Key, session: &Session) {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for set in shared::sets(session) {
            sets.entry(set).or_default().insert(key);
        }
    }

    fn dismiss(&self, key: Key, session: &Session) {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for set in shared::sets(session) {
            if let Some(keys) = sets.get_mut(&set) {
                keys.remove(&key);
                if keys.is_empty() {
                    sets.remove(&set);
                }
            }
        }
    }

    fn keys(&self, who: &Who) -> Vec<Key> {
        let Some(set) = shared::set_of(who) else { return Vec::new() };
        let sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets.get(&set).map(|keys| keys.iter().copied().collect()).unwrap_or_default()
    }
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
        let owners = Arc::<Owners>::default();
        let listening = Arc::clone(&owners);
        let gone = move |key: Arc<Key>, held: Held, cause: RemovalCause| {
            // A renewed session is whose it was.
            if cause != RemovalCause::Replaced {
                listening.dismiss(*key, &held.session);
            }
        };
        let sessions =
            Cache::builder().max_capacity(MAX_SESSIONS).expire_after(AtItsEnd).eviction_listener(gone).build();
        Self { sessions, owners }
    }
}

impl Memory {
    fn of<'a>(&'a self, who: &'a Who) -> impl Iterator<Item = (Key, Arc<Session>)> + 'a {
        let held = |key| Some((key, self.sessions.get(&key)?.session));
        self.owners.keys(who).into_iter().filter_map(held).filter(|(_, session)| who.is(session))
    }
}

impl Store for Memory {
    fn load(&self, key: Key) -> StoreFuture<'_, Option<Arc<Session>>> {
        let found = self.sessions.get(&key).map(|held| held.session);
        Box::pin(async move { Ok(found) })
    }

    fn save(&self, key: Key, session: Arc<Session>, Ends(ends): Ends) -> StoreFuture<'_, ()> {
        // First where it can be found, so that there is no session which nobody could end.
        self.owners.enroll(key, &session);
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
        let keys: Vec<Key> = self.of(who).map(|(key, _)| key).collect();
        let ended = keys.iter().filter(|key| self.sessions.remove(*key).is_some()).count();
        Box::pin(async move { Ok(ended) })
    }

    fn list(&self, who: &Who) -> StoreFuture<'_, Vec<Arc<Session>>> {
        let found = self.of(who).map(|(_, session)| session).take(MAX_LISTED).collect();
        Box::pin(async move { Ok(found) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(subject: &str, sid: &str) -> Arc<Session> {
        Arc::new(Session {
            login: "web".into(),
            issuer: "https://i".into(),
            subject: subject.into(),
            sid: Some(sid.into()),
            claims: serde_json::Map::new(),
            scopes: String::new(),
            tokens: super::super::Tokens::default(),
            began: 0,
            seen: 0.into(),
            refreshes: 0,
        })
    }

    fn who(subject: Option<&str>, sid: Option<&str>) -> Who {
        Who { issuer: "https://i".into(), subject: subject.map(Into::into), sid: sid.map(Into::into) }
    }

    #[test]
    fn whose_sessions_they_are_is_known_as_long_as_they_last() {
        let (memory, ends) = (Memory::default(), Ends(UnixTime::from_secs(3600)));
        let sets = || memory.owners.0.lock().expect("no panic while held").len();
        let run = |future: StoreFuture<'_, usize>| {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime")
                .block_on(future)
                .expect("no fault")
        };
        for (id, subject, sid) in [("1", "al", "a"), ("2", "al", "b"), ("3", "bo", "c")] {
            drop(memory.save(Key::of(id), session(subject, sid), ends));
        }
        assert_eq!(sets(), 5);
        let renewed = Session { refreshes: 1, ..Arc::into_inner(session("bo", "c")).expect("one") };
        drop(memory.replace(Key::of("3"), Arc::new(renewed), ends));
        assert_eq!(sets(), 5);
        drop(memory.remove(Key::of("1")));
        assert_eq!(sets(), 4, "a");
        assert_eq!(run(memory.end(&who(Some("al"), None))), 1);
        assert_eq!(run(memory.end(&who(Some("bo"), Some("b")))), 0);
        assert_eq!(run(memory.end(&who(None, Some("c")))), 1, "renewed");
        assert_eq!(sets(), 0, "nothing is left of those that ended");
    }
}
