//! The walks of the flow page: what they must not be used for. That they work is shown in a browser, by
//! `tests/browser.rs`.

use http::Method;
use tollgate::authority::{Client, Grant, TokenForm};
use tollgate::secret::Secret;

use super::harness::{Answer, Running, form, send_as_is};

type Headers<'a> = Vec<(&'a str, String)>;

fn authority() -> Running {
    Running::with(|settings| {
        let base = settings.clients[0].clone();
        settings.clients.push(Client {
            id: "web".into(),
            secret: Some(Secret::new("web-secret".into())),
            grants: vec![Grant::AuthorizationCode],
            scopes: vec!["orders:read".into()],
            redirect_uris: vec!["https://app.example/cb".into()],
            ..base.clone()
        });
        settings.clients.push(Client {
            id: "tv".into(),
            secret: None,
            grants: vec![Grant::DeviceCode],
            ..base.clone()
        });
        settings.clients.push(Client { id: "bound".into(), dpop_bound_access_tokens: true, ..base.clone() });
        settings.clients.push(Client { id: "opaque".into(), access_tokens: TokenForm::Opaque, ..base });
    })
}

fn own() -> Headers<'static> {
    vec![("sec-fetch-site", "same-origin".into())]
}

fn start(authority: &Running, flow: &str, client: &str, headers: &Headers<'_>) -> Answer {
    authority.post("/flows/start", headers, &format!("flow={flow}&client={client}"))
}

/// A walk that began: where it leads, and the cookie of its browser.
fn begun(authority: &Running, flow: &str, client: &str) -> (String, Headers<'static>) {
    let answer = start(authority, flow, client, &own());
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("; Path=/flows; HttpOnly; SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    (answer.header("location").unwrap().to_owned(), vec![("sec-fetch-site", "same-origin".into()), ("cookie", cookie)])
}

fn path(authority: &Running, url: &str) -> String {
    url.strip_prefix(&format!("http://{}", authority.address)).unwrap().to_owned()
}

#[test]
fn a_walk_begins_from_a_page_of_this_origin_only() {
    let authority = authority();
    let origin = format!("http://{}", authority.address);
    let cases: [(&str, Headers<'_>, u16); 7] = [
        ("its own page", own(), 303),
        ("its own page in an older browser", vec![("origin", origin.clone())], 303),
        ("another site", vec![("sec-fetch-site", "cross-site".into()), ("origin", origin)], 403),
        ("another port of this host", vec![("sec-fetch-site", "same-site".into())], 403),
        ("another origin in an older browser", vec![("origin", "http://evil.example".into())], 403),
        ("a page without an origin", vec![("origin", "null".into())], 403),
        ("no browser", vec![], 403),
    ];
    for (who, headers, status) in cases {
        assert_eq!(start(&authority, "client-credentials", "machine", &headers).status, status, "{who}");
    }
    let refused = authority.send(Method::GET, "/flows/start?flow=client-credentials&client=machine", &own(), "");
    assert_eq!(refused.status, 404, "nothing begins by a link");
}

fn addressed_to(host: &str) -> http::request::Builder {
    http::Request::builder().header("host", host)
}

/// A name that somebody rebinds to loopback is of one origin with itself, but it is not the issuer's.
#[test]
fn another_host_name_gets_no_walks() {
    let authority = authority();
    for host in ["evil.example", "localhost", "127.0.0.1"] {
        let request = addressed_to(host).method("POST").uri("/flows/start").header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = send_as_is(authority.address, request, b"flow=client-credentials&client=machine");
        assert_eq!(answer.status, 403, "{host}");
        let page = send_as_is(authority.address, addressed_to(host).uri("/"), b"");
        assert!(
            page.text().contains("open this page at http://127.0.0.1:") && !page.text().contains("Try it"),
            "{host}"
        );
    }
    assert!(authority.get("/").text().contains("Try it"));
}

#[test]
fn an_authority_with_an_issuer_elsewhere_offers_no_walks() {
    let authority = Running::with(|settings| settings.issuer = "https://auth.example".into());
    let page = authority.get("/");
    assert!(page.text().contains("cannot be walked here") && !page.text().contains("Try it"));
    for path in ["/flows/start", "/flows/callback"] {
        assert_eq!(authority.post(path, &own(), "flow=client-credentials&client=machine").status, 403, "{path}");
    }
    assert_eq!(authority.get("/flows/resource").status, 403);
}

#[test]
fn the_redirect_uri_of_the_walks_is_good_for_a_walk_that_waits_and_nothing_else() {
    let authority = authority();
    let callback = form(&format!("http://{}/flows/callback", authority.address));
    let ask = |client: &str, redirect: &str, state: &str| {
        let query = format!("response_type=code&client_id={client}&redirect_uri={redirect}&state={state}");
        authority.get(&format!("/authorize?{query}"))
    };
    let refused = |answer: &Answer| answer.status == 400 && answer.text().contains("is not one of those");
    assert!(refused(&ask("web", &callback, "")), "without a state");
    assert!(refused(&ask("web", &callback, "made-up")), "with a state of no walk");
    let (away, browser) = begun(&authority, "code", "web");
    let state = away.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(authority.get(&path(&authority, &away)).status, 200, "with the walk's own");
    assert!(refused(&ask("tv", &callback, &state)), "for another client");
    assert!(refused(&ask("web", &format!("{callback}%3Fx"), &state)), "with something added");
    assert!(refused(&ask("web", &form("http://127.0.0.1:1/flows/callback"), &state)), "at another port");

    let answer = format!("/flows/callback?code=stolen&state={state}");
    assert_eq!(authority.get(&answer).status, 400, "from a browser without the cookie");
    let (_, other) = begun(&authority, "code", "web");
    assert_eq!(authority.send(Method::GET, &answer, &other, "").status, 400, "from another browser");
    let mine = authority.send(Method::GET, &answer, &browser, "");
    assert_eq!(mine.status, 303, "from the browser that began");
    assert_eq!(authority.send(Method::GET, &answer, &browser, "").status, 303, "again, which changes nothing");
    let page = authority.send(Method::GET, &path(&authority, mine.header("location").unwrap()), &browser, "");
    assert!(page.text().contains("A careful client stops here"), "it has no iss");
    assert!(refused(&ask("web", &callback, &state)), "after the walk");
}

#[test]
fn a_walk_shows_no_secret_and_no_usable_token() {
    let authority = authority();
    let (walk, browser) = begun(&authority, "token-forms", "opaque");
    let walk = path(&authority, &walk);
    let page = authority.send(Method::GET, &walk, &browser, "");
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("Take the token back") && text.contains("The access token, decoded"), "{text}");
    assert!(!text.contains("machine-secret"));
    let longest = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))).map(str::len).max();
    assert!(longest < Some(120), "a token is shown: {longest:?}");
    assert_eq!(authority.get(&walk).status, 400, "nobody else sees it");
}

#[test]
fn walks_end() {
    let authority = authority();
    let (walk, browser) = begun(&authority, "client-credentials", "machine");
    let walk = path(&authority, &walk);
    let status = || authority.send(Method::GET, &walk, &browser, "").status;
    assert_eq!(status(), 200);
    authority.clock.advance(std::time::Duration::from_secs(30 * 60));
    assert_eq!(status(), 400);
}

/// A device asks as long as there is room for it, and is told to slow down meanwhile.
#[test]
fn a_device_does_not_ask_without_end() {
    let authority = authority();
    let (walk, browser) = begun(&authority, "device", "tv");
    let id = walk.split("id=").nth(1).unwrap();
    for _ in 0..60 {
        assert_eq!(authority.post("/flows/device", &browser, &format!("id={id}")).status, 303);
    }
    let page = authority.send(Method::GET, &path(&authority, &walk), &browser, "");
    assert!(page.text().contains("slow_down") && page.text().contains("Walk it again"));
    assert_eq!(page.text().matches("<li id=\"step-").count(), 40);
}

#[test]
fn the_resource_server_of_the_walks_wants_a_token_of_its_own() {
    let authority = authority();
    let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
    let visit = |headers: &Headers<'_>| authority.send(Method::GET, "/flows/resource", headers, "");
    let token = |client: &str, more: &str| {
        let basic = [super::basic(client, "machine-secret")];
        let answer = authority.post("/token", &basic, &format!("grant_type=client_credentials{more}"));
        answer.json()["access_token"].as_str().unwrap().to_owned()
    };
    let (jwt, opaque, elsewhere) =
        (token("machine", ""), token("opaque", ""), token("machine", "&resource=https://other.example"));
    let elsewhere_opaque = token("opaque", "&resource=https://other.example");
    for good in [&jwt, &opaque] {
        let answer = visit(&bearer(good));
        assert_eq!((answer.status, answer.json()["scope"].as_str()), (200, Some("orders:read orders:write")));
    }
    assert_eq!(visit(&vec![]).header("www-authenticate"), Some("Bearer realm=\"flows\""));
    let (head, _) = jwt.rsplit_once('.').unwrap();
    for bad in ["x", "a.b.c", &format!("{head}.AAAA"), &elsewhere, &elsewhere_opaque] {
        let answer = visit(&bearer(bad));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"flows\", error=\"invalid_token\""), "{bad}");
        assert_eq!(answer.status, 401);
    }
    authority.clock.advance(std::time::Duration::from_secs(300));
    assert_eq!((visit(&bearer(&jwt)).status, visit(&bearer(&opaque)).status), (401, 401));
}

#[test]
fn a_flow_without_a_client_says_which_one_would_do() {
    let page = Running::start().get("/");
    assert!(page.text().contains("No client is configured for it"));
    assert!(page.text().contains("grants = [&quot;authorization_code&quot;, &quot;refresh_token&quot;]"));
    let authority = authority();
    for (flow, client) in [("password", "machine"), ("client-credentials", "bound"), ("client-credentials", "public")] {
        let refused = start(&authority, flow, client, &own());
        assert_eq!((refused.status, refused.text().contains("cannot walk this flow")), (400, true), "{flow}, {client}");
    }
    assert_eq!(start(&authority, "magic", "machine", &own()).status, 400);
    assert_eq!(start(&authority, "code", "nobody", &own()).status, 400);
}
