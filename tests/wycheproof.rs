//! The signature and key vectors of Project Wycheproof (`tests/vectors`, see the notice there) against our verifier:
//! what they call invalid is never accepted, and what they call valid is, if the key is one that we take.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate::token::envelope::Envelope;
use tollgate::token::key::KeySet;

fn groups(text: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(text).expect("the vectors are JSON");
    document["testGroups"].as_array().expect("groups").clone()
}

/// The keys that a group would publish, as we read them; a single key is made a set.
fn published(group: &Value) -> KeySet {
    let public = match (group.get("public"), group.get("private")) {
        (Some(public), _) | (None, Some(public)) => public,
        (None, None) => panic!("a group without a key"),
    };
    let set = if public.get("keys").is_some() { public.clone() } else { json!({ "keys": [public] }) };
    KeySet::parse(set.to_string().as_bytes()).expect("a JWK Set")
}

fn accepts(keys: &KeySet, jws: &str) -> bool {
    Envelope::open(jws).is_ok_and(|(envelope, _)| envelope.verify(keys).is_ok())
}

/// What is valid by the vectors and not accepted, by the comment of its group.
type Refused = BTreeMap<String, usize>;

/// Runs all signature tests of a file; gives how many were accepted, and the valid ones that were not.
fn run(text: &str) -> (usize, Refused) {
    let (mut accepted, mut refused) = (0, Refused::new());
    for group in groups(text) {
        let keys = published(&group);
        for test in group["tests"].as_array().expect("tests") {
            let Some(jws) = test["jws"].as_str() else { continue };
            let group = group["comment"].as_str().unwrap_or_default();
            match (test["result"].as_str().expect("a result"), accepts(&keys, jws)) {
                ("valid", true) => accepted += 1,
                ("valid", false) => *refused.entry(group.into()).or_default() += 1,
                ("invalid", false) => {}
                (result, verdict) => panic!("{group}: {test} is {result}, and accepted is {verdict}"),
            }
        }
    }
    (accepted, refused)
}

fn counts<const N: usize>(expected: [(&str, usize); N]) -> Refused {
    expected.into_iter().map(|(group, count)| (group.into(), count)).collect()
}

#[test]
fn signatures() {
    let (accepted, refused) = run(include_str!("vectors/json_web_signature_test.json"));
    // Shared secrets ("hs256", "base64", two figures of RFC 7520) are never taken, nor is P-521 (two figures), nor a PS384
    // signature of a key whose `alg` says PS256 (two figures; the vectors call them valid).
    assert_eq!(refused, counts([("base64", 7), ("hs256", 1), ("rfc7520", 4), ("rfc7520WithKeyOps", 2)]));
    assert_eq!(accepted, 32);
}

#[test]
fn keys_in_sets() {
    let (accepted, refused) = run(include_str!("vectors/json_web_crypto_test.json"));
    // Shared secrets.
    assert_eq!(refused, counts([("jws_aes", 1), ("jws_keyset", 1)]));
    assert_eq!(accepted, 2);
}

#[test]
fn weak_and_misplaced_keys() {
    let (accepted, refused) = run(include_str!("vectors/json_web_key_test.json"));
    // Shared secrets.
    assert_eq!(refused, counts([("HS256", 1), ("HS384", 1), ("HS512", 1), ("jws_keyset", 1)]));
    assert_eq!(accepted, 1);
}
