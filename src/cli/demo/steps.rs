//! What the tour shows, in order: each step with what must come of it.

use super::step::{Ask, Credential, Step};

/// A group of steps under one heading.
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) steps: Vec<Step>,
}

const ORDERS: &str = "/orders";

/// The whole tour.
pub(super) fn chapters() -> Vec<Chapter> {
    vec![
        Chapter { title: "A token, and what it opens", steps: opens() },
        Chapter { title: "What is refused", steps: refusals() },
        Chapter { title: "People: the other three flows of RFC 6749", steps: people() },
        Chapter { title: "People in front of an application, by cookie (OpenID Connect)", steps: browsers() },
        Chapter { title: "Tokens that are renewed, and tokens that say nothing", steps: kinds_of_tokens() },
        Chapter { title: "Streams", steps: streams() },
    ]
}

fn opens() -> Vec<Step> {
    vec![
        machine("A program gets a token for itself (client credentials).", "reader", "TOKEN"),
        call("It opens the orders.", ("GET", ORDERS), Credential::Of("TOKEN")).gives(200, "\"orders\""),
        call("What the API is told, whatever headers you send.", ("GET", "/whoami"), Credential::Of("TOKEN"))
            .gives(200, "\"caller\":\"reader\""),
        call("A public page needs no token.", ("GET", "/public"), Credential::None).gives(200, "public page"),
    ]
}

fn refusals() -> Vec<Step> {
    vec![
        call("No token: a challenge says what is needed.", ("GET", ORDERS), Credential::None)
            .gives(401, "no_credential"),
        call("A token with another signature.", ("GET", ORDERS), Credential::Tampered("TOKEN"))
            .gives(401, "bad_signature"),
        call("The reader may not write: the scope is missing.", ("POST", ORDERS), Credential::Of("TOKEN"))
            .sending(ORDER)
            .gives(403, "insufficient_scope"),
        machine("Get a token as \"writer\".", "writer", "WRITER"),
        call("The writer may.", ("POST", ORDERS), Credential::Of("WRITER")).sending(ORDER).gives(201, "tea"),
        machine("Get a token for somebody else's API.", "reader", "OTHER").with(("resource", "https://other.example")),
        call("It is of no use here: another audience.", ("GET", ORDERS), Credential::Of("OTHER"))
            .gives(401, "wrong_audience"),
        call("A path with two readings is no way around.", ("GET", "/public/../orders"), Credential::None)
            .gives(400, "ambiguous_path"),
        call("What no route names does not exist.", ("GET", "/orders/7/items"), Credential::Of("TOKEN"))
            .gives(404, "no_route"),
        call("Nor does a method that no route names.", ("DELETE", "/orders/7"), Credential::Of("WRITER"))
            .gives(405, "method_not_allowed"),
    ]
}

fn people() -> Vec<Step> {
    vec![
        Step::new(
            "Sign in with the browser: alice, wonderland (authorization code, PKCE).",
            Ask::SignIn { client: "app", implicit: false, scope: "openid profile orders:read", variable: "ALICE" },
        )
        .gives(200, "\"sub\":\"alice\""),
        call("The API is told that it is Alice.", ("GET", "/whoami"), Credential::Of("ALICE"))
            .gives(200, "\"caller\":\"alice\""),
        Step::new(
            "An old page gets its token through the browser (implicit; discouraged).",
            Ask::SignIn { client: "old-page", implicit: true, scope: "orders:read", variable: "PAGE" },
        )
        .gives(303, "access_token"),
        form("An old shop sends Alice's password (password; discouraged).", "old-shop", "/token")
            .with(("grant_type", "password"))
            .with(("username", "alice"))
            .with(("password", "wonderland"))
            .keeping("REFRESH", "refresh_token")
            .gives(200, "refresh_token"),
    ]
}

fn browsers() -> Vec<Step> {
    vec![
        Step::new("A browser without a session is sent to sign in.", Ask::Navigate { path: "/account" })
            .gives(303, "/authorize?"),
        call("A script is told where a person can log in.", ("GET", "/account"), Credential::None)
            .gives(401, "no_credential"),
        Step::new("Log in with the browser: alice, wonderland.", Ask::Open { path: "/account" })
            .gives(200, "You are alice"),
        Step::new("What scripts of the page may know.", Ask::Open { path: "/.tollgate/session" })
            .gives(200, "\"sub\":\"alice\""),
        Step::new(
            "Log out, here and at the authority.",
            Ask::Press { button: "go back, and press \"Log out\"", path: "/.tollgate/logout?return_to=/public" },
        )
        .gives(200, "A public page"),
    ]
}

fn kinds_of_tokens() -> Vec<Step> {
    vec![
        refresh("A refresh token works once, and brings the next.", "$REFRESH").keeping("NEXT", "refresh_token"),
        refresh("Used twice it may be stolen: refused.", "$REFRESH").gives(400, "invalid_grant"),
        refresh("Its successor ends with it.", "$NEXT").gives(400, "invalid_grant"),
        machine("An opaque token is random characters.", "batch", "OPAQUE"),
        form("A resource server asks what it means (introspection).", "api", "/introspect")
            .with(("token", "$OPAQUE"))
            .gives(200, "\"active\":true"),
    ]
}

fn streams() -> Vec<Step> {
    let watch = |title, path, headers, until| Step::new(title, Ask::Watch { path, headers, until });
    vec![
        watch("Server-sent events come one by one (Ctrl-C ends it).", "/events", EVENTS, "id: 2").gives(200, "data:"),
        watch("WebSockets pass, too.", "/echo", WEBSOCKET, "\r\n\r\n").gives(101, ""),
        Step::new("Every refusal was counted.", Ask::Metrics)
            .gives(200, "tollgate_denials_total{code=\"insufficient_scope\",route=\"create-order\"} 1"),
    ]
}

const ORDER: &str = "{\"item\":\"tea\",\"quantity\":2}";

const EVENTS: &[&str] = &["Accept: text/event-stream"];
const WEBSOCKET: &[&str] = &[
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dG9sbGdhdGUtZGVtby13cw==",
];

/// A client posts a form to the authority.
fn form(title: &'static str, client: &'static str, path: &'static str) -> Step {
    Step::new(title, Ask::Form { path, client, form: Vec::new(), keep: None })
}

fn machine(title: &'static str, client: &'static str, variable: &'static str) -> Step {
    form(title, client, "/token").with(("grant_type", "client_credentials")).keeping(variable, "access_token")
}

fn refresh(title: &'static str, token: &'static str) -> Step {
    form(title, "old-shop", "/token").with(("grant_type", "refresh_token")).with(("refresh_token", token))
}

/// A call of the API, through the gateway.
fn call(title: &'static str, (method, path): (&'static str, &'static str), credential: Credential) -> Step {
    Step::new(title, Ask::Call { method, path, credential, body: "" })
}
