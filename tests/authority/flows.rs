//! The flows that pass through a browser, walked page by page.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};
use tollgate::authority::{Client, Grant, Settings, TokenForm};
use tollgate::secret::{Secret, sha256};
use url::Url;

use super::harness::{Answer, Running, basic, form};

/// RFC 7636, appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const BACK: &str = "http://127.0.0.1:4999/cb";

/// An authority whose clients may use every flow: `web` and `other` with a secret, `app` without.
pub fn start() -> Running {
    start_with(|_| ())
}

/// With clients changed before the start.
pub fn start_with(change: impl FnMut(&mut Client)) -> Running {
    start_and(|settings| settings.clients.iter_mut().for_each(change))
}

/// With settings changed before the start.
pub fn start_and(change: impl FnOnce(&mut Settings)) -> Running {
    Running::with(|settings| {
        clients(settings);
        change(settings);
    })
}

/// Adds the clients that may use every flow, and who alice is.
pub fn clients(settings: &mut Settings) {
    let model = settings.clients[0].clone();
    let grants =
        vec![Grant::AuthorizationCode, Grant::RefreshToken, Grant::Implicit, Grant::Password, Grant::DeviceCode];
    let scopes = ["openid", "profile", "email", "orders:read", "orders:write"].map(str::to_owned).to_vec();
    let client = |id: &str, secret: Option<&str>| Client {
        id: id.to_owned(),
        secret: secret.map(|secret| Secret::new(secret.to_owned())),
        grants: grants.clone(),
        scopes: scopes.clone(),
        redirect_uris: vec![BACK.to_owned()],
        post_logout_redirect_uris: vec!["http://127.0.0.1:4999/bye".into()],
        ..model.clone()
    };
    settings.clients.extend([
        client("web", Some("web-secret")),
        client("other", Some("web-secret")),
        client("app", None),
        Client { access_tokens: TokenForm::Opaque, ..client("opaque", Some("web-secret")) },
        Client { grants: vec![Grant::AuthorizationCode], ..client("code-only", Some("web-secret")) },
    ]);
    let claims = json!({ "name": "Alice", "email": "a@b", "department": "sales", "iss": "evil" });
    settings.users[0].claims = claims.as_object().unwrap().clone().into_iter().collect();
    settings.users[0].sub = "u-alice".into();
}

/// A browser: cookies, and forms that are filled in.
pub struct Browser<'a> {
    authority: &'a Running,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl<'a> Browser<'a> {
    pub fn new(authority: &'a Running) -> Self {
        Self { authority, cookies: RefCell::default() }
    }

    /// What it sends as `Cookie`.
    pub fn cookie(&self) -> String {
        let cookies = self.cookies.borrow();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub fn send(&self, method: Method, path: &str, body: &str) -> Answer {
        self.send_with(&[], method, path, body)
    }

    /// With headers of the browser's own.
    pub fn send_with(&self, own: &[(&str, String)], method: Method, path: &str, body: &str) -> Answer {
        let headers = [("cookie", self.cookie()), ("content-type", "application/x-www-form-urlencoded".into())];
        let answer = self.authority.send(method, path, &[&headers, own].concat(), body);
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    pub fn authorize(&self, parameters: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, &format!("/authorize?{}", encode(parameters)), "")
    }

    /// Fills in the form of a page.
    pub fn submit(&self, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let action = between(page.text(), "action=\"", "\"").to_owned();
        let transaction = between(page.text(), "name=\"transaction\" value=\"", "\"");
        let fields = [&[("transaction", transaction)], fields].concat();
        self.send(Method::POST, &action, &encode(&fields))
    }

    /// Signs alice in and agrees, as far as the authority asks for it.
    pub fn go(&self, parameters: &[(&str, &str)]) -> Answer {
        self.answer_pages(self.authorize(parameters))
    }

    /// As [`Browser::go`], from the first answer on.
    pub fn answer_pages(&self, mut answer: Answer) -> Answer {
        if asks_to_sign_in(&answer) {
            answer = self.submit(&answer, &[("username", "alice"), ("password", "wonderland")]);
        }
        if answer.text().contains("<h1>Allow access?</h1>") {
            answer = self.submit(&answer, &[("action", "allow")]);
        }
        answer
    }
}

/// Whether a page asks for name and password.
pub fn asks_to_sign_in(answer: &Answer) -> bool {
    answer.text().contains("<h1>Sign in</h1>")
}

pub fn encode(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{}={}", form(name), form(value))).collect::<Vec<_>>().join("&")
}

pub fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}"));
    rest.split_once(end).unwrap().0
}

/// The usual request of `client`, with changes: an empty value takes a parameter out.
pub fn request<'a>(client: &'a str, changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut parameters: BTreeMap<&str, &str> = BTreeMap::from([
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", BACK),
        ("scope", "openid email orders:read"),
        ("state", "st&te"),
        ("nonce", "n-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    parameters.extend(changes.iter().copied());
    parameters.retain(|_, value| !value.is_empty());
    parameters.into_iter().collect()
}

/// The parameters of an answer by redirect; where they are is checked.
pub fn answer_in(answer: &Answer, sign: char) -> BTreeMap<String, String> {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let location = Url::parse(answer.header("location").unwrap()).unwrap();
    assert!(location.as_str().starts_with(&format!("{BACK}{sign}")), "{location}");
    let text = location.as_str().split_once(sign).unwrap().1;
    let found: BTreeMap<_, _> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    assert!(found.contains_key("iss"), "RFC 9207: {found:?}");
    found
}

/// Redeems a code of the usual request.
pub fn redeem(authority: &Running, client: &str, code: &str, changes: &[(&str, &str)]) -> Answer {
    let mut body = BTreeMap::from([
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ]);
    body.extend(changes.iter().copied());
    body.retain(|_, value| !value.is_empty());
    token(authority, client, &body.into_iter().collect::<Vec<_>>())
}

pub fn token(authority: &Running, client: &str, body: &[(&str, &str)]) -> Answer {
    match client {
        "app" => authority.post("/token", &[], &encode(&[body, &[("client_id", "app")]].concat())),
        client => authority.post("/token", &[basic(client, "web-secret")], &encode(body)),
    }
}

/// Code to tokens in one go.
pub fn tokens(authority: &Running, client: &str, changes: &[(&str, &str)]) -> Value {
    let answer = Browser::new(authority).go(&request(client, changes));
    let answer = redeem(authority, client, &answer_in(&answer, '?')["code"], &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

pub fn refresh(authority: &Running, client: &str, token_: &Value, extra: &[(&str, &str)]) -> Answer {
    let body = [&[("grant_type", "refresh_token"), ("refresh_token", token_.as_str().unwrap())], extra].concat();
    token(authority, client, &body)
}

pub fn is_active(authority: &Running, token: &Value) -> bool {
    let body = encode(&[("token", token.as_str().unwrap())]);
    authority.post("/introspect", &[basic("machine", "machine-secret")], &body).json()["active"] == json!(true)
}

pub fn payload(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// `at_hash` or `c_hash` of a token or code, for RS256.
pub fn half(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&sha256(text.as_bytes())[..16])
}

#[test]
fn the_code_flow_gives_what_was_asked_for() {
    let authority = start();
    let answer = Browser::new(&authority).go(&request("app", &[]));
    let parameters = answer_in(&answer, '?');
    assert_eq!(parameters.keys().collect::<Vec<_>>(), ["code", "iss", "state"]);
    assert_eq!((&*parameters["state"], &*parameters["iss"]), ("st&te", &*format!("http://{}", authority.address)));
    let answer = redeem(&authority, "app", &parameters["code"], &[]);
    let body = answer.json();
    assert_eq!((answer.status, &body["scope"]), (200, &json!("openid email orders:read")), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let access = payload(body["access_token"].as_str().unwrap());
    assert_eq!(
        (&access["sub"], &access["department"], &access["iss"]),
        (&json!("u-alice"), &json!("sales"), &json!(parameters["iss"]))
    );
    assert!(access["email"].is_null() && access["auth_time"] == json!(super::harness::START), "{access}");
    let id = payload(body["id_token"].as_str().unwrap());
    assert_eq!((&id["aud"], &id["sub"], &id["nonce"]), (&json!("app"), &json!("u-alice"), &json!("n-1")));
    assert_eq!(id["at_hash"], json!(half(body["access_token"].as_str().unwrap())));
    assert!(id["email"].is_null() && id["amr"] == json!(["pwd"]) && id["sid"].is_string(), "{id}");
    let bearer = [("authorization", format!("Bearer {}", body["access_token"].as_str().unwrap()))];
    let userinfo = authority.send(Method::GET, "/userinfo", &bearer, "").json();
    assert_eq!(userinfo, json!({ "sub": "u-alice", "email": "a@b" }));
}

#[test]
fn a_code_works_once_and_its_replay_revokes_what_came_of_it() {
    let authority = start();
    let code = answer_in(&Browser::new(&authority).go(&request("web", &[])), '?')["code"].clone();
    let first = redeem(&authority, "web", &code, &[]).json();
    assert!(is_active(&authority, &first["access_token"]));
    let stolen = redeem(&authority, "other", &code, &[]).json();
    assert_eq!(stolen["error"], "invalid_grant");
    assert!(is_active(&authority, &first["access_token"]), "another client's try changes nothing");
    authority.clock.advance(Duration::from_secs(120));
    assert_eq!(redeem(&authority, "web", &code, &[]).json()["error"], "invalid_grant");
    assert!(!is_active(&authority, &first["access_token"]));
    assert_eq!(refresh(&authority, "web", &first["refresh_token"], &[]).json()["error"], "invalid_grant");
}

#[test]
fn implicit_and_hybrid_answers_have_what_their_type_says() {
    let authority = start();
    let browser = Browser::new(&authority);
    for kind in ["token", "id_token", "token id_token", "code id_token", "code token", "code id_token token"] {
        let found = answer_in(&browser.go(&request("web", &[("response_type", kind)])), '#');
        for (part, name) in [("code", "code"), ("token", "access_token"), ("id_token", "id_token")] {
            assert_eq!(kind.split(' ').any(|word| word == part), found.contains_key(name), "{kind} {name}");
        }
        assert!(!found.contains_key("refresh_token"), "{kind}");
        let Some(id) = found.get("id_token").map(|token| payload(token)) else { continue };
        let hash = |name: &str| found.get(name).map_or(Value::Null, |beside| json!(half(beside)));
        assert_eq!((&id["at_hash"], &id["c_hash"]), (&hash("access_token"), &hash("code")), "{kind}");
        assert_eq!(id["nonce"], "n-1", "{kind}");
        assert_eq!(id["email"].is_string(), kind == "id_token", "{kind}: claims come here only if nowhere else");
    }
    let posted = browser.go(&request("web", &[("response_type", "id_token"), ("response_mode", "form_post")]));
    assert_eq!(posted.status, 200);
    assert!(
        posted.text().contains(&format!("<form method=\"post\" action=\"{BACK}\">"))
            && posted.text().contains("name=\"state\" value=\"st&amp;te\"")
    );
    assert!(posted.header("content-security-policy").unwrap().contains("script-src 'sha256-"));
}

#[test]
fn refresh_tokens_rotate_and_reuse_revokes_the_family() {
    let authority = start();
    let first = tokens(&authority, "app", &[]);
    let second = refresh(&authority, "app", &first["refresh_token"], &[]).json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(first["access_token"], second["access_token"]);
    let id = payload(second["id_token"].as_str().unwrap());
    assert!(id["nonce"].is_null() && id["auth_time"] == json!(super::harness::START), "{id}");
    // A lost answer: the same token again, the same successor.
    authority.clock.advance(Duration::from_secs(9));
    let retried = refresh(&authority, "app", &first["refresh_token"], &[]).json();
    assert_eq!(retried["refresh_token"], second["refresh_token"]);
    // Once the successor was used there is no grace.
    let third = refresh(&authority, "app", &second["refresh_token"], &[("scope", "orders:read")]).json();
    assert_eq!((&third["scope"], third.get("id_token")), (&json!("orders:read"), None));
    assert!(is_active(&authority, &third["access_token"]));
    assert_eq!(refresh(&authority, "app", &first["refresh_token"], &[]).json()["error"], "invalid_grant");
    assert_eq!(refresh(&authority, "app", &third["refresh_token"], &[]).json()["error"], "invalid_grant");
    assert!(!is_active(&authority, &third["access_token"]), "the family is dead");
}

#[test]
fn the_grace_ends_and_so_do_refresh_tokens() {
    let authority = start();
    let late = tokens(&authority, "app", &[]);
    let next = refresh(&authority, "app", &late["refresh_token"], &[]).json();
    authority.clock.advance(Duration::from_secs(10));
    assert_eq!(refresh(&authority, "app", &late["refresh_token"], &[]).json()["error"], "invalid_grant");
    assert_eq!(refresh(&authority, "app", &next["refresh_token"], &[]).json()["error"], "invalid_grant");
    let idle = tokens(&authority, "app", &[]);
    authority.clock.advance(Duration::from_secs(3600));
    assert_eq!(refresh(&authority, "app", &idle["refresh_token"], &[]).json()["error"], "invalid_grant");
    let mut used = tokens(&authority, "app", &[]);
    for _ in 0..24 {
        authority.clock.advance(Duration::from_secs(3599));
        used = refresh(&authority, "app", &used["refresh_token"], &[]).json();
        assert!(used["refresh_token"].is_string(), "{used}");
    }
    authority.clock.advance(Duration::from_secs(24));
    let over = refresh(&authority, "app", &used["refresh_token"], &[]).json();
    assert_eq!(over["error"], "invalid_grant", "the absolute end");
}

#[test]
fn the_password_grant_never_gives_an_id_token() {
    let authority = start();
    let ask = |password: &str| {
        let body =
            [("grant_type", "password"), ("username", "alice"), ("password", password), ("scope", "openid email")];
        token(&authority, "web", &body).json()
    };
    let answer = ask("wonderland");
    assert!(answer["id_token"].is_null() && answer["refresh_token"].is_string(), "{answer}");
    let renewed = refresh(&authority, "web", &answer["refresh_token"], &[]).json();
    assert!(renewed["access_token"].is_string() && renewed["id_token"].is_null(), "{renewed}");
    for wrong in ["Wonderland", "wonderland ", "x"] {
        assert_eq!(ask(wrong)["error"], "invalid_grant");
    }
}

#[test]
fn opaque_tokens_mean_something_only_when_introspected() {
    let authority = start();
    let answer = tokens(&authority, "opaque", &[]);
    let access = answer["access_token"].as_str().unwrap();
    assert!(!access.contains('.') && access.len() == 44);
    let ask = |body: &str| authority.post("/introspect", &[basic("grantless", "machine-secret")], body);
    let said = ask(&format!("token={access}&token_type_hint=refresh_token")).json();
    let expected = [
        ("sub", json!("u-alice")),
        ("client_id", json!("opaque")),
        ("username", json!("alice")),
        ("token_type", json!("Bearer")),
        ("aud", json!("https://api.example")),
        ("scope", json!("openid email orders:read")),
    ];
    for (name, value) in expected {
        assert_eq!(said[name], value, "{name}");
    }
    let refresh_token = answer["refresh_token"].as_str().unwrap();
    assert_eq!(ask(&format!("token={refresh_token}")).json(), json!({ "active": false }), "not this client's");
    authority.clock.advance(Duration::from_secs(300));
    assert_eq!(ask(&format!("token={access}")).json(), json!({ "active": false }));
}

#[test]
fn revocation_is_the_clients_own() {
    let authority = start();
    let answer = tokens(&authority, "web", &[]);
    let revoke = |client: &str, token: &Value| {
        authority.post("/revoke", &[basic(client, "web-secret")], &encode(&[("token", token.as_str().unwrap())])).status
    };
    assert_eq!(revoke("other", &answer["access_token"]), 400);
    assert!(is_active(&authority, &answer["access_token"]));
    assert_eq!(revoke("web", &answer["access_token"]), 200);
    assert!(!is_active(&authority, &answer["access_token"]));
    let next = refresh(&authority, "web", &answer["refresh_token"], &[]).json();
    assert_eq!(revoke("web", &next["refresh_token"]), 200);
    assert!(!is_active(&authority, &next["access_token"]), "with its refresh token");
    assert_eq!(revoke("web", &json!("unknown")), 200);
}

#[test]
fn a_session_is_used_until_the_request_wants_more() {
    let authority = start();
    let browser = Browser::new(&authority);
    let auth_time = |changes: &[(&str, &str)]| {
        let found = answer_in(&browser.go(&request("web", changes)), '?');
        payload(redeem(&authority, "web", &found["code"], &[]).json()["id_token"].as_str().unwrap())["auth_time"]
            .as_i64()
            .unwrap()
    };
    let first = auth_time(&[]);
    authority.clock.advance(Duration::from_secs(5));
    assert_eq!(auth_time(&[("prompt", "none")]), first);
    assert_eq!(auth_time(&[("max_age", "5")]), first);
    assert_eq!(auth_time(&[("max_age", "4")]), first + 5);
    authority.clock.advance(Duration::from_secs(5));
    assert_eq!(auth_time(&[("prompt", "login")]), first + 10);
    let found = answer_in(&browser.go(&request("web", &[("acr_values", "gold silver")])), '?');
    let id = redeem(&authority, "web", &found["code"], &[]).json()["id_token"].clone();
    assert_eq!(payload(id.as_str().unwrap())["acr"], "gold");
    let silent =
        |changes: &[(&str, &str)]| answer_in(&browser.authorize(&request("web", changes)), '?').get("error").cloned();
    assert_eq!(silent(&[("prompt", "none"), ("id_token_hint", id.as_str().unwrap())]), None);
    assert_eq!(silent(&[("prompt", "none"), ("scope", "openid orders:write")]).as_deref(), Some("consent_required"));
    authority.clock.advance(Duration::from_secs(43_200));
    assert_eq!(silent(&[("prompt", "none")]).as_deref(), Some("login_required"));
}

#[test]
fn pages_belong_to_the_browser_that_asked() {
    let authority = start();
    let (browser, stranger) = (Browser::new(&authority), Browser::new(&authority));
    let page = browser.authorize(&request("web", &[("login_hint", "<alice>")]));
    assert!(page.text().contains("value=\"&lt;alice&gt;\"") && page.text().contains("Development only"));
    let csp = page.header("content-security-policy").unwrap();
    assert!(
        csp.starts_with("default-src 'none'; style-src 'sha256-")
            && !csp.contains("script-src")
            && csp.contains("frame-ancestors 'none'"),
        "{csp}"
    );
    let good = [("username", "alice"), ("password", "wonderland")];
    stranger.authorize(&request("web", &[]));
    assert_eq!(stranger.submit(&page, &good).status, 400, "a transaction of another browser");
    let wrong = browser.submit(&page, &[("username", "alice"), ("password", "x")]);
    assert_eq!(wrong.status, 403);
    assert_eq!(browser.submit(&page, &good).status, 400, "answered already");
    let before = browser.cookies.borrow().clone();
    let consent = browser.submit(&wrong, &good);
    assert!(consent.text().contains("Read your orders <code>orders:read</code>"), "scopes in words");
    assert_ne!(before, *browser.cookies.borrow(), "a sign-in changes the cookie");
    let denied = answer_in(&browser.submit(&consent, &[("action", "cancel")]), '?');
    assert_eq!((&*denied["error"], &*denied["state"]), ("access_denied", "st&te"));
    let chooser = browser.authorize(&request("web", &[("prompt", "select_account")]));
    assert!(chooser.text().contains("signed in") && chooser.text().contains("value=\"&lt;b&gt;bob&lt;/b&gt;\""));
    let login = browser.submit(&chooser, &[("account", "<b>bob</b>")]);
    assert!(login.text().contains("<h1>Sign in</h1>"));
}

#[test]
fn a_sign_in_leaves_other_tabs_what_they_began() {
    let authority = start();
    let browser = Browser::new(&authority);
    let good = [("username", "alice"), ("password", "wonderland")];
    let [one, two] = ["one", "two"].map(|state| browser.authorize(&request("web", &[("state", state)])));
    let before = browser.cookies.borrow().clone();
    let consent = browser.submit(&two, &good);
    assert_eq!(answer_in(&browser.submit(&consent, &[("action", "allow")]), '?')["state"], "two");
    let old = Browser::new(&authority);
    old.cookies.replace(before);
    assert_eq!(old.submit(&one, &good).status, 400, "the old name of the browser is worth nothing any more");
    assert_eq!(answer_in(&browser.submit(&one, &good), '?')["state"], "one", "and nothing is asked twice");
    let waits = |state| browser.authorize(&request("web", &[("state", state), ("prompt", "consent")]));
    let [alice_s, again] = [waits("alice's"), browser.authorize(&request("web", &[("prompt", "login")]))];
    browser.submit(&again, &good);
    assert_eq!(answer_in(&browser.submit(&alice_s, &[("action", "allow")]), '?')["state"], "alice's");
    let [alice_s, other] = [waits("alice's"), browser.authorize(&request("web", &[("prompt", "login")]))];
    browser.submit(&other, &[("username", "<b>bob</b>"), ("password", "wonderland")]);
    assert_eq!(browser.submit(&alice_s, &[("action", "allow")]).status, 400, "nobody agrees in another's name");
}

#[test]
fn signing_out_ends_the_session_and_what_came_of_it() {
    let authority = start();
    let browser = Browser::new(&authority);
    let login = || {
        let found = answer_in(&browser.go(&request("web", &[])), '?');
        redeem(&authority, "web", &found["code"], &[]).json()
    };
    let answer = login();
    let hint = answer["id_token"].as_str().unwrap();
    let logout =
        |parameters: &[(&str, &str)]| browser.send(Method::GET, &format!("/logout?{}", encode(parameters)), "");
    let bye = ("post_logout_redirect_uri", "http://127.0.0.1:4999/bye");
    let forged = format!("{}.{}.", hint.split('.').next().unwrap(), hint.split('.').nth(1).unwrap());
    for bad in [
        vec![("id_token_hint", hint), ("post_logout_redirect_uri", "http://127.0.0.1:4999/evil")],
        vec![("id_token_hint", hint), ("post_logout_redirect_uri", "http://127.0.0.1:4999/bye?x")],
        vec![("id_token_hint", &forged), bye],
        vec![("id_token_hint", hint), ("client_id", "other"), bye],
        vec![bye],
    ] {
        let answer = logout(&bad);
        assert_eq!((answer.status, answer.header("location")), (400, None), "{bad:?}");
    }
    assert!(logout(&[]).text().contains("<h1>Sign out?</h1>"), "without a hint the person is asked");
    assert!(is_active(&authority, &answer["access_token"]));
    let gone = logout(&[("id_token_hint", hint), bye, ("state", "a b")]);
    assert_eq!((gone.status, gone.header("location")), (303, Some("http://127.0.0.1:4999/bye?state=a+b")));
    assert!(!is_active(&authority, &answer["access_token"]));
    let silent = answer_in(&browser.authorize(&request("web", &[("prompt", "none")])), '?');
    assert_eq!(silent["error"], "login_required");
    login();
    let answer = browser.send(Method::POST, "/logout", "action=sign-out");
    assert!(answer.text().contains("You are signed out"));
}

/// Takes one request with a logout token: its head and its body.
pub fn hear_logout(listener: std::net::TcpListener) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut heard = String::new();
        let mut buffer = [0; 4096];
        let is_whole = |heard: &str| {
            let Some((head, body)) = heard.split_once("\r\n\r\n") else { return false };
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            length == Some(body.len())
        };
        while !is_whole(&heard) {
            let read = std::io::Read::read(&mut stream, &mut buffer).unwrap();
            assert_ne!(read, 0);
            heard.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        heard
    })
}

#[test]
fn clients_hear_of_a_sign_out_by_token_and_by_frame() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let heard_at = format!("http://{}/heard", listener.local_addr().unwrap());
    let authority = start_with(|client| {
        if client.id == "web" {
            client.backchannel_logout_uri = Some(heard_at.clone());
            client.frontchannel_logout_uri = Some("https://web.example/out?a=b".into());
        }
    });
    let hearing = hear_logout(listener);
    let browser = Browser::new(&authority);
    let found = answer_in(&browser.go(&request("web", &[])), '?');
    let id = redeem(&authority, "web", &found["code"], &[]).json()["id_token"].as_str().unwrap().to_owned();
    let bye = encode(&[("id_token_hint", &id), ("post_logout_redirect_uri", "http://127.0.0.1:4999/bye")]);
    let page = browser.send(Method::GET, &format!("/logout?{bye}"), "");
    let heard = hearing.join().unwrap();
    assert!(heard.starts_with("POST /heard HTTP/1.1"), "{heard}");
    let told = payload(heard.split_once("logout_token=").unwrap().1);
    let signed_in = payload(&id);
    for claim in ["iss", "sub", "aud", "sid"] {
        assert_eq!(told[claim], signed_in[claim], "{claim}");
    }
    assert_eq!(told["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
    assert!(told["nonce"].is_null() && told["exp"] == json!(super::harness::START + 120), "{told}");
    let frame = between(page.text(), "<iframe hidden title=\"sign-out\" src=\"", "\"").replace("&amp;", "&");
    let frame = Url::parse(&frame).unwrap();
    let parameters: BTreeMap<_, _> = frame.query_pairs().into_owned().collect();
    assert_eq!((&*parameters["a"], &parameters["sid"]), ("b", &signed_in["sid"].as_str().unwrap().to_owned()));
    assert!(page.header("content-security-policy").unwrap().contains("frame-src https://web.example; "));
    assert!(page.text().contains("content=\"2; url=http://127.0.0.1:4999/bye\""));
}

#[test]
fn a_pushed_request_is_used_once_by_its_client_within_a_minute() {
    let authority = start();
    let push = |client: &str, changes: &[(&str, &str)]| {
        authority.post("/par", &[basic(client, "web-secret")], &encode(&request("web", changes)))
    };
    let pushed = push("web", &[]);
    assert_eq!((pushed.status, pushed.header("cache-control")), (201, Some("no-store")));
    assert_eq!(pushed.json()["expires_in"], 60);
    let reference = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let browser = Browser::new(&authority);
    let stolen = browser.authorize(&[("client_id", "other"), ("request_uri", &reference)]);
    assert_eq!((stolen.status, stolen.header("location")), (400, None));
    // What comes beside the reference does not count.
    let mine = [("client_id", "web"), ("request_uri", &*reference), ("scope", "orders:write"), ("state", "x")];
    let found = answer_in(&browser.go(&mine), '?');
    assert_eq!(found["state"], "st&te");
    let answer = redeem(&authority, "web", &found["code"], &[]).json();
    assert_eq!(answer["scope"], "openid email orders:read");
    assert_eq!(browser.authorize(&mine).status, 400, "used");
    let late = push("web", &[]).json()["request_uri"].as_str().unwrap().to_owned();
    authority.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.authorize(&[("client_id", "web"), ("request_uri", &late)]).status, 400, "over");
    for (client, changes, status, error) in [
        ("web", ("redirect_uri", "http://evil.test/"), 400, "invalid_request"),
        ("web", ("scope", "admin"), 400, "invalid_scope"),
        ("web", ("client_id", ""), 400, "invalid_request"),
        ("web", ("request_uri", "urn:x"), 400, "invalid_request"),
        ("web", ("code_challenge_method", "plain"), 400, "invalid_request"),
        ("other", ("scope", "openid"), 400, "invalid_request"),
        ("machine", ("scope", "openid"), 400, "invalid_request"),
    ] {
        let answer = push(client, &[changes]);
        assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(error)), "{client} {changes:?}");
    }
}

#[test]
fn a_device_gets_its_answer_when_a_person_gave_it() {
    const GRANT: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    let authority = start();
    let begin = || authority.post("/device_authorization", &[], "client_id=app&scope=openid+orders:read").json();
    let poll = |client: &str, device: &Value| {
        token(&authority, client, &[GRANT, ("device_code", device["device_code"].as_str().unwrap())]).json()
    };
    let answer_page = |browser: &Browser<'_>, page: &Answer, fields: &[(&str, &str)]| {
        let mark = between(page.text(), "name=\"mark\" value=\"", "\"");
        browser.send(Method::POST, "/device", &encode(&[&[("mark", mark)], fields].concat()))
    };
    let device = begin();
    let issuer = format!("http://{}", authority.address);
    assert_eq!((&device["verification_uri"], &device["interval"]), (&json!(format!("{issuer}/device")), &json!(5)));
    assert_eq!(poll("app", &device)["error"], "authorization_pending");
    assert_eq!(poll("app", &device)["error"], "slow_down");
    authority.clock.advance(Duration::from_secs(9));
    assert_eq!(poll("app", &device)["error"], "slow_down", "ten seconds now");
    assert_eq!(poll("web", &device)["error"], "invalid_grant");

    let (browser, stranger) = (Browser::new(&authority), Browser::new(&authority));
    let code = device["user_code"].as_str().unwrap().to_lowercase().replace('-', " ");
    let page = browser.send(Method::GET, &format!("/device?{}", encode(&[("user_code", &code)])), "");
    assert!(page.text().contains(&format!("value=\"{code}\"")));
    let wrong = answer_page(&browser, &page, &[("user_code", "BBBB-BBBB"), ("action", "continue")]);
    assert!(wrong.text().contains("There is no device with this code"));
    let typed = ("user_code", code.as_str());
    let login = answer_page(&browser, &page, &[typed, ("action", "continue")]);
    assert!(login.text().contains("<h1>Sign in</h1>"));
    let unsigned = answer_page(&browser, &page, &[typed, ("action", "allow")]);
    assert!(unsigned.text().contains("<h1>Sign in</h1>"), "nobody answers without signing in");
    let good = [typed, ("action", "sign-in"), ("username", "alice"), ("password", "wonderland")];
    stranger.send(Method::GET, "/device", "");
    assert_eq!(answer_page(&stranger, &login, &good).status, 400, "a page of another browser");
    let consent = answer_page(&browser, &login, &good);
    assert!(consent.text().contains("Read your orders") && consent.text().contains(&code), "{}", consent.text());
    assert!(answer_page(&browser, &consent, &[typed, ("action", "allow")]).text().contains("The device is connected"));
    let answer = poll("app", &device);
    assert_eq!(answer["scope"], "openid orders:read", "{answer}");
    assert_eq!(payload(answer["id_token"].as_str().unwrap())["sub"], "u-alice");
    assert!(answer["refresh_token"].is_string());
    assert_eq!(poll("app", &device)["error"], "invalid_grant", "once");

    let (refused, forgotten) = (begin(), begin());
    let typed = ("user_code", refused["user_code"].as_str().unwrap());
    let page = browser.send(Method::GET, "/device", "");
    let consent = answer_page(&browser, &page, &[typed, ("action", "continue")]);
    answer_page(&browser, &consent, &[typed, ("action", "deny")]);
    assert_eq!(poll("app", &refused)["error"], "access_denied");
    authority.clock.advance(Duration::from_secs(600));
    assert_eq!(poll("app", &forgotten)["error"], "expired_token");
    let other = authority.post("/device_authorization", &[basic("machine", "machine-secret")], "");
    assert_eq!((other.status, &other.json()["error"]), (400, &json!("unauthorized_client")));
}
