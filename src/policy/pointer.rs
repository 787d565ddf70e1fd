//! JSON Pointers into claims (RFC 6901), taken apart once, so that following one costs no allocation.

use serde_json::{Map, Value};

/// A pointer to one claim or below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: Box<str>,
    tokens: Vec<Box<str>>,
}

impl Pointer {
    /// Takes a pointer apart. What does not begin with a slash points nowhere.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let tokens = text.strip_prefix('/').map_or_else(Vec::new, |rest| {
            rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~").into()).collect()
        });
        Self { text: text.into(), tokens }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it points at.
    #[must_use]
    pub fn follow<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let (first, below) = self.tokens.split_first()?;
        below.iter().try_fold(claims.get(&**first)?, |value, token| match value {
            Value::Object(members) => members.get(&**token),
            Value::Array(items) => items.get(index(token)?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
    }
}

/// An array index: decimal, without sign and leading zeros.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['0', '+']);
    token.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn it_points_where_rfc_6901_says() {
        let claims = json!({"a": {"b": [10, {"c": null}], "": 1}, "m~n": 2, "x/y": 3, "": 4, "01": 5});
        let claims = claims.as_object().unwrap();
        for (pointer, wanted) in [
            ("/a/b/0", Some(json!(10))),
            ("/a/b/1/c", Some(json!(null))),
            ("/a/", Some(json!(1))),
            ("/m~0n", Some(json!(2))),
            ("/x~1y", Some(json!(3))),
            ("/", Some(json!(4))),
            ("/01", Some(json!(5))),
            ("/a/b/01", None),
            ("/a/b/+1", None),
            ("/a/b/-", None),
            ("/a/b/2", None),
            ("/a/b/1/c/d", None),
            ("/z", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(Pointer::new(pointer).follow(claims), wanted.as_ref(), "{pointer}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde_json(tokens in prop::collection::vec("[ab01~/+]{0,2}", 1..4)) {
            let claims = json!({"a": {"b": [1, [2, {"0": 3}]], "0": {"~": 4}}, "0": [0, 1], "/": {"a": 5}, "~1": 6});
            let escaped = tokens.iter().map(|token| token.replace('~', "~0").replace('/', "~1"));
            let text: String = escaped.map(|token| format!("/{token}")).collect();
            let ours = Pointer::new(&text);
            prop_assert_eq!(ours.follow(claims.as_object().unwrap()), claims.pointer(&text));
        }
    }
}
