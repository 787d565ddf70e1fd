//! The npm package `oidc-provider` as Authorization Server, run by `tests/interop/authority.mjs`. `tests/run` installs it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Request, Response};
use super::keys::Key;
use super::process;
use super::tls::{self, Identity};
use super::token::Token;

/// A running `oidc-provider`; ends with its standard input.
pub struct Provider {
    child: Child,
    _alive: ChildStdin,
    _folder: TempDir,
    pub issuer: String,
    /// The private key of its client `signed`.
    pub key: String,
    /// Where it sees certificates of clients.
    certified: SocketAddr,
}

impl Provider {
    #[track_caller]
    pub fn start() -> Self {
        Self::serving(&[])
    }

    /// People sign in there too, for the application at this origin, as its client `web`.
    #[track_caller]
    pub fn with_people(application: &str) -> Self {
        Self::serving(&[application])
    }

    #[track_caller]
    fn serving(applications: &[&str]) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
        assert!(here.join("node_modules").exists(), "run tests/run, or `npm ci` in tests/interop");
        let folder = TempDir::new().expect("a temporary folder");
        let (certificate, key) = Identity::loopback("oidc-provider").write(folder.path(), "server");
        let mut command = Command::new("node");
        command
            .arg(here.join("authority.mjs"))
            .arg(certificate)
            .arg(key)
            .args(applications)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start node: {error}; see tests/run"));
        let alive = child.stdin.take().expect("piped");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("oidc-provider said {line:?}"));
        let text = |name: &str| ready[name].as_str().expect("its ready line has it").to_owned();
        let certified = text("certified").parse().expect("an address");
        Self { child, _alive: alive, _folder: folder, issuer: text("issuer"), key: text("key"), certified }
    }

    fn address(&self) -> SocketAddr {
        self.issuer.strip_prefix("http://").and_then(|rest| rest.parse().ok()).expect("a loopback address")
    }

    fn asking(&self, path: &str, client: &str, form: &str) -> Request {
        Request::new("POST", path)
            .host(&self.address().to_string())
            .field("Authorization", &format!("Basic {}", STANDARD.encode(format!("{client}:{client}-secret"))))
            .field("Content-Type", "application/x-www-form-urlencoded")
            .body(form.as_bytes())
    }

    /// A token by client credentials, for this resource (RFC 8707) and scope.
    #[track_caller]
    pub fn token(&self, resource: &str, scope: &str) -> String {
        let request = self.asking("/token", "machine", &credentials(resource, scope));
        access_token(&request.send(self.address()), "Bearer")
    }

    /// As [`Provider::token`], bound to the holder of this key.
    #[track_caller]
    pub fn proven(&self, resource: &str, scope: &str, key: &Key) -> String {
        let proof = Token::proof(key, "POST", &format!("{}/token", self.issuer), "").without("ath").sign();
        let request = self.asking("/token", "proving", &credentials(resource, scope)).field("DPoP", &proof);
        access_token(&request.send(self.address()), "DPoP")
    }

    /// As [`Provider::token`], bound to this certificate, which it is shown.
    #[track_caller]
    pub fn certified(&self, resource: &str, scope: &str, identity: &Identity) -> String {
        let config = tls::client(&["http/1.1"], Some(identity));
        let (mut conn, _) = tls::connect(self.certified, "localhost", &config).expect("a handshake");
        access_token(&conn.call(&self.asking("/token", "certified", &credentials(resource, scope))), "Bearer")
    }

    /// Ends a token.
    #[track_caller]
    pub fn revoke(&self, token: &str) {
        let answer = self.asking("/token/revocation", "machine", &format!("token={token}")).send(self.address());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// New keys; the old ones are no longer published.
    pub fn rotate(&self) {
        let answer = Request::new("POST", "/rotate").body(b"").send(self.address());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn credentials(resource: &str, scope: &str) -> String {
    format!("grant_type=client_credentials&resource={resource}&scope={scope}")
}

#[track_caller]
fn access_token(answer: &Response, kind: &str) -> String {
    let (said, token) = (answer.json(), answer.json()["access_token"].as_str().map(str::to_owned));
    assert_eq!(said["token_type"], kind, "{} {}", answer.status, answer.text());
    token.unwrap_or_else(|| panic!("no token: {} {}", answer.status, answer.text()))
}

impl Drop for Provider {
    fn drop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(3));
    }
}
