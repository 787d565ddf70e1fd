//! The command line: exit codes, what goes to which stream, and what programs can read.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use support::gateway::run;
use support::issuer::Issuer;
use support::keys::{Key, Kind};
use support::tls::Identity;
use support::token::Token;
use tempfile::TempDir;

const GOOD: &str = r#"
[server]
listen = ["127.0.0.1:0"]

[issuers.acme]
issuer = "https://as.test"
audiences = ["https://api.test"]
jwks_file = "keys.json"

[upstreams.orders]
servers = ["http://127.0.0.1:9"]

[[routes]]
name = "read"
hosts = ["api.test"]
path = "/orders/{id}"
methods = ["GET"]
upstream = "orders"
scopes = ["orders:read"]

[[tests]]
request = "GET https://api.test/orders/7"
claims = { scope = "orders:read" }
expect = "allow"

[[tests]]
request = "GET https://api.test/orders/7"
expect = "no_credential"
"#;

struct Files {
    dir: TempDir,
}

fn key() -> Key {
    Key::of(Kind::P256, 0, "k")
}

impl Files {
    fn with(config: &str) -> Self {
        let files = Self { dir: TempDir::new().expect("a temporary folder") };
        files.write("tollgate.toml", config);
        files.write("keys.json", &json!({"keys": [key().jwk()]}).to_string());
        files
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("a folder of ours");
        path
    }

    fn run(&self, command: &str, rest: &[&str]) -> Output {
        let config = self.dir.path().join("tollgate.toml").display().to_string();
        run(&[&[command, "--config", &config], rest].concat())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(output: &Output) -> String {
    format!("{}\n--- stdout\n{}\n--- stderr\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn exits(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", shown(output));
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown(output)))
}

#[test]
fn check_says_fine() {
    let files = Files::with(GOOD);
    exits(&files.run("check", &[]), 0);
    let machine = files.run("check", &["--json"]);
    exits(&machine, 0);
    assert!(json_of(&machine).is_object(), "{}", shown(&machine));
}

#[test]
fn check_fails_when_a_policy_test_does() {
    let wrong = GOOD.replace("expect = \"no_credential\"", "expect = \"allow\"");
    let output = Files::with(&wrong).run("check", &[]);
    exits(&output, 1);
    assert!(shown(&output).contains("no_credential"), "it says what came instead: {}", shown(&output));
}

#[test]
fn check_reports_every_problem_with_its_place() {
    let broken = GOOD
        .replace("upstream = \"orders\"", "upstream = \"ordesr\"")
        .replace("methods = [\"GET\"]", "method = [\"GET\"]")
        .replace("servers = [\"http://127.0.0.1:9\"]", "servers = [\"http://127.0.0.1:9/path\"]");
    let files = Files::with(&broken);
    let output = files.run("check", &[]);
    exits(&output, 2);
    let report = shown(&output);
    for part in ["ordesr", "orders", "method", "methods", "http://127.0.0.1:9/path", "tollgate.toml:", "^"] {
        assert!(report.contains(part), "{part:?} is not in the report: {report}");
    }
    let machine = files.run("check", &["--json"]);
    exits(&machine, 2);
    let document = json_of(&machine);
    let problems = document["diagnostics"].as_array().unwrap_or_else(|| panic!("no diagnostics: {document}"));
    assert!(problems.len() >= 3, "{document}");
    for problem in problems {
        let placed = problem["line"].is_u64() && problem["column"].is_u64();
        assert!(placed && problem["code"].is_string() && problem["message"].is_string(), "{problem}");
    }
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    let deep = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    for broken in ["[server", "listen = 5", "\u{0}", "[server]\nlisten = [\"127.0.0.1:0\"]\n[server]\n", &deep] {
        let output = Files::with(broken).run("check", &[]);
        exits(&output, 2);
        assert!(!output.stderr.is_empty() && !text(&output.stderr).contains("panicked"), "{}", shown(&output));
    }
    let files = Files::with("");
    fs::write(files.dir.path().join("tollgate.toml"), b"\xff\xfe").expect("ours");
    exits(&files.run("check", &[]), 2);
    exits(&run(&["check", "--config", "/nowhere/tollgate.toml"]), 2);
}

/// A broken configuration never starts.
#[test]
fn serve_refuses_what_check_refuses() {
    let files = Files::with(&GOOD.replace("scopes =", "scope ="));
    let output = files.run("serve", &[]);
    exits(&output, 2);
    assert!(text(&output.stderr).contains("scopes"), "the near miss is named: {}", shown(&output));
}

#[test]
fn serve_says_why_it_cannot_listen_and_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    // One of 203.0.113.0/24, which is for documentation, is no address of any machine (RFC 5737).
    for (address, help) in [(&*address, "help: a program listens there"), ("203.0.113.7:8080", "help: no interface")] {
        let output = Files::with(&GOOD.replace("127.0.0.1:0", address)).run("serve", &[]);
        exits(&output, 3);
        let said = text(&output.stderr);
        assert!(said.contains(address) && said.contains(help), "{}", shown(&output));
    }
}

#[test]
fn the_schema_describes_the_format() {
    let output = run(&["check", "--schema"]);
    exits(&output, 0);
    let schema = json_of(&output);
    for table in ["server", "admin", "issuers", "upstreams", "routes", "tests", "log"] {
        assert!(schema["properties"][table].is_object(), "{table} is not in the schema");
    }
    assert!(schema["$schema"].is_string());
}

#[test]
fn explain_judges_a_token() {
    let files = Files::with(GOOD);
    let token = |token: Token| token.sign();
    let good = token(Token::new("https://as.test", &key()));
    let url = "https://api.test/orders/7";
    let cases: [(&str, Vec<String>, &str, i32, &str); 6] = [
        ("good", vec!["--token".into(), good.clone()], url, 0, "read"),
        ("anonymous", vec![], url, 1, "no_credential"),
        (
            "scope",
            vec!["--token".into(), token(Token::new("https://as.test", &key()).scope("x"))],
            url,
            1,
            "insufficient_scope",
        ),
        (
            "expired",
            vec!["--token".into(), token(Token::new("https://as.test", &key()).claim("exp", 5))],
            url,
            1,
            "expired",
        ),
        ("no route", vec!["--token".into(), good.clone()], "https://api.test/other", 1, "no_route"),
        ("odd path", vec!["--token".into(), good.clone()], "https://api.test/orders/..%2f8", 1, "ambiguous_path"),
    ];
    for (name, credential, url, code, part) in cases {
        let mut arguments: Vec<&str> = credential.iter().map(String::as_str).collect();
        arguments.extend(["GET", url]);
        let output = files.run("explain", &arguments);
        assert_eq!(output.status.code(), Some(code), "{name}: {}", shown(&output));
        assert!(text(&output.stdout).contains(part), "{name}: {}", shown(&output));
        assert!(!shown(&output).contains(&good), "{name}: the token is shown");
        arguments.push("--json");
        let machine = files.run("explain", &arguments);
        assert_eq!(machine.status.code(), Some(code), "{name}: {}", shown(&machine));
        assert!(json_of(&machine).to_string().contains(part), "{name}: {}", shown(&machine));
    }
}

/// With a token, `explain` asks the issuer for its keys as the gateway would, and says so when it is not there.
#[test]
fn explain_asks_a_live_issuer() {
    let (mut issuer, forger) = (Issuer::start(), Key::of(Kind::P256, 3, "ec-1"));
    let config = GOOD.replace("https://as.test", &issuer.url).replace("jwks_file = \"keys.json\"", "");
    let files = Files::with(&config);
    let url = "https://api.test/orders/7";
    let good = issuer.token().scope("orders:read").sign();
    let cases = [
        ("good", good.clone(), 0, "allow"),
        ("a forged one", issuer.token().sign_by(|input| forger.sign("ES256", input)), 1, "bad_signature"),
        ("a key that it does not have", issuer.token().header("kid", "nobody").sign(), 1, "unknown_key"),
        ("poor", issuer.token().scope("x").sign(), 1, "insufficient_scope"),
    ];
    for (name, token, code, part) in &cases {
        let output = files.run("explain", &["--token", token, "GET", url]);
        assert_eq!(output.status.code(), Some(*code), "{name}: {}", shown(&output));
        assert!(text(&output.stdout).contains(part), "{name}: {}", shown(&output));
    }
    assert!(issuer.jwks_hits() >= cases.len(), "{:?}", issuer.hits());
    let before = issuer.hits().len();
    exits(&files.run("explain", &["GET", url]), 1);
    exits(&files.run("check", &[]), 0);
    assert_eq!(issuer.hits().len(), before, "without a token there is nothing to ask");
    issuer.stop();
    let output = files.run("explain", &["--token", &good, "GET", url]);
    exits(&output, 1);
    assert!(shown(&output).contains("issuer_unavailable"), "{}", shown(&output));
}

#[test]
fn explain_judges_written_claims() {
    let files = Files::with(GOOD);
    let claims = files.write("claims.json", r#"{"scope": "orders:read"}"#).display().to_string();
    let poor = files.write("poor.json", r#"{"scope": "x"}"#).display().to_string();
    let broken = files.write("broken.json", "{").display().to_string();
    let url = "https://api.test/orders/7";
    exits(&files.run("explain", &["--claims", &claims, "GET", url]), 0);
    exits(&files.run("explain", &["--claims", &poor, "GET", url]), 1);
    exits(&files.run("explain", &["--claims", &claims, "POST", url]), 1);
    exits(&files.run("explain", &["--claims", &broken, "GET", url]), 2);
    exits(&files.run("explain", &["--claims", &claims, "--token", "x", "GET", url]), 2);
    exits(&files.run("explain", &["GET", "not a url"]), 2);
}

#[test]
fn help_teaches() {
    let help = run(&["--help"]);
    exits(&help, 0);
    for command in ["serve", "check", "explain", "token", "demo", "completions"] {
        assert!(text(&help.stdout).contains(command), "{}", shown(&help));
        let own = run(&[command, "--help"]);
        exits(&own, 0);
        assert!(own.stdout.len() > 100, "{command}: {}", shown(&own));
    }
    let version = run(&["--version"]);
    exits(&version, 0);
    assert!(text(&version.stdout).contains(env!("CARGO_PKG_VERSION")), "{}", shown(&version));
}

#[test]
fn wrong_command_lines_are_refused() {
    let cases: [&[&str]; 7] = [
        &[],
        &["fly"],
        &["serve", "--colour"],
        &["check", "--config"],
        &["explain"],
        &["completions", "tcl"],
        &["check", "--config", "a", "--config", "b"],
    ];
    for arguments in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", shown(&output));
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{arguments:?}: {}", shown(&output));
    }
}

#[test]
fn shells_complete_it() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        exits(&output, 0);
        assert!(text(&output.stdout).contains("explain"), "{shell}");
    }
}

/// A reader that leaves (`| head -1`) is no reason to panic.
#[test]
fn a_closed_pipe_is_no_panic() {
    let binary = env!("CARGO_BIN_EXE_tollgate");
    let script = format!("'{binary}' check --schema | true; '{binary}' --help | true");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh runs");
    assert!(!text(&output.stderr).contains("panicked"), "{}", shown(&output));
}

#[test]
fn explain_judges_proof_and_certificate_with_their_token() {
    let files = Files::with(GOOD);
    let url = "https://api.test/orders/7";
    let client = Key::of(Kind::P256, 1, "client");
    let token = Token::new("https://as.test", &key()).bound_to(&client).sign();
    let proof = |url: &str| Token::proof(&client, "GET", url, &token).sign();
    let cases = [
        (None, 1, "bad_binding", "cnf.jkt"),
        (Some(proof(url)), 0, "allow", "bound to a key"),
        (Some(proof("https://api.test/orders/8")), 1, "bad_proof", "htu"),
    ];
    for (proof, code, verdict, said) in cases {
        let proof: Vec<&str> = proof.iter().flat_map(|proof| ["--proof", proof]).collect();
        let output = files.run("explain", &[&["--token", &token][..], &proof, &["GET", url]].concat());
        exits(&output, code);
        let told = shown(&output);
        assert!(told.contains(verdict) && told.contains(said), "{told}");
    }
    exits(&files.run("explain", &["--proof", "x", "GET", url]), 2);
    let certificate = Identity::self_signed("client");
    let shown_certificate = files.write("client.pem", &certificate.certificate).display().to_string();
    let token = Token::new("https://as.test", &key()).certified(&certificate.thumbprint()).sign();
    let show = ["--client-certificate", shown_certificate.as_str()];
    for (extra, code) in [(&show[..], 0), (&[], 1)] {
        exits(&files.run("explain", &[&["--token", &token][..], extra, &["GET", url]].concat()), code);
    }
}
