//! The real binary with an authority, a person's browser in front of it, a client that hears of sign-outs, and a look at
//! each place where a fault can be made.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use tollgate::faults::Place;

use crate::support::client::{Request, Response};
use crate::support::gateway::Gateway;
use crate::support::{PATIENCE, uptime};

const BACK: &str = "http://127.0.0.1:4999/cb";

/// A running authority with faults.
pub struct Bench {
    pub gateway: Gateway,
    logout_tokens: Receiver<String>,
    cookie: RefCell<String>,
}

/// The configuration, with `faults` in it, and with clients for every place.
pub fn config(faults: &str, hears: Option<SocketAddr>) -> String {
    let hears = hears.map(|address| format!("backchannel_logout_uri = \"http://{address}/\"\n")).unwrap_or_default();
    format!(
        "[authority]\nlisten = \"127.0.0.1:0\"\nissuer = \"http://127.0.0.1:9\"\naudience = \"https://api.example\"\n\
         [[authority.users]]\nname = \"alice\"\nsub = \"u-alice\"\npassword = \"wonderland\"\n\
         claims = {{ name = \"Alice\" }}\n\
         [[authority.clients]]\nid = \"web\"\nsecret = \"s\"\nscopes = [\"openid\", \"profile\"]\n{hears}\
         grants = [\"authorization_code\", \"refresh_token\", \"implicit\", \"client_credentials\", \"device_code\"]\n\
         redirect_uris = [\"{BACK}\"]\n{faults}"
    )
}

impl Bench {
    /// With a control endpoint, and nothing wrong yet.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, logout_tokens) = sync_channel(64);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let token = hear(&mut stream.unwrap());
                if heard.send(token).is_err() {
                    return;
                }
            }
        });
        let config = config("[authority.faults]\ncontrol = \"127.0.0.1:0\"\n", Some(address));
        Self { gateway: Gateway::start(&config), logout_tokens, cookie: RefCell::default() }
    }

    /// Asks the control endpoint.
    pub fn control(&self, method: &str, target: &str, body: &str) -> Response {
        control_request(method, target, body).send(self.gateway.authority_control())
    }

    /// Turns a fault on.
    pub fn order(&self, body: &str) -> Response {
        let answer = self.control("POST", "/faults", body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        answer
    }

    /// Turns all off.
    pub fn clear(&self) {
        assert_eq!(self.control("DELETE", "/faults", "").json(), json!({ "on": [] }));
    }

    pub fn get(&self, target: &str) -> Response {
        Request::get(target).field("Cookie", &self.cookie.borrow()).send(self.gateway.authority())
    }

    /// A form by the client `web`, which authenticates, and by the browser.
    pub fn post(&self, target: &str, body: &str) -> Response {
        Request::new("POST", target)
            .field("Cookie", &self.cookie.borrow())
            .field("Authorization", &format!("Basic {}", STANDARD.encode("web:s")))
            .field("Content-Type", "application/x-www-form-urlencoded")
            .body(body.as_bytes())
            .send(self.gateway.authority())
    }

    /// The answer to an authorization request, by a person who signs in and agrees if asked.
    fn authorize(&self, response_type: &str) -> Response {
        let mut answer = self.get(&authorize(response_type));
        for (page, fields) in [("Sign in", "username=alice&password=wonderland"), ("Allow access?", "action=allow")] {
            for cookie in answer.head.all("set-cookie") {
                *self.cookie.borrow_mut() = cookie.split(';').next().unwrap().to_owned();
            }
            let text = answer.text();
            if text.contains(&format!("<h1>{page}</h1>")) {
                let transaction = between(&text, "name=\"transaction\" value=\"", "\"");
                let action = between(&text, "action=\"", "\"");
                answer = self.post(action, &format!("transaction={transaction}&{fields}"));
            }
        }
        for cookie in answer.head.all("set-cookie") {
            *self.cookie.borrow_mut() = cookie.split(';').next().unwrap().to_owned();
        }
        answer
    }

    /// What comes back to the client by way of the browser.
    fn response(&self, response_type: &str) -> Value {
        let answer = self.authorize(response_type);
        let location = answer.header("location").unwrap_or_else(|| panic!("no redirect: {}", answer.text()));
        let text = location.strip_prefix(BACK).unwrap();
        url::form_urlencoded::parse(&text.as_bytes()[1..])
            .map(|(name, value)| (name.into_owned(), json!(value)))
            .collect()
    }

    fn redeem(&self) -> Response {
        let code = self.response("code")["code"].as_str().unwrap().to_owned();
        let back: String = url::form_urlencoded::byte_serialize(BACK.as_bytes()).collect();
        self.post("/token", &format!("grant_type=authorization_code&code={code}&redirect_uri={back}"))
    }

    fn refresh(&self) -> Response {
        let token = self.redeem().json()["refresh_token"].as_str().unwrap().to_owned();
        self.post("/token", &format!("grant_type=refresh_token&refresh_token={token}"))
    }

    fn machine(&self) -> Response {
        self.post("/token", "grant_type=client_credentials")
    }

    fn logout_token(&self) -> String {
        let hint = self.redeem().json()["id_token"].as_str().unwrap().to_owned();
        let left = self.get(&format!("/logout?id_token_hint={hint}"));
        assert!(left.text().contains("You are signed out"), "{}", left.text());
        self.logout_tokens.recv_timeout(PATIENCE).expect("a logout token")
    }

    /// What is there to see at a place.
    pub fn look(&self, place: Place) -> Value {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (access_token, start) = (|answer: Response| text(&answer.json()["access_token"]), uptime());
        match place {
            Place::IdToken => self.token(&text(&self.response("code id_token token")["id_token"])),
            Place::RefreshedIdToken => self.token(&text(&self.refresh().json()["id_token"])),
            Place::AccessToken => self.token(&access_token(self.machine())),
            Place::LogoutToken => self.token(&self.logout_token()),
            Place::AuthorizationResponse => json!({ "body": self.response("code") }),
            Place::Discovery => seen(&self.get("/.well-known/openid-configuration"), start),
            Place::Jwks => seen(&self.get("/jwks"), start),
            Place::Authorize => seen(&self.get(&authorize("code")), start),
            Place::Par => seen(&self.post("/par", authorize("code").split_once('?').unwrap().1), start),
            Place::DeviceAuthorization => seen(&self.post("/device_authorization", "scope=openid"), start),
            Place::Token => seen(&self.redeem(), start),
            Place::Refresh => seen(&self.refresh(), start),
            Place::Userinfo => {
                let token = access_token(self.redeem());
                seen(&Request::get("/userinfo").bearer(&token).send(self.gateway.authority()), start)
            }
            Place::Introspect => {
                let token = access_token(self.machine());
                seen(&self.post("/introspect", &format!("token={token}")), start)
            }
            Place::Revoke => seen(&self.post("/revoke", "token=x"), start),
            Place::Logout => seen(&Request::get("/logout").send(self.gateway.authority()), start),
        }
    }

    /// A token taken apart, and whether a key of the set signed it.
    fn token(&self, token: &str) -> Value {
        let parts: Vec<_> = token.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else { panic!("not three parts: {token}") };
        let part = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        let (header, claims) = (part(header), part(claims));
        let keys: JwkSet = serde_json::from_value(self.get("/jwks").json()).unwrap();
        let verified = keys.keys.iter().any(|jwk| verifies(token, &header, jwk));
        json!({ "header": header, "body": claims, "verified": verified, "signature": signature.len() })
    }
}

fn verifies(token: &str, header: &Value, jwk: &jsonwebtoken::jwk::Jwk) -> bool {
    let Some(Ok(algorithm)) = header["alg"].as_str().map(str::parse::<Algorithm>) else { return false };
    let (Some((signed, signature)), Ok(key)) = (token.rsplit_once('.'), DecodingKey::from_jwk(jwk)) else {
        return false;
    };
    let _ = Validation::new(algorithm);
    jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, algorithm).unwrap_or(false)
}

/// A request to the control endpoint, as curl makes it.
pub fn control_request(method: &str, target: &str, body: &str) -> Request {
    let request = Request::new(method, target).host("127.0.0.1");
    match body {
        "" => request,
        body => request.field("Content-Type", "application/x-www-form-urlencoded").body(body.as_bytes()),
    }
}

/// An authorization request of `web`.
fn authorize(response_type: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs([("client_id", "web"), ("redirect_uri", BACK), ("response_type", response_type)]);
    query.extend_pairs([("scope", "openid profile"), ("state", "s-1"), ("nonce", "n-1")]);
    format!("/authorize?{}", query.finish())
}

fn seen(answer: &Response, start: std::time::Duration) -> Value {
    json!({
        "status": answer.status,
        "type": answer.header("content-type"),
        "text": if answer.body.len() < 100_000 { answer.text() } else { String::new() },
        "length": answer.body.len(),
        "body": answer.json(),
        "ms": u64::try_from((uptime() - start).as_millis()).unwrap(),
    })
}

/// Reads a logout token that is posted, and takes it.
fn hear(stream: &mut TcpStream) -> String {
    let (mut heard, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).unwrap();
        heard.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = heard.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            return body.split_once("logout_token=").unwrap().1.to_owned();
        }
    }
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    text.split_once(start)
        .and_then(|(_, rest)| rest.split_once(end))
        .unwrap_or_else(|| panic!("no {start} in {text}"))
        .0
}
