//! Orders: which fault is to be made where, how often and how. One that means nothing is none.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use super::{Act, Fault, Obstruct, Place};

/// Longest wait that can be ordered.
pub const MAX_DELAY: Duration = Duration::from_secs(600);

/// Statuses that an answer can be ordered to have.
pub const STATUSES: std::ops::RangeInclusive<u16> = 200..=599;

/// A fault that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub fault: &'static Fault,
    /// Where.
    pub place: Place,
    /// How often, then never more; `None`: until it is taken back.
    pub count: Option<NonZeroU32>,
    /// How long `slow` takes; nothing else has it.
    pub delay: Option<Duration>,
    /// The status of `status` and `html`; nothing else has it.
    pub status: Option<u16>,
}

/// What an order says beside its fault.
#[derive(Debug, Clone, Copy, Default)]
pub struct Details {
    /// Where.
    pub place: Option<Place>,
    /// How often.
    pub count: Option<NonZeroU32>,
    /// How long.
    pub delay: Option<Duration>,
    /// With which status.
    pub status: Option<u16>,
}

/// An order that means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// The fault cannot happen there.
    Place(&'static Fault, Place),
    /// Only `slow` has a delay.
    Delay(&'static Fault),
    /// It is longer than [`MAX_DELAY`].
    LongDelay,
    /// Only `status` and `html` have a status.
    Status(&'static Fault),
    /// It is not one of [`STATUSES`].
    OddStatus(u16),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(fault, place) => {
                let places = fault.place_words().join(", ");
                write!(f, "{} cannot happen at {}; it can at: {places}", fault.word, place.word())
            }
            Self::Delay(fault) => write!(f, "{} has no delay; slow has", fault.word),
            Self::LongDelay => write!(f, "a delay has {} s at most", MAX_DELAY.as_secs()),
            Self::Status(fault) => write!(f, "{} has no status; status and html have", fault.word),
            Self::OddStatus(status) => {
                write!(f, "{status} is not a status from {} to {}", STATUSES.start(), STATUSES.end())
            }
        }
    }
}

impl Order {
    /// An order that makes sense.
    ///
    /// # Errors
    /// When it would not.
    pub fn new(fault: &'static Fault, details: Details) -> Result<Self, Unfit> {
        let place = details.place.or(fault.places.first().copied()).unwrap_or(Place::Token);
        if !fault.places.contains(&place) {
            return Err(Unfit::Place(fault, place));
        }
        let (usual_delay, usual_status) = match fault.act {
            Act::Obstruct(Obstruct::Slow) => (Some(Duration::from_secs(5)), None),
            Act::Obstruct(Obstruct::Status) => (None, Some(503)),
            Act::Obstruct(Obstruct::Html) => (None, Some(200)),
            Act::Obstruct(Obstruct::Garbage | Obstruct::InvalidGrant) | Act::Edit(_) | Act::Forge(_) => (None, None),
        };
        match (details.delay, details.status) {
            (Some(_), _) if usual_delay.is_none() => Err(Unfit::Delay(fault)),
            (Some(delay), _) if delay > MAX_DELAY => Err(Unfit::LongDelay),
            (_, Some(_)) if usual_status.is_none() => Err(Unfit::Status(fault)),
            (_, Some(status)) if !STATUSES.contains(&status) => Err(Unfit::OddStatus(status)),
            (delay, status) => Ok(Self {
                fault,
                place,
                count: details.count,
                delay: delay.or(usual_delay),
                status: status.or(usual_status),
            }),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.fault.word, self.place.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_makes_sense_or_is_none() {
        let order = |word: &str, details| Order::new(Fault::named(word).unwrap(), details);
        let usual = Details::default();
        let html = order("html", usual).unwrap();
        assert_eq!((html.place, html.status, html.to_string()), (Place::Token, Some(200), "html at token".to_owned()));
        assert_eq!(order("status", Details { status: Some(599), ..usual }).unwrap().status, Some(599));
        let jwks = Details { place: Some(Place::Jwks), ..usual };
        assert_eq!(order("slow", jwks).unwrap().place, Place::Jwks);
        assert!(matches!(order("wrong_aud", jwks), Err(Unfit::Place(_, Place::Jwks))));
        let delay = |delay| Details { delay: Some(delay), ..usual };
        assert!(matches!(order("html", delay(Duration::ZERO)), Err(Unfit::Delay(_))));
        assert!(order("slow", delay(MAX_DELAY)).is_ok());
        assert_eq!(order("slow", delay(MAX_DELAY + Duration::from_millis(1))), Err(Unfit::LongDelay));
        assert!(matches!(order("slow", Details { status: Some(500), ..usual }), Err(Unfit::Status(_))));
        assert_eq!(order("status", Details { status: Some(199), ..usual }), Err(Unfit::OddStatus(199)));
    }
}
