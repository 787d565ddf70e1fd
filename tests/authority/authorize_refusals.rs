//! Each refusal of the authorization endpoint, shown or sent; and those of redeeming a code (RFC 6749, sections 4.1.2.1
//! and 5.2; RFC 7636, section 4.4.1; OpenID Connect Core 1.0, section 3.1.2.6; RFC 6750, section 3.1).

use http::Method;

use super::flows::{BACK, Browser, CHALLENGE, VERIFIER, answer_in, encode, redeem, request, start, token};
use super::harness::basic;

/// Parameters, in place of the usual ones or in addition.
type Changes<'a> = &'a [(&'a str, &'a str)];

#[test]
fn what_is_in_doubt_is_shown_and_never_redirected() {
    let authority = start();
    let browser = Browser::new(&authority);
    let cases: &[(&str, Changes<'_>)] = &[
        ("no client", &[("client_id", "")]),
        ("unknown client", &[("client_id", "nobody")]),
        ("client id in another case", &[("client_id", "WEB")]),
        ("no redirect URI", &[("redirect_uri", "")]),
        ("another path", &[("redirect_uri", "http://127.0.0.1:4999/evil")]),
        ("a longer path", &[("redirect_uri", "http://127.0.0.1:4999/cb/x")]),
        ("a query", &[("redirect_uri", "http://127.0.0.1:4999/cb?x=y")]),
        ("a fragment", &[("redirect_uri", "http://127.0.0.1:4999/cb#")]),
        ("user information", &[("redirect_uri", "http://127.0.0.1:4999@evil.test/cb")]),
        ("another port, confidential", &[("redirect_uri", "http://127.0.0.1:5000/cb")]),
        ("another scheme", &[("redirect_uri", "https://127.0.0.1:4999/cb")]),
        ("a script", &[("redirect_uri", "javascript:alert(1)")]),
        ("client without redirect URIs", &[("client_id", "machine")]),
    ];
    for (name, changes) in cases {
        for prompt in ["", "none"] {
            let changes = [changes, &[("prompt", prompt)][..]].concat();
            let answer = browser.authorize(&request("web", &changes));
            assert_eq!((answer.status, answer.header("location")), (400, None), "{name}");
            assert!(answer.text().contains("This does not work"), "{name}");
        }
    }
    let twice = format!("/authorize?{}&redirect_uri=http://evil.test", encode(&request("web", &[])));
    let broken = format!("/authorize?{}&x=%zz", encode(&request("web", &[])));
    for path in [twice, broken] {
        let answer = browser.send(Method::GET, &path, "");
        assert_eq!((answer.status, answer.header("location")), (400, None), "{path}");
    }
    let free = browser.authorize(&request("app", &[("redirect_uri", "http://127.0.0.1:5000/cb")]));
    assert!(free.status == 200 && free.text().contains("<h1>Sign in</h1>"), "RFC 8252: the port is free");
}

#[test]
fn what_is_the_clients_business_is_sent_to_it() {
    let authority = start();
    let browser = Browser::new(&authority);
    let long = "n".repeat(5000);
    let cases: &[(&str, &str, Changes<'_>, char, &str)] = &[
        ("no response type", "web", &[("response_type", "")], '?', "invalid_request"),
        ("unknown response type", "web", &[("response_type", "nonsense")], '?', "unsupported_response_type"),
        ("a word twice", "web", &[("response_type", "code code")], '?', "unsupported_response_type"),
        ("two blanks", "web", &[("response_type", "code  token")], '?', "unsupported_response_type"),
        ("implicit of a client without it", "code-only", &[("response_type", "token")], '#', "unauthorized_client"),
        (
            "hybrid of a client without it",
            "code-only",
            &[("response_type", "code id_token")],
            '#',
            "unauthorized_client",
        ),
        ("unknown response mode", "web", &[("response_mode", "web_message")], '?', "invalid_request"),
        (
            "tokens in the query",
            "web",
            &[("response_type", "id_token"), ("response_mode", "query")],
            '#',
            "invalid_request",
        ),
        (
            "no PKCE from a public client",
            "app",
            &[("code_challenge", ""), ("code_challenge_method", "")],
            '?',
            "invalid_request",
        ),
        (
            "no PKCE in a public hybrid",
            "app",
            &[("response_type", "code token"), ("code_challenge", ""), ("code_challenge_method", "")],
            '#',
            "invalid_request",
        ),
        ("plain", "web", &[("code_challenge_method", "plain")], '?', "invalid_request"),
        ("plain by default", "web", &[("code_challenge_method", "")], '?', "invalid_request"),
        ("another method", "web", &[("code_challenge_method", "S512")], '?', "invalid_request"),
        ("a method without challenge", "web", &[("code_challenge", "")], '?', "invalid_request"),
        ("a short challenge", "web", &[("code_challenge", &CHALLENGE[1..])], '?', "invalid_request"),
        (
            "a challenge in base64",
            "web",
            &[("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM")],
            '?',
            "invalid_request",
        ),
        ("no nonce for an ID token", "web", &[("response_type", "id_token"), ("nonce", "")], '#', "invalid_request"),
        ("no nonce in a hybrid", "web", &[("response_type", "code id_token"), ("nonce", "")], '#', "invalid_request"),
        (
            "an ID token without openid",
            "web",
            &[("response_type", "id_token token"), ("scope", "email")],
            '#',
            "invalid_request",
        ),
        ("a scope of somebody else", "web", &[("scope", "openid admin")], '?', "invalid_scope"),
        ("a scope that is none", "web", &[("scope", "openid \"x\"")], '?', "invalid_scope"),
        ("a resource that is none", "web", &[("resource", "orders")], '?', "invalid_target"),
        ("a request object", "web", &[("request", "e30.e30.")], '?', "request_not_supported"),
        ("a reference to one", "web", &[("request_uri", "https://a.example/r")], '?', "request_uri_not_supported"),
        ("a registration", "web", &[("registration", "{}")], '?', "registration_not_supported"),
        ("an unknown prompt", "web", &[("prompt", "create")], '?', "invalid_request"),
        ("a prompt that contradicts itself", "web", &[("prompt", "none login")], '?', "invalid_request"),
        ("max_age in words", "web", &[("max_age", "soon")], '?', "invalid_request"),
        ("a negative max_age", "web", &[("max_age", "-1")], '?', "invalid_request"),
        ("claims that are no JSON", "web", &[("claims", "{")], '?', "invalid_request"),
        ("claims that are a list", "web", &[("claims", "[]")], '?', "invalid_request"),
        ("a hint that is no token", "web", &[("id_token_hint", "x.y.z")], '?', "invalid_request"),
        (
            "a hint without signature",
            "web",
            &[("id_token_hint", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LWFsaWNlIn0.")],
            '?',
            "invalid_request",
        ),
        ("a long nonce", "web", &[("nonce", &long)], '?', "invalid_request"),
        ("nobody signed in", "web", &[("prompt", "none")], '?', "login_required"),
        (
            "nobody signed in, tokens",
            "web",
            &[("prompt", "none"), ("response_type", "id_token")],
            '#',
            "login_required",
        ),
    ];
    let issuer = format!("http://{}", authority.address);
    for (name, client, changes, sign, error) in cases {
        let found = answer_in(&browser.authorize(&request(client, changes)), *sign);
        let said = (&*found["error"], &*found["state"], &*found["iss"]);
        assert_eq!(said, (*error, "st&te", &*issuer), "{name}: {found:?}");
        assert!(!found.contains_key("code") && !found.contains_key("access_token"), "{name}");
    }
    let form = browser.authorize(&request("web", &[("prompt", "none"), ("response_mode", "form_post")]));
    assert!(form.status == 200 && form.text().contains("name=\"error\" value=\"login_required\""));
}

#[test]
fn a_code_is_for_the_one_who_asked() {
    let authority = start();
    let browser = Browser::new(&authority);
    let code = |changes: &[(&str, &str)]| answer_in(&browser.go(&request("web", changes)), '?')["code"].clone();
    let other_verifier = VERIFIER.replace('d', "e");
    let no_pkce = [("code_challenge", ""), ("code_challenge_method", "")];
    let cases: &[(&str, &str, Changes<'_>, Changes<'_>, &str)] = &[
        ("no code", "web", &[], &[("code", "")], "invalid_request"),
        ("unknown code", "web", &[], &[("code", "x")], "invalid_grant"),
        ("another client", "other", &[], &[], "invalid_grant"),
        ("a public client", "app", &[], &[], "invalid_grant"),
        ("another redirect URI", "web", &[], &[("redirect_uri", "http://127.0.0.1:4999/")], "invalid_grant"),
        ("no redirect URI", "web", &[], &[("redirect_uri", "")], "invalid_grant"),
        ("another verifier", "web", &[], &[("code_verifier", &other_verifier)], "invalid_grant"),
        ("the challenge as verifier", "web", &[], &[("code_verifier", CHALLENGE)], "invalid_grant"),
        ("no verifier", "web", &[], &[("code_verifier", "")], "invalid_grant"),
        ("a verifier without challenge", "web", &no_pkce, &[], "invalid_grant"),
        (
            "a resource that was not granted",
            "web",
            &[("resource", "urn:a")],
            &[("resource", "urn:b")],
            "invalid_target",
        ),
    ];
    for (name, client, asked, changes, error) in cases {
        let answer = redeem(&authority, client, &code(asked), changes);
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some(*error)), "{name}: {answer:?}");
    }
    assert_eq!(
        redeem(&authority, "web", &code(&no_pkce), &[("code_verifier", "")]).status,
        200,
        "confidential, no PKCE"
    );
    let late = code(&[]);
    authority.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(redeem(&authority, "web", &late, &[]).json()["error"], "invalid_grant", "too old");
    assert_eq!(BACK, "http://127.0.0.1:4999/cb");
}

#[test]
fn other_endpoints_refuse_as_their_specifications_say() {
    let authority = start();
    let cases: &[(&str, &str, Changes<'_>, u16, &str)] = &[
        ("refresh without token", "web", &[("grant_type", "refresh_token")], 400, "invalid_request"),
        (
            "unknown refresh token",
            "web",
            &[("grant_type", "refresh_token"), ("refresh_token", "x")],
            400,
            "invalid_grant",
        ),
        ("no password", "web", &[("grant_type", "password"), ("username", "alice")], 400, "invalid_request"),
        ("no user", "web", &[("grant_type", "password"), ("password", "x")], 400, "invalid_request"),
        (
            "unknown user",
            "web",
            &[("grant_type", "password"), ("username", "eve"), ("password", "wonderland")],
            400,
            "invalid_grant",
        ),
        (
            "password of a client without the grant",
            "code-only",
            &[("grant_type", "password")],
            400,
            "unauthorized_client",
        ),
        (
            "refresh of a client without the grant",
            "code-only",
            &[("grant_type", "refresh_token")],
            400,
            "unauthorized_client",
        ),
        (
            "client credentials of a client without the grant",
            "web",
            &[("grant_type", "client_credentials")],
            400,
            "unauthorized_client",
        ),
    ];
    for (name, client, body, status, error) in cases {
        let answer = token(&authority, client, body);
        assert_eq!((answer.status, answer.json()["error"].as_str()), (*status, Some(*error)), "{name}");
    }
    let introspect = |headers: &[(&str, String)], body: &str| {
        let answer = authority.post("/introspect", headers, body);
        (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    let good = [basic("machine", "machine-secret")];
    assert_eq!(introspect(&[], "token=x"), (401, "invalid_client".into()));
    assert_eq!(introspect(&[], "token=x&client_id=app"), (401, "invalid_client".into()));
    assert_eq!(introspect(&[basic("machine", "x")], "token=x"), (401, "invalid_client".into()));
    assert_eq!(introspect(&good, ""), (400, "invalid_request".into()));
    assert_eq!(introspect(&good, "token=x"), (200, String::new()));
    let userinfo = |headers: &[(&str, String)], body: &str| {
        let answer = match body {
            "" => authority.send(Method::GET, "/userinfo", headers, ""),
            body => authority.post("/userinfo", headers, body),
        };
        let challenges = answer.all("www-authenticate");
        assert!(challenges.len() == 2 && challenges[1].starts_with("DPoP algs=\""), "{challenges:?}");
        (answer.status, challenges[0].to_owned())
    };
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let machine = authority.post("/token", &good, "grant_type=client_credentials").json();
    let machine = machine["access_token"].as_str().unwrap();
    for (headers, body, status, said) in [
        (vec![], "", 401, "realm=\"tollgate authority\""),
        (vec![bearer("x")], "", 401, "error=\"invalid_token\""),
        (vec![bearer(machine)], "", 403, "error=\"insufficient_scope\""),
        (vec![bearer("x"), bearer("x")], "", 400, "error=\"invalid_request\""),
        (vec![bearer("x")], "access_token=x", 400, "error=\"invalid_request\""),
        (vec![], "access_token=x", 401, "error=\"invalid_token\""),
    ] {
        let (got, challenge) = userinfo(&headers, body);
        assert_eq!(got, status, "{headers:?} {body}");
        assert!(challenge.starts_with("Bearer ") && challenge.contains(said), "{challenge}");
        assert_eq!(challenge.contains("error="), said.starts_with("error"), "{challenge}");
    }
}

#[test]
fn scripts_of_other_origins_may_ask_for_tokens_but_not_see_pages() {
    let authority = start();
    let preflight =
        [("origin", "https://app.example".to_owned()), ("access-control-request-method", "POST".to_owned())];
    for (path, open) in [
        ("/token", true),
        ("/userinfo", true),
        ("/revoke", true),
        ("/jwks", true),
        ("/.well-known/openid-configuration", true),
        ("/introspect", false),
        ("/authorize", false),
        ("/authorize/login", false),
        ("/logout", false),
        ("/device", false),
        ("/", false),
    ] {
        let asked = authority.send(Method::OPTIONS, path, &preflight, "");
        let told = authority.get(path);
        let expected = open.then_some("*");
        assert_eq!(asked.status == 204, open, "{path}");
        for answer in [asked, told] {
            assert_eq!(answer.header("access-control-allow-origin"), expected, "{path}");
            assert_eq!(answer.header("access-control-allow-credentials"), None, "{path}");
        }
    }
}
