//! What single-page applications ask the gateway: who is logged in, to renew that, and where a person can log in.

use super::support::browser::Browser;
use super::support::client::Response;
use super::support::{PATIENCE, eventually};
use super::{World, script};

/// A script of the page at this path asks for its session, or to renew it.
fn session(world: &World, browser: &mut Browser, method: &str, page: &str) -> Response {
    let fields = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin"), ("Referer", page)];
    browser.send(method, &world.url("/.tollgate/session"), &fields, "")
}

/// The token that goes up for this browser.
fn bearer(world: &World, browser: &mut Browser) -> String {
    world.upstream.drain();
    assert_eq!(script(world, browser, "/reader").status, 200);
    world.upstream.only().header("authorization").expect("the route passes it").to_owned()
}

#[test]
fn who_is_not_logged_in_is_told_where_to_and_comes_back_to_the_page() {
    let (world, mut browser) = (World::start(), Browser::default());
    let (page, evil) = (world.url("/app?tab=2"), format!("{}.evil.example/x", world.url("")));
    for (from, back) in [(&*page, "%2Fapp%3Ftab%3D2"), ("https://evil.example/x", "%2F"), (&evil, "%2F"), ("", "%2F")] {
        for method in ["GET", "POST"] {
            let answer = session(&world, &mut browser, method, from);
            assert_eq!((answer.status, answer.code()), (401, "no_credential".into()), "{method} {from}");
            assert_eq!(answer.json()["login"], world.url(&format!("/.tollgate/login?login=web&return_to={back}")));
            assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")));
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains("log in at the URL"), "a token would be of no use: {detail}");
        }
    }
    let fields = [("Sec-Fetch-Mode", "cors"), ("Referer", &*page)];
    let called = browser.send("GET", &world.url("/api/orders"), &fields, "");
    let url = called.json()["login"].as_str().expect("a URL").to_owned();
    assert!(url.ends_with("return_to=%2Fapp%3Ftab%3D2"), "a call of the API leads to its page: {url}");
    let at_issuer = browser.visit(&url);
    assert_eq!(browser.sign_in(at_issuer, "alice", "wonderland").url, page);
}

/// No server sees what stands behind the `#`: the page appends it to where it is told to go.
#[test]
fn a_page_with_its_routes_behind_the_number_sign_comes_back_to_the_same_one() {
    let (world, mut browser) = (World::start(), Browser::default());
    let fields = [("Sec-Fetch-Mode", "cors"), ("Referer", &*world.url("/app"))];
    let refused = browser.send("GET", &world.url("/api/orders"), &fields, "");
    let url = format!("{}%23%2Forders%2F7", refused.json()["login"].as_str().expect("a URL"));
    let at_issuer = browser.visit(&url);
    assert_eq!(browser.sign_in(at_issuer, "alice", "wonderland").url, world.url("/app#/orders/7"));
    let elsewhere = world.url("/.tollgate/login?return_to=%2F.tollgate%2Flogin%23%2F");
    let mut browser = Browser::default();
    let at_issuer = browser.visit(&elsewhere);
    assert_eq!(browser.sign_in(at_issuer, "alice", "wonderland").url, world.url("/"), "never to a path of the gateway");
}

/// A person who goes from page to page wants the next one, not the one that led there.
#[test]
fn a_visit_comes_back_to_what_was_visited_and_not_to_the_page_before() {
    let (world, mut browser) = (World::start(), Browser::default());
    let page = world.url("/app");
    let fields = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "same-origin"), ("Referer", &*page)];
    let ahead = browser.send("GET", &world.url("/x?y=z"), &[&fields[..], &[("Sec-Purpose", "prefetch")]].concat(), "");
    assert_eq!(ahead.status, 401);
    assert!(ahead.text().contains("return_to=%2Fx%3Fy%3Dz\""), "{}", ahead.text());
    let sent = browser.send("GET", &world.url("/x?y=z"), &fields, "");
    let at_issuer = browser.visit(sent.header("location").expect("the issuer"));
    assert_eq!(browser.sign_in(at_issuer, "alice", "wonderland").url, world.url("/x?y=z"));
}

#[test]
fn with_several_logins_the_person_is_asked_which() {
    let other = "[logins.other]\nissuer = \"main\"\nclient_id = \"other\"\npublic_url = \"http://@address\"\n\
                 callback = \"/.tollgate/callback/other\"";
    let (world, mut browser) = (World::with(other, ""), Browser::default());
    let page = world.url("/app");
    let answer = session(&world, &mut browser, "GET", &page);
    assert_eq!(answer.json()["login"], world.url("/.tollgate/login?return_to=%2Fapp"));
    let chooser = browser.visit(&world.url("/.tollgate/login?return_to=%2Fapp"));
    assert!(chooser.response.text().contains("Where do you have your account?"));
}

#[test]
fn asking_for_the_session_renews_it_when_it_is_due() {
    let (world, mut browser) = (World::with("", "token_lifetime = \"2s\""), Browser::default());
    world.log_in(&mut browser, "/x");
    assert_eq!(session(&world, &mut browser, "GET", "").status, 200);
    // Nothing else is asked here, so it is this request that the refusal comes to.
    world.order("fault=invalid_grant&at=refresh");
    let over = eventually("the refresh is refused", PATIENCE, || {
        let answer = session(&world, &mut browser, "GET", "");
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((over.status, over.code()), (401, "session_expired".into()));
}

#[test]
fn a_page_may_renew_its_session_but_not_all_the_time() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.log_in(&mut browser, "/x");
    let first = bearer(&world, &mut browser);
    assert_eq!(session(&world, &mut browser, "POST", "").json()["sub"], "user-alice");
    assert_eq!(bearer(&world, &mut browser), first, "it is new already");
    world.order("fault=missing_claims&at=refreshed_id_token");
    eventually("another token goes up", PATIENCE, || {
        assert_eq!(session(&world, &mut browser, "GET", "").status, 200);
        assert_eq!(bearer(&world, &mut browser), first, "it is not due: only who asks for it gets it");
        assert_eq!(session(&world, &mut browser, "POST", "").status, 200);
        (bearer(&world, &mut browser) != first).then_some(())
    });
    assert_eq!(script(&world, &mut browser, "/acr").code(), "claim_refused", "what the issuer says now counts");
}

/// An issuer need not say how long a token lasts; when it was given is known all the same.
#[test]
fn tokens_without_an_end_are_not_renewed_all_the_time_either() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.order("fault=missing_expires_in&at=token");
    world.order("fault=missing_expires_in&at=refresh");
    world.log_in(&mut browser, "/x");
    let first = bearer(&world, &mut browser);
    for _ in 0..5 {
        assert_eq!(session(&world, &mut browser, "POST", "").status, 200);
    }
    assert_eq!(bearer(&world, &mut browser), first, "it is new already");
    let second = eventually("another token goes up", PATIENCE, || {
        assert_eq!(session(&world, &mut browser, "POST", "").status, 200);
        Some(bearer(&world, &mut browser)).filter(|token| *token != first)
    });
    assert_eq!(session(&world, &mut browser, "POST", "").status, 200);
    assert_eq!(bearer(&world, &mut browser), second, "nor is the next one");
}

#[test]
fn no_other_site_renews_a_session() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.log_in(&mut browser, "/x");
    let url = world.url("/.tollgate/session");
    let cases: [&[(&str, &str)]; 3] = [
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", "https://evil.example")],
    ];
    for fields in cases {
        let refused = browser.send("POST", &url, fields, "");
        assert_eq!((refused.status, refused.code()), (403, "cross_site".into()), "{fields:?}");
    }
    assert_eq!(browser.send("PUT", &url, &[], "").status, 405);
}

#[test]
fn a_session_goes_on_as_it_is_while_the_issuer_cannot_be_asked() {
    let (world, mut browser) = (World::start(), Browser::default());
    world.log_in(&mut browser, "/x");
    world.order("fault=status&at=refresh");
    // Longer than a token counts as new.
    std::thread::sleep(std::time::Duration::from_secs(11));
    let answer = session(&world, &mut browser, "POST", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    world.gateway.until("the issuer was asked", || {
        world.gateway.stderr().contains("a session could not be refreshed").then_some(())
    });
}
