use proptest::prelude::*;

use super::*;
use crate::clock::{Clock as _, ManualClock};

const LIMITS: Limits = Limits {
    shared_bytes: 1 << 20,
    refusals: 100,
    refusal_memory: Duration::from_secs(60),
    local_entries: 8,
    local_bytes: 1000,
};

struct Bed {
    clock: ManualClock,
    epoch: Arc<Epoch>,
    shared: Arc<Shared<String>>,
    local: Local<String>,
}

fn bed(limits: Limits) -> Bed {
    let epoch = Arc::new(Epoch::default());
    let shared = Shared::new(limits, Arc::clone(&epoch));
    let local = Local::new(&shared);
    Bed { clock: ManualClock::at(UnixTime::from_secs(1000)), epoch, shared, local }
}

impl Bed {
    fn ticket(&self, token: &str) -> Ticket {
        match self.local.get(token, self.clock.now()) {
            Lookup::Unknown(ticket) => ticket,
            other => panic!("{token:?} is known: {other:?}"),
        }
    }

    fn accept(&self, token: &str, seconds: u64) {
        let until = self.clock.now().plus(Duration::from_secs(seconds));
        self.local.accept(token, &self.ticket(token), until, Arc::new(format!("value of {token}")));
    }

    /// `l`, `s`, `r` or `-`: local, shared, refused or unknown.
    fn sees(&self, local: &Local<String>, token: &str) -> char {
        match local.get(token, self.clock.now()) {
            Lookup::Accepted(verdict, level) => {
                assert_eq!(**verdict, format!("value of {token}"));
                if level == Level::Local { 'l' } else { 's' }
            }
            Lookup::Refused(_) => 'r',
            Lookup::Unknown(_) => '-',
        }
    }
}

fn bad() -> Rejection {
    Rejection::new(RejectionCode::BadSignature, "bad")
}

#[test]
fn what_one_worker_learned_the_others_know() {
    let bed = bed(LIMITS);
    let other = Local::new(&bed.shared);
    bed.accept("a.b.c", 60);
    assert_eq!(bed.sees(&bed.local, "a.b.c"), 'l');
    assert_eq!(bed.sees(&other, "a.b.c"), 's');
    assert_eq!(bed.sees(&other, "a.b.c"), 'l');
    for near in ["a.b.d", "a.b.", "a.b.cc", "A.b.c", ""] {
        assert_eq!(bed.sees(&bed.local, near), '-', "{near:?}");
    }
}

#[test]
fn a_verdict_ends_with_its_moment() {
    let bed = bed(LIMITS);
    let other = Local::new(&bed.shared);
    bed.accept("token", 10);
    bed.clock.advance(Duration::from_millis(9999));
    assert_eq!(bed.sees(&bed.local, "token"), 'l');
    bed.clock.advance(Duration::from_millis(1));
    assert_eq!(bed.sees(&bed.local, "token"), '-');
    assert_eq!(bed.sees(&other, "token"), '-');
}

#[test]
fn a_new_epoch_voids_acceptances_and_refusals_alike() {
    let bed = bed(LIMITS);
    bed.accept("good", 60);
    bed.local.refuse(&bed.ticket("evil"), &bad(), bed.clock.now());
    assert_eq!((bed.sees(&bed.local, "good"), bed.sees(&bed.local, "evil")), ('l', 'r'));
    bed.epoch.forget_refusals();
    assert_eq!((bed.sees(&bed.local, "good"), bed.sees(&bed.local, "evil")), ('l', '-'));
    bed.local.refuse(&bed.ticket("evil"), &bad(), bed.clock.now());
    bed.epoch.forget_all();
    assert_eq!((bed.sees(&bed.local, "good"), bed.sees(&bed.local, "evil")), ('-', '-'));
    bed.accept("good", 60);
    assert_eq!(bed.sees(&bed.local, "good"), 'l');
}

#[test]
fn a_verdict_begun_before_a_key_was_withdrawn_is_void_when_it_is_stored() {
    let bed = bed(LIMITS);
    let (accepting, refusing) = (bed.ticket("good"), bed.ticket("evil"));
    bed.epoch.forget_all();
    let until = bed.clock.now().plus(Duration::from_secs(60));
    bed.local.accept("good", &accepting, until, Arc::new("value of good".into()));
    bed.local.refuse(&refusing, &bad(), bed.clock.now());
    assert_eq!((bed.sees(&bed.local, "good"), bed.sees(&bed.local, "evil")), ('-', '-'));
}

#[test]
fn only_bad_signatures_are_remembered_and_not_for_long() {
    let bed = bed(LIMITS);
    bed.local.refuse(&bed.ticket("token"), &Rejection::new(RejectionCode::UnknownKey, ""), bed.clock.now());
    assert_eq!(bed.sees(&bed.local, "token"), '-');
    bed.local.refuse(&bed.ticket("token"), &bad(), bed.clock.now());
    assert_eq!(bed.sees(&Local::new(&bed.shared), "token"), 'r', "on every worker");
    bed.clock.advance(Duration::from_secs(60));
    assert_eq!(bed.sees(&bed.local, "token"), '-');
}

#[test]
fn the_local_level_keeps_what_is_asked_for_within_its_bounds() {
    let bed = bed(LIMITS);
    bed.accept("hot", 60);
    for n in 0..100 {
        bed.accept(&format!("cold {n}"), 60);
        assert_eq!(bed.sees(&bed.local, "hot"), 'l', "after {n}");
        let generations = bed.local.generations.borrow();
        assert!(generations.young.len() + generations.old.len() <= LIMITS.local_entries);
    }
    assert_eq!(bed.sees(&bed.local, "cold 0"), 's');
    for n in 0..20 {
        bed.accept(&format!("{n:0>300}"), 60);
        let generations = bed.local.generations.borrow();
        let bytes: usize = generations.young.keys().chain(generations.old.keys()).map(|token| token.len()).sum();
        assert!(bytes <= LIMITS.local_bytes, "{bytes} bytes");
    }
    let huge = "x".repeat(LIMITS.local_bytes);
    bed.accept(&huge, 60);
    assert!(!bed.local.generations.borrow().young.contains_key(&*huge));
}

#[test]
fn the_shared_level_is_bounded_by_weight_and_the_refusals_by_count() {
    let bed = bed(Limits { shared_bytes: 20 * u64::from(weight("token 000")), ..LIMITS });
    for n in 0..500 {
        bed.accept(&format!("token {n:03}"), 60);
        bed.local.refuse(&bed.ticket(&format!("evil {n}")), &bad(), bed.clock.now());
    }
    bed.shared.accepted.run_pending_tasks();
    bed.shared.refused.run_pending_tasks();
    assert!((1..=20).contains(&bed.shared.len()), "{}", bed.shared.len());
    assert!((1..=100).contains(&bed.shared.refused.entry_count()));
}

proptest! {
    /// Against a model that remembers everything: whatever the caches give is what was stored, in this epoch, in time.
    #[test]
    fn nothing_is_ever_given_that_does_not_hold(steps in prop::collection::vec((0..5u8, 0..12u8, 1..30u64), 0..200)) {
        let bed = bed(LIMITS);
        let other = Local::new(&bed.shared);
        let mut model: HashMap<String, UnixTime> = HashMap::new();
        for (step, name, seconds) in steps {
            let token = format!("token {name}");
            let now = bed.clock.now();
            match step {
                0 => bed.clock.advance(Duration::from_secs(seconds)),
                1 if seconds > 25 => {
                    bed.epoch.forget_all();
                    model.clear();
                }
                _ => {
                    let local = if step == 2 { &other } else { &bed.local };
                    match local.get(&token, now) {
                        Lookup::Unknown(ticket) => {
                            let until = now.plus(Duration::from_secs(seconds));
                            local.accept(&token, &ticket, until, Arc::new(format!("value of {token}")));
                            model.insert(token, until);
                        }
                        Lookup::Accepted(verdict, _) => {
                            prop_assert_eq!(&**verdict, &format!("value of {token}"));
                            prop_assert!(model.get(&token).is_some_and(|until| now < *until));
                        }
                        Lookup::Refused(_) => prop_assert!(false),
                    }
                }
            }
        }
    }
}
