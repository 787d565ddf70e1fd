//! Logins of the gateway in headless Chromium at the npm package `oidc-provider` (`tests/interop/provider.mjs`): what
//! `logins.rs` walks at the embedded authority, by the same scenarios.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::logins::{STRONGER, application};
use super::play;
use super::support::gateway::Gateway;
use super::support::process;
use super::support::upstream::nobody;

/// The package. Dropping it ends the process.
struct Provider {
    child: Child,
    issuer: String,
}

impl Provider {
    #[track_caller]
    fn start(application: SocketAddr) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/provider.mjs");
        let mut command = Command::new("node");
        command.arg(script).env("TOLLGATE_APPLICATION", format!("http://{application}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("node runs; tests/run installs it");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says where it is");
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, issuer: told["issuer"].as_str().expect("a text").to_owned() }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(3));
    }
}

/// Plays a scenario with more tables in the configuration.
#[track_caller]
fn browse(scenario: &str, tables: &str) -> Gateway {
    let (address, application) = (nobody(), application());
    let provider = Provider::start(address);
    let config = format!(
        r#"
[server]
listen = "{address}"

[issuers.main]
issuer = "{}"

{}
[[routes]]
path = "/{{*rest}}"
upstream = "app"
login = "web"

[[routes]]
path = "/reader"
upstream = "app"
login = "web"
scopes = ["orders:read"]
credential = "pass"

[[routes]]
path = "/public"
upstream = "app"
access = "public"

[logins.web]
issuer = "main"
client_id = "web"
client_secret = "a secret: 100% +*-._~"
scopes = ["offline_access", "orders:read"]
public_url = "http://{address}"

{tables}
"#,
        provider.issuer,
        application.toml("app")
    );
    let gateway = Gateway::start(&config);
    let settings = json!({ "issuer": provider.issuer, "gateway": format!("http://{address}"), "asks": true });
    play(scenario, settings, &gateway);
    gateway
}

/// How the calls of the issuer's back channel were answered.
fn back_channel(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.access_log();
    let told = log.iter().filter(|line| line["path"] == "/.tollgate/backchannel-logout");
    told.map(|line| line["status"].clone()).collect()
}

#[test]
fn oidc_provider_logs_in_a_person_who_comes_to_the_page_that_was_asked_for() {
    browse("gateway-login", "");
}

#[test]
fn oidc_provider_logs_in_two_tabs_at_once() {
    browse("gateway-tabs", "");
}

#[test]
fn oidc_provider_still_knows_the_person_whose_session_ended() {
    browse("gateway-expiry", "[sessions]\nlifetime = \"8s\"");
}

#[test]
fn oidc_provider_renews_tokens_while_the_person_notices_nothing() {
    browse("gateway-refresh", "");
}

#[test]
fn oidc_provider_signs_in_anew_for_a_page_that_needs_it() {
    browse("gateway-step-up", STRONGER);
}

#[test]
fn oidc_provider_signs_out_who_logs_out() {
    let gateway = browse("gateway-logout", "");
    assert_eq!(back_channel(&gateway), [200, 200], "once by each logout");
}

#[test]
fn a_sign_out_at_oidc_provider_ends_the_session() {
    let gateway = browse("gateway-back-channel", "");
    assert_eq!(back_channel(&gateway), [200]);
}
