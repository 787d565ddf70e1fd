//! The gateway between parts that its authors did not write: the npm package `oidc-provider` as Authorization Server,
//! Debian's nginx as upstream, curl as client and Prometheus as the one who looks. `tests/run` installs them.

#[path = "interop/logins.rs"]
mod logins;
mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::client::{Conn, Request};
use support::gateway::Gateway;
use support::provider::Provider;
use support::upstream::{Upstream, nobody};
use support::{PATIENCE, eventually, h2, process, runtime};
use tempfile::TempDir;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// Starts a program that `tests/run` installs.
#[track_caller]
fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| {
        panic!("cannot start {:?}: {error}; tests/run installs what this suite needs", command.get_program())
    })
}

struct Nginx {
    child: Child,
    folder: TempDir,
    http1: SocketAddr,
    http2: SocketAddr,
}

impl Nginx {
    #[track_caller]
    fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let (http1, http2) = (nobody(), nobody());
        let template = std::fs::read_to_string(here().join("nginx.conf")).expect("it is in the repository");
        let text = template
            .replace("@DIR@", &folder.path().display().to_string())
            .replace("@HTTP1@", &http1.port().to_string())
            .replace("@HTTP2@", &http2.port().to_string());
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, text).expect("ours");
        std::fs::create_dir(folder.path().join("files")).expect("ours");
        // Debian keeps it out of an ordinary user's PATH.
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("nginx");
        command.env("PATH", path).arg("-e").arg("stderr").arg("-c").arg(&file).stdin(Stdio::null());
        let child = spawn(&mut command);
        eventually("nginx listens", PATIENCE, || Conn::try_open(http2).ok());
        Self { child, folder, http1, http2 }
    }

    fn publish(&self, name: &str, content: &[u8]) {
        std::fs::write(self.folder.path().join("files").join(name), content).expect("ours");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(3));
    }
}

const RESOURCE: &str = "https://api.test/RS256";

struct World {
    provider: Provider,
    nginx: Nginx,
    gateway: Gateway,
}

impl World {
    #[track_caller]
    fn start() -> Self {
        let (provider, nginx) = (Provider::start(), Nginx::start());
        let config = format!(
            r#"
[issuers.provider]
issuer = "{}"
audiences = ["https://api.test/RS256", "https://api.test/ES256", "https://api.test/Ed25519"]
refetch_cooldown = "1s"

[upstreams.nginx]
servers = ["http://{}"]

[upstreams.nginx2]
servers = ["h2c://{}"]

[[routes]]
name = "read"
path = "/orders/{{id}}"
methods = ["GET", "HEAD"]
upstream = "nginx"
scopes = ["orders:read"]

[[routes]]
name = "write"
path = "/orders/{{id}}"
methods = ["PUT"]
upstream = "nginx"
scopes = ["orders:write"]

[[routes]]
name = "files"
path = "/files/{{*rest}}"
upstream = "nginx"
scopes = ["orders:read"]

[[routes]]
name = "over-http2"
path = "/v2/{{*rest}}"
strip_prefix = "/v2"
upstream = "nginx2"
scopes = ["orders:read"]
"#,
            provider.issuer, nginx.http1, nginx.http2
        );
        let gateway = Gateway::start(&config);
        Self { provider, nginx, gateway }
    }
}

/// Without the gateway: when this fails, the peers are at fault, not what is between them.
#[test]
fn the_peers_run_by_themselves() {
    let (provider, nginx) = (Provider::start(), Nginx::start());
    for (alg, resource) in
        [("RS256", RESOURCE), ("ES256", "https://api.test/ES256"), ("Ed25519", "https://api.test/Ed25519")]
    {
        let header = header_of(&provider.token(resource, "orders:read"));
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!(alg)));
    }
    let before = header_of(&provider.token(RESOURCE, "orders:read"));
    provider.rotate();
    assert_ne!(before["kid"], header_of(&provider.token(RESOURCE, "orders:read"))["kid"]);
    nginx.publish("a", b"abc");
    assert_eq!(Request::get("/files/a").send(nginx.http1).text(), "abc");
    let read = runtime().block_on(async {
        let mut client = h2::Client::cleartext(nginx.http2).await;
        client.call(h2::request("GET", "/files/a", None).body(h2::empty()).expect("a request")).await
    });
    assert_eq!(&read.body[..], b"abc");
    let prometheus = Prometheus::watching(nginx.http1);
    eventually("Prometheus answers", PATIENCE * 2, || prometheus.query("up"));
}

/// The header of a token, unverified.
fn header_of(token: &str) -> Value {
    let header = token.split('.').next().unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(header).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn a_real_token_opens_what_its_scope_names() {
    let world = World::start();
    let anonymous = world.gateway.call(&Request::get("/orders/7"));
    assert_eq!((anonymous.status, anonymous.code()), (401, "no_credential".into()));
    for resource in [RESOURCE, "https://api.test/ES256", "https://api.test/Ed25519"] {
        let token = world.provider.token(resource, "orders:read");
        let answer = world.gateway.call(&Request::get("/orders/7?full").bearer(&token));
        assert_eq!(answer.status, 200, "{resource}: {}", answer.text());
        let seen = answer.json();
        assert_eq!((&seen["server"], &seen["uri"]), (&json!("nginx"), &json!("/orders/7?full")));
        assert_eq!((&seen["scopes"], &seen["forwarded"]), (&json!("orders:read"), &json!("127.0.0.1")));
        assert_eq!(seen["host"], "api.test");
        let refused = world.gateway.call(&Request::new("PUT", "/orders/7").bearer(&token).body(b"{}"));
        assert_eq!((refused.status, refused.code()), (403, "insufficient_scope".into()));
        assert_eq!(refused.bearer("scope").as_deref(), Some("orders:write"));
    }
    let both = world.provider.token(RESOURCE, "orders:read%20orders:write");
    assert_eq!(world.gateway.call(&Request::new("PUT", "/orders/7").bearer(&both).body(b"{}")).status, 200);
    let elsewhere = world.provider.token("https://other.test/RS256", "orders:read");
    let refused = world.gateway.call(&Request::get("/orders/7").bearer(&elsewhere));
    assert_eq!((refused.status, refused.code()), (401, "wrong_audience".into()));
}

#[test]
fn files_stream_through() {
    let world = World::start();
    let content: Vec<u8> = (0..8_u32 << 20).map(|n| u8::try_from(n % 253).expect("less than 253")).collect();
    world.nginx.publish("large.bin", &content);
    let token = world.provider.token(RESOURCE, "orders:read");
    let get = |path: &str| Request::get(path).bearer(&token);
    for path in ["/files/large.bin", "/v2/files/large.bin"] {
        let whole = world.gateway.call(&get(path));
        assert!(whole.status == 200 && whole.complete && whole.body == content, "{path}: {:?}", whole.head);
        let tag = whole.header("etag").expect("nginx tags files");
        let unchanged = world.gateway.call(&get(path).field("If-None-Match", tag));
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{path}");
        let part = world.gateway.call(&get(path).field("Range", "bytes=1000000-1000099"));
        assert_eq!((part.status, part.body.as_slice()), (206, &content[1_000_000..1_000_100]), "{path}");
        assert_eq!(part.header("content-range"), Some("bytes 1000000-1000099/8388608"), "{path}");
        let head = world.gateway.call(&Request::new("HEAD", path).bearer(&token));
        assert_eq!((head.status, head.header("content-length")), (200, Some("8388608")), "{path}");
    }
    let protocol = world.gateway.call(&get("/v2/orders/1")).json()["protocol"].clone();
    assert_eq!(protocol, "HTTP/2.0");
}

#[test]
fn keys_rotate() {
    let world = World::start();
    let old = world.provider.token(RESOURCE, "orders:read");
    let status = |token: &str| world.gateway.call(&Request::get("/orders/7").bearer(token)).status;
    assert_eq!(status(&old), 200);
    world.provider.rotate();
    let new = world.provider.token(RESOURCE, "orders:read");
    assert_eq!(status(&new), 200, "the first token of the new keys");
    assert_eq!(status(&old), 401, "the old keys are no longer published");
}

/// Opaque tokens, by three ways to authenticate and both forms of answers.
#[test]
fn opaque_tokens_are_asked_about() {
    let (provider, upstream) = (Provider::start(), Upstream::echo());
    let folder = TempDir::new().expect("a temporary folder");
    let key = folder.path().join("gateway.pem");
    std::fs::write(&key, &provider.key).expect("ours");
    let secret = "client_secret = \"a secret: 100% +*-._~\"";
    let signing = format!(
        "client_id = \"signed\"\nauth = \"private_key_jwt\"\nkey_id = \"gateway-1\"\nprivate_key = \"{}\"\nanswer = \"jwt\"",
        key.display()
    );
    for client in [
        format!("client_id = \"plain\"\n{secret}"),
        format!("client_id = \"posting\"\nauth = \"post\"\n{secret}"),
        signing,
    ] {
        let config = format!(
            r#"
[issuers.provider]
issuer = "{}"
audiences = ["https://api.test/opaque", "https://api.test/RS256"]

[issuers.provider.introspection]
{client}
cache = "1s"

{}
[[routes]]
path = "/{{*rest}}"
upstream = "echo"
scopes = ["orders:read"]
"#,
            provider.issuer,
            upstream.toml("echo")
        );
        let gateway = Gateway::start(&config);
        let ask = |token: &str| {
            let answer = gateway.call(&Request::get("/orders").bearer(token));
            (answer.status, answer.code())
        };
        let (allowed, inactive) = ((200, String::new()), (401, "inactive".to_owned()));
        let token = provider.token("https://api.test/opaque", "orders:read");
        assert!(!token.contains('.'), "it is opaque");
        upstream.drain();
        assert_eq!(ask(&token), allowed, "{client}");
        let seen = upstream.only();
        assert_eq!(
            (seen.header("x-auth-client"), seen.header("x-auth-scopes")),
            (Some("machine"), Some("orders:read"))
        );
        let elsewhere = provider.token("https://other.test/opaque", "orders:read");
        assert_eq!(ask(&elsewhere), (401, "wrong_audience".into()));
        let weak = provider.token("https://api.test/opaque", "orders:write");
        assert_eq!(ask(&weak), (403, "insufficient_scope".into()));
        assert_eq!(ask("made-up"), inactive);
        assert_eq!(ask(&provider.token(RESOURCE, "orders:read")), allowed, "JWTs of the same issuer are verified");
        provider.revoke(&token);
        gateway.until("the revocation is seen", || (ask(&token) == inactive).then_some(()));
    }
}

fn curl(arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    let child =
        spawn(command.args(["-sS", "--max-time", "30"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()));
    child.wait_with_output().expect("curl ends")
}

#[test]
fn curl_gets_through_by_every_protocol() {
    let world = World::start();
    let bearer = format!("Authorization: Bearer {}", world.provider.token(RESOURCE, "orders:read"));
    let url = format!("http://{}/orders/7", world.gateway.http());
    for protocol in ["--http1.0", "--http1.1", "--http2", "--http2-prior-knowledge"] {
        let output = curl(&[protocol, "-H", &bearer, "-w", "\n%{http_code}", &url]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.ends_with("\n200") && said.contains("nginx"), "{protocol}: {said} {output:?}");
    }
    let large = vec![b'x'; 3 << 20];
    let file = world.nginx.folder.path().join("upload");
    std::fs::write(&file, large).expect("ours");
    let upload = format!("@{}", file.display());
    let refused = curl(&["-H", &bearer, "-X", "PUT", "--data-binary", &upload, "-w", "\n%{http_code}", &url]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(said.ends_with("\n403") && said.contains("insufficient_scope"), "{said} {refused:?}");
}

struct Prometheus {
    child: Child,
    _folder: TempDir,
    address: SocketAddr,
}

impl Prometheus {
    fn watching(target: SocketAddr) -> Self {
        let (folder, address) = (TempDir::new().expect("a temporary folder"), nobody());
        let config = format!(
            "scrape_configs:\n  - job_name: tollgate\n    scrape_interval: 1s\n    static_configs:\n      - targets: ['{target}']\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("ours");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null());
        Self { child: spawn(&mut command), _folder: folder, address }
    }

    /// The value of an instant query that has exactly one result.
    fn query(&self, expression: &str) -> Option<String> {
        let mut conn = Conn::try_open(self.address).ok()?;
        let target = format!("/api/v1/query?query={expression}");
        conn.try_send(Request::get(&target).bytes()).ok()?;
        let answer = conn.try_response("GET").ok()?.json();
        Some(answer["data"]["result"].get(0)?["value"].get(1)?.as_str()?.to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(5));
    }
}

#[test]
fn prometheus_reads_the_metrics() {
    let world = World::start();
    let token = world.provider.token(RESOURCE, "orders:read");
    for _ in 0..3 {
        assert_eq!(world.gateway.call(&Request::get("/orders/7").bearer(&token)).status, 200);
    }
    world.gateway.call(&Request::get("/orders/7"));
    let page = world.nginx.folder.path().join("metrics");
    std::fs::write(&page, world.gateway.admin_page("/metrics").text()).expect("ours");
    let script = format!("promtool check metrics < '{}'", page.display());
    let lint = process::output(Command::new("sh").args(["-c", &script])).expect("sh runs");
    assert!(lint.status.success(), "promtool: {lint:?}");
    let prometheus = Prometheus::watching(world.gateway.admin());
    let expectations = [
        ("up", "1"),
        ("sum(tollgate_requests_total%7Broute=%22read%22%7D)", "4"),
        ("sum(tollgate_denials_total%7Bcode=%22no_credential%22%7D)", "1"),
        ("count(tollgate_jwks_age_seconds%7Bissuer=%22provider%22%7D)", "1"),
    ];
    for (expression, value) in expectations {
        eventually(expression, PATIENCE * 2, || (prometheus.query(expression)? == value).then_some(()));
    }
}
