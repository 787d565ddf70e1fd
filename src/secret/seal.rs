//! Sealing: what we hand to browsers or to a store and want back unread and unchanged.
//!
//! AES-256-GCM with a random nonce for each value. A purpose is authenticated with the value, so that what was sealed
//! for one use opens for no other. Every failure is the same `None`: wrong key, wrong purpose, cut, flipped, or not ours.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Secret, random_bytes};

/// Bytes that name the key in front of each sealed value.
const ID_LEN: usize = 4;
/// Bytes of the authentication tag.
const TAG_LEN: usize = 16;

/// Seals with its first key, opens with any of them.
pub struct Sealer {
    keys: Vec<Key>,
}

struct Key {
    id: [u8; ID_LEN],
    aead: RandomizedNonceKey,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("keys", &self.keys.len()).finish()
    }
}

impl Sealer {
    /// Seals with the first secret; the others only open, so that keys can be changed without losing what they sealed.
    /// Without any, with a key of this process that nobody else has. A secret is stretched by SHA-256, so it must have
    /// the strength itself: 32 random bytes, in any spelling.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Self {
        let derived = secrets.iter().map(|secret| super::sha256(secret.expose().as_bytes()));
        let mut keys: Vec<Key> = derived.map(|bytes| Key::new(&bytes)).collect();
        if keys.is_empty() {
            keys.push(Key::new(&random_bytes::<32>()));
        }
        Self { keys }
    }

    /// Seals `plain` for `purpose`: base64url without padding.
    #[must_use]
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> String {
        let key = &self.keys[0];
        let mut text = plain.to_vec();
        let nonce = key.aead.seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut text);
        let nonce = nonce.expect("a short text is sealed unless the system has no randomness");
        URL_SAFE_NO_PAD.encode([&key.id[..], nonce.as_ref(), &text].concat())
    }

    /// What was sealed for `purpose`.
    #[must_use]
    pub fn open(&self, purpose: &str, sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (id, rest) = bytes.split_at_checked(ID_LEN)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let key = self.keys.iter().find(|key| key.id == id).filter(|_| text.len() >= TAG_LEN)?;
        let mut text = text.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = key.aead.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

impl Key {
    fn new(bytes: &[u8; 32]) -> Self {
        let mut id = [0; ID_LEN];
        // Of the digest of the digest: it tells nothing of the key.
        id.copy_from_slice(&digest(&SHA256, &[&b"key id"[..], bytes].concat()).as_ref()[..ID_LEN]);
        let aead = RandomizedNonceKey::new(&AES_256_GCM, bytes).expect("the key has the length of the algorithm");
        Self { id, aead }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    #[test]
    fn only_the_same_keys_and_purpose_open() {
        let (old, other) = (Sealer::new(&[secret("a")]), Sealer::new(&[]));
        let sealed = old.seal("p", b"text");
        assert_ne!(sealed, old.seal("p", b"text"), "no two are alike");
        assert_eq!(old.open("p", &sealed).as_deref(), Some(&b"text"[..]));
        assert_eq!(Sealer::new(&[secret("b"), secret("a")]).open("p", &sealed).as_deref(), Some(&b"text"[..]));
        for (sealer, purpose) in [(&old, "q"), (&old, ""), (&other, "p"), (&Sealer::new(&[secret("b")]), "p")] {
            assert_eq!(sealer.open(purpose, &sealed), None);
        }
    }

    #[test]
    fn a_change_of_any_character_is_noticed() {
        let sealer = Sealer::new(&[]);
        let sealed = sealer.seal("p", b"0123456789");
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(sealer.open("p", std::str::from_utf8(&bytes).unwrap()), None, "at {at}");
            assert_eq!(sealer.open("p", &sealed[..at]), None, "cut at {at}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let sealer = Sealer::new(&[]);
            prop_assert_eq!(sealer.open("p", &text), None);
            let sealed = sealer.seal("p", &bytes);
            prop_assert_eq!(sealer.open("p", &sealed), Some(bytes));
        }
    }
}
