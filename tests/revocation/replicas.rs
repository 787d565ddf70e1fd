//! Replicas that share revocations through a real Redis.

use std::time::Duration;

use serde_json::json;

use crate::support::client::Request;
use crate::support::gateway::Gateway;
use crate::support::redis::{self, Redis};
use crate::support::tls::{self, authority};
use crate::support::{eventually, uptime};
use crate::world::{World, listed, order, revoke, take_back, verdict};

fn until_verdict(gateway: &Gateway, token: &str, expected: &str) {
    gateway.until(expected, || (verdict(gateway, token) == expected).then_some(()));
}

#[track_caller]
fn soon(what: &str, holds: impl Fn() -> bool) {
    eventually(what, Duration::from_secs(5), || holds().then_some(()));
}

#[test]
fn what_one_replica_revokes_the_other_refuses_and_a_restart_keeps_it() {
    let (world, redis) = (World::new(), Redis::start());
    let [one, other] = [world.gateway(&redis.toml()), world.gateway(&redis.toml())];
    let token = world.issuer.token().sign();
    (0..8).for_each(|_| assert_eq!([verdict(&one, &token), verdict(&other, &token)], ["200", "200"]));
    let mut waits = Vec::new();
    // More often than chance would have it that the other one reads by itself, which it does every half a minute.
    for _ in 0..3 {
        let (ordered, entry) = (uptime(), revoke(&one, &json!({"sub": "alice"})));
        assert_eq!(verdict(&one, &token), "401 revoked", "at once where it was ordered");
        soon("the other one refuses", || verdict(&other, &token) == "401 revoked");
        waits.push(uptime() - ordered);
        assert_eq!(take_back(&one, &entry["id"]).status, 204);
        soon("the other one forgives", || verdict(&other, &token) == "200");
    }
    // Of three, as this machine may be busy with something else.
    assert!(waits.iter().any(|wait| *wait < Duration::from_secs(1)), "within a second, not {waits:?}");
    let entry = revoke(&one, &json!({"sub": "alice"}));
    soon("the other one refuses", || verdict(&other, &token) == "401 revoked");
    assert_eq!(listed(&other), std::slice::from_ref(&entry));
    // Gone as after a crash, and back: what was read from the store is in force before the first request is served.
    drop(one);
    let again = world.gateway(&redis.toml());
    assert_eq!(verdict(&again, &token), "401 revoked");
    assert_eq!(take_back(&again, &entry["id"]).status, 204);
    soon("the other one forgives", || verdict(&other, &token) == "200");
    assert!(listed(&other).is_empty());
}

#[test]
fn while_redis_is_away_what_is_known_serves_for_a_time_and_then_nothing_does() {
    let (world, mut redis) = (World::new(), Redis::start());
    let settings = format!("{}[revocation]\nmax_stale = \"2s\"\n", redis.toml());
    let gateway = world.gateway(&settings);
    let open = world.gateway(&settings.replace("2s\"", "1s\"\non_store_loss = \"serve\""));
    let (alice, bob) = (world.issuer.token().sign(), world.issuer.token().claim("sub", "bob").sign());
    revoke(&gateway, &json!({"sub": "alice"}));
    until_verdict(&open, &alice, "401 revoked");
    redis.kill();
    until_verdict(&gateway, &bob, "503 store_unavailable");
    assert_eq!(verdict(&gateway, &alice), "401 revoked", "what is known stays refused");
    let answer = gateway.call(&Request::get("/x").bearer(&bob));
    assert!(answer.header("retry-after").is_some() && answer.header("www-authenticate").is_none());
    assert_eq!(
        (verdict(&open, &bob), verdict(&open, &alice)),
        ("200".into(), "401 revoked".into()),
        "opened by the file"
    );
    assert_eq!(order(&json!({"jti": "1"})).send(gateway.admin()).status, 503, "an order is not half taken");
    gateway.until("/readyz says 503", || (gateway.readyz().status == 503).then_some(()));
    assert_eq!(open.readyz().status, 200);
    gateway.until("the gauge says 0", || (gateway.metric("tollgate_store_up", &["redis"]) == 0.0).then_some(()));
    redis.start_again();
    until_verdict(&gateway, &bob, "200");
    gateway.wait_ready();
    assert_eq!((verdict(&gateway, &alice), verdict(&open, &alice)), ("401 revoked".into(), "401 revoked".into()));
    gateway.until("the gauge says 1", || (gateway.metric("tollgate_store_up", &["redis"]) == 1.0).then_some(()));
    let told = gateway.stderr().matches("the store cannot be reached").count();
    assert_eq!(told, 1, "an outage is told once: {}", gateway.stderr());
}

#[test]
fn a_gateway_that_never_read_its_revocations_lets_no_token_pass() {
    let (world, mut redis) = (World::new(), Redis::start());
    let settings = redis.toml();
    let token = world.issuer.token().sign();
    redis.kill();
    let gateway = Gateway::listening(&world.config(&settings));
    let open = Gateway::start(&world.config(&format!("{settings}[revocation]\non_store_loss = \"serve\"\n")));
    until_verdict(&gateway, &token, "503 store_unavailable");
    until_verdict(&open, &token, "200");
    assert_eq!(gateway.readyz().status, 503);
    redis.start_again();
    gateway.wait_ready();
    assert_eq!(verdict(&gateway, &token), "200");
}

#[test]
fn a_server_that_hangs_is_one_that_is_away() {
    let (world, redis) = (World::new(), Redis::start());
    let gateway = world.gateway(&format!("{}[revocation]\nmax_stale = \"1s\"\n", redis.toml()));
    let token = world.issuer.token().sign();
    assert_eq!(verdict(&gateway, &token), "200");
    redis.signal("STOP");
    until_verdict(&gateway, &token, "503 store_unavailable");
    redis.signal("CONT");
    until_verdict(&gateway, &token, "200");
}

#[test]
fn a_store_that_has_lost_everything_gets_it_back() {
    let (world, mut redis) = (World::new(), Redis::forgetful());
    let gateway = world.gateway(&redis.toml());
    let token = world.issuer.token().sign();
    let entry = revoke(&gateway, &json!({"sub": "alice"}));
    redis.kill();
    gateway.until("the loss is seen", || (gateway.metric("tollgate_store_up", &["redis"]) == 0.0).then_some(()));
    redis.start_again();
    gateway.until("it is back", || (gateway.metric("tollgate_store_up", &["redis"]) == 1.0).then_some(()));
    let fresh = world.gateway(&redis.toml());
    until_verdict(&fresh, &token, "401 revoked");
    assert_eq!(listed(&fresh), [entry]);
    assert_eq!(verdict(&gateway, &token), "401 revoked");
}

#[test]
fn a_cluster_serves_as_one_server_does() {
    let (world, nodes) = (World::new(), redis::cluster());
    let settings = format!("[redis]\nurl = \"{}\"\ncluster = [\"{}\"]\n", nodes[0].url(), nodes[1].url());
    let [one, other] = [world.gateway(&settings), world.gateway(&settings)];
    let token = world.issuer.token().sign();
    assert_eq!(verdict(&other, &token), "200");
    for _ in 0..3 {
        let entry = revoke(&one, &json!({"sub": "alice"}));
        soon("the other one refuses", || verdict(&other, &token) == "401 revoked");
        assert_eq!(take_back(&other, &entry["id"]).status, 204);
        soon("the first one forgives", || verdict(&one, &token) == "200");
    }
}

#[test]
fn tls_with_a_password_and_a_client_certificate() {
    let world = World::new();
    let (server, client) =
        (authority().identity("redis", &["127.0.0.1"]), authority().identity("gateway", &["gateway"]));
    let redis = Redis::tls(authority(), &server, "correct-horse");
    let dir = tempfile::TempDir::new().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let table = |name: &str, ca: &str, password: &str| {
        format!(
            "[redis]\nurl = {{ file = \"{}\" }}\nca_file = \"{}\"\nclient_certificate = \"{}\"\nclient_key = \"{}\"\n",
            file(&format!("url-{}", password.len()), &format!("rediss://:{password}@127.0.0.1:{}", redis.port)),
            file(name, ca),
            file("client.pem", &client.certificate),
            file("client-key.pem", &client.key),
        )
    };
    let gateway = world.gateway(&table("ca.pem", &authority().pem(), "correct-horse"));
    revoke(&gateway, &json!({"sub": "alice"}));
    let second = world.gateway(&table("ca.pem", &authority().pem(), "correct-horse"));
    assert_eq!(verdict(&second, &world.issuer.token().sign()), "401 revoked");
    let stranger = tls::Authority::new("somebody else").pem();
    for (what, table) in [
        ("a certificate of somebody else's", table("stranger.pem", &stranger, "correct-horse")),
        ("a wrong password", table("ca.pem", &authority().pem(), "wrong-horse")),
    ] {
        let refused = Gateway::listening(&world.config(&table));
        refused.until(what, || refused.stderr().contains("the store cannot be reached").then_some(()));
        assert_eq!(verdict(&refused, &world.issuer.token().sign()), "503 store_unavailable", "{what}");
        let shown = refused.stderr() + &refused.admin_page("/config").text() + &refused.admin_page("/readyz").text();
        assert!(!shown.contains("horse"), "{what}: {shown}");
    }
}
