//! The flows without a person: a client speaks for itself.

use super::super::super::State;
use super::super::super::settings::{Client, TokenForm};
use super::super::call::{Call, Recorder};
use super::super::catalog::Flow;
use super::super::walk::{Role, Step, Walk};
use super::{VISIT, token, visit};

/// A token, and its use.
pub(super) async fn machine(state: &State, client: &Client, walk: &mut Walk) {
    if let Some(access) = get(state, client, walk, "A token for myself, please", MACHINE).await {
        walk.add(visit(state, &access, VISIT).await);
    }
}

const MACHINE: &str = "The client proves who it is with its secret, and names no person. The token's `sub` is the client. The \
    secret is never in a URL, and never in anything that people get to hold, such as an app or a web page.";

/// One token of each form, used, taken back, and used again.
pub(super) async fn forms(state: &State, client: &Client, walk: &mut Walk) {
    let why = "This client's access tokens are opaque: there is nothing in them to read, for nobody.";
    life(state, client, walk, "An opaque token, please", why).await;
    let clients = &state.settings.clients;
    let jwt = clients.iter().find(|client| client.access_tokens == TokenForm::Jwt && Flow::Machine.suits(client));
    match jwt {
        Some(client) => {
            let why = "Another client, the same grant; its access tokens are JWTs (RFC 9068). Signed, not encrypted: everyone \
                       who holds it can read it.";
            life(state, client, walk, "A JWT, please", why).await;
        }
        None => walk.add([Step::new(
            Role::Client,
            Role::Client,
            "No client has JWTs here",
            "To see the difference, configure a second client with `client_credentials` and `access_tokens = \"jwt\"`.",
        )]),
    }
}

async fn life(state: &State, client: &Client, walk: &mut Walk, title: &'static str, why: &'static str) {
    let Some(access) = get(state, client, walk, title, why).await else { return };
    walk.add(visit(state, &access, "The client uses the API. Watch whom the API asks.").await);
    let mut revoked = Step::new(
        Role::Client,
        Role::Server,
        "Take the token back",
        "Revocation (RFC 7009). The Authorization Server forgets the token, and always says 200.",
    );
    let call = Call::form(state, &state.endpoints.revoke, client, &[("token", &access)]);
    call.record(state, &Recorder::default(), &mut revoked).await;
    walk.add([revoked]);
    let after = match client.access_tokens {
        TokenForm::Opaque => "The same token again. The API asks, and hears that it is over: refused at once.",
        TokenForm::Jwt => {
            "The same token again. Its signature is as good as ever, and the API asks nobody: it is accepted until `exp`."
        }
    };
    walk.add(visit(state, &access, after).await);
}

async fn get(
    state: &State,
    client: &Client,
    walk: &mut Walk,
    title: &'static str,
    why: &'static str,
) -> Option<String> {
    let mut step = Step::new(Role::Client, Role::Server, title, why);
    let answer = token(state, client, &[("grant_type", "client_credentials")], &mut step).await;
    walk.add([step]);
    answer.text("access_token")
}
