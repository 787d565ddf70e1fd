//! The embedded development Authorization Server: its users, its clients, and what it does wrong on purpose.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::faults::Order;
use crate::secret::Secret;
use crate::server::certificate::CertificateName;

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
    /// Resources whose tokens have a form of their own, and whether that is opaque.
    pub opaque_resources: BTreeMap<String, bool>,
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
