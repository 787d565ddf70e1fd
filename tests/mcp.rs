//! MCP servers behind the gateway, as `config/examples/mcp.toml` has them, with the official MCP SDK on both sides: the
//! servers have no code for OAuth, and the client knows nothing but a server's URL.

mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::process;
use support::upstream::nobody;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// `tests/interop/mcp.mjs` with these arguments.
#[track_caller]
fn script(arguments: &[&str]) -> Command {
    let folder = Path::new(ROOT).join("tests/interop");
    assert!(folder.join("node_modules").exists(), "run tests/run, or `npm ci` in tests/interop");
    let mut command = Command::new("node");
    command.arg(folder.join("mcp.mjs")).args(arguments).stdout(Stdio::piped());
    command
}

/// Two MCP servers; they end with their standard input.
struct Servers {
    child: Child,
    _alive: ChildStdin,
    ports: Value,
}

impl Servers {
    #[track_caller]
    fn start() -> Self {
        let mut child = script(&["serve"]).stdin(Stdio::piped()).spawn().expect("node runs; tests/run installs it");
        let alive = child.stdin.take().expect("piped");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        let ports = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the MCP servers said {line:?}"));
        Self { child, _alive: alive, ports }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(3));
    }
}

/// The example with these servers behind it, on ports of its own.
fn example(servers: &Servers, gateway: SocketAddr) -> String {
    let file = Path::new(ROOT).join("config/examples/mcp.toml");
    let places = [
        ("127.0.0.1:8080", gateway.to_string()),
        ("127.0.0.1:9000", nobody().to_string()),
        ("127.0.0.1:9090", "127.0.0.1:0".to_owned()),
        ("127.0.0.1:9101", format!("127.0.0.1:{}", servers.ports["tools"])),
        ("127.0.0.1:9102", format!("127.0.0.1:{}", servers.ports["reports"])),
    ];
    let text = std::fs::read_to_string(file).expect("it is in the repository");
    // In two rounds, since a free port may be another's usual one.
    let marked =
        places.iter().enumerate().fold(text, |text, (n, (from, _))| text.replace(from, &format!("\u{0}{n}\u{0}")));
    places.iter().enumerate().fold(marked, |text, (n, (_, to))| text.replace(&format!("\u{0}{n}\u{0}"), to))
}

/// What a client saw that walked the whole way to the server at `path`.
#[track_caller]
fn walk(gateway: SocketAddr, path: &str, scope: &str) -> Value {
    let output = process::output(&mut script(&["walk", &format!("http://{gateway}{path}"), scope])).expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn an_mcp_client_finds_its_way_in_by_itself() {
    let (servers, address) = (Servers::start(), nobody());
    let gateway = Gateway::start(&example(&servers, address));
    for (name, path, scope) in [("tools", "/mcp", "mcp:tools"), ("reports", "/reports/mcp", "mcp:reports")] {
        let seen = walk(address, path, scope);
        let well_known = format!("/.well-known/oauth-protected-resource{path}");
        let challenge = seen["challenge"].as_str().expect("a challenge");
        for part in [format!("scope=\"{scope}\""), format!("resource_metadata=\"http://{address}{well_known}\"")] {
            assert!(challenge.contains(&part), "{part} in {challenge}");
        }
        let requests: Vec<_> = seen["requests"].as_array().unwrap().iter().map(|at| at.as_str().unwrap()).collect();
        let way = [
            format!("POST {path} 401"),
            format!("GET {well_known} 200"),
            "POST /token 200".into(),
            format!("POST {path} 200"),
        ];
        let mut rest = requests.iter();
        for step in &way {
            assert!(rest.any(|request| request == step), "{step} in {requests:?}");
        }
        assert_eq!(seen["asked"]["resource"], format!("http://{address}{path}"));
        assert_eq!(seen["tools"], json!(["whoami"]));
        assert_eq!(seen["whoami"], json!({ "server": name, "subject": "alice" }), "the token stays with the gateway");
        // A token for the one server does not open the other.
        let other = if path == "/mcp" { "/reports/mcp" } else { "/mcp" };
        let token = seen["token"].as_str().expect("a token");
        let refused = gateway.call(&Request::new("POST", other).bearer(token).body(b"{}"));
        assert_eq!((refused.status, refused.code()), (401, "wrong_audience".into()));
    }
}

#[test]
fn metadata_are_by_resource_and_open_to_browsers() {
    let (servers, address) = (Servers::start(), nobody());
    let gateway = Gateway::start(&example(&servers, address));
    for (path, scope) in [("/mcp", "mcp:tools"), ("/reports/mcp", "mcp:reports")] {
        let answer = gateway.call(&Request::get(&format!("/.well-known/oauth-protected-resource{path}")));
        let document = answer.json();
        assert_eq!(document["resource"], format!("http://{address}{path}"));
        assert_eq!(document["scopes_supported"], json!([scope]));
        assert_eq!(document["authorization_servers"].as_array().map(Vec::len), Some(1));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "an MCP client may run in a browser");
    }
    for nothing in ["", "/other", "/mcp/more", "/reports"] {
        let path = format!("/.well-known/oauth-protected-resource{nothing}");
        assert_eq!(gateway.call(&Request::get(&path)).status, 404, "{path}");
    }
}
