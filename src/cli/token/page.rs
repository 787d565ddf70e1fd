//! What the browser shows when it comes back: one document each, nothing from elsewhere, and a policy that allows its
//! own style and script by their digests and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::secret::sha256;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What is sent to the browser.
pub(super) type Page = Response<Full<Bytes>>;

/// A page of a title and a sentence, both taken as text.
pub(super) fn told(status: StatusCode, title: &str, text: &str) -> Page {
    let body = format!("<h1>{}</h1>\n<p>{}</p>\n", escape(title), escape(text));
    html(status, &body, "")
}

/// The page that hands the fragment of its own address back by `POST`, and shows what is answered.
pub(super) fn fragment() -> Page {
    let body = format!(
        "<h1>Tollgate</h1>\n<p id=\"told\" role=\"status\">One moment.</p>\n\
         <noscript><p>The answer is in the address of this page, and only a script can hand it on: allow scripts for \
         this page, or use the flow <code>code</code>.</p></noscript>\n<script>{SCRIPT}</script>\n"
    );
    html(StatusCode::OK, &body, &format!(" script-src 'sha256-{}'; connect-src 'self';", digest(SCRIPT)))
}

/// A sentence for the script.
pub(super) fn plain(status: StatusCode, text: String) -> Page {
    reply(status, "text/plain; charset=utf-8", text)
}

fn html(status: StatusCode, body: &str, allowed: &str) -> Page {
    let document = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Tollgate</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    );
    let mut page = reply(status, "text/html; charset=utf-8", document);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}';{allowed} base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        digest(STYLE)
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    page
}

fn reply(status: StatusCode, kind: &'static str, text: String) -> Page {
    let mut page = Response::new(Full::from(text));
    *page.status_mut() = status;
    let headers = page.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    page
}

fn digest(text: &str) -> String {
    STANDARD.encode(sha256(text.as_bytes()))
}

/// Text made safe for element content.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
