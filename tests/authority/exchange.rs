//! Token exchange (RFC 8693): what comes of a token, what it never gains, and each refusal.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate::authority::{Client, Grant, TokenForm};
use tollgate::secret::Secret;

use super::flows::{Browser, answer_in, encode, is_active, payload, redeem, request, start_and, tokens};
use super::harness::{Answer, Running, START, basic};
use super::signed::{key, proof, thumbprint};

const GRANT: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID: &str = "urn:ietf:params:oauth:token-type:id_token";

/// Name, client, parameters, `error`.
type Case<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, &'a str);

/// The usual clients; an `api` that may exchange, for scopes of which one is not the subject's; and one without a secret.
fn start() -> Running {
    start_and(|settings| {
        let api = Client {
            id: "api".into(),
            secret: Some(Secret::new("web-secret".into())),
            grants: vec![Grant::TokenExchange, Grant::ClientCredentials],
            scopes: ["openid", "orders:read", "orders:write", "stock:read"].map(str::to_owned).to_vec(),
            ..settings.clients[0].clone()
        };
        let opaque = Client { id: "blind".into(), access_tokens: TokenForm::Opaque, ..api.clone() };
        let public = Client { id: "open".into(), secret: None, ..api.clone() };
        settings.clients.extend([api, opaque, public]);
        let web = settings.clients.iter_mut().find(|client| client.id == "web").unwrap();
        web.grants.push(Grant::TokenExchange);
    })
}

fn exchange(authority: &Running, client: &str, parameters: &[(&str, &str)]) -> Answer {
    authority.post("/token", &[basic(client, "web-secret")], &encode(&[&[GRANT], parameters].concat()))
}

fn subject(token: &Value) -> [(&str, &str); 2] {
    [("subject_token", token.as_str().unwrap()), ("subject_token_type", ACCESS)]
}

#[test]
fn a_token_speaks_for_the_same_person_elsewhere() {
    let authority = start();
    for client in ["web", "opaque"] {
        let had = tokens(&authority, client, &[]);
        authority.clock.advance(Duration::from_secs(60));
        let target = [("resource", "https://stock.example/"), ("audience", "stock"), ("audience", "stock")];
        let answer = exchange(&authority, "api", &[&subject(&had["access_token"])[..], &target].concat());
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["issued_token_type"], &body["token_type"]),
            (200, &json!(ACCESS), &json!("Bearer"))
        );
        assert_eq!(
            (&body["scope"], body.get("refresh_token"), body.get("id_token")),
            (&json!("orders:read"), None, None)
        );
        assert_eq!(body["expires_in"], 240, "no later than the other one");
        let claims = answer.claims();
        assert_eq!(
            (&claims["sub"], &claims["client_id"], &claims["department"]),
            (&json!("u-alice"), &json!("api"), &json!("sales"))
        );
        assert_eq!(claims["aud"], json!(["https://stock.example/", "stock"]));
        assert!(claims["act"].is_null() && claims["auth_time"].is_i64(), "{claims}");
        assert!(is_active(&authority, &body["access_token"]));
    }
}

#[test]
fn an_actor_is_named_and_so_are_those_before() {
    let authority = start();
    let had = tokens(&authority, "web", &[]);
    let machine = |client: &str| {
        let answer =
            authority.post("/token", &[basic(client, "web-secret")], "grant_type=client_credentials&scope=orders:read");
        answer.json()["access_token"].clone()
    };
    let (first, second) = (machine("api"), machine("blind"));
    let actor = |token: &Value| {
        vec![
            ("actor_token".to_owned(), token.as_str().unwrap().to_owned()),
            ("actor_token_type".to_owned(), ACCESS.to_owned()),
        ]
    };
    let ask = |client: &str, token: &Value, actor: &[(String, String)]| {
        let actor: Vec<_> = actor.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        exchange(&authority, client, &[&subject(token)[..], &actor].concat())
    };
    let once = ask("api", &had["access_token"], &actor(&first));
    assert_eq!(once.claims()["act"], json!({ "sub": "api" }));
    let twice = ask("blind", &once.json()["access_token"], &actor(&second)).json();
    let body = encode(&[("token", twice["access_token"].as_str().unwrap())]);
    let told = authority.post("/introspect", &[basic("machine", "machine-secret")], &body).json();
    assert_eq!((&told["sub"], &told["act"]), (&json!("u-alice"), &json!({ "sub": "blind", "act": { "sub": "api" } })));
    let kept = ask("api", &twice["access_token"], &[]);
    assert_eq!(kept.claims()["act"], told["act"], "who acted is not forgotten");
    let mut token = had["access_token"].clone();
    for round in 0..9 {
        let answer = ask("api", &token, &actor(&first));
        assert_eq!(answer.status, if round < 8 { 200 } else { 400 }, "{round}: {answer:?}");
        token = answer.json()["access_token"].clone();
    }
}

#[test]
fn an_exchanged_token_never_gains_and_ends_with_its_origin() {
    let authority = start();
    let had = tokens(&authority, "web", &[("scope", "openid orders:read")]);
    let ask =
        |extra: &[(&str, &str)]| exchange(&authority, "api", &[&subject(&had["access_token"])[..], extra].concat());
    assert_eq!(ask(&[("scope", "openid orders:read")]).json()["scope"], "openid orders:read", "asked for by name");
    for beyond in ["orders:write", "stock:read", "email", "orders:read stock:read"] {
        let answer = ask(&[("scope", beyond)]);
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_scope")), "{beyond}");
    }
    let (jwt, bound) = (
        exchange(&authority, "blind", &[&subject(&had["access_token"])[..], &[("requested_token_type", JWT)]].concat()),
        {
            let token_url = format!("http://{}/token", authority.address);
            let headers = [basic("api", "web-secret"), proof(&key(0), "POST", &token_url, &[])];
            authority.post("/token", &headers, &encode(&[&[GRANT][..], &subject(&had["access_token"])].concat()))
        },
    );
    assert_eq!((&jwt.json()["issued_token_type"], &jwt.claims()["sub"]), (&json!(JWT), &json!("u-alice")));
    assert_eq!(
        (&bound.json()["token_type"], &bound.claims()["cnf"]["jkt"]),
        (&json!("DPoP"), &json!(thumbprint(&key(0))))
    );
    let (one, next) = (ask(&[]).json(), exchange(&authority, "api", &subject(&ask(&[]).json()["access_token"])).json());
    let refresh = encode(&[("token", had["refresh_token"].as_str().unwrap())]);
    assert_eq!(authority.post("/revoke", &[basic("web", "web-secret")], &refresh).status, 200);
    for token in [&one["access_token"], &next["access_token"], &jwt.json()["access_token"]] {
        assert!(!is_active(&authority, token), "{token}");
    }
}

#[test]
fn an_id_token_is_exchanged_by_its_own_client() {
    let authority = start();
    let had = tokens(&authority, "web", &[]);
    let id = [("subject_token", had["id_token"].as_str().unwrap()), ("subject_token_type", ID)];
    let answer = exchange(&authority, "web", &id);
    assert_eq!((answer.status, &answer.claims()["sub"]), (200, &json!("u-alice")), "{answer:?}");
    assert_eq!(answer.json()["scope"], "profile email orders:read orders:write", "what the client may ask for");
    assert_eq!(exchange(&authority, "api", &id).json()["error"], "invalid_request", "another client's");
    authority.clock.advance(Duration::from_secs(300));
    assert_eq!(exchange(&authority, "web", &id).json()["error"], "invalid_request", "over");
}

#[test]
fn each_refusal_has_its_error() {
    let authority = start();
    let had = tokens(&authority, "web", &[]);
    let opaque = tokens(&authority, "opaque", &[]);
    let answer = Browser::new(&authority).go(&request("web", &[]));
    let revoked = redeem(&authority, "web", &answer_in(&answer, '?')["code"], &[]).json();
    let body = encode(&[("token", revoked["access_token"].as_str().unwrap())]);
    authority.post("/revoke", &[basic("web", "web-secret")], &body);
    let good = had["access_token"].as_str().unwrap();
    let forged = format!("{}x", &good[..good.len() - 1]);
    let (token, kind) = (("subject_token", good), ("subject_token_type", ACCESS));
    let (id, revoked) = (had["id_token"].as_str().unwrap(), revoked["access_token"].as_str().unwrap());
    let (opaque, refresh) = (opaque["access_token"].as_str().unwrap(), had["refresh_token"].as_str().unwrap());
    let cases: Vec<Case<'_>> = vec![
        ("no subject", "api", vec![], "invalid_request"),
        ("no type", "api", vec![token], "invalid_request"),
        ("the type alone", "api", vec![kind], "invalid_request"),
        (
            "an unknown type",
            "api",
            vec![token, ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")],
            "invalid_request",
        ),
        ("a refresh token", "api", vec![("subject_token", refresh), kind], "invalid_request"),
        ("words", "api", vec![("subject_token", "x"), kind], "invalid_request"),
        ("a forged token", "api", vec![("subject_token", &forged), kind], "invalid_request"),
        ("a revoked token", "api", vec![("subject_token", revoked), kind], "invalid_request"),
        (
            "an opaque token as JWT",
            "api",
            vec![("subject_token", opaque), ("subject_token_type", JWT)],
            "invalid_request",
        ),
        ("an access token as ID token", "web", vec![token, ("subject_token_type", ID)], "invalid_request"),
        ("an ID token as access token", "web", vec![("subject_token", id), kind], "invalid_request"),
        ("an actor without type", "api", vec![token, kind, ("actor_token", good)], "invalid_request"),
        ("a type without actor", "api", vec![token, kind, ("actor_token_type", ACCESS)], "invalid_request"),
        (
            "an actor that is none",
            "api",
            vec![token, kind, ("actor_token", "x"), ("actor_token_type", ACCESS)],
            "invalid_request",
        ),
        ("an unknown wish", "api", vec![token, kind, ("requested_token_type", ID)], "invalid_request"),
        ("a resource that is none", "api", vec![token, kind, ("resource", "stock")], "invalid_target"),
        ("an audience with a line break", "api", vec![token, kind, ("audience", "a\nb")], "invalid_target"),
        ("a client without the grant", "other", vec![token, kind], "unauthorized_client"),
    ];
    for (name, client, parameters, error) in cases {
        let answer = exchange(&authority, client, &parameters);
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(error)), "{name}: {answer:?}");
    }
    let public = authority.post("/token", &[], &encode(&[GRANT, token, kind, ("client_id", "open")]));
    assert_eq!((public.status, &public.json()["error"]), (400, &json!("unauthorized_client")));
    authority.clock.advance(Duration::from_secs(300));
    assert_eq!(exchange(&authority, "api", &[token, kind]).json()["error"], "invalid_request", "over");
    assert!(payload(good)["exp"] == json!(START + 300));
}
