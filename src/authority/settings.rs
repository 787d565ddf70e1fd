//! What the authority is told at start: plain values, nothing read from files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;

use super::jwk::PublicKey;
use crate::faults::Order;
use crate::secret::Secret;
use crate::server::certificate::CertificateName;
use crate::server::presented::Authorities;

pub use super::granted::RefreshLifetimes;
pub use super::keys::SigningAlgorithm;

/// Everything that one authority needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Serving TLS; the issuer then begins with https.
    pub tls: Option<Tls>,
    /// Its issuer identifier, the `iss` of its tokens and the base of its endpoints, byte by byte. A URL with http or
    /// https, without query and fragment (RFC 8414, section 2); a path is fine.
    pub issuer: String,
    /// `aud` of an access token when the client asks for no `resource`.
    pub audience: String,
    /// Lifetime of its access tokens, in whole seconds; the rest is cut off.
    pub token_lifetime: Duration,
    /// How long a code can be redeemed.
    pub code_lifetime: Duration,
    /// How long refresh tokens last.
    pub refresh: RefreshLifetimes,
    /// How long a browser stays signed in.
    pub session_lifetime: Duration,
    /// Whether a DPoP proof has to carry a nonce of ours (RFC 9449, section 8).
    pub dpop_nonce: bool,
    /// The form of access tokens for these resources, whatever the client's.
    pub resources: BTreeMap<String, TokenForm>,
    /// What scopes mean, in words for the person who is asked.
    pub scopes: BTreeMap<String, String>,
    /// Who can sign in.
    pub users: Vec<User>,
    /// Who can ask for tokens; ids are unique.
    pub clients: Vec<Client>,
    /// What it does wrong on purpose.
    pub faults: Option<FaultSettings>,
}

/// Serving TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Certificate and key. It should ask clients for certificates and take any, as
    /// [`crate::server::tls::Clients::Unverified`] does: what they prove is the authority's to decide.
    pub server: Arc<ServerConfig>,
    /// Who vouches for the certificates of `tls_client_auth`; without it nobody authenticates so.
    pub client_authorities: Option<Authorities>,
}

/// Faults on purpose, for tests of clients.
#[derive(Debug, Clone, Default)]
pub struct FaultSettings {
    /// Where the control endpoint listens; on loopback. Without it, what is on stays on.
    pub control: Option<SocketAddr>,
    /// What is on from the start.
    pub on: Vec<Order>,
}

impl Settings {
    /// The client of that id.
    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// What in them does not fit together, if anything.
    pub(super) fn contradiction(&self) -> Option<String> {
        let mut ids: Vec<_> = self.clients.iter().map(|client| client.id.as_str()).collect();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(format!("the authority has two clients with the id {}", pair[0]));
        }
        if self.tls.is_some() && !self.issuer.starts_with("https:") {
            return Some("the authority serves TLS, so its issuer has to begin with https".into());
        }
        self.clients.iter().find_map(|client| {
            client.contradiction(self).map(|why| format!("the authority's client {} {why}", client.id))
        })
    }
}

/// A resource owner.
#[derive(Debug, Clone)]
pub struct User {
    /// Signs in with it.
    pub name: String,
    /// The `sub` of tokens that speak for this user.
    pub sub: String,
    /// The password.
    pub password: Secret,
    /// Claims by name.
    pub claims: BTreeMap<String, serde_json::Value>,
}

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// Absent: a public client.
    pub secret: Option<Secret>,
    /// The grants that it may use.
    pub grants: Vec<Grant>,
    /// The scopes that it may ask for; all of them are granted when it asks for none, but those of OpenID Connect.
    pub scopes: Vec<String>,
    /// The one way in which it may authenticate; `None`: any that its secret allows.
    pub auth: Option<ClientAuth>,
    /// What its tokens are signed with.
    pub signing_alg: SigningAlgorithm,
    /// The form of its access tokens, where the resource has none of its own.
    pub access_tokens: TokenForm,
    /// Its public keys, a JWK Set, for `private_key_jwt`.
    pub jwks: Option<serde_json::Value>,
    /// The name in its certificate, for `tls_client_auth`.
    pub certificate_name: Option<CertificateName>,
    /// The certificates that it may show, for `self_signed_tls_client_auth`.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Whether all its access tokens are bound to the certificate of the connection that asks for them (RFC 8705, section
    /// 3.4).
    pub certificate_bound_access_tokens: bool,
    /// Whether all its access tokens are bound to a key (RFC 9449, section 5.2). Otherwise those are that it asks for with
    /// a proof.
    pub dpop_bound_access_tokens: bool,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<String>,
    /// Where browsers may be sent after signing out.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where the client is told of a sign-out by the authority itself; an absolute URL.
    pub backchannel_logout_uri: Option<String>,
    /// Where the client is told of a sign-out in a frame of the browser; an absolute URL.
    pub frontchannel_logout_uri: Option<String>,
}

impl Client {
    /// Whether it may use a grant.
    pub(super) fn may(&self, grant: Grant) -> bool {
        self.grants.contains(&grant)
    }

    /// Whether it has nothing to prove itself with.
    pub(super) fn is_public(&self) -> bool {
        self.secret.is_none() && !self.auth.is_some_and(ClientAuth::is_by_key)
    }

    /// Whether its access tokens are always bound, so that none can come through a browser, which proves nothing.
    pub(super) fn has_bound_tokens(&self) -> bool {
        self.dpop_bound_access_tokens || self.certificate_bound_access_tokens
    }

    fn contradiction(&self, settings: &Settings) -> Option<&'static str> {
        let listed = self.jwks.as_ref().and_then(|set| set["keys"].as_array());
        let has_key = listed.is_some_and(|keys| keys.iter().any(|jwk| PublicKey::read(jwk).is_ok()));
        if self.auth.is_some_and(|auth| !auth.is_offered(settings)) {
            return Some(
                "authenticates by its certificate, and the authority does not serve TLS or trusts no one to sign it",
            );
        }
        if self.certificate_bound_access_tokens && settings.tls.is_none() {
            return Some("has tokens that are bound to a certificate, and the authority does not serve TLS");
        }
        match self.auth {
            Some(ClientAuth::PrivateKeyJwt) if !has_key => {
                Some("has no public RSA, P-256 or Ed25519 key in its JWK Set")
            }
            Some(ClientAuth::Tls) if self.certificate_name.is_none() => Some("has no name in a certificate"),
            Some(ClientAuth::SelfSignedTls) if self.certificates.is_empty() => Some("has no certificate"),
            _ => None,
        }
    }
}

/// The form of access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenForm {
    /// A signed JWT that says everything (RFC 9068).
    #[default]
    Jwt,
    /// Random characters; only introspection tells what they mean.
    Opaque,
}

/// A way to get a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A person signs in, and the client redeems the code that comes of it (RFC 6749, section 4.1).
    AuthorizationCode,
    /// A token that renews access (RFC 6749, section 6).
    RefreshToken,
    /// The client speaks for itself (RFC 6749, section 4.4).
    ClientCredentials,
    /// A device without a browser; a person answers elsewhere (RFC 8628).
    DeviceCode,
    /// The client knows the person's password (RFC 6749, section 4.3). Discouraged (RFC 9700, section 2.4).
    Password,
    /// A token for one that somebody else gave the client (RFC 8693).
    TokenExchange,
    /// Tokens come through the browser (RFC 6749, section 4.2; OpenID Connect Core 1.0, sections 3.2 and 3.3).
    /// Discouraged (RFC 9700, section 2.1.2).
    Implicit,
}

impl Grant {
    /// All that the authority offers.
    pub const ALL: &'static [Self] = &[
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
        Self::DeviceCode,
        Self::TokenExchange,
        Self::Password,
        Self::Implicit,
    ];

    /// Its `grant_type`, which is also its name in client metadata (RFC 7591, section 2).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::Password => "password",
            Self::Implicit => "implicit",
        }
    }

    /// The grant of that name; `None` when the authority does not offer it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|grant| grant.name() == name)
    }

    /// Why nobody should begin with it today.
    pub(super) const fn discouraged(self) -> Option<&'static str> {
        match self {
            Self::Implicit => Some(
                "tokens that come through the browser can leak from its history, its address line and any script, and \
                 nothing binds them to the client (RFC 9700, section 2.1.2); use authorization_code with PKCE",
            ),
            Self::Password => Some(
                "the client gets to see the password, people learn to type it anywhere, and no second factor fits in \
                 (RFC 9700, section 2.4); use authorization_code with PKCE",
            ),
            Self::AuthorizationCode
            | Self::RefreshToken
            | Self::ClientCredentials
            | Self::DeviceCode
            | Self::TokenExchange => None,
        }
    }
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Not at all: a public client.
    None,
    /// The secret in the Authorization header (RFC 6749, section 2.3.1).
    Basic,
    /// The secret in the body (ibid.).
    Post,
    /// A statement that it signs (RFC 7523, section 2.2).
    PrivateKeyJwt,
    /// A certificate of its name, which somebody vouches for (RFC 8705, section 2.1).
    Tls,
    /// A certificate that it has registered (RFC 8705, section 2.2).
    SelfSignedTls,
}

impl ClientAuth {
    /// All that the authority offers.
    pub const ALL: &'static [Self] =
        &[Self::Basic, Self::Post, Self::PrivateKeyJwt, Self::Tls, Self::SelfSignedTls, Self::None];

    /// Whether it proves that the client has a private key.
    const fn is_by_key(self) -> bool {
        matches!(self, Self::PrivateKeyJwt | Self::Tls | Self::SelfSignedTls)
    }

    /// Whether an authority of these settings can check it.
    pub(super) fn is_offered(self, settings: &Settings) -> bool {
        match self {
            Self::None | Self::Basic | Self::Post | Self::PrivateKeyJwt => true,
            Self::Tls => settings.tls.as_ref().is_some_and(|tls| tls.client_authorities.is_some()),
            Self::SelfSignedTls => settings.tls.is_some(),
        }
    }

    /// Its name in client and server metadata (RFC 7591, section 2).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::Tls => "tls_client_auth",
            Self::SelfSignedTls => "self_signed_tls_client_auth",
        }
    }
}

#[cfg(test)]
pub(super) mod tests_support {
    use super::*;

    /// A public client that may do nothing yet.
    pub(in super::super) fn client(id: &str) -> Client {
        Client {
            id: id.to_owned(),
            secret: None,
            grants: Vec::new(),
            scopes: Vec::new(),
            auth: None,
            signing_alg: SigningAlgorithm::default(),
            access_tokens: TokenForm::default(),
            jwks: None,
            certificate_name: None,
            certificates: Vec::new(),
            certificate_bound_access_tokens: false,
            dpop_bound_access_tokens: false,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            frontchannel_logout_uri: None,
        }
    }
}
