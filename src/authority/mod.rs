//! The embedded Authorization Server: for development and tests only.
//!
//! It decides who gets which token by its [`Settings`] alone, keeps everything in memory, and forgets it at the end.
//! It promises the answers that the specifications define, good and bad, to the letter, since clients and gateways are
//! tried out against it. It shares no verification code with the gateway: a misreading of a specification on either side
//! shows as a disagreement between the two.
//!
//! Its flows: the authorization code with PKCE, the implicit and hybrid types, the password, client credentials, the device
//! flow, refresh tokens, token exchange; around them discovery, pushed requests, introspection, revocation, userinfo and
//! sign-out.

mod authorize;
mod bound;
mod claims;
mod clients;
mod cors;
mod device;
mod discovery;
mod dpop;
mod endpoints;
mod errors;
mod faults;
mod flows;
mod form;
mod granted;
mod intake;
mod introspect;
mod jwk;
mod jws;
mod keys;
mod logout;
mod pages;
mod reply;
mod revoke;
mod scope;
mod session;
mod settings;
mod store;
mod token;
mod tokens;
mod userinfo;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;

use self::authorize::Step;
use self::dpop::Nonces;
use self::endpoints::Endpoints;
use self::faults::Board;
use self::keys::KeyRing;
use self::reply::Reply;
use self::store::Store;
use crate::clock::Clock;
use crate::server::plain;

pub use self::keys::{NoKeys, OldKeys};
pub use self::settings::{
    Client, ClientAuth, FaultSettings, Grant, RefreshLifetimes, Settings, SigningAlgorithm, Tls, TokenForm, User,
};

/// An authority that holds its address and is about to serve.
#[derive(Debug)]
pub struct Authority {
    listener: TcpListener,
    address: SocketAddr,
    control: Option<(TcpListener, SocketAddr)>,
    state: Arc<State>,
}

/// What all requests share.
struct State {
    settings: Settings,
    endpoints: Endpoints,
    keys: Arc<KeyRing>,
    faults: Arc<Board>,
    store: Store,
    nonces: Nonces,
    clock: Arc<dyn Clock>,
    /// Whether the flows can be walked here.
    walks: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Authority {
    /// Takes the address of the settings and starts to make keys; needs no runtime yet.
    ///
    /// # Errors
    /// When the address cannot be had, or ([`io::ErrorKind::InvalidInput`]) the settings contradict themselves.
    pub fn bind(settings: Settings, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Self::on(TcpListener::bind(settings.listen)?, settings, clock)
    }

    /// As [`Authority::bind`], on a listener that is there already: for one who has to know the port before the issuer
    /// can be written. The `listen` of the settings is not looked at.
    ///
    /// # Errors
    /// As [`Authority::bind`].
    pub fn on(listener: TcpListener, settings: Settings, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let endpoints = Endpoints::of(&settings.issuer).map_err(invalid)?;
        if let Some(why) = settings.contradiction() {
            return Err(invalid(why));
        }
        let wanted = settings.faults.as_ref();
        let control = wanted.and_then(|faults| faults.control).map(bind_control).transpose()?;
        let faults = Arc::new(Board::with(wanted.map_or(&[], |faults| &faults.on)));
        let (address, keys) = (listener.local_addr()?, KeyRing::generate()?);
        let (store, nonces) = (Store::new(), Nonces::new());
        let walks = flows::offered(address, &settings.issuer);
        let state = State { settings, endpoints, keys, faults, store, nonces, clock, walks };
        Ok(Self { listener, address, control, state: Arc::new(state) })
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its control endpoint listens, if it has one.
    #[must_use]
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(|(_, address)| *address)
    }

    /// A handle by which a test makes it change while it serves.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { keys: Arc::clone(&self.state.keys), faults: Arc::clone(&self.state.faults) }
    }

    /// Serves until `shutdown` completes. Needs a tokio runtime with I/O and time; one thread is enough.
    ///
    /// # Errors
    /// When the listener cannot be handed to the runtime.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        tracing::warn!(
            address = %self.address,
            issuer = self.state.settings.issuer,
            "the embedded authority is for development only: it signs tokens for anyone who knows its config"
        );
        warn_of_discouraged_grants(&self.state.settings);
        warn_of_faults(&self.state, self.control_address());
        let (control, state, (stop, stopped)) = (self.control(), self.state, watch::channel(false));
        let tls = state.settings.tls.as_ref().map(|tls| Arc::clone(&tls.server));
        let serving = async move {
            let handler = move |request, _stop| {
                let state = Arc::clone(&state);
                async move { answer(&state, request).await }
            };
            let ended = plain::serve_over(self.listener, tls, handler, shutdown).await;
            stop.send_replace(true);
            ended
        };
        let controlling = async move {
            match self.control {
                Some((listener, _)) => serve_control(listener, control, stopped).await,
                None => Ok(()),
            }
        };
        let (served, controlled) = tokio::join!(serving, controlling);
        served.and(controlled)
    }
}

/// Changes an authority while it serves, for tests.
#[derive(Debug, Clone)]
pub struct Control {
    keys: Arc<KeyRing>,
    faults: Arc<Board>,
}

impl Control {
    /// Makes new keys and signs with them from now on. Blocks for the part of a second that an RSA key takes.
    ///
    /// # Errors
    /// When keys cannot be made; the ones in use stay.
    pub fn rotate(&self, old: OldKeys) -> Result<(), NoKeys> {
        self.keys.rotate(old)
    }
}

/// Says once, at start, what some client may still do and nobody should begin with.
fn warn_of_discouraged_grants(settings: &Settings) {
    for grant in Grant::ALL {
        let Some(why) = grant.discouraged() else { continue };
        for client in settings.clients.iter().filter(|client| client.may(*grant)) {
            tracing::warn!(client = client.id, grant = grant.name(), "a discouraged grant: {why}");
        }
    }
}

/// Says once, at start, that not everything is as it should be.
fn warn_of_faults(state: &State, control: Option<SocketAddr>) {
    if state.settings.faults.is_some() {
        let control = control.map(|address| address.to_string());
        let on: Vec<_> = state.faults.on().iter().map(|pinned| pinned.order.to_string()).collect();
        tracing::warn!(control, on = on.join(", "), "the embedded authority makes faults on purpose");
    }
}

/// The listener of the control endpoint, which no setting moves off loopback.
fn bind_control(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    if !address.ip().is_loopback() {
        return Err(invalid("the control endpoint of the authority's faults listens on loopback only"));
    }
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve_control(listener: TcpListener, control: Control, mut stopped: watch::Receiver<bool>) -> io::Result<()> {
    let handler = move |request, _stop| {
        let control = control.clone();
        async move { faults::control::handle(&control, request).await }
    };
    // An error says that the authority is gone, which is an end as well.
    plain::serve(listener, handler, async move { drop(stopped.wait_for(|stop| *stop).await) }).await
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Answers a request, for scripts of other origins too where they may ask.
async fn answer(state: &State, request: Request<Incoming>) -> Reply {
    let path = request.uri().path().to_owned();
    let open = cors::is_open(&state.endpoints, &path);
    if open && cors::is_preflight(&request) {
        return cors::leave();
    }
    let mut reply = match faults::place_of(&state.endpoints, &path) {
        Some(place) => faults::around(state, place, route(state, request)).await,
        None => route(state, request).await,
    };
    dpop::supply_nonce(state, &path, &mut reply);
    if open {
        cors::open(&mut reply);
    }
    faults::marked(state, reply).await
}

/// Hands a request to its endpoint.
async fn route(state: &State, request: Request<Incoming>) -> Reply {
    let (path, endpoints) = (request.uri().path(), &state.endpoints);
    // Futures of their own size each, so they are boxed: not every request pays for the largest.
    if path == endpoints.token.path {
        return Box::pin(token::handle(state, request)).await;
    }
    if path == endpoints.pushed.path {
        return Box::pin(authorize::pushed::handle(state, request)).await;
    }
    if path == endpoints.device_authorization.path {
        return Box::pin(device::handle(state, request)).await;
    }
    if path == endpoints.device.path {
        return Box::pin(device::handle_page(state, request)).await;
    }
    if path == endpoints.authorize.path {
        return Box::pin(authorize::handle(state, request)).await;
    }
    let steps =
        [(&endpoints.choose, Step::Choose), (&endpoints.login, Step::Login), (&endpoints.consent, Step::Consent)];
    if let Some((_, step)) = steps.iter().find(|(endpoint, _)| endpoint.path == path) {
        return Box::pin(authorize::handle_step(state, *step, request)).await;
    }
    if path == endpoints.userinfo.path {
        return Box::pin(userinfo::handle(state, request)).await;
    }
    if path == endpoints.introspect.path {
        return Box::pin(introspect::handle(state, request)).await;
    }
    if path == endpoints.revoke.path {
        return Box::pin(revoke::handle(state, request)).await;
    }
    if path == endpoints.end_session.path {
        return Box::pin(logout::handle(state, request)).await;
    }
    if path.starts_with(&endpoints.flows.path) {
        return Box::pin(flows::handle(state, request)).await;
    }
    document(state, request).await
}

/// What can only be read.
async fn document(state: &State, request: Request<Incoming>) -> Reply {
    let (path, endpoints) = (request.uri().path(), &state.endpoints);
    let documents =
        [&endpoints.index, &endpoints.jwks, &endpoints.openid_configuration, &endpoints.authorization_server];
    if !documents.iter().any(|document| document.path == path) {
        return reply::text(StatusCode::NOT_FOUND, "There is no such endpoint; the page at / lists them.");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply::method_not_allowed("GET, HEAD");
    }
    if path == endpoints.openid_configuration.path {
        discovery::openid_configuration(&state.settings, endpoints)
    } else if path == endpoints.authorization_server.path {
        discovery::authorization_server(&state.settings, endpoints)
    } else if path == endpoints.jwks.path {
        match state.keys.current().await {
            Ok(keys) => discovery::jwks(&keys),
            Err(fault) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, &fault.to_string()),
        }
    } else {
        pages::index(state, request.headers())
    }
}
