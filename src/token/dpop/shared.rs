//! Which proofs were seen by any replica: the memory is the store that they share.
//!
//! The store ends each entry by itself, so nothing is bounded here. While it cannot be asked, nothing can be said of a proof.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::replay::{Answer, ProofId, Replays, Use};
use crate::clock::UnixTime;
use crate::store::Store;

/// The memory that replicas share.
pub struct Shared(pub Arc<dyn Store>);

impl Replays for Shared {
    fn first_use(&self, proof: ProofId, now: UnixTime, until: UnixTime) -> Answer<'_> {
        let key = format!("dpop:{}", URL_SAFE_NO_PAD.encode(proof));
        let put = self.0.put_if_absent(&key, b"1", until.since(now));
        Answer::Coming(Box::pin(async move {
            match put.await {
                Ok(true) => Use::First,
                Ok(false) => Use::Again,
                Err(error) => {
                    tracing::debug!(%error, "a proof could not be remembered");
                    Use::Unknown("whether the DPoP proof came before cannot be known: the store does not answer")
                }
            }
        }))
    }

    fn bound(&self, _proofs: usize) {}
}
