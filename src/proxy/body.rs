//! Bodies in both directions: streamed frame by frame, never gathered, trailers included.
//!
//! A request body counts its bytes against `max_body_bytes`, refuses identity headers in its trailers and leaves word
//! of how far it came, so that a wait for the response knows whom it waits for. A response body gives its connection
//! back when it has ended, closes it when it is dropped before, and tells a [`Watch`] what became of it.
//!
//! Back-pressure is hyper's: a frame is taken from one side when the other has room for it.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::beat::{Beat, Verdict};
use super::fault::FaultKind;
use super::headers::HeaderRules;
use super::pool::Lease;

/// Why a body broke off.
#[derive(Debug)]
pub enum BodyError {
    /// The request's body is longer than `max_body_bytes`.
    TooLarge,
    /// The client's side broke.
    Client(hyper::Error),
    /// The upstream's side broke.
    Upstream(hyper::Error),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the body is longer than max_body_bytes",
            Self::Client(_) => "the client broke off its request",
            Self::Upstream(_) => "the upstream broke off its response",
        })
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TooLarge => None,
            Self::Client(cause) | Self::Upstream(cause) => Some(cause),
        }
    }
}

/// The body of a request on its way up.
#[derive(Debug)]
pub struct RequestBody {
    /// `None`: there is no body.
    incoming: Option<Incoming>,
    left: u64,
    came: Option<Rc<Cell<u64>>>,
    upload: Option<Rc<Upload>>,
}

/// The body announces more than `max_body_bytes`; nothing of it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl RequestBody {
    /// A body of at most `max` bytes; `None`: of any length. No byte is read, so a client that waits for
    /// `100 Continue` gets none before the request is forwarded.
    ///
    /// # Errors
    /// When the body's announced length is above `max`.
    pub fn new(incoming: Incoming, max: Option<u64>) -> Result<Self, TooLarge> {
        let left = max.unwrap_or(u64::MAX);
        match incoming.size_hint().lower() > left {
            true => Err(TooLarge),
            false => {
                let incoming = Some(incoming).filter(|incoming| !incoming.is_end_stream());
                Ok(Self { incoming, left, came: None, upload: None })
            }
        }
    }

    /// A copy of a request that has no body and may be repeated without harm (RFC 9110 section 9.2.2).
    pub(super) fn spare(request: &Request<Self>) -> Option<Box<Request<Self>>> {
        let harmless = request.method().is_idempotent() && request.body().is_end_stream();
        // An upgrade belongs to the request that was sent.
        if !harmless || request.headers().contains_key(http::header::UPGRADE) {
            return None;
        }
        let mut spare = Request::new(Self { incoming: None, left: 0, came: None, upload: None });
        *spare.method_mut() = request.method().clone();
        *spare.uri_mut() = request.uri().clone();
        *spare.version_mut() = request.version();
        *spare.headers_mut() = request.headers().clone();
        Some(Box::new(spare))
    }

    /// Counts the bytes that will have come, for whoever holds the count; none when there is no body.
    pub fn count(&mut self) -> Option<Rc<Cell<u64>>> {
        self.came = (!self.is_end_stream()).then(Rc::default);
        self.came.clone()
    }

    /// Begins the upload, and gives what watches it; none when there is no body.
    pub(super) fn begin(&mut self, beat: &Rc<Beat>, rules: &Arc<HeaderRules>) -> Option<Rc<Upload>> {
        if self.is_end_stream() {
            return None;
        }
        let (at, progress) = (Cell::new(beat.now()), Cell::new(Progress::Moving));
        let upload = Rc::new(Upload { beat: beat.clone(), rules: rules.clone(), at, progress });
        self.upload = Some(upload.clone());
        Some(upload)
    }

    fn note(&self, progress: Progress) {
        if let Some(upload) = &self.upload {
            upload.note(progress);
        }
    }

    /// Passes on a frame within the limit.
    fn admit(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, BodyError> {
        match frame.into_data() {
            Ok(data) => {
                let Some(left) = self.left.checked_sub(data.len() as u64) else {
                    self.note(Progress::TooLarge);
                    return Err(BodyError::TooLarge);
                };
                self.left = left;
                if let Some(came) = &self.came {
                    came.set(came.get() + data.len() as u64);
                }
                self.note(if self.is_end_stream() { Progress::Done } else { Progress::Moving });
                Ok(Some(Frame::data(data)))
            }
            Err(frame) => {
                self.note(Progress::Done);
                let Ok(mut trailers) = frame.into_trailers() else { return Ok(None) };
                if let Some(upload) = &self.upload {
                    upload.rules.clean_trailers(&mut trailers);
                }
                Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)))
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        match Pin::new(incoming).poll_frame(context) {
            Poll::Pending => {
                self.note(Progress::Waiting);
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.note(Progress::Done);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.note(Progress::Gone);
                Poll::Ready(Some(Err(BodyError::Client(error))))
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(self.admit(frame).transpose()),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

/// How far the body of a request has come; shared by the body, which hyper owns, and the wait for the response.
pub(super) struct Upload {
    beat: Rc<Beat>,
    rules: Arc<HeaderRules>,
    /// The beat of the last change.
    at: Cell<Duration>,
    progress: Cell<Progress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Bytes flow, or wait for the upstream to take them.
    Moving,
    /// The client has sent nothing more yet.
    Waiting,
    Done,
    Gone,
    TooLarge,
}

impl Upload {
    fn note(&self, progress: Progress) {
        // A poll that finds nothing again is no progress.
        if progress != Progress::Waiting || self.progress.get() != Progress::Waiting {
            self.at.set(self.beat.now());
        }
        self.progress.set(progress);
    }

    /// What the wait for a response does when nothing has moved since its moment was named: `timeout` counts from the
    /// last byte that moved, and on whom the wait is decides whose fault it is.
    pub(super) fn overdue(&self, now: Duration, timeout: Duration) -> Verdict<FaultKind> {
        let until = self.at.get().saturating_add(timeout).saturating_add(super::beat::INTERVAL);
        match self.progress.get() {
            _ if until > now => Verdict::Until(until),
            Progress::Waiting => Verdict::GiveUp(FaultKind::ClientStalled),
            Progress::Moving | Progress::Done => Verdict::GiveUp(FaultKind::Timeout),
            Progress::Gone => Verdict::GiveUp(FaultKind::ClientGone),
            Progress::TooLarge => Verdict::GiveUp(FaultKind::BodyTooLarge),
        }
    }

    /// The fault of the client, when the upload broke on its side.
    pub(super) fn broke(&self) -> Option<FaultKind> {
        match self.progress.get() {
            Progress::Moving | Progress::Waiting | Progress::Done => None,
            Progress::Gone => Some(FaultKind::ClientGone),
            Progress::TooLarge => Some(FaultKind::BodyTooLarge),
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("progress", &self.progress.get()).finish_non_exhaustive()
    }
}

/// Learns what becomes of a response body or a tunnel. Dropped at its end: without [`Watch::ended`] or
/// [`Watch::failed`] before, the client went away.
pub trait Watch {
    /// This many bytes of the body went down.
    fn sent(&mut self, bytes: usize);
    /// All of it went down. Told once.
    fn ended(&mut self);
    /// The upstream broke off.
    fn failed(&mut self, error: &BodyError);
}

impl Watch for () {
    fn sent(&mut self, _: usize) {}
    fn ended(&mut self) {}
    fn failed(&mut self, _: &BodyError) {}
}

/// The body of a response on its way down, watched by `W`.
pub struct ResponseBody<W: Watch = ()> {
    source: Source,
    watch: W,
    told: bool,
}

enum Source {
    Empty,
    Full(Bytes),
    Upstream(UpstreamBody),
}

impl<W: Watch> ResponseBody<W> {
    /// No body.
    pub fn empty(mut watch: W) -> Self {
        watch.ended();
        Self { source: Source::Empty, watch, told: true }
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>, watch: W) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty(watch) } else { Self { source: Source::Full(bytes), watch, told: false } }
    }

    /// What an upstream sends.
    pub fn upstream(body: UpstreamBody, mut watch: W) -> Self {
        let told = body.is_over();
        if told {
            watch.ended();
        }
        Self { source: Source::Upstream(body), watch, told }
    }

    fn tell_ended(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.watch.ended();
        }
    }
}

impl<W: Watch + Unpin> Body for ResponseBody<W> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Empty => return Poll::Ready(None),
            Source::Full(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                this.source = Source::Empty;
                Some(Ok(frame))
            }
            Source::Upstream(body) => ready!(body.poll_frame(context)),
        };
        match &polled {
            Some(Ok(frame)) => {
                this.watch.sent(frame.data_ref().map_or(0, Bytes::len));
                if this.source.is_over() {
                    this.tell_ended();
                }
            }
            Some(Err(error)) => this.watch.failed(error),
            None => this.tell_ended(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Upstream(body) => body.incoming.size_hint(),
        }
    }
}

impl Source {
    fn is_over(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Upstream(body) => body.is_over(),
        }
    }
}

/// A body that comes from an upstream. Holds the connection until it has ended.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    /// Present until the body has ended or broken.
    lease: Option<Lease>,
    over: bool,
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self { incoming, lease: Some(lease), over: false };
        if body.incoming.is_end_stream() {
            body.end();
        }
        body
    }

    /// Gives the connection back: the body needs it no longer.
    fn end(&mut self) {
        self.over = true;
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
            Some(Ok(frame)) => {
                // Trailers are the last frame; nobody polls for the end after them.
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.end();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.lease = None;
                Some(Err(BodyError::Upstream(error)))
            }
            None => {
                self.end();
                None
            }
        })
    }
}
