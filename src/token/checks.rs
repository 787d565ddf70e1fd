//! Whether a well-formed token is a good access token of one issuer: its kind, audience, times and signature.
//!
//! Promises that a token is accepted only if its `iss` is this issuer's, byte by byte, its `alg` is allowed here *and*
//! fits the key, its `typ` is an access token's, one of the audiences is ours, it has not expired, and one of the
//! issuer's own keys signed it. What needs no key comes first ([`IssuerChecks::check`]), so junk costs no signature.
//! Pure: the time and the keys come in.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use super::claims::Claims;
use super::json::excerpt;
use super::jwt::Jws;
use super::key::KeySet;
use super::principal::Principal;
use super::{Rejection, RejectionCode, profile};
use crate::clock::UnixTime;
use crate::config::model::{Issuer, Profile, TokenType};

/// Lifetime that written claims get when they have no `exp`.
const WRITTEN_LIFETIME: Duration = Duration::from_secs(3600);

/// The `typ` of tokens that Okta makes for its own APIs; nobody else can rely on what is in them.
const OKTA_INTERNAL: &str = "okta-internal-at+jwt";

/// When a token expires of which the issuer does not say it: at the end of the year 9999.
const NEVER: UnixTime = UnixTime::from_secs(253_402_300_799);

/// What one issuer's tokens are held to; made once for a snapshot.
#[derive(Debug, Clone)]
pub struct IssuerChecks {
    position: usize,
    issuer: Arc<str>,
    audiences: Vec<String>,
    profile: Profile,
    token_types: Vec<TokenType>,
    algorithms: Vec<Algorithm>,
    skew: Duration,
    required: Vec<String>,
}

impl IssuerChecks {
    /// The checks of the issuer at this position of [`crate::config::model::Config::issuers`].
    #[must_use]
    pub fn new(issuer: &Issuer, position: usize) -> Self {
        Self {
            position,
            issuer: Arc::clone(&issuer.issuer),
            audiences: issuer.audiences.clone(),
            profile: issuer.profile,
            token_types: issuer.token_types.clone(),
            algorithms: issuer.algorithms.clone(),
            skew: issuer.clock_skew,
            required: issuer.required_claims.clone(),
        }
    }

    /// The `iss` that these checks belong to.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Everything about the token that needs no key.
    ///
    /// # Errors
    /// The first thing that does not hold, in the order issuer, algorithm, type, then as [`Self::principal_from_claims`].
    pub fn check(&self, jws: &Jws<'_>, now: UnixTime) -> Result<(), Rejection> {
        self.check_issuer(&jws.claims)?;
        self.check_algorithm(jws.envelope.header.algorithm)?;
        self.check_type(jws.envelope.header.typ.as_deref(), &jws.claims)?;
        self.check_claims(&jws.claims, now)
    }

    /// The signature, with the keys of this issuer. Gives the id of the key that made it.
    ///
    /// # Errors
    /// `unknown_key`, `algorithm_refused` when the key with the token's `kid` is of another kind, or `bad_signature`.
    pub fn verify(&self, jws: &Jws<'_>, keys: &KeySet) -> Result<[u8; 32], Rejection> {
        jws.envelope.verify(keys)
    }

    /// Who a token speaks for that was checked and verified.
    #[must_use]
    pub fn principal(&self, jws: Jws<'_>) -> Principal {
        self.principal_of(jws.claims)
    }

    /// What the issuer says of an opaque token that is active (RFC 7662 section 2.2): `iss`, `exp`, `nbf` and `iat` where
    /// they are there, `aud` unless it may be absent, and that it is no other kind of token.
    ///
    /// # Errors
    /// The first thing that does not hold, in the order issuer, kind, audience, times, required claims, binding.
    pub fn check_answer(&self, claims: &Claims, audience_optional: bool, now: UnixTime) -> Result<(), Rejection> {
        self.check_answer_about_jwt(claims, now)?;
        let audience = profile::audience_claim_of(self.profile, claims);
        if !audience_optional && !claims.has(audience) {
            return Err(missing(audience));
        }
        self.check_required(claims)
    }

    /// What the issuer says of an active JWT, which was checked itself: it may leave out what stands in the token, but
    /// must not say otherwise.
    ///
    /// # Errors
    /// As [`Self::check_answer`].
    pub fn check_answer_about_jwt(&self, claims: &Claims, now: UnixTime) -> Result<(), Rejection> {
        if claims.has("iss") {
            self.check_issuer(claims)?;
        }
        if let Some(why) = profile::other_kind(self.profile, claims) {
            return Err(Rejection::new(RejectionCode::WrongType, format!("no access token: {why}")));
        }
        if claims.has(profile::audience_claim_of(self.profile, claims)) {
            self.check_audience(claims)?;
        }
        self.check_times(claims, claims.expires_at.unwrap_or(NEVER), now)?;
        check_binding(claims)
    }

    /// Who an opaque token speaks for, by an answer that was checked.
    #[must_use]
    pub fn principal_of_answer(&self, claims: Claims) -> Principal {
        let client = claims.string("client_id").map(Box::from);
        let expires_at = claims.expires_at.unwrap_or(NEVER);
        let principal = self.principal_of(claims);
        Principal { client: client.or(principal.client), expires_at, ..principal }
    }

    /// Until when a verdict about the principal holds: `exp` and the tolerance.
    #[must_use]
    pub fn fresh_until(&self, principal: &Principal) -> UnixTime {
        principal.expires_at.plus(self.skew)
    }

    /// The claim that names what a token is meant for: `aud`, or `client_id` in the profile whose tokens need not have it.
    #[must_use]
    pub fn audience_claim(&self) -> &'static str {
        profile::audience_claim(self.profile)
    }

    /// What tokens must be meant for: one of these.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// As they are for what stands for a session of a login, whose ID token is for this client.
    #[must_use]
    pub fn of_sessions(&self, client_id: &str) -> Self {
        Self { audiences: vec![client_id.to_owned()], ..self.clone() }
    }

    /// Who written claims speak for (`explain --claims`, `[[tests]]`): as a token with these claims, a good header and
    /// a good signature would. Absent `iss`, `exp` and audience get good values.
    ///
    /// # Errors
    /// The first thing that does not hold, in the order types, issuer, audience, times, required claims, binding.
    pub fn principal_from_claims(&self, mut claims: Map<String, Value>, now: UnixTime) -> Result<Principal, Rejection> {
        let has_audience = claims.contains_key("aud");
        let mut default = |name: &str, value: Value| {
            claims.entry(name).or_insert(value);
        };
        default("iss", json!(*self.issuer));
        if !has_audience {
            default(self.audience_claim(), json!(self.audiences.first()));
        }
        default("exp", json!(now.plus(WRITTEN_LIFETIME).secs()));
        let claims = Claims::read(claims)?;
        self.check_issuer(&claims)?;
        self.check_claims(&claims, now)?;
        Ok(self.principal_of(claims))
    }

    fn principal_of(&self, claims: Claims) -> Principal {
        Principal {
            issuer: self.position,
            issuer_id: Arc::clone(&self.issuer),
            subject: claims.string("sub").map(Box::from),
            client: profile::client(self.profile, &claims).map(Box::from),
            scopes: profile::scopes(self.profile, &claims),
            audiences: profile::audiences(self.profile, &claims).into_iter().map(Box::from).collect(),
            expires_at: claims.expires_at.unwrap_or(UnixTime::from_millis(0)),
            binding: claims.binding,
            claims: claims.into_map(),
        }
    }

    fn check_issuer(&self, claims: &Claims) -> Result<(), Rejection> {
        match claims.issuer() {
            Some(issuer) if *issuer == *self.issuer => Ok(()),
            Some(other) => {
                let detail = format!("the iss is {}, not {:?}", excerpt(other), self.issuer);
                Err(Rejection::new(RejectionCode::UnknownIssuer, detail))
            }
            None => Err(missing("iss")),
        }
    }

    fn check_algorithm(&self, algorithm: Algorithm) -> Result<(), Rejection> {
        if self.algorithms.contains(&algorithm) {
            return Ok(());
        }
        let detail = format!("the alg is {algorithm:?}; this issuer may use {:?}", self.algorithms);
        Err(Rejection::new(RejectionCode::AlgorithmRefused, detail))
    }

    /// An access token shows itself by its `typ`; where the accepted `typ` says nothing, by its claims (RFC 8725
    /// section 3.11, RFC 9068 section 4).
    fn check_type(&self, typ: Option<&str>, claims: &Claims) -> Result<(), Rejection> {
        let typ = typ.map(media_type);
        let typ = typ.as_deref();
        if !profile::accepts(&self.token_types, typ) {
            return Err(Rejection::new(RejectionCode::WrongType, self.wrong_type(typ, claims)));
        }
        match profile::wrong_kind(self.profile, claims).filter(|_| profile::is_generic(typ)) {
            Some(why) => Err(Rejection::new(RejectionCode::WrongType, self.wrong_kind(&why, typ, claims))),
            None => Ok(()),
        }
    }

    fn wrong_type(&self, typ: Option<&str>, claims: &Claims) -> String {
        let found = typ.map_or_else(|| "there is no typ".to_owned(), |typ| format!("the typ is {}", excerpt(typ)));
        let accepted: Vec<&str> = self.token_types.iter().map(type_name).collect();
        let accepted = accepted.join(", ");
        let advice = match (self.other_profile(typ, claims), profile::mark(claims), typ) {
            (Some(profile), ..) => looks_like(profile),
            (None, Some(mark), _) => format!("it is probably no access token: {mark}"),
            (None, None, Some(OKTA_INTERNAL)) => {
                "tokens of Okta's org authorization server are for Okta alone: use a custom authorization server".into()
            }
            (None, None, typ) => format!("token_types = [{}] would take it", excerpt(typ.unwrap_or("absent"))),
        };
        format!("{found}; the profile {} takes {accepted} here; {advice}", self.profile.as_str())
    }

    fn wrong_kind(&self, why: &str, typ: Option<&str>, claims: &Claims) -> String {
        let advice = self.other_profile(typ, claims).map(|profile| format!("; {}", looks_like(profile)));
        format!("no access token: {why}{}", advice.unwrap_or_default())
    }

    /// A profile that would take a token of this type.
    fn other_profile(&self, typ: Option<&str>, claims: &Claims) -> Option<Profile> {
        profile::fitting(typ, claims).filter(|profile| *profile != self.profile)
    }

    fn check_claims(&self, claims: &Claims, now: UnixTime) -> Result<(), Rejection> {
        self.check_audience(claims)?;
        let expires_at = claims.expires_at.ok_or_else(|| missing("exp"))?;
        self.check_times(claims, expires_at, now)?;
        self.check_required(claims)?;
        check_binding(claims)
    }

    fn check_required(&self, claims: &Claims) -> Result<(), Rejection> {
        self.required.iter().find(|name| !claims.states(name)).map_or(Ok(()), |name| Err(missing(name)))
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), Rejection> {
        let name = profile::audience_claim_of(self.profile, claims);
        if !claims.has(name) {
            return Err(missing(name));
        }
        let audiences = profile::audiences(self.profile, claims);
        if audiences.iter().any(|audience| self.audiences.iter().any(|ours| ours == audience)) {
            return Ok(());
        }
        let found: Vec<String> = audiences.iter().take(4).map(|audience| excerpt(audience)).collect();
        let detail =
            format!("the {name} is {}; this issuer's tokens must name one of {:?}", found.join(", "), self.audiences);
        Err(Rejection::new(RejectionCode::WrongAudience, detail))
    }

    fn check_times(&self, claims: &Claims, expires_at: UnixTime, now: UnixTime) -> Result<(), Rejection> {
        if now >= expires_at.plus(self.skew) {
            let detail = format!(
                "exp was {} s ago ({} s of skew are tolerated)",
                now.since(expires_at).as_secs(),
                self.skew.as_secs()
            );
            return Err(Rejection::new(RejectionCode::Expired, detail));
        }
        let latest = now.plus(self.skew);
        for (name, moment) in [("nbf", claims.not_before), ("iat", claims.issued_at)] {
            if let Some(moment) = moment.filter(|moment| *moment > latest) {
                let ahead = moment.since(now).as_secs();
                let detail =
                    format!("{name} is {ahead} s in the future ({} s of skew are tolerated)", self.skew.as_secs());
                return Err(Rejection::new(RejectionCode::NotYetValid, detail));
            }
        }
        Ok(())
    }
}

fn check_binding(claims: &Claims) -> Result<(), Rejection> {
    match claims.binding.is_some_and(|binding| binding.is_unknown()) {
        true => Err(Rejection::new(
            RejectionCode::BadBinding,
            "the token is bound to its sender (cnf) in a way that is not known here: neither jkt nor x5t#S256",
        )),
        false => Ok(()),
    }
}

fn missing(name: &str) -> Rejection {
    Rejection::new(RejectionCode::MissingClaim, format!("the token has no {name}"))
}

/// A `typ` as it is compared: without case, and without the `application/` that RFC 7515 section 4.1.9 lets go.
fn media_type(typ: &str) -> String {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").map(str::to_owned).unwrap_or(typ)
}

fn looks_like(profile: Profile) -> String {
    format!("it looks like a token for profile = {:?}", profile.as_str())
}

fn type_name(accepted: &TokenType) -> &str {
    match accepted {
        TokenType::Named(name) => name,
        TokenType::Absent => "no typ at all",
    }
}

#[cfg(test)]
#[path = "checks/tests.rs"]
mod tests;
