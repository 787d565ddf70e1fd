//! The rule of one route: who may pass, by issuer, audience, scopes and claims.

use serde_json::Value;

use crate::clock::UnixTime;
use crate::config::model::Bind;
use crate::token::principal::Principal;
use crate::token::{Rejection, RejectionCode};

use super::denial::Denial;

/// Who may use a route at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A valid token is needed.
    Token,
    /// No token is fine, a bad one is not.
    Optional,
    /// Everybody; credentials are not looked at.
    Public,
}

/// What a route asks of a principal.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Who may use it at all.
    pub access: Access,
    /// Positions of the issuers whose tokens are taken.
    pub issuers: Vec<usize>,
    /// The token's `aud` must name one of these; empty: what the issuer asks for is enough.
    pub audiences: Vec<String>,
    /// All of these scopes.
    pub scopes: Vec<String>,
    /// One of these scopes; empty: no such rule.
    pub any_scope: Vec<String>,
    /// JSON Pointer to accepted values: the claim equals one of them, or is an array that contains one.
    pub claims: Vec<(String, Vec<Value>)>,
    /// Only tokens that are bound to their sender in this way; `None`: bound or not.
    pub bind: Option<Bind>,
}

impl Rule {
    /// Whether tokens of the issuer at this position are taken.
    #[must_use]
    pub fn takes_issuer(&self, issuer: usize) -> bool {
        self.issuers.contains(&issuer)
    }

    /// Checks the principal against everything but `access`.
    ///
    /// # Errors
    /// The first thing that does not hold, in the order issuer, binding, audience, scopes, claims.
    pub fn admits(&self, principal: &Principal, _now: UnixTime) -> Result<(), Denial> {
        if !self.takes_issuer(principal.issuer) {
            let detail = format!("the route does not take tokens of {:?}", principal.issuer_id);
            return Err(Rejection::new(RejectionCode::UnknownIssuer, detail).into());
        }
        if let Some(bind) = self.bind
            && !principal.binding.is_some_and(|binding| binding.is_by(bind))
        {
            let detail =
                format!("the route takes only tokens that are bound to their sender: bind = {:?}", bind.as_str());
            return Err(Rejection::new(RejectionCode::BadBinding, detail).into());
        }
        if !self.audiences.is_empty() && !principal.audiences.iter().any(|aud| self.wants_audience(aud)) {
            let detail = format!("the route asks for one of {:?}", self.audiences);
            return Err(Rejection::new(RejectionCode::WrongAudience, detail).into());
        }
        if let Some(missing) = self.scopes.iter().find(|scope| !principal.scopes.contains(scope)) {
            return Err(self.insufficient_scope(format!("the token lacks the scope {missing:?}")));
        }
        if !self.any_scope.is_empty() && !self.any_scope.iter().any(|scope| principal.scopes.contains(scope)) {
            return Err(self.insufficient_scope(format!("the token has none of the scopes {:?}", self.any_scope)));
        }
        match self.claims.iter().find(|(pointer, accepted)| !claim_holds(principal, pointer, accepted)) {
            Some((pointer, _)) => Err(Denial::ClaimRefused { pointer: pointer.clone() }),
            None => Ok(()),
        }
    }

    fn wants_audience(&self, audience: &str) -> bool {
        self.audiences.iter().any(|wanted| wanted == audience)
    }

    fn insufficient_scope(&self, detail: String) -> Denial {
        Denial::InsufficientScope { needed: self.needed_scopes(), detail }
    }

    /// All scopes that the route names, space-delimited, for the challenge (RFC 6750 section 3).
    #[must_use]
    pub fn needed_scopes(&self) -> String {
        let all: Vec<&str> = self.scopes.iter().chain(&self.any_scope).map(String::as_str).collect();
        all.join(" ")
    }
}

fn claim_holds(principal: &Principal, pointer: &str, accepted: &[Value]) -> bool {
    let Some(claim) = point(&principal.claims, pointer) else { return false };
    match claim {
        Value::Array(items) => accepted.iter().any(|value| value == claim || items.contains(value)),
        single => accepted.contains(single),
    }
}

/// Follows a JSON Pointer (RFC 6901) into a set of claims.
#[must_use]
pub fn point<'a>(claims: &'a serde_json::Map<String, Value>, pointer: &str) -> Option<&'a Value> {
    let mut tokens = pointer.strip_prefix('/')?.splitn(2, '/');
    let first = tokens.next()?.replace("~1", "/").replace("~0", "~");
    let value = claims.get(&first)?;
    match tokens.next() {
        Some(rest) => value.pointer(&format!("/{rest}")),
        None => Some(value),
    }
}
