//! An authorization request that waits for a person, from page to page.
//!
//! It is bound to the browser that brought it: what another browser posts with its id is refused, so nobody signs a
//! victim in as themselves, nor agrees in a victim's name (login CSRF; RFC 6819, section 5.3.5). And it waits at one page:
//! an answer to another is refused, so nobody agrees before they signed in as the request wants it.

use std::time::Duration;

use super::super::State;
use super::super::session::Browser;
use super::super::store::{Shelves, key};
use super::Step;
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
    /// The page that was shown last.
    at: Step,
    /// Whether the person signed in for this very request.
    pub(super) fresh: bool,
    /// Whether the person chose an account.
    pub(super) chosen: bool,
}

impl Transaction {
    /// At its beginning.
    pub(super) fn new(request: AuthorizationRequest) -> Self {
        Self { request, browser: [0; 32], at: Step::Login, fresh: false, chosen: false }
    }

    /// Keeps it for `browser`, whose person is at a page; gives the name under which its form brings it back.
    pub(super) fn keep(mut self, state: &State, browser: &Browser, at: Step) -> String {
        let (id, now) = (random_id(), state.clock.now());
        (self.browser, self.at) = (sha256(browser.id.as_bytes()), at);
        state.store.lock().transactions.put(key(&id), self, now.plus(PATIENCE), now);
        id
    }

    /// The browser `before` has a new name, as after every sign-in. What waits in other tabs for a person to sign in stays
    /// its own; what waits for a yes does if it is the same person's.
    pub(super) fn follow(shelves: &mut Shelves, before: &Browser, after: &Browser, same_person: bool) {
        let [before, after] = [before, after].map(|browser| sha256(browser.id.as_bytes()));
        let moves = |found: &&mut Self| same(&found.browser, &before) && (same_person || found.at != Step::Consent);
        shelves.transactions.values_mut().filter(moves).for_each(|found| found.browser = after);
    }

    /// Takes up the one called `id`, if it is `browser`'s and waits at this page.
    pub(super) fn take(state: &State, id: &str, browser: &Browser, at: Step) -> Option<Self> {
        let (key, now) = (key(id), state.clock.now());
        let mut shelves = state.store.lock();
        let mine = |found: &Self| found.at == at && same(&found.browser, &sha256(browser.id.as_bytes()));
        shelves.transactions.get(&key, now).is_some_and(mine).then(|| shelves.transactions.take(&key, now)).flatten()
    }
}
