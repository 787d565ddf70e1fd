//! Which endpoints a script of another origin may call (Fetch Standard, section 3.2): those that an application in the
//! browser needs. They look at no cookie, so every origin may have their answers. The pages are not among them.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
};
use http::{HeaderValue, Method, Request, StatusCode};

use super::endpoints::Endpoints;
use super::reply::{self, Reply};

/// Whether scripts may call what is at `path`.
pub(super) fn is_open(endpoints: &Endpoints, path: &str) -> bool {
    let open = [
        &endpoints.token,
        &endpoints.userinfo,
        &endpoints.revoke,
        &endpoints.pushed,
        &endpoints.device_authorization,
        &endpoints.jwks,
        &endpoints.openid_configuration,
        &endpoints.authorization_server,
    ];
    open.iter().any(|endpoint| endpoint.path == path)
}

/// Whether a browser asks for leave first.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Gives leave.
pub(super) fn leave() -> Reply {
    let mut reply = reply::whole(StatusCode::NO_CONTENT, "text/plain; charset=utf-8", String::new());
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type, dpop"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    open(&mut reply);
    reply
}

/// Lets scripts of every origin read an answer.
pub(super) fn open(reply: &mut Reply) {
    reply.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    reply.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("www-authenticate, dpop-nonce"));
}
