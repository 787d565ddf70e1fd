//! One walk: who walks which flow with which client, how far they came, and what was said so far.
//!
//! A walk belongs to the browser that began it, by a cookie of its own: no other browser can bring its answer or read its
//! steps. Its name is the `state` of its authorization request. Walks are few, and end by themselves.

use std::time::Duration;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use super::super::State;
use super::super::reply::Reply;
use super::super::session::cookie;
use super::super::store::key;
use super::catalog::Flow;
use super::shown::Token;
use crate::secret::{Secret, random_id, same, sha256, stand_in};

/// How long a walk is remembered after its last step.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// More steps than any walk needs, but for a device that is made to ask and ask.
const MAX_STEPS: usize = 40;

/// Who speaks and who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The resource owner, by their browser.
    Browser,
    /// The application.
    Client,
    /// The Authorization Server.
    Server,
    /// The resource server.
    Api,
}

impl Role {
    /// From left to right in the picture.
    pub(super) const ALL: [Self; 4] = [Self::Browser, Self::Client, Self::Server, Self::Api];

    /// Its name at the head of the picture.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Browser => "You, in the browser",
            Self::Client => "Client",
            Self::Server => "Authorization Server",
            Self::Api => "Resource server",
        }
    }
}

/// What was said in one step.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Who spoke.
    pub(super) from: Role,
    /// To whom.
    pub(super) to: Role,
    /// In a few words.
    pub(super) title: &'static str,
    /// What it is for, what is secret in it. Backticks set code.
    pub(super) why: String,
    /// As it went over the wire, without what is secret.
    pub(super) sent: Option<String>,
    /// What came back.
    pub(super) answer: Option<String>,
    /// The tokens in it, taken apart.
    pub(super) tokens: Vec<Token>,
}

impl Step {
    /// A step about which there is nothing to show yet.
    pub(super) fn new(from: Role, to: Role, title: &'static str, why: impl Into<String>) -> Self {
        Self { from, to, title, why: why.into(), sent: None, answer: None, tokens: Vec::new() }
    }

    /// Whether the browser sees it.
    pub(super) fn is_seen_by_the_browser(&self) -> bool {
        self.from == Role::Browser || self.to == Role::Browser
    }
}

/// How far a walk came, with what its client must remember for the next step.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// The browser is at the authorization endpoint.
    Away {
        /// Of PKCE; absent when no code comes.
        verifier: Option<Secret>,
        /// What the ID token has to repeat.
        nonce: Option<String>,
    },
    /// The client asks for name and password.
    AtPassword,
    /// A person types a code.
    AtDevice {
        /// What the device asks with.
        device_code: Secret,
        /// Where the person goes, with the code in it.
        page: String,
    },
    /// Nothing comes any more.
    Over,
}

/// A walk.
#[derive(Debug, Clone)]
pub(in super::super) struct Walk {
    /// Which flow.
    pub(super) flow: Flow,
    /// The client's id.
    pub(super) client: String,
    /// How far.
    pub(super) stage: Stage,
    /// What was said.
    pub(super) steps: Vec<Step>,
    visitor: [u8; 32],
}

impl Walk {
    /// At its beginning.
    pub(super) fn new(flow: Flow, client: &str, visitor: &Visitor) -> Self {
        let visitor = sha256(visitor.id.as_bytes());
        Self { flow, client: client.to_owned(), stage: Stage::Over, steps: Vec::new(), visitor }
    }

    /// Adds what was said, as long as there is room.
    pub(super) fn add(&mut self, steps: impl IntoIterator<Item = Step>) {
        let room = MAX_STEPS.saturating_sub(self.steps.len());
        self.steps.extend(steps.into_iter().take(room));
    }

    /// Whether another step would fit.
    pub(super) fn has_room(&self) -> bool {
        self.steps.len() < MAX_STEPS
    }

    /// Keeps it under `id`.
    pub(super) fn keep(self, state: &State, id: &str) {
        let now = state.clock.now();
        state.store.lock().walks.put(key(id), self, now.plus(LIFETIME), now);
    }

    /// Takes up the walk called `id`, if it is `visitor`'s.
    pub(super) fn take(state: &State, id: &str, visitor: &Visitor) -> Option<Self> {
        let (key, now) = (key(id), state.clock.now());
        let mut shelves = state.store.lock();
        let mine = shelves.walks.get(&key, now).is_some_and(|walk| walk.is_of(visitor));
        mine.then(|| shelves.walks.take(&key, now)).flatten()
    }

    /// Looks at the walk called `id`, if it is `visitor`'s.
    pub(super) fn look(state: &State, id: &str, visitor: &Visitor) -> Option<Self> {
        let now = state.clock.now();
        state.store.lock().walks.get(&key(id), now).filter(|walk| walk.is_of(visitor)).cloned()
    }

    fn is_of(&self, visitor: &Visitor) -> bool {
        same(&self.visitor, &sha256(visitor.id.as_bytes()))
    }
}

/// The browser that walks.
#[derive(Debug)]
pub(super) struct Visitor {
    id: String,
}

impl Visitor {
    /// The one that sent these headers; `None` when it never began a walk.
    pub(super) fn of(state: &State, headers: &HeaderMap) -> Option<Self> {
        cookie(&name(state), headers).map(|id| Self { id })
    }

    /// A new one.
    pub(super) fn fresh() -> Self {
        Self { id: random_id() }
    }

    /// Tells the browser who it is. The cookie goes to the walks only.
    pub(super) fn tell(&self, state: &State, reply: &mut Reply) {
        let secure = if state.settings.issuer.starts_with("https:") { "; Secure" } else { "" };
        let (name, path) = (name(state), &state.endpoints.flows.path);
        let cookie = format!("{name}={}; Path={path}; HttpOnly; SameSite=Lax{secure}", self.id);
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            reply.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

/// Cookies do not know ports, so the name has a stand-in of the issuer.
fn name(state: &State) -> String {
    format!("tollgate-flows-{}", stand_in(&state.settings.issuer))
}
