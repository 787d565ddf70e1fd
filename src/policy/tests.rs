use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::config::{self, model};
use crate::token::claims::Claims;

const NOW: i64 = 1_800_000_000;

/// The rule of the one route of this config, which begins at `/t/{tenant}/{*rest}`.
fn rule(keys: &str) -> Rule {
    let text = format!(
        "[issuers.one]\nissuer = \"https://one.test\"\naudiences = [\"api\"]\n\
         [upstreams.api]\nservers = [\"http://127.0.0.1:9\"]\n\
         [[routes]]\npath = \"/t/{{tenant}}/{{*rest}}\"\nupstream = \"api\"\n{keys}"
    );
    let surroundings = config::System::of(std::path::Path::new("a.toml"));
    let loaded = config::parse(&text, "a.toml", &surroundings).unwrap_or_else(|report| panic!("{report}"));
    Rule::new(&loaded.config.routes[0])
}

fn principal(claims: Map<String, Value>) -> Principal {
    let claims = Claims::read(claims).expect("well-typed claims");
    Principal {
        issuer: 0,
        issuer_id: Arc::from("https://one.test"),
        subject: None,
        client: claims.string("client_id").map(Box::from),
        scopes: claims.scopes(["scope", "scp"]),
        audiences: claims.audiences().map(Box::from).collect(),
        expires_at: claims.expires_at.unwrap_or(UnixTime::from_secs(NOW + 300)),
        binding: None,
        claims: claims.into_map(),
    }
}

fn outcome(rule: &Rule, claims: &Value, path: &str) -> Result<(), Denial> {
    let given = Circumstances { path, certain: true, now: UnixTime::from_secs(NOW) };
    let claims = claims.as_object().cloned().expect("an object");
    decide(rule, Some(principal(claims)), given).map(drop)
}

fn code(rule: &Rule, claims: &Value, path: &str) -> &'static str {
    outcome(rule, claims, path).map_or_else(|denial| denial.code(), |()| "allow")
}

#[test]
fn what_a_claim_may_be_asked() {
    let cases: &[(&str, Value, bool)] = &[
        // A value or a list: equal, or contained.
        (r#"{ "/a" = "x" }"#, json!({"a": "x"}), true),
        (r#"{ "/a" = "x" }"#, json!({"a": ["y", "x"]}), true),
        (r#"{ "/a" = "x" }"#, json!({"a": "xy"}), false),
        (r#"{ "/a" = "x" }"#, json!({"a": "X"}), false),
        (r#"{ "/a" = "x" }"#, json!({"a": {"x": 1}}), false),
        (r#"{ "/a" = "x" }"#, json!({"a": null}), false),
        (r#"{ "/a" = "x" }"#, json!({}), false),
        (r#"{ "/a" = ["x", 3, true] }"#, json!({"a": 3}), true),
        (r#"{ "/a" = ["x", 3, true] }"#, json!({"a": "3"}), false),
        (r#"{ "/a" = ["x", 3, true] }"#, json!({"a": [true]}), true),
        (r#"{ "/a/b/0" = "x" }"#, json!({"a": {"b": ["x"]}}), true),
        (r#"{ "/a/b/1" = "x" }"#, json!({"a": {"b": ["x"]}}), false),
        // equals and one_of: equal.
        (r#"{ "/a" = { equals = "x" } }"#, json!({"a": "x"}), true),
        (r#"{ "/a" = { equals = "x" } }"#, json!({"a": ["x"]}), false),
        (r#"{ "/a" = { equals = ["x", "y"] } }"#, json!({"a": ["x", "y"]}), true),
        (r#"{ "/a" = { equals = ["x", "y"] } }"#, json!({"a": ["y", "x"]}), false),
        (r#"{ "/a" = { equals = false } }"#, json!({"a": false}), true),
        (r#"{ "/a" = { equals = false } }"#, json!({}), false),
        (r#"{ "/a" = { one_of = ["x", "y"] } }"#, json!({"a": "y"}), true),
        (r#"{ "/a" = { one_of = ["x", "y"] } }"#, json!({"a": ["y"]}), false),
        // contains: an array with the element.
        (r#"{ "/a" = { contains = "x" } }"#, json!({"a": ["y", "x"]}), true),
        (r#"{ "/a" = { contains = "x" } }"#, json!({"a": "x"}), false),
        (r#"{ "/a" = { contains = "x" } }"#, json!({"a": "a x b"}), false),
        (r#"{ "/a" = { contains = "x" } }"#, json!({"a": [["x"]]}), false),
        // exists: there, and not null.
        (r#"{ "/a" = { exists = true } }"#, json!({"a": ""}), true),
        (r#"{ "/a" = { exists = true } }"#, json!({"a": false}), true),
        (r#"{ "/a" = { exists = true } }"#, json!({"a": null}), false),
        (r#"{ "/a" = { exists = true } }"#, json!({}), false),
        (r#"{ "/a" = { exists = false } }"#, json!({}), true),
        (r#"{ "/a" = { exists = false } }"#, json!({"a": null}), true),
        (r#"{ "/a" = { exists = false } }"#, json!({"a": 0}), false),
        // Several must all hold.
        (r#"{ "/a" = 1, "/b" = 2 }"#, json!({"a": 1, "b": 2}), true),
        (r#"{ "/a" = 1, "/b" = 2 }"#, json!({"a": 1, "b": 3}), false),
    ];
    for (written, claims, allowed) in cases {
        let got = code(&rule(&format!("claims = {written}")), claims, "/t/acme/x");
        assert_eq!(got, if *allowed { "allow" } else { "claim_refused" }, "{written} {claims}");
    }
}

#[test]
fn a_claim_is_compared_with_a_part_of_the_path() {
    let cases: &[(&str, Value, &str, bool)] = &[
        (r#""{tenant}""#, json!("acme"), "/t/acme/x", true),
        (r#""{tenant}""#, json!("acme"), "/t/acme", true),
        (r#""{tenant}""#, json!("acme"), "/t/other/x", false),
        (r#""{tenant}""#, json!("acme"), "/t/Acme/x", false),
        (r#""{tenant}""#, json!("acme"), "/t/acmes/x", false),
        (r#""{tenant}""#, json!("acme"), "/t/acm/x", false),
        (r#""{tenant}""#, json!(["other", "acme"]), "/t/acme/x", true),
        (r#""{tenant}""#, json!(null), "/t/null/x", false),
        (r#""{tenant}""#, json!("{tenant}"), "/t/acme/x", false),
        (r#""{tenant}""#, json!("{tenant}"), "/t/%7Btenant%7D/x", true),
        // The decoded segment, byte by byte.
        (r#""{tenant}""#, json!("a b"), "/t/a%20b/x", true),
        (r#""{tenant}""#, json!("a%20b"), "/t/a%20b/x", false),
        (r#""{tenant}""#, json!("a%20b"), "/t/a%2520b/x", true),
        (r#""{tenant}""#, json!("é"), "/t/%C3%A9/x", true),
        (r#""{tenant}""#, json!("e\u{301}"), "/t/%C3%A9/x", false),
        // Whole numbers in their one spelling.
        (r#""{tenant}""#, json!(7), "/t/7/x", true),
        (r#""{tenant}""#, json!(-7), "/t/-7/x", true),
        (r#""{tenant}""#, json!(0), "/t/0/x", true),
        (r#""{tenant}""#, json!(0), "/t/-0/x", false),
        (r#""{tenant}""#, json!(7), "/t/07/x", false),
        (r#""{tenant}""#, json!(7), "/t/+7/x", false),
        (r#""{tenant}""#, json!(7.0), "/t/7/x", false),
        (r#""{tenant}""#, json!(u64::MAX), "/t/18446744073709551615/x", true),
        (r#""{tenant}""#, json!(true), "/t/true/x", false),
        // In the other tests too.
        (r#"["*", "{tenant}"]"#, json!("*"), "/t/acme/x", true),
        (r#"{ equals = "{tenant}" }"#, json!(["acme"]), "/t/acme/x", false),
        (r#"{ contains = "{tenant}" }"#, json!(["acme"]), "/t/acme/x", true),
        (r#"{ one_of = ["x", "{tenant}"] }"#, json!("acme"), "/t/acme/x", true),
        // Double braces are single ones.
        (r#""{{tenant}}""#, json!("{tenant}"), "/t/acme/x", true),
        (r#""{{tenant}}""#, json!("acme"), "/t/acme/x", false),
    ];
    for (written, claim, path, allowed) in cases {
        let rule = rule(&format!("claims = {{ \"/tenant\" = {written} }}"));
        let got = code(&rule, &json!({ "tenant": claim }), path);
        assert_eq!(got, if *allowed { "allow" } else { "claim_refused" }, "{written} {claim} {path}");
    }
}

#[test]
fn a_path_with_two_readings_is_compared_with_no_claim() {
    let given = Circumstances { path: "/t/acme;x/y", certain: false, now: UnixTime::from_secs(NOW) };
    let someone = || principal(json!({"tenant": "acme;x", "a": 1}).as_object().cloned().unwrap());
    let refused = decide(&rule("claims = { \"/tenant\" = \"{tenant}\" }"), Some(someone()), given).unwrap_err();
    assert_eq!(refused.code(), "ambiguous_path");
    assert!(decide(&rule("claims = { \"/a\" = 1 }"), Some(someone()), given).is_ok(), "no parameter is asked for");
}

#[test]
fn lives_clients_audiences_and_scopes() {
    let base = json!({"aud": "api", "iat": NOW - 100, "exp": NOW + 500, "client_id": "web", "scope": "a b"});
    let cases: &[(&str, Value, &str)] = &[
        (r#"min_remaining_life = "500s""#, json!({}), "allow"),
        (r#"min_remaining_life = "501s""#, json!({}), "expired"),
        (r#"min_remaining_life = "1s""#, json!({"exp": NOW - 10}), "expired"),
        (r#"max_total_life = "10m""#, json!({}), "allow"),
        (r#"max_total_life = "599s""#, json!({}), "claim_refused"),
        (r#"max_total_life = "10m""#, json!({"iat": null}), "claim_refused"),
        (r#"max_total_life = "10m""#, json!({"iat": NOW + 5, "exp": NOW + 605}), "allow"),
        (r#"client_ids = ["cli", "web"]"#, json!({}), "allow"),
        (r#"client_ids = ["cli"]"#, json!({}), "claim_refused"),
        (r#"client_ids = ["cli"]"#, json!({"client_id": null}), "claim_refused"),
        (r#"audiences = ["api"]"#, json!({}), "allow"),
        (r#"audiences = ["other"]"#, json!({}), "wrong_audience"),
        (r#"scopes = ["a", "b"]"#, json!({}), "allow"),
        (r#"scopes = ["a", "c"]"#, json!({}), "insufficient_scope"),
        (r#"any_scope = ["c", "b"]"#, json!({}), "allow"),
        (r#"any_scope = ["c", "d"]"#, json!({}), "insufficient_scope"),
        (r#"issuers = ["one"]"#, json!({}), "allow"),
    ];
    for (keys, changes, wanted) in cases {
        let mut claims = base.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        assert_eq!(code(&rule(keys), &claims, "/t/acme"), *wanted, "{keys} {changes}");
    }
}

#[test]
fn a_login_that_is_old_weak_or_unknown_asks_for_another() {
    let both = "acr = [\"gold\", \"silver\"]\nmax_age = \"10m\"";
    let cases: &[(&str, Value, &str)] = &[
        ("acr = [\"gold\"]", json!({"acr": "gold"}), "allow"),
        ("acr = [\"gold\"]", json!({"acr": "Gold"}), "step_up_required"),
        ("acr = [\"gold\"]", json!({"acr": ["gold"]}), "step_up_required"),
        ("acr = [\"gold\"]", json!({}), "step_up_required"),
        ("max_age = \"10m\"", json!({"auth_time": NOW - 600}), "allow"),
        ("max_age = \"10m\"", json!({"auth_time": NOW - 601}), "step_up_required"),
        ("max_age = \"10m\"", json!({"auth_time": NOW + 5}), "allow"),
        ("max_age = \"10m\"", json!({"auth_time": NOW + 601}), "step_up_required"),
        ("max_age = \"10m\"", json!({"auth_time": NOW.to_string()}), "step_up_required"),
        ("max_age = \"10m\"", json!({"auth_time": null}), "step_up_required"),
        ("max_age = \"10m\"", json!({"auth_time": -1}), "step_up_required"),
        ("max_age = \"10m\"", json!({"auth_time": 1e300}), "step_up_required"),
        ("max_age = \"10m\"", json!({"iat": NOW}), "step_up_required"),
        (both, json!({"acr": "silver", "auth_time": NOW - 1}), "allow"),
        (both, json!({"acr": "silver"}), "step_up_required"),
        (both, json!({"auth_time": NOW}), "step_up_required"),
    ];
    for (keys, claims, wanted) in cases {
        assert_eq!(code(&rule(keys), claims, "/t/acme"), *wanted, "{keys} {claims}");
    }
    let Err(Denial::StepUpRequired { wanted, .. }) = outcome(&rule(both), &json!({"acr": "silver"}), "/t/acme") else {
        panic!("it is refused")
    };
    assert_eq!(*wanted, StepUp { acr_values: "gold silver".into(), max_age: Some(600) }, "all that the route asks");
}

const SETS: &str = r#"
scopes = ["own"]
max_age = "1h"
rules = ["staff", "fresh"]

[rules.staff]
scopes = ["staff"]
any_scope = ["a", "b"]
claims = { "/department" = "sales" }
acr = ["gold", "silver"]

[rules.fresh]
max_age = "5m"
acr = ["silver", "bronze"]
max_total_life = "1h"
"#;

#[test]
fn rule_sets_only_add() {
    let rule = rule(SETS);
    let good = json!({
        "scope": "own staff b", "department": "sales", "acr": "silver", "auth_time": NOW - 10, "iat": NOW - 10,
        "exp": NOW + 300
    });
    assert_eq!(code(&rule, &good, "/t/acme"), "allow");
    let cases = [
        ("scope", json!("own b"), "insufficient_scope", "staff"),
        ("scope", json!("staff b"), "insufficient_scope", "own"),
        ("scope", json!("own staff"), "insufficient_scope", "none of the scopes"),
        ("department", json!("ops"), "claim_refused", "[rules.staff]"),
        ("acr", json!("gold"), "step_up_required", "[rules.fresh]"),
        ("acr", json!("bronze"), "step_up_required", "[rules.staff]"),
        ("auth_time", json!(NOW - 301), "step_up_required", "[rules.fresh]"),
        ("iat", json!(NOW - 4000), "claim_refused", "[rules.fresh]"),
    ];
    for (name, value, wanted, detail) in cases {
        let mut claims = good.clone();
        claims[name] = value;
        let denial = outcome(&rule, &claims, "/t/acme").unwrap_err();
        assert_eq!(denial.code(), wanted, "{claims}");
        assert!(denial.detail().contains(detail), "{claims}: {}", denial.detail());
    }
    assert_eq!(rule.needed_scopes(), "own staff a b");
    let Err(Denial::StepUpRequired { wanted, .. }) =
        outcome(&rule, &json!({"scope": "own staff a", "department": "sales", "iat": NOW, "exp": NOW}), "/t/acme")
    else {
        panic!("it is refused")
    };
    assert_eq!(*wanted, StepUp { acr_values: "silver".into(), max_age: Some(300) }, "what all tables ask together");
}

#[test]
fn nobody_is_asked_to_sign_in_again_in_vain() {
    let rule = rule("scopes = [\"a\"]\nclaims = { \"/role\" = \"x\" }\nmax_age = \"1m\"\nmin_remaining_life = \"1m\"");
    let mut claims = json!({"exp": NOW + 1});
    for (name, value, wanted) in [
        ("exp", json!(NOW + 300), "expired"),
        ("scope", json!("a"), "insufficient_scope"),
        ("role", json!("x"), "claim_refused"),
        ("auth_time", json!(NOW), "step_up_required"),
    ] {
        assert_eq!(code(&rule, &claims, "/t/acme"), wanted, "{claims}");
        claims[name] = value;
    }
    assert_eq!(code(&rule, &claims, "/t/acme"), "allow");
}

#[test]
fn the_parts_of_a_rule_have_words() {
    let keys = |clause: &Clause| format!("{} = {} of {}", clause.key(), clause.value(), clause.origin());
    let told: Vec<String> = rule(SETS).clauses().iter().map(keys).collect();
    assert_eq!(
        told,
        [
            r#"scopes = ["own"] of the route"#,
            r#"scopes = ["staff"] of [rules.staff]"#,
            r#"any_scope = ["a","b"] of [rules.staff]"#,
            r#"claims."/department" = ["sales"] of [rules.staff]"#,
            r#"max_total_life = "1h" of [rules.fresh]"#,
            r#"acr = ["gold","silver"] of [rules.staff]"#,
            r#"acr = ["silver","bronze"] of [rules.fresh]"#,
            r#"max_age = "1h" of the route"#,
            r#"max_age = "5m" of [rules.fresh]"#,
        ]
    );
}

/// A rule with a clause of every kind.
fn everything() -> Rule {
    rule(
        "scopes = [\"a\"]\nany_scope = [\"b\", \"c\"]\naudiences = [\"api\"]\nclient_ids = [\"web\"]\nacr = [\"gold\"]\n\
         max_age = \"5m\"\nmin_remaining_life = \"1s\"\nmax_total_life = \"1h\"\n\
         [routes.claims]\n\"/tenant\" = \"{tenant}\"\n\"/a/b\" = [1, \"x\"]\n\"/e\" = { exists = true }\n\
         \"/n\" = { exists = false }\n\"/l\" = { contains = \"{tenant}\" }\n\"/o\" = { one_of = [true, 1.5] }\n",
    )
}

fn any_claim() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~é\u{0}]{0,6}".prop_map(Value::from),
        Just(json!("gold")),
        Just(json!("acme")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[ab0]{1,2}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whoever is let in fulfils every clause, and no claims and no path make a judgement panic.
    #[test]
    fn no_claims_and_no_path_make_the_policy_panic(
        claims in prop::collection::btree_map(
            prop::sample::select(vec!["aud", "scope", "client_id", "acr", "auth_time", "iat", "exp", "tenant", "a", "e", "n", "l", "o"]),
            any_claim(),
            0..10,
        ),
        path in "/[t/%a-f0-9{}é.]{0,20}",
        certain: bool,
        now: i64,
    ) {
        let claims: Map<String, Value> = claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let given = Circumstances { path: &path, certain, now: UnixTime::from_millis(now) };
        if let Ok(claims) = Claims::read(claims) {
            let someone = principal(claims.into_map());
            let rule = everything();
            let all = rule.clauses().iter().all(|clause| clause.holds(&someone, given));
            let outcome = decide(&rule, Some(someone), given);
            prop_assert_eq!(outcome.is_ok(), all);
            if let Err(denial) = outcome {
                prop_assert!(!denial.detail().is_empty());
            }
        }
    }
}

#[test]
fn access_decides_who_needs_a_token() {
    let given = Circumstances { path: "/t/acme", certain: true, now: UnixTime::from_secs(NOW) };
    let bad = || principal(Map::new());
    for (access, anonymous, refused) in [
        (model::Access::Token, "no_credential", "insufficient_scope"),
        (model::Access::Optional, "allow", "insufficient_scope"),
        (model::Access::Public, "allow", "allow"),
    ] {
        let mut rule = rule("scopes = [\"a\"]");
        rule.access = access;
        let code =
            |outcome: Result<Permit<Principal>, Denial>| outcome.map_or_else(|denial| denial.code(), |_| "allow");
        assert_eq!(code(decide(&rule, None, given)), anonymous, "{access:?}");
        assert_eq!(code(decide(&rule, Some(bad()), given)), refused, "{access:?}");
    }
}
