//! How an answer gets back to the client: in the query or the fragment of a redirect, or as a form that posts itself.
//! Every answer names its issuer (RFC 9207).

use std::fmt::Write as _;

use http::header::{LOCATION, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};
use url::form_urlencoded::Serializer;

use super::super::State;
use super::super::errors::OauthError;
use super::super::faults;
use super::super::pages::{self, Page, escape};
use super::super::reply::{self, Reply};
use super::request::{Refused, ResponseMode, WayBack};

/// Sends itself at once; a person without scripts presses the button.
const SUBMIT: &str = "document.forms[0].submit()";

/// A refusal, shown or sent.
pub(in super::super) fn refuse(state: &State, refused: &Refused) -> Reply {
    match refused {
        Refused::Shown(error) => pages::error(error),
        Refused::Sent(back, error) => send_error(state, back, error),
    }
}

/// An error for the client (RFC 6749, section 4.1.2.1).
pub(super) fn send_error(state: &State, back: &WayBack, error: &OauthError) -> Reply {
    let parameters = vec![("error", error.code().name().to_owned()), ("error_description", error.description())];
    send(state, back, parameters)
}

/// An answer for the client; `state` and `iss` are added.
pub(super) fn send(state: &State, back: &WayBack, mut parameters: Vec<(&'static str, String)>) -> Reply {
    parameters.extend(back.state.iter().map(|value| ("state", value.clone())));
    parameters.push(("iss", state.settings.issuer.clone()));
    faults::edit_response(state, &mut parameters);
    let encoded = || Serializer::new(String::new()).extend_pairs(&parameters).finish();
    let uri = &back.redirect_uri;
    match back.mode {
        ResponseMode::Query => see_other(&format!("{uri}{}{}", if uri.contains('?') { '&' } else { '?' }, encoded())),
        ResponseMode::Fragment => see_other(&format!("{uri}#{}", encoded())),
        ResponseMode::FormPost => form_post(uri, &parameters),
    }
}

/// 303, so that the browser never repeats a POST with a password at the client's (RFC 9700, section 2.1).
pub(in super::super) fn see_other(location: &str) -> Reply {
    let mut reply = reply::text(StatusCode::SEE_OTHER, "Going back to the application.");
    if let Ok(location) = HeaderValue::try_from(location) {
        reply.headers_mut().insert(LOCATION, location);
    }
    reply.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply::forbid_storing(&mut reply);
    reply
}

fn form_post(uri: &str, parameters: &[(&'static str, String)]) -> Reply {
    let mut body = format!(
        "<h1>Going back</h1>\n<p>Your answer goes back to the application.</p>\n<form method=\"post\" action=\"{}\">\n",
        escape(uri)
    );
    for (name, value) in parameters {
        let _ = writeln!(body, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
    }
    body.push_str("<div class=\"buttons\"><button>Continue</button></div>\n</form>\n");
    Page::new("Going back", &body).sending_to(uri).with_script(SUBMIT).reply(StatusCode::OK)
}
