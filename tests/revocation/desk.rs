//! What the admin listener takes as an order, and from whom.

use serde_json::json;

use crate::support::client::Request;
use crate::support::report;
use crate::world::{World, listed, order};

#[test]
fn orders_that_cannot_be_meant_are_refused_and_change_nothing() {
    let world = World::new();
    let gateway = world.gateway("");
    let raw = |body: &str| {
        Request::new("POST", "/revocations")
            .host("localhost")
            .field("Content-Type", "application/json")
            .body(body.as_bytes())
    };
    let good = || order(&json!({"sub": "alice"}));
    let huge = format!("{{\"jti\": \"{}\"}}", "x".repeat(17 * 1024));
    let cases = [
        (raw("{"), 400, "not an order"),
        (raw(""), 400, "not an order"),
        (raw("[]"), 400, "not an order"),
        (raw("{\"sub\": \"alice\"} {}"), 400, "not an order"),
        (raw("{\"sub\": \"alice\", \"sub\": \"bob\"}"), 400, "duplicate field"),
        (raw("{\"sub\": \"alice\", \"until_\": 1}"), 400, "unknown field `until_`"),
        (raw("{\"sub\": \"alice\", \"jti\": \"1\"}"), 400, "exactly one"),
        (raw("{\"sub\": \"alice\", \"issuer\": \"acmee\"}"), 400, "there is: acme"),
        (raw("{\"sub\": \"alice\", \"until\": 1}"), 400, "in the future"),
        (raw(&huge), 413, "16 KiB"),
        (good().field("Origin", "https://evil.example"), 403, "browser"),
        (good().field("Origin", "null"), 403, "browser"),
        (good().field("Sec-Fetch-Site", "same-origin"), 403, "browser"),
        (good().host("gateway.evil.example"), 421, "localhost"),
        (Request::new("POST", "/revocations").host("localhost").body(b"{\"sub\": \"alice\"}"), 415, "application/json"),
        (
            Request::new("POST", "/revocations")
                .host("localhost")
                .field("Content-Type", "text/plain")
                .body(b"{\"sub\": \"alice\"}"),
            415,
            "application/json",
        ),
        (Request::new("PUT", "/revocations").host("localhost"), 405, "GET, HEAD, POST only"),
        (Request::new("DELETE", "/revocations").host("localhost"), 405, "GET, HEAD, POST only"),
        (Request::get("/revocations/abc").host("localhost"), 405, "DELETE only"),
        (Request::new("DELETE", "/revocations/abc").host("localhost"), 404, "no such revocation"),
        (
            Request::new("DELETE", "/revocations/abc").host("localhost").field("Origin", "https://evil.example"),
            403,
            "browser",
        ),
    ];
    let mut failures = Vec::new();
    for (request, status, complaint) in &cases {
        let answer = request.send(gateway.admin());
        if answer.status != *status || !answer.text().contains(complaint) {
            let body = String::from_utf8_lossy(&request.body).chars().take(80).collect::<String>();
            failures.push(format!("{} {body}: {} {}", request.method, answer.status, answer.text()));
        }
    }
    report(cases.len(), &failures);
    assert!(listed(&gateway).is_empty());
}

#[test]
fn an_order_that_is_taken_is_told_back() {
    let world = World::new();
    let gateway = world.gateway("");
    let answer = order(&json!({"sub": "alice", "reason": "laptop lost"})).send(gateway.admin());
    assert_eq!(answer.status, 201);
    let entry = answer.json();
    let place = format!("/revocations/{}", entry["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(&*place));
    assert_eq!(
        (&entry["sub"], &entry["issuer"], &entry["reason"]),
        (&json!("alice"), &json!(world.issuer.url), &json!("laptop lost"))
    );
    assert_eq!(listed(&gateway), [entry]);
}

#[test]
fn a_configured_secret_is_asked_for_and_off_loopback_there_must_be_one() {
    let world = World::new();
    let with_token = |listen: &str, token: &str| world.gateway(&format!("[admin]\nlisten = \"{listen}\"\n{token}"));
    let secret = "token = \"correct horse\"\n";
    let get = || Request::get("/revocations").host("localhost");
    let post = || order(&json!({"sub": "alice"}));
    let mut failures = Vec::new();
    let mut expect = |what: &str, request: Request, gateway: &crate::support::gateway::Gateway, status: u16| {
        let port = gateway.admin().port();
        let answer = request.send(([127, 0, 0, 1], port).into());
        if answer.status != status {
            failures.push(format!("{what}: {} {}", answer.status, answer.text()));
        }
    };
    let open = with_token("0.0.0.0:0", "");
    expect("open: GET", get(), &open, 403);
    expect("open: POST", post(), &open, 403);
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let guarded = with_token(listen, secret);
        expect(listen, get(), &guarded, 401);
        expect(listen, post(), &guarded, 401);
        expect(listen, post().bearer("correct horsf"), &guarded, 401);
        expect(listen, post().bearer("correct"), &guarded, 401);
        expect(listen, post().bearer("correct horse").bearer("correct horse"), &guarded, 401);
        expect(listen, post().field("Authorization", "Basic correct horse"), &guarded, 401);
        expect(listen, post().bearer("correct horse").field("Origin", "http://x"), &guarded, 403);
        expect(listen, get().bearer("correct horse"), &guarded, 200);
        expect(listen, post().bearer("correct horse"), &guarded, 201);
        expect(listen, Request::get("/metrics").host("localhost"), &guarded, 200);
        assert!(!guarded.stderr().contains("correct horse"));
        let config = Request::get("/config").host("localhost").send(([127, 0, 0, 1], guarded.admin().port()).into());
        assert!(config.text().contains("[redacted]") && !config.text().contains("correct horse"), "{}", config.text());
    }
    report(21, &failures);
}
