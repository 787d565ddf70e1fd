//! Clauses in words: as the file has them, and short for a person.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::config::{claim_test_as_written, period};

use super::clause::{Ask, Clause};

impl Clause {
    /// The rule set that asks for it; `None`: the route itself.
    #[must_use]
    pub fn set(&self) -> Option<&str> {
        self.set.as_deref()
    }

    /// The table that asks for it: `the route` or `[rules.NAME]`.
    #[must_use]
    pub fn origin(&self) -> Cow<'static, str> {
        self.set.as_ref().map_or(Cow::Borrowed("the route"), |set| format!("[rules.{set}]").into())
    }

    /// Its key in the file; of a claim, with the pointer: `claims."/department"`.
    #[must_use]
    pub fn key(&self) -> Cow<'static, str> {
        Cow::Borrowed(match &self.ask {
            Ask::Bind(_) => "bind",
            Ask::Audiences(_) => "audiences",
            Ask::MinRemainingLife(_) => "min_remaining_life",
            Ask::Scopes(_) => "scopes",
            Ask::AnyScope(_) => "any_scope",
            Ask::ClientIds(_) => "client_ids",
            Ask::Claim(claim) => return format!("claims.{:?}", claim.pointer.as_str()).into(),
            Ask::MaxTotalLife(_) => "max_total_life",
            Ask::Acr(_) => "acr",
            Ask::MaxAge(_) => "max_age",
        })
    }

    /// What stands behind the key.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.ask {
            Ask::Bind(bind) => bind.as_str().into(),
            Ask::Audiences(list) | Ask::Scopes(list) | Ask::AnyScope(list) | Ask::ClientIds(list) | Ask::Acr(list) => {
                json!(list)
            }
            Ask::MinRemainingLife(life) | Ask::MaxTotalLife(life) | Ask::MaxAge(life) => period(*life).into(),
            Ask::Claim(claim) => claim_test_as_written(&claim.test),
        }
    }

    /// A few words for a line that lists all clauses.
    #[must_use]
    pub fn brief(&self) -> String {
        match &self.ask {
            Ask::Bind(bind) => format!("bound by {}", bind.as_str()),
            Ask::Audiences(list) => format!("for {}", list.join(" or ")),
            Ask::MinRemainingLife(life) => format!("{} left", period(*life)),
            Ask::Scopes(list) => list.join(" and "),
            Ask::AnyScope(list) => list.join(" or "),
            Ask::ClientIds(list) => format!("client {}", list.join(" or ")),
            Ask::Claim(claim) => format!("claim {}", claim.pointer.as_str()),
            Ask::MaxTotalLife(life) => format!("{} long at most", period(*life)),
            Ask::Acr(list) => format!("acr {}", list.join(" or ")),
            Ask::MaxAge(age) => format!("signed in within {}", period(*age)),
        }
    }
}
