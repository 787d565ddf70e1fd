//! The browser's sign-in at the authority, held by a cookie: who signed in, when, how well, and to what they agreed.
//!
//! The cookie is HttpOnly and SameSite=Lax, so that no other site can post a login or a consent in it. Its name carries a
//! stand-in of the issuer: cookies do not know ports, and two authorities may run on one machine.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::State;
use super::granted::Authorization;
use super::reply::Reply;
use crate::clock::UnixTime;
use crate::secret::{random_id, stand_in};

/// Length of [`random_id`].
const ID_LENGTH: usize = 22;

/// More answers than one client usually asks one browser for while it is signed in.
const MAX_AUTHORIZATIONS: usize = 64;
/// More than one person agrees to in that time.
const MAX_CONSENTS: usize = 1000;

/// How and when a person proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignIn {
    /// When, in seconds since the epoch.
    pub(super) time: i64,
    /// The authentication context class that it reached.
    pub(super) acr: String,
    /// The sign-in's name towards clients (OpenID Connect Front- and Back-Channel Logout); the password grant has none.
    pub(super) sid: Option<String>,
}

/// The context class of a plain password, when nobody asked for another.
pub(super) const PASSWORD_ACR: &str = "urn:tollgate:acr:password";

/// A person who is signed in.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Position in the settings.
    pub(super) user: usize,
    /// When and how.
    pub(super) sign_in: SignIn,
    /// What the person allowed: client and wish.
    pub(super) consents: BTreeSet<(String, String)>,
    /// What came of it, one for each client and answer; its end ends those that are not meant for longer.
    pub(super) authorizations: Vec<Arc<Authorization>>,
}

impl Session {
    /// A fresh sign-in.
    pub(super) fn new(user: usize, now: UnixTime, acr: String) -> Self {
        let sign_in = SignIn { time: now.secs(), acr, sid: Some(random_id()) };
        Self { user, sign_in, consents: BTreeSet::new(), authorizations: Vec::new() }
    }

    /// The same person, seen again: their consents and what came of them stay, and so does the name towards clients.
    pub(super) fn renewed(mut self, now: UnixTime, acr: String) -> Self {
        self.sign_in = SignIn { time: now.secs(), acr, sid: self.sign_in.sid };
        self
    }

    /// Remembers what came of the sign-in, the newest of so many for each client: no client makes it forget another's.
    pub(super) fn remember(&mut self, authorization: &Arc<Authorization>) {
        let known = self.authorizations.iter().enumerate();
        let of_client = known.filter(|(_, known)| known.client == authorization.client);
        let positions: Vec<usize> = of_client.map(|(position, _)| position).collect();
        if let [oldest, ..] = positions[..]
            && positions.len() >= MAX_AUTHORIZATIONS
        {
            self.authorizations.remove(oldest);
        }
        self.authorizations.push(Arc::clone(authorization));
    }

    /// Whether the person agreed to all `wishes` of `client`.
    pub(super) fn allows(&self, client: &str, wishes: &[String]) -> bool {
        wishes.iter().all(|wish| self.consents.contains(&(client.to_owned(), wish.clone())))
            && self.consents.contains(&(client.to_owned(), String::new()))
    }

    /// Remembers that the person agreed. The empty wish stands for the client itself.
    pub(super) fn allow(&mut self, client: &str, wishes: Vec<String>) {
        if self.consents.len() > MAX_CONSENTS {
            self.consents.clear();
        }
        self.consents.insert((client.to_owned(), String::new()));
        self.consents.extend(wishes.into_iter().map(|wish| (client.to_owned(), wish)));
    }
}

/// The browser's cookie, or a new one for a browser without.
#[derive(Debug, Clone)]
pub(super) struct Browser {
    /// Its value.
    pub(super) id: String,
    /// Whether the browser has yet to be told.
    fresh: bool,
}

impl Browser {
    /// The browser that sent these headers.
    pub(super) fn of(state: &State, headers: &HeaderMap) -> Self {
        match cookie(&name(state), headers) {
            Some(id) => Self { id, fresh: false },
            None => Self::fresh(),
        }
    }

    /// A browser under a new name, as after every sign-in, so that nobody can choose the name in advance.
    pub(super) fn fresh() -> Self {
        Self { id: random_id(), fresh: true }
    }

    /// Tells the browser its name, if it does not know it yet.
    pub(super) fn tell(&self, state: &State, reply: &mut Reply) {
        if self.fresh {
            let (name, path) = (name(state), &state.endpoints.index.path);
            let secure = if state.settings.issuer.starts_with("https:") { "; Secure" } else { "" };
            let cookie = format!("{name}={}; Path={path}; HttpOnly; SameSite=Lax{secure}", self.id);
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                reply.headers_mut().append(SET_COOKIE, cookie);
            }
        }
    }
}

fn name(state: &State) -> String {
    format!("tollgate-authority-{}", stand_in(&state.settings.issuer))
}

/// The cookie of that name, if it looks like one of ours.
pub(super) fn cookie(name: &str, headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    let well_formed = |id: &str| {
        id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    cookies.find(|(known, id)| *known == name && well_formed(id)).map(|(_, id)| id.to_owned())
}
