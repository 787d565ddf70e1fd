use std::sync::atomic::AtomicI64;

use http::header::COOKIE;
use serde_json::json;

use super::*;

const START: i64 = 1_800_000_000_000;
const IDLE: Duration = Duration::from_secs(1800);
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
const WEB: Of<'static> = Of { login: "web", issuer: "https://i" };

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_millis(START).plus(Duration::from_secs(seconds))
}

fn session(subject: &str, filler: usize) -> Session {
    Session {
        login: "web".into(),
        issuer: "https://i".into(),
        subject: subject.into(),
        sid: Some(format!("sid-{subject}")),
        claims: json!({ "sub": subject, "filler": "x".repeat(filler) }).as_object().cloned().unwrap_or_default(),
        scopes: "openid".into(),
        tokens: Tokens { id: "i.d.t".into(), access: "at".into(), refresh: Some("rt".into()), given: 0, ends: None },
        began: START,
        seen: AtomicI64::new(START),
        refreshes: 0,
    }
}

/// What a browser sends after these Set-Cookie fields.
fn browser(before: &HeaderMap, set: &[HeaderValue]) -> HeaderMap {
    let mut jar: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    let split = |crumb: &str| crumb.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    for field in before.get_all(COOKIE) {
        jar.extend(field.to_str().unwrap().split("; ").filter_map(split));
    }
    for field in set {
        let text = field.to_str().unwrap();
        let (name, value) = split(text.split(';').next().unwrap()).unwrap();
        if text.contains("Max-Age=0") {
            jar.remove(&name)
        } else {
            jar.insert(name, value)
        };
    }
    let mut headers = HeaderMap::new();
    let crumbs: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !crumbs.is_empty() {
        headers.insert(COOKIE, HeaderValue::try_from(crumbs.join("; ")).unwrap());
    }
    headers
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn both() -> [Sessions; 2] {
    let store = Arc::new(Memory::default());
    [Sessions::stored(store, IDLE, LIFETIME), Sessions::sealed(Arc::new(Sealer::new(&[])), IDLE, LIFETIME)]
}

fn find(sessions: &Sessions, headers: &HeaderMap, now: UnixTime) -> Found {
    run(sessions.find(&Jar::new("web", true), WEB, headers, now)).unwrap()
}

#[test]
fn a_session_lives_between_login_and_logout() {
    let (jar, nothing) = (Jar::new("web", true), HeaderMap::new());
    for sessions in both() {
        assert!(matches!(find(&sessions, &nothing, at(0)), Found::Nothing));
        let set = run(sessions.begin(&jar, &nothing, session("al", 0))).unwrap();
        let headers = browser(&nothing, &set);
        let Found::Live(live) = find(&sessions, &headers, at(1)) else { panic!("{headers:?}") };
        assert_eq!((live.session.subject.as_str(), live.cookies.len()), ("al", 0));
        let (ended, set) = run(sessions.end(&jar, WEB, &headers)).unwrap();
        assert_eq!(ended.map(|session| session.subject.clone()).as_deref(), Some("al"));
        assert!(browser(&headers, &set).is_empty(), "the browser has nothing left");
    }
}

#[test]
fn a_session_ends_when_it_is_idle_or_old() {
    let (jar, nothing) = (Jar::new("web", true), HeaderMap::new());
    for sessions in both() {
        let set = run(sessions.begin(&jar, &nothing, session("al", 0))).unwrap();
        let first = browser(&nothing, &set);
        assert!(matches!(find(&sessions, &first, at(1800)), Found::Over));
        let mut headers = first;
        for minute in (20..720).step_by(20) {
            let Found::Live(live) = find(&sessions, &headers, at(minute * 60)) else { panic!("minute {minute}") };
            headers = browser(&headers, &live.cookies);
        }
        assert!(matches!(find(&sessions, &headers, at(720 * 60)), Found::Over));
    }
}

#[test]
fn a_login_has_an_id_of_its_own_and_the_one_before_is_dead() {
    let (jar, nothing) = (Jar::new("web", true), HeaderMap::new());
    let sessions = &both()[0];
    let planted = browser(&nothing, &[jar.set("", "planted", None, SameSite::Lax).unwrap()]);
    let set = run(sessions.begin(&jar, &planted, session("al", 0))).unwrap();
    assert!(matches!(find(sessions, &planted, at(0)), Found::Over), "what was planted never becomes a session");
    let first = browser(&planted, &set);
    let second = browser(&first, &run(sessions.begin(&jar, &first, session("bo", 0))).unwrap());
    assert!(matches!(find(sessions, &first, at(0)), Found::Over));
    assert!(matches!(find(sessions, &second, at(0)), Found::Live(_)));
}

#[test]
fn a_cookie_of_one_login_opens_no_other() {
    let nothing = HeaderMap::new();
    for sessions in both() {
        let set = run(sessions.begin(&Jar::new("web", true), &nothing, session("al", 0))).unwrap();
        let headers = browser(&nothing, &set);
        let text = headers[COOKIE].to_str().unwrap().replace("tollgate-web", "tollgate-other");
        let moved = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(text).unwrap())]);
        let found = run(sessions.find(&Jar::new("other", true), Of { login: "other", ..WEB }, &moved, at(0))).unwrap();
        assert!(matches!(found, Found::Over));
    }
}

/// A configuration may send a login to another issuer, and gateways that share a key may have logins of one name.
#[test]
fn a_session_counts_at_its_issuer_alone() {
    let (jar, nothing, elsewhere) = (Jar::new("web", true), HeaderMap::new(), Of { issuer: "https://j", ..WEB });
    for sessions in both() {
        let headers = browser(&nothing, &run(sessions.begin(&jar, &nothing, session("al", 0))).unwrap());
        assert!(matches!(run(sessions.find(&jar, elsewhere, &headers, at(0))).unwrap(), Found::Over));
        assert!(matches!(find(&sessions, &headers, at(0)), Found::Live(_)));
        let (ended, set) = run(sessions.end(&jar, elsewhere, &headers)).unwrap();
        assert!(ended.is_none(), "its tokens are not for another issuer");
        assert!(browser(&headers, &set).is_empty(), "the browser has nothing left");
    }
}

#[test]
fn large_sessions_are_split_and_too_large_ones_are_refused() {
    let (jar, nothing) = (Jar::new("web", true), HeaderMap::new());
    let sessions = &both()[1];
    let mut headers = nothing.clone();
    for (filler, pieces) in [(0, 1), (6000, 3), (2000, 1), (4000, 2)] {
        let set = run(sessions.begin(&jar, &headers, session("al", filler))).unwrap();
        headers = browser(&headers, &set);
        let Found::Live(live) = find(sessions, &headers, at(0)) else { panic!("{filler}") };
        assert_eq!(live.session.claims["filler"].as_str().map(str::len), Some(filler));
        assert_eq!(headers[COOKIE].to_str().unwrap().matches("__Host-").count(), pieces, "{filler}");
        for set in &set {
            assert!(set.len() <= 4096, "browsers take it");
        }
    }
    let error = run(sessions.begin(&jar, &nothing, session("al", 9000))).unwrap_err();
    assert!(matches!(error, KeepError::TooLarge { .. }), "{error}");
}

#[test]
fn hostile_cookies_are_no_session_and_all_the_same() {
    let (jar, nothing) = (Jar::new("web", true), HeaderMap::new());
    let sessions = &both()[1];
    let set = run(sessions.begin(&jar, &nothing, session("al", 4000))).unwrap();
    let good = browser(&nothing, &set)[COOKIE].to_str().unwrap().to_owned();
    let second = good.split("; ").nth(1).unwrap();
    let value = good.split_once("-0=2.").unwrap().1.split(';').next().unwrap();
    let with_count = |count: &str| good.replacen("-0=2.", &format!("-0={count}."), 1);
    let mut cases = vec![
        "__Host-tollgate-web-0=".to_owned(),
        "__Host-tollgate-web-0=99999999.x".to_owned(),
        format!("__Host-tollgate-web-0=1.{value}"),
        format!("{good}; {second}"),
        format!("{good}; __Host-tollgate-web-0=2.x"),
        good.replace("tollgate-web-1", "tollgate-web-2"),
    ];
    cases.extend(["0", "1", "3", "4", "99999999", "-1", "+2", "", "2.2"].map(with_count));
    for at in (0..good.len()).step_by(97) {
        let mut bytes = good.clone().into_bytes();
        if bytes[at].is_ascii_alphanumeric() && good[..at].contains('.') {
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            cases.push(String::from_utf8(bytes).unwrap());
        }
    }
    for case in cases {
        if case == good {
            continue;
        }
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(case.clone()).unwrap())]);
        let found = find(sessions, &headers, at(0));
        let renamed = !case.contains("web-0=") || !case.contains("web-1=");
        assert!(matches!(found, Found::Over) || renamed && matches!(found, Found::Nothing), "{case}: {found:?}");
    }
}

#[test]
fn somebody_s_sessions_end_by_subject_or_sid() {
    let (jar, nothing) = (Jar::new("web", true), HeaderMap::new());
    let sessions = &both()[0];
    let who = |issuer: &str, subject: Option<&str>, sid: Option<&str>| Who {
        issuer: issuer.into(),
        subject: subject.map(str::to_owned),
        sid: sid.map(str::to_owned),
    };
    for subject in ["al", "al", "bo"] {
        run(sessions.begin(&jar, &nothing, session(subject, 0))).unwrap();
    }
    let end = |who: &Who| run(sessions.end_all(who)).unwrap();
    assert_eq!(end(&who("https://other", Some("al"), None)), Some(0));
    assert_eq!(end(&who("https://i", None, None)), Some(0), "nobody is not everybody");
    assert_eq!(end(&who("https://i", Some("bo"), Some("sid-al"))), Some(0));
    assert_eq!(run(sessions.list(&who("https://i", Some("al"), None))).unwrap().map(|all| all.len()), Some(2));
    assert_eq!(end(&who("https://i", None, Some("sid-bo"))), Some(1));
    assert_eq!(end(&who("https://i", Some("al"), None)), Some(2));
    assert_eq!(run(both()[1].end_all(&who("https://i", Some("al"), None))).unwrap(), None, "nobody can");
}

#[test]
fn a_session_that_ended_does_not_come_back_by_a_refresh() {
    let (jar, nothing) = (Jar::new("web", true), HeaderMap::new());
    let sessions = &both()[0];
    let headers = browser(&nothing, &run(sessions.begin(&jar, &nothing, session("al", 0))).unwrap());
    let Found::Live(live) = find(sessions, &headers, at(0)) else { panic!() };
    let renewed = Arc::new(Session { refreshes: 1, ..session("al", 0) });
    assert!(run(sessions.renew(&jar, live.place, Arc::clone(&renewed))).unwrap().is_some());
    assert!(run(sessions.renew(&jar, live.place, Arc::clone(&renewed))).unwrap().is_none(), "another was first");
    run(sessions.end(&jar, WEB, &headers)).unwrap();
    assert!(run(sessions.renew(&jar, live.place, renewed)).unwrap().is_none());
    assert!(matches!(find(sessions, &headers, at(0)), Found::Over));
}
