//! Answers, remembered: good ones for `cache`, never beyond the token's `exp`, bad ones for `negative_cache`.
//!
//! Found by a digest of endpoint and token, inside of what belongs to one issuer. Good and bad ones do not share their
//! room: made-up tokens push no good answer out. Bounded in bytes, and in entries.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use moka::sync::Cache;
use url::Url;

use super::Testimony;
use super::answer::Said;
use crate::clock::UnixTime;
use crate::config::model::Introspection;
use crate::secret::sha256;
use crate::token::Rejection;
use crate::token::claims::Claims;

/// Estimated bytes of good answers.
const GOOD_BYTES: u64 = 32 << 20;
/// Bad answers.
const BAD_ENTRIES: u64 = 16_384;
/// How long one verdict on an outdated answer holds, so that a recovered issuer is soon heard again.
const STALE_STEP: Duration = Duration::from_secs(1);

/// What stands for a token at an endpoint.
pub(super) type Digest = [u8; 32];

pub(super) fn digest(endpoint: &Url, token: &str) -> Digest {
    // No URL holds a line end.
    sha256(format!("{endpoint}\n{token}").as_bytes())
}

/// The moment that something is looked at, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: UnixTime,
    pub(super) uptime: Duration,
}

pub(super) struct Memory {
    cache: Duration,
    negative_cache: Duration,
    serve_stale: Duration,
    good: Cache<Digest, Good, RandomState>,
    bad: Cache<Digest, Bad, RandomState>,
}

#[derive(Clone)]
struct Good {
    claims: Arc<Claims>,
    since: Duration,
    weight: u32,
}

#[derive(Clone)]
struct Bad {
    rejection: Rejection,
    since: Duration,
}

impl Memory {
    pub(super) fn new(settings: &Introspection) -> Self {
        let good = Cache::builder()
            .max_capacity(GOOD_BYTES)
            .weigher(|_, good: &Good| good.weight)
            .time_to_live(settings.cache.saturating_add(settings.serve_stale))
            .build_with_hasher(RandomState::default());
        let bad = Cache::builder()
            .max_capacity(BAD_ENTRIES)
            .time_to_live(settings.negative_cache)
            .build_with_hasher(RandomState::default());
        let Introspection { cache, negative_cache, serve_stale, .. } = *settings;
        Self { cache, negative_cache, serve_stale, good, bad }
    }

    /// Remembers an answer of `bytes` bytes.
    pub(super) fn keep(&self, digest: Digest, said: &Said, bytes: usize, at: Moment) {
        match said {
            Said::Active(claims) => {
                self.bad.invalidate(&digest);
                let good = Good { claims: Arc::clone(claims), since: at.uptime, weight: weight(bytes) };
                self.good.insert(digest, good);
            }
            Said::Not(rejection) => {
                self.good.invalidate(&digest);
                self.bad.insert(digest, Bad { rejection: rejection.clone(), since: at.uptime });
            }
        }
    }

    /// What is remembered, if it still holds.
    pub(super) fn fresh(&self, digest: &Digest, at: Moment) -> Option<Result<Testimony, Rejection>> {
        if let Some(good) = self.good.get(digest).filter(|good| good.age(at) < self.cache && good.lives(at)) {
            return Some(Ok(self.testimony(good.claims, good.since, at)));
        }
        let bad = self.bad.get(digest)?;
        (at.uptime.saturating_sub(bad.since) < self.negative_cache).then_some(Err(bad.rejection))
    }

    /// What an answer of this moment is worth.
    pub(super) fn judge(&self, said: &Said, at: Moment) -> Result<Testimony, Rejection> {
        match said {
            Said::Active(claims) => Ok(self.testimony(Arc::clone(claims), at.uptime, at)),
            Said::Not(rejection) => Err(rejection.clone()),
        }
    }

    /// A good answer that holds no longer, but may serve while there is no other.
    pub(super) fn stale(&self, digest: &Digest, at: Moment) -> Option<Testimony> {
        let good = self.good.get(digest).filter(|good| good.lives(at))?;
        let left = self.cache.saturating_add(self.serve_stale).checked_sub(good.age(at))?;
        if self.serve_stale.is_zero() || left.is_zero() {
            return None;
        }
        Some(Testimony { fresh_until: until(&good.claims, left.min(STALE_STEP), at), claims: good.claims })
    }

    fn testimony(&self, claims: Arc<Claims>, since: Duration, at: Moment) -> Testimony {
        let left = self.cache.saturating_sub(at.uptime.saturating_sub(since));
        Testimony { fresh_until: until(&claims, left, at), claims }
    }
}

impl Good {
    fn age(&self, at: Moment) -> Duration {
        at.uptime.saturating_sub(self.since)
    }

    /// Whether `exp`, if there is one, is yet to come. No skew: who is asked again will know.
    fn lives(&self, at: Moment) -> bool {
        self.claims.expires_at.is_none_or(|expires_at| at.now < expires_at)
    }
}

fn until(claims: &Claims, left: Duration, at: Moment) -> UnixTime {
    let until = at.now.plus(left);
    claims.expires_at.map_or(until, |expires_at| until.min(expires_at))
}

/// Estimated bytes of an answer: a tree of small values.
fn weight(bytes: usize) -> u32 {
    const FIXED: usize = 512;
    u32::try_from(FIXED + 5 * bytes).unwrap_or(u32::MAX)
}
