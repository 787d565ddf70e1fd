//! Which proofs were seen: each may be used once (RFC 9449 section 11.1).
//!
//! [`Replays`] is the seam; [`Memory`] is the one for a single process, shared by its workers. Promises that a proof is
//! remembered as long as it could be accepted again, within a bound: when it is full, further proofs are refused rather
//! than older ones forgotten, for a memory that forgets under load is one that an attacker can switch off. Only proofs that
//! are good in everything else come here, so it is filled by holders of valid tokens alone.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::clock::UnixTime;

/// A proof as it is remembered: of the hash of its key and its `jti`, enough that no two are ever the same.
pub type ProofId = [u8; 16];

/// What is known of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It comes for the first time, and is remembered from now on.
    First,
    /// It came before.
    Again,
    /// Nothing can be said, or nothing more remembered.
    Unknown(&'static str),
}

/// An answer, or one that is on its way: a memory beyond this process has to be asked.
pub enum Answer<'a> {
    /// It is here.
    Here(Use),
    /// It is on its way.
    Coming(Pin<Box<dyn Future<Output = Use> + 'a>>),
}

impl Answer<'_> {
    /// Waits for it.
    pub async fn get(self) -> Use {
        match self {
            Self::Here(use_) => use_,
            Self::Coming(answer) => answer.await,
        }
    }
}

/// Remembers proofs.
pub trait Replays: Send + Sync {
    /// Whether `proof` comes for the first time; remembers it until `until`.
    fn first_use(&self, proof: ProofId, now: UnixTime, until: UnixTime) -> Answer<'_>;

    /// How many proofs may be remembered from now on.
    fn bound(&self, proofs: usize);
}

/// Parts of a memory with locks of their own, so that workers seldom wait for each other.
const SHARDS: usize = 16;

/// How often a part drops what has run out.
const SWEEP: Duration = Duration::from_secs(15);

/// The memory of one process.
pub struct Memory {
    shards: [Mutex<Shard>; SHARDS],
}

struct Shard {
    seen: HashMap<ProofId, UnixTime, RandomState>,
    swept: UnixTime,
    most: usize,
}

impl Default for Memory {
    fn default() -> Self {
        let shard =
            || Mutex::new(Shard { seen: HashMap::default(), swept: UnixTime::from_secs(0), most: 1_000_000 / SHARDS });
        Self { shards: std::array::from_fn(|_| shard()) }
    }
}

impl Replays for Memory {
    fn first_use(&self, proof: ProofId, now: UnixTime, until: UnixTime) -> Answer<'_> {
        // The ids are digests: any byte of them is as good as a hash.
        let shard = &self.shards[usize::from(proof[0]) % SHARDS];
        Answer::Here(shard.lock().unwrap_or_else(PoisonError::into_inner).first_use(proof, now, until))
    }

    fn bound(&self, proofs: usize) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).most = proofs.div_ceil(SHARDS);
        }
    }
}

impl Shard {
    fn first_use(&mut self, proof: ProofId, now: UnixTime, until: UnixTime) -> Use {
        // A clock that was set back would otherwise keep everything.
        if now >= self.swept.plus(SWEEP) || now < self.swept {
            self.swept = now;
            self.seen.retain(|_, until| *until > now);
            self.seen.shrink_to(2 * self.seen.len());
        }
        if self.seen.contains_key(&proof) {
            return Use::Again;
        }
        if self.seen.len() >= self.most {
            return Use::Unknown("no more DPoP proofs can be remembered: `max_proofs` are");
        }
        self.seen.insert(proof, until);
        Use::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(memory: &Memory, proof: u8, now: i64, until: i64) -> Use {
        let (now, until) = (UnixTime::from_secs(now), UnixTime::from_secs(until));
        match memory.first_use([proof; 16], now, until) {
            Answer::Here(use_) => use_,
            Answer::Coming(_) => panic!("it needs nobody"),
        }
    }

    #[test]
    fn a_proof_is_known_again_until_it_has_run_out() {
        let memory = Memory::default();
        assert_eq!(ask(&memory, 1, 1000, 1090), Use::First);
        assert_eq!(ask(&memory, 1, 1000, 1090), Use::Again);
        assert_eq!(ask(&memory, 1, 1089, 1090), Use::Again);
        assert_eq!(ask(&memory, 2, 1089, 1179), Use::First);
        assert_eq!(ask(&memory, 1, 1110, 1200), Use::First, "it has run out, so it comes here only if it is another");
    }

    #[test]
    fn a_full_memory_refuses_and_forgets_nothing() {
        let memory = Memory::default();
        memory.bound(2 * SHARDS);
        // All of one shard.
        let [a, b, c] = [16, 32, 48];
        assert_eq!([a, b].map(|proof| ask(&memory, proof, 1000, 1090)), [Use::First; 2]);
        assert!(matches!(ask(&memory, c, 1000, 1090), Use::Unknown(_)));
        assert_eq!([a, b].map(|proof| ask(&memory, proof, 1001, 1090)), [Use::Again; 2]);
        assert_eq!(ask(&memory, 1, 1000, 1090), Use::First, "another shard");
        assert_eq!(ask(&memory, c, 1095, 1185), Use::First, "there is room again");
    }

    #[test]
    fn many_threads_have_one_first() {
        let memory = Memory::default();
        let firsts: usize = std::thread::scope(|scope| {
            let asking = || (0..=u8::MAX).filter(|proof| ask(&memory, *proof, 1000, 1090) == Use::First).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(asking)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(firsts, 256);
    }
}
