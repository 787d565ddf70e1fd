//! Opaque tokens: what the gateway makes of an issuer's answers, how often it asks, and what happens when the issuer is
//! slow, broken, hostile or away. Nothing here may end in a token that passes without a good answer, or in a token that
//! is called bad because its issuer could not be asked.

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use support::client::{Request, Response};
use support::gateway::{Gateway, run};
use support::introspection::{Answer, Endpoint};
use support::keys::{Key, Kind, b64};
use support::tls::{Authority, Identity, authority};
use support::token::{AUDIENCE, Token};
use support::upstream::{Upstream, nobody};
use support::{now, report};

const ROUTE: &str = "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\nupstream = \"api\"\n";
const SECRET: &str = "client_secret = \"s3cret-of-the-gateway\"";

fn config(endpoint: &Endpoint, extra: &str, upstream: &Upstream) -> String {
    [endpoint.toml("acme", extra), upstream.toml("api"), ROUTE.to_owned()].join("\n")
}

fn start(endpoint: &Endpoint, extra: &str, upstream: &Upstream) -> Gateway {
    Gateway::start(&config(endpoint, &format!("{SECRET}\n{extra}"), upstream))
}

fn call(gateway: &Gateway, token: &str) -> Response {
    gateway.call(&Request::get("/x").bearer(token))
}

/// Status and code in one, as `200` or `401 inactive`.
fn verdict_of(answer: &Response) -> String {
    format!("{} {}", answer.status, answer.code()).trim_end().to_owned()
}

fn verdict(gateway: &Gateway, token: &str) -> String {
    verdict_of(&call(gateway, token))
}

/// A good answer with this member changed; `null` takes it away.
fn with(endpoint: &Endpoint, name: &str, value: Value) -> Answer {
    let mut answer = endpoint.active();
    match value {
        Value::Null => drop(answer.as_object_mut().expect("an object").remove(name)),
        value => answer[name] = value,
    }
    Answer::Json(answer)
}

#[test]
fn an_active_token_becomes_a_principal() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let headers = "[identity_headers]\n\"X-Auth-Name\" = \"/username\"\n";
    let gateway = Gateway::start(&(config(&endpoint, SECRET, &upstream) + headers));
    endpoint.about("opaque", Answer::Json(endpoint.active()));
    assert_eq!(verdict(&gateway, "opaque"), "200");
    let seen = upstream.only();
    let expected = [
        ("x-auth-subject", "alice"),
        ("x-auth-issuer", &endpoint.url),
        ("x-auth-client", "cli"),
        ("x-auth-scopes", "orders:read"),
        ("x-auth-name", "Alice"),
        ("authorization", "Bearer opaque"),
    ];
    for (name, value) in expected {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let question = endpoint.questions().remove(0);
    assert_eq!((question.get("token"), question.get("token_type_hint")), ("opaque", "access_token"));
    assert_eq!(question.accept, "application/json");
    let line = gateway.until("its line in the log", || gateway.access_log().into_iter().next());
    assert_eq!((&line["issuer"], &line["subject"], &line["client"]), (&json!("acme"), &json!("alice"), &json!("cli")));
}

#[test]
fn answers_are_judged_strictly() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "", &upstream);
    let text = |text: &str| Answer::Text(text.to_owned());
    let members = endpoint.active().to_string();
    let rest = &members[1..];
    let set = |name: &str, value: Value| with(&endpoint, name, value);
    let deep = format!("{{\"deep\":{}{},{rest}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_short = format!("{{\"deep\":{}{},{rest}", "[".repeat(100), "]".repeat(100));
    let cases: Vec<(&str, Answer, &str)> = vec![
        ("as it should be", Answer::Json(endpoint.active()), "200"),
        ("of an array of audiences", set("aud", json!(["https://other.test", AUDIENCE])), "200"),
        ("without iss", set("iss", Value::Null), "200"),
        ("without exp", set("exp", Value::Null), "200"),
        ("without iat", set("iat", Value::Null), "200"),
        ("without scope", set("scope", Value::Null), "200"),
        ("without token_type", set("token_type", Value::Null), "200"),
        ("scopes as an array", set("scope", json!(["a", "b"])), "200"),
        ("active is false", set("active", json!(false)), "401 inactive"),
        ("active is a text", set("active", json!("true")), "401 inactive"),
        ("active is a number", set("active", json!(1)), "401 inactive"),
        ("active is an array", set("active", json!([true])), "401 inactive"),
        (
            "active is null",
            text(&format!("{{\"active\":null,{}", members.replacen("\"active\":true,", "", 1).split_off(1))),
            "401 inactive",
        ),
        ("no active", set("active", Value::Null), "401 inactive"),
        ("an empty object", text("{}"), "401 inactive"),
        ("active twice, equal", text(&format!("{{\"active\":true,{rest}")), "401 malformed_token"),
        ("active twice, differing", text(&format!("{{\"active\":false,{rest}")), "401 malformed_token"),
        ("a member twice", text(&format!("{{\"sub\":\"bob\",{rest}")), "401 malformed_token"),
        ("a member twice, far inside", text(&format!("{{\"x\":{{\"a\":1,\"a\":2}},{rest}")), "401 malformed_token"),
        ("another issuer", set("iss", json!("https://other.test")), "401 unknown_issuer"),
        ("another audience", set("aud", json!("https://other.test")), "401 wrong_audience"),
        ("no audience of ours", set("aud", json!(["https://other.test", "https://third.test"])), "401 wrong_audience"),
        ("an empty list of audiences", set("aud", json!([])), "401 wrong_audience"),
        ("without aud", set("aud", Value::Null), "401 missing_claim"),
        ("expired", set("exp", json!(now() - 1)), "401 expired"),
        ("expired long ago", set("exp", json!(0)), "401 expired"),
        ("not yet valid", set("nbf", json!(now() + 300)), "401 not_yet_valid"),
        ("valid by now", set("nbf", json!(now() - 1)), "200"),
        ("issued in the future", set("iat", json!(now() + 300)), "401 not_yet_valid"),
        ("exp is a text", set("exp", json!("9999999999")), "401 malformed_token"),
        ("exp is an object", set("exp", json!({})), "401 malformed_token"),
        ("exp is beyond all numbers", set("exp", json!(1e300)), "401 malformed_token"),
        ("nbf is a text", set("nbf", json!("0")), "401 malformed_token"),
        ("sub is a number", set("sub", json!(7)), "401 malformed_token"),
        ("client_id is an array", set("client_id", json!(["cli"])), "401 malformed_token"),
        ("username is an object", set("username", json!({})), "401 malformed_token"),
        ("scope is a number", set("scope", json!(7)), "401 malformed_token"),
        ("scope holds a number", set("scope", json!(["a", 7])), "401 malformed_token"),
        ("aud is an object", set("aud", json!({})), "401 malformed_token"),
        ("iss is an array", set("iss", json!([endpoint.url])), "401 malformed_token"),
        ("token_type is a number", set("token_type", json!(1)), "401 malformed_token"),
        ("a line end in sub", set("sub", json!("a\r\nX-Admin: 1")), "401 malformed_token"),
        ("a refresh token", set("token_type", json!("refresh_token")), "401 wrong_type"),
        ("a refresh token, by its use", set("token_use", json!("refresh_token")), "401 wrong_type"),
        ("a refresh token, by its typ", set("typ", json!("Refresh")), "401 wrong_type"),
        ("an ID token", set("nonce", json!("n")), "401 wrong_type"),
        ("bound by DPoP", set("cnf", json!({"jkt": b64([7; 32])})), "401 bad_binding"),
        ("bound by a certificate", set("cnf", json!({"x5t#S256": b64([7; 32])})), "401 bad_binding"),
        ("bound in a way that nobody knows", set("cnf", json!({"osc": {}})), "401 bad_binding"),
        ("bound by half a thumbprint", set("cnf", json!({"jkt": "x"})), "401 malformed_token"),
        ("bound by nothing", text(&format!("{{\"cnf\":null,{rest}")), "401 malformed_token"),
        ("nested too deep", text(&deep_short), "401 malformed_token"),
        ("longer than is read, and deep", text(&deep), "503 issuer_unavailable"),
        ("longer than is read", set("padding", json!("x".repeat(64 * 1024))), "503 issuer_unavailable"),
        ("a page", text("<h1>Welcome</h1>"), "503 issuer_unavailable"),
        ("nothing", text(""), "503 issuer_unavailable"),
        ("an array", text("[true]"), "503 issuer_unavailable"),
        ("true", text("true"), "503 issuer_unavailable"),
        ("two documents", text(&format!("{members}{members}")), "503 issuer_unavailable"),
        ("half a document", text(&members[..members.len() / 2]), "503 issuer_unavailable"),
        ("400", Answer::Status(400), "503 issuer_unavailable"),
        ("404", Answer::Status(404), "503 issuer_unavailable"),
        ("204", Answer::Status(204), "503 issuer_unavailable"),
        ("a signed answer that nobody asked for", Answer::Signed(endpoint.token().sign()), "503 issuer_unavailable"),
    ];
    let mut failures = Vec::new();
    for (number, (name, answer, expected)) in cases.iter().enumerate() {
        let token = format!("token-{number}");
        endpoint.about(&token, answer.clone());
        let answer = call(&gateway, &token);
        let found = verdict_of(&answer);
        if found != *expected {
            failures.push(format!("- {name}: {found}, not {expected}: {:?}", gateway.access_log().last()));
        }
        let challenged = answer.challenge("Bearer").is_some();
        if challenged != found.starts_with("401") || answer.header("retry-after").is_some() != found.starts_with("503")
        {
            failures.push(format!("- {name}: challenge or Retry-After are wrong: {:?}", answer.head));
        }
    }
    report(cases.len(), &failures);
}

/// What may be the trouble of one token only cuts nobody else off; what is the issuer's is told as such.
#[test]
fn an_issuer_that_cannot_be_asked_makes_no_token_bad() {
    let upstream = Upstream::echo();
    let troubles = [
        Answer::Status(500),
        Answer::Status(502),
        Answer::Status(401),
        Answer::Status(403),
        Answer::Status(429),
        Answer::Redirect("/elsewhere".into()),
        Answer::Torn,
        Answer::HangUp,
    ];
    for trouble in troubles {
        let endpoint = Endpoint::start();
        let gateway = start(&endpoint, "", &upstream);
        endpoint.usually(trouble.clone());
        let answer = call(&gateway, "opaque");
        assert_eq!(verdict_of(&answer), "503 issuer_unavailable", "{trouble:?}");
        assert!(answer.header("retry-after").is_some() && answer.challenge("Bearer").is_none(), "{trouble:?}");
        // Left alone after a few questions, whoever comes.
        for number in 0..40 {
            assert_eq!(verdict(&gateway, &format!("token-{number}")), "503 issuer_unavailable", "{trouble:?}");
        }
        assert!(endpoint.count() < 20, "{trouble:?}: asked {} times", endpoint.count());
        endpoint.usually(Answer::Json(endpoint.active()));
        gateway.until("it works again", || (verdict(&gateway, "opaque") == "200").then_some(()));
        assert_eq!(verdict(&gateway, "another"), "200", "{trouble:?}");
    }
}

#[test]
fn a_dead_issuer_is_503_and_a_recovered_one_is_asked() {
    let (mut endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    endpoint.usually(Answer::Json(endpoint.active()));
    let gateway = start(&endpoint, "", &upstream);
    assert_eq!(verdict(&gateway, "known"), "200");
    endpoint.stop();
    assert_eq!(verdict(&gateway, "new"), "503 issuer_unavailable");
    assert_eq!(verdict(&gateway, "known"), "200", "the answer is remembered");
    endpoint.restart();
    gateway.until("new tokens pass", || (verdict(&gateway, "new") == "200").then_some(()));
}

#[test]
fn a_slow_issuer_is_waited_for_no_longer_than_allowed() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "timeout = \"300ms\"", &upstream);
    endpoint.about("slow", Answer::Held(endpoint.active()));
    endpoint.about("quick", Answer::Json(endpoint.active()));
    assert_eq!(verdict(&gateway, "slow"), "503 issuer_unavailable");
    assert_eq!(verdict(&gateway, "quick"), "200", "one slow answer does not shut the issuer off");
    let tells = |line: &Value| line["detail"].as_str().is_some_and(|why| why.contains("no answer within 300ms"));
    gateway.until("the log says why", || gateway.access_log().iter().any(tells).then_some(()));
}

#[test]
fn a_hundred_requests_with_one_token_ask_once() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "timeout = \"30s\"", &upstream);
    endpoint.about("opaque", Answer::Held(endpoint.active()));
    thread::scope(|scope| {
        let all: Vec<_> = (0..100).map(|_| scope.spawn(|| verdict(&gateway, "opaque"))).collect();
        gateway
            .until("all of them wait", || (gateway.metric("tollgate_requests_in_flight", &[]) >= 100.0).then_some(()));
        endpoint.release();
        for one in all {
            assert_eq!(one.join().expect("no panic"), "200");
        }
    });
    assert_eq!(endpoint.count(), 1);
    assert_eq!(verdict(&gateway, "opaque"), "200");
    assert_eq!(endpoint.count(), 1, "and the answer is remembered");
}

#[test]
fn a_request_that_is_given_up_leaves_its_question_to_the_others() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "timeout = \"30s\"", &upstream);
    endpoint.about("opaque", Answer::Held(endpoint.active()));
    let mut impatient = gateway.connect();
    impatient.send(Request::get("/x").bearer("opaque").bytes());
    gateway.until("it is asked", || (endpoint.held() == 1).then_some(()));
    thread::scope(|scope| {
        let other = scope.spawn(|| verdict(&gateway, "opaque"));
        gateway.until("both wait", || (gateway.metric("tollgate_requests_in_flight", &[]) >= 2.0).then_some(()));
        impatient.hang_up();
        gateway.until("one is gone", || (gateway.metric("tollgate_requests_in_flight", &[]) < 2.0).then_some(()));
        endpoint.release();
        assert_eq!(other.join().expect("no panic"), "200");
    });
    assert_eq!(endpoint.count(), 1);
}

/// liboauth2, June 2026: a remembered verdict outlived `exp`.
#[test]
fn a_remembered_answer_does_not_outlive_the_token() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "cache = \"1h\"\nserve_stale = \"1h\"", &upstream);
    let expires = now() + 3;
    endpoint.about("short", with(&endpoint, "exp", json!(expires)));
    assert_eq!((verdict(&gateway, "short"), verdict(&gateway, "short")), ("200".into(), "200".into()));
    assert_eq!(endpoint.count(), 1);
    endpoint.about("short", Answer::Json(json!({"active": false})));
    gateway.until("it is refused", || (verdict(&gateway, "short") == "401 inactive").then_some(()));
    assert!(now() >= expires, "and not asked about before");
    assert_eq!(endpoint.count(), 2);
}

/// Oathkeeper CVE-2021-32701: a remembered answer skipped the check of scopes.
#[test]
fn a_remembered_answer_is_held_to_the_rules_of_each_route() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let routes = "[[routes]]\npath = \"/low\"\nupstream = \"api\"\nscopes = [\"orders:read\"]\n\
                  [[routes]]\npath = \"/high\"\nupstream = \"api\"\nscopes = [\"orders:write\"]\n";
    let gateway = Gateway::start(&[endpoint.toml("acme", SECRET), upstream.toml("api"), routes.into()].join("\n"));
    endpoint.about("opaque", Answer::Json(endpoint.active()));
    let at = |path: &str| verdict_of(&gateway.call(&Request::get(path).bearer("opaque")));
    assert_eq!((at("/low"), at("/high"), at("/low")), ("200".into(), "403 insufficient_scope".into(), "200".into()));
    assert_eq!(endpoint.count(), 1);
}

/// Oathkeeper CVE-2026-33496, APISIX CVE-2025-46647: an answer of one server counted for another.
#[test]
fn what_one_issuer_says_counts_for_no_other() {
    let (one, two, upstream) = (Endpoint::start(), Endpoint::start(), Upstream::echo());
    let routes = "[[routes]]\npath = \"/one\"\nupstream = \"api\"\nissuers = [\"one\"]\n\
                  [[routes]]\npath = \"/two\"\nupstream = \"api\"\nissuers = [\"two\"]\n";
    let issuers = [one.toml("one", SECRET), two.toml("two", SECRET)].join("\n");
    let gateway = Gateway::start(&[issuers, upstream.toml("api"), routes.into()].join("\n"));
    let at = |path: &str, token: &str| verdict_of(&gateway.call(&Request::get(path).bearer(token)));
    one.about("theirs", Answer::Json(one.active()));
    for _ in 0..3 {
        assert_eq!((at("/one", "theirs"), at("/two", "theirs")), ("200".into(), "401 inactive".into()));
    }
    assert_eq!((one.count(), two.count()), (1, 1), "each is asked once, the good and the bad answer are remembered");
    // The same text can be a token of both, of different people.
    one.about("both", Answer::Json(one.active()));
    two.about("both", with(&two, "sub", json!("bob")));
    upstream.drain();
    for (path, subject) in [("/one", "alice"), ("/two", "bob"), ("/one", "alice"), ("/two", "bob")] {
        assert_eq!(at(path, "both"), "200");
        assert_eq!(upstream.only().header("x-auth-subject"), Some(subject), "{path}");
    }
    assert_eq!((one.count(), two.count()), (2, 2));
    // An issuer that claims another's token.
    two.about("claimed", Answer::Json(one.active()));
    assert_eq!(at("/two", "claimed"), "401 unknown_issuer");
    assert!(one.questions().iter().all(|question| question.get("token") != "claimed"), "shown to one issuer only");
}

#[test]
fn a_revocation_is_seen_within_the_time_that_answers_are_remembered() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "cache = \"1s\"\nnegative_cache = \"1s\"", &upstream);
    endpoint.about("opaque", Answer::Json(endpoint.active()));
    assert_eq!(verdict(&gateway, "opaque"), "200");
    endpoint.about("opaque", Answer::Json(json!({"active": false})));
    gateway.until("the revocation is seen", || (verdict(&gateway, "opaque") == "401 inactive").then_some(()));
    endpoint.about("opaque", Answer::Json(endpoint.active()));
    gateway.until("and that it was withdrawn", || (verdict(&gateway, "opaque") == "200").then_some(()));
}

#[test]
fn bad_answers_are_remembered_too() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "negative_cache = \"1h\"", &upstream);
    endpoint.about("malformed", with(&endpoint, "sub", json!(7)));
    for _ in 0..3 {
        assert_eq!(verdict(&gateway, "unknown"), "401 inactive");
        assert_eq!(verdict(&gateway, "malformed"), "401 malformed_token");
    }
    assert_eq!(endpoint.count(), 2);
}

#[test]
fn without_memory_every_request_asks() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "cache = \"0s\"\nnegative_cache = \"0s\"", &upstream);
    endpoint.about("opaque", Answer::Json(endpoint.active()));
    for _ in 0..3 {
        assert_eq!((verdict(&gateway, "opaque"), verdict(&gateway, "bad")), ("200".into(), "401 inactive".into()));
    }
    assert_eq!(endpoint.count(), 6);
}

#[test]
fn an_outdated_answer_serves_while_the_issuer_is_down_but_not_beyond_exp() {
    let (mut endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "cache = \"500ms\"\nserve_stale = \"1h\"", &upstream);
    let expires = now() + 6;
    endpoint.about("long", Answer::Json(endpoint.active()));
    endpoint.about("short", with(&endpoint, "exp", json!(expires)));
    assert_eq!((verdict(&gateway, "long"), verdict(&gateway, "short")), ("200".into(), "200".into()));
    endpoint.stop();
    let failed = || gateway.metric("tollgate_introspections_total", &["issuer=\"acme\"", "result=\"unreachable\""]);
    gateway.until("it was asked in vain", || {
        assert_eq!(verdict(&gateway, "long"), "200");
        (failed() >= 1.0).then_some(())
    });
    assert_eq!(verdict(&gateway, "long"), "200");
    assert_eq!(verdict(&gateway, "new"), "503 issuer_unavailable", "of it nothing is known");
    gateway.until("it has expired", || (verdict(&gateway, "short") == "503 issuer_unavailable").then_some(()));
    assert!(now() >= expires);
    assert_eq!(verdict(&gateway, "long"), "200");
    endpoint.about("long", Answer::Json(json!({"active": false})));
    endpoint.restart();
    gateway.until("the issuer is heard again", || (verdict(&gateway, "long") == "401 inactive").then_some(()));
    endpoint.stop();
    assert_eq!(verdict(&gateway, "long"), "401 inactive", "a good answer from before does not come back");
}

#[test]
fn an_endpoint_that_is_named_needs_neither_metadata_nor_keys() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    endpoint.metadata(false);
    endpoint.usually(Answer::Json(endpoint.active()));
    let gateway = start(&endpoint, &format!("endpoint = \"{}/introspect\"", endpoint.url), &upstream);
    assert_eq!(verdict(&gateway, "opaque"), "200");
    assert_eq!(verdict(&gateway, &endpoint.token().sign()), "503 issuer_unavailable", "a JWT needs keys");
}

#[test]
fn an_endpoint_that_is_not_found_yet_is_looked_for() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    endpoint.metadata(false);
    endpoint.usually(Answer::Json(endpoint.active()));
    let gateway = Gateway::listening(&config(&endpoint, SECRET, &upstream));
    gateway.until("the first look failed", || {
        gateway.stderr().contains("introspection endpoint was not found").then_some(())
    });
    assert_eq!(verdict(&gateway, "opaque"), "503 issuer_unavailable");
    endpoint.metadata(true);
    gateway.until("it is found", || (verdict(&gateway, "opaque") == "200").then_some(()));
}

/// A JWT says whose it is and carries its proof: nobody is asked, and nobody is shown it.
#[test]
fn a_jwt_is_never_sent_to_the_endpoint() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "", &upstream);
    endpoint.usually(Answer::Json(endpoint.active()));
    let good = endpoint.token().sign();
    let tampered = format!("{}A.{}", b64(json!({"alg": "ES256"}).to_string()), good.rsplit('.').next().expect("parts"));
    let jwt = |header: &str| format!("{}.{}.AAAA", b64(header), b64("{}"));
    let cases = [
        (good.clone(), "200"),
        (Token::new("https://other.test", &endpoint.key).sign(), "401 unknown_issuer"),
        (endpoint.token().claim("exp", 1).sign(), "401 expired"),
        (endpoint.token().sign_by(|_| vec![0; 64]), "401 bad_signature"),
        (endpoint.token().claims_text("not json").sign(), "401 malformed_token"),
        (jwt(r#"{"alg":"none"}"#), "401 algorithm_refused"),
        (jwt(r#"{"alg":"ES256","alg":"ES256"}"#), "401 malformed_token"),
        (jwt("{}"), "401 malformed_token"),
        (jwt(&format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200))), "401 malformed_token"),
    ];
    let mut failures = Vec::new();
    for (token, expected) in &cases {
        let found = verdict(&gateway, token);
        if found != *expected {
            failures.push(format!("- {token}: {found}, not {expected}"));
        }
    }
    report(cases.len(), &failures);
    assert_eq!(endpoint.count(), 0, "{:?}", endpoint.questions());
    // What is no JWT by its form goes there, whatever it reminds of.
    let opaque = [
        tampered,
        "a.b.c".to_owned(),
        format!("{}.x.y", b64("[1]")),
        format!("{}.x.y", b64("{\"alg\"")),
        good.split('.').take(2).collect::<Vec<_>>().join("."),
        format!("{good}.more"),
        format!("{good}.and.more"),
        "....".to_owned(),
        "x".to_owned(),
        "-._~+/==".to_owned(),
    ];
    for token in &opaque {
        assert_eq!(verdict(&gateway, token), "200", "{token}");
    }
    let asked: Vec<String> = endpoint.questions().iter().map(|question| question.get("token").to_owned()).collect();
    assert_eq!(asked, opaque);
    let huge = "x".repeat(16 * 1024 + 1);
    assert_eq!(verdict(&gateway, &huge), "401 malformed_token");
    assert_eq!(endpoint.count(), opaque.len(), "what is longer than any token is not passed on");
}

#[test]
fn an_issuer_that_is_always_asked_decides_beside_the_signature() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let table = endpoint.toml("acme", SECRET).replacen("clock_skew", "introspect = \"always\"\nclock_skew", 1);
    let gateway = Gateway::start(&[table, upstream.toml("api"), ROUTE.into()].join("\n"));
    let jwt = |number: i32| endpoint.token().claim("jti", number).claim("sub", format!("{number}"));
    let good = endpoint.token().sign();
    endpoint.about(&good, Answer::Json(json!({"active": true})));
    assert_eq!((verdict(&gateway, &good), verdict(&gateway, &good)), ("200".into(), "200".into()));
    assert_eq!(upstream.seen()[0].header("x-auth-scopes"), Some("orders:read"), "the signed claims are what counts");
    assert_eq!(endpoint.count(), 1);
    let forged = endpoint.token().sign_by(|_| vec![0; 64]);
    assert_eq!(verdict(&gateway, &forged), "401 bad_signature");
    assert_eq!(endpoint.count(), 1, "a forged token is not asked about");
    let cases = [
        (json!({"active": false}), "401 inactive"),
        (json!({"active": true, "exp": 1}), "401 expired"),
        (json!({"active": true, "aud": "https://other.test"}), "401 wrong_audience"),
        (json!({"active": true, "iss": "https://other.test"}), "401 unknown_issuer"),
        (json!({"active": true, "cnf": {"jkt": b64([7; 32])}}), "401 bad_binding"),
        (json!({"active": true, "token_type": "refresh_token"}), "401 wrong_type"),
    ];
    for (number, (answer, expected)) in (1..).zip(&cases) {
        let token = jwt(number).claim("jti", format!("{number}")).sign();
        endpoint.about(&token, Answer::Json(answer.clone()));
        assert_eq!(verdict(&gateway, &token), *expected, "{answer}");
    }
    let token = jwt(99).claim("jti", "99").sign();
    endpoint.about(&token, Answer::HangUp);
    assert_eq!(verdict(&gateway, &token), "503 issuer_unavailable");
    assert_eq!(verdict(&gateway, "opaque"), "401 inactive", "it is asked about opaque tokens too");
}

/// `cnf` of an answer binds as that of a JWT does (RFC 9449 section 6.2).
#[test]
fn a_bound_opaque_token_is_taken_with_a_proof() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "", &upstream);
    let (holder, thief) = (Key::of(Kind::P256, 2, "holder"), Key::of(Kind::P256, 3, "thief"));
    endpoint.about("bound", with(&endpoint, "cnf", json!({"jkt": holder.thumbprint()})));
    let url = "http://api.test/x";
    let by = |key: &Key| Request::get("/x").dpop("bound", &Token::proof(key, "GET", url, "bound").sign());
    let sent = |request: &Request| verdict_of(&gateway.call(request));
    assert_eq!(sent(&by(&holder)), "200");
    assert_eq!(sent(&by(&thief)), "401 bad_binding", "remembered, and yet to be proven");
    assert_eq!(verdict(&gateway, "bound"), "401 bad_binding");
    let proof = by(&holder);
    assert_eq!((sent(&proof), sent(&proof)), ("200".into(), "401 bad_proof".into()), "each proof once");
    assert_eq!(endpoint.count(), 1);
}

#[test]
fn an_audience_may_be_optional_and_is_checked_when_it_is_there() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "audience = \"optional\"", &upstream);
    endpoint.about("without", with(&endpoint, "aud", Value::Null));
    endpoint.about("other", with(&endpoint, "aud", json!("https://other.test")));
    endpoint.about("ours", Answer::Json(endpoint.active()));
    assert_eq!(verdict(&gateway, "without"), "200");
    assert_eq!(verdict(&gateway, "other"), "401 wrong_audience");
    assert_eq!(verdict(&gateway, "ours"), "200");
}

#[test]
fn the_gateway_shows_who_it_is() {
    let upstream = Upstream::echo();
    let asked = |extra: &str| {
        let endpoint = Endpoint::start();
        endpoint.usually(Answer::Json(endpoint.active()));
        let table = endpoint.toml("acme", extra).replace("client_id = \"gateway\"", "client_id = \"gate way*-._~+é\"");
        let gateway = Gateway::start(&[table, upstream.toml("api"), ROUTE.into()].join("\n"));
        assert_eq!(verdict(&gateway, "opaque"), "200", "{extra}");
        endpoint.questions().remove(0)
    };
    let secret = "client_secret = \"s:e c*-._~%\"";
    let basic = asked(secret);
    let encoded = STANDARD.encode("gate+way*-._%7E%2B%C3%A9:s%3Ae+c*-._%7E%25");
    assert_eq!(basic.authorization, Some(format!("Basic {encoded}")));
    assert_eq!(basic.form.keys().filter(|name| name.starts_with("client")).count(), 0, "{basic:?}");
    let post = asked(&format!("auth = \"post\"\n{secret}"));
    assert_eq!(post.authorization, None);
    assert_eq!((post.get("client_id"), post.get("client_secret")), ("gate way*-._~+é", "s:e c*-._~%"));
}

/// An assertion, its signature checked with this public key.
fn opened(
    assertion: &str,
    public: &[u8],
    verification: &dyn aws_lc_rs::signature::VerificationAlgorithm,
) -> (Value, Value) {
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("no JWT: {assertion}") };
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let signed = &assertion.as_bytes()[..header.len() + 1 + claims.len()];
    verification.verify_sig(public, signed, &bytes(signature)).expect("a good signature");
    let json = |part: &str| serde_json::from_slice(&bytes(part)).expect("JSON");
    (json(header), json(claims))
}

#[test]
fn private_key_jwt_signs_with_whatever_key_the_file_holds() {
    use aws_lc_rs::signature::{self, KeyPair as _};
    let upstream = Upstream::echo();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kinds: [(&rcgen::SignatureAlgorithm, &str, &dyn signature::VerificationAlgorithm); 3] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "ES256", &signature::ECDSA_P256_SHA256_FIXED),
        (&rcgen::PKCS_ECDSA_P384_SHA384, "ES384", &signature::ECDSA_P384_SHA384_FIXED),
        (&rcgen::PKCS_ED25519, "EdDSA", &signature::ED25519),
    ];
    let mut files: Vec<(String, Vec<u8>, &str, &dyn signature::VerificationAlgorithm)> = kinds
        .iter()
        .map(|(kind, name, verification)| {
            let pair = rcgen::KeyPair::generate_for(kind).expect("a key pair");
            let public = rcgen::PublicKeyData::der_bytes(&pair).to_vec();
            (pair.serialize_pem(), public, *name, *verification)
        })
        .collect();
    let rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key pair");
    let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&rsa).expect("an encoding");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    files.push((pem, rsa.public_key().as_ref().to_vec(), "RS256", &signature::RSA_PKCS1_2048_8192_SHA256));
    for (pem, public, algorithm, verification) in files {
        let endpoint = Endpoint::start();
        endpoint.usually(Answer::Json(endpoint.active()));
        let file = folder.path().join(algorithm);
        std::fs::write(&file, pem).expect("ours");
        let extra = format!("auth = \"private_key_jwt\"\nprivate_key = \"{}\"\nkey_id = \"k1\"", file.display());
        let gateway = Gateway::start(&config(&endpoint, &extra, &upstream));
        assert_eq!((verdict(&gateway, "one"), verdict(&gateway, "two")), ("200".into(), "200".into()), "{algorithm}");
        let questions = endpoint.questions();
        let mut ids = Vec::new();
        for question in &questions {
            assert_eq!(question.get("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            assert_eq!((question.get("client_id"), &question.authorization), ("gateway", &None));
            let (header, claims) = opened(question.get("client_assertion"), &public, verification);
            assert_eq!((&header["alg"], &header["kid"]), (&json!(algorithm), &json!("k1")));
            assert_eq!(
                (&claims["iss"], &claims["sub"], &claims["aud"]),
                (&json!("gateway"), &json!("gateway"), &json!(endpoint.url))
            );
            let life = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat);
            assert_eq!(life, Some(60));
            ids.push(claims["jti"].as_str().map(str::to_owned));
        }
        assert!(ids[0].is_some() && ids[0] != ids[1], "each assertion has an id of its own");
    }
}

#[test]
fn a_key_that_cannot_sign_stops_the_start() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let small = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n";
    let (key, file) = (folder.path().join("x25519.pem"), folder.path().join("tollgate.toml"));
    std::fs::write(&key, small).expect("ours");
    let extra = format!("auth = \"private_key_jwt\"\nprivate_key = \"{}\"", key.display());
    std::fs::write(&file, config(&endpoint, &extra, &upstream)).expect("ours");
    let output = run(&["check", "--config", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("Ed25519"), "{said}");
}

#[test]
fn mtls_shows_a_certificate_and_the_issuers_own_is_verified() {
    let upstream = Upstream::echo();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority().pem()).expect("ours");
    let clients = Authority::new("clients");
    let (certificate, key) = clients.identity("gateway", &[]).write(folder.path(), "client");
    let table = |endpoint: &Endpoint, ca: Option<&Path>, auth: &str| {
        let ca = ca.map(|path| format!("ca_file = \"{}\"\n", path.display())).unwrap_or_default();
        let table = endpoint.toml("acme", auth).replacen("clock_skew", &format!("{ca}clock_skew"), 1);
        [table, upstream.toml("api"), ROUTE.into()].join("\n")
    };
    let shown =
        format!("auth = \"mtls\"\ncertificate = \"{}\"\nprivate_key = \"{}\"", certificate.display(), key.display());
    let named = |endpoint: &Endpoint, auth: &str| format!("endpoint = \"{}/introspect\"\n{auth}", endpoint.url);
    let good = Identity::loopback("issuer");
    let strict = Endpoint::tls(&good, Some(&clients));
    strict.usually(Answer::Json(strict.active()));
    let gateway = Gateway::listening(&table(&strict, Some(&ca), &named(&strict, &shown)));
    assert_eq!(verdict(&gateway, "opaque"), "200");
    assert_eq!(strict.questions()[0].get("client_id"), "gateway");
    assert_eq!(strict.questions()[0].authorization, None);
    // Without a certificate it is not let in.
    let gateway = Gateway::listening(&table(&strict, Some(&ca), &named(&strict, SECRET)));
    assert_eq!(verdict(&gateway, "opaque"), "503 issuer_unavailable");
    assert_eq!(strict.count(), 1);
    // APISIX CVE-2026-31923: nobody is asked who cannot prove who they are.
    let unknown = Endpoint::tls(&Authority::new("nobody's").identity("issuer", &["127.0.0.1"]), None);
    let misnamed = Endpoint::tls(&authority().identity("issuer", &["other.test"]), None);
    for endpoint in [&unknown, &misnamed] {
        endpoint.usually(Answer::Json(endpoint.active()));
        let gateway = Gateway::listening(&table(endpoint, Some(&ca), &named(endpoint, SECRET)));
        assert_eq!(verdict(&gateway, "opaque"), "503 issuer_unavailable");
        assert_eq!(endpoint.count(), 0, "no secret was sent");
    }
    let known = Endpoint::tls(&good, None);
    known.usually(Answer::Json(known.active()));
    let gateway = Gateway::listening(&table(&known, None, &named(&known, SECRET)));
    assert_eq!(verdict(&gateway, "opaque"), "503 issuer_unavailable", "the system does not know this authority");
}

#[test]
fn signed_answers_are_taken_only_when_they_are_the_issuers_and_for_us() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "answer = \"jwt\"", &upstream);
    let signed = |members: Value| {
        let header = Token::new(&endpoint.url, &endpoint.key).header("typ", "token-introspection+jwt");
        let claims = json!({"iss": endpoint.url, "aud": "gateway", "iat": now(), "token_introspection": members});
        header.claims_text(&claims.to_string())
    };
    let changed = |name: &str, value: Value| {
        let mut claims =
            json!({"iss": endpoint.url, "aud": "gateway", "iat": now(), "token_introspection": endpoint.active()});
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value,
        }
        Answer::Signed(signed(json!({})).claims_text(&claims.to_string()).sign())
    };
    let good = || signed(endpoint.active());
    let twice = format!("{{\"iss\":\"{0}\",\"iss\":\"{0}\"}}", endpoint.url);
    let stranger = Key::of(Kind::P256, 1, "ec-1");
    let cases: Vec<(&str, Answer, &str)> = vec![
        ("as it should be", Answer::Signed(good().sign()), "200"),
        ("its typ in full", Answer::Signed(good().header("typ", "application/token-introspection+jwt").sign()), "200"),
        ("for several", changed("aud", json!(["other", "gateway"])), "200"),
        ("not active", Answer::Signed(signed(json!({"active": false})).sign()), "401 inactive"),
        ("active is a text", Answer::Signed(signed(json!({"active": "true"})).sign()), "401 inactive"),
        (
            "the token's audience is another",
            changed("token_introspection", json!({"active": true, "aud": "x"})),
            "401 wrong_audience",
        ),
        ("unsigned JSON", Answer::Json(endpoint.active()), "503 issuer_unavailable"),
        ("no typ", Answer::Signed(good().without_header("typ").sign()), "503 issuer_unavailable"),
        ("an access token's typ", Answer::Signed(good().header("typ", "at+jwt").sign()), "503 issuer_unavailable"),
        (
            "another key",
            Answer::Signed(good().sign_by(|input| stranger.sign("ES256", input))),
            "503 issuer_unavailable",
        ),
        ("a broken signature", Answer::Signed(good().sign_by(|_| vec![0; 64])), "503 issuer_unavailable"),
        ("no signature", Answer::Signed(good().alg("none").sign_by(|_| Vec::new())), "503 issuer_unavailable"),
        ("another issuer", changed("iss", json!("https://other.test")), "503 issuer_unavailable"),
        ("no iss", changed("iss", Value::Null), "503 issuer_unavailable"),
        ("for somebody else", changed("aud", json!("other")), "503 issuer_unavailable"),
        ("for nobody", changed("aud", Value::Null), "503 issuer_unavailable"),
        ("of the future", changed("iat", json!(now() + 600)), "503 issuer_unavailable"),
        ("of the past", changed("iat", json!(now() - 600)), "503 issuer_unavailable"),
        ("of no time", changed("iat", Value::Null), "503 issuer_unavailable"),
        ("without content", changed("token_introspection", Value::Null), "503 issuer_unavailable"),
        ("with a text inside", changed("token_introspection", json!("x")), "503 issuer_unavailable"),
        ("a member twice", Answer::Signed(good().claims_text(&twice).sign()), "503 issuer_unavailable"),
        ("a page", Answer::Signed("<h1>Sorry</h1>".into()), "503 issuer_unavailable"),
        ("longer than is read", Answer::Signed("x".repeat(100_000)), "503 issuer_unavailable"),
    ];
    let mut failures = Vec::new();
    for (number, (name, answer, expected)) in cases.iter().enumerate() {
        let token = format!("token-{number}");
        endpoint.about(&token, answer.clone());
        let found = verdict(&gateway, &token);
        if found != *expected {
            failures.push(format!("- {name}: {found}, not {expected}: {:?}", gateway.access_log().last()));
        }
    }
    report(cases.len(), &failures);
    assert!(endpoint.questions().iter().all(|question| question.accept == "application/token-introspection+jwt"));
}

#[test]
fn nothing_of_a_token_or_a_secret_is_told() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "", &upstream);
    let token = "opaque-and-known-to-nobody-else";
    endpoint.about(token, Answer::Status(401));
    let mut told = call(&gateway, token).text();
    endpoint.about(token, Answer::Json(endpoint.active()));
    told += &call(&gateway, token).text().replace(token, "");
    for page in ["/", "/metrics", "/config", "/readyz?verbose"] {
        told += &gateway.admin_page(page).text();
    }
    told += &gateway.stderr();
    told += &gateway.access_log().iter().map(Value::to_string).collect::<String>();
    for word in [token, "s3cret-of-the-gateway"] {
        assert!(!told.contains(word), "{word} is in {told}");
    }
}

#[test]
fn operators_see_how_asking_goes() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let gateway = start(&endpoint, "negative_cache = \"0s\"", &upstream);
    let asked = |result: &str| {
        gateway.metric("tollgate_introspections_total", &["issuer=\"acme\"", &format!("result=\"{result}\"")])
    };
    endpoint.about("good", Answer::Json(endpoint.active()));
    endpoint.about("odd", with(&endpoint, "sub", json!(1)));
    endpoint.about("page", Answer::Text("<h1>".into()));
    endpoint.about("large", Answer::Text("x".repeat(100_000)));
    endpoint.about("teapot", Answer::Status(418));
    for token in ["good", "good", "bad", "bad", "odd", "page", "large", "teapot"] {
        verdict(&gateway, token);
    }
    let expected = [
        ("active", 1.0),
        ("inactive", 2.0),
        ("malformed", 1.0),
        ("invalid", 1.0),
        ("too_large", 1.0),
        ("status", 1.0),
        ("unreachable", 0.0),
        ("skipped", 0.0),
    ];
    for (result, count) in expected {
        gateway.until(result, || (asked(result) == count).then_some(()));
    }
    let up = || gateway.metric("tollgate_introspection_up", &["issuer=\"acme\""]);
    gateway.until("it is up", || (up() == 1.0).then_some(()));
    let page = gateway.admin_page("/").text();
    assert!(page.contains(&format!("{}/introspect", endpoint.url)), "{page}");
    endpoint.usually(Answer::HangUp);
    for number in 0..9 {
        verdict(&gateway, &format!("lost-{number}"));
    }
    gateway.until("it is left alone", || (up() == 0.0).then_some(()));
    gateway.until("and those who came then were turned away", || (asked("skipped") >= 1.0).then_some(()));
    assert!(gateway.admin_page("/").text().contains("resting"));
    let readiness = gateway.admin_page("/readyz?verbose");
    assert!(readiness.status == 200 && readiness.text().contains("introspection"), "{}", readiness.text());
}

#[test]
fn a_reload_takes_another_endpoint_and_forgets_what_the_old_one_said() {
    let (old, new, upstream) = (Endpoint::start(), Endpoint::start(), Upstream::echo());
    let at =
        |endpoint: &Endpoint| config(&old, &format!("{SECRET}\nendpoint = \"{}/introspect\"", endpoint.url), &upstream);
    let gateway = Gateway::start(&at(&old));
    old.about("opaque", Answer::Json(old.active()));
    assert_eq!(verdict(&gateway, "opaque"), "200");
    gateway.rewrite(&(at(&old) + "[[routes]]\nname = \"more\"\npath = \"/more\"\nupstream = \"api\"\n"));
    gateway.signal("HUP");
    gateway.until("the new route is there", || {
        let status = gateway.call(&Request::get("/more").bearer("opaque")).status;
        (gateway.metric("tollgate_config_reloads_total", &["result=\"ok\""]) >= 1.0 && status == 200).then_some(())
    });
    assert_eq!(old.count(), 1, "what is remembered outlives a reload that does not concern it");
    gateway.rewrite(&at(&new));
    gateway.signal("HUP");
    gateway.until("the new endpoint decides", || (verdict(&gateway, "opaque") == "401 inactive").then_some(()));
}

#[test]
fn explain_asks_as_the_gateway_does() {
    let (endpoint, upstream) = (Endpoint::start(), Upstream::echo());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tollgate.toml").display().to_string();
    std::fs::write(&file, config(&endpoint, SECRET, &upstream)).expect("ours");
    endpoint.about("opaque", Answer::Json(endpoint.active()));
    for (token, code, word) in [("opaque", 0, "allow"), ("other", 1, "inactive")] {
        let output = run(&["explain", "--config", &file, "--token", token, "GET", "https://api.test/x"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.code() == Some(code) && said.contains(word), "{said} {output:?}");
        assert!(said.contains("opaque; the issuer \"acme\" is asked at"), "{said}");
    }
}

/// The authority of `tollgate demo` is a whole issuer of opaque tokens.
#[test]
fn the_embedded_authority_is_asked_about_its_opaque_tokens() {
    let (address, upstream) = (nobody(), Upstream::echo());
    let config = format!(
        r#"
[authority]
listen = "{address}"
issuer = "http://{address}"
audience = "{AUDIENCE}"

[[authority.clients]]
id = "batch"
secret = "batch-secret"
grants = ["client_credentials"]
scopes = ["orders:read"]
access_tokens = "opaque"

[[authority.clients]]
id = "api"
secret = "api-secret"
grants = []

[issuers.local]
issuer = "http://{address}"
audiences = ["{AUDIENCE}"]

[issuers.local.introspection]
client_id = "api"
client_secret = "api-secret"
cache = "1s"
negative_cache = "1s"
"#
    );
    let gateway = Gateway::start(&[config, upstream.toml("api"), ROUTE.into()].join("\n"));
    let basic = format!("Basic {}", STANDARD.encode("batch:batch-secret"));
    let post = |path: &str, form: &str| {
        let request = Request::new("POST", path).host(&address.to_string()).field("Authorization", &basic);
        request.field("Content-Type", "application/x-www-form-urlencoded").body(form.as_bytes()).send(address)
    };
    let answer = post("/token", "grant_type=client_credentials&scope=orders:read").json();
    let token = answer["access_token"].as_str().expect("a token").to_owned();
    assert!(!token.contains('.'), "an opaque token");
    assert_eq!(verdict(&gateway, &token), "200");
    let seen: HashMap<String, String> = upstream.only().head.fields.into_iter().collect();
    let found =
        |name: &str| seen.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    assert_eq!((found("x-auth-client"), found("x-auth-scopes")), (Some("batch"), Some("orders:read")));
    assert_eq!(post("/revoke", &format!("token={token}")).status, 200);
    gateway.until("the revocation is seen", || (verdict(&gateway, &token) == "401 inactive").then_some(()));
}
