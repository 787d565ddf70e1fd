//! Browser sessions in Redis: two replicas of the real gateway, a real Redis, and the embedded authority as issuer.

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use support::browser::{Browser, Page};
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::redis::Redis;
use support::upstream::{Upstream, nobody};
use support::{PATIENCE, eventually};

/// An application behind two replicas. The first one also runs the authority, and is where the application is reached.
struct World {
    redis: Redis,
    upstream: Upstream,
    config: String,
    first: Gateway,
    second: Gateway,
    address: SocketAddr,
    authority: SocketAddr,
}

impl World {
    #[track_caller]
    fn start() -> Self {
        Self::with("")
    }

    /// With more keys of `[authority]`.
    #[track_caller]
    fn with(authority_keys: &str) -> Self {
        let (address, authority, upstream, redis) = (nobody(), nobody(), Upstream::echo(), Redis::start());
        let config = format!(
            r#"
[sessions]
store = "redis"
key = "0123456789abcdef0123456789abcdef"

{redis}

[issuers.main]
issuer = "http://{authority}"
audiences = ["https://api.example"]

{upstream}

[[routes]]
path = "/{{*rest}}"
upstream = "app"
login = "web"
credential = "pass"

[logins.web]
issuer = "main"
client_id = "web"
client_secret = "a secret"
scopes = ["profile", "offline_access"]
public_url = "http://{address}"
"#,
            redis = redis.toml(),
            upstream = upstream.toml("app"),
        );
        let issuing = format!(
            r#"
[authority]
listen = "{authority}"
issuer = "http://{authority}"
audience = "https://api.example"
{authority_keys}

[[authority.users]]
name = "alice"
sub = "user-alice"
password = "wonderland"

[[authority.users]]
name = "bob"
sub = "user-bob"
password = "builder"

[[authority.clients]]
id = "web"
secret = "a secret"
grants = ["authorization_code", "refresh_token"]
redirect_uris = ["http://{address}/.tollgate/callback"]
post_logout_redirect_uris = ["http://{address}/.tollgate/logged-out"]
backchannel_logout_uri = "http://{address}/.tollgate/backchannel-logout"
scopes = ["openid", "profile", "offline_access"]
"#
        );
        let first = Gateway::start(&format!("[server]\nlisten = [\"{address}\"]\nworkers = 2\n{config}{issuing}"));
        let second = Gateway::start(&config);
        Self { redis, upstream, config, first, second, address, authority }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A browser in which this person is logged in.
    #[track_caller]
    fn browser_of(&self, name: &str, password: &str) -> Browser {
        let mut browser = Browser::default();
        let page = browser.visit(&self.url("/"));
        assert!(page.url.contains(&self.authority.to_string()), "{} {}", page.url, page.response.text());
        let page = browser.sign_in(page, name, password);
        assert_eq!(page.response.status, 200, "{}{}", page.response.text(), self.first.logs());
        self.upstream.drain();
        browser
    }

    #[track_caller]
    fn alice(&self) -> Browser {
        self.browser_of("alice", "wonderland")
    }

    /// What the upstream is told about who a replica lets in with this browser's cookies.
    fn subject(&self, replica: &Gateway, browser: &Browser) -> Result<String, String> {
        let answer = script(replica, &id(browser));
        match answer.status {
            200 => Ok(self.upstream.only().header("x-auth-subject").expect("somebody").to_owned()),
            status => Err(format!("{status} {}", answer.code())),
        }
    }
}

/// The cookie of the session.
fn id(browser: &Browser) -> String {
    let held = browser.cookies.iter().find(|((_, name), _)| name == "tollgate-web");
    held.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// A script of the application asks a replica, with this cookie.
fn script(replica: &Gateway, id: &str) -> Response {
    replica.call(&asking(replica, id))
}

fn asking(replica: &Gateway, id: &str) -> Request {
    let cookie = format!("tollgate-web={id}");
    let request = Request::get("/x").host(&replica.http().to_string()).field("Cookie", &cookie);
    request.field("Sec-Fetch-Mode", "cors").field("Sec-Fetch-Site", "same-origin").field("Accept", "*/*")
}

/// One command to the server, as an operator gives it.
#[track_caller]
fn redis(world: &World, arguments: &[&str]) -> String {
    let port = world.redis.port.to_string();
    let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
    let output = output.expect("redis-cli is installed: apt-get install redis-tools, as tests/run does");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

const ALICE: Result<&str, &str> = Ok("user-alice");
const OVER: Result<&str, &str> = Err("401 session_expired");

#[test]
fn a_session_is_known_to_every_replica_and_outlives_them() {
    let mut world = World::start();
    let browser = world.alice();
    let told = |world: &World| (world.subject(&world.first, &browser), world.subject(&world.second, &browser));
    let known = (ALICE.map(str::to_owned).map_err(str::to_owned), ALICE.map(str::to_owned).map_err(str::to_owned));
    assert_eq!(told(&world), known);
    world.second = Gateway::start(&world.config);
    assert_eq!(told(&world), known, "after a restart");
}

#[test]
fn a_session_that_ends_is_over_at_every_replica() {
    let world = World::start();
    let over = OVER.map(str::to_owned).map_err(str::to_owned);
    let mut browser = world.alice();
    let held = Browser { cookies: browser.cookies.clone(), ..Browser::default() };
    assert!(world.subject(&world.second, &held).is_ok());
    browser.post(&world.url("/.tollgate/logout"), "");
    assert_eq!(world.subject(&world.second, &held), over, "logged out at the first");
    // The person signs out at the issuer, which tells the first replica, behind the browser's back.
    let mut browser = world.alice();
    let bystander = world.browser_of("bob", "builder");
    assert!(world.subject(&world.second, &browser).is_ok());
    let page = browser.visit(&format!("http://{}/logout", world.authority));
    browser.submit(&page, &[]);
    eventually("the second replica refuses the session", PATIENCE, || {
        (world.subject(&world.second, &browser) == over).then_some(())
    });
    assert_eq!(world.subject(&world.second, &bystander), Ok("user-bob".to_owned()), "others stay");
}

/// With a grace of nothing, a refresh token that is used twice ends its family, so two refreshes would show twice.
#[test]
fn two_hundred_requests_over_two_replicas_refresh_once() {
    let world = World::with(
        "token_lifetime = \"5s\"\nrefresh_token_grace = \"0s\"\n\
         [[authority.faults.on]]\nfault = \"slow\"\nat = \"token\"\ndelay = \"500ms\"",
    );
    let browser = world.alice();
    let asked = || world.first.stderr().matches("a fault was made on purpose").count();
    assert_eq!(asked(), 1, "the code was redeemed: {}", world.first.stderr());
    let credentials = |world: &World| -> BTreeSet<String> {
        let seen = world.upstream.drain();
        seen.iter().map(|seen| seen.header("authorization").expect("the token goes up").to_owned()).collect()
    };
    assert_eq!(script(&world.first, &id(&browser)).status, 200);
    let before = credentials(&world);
    assert_eq!((before.len(), asked()), (1, 1));
    // The moment has come when a fifth of the token's life is left.
    thread::sleep(std::time::Duration::from_millis(3600));
    let gate = Barrier::new(200);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = |number: usize| {
            let (replica, gate, browser) = ([&world.first, &world.second][number % 2], &gate, &browser);
            scope.spawn(move || {
                gate.wait();
                script(replica, &id(browser)).status
            })
        };
        let all: Vec<_> = (0..200).map(ask).collect();
        all.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    assert_eq!(statuses, vec![200; 200], "{}{}", world.first.logs(), world.second.logs());
    eventually("the session has other tokens", PATIENCE, || {
        let all = [&world.first, &world.second].map(|replica| script(replica, &id(&browser)).status);
        assert_eq!(all, [200, 200]);
        let tokens = credentials(&world);
        (tokens.is_disjoint(&before) && tokens.len() == 1).then_some(())
    });
    assert_eq!(asked(), 2, "one code, one refresh");
}

#[test]
fn while_redis_is_away_nobody_is_let_in_and_all_are_there_when_it_is_back() {
    let mut world = World::start();
    let (alice, bob) = (world.alice(), world.browser_of("bob", "builder"));
    world.redis.kill();
    let unavailable = Err("503 store_unavailable".to_owned());
    for replica in [&world.first, &world.second] {
        for browser in [&alice, &bob] {
            assert_eq!(world.subject(replica, browser), unavailable);
        }
        assert_eq!(script(replica, "planted").code(), "store_unavailable");
    }
    // Whoever comes without a session may begin to log in, but does not get one.
    let mut stranger = Browser::default();
    let page = stranger.visit(&world.url("/"));
    let page: Page = stranger.sign_in(page, "alice", "wonderland");
    assert_eq!((page.response.status, id(&stranger)), (503, String::new()), "{}", page.response.text());
    assert!(world.upstream.drain().is_empty());
    world.redis.start_again();
    for replica in [&world.first, &world.second] {
        eventually("the store is back", PATIENCE, || world.subject(replica, &alice).is_ok().then_some(()));
        world.upstream.drain();
        let both = [&alice, &bob].map(|browser| world.subject(replica, browser));
        assert_eq!(both, [Ok("user-alice".to_owned()), Ok("user-bob".to_owned())]);
    }
}

#[test]
fn what_redis_holds_tells_nothing_and_opens_nothing() {
    let world = World::start();
    let (alice, bob) = (world.alice(), world.browser_of("bob", "builder"));
    let keys = |world: &World| -> Vec<String> {
        let found = redis(world, &["--scan"]);
        found.lines().filter(|key| key.contains(":session:")).map(str::to_owned).collect()
    };
    let all = redis(&world, &["--scan"]);
    for secret in [&*id(&alice), "user-alice", "alice", &world.authority.to_string()] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let both = keys(&world);
    assert_eq!(both.len(), 2, "{all}");
    for key in &both {
        let value = redis(&world, &["GET", key]);
        assert!(value.len() > 100 && !value.contains("user-") && !value.contains("eyJ"), "{value}");
        let life: u64 = redis(&world, &["TTL", key]).parse().expect("seconds");
        assert!((1500..=1800).contains(&life), "it ends by itself: {life}");
    }
    // Somebody who can write there exchanges the two, and plants one of his own.
    redis(&world, &["RENAME", &both[0], "aside"]);
    redis(&world, &["RENAME", &both[1], &both[0]]);
    redis(&world, &["RENAME", "aside", &both[1]]);
    let over = OVER.map(str::to_owned).map_err(str::to_owned);
    for replica in [&world.first, &world.second] {
        assert_eq!([&alice, &bob].map(|browser| world.subject(replica, browser)), [over.clone(), over.clone()]);
    }
    redis(&world, &["SET", &both[0], "{\"subject\":\"user-alice\"}"]);
    assert_eq!([&alice, &bob].map(|browser| world.subject(&world.second, browser)), [over.clone(), over]);
    assert!(world.upstream.drain().is_empty());
}

#[test]
fn any_other_cookie_gets_one_and_the_same_answer() {
    let world = World::start();
    let good = id(&world.alice());
    let mut answers = BTreeSet::new();
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let refused = script(&world.second, &String::from_utf8(bytes).expect("ASCII"));
        answers.insert((refused.status, refused.text()));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// What the admin listener of a replica answers to an operator.
fn operator(replica: &Gateway, method: &str, target: &str) -> (u16, String) {
    let answer = Request::new(method, target).host("localhost").send(replica.admin());
    (answer.status, answer.text())
}

#[test]
fn an_operator_sees_and_ends_the_sessions_of_one_person() {
    let world = World::start();
    let (desk, phone, bob) = (world.alice(), world.alice(), world.browser_of("bob", "builder"));
    let listed = |replica: &Gateway, target: &str| {
        let answer = Request::get(target).host("localhost").send(replica.admin()).json();
        answer["sessions"].as_array().expect("a list").clone()
    };
    for replica in [&world.first, &world.second] {
        let sessions = listed(replica, "/sessions?sub=user-alice");
        assert_eq!(sessions.len(), 2, "{sessions:?}");
        for session in &sessions {
            assert_eq!((&session["sub"], &session["login"]), (&"user-alice".into(), &"web".into()));
            let [began, last, ends] = ["began", "last_request", "ends"].map(|name| session[name].as_i64().expect(name));
            assert!(began <= last && last < ends, "{session}");
        }
        let all = serde_json::json!(sessions).to_string();
        for secret in [id(&desk), id(&phone), "eyJ".to_owned()] {
            assert!(!all.contains(&secret), "{all}");
        }
    }
    let sid =
        listed(&world.first, "/sessions?sub=user-alice&issuer=main")[0]["sid"].as_str().expect("a sid").to_owned();
    let (status, text) = operator(&world.second, "DELETE", &format!("/sessions?sid={sid}"));
    assert_eq!((status, text.contains("\"ended\": 1")), (200, true), "{text}");
    let over = OVER.map(str::to_owned).map_err(str::to_owned);
    assert_eq!(world.subject(&world.first, &desk), over, "the one that began first");
    assert!(world.subject(&world.first, &phone).is_ok());
    let (_, text) = operator(&world.second, "DELETE", "/sessions?sub=user-alice");
    assert!(text.contains("\"ended\": 1"), "{text}");
    assert_eq!(world.subject(&world.first, &phone), over);
    assert_eq!(world.subject(&world.first, &bob), Ok("user-bob".to_owned()));
    assert!(listed(&world.first, "/sessions?sub=user-alice").is_empty());
}

#[test]
fn orders_about_sessions_are_understood_or_refused() {
    let world = World::start();
    let cases = [
        ("GET", "/sessions", 400, "whose sessions?"),
        ("DELETE", "/sessions", 400, "whose sessions?"),
        ("DELETE", "/sessions?sub=", 400, "whose sessions?"),
        ("DELETE", "/sessions?sub=a&sub=b", 400, "`sub` comes twice"),
        ("DELETE", "/sessions?user=a", 400, "there is no `user`"),
        ("GET", "/sessions?sub=a&issuer=other", 400, "no issuer of a login"),
        ("POST", "/sessions?sub=a", 405, "GET, HEAD, DELETE only"),
        ("GET", "/sessions?sub=nobody", 200, "\"sessions\": []"),
        ("DELETE", "/sessions?sub=nobody", 200, "\"ended\": 0"),
    ];
    for (method, target, status, text) in cases {
        let answer = operator(&world.second, method, target);
        assert!(answer.0 == status && answer.1.contains(text), "{method} {target}: {answer:?}");
    }
    let page = Request::new("DELETE", "/sessions?sub=user-alice").host("localhost");
    let page = page.field("Origin", "https://evil.example").send(world.second.admin());
    assert_eq!(page.status, 403, "{}", page.text());
    let cookies = world.config.replace("store = \"redis\"", "store = \"cookie\"");
    let (status, text) = operator(&Gateway::start(&cookies), "DELETE", "/sessions?sub=a");
    assert!(status == 501 && text.contains("/revocations"), "{status} {text}");
    let secret = world.config + "\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"\n";
    let (status, text) = operator(&Gateway::start(&secret), "GET", "/sessions?sub=a");
    assert_eq!(status, 401, "{text}");
}
