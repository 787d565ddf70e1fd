//! Upstreams: HTTP/1.1 servers that record every request byte for byte and answer by script. One thread a connection.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::client::{Conn, Head, Response};
use super::{PATIENCE, eventually};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// The request target, raw.
    pub target: String,
    pub head: Head,
    /// The body, when the script left reading it to the server.
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Number of the connection it came by, from 0.
    pub connection: usize,
}

impl Seen {
    /// The only field of this name.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.one(name)
    }

    /// The names of all fields in lower case, with `_` read as `-`.
    pub fn folded_names(&self) -> Vec<String> {
        self.head.fields.iter().map(|(name, _)| name.to_ascii_lowercase().replace('_', "-")).collect()
    }

    fn json(&self) -> Value {
        json!({"method": self.method, "target": self.target, "body": self.body.len(), "fields": self.head.fields})
    }
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    open: AtomicUsize,
    accepted: AtomicUsize,
    stop: AtomicBool,
    conns: Mutex<Vec<TcpStream>>,
}

/// A listening upstream. Dropping it closes the port and every connection.
pub struct Upstream {
    pub address: SocketAddr,
    state: Arc<State>,
}

/// Says how a connection goes on after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Keep,
    Close,
}

type Outcome = io::Result<Then>;
type Wrap = dyn Fn(TcpStream) -> io::Result<Conn> + Send + Sync;
type Script = dyn Fn(&Seen, &mut Conn) -> Outcome + Send + Sync;

struct Behaviour {
    wrap: Box<Wrap>,
    /// Whether bodies are read before the script runs.
    read_body: bool,
    script: Box<Script>,
}

impl Upstream {
    /// Answers 200 with a JSON document that tells what arrived.
    pub fn echo() -> Self {
        Self::start(|seen, conn| respond(conn, 200, "Content-Type: application/json\r\n", seen.json().to_string()))
    }

    /// Answers by `script`, which sees each request after its body was read.
    pub fn start(script: impl Fn(&Seen, &mut Conn) -> Outcome + Send + Sync + 'static) -> Self {
        Self::listen(
            loopback(),
            Behaviour { wrap: Box::new(Conn::over_tcp), read_body: true, script: Box::new(script) },
        )
    }

    /// Answers by `script`, which sees each request as soon as its head is there and reads the body itself.
    pub fn streaming(script: impl Fn(&Seen, &mut Conn) -> Outcome + Send + Sync + 'static) -> Self {
        Self::listen(
            loopback(),
            Behaviour { wrap: Box::new(Conn::over_tcp), read_body: false, script: Box::new(script) },
        )
    }

    /// As [`Upstream::start`], over whatever `wrap` makes of an accepted socket.
    pub fn wrapped(
        wrap: impl Fn(TcpStream) -> io::Result<Conn> + Send + Sync + 'static,
        script: impl Fn(&Seen, &mut Conn) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self::listen(loopback(), Behaviour { wrap: Box::new(wrap), read_body: true, script: Box::new(script) })
    }

    /// As [`Upstream::start`], on an address that something listened on before.
    pub fn again_on(address: SocketAddr, script: impl Fn(&Seen, &mut Conn) -> Outcome + Send + Sync + 'static) -> Self {
        let listener = eventually("the port is free again", PATIENCE, || TcpListener::bind(address).ok());
        Self::listen(listener, Behaviour { wrap: Box::new(Conn::over_tcp), read_body: true, script: Box::new(script) })
    }

    fn listen(listener: TcpListener, behaviour: Behaviour) -> Self {
        let address = listener.local_addr().expect("a bound socket");
        let state = Arc::new(State::default());
        let (shared, behaviour) = (Arc::clone(&state), Arc::new(behaviour));
        thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                if shared.stop.load(Ordering::SeqCst) {
                    break;
                }
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                shared.conns.lock().expect("no panic while held").extend(tcp.try_clone());
                let (state, behaviour) = (Arc::clone(&shared), Arc::clone(&behaviour));
                thread::spawn(move || {
                    // A peer that goes away ends its connection, not the server.
                    serve(tcp, number, &state, &behaviour).ok();
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, state }
    }

    /// Every request so far, in the order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("no panic while held").clone()
    }

    /// The only request since the last call, which it forgets.
    #[track_caller]
    pub fn only(&self) -> Seen {
        let mut all = self.drain();
        assert_eq!(all.len(), 1, "the upstream got {all:?}");
        all.remove(0)
    }

    /// Every request since the last call, which it forgets.
    pub fn drain(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.state.seen.lock().expect("no panic while held"))
    }

    /// What is wrong with the gateway's answer or with what reached this upstream, of whose requests nothing was drained before:
    /// `expected` is `allow`, or a denial code.
    pub fn misjudged(&self, name: &str, answer: &Response, expected: &str) -> Option<String> {
        let (got, arrived) = (answer.verdict(), self.drain().len());
        let wrong = got != expected || arrived != usize::from(expected == "allow");
        wrong.then(|| format!("- {name}: wanted {expected}, got {} {got}, {arrived} upstream", answer.status))
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Connections that were ever opened.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// `[upstreams.NAME]` for this server.
    pub fn toml(&self, name: &str) -> String {
        format!("[upstreams.{name}]\nservers = [\"http://{}\"]\n", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then closes the port.
        TcpStream::connect(self.address).ok();
        for conn in self.state.conns.lock().expect("no panic while held").drain(..) {
            conn.shutdown(std::net::Shutdown::Both).ok();
        }
    }
}

fn serve(tcp: TcpStream, number: usize, state: &State, behaviour: &Behaviour) -> io::Result<()> {
    let mut conn = (behaviour.wrap)(tcp)?;
    conn.patience(PATIENCE * 4);
    while let Some(head) = conn.try_head()? {
        let mut words = head.start.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut seen = Seen { method, target, head, body: Vec::new(), trailers: Vec::new(), connection: number };
        if behaviour.read_body {
            if seen.head.all("expect").iter().any(|value| value.eq_ignore_ascii_case("100-continue")) {
                conn.try_send("HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let mut body = Vec::new();
            let read = conn.body(&seen.head, &mut |bytes| body.extend_from_slice(bytes));
            seen.body = body;
            let complete = matches!(&read, Ok((_, true)));
            seen.trailers = read.map(|(trailers, _)| trailers).unwrap_or_default();
            state.seen.lock().expect("no panic while held").push(seen.clone());
            if !complete {
                return Ok(());
            }
        } else {
            state.seen.lock().expect("no panic while held").push(seen.clone());
        }
        if (behaviour.script)(&seen, &mut conn)? == Then::Close {
            conn.hang_up();
            return Ok(());
        }
    }
    Ok(())
}

/// A listener on a port that the system chooses.
pub fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("loopback has a free port")
}

/// An address that refuses connections: it was free a moment ago. Its port is below those that the system gives out by itself,
/// so that no other server and no connection of this machine gets it before it is used.
pub fn nobody() -> SocketAddr {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let start = std::process::id() as usize * 61;
    loop {
        let port = 20_000 + (start + COUNT.fetch_add(1, Ordering::SeqCst)) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("below 32,000")));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A whole response with its Content-Length; `fields` are lines that end in CRLF.
pub fn respond(conn: &mut Conn, status: u16, fields: &str, body: impl AsRef<[u8]>) -> Outcome {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} Scripted\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    conn.try_send([head.as_bytes(), body].concat())?;
    Ok(Then::Keep)
}

/// One chunk of a chunked body.
pub fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
