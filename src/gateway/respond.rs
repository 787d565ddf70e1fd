//! Refusals as a caller sees them: status, challenge and problem document, or a small page for a browser.
//!
//! The one place that knows status codes. What is told to a caller is a fixed sentence per code; the exact detail of a
//! denial goes to the log, as it may help an attacker more than a client.

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::policy::Denial;
use crate::token::RejectionCode;
use crate::token::dpop::NONCE_FIELD;

pub use super::challenge::Challenge;

use super::page::{PAGE_POLICY, Page};

/// Seconds after which a caller may try again when an issuer cannot be reached.
pub(super) const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// What a refusal is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/problem+json` (RFC 9457).
    Problem,
    /// A page for a person.
    Page,
}

impl Form {
    /// A page for a browser that navigates, a problem document for everybody else.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let navigates = match headers.get("sec-fetch-mode") {
            Some(mode) => mode == "navigate",
            None => headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html")),
        };
        if navigates && matches!(*method, Method::GET | Method::HEAD) { Self::Page } else { Self::Problem }
    }
}

/// The answer to a refused request.
#[must_use]
pub fn denial(denial: &Denial, challenge: &Challenge, form: Form) -> Response<Bytes> {
    let mut response = refusal(status(denial), denial.code(), sentence(denial), challenge.login.as_deref(), form);
    let headers = response.headers_mut();
    for value in challenge.values(denial, sentence(denial)) {
        headers.append(WWW_AUTHENTICATE, value);
    }
    match denial.rejection() {
        Some(RejectionCode::ProofNonceRequired) => {
            headers.extend(challenge.nonce.clone().map(|nonce| (NONCE_FIELD, nonce)));
        }
        Some(RejectionCode::IssuerUnavailable | RejectionCode::StoreUnavailable) => {
            headers.insert(RETRY_AFTER, RETRY_SECONDS);
        }
        _ => {}
    }
    if let Denial::MethodNotAllowed { allow } = denial
        && let Ok(value) = HeaderValue::try_from(allow.to_string())
    {
        headers.insert(ALLOW, value);
    }
    response
}

const fn status(denial: &Denial) -> StatusCode {
    match denial {
        Denial::NoCredential | Denial::SessionExpired | Denial::StepUpRequired { .. } => StatusCode::UNAUTHORIZED,
        Denial::CrossSite => StatusCode::FORBIDDEN,
        Denial::Token(rejection) => match rejection.code {
            RejectionCode::BadCredentialSyntax => StatusCode::BAD_REQUEST,
            RejectionCode::IssuerUnavailable | RejectionCode::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            RejectionCode::MalformedToken
            | RejectionCode::UnknownIssuer
            | RejectionCode::WrongType
            | RejectionCode::AlgorithmRefused
            | RejectionCode::UnknownKey
            | RejectionCode::BadSignature
            | RejectionCode::Expired
            | RejectionCode::NotYetValid
            | RejectionCode::WrongAudience
            | RejectionCode::MissingClaim
            | RejectionCode::Inactive
            | RejectionCode::Revoked
            | RejectionCode::BadBinding
            | RejectionCode::BadProof
            | RejectionCode::ProofNonceRequired => StatusCode::UNAUTHORIZED,
        },
        Denial::InsufficientScope { .. } | Denial::ClaimRefused { .. } => StatusCode::FORBIDDEN,
        Denial::NoRoute => StatusCode::NOT_FOUND,
        Denial::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        Denial::AmbiguousPath { .. } | Denial::BadRequest { .. } => StatusCode::BAD_REQUEST,
        Denial::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Denial::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    }
}

/// One sentence per code; without quotes or backslashes, so that it fits `error_description` (RFC 6750 section 3).
const fn sentence(denial: &Denial) -> &'static str {
    match denial {
        Denial::NoCredential => "This resource needs an access token, sent as Authorization: Bearer TOKEN.",
        Denial::Token(rejection) => match rejection.code {
            RejectionCode::BadCredentialSyntax => "Send exactly one Authorization header with exactly one token.",
            RejectionCode::MalformedToken => "The access token is not a well-formed JWT.",
            RejectionCode::UnknownIssuer => "The access token comes from an issuer that is not accepted here.",
            RejectionCode::WrongType => "This is not an access token. An ID token cannot be used in its place.",
            RejectionCode::AlgorithmRefused => "The access token is signed with an algorithm that is not accepted.",
            RejectionCode::UnknownKey => "The access token is signed with a key that its issuer does not publish.",
            RejectionCode::BadSignature => "The signature of the access token is not valid.",
            RejectionCode::Expired => "The access token has expired.",
            RejectionCode::NotYetValid => "The access token is not valid yet.",
            RejectionCode::WrongAudience => "The access token was issued for another audience.",
            RejectionCode::MissingClaim => "The access token lacks a required claim.",
            RejectionCode::Inactive => "The access token is not active.",
            RejectionCode::Revoked => "The access token was revoked.",
            RejectionCode::BadBinding => {
                "The access token is not bound to its sender, or the sender has not proven it."
            }
            RejectionCode::BadProof => "The DPoP proof is not valid for this request.",
            RejectionCode::ProofNonceRequired => "The DPoP proof needs the nonce of the DPoP-Nonce header.",
            RejectionCode::IssuerUnavailable => "The token cannot be judged now, as its issuer cannot be reached.",
            RejectionCode::StoreUnavailable => "The request cannot be judged now. Try again later.",
        },
        Denial::SessionExpired => "You are not logged in any more.",
        Denial::CrossSite => "This request comes from another site, and changes something here.",
        Denial::InsufficientScope { .. } => "The access token does not have the scope that this needs.",
        Denial::ClaimRefused { .. } => "The access token does not carry the claims that this needs.",
        Denial::StepUpRequired { .. } => "This needs a stronger or a more recent login.",
        Denial::NoRoute => "There is nothing here.",
        Denial::MethodNotAllowed { .. } => "This resource does not have this method.",
        Denial::AmbiguousPath { .. } => "The path can be read in more than one way. Send it in its plain form.",
        Denial::BadRequest { detail } => detail,
        Denial::BodyTooLarge => "The request body is too large.",
        Denial::HeadersTooLarge => "The request head is too large.",
    }
}

/// What went wrong behind us, as the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// No server of the upstream took the connection.
    Unreachable,
    /// The upstream did not answer in time.
    Timeout,
    /// The upstream's answer was not HTTP, or broke off before its head.
    Protocol,
}

impl Broken {
    /// The code as callers, logs and metrics see it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "upstream_unreachable",
            Self::Timeout => "upstream_timeout",
            Self::Protocol => "upstream_protocol",
        }
    }
}

/// The answer to a request that was permitted but whose upstream failed before its response began.
#[must_use]
pub fn fault(broken: Broken, form: Form) -> Response<Bytes> {
    let (status, sentence) = match broken {
        Broken::Unreachable => (StatusCode::BAD_GATEWAY, "The service behind this gateway cannot be reached."),
        Broken::Timeout => (StatusCode::GATEWAY_TIMEOUT, "The service behind this gateway did not answer in time."),
        Broken::Protocol => (StatusCode::BAD_GATEWAY, "The service behind this gateway gave no usable answer."),
    };
    refusal(status, broken.code(), sentence, None, form)
}

fn refusal(status: StatusCode, code: &'static str, sentence: &str, login: Option<&str>, form: Form) -> Response<Bytes> {
    match form {
        Form::Problem => own(status, "application/problem+json", problem(status, code, sentence, login)),
        Form::Page => {
            let title = status.canonical_reason().unwrap_or("Refused");
            let note = format!("{} {code}", status.as_u16());
            let link = login.map(|url| (url, "Log in"));
            page(status, &Page { title, sentence, note: Some(&note), links: link.as_slice() })
        }
    }
}

/// A page for a person.
#[must_use]
pub fn page(status: StatusCode, page: &Page<'_>) -> Response<Bytes> {
    let mut response = own(status, "text/html; charset=utf-8", page.html());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, PAGE_POLICY.clone());
    response
}

/// A response that we make ourselves and that nobody may store.
#[must_use]
pub fn own(status: StatusCode, media_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept, authorization, sec-fetch-mode"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// RFC 9457. `type` is absent, hence `about:blank`, and `title` the phrase of the status.
fn problem(status: StatusCode, code: &str, sentence: &str, login: Option<&str>) -> String {
    let title = status.canonical_reason().unwrap_or("Refused");
    let login = login.map(|url| format!(",\"login\":{}", serde_json::Value::from(url))).unwrap_or_default();
    format!(
        "{{\"title\":\"{title}\",\"status\":{status},\"code\":\"{code}\",\"detail\":\"{sentence}\"{login}}}\n",
        status = status.as_u16()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Rejection;

    fn refused(what: &Denial) -> (u16, String, String) {
        let challenge = Challenge {
            scope: "a b".into(),
            resource_metadata: Some("https://x/y".into()),
            bearer: true,
            ..Challenge::default()
        };
        let response = denial(what, &challenge, Form::Problem);
        let header = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
        let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(problem["status"], response.status().as_u16());
        (response.status().as_u16(), problem["code"].as_str().unwrap().into(), header.unwrap_or_default())
    }

    #[test]
    fn statuses_and_challenges_are_those_of_the_rfcs() {
        let token = |code| Denial::Token(Rejection::new(code, "x"));
        let scope = Denial::InsufficientScope { needed: "a b".into(), detail: String::new() };
        let cases = [
            (Denial::NoCredential, 401, "no_credential", "Bearer realm=\"tollgate\", scope=\"a b\""),
            (token(RejectionCode::BadCredentialSyntax), 400, "bad_credential_syntax", "error=\"invalid_request\""),
            (token(RejectionCode::Expired), 401, "expired", "error=\"invalid_token\""),
            (scope, 403, "insufficient_scope", "error=\"insufficient_scope\""),
            (token(RejectionCode::IssuerUnavailable), 503, "issuer_unavailable", ""),
            (Denial::NoRoute, 404, "no_route", ""),
            (Denial::ClaimRefused { detail: String::new() }, 403, "claim_refused", ""),
            (Denial::BodyTooLarge, 413, "body_too_large", ""),
        ];
        for (what, status, code, challenge) in cases {
            let got = refused(&what);
            assert_eq!((got.0, got.1.as_str()), (status, code));
            assert!(got.2.contains(challenge) && got.2.is_empty() == challenge.is_empty(), "{code}: {}", got.2);
        }
    }

    #[test]
    fn only_a_navigation_gets_a_page() {
        let cases = [
            ("GET", Some("text/html,*/*"), None, Form::Page),
            ("GET", Some("text/html"), Some("cors"), Form::Problem),
            ("GET", None, Some("navigate"), Form::Page),
            ("POST", Some("text/html"), Some("navigate"), Form::Problem),
            ("GET", Some("*/*"), None, Form::Problem),
            ("GET", Some("application/json, text/html"), None, Form::Problem),
        ];
        for (method, accept, mode, form) in cases {
            let mut headers = HeaderMap::new();
            accept.map(|value| headers.insert(ACCEPT, HeaderValue::from_static(value)));
            mode.map(|value| headers.insert("sec-fetch-mode", HeaderValue::from_static(value)));
            assert_eq!(Form::of(&method.parse().unwrap(), &headers), form, "{method} {accept:?} {mode:?}");
        }
    }
}
