//! Path patterns: what a route writes in `path`.
//!
//! Segments are literal, `{name}` (one non-empty segment) or, last, `{*name}` (everything from there, also nothing).
//! Literals are compared decoded, so `/café` and `/caf%C3%A9` are one pattern. `/a/` is not `/a`. Refused is whatever no
//! request could match without being ambiguous, such as a literal with a `;` or a trailing dot.

use std::borrow::Cow;
use std::fmt;

use super::canonical::{CanonicalPath, PathError, decode_segment, encode_segment};
use super::reading::{EncodedSlash, readings};
use super::{PatternError, canonical};

/// A path that a route names: segments after the leading slash, in canonical (decoded) spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    text: Box<str>,
    segments: Vec<Segment>,
}

/// One segment of a [`PathPattern`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text, decoded. The last one of `/a/` is empty.
    Literal(Box<str>),
    /// `{name}`: exactly one non-empty segment.
    Param(Box<str>),
    /// `{*name}`: everything from here, also nothing; only as the last segment.
    Rest(Box<str>),
}

/// What a pattern matches, whatever its parameters are called: equal shapes match the same paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathShape(String);

impl PathPattern {
    /// Parses what a route writes.
    ///
    /// # Errors
    /// When it does not begin with a slash, misuses braces, or has a literal that no request can match.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        refuse_what_is_no_path(text)?;
        let mut segments: Vec<Segment> = Vec::new();
        let mut offset = 1;
        for piece in text[1..].split('/') {
            let end = offset + piece.len();
            let segment = parse_segment(piece, end == text.len()).map_err(|error| shifted(error, offset))?;
            if let Some(name) = segment.name()
                && segments.iter().any(|other| other.name() == Some(name))
            {
                let help = "give each parameter of a path its own name";
                return Err(PatternError::new(offset, format!("the parameter {name:?} occurs twice"), help));
            }
            segments.push(segment);
            offset = end + 1;
        }
        Ok(Self { text: text.into(), segments })
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

    /// What it matches, with the names of parameters left out.
    #[must_use]
    pub fn shape(&self) -> PathShape {
        let mut shape = String::with_capacity(self.text.len());
        for segment in &self.segments {
            shape.push('/');
            match segment {
                Segment::Literal(text) => encode_segment(&mut shape, text.as_bytes()),
                Segment::Param(_) => shape.push_str("{}"),
                Segment::Rest(_) => shape.push_str("{*}"),
            }
        }
        PathShape(shape)
    }

    /// Whether every path that `other` matches is matched by this one too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        covers(&self.segments, &other.segments)
    }

    /// Whether there is a path that both match.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        overlaps(&self.segments, &other.segments)
    }

    /// The values that its parameters take in a canonical path that it matches: a `{name}` decoded, a `{*name}` in
    /// canonical spelling, without the slash in front of it.
    pub fn captures<'p>(&self, path: &'p str) -> impl Iterator<Item = (&str, Cow<'p, str>)> {
        let mut rest = path.strip_prefix('/');
        self.segments.iter().filter_map(move |segment| {
            let tail = rest.unwrap_or_default();
            let (first, next) = match tail.split_once('/') {
                Some((first, next)) => (first, Some(next)),
                None => (tail, None),
            };
            rest = next;
            match segment {
                Segment::Literal(_) => None,
                Segment::Param(name) => Some((&**name, decode_segment(first))),
                Segment::Rest(name) => Some((&**name, Cow::Borrowed(tail))),
            }
        })
    }

    /// Whether its `{name}`s take the same values in two canonical paths that it matches.
    #[must_use]
    pub fn same_params(&self, left: &str, right: &str) -> bool {
        let count = self.segments.iter().filter(|segment| matches!(segment, Segment::Param(_))).count();
        self.captures(left).take(count).eq(self.captures(right).take(count))
    }
}

/// As it was written.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PathShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Param(name) | Self::Rest(name) => Some(name),
        }
    }
}

fn covers(wide: &[Segment], narrow: &[Segment]) -> bool {
    match (wide, narrow) {
        ([Segment::Rest(_)], _) => true,
        ([], []) => true,
        ([], _) | (_, []) | (_, [Segment::Rest(_), ..]) => false,
        ([one, wide @ ..], [other, narrow @ ..]) => {
            let first = match (one, other) {
                (Segment::Literal(mine), Segment::Literal(theirs)) => mine == theirs,
                (Segment::Param(_), Segment::Literal(text)) => !text.is_empty(),
                (Segment::Param(_), Segment::Param(_)) => true,
                (Segment::Literal(_) | Segment::Rest(_), _) | (_, Segment::Rest(_)) => false,
            };
            first && covers(wide, narrow)
        }
    }
}

fn overlaps(left: &[Segment], right: &[Segment]) -> bool {
    match (left, right) {
        ([Segment::Rest(_)], _) | (_, [Segment::Rest(_)]) | ([], []) => true,
        ([], _) | (_, []) => false,
        ([one, left @ ..], [other, right @ ..]) => {
            let first = match (one, other) {
                (Segment::Literal(mine), Segment::Literal(theirs)) => mine == theirs,
                (Segment::Param(_), Segment::Literal(text)) | (Segment::Literal(text), Segment::Param(_)) => {
                    !text.is_empty()
                }
                (Segment::Param(_), Segment::Param(_)) | (Segment::Rest(_), _) | (_, Segment::Rest(_)) => true,
            };
            first && overlaps(left, right)
        }
    }
}

fn refuse_what_is_no_path(text: &str) -> Result<(), PatternError> {
    let refuse = |offset, message: &str, help: &str| Err(PatternError::new(offset, message, help));
    if !text.starts_with('/') {
        let help = if text.contains("://") {
            "write the path alone, and the host in `hosts`"
        } else {
            "begin it with a slash"
        };
        return refuse(0, "a path begins with a slash", help);
    }
    if let Some(offset) = text.find('?') {
        return refuse(offset, "a path has no query", "leave it out: a route matches whatever the query is");
    }
    if let Some(offset) = text.find('#') {
        return refuse(offset, "a path has no fragment", "leave it out: clients do not send it");
    }
    if let Some(offset) = text.find('\\') {
        return refuse(offset, "a backslash is no separator", "write a slash");
    }
    if let Some(offset) = text.find("//") {
        let help = "write one slash; only the last segment may be empty, as in \"/a/\"";
        return refuse(offset + 1, "a segment in the middle is empty", help);
    }
    Ok(())
}

fn parse_segment(piece: &str, last: bool) -> Result<Segment, PatternError> {
    if !piece.contains(['{', '}']) {
        return parse_literal(piece).map(|text| Segment::Literal(text.into()));
    }
    let Some(inner) = piece.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) else {
        let offset = piece.find(['{', '}']).unwrap_or_default();
        let help = "let the braces hold the whole segment, as in \"/a/{name}\"; a brace itself is %7B or %7D";
        return Err(PatternError::new(offset, "a parameter stands for a whole segment", help));
    };
    match inner.strip_prefix('*') {
        None => parse_name(inner, 1).map(Segment::Param),
        Some(name) if last => parse_name(name, 2).map(Segment::Rest),
        Some(name) => {
            let help = format!("move it to the end, or write {{{name}}} for one segment");
            Err(PatternError::new(0, "what stands for all the rest must be last", help))
        }
    }
}

/// Whether a parameter of a path may be called so.
#[must_use]
pub fn is_parameter_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn parse_name(name: &str, offset: usize) -> Result<Box<str>, PatternError> {
    if is_parameter_name(name) {
        return Ok(name.into());
    }
    let message = if name.is_empty() { "a parameter has no name".into() } else { format!("{name:?} is no name") };
    Err(PatternError::new(offset, message, "a name is letters, digits and `_`, and begins with no digit"))
}

/// The decoded text of a literal segment. A raw blank is taken as one, for people write it so.
fn parse_literal(piece: &str) -> Result<String, PatternError> {
    let raw = format!("/{}", piece.replace(' ', "%20"));
    let path = CanonicalPath::parse(&raw).map_err(|error| broken(piece, error))?;
    let segment = &path.as_str()[1..];
    if matches!(segment, "." | "..") {
        let help = "write the path as it is when resolved";
        return Err(PatternError::new(0, "a path pattern has no dot segments", help));
    }
    match readings(path.as_str(), EncodedSlash::Separates).as_deref() {
        Ok([]) => Ok(decode_segment(segment).into_owned()),
        Ok([other, ..]) => Err(PatternError::new(
            0,
            format!("no request can match {piece:?}: with {}, it reads {:?}", other.how.join(" and "), other.path),
            "match it with a parameter, as in \"/a/{name}\"",
        )),
        Err(_) => Err(PatternError::new(
            0,
            format!("no request can match {piece:?}: upstreams may read it in many ways"),
            "match it with a parameter, as in \"/a/{name}\"",
        )),
    }
}

fn broken(piece: &str, error: PathError) -> PatternError {
    let help = match error {
        PathError::BrokenEscape => "write a percent sign as %25",
        PathError::ControlCharacter => "take it out: no request with it is let in",
        PathError::NotUtf8 => "escape the bytes of UTF-8 text",
        PathError::Relative | PathError::Fragment | PathError::Query | PathError::Blank => "escape it",
    };
    let offset = match error {
        PathError::BrokenEscape => broken_escape(piece),
        _ => 0,
    };
    PatternError::new(offset, error.message(), help)
}

fn broken_escape(piece: &str) -> usize {
    let broken = |at: &usize| canonical::hex_pair(&piece.as_bytes()[at + 1..]).is_none();
    piece.match_indices('%').map(|(at, _)| at).find(broken).unwrap_or_default()
}

fn shifted(mut error: PatternError, by: usize) -> PatternError {
    error.offset += by;
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.into())
    }

    #[test]
    fn patterns_and_their_segments() {
        let id = || Segment::Param("id".into());
        let rest = || Segment::Rest("rest".into());
        for (text, segments) in [
            ("/", vec![literal("")]),
            ("/a", vec![literal("a")]),
            ("/a/", vec![literal("a"), literal("")]),
            ("/orders/{id}/lines", vec![literal("orders"), id(), literal("lines")]),
            ("/{id}/", vec![id(), literal("")]),
            ("/{*rest}", vec![rest()]),
            ("/a/{*rest}", vec![literal("a"), rest()]),
            ("/café", vec![literal("café")]),
            ("/caf%c3%a9", vec![literal("café")]),
            ("/a b", vec![literal("a b")]),
            ("/a%20b", vec![literal("a b")]),
            ("/%41%7e", vec![literal("A~")]),
            ("/%7Bx%7D", vec![literal("{x}")]),
            ("/100%25", vec![literal("100%")]),
            ("/.well-known/x", vec![literal(".well-known"), literal("x")]),
        ] {
            assert_eq!(PathPattern::parse(text).unwrap().segments(), segments, "{text}");
        }
    }

    #[test]
    fn what_no_request_can_match_is_refused_with_its_place() {
        for (text, offset, message) in [
            ("", 0, "begins with a slash"),
            ("a", 0, "begins with a slash"),
            ("*", 0, "begins with a slash"),
            ("https://a/b", 0, "begins with a slash"),
            ("/a?b", 2, "no query"),
            ("/a#b", 2, "no fragment"),
            ("/a\\b", 2, "backslash"),
            ("//a", 1, "is empty"),
            ("/a//b", 3, "is empty"),
            ("/a/../b", 3, "dot segments"),
            ("/a/.", 3, "dot segments"),
            ("/a/%2e%2E/b", 3, "dot segments"),
            ("/a/{id}/{id}", 8, "occurs twice"),
            ("/a/{id}/{*id}", 8, "occurs twice"),
            ("/a/pre{id}", 6, "whole segment"),
            ("/a/{id}.json", 3, "whole segment"),
            ("/a/{id", 3, "whole segment"),
            ("/a/id}", 5, "whole segment"),
            ("/a/{}", 4, "no name"),
            ("/a/{*}", 5, "no name"),
            ("/a/{1d}", 4, "is no name"),
            ("/a/{a-b}", 4, "is no name"),
            ("/a/{{b}}", 4, "is no name"),
            ("/{*rest}/a", 1, "must be last"),
            ("/{*rest}/", 1, "must be last"),
            ("/a/50%", 5, "two hex digits"),
            ("/%zz", 1, "two hex digits"),
            ("/a/b%00", 3, "control"),
            ("/%ff", 1, "UTF-8"),
            ("/a;v=1", 1, "parameters dropped"),
            ("/a/b%2Fc", 3, "%2F as a slash"),
            ("/a/b%5cc", 3, "backslash as a slash"),
            ("/a/v1.", 3, "trimmed"),
            ("/a/b%20", 3, "trimmed"),
            ("/a/½", 3, "NFKC"),
            ("/a/b%23", 3, "%23 dropped"),
            ("/a/%2541", 3, "decoded twice"),
        ] {
            let error = PathPattern::parse(text).unwrap_err();
            assert_eq!(error.offset, offset, "{text}: {error:?}");
            assert!(error.message.contains(message), "{text}: {error:?}");
            assert!(!error.help.is_empty(), "{text}");
        }
    }

    #[test]
    fn shapes_forget_names_and_spellings_only() {
        let shape = |text: &str| PathPattern::parse(text).unwrap().shape();
        for (left, right, equal) in [
            ("/a/{x}", "/a/{y}", true),
            ("/caf%C3%A9/{*x}", "/café/{*y}", true),
            ("/a/{x}", "/a/{*x}", false),
            ("/a", "/a/", false),
            ("/a", "/A", false),
            ("/{x}", "/%7B%7D", false),
        ] {
            assert_eq!(shape(left) == shape(right), equal, "{left} {right}");
        }
    }

    #[test]
    fn covering_and_overlapping() {
        for (wide, narrow, covers, overlaps) in [
            ("/a", "/a", true, true),
            ("/a", "/b", false, false),
            ("/{x}", "/a", true, true),
            ("/a", "/{x}", false, true),
            ("/{x}", "/", false, false),
            ("/{x}", "/{y}", true, true),
            ("/{*x}", "/", true, true),
            ("/{*x}", "/a/{y}/", true, true),
            ("/a/{*x}", "/a", true, true),
            ("/a/{*x}", "/a/", true, true),
            ("/a/{*x}", "/ab", false, false),
            ("/a/{*x}", "/a/{*y}", true, true),
            ("/a/{x}", "/a/{*y}", false, true),
            ("/a/{x}", "/{y}/b", false, true),
            ("/a/{x}/c", "/{y}/b", false, false),
            ("/a", "/a/{*x}", false, true),
        ] {
            let [left, right] = [wide, narrow].map(|text| PathPattern::parse(text).unwrap());
            assert_eq!(left.covers(&right), covers, "{wide} covers {narrow}");
            assert_eq!(left.overlaps(&right), overlaps, "{wide} overlaps {narrow}");
            assert_eq!(right.overlaps(&left), overlaps, "{narrow} overlaps {wide}");
        }
    }

    #[test]
    fn captures_are_decoded() {
        for (pattern, path, captured) in [
            ("/orders/{id}", "/orders/a%2Fb", vec![("id", "a/b")]),
            ("/{a}/x/{b}", "/1/x/caf%C3%A9", vec![("a", "1"), ("b", "café")]),
            ("/a/{*rest}", "/a", vec![("rest", "")]),
            ("/a/{*rest}", "/a/", vec![("rest", "")]),
            ("/a/{*rest}", "/a/b/c%2Fd", vec![("rest", "b/c%2Fd")]),
            ("/a", "/a", vec![]),
        ] {
            let pattern = PathPattern::parse(pattern).unwrap();
            let found: Vec<_> = pattern.captures(path).collect();
            let found: Vec<_> = found.iter().map(|(name, value)| (*name, &**value)).collect();
            assert_eq!(found, captured, "{path}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "/[a-b{}*%/.; ]{0,12}|\\PC{0,20}") {
            if let Ok(pattern) = PathPattern::parse(&text) {
                prop_assert_eq!(pattern.as_str(), &*text);
                prop_assert!(pattern.covers(&pattern) && pattern.overlaps(&pattern));
            } else if let Err(error) = PathPattern::parse(&text) {
                prop_assert!(text.is_char_boundary(error.offset), "{:?}", error);
            }
        }
    }
}
