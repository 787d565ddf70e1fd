//! A keeper against a scripted issuer and a clock that is moved by hand.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::config::model::{KeySource, Profile, TokenType};
use crate::fetch::{Fault, FetchError, FetchFuture, Request, Response};
use crate::token::cache::{Limits, Local, Lookup, Shared};
use crate::token::testing;

const JWKS: &str = "https://i.example/jwks";
const OIDC: &str = "https://i.example/t/.well-known/openid-configuration";
const OAUTH: &str = "https://i.example/.well-known/oauth-authorization-server/t";
/// What is remembered when all is forgotten.
const NONE: (bool, bool) = (false, false);
/// Long enough for anything that is going to happen.
const LONG: Duration = Duration::from_secs(20);

/// Waits until `done`, and fails when that never comes.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("it comes about");
}

/// Answers as scripted, and writes down what it was asked.
struct Script {
    answers: Mutex<HashMap<String, (u16, String)>>,
    asked: Mutex<Vec<String>>,
    /// While false, every fetch waits.
    open: watch::Sender<bool>,
}

impl Script {
    fn new() -> Arc<Self> {
        Arc::new(Self { answers: Mutex::default(), asked: Mutex::default(), open: watch::Sender::new(true) })
    }

    fn answer(&self, url: &str, status: u16, body: impl Into<String>) {
        self.answers.lock().unwrap().insert(url.into(), (status, body.into()));
    }

    fn keys(&self, kids: &[&str]) {
        self.answer(JWKS, 200, jwks(kids));
    }

    fn down(&self) {
        self.answers.lock().unwrap().clear();
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Fetch for Script {
    fn fetch(&self, request: Request) -> FetchFuture<'_> {
        self.asked.lock().unwrap().push(request.url.to_string());
        Box::pin(async move {
            self.open.subscribe().wait_for(|open| *open).await.unwrap();
            let answer = self.answers.lock().unwrap().get(request.url.as_str()).cloned();
            let refused = || FetchError::new(&request.url, Fault::Connect(io::ErrorKind::ConnectionRefused.into()));
            let (status, body) = answer.ok_or_else(refused)?;
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Response { status, headers: HeaderMap::new(), body: Bytes::from(body) })
        })
    }
}

fn jwks(kids: &[&str]) -> String {
    let keys: Vec<_> = kids.iter().map(|kid| testing::p256().jwk(kid)).collect();
    json!({ "keys": keys }).to_string()
}

fn issuer(keys: KeySource) -> Issuer {
    Issuer {
        name: "acme".into(),
        issuer: "https://i.example/t".into(),
        audiences: vec!["api".into()],
        profile: Profile::Rfc9068,
        token_types: vec![TokenType::Named("at+jwt".into())],
        keys,
        algorithms: vec![],
        clock_skew: Duration::ZERO,
        required_claims: vec![],
        ca_file: None,
        allow_http: false,
        max_stale: Duration::from_secs(3600),
        refetch_cooldown: Duration::from_secs(5),
        introspection: None,
    }
}

/// A keeper of keys at [`JWKS`], with all that it works with in hand.
struct Bench {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    verdicts: Arc<Shared<()>>,
    keeper: Arc<Keeper>,
}

impl Bench {
    fn new() -> Self {
        Self::of(&issuer(KeySource::Uri(JWKS.into())), None, LONG)
    }

    fn of(issuer: &Issuer, state_dir: Option<&Path>, patience: Duration) -> Self {
        let (script, epoch) = (Script::new(), Arc::new(Epoch::default()));
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(1_000_000)));
        let means = Means { fetch: script.clone(), clock: clock.clone(), epoch: epoch.clone() };
        let verdicts = Shared::new(Limits::default(), epoch);
        let keeper = Arc::new(Keeper::with_patience(issuer, means, state_dir, patience));
        Self { script, clock, verdicts, keeper }
    }

    /// Started, and holding keys of these `kid`s.
    async fn warm(kids: &[&str]) -> Self {
        let bench = Self::new();
        bench.script.keys(kids);
        bench.keeper.start(&Handle::current());
        bench.keeper.keys_for(None).await.unwrap();
        bench
    }

    async fn code(&self, kid: Option<&str>) -> &'static str {
        self.keeper.keys_for(kid).await.map_or_else(|rejection| rejection.code.as_str(), |_| "ok")
    }

    async fn attempt(&self) -> Duration {
        self.keeper.core.attempt().await
    }

    /// Has a token accepted and another refused for its signature, and both remembered.
    fn learn(&self) {
        let (local, now) = (Local::new(&self.verdicts), self.clock.now());
        let ticket = |token| match local.get(token, now) {
            Lookup::Unknown(ticket) => ticket,
            known => panic!("{known:?}"),
        };
        local.accept("good", &ticket("good"), UnixTime::from_secs(i64::MAX), Arc::new(()));
        local.refuse(
            &ticket("bad"),
            &Rejection::new(RejectionCode::BadSignature, ""),
            now.plus(Duration::from_secs(9999)),
        );
        assert_eq!(self.remembered(), (true, true));
    }

    /// Whether the accepted and the refused token are still remembered.
    fn remembered(&self) -> (bool, bool) {
        let (local, now) = (Local::new(&self.verdicts), self.clock.now());
        let known = |token| !matches!(local.get(token, now), Lookup::Unknown(_));
        (known("good"), known("bad"))
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn count(&self, result: FetchResult) -> u64 {
        self.keeper.fetches().find(|(other, _)| *other == result).unwrap().1
    }
}

#[tokio::test]
async fn a_new_key_is_found_by_its_first_token_and_a_removed_one_is_refused_at_once() {
    let bench = Bench::warm(&["a"]).await;
    assert_eq!(bench.code(Some("a")).await, "ok");
    bench.learn();
    bench.script.keys(&["a", "b"]);
    assert_eq!(bench.code(Some("b")).await, "ok");
    assert_eq!((bench.script.asked(), bench.remembered()), (2, (true, false)), "no key is lost");
    bench.advance(5);
    bench.script.keys(&["b", "c"]);
    assert_eq!(bench.code(Some("c")).await, "ok");
    assert_eq!(bench.remembered(), (false, false));
    assert_eq!(bench.code(Some("a")).await, "unknown_key");
    assert_eq!(bench.script.asked(), 3);
}

#[tokio::test]
async fn verdicts_are_voided_when_a_key_is_lost_in_whatever_way() {
    let other = json!({ "keys": [testing::p384().jwk("a")] }).to_string();
    let narrowed = {
        let mut key = testing::p256().jwk("a");
        key["use"] = json!("enc");
        json!({ "keys": [key, testing::p384().jwk("b")] }).to_string()
    };
    let added = jwks(&["a", "b"]);
    let cases =
        [(jwks(&["a"]), (true, true)), (added, (true, false)), (jwks(&["b"]), NONE), (other, NONE), (narrowed, NONE)];
    for (document, remembered) in cases {
        let bench = Bench::new();
        bench.script.keys(&["a"]);
        bench.attempt().await;
        bench.learn();
        bench.script.answer(JWKS, 200, document.as_str());
        bench.attempt().await;
        assert_eq!(bench.remembered(), remembered, "{document}");
    }
}

/// Waiters on a worker's own runtime and thread, as in the gateway.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hundred_tokens_of_a_new_key_cause_one_fetch() {
    let bench = Arc::new(Bench::warm(&["a"]).await);
    bench.script.open.send_replace(false);
    bench.script.keys(&["a", "b"]);
    let worker = std::thread::spawn({
        let bench = bench.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            let (arrived, mut arrivals) = watch::channel(0);
            let arrived = std::rc::Rc::new(arrived);
            for _ in 0..100 {
                let (bench, arrived) = (bench.clone(), arrived.clone());
                local.spawn_local(async move {
                    arrived.send_modify(|n| *n += 1);
                    assert_eq!(bench.code(Some("b")).await, "ok");
                });
            }
            let open = bench.script.open.clone();
            local.spawn_local(async move {
                arrivals.wait_for(|n| *n == 100).await.unwrap();
                open.send_replace(true);
            });
            runtime.block_on(local);
        }
    });
    tokio::task::spawn_blocking(move || worker.join().unwrap()).await.unwrap();
    assert_eq!(bench.script.asked(), 2);
}

#[tokio::test]
async fn unknown_kids_cause_one_fetch_per_cooldown_and_the_one_at_start_is_free() {
    let bench = Bench::warm(&["a"]).await;
    let steps: &[(u64, &str, usize)] = &[
        (0, "x1", 2), // the fetch at start does not count
        (0, "x2", 2), // cool-down
        (4, "x3", 2), // still
        (1, "x4", 3), // over
        (5, "x4", 3), // settled by a fetch that began after its first sight
        (0, "x1", 3), // so is this one
        (0, "x5", 4),
    ];
    for (pause, kid, fetches) in steps {
        bench.advance(*pause);
        assert_eq!(bench.code(Some(kid)).await, "unknown_key", "{kid}");
        assert_eq!(bench.script.asked(), *fetches, "{kid}");
    }
}

#[tokio::test]
async fn new_keys_end_the_memory_of_unknown_kids() {
    let bench = Bench::warm(&["a"]).await;
    assert_eq!(bench.code(Some("x")).await, "unknown_key");
    bench.advance(5);
    bench.script.keys(&["a", "b"]);
    assert_eq!(bench.code(Some("b")).await, "ok");
    bench.advance(5);
    bench.script.keys(&["a", "b", "x"]);
    assert_eq!(bench.code(Some("x")).await, "ok");
}

#[tokio::test]
async fn a_kid_that_the_set_holds_as_unusable_is_not_asked_for() {
    let bench = Bench::new();
    let mut key = testing::p256().jwk("weak");
    key["use"] = json!("enc");
    bench.script.answer(JWKS, 200, json!({ "keys": [key, testing::p256().jwk("a")] }).to_string());
    bench.attempt().await;
    let keys = bench.keeper.keys_for(Some("weak")).await.unwrap();
    assert!(!keys.has_kid("weak") && bench.script.asked() == 1);
}

#[tokio::test]
async fn requests_before_the_first_fetch_wait_for_it() {
    let bench = Arc::new(Bench::new());
    assert_eq!(bench.keeper.status().state, State::Starting);
    bench.script.keys(&["a"]);
    bench.script.open.send_replace(false);
    bench.keeper.start(&Handle::current());
    let early = tokio::spawn({
        let bench = bench.clone();
        async move { bench.code(Some("a")).await }
    });
    until(async || bench.script.asked() > 0).await;
    assert!(!early.is_finished());
    bench.script.open.send_replace(true);
    assert_eq!(early.await.unwrap(), "ok");
    assert_eq!(bench.script.asked(), 1);
}

#[tokio::test]
async fn patience_ends_and_what_is_at_hand_decides() {
    let bench = Bench::of(&issuer(KeySource::Uri(JWKS.into())), None, Duration::from_millis(20));
    bench.script.keys(&["a"]);
    bench.script.open.send_replace(false);
    bench.keeper.start(&Handle::current());
    assert_eq!(bench.code(Some("a")).await, "issuer_unavailable");
    bench.script.open.send_replace(true);
    until(async || bench.keeper.keys().is_some()).await;
    bench.script.open.send_replace(false);
    let rejection = bench.keeper.keys_for(Some("x")).await.unwrap_err();
    assert_eq!(rejection.code, RejectionCode::UnknownKey);
    assert!(rejection.detail.contains("did not answer within"), "{}", rejection.detail);
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_its_fetch_to_the_others() {
    let bench = Arc::new(Bench::warm(&["a"]).await);
    bench.script.keys(&["a", "b"]);
    bench.script.open.send_replace(false);
    let ask = |bench: Arc<Bench>| tokio::spawn(async move { bench.code(Some("b")).await });
    let first = ask(bench.clone());
    until(async || bench.script.asked() == 2).await;
    let second = ask(bench.clone());
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    bench.script.open.send_replace(true);
    assert_eq!(second.await.unwrap(), "ok");
    assert_eq!(bench.script.asked(), 2);
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_is_asked_again_and_recovers() {
    let bench = Bench::new();
    let pauses = [bench.attempt().await, bench.attempt().await, bench.attempt().await];
    for (pause, base) in pauses.iter().zip([1000, 2000, 4000]) {
        assert!((base * 3 / 4..=base).contains(&pause.as_millis()), "{pauses:?}");
    }
    let status = bench.keeper.status();
    assert_eq!((status.state, status.keys, status.age), (State::Unavailable, 0, None));
    assert!(status.last_error.unwrap().contains("https://i.example: cannot connect"));
    assert_eq!(bench.count(FetchResult::Unreachable), 3);
    assert_eq!(bench.code(None).await, "issuer_unavailable", "at once: nobody fetches here");

    bench.script.keys(&["a"]);
    let pause = bench.attempt().await;
    assert!((540..=600).contains(&pause.as_secs()), "{pause:?}");
    bench.advance(7);
    let status = bench.keeper.status();
    assert_eq!((status.state, status.keys, status.last_error), (State::Fresh, 1, None));
    assert_eq!((status.age.unwrap().as_secs(), status.jwks_uri.as_deref()), (7, Some(JWKS)));
    assert_eq!(bench.code(Some("a")).await, "ok");
}

#[tokio::test]
async fn without_keys_a_request_is_refused_at_once_and_has_the_issuer_asked_again() {
    let bench = Bench::new();
    bench.keeper.start(&Handle::current());
    assert_eq!(bench.code(None).await, "issuer_unavailable");
    bench.script.keys(&["a"]);
    // Sooner than the pause after the first failure, on a clock that stands still.
    until(async || bench.code(Some("a")).await == "ok").await;
    assert!(bench.script.asked() <= 3);
}

#[tokio::test]
async fn the_last_good_keys_serve_for_max_stale_and_no_longer() {
    let bench = Bench::new();
    bench.script.keys(&["a"]);
    bench.attempt().await;
    bench.script.down();
    bench.advance(1000);
    let since = bench.clock.now();
    bench.attempt().await;
    bench.advance(2599);
    bench.attempt().await;
    assert_eq!(bench.keeper.status().state, State::Stale { since });
    bench.learn();
    assert_eq!((bench.code(Some("a")).await, bench.remembered()), ("ok", (true, true)));
    assert_eq!(bench.keeper.core.drop_expired(bench.clock.uptime()), Some(Duration::from_secs(3600)));
    bench.advance(1);
    assert_eq!(bench.code(Some("a")).await, "issuer_unavailable");
    assert_eq!(bench.keeper.status().state, State::Unavailable);
    assert_eq!(bench.keeper.core.drop_expired(bench.clock.uptime()), None);
    assert_eq!(bench.remembered(), NONE, "verdicts that rest on them are over, too");
}

#[tokio::test]
async fn keys_are_asked_for_again_before_they_are_too_old() {
    let hasty = Issuer { max_stale: Duration::from_secs(40), ..issuer(KeySource::Uri(JWKS.into())) };
    let bench = Bench::of(&hasty, None, LONG);
    bench.script.keys(&["a"]);
    assert_eq!(bench.attempt().await.as_secs(), 20);
}

#[tokio::test]
async fn whatever_comes_in_their_place_good_keys_are_kept() {
    let small = format!(r#"{{"keys":[{{"kty":"RSA","kid":"s","e":"AQAB","n":"{}"}}]}}"#, testing::RSA_1024_N);
    let private = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#;
    let zero = r#"{"keys":[{"kty":"RSA","n":"","e":"AQAB"}]}"#;
    let cases = [
        (500, "oops", FetchResult::Status, "500"),
        (404, "", FetchResult::Status, "404"),
        (204, "", FetchResult::Status, "204"),
        (200, "", FetchResult::Invalid, "JWK Set"),
        (200, "<html>", FetchResult::Invalid, "JWK Set"),
        (200, "{}", FetchResult::Invalid, "keys"),
        (200, r#"{"keys":[]}"#, FetchResult::Invalid, "without keys"),
        (200, r#"{"keys":[],"keys":[]}"#, FetchResult::Invalid, "JWK Set"),
        (200, &small, FetchResult::Invalid, "1024-bit"),
        (200, private, FetchResult::Invalid, "none usable"),
        (200, zero, FetchResult::Invalid, "none usable"),
    ];
    for (status, body, result, part) in cases {
        let bench = Bench::new();
        bench.script.keys(&["a"]);
        bench.attempt().await;
        bench.learn();
        bench.script.answer(JWKS, status, body);
        bench.attempt().await;
        let error = bench.keeper.status().last_error.unwrap();
        assert!(error.contains(part) && error.contains(JWKS), "{body}: {error}");
        assert_eq!((bench.count(result), bench.count(FetchResult::Ok)), (1, 1), "{body}");
        assert_eq!((bench.code(Some("a")).await, bench.remembered()), ("ok", (true, true)), "{body}");
    }
}

fn metadata(issuer: &str, jwks_uri: &str) -> String {
    json!({ "issuer": issuer, "jwks_uri": jwks_uri, "token_endpoint": "https://x" }).to_string()
}

#[tokio::test]
async fn discovery_takes_the_metadata_of_this_issuer_only() {
    let good = || metadata("https://i.example/t", JWKS);
    let html = || "<html>".to_owned();
    let cases: Vec<(Option<String>, Option<String>, FetchResult, &str)> = vec![
        (Some(good()), None, FetchResult::Ok, ""),
        (Some(html()), Some(good()), FetchResult::Ok, ""),
        (None, Some(good()), FetchResult::Ok, ""),
        (None, None, FetchResult::Status, OAUTH),
        (Some(html()), None, FetchResult::Invalid, "openid-configuration: not an issuer's metadata"),
        (Some(metadata("https://i.example/t/", JWKS)), Some(good()), FetchResult::IssuerMismatch, "by a slash"),
        (Some(metadata("https://evil.example", JWKS)), None, FetchResult::IssuerMismatch, "evil.example"),
        (None, Some(metadata("HTTPS://i.example/t", JWKS)), FetchResult::IssuerMismatch, "HTTPS"),
        (Some(metadata("https://i.example/t", "http://i.example/jwks")), None, FetchResult::Invalid, "allow_http"),
        (Some(metadata("https://i.example/t", "file:///etc/passwd")), None, FetchResult::Invalid, "only https"),
        (Some(metadata("https://i.example/t", "jwks")), None, FetchResult::Invalid, "jwks_uri"),
    ];
    for (oidc, oauth, result, part) in cases {
        let bench = Bench::of(&issuer(KeySource::Discovery), None, LONG);
        bench.script.keys(&["a"]);
        for (url, answer) in [(OIDC, &oidc), (OAUTH, &oauth)] {
            bench.script.answer(url, if answer.is_some() { 200 } else { 404 }, answer.clone().unwrap_or_default());
        }
        bench.attempt().await;
        assert_eq!(bench.count(result), 1, "{oidc:?} {oauth:?} {:?}", bench.keeper.status());
        assert!(bench.keeper.status().last_error.unwrap_or_default().contains(part), "{:?}", bench.keeper.status());
        assert_eq!(bench.keeper.keys().is_some(), result == FetchResult::Ok);
    }
}

#[tokio::test]
async fn http_is_for_loopback_unless_allowed() {
    let cases = [
        ("http://127.0.0.1:1/jwks", false, true),
        ("http://[::1]/jwks", false, true),
        ("http://localhost/jwks", false, true),
        ("http://localhost.evil.example/jwks", false, false),
        ("http://127.0.0.1.evil.example/jwks", false, false),
        ("http://10.0.0.1/jwks", false, false),
        ("http://10.0.0.1/jwks", true, true),
        ("ftp://127.0.0.1/jwks", true, false),
    ];
    for (url, allow_http, asked) in cases {
        let bench = Bench::of(&Issuer { allow_http, ..issuer(KeySource::Uri(url.into())) }, None, LONG);
        bench.attempt().await;
        assert_eq!(bench.script.asked() == 1, asked, "{url}");
    }
}

#[tokio::test]
async fn stored_keys_serve_a_start_while_the_issuer_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let settings = issuer(KeySource::Discovery);
    let up = Bench::of(&settings, Some(folder.path()), LONG);
    up.script.answer(OIDC, 200, metadata("https://i.example/t", JWKS));
    up.script.keys(&["a"]);
    up.attempt().await;

    let down = Bench::of(&settings, Some(folder.path()), LONG);
    down.advance(600);
    down.attempt().await;
    let status = down.keeper.status();
    assert_eq!((status.state, status.age.unwrap().as_secs()), (State::Stale { since: down.clock.now() }, 600));
    assert_eq!((down.code(Some("a")).await, status.jwks_uri.as_deref()), ("ok", Some(JWKS)));
    down.advance(3000);
    assert_eq!(down.code(Some("a")).await, "issuer_unavailable", "their age on the disk counts");

    let late = Bench::of(&settings, Some(folder.path()), LONG);
    late.advance(3600);
    late.attempt().await;
    assert_eq!(late.code(Some("a")).await, "issuer_unavailable");

    let rotated = Bench::of(&settings, Some(folder.path()), LONG);
    rotated.script.answer(OIDC, 200, metadata("https://i.example/t", JWKS));
    rotated.script.keys(&["b"]);
    rotated.attempt().await;
    let keys = rotated.keeper.keys().unwrap();
    assert!(keys.has_kid("b") && !keys.has_kid("a"), "a fetch that succeeds leaves the disk unread");

    for file in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::write(file.unwrap().path(), "{").unwrap();
    }
    let broken = Bench::of(&settings, Some(folder.path()), LONG);
    broken.attempt().await;
    assert_eq!(broken.keeper.status().state, State::Unavailable);
}

#[tokio::test]
async fn a_key_file_is_kept_like_an_issuer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let bench = Bench::of(&issuer(KeySource::File(path.clone())), Some(folder.path()), LONG);
    bench.keeper.start(&Handle::current());
    assert_eq!(bench.code(None).await, "issuer_unavailable");
    let mut expected: Vec<(String, FetchResult)> = vec![
        (jwks(&["a"]), FetchResult::Ok),
        ("x".repeat(512 * 1024 + 1), FetchResult::TooLarge),
        ("{}".into(), FetchResult::Invalid),
        (jwks(&["b"]), FetchResult::Ok),
    ];
    for (content, result) in expected.drain(..) {
        std::fs::write(&path, content).unwrap();
        let before = bench.count(result);
        bench.keeper.refresh();
        until(async || bench.count(result) > before).await;
    }
    until(async || bench.code(Some("b")).await == "ok").await;
    assert_eq!(bench.script.asked(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a file is not stored a second time");
}

#[tokio::test]
async fn a_keeper_is_kept_for_the_same_settings_and_inherits_from_the_same_source() {
    let bench = Bench::warm(&["a"]).await;
    let same = issuer(KeySource::Uri(JWKS.into()));
    assert!(bench.keeper.serves(&Issuer { audiences: vec![], clock_skew: LONG, ..same.clone() }));
    let slower = Issuer { refetch_cooldown: LONG, ..same.clone() };
    let elsewhere = Issuer { keys: KeySource::Discovery, ..same.clone() };
    let other = Issuer { issuer: "https://j.example".into(), ..same };
    for (changed, inherits) in [(slower, true), (elsewhere, false), (other, false)] {
        assert!(!bench.keeper.serves(&changed));
        let next = Bench::of(&changed, None, LONG);
        next.keeper.inherit(&bench.keeper);
        assert_eq!(next.keeper.keys().is_some(), inherits, "{changed:?}");
    }
}

#[tokio::test]
async fn the_task_ends_with_its_keeper() {
    let bench = Bench::warm(&["a"]).await;
    let core = Arc::downgrade(&bench.keeper.core);
    assert!(core.upgrade().is_some());
    drop(bench);
    until(async || core.upgrade().is_none()).await;
}
