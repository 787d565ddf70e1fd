//! When the next fetch is due: what the answer says of its own freshness, within our bounds, or a growing pause.

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

/// Keys are fetched anew no sooner than this, whatever the issuer says: it may say 0.
pub(super) const SOONEST: Duration = Duration::from_secs(60);
/// And no later than this, so that a key that was withdrawn does not serve for days.
pub(super) const LATEST: Duration = Duration::from_secs(60 * 60);
/// When the issuer says nothing.
const USUAL: Duration = Duration::from_secs(10 * 60);

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long an answer with these headers is fresh (RFC 9111 section 4.2), within our bounds.
///
/// `max-age` less `Age`; `no-cache` and `no-store` are 0. A value that is no number counts as 0 as well (section 4.2.1
/// lets a stale reading win), and of several the smallest.
pub(in crate::token) fn lifetime(headers: &HeaderMap) -> Duration {
    let stated = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|directive| max_age(&String::from_utf8_lossy(directive)))
        .min();
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
    let stated = stated.map_or(USUAL, |seconds| Duration::from_secs(seconds.saturating_sub(age)));
    stated.clamp(SOONEST, LATEST)
}

/// Seconds that one directive of `Cache-Control` grants; `None` when it is about something else.
fn max_age(directive: &str) -> Option<u64> {
    let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
    let name = name.trim();
    if name.eq_ignore_ascii_case("max-age") {
        Some(value.trim().trim_matches('"').parse().unwrap_or(0))
    } else {
        // `no-cache="field"` restricts one field only.
        let uncacheable = ["no-cache", "no-store"].iter().any(|no| name.eq_ignore_ascii_case(no));
        (uncacheable && value.is_empty()).then_some(0)
    }
}

/// When to fetch anew what is fresh for `lifetime`: up to a tenth sooner, so that replicas started together drift
/// apart, yet never sooner than [`SOONEST`]. `dice` is random.
pub(in crate::token) fn refresh(lifetime: Duration, dice: u8) -> Duration {
    (lifetime - lifetime / 10 * u32::from(dice) / 255).max(SOONEST)
}

/// How long to wait after so many failures in a row (at least one): 1 s, doubling up to 60 s, less up to a quarter.
pub(in crate::token) fn backoff(failures: u32, dice: u8) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    let pause = (FIRST_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE);
    pause - pause / 4 * u32::from(dice) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control_is_honoured_within_bounds() {
        let cases: &[(&[(&str, &str)], u64)] = &[
            (&[], 600),
            (&[("cache-control", "public")], 600),
            (&[("cache-control", "public, max-age=300")], 300),
            (&[("cache-control", "Max-Age = \"300\" ,must-revalidate")], 300),
            (&[("cache-control", "max-age=0")], 60),
            (&[("cache-control", "max-age=59")], 60),
            (&[("cache-control", "max-age=86400")], 3600),
            (&[("cache-control", "max-age=99999999999999999999999999")], 60),
            (&[("cache-control", "max-age=-1")], 60),
            (&[("cache-control", "s-maxage=100")], 600),
            (&[("cache-control", "max-age=900, max-age=300")], 300),
            (&[("cache-control", "max-age=900"), ("cache-control", "max-age=300")], 300),
            (&[("cache-control", "no-cache, no-store")], 60),
            (&[("cache-control", "no-cache=\"set-cookie\", max-age=300")], 300),
            (&[("cache-control", "max-age=900"), ("age", "300")], 600),
            (&[("cache-control", "max-age=900"), ("age", "9000")], 60),
            (&[("cache-control", "max-age=900"), ("age", "soon")], 900),
        ];
        for (fields, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in *fields {
                headers.append(http::HeaderName::from_static(name), value.parse().unwrap());
            }
            assert_eq!(lifetime(&headers).as_secs(), *expected, "{fields:?}");
        }
    }

    #[test]
    fn a_refresh_comes_a_little_early_but_never_too_soon() {
        for (lifetime, dice, expected) in [(600, 0, 600), (600, 255, 540), (60, 255, 60), (3600, 255, 3240)] {
            assert_eq!(refresh(Duration::from_secs(lifetime), dice).as_secs(), expected);
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        for (failures, longest) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (u32::MAX, 60)] {
            assert_eq!(backoff(failures, 0).as_secs(), longest);
            assert_eq!(backoff(failures, 255), Duration::from_secs(longest) * 3 / 4);
        }
    }
}
