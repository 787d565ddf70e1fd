//! One request on the wire: pick a server, take a connection, send, wait for the head of the response.
//!
//! The wait ends after `response_timeout`. While the body still goes up, the time counts from its last byte that moved.

use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::address;
use super::beat::Verdict;
use super::body::{RequestBody, Upload};
use super::connect::ConnectError;
use super::fault::{Cause, Fault, FaultKind};
use super::headers::{self, HeaderRules, Hop};
use super::pool::{Channel, Lease, Upstream};
use super::target::Wire;

/// What is the same for every attempt to send one request.
pub(super) struct Sending<'a> {
    pub rules: &'a Arc<HeaderRules>,
    pub hop: Hop,
    pub host: Option<&'a HeaderValue>,
}

/// Why an attempt gave no response.
enum Failure {
    /// None of the request was written; here it is.
    Unsent(Box<Request<RequestBody>>, hyper::Error),
    Fault(FaultKind, Option<Cause>),
}

/// Sends a request and waits for the head of its response. The request is taken out of its place when it is written;
/// it is passed by reference because a future holds what it is given twice.
///
/// # Errors
/// When there is none.
pub(super) async fn exchange(
    upstream: &Rc<Upstream>,
    sending: &Sending<'_>,
    request: &mut Option<Request<RequestBody>>,
) -> Result<(Response<Incoming>, Lease), Fault> {
    let upload = request.as_mut().and_then(|request| request.body_mut().begin(&upstream.beat, sending.rules));
    let mut fresh = false;
    loop {
        let (server, channel) = take(upstream, sending, fresh).await?;
        let spare = request.as_ref().filter(|_| channel.has_rested()).and_then(RequestBody::spare);
        let fault = |kind| Fault::new(kind, &upstream.target.config.name).at(&upstream.target.servers[server].label);
        let kept = channel.is_kept();
        match send(upstream, (server, channel), sending, request, upload.as_deref()).await {
            Ok(answer) => return Ok(answer),
            // A kept connection that turns out to be closed is replaced by a fresh one, once.
            Err(Failure::Unsent(unsent, _)) if kept && !fresh => (*request, fresh) = (Some(*unsent), true),
            // One that lay idle may be closed by the server in the very moment of writing. What can be repeated without
            // harm (RFC 9110 section 9.2.2) is.
            Err(Failure::Fault(FaultKind::Protocol, Some(cause))) if spare.is_some() && is_closed(&*cause) => {
                (*request, fresh) = (spare.map(|spare| *spare), true);
            }
            Err(Failure::Unsent(_, error)) => {
                return Err(fault(FaultKind::Unreachable).because(ConnectError::Closed(error)));
            }
            Err(Failure::Fault(kind, Some(cause))) => return Err(fault(kind).because(cause)),
            Err(Failure::Fault(kind, None)) => return Err(fault(kind)),
        }
    }
}

/// Whether a connection ended before anything of a response came.
fn is_closed(cause: &(dyn std::error::Error + 'static)) -> bool {
    let gone = |error: &std::io::Error| {
        matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected)
    };
    cause.downcast_ref::<hyper::Error>().is_some_and(|error| {
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        error.is_incomplete_message() || error.is_closed() || error.is_canceled() || io.is_some_and(gone)
    })
}

/// A connection to the server whose turn it is. One that cannot be connected to is passed over for the next.
async fn take(upstream: &Rc<Upstream>, sending: &Sending<'_>, fresh: bool) -> Result<(usize, Channel), Fault> {
    let mut unreached = 0;
    loop {
        let server = upstream.balance.pick(upstream.beat.now());
        let place = &upstream.target.servers[server];
        let only_http1 = sending.hop.websocket && !matches!(place.wire, Wire::Http2);
        if !fresh && let Some(channel) = upstream.kept(server, only_http1) {
            return Ok((server, channel));
        }
        // Boxed: opening is rare, and its state is large.
        let error = match Box::pin(upstream.channel(server, only_http1)).await {
            Ok(channel) => return Ok((server, channel)),
            Err(error) => error,
        };
        upstream.balance.failed(server, upstream.beat.now());
        unreached += 1;
        let name = &upstream.target.config.name;
        if unreached == upstream.target.servers.len() {
            return Err(Fault::new(FaultKind::Unreachable, name).at(&place.label).because(error));
        }
        let cause: &dyn std::error::Error = &*error;
        tracing::warn!(upstream = &**name, server = &*place.label, cause, "a server is passed over");
    }
}

/// Writes Host, target and version as the connection wants them.
fn address(
    upstream: &Upstream,
    server: usize,
    channel: &Channel,
    sending: &Sending<'_>,
    request: &mut Request<RequestBody>,
) -> Result<(), Cause> {
    let place = &upstream.target.servers[server];
    let host = upstream.target.host.choose(sending.host, &place.authority);
    let version = match channel {
        Channel::Http1 { .. } => {
            address::write_http1(request, host);
            Version::HTTP_11
        }
        Channel::Http2 { .. } => {
            address::write_http2(request, host, matches!(place.wire, Wire::Tls(..)))?;
            Version::HTTP_2
        }
    };
    *request.version_mut() = version;
    headers::write_hop(request.headers_mut(), sending.hop, version);
    Ok(())
}

async fn send(
    upstream: &Rc<Upstream>,
    (server, channel): (usize, Channel),
    sending: &Sending<'_>,
    request: &mut Option<Request<RequestBody>>,
    upload: Option<&Upload>,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let mut request = request.take().ok_or(Failure::Fault(FaultKind::Unforwardable, None))?;
    address(upstream, server, &channel, sending, &mut request)
        .map_err(|cause| Failure::Fault(FaultKind::Unforwardable, Some(cause)))?;
    match channel {
        Channel::Http1 { mut sender, .. } => {
            let response = pin!(sender.try_send_request(request));
            let response = wait(upstream, response, upload).await?;
            Ok((response, upstream.lease(server, sender)))
        }
        Channel::Http2 { mut sender, stream, .. } => {
            let response = pin!(sender.try_send_request(request));
            Ok((wait(upstream, response, upload).await?, Lease::Http2(stream)))
        }
    }
}

/// Waits for the head. Giving up drops what waits, which closes an HTTP/1.1 connection and resets an HTTP/2 stream.
async fn wait<F>(
    upstream: &Upstream,
    response: std::pin::Pin<&mut F>,
    upload: Option<&Upload>,
) -> Result<Response<Incoming>, Failure>
where
    F: Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>,
{
    let (beat, timeout) = (&upstream.beat, upstream.target.config.response_timeout);
    let overdue = |now: Duration| match upload {
        Some(upload) => upload.overdue(now, timeout),
        None => Verdict::GiveUp(FaultKind::Timeout),
    };
    match beat.watch(response, beat.late(timeout), overdue).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(failure(error, upload)),
        Err(kind) => Err(Failure::Fault(kind, None)),
    }
}

fn failure(mut error: TrySendError<Request<RequestBody>>, upload: Option<&Upload>) -> Failure {
    if let Some(unsent) = error.take_message() {
        return Failure::Unsent(Box::new(unsent), error.into_error());
    }
    let kind = upload.and_then(Upload::broke).unwrap_or(FaultKind::Protocol);
    Failure::Fault(kind, Some(error.into_error().into()))
}
