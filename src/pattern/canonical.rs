//! The path of a request in its one canonical spelling: what is judged is what is forwarded.
//!
//! In a [`CanonicalPath`] unreserved characters stand for themselves, every other escape is kept with upper-case hex,
//! and what may not stand raw in a path (RFC 3986 section 3.3) is escaped. Nothing is resolved, merged or dropped: that
//! is for upstreams to do, and [`super::reading`] knows how they do it. Refused, always: control characters, escaped or
//! not (`%00`), `#`, blanks, broken escapes, invalid UTF-8, and a path that does not begin with a slash (`*`).

use std::borrow::Cow;
use std::fmt;

/// A well-formed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    text: Cow<'a, str>,
    plain: bool,
}

impl<'a> CanonicalPath<'a> {
    /// Parses the raw path of a request, without its query. A plain path is borrowed after one scan.
    ///
    /// # Errors
    /// When it is not well-formed; the request is then a bad one.
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        match scan(raw.as_bytes()) {
            Shape::Plain => Ok(Self { text: Cow::Borrowed(raw), plain: true }),
            Shape::Odd => Ok(Self { text: Cow::Owned(canonicalise(raw)?), plain: false }),
            Shape::Relative => Err(PathError::Relative),
        }
    }

    /// In its canonical spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it can be read in one way only (but for letter case and a last slash, see [`crate::route`]).
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Gives the text away.
    #[must_use]
    pub fn into_inner(self) -> Cow<'a, str> {
        self.text
    }
}

/// Why a path is not well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathError {
    /// It does not begin with a slash; also `*`.
    Relative,
    /// A control character, escaped or not; also `%00`.
    ControlCharacter,
    /// A `#` that is not escaped.
    Fragment,
    /// A `?` that is not escaped: the query is no part of the path.
    Query,
    /// A blank that is not escaped.
    Blank,
    /// A `%` without two hex digits after it.
    BrokenEscape,
    /// Bytes that are not UTF-8 when decoded; also overlong forms such as `%c0%ae`.
    NotUtf8,
}

impl PathError {
    /// For operators and callers.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Relative => "the path does not begin with a slash",
            Self::ControlCharacter => "the path holds a control character",
            Self::Fragment => "the path holds a raw '#'",
            Self::Query => "the path holds a raw '?'",
            Self::Blank => "the path holds a raw blank",
            Self::BrokenEscape => "the path holds a '%' without two hex digits after it",
            Self::NotUtf8 => "the path is not UTF-8 when decoded",
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for PathError {}

enum Shape {
    Plain,
    Odd,
    Relative,
}

const SLASH: u8 = 1;
const DOT: u8 = 2;
const ODD: u8 = 4;

/// What each byte may do in a plain path: nothing (0), or begin a suspicion.
const CLASSES: [u8; 256] = {
    let mut classes = [ODD; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'/' => SLASH,
            b'.' => DOT,
            b';' => ODD,
            other if is_path_byte(other) => 0,
            _ => ODD,
        };
        byte += 1;
    }
    classes
};

/// One scan: odd is any byte of that class, and a slash or the end after a slash or a dot, so that `//`, `.`, `..` and
/// names with a trailing dot are seen without looking at segments.
fn scan(path: &[u8]) -> Shape {
    let Some((b'/', rest)) = path.split_first() else { return Shape::Relative };
    let mut before = SLASH;
    let mut seen = 0;
    for byte in rest {
        let class = CLASSES[usize::from(*byte)];
        seen |= class;
        seen |= if class & SLASH != 0 && before != 0 { ODD } else { 0 };
        before = class;
    }
    if seen & ODD != 0 || before & DOT != 0 { Shape::Odd } else { Shape::Plain }
}

fn canonicalise(raw: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(raw.len() + 16);
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.as_bytes();
    while let Some((&first, rest)) = bytes.split_first() {
        bytes = rest;
        match first {
            b'%' => {
                let byte = hex_pair(rest).ok_or(PathError::BrokenEscape)?;
                bytes = &rest[2..];
                decoded.push(byte);
                push_escaped(&mut out, byte);
            }
            b'#' => return Err(PathError::Fragment),
            b'?' => return Err(PathError::Query),
            b' ' => return Err(PathError::Blank),
            byte => {
                decoded.push(byte);
                push_byte(&mut out, byte);
            }
        }
    }
    let text = std::str::from_utf8(&decoded).map_err(|_| PathError::NotUtf8)?;
    if text.chars().any(char::is_control) { Err(PathError::ControlCharacter) } else { Ok(out) }
}

/// A segment of a canonical path, decoded. Borrows when there is no escape in it. Of the paths that upstreams may read
/// out of a double encoding, what is not UTF-8 is replaced by U+FFFD, which no pattern holds.
#[must_use]
pub fn decode_segment(segment: &str) -> Cow<'_, str> {
    if memchr::memchr(b'%', segment.as_bytes()).is_none() {
        return Cow::Borrowed(segment);
    }
    match String::from_utf8(decode_bytes(segment)) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// Whether a segment of a canonical path, decoded, is this text, byte by byte. Allocates nothing.
#[must_use]
pub fn segment_reads(segment: &str, text: &str) -> bool {
    percent_encoding::percent_decode_str(segment).eq(text.bytes())
}

/// All escapes decoded; a `%` that begins none stands for itself.
pub(super) fn decode_bytes(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

/// Appends text in the spelling of a canonical segment: a slash in it is data, hence escaped.
pub(super) fn encode_segment(out: &mut String, decoded: &[u8]) {
    for byte in decoded {
        if *byte == b'/' { push_escape(out, *byte) } else { push_byte(out, *byte) }
    }
}

/// Appends a byte raw when it may stand in a path, else escaped.
fn push_byte(out: &mut String, byte: u8) {
    if byte == b'/' || is_path_byte(byte) { out.push(char::from(byte)) } else { push_escape(out, byte) }
}

/// Appends what an escape of this byte is in canonical spelling: the character itself if it is unreserved.
pub(super) fn push_escaped(out: &mut String, byte: u8) {
    if is_unreserved(byte) {
        out.push(char::from(byte));
    } else {
        push_escape(out, byte);
    }
}

fn push_escape(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

/// The byte that two hex digits at the front stand for.
pub(super) fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

/// `unreserved` of RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986 section 3.3, without escapes.
const fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_paths_are_borrowed() {
        for raw in ["/", "/a", "/a/", "/a/b.c/d", "/.well-known/x", "/a..b/c", "/a:b@c/!$&'()*+,=/-_~", "/v1/orders/7"]
        {
            let path = CanonicalPath::parse(raw).unwrap();
            assert!(path.is_plain(), "{raw}");
            assert!(matches!(path.into_inner(), Cow::Borrowed(text) if text == raw), "{raw}");
        }
    }

    #[test]
    fn odd_paths_and_their_canonical_spelling() {
        for (raw, canonical) in [
            ("//", "//"),
            ("/a//b", "/a//b"),
            ("/.", "/."),
            ("/a/../b", "/a/../b"),
            ("/a/%2e%2E/b", "/a/../b"),
            ("/a.", "/a."),
            ("/a./b", "/a./b"),
            ("/a;b", "/a;b"),
            ("/a%3bb", "/a%3Bb"),
            ("/%41%7e", "/A~"),
            ("/a%2fb", "/a%2Fb"),
            ("/a\\b", "/a%5Cb"),
            ("/a%5cb", "/a%5Cb"),
            ("/a%252fb", "/a%252fb"),
            ("/a%25%32%66", "/a%252f"),
            ("/café", "/caf%C3%A9"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/{\"a\"|^`<>}", "/%7B%22a%22%7C%5E%60%3C%3E%7D"),
            ("/a%20b", "/a%20b"),
            ("/a%23b%3fc", "/a%23b%3Fc"),
        ] {
            let path = CanonicalPath::parse(raw).unwrap();
            assert_eq!(path.as_str(), canonical, "{raw}");
            assert!(!path.is_plain(), "{raw}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for (raw, error) in [
            ("", PathError::Relative),
            ("*", PathError::Relative),
            ("a/b", PathError::Relative),
            ("http://a/b", PathError::Relative),
            ("/a#b", PathError::Fragment),
            ("/a?b", PathError::Query),
            ("/a b", PathError::Blank),
            ("/a\0", PathError::ControlCharacter),
            ("/a%00", PathError::ControlCharacter),
            ("/a%0d%0ab", PathError::ControlCharacter),
            ("/a%7f", PathError::ControlCharacter),
            ("/a\u{85}", PathError::ControlCharacter),
            ("/a%C2%85", PathError::ControlCharacter),
            ("/a%", PathError::BrokenEscape),
            ("/a%2", PathError::BrokenEscape),
            ("/a%zz", PathError::BrokenEscape),
            ("/a%+1", PathError::BrokenEscape),
            ("/%u002e%u002e/b", PathError::BrokenEscape),
            ("/%c0%ae%c0%ae/b", PathError::NotUtf8),
            ("/%e0%80%ae", PathError::NotUtf8),
            ("/%ff", PathError::NotUtf8),
            ("/é%a9", PathError::NotUtf8),
        ] {
            assert_eq!(CanonicalPath::parse(raw), Err(error), "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_path_is_its_own_canonical_form(raw in "/[a-c./%;\\\\é0-9 #]{0,12}|\\PC{0,20}|(?s).{0,12}") {
            let Ok(path) = CanonicalPath::parse(&raw) else { return Ok(()) };
            let again = CanonicalPath::parse(path.as_str()).unwrap();
            prop_assert_eq!(again.as_str(), path.as_str());
            prop_assert!(path.as_str().is_ascii());
            prop_assert!(path.as_str().parse::<http::uri::PathAndQuery>().is_ok());
        }

        #[test]
        fn the_scan_agrees_with_the_slow_way(raw in "/[a-c./:;%2]{0,10}") {
            let Ok(path) = CanonicalPath::parse(&raw) else { return Ok(()) };
            if path.is_plain() {
                let slow = canonicalise(&raw);
                prop_assert_eq!(slow.as_deref(), Ok(path.as_str()));
                let readings = super::super::reading::readings(path.as_str(), super::super::EncodedSlash::Separates);
                prop_assert_eq!(readings, Ok(Vec::new()));
            }
        }
    }
}
