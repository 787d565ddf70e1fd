//! What to try after a refusal: the error codes of RFC 6749, 8628, 8707 and 9449, in the light of what was asked.

use super::args::{Auth, Flow, Order};
use super::endpoint::Server;
use super::failure::Refusal;
use super::shown::shown;

/// Entries of an announced list that are shown.
const SHOWN: usize = 20;

/// What may help; `None` when the answer says all that there is to say.
pub(super) fn of(refusal: &Refusal, order: &Order, server: &Server<'_>) -> Option<String> {
    let announced = |member: &str| {
        server.metadata.list(member).map_or_else(String::new, |mut list| {
            list.truncate(SHOWN);
            format!("; the server announces: {}", shown(&list.join(" ")))
        })
    };
    Some(match refusal.code.as_str() {
        "invalid_client" => client(&order.client.auth).to_owned(),
        "unauthorized_client" => {
            format!("this client may not use {}: allow it where the client is registered", order.flow.name())
        }
        "unsupported_grant_type" => {
            format!("the server does not do {}{}", order.flow.name(), announced("grant_types_supported"))
        }
        "unsupported_response_type" => {
            format!("the server does not answer in this way; try --flow code{}", announced("response_types_supported"))
        }
        "invalid_scope" => format!("ask for scopes that this client may have{}", announced("scopes_supported")),
        "invalid_target" => "the server knows no such API: check --resource and --audience".into(),
        "invalid_grant" => grant(&order.flow)?.to_owned(),
        "access_denied" => "the person, or a rule of the server, said no".into(),
        "expired_token" => "the code was not used in time: start anew".into(),
        "login_required" | "consent_required" | "interaction_required" | "account_selection_required" => {
            "a person has to act, and the request (prompt=none?) did not let the server ask".into()
        }
        "use_dpop_nonce" | "invalid_dpop_proof" => "the server wants DPoP, which this command does not do".into(),
        "server_error" | "temporarily_unavailable" => "the fault is with the server: try again later".into(),
        _ => return None,
    })
}

const fn client(auth: &Auth) -> &'static str {
    match auth {
        Auth::None => "check --client-id; a client with a secret must show it: --client-secret-file FILE",
        Auth::Basic(_) => "check --client-id and the secret, and whether the server wants --auth post",
        Auth::Post(_) => "check --client-id and the secret, and whether the server wants --auth basic",
        Auth::Announced(_) => {
            "check --client-id and the secret; --auth basic or post, if this client must use the other one"
        }
    }
}

const fn grant(flow: &Flow) -> Option<&'static str> {
    match flow {
        Flow::ClientCredentials => None,
        Flow::Code(_) | Flow::Implicit(_) | Flow::Device { .. } => {
            Some("start anew: a code is good once, and not for long")
        }
        Flow::Password { .. } => Some("check --username and the password"),
        Flow::Refresh { .. } => Some(
            "the refresh token is used, revoked, expired or another client's: sign in anew, for example with --flow code",
        ),
    }
}
