//! Browsers: the session that a request belongs to, and the way to a login when there is none.
//!
//! A session counts only on routes with `login`, at the host of the login's `public_url`, and when the request has no
//! Authorization field and no token in another place that the route takes one from: that decides alone. By a cookie, ours
//! or another application's, nothing is changed from another site, and no WebSocket opened.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{AUTHORIZATION, SET_COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};

use crate::clock::UnixTime;
use crate::login::{Departure, Login, Lost};
use crate::observe::exchange::Exchange;
use crate::pattern::canonical_host;
use crate::policy::{self, Denial, Permit};
use crate::proxy::identity;
use crate::route::Located;
use crate::session::store::StoreError;
use crate::session::{Found, Live, Place, Session, is_ours};
use crate::token::elsewhere;
use crate::token::principal::{Principal, Scopes};
use crate::token::{Rejection, RejectionCode};

use super::asking::Asking;
use super::intent::{Intent, comes_from_elsewhere, may_change};
use super::judge::{Held, Target, Verdict, circumstances};
use super::login_links;
use super::login_paths::Call;
use super::outcome::{Refusal, refused};
use super::respond::{self, Challenge, Form};
use super::snapshot::{Route, Snapshot};
use super::{Passed, View, caller};

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
#[derive(Default)]
pub(super) struct Beside {
    /// Whether a session opened the way.
    pub(super) is_personal: bool,
    bearer: Option<HeaderValue>,
    cookies: Vec<HeaderValue>,
}

impl Beside {
    /// Of this visitor, if there is one: the access token where the route says so, cookies where the session needs them.
    fn of(visitor: Option<Visitor>, route: &Route) -> Self {
        let Some(Visitor { live, .. }) = visitor else { return Self::default() };
        let token = Some(&live.session.tokens.access).filter(|_| route.passes_session_token);
        let bearer = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        let sensitive = |mut bearer: HeaderValue| {
            bearer.set_sensitive(true);
            bearer
        };
        Self { is_personal: true, bearer: bearer.map(sensitive), cookies: live.cookies }
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
        let Asking { method, headers, uri, now, .. } = *self.asking;
        let intent = Intent::of(method, headers);
        let return_to = login_links::return_to(self.login, self.asking, intent);
        // What no login changes is no reason for one; but a person may have another account.
        if !matches!(denial, Denial::NoCredential | Denial::SessionExpired | Denial::StepUpRequired { .. }) {
            let another = is_about_the_account(&denial) && intent != Intent::Read;
            challenge.login = another.then(|| login_links::another_account_url(self.login, return_to));
            return Err(refused(self.exchange, denial, challenge));
        }
        // Who has to log in anyway does it as the route wants it at once.
        let step_up = self.route.rule.step_up();
        if intent == Intent::Visit {
            let return_to = uri.path_and_query().map_or("/", PathAndQuery::as_str);
            let way = self.login.begin(Departure::to(return_to, step_up), headers, now).await;
            let call = Call { snapshot: &self.view.snapshot, exchange: self.exchange, target: None, now };
            return Ok(Passed::Document(call.went(self.login, return_to, way)));
        }
        challenge.login = Some(login_links::login_url(self.login, Departure::to(return_to, step_up)));
        challenge.is_lost = !method.is_safe();
        let form = if intent == Intent::Show { Form::Page } else { Form::Problem };
        self.exchange.denied(denial.code(), || denial.detail());
        Ok(Passed::Document(respond::denial(&denial, &challenge, form, &self.view.snapshot.pages)))
    }
}

/// Whether another person might have been let in.
fn is_about_the_account(denial: &Denial) -> bool {
    match denial {
        Denial::InsufficientScope { .. } | Denial::ClaimRefused { .. } => true,
        Denial::Token(rejection) => rejection.code == RejectionCode::Revoked,
        _ => false,
    }
}

/// A session, and the verdict that was made of it.
type Kept = (Arc<Session>, Held);

/// One worker's verdicts of sessions, so that a principal is not made for every request.
#[derive(Default)]
pub(super) struct Verdicts(RefCell<HashMap<Place, Kept>>);

impl Verdicts {
    fn of(&self, snapshot: &Snapshot, login: &Login, live: &Live) -> Result<Held, Rejection> {
        let mut held = self.0.borrow_mut();
        if let Some((session, held)) = held.get(&live.place)
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
        held.insert(live.place, (Arc::clone(&live.session), Rc::clone(&verdict)));
        Ok(verdict)
    }
}

/// A session's principal: the verified ID token, and the scopes of the token answer.
pub(super) fn principal(login: &Login, session: &Session) -> Principal {
    Principal {
        issuer: login.settings.issuer,
        issuer_id: Arc::clone(&login.issuer),
        subject: Some(Box::from(&*session.subject)),
        client: Some(Box::from(&*login.settings.client_id)),
        scopes: Scopes::parse(&session.scopes),
        audiences: vec![Box::from(&*login.settings.client_id)],
        expires_at: login.sessions().end_of(session),
        binding: None,
        claims: session.claims.clone(),
    }
}

/// The login of a route, if sessions count for this request.
pub(super) fn login_of<'s>(snapshot: &'s Snapshot, route: &Route, asking: &Asking<'_>) -> Option<&'s Arc<Login>> {
    let login = &snapshot.logins[route.login?];
    // A token that cannot be read is one all the same.
    let elsewhere = |from| !matches!(elsewhere::credential(from, asking.headers, asking.query()), Ok(None));
    let brings_token = asking.headers.contains_key(AUTHORIZATION) || route.token_from.as_ref().is_some_and(elsewhere);
    (!brings_token && is_at(login, asking.target)).then_some(login)
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
    let Some(live) = found(login, headers, now).await? else { return Ok(None) };
    if may_change(method, headers) && comes_from_elsewhere(headers, &login.settings.public_url) {
        return Err(Denial::CrossSite);
    }
    let live = login.fresh(live, now).await.map_err(lost)?;
    let held = verdicts.of(snapshot, login, &live)?;
    Ok(Some(Visitor { live, held }))
}

/// The session of the browser that sent this, as it stands; `None`: there was none.
///
/// # Errors
/// `session_expired` or `store_unavailable`.
pub(super) async fn found(login: &Login, headers: &HeaderMap, now: UnixTime) -> Result<Option<Live>, Denial> {
    let found = login.sessions().find(&login.jar, login.own(), headers, now).await;
    match found.map_err(|error| unanswered(&error))? {
        Found::Nothing => Ok(None),
        Found::Over => Err(Denial::SessionExpired),
        Found::Live(live) => Ok(Some(live)),
    }
}

/// Why whoever had a session has none any more.
pub(super) fn lost(lost: Lost) -> Denial {
    match lost {
        Lost::Over => Denial::SessionExpired,
        Lost::Unanswered(error) => unanswered(&error),
    }
}

fn unanswered(error: &StoreError) -> Denial {
    Rejection::new(RejectionCode::StoreUnavailable, error.to_string()).into()
}

/// Takes our own cookies out of what goes up.
pub(super) fn keep_own_cookies(headers: &mut HeaderMap) {
    elsewhere::remove_cookies(headers, is_ours);
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
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
