//! What goes along with a request that may pass, and with its response: the judged spelling of its path, a body that is
//! bounded and counted, and whatever belongs to the credential that opened the way.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri};
use hyper::body::Incoming;

use crate::config::model::TokenFrom;
use crate::observe::exchange::Exchange;
use crate::policy::Denial;
use crate::proxy::RequestBody;
use crate::token::dpop::NONCE_FIELD;
use crate::token::extract::Place;
use crate::token::{Rejection, elsewhere};

use super::browser::{self, Beside};
use super::snapshot::{Route, Snapshot};

/// Of one exchange.
#[derive(Default)]
pub(super) struct Along {
    /// What belongs to a browser's session.
    beside: Option<Box<Beside>>,
    /// The nonce for the client's next proof.
    nonce: Option<HeaderValue>,
    /// Where the token was, if it was not in `Authorization`.
    place: Option<Place>,
}

impl Along {
    /// With what a token brings.
    pub(super) fn of_token(nonce: Option<HeaderValue>) -> Self {
        Self { nonce, ..Self::default() }
    }

    /// With what a session brings.
    pub(super) fn of_session(beside: Box<Beside>) -> Self {
        Self { beside: Some(beside), ..Self::default() }
    }

    /// Adds to what the upstream gets, and takes away what it must not get.
    ///
    /// # Errors
    /// `bad_credential_syntax` when the request cannot be written without its token.
    pub(super) fn go_up(
        &mut self,
        snapshot: &Snapshot,
        route: &Route,
        request: &mut Request<RequestBody>,
    ) -> Result<(), Rejection> {
        if !snapshot.logins.is_empty() {
            browser::keep_own_cookies(request.headers_mut());
        }
        if let Some(beside) = &mut self.beside {
            beside.go_up(request.headers_mut());
        }
        if let Some(from) = &route.token_from {
            self.place = bring_home(from, request)?;
        }
        Ok(())
    }

    /// Keeps the answer out of caches that others share: they saw no `Authorization`, by which they would have known.
    pub(super) fn keep_private(&self, headers: &mut HeaderMap) {
        match (self.place, &self.beside) {
            (Some(place), _) => elsewhere::keep_private(headers, place),
            (None, Some(beside)) if beside.is_personal => elsewhere::as_if_authorized(headers),
            (None, Some(_) | None) => {}
        }
    }

    /// Adds to what the client gets.
    pub(super) fn go_down(self, headers: &mut HeaderMap) {
        if let Some(nonce) = self.nonce {
            headers.insert(NONCE_FIELD, nonce);
        }
        if let Some(beside) = self.beside {
            beside.go_down(headers);
        }
    }
}

/// Puts a token that came elsewhere into `Authorization`.
fn bring_home(from: &TokenFrom, request: &mut Request<RequestBody>) -> Result<Option<Place>, Rejection> {
    let mut uri = std::mem::take(request.uri_mut());
    let place = elsewhere::bring_home(from, request.headers_mut(), &mut uri);
    *request.uri_mut() = uri;
    place
}

/// Bounds the body and has it counted, and puts the judged spelling of the path in place of the one that came.
///
/// # Errors
/// `body_too_large` when it says so at once, `bad_request`.
pub(super) fn prepare(
    request: Request<Incoming>,
    path: Option<String>,
    max_body_bytes: Option<u64>,
    exchange: &Exchange,
) -> Result<Request<RequestBody>, Denial> {
    let (mut head, body) = request.into_parts();
    let mut body = RequestBody::new(body, max_body_bytes).map_err(|_| Denial::BodyTooLarge)?;
    exchange.bytes_in(body.count());
    if let Some(path) = path {
        head.uri = respelled(&head.uri, path).ok_or(Denial::BadRequest { detail: "The path cannot be forwarded." })?;
    }
    Ok(Request::from_parts(head, body))
}

fn respelled(uri: &Uri, mut path: String) -> Option<Uri> {
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}
