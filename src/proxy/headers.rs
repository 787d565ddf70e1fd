//! Header hygiene: what of a request and of a response passes, and what is written in its place.
//!
//! From a request are removed
//! - what concerns one hop (RFC 9110 section 7.6.1): `Connection` and every field that it names, `Keep-Alive`,
//!   `Proxy-*`, `TE` (`trailers` is kept), `Transfer-Encoding`, `Upgrade` (`websocket` is kept), `HTTP2-Settings`, and
//!   `Expect`, which is answered here;
//! - from everybody, trusted proxies included: every identity header, and every look-alike of a name listed here. Many
//!   programs behind us read `X_Auth_Subject` or `X.Auth.Subject` as `X-Auth-Subject` (the CGI rule), so names are
//!   compared with any character that is no letter and no digit taken for `-`;
//! - unless it comes from a trusted proxy: `X-Forwarded-*`, `Forwarded`, `X-Original-*`, `X-Rewrite-URL`,
//!   `X-HTTP-Method*`, `X-Method-Override`, `X-Real-IP`, `True-Client-IP`, `X-Accel-*`, `X-Sendfile*`, `Client-Cert`,
//!   `Client-Cert-Chain` (RFC 9440), and the header that is named for client certificates;
//! - on routes that say so, the credential.
//!
//! `Connection` cannot name away what the gateway judged by or writes itself: Host, Authorization, Cookie, the length of
//! the body, the forwarding headers. Ours are written after all removals. The same names are refused in trailers.
//!
//! The usual request has one such field or none: one look at each name, no allocation, and then only insertions.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};

use super::forwarded::is_token;
use super::identity::{CLIENT, ISSUER, SCOPES, SUBJECT};

/// The names that are removed, compiled once for a snapshot.
#[derive(Debug)]
pub struct HeaderRules {
    identity: Vec<HeaderName>,
    /// Where trusted proxies tell of client certificates.
    certificate: Option<HeaderName>,
    /// Whether a name that begins with this byte has to be looked at.
    first: [bool; 256],
}

/// What becomes of one field of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Remove,
    /// `Connection`: names more.
    Connection,
    Te,
    /// `Transfer-Encoding`: has to be one that was undone.
    Coding,
    Upgrade,
    /// Passes from a trusted proxy.
    Trust,
}

/// What a request asks of this hop, read from the fields that were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hop {
    /// `TE: trailers`: the caller takes trailers.
    pub trailers: bool,
    /// A WebSocket handshake by `Upgrade` (RFC 6455 section 4.1).
    pub websocket: bool,
}

/// The body of a request has a transfer coding that was not undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a transfer coding other than chunked")]
pub struct UnknownCoding;

impl HeaderRules {
    /// The rules for a gateway that sets these identity headers beside the four that it always sets.
    #[must_use]
    pub fn new<'a>(extra: impl IntoIterator<Item = &'a HeaderName>) -> Self {
        let mut identity = vec![SUBJECT, ISSUER, CLIENT, SCOPES];
        identity.extend(extra.into_iter().cloned());
        let mut first = [false; 256];
        b"cefhkptux".iter().for_each(|&byte| first[usize::from(byte)] = true);
        identity
            .iter()
            .filter_map(|name| name.as_str().bytes().next())
            .for_each(|byte| first[usize::from(byte)] = true);
        // A configured name may itself begin with a character that look-alikes replace.
        if identity.iter().any(|name| !name.as_str().as_bytes()[0].is_ascii_alphanumeric()) {
            (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric()).for_each(|byte| first[usize::from(byte)] = true);
        }
        Self { identity, certificate: None, first }
    }

    /// With a header in which trusted proxies tell of client certificates: others do not get it through.
    #[must_use]
    pub fn trusting(mut self, certificate: Option<&HeaderName>) -> Self {
        if let Some(name) = certificate {
            self.first[usize::from(name.as_str().as_bytes()[0])] = true;
        }
        self.certificate = certificate.cloned();
        self
    }

    /// Removes from the head of a request what must not go up.
    ///
    /// # Errors
    /// When the body has a transfer coding beside `chunked`: it would go up with nothing that says so.
    pub fn clean_request(
        &self,
        method: &Method,
        version: Version,
        headers: &mut HeaderMap,
        trusted: bool,
    ) -> Result<Hop, UnknownCoding> {
        let mut found = Found::default();
        for name in headers.keys() {
            match self.fate(name.as_str()) {
                Fate::Pass => {}
                Fate::Trust if trusted => {}
                Fate::Remove | Fate::Trust => found.remove.push(name.clone()),
                Fate::Connection => found.connection = true,
                Fate::Te => found.te = true,
                Fate::Coding => found.coding = true,
                Fate::Upgrade => found.upgrade = true,
            }
        }
        if found.coding && has_odd_coding(headers) {
            return Err(UnknownCoding);
        }
        if version == Version::HTTP_2 {
            join_cookies(headers);
        }
        Ok(found.resolve(method, version, headers))
    }

    /// Removes from the trailers of a request what must not go up: all that is refused in its head, and what a reader
    /// that merges trailers into the head would act on (RFC 9110 section 6.5.1).
    pub fn clean_trailers(&self, trailers: &mut HeaderMap) {
        let refused = |name: &&HeaderName| self.fate(name.as_str()) != Fate::Pass || is_judged(name);
        let remove: Vec<HeaderName> = trailers.keys().filter(refused).cloned().collect();
        remove.iter().for_each(|name| drop(trailers.remove(name)));
    }

    fn fate(&self, name: &str) -> Fate {
        let bytes = name.as_bytes();
        let Some(&first) = bytes.first() else { return Fate::Pass };
        if !self.first[usize::from(first)] {
            return Fate::Pass;
        }
        if self.identity.iter().any(|ours| alike(bytes, ours.as_str().as_bytes())) {
            return Fate::Remove;
        }
        if self.certificate.as_ref().is_some_and(|ours| alike(bytes, ours.as_str().as_bytes())) {
            return Fate::spelled(name);
        }
        match first {
            b'c' => match name {
                "connection" => Fate::Connection,
                "content-length" => Fate::Pass,
                _ if alike(bytes, b"content-length") => Fate::Remove,
                _ if alike(bytes, b"client-cert") || alike(bytes, b"client-cert-chain") => Fate::spelled(name),
                _ => Fate::Pass,
            },
            b'e' if name == "expect" => Fate::Remove,
            b'f' if name == "forwarded" => Fate::Trust,
            b'h' if alike(bytes, b"http2-settings") => Fate::Remove,
            b'k' if alike(bytes, b"keep-alive") => Fate::Remove,
            b'p' if name == "proxy" || begins_alike(bytes, b"proxy-") => Fate::Remove,
            b't' => match name {
                "te" => Fate::Te,
                "transfer-encoding" => Fate::Coding,
                _ if alike(bytes, b"transfer-encoding") => Fate::Remove,
                _ if alike(bytes, b"true-client-ip") => Fate::spelled(name),
                _ => Fate::Pass,
            },
            b'u' if name == "upgrade" => Fate::Upgrade,
            b'x' if is_trusted_only(bytes) => Fate::spelled(name),
            _ => Fate::Pass,
        }
    }
}

impl Fate {
    /// A trusted proxy is believed in the plain spelling; a look-alike is something that it let through unseen.
    fn spelled(name: &str) -> Self {
        if name.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric()) { Self::Trust } else { Self::Remove }
    }
}

fn is_trusted_only(name: &[u8]) -> bool {
    const FAMILIES: [&[u8]; 5] = [b"x-forwarded", b"x-original-", b"x-http-method", b"x-accel-", b"x-sendfile"];
    const NAMES: [&[u8]; 3] = [b"x-rewrite-url", b"x-method-override", b"x-real-ip"];
    FAMILIES.iter().any(|family| begins_alike(name, family)) || NAMES.iter().any(|exact| alike(name, exact))
}

/// Whether `name` is `ours` when every character that is no letter and no digit counts as `-`. Both are lower case.
fn alike(name: &[u8], ours: &[u8]) -> bool {
    name.len() == ours.len() && begins_alike(name, ours)
}

fn begins_alike(name: &[u8], ours: &[u8]) -> bool {
    name.len() >= ours.len()
        && name.iter().zip(ours).all(|(a, b)| a == b || !(a.is_ascii_alphanumeric() || b.is_ascii_alphanumeric()))
}

/// What the gateway judged by, or what frames the message; no hop and no trailer takes it away or puts it in place.
fn is_judged(name: &HeaderName) -> bool {
    const JUDGED: [HeaderName; 8] = [
        header::HOST,
        header::AUTHORIZATION,
        header::COOKIE,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::FORWARDED,
        HeaderName::from_static("dpop"),
    ];
    JUDGED.contains(name) || name.as_str().starts_with("x-forwarded-")
}

/// Fields of one head that ask for more than a look at their name.
#[derive(Debug, Default)]
struct Found {
    connection: bool,
    te: bool,
    coding: bool,
    upgrade: bool,
    remove: Vec<HeaderName>,
}

impl Found {
    fn resolve(mut self, method: &Method, version: Version, headers: &mut HeaderMap) -> Hop {
        let mut hop = Hop::default();
        if self.te {
            hop.trailers = lists(headers, &header::TE, "trailers");
            headers.remove(header::TE);
        }
        if self.connection {
            let upgrade = self.upgrade && lists(headers, &header::CONNECTION, "upgrade");
            hop.websocket = upgrade
                && method == Method::GET
                && version == Version::HTTP_11
                && is_only(headers, &header::UPGRADE, "websocket");
            self.named_by_connection(headers);
            headers.remove(header::CONNECTION);
        }
        if self.upgrade {
            headers.remove(header::UPGRADE);
        }
        if self.coding {
            headers.remove(header::TRANSFER_ENCODING);
        }
        self.remove.iter().for_each(|name| drop(headers.remove(name)));
        hop
    }

    /// Adds the fields that `Connection` names.
    fn named_by_connection(&mut self, headers: &HeaderMap) {
        for value in headers.get_all(header::CONNECTION) {
            if is_usual(value) {
                continue;
            }
            let named = members(value).filter_map(|name| HeaderName::from_bytes(name).ok());
            self.remove.extend(named.filter(|name| headers.contains_key(name) && !is_judged(name)));
        }
    }
}

/// HTTP/2 may split cookies over several fields; elsewhere they are one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1 {
        let cookies = HeaderValue::try_from(crumbs.join(&b"; "[..])).expect("made of header values");
        headers.insert(header::COOKIE, cookies);
    }
}

/// The values of `Connection` that name no field.
fn is_usual(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

/// The members of a comma-separated list, trimmed.
fn members(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Whether a list header has this member, whatever its parameters.
fn lists(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    headers.get_all(name).iter().flat_map(members).any(|item| {
        let end = item.iter().position(|&byte| !is_token(byte)).unwrap_or(item.len());
        item[..end].eq_ignore_ascii_case(member.as_bytes())
    })
}

/// Whether a body is coded in another way than `chunked` alone. Others may frame it differently than we do, so it is refused, and
/// nothing that follows it is read.
#[must_use]
pub fn has_odd_coding(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) && !is_only(headers, &header::TRANSFER_ENCODING, "chunked")
}

fn is_only(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    let mut items = headers.get_all(name).iter().flat_map(members);
    items.next().is_some_and(|item| item.eq_ignore_ascii_case(member.as_bytes())) && items.next().is_none()
}

/// Says to the next hop what [`HeaderRules::clean_request`] found for it. HTTP/2 knows neither `Connection` nor `Upgrade`.
pub fn write_hop(headers: &mut HeaderMap, hop: Hop, version: Version) {
    const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
    let http1 = version == Version::HTTP_11;
    if hop.trailers {
        headers.insert(header::TE, TRAILERS);
    }
    match (hop.websocket, hop.trailers) {
        (true, _) if http1 => ask_for_websocket(headers),
        (false, true) if http1 => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
        (_, _) => {}
    }
}

/// Whether a `101` switches to WebSocket.
#[must_use]
pub fn is_websocket(headers: &HeaderMap) -> bool {
    is_only(headers, &header::UPGRADE, "websocket")
}

/// Whether a `101` names no subprotocol, or one of those that were offered.
#[must_use]
pub fn chooses_from(headers: &HeaderMap, offered: &[HeaderValue]) -> bool {
    let mut chosen = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    match (chosen.next(), chosen.next()) {
        (None, _) => true,
        (Some(one), None) => offered.iter().flat_map(members).any(|offer| offer == one.as_bytes().trim_ascii()),
        (Some(_), Some(_)) => false,
    }
}

/// The two fields of a WebSocket handshake, the same in request and response (RFC 6455 section 4).
pub fn ask_for_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Removes the credential itself: the token, and the proof that goes with it (RFC 9449).
pub fn drop_credential(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    headers.remove(HeaderName::from_static("dpop"));
}

/// Removes from the head of a response what concerned the hop to the upstream. `Trailer` stays: the server part sends
/// trailers on HTTP/1.1 only when it names them.
pub fn clean_response(headers: &mut HeaderMap) {
    let mut connection = false;
    let mut remove: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        match name.as_str() {
            "connection" => connection = true,
            "keep-alive" | "transfer-encoding" | "upgrade" | "te" => remove.push(name.clone()),
            other if other.starts_with("proxy-") => remove.push(name.clone()),
            _ => {}
        }
    }
    if connection {
        let mut found = Found { remove, ..Found::default() };
        found.named_by_connection(headers);
        headers.remove(header::CONNECTION);
        remove = found.remove;
    }
    remove.iter().for_each(|name| drop(headers.remove(name)));
}

#[cfg(test)]
mod tests;
