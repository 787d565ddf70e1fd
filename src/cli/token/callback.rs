//! Where the browser comes back to: a listener on this machine for one answer of the authorization endpoint.
//!
//! Promises that an answer is handed on only if it repeats the `state` of this very request and, where `iss` is sent or
//! promised, comes from the server that was asked (RFC 9207). Everything else ends the wait with the reason: a second
//! answer cannot follow a false one. Refuses requests that name another host (a rebound name), and hand-backs from
//! other origins. A request without any answer in it, as a browser makes for icons or previews, ends nothing.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use url::form_urlencoded;
use url::{Host, Url};

use crate::secret::same;
use crate::server::plain;

use super::args::Redirect;
use super::failure::Failure;
use super::page::{self, Page};
use super::shown::shown;

/// Bytes of a fragment that is handed back: two large tokens and what is around them.
const MAX_ANSWER: usize = 256 * 1024;

/// Who messages say has answered.
const AUTHORIZATION_ENDPOINT: &str = "the authorization endpoint";

/// The parameters of an answer.
pub(super) type Parameters = Map<String, Value>;

/// How the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In the query of the redirect.
    Query,
    /// In its fragment, which a page of ours hands back.
    Fragment,
}

/// What an answer is held against.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) state: String,
    pub(super) issuer: String,
    /// The server has announced that its answers carry `iss`.
    pub(super) promises_iss: bool,
}

/// A bound listener.
#[derive(Debug)]
pub(super) struct Callback {
    listener: TcpListener,
    /// As the server gets it.
    pub(super) redirect_uri: String,
    /// Host and port, as browsers write them.
    host: String,
    path: String,
}

impl Callback {
    /// Listens where the redirect URI leads.
    pub(super) fn listen(redirect: &Redirect) -> Result<Self, Failure> {
        let ip = match redirect.url.host() {
            Some(Host::Ipv4(ip)) => ip.into(),
            Some(Host::Ipv6(Ipv6Addr::LOCALHOST)) => Ipv6Addr::LOCALHOST.into(),
            _ => Ipv4Addr::LOCALHOST.into(),
        };
        let address = SocketAddr::new(ip, redirect.port);
        let broken = |error| {
            let what = format!("cannot listen on {address} for the browser: {error}");
            Failure::fault(what).help("another --port or --redirect-uri may do, or none, which takes a free port")
        };
        let listener = TcpListener::bind(address).map_err(broken)?;
        let mut url = redirect.url.clone();
        let port = listener.local_addr().map_err(broken)?.port();
        // This fails only for URLs without a host, and this one has one.
        let _ = url.set_port(Some(port));
        Ok(Self {
            listener,
            redirect_uri: redirect.exact.clone().unwrap_or_else(|| url.to_string()),
            host: url[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
            path: url.path().to_owned(),
        })
    }

    /// Waits for the one answer.
    pub(super) async fn receive(self, way: Way, question: Question, wait: Duration) -> Result<Parameters, Failure> {
        let (answers, mut answered) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let Self { listener, redirect_uri, host, path } = self;
        let desk = Arc::new(Desk { way, question, host, path, answers });
        let handler = move |request, _stop| {
            let desk = Arc::clone(&desk);
            async move { desk.serve(request).await }
        };
        let waiting = async {
            let answer = tokio::time::timeout(wait, answered.recv()).await;
            // The page that tells of the answer still gets through.
            drop(stop);
            answer
        };
        let serving = plain::serve(listener, handler, async { drop(stopped.await) });
        match tokio::join!(serving, waiting) {
            (Err(error), _) => Err(Failure::fault(format!("cannot wait for the browser: {error}"))),
            (Ok(()), Ok(Some(answer))) => answer,
            (Ok(()), Ok(None) | Err(_)) => Err(nobody(&redirect_uri, wait)),
        }
    }
}

fn nobody(redirect_uri: &str, wait: Duration) -> Failure {
    Failure::fault(format!("nobody came back within {} s", wait.as_secs())).help(format!(
        "--wait SECONDS gives more time. If the browser complains about the redirect URI, register {redirect_uri} \
         for this client, or give the registered one with --redirect-uri"
    ))
}

/// What every request is held against.
struct Desk {
    way: Way,
    question: Question,
    host: String,
    path: String,
    answers: mpsc::Sender<Result<Parameters, Failure>>,
}

impl Desk {
    async fn serve(&self, request: Request<Incoming>) -> Page {
        let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
        if header(HOST) != Some(&self.host) || request.uri().path() != self.path {
            return page::told(StatusCode::NOT_FOUND, "Nothing here", "This is not the address of the callback.");
        }
        match (self.way, request.method()) {
            (_, &Method::GET) => self.visited(request.uri().query().unwrap_or_default()),
            (Way::Fragment, &Method::POST) => {
                let ours = header(ORIGIN).and_then(|origin| origin.strip_prefix("http://")) == Some(&self.host);
                let form = header(CONTENT_TYPE) == Some("application/x-www-form-urlencoded");
                if !ours || !form {
                    return page::plain(
                        StatusCode::FORBIDDEN,
                        "This did not come from the page of the callback.".into(),
                    );
                }
                self.handed_back(request.into_body()).await
            }
            (way, _) => {
                let mut page = page::told(StatusCode::METHOD_NOT_ALLOWED, "Not like this", "The callback is visited.");
                let allowed = if way == Way::Fragment { "GET, POST" } else { "GET" };
                page.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                page
            }
        }
    }

    /// The redirect itself. A server that knows no fragment for errors writes them into the query.
    fn visited(&self, query: &str) -> Page {
        let names: Vec<_> = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name).collect();
        let is_answer = ["state", "code", "error"].iter().any(|sign| names.iter().any(|name| name == sign));
        match (self.way, is_answer) {
            (_, true) => {
                let (status, title, text) = self.answered(query.as_bytes());
                page::told(status, title, &text)
            }
            (Way::Fragment, false) => page::fragment(),
            (Way::Query, false) => {
                let text = "There is no answer in this address. The terminal still waits for one.";
                page::told(StatusCode::BAD_REQUEST, "Nothing to see", text)
            }
        }
    }

    async fn handed_back(&self, body: Incoming) -> Page {
        match plain::read_body(body, MAX_ANSWER).await {
            Ok(form) => {
                let (status, title, text) = self.answered(&form);
                page::plain(status, format!("{title}. {text}"))
            }
            Err(fault) => page::plain(StatusCode::BAD_REQUEST, format!("The answer cannot be read: {fault}.")),
        }
    }

    /// Judges an answer and hands the judgement on; what comes back is for the browser.
    fn answered(&self, form: &[u8]) -> (StatusCode, &'static str, String) {
        let judged = self.question.judge(form);
        let told = match &judged {
            Ok(_) => (
                StatusCode::OK,
                "The answer has arrived",
                "You can close this page and go back to the terminal.".into(),
            ),
            Err(Failure::Refused(refusal)) => (
                StatusCode::OK,
                "The server refused",
                format!("It says {}. The terminal shows more.", shown(&refusal.code)),
            ),
            Err(_) => (
                StatusCode::BAD_REQUEST,
                "This answer was not accepted",
                "It does not belong to the request that the terminal made. The terminal shows why.".into(),
            ),
        };
        match self.answers.try_send(judged) {
            Ok(()) => told,
            Err(_) => (StatusCode::CONFLICT, "Too late", "There was an answer already.".into()),
        }
    }
}

impl Question {
    /// Whether the answer is one to this question; then, whether it is a refusal.
    fn judge(&self, form: &[u8]) -> Result<Parameters, Failure> {
        let mut parameters = Parameters::new();
        for (name, value) in form_urlencoded::parse(form) {
            if parameters.insert(name.to_string(), Value::String(value.into_owned())).is_some() {
                return Err(Failure::fault(format!("the answer has the parameter {} twice", shown(&name))));
            }
        }
        let text = |name: &str| parameters.get(name).and_then(Value::as_str);
        match text("state") {
            Some(state) if same(state.as_bytes(), self.state.as_bytes()) => {}
            got => {
                let what = if got.is_some() { "a wrong `state`" } else { "no `state`" };
                let what = format!("the answer that came to the callback has {what}: it is not one to this request");
                return Err(Failure::fault(what).help("start anew, and use only the address that is shown then"));
            }
        }
        match text("iss") {
            Some(issuer) if issuer == self.issuer => {}
            None if !self.promises_iss => {}
            Some(issuer) => {
                let what = format!("the answer came from another server: its `iss` is {:?}", shown(issuer));
                return Err(Failure::fault(what).help("nothing of it was used or sent on (RFC 9207)"));
            }
            None => return Err(Failure::fault("the answer has no `iss`, which the server promises (RFC 9207)")),
        }
        match text("error").map(str::to_owned) {
            Some(code) => Err(Failure::refused(AUTHORIZATION_ENDPOINT, &code, parameters)),
            None => Ok(parameters),
        }
    }
}

/// The address of the authorization endpoint with `parameters` behind what it has already.
pub(super) fn address(endpoint: &Url, parameters: &[(&str, &str)]) -> Url {
    let mut url = endpoint.clone();
    url.set_fragment(None);
    url.query_pairs_mut().extend_pairs(parameters);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_to_this_question_or_none() {
        let question = |promises_iss| Question { state: "s1".into(), issuer: "https://as.test".into(), promises_iss };
        let cases = [
            (false, "code=c&state=s1", Ok("c")),
            (false, "code=c&state=s1&iss=https%3A%2F%2Fas.test", Ok("c")),
            (true, "code=c&state=s1&iss=https%3A%2F%2Fas.test", Ok("c")),
            (true, "code=c&state=s1", Err("no `iss`")),
            (false, "code=c&state=s1&iss=https%3A%2F%2Fas.test%2F", Err("another server")),
            (false, "code=c&state=s2", Err("a wrong `state`")),
            (false, "code=c&state=", Err("a wrong `state`")),
            (false, "code=c", Err("no `state`")),
            (false, "error=access_denied", Err("no `state`")),
            (false, "code=c&code=d&state=s1", Err("twice")),
            (false, "code=c&state=s1&state=s1", Err("twice")),
            (false, "error=access_denied&state=s1&iss=https%3A%2F%2Fevil.test", Err("another server")),
            (false, "error=access_denied&state=s1&code=c", Err("refused: access_denied")),
        ];
        for (promises, form, expected) in cases {
            match (question(promises).judge(form.as_bytes()), expected) {
                (Ok(parameters), Ok(code)) => assert_eq!(parameters["code"], code, "{form}"),
                (Err(failure), Err(part)) => {
                    assert!(failure.to_string().contains(part), "{form}: {failure}");
                }
                (got, expected) => panic!("{form}: {got:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn parameters_go_behind_those_that_an_endpoint_has() {
        let url = address(&"https://as.test/auth?tenant=7#x".parse().unwrap(), &[("state", "a b&c"), ("scope", "o r")]);
        assert_eq!(url.as_str(), "https://as.test/auth?tenant=7&state=a+b%26c&scope=o+r");
    }
}
