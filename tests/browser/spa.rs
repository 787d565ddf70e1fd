//! The single-page application of `config/examples/spa` in headless Chromium, as `tests/interop/spa-scenarios.mjs` tells it:
//! what it shows, and that no token gets into the browser.

use std::path::Path;

use serde_json::json;

use super::play;
use super::support::client::Conn;
use super::support::gateway::Gateway;
use super::support::upstream::{Upstream, nobody, respond};

/// The files of the example, as any web server gives them.
fn files() -> Upstream {
    Upstream::start(|seen, conn| {
        let name = match seen.target.as_str() {
            "/" => "index.html",
            path => path.trim_start_matches('/'),
        };
        let kind = match name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            _ => "application/json",
        };
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/spa").join(name);
        match std::fs::read(file) {
            Ok(content) => respond(conn, 200, &format!("Content-Type: {kind}\r\n"), content),
            Err(_) => respond(conn, 404, "", ""),
        }
    })
}

#[test]
fn the_single_page_application_has_no_token() {
    let (application, authority, files) = (nobody(), nobody(), files());
    let config = include_str!("../../config/examples/spa.toml")
        .replace("127.0.0.1:8080", &application.to_string())
        .replace("127.0.0.1:9000", &authority.to_string())
        .replace("127.0.0.1:9001", &files.address.to_string());
    let gateway = Gateway::start(&config);
    gateway.until("the authority listens", || Conn::try_open(authority).ok());
    let settings = json!({ "issuer": format!("http://{authority}"), "gateway": format!("http://{application}") });
    play("spa", settings, &gateway);
    let calls: Vec<_> = files.seen().into_iter().filter(|seen| seen.target.starts_with("/api/")).collect();
    let mut bearers: Vec<_> = calls.iter().map(|seen| seen.header("authorization").unwrap_or_default()).collect();
    assert!(bearers.len() >= 2 && bearers.iter().all(|bearer| bearer.starts_with("Bearer ey")), "{bearers:?}");
    bearers.dedup();
    assert!(bearers.len() >= 2, "what the page renewed goes up: {bearers:?}");
    assert!(calls.iter().all(|seen| seen.header("cookie").is_none()), "the session's cookie stays at the gateway");
}
