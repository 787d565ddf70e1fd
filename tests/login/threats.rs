//! What went wrong in other gateways' logins, part two: what strangers send, in every shape.

use super::support::browser::Browser;
use super::support::world::Setting;
use super::{World, answer_for, script};

/// mod_auth_openidc CVE-2025-31492: what was protected went out when the answer to a POST was the way to the login.
#[test]
fn nothing_of_a_stranger_reaches_the_upstream() {
    let setting = Setting { login: "response_mode = \"form_post\"", tls: true, ..Setting::default() };
    for world in [World::start(), World::set(setting)] {
        sends_nothing_up(&world);
    }
}

#[track_caller]
fn sends_nothing_up(world: &World) {
    let kinds: [&[(&str, &str)]; 4] = [
        &[("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html")],
        &[("Sec-Fetch-Mode", "cors")],
        &[("Cookie", "tollgate-web=x; tollgate-web-0=x; tollgate-web-tx-x=x")],
        &[("Content-Type", "application/x-www-form-urlencoded")],
    ];
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] {
        for fields in kinds {
            for target in ["/x", "/x?code=c&state=s", "/.tollgate/callback?code=c&state=s", "/.tollgate/session"] {
                let answer = Browser::default().send(method, &world.url(target), fields, "code=c&state=s");
                assert!(!(200..300).contains(&answer.status), "{method} {target} {fields:?}: {}", answer.status);
            }
        }
    }
    assert!(world.upstream.seen().is_empty(), "nothing reached the upstream");
}

/// mod_auth_openidc, August 2026: which of two values counts must not be a matter of who reads.
#[test]
fn an_answer_with_a_repeated_parameter_is_refused() {
    let (world, mut browser) = (World::start(), Browser::default());
    let good = answer_for(&world, &mut browser, "/x");
    let cookies = browser.cookies.clone();
    let query = good.split_once('?').expect("an answer").1;
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(pairs.len(), 3, "code, state and iss: {query}");
    let doubled = pairs.iter().map(|(name, value)| format!("{good}&{name}={value}"));
    let errors = ["error=a&error=a", "error_description=a&error_description=b"].map(|twice| format!("{good}&{twice}"));
    for url in doubled.chain(errors) {
        let mut browser = Browser { cookies: cookies.clone(), ..Browser::default() };
        assert_eq!(browser.step("GET", &url, "").status, 400, "{url}");
        assert_eq!(World::session_cookie(&browser), None, "{url}");
    }
    let mut browser = Browser { cookies, ..Browser::default() };
    assert_eq!(browser.step("GET", &good, "").status, 303, "the answer was good all along");
}

/// mod_auth_openidc, May 2026: an empty `iss` was read out of bounds.
#[test]
fn no_parameter_of_an_own_path_breaks_it() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.log_in(&mut browser, "/x");
    world.upstream.drain();
    let mut stranger = Browser::default();
    let (long, deep) = (format!("/{}", "a".repeat(6000)), "[".repeat(3000));
    let values = [
        "",
        "%",
        "%00",
        "%zz",
        "%ff%fe",
        "null",
        "..",
        "//",
        "%5C",
        "%0d%0aSet-Cookie:%20x=y",
        "%F0%9F%9A%AA",
        "'\"<>",
        "eyJhbGciOiJub25lIn0.e30.",
        "....",
        "-1",
        "99999999999999999999",
        &long,
        &deep,
    ];
    let names = [
        "return_to",
        "login",
        "code",
        "state",
        "iss",
        "sid",
        "error",
        "error_description",
        "logout_token",
        "id_token",
        "access_token",
        "target_link_uri",
        "login_hint",
        "session_state",
        "acr_values",
        "max_age",
    ];
    let paths = ["login", "callback", "logged-out", "session", "frontchannel-logout", "backchannel-logout", "logout"];
    let (alone, iss) = (String::new(), format!("http://{}", world.authority));
    // With what else belongs there, so that the odd value is looked at.
    let usual = [("iss", &*iss), ("sid", "s"), ("state", "s"), ("code", "c"), ("return_to", "/x"), ("login", "web")];
    let cases = paths.iter().flat_map(|path| names.iter().map(move |name| (path, name)));
    for ((path, name), value) in cases.flat_map(|case| values.map(|value| (case, value))) {
        let url = world.url(&format!("/.tollgate/{path}"));
        let others = usual.iter().filter(|(other, _)| other != name);
        let company = others.map(|(other, value)| format!("&{other}={value}")).collect::<String>();
        for company in [&alone, &company] {
            let form = format!("{name}={value}{company}");
            let query = form.replace(['"', '<', '>'], "%22");
            for (method, form) in [("GET", ""), ("POST", &*form)] {
                let answer = stranger.step(method, &format!("{url}?{query}"), form);
                assert!(answer.status < 500, "{method} {path} {form} {query}: {}", answer.status);
                assert!(answer.head.all("set-cookie").iter().all(|set| !set.starts_with("x=y")), "{path} {query}");
            }
            stranger.cookies.clear();
        }
    }
    assert_eq!(script(&world, &mut browser, "/x").status, 200, "who was logged in still is");
    assert_eq!(world.upstream.drain().len(), 1);
    assert!(!world.gateway.stderr().contains("panicked"), "{}", world.gateway.stderr());
}
