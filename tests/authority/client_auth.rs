//! Clients that sign a statement about themselves (`private_key_jwt`, RFC 7523): by which keys, for whom, and once.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate::authority::{ClientAuth, Grant};

use super::flows::encode;
use super::harness::{Answer, Running, START, basic};
use super::signed::jws;
use super::support::keys::{Key, Kind, b64, hs256};

/// Parameters of a form.
type Pairs<'a> = Vec<(&'a str, &'a str)>;
type Header = (&'static str, String);

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn keys() -> [Key; 3] {
    [Key::of(Kind::Rsa, 0, "r"), Key::of(Kind::P256, 0, "p"), Key::of(Kind::Ed25519, 0, "e")]
}

/// An authority with the client `signer`, whose keys are these.
fn start() -> Running {
    Running::with(|settings| {
        let mut signer = settings.clients[0].clone();
        (signer.id, signer.secret, signer.auth) = ("signer".into(), None, Some(ClientAuth::PrivateKeyJwt));
        signer.grants = vec![Grant::ClientCredentials, Grant::DeviceCode, Grant::AuthorizationCode];
        signer.redirect_uris = vec!["http://127.0.0.1:4999/cb".into()];
        signer.jwks = Some(json!({ "keys": keys().map(|key| key.jwk()) }));
        settings.clients.push(signer);
    })
}

/// Claims of a good assertion.
fn claims(authority: &Running) -> Value {
    json!({
        "iss": "signer", "sub": "signer", "aud": format!("http://{}", authority.address), "iat": START, "exp": START + 60,
        "jti": tollgate::secret::random_id(),
    })
}

fn send(authority: &Running, path: &str, assertion: &str, extra: &[(&str, &str)]) -> Answer {
    let body = [&[("client_assertion_type", TYPE), ("client_assertion", assertion)], extra].concat();
    authority.post(path, &[], &encode(&body))
}

fn ask(authority: &Running, assertion: &str) -> Answer {
    send(authority, "/token", assertion, &[("grant_type", "client_credentials")])
}

#[test]
fn an_assertion_proves_the_client_at_every_endpoint() {
    let authority = start();
    let [rsa, p256, ed] = keys();
    for (key, alg) in [(&rsa, "RS256"), (&rsa, "PS256"), (&p256, "ES256"), (&ed, "EdDSA"), (&ed, "Ed25519")] {
        for header in [json!({ "alg": alg }), json!({ "alg": alg, "kid": key.kid, "typ": "client-authentication+jwt" })]
        {
            let answer = ask(&authority, &jws(key, &header, &claims(&authority)));
            assert_eq!((answer.status, &answer.claims()["sub"]), (200, &json!("signer")), "{header}: {answer:?}");
        }
    }
    let cases: [(&str, Pairs<'_>, u16); 6] = [
        ("/token", vec![("grant_type", "client_credentials"), ("client_id", "signer")], 200),
        ("/introspect", vec![("token", "x")], 200),
        ("/revoke", vec![("token", "x")], 200),
        ("/device_authorization", vec![], 200),
        ("/par", vec![("client_id", "signer"), ("response_type", "code"), ("scope", "orders:read")], 201),
        ("/par", vec![("client_id", "machine")], 400),
    ];
    for (path, extra, status) in cases {
        let issuer = format!("http://{}", authority.address);
        for audience in
            [json!(issuer), json!(format!("{issuer}/token")), json!([format!("{issuer}{path}"), "https://b"])]
        {
            let mut claims = claims(&authority);
            claims["aud"] = audience.clone();
            let answer = send(&authority, path, &jws(&p256, &json!({ "alg": "ES256" }), &claims), &extra);
            assert_eq!(answer.status, status, "{path} {audience}: {answer:?}");
        }
    }
}

#[test]
fn what_does_not_prove_the_client_is_refused() {
    let authority = start();
    let issuer = format!("http://{}", authority.address);
    let [rsa, p256, _] = keys();
    let header = json!({ "alg": "ES256", "kid": "p" });
    let with = |changes: &[(&str, Value)]| {
        let mut claims = claims(&authority);
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        jws(&p256, &header, &claims)
    };
    let by = |key: &Key, header: Value| jws(key, &header, &claims(&authority));
    let (head, _) = by(&p256, header.clone()).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let symmetric = format!("{}.{}", b64(json!({ "alg": "HS256" }).to_string()), b64(claims(&authority).to_string()));
    let symmetric = format!("{symmetric}.{}", b64(hs256(b"machine-secret", symmetric.as_bytes())));
    let none = format!("{}.{}.", b64(json!({ "alg": "none" }).to_string()), b64(claims(&authority).to_string()));
    let cases = [
        ("another issuer", with(&[("iss", json!("machine"))])),
        ("no issuer", with(&[("iss", Value::Null)])),
        ("no subject", with(&[("sub", Value::Null)])),
        ("an unknown subject", with(&[("sub", json!("nobody")), ("iss", json!("nobody"))])),
        ("a client of secrets", with(&[("sub", json!("machine")), ("iss", json!("machine"))])),
        ("a public client", with(&[("sub", json!("public")), ("iss", json!("public"))])),
        ("no audience", with(&[("aud", Value::Null)])),
        ("an empty audience", with(&[("aud", json!([]))])),
        ("another audience", with(&[("aud", json!("https://other.example"))])),
        ("an audience that is longer", with(&[("aud", json!(format!("{issuer}/")))])),
        ("another endpoint", with(&[("aud", json!(format!("{issuer}/introspect")))])),
        ("no end", with(&[("exp", Value::Null)])),
        ("an end in words", with(&[("exp", json!("soon"))])),
        ("over", with(&[("exp", json!(START))])),
        ("too long", with(&[("exp", json!(START + 3661))])),
        ("not yet", with(&[("nbf", json!(START + 61))])),
        ("a beginning in words", with(&[("nbf", json!("now"))])),
        ("made in the future", with(&[("iat", json!(START + 61))])),
        ("no jti", with(&[("jti", Value::Null)])),
        ("an empty jti", with(&[("jti", json!(""))])),
        ("a long jti", with(&[("jti", json!("x".repeat(257)))])),
        ("another key", by(&Key::of(Kind::P256, 1, "p"), header.clone())),
        ("the kid of another key", by(&p256, json!({ "alg": "ES256", "kid": "r" }))),
        ("an unknown kid", by(&p256, json!({ "alg": "ES256", "kid": "x" }))),
        ("a DPoP proof", by(&p256, json!({ "alg": "ES256", "typ": "dpop+jwt" }))),
        ("an access token's typ", by(&rsa, json!({ "alg": "RS256", "typ": "at+jwt" }))),
        ("a critical extension", by(&p256, json!({ "alg": "ES256", "crit": ["exp"] }))),
        ("no signature", format!("{head}.")),
        ("alg none", none),
        ("a secret as key", symmetric),
        ("words", "not an assertion".into()),
    ];
    for (name, assertion) in cases {
        let answer = ask(&authority, &assertion);
        assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_client")), "{name}: {answer:?}");
    }
    let once = with(&[]);
    assert_eq!((ask(&authority, &once).status, ask(&authority, &once).status), (200, 401), "once");
    authority.clock.advance(Duration::from_secs(59));
    assert_eq!(ask(&authority, &once).status, 401, "to its end");
    let edges = with(&[("exp", json!(START + 59 + 3660)), ("nbf", json!(START + 119))]);
    assert_eq!(ask(&authority, &edges).status, 200, "the clocks may be a minute apart");
}

#[test]
fn two_ways_at_once_or_half_of_one_are_refused() {
    let authority = start();
    let good = || jws(&keys()[1], &json!({ "alg": "ES256" }), &claims(&authority));
    let grant = ("grant_type", "client_credentials");
    let (kind, text) = (("client_assertion_type", TYPE), good());
    let saml = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer");
    let basic = [basic("machine", "machine-secret")];
    let assertion = ("client_assertion", text.as_str());
    let cases: [(&str, &[Header], Pairs<'_>, u16, &str); 7] = [
        ("a secret in the header", &basic, vec![grant, kind, assertion], 400, "invalid_request"),
        ("a secret in the body", &[], vec![grant, kind, assertion, ("client_secret", "x")], 400, "invalid_request"),
        ("another client", &[], vec![grant, kind, assertion, ("client_id", "machine")], 400, "invalid_request"),
        ("no type", &[], vec![grant, assertion], 400, "invalid_request"),
        ("the type alone", &[], vec![grant, kind, ("client_id", "machine")], 400, "invalid_request"),
        ("another type", &[], vec![grant, saml, assertion], 401, "invalid_client"),
        ("nothing", &[], vec![grant, ("client_id", "signer")], 401, "invalid_client"),
    ];
    for (name, headers, body, status, error) in cases {
        let answer = authority.post("/token", headers, &encode(&body));
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{name}: {answer:?}");
    }
    assert_eq!(ask(&authority, &text).status, 200, "none of these used the assertion up");
}
