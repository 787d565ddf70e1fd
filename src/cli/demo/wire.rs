//! The demo's own HTTP client: one request over one loopback connection, as written, and what came back.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long the demo waits for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer, as far as the demo looks at it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

/// What is shown of a line: columns, and rows.
const WIDTH: usize = 88;
const ROWS: usize = 4;

impl Answer {
    /// The body as JSON; null when it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The values of a header field.
    pub(super) fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of a header field.
    pub(super) fn field<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.fields(name).next()
    }

    /// Whether this stands in the body; in JSON, however it is laid out.
    pub(super) fn shows(&self, text: &str) -> bool {
        self.body.contains(text) || self.json().to_string().contains(text)
    }

    /// Status and the beginning of the body, in a few lines.
    pub(super) fn told(&self) -> String {
        let phrase = self.head.lines().next().unwrap_or_default().trim_start_matches("HTTP/1.1 ");
        let json = self.json();
        let text = match (json["code"].as_str(), json["detail"].as_str()) {
            (Some(code), Some(detail)) => format!("{code}: {detail}"),
            _ if json.is_object() => without_tokens(json).to_string(),
            _ => self.body.clone(),
        };
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        match lines.as_slice() {
            [] => phrase.to_owned(),
            [line] if phrase.len() + line.len() < WIDTH => format!("{phrase}  {line}"),
            [line] => format!("{phrase}\n       {}", broken(line)),
            lines => format!("{phrase}\n       {}", lines.join("\n       ")),
        }
    }
}

/// Nobody needs to see a whole token.
fn without_tokens(mut json: Value) -> Value {
    for name in ["access_token", "refresh_token", "id_token"] {
        if let Some(token) = json.get_mut(name) {
            *token = format!("{:.12}...", token.as_str().unwrap_or_default()).into();
        }
    }
    json
}

/// A long line as a few that fit a terminal, broken behind commas.
fn broken(line: &str) -> String {
    let (mut rows, mut row) = (Vec::new(), String::new());
    for piece in line.split_inclusive([',', '&']) {
        if !row.is_empty() && row.len() + piece.len() > WIDTH {
            rows.push(std::mem::take(&mut row));
        }
        row.push_str(piece);
    }
    rows.push(row);
    if rows.len() > ROWS {
        rows.truncate(ROWS);
        rows.push("...".into());
    }
    rows.join("\n       ")
}

/// Sends `request`, and reads until the server closes or `enough` is seen in what came.
pub(super) fn ask(address: SocketAddr, request: &str, enough: Option<&str>) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let (mut came, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let read = stream.read(&mut buffer)?;
        came.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&came);
        if read == 0 || enough.is_some_and(|enough| text.contains(enough)) {
            return parse(&text).ok_or_else(|| io::Error::other(format!("not an HTTP answer: {text:.200}")));
        }
    }
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Some(Answer { status, head: head.to_owned(), body })
}

/// The content of chunks, as far as they came.
fn unchunk(mut text: &str) -> String {
    let mut content = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let end = rest.floor_char_boundary(size.min(rest.len()));
        content.push_str(&rest[..end]);
        text = rest[end..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_in_part() {
        let answer =
            parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\n\r\n")
                .unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "abcdefg"));
        assert_eq!(unchunk("9\r\nabc"), "abc");
        assert_eq!(parse("HTTP/1.1 404 Not Found\r\nx: y\r\n\r\nno").unwrap().body, "no");
        assert!(parse("garbage").is_none());
    }
}
