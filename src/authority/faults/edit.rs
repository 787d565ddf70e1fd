//! Wrong members in a JSON object: the claims of a token, an answer, a document. A change that the object has no place
//! for is not made.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::clock::UnixTime;
use crate::faults::Edit;
use crate::secret::sha256;

const HOUR: i64 = 3600;
const HUGE: usize = 16 * 1024 * 1024;
const MANY: usize = 2000;
const OTHER_PARTY: &str = "https://other.example";
/// What is no claim about the person, or no more than who it is.
const BARE: [&str; 12] =
    ["iss", "sub", "aud", "azp", "exp", "nbf", "iat", "nonce", "at_hash", "c_hash", "sid", "auth_time"];

/// Makes a change, and says whether it was made.
pub(super) fn make(edit: Edit, document: &mut Value, now: UnixTime) -> bool {
    let Value::Object(members) = document else { return false };
    match edit {
        Edit::Append(name) => members.get_mut(name).is_some_and(append),
        Edit::Remove(name) => members.remove(name).is_some(),
        Edit::Expire => period(members, now.secs().saturating_sub(2 * HOUR)),
        Edit::Postpone => {
            let begins = now.secs().saturating_add(HOUR);
            period(members, begins) && members.insert("nbf".into(), json!(begins)).is_none()
        }
        Edit::SignInEarlier => {
            let before = members.get("auth_time").and_then(Value::as_i64);
            before.is_some_and(|before| set(members, "auth_time", json!(before.saturating_sub(HOUR))))
        }
        Edit::AddNonce => members.insert("nonce".into(), json!("added")).is_none(),
        Edit::OtherEvent => set(members, "events", json!({ "https://example.com/other-event": {} })),
        Edit::FurtherAudience => further_audience(members),
        Edit::Bare => {
            let before = members.len();
            members.retain(|name, _| BARE.contains(&name.as_str()));
            members.len() < before
        }
        Edit::Inactive => {
            *members = Map::from_iter([("active".to_owned(), json!(false))]);
            true
        }
        Edit::ActiveAsText => set(members, "active", json!("true")),
        Edit::Huge => members.insert("padding".into(), json!("x".repeat(HUGE))).is_none(),
        Edit::NoKeys => set(members, "keys", json!([])),
        Edit::ManyKeys => before(members, (0..MANY).map(key_of_nobody).collect()),
        Edit::OddKeys => before(members, odd_keys()),
        Edit::NamelessKeys => keys(members).is_some_and(|keys| {
            keys.iter_mut().filter_map(Value::as_object_mut).for_each(|key| drop(key.remove("kid")));
            true
        }),
    }
}

fn append(value: &mut Value) -> bool {
    match value {
        Value::String(text) => text.push('1'),
        Value::Array(items) => return items.iter_mut().fold(false, |made, item| append(item) | made),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return false,
    }
    true
}

fn further_audience(members: &mut Map<String, Value>) -> bool {
    let Some(right) = members.get("aud").filter(|aud| aud.is_string()).cloned() else { return false };
    members.insert("aud".into(), json!([right, OTHER_PARTY]));
    members.insert("azp".into(), right);
    true
}

/// Valid for an hour from `begins`, if it is valid for a time at all.
fn period(members: &mut Map<String, Value>, begins: i64) -> bool {
    set(members, "iat", json!(begins)) & set(members, "exp", json!(begins.saturating_add(HOUR)))
}

fn set(members: &mut Map<String, Value>, name: &str, value: Value) -> bool {
    members.get_mut(name).map(|member| *member = value).is_some()
}

fn keys(members: &mut Map<String, Value>) -> Option<&mut Vec<Value>> {
    members.get_mut("keys").and_then(Value::as_array_mut)
}

fn before(members: &mut Map<String, Value>, strangers: Vec<Value>) -> bool {
    keys(members).map(|keys| drop(keys.splice(..0, strangers))).is_some()
}

fn key_of_nobody(number: usize) -> Value {
    let x = URL_SAFE_NO_PAD.encode(sha256(&number.to_be_bytes()));
    json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": format!("nobody-{number}"), "use": "sig", "alg": "EdDSA" })
}

/// What RFC 7517 (section 5) wants ignored: types, curves and uses that a client does not know.
fn odd_keys() -> Vec<Value> {
    let number = |text: &str| URL_SAFE_NO_PAD.encode(sha256(text.as_bytes()));
    vec![
        json!({ "kty": "TOLLGATE-X", "kid": "odd-1", "use": "sig", "material": number("1") }),
        json!({ "kty": "EC", "crv": "secp256k1", "kid": "odd-2", "use": "sig", "x": number("x"), "y": number("y") }),
        json!({ "kty": "OKP", "crv": "X25519", "kid": "odd-3", "use": "enc", "alg": "ECDH-ES", "x": number("3") }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "odd-4", "use": "other", "alg": "TOLLGATE-Y", "x": number("4") }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_place_is_not_made() {
        let now = UnixTime::from_secs(10_000);
        let edits = [
            Edit::Append("aud"),
            Edit::Remove("aud"),
            Edit::Expire,
            Edit::OtherEvent,
            Edit::FurtherAudience,
            Edit::ActiveAsText,
            Edit::NoKeys,
            Edit::ManyKeys,
            Edit::OddKeys,
            Edit::NamelessKeys,
        ];
        for edit in edits {
            let mut document = json!({ "a": 1 });
            assert!(!make(edit, &mut document, now), "{edit:?}");
            assert_eq!(document, json!({ "a": 1 }), "{edit:?}");
            assert!(!make(edit, &mut json!([1]), now), "{edit:?}");
        }
        assert!(!make(Edit::Append("iat"), &mut json!({ "iat": 1 }), now), "a number has nothing behind it");
        let mut several = json!({ "aud": ["a", "b"] });
        assert!(make(Edit::Append("aud"), &mut several, now));
        assert_eq!(several, json!({ "aud": ["a1", "b1"] }));
    }
}
