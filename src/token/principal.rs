//! Who a token speaks for.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::binding::Binding;
use crate::clock::UnixTime;

/// Who a verified token speaks for. Only the verifying modules of [`crate::token`] make one for a real request;
/// `explain --claims` and `[[tests]]` make one from written claims.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Position of the issuer in [`crate::config::model::Config::issuers`].
    pub issuer: usize,
    /// The issuer's `iss`.
    pub issuer_id: Arc<str>,
    /// `sub`
    pub subject: Option<Box<str>>,
    /// `client_id`, or what the issuer's profile has in its place (`azp`, `cid`, `appid`).
    pub client: Option<Box<str>>,
    /// `scope` or `scp`, string or array, in the token's order without repeats.
    pub scopes: Scopes,
    /// `aud`; a single string is one element.
    pub audiences: Vec<Box<str>>,
    /// `exp`, without any clock skew.
    pub expires_at: UnixTime,
    /// `cnf`: what the sender of the token has to prove.
    pub binding: Option<Binding>,
    /// All claims as they were signed.
    pub claims: Map<String, Value>,
}

/// A set of scopes that keeps its order (RFC 6749 section 3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Box<str>>);

impl Scopes {
    /// The scopes of a space-delimited string; repeats are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        text.split(' ').filter(|scope| !scope.is_empty()).for_each(|scope| scopes.add(scope));
        scopes
    }

    /// Adds one scope unless it is there.
    pub fn add(&mut self, scope: &str) {
        if !self.contains(scope) {
            self.0.push(scope.into());
        }
    }

    /// Whether `scope` is one of them, compared whole and with case.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|mine| **mine == *scope)
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As one space-delimited string.
    #[must_use]
    pub fn joined(&self) -> String {
        self.0.join(" ")
    }
}
