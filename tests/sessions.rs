//! Browser sessions in Redis: two replicas of the real gateway, a real Redis (one server, with or without TLS, or a cluster),
//! and the embedded authority as issuer.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use support::browser::{Browser, Page};
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::process;
use support::redis::{self, Redis};
use support::tls::authority;
use support::upstream::{Upstream, nobody};
use support::{PATIENCE, eventually, uptime};
use tempfile::TempDir;

/// An application behind two replicas. The first one also runs the authority, and is where the application is reached.
struct World {
    /// One server, or the nodes of a cluster.
    redis: Vec<Redis>,
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
        let redis = Redis::start();
        let table = redis.toml();
        Self::over(vec![redis], &table, authority_keys)
    }

    #[track_caller]
    fn over_a_cluster(authority_keys: &str) -> Self {
        let nodes = redis::cluster();
        let table = format!("[redis]\nurl = \"{}\"\ncluster = [\"{}\"]\n", nodes[0].url(), nodes[1].url());
        Self::over(nodes, &table, authority_keys)
    }

    /// Over the servers that `[redis]` describes.
    #[track_caller]
    fn over(redis: Vec<Redis>, table: &str, authority_keys: &str) -> Self {
        let (address, authority, upstream) = (nobody(), nobody(), Upstream::echo());
        let config = format!(
            r#"
[sessions]
store = "redis"
key = "0123456789abcdef0123456789abcdef"

{table}

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
fn command_at(server: &Redis, arguments: &[&str]) -> String {
    let port = server.port.to_string();
    let output = process::output(Command::new("redis-cli").args(["-p", &port]).args(arguments));
    let output = output.expect("redis-cli is installed: apt-get install redis-tools, as tests/run does");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// The same, to the first of them.
#[track_caller]
fn command(world: &World, arguments: &[&str]) -> String {
    command_at(&world.redis[0], arguments)
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
    ends_everywhere(&World::start());
}

fn ends_everywhere(world: &World) {
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

/// The nodes hold a third of the names each, so some of these sessions and what names them lie apart.
#[test]
fn a_cluster_keeps_sessions_as_one_server_does() {
    let world = World::over_a_cluster("");
    let browsers: Vec<_> = (0..6).map(|_| world.alice()).collect();
    for browser in &browsers {
        assert_eq!(world.subject(&world.second, browser), Ok("user-alice".to_owned()));
    }
    ends_everywhere(&world);
    let (_, text) = operator(&world.second, "DELETE", "/sessions?sub=user-alice");
    assert!(text.contains("\"ended\": 6"), "{text}");
    for browser in &browsers {
        assert_eq!(world.subject(&world.first, browser), Err("401 session_expired".to_owned()));
    }
}

#[test]
fn over_a_cluster_two_replicas_refresh_once() {
    refreshes_once(&World::over_a_cluster(SHORT_LIVED));
}

#[test]
fn over_tls_sessions_are_kept_as_without() {
    let server = authority().identity("redis", &["127.0.0.1"]);
    let client = authority().identity("gateway", &["gateway"]);
    let redis = Redis::tls(authority(), &server, "correct-horse");
    let folder = TempDir::new().expect("a temporary folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a folder of ours");
        format!("{:?}", path.display().to_string())
    };
    let table = format!(
        "[redis]\nurl = {{ file = {} }}\nca_file = {}\nclient_certificate = {}\nclient_key = {}\n",
        file("url", &format!("rediss://:correct-horse@127.0.0.1:{}", redis.port)),
        file("ca.pem", &authority().pem()),
        file("client.pem", &client.certificate),
        file("client-key.pem", &client.key),
    );
    ends_everywhere(&World::over(vec![redis], &table, ""));
}

/// An authority that takes its time, and whose tokens soon end. With a grace of nothing, a refresh token that is used twice
/// ends its family, so two refreshes would show twice.
const SHORT_LIVED: &str = "token_lifetime = \"5s\"\nrefresh_token_grace = \"0s\"\n\
     [[authority.faults.on]]\nfault = \"slow\"\nat = \"token\"\ndelay = \"500ms\"";

#[test]
fn two_hundred_requests_over_two_replicas_refresh_once() {
    refreshes_once(&World::with(SHORT_LIVED));
}

fn refreshes_once(world: &World) {
    let browser = world.alice();
    let asked = || world.first.stderr().matches("a fault was made on purpose").count();
    assert_eq!(asked(), 1, "the code was redeemed: {}", world.first.stderr());
    let credentials = |world: &World| -> BTreeSet<String> {
        let seen = world.upstream.drain();
        seen.iter().map(|seen| seen.header("authorization").expect("the token goes up").to_owned()).collect()
    };
    assert_eq!(script(&world.first, &id(&browser)).status, 200);
    let before = credentials(world);
    assert_eq!((before.len(), asked()), (1, 1));
    // The moment has come when a fifth of the token's life is left. Should it be over by then, they wait for the refresh too.
    thread::sleep(Duration::from_millis(4100));
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
        let tokens = credentials(world);
        (tokens.is_disjoint(&before) && tokens.len() == 1).then_some(())
    });
    assert_eq!(asked(), 2, "one code, one refresh");
    // Whoever has the right to refresh gives it back, the replica that did it and the one that came too late.
    let held = |kind: &str| world.redis.iter().any(|node| command_at(node, &["--scan"]).contains(kind));
    assert!(held("session:"), "that is how keys are asked for");
    eventually("the next may refresh", Duration::from_secs(10), || (!held("session-refresh:")).then_some(()));
}

#[test]
fn while_redis_is_away_nobody_is_let_in_and_all_are_there_when_it_is_back() {
    let mut world = World::start();
    let (alice, bob) = (world.alice(), world.browser_of("bob", "builder"));
    // One who is on the way back from the issuer meanwhile has to wait, and comes in with the same answer.
    let mut late = Browser { stop_at: Some(world.url("/.tollgate/callback")), ..Browser::default() };
    let page = late.visit(&world.url("/late"));
    let answer = late.sign_in(page, "bob", "builder").url;
    world.redis[0].kill();
    assert_eq!(late.step("GET", &answer, "").status, 503);
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
    world.redis[0].start_again();
    for replica in [&world.first, &world.second] {
        eventually("the store is back", PATIENCE, || world.subject(replica, &alice).is_ok().then_some(()));
        world.upstream.drain();
        let both = [&alice, &bob].map(|browser| world.subject(replica, browser));
        assert_eq!(both, [Ok("user-alice".to_owned()), Ok("user-bob".to_owned())]);
    }
    let back = late.step("GET", &answer, "");
    assert_eq!((back.status, back.header("location")), (303, Some("/late")), "{}", back.text());
}

/// Whichever replica it is brought to; the code is not shown to the issuer a second time.
#[test]
fn an_answer_works_once_over_all_replicas() {
    let world = World::start();
    let mut browser = Browser { stop_at: Some(world.url("/.tollgate/callback")), ..Browser::default() };
    let page = browser.visit(&world.url("/x"));
    let answer = browser.sign_in(page, "alice", "wonderland").url;
    let crumbs: Vec<_> = browser.cookies.iter().map(|((_, name), value)| format!("{name}={value}")).collect();
    assert_eq!(browser.step("GET", &answer, "").status, 303);
    let target = answer.strip_prefix(&world.url("")).expect("the callback");
    let again = Request::get(target).host(&world.address.to_string()).field("Cookie", &crumbs.join("; "));
    let refused = world.second.call(&again);
    assert_eq!((refused.status, refused.head.all("set-cookie").len()), (400, 0), "{}", refused.text());
    let logged = world.second.until("the refusal is in the log", || {
        world.second.access_log().into_iter().find(|line| line["denial"] == "login_failed")
    });
    assert!(logged.to_string().contains("is done, too old"), "{logged}");
}

#[test]
fn what_redis_holds_tells_nothing_and_opens_nothing() {
    let world = World::start();
    let (alice, bob) = (world.alice(), world.browser_of("bob", "builder"));
    let keys = |world: &World| -> Vec<String> {
        let found = command(world, &["--scan"]);
        found.lines().filter(|key| key.contains(":session:")).map(str::to_owned).collect()
    };
    let all = command(&world, &["--scan"]);
    for secret in [&*id(&alice), "user-alice", "alice", &world.authority.to_string()] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let both = keys(&world);
    assert_eq!(both.len(), 2, "{all}");
    for key in &both {
        let value = command(&world, &["GET", key]);
        assert!(value.len() > 100 && !value.contains("user-") && !value.contains("eyJ"), "{value}");
        let life: u64 = command(&world, &["TTL", key]).parse().expect("seconds");
        assert!((1500..=1800).contains(&life), "it ends by itself: {life}");
    }
    // Somebody who can write there exchanges the two, and plants one of his own.
    command(&world, &["RENAME", &both[0], "aside"]);
    command(&world, &["RENAME", &both[1], &both[0]]);
    command(&world, &["RENAME", "aside", &both[1]]);
    let over = OVER.map(str::to_owned).map_err(str::to_owned);
    for replica in [&world.first, &world.second] {
        assert_eq!([&alice, &bob].map(|browser| world.subject(replica, browser)), [over.clone(), over.clone()]);
    }
    command(&world, &["SET", &both[0], "{\"subject\":\"user-alice\"}"]);
    assert_eq!([&alice, &bob].map(|browser| world.subject(&world.second, browser)), [over.clone(), over]);
    assert!(world.upstream.drain().is_empty());
}

/// What was asked, and who the upstream was told is there, or the refusal.
fn told(replica: &Gateway, id: &str) -> String {
    let answer = script(replica, id);
    let document = answer.json();
    let fields = document["fields"].as_array().into_iter().flatten();
    let subject =
        fields.filter(|field| field[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("x-auth-subject")));
    match answer.status {
        200 => subject.map(|field| field[1].as_str().expect("a text")).collect(),
        status => format!("{status} {}", answer.code()),
    }
}

/// Two people go on asking both replicas while Redis dies in the middle of their refreshes, and comes back.
#[test]
fn a_redis_that_dies_among_requests_and_refreshes_mixes_nobody_up() {
    let slow = "token_lifetime = \"5s\"\n[[authority.faults.on]]\nfault = \"slow\"\nat = \"token\"\ndelay = \"500ms\"";
    let mut world = World::with(slow);
    let alice = ("user-alice", id(&world.alice()));
    let people = [alice, ("user-bob", id(&world.browser_of("bob", "builder")))];
    let World { redis, first, second, .. } = &mut world;
    let (first, second) = (&*first, &*second);
    let asked = || first.stderr().matches("a fault was made on purpose").count();
    assert_eq!(asked(), 2, "two codes were redeemed: {}", first.stderr());
    let (over, said) = (AtomicBool::new(false), Mutex::new(BTreeMap::<_, BTreeSet<String>>::new()));
    let everybody = |words: &str| {
        said.lock().expect("no panic while held").clear();
        eventually(words, PATIENCE, || {
            let said = said.lock().expect("no panic while held");
            let all =
                said.iter().filter(|((_, subject), said)| said.contains(*if words == "in" { subject } else { &words }));
            (all.count() == 4).then_some(())
        });
    };
    let ask = |replica: usize, (subject, id): &(&'static str, String)| {
        let begun = uptime();
        // An end of its own, should the test fail meanwhile.
        while !over.load(Ordering::Relaxed) && uptime() - begun < PATIENCE * 3 {
            let told = told([first, second][replica], id);
            assert!([*subject, "503 store_unavailable"].contains(&&*told), "{subject} was told {told}");
            said.lock().expect("no panic while held").entry((replica, *subject)).or_default().insert(told);
        }
    };
    thread::scope(|scope| {
        let asking: Vec<_> = people.iter().flat_map(|one| [0, 1].map(|at| scope.spawn(move || ask(at, one)))).collect();
        everybody("in");
        eventually("a refresh is on its way", PATIENCE, || (asked() > 2).then_some(()));
        redis[0].kill();
        everybody("503 store_unavailable");
        redis[0].start_again();
        everybody("in");
        over.store(true, Ordering::Relaxed);
        asking.into_iter().for_each(|one| one.join().expect("nobody was told anything else"));
    });
    assert!(asked() > 2 && people.iter().all(|(subject, id)| told(second, id) == *subject));
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
        answers.insert((refused.status, refused.code(), refused.text()));
    }
    let only = answers.first().map(|(status, code, _)| (*status, &**code));
    assert_eq!((answers.len(), only), (1, Some((401, "session_expired"))), "{answers:?}");
    assert!(world.upstream.drain().is_empty());
    assert_eq!(script(&world.second, &good).status, 200, "the one that was changed is good");
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
    assert!(listed(&world.first, "/sessions?sub=user-bob&sid=nobody").is_empty());
    let tablet = world.alice();
    let (_, text) = operator(&world.second, "DELETE", "/sessions?sub=user-alice");
    assert!(text.contains("\"ended\": 2"), "{text}");
    assert_eq!([&phone, &tablet].map(|browser| world.subject(&world.first, browser)), [over.clone(), over.clone()]);
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
