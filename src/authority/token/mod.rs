//! The token endpoint (RFC 6749, section 3.2): reads the request, finds out who asks, hands over to the grant.
//!
//! Refuses whatever could be read in two ways: another method or content type, parameters in the query, repeated ones,
//! a body beyond 64 KiB.

mod authorization_code;
mod client_credentials;
mod device_code;
mod exchange;
mod password;
mod refresh;

use std::sync::Arc;

use http::{Method, Request, StatusCode, request};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::State;
use super::bound::Bound;
use super::clients::{self, Caller};
use super::errors::{self, ErrorCode, OauthError};
use super::faults;
use super::form::Form;
use super::granted::Authorization;
use super::intake;
use super::keys::{KeySet, NoKeys};
use super::reply::{self, Reply};
use super::settings::{Client, Grant};
use super::tokens::{AccessToken, IdToken, Issued, Occasion};
use crate::faults::Place;

/// Answers one request, good or bad.
pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    if request.method() != Method::POST {
        return reply::method_not_allowed("POST");
    }
    let (head, body) = request.into_parts();
    match intake::form(&head, body).await {
        Ok(form) if form.get("grant_type") == Some(Grant::RefreshToken.name()) => {
            faults::around(state, Place::Refresh, respond(state, &head, Ok(form))).await
        }
        form => respond(state, &head, form).await,
    }
}

async fn respond(state: &State, head: &request::Parts, form: Result<Form, OauthError>) -> Reply {
    let answered = match form {
        Ok(form) => exchange(state, head, &form).await,
        Err(error) => Err(error),
    };
    errors::answered(StatusCode::OK, answered)
}

async fn exchange(state: &State, head: &request::Parts, form: &Form) -> Result<Value, OauthError> {
    let keys = state.keys.current().await.map_err(|fault| ErrorCode::ServerError.because(fault.to_string()))?;
    let Caller { client, authenticated } = clients::authenticate(state, head, &state.endpoints.token, form)?;
    let bound = Bound::by(state, head, &state.endpoints.token, client)?;
    grant(state, &keys, &Asked { client, authenticated, bound, form })
}

/// A request whose sender is known.
#[derive(Debug)]
struct Asked<'a> {
    /// Who asks.
    client: &'a Client,
    /// Whether it proved that; a public client cannot.
    authenticated: bool,
    /// What the tokens will be bound to.
    bound: Bound,
    form: &'a Form,
}

/// The judgement itself: no waiting, no socket.
fn grant(state: &State, keys: &KeySet, asked: &Asked<'_>) -> Result<Value, OauthError> {
    let name =
        asked.form.get("grant_type").ok_or_else(|| ErrorCode::InvalidRequest.because("grant_type is missing"))?;
    let not_offered = || ErrorCode::UnsupportedGrantType.because(format!("the grant type {name} is not offered"));
    let kind = Grant::from_name(name).ok_or_else(not_offered)?;
    // Nothing of it happens here (RFC 6749, section 4.2).
    if kind == Grant::Implicit {
        return Err(not_offered());
    }
    if !asked.client.may(kind) {
        return Err(ErrorCode::UnauthorizedClient.because(format!("this client is not registered for {name}")));
    }
    match kind {
        Grant::AuthorizationCode => authorization_code::grant(state, keys, asked),
        Grant::RefreshToken => refresh::grant(state, keys, asked),
        Grant::ClientCredentials => client_credentials::grant(state, keys, asked),
        Grant::DeviceCode => device_code::grant(state, keys, asked),
        Grant::TokenExchange => exchange::grant(state, keys, asked),
        Grant::Password => password::grant(state, keys, asked),
        Grant::Implicit => Err(not_offered()),
    }
}

/// An answer with an access token, and with what else belongs to it.
struct Answer<'a> {
    state: &'a State,
    keys: &'a KeySet,
    asked: &'a Asked<'a>,
    authorization: &'a Arc<Authorization>,
    access: Issued,
    body: Value,
}

impl<'a> Answer<'a> {
    /// An answer with `token`.
    fn with(
        state: &'a State,
        keys: &'a KeySet,
        asked: &'a Asked<'a>,
        authorization: &'a Arc<Authorization>,
        token: AccessToken<'_>,
    ) -> Result<Self, OauthError> {
        let access = token.bound_to(&asked.bound).issue(state, keys).map_err(no_keys)?;
        let body = access.answer();
        Ok(Self { state, keys, asked, authorization, access, body })
    }

    /// Adds the first refresh token of a family, if the client may have one. A client that has `offline_access` among
    /// its scopes gets one only if it asked for that (OpenID Connect Core 1.0, section 11).
    fn with_refresh_token(mut self) -> Self {
        const OFFLINE: &str = "offline_access";
        let client = self.asked.client;
        let chooses = client.scopes.iter().any(|scope| scope == OFFLINE);
        if client.may(Grant::RefreshToken) && (!chooses || self.authorization.has(OFFLINE)) {
            let bound = if client.is_public() { self.asked.bound.clone() } else { Bound::default() };
            self.body["refresh_token"] = json!(refresh::begin(self.state, self.authorization, bound));
        }
        self
    }

    /// Adds an ID token, if one was asked for.
    fn with_id_token(mut self, occasion: Occasion) -> Result<Self, OauthError> {
        if self.authorization.has("openid") {
            let mut token = IdToken::new(self.state, self.asked.client, self.authorization);
            if occasion == Occasion::SignIn {
                token = token.with_nonce();
            }
            token.attest("at_hash", Some(&self.access.token));
            self.body["id_token"] = json!(token.sign(self.state, self.keys, occasion).map_err(no_keys)?);
        }
        Ok(self)
    }
}

fn no_keys(fault: NoKeys) -> OauthError {
    ErrorCode::ServerError.because(fault.to_string())
}
