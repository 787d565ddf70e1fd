//! Rules as callers and operators meet them: step-up challenges, claims that follow the path, rule sets, what `check
//! --effective` prints and what `explain` names.

mod support;

use std::process::Output;

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::{Gateway, run};
use support::issuer::Issuer;
use support::token::Token;
use support::upstream::Upstream;
use support::{now, report};
use tempfile::TempDir;

const RULES: &str = r#"
[rules.staff]
scopes = ["staff"]
claims = { "/department" = ["sales", "ops"] }

[rules.recent]
max_age = "5m"

[[routes]]
name = "tenants"
path = "/tenants/{tenant}/{*rest}"
upstream = "api"
claims = { "/tenant" = "{tenant}" }

[[routes]]
name = "staff"
path = "/staff"
upstream = "api"
scopes = ["orders:read"]
rules = ["staff"]

[[routes]]
name = "transfer"
path = "/transfer"
upstream = "api"
scopes = ["orders:read"]
acr = ["urn:acme:gold", "phr"]
max_age = "10m"
rules = ["recent"]

[[routes]]
name = "client"
path = "/client"
upstream = "api"
client_ids = ["batch"]

[[routes]]
name = "life"
path = "/life"
upstream = "api"
min_remaining_life = "2m"
max_total_life = "10m"
"#;

struct World {
    issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
}

impl World {
    fn start() -> Self {
        let (issuer, upstream) = (Issuer::start(), Upstream::echo());
        let server = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\npublic_url = \"https://api.test\"\n";
        let config = [server.to_owned(), issuer.toml("acme"), upstream.toml("api"), RULES.to_owned()].join("\n");
        let gateway = Gateway::start(&config);
        Self { issuer, upstream, gateway }
    }
}

#[test]
fn each_rule_lets_in_whom_it_should_and_nobody_else() {
    let world = World::start();
    let token = || world.issuer.token();
    let of = |tenant: Value| token().claim("tenant", tenant);
    let staff = || token().scope("orders:read staff").claim("department", "ops");
    let signed_in = |ago: i64| token().claim("acr", "phr").claim("auth_time", now() - ago);
    let cases: &[(&str, &str, Token, &str)] = &[
        ("its own tenant", "/tenants/acme/orders", of(json!("acme")), "allow"),
        ("nothing below", "/tenants/acme", of(json!("acme")), "allow"),
        ("one of several tenants", "/tenants/acme/x", of(json!(["other", "acme"])), "allow"),
        ("a tenant with a blank", "/tenants/a%20b/x", of(json!("a b")), "allow"),
        ("escaped in vain", "/tenants/%61cme/x", of(json!("acme")), "allow"),
        ("a number", "/tenants/42/x", of(json!(42)), "allow"),
        ("another tenant", "/tenants/other/orders", of(json!("acme")), "claim_refused"),
        ("another letter case", "/tenants/ACME/orders", of(json!("acme")), "claim_refused"),
        ("the name of the parameter", "/tenants/acme/x", of(json!("{tenant}")), "claim_refused"),
        ("no tenant", "/tenants/acme/x", token(), "claim_refused"),
        ("a number with a zero in front", "/tenants/042/x", of(json!(42)), "claim_refused"),
        ("a path parameter of the upstream's", "/tenants/acme;x/x", of(json!("acme")), "ambiguous_path"),
        ("the same, and the token says so", "/tenants/acme;x/x", of(json!("acme;x")), "ambiguous_path"),
        ("another tenant by dots", "/tenants/acme/../other/x", of(json!("acme")), "ambiguous_path"),
        ("another tenant by escaped dots", "/tenants/acme/%2e%2e/other/x", of(json!("acme")), "ambiguous_path"),
        ("another tenant, encoded twice", "/tenants/%256fther/x", of(json!("%6fther")), "ambiguous_path"),
        ("route and set", "/staff", staff(), "allow"),
        ("the route's scope is missing", "/staff", staff().scope("staff"), "insufficient_scope"),
        ("the set's scope is missing", "/staff", staff().scope("orders:read"), "insufficient_scope"),
        ("the set's claim is missing", "/staff", staff().without("department"), "claim_refused"),
        ("signed in well", "/transfer", signed_in(10), "allow"),
        ("signed in long ago", "/transfer", signed_in(400), "step_up_required"),
        ("signed in weakly", "/transfer", signed_in(10).claim("acr", "pwd"), "step_up_required"),
        ("it does not say when", "/transfer", token().claim("acr", "phr"), "step_up_required"),
        ("the wrong scope comes first", "/transfer", signed_in(400).scope("x"), "insufficient_scope"),
        ("the client", "/client", token().claim("client_id", "batch"), "allow"),
        ("another client", "/client", token(), "claim_refused"),
        ("no client", "/client", token().without("client_id"), "claim_refused"),
        ("short enough and long enough", "/life", token(), "allow"),
        ("nearly over", "/life", token().claim("exp", now() + 60), "expired"),
        ("too long", "/life", token().claim("exp", now() + 3600), "claim_refused"),
        ("it does not say since when", "/life", token().without("iat"), "claim_refused"),
    ];
    let mut failures = Vec::new();
    for (name, path, token, wanted) in cases {
        let answer = world.gateway.call(&Request::get(path).bearer(&token.sign()));
        failures.extend(world.upstream.misjudged(name, &answer, wanted));
    }
    report(cases.len(), &failures);
}

#[test]
fn the_step_up_challenge_says_what_login_would_do() {
    let world = World::start();
    let old = world.issuer.token().claim("acr", "phr").claim("auth_time", now() - 400).sign();
    let answer = world.gateway.call(&Request::get("/transfer").bearer(&old));
    assert_eq!((answer.status, answer.code().as_str()), (401, "step_up_required"), "{}", answer.text());
    let wanted = [
        ("error", "insufficient_user_authentication"),
        ("acr_values", "urn:acme:gold phr"),
        ("max_age", "300"),
        ("scope", "orders:read"),
        ("resource_metadata", "https://api.test/.well-known/oauth-protected-resource"),
    ];
    for (parameter, value) in wanted {
        assert_eq!(answer.bearer(parameter).as_deref(), Some(value), "{parameter}");
    }
    let logged = world.gateway.until("the refusal is logged", || {
        world.gateway.access_log().into_iter().find(|line| line["denial"] == "step_up_required")
    });
    let detail = logged["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("signed in 40") && detail.contains("[rules.recent]"), "{logged}");
    assert!(!answer.text().contains("rules.recent"), "what exactly was wrong is not for callers");
}

const CHECKED: &str = r#"
[issuers.acme]
issuer = "https://login.test"
audiences = ["https://api.test"]

[issuers.partner]
issuer = "https://partner.test"
audiences = ["https://api.test", "https://staff.test"]

[upstreams.api]
servers = ["http://127.0.0.1:9"]

[rules.staff]
scopes = ["staff"]
issuers = ["partner"]
audiences = ["https://staff.test"]
claims = { "/department" = { one_of = ["sales", "ops"] }, "/tenant" = "{tenant}" }

[rules.recent]
acr = ["gold"]
max_age = "5m"
max_total_life = "10m"
min_remaining_life = "1m"

[[routes]]
name = "transfer"
path = "/{tenant}/transfer"
methods = ["POST"]
upstream = "api"
scopes = ["pay"]
rules = ["recent", "staff"]

[[routes]]
name = "open"
path = "/open"
upstream = "api"
access = "public"

[[tests]]
request = "POST https://api.test/acme/transfer"
claims = { scope = "pay staff", department = "ops", tenant = "acme", acr = "gold" }
signed_in = "2m"
expect = "allow"

[[tests]]
request = "POST https://api.test/acme/transfer"
claims = { scope = "pay staff", department = "ops", tenant = "acme", acr = "gold" }
signed_in = "6m"
expect = "step_up_required"

[[tests]]
request = "POST https://api.test/acme/transfer"
claims = { scope = "pay staff", department = "ops", tenant = "acme", acr = "gold" }
expect = "step_up_required"

[[tests]]
request = "POST https://api.test/other/transfer"
claims = { scope = "pay staff", department = "ops", tenant = "acme", acr = "gold" }
signed_in = "2m"
expect = "claim_refused"

[[tests]]
request = "POST https://api.test/acme/transfer"
claims = { iss = "https://login.test", scope = "pay staff" }
expect = "unknown_issuer"
"#;

fn on_file(config: &str, arguments: &[&str]) -> Output {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("tollgate.toml");
    std::fs::write(&path, config).expect("a folder of ours");
    let path = path.display().to_string();
    let (command, rest) = arguments.split_first().expect("a command");
    run(&[&[*command, "--config", &path], rest].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn check_prints_the_effective_rule_of_each_route() {
    let output = on_file(CHECKED, &["check", "--effective"]);
    let text = said(&output);
    let wanted = r#"transfer at line 25: POST /{tenant}/transfer
  access                token
  issuers               ["partner"]
  audiences             ["https://staff.test"]      [rules.staff]
  min_remaining_life    "1m"                        [rules.recent]
  scopes                ["pay"]
  scopes                ["staff"]                   [rules.staff]
  claims."/department"  {"one_of":["sales","ops"]}  [rules.staff]
  claims."/tenant"      ["{tenant}"]                [rules.staff]
  max_total_life        "10m"                       [rules.recent]
  acr                   ["gold"]                    [rules.recent]
  max_age               "5m"                        [rules.recent]
open at line 33: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS /open
  access  public
"#;
    assert!(text.starts_with(wanted), "{text}");
    assert!(text.contains("5 policy tests passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn programs_can_read_the_effective_rules() {
    let output = on_file(CHECKED, &["check", "--effective", "--json"]);
    let told: Value = serde_json::from_str(&said(&output)).expect("JSON");
    let rule = &told["effective"][0];
    assert_eq!(
        (&rule["route"], &rule["access"], &rule["issuers"]),
        (&json!("transfer"), &json!("token"), &json!(["partner"]))
    );
    let clauses = rule["clauses"].as_array().expect("a list");
    assert!(clauses.contains(&json!({"key": "scopes", "value": ["pay"], "of": "the route"})), "{rule}");
    assert!(clauses.contains(&json!({"key": "max_age", "value": "5m", "of": "[rules.recent]"})), "{rule}");
    assert_eq!(told["effective"][1]["access"], "public");
    let without: Value = serde_json::from_str(&said(&on_file(CHECKED, &["check", "--json"]))).expect("JSON");
    assert_eq!(without.get("effective"), None);
}

#[test]
fn the_login_of_a_route_is_told_beside_its_tokens() {
    let config = "[issuers.people]\nissuer = \"https://login.test\"\n[upstreams.app]\nservers = [\"http://127.0.0.1:9\"]\n\
        [logins.web]\nissuer = \"people\"\nclient_id = \"web\"\npublic_url = \"https://app.test\"\n\
        [[routes]]\nname = \"app\"\npath = \"/\"\nupstream = \"app\"\nlogin = \"web\"\nscopes = [\"read\"]";
    let text = said(&on_file(config, &["check", "--effective"]));
    assert!(text.contains("\n  access  token\n  login   \"web\"\n  scopes"), "{text}");
    let told: Value = serde_json::from_str(&said(&on_file(config, &["check", "--effective", "--json"]))).expect("JSON");
    assert_eq!(told["effective"][0]["login"], "web");
    let text = said(&on_file(config, &["explain", "GET", "https://app.test/"]));
    assert!(text.contains("\n  rule      token or session of web: read\n"), "{text}");
}

#[test]
fn explain_names_the_clause_that_decided() {
    let folder = TempDir::new().expect("a temporary folder");
    let claims = folder.path().join("claims.json");
    let written = json!({"scope": "pay staff", "department": "legal", "tenant": "acme", "acr": "gold"});
    std::fs::write(&claims, written.to_string()).expect("a folder of ours");
    let claims = claims.display().to_string();
    let asked = ["--claims", &claims, "POST", "https://api.test/acme/transfer"];
    let text = said(&on_file(CHECKED, &[&["explain"], &asked[..]].concat()));
    assert!(text.contains("  clause    claims.\"/department\" of [rules.staff]\n"), "{text}");
    assert!(text.contains("as [rules.staff] asks"), "{text}");
    let json: Value =
        serde_json::from_str(&said(&on_file(CHECKED, &[&["explain", "--json"], &asked[..]].concat()))).expect("JSON");
    assert_eq!(json["clause"], json!({"key": "claims.\"/department\"", "of": "[rules.staff]"}));
}
