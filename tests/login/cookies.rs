//! Cookies that are not what we made: flipped, cut, counted wrong, mixed, too many, too large. All of them are one and the same
//! to whoever sent them, and none costs much.

use std::collections::BTreeSet;
use std::time::Duration;

use super::support::browser::Browser;
use super::support::client::{Conn, Request, Response};
use super::support::upstream::{Upstream, respond};
use super::support::uptime;
use super::support::world::Setting;
use super::{World, answer_for, script};

const SEALED: &str = "[sessions]\nstore = \"cookie\"\nkey = \"0123456789abcdef0123456789abcdef\"";

/// Whoever the authority says more of than of others; it is in the access token, so in the session.
fn with_users(sizes: &[(&str, usize)]) -> String {
    let user = |(name, size): &(&str, usize)| {
        let claim = "x".repeat(*size);
        format!(
            "[[authority.users]]\nname = \"{name}\"\npassword = \"{name}\"\nclaims = {{ \"much\" = \"{claim}\" }}\n"
        )
    };
    format!("{SEALED}\n{}", sizes.iter().map(user).collect::<String>())
}

#[track_caller]
fn log_in(world: &World, browser: &mut Browser, name: &str, password: &str) -> Response {
    let page = browser.visit(&world.url("/x"));
    assert!(page.url.starts_with(&world.at_authority("")), "{}", page.url);
    browser.sign_in(page, name, password).response
}

/// Browsers send what an application has set as it is, in one field with ours.
#[test]
fn a_cookie_of_an_application_that_is_not_ascii_locks_nobody_out() {
    for sessions in ["", SEALED] {
        let (world, mut browser) = (World::with("", sessions), Browser::default());
        log_in(&world, &mut browser, "alice", "wonderland");
        world.upstream.drain();
        let ours = written(&pieces(&browser));
        let request = Request::get("/x").host(&world.address.to_string());
        let answer = request.field("Cookie", &format!("name=José; {ours}; größe=1")).send(world.address);
        assert_eq!(answer.status, 200, "{sessions}: {}", world.gateway.logs());
        assert_eq!(world.upstream.only().header("cookie"), Some("name=José; größe=1"));
    }
}

/// The names and values of the cookies of the session.
fn pieces(browser: &Browser) -> Vec<(String, String)> {
    let of_session = |name: &str| {
        name.strip_prefix("tollgate-web").is_some_and(|rest| matches!(rest, "" | "-0" | "-1" | "-2" | "-3"))
    };
    let all = browser.cookies.iter().filter(|((_, name), _)| of_session(name));
    all.map(|((_, name), value)| (name.clone(), value.clone())).collect()
}

fn written(pieces: &[(String, String)]) -> String {
    pieces.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

/// One answer as its receiver sees it, but for its time and its number.
fn seen(answer: &Response) -> String {
    let fields = answer.head.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("date"));
    let text = answer.text();
    let text = match text.split_once("reference ") {
        Some((before, after)) => format!("{before}reference ########{}", &after[8..]),
        None => text,
    };
    format!("{} {:?} {text}", answer.status, fields.collect::<Vec<_>>())
}

fn flipped(value: &str, at: usize) -> String {
    let mut bytes = value.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("ASCII")
}

/// Every value with one character changed, and some that are cut.
fn spoilt(value: &str) -> impl Iterator<Item = String> {
    let cut = (0..value.len()).step_by(31).map(|at| value[..at].to_owned());
    (0..value.len()).map(|at| flipped(value, at)).chain(cut).collect::<Vec<_>>().into_iter()
}

/// Requests over one connection, with these cookies.
struct Asker<'w> {
    world: &'w World,
    conn: Conn,
}

impl<'w> Asker<'w> {
    fn new(world: &'w World) -> Self {
        Self { world, conn: Conn::open(world.address) }
    }

    fn ask(&mut self, path: &str, cookies: &str) -> Response {
        let request = Request::get(path).host(&self.world.address.to_string()).field("Cookie", cookies);
        self.conn.call(&request.field("Sec-Fetch-Mode", "cors"))
    }
}

#[test]
fn a_session_s_cookie_with_any_byte_changed_gets_one_and_the_same_answer() {
    for sessions in ["", SEALED] {
        let world = World::with("", sessions);
        let mut browser = Browser::default();
        assert_eq!(log_in(&world, &mut browser, "alice", "wonderland").status, 200);
        let good = pieces(&browser);
        assert_eq!(good.len(), 1, "{good:?}");
        let (name, value) = &good[0];
        let mut asker = Asker::new(&world);
        let answers: BTreeSet<String> =
            spoilt(value).map(|bad| seen(&asker.ask("/x", &format!("{name}={bad}")))).collect();
        assert!(answers.len() == 1 && answers.iter().all(|seen| seen.contains("session_expired")), "{answers:?}");
        assert_eq!(asker.ask("/x", &written(&good)).status, 200, "it was good all along");
    }
}

#[test]
fn the_cookie_of_a_login_on_its_way_with_any_byte_changed_gets_one_and_the_same_answer() {
    let (world, mut browser) = (World::start(), Browser::default());
    let answer = answer_for(&world, &mut browser, "/x");
    let path = answer.strip_prefix(&world.url("")).expect("the callback");
    let on_its_way = |((_, name), _): &(&(String, String), &String)| name.starts_with("tollgate-web-tx-");
    let ((_, name), good) = browser.cookies.iter().find(on_its_way).expect("a login on its way");
    let mut asker = Asker::new(&world);
    let answers: BTreeSet<String> = spoilt(good).map(|bad| seen(&asker.ask(path, &format!("{name}={bad}")))).collect();
    assert!(answers.len() == 1 && answers.iter().all(|seen| seen.starts_with("400 ")), "{answers:?}");
    assert_eq!(asker.ask(path, &format!("{name}={good}")).status, 303, "it was good all along");
}

#[test]
fn a_session_is_split_over_cookies_that_browsers_take() {
    let world = World::with("", &with_users(&[("much", 3600), ("more", 3700), ("most", 9000)]));
    let mut browser = Browser::default();
    assert_eq!(log_in(&world, &mut browser, "much", "much").status, 200);
    let much = pieces(&browser);
    let names: Vec<&str> = much.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["tollgate-web-0", "tollgate-web-1", "tollgate-web-2"]);
    let attributes = "; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=600".len();
    assert!(much.iter().all(|(name, value)| name.len() + value.len() + attributes + 8 <= 4096), "{much:?}");
    assert_eq!(world.upstream.only().header("cookie"), None);
    let mut other = Browser::default();
    assert_eq!(log_in(&world, &mut other, "more", "more").status, 200);
    let more = pieces(&other);
    // Without a piece, with one twice, in another order, or with one of somebody else's.
    let mut wrong = Vec::new();
    for at in 0..much.len() {
        wrong.push(written(&[&much[..at], &much[at + 1..]].concat()));
        wrong.push(written(&[&much[..], &[much[at].clone()]].concat()));
        let mut mixed = much.clone();
        mixed[at].1.clone_from(&more[at].1);
        wrong.push(written(&mixed));
        let mut turned = much.clone();
        (turned[at].1, turned[(at + 1) % 3].1) = (much[(at + 1) % 3].1.clone(), much[at].1.clone());
        wrong.push(written(&turned));
    }
    let mut asker = Asker::new(&world);
    // Without its first piece there is no session to speak of.
    assert_eq!(asker.ask("/x", &wrong.remove(0)).code(), "no_credential");
    let answers: BTreeSet<String> = wrong.iter().map(|cookies| seen(&asker.ask("/x", cookies))).collect();
    assert!(answers.len() == 1 && answers.iter().all(|seen| seen.contains("session_expired")), "{answers:?}");
    // Two persons who come by one connection, so to one worker, are two.
    world.upstream.drain();
    for good in [&much, &more, &much] {
        assert_eq!(asker.ask("/x", &written(good)).status, 200);
    }
    let seen = world.upstream.drain();
    let subjects: Vec<_> = seen.iter().map(|seen| seen.header("x-auth-subject").expect("a subject")).collect();
    assert!(subjects[0] != subjects[1] && subjects[0] == subjects[2], "{subjects:?}");
    // A smaller session leaves nothing of a larger one behind.
    let page = browser.visit(&world.url("/.tollgate/login?return_to=%2Fx&max_age=0"));
    assert_eq!(browser.sign_in(page, "alice", "wonderland").response.status, 200);
    assert_eq!(pieces(&browser).len(), 1, "{:?}", pieces(&browser));
    // Nor does a logout.
    assert_eq!(other.step("POST", &world.url("/.tollgate/logout"), "").status, 303);
    assert_eq!(pieces(&other), []);
    assert_eq!(script(&world, &mut browser, "/x").status, 200);
    // And there is a limit.
    let mut browser = Browser::default();
    let page = log_in(&world, &mut browser, "most", "most");
    assert!(page.status == 502 && page.text().contains("more of you than can be kept here"), "{}", page.text());
    assert_eq!(pieces(&browser), []);
    world.gateway.until("the log says how much", || {
        let log = world.gateway.access_log();
        log.into_iter().find(|line| line.to_string().contains("11400 fit into cookies"))
    });
}

/// mod_auth_openidc CVE-2024-24814 and CVE-2023-28625: counts of pieces and empty pieces took the server down.
#[test]
fn odd_counts_and_heaps_of_cookies_are_refused_at_once() {
    let world = World::with("", SEALED);
    let (mut asker, mut answers, began) = (Asker::new(&world), BTreeSet::new(), uptime());
    let counts =
        ["0", "-1", "2", "3", "4", "9", "01", "1e1", "+1", " 1", "99999999", "99999999999999999999999", "", "x"];
    for count in counts {
        answers.insert(seen(&asker.ask("/x", &format!("tollgate-web-0={count}.AAAA"))));
        answers.insert(seen(&asker.ask("/x", &format!("tollgate-web-0={count}.; tollgate-web-1=; tollgate-web-2="))));
        answers.insert(seen(&asker.ask("/x", &format!(";;=; tollgate-web-0={count}; =;;"))));
    }
    let heap = |name: &str| (0..200).map(|number| format!("{name}{number}=1.AAAA; ")).collect::<String>();
    answers.insert(seen(&asker.ask("/x", &heap("tollgate-web-"))));
    answers.insert(seen(&asker.ask("/x", &format!("{}tollgate-web-0=1.A", heap("tollgate-web-tx-")))));
    answers.insert(seen(&asker.ask("/x", &format!("tollgate-web-0=3.{}", "A".repeat(40_000)))));
    assert!(answers.len() == 1 && answers.iter().all(|seen| seen.contains("session_expired")), "{answers:?}");
    assert_eq!(asker.ask("/x", &heap("a")).code(), "no_credential");
    assert_eq!(asker.ask("/x", &";;=;".repeat(2000)).code(), "no_credential");
    let large = Request::get("/x").host(&world.address.to_string()).field("Cookie", &"a=b; ".repeat(20_000));
    let large = large.send(world.address).status;
    assert!((400..500).contains(&large), "{large}");
    assert!(uptime() - began < Duration::from_secs(5), "{:?}", uptime() - began);
    assert!(world.upstream.seen().is_empty());
}

/// Cookies of logins that never ended, as of a page that opens one after the other: the head of no answer grows with them.
#[test]
fn a_browser_with_heaps_of_logins_on_their_way_can_still_log_in() {
    let (world, mut browser) = (World::start(), Browser::default());
    let host = world.address.ip().to_string();
    for number in 0..200 {
        browser.cookies.insert((host.clone(), format!("tollgate-web-tx-{number:03}")), "x".repeat(200));
    }
    let held = |browser: &Browser| browser.cookies.keys().filter(|(_, name)| name.contains("-tx-")).count();
    let first = browser.step("GET", &world.url("/x"), "");
    let set = first.head.all("set-cookie");
    assert!(first.status == 303 && set.len() <= 20, "{} Set-Cookie fields", set.len());
    assert!(held(&browser) < 200, "some are taken away with each login");
    let page = world.log_in(&mut browser, "/x");
    assert_eq!(page.response.status, 200);
}

/// Caches that people share keep no answer to `Authorization` unless they are told that they may (RFC 9111 section 3.5); to a
/// session's cookie none either.
#[test]
fn no_shared_cache_keeps_what_a_session_opened() {
    const CASES: [(&str, &[&str]); 9] = [
        ("", &["private"]),
        ("max-age=60", &["max-age=60", "private"]),
        ("no-cache", &["no-cache", "private"]),
        ("max-age=60, Private", &["max-age=60, Private"]),
        ("private=\"x-a\"", &["private=\"x-a\""]),
        ("no-store", &["no-store"]),
        ("public, max-age=60", &["public, max-age=60"]),
        ("s-maxage=60", &["s-maxage=60"]),
        ("must-revalidate", &["must-revalidate"]),
    ];
    let application = Upstream::start(|seen, conn| {
        let case = seen.target.rsplit('=').next().and_then(|number| number.parse::<usize>().ok());
        let fields = case.map(|case| CASES[case].0).filter(|told| !told.is_empty());
        respond(conn, 200, &fields.map(|told| format!("Cache-Control: {told}\r\n")).unwrap_or_default(), "x")
    });
    let open =
        "[[routes]]\nname = \"open\"\npath = \"/open\"\nupstream = \"app\"\nlogin = \"web\"\naccess = \"optional\"";
    let setting = Setting { application: Some(application), rest: open, ..Setting::default() };
    let (world, mut browser) = (World::set(setting), Browser::default());
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    for (case, (told, becomes)) in CASES.iter().enumerate() {
        let answer = script(&world, &mut browser, &format!("/x?case={case}"));
        assert_eq!((answer.status, answer.head.all("cache-control")), (200, becomes.to_vec()), "{told}");
        let as_it_was: &[&str] = if told.is_empty() { &[] } else { &[told] };
        for path in ["/public", "/open"] {
            let open = script(&world, &mut Browser::default(), &format!("{path}?case={case}"));
            assert_eq!((open.status, open.head.all("cache-control")), (200, as_it_was.to_vec()), "{path}: {told}");
        }
    }
}
