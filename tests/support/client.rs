//! A raw HTTP/1.1 peer: sends the bytes that it is given and reads messages strictly, so that a malformed answer fails
//! the test instead of being read kindly. Reads requests too, for [`super::upstream`].

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::PATIENCE;

/// A byte stream: TCP, or TLS over it.
pub trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// One connection, from either end.
pub struct Conn {
    wire: Box<dyn Wire>,
    tcp: TcpStream,
    buffer: Vec<u8>,
}

/// The head of a message: its start line and its fields, spelled as they came.
#[derive(Debug, Clone)]
pub struct Head {
    pub start: String,
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The values of all fields of this name, case ignored, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The value of the only field of this name.
    #[track_caller]
    pub fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} came {} times: {all:?}", all.len());
        all.first().copied()
    }

    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.strip_suffix("\r\n\r\n").ok_or_else(|| bad("head without end"))?.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(|| bad(&format!("no field: {line:?}")))?;
            if name.is_empty() || name.contains([' ', '\t', '\n', '\r']) || value.contains(['\n', '\r', '\0']) {
                return Err(bad(&format!("no field: {line:?}")));
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        Ok(Self { start, fields })
    }

    fn length(&self) -> io::Result<Option<u64>> {
        let lengths = self.all("content-length");
        match lengths.as_slice() {
            [] => Ok(None),
            [one] => one.parse().map(Some).map_err(|_| bad(&format!("content-length {one:?}"))),
            many => Err(bad(&format!("several content-length: {many:?}"))),
        }
    }

    fn chunked(&self) -> bool {
        self.all("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked"))
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Whether the end of the body was marked as the framing demands, rather than by a broken connection.
    pub complete: bool,
}

impl Response {
    /// The only field of this name.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.one(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The denial code of a problem document; empty when this is none.
    pub fn code(&self) -> String {
        let problem = self.header("content-type") == Some("application/problem+json");
        let body = self.json();
        if problem { body["code"].as_str().unwrap_or_default().to_owned() } else { String::new() }
    }

    /// What a gateway decided: `allow`, or the denial code.
    pub fn verdict(&self) -> String {
        if self.status == 200 { "allow".to_owned() } else { self.code() }
    }

    /// The parameters of the challenge of this scheme, when there is one.
    pub fn challenge(&self, scheme: &str) -> Option<Vec<(String, String)>> {
        let prefix = format!("{scheme} ");
        let found = self.head.all("www-authenticate").into_iter().find(|value| {
            value.eq_ignore_ascii_case(scheme)
                || value.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(&prefix))
        })?;
        Some(challenge_parameters(found.get(prefix.len()..).unwrap_or_default()))
    }

    /// One parameter of the Bearer challenge.
    pub fn bearer(&self, parameter: &str) -> Option<String> {
        self.challenge_parameter("Bearer", parameter)
    }

    /// One parameter of the challenge of this scheme.
    pub fn challenge_parameter(&self, scheme: &str, parameter: &str) -> Option<String> {
        let parameters = self.challenge(scheme)?;
        parameters.into_iter().find(|(name, _)| name == parameter).map(|(_, value)| value)
    }
}

/// Splits `a="b", c="d \" e"`. Everything that is not such a list is kept as a parameter named `?`.
fn challenge_parameters(mut text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    while !text.is_empty() {
        let Some((name, rest)) = text.split_once("=\"") else {
            parameters.push(("?".to_owned(), text.to_owned()));
            break;
        };
        let (mut value, mut chars) = (String::new(), rest.char_indices());
        let end = loop {
            match chars.next() {
                Some((_, '\\')) => value.extend(chars.next().map(|(_, c)| c)),
                Some((at, '"')) => break at + 1,
                Some((_, c)) => value.push(c),
                None => break rest.len(),
            }
        };
        parameters.push((name.trim().to_ascii_lowercase(), value));
        text = rest[end..].trim_start_matches([',', ' ']);
    }
    parameters
}

fn bad(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl Conn {
    /// Connects in cleartext.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Connects in cleartext, or says why not.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        Self::over_tcp(TcpStream::connect_timeout(&address, PATIENCE)?)
    }

    /// Takes an accepted or connected socket.
    pub fn over_tcp(tcp: TcpStream) -> io::Result<Self> {
        let wire = tcp.try_clone()?;
        Self::over(Box::new(wire), tcp)
    }

    /// Takes a stream that runs over `tcp`.
    pub fn over(wire: Box<dyn Wire>, tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { wire, tcp, buffer: Vec::new() })
    }

    /// The address of the other end.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }

    /// Longest wait of one read or write.
    pub fn patience(&mut self, patience: Duration) {
        let set = self.tcp.set_read_timeout(Some(patience)).and(self.tcp.set_write_timeout(Some(patience)));
        set.expect("a timeout that is not zero");
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the peer takes bytes");
    }

    /// Sends bytes as they are, or says why the peer does not take them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write_all(bytes.as_ref())?;
        self.wire.flush()
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) {
        // The peer may have closed first; then there is nothing left to say.
        self.tcp.shutdown(Shutdown::Write).ok();
    }

    /// Closes both directions at once.
    pub fn hang_up(self) {
        self.tcp.shutdown(Shutdown::Both).ok();
    }

    /// The socket for another protocol, with what was read beyond the last message.
    pub fn detach(&mut self) -> io::Result<(TcpStream, Vec<u8>)> {
        Ok((self.tcp.try_clone()?, std::mem::take(&mut self.buffer)))
    }

    /// Some bytes: what is buffered, else one read. Empty at the end of the stream.
    pub fn read_some(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Whether the peer closes without sending another byte; a reset counts as closing, silence does not.
    pub fn is_closed(&mut self) -> bool {
        match self.read_some() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 64 * 1024];
        let read = loop {
            match self.wire.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// The next head; `None` when the peer closed before its first byte.
    pub fn try_head(&mut self) -> io::Result<Option<Head>> {
        let mut searched = 0;
        loop {
            let from = searched;
            if let Some(at) = self.buffer[from..].windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.take(from + at + 4);
                return Head::parse(&head).map(Some);
            }
            searched = self.buffer.len().saturating_sub(3);
            if self.fill()? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(bad("closed inside a head")) };
            }
        }
    }

    /// The next head.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        self.try_head().expect("a well-formed head").expect("a head before the end of the stream")
    }

    /// Reads a body with the framing of `head`, handing every piece to `sink`. Returns the trailers, and whether the
    /// body came to its proper end. A request without framing has no body.
    pub fn body(&mut self, head: &Head, sink: &mut dyn FnMut(&[u8])) -> io::Result<(Vec<(String, String)>, bool)> {
        if head.chunked() {
            return self.chunks(sink);
        }
        match head.length()? {
            Some(length) => Ok((Vec::new(), self.exactly(length, sink)?)),
            None if !head.start.starts_with("HTTP/") => Ok((Vec::new(), true)),
            None => self.until_close(sink),
        }
    }

    fn until_close(&mut self, sink: &mut dyn FnMut(&[u8])) -> io::Result<(Vec<(String, String)>, bool)> {
        loop {
            let bytes = self.read_some()?;
            if bytes.is_empty() {
                return Ok((Vec::new(), true));
            }
            sink(&bytes);
        }
    }

    fn exactly(&mut self, mut length: u64, sink: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        while length > 0 {
            if self.buffer.is_empty() && self.fill_or_end()? == 0 {
                return Ok(false);
            }
            let now = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            sink(&self.take(now));
            length -= now as u64;
        }
        Ok(true)
    }

    fn fill_or_end(&mut self) -> io::Result<usize> {
        match self.fill() {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Err(error),
            Err(_) => Ok(0),
            read => read,
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(at + 2);
                return Ok(Some(String::from_utf8_lossy(&line[..at]).into_owned()));
            }
            if self.fill_or_end()? == 0 {
                return Ok(None);
            }
        }
    }

    fn chunks(&mut self, sink: &mut dyn FnMut(&[u8])) -> io::Result<(Vec<(String, String)>, bool)> {
        loop {
            let Some(size) = self.line()? else { return Ok((Vec::new(), false)) };
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| bad(&format!("chunk size {size:?}")))?;
            if size == 0 {
                break;
            }
            if !self.exactly(size, sink)? {
                return Ok((Vec::new(), false));
            }
            match self.line()?.as_deref() {
                Some("") => {}
                None => return Ok((Vec::new(), false)),
                Some(other) => return Err(bad(&format!("{other:?} after a chunk"))),
            }
        }
        let mut trailers = Vec::new();
        while let Some(line) = self.line()? {
            let Some((name, value)) = line.split_once(':') else { return Ok((trailers, line.is_empty())) };
            trailers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok((trailers, false))
    }

    /// The final response to a request of `method`; interim ones (but 101) are skipped.
    pub fn try_response(&mut self, method: &str) -> io::Result<Response> {
        let (status, head) = loop {
            let head = self.try_head()?.ok_or_else(|| bad("closed before a response"))?;
            let status = status_of(&head)?;
            if status == 101 || status >= 200 {
                break (status, head);
            }
        };
        let mut body = Vec::new();
        let empty = method == "HEAD" || matches!(status, 101 | 204 | 304);
        let (trailers, complete) =
            if empty { (Vec::new(), true) } else { self.body(&head, &mut |bytes| body.extend_from_slice(bytes))? };
        Ok(Response { status, head, body, trailers, complete })
    }

    /// The final response to a request of `method`.
    #[track_caller]
    pub fn response(&mut self, method: &str) -> Response {
        self.try_response(method).expect("a well-formed response")
    }

    /// Sends a request and reads its response; the connection can be used again.
    #[track_caller]
    pub fn call(&mut self, request: &Request) -> Response {
        self.send(request.bytes());
        self.response(&request.method)
    }
}

/// The status code of a response head.
pub fn status_of(head: &Head) -> io::Result<u16> {
    let mut words = head.start.splitn(3, ' ');
    match (words.next(), words.next().map(str::parse)) {
        (Some("HTTP/1.1" | "HTTP/1.0"), Some(Ok(status))) => Ok(status),
        _ => Err(bad(&format!("no status line: {:?}", head.start))),
    }
}

/// A request to be written as it is: nothing is escaped, checked or put in order.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The Host that requests name unless they are told another.
pub const HOST: &str = "api.test";

impl Request {
    /// A request with `Host: api.test`.
    pub fn new(method: &str, target: &str) -> Self {
        let host = ("Host".to_owned(), HOST.to_owned());
        Self { method: method.into(), target: target.into(), fields: vec![host], body: Vec::new() }
    }

    /// A GET request.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Names another Host.
    pub fn host(mut self, host: &str) -> Self {
        self.fields.retain(|(name, _)| name != "Host");
        self.fields.insert(0, ("Host".into(), host.into()));
        self
    }

    /// Adds a field, beside any of the same name.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Adds a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.field("Authorization", &format!("Bearer {token}"))
    }

    /// Adds a token that is bound to its sender, with a proof.
    pub fn dpop(self, token: &str, proof: &str) -> Self {
        self.field("Authorization", &format!("DPoP {token}")).field("DPoP", proof)
    }

    /// Adds a body with its Content-Length.
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        let length = body.len().to_string();
        self.field("Content-Length", &length)
    }

    /// What goes over the wire; characters up to U+00FF are sent as that byte.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.fields {
            write!(head, "{name}: {value}\r\n").expect("a String takes text");
        }
        head.push_str("\r\n");
        let mut bytes: Vec<u8> =
            head.chars().map(|c| u8::try_from(u32::from(c)).expect("a character up to U+00FF")).collect();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it over a connection of its own.
    #[track_caller]
    pub fn send(&self, address: SocketAddr) -> Response {
        let mut conn = Conn::open(address);
        let sent = conn.try_send(self.bytes());
        // A refusal may close the connection before the body was taken; the response tells.
        conn.try_response(&self.method)
            .unwrap_or_else(|error| panic!("{} {}: {error}; sent: {sent:?}", self.method, self.target))
    }
}
