//! Whom a revocation meets, what an order may say, and that the list and a plain reading of it never disagree.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::token::principal::Scopes;

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const SETTINGS: Settings = Settings {
    lifetime: Duration::from_secs(3600),
    max_entries: 100,
    max_stale: Duration::from_secs(30),
    serve_on_store_loss: false,
};
const A: &str = "https://a.example";
const B: &str = "https://b.example";

fn principal(issuer: &str, claims: &Value) -> Principal {
    let claims: Map<String, Value> = claims.as_object().cloned().unwrap();
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(Box::from);
    Principal {
        issuer: 0,
        issuer_id: issuer.into(),
        subject: text("sub"),
        client: text("client_id"),
        scopes: Scopes::default(),
        audiences: Vec::new(),
        expires_at: NOW.plus(Duration::from_secs(300)),
        binding: None,
        claims,
    }
}

fn known() -> [(&'static str, Arc<str>); 2] {
    [("a", A.into()), ("b", B.into())]
}

fn entry(order: &Value) -> Result<Entry, String> {
    let context = Context { issuers: &known(), lifetime: Duration::from_secs(3600), now: NOW };
    Order::parse(order.to_string().as_bytes())?.entry(&context)
}

fn listed(orders: &[Value]) -> Revocations {
    let revocations = Revocations::default();
    revocations.replace(orders.iter().map(|order| Arc::new(entry(order).unwrap())).collect(), Standing::Sure);
    revocations
}

#[test]
fn an_entry_meets_the_tokens_that_it_names_and_no_others() {
    let now = NOW.secs();
    let whole = json!({"jti": "1", "sid": "s", "sub": "alice", "client_id": "web", "iat": now - 10});
    let mut without_iat = whole.clone();
    without_iat.as_object_mut().unwrap().remove("iat");
    let cases = [
        (json!({"jti": "1"}), A, &whole, true),
        (json!({"jti": "2"}), A, &whole, false),
        (json!({"sid": "s"}), B, &whole, true),
        (json!({"sid": "s", "issuer": "a"}), B, &whole, false),
        (json!({"client_id": "web"}), B, &whole, true),
        (json!({"client_id": "alice"}), A, &whole, false),
        (json!({"sub": "alice", "issuer": "a"}), A, &whole, true),
        (json!({"sub": "alice", "issuer": A}), A, &whole, true),
        (json!({"sub": "alice", "issuer": "a"}), B, &whole, false),
        (json!({"sub": "Alice", "issuer": "a"}), A, &whole, false),
        (json!({"sub": "alice", "issuer": "a", "issued_before": "now"}), A, &whole, true),
        (json!({"sub": "alice", "issuer": "a", "issued_before": now - 10}), A, &whole, false),
        (json!({"sub": "alice", "issuer": "a", "issued_before": now - 9}), A, &whole, true),
        (json!({"sub": "alice", "issuer": "a", "issued_before": now - 100}), A, &without_iat, true),
    ];
    for (order, issuer, claims, refused) in cases {
        let outcome = listed(std::slice::from_ref(&order)).check(&principal(issuer, claims), NOW, &SETTINGS);
        assert_eq!(outcome.is_err(), refused, "{order} and {issuer} {claims}: {outcome:?}");
        if let Err(rejection) = outcome {
            assert_eq!(rejection.code, RejectionCode::Revoked);
        }
    }
}

#[test]
fn the_detail_says_which_entry_and_nothing_of_the_token() {
    let revocations = listed(&[json!({"sub": "alice", "issuer": "a", "reason": "laptop lost"})]);
    let rejection = revocations.check(&principal(A, &json!({"sub": "alice"})), NOW, &SETTINGS).unwrap_err();
    let id = &revocations.entries()[0].id;
    assert_eq!(rejection.detail, format!("its sub was revoked at 1700000000 (revocation {id}): laptop lost"));
}

#[test]
fn an_entry_ends() {
    let revocations = listed(&[json!({"jti": "1", "until": NOW.secs() + 60})]);
    let alice = principal(A, &json!({"jti": "1"}));
    assert!(revocations.check(&alice, NOW.plus(Duration::from_millis(59_999)), &SETTINGS).is_err());
    assert!(revocations.check(&alice, NOW.plus(Duration::from_secs(60)), &SETTINGS).is_ok());
}

#[test]
fn an_order_that_is_not_exact_is_refused() {
    let long = "x".repeat(1025);
    let cases = [
        (json!({}), "exactly one of"),
        (json!([]), "not an order"),
        (json!({"jti": "1", "sub": "alice"}), "exactly one of"),
        (json!({"jti": ""}), "jti is empty"),
        (json!({"jti": 1}), "not an order"),
        (json!({"subject": "alice"}), "unknown field `subject`"),
        (json!({"sub": "alice"}), "add issuer: a, b"),
        (json!({"sub": "alice", "issuer": "c"}), "there is: a, b"),
        (json!({"sub": "alice", "issuer": "https://a.example/"}), "there is: a, b"),
        (json!({"jti": "1", "issued_before": "now"}), "issued_before goes with"),
        (json!({"sid": "1", "issued_before": "yesterday"}), "issued_before is"),
        (json!({"sid": "1", "issued_before": 1.5}), "issued_before is"),
        (json!({"jti": "1", "until": NOW.secs()}), "in the future"),
        (json!({"jti": "1", "until": NOW.secs() + 367 * 86_400}), "366 days"),
        (json!({"jti": "1", "until": "tomorrow"}), "not an order"),
        (json!({"jti": long}), "1024 letters"),
        (json!({"jti": "1", "reason": "a\nb"}), "control characters"),
    ];
    for (order, complaint) in cases {
        let problem = entry(&order).expect_err(&order.to_string());
        assert!(problem.contains(complaint), "{order}: {problem}");
    }
}

#[test]
fn one_issuer_need_not_be_named_and_is_meant() {
    let context = Context { issuers: &known()[..1], lifetime: Duration::from_secs(3600), now: NOW };
    let entry = Order::parse(br#"{"sub": "alice"}"#).unwrap().entry(&context).unwrap();
    assert_eq!((entry.issuer.as_deref(), entry.until), (Some(A), NOW.secs() + 3600));
}

#[tokio::test]
async fn the_office_replaces_bounds_and_sweeps() {
    let clock = Arc::new(ManualClock::at(NOW));
    let revocations = Arc::new(Revocations::default());
    let office = Office::new(Arc::clone(&revocations), Arc::clone(&clock) as Arc<dyn Clock>, None);
    let alice = principal(A, &json!({"jti": "1"}));
    office.add(entry(&json!({"jti": "1", "until": NOW.secs() + 10})).unwrap(), 2).await.unwrap();
    office.add(entry(&json!({"jti": "1", "until": NOW.secs() + 60})).unwrap(), 2).await.unwrap();
    assert_eq!(office.entries().len(), 1, "a second order replaces the first");
    office.add(entry(&json!({"jti": "2"})).unwrap(), 2).await.unwrap();
    let full = office.add(entry(&json!({"jti": "3"})).unwrap(), 2).await;
    assert!(matches!(full, Err(OfficeError::Full(2))), "{full:?}");
    clock.advance(Duration::from_secs(30));
    assert!(revocations.check(&alice, clock.now(), &SETTINGS).is_err());
    clock.advance(Duration::from_secs(30));
    assert_eq!((office.sweep().await, revocations.entries().len()), (1, 1));
    let id = office.entries()[0].id.clone();
    assert!(office.remove(&id).await.unwrap() && !office.remove(&id).await.unwrap());
    assert!(!revocations.look.load(Ordering::SeqCst), "an empty list costs nothing");
}

#[test]
fn a_list_in_doubt_serves_for_a_while_or_as_the_configuration_says() {
    let later = |seconds| NOW.plus(Duration::from_secs(seconds));
    let serve = Settings { serve_on_store_loss: true, ..SETTINGS };
    let cases = [
        (Standing::Sure, later(9999), SETTINGS, true),
        (Standing::Stale(NOW), later(29), SETTINGS, true),
        (Standing::Stale(NOW), later(30), SETTINGS, false),
        (Standing::Stale(NOW), later(9999), serve.clone(), true),
        (Standing::Unread, NOW, SETTINGS, false),
        (Standing::Unread, NOW, serve, true),
    ];
    let revocations = Revocations::default();
    for (standing, now, settings, served) in cases {
        revocations
            .replace(vec![Arc::new(entry(&json!({"jti": "1", "until": NOW.secs() + 99_999})).unwrap())], standing);
        let code =
            |jti: &str| revocations.check(&principal(A, &json!({"jti": jti})), now, &settings).map_err(|no| no.code);
        assert_eq!(code("1"), Err(RejectionCode::Revoked), "what is known is refused: {standing:?}");
        let expected = if served { Ok(()) } else { Err(RejectionCode::StoreUnavailable) };
        assert_eq!(code("2"), expected, "{standing:?} {now:?} {settings:?}");
        revocations.replace(Vec::new(), standing);
        assert_eq!(code("2"), expected, "an empty list too: {standing:?} {now:?} {settings:?}");
    }
}

fn order() -> impl Strategy<Value = Value> {
    let member = prop::sample::select(vec!["jti", "sid", "sub", "client_id"]);
    let issuer = prop::option::of(prop::sample::select(vec!["a", "b"]));
    let before = prop::option::of(NOW.secs() - 3..NOW.secs() + 3);
    (member, "[ab]", issuer, before, 1_i64..4).prop_map(|(member, value, issuer, before, life)| {
        let mut order = json!({ member: value, "until": NOW.secs() + life });
        if let Some(issuer) = issuer.or((member == "sub").then_some("a")) {
            order["issuer"] = issuer.into();
        }
        if let Some(before) = before.filter(|_| member != "jti") {
            order["issued_before"] = before.into();
        }
        order
    })
}

fn claims() -> impl Strategy<Value = Value> {
    let text = || prop::option::of("[abc]");
    let iat = prop::option::of(NOW.secs() - 5..NOW.secs() + 5);
    (text(), text(), text(), text(), iat).prop_map(|(jti, sid, sub, client, iat)| {
        let all = json!({"jti": jti, "sid": sid, "sub": sub, "client_id": client, "iat": iat});
        all.as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect()
    })
}

/// What the documents say, word by word.
fn plainly_refused(order: &Value, issuer: &str, claims: &Value, now: i64) -> bool {
    let member = ["jti", "sid", "sub", "client_id"].into_iter().find(|member| order.get(member).is_some()).unwrap();
    let named = order.get("issuer").and_then(Value::as_str);
    claims.get(member) == order.get(member)
        && named.is_none_or(|named| issuer == if named == "a" { A } else { B })
        && now < order["until"].as_i64().unwrap()
        && match (order.get("issued_before"), claims.get("iat")) {
            (Some(before), Some(iat)) => iat.as_i64() < before.as_i64(),
            _ => true,
        }
}

proptest! {
    #[test]
    fn the_list_refuses_what_a_plain_reading_of_the_orders_refuses(
        orders in prop::collection::vec(order(), 0..6),
        claims in claims(),
        of_a in any::<bool>(),
        later in 0_i64..5,
    ) {
        let issuer = if of_a { A } else { B };
        let now = NOW.secs() + later;
        let outcome = listed(&orders).check(&principal(issuer, &claims), UnixTime::from_secs(now), &SETTINGS);
        let expected = orders.iter().any(|order| plainly_refused(order, issuer, &claims, now));
        prop_assert_eq!(outcome.is_err(), expected);
    }

    #[test]
    fn an_entry_comes_back_from_json_as_it_was(order in order()) {
        let entry = entry(&order).unwrap();
        prop_assert_eq!(Entry::from_json(entry.to_json().as_bytes()).unwrap(), entry);
    }
}
