//! The embedded Authorization Server: for development and tests only.
//!
//! It decides who gets which token by its [`Settings`] alone, keeps everything in memory, and forgets it at the end.
//! It promises the answers that the specifications define, good and bad, to the letter, since clients and gateways are
//! tried out against it. It shares no verification code with the gateway: a misreading of a specification on either side
//! shows as a disagreement between the two.
//!
//! The first version knows one flow, client credentials, and announces no other.

mod clients;
mod discovery;
mod endpoints;
mod errors;
mod form;
mod keys;
mod pages;
mod reply;
mod settings;
mod token;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use self::endpoints::Endpoints;
use self::keys::KeyRing;
use self::reply::Reply;
use crate::clock::Clock;
use crate::server::plain;

pub use self::keys::{NoKeys, OldKeys};
pub use self::settings::{Client, ClientAuth, Grant, Settings, SigningAlgorithm, User};

/// An authority that holds its address and is about to serve.
#[derive(Debug)]
pub struct Authority {
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<State>,
}

/// What all requests share.
struct State {
    settings: Settings,
    endpoints: Endpoints,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
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
        if let Some(twice) = repeated(&settings.clients) {
            return Err(invalid(format!("the authority has two clients with the id {twice}")));
        }
        let (address, keys) = (listener.local_addr()?, KeyRing::generate()?);
        Ok(Self { listener, address, state: Arc::new(State { settings, endpoints, keys, clock }) })
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle by which a test makes it change while it serves.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { keys: Arc::clone(&self.state.keys) }
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
        let state = self.state;
        plain::serve(
            self.listener,
            move |request, _stop| {
                let state = Arc::clone(&state);
                async move { route(&state, request).await }
            },
            shutdown,
        )
        .await
    }
}

/// Changes an authority while it serves, for tests.
#[derive(Debug, Clone)]
pub struct Control {
    keys: Arc<KeyRing>,
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

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

fn repeated(clients: &[Client]) -> Option<&str> {
    let mut ids: Vec<_> = clients.iter().map(|client| client.id.as_str()).collect();
    ids.sort_unstable();
    ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Hands a request to its endpoint.
async fn route(state: &State, request: Request<Incoming>) -> Reply {
    let (path, endpoints) = (request.uri().path(), &state.endpoints);
    if path == endpoints.token.path {
        return token::handle(state, request).await;
    }
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
        pages::index(state)
    }
}
