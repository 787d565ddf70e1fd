//! WebSocket tunnels: after the upstream agreed to switch protocols, bytes go both ways until both ends are done.
//!
//! A tunnel is run by whoever answers the client, after the `101` was handed to the server part. An end that closes its
//! half is passed on as such; the other half goes on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

use super::body::Watch;

/// A tunnel that begins when the `101` has been written to the client.
#[derive(Debug)]
#[must_use = "a tunnel carries nothing until it is run"]
pub struct Tunnel {
    client: OnUpgrade,
    upstream: OnUpgrade,
}

/// Why a tunnel ended other than by both ends closing.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// One side's connection was gone before it could be taken over.
    #[error("the connection could not be taken over")]
    Upgrade(#[source] hyper::Error),
    /// A side broke.
    #[error("the tunnel broke")]
    Io(#[source] io::Error),
}

impl Tunnel {
    pub(super) fn new(client: OnUpgrade, upstream: OnUpgrade) -> Self {
        Self { client, upstream }
    }

    /// Carries bytes until both halves are closed or one side breaks. `watch` is told of the bytes that go down, and
    /// lives as long as the tunnel does; dropping the future closes both connections.
    ///
    /// # Errors
    /// When it did not end by both ends closing.
    pub async fn run<W: Watch + Unpin>(self, watch: W) -> Result<(), TunnelError> {
        let (client, upstream) = tokio::try_join!(self.client, self.upstream).map_err(TunnelError::Upgrade)?;
        let (mut client, mut upstream) = (Counted { io: TokioIo::new(client), watch }, TokioIo::new(upstream));
        copy_bidirectional(&mut client, &mut upstream).await.map_err(TunnelError::Io)?;
        client.watch.ended();
        Ok(())
    }
}

/// The client's end of a tunnel; tells its watch what is written to it.
struct Counted<W> {
    io: TokioIo<Upgraded>,
    watch: W,
}

impl<W: Unpin> AsyncRead for Counted<W> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, into)
    }
}

impl<W: Watch + Unpin> AsyncWrite for Counted<W> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(context, bytes))?;
        this.watch.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
