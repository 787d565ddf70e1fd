//! The judgement of one request, in three steps: [`locate`] the route, [`authenticate`] the caller, and
//! [`crate::policy::decide`]. `explain`, `[[tests]]` and the gateway itself take the same three.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};

use crate::clock::UnixTime;
use crate::observe::exchange::CacheResult;
use crate::pattern::canonical_host;
use crate::policy::{Access, Circumstances, Denial, Speaks};
use crate::proxy::{Identified, IdentityHeaders, identity};
use crate::route::Located;
use crate::token::cache::{Local, Lookup};
use crate::token::claims::Claims;
use crate::token::envelope::is_jwt;
use crate::token::extract::{self, Place, Scheme};
use crate::token::introspect::Introspector;
use crate::token::jwt::Jws;
use crate::token::principal::Principal;
use crate::token::{Rejection, RejectionCode};

use super::asking::Asking;
use super::snapshot::{Issuer, Route, Snapshot};

/// What a good token is worth: who it speaks for, and what upstreams are told about them.
#[derive(Debug)]
pub struct Verdict {
    /// Who it speaks for.
    pub principal: Principal,
    /// What upstreams are told.
    pub identity: IdentityHeaders,
    /// Whether the token is opaque: its issuer said who it speaks for, and another issuer may say otherwise.
    pub opaque: bool,
}

impl Verdict {
    /// Whether it can be the verdict on `route`. A JWT names its issuer, so there is one verdict on it. Of an opaque token
    /// every issuer may have its own.
    fn concerns(&self, route: &Route) -> bool {
        !self.opaque || route.rule.takes_issuer(self.principal.issuer)
    }
}

impl Speaks for Verdict {
    fn principal(&self) -> &Principal {
        &self.principal
    }
}

impl Identified for Verdict {
    fn identity(&self) -> &IdentityHeaders {
        &self.identity
    }
}

/// A verdict as a worker holds it.
pub type Held = crate::token::cache::Verdict<Verdict>;

/// Which host a request is for.
#[derive(Debug, Clone)]
pub struct Target<'r> {
    /// As the client wrote it, port included.
    pub authority: HeaderValue,
    /// In lower case, without port and trailing dot.
    pub host: Cow<'r, str>,
}

impl<'r> Target<'r> {
    /// The target that an authority names; `None` when it is no valid one.
    #[must_use]
    pub fn of(authority: &'r str) -> Option<Self> {
        Some(Self { authority: HeaderValue::try_from(authority).ok()?, host: canonical_host(authority)? })
    }
}

/// Which host a request is for: its target's authority, if the target is absolute or the protocol HTTP/2, else its one
/// Host field (RFC 9112 section 3.2). `None` for an HTTP/1.0 request without.
///
/// # Errors
/// `bad_request` when there are several, when they differ, or when it is no valid host.
pub fn target<B>(request: &Request<B>) -> Result<Option<Target<'_>>, Denial> {
    let mut fields = request.headers().get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(Denial::BadRequest { detail: "The request has more than one Host." });
    }
    let absolute = request.uri().authority().map(|authority| authority.as_str());
    let (authority, text) = match (absolute, field) {
        (Some(_), None) if request.version() == Version::HTTP_11 => {
            return Err(Denial::BadRequest { detail: "The request names no Host." });
        }
        (Some(absolute), field) => {
            if request.version() >= Version::HTTP_2 && field.is_some_and(|field| field != absolute) {
                return Err(Denial::BadRequest { detail: "The request's :authority and Host differ." });
            }
            (HeaderValue::try_from(absolute).ok(), Some(absolute))
        }
        (None, Some(field)) => (Some(field.clone()), field.to_str().ok()),
        (None, None) if request.version() == Version::HTTP_10 => return Ok(None),
        (None, None) => return Err(Denial::BadRequest { detail: "The request names no Host." }),
    };
    let host = text.and_then(canonical_host);
    match (authority, host) {
        (Some(authority), Some(host)) => Ok(Some(Target { authority, host })),
        _ => Err(Denial::BadRequest { detail: "The request's Host is not a valid one." }),
    }
}

/// Whether a head has more than `max` fields. HTTP/1.1 never comes so far; of HTTP/2, hyper bounds only the bytes.
/// Cookies count as one field, as HTTP/2 clients send each by itself (RFC 9113 section 8.2.3).
#[must_use]
pub fn has_too_many_fields(headers: &HeaderMap, max: usize) -> bool {
    headers.len() > max && headers.len() - headers.get_all(COOKIE).iter().count().saturating_sub(1) > max
}

/// Finds the route: pure.
///
/// # Errors
/// `bad_request`, `ambiguous_path`, `no_route` or `method_not_allowed`.
pub fn locate<'r>(
    snapshot: &Snapshot,
    host: Option<&str>,
    uri: &'r Uri,
    method: &Method,
) -> Result<Located<'r>, Denial> {
    snapshot.table.locate(host, uri.path(), method)
}

/// What the decision about a located request rests on beside who asks.
#[must_use]
pub fn circumstances<'l>(located: &'l Located<'_>, now: UnixTime) -> Circumstances<'l> {
    Circumstances { path: &located.path, certain: located.certain, now }
}

/// Who calls, as far as that was found out.
#[derive(Debug)]
pub struct Authenticated {
    /// What their token is worth.
    pub held: Held,
    /// Whether that was remembered.
    pub cache: CacheResult,
    /// A nonce for the next proof, which the response has to bring.
    pub nonce: Option<HeaderValue>,
}

/// Finds out who calls: by the verdict that is remembered of the token, else by verifying it, for which the issuer's
/// keys may have to be fetched, or by asking the issuer. Either way it must not have been revoked. A token that is bound to
/// its sender is taken with a proof of this request only, whatever is remembered; one in a cookie, not with what another site
/// made a browser send. `None`: the request carries no credential, or the route does not look at any.
///
/// # Errors
/// Why the credential is not accepted.
pub async fn authenticate(
    snapshot: &Snapshot,
    verdicts: &Local<Verdict>,
    route: &Route,
    asking: &Asking<'_>,
) -> Result<Option<Authenticated>, Denial> {
    if route.rule.access == Access::Public {
        return Ok(None);
    }
    let from = route.token_from.as_ref();
    let Some(credential) = extract::credential(asking.headers, asking.query(), from)? else { return Ok(None) };
    if credential.place == Place::Cookie && asking.is_cross_site(from) {
        return Err(Denial::CrossSite);
    }
    let (held, cache) = verdict(snapshot, verdicts, route, &credential.token, asking.now).await?;
    snapshot.revocations.check(&held.principal, asking.now, &snapshot.config.revocation)?;
    let mut nonce = None;
    if credential.scheme == Scheme::Dpop || held.principal.binding.is_some() {
        nonce = asking.proves(&credential, &held.principal, snapshot).await?;
    }
    Ok(Some(Authenticated { held, cache, nonce }))
}

/// The verdict about a token, remembered or reached now.
async fn verdict(
    snapshot: &Snapshot,
    verdicts: &Local<Verdict>,
    route: &Route,
    token: &str,
    now: UnixTime,
) -> Result<(Held, CacheResult), Rejection> {
    let ticket = match verdicts.get(token, now) {
        Lookup::Accepted(verdict, _level) if verdict.concerns(route) => return Ok((verdict, CacheResult::Hit)),
        Lookup::Accepted(..) => verdicts.ticket(token),
        Lookup::Refused(rejection) => return Err(rejection),
        Lookup::Unknown(ticket) => ticket,
    };
    // Boxed: verifying is rare, and its state is large.
    match Box::pin(verify(snapshot, route, token, now)).await {
        Ok((verdict, until)) => {
            let held = verdicts.accept(token, &ticket, until, Arc::new(verdict));
            Ok((held, CacheResult::Miss))
        }
        Err(rejection) => {
            verdicts.refuse(&ticket, &rejection, now);
            Err(rejection)
        }
    }
}

/// Judges a token that nothing is remembered of, and says how long that holds.
async fn verify(
    snapshot: &Snapshot,
    route: &Route,
    token: &str,
    now: UnixTime,
) -> Result<(Verdict, UnixTime), Rejection> {
    let asked = snapshot.introspecting(&route.rule).filter(|_| !is_jwt(token));
    let (principal, until) = match asked {
        Some((issuer, introspector)) => ask(issuer, introspector, token, now).await?,
        None => verify_jwt(snapshot, route, token, now).await?,
    };
    let identity = identity(&principal, &snapshot.config.identity_headers)?;
    Ok((Verdict { principal, identity, opaque: asked.is_some() }, until))
}

/// What needs no key first, then the signature, then, where the issuer is always to be asked, its word.
async fn verify_jwt(
    snapshot: &Snapshot,
    route: &Route,
    token: &str,
    now: UnixTime,
) -> Result<(Principal, UnixTime), Rejection> {
    let jws = Jws::parse(token)?;
    let issuer = trusted_issuer(snapshot, route, jws.issuer())?;
    issuer.checks.check(&jws, now)?;
    let keys = issuer.keys.keys_for(jws.envelope.header.kid.as_deref()).await?;
    issuer.checks.verify(&jws, &keys)?;
    let mut principal = issuer.checks.principal(jws);
    let until = issuer.checks.fresh_until(&principal);
    match issuer.introspector.as_ref().filter(|introspector| introspector.always()) {
        None => Ok((principal, until)),
        Some(introspector) => {
            let testimony = introspector.ask(token).await?;
            issuer.checks.check_answer_about_jwt(&testimony.claims, now)?;
            principal.binding = principal.binding.or(testimony.claims.binding);
            Ok((principal, until.min(testimony.fresh_until)))
        }
    }
}

/// What the issuer says of an opaque token.
async fn ask(
    issuer: &Issuer,
    introspector: &Introspector,
    token: &str,
    now: UnixTime,
) -> Result<(Principal, UnixTime), Rejection> {
    let testimony = introspector.ask(token).await?;
    issuer.checks.check_answer(&testimony.claims, introspector.audience_optional(), now)?;
    let principal = issuer.checks.principal_of_answer(Claims::clone(&testimony.claims));
    Ok((principal, testimony.fresh_until))
}

/// The issuer that a token's `iss` names, if the route takes tokens of it.
///
/// # Errors
/// `unknown_issuer`.
pub fn trusted_issuer<'s>(snapshot: &'s Snapshot, route: &Route, iss: &str) -> Result<&'s Issuer, Rejection> {
    match snapshot.issuer(iss) {
        Some((_, issuer)) if issuer.checks.audiences().is_empty() => {
            let detail = format!("the issuer {:?} has no `audiences` and is there for logins only", issuer.name);
            Err(Rejection::new(RejectionCode::UnknownIssuer, detail))
        }
        Some((position, issuer)) if route.rule.takes_issuer(position) => Ok(issuer),
        Some((_, issuer)) => {
            let detail = format!("the route {:?} does not take tokens of the issuer {:?}", route.name, issuer.name);
            Err(Rejection::new(RejectionCode::UnknownIssuer, detail))
        }
        None => Err(Rejection::new(RejectionCode::UnknownIssuer, unknown(snapshot, iss))),
    }
}

/// What the config has in place of an `iss` that it does not have.
fn unknown(snapshot: &Snapshot, iss: &str) -> String {
    const SHOWN: usize = 8;
    let known: Vec<&str> = snapshot.issuers.iter().take(SHOWN).map(|issuer| issuer.checks.issuer()).collect();
    let more = match snapshot.issuers.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown: String = iss.chars().take(120).collect();
    format!("`iss` is {shown:?}; the config has {known:?}{more}, compared byte by byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (Version, &'static str, &'static [&'static [u8]]);

    fn request(version: Version, uri: &str, hosts: &[&'static [u8]]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(HOST, HeaderValue::from_bytes(host).unwrap());
        }
        request.body(()).unwrap()
    }

    #[test]
    fn the_target_is_what_the_upstream_will_be_told() {
        let one = Version::HTTP_11;
        let cases: [(Case, &str, &str); 11] = [
            ((one, "/x", &[b"a.test"]), "a.test", "a.test"),
            ((one, "/x", &[b"A.Test:8080"]), "A.Test:8080", "a.test"),
            ((one, "/x", &[b"a.test."]), "a.test.", "a.test"),
            ((one, "/x", &[b"[0::1]:80"]), "[0::1]:80", "[::1]"),
            ((one, "http://a.test/x", &[b"b.test"]), "a.test", "a.test"),
            ((one, "http://a.test:81/x", &[b"a.test"]), "a.test:81", "a.test"),
            ((Version::HTTP_10, "/x", &[b"a.test"]), "a.test", "a.test"),
            ((Version::HTTP_10, "http://a.test/x", &[]), "a.test", "a.test"),
            ((Version::HTTP_2, "http://a.test/x", &[]), "a.test", "a.test"),
            ((Version::HTTP_2, "http://a.test/x", &[b"a.test"]), "a.test", "a.test"),
            ((Version::HTTP_2, "/x", &[b"a.test"]), "a.test", "a.test"),
        ];
        for ((version, uri, hosts), authority, host) in cases {
            let request = request(version, uri, hosts);
            let found = target(&request).unwrap().expect("it names a host");
            assert_eq!((found.authority.to_str().unwrap(), &*found.host), (authority, host), "{version:?} {uri}");
        }
        assert!(target(&request(Version::HTTP_10, "/x", &[])).unwrap().is_none(), "HTTP/1.0 may go without");
    }

    #[test]
    fn a_target_in_doubt_is_refused() {
        let one = Version::HTTP_11;
        let cases: [Case; 17] = [
            (one, "/x", &[]),
            (one, "http://a.test/x", &[]),
            (one, "/x", &[b"a.test", b"a.test"]),
            (one, "/x", &[b"a.test", b"b.test"]),
            (one, "http://a.test/x", &[b"a.test", b"b.test"]),
            (one, "http://b.test@a.test/x", &[b"a.test"]),
            (one, "/x", &[b""]),
            (one, "/x", &[b"a.test, b.test"]),
            (one, "/x", &[b"a.test/x"]),
            (one, "/x", &[b"b.test@a.test"]),
            (one, "/x", &[b"a.test:"]),
            (one, "/x", &[b"a.test:65536"]),
            (one, "/x", &[b"a.test:80:80"]),
            (one, "/x", &[b"a.test.."]),
            (one, "/x", &[b"a.test\xff"]),
            (one, "/x", &[b"0x7f.1"]),
            (Version::HTTP_2, "http://a.test/x", &[b"b.test"]),
        ];
        for (version, uri, hosts) in cases {
            let outcome = target(&request(version, uri, hosts)).map(|found| found.map(|found| found.authority));
            assert!(matches!(outcome, Err(Denial::BadRequest { .. })), "{version:?} {uri} {hosts:?}: {outcome:?}");
        }
    }

    #[test]
    fn many_cookies_are_one_field_and_other_fields_are_many() {
        let headers = |name: &'static str, count: usize| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("a.test"));
            for _ in 0..count {
                headers.append(name, HeaderValue::from_static("a"));
            }
            headers
        };
        for (name, count, refused) in [("cookie", 500, false), ("x", 9, false), ("x", 10, true), ("x", 500, true)] {
            assert_eq!(has_too_many_fields(&headers(name, count), 10), refused, "{count} x {name}");
        }
        assert!(has_too_many_fields(&headers("cookie", 5), 1), "a host and a cookie");
    }
}
