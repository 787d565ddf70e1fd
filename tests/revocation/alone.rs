//! One gateway by itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Request;
use crate::support::{eventually, now, report};
use crate::world::{World, listed, order, revoke, take_back, verdict};

#[test]
fn a_token_that_is_remembered_as_good_is_refused_by_the_next_request() {
    let world = World::new();
    let gateway = world.gateway("");
    let token = |jti: &str| world.issuer.token().claim("jti", jti).claim("sid", "s-1").claim("iat", now() - 60).sign();
    let cases = [
        json!({"jti": "t-1"}),
        json!({"sid": "s-1"}),
        json!({"sub": "alice"}),
        json!({"client_id": "cli"}),
        json!({"sub": "alice", "issuer": "acme", "issued_before": "now"}),
    ];
    let (one, mut failures) = (token("t-1"), Vec::new());
    for case in &cases {
        // Often enough for every worker to remember it.
        (0..16).for_each(|_| assert_eq!(verdict(&gateway, &one), "200", "before {case}"));
        let entry = revoke(&gateway, case);
        let refused: Vec<_> =
            (0..16).map(|_| verdict(&gateway, &one)).filter(|verdict| verdict != "401 revoked").collect();
        if !refused.is_empty() {
            failures.push(format!("{case}: {refused:?}"));
        }
        assert_eq!(take_back(&gateway, &entry["id"]).status, 204, "{case}");
        assert_eq!(take_back(&gateway, &entry["id"]).status, 404, "{case}");
    }
    report(cases.len(), &failures);
    assert_eq!(verdict(&gateway, &one), "200", "everything is taken back");
    assert!(listed(&gateway).is_empty());
}

#[test]
fn others_are_left_alone_and_new_tokens_are_good_again() {
    let world = World::new();
    let gateway = world.gateway("");
    let old = world.issuer.token().claim("iat", now() - 60).sign();
    let other = world.issuer.token().claim("sub", "bob").sign();
    let ageless = world.issuer.token().without("iat").sign();
    revoke(&gateway, &json!({"sub": "alice", "issued_before": now() - 30}));
    let new = world.issuer.token().sign();
    let found = [&old, &other, &ageless, &new].map(|token| verdict(&gateway, token));
    assert_eq!(found, ["401 revoked", "200", "401 revoked", "200"]);
}

#[test]
fn a_refusal_tells_the_caller_little_and_the_log_which_entry() {
    let world = World::new();
    let gateway = world.gateway("");
    let entry = revoke(&gateway, &json!({"sub": "alice", "reason": "laptop lost"}));
    let answer = gateway.call(&Request::get("/x").bearer(&world.issuer.token().sign()));
    assert_eq!((answer.status, answer.code().as_str()), (401, "revoked"));
    assert_eq!(answer.bearer("error").as_deref(), Some("invalid_token"));
    assert!(!answer.text().contains("laptop"), "{}", answer.text());
    let id = entry["id"].as_str().unwrap();
    let line = gateway
        .until("the line of the refusal", || gateway.access_log().into_iter().find(|line| line["denial"] == "revoked"));
    let detail = line["detail"].as_str().unwrap();
    assert!(detail.contains(id) && detail.ends_with(": laptop lost"), "{line}");
    assert!(gateway.metric("tollgate_denials_total", &["code=\"revoked\""]) >= 1.0);
    gateway.until("the gauge says 1", || (gateway.metric("tollgate_revocations", &[]) == 1.0).then_some(()));
}

#[test]
fn a_revocation_ends_by_itself() {
    let world = World::new();
    let gateway = world.gateway("");
    let token = world.issuer.token().sign();
    revoke(&gateway, &json!({"jti": "0001", "until": now() + 2}));
    assert_eq!(verdict(&gateway, &token), "401 revoked");
    gateway.until("the entry is over", || (verdict(&gateway, &token) == "200").then_some(()));
    eventually("the gauge says 0", Duration::from_secs(30), || {
        (gateway.metric("tollgate_revocations", &[]) == 0.0).then_some(())
    });
}

#[test]
fn a_reload_keeps_revocations() {
    let world = World::new();
    let gateway = world.gateway("");
    let token = world.issuer.token().sign();
    let entry = revoke(&gateway, &json!({"sub": "alice"}));
    assert_eq!(entry["until"].as_i64().map(|until| until - now() > 86_000), Some(true), "a day: {entry}");
    gateway.rewrite(&world.config("[revocation]\nlifetime = \"1h\"\nmax_entries = 1\n"));
    gateway.signal("HUP");
    gateway.until("the new file is in force", || {
        (gateway.metric("tollgate_config_reloads_total", &["result=\"ok\""]) >= 1.0).then_some(())
    });
    let full = order(&json!({"jti": "2"})).send(gateway.admin());
    assert_eq!(full.status, 507, "{}", full.text());
    assert_eq!(verdict(&gateway, &token), "401 revoked");
    let entry = revoke(&gateway, &json!({"sub": "alice"}));
    let left = entry["until"].as_i64().unwrap_or_default() - now();
    assert!((3500..=3600).contains(&left), "the new lifetime, in place of the old entry: {entry}");
    assert_eq!(listed(&gateway).iter().map(|entry| &entry["sub"]).collect::<Vec<_>>(), [&Value::from("alice")]);
}
