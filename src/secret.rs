//! Secrets, randomness and digests: values that must not leak, must not be guessed, or stand in for ones that must not.

pub mod seal;

use std::fmt;

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// A text that never shows itself: `Debug` is redacted, there is no `Display`, and memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one place that has to send or compare it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is this secret, in time that depends only on the lengths.
    #[must_use]
    pub fn matches(&self, candidate: &[u8]) -> bool {
        same(self.0.as_bytes(), candidate)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Equality in time that depends only on the lengths.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Bytes from the cryptographic random number generator.
///
/// # Panics
/// When the operating system has no randomness to give: nothing safe could be done without it.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

/// A fresh identifier of 128 random bits, base64url without padding (22 characters).
#[must_use]
pub fn random_id() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<16>())
}

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// A short stand-in for `text` in logs: 72 bits of its SHA-256, base64url (12 characters).
///
/// The same text gives the same stand-in on every replica, so lines of one subject can be found without naming it.
#[must_use]
pub fn stand_in(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&sha256(text.as_bytes())[..9])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert!(secret.matches(b"hunter2") && !secret.matches(b"hunter") && !secret.matches(b""));
    }

    #[test]
    fn stand_ins_are_stable_and_short() {
        assert_eq!(stand_in("alice"), stand_in("alice"));
        assert_ne!(stand_in("alice"), stand_in("bob"));
        assert_eq!(stand_in("alice").len(), 12);
        assert_ne!(random_id(), random_id());
    }
}
