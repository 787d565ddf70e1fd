//! The browser comes back from the issuer: the answer is checked against what was asked, the code is redeemed, the ID
//! token verified, and a session begins. Nothing is looked at before the answer is known to belong to this browser.

use std::sync::atomic::AtomicI64;

use http::HeaderMap;
use serde_json::{Map, Value};

use super::id_token::{self, Expected};
use super::provider::{Answer, ProviderError};
use super::transaction::{self, Transaction};
use super::{Failure, Login, Side, Way};
use crate::clock::UnixTime;
use crate::session::{Session, Tokens};
use crate::token::Rejection;
use crate::token::claims::Claims;

/// The longest answer that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// Parameters that count, once each.
const KNOWN: [&str; 5] = ["code", "state", "iss", "error", "error_description"];

const AGAIN: &str = "This login cannot be completed here: it was begun in another browser, took too long, or is done already. \
                     Please start again.";

/// The parameters of an authorization response (RFC 6749, section 4.1.2).
#[derive(Debug, Clone, Default)]
pub struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// Reads them from a query or a form.
    ///
    /// # Errors
    /// When one that counts comes twice, or there is far too much.
    pub fn read(text: &[u8]) -> Result<Self, Failure> {
        let refused = |detail: &'static str| Failure::of_browser(AGAIN, detail);
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
    /// When it cannot be completed. The transaction is used up in any case in which it was this browser's.
    pub async fn complete(&self, answer: &Parameters, headers: &HeaderMap, now: UnixTime) -> Result<Way, Failure> {
        let missing = || Failure::of_browser(AGAIN, "the answer has no state");
        let state = answer.get("state").ok_or_else(missing)?;
        let unknown = || Failure::of_browser(AGAIN, "no login of this browser is on its way with this state");
        let taken = Transaction::taken((&self.sealer, &self.jar), state, headers, now);
        let transaction = taken.ok_or_else(unknown)?;
        let first = self.shared.once.first("state", &[state], transaction.ends(), now).await;
        if !first.map_err(|error| unkept(&error))? {
            return Err(unknown());
        }
        let done = self.jar.clear(&transaction::suffix(state));
        match self.establish(&transaction, answer, headers, now).await {
            Ok(mut way) => {
                way.cookies.extend(done);
                Ok(way)
            }
            Err(mut failure) => {
                failure.cookies.extend(done);
                Err(failure)
            }
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
        let code = self.code(answer)?;
        let redirect_uri = self.settings.redirect_uri();
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &*redirect_uri),
            ("code_verifier", &*transaction.verifier),
        ];
        let tokens = self.provider.redeem(&grant).await.map_err(|error| match error {
            ProviderError::Refused { .. } => Failure::of_browser(AGAIN, format!("the code was refused: {error}")),
            ProviderError::Unavailable(_) => error.into(),
        })?;
        let id_token = tokens.id_token.as_deref().ok_or_else(|| Failure::of_issuer("the issuer gave no ID token"))?;
        let expected = Expected {
            nonce: Some(&transaction.nonce),
            max_age: transaction.max_age,
            acr: &transaction.acr,
            ..self.expected(&tokens.access_token)
        };
        let claims = self.verified(id_token, &expected, now).await?;
        let session = self.session(claims, &tokens, now).await?;
        let cookies = self.sessions.begin(&self.jar, headers, session).await.map_err(|error| unkept(&error))?;
        Ok(Way { location: transaction.return_to.clone(), cookies })
    }

    /// With several issuers, one could pass its answer off as another's (RFC 9207, section 2.4).
    async fn check_sender(&self, answer: &Parameters) -> Result<(), Failure> {
        let announced = self.provider.endpoints().await?.sends_iss;
        match answer.given("iss") {
            Some(iss) if *iss == *self.issuer => Ok(()),
            // An empty one too: it is not the issuer's.
            Some(_) => Err(Failure::of_browser(AGAIN, "the answer's iss is another issuer")),
            None if announced => {
                Err(Failure::of_browser(AGAIN, "the answer has no iss, which the issuer says it sends"))
            }
            None => Ok(()),
        }
    }

    fn code<'a>(&self, answer: &'a Parameters) -> Result<&'a str, Failure> {
        let Some(error) = answer.get("error") else {
            return answer
                .get("code")
                .ok_or_else(|| Failure::of_browser(AGAIN, "the answer has neither code nor error"));
        };
        let sentence = match error {
            "access_denied" => "The login was cancelled.",
            "login_required" | "consent_required" | "interaction_required" => {
                "The login server needs you to sign in there first."
            }
            _ => "The login server refused the login.",
        };
        let shown: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
        Err(Failure::of_browser(sentence, format!("the issuer answered {shown}")))
    }

    /// What every ID token of this login is held to.
    pub(super) fn expected<'a>(&'a self, access_token: &'a str) -> Expected<'a> {
        Expected {
            issuer: &self.issuer,
            client_id: &self.settings.client_id,
            trusted: &self.settings.trusted_audiences,
            algorithms: &self.algorithms,
            nonce: None,
            max_age: None,
            acr: &[],
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

/// The tokens to keep; an answer without ID token or refresh token leaves the ones before in force.
pub(super) fn kept(answer: &Answer, before: Option<&Tokens>, now: UnixTime) -> Tokens {
    let lifetime = answer.expires_in.filter(|seconds| seconds.is_finite() && (1.0..=1e9).contains(seconds));
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let span = lifetime.map(|seconds| (now.millis(), now.millis().saturating_add((seconds * 1000.0) as i64)));
    let id = answer.id_token.clone().or_else(|| before.map(|tokens| tokens.id.clone()));
    let refresh = answer.refresh_token.clone().or_else(|| before.and_then(|tokens| tokens.refresh.clone()));
    Tokens { id: id.unwrap_or_default(), access: answer.access_token.clone(), refresh, span }
}

fn unkept(error: &dyn std::error::Error) -> Failure {
    let sentence = "The login worked, but it cannot be kept. Please try again in a moment.";
    Failure { side: Side::Store, sentence, detail: error.to_string(), cookies: Vec::new() }
}
