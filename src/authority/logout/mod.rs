//! Signing out at the request of a client (OpenID Connect RP-Initiated Logout 1.0), which the other clients of the sign-in
//! are told of.
//!
//! The browser goes back to a URI only if the client registered it, exactly; an ID token of ours or `client_id` says which
//! client asks. A request whose hint is of another person, or that has none, is put before the person first, so that no page
//! somewhere can sign people out.

mod notify;

use std::fmt::Write as _;

use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;

use self::notify::Notice;
use super::State;
use super::authorize::respond::see_other;
use super::errors::{ErrorCode, OauthError};
use super::form::Form;
use super::intake;
use super::keys::KeySet;
use super::pages::{self, Page, hidden};
use super::reply::{self, Reply};
use super::session::{Browser, Session};
use super::store::key;

/// Answers one request, by GET or as a form.
pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let Some(form) = intake::parameters(&head, body).await else {
        return reply::method_not_allowed("GET, HEAD, POST");
    };
    let keys = state.keys.current().await.map_err(|fault| ErrorCode::ServerError.because(fault.to_string()));
    // The cookie comes with what any page of this host posts, on whatever port; only a page of ours asks the person.
    let own = head.method == Method::POST && !intake::is_from_elsewhere(state, &head);
    match form.and_then(|form| sign_out(state, &*keys?, &head.headers, &form, own)) {
        Ok((reply, notices)) => {
            notify::send(notices).await;
            reply
        }
        Err(error) => pages::error(&error),
    }
}

/// What a request says of itself, checked.
struct Wish {
    /// The subject of the hint, when there is one.
    subject: Option<String>,
    /// Where to go afterwards, with the state in it.
    target: Option<String>,
}

fn sign_out(
    state: &State,
    keys: &KeySet,
    headers: &HeaderMap,
    form: &Form,
    own: bool,
) -> Result<(Reply, Vec<Notice>), OauthError> {
    let wish = wish(state, keys, form)?;
    let browser = Browser::of(state, headers);
    let (id, now) = (key(&browser.id), state.clock.now());
    let session = state.store.lock().sessions.get(&id, now).cloned();
    let Some(session) = session else { return Ok((leave(wish.target.as_deref(), &[]), Vec::new())) };
    let mine = wish.subject.as_ref().is_some_and(|subject| *subject == state.settings.users[session.user].sub);
    let asked = own && form.get("action") == Some("sign-out");
    if !mine && !asked {
        return Ok((ask(state, &session, form), Vec::new()));
    }
    // Another window may have been faster, or a client got one more answer meanwhile: what is there now counts.
    let session = state.store.lock().sessions.take(&id, now);
    let Some(session) = session else { return Ok((leave(wish.target.as_deref(), &[]), Vec::new())) };
    end(&session);
    let frames = notify::frames(state, &session);
    Ok((leave(wish.target.as_deref(), &frames), notify::notices(state, keys, &session)))
}

fn wish(state: &State, keys: &KeySet, form: &Form) -> Result<Wish, OauthError> {
    let bad = |why: &'static str| ErrorCode::InvalidRequest.because(why);
    let hint = form.get("id_token_hint").map(|hint| keys.verified("JWT", hint)).map(|claims| {
        let claims = claims.ok_or_else(|| bad("id_token_hint is not an ID token of ours"))?;
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        text("aud").zip(text("sub")).ok_or_else(|| bad("id_token_hint is not an ID token of ours"))
    });
    let (client, subject) = hint.transpose()?.unzip();
    if client.as_deref().zip(form.get("client_id")).is_some_and(|(hinted, named)| hinted != named) {
        return Err(bad("client_id is not the client of id_token_hint"));
    }
    let Some(uri) = form.get("post_logout_redirect_uri") else { return Ok(Wish { subject, target: None }) };
    let client = client.as_deref().or(form.get("client_id")).and_then(|id| state.settings.client(id));
    if !client.is_some_and(|client| client.post_logout_redirect_uris.iter().any(|known| known == uri)) {
        return Err(bad("post_logout_redirect_uri is not registered for the client, or no client is named"));
    }
    let mut target = uri.to_owned();
    if let Some(state) = form.get("state") {
        let state: String = url::form_urlencoded::byte_serialize(state.as_bytes()).collect();
        let _ = write!(target, "{}state={state}", if uri.contains('?') { '&' } else { '?' });
    }
    Ok(Wish { subject, target: Some(target) })
}

/// Ends what came of the sign-in, except what was granted for longer (`offline_access`).
fn end(session: &Session) {
    for authorization in &session.authorizations {
        if !authorization.has("offline_access") {
            authorization.revoke();
        }
    }
}

fn ask(state: &State, session: &Session, form: &Form) -> Reply {
    let mut body = format!(
        "<h1>Sign out?</h1>\n<p>You are signed in as <strong>{}</strong>.</p>\n<form method=\"post\" action=\"{}\">\n",
        pages::escape(&state.settings.users[session.user].name),
        pages::escape(&state.endpoints.end_session.path)
    );
    for name in ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"] {
        body.extend(form.get(name).map(|value| hidden(name, value)));
    }
    body.push_str(
        "<div class=\"buttons\"><button name=\"action\" value=\"sign-out\">Sign out</button></div>\n</form>\n",
    );
    let back = form.get("post_logout_redirect_uri").unwrap_or_default();
    let page = Page::new("Sign out?", &body);
    let page = if back.is_empty() { page.with_form() } else { page.sending_to(back) };
    page.reply(StatusCode::OK)
}

/// The way out: back to the client, or to a page that says so. Frames need a page of their own, and a moment.
fn leave(target: Option<&str>, frames: &[String]) -> Reply {
    if let (Some(target), []) = (target, frames) {
        return see_other(target);
    }
    let mut body = "<h1>You are signed out</h1>\n".to_owned();
    match target {
        Some(target) => {
            let _ = writeln!(
                body,
                "<p>The other applications are told.</p>\n<p><a href=\"{}\">Go on</a></p>",
                pages::escape(target)
            );
        }
        None => body.push_str("<p>You can close this page.</p>\n"),
    }
    for url in frames {
        let _ = writeln!(body, "<iframe hidden title=\"sign-out\" src=\"{}\"></iframe>", pages::escape(url));
    }
    Page::new("Signed out", &body).framing(frames).going_on_to(target).reply(StatusCode::OK)
}
