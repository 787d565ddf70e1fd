//! The gateway: what happens to one request, from its head to the last byte of its response.
//!
//! One [`Gateway`] per worker, sharing nothing with the others but the snapshot and the process-wide level of the
//! verdict cache. A request that gets no permit is answered here; nothing of it reaches an upstream.

pub mod judge;
pub mod metadata;
pub mod respond;
pub mod snapshot;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;

use crate::clock::Clock;
use crate::config::model::SubjectLog;
use crate::observe::chain;
use crate::observe::exchange::{Exchange, Opening};
use crate::observe::metrics::Metrics;
use crate::observe::worker::{SnapshotSink, WorkerSink};
use crate::observe::writer::AccessLog;
use crate::pattern::MethodSet;
use crate::policy::{self, Denial, Permit};
use crate::proxy::{
    self, Answer, Beat, BodyError, Client, ConnectionHeaders, Fault, FaultKind, RequestBody, ResponseBody, Upstreams,
    Watch,
};
use crate::secret::stand_in;
use crate::server::{Handler, Peer, Tunnels};
use crate::token::cache::Local;

use judge::{Held, Target, Verdict};
use respond::{Broken, Challenge, Form};
use snapshot::{Route, Snapshot};

/// What all workers' gateways are made with.
#[derive(Clone)]
pub struct Means {
    /// The snapshot in force.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// Where requests are logged.
    pub log: AccessLog,
}

/// One worker's gateway.
pub struct Gateway {
    current: RefCell<arc_swap::Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    view: RefCell<Rc<View>>,
    clock: Arc<dyn Clock>,
    beat: Rc<Beat>,
    sink: Rc<WorkerSink>,
    tunnels: Tunnels,
}

/// What one worker holds of one snapshot.
struct View {
    snapshot: Arc<Snapshot>,
    upstreams: Upstreams,
    verdicts: Local<Verdict>,
    sink: Rc<SnapshotSink>,
}

impl View {
    fn new(snapshot: Arc<Snapshot>, beat: &Rc<Beat>, sink: &Rc<WorkerSink>, previous: &Upstreams) -> Rc<Self> {
        let upstreams = Upstreams::new(&snapshot.targets, beat, previous);
        let verdicts = Local::new(&snapshot.verdicts);
        let sink = sink.for_snapshot(&snapshot.route_names, &snapshot.upstream_names);
        Rc::new(Self { snapshot, upstreams, verdicts, sink })
    }
}

/// What the gateway keeps beside a client's connection.
pub struct Connection {
    peer: Peer,
    headers: ConnectionHeaders,
}

/// A response body whose end is the end of its exchange.
pub type Body = ResponseBody<Observer>;

/// Tells an exchange what becomes of its response; nobody, when the exchange lasts longer than it.
pub struct Observer(Option<Exchange>);

impl Watch for Observer {
    fn sent(&mut self, bytes: usize) {
        if let Some(exchange) = &self.0 {
            exchange.add_bytes_out(bytes as u64);
        }
    }

    fn ended(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.finish();
        }
    }

    fn failed(&mut self, error: &BodyError) {
        if let Some(exchange) = &self.0 {
            exchange.fault(Broken::Protocol.code(), || chain(error));
        }
    }
}

/// Why a request got no response of an upstream's.
enum Refusal {
    Denied(Denial, Challenge),
    Broken(Broken),
}

impl Gateway {
    /// The gateway of one worker; call it inside the worker's runtime.
    #[must_use]
    pub fn new(means: Means) -> Self {
        let Means { current, clock, metrics, log } = means;
        let beat = Beat::new(Arc::clone(&clock));
        tokio::task::spawn_local(Rc::clone(&beat).run());
        let sink = WorkerSink::new(Arc::clone(&clock), metrics, log);
        tokio::task::spawn_local(sink.flush_loop());
        let view = View::new(current.load_full(), &beat, &sink, &Upstreams::default());
        let current = RefCell::new(arc_swap::Cache::new(current));
        Self { current, view: RefCell::new(view), clock, beat, sink, tunnels: Tunnels::default() }
    }

    /// This worker's view of the snapshot in force. Connections to unchanged upstreams move over.
    fn view(&self) -> Rc<View> {
        let mut current = self.current.borrow_mut();
        let snapshot = current.load();
        let mut view = self.view.borrow_mut();
        if !Arc::ptr_eq(snapshot, &view.snapshot) {
            *view = View::new(Arc::clone(snapshot), &self.beat, &self.sink, &view.upstreams);
        }
        Rc::clone(&view)
    }

    /// The life of one request. Whatever comes out, the exchange is told.
    async fn answer(self: Rc<Self>, connection: Rc<Connection>, request: Request<Incoming>) -> Response<Body> {
        let view = self.view();
        let form = Form::of(request.method(), request.headers());
        let exchange = open(&view, &connection, &request);
        let refusal = match self.forward(&view, &connection, &exchange, request).await {
            Ok(Passed::Response(response)) => {
                exchange.status(response.status());
                return response.map(|body| ResponseBody::upstream(body, Observer(Some(exchange))));
            }
            Ok(Passed::Switched(head, tunnel)) => return self.switch(head, tunnel, exchange),
            Ok(Passed::Document(document)) => return finish(exchange, document),
            Err(refusal) => refusal,
        };
        finish(exchange, refuse(&refusal, form))
    }

    /// From the head of a request to the head of its response.
    async fn forward(
        &self,
        view: &View,
        connection: &Connection,
        exchange: &Exchange,
        request: Request<Incoming>,
    ) -> Result<Passed, Refusal> {
        let snapshot = &*view.snapshot;
        // 1. What is asked for. Our own documents win over any route.
        let told = |denial| refused(exchange, denial, Challenge::default());
        let limits = &snapshot.config.server.limits;
        if judge::has_too_many_fields(request.headers(), limits.max_headers) {
            return Err(told(Denial::HeadersTooLarge));
        }
        let target = judge::target(&request).map_err(told)?;
        if let Some(answer) = own_document(snapshot, connection, target.as_ref(), &request) {
            return answer.map(Passed::Document).map_err(told);
        }
        // 2. Which route that is.
        let host = target.as_ref().map(|target| &*target.host);
        let located = judge::locate(snapshot, host, request.uri(), request.method()).map_err(told)?;
        let route = &snapshot.routes[located.route];
        exchange.route(located.route);
        // 3. Who asks, and whether they may.
        let permit = self.judge(view, route, exchange, &request).await.map_err(|denial| {
            let challenge = challenge(route, connection, target.as_ref());
            refused(exchange, denial, challenge)
        })?;
        // 4. What was judged is what is forwarded.
        let path = match located.path {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(path) => Some(path),
        };
        let authority = target.map(|target| target.authority);
        let request = prepare(request, path, limits.max_body_bytes, exchange).map_err(told)?;
        // 5. The upstream.
        exchange.forwarding_to(route.upstream);
        let upstream = view.upstreams.get(route.upstream).expect("a route's upstream is one of its snapshot's");
        let client = Client { connection: &connection.headers, host: authority };
        match proxy::forward(&permit, upstream, &route.plan, client, request).await {
            Ok(Answer::Response(response)) => {
                exchange.upstream_answered();
                Ok(Passed::Response(response))
            }
            Ok(Answer::Switched(head, tunnel)) => {
                exchange.upstream_answered();
                Ok(Passed::Switched(head, tunnel))
            }
            Err(fault) => Err(broken(exchange, &fault)),
        }
    }

    /// Authenticates and decides.
    async fn judge(
        &self,
        view: &View,
        route: &Route,
        exchange: &Exchange,
        request: &Request<Incoming>,
    ) -> Result<Permit<Held>, Denial> {
        let now = self.clock.now();
        let credential = (request.headers(), request.uri().query());
        let found = judge::authenticate(&view.snapshot, &view.verdicts, route, credential, now).await?;
        let held = found.map(|(held, cache)| {
            exchange.token_cache(cache);
            name_principal(&view.snapshot, exchange, &held);
            held
        });
        policy::decide(&route.rule, held, now)
    }

    /// Sends the `101`, and runs the tunnel beside it. The exchange lasts as long as the tunnel.
    fn switch(&self, head: Response<()>, tunnel: proxy::Tunnel, exchange: Exchange) -> Response<Body> {
        exchange.status(head.status());
        let open = self.tunnels.open();
        tokio::task::spawn_local(async move {
            // How it ended stands in the exchange.
            let _ = tunnel.run(Observer(Some(exchange))).await;
            drop(open);
        });
        head.map(|()| ResponseBody::empty(Observer(None)))
    }
}

impl Handler for Gateway {
    type Connection = Connection;
    type Body = Body;

    fn connected(&self, peer: Peer) -> Connection {
        let address = peer.address.ip().to_canonical();
        let snapshot = Arc::clone(&self.view().snapshot);
        let trusted = snapshot.config.server.trusted_proxies.iter().any(|network| network.contains(&address));
        Connection { headers: ConnectionHeaders::new(&peer, trusted), peer }
    }

    fn handle(
        self: Rc<Self>,
        connection: Rc<Connection>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + 'static {
        self.answer(connection, request)
    }

    fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    fn finish(&self) {
        self.sink.flush();
    }
}

/// What goes down to the client.
enum Passed {
    Response(Response<proxy::UpstreamBody>),
    Switched(Response<()>, proxy::Tunnel),
    Document(Response<Bytes>),
}

fn open(view: &View, connection: &Connection, request: &Request<Incoming>) -> Exchange {
    let uri = request.uri();
    let host = match uri.authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => request.headers().get(http::header::HOST).map(HeaderValue::as_bytes),
    };
    let client_ip = Some(client_address(view, connection, request.headers()));
    Exchange::open(
        &view.sink,
        &Opening { method: request.method(), host, path: uri.path(), version: request.version(), client_ip },
    )
}

/// The address that asks: the peer, or behind trusted proxies the last address in X-Forwarded-For that is not one of
/// them.
fn client_address(view: &View, connection: &Connection, headers: &HeaderMap) -> IpAddr {
    let peer = connection.peer.address.ip().to_canonical();
    if !connection.headers.trusted() {
        return peer;
    }
    let trusted = &view.snapshot.config.server.trusted_proxies;
    let fields: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|field| field.to_str().ok()).collect();
    let mut hops = fields.iter().rev().flat_map(|field| field.rsplit(','));
    let told = hops.find_map(|hop| match hop.trim().parse::<IpAddr>() {
        Ok(address) if trusted.iter().any(|network| network.contains(&address)) => None,
        outcome => Some(outcome),
    });
    told.and_then(Result::ok).unwrap_or(peer)
}

/// Our own documents, and the paths that are kept for them (design: they win over any route).
fn own_document<B>(
    snapshot: &Snapshot,
    connection: &Connection,
    target: Option<&Target<'_>>,
    request: &Request<B>,
) -> Option<Result<Response<Bytes>, Denial>> {
    let path = request.uri().path();
    let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if below("/.tollgate") {
        return Some(Err(Denial::NoRoute));
    }
    if !below(metadata::WELL_KNOWN) {
        return None;
    }
    let (authority, host) = target.map_or(("", ""), |target| (target.authority.to_str().unwrap_or(""), &*target.host));
    let document = snapshot.metadata.document(path, connection.peer.scheme(), authority, host);
    Some(match (document, request.method()) {
        (None, _) => Err(Denial::NoRoute),
        (Some(document), &(Method::GET | Method::HEAD)) => Ok(json(document)),
        (Some(_), _) => {
            let allow = [Method::GET, Method::HEAD].iter().map(MethodSet::of).fold(MethodSet::EMPTY, MethodSet::union);
            Err(Denial::MethodNotAllowed { allow })
        }
    })
}

fn json(document: Bytes) -> Response<Bytes> {
    let mut response = Response::new(document);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn challenge(route: &Route, connection: &Connection, target: Option<&Target<'_>>) -> Challenge {
    let (authority, host) = target.map_or(("", ""), |target| (target.authority.to_str().unwrap_or(""), &*target.host));
    let resource_metadata = metadata::url(&route.resource, &route.hosts, connection.peer.scheme(), authority, host);
    Challenge { scope: route.rule.needed_scopes(), resource_metadata }
}

/// Bounds the body and has it counted, and puts the judged spelling of the path in place of the one that came.
fn prepare(
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

fn name_principal(snapshot: &Snapshot, exchange: &Exchange, verdict: &Verdict) {
    if !exchange.is_logged() {
        return;
    }
    let principal = &verdict.principal;
    let subject = principal.subject.as_deref().and_then(|subject| match snapshot.config.log.subject {
        SubjectLog::Plain => Some(subject.to_owned()),
        SubjectLog::Hash => Some(stand_in(&format!("{}\n{subject}", principal.issuer_id))),
        SubjectLog::None => None,
    });
    let issuer = snapshot.issuers.get(principal.issuer).map_or("", |issuer| &*issuer.name);
    exchange.principal(issuer, subject.as_deref(), principal.client.as_deref());
}

/// Notes a denial in the exchange.
fn refused(exchange: &Exchange, denial: Denial, challenge: Challenge) -> Refusal {
    exchange.denied(denial.code(), || denial.detail());
    Refusal::Denied(denial, challenge)
}

/// Notes a fault in the exchange, and sorts it: the upstream's is a fault, the client's a denial.
fn broken(exchange: &Exchange, fault: &Fault) -> Refusal {
    let of_upstream = |broken: Broken| {
        exchange.fault(broken.code(), || chain(fault));
        Refusal::Broken(broken)
    };
    let of_client = |denial: Denial| {
        exchange.denied(denial.code(), || chain(fault));
        Refusal::Denied(denial, Challenge::default())
    };
    match fault.kind {
        FaultKind::Unreachable => of_upstream(Broken::Unreachable),
        FaultKind::Timeout => of_upstream(Broken::Timeout),
        FaultKind::Protocol => of_upstream(Broken::Protocol),
        FaultKind::BodyTooLarge => of_client(Denial::BodyTooLarge),
        FaultKind::ClientGone | FaultKind::ClientStalled => {
            of_client(Denial::BadRequest { detail: "The request body did not come to its end." })
        }
        FaultKind::Unforwardable => of_client(Denial::BadRequest { detail: "The request cannot be forwarded." }),
    }
}

fn refuse(refusal: &Refusal, form: Form) -> Response<Bytes> {
    match refusal {
        Refusal::Denied(denial, challenge) => respond::denial(denial, challenge, form),
        Refusal::Broken(broken) => respond::fault(*broken, form),
    }
}

fn finish(exchange: Exchange, response: Response<Bytes>) -> Response<Body> {
    exchange.status(response.status());
    response.map(|body| ResponseBody::full(body, Observer(Some(exchange))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// hyper moves the future of every request, so what is rarely needed in it is boxed.
    #[test]
    fn the_future_of_a_request_stays_small() {
        fn size<F: Future>(_: impl Fn(Rc<Gateway>, Rc<Connection>, Request<Incoming>) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size(Gateway::answer);
        assert!(bytes <= 3072, "{bytes} bytes");
    }
}
