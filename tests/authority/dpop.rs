//! DPoP at the authority (RFC 9449): tokens bound to a key, where the proof of it is asked for, and what is no proof.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tollgate::authority::Client;

use super::flows::{BACK, Browser, VERIFIER, answer_in, encode, request, start, start_with};
use super::harness::{Answer, Running, START, basic};
use super::signed::{ath, jwk, jws, key, parts, proof, thumbprint};
use super::support::keys::{Key, Kind, b64, hs256};

const GRANT: &str = "grant_type=client_credentials";

fn url(authority: &Running, path: &str) -> String {
    format!("http://{}{path}", authority.address)
}

fn machine() -> (&'static str, String) {
    basic("machine", "machine-secret")
}

/// Redeems a code of `app` with a proof by `key`, or without one.
fn redeem(authority: &Running, code: &str, key: Option<&Key>) -> Answer {
    let body = [
        ("grant_type", "authorization_code"),
        ("client_id", "app"),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ];
    let proof: Vec<_> = key.map(|key| proof(key, "POST", &url(authority, "/token"), &[])).into_iter().collect();
    authority.post("/token", &proof, &encode(&body))
}

fn code(authority: &Running, changes: &[(&str, &str)]) -> String {
    answer_in(&Browser::new(authority).go(&request("app", changes)), '?')["code"].clone()
}

fn refresh(authority: &Running, tokens: &Value, key: Option<&Key>) -> Answer {
    let token = tokens["refresh_token"].as_str().unwrap();
    let body = [("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", token)];
    let proof: Vec<_> = key.map(|key| proof(key, "POST", &url(authority, "/token"), &[])).into_iter().collect();
    authority.post("/token", &proof, &encode(&body))
}

#[test]
fn a_proof_binds_the_token_to_its_key_by_every_algorithm() {
    let authority = Running::start();
    let keys = [key(0), Key::of(Kind::Rsa, 0, "r"), Key::of(Kind::Ed25519, 0, "e")];
    for (key, alg) in [(0, "ES256"), (1, "RS256"), (1, "PS256"), (2, "EdDSA"), (2, "Ed25519")] {
        let key = &keys[key];
        let (mut header, claims) = parts(key, "POST", &url(&authority, "/token"));
        header["alg"] = json!(alg);
        let answer = authority.post("/token", &[machine(), ("dpop", jws(key, &header, &claims))], GRANT);
        assert_eq!((answer.status, &answer.json()["token_type"]), (200, &json!("DPoP")), "{alg}: {answer:?}");
        let cnf = json!({ "jkt": thumbprint(key) });
        assert_eq!(answer.claims()["cnf"], cnf, "{alg}");
        let body = encode(&[("token", answer.json()["access_token"].as_str().unwrap())]);
        let told = authority.post("/introspect", &[machine()], &body).json();
        assert_eq!((&told["active"], &told["cnf"], &told["token_type"]), (&json!(true), &cnf, &json!("DPoP")), "{alg}");
    }
    let plain = authority.post("/token", &[machine()], GRANT);
    assert_eq!((&plain.json()["token_type"], &plain.claims()["cnf"]), (&json!("Bearer"), &Value::Null));
}

#[test]
fn what_is_no_proof_is_refused() {
    let authority = Running::start();
    let (good, token_url) = (key(0), url(&authority, "/token"));
    type Change = Box<dyn Fn(&mut Value, &mut Value)>;
    let header =
        |name: &'static str, value: Value| -> Change { Box::new(move |header, _| header[name] = value.clone()) };
    let claim =
        |name: &'static str, value: Value| -> Change { Box::new(move |_, claims| claims[name] = value.clone()) };
    let without = |name: &'static str| -> Change {
        Box::new(move |header, claims| {
            header.as_object_mut().unwrap().remove(name);
            claims.as_object_mut().unwrap().remove(name);
        })
    };
    let mut private = jwk(&good);
    private["d"] = json!("AAAA");
    let cases: Vec<(&str, Change)> = vec![
        ("another typ", header("typ", json!("JWT"))),
        ("typ in another case", header("typ", json!("DPoP+JWT"))),
        ("no typ", without("typ")),
        ("no jwk", without("jwk")),
        ("another key", header("jwk", jwk(&key(1)))),
        ("a private key", header("jwk", private)),
        ("a symmetric key", header("jwk", json!({ "kty": "oct", "k": "AAAA" }))),
        ("a key that is a list", header("jwk", json!([jwk(&good)]))),
        ("a critical extension", header("crit", json!(["exp"]))),
        ("no htm", without("htm")),
        ("another method", claim("htm", json!("GET"))),
        ("the method in another case", claim("htm", json!("post"))),
        ("no htu", without("htu")),
        ("another path", claim("htu", json!(url(&authority, "/userinfo")))),
        ("another host", claim("htu", json!("http://evil.example/token"))),
        ("another scheme", claim("htu", json!(token_url.replace("http:", "https:")))),
        ("a path alone", claim("htu", json!("/token"))),
        ("no iat", without("iat")),
        ("iat in words", claim("iat", json!("now"))),
        ("an old one", claim("iat", json!(START - 61))),
        ("one of the future", claim("iat", json!(START + 61))),
        ("no jti", without("jti")),
        ("an empty jti", claim("jti", json!(""))),
        ("a long jti", claim("jti", json!("x".repeat(257)))),
        ("a jti that is a number", claim("jti", json!(7))),
    ];
    for (name, change) in cases {
        let (mut header, mut claims) = parts(&good, "POST", &token_url);
        change(&mut header, &mut claims);
        refused(&authority, name, &[("dpop", jws(&good, &header, &claims))]);
    }
    let (header, claims) = parts(&good, "POST", &token_url);
    let signed = jws(&good, &header, &claims);
    let (head, signature) = signed.rsplit_once('.').unwrap();
    let with_alg = |alg: &str| {
        let mut header = header.clone();
        header["alg"] = json!(alg);
        format!("{}.{}", b64(header.to_string()), b64(claims.to_string()))
    };
    let symmetric = with_alg("HS256");
    for (name, text) in [
        ("an empty one", String::new()),
        ("words", "not a proof".into()),
        ("no signature", format!("{head}.")),
        ("a broken signature", format!("{head}.{}", signature.replace(|c: char| c != '-', "A"))),
        ("alg none", format!("{}.", with_alg("none"))),
        ("alg of another kind of key", format!("{}.{signature}", with_alg("RS256"))),
        ("a symmetric alg", format!("{symmetric}.{}", b64(hs256(b"", symmetric.as_bytes())))),
    ] {
        refused(&authority, name, &[("dpop", text)]);
    }
    refused(&authority, "two of them", &[proof(&good, "POST", &token_url, &[]), proof(&good, "POST", &token_url, &[])]);
    let once = [machine(), ("dpop", signed)];
    assert_eq!(authority.post("/token", &once, GRANT).status, 200);
    refused(&authority, "a second time", &once[1..]);
    authority.clock.advance(Duration::from_secs(60));
    refused(&authority, "a second time, later", &once[1..]);
    let edges =
        [START, START + 120].map(|iat| proof(&good, "POST", &format!("{token_url}?x#y"), &[("iat", json!(iat))]));
    for edge in edges {
        assert_eq!(authority.post("/token", &[machine(), edge], GRANT).status, 200, "the edges of the window");
    }
}

fn refused(authority: &Running, name: &str, proofs: &[(&str, String)]) {
    let answer = authority.post("/token", &[&[machine()], proofs].concat(), GRANT);
    let error = &answer.json()["error"];
    assert_eq!((answer.status, error), (400, &json!("invalid_dpop_proof")), "{name}: {answer:?}");
}

#[test]
fn refresh_tokens_of_public_clients_are_bound_to_the_key() {
    let authority = start();
    let first = redeem(&authority, &code(&authority, &[]), Some(&key(0))).json();
    assert_eq!(first["token_type"], "DPoP", "{first}");
    for wrong in [None, Some(key(1))] {
        let answer = refresh(&authority, &first, wrong.as_ref());
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_grant")), "{answer:?}");
    }
    let second = refresh(&authority, &first, Some(&key(0)));
    assert_eq!(
        (second.status, &second.claims()["cnf"]["jkt"]),
        (200, &json!(thumbprint(&key(0)))),
        "a slip costs nothing"
    );
    let third = refresh(&authority, &second.json(), Some(&key(1)));
    assert_eq!(third.json()["error"], "invalid_grant", "the next one is bound as well");

    // A client that authenticates may change its key (section 5).
    let body = encode(&[("grant_type", "password"), ("username", "alice"), ("password", "wonderland")]);
    let by = |slot| proof(&key(slot), "POST", &url(&authority, "/token"), &[]);
    let tokens = authority.post("/token", &[basic("web", "web-secret"), by(0)], &body).json();
    let body = encode(&[("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())]);
    let renewed = authority.post("/token", &[basic("web", "web-secret"), by(1)], &body);
    assert_eq!(renewed.claims()["cnf"]["jkt"], json!(thumbprint(&key(1))));
}

#[test]
fn a_code_can_be_bound_to_a_key_beforehand() {
    let authority = start();
    let jkt = thumbprint(&key(0));
    for (name, shown, status) in [("its key", Some(key(0)), 200), ("another", Some(key(1)), 400), ("none", None, 400)] {
        let answer = redeem(&authority, &code(&authority, &[("dpop_jkt", &jkt)]), shown.as_ref());
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        if status == 400 {
            assert_eq!(answer.json()["error"], "invalid_grant", "{name}");
        }
    }
    let bad = answer_in(&Browser::new(&authority).authorize(&request("app", &[("dpop_jkt", &jkt[1..])])), '?');
    assert_eq!(bad["error"], "invalid_request");

    // A pushed request is bound by a proof, by the parameter, or by both if they agree (section 10.1).
    let push = |key: Option<&Key>, jkt: &str| {
        let proof: Vec<_> = key.map(|key| proof(key, "POST", &url(&authority, "/par"), &[])).into_iter().collect();
        authority.post("/par", &proof, &encode(&request("app", &[("dpop_jkt", jkt)])))
    };
    let other = push(Some(&key(1)), &jkt);
    assert_eq!((other.status, &other.json()["error"]), (400, &json!("invalid_request")));
    let elsewhere = [proof(&key(0), "POST", &url(&authority, "/token"), &[])];
    let elsewhere = authority.post("/par", &elsewhere, &encode(&request("app", &[])));
    assert_eq!((elsewhere.status, &elsewhere.json()["error"]), (400, &json!("invalid_dpop_proof")));
    for (shown, named) in [(Some(key(0)), ""), (None, jkt.as_str()), (Some(key(0)), jkt.as_str())] {
        let pushed = push(shown.as_ref(), named).json();
        let reference = [("client_id", "app"), ("request_uri", pushed["request_uri"].as_str().unwrap())];
        let code = answer_in(&Browser::new(&authority).go(&reference), '?')["code"].clone();
        assert_eq!(redeem(&authority, &code, Some(&key(1))).json()["error"], "invalid_grant", "{named}");
    }
}

#[test]
fn a_client_can_be_held_to_it() {
    let authority = start_with(|client| client.dpop_bound_access_tokens = client.id == "app" || client.id == "machine");
    let answer = authority.post("/token", &[machine()], GRANT);
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_dpop_proof")));
    let good = proof(&key(0), "POST", &url(&authority, "/token"), &[]);
    assert_eq!(authority.post("/token", &[machine(), good], GRANT).json()["token_type"], "DPoP");
    // What comes through the browser is bound to nothing.
    let front =
        answer_in(&Browser::new(&authority).authorize(&request("app", &[("response_type", "code token")])), '#');
    assert_eq!(front["error"], "unauthorized_client");
    let browser = Browser::new(&authority);
    assert!(answer_in(&browser.go(&request("app", &[("response_type", "code id_token")])), '#').contains_key("code"));
}

#[test]
fn userinfo_takes_a_bound_token_with_its_proof_only() {
    let authority = start();
    let tokens = redeem(&authority, &code(&authority, &[]), Some(&key(0))).json();
    let bound = tokens["access_token"].as_str().unwrap();
    let free = redeem(&authority, &code(&authority, &[]), None).json();
    let free = free["access_token"].as_str().unwrap();
    let by = |scheme: &str, token: &str| ("authorization", format!("{scheme} {token}"));
    let prove = |slot, token: &str| proof(&key(slot), "GET", &url(&authority, "/userinfo"), &[ath(token)]);
    let bare = proof(&key(0), "GET", &url(&authority, "/userinfo"), &[]);
    let ask = |headers: &[(&str, String)]| authority.send(Method::GET, "/userinfo", headers, "");
    let answer = ask(&[by("DPoP", bound), prove(0, bound)]);
    assert_eq!((answer.status, &answer.json()["sub"]), (200, &json!("u-alice")), "{answer:?}");
    assert_eq!(ask(&[by("Bearer", free)]).status, 200);
    let cases = [
        ("as a bearer token", vec![by("Bearer", bound)], "invalid_token"),
        ("as a bearer token with a proof", vec![by("Bearer", bound), prove(0, bound)], "invalid_token"),
        ("without a proof", vec![by("DPoP", bound)], "invalid_dpop_proof"),
        ("by another key", vec![by("DPoP", bound), prove(1, bound)], "invalid_token"),
        ("for another token", vec![by("DPoP", bound), prove(0, free)], "invalid_dpop_proof"),
        ("for no token", vec![by("DPoP", bound), bare], "invalid_dpop_proof"),
        ("a token that is not bound", vec![by("DPoP", free), prove(0, free)], "invalid_token"),
        ("a token that is none", vec![by("DPoP", "x"), prove(0, "x")], "invalid_token"),
    ];
    for (name, headers, error) in cases {
        let answer = ask(&headers);
        let challenges = answer.all("www-authenticate");
        assert_eq!((answer.status, challenges.len()), (401, 2), "{name}: {answer:?}");
        assert!(challenges[0].contains(&format!("error=\"{error}\"")) && !challenges[1].contains("error"), "{name}");
        let used = headers[0].1.split(' ').next().unwrap();
        assert!(challenges[0].starts_with(used), "{name}: {challenges:?}");
        assert!(challenges.iter().any(|challenge| challenge.starts_with("DPoP algs=\"RS256 ES256")), "{name}");
    }
    let in_form = authority.post("/userinfo", &[], &encode(&[("access_token", bound)]));
    assert_eq!(in_form.status, 401, "a form is a bearer's way");
}

#[test]
fn nonces_are_supplied_and_wanted_when_the_settings_say_so() {
    let authority = Running::with(|settings| {
        settings.dpop_nonce = true;
        settings.clients[0].scopes = vec!["openid".into()];
        settings.clients.push(Client { secret: None, ..settings.clients[0].clone() });
        settings.clients.last_mut().unwrap().id = "app".into();
    });
    let token_url = url(&authority, "/token");
    let ask = |changes: &[(&str, Value)]| {
        authority.post("/token", &[machine(), proof(&key(0), "POST", &token_url, changes)], GRANT)
    };
    let first = ask(&[]);
    assert_eq!((first.status, &first.json()["error"]), (400, &json!("use_dpop_nonce")));
    let nonce = first.header("dpop-nonce").unwrap().to_owned();
    assert!(first.header("access-control-expose-headers").unwrap().contains("dpop-nonce"));
    for wrong in ["", "x", &nonce[1..]] {
        assert_eq!(ask(&[("nonce", json!(wrong))]).json()["error"], "use_dpop_nonce", "{wrong}");
    }
    let good = ask(&[("nonce", json!(nonce))]);
    assert_eq!((good.status, good.header("dpop-nonce")), (200, Some(&*nonce)), "{good:?}");
    // No proof, no nonce.
    assert_eq!(authority.post("/token", &[machine()], GRANT).status, 200);
    authority.clock.advance(Duration::from_secs(600));
    let late = ask(&[("nonce", json!(nonce)), ("iat", json!(START + 600))]);
    assert_eq!(late.json()["error"], "use_dpop_nonce");
    assert_ne!(late.header("dpop-nonce"), Some(&*nonce));

    let headers = [
        ("authorization", "DPoP x".to_owned()),
        proof(&key(0), "GET", &url(&authority, "/userinfo"), &[ath("x"), ("iat", json!(START + 600))]),
    ];
    let answer = authority.send(Method::GET, "/userinfo", &headers, "");
    assert_eq!(answer.status, 401);
    assert!(answer.all("www-authenticate")[0].starts_with("DPoP algs=") && answer.header("dpop-nonce").is_some());
    assert!(answer.all("www-authenticate")[0].contains("error=\"use_dpop_nonce\""));
    assert_eq!(authority.get("/jwks").header("dpop-nonce"), None);
}
