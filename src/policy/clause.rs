//! One clause of a rule: what it asks, whether a principal fulfils it, and which denial it gives when not.
//!
//! Whether it holds ([`Clause::holds`]) costs no allocation; the denial is made only for who is refused.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::clock::UnixTime;
use crate::config::model::{Accepted, Bind, ClaimTest, Param, Requirements};
use crate::pattern::segment_reads;
use crate::token::claims::numeric_date;
use crate::token::principal::Principal;
use crate::token::{Rejection, RejectionCode};

use super::Circumstances;
use super::denial::{Denial, StepUp};
use super::pointer::Pointer;

/// An `auth_time` further ahead than this is no clock that runs fast: it says nothing.
const FUTURE: Duration = Duration::from_secs(600);

/// One thing that a rule asks, and which table asks it.
#[derive(Debug, Clone)]
pub struct Clause {
    /// The rule set; `None`: the route itself.
    pub(super) set: Option<Arc<str>>,
    pub(super) ask: Ask,
}

/// What is asked, in the order in which it is looked at: a token that is none for this route first, then what the
/// caller may never do, then what another login would help with, so that nobody signs in again in vain.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Bind(Bind),
    Audiences(Vec<String>),
    MinRemainingLife(Duration),
    Scopes(Vec<String>),
    AnyScope(Vec<String>),
    ClientIds(Vec<String>),
    Claim(Box<Claim>),
    MaxTotalLife(Duration),
    Acr(Vec<String>),
    MaxAge(Duration),
}

/// A test of one claim.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) pointer: Pointer,
    pub(super) test: ClaimTest<Param>,
    names_params: bool,
}

impl Clause {
    /// A token that is bound to its sender in this way; the route itself asks for it.
    pub(super) const fn bound(bind: Bind) -> Self {
        Self { set: None, ask: Ask::Bind(bind) }
    }

    /// What one table asks.
    pub(super) fn all_of(asks: &Requirements) -> impl Iterator<Item = Self> {
        let list =
            |values: &Vec<String>, ask: fn(Vec<String>) -> Ask| (!values.is_empty()).then(|| ask(values.clone()));
        let claim = |(pointer, test): &(String, ClaimTest<Param>)| {
            let names_params = test.accepted().iter().any(|accepted| matches!(accepted, Accepted::Param(_)));
            Ask::Claim(Box::new(Claim { pointer: Pointer::new(pointer), test: test.clone(), names_params }))
        };
        let all: Vec<Ask> = [
            list(&asks.audiences, Ask::Audiences),
            asks.min_remaining_life.map(Ask::MinRemainingLife),
            list(&asks.scopes, Ask::Scopes),
            list(&asks.any_scope, Ask::AnyScope),
            list(&asks.client_ids, Ask::ClientIds),
            asks.max_total_life.map(Ask::MaxTotalLife),
            list(&asks.acr, Ask::Acr),
            asks.max_age.map(Ask::MaxAge),
        ]
        .into_iter()
        .flatten()
        .chain(asks.claims.iter().map(claim))
        .collect();
        let set = asks.set.clone();
        all.into_iter().map(move |ask| Self { set: set.clone(), ask })
    }

    /// Where it stands in the order in which clauses are looked at.
    pub(super) const fn rank(&self) -> u8 {
        match self.ask {
            Ask::Bind(_) | Ask::Audiences(_) => 0,
            Ask::MinRemainingLife(_) => 1,
            Ask::Scopes(_) => 2,
            Ask::AnyScope(_) => 3,
            Ask::ClientIds(_) => 4,
            Ask::Claim(_) => 5,
            Ask::MaxTotalLife(_) => 6,
            Ask::Acr(_) => 7,
            Ask::MaxAge(_) => 8,
        }
    }

    /// Whether the principal fulfils it.
    #[must_use]
    pub fn holds(&self, principal: &Principal, given: Circumstances<'_>) -> bool {
        match &self.ask {
            Ask::Bind(bind) => principal.binding.is_some_and(|binding| binding.is_by(*bind)),
            Ask::Audiences(wanted) => principal.audiences.iter().any(|audience| is_one_of(audience, wanted)),
            Ask::MinRemainingLife(least) => principal.expires_at >= given.now.plus(*least),
            Ask::MaxTotalLife(most) => {
                let issued_at = principal.claims.get("iat").and_then(numeric_date);
                issued_at.is_some_and(|issued_at| principal.expires_at <= issued_at.plus(*most))
            }
            Ask::Scopes(all) => all.iter().all(|scope| principal.scopes.contains(scope)),
            Ask::AnyScope(any) => any.iter().any(|scope| principal.scopes.contains(scope)),
            Ask::ClientIds(wanted) => principal.client.as_deref().is_some_and(|client| is_one_of(client, wanted)),
            Ask::Claim(claim) => claim.holds(principal, given),
            Ask::Acr(wanted) => {
                principal.claims.get("acr").and_then(Value::as_str).is_some_and(|acr| is_one_of(acr, wanted))
            }
            Ask::MaxAge(most) => signed_in_at(principal)
                .is_some_and(|then| given.now.since(then) <= *most && then <= given.now.plus(FUTURE)),
        }
    }

    /// The denial of a principal that does not fulfil it. `scopes` and `step_up` are what the whole rule asks for.
    pub(super) fn denial(
        &self,
        principal: &Principal,
        given: Circumstances<'_>,
        scopes: &str,
        step_up: &StepUp,
    ) -> Denial {
        let rejected = |code, detail| Denial::Token(Rejection::new(code, self.told(detail)));
        match &self.ask {
            Ask::Bind(bind) => {
                let detail = "the route takes only tokens that are bound to their sender";
                rejected(RejectionCode::BadBinding, format!("{detail}: bind = {:?}", bind.as_str()))
            }
            Ask::Audiences(wanted) => {
                rejected(RejectionCode::WrongAudience, format!("`aud` must name one of {wanted:?}"))
            }
            Ask::MinRemainingLife(least) => {
                let left = principal.expires_at.since(given.now).as_secs();
                let detail = format!("the token is good for {left} s more, which is less than {} s", least.as_secs());
                rejected(RejectionCode::Expired, detail)
            }
            Ask::MaxTotalLife(most) => Denial::ClaimRefused {
                detail: self.told(match principal.claims.get("iat").and_then(numeric_date) {
                    Some(issued_at) => {
                        let life = principal.expires_at.since(issued_at).as_secs();
                        format!("the token lives {life} s, which is more than {} s", most.as_secs())
                    }
                    None => "the token does not say when it was issued (iat), so how long it lives is unknown".into(),
                }),
            },
            Ask::Scopes(all) => {
                let missing = all.iter().find(|scope| !principal.scopes.contains(scope));
                let missing = missing.map_or("", String::as_str);
                let detail = self.told(format!("the token lacks the scope {missing:?}"));
                Denial::InsufficientScope { needed: scopes.to_owned(), detail }
            }
            Ask::AnyScope(any) => {
                let detail = self.told(format!("the token has none of the scopes {any:?}"));
                Denial::InsufficientScope { needed: scopes.to_owned(), detail }
            }
            Ask::ClientIds(wanted) => {
                Denial::ClaimRefused { detail: self.told(format!("the token's client is none of {wanted:?}")) }
            }
            Ask::Claim(claim) => claim.denial(principal, given, self),
            Ask::Acr(wanted) => self.step_up(step_up, format!("`acr` is none of {wanted:?}")),
            Ask::MaxAge(most) => {
                let age = signed_in_at(principal).filter(|then| *then <= given.now.plus(FUTURE));
                let detail = match age.map(|then| given.now.since(then).as_secs()) {
                    Some(age) => format!("the user signed in {age} s ago, which is more than {} s", most.as_secs()),
                    None => "the token does not say when the user signed in (auth_time)".into(),
                };
                self.step_up(step_up, detail)
            }
        }
    }

    fn step_up(&self, wanted: &StepUp, detail: String) -> Denial {
        Denial::StepUpRequired { wanted: Box::new(wanted.clone()), detail: self.told(detail) }
    }

    /// A detail with the rule set that asks for it.
    pub(super) fn told(&self, detail: String) -> String {
        match &self.set {
            Some(set) => format!("{detail}, as [rules.{set}] asks"),
            None => detail,
        }
    }
}

impl Claim {
    fn holds(&self, principal: &Principal, given: Circumstances<'_>) -> bool {
        if self.names_params && !given.certain {
            return false;
        }
        self.test.holds(self.pointer.follow(&principal.claims), |param, value| given.is_param(param, value))
    }

    fn denial(&self, principal: &Principal, given: Circumstances<'_>, clause: &Clause) -> Denial {
        if self.names_params && !given.certain {
            let detail = "the path can be read in more than one way, and a claim is compared with a part of it";
            return Denial::AmbiguousPath { detail: clause.told(detail.into()) };
        }
        let found = match self.pointer.follow(&principal.claims) {
            None | Some(Value::Null) => "there is no claim",
            Some(_) => "the claim does not have what is asked for",
        };
        let asked = crate::config::claim_test_as_written(&self.test);
        let detail = format!("{found} at {:?}; asked for is {asked}", self.pointer.as_str());
        Denial::ClaimRefused { detail: clause.told(detail) }
    }
}

impl Circumstances<'_> {
    /// Whether a claim's value is what stands in the place of a parameter: the decoded segment, byte by byte, or for a
    /// whole number its decimal digits.
    fn is_param(&self, param: &Param, value: &Value) -> bool {
        let segments = self.path.strip_prefix('/').map(|path| path.split('/'));
        let Some(segment) = segments.and_then(|mut segments| segments.nth(param.segment)) else { return false };
        match value {
            Value::String(text) => segment_reads(segment, text),
            Value::Number(number) => {
                let number = number.as_u64().map(i128::from).or_else(|| number.as_i64().map(i128::from));
                number.is_some() && decimal(segment) == number
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
        }
    }
}

/// A whole number in its one spelling: no sign but a minus, no leading zero.
fn decimal(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').filter(|digits| *digits != "0").unwrap_or(text);
    let plain = digits == "0" || digits.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| plain)
}

fn is_one_of(text: &str, wanted: &[String]) -> bool {
    wanted.iter().any(|wanted| wanted == text)
}

fn signed_in_at(principal: &Principal) -> Option<UnixTime> {
    principal.claims.get("auth_time").and_then(numeric_date)
}
