//! Strict JSON for what strangers send: a text is read one way or not at all.
//!
//! Promises that no two readers can disagree about an accepted text: no member name twice in any object at any depth
//! (RFC 8259 section 4 leaves the meaning of that open), nothing after the value, no more than [`MAX_DEPTH`] levels,
//! and only numbers that fit. Refuses everything else, without panic and without quoting values in the error.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Levels of arrays and objects that a text may have.
pub const MAX_DEPTH: usize = 64;

/// Longest piece of somebody else's text that an error or a log line shows, in characters.
const EXCERPT: usize = 64;

/// Why a text is not acceptable JSON. Shows positions and member names, never values.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, a member name twice, or nested too deeply.
    #[error("{0}")]
    Refused(#[from] serde_json::Error),
    /// JSON, but not an object.
    #[error("not a JSON object but {0}")]
    NotAnObject(&'static str),
}

/// Reads `bytes` as one JSON object.
///
/// # Errors
/// When the bytes are anything else, or break one of the promises of this module.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: MAX_DEPTH }.deserialize(&mut reader)?;
    reader.end()?;
    match value {
        Value::Object(members) => Ok(members),
        other => Err(JsonError::NotAnObject(kind(&other))),
    }
}

/// What sort of value this is, with its article.
#[must_use]
pub const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// `text` in quotes, escaped and cut to a length that suits a log line.
#[must_use]
pub fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Reads any value, `depth` more levels down.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth }),
            None => Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the member {} comes twice", excerpt(&name))));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        let cases: &[(&str, bool)] = &[
            ("{}", true),
            (" {\"a\":1}\n", true),
            (r#"{"a":{"b":1},"c":{"b":1}}"#, true),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"a":1,"\u0061":2}"#, false),
            (r#"{"x":{"a":1,"a":2}}"#, false),
            (r#"{"x":[[{"a":1,"b":0,"a":2}]]}"#, false),
            (r#"{"a":1}{}"#, false),
            (r#"{"a":1} x"#, false),
            (r#"{"a":1e999}"#, false),
            (r#"{"a":NaN}"#, false),
            (r#"{"a":01}"#, false),
            (r#"{"a":"\ud800"}"#, false),
            (r#"{"a":1,}"#, false),
            ("\u{feff}{}", false),
            ("[]", false),
            ("\"{}\"", false),
            ("null", false),
            ("", false),
            (&deep(MAX_DEPTH), true),
            (&deep(MAX_DEPTH + 1), false),
            (&deep(100_000), false),
        ];
        for (text, fine) in cases {
            assert_eq!(object(text.as_bytes()).is_ok(), *fine, "{}", excerpt(text));
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err(), "invalid UTF-8");
        assert!(object(b"{\"a\":1}\0").is_err(), "a trailing zero byte");
    }

    #[test]
    fn errors_name_members_but_do_not_quote_values() {
        for text in [r#"{"a":1,"a":"s3cret"}"#, r#""s3cret""#, r#"{"a":"s3cret" "b"}"#, r#"["s3cret"]"#] {
            let error = object(text.as_bytes()).expect_err(text).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        let long = format!("{{\"{0}\":1,\"{0}\":1}}", "n".repeat(9000));
        assert!(object(long.as_bytes()).expect_err("twice").to_string().len() < 150);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "[ -~äλ\"\\\\]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"]{0,3}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_has_one_reading_is_read_as_serde_json_reads_it(value in any_value()) {
            let text = serde_json::json!({ "v": value }).to_string();
            let plain: Map<String, Value> = serde_json::from_str(&text).expect("serde_json wrote it");
            prop_assert_eq!(object(text.as_bytes()).expect("one reading"), plain);
        }

        #[test]
        fn a_repeated_member_is_found_wherever_it_is(value in any_value(), name in "[a-z]{1,3}", depth in 0..40usize) {
            let twice = format!("{{{name:?}:{value},\"other\":0,{name:?}:{value}}}");
            let text = format!("{}{twice}{}", "{\"a\":[".repeat(depth / 2), "]}".repeat(depth / 2));
            prop_assert!(object(text.as_bytes()).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[{}\\[\\]\",:0-9a-e.+\\\\ -]{0,64}") {
            let _ = object(&bytes);
            let _ = object(text.as_bytes());
        }
    }
}
