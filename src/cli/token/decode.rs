//! What is written in a token, for people. Nothing here says that any of it is true: no signature is looked at.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::clock::UnixTime;
use crate::observe::timestamp::rfc3339;
use crate::token::json;

use super::answer::Answer;
use super::shown;

/// The members of an answer that may be a JWT.
const TOKENS: [&str; 2] = ["access_token", "id_token"];

/// Claims that are moments.
const MOMENTS: [&str; 5] = ["iat", "nbf", "auth_time", "updated_at", "exp"];

/// The parts of a JWT that can be read.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

/// Reads a JWT.
///
/// # Errors
/// Why there is nothing to read in it.
pub(super) fn decode(token: &str) -> Result<Decoded, &'static str> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, _signature] = parts.as_slice() else {
        return Err(match parts.len() {
            5 => "encrypted: only its recipient can read it",
            _ => "opaque: only the server knows what it means; introspection tells",
        });
    };
    let part = |text: &&str| json::object(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    match (part(header), part(claims)) {
        (Some(header), Some(claims)) => Ok(Decoded { header, claims }),
        _ => Err("opaque: its parts are not those of a JWT"),
    }
}

/// The whole answer with what is in its tokens as one member more.
pub(super) fn beside(answer: &Answer) -> Value {
    let mut whole = answer.members.clone();
    let mut decoded = json!({ "verified": false });
    for name in TOKENS {
        let Some(token) = answer.text(name) else { continue };
        decoded[name] = match decode(token) {
            Ok(jwt) => json!({ "header": jwt.header, "claims": jwt.claims }),
            Err(why) => json!({ "unreadable": why }),
        };
    }
    whole.insert("decoded".into(), decoded);
    whole.into()
}

/// The same for a person.
pub(super) fn tell(answer: &Answer, now: UnixTime) -> String {
    let mut text = String::new();
    for (name, title) in TOKENS.into_iter().zip(["Access token", "ID token"]) {
        let Some(token) = answer.text(name) else { continue };
        // Writing to a String cannot fail.
        let _ = match decode(token) {
            Ok(jwt) => write!(
                text,
                "{title} (not verified)\nheader {}claims {}{}",
                shown::json(&jwt.header.into()),
                shown::json(&jwt.claims.clone().into()),
                moments(&jwt.claims, now)
            ),
            Err(why) => writeln!(text, "{title}: {why}"),
        };
    }
    text.truncate(text.trim_end().len());
    text
}

/// A line for each claim that is a moment.
fn moments(claims: &Map<String, Value>, now: UnixTime) -> String {
    let mut text = String::new();
    for name in MOMENTS {
        let Some(seconds) = claims.get(name).and_then(Value::as_f64) else { continue };
        // Beyond these years it is no moment, and the cast below would not hold it.
        if !(0.0..253_402_300_800.0).contains(&seconds) {
            continue;
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is in the range that was just checked")]
        let moment = UnixTime::from_secs(seconds as i64);
        let stamp = rfc3339(moment);
        let _ = writeln!(text, "{name:<9} {} ({})", String::from_utf8_lossy(&stamp), distance(moment, now));
    }
    text
}

fn distance(moment: UnixTime, now: UnixTime) -> String {
    let (ahead, behind) = (moment.since(now).as_secs(), now.since(moment).as_secs());
    if ahead > 0 { format!("in {}", span(ahead)) } else { format!("{} ago", span(behind)) }
}

/// Seconds in the largest unit that says enough.
fn span(seconds: u64) -> String {
    match seconds {
        0..600 => format!("{seconds} s"),
        600..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    fn answer(token: &str) -> Answer {
        let members = json!({"access_token": token, "token_type": "Bearer"});
        Answer::new("the token endpoint", members.as_object().unwrap().clone(), &[]).unwrap()
    }

    #[test]
    fn a_jwt_is_read_and_marked() {
        let token = jwt(r#"{"alg":"RS256"}"#, r#"{"sub":"\u001b[2J\u202e","exp":1800000300,"iat":-5}"#);
        let told = tell(&answer(&token), UnixTime::from_secs(1_800_000_000));
        for part in ["Access token (not verified)", "\"alg\": \"RS256\"", "exp       2027-01-15T08:05:00", "(in 300 s)"]
        {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told:?}");
        let beside = beside(&answer(&token));
        assert_eq!(beside["decoded"]["verified"], json!(false));
        assert_eq!(beside["decoded"]["access_token"]["claims"]["exp"], json!(1_800_000_300));
        assert_eq!(beside["access_token"], json!(token));
    }

    #[test]
    fn what_is_no_jwt_is_said_so() {
        let cases = [
            ("x", "opaque"),
            ("a.b.c", "not those of a JWT"),
            ("a.b.c.d.e", "encrypted"),
            (&jwt("[]", "{}"), "not those of a JWT"),
            (&jwt("{}", "{\"a\":1,\"a\":2}"), "not those of a JWT"),
        ];
        for (token, expected) in cases {
            assert!(decode(token).unwrap_err().contains(expected), "{token}");
        }
    }

    #[test]
    fn moments_beyond_the_calendar_are_left_alone() {
        let claims = json!({"exp": 1e300, "iat": "soon", "nbf": -1});
        assert_eq!(moments(claims.as_object().unwrap(), UnixTime::from_secs(0)), "");
    }
}
