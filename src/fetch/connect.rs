//! From a URL to a byte stream: name lookup, one address after the other, and TLS with roots that we chose.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use super::Fault;

/// Why a client certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read, or is not PEM.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The private key is of no use, or not that of the certificate.
    #[error("the certificate in {} and its private key cannot be used", certificate.display())]
    Pair {
        /// Which file.
        certificate: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// The certificate by which this machine shows who it is.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(super) fn read(certificate: &Path, private_key: &Path) -> Result<Self, IdentityError> {
        let read = |path: &Path| {
            let path = path.to_path_buf();
            move |source| IdentityError::Read { path, source }
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<_, _>>)
            .map_err(read(certificate))?;
        let key = PrivateKeyDer::from_pem_file(private_key).map_err(read(private_key))?;
        Ok(Self { chain, key })
    }
}

/// Why the certificate authorities of a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read, or is not PEM.
    #[error("cannot read certificate authorities from {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The file holds no certificate at all.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// A certificate in it cannot be a trust anchor.
    #[error("a certificate in {} cannot be used", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// The certificate authorities of `path`, all of which must be usable: a half-read file would fail much later.
pub(super) fn roots_of_file(path: &Path) -> Result<RootCertStore, RootsError> {
    let read = |source| RootsError::Read { path: path.into(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(read)? {
        roots
            .add(certificate.map_err(read)?)
            .map_err(|source| RootsError::Certificate { path: path.into(), source })?;
    }
    if roots.is_empty() { Err(RootsError::Empty { path: path.into() }) } else { Ok(roots) }
}

/// The machine's certificate authorities, those of them that can be read.
pub(super) fn roots_of_system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some root certificates of this machine cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, "root certificates of this machine loaded");
    roots
}

/// TLS 1.2 and 1.3 as a client, HTTP/1.1 only, trusting `roots`.
pub(super) fn tls(roots: RootCertStore) -> TlsConnector {
    connector(trusting(roots).with_no_client_auth())
}

/// As [`tls`], showing `identity` to a server that asks for a certificate.
pub(super) fn tls_as(roots: RootCertStore, identity: Identity) -> Result<TlsConnector, rustls::Error> {
    trusting(roots).with_client_auth_cert(identity.chain, identity.key).map(connector)
}

fn trusting(roots: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for the default versions")
        .with_root_certificates(roots)
}

fn connector(mut config: ClientConfig) -> TlsConnector {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// The addresses of the URL's host.
pub(super) async fn resolve(url: &Url) -> Result<Vec<SocketAddr>, Fault> {
    let port = url.port_or_known_default().ok_or(Fault::Url("it has no port"))?;
    let addresses = match url.host().ok_or(Fault::Url("it has no host"))? {
        Host::Ipv4(ip) => vec![SocketAddr::new(ip.into(), port)],
        Host::Ipv6(ip) => vec![SocketAddr::new(ip.into(), port)],
        Host::Domain(name) => tokio::net::lookup_host((name, port)).await.map_err(Fault::Resolve)?.collect(),
    };
    if addresses.is_empty() {
        return Err(Fault::Resolve(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
    }
    Ok(addresses)
}

/// A connection to the first address that accepts one.
///
/// Each gets an equal share of `within`, and one share is left for the exchange, so that a dead first address does
/// not use up the time of a live second one.
pub(super) async fn connect(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, Fault> {
    let share = within / u32::try_from(addresses.len() + 1).unwrap_or(u32::MAX);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
    for &address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is written at once; waiting for more to send only delays it.
                stream.set_nodelay(true).map_err(Fault::Connect)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address}: no answer within {share:?}")),
        }
    }
    Err(Fault::Connect(last))
}

/// The handshake, with the URL's host as the name that the certificate must carry.
pub(super) async fn secure(tls: &TlsConnector, url: &Url, stream: TcpStream) -> Result<TlsStream<TcpStream>, Fault> {
    tls.connect(server_name(url)?, stream).await.map_err(Fault::Tls)
}

fn server_name(url: &Url) -> Result<ServerName<'static>, Fault> {
    match url.host() {
        Some(Host::Ipv4(ip)) => Ok(ServerName::from(std::net::IpAddr::from(ip))),
        Some(Host::Ipv6(ip)) => Ok(ServerName::from(std::net::IpAddr::from(ip))),
        Some(Host::Domain(name)) => {
            ServerName::try_from(name.to_owned()).map_err(|_| Fault::Url("its host is not a DNS name"))
        }
        None => Err(Fault::Url("it has no host")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_is_taken_whole_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let good = rcgen::CertificateParams::new(vec!["ca".into()]).unwrap().self_signed(&key).unwrap().pem();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cases = [
            (good.clone(), None),
            (format!("{good}{broken}"), Some("cannot be used")),
            (format!("{good}-----BEGIN CERTIFICATE-----\n!!"), Some("cannot read")),
            (String::new(), Some("holds no certificate")),
        ];
        for (content, complaint) in cases {
            std::fs::write(&path, &content).unwrap();
            match (roots_of_file(&path), complaint) {
                (Ok(roots), None) => assert_eq!(roots.len(), 1),
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
                (outcome, _) => panic!("{content:?} gave {outcome:?}"),
            }
        }
        assert!(roots_of_file(&folder.path().join("none")).is_err());
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_by_the_next() {
        let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = {
            let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let live = live.local_addr().unwrap();
        let stream = connect(&[dead, live], Duration::from_secs(9)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
        let Err(Fault::Connect(error)) = connect(&[dead], Duration::from_secs(9)).await else { panic!("connected") };
        assert!(error.to_string().contains(&dead.to_string()), "{error}");
    }
}
