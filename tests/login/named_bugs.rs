//! What went wrong in other gateways' logins, part three: what an issuer says later, cookies that were made up or kept, and
//! secrets that show. The issuer is a script, so that a test knows every secret and may sign what it likes.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::script;
use super::support::browser::{Browser, Page};
use super::support::client::{Request, Response};
use super::support::gateway::Gateway;
use super::support::issuer::Issuer;
use super::support::keys::{Key, Kind, b64};
use super::support::tls::Authority;
use super::support::token::Token;
use super::support::upstream::{Seen, Upstream, nobody, respond};
use super::support::world::{Setting, World};
use super::support::{PATIENCE, eventually, now};

const SECRET: &str = "a-secret-of-the-client-0123456789";
const ACCESS: &str = "an-access-token-0123456789-abcdef";
const REFRESH: &str = "a-refresh-token-0123456789-abcdef";
const CODE: &str = "an-authorization-code-0123456789";

/// What the scripted issuer says next.
struct Says {
    url: String,
    /// The answer of the token endpoint, and its status.
    token: (u16, Value),
    asked: Vec<Seen>,
}

/// An issuer that does as it is told.
struct Op {
    url: String,
    says: Arc<Mutex<Says>>,
    _server: Upstream,
}

fn key() -> Key {
    Key::of(Kind::P256, 0, "op-1")
}

impl Op {
    fn start() -> Self {
        let says = Arc::new(Mutex::new(Says { url: String::new(), token: (400, Value::Null), asked: Vec::new() }));
        let shared = Arc::clone(&says);
        let server = Upstream::start(move |seen, conn| {
            let mut says = shared.lock().expect("no panic while held");
            says.asked.push(seen.clone());
            let (status, body) = match seen.target.as_str() {
                "/.well-known/openid-configuration" => (200, metadata(&says.url)),
                "/jwks" => (200, json!({ "keys": [key().jwk()] })),
                "/token" => says.token.clone(),
                "/revoke" => (200, json!({})),
                _ => (404, Value::Null),
            };
            respond(conn, status, "Content-Type: application/json\r\n", body.to_string())
        });
        let url = format!("http://{}", server.address);
        says.lock().expect("no panic while held").url.clone_from(&url);
        Self { url, says, _server: server }
    }

    fn says(&self) -> MutexGuard<'_, Says> {
        self.says.lock().expect("no panic while held")
    }

    /// Claims of this issuer about alice, for the client.
    fn claims(&self) -> Value {
        json!({"iss": self.url, "aud": "web", "sub": "alice", "exp": now() + 600, "iat": now()})
    }

    /// A token of these claims, with a header of this `typ`, signed as it should be.
    fn sign(&self, typ: &str, claims: &Value) -> String {
        Token::new(&self.url, &key()).header("typ", typ).claims_text(&claims.to_string()).sign()
    }

    /// The next answers of the token endpoint bring an ID token with these further claims, and these scopes.
    fn grants(&self, more: &Value, scope: &str, lifetime: u64) -> String {
        let mut claims = self.claims();
        for (name, value) in more.as_object().expect("members") {
            claims[name] = value.clone();
        }
        let id_token = self.sign("JWT", &claims);
        self.says().token = (
            200,
            json!({
                "access_token": ACCESS, "token_type": "Bearer", "expires_in": lifetime, "refresh_token": REFRESH,
                "scope": scope, "id_token": id_token,
            }),
        );
        id_token
    }

    /// A logout token about alice's session, changed by this.
    fn logout_token(&self, sid: &str, jti: &str, change: impl Fn(&mut Value)) -> String {
        self.sign("logout+jwt", &self.logout_claims(sid, jti, change))
    }

    fn logout_claims(&self, sid: &str, jti: &str, change: impl Fn(&mut Value)) -> Value {
        let mut claims = self.claims();
        claims["sid"] = json!(sid);
        claims["jti"] = json!(jti);
        claims["events"] = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        change(&mut claims);
        claims
    }
}

fn metadata(url: &str) -> Value {
    let at = |path: &str| format!("{url}/{path}");
    json!({
        "issuer": url, "jwks_uri": at("jwks"), "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
        "revocation_endpoint": at("revoke"), "end_session_endpoint": at("end"),
        "authorization_response_iss_parameter_supported": true,
    })
}

/// An application whose two logins go to the scripted issuer.
struct App {
    op: Op,
    upstream: Upstream,
    gateway: Gateway,
    address: std::net::SocketAddr,
}

impl App {
    /// `rest` is put behind everything else.
    fn start(rest: &str) -> Self {
        let (op, upstream, address) = (Op::start(), Upstream::echo(), nobody());
        let login = |name: &str| {
            format!(
                "[logins.{name}]\nissuer = \"main\"\nclient_id = \"web\"\nclient_secret = \"{SECRET}\"\n\
                 scopes = [\"offline_access\", \"orders:read\"]\npublic_url = \"http://{address}\"\n\
                 callback = \"/.tollgate/callback/{name}\"\n\
                 [[routes]]\nname = \"{name}\"\npath = \"/{name}/{{*rest}}\"\nupstream = \"app\"\nlogin = \"{name}\"\n\
                 [[routes]]\nname = \"{name}-readers\"\npath = \"/{name}/readers\"\nupstream = \"app\"\nlogin = \"{name}\"\n\
                 scopes = [\"orders:read\"]\ncredential = \"pass\"\n"
            )
        };
        let gateway = Gateway::listening(&format!(
            "[server]\nlisten = [\"{address}\"]\nworkers = 2\n\
             [issuers.main]\nissuer = \"{}\"\naudiences = [\"https://api.test\"]\n{}{}{}{rest}",
            op.url,
            upstream.toml("app"),
            login("one"),
            login("two"),
        ));
        gateway.wait_ready();
        Self { op, upstream, gateway, address }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Begins to log in: where the issuer is asked, with what was asked there.
    #[track_caller]
    fn begin(&self, browser: &mut Browser, login: &str) -> Page {
        browser.stop_at = Some(self.op.url.clone());
        let page = browser.visit(&self.url(&format!("/{login}/x")));
        browser.stop_at = None;
        assert!(page.url.starts_with(&self.op.url), "{} {}", page.url, page.response.text());
        page
    }

    /// The answer of the issuer to what was asked, with this code.
    fn answer(&self, login: &str, asked: &Page, code: &str) -> String {
        let state = asked.parameter("state").expect("a state");
        self.url(&format!("/.tollgate/callback/{login}?code={code}&state={state}&iss={}", self.op.url))
    }

    /// Logs alice in, in a session of the issuer's that is called `sid`. Gives the ID token.
    #[track_caller]
    fn log_in(&self, browser: &mut Browser, login: &str, sid: &str, lifetime: u64) -> String {
        let asked = self.begin(browser, login);
        let more = json!({"nonce": asked.parameter("nonce"), "sid": sid});
        let id_token = self.op.grants(&more, "openid offline_access orders:read", lifetime);
        let answer = browser.step("GET", &self.answer(login, &asked, CODE), "");
        assert_eq!(answer.status, 303, "{}{}", answer.text(), self.gateway.logs());
        id_token
    }

    fn ask(&self, browser: &mut Browser, path: &str) -> Response {
        let fields = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin"), ("Accept", "*/*")];
        browser.send("GET", &self.url(path), &fields, "")
    }

    /// Status of the answer to a logout token.
    fn notify(&self, token: &str) -> u16 {
        let request = Request::new("POST", "/.tollgate/backchannel-logout").host(&self.address.to_string());
        let request = request.field("Content-Type", "application/x-www-form-urlencoded");
        request.body(format!("logout_token={token}").as_bytes()).send(self.address).status
    }

    /// The value of the one cookie with this name.
    fn cookie(&self, browser: &Browser, name: &str) -> String {
        let key = (self.address.ip().to_string(), name.to_owned());
        browser.cookies.get(&key).cloned().unwrap_or_else(|| panic!("no {name} in {:?}", browser.cookies))
    }

    /// A browser that has this cookie alone.
    fn browser_with(&self, name: &str, value: &str) -> Browser {
        let key = (self.address.ip().to_string(), name.to_owned());
        Browser { cookies: [(key, value.to_owned())].into(), ..Browser::default() }
    }
}

/// mod_auth_openidc, August 2026: a logout token without `iat` or `jti` was taken again and again.
#[test]
fn a_logout_token_is_taken_once_and_only_as_it_should_be() {
    let (app, mut browser) = (App::start(""), Browser::default());
    app.log_in(&mut browser, "one", "s-1", 600);
    let op = &app.op;
    let remove =
        |name: &'static str| move |claims: &mut Value| drop(claims.as_object_mut().expect("claims").remove(name));
    let set = |name: &'static str, value: Value| move |claims: &mut Value| claims[name] = value.clone();
    let token = |change: &dyn Fn(&mut Value)| op.logout_token("s-1", "bad", change);
    let good = Token::new(&op.url, &key()).header("typ", "logout+jwt");
    let good = good.claims_text(&op.logout_claims("s-1", "bad", |_| ()).to_string());
    let bad = [
        ("without iat", token(&remove("iat"))),
        ("without exp", token(&remove("exp"))),
        ("without jti", token(&remove("jti"))),
        ("with an empty jti", token(&set("jti", json!("")))),
        ("without events", token(&remove("events"))),
        ("of another event", token(&set("events", json!({"http://schemas.openid.net/event/other": {}})))),
        ("whose event is no object", {
            token(&set("events", json!({"http://schemas.openid.net/event/backchannel-logout": true})))
        }),
        ("for another client", token(&set("aud", json!("other")))),
        ("for another client too", token(&set("aud", json!(["web", "other"])))),
        ("without aud", token(&remove("aud"))),
        ("of another issuer", token(&set("iss", json!("https://evil.test")))),
        ("with a nonce", token(&set("nonce", json!("n")))),
        ("that is over", token(&set("exp", json!(now() - 100)))),
        ("that is old", token(&set("iat", json!(now() - 3600)))),
        ("from the future", token(&set("iat", json!(now() + 3600)))),
        ("whose sid is a number", token(&set("sid", json!(1)))),
        (
            "about nobody",
            op.sign(
                "logout+jwt",
                &op.logout_claims("s-1", "bad", |claims| {
                    remove("sub")(claims);
                    remove("sid")(claims);
                }),
            ),
        ),
        ("of the type of access tokens", op.sign("at+jwt", &op.logout_claims("s-1", "bad", |_| ()))),
        ("that is an ID token", op.sign("JWT", &op.claims())),
        ("that is not signed", format!("{}.", good.clone().alg("none").signing_input())),
        ("that another key signed", good.sign_by(|input| Key::of(Kind::P256, 1, "op-1").sign("ES256", input))),
        ("that is none", "x".to_owned()),
    ];
    for (name, token) in bad {
        assert_eq!(app.notify(&token), 400, "a logout token {name}");
        assert_eq!(app.ask(&mut browser, "/one/x").status, 200, "a logout token {name} ended the session");
    }
    let good = op.logout_token("s-1", "good", |_| ());
    assert_eq!(app.notify(&good), 200);
    assert_eq!(app.ask(&mut browser, "/one/x").code(), "session_expired");
    // Somebody who has seen it plays it again, against the session that began since.
    let mut again = Browser::default();
    app.log_in(&mut again, "one", "s-1", 600);
    assert_eq!(app.notify(&good), 400);
    assert_eq!(app.ask(&mut again, "/one/x").status, 200);
}

/// mod_auth_openidc, August 2026: a logout token that named the person alone missed the newer sessions.
#[test]
fn a_logout_of_a_person_ends_all_sessions_of_that_person_and_no_others() {
    let app = App::start("");
    let mut sessions: Vec<Browser> = (0..3)
        .map(|number| {
            let mut browser = Browser::default();
            app.log_in(&mut browser, ["one", "two"][number % 2], &format!("s-{number}"), 600);
            browser
        })
        .collect();
    let paths = ["/one/x", "/two/x", "/one/x"];
    let mut bob = Browser::default();
    let asked = app.begin(&mut bob, "one");
    app.op.grants(&json!({"nonce": asked.parameter("nonce"), "sub": "bob", "sid": "s-b"}), "openid", 600);
    assert_eq!(bob.step("GET", &app.answer("one", &asked, CODE), "").status, 303);
    let by_sub = app.op.logout_token("", "1", |claims| drop(claims.as_object_mut().expect("claims").remove("sid")));
    assert_eq!(app.notify(&by_sub), 200);
    for (browser, path) in sessions.iter_mut().zip(paths) {
        assert_eq!(app.ask(browser, path).code(), "session_expired", "{path}");
    }
    assert_eq!(app.ask(&mut bob, "/one/x").status, 200, "of somebody else");
}

/// mod_auth_openidc, August 2026: anybody could end sessions by the frame of a logout.
#[test]
fn a_frame_ends_a_session_only_by_what_the_issuer_alone_knows() {
    let (app, mut browser) = (App::start(""), Browser::default());
    app.log_in(&mut browser, "one", "s-1", 600);
    let frame = |query: &str| {
        let target = format!("/.tollgate/frontchannel-logout?{query}");
        Request::get(&target).host(&app.address.to_string()).send(app.address).status
    };
    let iss = &app.op.url;
    let other = format!("iss={iss}&sid=s-2");
    let incomplete = ["", "sid=s-1", &format!("iss={iss}"), "iss=https://evil.test&sid=s-1"];
    for (query, status) in incomplete.map(|query| (query, 400)).into_iter().chain([(&*other, 200)]) {
        assert_eq!(frame(query), status, "{query}");
        assert_eq!(app.ask(&mut browser, "/one/x").status, 200, "{query}");
    }
    assert_eq!(frame(&format!("iss={iss}&sid=s-1")), 200);
    assert_eq!(app.ask(&mut browser, "/one/x").code(), "session_expired");
}

/// APISIX CVE-2026-49871: somebody was logged in as somebody else. Here an issuer gives everybody the same refresh token, or an
/// empty one: what one session gets for it is never another's.
#[test]
fn sessions_with_the_same_refresh_token_stay_apart() {
    let sealed = "[sessions]\nstore = \"cookie\"\nkey = \"0123456789abcdef0123456789abcdef\"";
    for (refresh, rest) in [(REFRESH, ""), (REFRESH, sealed), ("", ""), ("", sealed)] {
        let app = App::start(rest);
        let grants = |more: &Value, lifetime| {
            app.op.grants(more, "openid", lifetime);
            app.op.says().token.1["refresh_token"] = json!(refresh);
        };
        let mut people = ["alice", "bob"].map(|sub| {
            let mut browser = Browser::default();
            let asked = app.begin(&mut browser, "one");
            grants(&json!({"nonce": asked.parameter("nonce"), "sub": sub}), 2);
            assert_eq!(browser.step("GET", &app.answer("one", &asked, CODE), "").status, 303);
            (sub, browser)
        });
        std::thread::sleep(std::time::Duration::from_secs(2));
        for (sub, browser) in &mut people {
            grants(&json!({"sub": sub}), 600);
            assert_eq!(app.ask(browser, "/one/x").status, 200, "{sub}, {refresh:?}, {rest}: {}", app.gateway.logs());
            let seen = app.upstream.drain().pop().expect("it went up");
            assert_eq!(seen.header("x-auth-subject"), Some(*sub), "{refresh:?}, {rest}");
        }
    }
}

/// A token of the wrong type is told by most parsers of JSON.
#[test]
fn an_answer_that_cannot_be_read_is_not_told() {
    let app = App::start("");
    let wrong = [
        ("refresh_token", json!(98_765_432_109_876_u64)),
        ("expires_in", json!(ACCESS)),
        ("scope", json!(98_765_432_109_876_u64)),
    ];
    for (name, value) in &wrong {
        let mut browser = Browser::default();
        let asked = app.begin(&mut browser, "one");
        app.op.grants(&json!({"nonce": asked.parameter("nonce")}), "openid", 600);
        app.op.says().token.1[*name] = value.clone();
        assert_eq!(browser.step("GET", &app.answer("one", &asked, CODE), "").status, 502, "{name}");
    }
    let logs = app.gateway.until("the log says why", || {
        let logs = app.gateway.logs();
        (logs.matches("a member of the wrong type, at line 1").count() == wrong.len()).then_some(logs)
    });
    assert!(!logs.contains("98765432109876") && !logs.contains(ACCESS), "{logs}");
}

/// Pomerium CVE-2021-41230: what was taken from somebody stayed theirs until the next login.
#[test]
fn a_scope_that_a_refresh_no_longer_brings_is_gone() {
    let (app, mut browser) = (App::start(""), Browser::default());
    app.log_in(&mut browser, "one", "s-1", 2);
    assert_eq!(app.ask(&mut browser, "/one/readers").status, 200);
    app.op.grants(&json!({}), "openid offline_access", 2);
    eventually("the scope is gone", PATIENCE, || {
        let answer = app.ask(&mut browser, "/one/readers");
        (answer.code() == "insufficient_scope").then_some(())
    });
    assert_eq!(app.ask(&mut browser, "/one/x").status, 200, "the session lives");
}

/// What counts is what the issuer grants, not what it was asked for (RFC 6749, section 3.3).
#[test]
fn a_scope_that_the_issuer_did_not_grant_is_not_there() {
    let (app, mut browser) = (App::start(""), Browser::default());
    let asked = app.begin(&mut browser, "one");
    app.op.grants(&json!({"nonce": asked.parameter("nonce")}), "openid", 600);
    assert_eq!(browser.step("GET", &app.answer("one", &asked, CODE), "").status, 303);
    assert_eq!(app.ask(&mut browser, "/one/readers").code(), "insufficient_scope");
    assert_eq!(app.ask(&mut browser, "/one/x").status, 200);
}

/// oauth2-proxy could not put somebody out before the cookie ended. Who is revoked is out at once, whatever keeps the session,
/// and is told so rather than sent to log in again.
#[test]
fn who_is_revoked_is_out_by_session_too() {
    for store in ["memory", "cookie"] {
        let app = App::start(&format!("[sessions]\nstore = \"{store}\"\nkey = \"0123456789abcdef0123456789abcdef\"\n"));
        let mut browser = Browser::default();
        app.log_in(&mut browser, "one", "s-1", 600);
        let order = |method: &str, target: &str, body: &str| {
            let request = Request::new(method, target).host("localhost").field("Content-Type", "application/json");
            request.body(body.as_bytes()).send(app.gateway.admin())
        };
        for whom in [r#"{"sub": "alice"}"#, r#"{"sid": "s-1"}"#, r#"{"client_id": "web"}"#] {
            // Every worker remembers the session as good.
            (0..8).for_each(|_| assert_eq!(app.ask(&mut browser, "/one/x").status, 200, "{store}: before {whom}"));
            let entry = order("POST", "/revocations", whom);
            assert_eq!(entry.status, 201, "{}", entry.text());
            app.upstream.drain();
            for path in ["/one/x", "/one/readers", "/.tollgate/session"] {
                let refused: Vec<String> = (0..8).map(|_| app.ask(&mut browser, path).code()).collect();
                assert!(refused.iter().all(|code| code == "revoked"), "{store}: {whom}: {path}: {refused:?}");
            }
            let page = browser.step("GET", &app.url("/one/x"), "");
            assert_eq!((page.status, page.header("location")), (401, None), "{store}: {whom}: no login helps");
            assert!(app.upstream.drain().is_empty());
            let id = entry.json()["id"].as_str().expect("an id").to_owned();
            assert_eq!(order("DELETE", &format!("/revocations/{id}"), "").status, 204);
        }
        assert_eq!(app.ask(&mut browser, "/one/x").status, 200, "{store}: it was taken back");
    }
}

/// Envoy CVE-2023-35941: a cookie of one host opened another, and for ever.
#[test]
fn a_cookie_of_one_login_opens_no_other_and_nothing_after_its_end() {
    for store in ["memory", "cookie"] {
        let sessions = format!(
            "[sessions]\nstore = \"{store}\"\nkey = \"0123456789abcdef0123456789abcdef\"\nidle_timeout = \"3s\"\n\
             lifetime = \"4s\"\n"
        );
        let (app, mut browser) = (App::start(&sessions), Browser::default());
        app.log_in(&mut browser, "one", "s-1", 600);
        let suffix = if store == "cookie" { "-0" } else { "" };
        let value = app.cookie(&browser, &format!("tollgate-one{suffix}"));
        let mut same = app.browser_with(&format!("tollgate-one{suffix}"), &value);
        assert_eq!(app.ask(&mut same, "/one/x").status, 200, "{store}");
        let mut other = app.browser_with(&format!("tollgate-two{suffix}"), &value);
        assert_eq!(app.ask(&mut other, "/two/x").status, 401, "{store}: at another login");
        // Nor does what was given for a login on its way.
        let asked = app.begin(&mut Browser::default(), "one");
        let mut two = Browser::default();
        let given = app.begin(&mut two, "two");
        let crossed = app.answer("one", &given, CODE);
        app.op.grants(&json!({"nonce": given.parameter("nonce")}), "openid", 600);
        assert_eq!(two.step("GET", &crossed, "").status, 400, "{store}: an answer at another callback");
        let stolen = app.answer("one", &asked, CODE);
        assert_eq!(two.step("GET", &stolen, "").status, 400, "{store}: an answer of another browser");
        eventually("the session is over", PATIENCE, || {
            let mut kept = app.browser_with(&format!("tollgate-one{suffix}"), &value);
            (app.ask(&mut kept, "/one/x").status == 401).then_some(())
        });
    }
}

/// mod_auth_openidc CVE-2024-24814 and CVE-2023-28625: a count of cookies that was believed, and pieces that were empty.
#[test]
fn cookies_that_were_made_up_are_worth_nothing() {
    for store in ["memory", "cookie"] {
        let sessions = format!("[sessions]\nstore = \"{store}\"\nkey = \"0123456789abcdef0123456789abcdef\"\n");
        let mut app = App::start(&sessions);
        let many = |name: &str, count: usize| (0..count).map(|at| format!("{name}{at}=x; ")).collect::<String>();
        let cookies = [
            "tollgate-one-0=99999999.x".to_owned(),
            "tollgate-one-0=4294967297.x; tollgate-one-1=y".to_owned(),
            "tollgate-one-0=-1.x".to_owned(),
            "tollgate-one-0=3.".to_owned(),
            "tollgate-one-0=; tollgate-one-1=; tollgate-one-2=".to_owned(),
            "tollgate-one=".to_owned(),
            "tollgate-one-chunks=99999999".to_owned(),
            ";;=;".to_owned(),
            ";".repeat(10_000),
            "=".repeat(10_000),
            "tollgate-one=x; ".repeat(500),
            many("tollgate-one-tx-", 200),
            many("tollgate-one-", 200),
            format!("tollgate-one={}", "x".repeat(64 * 1024)),
            format!("tollgate-one-0=1.{}", "A".repeat(12 * 1024)),
            "tollgate-one=\u{e9}\u{ff}".to_owned(),
        ];
        for cookie in &cookies {
            for path in
                ["/one/x", "/.tollgate/session", "/.tollgate/callback/one?code=c&state=0", "/.tollgate/login?login=one"]
            {
                let request = Request::get(path).host(&app.address.to_string()).field("Cookie", cookie);
                let status = request.send(app.address).status;
                let login = path.contains("login=");
                let fine = (400..500).contains(&status) || (login && status == 303);
                assert!(fine, "{store}: {status} at {path} for {} bytes: {:.60}", cookie.len(), cookie);
            }
        }
        assert!(app.upstream.seen().is_empty() && app.gateway.is_alive());
    }
}

/// Envoy CVE-2025-55162: the cookies that matter most, those with a prefix, were not taken away.
#[test]
fn a_logout_takes_the_cookies_with_a_prefix_away() {
    let world = World::set(Setting { tls: true, ..Setting::default() });
    let mut browser = Browser::default();
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    let ours = |browser: &Browser| -> Vec<String> {
        let names = browser.cookies.keys().map(|(_, name)| name.clone());
        names.filter(|name| name.contains("tollgate-web")).collect()
    };
    assert_eq!(ours(&browser), ["__Host-tollgate-web", "__Host-tollgate-web-round"]);
    let kept = browser.cookies.clone();
    browser.post(&world.url("/.tollgate/logout"), "");
    assert_eq!(ours(&browser), Vec::<String>::new());
    let mut thief = Browser { cookies: kept, ..Browser::default() };
    assert_eq!(script(&world, &mut thief, "/x").code(), "session_expired", "what was kept is worth nothing");
}

/// APISIX CVE-2026-31923: certificates of the issuer were not looked at.
#[test]
fn an_issuer_with_a_wrong_certificate_gets_neither_browsers_nor_secrets() {
    let (stranger, upstream, address) = (Authority::new("A stranger"), Upstream::echo(), nobody());
    let impostor = Issuer::tls(key(), &stranger.identity("issuer", &["127.0.0.1"]));
    let gateway = Gateway::listening(&format!(
        "[server]\nlisten = [\"{address}\"]\n[issuers.main]\nissuer = \"{}\"\naudiences = [\"a\"]\n{}\
         [logins.web]\nissuer = \"main\"\nclient_id = \"web\"\nclient_secret = \"{SECRET}\"\npublic_url = \"http://{address}\"\n\
         [[routes]]\npath = \"/{{*rest}}\"\nupstream = \"app\"\nlogin = \"web\"\n",
        impostor.url,
        upstream.toml("app")
    ));
    let page = Browser::default().visit(&format!("http://{address}/x"));
    assert!(matches!(page.response.status, 502 | 503), "{} {}", page.url, page.response.text());
    assert!(impostor.hits().is_empty(), "it was asked: {:?}", impostor.hits());
    assert!(upstream.seen().is_empty());
    gateway.until("the log tells why", || gateway.stderr().contains("certificate").then_some(()));
}

/// Pomerium CVE-2024-39315, APISIX CVE-2022-29266 and CVE-2025-62232: tokens on a page, a secret in an error, passwords in a
/// log.
#[test]
fn nothing_secret_shows_anywhere_over_a_whole_login() {
    for store in ["memory", "cookie"] {
        let app = App::start(&format!(
            "[sessions]\nstore = \"{store}\"\nkey = \"a-key-for-seals-0123456789abcdef0\"\n\
             [log]\naccess = \"json\"\nlevel = \"trace\"\n"
        ));
        let (mut browser, mut shown, mut secrets) = (Browser::default(), String::new(), Vec::new());
        let mut show = |answer: &Response| shown.push_str(&format!("{:?}\n{}\n", answer.head.start, answer.text()));
        // A login that the issuer refuses, in words that repeat what it was sent.
        let asked = app.begin(&mut browser, "one");
        let echoed = format!("the code {CODE} of {SECRET} is not known");
        app.op.says().token = (400, json!({"error": "invalid_grant", "error_description": echoed}));
        let answer = app.answer("one", &asked, CODE);
        secrets.extend(["state", "nonce"].map(|name| asked.parameter(name).expect("sent")));
        secrets.extend(browser.cookies.values().cloned());
        show(&browser.step("GET", &answer, ""));
        // One that it answers with nonsense in which there are tokens.
        let asked = app.begin(&mut browser, "one");
        app.op.says().token = (200, json!({"access_token": ACCESS, "refresh_token": REFRESH, "token_type": 7}));
        show(&browser.step("GET", &app.answer("one", &asked, CODE), ""));
        // One that succeeds, and what comes after it.
        let id_token = app.log_in(&mut browser, "one", "s-1", 2);
        secrets.extend(browser.cookies.values().cloned());
        for path in ["/one/x", "/one/readers", "/two/x", "/.tollgate/session", "/.tollgate/nothing", "/nowhere"] {
            let answer = app.ask(&mut browser, path);
            // The echo of the upstream shows the token that a route passes to it.
            if path != "/one/readers" {
                show(&answer);
            }
        }
        show(&browser.step("GET", &app.answer("one", &asked, CODE), ""));
        let bearer = browser.send("GET", &app.url("/one/x"), &[("Authorization", &format!("Bearer {ACCESS}"))], "");
        show(&bearer);
        let logout_token = app.op.logout_token("s-2", "1", |_| ());
        assert!(matches!(app.notify(&logout_token), 200 | 501));
        // The refresh is refused, with the tokens in the words.
        let echoed = format!("{REFRESH} is over");
        app.op.says().token = (400, json!({"error": "invalid_grant", "error_description": echoed}));
        eventually("the session is over", PATIENCE, || {
            let answer = app.ask(&mut browser, "/one/x");
            show(&answer);
            (answer.status == 401).then_some(())
        });
        app.log_in(&mut browser, "one", "s-1", 600);
        secrets.extend(browser.cookies.values().cloned());
        show(&browser.step("POST", &app.url("/.tollgate/logout"), ""));
        let forms: Vec<Seen> = app.op.says().asked.iter().filter(|seen| seen.target == "/token").cloned().collect();
        let sent = |seen: &Seen, name: &str| {
            let found = url::form_urlencoded::parse(&seen.body).find(|(found, _)| found == name);
            found.map(|(_, value)| value.into_owned())
        };
        let verifiers: Vec<String> = forms.iter().filter_map(|seen| sent(seen, "code_verifier")).collect();
        assert!(
            verifiers.len() >= 4 && forms.iter().any(|seen| sent(seen, "refresh_token").as_deref() == Some(REFRESH))
        );
        secrets.extend(verifiers);
        secrets.extend(forms.iter().filter_map(|seen| seen.header("authorization").map(str::to_owned)));
        secrets.extend([SECRET, ACCESS, REFRESH, CODE, &b64(SECRET), "a-key-for-seals"].map(str::to_owned));
        secrets.extend([id_token, logout_token].iter().flat_map(|token| token.split('.').skip(1)).map(str::to_owned));
        app.gateway.until("the logout is logged", || {
            app.gateway.access_log().iter().any(|line| line.to_string().contains("logout")).then_some(())
        });
        let metrics = app.gateway.admin_page("/metrics").text();
        assert!(metrics.contains("login_failed"), "the failures are counted");
        for path in ["/", "/metrics", "/config", "/readyz", "/healthz", "/sessions?sub=alice", "/revocations"] {
            shown.push_str(&app.gateway.admin_page(path).text());
        }
        shown.push_str(&serde_json::to_string(&app.gateway.access_log()).expect("JSON"));
        let stderr = app.gateway.stderr();
        assert!(stderr.contains("invalid_grant"), "the log tells why: {stderr}");
        shown.push_str(&stderr);
        for secret in secrets {
            let secret = secret.trim_start_matches("Basic ");
            assert!(secret.len() >= 15, "{secret:?} is too short to be told from chance");
            let line = shown.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{store}: {secret} shows");
        }
    }
}
