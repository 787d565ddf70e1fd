//! What judging one token costs: cold, by algorithm, our prepared keys beside `jsonwebtoken`; and remembered.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value, json};
use tollgate::clock::{Clock, ManualClock, UnixTime};
use tollgate::config::model::{Issuer, KeySource, Profile, Revocation, TokenType};
use tollgate::token::cache::{Epoch, Limits, Local, Lookup, Shared};
use tollgate::token::checks::IssuerChecks;
use tollgate::token::jwt::Jws;
use tollgate::token::key::KeySet;
use tollgate::token::principal::Principal;
use tollgate::token::revocation::{Context, Office, Order, Revocations};

const ISSUER: &str = "https://login.acme.example";
const AUDIENCE: &str = "https://api.acme.example";
const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

/// A token, its key set as the issuer publishes it, and its algorithm.
struct Sample {
    name: &'static str,
    algorithm: Algorithm,
    jwks: String,
    token: String,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sample(name: &'static str, algorithm: Algorithm, jwk: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> Sample {
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "248289761001", "client_id": "s6BhdRkqt3", "jti": "dbe39bf3a3ba4238a513",
        "scope": "openid profile email orders:read orders:write", "iat": NOW.secs() - 10, "nbf": NOW.secs() - 10,
        // Beyond the machine's clock too, which jsonwebtoken judges by.
        "exp": 4_000_000_000_i64, "department": "sales"
    });
    let header = json!({"alg": name, "typ": "at+jwt", "kid": "2026-11"});
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let token = format!("{message}.{}", b64(sign(message.as_bytes())));
    Sample { name, algorithm, jwks: json!({ "keys": [jwk] }).to_string(), token }
}

fn samples() -> [Sample; 3] {
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair");
    let n = b64(rsa.public_key().modulus().big_endian_without_leading_zero());
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair");
    let (x, y) = ec.public_key().as_ref()[1..].split_at(32);
    let ed = Ed25519KeyPair::generate().expect("a key pair");
    [
        sample("RS256", Algorithm::RS256, &json!({"kty": "RSA", "kid": "2026-11", "n": n, "e": "AQAB"}), |message| {
            let mut signature = vec![0; rsa.public_modulus_len()];
            rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("a signature");
            signature
        }),
        sample(
            "ES256",
            Algorithm::ES256,
            &json!({"kty": "EC", "kid": "2026-11", "crv": "P-256", "x": b64(x), "y": b64(y)}),
            |message| ec.sign(&random, message).expect("a signature").as_ref().to_vec(),
        ),
        sample(
            "EdDSA",
            Algorithm::EdDSA,
            &json!({"kty": "OKP", "kid": "2026-11", "crv": "Ed25519", "x": b64(ed.public_key())}),
            |message| ed.sign(message).as_ref().to_vec(),
        ),
    ]
}

fn checks() -> IssuerChecks {
    let issuer = Issuer {
        name: "acme".into(),
        issuer: ISSUER.into(),
        audiences: vec![AUDIENCE.into()],
        profile: Profile::Rfc9068,
        token_types: vec![TokenType::Named("at+jwt".into())],
        keys: KeySource::Discovery,
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        clock_skew: Duration::from_secs(30),
        required_claims: Vec::new(),
        ca_file: None,
        allow_http: false,
        max_stale: Duration::from_secs(86_400),
        refetch_cooldown: Duration::from_secs(5),
        introspection: None,
    };
    IssuerChecks::new(&issuer, 0)
}

fn judge(checks: &IssuerChecks, keys: &KeySet, token: &str) -> Principal {
    let jws = Jws::parse(token).expect("well-formed");
    checks.check(&jws, NOW).expect("good claims");
    checks.verify(&jws, keys).expect("a good signature");
    checks.principal(jws)
}

fn cold(criterion: &mut Criterion) {
    let checks = checks();
    for sample in samples() {
        let keys = KeySet::parse(sample.jwks.as_bytes()).expect("a JWK Set");
        let set: JwkSet = serde_json::from_str(&sample.jwks).expect("a JWK Set");
        let key = DecodingKey::from_jwk(&set.keys[0]).expect("a key");
        let (message, signature) = sample.token.rsplit_once('.').expect("three parts");
        let raw = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let mut validation = Validation::new(sample.algorithm);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.validate_nbf = true;
        let mut group = criterion.benchmark_group(format!("cold/{}", sample.name));
        group.bench_function("judge", |b| b.iter(|| judge(&checks, &keys, black_box(&sample.token))));
        group.bench_function("jsonwebtoken::decode", |b| {
            b.iter(|| decode::<Map<String, Value>>(black_box(&sample.token), &key, &validation).expect("a good token"));
        });
        group.bench_function("signature, prepared key", |b| {
            b.iter(|| assert!(keys.keys()[0].verifies(sample.algorithm, black_box(message.as_bytes()), &raw)));
        });
        group.bench_function("signature, jsonwebtoken::crypto::verify", |b| {
            b.iter(|| {
                let verdict = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, sample.algorithm);
                assert!(black_box(verdict).expect("a verdict"));
            });
        });
        group.bench_function("parse and check only", |b| {
            b.iter(|| {
                let jws = Jws::parse(black_box(&sample.token)).expect("well-formed");
                checks.check(&jws, NOW).expect("good claims");
            });
        });
        group.finish();
    }
}

fn remembered(criterion: &mut Criterion) {
    let checks = checks();
    let [sample, ..] = samples();
    let keys = KeySet::parse(sample.jwks.as_bytes()).expect("a JWK Set");
    let shared = Shared::new(Limits::default(), Arc::new(Epoch::default()));
    let local = Local::new(&shared);
    // A level of no entries always asks the process-wide one.
    let none = Shared::new(Limits { local_entries: 0, ..Limits::default() }, Arc::new(Epoch::default()));
    let through = Local::new(&none);
    for local in [&local, &through] {
        let Lookup::Unknown(ticket) = local.get(&sample.token, NOW) else { panic!("it was never seen") };
        let principal = judge(&checks, &keys, &sample.token);
        let until = checks.fresh_until(&principal);
        local.accept(&sample.token, &ticket, until, Arc::new(principal));
    }
    let mut group = criterion.benchmark_group(format!("remembered/{} bytes", sample.token.len()));
    group.bench_function("local", |b| b.iter(|| local.get(black_box(&sample.token), NOW)));
    group.bench_function("shared", |b| b.iter(|| through.get(black_box(&sample.token), NOW)));
    group.bench_function("unknown", |b| b.iter(|| local.get(black_box(&sample.token[1..]), NOW)));
    group.finish();
}

/// What looking for revocations adds to a remembered verdict: while there are none, and with a thousand of each kind.
fn revocations(criterion: &mut Criterion) {
    let settings = Revocation {
        lifetime: Duration::from_secs(86_400),
        max_entries: 10_000,
        max_stale: Duration::from_secs(30),
        serve_on_store_loss: false,
    };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
    let [none, many]: [Arc<Revocations>; 2] = Default::default();
    let office = Office::new(Arc::clone(&many), clock, None);
    let issuers = [("acme", Arc::from(ISSUER))];
    let context = Context { issuers: &issuers, lifetime: settings.lifetime, now: NOW };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for number in 0..1000 {
        for kind in ["jti", "sid", "sub", "client_id"] {
            let order = json!({ kind: format!("{kind}-{number}") }).to_string();
            let entry = Order::parse(order.as_bytes()).and_then(|order| order.entry(&context)).expect("a good order");
            runtime.block_on(office.add(entry, settings.max_entries)).expect("room");
        }
    }
    let checks = checks();
    let [sample, ..] = samples();
    let keys = KeySet::parse(sample.jwks.as_bytes()).expect("a JWK Set");
    let local = Local::new(&Shared::new(Limits::default(), Arc::new(Epoch::default())));
    let Lookup::Unknown(ticket) = local.get(&sample.token, NOW) else { panic!("it was never seen") };
    let principal = judge(&checks, &keys, &sample.token);
    local.accept(&sample.token, &ticket, checks.fresh_until(&principal), Arc::new(principal));
    let mut group = criterion.benchmark_group("revocations");
    group.bench_function("verdict alone", |b| b.iter(|| local.get(black_box(&sample.token), NOW)));
    for (name, revocations) in [("verdict, none revoked", &none), ("verdict, 4000 entries", &many)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let Lookup::Accepted(held, _) = local.get(black_box(&sample.token), NOW) else { panic!("remembered") };
                revocations.check(&held, NOW, &settings).expect("none is of this token");
                held
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cold, remembered, revocations);
criterion_main!(benches);
