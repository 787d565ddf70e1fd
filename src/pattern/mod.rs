//! Words for hosts, paths and methods: what a route may name, and what a request is taken to say.
//!
//! Decides how a host, a path and a method are spelt when they are compared, and in which other ways an upstream could
//! read an odd path ([`reading`]). Promises that patterns and requests are spelt by the same rules, and that the usual
//! request costs one scan and no allocation. Refuses whatever has no single, well-formed meaning, with the way out.
//! Knows nothing of routes: which of them a path leads to is [`crate::route`]'s to say.

use std::fmt;

mod canonical;
mod host;
mod method;
mod path;
pub mod reading;

pub use canonical::{CanonicalPath, PathError, decode_segment, segment_reads};
pub use host::{HostPattern, canonical_host};
pub use method::MethodSet;
pub use path::{PathPattern, PathShape, Segment, is_parameter_name};
pub use reading::{EncodedSlash, Reading, TooManyReadings};

/// Why a pattern does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong, for a person, without a full stop.
    pub message: String,
    /// The way out, for a person.
    pub help: String,
    /// Bytes into the pattern.
    pub offset: usize,
}

impl PatternError {
    pub(crate) fn new(offset: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into(), offset }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PatternError {}
