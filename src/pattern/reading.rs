//! The other ways in which an upstream may read a path.
//!
//! Servers and frameworks differ in what they do to a path before they look at it: one resolves dot segments, another
//! decodes first, a third drops `;params`. Each such habit is one step, from a canonical path to another;
//! [`readings`] is the closure of all of them, so that every combination in every order is covered. The closure is
//! bounded in number and bytes: a path with more readings than that serves nobody and is refused.
//!
//! No habits in this list, on purpose: letter case and the last slash (plain paths have them too, and
//! [`crate::route`] sees to them), `+` as a blank, Windows short names (`ADMIN~1`) and streams (`::$DATA`), and
//! suffixes (`/admin.json` for `/admin`).

use unicode_normalization::UnicodeNormalization;

use super::canonical::{decode_bytes, encode_segment, hex_pair, push_escaped};

/// At most this many readings of one path are looked at.
pub const MAX_READINGS: usize = 64;
/// At most this many bytes of readings of one path are looked at.
pub const MAX_BYTES: usize = 16 * 1024;

/// Whether `%2F` may be read as a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodedSlash {
    /// It may separate segments.
    Separates,
    /// The route says that its upstream takes it for a character of the segment (`encoded_slash = "segment"`).
    InSegment,
}

/// One other way to read a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The path as an upstream may see it, in canonical spelling.
    pub path: String,
    /// What was done to get there, in order, as phrases that follow "with".
    pub how: Vec<&'static str>,
}

/// The path has more readings than anybody should send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyReadings;

/// All readings of a canonical path but itself; none, if it is plain.
///
/// # Errors
/// When there are more than [`MAX_READINGS`], or they are longer than [`MAX_BYTES`].
pub fn readings(path: &str, slash: EncodedSlash) -> Result<Vec<Reading>, TooManyReadings> {
    let mut found: Vec<Reading> = Vec::new();
    let mut bytes = 0;
    let mut next = 0_usize;
    loop {
        let (from, how) = match next.checked_sub(1) {
            None => (path.to_owned(), Vec::new()),
            Some(position) => match found.get(position) {
                None => return Ok(found),
                Some(reading) => (reading.path.clone(), reading.how.clone()),
            },
        };
        for (phrase, step) in applicable(slash) {
            let Some(read) = step(&from) else { continue };
            if read == path || found.iter().any(|reading| reading.path == read) {
                continue;
            }
            bytes += read.len();
            if found.len() == MAX_READINGS || bytes > MAX_BYTES {
                return Err(TooManyReadings);
            }
            let how = how.iter().copied().chain([*phrase]).collect();
            found.push(Reading { path: read, how });
        }
        next += 1;
    }
}

/// `None`: nothing to do.
type Step = fn(&str) -> Option<String>;

const ENCODED_SLASH: &str = "%2F as a slash";

/// Cheap and likely ones first, so that a refusal names the simplest way.
const STEPS: [(&str, Step); 18] = [
    ("dot segments resolved", resolve_dots),
    ("slashes merged", merge_slashes),
    (ENCODED_SLASH, |path| replaced(path, "%2F", "/")),
    ("a backslash as a slash", |path| replaced(path, "%5C", "/")),
    (";parameters dropped", drop_parameters),
    ("all from the first ; dropped", |path| cut(path, ";")),
    ("%3B as ;", |path| replaced(path, "%3B", ";")),
    ("all from %23 dropped", |path| cut(path, "%23")),
    ("all from %3F dropped", |path| cut(path, "%3F")),
    ("all from %00 dropped", |path| cut(path, "%00")),
    ("the first segment taken for a host", drop_network_host),
    ("escapes decoded twice", decode_once_more),
    ("overlong UTF-8 decoded", decode_overlong),
    ("blanks around segments trimmed", |path| map_segments(path, trim_blanks)),
    ("dots and blanks after segments trimmed", |path| map_segments(path, trim_tail)),
    ("a row of dots as ..", |path| map_segments(path, |segment| is_row_of_dots(segment).then(|| "..".into()))),
    ("a row of dots as .", |path| map_segments(path, |segment| is_row_of_dots(segment).then(|| ".".into()))),
    ("Unicode look-alikes folded (NFKC)", |path| map_segments(path, fold_look_alikes)),
];

fn applicable(slash: EncodedSlash) -> impl Iterator<Item = &'static (&'static str, Step)> {
    STEPS.iter().filter(move |(phrase, _)| slash == EncodedSlash::Separates || *phrase != ENCODED_SLASH)
}

fn replaced(path: &str, from: &str, to: &str) -> Option<String> {
    path.contains(from).then(|| path.replace(from, to))
}

fn cut(path: &str, mark: &str) -> Option<String> {
    path.split_once(mark).map(|(front, _)| front.to_owned())
}

/// As RFC 3986 section 5.2.4: `..` takes the segment before it, never the root.
fn resolve_dots(path: &str) -> Option<String> {
    let segments = || path.split('/').skip(1);
    if !segments().any(is_dot_segment) {
        return None;
    }
    let mut kept = Vec::new();
    for segment in segments() {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if path.rsplit('/').next().is_some_and(is_dot_segment) {
        kept.push("");
    }
    Some(join(kept.iter()))
}

fn is_dot_segment(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

fn merge_slashes(path: &str) -> Option<String> {
    if !path.contains("//") {
        return None;
    }
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    Some(merged)
}

/// Upstreams that parse the request target as a URL reference take `//host/path` for another host's `/path`.
fn drop_network_host(path: &str) -> Option<String> {
    let rest = path.strip_prefix("//")?;
    Some(rest.find('/').map_or_else(|| "/".to_owned(), |slash| rest[slash..].to_owned()))
}

fn drop_parameters(path: &str) -> Option<String> {
    if !path.contains(';') {
        return None;
    }
    Some(join(path.split('/').skip(1).map(|segment| segment.split(';').next().unwrap_or(segment))))
}

/// `%25` and two hex digits become an escape, or the unreserved character that it stands for; IIS's `%uXXXX` too.
fn decode_once_more(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    let mut changed = false;
    while let Some(at) = rest.find("%25") {
        out.push_str(&rest[..at]);
        rest = &rest[at + 3..];
        if let Some(byte) = hex_pair(rest.as_bytes()) {
            push_escaped(&mut out, byte);
            rest = &rest[2..];
            changed = true;
        } else if let Some(character) = wide_escape(rest) {
            encode_segment(&mut out, character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[5..];
            changed = true;
        } else {
            out.push_str("%25");
        }
    }
    out.push_str(rest);
    changed.then_some(out)
}

fn wide_escape(text: &str) -> Option<char> {
    let digits = text.strip_prefix(['u', 'U'])?.as_bytes();
    let (high, low) = (hex_pair(digits)?, hex_pair(digits.get(2..)?)?);
    char::from_u32(u32::from(high) << 8 | u32::from(low))
}

/// Only double encoding brings overlong forms here; a raw one is no UTF-8, and the path was refused.
fn decode_overlong(path: &str) -> Option<String> {
    if !["%C0", "%C1", "%E0", "%F0"].iter().any(|lead| path.contains(lead)) {
        return None;
    }
    map_segments(path, |segment| {
        let bytes = decode_bytes(segment);
        let mut rest = bytes.as_slice();
        let mut decoded = Vec::with_capacity(bytes.len());
        while let Some(first) = rest.first() {
            let (byte, length) = overlong(rest).unwrap_or((*first, 1));
            decoded.push(byte);
            rest = &rest[length..];
        }
        (decoded.len() != bytes.len()).then(|| encoded(&decoded))
    })
}

/// The ASCII character that is written in two, three or four bytes at the front, and how many.
fn overlong(bytes: &[u8]) -> Option<(u8, usize)> {
    match *bytes {
        [lead @ (0xC0 | 0xC1), last @ 0x80..=0xBF, ..] => Some(((lead & 1) << 6 | last & 0x3F, 2)),
        [0xE0, high @ (0x80 | 0x81), last @ 0x80..=0xBF, ..] => Some(((high & 1) << 6 | last & 0x3F, 3)),
        [0xF0, 0x80, high @ (0x80 | 0x81), last @ 0x80..=0xBF, ..] => Some(((high & 1) << 6 | last & 0x3F, 4)),
        _ => None,
    }
}

fn trim_blanks(segment: &str) -> Option<String> {
    trimmed(segment, |text| text.trim_matches(is_blank))
}

fn trim_tail(segment: &str) -> Option<String> {
    trimmed(segment, |text| {
        let trimmed = text.trim_end_matches(|character| character == '.' || is_blank(character));
        if trimmed.is_empty() { text } else { trimmed }
    })
}

fn trimmed(segment: &str, trim: fn(&str) -> &str) -> Option<String> {
    if !has_soft_ends(segment) {
        return None;
    }
    let text = String::from_utf8(decode_bytes(segment)).ok()?;
    let shorter = trim(&text);
    (shorter.len() != text.len()).then(|| encoded(shorter.as_bytes()))
}

/// Whether a segment begins or ends with an escape or a dot: else there is nothing to trim.
fn has_soft_ends(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let escape_ends = bytes.len() >= 3 && bytes[bytes.len() - 3] == b'%';
    escape_ends || matches!(bytes.first(), Some(b'%')) || matches!(bytes.last(), Some(b'.'))
}

/// Two dots or more and nothing else but blanks, other than `..` itself: Windows has made `..` or `.` of such names.
fn is_row_of_dots(segment: &str) -> bool {
    if segment == ".." || !segment.starts_with(['.', '%']) || !segment.contains('.') {
        return false;
    }
    let Ok(text) = String::from_utf8(decode_bytes(segment)) else { return false };
    text.matches('.').count() > 1 && text.chars().all(|character| character == '.' || is_blank(character))
}

/// White space, controls that a double encoding brought, and what has no width.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || character.is_control() || matches!(character, '\u{200B}'..='\u{200F}' | '\u{FEFF}')
}

fn fold_look_alikes(segment: &str) -> Option<String> {
    let beyond_ascii = |pair: &[u8]| pair[0] == b'%' && !matches!(pair[1], b'0'..=b'7');
    if !segment.as_bytes().windows(2).any(beyond_ascii) {
        return None;
    }
    let text = String::from_utf8(decode_bytes(segment)).ok()?;
    if unicode_normalization::is_nfkc(&text) {
        return None;
    }
    Some(encoded(text.nfkc().collect::<String>().as_bytes()))
}

/// Rewrites segments; `None` when `rewrite` changes none. Nothing is built before the first change.
fn map_segments(path: &str, rewrite: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut out: Option<String> = None;
    let mut at = 1;
    for segment in path.split('/').skip(1) {
        let rewritten = rewrite(segment);
        if rewritten.is_some() && out.is_none() {
            out = Some(path[..at].to_owned());
        }
        at += segment.len() + 1;
        if let Some(out) = &mut out {
            out.push_str(rewritten.as_deref().unwrap_or(segment));
            out.push('/');
        }
    }
    out.map(|mut out| {
        out.pop();
        out
    })
}

fn encoded(decoded: &[u8]) -> String {
    let mut out = String::with_capacity(decoded.len());
    encode_segment(&mut out, decoded);
    out
}

fn join<T: AsRef<str>>(segments: impl Iterator<Item = T>) -> String {
    let mut out = String::new();
    for segment in segments {
        out.push('/');
        out.push_str(segment.as_ref());
    }
    if out.is_empty() { "/".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::super::CanonicalPath;
    use super::*;

    fn read(raw: &str, slash: EncodedSlash) -> Vec<String> {
        let path = CanonicalPath::parse(raw).unwrap();
        readings(path.as_str(), slash).unwrap().into_iter().map(|reading| reading.path).collect()
    }

    #[test]
    fn each_habit_is_among_the_readings() {
        for (raw, reading) in [
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/../..", "/"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/%2e%2e/b", "/b"),
            ("//b", "/b"),
            ("/a//..//b", "/b"),
            ("//host/b", "/b"),
            ("/\\host/b", "/b"),
            ("/a%2f..%2fb", "/b"),
            ("/a%5c..%5Cb", "/b"),
            ("/a\\..\\b", "/b"),
            ("/b;x=1", "/b"),
            ("/b%3bx=1", "/b"),
            ("/a/..;/b", "/b"),
            ("/a/..;x=y/b", "/b"),
            ("/a/..%3b/b", "/b"),
            ("/b;/a", "/b"),
            ("/b%23/../a", "/b"),
            ("/b%3f/../a", "/b"),
            ("/b%2500.png", "/b"),
            ("/a/%252e%252e/b", "/b"),
            ("/a/%25252e%25252e/b", "/b"),
            ("/a/%25%32%65./b", "/b"),
            ("/a%252f..%252fb", "/b"),
            ("/a/%25c0%25ae%25c0%25ae/b", "/b"),
            ("/a/%25e0%2580%25ae%252e/b", "/b"),
            ("/a/%25f0%2580%2580%25ae%252e/b", "/b"),
            ("/a/%25u002e%25u002e/b", "/b"),
            ("/a/%25uff0e%25uff0e/b", "/b"),
            ("/a/..%20/b", "/b"),
            ("/a/%20../b", "/b"),
            ("/a/..%c2%a0/b", "/b"),
            ("/a/..%e2%80%8b/b", "/b"),
            ("/a/..%2509/b", "/b"),
            ("/a/.%20./b", "/b"),
            ("/a/.../b", "/b"),
            ("/a/.../b", "/a/b"),
            ("/b.", "/b"),
            ("/b%20", "/b"),
            ("/b%20.", "/b"),
            ("/a/%ef%bc%8e%ef%bc%8e/b", "/b"),
            ("/a/‥/b", "/b"),
            ("/a／..／b", "/b"),
            ("/a＼..＼b", "/b"),
            ("/ｂ", "/b"),
            ("/％６２", "/b"),
            ("/b＃/x", "/b"),
            ("/b？x", "/b"),
            ("/b；x", "/b"),
        ] {
            let all = read(raw, EncodedSlash::Separates);
            assert!(all.iter().any(|path| path == reading), "{raw}: {all:?}");
        }
    }

    #[test]
    fn odd_looks_that_have_no_other_reading() {
        for raw in ["/caf%C3%A9", "/a%20b", "/100%25", "/50%25off", "/a%7Cb", "/%5Ba%5D", "/日本", "/a%22", "/%41"] {
            assert_eq!(read(raw, EncodedSlash::Separates), Vec::<String>::new(), "{raw}");
        }
    }

    #[test]
    fn an_encoded_slash_can_be_a_character_of_its_segment() {
        assert_eq!(read("/a%2Fb", EncodedSlash::InSegment), Vec::<String>::new());
        assert!(read("/a%2F..%5Cb", EncodedSlash::InSegment).contains(&"/a%2F../b".to_owned()));
    }

    #[test]
    fn too_many_readings_are_refused_rather_than_looked_at() {
        let kitchen_sink = "/a;b/%253b/..;/%252f/%5c/%ef%bc%8e/%20x/y./.../%23/%3f//%2500%25c0%25af";
        let long = format!("/{}", "a%2f".repeat(20_000));
        for raw in [kitchen_sink, &long] {
            let path = CanonicalPath::parse(raw).unwrap();
            assert_eq!(readings(path.as_str(), EncodedSlash::Separates), Err(TooManyReadings), "{raw}");
        }
    }

    #[test]
    fn a_reading_says_how_it_came_about() {
        let all = readings("/a%2F../b", EncodedSlash::Separates).unwrap();
        let reading = all.iter().find(|reading| reading.path == "/b").unwrap();
        assert_eq!(reading.how, [ENCODED_SLASH, "dot segments resolved"]);
    }
}
