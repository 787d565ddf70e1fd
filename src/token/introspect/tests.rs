use std::io;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::config::model::{KeySource, Profile, TokenType};
use crate::fetch::{Fault, FetchError, FetchFuture, Request, Response};
use crate::secret::Secret;
use crate::token::RejectionCode;
use crate::token::jwks;

const ENDPOINT: &str = "https://i.example/introspect";
const LONG: Duration = Duration::from_secs(3600);

/// What the next questions meet.
#[derive(Clone)]
enum Fate {
    Answer(u16, String),
    Refused,
    Panic,
}

/// An issuer that answers, once the gate is open.
struct Script {
    fate: Mutex<Fate>,
    open: watch::Sender<bool>,
    asked: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Script {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            fate: Mutex::new(Fate::Answer(200, good().to_string())),
            open: watch::Sender::new(true),
            asked: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        })
    }

    fn set(&self, fate: Fate) {
        *self.fate.lock().unwrap() = fate;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Fetch for Script {
    fn fetch(&self, request: Request) -> FetchFuture<'_> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            self.open.subscribe().wait_for(|open| *open).await.unwrap();
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            let fate = self.fate.lock().unwrap().clone();
            match fate {
                Fate::Answer(status, body) => {
                    let status = StatusCode::from_u16(status).unwrap();
                    Ok(Response { status, headers: HeaderMap::new(), body: Bytes::from(body) })
                }
                Fate::Refused => {
                    Err(FetchError::new(&request.url, Fault::Connect(io::ErrorKind::ConnectionRefused.into())))
                }
                Fate::Panic => panic!("as the case wants it"),
            }
        })
    }
}

fn good() -> serde_json::Value {
    json!({"active": true, "sub": "alice", "exp": 2_000_000})
}

fn issuer() -> Issuer {
    Issuer {
        name: "acme".into(),
        issuer: "https://i.example".into(),
        audiences: vec!["api".into()],
        profile: Profile::Rfc9068,
        token_types: vec![TokenType::Named("at+jwt".into())],
        keys: KeySource::Discovery,
        algorithms: vec![],
        clock_skew: Duration::ZERO,
        required_claims: vec![],
        ca_file: None,
        allow_http: false,
        max_stale: LONG,
        refetch_cooldown: LONG,
        introspection: Some(Introspection {
            endpoint: Some(ENDPOINT.into()),
            client_id: "gateway".into(),
            auth: ClientAuth::Basic(Secret::new("secret".into())),
            always: false,
            audience_optional: true,
            answer: AnswerForm::Json,
            cache: Duration::from_secs(30),
            negative_cache: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            serve_stale: Duration::from_secs(60),
        }),
    }
}

fn changed(change: impl FnOnce(&mut Introspection)) -> Issuer {
    let mut issuer = issuer();
    issuer.introspection.as_mut().map(change).expect("it has one");
    issuer
}

struct Bench {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    epoch: Arc<Epoch>,
    keys: Arc<Keeper>,
    introspector: Arc<Introspector>,
}

impl Bench {
    fn new() -> Self {
        Self::of(&issuer())
    }

    fn of(issuer: &Issuer) -> Self {
        let (script, epoch) = (Script::new(), Arc::new(Epoch::default()));
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(1_000_000)));
        let means = jwks::Means { fetch: script.clone(), clock: clock.clone(), epoch: epoch.clone() };
        let keys = Arc::new(Keeper::new(issuer, means, None));
        let means =
            Means { fetch: script.clone(), clock: clock.clone(), epoch: epoch.clone(), keys: Arc::clone(&keys) };
        let introspector = Arc::new(Introspector::new(issuer, means).unwrap().expect("it is to be asked"));
        introspector.start(&Handle::current());
        Self { script, clock, epoch, keys, introspector }
    }

    async fn code(&self, token: &str) -> &'static str {
        self.introspector.ask(token).await.map_or_else(|rejection| rejection.code.as_str(), |_| "ok")
    }

    /// Asks from a task of its own.
    fn ask(&self, token: &str) -> tokio::task::JoinHandle<Result<Testimony, Rejection>> {
        let (introspector, token) = (Arc::clone(&self.introspector), token.to_owned());
        tokio::spawn(async move { introspector.ask(&token).await })
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("in vain: {what}");
    }

    fn count(&self, result: AskResult) -> u64 {
        self.introspector.questions().find_map(|(of, count)| (of == result).then_some(count)).unwrap()
    }
}

#[tokio::test]
async fn an_answer_holds_for_the_ceiling_and_no_longer_than_exp() {
    let bench = Bench::new();
    let until = bench.introspector.ask("a").await.unwrap().fresh_until;
    assert_eq!(until, UnixTime::from_secs(1_000_030), "the ceiling");
    bench.clock.advance(Duration::from_secs(20));
    assert_eq!(bench.introspector.ask("a").await.unwrap().fresh_until, until, "the same answer");
    assert_eq!(bench.script.asked(), 1);
    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(bench.introspector.ask("a").await.unwrap().fresh_until, UnixTime::from_secs(1_000_060));
    assert_eq!(bench.script.asked(), 2);
    let soon = json!({"active": true, "exp": 1_000_035});
    bench.script.set(Fate::Answer(200, soon.to_string()));
    assert_eq!(bench.introspector.ask("b").await.unwrap().fresh_until, UnixTime::from_secs(1_000_035), "exp");
    bench.clock.advance(Duration::from_secs(5));
    bench.script.set(Fate::Answer(200, json!({"active": false}).to_string()));
    assert_eq!(bench.code("b").await, "inactive", "asked again at exp");
}

#[tokio::test]
async fn a_panic_on_the_way_leaves_nobody_waiting_and_the_next_one_asks() {
    let bench = Bench::new();
    bench.script.set(Fate::Panic);
    bench.script.open.send_replace(false);
    let waiting = [bench.ask("a"), bench.ask("a"), bench.ask("a")];
    bench.until("it is asked", |bench| bench.script.asked() == 1).await;
    bench.script.open.send_replace(true);
    for one in waiting {
        let rejection = one.await.unwrap().unwrap_err();
        assert_eq!(rejection.code, RejectionCode::IssuerUnavailable, "{rejection}");
    }
    assert!(bench.introspector.core.flights().is_empty());
    bench.script.set(Fate::Answer(200, good().to_string()));
    assert_eq!(bench.code("a").await, "ok");
}

#[tokio::test]
async fn who_gives_up_leaves_the_question_to_the_others() {
    let bench = Bench::new();
    bench.script.open.send_replace(false);
    let first = bench.ask("a");
    bench.until("it is asked", |bench| bench.script.asked() == 1).await;
    let second = bench.ask("a");
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    bench.script.open.send_replace(true);
    assert!(second.await.unwrap().is_ok());
    assert_eq!(bench.script.asked(), 1);
}

#[tokio::test]
async fn questions_are_bounded_and_too_many_are_turned_away() {
    let bench = Bench::new();
    bench.script.open.send_replace(false);
    let all: Vec<_> = (0..FLIGHTS).map(|number| bench.ask(&format!("token-{number}"))).collect();
    bench.until("all are on their way", |bench| bench.introspector.core.flights().len() == FLIGHTS).await;
    bench.until("the places are taken", |bench| bench.script.asked() == PLACES).await;
    assert_eq!(bench.code("one more").await, "issuer_unavailable");
    assert_eq!(bench.count(AskResult::Skipped), 1);
    bench.script.open.send_replace(true);
    for one in all {
        assert!(one.await.unwrap().is_ok());
    }
    assert_eq!(bench.script.asked(), FLIGHTS);
    assert_eq!(bench.script.most_at_once.load(Ordering::SeqCst), PLACES);
    assert_eq!(bench.code("one more").await, "ok");
}

#[tokio::test]
async fn waiting_for_a_place_says_nothing_of_the_issuer() {
    let bench = Bench::of(&changed(|asked| asked.timeout = Duration::from_millis(200)));
    bench.script.open.send_replace(false);
    let all: Vec<_> = (0..PLACES * 2).map(|number| bench.ask(&format!("token-{number}"))).collect();
    for one in all {
        assert_eq!(one.await.unwrap().unwrap_err().code, RejectionCode::IssuerUnavailable);
    }
    assert!(bench.introspector.status().resting, "those who did ask had no answer");
    bench.until("every place is free", |bench| bench.introspector.core.flights().is_empty()).await;
    assert_eq!(bench.count(AskResult::Unreachable), PLACES as u64);
    assert_eq!(bench.count(AskResult::Skipped), PLACES as u64);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_left_alone_and_tried_by_one() {
    let bench = Bench::new();
    bench.script.set(Fate::Refused);
    for number in 0..20 {
        assert_eq!(bench.code(&format!("token-{number}")).await, "issuer_unavailable");
    }
    assert_eq!(bench.script.asked(), 5);
    bench.clock.advance(Duration::from_secs(1));
    for number in 0..20 {
        assert_eq!(bench.code(&format!("token-{number}")).await, "issuer_unavailable");
    }
    assert_eq!(bench.script.asked(), 6, "one tried");
    bench.script.set(Fate::Answer(200, json!({"active": false}).to_string()));
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(bench.code("a").await, "inactive", "any answer is a sign of life");
    assert_eq!(bench.code("b").await, "inactive");
    assert!(!bench.introspector.status().resting);
}

/// Tokens that make an issuer stumble must not cut off the others.
#[tokio::test]
async fn what_may_be_the_trouble_of_one_token_shuts_nobody_off() {
    let bench = Bench::new();
    for (status, body) in [(400, ""), (404, ""), (200, "<h1>"), (200, "[]"), (200, "{\"active\":true,\"active\":true}")]
    {
        bench.script.set(Fate::Answer(status, body.into()));
        for number in 0..20 {
            bench.code(&format!("{status} {body} {number}")).await;
        }
        assert!(!bench.introspector.status().resting, "{status} {body}");
    }
    assert_eq!(bench.script.asked(), 100);
}

#[tokio::test]
async fn an_outdated_answer_serves_as_long_as_it_may() {
    let bench = Bench::new();
    assert_eq!(bench.code("a").await, "ok");
    bench.script.set(Fate::Refused);
    bench.clock.advance(Duration::from_secs(31));
    let stale = bench.introspector.ask("a").await.unwrap();
    assert_eq!(stale.fresh_until, UnixTime::from_secs(1_000_032), "for a moment at a time");
    assert_eq!(bench.code("b").await, "issuer_unavailable");
    bench.clock.advance(Duration::from_secs(58));
    assert_eq!(bench.code("a").await, "ok");
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.code("a").await, "issuer_unavailable", "30 s and 60 s are over");
    let none = Bench::of(&changed(|asked| asked.serve_stale = Duration::ZERO));
    assert_eq!(none.code("a").await, "ok");
    none.script.set(Fate::Refused);
    none.clock.advance(Duration::from_secs(29));
    assert_eq!(none.code("a").await, "ok");
    none.clock.advance(Duration::from_secs(1));
    assert_eq!(none.code("a").await, "issuer_unavailable", "nothing is served unless it is written");
}

#[tokio::test]
async fn another_endpoint_in_the_metadata_voids_what_the_old_one_said() {
    let bench = Bench::of(&changed(|asked| asked.endpoint = None));
    let core = &bench.introspector.core;
    core.settle("https://i.example/one".parse().unwrap());
    let before = bench.epoch.acceptances();
    assert_eq!(bench.code("a").await, "ok");
    core.settle("https://i.example/one".parse().unwrap());
    assert_eq!((bench.epoch.acceptances(), bench.code("a").await), (before, "ok"), "nothing has changed");
    core.settle("https://i.example/two".parse().unwrap());
    assert_eq!(bench.epoch.acceptances(), before + 1);
    bench.script.set(Fate::Answer(200, json!({"active": false}).to_string()));
    assert_eq!(bench.code("a").await, "inactive", "the other one is asked");
}

#[tokio::test]
async fn metadata_name_the_endpoint_and_must_name_a_safe_one() {
    let metadata = |endpoint: serde_json::Value| {
        json!({"issuer": "https://i.example", "introspection_endpoint": endpoint}).to_string()
    };
    let cases = [
        (metadata(json!(ENDPOINT)), Some(ENDPOINT)),
        (metadata(json!("http://i.example/introspect")), None),
        (metadata(json!("file:///etc/passwd")), None),
        (metadata(json!(7)), None),
        (metadata(json!(null)), None),
        (json!({"issuer": "https://j.example", "introspection_endpoint": ENDPOINT}).to_string(), None),
    ];
    for (document, expected) in cases {
        let bench = Bench::of(&changed(|asked| asked.endpoint = None));
        bench.script.set(Fate::Answer(200, document.clone()));
        bench.until("it has looked", |bench| *bench.introspector.core.endpoint.borrow() != Endpoint::Sought).await;
        assert_eq!(bench.introspector.status().endpoint.as_deref(), expected, "{document}");
    }
}

#[tokio::test]
async fn a_reload_keeps_what_it_does_not_concern() {
    let bench = Bench::new();
    let serves = |issuer: &Issuer| bench.introspector.serves(issuer, &bench.keys);
    assert!(serves(&issuer()));
    assert!(serves(&Issuer { audiences: vec!["other".into()], ..issuer() }), "judged when it is used");
    let differing = [
        changed(|asked| asked.auth = ClientAuth::Basic(Secret::new("other".into()))),
        changed(|asked| asked.auth = ClientAuth::Post(Secret::new("secret".into()))),
        changed(|asked| asked.endpoint = None),
        changed(|asked| asked.cache = LONG),
        changed(|asked| asked.client_id = "other".into()),
        Issuer { introspection: None, ..issuer() },
        Issuer { issuer: "https://j.example".into(), ..issuer() },
        Issuer { ca_file: Some("ca.pem".into()), ..issuer() },
    ];
    for other in differing {
        assert!(!serves(&other), "{other:?}");
    }
}
