//! Keys over time: rotation, floods of unknown names, issuers that are away, slow, wrong or hostile, and a start without
//! them. Nothing here may end in a token that passes without its key, or in a gateway that is down because one issuer is.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::issuer::{Answer, Issuer};
use support::keys::{Key, Kind};
use support::tls::{Authority, Identity, authority};
use support::upstream::Upstream;
use support::{eventually, process, report, uptime};

const ROUTE: &str = "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\nupstream = \"api\"\n";

/// A cool-down that a test can wait for.
const QUICK: &str = "refetch_cooldown = \"1s\"\n";

fn config(issuer: &Issuer, extra: &str, upstream: &Upstream) -> String {
    [issuer.toml("acme"), extra.to_owned(), upstream.toml("api"), ROUTE.to_owned()].join("\n")
}

fn call(gateway: &Gateway, token: &str) -> Response {
    gateway.call(&Request::get("/x").bearer(token))
}

/// Status and code in one, as `200` or `401 unknown_key`.
fn verdict(gateway: &Gateway, token: &str) -> String {
    let answer = call(gateway, token);
    format!("{} {}", answer.status, answer.code()).trim_end().to_owned()
}

fn spare(kid: &str) -> Key {
    Key::of(Kind::P256, 3, kid)
}

#[test]
fn a_rotation_is_no_outage_and_a_withdrawn_key_is_dead() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let gateway = Gateway::start(&config(&issuer, QUICK, &upstream));
    let old = issuer.token().sign();
    assert_eq!((verdict(&gateway, &old), verdict(&gateway, &old)), ("200".into(), "200".into()), "warm");
    let new_key = spare("ec-2");
    issuer.publish(&[issuer.key.clone(), new_key.clone()]);
    let new = support::token::Token::new(&issuer.url, &new_key).sign();
    assert_eq!(verdict(&gateway, &new), "200", "the first token of a new key makes the gateway look again");
    assert_eq!(verdict(&gateway, &old), "200", "the old key is still published");
    issuer.publish(std::slice::from_ref(&new_key));
    // A name that nobody has leads to the next refresh, after the cool-down.
    let unknown = issuer.token().header("kid", "nobody").sign();
    gateway.until("the withdrawn key is refused, cached verdicts included", || {
        assert_eq!(verdict(&gateway, &unknown), "401 unknown_key");
        assert_eq!(verdict(&gateway, &new), "200");
        (verdict(&gateway, &old) == "401 unknown_key").then_some(())
    });
    let fresh = issuer.token().claim("jti", "another").sign();
    assert_eq!(verdict(&gateway, &fresh), "401 unknown_key", "the key is gone, not only the verdict");
}

/// A token may arrive before its key is published everywhere: being unknown once does not last.
#[test]
fn an_early_token_passes_once_its_key_is_there() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let gateway = Gateway::start(&config(&issuer, QUICK, &upstream));
    let early = support::token::Token::new(&issuer.url, &spare("ec-2")).sign();
    assert_eq!(verdict(&gateway, &early), "401 unknown_key");
    assert_eq!(issuer.jwks_hits(), 2, "the issuer was asked, and did not have it yet");
    issuer.publish(&[issuer.key.clone(), spare("ec-2")]);
    gateway.until("the early token passes", || {
        thread::sleep(Duration::from_millis(200));
        (verdict(&gateway, &early) == "200").then_some(())
    });
}

#[test]
fn a_key_that_changed_under_its_name_is_the_new_one() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let gateway = Gateway::start(&config(&issuer, QUICK, &upstream));
    let old = issuer.token().sign();
    assert_eq!(verdict(&gateway, &old), "200");
    issuer.publish(&[spare("ec-1")]);
    let unknown = issuer.token().header("kid", "nobody").sign();
    gateway.until("the old key's tokens are refused", || {
        call(&gateway, &unknown);
        (verdict(&gateway, &old) == "401 bad_signature").then_some(())
    });
    assert_eq!(verdict(&gateway, &support::token::Token::new(&issuer.url, &spare("ec-1")).sign()), "200");
}

/// Made-up key names must not let anybody hammer the issuer.
#[test]
fn a_flood_of_unknown_names_does_not_reach_the_issuer() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let gateway = Gateway::start(&config(&issuer, "", &upstream));
    let before = issuer.hits().len();
    let good = issuer.token().sign();
    let start = uptime();
    let failures: Vec<String> = thread::scope(|scope| {
        let flood = |thread: usize| {
            let (issuer, gateway, good) = (&issuer, &gateway, &good);
            move || {
                let mut conn = gateway.connect();
                let mut wrong = Vec::new();
                for n in 0..100 {
                    let token = issuer.token().header("kid", format!("made-up-{thread}-{n}")).sign();
                    let answer = conn.call(&Request::get("/x").bearer(&token));
                    if answer.code() != "unknown_key" {
                        wrong.push(format!("- {} {}", answer.status, answer.text()));
                    }
                }
                let passes = conn.call(&Request::get("/x").bearer(good));
                assert_eq!(passes.status, 200, "a good token in the middle of it");
                wrong
            }
        };
        let threads: Vec<_> = (0..4).map(|number| scope.spawn(flood(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    report(400, &failures);
    // One refetch at once, then one per cool-down of 5 s; a refetch may read discovery and keys.
    let allowed = 2 * (2 + usize::try_from((uptime() - start).as_secs() / 5).unwrap_or(usize::MAX));
    let asked = issuer.hits().len() - before;
    assert!((1..=allowed).contains(&asked), "the issuer was asked {asked} times, {allowed} are allowed");
}

#[test]
fn a_slow_refetch_holds_nobody_else_up() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let gateway = Gateway::start(&config(&issuer, QUICK, &upstream));
    let (good, unknown) = (issuer.token().sign(), issuer.token().header("kid", "nobody").sign());
    let before = issuer.jwks_hits();
    issuer.jwks(Answer::Slow(Duration::from_secs(4)));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| verdict(&gateway, &unknown));
        gateway.until("the refetch is on its way", || (issuer.jwks_hits() > before).then_some(()));
        for _ in 0..10 {
            let fresh = issuer.token().claim("jti", format!("{:?}", uptime())).sign();
            assert_eq!((verdict(&gateway, &good), verdict(&gateway, &fresh)), ("200".into(), "200".into()));
        }
        assert!(!waiting.is_finished(), "the unknown key's request waits for the answer; the others did not");
        let outcome = waiting.join().expect("no panic");
        assert!(outcome == "401 unknown_key" || outcome == "503 issuer_unavailable", "{outcome}");
    });
}

#[test]
fn an_issuer_may_go_away_and_come_back() {
    let (mut issuer, upstream) = (Issuer::start(), Upstream::echo());
    let mut gateway = Gateway::start(&config(&issuer, QUICK, &upstream));
    let good = issuer.token().sign();
    assert_eq!(verdict(&gateway, &good), "200");
    issuer.stop();
    let (next, unknown) = (spare("ec-2"), issuer.token().header("kid", "nobody").sign());
    for _ in 0..3 {
        assert_eq!(verdict(&gateway, &issuer.token().claim("jti", "fresh").sign()), "200", "the last good keys serve");
        let refused = verdict(&gateway, &unknown);
        assert!(refused == "401 unknown_key" || refused == "503 issuer_unavailable", "{refused}");
        thread::sleep(Duration::from_millis(400));
    }
    issuer.restart();
    issuer.publish(std::slice::from_ref(&next));
    let rotated = support::token::Token::new(&issuer.url, &next).sign();
    gateway.until("the new key is found", || {
        thread::sleep(Duration::from_millis(200));
        (verdict(&gateway, &rotated) == "200").then_some(())
    });
    assert!(gateway.is_alive());
}

/// A running gateway whose issuer begins to answer nonsense keeps the keys that it has.
#[test]
fn nonsense_does_not_replace_good_keys() {
    let answers = [
        Answer::Status(500),
        Answer::Status(404),
        Answer::Text("<html>".into()),
        Answer::Text("{\"keys\":".into()),
        Answer::Json(json!({"keys": "none"})),
        Answer::Json(json!({})),
        Answer::HangUp,
        Answer::Huge(32 << 20),
        Answer::Redirect("/elsewhere".into()),
    ];
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let gateway = Gateway::start(&config(&issuer, QUICK, &upstream));
    for answer in answers {
        let name = format!("{answer:?}");
        let before = issuer.jwks_hits();
        issuer.jwks(answer);
        gateway.until("the nonsense was fetched", || {
            let unknown = issuer.token().header("kid", format!("n-{:?}", uptime())).sign();
            call(&gateway, &unknown);
            thread::sleep(Duration::from_millis(100));
            (issuer.jwks_hits() > before).then_some(())
        });
        let fresh = issuer.token().claim("jti", name.as_str()).sign();
        assert_eq!(verdict(&gateway, &fresh), "200", "after {}", &name[..name.len().min(60)]);
    }
    assert!(!issuer.hits().iter().any(|target| target == "/elsewhere"), "a redirect was followed");
}

/// Nine broken issuers beside a good one, from the very start.
#[test]
fn broken_issuers_take_nobody_down() {
    type Spoil = fn(&Issuer);
    let spoils: [(&str, Spoil); 13] = [
        ("status", |issuer| issuer.jwks(Answer::Status(500))),
        ("html", |issuer| issuer.jwks(Answer::Text("<html>".into()))),
        ("empty-object", |issuer| issuer.jwks(Answer::Json(json!({})))),
        ("no-keys", |issuer| issuer.publish(&[])),
        ("zero-modulus", |issuer| {
            issuer.publish_raw(vec![json!({"kty": "RSA", "kid": "ec-1", "n": "", "e": "AQAB"})]);
        }),
        ("huge", |issuer| issuer.jwks(Answer::Huge(64 << 20))),
        ("slow", |issuer| issuer.jwks(Answer::Slow(Duration::from_secs(20)))),
        ("trickle", |issuer| issuer.jwks(Answer::Trickle(Duration::from_millis(500)))),
        ("redirect", |issuer| issuer.jwks(Answer::Redirect("/elsewhere".into()))),
        ("hang-up", |issuer| issuer.jwks(Answer::HangUp)),
        ("discovery-status", |issuer| issuer.discovery(Answer::Status(404))),
        ("discovery-of-another", |issuer| {
            let uri = format!("{}/jwks", issuer.url);
            issuer.discovery(Answer::Json(json!({"issuer": "https://evil.test", "jwks_uri": uri})));
        }),
        ("discovery-redirect", |issuer| issuer.discovery(Answer::Redirect("/elsewhere".into()))),
    ];
    let (good, upstream) = (Issuer::start(), Upstream::echo());
    let broken: Vec<(&str, Issuer)> = spoils
        .into_iter()
        .map(|(name, spoil)| {
            let issuer = Issuer::start();
            spoil(&issuer);
            (name, issuer)
        })
        .collect();
    let mut parts: Vec<String> = broken.iter().map(|(name, issuer)| issuer.toml(name)).collect();
    parts.extend([good.toml("good"), upstream.toml("api"), ROUTE.to_owned()]);
    let gateway = Gateway::listening(&parts.join("\n"));
    gateway.until("the good issuer serves", || (verdict(&gateway, &good.token().sign()) == "200").then_some(()));
    let failures: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = broken
            .iter()
            .map(|(name, issuer)| (name, scope.spawn(|| call(&gateway, &issuer.token().sign()))))
            .collect();
        let answers = threads.into_iter().map(|(name, thread)| (name, thread.join().expect("no panic")));
        answers
            .filter_map(|(name, answer)| {
                let code = answer.code();
                let away =
                    answer.status == 503 && code == "issuer_unavailable" && answer.header("retry-after").is_some();
                let keyless = matches!(*name, "no-keys" | "zero-modulus") && code == "unknown_key";
                (!away && !keyless).then(|| format!("- {name}: {} {}", answer.status, answer.text()))
            })
            .collect()
    });
    report(broken.len(), &failures);
    // One broken issuer must not take a replica out, yet whoever looks is told of it.
    gateway.wait_ready();
    let ready = gateway.readyz();
    for name in ["status", "slow", "discovery-of-another"] {
        assert!(ready.text().contains(name), "readyz does not name {name}: {}", ready.text());
    }
    let followed = broken.iter().any(|(_, issuer)| issuer.hits().iter().any(|target| target == "/elsewhere"));
    assert!(!followed, "a redirect was followed");
    let peak = process::memory_kib(gateway.pid(), "VmHWM");
    assert!(peak < 160 * 1024, "a huge key set took {peak} KiB");
    assert_eq!(verdict(&gateway, &good.token().sign()), "200");
}

#[test]
fn a_start_without_the_issuer_heals() {
    let (mut issuer, upstream) = (Issuer::start(), Upstream::echo());
    issuer.stop();
    let gateway = Gateway::listening(&config(&issuer, "", &upstream));
    let token = issuer.token().sign();
    let refused = call(&gateway, &token);
    assert_eq!((refused.status, refused.code()), (503, "issuer_unavailable".into()), "{}", refused.text());
    assert!(refused.header("retry-after").is_some() && refused.challenge("Bearer").is_none(), "{:?}", refused.head);
    assert_eq!(gateway.readyz().status, 503);
    assert_eq!(gateway.admin_page("/healthz").status, 200, "alive, though not ready");
    assert!(upstream.seen().is_empty());
    issuer.restart();
    gateway.wait_ready();
    assert_eq!(verdict(&gateway, &token), "200");
    let fetched = gateway.metric("tollgate_jwks_fetches_total", &["issuer=\"acme\""]);
    assert!(fetched >= 2.0, "{fetched} fetches counted");
}

#[test]
fn an_issuer_that_is_away_from_the_start_leaves_the_others_alone() {
    let (mut issuer, other, upstream) = (Issuer::start(), Issuer::start(), Upstream::echo());
    issuer.stop();
    let extra = other.toml("other");
    let gateway = Gateway::start(&config(&issuer, &extra, &upstream));
    let token = issuer.token().sign();
    for _ in 0..3 {
        assert_eq!(verdict(&gateway, &other.token().sign()), "200");
        assert_eq!(verdict(&gateway, &token), "503 issuer_unavailable");
        assert_eq!(gateway.readyz().status, 200, "some tokens can be judged");
    }
    issuer.restart();
    gateway.until("the issuer's keys are there", || (verdict(&gateway, &token) == "200").then_some(()));
}

/// A request that comes before the first keys waits for them a little.
#[test]
fn the_first_request_waits_for_the_first_keys() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    issuer.jwks(Answer::Slow(Duration::from_millis(1000)));
    let gateway = Gateway::listening(&config(&issuer, "", &upstream));
    assert_eq!(verdict(&gateway, &issuer.token().sign()), "200");
    assert_eq!(issuer.jwks_hits(), 1, "one fetch for all who wait");
}

fn state_config(issuer: &Issuer, upstream: &Upstream, state: &Path) -> String {
    let server =
        format!("[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\nstate_dir = {:?}\n", state.display().to_string());
    server + &config(issuer, "", upstream)
}

#[test]
fn stored_keys_serve_a_start_without_the_issuer() {
    let (mut issuer, upstream) = (Issuer::start(), Upstream::echo());
    let state = tempfile::TempDir::new().expect("a temporary folder");
    let text = state_config(&issuer, &upstream, state.path());
    drop(Gateway::start(&text));
    let files = || std::fs::read_dir(state.path()).expect("a folder").map(|entry| entry.expect("readable").path());
    let stored: Vec<_> = files().collect();
    assert_eq!(stored.len(), 1, "{stored:?}");
    let mode = std::fs::metadata(&stored[0]).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o}");
    issuer.stop();
    let gateway = Gateway::listening(&text);
    gateway.until("the stored keys serve", || (verdict(&gateway, &issuer.token().sign()) == "200").then_some(()));
    let forged = issuer.token().sign_by(|input| spare("x").sign("ES256", input));
    assert_eq!(verdict(&gateway, &forged), "401 bad_signature");
    drop(gateway);
    std::fs::write(&stored[0], "{\"keys\": nonsense").expect("ours");
    let gateway = Gateway::listening(&text);
    assert_eq!(verdict(&gateway, &issuer.token().sign()), "503 issuer_unavailable", "a broken file is no key set");
    drop(gateway);
    issuer.restart();
    let gateway = Gateway::start(&text);
    assert_eq!(verdict(&gateway, &issuer.token().sign()), "200");
}

/// A start always asks: stored keys that the issuer has withdrawn since do not come back.
#[test]
fn stored_keys_do_not_outlive_a_rotation() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let state = tempfile::TempDir::new().expect("a temporary folder");
    let text = state_config(&issuer, &upstream, state.path());
    drop(Gateway::start(&text));
    issuer.publish(&[spare("ec-2")]);
    let gateway = Gateway::start(&text);
    assert_eq!(verdict(&gateway, &issuer.token().sign()), "401 unknown_key");
}

#[test]
fn an_issuers_certificate_is_verified() {
    let stranger = Authority::new("A stranger");
    let wrong_name = authority().identity("issuer", &["login.example"]);
    let issuers = [
        ("good", Issuer::tls(spare("k"), &Identity::loopback("issuer")), true),
        ("wrong-name", Issuer::tls(spare("k"), &wrong_name), false),
        ("unknown-ca", Issuer::tls(spare("k"), &stranger.identity("issuer", &["127.0.0.1"])), false),
        ("no-ca-file", Issuer::tls(spare("k"), &Identity::loopback("issuer")), false),
    ];
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority().pem()).expect("ours");
    let upstream = Upstream::echo();
    let mut parts: Vec<String> = issuers
        .iter()
        .map(|(name, issuer, _)| {
            let ca_file = format!("ca_file = {:?}\n", ca.display().to_string());
            issuer.toml(name) + if *name == "no-ca-file" { "" } else { &ca_file }
        })
        .collect();
    parts.extend([upstream.toml("api"), ROUTE.to_owned()]);
    let gateway = Gateway::listening_in(folder, &parts.join("\n"));
    thread::scope(|scope| {
        for (name, issuer, trusted) in &issuers {
            let gateway = &gateway;
            scope.spawn(move || {
                let outcome = verdict(gateway, &issuer.token().sign());
                let wanted = if *trusted { "200" } else { "503 issuer_unavailable" };
                assert_eq!(outcome, wanted, "{name}");
                assert!(*trusted || issuer.hits().is_empty(), "{name} was asked over a connection that is not trusted");
            });
        }
    });
}

/// The metrics that alerts are made of.
#[test]
fn the_age_of_the_keys_can_be_watched() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let gateway = Gateway::start(&config(&issuer, "", &upstream));
    let first = gateway.metric("tollgate_jwks_age_seconds", &["issuer=\"acme\""]);
    eventually("the age grows", support::PATIENCE, || {
        (gateway.metric("tollgate_jwks_age_seconds", &["issuer=\"acme\""]) > first).then_some(())
    });
}
