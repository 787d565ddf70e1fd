//! An introspection endpoint that answers as a case says, counts what it is asked, and can hold an answer back. It also
//! serves the metadata that name it, and keys, so that it is a whole issuer.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde_json::{Value, json};
use url::form_urlencoded;

use super::client::Conn;
use super::keys::{Key, Kind};
use super::now;
use super::tls::{self, Authority, Identity};
use super::token::{AUDIENCE, Token};
use super::upstream::{Seen, Then, Upstream, respond};

/// How a question is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200 with this document.
    Json(Value),
    /// 200 with this text as JSON, whatever it is.
    Text(String),
    /// 200 with this text as `application/token-introspection+jwt`.
    Signed(String),
    /// This status with an HTML page.
    Status(u16),
    /// A redirect to there.
    Redirect(String),
    /// Part of the document, then the connection is closed.
    Torn,
    /// The connection is closed without an answer.
    HangUp,
    /// No answer until [`Endpoint::release`]; then this document.
    Held(Value),
}

/// One question as it came.
#[derive(Debug, Clone)]
pub struct Question {
    pub accept: String,
    pub authorization: Option<String>,
    pub form: HashMap<String, String>,
}

impl Question {
    /// The member of the form, or nothing.
    pub fn get(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }
}

struct Script {
    url: String,
    keys: Vec<Value>,
    usual: Answer,
    about: HashMap<String, Answer>,
    questions: Vec<Question>,
    metadata: bool,
    held: usize,
    released: usize,
}

struct Shared {
    script: Mutex<Script>,
    changed: Condvar,
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no panic while held")
    }
}

/// A running endpoint.
pub struct Endpoint {
    pub url: String,
    pub key: Key,
    shared: Arc<Shared>,
    server: Option<Upstream>,
    address: SocketAddr,
}

/// A good answer of the issuer at `url` about an active token.
pub fn active(url: &str) -> Value {
    json!({
        "active": true, "iss": url, "aud": AUDIENCE, "exp": now() + 300, "iat": now(), "sub": "alice",
        "client_id": "cli", "username": "Alice", "scope": "orders:read", "token_type": "Bearer",
    })
}

impl Endpoint {
    pub fn start() -> Self {
        Self::build("http", Conn::over_tcp)
    }

    /// On https with this certificate; `clients` sign the certificates that are asked for.
    pub fn tls(identity: &Identity, clients: Option<&Authority>) -> Self {
        let config = identity.server(&["http/1.1"], clients);
        Self::build("https", move |tcp| tls::accept(tcp, &config))
    }

    fn build(scheme: &str, wrap: impl Fn(TcpStream) -> io::Result<Conn> + Send + Sync + 'static) -> Self {
        let key = Key::of(Kind::P256, 0, "ec-1");
        let script = Script {
            url: String::new(),
            keys: vec![key.jwk()],
            usual: Answer::Json(json!({"active": false})),
            about: HashMap::new(),
            questions: Vec::new(),
            metadata: true,
            held: 0,
            released: 0,
        };
        let shared = Arc::new(Shared { script: Mutex::new(script), changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        let server = Upstream::wrapped(wrap, move |seen, conn| serve(seen, &serving, conn));
        let address = server.address;
        let url = format!("{scheme}://{address}");
        shared.script().url.clone_from(&url);
        Self { url, key, shared, server: Some(server), address }
    }

    /// A good answer about an active token.
    pub fn active(&self) -> Value {
        active(&self.url)
    }

    /// A good JWT of this issuer's key.
    pub fn token(&self) -> Token {
        Token::new(&self.url, &self.key)
    }

    /// How questions about tokens are answered of which nothing else is said. At first: not active.
    pub fn usually(&self, answer: Answer) {
        self.shared.script().usual = answer;
    }

    /// How questions about this token are answered from now on.
    pub fn about(&self, token: &str, answer: Answer) {
        self.shared.script().about.insert(token.to_owned(), answer);
    }

    /// Whether there are metadata and keys.
    pub fn metadata(&self, there: bool) {
        self.shared.script().metadata = there;
    }

    /// What was asked so far.
    pub fn questions(&self) -> Vec<Question> {
        self.shared.script().questions.clone()
    }

    /// How often it was asked.
    pub fn count(&self) -> usize {
        self.shared.script().questions.len()
    }

    /// Questions that wait for [`Endpoint::release`].
    pub fn held(&self) -> usize {
        let script = self.shared.script();
        script.held - script.released
    }

    /// Answers the questions that are held back.
    pub fn release(&self) {
        let mut script = self.shared.script();
        script.released = script.held;
        self.shared.changed.notify_all();
    }

    /// Closes the port; connections are refused from now on.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Listens again on the same port, in cleartext.
    pub fn restart(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.server = Some(Upstream::again_on(self.address, move |seen, conn| serve(seen, &shared, conn)));
    }

    /// `[issuers.NAME]` and its introspection, with these further lines.
    pub fn toml(&self, name: &str, extra: &str) -> String {
        format!(
            "[issuers.{name}]\nissuer = \"{}\"\naudiences = [\"{AUDIENCE}\"]\nclock_skew = \"0s\"\n\n\
             [issuers.{name}.introspection]\nclient_id = \"gateway\"\n{extra}\n",
            self.url
        )
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.release();
    }
}

fn serve(seen: &Seen, shared: &Shared, conn: &mut Conn) -> io::Result<Then> {
    const JSON: &str = "Content-Type: application/json\r\n";
    let script = shared.script();
    let (url, keys, metadata) = (script.url.clone(), script.keys.clone(), script.metadata);
    drop(script);
    match seen.target.as_str() {
        "/introspect" => {}
        "/.well-known/openid-configuration" if metadata => {
            let endpoints = json!({
                "issuer": url, "jwks_uri": format!("{url}/jwks"), "introspection_endpoint": format!("{url}/introspect"),
            });
            return respond(conn, 200, JSON, endpoints.to_string());
        }
        "/jwks" if metadata => return respond(conn, 200, JSON, json!({ "keys": keys }).to_string()),
        _ => return respond(conn, 404, "", "nothing here"),
    }
    match noted(seen, shared) {
        Answer::Json(document) => respond(conn, 200, JSON, document.to_string()),
        Answer::Text(text) => respond(conn, 200, JSON, text),
        Answer::Signed(text) => respond(conn, 200, "Content-Type: application/token-introspection+jwt\r\n", text),
        Answer::Status(status) => respond(conn, status, "Content-Type: text/html\r\n", "<h1>Sorry</h1>"),
        Answer::Redirect(to) => respond(conn, 307, &format!("Location: {to}\r\n"), ""),
        Answer::Torn => {
            conn.try_send(format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 100\r\n\r\n{{\"active\":"))?;
            Ok(Then::Close)
        }
        Answer::HangUp => Ok(Then::Close),
        Answer::Held(document) => {
            let mut script = shared.script();
            script.held += 1;
            let number = script.held;
            drop(shared.changed.wait_while(script, |script| script.released < number).expect("no panic while held"));
            respond(conn, 200, JSON, document.to_string())
        }
    }
}

/// Takes a question down, and gives the answer to it.
fn noted(seen: &Seen, shared: &Shared) -> Answer {
    let form: HashMap<String, String> = form_urlencoded::parse(&seen.body).into_owned().collect();
    let mut script = shared.script();
    let token = form.get("token").cloned().unwrap_or_default();
    script.questions.push(Question {
        accept: seen.header("accept").unwrap_or_default().to_owned(),
        authorization: seen.header("authorization").map(str::to_owned),
        form,
    });
    script.about.get(&token).unwrap_or(&script.usual).clone()
}
