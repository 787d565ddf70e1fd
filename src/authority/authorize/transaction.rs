//! An authorization request that waits for a person, from page to page.
//!
//! It is bound to the browser that brought it: what another browser posts with its id is refused, so nobody signs a
//! victim in as themselves, nor agrees in a victim's name (login CSRF; RFC 6819, section 5.3.5).

use std::time::Duration;

use super::super::State;
use super::super::session::Browser;
use super::super::store::key;
use super::request::AuthorizationRequest;
use crate::secret::{random_id, same, sha256};

/// How long a person may think.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A request and how far it came.
#[derive(Debug, Clone)]
pub(in super::super) struct Transaction {
    /// What is asked for.
    pub(super) request: AuthorizationRequest,
    /// SHA-256 of the browser's cookie.
    browser: [u8; 32],
    /// Whether the person signed in for this very request.
    pub(super) fresh: bool,
    /// Whether the person chose an account.
    pub(super) chosen: bool,
}

impl Transaction {
    /// At its beginning.
    pub(super) fn new(request: AuthorizationRequest) -> Self {
        Self { request, browser: [0; 32], fresh: false, chosen: false }
    }

    /// Keeps it for `browser`; gives the name under which forms bring it back.
    pub(super) fn keep(mut self, state: &State, browser: &Browser) -> String {
        let (id, now) = (random_id(), state.clock.now());
        self.browser = sha256(browser.id.as_bytes());
        state.store.lock().transactions.put(key(&id), self, now.plus(PATIENCE), now);
        id
    }

    /// Takes up the one called `id`, if it is `browser`'s.
    pub(super) fn take(state: &State, id: &str, browser: &Browser) -> Option<Self> {
        let (key, now) = (key(id), state.clock.now());
        let mut shelves = state.store.lock();
        let mine = |found: &Self| same(&found.browser, &sha256(browser.id.as_bytes()));
        shelves.transactions.get(&key, now).is_some_and(mine).then(|| shelves.transactions.take(&key, now)).flatten()
    }
}
