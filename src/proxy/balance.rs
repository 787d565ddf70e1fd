//! Which server of an upstream comes next: in turn, past those that could not be connected to a moment ago.

use std::cell::Cell;
use std::time::Duration;

/// How long a server that could not be connected to is passed over while others are there.
pub const REST: Duration = Duration::from_secs(5);

/// Round robin over the servers of one upstream, for one worker.
#[derive(Debug)]
pub struct Balance {
    next: Cell<usize>,
    rests_until: Box<[Cell<Duration>]>,
}

impl Balance {
    /// Over this many servers, at least one.
    #[must_use]
    pub fn over(servers: usize) -> Self {
        Self { next: Cell::new(0), rests_until: (0..servers.max(1)).map(|_| Cell::new(Duration::ZERO)).collect() }
    }

    /// The position of the server whose turn it is. When all rest, their turns go on as if none did.
    #[must_use]
    pub fn pick(&self, now: Duration) -> usize {
        let count = self.rests_until.len();
        if count == 1 {
            return 0;
        }
        let first = self.next.get();
        let turn = (0..count).map(|step| (first + step) % count).find(|&server| self.rests_until[server].get() <= now);
        let turn = turn.unwrap_or(first);
        self.next.set((turn + 1) % count);
        turn
    }

    /// Notes that this server could not be connected to.
    pub fn failed(&self, server: usize, now: Duration) {
        self.rests_until[server].set(now.saturating_add(REST));
    }

    /// Notes that this server could be connected to.
    pub fn reached(&self, server: usize) {
        self.rests_until[server].set(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(60);

    fn picks<const N: usize>(balance: &Balance, now: Duration) -> [usize; N] {
        std::array::from_fn(|_| balance.pick(now))
    }

    #[test]
    fn servers_take_turns() {
        assert_eq!(picks(&Balance::over(3), START), [0, 1, 2, 0, 1, 2]);
        assert_eq!(picks(&Balance::over(1), START), [0, 0]);
    }

    #[test]
    fn a_server_that_failed_rests_and_comes_back() {
        let balance = Balance::over(3);
        balance.failed(1, START);
        assert_eq!(picks(&balance, START), [0, 2, 0, 2]);
        assert_eq!(picks(&balance, START + REST), [0, 1, 2]);
        balance.failed(1, START);
        balance.reached(1);
        assert_eq!(picks(&balance, START), [0, 1, 2]);
    }

    #[test]
    fn when_all_rest_all_are_tried() {
        let balance = Balance::over(2);
        balance.failed(0, START);
        balance.failed(1, START);
        assert_eq!(picks(&balance, START), [0, 1, 0, 1]);
    }
}
