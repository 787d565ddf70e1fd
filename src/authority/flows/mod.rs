//! Walks: each flow of OAuth 2.0 played before the reader's eyes, with real requests and answers.
//!
//! The walker is a client inside the authority. It plays a configured client with that client's id and secret, talks to
//! the endpoints as any client would, and shows what was said. It decides nothing about tokens.
//!
//! It must not make the authority weaker for real clients. Walks are offered only where the authority listens on loopback
//! under an issuer on this machine, and only to a browser that asks for the issuer's own host (so that no name that was
//! rebound to loopback reaches it). A walk begins only from a page of this very origin. The walker's redirect URI is
//! accepted only in a walk that waits for it, by its `state`, and the answer only from the browser that began. Secrets,
//! passwords, codes and whole tokens are not shown.

mod call;
mod catalog;
mod page;
mod picture;
mod player;
mod resource;
mod shown;
mod walk;

use std::borrow::Cow;
use std::net::SocketAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method, Request, StatusCode, request};
use hyper::body::Incoming;
use url::{Host, Url};

use self::player::Received;
use self::walk::{Stage, Visitor};
use super::State;
use super::authorize::respond::see_other;
use super::errors::{ErrorCode, OauthError};
use super::form::Form;
use super::intake;
use super::reply::{self, Reply};
use super::settings::Client;
use super::store::key;
use crate::secret::random_id;

pub(super) use self::catalog::Flow;
pub(super) use self::walk::Walk;

/// Whether walks are offered: to this machine only.
pub(super) fn offered(address: SocketAddr, issuer: &str) -> bool {
    let local = match Url::parse(issuer).ok().as_ref().and_then(Url::host) {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    address.ip().is_loopback() && local
}

/// Whether `redirect_uri` is the walker's and a walk of `client` waits for an answer with this `state`.
pub(super) fn awaits(state: &State, client: &Client, redirect_uri: &str, name: Option<&str>) -> bool {
    let Some(name) = name.filter(|_| state.walks && redirect_uri == state.endpoints.flow_callback.url) else {
        return false;
    };
    let now = state.clock.now();
    let shelves = state.store.lock();
    let walk = shelves.walks.get(&key(name), now);
    walk.is_some_and(|walk| walk.client == client.id && matches!(walk.stage, Stage::Away { .. }))
}

/// Why a page at this Host cannot begin walks, in a sentence for the reader.
pub(super) fn hindrance(state: &State, headers: &HeaderMap) -> Option<String> {
    if !state.walks {
        return Some(
            "The flows cannot be walked here: they are offered only where the authority listens on loopback and its issuer \
             is on this machine, so that nobody on a network uses the secrets of its clients."
                .into(),
        );
    }
    let issuer = &state.settings.issuer;
    let addressed = headers.get(HOST).and_then(|host| host.to_str().ok());
    (addressed != authority_of(issuer).as_deref()).then(|| {
        format!("To walk a flow, open this page at {issuer}, which is the address that the authority goes by.")
    })
}

/// Host and port of a URL, as a Host header names them.
fn authority_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Answers everything below `/flows`.
pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    if let Some(why) = hindrance(state, request.headers()) {
        return page::refusal(state, &forbidden(why));
    }
    if request.uri().path() == state.endpoints.flow_resource.path {
        return Box::pin(resource::handle(state, request)).await;
    }
    let (head, body) = request.into_parts();
    let below = head.uri.path().strip_prefix(state.endpoints.flows.path.as_str()).unwrap_or_default();
    let form = match head.method {
        Method::GET => Form::parse(head.uri.query().unwrap_or_default().as_bytes()),
        Method::POST => intake::form(&head, body).await,
        _ => return reply::method_not_allowed("GET, POST"),
    };
    let form = match form {
        Ok(form) => form,
        Err(error) => return page::refusal(state, &error),
    };
    let answered = match (&head.method, below) {
        (&Method::GET, "/walk") => show(state, &head.headers, &form),
        (&Method::GET, "/callback") if form.get("state").is_none() => Ok(page::fragment(state)),
        (&Method::GET, "/callback") => Box::pin(back(state, &head.headers, Received::Query, &form)).await,
        (&Method::POST, _) if !is_from_a_page_of_ours(state, &head) => {
            Err(forbidden("this form is not from a page of this authority"))
        }
        (&Method::POST, "/start") => Box::pin(start(state, &head.headers, &form)).await,
        (&Method::POST, "/callback") => Box::pin(back(state, &head.headers, Received::FormPost, &form)).await,
        (&Method::POST, "/fragment") => match Form::parse(form.get("answer").unwrap_or_default().as_bytes()) {
            Ok(form) => Box::pin(back(state, &head.headers, Received::Fragment, &form)).await,
            Err(error) => Err(error),
        },
        (&Method::POST, "/password" | "/device") => Box::pin(go_on(state, &head.headers, &form)).await,
        _ => return reply::text(StatusCode::NOT_FOUND, "There is no such page; the flows are at /."),
    };
    answered.unwrap_or_else(|error| page::refusal(state, &error))
}

fn forbidden(why: impl Into<Cow<'static, str>>) -> OauthError {
    ErrorCode::AccessDenied.because(why).with_status(StatusCode::FORBIDDEN)
}

/// Walks are for browsers, and a browser says who sent a form: what says nothing begins none.
fn is_from_a_page_of_ours(state: &State, head: &request::Parts) -> bool {
    let says = head.headers.contains_key("sec-fetch-site") || head.headers.contains_key(ORIGIN);
    says && !intake::is_from_elsewhere(state, head)
}

/// Begins a walk.
async fn start(state: &State, headers: &HeaderMap, form: &Form) -> Result<Reply, OauthError> {
    let flow = form.get("flow").and_then(Flow::from_name);
    let client = form.get("client").and_then(|id| state.settings.client(id));
    let (Some(flow), Some(client)) = (flow, client) else {
        return Err(ErrorCode::InvalidRequest.because("there is no such flow or client"));
    };
    if !flow.suits(client) {
        return Err(ErrorCode::UnauthorizedClient.because(format!("the client {} cannot walk this flow", client.id)));
    }
    let (known, id) = (Visitor::of(state, headers), random_id());
    let visitor = known.unwrap_or_else(Visitor::fresh);
    let mut walk = Walk::new(flow, &client.id, &visitor);
    let away = player::begin(state, client, &id, &mut walk).await;
    walk.keep(state, &id);
    let mut reply = see_other(&away.unwrap_or_else(|| walk_url(state, &id)));
    visitor.tell(state, &mut reply);
    Ok(reply)
}

fn walk_url(state: &State, id: &str) -> String {
    format!("{}/walk?id={id}", state.endpoints.flows.url)
}

/// Takes up the walk that a request names by `parameter`, with the client that it plays.
fn resume<'a>(
    state: &'a State,
    headers: &HeaderMap,
    form: &Form,
    parameter: &'static str,
) -> Result<(String, Walk, &'a Client), OauthError> {
    let id = form.get(parameter).unwrap_or_default().to_owned();
    let walk = Visitor::of(state, headers).and_then(|visitor| Walk::take(state, &id, &visitor)).ok_or_else(unknown)?;
    let client = state.settings.client(&walk.client).ok_or_else(unknown)?;
    Ok((id, walk, client))
}

fn unknown() -> OauthError {
    ErrorCode::InvalidRequest.because(
        "this browser has no such walk: it is over for half an hour, another browser began it, or cookies are off. Begin \
         again at the front page",
    )
}

/// The browser brings an answer of the authorization endpoint.
async fn back(state: &State, headers: &HeaderMap, how: Received, form: &Form) -> Result<Reply, OauthError> {
    let (id, mut walk, client) = resume(state, headers, form, "state")?;
    player::received(state, client, &mut walk, how, form).await;
    walk.keep(state, &id);
    Ok(see_other(&walk_url(state, &id)))
}

/// The reader does what the walk waits for: types a password, lets the device ask.
async fn go_on(state: &State, headers: &HeaderMap, form: &Form) -> Result<Reply, OauthError> {
    let (id, mut walk, client) = resume(state, headers, form, "id")?;
    match walk.stage {
        Stage::AtPassword => {
            let text = |name| form.get(name).unwrap_or_default();
            player::password(state, client, &mut walk, text("username"), text("password")).await;
        }
        Stage::AtDevice { .. } => player::ask_again(state, client, &mut walk).await,
        Stage::Away { .. } | Stage::Over => {}
    }
    walk.keep(state, &id);
    Ok(see_other(&walk_url(state, &id)))
}

fn show(state: &State, headers: &HeaderMap, form: &Form) -> Result<Reply, OauthError> {
    let id = form.get("id").unwrap_or_default();
    let walk = Visitor::of(state, headers).and_then(|visitor| Walk::look(state, id, &visitor)).ok_or_else(unknown)?;
    Ok(page::walk(state, id, &walk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_are_for_this_machine_only() {
        for (address, issuer, expected) in [
            ("127.0.0.1:9000", "http://127.0.0.1:9000", true),
            ("[::1]:9000", "http://[::1]:9000", true),
            ("127.0.0.1:9000", "http://localhost:9000/t", true),
            ("127.0.0.1:9000", "https://auth.localhost", true),
            ("0.0.0.0:9000", "http://127.0.0.1:9000", false),
            ("192.0.2.1:9000", "http://127.0.0.1:9000", false),
            ("127.0.0.1:9000", "https://auth.example", false),
            ("127.0.0.1:9000", "http://localhost.example", false),
        ] {
            assert_eq!(offered(address.parse().unwrap(), issuer), expected, "{address} {issuer}");
        }
    }

    #[test]
    fn a_host_is_named_as_browsers_name_it() {
        for (url, host) in [
            ("http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://127.0.0.1:80/x", "127.0.0.1"),
            ("http://[::1]:9000", "[::1]:9000"),
            ("https://auth.localhost:443", "auth.localhost"),
        ] {
            assert_eq!(authority_of(url).as_deref(), Some(host));
        }
    }
}
