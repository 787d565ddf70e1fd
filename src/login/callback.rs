//! The browser comes back from the issuer: the answer is checked against what was asked, the code is redeemed, the ID
//! token verified, and a session begins. Nothing is looked at before the answer is known to belong to this browser.

use std::sync::atomic::AtomicI64;

use http::HeaderMap;
use serde_json::{Map, Value};

use super::id_token::{self, Expected};
use super::provider::{Answer, ProviderError};
use super::rounds;
use super::step_up::{self, Judging, Missed};
use super::transaction::{self, Transaction};
use super::{Failure, Login, Side, Told, Way};
use crate::clock::UnixTime;
use crate::session::{KeepError, Session, Tokens};
use crate::token::Rejection;
use crate::token::claims::Claims;

/// The longest answer that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// What answers of which a session came are remembered as.
const USED: &str = "state";
/// Parameters that count, once each.
const KNOWN: [&str; 5] = ["code", "state", "iss", "error", "error_description"];

/// The parameters of an authorization response (RFC 6749, section 4.1.2).
#[derive(Debug, Clone, Default)]
pub struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// Reads them from a query or a form.
    ///
    /// # Errors
    /// When one that counts comes twice, or there is far too much.
    pub fn read(text: &[u8]) -> Result<Self, Failure> {
        let refused = |detail: &'static str| Failure::of_browser(Told::NotHere, detail);
        if text.len() > MAX_BYTES {
            return Err(refused("the answer is too long"));
        }
        let mut found: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            let Some(known) = KNOWN.into_iter().find(|known| *known == name) else { continue };
            if found.iter().any(|(seen, _)| *seen == known) {
                return Err(refused("a parameter of the answer comes twice"));
            }
            found.push((known, value.into_owned()));
        }
        Ok(Self(found))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// Empty ones too.
    fn given(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl Login {
    /// Completes a login with the issuer's answer.
    ///
    /// # Errors
    /// When it cannot be completed. The browser is done with the transaction in any case in which it was its own; what is
    /// remembered are those of which something came.
    pub async fn complete(&self, answer: &Parameters, headers: &HeaderMap, now: UnixTime) -> Result<Way, Failure> {
        let missing = || Failure::of_browser(Told::NotHere, "the answer has no state");
        let state = answer.get("state").ok_or_else(missing)?;
        let taken = Transaction::taken(self.tools(), state, headers, now);
        let transaction = taken.ok_or_else(|| self.unknown(state, headers))?;
        let first = self.shared.answers.first(USED, &[state], transaction.ends(), now).await;
        if !first.map_err(|error| unkept(&error))? {
            return Err(self.unknown(state, headers));
        }
        let done = self.jar.clear(&transaction::suffix(state));
        match self.establish(&transaction, answer, headers, now).await {
            Ok(mut way) => {
                way.cookies.extend(done);
                Ok(way)
            }
            Err(mut failure) => {
                // Whoever can begin logins could fill the memory with answers of which nothing came.
                self.shared.answers.forget(USED, &[state]).await;
                failure.cookies.extend(done);
                (failure.return_to, failure.step_up) = (Some(transaction.return_to), transaction.step_up);
                Err(failure)
            }
        }
    }

    /// No login with this `state` is on its way in this browser.
    fn unknown(&self, state: &str, headers: &HeaderMap) -> Failure {
        match self.jar.beginning(headers, &transaction::suffix(state)).next() {
            Some(_) => {
                Failure::of_browser(Told::NotHere, "the login with this state is done, too old, or of another key")
            }
            None => Failure::of_browser(Told::NoCookie, "the cookie of the login with this state did not come back"),
        }
    }

    async fn establish(
        &self,
        transaction: &Transaction,
        answer: &Parameters,
        headers: &HeaderMap,
        now: UnixTime,
    ) -> Result<Way, Failure> {
        self.check_sender(answer).await?;
        let tokens = self.redeemed(self.code(answer)?, transaction).await?;
        let id_token = tokens.id_token.as_deref().ok_or_else(|| Failure::of_issuer("the issuer gave no ID token"))?;
        let expected = Expected { nonce: Some(&transaction.nonce), ..self.expected(&tokens.access_token) };
        let claims = self.verified(id_token, &expected, now).await?;
        match self.reached(transaction, &claims, now) {
            Err(Missed::Recency) if !transaction.anew => return self.send(&transaction.once_more(now), headers).await,
            reached => reached?,
        }
        let session = self.session(claims, &tokens, now).await?;
        let mut cookies = self.sessions.begin(&self.jar, headers, session).await.map_err(|error| match error {
            KeepError::Store(error) => unkept(&error),
            KeepError::TooLarge { .. } => Failure::new(Side::Issuer, Told::TooLarge, error.to_string()),
        })?;
        cookies.extend(rounds::noted(self.tools(), &transaction.return_to, transaction.rounds, now));
        Ok(Way { location: transaction.return_to.clone(), cookies })
    }

    /// The tokens for a code, which only the browser that began the login could bring.
    async fn redeemed(&self, code: &str, transaction: &Transaction) -> Result<Answer, Failure> {
        let redirect_uri = self.settings.redirect_uri();
        let mut grant = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &*redirect_uri),
            ("code_verifier", &*transaction.verifier),
        ];
        grant.extend(self.resources());
        self.provider.redeem(&grant).await.map_err(|error| match error {
            ProviderError::Refused { .. } => {
                Failure::of_browser(Told::NotHere, format!("the code was refused: {error}"))
            }
            ProviderError::Unavailable(_) => error.into(),
        })
    }

    /// Whether a sign-in is what the request needs, and what the login asks of every one. The clocks of two machines are not
    /// as one, so the age that the login allows has a tolerance; that of a route is the route's own.
    fn reached(&self, transaction: &Transaction, claims: &Claims, now: UnixTime) -> Result<(), Missed> {
        let mut own = self.own_wish(&transaction.step_up);
        own.max_age = own.max_age.map(|seconds| seconds.saturating_add(self.skew.as_secs()));
        let judging = Judging { anew: transaction.anew.then(|| transaction.began()), skew: self.skew, now };
        [&transaction.step_up, &own].into_iter().try_for_each(|wanted| step_up::check(wanted, claims, judging))
    }

    /// Whether this is the answer to a login of this one that is on its way in the browser. Logins that share a callback are
    /// told apart by it.
    #[must_use]
    pub fn awaits(&self, answer: &Parameters, headers: &HeaderMap, now: UnixTime) -> bool {
        answer.get("state").is_some_and(|state| Transaction::taken(self.tools(), state, headers, now).is_some())
    }

    /// With several issuers, one could pass its answer off as another's (RFC 9207, section 2.4).
    async fn check_sender(&self, answer: &Parameters) -> Result<(), Failure> {
        let must = self.settings.shares_callback || self.provider.endpoints().await?.sends_iss;
        match answer.given("iss") {
            Some(iss) if *iss == *self.issuer => Ok(()),
            // An empty one too: it is not the issuer's.
            Some(_) => Err(Failure::of_browser(Told::NotHere, "the answer's iss is another issuer")),
            None if must => {
                Err(Failure::of_browser(Told::NotHere, "the answer has no iss, which the issuer says it sends"))
            }
            None => Ok(()),
        }
    }

    fn code<'a>(&self, answer: &'a Parameters) -> Result<&'a str, Failure> {
        let Some(error) = answer.get("error") else {
            return answer
                .get("code")
                .ok_or_else(|| Failure::of_browser(Told::NotHere, "the answer has neither code nor error"));
        };
        let told = match error {
            "access_denied" => Told::Cancelled,
            "login_required" | "consent_required" | "interaction_required" => Told::SignInThere,
            // OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
            "unmet_authentication_requirements" => Told::TooWeak,
            _ => Told::Refused,
        };
        let shown: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
        Err(Failure::of_browser(told, format!("the issuer answered {shown}")))
    }

    /// What every ID token of this login is held to.
    pub(super) fn expected<'a>(&'a self, access_token: &'a str) -> Expected<'a> {
        Expected {
            issuer: &self.issuer,
            client_id: &self.settings.client_id,
            trusted: &self.settings.trusted_audiences,
            algorithms: &self.algorithms,
            nonce: None,
            access_token: Some(access_token),
            skew: self.skew,
        }
    }

    /// The claims of an ID token, verified by the issuer's keys, which are asked for once more when one is not known.
    pub(super) async fn verified(
        &self,
        token: &str,
        expected: &Expected<'_>,
        now: UnixTime,
    ) -> Result<Claims, Failure> {
        let refused = |rejection: Rejection| Failure::of_issuer(format!("the ID token is refused: {rejection}"));
        let kid = id_token::kid(token).map_err(refused)?;
        let keys = self.keys.keys_for(kid.as_deref()).await.map_err(refused)?;
        id_token::verify(token, &keys, expected, now).map_err(refused)
    }

    async fn session(&self, claims: Claims, tokens: &Answer, now: UnixTime) -> Result<Session, Failure> {
        let subject = claims.string("sub").unwrap_or_default().to_owned();
        let sid = claims.string("sid").map(str::to_owned);
        let mut claims = claims.into_map();
        if self.settings.userinfo {
            self.add_userinfo(&mut claims, &subject, &tokens.access_token).await?;
        }
        Ok(Session {
            login: self.settings.name.to_string(),
            issuer: self.issuer.to_string(),
            subject,
            sid,
            claims,
            scopes: tokens.scope.clone().unwrap_or_else(|| self.settings.scopes.join(" ")),
            tokens: kept(tokens, None, now),
            began: now.millis(),
            seen: AtomicI64::new(now.millis()),
            refreshes: 0,
        })
    }

    /// Claims that the ID token lacks. The answer must be about the same person (OpenID Connect Core 1.0, section 5.3.2).
    pub(super) async fn add_userinfo(
        &self,
        claims: &mut Map<String, Value>,
        subject: &str,
        token: &str,
    ) -> Result<(), Failure> {
        let info = self.provider.userinfo(token).await?;
        if info.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(Failure::of_issuer("userinfo is about somebody else than the ID token"));
        }
        let info = Claims::read(info).map_err(|rejection| Failure::of_issuer(format!("userinfo: {rejection}")))?;
        for (name, value) in info.into_map() {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }
}

/// The tokens to keep; an answer without ID token or refresh token leaves the ones before in force. A refresh token without
/// a character is none.
pub(super) fn kept(answer: &Answer, before: Option<&Tokens>, now: UnixTime) -> Tokens {
    let lifetime = answer.expires_in.filter(|seconds| seconds.is_finite() && (1.0..=1e9).contains(seconds));
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let ends = lifetime.map(|seconds| now.millis().saturating_add((seconds * 1000.0) as i64));
    let id = answer.id_token.clone().or_else(|| before.map(|tokens| tokens.id.clone()));
    let refresh = answer.refresh_token.clone().filter(|token| !token.is_empty());
    let refresh = refresh.or_else(|| before.and_then(|tokens| tokens.refresh.clone()));
    Tokens { id: id.unwrap_or_default(), access: answer.access_token.clone(), refresh, given: now.millis(), ends }
}

fn unkept(error: &dyn std::error::Error) -> Failure {
    Failure::new(Side::Store, Told::NotKept, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn answer(expires_in: Option<f64>) -> Answer {
        Answer {
            access_token: "access".into(),
            token_type: "Bearer".into(),
            expires_in,
            refresh_token: None,
            id_token: None,
            scope: None,
        }
    }

    #[test]
    fn what_an_answer_leaves_out_stays_as_it_was() {
        let first = Answer { refresh_token: Some("refresh".into()), id_token: Some("id".into()), ..answer(None) };
        let before = kept(&first, None, NOW);
        let after = kept(&Answer { access_token: "other".into(), ..answer(None) }, Some(&before), NOW);
        assert_eq!((&*after.access, &*after.id, after.refresh.as_deref()), ("other", "id", Some("refresh")));
        let rotated = Answer { refresh_token: Some("next".into()), id_token: Some("new".into()), ..answer(None) };
        let after = kept(&rotated, Some(&before), NOW);
        assert_eq!((&*after.access, &*after.id, after.refresh.as_deref()), ("access", "new", Some("next")));
    }

    #[test]
    fn a_lifetime_that_makes_no_sense_is_none() {
        for (lifetime, left) in [(1.0, Some(1_000)), (2.5, Some(2_500)), (1e9, Some(1_000_000_000_000))] {
            assert_eq!(kept(&answer(Some(lifetime)), None, NOW).ends, left.map(|left| NOW.millis() + left));
        }
        for lifetime in [0.0, 0.9, -1.0, 1.1e9, f64::MAX, f64::INFINITY, f64::NAN] {
            assert_eq!(kept(&answer(Some(lifetime)), None, NOW).ends, None, "{lifetime}");
        }
    }
}
