//! Where revocations are taken in and taken back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Entry, Revocations, Standing};
use crate::clock::{Clock, UnixTime};
use crate::secret;
use crate::store::{Store, StoreFault};

/// The set of entries in the store, and the channel on which replicas tell each other that it has changed.
const SHARED: &str = "revocations";
/// The key of the mark, and how long it stands.
const MARK: &str = "revocations:mark";
const MARK_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);
/// Entries that are read from the store at most. More would be dropped only by saying that the list is in doubt.
const MOST: usize = 1_000_000;

/// Why an order cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// There is no room.
    #[error("there are {0} revocations, and max_entries allows no more")]
    Full(usize),
    /// The store did not take it. Nothing has changed, unless it was only late.
    #[error("nothing can be changed now: {0}")]
    Store(#[from] StoreFault),
}

/// Takes entries in and back, one order at a time. Without a store it keeps them for as long as the process lives.
pub struct Office {
    revocations: Arc<Revocations>,
    clock: Arc<dyn Clock>,
    store: Option<Arc<dyn Store>>,
    /// Reading the store and changing it take turns, so that a list that was read before an order does not undo it. Whose
    /// turn it is knows the mark that the store had when it was last read.
    turn: Mutex<Option<Vec<u8>>>,
}

impl Office {
    /// The office of this list. With a store, the list is in doubt until that was read.
    #[must_use]
    pub fn new(revocations: Arc<Revocations>, clock: Arc<dyn Clock>, store: Option<Arc<dyn Store>>) -> Self {
        if store.is_some() {
            revocations.replace(Vec::new(), Standing::Unread);
        }
        Self { revocations, clock, store, turn: Mutex::default() }
    }

    /// The entries that are in force, the oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        let now = self.clock.now();
        let mut entries = self.revocations.entries();
        entries.retain(|entry| !entry.is_over(now));
        entries
    }

    /// Whether these are all.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.revocations.standing()
    }

    /// Takes an entry in, in place of one with its id. When this returns, it is in force here and on its way to the other
    /// replicas.
    ///
    /// # Errors
    /// When there are `max_entries` already, or the store does not take it.
    pub async fn add(&self, entry: Entry, max_entries: usize) -> Result<(), OfficeError> {
        let turn = self.turn.lock().await;
        let (old, mut entries) = self.entries().into_iter().partition::<Vec<_>, _>(|other| other.id == entry.id);
        if entries.len() >= max_entries {
            return Err(OfficeError::Full(entries.len()));
        }
        if let Some(store) = &self.store {
            let until = UnixTime::from_secs(entry.until);
            store.enroll(SHARED, entry.to_json().as_bytes(), until, self.clock.now()).await?;
            // In force already: what is left of the old one makes it no weaker, and the next order finds it again.
            for old in old.iter().filter(|old| old.to_json() != entry.to_json()) {
                store.dismiss(SHARED, old.to_json().as_bytes()).await?;
            }
        }
        entries.push(Arc::new(entry));
        self.revocations.replace(entries, self.standing());
        drop(turn);
        self.tell().await;
        Ok(())
    }

    /// Takes an entry back. Gives whether there was one.
    ///
    /// # Errors
    /// When the store does not do it.
    pub async fn remove(&self, id: &str) -> Result<bool, OfficeError> {
        let turn = self.turn.lock().await;
        let (gone, left) = self.entries().into_iter().partition::<Vec<_>, _>(|entry| *entry.id == *id);
        if let Some(store) = &self.store {
            for entry in &gone {
                store.dismiss(SHARED, entry.to_json().as_bytes()).await?;
            }
        }
        self.revocations.replace(left, self.standing());
        drop(turn);
        if !gone.is_empty() {
            self.tell().await;
        }
        Ok(!gone.is_empty())
    }

    /// Drops what is over. Gives the number of entries in force.
    pub async fn sweep(&self) -> usize {
        let _turn = self.turn.lock().await;
        let entries = self.entries();
        let in_force = entries.len();
        if in_force < self.revocations.entries().len() {
            self.revocations.replace(entries, self.standing());
        }
        in_force
    }

    /// Tells the other replicas to read again. They do so by themselves after a while.
    async fn tell(&self) {
        if let Some(store) = &self.store
            && let Err(error) = store.publish(SHARED, b"changed").await
        {
            tracing::warn!(%error, "the other replicas could not be told of a revocation");
        }
    }

    /// Reads the store. What was taken in before this began is never lost by it.
    pub(super) async fn read(&self, store: &dyn Store) -> Result<(), StoreFault> {
        let mut mark = self.turn.lock().await;
        let now_there = self.mark(store).await?;
        if mark.as_ref().is_some_and(|before| *before != now_there) {
            self.restore(store).await?;
        }
        *mark = Some(now_there);
        let members = store.members(SHARED, self.clock.now(), MOST).await?;
        let mut entries: Vec<Arc<Entry>> = members.iter().filter_map(|member| readable(member)).collect();
        entries.sort_by_key(|entry| entry.revoked_at);
        self.revocations.replace(entries, Standing::Sure);
        Ok(())
    }

    /// What tells this content of the store from another: a random value that stands there as long as the content does.
    async fn mark(&self, store: &dyn Store) -> Result<Vec<u8>, StoreFault> {
        let fresh = secret::random_id();
        if store.put_if_absent(MARK, fresh.as_bytes(), MARK_LIFE).await? {
            return Ok(fresh.into_bytes());
        }
        Ok(store.get(MARK).await?.unwrap_or_default())
    }

    /// The store has come back without what it held, as one that keeps nothing on disk does: what is known here is put back.
    async fn restore(&self, store: &dyn Store) -> Result<(), StoreFault> {
        let entries = self.entries();
        tracing::warn!(
            entries = entries.len(),
            "the store has lost what it held; the revocations known here are put back"
        );
        for entry in entries {
            let until = UnixTime::from_secs(entry.until);
            store.enroll(SHARED, entry.to_json().as_bytes(), until, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Says that the list may lack entries from now on.
    pub(super) async fn doubt(&self) {
        let _turn = self.turn.lock().await;
        if self.standing() == Standing::Sure {
            self.revocations.replace(self.entries(), Standing::Stale(self.clock.now()));
        }
    }

    pub(super) fn store(&self) -> Option<Arc<dyn Store>> {
        self.store.clone()
    }

    pub(super) fn channel() -> &'static str {
        SHARED
    }
}

/// What cannot be read is of another version, or of somebody else: it is told, and no reason to refuse everybody.
fn readable(member: &[u8]) -> Option<Arc<Entry>> {
    match Entry::from_json(member) {
        Ok(entry) => Some(Arc::new(entry)),
        Err(error) => {
            tracing::error!(error, "a revocation in the store cannot be read, and is not in force");
            None
        }
    }
}
