//! Sight: metrics, the access log, diagnostics and readiness, for one process with a runtime per core.
//!
//! Promises: every request leaves exactly one log line and one set of metrics, also when it is cancelled
//! ([`exchange`]); counters never go back, also across a reload ([`worker`]); a scrape sees all that happened before it
//! ([`flush`]); a stuck reader of the log never blocks a request, what is lost is counted ([`writer`]).
//! Refuses: queries, tokens, cookies and header values never come in here, labels come from closed lists only, and a
//! line cannot be forged by what a client sends ([`log`]). Knows no OAuth: codes and names come in as text.

mod cells;
pub mod diagnostics;
pub mod exchange;
pub mod flush;
pub mod log;
pub mod metrics;
pub mod process;
pub mod readiness;
mod texts;
pub mod timestamp;
pub mod worker;
pub mod writer;

pub use exchange::{CacheResult, Exchange, Opening};
pub use log::Form;
pub use metrics::Metrics;
pub use readiness::Readiness;
pub use worker::{SnapshotSink, WorkerSink};
pub use writer::AccessLog;

/// An error and what caused it, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
