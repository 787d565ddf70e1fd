//! A client as the conformance suite is one: it finds everything by discovery, drives the pages, and judges each answer
//! by all that OpenID Connect says of it, whatever the module at hand is about.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use http::Method;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use tollgate::authority::{Client, Grant};
use tollgate::clock::Clock as _;
use tollgate::secret::Secret;
use url::Url;

use crate::flows::{Browser, asks_to_sign_in, encode, half};
use crate::harness::{Answer, Running, basic};

pub const REDIRECT: &str = "https://rp.example/callback";
/// The suite's second client comes back to a URI with a query of its own, which has to survive.
pub const SECOND_REDIRECT: &str = "https://rp.example/callback?dummy1=lorem&dummy2=ipsum";
pub const BYE: &str = "https://rp.example/bye";
const SECRET: &str = "s3cret s3cret";

/// How a client asks: for what, and by which way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub response_type: &'static str,
    pub form_post: bool,
}

impl Flow {
    pub const CODE: Self = Self::of("code");
    pub const IMPLICIT: [Self; 2] = [Self::of("id_token"), Self::of("id_token token")];
    pub const HYBRID: [Self; 3] = [Self::of("code id_token"), Self::of("code token"), Self::of("code id_token token")];

    const fn of(response_type: &'static str) -> Self {
        Self { response_type, form_post: false }
    }

    pub fn has(self, word: &str) -> bool {
        self.response_type.split(' ').any(|known| known == word)
    }
}

/// An authority with two clients, and with a person who has a value for every standard claim.
pub fn authority() -> Running {
    authority_with(|_| ())
}

/// With changes to its first client.
pub fn authority_with(change: impl FnOnce(&mut Client)) -> Running {
    Running::with(|settings| {
        let scopes = ["openid", "profile", "email", "address", "phone", "orders:read"].map(str::to_owned).to_vec();
        let client = |id: &str, redirect: &str| Client {
            id: id.to_owned(),
            secret: Some(Secret::new(SECRET.into())),
            grants: vec![Grant::AuthorizationCode, Grant::RefreshToken, Grant::Implicit],
            scopes: scopes.clone(),
            redirect_uris: vec![redirect.to_owned()],
            post_logout_redirect_uris: vec![BYE.to_owned()],
            ..settings.clients[0].clone()
        };
        let (mut first, second) = (client("first", REDIRECT), client("second", SECOND_REDIRECT));
        change(&mut first);
        settings.clients.extend([first, second]);
        settings.users[0].sub = "248289761001".into();
        settings.users[0].claims = person().as_object().unwrap().clone().into_iter().collect();
    })
}

/// The authority of all tests that do not move its clock.
pub fn shared() -> &'static Running {
    static SHARED: OnceLock<Running> = OnceLock::new();
    SHARED.get_or_init(authority)
}

/// Every standard claim (OpenID Connect Core 1.0, section 5.1).
pub fn person() -> Value {
    json!({
        "name": "Jane Doe", "given_name": "Jane", "family_name": "Doe", "middle_name": "M", "nickname": "JD",
        "preferred_username": "j.doe", "profile": "https://jane.example", "picture": "https://jane.example/me.jpg",
        "website": "https://jane.example", "gender": "female", "birthdate": "0000-10-31",
        "zoneinfo": "America/Los_Angeles", "locale": "en-US", "updated_at": 1_790_000_000,
        "email": "jane@example.com", "email_verified": true,
        "phone_number": "+1 (555) 123-4567", "phone_number_verified": false,
        "address": { "formatted": "1 Main St\nSpringfield", "locality": "Springfield", "country": "US" },
    })
}

/// One client and one browser.
pub struct Rp<'a> {
    pub authority: &'a Running,
    pub metadata: Value,
    pub flow: Flow,
    pub browser: Browser<'a>,
    client: &'static str,
    redirect: &'static str,
    secret_in_form: bool,
    public: bool,
}

/// What a login gave, found to be right in every general respect.
#[derive(Debug)]
pub struct Login {
    /// Whether somebody had to sign in for it.
    pub asked: bool,
    /// What came by way of the browser.
    pub front: BTreeMap<String, String>,
    /// The answer of the token endpoint, in the flows that have one.
    pub answer: Option<Value>,
    /// The claims of the ID token, the later one if there are two.
    pub id: Value,
    /// The ID token itself.
    pub id_token: String,
    /// The access token, the later one if there are two; none with `id_token` alone.
    pub access_token: Option<String>,
}

/// How a request was turned down.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// By a page.
    Page,
    /// By an error for the client.
    Sent(String),
}

impl<'a> Rp<'a> {
    pub fn new(authority: &'a Running, flow: Flow) -> Self {
        let metadata = authority.get("/.well-known/openid-configuration").json();
        let browser = Browser::new(authority);
        Self {
            authority,
            metadata,
            flow,
            browser,
            client: "first",
            redirect: REDIRECT,
            secret_in_form: false,
            public: false,
        }
    }

    /// The second client, in a browser of its own.
    pub fn second(authority: &'a Running, flow: Flow) -> Self {
        Self { client: "second", redirect: SECOND_REDIRECT, ..Self::new(authority, flow) }
    }

    /// It authenticates by client_secret_post.
    pub fn with_secret_in_form(self) -> Self {
        Self { secret_in_form: true, ..self }
    }

    /// It has no secret.
    pub fn without_secret(self) -> Self {
        Self { public: true, ..self }
    }

    /// The same client in a browser that nobody has signed in with.
    pub fn elsewhere(&self) -> Self {
        let flow = self.flow;
        match self.client {
            "second" => Self::second(self.authority, flow),
            _ => Self { secret_in_form: self.secret_in_form, ..Self::new(self.authority, flow) },
        }
    }

    /// The path of an endpoint that the metadata name.
    pub fn at(&self, endpoint: &str) -> String {
        let url = self.metadata[endpoint].as_str().unwrap_or_else(|| panic!("the metadata have no {endpoint}"));
        Url::parse(url).unwrap().path().to_owned()
    }

    /// The parameters of a request, with changes; an empty value takes one out.
    pub fn parameters(&self, changes: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut parameters = BTreeMap::from([
            ("client_id", self.client),
            ("redirect_uri", self.redirect),
            ("response_type", self.flow.response_type),
            ("scope", "openid"),
            ("state", "s+t a&t=e"),
            ("nonce", "n+o n&c=e"),
        ]);
        if self.flow.form_post {
            parameters.insert("response_mode", "form_post");
        }
        parameters.extend(changes.iter().copied());
        parameters.retain(|_, value| !value.is_empty());
        parameters.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Sends a request; the first answer to it.
    pub fn ask(&self, parameters: &BTreeMap<String, String>) -> Answer {
        let pairs: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.browser.send(Method::GET, &format!("{}?{}", self.at("authorization_endpoint"), encode(&pairs)), "")
    }

    /// A login, with everything that has to hold of any.
    pub fn login(&self, changes: &[(&str, &str)]) -> Login {
        let parameters = self.parameters(changes);
        let first = self.ask(&parameters);
        self.complete(first, &parameters)
    }

    /// A login in which nobody may be asked anything.
    pub fn silent(&self, changes: &[(&str, &str)]) -> Login {
        let parameters = self.parameters(&[&[("prompt", "none")], changes].concat());
        let first = self.ask(&parameters);
        let login = self.complete(first, &parameters);
        assert!(!login.asked);
        login
    }

    /// Answers the pages, and judges what comes of it.
    pub fn complete(&self, first: Answer, parameters: &BTreeMap<String, String>) -> Login {
        let asked = asks_to_sign_in(&first);
        let front = self.front(&self.browser.answer_pages(first), parameters);
        assert_eq!(front.get("error"), None, "{front:?}");
        self.judge_front(&front);
        let mut ids = Vec::from_iter(front.get("id_token").cloned());
        for id in &ids {
            let beside = [("at_hash", front.get("access_token")), ("c_hash", front.get("code"))];
            self.judge_id_token(id, parameters.get("nonce"), &beside);
        }
        let answer = front.get("code").map(|code| self.redeem(code).1);
        if let Some(answer) = &answer {
            ids.push(answer["id_token"].as_str().expect("an ID token").to_owned());
            let beside = answer["access_token"].as_str().map(str::to_owned);
            let claims = self.judge_id_token(ids.last().unwrap(), parameters.get("nonce"), &[]);
            // Not required here (section 3.1.3.6), but right if there.
            assert!(claims["at_hash"].is_null() || claims["at_hash"] == half(beside.as_deref().unwrap()), "{claims}");
        }
        let claims: Vec<Value> = ids.iter().map(|id| crate::flows::payload(id)).collect();
        assert!(
            claims.iter().all(|one| one["iss"] == claims[0]["iss"] && one["sub"] == claims[0]["sub"]),
            "{claims:?}"
        );
        let access_token = answer.as_ref().map(|answer| answer["access_token"].as_str().unwrap().to_owned());
        Login {
            asked,
            access_token: access_token.or_else(|| front.get("access_token").cloned()),
            id: claims.last().cloned().unwrap(),
            id_token: ids.pop().unwrap(),
            front,
            answer,
        }
    }

    /// What came back, from the one place where it may be.
    pub fn front(&self, answer: &Answer, parameters: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let redirect = parameters.get("redirect_uri").map_or(self.redirect, String::as_str);
        let front = if parameters.get("response_mode").is_some_and(|mode| mode == "form_post") {
            posted(answer, redirect)
        } else {
            let location = answer.header("location").unwrap_or_else(|| panic!("no redirect: {}", answer.text()));
            let fragment = self.flow != Flow::CODE
                && self.flow.response_type == parameters.get("response_type").map_or("", |kind| kind);
            redirected(location, redirect, fragment)
        };
        assert_eq!(front.get("state"), parameters.get("state"), "state comes back unchanged");
        assert_eq!(json!(front["iss"]), self.metadata["issuer"], "RFC 9207");
        front
    }

    /// Each part that the response type names, and no other (OAuth 2.0 Multiple Response Types; Core, section 3.2.2.5).
    fn judge_front(&self, front: &BTreeMap<String, String>) {
        let mut expected = vec!["iss", "state"];
        for (word, names) in [
            ("code", &["code"][..]),
            ("id_token", &["id_token"]),
            ("token", &["access_token", "expires_in", "scope", "token_type"]),
        ] {
            expected.extend(names.iter().filter(|_| self.flow.has(word)));
        }
        expected.retain(|name| *name != "state" || front.contains_key("state"));
        expected.sort_unstable();
        assert_eq!(front.keys().collect::<Vec<_>>(), expected, "{}", self.flow.response_type);
        if self.flow.has("token") {
            assert_eq!(front["token_type"], "Bearer");
            assert!(front["expires_in"].parse::<u32>().unwrap() > 0);
            judge_token(&front["access_token"]);
        }
    }

    /// Everything that section 3.1.3.7 has a client check; gives the claims.
    pub fn judge_id_token(&self, token: &str, nonce: Option<&String>, beside: &[(&str, Option<&String>)]) -> Value {
        let header = decode_header(token).unwrap();
        assert_eq!(header.alg, Algorithm::RS256, "the default");
        let keys: JwkSet = serde_json::from_value(self.authority.get(&self.at("jwks_uri")).json()).unwrap();
        let jwk =
            keys.find(header.kid.as_deref().expect("a kid, since there are several keys")).expect("a published key");
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[self.metadata["issuer"].as_str().unwrap()]);
        validation.set_audience(&[self.client]);
        validation.validate_exp = false;
        let claims = decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap().claims;
        let (now, number) = (self.authority.clock.now().secs(), |name: &str| claims[name].as_i64().unwrap());
        assert!(number("exp") > now && (now - 300..=now + 300).contains(&number("iat")), "{claims}");
        assert_eq!(claims["nonce"].as_str(), nonce.map(String::as_str), "{claims}");
        let sub = claims["sub"].as_str().unwrap();
        assert!(!sub.is_empty() && sub.len() <= 255 && sub.is_ascii(), "{claims}");
        assert!(claims["azp"].is_null() || claims["azp"] == self.client, "{claims}");
        for (name, beside) in beside {
            assert_eq!(claims[*name], beside.map_or(Value::Null, |beside| json!(half(beside))), "{name}: {claims}");
        }
        claims
    }

    /// The answer to a code: its status first.
    pub fn redeem(&self, code: &str) -> (u16, Value) {
        let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", self.redirect)];
        self.token(&form)
    }

    /// The answer of the token endpoint: if it is a good one, with all that has to hold of any (RFC 6749, section 5.1).
    pub fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let own = [("client_id", self.client), ("client_secret", SECRET)];
        let (headers, form) = match (self.public, self.secret_in_form) {
            (true, _) => (vec![], encode(&[form, &own[..1]].concat())),
            (false, true) => (vec![], encode(&[form, &own].concat())),
            (false, false) => (vec![basic(self.client, &SECRET.replace(' ', "+"))], encode(form)),
        };
        let answer = self.authority.post(&self.at("token_endpoint"), &headers, &form);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        if answer.status == 200 {
            assert_eq!(body["token_type"], "Bearer");
            assert!(body["expires_in"].as_u64().is_some_and(|seconds| seconds > 0), "{body}");
            judge_token(body["access_token"].as_str().unwrap());
            let known = ["access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"];
            assert!(body.as_object().unwrap().keys().all(|name| known.contains(&name.as_str())), "{body}");
        }
        (answer.status, body)
    }

    /// The answer of the userinfo endpoint, by GET.
    pub fn userinfo(&self, token: &str) -> Answer {
        self.authority.send(Method::GET, &self.at("userinfo_endpoint"), &[bearer(token)], "")
    }

    /// The claims about the person: from where they are to be had.
    pub fn about(&self, login: &Login) -> Value {
        match &login.access_token {
            Some(token) => {
                let answer = self.userinfo(token);
                assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
                let claims = answer.json();
                assert_eq!(claims["sub"], login.id["sub"]);
                claims
            }
            None => login.id.clone(),
        }
    }

    /// A request that is turned down at once, without a question and without a token.
    pub fn refused(&self, changes: &[(&str, &str)]) -> Refusal {
        let parameters = self.parameters(changes);
        let answer = self.ask(&parameters);
        if answer.header("location").is_none() && answer.status >= 400 {
            return Refusal::Page;
        }
        let front = self.front(&answer, &parameters);
        for name in ["code", "access_token", "id_token"] {
            assert!(!front.contains_key(name), "{front:?}");
        }
        Refusal::Sent(front["error"].clone())
    }
}

pub fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

/// The alphabet of RFC 6750, section 2.1, and enough of it that nobody guesses.
fn judge_token(token: &str) {
    assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)), "{token}");
    assert!(token.len() >= 22, "128 bits at least: {token}");
}

/// The parameters of a redirect, in the query or in the fragment only.
fn redirected(location: &str, redirect: &str, fragment: bool) -> BTreeMap<String, String> {
    let rest = location.strip_prefix(redirect).unwrap_or_else(|| panic!("{location} is not {redirect}"));
    let sign = match (fragment, redirect.contains('?')) {
        (true, _) => '#',
        (false, true) => '&',
        (false, false) => '?',
    };
    let encoded = rest.strip_prefix(sign).unwrap_or_else(|| panic!("no {sign} in {rest}"));
    assert!(!encoded.contains(['#', '?']), "in one place only: {location}");
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(encoded.as_bytes()).into_owned().collect();
    let found: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(found.len(), pairs.len(), "each once: {pairs:?}");
    found
}

/// The fields of a form that posts itself (OAuth 2.0 Form Post Response Mode): nothing is in the URL.
fn posted(answer: &Answer, redirect: &str) -> BTreeMap<String, String> {
    let page = answer.text();
    assert_eq!((answer.status, answer.header("location")), (200, None), "{page}");
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.contains(&format!("<form method=\"post\" action=\"{}\">", redirect.replace('&', "&amp;"))), "{page}");
    assert!(!page.contains("enctype") && page.contains("document.forms[0].submit()"), "{page}");
    let fields = page.split("<input type=\"hidden\" name=\"").skip(1).map(|field| {
        let (name, rest) = field.split_once("\" value=\"").unwrap();
        let value = rest.split_once("\">").unwrap().0;
        let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        (name.to_owned(), plain.iter().fold(value.to_owned(), |text, (from, to)| text.replace(from, to)))
    });
    fields.collect()
}
