//! The device flow: a code for the person, and questions until they answered.

use super::super::super::State;
use super::super::super::settings::Client;
use super::super::call::{Call, Recorder};
use super::super::walk::{Role, Stage, Step, Walk};
use super::{VISIT, token, visit};
use crate::secret::Secret;

/// Gets the codes, shows the one for the person, and asks a first time.
pub(super) async fn begin(state: &State, client: &Client, walk: &mut Walk) {
    let mut step = Step::new(
        Role::Client,
        Role::Server,
        "I have no browser; a code, please",
        "Two codes come: `user_code`, which is short and for the person, and `device_code`, which is long, secret, and stays \
         on the device.",
    );
    let scope = client.scopes.join(" ");
    let parameters: &[(&str, &str)] = if scope.is_empty() { &[] } else { &[("scope", &scope)] };
    let call = Call::form(state, &state.endpoints.device_authorization, client, parameters);
    let answer = call.record(state, &Recorder::default(), &mut step).await;
    walk.add([step]);
    let texts = (answer.text("device_code"), answer.text("user_code"), answer.text("verification_uri"));
    let (Some(device_code), Some(user_code), Some(page)) = texts else { return };
    let mut screen = Step::new(
        Role::Client,
        Role::Browser,
        "The device shows a code",
        "On its screen, often as a picture that a phone can read. The person is the one who carries it over to a browser.",
    );
    screen.sent = Some(format!("Go to  {page}\nand type  {user_code}"));
    walk.add([screen]);
    walk.stage =
        Stage::AtDevice { device_code: Secret::new(device_code), page: format!("{page}?user_code={user_code}") };
    ask(state, client, walk).await;
}

/// Asks whether the person has answered.
pub(in super::super) async fn ask(state: &State, client: &Client, walk: &mut Walk) {
    let Stage::AtDevice { device_code, .. } = walk.stage.clone() else { return };
    let mut step = Step::new(Role::Client, Role::Server, "Is it done?", "");
    let parameters =
        [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", device_code.expose())];
    let answer = token(state, client, &parameters, &mut step).await;
    let access = answer.text("access_token");
    step.why = why(&answer.text("error").unwrap_or_default()).into();
    let waits =
        access.is_none() && matches!(answer.text("error").as_deref(), Some("authorization_pending" | "slow_down"));
    if access.is_some() {
        walk.add([Step::new(
            Role::Browser,
            Role::Server,
            "The person types the code, signs in, agrees",
            "Meanwhile, in a browser, at pages of the Authorization Server. The device took no part in it.",
        )]);
    }
    walk.add([step]);
    if !waits || !walk.has_room() {
        walk.stage = Stage::Over;
    }
    if let Some(access) = access {
        walk.add(visit(state, &access, VISIT).await);
    }
}

fn why(error: &str) -> &'static str {
    match error {
        "authorization_pending" => {
            "Not yet: the person has not answered. The device waits `interval` seconds and asks again."
        }
        "slow_down" => "Too early: the device has to wait 5 seconds longer between its questions from now on.",
        "access_denied" => "The person said no. The device says so, and that is the end.",
        "expired_token" => "Nobody answered in time. The device would begin again.",
        "" => "Yes: the person agreed, and the device has its tokens. The device code is used up.",
        _ => "Something is wrong, and the flow ends here.",
    }
}
