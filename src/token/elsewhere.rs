//! Tokens that come elsewhere than in `Authorization`, on routes whose `token_from` says so: in a query parameter, as a
//! WebSocket subprotocol, or in another application's cookie.
//!
//! Such a token is a bearer token. Each place is read strictly: what is there twice, or is no b64token, is refused. Promises
//! that no upstream finds a token where it came: it is taken out, and goes on in `Authorization`, where what the route says of
//! `credential` decides about it. What stands beside it goes up byte by byte.
//!
//! A subprotocol is `NAME.` and the token in base64url without padding, as Kubernetes takes it: subprotocols are HTTP tokens
//! (RFC 6455 section 4.1), which not every b64token is. A browser fails a handshake that chooses none of the subprotocols that
//! it asked for, so a handshake with no other than the token is refused.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, REFERRER_POLICY, SEC_WEBSOCKET_PROTOCOL};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use super::Rejection;
use super::extract::{Credential, Place, Scheme, bad, is_b64token};
use crate::config::model::TokenFrom;

/// The one credential in the places of `from`.
///
/// # Errors
/// `bad_credential_syntax` when there are two, or when it is none that can be read.
pub fn credential<'h>(
    from: &TokenFrom,
    headers: &'h HeaderMap,
    query: Option<&'h str>,
) -> Result<Option<Credential<'h>>, Rejection> {
    let in_query = match (&from.query, query) {
        (Some(name), Some(query)) => in_query(query, name)?,
        (Some(_) | None, Some(_) | None) => None,
    };
    let in_subprotocol = from.subprotocol.as_deref().map(|name| in_subprotocol(headers, name)).transpose()?.flatten();
    let in_cookie = from.cookie.as_deref().map(|name| in_cookie(headers, name)).transpose()?.flatten();
    let places = [(in_query, Place::Query), (in_subprotocol, Place::Subprotocol), (in_cookie, Place::Cookie)];
    let mut found = places.into_iter().filter_map(|(token, place)| Some((token?, place)));
    let Some((token, place)) = found.next() else { return Ok(None) };
    match found.next() {
        Some(_) => Err(bad("tokens in two of the places that the route takes them from")),
        None => Ok(Some(Credential { token, scheme: Scheme::Bearer, place })),
    }
}

/// Takes the token out of its place and puts it into `Authorization`. Says where it was.
///
/// # Errors
/// When the target cannot be written without it.
pub fn bring_home(from: &TokenFrom, headers: &mut HeaderMap, uri: &mut Uri) -> Result<Option<Place>, Rejection> {
    let found = credential(from, headers, uri.query())?;
    let Some((place, token)) = found.map(|found| (found.place, format!("Bearer {}", found.token))) else {
        return Ok(None);
    };
    match place {
        Place::Authorization => {}
        Place::Query => {
            let name = from.query.as_deref().unwrap_or_default();
            *uri = without_parameter(uri, name).ok_or_else(unwritable)?;
        }
        Place::Subprotocol => remove_subprotocol(headers, from.subprotocol.as_deref().unwrap_or_default()),
        Place::Cookie => {
            let name = from.cookie.as_deref().unwrap_or_default().as_bytes();
            remove_cookies(headers, |cookie| cookie == name);
        }
    }
    let mut value = HeaderValue::try_from(token).map_err(|_| unwritable())?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(Some(place))
}

/// Has shared caches treat an answer as one to a request with `Authorization`: none keeps it, unless the upstream says that it
/// may (RFC 9111 section 3.5).
pub fn as_if_authorized(headers: &mut HeaderMap) {
    let told = ["private", "no-store", "public", "must-revalidate", "s-maxage"];
    if !told.into_iter().any(|word| says(headers, word)) {
        headers.append(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

/// Whether `Cache-Control` has this word, with or without a value.
fn says(headers: &HeaderMap, word: &str) -> bool {
    let fields = headers.get_all(CACHE_CONTROL).iter().filter_map(|field| field.to_str().ok());
    let words = fields.flat_map(|text| text.split(',')).map(|item| item.split('=').next().unwrap_or_default().trim());
    words.into_iter().any(|said| said.eq_ignore_ascii_case(word))
}

/// Has no shared cache keep an answer, whatever the upstream says that they may (RFC 6750 section 2.3). A page with a token in
/// its address does not hand the address on.
pub fn keep_private(headers: &mut HeaderMap, place: Place) {
    if !says(headers, "no-store") && !says(headers, "private") {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
    if place == Place::Query {
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
}

/// Takes cookies out, by their names.
pub fn remove_cookies(headers: &mut HeaderMap, is_taken_out: impl Fn(&[u8]) -> bool) {
    let taken = |crumb: &[u8]| is_taken_out(crumb.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii());
    if !headers.get_all(COOKIE).iter().any(|field| field.as_bytes().split(|byte| *byte == b';').any(taken)) {
        return;
    }
    let fields: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for field in fields {
        let crumbs = field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let kept: Vec<&[u8]> = crumbs.filter(|crumb| !crumb.is_empty() && !taken(crumb)).collect();
        if let (false, Ok(value)) = (kept.is_empty(), HeaderValue::from_bytes(&kept.join(&b"; "[..]))) {
            headers.append(COOKIE, value);
        }
    }
}

fn in_query<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, Rejection> {
    let mut values = query.split('&').filter(|parameter| is_named(parameter, name));
    let Some(parameter) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("the query parameter of the token comes more than once"));
    }
    let value = parameter.split_once('=').map_or("", |(_, value)| value);
    // A bare plus is a blank to whoever reads queries as forms, and a plus to others.
    let token = percent_decode_str(value).decode_utf8().ok().filter(|_| !value.contains('+'));
    let token = token.filter(|token| is_b64token(token.as_bytes()));
    token.map(Some).ok_or_else(|| bad("the query parameter of the token holds no b64token (RFC 6750 section 2.1)"))
}

/// Whether a parameter of a query has this name, however it is escaped.
pub(super) fn is_named(parameter: &str, name: &str) -> bool {
    let written = parameter.split('=').next().unwrap_or_default();
    percent_decode_str(written).eq(name.bytes())
}

fn without_parameter(uri: &Uri, name: &str) -> Option<Uri> {
    let kept: Vec<&str> = uri.query()?.split('&').filter(|parameter| !is_named(parameter, name)).collect();
    let target = match kept.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), kept.join("&")),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

fn in_subprotocol(headers: &HeaderMap, name: &str) -> Result<Option<Cow<'static, str>>, Rejection> {
    let mut carriers = subprotocols(headers).filter_map(|offer| carried(offer, name));
    let Some(carried) = carriers.next() else { return Ok(None) };
    if carriers.next().is_some() {
        return Err(bad("the subprotocol of the token comes more than once"));
    }
    if !subprotocols(headers).any(|offer| self::carried(offer, name).is_none()) {
        return Err(bad("no subprotocol beside that of the token, so none could be chosen"));
    }
    let token = URL_SAFE_NO_PAD.decode(carried).ok().filter(|token| is_b64token(token));
    let token = token.and_then(|token| String::from_utf8(token).ok());
    token.map(|token| Some(token.into())).ok_or_else(|| bad("the subprotocol of the token holds none in base64url"))
}

/// What an offered subprotocol has after `name` and a dot.
fn carried<'o>(offer: &'o [u8], name: &str) -> Option<&'o [u8]> {
    offer.strip_prefix(name.as_bytes())?.strip_prefix(b".")
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offers = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    offers.map(<[u8]>::trim_ascii).filter(|offer| !offer.is_empty())
}

fn remove_subprotocol(headers: &mut HeaderMap, name: &str) {
    let kept: Vec<&[u8]> = subprotocols(headers).filter(|offer| carried(offer, name).is_none()).collect();
    let kept = HeaderValue::from_bytes(&kept.join(&b", "[..]));
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Ok(kept) = kept {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, kept);
    }
}

/// An empty cookie is one that was logged out of: no credential.
fn in_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<Cow<'h, str>>, Rejection> {
    let crumbs = headers.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    let mut values = crumbs.filter_map(|crumb| {
        let at = crumb.iter().position(|byte| *byte == b'=')?;
        (crumb[..at].trim_ascii() == name.as_bytes()).then(|| crumb[at + 1..].trim_ascii())
    });
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("the cookie of the token comes more than once"));
    }
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    if value.is_empty() {
        return Ok(None);
    }
    let token = std::str::from_utf8(value).ok().filter(|token| is_b64token(token.as_bytes()));
    token.map(|token| Some(token.into())).ok_or_else(|| bad("the cookie of the token holds no b64token"))
}

fn unwritable() -> Rejection {
    bad("the request cannot be written without its token")
}

#[cfg(test)]
mod tests;
