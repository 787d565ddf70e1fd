//! The claims of a token (RFC 7519 section 4) with their types checked.
//!
//! Promises that the claims we act upon, where present, have the type that their specification gives them: a wrong type
//! never counts as absent. Refuses dates that are no plausible number of seconds, control characters in what becomes an
//! identity header, and array elements that would read as several scopes.

use serde_json::{Map, Number, Value};

use super::Rejection;
use super::binding::Binding;
use super::envelope::malformed;
use super::json::kind;
use super::principal::Scopes;
use crate::clock::UnixTime;

/// Seconds since the epoch at the end of the year 9999; a later date is a mistake.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Claims that are a string when present.
const STRINGS: [&str; 10] = ["iss", "sub", "jti", "sid", "client_id", "azp", "cid", "appid", "typ", "token_use"];

/// Members of an introspection answer that are a string when present, beside those (RFC 7662 section 2.2).
const STRINGS_OF_ANSWERS: [&str; 2] = ["token_type", "username"];

/// Claims that are a string or an array of strings when present.
const LISTS: [&str; 3] = ["aud", "scope", "scp"];

/// A set of claims in which everything that we act upon has its proper type.
#[derive(Debug, Clone)]
pub struct Claims {
    all: Map<String, Value>,
    /// `exp`
    pub expires_at: Option<UnixTime>,
    /// `nbf`
    pub not_before: Option<UnixTime>,
    /// `iat`
    pub issued_at: Option<UnixTime>,
    /// `cnf`
    pub binding: Option<Binding>,
}

impl Claims {
    /// Checks the types.
    ///
    /// # Errors
    /// `malformed_token`
    pub fn read(all: Map<String, Value>) -> Result<Self, Rejection> {
        STRINGS.iter().try_for_each(|name| check_string(&all, name))?;
        LISTS.iter().try_for_each(|name| check_list(&all, name))?;
        let [expires_at, not_before, issued_at] = [date(&all, "exp")?, date(&all, "nbf")?, date(&all, "iat")?];
        let binding = Binding::read(&all)?;
        Ok(Self { all, expires_at, not_before, issued_at, binding })
    }

    /// Checks the types of an introspection answer's members.
    ///
    /// # Errors
    /// `malformed_token`
    pub fn read_answer(all: Map<String, Value>) -> Result<Self, Rejection> {
        STRINGS_OF_ANSWERS.iter().try_for_each(|name| check_string(&all, name))?;
        Self::read(all)
    }

    /// `iss`
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.string("iss")
    }

    /// The string claim of this name.
    #[must_use]
    pub fn string(&self, name: &str) -> Option<&str> {
        self.all.get(name).and_then(Value::as_str)
    }

    /// The claim of this name, of whatever type.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.all.get(name)
    }

    /// Whether there is a claim of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Whether there is a claim of this name that is not null.
    #[must_use]
    pub fn states(&self, name: &str) -> bool {
        self.all.get(name).is_some_and(|value| !value.is_null())
    }

    /// The strings of `aud`; a single string is one element.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        strings(self.all.get("aud"))
    }

    /// What the first of these claims says that is there; a string is split at its spaces.
    #[must_use]
    pub fn scopes(&self, names: [&str; 2]) -> Scopes {
        match names.iter().find_map(|name| self.all.get(*name)) {
            Some(Value::String(text)) => Scopes::parse(text),
            list => {
                let mut scopes = Scopes::default();
                strings(list).filter(|scope| !scope.is_empty()).for_each(|scope| scopes.add(scope));
                scopes
            }
        }
    }

    /// All of them, as they came.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        self.all
    }
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let items = match value {
        Some(Value::Array(items)) => items.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    items.iter().filter_map(Value::as_str)
}

fn check_string(claims: &Map<String, Value>, name: &str) -> Result<(), Rejection> {
    match claims.get(name) {
        None => Ok(()),
        Some(Value::String(text)) => check_text(name, text),
        Some(other) => Err(malformed(format!("the claim {name} is {}, not a string", kind(other)))),
    }
}

fn check_list(claims: &Map<String, Value>, name: &str) -> Result<(), Rejection> {
    match claims.get(name) {
        None => Ok(()),
        Some(Value::String(text)) => check_text(name, text),
        Some(Value::Array(items)) => items.iter().try_for_each(|item| check_element(name, item)),
        Some(other) => Err(malformed(format!("the claim {name} is {}, not a string or an array", kind(other)))),
    }
}

fn check_element(name: &str, item: &Value) -> Result<(), Rejection> {
    let Value::String(text) = item else {
        return Err(malformed(format!("the claim {name} holds {}, not only strings", kind(item))));
    };
    // One element with a space would be one scope here and two for the upstream, which gets them joined by spaces.
    if name != "aud" && text.contains(' ') {
        return Err(malformed(format!("the claim {name} is an array with a space inside of an element")));
    }
    check_text(name, text)
}

/// A control character has no business in a name, and in a header it would be an attack.
fn check_text(name: &str, text: &str) -> Result<(), Rejection> {
    match text.chars().any(char::is_control) {
        true => Err(malformed(format!("the claim {name} has a control character"))),
        false => Ok(()),
    }
}

/// A `NumericDate`: seconds since the epoch, a fraction allowed.
pub(super) fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<UnixTime>, Rejection> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let Value::Number(number) = value else {
        return Err(malformed(format!("the claim {name} is {}, not a number", kind(value))));
    };
    let date = plausible(number).ok_or_else(|| malformed(format!("the claim {name} is no plausible date")))?;
    Ok(Some(date))
}

/// The moment that a claim names; `None` when it is no plausible date.
#[must_use]
pub fn numeric_date(claim: &Value) -> Option<UnixTime> {
    match claim {
        Value::Number(number) => plausible(number),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn plausible(number: &Number) -> Option<UnixTime> {
    let seconds = number.as_f64().filter(|seconds| (0.0..=LAST_SECOND).contains(seconds))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range was checked; the fraction of a millisecond is dropped"
    )]
    let millis = (seconds * 1000.0) as i64;
    Some(UnixTime::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(claims: &Value) -> Result<Claims, Rejection> {
        Claims::read(claims.as_object().expect("an object").clone())
    }

    #[test]
    fn a_wrong_type_never_counts_as_absent() {
        let cases: &[Value] = &[
            json!({"exp": "9999999999"}),
            json!({"exp": null}),
            json!({"exp": -1}),
            json!({"exp": 1e300}),
            json!({"exp": true}),
            json!({"exp": [1]}),
            json!({"exp": 253_402_300_800_i64}),
            json!({"exp": u64::MAX}),
            json!({"nbf": {}}),
            json!({"nbf": ""}),
            json!({"iat": null}),
            json!({"iat": -0.5}),
            json!({"iss": ["https://a.example"]}),
            json!({"iss": null}),
            json!({"sub": 7}),
            json!({"jti": 7}),
            json!({"client_id": ["a"]}),
            json!({"azp": false}),
            json!({"aud": 5}),
            json!({"aud": null}),
            json!({"aud": {}}),
            json!({"aud": ["a", 5]}),
            json!({"aud": [["a"]]}),
            json!({"scope": 5}),
            json!({"scope": null}),
            json!({"scope": ["a", null]}),
            json!({"scp": {"a": true}}),
            json!({"scp": ["orders:read admin"]}),
            json!({"sub": "a\r\nX-Admin: 1"}),
            json!({"sub": "a\u{85}b"}),
            json!({"scope": "a\tb"}),
            json!({"scp": ["a\0"]}),
            json!({"aud": ["a\n"]}),
        ];
        for claims in cases {
            let code = read(claims).map(drop).map_err(|rejection| rejection.code);
            assert_eq!(code, Err(crate::token::RejectionCode::MalformedToken), "{claims}");
        }
        assert!(read(&json!({"exp": 0, "nbf": 1.5, "iat": 253_402_300_799_i64, "aud": [], "other": null})).is_ok());
    }

    #[test]
    fn dates_keep_their_milliseconds() {
        let cases: &[(Value, i64)] = &[(json!(0), 0), (json!(1.5), 1500), (json!(1e9), 1_000_000_000_000)];
        for (value, millis) in cases {
            let claims = read(&json!({ "exp": value })).expect("a date");
            assert_eq!(claims.expires_at, Some(UnixTime::from_millis(*millis)), "{value}");
        }
    }

    #[test]
    fn scopes_come_from_scope_or_scp_as_string_or_array() {
        let cases: &[(Value, &str)] = &[
            (json!({}), ""),
            (json!({"scope": "a b a"}), "a b"),
            (json!({"scope": ["a", "b", "", "a"]}), "a b"),
            (json!({"scp": "a  b"}), "a b"),
            (json!({"scp": ["b", "a"]}), "b a"),
            (json!({"scope": "a", "scp": ["b"]}), "a"),
        ];
        for (claims, expected) in cases {
            assert_eq!(read(claims).expect("well-typed").scopes(["scope", "scp"]).joined(), *expected, "{claims}");
        }
    }
}
