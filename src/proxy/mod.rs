//! Forwarding: a permitted request goes up to a server of its upstream, and the response comes down, both streamed.
//!
//! - Only a [`Permit`] opens it ([`forward`]), and identity headers come from the permit alone.
//! - What the upstream sees of the head is decided by [`headers`], [`forwarded`], [`mod@identity`] and [`address`].
//! - Connections are kept per worker ([`pool`]); servers take turns ([`balance`]); waits are bounded ([`beat`]).
//! - A request is sent again only when none of it was written (no server could be connected to, or a kept connection
//!   turned out to be closed), or when it has no body, is idempotent, and its connection had lain idle: then the server
//!   may have closed it at the same moment. What the client sees of a fault is not decided here ([`Fault`]).
//!
//! Everything lives on one worker's thread and spawns its tasks there: in a `LocalRuntime` or a `LocalSet`.

pub mod address;
pub mod balance;
pub mod beat;
pub mod body;
mod connect;
pub mod exchange;
pub mod fault;
pub mod forwarded;
pub mod headers;
pub mod identity;
pub mod pool;
pub mod target;
pub mod upgrade;

use std::rc::Rc;
use std::sync::Arc;

use http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use http::{Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::policy::Permit;

pub use beat::Beat;
pub use body::{BodyError, RequestBody, ResponseBody, UpstreamBody, Watch};
pub use connect::ConnectError;
use fault::Cause;
pub use fault::{Fault, FaultKind, Side};
pub use forwarded::ConnectionHeaders;
pub use headers::HeaderRules;
pub use identity::{Identified, IdentityHeaders, identity};
pub use pool::{Upstream, Upstreams};
pub use target::{SystemAuthorities, Target, TargetError};
pub use upgrade::{Tunnel, TunnelError};

use exchange::Sending;
use headers::{Hop, UnknownCoding};
use pool::Lease;

/// What a route says about forwarding, compiled into the snapshot.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Cut from the front of the path.
    pub strip_prefix: Option<Box<str>>,
    /// Whether the upstream gets the caller's credential.
    pub pass_credential: bool,
    /// The headers that are removed; one value for a whole snapshot.
    pub rules: Arc<HeaderRules>,
}

/// Who calls.
#[derive(Debug)]
pub struct Client<'a> {
    /// Kept beside the connection.
    pub connection: &'a ConnectionHeaders,
    /// The Host that the request was judged by, port included: from its target when that is absolute (RFC 9112
    /// section 3.2.2) or HTTP/2, else from its one Host field. `None` for HTTP/1.0 without one.
    pub host: Option<HeaderValue>,
}

/// What came back.
#[derive(Debug)]
pub enum Answer {
    /// A response; wrap its body in [`ResponseBody::upstream`].
    Response(Response<UpstreamBody>),
    /// The upstream switched to WebSocket: send the head, and run the tunnel in a task of its own.
    Switched(Response<()>, Tunnel),
}

/// Sends a permitted request to its upstream. Its head is prepared at once; a future would hold the request twice.
///
/// # Errors
/// When there is no head of a response to give. Nothing was sent to the client before.
pub fn forward<'a, P: Identified>(
    permit: &'a Permit<P>,
    upstream: &'a Rc<Upstream>,
    plan: &'a Plan,
    client: Client<'a>,
    mut request: Request<RequestBody>,
) -> impl Future<Output = Result<Answer, Fault>> + 'a {
    let prepared = prepare(permit, plan, &client, &mut request);
    let mut request = Some(request);
    async move {
        let (hop, switch) = prepared
            .map_err(|cause| Fault::new(FaultKind::Unforwardable, &upstream.target.config.name).because(cause))?;
        let sending = Sending { rules: &plan.rules, hop, host: client.host.as_ref() };
        let (response, lease) = exchange::exchange(upstream, &sending, &mut request).await?;
        receive(upstream, switch, response, lease)
    }
}

/// Makes of the head that came the head that goes up.
fn prepare<P: Identified>(
    permit: &Permit<P>,
    plan: &Plan,
    client: &Client<'_>,
    request: &mut Request<RequestBody>,
) -> Result<(Hop, Option<Box<Switch>>), Cause> {
    // 1. What the client sent that must not go up.
    let hop = clean(plan, client, request)?;
    // 2. What goes up in its place.
    write(permit, client, request);
    if let Some(target) = address::target(request.uri(), plan.strip_prefix.as_deref())? {
        *request.uri_mut() = target.into();
    }
    // 3. What is asked of this hop itself.
    let switch = hop.websocket.then(|| {
        let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter().cloned().collect();
        Box::new(Switch { client: hyper::upgrade::on(request), offered })
    });
    Ok((hop, switch))
}

/// A WebSocket handshake that went up.
struct Switch {
    client: OnUpgrade,
    /// The subprotocols in it.
    offered: Vec<HeaderValue>,
}

fn clean(plan: &Plan, client: &Client<'_>, request: &mut Request<RequestBody>) -> Result<Hop, UnknownCoding> {
    let (method, version) = (request.method().clone(), request.version());
    let headers = request.headers_mut();
    let hop = plan.rules.clean_request(&method, version, headers, client.connection.trusted())?;
    if !plan.pass_credential {
        headers::drop_credential(headers);
    }
    // A handshake has no body; with one, where the new protocol begins would be in doubt.
    Ok(Hop { websocket: hop.websocket && request.body().is_end_stream(), ..hop })
}

fn write<P: Identified>(permit: &Permit<P>, client: &Client<'_>, request: &mut Request<RequestBody>) {
    let identity = permit.principal().map(Identified::identity);
    let headers = request.headers_mut();
    headers.reserve(6 + identity.map_or(0, |identity| identity.iter().len()));
    client.connection.write(headers, client.host.as_ref());
    for (name, value) in identity.into_iter().flat_map(IdentityHeaders::iter) {
        headers.insert(name.clone(), value.clone());
    }
}

fn receive(
    upstream: &Upstream,
    switch: Option<Box<Switch>>,
    mut response: Response<Incoming>,
    lease: Lease,
) -> Result<Answer, Fault> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switched(upstream, switch, response);
    }
    headers::clean_response(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    Ok(Answer::Response(response.map(|incoming| UpstreamBody::new(incoming, lease))))
}

/// A `101` is taken only as the answer to a WebSocket handshake that we forwarded, only for WebSocket, and with no
/// subprotocol but one that was offered (RFC 6455 section 4.1).
fn switched(
    upstream: &Upstream,
    switch: Option<Box<Switch>>,
    mut response: Response<Incoming>,
) -> Result<Answer, Fault> {
    let fault = |cause: &'static str| Fault::new(FaultKind::Protocol, &upstream.target.config.name).because(cause);
    let Switch { client, offered } = *switch.ok_or_else(|| fault("a 101 that nobody asked for"))?;
    if !headers::is_websocket(response.headers()) {
        return Err(fault("a 101 to another protocol than WebSocket"));
    }
    if !headers::chooses_from(response.headers(), &offered) {
        return Err(fault("a 101 with a subprotocol that was not offered"));
    }
    let tunnel = Tunnel::new(client, hyper::upgrade::on(&mut response));
    headers::clean_response(response.headers_mut());
    headers::ask_for_websocket(response.headers_mut());
    Ok(Answer::Switched(response.map(drop), tunnel))
}
