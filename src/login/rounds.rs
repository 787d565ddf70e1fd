//! Logins that lead nowhere: the browser comes back from the issuer, gets a session, and needs a login again at once. After a
//! few such rounds a page says what is wrong, in place of another redirect.
//!
//! What tells of them is a cookie that a finished login leaves for half a minute: where it led, and how many led there right
//! before. It is sealed, so nobody can make one up; who copies one gets a page with a link, no more. Each login counts on from
//! what it was begun with, so tabs that log in side by side are no rounds, and the count ends with the page. A browser that
//! keeps no cookies at all does not come so far: the first answer that it brings from the issuer is refused, without the
//! login's own cookie.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{Failure, Told};
use crate::clock::UnixTime;
use crate::secret::seal::Sealer;
use crate::secret::stand_in;
use crate::session::{Jar, SameSite};

/// So many logins may lead to one page, one right after the other.
const MOST: u32 = 3;
/// A login that begins so soon after the last one is another round.
const SOON: Duration = Duration::from_secs(30);
/// The suffix of the cookie.
const SUFFIX: &str = "-round";

/// The last login that was finished.
#[derive(Serialize, Deserialize)]
struct Round {
    /// A stand-in for the path that it led to.
    to: String,
    /// How many led there, with it.
    count: u32,
    /// When, in milliseconds since the epoch.
    at: i64,
}

/// How many logins led to `return_to` just now, one right after the other.
pub fn before((sealer, jar): (&Sealer, &Jar), return_to: &str, headers: &HeaderMap, now: UnixTime) -> u32 {
    let sealed = jar.get(headers, SUFFIX).and_then(|value| sealer.open(&jar.name(SUFFIX), value));
    let round = sealed.and_then(|plain| serde_json::from_slice::<Round>(&plain).ok());
    let soon = |round: &Round| now.since(UnixTime::from_millis(round.at)) < SOON;
    round.filter(|round| round.to == place(return_to) && soon(round)).map_or(0, |round| round.count)
}

/// Why no login begins after so many. `shown` is how many cookies of a session the browser sent.
pub fn refused(count: u32, shown: usize, jar: &Jar) -> Option<Failure> {
    if count < MOST {
        return None;
    }
    let (told, reason) = match shown {
        0 => (Told::CookieRefused, "no cookie of the session came back"),
        1 => (
            Told::EndsAtOnce,
            "the cookie of the session came back, and there is no session that serves: replicas that do not share their sessions, \
             a clock that is wrong, a sign-in that never is what the route asks for, an issuer that refuses the first refresh",
        ),
        _ => (
            Told::CookieTwice,
            "the cookie of the session came more than once, so none counts: another host or path of this site sets one",
        ),
    };
    let cookies = jar.clear(SUFFIX).into_iter().collect();
    Some(Failure { cookies, ..Failure::of_browser(told, format!("{count} logins in a row led nowhere: {reason}")) })
}

/// The cookie that remembers a login that led to `return_to`, after so many.
pub fn noted((sealer, jar): (&Sealer, &Jar), return_to: &str, before: u32, now: UnixTime) -> Option<HeaderValue> {
    let round = Round { to: place(return_to), count: before.saturating_add(1), at: now.millis() };
    let plain = serde_json::to_vec(&round).ok()?;
    jar.set(SUFFIX, &sealer.seal(&jar.name(SUFFIX), &plain), Some(SOON.as_secs()), SameSite::Lax)
}

/// Takes the memory of rounds from the browser, if it has one: who logged out may log in as often as they like.
pub fn forgotten(jar: &Jar, headers: &HeaderMap) -> Option<HeaderValue> {
    jar.beginning(headers, SUFFIX).next().and_then(|_| jar.clear(SUFFIX))
}

/// The path alone: an application may well add to the query with each round.
fn place(return_to: &str) -> String {
    stand_in(return_to.split(['?', '#']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn sent(cookie: &HeaderValue) -> HeaderMap {
        let crumb = cookie.to_str().expect("ASCII").split(';').next().expect("a cookie");
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(crumb).expect("a cookie"))])
    }

    #[test]
    fn rounds_are_logins_to_one_place_right_after_one_another() {
        let (sealer, jar) = (Sealer::new(&[]), Jar::new("web", true));
        let tools = (&sealer, &jar);
        let set = noted(tools, "/x", 0, NOW).expect("a cookie");
        assert!(set.to_str().expect("ASCII").contains("; Max-Age=30"), "the browser forgets it too: {set:?}");
        let mut headers = HeaderMap::new();
        for count in 0..MOST {
            assert_eq!(before(tools, "/x?a=1", &headers, NOW), count);
            assert!(refused(count, 0, &jar).is_none(), "{count}");
            headers = sent(&noted(tools, "/x", count, NOW).expect("a cookie"));
        }
        assert_eq!(before(tools, "/x", &headers, NOW), MOST);
        assert!(refused(MOST, 0, &jar).is_some_and(|failure| failure.cookies.len() == 1));
        let later = |seconds| NOW.plus(Duration::from_secs(seconds));
        assert_eq!(before(tools, "/x", &headers, later(29)), MOST);
        assert_eq!(before(tools, "/x", &headers, later(30)), 0, "a login after a while");
        assert_eq!(before(tools, "/y", &headers, NOW), 0, "another page");
        assert_eq!(before((&Sealer::new(&[]), &jar), "/x", &headers, NOW), 0, "made up");
        let other = Jar::new("other", true);
        let text = headers[COOKIE].to_str().expect("ASCII").replace("tollgate-web", "tollgate-other");
        let moved = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(text).expect("a cookie"))]);
        assert_eq!(before((&sealer, &other), "/x", &moved, NOW), 0, "of another login");
    }
}
