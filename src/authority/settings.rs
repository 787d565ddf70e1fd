//! What the authority is told at start: plain values, nothing read from files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::faults::Order;
use crate::secret::Secret;

pub use super::granted::RefreshLifetimes;
pub use super::keys::SigningAlgorithm;

/// Everything that one authority needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
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
    /// What scopes mean, in words for the person who is asked.
    pub scopes: BTreeMap<String, String>,
    /// Who can sign in.
    pub users: Vec<User>,
    /// Who can ask for tokens; ids are unique.
    pub clients: Vec<Client>,
    /// What it does wrong on purpose.
    pub faults: Option<FaultSettings>,
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
    /// The form of its access tokens.
    pub access_tokens: TokenForm,
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
        self.secret.is_none()
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
            Self::AuthorizationCode | Self::RefreshToken | Self::ClientCredentials | Self::DeviceCode => None,
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
}

impl ClientAuth {
    /// All that the authority offers.
    pub const ALL: &'static [Self] = &[Self::Basic, Self::Post, Self::None];

    /// Its name in client and server metadata (RFC 7591, section 2).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
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
            dpop_bound_access_tokens: false,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            frontchannel_logout_uri: None,
        }
    }
}
