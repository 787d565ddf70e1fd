//! Response bodies that report: how many bytes went, and whether the end was reached.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

use super::exchange::Exchange;

/// A response body that counts its bytes, keeps the exchange to its end, and says whether the end was reached.
#[derive(Debug)]
pub struct Measured<B> {
    body: B,
    exchange: Rc<Exchange>,
}

impl<B: Body> Measured<B> {
    /// Ties `body` to its exchange. A body that is empty from the start is finished at once.
    pub fn new(body: B, exchange: Rc<Exchange>) -> Self {
        let measured = Self { body, exchange };
        measured.finish_at_end();
        measured
    }

    /// A server may drop a body of known length without asking for the end behind its last byte.
    fn finish_at_end(&self) {
        if self.body.is_end_stream() {
            self.exchange.finish();
        }
    }
}

impl<B: Body + Unpin> Body for Measured<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, bytes::Buf::remaining);
                this.exchange.add_bytes_out(bytes as u64);
                this.finish_at_end();
            }
            Poll::Ready(None) => this.exchange.finish(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
