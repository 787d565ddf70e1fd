//! Small writes in one piece: what would be a vectored write of a head and a short body goes out as one plain write.
//!
//! A vectored write costs the kernel more than a plain one, and most of what a gateway writes fits into one packet.
//! Copying such a message together is cheaper than describing its parts; long ones are still written from where they
//! lie.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest message that is copied together. A TLS record and the usual congestion window are longer.
const SHORT: usize = 4096;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(SHORT));
}

/// A stream that gathers small vectored writes.
#[derive(Debug)]
pub struct Gather<S>(pub S);

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if let [only] = parts {
            return stream.poll_write(context, only);
        }
        if parts.iter().map(|part| part.len()).sum::<usize>() > SHORT {
            return stream.poll_write_vectored(context, parts);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            parts.iter().for_each(|part| scratch.extend_from_slice(part));
            stream.poll_write(context, scratch)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// Takes at most `room` bytes a write, and remembers how it was written to.
    #[derive(Default)]
    struct Pipe {
        got: Vec<u8>,
        vectored: usize,
        room: usize,
    }

    impl AsyncWrite for Pipe {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.room);
            self.got.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.vectored += 1;
            self.poll_write(context, &parts[0])
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn short_messages_go_out_whole_and_long_ones_from_where_they_lie() {
        let long = vec![b'x'; SHORT];
        let cases: [(&[&[u8]], usize, usize, usize); 4] = [
            (&[b"head", b"body"], 99, 8, 0),
            (&[b"head", b"body"], 5, 5, 0),
            (&[&long], usize::MAX, SHORT, 0),
            (&[b"head", &long], usize::MAX, 4, 1),
        ];
        for (parts, room, written, vectored) in cases {
            let mut stream = Gather(Pipe { room, ..Pipe::default() });
            let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let mut context = Context::from_waker(Waker::noop());
            let outcome = Pin::new(&mut stream).poll_write_vectored(&mut context, &slices);
            assert!(matches!(outcome, Poll::Ready(Ok(count)) if count == written), "{parts:?}: {outcome:?}");
            assert_eq!(stream.0.vectored, vectored);
            assert_eq!(stream.0.got, parts.concat()[..written]);
        }
    }
}
