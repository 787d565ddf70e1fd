//! The userinfo endpoint (OpenID Connect Core 1.0, section 5.3): claims about the person whom an access token speaks
//! for, by scope and by the `claims` parameter. The token comes as RFC 6750 says, in the header or in a form, not in the
//! URL, and in one of them only.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::State;
use super::claims;
use super::errors::{ErrorCode, OauthError};
use super::intake;
use super::reply::{self, Reply};
use super::store::key;

/// Answers one request.
pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let in_form = match head.method {
        Method::GET | Method::HEAD => Ok(None),
        Method::POST if intake::is_form(&head) => {
            intake::form(&head, body).await.map(|form| form.get("access_token").map(str::to_owned))
        }
        Method::POST => Ok(None),
        _ => return reply::method_not_allowed("GET, HEAD, POST"),
    };
    let answered = in_form.and_then(|in_form| credential(&head.headers, in_form));
    match answered.and_then(|token| token.map(|token| describe(state, &token)).transpose()) {
        Ok(Some(answer)) => {
            let mut reply = reply::json(StatusCode::OK, &answer);
            reply::forbid_storing(&mut reply);
            reply
        }
        // Who shows nothing is told no error (RFC 6750, section 3.1).
        Ok(None) => challenged(reply::json(StatusCode::UNAUTHORIZED, &json!({})), None),
        Err(error) => challenged(error.reply(), Some(&error)),
    }
}

/// The one access token of a request.
fn credential(headers: &HeaderMap, in_form: Option<String>) -> Result<Option<String>, OauthError> {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let in_header = match (authorizations.next(), authorizations.next()) {
        (None, _) => None,
        (Some(_), Some(_)) => return Err(ErrorCode::InvalidRequest.because("there are two Authorization headers")),
        (Some(only), None) => match only.to_str().ok().and_then(|text| text.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim().to_owned()),
            _ => None,
        },
    };
    match (in_header, in_form) {
        (Some(_), Some(_)) => Err(ErrorCode::InvalidRequest.because("the access token came in two ways at once")),
        (header, form) => Ok(header.or(form)),
    }
}

fn describe(state: &State, token: &str) -> Result<Value, OauthError> {
    let now = state.clock.now();
    let shelves = state.store.lock();
    let access = shelves.access.get(&key(token), now).filter(|access| !access.authorization.is_revoked());
    let access =
        access.ok_or_else(|| ErrorCode::InvalidToken.because("the access token is unknown, over or revoked"))?;
    let scopes: Vec<String> = access.scope.split(' ').map(str::to_owned).collect();
    let user = access.authorization.user.filter(|_| scopes.iter().any(|scope| scope == "openid"));
    let user = user.ok_or_else(|| ErrorCode::InsufficientScope.because("the access token lacks the scope openid"))?;
    let user = &state.settings.users[user];
    let mut answer = Value::Object(claims::about(user, &scopes, &access.authorization.claims.userinfo));
    answer["sub"] = json!(user.sub);
    Ok(answer)
}

/// With the challenge of RFC 6750, section 3.
fn challenged(mut reply: Reply, error: Option<&OauthError>) -> Reply {
    let mut challenge = "Bearer realm=\"tollgate authority\"".to_owned();
    if let Some(error) = error {
        challenge += &format!(", error=\"{}\", error_description=\"{}\"", error.code().name(), error.description());
        if error.code() == ErrorCode::InsufficientScope {
            challenge += ", scope=\"openid\"";
        }
    }
    if let Ok(challenge) = HeaderValue::try_from(challenge) {
        reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    reply::forbid_storing(&mut reply);
    reply
}
