//! Policy: the decision about one request, from the rule of its route, its principal and the time.
//!
//! Pure: nothing here waits, reads a clock or touches the network. A [`Permit`] is the only key to `proxy::forward`,
//! and [`decide`] is the only place that makes one, so a request that was not judged cannot be forwarded.

mod clause;
pub mod denial;
mod describe;
mod pointer;
pub mod rule;

use std::rc::Rc;

use crate::clock::UnixTime;
use crate::token::principal::Principal;

pub use crate::config::model::Access;
pub use clause::Clause;
pub use denial::{Denial, StepUp};
pub use pointer::Pointer;
pub use rule::Rule;

/// What a decision rests on beside the rule and the principal.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'r> {
    /// The path of the request in canonical spelling, see [`crate::route::Located`].
    pub path: &'r str,
    /// Whether every reading of the path gives its parameters the same values. If not, no claim is compared with them.
    pub certain: bool,
    /// The time.
    pub now: UnixTime,
}

/// Proof that a request was judged and may pass. Holds who it speaks for; anonymous on public and optional routes.
#[derive(Debug)]
pub struct Permit<P> {
    principal: Option<P>,
}

impl<P> Permit<P> {
    /// Who the request speaks for.
    #[must_use]
    pub fn principal(&self) -> Option<&P> {
        self.principal.as_ref()
    }
}

/// Something that leads to a principal: itself, or a cached verdict that holds one.
pub trait Speaks {
    /// Who it speaks for.
    fn principal(&self) -> &Principal;
}

impl Speaks for Principal {
    fn principal(&self) -> &Principal {
        self
    }
}

impl<S: Speaks> Speaks for Rc<S> {
    fn principal(&self) -> &Principal {
        (**self).principal()
    }
}

impl<S: Speaks> Speaks for std::sync::Arc<S> {
    fn principal(&self) -> &Principal {
        (**self).principal()
    }
}

/// Decides whether `principal` (none: the request carried no credential) may use the route that `rule` belongs to.
///
/// # Errors
/// The denial that the caller gets.
pub fn decide<P: Speaks>(rule: &Rule, principal: Option<P>, given: Circumstances<'_>) -> Result<Permit<P>, Denial> {
    match (rule.access, &principal) {
        (Access::Public, _) => return Ok(Permit { principal: None }),
        (Access::Optional, None) => return Ok(Permit { principal: None }),
        (Access::Token, None) => return Err(Denial::NoCredential),
        (Access::Token | Access::Optional, Some(speaker)) => rule.admits(speaker.principal(), given)?,
    }
    Ok(Permit { principal })
}

#[cfg(test)]
mod tests;
