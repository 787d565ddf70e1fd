//! What holds of every token, over the whole judgement of the gateway: a good one with any one byte changed is refused, and
//! no claims that an issuer signs make anything panic. Most cases take the steps of the gateway inside this process
//! (`rehearse`, as `explain` does); a part of them goes over the wire.

mod support;

use http::{Method, Uri};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use support::client::{Conn, Request};
use support::gateway::{Gateway, complete};
use support::keys::{Key, Kind};
use support::token::{AUDIENCE, Token};
use support::upstream::Upstream;
use support::{now, runtime};
use tempfile::TempDir;
use tollgate::app::rehearse::{Caller, rehearse};
use tollgate::app::system_means;
use tollgate::clock::UnixTime;
use tollgate::config::{System, parse};
use tollgate::gateway::snapshot::Snapshot;

/// Every profile has an issuer, and all have the same keys.
const PROFILES: [&str; 6] = ["rfc9068", "okta", "auth0", "entra", "keycloak", "cognito"];

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bytes that are no part of a token's three parts.
const FOREIGN: &[u8] = b".=+/~, \"\\;%\t\0";

const ROUTES: &str = r#"
[[routes]]
name = "orders"
path = "/orders/{id}"
upstream = "api"
scopes = ["orders:read"]

[[routes]]
name = "any"
path = "/any"
upstream = "api"

[[routes]]
name = "rules"
path = "/tenants/{tenant}"
upstream = "api"
any_scope = ["orders:read", "b"]
client_ids = ["cli", "web"]
acr = ["gold"]
max_age = "5m"
min_remaining_life = "1s"
max_total_life = "1h"
claims = { "/tenant" = "{tenant}", "/a/b" = [1, "x"], "/e" = { exists = true }, "/l" = { contains = "{tenant}" } }
"#;

/// The keys that all tokens are signed with.
fn keys() -> [Key; 3] {
    [Key::of(Kind::Rsa, 0, "rsa"), Key::of(Kind::P256, 0, "ec"), Key::of(Kind::Ed25519, 0, "ed")]
}

fn issuer(profile: &str) -> String {
    format!("https://{profile}.test")
}

/// A configuration that needs no network for its keys, and the folder that they are in.
fn config(upstream: &str) -> (TempDir, String) {
    let folder = TempDir::new().expect("a temporary folder");
    let set = json!({ "keys": keys().map(|key| key.jwk()) });
    std::fs::write(folder.path().join("keys.json"), set.to_string()).expect("a folder of ours");
    let issuers: String = PROFILES
        .iter()
        .map(|profile| {
            let url = issuer(profile);
            format!(
                "[issuers.{profile}]\nissuer = \"{url}\"\naudiences = [\"{AUDIENCE}\", \"cli\"]\njwks_file = \"keys.json\"\n\
                 profile = \"{profile}\"\n"
            )
        })
        .collect();
    let headers = "[identity_headers]\n\"X-Auth-Roles\" = \"/roles\"\n\"X-Auth-Name\" = \"/name\"\n";
    (folder, format!("{issuers}{headers}{upstream}{ROUTES}"))
}

/// The gateway's judgement without its sockets.
struct Court {
    snapshot: Snapshot,
    _folder: TempDir,
}

impl Court {
    fn open() -> Self {
        let (folder, text) = config("[upstreams.api]\nservers = [\"http://127.0.0.1:9\"]\n");
        let path = folder.path().join("tollgate.toml");
        let loaded = parse(&complete(&text), "tollgate.toml", &System::of(&path));
        let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
        let snapshot = Snapshot::compile(loaded.config, &system_means(), None).expect("the keys are there");
        snapshot.issuers.iter().for_each(|issuer| issuer.start(runtime().handle()));
        Self { snapshot, _folder: folder }
    }

    /// `allow` or the code of the denial.
    fn judge(&self, path: &str, token: &str, proof: Option<&str>) -> &'static str {
        let url: Uri = format!("https://api.test{path}").parse().expect("a URL");
        let caller = Caller::Token { token: token.into(), proof: proof.map(str::to_owned), certificate: None };
        let at = UnixTime::from_secs(now());
        runtime().block_on(rehearse(&self.snapshot, &Method::GET, &url, caller, at)).verdict()
    }
}

/// Texts that differ from `text` in one byte: at every place, each single bit that leaves it ASCII, its neighbours in the
/// alphabet of base64url, and bytes that are foreign to it; at the end of a part, where bits may stand that nobody reads,
/// the whole alphabet.
fn one_byte_changed(text: &str) -> impl Iterator<Item = (usize, String)> {
    let bytes = text.as_bytes();
    (0..bytes.len()).flat_map(move |at| {
        let byte = bytes[at];
        let mut others: Vec<u8> = (0..7).map(|bit| byte ^ (1 << bit)).chain(FOREIGN.iter().copied()).collect();
        if let Some(position) = ALPHABET.iter().position(|letter| *letter == byte) {
            others.extend([1, 2, 4, 8].map(|bit| ALPHABET[position ^ bit]));
        }
        if bytes.get(at + 1).is_none_or(|next| *next == b'.') {
            others.extend(ALPHABET);
        }
        others.sort_unstable();
        others.dedup();
        others.retain(|other| *other != byte);
        others.into_iter().map(move |other| (at, replaced(text, at, other)))
    })
}

fn replaced(text: &str, at: usize, byte: u8) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = byte;
    String::from_utf8(bytes).expect("ASCII in place of ASCII")
}

fn tokens() -> [(String, String); 3] {
    keys().map(|key| (key.algorithm().to_owned(), Token::new(&issuer("rfc9068"), &key).sign()))
}

#[test]
fn a_valid_token_with_any_one_byte_changed_is_refused() {
    let court = Court::open();
    for (algorithm, token) in tokens() {
        assert_eq!(court.judge("/orders/7", &token, None), "allow", "{algorithm}");
        let mut count = 0;
        for (at, changed) in one_byte_changed(&token) {
            count += 1;
            let verdict = court.judge("/orders/7", &changed, None);
            let kinds = ["malformed_token", "bad_signature", "bad_credential_syntax", "algorithm_refused"];
            let others = ["unknown_key", "wrong_type", "unknown_issuer", "missing_claim", "wrong_audience", "expired"];
            let known = kinds.contains(&verdict) || others.contains(&verdict) || verdict == "not_yet_valid";
            assert!(known || verdict == "bad_binding", "{algorithm}, byte {at}: {verdict}: {changed}");
        }
        assert!(count > 5_000, "{count} changes of the token of {algorithm}");
    }
}

#[test]
fn a_bound_token_or_its_proof_with_any_one_byte_changed_is_refused() {
    let court = Court::open();
    for key in keys() {
        let token = Token::new(&issuer("rfc9068"), &keys()[1]).bound_to(&key).sign();
        let proof = || Token::proof(&key, "GET", "https://api.test/orders/7", &token).sign();
        assert_eq!(court.judge("/orders/7", &token, Some(&proof())), "allow", "{}", key.algorithm());
        let proof = proof();
        for (at, changed) in one_byte_changed(&proof) {
            let verdict = court.judge("/orders/7", &token, Some(&changed));
            let refused = ["bad_proof", "bad_binding", "bad_credential_syntax"].contains(&verdict);
            assert!(refused, "{}, byte {at} of the proof: {verdict}: {changed}", key.algorithm());
        }
        for (at, changed) in one_byte_changed(&token).step_by(5) {
            let verdict = court.judge("/orders/7", &changed, Some(&proof));
            assert!(verdict != "allow", "{}, byte {at} of the token: {changed}", key.algorithm());
        }
        assert_eq!(court.judge("/orders/7", &token, Some(&proof)), "allow", "nothing of that used the proof up");
    }
}

/// The same through the real parser of requests and the caches of the workers.
#[test]
fn a_changed_token_does_not_reach_the_upstream() {
    let upstream = Upstream::echo();
    let (folder, text) = config(&upstream.toml("api"));
    let gateway = Gateway::listening_in(folder, &text);
    gateway.wait_ready();
    let mut conn = gateway.connect();
    for (algorithm, token) in tokens() {
        let request = |token: &str| Request::get("/orders/7").bearer(token);
        assert_eq!(conn.call(&request(&token)).status, 200, "{algorithm}");
        upstream.drain();
        for at in 0..token.len() {
            let letter = ALPHABET.iter().position(|letter| *letter == token.as_bytes()[at]);
            let neighbour = letter.map_or(b'A', |position| ALPHABET[position ^ 1]);
            let foreign = b".=+/~, \"\\;%"[at % 11];
            for byte in [neighbour, foreign] {
                if byte == token.as_bytes()[at] {
                    continue;
                }
                let changed = replaced(&token, at, byte);
                let answer = call(&mut conn, &gateway, &request(&changed));
                assert!(matches!(answer, 400 | 401), "{algorithm}, byte {at}: {answer}: {changed}");
            }
        }
        assert_eq!(upstream.drain().len(), 0, "{algorithm}");
        assert_eq!(conn.call(&request(&token)).status, 200, "{algorithm}: the good one is still good");
        upstream.drain();
    }
}

/// The status of the answer; a connection that is closed after it is opened anew.
fn call(conn: &mut Conn, gateway: &Gateway, request: &Request) -> u16 {
    let answer = conn.call(request);
    if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
        *conn = gateway.connect();
    }
    answer.status
}

/// The text of a number, in range or not.
fn any_number() -> impl Strategy<Value = String> {
    let odd = select(vec![
        "0",
        "-0",
        "-1",
        "1e0",
        "1E-400",
        "1e300",
        "1e999",
        "-1e999",
        "1.5",
        "9007199254740993",
        "253402300799",
        "253402300800",
        "18446744073709551616",
        "123456789012345678901234567890",
        "4102444800",
        "4102444800.5",
    ]);
    prop_oneof![odd.prop_map(str::to_owned), any::<i64>().prop_map(|value| value.to_string())]
}

/// The text of a JSON value, with much that writers of JSON do not write.
fn any_json() -> impl Strategy<Value = String> {
    let text = select(vec![
        "alice",
        "gold",
        "acme",
        "orders:read b",
        "",
        " ",
        "a b  c",
        "\\u0000",
        "\\r\\nX-A: b",
        "\\ud83d\\ude00",
        "\\ud800",
        "\\udc00\\ud800",
        "\u{202e}\u{feff}",
        "e\u{301}\u{1f468}\u{200d}\u{1f469}",
        "\\u00e9\\u0065",
        "%0d%0a",
        "{tenant}",
        "Bearer",
        "access",
        "ID",
        "https://rfc9068.test",
        AUDIENCE,
        "cli",
        "\u{7f}\u{80}\u{9f}",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any_number(),
        text.prop_map(|text| format!("\"{text}\"")),
        "\\PC{0,8}".prop_map(|text| json!(text).to_string()),
        (1..200_usize).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
        (1..200_usize).prop_map(|depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("[ab]|jkt|x5t#S256|alg|e\u{301}", inner), 0..4).prop_map(|members| object(&members)),
        ]
    })
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", members.join(","))
}

/// Claims of an access token of every profile at once, but for the issuer.
fn good_claims(profile: &str) -> Value {
    json!({
        "iss": issuer(profile), "aud": AUDIENCE, "exp": now() + 300, "iat": now(), "auth_time": now(), "jti": "1", "sub": "alice",
        "client_id": "cli", "azp": "cli", "cid": "cli", "appid": "cli", "scp": "orders:read", "scope": "orders:read",
        "typ": "Bearer", "token_use": "access", "acr": "gold", "tenant": "acme", "a": {"b": 1}, "e": 1, "l": ["acme"],
    })
}

/// The text of claims: good ones of a profile, some of which are something else, and others added.
fn any_claims() -> impl Strategy<Value = (&'static str, String)> {
    const NAMES: [&str; 29] = [
        "iss",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "sub",
        "client_id",
        "scope",
        "scp",
        "azp",
        "appid",
        "cid",
        "typ",
        "token_use",
        "cnf",
        "acr",
        "auth_time",
        "sid",
        "nonce",
        "events",
        "roles",
        "name",
        "tenant",
        "a",
        "e",
        "l",
        "realm_access",
        "ver",
    ];
    let date = select(&["exp", "nbf", "iat", "auth_time"][..]);
    let change = prop_oneof![3 => (select(&NAMES[..]), any_json()), 1 => (date, any_number())];
    let twice = prop::option::weighted(0.1, any::<Index>());
    (select(&PROFILES[..]), prop::collection::vec(change, 0..6), twice).prop_map(|(profile, changes, twice)| {
        let good = good_claims(profile);
        let mut members: Vec<(String, String)> = good
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name))
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        for (name, value) in changes {
            if !members.iter().any(|(there, _)| there == name) {
                members.push((name.to_owned(), value));
            }
        }
        if let Some(index) = twice {
            members.push(members[index.index(members.len())].clone());
        }
        (profile, object(&members))
    })
}

fn signed((profile, claims): &(&'static str, String)) -> String {
    let token = Token::new(&issuer(profile), &keys()[1]).claims_text(claims);
    match *profile {
        "rfc9068" => token.sign(),
        "okta" | "cognito" => token.without_header("typ").sign(),
        _ => token.header("typ", "JWT").sign(),
    }
}

/// What has to be true of claims that open a route, by a reader who knows only the specification.
fn may_pass((profile, claims): &(&'static str, String)) -> bool {
    let Ok(claims) = serde_json::from_str::<Value>(claims) else { return false };
    // A token of Cognito that is bound to a resource says so in `aud`, which then counts alone.
    let name = if *profile == "cognito" && claims.get("aud").is_none() { "client_id" } else { "aud" };
    let ours = |value: &Value| value == AUDIENCE || value == "cli";
    let audience = claims[name].as_array().map_or_else(|| ours(&claims[name]), |all| all.iter().any(ours));
    let text_or_nothing = |name: &str| claims.get(name).is_none_or(Value::is_string);
    claims["iss"] == issuer(profile)
        && audience
        && claims["exp"].as_f64().is_some_and(|exp| exp > 0.0)
        && ["sub", "jti", "client_id", "sid"].into_iter().all(text_or_nothing)
        && claims.get("nbf").is_none_or(Value::is_number)
        && claims.get("cnf").is_none()
}

fn court() -> &'static Court {
    static COURT: std::sync::OnceLock<Court> = std::sync::OnceLock::new();
    COURT.get_or_init(Court::open)
}

#[test]
fn the_good_claims_of_every_profile_pass() {
    for profile in PROFILES {
        let claims = good_claims(profile);
        let case = (profile, claims.to_string());
        assert!(may_pass(&case), "{profile}");
        for path in ["/any", "/tenants/acme"] {
            assert_eq!(court().judge(path, &signed(&case), None), "allow", "{profile} {path}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_claims_object_panics(case in any_claims()) {
        let token = signed(&case);
        for path in ["/any", "/orders/7", "/tenants/acme"] {
            let verdict = court().judge(path, &token, None);
            prop_assert!(verdict != "allow" || may_pass(&case), "{}", case.1);
            prop_assert!(verdict != "issuer_unavailable" && verdict != "no_route", "{verdict}");
        }
    }
}

/// The same over the wire, and what upstreams are told is in order too: the peer reads heads strictly.
#[test]
fn no_claims_object_breaks_the_gateway() {
    let upstream = Upstream::echo();
    let (folder, text) = config(&upstream.toml("api"));
    let mut gateway = Gateway::listening_in(folder, &text);
    gateway.wait_ready();
    let mut conn = gateway.connect();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let allowed = std::cell::Cell::new(0);
    let conn = std::cell::RefCell::new(&mut conn);
    runner
        .run(&any_claims(), |case| {
            let status = call(&mut conn.borrow_mut(), &gateway, &Request::get("/any").bearer(&signed(&case)));
            let arrived = upstream.drain().len();
            allowed.set(allowed.get() + arrived);
            prop_assert!(matches!((status, arrived), (200, 1) | (401 | 403, 0)), "{status} {arrived}: {}", case.1);
            Ok(())
        })
        .expect("every answer is 200, 401 or 403");
    assert!(allowed.get() > 50, "{} of 600 were allowed", allowed.get());
    assert!(gateway.is_alive() && !gateway.stderr().contains("panicked"), "{}", gateway.stderr());
}
