//! What a token is bound to (`cnf`, RFC 7800): a key that its user proves to have with every request (DPoP, RFC 9449), a
//! certificate of its user's connections (RFC 8705, section 3), both, or nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request;
use serde_json::{Map, Value, json};

use super::State;
use super::dpop;
use super::endpoints::Endpoint;
use super::errors::{ErrorCode, OauthError};
use super::settings::Client;
use crate::secret::sha256;
use crate::server::presented::Presented;

/// The ties of one token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bound {
    /// Thumbprint of the key (`jkt`).
    pub(super) key: Option<String>,
    /// Thumbprint of the certificate (`x5t#S256`).
    pub(super) certificate: Option<String>,
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
        let certificate = certificate(head).filter(|_| client.certificate_bound_access_tokens);
        if certificate.is_none() && client.certificate_bound_access_tokens {
            let why = "this client's tokens are bound to its certificate, and the connection has none";
            return Err(ErrorCode::InvalidRequest.because(why));
        }
        Ok(Self { key, certificate })
    }

    /// Whether what `shown` proves is enough to use something with these ties.
    pub(super) fn is_met_by(&self, shown: &Self) -> bool {
        let met = |tie: &Option<String>, shown: &Option<String>| tie.is_none() || tie == shown;
        met(&self.key, &shown.key) && met(&self.certificate, &shown.certificate)
    }

    /// The claim `cnf`, when there are ties.
    pub(super) fn confirmation(&self) -> Option<Value> {
        let ties = [("jkt", &self.key), ("x5t#S256", &self.certificate)];
        let ties = ties.into_iter().filter_map(|(name, tie)| Some((name.to_owned(), json!(tie.as_ref()?))));
        Some(ties.collect::<Map<_, _>>()).filter(|ties| !ties.is_empty()).map(Value::Object)
    }

    /// The `token_type` of an access token with these ties.
    pub(super) const fn token_type(&self) -> &'static str {
        if self.key.is_some() { "DPoP" } else { "Bearer" }
    }
}

/// Thumbprint of the certificate that the connection of the request showed (RFC 8705, section 3.1).
pub(super) fn certificate(head: &request::Parts) -> Option<String> {
    head.extensions.get::<Presented>().map(|shown| URL_SAFE_NO_PAD.encode(sha256(shown.leaf())))
}
