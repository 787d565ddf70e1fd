//! Tokens that are bound to a key of their client (RFC 9449): which proofs pass, what is said about the others, and that
//! none is used twice.

mod support;

use serde_json::{Value, json};
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::issuer::Issuer;
use support::keys::{Key, Kind, b64, hs256, sha256};
use support::redis::Redis;
use support::token::Token;
use support::upstream::Upstream;
use support::{h2, now, report, runtime};

/// What clients call `GET /orders/7` of the suites by.
const URL: &str = "http://api.test/orders/7";

const ROUTES: &str = r#"
[[routes]]
name = "orders"
path = "/orders/{*rest}"
upstream = "api"
scopes = ["orders:read"]

[[routes]]
name = "bound"
path = "/bound"
upstream = "api"
bind = "dpop"

[[routes]]
name = "optional"
path = "/optional"
upstream = "api"
access = "optional"
bind = "dpop"

[[routes]]
name = "drop"
path = "/drop"
upstream = "api"
credential = "drop"

[[routes]]
name = "public"
path = "/public"
upstream = "api"
access = "public"
"#;

struct World {
    issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
}

/// The client's key.
fn client() -> Key {
    Key::of(Kind::P256, 3, "client")
}

impl World {
    fn start() -> Self {
        Self::with("", "")
    }

    /// Another gateway of the same issuer and upstream.
    fn replica(&self, tables: &str) -> Gateway {
        let parts = [tables.to_owned(), self.issuer.toml("acme"), self.upstream.toml("api"), ROUTES.to_owned()];
        Gateway::start(&parts.join("\n"))
    }

    /// `server` is put into `[server]`, `tables` beside it.
    fn with(server: &str, tables: &str) -> Self {
        let (issuer, upstream) = (Issuer::start(), Upstream::echo());
        let head = format!("[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n{server}\n");
        let parts = [head, tables.to_owned(), issuer.toml("acme"), upstream.toml("api"), ROUTES.to_owned()];
        let gateway = Gateway::start(&parts.join("\n"));
        Self { issuer, upstream, gateway }
    }

    /// A token that is bound to [`client`].
    fn token(&self) -> String {
        self.issuer.token().bound_to(&client()).sign()
    }

    /// What is wrong with the answer to `request`: `code` is that of the denial, or `allow`.
    fn check(&self, name: &str, request: &Request, code: &str) -> Option<String> {
        let answer = self.gateway.call(request);
        let arrived = self.upstream.drain().len();
        let wrong = match code {
            "allow" if answer.status == 200 && arrived == 1 => None,
            "allow" => Some(format!("wanted 200, got {} {:?}, {arrived} upstream", answer.status, answer.text())),
            _ if arrived > 0 => Some(format!("refused with {}, but it reached the upstream", answer.status)),
            _ if answer.code() != code => Some(format!("wanted {code}, got {} {:?}", answer.status, answer.text())),
            _ => wrong_challenge(&answer, code),
        };
        wrong.map(|wrong| format!("- {name}: {wrong}"))
    }
}

/// What is wrong with status and challenge of a refusal that concerns a proof.
fn wrong_challenge(answer: &Response, code: &str) -> Option<String> {
    let (status, error) = match code {
        "bad_proof" => (401, Some("invalid_dpop_proof")),
        "proof_nonce_required" => (401, Some("use_dpop_nonce")),
        "bad_binding" => (401, Some("invalid_token")),
        _ => return None,
    };
    let errors = ["DPoP", "Bearer"].map(|scheme| answer.challenge_parameter(scheme, "error"));
    let told: Vec<&str> = errors.iter().flatten().map(String::as_str).collect();
    let algs = answer.challenge_parameter("DPoP", "algs").unwrap_or_default();
    let offered = algs.split(' ').any(|alg| alg == "ES256") && !algs.contains("HS");
    (answer.status != status || told != error.as_slice() || !offered)
        .then(|| format!("{} {:?}", answer.status, answer.head.all("www-authenticate")))
}

#[derive(Default)]
struct Cases(Vec<(String, Request, &'static str)>);

impl Cases {
    fn add(&mut self, code: &'static str, name: &str, request: Request) {
        self.0.push((name.to_owned(), request, code));
    }

    #[track_caller]
    fn check(&self, world: &World) {
        let failures: Vec<String> =
            self.0.iter().filter_map(|(name, request, code)| world.check(name, request, code)).collect();
        report(self.0.len(), &failures);
    }
}

fn orders(token: &str, proof: &Token) -> Request {
    Request::get("/orders/7").dpop(token, &proof.sign())
}

fn good_cases(world: &World, cases: &mut Cases) {
    let token = world.token();
    let proof = || Token::proof(&client(), "GET", URL, &token);
    let mut good = |name: &str, proof: Token| cases.add("allow", name, orders(&token, &proof));
    good("a good proof", proof());
    good("typ in capitals", proof().header("typ", "DPOP+JWT"));
    good("a kid beside the key", proof().header("kid", "x"));
    good("use and key_ops that fit", {
        let mut jwk = client().public();
        jwk["use"] = json!("sig");
        jwk["key_ops"] = json!(["verify"]);
        proof().header("jwk", jwk)
    });
    good("further claims", proof().claim("exp", 1).claim("nonce", "of somebody else"));
    good("a minute old, within the skew", proof().claim("iat", now() - 70));
    good("from a clock that is ahead, within the skew", proof().claim("iat", now() + 20));
    good("iat with a fraction", proof().claim("iat", f64::from(u32::try_from(now()).expect("before 2106")) - 0.5));
    for htu in ["HTTP://API.TEST/orders/7", "http://api.test:80/orders/7", "http://api.test/%6frders/7?x#y"] {
        good(&format!("htu {htu}"), proof().claim("htu", htu));
    }
    let query = Request::get("/orders/7?page=2").dpop(&token, &proof().sign());
    cases.add("allow", "the query does not count", query);
    let lower = Request::get("/orders/7").field("authorization", &format!("dpop {token}"));
    cases.add("allow", "the scheme in small letters", lower.field("dpop", &proof().sign()));
    let posted = Request::new("POST", "/orders/7").dpop(&token, &Token::proof(&client(), "POST", URL, &token).sign());
    cases.add("allow", "another method", posted.body(b"{}"));
    for (kind, alg) in [
        (Kind::Rsa, "RS256"),
        (Kind::Rsa, "PS384"),
        (Kind::P256, "ES256"),
        (Kind::P384, "ES384"),
        (Kind::Ed25519, "EdDSA"),
        (Kind::Ed25519, "Ed25519"),
    ] {
        let key = Key::of(kind, 4, "client");
        let token = world.issuer.token().bound_to(&key).sign();
        cases.add("allow", alg, orders(&token, &Token::proof(&key, "GET", URL, &token).alg(alg)));
    }
    let bare = world.issuer.token().sign();
    cases.add("allow", "a token that is not bound, as Bearer", Request::get("/orders/7").bearer(&bare));
    let beside = Request::get("/orders/7").bearer(&bare).field("DPoP", &proof().sign());
    cases.add("allow", "a proof that nobody asked for", beside);
    cases.add("allow", "no token on an optional route", Request::get("/optional"));
    cases.add("allow", "a public route looks at nothing", Request::get("/public").dpop("x", "y"));
}

fn header_cases(world: &World, cases: &mut Cases) {
    let token = world.token();
    let proof = || Token::proof(&client(), "GET", URL, &token);
    let other = Key::of(Kind::P256, 5, "other");
    let mut bad = |name: &str, proof: &str| {
        cases.add("bad_proof", name, Request::get("/orders/7").dpop(&token, proof));
    };
    for typ in ["JWT", "at+jwt", "dpop", "dpop+jwt ", ""] {
        bad(&format!("typ {typ:?}"), &proof().header("typ", typ).sign());
    }
    bad("no typ", &proof().without_header("typ").sign());
    bad("no jwk", &proof().without_header("jwk").sign());
    bad("a kid in place of the jwk", &proof().without_header("jwk").header("kid", "client").sign());
    bad("jwk is a text", &proof().header("jwk", client().public().to_string()).sign());
    for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        let mut jwk = client().public();
        jwk[member] = json!(b64([7; 32]));
        bad(&format!("the private member {member:?} in jwk"), &proof().header("jwk", jwk).sign());
    }
    let secret = b64("a secret that is not one");
    let symmetric = proof().alg("HS256").header("jwk", json!({"kty": "oct", "k": secret}));
    bad("HS256 with a key that it brings", &symmetric.sign_by(|input| hs256(b"a secret that is not one", input)));
    let confused = proof().alg("HS256");
    bad("HS256 with the public key", &confused.sign_by(|input| hs256(client().public().to_string().as_bytes(), input)));
    bad("alg none", &proof().alg("none").sign_by(|_| Vec::new()));
    bad("no alg", &proof().without_header("alg").sign());
    bad("an alg that is not the key's", &proof().alg("RS256").sign());
    bad("an alg of another curve", &proof().alg("ES384").sign());
    bad("a point that is not on the curve", &{
        let mut jwk = client().public();
        jwk["y"] = jwk["x"].clone();
        proof().header("jwk", jwk).sign()
    });
    bad("a key for encryption", &{
        let mut jwk = client().public();
        jwk["use"] = json!("enc");
        proof().header("jwk", jwk).sign()
    });
    let mut weak = Key::of(Kind::Rsa, 4, "client").public();
    weak["n"] = json!("AQAB");
    bad("a weak RSA key", &proof().alg("RS256").header("jwk", weak).sign_by(|_| vec![1; 3]));
    bad("an unknown crit", &proof().header("crit", json!(["x"])).header("x", 1).sign());
    bad("b64: false", &proof().header("b64", false).sign());
    bad("zip", &proof().header("zip", "DEF").sign());
    bad("jwk twice", &proof().header_prefix("\"jwk\":{\"kty\":\"oct\"}").sign());
    bad("signed by another key", &proof().sign_by(|input| other.sign("ES256", input)));
    bad("no signature", &proof().sign_by(|_| Vec::new()));
    bad("a signature of zeros", &proof().sign_by(|_| vec![0; 64]));
    bad("a signature of 63 bytes", &proof().sign_by(|input| client().sign("ES256", input)[..63].to_vec()));
    bad("trailing bytes", &format!("{}.x", proof().sign()));
    bad("padding", &format!("{}=", proof().sign()));
    bad("two parts", proof().signing_input().as_str());
    bad("empty", "");
    bad("no JWS", "x");
    bad("the token in its place", &token);
    bad("JSON serialization", &json!({"payload": "x", "signature": "y", "protected": "z"}).to_string());
    bad("9 KiB", &proof().claim("x", "y".repeat(9000)).sign());
    bad("bytes that are not ASCII", "\u{e9}\u{ff}");
    bad("a list of two", &format!("{}, {}", proof().sign(), proof().sign()));
    let twice = orders(&token, &proof()).field("DPoP", &proof().sign());
    cases.add("bad_proof", "two DPoP fields", twice);
    let bare = Request::get("/orders/7").field("Authorization", &format!("DPoP {token}"));
    cases.add("bad_proof", "no proof", bare);
}

fn claim_cases(world: &World, cases: &mut Cases) {
    let token = world.token();
    let proof = || Token::proof(&client(), "GET", URL, &token);
    let mut bad = |name: &str, proof: Token| cases.add("bad_proof", name, orders(&token, &proof));
    for claim in ["jti", "htm", "htu", "iat", "ath"] {
        bad(&format!("no {claim}"), proof().without(claim));
        for value in [Value::Null, json!([1]), json!({"a": 1}), json!(true)] {
            bad(&format!("{claim} is {value}"), proof().claim(claim, value));
        }
    }
    for htm in ["POST", "get", "GET ", "", "*"] {
        bad(&format!("htm {htm:?}"), proof().claim("htm", htm));
    }
    for htu in [
        "https://api.test/orders/7",
        "http://api.test/orders/8",
        "http://api.test/orders",
        "http://api.test/orders/7/",
        "http://api.test/ORDERS/7",
        "http://api.test/orders%2f7",
        "http://evil.test/orders/7",
        "http://api.test:8080/orders/7",
        "http://api.test@evil.test/orders/7",
        "http://me@api.test/orders/7",
        "http://api.test",
        "/orders/7",
        "",
    ] {
        bad(&format!("htu {htu:?}"), proof().claim("htu", htu));
    }
    bad("too old", proof().claim("iat", now() - 95));
    bad("an hour old", proof().claim("iat", now() - 3600));
    bad("in the future", proof().claim("iat", now() + 60));
    bad("iat is a text", proof().claim("iat", now().to_string()));
    bad("iat is negative", proof().claim("iat", -1));
    bad("iat is huge", proof().claim("iat", 1e300));
    bad("the hash of another token", proof().claim("ath", b64(sha256(b"another"))));
    bad("a hash in hexadecimal", {
        let hex: String = sha256(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        proof().claim("ath", hex)
    });
    bad("an empty jti", proof().claim("jti", ""));
    bad("a jti of 300 bytes", proof().claim("jti", "x".repeat(300)));
    bad("claims that are no JSON", proof().claims_text("{"));
    bad("a claim twice", proof().claims_prefix("\"htm\":\"POST\""));
    bad("claims nested deeply", proof().claims_text(&format!("{}1{}", "{\"a\":".repeat(2000), "}".repeat(2000))));
}

fn binding_cases(world: &World, cases: &mut Cases) {
    let token = world.token();
    let bare = world.issuer.token().sign();
    let other = Key::of(Kind::P256, 5, "other");
    let by = |key: &Key, token: &str| Token::proof(key, "GET", URL, token);
    let mut unbound = |name: &str, request: Request| cases.add("bad_binding", name, request);
    unbound("a bound token as Bearer", Request::get("/orders/7").bearer(&token));
    let with_proof = Request::get("/orders/7").bearer(&token).field("DPoP", &by(&client(), &token).sign());
    unbound("a bound token as Bearer, with a proof", with_proof);
    unbound("a token that is not bound, as DPoP", orders(&bare, &by(&client(), &bare)));
    unbound("a proof of another key", orders(&token, &by(&other, &token)));
    let foreign = world.issuer.token().claim("cnf", json!({"kid": "x"})).sign();
    unbound("bound in an unknown way, as DPoP", orders(&foreign, &by(&client(), &foreign)));
    unbound("bound in an unknown way, as Bearer", Request::get("/orders/7").bearer(&foreign));
    let both = json!({"jkt": client().thumbprint(), "x5t#S256": b64([1; 32])});
    let both = world.issuer.token().claim("cnf", both).sign();
    unbound("bound to a certificate too", orders(&both, &by(&client(), &both)));
    let at = |path: &str| Token::proof(&client(), "GET", &format!("http://api.test{path}"), &token);
    unbound("a token that is not bound, where it has to be", Request::get("/bound").bearer(&bare));
    unbound("the same on an optional route", Request::get("/optional").bearer(&bare));
    cases.add("allow", "a bound one where it has to be", Request::get("/bound").dpop(&token, &at("/bound").sign()));
    let expired = world.issuer.token().bound_to(&client()).claim("exp", now() - 300).sign();
    cases.add("expired", "the token is judged too", orders(&expired, &by(&client(), &expired)));
    let scopeless = world.issuer.token().bound_to(&client()).scope("other").sign();
    cases.add("insufficient_scope", "and the rules of the route", orders(&scopeless, &by(&client(), &scopeless)));
    let malformed = world.issuer.token().claim("cnf", json!({"jkt": "x"})).sign();
    cases.add("malformed_token", "a thumbprint that is none", orders(&malformed, &by(&client(), &malformed)));
    let twice = orders(&token, &by(&client(), &token)).field("Authorization", &format!("Bearer {bare}"));
    cases.add("bad_credential_syntax", "two credentials", twice);
}

#[test]
fn only_a_good_proof_of_this_request_by_the_tokens_key_passes() {
    let world = World::start();
    let mut cases = Cases::default();
    good_cases(&world, &mut cases);
    header_cases(&world, &mut cases);
    claim_cases(&world, &mut cases);
    binding_cases(&world, &mut cases);
    assert!(cases.0.len() >= 120, "{} cases", cases.0.len());
    cases.check(&world);
}

/// A shared memory: neither another connection nor another worker nor another protocol takes a proof again.
#[test]
fn no_proof_is_taken_twice() {
    let world = World::start();
    let token = world.token();
    let proof = Token::proof(&client(), "GET", URL, &token).sign();
    let request = Request::get("/orders/7").dpop(&token, &proof);
    let mut kept = world.gateway.connect();
    assert_eq!(kept.call(&request).status, 200);
    let mut answers = vec![kept.call(&request).code()];
    // Connections are spread over the workers by the kernel.
    answers.extend((0..16).map(|_| world.gateway.call(&request).code()));
    let over_h2 = runtime().block_on(async {
        let mut h2 = h2::Client::cleartext(world.gateway.http()).await;
        let request = h2::request("GET", "/orders/7", None)
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", proof.as_str());
        let body = h2.call(request.body(h2::empty()).expect("a request")).await.body;
        serde_json::from_slice::<Value>(&body).expect("a problem document")["code"].as_str().map(str::to_owned)
    });
    answers.extend(over_h2);
    assert_eq!(answers.len(), 18);
    assert!(answers.iter().all(|code| code == "bad_proof"), "{answers:?}");
    assert_eq!(world.upstream.drain().len(), 1);
    // The same jti is another proof under another key.
    let other = Key::of(Kind::P256, 5, "other");
    let theirs = world.issuer.token().bound_to(&other).sign();
    let mut used = Token::proof(&client(), "GET", URL, &token).claim("jti", "the same");
    assert_eq!(world.gateway.call(&orders(&token, &used)).status, 200);
    used = Token::proof(&other, "GET", URL, &theirs).claim("jti", "the same");
    assert_eq!(world.gateway.call(&orders(&theirs, &used)).status, 200);
}

/// What is refused for another reason does not use the proof up, and does not fill the memory.
#[test]
fn a_full_memory_refuses_and_says_so() {
    let world = World::with("", "[dpop]\nmax_proofs = 1");
    let token = world.token();
    let proof = |jti: &str| Token::proof(&client(), "GET", URL, &token).claim("jti", jti);
    for number in 0..64 {
        let bad = proof(&format!("bad-{number}")).claim("ath", "x");
        assert_eq!(world.gateway.call(&orders(&token, &bad)).code(), "bad_proof");
    }
    let mut full = None;
    let first = proof("first");
    assert_eq!(world.gateway.call(&orders(&token, &first)).status, 200);
    for number in 0..64 {
        let answer = world.gateway.call(&orders(&token, &proof(&format!("more-{number}"))));
        if answer.status != 200 {
            full = Some(answer);
            break;
        }
    }
    let full = full.expect("one proof in each part of the memory at most");
    assert_eq!((full.status, full.code().as_str()), (503, "store_unavailable"));
    assert!(full.header("retry-after").is_some() && full.head.all("www-authenticate").is_empty());
    assert_eq!(world.gateway.call(&orders(&token, &first)).code(), "bad_proof", "nothing was forgotten for it");
}

#[test]
fn h2_requests_are_proven_by_the_same_url() {
    let world = World::start();
    let token = world.token();
    runtime().block_on(async {
        let mut h2 = h2::Client::cleartext(world.gateway.http()).await;
        for (htu, status) in [(URL, 200), ("https://api.test/orders/7", 401), ("http://api.test/orders/8", 401)] {
            let request = h2::request("GET", "/orders/7?x=1", None)
                .header("authorization", format!("DPoP {token}"))
                .header("dpop", Token::proof(&client(), "GET", htu, &token).sign());
            let answer = h2.call(request.body(h2::empty()).expect("a request")).await;
            assert_eq!(answer.status, status, "{htu}: {answer:?}");
        }
    });
}

/// The URL is the client's: as a trusted proxy tells it, or `public_url`.
#[test]
fn behind_a_proxy_the_url_is_the_public_one() {
    let direct = World::start();
    let trusting = World::with("trusted_proxies = [\"127.0.0.1\"]", "");
    let named = World::with("public_url = \"https://public.test:8443\"", "");
    let (http, https) = ("http://api.test/orders/7", "https://api.test/orders/7");
    let public = "https://public.test:8443/orders/7";
    let cases = [
        (&direct, Some("https"), https, 401),
        (&direct, Some("https"), http, 200),
        (&trusting, Some("https"), https, 200),
        (&trusting, Some("https"), http, 401),
        (&trusting, None, http, 200),
        (&trusting, None, https, 401),
        (&named, None, public, 200),
        (&named, None, http, 200),
        (&named, None, "https://public.test/orders/7", 401),
        (&named, None, "https://public.test:8443/orders/8", 401),
    ];
    let mut failures = Vec::new();
    for (world, proto, htu, status) in cases {
        let token = world.token();
        let mut request = orders(&token, &Token::proof(&client(), "GET", htu, &token));
        if let Some(proto) = proto {
            request = request.field("X-Forwarded-Proto", proto);
        }
        let answer = world.gateway.call(&request);
        if answer.status != status {
            failures.push(format!("- {proto:?} {htu}: {} {}", answer.status, answer.text()));
        }
    }
    report(cases.len(), &failures);
}

#[test]
fn replicas_that_share_a_store_take_a_proof_once_and_none_without_it() {
    let mut redis = Redis::start();
    let world = World::with("", &redis.toml());
    let replica = world.replica(&redis.toml());
    let token = world.token();
    let proof = || Token::proof(&client(), "GET", URL, &token);
    let (first, second) = (orders(&token, &proof()), orders(&token, &proof()));
    assert_eq!(world.check("a new proof", &first, "allow"), None);
    assert_eq!(replica.call(&first).code(), "bad_proof", "it came to the other replica");
    assert_eq!(replica.call(&second).status, 200);
    world.upstream.drain();
    assert_eq!(world.check("a proof that the other replica took", &second, "bad_proof"), None);
    redis.kill();
    let answer = world.gateway.call(&orders(&token, &proof()));
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"), "{}", answer.text());
    redis.start_again();
    world.gateway.until("proofs are taken again", || {
        (world.gateway.call(&orders(&token, &proof())).status == 200).then_some(())
    });
    assert_eq!(world.gateway.call(&first).code(), "bad_proof", "what was remembered still is");
}

#[test]
fn nonces_are_asked_for_and_given() {
    let settings = "[dpop]\nnonce = true\nnonce_secret = \"the same for all replicas\"";
    let (world, replica) = (World::with("", settings), World::with("", settings));
    let token = world.token();
    let proof = || Token::proof(&client(), "GET", URL, &token);
    assert_eq!(world.check("no nonce", &orders(&token, &proof()), "proof_nonce_required"), None);
    let answer = world.gateway.call(&orders(&token, &proof()));
    let nonce = answer.header("dpop-nonce").expect("a nonce").to_owned();
    let with = |nonce: &str| orders(&token, &proof().claim("nonce", nonce));
    let last = if nonce.ends_with('A') { "B" } else { "A" };
    let changed = format!("{}{last}", &nonce[..nonce.len() - 1]);
    let mut cases = Cases::default();
    cases.add("allow", "the nonce that was given", with(&nonce));
    cases.add("allow", "more than once", with(&nonce));
    let late = proof().claim("nonce", nonce.as_str()).claim("iat", now() - 100_000);
    cases.add("allow", "whatever the client's clock says", orders(&token, &late));
    cases.add("proof_nonce_required", "one of the client's own", with("mine"));
    cases.add("proof_nonce_required", "an empty one", with(""));
    cases.add("proof_nonce_required", "one that was changed", with(&changed));
    cases.add("bad_proof", "one that is no text", orders(&token, &proof().claim("nonce", 5)));
    cases.add("bad_proof", "a proof that is bad in another way", orders(&token, &proof().claim("htm", "PUT")));
    cases.check(&world);
    let used = orders(&token, &proof().claim("nonce", nonce.as_str()));
    assert_eq!(world.gateway.call(&used).status, 200);
    assert_eq!(world.gateway.call(&used).code(), "bad_proof", "a nonce is for many proofs, a proof for one request");
    let theirs = replica.token();
    let proof = Token::proof(&client(), "GET", URL, &theirs).claim("nonce", nonce);
    assert_eq!(replica.check("a nonce of another replica", &orders(&theirs, &proof), "allow"), None);
}

#[test]
fn a_nonce_that_gets_old_is_replaced_on_the_way() {
    let world = World::with("", "[dpop]\nnonce = true\nnonce_lifetime = \"1s\"");
    let token = world.token();
    let proof = || Token::proof(&client(), "GET", URL, &token);
    let first = world.gateway.call(&orders(&token, &proof()));
    let nonce = first.header("dpop-nonce").expect("a nonce").to_owned();
    let newer = world.gateway.until("the nonce is the last one, and its successor comes with a 200", || {
        let answer = world.gateway.call(&orders(&token, &proof().claim("nonce", nonce.as_str())));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("dpop-nonce").map(str::to_owned)
    });
    assert_ne!(newer, nonce);
    world.gateway.until("it ends", || {
        let answer = world.gateway.call(&orders(&token, &proof().claim("nonce", nonce.as_str())));
        (answer.code() == "proof_nonce_required").then_some(())
    });
}

#[test]
fn challenges_offer_the_schemes_that_a_route_takes() {
    let (plain, offering) = (World::start(), World::with("", "[dpop]\nalgorithms = [\"ES256\", \"EdDSA\"]"));
    let cases = [
        (&plain, "/orders/7", &["Bearer"][..]),
        (&plain, "/bound", &["DPoP"]),
        (&offering, "/orders/7", &["Bearer", "DPoP"]),
        (&offering, "/bound", &["DPoP"]),
    ];
    for (world, path, schemes) in cases {
        let answer = world.gateway.call(&Request::get(path));
        let told: Vec<&str> = answer
            .head
            .all("www-authenticate")
            .iter()
            .map(|value| value.split(' ').next().unwrap_or_default())
            .collect();
        assert_eq!((answer.code().as_str(), &told[..]), ("no_credential", schemes), "{path}");
        assert!(schemes.iter().all(|scheme| answer.challenge_parameter(scheme, "error").is_none()), "{path}");
    }
    let answer = offering.gateway.call(&Request::get("/orders/7"));
    assert_eq!(answer.challenge_parameter("DPoP", "algs").as_deref(), Some("ES256 EdDSA"));
    assert_eq!(answer.challenge_parameter("DPoP", "scope").as_deref(), Some("orders:read"));
    let key = Key::of(Kind::Rsa, 4, "client");
    let token = offering.issuer.token().bound_to(&key).sign();
    let refused = offering.gateway.call(&orders(&token, &Token::proof(&key, "GET", URL, &token)));
    assert_eq!(refused.code(), "bad_proof", "an algorithm that is not on the list");
    // A token that is no good is refused by the scheme that it came with.
    let expired = plain.issuer.token().bound_to(&client()).claim("exp", 1).sign();
    let answer = plain.gateway.call(&orders(&expired, &Token::proof(&client(), "GET", URL, &expired)));
    assert_eq!(answer.challenge_parameter("DPoP", "error").as_deref(), Some("invalid_token"));
    assert_eq!(answer.bearer("error"), None);
}

#[test]
fn metadata_tell_what_proofs_may_use_and_whether_they_are_needed() {
    let only =
        "[[routes]]\npath = \"/only\"\nupstream = \"api\"\nbind = \"dpop\"\nresource = \"https://api.test/only\"\n";
    let tables = format!("[dpop]\nalgorithms = [\"ES256\"]\n{only}");
    let world = World::with("public_url = \"https://api.test\"", &tables);
    let document = |path: &str| {
        let path = format!("/.well-known/oauth-protected-resource{path}");
        world.gateway.call(&Request::get(&path)).json()
    };
    for (path, needed) in [("", false), ("/only", true)] {
        let document = document(path);
        assert_eq!(document["dpop_signing_alg_values_supported"], json!(["ES256"]), "{document}");
        assert_eq!(document["dpop_bound_access_tokens_required"], needed, "{document}");
    }
}

/// `pass`: as it came, so that the upstream can judge the proof too; it was made for the URL that the upstream is told.
#[test]
fn the_upstream_gets_token_and_proof_as_they_came_or_neither() {
    let world = World::start();
    let token = world.token();
    let call = |path: &str| {
        let proof = Token::proof(&client(), "GET", &format!("http://api.test{path}"), &token).sign();
        assert_eq!(world.gateway.call(&Request::get(path).dpop(&token, &proof)).status, 200);
        (world.upstream.only(), proof)
    };
    let (seen, proof) = call("/orders/7");
    assert_eq!(seen.header("authorization"), Some(format!("DPoP {token}").as_str()));
    assert_eq!((seen.header("dpop"), seen.header("x-auth-subject")), (Some(proof.as_str()), Some("alice")));
    let (seen, _) = call("/drop");
    assert_eq!((seen.header("authorization"), seen.header("dpop")), (None, None));
    assert_eq!(seen.header("x-auth-subject"), Some("alice"));
}

#[test]
fn logs_and_metrics_have_the_codes_and_neither_token_nor_proof() {
    let world = World::start();
    let token = world.token();
    let proof = Token::proof(&client(), "GET", "http://api.test/x", &token).sign();
    assert_eq!(world.gateway.call(&Request::get("/orders/7").dpop(&token, &proof)).code(), "bad_proof");
    let line = world.gateway.until("the line is written", || {
        world.gateway.access_log().into_iter().find(|line| line["denial"] == "bad_proof")
    });
    assert!(line["detail"].as_str().is_some_and(|detail| detail.contains("htu")), "{line}");
    world.gateway.until("it is counted", || {
        let count = world.gateway.metric("tollgate_denials_total", &["code=\"bad_proof\"", "route=\"orders\""]);
        (count >= 1.0).then_some(())
    });
    let page = world.gateway.admin_page("/metrics").text();
    let said = format!("{line}{}{page}", world.gateway.stderr());
    for secret in [token.rsplit('.').next(), proof.rsplit('.').next()].into_iter().flatten() {
        assert!(!said.contains(secret), "{said}");
    }
}
