//! The paths below `/.tollgate/`, which are the gateway's own and win over any route: login, callback, logout, and what
//! the issuer tells us.
//!
//! They work at the host of a login's `public_url` only. Whatever fails shows a page with a reference number, which stands
//! in the log beside the reason; the page itself tells nothing of the inside.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use crate::clock::UnixTime;
use crate::login::{Departure, Failure, Login, Parameters, Side, StepUp, Told, Way};
use crate::observe::exchange::Exchange;
use crate::pattern::MethodSet;
use crate::policy::Denial;
use crate::secret::random_id;
use crate::server::plain::read_body;
use crate::session::{Live, Session};

use super::browser;
use super::intent::{comes_from_elsewhere, is_no_visit};
use super::judge::Target;
use super::login_links as links;
use super::page::{Filling, Kind, Link, Pages};
use super::respond::{self, Challenge, Form};
use super::snapshot::{Route, Snapshot};
use super::texts::{self, Said};

/// Below which everything is the gateway's own.
pub(super) const OWN: &str = "/.tollgate/";
/// Bytes of a posted answer or logout token.
const MAX_BODY: usize = 64 * 1024;

type Answered = Result<Response<Bytes>, Denial>;

/// One request to one of these paths.
pub(super) struct Call<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) exchange: &'a Exchange,
    pub(super) target: Option<&'a Target<'a>>,
    pub(super) now: UnixTime,
}

impl Call<'_> {
    /// Answers it.
    ///
    /// # Errors
    /// When there is no such path, it takes another method, or the request is refused.
    pub(super) async fn answer(&self, head: &Request<()>, body: Incoming) -> Answered {
        let logins: Vec<&Arc<Login>> =
            self.snapshot.logins.iter().filter(|login| browser::is_at(login, self.target)).collect();
        let path = head.uri().path();
        let awaiting: Vec<&Arc<Login>> =
            logins.iter().filter(|login| login.settings.callback == path).copied().collect();
        if !awaiting.is_empty() {
            return self.callback(&awaiting, head, body).await;
        }
        if logins.is_empty() {
            return Err(Denial::NoRoute);
        }
        match path.strip_prefix(OWN).unwrap_or_default() {
            "login" => self.login(&logins, allowed(head, &[Method::GET])?).await,
            "logout" => self.logout(&logins, allowed(head, &[Method::POST])?).await,
            "logged-out" => self.logged_out(&logins, allowed(head, &[Method::GET, Method::HEAD])?),
            "session" => self.session(&logins, allowed(head, &[Method::GET, Method::HEAD, Method::POST])?).await,
            "backchannel-logout" => self.back_channel(&logins, allowed(head, &[Method::POST])?, body).await,
            "frontchannel-logout" => self.front_channel(&logins, allowed(head, &[Method::GET])?).await,
            _ => Err(Denial::NoRoute),
        }
    }

    async fn login(&self, logins: &[&Arc<Login>], head: &Request<()>) -> Answered {
        if is_no_visit(head.headers()) {
            // A person has to want it.
            return Err(Denial::NoCredential);
        }
        let names = ["return_to", "login", "acr_values", "max_age", "login_hint", "prompt"];
        let [return_to, name, acr_values, max_age, hint, prompt] = links::parameters(head, names)?;
        let (login_hint, prompt) = (links::login_hint(hint.as_deref())?, links::prompt(prompt.as_deref())?);
        let step_up =
            StepUp { acr_values: links::acr_values(acr_values)?, max_age: links::max_age(max_age.as_deref())? };
        let return_to = return_to.unwrap_or_default();
        let departure = Departure { return_to: &return_to, login_hint, prompt, step_up: &step_up };
        let login = match (name, logins) {
            (Some(name), _) => logins.iter().find(|login| *login.settings.name == *name).ok_or(Denial::NoRoute)?,
            (None, [only]) => only,
            (None, several) => return Ok(self.chooser(several, departure)),
        };
        if !self.asks_for(login, &step_up) {
            return Err(Denial::BadRequest { detail: "No route here asks for that acr." });
        }
        let way = login.begin(departure, head.headers(), self.now).await;
        Ok(self.went(login, &return_to, way))
    }

    /// Whether each context class is one that a route of this login asks for. A link from elsewhere asks for no others.
    fn asks_for(&self, login: &Arc<Login>, step_up: &StepUp) -> bool {
        let of_login = |route: &&Route| route.login.is_some_and(|at| Arc::ptr_eq(&self.snapshot.logins[at], login));
        let routes = self.snapshot.routes.iter().filter(of_login);
        let known: Vec<&str> = routes.flat_map(|route| route.rule.step_up().acr_values.split(' ')).collect();
        step_up.acr_values.split(' ').all(|class| class.is_empty() || known.contains(&class))
    }

    async fn callback(&self, logins: &[&Arc<Login>], head: &Request<()>, body: Incoming) -> Answered {
        // They expect their answers in one way.
        let answer = if logins[0].settings.form_post {
            allowed(head, &[Method::POST])?;
            Parameters::read(&form(head.headers(), body).await?)
        } else {
            allowed(head, &[Method::GET])?;
            Parameters::read(head.uri().query().unwrap_or_default().as_bytes())
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Ok(self.failed(logins[0], "/", failure)),
        };
        let awaits = |login: &&&Arc<Login>| login.awaits(&answer, head.headers(), self.now);
        let login = logins.iter().find(awaits).unwrap_or(&logins[0]);
        let way = Box::pin(login.complete(&answer, head.headers(), self.now)).await;
        Ok(self.went(login, "/", way))
    }

    async fn logout(&self, logins: &[&Arc<Login>], head: &Request<()>) -> Answered {
        let login = current(logins, head.headers());
        if comes_from_elsewhere(head.headers(), &login.settings.public_url) {
            return Err(Denial::CrossSite);
        }
        let [return_to] = links::parameters(head, ["return_to"])?;
        match login.log_out(&return_to.unwrap_or_default(), head.headers()).await {
            Ok(out) => {
                let mut response = go(&out.way);
                // What the application left in the browser goes too; cookies are cleared one by one, as others may stay.
                let clear = HeaderValue::from_static("\"cache\", \"storage\"");
                response.headers_mut().insert("clear-site-data", clear);
                Ok(response)
            }
            Err(failure) => Ok(self.failed(login, "/", failure)),
        }
    }

    /// What the application may know of who is logged in; no tokens. A `POST` renews them first.
    async fn session(&self, logins: &[&Arc<Login>], head: &Request<()>) -> Answered {
        let login = current(logins, head.headers());
        let renews = *head.method() == Method::POST;
        if renews && comes_from_elsewhere(head.headers(), &login.settings.public_url) {
            return Err(Denial::CrossSite);
        }
        let live = match self.live(login, head.headers(), renews).await {
            Err(denial @ (Denial::NoCredential | Denial::SessionExpired)) => {
                return Ok(self.nobody(logins, head.headers(), &denial));
            }
            live => live?,
        };
        let principal = browser::principal(login, &live.session);
        self.snapshot.revocations.check(&principal, self.now, &self.snapshot.config.revocation)?;
        let mut response = respond::own(StatusCode::OK, "application/json", shown(login, &live.session).to_string());
        response.headers_mut().extend(live.cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
        Ok(response)
    }

    async fn live(&self, login: &Arc<Login>, headers: &HeaderMap, renews: bool) -> Result<Live, Denial> {
        let live = browser::found(login, headers, self.now).await?.ok_or(Denial::NoCredential)?;
        let fresh = match renews {
            true => login.fresh_on_demand(live, self.now).await,
            false => login.fresh(live, self.now).await,
        };
        fresh.map_err(browser::lost)
    }

    /// Nobody is logged in, and this is where a person can, to come back to the page that asks.
    fn nobody(&self, logins: &[&Arc<Login>], headers: &HeaderMap, denial: &Denial) -> Response<Bytes> {
        let return_to = links::asking_page(logins[0], headers).unwrap_or("/");
        let step_up = StepUp::default();
        let departure = Departure::to(return_to, &step_up);
        let url = match logins {
            [only] => links::login_url(only, departure),
            several => links::chooser_url(several[0], departure),
        };
        let challenge = Challenge { login: Some(url), bearer: true, ..Challenge::default() };
        self.exchange.denied(denial.code(), || denial.detail());
        respond::denial(denial, &challenge, Form::Problem, self.pages())
    }

    async fn back_channel(&self, logins: &[&Arc<Login>], head: &Request<()>, body: Incoming) -> Answered {
        let form = form(head.headers(), body).await?;
        let mut tokens = url::form_urlencoded::parse(&form).filter(|(name, _)| name == "logout_token");
        let token = tokens.next().filter(|_| tokens.next().is_none());
        let (_, token) = token.ok_or(Denial::BadRequest { detail: "One logout_token is needed." })?;
        let mut refused = None;
        for login in logins {
            match login.back_channel(&token, self.now).await {
                Ok(Some(_)) => return Ok(respond::own(StatusCode::OK, "text/plain; charset=utf-8", String::new())),
                Ok(None) => {
                    let detail = "this store cannot end sessions from outside";
                    return Ok(self.failed_for_program(StatusCode::NOT_IMPLEMENTED, "unsupported", detail));
                }
                // Of several logins the one that may be meant has the word, not one that the token is not for.
                Err(failure) if failure.side != Side::Browser => {
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    return Ok(self.failed_for_program(status, "temporarily_unavailable", &failure.detail));
                }
                Err(failure) => refused = Some(failure),
            }
        }
        let failure = refused.ok_or(Denial::NoRoute)?;
        Ok(self.failed_for_program(StatusCode::BAD_REQUEST, "invalid_request", &failure.detail))
    }

    async fn front_channel(&self, logins: &[&Arc<Login>], head: &Request<()>) -> Answered {
        let [iss, sid] = links::parameters(head, ["iss", "sid"])?;
        let login = logins.iter().find(|login| Some(&*login.issuer) == iss.as_deref()).unwrap_or(&logins[0]);
        let empty = |status| respond::own(status, "text/html; charset=utf-8", "<!doctype html>\n".into());
        Ok(match login.front_channel(iss.as_deref(), sid.as_deref()).await {
            Ok(Some(_)) => empty(StatusCode::OK),
            Ok(None) => empty(StatusCode::NOT_IMPLEMENTED),
            Err(failure) => self.failed(login, "/", failure),
        })
    }

    /// Where a login goes on that is to lead to `return_to`.
    pub(super) fn went(&self, login: &Login, return_to: &str, way: Result<Way, Failure>) -> Response<Bytes> {
        match way {
            Ok(way) => go(&way),
            Err(failure) => self.failed(login, return_to, failure),
        }
    }

    /// A page with a reference, beside which the log has the reason.
    fn failed(&self, login: &Login, return_to: &str, failure: Failure) -> Response<Bytes> {
        let reference = random_id().chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>();
        self.exchange.denied("login_failed", || format!("reference {reference}: {}", failure.detail));
        let return_to = failure.return_to.as_deref().unwrap_or(return_to);
        let again = links::login_url(login, Departure::to(return_to, &failure.step_up));
        let home = Link { url: "/", text: texts::HOME };
        let links = match failure.told {
            Told::NotLoggedOut | Told::NobodyNamed => &[home][..],
            _of_a_login => &[Link { url: &again, text: texts::TRY_AGAIN }, home],
        };
        let (Said { title, sentence }, note) = (texts::failure(failure.told), texts::reference(&reference));
        let filling = Filling {
            title,
            sentence,
            hint: Some(texts::GET_HELP).filter(|_| failure.told != Told::Cancelled),
            note: Some(&note),
            site: Some(respond::site(&login.settings.public_url)),
            code: Some("login_failed"),
            reference: Some(&reference),
            links,
            ..Filling::default()
        };
        let mut response = respond::page(status(failure.side), Kind::Error, filling, self.pages());
        response.headers_mut().extend(failure.cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
        response
    }

    fn logged_out(&self, logins: &[&Arc<Login>], head: &Request<()>) -> Answered {
        let [state] = links::parameters(head, ["state"])?;
        let target = state.and_then(|state| logins.iter().find_map(|login| login.after_logout(&state)));
        if let Some(location) = target.filter(|target| target != "/") {
            return Ok(go(&Way { location, cookies: Vec::new() }));
        }
        let links = [Link { url: "/", text: texts::HOME }];
        Ok(self.page(Kind::LoggedOut, texts::LOGGED_OUT, logins[0], &links))
    }

    fn chooser(&self, logins: &[&Arc<Login>], departure: Departure<'_>) -> Response<Bytes> {
        // What a route wants of a sign-in was never asked of all logins.
        let departure = Departure { step_up: &StepUp::default(), ..departure };
        let urls: Vec<String> = logins.iter().map(|login| links::login_url(login, departure)).collect();
        let links: Vec<Link<'_>> =
            logins.iter().zip(&urls).map(|(login, url)| Link { url, text: &login.settings.label }).collect();
        self.page(Kind::Chooser, texts::CHOOSER, logins[0], &links)
    }

    fn page(&self, kind: Kind, said: Said, login: &Login, links: &[Link<'_>]) -> Response<Bytes> {
        let site = Some(respond::site(&login.settings.public_url));
        let filling = Filling { title: said.title, sentence: said.sentence, site, links, ..Filling::default() };
        respond::page(StatusCode::OK, kind, filling, self.pages())
    }

    fn pages(&self) -> &Pages {
        &self.snapshot.pages
    }

    /// The answer to an issuer's program (OpenID Connect Back-Channel Logout 1.0, section 2.8).
    fn failed_for_program(&self, status: StatusCode, error: &str, detail: &str) -> Response<Bytes> {
        self.exchange.denied("login_failed", || format!("back-channel logout: {detail}"));
        let mut response = respond::own(status, "application/json", json!({ "error": error }).to_string());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, respond::RETRY_SECONDS);
        }
        response
    }
}

const fn status(side: Side) -> StatusCode {
    match side {
        Side::Browser => StatusCode::BAD_REQUEST,
        Side::Issuer => StatusCode::BAD_GATEWAY,
        Side::Store => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What scripts of the application may know of a session.
fn shown(login: &Login, session: &Session) -> Value {
    let claims = login.settings.session_claims.iter();
    let claims = claims.filter_map(|name| Some((name.clone(), session.claims.get(name)?.clone())));
    json!({
        "login": session.login,
        "sub": session.subject,
        "claims": claims.collect::<Map<_, _>>(),
        "expires_at": login.sessions().end_of(session).secs(),
    })
}

fn go(way: &Way) -> Response<Bytes> {
    let mut response = respond::own(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
    if let Ok(location) = HeaderValue::try_from(&*way.location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response.headers_mut().extend(way.cookies.iter().map(|cookie| (SET_COOKIE, cookie.clone())));
    response
}

/// The login whose session the browser has; else the first.
fn current<'l>(logins: &[&'l Arc<Login>], headers: &HeaderMap) -> &'l Arc<Login> {
    let has = |login: &&&Arc<Login>| ["", "-0"].iter().any(|suffix| login.jar.get(headers, suffix).is_some());
    logins.iter().find(has).copied().unwrap_or(logins[0])
}

fn allowed<'r>(head: &'r Request<()>, methods: &[Method]) -> Result<&'r Request<()>, Denial> {
    match methods.contains(head.method()) {
        true => Ok(head),
        false => Err(Denial::MethodNotAllowed { allow: methods.iter().map(MethodSet::of).collect() }),
    }
}

async fn form(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Denial> {
    let essence = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).and_then(|kind| kind.split(';').next());
    if !essence.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        return Err(Denial::BadRequest { detail: "The body has to be a form." });
    }
    read_body(body, MAX_BODY).await.map_err(|_| Denial::BadRequest { detail: "The body cannot be read." })
}
