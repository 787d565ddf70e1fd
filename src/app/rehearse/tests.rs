//! Verdicts on written claims and on tokens, and what is told of the way to them.

use std::path::Path;

use super::*;
use crate::config;

const CONFIG: &str = r#"
[issuers.one]
issuer = "https://one.test"
audiences = ["https://api.test", "https://other.test"]

[issuers.two]
issuer = "https://two.test"
audiences = ["https://api.test"]

[issuers.people]
issuer = "https://people.test"

[logins.web]
issuer = "people"
client_id = "web"
public_url = "https://app.test"

[upstreams.api]
servers = ["http://127.0.0.1:9"]

[[routes]]
name = "people"
path = "/people"
upstream = "api"
login = "web"
issuers = ["people"]
client_ids = ["web"]
claims = { "/department" = "sales" }

[[routes]]
name = "orders"
hosts = ["api.test"]
path = "/orders/{id}"
methods = ["GET"]
upstream = "api"
issuers = ["one"]
audiences = ["https://other.test"]
scopes = ["orders:read"]
claims = { "/department" = ["sales"] }

[[routes]]
name = "both"
path = "/both"
upstream = "api"
audiences = ["https://third.test"]

[[routes]]
name = "bound"
path = "/bound"
upstream = "api"
bind = "dpop"

[[routes]]
name = "maybe"
path = "/maybe"
upstream = "api"
access = "optional"

[[routes]]
name = "open"
path = "/open"
upstream = "api"
access = "public"
"#;

/// Of some key: a SHA-256 in base64url.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn snapshot() -> Snapshot {
    let loaded = config::parse(CONFIG, "a.toml", &config::System::of(Path::new("a.toml"))).expect("a good config");
    Snapshot::compile(loaded.config, &crate::app::system_means(), None).expect("it names no files")
}

async fn ask(snapshot: &Snapshot, method: &str, url: &str, caller: Caller) -> Rehearsal {
    let (method, url) = (method.parse().expect("a method"), url.parse().expect("a URL"));
    rehearse(snapshot, &method, &url, caller, UnixTime::from_secs(1_800_000_000)).await
}

fn claims(claims: &Value) -> Caller {
    Caller::Claims(claims.as_object().cloned().expect("an object"))
}

fn token_of(token: &str) -> Caller {
    Caller::Token { token: token.into(), proof: None, certificate: None }
}

#[tokio::test]
async fn verdicts_are_those_of_the_gateway() {
    let snapshot = snapshot();
    let good = json!({"scope": "orders:read", "department": "sales"});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let orders = "https://api.test/orders/7";
    let cases = [
        ("GET", orders, None, "no_credential"),
        ("GET", orders, Some(good.clone()), "allow"),
        ("GET", orders, Some(json!({"department": "sales"})), "insufficient_scope"),
        ("GET", orders, Some(with("department", json!(["it", "sales"]))), "allow"),
        ("GET", orders, Some(with("department", json!("it"))), "claim_refused"),
        ("GET", orders, Some(with("aud", json!("https://api.test"))), "wrong_audience"),
        ("GET", orders, Some(with("aud", json!("https://elsewhere.test"))), "wrong_audience"),
        ("GET", orders, Some(with("iss", json!("https://two.test"))), "unknown_issuer"),
        ("GET", "https://api.test/both", Some(json!({})), "allow"),
        ("GET", orders, Some(with("iss", json!("https://three.test"))), "unknown_issuer"),
        ("GET", orders, Some(with("iss", json!(1))), "malformed_token"),
        ("GET", orders, Some(with("exp", json!(1_000_000_000))), "expired"),
        ("GET", orders, Some(with("nbf", json!(1_900_000_000))), "not_yet_valid"),
        ("GET", orders, Some(with("scope", json!(7))), "malformed_token"),
        ("POST", orders, Some(good.clone()), "method_not_allowed"),
        ("GET", "https://other.test/orders/7", Some(good.clone()), "no_route"),
        ("GET", "https://API.test.:8443/orders/7", Some(good.clone()), "allow"),
        ("GET", "https://api.test/orders/%2e%2e", Some(good.clone()), "ambiguous_path"),
        ("GET", "https://app.test/people", Some(good.clone()), "allow"),
        ("GET", "https://app.test/people", Some(with("iss", json!("https://people.test"))), "allow"),
        ("GET", "https://app.test/people", Some(with("department", json!("it"))), "claim_refused"),
        ("GET", "https://app.test/people", Some(with("aud", json!("cli"))), "wrong_audience"),
        ("GET", "https://app.test/people", Some(with("iss", json!("https://one.test"))), "unknown_issuer"),
        ("GET", "https://api.test/both", Some(json!({"iss": "https://people.test"})), "unknown_issuer"),
        ("GET", "https://api.test/bound", Some(json!({})), "bad_binding"),
        ("GET", "https://api.test/bound", Some(json!({"cnf": {"jkt": KEY}})), "allow"),
        ("GET", "https://api.test/bound", Some(json!({"cnf": {"x5t#S256": KEY}})), "bad_binding"),
        ("GET", "https://api.test/bound", Some(json!({"cnf": {"jkt": "x"}})), "malformed_token"),
        ("GET", "https://api.test/both", Some(json!({"cnf": {"jkt": KEY}})), "allow"),
        ("GET", "https://api.test/both", Some(json!({"cnf": {"kid": "x"}})), "bad_binding"),
        ("GET", "https://api.test/maybe", None, "allow"),
        ("GET", "https://api.test/maybe", Some(json!({"exp": 1})), "expired"),
        ("GET", "https://api.test/open", Some(json!({"exp": 1})), "allow"),
    ];
    for (method, url, written, verdict) in cases {
        let caller = written.as_ref().map_or(Caller::Anonymous, claims);
        let rehearsal = ask(&snapshot, method, url, caller).await;
        assert_eq!(rehearsal.verdict(), verdict, "{method} {url} {written:?}: {rehearsal:?}");
    }
}

#[tokio::test]
async fn a_token_is_verified_and_no_header_can_be_smuggled_with_it() {
    let snapshot = snapshot();
    for (token, verdict) in [
        ("x", "malformed_token"),
        ("x y", "bad_credential_syntax"),
        ("x\r\nhost: y", "bad_credential_syntax"),
        ("", "bad_credential_syntax"),
    ] {
        let rehearsal = ask(&snapshot, "GET", "https://api.test/orders/7", token_of(token)).await;
        assert_eq!(rehearsal.verdict(), verdict, "{token:?}: {rehearsal:?}");
    }
}

#[tokio::test]
async fn a_program_reads_where_the_request_goes_and_why_it_is_refused() {
    let snapshot = snapshot();
    let caller = claims(&json!({"scope": "orders:write"}));
    let rehearsal = ask(&snapshot, "GET", "https://api.test/orders/7", caller).await;
    let told = rehearsal.to_json(&snapshot);
    assert_eq!((&told["verdict"], &told["route"]), (&json!("insufficient_scope"), &json!("orders")));
    assert_eq!(told["upstream"], "api");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("orders:read")), "{told}");
    let steps: Vec<&Value> = told["steps"].as_array().into_iter().flatten().map(|step| &step["step"]).collect();
    assert_eq!(steps, ["host", "path", "route", "rule", "caller", "clause"], "no upstream is reached");
}
