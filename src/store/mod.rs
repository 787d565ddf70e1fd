//! State that replicas share: values that end by themselves, sets of members that do, and channels that all replicas hear.
//!
//! [`Store`] is the seam, [`RedisStore`] (cargo feature `redis`) what stands behind it: Redis or Valkey, one server or a
//! cluster. Every command has a deadline, and fails at once while there is no connection; a connection that is lost comes back
//! by itself. Handles may be used on any thread; the connections live on the runtime that the store was started on.
//! What a fault means for a request is for the caller to say.

#[cfg(feature = "redis")]
mod redis;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use crate::clock::UnixTime;
use crate::secret::Secret;

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// The settings cannot be used.
    #[error("the store cannot be used: {0}")]
    Settings(String),
    /// There is no connection.
    #[error("the store cannot be reached: {0}")]
    Down(Arc<str>),
    /// No answer in time.
    #[error("the store did not answer within {0:?}")]
    Late(Duration),
    /// The store refused the command, or the connection broke off under it.
    #[error("the store failed: {0}")]
    Failed(String),
    /// More than the caller can take.
    #[error("the store holds more than {0} members")]
    TooMany(usize),
}

/// Whether the store can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Not known yet.
    Unknown,
    /// Yes; what was subscribed to is heard again.
    Up,
    /// No, and why. Messages of this time are lost.
    Down(Arc<str>),
}

/// What a command will give.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, StoreFault>> + Send>>;

/// What a channel carries.
pub type Messages = broadcast::Receiver<Arc<[u8]>>;

/// Shared state. Keys, sets and channels are named within the prefix of the configuration.
pub trait Store: Send + Sync + 'static {
    /// The value under `key`.
    fn get(&self, key: &str) -> Reply<Option<Vec<u8>>>;

    /// Puts a value, which ends after `life`.
    fn put(&self, key: &str, value: &[u8], life: Duration) -> Reply<()>;

    /// Puts a value if there is none; says whether it did. The way to take a lock, with a random value as its token, and to see
    /// whether something came before.
    fn put_if_absent(&self, key: &str, value: &[u8], life: Duration) -> Reply<bool>;

    /// Puts `new` if the value is `old`; says whether it did.
    fn replace(&self, key: &str, old: &[u8], new: &[u8], life: Duration) -> Reply<bool>;

    /// Removes a value; says whether there was one.
    fn delete(&self, key: &str) -> Reply<bool>;

    /// Removes the value if it is `value`; says whether it was. The way to give a lock back.
    fn delete_if(&self, key: &str, value: &[u8]) -> Reply<bool>;

    /// Makes `member` one of `set` until then, and drops members that are over at `now`.
    fn enroll(&self, set: &str, member: &[u8], until: UnixTime, now: UnixTime) -> Reply<()>;

    /// Takes a member out; says whether it was one.
    fn dismiss(&self, set: &str, member: &[u8]) -> Reply<bool>;

    /// The members of `set` that are not over at `now`; a fault when there are more than `most`.
    fn members(&self, set: &str, now: UnixTime, most: usize) -> Reply<Vec<Vec<u8>>>;

    /// Tells all who hear `channel`, on every replica.
    fn publish(&self, channel: &str, message: &[u8]) -> Reply<()>;

    /// Hears `channel` from now on, and again whenever [`Health::Up`] is told.
    fn subscribe(&self, channel: &str) -> Messages;

    /// Whether the store can be reached, now and from now on.
    fn health(&self) -> watch::Receiver<Health>;
}

/// Where the store is and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `redis://` or `rediss://`; may hold a login.
    pub url: Secret,
    /// Further nodes of its cluster, with the same login; empty: a server by itself.
    pub cluster: Vec<String>,
    /// In place of the one in the URL.
    pub username: Option<String>,
    /// In place of the one in the URL.
    pub password: Option<Secret>,
    /// Certificate authorities in PEM, in place of the system's.
    pub authorities: Option<Vec<u8>>,
    /// Certificate chain and private key of the client, in PEM.
    pub identity: Option<Identity>,
    /// To connect, TLS and login included.
    pub connect_timeout: Duration,
    /// To answer one command.
    pub timeout: Duration,
    /// In front of every name.
    pub prefix: String,
}

/// Certificate and key of the client.
#[derive(Clone)]
pub struct Identity {
    /// The chain in PEM.
    pub certificate: Vec<u8>,
    /// The private key in PEM.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}
