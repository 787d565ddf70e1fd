//! The harness of the black-box suites: the real binary as a child process, and around it clients, upstreams and
//! issuers that do exactly what a case tells them, down to the byte.
//!
//! Peers are plain threads over blocking sockets wherever HTTP/1.1 is enough, so that a case may write what no library
//! would; HTTP/2 is spoken through hyper on one shared runtime. Every server listens on a loopback port that the
//! system chose, so suites run side by side.
#![expect(dead_code, reason = "every suite takes the part of the harness that it needs")]

pub mod browser;
pub mod client;
pub mod foreign;
pub mod gateway;
pub mod h2;
pub mod introspection;
pub mod issuer;
pub mod keys;
pub mod process;
pub mod provider;
pub mod redis;
pub mod tls;
pub mod token;
pub mod upstream;
pub mod world;

use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use tollgate::clock::{Clock, SystemClock};

/// How long a test waits for something that has to happen. Generous: a slow machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The runtime of everything asynchronous in this process.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime for the peers of the gateway")
    })
}

fn clock() -> &'static SystemClock {
    static CLOCK: OnceLock<SystemClock> = OnceLock::new();
    CLOCK.get_or_init(SystemClock::start)
}

/// Seconds since the epoch.
pub fn now() -> i64 {
    clock().now().secs()
}

/// Time since this process first asked.
pub fn uptime() -> Duration {
    clock().uptime()
}

/// Asks `probe` until it answers.
///
/// # Panics
/// When it has no answer within `patience`; the message names `what`.
#[track_caller]
pub fn eventually<T>(what: &str, patience: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = uptime();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(uptime() - start < patience, "waited {patience:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Fails with all that went wrong in a table of cases, not just with the first.
#[track_caller]
pub fn report(cases: usize, failures: &[String]) {
    assert!(failures.is_empty(), "{} of {cases} cases failed:\n{}", failures.len(), failures.join("\n"));
}
