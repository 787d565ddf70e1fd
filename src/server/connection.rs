//! One accepted connection: which HTTP it speaks, the requests on it, and when it has to end.
//!
//! No timer is armed per request. A connection notes on its [`Activity`] when it is waiting and for what, by the
//! worker's coarse time, and the worker's sweep ends those that wait too long.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;

use super::{Gather, Handler, Limits};

/// How an HTTP/2 client begins (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What one connection is waiting for; shared with the worker's sweep.
#[derive(Debug)]
pub(super) struct Activity {
    /// The worker's coarse uptime; only the sweep moves it.
    now: Rc<Cell<Duration>>,
    in_flight: Cell<usize>,
    /// Whether bytes came since the last request ended: a head that is not complete yet. HTTP/1.1 only.
    head_begun: Arc<AtomicBool>,
    /// The first sweep that saw it so.
    head_since: Cell<Option<Duration>>,
    idle_since: Cell<Duration>,
    /// Odd while the client takes nothing of what is written; every stall has another number.
    stall: Arc<AtomicUsize>,
    /// The stall that the sweeps see, and the first sweep that saw it.
    stalled_since: Cell<(usize, Duration)>,
    draining: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Activity {
    pub(super) fn new(now: Rc<Cell<Duration>>) -> Self {
        let idle_since = Cell::new(now.get());
        Self {
            now,
            in_flight: Cell::new(0),
            head_begun: Arc::default(),
            head_since: Cell::new(None),
            idle_since,
            stall: Arc::default(),
            stalled_since: Cell::default(),
            draining: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    /// Whether it has waited longer than `limits` let it.
    pub(super) fn is_overdue(&self, limits: &Limits) -> bool {
        let now = self.now.get();
        if self.in_flight.get() > 0 {
            return self.stalled_for(now) > limits.idle_timeout;
        }
        if !self.head_begun.load(Ordering::Relaxed) {
            return now.saturating_sub(self.idle_since.get()) > limits.idle_timeout;
        }
        let since = self.head_since.get().unwrap_or(now);
        self.head_since.set(Some(since));
        now.saturating_sub(since) > limits.header_timeout
    }

    /// How long the client has taken nothing of a response that waits for it.
    fn stalled_for(&self, now: Duration) -> Duration {
        let stall = self.stall.load(Ordering::Relaxed);
        let (seen, since) = self.stalled_since.get();
        if stall.is_multiple_of(2) || stall != seen {
            self.stalled_since.set((stall, now));
            return Duration::ZERO;
        }
        now.saturating_sub(since)
    }

    /// Asks the connection to take no further request.
    pub(super) fn drain(&self) {
        self.draining.set(true);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    fn request_began(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    fn request_ended(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.idle_since.set(self.now.get());
        self.head_since.set(None);
        self.head_begun.store(false, Ordering::Relaxed);
    }
}

/// What `serve` has to know beside the stream.
pub(super) struct Serving<H: Handler> {
    pub(super) handler: Rc<H>,
    pub(super) connection: Rc<H::Connection>,
    pub(super) activity: Rc<Activity>,
    pub(super) limits: Rc<Limits>,
}

/// Serves a cleartext stream: HTTP/2 if it begins with the preface, else HTTP/1.1.
pub(super) async fn serve_cleartext<H: Handler>(serving: Serving<H>, stream: TcpStream) {
    let mut stream = Gather(stream);
    let sniffed = tokio::time::timeout(serving.limits.header_timeout, sniff(&mut stream)).await;
    let Ok(Ok((seen, is_http2))) = sniffed else { return };
    // Boxed, so that the task of a connection takes the memory of what it is, not of what it might have been.
    if is_http2 {
        Box::pin(serve_http2(serving, stream, seen)).await;
    } else {
        Box::pin(serve_http1(serving, stream, seen)).await;
    }
}

/// Reads until the bytes can no longer, or do, spell the preface of HTTP/2.
async fn sniff(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Bytes, bool)> {
    let mut seen = [0; PREFACE.len()];
    let mut length = 0;
    while length < seen.len() {
        let read = stream.read(&mut seen[length..]).await?;
        length += read;
        if read == 0 || seen[..length] != PREFACE[..length] {
            return Ok((Bytes::copy_from_slice(&seen[..length]), false));
        }
    }
    Ok((Bytes::copy_from_slice(&seen), true))
}

/// Serves HTTP/1.1; `seen` was read from the stream already.
pub(super) async fn serve_http1<H, S>(serving: Serving<H>, stream: S, seen: Bytes)
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Serving { handler, connection, activity, limits } = serving;
    activity.head_begun.store(!seen.is_empty(), Ordering::Relaxed);
    let (bytes_came, stall) = (Some(Arc::clone(&activity.head_begun)), Arc::clone(&activity.stall));
    let io = Watched { stream: TokioIo::new(stream), seen, bytes_came, stall };
    let mut builder = http1::Builder::new();
    if limits.max_headers != USUAL_HEADERS {
        builder.max_headers(limits.max_headers);
    }
    builder
        // A client that closes has left: its request is dropped, and the upstream freed, even where nothing is sent to it
        // that would bounce. Who half-closes and still waits for an answer cannot be told apart from that.
        .half_close(false)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER))
        .header_read_timeout(None);
    let counting = Rc::clone(&activity);
    let service = service_fn(move |request| answer::<H>(&handler, &connection, &counting, request));
    let running = pin!(builder.serve_connection(io, service).with_upgrades());
    drive(running, &activity, |running| running.graceful_shutdown()).await;
}

/// hyper refuses a smaller read buffer.
const MIN_BUFFER: usize = 8192;
/// hyper's own limit; naming one, even this, makes it allocate for every head.
const USUAL_HEADERS: usize = 100;

/// Serves HTTP/2; `seen` was read from the stream already.
pub(super) async fn serve_http2<H, S>(serving: Serving<H>, stream: S, seen: Bytes)
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Serving { handler, connection, activity, limits } = serving;
    let io = Watched { stream: TokioIo::new(stream), seen, bytes_came: None, stall: Arc::clone(&activity.stall) };
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(256 * 1024)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(256)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    let counting = Rc::clone(&activity);
    let service = service_fn(move |request| answer::<H>(&handler, &connection, &counting, request));
    let running = pin!(builder.serve_connection(io, service));
    drive(running, &activity, |running| running.graceful_shutdown()).await;
}

/// Polls a connection to its end, telling it to shut down gracefully once the worker drains.
async fn drive<C, T>(mut running: Pin<&mut C>, activity: &Activity, shutdown: impl Fn(Pin<&mut C>))
where
    C: Future<Output = T>,
{
    let mut told = false;
    poll_fn(|cx| {
        if !told {
            if activity.draining.get() {
                told = true;
                shutdown(running.as_mut());
            } else if activity.waker.borrow().is_none() {
                *activity.waker.borrow_mut() = Some(cx.waker().clone());
            }
        }
        running.as_mut().poll(cx).map(drop)
    })
    .await;
}

/// Answers one request: counts it in, and out again when its body has ended.
fn answer<H: Handler>(
    handler: &Rc<H>,
    connection: &Rc<H::Connection>,
    activity: &Rc<Activity>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Counted<H::Body>>, Infallible>> + use<H> {
    let guard = InFlight::begin(activity);
    let answer = Rc::clone(handler).handle(Rc::clone(connection), request);
    async move { Ok(answer.await.map(|body| Counted { body, _guard: guard })) }
}

/// Marks one request in flight until it drops.
struct InFlight(Rc<Activity>);

impl InFlight {
    fn begin(activity: &Rc<Activity>) -> Self {
        activity.request_began();
        Self(Rc::clone(activity))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

/// A response body that keeps its request in flight until it ends.
struct Counted<B> {
    body: B,
    _guard: InFlight,
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose first bytes were read already, and that tells when more come and when nothing more goes.
struct Watched<S> {
    stream: TokioIo<S>,
    seen: Bytes,
    /// hyper wants the streams of upgrades `Send`, hence not a `Cell`.
    bytes_came: Option<Arc<AtomicBool>>,
    /// See [`Activity`].
    stall: Arc<AtomicUsize>,
}

impl<S> Watched<S> {
    /// Takes down whether a write went out or waits.
    fn noted<T>(&self, written: Poll<T>) -> Poll<T> {
        let is_stalled = !self.stall.load(Ordering::Relaxed).is_multiple_of(2);
        if written.is_pending() != is_stalled {
            self.stall.fetch_add(1, Ordering::Relaxed);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> hyper::rt::Read for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.seen.is_empty() {
            let length = self.seen.len().min(buf.remaining());
            buf.put_slice(&self.seen.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if let Some(bytes_came) = &self.bytes_came {
            bytes_came.store(true, Ordering::Relaxed);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.noted(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.noted(written)
    }
}

/// Runs the tasks of HTTP/2 streams on the worker's own runtime.
#[derive(Clone)]
struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_takes_a_little_now_and_then_is_not_overdue() {
        let seconds = Duration::from_secs;
        let (header_timeout, idle_timeout) = (seconds(1), seconds(10));
        let limits =
            Limits { header_timeout, idle_timeout, max_header_bytes: 8192, max_headers: 10, max_connections: 1 };
        let now = Rc::new(Cell::new(Duration::ZERO));
        let activity = Rc::new(Activity::new(Rc::clone(&now)));
        let _request = InFlight::begin(&activity);
        let overdue_at = |second| {
            now.set(seconds(second));
            activity.is_overdue(&limits)
        };
        let toggle = || activity.stall.fetch_add(1, Ordering::Relaxed);
        assert!(!overdue_at(20), "nothing waits to be taken: the answer may take its time");
        toggle();
        assert!(!overdue_at(30));
        assert!(!overdue_at(40));
        toggle();
        toggle();
        assert!(!overdue_at(41), "some was taken between two sweeps");
        assert!(!overdue_at(51));
        assert!(overdue_at(52));
    }
}
