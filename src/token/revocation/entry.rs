//! One revocation: which tokens it refuses, and until when.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::UnixTime;
use crate::secret;
use crate::token::principal::Principal;

/// What a revocation goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The identifier of one token.
    Jti,
    /// The session at the issuer that a token belongs to (OpenID Connect, back-channel logout section 2.1).
    Sid,
    /// Whom a token speaks for.
    Sub,
    /// The client that a token was issued to.
    Client,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Jti, Self::Sid, Self::Sub, Self::Client];

    /// The claim, as operators write it; the client's claim is named after the profile in tokens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jti => "jti",
            Self::Sid => "sid",
            Self::Sub => "sub",
            Self::Client => "client_id",
        }
    }

    /// What a principal has of this kind.
    #[must_use]
    pub fn of(self, principal: &Principal) -> Option<&str> {
        match self {
            Self::Jti | Self::Sid => principal.claims.get(self.as_str()).and_then(Value::as_str),
            Self::Sub => principal.subject.as_deref(),
            Self::Client => principal.client.as_deref(),
        }
    }
}

/// One revocation. Times are seconds since the epoch, as in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its identifier: the same for the same tokens, so that a second order replaces the first.
    pub id: Box<str>,
    /// What it goes by.
    pub kind: Kind,
    /// The value that a token must have there.
    pub value: Box<str>,
    /// The issuer whose tokens it concerns, as in `iss`; `None`: every issuer's.
    pub issuer: Option<Arc<str>>,
    /// Tokens that were issued at this moment or later are not refused. A token that does not say when it was issued is.
    pub issued_before: Option<i64>,
    /// From this moment on it refuses nothing.
    pub until: i64,
    /// When it was taken in.
    pub revoked_at: i64,
    /// Why, in the words of whoever ordered it.
    pub reason: Option<Box<str>>,
}

impl Entry {
    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        now >= UnixTime::from_secs(self.until)
    }

    /// Whether it refuses tokens of this principal, who has its value.
    pub(super) fn concerns(&self, principal: &Principal, now: UnixTime) -> bool {
        let of_issuer = self.issuer.as_ref().is_none_or(|issuer| *issuer == principal.issuer_id);
        of_issuer && !self.is_over(now) && self.issued_before.is_none_or(|moment| issued_before(principal, moment))
    }

    /// As JSON, for operators and for the store.
    #[must_use]
    pub fn to_json(&self) -> String {
        let of = |kind: Kind| (kind == self.kind).then(|| self.value.clone());
        let written = Written {
            id: self.id.clone(),
            jti: of(Kind::Jti),
            sid: of(Kind::Sid),
            sub: of(Kind::Sub),
            client_id: of(Kind::Client),
            issuer: self.issuer.as_deref().map(Box::from),
            issued_before: self.issued_before,
            until: self.until,
            revoked_at: self.revoked_at,
            reason: self.reason.clone(),
        };
        serde_json::to_string(&written).expect("texts and numbers are JSON")
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(text: &[u8]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let Written { jti, sid, sub, client_id, .. } = written;
        let (kind, value) = one_of([jti, sid, sub, client_id])?;
        Ok(Self {
            id: identifier(kind, &value, written.issuer.as_deref()),
            kind,
            value,
            issuer: written.issuer.map(Arc::from),
            issued_before: written.issued_before,
            until: written.until,
            revoked_at: written.revoked_at,
            reason: written.reason,
        })
    }
}

/// The identifier of the entry for these tokens.
pub(super) fn identifier(kind: Kind, value: &str, issuer: Option<&str>) -> Box<str> {
    let issuer = issuer.unwrap_or_default();
    // The length keeps two entries apart that only share the joined text.
    secret::stand_in(&format!("{}:{}:{issuer}{value}", kind.as_str(), issuer.len())).into()
}

/// What an entry goes by, from the four members in the order of [`Kind::ALL`].
///
/// # Errors
/// When it is not exactly one, or an empty one.
pub(super) fn one_of(members: [Option<Box<str>>; 4]) -> Result<(Kind, Box<str>), String> {
    let mut given = Kind::ALL.into_iter().zip(members).filter_map(|(kind, value)| Some((kind, value?)));
    match (given.next(), given.next()) {
        (Some((kind, value)), None) if value.is_empty() => Err(format!("{} is empty", kind.as_str())),
        (Some(one), None) => Ok(one),
        _ => Err("exactly one of jti, sid, sub and client_id says what is revoked".into()),
    }
}

/// Whether a token is older than `moment`, or does not say how old it is.
fn issued_before(principal: &Principal, moment: i64) -> bool {
    let issued_at = principal.claims.get("iat").and_then(Value::as_f64);
    #[expect(clippy::cast_precision_loss, reason = "seconds of this age are far below 2^52")]
    issued_at.is_none_or(|issued_at| issued_at < moment as f64)
}

/// What the log and `detail` say of it: nothing of the token itself.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its {} was revoked at {} (revocation {})", self.kind.as_str(), self.revoked_at, self.id)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    id: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<i64>,
    until: i64,
    revoked_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Box<str>>,
}
