//! Words for hosts, paths and methods. (Being written.)

use std::fmt;

/// A host that a route names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host; lower case, no port, no trailing dot.
    Exact(Box<str>),
    /// `*.example.com`: holds `.example.com`; matches one or more labels in front of it.
    Suffix(Box<str>),
}

impl HostPattern {
    /// Parses what a route writes.
    ///
    /// # Errors
    /// When it is neither a host nor `*.` and a host.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self::Exact(text.into()))
    }
}

/// A path that a route names: segments after the leading slash, in canonical (decoded) spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    text: Box<str>,
    segments: Vec<Segment>,
}

/// One segment of a [`PathPattern`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text. The last one of `/a/` is empty.
    Literal(Box<str>),
    /// `{name}`: exactly one non-empty segment.
    Param(Box<str>),
    /// `{*name}`: everything from here, also nothing; only as the last segment.
    Rest(Box<str>),
}

impl PathPattern {
    /// Parses what a route writes.
    ///
    /// # Errors
    /// When it does not begin with a slash, is not canonical, or misuses braces.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self { text: text.into(), segments: Vec::new() })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its segments.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

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

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PatternError {}

/// A set of request methods; extension methods (RFC 9110 section 16.1) are one member, "all others".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MethodSet(u16);
