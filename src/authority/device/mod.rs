//! The device flow (RFC 8628): a device without a browser shows a code, a person types it in elsewhere, and the device
//! asks until the answer is there.

mod page;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode, request};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::State;
use super::clients;
use super::errors::{self, ErrorCode, OauthError};
use super::form::Form;
use super::granted::Authorization;
use super::intake;
use super::reply::{self, Reply};
use super::scope;
use super::settings::Grant;
use super::store::key;
use crate::clock::UnixTime;
use crate::secret::{random_bytes, random_id};

pub(super) use self::page::handle as handle_page;

/// How long a person has for it.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long a code is remembered after that, so that the device hears why.
const REMEMBERED: Duration = Duration::from_secs(600);
/// The least number of seconds between two questions of the device, at first; each one too early adds as many.
const INTERVAL: u64 = 5;
/// Letters that are not taken for one another, nor make words (RFC 8628, section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// A device that waits.
#[derive(Debug)]
pub(super) struct DeviceRecord {
    /// The client on it.
    pub(super) client: String,
    /// What it asks for.
    pub(super) scopes: Vec<String>,
    /// Where.
    pub(super) resources: Vec<String>,
    /// What the person said.
    pub(super) outcome: Outcome,
    expires: UnixTime,
    interval: Duration,
    asked: Option<UnixTime>,
}

/// What a person said to a device's wish.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Nothing yet.
    Pending,
    /// Yes.
    Allowed(Arc<Authorization>),
    /// No.
    Denied,
}

/// Answers the device authorization endpoint (RFC 8628, section 3.1).
pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    if request.method() != Method::POST {
        return reply::method_not_allowed("POST");
    }
    let (head, body) = request.into_parts();
    let begun = intake::form(&head, body).await.and_then(|form| begin(state, &head, &form));
    errors::answered(StatusCode::OK, begun)
}

fn begin(state: &State, head: &request::Parts, form: &Form) -> Result<Value, OauthError> {
    let client = clients::authenticate(state, head, &state.endpoints.device_authorization, form)?.client;
    if !client.may(Grant::DeviceCode) {
        return Err(ErrorCode::UnauthorizedClient.because("this client is not registered for the device flow"));
    }
    let now = state.clock.now();
    let record = DeviceRecord {
        client: client.id.clone(),
        scopes: scope::scopes(client, form)?,
        resources: scope::resources(form)?,
        outcome: Outcome::Pending,
        expires: now.plus(LIFETIME),
        interval: Duration::from_secs(INTERVAL),
        asked: None,
    };
    let (device_code, user_code) = (format!("{}{}", random_id(), random_id()), user_code());
    let mut shelves = state.store.lock();
    shelves.devices.put(key(&device_code), record, now.plus(LIFETIME + REMEMBERED), now);
    shelves.user_codes.put(key(&normal(&user_code)), key(&device_code), now.plus(LIFETIME), now);
    let page = &state.endpoints.device.url;
    Ok(json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": LIFETIME.as_secs(),
        "interval": INTERVAL,
    }))
}

/// `BCDF-GHJK`. Bytes beyond the last whole multiple of 20 are thrown away, so that all letters are equally likely.
fn user_code() -> String {
    let mut letters = String::new();
    while letters.len() < 9 {
        for byte in random_bytes::<16>().into_iter().filter(|byte| *byte < 240) {
            if letters.len() == 4 {
                letters.push('-');
            }
            if letters.len() < 9 {
                letters.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
            }
        }
    }
    letters
}

/// As people type it: without blanks and hyphens, in either case.
fn normal(user_code: &str) -> String {
    user_code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// As devices show them, however a person typed it.
fn as_shown(user_code: &str) -> String {
    let mut code = normal(user_code);
    if code.len() > 4 {
        code.insert(4, '-');
    }
    code
}

/// The answer to a device that asks (RFC 8628, section 3.5): what was allowed, once.
pub(super) fn ask(state: &State, client: &str, device_code: &str) -> Result<Arc<Authorization>, OauthError> {
    let (key, now) = (key(device_code), state.clock.now());
    let mut shelves = state.store.lock();
    let record = shelves.devices.get_mut(&key, now).filter(|record| record.client == client);
    let record = record.ok_or_else(|| ErrorCode::InvalidGrant.because("the device code is unknown or used"))?;
    if now >= record.expires {
        return Err(ErrorCode::ExpiredToken.because("nobody answered in time"));
    }
    let authorization = match &record.outcome {
        Outcome::Pending => {
            let early = record.asked.is_some_and(|asked| now.since(asked) < record.interval);
            record.asked = Some(now);
            if early {
                record.interval += Duration::from_secs(INTERVAL);
                return Err(ErrorCode::SlowDown.because("wait longer between two questions: five seconds more"));
            }
            return Err(ErrorCode::AuthorizationPending.because("nobody answered yet"));
        }
        Outcome::Denied => return Err(ErrorCode::AccessDenied.because("the person said no")),
        Outcome::Allowed(authorization) => Arc::clone(authorization),
    };
    shelves.devices.take(&key, now);
    match authorization.is_revoked() {
        true => Err(ErrorCode::InvalidGrant.because("what the person allowed was revoked, as by signing out")),
        false => Ok(authorization),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_codes_are_easy_to_type() {
        for _ in 0..100 {
            let code = user_code();
            let (first, second) = code.split_once('-').unwrap();
            assert_eq!((first.len(), second.len()), (4, 4), "{code}");
            assert!(code.bytes().all(|byte| byte == b'-' || LETTERS.contains(&byte)), "{code}");
            assert_eq!(as_shown(&code.to_ascii_lowercase().replace('-', " ")), code);
            assert_eq!(normal(&format!(" {} ", code.to_ascii_lowercase().replace('-', " "))), code.replace('-', ""));
        }
    }
}
