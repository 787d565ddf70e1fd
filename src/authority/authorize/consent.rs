//! Does the person agree? What a client asks for, in words, and the answer.
//!
//! An answer is remembered for as long as the browser stays signed in, by client and by what was asked for: scopes, single
//! claims, and where.

use std::fmt::Write as _;

use http::StatusCode;

use super::super::State;
use super::super::form::Form;
use super::super::keys::KeySet;
use super::super::pages::{Page, escape, hidden};
use super::super::reply::Reply;
use super::super::session::{Browser, Session};
use super::super::store::key;
use super::request::AuthorizationRequest;
use super::transaction::Transaction;
use super::{Step, advance, login};

/// Asks.
pub(super) fn ask(state: &State, transaction: Transaction, browser: &Browser, session: &Session) -> Reply {
    let request = &transaction.request;
    let (back, user) = (request.back.redirect_uri.clone(), &state.settings.users[session.user]);
    let mut body = format!(
        "<h1>Allow access?</h1>\n<p><strong>{}</strong> asks for access in the name of <strong>{}</strong>:</p>\n",
        escape(&request.client),
        escape(&user.name)
    );
    wishes(&mut body, state, request);
    let (action, goes_to) = (escape(&state.endpoints.consent.path), escape(&back));
    let id = transaction.keep(state, browser, Step::Consent);
    let _ = write!(
        body,
        "<form method=\"post\" action=\"{action}\">\n{}\
         <div class=\"buttons\"><button name=\"action\" value=\"allow\">Allow</button>\
         <button class=\"quiet\" name=\"action\" value=\"cancel\">Deny</button>\
         <button class=\"link\" name=\"action\" value=\"switch\">Use another account</button></div>\n</form>\n\
         <p class=\"hint\">Either way you go back to <code>{goes_to}</code>.</p>\n",
        hidden("transaction", &id)
    );
    let mut reply = Page::new("Allow access?", &body).sending_to(&back).reply(StatusCode::OK);
    browser.tell(state, &mut reply);
    reply
}

/// What is asked for, in words, and where.
fn wishes(body: &mut String, state: &State, request: &AuthorizationRequest) {
    body.push_str("<ul class=\"scopes\">\n");
    if request.scopes.is_empty() {
        body.push_str("<li>Use your account, without any particular right</li>\n");
    }
    for scope in &request.scopes {
        let _ = writeln!(body, "<li>{} <code>{}</code></li>", escape(&in_words(state, scope)), escape(scope));
    }
    for claim in request.single_claims() {
        let _ = writeln!(body, "<li>Know this about you: <code>{}</code></li>", escape(claim));
    }
    body.push_str("</ul>\n");
    if !request.resources.is_empty() {
        let places: Vec<_> =
            request.resources.iter().map(|resource| format!("<code>{}</code>", escape(resource))).collect();
        let _ = writeln!(body, "<p>at {}</p>", places.join(" and "));
    }
}

/// The configured words, or what the scopes of OpenID Connect mean, or the name itself.
pub(in super::super) fn in_words(state: &State, scope: &str) -> String {
    if let Some(words) = state.settings.scopes.get(scope) {
        return words.clone();
    }
    match scope {
        "openid" => "Know who you are",
        "profile" => "Read your profile: name, picture and the like",
        "email" => "Read your email address",
        "address" => "Read your postal address",
        "phone" => "Read your phone number",
        "offline_access" => "Keep this access while you are away",
        other => return format!("Use the right {other}"),
    }
    .into()
}

/// The person said yes, or wants to be somebody else. No was heard before.
pub(super) fn decided(
    state: &State,
    keys: &KeySet,
    mut transaction: Transaction,
    browser: &Browser,
    form: &Form,
) -> Reply {
    let now = state.clock.now();
    match form.get("action") {
        Some("allow") => {
            let request = &mut transaction.request;
            if let Some(session) = state.store.lock().sessions.get_mut(&key(&browser.id), now) {
                session.allow(&request.client, request.wishes());
                request.prompt.consent = false;
            }
            // Whoever came to this page had signed in as the request wants it; that does not age while they read.
            transaction.fresh = true;
            advance(state, keys, transaction, browser)
        }
        Some("switch") => {
            transaction.chosen = true;
            transaction.request.login_hint = None;
            login::ask(state, transaction, browser, None)
        }
        _ => {
            let session = state.store.lock().sessions.get(&key(&browser.id), now).cloned();
            match session {
                Some(session) => ask(state, transaction, browser, &session),
                None => login::ask(state, transaction, browser, None),
            }
        }
    }
}
