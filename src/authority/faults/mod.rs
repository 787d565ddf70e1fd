//! Faults on purpose, for tests of clients: which are on, and the four seams at which they are made.
//!
//! A fault touches what leaves the authority, never what it remembers: a token with a wrong `aud` is introspected with
//! the right one. It is made where it fits and not counted where it does not: `wrong_nonce` waits for a token that has a
//! nonce. Each one is logged.

pub(super) mod control;
mod edit;
mod forge;

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Map, Value, json};

use self::forge::Draft;
use super::State;
use super::endpoints::Endpoints;
use super::errors::ErrorCode;
use super::keys::{KeySet, NoKeys, SigningAlgorithm};
use super::pages;
use super::reply::{self, Reply};
use crate::faults::{Act, Obstruct, Order, Place};

/// The faults that are on.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Vec<Pinned>>);

/// One that is on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pinned {
    /// What was ordered.
    pub(super) order: Order,
    /// How often it was made.
    pub(super) made: u32,
}

impl Board {
    /// With these on.
    pub(super) fn with(orders: &[Order]) -> Self {
        let board = Self::default();
        for order in orders {
            board.put(*order);
        }
        board
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pinned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns a fault on, in place of the same one at the same place.
    pub(super) fn put(&self, order: Order) {
        let mut board = self.lock();
        board.retain(|pinned| (pinned.order.fault.word, pinned.order.place) != (order.fault.word, order.place));
        board.push(Pinned { order, made: 0 });
    }

    /// Turns off all that `which` names.
    pub(super) fn clear(&self, which: impl Fn(&Order) -> bool) {
        self.lock().retain(|pinned| !which(&pinned.order));
    }

    /// What is on, in the order in which it was turned on.
    pub(super) fn on(&self) -> Vec<Pinned> {
        self.lock().clone()
    }

    /// Lets `make` make each fault that is on at one of `places`. It says whether it did; what was made as often as it
    /// was ordered is off then.
    fn each(&self, places: &[Place], mut make: impl FnMut(&Order) -> bool) {
        self.lock().retain_mut(|pinned| {
            if !places.contains(&pinned.order.place) || !make(&pinned.order) {
                return true;
            }
            pinned.made = pinned.made.saturating_add(1);
            let (fault, at) = (pinned.order.fault.word, pinned.order.place.word());
            tracing::warn!(fault, at, made = pinned.made, "a fault was made on purpose");
            pinned.order.count.is_none_or(|count| pinned.made < count.get())
        });
    }
}

/// The place that an endpoint is.
pub(super) fn place_of(endpoints: &Endpoints, path: &str) -> Option<Place> {
    let places = [
        (&endpoints.openid_configuration, Place::Discovery),
        (&endpoints.authorization_server, Place::Discovery),
        (&endpoints.jwks, Place::Jwks),
        (&endpoints.authorize, Place::Authorize),
        (&endpoints.pushed, Place::Par),
        (&endpoints.device_authorization, Place::DeviceAuthorization),
        (&endpoints.token, Place::Token),
        (&endpoints.userinfo, Place::Userinfo),
        (&endpoints.introspect, Place::Introspect),
        (&endpoints.revoke, Place::Revoke),
        (&endpoints.end_session, Place::Logout),
    ];
    places.into_iter().find(|(endpoint, _)| endpoint.path == path).map(|(_, place)| place)
}

/// The answer of an endpoint, by way of the faults at `place`.
pub(super) async fn around(state: &State, place: Place, answer: impl Future<Output = Reply>) -> Reply {
    match obstructed(state, place).await {
        Some(instead) => instead,
        None => edited(state, place, answer.await).await,
    }
}

/// Waits if it has to; gives what comes in place of the answer, if anything does.
async fn obstructed(state: &State, place: Place) -> Option<Reply> {
    let (mut delay, mut instead) = (Duration::ZERO, None);
    state.faults.each(&[place], |order| {
        let Act::Obstruct(obstruct) = order.fault.act else { return false };
        match in_place(obstruct, order) {
            None => delay = delay.saturating_add(order.delay.unwrap_or_default()),
            // One answer is enough.
            Some(_) if instead.is_some() => return false,
            reply => instead = reply,
        }
        true
    });
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    instead
}

fn in_place(obstruct: Obstruct, order: &Order) -> Option<Reply> {
    let status = order.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
    let mut reply = match obstruct {
        Obstruct::Slow => return None,
        Obstruct::Status => reply::text(status, "A fault that was ordered."),
        Obstruct::Html => {
            let page = "<!doctype html>\n<html><head><title>Welcome</title></head><body><h1>Please sign in to the network</h1></body></html>\n";
            reply::whole(status, "text/html; charset=utf-8", page.into())
        }
        Obstruct::Garbage => {
            reply::whole(StatusCode::OK, "application/json", "{\"keys\": [{\"kty\":}, <garbage>".into())
        }
        Obstruct::InvalidGrant => return Some(ErrorCode::InvalidGrant.because("a fault that was ordered").reply()),
    };
    reply::forbid_storing(&mut reply);
    Some(reply)
}

/// The answer with the faults of `place` in it, if it is a JSON object and not an error.
async fn edited(state: &State, place: Place, reply: Reply) -> Reply {
    let is_json = reply.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !reply.status().is_success() || !is_json {
        return reply;
    }
    let (head, body) = reply.into_parts();
    let body = whole(body).await;
    let (mut changed, now) = (false, state.clock.now());
    let mut document = serde_json::from_slice(&body).unwrap_or_default();
    state.faults.each(&[place], |order| {
        let Act::Edit(edit) = order.fault.act else { return false };
        let made = edit::make(edit, &mut document, now);
        changed |= made;
        made
    });
    if !changed {
        return Response::from_parts(head, Full::new(body));
    }
    let mut reply = Response::from_parts(head, Full::from(document.to_string()));
    // A fault ends when it is turned off, not when a cache forgets it.
    reply::forbid_storing(&mut reply);
    reply
}

/// A token as the faults at `places` want it; a good one without them.
pub(super) fn jws(
    state: &State,
    keys: &KeySet,
    places: &[Place],
    (algorithm, typ): (SigningAlgorithm, &str),
    claims: Value,
) -> Result<String, NoKeys> {
    let (mut draft, now) = (Draft::new(keys, algorithm, typ, claims)?, state.clock.now());
    state.faults.each(places, |order| match order.fault.act {
        Act::Edit(edit) => edit::make(edit, &mut draft.claims, now),
        Act::Forge(forge) => draft.forge(forge, keys),
        Act::Obstruct(_) => false,
    });
    draft.seal(keys)
}

/// The parameters that the browser takes to the client, with the faults in them.
pub(super) fn edit_response(state: &State, parameters: &mut Vec<(&'static str, String)>) {
    let named = parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
    let (mut document, now) = (Value::Object(named.collect::<Map<_, _>>()), state.clock.now());
    state.faults.each(&[Place::AuthorizationResponse], |order| match order.fault.act {
        Act::Edit(edit) => edit::make(edit, &mut document, now),
        Act::Forge(_) | Act::Obstruct(_) => false,
    });
    parameters.retain_mut(|(name, value)| match document[*name].as_str() {
        Some(edited) => {
            edited.clone_into(value);
            true
        }
        None => false,
    });
}

/// A page says which faults are on.
pub(super) async fn marked(state: &State, reply: Reply) -> Reply {
    let on: Vec<_> = state.faults.on().iter().map(|pinned| pinned.order.to_string()).collect();
    let is_page = reply.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if on.is_empty() || !is_page {
        return reply;
    }
    let (head, body) = reply.into_parts();
    let html = String::from_utf8_lossy(&whole(body).await).into_owned();
    Response::from_parts(head, Full::from(pages::with_faults(&html, &on)))
}

async fn whole(body: Full<bytes::Bytes>) -> bytes::Bytes {
    match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(never) => match never {},
    }
}
