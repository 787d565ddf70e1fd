//! The client of the walks: what it says in each flow, and what it makes of the answers. It plays any configured client,
//! with that client's id, secret and scopes.

mod alone;
mod browser;
mod device;

use super::super::State;
use super::super::settings::Client;
use super::call::{Answer, Call, Recorder};
use super::catalog::Flow;
use super::shown::Token;
use super::walk::{Role, Stage, Step, Walk};

pub(super) use self::browser::{Received, received};
pub(super) use self::device::ask as ask_again;

/// Begins `walk`, which will be kept under `id`. Gives the URL to which the browser goes, if the flow needs one.
pub(super) async fn begin(state: &State, client: &Client, id: &str, walk: &mut Walk) -> Option<String> {
    match walk.flow {
        Flow::Code | Flow::Refresh | Flow::Hybrid | Flow::Implicit => Some(browser::leave(state, client, id, walk)),
        Flow::Machine => {
            alone::machine(state, client, walk).await;
            None
        }
        Flow::Forms => {
            alone::forms(state, client, walk).await;
            None
        }
        Flow::Device => {
            device::begin(state, client, walk).await;
            None
        }
        Flow::Password => {
            walk.stage = Stage::AtPassword;
            None
        }
    }
}

/// Name and password were typed into the client.
pub(super) async fn password(state: &State, client: &Client, walk: &mut Walk, name: &str, password: &str) {
    walk.stage = Stage::Over;
    let mut typed = Step::new(
        Role::Browser,
        Role::Client,
        "Name and password, typed into the client",
        "Here is the fault of this flow: the password of the Authorization Server goes to somebody else.",
    );
    let path = format!("{}/password", state.endpoints.flows.path);
    let fields = super::shown::parameters("", [("username", name), ("password", password)]);
    typed.sent = Some(format!("POST {path} HTTP/1.1\n{fields}"));
    let mut step = Step::new(
        Role::Client,
        Role::Server,
        "A token for this password",
        "The client hands the password on. An access token comes, perhaps a refresh token, and never an ID token: who the \
         person is the client seems to know already.",
    );
    let scope = client.scopes.join(" ");
    let mut parameters = vec![("grant_type", "password"), ("username", name), ("password", password)];
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    let answer = token(state, client, &parameters, &mut step).await;
    walk.add([typed, step]);
    if let Some(token) = answer.text("access_token") {
        walk.add(visit(state, &token, VISIT).await);
    }
}

/// Asks the token endpoint, and takes apart what comes.
async fn token(state: &State, client: &Client, parameters: &[(&str, &str)], step: &mut Step) -> Answer {
    let call = Call::form(state, &state.endpoints.token, client, parameters);
    let answer = call.record(state, &Recorder::default(), step).await;
    for name in ["access_token", "id_token"] {
        step.tokens.extend(answer.text(name).and_then(|token| Token::of(name, &token)));
    }
    answer
}

/// Why the client goes to the resource server.
const VISIT: &str = "At last the reason for it all: the client uses the API. Whoever holds the token may do that (it is a \
    bearer token), so it travels in a header, never in a URL, and ends after minutes.";

/// Uses the API with `token`: the request, what the API asks others, its answer.
async fn visit(state: &State, token: &str, why: &'static str) -> Vec<Step> {
    let recorder = Recorder::default();
    let mut asked = Step::new(Role::Client, Role::Api, "Use the API with the token", why);
    let call = Call::get(state, &state.endpoints.flow_resource, Some(token));
    let answer = call.record(state, &recorder, &mut asked).await;
    let (title, what) = if answer.is_good() {
        ("Welcome", "The API knows whom the token speaks for, what it allows, and that it was meant for this API.")
    } else {
        ("Refused", "The API does not accept the token, and says so with a `WWW-Authenticate` challenge (RFC 6750).")
    };
    let mut answered = Step::new(Role::Api, Role::Client, title, what);
    answered.sent = asked.answer.take();
    let mut steps = vec![asked];
    steps.extend(recorder.take());
    steps.push(answered);
    steps
}
