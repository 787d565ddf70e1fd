//! A circuit breaker: when an issuer answers no more, it is left alone for a while, and nobody waits for it.
//!
//! Pure: the time comes in. Closed, everybody may ask. [`PATIENCE`] failures in a row open it: nobody may ask for a pause
//! that doubles each time. Then one may, whose luck decides. Any answer closes it, whatever it says: it is the issuer that
//! is watched, not the token, so that nobody can cut others off by tokens that make an issuer refuse them.

use std::time::Duration;

/// Failures in a row that open it.
const PATIENCE: u32 = 5;
/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    pauses: u32,
    state: State,
}

/// Times are uptimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until: Duration,
    },
    /// Somebody tries, since then.
    Probing {
        since: Duration,
    },
}

impl Breaker {
    pub(super) const fn new() -> Self {
        Self { failures: 0, pauses: 0, state: State::Closed }
    }

    /// Whether a question may be asked now. Who may must say how it went.
    pub(super) fn admits(&mut self, now: Duration) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } if now < until => false,
            // One who tries and never tells must not keep it shut for ever.
            State::Probing { since } if now < since + LONGEST_PAUSE => false,
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing { since: now };
                true
            }
        }
    }

    /// Whether nobody may ask at the moment, but for one who tries.
    pub(super) fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    pub(super) fn answered(&mut self) {
        *self = Self::new();
    }

    pub(super) fn failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        match self.state {
            State::Closed if self.failures < PATIENCE => {}
            // Of those who asked before it opened, the last come back late.
            State::Open { .. } => {}
            State::Closed | State::Probing { .. } => {
                let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.pauses)).min(LONGEST_PAUSE);
                self.pauses = self.pauses.saturating_add(1);
                self.state = State::Open { until: now + pause };
            }
        }
    }

    /// Who was admitted did not get to ask. One who tried must not leave it half open.
    pub(super) fn undecided(&mut self, now: Duration) {
        if matches!(self.state, State::Probing { .. }) {
            self.failed(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..PATIENCE {
            assert!(breaker.admits(at(0)));
            breaker.failed(at(0));
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_an_answer_between_them_counts() {
        let mut breaker = Breaker::new();
        for round in 0..20 {
            assert!(breaker.admits(at(round)), "round {round}");
            match round % u64::from(PATIENCE) {
                4 => breaker.answered(),
                _ => breaker.failed(at(round)),
            }
        }
        let mut breaker = opened();
        assert!(breaker.is_open() && !breaker.admits(at(0)));
    }

    #[test]
    fn one_tries_after_each_pause_and_pauses_grow() {
        let mut breaker = opened();
        let mut now = Duration::ZERO;
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            let just_before = now + at(pause) - Duration::from_millis(1);
            assert!(!breaker.admits(just_before), "before {pause} s");
            now += at(pause);
            assert!(breaker.admits(now), "after {pause} s");
            assert!(!breaker.admits(now), "only one");
            breaker.failed(now);
        }
        assert!(breaker.admits(now + at(30)));
        breaker.answered();
        assert!(!breaker.is_open() && breaker.admits(now + at(30)) && breaker.admits(now + at(30)));
    }

    #[test]
    fn late_failures_make_the_pause_no_longer() {
        let mut breaker = opened();
        for _ in 0..50 {
            breaker.failed(at(0));
        }
        assert!(breaker.admits(at(1)));
    }

    #[test]
    fn one_who_tries_and_never_tells_does_not_shut_it_for_ever() {
        let mut breaker = opened();
        assert!(breaker.admits(at(1)));
        assert!(!breaker.admits(at(30)));
        assert!(breaker.admits(at(31)));
    }
}
