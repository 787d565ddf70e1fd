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
use serde_json::json;

use crate::clock::UnixTime;
use crate::login::{Failure, Login, Parameters, Side, StepUp, Way};
use crate::observe::exchange::Exchange;
use crate::pattern::MethodSet;
use crate::policy::Denial;
use crate::secret::random_id;
use crate::server::plain::read_body;
use crate::session::Found;
use crate::token::{Rejection, RejectionCode};

use super::browser::{self, comes_from_elsewhere};
use super::judge::Target;
use super::page::Page;
use super::respond;
use super::snapshot::Snapshot;

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
        if let Some(login) = logins.iter().find(|login| login.settings.callback == path) {
            return self.callback(login, head, body).await;
        }
        if logins.is_empty() {
            return Err(Denial::NoRoute);
        }
        match path.strip_prefix(OWN).unwrap_or_default() {
            "login" => self.login(&logins, allowed(head, &[Method::GET])?).await,
            "logout" => self.logout(&logins, allowed(head, &[Method::POST])?).await,
            "logged-out" => logged_out(&logins, allowed(head, &[Method::GET, Method::HEAD])?),
            "session" => self.session(&logins, allowed(head, &[Method::GET, Method::HEAD])?).await,
            "backchannel-logout" => self.back_channel(&logins, allowed(head, &[Method::POST])?, body).await,
            "frontchannel-logout" => self.front_channel(&logins, allowed(head, &[Method::GET])?).await,
            _ => Err(Denial::NoRoute),
        }
    }

    async fn login(&self, logins: &[&Arc<Login>], head: &Request<()>) -> Answered {
        let [return_to, name] = parameters(head, ["return_to", "login"])?;
        let return_to = return_to.unwrap_or_default();
        let login = match (name, logins) {
            (Some(name), _) => logins.iter().find(|login| *login.settings.name == *name).ok_or(Denial::NoRoute)?,
            (None, [only]) => only,
            (None, several) => return Ok(chooser(several, &return_to)),
        };
        let way = login.begin(&return_to, &StepUp::default(), head.headers(), self.now).await;
        Ok(self.went(way))
    }

    async fn callback(&self, login: &Login, head: &Request<()>, body: Incoming) -> Answered {
        let answer = if login.settings.form_post {
            allowed(head, &[Method::POST])?;
            Parameters::read(&form(head.headers(), body).await?)
        } else {
            allowed(head, &[Method::GET])?;
            Parameters::read(head.uri().query().unwrap_or_default().as_bytes())
        };
        let way = match answer {
            Ok(answer) => Box::pin(login.complete(&answer, head.headers(), self.now)).await,
            Err(failure) => Err(failure),
        };
        Ok(self.went(way))
    }

    async fn logout(&self, logins: &[&Arc<Login>], head: &Request<()>) -> Answered {
        let login = current(logins, head.headers());
        if comes_from_elsewhere(head.headers(), &login.settings.public_url) {
            return Err(Denial::CrossSite);
        }
        let [return_to] = parameters(head, ["return_to"])?;
        match login.log_out(&return_to.unwrap_or_default(), head.headers()).await {
            Ok(out) => {
                let mut response = go(&out.way);
                // What the application left in the browser goes too; cookies are cleared one by one, as others may stay.
                let clear = HeaderValue::from_static("\"cache\", \"storage\"");
                response.headers_mut().insert("clear-site-data", clear);
                Ok(response)
            }
            Err(failure) => Ok(self.failed(failure)),
        }
    }

    /// What the application may know of who is logged in; no tokens.
    async fn session(&self, logins: &[&Arc<Login>], head: &Request<()>) -> Answered {
        let login = current(logins, head.headers());
        let found = login.sessions().find(&login.jar, &login.settings.name, head.headers(), self.now).await;
        let live = match found.map_err(|error| Rejection::new(RejectionCode::StoreUnavailable, error.to_string()))? {
            Found::Nothing => return Err(Denial::NoCredential),
            Found::Over => return Err(Denial::SessionExpired),
            Found::Live(live) => live,
        };
        let live = login.fresh(live, self.now).await.ok_or(Denial::SessionExpired)?;
        let session = &live.session;
        let claims = login.settings.session_claims.iter();
        let claims = claims.filter_map(|name| Some((name.clone(), session.claims.get(name)?.clone())));
        let document = json!({
            "login": session.login,
            "sub": session.subject,
            "claims": claims.collect::<serde_json::Map<_, _>>(),
            "expires_at": login.sessions().end_of(session).secs(),
        });
        let mut response = respond::own(StatusCode::OK, "application/json", document.to_string());
        response.headers_mut().extend(live.cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
        Ok(response)
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
        let [iss, sid] = parameters(head, ["iss", "sid"])?;
        let login = logins.iter().find(|login| Some(&*login.issuer) == iss.as_deref()).unwrap_or(&logins[0]);
        Ok(match login.front_channel(iss.as_deref(), sid.as_deref()).await {
            Ok(Some(_)) => respond::own(StatusCode::OK, "text/html; charset=utf-8", "<!doctype html>\n".into()),
            Ok(None) => {
                respond::own(StatusCode::NOT_IMPLEMENTED, "text/html; charset=utf-8", "<!doctype html>\n".into())
            }
            Err(failure) => self.failed(failure),
        })
    }

    /// Where a login goes on.
    pub(super) fn went(&self, way: Result<Way, Failure>) -> Response<Bytes> {
        match way {
            Ok(way) => go(&way),
            Err(failure) => self.failed(failure),
        }
    }

    /// A page with a reference, beside which the log has the reason.
    fn failed(&self, failure: Failure) -> Response<Bytes> {
        let reference = random_id().chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>();
        self.exchange.denied("login_failed", || format!("reference {reference}: {}", failure.detail));
        let status = match failure.side {
            Side::Browser => StatusCode::BAD_REQUEST,
            Side::Issuer => StatusCode::BAD_GATEWAY,
            Side::Store => StatusCode::SERVICE_UNAVAILABLE,
        };
        let note = format!("login_failed, reference {reference}");
        let page = Page {
            title: "Login failed",
            sentence: failure.sentence,
            note: Some(&note),
            links: &[("/", "Start again")],
        };
        let mut response = respond::page(status, &page);
        response.headers_mut().extend(failure.cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
        response
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

fn go(way: &Way) -> Response<Bytes> {
    let mut response = respond::own(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
    if let Ok(location) = HeaderValue::try_from(&*way.location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response.headers_mut().extend(way.cookies.iter().map(|cookie| (SET_COOKIE, cookie.clone())));
    response
}

fn logged_out(logins: &[&Arc<Login>], head: &Request<()>) -> Answered {
    let [state] = parameters(head, ["state"])?;
    let target = state.and_then(|state| logins.iter().find_map(|login| login.after_logout(&state)));
    Ok(match target.filter(|target| target != "/") {
        Some(location) => go(&Way { location, cookies: Vec::new() }),
        None => respond::page(
            StatusCode::OK,
            &Page {
                title: "Logged out",
                sentence: "You are logged out. Close the browser if others use it too.",
                note: None,
                links: &[("/", "To the front page")],
            },
        ),
    })
}

fn chooser(logins: &[&Arc<Login>], return_to: &str) -> Response<Bytes> {
    let ways: Vec<(String, &str)> = logins
        .iter()
        .map(|login| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("login", &*login.settings.name), ("return_to", return_to)])
                .finish();
            (format!("{OWN}login?{query}"), &*login.settings.name)
        })
        .collect();
    let links: Vec<(&str, &str)> = ways.iter().map(|(url, name)| (&**url, *name)).collect();
    let sentence = "Where do you have your account?";
    respond::page(StatusCode::OK, &Page { title: "Log in", sentence, note: None, links: &links })
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

/// These parameters of the query. Which of two values counts must not be a matter of who reads.
fn parameters<const N: usize>(head: &Request<()>, names: [&str; N]) -> Result<[Option<String>; N], Denial> {
    let mut values = [const { None }; N];
    for (name, value) in url::form_urlencoded::parse(head.uri().query().unwrap_or_default().as_bytes()) {
        let Some(place) = names.iter().position(|known| *known == name) else { continue };
        if values[place].replace(value.into_owned()).is_some() {
            return Err(Denial::BadRequest { detail: "A parameter comes twice." });
        }
    }
    Ok(values)
}

async fn form(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Denial> {
    let essence = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).and_then(|kind| kind.split(';').next());
    if !essence.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        return Err(Denial::BadRequest { detail: "The body has to be a form." });
    }
    read_body(body, MAX_BODY).await.map_err(|_| Denial::BadRequest { detail: "The body cannot be read." })
}

/// The page at which a person can log in and then go on to where the request went.
pub(super) fn login_url(login: &Login, head_uri: &http::Uri, method: &Method) -> String {
    let return_to = match method.is_safe() {
        true => head_uri.path_and_query().map_or("/", |path| path.as_str()),
        false => "/",
    };
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("login", &*login.settings.name), ("return_to", return_to)])
        .finish();
    format!("{}{OWN}login?{query}", login.settings.public_url)
}
