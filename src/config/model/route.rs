//! Routes: which requests are one, who may come in, and what the upstream gets.

use std::sync::Arc;

use crate::pattern::{HostPattern, MethodSet, PathPattern};

use super::Requirements;

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
    /// Position in [`Config::upstreams`](super::Config::upstreams).
    pub upstream: usize,
    /// Who may come in.
    pub access: Access,
    /// Positions in [`Config::issuers`](super::Config::issuers) of those whose tokens are taken by the route and all of its rule sets; never
    /// empty unless `access` is public. Default: all.
    pub issuers: Vec<usize>,
    /// What must hold, all of it: the route's own keys first, then its rule sets as `rules` names them.
    pub requirements: Vec<Requirements>,
    /// Only tokens that are bound to their sender in this way; `None`: bound or not.
    pub bind: Option<Bind>,
    /// Where a token may come beside `Authorization`; `None`: nowhere.
    pub token_from: Option<TokenFrom>,
    /// What the upstream gets of the credential.
    pub credential: Credential,
    /// Cut from the front of the path before forwarding; literal whole segments, as `/v1`.
    pub strip_prefix: Option<String>,
    /// The resource identifier (RFC 9728), in place of `public_url`.
    pub resource: Option<String>,
    /// Position in [`Config::logins`](super::Config::logins): where browsers without a session are sent.
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

/// Places in which a token may come beside `Authorization`; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFrom {
    /// The name of a query parameter.
    pub query: Option<String>,
    /// What stands before the dot and the token in a WebSocket subprotocol.
    pub subprotocol: Option<String>,
    /// The name of a cookie.
    pub cookie: Option<String>,
    /// Origins whose pages may use the cookie, beside that of the request.
    pub cookie_origins: Vec<String>,
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
