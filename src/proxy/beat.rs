//! The heartbeat of one worker: a coarse clock, the deadlines that are judged by it, and the sweep of what lies idle.
//!
//! Arming a timer for each request costs more than forwarding its head. So a wait for an upstream only notes when it
//! began; a task that wakes every [`INTERVAL`] reads the clock once and wakes the waits that are overdue. A deadline
//! is never early and at most two intervals late. Nothing here is shared between threads.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::Clock;

/// How far apart two beats are.
pub const INTERVAL: Duration = Duration::from_millis(250);

/// Something that puts away what has been idle for too long.
pub trait Sweep {
    /// Looks through what is kept. `now` is [`Beat::now`].
    fn sweep(&self, now: Duration);
}

/// The heartbeat of one worker.
pub struct Beat {
    clock: Arc<dyn Clock>,
    now: Cell<Duration>,
    waits: RefCell<Waits>,
    sweeps: RefCell<Vec<Weak<dyn Sweep>>>,
}

/// Waits in flight; places are reused, so that a steady load allocates nothing.
#[derive(Default)]
struct Waits {
    places: Vec<Option<Wait>>,
    free: Vec<usize>,
}

struct Wait {
    until: Duration,
    waker: Waker,
}

impl Beat {
    /// A heart that reads `clock` at each beat.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Rc<Self> {
        let now = Cell::new(clock.uptime());
        Rc::new(Self { clock, now, waits: RefCell::default(), sweeps: RefCell::default() })
    }

    /// The uptime at the last beat.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now.get()
    }

    /// Beats for as long as it is polled. Every worker runs one.
    pub async fn run(self: Rc<Self>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.beat();
        }
    }

    /// One beat: reads the clock, wakes what is overdue, sweeps what is idle.
    pub fn beat(&self) {
        let now = self.clock.uptime();
        self.now.set(now);
        self.waits.borrow().places.iter().flatten().filter(|wait| wait.until <= now).for_each(|wait| {
            wait.waker.wake_by_ref();
        });
        let live: Vec<Rc<dyn Sweep>> = self.sweeps.borrow().iter().filter_map(Weak::upgrade).collect();
        live.iter().for_each(|sweep| sweep.sweep(now));
        self.sweeps.borrow_mut().retain(|sweep| sweep.strong_count() > 0);
    }

    /// Has `sweep` called at every beat until it is dropped.
    pub fn attach(&self, sweep: Weak<dyn Sweep>) {
        self.sweeps.borrow_mut().push(sweep);
    }

    /// The moment at which something that starts now and may take `duration` is late. One interval is added, because
    /// the last beat may lie that far back.
    #[must_use]
    pub fn late(&self, duration: Duration) -> Duration {
        self.now().saturating_add(duration).saturating_add(INTERVAL)
    }

    /// Waits for `future`, until `give_up` says so. It is asked with [`Beat::now`] once the beat has passed the moment
    /// that it last named, at first `until`.
    pub fn watch<'a, F, G, E>(&'a self, future: Pin<&'a mut F>, until: Duration, give_up: G) -> Watched<'a, F, G>
    where
        F: Future,
        G: FnMut(Duration) -> Verdict<E>,
    {
        Watched { beat: self, future, give_up, until, place: None }
    }

    fn enter(&self, until: Duration, waker: Waker) -> usize {
        let mut waits = self.waits.borrow_mut();
        let wait = Some(Wait { until, waker });
        match waits.free.pop() {
            Some(place) => {
                waits.places[place] = wait;
                place
            }
            None => {
                waits.places.push(wait);
                waits.places.len() - 1
            }
        }
    }

    fn renew(&self, place: usize, until: Duration, waker: &Waker) {
        let stale = match &mut self.waits.borrow_mut().places[place] {
            Some(wait) => {
                wait.until = until;
                (!wait.waker.will_wake(waker)).then(|| std::mem::replace(&mut wait.waker, waker.clone()))
            }
            None => None,
        };
        // Outside the borrow: the last waker of a task may take others with it.
        drop(stale);
    }

    fn leave(&self, place: usize) {
        let mut waits = self.waits.borrow_mut();
        let left = waits.places[place].take();
        waits.free.push(place);
        drop(waits);
        drop(left);
    }
}

/// What to do about a wait whose moment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<E> {
    /// Wait on, and ask again after this moment.
    Until(Duration),
    /// End it.
    GiveUp(E),
}

/// A future that may be given up; see [`Beat::watch`].
pub struct Watched<'a, F, G> {
    beat: &'a Beat,
    future: Pin<&'a mut F>,
    give_up: G,
    until: Duration,
    place: Option<usize>,
}

impl<F, G, E> Future for Watched<'_, F, G>
where
    F: Future,
    G: FnMut(Duration) -> Verdict<E> + Unpin,
{
    type Output = Result<F::Output, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(output) = this.future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        let now = this.beat.now();
        if this.until <= now {
            match (this.give_up)(now) {
                Verdict::Until(until) => this.until = until,
                Verdict::GiveUp(error) => return Poll::Ready(Err(error)),
            }
        }
        match this.place {
            Some(place) => this.beat.renew(place, this.until, context.waker()),
            None => this.place = Some(this.beat.enter(this.until, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl<F, G> Drop for Watched<'_, F, G> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.beat.leave(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use super::*;
    use crate::clock::{ManualClock, UnixTime};

    fn heart() -> (Arc<ManualClock>, Rc<Beat>) {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(0)));
        (clock.clone(), Beat::new(clock))
    }

    #[tokio::test]
    async fn a_wait_ends_at_the_first_beat_after_its_moment_and_not_before() {
        let (clock, beat) = heart();
        let mut never = pin!(pending::<()>());
        let mut wait = pin!(beat.watch(never.as_mut(), beat.late(Duration::from_secs(1)), |_| Verdict::GiveUp("late")));
        let mut context = Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        clock.advance(Duration::from_millis(1249));
        beat.beat();
        assert!(wait.as_mut().poll(&mut context).is_pending());
        clock.advance(Duration::from_millis(1));
        assert!(wait.as_mut().poll(&mut context).is_pending(), "only a beat moves the worker's time");
        beat.beat();
        assert_eq!(wait.as_mut().poll(&mut context), Poll::Ready(Err("late")));
    }

    #[tokio::test]
    async fn a_beat_wakes_overdue_waits_and_places_are_reused() {
        let (clock, beat) = heart();
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                for round in 0..3 {
                    let heart = beat.clone();
                    let waiting = tokio::task::spawn_local(async move {
                        let mut never = pin!(pending::<()>());
                        let until = heart.late(Duration::from_secs(1));
                        heart.watch(never.as_mut(), until, |_| Verdict::GiveUp(round)).await
                    });
                    tokio::task::yield_now().await;
                    clock.advance(Duration::from_secs(2));
                    beat.beat();
                    assert_eq!(waiting.await.unwrap(), Err(round));
                }
            })
            .await;
        assert_eq!(beat.waits.borrow().places.len(), 1);
    }

    #[tokio::test]
    async fn a_verdict_may_put_the_moment_off() {
        let (clock, beat) = heart();
        let mut asked = 0;
        {
            let mut never = pin!(pending::<()>());
            let mut wait = pin!(beat.watch(never.as_mut(), Duration::from_secs(1), |now| {
                asked += 1;
                if asked == 2 { Verdict::GiveUp(()) } else { Verdict::Until(now + Duration::from_secs(5)) }
            }));
            let mut context = Context::from_waker(Waker::noop());
            for (step, pending) in [(1, true), (4, true), (1, false)] {
                clock.advance(Duration::from_secs(step));
                beat.beat();
                assert_eq!(wait.as_mut().poll(&mut context).is_pending(), pending);
            }
        }
        assert_eq!(asked, 2);
    }
}
