//! What an attacker would try, at each endpoint: to skip a page, to agree in silence, to get markup into a page, to keep
//! what was ended, to make the authority remember too much.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tollgate::clock::Clock as _;

use super::flows::{
    Browser, answer_in, between, encode, is_active, payload, redeem, request, start, start_and, start_with, token,
};
use super::harness::{Answer, Running};

const EMAIL: &str = r#"{"userinfo":{"email":null}}"#;
const DEVICE: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");

/// A browser in which alice signed in and agreed to the usual request of `web`.
fn signed_in(authority: &Running) -> Browser<'_> {
    let browser = Browser::new(authority);
    assert_eq!(browser.go(&request("web", &[])).status, 303);
    browser
}

fn code(answer: &Answer) -> String {
    answer_in(answer, '?')["code"].clone()
}

fn id_token(authority: &Running, answer: &Answer) -> Value {
    payload(redeem(authority, "web", &code(answer), &[]).json()["id_token"].as_str().unwrap())
}

/// Whoever is at a browser in which somebody is signed in, and does not know the password.
#[test]
fn a_page_is_answered_where_it_was_asked_and_no_other_page_stands_in_for_it() {
    let authority = start();
    let browser = signed_in(&authority);
    let gold = json!({ "id_token": { "acr": { "essential": true, "value": "gold" } } }).to_string();
    for changes in [("prompt", "login"), ("max_age", "0"), ("max_age", "59"), ("acr_values", "red"), ("claims", &gold)]
    {
        authority.clock.advance(Duration::from_secs(60));
        let login = browser.authorize(&request("web", &[changes]));
        assert!(login.text().contains("<h1>Sign in</h1>"), "{changes:?}");
        let transaction = ("transaction", between(login.text(), "name=\"transaction\" value=\"", "\""));
        for (page, fields) in
            [("consent", ("action", "allow")), ("consent", ("action", "switch")), ("account", ("account", "alice"))]
        {
            let skipped = browser.send(Method::POST, &format!("/authorize/{page}"), &encode(&[transaction, fields]));
            assert_eq!((skipped.status, skipped.header("location")), (400, None), "{changes:?} at {page}");
        }
        let signed_in = browser.submit(&login, &[("username", "alice"), ("password", "wonderland")]);
        let claims = id_token(&authority, &browser.answer_pages(signed_in));
        assert_eq!(claims["auth_time"], authority.clock.now().secs(), "{changes:?}: the form was good all the time");
    }
    let consent = browser.authorize(&request("web", &[("prompt", "consent")]));
    let transaction = ("transaction", between(consent.text(), "name=\"transaction\" value=\"", "\""));
    let chosen = browser.send(Method::POST, "/authorize/account", &encode(&[transaction, ("account", "alice")]));
    assert_eq!(chosen.status, 400, "nor does choosing an account stand in for agreeing");
}

#[test]
fn single_claims_and_other_places_are_agreed_to_like_scopes() {
    let authority = start();
    let browser = signed_in(&authority);
    let plain = ("scope", "openid orders:read");
    let silent = |changes: &[(&str, &str)]| {
        let changes = [&[("prompt", "none"), plain][..], changes].concat();
        answer_in(&browser.authorize(&request("web", &changes)), '?').get("error").cloned()
    };
    assert_eq!(silent(&[]), None);
    assert_eq!(silent(&[("claims", r#"{"id_token":{"acr":null,"sub":null,"auth_time":{"essential":true}}}"#)]), None);
    assert_eq!(silent(&[("claims", EMAIL), ("scope", "openid email orders:read")]), None, "the scope gives it");
    for (changes, told) in [
        (("claims", EMAIL), "Know this about you: <code>email</code>"),
        (("claims", r#"{"id_token":{"<b>":null}}"#), "Know this about you: <code>&lt;b&gt;</code>"),
        (("resource", "https://elsewhere.example/"), "at <code>https://elsewhere.example/</code>"),
    ] {
        assert_eq!(silent(&[changes]).as_deref(), Some("consent_required"), "{changes:?}");
        let page = browser.authorize(&request("web", &[plain, changes]));
        assert!(page.text().contains(told), "{changes:?}: {}", page.text());
        assert_eq!(browser.submit(&page, &[("action", "allow")]).status, 303);
        assert_eq!(silent(&[changes]), None, "{changes:?} is remembered");
    }
}

#[test]
fn the_claims_parameter_decides_what_it_names() {
    let authority = start();
    let browser = signed_in(&authority);
    let ask = |claims: &Value, more: &[(&str, &str)]| {
        let claims = claims.to_string();
        browser.answer_pages(browser.authorize(&request("web", &[&[("claims", &*claims)], more].concat())))
    };
    let both = json!({ "id_token": { "name": null, "email": { "essential": true }, "iss": { "value": "evil" } } });
    let claims = id_token(&authority, &ask(&both, &[]));
    assert_eq!((&claims["name"], &claims["email"]), (&json!("Alice"), &json!("a@b")));
    assert_eq!(claims["iss"], json!(format!("http://{}", authority.address)), "no claim of ours can be asked away");
    let other = json!({ "id_token": { "sub": { "value": "<b>bob</b>" } } });
    assert_eq!(answer_in(&ask(&other, &[("prompt", "none")]), '?')["error"], "login_required", "another person");
    assert_eq!(answer_in(&ask(&json!({ "id_token": { "sub": { "value": "u-alice" } } }), &[]), '?').get("error"), None);
    let acr =
        |essential: bool| json!({ "id_token": { "acr": { "essential": essential, "values": ["gold", "silver"] } } });
    assert_eq!(answer_in(&ask(&acr(false), &[("prompt", "none")]), '?').get("error"), None, "a wish");
    assert_eq!(answer_in(&ask(&acr(true), &[("prompt", "none")]), '?')["error"], "login_required", "a condition");
    let claims = id_token(&authority, &ask(&acr(true), &[("acr_values", "bronze")]));
    assert_eq!(claims["acr"], "gold", "the condition goes before the wish");
    assert_eq!(answer_in(&ask(&acr(true), &[("prompt", "none")]), '?').get("error"), None, "met");
}

/// The application is told of the person that it asked for, or of nobody.
#[test]
fn nobody_else_signs_in_than_who_was_asked_for() {
    let authority = start();
    let browser = Browser::new(&authority);
    let wish = json!({ "id_token": { "sub": { "value": "<b>bob</b>" } } }).to_string();
    let page = browser.authorize(&request("web", &[("claims", &wish)]));
    let wrong = browser.submit(&page, &[("username", "alice"), ("password", "wonderland")]);
    assert!(
        wrong.status == 403 && wrong.text().contains("asks for another person"),
        "{} {}",
        wrong.status,
        wrong.text()
    );
    let silent = browser.authorize(&request("web", &[("prompt", "none")]));
    assert_eq!(answer_in(&silent, '?')["error"], "login_required", "and nobody is signed in");
}

/// Signs out by the client's own wish.
fn sign_out(authority: &Running, browser: &Browser<'_>) {
    let id = redeem(authority, "web", &code(&browser.authorize(&request("web", &[]))), &[]).json();
    let hint = encode(&[("id_token_hint", id["id_token"].as_str().unwrap())]);
    assert!(browser.send(Method::GET, &format!("/logout?{hint}"), "").text().contains("You are signed out"));
}

#[test]
fn a_sign_out_ends_what_each_client_got_however_often_another_asked() {
    let authority = start();
    let browser = signed_in(&authority);
    let first = redeem(&authority, "web", &code(&browser.authorize(&request("web", &[]))), &[]).json();
    assert_eq!(browser.go(&request("other", &[])).status, 303);
    for _ in 0..70 {
        assert_eq!(browser.authorize(&request("other", &[("prompt", "none")])).status, 303);
    }
    assert!(is_active(&authority, &first["access_token"]));
    sign_out(&authority, &browser);
    assert!(!is_active(&authority, &first["access_token"]));
}

fn answer_device(browser: &Browser<'_>, page: &Answer, fields: &[(&str, &str)]) -> Answer {
    let mark = between(page.text(), "name=\"mark\" value=\"", "\"");
    browser.send(Method::POST, "/device", &encode(&[&[("mark", mark)], fields].concat()))
}

#[test]
fn what_a_device_was_allowed_ends_with_the_sign_in() {
    let authority = start();
    let device = authority.post("/device_authorization", &[], "client_id=app&scope=openid").json();
    let typed = ("user_code", device["user_code"].as_str().unwrap());
    let browser = signed_in(&authority);
    let page = browser.send(Method::GET, "/device", "");
    let allowed = answer_device(&browser, &page, &[typed, ("action", "allow")]);
    assert!(allowed.text().contains("The device is connected"));
    let again = answer_device(&browser, &page, &[typed, ("action", "deny")]);
    assert!(again.text().contains("There is no device with this code"), "one answer, and no other after it");
    sign_out(&authority, &browser);
    let answer = token(&authority, "app", &[DEVICE, ("device_code", device["device_code"].as_str().unwrap())]).json();
    assert_eq!((&answer["error"], &answer["access_token"]), (&json!("invalid_grant"), &Value::Null), "{answer}");
}

const MARKUP: &str = "\"'>\u{0}<img src=x onerror=alert(1)>javascript:alert(1)//{{7*7}}";

/// Every page keeps markup out, and has a policy that would not run it.
#[test]
fn nothing_that_was_sent_becomes_markup() {
    let authority = start_and(|settings| {
        settings.clients[0].id = MARKUP.replace('\0', "");
        settings.users[1].claims.insert("name".into(), json!(MARKUP));
        settings.scopes.insert("orders:read".into(), MARKUP.into());
    });
    let browser = signed_in(&authority);
    let mut pages = vec![("the front page", browser.send(Method::GET, "/", ""))];
    let usual = request("web", &[]);
    let more = ["login_hint", "acr_values", "claims", "prompt", "max_age", "request", "request_uri", "resource"];
    for name in usual.iter().map(|(name, _)| *name).chain(more) {
        for mode in ["query", "form_post"] {
            let odd = request("web", &[("response_mode", mode), ("prompt", "login"), (name, MARKUP)]);
            pages.push((name, browser.authorize(&odd)));
        }
    }
    let login = browser.authorize(&request("web", &[("prompt", "login"), ("login_hint", MARKUP)]));
    pages.push(("a wrong name", browser.submit(&login, &[("username", MARKUP), ("password", "x")])));
    pages.push(("the chooser", browser.authorize(&request("web", &[("prompt", "select_account")]))));
    pages.push(("consent", browser.authorize(&request("web", &[("prompt", "consent")]))));
    for (at, names) in [
        ("/device", &["user_code"][..]),
        ("/logout", &["id_token_hint", "post_logout_redirect_uri", "state", "client_id", "action"]),
        ("/flows/walk", &["id"]),
        ("/flows/callback", &["state", "code", "error", "id_token"]),
    ] {
        for name in names {
            let query = encode(&[(*name, MARKUP)]);
            pages.push((name, browser.send(Method::GET, &format!("{at}?{query}"), "")));
            pages.push((name, browser.send(Method::POST, at, &query)));
        }
    }
    let (mut shown, count) = (0, pages.len());
    for (name, page) in pages {
        let kind = page.header("content-type").unwrap_or_default();
        if !kind.starts_with("text/html") {
            assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{name}");
            continue;
        }
        shown += 1;
        assert!(!page.text().contains("<img") && !page.text().contains("onerror=alert(1)>"), "{name}: {}", page.text());
        assert!(!page.text().contains("href=\"javascript:") && !page.text().contains("action=\"javascript:"), "{name}");
        let policy = page.header("content-security-policy").unwrap();
        for part in ["default-src 'none'; ", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{name}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains('*') && !policy.contains("javascript"),
            "{name}: {policy}"
        );
    }
    assert!(shown > 30, "{shown} of {count}");
}

#[test]
fn what_is_remembered_is_bounded_in_length_too() {
    let authority = start();
    let browser = signed_in(&authority);
    let (long, longer) = ("s".repeat(7000), "s".repeat(9000));
    assert_eq!(answer_in(&browser.authorize(&request("web", &[("state", &long)])), '?')["state"], long);
    for name in ["state", "claims", "acr_values", "ui_locales"] {
        let answer = browser.authorize(&request("web", &[(name, &longer)]));
        assert_eq!(answer_in(&answer, '?')["error"], "invalid_request", "{name}");
    }
    let resource = format!("urn:{}", &long[..509]);
    for (at, client, parameters) in [
        ("/par", "web", request("web", &[("resource", &resource)])),
        ("/device_authorization", "web", vec![("resource", &*resource)]),
    ] {
        let answer = authority.post(at, &[super::basic(client, "web-secret")], &encode(&parameters));
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_target")), "{at}");
    }
    let login = browser.authorize(&request("web", &[("prompt", "login")]));
    let wrong = browser.submit(&login, &[("username", &longer), ("password", "x")]);
    assert_eq!((wrong.status, wrong.text().contains("sss")), (403, false), "what is no name is not shown again");
}

#[test]
fn a_token_without_scopes_has_no_empty_parameter() {
    let authority = start_with(|client| client.scopes.clear());
    let answer = Browser::new(&authority).go(&request("web", &[("response_type", "token"), ("scope", "")]));
    assert!(!answer_in(&answer, '#').contains_key("scope"));
}

/// Names, values and places that mean something to some endpoint.
const PLACES: [&str; 20] = [
    "/",
    "/authorize",
    "/authorize/account",
    "/authorize/login",
    "/authorize/consent",
    "/par",
    "/device_authorization",
    "/device",
    "/token",
    "/userinfo",
    "/introspect",
    "/revoke",
    "/logout",
    "/flows/start",
    "/flows/callback",
    "/flows/fragment",
    "/flows/walk",
    "/flows/password",
    "/flows/device",
    "/flows/resource",
];
const NAMES: [&str; 46] = [
    "client_id",
    "client_secret",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    "acr_values",
    "claims",
    "id_token_hint",
    "request",
    "request_uri",
    "resource",
    "audience",
    "dpop_jkt",
    "grant_type",
    "code",
    "code_verifier",
    "refresh_token",
    "username",
    "password",
    "device_code",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "token",
    "client_assertion",
    "client_assertion_type",
    "user_code",
    "mark",
    "action",
    "transaction",
    "account",
    "post_logout_redirect_uri",
    "access_token",
    "flow",
    "client",
    "id",
    "answer",
];
const VALUES: [&str; 38] = [
    "",
    "web",
    "app",
    "machine",
    "openid",
    "code",
    "token",
    "id_token token",
    "form_post",
    "S256",
    "none",
    "login",
    "allow",
    "switch",
    "cancel",
    "sign-in",
    "sign-out",
    "alice",
    "wonderland",
    "0",
    "-1",
    "99999999999999999999",
    "\0",
    "\u{202e}",
    MARKUP,
    "%",
    "a b",
    "[]",
    r#"{"id_token":{"acr":{"essential":true,"values":[1,null]}},"userinfo":{}}"#,
    "a.b.c",
    "..",
    "eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
    "javascript:alert(1)",
    "http://127.0.0.1:1/cb",
    "client-credentials",
    "device",
    "urn:ietf:params:oauth:request_uri:x",
    "urn:ietf:params:oauth:grant-type:token-exchange",
];

/// Always the same numbers, so that a failure can be repeated (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// Requests that nobody would think of: each is answered, none as a fault of ours, and none leads anywhere else.
#[test]
fn no_request_is_too_odd_to_be_answered() {
    let authority = start();
    let (mut dice, browser) = (Dice(0x746f_6c6c_6761_7465), signed_in(&authority));
    let own = format!("http://{}/", authority.address);
    for _ in 0..1500 {
        let mut pairs = if dice.below(2) == 0 { request("web", &[]) } else { vec![] };
        pairs.extend((0..dice.below(8)).map(|_| (dice.of(&NAMES), dice.of(&VALUES))).collect::<Vec<_>>());
        let (place, form) = (dice.of(&PLACES), encode(&pairs));
        let mut headers = vec![("sec-fetch-site", dice.of(&["same-origin", "cross-site", "none"]).to_owned())];
        headers.extend((dice.below(2) == 0).then(|| super::basic("web", "web-secret")));
        headers.extend((dice.below(9) == 0).then(|| ("dpop", dice.of(&VALUES).replace('\0', ""))));
        let answer = match dice.below(2) {
            0 => browser.send_with(&headers, Method::GET, &format!("{place}?{form}"), ""),
            _ => browser.send_with(&headers, Method::POST, place, &form),
        };
        assert!((200..500).contains(&answer.status), "{place} {form}: {answer:?}");
        let to = answer.header("location").unwrap_or(&own);
        let known = [own.as_str(), super::flows::BACK, "http://127.0.0.1:4999/bye"];
        assert!(known.iter().any(|known| to.starts_with(known)), "{place} {form}: to {to}");
        assert!(!answer.text().contains("<img"), "{place} {form}: {}", answer.text());
    }
}
