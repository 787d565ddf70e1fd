//! Nonces for proofs (RFC 9449 section 9): the gateway's own clock in a form that nobody else can write.
//!
//! A nonce is the number of a period and its HMAC, so nothing has to be remembered, and every replica with the same secret
//! knows it. It is good in its own period and in the next one; a proof with an older one is asked for again.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use crate::clock::UnixTime;
use crate::secret::same;

/// Bytes of the HMAC that a nonce carries.
const TAG: usize = 16;

/// Makes nonces and knows them again.
pub struct Nonces {
    key: hmac::Key,
    period: i64,
}

/// How a nonce stands to the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Of the current period.
    Current,
    /// Of the period before: good for the last time.
    Last,
}

impl Nonces {
    /// Nonces under `key`, which change every `period`.
    #[must_use]
    pub fn new(key: &[u8], period: Duration) -> Self {
        let period = i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), period }
    }

    /// The nonce of this moment.
    #[must_use]
    pub fn at(&self, now: UnixTime) -> HeaderValue {
        let text = URL_SAFE_NO_PAD.encode(self.nonce(self.number(now)));
        HeaderValue::try_from(text).expect("base64url is visible ASCII")
    }

    /// How old a nonce is; `None` when it is not ours, or too old. One of the next period is of a replica whose clock is
    /// a little ahead.
    #[must_use]
    pub fn age(&self, nonce: &str, now: UnixTime) -> Option<Age> {
        let bytes: [u8; 8 + TAG] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let [a, b, c, d, e, f, g, h, ..] = bytes;
        let number = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        if !same(&bytes, &self.nonce(number)) {
            return None;
        }
        match self.number(now).checked_sub(number)? {
            -1 | 0 => Some(Age::Current),
            1 => Some(Age::Last),
            _ => None,
        }
    }

    fn number(&self, now: UnixTime) -> i64 {
        now.millis().div_euclid(self.period)
    }

    fn nonce(&self, number: i64) -> [u8; 8 + TAG] {
        let number = number.to_be_bytes();
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"tollgate dpop nonce\n");
        context.update(&number);
        let mut nonce = [0; 8 + TAG];
        nonce[..8].copy_from_slice(&number);
        nonce[8..].copy_from_slice(&context.sign().as_ref()[..TAG]);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_in_its_period_and_the_next() {
        let nonces = Nonces::new(b"secret", Duration::from_secs(60));
        let at = |secs| UnixTime::from_secs(secs);
        let nonce = nonces.at(at(6000));
        let nonce = nonce.to_str().expect("visible ASCII");
        let ages = [5930, 5940, 6000, 6059, 6060, 6119, 6120, 60_000].map(|secs| nonces.age(nonce, at(secs)));
        let (current, last) = (Some(Age::Current), Some(Age::Last));
        assert_eq!(ages, [None, current, current, current, last, last, None, None]);
        assert_eq!(Nonces::new(b"secret", Duration::from_secs(60)).age(nonce, at(6000)), current, "another replica");
        assert_eq!(Nonces::new(b"other", Duration::from_secs(60)).age(nonce, at(6000)), None);
    }

    #[test]
    fn nobody_else_can_write_one() {
        let nonces = Nonces::new(b"secret", Duration::from_secs(60));
        let now = UnixTime::from_secs(6000);
        let good = URL_SAFE_NO_PAD.decode(nonces.at(now)).expect("ours");
        for at in 0..good.len() {
            let mut forged = good.clone();
            forged[at] ^= 1;
            assert_eq!(nonces.age(&URL_SAFE_NO_PAD.encode(forged), now), None, "byte {at}");
        }
        for text in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\u{e9}"] {
            assert_eq!(nonces.age(text, now), None, "{text:?}");
        }
    }
}
