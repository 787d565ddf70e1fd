//! Pages in a real browser, headless Chromium. Here it signs in at the authority, agrees, refuses, signs out and walks every
//! flow of the flow page, as `tests/interop/browser-scenarios.mjs` tells it to; `browser/logins.rs` has the logins of the
//! gateway, `browser/oidc_provider.rs` the same at another issuer, `browser/spa.rs` the single-page application of the
//! examples, `browser/command_line.rs` what `tollgate token` shows. `tests/run` installs what it needs.
//!
//! With `TOLLGATE_SCREENSHOTS=1` in the environment the pages are kept as pictures in `target/screenshots`.

#[path = "browser/command_line.rs"]
mod command_line;
#[path = "browser/logins.rs"]
mod logins;
#[path = "browser/oidc_provider.rs"]
mod oidc_provider;
#[path = "browser/spa.rs"]
mod spa;
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::client::Conn;
use support::gateway::Gateway;
use support::process;
use support::upstream::nobody;

/// The example of the documentation, with an application that answers, on ports of its own.
fn config(authority: SocketAddr, application: SocketAddr) -> String {
    let example = include_str!("../config/examples/authority.toml");
    let moved = example
        .replace("127.0.0.1:9000", &authority.to_string())
        .replace("http://127.0.0.1:8080/.tollgate/callback", &format!("http://{application}/callback"))
        .replace("http://127.0.0.1:8080/.tollgate/logged-out", &format!("http://{application}/signed-out"));
    let told = format!("id = \"web\"\nfrontchannel_logout_uri = \"http://{application}/frontchannel\"");
    let config = moved.replacen("id = \"web\"", &told, 1);
    assert!(config.contains(&told) && config.contains("/signed-out"), "the example has changed");
    config
}

/// Runs one scenario against an authority of its own.
#[track_caller]
fn browse(scenario: &str) {
    let (authority, application) = (nobody(), nobody());
    let gateway = Gateway::listening(&config(authority, application));
    gateway.until("the authority listens", || Conn::try_open(authority).ok());
    let settings = json!({ "issuer": format!("http://{authority}"), "client": format!("http://{application}") });
    play(scenario, settings, &gateway);
}

/// The status of `browser.mjs` when its browser has stopped answering.
const STUCK: i32 = 75;

/// Has Chromium play a scenario. A browser that stops answering, which says nothing of the pages, is started anew, once.
#[track_caller]
#[expect(clippy::print_stderr, reason = "that a browser had to be started anew must not go by unseen")]
fn play(scenario: &str, mut settings: Value, gateway: &Gateway) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let interop = here.join("tests/interop");
    assert!(interop.join("node_modules/playwright-core").exists(), "run tests/run, or `npm ci` in tests/interop");
    settings["chromium"] = json!(chromium());
    settings["screenshots"] = json!(std::env::var_os("TOLLGATE_SCREENSHOTS").map(|_| here.join("target/screenshots")));
    let mut node = Command::new("node");
    node.arg(interop.join("browser.mjs")).arg(scenario).env("TOLLGATE_BROWSER", settings.to_string());
    let mut run = || process::output(&mut node).expect("node runs; tests/run installs it");
    let mut output = run();
    if output.status.code() == Some(STUCK) {
        eprintln!("{scenario}, once more: {}", String::from_utf8_lossy(&output.stdout));
        output = run();
    }
    let (said, cried) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{scenario}: {}\n{said}{cried}{}", output.status, gateway.logs());
}

/// Debian's name of the program, or Ubuntu's.
fn chromium() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs =
        std::env::split_paths(&path).flat_map(|folder| ["chromium", "chromium-browser"].map(|name| folder.join(name)));
    let found = programs.find(|program| program.is_file());
    found.expect("chromium; tests/run installs it: apt-get install chromium").display().to_string()
}

#[test]
fn a_person_signs_in_and_agrees() {
    browse("sign-in");
}

#[test]
fn a_person_says_no() {
    browse("deny");
}

#[test]
fn a_person_chooses_an_account() {
    browse("accounts");
}

#[test]
fn an_answer_posts_itself() {
    browse("form-post");
}

#[test]
fn a_person_signs_out_and_the_application_hears_of_it_in_a_frame() {
    browse("sign-out");
}

#[test]
fn a_device_is_connected() {
    browse("device");
}

#[test]
fn an_error_is_shown() {
    browse("errors");
}

#[test]
fn the_keyboard_is_enough() {
    browse("keyboard");
}

#[test]
fn pages_fit_a_phone_and_the_dark() {
    browse("small");
}

#[test]
fn every_flow_can_be_walked() {
    browse("walks");
}

#[test]
fn a_walk_shows_a_no_and_belongs_to_its_browser() {
    browse("walk-denied");
}
