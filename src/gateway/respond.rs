//! Refusals as a caller sees them: status, challenge and problem document, or a small page for a browser.
//!
//! The one place that knows status codes. What is told to a caller is a fixed sentence per code (`texts`); the exact detail
//! of a denial goes to the log, as it may help an attacker more than a client.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::policy::Denial;
use crate::token::RejectionCode;
use crate::token::dpop::NONCE_FIELD;

pub use super::challenge::Challenge;

use super::intent;
use super::page::{Filling, Kind, Link, Pages};
use super::texts::{self, Said};

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
    pub fn of(headers: &HeaderMap) -> Self {
        if intent::navigates(headers) { Self::Page } else { Self::Problem }
    }
}

/// The answer to a refused request.
#[must_use]
pub fn denial(denial: &Denial, challenge: &Challenge, form: Form, pages: &Pages) -> Response<Bytes> {
    let sentence = match (denial, &challenge.login) {
        (Denial::NoCredential, Some(_)) => texts::NOBODY,
        _ => texts::denial(denial),
    };
    let refusal = Refusal {
        status: status(denial),
        code: denial.code(),
        sentence,
        said: texts::refusal(denial),
        login: challenge.login.as_deref().map(|url| Link { url, text: texts::login(denial) }),
        is_lost: challenge.is_lost,
    };
    let mut response = refusal.response(form, pages);
    let headers = response.headers_mut();
    for value in challenge.values(denial, sentence) {
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
pub fn fault(broken: Broken, form: Form, pages: &Pages) -> Response<Bytes> {
    let status = match broken {
        Broken::Unreachable | Broken::Protocol => StatusCode::BAD_GATEWAY,
        Broken::Timeout => StatusCode::GATEWAY_TIMEOUT,
    };
    let (code, sentence, said) = (broken.code(), texts::fault(broken), texts::broken(broken));
    Refusal { status, code, sentence, said, login: None, is_lost: false }.response(form, pages)
}

/// What a caller gets in place of a response of the upstream's.
struct Refusal<'a> {
    status: StatusCode,
    code: &'static str,
    /// For the maker of a caller.
    sentence: &'a str,
    /// For a person.
    said: Said,
    /// Where a person can log in.
    login: Option<Link<'a>>,
    is_lost: bool,
}

impl Refusal<'_> {
    fn response(&self, form: Form, pages: &Pages) -> Response<Bytes> {
        match form {
            Form::Problem => own(self.status, "application/problem+json", self.problem()),
            Form::Page => {
                let note = format!("{} {}", self.status.as_str(), self.code);
                let filling = Filling {
                    title: self.said.title,
                    sentence: self.said.sentence,
                    hint: self.is_lost.then_some(texts::NOT_TAKEN),
                    note: Some(&note),
                    code: Some(self.code),
                    site: self.login.map(|login| site(login.url)),
                    links: self.login.as_slice(),
                    ..Filling::default()
                };
                page(self.status, Kind::Refusal, filling, pages)
            }
        }
    }

    /// RFC 9457. `type` is absent, hence `about:blank`, and `title` the phrase of the status.
    fn problem(&self) -> String {
        let Self { status, code, sentence, login, .. } = self;
        let title = status.canonical_reason().unwrap_or("Refused");
        let login = login.map(|login| format!(",\"login\":{}", serde_json::Value::from(login.url))).unwrap_or_default();
        format!(
            "{{\"title\":\"{title}\",\"status\":{status},\"code\":\"{code}\",\"detail\":\"{sentence}\"{login}}}\n",
            status = status.as_u16()
        )
    }
}

/// The host, and perhaps port, of a URL of ours.
pub(super) fn site(url: &str) -> &str {
    url.split('/').nth(2).unwrap_or_default()
}

/// A page for a person. Its own address stays with it: that of a callback has a code in it.
#[must_use]
pub fn page(status: StatusCode, kind: Kind, filling: Filling<'_>, pages: &Pages) -> Response<Bytes> {
    let (html, policy) = pages.html(kind, Filling { status: status.as_str(), ..filling });
    let mut response = own(status, "text/html; charset=utf-8", html);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
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
        let response = denial(what, &challenge, Form::Problem, &Pages::default());
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
}
