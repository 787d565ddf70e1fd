//! Durations, sizes and counts. They have units, so that nobody guesses between seconds and milliseconds.

use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::read::{FromToml, Node, Reader, Refusal, Text};

const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
const DURATION: &str = "a duration such as \"10s\" or \"500ms\"";
const DURATION_PATTERN: &str = "^[0-9]+(ms|s|m|h|d)$";

/// How long something may take or last: more than zero, a year at most.
#[derive(Debug, Clone, Copy)]
pub struct Period(pub Duration);

impl Text for Period {
    const EXPECTED: &'static str = DURATION;

    fn parse(text: &str) -> Result<Self, Refusal> {
        match duration(text)? {
            Duration::ZERO => Err(Refusal::new(
                Code::OutOfRange,
                "a duration of zero would end everything at once",
                "write how long to wait; what has no limit has no key",
            )),
            long if long > YEAR => Err(out_of_range(text, "a year at most")),
            fine => Ok(Self(fine)),
        }
    }

    fn hints() -> Json {
        json!({ "pattern": DURATION_PATTERN })
    }
}

/// How far clocks may be apart: zero to ten minutes, because it also is how long an expired token goes on.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance(pub Duration);

impl Text for Tolerance {
    const EXPECTED: &'static str = DURATION;

    fn parse(text: &str) -> Result<Self, Refusal> {
        match duration(text)? {
            long if long > Duration::from_secs(600) => Err(out_of_range(
                text,
                "ten minutes at most: tokens are accepted that long after they expired. Set the clocks by NTP instead",
            )),
            fine => Ok(Self(fine)),
        }
    }

    fn hints() -> Json {
        json!({ "pattern": DURATION_PATTERN })
    }
}

/// What may be remembered for no time at all: zero to a year.
#[derive(Debug, Clone, Copy)]
pub struct Memory(pub Duration);

impl Text for Memory {
    const EXPECTED: &'static str = DURATION;

    fn parse(text: &str) -> Result<Self, Refusal> {
        match duration(text)? {
            long if long > YEAR => Err(out_of_range(text, "a year at most")),
            fine => Ok(Self(fine)),
        }
    }

    fn hints() -> Json {
        json!({ "pattern": DURATION_PATTERN })
    }
}

fn out_of_range(text: &str, help: &str) -> Refusal {
    Refusal::new(Code::OutOfRange, format!("{text:?} is out of range"), help)
}

fn duration(text: &str) -> Result<Duration, Refusal> {
    let help = "a whole number and one of ms, s, m, h, d: \"500ms\", \"10s\", \"5m\"";
    let bad = || Refusal::new(Code::BadDuration, format!("{text:?} is not a duration"), help);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(bad());
    }
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => {
            let help = format!("say the unit: \"{text}s\" or \"{text}ms\"");
            return Err(Refusal::new(Code::BadDuration, format!("{text:?} has no unit"), help));
        }
        _ => return Err(bad().at(digits..text.len())),
    };
    let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
    total.map(Duration::from_millis).ok_or_else(|| out_of_range(text, "a year at most"))
}

/// Bytes: more than zero.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub u64);

impl FromToml for Size {
    fn expected() -> String {
        "a size: an integer of bytes, or a text such as \"64KiB\"".into()
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let read = match node.get_ref() {
            DeValue::Integer(_) => return integer(node, 1..=i64::MAX.unsigned_abs(), reader).map(Self),
            DeValue::String(text) => size(text),
            _ => {
                reader.wrong_type(node, &Self::expected());
                return None;
            }
        };
        read.map_err(|refusal| reader.refuse(node, refusal)).ok()
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": "^[0-9]+(B|KB|MB|GB|KiB|MiB|GiB)?$" },
        ] })
    }
}

fn size(text: &str) -> Result<Size, Refusal> {
    let help = "a whole number of bytes, or with one of KiB, MiB, GiB, KB, MB, GB: \"64KiB\"";
    let bad = || Refusal::new(Code::BadSize, format!("{text:?} is not a size"), help);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(bad());
    }
    let (number, unit) = text.split_at(digits);
    let bytes: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(bad().at(digits..text.len())),
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(bytes)) {
        Some(0) => Err(Refusal::new(
            Code::OutOfRange,
            "a size of zero would let nothing through",
            "leave the key out to get the default",
        )),
        Some(size) if i64::try_from(size).is_ok() => Ok(Size(size)),
        _ => Err(out_of_range(text, "8 EiB at most")),
    }
}

/// How many: from 1 to `MOST`.
#[derive(Debug, Clone, Copy)]
pub struct Count<const MOST: usize>(pub usize);

impl<const MOST: usize> FromToml for Count<MOST> {
    fn expected() -> String {
        format!("a whole number from 1 to {MOST}")
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Integer(_) = node.get_ref() else {
            reader.wrong_type(node, &Self::expected());
            return None;
        };
        let number = integer(node, 1..=u64::try_from(MOST).unwrap_or(u64::MAX), reader)?;
        usize::try_from(number).ok().map(Self)
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": MOST })
    }
}

fn integer(node: &Node<'_>, range: std::ops::RangeInclusive<u64>, reader: &mut Reader<'_>) -> Option<u64> {
    let written = node.get_ref().as_integer()?;
    let number = u64::from_str_radix(written.as_str(), written.radix()).ok().filter(|number| range.contains(number));
    if number.is_none() {
        let message = format!("`{}` cannot be {written}", reader.path());
        let help = format!("from {} to {}", range.start(), range.end());
        reader.report(Diagnostic::new(Code::OutOfRange, message).at(&node.span(), "").help(help));
    }
    number
}
