//! Challenges: what a refused caller is told in `WWW-Authenticate` (RFC 6750 section 3, RFC 9449 section 7, RFC 9470
//! section 3, RFC 9728 section 5.1).
//!
//! Each scheme that a route takes has a field of its own, Bearer first. The error stands in that of the scheme that was
//! used; what is wrong with a proof is said in DPoP's alone. DPoP is offered where a route asks for it, where the config
//! has `[dpop]`, and to everybody who used it or should have.

use std::fmt::Write as _;
use std::sync::Arc;

use http::HeaderValue;

use crate::config::model::Bind;
use crate::policy::{Denial, StepUp};
use crate::token::{RejectionCode, extract};

use super::asking::Asking;
use super::metadata;
use super::snapshot::{Route, Snapshot};

/// What the challenges of one route say beside the error.
#[derive(Debug, Clone, Default)]
pub struct Challenge {
    /// All scopes that the route names, space-delimited; may be empty.
    pub scope: String,
    /// Where the metadata of the protected resource are.
    pub resource_metadata: Option<String>,
    /// Whether the scheme Bearer is offered.
    pub bearer: bool,
    /// Whether the scheme DPoP is.
    pub dpop: Offer,
    /// The algorithms of proofs, space-delimited.
    pub algs: Arc<str>,
    /// What the next proof must have, where it must have something.
    pub nonce: Option<HeaderValue>,
    /// Where a person can log in.
    pub login: Option<String>,
    /// Whether what a person sent has to be sent again after it.
    pub is_lost: bool,
}

/// To whom DPoP is offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Offer {
    /// To nobody: the route takes other tokens.
    Never,
    /// To those whose token asks for it.
    #[default]
    IfBound,
    /// To everybody.
    Always,
    /// It was used.
    Used,
}

impl Challenge {
    /// The challenges of `route` to a request.
    #[must_use]
    pub fn of(snapshot: &Snapshot, route: &Route, asking: &Asking<'_>) -> Self {
        let dpop = match route.rule.bind {
            _ if extract::is_dpop(asking.headers) => Offer::Used,
            Some(Bind::Dpop) => Offer::Always,
            Some(Bind::Mtls) => Offer::Never,
            None if snapshot.config.dpop.offered => Offer::Always,
            None => Offer::IfBound,
        };
        Self {
            scope: route.rule.needed_scopes().to_owned(),
            resource_metadata: metadata::url(route, asking.scheme, asking.target),
            bearer: route.rule.bind != Some(Bind::Dpop),
            dpop,
            algs: Arc::clone(snapshot.dpop.algs()),
            nonce: snapshot.dpop.nonce(asking.now),
            login: None,
            is_lost: false,
        }
    }

    /// The values of `WWW-Authenticate`; none for a denial that no other credential would change.
    pub(super) fn values(&self, denial: &Denial, sentence: &str) -> Vec<HeaderValue> {
        let Some(error) = error(denial) else { return Vec::new() };
        let of_proof = matches!(denial.rejection(), Some(RejectionCode::BadProof | RejectionCode::ProofNonceRequired));
        let by_dpop = of_proof || self.dpop == Offer::Used;
        let error = error.map(|error| Error { name: error, description: sentence, step_up: step_up(denial) });
        let mut values = Vec::with_capacity(2);
        if self.bearer && !of_proof {
            values.extend(self.write("Bearer", error.as_ref().filter(|_| !by_dpop)));
        }
        let offered = match self.dpop {
            Offer::Never => false,
            Offer::IfBound => denial.rejection() == Some(RejectionCode::BadBinding),
            Offer::Always | Offer::Used => true,
        };
        if offered || of_proof {
            values.extend(self.write("DPoP", error.as_ref().filter(|_| by_dpop || !self.bearer)));
        }
        values
    }

    fn write(&self, scheme: &str, error: Option<&Error<'_>>) -> Option<HeaderValue> {
        let mut text = format!("{scheme} realm=\"tollgate\"");
        if let Some(Error { name, description, step_up }) = error {
            let _ = write!(text, ", error=\"{name}\", error_description=\"{description}\"");
            if let Some(values) = step_up.map(|wanted| &wanted.acr_values).filter(|values| !values.is_empty()) {
                let _ = write!(text, ", acr_values=\"{values}\"");
            }
            if let Some(seconds) = step_up.and_then(|wanted| wanted.max_age) {
                let _ = write!(text, ", max_age=\"{seconds}\"");
            }
        }
        if scheme == "DPoP" {
            let _ = write!(text, ", algs=\"{}\"", self.algs);
        }
        if !self.scope.is_empty() {
            let _ = write!(text, ", scope=\"{}\"", self.scope);
        }
        if let Some(url) = &self.resource_metadata {
            let _ = write!(text, ", resource_metadata=\"{url}\"");
        }
        HeaderValue::try_from(text).ok()
    }
}

/// What a challenge says of the denial.
struct Error<'d> {
    name: &'static str,
    description: &'d str,
    step_up: Option<&'d StepUp>,
}

/// What a login must be instead (RFC 9470 section 3).
fn step_up(denial: &Denial) -> Option<&StepUp> {
    match denial {
        Denial::StepUpRequired { wanted, .. } => Some(wanted),
        _ => None,
    }
}

/// The `error` of a denial that is answered with a challenge: `Some(None)` for a challenge without.
const fn error(denial: &Denial) -> Option<Option<&'static str>> {
    match denial {
        Denial::NoCredential | Denial::SessionExpired => Some(None),
        Denial::InsufficientScope { .. } => Some(Some("insufficient_scope")),
        Denial::StepUpRequired { .. } => Some(Some("insufficient_user_authentication")),
        Denial::Token(rejection) => match rejection.code {
            RejectionCode::IssuerUnavailable | RejectionCode::StoreUnavailable => None,
            RejectionCode::BadCredentialSyntax => Some(Some("invalid_request")),
            RejectionCode::BadProof => Some(Some("invalid_dpop_proof")),
            RejectionCode::ProofNonceRequired => Some(Some("use_dpop_nonce")),
            _invalid_token => Some(Some("invalid_token")),
        },
        Denial::ClaimRefused { .. }
        | Denial::CrossSite
        | Denial::NoRoute
        | Denial::MethodNotAllowed { .. }
        | Denial::AmbiguousPath { .. }
        | Denial::BadRequest { .. }
        | Denial::BodyTooLarge
        | Denial::HeadersTooLarge => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Rejection;

    #[test]
    fn each_scheme_has_its_field_and_one_of_them_the_error() {
        use RejectionCode::{BadBinding, BadProof, Expired, ProofNonceRequired, StoreUnavailable};
        let none = None::<RejectionCode>;
        let cases = [
            (true, Offer::IfBound, none, "Bearer"),
            (true, Offer::Always, none, "Bearer; DPoP"),
            (false, Offer::Always, none, "DPoP"),
            (true, Offer::Never, none, "Bearer"),
            (true, Offer::IfBound, Some(Expired), "Bearer invalid_token"),
            (true, Offer::Always, Some(Expired), "Bearer invalid_token; DPoP"),
            (true, Offer::Used, Some(Expired), "Bearer; DPoP invalid_token"),
            (false, Offer::Always, Some(Expired), "DPoP invalid_token"),
            (true, Offer::IfBound, Some(BadBinding), "Bearer invalid_token; DPoP"),
            (true, Offer::Never, Some(BadBinding), "Bearer invalid_token"),
            (true, Offer::Used, Some(BadBinding), "Bearer; DPoP invalid_token"),
            (true, Offer::Used, Some(BadProof), "DPoP invalid_dpop_proof"),
            (true, Offer::Used, Some(ProofNonceRequired), "DPoP use_dpop_nonce"),
            (true, Offer::Used, Some(StoreUnavailable), ""),
        ];
        for (bearer, dpop, code, expected) in cases {
            let challenge = Challenge { bearer, dpop, algs: "ES256".into(), ..Challenge::default() };
            let denial = code.map_or(Denial::NoCredential, |code| Denial::Token(Rejection::new(code, "x")));
            let values = challenge.values(&denial, "why");
            let told: Vec<String> = values.iter().map(|value| value.to_str().expect("ASCII").to_owned()).collect();
            assert!(told.iter().all(|value| value.starts_with("DPoP") == value.contains("algs=\"ES256\"")), "{told:?}");
            let short = |value: &String| {
                let scheme = value.split(' ').next().unwrap_or_default();
                let error = value.split_once("error=\"").and_then(|(_, rest)| rest.split('"').next());
                error.map_or(scheme.to_owned(), |error| format!("{scheme} {error}"))
            };
            let told: Vec<String> = told.iter().map(short).collect();
            assert_eq!(told.join("; "), expected, "{bearer} {dpop:?} {code:?}");
        }
    }
}
