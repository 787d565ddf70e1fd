//! Responses of the authority: JSON, text and pages, with the headers that each kind needs.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

/// What every endpoint gives back.
pub(super) type Reply = Response<Full<Bytes>>;

/// A JSON document.
pub(super) fn json(status: StatusCode, value: &Value) -> Reply {
    whole(status, "application/json", value.to_string())
}

/// A line for a person.
pub(super) fn text(status: StatusCode, line: &str) -> Reply {
    whole(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

/// 405, naming what would have been allowed (RFC 9110, section 15.5.6).
pub(super) fn method_not_allowed(allowed: &'static str) -> Reply {
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, &format!("This endpoint takes {allowed} only."));
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// A response of any kind that nobody may guess another kind for.
pub(super) fn whole(status: StatusCode, content_type: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// Lets caches keep a public document for `seconds`, which is written out, as `max-age=60`.
pub(super) fn allow_storing(reply: &mut Reply, max_age: &'static str) {
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(max_age));
}

/// Keeps caches from storing an answer of the token endpoint (RFC 6749, sections 5.1 and 5.2).
pub(super) fn forbid_storing(reply: &mut Reply) {
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
}
