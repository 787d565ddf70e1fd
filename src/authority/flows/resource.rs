//! The resource server of the walks: a small API that wants an access token of this authority (RFC 6750).
//!
//! It verifies a JWT by the published keys, and asks about any other token at the introspection endpoint, in the name of
//! a client that has a secret. It refuses tokens that are over, forged, or meant for another audience.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::super::State;
use super::super::reply::{self, Reply};
use super::super::settings::Client;
use super::call::{Call, Recorder};
use super::catalog::Proof;
use super::walk::{Role, Step};

/// Answers one request.
pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    let recorder = request.extensions().get::<Recorder>().cloned().unwrap_or_default();
    let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    let Some(token) = bearer.map(str::to_owned) else { return challenge("") };
    drop(request);
    let is_jwt = token.split('.').count() == 3;
    let claims =
        if is_jwt { verify(state, &token, &recorder).await } else { introspect(state, &token, &recorder).await };
    match claims {
        Some(claims) => {
            let answer = json!({
                "message": "The resource server accepts the token.",
                "sub": claims["sub"],
                "client_id": claims["client_id"],
                "scope": claims["scope"],
            });
            let mut reply = reply::json(StatusCode::OK, &answer);
            reply::forbid_storing(&mut reply);
            reply
        }
        None => challenge(", error=\"invalid_token\""),
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

fn challenge(error: &'static str) -> Reply {
    let mut reply = reply::text(StatusCode::UNAUTHORIZED, "An access token of this authority is needed.");
    if let Ok(value) = HeaderValue::try_from(format!("Bearer realm=\"flows\"{error}")) {
        reply.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    reply::forbid_storing(&mut reply);
    reply
}

/// By its signature, its end and its audience (RFC 9068, section 4). The keys are asked for at each token, so that the
/// walk shows it; a real API keeps them.
async fn verify(state: &State, token: &str, recorder: &Recorder) -> Option<Value> {
    let mut step = Step::new(
        Role::Api,
        Role::Server,
        "Your public keys, please",
        "The token is a JWT, so the API can judge it alone: the signature with one of these public keys, then `iss`, `aud`, \
         `exp` and `scope`. It keeps the keys for a while; usually this request is not made at all.",
    );
    let published = Call::get(state, &state.endpoints.jwks, None).record(state, &Recorder::default(), &mut step).await;
    recorder.add(step);
    if !published.json()["keys"].is_array() {
        return None;
    }
    let claims = state.keys.current().await.ok()?.verified("at+jwt", token)?;
    let lives = claims["exp"].as_i64().is_some_and(|end| state.clock.now().secs() < end);
    let issued_here = claims["iss"] == state.settings.issuer.as_str();
    (lives && issued_here && is_meant_for_here(state, &claims["aud"])).then_some(claims)
}

fn is_meant_for_here(state: &State, audience: &Value) -> bool {
    let mine = |value: &Value| value == state.settings.audience.as_str();
    mine(audience) || audience.as_array().is_some_and(|all| all.iter().any(mine))
}

/// By asking (RFC 7662).
async fn introspect(state: &State, token: &str, recorder: &Recorder) -> Option<Value> {
    let mut step = Step::new(
        Role::Api,
        Role::Server,
        "What does this token mean?",
        "The token is a random number, so only its issuer knows. The API asks, and proves who it is: nobody else may \
         find out about tokens. `active: false` would be the whole answer for a token that is over, revoked or made up.",
    );
    let Some(client) = introspector(state) else {
        step.why.push_str(
            " Here it cannot ask: no client with a secret is configured for it. `grants = []` and a `secret` make one.",
        );
        recorder.add(step);
        return None;
    };
    let call = Call::form(state, &state.endpoints.introspect, client, &[("token", token)]);
    let answer = call.record(state, &Recorder::default(), &mut step).await;
    recorder.add(step);
    Some(answer.json()).filter(|claims| claims["active"] == true && is_meant_for_here(state, &claims["aud"]))
}

/// The client in whose name it asks: one that does nothing else, if there is one.
fn introspector(state: &State) -> Option<&Client> {
    let with_secret =
        || state.settings.clients.iter().filter(|client| matches!(Proof::of(client), Some(Proof::Basic | Proof::Post)));
    with_secret().find(|client| client.grants.is_empty()).or_else(|| with_secret().next())
}
