//! Who may cause a fetch, and who has to wait for one: single flight, the cool-down, and the memory of unknown `kid`s.
//!
//! Pure: it is told the time (as [`uptime`](crate::clock::Clock::uptime)) and what happened, and fetches nothing.
//! Fetches are numbered from 1 in the order in which they begin, so that "began later than" needs no clock. Promises:
//! at most one fetch at a time; unknown `kid`s cause one per cool-down at most, whatever their number; a `kid` is held
//! to be absent only on the word of a fetch that began after it was first seen; memory is bounded.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Unknown `kid`s that are remembered. Beyond that a new one is as good as never seen; the cool-down still holds.
const MAX_STRANGERS: usize = 1024;

/// How long a `kid` counts as absent without being asked for again, in cool-downs. It bounds the harm of a token that
/// comes before its key: from an issuer whose key set lags behind its tokens, or from one who guessed the next `kid`.
const MEMORY: u32 = 3;

/// See the module.
#[derive(Debug)]
pub(super) struct Desk {
    cooldown: Duration,
    /// The number of the fetch that began last; 0 before the first.
    begun: u64,
    /// The number of the last fetch that brought keys; 0 before the first.
    good: u64,
    in_flight: bool,
    /// A request wants a fetch.
    demanded: bool,
    /// We want one ourselves, whatever the cool-down says.
    ordered: bool,
    cooling_until: Duration,
    /// By keyed hash of the `kid`: which fetch had begun last when it was first seen, and when that was.
    strangers: HashMap<u64, (Sight, Duration)>,
    hasher: RandomState,
}

/// The number of the fetch that had begun last when a `kid` was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight(u64);

/// A fetch that has begun.
#[derive(Debug)]
pub(super) struct Flight {
    number: u64,
    demanded: bool,
}

/// What a request that lacks a key does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The issuer has no such key: a fetch that began after the `kid` was first seen did not bring it.
    Absent,
    /// The cool-down forbids to ask the issuer.
    Cooling,
    /// Wait for the end of the next fetch, then ask again.
    Wait,
    /// As `Wait`, and the caller has to start the fetch.
    Start,
}

impl Desk {
    pub(super) fn new(cooldown: Duration) -> Self {
        Self {
            cooldown,
            begun: 0,
            good: 0,
            in_flight: false,
            demanded: false,
            ordered: false,
            cooling_until: Duration::ZERO,
            strangers: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    /// Notes that a request came with this unknown `kid`.
    pub(super) fn sight(&mut self, kid: &str, now: Duration) -> Sight {
        let key = self.hasher.hash_one(kid);
        let memory = self.cooldown * MEMORY;
        let fresh = |since: &Duration| now.saturating_sub(*since) < memory;
        if let Some((sight, since)) = self.strangers.get(&key)
            && fresh(since)
        {
            return *sight;
        }
        let sight = Sight(self.begun);
        if self.strangers.len() >= MAX_STRANGERS && !self.strangers.contains_key(&key) {
            self.strangers.retain(|_, (_, since)| fresh(since));
        }
        if self.strangers.len() < MAX_STRANGERS || self.strangers.contains_key(&key) {
            self.strangers.insert(key, (sight, now));
        }
        sight
    }

    /// What a request does whose `kid`, first seen at `sight`, is not among the keys.
    pub(super) fn ask(&mut self, sight: Sight, now: Duration) -> Answer {
        if self.good > sight.0 { Answer::Absent } else { self.ask_for_any(now) }
    }

    /// What a request does when there are no keys at all.
    pub(super) fn ask_for_any(&mut self, now: Duration) -> Answer {
        if self.in_flight || self.demanded {
            Answer::Wait
        } else if now < self.cooling_until {
            Answer::Cooling
        } else {
            self.demanded = true;
            Answer::Start
        }
    }

    /// Asks for a fetch that no cool-down forbids and that starts none.
    pub(super) fn order(&mut self) {
        self.ordered = true;
    }

    /// Whether a fetch is wanted before its time.
    pub(super) fn wanted(&self) -> bool {
        self.demanded || self.ordered
    }

    /// A fetch begins, and serves everybody who asked for one until now.
    pub(super) fn begin(&mut self) -> Flight {
        self.begun += 1;
        self.in_flight = true;
        self.ordered = false;
        Flight { number: self.begun, demanded: std::mem::take(&mut self.demanded) }
    }

    /// The fetch has ended: with keys or not, and with other keys than before or not.
    pub(super) fn finish(&mut self, flight: &Flight, outcome: Outcome, now: Duration) {
        self.in_flight = false;
        if flight.demanded {
            self.cooling_until = now + self.cooldown;
        }
        match outcome {
            Outcome::Failed => {}
            Outcome::Same => self.good = flight.number,
            Outcome::Changed => {
                self.good = flight.number;
                self.strangers.clear();
            }
        }
    }
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Without keys.
    Failed,
    /// With the keys that we had.
    Same,
    /// With other keys.
    Changed,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A desk after the fetch at start.
    fn warm() -> Desk {
        let mut desk = Desk::new(COOLDOWN);
        fly(&mut desk, Outcome::Changed, at(0));
        desk
    }

    fn fly(desk: &mut Desk, outcome: Outcome, now: Duration) {
        let flight = desk.begin();
        desk.finish(&flight, outcome, now);
    }

    #[test]
    fn the_fetch_at_start_and_regular_ones_start_no_cooldown() {
        let mut desk = warm();
        fly(&mut desk, Outcome::Same, at(1));
        desk.order();
        fly(&mut desk, Outcome::Same, at(1));
        let sight = desk.sight("k", at(1));
        assert_eq!(desk.ask(sight, at(1)), Answer::Start);
    }

    #[test]
    fn one_request_starts_a_fetch_and_the_others_wait_for_it() {
        let mut desk = warm();
        let sight = desk.sight("k", at(1));
        assert_eq!(desk.ask(sight, at(1)), Answer::Start);
        assert_eq!(desk.ask(sight, at(1)), Answer::Wait);
        let flight = desk.begin();
        assert_eq!(desk.ask(sight, at(1)), Answer::Wait);
        assert!(!desk.wanted(), "the fetch serves those who wait");
        desk.finish(&flight, Outcome::Same, at(2));
        assert_eq!(desk.ask(sight, at(2)), Answer::Absent);
    }

    #[test]
    fn during_the_cooldown_a_new_kid_is_not_asked_for_and_not_held_absent() {
        let mut desk = warm();
        let first = desk.sight("first", at(1));
        desk.ask(first, at(1));
        let flight = desk.begin();
        let during = desk.sight("during", at(1));
        desk.finish(&flight, Outcome::Same, at(1));
        let after = desk.sight("after", at(2));
        for sight in [during, after] {
            assert_eq!(desk.ask(sight, at(5)), Answer::Cooling, "the fetch began before the kid was seen");
        }
        assert_eq!(desk.ask(during, at(6)), Answer::Start, "the cool-down is over");
        fly(&mut desk, Outcome::Failed, at(6));
        assert_eq!(desk.ask(during, at(6)), Answer::Cooling, "a failed fetch proves nothing, yet it counts");
    }

    #[test]
    fn a_regular_fetch_after_the_first_sight_settles_a_kid_too() {
        let mut desk = warm();
        let sight = desk.sight("k", at(1));
        fly(&mut desk, Outcome::Failed, at(2));
        assert_eq!(desk.ask(sight, at(2)), Answer::Start);
        fly(&mut desk, Outcome::Same, at(3));
        let again = desk.sight("k", at(4));
        assert_eq!(again, sight, "it was seen before");
        assert_eq!(desk.ask(again, at(60)), Answer::Absent);
    }

    #[test]
    fn absence_is_forgotten_with_new_keys_and_after_a_while() {
        for (outcome, when) in [(Outcome::Changed, at(10)), (Outcome::Same, at(1) + COOLDOWN * MEMORY)] {
            let mut desk = warm();
            let sight = desk.sight("k", at(1));
            fly(&mut desk, Outcome::Same, at(2));
            assert_eq!(desk.ask(sight, at(2)), Answer::Absent);
            fly(&mut desk, outcome, at(3));
            let again = desk.sight("k", when);
            assert_eq!(desk.ask(again, when), Answer::Start, "{outcome:?}");
        }
    }

    #[test]
    fn any_number_of_kids_takes_bounded_memory_and_old_ones_make_room() {
        let mut desk = warm();
        for n in 0..2 * MAX_STRANGERS {
            desk.sight(&n.to_string(), at(1));
        }
        assert_eq!(desk.strangers.len(), MAX_STRANGERS);
        let later = at(1) + COOLDOWN * MEMORY;
        desk.sight("new", later);
        assert_eq!(desk.strangers.len(), 1);
    }

    proptest! {
        /// Whatever happens, two fetches that requests cause are a cool-down apart, counted from the end of the first.
        #[test]
        fn demanded_fetches_are_a_cooldown_apart(steps in prop::collection::vec((0u64..4, 0u8..4, 0u8..5), 1..200)) {
            let (mut desk, mut now, mut ended) = (Desk::new(COOLDOWN), at(0), None::<Duration>);
            let mut flight: Option<Flight> = None;
            for (pause, step, kid) in steps {
                now += at(pause);
                match (step, flight.take()) {
                    (0, None) => flight = Some(desk.begin()),
                    (1, Some(flying)) => {
                        desk.finish(&flying, [Outcome::Failed, Outcome::Same, Outcome::Changed][usize::from(kid % 3)], now);
                        if flying.demanded {
                            ended = Some(now);
                        }
                    }
                    (_, flying) => {
                        let sight = desk.sight(&kid.to_string(), now);
                        let answer = desk.ask(sight, now);
                        prop_assert!(answer != Answer::Start || flying.is_none());
                        prop_assert!(answer != Answer::Start || ended.is_none_or(|ended| now >= ended + COOLDOWN));
                        flight = flying;
                    }
                }
            }
        }
    }
}
