//! The refusals of the authority's endpoints: a closed list of codes, each with its one status, said as RFC 6749
//! (section 5.2) and RFC 8707 (section 2) define them.

use std::borrow::Cow;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::reply::{self, Reply};

/// Why a request was refused; the value of `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorCode {
    /// A parameter is missing, repeated, malformed, or at odds with another.
    InvalidRequest,
    /// The client is unknown or did not prove who it is.
    InvalidClient,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// The authority does not offer this grant.
    UnsupportedGrantType,
    /// A scope is malformed or not one of the client's.
    InvalidScope,
    /// A `resource` is malformed (RFC 8707).
    InvalidTarget,
    /// Something broke on our side.
    ServerError,
}

impl ErrorCode {
    /// The refusal with a sentence for the developer who reads it.
    pub(super) fn because(self, description: impl Into<Cow<'static, str>>) -> OauthError {
        OauthError { code: self, status: self.status(), description: description.into() }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::ServerError => "server_error",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InvalidRequest
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::InvalidTarget => StatusCode::BAD_REQUEST,
        }
    }
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OauthError {
    code: ErrorCode,
    status: StatusCode,
    description: Cow<'static, str>,
}

impl OauthError {
    /// The same refusal with the status that HTTP itself has for it, as 413 for a body that is too large.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The response. A 401 always carries a challenge (RFC 9110, section 15.5.2).
    pub(super) fn reply(&self) -> Reply {
        let body = json!({ "error": self.code.name(), "error_description": printable(&self.description) });
        let mut reply = reply::json(self.status, &body);
        reply::forbid_storing(&mut reply);
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"tollgate authority\", charset=\"UTF-8\"");
            reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        reply
    }
}

/// `error_description` has a small alphabet (RFC 6749, section 5.2); whatever a client sent that is not in it becomes `?`.
fn printable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '?' }).collect()
}
