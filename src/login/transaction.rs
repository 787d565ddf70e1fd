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
use crate::secret::seal::Sealer;
use crate::secret::{random_bytes, same, sha256};
use crate::session::{Jar, SameSite};

/// How long a person may take at the issuer.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// Logins that one browser may have on their way; the oldest make room.
const MAX_PER_BROWSER: usize = 5;
/// Characters of `state` that name the cookie.
const NAME_LENGTH: usize = 8;

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
    /// The context classes that were asked for.
    pub acr: Vec<String>,
    /// How old the sign-in may be, in seconds, if that was asked.
    pub max_age: Option<u64>,
    /// When it began, in milliseconds since the epoch.
    pub began: i64,
}

impl Transaction {
    /// A login that goes on to `return_to`.
    #[must_use]
    pub fn begin(return_to: String, acr: Vec<String>, max_age: Option<u64>, now: UnixTime) -> Self {
        let random = || URL_SAFE_NO_PAD.encode(random_bytes::<32>());
        Self { state: random(), nonce: random(), verifier: random(), return_to, acr, max_age, began: now.millis() }
    }

    /// The PKCE challenge by S256 (RFC 7636, section 4.2).
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha256(self.verifier.as_bytes()))
    }
}

impl Transaction {
    /// The Set-Cookie fields that give it to a browser and take away what that has too much of.
    #[must_use]
    pub fn give(&self, (sealer, jar): (&Sealer, &Jar), same_site: SameSite, headers: &HeaderMap) -> Vec<HeaderValue> {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let sealed = sealer.seal(&purpose(jar), &plain);
        let mut held: Vec<(i64, &str)> = jar
            .beginning(headers, START)
            .map(|(suffix, value)| (open(sealer, jar, value).map_or(0, |held| held.began), suffix))
            .collect();
        held.sort_unstable();
        let too_many = (held.len() + 1).saturating_sub(MAX_PER_BROWSER);
        let cleared = held.iter().take(too_many).filter_map(|(_, suffix)| jar.clear(suffix));
        let set = jar.set(&suffix(&self.state), &sealed, Some(LIFETIME.as_secs()), same_site);
        set.into_iter().chain(cleared).collect()
    }

    /// The transaction that a browser brings back with `state`, in time. That it comes once is for the caller to see to, and
    /// to clear the cookie in any case.
    #[must_use]
    pub fn taken(
        (sealer, jar): (&Sealer, &Jar),
        state: &str,
        headers: &HeaderMap,
        now: UnixTime,
    ) -> Option<Transaction> {
        let value = jar.get(headers, &suffix(state))?;
        let transaction = open(sealer, jar, value)?;
        let in_time = now.since(UnixTime::from_millis(transaction.began)) < LIFETIME;
        (in_time && same(transaction.state.as_bytes(), state.as_bytes())).then_some(transaction)
    }

    /// When it is over.
    #[must_use]
    pub fn ends(&self) -> UnixTime {
        UnixTime::from_millis(self.began).plus(LIFETIME)
    }
}

const START: &str = "-tx-";

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
        Transaction::begin("/x".into(), Vec::new(), None, now)
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
        let mut held = String::from("__Host-tollgate-web-tx-junk=junk");
        let all: Vec<_> = (0..8).map(|n| begin(NOW.plus(Duration::from_secs(n)))).collect();
        for transaction in &all {
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(held.clone()).unwrap())]);
            let set = transaction.give(tools, SameSite::Lax, &headers);
            let gone: Vec<_> = set[1..].iter().map(|set| set.to_str().unwrap().split('=').next().unwrap()).collect();
            let kept = held.split("; ").filter(|crumb| !gone.contains(&crumb.split('=').next().unwrap()));
            let new = set[0].to_str().unwrap().split(';').next().unwrap();
            held = kept.chain([new]).collect::<Vec<_>>().join("; ");
        }
        assert_eq!(held.split("; ").count(), MAX_PER_BROWSER);
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(held).unwrap())]);
        let left = all.iter().filter(|one| Transaction::taken(tools, &one.state, &headers, NOW).is_some()).count();
        assert_eq!(left, MAX_PER_BROWSER);
        assert_eq!(Transaction::taken(tools, &all[0].state, &headers, NOW), None);
    }
}
