//! An Authorization Server for the tests of its clients: it does every flow and checks all that a client must send, and
//! a case may put its own answer in place of any of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded;

use crate::support::client::Conn;
use crate::support::keys::{Key, Kind, b64, sha256};
use crate::support::tls::{self, Identity};
use crate::support::token::Token;
use crate::support::upstream::{Seen, Then, Upstream, respond};

/// The client that has a secret, and the one that has none.
pub const MACHINE: (&str, &str) = ("machine", "machine-s3cret");
pub const PUBLIC: &str = "cli";
/// The person.
pub const ALICE: (&str, &str) = ("alice", "wonder land+&=");
/// What is given out.
pub const TOKEN: &str = "the-access-token";
pub const REFRESH: [&str; 2] = ["refresh-1-r3fresh", "refresh-2-r3fresh"];
pub const DEVICE_CODE: &str = "device-c0de";

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Where the server is, as the client called it.
    pub origin: String,
    pub path: String,
    /// Of the query and the form.
    pub params: Vec<(String, String)>,
    /// Id and secret of the Authorization header.
    pub basic: Option<(String, String)>,
    /// How many requests came for this path before.
    pub before: usize,
}

impl Ask {
    /// The only value of a parameter, or nothing.
    pub fn get(&self, name: &str) -> &str {
        let mut values = self.params.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next().unwrap_or_default();
        assert!(values.next().is_none(), "{name} came twice: {self:?}");
        value
    }

    /// All values of a parameter.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.params.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A redirect back to the client with these parameters behind `mark`.
    pub fn back(&self, mark: char, params: &[(&str, &str)]) -> Reply {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        Reply {
            status: 302,
            fields: format!("Location: {}{mark}{query}\r\n", self.get("redirect_uri")),
            body: String::new(),
            hang: false,
        }
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub fields: String,
    pub body: String,
    /// Say nothing at all.
    pub hang: bool,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, fields: "Content-Type: application/json\r\n".into(), body: body.to_string(), hang: false }
    }

    pub fn html(status: u16, body: &str) -> Self {
        Self { status, fields: "Content-Type: text/html\r\n".into(), body: body.into(), hang: false }
    }

    pub fn error(code: &str) -> Self {
        Self::json(400, &json!({ "error": code }))
    }

    pub fn silence() -> Self {
        Self { hang: true, ..Self::html(200, "") }
    }
}

/// What a case does instead; `None`: what the server does.
pub type Twist = Box<dyn Fn(&Ask) -> Option<Reply> + Send + Sync>;

/// A running server.
pub struct Server {
    asked: Arc<Mutex<Vec<Ask>>>,
    pub issuer: String,
    _upstream: Upstream,
}

impl Server {
    /// As it should be.
    pub fn good() -> Self {
        Self::with(|_| None)
    }

    /// With answers of the case's own.
    pub fn with(twist: impl Fn(&Ask) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::build("http", Conn::over_tcp, Box::new(twist))
    }

    /// On https.
    pub fn tls(identity: &Identity) -> Self {
        let config = identity.server(&["http/1.1"], None);
        Self::build("https", move |tcp| tls::accept(tcp, &config), Box::new(|_| None))
    }

    fn build(
        scheme: &'static str,
        wrap: impl Fn(TcpStream) -> io::Result<Conn> + Send + Sync + 'static,
        twist: Twist,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (record, codes) = (Arc::clone(&asked), Mutex::new(BTreeMap::new()));
        let upstream = Upstream::wrapped(wrap, move |seen, conn| {
            let ask = read(scheme, seen, &record);
            let reply = twist(&ask).unwrap_or_else(|| good(&ask, &codes));
            if reply.hang {
                // Until the client gives up.
                return conn.read_some().map(|_| Then::Close);
            }
            respond(conn, reply.status, &reply.fields, &reply.body)
        });
        let issuer = format!("{scheme}://{}", upstream.address);
        Self { asked, issuer, _upstream: upstream }
    }

    /// The requests for this path.
    pub fn asked(&self, path: &str) -> Vec<Ask> {
        self.asked.lock().unwrap().iter().filter(|ask| ask.path == path).cloned().collect()
    }
}

fn read(scheme: &str, seen: &Seen, record: &Mutex<Vec<Ask>>) -> Ask {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let basic = seen.header("authorization").and_then(|value| value.strip_prefix("Basic ")).map(|pair| {
        let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
        let (id, secret) = pair.split_once(':').unwrap();
        let plain = |text: &str| form_urlencoded::parse(format!("x={text}").as_bytes()).next().unwrap().1.into_owned();
        (plain(id), plain(secret))
    });
    let of = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect::<Vec<_>>();
    let mut record = record.lock().unwrap();
    let ask = Ask {
        origin: format!("{scheme}://{}", seen.header("host").unwrap()),
        path: path.to_owned(),
        params: [of(query.as_bytes()), of(&seen.body)].concat(),
        basic,
        before: record.iter().filter(|ask| ask.path == path).count(),
    };
    record.push(ask.clone());
    ask
}

pub fn key() -> Key {
    Key::of(Kind::P256, 0, "k")
}

/// Metadata of a server that can do everything.
pub fn metadata(origin: &str) -> Value {
    json!({
        "issuer": origin,
        "authorization_endpoint": format!("{origin}/authorize?tenant=7"),
        "token_endpoint": format!("{origin}/token"),
        "device_authorization_endpoint": format!("{origin}/device"),
        "jwks_uri": format!("{origin}/jwks"),
        "scopes_supported": ["openid", "orders:read"],
        "authorization_response_iss_parameter_supported": true,
    })
}

/// An answer with a token.
pub fn granted() -> Value {
    json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300})
}

/// An ID token for what was asked at the authorization endpoint.
pub fn id_token(origin: &str, client: &str, nonce: &str) -> Token {
    let hash = b64(&sha256(TOKEN.as_bytes())[..16]);
    Token::new(origin, &key()).claim("aud", client).claim("nonce", nonce).claim("at_hash", hash)
}

fn good(ask: &Ask, codes: &Mutex<BTreeMap<String, Ask>>) -> Reply {
    match ask.path.as_str() {
        "/.well-known/openid-configuration" => Reply::json(200, &metadata(&ask.origin)),
        "/jwks" => Reply::json(200, &json!({"keys": [key().jwk()]})),
        "/authorize" => authorize(ask, codes),
        "/token" => token(ask, codes).map_or_else(Reply::error, |body| Reply::json(200, &body)),
        "/device" => {
            let uri = format!("{}/enter", ask.origin);
            Reply::json(
                200,
                &json!({"device_code": DEVICE_CODE, "user_code": "WDJB-MJHT", "verification_uri": uri,
                    "verification_uri_complete": format!("{uri}?user_code=WDJB-MJHT"), "expires_in": 60, "interval": 1}),
            )
        }
        _ => Reply::html(404, "nothing here"),
    }
}

fn authorize(ask: &Ask, codes: &Mutex<BTreeMap<String, Ask>>) -> Reply {
    let redirect = Url::parse(ask.get("redirect_uri")).unwrap();
    assert!(redirect.host_str() == Some("127.0.0.1") && redirect.path() == "/callback", "{redirect}");
    assert_eq!((ask.get("tenant"), ask.get("client_id")), ("7", PUBLIC));
    let (state, openid) = (ask.get("state"), ask.get("scope").contains("openid"));
    assert!(state.len() >= 22 && openid == (ask.get("nonce").len() >= 22), "{ask:?}");
    let iss = ("iss", ask.origin.as_str());
    match ask.get("response_type") {
        "code" => {
            assert!(ask.get("code_challenge").len() == 43 && ask.get("code_challenge_method") == "S256", "{ask:?}");
            let code = format!("c0de-{}", ask.before);
            codes.lock().unwrap().insert(code.clone(), ask.clone());
            ask.back('?', &[("code", &code), ("state", state), iss])
        }
        "token" if !openid => ask.back('#', &fragment(state, iss, &[])),
        "id_token token" if openid => {
            let id_token = id_token(&ask.origin, PUBLIC, ask.get("nonce")).sign();
            ask.back('#', &fragment(state, iss, &[("id_token", &id_token)]))
        }
        _ => ask.back('?', &[("error", "unsupported_response_type"), ("state", state), iss]),
    }
}

/// What comes back with a token in the fragment.
pub fn fragment<'a>(state: &'a str, iss: (&'a str, &'a str), more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let token = [("access_token", TOKEN), ("token_type", "Bearer"), ("expires_in", "300"), ("state", state), iss];
    [token.as_slice(), more].concat()
}

fn token(ask: &Ask, codes: &Mutex<BTreeMap<String, Ask>>) -> Result<Value, &'static str> {
    let post = (ask.get("client_id").to_owned(), ask.get("client_secret").to_owned());
    let (id, secret) = ask.basic.clone().unwrap_or(post);
    match (&*id, &*secret) {
        MACHINE | (PUBLIC, "") => {}
        _ => return Err("invalid_client"),
    }
    let mut answer = granted();
    match ask.get("grant_type") {
        "client_credentials" if id == MACHINE.0 => {}
        "password" if (ask.get("username"), ask.get("password")) == ALICE => {}
        "authorization_code" => {
            let asked = codes.lock().unwrap().remove(ask.get("code")).ok_or("invalid_grant")?;
            let proven = b64(sha256(ask.get("code_verifier").as_bytes())) == asked.get("code_challenge");
            if !proven || asked.get("redirect_uri") != ask.get("redirect_uri") || asked.get("client_id") != id {
                return Err("invalid_grant");
            }
            if asked.get("scope").contains("openid") {
                answer["id_token"] = json!(id_token(&ask.origin, &id, asked.get("nonce")).sign());
            }
            answer["scope"] = json!(asked.get("scope"));
        }
        "refresh_token" if ask.get("refresh_token") == REFRESH[0] => answer["refresh_token"] = json!(REFRESH[1]),
        "urn:ietf:params:oauth:grant-type:device_code" if ask.get("device_code") == DEVICE_CODE => {
            if ask.before == 0 {
                return Err("authorization_pending");
            }
        }
        _ => return Err("invalid_grant"),
    }
    Ok(answer)
}
