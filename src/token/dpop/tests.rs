use std::sync::LazyLock;

use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::replay::Memory;
use super::*;
use crate::token::testing::{self, TestKey, b64};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const TOKEN: &str = "an.access.token";

fn settings() -> model::Dpop {
    model::Dpop {
        offered: false,
        proof_lifetime: Duration::from_secs(60),
        clock_skew: Duration::from_secs(30),
        algorithms: vec![Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256],
        nonce: false,
        nonce_lifetime: Duration::from_secs(300),
        nonce_secret: None,
        max_proofs: 1000,
    }
}

fn dpop() -> Dpop {
    Dpop::new(&settings(), &Means { replays: Arc::new(Memory::default()), nonce_key: [7; 32] })
}

fn algorithm_of(key: &TestKey) -> (&'static str, Algorithm) {
    match key {
        TestKey::Rsa(_) => ("RS256", Algorithm::RS256),
        TestKey::Ec("P-256", _) => ("ES256", Algorithm::ES256),
        TestKey::Ec(..) => ("ES384", Algorithm::ES384),
        TestKey::Ed(_) => ("EdDSA", Algorithm::EdDSA),
    }
}

fn proof_of(key: &TestKey, jti: &str) -> String {
    let (name, algorithm) = algorithm_of(key);
    let mut jwk = key.jwk("x");
    jwk.as_object_mut().expect("an object").remove("kid");
    let header = json!({"typ": "dpop+jwt", "alg": name, "jwk": jwk});
    let claims = json!({
        "jti": jti, "htm": "GET", "htu": "https://api.test/orders/7", "iat": NOW.secs(),
        "ath": b64(sha256(TOKEN.as_bytes())),
    });
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = key.sign(algorithm, message.as_bytes());
    format!("{message}.{}", b64(signature))
}

fn thumbprint(key: &TestKey) -> [u8; 32] {
    crate::token::jwk::read(&key.jwk("x")).expect("a good key").id
}

fn judge(dpop: &Dpop, proof: &[u8], key: &[u8; 32], now: UnixTime) -> Result<(), Rejection> {
    let mut headers = HeaderMap::new();
    let Ok(value) = HeaderValue::from_bytes(proof) else { return Err(bad("no header can hold it")) };
    headers.insert(FIELD, value);
    let place = Place { scheme: "https", authority: "api.test", path: "/orders/7" };
    let purpose = Purpose { method: "GET", place, public_url: None, token: TOKEN, key };
    let good = dpop.check(&headers, &purpose, now)?;
    match good.used {
        Answer::Here(Use::First) => Ok(()),
        Answer::Here(_) => Err(bad("it was used before")),
        Answer::Coming(_) => panic!("the memory is in this process"),
    }
}

#[test]
fn a_proof_by_every_kind_of_key_is_good_once() {
    let dpop = dpop();
    for key in [testing::rsa(), testing::p256(), testing::p384(), testing::ed25519()] {
        let (proof, print) = (proof_of(key, "1"), thumbprint(key));
        assert_eq!(judge(&dpop, proof.as_bytes(), &print, NOW), Ok(()), "{:?}", algorithm_of(key));
        let again = judge(&dpop, proof.as_bytes(), &print, NOW).map_err(|rejection| rejection.code);
        assert_eq!(again, Err(RejectionCode::BadProof), "{:?}", algorithm_of(key));
    }
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638() {
    let jwk: Value = json!({"kty": "RSA", "n": testing::RFC_7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
    let key = crate::token::jwk::read(&jwk).expect("the example of section 3.1");
    assert_eq!(b64(key.id), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/// A remembered proof must not run out of the memory before it runs out itself.
#[test]
fn a_proof_is_remembered_as_long_as_it_is_fresh() {
    let (dpop, key) = (dpop(), testing::p256());
    let (proof, print) = (proof_of(key, "1"), thumbprint(key));
    let at = |seconds: i64| UnixTime::from_secs(NOW.secs() + seconds);
    assert_eq!(judge(&dpop, proof.as_bytes(), &print, at(-30)), Ok(()), "from a clock that is ahead");
    for seconds in -30..=100 {
        let verdict = judge(&dpop, proof.as_bytes(), &print, at(seconds)).map_err(|rejection| rejection.code);
        assert_eq!(verdict, Err(RejectionCode::BadProof), "{seconds} s after its iat");
    }
}

static PROOF: LazyLock<(Dpop, String, [u8; 32])> =
    LazyLock::new(|| (dpop(), proof_of(testing::p256(), "fixed"), thumbprint(testing::p256())));

proptest! {
    #[test]
    fn a_proof_with_any_one_byte_changed_is_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (dpop, proof, print) = &*PROOF;
        let mut changed = proof.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        prop_assert!(judge(dpop, &changed, print, NOW).is_err(), "byte {}", at);
    }

    #[test]
    fn no_header_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), parts in "[A-Za-z0-9_=.-]{0,200}") {
        let (dpop, _, print) = &*PROOF;
        prop_assert!(judge(dpop, &bytes, print, NOW).is_err());
        prop_assert!(judge(dpop, parts.as_bytes(), print, NOW).is_err());
    }

    #[test]
    fn no_claims_and_no_key_make_it_panic(header in any_object(), claims in any_object(), jwk in any_object()) {
        let (dpop, _, print) = &*PROOF;
        let mut header = header;
        header["typ"] = json!("dpop+jwt");
        header["alg"] = json!("ES256");
        header["jwk"] = jwk;
        let with_key = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": testing::p256().jwk("x")});
        for header in [header, with_key] {
            let proof = format!("{}.{}.AAAA", b64(header.to_string()), b64(claims.to_string()));
            prop_assert!(judge(dpop, proof.as_bytes(), print, NOW).is_err());
        }
    }
}

fn any_object() -> impl Strategy<Value = Value> {
    let names =
        prop::sample::select(vec!["jti", "htm", "htu", "iat", "ath", "nonce", "kty", "crv", "x", "y", "n", "e", "alg"]);
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["GET", "https://api.test/orders/7", "EC", "P-256", "RSA"]).prop_map(Value::from),
        prop::collection::vec(any::<i8>().prop_map(Value::from), 0..3).prop_map(Value::from),
    ];
    prop::collection::btree_map(names, value, 0..6)
        .prop_map(|members| Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
}
