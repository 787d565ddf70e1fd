//! Texts that a log line will need when their owners are gone, in one buffer that is used again and again.
//!
//! Bounded: a client must not decide how long a line gets, nor how much memory is kept for the next one.

use std::net::IpAddr;

use http::Version;

use super::exchange::Opening;

/// Texts of one line: bytes of all of them in one buffer.
#[derive(Debug)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    places: [Option<(usize, usize)>; FIELDS],
    pub(super) client_ip: Option<IpAddr>,
    pub(super) protocol: &'static str,
}

/// Names a text; the number is its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Method,
    Host,
    Path,
    Detail,
    Issuer,
    Subject,
    Client,
}

const FIELDS: usize = Field::Client as usize + 1;

/// A buffer that grew beyond this is given back.
const KEPT: usize = 8 * 1024;

impl Default for Texts {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(256), places: [None; FIELDS], client_ip: None, protocol: "" }
    }
}

impl Field {
    /// Bytes that are kept; a client must not decide how long a line gets.
    const fn limit(self) -> usize {
        match self {
            Self::Path => 2048,
            Self::Detail => 1024,
            Self::Method => 32,
            Self::Host | Self::Issuer | Self::Subject | Self::Client => 256,
        }
    }
}

impl Texts {
    pub(super) fn open(&mut self, opening: &Opening<'_>) {
        let path = opening.path.as_bytes();
        let end = memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
        self.set(Field::Path, &path[..end]);
        if let Some(host) = opening.host {
            self.set(Field::Host, host);
        }
        self.set(Field::Method, opening.method.as_str().as_bytes());
        self.client_ip = opening.client_ip;
        self.protocol = protocol(opening.version);
    }

    pub(super) fn set(&mut self, field: Field, text: &[u8]) {
        let start = self.bytes.len();
        if text.len() <= field.limit() {
            self.bytes.extend_from_slice(text);
        } else {
            let continues = |&end: &usize| text[end] & 0xc0 == 0x80;
            // At most three steps back, to the start of a letter.
            let end = field.limit() - (0..3).take_while(|back| continues(&(field.limit() - back))).count();
            self.bytes.extend_from_slice(&text[..end]);
            self.bytes.extend_from_slice("…".as_bytes());
        }
        self.places[field as usize] = Some((start, self.bytes.len()));
    }

    pub(super) fn get(&self, field: Field) -> Option<&[u8]> {
        let (start, end) = self.places[field as usize]?;
        self.bytes.get(start..end)
    }

    /// Empties it for another request; whether it is worth keeping.
    pub(super) fn reset(&mut self) -> bool {
        self.bytes.clear();
        self.places = [None; FIELDS];
        self.client_ip = None;
        self.bytes.capacity() <= KEPT
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP",
    }
}
