//! Telling clients that a person signed out: by a logout token that is posted to them (OpenID Connect Back-Channel
//! Logout 1.0), or by a frame in the person's browser (OpenID Connect Front-Channel Logout 1.0).
//!
//! A client that cannot be reached is logged and otherwise not waited for: the person is signed out either way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::json;
use tokio::task::JoinSet;
use url::Url;

use super::super::State;
use super::super::faults;
use super::super::keys::KeySet;
use super::super::session::Session;
use super::super::settings::Client;
use crate::faults::Place;
use crate::fetch::{Fetch, HttpFetch, Request};
use crate::secret::random_id;

/// How long one client may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a logout token is good; the specification recommends two minutes at most.
const LIFETIME: i64 = 120;
/// Nobody reads the answer.
const MAX_ANSWER: usize = 16 * 1024;

/// A logout token on its way to a client.
#[derive(Debug)]
pub(super) struct Notice {
    client: String,
    url: Url,
    token: String,
}

/// The logout tokens for the clients of a sign-in that want one.
pub(super) fn notices(state: &State, keys: &KeySet, session: &Session) -> Vec<Notice> {
    let clients = clients(state, session);
    let wanting = clients.iter().filter_map(|client| Some((client, client.backchannel_logout_uri.as_deref()?)));
    wanting.filter_map(|(client, uri)| notice(state, keys, session, client, uri)).collect()
}

fn notice(state: &State, keys: &KeySet, session: &Session, client: &Client, uri: &str) -> Option<Notice> {
    let now = state.clock.now().secs();
    let claims = json!({
        "iss": state.settings.issuer,
        "sub": state.settings.users[session.user].sub,
        "aud": client.id,
        "iat": now,
        "exp": now.saturating_add(LIFETIME),
        "jti": random_id(),
        "sid": session.sign_in.sid,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let token = faults::jws(state, keys, &[Place::LogoutToken], (client.signing_alg, "logout+jwt"), claims).ok()?;
    Some(Notice { client: client.id.clone(), url: Url::parse(uri).ok()?, token })
}

/// The frames that tell the other clients, by their URLs.
pub(super) fn frames(state: &State, session: &Session) -> Vec<String> {
    let clients = clients(state, session);
    let urls = clients.iter().filter_map(|client| Url::parse(client.frontchannel_logout_uri.as_deref()?).ok());
    let named = urls.map(|mut url| {
        let sid = session.sign_in.sid.as_deref().unwrap_or_default();
        url.query_pairs_mut().append_pair("iss", &state.settings.issuer).append_pair("sid", sid);
        url.into()
    });
    named.collect()
}

/// The clients that know of the sign-in, each once.
fn clients<'a>(state: &'a State, session: &Session) -> Vec<&'a Client> {
    let knowing = session.authorizations.iter().filter(|authorization| authorization.has("openid"));
    let ids: BTreeSet<&str> = knowing.map(|authorization| authorization.client.as_str()).collect();
    ids.into_iter().filter_map(|id| state.settings.client(id)).collect()
}

/// Posts them all at once and waits for the answers.
pub(super) async fn send(notices: Vec<Notice>) {
    if notices.is_empty() {
        return;
    }
    let fetch = Arc::new(HttpFetch::with_system_roots());
    let mut posts = JoinSet::new();
    for notice in notices {
        let fetch = Arc::clone(&fetch);
        posts.spawn(async move { post(&fetch, notice).await });
    }
    while posts.join_next().await.is_some() {}
}

async fn post(fetch: &HttpFetch, notice: Notice) {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]);
    let request = Request {
        method: Method::POST,
        headers,
        body: Bytes::from(format!("logout_token={}", notice.token)),
        timeout: PATIENCE,
        max_bytes: MAX_ANSWER,
        ..Request::get(notice.url)
    };
    let client = notice.client;
    match fetch.fetch(request).await {
        Ok(answer) if answer.status.is_success() => tracing::debug!(client, "the client took the logout token"),
        Ok(answer) => tracing::warn!(client, status = answer.status.as_u16(), "the client refused the logout token"),
        Err(error) => tracing::warn!(client, %error, "the client cannot be told of the logout"),
    }
}
