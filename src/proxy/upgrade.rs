//! WebSocket tunnels: after the upstream agreed to switch protocols, bytes go both ways until both ends are done.
//!
//! A tunnel is run by whoever answers the client, after the `101` was handed to the server part. An end that closes its
//! half is passed on as such; the other half goes on.

use std::io;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

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

    /// Carries bytes until both halves are closed or one side breaks. `watch` is told of the bytes that went down, and
    /// lives as long as the tunnel does; dropping the future closes both connections.
    ///
    /// # Errors
    /// When it did not end by both ends closing.
    pub async fn run<W: Watch>(self, mut watch: W) -> Result<(), TunnelError> {
        let (client, upstream) = tokio::try_join!(self.client, self.upstream).map_err(TunnelError::Upgrade)?;
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        let (_, down) = copy_bidirectional(&mut client, &mut upstream).await.map_err(TunnelError::Io)?;
        watch.sent(usize::try_from(down).unwrap_or(usize::MAX));
        watch.ended();
        Ok(())
    }
}
