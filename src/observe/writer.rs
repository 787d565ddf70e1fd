//! The access log's way out: a buffer per worker, a bounded queue, one thread that writes.
//!
//! A request never waits for whoever reads the log. When the reader is too slow the queue fills, whole buffers are
//! thrown away, and their lines are counted (`tollgate_log_lines_dropped_total`). On a clean stop nothing is lost:
//! workers hand in as they end, and [`AccessLog::drain`] waits for the thread.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;

use super::log::{self, Form, Line};
use super::timestamp::Stamp;

/// Bytes after which a worker hands in without waiting for its tick: about a hundred lines.
const BUFFER: usize = 32 * 1024;

/// Buffers that may wait for the thread: with full ones, 4 MiB.
const QUEUE: usize = 128;

/// How long a worker that ends, and so has nothing else to do, waits for a place in the queue.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks at a full queue, when waiting is allowed.
const RETRY: Duration = Duration::from_millis(5);

/// The access log of the process. Clones share it; the thread ends after the last of them.
#[derive(Debug, Clone)]
pub struct AccessLog {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    form: AtomicU8,
    dropped: IntCounter,
}

enum Message {
    Lines(Pending),
    /// Everything before this is written when the sender is dropped.
    Barrier(SyncSender<()>),
}

/// Lines of one worker that were not handed in yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    lines: u64,
    stamp: Stamp,
}

impl AccessLog {
    /// Starts the thread that writes to `out`, in practice standard output. `dropped` counts lost lines.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(form: Form, out: Box<dyn Write + Send>, dropped: IntCounter) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        let counter = dropped.clone();
        thread::Builder::new().name("access-log".into()).spawn(move || write_all(&messages, out, &counter))?;
        Ok(Self { queue, shared: Arc::new(Shared { form: AtomicU8::new(form.to_u8()), dropped }) })
    }

    /// Another form from now on, as a reload may ask for.
    pub fn set_form(&self, form: Form) {
        self.shared.form.store(form.to_u8(), Ordering::Relaxed);
    }

    /// Waits until all that was handed in is written, at most `patience`; whether it is. Blocks the thread.
    #[must_use]
    pub fn drain(&self, patience: Duration) -> bool {
        let (written, wait) = sync_channel(0);
        let sent = retry(patience, Message::Barrier(written), |message| self.queue.try_send(message));
        // The thread drops the other end when it comes to it; nothing is ever sent.
        sent.is_ok() && wait.recv_timeout(patience) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
    }

    pub(super) fn is_on(&self) -> bool {
        self.form() != Form::Off
    }

    pub(super) fn write(&self, line: &Line<'_>, pending: &mut Pending) {
        match self.form() {
            Form::Off => return,
            Form::Json => log::write_json(line, &pending.stamp, &mut pending.bytes),
            Form::Pretty { colour } => log::write_pretty(line, colour, &pending.stamp, &mut pending.bytes),
        }
        pending.lines += 1;
        if pending.bytes.len() >= BUFFER {
            self.hand_in(pending);
        }
    }

    /// Gives the lines to the thread, or drops them when its queue is full.
    pub(super) fn hand_in(&self, pending: &mut Pending) {
        self.send(pending, Duration::ZERO);
    }

    /// The same for a worker that ends: it can afford to wait a little.
    pub(super) fn hand_in_last(&self, pending: &mut Pending) {
        self.send(pending, LAST_PATIENCE);
    }

    fn send(&self, pending: &mut Pending, patience: Duration) {
        if pending.lines == 0 {
            return;
        }
        let lines = pending.lines;
        let full = std::mem::take(pending);
        if retry(patience, Message::Lines(full), |message| self.queue.try_send(message)).is_err() {
            self.shared.dropped.inc_by(lines);
        }
    }

    fn form(&self) -> Form {
        Form::from_u8(self.shared.form.load(Ordering::Relaxed))
    }
}

/// Tries to send until there is room, or the thread is gone, or `patience` is at its end.
fn retry(
    patience: Duration,
    mut message: Message,
    send: impl Fn(Message) -> Result<(), TrySendError<Message>>,
) -> Result<(), ()> {
    let mut waited = Duration::ZERO;
    loop {
        match send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(_)) => return Err(()),
            Err(TrySendError::Full(_)) if waited >= patience => return Err(()),
            Err(TrySendError::Full(back)) => message = back,
        }
        thread::sleep(RETRY);
        waited += RETRY;
    }
}

/// The thread: writes buffers until nobody can send any more.
fn write_all(messages: &Receiver<Message>, mut out: Box<dyn Write + Send>, dropped: &IntCounter) {
    let mut broken = false;
    for message in messages {
        let pending = match message {
            Message::Lines(pending) => pending,
            Message::Barrier(written) => {
                drop(written);
                continue;
            }
        };
        let outcome = out.write_all(&pending.bytes).and_then(|()| out.flush());
        match outcome {
            Ok(()) => broken = false,
            Err(error) => {
                dropped.inc_by(pending.lines);
                if !std::mem::replace(&mut broken, true) {
                    tracing::warn!(%error, "the access log cannot be written; its lines are lost until it can");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;
    use std::sync::{Condvar, Mutex};

    /// A reader that takes nothing until its gate opens.
    #[derive(Clone, Default)]
    struct Slow(Arc<(Mutex<State>, Condvar)>);

    #[derive(Default)]
    struct State {
        open: bool,
        waiting: bool,
        taken: Vec<u8>,
        broken: bool,
    }

    impl Slow {
        fn change(&self, change: impl FnOnce(&mut State)) {
            change(&mut self.0.0.lock().unwrap());
            self.0.1.notify_all();
        }

        fn wait_until(&self, when: impl Fn(&State) -> bool) {
            let state = self.0.0.lock().unwrap();
            drop(self.0.1.wait_while(state, |state| !when(state)).unwrap());
        }

        fn lines(&self) -> usize {
            self.0.0.lock().unwrap().taken.iter().filter(|&&byte| byte == b'\n').count()
        }
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.change(|state| state.waiting = true);
            self.wait_until(|state| state.open);
            let mut state = self.0.0.lock().unwrap();
            if state.broken {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            state.taken.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn started(out: &Slow) -> (AccessLog, IntCounter) {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        (AccessLog::start(Form::Json, Box::new(out.clone()), dropped.clone()).unwrap(), dropped)
    }

    fn one_line(log: &AccessLog, pending: &mut Pending) {
        log.write(&Line { status: 200, ..Line::at(UnixTime::from_secs(0)) }, pending);
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_nothing_else_is_lost() {
        let out = Slow::default();
        let (log, dropped) = started(&out);
        let mut pending = Pending::default();
        one_line(&log, &mut pending);
        log.hand_in(&mut pending);
        out.wait_until(|state| state.waiting);
        // The thread now holds one buffer; the queue takes as many as it may, and the rest is lost.
        for _ in 0..QUEUE + 3 {
            one_line(&log, &mut pending);
            one_line(&log, &mut pending);
            log.hand_in(&mut pending);
        }
        assert_eq!(dropped.get(), 6);
        assert!(!log.drain(Duration::from_millis(20)), "nothing can be written yet");
        out.change(|state| state.open = true);
        assert!(log.drain(Duration::from_secs(60)));
        assert_eq!(out.lines(), 1 + 2 * QUEUE);
        assert_eq!(dropped.get(), 6);
    }

    #[test]
    fn a_full_buffer_goes_out_before_the_tick() {
        let out = Slow::default();
        out.change(|state| state.open = true);
        let (log, _) = started(&out);
        let mut pending = Pending::default();
        let mut written = 0;
        while pending.lines == written {
            one_line(&log, &mut pending);
            written += 1;
        }
        assert!(log.drain(Duration::from_secs(60)));
        assert_eq!(out.lines() as u64, written);
        assert!(log.drain(Duration::from_secs(60)), "a second time too");
    }

    #[test]
    fn a_reader_that_is_gone_costs_lines_only() {
        let out = Slow::default();
        out.change(|state| (state.open, state.broken) = (true, true));
        let (log, dropped) = started(&out);
        let mut pending = Pending::default();
        one_line(&log, &mut pending);
        log.hand_in(&mut pending);
        assert!(log.drain(Duration::from_secs(60)));
        assert_eq!(dropped.get(), 1);
        out.change(|state| state.broken = false);
        one_line(&log, &mut pending);
        log.hand_in(&mut pending);
        assert!(log.drain(Duration::from_secs(60)));
        assert_eq!((out.lines(), dropped.get()), (1, 1), "it came back");
    }

    #[test]
    fn switched_off_means_no_line() {
        let out = Slow::default();
        out.change(|state| state.open = true);
        let (log, dropped) = started(&out);
        log.set_form(Form::Off);
        let mut pending = Pending::default();
        one_line(&log, &mut pending);
        assert_eq!(pending.lines, 0);
        log.set_form(Form::Pretty { colour: true });
        one_line(&log, &mut pending);
        log.hand_in(&mut pending);
        assert!(log.drain(Duration::from_secs(60)));
        assert_eq!((out.lines(), dropped.get()), (1, 0));
    }
}
