//! Renewing the tokens of a session: once, however many requests come at the moment.
//!
//! A request starts it, never a timer, when little of the access token's life is left, or when it asks for it. It runs as a
//! task of its own that the end of no request cancels, and all requests of a session that come with the same refresh token share
//! what it brings; for a moment also those that come later with the old one, as their answer may have been lost. Of replicas that
//! share a store, the one that gets the claim on the session does it, and the others wait for what it brings. Whatever goes
//! wrong, the worst is another login. What the issuer says of the person now counts: claims that changed take effect, claims
//! that are no longer said are gone, and another person ends the session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::callback::kept;
use super::id_token::seconds;
use super::provider::{Answer, ProviderError};
use super::{Failure, Login};
use crate::clock::UnixTime;
use crate::secret::{random_id, sha256};
use crate::session::store::{Key, StoreError};
use crate::session::{KeepError, Live, Place, Session};
use crate::token::claims::Claims;
use crate::token::jwt::Jws;

/// So much of the access token's life is left at most when it is renewed; less for short lives ([`PART`]).
const MARGIN: Duration = Duration::from_secs(30);
/// The part of a short life that is left.
const PART: u32 = 5;
/// How long the result of a refresh is shared with those who come late.
const GRACE: Duration = Duration::from_secs(10);
/// The pause after an attempt of which nothing is known: the issuer did not answer, or its answer was lost.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a replica has the claim on a session: longer than a refresh can take, as every question to the issuer has a
/// deadline. Also how long the others wait for it.
const CLAIM: Duration = Duration::from_secs(30);
/// How often they look.
const LOOK: Duration = Duration::from_millis(40);
/// How often what a refresh brought is offered to a store that does not answer, and for how long.
const OFFER: Duration = Duration::from_millis(250);
const OFFERED: Duration = Duration::from_secs(300);
/// Results that are held at once; beyond that the oldest are let go early.
const MAX_RESULTS: usize = 10_000;
/// Claims of the first ID token that no refresh changes, whether later ones repeat them or not (OpenID Connect Core 1.0,
/// section 12.2).
const OF_THE_SIGN_IN: [&str; 2] = ["auth_time", "nonce"];

/// Why a session does not go on.
#[derive(Debug)]
pub enum Lost {
    /// It is over, or its tokens are and nobody gives new ones.
    Over,
    /// Its tokens are over, and the store did not answer when they were to be renewed.
    Unanswered(StoreError),
}

/// What became of a session.
#[derive(Debug, Clone)]
enum Outcome {
    /// It goes on with new tokens.
    Renewed(Arc<Session>),
    /// The issuer said no, or speaks of somebody else: it is over.
    Over,
    /// Nobody knows; the old tokens serve as long as they last.
    Unknown,
    /// The store did not answer, so nobody asked the issuer; the old tokens serve as long as they last.
    Unanswered(StoreError),
}

/// Who refreshes.
enum Turn {
    /// This replica.
    Mine,
    /// Another did.
    Done(Outcome),
}

/// A refresh that is done: what came of it, and when.
type Done = (Outcome, UnixTime);
/// A refresh that runs, or ran a moment ago.
type Running = watch::Receiver<Option<Done>>;

/// The refreshes of the process, by [`of`].
#[derive(Debug, Default)]
pub struct Refreshes(Mutex<HashMap<[u8; 32], Running>>);

impl Refreshes {
    /// The refresh with this token: one that runs or ran a moment ago, or a new one, which the caller has to run.
    fn join(&self, key: [u8; 32], now: UnixTime) -> (Running, Option<watch::Sender<Option<Done>>>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = held.get(&key).filter(|running| is_shared(running, now)) {
            return (running.clone(), None);
        }
        if held.len() >= MAX_RESULTS {
            held.retain(|_, running| is_shared(running, now));
        }
        if held.len() >= MAX_RESULTS {
            let done = held.iter().filter_map(|(key, running)| Some((running.borrow().as_ref()?.1, *key)));
            if let Some((_, oldest)) = done.min() {
                held.remove(&oldest);
            }
        }
        let (sender, running) = watch::channel(None);
        held.insert(key, running.clone());
        (running, Some(sender))
    }
}

/// A refresh is shared while it runs, and its result for a moment. One whose task died is neither.
fn is_shared(running: &Running, now: UnixTime) -> bool {
    match &*running.borrow() {
        None => running.has_changed().is_ok(),
        Some((Outcome::Unknown | Outcome::Unanswered(_), at)) => now.since(*at) < PAUSE,
        Some((Outcome::Renewed(_) | Outcome::Over, at)) => now.since(*at) < GRACE,
    }
}

impl Login {
    /// The session with fresh tokens, if they were about to end.
    ///
    /// # Errors
    /// When it does not go on.
    pub async fn fresh(self: &Arc<Self>, live: Live, now: UnixTime) -> Result<Live, Lost> {
        let Some(ends) = ends(&live.session) else { return Ok(live) };
        let margin = MARGIN.min(ends.since(given(&live.session)) / PART);
        if ends.since(now) > margin { Ok(live) } else { self.refreshed(live, now).await }
    }

    /// The session with fresh tokens because somebody asks for them; not again a moment after the last time.
    ///
    /// # Errors
    /// When it does not go on.
    pub async fn fresh_on_demand(self: &Arc<Self>, live: Live, now: UnixTime) -> Result<Live, Lost> {
        let is_young = now.since(given(&live.session)) < GRACE;
        if is_young { Ok(live) } else { self.refreshed(live, now).await }
    }

    async fn refreshed(self: &Arc<Self>, live: Live, now: UnixTime) -> Result<Live, Lost> {
        let Some(refresh) = &live.session.tokens.refresh else { return Ok(live) };
        let (mut running, mine) = self.shared.refreshes.join(of(&live, refresh), now);
        if let Some(sender) = mine {
            let (login, session, place) = (Arc::clone(self), Arc::clone(&live.session), live.place);
            tokio::spawn(async move {
                let outcome = login.refresh(&session, place, now).await;
                // Whoever waits or comes late counts from its end, however long it took.
                sender.send_replace(Some((outcome, login.provider.now())));
            });
        }
        let done = running.wait_for(Option::is_some).await.ok().and_then(|done| done.clone());
        let outcome = done.map_or(Outcome::Unknown, |(outcome, _)| outcome);
        // While it cannot be asked about, the session is as good as its tokens.
        let lasts = ends(&live.session).is_none_or(|ends| now < ends);
        match outcome {
            Outcome::Renewed(session) => self.renewed(live, session).await.ok_or(Lost::Over),
            Outcome::Unknown | Outcome::Unanswered(_) if lasts => Ok(live),
            Outcome::Unanswered(error) => Err(Lost::Unanswered(error)),
            Outcome::Over | Outcome::Unknown => Err(Lost::Over),
        }
    }

    /// What the request goes on with. A session in the browser has to be written there by each response.
    async fn renewed(&self, live: Live, session: Arc<Session>) -> Option<Live> {
        match live.place {
            Place::Stored(_) => Some(Live { session, ..live }),
            Place::Browser => self.sessions.renew(&self.jar, live.place, session).await.ok().flatten(),
        }
    }

    async fn refresh(self: &Arc<Self>, session: &Arc<Session>, place: Place, now: UnixTime) -> Outcome {
        let Place::Stored(key) = place else { return self.redeem(session, now).await };
        let holder = random_id();
        match self.claim(session, key, &holder).await {
            Ok(Turn::Mine) => {
                let outcome = self.redeem(session, now).await;
                self.settle(key, holder, outcome).await
            }
            Ok(Turn::Done(outcome)) => outcome,
            Err(error) => {
                tracing::warn!(login = &*self.settings.name, %error, "a session could not be refreshed");
                Outcome::Unanswered(error)
            }
        }
    }

    /// Waits until this replica may refresh the session, or another has done it; not for ever.
    async fn claim(&self, session: &Session, key: Key, holder: &str) -> Result<Turn, StoreError> {
        let turn = async {
            loop {
                if let Some(turn) = self.turn(session, key, holder).await? {
                    return Ok(turn);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(CLAIM, turn).await.unwrap_or(Ok(Turn::Done(Outcome::Unknown)))
    }

    /// Whose turn it is now; `None` while another is at it.
    async fn turn(&self, session: &Session, key: Key, holder: &str) -> Result<Option<Turn>, StoreError> {
        let mine = self.sessions.claim(key, holder, CLAIM).await?;
        // Looked at with the claim in hand too: another may have been done a moment ago.
        let done = match self.sessions.at(key).await? {
            None => Outcome::Over,
            Some(found) if found.refreshes > session.refreshes => Outcome::Renewed(found),
            Some(_) => return Ok(mine.then_some(Turn::Mine)),
        };
        if mine {
            self.sessions.release(key, holder).await?;
        }
        Ok(Some(Turn::Done(done)))
    }

    /// Puts down what came of a refresh, for the other replicas too. The token from before is used up, so without that the
    /// session would be lost: a store that does not answer now is asked on, and nobody waits for it.
    async fn settle(self: &Arc<Self>, key: Key, holder: String, outcome: Outcome) -> Outcome {
        let error = match self.put_down(key, &holder, &outcome).await {
            Ok(outcome) => return outcome,
            Err(error) => error,
        };
        tracing::warn!(login = &*self.settings.name, %error, "what a refresh brought is not in the store yet");
        let (login, unsettled) = (Arc::clone(self), outcome.clone());
        tokio::spawn(async move {
            let settled = async {
                while login.put_down(key, &holder, &unsettled).await.is_err() {
                    tokio::time::sleep(OFFER).await;
                }
            };
            if tokio::time::timeout(OFFERED, settled).await.is_err() {
                tracing::warn!(login = &*login.settings.name, "what a refresh brought is given up: there is no store");
            }
        });
        outcome
    }

    /// As it stands in the store then: a session that ended meanwhile, as by a logout, stays so.
    async fn put_down(&self, key: Key, holder: &str, outcome: &Outcome) -> Result<Outcome, StoreError> {
        let place = Place::Stored(key);
        let settled = match outcome {
            Outcome::Renewed(renewed) => match self.sessions.renew(&self.jar, place, Arc::clone(renewed)).await {
                Ok(Some(_)) => Outcome::Renewed(Arc::clone(renewed)),
                Ok(None) => Outcome::Over,
                Err(KeepError::Store(error)) => return Err(error),
                // No store has a limit.
                Err(KeepError::TooLarge { .. }) => Outcome::Over,
            },
            Outcome::Over => {
                self.sessions.drop_at(place).await?;
                Outcome::Over
            }
            Outcome::Unknown | Outcome::Unanswered(_) => outcome.clone(),
        };
        self.sessions.release(key, holder).await?;
        Ok(settled)
    }

    async fn redeem(&self, session: &Arc<Session>, now: UnixTime) -> Outcome {
        let name = &*self.settings.name;
        let Some(token) = &session.tokens.refresh else { return Outcome::Over };
        let mut grant = vec![("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        grant.extend(self.resources());
        let answer = match self.provider.redeem(&grant).await {
            Ok(answer) => answer,
            Err(error @ ProviderError::Unavailable(_)) => {
                tracing::warn!(login = name, %error, "a session could not be refreshed");
                return Outcome::Unknown;
            }
            Err(error @ ProviderError::Refused { .. }) => {
                tracing::info!(login = name, %error, "a session ends: its refresh was refused");
                return Outcome::Over;
            }
        };
        match self.renew(session, &answer, now).await {
            Ok(renewed) => Outcome::Renewed(Arc::new(renewed)),
            Err(failure) => {
                tracing::warn!(
                    login = name,
                    detail = failure.detail,
                    "a session ends: its refresh brought no good answer"
                );
                Outcome::Over
            }
        }
    }

    /// The session with what the issuer says now (OpenID Connect Core 1.0, section 12.2).
    async fn renew(&self, before: &Session, answer: &Answer, now: UnixTime) -> Result<Session, Failure> {
        let mut claims = self.said_now(before, answer, now).await?.into_map();
        for name in OF_THE_SIGN_IN {
            if let (Some(value), false) = (before.claims.get(name), claims.contains_key(name)) {
                claims.insert(name.to_owned(), value.clone());
            }
        }
        if self.settings.userinfo {
            self.add_userinfo(&mut claims, &before.subject, &answer.access_token).await?;
        }
        Ok(Session {
            login: before.login.clone(),
            issuer: before.issuer.clone(),
            subject: before.subject.clone(),
            sid: before.sid.clone(),
            claims,
            scopes: answer.scope.clone().unwrap_or_else(|| before.scopes.clone()),
            tokens: kept(answer, Some(&before.tokens), now),
            began: before.began,
            seen: now.millis().into(),
            refreshes: before.refreshes.saturating_add(1),
        })
    }

    /// The claims of the ID token in the answer, or else of the one before, which was verified when it came.
    async fn said_now(&self, before: &Session, answer: &Answer, now: UnixTime) -> Result<Claims, Failure> {
        let Some(id_token) = &answer.id_token else {
            let before = Jws::parse(&before.tokens.id);
            return before.map(|jws| jws.claims).map_err(|rejection| Failure::of_issuer(rejection.to_string()));
        };
        let fresh = self.verified(id_token, &self.expected(&answer.access_token), now).await?;
        same_person(before, &fresh)?;
        Ok(fresh)
    }
}

/// The digest of a session and its refresh token. The token alone does not do: what one session got would be another's, of
/// whomever, where an issuer gives the same token twice.
fn of(live: &Live, refresh: &str) -> [u8; 32] {
    let Session { login, issuer, subject, sid, began, .. } = &*live.session;
    let key = match &live.place {
        Place::Stored(key) => Some(key.bytes()),
        Place::Browser => None,
    };
    sha256(serde_json::json!([login, issuer, subject, sid, began, key, refresh]).to_string().as_bytes())
}

/// When its tokens were given.
fn given(session: &Session) -> UnixTime {
    UnixTime::from_millis(session.tokens.given)
}

/// When its access token ends, if the issuer said so.
fn ends(session: &Session) -> Option<UnixTime> {
    session.tokens.ends.map(UnixTime::from_millis)
}

fn same_person(before: &Session, fresh: &Claims) -> Result<(), Failure> {
    let refused = |detail: &'static str| Err(Failure::of_issuer(detail));
    if fresh.string("sub") != Some(&before.subject) {
        return refused("the refreshed ID token is about somebody else");
    }
    let before = Claims::read(before.claims.clone()).map_err(|rejection| Failure::of_issuer(rejection.to_string()))?;
    if let (Some(nonce), original) = (fresh.get("nonce"), before.get("nonce"))
        && original != Some(nonce)
    {
        return refused("the refreshed ID token has another nonce");
    }
    match (seconds(fresh, "auth_time"), seconds(&before, "auth_time")) {
        (Some(now), Some(then)) if now != then => refused("the refreshed ID token has another auth_time"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn key(number: usize) -> [u8; 32] {
        sha256(&number.to_be_bytes())
    }

    /// Whether a refresh that had this outcome is shared with who comes so long after it.
    fn shared(outcome: &Outcome, after: Duration) -> bool {
        let refreshes = Refreshes::default();
        let (_, sender) = refreshes.join(key(0), NOW);
        let sender = sender.expect("it is the first");
        assert!(refreshes.join(key(0), NOW.plus(CLAIM)).1.is_none(), "one that runs is shared, however long");
        sender.send_replace(Some((outcome.clone(), NOW)));
        drop(sender);
        refreshes.join(key(0), NOW.plus(after)).1.is_none()
    }

    #[test]
    fn what_a_refresh_brought_is_shared_for_a_moment() {
        let instant = Duration::from_millis(1);
        for (outcome, moment) in [(Outcome::Over, GRACE), (Outcome::Unknown, PAUSE)] {
            assert!(shared(&outcome, Duration::ZERO) && shared(&outcome, moment - instant), "{outcome:?}");
            assert!(!shared(&outcome, moment), "{outcome:?}");
        }
    }

    #[test]
    fn a_refresh_whose_task_died_is_begun_anew() {
        let refreshes = Refreshes::default();
        drop(refreshes.join(key(0), NOW));
        assert!(refreshes.join(key(0), NOW).1.is_some());
    }

    #[test]
    fn the_oldest_results_are_let_go_early_and_none_that_runs() {
        let refreshes = Refreshes::default();
        let (_, running) = refreshes.join(key(0), NOW);
        let at = |number: usize| NOW.plus(Duration::from_millis(number as u64 / 2));
        for number in 1..MAX_RESULTS + 10 {
            let (_, sender) = refreshes.join(key(number), at(number));
            sender.expect("a new one").send_replace(Some((Outcome::Over, at(number))));
        }
        let held = |number| refreshes.0.lock().expect("no panic while held").contains_key(&key(number));
        assert_eq!(refreshes.0.lock().expect("no panic while held").len(), MAX_RESULTS);
        assert!(held(0) && !held(1) && held(MAX_RESULTS + 9));
        // What nobody can come late for is gone with the next that is new.
        drop(refreshes.join(key(MAX_RESULTS + 10), at(MAX_RESULTS + 9).plus(GRACE)));
        assert_eq!(refreshes.0.lock().expect("no panic while held").len(), 2);
        drop(running);
    }
}
