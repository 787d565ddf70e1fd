//! Responses of the sample API.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use serde_json::{Value, json};

use super::events::Events;

/// What every endpoint gives back.
pub(super) type Reply = Response<ReplyBody>;

/// A whole document or a stream of events.
pub(super) enum ReplyBody {
    Whole(Full<Bytes>),
    Events(Box<Events>),
}

impl Default for ReplyBody {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Events(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Events(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Events(body) => body.size_hint(),
        }
    }
}

/// A JSON document.
pub(super) fn json(status: StatusCode, value: &Value) -> Reply {
    whole(status, "application/json", format!("{value:#}\n"))
}

/// What went wrong, in JSON.
pub(super) fn problem(status: StatusCode, why: &str) -> Reply {
    json(status, &json!({ "error": why }))
}

/// 405, naming what would have been allowed.
pub(super) fn method_not_allowed(allowed: &'static str) -> Reply {
    let mut reply = problem(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed} here"));
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// A page.
pub(super) fn html(page: &str) -> Reply {
    whole(StatusCode::OK, "text/html; charset=utf-8", page.to_owned())
}

/// A stream of events, which nothing on the way is to keep back.
pub(super) fn events(events: Events) -> Reply {
    let mut reply = Response::new(ReplyBody::Events(Box::new(events)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn whole(status: StatusCode, content_type: &'static str, body: String) -> Reply {
    let mut reply = Response::new(ReplyBody::Whole(Full::from(body)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
