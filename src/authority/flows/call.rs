//! How the walker calls the authority: by HTTP/1.1, over a pipe instead of a socket, so that every request runs through
//! the same endpoints as one from elsewhere, whatever address, proxy or TLS stands before them. What is said is recorded.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::duplex;
use tokio::time::timeout;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::super::State;
use super::super::endpoints::Endpoint;
use super::super::settings::Client;
use super::catalog::Proof;
use super::shown;
use super::walk::Step;

/// How long an answer may take: longer than an endpoint that is slow on purpose usually is.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 256 * 1024;
/// Bytes on their way in the pipe.
const PIPE: usize = 16 * 1024;
/// The header fields of an answer that a reader should see.
const TELLING: [HeaderName; 3] = [CONTENT_TYPE, CACHE_CONTROL, WWW_AUTHENTICATE];

/// What the resource server says to others while it answers; a part of the request to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<Vec<Step>>>);

impl Recorder {
    /// Adds a step.
    pub(super) fn add(&self, step: Step) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// All steps so far, which are forgotten.
    pub(super) fn take(&self) -> Vec<Step> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request, with what may be shown of it.
#[derive(Debug)]
pub(super) struct Call {
    request: Request<Full<Bytes>>,
    shown: String,
}

impl Call {
    /// A GET, with a token or without.
    pub(super) fn get(state: &State, endpoint: &Endpoint, token: Option<&str>) -> Self {
        let mut call = Self::new(state, Method::GET, endpoint, String::new());
        if let Some(token) = token {
            call.authorize("Bearer", token, &shown::cut(token));
        }
        call
    }

    /// A form from `client`, which proves who it is as the config says.
    pub(super) fn form(state: &State, endpoint: &Endpoint, client: &Client, parameters: &[(&str, &str)]) -> Self {
        let secret = client.secret.as_ref().map(|secret| secret.expose()).unwrap_or_default();
        let mut parameters = parameters.to_vec();
        let proof = Proof::of(client).unwrap_or(Proof::Id);
        match proof {
            Proof::Basic => {}
            Proof::Id => parameters.push(("client_id", &client.id)),
            Proof::Post => parameters.extend([("client_id", client.id.as_str()), ("client_secret", secret)]),
        }
        let body = Serializer::new(String::new()).extend_pairs(&parameters).finish();
        let mut call = Self::new(state, Method::POST, endpoint, body);
        if proof == Proof::Basic {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let credential = STANDARD.encode(format!("{}:{}", encoded(&client.id), encoded(secret)));
            call.authorize("Basic", &credential, &format!("({}:{})", client.id, shown::parameter("password", "")));
        }
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        call.request.headers_mut().insert(CONTENT_TYPE, kind);
        call.shown.push_str("\nContent-Type: application/x-www-form-urlencoded\n");
        call.shown.push_str(&shown::parameters("", parameters.iter().copied()));
        call
    }

    fn new(state: &State, method: Method, endpoint: &Endpoint, body: String) -> Self {
        let host = super::authority_of(&state.settings.issuer).unwrap_or_default();
        let shown = format!("{method} {} HTTP/1.1\nHost: {host}", endpoint.path);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        // Both come from the issuer, which is a URL.
        if let (Ok(uri), Ok(host)) = (endpoint.path.parse(), HeaderValue::try_from(host)) {
            *request.uri_mut() = uri;
            request.headers_mut().insert(HOST, host);
        }
        Self { request, shown }
    }

    fn authorize(&mut self, scheme: &str, credential: &str, shown: &str) {
        if let Ok(mut value) = HeaderValue::try_from(format!("{scheme} {credential}")) {
            value.set_sensitive(true);
            self.request.headers_mut().insert(AUTHORIZATION, value);
        }
        let _ = write!(self.shown, "\nAuthorization: {scheme} {shown}");
    }

    /// Makes the call and writes it, with its answer, into `step`.
    pub(super) async fn record(self, state: &State, recorder: &Recorder, step: &mut Step) -> Answer {
        step.sent = Some(self.shown);
        let answer = match timeout(PATIENCE, send(state, self.request, recorder)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::none(&error.to_string()),
            Err(_) => Answer::none("it did not come in time"),
        };
        step.answer = Some(answer.shown());
        answer
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    head: Option<(StatusCode, HeaderMap)>,
    body: String,
}

impl Answer {
    fn none(why: &str) -> Self {
        Self { head: None, body: format!("There was no answer: {why}.") }
    }

    /// Whether it grants what was asked for.
    pub(super) fn is_good(&self) -> bool {
        self.head.as_ref().is_some_and(|(status, _)| status.is_success())
    }

    /// A text in its JSON.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        body[name].as_str().map(str::to_owned)
    }

    /// Its JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn shown(&self) -> String {
        let mut text = String::new();
        if let Some((status, headers)) = &self.head {
            let _ = writeln!(text, "HTTP/1.1 {status}");
            for name in TELLING {
                if let Some(value) = headers.get(&name).and_then(|value| value.to_str().ok()) {
                    let _ = writeln!(text, "{name}: {value}");
                }
            }
            text.push('\n');
        }
        text.push_str(&shown::body(&self.body));
        text.trim_end().to_owned()
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Answer, Box<dyn std::error::Error + Send + Sync>>> + Send + 'a>>;

/// Sends one request through a pipe. Boxed and named, since an endpoint that is called may itself call.
fn send<'a>(state: &'a State, request: Request<Full<Bytes>>, recorder: &'a Recorder) -> Sent<'a> {
    Box::pin(async move {
        let (ours, theirs) = duplex(PIPE);
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(recorder.clone());
            async { Ok::<_, Infallible>(super::super::answer(state, request).await) }
        });
        let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(ours)).await?;
        let asked = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            Ok(Answer { head: Some((head.status, head.headers)), body })
        };
        let both = async { tokio::join!(served, connection) };
        tokio::select! {
            biased;
            answer = asked => answer,
            // Neither end goes before the answer is there, unless something broke.
            ended = both => Err(format!("the connection ended: {ended:?}").into()),
        }
    })
}
