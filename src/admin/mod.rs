//! The admin listener: metrics, health, readiness, the redacted configuration and a status page.
//!
//! It shows, with `GET` and `HEAD`; what can be changed are the revocations (`revocations`) and the sessions of browsers, which
//! can be ended (`sessions`). Pages carry no script and forbid any. Who can reach the address can read it, so it belongs on
//! loopback or a private network; bound to loopback it answers no other Host than an IP address or `localhost`, so that a web
//! page in a browser on this machine cannot read it under a name of its own (DNS rebinding).

mod page;
mod revocations;
mod sessions;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::observe::metrics::CONTENT_TYPE;
use crate::observe::{Metrics, Readiness};

pub use revocations::Desk;

/// Connections served at once; others wait in the system's queue.
const CONNECTIONS: usize = 64;

/// For the head of a request, and for the next request on a kept connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection gets no new request after this, and some more time for the one that it is at.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// After an error of accept (out of file descriptors), which would come again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Every path with what it is, as an unknown path is told.
const PATHS: [(&str, &str); 7] = [
    ("/", "status page"),
    ("/metrics", "metrics as Prometheus text"),
    ("/healthz", "200 while the process lives"),
    ("/readyz", "200 when every task is ready, else 503; ?verbose for text"),
    ("/config", "the configuration in use, secrets redacted"),
    ("/revocations", "tokens that are refused before they expire; POST an order, DELETE /revocations/ID"),
    ("/sessions", "who is logged in: ?sub=SUB or ?sid=SID; DELETE ends these sessions"),
];

/// What the running gateway shows beside its metrics and readiness. Read anew for each request, on the admin's thread.
pub trait Exhibit: Send + Sync + 'static {
    /// The configuration in use, already redacted.
    fn config(&self) -> Value;

    /// Every issuer with the state of its keys.
    fn issuers(&self) -> Vec<IssuerStatus>;

    /// Every route, in the order of the file.
    fn routes(&self) -> Vec<RouteStatus>;
}

/// One issuer's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerStatus {
    /// Its configured name.
    pub name: Arc<str>,
    /// Its `iss`.
    pub issuer: Arc<str>,
    /// In a word or two, such as `fresh`, `stale` or `unavailable`.
    pub state: &'static str,
    /// Usable keys.
    pub keys: usize,
    /// Since the keys were fetched; `None` when there are none.
    pub age: Option<Duration>,
    /// What the last failed fetch said, if no later one succeeded.
    pub last_error: Option<String>,
    /// Where it is asked about tokens, and how that goes; `None` when it is not to be asked.
    pub introspection: Option<String>,
}

/// One route, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteStatus {
    /// Its name in logs and metrics.
    pub name: Arc<str>,
    /// Methods, hosts and path, as `GET api.acme.example/orders/{id}`.
    pub matches: String,
    /// Who may use it, as `token: orders:read` or `public`.
    pub access: String,
    /// Its upstream's name.
    pub upstream: Arc<str>,
}

/// What the admin listener serves.
pub struct Admin {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    clock: Arc<dyn Clock>,
    exhibit: Arc<dyn Exhibit>,
    desk: Desk,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

/// An admin listener that is bound and serves nothing yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    admin: Arc<Admin>,
}

impl Admin {
    /// Puts together what is served.
    #[must_use]
    pub fn new(
        metrics: Arc<Metrics>,
        readiness: Readiness,
        clock: Arc<dyn Clock>,
        exhibit: Arc<dyn Exhibit>,
        desk: Desk,
    ) -> Self {
        Self { metrics, readiness, clock, exhibit, desk }
    }

    /// Binds `listen`; port 0 lets the system choose.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(self, listen: SocketAddr) -> io::Result<Bound> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address, admin: Arc::new(self) })
    }

    async fn answer(&self, request: Request<Incoming>, loopback_only: bool) -> Response<Full<Bytes>> {
        if loopback_only && !is_local_host(&request) {
            return text(
                StatusCode::MISDIRECTED_REQUEST,
                "this listener answers to an IP address or to localhost only\n",
            );
        }
        if let Some(rest) = request.uri().path().strip_prefix("/revocations") {
            let id = rest.strip_prefix('/').map(str::to_owned);
            if rest.is_empty() || id.is_some() {
                return self.desk.answer(request, id.as_deref(), loopback_only).await;
            }
        }
        if request.uri().path() == "/sessions" {
            return self.desk.sessions(&request, loopback_only).await;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET, HEAD");
        }
        match request.uri().path() {
            "/" => self.status_page().await,
            "/metrics" => self.scrape().await,
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready(request.uri().query() == Some("verbose")),
            "/config" => json_answer(StatusCode::OK, &self.exhibit.config()),
            _ => unknown_path(),
        }
    }

    async fn scrape(&self) -> Response<Full<Bytes>> {
        match self.metrics.scrape().await {
            Ok(families) => respond(StatusCode::OK, CONTENT_TYPE, families),
            Err(error) => {
                tracing::error!(%error, "metrics cannot be written as text");
                text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written as text; see the log\n")
            }
        }
    }

    fn ready(&self, verbose: bool) -> Response<Full<Bytes>> {
        let (tasks, ready) = (self.readiness.report(), self.readiness.is_ready());
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        if verbose {
            let mut lines: String = tasks
                .iter()
                .map(|(name, report)| {
                    format!("{:<8} {name}  {}", report.state.as_str(), report.reason).trim_end().to_owned() + "\n"
                })
                .collect();
            lines += if ready { "ready\n" } else { "not ready\n" };
            return text(status, lines);
        }
        let tasks: Vec<Value> = tasks
            .iter()
            .map(|(name, report)| match report.reason.as_str() {
                "" => json!({ "name": **name, "state": report.state.as_str() }),
                reason => json!({ "name": **name, "state": report.state.as_str(), "reason": reason }),
            })
            .collect();
        json_answer(status, &json!({ "ready": ready, "tasks": tasks }))
    }

    async fn status_page(&self) -> Response<Full<Bytes>> {
        self.metrics.collect_from_workers().await;
        let html = page::render(&page::Status {
            uptime: self.clock.uptime(),
            ready: self.readiness.is_ready(),
            tasks: self.readiness.report(),
            issuers: self.exhibit.issuers(),
            routes: self.exhibit.routes(),
            totals: self.metrics.route_totals(),
        });
        respond(StatusCode::OK, "text/html; charset=utf-8", html)
    }
}

impl Bound {
    /// Where it listens, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` ends; then answers what it is at, for a short while, and returns. Needs a tokio runtime
    /// with time and I/O of any kind.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let stopped = tokio::sync::watch::Sender::new(false);
        let accept = async {
            loop {
                // The semaphore is never closed; were it, nothing could be served any more.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let (stream, _) = match self.listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "the admin listener cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let (admin, loopback, mut stop) =
                    (Arc::clone(&self.admin), self.address.ip().is_loopback(), stopped.subscribe());
                connections.spawn(async move {
                    let end = async move {
                        // An error says that the sender is gone, which is an end as well.
                        let _gone = tokio::time::timeout(CONNECTION_LIFE, stop.wait_for(|stop| *stop)).await.is_err();
                    };
                    serve_connection(stream, &admin, loopback, end).await;
                    drop(place);
                });
                // Takes out what has ended, so that the set does not grow.
                while connections.try_join_next().is_some() {}
            }
        };
        tokio::select! {
            () = accept => {}
            () = stop => {}
        }
        stopped.send_replace(true);
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }
}

async fn serve_connection(stream: TcpStream, admin: &Admin, loopback_only: bool, end: impl Future<Output = ()>) {
    let service =
        service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(admin.answer(request, loopback_only).await));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => Some(served),
        () = end => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

/// Whether the request names an IP address or `localhost` as its Host, or none at all (HTTP/1.0: not a browser).
fn is_local_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return request.headers().get(header::HOST).is_none() };
    let Ok(authority) = host.as_bytes().try_into().map(|authority: http::uri::Authority| authority) else {
        return false;
    };
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

fn unknown_path() -> Response<Full<Bytes>> {
    let list: String = PATHS.iter().map(|(path, what)| format!("{path:<12} {what}\n")).collect();
    text(StatusCode::NOT_FOUND, format!("nothing here; there is:\n{list}"))
}

fn not_allowed(allow: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("{allow} only\n"));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body)
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    respond(status, "application/json", format!("{value:#}\n"))
}

/// Every answer goes through here, so that no answer lacks the fences. For HEAD hyper leaves the body out.
fn respond(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, page::content_security_policy());
    response
}

#[cfg(test)]
mod tests;
