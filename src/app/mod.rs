//! The composition root: from a valid config to a running gateway, and back to silence.
//!
//! [`start`] binds everything, starts the keepers of keys and the workers, and returns at once; [`Running`] then takes
//! reloads and ends in a drain. The control runtime, one thread, carries all that is not a request: keys, the admin
//! listener, the embedded authority.

mod authority;
mod effective;
mod policy_tests;
pub mod rehearse;
mod reload;
mod report;
mod store;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::admin::{Admin, Desk};
use crate::authority::Authority;
use crate::clock::{Clock, SystemClock};
use crate::config::model::{self, ClientCertificate, Config};
use crate::gateway::snapshot::{self, Browsers, CompileError, Snapshot};
use crate::gateway::{self, Gateway};
use crate::observe::log::Form;
use crate::observe::metrics::Metrics;
use crate::observe::readiness::Readiness;
use crate::observe::writer::AccessLog;
use crate::secret::random_bytes;
use crate::server::{self, Listener, Workers, tls};
use crate::token::cache::Epoch;
use crate::token::dpop;
use crate::token::revocation::{self, Office};

pub use effective::{EffectiveRule, effective_rules};
pub use policy_tests::{TestResult, run_tests};
pub use reload::{Watched, run_until_signalled};

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gives no threads or no event queue.
    #[error("the system gives no runtime")]
    Runtime(#[source] io::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {what}")]
    Listen {
        /// What would listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The settings of the embedded authority do not fit together.
    #[error("the embedded authority cannot start")]
    Authority(#[source] io::Error),
    /// The certificate of the TLS listeners cannot be used.
    #[error("TLS cannot be served")]
    Tls(#[from] tls::TlsError),
    /// What replicas share cannot be kept where the config says.
    #[error("[redis] cannot be used")]
    Store(#[from] store::SetupError),
    /// The config names something that cannot be used on this machine.
    #[error("the config cannot be used on this machine")]
    Compile(#[from] CompileError),
}

impl StartError {
    /// The way out, where it can be told from the error.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        let Self::Listen { source, .. } = self else { return None };
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                Some("a program listens there, perhaps another gateway: end it, or write another address")
            }
            io::ErrorKind::AddrNotAvailable => Some("no interface of this machine has this address"),
            io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 take the capability CAP_NET_BIND_SERVICE; others take none")
            }
            _ => None,
        }
    }
}

/// Where everything listens; ports are never 0.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Addresses {
    /// Cleartext listeners.
    pub http: Vec<SocketAddr>,
    /// TLS listeners.
    pub https: Vec<SocketAddr>,
    /// The admin listener.
    pub admin: Option<SocketAddr>,
    /// The embedded authority.
    pub authority: Option<SocketAddr>,
    /// The control endpoint of its faults.
    pub authority_control: Option<SocketAddr>,
}

impl Addresses {
    fn tell(&self) {
        let listed = |addresses: &[SocketAddr]| {
            let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            texts.join(" ")
        };
        let [http, https] = [&self.http, &self.https].map(|addresses| listed(addresses));
        let [admin, authority] = [self.admin, self.authority].map(|address| listed(address.as_slice()));
        tracing::info!(http, https, admin, authority, "the gateway serves");
    }
}

/// A gateway that serves.
pub struct Running {
    addresses: Addresses,
    runtime: Runtime,
    workers: Workers,
    stop: watch::Sender<bool>,
    current: Arc<ArcSwap<Snapshot>>,
    means: snapshot::Means,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    metrics: Arc<Metrics>,
    log: AccessLog,
    keys: report::Keys,
    drain_timeout: Duration,
}

/// Means that snapshots are compiled with, on the clocks of this machine.
#[must_use]
pub fn system_means() -> snapshot::Means {
    let dpop = dpop::Means { replays: Arc::new(dpop::replay::Memory::default()), nonce_key: random_bytes() };
    snapshot::Means {
        clock: Arc::new(SystemClock::start()),
        epoch: Arc::new(Epoch::default()),
        dpop,
        revocations: Arc::default(),
        browsers: Arc::default(),
    }
}

/// Starts the gateway that `config` describes. Access log lines go to `out`.
///
/// # Errors
/// When something that the config names is not to be had: an address, a certificate, a thread. Nothing runs then.
pub fn start(config: Config, out: Box<dyn io::Write + Send>) -> Result<Running, StartError> {
    // 1. Compile, and bind everything that has to be bound.
    let mut means = system_means();
    let clock = Arc::clone(&means.clock);
    let runtime = control_runtime()?;
    let store = config.redis.as_ref().map(|redis| store::start(redis, runtime.handle())).transpose()?;
    if let Some(store) = &store {
        means.dpop.replays = Arc::new(dpop::shared::Shared(Arc::clone(store)));
        means.browsers = Arc::new(Browsers::sharing(Arc::clone(store)));
    }
    let (server, admin) = (config.server.clone(), config.admin.clone());
    let authority = config.authority.as_ref().map(|settings| bind_authority(settings, &clock)).transpose()?;
    let log_form = form(config.log.access);
    let snapshot = Arc::new(Snapshot::compile(config, &means, None)?);
    let metrics = Metrics::new(Arc::clone(&clock));
    let (listeners, tls) = listen(&server, &metrics)?;
    let current = Arc::new(ArcSwap::from(snapshot));
    let readiness = Readiness::default();
    let keys = report::Keys::new(Arc::clone(&metrics), readiness.clone());
    let (stop, stopped) = watch::channel(false);
    let mut addresses = addresses_of(&listeners);
    let office = Arc::new(Office::new(Arc::clone(&means.revocations), Arc::clone(&clock), store.clone()));
    runtime.spawn(revocation::follow(Arc::clone(&office)));
    // 2. What runs beside the workers.
    if let Some(admin) = admin {
        let exhibit = Arc::new(report::Exhibits::new(Arc::clone(&current)));
        let desk = Desk::new(Arc::clone(&office), Arc::clone(&current), Arc::clone(&clock));
        let admin_page = Admin::new(Arc::clone(&metrics), readiness.clone(), Arc::clone(&clock), exhibit, desk);
        let bound = runtime.block_on(admin_page.bind(admin.listen));
        let bound = bound.map_err(|source| StartError::Listen { what: "admin", address: admin.listen, source })?;
        addresses.admin = Some(bound.address());
        runtime.spawn(bound.serve(stopping(stopped.clone())));
    }
    if let Some(authority) = authority {
        addresses.authority = Some(authority.address());
        addresses.authority_control = authority.control_address();
        runtime.spawn(authority.serve(stopping(stopped.clone())));
    }
    keys.follow(&runtime, &current.load_full());
    runtime.spawn(keys.clone().report_until(stopping(stopped.clone())));
    let shared = report::Shared::new(office, store, Arc::clone(&current), &readiness, Arc::clone(&clock));
    runtime.spawn(shared.report_until(stopping(stopped), Arc::clone(&metrics)));
    // 3. The workers.
    let log = AccessLog::start(log_form, out, metrics.log_lines_dropped()).map_err(StartError::Runtime)?;
    let gateways = gateway::Means {
        current: Arc::clone(&current),
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        log: log.clone(),
    };
    let limits = limits(&server.limits);
    let make = move |_index| Gateway::new(gateways.clone());
    let workers = server::start(listeners, server.workers, &limits, &clock, make).map_err(StartError::Runtime)?;
    readiness.task("workers").ok();
    addresses.tell();
    Ok(Running {
        addresses,
        runtime,
        workers,
        stop,
        current,
        means,
        tls,
        metrics,
        log,
        keys,
        drain_timeout: server.drain_timeout,
    })
}

impl Running {
    /// Where everything listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Takes no new connections, lets the requests in flight end, at most `drain_timeout`, and ends.
    pub fn stop(self) {
        tracing::info!(patience_s = self.drain_timeout.as_secs_f64(), "draining");
        self.workers.drain(self.drain_timeout);
        self.stop.send_replace(true);
        if !self.log.drain(Duration::from_secs(2)) {
            tracing::warn!("the last lines of the access log could not be written");
        }
        self.runtime.shutdown_timeout(Duration::from_secs(3));
        tracing::info!("ended");
    }
}

fn control_runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(StartError::Runtime)
}

async fn stopping(mut stopped: watch::Receiver<bool>) {
    // An error says that the sender is gone, which is an end as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

type Listening = (Vec<Listener>, Option<Arc<ArcSwap<ServerConfig>>>);

fn listen(server: &model::Server, metrics: &Metrics) -> Result<Listening, StartError> {
    let bind = |address: SocketAddr, what, tls| {
        server::bind(address, server.workers, tls, metrics).map_err(|source| StartError::Listen {
            what,
            address,
            source,
        })
    };
    let mut listeners = Vec::new();
    for address in &server.listen {
        listeners.push(bind(*address, "http", None)?);
    }
    let Some(settings) = &server.tls else { return Ok((listeners, None)) };
    let config = Arc::new(ArcSwap::from_pointee(https(settings)?));
    for address in &settings.listen {
        listeners.push(bind(*address, "https", Some(Arc::clone(&config)))?);
    }
    Ok((listeners, Some(config)))
}

fn https(settings: &model::ServerTls) -> Result<ServerConfig, tls::TlsError> {
    let clients = match (&settings.client_ca, settings.client_certificate) {
        (Some(path), ClientCertificate::Required) => tls::Clients::Certified(path.clone()),
        (Some(path), ClientCertificate::Optional) => tls::Clients::PerhapsCertified(path.clone()),
        (_, ClientCertificate::Unverified) => tls::Clients::Unverified,
        (_, ClientCertificate::NotAsked | ClientCertificate::Required | ClientCertificate::Optional) => {
            tls::Clients::Anonymous
        }
    };
    let (certificate, private_key) = (settings.certificate.clone(), settings.private_key.clone());
    tls::server_config(&tls::Files { certificate, private_key, clients }, tls::HTTP)
}

fn bind_authority(settings: &model::Authority, clock: &Arc<dyn Clock>) -> Result<Authority, StartError> {
    let listen_failed =
        |source| StartError::Listen { what: "the embedded authority", address: settings.listen, source };
    let bound = Authority::bind(authority::settings(settings)?, Arc::clone(clock));
    bound.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => StartError::Authority(error),
        _ => listen_failed(error),
    })
}

fn addresses_of(listeners: &[Listener]) -> Addresses {
    let (https, http): (Vec<_>, Vec<_>) = listeners.iter().partition(|listener| listener.tls.is_some());
    let addresses = |listeners: Vec<&Listener>| listeners.iter().map(|listener| listener.address).collect();
    Addresses { http: addresses(http), https: addresses(https), ..Addresses::default() }
}

fn limits(limits: &model::Limits) -> server::Limits {
    server::Limits {
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
        max_header_bytes: limits.max_header_bytes,
        max_headers: limits.max_headers,
        max_connections: limits.max_connections,
    }
}

fn form(access: model::AccessLog) -> Form {
    match access {
        model::AccessLog::Json => Form::Json,
        model::AccessLog::Pretty => Form::pretty(),
        model::AccessLog::Auto => Form::auto(),
        model::AccessLog::Off => Form::Off,
    }
}
