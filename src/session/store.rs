//! The seam at which sessions are kept: in memory, or in a server that replicas share.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Session, Who};
use crate::clock::UnixTime;
use crate::secret::sha256;

/// What a store gives, in its own time.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The store cannot be asked now. Nothing is known of the session then, so nobody gets in by it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the session store does not answer: {0}")]
pub struct StoreError(pub String);

/// Where a session is kept: the digest of its id, so that who reads the store cannot use what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a session's id.
    #[must_use]
    pub fn of(id: &str) -> Self {
        Self(sha256(id.as_bytes()))
    }

    /// The key of these bytes, if they are one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// When a session ends at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends(pub UnixTime);

/// Keeps sessions.
pub trait Store: Send + Sync + 'static {
    /// The session, if there is one.
    fn load(&self, key: Key) -> StoreFuture<'_, Option<Arc<Session>>>;
    /// Puts a new session in.
    fn save(&self, key: Key, session: Arc<Session>, ends: Ends) -> StoreFuture<'_, ()>;
    /// Puts a renewed session in place of itself, unless it was removed or renewed by somebody else meanwhile. Whether it did.
    fn replace(&self, key: Key, session: Arc<Session>, ends: Ends) -> StoreFuture<'_, bool>;
    /// Notes that a session was used, as its `seen` says.
    fn touch(&self, key: Key, session: Arc<Session>, ends: Ends) -> StoreFuture<'_, ()>;
    /// Takes a session out, and gives what it was.
    fn remove(&self, key: Key) -> StoreFuture<'_, Option<Arc<Session>>>;
    /// Ends all sessions of somebody; how many there were.
    fn end(&self, who: &Who) -> StoreFuture<'_, usize>;
    /// The sessions of somebody, a thousand at most.
    fn list(&self, who: &Who) -> StoreFuture<'_, Vec<Arc<Session>>>;

    /// Takes the right to renew a session, from everybody who has the same store; for `life` at most. Whether it was free.
    fn claim<'a>(&'a self, _key: Key, _holder: &'a str, _life: Duration) -> StoreFuture<'a, bool> {
        Box::pin(async { Ok(true) })
    }

    /// Gives that right back, if it is still the holder's.
    fn release<'a>(&'a self, _key: Key, _holder: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// No store: one that is configured only since the process began to run. Nobody is let in.
#[derive(Debug)]
pub struct Missing;

impl Missing {
    fn fault<T>() -> StoreFuture<'static, T> {
        Box::pin(async { Err(StoreError("[redis] takes effect at the next start".into())) })
    }
}

impl Store for Missing {
    fn load(&self, _key: Key) -> StoreFuture<'_, Option<Arc<Session>>> {
        Self::fault()
    }

    fn save(&self, _key: Key, _session: Arc<Session>, _ends: Ends) -> StoreFuture<'_, ()> {
        Self::fault()
    }

    fn replace(&self, _key: Key, _session: Arc<Session>, _ends: Ends) -> StoreFuture<'_, bool> {
        Self::fault()
    }

    fn touch(&self, _key: Key, _session: Arc<Session>, _ends: Ends) -> StoreFuture<'_, ()> {
        Self::fault()
    }

    fn remove(&self, _key: Key) -> StoreFuture<'_, Option<Arc<Session>>> {
        Self::fault()
    }

    fn end(&self, _who: &Who) -> StoreFuture<'_, usize> {
        Self::fault()
    }

    fn list(&self, _who: &Who) -> StoreFuture<'_, Vec<Arc<Session>>> {
        Self::fault()
    }
}
