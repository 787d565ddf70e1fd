//! Introspection (RFC 7662): what a token means, for any client that can prove who it is.
//!
//! Every "no" is the same answer, so that nobody learns why. A refresh token is shown to its own client only: a resource
//! server must never take one for an access token.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::State;
use super::clients;
use super::errors::{self, ErrorCode, OauthError};
use super::granted::Authorization;
use super::intake;
use super::reply::{self, Reply};
use super::store::key;

/// Answers one request.
pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    if request.method() != Method::POST {
        return reply::method_not_allowed("POST");
    }
    let (head, body) = request.into_parts();
    let described = async {
        let form = intake::form(&head, body).await?;
        let caller = clients::authenticate(state, &head, &state.endpoints.introspect, &form)?;
        if !caller.authenticated {
            return Err(ErrorCode::InvalidClient.because("only a client that authenticates may introspect"));
        }
        let token = form.get("token").ok_or_else(|| ErrorCode::InvalidRequest.because("token is missing"))?;
        Ok::<_, OauthError>(describe(state, &caller.client.id, token))
    };
    errors::answered(StatusCode::OK, described.await)
}

fn describe(state: &State, caller: &str, token: &str) -> Value {
    let (key, now) = (key(token), state.clock.now());
    let shelves = state.store.lock();
    if let Some(access) = shelves.access.get(&key, now).filter(|access| !access.authorization.is_revoked()) {
        let mut answer = about(state, &access.authorization, &access.scope);
        answer["token_type"] = json!(access.bound.token_type());
        answer["aud"] = access.audience.clone();
        answer["jti"] = json!(access.id);
        answer["iat"] = json!(access.issued);
        answer["exp"] = json!(access.expires);
        if let Some(confirmation) = access.bound.confirmation() {
            answer["cnf"] = confirmation;
        }
        return answer;
    }
    let refresh = shelves.refresh.get(&key, now).filter(|refresh| {
        let authorization = &refresh.authorization;
        authorization.client == caller
            && !authorization.is_revoked()
            && refresh.rotated.is_none()
            && now < refresh.idle_end
    });
    match refresh {
        Some(refresh) => {
            let mut answer = about(state, &refresh.authorization, &refresh.authorization.scopes.join(" "));
            answer["token_type"] = json!("refresh_token");
            answer["exp"] = json!(refresh.idle_end.min(refresh.absolute_end).secs());
            answer
        }
        None => json!({ "active": false }),
    }
}

fn about(state: &State, authorization: &Authorization, scope: &str) -> Value {
    let user = authorization.user.map(|user| &state.settings.users[user]);
    let mut answer = Value::Object(user.map(super::claims::for_resource_servers).unwrap_or_default());
    answer["active"] = json!(true);
    answer["iss"] = json!(state.settings.issuer);
    answer["sub"] = json!(authorization.subject);
    answer["client_id"] = json!(authorization.client);
    if !scope.is_empty() {
        answer["scope"] = json!(scope);
    }
    if let Some(actor) = &authorization.actor {
        answer["act"] = actor.clone();
    }
    if let Some(user) = user {
        answer["username"] = json!(user.name);
    }
    if let Some(sign_in) = &authorization.sign_in {
        answer["auth_time"] = json!(sign_in.time);
        answer["acr"] = json!(sign_in.acr);
    }
    answer
}
