//! `application/x-www-form-urlencoded`, read strictly: broken escapes, text that is not UTF-8 and repeated parameters
//! are refused (RFC 6749, section 3.2 and appendix B), so that no two readers can see two different requests.

use super::errors::{ErrorCode, OauthError};

/// More parameters than any request of ours has.
const MAX_PARAMETERS: usize = 64;
/// Parameters that may come more than once (RFC 8707, section 2; RFC 8693, section 2.1).
const REPEATABLE: &[&str] = &["resource", "audience"];

/// The parameters of one request; those without a value count as absent (RFC 6749, section 3.2).
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a whole body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, OauthError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for piece in body.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
            let (name, value) = parameter(piece)?;
            if !REPEATABLE.contains(&name.as_str()) && pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(ErrorCode::InvalidRequest.because(format!("the parameter {name} came more than once")));
            }
            if pairs.len() == MAX_PARAMETERS {
                return Err(ErrorCode::InvalidRequest.because("there are too many parameters"));
            }
            pairs.push((name, value));
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }

    /// All parameters, in their order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter that comes once at most.
    pub(super) fn get(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    /// The names of the parameters that have a value.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// All values of a parameter.
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn parameter(piece: &[u8]) -> Result<(String, String), OauthError> {
    let (name, value) = match piece.iter().position(|byte| *byte == b'=') {
        Some(at) => (&piece[..at], &piece[at + 1..]),
        None => (piece, &piece[..0]),
    };
    decode(name)
        .zip(decode(value))
        .ok_or_else(|| ErrorCode::InvalidRequest.because("the body is not a well-formed form in UTF-8"))
}

/// Undoes form encoding: `+` is a blank, `%XX` a byte of UTF-8. `None` when the text is not well-formed.
pub(super) fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (&[high, low], after) = rest.split_first_chunk()?;
                rest = after;
                hex(high)? << 4 | hex(low)?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_are_read_strictly() {
        let form = Form::parse(b"&a=1+2%2b&empty=&bare&resource=x&resource=y&z=%C3%AB&").unwrap();
        assert_eq!(form.get("a"), Some("1 2+"));
        assert_eq!((form.get("empty"), form.get("bare")), (None, None));
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(form.get("z"), Some("\u{eb}"));
        let many = vec!["p"; 65].iter().enumerate().map(|(n, p)| format!("{p}{n}=")).collect::<Vec<_>>().join("&");
        for bad in ["a=1&a=2", "a=&a=1", "a=1&%61=2", "a=%", "a=%2", "a=%zz", "a=%ff", &many] {
            assert!(Form::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in ".*") {
            let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            prop_assert_eq!(decode(encoded.as_bytes()), Some(text));
        }

        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Form::parse(&body);
        }
    }
}
