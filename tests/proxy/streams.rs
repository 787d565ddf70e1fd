//! Bodies, trailers, tunnels, HTTP/2 and TLS.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tollgate::config::model::Scheme;

use super::support::*;

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 1024;

/// 64 MiB, made as they are asked for; counts what was taken.
struct Flood {
    left: usize,
    taken: Rc<Cell<usize>>,
}

impl Flood {
    fn new() -> (Self, Rc<Cell<usize>>) {
        let taken = Rc::new(Cell::new(0));
        (Self { left: CHUNKS, taken: taken.clone() }, taken)
    }
}

impl Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.taken.set(self.taken.get() + CHUNK);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; CHUNK])))))
    }
}

async fn http1_to<B>(address: SocketAddr) -> http1::SendRequest<B>
where
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    spawn_local(async move { drop(connection.await) });
    sender
}

async fn http2_to<B>(address: SocketAddr) -> http2::SendRequest<B>
where
    B: Body<Data = Bytes, Error = Infallible> + Unpin + 'static,
{
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(Local, TokioIo::new(stream)).await.unwrap();
    spawn_local(async move { drop(connection.await) });
    sender
}

/// An upstream served by hyper; `protocol` is of the connection. Counts connections.
async fn served<B, F>(
    protocol: Version,
    handler: impl Fn(Request<Incoming>) -> F + Clone + 'static,
) -> (SocketAddr, Rc<Cell<usize>>)
where
    B: Body<Data = Bytes, Error = Infallible> + 'static,
    F: Future<Output = Response<B>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Rc::new(Cell::new(0));
    let count = connections.clone();
    spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.set(count.get() + 1);
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let response = handler(request);
                async move { Ok::<_, Infallible>(response.await) }
            });
            let io = TokioIo::new(stream);
            spawn_local(async move {
                if protocol == Version::HTTP_2 {
                    let mut builder = hyper::server::conn::http2::Builder::new(Local);
                    drop(builder.max_concurrent_streams(4).serve_connection(io, service).await);
                } else {
                    drop(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await);
                }
            });
        }
    });
    (address, connections)
}

fn request<B>(method: &str, uri: &str, body: B) -> Request<B> {
    Request::builder().method(method).uri(uri).header("host", "api").body(body).unwrap()
}

#[test]
fn a_response_of_64_mib_streams_with_back_pressure() {
    worker(|| async {
        for protocol in [Version::HTTP_11, Version::HTTP_2] {
            let (flood, taken) = Flood::new();
            let flood = Rc::new(RefCell::new(Some(flood)));
            let (address, _) = served(protocol, move |_| {
                let flood = flood.borrow_mut().take().unwrap();
                async move { Response::new(flood) }
            })
            .await;
            let scheme = if protocol == Version::HTTP_2 { Scheme::H2c } else { Scheme::Http };
            let gateway = gateway(&config(&[(scheme, address)])).await;
            let mut sender = http1_to(gateway.address).await;
            let response = sender.send_request(request("GET", "/", Empty::<Bytes>::new())).await.unwrap();
            let mut body = response.into_body();
            // A client that does not read stops the upstream within what the buffers of four sockets hold.
            settled(&taken).await;
            assert!(taken.get() < CHUNK * CHUNKS / 2, "{protocol:?}: {} bytes are somewhere", taken.get());
            let mut got = 0;
            while let Some(frame) = body.frame().await {
                got += frame.unwrap().into_data().map_or(0, |data| data.len());
            }
            assert_eq!(got, CHUNK * CHUNKS);
            eventually(|| gateway.told.borrow().contains(&Told::Dropped)).await;
            assert_eq!((gateway.sent.get(), gateway.told.borrow()[0]), (got, Told::Ended));
        }
    });
}

#[test]
fn a_request_of_64_mib_streams_with_back_pressure() {
    worker(|| async {
        for protocol in [Version::HTTP_11, Version::HTTP_2] {
            let go = Rc::new(tokio::sync::Notify::new());
            let wait = go.clone();
            let (address, _) = served(protocol, move |request: Request<Incoming>| {
                let wait = wait.clone();
                async move {
                    wait.notified().await;
                    let (mut body, mut got) = (request.into_body(), 0);
                    while let Some(frame) = body.frame().await {
                        got += frame.unwrap().into_data().map_or(0, |data| data.len());
                    }
                    Response::new(http_body_util::Full::new(Bytes::from(got.to_string())))
                }
            })
            .await;
            let scheme = if protocol == Version::HTTP_2 { Scheme::H2c } else { Scheme::Http };
            let gateway = gateway(&config(&[(scheme, address)])).await;
            let (flood, taken) = Flood::new();
            let mut sender = http1_to(gateway.address).await;
            let answer = spawn_local(sender.send_request(request("POST", "/", flood)));
            settled(&taken).await;
            assert!(taken.get() < CHUNK * CHUNKS / 2, "{protocol:?}: {} bytes are somewhere", taken.get());
            go.notify_one();
            let body = answer.await.unwrap().unwrap().collect().await.unwrap().to_bytes();
            assert_eq!(body, (CHUNK * CHUNKS).to_string());
        }
    });
}

/// Waits until a count has moved and then stands still.
async fn settled(count: &Cell<usize>) {
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if count.get() == last && last > 0 {
            return;
        }
        last = count.get();
    }
}

#[test]
fn an_upstream_that_dies_aborts_the_response() {
    worker(|| async {
        for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
            let (address, _) = scripted(move |mut wire, _| async move {
                wire.head().await;
                wire.write(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\nabcd\r\n")).await;
            })
            .await;
            let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
            let mut sender = http1_to(gateway.address).await;
            let response = sender.send_request(request("GET", "/", Empty::<Bytes>::new())).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(response.into_body().collect().await.is_err(), "{head}: the client must see that it is cut");
            eventually(|| gateway.told.borrow().len() == 2).await;
            assert_eq!(*gateway.told.borrow(), [Told::Failed, Told::Dropped]);
            assert_eq!(gateway.upstream.idle(), 0);
        }
    });
}

#[test]
fn a_client_that_leaves_mid_response_closes_the_upstream() {
    worker(|| async {
        let closed = Rc::new(Cell::new(false));
        let seen = closed.clone();
        let (address, _) = scripted(move |mut wire, _| {
            let seen = seen.clone();
            async move {
                wire.head().await;
                wire.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab").await;
                wire.rest().await;
                seen.set(true);
            }
        })
        .await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        let mut client = Wire::to(gateway.address).await;
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.until("ab").await;
        drop(client);
        eventually(|| closed.get()).await;
        assert_eq!(*gateway.told.borrow(), [Told::Dropped]);
    });
}

#[test]
fn trailers_go_both_ways() {
    worker(|| async {
        for (protocol, scheme) in [(Version::HTTP_11, Scheme::Http), (Version::HTTP_2, Scheme::H2c)] {
            let seen = Rc::new(RefCell::new(HeaderMap::new()));
            let note = seen.clone();
            let (address, connections) = served(protocol, move |request: Request<Incoming>| {
                let note = note.clone();
                async move {
                    assert_eq!(request.headers()["te"], "trailers");
                    let body = request.into_body().collect().await.unwrap();
                    *note.borrow_mut() = body.trailers().cloned().unwrap_or_default();
                    let body = Frames::of(&["a", "b"], Some(("grpc-status", "0")));
                    Response::builder().header("trailer", "grpc-status").body(body).unwrap()
                }
            })
            .await;
            let gateway = gateway(&config(&[(scheme, address)])).await;
            for (name, arrives) in [("x-checksum", true), ("x-auth-subject", false), ("x_auth_subject", false)] {
                let body = Frames::of(&["data"], Some((name, "value")));
                let mut request = request("POST", "http://api/", body);
                request.headers_mut().insert("te", "trailers".parse().unwrap());
                request.headers_mut().insert("trailer", name.parse().unwrap());
                let response = match protocol {
                    Version::HTTP_2 => http2_to(gateway.address).await.send_request(request).await,
                    _ => http1_to(gateway.address).await.send_request(request).await,
                };
                let body = response.unwrap().into_body().collect().await.unwrap();
                assert_eq!(body.trailers().unwrap()["grpc-status"], "0", "{protocol:?}");
                assert_eq!(body.to_bytes(), "ab");
                assert_eq!(seen.borrow().contains_key(name), arrives, "{protocol:?} {name}");
            }
            eventually(|| gateway.upstream.idle() == 1).await;
            assert_eq!(connections.get(), 1, "{protocol:?}: trailers end a response");
            assert_eq!(gateway.told.borrow().iter().filter(|told| **told == Told::Ended).count(), 3);
        }
    });
}

#[test]
fn expect_100_continue_is_answered_when_the_request_is_forwarded() {
    worker(|| async {
        let (address, _) = scripted(|mut wire, _| async move {
            let head = wire.head().await;
            assert!(!head.contains("expect"), "{head}");
            wire.until("body").await;
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        })
        .await;
        let settings = Settings { max_body: Some(4), ..Settings::default() };
        let gateway = gateway_with(&config(&[(Scheme::Http, address)]), settings).await;
        let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ";
        let mut client = Wire::to(gateway.address).await;
        client.write(&format!("{head}4\r\n\r\n")).await;
        assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.write("body").await;
        assert!(client.until("ok").await.starts_with("HTTP/1.1 200"));

        let mut refused = Wire::to(gateway.address).await;
        let (answer, _) = refused.ask(&format!("{head}5\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    });
}

#[test]
fn a_body_that_grows_too_long_is_a_fault_of_its_own() {
    worker(|| async {
        for scheme in [Scheme::Http, Scheme::H2c] {
            let protocol = if scheme == Scheme::H2c { Version::HTTP_2 } else { Version::HTTP_11 };
            let (address, _) = served(protocol, |request: Request<Incoming>| async {
                drop(request.into_body().collect().await);
                Response::new(Empty::<Bytes>::new())
            })
            .await;
            let settings = Settings { max_body: Some(8), ..Settings::default() };
            let gateway = gateway_with(&config(&[(scheme, address)]), settings).await;
            for (chunks, expected) in [(&["1234", "5678"][..], ""), (&["1234", "56789"], "BodyTooLarge")] {
                let mut sender = http1_to(gateway.address).await;
                let answer = sender.send_request(request("POST", "/", Frames::of(chunks, None))).await.unwrap();
                assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), expected, "{scheme:?}");
            }
        }
    });
}

#[test]
fn heads_and_empty_answers_give_the_connection_back() {
    worker(|| async {
        let (address, connections) = scripted(|mut wire, _| async move {
            loop {
                let head = wire.head().await;
                let answer = match head.split(' ').next().unwrap_or_default() {
                    "" => return,
                    "HEAD" => "200 OK\r\nContent-Length: 9\r\nConnection: keep-alive",
                    "PUT" => "204 No Content",
                    "DELETE" => "304 Not Modified\r\nETag: \"a\"",
                    _ => "103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0",
                };
                wire.write(&format!("HTTP/1.1 {answer}\r\n\r\n")).await;
            }
        })
        .await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        let mut client = Wire::to(gateway.address).await;
        for (method, status) in [("HEAD", 200), ("PUT", 204), ("DELETE", 304), ("GET", 200)] {
            client.write(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let head = client.head().await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{method}: {head}");
            assert_eq!(head.contains("content-length: 9"), method == "HEAD");
        }
        assert_eq!((connections.get(), gateway.upstream.idle()), (1, 1));
    });
}

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[test]
fn a_tunnel_carries_bytes_both_ways_and_half_closes() {
    worker(|| async {
        let (address, _) = scripted(|mut wire, _| async move {
            let head = wire.head().await;
            assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-key: dGhl"), "{head}");
            // The first bytes of the new protocol come with the head.
            wire.write(&format!("{SWITCH}hello")).await;
            let said = wire.rest().await;
            wire.write(&format!("[{said}]")).await;
        })
        .await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        let mut client = Wire::to(gateway.address).await;
        client.write(HANDSHAKE).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101") && head.contains("upgrade: websocket"), "{head}");
        assert!(head.contains("sec-websocket-accept"), "{head}");
        assert_eq!(client.until("hello").await, "hello");
        client.write("abc").await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.rest().await, "[abc]", "the upstream still answers after the client closed its half");
        eventually(|| gateway.told.borrow().len() == 4).await;
        assert_eq!(*gateway.told.borrow(), [Told::Ended, Told::Dropped, Told::Ended, Told::Dropped]);
        assert_eq!(gateway.sent.get(), "hello[abc]".len());
        assert_eq!(gateway.upstream.idle(), 0);
    });
}

#[test]
fn a_handshake_with_a_body_is_an_ordinary_request() {
    worker(|| async {
        let (address, _) = echo().await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        let handshake = HANDSHAKE.replace("Host: a", "Host: a\r\nContent-Length: 3");
        let (_, seen) = Wire::to(gateway.address).await.ask(&format!("{handshake}abc")).await;
        assert!(seen.contains("content-length: 3") && !seen.contains("upgrade"), "{seen}");
    });
}

#[test]
fn websocket_echo() {
    worker(|| async {
        let (address, _) = scripted(|mut wire, _| async move {
            wire.head().await;
            wire.write(SWITCH).await;
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = wire.stream.read(&mut buffer).await {
                wire.stream.write_all(&buffer[..count]).await.unwrap();
            }
        })
        .await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        let mut client = Wire::to(gateway.address).await;
        client.write(HANDSHAKE).await;
        assert!(client.head().await.starts_with("HTTP/1.1 101"));
        for size in [1, 1000, 100_000] {
            let message = vec![b'm'; size];
            let (mut read, mut write) = client.stream.split();
            let mut back = vec![0; size];
            let (sent, got) = tokio::join!(write.write_all(&message), read.read_exact(&mut back));
            assert!(sent.is_ok() && got.is_ok() && back == message);
        }
    });
}

#[test]
fn an_upgrade_that_is_refused_is_an_ordinary_response() {
    worker(|| async {
        let (address, _) = scripted(|mut wire, _| async move {
            wire.head().await;
            wire.write("HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nno").await;
            wire.rest().await;
        })
        .await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        let (head, body) = Wire::to(gateway.address).await.ask(HANDSHAKE).await;
        assert!(head.starts_with("HTTP/1.1 426") && !head.contains("h2c"), "{head}");
        assert_eq!(body, "no");
    });
}

#[test]
fn http2_upstreams_share_connections_up_to_their_stream_limit() {
    worker(|| async {
        let (now, open) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let held = (now.clone(), open.clone());
        let (address, connections) = served(Version::HTTP_2, move |request: Request<Incoming>| {
            let (now, open) = held.clone();
            async move {
                assert_eq!(request.version(), Version::HTTP_2);
                assert_eq!(request.uri().authority().unwrap(), "api");
                assert_eq!(request.headers()["x-auth-subject"], "alice");
                now.set(now.get() + 1);
                eventually(|| open.get()).await;
                now.set(now.get() - 1);
                Response::new(Frames::of(&["ok"], None))
            }
        })
        .await;
        let gateway = gateway(&config(&[(Scheme::H2c, address)])).await;
        for (requests, at_once) in [(4, 4), (10, 8), (60, 12)] {
            let asked: Vec<_> = (0..requests).map(|_| spawn_local(ask_ok(gateway.address))).collect();
            // Each connection takes 4, so this many are only there when others were opened.
            eventually(|| now.get() >= at_once).await;
            if requests == 4 {
                assert_eq!(connections.get(), 1, "requests that come at once wait for one connection");
            }
            open.set(true);
            for task in asked {
                task.await.unwrap();
            }
            open.set(false);
        }
        assert!((3..=8).contains(&connections.get()), "{} connections", connections.get());
        eventually(|| gateway.upstream.idle() == connections.get()).await;
    });
}

async fn ask_ok(address: SocketAddr) {
    let mut sender = http1_to(address).await;
    let answer = sender.send_request(request("GET", "/", Empty::<Bytes>::new())).await.unwrap();
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "ok");
}

#[test]
fn an_http2_connection_that_ended_is_replaced() {
    worker(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (served, end) = (Rc::new(Cell::new(0)), Rc::new(tokio::sync::Notify::new()));
        let (count, ends) = (served.clone(), end.clone());
        spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.set(count.get() + 1);
                let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Frames::of(&["ok"], None))) });
                let connection =
                    hyper::server::conn::http2::Builder::new(Local).serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    _ = connection => {}
                    () = ends.notified() => {}
                }
            }
        });
        let gateway = gateway(&config(&[(Scheme::H2c, address)])).await;
        for round in 1..=3 {
            let mut sender = http1_to(gateway.address).await;
            let answer = sender.send_request(request("GET", "/", Empty::<Bytes>::new())).await.unwrap();
            assert_eq!((answer.status(), served.get()), (StatusCode::OK, round));
            drop(answer);
            end.notify_one();
            eventually(|| gateway.upstream.idle() == 0).await;
        }
    });
}

#[test]
fn https_upstreams_by_alpn_and_only_with_a_trusted_certificate() {
    worker(|| async {
        let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let stranger = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good.pem"), folder.path().join("bad.pem"));
        std::fs::write(&good, issued.cert.pem()).unwrap();
        std::fs::write(&bad, stranger.cert.pem()).unwrap();
        let cases: [(&[&[u8]], _, &str); 5] = [
            (&[b"h2", b"http/1.1"], &good, "HTTP/2.0"),
            (&[b"http/1.1"], &good, "HTTP/1.1"),
            (&[], &good, "HTTP/1.1"),
            (&[b"h2"], &bad, "Unreachable"),
            (&[b"http/1.1"], &bad, "Unreachable"),
        ];
        for (protocols, ca_file, expected) in cases {
            let address = tls_upstream(&issued, protocols).await;
            let mut config = config(&[(Scheme::Https, address)]);
            config.ca_file = Some(ca_file.clone());
            let gateway = gateway(&config).await;
            for _ in 0..2 {
                let mut sender = http1_to(gateway.address).await;
                let answer = sender.send_request(request("GET", "/", Empty::<Bytes>::new())).await.unwrap();
                assert_eq!(answer.collect().await.unwrap().to_bytes(), expected, "{protocols:?}");
            }
            assert_eq!(gateway.upstream.idle(), usize::from(expected != "Unreachable"));
            if expected == "HTTP/2.0" {
                let (_, body) = Wire::to(gateway.address).await.ask(HANDSHAKE).await;
                assert_eq!(body, "HTTP/1.1", "a WebSocket handshake takes a connection that can carry it");
            }
        }
    });
}

/// Says which version of HTTP it was spoken to.
async fn tls_upstream(issued: &rcgen::CertifiedKey<rcgen::KeyPair>, protocols: &[&[u8]]) -> SocketAddr {
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(issued.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![issued.cert.der().clone()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = service_fn(|request: Request<Incoming>| async move {
                let version = Bytes::from(format!("{:?}", request.version()));
                Ok::<_, Infallible>(Response::new(http_body_util::Full::new(version)))
            });
            let io = TokioIo::new(stream);
            spawn_local(async move {
                if http2 {
                    drop(hyper::server::conn::http2::Builder::new(Local).serve_connection(io, service).await);
                } else {
                    drop(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await);
                }
            });
        }
    });
    address
}
