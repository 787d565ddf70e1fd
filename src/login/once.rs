//! What works once: the `state` of a login, the `jti` of a logout token. With `[redis]`, once over all replicas.
//!
//! The memory of the process is asked first: it is bounded, and when it is full what is new is refused, not forgotten. Names
//! are digests, so the store tells nobody what was used. While the store does not answer, nothing is taken for new.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::UnixTime;
use crate::secret::sha256;
use crate::store::{Store, StoreFault};

/// Uses that one process remembers.
const MAX_REMEMBERED: usize = 100_000;

/// See the module.
#[derive(Default)]
pub struct Once {
    used: Mutex<HashMap<String, UnixTime>>,
    store: Option<Arc<dyn Store>>,
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once").field("shared", &self.store.is_some()).finish_non_exhaustive()
    }
}

impl Once {
    /// Shared through `store`.
    #[must_use]
    pub fn sharing(store: Arc<dyn Store>) -> Self {
        Self { store: Some(store), ..Self::default() }
    }

    /// Whether this is the first use of `what`, of this `kind`, which is remembered up to `until`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn first(&self, kind: &str, what: &[&str], until: UnixTime, now: UnixTime) -> Result<bool, StoreFault> {
        let name = name(kind, what);
        if !self.first_here(&name, until, now) {
            return Ok(false);
        }
        let Some(store) = &self.store else { return Ok(true) };
        let first = store.put_if_absent(&name, b"1", until.since(now)).await;
        if first.is_err() {
            // Nobody has used it yet.
            self.forget_here(&name);
        }
        first
    }

    fn first_here(&self, name: &str, until: UnixTime, now: UnixTime) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MAX_REMEMBERED {
            used.retain(|_, until| now < *until);
        }
        used.len() < MAX_REMEMBERED && used.insert(name.to_owned(), until).is_none_or(|until| now >= until)
    }

    fn forget_here(&self, name: &str) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Takes a use back, of which nothing came: it may be tried again.
    pub async fn forget(&self, kind: &str, what: &[&str]) {
        let name = name(kind, what);
        self.forget_here(&name);
        if let Some(store) = &self.store
            && let Err(error) = store.delete(&name).await
        {
            tracing::debug!(%error, kind, "a use that came to nothing is remembered");
        }
    }
}

fn name(kind: &str, what: &[&str]) -> String {
    let parts = serde_json::json!(what).to_string();
    format!("used:{kind}:{}", URL_SAFE_NO_PAD.encode(sha256(parts.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn what_was_used_works_again_only_when_it_came_to_nothing_or_is_over() {
        let (once, until) = (Once::default(), NOW.plus(Duration::from_secs(60)));
        let first = |what: &[&str], now| run(once.first("jti", what, until, now)).unwrap();
        assert!(first(&["https://a", "1"], NOW));
        assert!(!first(&["https://a", "1"], NOW));
        assert!(first(&["https://b", "1"], NOW), "of another issuer");
        assert!(first(&["https://a", "2"], NOW));
        assert!(run(once.first("state", &["https://a", "1"], until, NOW)).unwrap(), "of another kind");
        run(once.forget("jti", &["https://a", "1"]));
        assert!(first(&["https://a", "1"], NOW));
        assert!(first(&["https://a", "2"], until), "over");
    }

    #[test]
    fn when_no_more_can_be_remembered_what_is_new_is_refused_until_something_is_over() {
        let (once, until) = (Once::default(), NOW.plus(Duration::from_secs(60)));
        for number in 0..MAX_REMEMBERED {
            assert!(once.first_here(&number.to_string(), until, NOW));
        }
        assert!(!once.first_here("new", until, NOW));
        assert!(!once.first_here("0", until, NOW), "nothing is forgotten early");
        assert!(once.first_here("new", until.plus(Duration::from_secs(60)), until));
        assert_eq!(once.used.lock().unwrap().len(), 1);
    }
}
