//! TLS of a server that asks its clients for a certificate and takes any, or none.
//!
//! The handshake proves that a client has the key of the certificate that it shows, and nothing else. What the
//! certificate says, and whether anybody vouches for it, is for the one to ask who needs to know: [`Presented`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, ServerConnection, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::tls::{TlsError, certificates, pem, roots};
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

/// Reads certificate chain and key from PEM files into a configuration that offers HTTP/1.1.
///
/// # Errors
/// The first file that cannot be used.
pub fn server_config(certificate: &Path, private_key: &Path) -> Result<ServerConfig, TlsError> {
    let (provider, refused) = (provider(), |source| TlsError::Refused { path: certificate.into(), source });
    let versions = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(pem(private_key))?;
    let clients = versions.with_client_cert_verifier(Arc::new(AnyClient(provider)));
    let mut config = clients.with_single_cert(certificates(certificate)?, key).map_err(refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Checks that the client has the key of its certificate, and does not ask who signed it.
#[derive(Debug)]
struct AnyClient(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hint: the client shows whatever it has.
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
