//! Text that somebody else wrote, made fit for a terminal: no control sequence, no reversed writing, no endless line.

use std::fmt::Write as _;

use serde_json::Value;

/// Characters of a foreign text that are shown.
const MAX: usize = 400;

/// `text` with everything escaped that would not print as one plain character, and cut to a bearable length.
pub(super) fn shown(text: &str) -> String {
    let mut safe: String = text.chars().take(MAX).map(escaped).collect();
    if text.chars().nth(MAX).is_some() {
        safe.push_str("...");
    }
    safe
}

fn escaped(c: char) -> String {
    if prints(c) { c.to_string() } else { c.escape_default().to_string() }
}

/// Whether `c` stands for itself on a terminal. Quotes and backslashes do.
fn prints(c: char) -> bool {
    matches!(c, ' '..='~') || (!c.is_ascii() && c.escape_debug().len() == 1)
}

/// `value` as indented JSON and a line end, pure in the same way: what would not print is written as `\uXXXX`, which is
/// the same JSON.
pub(super) fn json(value: &Value) -> String {
    let plain = format!("{value:#}\n");
    let mut safe = String::with_capacity(plain.len());
    for c in plain.chars() {
        if c == '\n' || prints(c) {
            safe.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_move_the_cursor_or_reverse_the_line_is_escaped() {
        let cases = [
            ("plain \"text\" \\", "plain \"text\" \\"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\r\nb", "a\\r\\nb"),
            ("\u{202e}evil", "\\u{202e}evil"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("Zugang f\u{fc}r \u{4f60}", "Zugang f\u{fc}r \u{4f60}"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown(&"x".repeat(9999)).len(), MAX + 3);
    }

    proptest! {
        #[test]
        fn json_stays_the_same_and_prints(text in ".*") {
            let written = json(&json!({ "k": text }));
            prop_assert!(written.chars().all(|c| c == '\n' || prints(c)));
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), json!({ "k": text }));
        }
    }
}
