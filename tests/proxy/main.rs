//! Forwarding over real sockets: kept connections, retries, timeouts, streams, trailers, tunnels, HTTP/2 and TLS.
//!
//! Each test runs one worker (a current-thread runtime with local tasks) that serves the forwarder on loopback, in
//! front of an upstream that the test scripts byte by byte or serves with hyper.

#![expect(clippy::unwrap_used, reason = "a test ends where its setting fails")]

mod streams;
mod support;
mod wire;
