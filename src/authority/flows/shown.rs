//! What a walk may show: messages as they went over the wire, without secrets and passwords, and with every token and
//! code cut short, so that nobody can take a usable one from the page; and tokens taken apart into their claims.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// What stands for a secret.
const HIDDEN: &str = "\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}";
/// Parameters of which nothing is shown.
const SECRETS: [&str; 3] = ["client_secret", "password", "client_assertion"];
/// Parameters and members that give access: their beginning is shown, to tell them apart.
const BEARERS: [&str; 7] =
    ["code", "access_token", "refresh_token", "id_token", "token", "device_code", "id_token_hint"];
/// Characters of a bearer value that are shown, far from enough to guess the rest.
const SHOWN_OF_BEARER: usize = 6;
/// Longer texts in JSON are cut: the numbers of keys.
const LONGEST_TEXT: usize = 100;
/// Characters of a body that is not JSON.
const LONGEST_BODY: usize = 1500;

/// A JWT, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// Which one, as `access_token`.
    pub(super) name: &'static str,
    /// Its header, as JSON.
    pub(super) header: String,
    /// Its claims: name and value as JSON.
    pub(super) claims: Vec<(String, String)>,
}

impl Token {
    /// Takes `jwt` apart, without any judgement; `None` when it is none.
    pub(super) fn of(name: &'static str, jwt: &str) -> Option<Self> {
        let mut parts = jwt.split('.');
        let mut json = || serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok();
        let (header, claims) = (json()?, json()?);
        let claims = claims.as_object()?.iter().map(|(name, value)| (name.clone(), value.to_string()));
        let mut claims: Vec<_> = claims.collect();
        claims.sort_by_key(|(name, _)| MEANINGS.iter().position(|(known, _)| known == name).unwrap_or(MEANINGS.len()));
        Some(Self { name, header: header.to_string(), claims })
    }
}

/// What claims say, in a few words, in the order in which they are best read.
const MEANINGS: [(&str, &str); 18] = [
    ("iss", "who issued it"),
    ("sub", "whom it speaks of"),
    ("aud", "whom it is meant for; others must refuse it"),
    ("client_id", "which client got it"),
    ("azp", "which client asked for it"),
    ("scope", "what it allows"),
    ("iat", "when it was issued"),
    ("nbf", "not valid before"),
    ("exp", "when it ends, in seconds since 1970"),
    ("jti", "its own number"),
    ("nonce", "repeats the client's random text, so it answers this request and no other"),
    ("at_hash", "hash of the access token beside it"),
    ("c_hash", "hash of the code beside it"),
    ("auth_time", "when the person signed in"),
    ("acr", "how well the person proved who they are"),
    ("amr", "by what means"),
    ("sid", "the sign-in, for logout"),
    ("cnf", "the key that its user has to prove"),
];

/// What a claim says; nothing for those that a config made up.
pub(super) fn meaning(claim: &str) -> &'static str {
    MEANINGS.iter().find(|(known, _)| *known == claim).map_or("", |(_, meaning)| meaning)
}

/// One parameter as it may be shown.
pub(super) fn parameter(name: &str, value: &str) -> String {
    if SECRETS.contains(&name) {
        HIDDEN.to_owned()
    } else if BEARERS.contains(&name) {
        cut(value)
    } else {
        value.to_owned()
    }
}

/// The beginning of a code or token; of a JWT, of each of its parts.
pub(super) fn cut(value: &str) -> String {
    let parts: Vec<_> = value.split('.').map(|part| first(part, SHOWN_OF_BEARER)).collect();
    parts.join(".")
}

fn first(text: &str, count: usize) -> String {
    match text.char_indices().nth(count) {
        Some((at, _)) => format!("{}\u{2026}", &text[..at]),
        None => text.to_owned(),
    }
}

/// Parameters in a URL or body, decoded, one a line, behind `lead` and `&`.
pub(super) fn parameters<'a>(lead: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut lines = String::new();
    for (position, (name, value)) in pairs.into_iter().enumerate() {
        let mark = if position == 0 { lead } else { "&" };
        let _ = write!(lines, "\n{mark}{name}={}", parameter(name, value));
    }
    lines
}

/// A body as it may be shown: JSON over several lines, anything else cut.
pub(super) fn body(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            hide(&mut value);
            format!("{value:#}")
        }
        Err(_) => first(text.trim_end(), LONGEST_BODY),
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) => *text = first(&parameter(name, text), LONGEST_TEXT),
                    other => hide(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::String(text) => *text = first(text, LONGEST_TEXT),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_usable_is_shown() {
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
        assert_eq!(cut(jwt), "eyJhbG\u{2026}.eyJzdW\u{2026}.c2lnbm\u{2026}");
        let shown = body(&format!(
            "{{\"access_token\":\"{jwt}\",\"keys\":[{{\"n\":\"{}\"}}],\"scope\":\"a b\",\"password\":\"p\",\"n\":1}}",
            "x".repeat(400)
        ));
        assert!(
            !shown.contains("c2lnbmF0") && !shown.contains(&"x".repeat(101)) && !shown.contains("\"p\""),
            "{shown}"
        );
        assert!(shown.contains("\"scope\": \"a b\"") && shown.contains("\"n\": 1"), "{shown}");
        let pairs =
            [("grant_type", "password"), ("username", "alice"), ("password", "wonderland"), ("code", "abcdefghij")];
        let lines = parameters("?", pairs);
        assert!(lines.starts_with("\n?grant_type=password\n&username=alice"), "{lines}");
        assert!(!lines.contains("wonderland") && lines.contains("&code=abcdef\u{2026}"), "{lines}");
        assert!(body(&"\u{eb}".repeat(5000)).len() < 4000);
    }

    #[test]
    fn tokens_are_taken_apart() {
        let token = Token::of("id_token", "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxLCJzdWIiOiJhbGljZSJ9.x").unwrap();
        assert_eq!(token.header, r#"{"alg":"RS256"}"#);
        let claims: Vec<_> = token.claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(claims, [("sub", "\"alice\""), ("a", "1")]);
        for none in ["", "a.b.c", "opaque", "eyJhbGciOiJSUzI1NiJ9", "eyJhbGciOiJSUzI1NiJ9.W10.x"] {
            assert!(Token::of("id_token", none).is_none(), "{none}");
        }
    }
}
