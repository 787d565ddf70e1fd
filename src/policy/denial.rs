//! Denials: the closed list of expected refusals. What each looks like to a caller is `gateway::respond`'s to say.

use serde::{Deserialize, Serialize};

use crate::pattern::MethodSet;
use crate::token::{Rejection, RejectionCode};

/// What a login must be (RFC 9470 section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUp {
    /// Authentication context classes, one of which will do, separated by blanks; empty: any.
    pub acr_values: String,
    /// How long ago it may be, in seconds.
    pub max_age: Option<u64>,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// No token came, and the route needs one.
    NoCredential,
    /// The session that the browser had is over.
    SessionExpired,
    /// Another site made a browser send this, with a cookie that would count: of a session, or of another application.
    CrossSite,
    /// The token is not accepted.
    Token(Rejection),
    /// The token's scopes are not enough.
    InsufficientScope {
        /// All scopes that the route names, space-delimited.
        needed: String,
        /// For operators.
        detail: String,
    },
    /// A claim, the client or the life of the token is not what the rule asks for.
    ClaimRefused {
        /// For operators.
        detail: String,
    },
    /// The login is not recent or not strong enough; another one would do (RFC 9470).
    StepUpRequired {
        /// What the login must be.
        wanted: Box<StepUp>,
        /// For operators.
        detail: String,
    },
    /// No route matches host and path.
    NoRoute,
    /// Routes match host and path, none of them the method.
    MethodNotAllowed {
        /// What would be allowed.
        allow: MethodSet,
    },
    /// The path can be read in a way that leads to another route.
    AmbiguousPath {
        /// Which reading, for operators.
        detail: String,
    },
    /// The request itself is not well-formed.
    BadRequest {
        /// For operators and callers.
        detail: &'static str,
    },
    /// The body is longer than `max_body_bytes`.
    BodyTooLarge,
    /// The head has more or larger fields than the limits.
    HeadersTooLarge,
}

impl Denial {
    /// The code as callers, logs and metrics see it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::SessionExpired => "session_expired",
            Self::CrossSite => "cross_site",
            Self::Token(rejection) => rejection.code.as_str(),
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::ClaimRefused { .. } => "claim_refused",
            Self::StepUpRequired { .. } => "step_up_required",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::AmbiguousPath { .. } => "ambiguous_path",
            Self::BadRequest { .. } => "bad_request",
            Self::BodyTooLarge => "body_too_large",
            Self::HeadersTooLarge => "headers_too_large",
        }
    }

    /// What exactly was wrong, for operators.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::NoCredential => "no Authorization header with the scheme Bearer or DPoP, and no session".into(),
            Self::SessionExpired => "the session is over, or its cookie is not one of ours".into(),
            Self::CrossSite => {
                "an unsafe method, a WebSocket or a logout by a cookie, from another site (Sec-Fetch-Site, Origin)"
                    .into()
            }
            Self::Token(rejection) => rejection.detail.clone().into_owned(),
            Self::InsufficientScope { detail, .. }
            | Self::ClaimRefused { detail }
            | Self::StepUpRequired { detail, .. }
            | Self::AmbiguousPath { detail } => detail.clone(),
            Self::NoRoute => "no route matches this host and path".into(),
            Self::MethodNotAllowed { .. } => "the routes of this path do not have this method".into(),
            Self::BadRequest { detail } => (*detail).into(),
            Self::BodyTooLarge => "the body is longer than max_body_bytes".into(),
            Self::HeadersTooLarge => "the head is larger than the limits".into(),
        }
    }

    /// Whether the token itself was refused (RFC 6750, `invalid_token`).
    #[must_use]
    pub const fn rejection(&self) -> Option<RejectionCode> {
        match self {
            Self::Token(rejection) => Some(rejection.code),
            _ => None,
        }
    }
}

impl From<Rejection> for Denial {
    fn from(rejection: Rejection) -> Self {
        Self::Token(rejection)
    }
}
