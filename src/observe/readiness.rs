//! Readiness: a board of named tasks, each of which says whether traffic may come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The board. Clones share it. The process is ready when somebody has signed up and everybody is fine.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<Arc<str>, Report>>>);

/// The state of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Traffic may come.
    Ok,
    /// Not yet: still being done for the first time.
    Pending,
    /// Not now: it went wrong, or it has ended.
    Failed,
}

impl TaskState {
    /// As `/readyz` shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// What a task last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether traffic may come, as far as this task knows.
    pub state: TaskState,
    /// Why, for an operator; may be empty.
    pub reason: String,
}

/// The end by which one task reports.
#[derive(Debug, Clone)]
pub struct Task {
    name: Arc<str>,
    board: Readiness,
}

impl Readiness {
    /// Signs up a task under `name`, pending until it says otherwise. A name that is there already keeps its state, so
    /// that a reload does not make a running gateway unready.
    pub fn task(&self, name: &str) -> Task {
        let name: Arc<str> = name.into();
        let pending = Report { state: TaskState::Pending, reason: String::new() };
        self.lock().entry(Arc::clone(&name)).or_insert(pending);
        Task { name, board: self.clone() }
    }

    /// Whether there is a task and all are fine.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let tasks = self.lock();
        !tasks.is_empty() && tasks.values().all(|report| report.state == TaskState::Ok)
    }

    /// Every task with what it last said, by name.
    #[must_use]
    pub fn report(&self) -> Vec<(Arc<str>, Report)> {
        self.lock().iter().map(|(name, report)| (Arc::clone(name), report.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Report>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    /// Traffic may come.
    pub fn ok(&self) {
        self.say(TaskState::Ok, String::new());
    }

    /// Traffic may come, but an operator should know of `reason` (such as keys served past their time).
    pub fn ok_but(&self, reason: impl Into<String>) {
        self.say(TaskState::Ok, reason.into());
    }

    /// Not yet.
    pub fn pending(&self, reason: impl Into<String>) {
        self.say(TaskState::Pending, reason.into());
    }

    /// Not now.
    pub fn failed(&self, reason: impl Into<String>) {
        self.say(TaskState::Failed, reason.into());
    }

    /// The task is no more, for example as a reload removed its issuer. Later reports of its clones are ignored.
    pub fn withdraw(self) {
        self.board.lock().remove(&self.name);
    }

    fn say(&self, state: TaskState, reason: String) {
        if let Some(report) = self.board.lock().get_mut(&self.name) {
            *report = Report { state, reason };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_somebody_signed_up_and_everybody_is_fine() {
        let board = Readiness::default();
        assert!(!board.is_ready(), "nothing is known yet");
        let (keys, listeners) = (board.task("keys"), board.task("listeners"));
        assert!(!board.is_ready());
        keys.ok_but("served from disk");
        listeners.ok();
        assert!(board.is_ready());
        keys.failed("gone");
        assert!(!board.is_ready());
        let again = board.task("keys");
        assert_eq!(board.report()[0].1.reason, "gone", "signing up again keeps the state");
        again.withdraw();
        keys.failed("a late word");
        assert!(board.is_ready(), "who withdrew says nothing more");
        listeners.pending("rebinding");
        assert_eq!(
            board.report(),
            [("listeners".into(), Report { state: TaskState::Pending, reason: "rebinding".into() })]
        );
    }
}
