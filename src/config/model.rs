//! The configuration as the rest of the program sees it: every value parsed, every default filled in, every name
//! resolved to a position. A `Config` that exists is a valid one; only `validate` makes it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use jsonwebtoken::Algorithm;

use crate::secret::Secret;

mod authority;
mod issuer;
mod login;
mod route;
mod rule;

pub use authority::{Authority, AuthorityAuth, AuthorityClient, AuthorityFaults, AuthorityTls, AuthorityUser};
pub use issuer::{AnswerForm, ClientAuth, Introspection, Issuer, KeySource, Profile, TokenType};
pub use login::{Login, OwnPage, Pages, SessionStore, Sessions};
pub use route::{Access, Bind, Credential, Route, TokenFrom};
pub use rule::{Accepted, ClaimTest, Param, Requirements};

/// One whole, valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[admin]`; no table, no admin listener.
    pub admin: Option<Admin>,
    /// `[revocation]`
    pub revocation: Revocation,
    /// `[redis]`
    pub redis: Option<Redis>,
    /// `[issuers.*]`, sorted by name; in place of a table with tenants its tenants, in their order. [`Route::issuers`] holds
    /// positions in it.
    pub issuers: Vec<Issuer>,
    /// `[upstreams.*]`, sorted by name. [`Route::upstream`] is a position in it.
    pub upstreams: Vec<Upstream>,
    /// `[[routes]]`, in the order of the file.
    pub routes: Vec<Route>,
    /// `[[tests]]`, in the order of the file.
    pub tests: Vec<PolicyTest>,
    /// `[identity_headers]`: header to JSON Pointer into the claims, beside the four `X-Auth-*` that are always set.
    pub identity_headers: Vec<(HeaderName, String)>,
    /// `[dpop]`
    pub dpop: Dpop,
    /// `[log]`
    pub log: Log,
    /// `[logins.*]`, sorted by name. [`Route::login`] is a position in it.
    pub logins: Vec<Login>,
    /// `[sessions]`
    pub sessions: Sessions,
    /// `[pages]`
    pub pages: Pages,
    /// `[authority]`: the embedded development Authorization Server.
    pub authority: Option<Authority>,
    /// Files whose content is part of this configuration (certificates, keys, secrets), absolute.
    /// A reload watches their content.
    pub files: Vec<PathBuf>,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Cleartext addresses (HTTP/1.1, and HTTP/2 with prior knowledge); port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Worker threads, one listener and one runtime each; at least 1. Default: one per core.
    pub workers: usize,
    /// The origin (`https://host[:port]`, no path, no trailing slash) that names the protected resource (RFC 9728).
    pub public_url: Option<String>,
    /// Where the last good key sets are kept; `None` keeps nothing on disk.
    pub state_dir: Option<PathBuf>,
    /// `[server.tls]`
    pub tls: Option<ServerTls>,
    /// `[server.limits]`
    pub limits: Limits,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where a trusted proxy tells of the client's certificate.
    pub forwarded_certificate: Option<ForwardedCertificate>,
    /// How long requests in flight may take after SIGTERM before they are cut (`drain_timeout`, default 30 s).
    pub drain_timeout: Duration,
}

/// `[server.tls]`: HTTP/1.1 and HTTP/2 by ALPN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// Addresses served with TLS.
    pub listen: Vec<SocketAddr>,
    /// PEM file: the certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file: the private key of the leaf.
    pub private_key: PathBuf,
    /// PEM file: authorities of client certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients have to show a certificate.
    pub client_certificate: ClientCertificate,
}

/// Whether clients have to show a certificate in the TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// None is asked for; the default without `client_ca`.
    NotAsked,
    /// One of the authorities; the default with them.
    Required,
    /// One of the authorities, or none.
    Optional,
    /// Any, or none.
    Unverified,
}

/// A header of a trusted proxy with the client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedCertificate {
    /// The name of the header.
    pub header: HeaderName,
    /// How the certificate stands in it.
    pub format: CertificateFormat,
}

/// How a header tells of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFormat {
    /// `X-Forwarded-Client-Cert`, as Envoy writes it.
    Envoy,
    /// PEM with escapes, as nginx writes it.
    Pem,
    /// DER in base64, as HAProxy and Traefik write it.
    Base64,
    /// A byte sequence (RFC 9440).
    Rfc9440,
}

/// `[server.limits]`: what one client may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a request (or the accepted connection) to the end of its head. Default 10 s.
    pub header_timeout: Duration,
    /// A connection with no request is closed after this. Default 75 s.
    pub idle_timeout: Duration,
    /// Bytes of one request head. Default 64 KiB.
    pub max_header_bytes: usize,
    /// Fields of one request head. Default 100.
    pub max_headers: usize,
    /// Bytes of one request body; `None`: no limit. Default no limit.
    pub max_body_bytes: Option<u64>,
    /// Connections open at once, over all workers. Default 10,000.
    pub max_connections: usize,
}

/// `[admin]`
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where `/metrics`, `/healthz`, `/readyz`, `/config` and `/revocations` are served.
    pub listen: SocketAddr,
    /// What `/revocations` asks for; without it, that is served on loopback only.
    pub token: Option<Secret>,
}

/// `[revocation]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// How long a revocation lasts that does not say so. Default 24 h.
    pub lifetime: Duration,
    /// Revocations that are held at once. Default 10,000.
    pub max_entries: usize,
    /// How long what was read last serves while the store cannot be reached. Default 30 s.
    pub max_stale: Duration,
    /// Whether requests are judged by what is known after that too (`on_store_loss = "serve"`).
    pub serve_on_store_loss: bool,
}

/// `[redis]`
#[derive(Debug, Clone)]
pub struct Redis {
    /// Where it is; may hold a password.
    pub url: Secret,
    /// Further nodes of its cluster; empty: a server by itself.
    pub cluster: Vec<String>,
    /// The user to log in as.
    pub username: Option<String>,
    /// The password to log in with.
    pub password: Option<Secret>,
    /// PEM file: certificate authorities, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files: certificate chain and private key of the gateway.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// To connect. Default 2 s.
    pub connect_timeout: Duration,
    /// To answer a command. Default 1 s.
    pub timeout: Duration,
    /// In front of every name. Default `tollgate:`.
    pub prefix: String,
}

/// `[upstreams.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The table's name.
    pub name: Arc<str>,
    /// Replicas, taken in turn. Never empty.
    pub servers: Vec<Origin>,
    /// Which Host the upstream sees.
    pub host: UpstreamHost,
    /// To open a connection, TLS included. Default 2 s.
    pub connect_timeout: Duration,
    /// From the sent request to the head of the response. Default 30 s.
    pub response_timeout: Duration,
    /// A kept connection without a request is closed after this. Default 60 s.
    pub idle_timeout: Duration,
    /// PEM file: certificate authorities, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// One server of an upstream: scheme, host and port, no path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// A name, an IPv4 address or an IPv6 address without brackets.
    pub host: String,
    /// Written or the scheme's default.
    pub port: u16,
}

/// How an upstream server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 in cleartext.
    Http,
    /// TLS; HTTP/2 or HTTP/1.1 by ALPN.
    Https,
    /// HTTP/2 in cleartext with prior knowledge.
    H2c,
}

/// Which Host the upstream sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamHost {
    /// What the client sent.
    Keep,
    /// The upstream server's own authority.
    Upstream,
    /// This one.
    Named(String),
}

/// `[[tests]]`
#[derive(Debug, Clone)]
pub struct PolicyTest {
    /// The method.
    pub method: http::Method,
    /// The absolute URL, as written.
    pub url: String,
    /// `None`: anonymous. Absent `iss`, `aud`, `exp` get good values.
    pub claims: Option<serde_json::Map<String, serde_json::Value>>,
    /// How long ago the user signed in; becomes `auth_time`.
    pub signed_in: Option<Duration>,
    /// `allow` or a denial code.
    pub expect: String,
    /// Line in the file, from 1.
    pub line: usize,
}

/// `[dpop]`: what proofs of possession are held to (RFC 9449).
#[derive(Debug, Clone)]
pub struct Dpop {
    /// Whether challenges offer the scheme: the table is there.
    pub offered: bool,
    /// How old a proof may be when it comes. Default 60 s.
    pub proof_lifetime: Duration,
    /// Tolerance on the `iat` of proofs. Default 30 s.
    pub clock_skew: Duration,
    /// Accepted signature algorithms; asymmetric only. Default: all that we know.
    pub algorithms: Vec<Algorithm>,
    /// Whether a proof must have a nonce of ours.
    pub nonce: bool,
    /// How often the nonce changes. Default 5 min.
    pub nonce_lifetime: Duration,
    /// What nonces are signed with; `None`: a key of this process alone.
    pub nonce_secret: Option<Secret>,
    /// Proofs that are remembered at once. Default 1,000,000.
    pub max_proofs: usize,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The form of the access log.
    pub access: AccessLog,
    /// Filter of the diagnostic log, as `info` or `tollgate=debug`.
    pub level: String,
    /// How a principal's subject is shown.
    pub subject: SubjectLog,
}

/// The form of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// One JSON object a line.
    Json,
    /// Columns for a person.
    Pretty,
    /// Pretty on a terminal, else JSON; the default.
    Auto,
    /// No access log.
    Off,
}

/// How a principal's subject is shown in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectLog {
    /// [`crate::secret::stand_in`] of issuer and subject; the default.
    Hash,
    /// As it is.
    Plain,
    /// Not at all.
    None,
}
