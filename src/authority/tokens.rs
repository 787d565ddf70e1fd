//! The tokens themselves: access tokens as JWTs (RFC 9068) or as random characters, and ID tokens (OpenID Connect Core
//! 1.0, section 2).

use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::State;
use super::bound::Bound;
use super::claims;
use super::faults;
use super::granted::{AccessRecord, Authorization};
use super::keys::{KeySet, NoKeys, SigningAlgorithm};
use super::settings::{Client, TokenForm};
use super::store::key;
use crate::clock::UnixTime;
use crate::faults::Place;
use crate::secret::random_id;

/// How a sign-in with a password is told (RFC 8176).
const AMR: [&str; 1] = ["pwd"];

/// An access token that is about to be made.
#[derive(Debug)]
pub(super) struct AccessToken<'a> {
    client: &'a Client,
    authorization: &'a Arc<Authorization>,
    scopes: Vec<String>,
    resources: Vec<String>,
    bound: Bound,
    always_jwt: bool,
    lifetime: u64,
}

/// An access token for the client to have.
#[derive(Debug)]
pub(super) struct Issued {
    /// The token.
    pub(super) token: String,
    /// Seconds that it lasts.
    pub(super) lifetime: u64,
    /// What it may do.
    pub(super) scope: String,
    /// How it is used.
    pub(super) token_type: &'static str,
}

impl Issued {
    /// The answer of the token endpoint (RFC 6749, section 5.1).
    pub(super) fn answer(&self) -> Value {
        let mut answer =
            json!({ "access_token": self.token, "token_type": self.token_type, "expires_in": self.lifetime });
        if !self.scope.is_empty() {
            answer["scope"] = json!(self.scope);
        }
        answer
    }
}

impl<'a> AccessToken<'a> {
    /// For all that was granted.
    pub(super) fn of(state: &State, client: &'a Client, authorization: &'a Arc<Authorization>) -> Self {
        Self {
            client,
            authorization,
            scopes: authorization.scopes.clone(),
            resources: authorization.resources.clone(),
            bound: Bound::default(),
            always_jwt: false,
            lifetime: state.settings.token_lifetime.as_secs(),
        }
    }

    /// For a part of it only.
    pub(super) fn narrowed(self, scopes: Vec<String>, resources: Vec<String>) -> Self {
        Self { scopes, resources, ..self }
    }

    /// As a JWT, whatever client and resource usually get.
    pub(super) fn into_jwt(self) -> Self {
        Self { always_jwt: true, ..self }
    }

    /// What its resources want, or else its client. Among several resources that do not agree, one that wants nobody to
    /// read tokens decides for all.
    fn form(&self, state: &State) -> TokenForm {
        let mut wanted = self.resources.iter().filter_map(|resource| state.settings.resources.get(resource).copied());
        match wanted.next() {
            _ if self.always_jwt => TokenForm::Jwt,
            None => self.client.access_tokens,
            Some(first) => wanted.find(|form| *form == TokenForm::Opaque).unwrap_or(first),
        }
    }

    /// That ends by `end`.
    pub(super) fn until(self, end: UnixTime, now: UnixTime) -> Self {
        Self { lifetime: self.lifetime.min(end.since(now).as_secs()), ..self }
    }

    /// Only for whoever proves this.
    pub(super) fn bound_to(self, bound: &Bound) -> Self {
        Self { bound: bound.clone(), ..self }
    }

    /// Makes it and remembers it.
    pub(super) fn issue(self, state: &State, keys: &KeySet) -> Result<Issued, NoKeys> {
        let (now, scope) = (state.clock.now(), self.scopes.join(" "));
        let record = AccessRecord {
            authorization: Arc::clone(self.authorization),
            audience: match self.resources.as_slice() {
                [] => json!(state.settings.audience),
                [one] => json!(one),
                several => json!(several),
            },
            bound: self.bound.clone(),
            id: random_id(),
            issued: now.secs(),
            expires: now.secs().saturating_add_unsigned(self.lifetime),
            scope: scope.clone(),
        };
        let token = match self.form(state) {
            TokenForm::Jwt => {
                let claims = self.claims(state, &record);
                faults::jws(state, keys, &[Place::AccessToken], (self.client.signing_alg, "at+jwt"), claims)?
            }
            TokenForm::Opaque => format!("{}{}", random_id(), random_id()),
        };
        let (end, token_type) = (UnixTime::from_secs(record.expires), record.bound.token_type());
        state.store.lock().access.put(key(&token), record, end, now);
        Ok(Issued { token, lifetime: self.lifetime, scope, token_type })
    }

    fn claims(&self, state: &State, record: &AccessRecord) -> Value {
        let authorization = self.authorization;
        let user = authorization.user.map(|user| &state.settings.users[user]);
        let mut claims = Value::Object(user.map(claims::for_resource_servers).unwrap_or_default());
        claims["iss"] = json!(state.settings.issuer);
        claims["sub"] = json!(authorization.subject);
        claims["aud"] = record.audience.clone();
        claims["client_id"] = json!(authorization.client);
        claims["iat"] = json!(record.issued);
        claims["exp"] = json!(record.expires);
        claims["jti"] = json!(record.id);
        if let Some(sign_in) = &authorization.sign_in {
            claims["auth_time"] = json!(sign_in.time);
            claims["acr"] = json!(sign_in.acr);
            claims["amr"] = json!(AMR);
        }
        if !record.scope.is_empty() {
            claims["scope"] = json!(record.scope);
        }
        if let Some(actor) = &authorization.actor {
            claims["act"] = actor.clone();
        }
        if let Some(confirmation) = record.bound.confirmation() {
            claims["cnf"] = confirmation;
        }
        claims
    }
}

/// What an ID token comes of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A person's answer to an authorization request.
    SignIn,
    /// A refresh token. The ID token has no nonce then (OpenID Connect Core 1.0, section 12.2).
    Refresh,
}

/// An ID token that is about to be signed.
#[derive(Debug)]
pub(super) struct IdToken<'a> {
    authorization: &'a Authorization,
    algorithm: SigningAlgorithm,
    claims: Value,
}

impl<'a> IdToken<'a> {
    /// About the person of `authorization`, for `client`.
    pub(super) fn new(state: &State, client: &Client, authorization: &'a Authorization) -> Self {
        let (settings, now) = (&state.settings, state.clock.now().secs());
        let user = authorization.user.map(|user| &settings.users[user]);
        let single = user.map(|user| claims::about(user, &[], &authorization.claims.id_token));
        let mut claims = Value::Object(single.unwrap_or_default());
        claims["iss"] = json!(settings.issuer);
        claims["sub"] = json!(authorization.subject);
        claims["aud"] = json!(client.id);
        claims["iat"] = json!(now);
        claims["exp"] = json!(now.saturating_add_unsigned(settings.token_lifetime.as_secs()));
        if let Some(sign_in) = &authorization.sign_in {
            claims["auth_time"] = json!(sign_in.time);
            claims["acr"] = json!(sign_in.acr);
            claims["amr"] = json!(AMR);
            if let Some(sid) = &sign_in.sid {
                claims["sid"] = json!(sid);
            }
        }
        Self { authorization, algorithm: client.signing_alg, claims }
    }

    /// With the nonce of the authorization request.
    pub(super) fn with_nonce(mut self) -> Self {
        if let Some(nonce) = &self.authorization.nonce {
            self.claims["nonce"] = json!(nonce);
        }
        self
    }

    /// Says which token or code came beside it: `at_hash` or `c_hash`, the left half of the digest that belongs to the
    /// signature (OpenID Connect Core 1.0, section 3.3.2.11).
    pub(super) fn attest(&mut self, claim: &str, beside: Option<&str>) {
        if let Some(beside) = beside {
            let algorithm = match self.algorithm {
                SigningAlgorithm::EdDsa => &SHA512,
                SigningAlgorithm::Rs256 | SigningAlgorithm::Es256 | SigningAlgorithm::Ps256 => &SHA256,
            };
            let digest = digest::digest(algorithm, beside.as_bytes());
            let half = &digest.as_ref()[..digest.as_ref().len() / 2];
            self.claims[claim] = json!(URL_SAFE_NO_PAD.encode(half));
        }
    }

    /// Adds what the scopes give, for a client that cannot ask the userinfo endpoint.
    pub(super) fn add_claims_of_scopes(&mut self, state: &State) {
        if let Some(user) = self.authorization.user {
            let about = claims::about(&state.settings.users[user], &self.authorization.scopes, &[]);
            for (name, value) in about {
                self.claims[name] = value;
            }
        }
    }

    /// The token, for an occasion.
    pub(super) fn sign(self, state: &State, keys: &KeySet, occasion: Occasion) -> Result<String, NoKeys> {
        let places: &[Place] = match occasion {
            Occasion::SignIn => &[Place::IdToken],
            Occasion::Refresh => &[Place::IdToken, Place::RefreshedIdToken],
        };
        faults::jws(state, keys, places, (self.algorithm, "JWT"), self.claims)
    }
}
