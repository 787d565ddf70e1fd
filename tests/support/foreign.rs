//! An OpenID Provider without pages: nobody signs in at it. A test reads what the gateway asks for, plays the browser that
//! comes back, and has the provider's documents, answers and tokens say what they never should, or say legally what few do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::browser::Browser;
use super::client::Response;
use super::gateway::Gateway;
use super::keys::{Key, Kind};
use super::now;
use super::tls::Identity;
use super::token::{AUDIENCE, Token};
use super::upstream::{Seen, Upstream, nobody, respond};

type Change = Box<dyn Fn(Value) -> Value + Send>;
type Make = Box<dyn Fn(Token) -> String + Send>;

struct Script {
    issuer: String,
    key: Key,
    keys: Vec<Value>,
    metadata: Change,
    answer: Change,
    id_token: Make,
    userinfo: Value,
    /// Of the login that is on its way.
    nonce: Option<String>,
    /// Paths where nothing works.
    broken: Vec<&'static str>,
    /// Token answers so far.
    answers: usize,
}

/// See the module.
pub struct Provider {
    pub url: String,
    pub key: Key,
    script: Arc<Mutex<Script>>,
    server: Upstream,
}

impl Provider {
    /// With one RSA key, `rsa-1`.
    pub fn start() -> Self {
        let key = Key::of(Kind::Rsa, 0, "rsa-1");
        let script = Script {
            issuer: String::new(),
            key: key.clone(),
            keys: vec![key.jwk()],
            metadata: Box::new(|document| document),
            answer: Box::new(|answer| answer),
            id_token: Box::new(|good| good.sign()),
            userinfo: json!({ "sub": "alice" }),
            nonce: None,
            broken: Vec::new(),
            answers: 0,
        };
        let script = Arc::new(Mutex::new(script));
        let shared = Arc::clone(&script);
        let server = Upstream::start(move |seen, conn| {
            let (status, document) = shared.lock().expect("no panic while held").answer_to(seen);
            let fields = "Content-Type: application/json\r\nCache-Control: no-store\r\n";
            respond(conn, status, fields, document.to_string())
        });
        let url = format!("http://{}", server.address);
        script.lock().expect("no panic while held").issuer.clone_from(&url);
        Self { url, key, script, server }
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().expect("no panic while held")
    }

    /// Changes its metadata from now on. Where they say that an endpoint is, there it is.
    pub fn metadata(&self, change: impl Fn(Value) -> Value + Send + 'static) {
        self.script().metadata = Box::new(change);
    }

    /// Nothing works at this path from now on.
    pub fn break_at(&self, path: &'static str) {
        self.script().broken.push(path);
    }

    /// Publishes exactly these JWKs.
    pub fn publish(&self, keys: Vec<Value>) {
        self.script().keys = keys;
    }

    /// Changes what the token endpoint answers from now on.
    pub fn answer(&self, change: impl Fn(Value) -> Value + Send + 'static) {
        self.script().answer = Box::new(change);
    }

    /// Makes ID tokens of good ones from now on.
    pub fn id_token(&self, make: impl Fn(Token) -> String + Send + 'static) {
        self.script().id_token = Box::new(make);
    }

    /// What userinfo says from now on.
    pub fn userinfo(&self, document: Value) {
        self.script().userinfo = document;
    }

    /// The next code is redeemed for what this request asks for.
    pub fn expect(&self, asked: &[(String, String)]) {
        self.script().nonce = values(asked, "nonce").first().map(|nonce| (*nonce).to_owned());
    }

    /// A good ID token for the client `web`, without nonce.
    pub fn good(&self) -> Token {
        self.script().good()
    }

    /// A good logout token for the client `web`, about `alice` and every session of hers.
    pub fn logout(&self) -> Token {
        let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
        let token = Token::new(&self.url, &self.key).header("typ", "logout+jwt").without("client_id").without("scope");
        token.claim("aud", "web").claim("events", event).claim("unknown", 1)
    }

    /// The requests to this path.
    pub fn asked(&self, path: &str) -> Vec<Seen> {
        let is_at = |seen: &Seen| seen.target.split('?').next() == Some(path);
        self.server.seen().into_iter().filter(is_at).collect()
    }

    /// The forms that were sent to this path.
    pub fn forms(&self, path: &str) -> Vec<Vec<(String, String)>> {
        let form = |seen: Seen| url::form_urlencoded::parse(&seen.body).into_owned().collect();
        self.asked(path).into_iter().map(form).collect()
    }
}

impl Script {
    fn good(&self) -> Token {
        let token = Token::new(&self.issuer, &self.key).header("typ", "JWT").without("client_id").without("scope");
        token.without("jti").claim("aud", "web").claim("auth_time", now())
    }

    fn answer_to(&mut self, seen: &Seen) -> (u16, Value) {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let metadata = (self.metadata)(json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "revocation_endpoint": at("/revoke"),
            "end_session_endpoint": at("/logout"),
            "jwks_uri": at("/jwks"),
        }));
        let path = seen.target.split('?').next().unwrap_or_default();
        let is = |endpoint: &str| {
            let url = metadata[endpoint].as_str().unwrap_or_default();
            url.split('?').next() == Some(&*at(path))
        };
        match path {
            path if self.broken.contains(&path) => (503, Value::Null),
            "/.well-known/openid-configuration" => (200, metadata),
            _ if is("jwks_uri") => (200, json!({ "keys": self.keys })),
            _ if is("token_endpoint") => (200, self.tokens(seen)),
            _ if is("userinfo_endpoint") => (200, self.userinfo.clone()),
            _ if is("revocation_endpoint") => (200, json!({})),
            _ => (404, Value::Null),
        }
    }

    fn tokens(&mut self, seen: &Seen) -> Value {
        self.answers += 1;
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(&seen.body).into_owned().collect();
        let first = form.get("grant_type").is_some_and(|grant| grant == "authorization_code");
        let good = match self.nonce.as_ref().filter(|_| first) {
            Some(nonce) => self.good().claim("nonce", &**nonce),
            None => self.good(),
        };
        let access = Token::new(&self.issuer, &self.key).claim("jti", format!("access-{}", self.answers));
        (self.answer)(json!({
            "access_token": access.sign(),
            "token_type": "Bearer",
            "expires_in": 300,
            "refresh_token": format!("refresh-{}", self.answers),
            "id_token": (self.id_token)(good),
        }))
    }
}

/// How the answer of a login comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Query,
    FormPost,
}

/// An application behind a gateway whose login is at such a provider.
pub struct Foreign {
    pub gateway: Gateway,
    pub upstream: Upstream,
    pub provider: Provider,
    /// Where browsers reach the application.
    pub address: SocketAddr,
    mode: Mode,
}

impl Foreign {
    #[track_caller]
    pub fn start(mode: Mode) -> Self {
        Self::at(Provider::start(), mode, "")
    }

    /// With more keys of `[logins.web]`.
    #[track_caller]
    pub fn with(login: &str) -> Self {
        Self::at(Provider::start(), Mode::Query, login)
    }

    /// At this provider, with more keys of `[logins.web]`.
    #[track_caller]
    pub fn at(provider: Provider, mode: Mode, login: &str) -> Self {
        Self::whose_issuer(provider, mode, login, &format!("audiences = [\"{AUDIENCE}\"]"))
    }

    /// With these keys of `[issuers.main]`, `audiences` among them if they shall be.
    #[track_caller]
    pub fn whose_issuer(provider: Provider, mode: Mode, login: &str, issuer: &str) -> Self {
        let (address, upstream, folder) = (nobody(), Upstream::echo(), TempDir::new().expect("a temporary folder"));
        Identity::loopback("tollgate").write(folder.path(), "server");
        let tls = "certificate = \"server.crt\"\nprivate_key = \"server.key\"";
        let (scheme, listen, answer) = match mode {
            Mode::Query => ("http", format!("listen = [\"{address}\"]"), ""),
            Mode::FormPost => {
                let listen = format!("listen = [\"127.0.0.1:0\"]\ntls.listen = [\"{address}\"]\n");
                (
                    "https",
                    listen + &tls.replace("certificate", "tls.certificate").replace("private", "tls.private"),
                    "response_mode = \"form_post\"",
                )
            }
        };
        let config = format!(
            r#"
[server]
public_url = "{scheme}://{address}"
{listen}

[issuers.main]
issuer = "{url}"
refetch_cooldown = "100ms"
{issuer}

[logins.web]
issuer = "main"
client_id = "web"
client_secret = "web: secret/+%"
public_url = "{scheme}://{address}"
session_claims = ["name", "email", "phone_number", "address"]
{answer}
{login}

{upstream}

[[routes]]
path = "/{{*rest}}"
upstream = "app"
login = "web"
"#,
            url = provider.url,
            upstream = upstream.toml("app"),
        );
        let gateway = Gateway::listening_in(folder, &config);
        gateway.wait_ready();
        Self { gateway, upstream, provider, address, mode }
    }

    /// A URL of the application.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.mode == Mode::FormPost { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Has the gateway send the browser to the provider. Gives the parameters of that request.
    #[track_caller]
    pub fn ask(&self, browser: &mut Browser, path: &str) -> Vec<(String, String)> {
        let sent = browser.step("GET", &self.url(path), "");
        self.sent(&sent)
    }

    /// The parameters of the request that this answer sends a browser to the provider with.
    #[track_caller]
    pub fn sent(&self, sent: &Response) -> Vec<(String, String)> {
        let location = sent.header("location").unwrap_or_else(|| panic!("{} {}", sent.status, sent.text()));
        let (endpoint, query) = location.split_once('?').expect("a query");
        assert_eq!(endpoint, format!("{}/authorize", self.provider.url));
        let asked: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        self.provider.expect(&asked);
        asked
    }

    /// Brings the browser back with a good answer to that request.
    #[track_caller]
    pub fn come_back(&self, browser: &mut Browser, asked: &[(String, String)]) -> Response {
        let state = values(asked, "state")[0];
        self.answered(browser, &[("code", "c"), ("state", state)])
    }

    /// Brings the browser back with this answer.
    #[track_caller]
    pub fn answered(&self, browser: &mut Browser, answer: &[(&str, &str)]) -> Response {
        let answer = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
        let callback = self.url("/.tollgate/callback");
        match self.mode {
            Mode::Query => browser.step_from("GET", &format!("{callback}?{answer}"), "", &self.provider.url),
            Mode::FormPost => browser.step_from("POST", &callback, &answer, &self.provider.url),
        }
    }

    /// Logs in with a good answer. What the callback says.
    #[track_caller]
    pub fn log_in(&self, browser: &mut Browser) -> Response {
        let asked = self.ask(browser, "/x");
        self.come_back(browser, &asked)
    }

    /// Logs in, and asks who that is.
    #[track_caller]
    pub fn logged_in(&self) -> (Browser, Value) {
        let mut browser = Browser::default();
        let back = self.log_in(&mut browser);
        assert_eq!((back.status, back.header("location")), (303, Some("/x")), "{}", back.text());
        let who = browser.send("GET", &self.url("/.tollgate/session"), &[], "");
        assert_eq!(who.status, 200, "{}", who.text());
        (browser, who.json())
    }

    /// What the gateway says to a logout token.
    #[track_caller]
    pub fn tell(&self, logout_token: &str) -> Response {
        let form = format!("logout_token={logout_token}");
        Browser::default().step_from("POST", &self.url("/.tollgate/backchannel-logout"), &form, &self.provider.url)
    }
}

/// The values of a parameter, in their order.
pub fn values<'p>(parameters: &'p [(String, String)], name: &str) -> Vec<&'p str> {
    parameters.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
}
