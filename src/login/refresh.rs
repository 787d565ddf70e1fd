//! Renewing the tokens of a session: once, however many requests come at the moment.
//!
//! A request starts it, never a timer, when little of the access token's life is left. It runs as a task of its own that
//! the end of no request cancels, and all requests that come with the same refresh token share what it brings; for a
//! moment also those that come later with the old one, as their answer may have been lost. Of replicas that share a store,
//! the one that gets the claim on the session does it, and the others wait for what it brings. Whatever goes wrong, the
//! worst is another login. What the issuer says of the person now counts: claims that changed take effect, claims that are
//! no longer said are gone, and another person ends the session.

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
use crate::session::{Live, Place, Session};
use crate::token::claims::Claims;
use crate::token::jwt::Jws;

/// So much of the access token's life is left at most when it is renewed; less for short lives ([`PART`]).
const MARGIN: Duration = Duration::from_secs(30);
/// The part of a short life that is left.
const PART: u32 = 5;
/// How long the result of a refresh is shared with those who come late.
const GRACE: Duration = Duration::from_secs(10);
/// How long a replica has the claim on a session: longer than a refresh can take, as every question to the issuer has a
/// deadline. Also how long the others wait for it.
const CLAIM: Duration = Duration::from_secs(30);
/// How often they look.
const LOOK: Duration = Duration::from_millis(40);
/// Results that are held at once; beyond that the oldest are let go early.
const MAX_RESULTS: usize = 10_000;
/// Claims of the first ID token that no refresh changes, whether later ones repeat them or not (OpenID Connect Core 1.0,
/// section 12.2).
const OF_THE_SIGN_IN: [&str; 2] = ["auth_time", "nonce"];

/// What became of a session.
#[derive(Debug, Clone)]
enum Outcome {
    /// It goes on with new tokens.
    Renewed(Arc<Session>),
    /// The issuer said no, or speaks of somebody else: it is over.
    Over,
    /// Nobody knows; the old tokens serve as long as they last.
    Unknown,
}

/// Who refreshes.
enum Turn {
    /// This replica.
    Mine,
    /// Another did.
    Done(Outcome),
}

type Result = watch::Receiver<Option<Outcome>>;

/// The refreshes of the process, by digest of the refresh token.
#[derive(Debug, Default)]
pub struct Refreshes(Mutex<HashMap<[u8; 32], (UnixTime, Result)>>);

impl Refreshes {
    /// The refresh with this token: one that runs or ran a moment ago, or a new one, which the caller has to run.
    fn join(&self, key: [u8; 32], now: UnixTime) -> (Result, Option<watch::Sender<Option<Outcome>>>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, result)) = held.get(&key).filter(|(began, result)| is_shared(*began, result, now)) {
            return (result.clone(), None);
        }
        if held.len() >= MAX_RESULTS {
            held.retain(|_, (began, result)| is_shared(*began, result, now));
        }
        let (sender, result) = watch::channel(None);
        held.insert(key, (now, result.clone()));
        (result, Some(sender))
    }
}

/// A refresh is shared while it runs, and its result for a moment. One whose task died is neither.
fn is_shared(began: UnixTime, result: &Result, now: UnixTime) -> bool {
    let running = result.borrow().is_none() && result.has_changed().is_ok();
    running || result.borrow().is_some() && now.since(began) < GRACE
}

impl Login {
    /// The session with fresh tokens, if they were about to end; `None` when it is over.
    pub async fn fresh(self: &Arc<Self>, live: Live, now: UnixTime) -> Option<Live> {
        let tokens = &live.session.tokens;
        let (Some(refresh), Some((given, ends))) = (&tokens.refresh, tokens.span) else { return Some(live) };
        let (given, ends) = (UnixTime::from_millis(given), UnixTime::from_millis(ends));
        let margin = MARGIN.min(ends.since(given) / PART);
        if ends.since(now) > margin {
            return Some(live);
        }
        let (mut result, mine) = self.shared.refreshes.join(sha256(refresh.as_bytes()), now);
        if let Some(sender) = mine {
            let (login, session, place) = (Arc::clone(self), Arc::clone(&live.session), live.place);
            tokio::spawn(async move { drop(sender.send_replace(Some(login.refresh(&session, place, now).await))) });
        }
        let outcome = result.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        match outcome {
            Some(Outcome::Renewed(session)) => self.renewed(live, session).await,
            Some(Outcome::Over) => None,
            // The session is as good as its tokens, which cannot be asked about now.
            Some(Outcome::Unknown) | None => (now < ends).then_some(live),
        }
    }

    /// What the request goes on with. A session in the browser has to be written there by each response.
    async fn renewed(&self, live: Live, session: Arc<Session>) -> Option<Live> {
        match live.place {
            Place::Stored(_) => Some(Live { session, ..live }),
            Place::Browser => self.sessions.renew(&self.jar, live.place, session).await.ok().flatten(),
        }
    }

    async fn refresh(&self, session: &Arc<Session>, place: Place, now: UnixTime) -> Outcome {
        let Place::Stored(key) = place else { return self.redeem(session, place, now).await };
        let holder = random_id();
        match self.claim(session, key, &holder).await {
            Ok(Turn::Mine) => {
                let outcome = self.redeem(session, place, now).await;
                self.sessions.release(key, &holder).await;
                outcome
            }
            Ok(Turn::Done(outcome)) => outcome,
            Err(error) => {
                tracing::warn!(login = &*self.settings.name, %error, "a session could not be refreshed");
                Outcome::Unknown
            }
        }
    }

    /// Waits until this replica may refresh the session, or another has done it; not for ever.
    async fn claim(&self, session: &Session, key: Key, holder: &str) -> std::result::Result<Turn, StoreError> {
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
    async fn turn(&self, session: &Session, key: Key, holder: &str) -> std::result::Result<Option<Turn>, StoreError> {
        let mine = self.sessions.claim(key, holder, CLAIM).await?;
        // Looked at with the claim in hand too: another may have been done a moment ago.
        let done = match self.sessions.at(key).await? {
            None => Outcome::Over,
            Some(found) if found.refreshes > session.refreshes => Outcome::Renewed(found),
            Some(_) => return Ok(mine.then_some(Turn::Mine)),
        };
        if mine {
            self.sessions.release(key, holder).await;
        }
        Ok(Some(Turn::Done(done)))
    }

    async fn redeem(&self, session: &Arc<Session>, place: Place, now: UnixTime) -> Outcome {
        let name = &*self.settings.name;
        let Some(token) = &session.tokens.refresh else { return Outcome::Over };
        let grant = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        let answer = match self.provider.redeem(&grant).await {
            Ok(answer) => answer,
            Err(error @ ProviderError::Unavailable(_)) => {
                tracing::warn!(login = name, %error, "a session could not be refreshed");
                return Outcome::Unknown;
            }
            Err(error @ ProviderError::Refused { .. }) => {
                tracing::info!(login = name, %error, "a session ends: its refresh was refused");
                return self.over(place).await;
            }
        };
        match self.renew(session, &answer, now).await {
            Ok(renewed) => self.keep(place, Arc::new(renewed)).await,
            Err(failure) => {
                tracing::warn!(
                    login = name,
                    detail = failure.detail,
                    "a session ends: its refresh brought no good answer"
                );
                self.over(place).await
            }
        }
    }

    async fn over(&self, place: Place) -> Outcome {
        // A store that does not answer now does not give the session out either.
        let _ = self.sessions.drop_at(place).await;
        Outcome::Over
    }

    async fn keep(&self, place: Place, renewed: Arc<Session>) -> Outcome {
        if place == Place::Browser {
            return Outcome::Renewed(renewed);
        }
        match self.sessions.renew(&self.jar, place, Arc::clone(&renewed)).await {
            Ok(Some(_)) => Outcome::Renewed(renewed),
            // It was ended meanwhile, as by a logout.
            Ok(None) => Outcome::Over,
            Err(error) => {
                tracing::warn!(%error, "a refreshed session could not be kept");
                Outcome::Renewed(renewed)
            }
        }
    }

    /// The session with what the issuer says now (OpenID Connect Core 1.0, section 12.2).
    async fn renew(&self, before: &Session, answer: &Answer, now: UnixTime) -> std::result::Result<Session, Failure> {
        let mut claims = match &answer.id_token {
            Some(id_token) => {
                let fresh = self.verified(id_token, &self.expected(&answer.access_token), now).await?;
                same_person(before, &fresh)?;
                fresh
            }
            // It was verified when it came.
            None => {
                Jws::parse(&before.tokens.id).map_err(|rejection| Failure::of_issuer(rejection.to_string()))?.claims
            }
        }
        .into_map();
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
}

fn same_person(before: &Session, fresh: &Claims) -> std::result::Result<(), Failure> {
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
