//! The `[[tests]]` of a config: each a rehearsal whose verdict is compared with what the file expects.

use http::Uri;

use crate::clock::UnixTime;
use crate::config::model::PolicyTest;
use crate::gateway::snapshot::Snapshot;

use super::rehearse::{Caller, Rehearsal, rehearse};

/// How one test came out.
#[derive(Debug)]
pub struct TestResult {
    /// As it was written.
    pub test: PolicyTest,
    /// What happened.
    pub rehearsal: Rehearsal,
}

impl TestResult {
    /// Whether the verdict is the expected one.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.rehearsal.verdict() == self.test.expect
    }
}

/// Runs all tests of the snapshot's config, in their order. No test touches the network.
pub async fn run_tests(snapshot: &Snapshot, now: UnixTime) -> Vec<TestResult> {
    let mut results = Vec::with_capacity(snapshot.config.tests.len());
    for test in &snapshot.config.tests {
        // The config takes only absolute URLs.
        let url = test.url.parse::<Uri>().unwrap_or_default();
        let caller = test.claims.clone().map_or(Caller::Anonymous, |mut claims| {
            claims.extend(test.signed_in.map(|ago| ("auth_time".to_owned(), now.minus(ago).secs().into())));
            Caller::Claims(claims)
        });
        let rehearsal = rehearse(snapshot, &test.method, &url, caller, now).await;
        results.push(TestResult { test: test.clone(), rehearsal });
    }
    results
}
