//! A certificate authority of this process, and TLS on blocking sockets.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::client::Conn;
use super::keys::{b64, sha256};

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A leaf certificate with its key, as PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    /// A new authority of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names to be wrong");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a self-signed certificate") }
    }

    /// Its own certificate as PEM.
    pub fn pem(&self) -> String {
        self.issuer.as_ref().pem()
    }

    /// A certificate for these names (DNS or IP addresses), of this common name.
    pub fn identity(&self, common_name: &str, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of hosts");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a signed certificate");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A store that trusts this authority alone.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let der = CertificateDer::from_pem_slice(self.pem().as_bytes()).expect("our own PEM");
        roots.add(der).expect("our own certificate");
        roots
    }
}

/// The authority of this process, and a second one that nobody trusts.
pub fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("Test authority"))
}

impl Identity {
    /// A certificate of [`authority`] for loopback addresses and `*.test`.
    pub fn loopback(common_name: &str) -> Self {
        authority().identity(common_name, &["127.0.0.1", "localhost", "api.test", "*.test"])
    }

    /// A certificate that nobody vouches for.
    pub fn self_signed(common_name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names to be wrong");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// What tokens that are bound to it have in `x5t#S256`.
    pub fn thumbprint(&self) -> String {
        b64(sha256(&self.der()))
    }

    /// Writes `NAME.crt` and `NAME.key` into a folder.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        std::fs::write(&certificate, &self.certificate).expect("a folder of ours");
        std::fs::write(&key, &self.key).expect("a folder of ours");
        (certificate, key)
    }

    /// The leaf in DER.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("our own PEM")
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("our own PEM")
    }

    /// A server with this certificate. With `clients`, only clients whose certificate it signed are let in.
    pub fn server(&self, alpn: &[&str], clients: Option<&Authority>) -> Arc<ServerConfig> {
        crypto();
        let builder = match clients {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(clients) => {
                let verifier = WebPkiClientVerifier::builder(Arc::new(clients.roots())).build().expect("one root");
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(vec![self.der()], self.key_der()).expect("key and certificate fit");
        config.alpn_protocols = protocols(alpn);
        Arc::new(config)
    }
}

fn crypto() {
    // A second call finds it installed already.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
}

fn protocols(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// A client that trusts [`authority`], with a certificate of its own or none.
pub fn client(alpn: &[&str], identity: Option<&Identity>) -> Arc<ClientConfig> {
    crypto();
    let builder = ClientConfig::builder().with_root_certificates(authority().roots());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            builder.with_client_auth_cert(vec![identity.der()], identity.key_der()).expect("key and certificate fit")
        }
    };
    config.alpn_protocols = protocols(alpn);
    Arc::new(config)
}

/// What a handshake agreed on.
pub struct Handshake {
    pub alpn: Option<String>,
    /// The leaf that the server showed.
    pub server: CertificateDer<'static>,
}

/// Connects with TLS; the handshake is finished on return. With TLS 1.3 a server that refuses a client's certificate
/// says so only afterwards: the first read fails.
pub fn connect(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> std::io::Result<(Conn, Handshake)> {
    let mut tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(super::PATIENCE))?;
    let name = ServerName::try_from(name.to_owned()).expect("a name or an address");
    let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(std::io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    let alpn = tls.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    let leaf = tls.peer_certificates().and_then(|chain| chain.first()).expect("a server shows its certificate");
    let handshake = Handshake { alpn, server: leaf.clone().into_owned() };
    let wire = StreamOwned::new(tls, tcp.try_clone()?);
    Ok((Conn::over(Box::new(wire), tcp)?, handshake))
}

/// Takes an accepted socket into TLS.
pub fn accept(mut tcp: TcpStream, config: &Arc<ServerConfig>) -> std::io::Result<Conn> {
    tcp.set_read_timeout(Some(super::PATIENCE))?;
    let mut tls = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    let wire = StreamOwned::new(tls, tcp.try_clone()?);
    Conn::over(Box::new(wire), tcp)
}
