//! `/events`: server-sent events, one at once and then one every half second, each sent when it happens.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::server::plain::Stop;

const PERIOD: Duration = Duration::from_millis(500);

/// A stream of events that ends after a given number, or when the server stops.
pub(super) struct Events {
    ticks: Interval,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    sent: u64,
    count: Option<u64>,
}

impl Events {
    /// `count` events; without it they never end.
    pub(super) fn new(count: Option<u64>, stop: Stop) -> Self {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { ticks, stopped: Box::pin(stop.stopped()), sent: 0, count }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.count.is_some_and(|count| self.sent >= count) || self.stopped.as_mut().poll(cx).is_ready() {
            // Final, since the future that told of the stop must not be asked again.
            self.count = Some(0);
            return Poll::Ready(None);
        }
        self.ticks.poll_tick(cx).map(|_| {
            self.sent += 1;
            let event = format!("id: {0}\nevent: tick\ndata: {{\"tick\":{0}}}\n\n", self.sent);
            Some(Ok(Frame::data(Bytes::from(event))))
        })
    }
}
