//! `/echo`: a WebSocket that sends back what it gets (RFC 6455).
//!
//! Refuses handshakes of another version or without a proper key; ends with a close frame on a violation, on silence
//! and when the server stops.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::frames::{Message, Opcode, Reader, encode, encode_close};
use super::reply::{Reply, method_not_allowed, problem};
use crate::server::plain::Stop;

/// Hashed after the key (RFC 6455, section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A peer that sends nothing for this long is let go.
const IDLE: Duration = Duration::from_mins(5);
/// A peer that takes nothing for this long is let go.
const WRITE: Duration = Duration::from_secs(10);
/// How long a peer gets to read the close frame and hang up, before unread bytes of its own reset the connection.
const LINGER: Duration = Duration::from_secs(1);

type Socket = TokioIo<Upgraded>;

/// Answers the handshake; what follows runs on its own until the peer or the server ends it.
pub(super) fn handle(mut request: Request<Incoming>, stop: Stop) -> Reply {
    if request.method() != Method::GET {
        return method_not_allowed("GET");
    }
    let headers = request.headers();
    if !lists(headers, &UPGRADE, "websocket") || !lists(headers, &CONNECTION, "upgrade") {
        return upgrade_required("This is a WebSocket; connect with ws://");
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return upgrade_required("This WebSocket speaks version 13");
    }
    let Some(accept) = accept(headers) else {
        return problem(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64");
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => converse(TokioIo::new(upgraded), stop).await,
            Err(error) => tracing::debug!(%error, "a WebSocket handshake was broken off"),
        }
    });
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    reply
}

fn upgrade_required(why: &str) -> Reply {
    let mut reply = problem(StatusCode::UPGRADE_REQUIRED, why);
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    reply
}

/// Whether a header that is a list names `token`, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The answer to the one key of the handshake (RFC 6455, section 4.2.2).
fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (key, None) = (keys.next()?.as_bytes(), keys.next()) else { return None };
    STANDARD.decode(key).ok().filter(|nonce| nonce.len() == 16)?;
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, MAGIC].concat());
    HeaderValue::try_from(STANDARD.encode(hash)).ok()
}

/// The whole life of one WebSocket.
async fn converse(mut socket: Socket, stop: Stop) {
    let mut reader = Reader::default();
    // A clone, since the server waits for `stop` itself until the close frame has left.
    let mut stopped = pin!(stop.clone().stopped());
    let last = loop {
        let message = match reader.next() {
            Ok(Some(message)) => message,
            Ok(None) => match receive(&mut socket, &mut reader, stopped.as_mut()).await {
                Heard::More => continue,
                Heard::Nothing => return,
                Heard::TimeToGo(code) => break encode_close(code),
            },
            Err(violation) => break encode_close(violation.code()),
        };
        match answer(&message) {
            Answer::Silence => {}
            Answer::Frame(frame) if send(&mut socket, &frame).await => {}
            Answer::Frame(_) => return,
            Answer::Last(frame) => break frame,
        }
    };
    if send(&mut socket, &last).await && socket.shutdown().await.is_ok() {
        let _ = timeout(LINGER, tokio::io::copy(&mut socket, &mut tokio::io::sink())).await;
    }
}

enum Heard {
    More,
    Nothing,
    TimeToGo(u16),
}

async fn receive(socket: &mut Socket, reader: &mut Reader, stopped: impl Future<Output = ()>) -> Heard {
    tokio::select! {
        read = timeout(IDLE, socket.read_buf(&mut reader.buffer)) => match read {
            Ok(Ok(1..)) => Heard::More,
            Ok(Ok(0) | Err(_)) => Heard::Nothing,
            Err(_) => Heard::TimeToGo(1000),
        },
        () = stopped => Heard::TimeToGo(1001),
    }
}

enum Answer {
    Silence,
    Frame(Vec<u8>),
    Last(Vec<u8>),
}

fn answer(message: &Message) -> Answer {
    match message.opcode {
        Opcode::Text | Opcode::Binary => Answer::Frame(encode(message.opcode, &message.payload)),
        Opcode::Ping => Answer::Frame(encode(Opcode::Pong, &message.payload)),
        // The reader gives whole messages only; a pong that nobody asked for is no news (section 5.5.3).
        Opcode::Pong | Opcode::Continuation => Answer::Silence,
        // The same code comes back, without the words (section 5.5.1).
        Opcode::Close => {
            let code = message.payload.get(..2).unwrap_or_default();
            Answer::Last(encode(Opcode::Close, code))
        }
    }
}

/// Whether the peer took it.
async fn send(socket: &mut Socket, frame: &[u8]) -> bool {
    let sent = timeout(WRITE, async {
        socket.write_all(frame).await?;
        socket.flush().await
    });
    matches!(sent.await, Ok(Ok(())))
}
