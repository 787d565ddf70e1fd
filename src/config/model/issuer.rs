//! Issuers: whose tokens are taken, and how the gateway asks one about an opaque token.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use crate::secret::Secret;

/// `[issuers.NAME]`, or one tenant of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The table's name; of a tenant, `NAME/TENANT`.
    pub name: Arc<str>,
    /// Compared with `iss` exactly, byte by byte.
    pub issuer: Arc<str>,
    /// A token must name one of these in `aud` (for Cognito: in `client_id`, without `aud`). Empty: it is there for logins,
    /// and its tokens are taken nowhere.
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

impl Issuer {
    /// The name of its table, where it is one of several tenants there.
    #[must_use]
    pub fn table_of_tenant(&self) -> Option<&str> {
        self.name.split_once('/').map(|(table, _)| table)
    }

    /// Whether routes may take its access tokens; else it is there for logins only.
    #[must_use]
    pub fn gives_tokens(&self) -> bool {
        !self.audiences.is_empty()
    }
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
    /// Amazon Cognito: most access tokens have no `aud`, and `client_id` stands in for it.
    Cognito,
}

impl Profile {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rfc9068 => "rfc9068",
            Self::Okta => "okta",
            Self::Auth0 => "auth0",
            Self::Entra => "entra",
            Self::Keycloak => "keycloak",
            Self::Cognito => "cognito",
        }
    }

    /// The `typ` values that its access tokens have. `at+jwt` is fine everywhere: nothing but an access token has it.
    ///
    /// | profile | `typ` of its access tokens |
    /// | --- | --- |
    /// | rfc9068 | `at+jwt`, and nothing else |
    /// | okta | none: the header of a custom authorization server's token has `kid` and `alg` only |
    /// | auth0 | `JWT` in its own token profile, `at+jwt` in the RFC 9068 profile |
    /// | entra | `JWT` |
    /// | keycloak | `JWT`; `at+jwt` by a switch of the client |
    /// | cognito | none: the header has `kid` and `alg` only |
    #[must_use]
    pub fn token_types(self) -> Vec<TokenType> {
        let at_jwt = TokenType::Named("at+jwt".into());
        match self {
            Self::Rfc9068 => vec![at_jwt],
            Self::Okta | Self::Cognito => vec![at_jwt, TokenType::Absent],
            Self::Auth0 | Self::Entra | Self::Keycloak => vec![at_jwt, TokenType::Named("jwt".into())],
        }
    }
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
