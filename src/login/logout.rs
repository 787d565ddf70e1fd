//! Ending a login: by the person here, by the issuer behind the browser's back, or by a frame of the issuer's.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::{Failure, Login, Side, Told, Way, id_token, return_to, rounds};
use crate::clock::UnixTime;
use crate::session::Who;
use crate::token::claims::Claims;
use crate::token::jwt::Jws;
use crate::token::{Rejection, RejectionCode};

/// Where the issuer sends browsers after a logout.
pub const LOGGED_OUT: &str = "/.tollgate/logged-out";
/// The event of a back-channel logout (OpenID Connect Back-Channel Logout 1.0, section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A logout token is taken so long after it was made, beside the tolerance for clocks.
const MAX_AGE: Duration = Duration::from_secs(300);
/// What logout tokens that were used are remembered as.
const USED: &str = "logout";

/// What a logout leads to.
#[derive(Debug)]
pub struct LoggedOut {
    /// Where the browser goes.
    pub way: Way,
    /// Whose session ended, if one lived, for the log.
    pub subject: Option<String>,
}

impl Login {
    /// Ends the session of this browser, here first, then at the issuer if it has a place for it (OpenID Connect
    /// RP-Initiated Logout 1.0, section 2). Afterwards the browser goes to `return_to`.
    ///
    /// # Errors
    /// When the store does not answer: the session may live on then.
    pub async fn log_out(&self, return_to: &str, headers: &HeaderMap) -> Result<LoggedOut, Failure> {
        let (ended, mut cookies) =
            self.sessions.end(&self.jar, self.own(), headers).await.map_err(|error| unanswered(&error))?;
        cookies.extend(rounds::forgotten(&self.jar, headers));
        let return_to = return_to::safe(return_to, &self.settings.public_url);
        let Some(session) = ended else {
            return Ok(LoggedOut { way: Way { location: return_to, cookies }, subject: None });
        };
        if let Some(refresh) = &session.tokens.refresh {
            self.provider.revoke(refresh).await;
        }
        let state = self.sealer.seal(&self.jar.name("-out"), return_to.as_bytes());
        let at_issuer = self.end_session_url(&session.tokens.id, &state).await;
        let location = at_issuer.unwrap_or_else(|| format!("{LOGGED_OUT}?state={state}"));
        Ok(LoggedOut { way: Way { location, cookies }, subject: Some(session.subject.clone()) })
    }

    async fn end_session_url(&self, id_token: &str, state: &str) -> Option<String> {
        let mut url = self.provider.endpoints().await.ok()?.end_session.clone()?;
        let back = format!("{}{LOGGED_OUT}", self.settings.public_url);
        url.query_pairs_mut().extend_pairs([
            ("id_token_hint", id_token),
            ("client_id", &*self.settings.client_id),
            ("post_logout_redirect_uri", &*back),
            ("state", state),
        ]);
        Some(url.into())
    }

    /// The target that a logout of ours sealed into `state`.
    #[must_use]
    pub fn after_logout(&self, state: &str) -> Option<String> {
        let target = self.sealer.open(&self.jar.name("-out"), state)?;
        String::from_utf8(target).ok()
    }

    /// Ends the sessions that a logout token names (OpenID Connect Back-Channel Logout 1.0, section 2.6). Gives how many
    /// there were; `None` when sessions are in browsers, where nobody can end them.
    ///
    /// # Errors
    /// When the token is not a good one, or cannot be judged now.
    pub async fn back_channel(&self, token: &str, now: UnixTime) -> Result<Option<usize>, Failure> {
        let refused = |rejection: Rejection| {
            let side = if rejection.code == RejectionCode::IssuerUnavailable { Side::Issuer } else { Side::Browser };
            Failure::new(side, Told::NobodyNamed, rejection.to_string())
        };
        let jws = Jws::parse(token).map_err(refused)?;
        if jws.issuer() != &*self.issuer {
            return Err(refused(bad("iss is not the login's issuer")));
        }
        let keys = self.keys.keys_for(jws.envelope.header.kid.as_deref()).await.map_err(refused)?;
        jws.envelope.verify(&keys).map_err(refused)?;
        let (who, jti, until) = self.named_by(&jws, now).map_err(refused)?;
        let (once, used) = (&self.shared.logouts, [&*self.issuer, &*jti]);
        if !once.first(USED, &used, until, now).await.map_err(|error| unanswered(&error))? {
            return Err(refused(bad("the logout token was used before")));
        }
        let ended = self.ended(&who).await;
        if ended.is_err() {
            // The issuer tries again, with the same token.
            once.forget(USED, &used).await;
        }
        ended
    }

    /// Ends the session that a frame of the issuer's names (OpenID Connect Front-Channel Logout 1.0, section 3). Both
    /// parameters are needed: `sid` is what nobody else knows.
    ///
    /// # Errors
    /// When they are not both there, or of another issuer.
    pub async fn front_channel(&self, iss: Option<&str>, sid: Option<&str>) -> Result<Option<usize>, Failure> {
        let (Some(iss), Some(sid)) = (iss, sid) else {
            return Err(Failure::of_browser(Told::NobodyNamed, "iss or sid is missing"));
        };
        if *iss != *self.issuer {
            return Err(Failure::of_browser(Told::NobodyNamed, "iss is another issuer"));
        }
        self.ended(&Who { issuer: iss.to_owned(), subject: None, sid: Some(sid.to_owned()) }).await
    }

    async fn ended(&self, who: &Who) -> Result<Option<usize>, Failure> {
        self.sessions.end_all(who).await.map_err(|error| unanswered(&error))
    }

    /// Whom a verified logout token names, with its `jti`, and until when that must be remembered.
    fn named_by(&self, jws: &Jws<'_>, now: UnixTime) -> Result<(Who, String, UnixTime), Rejection> {
        let claims = &jws.claims;
        check_kind(jws)?;
        if !self.algorithms.contains(&jws.envelope.header.algorithm) {
            return Err(bad("signed by an algorithm that the issuer may not use"));
        }
        // As in ID tokens (section 2.6, step 3), but for `azp`.
        id_token::check_audience(claims, &self.settings.client_id, &self.settings.trusted_audiences)?;
        let until = self.check_age(claims, now)?;
        let jti = claims.string("jti").filter(|jti| !jti.is_empty()).ok_or_else(|| bad("jti is missing"))?;
        // [`Claims`](crate::token::claims::Claims) holds both to be texts.
        let [subject, sid] = ["sub", "sid"].map(|name| claims.string(name).map(str::to_owned));
        let who = Who { issuer: self.issuer.to_string(), subject, sid };
        match (&who.subject, &who.sid) {
            (None, None) => Err(bad("it names neither sub nor sid")),
            _ => Ok((who, jti.to_owned(), until)),
        }
    }

    /// Until when the token is taken, if it is taken now.
    fn check_age(&self, claims: &Claims, now: UnixTime) -> Result<UnixTime, Rejection> {
        let (Some(issued), Some(expires)) = (claims.issued_at, claims.expires_at) else {
            return Err(bad("iat or exp is missing"));
        };
        let oldest = issued.plus(MAX_AGE).plus(self.skew);
        match now >= expires.plus(self.skew) || now >= oldest || issued > now.plus(self.skew) {
            true => Err(bad("it is over, too old, or from the future")),
            false => Ok(oldest),
        }
    }
}

/// What tells a logout token from an ID token (section 2.4, and steps 5 and 6 of section 2.6).
fn check_kind(jws: &Jws<'_>) -> Result<(), Rejection> {
    let typ = jws.envelope.header.typ.as_deref().map(str::to_ascii_lowercase);
    let fits = |typ: &str| matches!(typ.trim_start_matches("application/"), "logout+jwt" | "jwt");
    if !typ.as_deref().is_none_or(fits) {
        return Err(bad("typ is not logout+jwt"));
    }
    if jws.claims.has("nonce") {
        return Err(bad("it has a nonce, as an ID token has"));
    }
    match jws.claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
        true => Ok(()),
        false => Err(bad("events does not tell of a logout")),
    }
}

/// The store does not answer, so the sessions may live on.
fn unanswered(error: &dyn std::error::Error) -> Failure {
    Failure::new(Side::Store, Told::NotLoggedOut, error.to_string())
}

fn bad(detail: &'static str) -> Rejection {
    Rejection::new(RejectionCode::WrongType, detail)
}
