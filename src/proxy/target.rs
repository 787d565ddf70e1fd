//! An upstream as it was compiled from the config, once for all workers: where its servers are, which Host they see,
//! whom they are trusted by. Holds no connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use thiserror::Error;
use tokio_rustls::TlsConnector;

use crate::config::model;
use crate::secret::sha256;

use super::address::{self, HostRule};

/// One upstream, compiled.
#[derive(Debug)]
pub struct Target {
    /// As it was written.
    pub config: model::Upstream,
    /// Which Host its servers see.
    pub host: HostRule,
    /// Its servers; never empty.
    pub servers: Box<[Place]>,
    /// SHA-256 of `ca_file`, where it is used.
    authorities: Option<[u8; 32]>,
}

/// Where one server is.
#[derive(Debug)]
pub struct Place {
    /// How it is spoken to.
    pub wire: Wire,
    /// What to connect to.
    pub address: Address,
    /// `host:port`, for logs and faults.
    pub label: Arc<str>,
    /// Its authority, without the scheme's default port.
    pub authority: HeaderValue,
}

/// How a server is spoken to.
#[derive(Debug)]
pub enum Wire {
    /// HTTP/1.1 in cleartext.
    Http1,
    /// HTTP/2 in cleartext.
    Http2,
    /// TLS, with a certificate that carries this name.
    Tls(Tls, ServerName<'static>),
}

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Nothing to look up.
    Fixed(SocketAddr),
    /// Looked up for every new connection.
    Named(Box<str>, u16),
}

/// How TLS is spoken.
#[derive(Clone)]
pub struct Tls {
    /// HTTP/2 or HTTP/1.1, by ALPN.
    pub any: TlsConnector,
    /// HTTP/1.1 alone, for what HTTP/2 cannot carry.
    pub http1: TlsConnector,
}

/// Why an upstream cannot be used.
#[derive(Debug, Error)]
pub enum TargetError {
    /// The name in `host`.
    #[error("`host` is no host name")]
    Host(#[source] http::uri::InvalidUri),
    /// A server's host.
    #[error("{0:?} is no host name")]
    Server(String),
    /// `ca_file`
    #[error("cannot read the certificate authorities in {}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No `ca_file`, and none of the system's.
    #[error("the system has no certificate authorities; name some in `ca_file`")]
    NoSystemAuthorities,
    /// The TLS library refuses the settings.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// The system's certificate authorities, read at most once for all upstreams of a config.
#[derive(Debug, Default)]
pub struct SystemAuthorities(Option<Arc<RootCertStore>>);

impl Target {
    /// Compiles one upstream. Reads certificate authorities from disk when a server is spoken to with TLS.
    ///
    /// # Errors
    /// When something that it names cannot be used.
    pub fn compile(config: &model::Upstream, system: &mut SystemAuthorities) -> Result<Self, TargetError> {
        let host = HostRule::compile(&config.host).map_err(TargetError::Host)?;
        let secure = config.servers.iter().any(|server| server.scheme == model::Scheme::Https);
        let (tls, authorities) = match (secure, &config.ca_file) {
            (false, _) => (None, None),
            (true, None) => (Some(Tls::new(&system.get()?)?), None),
            (true, Some(path)) => {
                let (roots, digest) = authorities_of(path)?;
                (Some(Tls::new(&roots)?), Some(digest))
            }
        };
        let servers = config.servers.iter().map(|server| Place::of(server, tls.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { config: config.clone(), host, servers, authorities })
    }

    /// Whether connections to `other` serve this one as well.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.config == other.config && self.authorities == other.authorities
    }
}

impl Place {
    fn of(origin: &model::Origin, tls: Option<&Tls>) -> Result<Self, TargetError> {
        let refused = || TargetError::Server(origin.host.clone());
        let address = match origin.host.parse::<IpAddr>() {
            Ok(ip) => Address::Fixed(SocketAddr::new(ip, origin.port)),
            Err(_) => Address::Named(origin.host.as_str().into(), origin.port),
        };
        let (wire, default_port) = match (origin.scheme, tls) {
            (model::Scheme::Http, _) => (Wire::Http1, 80),
            (model::Scheme::H2c, _) => (Wire::Http2, 80),
            (model::Scheme::Https, tls) => {
                let name = ServerName::try_from(origin.host.clone()).map_err(|_| refused())?;
                (Wire::Tls(tls.ok_or(TargetError::NoSystemAuthorities)?.clone(), name), 443)
            }
        };
        let (label, authority) = address::authority(&origin.host, origin.port, default_port);
        Ok(Self { wire, address, label, authority: authority.ok_or_else(refused)? })
    }
}

impl Tls {
    fn new(roots: &Arc<RootCertStore>) -> Result<Self, TargetError> {
        let connector = |protocols: &[&[u8]]| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let builder = builder.map_err(TargetError::Tls)?;
            let mut config = builder.with_root_certificates(roots.clone()).with_no_client_auth();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Ok(TlsConnector::from(Arc::new(config)))
        };
        Ok(Self { any: connector(&[b"h2", b"http/1.1"])?, http1: connector(&[b"http/1.1"])? })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl SystemAuthorities {
    fn get(&mut self) -> Result<Arc<RootCertStore>, TargetError> {
        if let Some(roots) = &self.0 {
            return Ok(roots.clone());
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TargetError::NoSystemAuthorities);
        }
        Ok(self.0.insert(Arc::new(roots)).clone())
    }
}

fn authorities_of(path: &Path) -> Result<(Arc<RootCertStore>, [u8; 32]), TargetError> {
    let failed =
        |cause: Box<dyn std::error::Error + Send + Sync>| TargetError::Authorities { path: path.to_owned(), cause };
    let pem = std::fs::read(path).map_err(|cause| failed(cause.into()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|cause| failed(cause.to_string().into()))?;
        roots.add(certificate).map_err(|cause| failed(cause.into()))?;
    }
    match roots.is_empty() {
        true => Err(failed("it holds no certificate".into())),
        false => Ok((Arc::new(roots), sha256(&pem))),
    }
}
