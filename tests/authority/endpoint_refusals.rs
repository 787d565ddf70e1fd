//! Each refusal of what comes after the first token, and of the endpoints beside `/token` and `/authorize`: refresh
//! tokens, replayed codes, passwords, devices, pushed requests, introspection and revocation, with the exact status and
//! `error` (RFC 6749, section 5.2; RFC 7009; RFC 7662; RFC 8628; RFC 9126).

use http::Method;
use serde_json::Value;

use super::flows::{Browser, answer_in, encode, redeem, refresh, request, start, token, tokens};
use super::harness::{Answer, Running, basic};

/// Name, endpoint, client and its secret, form, status, `error`.
type Case<'a> = (&'a str, &'a str, (&'a str, &'a str), String, u16, &'a str);

/// Without authentication.
const NOBODY: (&str, &str) = ("", "");
const WEB: (&str, &str) = ("web", "web-secret");
const OTHER: (&str, &str) = ("other", "web-secret");
const ASSERTION: &str =
    "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_id=web";
const DEVICE: &str = "grant_type=urn:ietf:params:oauth:grant-type:device_code";

fn text(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap().to_owned()
}

fn ask(authority: &Running, endpoint: &str, (client, secret): (&str, &str), form: &str) -> Answer {
    let headers = if client.is_empty() { vec![] } else { vec![basic(client, secret)] };
    authority.post(endpoint, &headers, form)
}

fn refuses(authority: &Running, cases: &[Case<'_>]) {
    for (name, endpoint, client, form, status, error) in cases {
        let answer = ask(authority, endpoint, *client, form);
        let said = answer.json();
        assert_eq!((answer.status, said["error"].as_str()), (*status, Some(*error)), "{name}: {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
        assert_eq!(answer.header("www-authenticate").is_some(), *status == 401, "{name}");
        assert!(said["access_token"].is_null() && !answer.text().contains("web-secret"), "{name}");
    }
}

#[test]
fn tokens_and_codes_that_are_not_what_they_should_be_are_refused() {
    let authority = start();
    let good = tokens(&authority, "web", &[("resource", "urn:a")]);
    let (access, mine) = (text(&good, "access_token"), text(&good, "refresh_token"));
    let app = text(&tokens(&authority, "app", &[]), "refresh_token");
    let refreshing = |token: &str, extra: &str| format!("grant_type=refresh_token&refresh_token={token}{extra}");
    let code = answer_in(&Browser::new(&authority).go(&request("web", &[])), '?')["code"].clone();
    let family = redeem(&authority, "web", &code, &[]).json();
    assert_eq!(redeem(&authority, "web", &code, &[]).json()["error"], "invalid_grant", "replayed");
    let given_back = text(&tokens(&authority, "web", &[]), "refresh_token");
    assert_eq!(ask(&authority, "/revoke", WEB, &encode(&[("token", &given_back)])).status, 200);
    let old = tokens(&authority, "web", &[]);
    let next = refresh(&authority, "web", &old["refresh_token"], &[]).json();
    let last = refresh(&authority, "web", &next["refresh_token"], &[]).json();
    let (old, last) = (text(&old, "refresh_token"), text(&last, "refresh_token"));
    refuses(
        &authority,
        &[
            ("no client", "/token", NOBODY, refreshing(&mine, ""), 401, "invalid_client"),
            ("a wrong secret", "/token", ("web", "x"), refreshing(&mine, ""), 401, "invalid_client"),
            ("no secret", "/token", NOBODY, refreshing(&mine, "&client_id=web"), 401, "invalid_client"),
            ("another client", "/token", OTHER, refreshing(&mine, ""), 400, "invalid_grant"),
            ("a public client's, by another", "/token", WEB, refreshing(&app, ""), 400, "invalid_grant"),
            (
                "a client's, by a public one",
                "/token",
                NOBODY,
                refreshing(&mine, "&client_id=app"),
                400,
                "invalid_grant",
            ),
            ("an access token", "/token", WEB, refreshing(&access, ""), 400, "invalid_grant"),
            ("a token cut short", "/token", WEB, refreshing(&mine[1..], ""), 400, "invalid_grant"),
            ("a token in another case", "/token", WEB, refreshing(&mine.to_uppercase(), ""), 400, "invalid_grant"),
            ("no token", "/token", WEB, refreshing("", ""), 400, "invalid_request"),
            (
                "the token twice",
                "/token",
                WEB,
                refreshing(&mine, &format!("&refresh_token={mine}")),
                400,
                "invalid_request",
            ),
            ("a scope that was not granted", "/token", WEB, refreshing(&mine, "&scope=profile"), 400, "invalid_scope"),
            ("one more scope", "/token", WEB, refreshing(&mine, "&scope=openid+orders:write"), 400, "invalid_scope"),
            ("a scope that is none", "/token", WEB, refreshing(&mine, "&scope=openid++email"), 400, "invalid_scope"),
            (
                "a resource that was not granted",
                "/token",
                WEB,
                refreshing(&mine, "&resource=urn:b"),
                400,
                "invalid_target",
            ),
            ("a resource that is none", "/token", WEB, refreshing(&mine, "&resource=a"), 400, "invalid_target"),
            (
                "a token of a replayed code",
                "/token",
                WEB,
                refreshing(&text(&family, "refresh_token"), ""),
                400,
                "invalid_grant",
            ),
            ("a token that was given back", "/token", WEB, refreshing(&given_back, ""), 400, "invalid_grant"),
            ("a token from before the last", "/token", WEB, refreshing(&old, ""), 400, "invalid_grant"),
            ("its successor, since then", "/token", WEB, refreshing(&last, ""), 400, "invalid_grant"),
            (
                "a refresh token as a code",
                "/token",
                WEB,
                format!("grant_type=authorization_code&code={mine}"),
                400,
                "invalid_grant",
            ),
            ("a code as a refresh token", "/token", WEB, refreshing(&code, ""), 400, "invalid_grant"),
        ],
    );
    let answer = refresh(&authority, "web", &good["refresh_token"], &[("scope", "openid"), ("resource", "urn:a")]);
    assert_eq!(answer.status, 200, "none of these cost the client its token: {answer:?}");
}

#[test]
fn passwords_and_devices_are_refused_what_they_may_not_have() {
    let authority = start();
    let password = |extra: &str| format!("grant_type=password&username=alice&password=wonderland{extra}");
    refuses(
        &authority,
        &[
            ("a scope of somebody else", "/token", WEB, password("&scope=admin"), 400, "invalid_scope"),
            ("a resource that is none", "/token", WEB, password("&resource=a"), 400, "invalid_target"),
            ("the name twice", "/token", WEB, password("&username=alice"), 400, "invalid_request"),
            ("a wrong secret", "/token", ("web", "web-secre"), password(""), 401, "invalid_client"),
            ("a wrong password", "/token", WEB, password("").replace("wonder", "Wonder"), 400, "invalid_grant"),
            ("another's password", "/token", WEB, password("").replace("alice", "bob"), 400, "invalid_grant"),
            ("no device code", "/token", WEB, DEVICE.into(), 400, "invalid_request"),
            ("an unknown device code", "/token", WEB, format!("{DEVICE}&device_code=x"), 400, "invalid_grant"),
            (
                "a client without devices",
                "/token",
                ("code-only", "web-secret"),
                DEVICE.into(),
                400,
                "unauthorized_client",
            ),
            ("nobody's device", "/device_authorization", NOBODY, String::new(), 401, "invalid_client"),
            ("an unknown client's", "/device_authorization", NOBODY, "client_id=x".into(), 401, "invalid_client"),
            ("a wrong secret", "/device_authorization", ("web", "x"), String::new(), 401, "invalid_client"),
            ("no secret", "/device_authorization", NOBODY, "client_id=web".into(), 401, "invalid_client"),
            (
                "a client without devices",
                "/device_authorization",
                ("code-only", "web-secret"),
                String::new(),
                400,
                "unauthorized_client",
            ),
            ("a scope of somebody else", "/device_authorization", WEB, "scope=admin".into(), 400, "invalid_scope"),
            ("a resource that is none", "/device_authorization", WEB, "resource=a".into(), 400, "invalid_target"),
            (
                "the scope twice",
                "/device_authorization",
                WEB,
                "scope=openid&scope=openid".into(),
                400,
                "invalid_request",
            ),
        ],
    );
}

#[test]
fn requests_are_refused_when_they_are_pushed() {
    let authority = start();
    let push = |client: &'static str, changes: &[(&str, &str)]| encode(&request(client, changes));
    refuses(
        &authority,
        &[
            ("nobody", "/par", NOBODY, push("", &[]), 401, "invalid_client"),
            ("no secret", "/par", NOBODY, push("web", &[]), 401, "invalid_client"),
            ("a wrong secret", "/par", ("web", "x"), push("web", &[]), 401, "invalid_client"),
            ("another's request", "/par", OTHER, push("web", &[]), 400, "invalid_request"),
            (
                "an address off the list",
                "/par",
                WEB,
                push("web", &[("redirect_uri", "https://x")]),
                400,
                "invalid_request",
            ),
            ("no response type", "/par", WEB, push("web", &[("response_type", "")]), 400, "invalid_request"),
            (
                "an unknown response type",
                "/par",
                WEB,
                push("web", &[("response_type", "x")]),
                400,
                "unsupported_response_type",
            ),
            ("an unknown response mode", "/par", WEB, push("web", &[("response_mode", "x")]), 400, "invalid_request"),
            (
                "no nonce",
                "/par",
                WEB,
                push("web", &[("response_type", "id_token"), ("nonce", "")]),
                400,
                "invalid_request",
            ),
            (
                "tokens for a client of codes",
                "/par",
                ("code-only", "web-secret"),
                push("code-only", &[("response_type", "token")]),
                400,
                "unauthorized_client",
            ),
            ("a request object", "/par", WEB, push("web", &[("request", "e30.e30.")]), 400, "request_not_supported"),
            ("a resource that is none", "/par", WEB, push("web", &[("resource", "a")]), 400, "invalid_target"),
            (
                "no PKCE",
                "/par",
                NOBODY,
                push("app", &[("code_challenge", ""), ("code_challenge_method", "")]),
                400,
                "invalid_request",
            ),
            ("the state twice", "/par", WEB, push("web", &[]) + "&state=x", 400, "invalid_request"),
        ],
    );
}

#[test]
fn introspection_and_revocation_refuse_who_may_not_ask() {
    let authority = start();
    let good = tokens(&authority, "web", &[]);
    let shown = encode(&[("token", &text(&good, "access_token"))]);
    let cases: Vec<Case<'_>> = ["/introspect", "/revoke"]
        .into_iter()
        .flat_map(|at| {
            [
                ("nobody", at, NOBODY, shown.clone(), 401, "invalid_client"),
                ("an unknown client", at, ("x", "web-secret"), shown.clone(), 401, "invalid_client"),
                ("a wrong secret", at, ("web", "x"), shown.clone(), 401, "invalid_client"),
                ("no secret", at, NOBODY, format!("{shown}&client_id=web"), 401, "invalid_client"),
                ("half an assertion", at, NOBODY, format!("{shown}&client_assertion=x"), 400, "invalid_request"),
                (
                    "a bad assertion",
                    at,
                    NOBODY,
                    format!("{shown}&{ASSERTION}&client_assertion=x"),
                    401,
                    "invalid_client",
                ),
                ("no token", at, WEB, "token_type_hint=access_token".into(), 400, "invalid_request"),
                ("the token twice", at, WEB, format!("{shown}&{shown}"), 400, "invalid_request"),
                ("two ways at once", at, WEB, format!("{shown}&client_secret=web-secret"), 400, "invalid_request"),
            ]
        })
        .collect();
    refuses(&authority, &cases);
    let refused = [
        ("a public client's question", "/introspect", NOBODY, format!("{shown}&client_id=app"), 401, "invalid_client"),
        ("another client's token", "/revoke", OTHER, shown.clone(), 400, "unauthorized_client"),
        (
            "another client's, by a public one",
            "/revoke",
            NOBODY,
            format!("{shown}&client_id=app"),
            400,
            "unauthorized_client",
        ),
    ];
    refuses(&authority, &refused);
    let userinfo = |token: &str| {
        let bearer = [("authorization", format!("Bearer {token}"))];
        let answer = authority.send(Method::GET, "/userinfo", &bearer, "");
        (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(userinfo(&text(&good, "access_token")), (200, String::new()), "none of these ended it");
    let invalid = (401, "invalid_token".to_owned());
    assert_eq!(userinfo(&text(&good, "refresh_token")), invalid);
    assert_eq!(userinfo(&text(&good, "id_token")), invalid);
    assert_eq!(ask(&authority, "/revoke", WEB, &shown).status, 200);
    assert_eq!(userinfo(&text(&good, "access_token")), invalid, "given back");
    let late = tokens(&authority, "web", &[]);
    authority.clock.advance(std::time::Duration::from_secs(300));
    assert_eq!(userinfo(&text(&late, "access_token")), invalid, "over");
}

#[test]
fn every_parameter_of_an_authorization_request_comes_once() {
    let authority = start();
    let browser = Browser::new(&authority);
    let usual = request("web", &[]);
    for (name, value) in &usual {
        for again in ["", value, "x"] {
            let path = format!("/authorize?{}&{}", encode(&usual), encode(&[(name, again)]));
            let answer = browser.send(Method::GET, &path, "");
            assert_eq!((answer.status, answer.header("location")), (400, None), "{name} and {again:?}");
            assert!(answer.text().contains(&format!("the parameter {name} came more than once")), "{}", answer.text());
        }
    }
    for (name, headers, target) in [
        ("JSON", vec![("content-type", "application/json".to_owned())], "/authorize"),
        ("no type", vec![], "/authorize"),
        ("in two places", vec![("content-type", "application/x-www-form-urlencoded".into())], "/authorize?state=x"),
    ] {
        let answer = authority.send(Method::POST, target, &headers, &encode(&usual));
        assert_eq!((answer.status, answer.header("location")), (400, None), "{name}");
    }
}

#[test]
fn a_refusal_of_a_form_is_the_same_at_every_endpoint() {
    let authority = start();
    let kinds = [("content-type", "application/json".to_owned()), ("content-type", "text/plain".to_owned())];
    for endpoint in ["/token", "/par", "/device_authorization", "/introspect", "/revoke"] {
        for kind in &kinds {
            let answer = authority.send(Method::POST, endpoint, &[kind.clone(), basic("web", "web-secret")], "token=x");
            assert_eq!(
                (answer.status, &answer.json()["error"]),
                (400, &"invalid_request".into()),
                "{endpoint} {kind:?}"
            );
        }
        for broken in ["a=%", "a=%ff", "a=1&a=2", "a=1&%61=2"] {
            let answer = ask(&authority, endpoint, WEB, broken);
            assert_eq!(
                (answer.status, &answer.json()["error"]),
                (400, &"invalid_request".into()),
                "{endpoint} {broken}"
            );
        }
        let in_query = ask(&authority, &format!("{endpoint}?token=x"), WEB, "token=x");
        assert_eq!((in_query.status, &in_query.json()["error"]), (400, &"invalid_request".into()), "{endpoint}");
        let large = ask(&authority, endpoint, WEB, &format!("token={}", "x".repeat(70_000)));
        assert_eq!((large.status, &large.json()["error"]), (413, &"invalid_request".into()), "{endpoint}");
    }
    assert_eq!(token(&authority, "web", &[("grant_type", "")]).json()["error"], "invalid_request");
}
