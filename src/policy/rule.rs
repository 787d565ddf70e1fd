//! The rule of one route: everything that it and its rule sets ask of a principal, made from the configuration once.

use std::time::Duration;

use crate::config::model::{Bind, Route};
use crate::token::principal::Principal;
use crate::token::{Rejection, RejectionCode};

use super::clause::{Ask, Clause};
use super::denial::{Denial, StepUp};
use super::{Access, Circumstances};

/// What a route asks of a principal.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Who may use it at all.
    pub access: Access,
    /// Positions of the issuers whose tokens are taken.
    pub issuers: Vec<usize>,
    /// Only tokens that are bound to their sender in this way; `None`: bound or not.
    pub bind: Option<Bind>,
    clauses: Vec<Clause>,
    needed_scopes: Box<str>,
    step_up: StepUp,
}

impl Rule {
    /// A rule that asks for nothing beside a token of these issuers.
    #[must_use]
    pub fn plain(access: Access, issuers: Vec<usize>) -> Self {
        Self {
            access,
            issuers,
            bind: None,
            clauses: Vec::new(),
            needed_scopes: Box::default(),
            step_up: StepUp::default(),
        }
    }

    /// The rule of a route.
    #[must_use]
    pub fn new(route: &Route) -> Self {
        let own = route.bind.map(Clause::bound).into_iter();
        let mut clauses: Vec<Clause> = own.chain(route.requirements.iter().flat_map(Clause::all_of)).collect();
        // What the route itself asks stays before what its rule sets ask alike.
        clauses.sort_by_key(Clause::rank);
        let needed_scopes = needed_scopes(&clauses).into();
        let step_up = step_up(&clauses);
        let issuers = route.issuers.clone();
        Self { access: route.access, issuers, bind: route.bind, clauses, needed_scopes, step_up }
    }

    /// Whether tokens of the issuer at this position are taken.
    #[must_use]
    pub fn takes_issuer(&self, issuer: usize) -> bool {
        self.issuers.contains(&issuer)
    }

    /// All that it asks, in the order in which it is looked at.
    #[must_use]
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// All scopes that the rule names, space-delimited, for the challenge (RFC 6750 section 3).
    #[must_use]
    pub fn needed_scopes(&self) -> &str {
        &self.needed_scopes
    }

    /// What it asks of a login.
    #[must_use]
    pub fn step_up(&self) -> &StepUp {
        &self.step_up
    }

    /// Each of these lists must have something in common with the token's `aud`.
    pub fn audiences(&self) -> impl Iterator<Item = &[String]> {
        self.clauses.iter().filter_map(|clause| match &clause.ask {
            Ask::Audiences(audiences) => Some(audiences.as_slice()),
            _ => None,
        })
    }

    /// How long a token must still be good at least, and live in all at most.
    #[must_use]
    pub fn life(&self) -> (Option<Duration>, Option<Duration>) {
        let at_least = self.clauses.iter().filter_map(|clause| match clause.ask {
            Ask::MinRemainingLife(life) => Some(life),
            _ => None,
        });
        let at_most = self.clauses.iter().filter_map(|clause| match clause.ask {
            Ask::MaxTotalLife(life) => Some(life),
            _ => None,
        });
        (at_least.max(), at_most.min())
    }

    /// Checks the principal against everything but `access`.
    ///
    /// # Errors
    /// The first thing that does not hold: the issuer, then the clauses in their order.
    pub fn admits(&self, principal: &Principal, given: Circumstances<'_>) -> Result<(), Denial> {
        if !self.takes_issuer(principal.issuer) {
            let detail = format!("the route does not take tokens of {:?}", principal.issuer_id);
            return Err(Rejection::new(RejectionCode::UnknownIssuer, detail).into());
        }
        match self.refusing(principal, given) {
            None => Ok(()),
            Some(clause) => Err(clause.denial(principal, given, &self.needed_scopes, &self.step_up)),
        }
    }

    /// The first clause that the principal does not fulfil.
    #[must_use]
    pub fn refusing(&self, principal: &Principal, given: Circumstances<'_>) -> Option<&Clause> {
        self.clauses.iter().find(|clause| !clause.holds(principal, given))
    }
}

fn needed_scopes(clauses: &[Clause]) -> String {
    let mut all: Vec<&str> = Vec::new();
    for clause in clauses {
        let (Ask::Scopes(scopes) | Ask::AnyScope(scopes)) = &clause.ask else { continue };
        for scope in scopes.iter().filter(|scope| !all.contains(&scope.as_str())).collect::<Vec<_>>() {
            all.push(scope);
        }
    }
    all.join(" ")
}

/// What all `acr` and `max_age` clauses ask for together.
fn step_up(clauses: &[Clause]) -> StepUp {
    let mut acr: Option<Vec<&str>> = None;
    let mut max_age: Option<u64> = None;
    for clause in clauses {
        match &clause.ask {
            Ask::Acr(wanted) => match &mut acr {
                None => acr = Some(wanted.iter().map(String::as_str).collect()),
                Some(common) => common.retain(|value| wanted.iter().any(|wanted| wanted == value)),
            },
            Ask::MaxAge(age) => max_age = Some(max_age.map_or(age.as_secs(), |other| other.min(age.as_secs()))),
            _ => {}
        }
    }
    StepUp { acr_values: acr.unwrap_or_default().join(" "), max_age }
}
