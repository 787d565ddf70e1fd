//! What a token is bound to (`cnf`, RFC 7800): a key that its user proves to have with every request (DPoP, RFC 9449), a
//! certificate of its user's connections (RFC 8705, section 3), both, or nothing.

use http::request;
use serde_json::{Value, json};

use super::State;
use super::dpop;
use super::endpoints::Endpoint;
use super::errors::{ErrorCode, OauthError};
use super::settings::Client;

/// The ties of one token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bound {
    /// Thumbprint of the key (`jkt`).
    pub(super) key: Option<String>,
}

impl Bound {
    /// What the tokens will be bound to that `client` asks for by this request.
    pub(super) fn by(
        state: &State,
        head: &request::Parts,
        endpoint: &Endpoint,
        client: &Client,
    ) -> Result<Self, OauthError> {
        let key = dpop::proof(state, head, endpoint, None)?;
        if key.is_none() && client.dpop_bound_access_tokens {
            let why = "this client's tokens are bound to a key, so the request needs a DPoP proof";
            return Err(ErrorCode::InvalidDpopProof.because(why));
        }
        Ok(Self { key })
    }

    /// Whether what `shown` proves is enough to use something with these ties.
    pub(super) fn is_met_by(&self, shown: &Self) -> bool {
        self.key.is_none() || self.key == shown.key
    }

    /// The claim `cnf`, when there are ties.
    pub(super) fn confirmation(&self) -> Option<Value> {
        self.key.as_ref().map(|key| json!({ "jkt": key }))
    }

    /// The `token_type` of an access token with these ties.
    pub(super) const fn token_type(&self) -> &'static str {
        if self.key.is_some() { "DPoP" } else { "Bearer" }
    }
}
