//! The sample API over real sockets, with a WebSocket client that is not ours.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};
use tollgate::cli::sample_api::SampleApi;

use super::harness::{Answer, Served, send};

struct Api {
    address: SocketAddr,
    served: Served,
}

impl Api {
    fn start() -> Self {
        let api = SampleApi::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = api.address();
        let served = Served::run(|stopped| api.serve(async { drop(stopped.await) }));
        Self { address, served }
    }

    fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        send(self.address, method, path, &headers, body.as_bytes())
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn websocket(&self) -> WebSocket<TcpStream> {
        client(format!("ws://{}/echo", self.address), self.connect()).unwrap().0
    }
}

#[test]
fn orders_are_listed_read_and_placed_by_whom_the_gateway_names() {
    let api = Api::start();
    let alice = [("x-auth-subject", "alice"), ("content-type", "application/json")];
    let list = api.call(Method::GET, "/orders", &alice, "").json();
    assert_eq!((&list["caller"], list["orders"].as_array().unwrap().len()), (&json!("alice"), 3));
    assert_eq!(api.call(Method::GET, "/orders", &[], "").json()["caller"], Value::Null);
    let placed = api.call(Method::POST, "/orders", &alice, r#"{"item": "hat", "quantity": 10}"#);
    assert_eq!((placed.status, placed.header("location")), (201, Some("/orders/4")));
    let expected = json!({ "id": 4, "item": "hat", "quantity": 10, "placed_by": "alice" });
    assert_eq!(placed.json(), expected);
    assert_eq!(api.call(Method::GET, "/orders/4", &[], "").json()["order"], expected);
}

#[test]
fn the_page_of_a_person_shows_what_the_gateway_says_and_no_markup_of_others() {
    let api = Api::start();
    let told = [("x-auth-subject", "<b>alice"), ("x-auth-name", "Alice & {who}"), ("cookie", "a=secret")];
    let page = api.call(Method::GET, "/account", &told, "").text().to_owned();
    assert!(page.contains("<h1>You are &lt;b&gt;alice</h1>"), "{page}");
    assert!(page.contains("<dt>x-auth-name</dt><dd>Alice &amp; {who}</dd>") && !page.contains("secret"), "{page}");
    let nobody = api.call(Method::GET, "/account", &[], "").text().to_owned();
    assert!(nobody.contains("You are nobody that the gateway knows"), "{nobody}");
}

#[test]
fn every_endpoint_answers_and_refuses() {
    let api = Api::start();
    let (long, json) = (format!("{{\"item\": \"{}\"}}", "x".repeat(3 * 1024 * 1024)), "application/json");
    let cases: [(Method, &str, &str, &str, u16); 24] = [
        (Method::GET, "/", "", "", 200),
        (Method::GET, "/public", "", "", 200),
        (Method::HEAD, "/public", "", "", 200),
        (Method::GET, "/whoami", "", "", 200),
        (Method::GET, "/orders/1", "", "", 200),
        (Method::GET, "/orders/0", "", "", 404),
        (Method::GET, "/orders/9", "", "", 404),
        (Method::GET, "/orders/18446744073709551615", "", "", 404),
        (Method::GET, "/orders/18446744073709551616", "", "", 404),
        (Method::GET, "/orders/-1", "", "", 404),
        (Method::GET, "/orders/1/", "", "", 404),
        (Method::GET, "/nowhere", "", "", 404),
        (Method::DELETE, "/orders/1", "", "", 405),
        (Method::PUT, "/orders", "", "", 405),
        (Method::POST, "/public", "", "", 405),
        (Method::POST, "/orders", json, "{\"item\": \"tea\"}", 201),
        (Method::POST, "/orders", "application/json; charset=utf-8", "{\"item\": \"tea\"}", 201),
        (Method::POST, "/orders", "text/plain", "{\"item\": \"tea\"}", 415),
        (Method::POST, "/orders", json, "", 400),
        (Method::POST, "/orders", json, "{\"item\": 1}", 400),
        (Method::POST, "/orders", json, "{\"item\": \"tea\", \"price\": 1}", 400),
        (Method::POST, "/orders", json, "{\"item\": \"tea\", \"quantity\": -1}", 400),
        (Method::POST, "/orders", json, &long, 413),
        (Method::GET, "/events?count=many", "", "", 400),
    ];
    for (method, path, kind, body, status) in cases {
        let answer = api.call(method.clone(), path, &[("content-type", kind)], body);
        assert_eq!(answer.status, status, "{method} {path} {body:.40}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
    }
}

#[test]
fn whoami_shows_what_the_gateway_said_and_no_credential() {
    let api = Api::start();
    let headers = [
        ("x-auth-subject", "al%C3%ADce"),
        ("x-auth-scopes", "orders:read"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2"),
        ("forwarded", "for=192.0.2.1"),
        ("authorization", "Bearer precious"),
        ("cookie", "precious"),
    ];
    let expected = json!({
        "caller": "al%C3%ADce",
        "headers": {
            "x-auth-subject": ["al%C3%ADce"],
            "x-auth-scopes": ["orders:read"],
            "x-forwarded-for": ["192.0.2.1", "192.0.2.2"],
            "forwarded": ["for=192.0.2.1"],
        }
    });
    assert_eq!(api.call(Method::GET, "/whoami", &headers, "").json(), expected);
}

#[test]
fn events_come_one_by_one_and_end_after_their_count_or_with_the_server() {
    let mut api = Api::start();
    let counted = api.call(Method::GET, "/events?count=2", &[], "");
    let event = |n: u64| format!("id: {n}\nevent: tick\ndata: {{\"tick\":{n}}}\n\n");
    assert_eq!((counted.text(), counted.header("content-type")), (&*(event(1) + &event(2)), Some("text/event-stream")));
    assert_eq!(api.call(Method::GET, "/events?count=0", &[], "").text(), "");
    let mut stream = api.connect();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.any(|line| line.unwrap() == "data: {\"tick\":1}"), "the first event comes though there is no end");
    api.served.end();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(rest.last_chunk(), Some(&["0".to_owned(), String::new()]), "the stream is ended in order");
}

#[test]
fn the_echo_sends_back_whatever_it_gets() {
    let api = Api::start();
    let mut socket = api.websocket();
    let big: Vec<u8> = (0..70_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let messages = [
        Message::text(""),
        Message::text("gr\u{fc}n"),
        Message::binary(vec![0; 125]),
        Message::binary(vec![1; 126]),
        Message::binary(vec![2; 65_535]),
        Message::binary(big),
    ];
    for message in messages {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    let fragment = |piece: &'static str, kind, last| Message::Frame(Frame::message(piece, OpCode::Data(kind), last));
    socket.send(fragment("gr", Data::Text, false)).unwrap();
    socket.send(Message::Ping("still there?".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("still there?".into()), "between the fragments");
    socket.send(fragment("\u{fc}", Data::Continue, false)).unwrap();
    socket.send(fragment("n", Data::Continue, true)).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("gr\u{fc}n"));
    socket.close(Some(CloseFrame { code: CloseCode::Library(4000), reason: "enough".into() })).unwrap();
    let Message::Close(Some(last)) = socket.read().unwrap() else { panic!("no close frame came back") };
    assert_eq!(last.code, CloseCode::Library(4000));
}

#[test]
fn the_echo_says_why_it_ends() {
    let mut api = Api::start();
    let broken = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    let loose = Frame::message("x", OpCode::Data(Data::Continue), true);
    let huge = Frame::message(vec![0; 1024 * 1024 + 1], OpCode::Data(Data::Binary), true);
    for (frame, code) in [(broken, CloseCode::Invalid), (loose, CloseCode::Protocol), (huge, CloseCode::Size)] {
        let mut socket = api.websocket();
        // A peer that is shown out may see the door before all of a large frame has left.
        let _ = socket.send(Message::Frame(frame));
        let Message::Close(Some(last)) = socket.read().unwrap() else { panic!("no close frame for {code}") };
        assert_eq!(last.code, code);
    }
    let mut socket = api.websocket();
    socket.send(Message::text("x")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("x"));
    let reading = std::thread::spawn(move || socket.read().unwrap());
    api.served.end();
    let Message::Close(Some(last)) = reading.join().unwrap() else { panic!("no close frame at the end") };
    assert_eq!(last.code, CloseCode::Away);
}

#[test]
fn handshakes_that_are_not_proper_are_refused() {
    let api = Api::start();
    let good = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let cases: [(&str, Option<&str>, u16); 7] = [
        ("upgrade", None, 426),
        ("upgrade", Some("h2c"), 426),
        ("connection", Some("keep-alive"), 426),
        ("sec-websocket-version", Some("8"), 426),
        ("sec-websocket-version", None, 426),
        ("sec-websocket-key", None, 400),
        ("sec-websocket-key", Some("c2hvcnQ="), 400),
    ];
    for (name, value, status) in cases {
        let kept = good.iter().filter(|(known, _)| *known != name).copied();
        let headers: Vec<_> = kept.chain(value.map(|value| (name, value))).collect();
        assert_eq!(api.call(Method::GET, "/echo", &headers, "").status, status, "{name}: {value:?}");
    }
    assert_eq!(api.call(Method::POST, "/echo", &good, "").status, 405);
    let mut stream = api.connect();
    let head: String = good.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    stream.write_all(format!("GET /echo HTTP/1.1\r\nHost: a\r\n{head}\r\n").as_bytes()).unwrap();
    let mut answer = vec![0; 300];
    let length = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
    // The example of RFC 6455, section 1.3.
    assert!(answer.contains("http/1.1 101") && answer.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
}
