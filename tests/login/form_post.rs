//! `response_mode = "form_post"`: the answer comes by a POST from another site, in the body and nowhere else.

use super::World;
use super::support::browser::Browser;
use super::support::client::{Request, Response};
use super::support::foreign::{Foreign, Mode, values};
use super::support::tls;

/// The attributes of the one cookie that is set with a name like this.
#[track_caller]
fn attributes(response: &Response, name: &str) -> Vec<String> {
    let sets = response.head.all("set-cookie");
    let set = sets.iter().find(|set| set.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {sets:?}"));
    set.split("; ").skip(1).map(str::to_owned).collect()
}

/// Sends something to the callback as it is, with the cookies of the browser.
fn post(world: &Foreign, browser: &Browser, query: &str, kind: &str, body: &str) -> Response {
    let crumbs: Vec<_> = browser.cookies.iter().map(|((_, name), value)| format!("{name}={value}")).collect();
    let request = Request::new("POST", &format!("/.tollgate/callback{query}"))
        .host(&world.address.to_string())
        .field("Cookie", &crumbs.join("; "))
        .field("Content-Type", kind)
        .body(body.as_bytes());
    let (mut conn, _) =
        tls::connect(world.address, "127.0.0.1", &tls::client(&["http/1.1"], None)).expect("a handshake");
    conn.call(&request)
}

#[test]
fn only_the_cookie_of_the_login_on_its_way_comes_along_from_other_sites() {
    let (world, mut browser) = (Foreign::start(Mode::FormPost), Browser::default());
    let sent = browser.step("GET", &world.url("/x"), "");
    let lax = |lax: &str| ["Path=/", "HttpOnly", "Secure", lax].map(str::to_owned);
    let mut way = attributes(&sent, "__Host-tollgate-web-tx-");
    way.retain(|attribute| attribute != "Max-Age=600");
    assert_eq!(sorted(way), sorted(lax("SameSite=None").to_vec()));
    let back = world.log_in(&mut browser);
    assert_eq!((back.status, back.header("location")), (303, Some("/x")), "{}", back.text());
    assert_eq!(sorted(attributes(&back, "__Host-tollgate-web=")), sorted(lax("SameSite=Lax").to_vec()));
    assert_eq!(browser.step("GET", &world.url("/x"), "").status, 200);
    let plain = Foreign::start(Mode::Query);
    let sent = Browser::default().step("GET", &plain.url("/x"), "");
    let way = attributes(&sent, "tollgate-web-tx-");
    assert!(way.contains(&"SameSite=Lax".to_owned()) && !way.contains(&"Secure".to_owned()), "{way:?}");
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

#[test]
fn an_answer_in_the_url_is_none() {
    let (world, mut browser) = (Foreign::start(Mode::FormPost), Browser::default());
    let asked = world.ask(&mut browser, "/x");
    let answer = format!("code=c&state={}", values(&asked, "state")[0]);
    let refused = browser.step("GET", &world.url(&format!("/.tollgate/callback?{answer}")), "");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")));
    let form = "application/x-www-form-urlencoded";
    for (query, kind, body) in [
        (format!("?{answer}"), form, ""),
        (format!("?{answer}"), form, "x=y"),
        (String::new(), "application/json", &*answer),
        (String::new(), "text/plain", &answer),
        (String::new(), "multipart/form-data; boundary=x", &answer),
        (String::new(), form, &format!("{answer}&padding={}", "x".repeat(70_000))),
        (String::new(), form, &format!("{answer}&code=d")),
    ] {
        let refused = post(&world, &browser, &query, kind, body);
        assert_eq!(refused.status, 400, "{query} {kind}: {}", refused.text());
        assert!(refused.head.all("set-cookie").iter().all(|set| !set.starts_with("__Host-tollgate-web=")));
    }
    assert!(world.provider.asked("/token").is_empty() && world.upstream.seen().is_empty());
    let good = post(&world, &browser, "", "application/x-www-form-urlencoded; charset=UTF-8", &answer);
    assert_eq!(good.status, 303, "and it was good all along: {}", good.text());
}

/// Where the cookie was held back, as for SameSite=Lax, there is a page that says what to do, and no loop.
#[test]
fn an_answer_without_its_cookie_is_refused() {
    let (world, mut browser) = (Foreign::start(Mode::FormPost), Browser::default());
    let asked = world.ask(&mut browser, "/x");
    browser.for_other_sites.clear();
    let refused = world.come_back(&mut browser, &asked);
    assert_eq!((refused.status, refused.header("location")), (400, None));
    assert!(refused.text().contains("login_failed"), "{}", refused.text());
    assert_eq!(World::session_cookie(&browser), None);
}
