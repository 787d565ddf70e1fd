//! TLS of our own listeners: certificate, key and, when asked for, authorities of client certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

/// Where the PEM files of a listener are.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key of the leaf.
    pub private_key: PathBuf,
    /// What is asked of clients.
    pub clients: Clients,
}

/// What is asked of clients in the handshake.
#[derive(Debug, Clone)]
pub enum Clients {
    /// Nothing.
    Anonymous,
    /// A certificate by these authorities.
    Certified(PathBuf),
    /// A certificate by these authorities, or none.
    PerhapsCertified(PathBuf),
    /// Any certificate, or none. That its key signed the handshake is checked, and nothing else.
    Unverified,
}

/// Why the files make no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no such PEM item.
    #[error("{path}: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// The file holds no certificate.
    #[error("{0}: no certificate in it")]
    NoCertificate(PathBuf),
    /// Key and certificate do not belong together, or rustls does not take them.
    #[error("{path}: {source}")]
    Refused {
        /// The certificate file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The authorities of client certificates cannot be used.
    #[error("{path}: {source}")]
    ClientAuthorities {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::server::VerifierBuilderError,
    },
}

/// HTTP/2 and HTTP/1.1, the former if the client knows both.
pub const HTTP: &[&[u8]] = &[b"h2", b"http/1.1"];
/// HTTP/1.1 alone.
pub const HTTP1: &[&[u8]] = &[b"http/1.1"];

/// Reads the files into a configuration that offers these protocols, the first the best (ALPN, RFC 7301).
///
/// # Errors
/// The first file that cannot be used.
pub fn server_config(files: &Files, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let refused = |source| TlsError::Refused { path: files.certificate.clone(), source };
    let versions = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let verifier = |path: &PathBuf| {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), Arc::clone(&provider));
        let builder = match files.clients {
            Clients::PerhapsCertified(_) => builder.allow_unauthenticated(),
            Clients::Anonymous | Clients::Certified(_) | Clients::Unverified => builder,
        };
        builder.build().map_err(|source| TlsError::ClientAuthorities { path: path.clone(), source })
    };
    let clients = match &files.clients {
        Clients::Anonymous => versions.with_no_client_auth(),
        Clients::Certified(path) | Clients::PerhapsCertified(path) => {
            versions.with_client_cert_verifier(verifier(path)?)
        }
        Clients::Unverified => {
            versions.with_client_cert_verifier(Arc::new(AnyCertificate(provider.signature_verification_algorithms)))
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.private_key).map_err(pem(&files.private_key))?;
    let mut config = clients.with_single_cert(certificates(&files.certificate)?, key).map_err(refused)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// Takes any certificate whose key signs the handshake. It tells who a client is no more than a public key does.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|source| TlsError::Refused { path: path.into(), source })?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(pem(path))?.collect::<Result<_, _>>().map_err(pem(path))?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.into())) } else { Ok(chain) }
}

fn pem(path: &Path) -> impl Fn(rustls_pki_types::pem::Error) -> TlsError + '_ {
    move |source| TlsError::Pem { path: path.into(), source }
}
