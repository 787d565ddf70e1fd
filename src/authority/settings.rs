//! What the authority is told at start: plain values, nothing read from files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::secret::Secret;

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
    /// Who can sign in.
    pub users: Vec<User>,
    /// Who can ask for tokens; ids are unique.
    pub clients: Vec<Client>,
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
    /// The scopes that it may ask for; all of them are granted when it asks for none.
    pub scopes: Vec<String>,
    /// The one way in which it may authenticate; `None`: any that its secret allows.
    pub auth: Option<ClientAuth>,
    /// What its access tokens are signed with.
    pub signing_alg: SigningAlgorithm,
}

/// A way to get a token at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// The client speaks for itself (RFC 6749, section 4.4).
    ClientCredentials,
}

impl Grant {
    /// All that the authority offers.
    pub const ALL: &'static [Self] = &[Self::ClientCredentials];

    /// Its `grant_type`, which is also its name in client metadata (RFC 7591, section 2).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
        }
    }

    /// The grant of that name; `None` when the authority does not offer it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|grant| grant.name() == name)
    }
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// The secret in the Authorization header (RFC 6749, section 2.3.1).
    Basic,
    /// The secret in the body (ibid.).
    Post,
}

impl ClientAuth {
    /// All that the authority offers.
    pub const ALL: &'static [Self] = &[Self::Basic, Self::Post];

    /// Its name in client and server metadata (RFC 7591, section 2).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }
}
