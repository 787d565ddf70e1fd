//! Sessions that the browser holds: sealed, and split over cookies where one would be too large for browsers.
//!
//! The cookies are `NAME-0`, `NAME-1` and so on; the first begins with how many there are. A count beyond the limit, a
//! missing piece, a piece that comes twice or a byte that was changed all give the same answer: no session.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::{Jar, KeepError, SameSite, Session};
use crate::secret::seal::Sealer;

/// Characters of one cookie's value; browsers take 4,096 bytes of name, value and attributes together.
const PIECE: usize = 3800;
/// Cookies for one session. More would not fit beside the others into the 16 KiB of request head that servers take.
const MAX_PIECES: usize = 3;

/// See the module.
#[derive(Debug)]
pub struct Sealed {
    sealer: Arc<Sealer>,
}

impl Sealed {
    /// Sessions sealed by `sealer`.
    pub fn new(sealer: Arc<Sealer>) -> Self {
        Self { sealer }
    }

    /// The session of a request: `None` when it has no cookie of one, `Some(None)` when what it has is not one of ours.
    pub fn read(&self, jar: &Jar, headers: &HeaderMap) -> Option<Option<Session>> {
        let first = jar.get(headers, "-0").or_else(|| jar.beginning(headers, "-0").next().map(|_| ""))?;
        Some(self.join(jar, headers, first).and_then(|text| {
            let plain = self.sealer.open(&jar.name(""), &text)?;
            serde_json::from_slice(&plain).ok()
        }))
    }

    fn join(&self, jar: &Jar, headers: &HeaderMap, first: &str) -> Option<String> {
        let (count, start) = first.split_once('.')?;
        let count = (1..=MAX_PIECES).find(|at| *count == at.to_string())?;
        (1..count).try_fold(start.to_owned(), |text, at| Some(text + jar.get(headers, &piece(at))?))
    }

    /// The Set-Cookie fields for a session; pieces that the browser had and that are too many now are taken away.
    pub fn write(&self, jar: &Jar, session: &Session, before: &HeaderMap) -> Result<Vec<HeaderValue>, KeepError> {
        let plain = serde_json::to_vec(session).unwrap_or_default();
        let sealed = self.sealer.seal(&jar.name(""), &plain);
        let max = PIECE * MAX_PIECES;
        if sealed.len() > max {
            return Err(KeepError::TooLarge { bytes: sealed.len(), max });
        }
        let pieces: Vec<&str> =
            (0..sealed.len()).step_by(PIECE).map(|at| &sealed[at..sealed.len().min(at + PIECE)]).collect();
        let values = pieces.iter().enumerate().filter_map(|(at, text)| {
            let value = if at == 0 { format!("{}.{text}", pieces.len()) } else { (*text).to_owned() };
            jar.set(&piece(at), &value, None, SameSite::Lax)
        });
        let leftovers = (pieces.len()..MAX_PIECES).filter(|at| jar.beginning(before, &piece(*at)).next().is_some());
        Ok(values.chain(leftovers.filter_map(|at| jar.clear(&piece(at)))).collect())
    }

    /// The Set-Cookie fields that take away all that the browser has.
    pub fn clear(jar: &Jar, headers: &HeaderMap) -> Vec<HeaderValue> {
        let had = |at: &usize| *at == 0 || jar.beginning(headers, &piece(*at)).next().is_some();
        (0..MAX_PIECES).filter(had).filter_map(|at| jar.clear(&piece(at))).collect()
    }
}

fn piece(at: usize) -> String {
    format!("-{at}")
}
