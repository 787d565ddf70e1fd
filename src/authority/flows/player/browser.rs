//! The flows that lead through the browser: away to the Authorization Server, and back with a code or with tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::form_urlencoded::Serializer;

use super::super::super::State;
use super::super::super::form::Form;
use super::super::super::settings::Client;
use super::super::catalog::Flow;
use super::super::shown::{self, Token};
use super::super::walk::{Role, Stage, Step, Walk};
use super::{VISIT, token, visit};
use crate::secret::{Secret, random_id, sha256};

/// How an answer came to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Received {
    /// In the query of a redirect.
    Query,
    /// Behind the `#` of a redirect, read by a script.
    Fragment,
    /// As a form that posted itself.
    FormPost,
}

/// Sends the browser away; gives the URL.
pub(super) fn leave(state: &State, client: &Client, id: &str, walk: &mut Walk) -> String {
    let openid = client.scopes.iter().any(|scope| scope == "openid");
    let (kind, mode) = kind_and_mode(walk.flow, openid);
    let verifier = kind.contains("code").then(|| format!("{}{}", random_id(), random_id()));
    let challenge = verifier.as_ref().map(|text| URL_SAFE_NO_PAD.encode(sha256(text.as_bytes())));
    let nonce = openid.then(random_id);
    let scope = client.scopes.join(" ");
    let callback = &state.endpoints.flow_callback.url;
    let optional = [
        ("response_mode", mode),
        ("scope", Some(scope.as_str()).filter(|scope| !scope.is_empty())),
        ("nonce", nonce.as_deref()),
        ("code_challenge", challenge.as_deref()),
        ("code_challenge_method", challenge.as_ref().map(|_| "S256")),
    ];
    let mut parameters =
        vec![("response_type", kind), ("client_id", &client.id), ("redirect_uri", callback), ("state", id)];
    parameters.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let query = Serializer::new(String::new()).extend_pairs(&parameters).finish();
    let shown = shown::parameters("?", parameters.iter().copied());
    walk.add(departure(state, &shown, why_away(walk.flow, openid)));
    walk.stage = Stage::Away { verifier: verifier.map(Secret::new), nonce };
    format!("{}?{query}", state.endpoints.authorize.url)
}

/// `response_type` and `response_mode`.
const fn kind_and_mode(flow: Flow, openid: bool) -> (&'static str, Option<&'static str>) {
    match (flow, openid) {
        (Flow::Hybrid, true) => ("code id_token", Some("form_post")),
        (Flow::Hybrid, false) => ("code token", Some("form_post")),
        (Flow::Implicit, true) => ("id_token token", None),
        (Flow::Implicit, false) => ("token", None),
        _ => ("code", None),
    }
}

/// From the client to the Authorization Server; `shown` are the parameters.
fn departure(state: &State, shown: &str, why: String) -> [Step; 2] {
    let mut away = Step::new(Role::Client, Role::Browser, "Go to the Authorization Server", why);
    away.sent = Some(format!("HTTP/1.1 303 See Other\nLocation: {}{shown}", state.endpoints.authorize.url));
    let mut there = Step::new(
        Role::Browser,
        Role::Server,
        "Sign in there, and agree",
        "The browser leaves the client. What you see now are pages of the Authorization Server: name and password go to it \
         and to nobody else. It also checks that `redirect_uri` is one that this client registered, so that the answer \
         cannot go astray.",
    );
    there.sent = Some(format!("GET {} HTTP/1.1 with the parameters above", state.endpoints.authorize.path));
    [away, there]
}

fn why_away(flow: Flow, openid: bool) -> String {
    let mut why = String::from(
        "Everything here travels through the browser, so nothing in it is secret. `state` is random: only an answer that \
         repeats it belongs to this browser, which keeps others from slipping you theirs.",
    );
    if flow != Flow::Implicit {
        why.push_str(
            " For PKCE the client made up a secret, the verifier, and shows only its SHA-256 here: `code_challenge`.",
        );
    }
    if openid {
        why.push_str(" `scope=openid` asks for an ID token too, and `nonce` will have to be in it.");
    }
    why
}

/// The answer came back through the browser.
pub(in super::super) async fn received(state: &State, client: &Client, walk: &mut Walk, how: Received, form: &Form) {
    let Stage::Away { verifier, nonce } = std::mem::replace(&mut walk.stage, Stage::Over) else { return };
    if let Some(there) = walk.steps.last_mut() {
        there.answer = Some(way_back(state, how, form));
    }
    let mut back = arrival(state, how, form);
    let id_token = form.get("id_token");
    for (name, value) in [("access_token", form.get("access_token")), ("id_token", id_token)] {
        back.tokens.extend(value.and_then(|token| Token::of(name, token)));
    }
    if let Some(error) = form.get("error") {
        back.title = "Back to the client, with a no";
        back.why = format!(
            "There is no code and no token, only a reason: `{error}`. The client can tell the person, and try again later."
        );
        return walk.add([back]);
    }
    let repeats_nonce = id_token.is_none() || back.tokens.last().and_then(nonce_of) == nonce;
    if let Some(why) = objection(state, form, repeats_nonce) {
        back.why = why.into();
        return walk.add([back]);
    }
    walk.add([back]);
    let mut access = form.get("access_token").map(str::to_owned);
    if let Some(code) = form.get("code") {
        let answer = redeem(state, client, walk, code, verifier.as_ref()).await;
        access = answer.text("access_token").or(access);
        if walk.flow == Flow::Refresh {
            return refresh(state, client, walk, answer.text("refresh_token")).await;
        }
    }
    if let Some(access) = access {
        walk.add(visit(state, &access, VISIT).await);
    }
}

/// Why a careful client goes no further.
fn objection(state: &State, form: &Form, repeats_nonce: bool) -> Option<&'static str> {
    if form.get("iss") != Some(state.settings.issuer.as_str()) {
        return Some(
            "The answer names another issuer in `iss`. A careful client stops here (RFC 9207): it may have been tricked \
             into talking to the wrong Authorization Server.",
        );
    }
    (!repeats_nonce).then_some(
        "The ID token does not repeat the `nonce` of this request. A careful client stops here: the token may have been \
         stolen from another answer.",
    )
}

fn nonce_of(token: &Token) -> Option<String> {
    let (_, value) = token.claims.iter().find(|(name, _)| name == "nonce")?;
    serde_json::from_str(value).ok()
}

fn pairs(form: &Form) -> Vec<(&str, &str)> {
    form.pairs().collect()
}

/// What the Authorization Server answered the browser, as the browser brought it.
fn way_back(state: &State, how: Received, form: &Form) -> String {
    let callback = &state.endpoints.flow_callback.url;
    match how {
        Received::Query => {
            format!("HTTP/1.1 303 See Other\nLocation: {callback}{}", shown::parameters("?", pairs(form)))
        }
        Received::Fragment => {
            format!("HTTP/1.1 303 See Other\nLocation: {callback}{}", shown::parameters("#", pairs(form)))
        }
        Received::FormPost => format!(
            "HTTP/1.1 200 OK\nContent-Type: text/html\n\na page whose form posts itself to {callback}:\n{}",
            shown::parameters("", pairs(form))
        ),
    }
}

fn arrival(state: &State, how: Received, form: &Form) -> Step {
    let path = &state.endpoints.flow_callback.path;
    let (sent, title, why) = match how {
        Received::Query => (
            format!("GET {path}{} HTTP/1.1", shown::parameters("?", pairs(form))),
            "Back to the client, with a code",
            "The code is short-lived, works once, and only for this client. It is in the browser's history now; that is why \
             it is not a token. The client checks that `state` is the one it gave this browser, and that `iss` is the \
             Authorization Server it asked (RFC 9207).",
        ),
        Received::Fragment => (
            format!(
                "GET {path} HTTP/1.1\n\nand a script of the page reads, behind the #:\n{}",
                shown::parameters("#", pairs(form))
            ),
            "Back to the client, with the tokens",
            "What stands behind the `#` the browser does not send: only a script of the client's page sees it. So does \
             every other script there, every extension, and the history. Nothing says that the token was made for this \
             client, and nobody had to prove who they are to get it.",
        ),
        Received::FormPost => (
            format!(
                "POST {path} HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\n{}",
                shown::parameters("", pairs(form))
            ),
            "Back to the client, by a form that posts itself",
            "With `response_mode=form_post` nothing is in the address line or the history. The ID token came through the \
             browser, so the client checks its signature, its `nonce`, and that `c_hash` is the hash of this very code.",
        ),
    };
    let mut step = Step::new(Role::Browser, Role::Client, title, why);
    step.sent = Some(sent);
    step
}

async fn redeem(
    state: &State,
    client: &Client,
    walk: &mut Walk,
    code: &str,
    verifier: Option<&Secret>,
) -> super::Answer {
    let mut step = Step::new(Role::Client, Role::Server, "Trade the code for tokens", why_redeem(client));
    let mut parameters = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &state.endpoints.flow_callback.url),
    ];
    parameters.extend(verifier.map(|verifier| ("code_verifier", verifier.expose())));
    let answer = token(state, client, &parameters, &mut step).await;
    walk.add([step]);
    answer
}

fn why_redeem(client: &Client) -> String {
    let proof = if client.is_public() {
        "This client has no secret: a program on somebody's machine could not keep one. PKCE is what protects it."
    } else {
        "The client proves who it is with its secret."
    };
    format!(
        "Now without the browser: the client calls the Authorization Server itself. {proof} `code_verifier` is the secret \
         behind the challenge: whoever only stole the code does not have it. The access token is for the API. The ID token, \
         if there is one, is for the client: it says who signed in, and never goes to an API."
    )
}

/// Two rotations, a thief, and the end.
async fn refresh(state: &State, client: &Client, walk: &mut Walk, first: Option<String>) {
    let Some(first) = first else {
        return walk.add([Step::new(
            Role::Server,
            Role::Client,
            "No refresh token came",
            "A client whose scopes have `offline_access` gets one only when it asks for that scope and the person agrees.",
        )]);
    };
    let why = "The access token is over, or will be. The client shows the refresh token, and who it is. It gets a new access \
               token and a new refresh token: the old one is used up (rotation).";
    let first_use = Step::new(Role::Client, Role::Server, "A new access token, please", why);
    let Some(second) = rotate(state, client, walk, &first, first_use).await else { return };
    let again =
        Step::new(Role::Client, Role::Server, "And again", "Minutes later, the same again, with the newest one.");
    let Some(third) = rotate(state, client, walk, &second, again).await else { return };
    let why = "Somebody stole the very first refresh token and tries it. It was used before, so the server knows that two \
               parties hold tokens of this sign-in. It cannot know which one is the thief, so it ends the whole family.";
    let theft = Step::new(Role::Client, Role::Server, "A thief comes with the first one", why);
    rotate(state, client, walk, &first, theft).await;
    let why = "The client's own, newest refresh token is over as well. It has to send the person to sign in again, and the \
               thief has nothing.";
    let end = Step::new(Role::Client, Role::Server, "The family has ended", why);
    rotate(state, client, walk, &third, end).await;
}

async fn rotate(
    state: &State,
    client: &Client,
    walk: &mut Walk,
    refresh_token: &str,
    mut step: Step,
) -> Option<String> {
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    let answer = token(state, client, &parameters, &mut step).await;
    walk.add([step]);
    answer.text("refresh_token")
}
