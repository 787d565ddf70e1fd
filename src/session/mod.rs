//! Browser sessions: who logged in, held by a cookie.
//!
//! A session begins with a login and ends by logout, by `idle_timeout` without a request, by `lifetime`, or by a word of
//! the issuer. Its id is 256 random bits, new with every login, so that an id that was planted before is worth nothing;
//! a store knows only its digest. With `store = "cookie"` the browser holds the whole session, sealed, and nobody else
//! does: it cannot be ended from outside.

mod jar;
mod memory;
mod sealed;
mod shared;
pub mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::sealed::Sealed;
use self::store::{Ends, Key, Store, StoreError};
use crate::clock::UnixTime;
use crate::secret::{random_bytes, seal::Sealer};

pub use self::jar::{Jar, SameSite, is_ours};
pub use self::memory::Memory;
pub use self::shared::Shared;

/// How exactly the last request of a session is remembered: a request within this part of `idle_timeout` changes nothing.
const SEEN_STEPS: u32 = 16;

/// One login of one browser.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    /// The name of the login that it belongs to; it opens no route of another.
    pub login: String,
    /// `iss` of the ID token. Should the login be at another issuer now, it opens nothing.
    pub issuer: String,
    /// `sub` of the ID token.
    pub subject: String,
    /// `sid` of the ID token: the issuer's name for it.
    pub sid: Option<String>,
    /// The claims of the ID token, and of userinfo where that was asked.
    pub claims: Map<String, Value>,
    /// What the person allowed, space-delimited.
    pub scopes: String,
    /// What the issuer gave.
    pub tokens: Tokens,
    /// When it began, in milliseconds since the epoch.
    pub began: i64,
    /// The last request, in milliseconds since the epoch; exact to a part of `idle_timeout`.
    pub seen: AtomicI64,
    /// How often its tokens were refreshed.
    pub refreshes: u32,
}

/// The tokens of a session. They never reach the browser in a form that it could read.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// The ID token, for logout.
    pub id: String,
    /// For upstreams that get it (`credential`).
    pub access: String,
    /// Renews the others.
    pub refresh: Option<String>,
    /// When they were given, in milliseconds since the epoch.
    pub given: i64,
    /// When the access token ends, in milliseconds since the epoch, if the issuer said so.
    pub ends: Option<i64>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("refresh", &self.refresh.is_some())
            .field("given", &self.given)
            .field("ends", &self.ends)
            .finish()
    }
}

/// The login that asks for a session: only its own are there for it.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// The name of the login.
    pub login: &'a str,
    /// `iss` of its issuer.
    pub issuer: &'a str,
}

impl Session {
    fn is(&self, of: Of<'_>) -> bool {
        self.login == of.login && self.issuer == of.issuer
    }

    /// The last request; exact to a part of `idle_timeout`.
    #[must_use]
    pub fn last_request(&self) -> UnixTime {
        UnixTime::from_millis(self.seen.load(Ordering::Relaxed))
    }
}

/// Somebody whose sessions are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// `iss`
    pub issuer: String,
    /// `sub`; absent: whoever `sid` names.
    pub subject: Option<String>,
    /// `sid`; absent: all sessions of `subject`.
    pub sid: Option<String>,
}

impl Who {
    /// Whether this is one of theirs. Of nobody when neither `sub` nor `sid` is given.
    #[must_use]
    pub fn is(&self, session: &Session) -> bool {
        let subject = self.subject.as_ref().is_none_or(|subject| *subject == session.subject);
        let sid = self.sid.as_ref().is_none_or(|sid| session.sid.as_ref() == Some(sid));
        (self.subject.is_some() || self.sid.is_some()) && self.issuer == session.issuer && subject && sid
    }
}

/// What a request's cookies lead to.
#[derive(Debug)]
pub enum Found {
    /// There was no session.
    Nothing,
    /// There was one, and it is over; or the cookie is not one that we made. Nobody can tell which.
    Over,
    /// It lives.
    Live(Live),
}

/// A session that lives.
#[derive(Debug, Clone)]
pub struct Live {
    /// What it holds.
    pub session: Arc<Session>,
    /// By what it is found again.
    pub place: Place,
    /// Set-Cookie fields that the response needs, so that the session goes on.
    pub cookies: Vec<HeaderValue>,
}

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the store.
    Stored(Key),
    /// In the browser.
    Browser,
}

/// Why a session cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not fit into cookies.
    #[error("the session has {bytes} bytes, and {max} fit into cookies: ask for fewer scopes, or use another store")]
    TooLarge {
        /// Sealed and encoded.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

/// All sessions.
pub struct Sessions {
    keeping: Keeping,
    idle: Duration,
    lifetime: Duration,
}

enum Keeping {
    Store(Arc<dyn Store>),
    Browser(Sealed),
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("idle", &self.idle).field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Sessions in a store.
    #[must_use]
    pub fn stored(store: Arc<dyn Store>, idle: Duration, lifetime: Duration) -> Self {
        Self { keeping: Keeping::Store(store), idle, lifetime }
    }

    /// Sessions in browsers.
    #[must_use]
    pub fn sealed(sealer: Arc<Sealer>, idle: Duration, lifetime: Duration) -> Self {
        Self { keeping: Keeping::Browser(Sealed::new(sealer)), idle, lifetime }
    }

    /// The session that a request belongs to.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find(&self, jar: &Jar, of: Of<'_>, headers: &HeaderMap, now: UnixTime) -> Result<Found, StoreError> {
        let found = match &self.keeping {
            Keeping::Store(store) => {
                let Some(id) = jar.get(headers, "") else { return Ok(Found::Nothing) };
                let key = Key::of(id);
                store.load(key).await?.map(|session| (session, Place::Stored(key)))
            }
            Keeping::Browser(sealed) => match sealed.read(jar, headers) {
                None => return Ok(Found::Nothing),
                Some(opened) => opened.map(|session| (Arc::new(session), Place::Browser)),
            },
        };
        let Some((session, place)) = found.filter(|(session, _)| session.is(of) && self.lives(session, now)) else {
            return Ok(Found::Over);
        };
        let cookies = self.touch(jar, &session, place, now).await?;
        Ok(Found::Live(Live { session, place, cookies }))
    }

    fn lives(&self, session: &Session, now: UnixTime) -> bool {
        let seen = session.last_request();
        now < self.end_of(session) && now < seen.plus(self.idle)
    }

    /// When a session ends at the latest.
    #[must_use]
    pub fn end_of(&self, session: &Session) -> UnixTime {
        UnixTime::from_millis(session.began).plus(self.lifetime)
    }

    /// Notes that the session was used.
    async fn touch(
        &self,
        jar: &Jar,
        session: &Arc<Session>,
        place: Place,
        now: UnixTime,
    ) -> Result<Vec<HeaderValue>, StoreError> {
        let seen = session.last_request();
        if now.since(seen) < self.idle / SEEN_STEPS {
            return Ok(Vec::new());
        }
        session.seen.store(now.millis(), Ordering::Relaxed);
        match (&self.keeping, place) {
            (Keeping::Store(store), Place::Stored(key)) => {
                store.touch(key, Arc::clone(session), Ends(self.end_of(session))).await?;
                Ok(Vec::new())
            }
            // What fitted before fits still.
            (Keeping::Browser(sealed), _) => Ok(sealed.write(jar, session, &HeaderMap::new()).unwrap_or_default()),
            (Keeping::Store(_), Place::Browser) => Ok(Vec::new()),
        }
    }

    /// Begins a session. What the browser had before is gone. Gives the Set-Cookie fields for it.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn begin(&self, jar: &Jar, headers: &HeaderMap, session: Session) -> Result<Vec<HeaderValue>, KeepError> {
        match &self.keeping {
            Keeping::Store(store) => {
                if let Some(old) = jar.get(headers, "") {
                    store.remove(Key::of(old)).await?;
                }
                let id = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
                let ends = Ends(self.end_of(&session));
                store.save(Key::of(&id), Arc::new(session), ends).await?;
                Ok(jar.set("", &id, None, SameSite::Lax).into_iter().collect())
            }
            Keeping::Browser(sealed) => sealed.write(jar, &session, headers),
        }
    }

    /// Puts a renewed session in place of what it was, unless that ended or was renewed by another meanwhile: then `None`.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn renew(&self, jar: &Jar, place: Place, session: Arc<Session>) -> Result<Option<Live>, KeepError> {
        let cookies = match (&self.keeping, place) {
            (Keeping::Store(store), Place::Stored(key)) => {
                if !store.replace(key, Arc::clone(&session), Ends(self.end_of(&session))).await? {
                    return Ok(None);
                }
                Vec::new()
            }
            (Keeping::Browser(sealed), _) => sealed.write(jar, &session, &HeaderMap::new())?,
            (Keeping::Store(_), Place::Browser) => return Ok(None),
        };
        Ok(Some(Live { session, place, cookies }))
    }

    /// How many cookies a request has in which its session would begin. More than one count as none.
    #[must_use]
    pub fn shown(&self, jar: &Jar, headers: &HeaderMap) -> usize {
        let first = match &self.keeping {
            Keeping::Store(_) => "",
            Keeping::Browser(_) => "-0",
        };
        jar.beginning(headers, first).filter(|(suffix, _)| *suffix == first).count()
    }

    /// Ends the session of this browser. Gives what it was, if it lived, and the Set-Cookie fields that take it away.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end(
        &self,
        jar: &Jar,
        of: Of<'_>,
        headers: &HeaderMap,
    ) -> Result<(Option<Arc<Session>>, Vec<HeaderValue>), StoreError> {
        let (ended, cookies) = match &self.keeping {
            Keeping::Store(store) => {
                let ended = match jar.get(headers, "") {
                    Some(id) => store.remove(Key::of(id)).await?,
                    None => None,
                };
                (ended, jar.clear("").into_iter().collect())
            }
            Keeping::Browser(sealed) => {
                let ended = sealed.read(jar, headers).flatten().map(Arc::new);
                (ended, Sealed::clear(jar, headers))
            }
        };
        // The tokens of another login's are nothing for the issuer of this one.
        Ok((ended.filter(|session| session.is(of)), cookies))
    }

    /// What is at a place now. A session in the browser is known from requests only.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn at(&self, key: Key) -> Result<Option<Arc<Session>>, StoreError> {
        match &self.keeping {
            Keeping::Store(store) => store.load(key).await,
            Keeping::Browser(_) => Ok(None),
        }
    }

    /// Takes the right to renew a session, from all replicas that share the store; for `life` at most. Whether it was free.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn claim(&self, key: Key, holder: &str, life: Duration) -> Result<bool, StoreError> {
        match &self.keeping {
            Keeping::Store(store) => store.claim(key, holder, life).await,
            Keeping::Browser(_) => Ok(true),
        }
    }

    /// Gives that right back. It ends by itself, too.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn release(&self, key: Key, holder: &str) -> Result<(), StoreError> {
        match &self.keeping {
            Keeping::Store(store) => store.release(key, holder).await,
            Keeping::Browser(_) => Ok(()),
        }
    }

    /// Ends a session by its place, as after a refresh that was refused.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn drop_at(&self, place: Place) -> Result<(), StoreError> {
        if let (Keeping::Store(store), Place::Stored(key)) = (&self.keeping, place) {
            store.remove(key).await?;
        }
        Ok(())
    }

    /// Ends all sessions of somebody; how many there were. `None` when sessions are in browsers, where nobody can.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end_all(&self, who: &Who) -> Result<Option<usize>, StoreError> {
        match &self.keeping {
            Keeping::Store(store) => store.end(who).await.map(Some),
            Keeping::Browser(_) => Ok(None),
        }
    }

    /// The sessions of somebody. `None` when they are in browsers.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list(&self, who: &Who) -> Result<Option<Vec<Arc<Session>>>, StoreError> {
        match &self.keeping {
            Keeping::Store(store) => store.list(who).await.map(Some),
            Keeping::Browser(_) => Ok(None),
        }
    }
}
