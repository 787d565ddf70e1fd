//! `/sessions`: which browsers somebody is logged in with, and the end of that.
//!
//! Always of one person, or of one sign-in at the issuer: `?sub=` or `?sid=`, and `&issuer=` where logins have several. What is
//! shown is no secret by which a session could be used. Who may look and end is who may give orders (see `revocations`).

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{json_answer, not_allowed, text};
use crate::clock::UnixTime;
use crate::gateway::snapshot::Snapshot;
use crate::login::Login;
use crate::session::{Session, Who};

type Answer = Response<Full<Bytes>>;

/// Lists or ends. Whether the sender may has been judged.
pub(super) async fn answer<B>(snapshot: &Snapshot, request: &Request<B>) -> Answer {
    let answered = match *request.method() {
        Method::GET | Method::HEAD => list(snapshot, request).await,
        Method::DELETE => end(snapshot, request).await,
        _ => return not_allowed("GET, HEAD, DELETE"),
    };
    answered.unwrap_or_else(|refusal| refusal)
}

async fn list<B>(snapshot: &Snapshot, request: &Request<B>) -> Result<Answer, Answer> {
    let (login, who) = meant(snapshot, request).map_err(|problem| bad(&problem))?;
    let found = login.sessions().list(&who).await.map_err(|error| unanswered(&error))?;
    let mut sessions = found.ok_or_else(in_browsers)?;
    sessions.sort_by_key(|session| session.began);
    let shown: Vec<Value> = sessions.iter().map(|session| shown(login, session)).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "sessions": shown })))
}

async fn end<B>(snapshot: &Snapshot, request: &Request<B>) -> Result<Answer, Answer> {
    let (login, who) = meant(snapshot, request).map_err(|problem| bad(&problem))?;
    let ended = login.sessions().end_all(&who).await.map_err(|error| unanswered(&error))?;
    let ended = ended.ok_or_else(in_browsers)?;
    tracing::info!(issuer = who.issuer, ended, "sessions are ended by an operator");
    Ok(json_answer(StatusCode::OK, &json!({ "ended": ended })))
}

fn shown(login: &Login, session: &Session) -> Value {
    json!({
        "login": session.login,
        "issuer": session.issuer,
        "sub": session.subject,
        "sid": session.sid,
        "began": UnixTime::from_millis(session.began).secs(),
        "last_request": session.last_request().secs(),
        "ends": login.sessions().end_of(session).secs(),
    })
}

/// Whose sessions are meant, and a login of their issuer. All logins keep their sessions in the one store.
fn meant<'s, B>(snapshot: &'s Snapshot, request: &Request<B>) -> Result<(&'s Login, Who), String> {
    let mut given = [("sub", None), ("sid", None), ("issuer", None)];
    for (name, value) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
        match given.iter_mut().find(|(known, _)| *known == name) {
            Some((_, held @ None)) => *held = Some(value.into_owned()),
            Some(_) => return Err(format!("`{name}` comes twice")),
            None => return Err(format!("there is no `{name}`")),
        }
    }
    let [(_, subject), (_, sid), (_, issuer)] = given;
    if subject.as_deref().or(sid.as_deref()).is_none_or(str::is_empty) {
        return Err("whose sessions?".into());
    }
    let login = login_of(snapshot, issuer.as_deref())?;
    Ok((login, Who { issuer: login.issuer.to_string(), subject, sid }))
}

fn login_of<'s>(snapshot: &'s Snapshot, issuer: Option<&str>) -> Result<&'s Login, String> {
    let is = |login: &Login, named: &str| {
        *login.issuer == *named || *snapshot.config.issuers[login.settings.issuer].name == *named
    };
    let Some(first) = snapshot.logins.first() else {
        return Err("nobody can log in here, as there is no [logins.NAME]".into());
    };
    match issuer {
        Some(named) => match snapshot.logins.iter().find(|login| is(login, named)) {
            Some(login) => Ok(login),
            None => Err("`issuer` is no issuer of a login".into()),
        },
        None if snapshot.logins.iter().all(|login| login.issuer == first.issuer) => Ok(first),
        None => Err("`issuer` is needed, as logins have several".into()),
    }
}

fn bad(problem: &str) -> Answer {
    let usage = "use /sessions?sub=SUB or ?sid=SID, and &issuer=NAME where logins have several issuers";
    text(StatusCode::BAD_REQUEST, format!("{problem}; {usage}\n"))
}

fn in_browsers() -> Answer {
    let message = "sessions are in browsers (store = \"cookie\"), where nobody sees or ends them; POST /revocations refuses them\n";
    text(StatusCode::NOT_IMPLEMENTED, message)
}

fn unanswered(error: &dyn std::error::Error) -> Answer {
    text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
}
