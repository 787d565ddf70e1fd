//! What an issuer answers (RFC 7662 section 2.2, RFC 9701 section 5), read strictly.
//!
//! Promises that a token is active only by the JSON value `true`, in an answer that has one reading and no member of a
//! wrong type. Where signed answers are asked for, none is taken that is not signed by the issuer's keys, for this gateway,
//! now, and marked as an introspection answer, so that no other JWT of the issuer passes for one.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::MAX_ANSWER_BYTES;
use super::status::Trouble;
use crate::clock::UnixTime;
use crate::fetch::Response;
use crate::token::claims::Claims;
use crate::token::envelope::Envelope;
use crate::token::json::{self, JsonError, excerpt, kind};
use crate::token::jwks::Keeper;
use crate::token::{Rejection, RejectionCode};

/// The media type of signed answers, and, as its suffix, their `typ`.
const SIGNED: &str = "application/token-introspection+jwt";
/// How old a signed answer may be, beside the skew: it is made for the question.
const MAX_AGE: Duration = Duration::from_secs(60);

/// What the issuer says of a token.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// It is active; this is what is known of it.
    Active(Arc<Claims>),
    /// It is not, or the answer is no good.
    Not(Rejection),
}

/// What signed answers are held to.
pub(super) struct Seal {
    pub(super) issuer: Arc<str>,
    pub(super) client_id: String,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) skew: Duration,
    pub(super) keys: Arc<Keeper>,
}

/// Reads an answer in JSON.
pub(super) fn plain(response: &Response) -> Result<Said, Trouble> {
    expect_success(response)?;
    said(json::object(&response.body))
}

/// Reads an answer that must be signed.
pub(super) async fn signed(response: &Response, seal: &Seal, now: UnixTime) -> Result<Said, Trouble> {
    expect_success(response)?;
    let media_type = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(SIGNED) {
        let detail = format!("the answer is {}, not {SIGNED} (RFC 9701)", excerpt(media_type));
        return Err(Trouble::invalid(detail));
    }
    let text = std::str::from_utf8(&response.body).map_err(|_| Trouble::invalid("the signed answer is not text"))?;
    said(Ok(seal.unseal(text, now).await?))
}

fn expect_success(response: &Response) -> Result<(), Trouble> {
    match response.status {
        StatusCode::OK => Ok(()),
        status => Err(Trouble::status(status)),
    }
}

fn said(members: Result<Map<String, Value>, JsonError>) -> Result<Said, Trouble> {
    let members = match members {
        Ok(members) => members,
        // JSON, but with members that come twice, or too deep: it is known whose fault the refusal is, and that asking
        // again changes nothing.
        Err(JsonError::Refused(error)) if error.is_data() => {
            let detail = format!("the issuer's answer about the token: {error}");
            return Ok(Said::Not(Rejection::new(RejectionCode::MalformedToken, detail)));
        }
        Err(error) => return Err(Trouble::invalid(format!("no introspection answer: {error}"))),
    };
    Ok(match members.get("active") {
        Some(Value::Bool(true)) => match Claims::read_answer(members) {
            Ok(claims) => Said::Active(Arc::new(claims)),
            Err(rejection) => Said::Not(rejection),
        },
        Some(Value::Bool(false)) => inactive("the issuer says that the token is not active"),
        Some(other) => inactive(format!("the issuer's answer has {} as `active`, not true", kind(other))),
        None => inactive("the issuer's answer has no member `active`"),
    })
}

fn inactive(detail: impl Into<std::borrow::Cow<'static, str>>) -> Said {
    Said::Not(Rejection::new(RejectionCode::Inactive, detail))
}

impl Seal {
    /// The answer inside a signed one.
    async fn unseal(&self, text: &str, now: UnixTime) -> Result<Map<String, Value>, Trouble> {
        let refused = |detail: String| Trouble::invalid(format!("the signed answer: {detail}"));
        let (envelope, _, payload) =
            Envelope::open_whole(text, MAX_ANSWER_BYTES).map_err(|why| refused(why.to_string()))?;
        self.expect_type(&envelope).map_err(refused)?;
        let keys = self.keys.keys_for(envelope.header.kid.as_deref()).await.map_err(|why| match why.code {
            RejectionCode::IssuerUnavailable => Trouble::silent(format!("the signed answer: {}", why.detail)),
            _ => refused(why.to_string()),
        })?;
        envelope.verify(&keys).map_err(|why| refused(why.to_string()))?;
        let members = json::object(&payload).map_err(|error| refused(error.to_string()))?;
        let claims = Claims::read(members).map_err(|why| refused(why.to_string()))?;
        self.expect_ours(&claims, now).map_err(refused)?;
        match claims.into_map().remove("token_introspection") {
            Some(Value::Object(members)) => Ok(members),
            Some(other) => Err(refused(format!("token_introspection is {}", kind(&other)))),
            None => Err(refused("there is no token_introspection".into())),
        }
    }

    fn expect_type(&self, envelope: &Envelope<'_>) -> Result<(), String> {
        let typ = envelope.header.typ.as_deref().unwrap_or_default();
        let short = SIGNED.trim_start_matches("application/");
        if !typ.eq_ignore_ascii_case(SIGNED) && !typ.eq_ignore_ascii_case(short) {
            return Err(format!("the typ is {}, not {short}", excerpt(typ)));
        }
        match self.algorithms.contains(&envelope.header.algorithm) {
            true => Ok(()),
            false => {
                Err(format!("the alg is {:?}; this issuer may use {:?}", envelope.header.algorithm, self.algorithms))
            }
        }
    }

    fn expect_ours(&self, claims: &Claims, now: UnixTime) -> Result<(), String> {
        if claims.issuer() != Some(&*self.issuer) {
            return Err(format!("the iss is {}", excerpt(claims.issuer().unwrap_or_default())));
        }
        if !claims.audiences().any(|audience| audience == self.client_id) {
            return Err(format!("the aud does not name {:?}", self.client_id));
        }
        let issued_at = claims.issued_at.ok_or("there is no iat")?;
        let good = issued_at <= now.plus(self.skew) && now <= issued_at.plus(MAX_AGE).plus(self.skew);
        if good { Ok(()) } else { Err("it was not made just now, by its iat".into()) }
    }
}
