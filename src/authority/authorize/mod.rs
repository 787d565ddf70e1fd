//! The authorization endpoint (RFC 6749, section 3.1; OpenID Connect Core 1.0, section 3.1.2): from a request by way of
//! a person to an answer for the client.
//!
//! Each step looks at the request and at who is signed in, and either asks the person one thing or goes on: choose an
//! account, sign in, agree. When nothing may be asked (`prompt=none`), what is missing is an error.

mod consent;
mod issue;
mod login;
pub(super) mod pushed;
mod redirect;
pub(super) mod request;
pub(super) mod respond;
pub(super) mod transaction;

use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;

pub(super) use self::consent::in_words;
pub(super) use self::login::{authenticate, begin_session, sign_in_fields};
use self::request::AuthorizationRequest;
use self::transaction::Transaction;
use super::State;
use super::errors::{ErrorCode, OauthError};
use super::form::Form;
use super::intake;
use super::pages;
use super::reply::{self, Reply};
use super::session::{Browser, Session};
use super::store::key;

/// The request itself, by GET or as a form (OpenID Connect Core 1.0, section 3.1.2.1).
pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let form = match intake::parameters(&head, body).await {
        Some(Ok(form)) => form,
        Some(Err(error)) => return pages::error(&error),
        None => return reply::method_not_allowed("GET, HEAD, POST"),
    };
    let keys = match state.keys.current().await {
        Ok(keys) => keys,
        Err(fault) => return pages::error(&ErrorCode::ServerError.because(fault.to_string())),
    };
    let pushed = pushed::referred(state, &form);
    match pushed.unwrap_or_else(|| AuthorizationRequest::read(state, &keys, &form)) {
        Ok(request) => advance(state, &keys, Transaction::new(request), &Browser::of(state, &head.headers)),
        Err(refused) => respond::refuse(state, &refused),
    }
}

/// What a person answers on one of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Which account.
    Choose,
    /// Name and password.
    Login,
    /// Yes or no.
    Consent,
}

/// An answer of a person.
pub(super) async fn handle_step(state: &State, step: Step, request: Request<Incoming>) -> Reply {
    if request.method() != Method::POST {
        return reply::method_not_allowed("POST");
    }
    let (head, body) = request.into_parts();
    let form = match intake::refuse_elsewhere(state, &head) {
        Ok(()) => intake::form(&head, body).await,
        Err(error) => Err(error),
    };
    match answer(state, step, &head.headers, form).await {
        Ok(reply) => reply,
        Err(error) => pages::error(&error),
    }
}

async fn answer(
    state: &State,
    step: Step,
    headers: &HeaderMap,
    form: Result<Form, OauthError>,
) -> Result<Reply, OauthError> {
    let form = form?;
    let keys = state.keys.current().await.map_err(|fault| ErrorCode::ServerError.because(fault.to_string()))?;
    let browser = Browser::of(state, headers);
    let transaction = form.get("transaction").and_then(|id| Transaction::take(state, id, &browser, step));
    let transaction = transaction.ok_or_else(|| {
        ErrorCode::InvalidRequest.because(
            "nothing waits for this answer in this browser: it took too long, was answered already, or cookies are off. \
             Go back to the application and begin again",
        )
    })?;
    if form.get("action") == Some("cancel") {
        let error = ErrorCode::AccessDenied.because("the person said no");
        return Ok(respond::send_error(state, &transaction.request.back, &error));
    }
    Ok(match step {
        Step::Choose => login::chosen(state, &keys, transaction, &browser, &form),
        Step::Login => login::signed_in(state, &keys, transaction, &browser, &form),
        Step::Consent => consent::decided(state, &keys, transaction, &browser, &form),
    })
}

/// Takes the request as far as it gets without a person.
fn advance(state: &State, keys: &super::keys::KeySet, transaction: Transaction, browser: &Browser) -> Reply {
    let request = &transaction.request;
    let prompt = request.prompt;
    let now = state.clock.now();
    let session = state.store.lock().sessions.get(&key(&browser.id), now).cloned();
    let silent = |code: ErrorCode, why: &'static str| respond::send_error(state, &request.back, &code.because(why));
    if prompt.select_account && !transaction.chosen {
        return login::choose(state, transaction, browser, session.as_ref());
    }
    let current = session.filter(|session| transaction.fresh || !must_sign_in(state, request, session));
    let Some(session) = current else {
        if prompt.none {
            return silent(ErrorCode::LoginRequired, "nobody is signed in as the request wants it");
        }
        return login::ask(state, transaction, browser, None);
    };
    if prompt.consent || !session.allows(&request.client, &request.wishes()) {
        if prompt.none {
            return silent(ErrorCode::ConsentRequired, "the person did not agree to this yet");
        }
        return consent::ask(state, transaction, browser, &session);
    }
    let mut reply = issue::answer(state, keys, request, &key(&browser.id), &session);
    browser.tell(state, &mut reply);
    reply
}

/// Whether the request wants another sign-in than this one.
fn must_sign_in(state: &State, request: &AuthorizationRequest, session: &Session) -> bool {
    let age = state.clock.now().secs().saturating_sub(session.sign_in.time);
    let too_old = request.max_age.is_some_and(|limit| u64::try_from(age).is_ok_and(|age| age > limit) || limit == 0);
    let another = request.expected_subject.as_ref().is_some_and(|sub| *sub != state.settings.users[session.user].sub);
    // A context class is a wish (OpenID Connect Core 1.0, section 3.1.2.1): it is granted by a new sign-in, if one may
    // be asked for.
    let weaker = |values: &[String]| !values.is_empty() && !values.contains(&session.sign_in.acr);
    let wished = weaker(&request.acr_values) && !request.prompt.none;
    // As an essential claim it is a condition (section 5.5.1.1).
    let needed = request.claims.acr_is_essential && weaker(&request.claims.acr_values);
    request.prompt.login || too_old || another || wished || needed
}
