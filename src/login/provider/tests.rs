//! A provider against a scripted issuer and a clock that is moved by hand.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex as Held;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::config::model::{ClientAuth, KeySource, Profile};
use crate::fetch::{Fault, FetchError, FetchFuture};

const METADATA: &str = "https://i.example/.well-known/openid-configuration";
const TOKEN: &str = "https://i.example/token";

/// Answers as scripted, and writes down what it was asked.
#[derive(Default)]
struct Script {
    answers: Held<HashMap<String, (u16, String)>>,
    asked: Held<Vec<String>>,
}

impl Script {
    fn answer(&self, url: &str, status: u16, body: impl Into<String>) {
        self.answers.lock().unwrap().insert(url.into(), (status, body.into()));
    }

    fn metadata(&self, more: &serde_json::Value) {
        let mut document = json!({
            "issuer": "https://i.example",
            "authorization_endpoint": "https://i.example/authorize",
            "token_endpoint": TOKEN,
        });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.answer(METADATA, 200, document.to_string());
    }

    /// How often the metadata were asked for.
    fn looks(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|url| *url == METADATA).count()
    }
}

impl Fetch for Script {
    fn fetch(&self, request: Request) -> FetchFuture<'_> {
        self.asked.lock().unwrap().push(request.url.to_string());
        Box::pin(async move {
            let answer = self.answers.lock().unwrap().get(request.url.as_str()).cloned();
            let refused = || FetchError::new(&request.url, Fault::Connect(io::ErrorKind::ConnectionRefused.into()));
            let (status, body) = answer.ok_or_else(refused)?;
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Response { status, headers: HeaderMap::new(), body: Bytes::from(body) })
        })
    }
}

fn issuer() -> Issuer {
    Issuer {
        name: "main".into(),
        issuer: "https://i.example".into(),
        audiences: vec![],
        profile: Profile::Rfc9068,
        token_types: vec![],
        keys: KeySource::Discovery,
        algorithms: vec![],
        clock_skew: Duration::ZERO,
        required_claims: vec![],
        ca_file: None,
        allow_http: false,
        max_stale: Duration::ZERO,
        refetch_cooldown: Duration::ZERO,
        introspection: None,
    }
}

struct Bench {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    provider: Provider,
}

impl Bench {
    /// At an issuer whose metadata say this, too.
    fn new(more: &serde_json::Value) -> Self {
        let (script, clock) = (Arc::<Script>::default(), Arc::new(ManualClock::at(UnixTime::from_secs(1_000_000))));
        script.metadata(more);
        let provider = Provider {
            login: "web".into(),
            discovery: Discovery::of(&issuer()),
            client: OwnClient::new("https://i.example", "web", &ClientAuth::None).unwrap(),
            fetch: script.clone(),
            clock: clock.clone(),
            known: Mutex::default(),
        };
        Self { script, clock, provider }
    }

    async fn redeemed(&self, status: u16, answer: impl Into<String>) -> Result<Answer, ProviderError> {
        self.script.answer(TOKEN, status, answer);
        self.provider.redeem(&[("grant_type", "refresh_token")]).await
    }
}

#[tokio::test]
async fn metadata_are_read_anew_after_ten_minutes_and_serve_on_while_the_issuer_is_down() {
    let bench = Bench::new(&json!({}));
    let sends_iss = async || bench.provider.endpoints().await.unwrap().sends_iss;
    assert!(!sends_iss().await && !sends_iss().await);
    assert_eq!(bench.script.looks(), 1);
    bench.script.metadata(&json!({ "authorization_response_iss_parameter_supported": true }));
    bench.clock.advance(FRESH - Duration::from_secs(1));
    assert!(!sends_iss().await);
    bench.clock.advance(Duration::from_secs(1));
    assert!(sends_iss().await, "what it says now");
    assert_eq!(bench.script.looks(), 2);
    bench.script.answers.lock().unwrap().clear();
    bench.clock.advance(FRESH);
    assert!(sends_iss().await && sends_iss().await, "what it said last");
    assert_eq!(bench.script.looks(), 3, "it is left alone for a moment");
    bench.clock.advance(RETRY);
    assert!(sends_iss().await);
    assert_eq!(bench.script.looks(), 4);
}

#[tokio::test]
async fn what_was_never_known_is_asked_for_again_after_a_moment() {
    let bench = Bench::new(&json!({}));
    bench.script.answers.lock().unwrap().clear();
    assert!(bench.provider.endpoints().await.is_err());
    let looks = bench.script.looks();
    bench.script.metadata(&json!({}));
    assert!(bench.provider.endpoints().await.is_err());
    assert_eq!(bench.script.looks(), looks, "it is left alone, whoever wants to log in");
    bench.clock.advance(PAUSE);
    assert!(bench.provider.endpoints().await.is_ok());
}

#[tokio::test]
async fn the_life_of_a_token_may_be_a_number_that_is_written_as_a_text() {
    let bench = Bench::new(&json!({}));
    let with =
        |expires_in| json!({ "access_token": "a", "token_type": "Bearer", "expires_in": expires_in }).to_string();
    for (written, expected) in [(json!(599.5), Some(599.5)), (json!("600"), Some(600.0)), (json!(null), None)] {
        let answer = bench.redeemed(200, with(written.clone())).await.map(|answer| answer.expires_in);
        assert_eq!(answer, Ok(expected), "{written}");
    }
    for odd in [json!("soon"), json!("-1"), json!("6e2"), json!(""), json!([600]), json!(true)] {
        assert!(bench.redeemed(200, with(odd.clone())).await.is_err(), "{odd}");
    }
}

#[tokio::test]
async fn an_endpoint_without_a_name_is_none() {
    let bench = Bench::new(&json!({ "end_session_endpoint": "", "revocation_endpoint": "" }));
    let endpoints = bench.provider.endpoints().await.unwrap();
    assert!(endpoints.end_session.is_none() && endpoints.revocation.is_none());
    let bench = Bench::new(&json!({ "token_endpoint": "" }));
    assert!(bench.provider.endpoints().await.is_err(), "one that is needed");
}

/// Whoever is refused is out; so a refusal is only what is certainly one.
#[tokio::test]
async fn a_refusal_is_told_apart_from_an_issuer_that_is_broken() {
    let bench = Bench::new(&json!({}));
    let good = |kind: &str| json!({ "access_token": "a", "token_type": kind }).to_string();
    assert!(bench.redeemed(200, good("bearer")).await.is_ok() && bench.redeemed(200, good("BEARER")).await.is_ok());
    let no = r#"{"error": "invalid_grant", "error_description": "it is\n\u007f over"}"#;
    let refused = bench.redeemed(400, no).await.err().unwrap();
    let description = Some("it is over".to_owned());
    assert_eq!(refused, ProviderError::Refused { error: "invalid_grant".into(), description });
    for (status, answer) in [
        (500, no.to_owned()),
        (503, no.to_owned()),
        (302, no.to_owned()),
        (400, "<html>".to_owned()),
        (400, "{}".to_owned()),
        (200, no.to_owned()),
        (200, good("DPoP")),
        (200, good("")),
    ] {
        let error = bench.redeemed(status, answer.clone()).await.err().unwrap();
        assert!(matches!(error, ProviderError::Unavailable(_)), "{status} {answer}: {error}");
    }
}
