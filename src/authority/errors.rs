//! The refusals of the authority's endpoints: a closed list of codes, each with its one status, said as RFC 6749
//! (section 5.2) and RFC 8707 (section 2) define them.

use std::borrow::Cow;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

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
    /// A code, refresh token or password that is wrong, over, used, or not this client's.
    InvalidGrant,
    /// The authority does not give this kind of answer.
    UnsupportedResponseType,
    /// The person said no.
    AccessDenied,
    /// Nobody is signed in, and nobody may be asked (OpenID Connect Core 1.0, section 3.1.2.6).
    LoginRequired,
    /// The person did not agree yet, and may not be asked (ibid.).
    ConsentRequired,
    /// Request objects are not taken (ibid.).
    RequestNotSupported,
    /// Nor are references to them (ibid.).
    RequestUriNotSupported,
    /// Nor is registration by a request (ibid.).
    RegistrationNotSupported,
    /// A reference to a pushed request that leads nowhere (RFC 9126).
    InvalidRequestUri,
    /// A device asks, and nobody answered yet (RFC 8628, section 3.5).
    AuthorizationPending,
    /// A device asks too often (ibid.).
    SlowDown,
    /// Nobody answered a device in time (ibid.).
    ExpiredToken,
    /// An access token that is unknown, over or revoked (RFC 6750, section 3.1).
    InvalidToken,
    /// An access token that may not do this (ibid.).
    InsufficientScope,
    /// A DPoP proof that is missing or proves nothing (RFC 9449, section 5).
    InvalidDpopProof,
    /// A DPoP proof without the nonce that the authority wants (RFC 9449, section 8).
    UseDpopNonce,
    /// Something broke on our side.
    ServerError,
}

impl ErrorCode {
    /// The refusal with a sentence for the developer who reads it.
    pub(super) fn because(self, description: impl Into<Cow<'static, str>>) -> OauthError {
        OauthError { code: self, status: self.status(), description: description.into() }
    }

    /// As it is written.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidGrant => "invalid_grant",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::ServerError => "server_error",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope => StatusCode::FORBIDDEN,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InvalidRequest
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::InvalidTarget
            | Self::InvalidGrant
            | Self::InvalidDpopProof
            | Self::UseDpopNonce
            | Self::AuthorizationPending
            | Self::SlowDown
            | Self::ExpiredToken
            | Self::InvalidRequestUri
            | Self::UnsupportedResponseType
            | Self::AccessDenied
            | Self::LoginRequired
            | Self::ConsentRequired
            | Self::RequestNotSupported
            | Self::RequestUriNotSupported
            | Self::RegistrationNotSupported => StatusCode::BAD_REQUEST,
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

    /// Its code.
    pub(super) fn code(&self) -> ErrorCode {
        self.code
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Its sentence, in the alphabet that `error_description` may have (RFC 6749, section 5.2).
    pub(super) fn description(&self) -> String {
        printable(&self.description)
    }

    /// The response. A 401 always carries a challenge (RFC 9110, section 15.5.2).
    pub(super) fn reply(&self) -> Reply {
        let body = json!({ "error": self.code.name(), "error_description": self.description() });
        let mut reply = reply::json(self.status, &body);
        reply::forbid_storing(&mut reply);
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"tollgate authority\", charset=\"UTF-8\"");
            reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        reply
    }
}

/// What an endpoint answers in JSON, good or bad, for no cache to keep (RFC 6749, sections 5.1 and 5.2).
pub(super) fn answered(status: StatusCode, answer: Result<Value, OauthError>) -> Reply {
    match answer {
        Ok(answer) => {
            let mut reply = reply::json(status, &answer);
            reply::forbid_storing(&mut reply);
            reply
        }
        Err(error) => error.reply(),
    }
}

/// `error_description` has a small alphabet (RFC 6749, section 5.2); whatever a client sent that is not in it becomes `?`.
fn printable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '?' }).collect()
}
