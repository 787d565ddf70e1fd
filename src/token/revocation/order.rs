//! What an operator writes to revoke tokens: a JSON object, read strictly, since a misspelt member would revoke less, or
//! other tokens, than was meant.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::entry::{Entry, Kind, identifier, one_of};
use crate::clock::UnixTime;

/// Letters of a value or a reason.
const MAX_TEXT: usize = 1024;
/// How far ahead an entry may end: 366 days.
const MAX_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// The object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    jti: Option<Box<str>>,
    sid: Option<Box<str>>,
    sub: Option<Box<str>>,
    client_id: Option<Box<str>>,
    issuer: Option<Box<str>>,
    issued_before: Option<Value>,
    until: Option<i64>,
    reason: Option<Box<str>>,
}

/// What an order is read in the light of.
#[derive(Debug)]
pub struct Context<'a> {
    /// The issuers of the configuration: name, and `iss`.
    pub issuers: &'a [(&'a str, Arc<str>)],
    /// How long an entry lasts that does not say so.
    pub lifetime: Duration,
    /// The time.
    pub now: UnixTime,
}

impl Order {
    /// Reads the object.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| format!("not an order to revoke: {error}"))
    }

    /// The entry that the order asks for.
    ///
    /// # Errors
    /// What is wrong with the order.
    pub fn entry(self, context: &Context<'_>) -> Result<Entry, String> {
        let now = context.now;
        let (kind, value) = one_of([self.jti, self.sid, self.sub, self.client_id])?;
        let issuer = issuer(kind, self.issuer.as_deref(), context.issuers)?;
        let issued_before = self.issued_before.map(|written| issued_before(kind, &written, now)).transpose()?;
        let until = self.until.unwrap_or_else(|| now.plus(context.lifetime).secs());
        if until <= now.secs() || until > now.plus(MAX_LIFE).secs() {
            return Err(
                "until is a number of seconds since the epoch, in the future, and 366 days ahead at most".into()
            );
        }
        for (name, text) in [(kind.as_str(), Some(&value)), ("reason", self.reason.as_ref())] {
            if text.is_some_and(|text| text.chars().count() > MAX_TEXT || text.chars().any(char::is_control)) {
                return Err(format!("{name} has {MAX_TEXT} letters at most, and no control characters"));
            }
        }
        let id = identifier(kind, &value, issuer.as_deref());
        Ok(Entry { id, kind, value, issuer, issued_before, until, revoked_at: now.secs(), reason: self.reason })
    }
}

/// The `iss` of the issuer that is meant, by its name in the configuration or by its `iss`.
fn issuer(kind: Kind, written: Option<&str>, known: &[(&str, Arc<str>)]) -> Result<Option<Arc<str>>, String> {
    let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match (written, known) {
        (Some(written), _) => match known.iter().find(|(name, iss)| *name == written || **iss == *written) {
            Some((_, iss)) => Ok(Some(Arc::clone(iss))),
            None => Err(format!("issuer names none of the configuration; there is: {}", names())),
        },
        (None, [(_, only)]) => Ok(Some(Arc::clone(only))),
        // The same name may be somebody else's at another issuer.
        (None, _) if kind == Kind::Sub => Err(format!("a sub is revoked for one issuer; add issuer: {}", names())),
        (None, _) => Ok(None),
    }
}

fn issued_before(kind: Kind, written: &Value, now: UnixTime) -> Result<i64, String> {
    if kind == Kind::Jti {
        return Err("issued_before goes with sid, sub and client_id: a jti is one token".into());
    }
    match (written.as_i64(), written.as_str()) {
        (Some(moment), _) => Ok(moment),
        // `iat` has whole seconds: what was issued in this very second may be older than the order.
        (None, Some("now")) => Ok(now.secs() + 1),
        _ => Err("issued_before is \"now\" or a number of seconds since the epoch".into()),
    }
}
