//! `/revocations`: orders to refuse tokens before they expire.
//!
//! Who may give orders: on loopback whoever is on the machine, elsewhere whoever has the secret `[admin] token`, which,
//! once it is configured, is asked for on loopback too. What a browser sends for a page is refused, and so is a body that is not
//! announced as JSON, so that no page can give orders through somebody's browser. Bodies are small and bounded in time.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;

use super::{not_allowed, respond, sessions, text};
use crate::clock::Clock;
use crate::gateway::snapshot::Snapshot;
use crate::token::revocation::{Context, Entry, Office, OfficeError, Order, Standing};

const JSON: &str = "application/json";

/// Bytes of one order, and how long it may take to come.
const MAX_ORDER: usize = 16 * 1024;
const ORDER_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes orders from the admin listener to the office.
pub struct Desk {
    office: Arc<Office>,
    current: Arc<ArcSwap<Snapshot>>,
    clock: Arc<dyn Clock>,
}

type Answer = Response<Full<Bytes>>;

impl Desk {
    /// The desk in front of `office`. Issuers, limits and the secret are those of the snapshot in force.
    #[must_use]
    pub fn new(office: Arc<Office>, current: Arc<ArcSwap<Snapshot>>, clock: Arc<dyn Clock>) -> Self {
        Self { office, current, clock }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>, id: Option<&str>, loopback: bool) -> Answer {
        let method = request.method().clone();
        if let Some(refusal) = self.refusal(&request, loopback) {
            return refusal;
        }
        let answered = match (method, id) {
            (Method::GET | Method::HEAD, None) => Ok(self.list()),
            (Method::POST, None) => self.add(request).await,
            (Method::DELETE, Some(id)) => self.remove(id).await,
            (_, None) => return not_allowed("GET, HEAD, POST"),
            (_, Some(_)) => return not_allowed("DELETE"),
        };
        answered.unwrap_or_else(|refusal| refusal)
    }

    /// The same desk takes orders about sessions.
    pub(super) async fn sessions(&self, request: &Request<Incoming>, loopback: bool) -> Answer {
        match self.refusal(request, loopback) {
            Some(refusal) => refusal,
            None => sessions::answer(&self.current.load_full(), request).await,
        }
    }

    /// What whoever may not read or change revocations is told.
    fn refusal(&self, request: &Request<Incoming>, loopback: bool) -> Option<Answer> {
        let headers = request.headers();
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        // Every browser sends one of them with a request that is not a plain navigation; no tool does.
        if changes && (headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")) {
            return Some(text(StatusCode::FORBIDDEN, "no orders are taken from pages in a browser\n"));
        }
        let snapshot = self.current.load();
        let Some(token) = snapshot.config.admin.as_ref().and_then(|admin| admin.token.as_ref()) else {
            let message = "off loopback this needs a secret: set `token` in [admin], and send it as a bearer token\n";
            return (!loopback).then(|| text(StatusCode::FORBIDDEN, message));
        };
        if bearer(headers).is_some_and(|sent| token.matches(sent)) {
            return None;
        }
        let mut refusal = text(StatusCode::UNAUTHORIZED, "send the `token` of [admin] as Authorization: Bearer\n");
        refusal
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tollgate-admin\""));
        Some(refusal)
    }

    fn list(&self) -> Answer {
        let entries = self.office.entries();
        let lines: Vec<String> = entries.iter().map(|entry| format!("    {}", entry.to_json())).collect();
        let list = if lines.is_empty() { String::new() } else { format!("\n{}\n  ", lines.join(",\n")) };
        let complete = self.office.standing() == Standing::Sure;
        respond(StatusCode::OK, JSON, format!("{{\n  \"complete\": {complete},\n  \"revocations\": [{list}]\n}}\n"))
    }

    async fn add(&self, request: Request<Incoming>) -> Result<Answer, Answer> {
        let body = read_order(request).await?;
        let (entry, max_entries) = self.understand(&body).map_err(|problem| bad_order(&problem))?;
        let (id, json) = (entry.id.clone(), entry.to_json());
        let (kind, until) = (entry.kind.as_str(), entry.until);
        self.office.add(entry, max_entries).await.map_err(|error| refused(&error))?;
        tracing::info!(id = &*id, kind, until, "tokens are revoked");
        let mut answer = respond(StatusCode::CREATED, JSON, format!("{json}\n"));
        if let Ok(place) = HeaderValue::try_from(format!("/revocations/{id}")) {
            answer.headers_mut().insert(header::LOCATION, place);
        }
        Ok(answer)
    }

    fn understand(&self, body: &[u8]) -> Result<(Entry, usize), String> {
        let snapshot = self.current.load();
        let issuers: Vec<_> =
            snapshot.config.issuers.iter().map(|issuer| (&*issuer.name, Arc::clone(&issuer.issuer))).collect();
        let settings = &snapshot.config.revocation;
        let context = Context { issuers: &issuers, lifetime: settings.lifetime, now: self.clock.now() };
        Ok((Order::parse(body)?.entry(&context)?, settings.max_entries))
    }

    async fn remove(&self, id: &str) -> Result<Answer, Answer> {
        match self.office.remove(id).await.map_err(|error| refused(&error))? {
            true => {
                tracing::info!(id, "a revocation is taken back");
                Ok(respond(StatusCode::NO_CONTENT, "text/plain; charset=utf-8", ""))
            }
            false => Err(text(StatusCode::NOT_FOUND, "there is no such revocation, or it is over\n")),
        }
    }
}

/// The one bearer token of the request.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (sent.next(), sent.next()) else { return None };
    let (scheme, token) = only.as_bytes().split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

async fn read_order(request: Request<Incoming>) -> Result<Bytes, Answer> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.map(|text| text.split(';').next().unwrap_or_default().trim());
    if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Err(text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the order as Content-Type: application/json\n"));
    }
    let body = Limited::new(request.into_body(), MAX_ORDER).collect();
    match tokio::time::timeout(ORDER_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(text(StatusCode::PAYLOAD_TOO_LARGE, "an order has 16 KiB at most\n"))
        }
        Ok(Err(_)) | Err(_) => Err(text(StatusCode::BAD_REQUEST, "the order did not come to its end\n")),
    }
}

fn bad_order(problem: &str) -> Answer {
    text(StatusCode::BAD_REQUEST, format!("{problem}\n"))
}

fn refused(error: &OfficeError) -> Answer {
    let status = match error {
        OfficeError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        OfficeError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    text(status, format!("{error}\n"))
}
