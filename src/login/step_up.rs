//! A stronger or a more recent sign-in than a session has (RFC 9470): whether the issuer's answer brings what was asked for.
//!
//! Context classes are a wish to the issuer (OpenID Connect Core 1.0, section 3.1.2.1), but the page behind the login needs one
//! of them: an answer without is no way there, and the session that the browser had stays what it was. A sign-in that is older
//! than was asked for is asked for once more, without a way around (`prompt=login`): some issuers do not know `max_age`.

use std::time::Duration;

use super::{Failure, Side, Told};
use crate::clock::UnixTime;
use crate::policy::StepUp;
use crate::token::claims::{Claims, numeric_date};

/// What an answer does not bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// One of the context classes.
    Context,
    /// A recent sign-in.
    Recency,
    /// A word on when it was.
    AuthTime,
}

/// What a sign-in is judged by, beside what was wanted.
#[derive(Debug, Clone, Copy)]
pub struct Judging {
    /// When the request for a sign-in that is made anew was; absent: it need not be.
    pub anew: Option<UnixTime>,
    /// How far the issuer's clock may be off.
    pub skew: Duration,
    /// The time.
    pub now: UnixTime,
}

/// Whether the claims of an ID token are those of a sign-in as it was asked for. Its age is judged as the route behind the
/// login will judge it. One that was to be made anew has to be from after the request, as far as clocks agree.
///
/// # Errors
/// What is missing.
pub fn check(wanted: &StepUp, claims: &Claims, judging: Judging) -> Result<(), Missed> {
    let (StepUp { acr_values, max_age }, Judging { anew, skew, now }) = (wanted, judging);
    let mut classes = acr_values.split(' ').filter(|class| !class.is_empty()).peekable();
    let reached = claims.get("acr").and_then(serde_json::Value::as_str);
    if classes.peek().is_some() && !classes.any(|class| Some(class) == reached) {
        return Err(Missed::Context);
    }
    let Some(max_age) = max_age else { return Ok(()) };
    let signed_in = claims.get("auth_time").and_then(numeric_date).filter(|then| *then <= now.plus(skew));
    let signed_in = signed_in.ok_or(Missed::AuthTime)?;
    let recent = match anew {
        // It is told in whole seconds.
        Some(began) => signed_in.plus(skew).secs() >= began.secs(),
        None => now.since(signed_in) <= Duration::from_secs(*max_age),
    };
    if recent { Ok(()) } else { Err(Missed::Recency) }
}

impl From<Missed> for Failure {
    fn from(missed: Missed) -> Self {
        let (side, told, detail) = match missed {
            Missed::Context => {
                (Side::Browser, Told::TooWeak, "the acr of the ID token is none of those that were asked for")
            }
            Missed::Recency => (
                Side::Issuer,
                Told::TooOld,
                "the auth_time of the ID token is older than max_age, in spite of prompt=login",
            ),
            Missed::AuthTime => {
                (Side::Issuer, Told::OfUnknownAge, "max_age was asked for, and the ID token has no auth_time")
            }
        };
        Self::new(side, told, detail)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_sign_in_is_what_was_asked_for_or_what_is_missing_is_told() {
        let wanted = |acr_values: &str, max_age| StepUp { acr_values: acr_values.into(), max_age };
        let cases = [
            (wanted("", None), false, json!({}), Ok(())),
            (wanted("gold silver", None), false, json!({ "acr": "silver" }), Ok(())),
            (wanted("gold silver", None), false, json!({ "acr": "gold silver" }), Err(Missed::Context)),
            (wanted("gold", None), false, json!({ "acr": "Gold" }), Err(Missed::Context)),
            (wanted("gold", None), false, json!({ "acr": ["gold"] }), Err(Missed::Context)),
            (wanted("gold", None), false, json!({ "acr": "" }), Err(Missed::Context)),
            (wanted("gold", None), false, json!({}), Err(Missed::Context)),
            (wanted("", Some(60)), false, json!({ "auth_time": NOW - 60 }), Ok(())),
            (wanted("", Some(60)), false, json!({ "auth_time": NOW + 30 }), Ok(())),
            (wanted("", Some(60)), false, json!({ "auth_time": NOW - 61 }), Err(Missed::Recency)),
            (wanted("", Some(60)), false, json!({ "auth_time": NOW + 31 }), Err(Missed::AuthTime)),
            (wanted("", Some(60)), false, json!({ "auth_time": NOW.to_string() }), Err(Missed::AuthTime)),
            (wanted("", Some(60)), false, json!({}), Err(Missed::AuthTime)),
            // It began 100 s ago, and the person took their time.
            (wanted("", Some(0)), true, json!({ "auth_time": NOW - 130 }), Ok(())),
            (wanted("", Some(0)), true, json!({ "auth_time": NOW }), Ok(())),
            (wanted("", Some(9)), true, json!({ "auth_time": NOW - 131 }), Err(Missed::Recency)),
            (wanted("", Some(9)), true, json!({}), Err(Missed::AuthTime)),
            (wanted("gold", Some(60)), false, json!({ "acr": "gold", "auth_time": NOW - 1000 }), Err(Missed::Recency)),
        ];
        for (step_up, anew, claims, outcome) in cases {
            let now = UnixTime::from_secs(NOW);
            let anew = anew.then_some(UnixTime::from_secs(NOW - 100));
            let judging = Judging { anew, skew: Duration::from_secs(30), now };
            let Value::Object(map) = claims.clone() else { unreachable!("an object") };
            let read = Claims::read(map).expect("claims of their types");
            assert_eq!(check(&step_up, &read, judging), outcome, "{step_up:?} {judging:?} {claims}");
        }
    }
}
