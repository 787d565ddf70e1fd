//! Exchanges: one request and its response, from first byte to last; one log line and one set of metrics.
//!
//! An [`Exchange`] is opened when a request's head is read, learns what is found out on the way, and reports when its
//! last owner drops it: also when the request was cancelled, its connection broke or its task was aborted. Whoever
//! sends the response says [`Exchange::finish`] at its end; without that, or without a status, the
//! exchange counts as aborted. Costs no allocation when the access log is off, and none in the long run when it is on:
//! texts go into a box that the worker keeps for later requests.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use http::{Method, Version};

use super::cells::{MethodLabel, Outcome};
use super::log::Line;
use super::texts::{Field, Texts};
use super::worker::SnapshotSink;

/// What is known of a request when its head has been read.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The method.
    pub method: &'a Method,
    /// As the client sent it: the `Host` field or the authority.
    pub host: Option<&'a [u8]>,
    /// The path. A query or fragment behind it is cut off, as it may hold tokens.
    pub path: &'a str,
    /// The protocol's version.
    pub version: Version,
    /// Who asks, as far as it is believed.
    pub client_ip: Option<IpAddr>,
}

/// Whether a token's verdict was in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// It was.
    Hit,
    /// It was not; the token was verified.
    Miss,
}

/// One request and its response. What is said twice counts as it was said last.
#[derive(Debug)]
pub struct Exchange {
    sink: Rc<SnapshotSink>,
    started: Duration,
    texts: RefCell<Option<Box<Texts>>>,
    route: Cell<Option<u32>>,
    upstream: Cell<Option<u32>>,
    upstream_started: Cell<Duration>,
    upstream_took: Cell<Option<Duration>>,
    denial: Cell<Option<&'static str>>,
    fault: Cell<Option<&'static str>>,
    bytes_in: RefCell<Option<Rc<Cell<u64>>>>,
    bytes_out: Cell<u64>,
    status: Cell<u16>,
    method: MethodLabel,
    cache: Cell<Option<CacheResult>>,
    finished: Cell<bool>,
}

impl Exchange {
    /// Opens an exchange whose routes and upstreams are those of `sink`; its time starts now.
    #[must_use]
    pub fn open(sink: &Rc<SnapshotSink>, opening: &Opening<'_>) -> Self {
        let worker = sink.worker();
        worker.exchange_opened();
        let mut texts = worker.texts();
        if let Some(texts) = &mut texts {
            texts.open(opening);
        }
        Self {
            sink: Rc::clone(sink),
            started: worker.clock().uptime(),
            texts: RefCell::new(texts),
            route: Cell::new(None),
            upstream: Cell::new(None),
            upstream_started: Cell::default(),
            upstream_took: Cell::new(None),
            denial: Cell::new(None),
            fault: Cell::new(None),
            bytes_in: RefCell::new(None),
            bytes_out: Cell::new(0),
            status: Cell::new(0),
            method: MethodLabel::of(opening.method.as_str()),
            cache: Cell::new(None),
            finished: Cell::new(false),
        }
    }

    /// Whether there will be a log line, so that texts for it are worth making.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        self.texts.borrow().is_some()
    }

    /// The route at `position` matched.
    pub fn route(&self, position: usize) {
        self.route.set(u32::try_from(position).ok());
    }

    /// The status that the client gets. An interim response (1xx, but 101) is not one.
    pub fn status(&self, status: http::StatusCode) {
        self.status.set(status.as_u16());
    }

    /// Refused. `code` is of a closed list; `detail` is for operators, is asked for only if there is a log line, and
    /// holds no token, cookie or secret.
    pub fn denied(&self, code: &'static str, detail: impl FnOnce() -> String) {
        self.denial.set(Some(code));
        self.detail(detail);
    }

    /// Who the request speaks for: the issuer's configured name, and subject and client as the log may show them.
    pub fn principal(&self, issuer: &str, subject: Option<&str>, client: Option<&str>) {
        self.text(Field::Issuer, issuer.as_bytes());
        for (field, text) in [(Field::Subject, subject), (Field::Client, client)] {
            if let Some(text) = text {
                self.text(field, text.as_bytes());
            }
        }
    }

    /// Whether the token's verdict was in the cache.
    pub fn token_cache(&self, result: CacheResult) {
        self.cache.set(Some(result));
    }

    /// The request goes to the upstream at `position` from now on; said again for another try.
    pub fn forwarding_to(&self, position: usize) {
        self.upstream.set(u32::try_from(position).ok());
        self.upstream_took.set(None);
        self.upstream_started.set(self.now());
    }

    /// The head of the upstream's response has come.
    pub fn upstream_answered(&self) {
        self.upstream_took.set(Some(self.now().saturating_sub(self.upstream_started.get())));
    }

    /// Something broke. `code` is of a closed list; with an upstream, it counts as that upstream's fault. `detail` as
    /// for [`Exchange::denied`].
    pub fn fault(&self, code: &'static str, detail: impl FnOnce() -> String) {
        self.fault.set(Some(code));
        self.detail(detail);
    }

    /// Where the bytes of the request's body are counted; without it there are none.
    pub fn bytes_in(&self, count: Option<Rc<Cell<u64>>>) {
        *self.bytes_in.borrow_mut() = count;
    }

    /// Bytes of the response's body that went.
    pub fn add_bytes_out(&self, count: u64) {
        self.bytes_out.set(self.bytes_out.get().saturating_add(count));
    }

    /// The response went out to its end.
    pub fn finish(&self) {
        self.finished.set(true);
    }

    fn detail(&self, detail: impl FnOnce() -> String) {
        if self.is_logged() {
            self.text(Field::Detail, detail().as_bytes());
        }
    }

    fn text(&self, field: Field, text: &[u8]) {
        if let Some(texts) = &mut *self.texts.borrow_mut() {
            texts.set(field, text);
        }
    }

    fn now(&self) -> Duration {
        self.sink.worker().clock().uptime()
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            route: position(self.route.get()),
            method: self.method,
            status: self.status.get(),
            denial: self.denial.get(),
            aborted: !self.finished.get() || self.status.get() == 0,
            took: self.now().saturating_sub(self.started),
            upstream: position(self.upstream.get()),
            upstream_took: self.upstream_took.get(),
            fault: self.fault.get(),
        }
    }

    fn line<'a>(&'a self, texts: &'a Texts, outcome: &Outcome) -> Line<'a> {
        Line {
            time: self.sink.worker().clock().now(),
            client_ip: texts.client_ip,
            method: texts.get(Field::Method).unwrap_or(self.method.as_str().as_bytes()),
            host: texts.get(Field::Host),
            path: texts.get(Field::Path).unwrap_or_default(),
            protocol: texts.protocol,
            status: outcome.status,
            route: outcome.route.map(|route| self.sink.route_name(Some(route))),
            denial: outcome.denial,
            detail: texts.get(Field::Detail),
            issuer: texts.get(Field::Issuer),
            subject: texts.get(Field::Subject),
            client: texts.get(Field::Client),
            upstream: outcome.upstream.and_then(|upstream| self.sink.upstream_name(upstream)),
            bytes_in: self.bytes_in.borrow().as_ref().map_or(0, |count| count.get()),
            bytes_out: self.bytes_out.get(),
            duration: outcome.took,
            upstream_duration: outcome.upstream_took,
            token_cache: self.cache.get().map(CacheResult::as_str),
            aborted: outcome.aborted,
            fault: outcome.fault,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let outcome = self.outcome();
        let worker = self.sink.worker();
        worker.exchange_ended(self.cache.get());
        self.sink.count(&outcome);
        if let Some(texts) = self.texts.take() {
            worker.write(&self.line(&texts, &outcome));
            worker.keep(texts);
        }
    }
}

impl CacheResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
        }
    }
}

fn position(number: Option<u32>) -> Option<usize> {
    number.and_then(|number| usize::try_from(number).ok())
}
