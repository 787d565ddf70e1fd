//! The seam at which sessions are kept: in memory, or in a server that replicas share.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

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
    /// Puts a changed session in place of itself, unless it was removed meanwhile. Whether it was there.
    fn replace(&self, key: Key, session: Arc<Session>, ends: Ends) -> StoreFuture<'_, bool>;
    /// Notes that a session was used, as its `seen` says.
    fn touch(&self, key: Key, session: &Session) -> StoreFuture<'_, ()>;
    /// Takes a session out, and gives what it was.
    fn remove(&self, key: Key) -> StoreFuture<'_, Option<Arc<Session>>>;
    /// Ends all sessions of somebody; how many there were.
    fn end(&self, who: &Who) -> StoreFuture<'_, usize>;
    /// The sessions of somebody, a thousand at most.
    fn list(&self, who: &Who) -> StoreFuture<'_, Vec<Arc<Session>>>;
}
