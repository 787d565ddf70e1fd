//! What rules ask of a principal: the keys of a route, and of the rule sets that it shares.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// What one table asks, beside a valid token. Everything that is written must hold.
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    /// The rule set, `[rules.NAME]`; `None`: the keys of the route itself.
    pub set: Option<Arc<str>>,
    /// `aud` must name one of these; empty: no such rule. So for all lists here.
    pub audiences: Vec<String>,
    /// All of these scopes.
    pub scopes: Vec<String>,
    /// One of these scopes.
    pub any_scope: Vec<String>,
    /// JSON Pointer into the claims, and what must hold there.
    pub claims: Vec<(String, ClaimTest<Param>)>,
    /// The client must be one of these.
    pub client_ids: Vec<String>,
    /// `acr` must be one of these (RFC 9470).
    pub acr: Vec<String>,
    /// `auth_time` must not be longer ago (RFC 9470).
    pub max_age: Option<Duration>,
    /// `exp` must be at least so far off.
    pub min_remaining_life: Option<Duration>,
    /// From `iat` to `exp` at most.
    pub max_total_life: Option<Duration>,
}

/// What must hold of a claim. `P` is how a parameter of the path is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimTest<P> {
    /// It is there, and not null.
    Exists,
    /// It is not there, or null.
    Absent,
    /// It equals one of these, or is an array that contains one: a value or a list, as `"/role" = ["a", "b"]`.
    Has(Vec<Accepted<P>>),
    /// It equals one of these: `{ equals = ... }`, `{ one_of = [...] }`.
    OneOf(Vec<Accepted<P>>),
    /// It is an array that contains this: `{ contains = ... }`.
    Contains(Accepted<P>),
}

/// What a claim is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted<P> {
    /// This value.
    Value(Value),
    /// The value of a parameter of the route's path.
    Param(P),
}

/// A `{name}` of the route's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: Box<str>,
    /// Which segment of the path it stands for, from 0.
    pub segment: usize,
}

impl<P> ClaimTest<P> {
    /// What it compares with.
    #[must_use]
    pub fn accepted(&self) -> &[Accepted<P>] {
        match self {
            Self::Exists | Self::Absent => &[],
            Self::Has(values) | Self::OneOf(values) => values,
            Self::Contains(value) => std::slice::from_ref(value),
        }
    }

    /// Whether it holds of a claim; `is_param` compares a value with a parameter.
    pub fn holds(&self, claim: Option<&Value>, is_param: impl Fn(&P, &Value) -> bool) -> bool {
        let equals = |accepted: &Accepted<P>, value: &Value| match accepted {
            Accepted::Value(wanted) => wanted == value,
            Accepted::Param(param) => is_param(param, value),
        };
        let contains = |claim: &Value, accepted: &Accepted<P>| match claim {
            Value::Array(items) => items.iter().any(|item| equals(accepted, item)),
            _ => false,
        };
        match (self, claim) {
            (Self::Absent, claim) => claim.is_none_or(Value::is_null),
            (_, None | Some(Value::Null)) => false,
            (Self::Exists, Some(_)) => true,
            (Self::Has(values), Some(claim)) => {
                values.iter().any(|accepted| equals(accepted, claim) || contains(claim, accepted))
            }
            (Self::OneOf(values), Some(claim)) => values.iter().any(|accepted| equals(accepted, claim)),
            (Self::Contains(accepted), Some(claim)) => contains(claim, accepted),
        }
    }

    /// The same test with parameters known in another way; `None` if one of them is not known so.
    pub fn map<Q>(&self, mut known: impl FnMut(&P) -> Option<Q>) -> Option<ClaimTest<Q>> {
        let mut one = |accepted: &Accepted<P>| match accepted {
            Accepted::Value(value) => Some(Accepted::Value(value.clone())),
            Accepted::Param(param) => known(param).map(Accepted::Param),
        };
        Some(match self {
            Self::Exists => ClaimTest::Exists,
            Self::Absent => ClaimTest::Absent,
            Self::Has(values) => ClaimTest::Has(values.iter().map(one).collect::<Option<_>>()?),
            Self::OneOf(values) => ClaimTest::OneOf(values.iter().map(one).collect::<Option<_>>()?),
            Self::Contains(value) => ClaimTest::Contains(one(value)?),
        })
    }
}
