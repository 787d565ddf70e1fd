//! The certificates that clients show to a server that takes any, or none ([`Clients::Unverified`]).
//!
//! The handshake proves that a client has the key of the certificate that it shows, and nothing else. What the
//! certificate says, and whether anybody vouches for it, is for the one to ask who needs to know: [`Presented`].
//!
//! [`Clients::Unverified`]: super::tls::Clients::Unverified

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConnection;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::tls::{TlsError, provider, roots};
use crate::clock;

/// The certificates that a client showed: at least one, its own first. An extension of the requests that
/// [`super::plain::serve_over`] hands over.
#[derive(Debug, Clone)]
pub struct Presented(Arc<[CertificateDer<'static>]>);

impl Presented {
    /// What the client of this connection showed.
    pub(super) fn on(connection: &ServerConnection) -> Option<Self> {
        let chain = connection.peer_certificates().filter(|chain| !chain.is_empty())?;
        Some(Self(chain.iter().map(|certificate| certificate.clone().into_owned()).collect()))
    }

    /// The client's own certificate.
    #[must_use]
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.0[0]
    }

    /// Whether one of `authorities` vouches for it now, as for a client (RFC 5280, section 6).
    #[must_use]
    pub fn is_vouched_for(&self, authorities: &Authorities, now: clock::UnixTime) -> bool {
        let now = Duration::from_secs(u64::try_from(now.secs()).unwrap_or(0));
        let now = UnixTime::since_unix_epoch(now);
        authorities.0.verify_client_cert(self.leaf(), &self.0[1..], now).is_ok()
    }
}

/// Authorities of client certificates.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<dyn ClientCertVerifier>);

impl Authorities {
    /// Reads them from a PEM file.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn read(path: &Path) -> Result<Self, TlsError> {
        let roots = Arc::new(roots(path)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
        verifier.map(Self).map_err(|source| TlsError::ClientAuthorities { path: path.into(), source })
    }
}
