//! A successful answer (RFC 6749, sections 4.2.2 and 5.1): what must be in it before any of it is used.

use serde_json::{Map, Value};

use super::failure::Failure;
use super::shown::shown;

/// An answer with an access token that can be used.
#[derive(Debug)]
pub(super) struct Answer {
    /// All members, as they came.
    pub(super) members: Map<String, Value>,
    /// What its reader should know.
    pub(super) notes: Vec<String>,
}

impl Answer {
    /// Takes the answer `by` an endpoint to a request for `asked` scopes.
    ///
    /// # Errors
    /// When there is no `access_token`, or one that no header could carry.
    pub(super) fn new(by: &'static str, members: Map<String, Value>, asked: &[String]) -> Result<Self, Failure> {
        match members.get("access_token") {
            Some(Value::String(token)) if is_token(token) => {}
            Some(Value::String(_)) => {
                return Err(Failure::fault(format!("{by} gave an `access_token` with blanks or control characters")));
            }
            Some(_) => return Err(Failure::fault(format!("{by} gave an `access_token` that is no text"))),
            None => return Err(Failure::fault(format!("{by} answered without an `access_token`"))),
        }
        let notes = notes(&members, asked);
        Ok(Self { members, notes })
    }

    pub(super) fn access_token(&self) -> &str {
        self.text("access_token").unwrap_or_default()
    }

    /// A member that is a text.
    pub(super) fn text(&self, member: &str) -> Option<&str> {
        self.members.get(member).and_then(Value::as_str)
    }
}

/// Whether `token` is one word of visible ASCII: what `Authorization: Bearer` can carry, and a terminal shows as it is.
fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn notes(members: &Map<String, Value>, asked: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    match members.get("token_type").and_then(Value::as_str) {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(kind) => {
            notes.push(format!("the token is of type {}, so `Authorization: Bearer` may not do", shown(kind)));
        }
        None => notes.push("the answer has no `token_type`, which RFC 6749 requires".into()),
    }
    let granted = members.get("scope").and_then(Value::as_str);
    // Who asks for none takes what the server gives: its default, or what the refresh token was given for.
    if let Some(granted) = granted.filter(|granted| !asked.is_empty() && !same_scopes(granted, asked)) {
        notes.push(format!("the scopes granted are: {} (asked for: {})", shown(granted), asked.join(" ")));
    }
    notes
}

/// Whether the answer grants what was asked for, in any order.
fn same_scopes(granted: &str, asked: &[String]) -> bool {
    let sorted = |mut scopes: Vec<&str>| {
        scopes.sort_unstable();
        scopes.dedup();
        scopes.join(" ")
    };
    sorted(granted.split_ascii_whitespace().collect()) == sorted(asked.iter().map(String::as_str).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(members: &Value, asked: &[&str]) -> Result<Answer, Failure> {
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        Answer::new("the token endpoint", members.as_object().unwrap().clone(), &asked)
    }

    #[test]
    fn only_a_token_that_a_header_can_carry_is_taken() {
        let cases = [
            (json!({}), "without an `access_token`"),
            (json!({"access_token": ""}), "blanks or control"),
            (json!({"access_token": "a b"}), "blanks or control"),
            (json!({"access_token": "a\nX-Evil: 1"}), "blanks or control"),
            (json!({"access_token": "\u{1b}[2J"}), "blanks or control"),
            (json!({"access_token": 7}), "no text"),
            (json!({"access_token": null}), "no text"),
        ];
        for (members, complaint) in cases {
            let failure = take(&members, &[]).unwrap_err().to_string();
            assert!(failure.contains(complaint), "{failure}");
        }
    }

    #[test]
    fn surprises_are_noted_and_nothing_else() {
        let cases: [(Value, &[&str], &[&str]); 6] = [
            (json!({"token_type": "bearer"}), &["a"], &[]),
            (json!({"token_type": "Bearer", "scope": "b a"}), &["a", "b"], &[]),
            (json!({"token_type": "Bearer", "scope": "a"}), &["a", "b"], &["granted are: a (asked for: a b)"]),
            (json!({"token_type": "Bearer", "scope": "a"}), &[], &[]),
            (json!({"token_type": "DPoP"}), &[], &["of type DPoP"]),
            (json!({}), &[], &["no `token_type`"]),
        ];
        for (mut members, asked, expected) in cases {
            members["access_token"] = json!("t");
            let notes = take(&members, asked).unwrap().notes;
            assert_eq!(notes.len(), expected.len(), "{notes:?}");
            notes.iter().zip(expected).for_each(|(note, part)| assert!(note.contains(part), "{note}"));
        }
    }
}
