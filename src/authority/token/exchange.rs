//! Token exchange (RFC 8693): a confidential client hands in a token that speaks for somebody, and gets one that speaks
//! for the same person elsewhere.
//!
//! The new token never says more than the old one: its scopes are among those of the subject token and of the client, it
//! ends no later, and it ends with the authorization that the subject token came of. With an actor token it names who acts
//! (`act`), and who acted before. Whoever hands a token in need not prove what it is bound to: that was for whoever gave
//! it away to check.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::State;
use super::super::errors::{ErrorCode, OauthError};
use super::super::form::Form;
use super::super::granted::Authorization;
use super::super::keys::KeySet;
use super::super::scope;
use super::super::store::key;
use super::super::tokens::AccessToken;
use super::{Answer, Asked};
use crate::clock::UnixTime;

/// Types of tokens (RFC 8693, section 3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// Actors after one another, the one who acts included.
const MAX_ACTORS: usize = 8;

/// The token for the one that the client hands in.
pub(super) fn grant(state: &State, keys: &KeySet, asked: &Asked<'_>) -> Result<Value, OauthError> {
    let Asked { client, form, .. } = *asked;
    if !asked.authenticated {
        return Err(ErrorCode::UnauthorizedClient.because("a public client cannot exchange tokens"));
    }
    let issued_type = requested(form)?;
    let subject = handed(state, keys, asked, "subject_token", "subject_token_type")?;
    let subject = subject.ok_or_else(|| ErrorCode::InvalidRequest.because("subject_token is missing"))?;
    let actor = handed(state, keys, asked, "actor_token", "actor_token_type")?;
    let (scopes, targets) = (scopes(asked, &subject)?, scope::targets(form)?);
    let authorization = Arc::new(subject.authorization(&client.id, scopes, targets, actor.as_ref())?);
    let token = AccessToken::of(state, client, &authorization).until(subject.end, state.clock.now());
    let token = if issued_type == JWT { token.into_jwt() } else { token };
    let mut answer = Answer::with(state, keys, asked, &authorization, token)?;
    answer.body["issued_token_type"] = json!(issued_type);
    Ok(answer.body)
}

/// What the client wants; an access token unless it says otherwise.
fn requested(form: &Form) -> Result<&str, OauthError> {
    match form.get("requested_token_type") {
        None => Ok(ACCESS_TOKEN),
        Some(kind @ (ACCESS_TOKEN | JWT)) => Ok(kind),
        Some(_) => Err(ErrorCode::InvalidRequest.because("requested_token_type is neither access_token nor jwt")),
    }
}

/// A token that was handed in, and holds.
struct Handed {
    subject: String,
    /// Position of the person in the settings; a client that speaks for itself is none.
    user: Option<usize>,
    /// What it allows; an ID token allows what the client may ask for.
    scopes: Option<Vec<String>>,
    /// When it ends.
    end: UnixTime,
    /// What it came of; an ID token is on its own.
    origin: Option<Arc<Authorization>>,
}

/// Reads a token and its type, which come together or not at all. Whatever is wrong with either is `invalid_request` (RFC
/// 8693, section 2.2.2).
fn handed(
    state: &State,
    keys: &KeySet,
    asked: &Asked<'_>,
    token: &'static str,
    kind: &'static str,
) -> Result<Option<Handed>, OauthError> {
    let bad = |why: &str| ErrorCode::InvalidRequest.because(format!("{token} {why}"));
    let (text, kind) = match (asked.form.get(token), asked.form.get(kind)) {
        (None, None) => return Ok(None),
        (Some(text), Some(kind)) => (text, kind),
        (_, _) => return Err(bad(&format!("and {kind} come together"))),
    };
    let found = match kind {
        ACCESS_TOKEN => access_token(state, text),
        JWT => access_token(state, text).filter(|_| text.contains('.')),
        ID_TOKEN => id_token(state, keys, &asked.client.id, text),
        _ => return Err(bad("has a type that is none of access_token, jwt and id_token")),
    };
    found.map(Some).ok_or_else(|| bad("is unknown, over, revoked, or not for this client"))
}

/// An access token of this authority, of either form.
fn access_token(state: &State, token: &str) -> Option<Handed> {
    let now = state.clock.now();
    let shelves = state.store.lock();
    let access = shelves.access.get(&key(token), now).filter(|access| !access.authorization.is_revoked())?;
    let authorization = &access.authorization;
    Some(Handed {
        subject: authorization.subject.clone(),
        user: authorization.user,
        scopes: Some(access.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect()),
        end: UnixTime::from_secs(access.expires),
        origin: Some(Arc::clone(authorization)),
    })
}

/// An ID token of this authority for the client itself.
fn id_token(state: &State, keys: &KeySet, client: &str, token: &str) -> Option<Handed> {
    let claims = keys.verified("JWT", token)?;
    let end = UnixTime::from_secs(claims["exp"].as_i64()?);
    let subject = claims["sub"].as_str()?;
    let user = state.settings.users.iter().position(|user| user.sub == subject)?;
    let holds = claims["aud"] == client && end > state.clock.now();
    holds.then(|| Handed { subject: subject.to_owned(), user: Some(user), scopes: None, end, origin: None })
}

/// What the new token allows: what the client asks for, or all that both it and the subject token may.
fn scopes(asked: &Asked<'_>, subject: &Handed) -> Result<Vec<String>, OauthError> {
    let mut scopes = scope::scopes(asked.client, asked.form)?;
    let Some(granted) = &subject.scopes else { return Ok(scopes) };
    match scopes.iter().find(|scope| !granted.contains(scope)) {
        Some(scope) if asked.form.get("scope").is_some() => {
            Err(ErrorCode::InvalidScope.because(format!("the subject token does not have the scope {scope}")))
        }
        _ => {
            scopes.retain(|scope| granted.contains(scope));
            Ok(scopes)
        }
    }
}

impl Handed {
    /// What `client` may do with a token that comes of this one.
    fn authorization(
        &self,
        client: &str,
        scopes: Vec<String>,
        targets: Vec<String>,
        actor: Option<&Self>,
    ) -> Result<Authorization, OauthError> {
        let before = self.origin.as_ref().and_then(|origin| origin.actor.as_ref());
        let actor = match actor {
            Some(actor) => Some(acting(&actor.subject, before)?),
            None => before.cloned(),
        };
        let mut authorization = Authorization::of_client(client, scopes, targets);
        (authorization.user, authorization.subject) = (self.user, self.subject.clone());
        authorization.sign_in = self.origin.as_ref().and_then(|origin| origin.sign_in.clone());
        authorization.actor = actor;
        // The first one, so that no chain gets long.
        authorization.origin = self.origin.as_ref().map(|origin| Arc::clone(origin.origin.as_ref().unwrap_or(origin)));
        Ok(authorization)
    }
}

/// The claim `act`: who acts, and inside it who did before (RFC 8693, section 4.1).
fn acting(subject: &str, before: Option<&Value>) -> Result<Value, OauthError> {
    let earlier = std::iter::successors(before, |act| act.get("act")).count();
    if earlier >= MAX_ACTORS {
        return Err(ErrorCode::InvalidRequest.because("too many have acted one after the other"));
    }
    let mut act = json!({ "sub": subject });
    if let Some(before) = before {
        act["act"] = before.clone();
    }
    Ok(act)
}
