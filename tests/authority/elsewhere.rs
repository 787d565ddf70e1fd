//! Forms that a page of another origin posts. Cookies come along from any port of the same host, whatever `SameSite` says,
//! so the browser's own word decides: `Sec-Fetch-Site`, or else `Origin`.

use http::Method;

use super::flows::{Browser, between, encode, request, start, tokens};
use super::harness::Running;

type Header = (&'static str, String);

fn elsewhere() -> Vec<Header> {
    let header = |name, value: &str| (name, value.to_owned());
    vec![
        header("sec-fetch-site", "same-site"),
        header("sec-fetch-site", "cross-site"),
        header("sec-fetch-site", "nonsense"),
        header("origin", "http://127.0.0.1:1"),
        header("origin", "https://evil.example"),
        header("origin", "null"),
        header("origin", ""),
    ]
}

fn here(authority: &Running) -> Vec<Vec<Header>> {
    let origin = ("origin", format!("http://{}", authority.address));
    vec![
        vec![],
        vec![origin.clone()],
        vec![("sec-fetch-site", "same-origin".into()), origin],
        vec![("sec-fetch-site", "none".into())],
    ]
}

fn signed_in(authority: &Running) -> Browser<'_> {
    let browser = Browser::new(authority);
    assert_eq!(browser.go(&request("web", &[])).status, 303);
    browser
}

#[test]
fn another_page_of_the_same_host_cannot_sign_a_person_out() {
    let authority = start();
    let browser = signed_in(&authority);
    let post = |own: &[Header], body: &str| browser.send_with(own, Method::POST, "/logout", body);
    for header in elsewhere() {
        let asked = post(std::slice::from_ref(&header), "action=sign-out");
        assert!(asked.text().contains("<h1>Sign out?</h1>"), "{header:?}: {}", asked.text());
        assert_eq!(browser.authorize(&request("web", &[("prompt", "none")])).status, 303, "{header:?}");
    }
    for own in here(&authority) {
        let browser = signed_in(&authority);
        let gone = browser.send_with(&own, Method::POST, "/logout", "action=sign-out");
        assert!(gone.text().contains("<h1>You are signed out</h1>"), "{own:?}");
    }
    // A client's own page may post its wish (RP-Initiated Logout, section 2): the hint proves more than the origin.
    let id = tokens(&authority, "web", &[])["id_token"].as_str().unwrap().to_owned();
    let wish = encode(&[("id_token_hint", &id), ("post_logout_redirect_uri", "http://127.0.0.1:4999/bye")]);
    let gone = post(&[("sec-fetch-site", "cross-site".into()), ("origin", "https://web.example".into())], &wish);
    assert_eq!((gone.status, gone.header("location")), (303, Some("http://127.0.0.1:4999/bye")));
}

#[test]
fn another_page_cannot_sign_in_or_connect_a_device() {
    let authority = start();
    for header in elsewhere() {
        let browser = Browser::new(&authority);
        let own = std::slice::from_ref(&header);
        let page = browser.authorize(&request("web", &[]));
        let transaction = between(page.text(), "name=\"transaction\" value=\"", "\"");
        let body = encode(&[("transaction", transaction), ("username", "alice"), ("password", "wonderland")]);
        let refused = browser.send_with(own, Method::POST, "/authorize/login", &body);
        assert!(refused.status == 400 && refused.text().contains("another origin"), "{header:?}: {}", refused.text());
        let device = browser.send(Method::GET, "/device", "");
        let mark = between(device.text(), "name=\"mark\" value=\"", "\"");
        let refused = browser.send_with(own, Method::POST, "/device", &encode(&[("mark", mark), ("user_code", "x")]));
        assert!(refused.status == 400 && refused.text().contains("another origin"), "{header:?}: {}", refused.text());
        // The form is good for the one who has it.
        assert!(browser.send(Method::POST, "/authorize/login", &body).text().contains("<h1>Allow access?</h1>"));
    }
}
