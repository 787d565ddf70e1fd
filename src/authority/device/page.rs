//! The page for the person beside the device: the code, who they are, and whether they agree.
//!
//! What a form brings counts only with a mark that is made of the browser's cookie, so that no other page can answer.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;

use super::super::State;
use super::super::authorize::{authenticate, begin_session, in_words, sign_in_fields};
use super::super::errors::{ErrorCode, OauthError};
use super::super::form::Form;
use super::super::granted::Authorization;
use super::super::intake;
use super::super::pages::{self, Page, escape, hidden};
use super::super::reply::{self, Reply};
use super::super::session::{Browser, PASSWORD_ACR};
use super::super::store::{Key, key};
use super::{Outcome, as_shown, normal};
use crate::secret::{same, sha256};

const NO_DEVICE: &str = "There is no device with this code. It may be over.";

/// Answers one request for the page or one of its forms.
pub(in super::super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let answered = match head.method {
        Method::GET | Method::HEAD => Form::parse(head.uri.query().unwrap_or_default().as_bytes()).map(|form| {
            enter(state, &Browser::of(state, &head.headers), form.get("user_code").unwrap_or_default(), None)
        }),
        Method::POST => {
            let form = intake::form(&head, body).await;
            intake::refuse_elsewhere(state, &head).and(form).and_then(|form| answer(state, &head.headers, &form))
        }
        _ => return reply::method_not_allowed("GET, HEAD, POST"),
    };
    answered.unwrap_or_else(|error| pages::error(&error))
}

fn answer(state: &State, headers: &HeaderMap, form: &Form) -> Result<Reply, OauthError> {
    let browser = Browser::of(state, headers);
    if !form.get("mark").is_some_and(|shown| same(shown.as_bytes(), mark(&browser).as_bytes())) {
        return Err(
            ErrorCode::InvalidRequest.because("this form is not from a page of this browser; cookies may be off")
        );
    }
    let (typed, now) = (form.get("user_code").unwrap_or_default(), state.clock.now());
    let device = state.store.lock().user_codes.get(&key(&normal(typed)), now).copied();
    let Some(device) = device else {
        return Ok(enter(state, &browser, typed, Some(NO_DEVICE)));
    };
    let action = form.get("action").unwrap_or_default();
    if action == "sign-in" {
        let name = form.get("username").unwrap_or_default();
        return Ok(match authenticate(state, name, form.get("password").unwrap_or_default()) {
            Some(user) => confirm(state, &begin_session(state, &browser, user, PASSWORD_ACR.into()), typed, &device),
            None => sign_in(state, &browser, typed, name, Some("That name and password do not belong together.")),
        });
    }
    Ok(match action {
        "allow" | "deny" => decide(state, &browser, typed, &device, action == "allow"),
        _ => confirm(state, &browser, typed, &device),
    })
}

fn mark(browser: &Browser) -> String {
    URL_SAFE_NO_PAD.encode(sha256(format!("device:{}", browser.id).as_bytes()))
}

fn enter(state: &State, browser: &Browser, typed: &str, failure: Option<&str>) -> Reply {
    let failure = failure.map(|why| format!("<p class=\"failure\" role=\"alert\">{why}</p>\n")).unwrap_or_default();
    let body = format!(
        "<h1>Connect a device</h1>\n<p>Type the code that the device shows.</p>\n{failure}{}{}\
         <label for=\"user_code\">Code</label>\n<input id=\"user_code\" name=\"user_code\" type=\"text\" value=\"{}\" \
         autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" required autofocus>\n\
         <div class=\"buttons\"><button name=\"action\" value=\"continue\">Continue</button></div>\n</form>\n",
        start_of_form(state),
        hidden("mark", &mark(browser)),
        escape(typed)
    );
    told(state, browser, &Page::new("Connect a device", &body).with_form())
}

fn sign_in(state: &State, browser: &Browser, typed: &str, name: &str, failure: Option<&str>) -> Reply {
    let failure = failure.map(|why| format!("<p class=\"failure\" role=\"alert\">{why}</p>\n")).unwrap_or_default();
    let body = format!(
        "<h1>Sign in</h1>\n<p>to connect a device</p>\n{failure}{}{}{}{}\
         <div class=\"buttons\"><button name=\"action\" value=\"sign-in\">Sign in</button></div>\n</form>\n",
        start_of_form(state),
        hidden("mark", &mark(browser)),
        hidden("user_code", typed),
        sign_in_fields(state, name),
    );
    told(state, browser, &Page::new("Sign in", &body).with_form())
}

fn confirm(state: &State, browser: &Browser, typed: &str, device: &Key) -> Reply {
    let now = state.clock.now();
    let shelves = state.store.lock();
    let user = shelves.sessions.get(&key(&browser.id), now).map(|session| &state.settings.users[session.user]);
    let (Some(user), Some(record)) = (user, shelves.devices.get(device, now)) else {
        drop(shelves);
        return sign_in(state, browser, typed, "", None);
    };
    let mut body = format!(
        "<h1>Connect this device?</h1>\n<p>Go on only if the device in front of you shows <strong>{}</strong>.</p>\n\
         <p><strong>{}</strong> asks for access in the name of <strong>{}</strong>:</p>\n<ul class=\"scopes\">\n",
        escape(&as_shown(typed)),
        escape(&record.client),
        escape(&user.name)
    );
    for scope in &record.scopes {
        let _ = writeln!(body, "<li>{} <code>{}</code></li>", escape(&in_words(state, scope)), escape(scope));
    }
    let _ = write!(
        body,
        "</ul>\n{}{}{}<div class=\"buttons\"><button name=\"action\" value=\"allow\">Allow</button>\
         <button class=\"quiet\" name=\"action\" value=\"deny\">Deny</button></div>\n</form>\n",
        start_of_form(state),
        hidden("mark", &mark(browser)),
        hidden("user_code", typed)
    );
    told(state, browser, &Page::new("Connect this device?", &body).with_form())
}

fn decide(state: &State, browser: &Browser, typed: &str, device: &Key, yes: bool) -> Reply {
    let now = state.clock.now();
    let mut guard = state.store.lock();
    let shelves = &mut *guard;
    let Some(session) = shelves.sessions.get_mut(&key(&browser.id), now) else {
        drop(guard);
        return sign_in(state, browser, typed, "", None);
    };
    // The code goes with the answer, so that there is one, of one person, whoever else has the page open.
    let asked = shelves.user_codes.take(&key(&normal(typed)), now);
    let Some(record) = asked.and_then(|_| shelves.devices.get_mut(device, now)) else {
        drop(guard);
        return enter(state, browser, typed, Some(NO_DEVICE));
    };
    record.outcome = if yes {
        let subject = &state.settings.users[session.user].sub;
        let (scopes, resources) = (record.scopes.clone(), record.resources.clone());
        let sign_in = session.sign_in.clone();
        let authorization = Authorization::of_user(&record.client, (session.user, subject), scopes, resources, sign_in);
        let authorization = Arc::new(authorization);
        session.remember(&authorization);
        Outcome::Allowed(authorization)
    } else {
        Outcome::Denied
    };
    let body = match yes {
        true => "<h1>The device is connected</h1>\n<p>It goes on in a moment. You can close this page.</p>\n",
        false => "<h1>The device was refused</h1>\n<p>You can close this page.</p>\n",
    };
    Page::new("Connect a device", body).reply(StatusCode::OK)
}

fn start_of_form(state: &State) -> String {
    format!("<form method=\"post\" action=\"{}\">\n", escape(&state.endpoints.device.path))
}

fn told(state: &State, browser: &Browser, page: &Page<'_>) -> Reply {
    let mut reply = page.reply(StatusCode::OK);
    browser.tell(state, &mut reply);
    reply
}
