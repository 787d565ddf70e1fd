//! Before a scrape: asks every worker to hand in its local counts, and waits for them briefly.
//!
//! Workers count in cells of their own and hand in four times a second. A scrape that did not ask would miss up to
//! that much; one that waited without bound would hang on a worker that is busy or gone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Where workers sign up, and scrapes ask.
#[derive(Debug)]
pub struct FlushBoard {
    asked: watch::Sender<u64>,
    desks: Mutex<Vec<watch::Receiver<u64>>>,
}

/// A worker's end: hears the question, and answers after its flush.
#[derive(Debug)]
pub struct Desk {
    asked: watch::Receiver<u64>,
    done: watch::Sender<u64>,
}

impl Default for FlushBoard {
    fn default() -> Self {
        Self { asked: watch::Sender::new(0), desks: Mutex::default() }
    }
}

impl FlushBoard {
    /// Signs up one worker, until the desk is dropped.
    #[must_use]
    pub fn desk(&self) -> Desk {
        let asked = self.asked.subscribe();
        let done = watch::Sender::new(*asked.borrow());
        self.desks().push(done.subscribe());
        Desk { asked, done }
    }

    /// Asks all workers to flush, and waits until each has or is gone, at most `patience`.
    /// Whether all were heard of.
    pub async fn ask(&self, patience: Duration) -> bool {
        let mut round = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            round = *asked;
        });
        let desks = self.living_desks();
        let all = async {
            for mut desk in desks {
                // An error means that the worker has gone; it handed in when it went.
                let _gone = desk.wait_for(|done| *done >= round).await.is_err();
            }
        };
        tokio::time::timeout(patience, all).await.is_ok()
    }

    fn living_desks(&self) -> Vec<watch::Receiver<u64>> {
        let mut desks = self.desks();
        desks.retain(|desk| desk.has_changed().is_ok());
        desks.clone()
    }

    fn desks(&self) -> std::sync::MutexGuard<'_, Vec<watch::Receiver<u64>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Waits until somebody asks, at most for `tick`; then the caller flushes and says [`Desk::answer`] with what this
    /// returned. `None`: the board is gone, nobody will ask again.
    pub async fn question(&mut self, tick: Duration) -> Option<u64> {
        if let Ok(heard) = tokio::time::timeout(tick, self.asked.changed()).await {
            heard.ok()?;
        }
        Some(*self.asked.borrow_and_update())
    }

    /// Tells that all counts up to question `round` are handed in.
    pub fn answer(&self, round: u64) {
        self.done.send_if_modified(|done| std::mem::replace(done, round) != round);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_question_reaches_every_desk_and_waits_for_each() {
        let board = FlushBoard::default();
        let workers = [board.desk(), board.desk()].map(|mut desk| {
            tokio::spawn(async move {
                let round = desk.question(LONG).await.unwrap();
                desk.answer(round);
                round
            })
        });
        assert!(board.ask(LONG).await);
        for worker in workers {
            assert_eq!(worker.await.unwrap(), 1);
        }
        assert!(board.ask(LONG).await, "desks that are gone are not waited for");
    }

    #[tokio::test]
    async fn a_silent_worker_costs_the_patience_and_no_more() {
        let board = FlushBoard::default();
        let desk = board.desk();
        assert!(!board.ask(SHORT).await);
        desk.answer(1);
        assert!(!board.ask(SHORT).await, "an answer to an older question is none to this one");
        desk.answer(3);
        assert!(board.ask(LONG).await, "an early answer counts");
    }

    #[tokio::test]
    async fn a_desk_ticks_when_nobody_asks_and_ends_with_the_board() {
        let board = FlushBoard::default();
        let mut desk = board.desk();
        assert_eq!(desk.question(SHORT).await, Some(0));
        drop(board);
        assert_eq!(desk.question(SHORT).await, None);
    }
}
