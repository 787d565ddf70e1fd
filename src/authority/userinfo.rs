//! The userinfo endpoint (OpenID Connect Core 1.0, section 5.3): claims about the person whom an access token speaks
//! for, by scope and by the `claims` parameter.
//!
//! The token comes in the header (RFC 6750; RFC 9449, section 7.1) or in a form, not in the URL, and in one of them only.
//! A token that is bound to a key counts only with a proof by that key, and never as a bearer token; one that is bound to
//! a certificate counts only on a connection with that certificate.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, request};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::State;
use super::bound::{self, Bound};
use super::claims;
use super::dpop;
use super::errors::{ErrorCode, OauthError};
use super::intake;
use super::keys::SigningAlgorithm;
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
    let (scheme, answered) = match in_form.and_then(|in_form| credential(&head.headers, in_form)) {
        Ok(Some((scheme, token))) => (scheme, describe(state, &head, scheme, &token).map(Some)),
        Ok(None) => (Scheme::Bearer, Ok(None)),
        Err(error) => (Scheme::Bearer, Err(error)),
    };
    match answered {
        Ok(Some(answer)) => {
            let mut reply = reply::json(StatusCode::OK, &answer);
            reply::forbid_storing(&mut reply);
            reply
        }
        // Who shows nothing is told no error (RFC 6750, section 3.1).
        Ok(None) => challenged(reply::json(StatusCode::UNAUTHORIZED, &json!({})), scheme, None),
        Err(error) => challenged(error.reply(), scheme, Some(&error)),
    }
}

/// How a token is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
}

/// The one access token of a request.
fn credential(headers: &HeaderMap, in_form: Option<String>) -> Result<Option<(Scheme, String)>, OauthError> {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let in_header = match (authorizations.next(), authorizations.next()) {
        (None, _) => None,
        (Some(_), Some(_)) => return Err(ErrorCode::InvalidRequest.because("there are two Authorization headers")),
        (Some(only), None) => match only.to_str().ok().and_then(|text| text.split_once(' ')) {
            Some((name, token)) if name.eq_ignore_ascii_case("bearer") => {
                Some((Scheme::Bearer, token.trim().to_owned()))
            }
            Some((name, token)) if name.eq_ignore_ascii_case("dpop") => Some((Scheme::Dpop, token.trim().to_owned())),
            _ => None,
        },
    };
    match (in_header, in_form) {
        (Some(_), Some(_)) => Err(ErrorCode::InvalidRequest.because("the access token came in two ways at once")),
        (header, form) => Ok(header.or(form.map(|token| (Scheme::Bearer, token)))),
    }
}

fn describe(state: &State, head: &request::Parts, scheme: Scheme, token: &str) -> Result<Value, OauthError> {
    let shown = Bound {
        key: match scheme {
            Scheme::Bearer => None,
            Scheme::Dpop => Some(proven(state, head, token)?),
        },
        certificate: bound::certificate(head),
    };
    let now = state.clock.now();
    let shelves = state.store.lock();
    let access = shelves.access.get(&key(token), now).filter(|access| !access.authorization.is_revoked());
    let access =
        access.ok_or_else(|| ErrorCode::InvalidToken.because("the access token is unknown, over or revoked"))?;
    if !access.bound.is_met_by(&shown) || (scheme == Scheme::Dpop && access.bound.key.is_none()) {
        let why = "the access token is not bound to what the request proves, or bound, and nothing is proven";
        return Err(ErrorCode::InvalidToken.because(why));
    }
    let scopes: Vec<String> = access.scope.split(' ').map(str::to_owned).collect();
    let user = access.authorization.user.filter(|_| scopes.iter().any(|scope| scope == "openid"));
    let user = user.ok_or_else(|| ErrorCode::InsufficientScope.because("the access token lacks the scope openid"))?;
    let user = &state.settings.users[user];
    let mut answer = Value::Object(claims::about(user, &scopes, &access.authorization.claims.userinfo));
    answer["sub"] = json!(user.sub);
    Ok(answer)
}

/// The key that the request proves for this token. What is wrong with a proof is a 401 here (RFC 9449, section 7.1).
fn proven(state: &State, head: &request::Parts, token: &str) -> Result<String, OauthError> {
    let missing = || ErrorCode::InvalidDpopProof.because("there is no DPoP proof");
    let proof = dpop::proof(state, head, &state.endpoints.userinfo, Some(token));
    proof.and_then(|key| key.ok_or_else(missing)).map_err(|error| error.with_status(StatusCode::UNAUTHORIZED))
}

/// With the challenges of both schemes, the one that was used first (RFC 6750, section 3; RFC 9449, section 7.1).
fn challenged(mut reply: Reply, scheme: Scheme, error: Option<&OauthError>) -> Reply {
    let mut said = String::new();
    if let Some(error) = error {
        said = format!(", error=\"{}\", error_description=\"{}\"", error.code().name(), error.description());
        if error.code() == ErrorCode::InsufficientScope {
            said += ", scope=\"openid\"";
        }
    }
    let algorithms = SigningAlgorithm::names_for_clients().join(" ");
    let (bearer, dpop) = ("Bearer realm=\"tollgate authority\"".to_owned(), format!("DPoP algs=\"{algorithms}\""));
    let (used, other) = match scheme {
        Scheme::Bearer => (bearer + &said, dpop),
        Scheme::Dpop => (dpop + &said, bearer),
    };
    reply.headers_mut().remove(WWW_AUTHENTICATE);
    for challenge in [used, other] {
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            reply.headers_mut().append(WWW_AUTHENTICATE, challenge);
        }
    }
    reply::forbid_storing(&mut reply);
    reply
}
