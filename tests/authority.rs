//! The embedded authority over real sockets: what it announces, the tokens that it gives, and each of its refusals.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

#[path = "authority/attacks.rs"]
mod attacks;
#[path = "authority/authorize_refusals.rs"]
mod authorize_refusals;
#[path = "authority/certification/mod.rs"]
mod certification;
#[path = "authority/client_auth.rs"]
mod client_auth;
#[path = "authority/configured.rs"]
mod configured;
#[path = "authority/dpop.rs"]
mod dpop;
#[path = "authority/elsewhere.rs"]
mod elsewhere;
#[path = "authority/endpoint_refusals.rs"]
mod endpoint_refusals;
#[path = "authority/exchange.rs"]
mod exchange;
#[path = "authority/flow_page.rs"]
mod flow_page;
#[path = "authority/flows.rs"]
mod flows;
#[path = "authority/harness.rs"]
mod harness;
#[path = "authority/promises.rs"]
mod promises;
#[path = "authority/races.rs"]
mod races;
#[path = "authority/refusals.rs"]
mod refusals;
#[path = "authority/sample_api.rs"]
mod sample_api;
#[path = "authority/signed.rs"]
mod signed;
mod support;
#[path = "authority/tls.rs"]
mod tls;

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use jsonwebtoken::jwk::{JwkSet, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use tollgate::authority::{Authority, FaultSettings, OldKeys};

use harness::{Running, START, basic, clock, form, settings};

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

#[test]
fn both_metadata_documents_announce_what_works_and_nothing_else() {
    let authority = Running::start();
    let issuer = format!("http://{}", authority.address);
    let metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "pushed_authorization_request_endpoint": format!("{issuer}/par"),
        "device_authorization_endpoint": format!("{issuer}/device_authorization"),
        "token_endpoint": format!("{issuer}/token"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported":
            ["code", "token", "id_token", "id_token token", "code id_token", "code token", "code id_token token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "grant_types_supported": [
            "authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:token-exchange", "password", "implicit",
        ],
        "dpop_signing_alg_values_supported": ["RS256", "ES256", "EdDSA", "PS256", "Ed25519"],
        "scopes_supported": ["orders:read", "orders:write"],
    });
    let mut metadata = metadata;
    let algorithms = metadata["dpop_signing_alg_values_supported"].clone();
    let mut methods = vec!["client_secret_basic", "client_secret_post", "private_key_jwt"];
    metadata["introspection_endpoint_auth_methods_supported"] = json!(methods);
    methods.push("none");
    for endpoint in ["token", "revocation", "introspection"] {
        let name = format!("{endpoint}_endpoint_auth_methods_supported");
        if endpoint != "introspection" {
            metadata[name] = json!(methods);
        }
        metadata[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")] = algorithms.clone();
    }
    let mut openid = metadata.clone();
    openid["subject_types_supported"] = json!(["public"]);
    openid["id_token_signing_alg_values_supported"] = json!(["RS256", "ES256", "EdDSA", "PS256"]);
    openid["userinfo_endpoint"] = json!(format!("{issuer}/userinfo"));
    openid["end_session_endpoint"] = json!(format!("{issuer}/logout"));
    for channel in ["back", "front"] {
        openid[format!("{channel}channel_logout_supported")] = json!(true);
        openid[format!("{channel}channel_logout_session_supported")] = json!(true);
    }
    openid["claims_supported"] = json!(["acr", "amr", "auth_time", "email", "sid", "sub"]);
    openid["claims_parameter_supported"] = json!(true);
    openid["claim_types_supported"] = json!(["normal"]);
    openid["request_parameter_supported"] = json!(false);
    openid["request_uri_parameter_supported"] = json!(false);
    for (path, expected) in [(OAUTH, metadata), (OPENID, openid)] {
        let answer = authority.get(path);
        assert_eq!((answer.status, answer.json()), (200, expected), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
        let head = authority.send(Method::HEAD, path, &[], "");
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-length").unwrap(), answer.body.len().to_string());
    }
}

#[test]
fn an_issuer_with_a_path_has_its_endpoints_below_it() {
    let authority = Running::with(|settings| settings.issuer.push_str("/tenant"));
    let issuer = format!("http://{}/tenant", authority.address);
    for path in [format!("/tenant{OPENID}"), format!("{OAUTH}/tenant")] {
        let document = authority.get(&path).json();
        assert_eq!(document["issuer"], issuer);
        assert_eq!(document["token_endpoint"], format!("{issuer}/token"));
    }
    let answer =
        authority.post("/tenant/token", &[basic("machine", "machine-secret")], "grant_type=client_credentials");
    assert_eq!(answer.status, 200);
    for elsewhere in [OPENID, OAUTH, "/jwks", "/token", "/tenant"] {
        assert_eq!(authority.get(elsewhere).status, 404, "{elsewhere}");
    }
}

#[test]
fn the_key_set_is_public_and_named_by_thumbprint() {
    let authority = Running::start();
    let answer = authority.get("/jwks");
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
    let keys: JwkSet = serde_json::from_slice(&answer.body).unwrap();
    for jwk in &keys.keys {
        assert!(DecodingKey::from_jwk(jwk).is_ok());
        assert_eq!(jwk.common.key_id, Some(jwk.thumbprint(ThumbprintHash::SHA256).unwrap()));
    }
    let document = answer.json();
    let shown: Vec<_> = document["keys"].as_array().unwrap().iter().map(members).collect();
    let expected = [
        BTreeSet::from(["kty", "n", "e", "kid", "use", "alg"]),
        BTreeSet::from(["kty", "crv", "x", "y", "kid", "use", "alg"]),
        BTreeSet::from(["kty", "crv", "x", "kid", "use", "alg"]),
        BTreeSet::from(["kty", "n", "e", "kid", "use", "alg"]),
    ];
    assert_eq!(shown, expected);
    let modulus = URL_SAFE_NO_PAD.decode(document["keys"][0]["n"].as_str().unwrap()).unwrap();
    assert_eq!((modulus.len(), modulus[0] >> 7), (256, 1), "2048 bits, no leading zero");
}

fn members(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn tokens_verify_against_the_published_keys() {
    let authority = Running::start();
    let keys: JwkSet = serde_json::from_slice(&authority.get("/jwks").body).unwrap();
    for (client, algorithm) in [
        ("machine", Algorithm::RS256),
        ("machine-es256", Algorithm::ES256),
        ("machine-eddsa", Algorithm::EdDSA),
        ("machine-ps256", Algorithm::PS256),
    ] {
        let answer = authority.post(
            "/token",
            &[basic(client, "machine-secret")],
            "grant_type=client_credentials&scope=orders%3Aread",
        );
        assert_eq!(answer.status, 200, "{client}: {answer:?}");
        let answer = answer.json();
        let token = answer["access_token"].as_str().unwrap();
        let header = decode_header(token).unwrap();
        assert_eq!((header.alg, header.typ.as_deref()), (algorithm, Some("at+jwt")));
        let key = keys.find(&header.kid.unwrap()).unwrap();
        let claims = claims(token, key, algorithm);
        assert_eq!(claims["sub"], client);
        assert_eq!(claims["client_id"], client);
        assert_eq!(claims["scope"], "orders:read");
    }
}

/// The claims of a token whose signature and audience are right; times are judged by the test's clock, not this one.
fn claims(token: &str, key: &jsonwebtoken::jwk::Jwk, algorithm: Algorithm) -> Value {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.set_audience(&["https://api.example"]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims
}

#[test]
fn the_answer_and_the_claims_are_those_of_the_specifications() {
    let authority = Running::start();
    let issuer = format!("http://{}", authority.address);
    let ask = || authority.post("/token", &[basic("machine", "machine-secret")], "grant_type=client_credentials");
    let answer = ask();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(members(&body), BTreeSet::from(["access_token", "token_type", "expires_in", "scope"]));
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(300)));
    assert_eq!(body["scope"], "orders:read orders:write");
    let mut claims = answer.claims();
    let first_id = claims["jti"].take();
    assert_eq!(
        claims,
        json!({
            "iss": issuer, "sub": "machine", "aud": "https://api.example", "client_id": "machine",
            "iat": START, "exp": START + 300, "jti": null, "scope": "orders:read orders:write",
        })
    );
    assert_ne!(first_id, ask().claims()["jti"], "every token has its own id");
    authority.clock.advance(Duration::from_secs(7));
    assert_eq!(ask().claims()["iat"], START + 7);
}

#[test]
fn scopes_and_resources_narrow_the_token() {
    let authority = Running::start();
    let urn = "urn:example:api";
    let cases: [(&str, &str, Value, Value); 9] = [
        ("machine", "", json!("orders:read orders:write"), json!("https://api.example")),
        ("machine", "scope=", json!("orders:read orders:write"), json!("https://api.example")),
        ("machine", "scope=orders%3Awrite", json!("orders:write"), json!("https://api.example")),
        ("machine", "scope=orders:write+orders:read", json!("orders:write orders:read"), json!("https://api.example")),
        ("machine", "scope=orders:read+orders:read", json!("orders:read"), json!("https://api.example")),
        ("scopeless", "", Value::Null, json!("https://api.example")),
        (
            "machine",
            "resource=https://a.example/x?y&scope=orders:read",
            json!("orders:read"),
            json!("https://a.example/x?y"),
        ),
        ("scopeless", "resource=urn%3Aexample%3Aapi&resource=urn:example:api", Value::Null, json!(urn)),
        ("scopeless", "resource=urn:example:api&resource=https://b", Value::Null, json!([urn, "https://b"])),
    ];
    for (client, asked, scope, audience) in cases {
        let body = format!("grant_type=client_credentials&{asked}");
        let answer = authority.post("/token", &[basic(client, "machine-secret")], &body);
        assert_eq!(answer.status, 200, "{asked}: {answer:?}");
        assert_eq!(answer.json()["scope"], scope, "{asked}");
        assert_eq!((&answer.claims()["scope"], &answer.claims()["aud"]), (&scope, &audience), "{asked}");
    }
}

#[test]
fn clients_authenticate_in_either_way_with_any_characters() {
    let authority = Running::start();
    let odd_id = form("odd: client/\u{eb}");
    let odd_secret = form(harness::ODD_SECRET);
    let (grant, plain_post) = ("grant_type=client_credentials", "client_id=machine&client_secret=machine-secret");
    let cases = [
        (Some(basic("machine", "machine-secret")), grant.to_owned()),
        (Some(basic("machine", "machine-secret")), format!("{grant}&client_id=machine")),
        (Some(basic(&odd_id, &odd_secret)), grant.to_owned()),
        (None, format!("{grant}&{plain_post}")),
        (None, format!("{plain_post}&{grant}&unknown=ignored")),
        (None, format!("{grant}&client_id={odd_id}&client_secret={odd_secret}")),
        (None, format!("{grant}&client_id=only-post&client_secret=machine-secret")),
        (Some(basic("only-basic", "machine-secret")), grant.to_owned()),
        (Some(("authorization", format!("bAsIc  {}", STANDARD.encode("machine:machine-secret")))), grant.to_owned()),
    ];
    for (header, body) in cases {
        let answer = authority.post("/token", header.as_slice(), &body);
        assert_eq!(answer.status, 200, "{header:?} {body}: {answer:?}");
    }
    for kind in ["Application/X-WWW-Form-Urlencoded ; charset=UTF-8", "application/x-www-form-urlencoded"] {
        let headers = [("content-type", kind.to_owned()), basic("machine", "machine-secret")];
        assert_eq!(authority.send(Method::POST, "/token", &headers, grant).status, 200, "{kind}");
    }
}

#[test]
fn a_rotation_signs_with_new_keys_and_keeps_or_withdraws_the_old() {
    let authority = Running::start();
    let ask = || {
        let answer = authority.post("/token", &[basic("machine", "machine-secret")], "grant_type=client_credentials");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    };
    let published = |token: &str| -> bool {
        let keys: JwkSet = serde_json::from_slice(&authority.get("/jwks").body).unwrap();
        let kid = decode_header(token).unwrap().kid.unwrap();
        keys.find(&kid).is_some_and(|key| claims(token, key, Algorithm::RS256)["sub"] == "machine")
    };
    let first = ask();
    authority.control.rotate(OldKeys::Published).unwrap();
    let second = ask();
    assert!(published(&first) && published(&second));
    assert_ne!(decode_header(&first).unwrap().kid, decode_header(&second).unwrap().kid);
    authority.control.rotate(OldKeys::Withdrawn).unwrap();
    assert!(!published(&first) && !published(&second) && published(&ask()));
}

#[test]
fn the_front_page_shows_what_there_is_and_no_secret() {
    let authority = Running::start();
    let answer = authority.get("/");
    let page = answer.text();
    for shown in ["Development only", "machine-es256", "alice", "orders:write", "client_credentials", "/jwks"] {
        assert!(page.contains(shown), "{shown}");
    }
    for hidden in ["machine-secret", "wonderland", "<script", "<b>", harness::ODD_SECRET] {
        assert!(!page.contains(hidden), "{hidden}");
    }
    assert!(page.contains("&lt;b&gt;bob&lt;/b&gt;"), "names are escaped");
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let digest = STANDARD.encode(tollgate::secret::sha256(style.as_bytes()));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';") && policy.contains(&format!("'sha256-{digest}'")), "{policy}");
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    let mut twice = settings("http://127.0.0.1");
    twice.clients.push(twice.clients[0].clone());
    let mut open = settings("http://127.0.0.1");
    open.faults = Some(FaultSettings { control: Some("0.0.0.0:0".parse().unwrap()), on: Vec::new() });
    for (settings, why) in [
        (twice, "two clients"),
        (settings("not a url"), "issuer"),
        (settings("http://a/?b"), "issuer"),
        (open, "loopback only"),
    ] {
        let error = Authority::bind(settings, clock()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(why), "{error}");
    }
}
