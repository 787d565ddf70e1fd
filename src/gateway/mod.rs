//! The gateway: what happens to one request, from its head to the last byte of its response.
//!
//! One [`Gateway`] per worker, sharing nothing with the others but the snapshot and the process-wide level of the
//! verdict cache. A request that gets no permit is answered here; nothing of it reaches an upstream.

mod along;
pub mod asking;
mod browser;
mod caller;
mod challenge;
mod intent;
pub mod judge;
mod login_links;
mod login_paths;
pub mod metadata;
mod outcome;
pub mod page;
pub mod respond;
pub mod snapshot;
mod texts;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, Version};
use hyper::body::{Body as _, Incoming};

use crate::clock::Clock;
use crate::observe::exchange::Exchange;
use crate::observe::metrics::Metrics;
use crate::observe::worker::{SnapshotSink, WorkerSink};
use crate::observe::writer::AccessLog;
use crate::policy::{self, Denial, Permit};
use crate::proxy::headers::has_odd_coding;
use crate::proxy::{self, Answer, Beat, Client, ResponseBody, Upstreams};
use crate::route::Located;
use crate::server::{Handler, Peer, Tunnels};
use crate::token::cache::Local;

use along::{Along, prepare};
use asking::Asking;
use browser::Door;
use judge::{Held, Verdict};
use login_paths::Call;
use outcome::{Refusal, broken, finish, refused};
use respond::{Challenge, Form};
use snapshot::Snapshot;

pub use caller::Connection;
pub use outcome::{Body, Observer};

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
    visitors: browser::Verdicts,
    sink: Rc<SnapshotSink>,
}

impl View {
    fn new(snapshot: Arc<Snapshot>, beat: &Rc<Beat>, sink: &Rc<WorkerSink>, previous: &Upstreams) -> Rc<Self> {
        let upstreams = Upstreams::new(&snapshot.targets, beat, previous);
        let verdicts = Local::new(&snapshot.verdicts);
        let sink = sink.for_snapshot(&snapshot.route_names, &snapshot.upstream_names);
        Rc::new(Self { snapshot, upstreams, verdicts, visitors: browser::Verdicts::default(), sink })
    }
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
        let form = Form::of(request.headers());
        let exchange = connection.open_exchange(&view.snapshot, &view.sink, &request);
        let tunnels = wants_tunnel(&request);
        let ends = tunnels || !request.body().is_end_stream() && has_odd_coding(request.headers());
        if !view.snapshot.logins.is_empty() && request.uri().path().starts_with(login_paths::OWN) && !tunnels {
            return Box::pin(self.own_path(view, exchange, request, form)).await;
        }
        let refusal = match self.forward(&view, &connection, &exchange, request).await {
            Ok(Passed::Response(response)) => {
                exchange.status(response.status());
                return response.map(|body| ResponseBody::upstream(body, Observer(Some(exchange))));
            }
            Ok(Passed::Switched(head, tunnel)) => return self.switch(head, tunnel, exchange),
            Ok(Passed::Document(document)) => return finish(exchange, document),
            Err(refusal) => refusal,
        };
        let mut response = refusal.into_response(form, &view.snapshot.pages);
        if ends {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        finish(exchange, response)
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
        let scheme = connection.scheme(request.headers());
        if let Some(answer) = snapshot.metadata.answer(&request, scheme, target.as_ref()) {
            return answer.map(Passed::Document).map_err(told);
        }
        // 2. Which route that is.
        let host = target.as_ref().map(|target| &*target.host);
        let located = judge::locate(snapshot, host, request.uri(), request.method()).map_err(told)?;
        let route = &snapshot.routes[located.route];
        exchange.route(located.route);
        // 3. Who asks, and whether they may.
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let certificate = connection.certificate(&snapshot.config.server);
        let (target_ref, now) = (target.as_ref(), self.clock.now());
        let asking = Asking { method, uri, headers, scheme, target: target_ref, certificate, now };
        let (permit, mut along) = match self.admit(view, &located, exchange, &asking).await {
            Ok(admitted) => admitted,
            Err(answered) => return *answered,
        };
        // 4. What was judged is what is forwarded.
        let path = match located.path {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(path) => Some(path),
        };
        let authority = target.map(|target| target.authority);
        let mut request = prepare(request, path, limits.max_body_bytes, exchange).map_err(told)?;
        along.go_up(snapshot, route, &mut request).map_err(|rejection| told(rejection.into()))?;
        // 5. The upstream.
        exchange.forwarding_to(route.upstream);
        let upstream = view.upstreams.get(route.upstream).expect("a route's upstream is one of its snapshot's");
        let client = Client { connection: &connection.headers, host: authority };
        match proxy::forward(&permit, upstream, &route.plan, client, request).await {
            Ok(Answer::Response(mut response)) => {
                exchange.upstream_answered();
                along.keep_private(response.headers_mut());
                along.go_down(response.headers_mut());
                Ok(Passed::Response(response))
            }
            Ok(Answer::Switched(mut head, tunnel)) => {
                exchange.upstream_answered();
                along.go_down(head.headers_mut());
                Ok(Passed::Switched(head, tunnel))
            }
            Err(fault) => Err(broken(exchange, &fault)),
        }
    }

    /// Lets a request pass by its token or by its session, or answers it: `Err` is the answer.
    async fn admit(
        &self,
        view: &View,
        located: &Located<'_>,
        exchange: &Exchange,
        asking: &Asking<'_>,
    ) -> Result<(Permit<Held>, Along), Box<Result<Passed, Refusal>>> {
        let (snapshot, route) = (&view.snapshot, &view.snapshot.routes[located.route]);
        let Some(login) = browser::login_of(snapshot, route, asking) else {
            let judged = self.judge(view, located, exchange, asking).await;
            let told = |denial| Box::new(Err(refused(exchange, denial, Challenge::of(snapshot, route, asking))));
            return judged.map(|(permit, nonce)| (permit, Along::of_token(nonce))).map_err(told);
        };
        let door = Door { view, located, route, login, exchange, asking };
        let (permit, beside) = Box::pin(door.judge()).await?;
        Ok((permit, Along::of_session(beside)))
    }

    /// Authenticates and decides.
    async fn judge(
        &self,
        view: &View,
        located: &Located<'_>,
        exchange: &Exchange,
        asking: &Asking<'_>,
    ) -> Result<(Permit<Held>, Option<HeaderValue>), Denial> {
        let route = &view.snapshot.routes[located.route];
        let found = judge::authenticate(&view.snapshot, &view.verdicts, route, asking).await?;
        let mut nonce = None;
        let held = found.map(|found| {
            exchange.token_cache(found.cache);
            caller::name_principal(&view.snapshot, exchange, &found.held);
            nonce = found.nonce;
            found.held
        });
        Ok((policy::decide(&route.rule, held, judge::circumstances(located, asking.now))?, nonce))
    }

    /// One of the gateway's own paths.
    async fn own_path(
        &self,
        view: Rc<View>,
        exchange: Exchange,
        request: Request<Incoming>,
        form: Form,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        let answered = match judge::target(&head) {
            Ok(target) => {
                let (snapshot, now) = (&*view.snapshot, self.clock.now());
                let call = Call { snapshot, exchange: &exchange, target: target.as_ref(), now };
                call.answer(&head, body).await
            }
            Err(denial) => Err(denial),
        };
        let pages = &view.snapshot.pages;
        let told = |denial| refused(&exchange, denial, Challenge::default()).into_response(form, pages);
        let answer = answered.unwrap_or_else(told);
        finish(exchange, answer)
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
        Connection::new(peer, &self.view().snapshot.config.server.trusted_proxies)
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

    fn tick(&self) {
        // A worker without requests lets go of an old snapshot here, and with it of keepers and connections.
        drop(self.view());
    }

    fn finish(&self) {
        self.sink.flush();
    }
}

/// Whether a request is a CONNECT. It is always refused, and the connection ends with that: what the client has sent behind
/// it was for the other end of the tunnel, and must not be read as a request.
fn wants_tunnel<B>(request: &Request<B>) -> bool {
    *request.method() == Method::CONNECT && request.version() < Version::HTTP_2
}

/// What goes down to the client.
enum Passed {
    Response(Response<proxy::UpstreamBody>),
    Switched(Response<()>, proxy::Tunnel),
    Document(Response<Bytes>),
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
        assert!(bytes <= 3328, "{bytes} bytes");
    }
}
