//! The demo's own HTTP client: one request over one loopback connection, as written, and what came back.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the demo waits for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer, as far as the demo looks at it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
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
