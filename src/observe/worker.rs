//! Counting without sharing: each worker counts in cells of its own and hands in when asked or four times a second.
//!
//! A [`WorkerSink`] lives as long as its worker. For every snapshot it gives out a [`SnapshotSink`], whose cells are
//! found by position, so that a request costs no look-up of labels. Both hand in what they hold when they are dropped;
//! the families behind them stay, so a reload loses nothing and resets nothing.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use prometheus::local::LocalIntCounter;

use crate::clock::Clock;

use super::cells::{Lazy, Outcome, RouteCells, UpstreamCells};
use super::exchange::CacheResult;
use super::log::Line;
use super::metrics::{Metrics, NO_ROUTE};
use super::texts::Texts;
use super::writer::{AccessLog, Pending};

/// How often counts and log lines are handed in when nobody asks.
const TICK: Duration = Duration::from_millis(250);

/// Boxes for texts kept for the next requests; more than that many at once are rare.
const SPARE: usize = 64;

/// What one worker counts and logs into.
pub struct WorkerSink {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    log: AccessLog,
    pending: RefCell<Pending>,
    snapshots: RefCell<Vec<Weak<SnapshotSink>>>,
    #[expect(clippy::vec_box, reason = "an exchange holds the box itself, to stay small and to give it back whole")]
    spare: RefCell<Vec<Box<Texts>>>,
    /// Opened less ended exchanges since the last hand-in.
    in_flight: Cell<i64>,
    hits: LocalIntCounter,
    misses: LocalIntCounter,
}

impl std::fmt::Debug for WorkerSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerSink").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl WorkerSink {
    /// The sink of one worker; run its [`WorkerSink::flush_loop`] beside it.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, log: AccessLog) -> Rc<Self> {
        metrics.workers.inc();
        Rc::new(Self {
            clock,
            pending: RefCell::default(),
            snapshots: RefCell::default(),
            spare: RefCell::default(),
            in_flight: Cell::new(0),
            hits: metrics.token_cache.with_label_values(&["hit"]).local(),
            misses: metrics.token_cache.with_label_values(&["miss"]).local(),
            log,
            metrics,
        })
    }

    /// Cells for the routes and upstreams of one snapshot; a request names them by their position.
    #[must_use]
    pub fn for_snapshot(self: &Rc<Self>, routes: &[Arc<str>], upstreams: &[Arc<str>]) -> Rc<SnapshotSink> {
        let snapshot = Rc::new(SnapshotSink {
            worker: Rc::clone(self),
            routes: routes.iter().map(Lazy::named).collect(),
            no_route: Lazy::named(&NO_ROUTE.into()),
            upstreams: upstreams.iter().map(Lazy::named).collect(),
        });
        let mut snapshots = self.snapshots.borrow_mut();
        snapshots.retain(|known| known.strong_count() > 0);
        snapshots.push(Rc::downgrade(&snapshot));
        snapshot
    }

    /// Hands in all counts and log lines.
    pub fn flush(&self) {
        self.flush_counts();
        self.log.hand_in(&mut self.pending.borrow_mut());
    }

    fn flush_counts(&self) {
        for snapshot in self.snapshots.borrow().iter().filter_map(Weak::upgrade) {
            snapshot.flush();
        }
        self.metrics.in_flight.add(self.in_flight.take());
        self.hits.flush();
        self.misses.flush();
    }

    /// Flushes on every tick and before every scrape, as long as the sink lives. It does not keep the sink alive.
    pub fn flush_loop(self: &Rc<Self>) -> impl Future<Output = ()> + 'static {
        let mut desk = self.metrics.board().desk();
        let sink = Rc::downgrade(self);
        async move {
            while let Some(round) = desk.question(TICK).await {
                let Some(sink) = sink.upgrade() else { return };
                sink.flush();
                desk.answer(round);
            }
        }
    }

    /// The clock that exchanges are timed by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A box for the texts of one line; `None` when there is no access log.
    pub(super) fn texts(&self) -> Option<Box<Texts>> {
        self.log.is_on().then(|| self.spare.borrow_mut().pop().unwrap_or_default())
    }

    /// Writes one line, and keeps the box for another.
    pub(super) fn write(&self, line: &Line<'_>) {
        let mut pending = self.pending.borrow_mut();
        self.log.write(line, &mut pending);
    }

    pub(super) fn keep(&self, mut texts: Box<Texts>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE && texts.reset() {
            spare.push(texts);
        }
    }

    pub(super) fn exchange_opened(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    pub(super) fn exchange_ended(&self, cache: Option<CacheResult>) {
        self.in_flight.set(self.in_flight.get() - 1);
        match cache {
            Some(CacheResult::Hit) => self.hits.inc(),
            Some(CacheResult::Miss) => self.misses.inc(),
            None => {}
        }
    }
}

impl Drop for WorkerSink {
    fn drop(&mut self) {
        self.flush_counts();
        self.log.hand_in_last(&mut self.pending.borrow_mut());
        self.metrics.workers.dec();
    }
}

/// Cells for the names of one snapshot, in one worker.
#[derive(Debug)]
pub struct SnapshotSink {
    worker: Rc<WorkerSink>,
    routes: Box<[Lazy<RouteCells>]>,
    no_route: Lazy<RouteCells>,
    upstreams: Box<[Lazy<UpstreamCells>]>,
}

impl SnapshotSink {
    /// The worker that this belongs to.
    #[must_use]
    pub fn worker(&self) -> &Rc<WorkerSink> {
        &self.worker
    }

    /// The name of the route at `position`; of none, [`NO_ROUTE`].
    #[must_use]
    pub fn route_name(&self, position: Option<usize>) -> &str {
        &self.route(position).name
    }

    /// The name of the upstream at `position`.
    #[must_use]
    pub fn upstream_name(&self, position: usize) -> Option<&str> {
        self.upstreams.get(position).map(|upstream| &*upstream.name)
    }

    /// Counts one exchange.
    pub(super) fn count(&self, outcome: &Outcome) {
        let metrics = self.worker.metrics();
        let route = self.route(outcome.route);
        route.cells(|name| RouteCells::new(metrics, name)).count(metrics, &route.name, outcome);
        let Some(upstream) = outcome.upstream.and_then(|position| self.upstreams.get(position)) else { return };
        upstream.cells(|name| UpstreamCells::new(metrics, name)).count(metrics, &upstream.name, outcome);
    }

    fn route(&self, position: Option<usize>) -> &Lazy<RouteCells> {
        position.and_then(|position| self.routes.get(position)).unwrap_or(&self.no_route)
    }

    fn flush(&self) {
        let routes = self.routes.iter().chain([&self.no_route]);
        routes.filter_map(Lazy::made).for_each(RouteCells::flush);
        self.upstreams.iter().filter_map(Lazy::made).for_each(UpstreamCells::flush);
    }
}

impl Drop for SnapshotSink {
    fn drop(&mut self) {
        self.flush();
    }
}
