//! Which tokens pass, and what exactly is said to the others: status, code and challenge of each, and that nothing of a
//! refused request reached the upstream.

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::issuer::Issuer;
use support::keys::{Key, Kind, b64, hs256};
use support::token::Token;
use support::upstream::Upstream;
use support::{eventually, now, report};

/// A modulus of 1024 bits, and a token that its private key (thrown away since) signed well, valid until 2100.
const WEAK_MODULUS: &str = concat!(
    "ugHMm1029ss5IHQnSIqiXAN3MWc0ZHKZygttA5yL-bThyixgvxKbqcC-MkYsBjMa6JfeByGUQ7InPbnRVJHgRCxuFgCXCiR5Oef",
    "Tt8Mcd3BOTYQxSMJT5ZLWNWLj7a5lnNE-0FhZlQzwtbOJusyBCTLQLWs7p-AoN5iScQ3y4KU",
);
const WEAK_TOKEN: &str = concat!(
    "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJSUzI1NiIsImtpZCI6IndlYWstMSJ9",
    ".eyJpc3MiOiJodHRwczovL3dlYWsudGVzdCIsImF1ZCI6Imh0dHBzOi8vYXBpLnRlc3QiLCJleHAiOjQxMDI0NDQ4MDAsImlhdC",
    "I6MTc2NzIyNTYwMCwic3ViIjoiYWxpY2UiLCJzY29wZSI6Im9yZGVyczpyZWFkIn0",
    ".IsTit54DV5rf6wJKNUV1SVcrTRZ6CYc1VayLUAt7S0YdhFEPM3ax3oKZ_a5jcfRpK-AfCYBBXoZZfDNxR1FX-iybupQnBWqK8-l",
    "p8M3MaCZw62xvyOzN8nFeDLkbZ0uQ7V24nO5YYfqyAfsrBfH2BISBwnxGAFFTnvdgXEV_IWY",
);

/// What has to come of a request.
#[derive(Clone)]
enum Expect {
    Allow,
    /// This code, with the status and challenge that belong to it.
    Deny(&'static str),
}

struct Case {
    name: String,
    request: Request,
    expect: Expect,
}

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn request(&mut self, name: &str, request: Request, expect: Expect) {
        self.0.push(Case { name: name.to_owned(), request, expect });
    }

    /// A token for `GET /orders/7`, which asks for the scope `orders:read`, that passes.
    fn allow(&mut self, name: &str, token: &str) {
        self.request(name, Request::get("/orders/7").bearer(token), Expect::Allow);
    }

    /// A token for `GET /orders/7` that is refused with this code.
    fn deny(&mut self, code: &'static str, name: &str, token: &str) {
        self.request(name, Request::get("/orders/7").bearer(token), Expect::Deny(code));
    }

    /// Any other request that is refused with this code.
    fn refuse(&mut self, code: &'static str, name: &str, request: Request) {
        self.request(name, request, Expect::Deny(code));
    }
}

const MALFORMED: &str = "malformed_token";
const ALGORITHM: &str = "algorithm_refused";
const UNKNOWN_KEY: &str = "unknown_key";
const BAD_SIGNATURE: &str = "bad_signature";
const SYNTAX: &str = "bad_credential_syntax";
const NO_CREDENTIAL: &str = "no_credential";
const EXPIRED: &str = "expired";
const WRONG_TYPE: &str = "wrong_type";
const UNKNOWN_ISSUER: &str = "unknown_issuer";
const WRONG_AUDIENCE: &str = "wrong_audience";

/// Status and `error` of the challenge that belong to a code (RFC 6750 section 3.1).
fn meaning(code: &str) -> (u16, Option<Option<&'static str>>) {
    match code {
        "no_credential" => (401, Some(None)),
        "bad_credential_syntax" => (400, Some(Some("invalid_request"))),
        "insufficient_scope" => (403, Some(Some("insufficient_scope"))),
        "claim_refused" => (403, None),
        _ => (401, Some(Some("invalid_token"))),
    }
}

/// What is wrong with a refusal, if anything.
fn judge_refusal(wanted: &str, answer: &Response) -> Option<String> {
    let code = answer.code();
    if code != wanted {
        return Some(format!("wanted {wanted}, got {} {:?}", answer.status, answer.text()));
    }
    let (status, challenge) = meaning(&code);
    let body_status = answer.json()["status"].as_u64();
    let got = (answer.status, answer.challenge("Bearer").map(|_| answer.bearer("error")));
    if got != (status, challenge.map(|error| error.map(str::to_owned))) || body_status != Some(status.into()) {
        return Some(format!("{code}: status, challenge and status in the body are {got:?}, {body_status:?}"));
    }
    let metadata = answer.bearer("resource_metadata");
    let wanted = "https://api.test/.well-known/oauth-protected-resource";
    let names_resource = challenge.is_none() || metadata.as_deref() == Some(wanted);
    (!names_resource).then(|| format!("{code}: resource_metadata is {metadata:?}"))
}

/// The issuers, and the upstream behind a gateway with one route for every kind of rule.
struct World {
    acme: Issuer,
    other: Issuer,
    generic: Issuer,
    narrow: Issuer,
    upstream: Upstream,
    gateway: Gateway,
}

fn rsa() -> Key {
    Key::of(Kind::Rsa, 0, "rsa-1")
}

fn ec() -> Key {
    Key::of(Kind::P256, 0, "ec-1")
}

fn acme_keys() -> Vec<Value> {
    let spoiled = |kid: &str, member: &str, value: Value| {
        let mut jwk = rsa().named(kid).jwk();
        jwk[member] = value;
        jwk
    };
    vec![
        rsa().jwk(),
        ec().jwk(),
        Key::of(Kind::P384, 0, "ec-384").jwk(),
        Key::of(Kind::Ed25519, 0, "ed-1").jwk(),
        spoiled("enc-1", "use", json!("enc")),
        spoiled("ops-1", "key_ops", json!(["encrypt"])),
        spoiled("alg-1", "alg", json!("RS384")),
        json!({"kty": "oct", "kid": "oct-1", "k": b64("a secret that is not one")}),
        json!({"kty": "a type that nobody knows", "kid": "odd-1"}),
        json!({"kty": "RSA", "kid": "zero-1", "n": "AA", "e": "AQAB"}),
    ]
}

const ROUTES: &str = r#"
[[routes]]
name = "orders"
path = "/orders/{id}"
upstream = "api"
scopes = ["orders:read"]

[[routes]]
name = "admin"
path = "/admin"
upstream = "api"
scopes = ["orders:read", "admin:all"]

[[routes]]
name = "any"
path = "/any"
upstream = "api"
any_scope = ["a", "b"]

[[routes]]
name = "claims"
path = "/claims"
upstream = "api"
claims = { "/department" = ["sales", "ops"], "/realm/level" = [3] }

[[routes]]
name = "audience"
path = "/audience"
upstream = "api"
audiences = ["https://narrow.test"]

[[routes]]
name = "other-only"
path = "/other"
upstream = "api"
issuers = ["other"]

[[routes]]
name = "optional"
path = "/optional"
upstream = "api"
access = "optional"

[[routes]]
name = "public"
path = "/public"
upstream = "api"
access = "public"

[[routes]]
name = "versioned"
path = "/versioned"
upstream = "api"
resource = "https://api.test/v2"
"#;

impl World {
    fn start() -> Self {
        let acme = Issuer::with_key(rsa());
        acme.publish_raw(acme_keys());
        let other = Issuer::with_key(Key::of(Kind::Rsa, 1, "rsa-1"));
        // The same key under the same name at two issuers.
        other.publish_raw(vec![other.key.jwk(), ec().jwk()]);
        let generic = Issuer::with_key(Key::of(Kind::P256, 1, "g-1"));
        let narrow = Issuer::with_key(Key::of(Kind::P256, 2, "n-1"));
        narrow.publish_raw(vec![narrow.key.jwk(), rsa().jwk()]);
        let upstream = Upstream::echo();
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let weak = folder.path().join("weak.json");
        let jwk = json!({"kty": "RSA", "kid": "weak-1", "use": "sig", "n": WEAK_MODULUS, "e": "AQAB"});
        // A set without any usable key is no key set; with one, the weak key is one that cannot be used.
        std::fs::write(&weak, json!({"keys": [jwk, ec().jwk()]}).to_string()).expect("a folder of ours");
        let config = [
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\npublic_url = \"https://api.test\"\n".to_owned(),
            acme.toml("acme"),
            other.toml("other"),
            generic.toml("generic") + "token_types = [\"JWT\", \"absent\"]\n",
            narrow.toml("narrow")
                + "algorithms = [\"ES256\"]\nrequired_claims = [\"department\"]\nclock_skew = \"0s\"\n",
            format!(
                "[issuers.weak]\nissuer = \"https://weak.test\"\naudiences = [\"https://api.test\"]\njwks_file = {:?}\n",
                weak.display().to_string()
            ),
            upstream.toml("api"),
            ROUTES.to_owned(),
        ];
        let gateway = Gateway::listening_in(folder, &config.join("\n"));
        gateway.until("every issuer's keys are there", || {
            let issuers = [&acme, &other, &generic, &narrow];
            issuers.iter().all(|issuer| issuer.jwks_hits() > 0).then_some(())
        });
        Self { acme, other, generic, narrow, upstream, gateway }
    }

    fn check(&self, case: &Case) -> Option<String> {
        let answer = self.gateway.call(&case.request);
        let arrived = self.upstream.drain().len();
        let wrong = match &case.expect {
            Expect::Allow if answer.status == 200 && arrived == 1 => None,
            Expect::Allow => Some(format!("wanted 200, got {} {:?}, {arrived} upstream", answer.status, answer.text())),
            Expect::Deny(_) if arrived > 0 => {
                Some(format!("refused with {}, but it reached the upstream", answer.status))
            }
            Expect::Deny(code) => judge_refusal(code, &answer),
        };
        wrong.map(|wrong| format!("- {}: {wrong}", case.name))
    }

    #[track_caller]
    fn check_all(&self, cases: &Cases) {
        let failures: Vec<String> = cases.0.iter().filter_map(|case| self.check(case)).collect();
        report(cases.0.len(), &failures);
    }
}

fn good_cases(world: &World) -> Cases {
    let mut cases = Cases::default();
    let token = || world.acme.token();
    for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        cases.allow(alg, &token().alg(alg).sign());
    }
    let by = |kind, kid: &str| Token::new(&world.acme.url, &Key::of(kind, 0, kid));
    cases.allow("ES256", &by(Kind::P256, "ec-1").sign());
    cases.allow("ES384", &by(Kind::P384, "ec-384").sign());
    cases.allow("EdDSA", &by(Kind::Ed25519, "ed-1").sign());
    cases.allow("Ed25519, the name of RFC 9864", &by(Kind::Ed25519, "ed-1").alg("Ed25519").sign());
    cases.allow("typ in capitals", &token().header("typ", "AT+JWT").sign());
    cases.allow("typ with application/", &token().header("typ", "application/at+jwt").sign());
    cases.allow("no kid, and keys that fit", &token().without_header("kid").sign());
    cases.allow("aud as an array", &token().claim("aud", json!(["x", "https://api.test"])).sign());
    cases.allow("more scopes than needed", &token().scope("a orders:read b").sign());
    cases.allow("scope as an array", &token().claim("scope", json!(["a", "orders:read"])).sign());
    cases.allow("scp as a string", &token().without("scope").claim("scp", "orders:read").sign());
    cases.allow("scp as an array", &token().without("scope").claim("scp", json!(["orders:read"])).sign());
    cases.allow("expired within the skew", &token().claim("exp", now() - 5).sign());
    cases.allow("issued in the future, within the skew", &token().claim("iat", now() + 10).sign());
    cases.allow("not before, within the skew", &token().claim("nbf", now() + 10).sign());
    cases.allow("not before, passed", &token().claim("nbf", now() - 10).sign());
    for claim in ["sub", "client_id", "iat", "jti"] {
        cases.allow(&format!("no {claim}"), &token().without(claim).sign());
    }
    let own = b64("a key of the attacker's own");
    let remote = "http://127.0.0.1:1/keys";
    cases.allow("jku is not followed", &token().header("jku", remote).sign());
    cases.allow("x5u is not followed", &token().header("x5u", remote).sign());
    cases.allow("an embedded jwk is not looked at", &token().header("jwk", json!({"kty": "oct", "k": own})).sign());
    cases.allow("a token of the second issuer", &world.other.token().sign());
    cases.allow("a generic typ where it is accepted", &world.generic.token().header("typ", "JWT").sign());
    cases.allow("no typ where it is accepted", &world.generic.token().without_header("typ").sign());
    cases.allow(
        "exp with a fraction",
        &token().without("exp").claims_prefix(&format!("\"exp\":{}.5", now() + 300)).sign(),
    );
    cases.allow(
        "an audience twice in the list",
        &token().claim("aud", json!(["https://api.test", "https://api.test"])).sign(),
    );
    cases.allow("blanks around and between scopes", &token().scope("  a   orders:read ").sign());
    cases.allow("claims that nobody knows", &token().claim("x", json!({"y": [null, {"": 1e9}]})).sign());
    cases.allow("a nonce, where typ says at+jwt", &token().claim("nonce", "n").sign());
    let chain = json!(["MIIB", "MIIC"]);
    cases.allow("x5c and x5t are not looked at", &token().header("x5c", chain).header("x5t", "AAAA").sign());
    let good = token().sign();
    let field = |scheme: &str| Request::get("/orders/7").field("Authorization", &format!("{scheme} {good}"));
    cases.request("bearer in small letters", field("bearer"), Expect::Allow);
    cases.request("BEARER in capitals", field("BEARER"), Expect::Allow);
    cases.request("two blanks after the scheme", field("Bearer "), Expect::Allow);
    let get = |path: &str, token: Token| Request::get(path).bearer(&token.sign());
    cases.request("any_scope", get("/any", token().scope("x b")), Expect::Allow);
    let placed = token().claim("realm", json!({"level": 3}));
    cases.request("claims, equal", get("/claims", placed.clone().claim("department", "ops")), Expect::Allow);
    let several = placed.claim("department", json!(["x", "sales"]));
    cases.request("claims, contained", get("/claims", several), Expect::Allow);
    let both = json!(["https://api.test", "https://narrow.test"]);
    cases.request("the route's own audience", get("/audience", token().claim("aud", both)), Expect::Allow);
    cases.request("the route's own issuer", get("/other", world.other.token()), Expect::Allow);
    cases.request("optional, with a token", get("/optional", token()), Expect::Allow);
    cases.request("optional, without", Request::get("/optional"), Expect::Allow);
    cases.request("public, with a bad token", Request::get("/public").bearer("x"), Expect::Allow);
    cases
}

#[test]
fn good_tokens_pass() {
    let world = World::start();
    world.check_all(&good_cases(&world));
}

fn credential_cases(world: &World, cases: &mut Cases) {
    let good = world.acme.token().sign();
    let get = || Request::get("/orders/7");
    let with = |value: &str| get().field("Authorization", value);
    cases.refuse(NO_CREDENTIAL, "no Authorization", get());
    cases.refuse(NO_CREDENTIAL, "Basic", with("Basic YTpi"));
    cases.refuse(NO_CREDENTIAL, "a scheme that nobody knows", with(&format!("Token {good}")));
    cases.refuse(NO_CREDENTIAL, "a token in the query alone", Request::get(&format!("/orders/7?access_token={good}")));
    for name in ["access_token", "%61ccess_token", "x=y&access%5Ftoken"] {
        let request = Request::get(&format!("/orders/7?{name}={good}")).bearer(&good);
        cases.refuse(SYNTAX, &format!("a token in the field and one in the query as {name}"), request);
    }
    cases.refuse(NO_CREDENTIAL, "a token in a cookie", get().field("Cookie", &format!("access_token={good}")));
    let probe = get().field("User-Agent", "kube-probe/1.30").field("X-Forwarded-Uri", "/public");
    cases.refuse(NO_CREDENTIAL, "a health check's User-Agent", probe);
    cases.refuse(NO_CREDENTIAL, "no scheme", with(&good));
    cases.refuse(SYNTAX, "two Authorization fields", with(&format!("Bearer {good}")).bearer(&good));
    let beside = with("Basic YTpi").bearer(&good);
    cases.refuse(SYNTAX, "Basic beside Bearer", beside);
    cases.refuse(SYNTAX, "a comma list", with(&format!("Bearer {good}, Bearer {good}")));
    cases.refuse(SYNTAX, "a token and a parameter", with(&format!("Bearer {good} x=1")));
    cases.refuse(SYNTAX, "Bearer alone", with("Bearer"));
    cases.refuse(SYNTAX, "quotes", with(&format!("Bearer \"{good}\"")));
    cases.refuse(SYNTAX, "a byte over 0x7f", with(&format!("Bearer {good}\u{e9}")));
    cases.refuse(SYNTAX, "JSON serialization of a JWS", with("Bearer {\"payload\":\"e30\",\"signatures\":[]}"));
    cases.refuse(SYNTAX, "a tab after the scheme", with(&format!("Bearer\t{good}")));
    cases.refuse(SYNTAX, "a comma after the scheme", with(&format!("Bearer, {good}")));
    cases.refuse(BAD_SIGNATURE, "optional, with a bad signature", {
        let forged = world.acme.token().sign_by(|_| vec![7; 256]);
        Request::get("/optional").bearer(&forged)
    });
    cases.refuse(MALFORMED, "optional, with garbage", Request::get("/optional").bearer("x"));
    let optional = |token: Token| Request::get("/optional").bearer(&token.sign());
    cases.refuse(EXPIRED, "optional, expired", optional(world.acme.token().claim("exp", now() - 100)));
    let stranger = world.acme.token().claim("iss", "https://evil.test");
    cases.refuse(UNKNOWN_ISSUER, "optional, of an issuer that nobody knows", optional(stranger));
    cases.refuse(
        SYNTAX,
        "optional, with two Authorization fields",
        Request::get("/optional").bearer(&good).bearer(&good),
    );
}

fn shape_cases(world: &World, cases: &mut Cases) {
    let token = || world.acme.token();
    let good = token().sign();
    let mut parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = [parts.remove(0), parts.remove(0), parts.remove(0)];
    cases.deny(MALFORMED, "no dots", "x");
    cases.deny(MALFORMED, "two parts", &format!("{header}.{payload}"));
    cases.deny(MALFORMED, "four parts", &format!("{good}.x"));
    cases.deny(MALFORMED, "five parts, as a JWE", &format!("{header}.{payload}.{signature}.x.y"));
    cases.deny(MALFORMED, "empty parts", "..");
    cases.deny(MALFORMED, "a detached payload", &format!("{header}..{signature}"));
    cases.deny(MALFORMED, "padding", &format!("{good}=="));
    cases.deny(MALFORMED, "a character of the other base64 alphabet", &format!("{header}+.{payload}.{signature}"));
    let (last, rest) = (signature.chars().last().unwrap_or('A'), &signature[..signature.len() - 1]);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 256 bytes leave four bits of the last character unused; the lowest of them is set here.
    let bits = alphabet.find(last).expect("base64url") | 1;
    let loose = &alphabet[bits..=bits];
    cases.deny(MALFORMED, "bits beyond the last byte", &format!("{header}.{payload}.{rest}{loose}"));
    cases.deny(MALFORMED, "a header that is no object", &token().header_text("[]").sign());
    cases.deny(MALFORMED, "a header that is no JSON", &token().header_text("{alg:1}").sign());
    cases.deny(MALFORMED, "text after the header", &token().header_text(r#"{"alg":"RS256"} x"#).sign());
    cases.deny(MALFORMED, "claims that are no object", &token().claims_text("\"x\"").sign());
    cases.deny(MALFORMED, "claims that are no JSON", &token().claims_text("{").sign());
    cases.deny(MALFORMED, "claims with a byte order mark", &token().claims_text("\u{feff}{}").sign());
    let inner = token().alg("none").signing_input() + ".";
    cases.deny(
        MALFORMED,
        "an unsigned token inside",
        &token().header("cty", "JWT").claims_text(&json!(inner).to_string()).sign(),
    );
    let wrapped = [r#"{"alg":"dir","enc":"A256GCM","cty":"JWT"}"#, "", "iv", inner.as_str(), "tag"].map(b64).join(".");
    cases.deny(MALFORMED, "an unsigned token in a JWE", &wrapped);
    cases.deny(MALFORMED, "a token of 17 KiB", &token().claim("x", "y".repeat(13 * 1024)).sign());
    cases.deny(MALFORMED, "a lone surrogate", &token().claims_prefix(r#""x":"\ud800""#).sign());
    let exp = format!("\"exp\":{}", now() + 300);
    for member in [
        exp.as_str(),
        r#""iss":"x""#,
        r#""aud":"x""#,
        r#""scope":"x""#,
        r#""sub":"x""#,
        r#""nbf":1,"nbf":2"#,
        r#""\u0061ud":"x""#,
    ] {
        cases.deny(MALFORMED, &format!("the claim {member} twice"), &token().claims_prefix(member).sign());
    }
    let nested = token().claims_prefix(r#""x":{"y":[{"a":1,"a":2}]}"#);
    cases.deny(MALFORMED, "a nested member twice", &nested.sign());
    for member in [r#""alg":"RS256""#, r#""kid":"rsa-1""#, r#""typ":"at+jwt""#, r#""x":1,"x":1"#] {
        cases.deny(MALFORMED, &format!("the header's {member} twice"), &token().header_prefix(member).sign());
    }
    let deep = format!("\"x\":{}{}", "[".repeat(9000), "]".repeat(9000));
    cases.deny(MALFORMED, "claims nested 9,000 deep", &token().claims_prefix(&deep).sign());
    cases.deny(MALFORMED, "a header nested 9,000 deep", &token().header_prefix(&deep).sign());
}

fn claim_cases(world: &World, cases: &mut Cases) {
    let token = || world.acme.token();
    let with = |name: &str, value: Value| token().claim(name, value).sign();
    for value in [json!("9999999999"), json!(null), json!({}), json!([9_999_999_999_u64]), json!(true)] {
        cases.deny(MALFORMED, &format!("exp is {value}"), &with("exp", value));
    }
    cases.deny(MALFORMED, "exp is negative", &with("exp", json!(-1)));
    cases.deny(MALFORMED, "exp is 1e300", &token().without("exp").claims_prefix("\"exp\":1e300").sign());
    cases.deny(MALFORMED, "exp is 1e999", &token().without("exp").claims_prefix("\"exp\":1e999").sign());
    cases.deny("missing_claim", "no exp", &token().without("exp").sign());
    cases.deny(EXPIRED, "expired", &with("exp", json!(now() - 40)));
    cases.deny(EXPIRED, "expires this very second, and no skew", &{
        world.narrow.token().claim("department", "ops").claim("exp", now()).sign()
    });
    cases.deny("not_yet_valid", "nbf in the future", &with("nbf", json!(now() + 100)));
    cases.deny("not_yet_valid", "iat in the future", &with("iat", json!(now() + 100)));
    for (name, value) in [
        ("nbf", json!({})),
        ("nbf", json!("1")),
        ("nbf", json!(null)),
        ("iat", json!("1")),
        ("iss", json!([world.acme.url])),
        ("iss", json!(5)),
        ("aud", json!(5)),
        ("aud", json!(["https://api.test", 5])),
        ("aud", json!({"https://api.test": 1})),
        ("sub", json!(5)),
        ("sub", json!(["alice"])),
        ("client_id", json!(5)),
        ("jti", json!(5)),
        ("sid", json!(5)),
        ("azp", json!(["cli"])),
        ("sub", json!(null)),
        ("scope", json!(null)),
        ("aud", json!([["https://api.test"]])),
        ("scope", json!(5)),
        ("scope", json!(["orders:read", 5])),
        ("scp", json!({"orders:read": true})),
        ("sub", json!("a\r\nX-Auth-Scopes: admin:all")),
        ("sub", json!("a\u{0}b")),
        ("client_id", json!("a\rb")),
        ("scope", json!("orders:read\nx")),
    ] {
        cases.deny(MALFORMED, &format!("{name} is {value}"), &with(name, value.clone()));
    }
    cases.deny("missing_claim", "no iss", &token().without("iss").sign());
    cases.deny(UNKNOWN_ISSUER, "another iss", &with("iss", json!("https://evil.test")));
    cases.deny(UNKNOWN_ISSUER, "iss with a slash", &with("iss", json!(format!("{}/", world.acme.url))));
    cases.deny(UNKNOWN_ISSUER, "iss in capitals", &with("iss", json!(world.acme.url.to_uppercase())));
    cases.deny(UNKNOWN_ISSUER, "iss with a blank", &with("iss", json!(format!("{} ", world.acme.url))));
    cases.deny(UNKNOWN_ISSUER, "iss that goes on", &with("iss", json!(format!("{}.evil.test", world.acme.url))));
    cases.deny(UNKNOWN_ISSUER, "iss with a path", &with("iss", json!(format!("{}/x", world.acme.url))));
    cases.deny(UNKNOWN_ISSUER, "no text in iss", &with("iss", json!("")));
    cases.deny("missing_claim", "no aud", &token().without("aud").sign());
    for aud in [
        json!("https://other.test"),
        json!(["x", "y"]),
        json!("https://api.test/"),
        json!("HTTPS://API.TEST"),
        json!("https://api.test.evil.test"),
        json!("https://api.test x"),
        json!(""),
    ] {
        cases.deny(WRONG_AUDIENCE, &format!("aud is {aud}"), &with("aud", aud.clone()));
    }
    cases.deny(WRONG_AUDIENCE, "aud is empty", &with("aud", json!([])));
    cases.deny("bad_binding", "bound to a DPoP key", &with("cnf", json!({"jkt": b64([1; 32])})));
    cases.deny("bad_binding", "bound to a certificate", &with("cnf", json!({"x5t#S256": b64([1; 32])})));
    cases.deny(MALFORMED, "bound to nothing readable", &with("cnf", json!("x")));
    let narrow = || world.narrow.token().claim("department", "ops");
    cases.allow("all required claims", &narrow().sign());
    cases.deny("missing_claim", "a required claim is absent", &narrow().without("department").sign());
    cases.deny(EXPIRED, "expired, and no skew", &narrow().claim("exp", now() - 1).sign());
}

fn type_cases(world: &World, cases: &mut Cases) {
    let token = || world.acme.token();
    for typ in ["JWT", "jwt", "logout+jwt", "dpop+jwt", "at+jwt ", "xat+jwt", "text/at+jwt", ""] {
        cases.deny(WRONG_TYPE, &format!("typ is {typ:?}"), &token().header("typ", typ).sign());
    }
    cases.deny(WRONG_TYPE, "no typ", &token().without_header("typ").sign());
    cases.deny(MALFORMED, "typ is a number", &token().header("typ", 5).sign());
    let id_token = token().header("typ", "JWT").claim("aud", "cli").claim("nonce", "n").without("scope");
    cases.deny(WRONG_TYPE, "an ID token", &id_token.sign());
    let generic = || world.generic.token().header("typ", "JWT");
    for claim in ["nonce", "at_hash", "c_hash"] {
        cases.deny(WRONG_TYPE, &format!("generic typ, {claim}"), &generic().claim(claim, "x").sign());
    }
    let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    cases.deny(WRONG_TYPE, "generic typ, a logout token", &generic().claim("events", events).sign());
    for typ in ["ID", "Refresh", "Logout"] {
        cases.deny(WRONG_TYPE, &format!("generic typ, the claim typ is {typ}"), &generic().claim("typ", typ).sign());
        let untyped = world.generic.token().without_header("typ").claim("typ", typ);
        cases.deny(WRONG_TYPE, &format!("no typ, the claim typ is {typ}"), &untyped.sign());
    }
    let strict = world.generic.token().header("typ", "id+jwt");
    cases.deny(WRONG_TYPE, "a typ that the list does not have", &strict.sign());
}

fn algorithm_cases(world: &World, cases: &mut Cases) {
    let token = || world.acme.token();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let unsigned = token().alg(alg).signing_input();
        cases.deny(ALGORITHM, &format!("alg {alg}, unsigned"), &format!("{unsigned}."));
        cases.deny(ALGORITHM, &format!("alg {alg}, with a signature"), &token().alg(alg).sign());
    }
    for alg in ["", "HS384", "HS512", "RS1", "rs256", "ES256K", "ES512", "RSA-OAEP", "dir"] {
        cases.deny(ALGORITHM, &format!("alg {alg:?}"), &token().alg(alg).sign());
    }
    cases.deny(MALFORMED, "no alg", &token().without_header("alg").sign());
    cases.deny(MALFORMED, "alg is a number", &token().header("alg", 256).sign());
    let jwk = rsa().jwk();
    let modulus = jwk["n"].as_str().unwrap_or_default().to_owned();
    let der = rsa().public_der();
    let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", STANDARD.encode(&der));
    let secrets = [
        ("JWK", jwk.to_string().into_bytes()),
        ("modulus", modulus.into_bytes()),
        ("DER", der),
        ("PEM", pem.into_bytes()),
        // An empty HMAC key is as good as a known one.
        ("empty secret", Vec::new()),
    ];
    for (name, secret) in secrets {
        let forged = token().alg("HS256").sign_by(|input| hs256(&secret, input));
        cases.deny(ALGORITHM, &format!("HS256 with the {name} of the RSA key"), &forged);
    }
    let published = token().alg("HS256").header("kid", "oct-1");
    let forged = published.sign_by(|input| hs256(b"a secret that is not one", input));
    cases.deny(ALGORITHM, "HS256 with a published secret", &forged);
    for (alg, kid) in [("ES256", "rsa-1"), ("RS256", "ec-1"), ("ES384", "ec-1"), ("EdDSA", "ec-1"), ("PS256", "ed-1")] {
        cases.deny(ALGORITHM, &format!("{alg} for the key {kid}"), &token().alg(alg).header("kid", kid).sign());
    }
    for (said, used) in [("PS256", "RS256"), ("RS384", "RS256"), ("RS256", "RS512"), ("RS256", "PS256")] {
        let crossed = token().alg(said).sign_by(|input| rsa().sign(used, input));
        cases.deny(BAD_SIGNATURE, &format!("{said} over a signature by {used}"), &crossed);
    }
    cases.deny(ALGORITHM, "an alg that the key does not name", &token().header("kid", "alg-1").sign());
    let narrow = world.narrow.token().claim("department", "ops").header("kid", "rsa-1").alg("RS256");
    let rs256 = narrow.sign_by(|input| rsa().sign("RS256", input));
    cases.deny(ALGORITHM, "an alg that the issuer's list does not have", &rs256);
    cases.deny(ALGORITHM, "an extension that nobody knows", &{
        token().header("crit", json!(["x"])).header("x", 1).sign()
    });
    let unencoded = token().header("crit", json!(["b64"])).header("b64", false);
    cases.deny(ALGORITHM, "an unencoded payload", &unencoded.sign());
    for (name, value) in [("empty", json!([])), ("text", json!("exp")), ("of numbers", json!([1]))] {
        cases.deny(ALGORITHM, &format!("crit is {name}"), &token().header("crit", value).sign());
    }
    cases.deny(ALGORITHM, "b64 without crit", &token().header("b64", false).sign());
    cases.deny(ALGORITHM, "compressed", &token().header("zip", "DEF").sign());
}

fn key_cases(world: &World, cases: &mut Cases) {
    let token = || world.acme.token();
    for kid in ["nobody", "", "../../etc/passwd", "http://127.0.0.1:1/x", "' OR 1=1 --", "RSA-1", "rsa-1 "] {
        cases.deny(UNKNOWN_KEY, &format!("kid {kid:?}"), &token().header("kid", kid).sign());
    }
    cases.deny(MALFORMED, "kid is a number", &token().header("kid", 5).sign());
    cases.deny(MALFORMED, "kid with a NUL", &token().header("kid", "a\u{0}b").sign());
    cases.deny(MALFORMED, "kid of 10,000 bytes", &token().header("kid", "k".repeat(10_000)).sign());
    for kid in ["enc-1", "ops-1", "zero-1"] {
        cases.deny(UNKNOWN_KEY, &format!("the unusable key {kid}"), &token().header("kid", kid).sign());
    }
    cases.deny(UNKNOWN_KEY, "a key of 1024 bits", WEAK_TOKEN);
    let (foreign, ec_token) = (&world.other.key, || Token::new(&world.acme.url, &ec()));
    cases.deny(BAD_SIGNATURE, "another key of the same kid", &token().sign_by(|input| foreign.sign("RS256", input)));
    let good = token().sign();
    let signature = good.rsplit('.').next().unwrap_or_default();
    let changed = token().scope("orders:read admin:all").signing_input();
    cases.deny(BAD_SIGNATURE, "changed claims", &format!("{changed}.{signature}"));
    let id_token = token().header("typ", "JWT").claim("nonce", "n").sign();
    let (header, rest) = (good.split('.').next().unwrap_or_default(), id_token.split_once('.').unwrap_or_default().1);
    cases.deny(BAD_SIGNATURE, "an ID token under the header of an access token", &format!("{header}.{rest}"));
    own_key_cases(world, cases);
    for length in [0, 1, 63, 65, 71, 1000] {
        cases.deny(BAD_SIGNATURE, &format!("ES256 with {length} bytes"), &ec_token().sign_by(|_| vec![1; length]));
    }
    for length in [0, 1, 255, 257] {
        cases.deny(BAD_SIGNATURE, &format!("RS256 with {length} bytes"), &token().sign_by(|_| vec![1; length]));
    }
    cases.deny(BAD_SIGNATURE, "ES256 with r = s = 0", &ec_token().sign_by(|_| vec![0; 64]));
    cases.deny(BAD_SIGNATURE, "ES256 with r = s = 2^256 - 1", &ec_token().sign_by(|_| vec![255; 64]));
    let ed = Token::new(&world.acme.url, &Key::of(Kind::Ed25519, 0, "ed-1"));
    cases.deny(BAD_SIGNATURE, "EdDSA with zeros", &ed.sign_by(|_| vec![0; 64]));
    let shared = Request::get("/other").bearer(&ec_token().sign());
    cases.refuse(UNKNOWN_ISSUER, "an issuer that the route does not name, with a shared key", shared);
    let stolen = Token::new(&world.other.url, &rsa());
    cases.deny(BAD_SIGNATURE, "a key of the first issuer for the second", &stolen.sign());
}

/// Tokens of somebody who brings the key to verify them by.
fn own_key_cases(world: &World, cases: &mut Cases) {
    let own = Key::of(Kind::Rsa, 2, "rsa-1");
    let by = |token: Token| token.sign_by(|input| own.sign("RS256", input));
    let token = || world.acme.token();
    let elsewhere = format!("{}/jwks", world.other.url);
    cases.deny(BAD_SIGNATURE, "signed by the embedded jwk", &by(token().header("jwk", own.jwk())));
    cases.deny(
        BAD_SIGNATURE,
        "signed by the embedded jwk, without kid",
        &by(token().without_header("kid").header("jwk", own.jwk())),
    );
    cases.deny(
        UNKNOWN_KEY,
        "signed by the embedded jwk, under its own kid",
        &by(token().header("kid", "own").header("jwk", own.jwk())),
    );
    cases.deny(
        BAD_SIGNATURE,
        "signed by the key of a certificate in x5c",
        &by(token().header("x5c", json!([b64(own.public_der())]))),
    );
    let foreign = &world.other.key;
    let pointing = token().header("kid", "other-1").header("jku", elsewhere.clone());
    cases.deny(UNKNOWN_KEY, "signed by a key at jku", &pointing.sign_by(|input| foreign.sign("RS256", input)));
    let pointing = token().header("kid", elsewhere);
    cases.deny(
        UNKNOWN_KEY,
        "signed by a key at the URL that is the kid",
        &pointing.sign_by(|input| foreign.sign("RS256", input)),
    );
}

fn rule_cases(world: &World, cases: &mut Cases) {
    const SCOPE: &str = "insufficient_scope";
    let get = |path: &str, token: Token| Request::get(path).bearer(&token.sign());
    let token = || world.acme.token();
    for scope in ["", "orders", "Orders:Read", "orders:read2", "orders:write", "orders:read,admin:all"] {
        cases.refuse(SCOPE, &format!("scope {scope:?}"), get("/orders/7", token().scope(scope)));
    }
    for name in ["scopes", "permissions", "roles", "scope_"] {
        let elsewhere = token().without("scope").claim(name, json!(["orders:read"]));
        cases.refuse(SCOPE, &format!("the scope in the claim {name}"), get("/orders/7", elsewhere));
    }
    cases.refuse(SCOPE, "scope lacks what scp has", get("/orders/7", token().scope("a").claim("scp", "orders:read")));
    cases.refuse(SCOPE, "no scope at all", get("/orders/7", token().without("scope")));
    cases.refuse(SCOPE, "one of two scopes", get("/admin", token()));
    cases.refuse(SCOPE, "none of any_scope", get("/any", token()));
    cases.refuse("claim_refused", "a claim is absent", get("/claims", token()));
    let near = token().claim("department", "ops").claim("realm", json!({"level": "3"}));
    cases.refuse("claim_refused", "a claim of another type", get("/claims", near));
    let far = token().claim("department", "opsx").claim("realm", json!({"level": 3}));
    cases.refuse("claim_refused", "a claim of another value", get("/claims", far));
    cases.refuse(WRONG_AUDIENCE, "not the route's audience", get("/audience", token()));
    cases.refuse(UNKNOWN_ISSUER, "not the route's issuer", get("/other", token()));
}

#[test]
fn bad_tokens_are_refused_each_for_its_reason() {
    let world = World::start();
    let mut cases = Cases::default();
    for add in [credential_cases, shape_cases, claim_cases, type_cases, algorithm_cases, key_cases, rule_cases] {
        add(&world, &mut cases);
    }
    let good = good_cases(&world).0.len();
    assert!(cases.0.len() >= 200 && good >= 40, "{} bad tokens and {good} good ones", cases.0.len());
    world.check_all(&cases);
    let targets = world.acme.hits();
    let strange: Vec<&String> =
        targets.iter().filter(|target| *target != "/jwks" && !target.starts_with("/.well-known/")).collect();
    assert!(strange.is_empty(), "a token made the gateway ask for {strange:?}");
}

#[test]
fn challenges_name_scopes_and_resource() {
    let world = World::start();
    let token = world.acme.token();
    let refused = world.gateway.call(&Request::get("/admin").bearer(&token.sign()));
    assert_eq!(refused.bearer("scope").as_deref(), Some("orders:read admin:all"));
    let refused = world.gateway.call(&Request::get("/any").bearer(&token.sign()));
    assert_eq!(refused.bearer("scope").as_deref(), Some("a b"));
    let refused = world.gateway.call(&Request::get("/orders/7"));
    assert!(refused.bearer("realm").is_some_and(|realm| !realm.is_empty()), "{:?}", refused.head);
    let refused = world.gateway.call(&Request::get("/versioned"));
    let metadata = "https://api.test/.well-known/oauth-protected-resource/v2";
    assert_eq!(refused.bearer("resource_metadata").as_deref(), Some(metadata));
}

#[test]
fn protected_resources_describe_themselves() {
    let world = World::start();
    let page = world.gateway.call(&Request::get("/.well-known/oauth-protected-resource"));
    let document = page.json();
    assert_eq!((page.status, &document["resource"]), (200, &json!("https://api.test")), "{}", page.text());
    let names = |member: &str| document[member].as_array().cloned().unwrap_or_default();
    assert!(names("authorization_servers").contains(&json!(world.acme.url)), "{document}");
    assert!(names("scopes_supported").contains(&json!("admin:all")), "{document}");
    let below = world.gateway.call(&Request::get("/.well-known/oauth-protected-resource/v2")).json();
    assert_eq!(below["resource"], "https://api.test/v2");
    let unknown = world.gateway.call(&Request::get("/.well-known/oauth-protected-resource/nothing"));
    assert_eq!(unknown.status, 404, "{}", unknown.text());
}

#[test]
fn a_browser_gets_a_page() {
    let world = World::start();
    let navigation =
        Request::get("/orders/7").field("Accept", "text/html,*/*;q=0.8").field("Sec-Fetch-Mode", "navigate");
    let page = world.gateway.call(&navigation);
    assert_eq!(page.status, 401);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{:?}", page.head);
    assert!(page.text().contains("no_credential"), "{}", page.text());
    let script = world.gateway.call(&Request::get("/orders/7").field("Accept", "application/json"));
    assert_eq!(script.code(), "no_credential");
}

#[test]
fn a_cached_verdict_does_not_outlive_the_token() {
    let world = World::start();
    // This issuer has no skew.
    let token = world.narrow.token().claim("department", "ops").claim("exp", now() + 3).sign();
    let call = || world.gateway.call(&Request::get("/orders/7").bearer(&token));
    assert_eq!((call().status, call().status), (200, 200), "warm");
    let refused = eventually("the token expires", Duration::from_secs(15), || {
        let answer = call();
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((refused.status, refused.code()), (401, "expired".to_owned()));
}

#[test]
fn a_cached_verdict_is_judged_by_every_route_anew() {
    let world = World::start();
    let token = world.acme.token();
    let signed = token.sign();
    let call = |path: &str, token: &str| world.gateway.call(&Request::get(path).bearer(token));
    for _ in 0..3 {
        assert_eq!(call("/orders/7", &signed).status, 200);
        assert_eq!(call("/admin", &signed).code(), "insufficient_scope");
        assert_eq!(call("/other", &signed).code(), "unknown_issuer");
        let forged = format!("{}.{}", token.signing_input(), b64([1; 256]));
        assert_eq!(call("/orders/7", &forged).code(), "bad_signature", "the same claims with another signature");
    }
    let hits = world.gateway.metric("tollgate_token_cache_total", &["result=\"hit\""]);
    assert!(hits >= 2.0, "{hits} cache hits");
}

#[test]
fn no_token_is_written_anywhere() {
    let world = World::start();
    let good = world.acme.token().sign();
    let forged = world.acme.token().sign_by(|_| vec![9; 256]);
    let stale = world.acme.token().claim("exp", now() - 100).sign();
    let mut seen = String::new();
    for token in [&good, &forged, &stale] {
        for path in ["/orders/7", "/optional", "/public", "/nowhere"] {
            let with_query = format!("{path}?access_token={token}");
            for request in [Request::get(path).bearer(token), Request::get(&with_query).bearer(token)] {
                let answer = world.gateway.call(&request);
                let forwarded = answer.status == 200;
                if !forwarded {
                    seen.push_str(&format!("{:?}{}", answer.head, answer.text()));
                }
            }
        }
    }
    let lines = world.gateway.until("the access log has every exchange", || {
        let lines = world.gateway.access_log();
        (lines.len() >= 24).then_some(lines)
    });
    seen.push_str(&json!(lines).to_string());
    seen.push_str(&world.gateway.stderr());
    seen.push_str(&world.gateway.admin_page("/metrics").text());
    seen.push_str(&world.gateway.admin_page("/config").text());
    for token in [&good, &forged, &stale] {
        for part in token.split('.').skip(1) {
            assert!(!seen.contains(&part[..40]), "a part of a token was written: {part}");
        }
    }
    let denials = world.gateway.metric("tollgate_denials_total", &["code=\"expired\""]);
    assert!(denials >= 2.0, "{denials} denials counted");
}
