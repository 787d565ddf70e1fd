//! Lines of the access log: one JSON object, or columns for a person.
//!
//! Promises: a line is one line, whatever a client sent; JSON lines are valid JSON in UTF-8, with every key at most
//! once and absent values left out. What could move a terminal's cursor, break a line or turn the direction of text is
//! escaped; bytes that are not UTF-8 become U+FFFD. There is no field for a query, a header or a credential.

use std::io::{IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::UnixTime;

use super::timestamp::Stamp;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// No lines.
    Off,
    /// One JSON object a line.
    Json,
    /// Columns.
    Pretty {
        /// Whether the status is coloured by its class.
        colour: bool,
    },
}

impl Form {
    /// Columns, coloured when standard output is a terminal and `NO_COLOR` is not set.
    #[must_use]
    pub fn pretty() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self::Pretty { colour: wanted && std::io::stdout().is_terminal() }
    }

    /// Columns on a terminal, else JSON.
    #[must_use]
    pub fn auto() -> Self {
        if std::io::stdout().is_terminal() { Self::pretty() } else { Self::Json }
    }

    pub(super) const fn to_u8(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Json => 1,
            Self::Pretty { colour: false } => 2,
            Self::Pretty { colour: true } => 3,
        }
    }

    pub(super) const fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::Off,
            1 => Self::Json,
            number => Self::Pretty { colour: number == 3 },
        }
    }
}

/// What one line says. Texts of clients are raw bytes; they are escaped as they are written.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "fields are the keys of the line, which docs/metrics.md describes")]
pub struct Line<'a> {
    pub time: UnixTime,
    pub client_ip: Option<IpAddr>,
    pub method: &'a [u8],
    pub host: Option<&'a [u8]>,
    pub path: &'a [u8],
    pub protocol: &'static str,
    /// Zero: there was none.
    pub status: u16,
    pub route: Option<&'a str>,
    pub denial: Option<&'static str>,
    pub detail: Option<&'a [u8]>,
    pub issuer: Option<&'a [u8]>,
    pub subject: Option<&'a [u8]>,
    pub client: Option<&'a [u8]>,
    pub upstream: Option<&'a str>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub duration: Duration,
    pub upstream_duration: Option<Duration>,
    pub token_cache: Option<&'static str>,
    pub aborted: bool,
    pub fault: Option<&'static str>,
}

impl Line<'_> {
    /// A line of this time with everything else absent.
    #[must_use]
    pub const fn at(time: UnixTime) -> Self {
        Self {
            time,
            client_ip: None,
            method: b"",
            host: None,
            path: b"",
            protocol: "",
            status: 0,
            route: None,
            denial: None,
            detail: None,
            issuer: None,
            subject: None,
            client: None,
            upstream: None,
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
            upstream_duration: None,
            token_cache: None,
            aborted: false,
            fault: None,
        }
    }
}

/// Appends the line as one JSON object and a newline.
pub fn write_json(line: &Line<'_>, stamp: &Stamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(&stamp.text(line.time));
    out.push(b'"');
    if let Some(address) = line.client_ip {
        json_key(out, "client_ip");
        out.push(b'"');
        write_address(out, address);
        out.push(b'"');
    }
    json_text(out, "method", Some(line.method));
    json_text(out, "host", line.host);
    json_text(out, "path", Some(line.path));
    json_text(out, "protocol", Some(line.protocol.as_bytes()));
    if line.status != 0 {
        json_number(out, "status", u64::from(line.status));
    }
    json_text(out, "route", line.route.map(str::as_bytes));
    json_text(out, "denial", line.denial.map(str::as_bytes));
    json_text(out, "detail", line.detail);
    json_text(out, "issuer", line.issuer);
    json_text(out, "subject", line.subject);
    json_text(out, "client", line.client);
    json_text(out, "upstream", line.upstream.map(str::as_bytes));
    json_number(out, "bytes_in", line.bytes_in);
    json_number(out, "bytes_out", line.bytes_out);
    json_key(out, "duration_ms");
    write_millis(out, line.duration);
    if let Some(took) = line.upstream_duration {
        json_key(out, "upstream_ms");
        write_millis(out, took);
    }
    json_text(out, "token_cache", line.token_cache.map(str::as_bytes));
    if line.aborted {
        json_key(out, "aborted");
        out.extend_from_slice(b"true");
    }
    json_text(out, "fault", line.fault.map(str::as_bytes));
    out.extend_from_slice(b"}\n");
}

fn json_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn json_text(out: &mut Vec<u8>, key: &str, value: Option<&[u8]>) {
    let Some(value) = value else { return };
    json_key(out, key);
    out.push(b'"');
    escape(out, value, Quotes::Escaped);
    out.push(b'"');
}

fn json_number(out: &mut Vec<u8>, key: &str, value: u64) {
    json_key(out, key);
    write_number(out, value);
}

/// Appends the line as columns and a newline: time, status, method, duration, route, what was asked for; then what
/// there is to say of it.
pub fn write_pretty(line: &Line<'_>, colour: bool, stamp: &Stamp, out: &mut Vec<u8>) {
    let time = stamp.text(line.time);
    out.extend_from_slice(&time[11..23]);
    out.push(b' ');
    write_status(line.status, colour, out);
    out.push(b' ');
    column(out, 7, |out| escape(out, line.method, Quotes::Plain));
    let start = out.len();
    write_millis(out, line.duration);
    out.extend_from_slice(b"ms ");
    right_align(out, start, 12);
    column(out, 16, |out| escape(out, line.route.unwrap_or("-").as_bytes(), Quotes::Plain));
    escape(out, line.host.unwrap_or_default(), Quotes::Plain);
    escape(out, line.path, Quotes::Plain);
    write_remarks(line, out);
    out.push(b'\n');
}

fn write_status(status: u16, colour: bool, out: &mut Vec<u8>) {
    let shade: &[u8] = match status / 100 {
        1 => b"\x1b[36m",
        2 => b"\x1b[32m",
        3 => b"\x1b[34m",
        4 => b"\x1b[33m",
        _ => b"\x1b[31m",
    };
    if colour {
        out.extend_from_slice(shade);
    }
    if status == 0 {
        out.extend_from_slice(b"---");
    } else {
        write_number(out, u64::from(status));
    }
    if colour {
        out.extend_from_slice(b"\x1b[0m");
    }
}

fn write_remarks(line: &Line<'_>, out: &mut Vec<u8>) {
    let mut remark = |name: &str, value: Option<&[u8]>| {
        let Some(value) = value else { return };
        out.extend_from_slice(b"  ");
        out.extend_from_slice(name.as_bytes());
        escape(out, value, Quotes::Plain);
    };
    remark("", line.denial.map(str::as_bytes));
    remark("fault=", line.fault.map(str::as_bytes));
    remark("aborted", line.aborted.then_some(b""));
    remark("sub=", line.subject);
    remark("client=", line.client);
    remark("upstream=", line.upstream.map(str::as_bytes));
    remark("", line.detail);
}

/// Writes a text and fills it up with blanks; a longer text pushes the rest to the right.
fn column(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let filled = out.len() - start;
    out.resize(out.len() + width.saturating_sub(filled) + 1, b' ');
}

/// Moves what was written since `start` to the right end of a column.
fn right_align(out: &mut Vec<u8>, start: usize, width: usize) {
    let missing = width.saturating_sub(out.len() - start);
    out.splice(start..start, std::iter::repeat_n(b' ', missing));
}

fn write_number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Milliseconds with three decimals: the clock's microseconds.
fn write_millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    write_number(out, micros / 1000);
    let part = (micros % 1000) as u16;
    let digit = |unit: u16| b'0' + (part / unit % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(four) => {
            for (position, octet) in four.octets().into_iter().enumerate() {
                if position > 0 {
                    out.push(b'.');
                }
                write_number(out, u64::from(octet));
            }
        }
        IpAddr::V6(six) => {
            write!(out, "{six}").expect("a Vec takes all that is written to it");
        }
    }
}

/// What happens to quotation marks, which mean something in JSON only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Escaped,
    Plain,
}

fn escape(out: &mut Vec<u8>, text: &[u8], quotes: Quotes) {
    if text.iter().all(|&byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        return out.extend_from_slice(text);
    }
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|letter| escape_letter(out, letter, quotes));
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape_letter(out: &mut Vec<u8>, letter: char, quotes: Quotes) {
    match letter {
        '"' if quotes == Quotes::Plain => out.push(b'"'),
        '"' | '\\' => out.extend_from_slice(&[b'\\', letter as u8]),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        letter if misleads(letter) => {
            write!(out, "\\u{:04x}", u32::from(letter)).expect("a Vec takes all that is written to it");
        }
        letter => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Control characters of both sets, line and paragraph separators, and marks that turn or hide text. All of them have
/// four hexadecimal digits.
fn misleads(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn full() -> Line<'static> {
        Line {
            client_ip: Some(IpAddr::from([192, 0, 2, 7])),
            method: b"GET",
            host: Some(b"api.acme.example"),
            path: b"/orders/7",
            protocol: "HTTP/1.1",
            status: 403,
            route: Some("read-orders"),
            denial: Some("insufficient_scope"),
            detail: Some(b"the token lacks the scope \"orders:read\""),
            issuer: Some(b"acme"),
            subject: Some(b"2bd806c97f0e"),
            client: Some(b"web"),
            upstream: Some("orders"),
            bytes_in: 12,
            bytes_out: 345,
            duration: Duration::from_micros(1_250),
            upstream_duration: Some(Duration::from_micros(61_007)),
            token_cache: Some("hit"),
            aborted: true,
            fault: Some("upstream_timeout"),
            ..Line::at(UnixTime::from_millis(1_000_000_000_001))
        }
    }

    fn json(line: &Line<'_>) -> String {
        let mut out = Vec::new();
        write_json(line, &Stamp::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn pretty(line: &Line<'_>, colour: bool) -> String {
        let mut out = Vec::new();
        write_pretty(line, colour, &Stamp::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_key_in_its_order() {
        let expected = concat!(
            r#"{"time":"2001-09-09T01:46:40.001Z","client_ip":"192.0.2.7","method":"GET","#,
            r#""host":"api.acme.example","path":"/orders/7","protocol":"HTTP/1.1","status":403,"route":"read-orders","#,
            r#""denial":"insufficient_scope","detail":"the token lacks the scope \"orders:read\"","issuer":"acme","#,
            r#""subject":"2bd806c97f0e","client":"web","upstream":"orders","bytes_in":12,"bytes_out":345,"#,
            r#""duration_ms":1.250,"upstream_ms":61.007,"token_cache":"hit","aborted":true,"fault":"upstream_timeout"}"#,
            "\n"
        );
        assert_eq!(json(&full()), expected);
    }

    #[test]
    fn the_document_names_every_key() {
        let document = include_str!("../../docs/metrics.md").split_once("## The access log").unwrap().1;
        let rows: String = document.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next()).collect();
        let line: serde_json::Map<String, Value> = serde_json::from_str(&json(&full())).unwrap();
        assert_eq!(line.len(), 21);
        assert!(line.keys().all(|key| rows.contains(&format!("`{key}`"))), "{rows}");
    }

    #[test]
    fn absent_values_are_left_out() {
        let line = Line { method: b"GET", path: b"/", protocol: "HTTP/2", ..Line::at(UnixTime::from_secs(0)) };
        let expected = concat!(
            r#"{"time":"1970-01-01T00:00:00.000Z","method":"GET","path":"/","protocol":"HTTP/2","bytes_in":0,"#,
            r#""bytes_out":0,"duration_ms":0.000}"#,
            "\n"
        );
        assert_eq!(json(&line), expected);
        assert_eq!(pretty(&line, false), "00:00:00.000 --- GET         0.000ms -                /\n");
    }

    #[test]
    fn columns_and_colours() {
        let (plain, coloured) = (pretty(&full(), false), pretty(&full(), true));
        assert_eq!(
            plain,
            "01:46:40.001 403 GET         1.250ms read-orders      api.acme.example/orders/7  insufficient_scope  \
             fault=upstream_timeout  aborted  sub=2bd806c97f0e  client=web  upstream=orders  \
             the token lacks the scope \"orders:read\"\n"
        );
        assert_eq!(coloured, plain.replace(" 403 ", " \x1b[33m403\x1b[0m "));
    }

    #[test]
    fn hostile_texts_stay_inside_their_value() {
        for (raw, shown) in [
            (&b"/a\",\"status\":200,\"x\":\""[..], r#"/a\",\"status\":200,\"x\":\""#),
            (b"/a\r\n{\"time\":\"forged\"}", r#"/a\r\n{\"time\":\"forged\"}"#),
            (b"/back\\slash", r"/back\\slash"),
            (b"/\x00\x1b[2J\x7f\t", r"/\u0000\u001b[2J\u007f\t"),
            ("/\u{9b}31m".as_bytes(), r"/\u009b31m"),
            ("/\u{202e}gnp.exe\u{2028}\u{feff}".as_bytes(), r"/\u202egnp.exe\u2028\ufeff"),
            ("/a\u{200b}b\u{61c}\u{2066}".as_bytes(), r"/a\u200bb\u061c\u2066"),
            (b"/\xff\xc3(", "/\u{fffd}\u{fffd}("),
            ("/grüße/€".as_bytes(), "/grüße/€"),
        ] {
            let line = Line { path: raw, host: Some(raw), ..full() };
            let text = json(&line);
            assert!(text.contains(&format!("\"path\":\"{shown}\"")), "{text}");
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["path"], String::from_utf8_lossy(raw).as_ref());
            assert_eq!(value["status"], 403);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_make_one_valid_line(raw in proptest::collection::vec(any::<u8>(), 0..60)) {
            let line = Line { path: &raw, host: Some(&raw), detail: Some(&raw), method: &raw, ..full() };
            let text = json(&line);
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert!(value["detail"] == String::from_utf8_lossy(&raw).as_ref());
            for text in [text, pretty(&line, false)] {
                prop_assert_eq!(text.chars().filter(|&letter| misleads(letter)).collect::<String>(), "\n");
                prop_assert!(text.ends_with('\n'));
            }
        }
    }

    #[test]
    fn addresses_durations_and_forms() {
        let mut out = Vec::new();
        for address in ["255.0.10.1", "2001:db8::1"] {
            write_address(&mut out, address.parse().unwrap());
            out.push(b' ');
        }
        for micros in [0, 9, 999, 1000, 60_000_001] {
            write_millis(&mut out, Duration::from_micros(micros));
            out.push(b' ');
        }
        assert_eq!(String::from_utf8(out).unwrap(), "255.0.10.1 2001:db8::1 0.000 0.009 0.999 1.000 60000.001 ");
        for form in [Form::Off, Form::Json, Form::Pretty { colour: false }, Form::Pretty { colour: true }] {
            assert_eq!(Form::from_u8(form.to_u8()), form);
        }
    }
}
