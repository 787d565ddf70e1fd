//! Workers: one thread each, with a runtime, listeners and connections of its own.
//!
//! A worker lives in three phases: it serves; it drains, when it accepts nothing more and ends each connection after
//! the request in flight; it stops, when what is left is cut.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::task::{Poll, ready};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::observe::metrics::OpenConnection;

use super::connection::{Activity, Serving, serve_cleartext, serve_http1, serve_http2};
use super::{Handler, Limits, Listener, Peer, PeerTls, listen};

/// How long an accept loop rests when no connection can be taken: too many are open, or the system has no descriptor.
const REST: Duration = Duration::from_millis(20);

/// Between two complaints that connections cannot be accepted.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);

/// The running workers.
#[derive(Debug)]
pub struct Workers {
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Draining,
    Stopping,
}

/// Starts `count` workers on the listeners, which must have been bound for as many. `make` makes the handler of each,
/// on its thread and inside its runtime.
///
/// # Errors
/// When the system gives no thread or no event queue.
pub fn start<H: Handler>(
    listeners: Vec<Listener>,
    count: usize,
    limits: &Limits,
    clock: &Arc<dyn Clock>,
    make: impl Fn(usize) -> H + Clone + Send + 'static,
) -> io::Result<Workers> {
    let (phase, watched) = watch::channel(Phase::Serving);
    let (report, reports) = sync_channel(count);
    let open = Arc::new(AtomicUsize::new(0));
    let mut threads = Vec::with_capacity(count);
    for (index, listeners) in deal(listeners, count).into_iter().enumerate() {
        let seat =
            Seat { limits: limits.clone(), clock: Arc::clone(clock), phase: watched.clone(), open: Arc::clone(&open) };
        let (make, report) = (make.clone(), report.clone());
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        threads.push(thread.spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let (outcome, runtime) = match runtime {
                Ok(runtime) => (Ok(()), Some(runtime)),
                Err(error) => (Err(error), None),
            };
            // The starter waits for one report of each worker, so it is there to take it.
            let _ = report.send(outcome);
            drop(report);
            if let Some(runtime) = runtime {
                runtime.block_on(async { Worker::new(seat, make(index)).run(listeners).await });
            }
        })?);
    }
    drop(report);
    for outcome in reports {
        outcome?;
    }
    Ok(Workers { phase, threads })
}

/// Gives each worker its socket of every listener.
fn deal(listeners: Vec<Listener>, count: usize) -> Vec<Vec<Listener>> {
    let mut hands: Vec<Vec<Listener>> = (0..count).map(|_| Vec::new()).collect();
    for listener in listeners {
        for (hand, socket) in hands.iter_mut().zip(listener.sockets) {
            let (tls, connections) = (listener.tls.clone(), listener.connections.clone());
            hand.push(Listener { address: listener.address, tls, connections, sockets: vec![socket] });
        }
    }
    hands
}

impl Workers {
    /// Accepts nothing more, waits until the requests in flight have ended, at most `patience`, and cuts the rest.
    /// Blocks the calling thread.
    pub fn drain(self, patience: Duration) {
        self.phase.send_replace(Phase::Draining);
        let (done, ended) = sync_channel::<()>(0);
        let phase = self.phase;
        let reaper = std::thread::spawn(move || {
            for thread in self.threads {
                // A worker that panicked has nothing left to drain.
                let _ = thread.join();
            }
            drop(done);
        });
        if ended.recv_timeout(patience) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            phase.send_replace(Phase::Stopping);
        }
        let _ = reaper.join();
    }
}

/// What a worker is given by its starter.
struct Seat {
    limits: Limits,
    clock: Arc<dyn Clock>,
    phase: watch::Receiver<Phase>,
    open: Arc<AtomicUsize>,
}

struct Worker<H: Handler> {
    handler: Rc<H>,
    limits: Rc<Limits>,
    clock: Arc<dyn Clock>,
    phase: watch::Receiver<Phase>,
    /// Connections open over all workers; each holds a [`Place`].
    open: Arc<AtomicUsize>,
    /// Coarse uptime, moved by the sweep.
    now: Rc<Cell<Duration>>,
    connections: RefCell<HashMap<u64, Connection>>,
    next_connection: Cell<u64>,
    /// When it was last said that connections cannot be accepted.
    complained: Cell<Option<Duration>>,
}

struct Connection {
    activity: Rc<Activity>,
    task: AbortHandle,
}

impl<H: Handler> Worker<H> {
    fn new(seat: Seat, handler: H) -> Rc<Self> {
        let now = Rc::new(Cell::new(seat.clock.uptime()));
        Rc::new(Self {
            handler: Rc::new(handler),
            limits: Rc::new(seat.limits),
            clock: seat.clock,
            phase: seat.phase,
            open: seat.open,
            now,
            connections: RefCell::default(),
            next_connection: Cell::new(0),
            complained: Cell::new(None),
        })
    }

    async fn run(self: Rc<Self>, listeners: Vec<Listener>) {
        let sweep = tokio::task::spawn_local(Rc::clone(&self).sweep());
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|listener| tokio::task::spawn_local(Rc::clone(&self).accept_from(listener)))
            .collect();
        for loop_ in accepting {
            // Ends when the drain begins; a panic in it was reported by the runtime.
            let _ = loop_.await;
        }
        self.reached(Phase::Draining).await;
        for connection in self.connections.borrow().values() {
            connection.activity.drain();
        }
        tokio::select! {
            () = self.emptied() => {}
            () = self.reached(Phase::Stopping) => {}
        }
        sweep.abort();
        self.handler.finish();
    }

    async fn reached(&self, phase: Phase) {
        let mut watched = self.phase.clone();
        // An error means that the workers' handle is gone: there is nobody left to serve for.
        let _ = watched.wait_for(|current| *current >= phase).await;
    }

    async fn emptied(&self) {
        while !self.connections.borrow().is_empty() || self.handler.tunnels().count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Moves the coarse time, lets the handler tidy up, and ends connections that waited too long.
    async fn sweep(self: Rc<Self>) {
        let shortest = self.limits.header_timeout.min(self.limits.idle_timeout);
        let pause = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_millis(500));
        loop {
            tokio::time::sleep(pause).await;
            self.now.set(self.clock.uptime());
            self.handler.tick();
            for connection in self.connections.borrow().values() {
                if connection.activity.is_overdue(&self.limits) {
                    connection.task.abort();
                }
            }
        }
    }

    async fn accept_from(self: Rc<Self>, mut listener: Listener) {
        let Some(Ok(socket)) = listener.sockets.pop().map(TcpListener::from_std) else {
            return tracing::error!(address = %listener.address, "the listener cannot be registered with the runtime");
        };
        let mut draining = std::pin::pin!(self.reached(Phase::Draining));
        loop {
            tokio::select! {
                biased;
                // Those whom the kernel has accepted already are served; then the socket closes.
                accepted = self.accept(&socket) => match accepted {
                    Some(Ok((stream, address, place))) => self.take(&listener, stream, address, place),
                    Some(Err(error)) => self.rest_after(&listener, &error).await,
                    None => tokio::select! {
                        () = &mut draining => return,
                        () = tokio::time::sleep(REST) => {}
                    },
                },
                () = &mut draining => return,
            }
        }
    }

    /// The next connection with a place for it; `None` when all places are taken. A place is held only while the
    /// kernel is asked, never while waiting, so that a quiet worker takes none from a busy one.
    async fn accept(&self, socket: &TcpListener) -> Option<io::Result<(TcpStream, SocketAddr, Place)>> {
        poll_fn(|cx| {
            let Some(place) = Place::take(&self.open, self.limits.max_connections) else { return Poll::Ready(None) };
            let accepted = ready!(socket.poll_accept(cx));
            Poll::Ready(Some(accepted.map(|(stream, address)| (stream, address, place))))
        })
        .await
    }

    async fn rest_after(&self, listener: &Listener, error: &io::Error) {
        // The peer may be gone before it was accepted; that says nothing about the listener.
        if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            if self.may_complain() {
                tracing::warn!(address = %listener.address, %error, "connections cannot be accepted");
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Every rest could be one more line, as long as clients keep all descriptors taken.
    fn may_complain(&self) -> bool {
        let now = self.now.get();
        let may = self.complained.get().is_none_or(|last| now.saturating_sub(last) >= COMPLAINT_PAUSE);
        if may {
            self.complained.set(Some(now));
        }
        may
    }

    /// Serves an accepted connection in a task of its own.
    fn take(self: &Rc<Self>, listener: &Listener, stream: TcpStream, address: SocketAddr, place: Place) {
        listen::tune(&stream);
        let id = self.next_connection.get();
        self.next_connection.set(id + 1);
        let activity = Rc::new(Activity::new(Rc::clone(&self.now)));
        let counted =
            Counted { worker: Rc::clone(self), _of_listener: listener.connections.opened(), _place: place, id };
        let peer = Peer { address, local: listener.address, tls: None };
        let tls = listener.tls.as_ref().map(|config| TlsAcceptor::from(config.load_full()));
        let (worker, mine) = (Rc::clone(self), Rc::clone(&activity));
        let task = tokio::task::spawn_local(async move {
            match tls {
                None => serve_cleartext(worker.serving(peer, mine), stream).await,
                Some(acceptor) => Box::pin(worker.serve_tls(peer, mine, acceptor, stream)).await,
            }
            drop(counted);
        });
        // The task has not run yet, so it is entered before it can leave.
        self.connections.borrow_mut().insert(id, Connection { activity, task: task.abort_handle() });
    }

    async fn serve_tls(&self, mut peer: Peer, activity: Rc<Activity>, acceptor: TlsAcceptor, stream: TcpStream) {
        let handshake = tokio::time::timeout(self.limits.header_timeout, acceptor.accept(stream)).await;
        let stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(peer = %peer.address, %error, "TLS handshake failed"),
            Err(_elapsed) => return tracing::debug!(peer = %peer.address, "TLS handshake timed out"),
        };
        let session = stream.get_ref().1;
        let certificate = session.peer_certificates().and_then(|chain| chain.first().cloned());
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        peer.tls = Some(PeerTls { certificate });
        let serving = self.serving(peer, activity);
        if is_http2 {
            Box::pin(serve_http2(serving, stream, Bytes::new())).await;
        } else {
            Box::pin(serve_http1(serving, stream, Bytes::new())).await;
        }
    }

    fn serving(&self, peer: Peer, activity: Rc<Activity>) -> Serving<H> {
        let connection = Rc::new(self.handler.connected(peer));
        Serving { handler: Rc::clone(&self.handler), connection, activity, limits: Rc::clone(&self.limits) }
    }
}

/// One of the connections that may be open at once, over all workers; free again when it drops.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let one_more = |count| (count < limit).then_some(count + 1);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Self(Arc::clone(open)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps one connection counted and entered until it drops.
struct Counted<H: Handler> {
    worker: Rc<Worker<H>>,
    _of_listener: OpenConnection,
    _place: Place,
    id: u64,
}

impl<H: Handler> Drop for Counted<H> {
    fn drop(&mut self) {
        // An abort from the sweep drops the task later, never while the sweep holds the map.
        self.worker.connections.borrow_mut().remove(&self.id);
    }
}
