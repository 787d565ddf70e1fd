//! What went wrong in other gateways, each as a test, where no suite by subject has it. `docs/threats.md` is the whole list.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use support::client::{Conn, Request};
use support::gateway::{Gateway, run};
use support::issuer::{Answer, Issuer};
use support::keys::{Key, Kind};
use support::token::Token;
use support::upstream::Upstream;
use support::{eventually, report};
use tempfile::TempDir;
use tollgate::config::schema;

const ROUTES: &str = r#"
[identity_headers]
"X-Auth-Email" = "/email"
"X-Groups" = "/groups"

[[routes]]
name = "private"
path = "/private/{*rest}"
upstream = "api"

[[routes]]
name = "public"
path = "/public/{*rest}"
upstream = "api"
access = "public"
"#;

struct World {
    issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
}

impl World {
    /// `server` is put into `[server]`.
    fn with(server: &str) -> Self {
        let (issuer, upstream) = (Issuer::start(), Upstream::echo());
        let gateway = Gateway::start(&config(server, &issuer, &upstream));
        Self { issuer, upstream, gateway }
    }
}

fn config(server: &str, issuer: &Issuer, upstream: &Upstream) -> String {
    let head = format!("[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n{server}\n");
    [head, issuer.toml("acme"), upstream.toml("api"), ROUTES.to_owned()].join("\n")
}

/// Envoy CVE-2026-26308: of two copies of a field, the wrong one counted. What a proxy says twice, and differently, of the
/// scheme counts for nothing; the other fields that decide are in the suites of paths, tokens, bound tokens and cookies.
#[test]
fn a_scheme_that_is_told_twice_is_not_believed() {
    let world = World::with("trusted_proxies = [\"127.0.0.1\"]");
    let key = Key::of(Kind::P256, 3, "client");
    let token = world.issuer.token().bound_to(&key).sign();
    let ask = |told: &[&str], scheme: &str| {
        let url = format!("{scheme}://api.test/private/x");
        let request = Request::get("/private/x").dpop(&token, &Token::proof(&key, "GET", &url, &token).sign());
        let request = told.iter().fold(request, |request, proto| request.field("X-Forwarded-Proto", proto));
        world.gateway.call(&request).status
    };
    assert_eq!((ask(&["https"], "https"), ask(&["https", "https"], "https")), (200, 200));
    for told in [&["https", "http"][..], &["http", "https"], &["https, http"], &["https", ""], &["", "https"]] {
        assert_eq!((ask(told, "https"), ask(told, "http")), (401, 200), "{told:?}: the connection's own scheme counts");
    }
}

/// APISIX CVE-2026-31908, and a lone CR in mod_auth_openidc: a claim that made a second field of one.
#[test]
fn a_claim_cannot_break_out_of_its_field() {
    let world = World::with("");
    let mut failures = Vec::new();
    let evil = ["a\r\nX-Auth-Scopes: admin", "a\nb", "a\rb", "a\u{0}b", "\u{7f}", "\u{85}", "a\u{1b}[2J", "\r", "\t"];
    for text in evil {
        for (name, value) in [
            ("email", json!(text)),
            ("groups", json!(["a", text])),
            ("groups", json!([text])),
            ("sub", json!(text)),
            ("client_id", json!(text)),
            ("scope", json!(format!("a {text}"))),
        ] {
            let token = world.issuer.token().claim(name, value).sign();
            let answer = world.gateway.call(&Request::get("/private/x").bearer(&token));
            let arrived = world.upstream.drain().len();
            if (answer.status, answer.code().as_str(), arrived) != (401, "malformed_token", 0) {
                failures.push(format!("- {name} is {text:?}: {} {}, {arrived} upstream", answer.status, answer.text()));
            }
        }
    }
    report(evil.len() * 6, &failures);
    let odd = world.issuer.token().claim("email", "a\u{2028}b\u{202e}\u{fffd}é%0d%0a, x").sign();
    assert_eq!(world.gateway.call(&Request::get("/private/x").bearer(&odd)).status, 200);
    let seen = world.upstream.only();
    let value = seen.header("X-Auth-Email").expect("it is told").to_owned();
    assert!(value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{value}");
    assert!(value.contains("%250d%250a"), "an escape is not one of ours: {value}");
}

/// Envoy CVE-2025-64527: two tokens, while the keys were on their way, ended the process.
#[test]
fn two_credentials_while_the_keys_are_on_their_way_are_two_credentials() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    issuer.jwks(Answer::Slow(Duration::from_millis(1500)));
    let mut gateway = Gateway::listening(&config("", &issuer, &upstream));
    let token = issuer.token().sign();
    let mut waiting = gateway.connect();
    waiting.send(Request::get("/private/x").bearer(&token).bytes());
    for request in [
        Request::get("/private/x").bearer(&token).bearer(&token),
        Request::get("/private/x").bearer(&token).field("Authorization", "Basic YTpi"),
        Request::get(&format!("/private/x?access_token={token}")).bearer(&token),
    ] {
        let answer = gateway.call(&request);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_credential_syntax"), "{}", answer.text());
    }
    assert_eq!(issuer.jwks_hits(), 1, "the keys are still awaited");
    assert!(upstream.drain().is_empty() && gateway.is_alive());
    assert_eq!(waiting.response("GET").status, 200, "the one with one token gets them");
}

/// mod_auth_openidc, May 2026: an `iss` that was null or empty was read out of bounds. Istio GHSA-fgw5-hp8f-xfhc: keys were
/// fetched from the metadata service of the cloud.
#[test]
fn metadata_that_make_no_sense_are_no_metadata() {
    let good = Issuer::start();
    let upstream = Upstream::echo();
    let gateway = |document: fn(&str) -> Value| {
        let issuer = Issuer::start();
        issuer.discovery(Answer::Json(document(&issuer.url)));
        let text =
            config("", &issuer, &upstream).replacen("[upstreams", &format!("{}[upstreams", good.toml("good")), 1);
        (Gateway::listening(&text), issuer)
    };
    type Made = fn(&str) -> Value;
    let documents: [(&str, Made); 14] = [
        ("iss is null", |url| json!({"issuer": null, "jwks_uri": format!("{url}/jwks")})),
        ("iss is empty", |url| json!({"issuer": "", "jwks_uri": format!("{url}/jwks")})),
        ("iss is a number", |url| json!({"issuer": 5, "jwks_uri": format!("{url}/jwks")})),
        ("iss is an array", |url| json!({"issuer": [url], "jwks_uri": format!("{url}/jwks")})),
        ("no iss", |url| json!({"jwks_uri": format!("{url}/jwks")})),
        ("iss with a slash", |url| json!({"issuer": format!("{url}/"), "jwks_uri": format!("{url}/jwks")})),
        ("no keys", |url| json!({"issuer": url})),
        ("keys at null", |url| json!({"issuer": url, "jwks_uri": null})),
        ("keys at nothing", |url| json!({"issuer": url, "jwks_uri": ""})),
        ("keys at no URL", |url| json!({"issuer": url, "jwks_uri": "/jwks"})),
        ("keys in a file", |url| json!({"issuer": url, "jwks_uri": "file:///etc/passwd"})),
        ("keys of a cloud", |url| json!({"issuer": url, "jwks_uri": "http://169.254.169.254/latest"})),
        ("keys in the clear", |url| json!({"issuer": url, "jwks_uri": "http://keys.test/jwks"})),
        ("no object", |url| json!([url])),
    ];
    let mut failures = Vec::new();
    for (name, document) in &documents {
        let (mut gateway, issuer) = gateway(*document);
        let answer = gateway.call(&Request::get("/private/x").bearer(&issuer.token().sign()));
        let others = gateway.call(&Request::get("/private/x").bearer(&good.token().sign())).status;
        let fine =
            (answer.status, answer.code().as_str(), others, issuer.jwks_hits()) == (503, "issuer_unavailable", 200, 0);
        let why = name.starts_with("keys of") || name.starts_with("keys in the");
        let told = !why || gateway.stderr().contains("http is for loopback addresses");
        if !fine || !told || !gateway.is_alive() || gateway.stderr().contains("panicked") {
            failures.push(format!("- {name}: {} {}, others {others}", answer.status, answer.text()));
        }
    }
    report(documents.len(), &failures);
}

/// Envoy CVE-2025-64763: what a client sent behind a CONNECT before it was answered was taken for requests.
#[test]
fn nothing_that_follows_a_connect_is_a_request() {
    let world = World::with("");
    let hidden = "GET /public/smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n";
    for target in ["api.test:443", "/public/x", "http://api.test/public/x"] {
        for fields in ["", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n"] {
            let mut conn: Conn = world.gateway.connect();
            conn.patience(Duration::from_secs(5));
            conn.send(format!("CONNECT {target} HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n{hidden}"));
            let answer = conn.try_response("GET").map(|answer| answer.status);
            assert!(
                answer.as_ref().map_or(true, |status| (400..600).contains(status)),
                "{target} {fields:?}: {answer:?}"
            );
            assert!(conn.is_closed(), "{target} {fields:?}: the connection goes on");
            assert!(world.upstream.drain().is_empty(), "{target} {fields:?}: smuggled");
        }
    }
}

/// oauth2-proxy GHSA-652x-m2gr-hppm: a key of the policy was read and then forgotten. Every key that rules have refuses
/// somebody whom the same route without it lets in.
#[test]
fn every_key_of_a_rule_refuses_somebody() {
    let cases: [(&str, &str, Value, Value, &str); 9] = [
        ("scopes", "[\"a\", \"b\"]", json!({"scope": "a b"}), json!({"scope": "a"}), "insufficient_scope"),
        ("any_scope", "[\"a\", \"b\"]", json!({"scope": "b"}), json!({"scope": "c"}), "insufficient_scope"),
        ("claims", "{ \"/x\" = \"y\" }", json!({"x": "y"}), json!({"x": "z"}), "claim_refused"),
        ("issuers", "[\"one\"]", json!({}), json!({"iss": "https://two.test"}), "unknown_issuer"),
        ("audiences", "[\"https://b.test\"]", json!({}), json!({"aud": "https://a.test"}), "wrong_audience"),
        ("client_ids", "[\"web\"]", json!({"client_id": "web"}), json!({"client_id": "other"}), "claim_refused"),
        ("acr", "[\"gold\"]", json!({"acr": "gold"}), json!({"acr": "tin"}), "step_up_required"),
        ("max_age", "\"5m\"", json!({}), json!({"auth_time": 1}), "step_up_required"),
        ("max_total_life", "\"5m\"", json!({}), json!({"iat": 1}), "claim_refused"),
    ];
    let mut named: BTreeSet<&str> = cases.iter().map(|case| case.0).collect();
    let folder = TempDir::new().expect("a temporary folder");
    let mut text = String::from(
        "[issuers.one]\nissuer = \"https://one.test\"\naudiences = [\"https://a.test\", \"https://b.test\"]\n\
         [issuers.two]\nissuer = \"https://two.test\"\naudiences = [\"https://a.test\", \"https://b.test\"]\n\
         [upstreams.api]\nservers = [\"http://127.0.0.1:9\"]\n",
    );
    let written = |claims: &Value| {
        let members: Vec<String> =
            claims.as_object().expect("claims").iter().map(|(n, v)| format!("{n} = {v}")).collect();
        format!("claims = {{ {} }}\n", members.join(", "))
    };
    for (key, value, good, bad, code) in &cases {
        text += &format!(
            "[rules.{key}]\n{key} = {value}\n[[routes]]\npath = \"/{key}\"\nupstream = \"api\"\nrules = [\"{key}\"]\n\
             [[routes]]\npath = \"/{key}/without\"\nupstream = \"api\"\n"
        );
        let signed_in = if *key == "max_age" { "signed_in = \"1m\"\n" } else { "" };
        for (path, claims, more, expected) in
            [("", good, signed_in, "allow"), ("", bad, "", code), ("/without", bad, "", "allow")]
        {
            let claims = written(claims);
            text += &format!(
                "[[tests]]\nrequest = \"GET https://a.test/{key}{path}\"\n{claims}{more}expect = \"{expected}\"\n"
            );
        }
    }
    let path = folder.path().join("tollgate.toml");
    std::fs::write(&path, &text).expect("a folder of ours");
    let output = run(&["check", "--config", &path.display().to_string()]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("27 policy tests passed"), "{said}\n{text}");
    // A token that is nearly over would be refused as expired in a file of tests; `tests/rules.rs` has it.
    named.insert("min_remaining_life");
    let schema = schema();
    let keys =
        schema["properties"]["rules"]["additionalProperties"]["properties"].as_object().expect("the keys of rules");
    let keys: BTreeSet<&str> = keys.keys().map(String::as_str).collect();
    assert_eq!(keys, named, "each key of [rules.NAME] has a case here");
}

/// oauth2-proxy GHSA-c5c4-8r6x-56w3: an address with two @ was of the domain behind the last one. There is no rule about
/// domains here: a claim is compared whole, with its type.
#[test]
fn an_address_is_compared_whole() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let route = "[[routes]]\npath = \"/x\"\nupstream = \"api\"\n\
                 claims = { \"/email\" = \"alice@corp.test\", \"/email_verified\" = true }\n";
    let gateway = Gateway::start(&[issuer.toml("acme"), upstream.toml("api"), route.to_owned()].join("\n"));
    let ask = |email: Value, verified: Value| {
        let token = issuer.token().claim("email", email).claim("email_verified", verified).sign();
        gateway.call(&Request::get("/x").bearer(&token)).status
    };
    assert_eq!(ask(json!("alice@corp.test"), json!(true)), 200);
    for email in [
        json!("alice@evil.test@corp.test"),
        json!("alice@corp.test@evil.test"),
        json!("Alice@corp.test"),
        json!("alice@corp.test "),
        json!("xalice@corp.test"),
        json!("alice@corp.test.evil.test"),
        json!({"alice@corp.test": true}),
        json!(""),
        Value::Null,
    ] {
        assert_eq!(ask(email.clone(), json!(true)), 403, "{email}");
    }
    for verified in [json!(false), json!("true"), json!(1), json!([]), Value::Null] {
        assert_eq!(ask(json!("alice@corp.test"), verified.clone()), 403, "{verified}");
    }
    assert_eq!(upstream.drain().len(), 1);
}

/// agentgateway, mod_auth_openidc: secrets were compared byte by byte, and the time told how many were right. Nothing in the
/// source compares what is secret by an operator; `secret::same` does.
#[test]
fn secrets_are_compared_in_the_same_time_whatever_they_are() {
    const SECRETS: [&str; 9] =
        ["expose()", "state", "nonce", "verifier", "password", "csrf", "secret", "mac", "user_code"];
    let files = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 200, "{} files", files.len());
    let mut found = Vec::new();
    // The flow page shows its visitors what it made up itself.
    for file in files.into_iter().filter(|file| !file.components().any(|part| part.as_os_str() == "flows")) {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            found.extend(
                compared(line)
                    .filter(|name| SECRETS.contains(name))
                    .map(|name| format!("- {}: {name}: {}", file.display(), line.trim())),
            );
        }
    }
    report(SECRETS.len(), &found);
    let names = |line| compared(line).collect::<Vec<_>>();
    assert_eq!(names("if self.state == given.state {"), ["state", "state"], "the check itself finds what it looks for");
    assert_eq!(names("(a != &*secret.expose() && b)"), ["a", "expose()"]);
    assert_eq!(names("if self.state == State::Open {"), [""; 0], "names of a closed list are no secrets");
}

/// The last names of the operands that a line compares.
fn compared(line: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_ascii_alphanumeric() || "_.()&*:".contains(c);
    let places = [" == ", " != "].into_iter().flat_map(|operator| line.match_indices(operator));
    places
        .filter_map(move |(at, operator)| {
            let left = line[..at].rsplit(|c| !part(c)).next()?;
            let right = line[at + operator.len()..].split(|c| !part(c)).next()?;
            (!left.contains("::") && !right.contains("::")).then_some([left, right])
        })
        .flatten()
        .map(|operand| operand.rsplit(['.', '&', '*']).next().unwrap_or_default())
        .map(|name| name.strip_prefix('(').unwrap_or(name))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let own =
        files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs"));
    own.chain(folders.iter().filter(|path| !path.ends_with("tests")).flat_map(|folder| files_below(folder))).collect()
}

/// Envoy CVE-2023-27487, oauth2-proxy CVE-2026-34457: a field of the proxy's own, or the name of a probe, opened every door.
#[test]
fn no_field_opens_a_protected_route() {
    let world = World::with("");
    let names = [
        "X-Envoy-Original-Path",
        "X-Envoy-Internal",
        "X-Auth-Subject",
        "X-Auth-Scopes",
        "X-Auth-Email",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Forwarded-User",
        "X-Forwarded-Uri",
        "X-Forwarded-Access-Token",
        "X-Health-Check",
        "X-Tollgate",
        "X-Access-Token",
        "X-Authorization",
        "Proxy-Authorization",
        "Token",
        "Cookie",
        "X-User",
        "Remote-User",
        "From",
    ];
    let values = ["/public/x", "alice", "1", "true", "Bearer x", "access_token=x"];
    let agents = ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0", "Prometheus/2.0", "tollgate", ""];
    let cases = names.iter().flat_map(|name| values.map(|value| (*name, value)));
    for (name, value) in cases.chain(agents.map(|agent| ("User-Agent", agent))) {
        let answer = world.gateway.call(&Request::get("/private/x").field(name, value));
        assert_eq!((answer.status, answer.code().as_str()), (401, "no_credential"), "{name}: {value}");
    }
    assert!(world.upstream.drain().is_empty());
    eventually("each is counted", support::PATIENCE, || {
        let counted = world.gateway.metric("tollgate_denials_total", &["code=\"no_credential\"", "route=\"private\""]);
        (counted >= 126.0).then_some(())
    });
}
