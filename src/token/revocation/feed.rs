//! Keeps the list equal to what the store holds.
//!
//! The store is read when it can be reached again, when a replica says that something has changed, and every so often in
//! case nobody could say so. While it cannot be read, the list is in doubt.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use super::Office;
use crate::store::Health;

/// Between two readings that nothing has asked for.
const PERIOD: Duration = Duration::from_secs(30);
/// After a reading that failed although the store can be reached.
const AGAIN: Duration = Duration::from_secs(1);

/// Follows the store of `office` until the runtime ends; returns at once when there is none.
pub async fn follow(office: Arc<Office>) {
    let Some(store) = office.store() else { return };
    let (mut health, mut news) = (store.health(), store.subscribe(Office::channel()));
    loop {
        let up = *health.borrow_and_update() == Health::Up;
        // What was said until now is covered by the reading to come.
        while news.try_recv().is_ok() {}
        let read = up
            && office
                .read(&*store)
                .await
                .inspect_err(|error| tracing::warn!(%error, "revocations cannot be read"))
                .is_ok();
        if !read {
            office.doubt().await;
        }
        tokio::select! {
            changed = health.changed() => if changed.is_err() { return },
            message = news.recv() => if message == Err(RecvError::Closed) { return },
            () = sleep(if up && !read { AGAIN } else { PERIOD }) => {}
        }
    }
}
