//! Browsers: the session that a request belongs to, and the way to a login when there is none.
//!
//! A session counts only on routes with `login`, at the host of the login's `public_url`, and when the request has no
//! Authorization field: that decides alone. By a cookie nothing is changed from another site.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, COOKIE, ORIGIN, SET_COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::login::{Login, StepUp};
use crate::observe::exchange::Exchange;
use crate::pattern::canonical_host;
use crate::policy::{self, Denial, Permit};
use crate::proxy::identity;
use crate::route::Located;
use crate::session::{Found, Live, Place, Session, is_ours};
use crate::token::principal::{Principal, Scopes};
use crate::token::{Rejection, RejectionCode};

use super::asking::Asking;
use super::judge::{Held, Target, Verdict, circumstances};
use super::login_paths::{self, Call};
use super::outcome::{Refusal, refused};
use super::respond::{self, Challenge, Form};
use super::snapshot::{Route, Snapshot};
use super::{Passed, View, caller};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Verdicts of sessions that one worker holds.
const MAX_HELD: usize = 4096;

/// Who a browser is, by its session.
struct Visitor {
    /// The session.
    pub live: Live,
    /// What it is worth to policy.
    pub held: Held,
}

/// What goes up and down beside a browser's request.
pub(super) struct Beside {
    bearer: Option<HeaderValue>,
    cookies: Vec<HeaderValue>,
}

impl Beside {
    /// Of this visitor, if there is one: the access token where the route says so, cookies where the session needs them.
    fn of(visitor: Option<Visitor>, route: &Route) -> Self {
        let Some(Visitor { live, .. }) = visitor else { return Self { bearer: None, cookies: Vec::new() } };
        let token = Some(&live.session.tokens.access).filter(|_| route.passes_session_token);
        let bearer = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        let sensitive = |mut bearer: HeaderValue| {
            bearer.set_sensitive(true);
            bearer
        };
        Self { bearer: bearer.map(sensitive), cookies: live.cookies }
    }

    /// Adds to what the upstream gets.
    pub(super) fn go_up(&mut self, headers: &mut HeaderMap) {
        if let Some(bearer) = self.bearer.take() {
            headers.insert(AUTHORIZATION, bearer);
        }
    }

    /// Adds to what the browser gets.
    pub(super) fn go_down(self, headers: &mut HeaderMap) {
        headers.extend(self.cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
    }
}

/// A request without Authorization on a route with a login.
pub(super) struct Door<'a> {
    pub(super) view: &'a View,
    pub(super) located: &'a Located<'a>,
    pub(super) route: &'a Route,
    pub(super) login: &'a Arc<Login>,
    pub(super) exchange: &'a Exchange,
    pub(super) asking: &'a Asking<'a>,
}

impl Door<'_> {
    /// Judges it by its session, if it has one. What is not let through is answered here: `Err` is the answer.
    pub(super) async fn judge(&self) -> Result<(Permit<Held>, Box<Beside>), Box<Result<Passed, Refusal>>> {
        match self.admit().await {
            Ok((permit, visitor)) => Ok((permit, Box::new(Beside::of(visitor, self.route)))),
            Err(denial) => Err(Box::new(self.turn_away(denial).await)),
        }
    }

    async fn admit(&self) -> Result<(Permit<Held>, Option<Visitor>), Denial> {
        let visitor = visit(&self.view.snapshot, &self.view.visitors, self.login, self.asking).await?;
        let held = visitor.as_ref().map(|visitor| Rc::clone(&visitor.held));
        if let Some(held) = &held {
            // Whom an operator has refused is refused by session too.
            let snapshot = &self.view.snapshot;
            snapshot.revocations.check(&held.principal, self.asking.now, &snapshot.config.revocation)?;
            caller::name_principal(&self.view.snapshot, self.exchange, held);
        }
        Ok((policy::decide(&self.route.rule, held, circumstances(self.located, self.asking.now))?, visitor))
    }

    /// A browser on its way to a page is sent to the issuer, everybody else is told where a person can log in.
    async fn turn_away(&self, denial: Denial) -> Result<Passed, Refusal> {
        let mut challenge = Challenge::of(&self.view.snapshot, self.route, self.asking);
        if !matches!(denial, Denial::NoCredential | Denial::SessionExpired) {
            return Err(refused(self.exchange, denial, challenge));
        }
        let Asking { method, headers, uri, now, .. } = *self.asking;
        if matches!(*method, Method::GET | Method::HEAD) && navigates(headers) {
            let return_to = uri.path_and_query().map_or("/", PathAndQuery::as_str);
            let way = self.login.begin(return_to, &StepUp::default(), headers, now).await;
            let call = Call { snapshot: &self.view.snapshot, exchange: self.exchange, target: None, now };
            return Ok(Passed::Document(call.went(way)));
        }
        challenge.login = Some(login_paths::login_url(self.login, uri, method));
        let form = if navigates(headers) { Form::Page } else { Form::Problem };
        self.exchange.denied(denial.code(), || denial.detail());
        Ok(Passed::Document(respond::denial(&denial, &challenge, form)))
    }
}

/// A session, and the verdict that was made of it.
type Kept = (Arc<Session>, Held);

/// One worker's verdicts of sessions, so that a principal is not made for every request.
#[derive(Default)]
pub(super) struct Verdicts(RefCell<HashMap<(Place, u32), Kept>>);

impl Verdicts {
    fn of(&self, snapshot: &Snapshot, login: &Login, live: &Live) -> Result<Held, Rejection> {
        let key = (live.place, live.session.refreshes);
        let mut held = self.0.borrow_mut();
        if let Some((session, held)) = held.get(&key)
            && Arc::ptr_eq(session, &live.session)
        {
            return Ok(Rc::clone(held));
        }
        let principal = principal(login, &live.session);
        let identity = identity(&principal, &snapshot.config.identity_headers)?;
        let verdict: Held = Rc::new(Arc::new(Verdict { principal, identity, opaque: false }));
        if held.len() >= MAX_HELD {
            held.clear();
        }
        held.insert(key, (Arc::clone(&live.session), Rc::clone(&verdict)));
        Ok(verdict)
    }
}

/// A session's principal: the verified ID token, and the scopes of the token answer.
fn principal(login: &Login, session: &Session) -> Principal {
    let audiences = [Box::from(&*login.settings.client_id)].to_vec();
    Principal {
        issuer: login.settings.issuer,
        issuer_id: Arc::clone(&login.issuer),
        subject: Some(Box::from(&*session.subject)),
        client: Some(Box::from(&*login.settings.client_id)),
        scopes: Scopes::parse(&session.scopes),
        audiences,
        expires_at: login.sessions().end_of(session),
        binding: None,
        claims: session.claims.clone(),
    }
}

/// The login of a route, if sessions count for this request.
pub(super) fn login_of<'s>(snapshot: &'s Snapshot, route: &Route, asking: &Asking<'_>) -> Option<&'s Arc<Login>> {
    let login = &snapshot.logins[route.login?];
    (!asking.headers.contains_key(AUTHORIZATION) && is_at(login, asking.target)).then_some(login)
}

/// Whether a request is for the host at which this login's cookies live.
pub(super) fn is_at(login: &Login, target: Option<&Target<'_>>) -> bool {
    let (_, authority) = login.settings.public_url.split_once("://").unwrap_or_default();
    canonical_host(authority).zip(target).is_some_and(|(own, target)| own == target.host)
}

/// Who is logged in at the browser that sent this, if anybody is.
///
/// # Errors
/// `session_expired`, `cross_site` or `store_unavailable`.
async fn visit(
    snapshot: &Snapshot,
    verdicts: &Verdicts,
    login: &Arc<Login>,
    asking: &Asking<'_>,
) -> Result<Option<Visitor>, Denial> {
    let Asking { method, headers, now, .. } = *asking;
    let found = login.sessions().find(&login.jar, &login.settings.name, headers, now).await;
    let live = match found.map_err(|error| Rejection::new(RejectionCode::StoreUnavailable, error.to_string()))? {
        Found::Nothing => return Ok(None),
        Found::Over => return Err(Denial::SessionExpired),
        Found::Live(live) => live,
    };
    if !method.is_safe() && comes_from_elsewhere(headers, &login.settings.public_url) {
        return Err(Denial::CrossSite);
    }
    let live = login.fresh(live, now).await.ok_or(Denial::SessionExpired)?;
    let held = verdicts.of(snapshot, login, &live)?;
    Ok(Some(Visitor { live, held }))
}

/// Whether another site made the browser send this, as far as the browser says. One that says nothing sends a cookie that
/// is SameSite=Lax only from our own pages, when the method is unsafe.
pub(super) fn comes_from_elsewhere(headers: &HeaderMap, origin: &str) -> bool {
    let mut sites = headers.get_all(FETCH_SITE).iter().peekable();
    if sites.peek().is_some() {
        return !sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    }
    headers.get_all(ORIGIN).iter().any(|sent| sent.as_bytes() != origin.as_bytes())
}

/// Whether this is a person's browser on its way to a page, by whatever method.
fn navigates(headers: &HeaderMap) -> bool {
    match headers.get(FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html")),
    }
}

/// Takes our own cookies out of what goes up.
pub(super) fn keep_own_cookies(headers: &mut HeaderMap) {
    let of = |crumb: &[u8]| is_ours(crumb.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii());
    let ours = |field: &HeaderValue| field.as_bytes().split(|byte| *byte == b';').any(of);
    if !headers.get_all(COOKIE).iter().any(ours) {
        return;
    }
    let fields: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for field in fields {
        let crumbs = field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let kept: Vec<&[u8]> = crumbs.filter(|crumb| !crumb.is_empty() && !of(crumb)).collect();
        if let (false, Ok(value)) = (kept.is_empty(), HeaderValue::from_bytes(&kept.join(&b"; "[..]))) {
            headers.append(COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn other_sites_are_known_by_what_the_browser_says() {
        let own = "https://app.example";
        let cases: [(&[(&str, &str)], bool); 12] = [
            (&[], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "")], true),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")], true),
            (&[("origin", "https://app.example")], false),
            (&[("origin", "https://app.example:8443")], true),
            (&[("origin", "null")], true),
            (&[("origin", "https://app.example"), ("origin", "https://evil.example")], true),
        ];
        for (fields, elsewhere) in cases {
            let fields: Vec<(&'static str, &'static str)> = fields.to_vec();
            assert_eq!(comes_from_elsewhere(&headers(&fields), own), elsewhere, "{fields:?}");
        }
    }

    #[test]
    fn our_cookies_stay_here_and_others_go_up() {
        let cases: [(&[&'static str], &[&str]); 7] = [
            (&["a=b"], &["a=b"]),
            (&["a=b; __Host-tollgate-web=x; c=d"], &["a=b; c=d"]),
            (&["__Host-tollgate-web=x"], &[]),
            (&["tollgate-web-tx-abc=x", "c=d"], &["c=d"]),
            (&["__HOST-TOLLGATE-web=x;a=b"], &["a=b"]),
            (&["a=__Host-tollgate-web"], &["a=__Host-tollgate-web"]),
            (&["__Host-tollgate-web"], &[]),
        ];
        for (sent, expected) in cases {
            let fields: Vec<_> = sent.iter().map(|field| ("cookie", *field)).collect();
            let mut headers = headers(&fields);
            keep_own_cookies(&mut headers);
            let kept: Vec<_> = headers.get_all(COOKIE).iter().map(|field| field.to_str().unwrap()).collect();
            assert_eq!(kept, expected, "{sent:?}");
        }
    }
}
