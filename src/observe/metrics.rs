//! The process-wide metric families, and the text that a scrape gets. `docs/metrics.md` describes every family.
//!
//! Label values are names from the configuration and codes that are compiled in, never anything that a client sent,
//! so that nobody outside can make the number of series grow. Series of a name that a reload removed stay until the
//! process ends: a counter must not go back. Per-request counts come in through [`super::worker`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::clock::Clock;

use super::flush::FlushBoard;
use super::process::Process;

/// The media type of what [`Metrics::scrape`] returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The `route` of a request that no route matched.
pub const NO_ROUTE: &str = "none";

/// How long a scrape waits for workers that are busy; they hand in by themselves soon after.
const PATIENCE: Duration = Duration::from_millis(200);

/// Seconds. A cached verdict and a near upstream take tenths of a millisecond, a slow report many seconds.
const BUCKETS: [f64; 16] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// All families of the process.
pub struct Metrics {
    registry: Registry,
    names: Vec<String>,
    clock: Arc<dyn Clock>,
    board: FlushBoard,
    process: Process,
    /// Uptime in seconds at which each issuer's keys were fetched; below zero for keys that are older than the process.
    keys_fetched: Mutex<BTreeMap<Arc<str>, f64>>,
    pub(super) requests: IntCounterVec,
    pub(super) denials: IntCounterVec,
    pub(super) aborted: IntCounterVec,
    pub(super) request_seconds: HistogramVec,
    pub(super) upstream_seconds: HistogramVec,
    pub(super) upstream_faults: IntCounterVec,
    pub(super) token_cache: IntCounterVec,
    pub(super) in_flight: IntGauge,
    pub(super) workers: IntGauge,
    log_lines_dropped: IntCounter,
    jwks_age: GaugeVec,
    jwks_keys: IntGaugeVec,
    jwks_fetches: IntCounterVec,
    introspections: IntCounterVec,
    introspection_up: IntGaugeVec,
    revocations: IntGauge,
    store_up: IntGaugeVec,
    connections: IntGaugeVec,
    reloads: IntCounterVec,
    reload_succeeded: IntGauge,
    uptime: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("names", &self.names).finish_non_exhaustive()
    }
}

/// What one route has counted since the process began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteTotals {
    /// Requests by class of status: `1xx` to `5xx`, `none`.
    pub by_class: BTreeMap<String, u64>,
    /// Refusals by denial code.
    pub denials: BTreeMap<String, u64>,
}

impl Metrics {
    /// All families at zero. `clock` tells the age of keys.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let mut families = Families::default();
        let build = families.gauges("tollgate_build_info", "Always 1; the version is a label", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            clock,
            board: FlushBoard::default(),
            keys_fetched: Mutex::default(),
            process: Process::register(&mut families),
            requests: families.counters(
                "tollgate_requests_total",
                "Requests, counted when their last byte is through",
                &["route", "method", "status_class"],
            ),
            denials: families.counters("tollgate_denials_total", "Refused requests by reason", &["route", "code"]),
            aborted: families.counters(
                "tollgate_requests_aborted_total",
                "Requests whose response did not reach its end",
                &["route"],
            ),
            request_seconds: families.histograms(
                "tollgate_request_seconds",
                "From the request's head to the last byte of the response, upgraded connections left out",
                &["route"],
            ),
            upstream_seconds: families.histograms(
                "tollgate_upstream_seconds",
                "From handing the request to the upstream to the head of its response",
                &["upstream"],
            ),
            upstream_faults: families.counters(
                "tollgate_upstream_faults_total",
                "Requests that an upstream failed by",
                &["upstream", "code"],
            ),
            token_cache: families.counters(
                "tollgate_token_cache_total",
                "Look-ups of a token's verdict in the cache",
                &["result"],
            ),
            in_flight: families
                .add(IntGauge::new("tollgate_requests_in_flight", "Requests whose last byte is not through yet")),
            workers: families.add(IntGauge::new("tollgate_workers", "Running workers")),
            log_lines_dropped: families.add(IntCounter::new(
                "tollgate_log_lines_dropped_total",
                "Access log lines lost, as their reader was too slow or gone",
            )),
            jwks_age: families.add(GaugeVec::new(
                Opts::new("tollgate_jwks_age_seconds", "Time since the keys in use were fetched"),
                &["issuer"],
            )),
            jwks_keys: families.gauges("tollgate_jwks_keys", "Usable keys", &["issuer"]),
            jwks_fetches: families.counters("tollgate_jwks_fetches_total", "Fetches of keys", &["issuer", "result"]),
            introspections: families.counters(
                "tollgate_introspections_total",
                "Questions to issuers about tokens",
                &["issuer", "result"],
            ),
            introspection_up: families.gauges(
                "tollgate_introspection_up",
                "Whether the issuer is asked about tokens, and not left alone as it does not answer",
                &["issuer"],
            ),
            revocations: families.add(IntGauge::new("tollgate_revocations", "Revocations in force")),
            store_up: families.gauges("tollgate_store_up", "Whether the store that replicas share answers", &["store"]),
            connections: families.gauges("tollgate_connections", "Open client connections", &["listener"]),
            reloads: families.counters("tollgate_config_reloads_total", "Reloads of the configuration", &["result"]),
            reload_succeeded: families.add(IntGauge::new(
                "tollgate_config_last_reload_successful",
                "Whether the configuration in use is the one that was read last",
            )),
            uptime: families.add(Gauge::new("tollgate_uptime_seconds", "Time since the process began to serve")),
            registry: families.registry,
            names: families.names,
        };
        metrics.reload_succeeded.set(1);
        for result in ["hit", "miss"] {
            metrics.token_cache.with_label_values(&[result]);
        }
        for result in ["ok", "failed"] {
            metrics.reloads.with_label_values(&[result]);
        }
        Arc::new(metrics)
    }

    /// Asks the workers to hand in their counts, then gives every series as Prometheus text ([`CONTENT_TYPE`]).
    ///
    /// # Errors
    /// When a family cannot be written as text.
    pub async fn scrape(&self) -> prometheus::Result<String> {
        self.collect_from_workers().await;
        self.gather()
    }

    /// Asks the workers to hand in their counts, and waits for them briefly.
    pub async fn collect_from_workers(&self) {
        if !self.board.ask(PATIENCE).await {
            tracing::debug!("not every worker handed in its counts in time for a scrape");
        }
    }

    /// Every series as Prometheus text, as far as workers have handed in.
    ///
    /// # Errors
    /// When a family cannot be written as text.
    pub fn gather(&self) -> prometheus::Result<String> {
        self.refresh();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn refresh(&self) {
        // Held to the end: two scrapes at once must not both add the same CPU time.
        let fetched = self.keys_fetched();
        let uptime = self.clock.uptime().as_secs_f64();
        self.uptime.set(uptime);
        for (issuer, at) in fetched.iter() {
            self.jwks_age.with_label_values(&[issuer]).set((uptime - at).max(0.0));
        }
        self.process.refresh();
    }

    /// Names of all families, also of those that have no series yet.
    #[must_use]
    pub fn family_names(&self) -> &[String] {
        &self.names
    }

    /// What each route has counted, as far as workers have handed in. Holds [`NO_ROUTE`] too once it has counted.
    #[must_use]
    pub fn route_totals(&self) -> BTreeMap<String, RouteTotals> {
        let mut totals: BTreeMap<String, RouteTotals> = BTreeMap::new();
        for (route, class, count) in series(&self.requests, "status_class") {
            *totals.entry(route).or_default().by_class.entry(class).or_default() += count;
        }
        for (route, code, count) in series(&self.denials, "code") {
            *totals.entry(route).or_default().denials.entry(code).or_default() += count;
        }
        totals
    }

    /// Counts the attempt to fetch an issuer's keys. `result` is of a closed list, `ok` when keys came.
    pub fn jwks_fetch(&self, issuer: &str, result: &'static str) {
        self.jwks_fetches.with_label_values(&[issuer, result]).inc();
    }

    /// An issuer's keys in use: how many, and how long ago they were fetched (zero, unless they come from disk).
    pub fn jwks_in_use(&self, issuer: &Arc<str>, keys: usize, age: Duration) {
        let fetched = self.clock.uptime().as_secs_f64() - age.as_secs_f64();
        self.keys_fetched().insert(Arc::clone(issuer), fetched);
        self.jwks_keys.with_label_values(&[&**issuer]).set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// An issuer is configured no more, or its keys are dropped: they have no age and no number.
    pub fn jwks_gone(&self, issuer: &str) {
        let mut fetched = self.keys_fetched();
        fetched.remove(issuer);
        // An error says that there was no such series.
        let _absent = self.jwks_age.remove_label_values(&[issuer]).is_err();
        let _absent = self.jwks_keys.remove_label_values(&[issuer]).is_err();
    }

    /// Counts questions to an issuer about tokens. `result` is of a closed list.
    pub fn introspections(&self, issuer: &str, result: &'static str, count: u64) {
        self.introspections.with_label_values(&[issuer, result]).inc_by(count);
    }

    /// Whether an issuer is asked about tokens; `None`: it is not to be asked (any more).
    pub fn introspection_up(&self, issuer: &str, up: Option<bool>) {
        match up {
            Some(up) => self.introspection_up.with_label_values(&[issuer]).set(i64::from(up)),
            // An error says that there was no such series.
            None => drop(self.introspection_up.remove_label_values(&[issuer])),
        }
    }

    /// How many revocations are in force.
    pub fn revocations(&self, in_force: usize) {
        self.revocations.set(i64::try_from(in_force).unwrap_or(i64::MAX));
    }

    /// Whether the store of this kind answers.
    pub fn store_up(&self, store: &'static str, up: bool) {
        self.store_up.with_label_values(&[store]).set(i64::from(up));
    }

    /// Counts a reload of the configuration.
    pub fn config_reloaded(&self, succeeded: bool) {
        self.reloads.with_label_values(&[if succeeded { "ok" } else { "failed" }]).inc();
        self.reload_succeeded.set(i64::from(succeeded));
    }

    /// The gauge of one listener's connections; `listener` is its configured address or name.
    #[must_use]
    pub fn connections(&self, listener: &str) -> Connections {
        Connections(self.connections.with_label_values(&[listener]))
    }

    /// Counts lines that the access log lost.
    #[must_use]
    pub fn log_lines_dropped(&self) -> IntCounter {
        self.log_lines_dropped.clone()
    }

    pub(super) fn board(&self) -> &FlushBoard {
        &self.board
    }

    fn keys_fetched(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, f64>> {
        self.keys_fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Route, another label's value and the count of every series of a family.
fn series(family: &IntCounterVec, label: &str) -> Vec<(String, String, u64)> {
    let collected = family.collect();
    let metrics = collected.iter().flat_map(|family| family.get_metric());
    let value = |metric: &prometheus::proto::Metric, name: &str| {
        let pair = metric.get_label().iter().find(|pair| pair.name() == name);
        pair.map(|pair| pair.value().to_owned()).unwrap_or_default()
    };
    metrics
        .map(|metric| {
            // Counters are integers; the exchange format has them as floats.
            let count = metric.get_counter().get_value() as u64;
            (value(metric, "route"), value(metric, label), count)
        })
        .collect()
}

/// The gauge of one listener. Clones share it.
#[derive(Debug, Clone)]
pub struct Connections(IntGauge);

impl Connections {
    /// Counts one connection until the guard is dropped.
    #[must_use]
    pub fn opened(&self) -> OpenConnection {
        self.0.inc();
        OpenConnection(self.0.clone())
    }
}

/// One open connection.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Registers families and keeps their names.
#[derive(Debug, Default)]
pub(super) struct Families {
    registry: Registry,
    names: Vec<String>,
}

impl Families {
    pub(super) fn add<C: Collector + Clone + 'static>(&mut self, family: prometheus::Result<C>) -> C {
        let family = family.expect("names and labels are literals of this crate");
        self.names.extend(family.desc().iter().map(|described| described.fq_name.clone()));
        self.registry.register(Box::new(family.clone())).expect("each family is registered once");
        family
    }

    fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histograms(&mut self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(BUCKETS.into()), labels))
    }
}
