//! Who is it? The account chooser and the sign-in page.
//!
//! A wrong name and a wrong password are told alike, and cost the same comparison.

use std::fmt::Write as _;

use http::StatusCode;

use super::super::State;
use super::super::form::Form;
use super::super::keys::KeySet;
use super::super::pages::{Page, escape, hidden};
use super::super::reply::Reply;
use super::super::session::{Browser, PASSWORD_ACR, Session};
use super::super::store::key;
use super::transaction::Transaction;
use super::{Step, advance};
use crate::secret::{same, sha256};

/// Asks which account, with those that there are.
pub(super) fn choose(state: &State, transaction: Transaction, browser: &Browser, session: Option<&Session>) -> Reply {
    let (client, back) = (transaction.request.client.clone(), transaction.request.back.redirect_uri.clone());
    let id = transaction.keep(state, browser, Step::Choose);
    let mut body = format!(
        "<h1>Choose an account</h1>\n<p>to go on to <strong>{}</strong></p>\n\
         <form method=\"post\" action=\"{}\">\n{}<ul class=\"accounts\">\n",
        escape(&client),
        escape(&state.endpoints.choose.path),
        hidden("transaction", &id)
    );
    for (position, user) in state.settings.users.iter().enumerate() {
        let full = user.claims.get("name").and_then(serde_json::Value::as_str);
        let here = session.is_some_and(|session| session.user == position).then_some("signed in");
        let note = [full, here].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            body,
            "<li><button class=\"account\" name=\"account\" value=\"{0}\"><strong>{0}</strong> <span>{1}</span></button></li>",
            escape(&user.name),
            escape(&note)
        );
    }
    body.push_str("</ul>\n<div class=\"buttons\"><button class=\"quiet\" name=\"action\" value=\"cancel\">Cancel</button></div>\n</form>\n");
    let mut reply = Page::new("Choose an account", &body).sending_to(&back).reply(StatusCode::OK);
    browser.tell(state, &mut reply);
    reply
}

/// An account was chosen: the one that is signed in goes on, another signs in.
pub(super) fn chosen(
    state: &State,
    keys: &KeySet,
    mut transaction: Transaction,
    browser: &Browser,
    form: &Form,
) -> Reply {
    transaction.chosen = true;
    let name = form.get("account").unwrap_or_default();
    let now = state.clock.now();
    let current = state.store.lock().sessions.get(&key(&browser.id), now).map(|session| session.user);
    if current.is_some_and(|user| state.settings.users[user].name == name) {
        return advance(state, keys, transaction, browser);
    }
    transaction.request.expect(name);
    ask(state, transaction, browser, None)
}

/// Asks for name and password, after a failure with the reason.
pub(super) fn ask(state: &State, transaction: Transaction, browser: &Browser, failure: Option<&str>) -> Reply {
    let request = &transaction.request;
    let hint = request.login_hint.as_deref().unwrap_or_default();
    let (client, back) = (request.client.clone(), request.back.redirect_uri.clone());
    let mut body = format!("<h1>Sign in</h1>\n<p>to go on to <strong>{}</strong></p>\n", escape(&client));
    if let Some(acr) = request.acr_values.first() {
        let _ = writeln!(
            body,
            "<p class=\"hint\">It asks for the authentication context <code>{}</code>. Here, signing in grants it.</p>",
            escape(acr)
        );
    }
    if let Some(failure) = failure {
        let _ = writeln!(body, "<p class=\"failure\" role=\"alert\">{}</p>", escape(failure));
    }
    let fields = sign_in_fields(state, hint);
    let id = transaction.keep(state, browser, Step::Login);
    let _ = write!(
        body,
        "<form method=\"post\" action=\"{}\">\n{}{fields}\
         <div class=\"buttons\"><button name=\"action\" value=\"sign-in\">Sign in</button>\
         <button class=\"quiet\" name=\"action\" value=\"cancel\" formnovalidate>Cancel</button></div>\n</form>\n\
         <p class=\"hint\">Names and passwords are those of the configuration: <code>[[authority.users]]</code>.</p>\n",
        escape(&state.endpoints.login.path),
        hidden("transaction", &id)
    );
    let status = if failure.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let mut reply = Page::new("Sign in", &body).sending_to(&back).reply(status);
    browser.tell(state, &mut reply);
    reply
}

/// Name and password came.
pub(super) fn signed_in(
    state: &State,
    keys: &KeySet,
    mut transaction: Transaction,
    browser: &Browser,
    form: &Form,
) -> Reply {
    let name = form.get("username").unwrap_or_default();
    let Some(user) = authenticate(state, name, form.get("password").unwrap_or_default()) else {
        transaction.request.expect(name);
        return ask(state, transaction, browser, Some("That name and password do not belong together."));
    };
    let expected = transaction.request.expected_subject.as_ref();
    if expected.is_some_and(|subject| *subject != state.settings.users[user].sub) {
        return ask(state, transaction, browser, Some("The application asks for another person to sign in."));
    }
    let acr = transaction.request.acr_values.first().cloned().unwrap_or_else(|| PASSWORD_ACR.into());
    let fresh = begin_session(state, browser, user, acr);
    transaction.fresh = true;
    advance(state, keys, transaction, &fresh)
}

/// Signs `user` in, under a new name of the browser. Who was signed in before is so no longer.
pub(in super::super) fn begin_session(state: &State, browser: &Browser, user: usize, acr: String) -> Browser {
    let (fresh, now) = (Browser::fresh(), state.clock.now());
    let mut shelves = state.store.lock();
    let before = shelves.sessions.take(&key(&browser.id), now).filter(|before| before.user == user);
    Transaction::follow(&mut shelves, browser, &fresh, before.is_some());
    let session = match before {
        Some(before) => before.renewed(now, acr),
        None => Session::new(user, now, acr),
    };
    shelves.sessions.put(key(&fresh.id), session, now.plus(state.settings.session_lifetime), now);
    fresh
}

/// The two fields for name and password; the cursor waits in the first empty one.
pub(in super::super) fn sign_in_fields(state: &State, hint: &str) -> String {
    let (name_focus, password_focus) = if hint.is_empty() { (" autofocus", "") } else { ("", " autofocus") };
    let names: String =
        state.settings.users.iter().map(|user| format!("<option value=\"{}\">", escape(&user.name))).collect();
    format!(
        "<label for=\"username\">Name</label>\n\
         <input id=\"username\" name=\"username\" type=\"text\" value=\"{}\" list=\"names\" autocomplete=\"username\" \
         autocapitalize=\"none\" spellcheck=\"false\" required{name_focus}>\n<datalist id=\"names\">{names}</datalist>\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required{password_focus}>\n",
        escape(hint)
    )
}

/// The user of that name and password, by position.
pub(in super::super) fn authenticate(state: &State, name: &str, password: &str) -> Option<usize> {
    let user = state.settings.users.iter().position(|user| user.name == name);
    let known = user.map_or("", |user| state.settings.users[user].password.expose());
    // Digests have one length, so the time tells nothing of the password's.
    let matches = same(&sha256(known.as_bytes()), &sha256(password.as_bytes()));
    user.filter(|_| matches && !password.is_empty())
}
