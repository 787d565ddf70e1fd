//! The cells that one worker counts in, for one route or one upstream, and what an exchange adds to them.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use prometheus::local::{LocalHistogram, LocalIntCounter};

use super::metrics::Metrics;

/// The methods that are named in metrics; all others are `other`.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

/// What an ended exchange adds to the counts.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) route: Option<usize>,
    pub(super) method: MethodLabel,
    /// Zero: there was none.
    pub(super) status: u16,
    pub(super) denial: Option<&'static str>,
    pub(super) aborted: bool,
    pub(super) took: Duration,
    pub(super) upstream: Option<usize>,
    pub(super) upstream_took: Option<Duration>,
    pub(super) fault: Option<&'static str>,
}

/// A method as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MethodLabel(u8);

impl MethodLabel {
    pub(super) fn of(method: &str) -> Self {
        let position = METHODS.iter().position(|&known| known == method).unwrap_or(METHODS.len());
        Self(u8::try_from(position).expect("there are nine of them"))
    }

    pub(super) fn as_str(self) -> &'static str {
        METHODS.get(usize::from(self.0)).unwrap_or(&"other")
    }
}

fn status_class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "none",
    }
}

/// Cells that come into being with the first request: of ten thousand routes, few are used, and fewer on each worker.
#[derive(Debug)]
pub(super) struct Lazy<C> {
    pub(super) name: Arc<str>,
    cells: OnceCell<Box<C>>,
}

impl<C> Lazy<C> {
    pub(super) fn named(name: &Arc<str>) -> Self {
        Self { name: Arc::clone(name), cells: OnceCell::new() }
    }

    pub(super) fn cells(&self, make: impl FnOnce(&str) -> C) -> &C {
        self.cells.get_or_init(|| Box::new(make(&self.name)))
    }

    pub(super) fn made(&self) -> Option<&C> {
        self.cells.get().map(Box::as_ref)
    }
}

pub(super) struct RouteCells {
    requests: Tally<(MethodLabel, &'static str)>,
    denials: Tally<&'static str>,
    aborted: LocalIntCounter,
    seconds: LocalHistogram,
}

impl RouteCells {
    pub(super) fn new(metrics: &Metrics, name: &str) -> Self {
        Self {
            requests: Tally::default(),
            denials: Tally::default(),
            aborted: metrics.aborted.with_label_values(&[name]).local(),
            seconds: metrics.request_seconds.with_label_values(&[name]).local(),
        }
    }

    pub(super) fn count(&self, metrics: &Metrics, name: &str, outcome: &Outcome) {
        let kind = (outcome.method, status_class(outcome.status));
        self.requests
            .count(kind, |&(method, class)| metrics.requests.with_label_values(&[name, method.as_str(), class]));
        if let Some(code) = outcome.denial {
            self.denials.count(code, |&code| metrics.denials.with_label_values(&[name, code]));
        }
        if outcome.aborted {
            self.aborted.inc();
        }
        // An upgraded connection lasts as long as its user likes: that says nothing of speed.
        if outcome.status != 101 {
            self.seconds.observe(outcome.took.as_secs_f64());
        }
    }

    pub(super) fn flush(&self) {
        self.requests.flush();
        self.denials.flush();
        self.aborted.flush();
        self.seconds.flush();
    }
}

impl std::fmt::Debug for RouteCells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteCells").finish_non_exhaustive()
    }
}

pub(super) struct UpstreamCells {
    seconds: LocalHistogram,
    faults: Tally<&'static str>,
}

impl UpstreamCells {
    pub(super) fn new(metrics: &Metrics, name: &str) -> Self {
        Self { seconds: metrics.upstream_seconds.with_label_values(&[name]).local(), faults: Tally::default() }
    }

    pub(super) fn count(&self, metrics: &Metrics, name: &str, outcome: &Outcome) {
        if let Some(took) = outcome.upstream_took {
            self.seconds.observe(took.as_secs_f64());
        }
        if let Some(code) = outcome.fault {
            self.faults.count(code, |&code| metrics.upstream_faults.with_label_values(&[name, code]));
        }
    }

    pub(super) fn flush(&self) {
        self.seconds.flush();
        self.faults.flush();
    }
}

impl std::fmt::Debug for UpstreamCells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamCells").finish_non_exhaustive()
    }
}

/// Counters by a small key. A route sees few kinds of requests, so a walk along a short list beats a hash.
struct Tally<K>(RefCell<Vec<(K, LocalIntCounter)>>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: PartialEq> Tally<K> {
    fn count(&self, key: K, shared: impl FnOnce(&K) -> IntCounter) {
        let mut counters = self.0.borrow_mut();
        match counters.iter().find(|(known, _)| *known == key) {
            Some((_, counter)) => counter.inc(),
            None => {
                let counter = shared(&key).local();
                counter.inc();
                counters.push((key, counter));
            }
        }
    }

    fn flush(&self) {
        self.0.borrow().iter().for_each(|(_, counter)| counter.flush());
    }
}
