//! Keeps secrets out of excerpts. Two nets: the spans of values that the reader knows to be secrets, and a look at the
//! text itself, because a secret also stands in lines that are broken or whose key is misspelt.
//!
//! Every masked byte becomes one `*`, so places stay what they were; the length of a secret is not kept secret.

use super::Span;

/// Parts of a key that make its value a secret, misspelt or not.
const SECRET_WORDS: [&str; 8] =
    ["secret", "passw", "pasw", "pwd", "private_key", "redis_url", "credential", "token_value"];

/// Keys whose values hold a secret when written inline.
const SECRET_KEYS: [&str; 5] = ["secret", "client_secret", "password", "private_key", "redis_url"];

/// Keys that look like secrets and hold none.
const OPEN_KEYS: [&str; 2] = ["credential", "private_key_file"];

/// The text with everything that may be a secret masked.
#[must_use]
pub fn mask(text: &str, known: &[Span]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    known.iter().for_each(|span| cover(&mut bytes, text, span));
    for span in suspicious(text) {
        cover(&mut bytes, text, &span);
    }
    // Only whole characters were replaced, so this is UTF-8; if not, better nothing than a secret.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Masks the characters of `span`; line ends and the quotes at its ends stay.
fn cover(bytes: &mut [u8], text: &str, span: &Span) {
    let Some(value) = text.get(span.clone()) else { return };
    let quotes = value.len() - value.trim_start_matches(['"', '\'']).len();
    let closing = if quotes == value.len() { 0 } else { value.len() - value.trim_end_matches(['"', '\'']).len() };
    for byte in &mut bytes[span.start + quotes..span.end - closing] {
        if !matches!(byte, b'\n' | b'\r') {
            *byte = b'*';
        }
    }
}

/// Values of keys that sound like secrets, and user information in URLs.
fn suspicious(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    for (equals, _) in text.match_indices('=') {
        let key = key_before(&text[..equals]);
        if sounds_secret(key) {
            let value = value_after(text, equals + 1);
            spans.extend(value.filter(|value| !is_key_file(key, &text[value.clone()])));
        }
    }
    for (slashes, _) in text.match_indices("://") {
        spans.extend(user_information(text, slashes + 3));
    }
    spans
}

fn key_before(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t', '"', '\'']);
    let start = text.rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').map_or(0, |at| at + 1);
    // `rfind` gives the first byte of a character that may be longer than one.
    text.get(start..).unwrap_or_default()
}

/// Whether a key, perhaps misspelt, names a secret.
fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let spelt = SECRET_WORDS.iter().any(|word| key.contains(word));
    let misspelt = key.len() >= 4 && SECRET_KEYS.iter().any(|right| strsim::damerau_levenshtein(&key, right) <= 2);
    (spelt || misspelt) && !OPEN_KEYS.contains(&&*key)
}

/// Whether a private key is named by its file, as it should be, rather than pasted in.
fn is_key_file(key: &str, value: &str) -> bool {
    key == "private_key" && value.len() < 256 && !value.contains(['\n', ' ']) && !value.contains("-----")
}

/// What follows an equals sign: a quoted string, else what there is up to the end of the line or element. A table
/// (`{ file = "..." }`) is not a secret.
fn value_after(text: &str, from: usize) -> Option<Span> {
    let blank = text[from..].len() - text[from..].trim_start_matches([' ', '\t']).len();
    let start = from + blank;
    let rest = &text[start..];
    if rest.starts_with('{') {
        return None;
    }
    for (open, multi_line) in [("\"\"\"", true), ("'''", true), ("\"", false), ("'", false)] {
        if let Some(inside) = rest.strip_prefix(open) {
            let reach = if multi_line { inside } else { inside.lines().next().unwrap_or_default() };
            return Some(start..start + open.len() + closing(reach, open));
        }
    }
    let length = rest.find(['\n', '\r', ',', '}', '#']).unwrap_or(rest.len());
    Some(start..start + length)
}

/// Bytes up to and with the closing quotes; all when there are none.
fn closing(inside: &str, quotes: &str) -> usize {
    let escapes = quotes.starts_with('"');
    let mut at = 0;
    while let Some(rest) = inside.get(at..) {
        if rest.is_empty() {
            break;
        }
        if rest.starts_with(quotes) {
            return at + quotes.len();
        }
        let skip = usize::from(escapes && rest.starts_with('\\'));
        at += rest.chars().take(1 + skip).map(char::len_utf8).sum::<usize>();
    }
    inside.len()
}

fn user_information(text: &str, from: usize) -> Option<Span> {
    let rest = &text[from..];
    let authority = &rest[..rest.find(['/', '?', '#', '"', '\'', ' ', '\n', '\r', '\t']).unwrap_or(rest.len())];
    authority.rfind('@').map(|at| from..from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_sounds_secret_is_shown() {
        let cases = [
            ("secret = \"hunter2\"", "secret = \"*******\""),
            ("password = 'hunter2' # why", "password = '*******' # why"),
            ("pasword = \"hunter2\"", "pasword = \"*******\""),
            ("\"client_secret\" = \"hun\\\"ter\" x", "\"client_secret\" = \"********\" x"),
            ("a = { id = \"web\", secret = \"abc\", b = 1 }", "a = { id = \"web\", secret = \"***\", b = 1 }"),
            ("password = hunter2\nnext = 1", "password = *******\nnext = 1"),
            ("secret = \"unclosed\nnext = 1", "secret = \"********\nnext = 1"),
            ("secret = \"\"\"two\nlines\"\"\"\nx = 1", "secret = \"\"\"***\n*****\"\"\"\nx = 1"),
            ("redis_url = \"redis://u:p@h/0\"", "redis_url = \"***************\""),
            ("servers = [\"http://u:p@h:1\"]", "servers = [\"http://***@h:1\"]"),
            ("client_secret = { env = \"NAME\" }", "client_secret = { env = \"NAME\" }"),
            ("private_key = \"tls/key.pem\"", "private_key = \"tls/key.pem\""),
            ("private_key = \"-----BEGIN X\"", "private_key = \"************\""),
            ("credential = \"pass\"", "credential = \"pass\""),
            ("secrét = \"pässword\"", "secrét = \"*********\""),
        ];
        for (text, shown) in cases {
            assert_eq!(mask(text, &[]), shown);
        }
    }

    #[test]
    fn known_spans_are_masked_whatever_their_key() {
        assert_eq!(mask("x = \"abc\" y", std::slice::from_ref(&(4..9))), "x = \"***\" y");
        assert_eq!(mask("x = 123", std::slice::from_ref(&(4..7))), "x = ***");
    }
}
