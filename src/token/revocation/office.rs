//! Where revocations are taken in and taken back.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Entry, Revocations};
use crate::clock::Clock;

/// Why an order cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// There is no room.
    #[error("there are {0} revocations, and max_entries allows no more")]
    Full(usize),
}

/// Takes entries in and back, one order at a time, and keeps the list for as long as the process lives.
pub struct Office {
    revocations: Arc<Revocations>,
    clock: Arc<dyn Clock>,
    turn: Mutex<()>,
}

impl Office {
    /// The office of this list.
    #[must_use]
    pub fn new(revocations: Arc<Revocations>, clock: Arc<dyn Clock>) -> Self {
        Self { revocations, clock, turn: Mutex::default() }
    }

    /// The entries that are in force, the oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        let now = self.clock.now();
        let mut entries = self.revocations.entries();
        entries.retain(|entry| !entry.is_over(now));
        entries
    }

    /// Takes an entry in, in place of one with its id. It is in force when this returns.
    ///
    /// # Errors
    /// When there are `max_entries` already.
    pub async fn add(&self, entry: Entry, max_entries: usize) -> Result<(), OfficeError> {
        let _turn = self.turn.lock().await;
        let mut entries = self.entries();
        entries.retain(|other| other.id != entry.id);
        if entries.len() >= max_entries {
            return Err(OfficeError::Full(entries.len()));
        }
        entries.push(Arc::new(entry));
        self.revocations.replace(entries);
        Ok(())
    }

    /// Takes an entry back. Gives whether there was one.
    ///
    /// # Errors
    /// None yet.
    pub async fn remove(&self, id: &str) -> Result<bool, OfficeError> {
        let _turn = self.turn.lock().await;
        let mut entries = self.entries();
        let before = entries.len();
        entries.retain(|entry| *entry.id != *id);
        let found = entries.len() < before;
        self.revocations.replace(entries);
        Ok(found)
    }

    /// Drops what is over. Gives the number of entries in force.
    pub async fn sweep(&self) -> usize {
        let _turn = self.turn.lock().await;
        let entries = self.entries();
        let in_force = entries.len();
        if in_force < self.revocations.entries().len() {
            self.revocations.replace(entries);
        }
        in_force
    }
}
