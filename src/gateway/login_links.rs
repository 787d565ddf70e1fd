//! Links to the login: what they say, and how they are read. A link may come from anywhere, so what it says is bounded, asks
//! for nothing that no route here asks for, and names no place that is not on the application's own origin.

use http::header::REFERER;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request};

use crate::login::{Departure, Login, StepUp};
use crate::policy::Denial;

use super::asking::Asking;
use super::intent::Intent;
use super::login_paths::OWN;

/// Bytes of a login hint; a mail address has 254 at most.
const MAX_HINT: usize = 320;
/// Bytes of the context classes that a link may ask for.
const MAX_ACR: usize = 512;

/// What a link may have the issuer ask. Not `none`: whether a person is asked nothing is no stranger's to say.
const PROMPTS: [&str; 3] = ["login", "consent", ANOTHER_ACCOUNT];
/// The word of `prompt` for choosing an account (OpenID Connect Core 1.0, section 3.1.2.1).
const ANOTHER_ACCOUNT: &str = "select_account";

/// The page at which a person can log in by another account, to come back to `return_to`.
pub(super) fn another_account_url(login: &Login, return_to: &str) -> String {
    let prompt = Some(ANOTHER_ACCOUNT);
    login_url(login, Departure { prompt, ..Departure::to(return_to, &StepUp::default()) })
}

/// The page at which a person can log in by this login.
pub(super) fn login_url(login: &Login, departure: Departure<'_>) -> String {
    url(login, Some(&login.settings.name), departure)
}

/// The page that asks which of the logins beside this one it shall be.
pub(super) fn chooser_url(login: &Login, departure: Departure<'_>) -> String {
    url(login, None, departure)
}

fn url(login: &Login, name: Option<&str>, departure: Departure<'_>) -> String {
    let Departure { return_to, login_hint, prompt, step_up } = departure;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(name.map(|name| ("login", name)));
    query.extend_pairs(login_hint.map(|hint| ("login_hint", hint)));
    query.extend_pairs(prompt.map(|word| ("prompt", word)));
    query.extend_pairs(Some(("acr_values", &step_up.acr_values)).filter(|(_, values)| !values.is_empty()));
    query.extend_pairs(step_up.max_age.map(|seconds| ("max_age", seconds.to_string())));
    // Last, so that a page can append the fragment that it alone knows.
    query.append_pair("return_to", return_to);
    format!("{}{OWN}login?{}", login.settings.public_url, query.finish())
}

/// To where this request went; after one that is not repeated, or that a script sent, to the page that it was sent from.
pub(super) fn return_to<'r>(login: &Login, asking: &Asking<'r>, intent: Intent) -> &'r str {
    let Asking { method, uri, headers, .. } = *asking;
    let page = asking_page(login, headers).filter(|_| intent == Intent::Read || !method.is_safe());
    let here = if method.is_safe() { uri.path_and_query().map(PathAndQuery::as_str) } else { None };
    page.or(here).unwrap_or("/")
}

/// The page of the application that a request was sent from, if the browser says so.
pub(super) fn asking_page<'h>(login: &Login, headers: &'h HeaderMap) -> Option<&'h str> {
    let sent_from = headers.get(REFERER)?.to_str().ok()?;
    sent_from.strip_prefix(&*login.settings.public_url).filter(|path| path.starts_with('/'))
}

/// These parameters of the query. Which of two values counts must not be a matter of who reads.
pub(super) fn parameters<const N: usize>(head: &Request<()>, names: [&str; N]) -> Result<[Option<String>; N], Denial> {
    let mut values = [const { None }; N];
    for (name, value) in url::form_urlencoded::parse(head.uri().query().unwrap_or_default().as_bytes()) {
        let Some(place) = names.iter().position(|known| *known == name) else { continue };
        if values[place].replace(value.into_owned()).is_some() {
            return Err(Denial::BadRequest { detail: "A parameter comes twice." });
        }
    }
    Ok(values)
}

/// Whom a link expects to sign in, if it says so in a way that can be passed on.
pub(super) fn login_hint(hint: Option<&str>) -> Result<Option<&str>, Denial> {
    let unfit = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
    match hint.filter(|hint| !hint.is_empty()) {
        Some(hint) if hint.len() > MAX_HINT || hint.contains(unfit) => Err(Denial::BadRequest {
            detail: "The login_hint is too long, or has control characters or none that are UTF-8.",
        }),
        hint => Ok(hint.filter(|hint| !hint.trim().is_empty())),
    }
}

/// What a link has the issuer ask.
pub(super) fn prompt(word: Option<&str>) -> Result<Option<&str>, Denial> {
    match word.filter(|word| !word.is_empty()) {
        Some(word) if !PROMPTS.contains(&word) => {
            Err(Denial::BadRequest { detail: "prompt has to be login, consent or select_account." })
        }
        word => Ok(word),
    }
}

/// The context classes that a link asks for.
pub(super) fn acr_values(values: Option<String>) -> Result<String, Denial> {
    let values = values.unwrap_or_default();
    match values.len() <= MAX_ACR {
        true => Ok(values),
        false => Err(Denial::BadRequest { detail: "The acr_values are too long." }),
    }
}

/// The age that a link asks for: digits.
pub(super) fn max_age(seconds: Option<&str>) -> Result<Option<u64>, Denial> {
    let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let unfit = Denial::BadRequest { detail: "max_age has to be a number of seconds." };
    seconds.map(|text| number(text).ok_or(unfit)).transpose()
}
