//! The configuration as the rest of the program sees it: every value parsed, every default filled in, every name
//! resolved to a position. A `Config` that exists is a valid one; only `validate` makes it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use jsonwebtoken::Algorithm;
use rustls_pki_types::CertificateDer;

use crate::faults::Order;
use crate::pattern::{HostPattern, MethodSet, PathPattern};
use crate::secret::Secret;
use crate::server::certificate::CertificateName;

mod rule;

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
    /// `[issuers.*]`, sorted by name. [`Route::issuers`] holds positions in it.
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

/// `[issuers.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The table's name.
    pub name: Arc<str>,
    /// Compared with `iss` exactly, byte by byte.
    pub issuer: Arc<str>,
    /// A token must name one of these in `aud` (for Cognito: in `client_id`). Never empty.
    pub audiences: Vec<String>,
    /// Whose token shape this is.
    pub profile: Profile,
    /// The accepted `typ` values; the profile's, unless `token_types` is written. Never empty.
    pub token_types: Vec<TokenType>,
    /// Where the keys come from.
    pub keys: KeySource,
    /// Accepted signature algorithms; asymmetric only. Default: all that we know.
    pub algorithms: Vec<Algorithm>,
    /// Tolerance on `exp`, `nbf` and `iat`. Default 30 s.
    pub clock_skew: Duration,
    /// Claims that must be present beside `iss`, `aud` and `exp`.
    pub required_claims: Vec<String>,
    /// PEM file: certificate authorities for this issuer's URLs, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether http URLs off loopback are allowed.
    pub allow_http: bool,
    /// How long the last good keys serve when the issuer cannot be reached. Default 24 h.
    pub max_stale: Duration,
    /// Least time between two refetches that unknown `kid`s cause (`refetch_cooldown`). Default 5 s.
    pub refetch_cooldown: Duration,
    /// `[issuers.NAME.introspection]`; `None`: its opaque tokens are not taken.
    pub introspection: Option<Introspection>,
}

/// `[issuers.NAME.introspection]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// The endpoint; `None`: the one that the issuer's metadata name.
    pub endpoint: Option<String>,
    /// The client id of the gateway at the issuer.
    pub client_id: String,
    /// How the gateway authenticates at the endpoint.
    pub auth: ClientAuth,
    /// Whether the issuer is asked about JWTs too (`introspect = "always"`).
    pub always: bool,
    /// Whether an answer may be without `aud`.
    pub audience_optional: bool,
    /// The form of answers.
    pub answer: AnswerForm,
    /// How long a good answer is remembered, within the token's `exp`. Default 30 s.
    pub cache: Duration,
    /// How long it is remembered that a token is not active. Default 5 s.
    pub negative_cache: Duration,
    /// How long a token may take to judge. Default 3 s.
    pub timeout: Duration,
    /// How much longer a good answer serves while the issuer cannot be asked. Default: not at all.
    pub serve_stale: Duration,
}

/// How the gateway shows an issuer which client it is (RFC 6749, section 2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// Not at all: a public client. A login can be one.
    None,
    /// `client_secret_basic`
    Basic(Secret),
    /// `client_secret_post`
    Post(Secret),
    /// RFC 7523
    PrivateKeyJwt {
        /// PEM file.
        private_key: PathBuf,
        /// The `kid` by which the issuer knows the key.
        key_id: Option<String>,
    },
    /// RFC 8705
    Mtls {
        /// PEM file: the certificate chain, leaf first.
        certificate: PathBuf,
        /// PEM file: the private key of the leaf.
        private_key: PathBuf,
    },
}

/// The form in which an introspection endpoint is asked to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// RFC 7662
    Json,
    /// RFC 9701, signed by the issuer.
    Jwt,
}

/// Whose token shape an issuer writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// RFC 9068, the strict default: `typ` is `at+jwt`.
    Rfc9068,
    /// Okta.
    Okta,
    /// Auth0.
    Auth0,
    /// Microsoft Entra ID.
    Entra,
    /// Keycloak.
    Keycloak,
    /// Amazon Cognito: no `aud` in access tokens, `client_id` stands in for it.
    Cognito,
}

/// One accepted value of a token's `typ` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenType {
    /// This media type, lower case, without `application/`.
    Named(String),
    /// No `typ` at all.
    Absent,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `ISSUER/.well-known/openid-configuration`, then RFC 8414's inserted form; its `issuer` must match.
    Discovery,
    /// A JWK Set at this URL.
    Uri(String),
    /// A JWK Set in this file.
    File(PathBuf),
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

/// `[[routes]]`
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name in logs and metrics; unique. Default: `route-N` by position, from 1.
    pub name: Arc<str>,
    /// Any host when empty.
    pub hosts: Vec<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// The methods.
    pub methods: MethodSet,
    /// Position in [`Config::upstreams`].
    pub upstream: usize,
    /// Who may come in.
    pub access: Access,
    /// Positions in [`Config::issuers`] of those whose tokens are taken by the route and all of its rule sets; never
    /// empty unless `access` is public. Default: all.
    pub issuers: Vec<usize>,
    /// What must hold, all of it: the route's own keys first, then its rule sets as `rules` names them.
    pub requirements: Vec<Requirements>,
    /// Only tokens that are bound to their sender in this way; `None`: bound or not.
    pub bind: Option<Bind>,
    /// What the upstream gets of the credential.
    pub credential: Credential,
    /// Cut from the front of the path before forwarding; literal whole segments, as `/v1`.
    pub strip_prefix: Option<String>,
    /// The resource identifier (RFC 9728), in place of `public_url`.
    pub resource: Option<String>,
    /// Position in [`Config::logins`]: where browsers without a session are sent.
    pub login: Option<usize>,
    /// Whether upstreams get the access token of a session: only where `credential = "pass"` is written.
    pub passes_session_token: bool,
    /// Whether `%2F` counts as a plain character of its segment (`encoded_slash = "segment"`); else it is ambiguous.
    pub encoded_slash_in_segment: bool,
    /// Line in the file, from 1.
    pub line: usize,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A valid token is needed.
    Token,
    /// No token is fine, a bad one is not.
    Optional,
    /// Everybody; credentials are not looked at.
    Public,
}

/// A way to bind a token to its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// `dpop` (RFC 9449)
    Dpop,
    /// `mtls` (RFC 8705)
    Mtls,
}

impl Bind {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dpop => "dpop",
            Self::Mtls => "mtls",
        }
    }
}

/// What the upstream gets of the caller's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// As it came.
    Pass,
    /// Nothing.
    Drop,
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

/// `[logins.NAME]`
#[derive(Debug, Clone)]
pub struct Login {
    /// The table's name.
    pub name: Arc<str>,
    /// Position in [`Config::issuers`].
    pub issuer: usize,
    /// The client id of the gateway at the issuer.
    pub client_id: String,
    /// How the gateway proves to be that client.
    pub auth: ClientAuth,
    /// What is asked for; `openid` comes first.
    pub scopes: Vec<String>,
    /// The origin by which browsers know the application; no trailing slash.
    pub public_url: String,
    /// What the `aud` of its ID tokens may name beside the client.
    pub trusted_audiences: Vec<String>,
    /// The path of the redirect URI.
    pub callback: String,
    /// Whether the answer comes by a form that posts itself, rather than in the query.
    pub form_post: bool,
    /// Whether userinfo is asked.
    pub userinfo: bool,
    /// What the application may see of the claims.
    pub session_claims: Vec<String>,
}

impl Login {
    /// Whether browsers reach the application by https.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// The redirect URI.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        format!("{}{}", self.public_url, self.callback)
    }
}

/// `[sessions]`
#[derive(Debug, Clone)]
pub struct Sessions {
    /// Where they are kept.
    pub store: SessionStore,
    /// The key that seals, then the ones that still open; none: one of this process.
    pub keys: Vec<Secret>,
    /// A session without a request ends after this.
    pub idle_timeout: Duration,
    /// A session ends after this.
    pub lifetime: Duration,
}

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStore {
    /// In the process.
    Memory,
    /// In the browser, sealed.
    Cookie,
    /// In Redis, where all replicas find them.
    Redis,
}

/// `[authority]`: the embedded development Authorization Server.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Where it listens; loopback unless `allow_remote`.
    pub listen: SocketAddr,
    /// `[authority.tls]`
    pub tls: Option<AuthorityTls>,
    /// Its issuer identifier, also the base of its endpoints.
    pub issuer: String,
    /// `aud` of its access tokens when a client asks for no resource.
    pub audience: String,
    /// Lifetime of its access tokens (`token_lifetime`, default 5 min).
    pub token_lifetime: Duration,
    /// How long a code can be redeemed (`code_lifetime`, default 60 s).
    pub code_lifetime: Duration,
    /// The end of an unused refresh token (`refresh_token_idle`, default 1 day).
    pub refresh_token_idle: Duration,
    /// The end of a family of refresh tokens (`refresh_token_lifetime`, default 30 days).
    pub refresh_token_lifetime: Duration,
    /// How long a rotated refresh token may be repeated (`refresh_token_grace`, default 10 s).
    pub refresh_token_grace: Duration,
    /// How long a browser stays signed in (`session_lifetime`, default 12 h).
    pub session_lifetime: Duration,
    /// Whether DPoP proofs need a nonce (`dpop_nonce`, default false).
    pub dpop_nonce: bool,
    /// Scopes in words.
    pub scopes: BTreeMap<String, String>,
    /// Its users.
    pub users: Vec<AuthorityUser>,
    /// Its clients.
    pub clients: Vec<AuthorityClient>,
    /// What it does wrong on purpose.
    pub faults: Option<AuthorityFaults>,
}

/// `[authority.faults]`
#[derive(Debug, Clone)]
pub struct AuthorityFaults {
    /// Where the control endpoint listens; on loopback.
    pub control: Option<SocketAddr>,
    /// What is on from the start.
    pub on: Vec<Order>,
}

/// `[authority.tls]`: files as absolute paths.
#[derive(Debug, Clone)]
pub struct AuthorityTls {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub private_key: PathBuf,
    /// PEM file with the authorities of client certificates.
    pub client_ca: Option<PathBuf>,
}

/// `[[authority.users]]`
#[derive(Debug, Clone)]
pub struct AuthorityUser {
    /// Signs in with it.
    pub name: String,
    /// `sub`; default: the name.
    pub sub: String,
    /// The password.
    pub password: Secret,
    /// Claims by name.
    pub claims: BTreeMap<String, serde_json::Value>,
}

/// `[[authority.clients]]`
#[derive(Debug, Clone)]
pub struct AuthorityClient {
    /// `client_id`.
    pub id: String,
    /// Absent: a public client.
    pub secret: Option<Secret>,
    /// Grants that it may use, by their words in the file.
    pub grants: Vec<String>,
    /// Scopes that it may ask for.
    pub scopes: Vec<String>,
    /// How it authenticates; `None`: in any way that its secret allows.
    pub auth: Option<AuthorityAuth>,
    /// Whether its access tokens are opaque rather than JWTs.
    pub opaque_tokens: bool,
    /// The JOSE name of the algorithm that its tokens are signed with (`signing_alg`, default RS256).
    pub signing_alg: &'static str,
    /// Its public keys, a JWK Set.
    pub jwks: Option<serde_json::Value>,
    /// The name in its certificate.
    pub certificate_name: Option<CertificateName>,
    /// The certificates of which it shows one.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Whether all its access tokens are bound to a certificate (`tls_client_certificate_bound_access_tokens`).
    pub certificate_bound_access_tokens: bool,
    /// Whether all its access tokens are bound to a key (`dpop_bound_access_tokens`, default false).
    pub dpop_bound_access_tokens: bool,
    /// Where browsers may be sent back to, as written.
    pub redirect_uris: Vec<String>,
    /// Where browsers may be sent after signing out, as written.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where the authority tells the client of a sign-out.
    pub backchannel_logout_uri: Option<String>,
    /// Where a frame of the browser does.
    pub frontchannel_logout_uri: Option<String>,
}

/// How a client of the embedded authority authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityAuth {
    /// `none`
    None,
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`
    Post,
    /// `private_key_jwt`
    PrivateKeyJwt,
    /// `tls_client_auth`
    TlsClientAuth,
    /// `self_signed_tls_client_auth`
    SelfSignedTls,
}
