use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::config::model::KeySource;
use crate::token::envelope::MAX_CANDIDATES;
use crate::token::testing::{self, RSA_1024_N, TestKey, b64};

const ISSUER: &str = "https://login.acme.example";
const AUDIENCE: &str = "https://api.acme.example";
const NOW: i64 = 1_700_000_000;

fn issuer(profile: Profile, token_types: &[&str]) -> Issuer {
    let token_type = |name: &&str| match *name {
        "absent" => TokenType::Absent,
        name => TokenType::Named(name.to_owned()),
    };
    Issuer {
        name: "acme".into(),
        issuer: ISSUER.into(),
        audiences: vec!["other".into(), AUDIENCE.into()],
        profile,
        token_types: token_types.iter().map(token_type).collect(),
        keys: KeySource::Discovery,
        algorithms: [
            jsonwebtoken::AlgorithmFamily::Rsa,
            jsonwebtoken::AlgorithmFamily::Ec,
            jsonwebtoken::AlgorithmFamily::Ed,
        ]
        .iter()
        .flat_map(|family| family.algorithms().to_vec())
        .collect(),
        clock_skew: Duration::from_secs(30),
        required_claims: Vec::new(),
        ca_file: None,
        allow_http: false,
        max_stale: Duration::from_secs(86_400),
        refetch_cooldown: Duration::from_secs(5),
        introspection: None,
    }
}

fn strict() -> IssuerChecks {
    IssuerChecks::new(&issuer(Profile::Rfc9068, &["at+jwt"]), 3)
}

fn jwks() -> Value {
    let mut weak = testing::rsa().jwk("weak");
    weak["n"] = json!(RSA_1024_N);
    let mut encryption = testing::p256().jwk("enc");
    encryption["use"] = json!("enc");
    let [rsa, ec, ec384, ed] = [testing::rsa(), testing::p256(), testing::p384(), testing::ed25519()];
    json!({"keys": [rsa.jwk("rsa"), ec.jwk("ec"), ec384.jwk("ec384"), ed.jwk("ed"), weak, encryption]})
}

fn keys() -> KeySet {
    KeySet::parse(jwks().to_string().as_bytes()).expect("a JWK Set")
}

fn good_header() -> Value {
    json!({"alg": "ES256", "typ": "at+jwt", "kid": "ec"})
}

fn good_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "web", "jti": "1", "scope": "orders:read a",
        "iat": NOW - 10, "exp": NOW + 300
    })
}

/// `base` with the members of `changes`; those that are null in it are taken away.
fn patched(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().expect("changes") {
        match value {
            Value::Null => drop(base.as_object_mut().expect("an object").remove(name)),
            value => base[name] = value.clone(),
        }
    }
    base
}

/// A token of these texts, signed as its `alg` says, with the right key for it.
fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let name = serde_json::from_str::<Value>(header).ok().and_then(|header| Some(header["alg"].as_str()?.to_owned()));
    let signature = match crate::token::jwk::algorithm(name.as_deref().unwrap_or_default()) {
        Some(Algorithm::ES256) => testing::p256().sign(Algorithm::ES256, message.as_bytes()),
        Some(Algorithm::ES384) => testing::p384().sign(Algorithm::ES384, message.as_bytes()),
        Some(Algorithm::EdDSA) => testing::ed25519().sign(Algorithm::EdDSA, message.as_bytes()),
        Some(rsa) => testing::rsa().sign(rsa, message.as_bytes()),
        None => b"signature".to_vec(),
    };
    format!("{message}.{}", b64(signature))
}

fn judged(checks: &IssuerChecks, token: &str, now: UnixTime) -> Result<Principal, Rejection> {
    let jws = Jws::parse(token)?;
    checks.check(&jws, now)?;
    checks.verify(&jws, &keys())?;
    Ok(checks.principal(jws))
}

fn code(checks: &IssuerChecks, token: &str) -> &'static str {
    match judged(checks, token, UnixTime::from_secs(NOW)) {
        Ok(_) => "ok",
        Err(rejection) => rejection.code.as_str(),
    }
}

#[test]
fn each_change_to_a_good_token_gets_its_code() {
    let cases: &[(Value, Value, &str)] = &[
        // What is good, and what makes no difference.
        (json!({}), json!({}), "ok"),
        (json!({"typ": "AT+JWT"}), json!({}), "ok"),
        (json!({"typ": "application/at+jwt"}), json!({}), "ok"),
        (json!({"kid": null}), json!({}), "ok"),
        (json!({"alg": "RS256", "kid": "rsa"}), json!({}), "ok"),
        (json!({"alg": "RS384", "kid": "rsa"}), json!({}), "ok"),
        (json!({"alg": "RS512", "kid": null}), json!({}), "ok"),
        (json!({"alg": "PS256", "kid": "rsa"}), json!({}), "ok"),
        (json!({"alg": "PS384", "kid": "rsa"}), json!({}), "ok"),
        (json!({"alg": "PS512", "kid": "rsa"}), json!({}), "ok"),
        (json!({"alg": "ES384", "kid": "ec384"}), json!({}), "ok"),
        (json!({"alg": "EdDSA", "kid": "ed"}), json!({}), "ok"),
        (json!({"alg": "Ed25519", "kid": "ed"}), json!({}), "ok"),
        (json!({"jku": "https://evil.example", "x5u": 5, "jwk": {"kty": "oct"}, "x5c": []}), json!({}), "ok"),
        (json!({}), json!({"aud": ["x", AUDIENCE]}), "ok"),
        (json!({}), json!({"sub": null, "client_id": null, "jti": null, "iat": null, "scope": null}), "ok"),
        (json!({}), json!({"nonce": "n"}), "ok"),
        (json!({}), json!({"nbf": NOW + 30, "iat": NOW + 30}), "ok"),
        (json!({}), json!({"exp": NOW - 29}), "ok"),
        (json!({}), json!({"exp": NOW as f64 + 0.5}), "ok"),
        // The header.
        (json!({"alg": null}), json!({}), "malformed_token"),
        (json!({"alg": 256}), json!({}), "malformed_token"),
        (json!({"alg": "none"}), json!({}), "algorithm_refused"),
        (json!({"alg": "nOnE"}), json!({}), "algorithm_refused"),
        (json!({"alg": ""}), json!({}), "algorithm_refused"),
        (json!({"alg": "HS256"}), json!({}), "algorithm_refused"),
        (json!({"alg": "ES512"}), json!({}), "algorithm_refused"),
        (json!({"alg": "ES256K"}), json!({}), "algorithm_refused"),
        (json!({"alg": "es256"}), json!({}), "algorithm_refused"),
        (json!({"alg": "RS256"}), json!({}), "algorithm_refused"),
        (json!({"alg": "ES384"}), json!({}), "algorithm_refused"),
        (json!({"alg": "EdDSA"}), json!({}), "algorithm_refused"),
        (json!({"kid": "ec384"}), json!({}), "algorithm_refused"),
        (json!({"crit": ["exp"]}), json!({}), "algorithm_refused"),
        (json!({"crit": []}), json!({}), "algorithm_refused"),
        (json!({"b64": false}), json!({}), "algorithm_refused"),
        (json!({"zip": "DEF"}), json!({}), "algorithm_refused"),
        (json!({"enc": "A128GCM"}), json!({}), "algorithm_refused"),
        (json!({"kid": "unknown"}), json!({}), "unknown_key"),
        (json!({"kid": "EC"}), json!({}), "unknown_key"),
        (json!({"kid": ""}), json!({}), "unknown_key"),
        (json!({"kid": "../../etc/passwd"}), json!({}), "unknown_key"),
        (json!({"kid": "enc"}), json!({}), "unknown_key"),
        (json!({"alg": "RS256", "kid": "weak"}), json!({}), "unknown_key"),
        (json!({"kid": 5}), json!({}), "malformed_token"),
        (json!({"kid": "ec\u{0}"}), json!({}), "malformed_token"),
        (json!({"kid": "k".repeat(10_000)}), json!({}), "malformed_token"),
        (json!({"typ": 5}), json!({}), "malformed_token"),
        (json!({"typ": null}), json!({}), "wrong_type"),
        (json!({"typ": "JWT"}), json!({}), "wrong_type"),
        (json!({"typ": "logout+jwt"}), json!({}), "wrong_type"),
        (json!({"typ": "dpop+jwt"}), json!({}), "wrong_type"),
        (json!({"typ": "at+jwt "}), json!({}), "wrong_type"),
        (json!({"typ": "application/application/at+jwt"}), json!({}), "wrong_type"),
        // The claims.
        (json!({}), json!({"iss": null}), "missing_claim"),
        (json!({}), json!({"aud": null}), "missing_claim"),
        (json!({}), json!({"exp": null}), "missing_claim"),
        (json!({}), json!({"iss": "https://login.acme.example/"}), "unknown_issuer"),
        (json!({}), json!({"iss": "https://LOGIN.acme.example"}), "unknown_issuer"),
        (json!({}), json!({"iss": ""}), "unknown_issuer"),
        (json!({}), json!({"iss": [ISSUER]}), "malformed_token"),
        (json!({}), json!({"aud": "https://api.acme.example/"}), "wrong_audience"),
        (json!({}), json!({"aud": ["x", "y"]}), "wrong_audience"),
        (json!({}), json!({"aud": []}), "wrong_audience"),
        (json!({}), json!({"aud": "web"}), "wrong_audience"),
        (json!({}), json!({"aud": [AUDIENCE, 5]}), "malformed_token"),
        (json!({}), json!({"exp": NOW - 30}), "expired"),
        (json!({}), json!({"exp": 0}), "expired"),
        (json!({}), json!({"exp": (NOW + 300).to_string()}), "malformed_token"),
        (json!({}), json!({"exp": 1e300}), "malformed_token"),
        (json!({}), json!({"exp": -1}), "malformed_token"),
        (json!({}), json!({"nbf": NOW + 31}), "not_yet_valid"),
        (json!({}), json!({"iat": NOW + 31}), "not_yet_valid"),
        (json!({}), json!({"nbf": {}}), "malformed_token"),
        (json!({}), json!({"sub": 7}), "malformed_token"),
        (json!({}), json!({"sub": "a\nb"}), "malformed_token"),
        (json!({}), json!({"scope": {"a": 1}}), "malformed_token"),
        (json!({}), json!({"cnf": {"jkt": "x"}}), "malformed_token"),
        (json!({}), json!({"cnf": 5}), "malformed_token"),
        (json!({}), json!({"cnf": {"kid": "1"}}), "bad_binding"),
    ];
    for (header, claims, expected) in cases {
        let token = signed(&patched(good_header(), header).to_string(), &patched(good_claims(), claims).to_string());
        let rejection = judged(&strict(), &token, UnixTime::from_secs(NOW)).err();
        assert_eq!(code(&strict(), &token), *expected, "{header} {claims}: {rejection:?}");
    }
}

#[test]
fn null_is_a_wrong_type_and_no_absence() {
    for name in ["exp", "nbf", "iat", "iss", "aud", "sub", "scope"] {
        let mut claims = good_claims();
        claims[name] = Value::Null;
        assert_eq!(
            code(&strict(), &signed(&good_header().to_string(), &claims.to_string())),
            "malformed_token",
            "{name}"
        );
    }
}

#[test]
fn other_forms_than_three_strict_parts_are_malformed() {
    let (header, claims) = (good_header().to_string(), good_claims().to_string());
    let good = signed(&header, &claims);
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (first, second) = message.split_once('.').expect("three parts");
    let spare = |part: &str| {
        // One of the bits that base64url leaves unread in the last character.
        let next = part.as_bytes()[part.len() - 1] + 1;
        format!("{}{}", &part[..part.len() - 1], char::from(next))
    };
    let double = |name: &str| claims.replacen('{', &format!("{{{name},"), 1);
    let cases: &[(&str, String)] = &[
        ("nothing", String::new()),
        ("opaque", "2YotnFZFEjr1zCsicMWpAA".into()),
        ("two parts", message.to_owned()),
        ("detached", format!("{first}..{signature}")),
        ("dots", "..".into()),
        ("four parts", format!("{good}.x")),
        ("a JWE", format!("{good}.x.y")),
        ("many parts", ".".repeat(9000)),
        ("JSON form", json!({"payload": second, "protected": first, "signature": signature}).to_string()),
        ("padding", format!("{first}.{second}.{signature}==")),
        ("a newline", format!("{good}\n")),
        ("a space in front", format!(" {good}")),
        ("the other alphabet", format!("{first}.{second}.{}", signature.replacen(|c: char| c.is_ascii(), "+", 1))),
        ("unread bits of the signature", format!("{message}.{}", spare(signature))),
        ("too long", signed(&header, &claims.replace("alice", &"a".repeat(13_000)))),
        ("claims twice", signed(&header, &double("\"exp\":1"))),
        ("an audience twice", signed(&header, &double("\"aud\":\"x\""))),
        ("twice, escaped", signed(&header, &double("\"\\u0073ub\":\"root\""))),
        ("twice, deep", signed(&header, &double("\"x\":[{\"a\":1,\"a\":1}]"))),
        ("alg twice", signed(&header.replacen('{', "{\"alg\":\"RS256\",", 1), &claims)),
        ("deep claims", signed(&header, &double(&format!("\"x\":{}{}", "[".repeat(4000), "]".repeat(4000))))),
        ("text after the claims", signed(&header, &format!("{claims}{{}}"))),
        ("claims in an array", signed(&header, &format!("[{claims}]"))),
        ("a nested token", signed(&header, &format!("{good:?}"))),
        ("a header that is no object", signed("\"ES256\"", &claims)),
        ("an empty header", signed("", &claims)),
    ];
    for (name, token) in cases {
        assert_eq!(code(&strict(), token), "malformed_token", "{name}");
    }
    assert_eq!(code(&strict(), &good), "ok");
}

#[test]
fn signatures_that_are_none_are_bad() {
    let message = format!("{}.{}", b64(good_header().to_string()), b64(good_claims().to_string()));
    let stranger = TestKey::p256().sign(Algorithm::ES256, message.as_bytes());
    let mut own = testing::p256().sign(Algorithm::ES256, message.as_bytes());
    assert_eq!(code(&strict(), &format!("{message}.{}", b64(&own))), "ok");
    own[40] ^= 1;
    let mut cases = vec![stranger, own, testing::ed25519().sign(Algorithm::EdDSA, message.as_bytes())];
    cases.extend([0, 1, 63, 64, 65, 1000].map(|length| vec![0; length]));
    cases.extend([64, 1000].map(|length| vec![0xff; length]));
    for signature in cases {
        assert_eq!(code(&strict(), &format!("{message}.{}", b64(&signature))), "bad_signature", "{signature:02x?}");
    }
    let other = patched(good_claims(), &json!({"sub": "root"})).to_string();
    let (_, signature) = signed(&good_header().to_string(), &good_claims().to_string())
        .rsplit_once('.')
        .map(|(m, s)| (m.to_owned(), s.to_owned()))
        .expect("three parts");
    assert_eq!(
        code(&strict(), &format!("{}.{}.{signature}", b64(good_header().to_string()), b64(other))),
        "bad_signature"
    );
}

#[test]
fn a_public_key_is_no_shared_secret() {
    use jsonwebtoken::{EncodingKey, Header, encode};
    let jwk = testing::rsa().jwk("rsa");
    let secrets = [testing::rsa().public_der(), jwk.to_string().into_bytes(), jwk["n"].as_str().expect("n").into()];
    for secret in secrets {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = Header { typ: Some("at+jwt".into()), kid: Some("rsa".into()), ..Header::new(algorithm) };
            let token = encode(&header, &good_claims(), &EncodingKey::from_secret(&secret)).expect("a token");
            assert_eq!(code(&strict(), &token), "algorithm_refused");
        }
    }
}

#[test]
fn an_algorithm_must_be_allowed_here_too() {
    let allowed = Issuer { algorithms: vec![Algorithm::RS256], ..issuer(Profile::Rfc9068, &["at+jwt"]) };
    let token = signed(&good_header().to_string(), &good_claims().to_string());
    let rejection = judged(&IssuerChecks::new(&allowed, 0), &token, UnixTime::from_secs(NOW)).expect_err("ES256");
    assert_eq!(rejection.code, RejectionCode::AlgorithmRefused);
    assert_eq!(rejection.detail, "the alg is ES256; this issuer may use [RS256]");
}

#[test]
fn required_claims_must_say_something() {
    let asking = Issuer { required_claims: vec!["department".into()], ..issuer(Profile::Rfc9068, &["at+jwt"]) };
    let asking = IssuerChecks::new(&asking, 0);
    for (claims, expected) in
        [(json!({}), "missing_claim"), (json!({"department": "sales"}), "ok"), (json!({"department": false}), "ok")]
    {
        let token = signed(&good_header().to_string(), &patched(good_claims(), &claims).to_string());
        assert_eq!(code(&asking, &token), expected, "{claims}");
    }
    let null = good_claims().to_string().replacen('{', "{\"department\":null,", 1);
    assert_eq!(code(&asking, &signed(&good_header().to_string(), &null)), "missing_claim");
}

#[test]
fn profiles_tell_access_tokens_from_others() {
    use Profile::{Auth0, Cognito, Entra, Keycloak, Okta, Rfc9068};
    let generic: &[&str] = &["at+jwt", "JWT", "absent"];
    let cognito = json!({"aud": null, "client_id": AUDIENCE, "token_use": "access"});
    let cases: &[(Profile, Value, Value, &str)] = &[
        (Rfc9068, json!({"typ": "JWT"}), json!({}), "ok"),
        (Rfc9068, json!({"typ": null}), json!({}), "ok"),
        (Rfc9068, json!({"typ": "jwt"}), json!({"nonce": "n"}), "wrong_type"),
        (Rfc9068, json!({"typ": null}), json!({"at_hash": "x"}), "wrong_type"),
        (Rfc9068, json!({"typ": "JWT"}), json!({"c_hash": "x"}), "wrong_type"),
        (Rfc9068, json!({"typ": "JWT"}), json!({"events": {}}), "wrong_type"),
        (Rfc9068, json!({"typ": "JWT"}), json!({"typ": "ID"}), "wrong_type"),
        (Rfc9068, json!({"typ": "JWT"}), json!({"typ": "Refresh"}), "wrong_type"),
        (Rfc9068, json!({"typ": "JWT"}), json!({"typ": "logout"}), "wrong_type"),
        (Rfc9068, json!({"typ": "at+jwt"}), json!({"typ": "ID"}), "ok"),
        (Okta, json!({"typ": null}), json!({"scope": null, "scp": ["a"], "cid": "web"}), "ok"),
        (Okta, json!({"typ": null}), json!({"cid": "web", "nonce": "n"}), "wrong_type"),
        (Okta, json!({"typ": null}), json!({}), "wrong_type"),
        (Okta, json!({}), json!({}), "ok"),
        (Auth0, json!({"typ": "JWT"}), json!({"azp": "web"}), "ok"),
        (Auth0, json!({"typ": "JWT"}), json!({"azp": "web", "nonce": "n"}), "wrong_type"),
        (Auth0, json!({"typ": "JWT"}), json!({}), "wrong_type"),
        (Auth0, json!({}), json!({}), "ok"),
        (Entra, json!({"typ": "JWT"}), json!({"scope": null, "scp": "a b"}), "ok"),
        (Entra, json!({"typ": "JWT"}), json!({"roles": ["a"], "azp": "web"}), "ok"),
        (Entra, json!({"typ": "JWT"}), json!({"roles": ["a"], "appid": "web"}), "ok"),
        (Entra, json!({"typ": "JWT"}), json!({"roles": ["a"]}), "wrong_type"),
        (Entra, json!({"typ": "JWT"}), json!({"azp": "web"}), "wrong_type"),
        (Entra, json!({"typ": "JWT"}), json!({"idtyp": "app"}), "ok"),
        (Entra, json!({"typ": "JWT"}), json!({}), "wrong_type"),
        (Entra, json!({"typ": "JWT"}), json!({"scp": "a", "nonce": "n"}), "wrong_type"),
        (Keycloak, json!({"typ": "JWT"}), json!({"typ": "Bearer"}), "ok"),
        (Keycloak, json!({"typ": "JWT"}), json!({"typ": "Bearer", "nonce": "n"}), "ok"),
        (Keycloak, json!({"typ": "JWT"}), json!({}), "wrong_type"),
        (Keycloak, json!({"typ": "JWT"}), json!({"nonce": "n"}), "wrong_type"),
        (Keycloak, json!({"typ": "JWT"}), json!({"typ": "ID"}), "wrong_type"),
        (Keycloak, json!({"typ": "JWT"}), json!({"typ": "Offline"}), "wrong_type"),
        (Keycloak, json!({"typ": "JWT"}), json!({"typ": "DPoP", "cnf": {}}), "bad_binding"),
        (Cognito, json!({"typ": null}), cognito.clone(), "ok"),
        (Cognito, json!({"typ": null}), patched(cognito, &json!({"client_id": "x"})), "wrong_audience"),
        (
            Cognito,
            json!({"typ": null}),
            json!({"aud": null, "client_id": null, "token_use": "access"}),
            "missing_claim",
        ),
        (Cognito, json!({"typ": null}), json!({"aud": AUDIENCE, "client_id": "x", "token_use": "access"}), "ok"),
        (
            Cognito,
            json!({"typ": null}),
            json!({"aud": "x", "client_id": AUDIENCE, "token_use": "access"}),
            "wrong_audience",
        ),
        (Cognito, json!({"typ": null}), json!({"aud": null, "token_use": "id"}), "wrong_type"),
        (Cognito, json!({"typ": null}), json!({"aud": null}), "wrong_type"),
    ];
    for (profile, header, claims, expected) in cases {
        let checks = IssuerChecks::new(&issuer(*profile, generic), 0);
        let token = signed(&patched(good_header(), header).to_string(), &patched(good_claims(), claims).to_string());
        assert_eq!(code(&checks, &token), *expected, "{profile:?} {header} {claims}");
    }
}

#[test]
fn details_tell_an_operator_the_way_out() {
    let cases: &[(Value, Value, &str)] = &[
        (
            json!({"typ": "JWT"}),
            json!({"azp": "web", "gty": "client-credentials"}),
            "the typ is \"jwt\"; the profile rfc9068 takes at+jwt here; it looks like a token for profile = \"auth0\"",
        ),
        (
            json!({"typ": null}),
            json!({}),
            "there is no typ; the profile rfc9068 takes at+jwt here; token_types = [\"absent\"] would take it",
        ),
        (
            json!({"typ": "JWT"}),
            json!({"nonce": "n"}),
            "the typ is \"jwt\"; the profile rfc9068 takes at+jwt here; it is probably no access token: the claim \
             nonce, which ID tokens and logout tokens have",
        ),
        (json!({"kid": "x"}), json!({}), "none of the issuer's 4 keys has the kid \"x\""),
        (
            json!({"alg": "RS256", "kid": "weak"}),
            json!({}),
            "the kid \"weak\" exists but cannot be used: it is a 1024-bit RSA key; 2048 to 8192 bits are taken",
        ),
        (
            json!({"alg": "RS256", "kid": "ec"}),
            json!({}),
            "the alg is RS256, but the key with the kid \"ec\" is for [ES256]",
        ),
        (json!({"alg": "none"}), json!({}), "the alg is \"none\": unsigned tokens are never taken"),
        (json!({}), json!({"exp": NOW - 100}), "exp was 100 s ago (30 s of skew are tolerated)"),
        (
            json!({}),
            json!({"aud": ["a", "b"]}),
            "the aud is \"a\", \"b\"; this issuer's tokens must name one of [\"other\", \"https://api.acme.example\"]",
        ),
    ];
    for (header, claims, expected) in cases {
        let token = signed(&patched(good_header(), header).to_string(), &patched(good_claims(), claims).to_string());
        let rejection = judged(&strict(), &token, UnixTime::from_secs(NOW)).expect_err("a detail");
        assert_eq!(rejection.detail, *expected);
    }
}

#[test]
fn tokens_without_kid_are_tried_with_few_keys_only() {
    let strangers = |n: usize| (0..n).map(|_| TestKey::p256().jwk("s"));
    let verdict = |before: usize| {
        let keys: Vec<Value> = strangers(before).chain([testing::p256().jwk("mine")]).collect();
        let keys = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a JWK Set");
        let token = signed(&json!({"alg": "ES256", "typ": "at+jwt"}).to_string(), &good_claims().to_string());
        strict().verify(&Jws::parse(&token).expect("a token"), &keys).map_err(|rejection| rejection.code)
    };
    assert!(verdict(MAX_CANDIDATES - 1).is_ok());
    assert_eq!(verdict(MAX_CANDIDATES), Err(RejectionCode::BadSignature));
    let token = signed(&json!({"alg": "ES256", "typ": "at+jwt"}).to_string(), &good_claims().to_string());
    let none = strict().verify(&Jws::parse(&token).expect("a token"), &KeySet::default());
    assert_eq!(none.map_err(|rejection| rejection.code), Err(RejectionCode::UnknownKey));
}

#[test]
fn a_principal_has_what_the_token_says() {
    let token = signed(&good_header().to_string(), &good_claims().to_string());
    let principal = judged(&strict(), &token, UnixTime::from_secs(NOW)).expect("a good token");
    assert_eq!((principal.issuer, &*principal.issuer_id), (3, ISSUER));
    assert_eq!((principal.subject.as_deref(), principal.client.as_deref()), (Some("alice"), Some("web")));
    assert_eq!((principal.scopes.joined(), principal.audiences.concat()), ("orders:read a".into(), AUDIENCE.into()));
    assert_eq!(principal.expires_at, UnixTime::from_secs(NOW + 300));
    assert_eq!(strict().fresh_until(&principal), UnixTime::from_secs(NOW + 330));
    assert_eq!(Value::Object(principal.claims), good_claims());
}

#[test]
fn written_claims_are_completed_and_held_to_the_same_rules() {
    let cases: &[(Value, &str)] = &[
        (json!({}), "ok"),
        (json!({"scope": "a"}), "ok"),
        (json!({"iss": "https://other.example"}), "unknown_issuer"),
        (json!({"aud": "x"}), "wrong_audience"),
        (json!({"exp": NOW - 100}), "expired"),
        (json!({"exp": "soon"}), "malformed_token"),
        (json!({"nbf": NOW + 100}), "not_yet_valid"),
        (json!({"cnf": {}}), "bad_binding"),
    ];
    for profile in [Profile::Rfc9068, Profile::Cognito] {
        let checks = IssuerChecks::new(&issuer(profile, &["at+jwt"]), 0);
        for (claims, expected) in cases {
            // Who Cognito's tokens are for is in another claim.
            let claims = match (profile, claims.get("aud")) {
                (Profile::Cognito, Some(aud)) => json!({ "client_id": aud }),
                _ => claims.clone(),
            };
            let claims = claims.as_object().expect("claims").clone();
            let verdict = checks.principal_from_claims(claims.clone(), UnixTime::from_secs(NOW));
            let verdict = verdict.map_or_else(
                |rejection| rejection.code.as_str(),
                |principal| {
                    assert_eq!(principal.audiences.concat(), "other");
                    "ok"
                },
            );
            assert_eq!(verdict, *expected, "{profile:?} {claims:?}");
        }
    }
}

/// What `jsonwebtoken` says of the same token, at its strictest.
fn reference(token: &str) -> bool {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    let Ok(header) = decode_header(token) else { return false };
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[AUDIENCE, "other"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.validate_nbf = true;
    validation.leeway = 30;
    let set: JwkSet = serde_json::from_value(jwks()).expect("a JWK Set");
    let named = |kid: Option<&str>| header.kid.is_none() || header.kid.as_deref() == kid;
    set.keys.iter().filter(|jwk| named(jwk.common.key_id.as_deref())).any(|jwk| {
        DecodingKey::from_jwk(jwk).is_ok_and(|key| decode::<Map<String, Value>>(token, &key, &validation).is_ok())
    })
}

fn any_header() -> impl Strategy<Value = Value> {
    const PAIRS: [(&str, &str); 7] = [
        ("ES256", "ec"),
        ("ES384", "ec384"),
        ("EdDSA", "ed"),
        ("RS256", "rsa"),
        ("PS512", "rsa"),
        ("ES256", "ed"),
        ("RS256", "weak"),
    ];
    let typ = prop_oneof![5 => Just(json!("at+jwt")), 1 => Just(json!("JWT")), 1 => Just(Value::Null)];
    let extra = prop_oneof![8 => Just(json!({})), 1 => Just(json!({"crit": ["x"]})), 1 => Just(json!({"cty": "JWT"}))];
    (select(&PAIRS[..]), prop::bool::weighted(0.8), typ, extra).prop_map(|((alg, kid), named, typ, extra)| {
        let kid = if named { json!(kid) } else { Value::Null };
        patched(patched(json!({ "alg": alg }), &json!({"typ": typ, "kid": kid})), &extra)
    })
}

fn any_claims(now: i64) -> impl Strategy<Value = Value> {
    let time = move || {
        let odd = select(vec![json!("1"), json!(-1), json!(1e300), json!(1.5e9), json!([])]);
        prop_oneof![8 => (-400i64..400).prop_map(move |by| json!(now + by)), 3 => Just(Value::Null), 1 => odd]
    };
    let audience = select(vec![json!(AUDIENCE), json!(["x", "other"]), json!([AUDIENCE, 5]), json!("x"), Value::Null]);
    let issuer = prop_oneof![6 => Just(json!(ISSUER)), 1 => Just(json!([ISSUER])), 1 => Just(Value::Null)];
    let subject = select(vec![json!("alice"), Value::Null, json!(5)]);
    (issuer, audience, time(), time(), subject).prop_map(move |(iss, aud, exp, nbf, sub)| {
        patched(json!({"exp": now + 300}), &json!({"iss": iss, "aud": aud, "exp": exp, "nbf": nbf, "sub": sub}))
    })
}

#[test]
fn the_reference_accepts_the_good_tokens_too() {
    let now = SystemClock::start().now();
    let claims = patched(good_claims(), &json!({"exp": now.secs() + 300, "iat": now.secs()})).to_string();
    for (alg, kid) in [("ES256", "ec"), ("ES384", "ec384"), ("EdDSA", "ed"), ("RS256", "rsa"), ("PS512", "rsa")] {
        let token = signed(&json!({"alg": alg, "kid": kid, "typ": "at+jwt"}).to_string(), &claims);
        assert!(reference(&token) && judged(&strict(), &token, now).is_ok(), "{alg}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_we_accept_jsonwebtoken_accepts_too(
        (header, claims) in (any_header(), any_claims(SystemClock::start().now().secs())),
        damage in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut token = signed(&header.to_string(), &claims.to_string()).into_bytes();
        if let Some((at, byte)) = damage {
            let at = at.index(token.len());
            token[at] = byte & 0x7f;
        }
        let token = String::from_utf8(token).expect("ASCII");
        if judged(&strict(), &token, SystemClock::start().now()).is_ok() {
            prop_assert!(reference(&token), "{header} {claims}");
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[A-Za-z0-9_.=-]{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Jws::parse(&text).map(drop);
        let _ = Jws::parse(&String::from_utf8_lossy(&bytes)).map(drop);
        let raw = format!("{}.{}.AA", b64("{\"alg\":\"ES256\"}"), b64(&bytes));
        let _ = Jws::parse(&raw).map(drop);
    }
}
