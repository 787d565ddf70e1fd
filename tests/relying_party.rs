//! The checks of the OpenID Foundation's certification plans for relying parties (Basic, its form_post variant, Config,
//! Refresh Token, RP-Initiated Logout, Back-Channel Logout), as tests of our own: one function for each module of the
//! conformance suite, named after it. The words of a module's comment are ours.
//!
//! The provider is the embedded authority with its faults on purpose, or, where a module is about what no such fault makes,
//! one that a test scripts. Where a module hands out something bad, the suite expects that nothing follows. Here that means:
//! an error page with a reference that the log has beside the reason, no session that opens anything, and an upstream that
//! never hears of it.

#[path = "relying_party/backchannel_logout.rs"]
mod backchannel_logout;
#[path = "relying_party/basic.rs"]
mod basic;
#[path = "relying_party/checks.rs"]
mod checks;
#[path = "relying_party/config.rs"]
mod config;
#[path = "relying_party/form_post.rs"]
mod form_post;
#[path = "relying_party/refresh_token.rs"]
mod refresh_token;
#[path = "relying_party/rp_initiated_logout.rs"]
mod rp_initiated_logout;
mod support;

use support::browser::Browser;
use support::client::Response;
use support::foreign::Mode;
use support::gateway::Gateway;
use support::upstream::Upstream;
use support::world::{Setting, World};

/// An application that logs in at the authority.
#[track_caller]
fn world(mode: Mode, login: &str) -> World {
    let posted = format!("response_mode = \"form_post\"\n{login}");
    match mode {
        Mode::Query => World::with(login, ""),
        Mode::FormPost => World::set(Setting { login: &posted, tls: true, ..Setting::default() }),
    }
}

/// The login came to nothing, for this reason.
#[track_caller]
fn assert_refused(answer: &Response, reason: &str, gateway: &Gateway, upstream: &Upstream) {
    let page = answer.text();
    assert!(matches!(answer.status, 400 | 502), "{}: {page}", answer.status);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let reference = page.split("login_failed, reference ").nth(1).and_then(|rest| rest.get(..8));
    let reference = reference.unwrap_or_else(|| panic!("no reference: {page}"));
    let logged = gateway.until("the reference is in the log", || {
        gateway.access_log().into_iter().find(|line| line.to_string().contains(reference))
    });
    assert_eq!(logged["denial"], "login_failed");
    assert!(logged.to_string().contains(reason), "{logged}");
    assert!(!page.contains(reason), "the page tells nothing of the inside: {page}");
    let seen = upstream.seen();
    assert!(seen.is_empty(), "{seen:?}");
}

/// What the browser has opens nothing, as a script of the application finds out.
#[track_caller]
fn assert_shut_out(browser: &mut Browser, url: &str, upstream: &Upstream) {
    assert_eq!(World::session_cookie(browser), None);
    let fields = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin"), ("Accept", "*/*")];
    let answer = browser.send("GET", url, &fields, "");
    assert_eq!((answer.status, answer.code()), (401, "no_credential".into()));
    assert!(upstream.seen().is_empty());
}
