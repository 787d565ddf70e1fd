//! Sessions in the store that replicas share: Redis or Valkey.
//!
//! The name of a value is made of the digest of the session's id, the value is sealed for that name: who reads the store
//! learns nothing and can use nothing, and a value that was moved to another name, changed, or put there by somebody without
//! the key is no session. A value ends by itself, after `idle_timeout` or at the session's end. Beside it stand two sets that name
//! the sessions of a subject and of a `sid`, so that they can be found without the browser; their entries end with the
//! session at the latest. Every command concerns one name, so a cluster may place each where it likes.
//!
//! What was opened is kept for as long as the store still gives the same bytes for it: each request asks the store, so that
//! a session which ended elsewhere is over here with the next request, but is not unsealed anew each time. While the store
//! does not answer, there are no sessions and nobody is let in.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::sync::Cache;

use super::store::{Ends, Key, Store, StoreError, StoreFuture};
use super::{Session, Who};
use crate::clock::Clock;
use crate::secret::{seal::Sealer, sha256};
use crate::store::{self, StoreFault};

/// Sessions that are kept unsealed, and for how long without a request.
const MAX_OPENED: u64 = 4096;
const OPENED_IDLE: Duration = Duration::from_secs(60);
/// Sessions of one person that are looked at; with more, ending them is refused, not done by half.
const MOST: usize = 100_000;
/// Sessions that one listing shows.
const MAX_LISTED: usize = 1000;
/// A change is tried again so often when the session was touched at the same moment.
const TRIES: usize = 8;

/// See the module.
pub struct Shared {
    store: Arc<dyn store::Store>,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
    idle: Duration,
    opened: Cache<Key, Held>,
}

/// A session as it is in the store, and opened.
#[derive(Clone)]
struct Held {
    sealed: Arc<[u8]>,
    session: Arc<Session>,
}

impl From<StoreFault> for StoreError {
    fn from(fault: StoreFault) -> Self {
        Self(fault.to_string())
    }
}

impl Shared {
    /// Sessions in `store`, sealed by `sealer`; they end after `idle` without a request.
    #[must_use]
    pub fn new(store: Arc<dyn store::Store>, sealer: Arc<Sealer>, clock: Arc<dyn Clock>, idle: Duration) -> Self {
        let opened = Cache::builder().max_capacity(MAX_OPENED).time_to_idle(OPENED_IDLE).build();
        Self { store, sealer, clock, idle, opened }
    }

    async fn read(&self, key: Key) -> Result<Option<Held>, StoreError> {
        let name = name(key);
        let Some(sealed) = self.store.get(&name).await? else {
            self.opened.invalidate(&key);
            return Ok(None);
        };
        if let Some(held) = self.opened.get(&key).filter(|held| *held.sealed == *sealed) {
            return Ok(Some(held));
        }
        let opened = std::str::from_utf8(&sealed).ok().and_then(|text| self.sealer.open(&name, text));
        let Some(session) = opened.and_then(|plain| serde_json::from_slice::<Session>(&plain).ok()) else {
            tracing::warn!("the store holds a session that none of the keys opens");
            return Ok(None);
        };
        let held = Held { sealed: sealed.into(), session: Arc::new(session) };
        self.opened.insert(key, held.clone());
        Ok(Some(held))
    }

    fn seal(&self, key: Key, session: Arc<Session>) -> Held {
        let plain = serde_json::to_vec(&*session).unwrap_or_default();
        Held { sealed: self.sealer.seal(&name(key), &plain).into_bytes().into(), session }
    }

    /// How long a value is kept that is written with the last request of its session.
    fn life(&self, session: &Session, Ends(ends): Ends) -> Duration {
        self.idle.min(ends.since(session.last_request()))
    }

    async fn renew(&self, key: Key, session: Arc<Session>, ends: Ends) -> Result<bool, StoreError> {
        let (life, new) = (self.life(&session, ends), self.seal(key, session));
        for _ in 0..TRIES {
            // Of two that renewed it, the one that comes late must not undo what the other wrote.
            let older = |old: &Held| old.session.refreshes < new.session.refreshes;
            let Some(old) = self.read(key).await?.filter(older) else { return Ok(false) };
            if self.store.replace(&name(key), &old.sealed, &new.sealed, life).await? {
                self.opened.insert(key, new);
                return Ok(true);
            }
        }
        Err(StoreError("the session changes all the time".into()))
    }

    /// Takes a session out; whether it was there until now.
    async fn take_out(&self, key: Key, session: &Session) -> Result<bool, StoreError> {
        let removed = self.store.delete(&name(key)).await?;
        self.opened.invalidate(&key);
        for set in sets(session) {
            self.store.dismiss(&set, key.bytes()).await?;
        }
        Ok(removed)
    }

    /// The sessions of somebody that live. Names of those that do not are tidied away.
    async fn of(&self, who: &Who, most: usize) -> Result<Vec<(Key, Arc<Session>)>, StoreError> {
        let Some(set) = set_of(who) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for member in self.store.members(&set, self.clock.now(), MOST).await? {
            let Some(key) = Key::from_bytes(&member) else { continue };
            match self.read(key).await? {
                Some(held) if who.is(&held.session) => found.push((key, held.session)),
                Some(_) => {}
                None => drop(self.store.dismiss(&set, &member).await?),
            }
            if found.len() >= most {
                break;
            }
        }
        Ok(found)
    }
}

impl Store for Shared {
    fn load(&self, key: Key) -> StoreFuture<'_, Option<Arc<Session>>> {
        Box::pin(async move { Ok(self.read(key).await?.map(|held| held.session)) })
    }

    fn save(&self, key: Key, session: Arc<Session>, ends: Ends) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            // First where it can be found, so that there is no session which nobody could end.
            for set in sets(&session) {
                self.store.enroll(&set, key.bytes(), ends.0, session.last_request()).await?;
            }
            let (life, held) = (self.life(&session, ends), self.seal(key, session));
            self.store.put(&name(key), &held.sealed, life).await?;
            self.opened.insert(key, held);
            Ok(())
        })
    }

    fn replace(&self, key: Key, session: Arc<Session>, ends: Ends) -> StoreFuture<'_, bool> {
        Box::pin(self.renew(key, session, ends))
    }

    fn touch(&self, key: Key, session: Arc<Session>, ends: Ends) -> StoreFuture<'_, ()> {
        let refreshes = session.refreshes;
        Box::pin(async move {
            // One that is gone stays so, and one that was renewed or touched meanwhile was noted by that.
            let Some(old) = self.read(key).await?.filter(|old| old.session.refreshes == refreshes) else {
                return Ok(());
            };
            let (life, new) = (self.life(&session, ends), self.seal(key, session));
            if self.store.replace(&name(key), &old.sealed, &new.sealed, life).await? {
                self.opened.insert(key, new);
            }
            Ok(())
        })
    }

    fn remove(&self, key: Key) -> StoreFuture<'_, Option<Arc<Session>>> {
        Box::pin(async move {
            let Some(Held { session, .. }) = self.read(key).await? else { return Ok(None) };
            Ok(self.take_out(key, &session).await?.then_some(session))
        })
    }

    fn end(&self, who: &Who) -> StoreFuture<'_, usize> {
        let who = who.clone();
        Box::pin(async move {
            let mut ended = 0;
            for (key, session) in self.of(&who, MOST).await? {
                ended += usize::from(self.take_out(key, &session).await?);
            }
            Ok(ended)
        })
    }

    fn list(&self, who: &Who) -> StoreFuture<'_, Vec<Arc<Session>>> {
        let who = who.clone();
        Box::pin(async move { Ok(self.of(&who, MAX_LISTED).await?.into_iter().map(|(_, session)| session).collect()) })
    }

    fn claim<'a>(&'a self, key: Key, holder: &'a str, life: Duration) -> StoreFuture<'a, bool> {
        Box::pin(async move { Ok(self.store.put_if_absent(&claim(key), holder.as_bytes(), life).await?) })
    }

    fn release<'a>(&'a self, key: Key, holder: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move { Ok(self.store.delete_if(&claim(key), holder.as_bytes()).await.map(drop)?) })
    }
}

fn name(key: Key) -> String {
    format!("session:{}", URL_SAFE_NO_PAD.encode(key.bytes()))
}

fn claim(key: Key) -> String {
    format!("session-refresh:{}", URL_SAFE_NO_PAD.encode(key.bytes()))
}

/// The sets that name a session.
pub(super) fn sets(session: &Session) -> impl Iterator<Item = String> {
    let sid = session.sid.as_ref().map(|sid| set("sid", &session.issuer, sid));
    [set("sub", &session.issuer, &session.subject)].into_iter().chain(sid)
}

/// The smaller of the sets that name somebody's sessions.
pub(super) fn set_of(who: &Who) -> Option<String> {
    match (&who.sid, &who.subject) {
        (Some(sid), _) => Some(set("sid", &who.issuer, sid)),
        (None, Some(subject)) => Some(set("sub", &who.issuer, subject)),
        (None, None) => None,
    }
}

/// Names in the store tell nobody who is logged in.
fn set(kind: &str, issuer: &str, value: &str) -> String {
    let pair = serde_json::json!([issuer, value]).to_string();
    format!("sessions:{kind}:{}", URL_SAFE_NO_PAD.encode(sha256(pair.as_bytes())))
}
