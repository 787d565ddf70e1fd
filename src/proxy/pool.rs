//! Kept connections of one worker: a stack of idle ones for HTTP/1.1, a few shared ones for HTTP/2, for each server.
//!
//! - HTTP/1.1: the connection that was used last is taken first, so that a falling load lets the others grow old; one
//!   that has lain for `idle_timeout` is closed. A connection comes back when the response has ended and the request
//!   was sent whole; a response that is dropped before its end closes it.
//! - HTTP/2: requests share a connection up to the stream limit that the server announces; above it another is opened,
//!   up to eight, then requests wait inside. Requests that find none wait for one that is being opened.
//!
//! Nothing is locked: all of it lives on the worker's thread. No borrow is held across a wait.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use tokio::sync::watch;
use tokio::task::spawn_local;

use super::balance::Balance;
use super::beat::{Beat, Sweep};
use super::body::RequestBody;
use super::connect::{ConnectError, Connection, StreamLimit, connect};
use super::target::{Target, Wire};

/// HTTP/2 connections that one worker opens to one server at most.
const MAX_SHARED: usize = 8;

/// The upstreams of one snapshot, for one worker; addressed by their position in the config.
#[derive(Default)]
pub struct Upstreams(Vec<Rc<Upstream>>);

impl Upstreams {
    /// Those of `targets`. One that is the same as in `previous` keeps its connections; all others of `previous` are
    /// retired: their connections close when what is on them has ended.
    #[must_use]
    pub fn new(targets: &[Arc<Target>], beat: &Rc<Beat>, previous: &Self) -> Self {
        let kept = |target: &Arc<Target>| previous.0.iter().find(|old| old.target.is_same(target)).cloned();
        let next = targets.iter().map(|target| kept(target).unwrap_or_else(|| Upstream::new(target.clone(), beat)));
        let next = Self(next.collect());
        previous.0.iter().filter(|old| !next.0.iter().any(|new| Rc::ptr_eq(new, old))).for_each(|old| old.retire());
        next
    }

    /// The upstream at this position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&Rc<Upstream>> {
        self.0.get(position)
    }
}

/// One upstream, as one worker uses it.
pub struct Upstream {
    pub(super) target: Arc<Target>,
    pub(super) beat: Rc<Beat>,
    pub(super) balance: Balance,
    servers: Box<[Server]>,
    retired: Cell<bool>,
}

/// What is open to one server.
struct Server {
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Vec<Rc<Shared>>>,
    opening: RefCell<Option<Opening>>,
    /// Whether new connections will speak HTTP/1.1: known, or learnt from the last one.
    http1: Cell<bool>,
}

struct Idle {
    sender: http1::SendRequest<RequestBody>,
    since: Duration,
}

/// One HTTP/2 connection.
struct Shared {
    sender: http2::SendRequest<RequestBody>,
    limit: StreamLimit,
    streams: Cell<usize>,
    used: Cell<Duration>,
    beat: Rc<Beat>,
}

/// A connection on its way, that several requests wait for: its outcome, once there is one.
type Opening = watch::Receiver<Option<Result<(), Arc<ConnectError>>>>;

/// A connection for one exchange.
pub(super) enum Channel {
    Http1 { sender: http1::SendRequest<RequestBody>, kept: bool, rested: bool },
    Http2 { sender: http2::SendRequest<RequestBody>, stream: Stream, kept: bool },
}

impl Upstream {
    /// Has no connection yet.
    #[must_use]
    pub fn new(target: Arc<Target>, beat: &Rc<Beat>) -> Rc<Self> {
        let servers: Box<[Server]> = target.servers.iter().map(|place| Server::new(&place.wire)).collect();
        let balance = Balance::over(servers.len());
        let upstream = Rc::new(Self { target, beat: beat.clone(), balance, servers, retired: Cell::new(false) });
        let sweep: Weak<Self> = Rc::downgrade(&upstream);
        beat.attach(sweep);
        upstream
    }

    /// How it was compiled.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Connections that are open and idle, for tests and metrics.
    #[must_use]
    pub fn idle(&self) -> usize {
        let unused = |shared: &Rc<Shared>| shared.streams.get() == 0 && !shared.sender.is_closed();
        let count = |server: &Server| {
            let lying = server.idle.borrow().iter().filter(|idle| !idle.sender.is_closed()).count();
            lying + server.shared.borrow().iter().filter(|shared| unused(shared)).count()
        };
        self.servers.iter().map(count).sum()
    }

    /// Keeps no connection from here on.
    fn retire(&self) {
        self.retired.set(true);
        self.servers.iter().for_each(Server::clear);
    }

    /// A kept connection to the server at this position.
    pub(super) fn kept(&self, server: usize, only_http1: bool) -> Option<Channel> {
        self.servers[server].kept(only_http1, self.beat.now())
    }

    /// A connection to the server at this position for which one is opened, unless one becomes free on the way.
    pub(super) async fn channel(
        self: &Rc<Self>,
        server: usize,
        only_http1: bool,
    ) -> Result<Channel, Arc<ConnectError>> {
        let place = &self.servers[server];
        if only_http1 || place.http1.get() {
            return self.open(server, only_http1).await.map_err(Arc::new);
        }
        // Each round ends with one more shared connection, whose streams others may take before us.
        for _ in 0..MAX_SHARED {
            self.join_opening(server).await?;
            match place.kept(only_http1, self.beat.now()) {
                Some(channel) => return Ok(channel),
                None if place.http1.get() => break,
                None => {}
            }
        }
        self.open(server, only_http1).await.map_err(Arc::new)
    }

    /// Opens a connection for the caller alone, unless it turns out to be one that is shared.
    async fn open(self: &Rc<Self>, server: usize, only_http1: bool) -> Result<Channel, ConnectError> {
        let (place, target) = (&self.servers[server], &self.target);
        let opened = connect(&target.servers[server], target.config.connect_timeout, only_http1).await?;
        self.balance.reached(server);
        Ok(match opened {
            Connection::Http1(sender) => {
                place.http1.set(place.http1.get() || !only_http1);
                Channel::Http1 { sender, kept: false, rested: false }
            }
            Connection::Http2 { sender, limit } => place.share(sender, limit, &self.beat).channel(false),
        })
    }

    /// Waits for the connection that is being opened for all, and has one opened if none is.
    async fn join_opening(self: &Rc<Self>, server: usize) -> Result<(), Arc<ConnectError>> {
        let running = self.servers[server].opening.borrow().clone();
        let mut opening = running.unwrap_or_else(|| self.start_opening(server));
        match opening.wait_for(Option::is_some).await.map(|outcome| outcome.clone()) {
            Ok(Some(outcome)) => outcome,
            // The opening task ended without a word (its runtime shuts down); the caller opens its own.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Opens a connection in a task of its own: it goes on when the request that asked first is gone.
    fn start_opening(self: &Rc<Self>, server: usize) -> Opening {
        let (tell, opening) = watch::channel(None);
        *self.servers[server].opening.borrow_mut() = Some(opening.clone());
        let upstream = self.clone();
        spawn_local(async move {
            let opened = upstream.open(server, false).await;
            let outcome = match opened {
                Ok(channel) => {
                    upstream.put_by(server, channel).await;
                    Ok(())
                }
                Err(error) => Err(Arc::new(error)),
            };
            *upstream.servers[server].opening.borrow_mut() = None;
            tell.send_replace(Some(outcome));
        });
        opening
    }

    /// Keeps a connection that nobody uses yet.
    async fn put_by(&self, server: usize, channel: Channel) {
        match channel {
            Channel::Http1 { mut sender, .. } => {
                if sender.ready().await.is_ok() {
                    self.keep(server, sender);
                }
            }
            // It is shared already; its stream ends here.
            Channel::Http2 { .. } => {}
        }
    }

    fn keep(&self, server: usize, sender: http1::SendRequest<RequestBody>) {
        if !self.retired.get() {
            self.servers[server].idle.borrow_mut().push(Idle { sender, since: self.beat.now() });
        }
    }

    /// The lease that gives an HTTP/1.1 connection back.
    pub(super) fn lease(self: &Rc<Self>, server: usize, sender: http1::SendRequest<RequestBody>) -> Lease {
        Lease::Http1 { upstream: self.clone(), server, sender }
    }
}

impl Sweep for Upstream {
    fn sweep(&self, now: Duration) {
        let timeout = self.target.config.idle_timeout;
        let old = |since: Duration| now.saturating_sub(since) >= timeout;
        for server in &self.servers {
            server.idle.borrow_mut().retain(|idle| !old(idle.since) && !idle.sender.is_closed());
            let unused = |shared: &Shared| shared.streams.get() == 0 && old(shared.used.get());
            server.shared.borrow_mut().retain(|shared| !shared.sender.is_closed() && !unused(shared));
        }
    }
}

impl Server {
    fn new(wire: &Wire) -> Self {
        let http1 = Cell::new(matches!(wire, Wire::Http1));
        Self { idle: RefCell::default(), shared: RefCell::default(), opening: RefCell::default(), http1 }
    }

    fn clear(&self) {
        self.idle.borrow_mut().clear();
        self.shared.borrow_mut().clear();
    }

    fn kept(&self, only_http1: bool, now: Duration) -> Option<Channel> {
        let shared = if only_http1 { None } else { self.with_room() };
        shared.map(|shared| shared.channel(true)).or_else(|| self.pop(now))
    }

    fn pop(&self, now: Duration) -> Option<Channel> {
        let mut idle = self.idle.borrow_mut();
        // Whatever is not ready was closed by the server meanwhile.
        let ready = std::iter::from_fn(|| idle.pop()).find(|idle| idle.sender.is_ready());
        ready.map(|idle| Channel::Http1 { sender: idle.sender, kept: true, rested: idle.since != now })
    }

    /// A shared connection with room for one more stream; when there may be no more of them, the emptiest.
    fn with_room(&self) -> Option<Rc<Shared>> {
        let mut all = self.shared.borrow_mut();
        if all.is_empty() {
            return None;
        }
        all.retain(|shared| !shared.sender.is_closed());
        let room = all.iter().find(|shared| shared.streams.get() < (shared.limit)());
        let any = if all.len() >= MAX_SHARED { all.iter().min_by_key(|shared| shared.streams.get()) } else { None };
        room.or(any).cloned()
    }

    fn share(&self, sender: http2::SendRequest<RequestBody>, limit: StreamLimit, beat: &Rc<Beat>) -> Rc<Shared> {
        self.http1.set(false);
        let (streams, used) = (Cell::new(0), Cell::new(beat.now()));
        let shared = Rc::new(Shared { sender, limit, streams, used, beat: beat.clone() });
        self.shared.borrow_mut().push(shared.clone());
        shared
    }
}

impl Shared {
    fn channel(self: Rc<Self>, kept: bool) -> Channel {
        self.streams.set(self.streams.get() + 1);
        Channel::Http2 { sender: self.sender.clone(), stream: Stream(self), kept }
    }
}

/// One stream of a shared connection; its place is free again when this is dropped.
pub(super) struct Stream(Rc<Shared>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        self.0.used.set(self.0.beat.now());
    }
}

/// What an exchange holds of its connection until the response has ended. Dropped before, it closes an HTTP/1.1
/// connection.
pub(super) enum Lease {
    Http1 { upstream: Rc<Upstream>, server: usize, sender: http1::SendRequest<RequestBody> },
    Http2(Stream),
}

impl Lease {
    /// The response has ended. The connection is kept once the request has been sent whole as well.
    pub(super) fn release(self) {
        match self {
            Self::Http2(stream) => drop(stream),
            Self::Http1 { upstream, server, sender } if sender.is_ready() => upstream.keep(server, sender),
            Self::Http1 { sender, .. } if sender.is_closed() => drop(sender),
            Self::Http1 { upstream, server, mut sender } => {
                // A client that never ends its request holds the connection no longer than an idle one is kept.
                let limit = upstream.target.config.idle_timeout;
                spawn_local(async move {
                    if let Ok(Ok(())) = tokio::time::timeout(limit, sender.ready()).await {
                        upstream.keep(server, sender);
                    }
                });
            }
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 { .. } => "Http1",
            Self::Http2(_) => "Http2",
        })
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.target.config.name).finish_non_exhaustive()
    }
}

impl Channel {
    pub(super) fn is_kept(&self) -> bool {
        match self {
            Self::Http1 { kept, .. } | Self::Http2 { kept, .. } => *kept,
        }
    }

    /// Whether the server may be closing it for having lain idle: it was used last before the beat that is now.
    pub(super) fn has_rested(&self) -> bool {
        matches!(self, Self::Http1 { rested: true, .. })
    }
}
