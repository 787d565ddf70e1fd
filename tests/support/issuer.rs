//! An Authorization Server as a verifier sees it: a discovery document and a JWK Set, each of which can be made to
//! misbehave while the gateway runs.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Conn;
use super::keys::{Key, Kind};
use super::tls::{self, Identity};
use super::token::{AUDIENCE, Token};
use super::upstream::{Then, Upstream, respond};

/// How an endpoint answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The right document.
    Good,
    /// 200 with this document.
    Json(Value),
    /// 200 with this text as JSON, whatever it is.
    Text(String),
    /// This status with an HTML page.
    Status(u16),
    /// A redirect to there.
    Redirect(String),
    /// The right document, after this long.
    Slow(Duration),
    /// The right document, one byte at a time with this pause between.
    Trickle(Duration),
    /// Valid JSON of about this many bytes.
    Huge(usize),
    /// The connection is closed without an answer.
    HangUp,
}

struct Script {
    issuer: String,
    keys: Vec<Value>,
    discovery: Answer,
    jwks: Answer,
    jwks_fields: String,
}

/// A running issuer.
pub struct Issuer {
    pub url: String,
    pub key: Key,
    script: Arc<Mutex<Script>>,
    server: Option<Upstream>,
    address: SocketAddr,
}

impl Issuer {
    /// An issuer with one P-256 key, `ec-1` (the cheapest to make).
    pub fn start() -> Self {
        Self::with_key(Key::of(Kind::P256, 0, "ec-1"))
    }

    /// An issuer with this key.
    pub fn with_key(key: Key) -> Self {
        Self::build(key, "http", Conn::over_tcp)
    }

    /// An issuer on https with this certificate.
    pub fn tls(key: Key, identity: &Identity) -> Self {
        let config = identity.server(&["http/1.1"], None);
        Self::build(key, "https", move |tcp| tls::accept(tcp, &config))
    }

    fn build(
        key: Key,
        scheme: &str,
        wrap: impl Fn(std::net::TcpStream) -> io::Result<Conn> + Send + Sync + 'static,
    ) -> Self {
        let script = Script {
            issuer: String::new(),
            keys: vec![key.jwk()],
            discovery: Answer::Good,
            jwks: Answer::Good,
            jwks_fields: String::new(),
        };
        let script = Arc::new(Mutex::new(script));
        let shared = Arc::clone(&script);
        let server = Upstream::wrapped(wrap, move |seen, conn| serve(&seen.target, &shared, conn));
        let address = server.address;
        let url = format!("{scheme}://{address}");
        script.lock().expect("no panic while held").issuer.clone_from(&url);
        Self { url, key, script, server: Some(server), address }
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().expect("no panic while held")
    }

    /// A good token of this issuer's key.
    pub fn token(&self) -> Token {
        Token::new(&self.url, &self.key)
    }

    /// Publishes exactly these keys.
    pub fn publish(&self, keys: &[Key]) {
        self.publish_raw(keys.iter().map(Key::jwk).collect());
    }

    /// Publishes exactly these JWKs.
    pub fn publish_raw(&self, keys: Vec<Value>) {
        self.script().keys = keys;
    }

    /// How the JWK Set is answered from now on.
    pub fn jwks(&self, answer: Answer) {
        self.script().jwks = answer;
    }

    /// How the discovery document is answered from now on.
    pub fn discovery(&self, answer: Answer) {
        self.script().discovery = answer;
    }

    /// Fields (lines that end in CRLF) of the JWK Set's response, such as Cache-Control.
    pub fn jwks_fields(&self, fields: &str) {
        fields.clone_into(&mut self.script().jwks_fields);
    }

    /// How often the JWK Set was asked for.
    pub fn jwks_hits(&self) -> usize {
        self.hits().iter().filter(|target| target.starts_with("/jwks")).count()
    }

    /// The targets of all requests that came.
    pub fn hits(&self) -> Vec<String> {
        let server = self.server.as_ref();
        server.map(|server| server.seen().into_iter().map(|seen| seen.target).collect()).unwrap_or_default()
    }

    /// Closes the port; connections are refused from now on.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Listens again on the same port, in cleartext.
    pub fn restart(&mut self) {
        let shared = Arc::clone(&self.script);
        self.server = Some(Upstream::again_on(self.address, move |seen, conn| serve(&seen.target, &shared, conn)));
    }

    /// `[issuers.NAME]` for this issuer.
    pub fn toml(&self, name: &str) -> String {
        format!("[issuers.{name}]\nissuer = \"{}\"\naudiences = [\"{AUDIENCE}\"]\n", self.url)
    }
}

fn serve(target: &str, script: &Mutex<Script>, conn: &mut Conn) -> io::Result<Then> {
    let (answer, good, fields) = {
        let script = script.lock().expect("no panic while held");
        match target {
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
                let uri = format!("{}/jwks", script.issuer);
                (script.discovery.clone(), json!({"issuer": script.issuer, "jwks_uri": uri}), String::new())
            }
            "/jwks" => (script.jwks.clone(), json!({"keys": script.keys}), script.jwks_fields.clone()),
            // Where redirects lead: a good document that must never be asked for.
            "/elsewhere" => (Answer::Good, json!({"keys": script.keys}), String::new()),
            _ => (Answer::Status(404), Value::Null, String::new()),
        }
    };
    say(conn, answer, &good, &fields)
}

fn say(conn: &mut Conn, answer: Answer, good: &Value, fields: &str) -> io::Result<Then> {
    let fields = format!("Content-Type: application/json\r\n{fields}");
    match answer {
        Answer::Good => respond(conn, 200, &fields, good.to_string()),
        Answer::Json(value) => respond(conn, 200, &fields, value.to_string()),
        Answer::Text(text) => respond(conn, 200, &fields, text),
        Answer::Status(status) => respond(conn, status, "Content-Type: text/html\r\n", "<h1>Sorry</h1>"),
        Answer::Redirect(to) => respond(conn, 302, &format!("Location: {to}\r\n"), ""),
        Answer::Slow(wait) => {
            std::thread::sleep(wait);
            respond(conn, 200, &fields, good.to_string())
        }
        Answer::Trickle(pause) => {
            let body = good.to_string();
            conn.try_send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()))?;
            for byte in body.bytes() {
                conn.try_send([byte])?;
                std::thread::sleep(pause);
            }
            Ok(Then::Keep)
        }
        Answer::Huge(size) => {
            let filler = "x".repeat(size);
            let mut document = good.clone();
            document["padding"] = json!(filler);
            respond(conn, 200, &fields, document.to_string())
        }
        Answer::HangUp => Ok(Then::Close),
    }
}
