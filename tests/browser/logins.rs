//! Logins of the gateway in headless Chromium at the embedded authority, as `tests/interop/login-scenarios.mjs` tells it;
//! `oidc_provider.rs` has them at another issuer.

use std::path::Path;

use serde_json::json;

use super::play;
use super::support::upstream::{Seen, Upstream, nobody, respond};
use super::support::world::{Setting, World};

/// An application that knows nothing of logins: it shows who it is told is there, and what of their secrets it got.
pub fn application() -> Upstream {
    Upstream::start(|seen, conn| {
        let page = if seen.method == "POST" { "<h1>Saved</h1>".into() } else { shown(seen) };
        let html = format!(
            "<!doctype html><html lang=\"en\"><link rel=\"icon\" href=\"data:,\"><title>Application</title>{page}"
        );
        respond(conn, 200, "Content-Type: text/html; charset=utf-8\r\n", html)
    })
}

fn shown(seen: &Seen) -> String {
    let field = |name: &str| seen.header(name).unwrap_or_default();
    let bearer = field("authorization");
    let end = &bearer[bearer.len().saturating_sub(20)..];
    let button = |to: &str, text: &str| {
        format!("<form method=\"post\" action=\"/.tollgate/logout?return_to={to}\"><button>{text}</button></form>")
    };
    format!(
        "<h1>Application</h1><p id=\"who\">{}</p><p id=\"token\">{end}</p><p id=\"cookies\">{}</p>\
         <form method=\"post\" action=\"/save\"><label>Text <input name=\"text\"></label><button>Save</button></form>{}{}",
        field("x-auth-subject"),
        field("cookie"),
        button("%2F", "Log out"),
        button("%2Fpublic%3Fafter%3Dlogout", "Log out and see what is public"),
    )
}

/// Plays a scenario in a world with this in its configuration.
#[track_caller]
fn browse(scenario: &str, login: &str, rest: &str) {
    let setting = Setting { login, rest, application: Some(application()), ..Setting::default() };
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/pages/page.html");
    std::fs::copy(pages, setting.folder.path().join("page.html")).expect("the example is there");
    let world = World::set(setting);
    let settings = json!({ "issuer": world.at_authority(""), "gateway": world.url("") });
    play(scenario, settings, &world.gateway);
}

/// A second login, of staff, and an upstream that nobody is at.
fn staff() -> (String, &'static str) {
    let login = format!(
        r#"label = "Customers"

[logins.staff]
issuer = "main"
label = "Staff of Acme"
client_id = "staff"
public_url = "http://@address"
callback = "/.tollgate/callback/staff"

[upstreams.broken]
servers = ["http://{}"]

[[routes]]
path = "/staff/{{*rest}}"
upstream = "app"
login = "staff"

[[routes]]
path = "/broken"
upstream = "broken"
access = "public"
"#,
        nobody()
    );
    let client = r#"
[[authority.clients]]
id = "staff"
grants = ["authorization_code"]
redirect_uris = ["http://@address/.tollgate/callback/staff"]
scopes = ["openid"]
"#;
    (login, client)
}

#[test]
fn a_person_logs_in_and_comes_to_the_page_that_was_asked_for() {
    browse("gateway-login", "", "");
}

#[test]
fn two_tabs_log_in_at_once() {
    browse("gateway-tabs", "", "");
}

#[test]
fn a_session_ends_and_nothing_is_lost_but_the_form() {
    browse("gateway-expiry", "", "[sessions]\nlifetime = \"8s\"");
}

#[test]
fn tokens_are_renewed_while_the_person_notices_nothing() {
    browse("gateway-refresh", "", "token_lifetime = \"2s\"");
}

#[test]
fn a_person_logs_out_here_and_there() {
    browse("gateway-logout", "", "");
}

#[test]
fn a_sign_out_at_the_authority_ends_the_session() {
    browse("gateway-back-channel", "", "");
}

#[test]
fn a_person_says_no_and_thinks_again() {
    browse("gateway-denied", "", "");
}

/// Routes of the scenario `gateway-step-up`.
pub const STRONGER: &str = r#"
[[routes]]
path = "/strong"
upstream = "app"
login = "web"
acr = ["gold", "silver"]

[[routes]]
path = "/recent"
upstream = "app"
login = "web"
max_age = "4s"
"#;

#[test]
fn a_person_signs_in_anew_for_a_page_that_needs_it() {
    browse("gateway-step-up", STRONGER, "");
}

#[test]
fn a_person_who_may_not_logs_in_with_another_account() {
    let route =
        "[[routes]]\npath = \"/bobs\"\nupstream = \"app\"\nlogin = \"web\"\nclaims = { \"/sub\" = \"user-bob\" }";
    let bob = "[[authority.users]]\nname = \"bob\"\nsub = \"user-bob\"\npassword = \"builder\"";
    browse("gateway-another-account", route, bob);
}

#[test]
fn an_answer_that_was_used_shows_an_error_with_a_reference() {
    browse("gateway-twice", "", "");
}

#[test]
fn a_person_chooses_a_login() {
    let (login, client) = staff();
    browse("gateway-chooser", &login, client);
}

#[test]
fn the_gateway_s_pages_fit_a_phone_and_the_dark() {
    let (login, client) = staff();
    browse("gateway-small", &login, client);
}

#[test]
fn the_example_of_an_own_page_keeps_to_its_policy() {
    let (login, client) = staff();
    browse("gateway-own-pages", &format!("{login}\n[pages]\ntemplate = \"page.html\"\n"), client);
}
