//! One login on its way: from the redirect to the issuer until the browser comes back.
//!
//! What has to be remembered travels in the browser itself, in a sealed cookie of its own for each login, so that several
//! tabs can log in at once. `state` names the cookie, and thereby binds the answer to the browser that asked. That an answer
//! works once is for the callback to see to.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::policy::StepUp;
use crate::secret::seal::Sealer;
use crate::secret::{random_bytes, same, sha256};
use crate::session::{Jar, SameSite};

/// How long a person may take at the issuer.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// Logins that one browser may have on their way; the oldest make room.
const MAX_PER_BROWSER: usize = 5;
/// Bytes of their cookies together, likewise. What other sites have a browser begin must not make requests too large for the
/// application, or for a proxy on the way.
const MAX_BYTES_PER_BROWSER: usize = 8 * 1024;
/// Cookies that one response takes away: with more, its head might be too large for a proxy on the way.
const MAX_CLEARED: usize = 16;
/// Characters of `state` that name the cookie.
const NAME_LENGTH: usize = 8;
/// What the suffixes of these cookies begin with.
const START: &str = "-tx-";

/// What a login needs to know when the browser comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// `state`
    pub state: String,
    /// `nonce`
    pub nonce: String,
    /// The PKCE code verifier.
    pub verifier: String,
    /// Path and query to go on to.
    pub return_to: String,
    /// Who is expected, if the request said so.
    #[serde(default)]
    pub login_hint: Option<String>,
    /// What the issuer shall ask, if the request said so.
    #[serde(default)]
    pub prompt: Option<String>,
    /// What the sign-in must be.
    #[serde(default)]
    pub step_up: StepUp,
    /// Whether the person has to sign in anew, however recent the last time was.
    #[serde(default)]
    pub anew: bool,
    /// How many logins led to the same place right before.
    #[serde(default)]
    pub rounds: u32,
    /// When it began, in milliseconds since the epoch.
    pub began: i64,
}

impl Transaction {
    /// A login that goes on to `return_to`.
    #[must_use]
    pub fn begin(return_to: String, step_up: StepUp, now: UnixTime) -> Self {
        let random = || URL_SAFE_NO_PAD.encode(random_bytes::<32>());
        let [state, nonce, verifier] = [random(), random(), random()];
        // No age at all is another word for a new sign-in (OpenID Connect Core 1.0, section 3.1.2.1).
        let (anew, began) = (step_up.max_age == Some(0), now.millis());
        Self { state, nonce, verifier, return_to, login_hint: None, prompt: None, step_up, anew, rounds: 0, began }
    }

    /// The same once more, but for a sign-in that is made anew.
    #[must_use]
    pub fn once_more(&self, now: UnixTime) -> Self {
        let (rounds, login_hint, prompt) = (self.rounds, self.login_hint.clone(), self.prompt.clone());
        Self {
            anew: true,
            rounds,
            login_hint,
            prompt,
            ..Self::begin(self.return_to.clone(), self.step_up.clone(), now)
        }
    }

    /// The PKCE challenge by S256 (RFC 7636, section 4.2).
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha256(self.verifier.as_bytes()))
    }

    /// The Set-Cookie fields that give it to a browser and take away what that has too much of.
    #[must_use]
    pub fn give(&self, (sealer, jar): (&Sealer, &Jar), same_site: SameSite, headers: &HeaderMap) -> Vec<HeaderValue> {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let sealed = sealer.seal(&purpose(jar), &plain);
        let mut held: Vec<(i64, &str, usize)> = jar
            .beginning(headers, START)
            .map(|(suffix, value)| (open(sealer, jar, value).map_or(0, |held| held.began), suffix, value.len()))
            .collect();
        held.sort_unstable();
        let mut bytes = sealed.len();
        let stays = |(_, _, length): &&(i64, &str, usize)| {
            bytes += length;
            bytes <= MAX_BYTES_PER_BROWSER
        };
        let stay = held.iter().rev().take(MAX_PER_BROWSER - 1).take_while(stays).count();
        let too_many = (held.len() - stay).min(MAX_CLEARED);
        let cleared = held.iter().take(too_many).filter_map(|(_, suffix, _)| jar.clear(suffix));
        let set = jar.set(&suffix(&self.state), &sealed, Some(LIFETIME.as_secs()), same_site);
        set.into_iter().chain(cleared).collect()
    }

    /// The transaction that a browser brings back with `state`, in time. That it comes once is for the caller to see to, and
    /// to clear the cookie in any case.
    #[must_use]
    pub fn taken((sealer, jar): (&Sealer, &Jar), state: &str, headers: &HeaderMap, now: UnixTime) -> Option<Self> {
        let value = jar.get(headers, &suffix(state))?;
        let transaction = open(sealer, jar, value)?;
        let in_time = now.since(transaction.began()) < LIFETIME;
        (in_time && same(transaction.state.as_bytes(), state.as_bytes())).then_some(transaction)
    }

    /// When it began.
    #[must_use]
    pub fn began(&self) -> UnixTime {
        UnixTime::from_millis(self.began)
    }

    /// When it is over.
    #[must_use]
    pub fn ends(&self) -> UnixTime {
        self.began().plus(LIFETIME)
    }
}

/// The suffix of the cookie that belongs to `state`.
#[must_use]
pub fn suffix(state: &str) -> String {
    let name: String =
        state.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(NAME_LENGTH).collect();
    format!("{START}{name}")
}

fn purpose(jar: &Jar) -> String {
    jar.name("-tx")
}

fn open(sealer: &Sealer, jar: &Jar, value: &str) -> Option<Transaction> {
    serde_json::from_slice(&sealer.open(&purpose(jar), value)?).ok()
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn begin(now: UnixTime) -> Transaction {
        Transaction::begin("/x".into(), StepUp::default(), now)
    }

    fn cookies(set: &[HeaderValue]) -> HeaderMap {
        let kept = set.iter().map(|set| set.to_str().unwrap()).filter(|set| !set.contains("Max-Age=0"));
        let crumbs: Vec<_> = kept.map(|set| set.split(';').next().unwrap()).collect();
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(crumbs.join("; ")).unwrap())])
    }

    #[test]
    fn an_answer_works_in_its_browser_and_in_time() {
        let (sealer, jar) = (Sealer::new(&[]), Jar::new("web", true));
        let tools = (&sealer, &jar);
        let transaction = begin(NOW);
        let headers = cookies(&transaction.give(tools, SameSite::Lax, &HeaderMap::new()));
        let other = begin(NOW).state;
        assert_eq!(Transaction::taken(tools, &other, &headers, NOW), None, "somebody else's state");
        assert_eq!(Transaction::taken(tools, &transaction.state, &HeaderMap::new(), NOW), None, "another browser");
        let same_name = format!("{}x", transaction.state);
        assert_eq!(Transaction::taken(tools, &same_name, &headers, NOW), None);
        assert_eq!(Transaction::taken(tools, &transaction.state, &headers, NOW.plus(LIFETIME)), None, "too late");
        let moved = (&sealer, &Jar::new("other", true));
        let text = headers[COOKIE].to_str().unwrap().replace("tollgate-web", "tollgate-other");
        let text = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(text).unwrap())]);
        assert_eq!(Transaction::taken(moved, &transaction.state, &text, NOW), None, "of another login");
        assert_eq!(Transaction::taken(tools, &transaction.state, &headers, NOW), Some(transaction.clone()));
    }

    #[test]
    fn a_browser_has_few_logins_on_their_way_and_the_oldest_make_room() {
        let (sealer, jar) = (Sealer::new(&[]), Jar::new("web", true));
        let tools = (&sealer, &jar);
        // In whatever order the browser sends them.
        for newest_first in [false, true] {
            let mut held = vec!["__Host-tollgate-web-tx-junk=junk".to_owned()];
            let all: Vec<_> = (0..8).map(|n| begin(NOW.plus(Duration::from_secs(n)))).collect();
            let sent =
                |held: &[String]| HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(held.join("; ")).unwrap())]);
            for transaction in &all {
                let set = transaction.give(tools, SameSite::Lax, &sent(&held));
                let name = |text: &str| text.split('=').next().unwrap().to_owned();
                let gone: Vec<_> = set[1..].iter().map(|set| name(set.to_str().unwrap())).collect();
                held.retain(|crumb| !gone.contains(&name(crumb)));
                let at = if newest_first { 0 } else { held.len() };
                held.insert(at, set[0].to_str().unwrap().split(';').next().unwrap().to_owned());
            }
            assert_eq!(held.len(), MAX_PER_BROWSER);
            let taken = |one: &Transaction| Transaction::taken(tools, &one.state, &sent(&held), NOW).is_some();
            let left: Vec<bool> = all.iter().map(taken).collect();
            assert_eq!(left, [false, false, false, true, true, true, true, true], "newest first: {newest_first}");
        }
    }

    #[test]
    fn once_more_is_the_same_login_with_secrets_of_its_own() {
        let step_up = StepUp { acr_values: "gold".into(), max_age: Some(60) };
        let hint = Some("bob".to_owned());
        let first = Transaction { rounds: 2, login_hint: hint, ..Transaction::begin("/x".into(), step_up, NOW) };
        let later = NOW.plus(Duration::from_secs(5));
        let again = first.once_more(later);
        for (of_first, of_again) in
            [(&first.state, &again.state), (&first.nonce, &again.nonce), (&first.verifier, &again.verifier)]
        {
            assert_ne!(of_first, of_again);
        }
        let Transaction { state, nonce, verifier, .. } = again.clone();
        // A login that goes in rounds by this way is counted on.
        assert_eq!(again, Transaction { state, nonce, verifier, anew: true, began: later.millis(), ..first });
    }

    /// What a browser that held these cookies holds after such a response.
    fn after(held: &str, set: &[HeaderValue]) -> String {
        let name = |crumb: &str| crumb.split('=').next().unwrap().to_owned();
        let gone: Vec<_> = set[1..].iter().map(|set| name(set.to_str().unwrap())).collect();
        let kept = held.split("; ").filter(|crumb| !crumb.is_empty() && !gone.contains(&name(crumb)));
        kept.chain(set[0].to_str().unwrap().split(';').next()).collect::<Vec<_>>().join("; ")
    }

    /// Another site may have a browser begin logins with long links, one after the other.
    #[test]
    fn logins_on_their_way_are_small_together() {
        let (sealer, jar, mut held) = (Sealer::new(&[]), Jar::new("web", true), String::new());
        for n in 0..8 {
            let return_to = format!("/{}", "x".repeat(2000));
            let long = Transaction::begin(return_to, StepUp::default(), NOW.plus(Duration::from_secs(n)));
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(held.clone()).unwrap())]);
            held = after(&held, &long.give((&sealer, &jar), SameSite::Lax, &headers));
            assert!(held.len() < MAX_BYTES_PER_BROWSER + 200, "{}", held.len());
        }
        assert_eq!(held.split("; ").count(), 2, "the newest, of 3 KB each");
    }
}
