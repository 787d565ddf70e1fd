//! The server over real sockets, with a handler that answers by path.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::clock::{Clock, SystemClock};
use crate::observe::metrics::Metrics;

use super::{Handler, Limits, Peer, Tunnels, Workers, bind, start};

#[derive(Default)]
struct Paths {
    tunnels: Tunnels,
    seen: RefCell<u32>,
}

impl Handler for Paths {
    type Connection = Peer;
    type Body = Full<Bytes>;

    fn connected(&self, peer: Peer) -> Peer {
        peer
    }

    async fn handle(self: Rc<Self>, peer: Rc<Peer>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        *self.seen.borrow_mut() += 1;
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        if request.uri().path() == "/endless" {
            return Response::new(vec![b'x'; 64 << 20].into());
        }
        Response::new(format!("{:?} {} {}", request.version(), peer.scheme(), request.uri().path()).into())
    }

    fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    fn tick(&self) {}

    fn finish(&self) {}
}

fn limits() -> Limits {
    Limits {
        header_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(900),
        max_header_bytes: 8192,
        max_headers: 20,
        max_connections: 8,
    }
}

fn serve(limits: &Limits) -> (SocketAddr, Workers) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let metrics = Metrics::new(Arc::clone(&clock));
    let listener = bind(([127, 0, 0, 1], 0).into(), 2, None, &metrics).unwrap();
    let address = listener.address;
    (address, start(vec![listener], 2, limits, &clock, |_| Paths::default()).unwrap())
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Everything until the server closes.
fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is a close as well.
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn requests_on_one_connection_are_answered_in_turn() {
    let (address, workers) = serve(&limits());
    let mut stream = connect(address);
    stream
        .write_all(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let text = rest(stream);
    assert!(text.contains("HTTP/1.1 http /a") && text.contains("HTTP/1.1 http /b"), "{text}");
    workers.drain(Duration::from_secs(5));
}

#[test]
fn a_head_that_trickles_in_is_cut() {
    for first in [&b""[..], b"G", b"PRI * HTTP/2.0\r\n\r", b"GET / HTTP/1.1\r\nhost: x\r\n"] {
        let (address, workers) = serve(&limits());
        let mut stream = connect(address);
        stream.write_all(first).unwrap();
        assert_eq!(rest(stream), "", "{first:?}");
        workers.drain(Duration::from_secs(5));
    }
}

#[test]
fn a_second_head_that_trickles_in_is_cut_but_silence_may_last_as_long_as_idle_timeout() {
    let patient = Limits { idle_timeout: Duration::from_secs(600), ..limits() };
    let (address, workers) = serve(&patient);
    let mut stream = connect(address);
    stream.write_all(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(800));
    stream.write_all(b"GET /b HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    stream.write_all(b"GET /c HTTP/1.1\r\n").unwrap();
    let text = rest(stream);
    assert!(text.contains("/a") && text.contains("/b") && !text.contains("/c"), "{text}");
    workers.drain(Duration::from_secs(5));
}

#[test]
fn an_idle_connection_is_closed() {
    let (address, workers) = serve(&limits());
    let mut stream = connect(address);
    stream.write_all(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(rest(stream).contains("/a"));
    workers.drain(Duration::from_secs(5));
}

#[test]
fn a_request_in_flight_outlives_the_header_timeout_and_the_drain() {
    let (address, workers) = serve(&limits());
    let mut stream = connect(address);
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    workers.drain(Duration::from_secs(5));
    let text = rest(stream);
    assert!(text.contains("/slow") && text.contains("connection: close"), "{text}");
    assert!(TcpStream::connect(address).is_err(), "the listener is closed after the drain");
}

/// Whichever worker the kernel hands a connection to, and however many come at once.
#[test]
fn a_client_that_takes_nothing_of_its_response_is_cut() {
    let (address, workers) = serve(&Limits { max_connections: 1, ..limits() });
    let mut first = connect(address);
    first.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    first.read_exact(&mut [0; 1]).unwrap();
    let mut second = connect(address);
    second.write_all(b"GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    assert!(rest(second).contains("/b"), "there is room again");
    assert!(rest(first).len() < 64 << 20, "it did not come to its end");
    workers.drain(Duration::from_secs(5));
}

#[test]
fn connections_over_the_limit_wait_until_one_ends() {
    let limit = 3;
    let (address, workers) =
        serve(&Limits { max_connections: limit, idle_timeout: Duration::from_secs(600), ..limits() });
    let mut held: Vec<TcpStream> = (0..20).map(|_| connect(address)).collect();
    for stream in &mut held {
        stream.write_all(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    }
    let answered = |held: &mut Vec<TcpStream>| {
        std::thread::sleep(Duration::from_millis(100));
        held.extract_if(.., |stream| {
            stream.set_nonblocking(true).unwrap();
            stream.read(&mut [0; 256]).is_ok_and(|read| read > 0)
        })
        .collect::<Vec<TcpStream>>()
    };
    for _ in 0..100 {
        let now = answered(&mut held);
        assert!(now.len() <= limit, "{} are served at once", now.len());
        if held.is_empty() {
            break;
        }
    }
    assert_eq!(held.len(), 0, "all get their turn");
    workers.drain(Duration::from_secs(5));
}

#[test]
fn http2_is_told_by_its_preface_even_byte_by_byte() {
    let (address, workers) = serve(&limits());
    let mut stream = connect(address);
    stream.set_nodelay(true).unwrap();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    // An empty SETTINGS frame; the server answers with its own and an acknowledgement.
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], 4, "a SETTINGS frame: {head:?}");
    drop(stream);
    workers.drain(Duration::from_secs(5));
}
