//! `[dpop]`

use crate::config::read::List;
use crate::config::table::table;
use crate::config::word::quantity::{Count, Period, Tolerance};
use crate::config::word::secret::SecretSource;
use crate::config::word::token::AlgorithmName;

table! {
    /// Proofs of possession (RFC 9449). Tokens that are bound to a key of their client are taken with a good proof, whether or
    /// not this table is there; with it, every challenge also offers the scheme DPoP.
    Dpop, "[dpop]" {
        /// How old a proof may be when it comes, by its `iat`.
        proof_lifetime: Period = "60s",
        /// How far clients' clocks may be off when the `iat` of a proof is judged; ten minutes at most.
        clock_skew: Tolerance = "30s",
        /// The accepted signature algorithms of proofs. Default: all that are known, which are asymmetric.
        algorithms: List<AlgorithmName>,
        /// Whether a proof must have a nonce of the gateway's, given in `DPoP-Nonce`. Then the nonce decides how old it is,
        /// whatever the client's clock says.
        nonce: bool = false,
        /// How often the nonce changes. One is good until the next has changed too.
        nonce_lifetime: Period = "5m",
        /// What nonces are signed with; the same for all replicas. Default: made at the start, and known to this process alone.
        nonce_secret: SecretSource,
        /// Proofs that are remembered at once, so that none is used twice. When there are more, they are refused with a 503.
        max_proofs: Count<100000000> = 1000000,
    }
}
