//! The embedded authority before clients that its authors did not write: the npm packages `openid-client` (a certified
//! relying party) and `oauth4webapi`, the PyPI package `authlib`, and Debian's Apache with `mod_auth_openidc` (certified as
//! well). Each script in `tests/interop/clients` walks one flow with one of them; `tests/run` installs them.
//!
//! A script prints a line for each check. How many pass is part of the test, so that a script that does nothing fails.

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::client::Conn;
use support::gateway::Gateway;
use support::upstream::{Upstream, nobody};
use support::{PATIENCE, eventually, process};
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn file(name: &str) -> PathBuf {
    Path::new(ROOT).join("tests/interop/clients").join(name)
}

/// The authority, the gateway, an API, and the address that Apache may take.
struct World {
    authority: SocketAddr,
    apache: SocketAddr,
    gateway: Gateway,
    _api: Upstream,
}

impl World {
    #[track_caller]
    fn start() -> Self {
        let (authority, apache, api) = (nobody(), nobody(), Upstream::echo());
        let text = std::fs::read_to_string(file("tollgate.toml")).expect("it is in the repository");
        let config = text
            .replace("@AUTHORITY@", &authority.to_string())
            .replace("@APACHE@", &apache.to_string())
            .replace("@API@", &api.address.to_string());
        let folder = TempDir::new().expect("a temporary folder");
        let mut key = signer()["key"].clone();
        for private in ["d", "alg"] {
            key.as_object_mut().expect("a key").remove(private);
        }
        std::fs::write(folder.path().join("signer.jwks"), json!({ "keys": [key] }).to_string()).expect("ours");
        let gateway = Gateway::listening_in(folder, &config);
        gateway.wait_ready();
        Self { authority, apache, gateway, _api: api }
    }

    fn issuer(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// What every script is told, and what this one is told besides.
    fn peer(&self, client: &Value, options: Value) -> String {
        let mut peer = json!({
            "issuer": self.issuer(),
            "redirect_uri": "http://127.0.0.1:4999/cb",
            "post_logout_redirect_uri": "http://127.0.0.1:4999/bye",
            "user": { "name": "alice", "password": "wonder&land=100%" },
            "resource_server": basic("api"),
            "other_client": post("opaque"),
            "client": client,
        });
        let Value::Object(options) = options else { panic!("options are an object") };
        peer.as_object_mut().expect("so is the peer").extend(options);
        peer.to_string()
    }

    /// Runs a script of Node.js, whose every check passes, `checks` in number.
    #[track_caller]
    fn node(&self, script: &str, client: &Value, options: Value, checks: usize) {
        assert!(
            Path::new(ROOT).join("tests/interop/node_modules").exists(),
            "run tests/run, or `npm ci` in tests/interop"
        );
        let peer = self.peer(client, options);
        self.passes(Command::new("node").arg(file(script)).arg(&peer), &format!("{script} {peer}"), checks);
    }

    /// Runs a flow of authlib.
    #[track_caller]
    fn authlib(&self, flow: &str, client: &Value, options: Value, checks: usize) {
        let python = Path::new(ROOT).join("tests/.cache/python/bin/python");
        assert!(python.exists(), "run tests/run: it installs authlib into tests/.cache/python");
        let peer = self.peer(client, options);
        let mut command = Command::new(python);
        self.passes(
            command.arg(file("authlib_flows.py")).args([flow, &peer]),
            &format!("authlib {flow} {peer}"),
            checks,
        );
    }

    #[track_caller]
    fn passes(&self, command: &mut Command, name: &str, checks: usize) {
        let output = process::output(command).expect("it runs; tests/run installs it");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let passed = out.lines().filter(|line| line.starts_with("PASS ")).count();
        assert!(
            output.status.success() && passed == checks,
            "{name}\n{passed} of {checks} checks passed:\n{out}{err}{}",
            self.gateway.logs()
        );
    }
}

fn public(id: &str) -> Value {
    json!({ "id": id, "auth": "none" })
}

fn basic(id: &str) -> Value {
    json!({ "id": id, "auth": "client_secret_basic", "secret": format!("{id}-secret") })
}

fn post(id: &str) -> Value {
    json!({ "id": id, "auth": "client_secret_post", "secret": format!("{id}-secret") })
}

/// It signs, with the key of RFC 7515, appendix A.3.
fn signer() -> Value {
    let key = json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "rfc7515-a3",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    });
    json!({ "id": "signer", "auth": "private_key_jwt", "id_token_alg": "EdDSA", "key": key })
}

#[test]
fn discovery() {
    World::start().node("discovery.mjs", &public("spa"), json!({}), 19);
}

#[test]
fn code_with_pkce() {
    let world = World::start();
    let api = format!("http://{}/orders", world.gateway.http());
    let odd =
        json!({ "id": "odd", "auth": "client_secret_basic", "secret": "s:p@ce +%25/?&=~", "id_token_alg": "ES256" });
    world.node("code.mjs", &public("spa"), json!({ "scope": "openid profile orders:read", "api": api }), 10);
    world.node("code.mjs", &post("opaque"), json!({ "response_mode": "form_post" }), 7);
    world.node("code.mjs", &basic("web"), json!({ "par": true, "scope": "openid offline_access" }), 7);
    world.node("code.mjs", &public("spa"), json!({ "resource": "https://other.test" }), 6);
    world.node("code.mjs", &odd, json!({}), 7);
    world.node("code.mjs", &signer(), json!({}), 7);
}

#[test]
fn implicit() {
    let types = ["token", "id_token", "id_token token"];
    let options = json!({ "scope": "openid orders:read", "response_types": types });
    World::start().node("front-channel.mjs", &public("implicit"), options, 10);
}

#[test]
fn hybrid() {
    let types = ["code id_token", "code token", "code id_token token"];
    let options = json!({ "scope": "openid profile", "response_types": types });
    World::start().node("front-channel.mjs", &basic("hybrid"), options, 10);
}

#[test]
fn password() {
    World::start().node("password.mjs", &basic("legacy"), json!({ "scope": "profile orders:read" }), 7);
}

#[test]
fn client_credentials() {
    let world = World::start();
    let api = format!("http://{}/orders", world.gateway.http());
    world.node("client-credentials.mjs", &basic("machine"), json!({ "scope": "orders:read", "api": api }), 8);
}

#[test]
fn refresh() {
    let world = World::start();
    world.node("refresh.mjs", &public("spa"), json!({ "scope": "openid profile" }), 14);
    world.node("refresh.mjs", &basic("web"), json!({ "scope": "openid offline_access" }), 16);
}

#[test]
fn device() {
    World::start().node("device.mjs", &public("tv"), json!({ "scope": "openid profile" }), 9);
}

#[test]
fn token_exchange() {
    let options = json!({ "scope": "openid profile orders:read", "exchanger": basic("exchanger") });
    World::start().node("exchange.mjs", &public("spa"), options, 6);
}

#[test]
fn introspection() {
    let world = World::start();
    world.node("introspection.mjs", &public("spa"), json!({}), 11);
    world.node("introspection.mjs", &post("opaque"), json!({}), 11);
}

#[test]
fn revocation() {
    World::start().node("revocation.mjs", &public("spa"), json!({}), 13);
}

#[test]
fn userinfo() {
    let scope = "openid profile email address phone";
    World::start().node("userinfo.mjs", &public("spa"), json!({ "scope": scope }), 10);
}

#[test]
fn end_session() {
    World::start().node("end-session.mjs", &public("spa"), json!({}), 13);
}

#[test]
fn the_authorization_endpoint_as_an_openid_provider() {
    World::start().node("op-authorize.mjs", &basic("web"), json!({ "scope": "openid profile" }), 36);
}

#[test]
fn the_token_endpoint_as_an_openid_provider() {
    World::start().node("op-token.mjs", &basic("web"), json!({}), 15);
}

#[test]
fn oauth4webapi_walks_code_and_judges_the_access_token() {
    let world = World::start();
    world.node("oauth4webapi.mjs", &basic("web"), json!({ "audience": "https://api.test" }), 8);
    let elsewhere = "https://other.test";
    world.node("oauth4webapi.mjs", &public("spa"), json!({ "audience": elsewhere, "resource": elsewhere }), 7);
    world.node("oauth4webapi.mjs", &signer(), json!({ "audience": "https://api.test" }), 8);
}

#[test]
fn oauth4webapi_walks_the_other_flows() {
    let clients = json!({
        "machine": basic("machine"), "legacy": basic("legacy"), "tv": public("tv"), "hybrid": basic("hybrid"),
    });
    let options = json!({ "scope": "openid offline_access", "clients": clients });
    World::start().node("oauth4webapi-flows.mjs", &basic("web"), options, 15);
}

#[test]
fn tokens_that_are_bound_by_dpop() {
    let (world, audience) = (World::start(), "https://api.test");
    world.node("code.mjs", &public("spa"), json!({ "dpop": true }), 7);
    world.node("oauth4webapi.mjs", &public("spa"), json!({ "dpop": true, "audience": audience }), 9);
    world.node("oauth4webapi.mjs", &basic("web"), json!({ "dpop": true, "audience": audience }), 9);
}

#[test]
fn authlib() {
    let world = World::start();
    world.authlib("code", &public("spa"), json!({}), 7);
    world.authlib("code", &post("opaque"), json!({}), 7);
    world.authlib("code", &signer(), json!({}), 7);
    world.authlib("implicit", &public("implicit"), json!({}), 4);
    world.authlib("device", &public("tv"), json!({ "scope": "openid profile" }), 4);
    world.authlib("client_credentials", &basic("machine"), json!({ "scope": "orders:read" }), 2);
    world.authlib("password", &basic("legacy"), json!({ "scope": "orders:read" }), 3);
    world.authlib("metadata", &public("spa"), json!({}), 1);
}

/// Apache with `mod_auth_openidc`. Dropping it ends the process.
struct Apache {
    child: Child,
    folder: TempDir,
}

const MODULES: &str = "/usr/lib/apache2/modules";

impl Apache {
    #[track_caller]
    fn start(world: &World, response_type: &str, mode: Option<&str>) -> Self {
        assert!(
            Path::new(MODULES).join("mod_auth_openidc.so").exists(),
            "run tests/run, or: apt-get install apache2 libapache2-mod-auth-openidc"
        );
        let folder = TempDir::new().expect("a temporary folder");
        for (page, text) in [("private", "the private page"), ("bye", "signed out")] {
            let below = folder.path().join("pages").join(page);
            std::fs::create_dir_all(&below).expect("ours");
            std::fs::write(below.join("index.html"), text).expect("ours");
        }
        let mode = mode.map(|mode| format!("OIDCResponseMode {mode}")).unwrap_or_default();
        let text = std::fs::read_to_string(file("httpd.conf")).expect("it is in the repository");
        let config = text
            .replace("@DIR@", &folder.path().display().to_string())
            .replace("@MODULES@", MODULES)
            .replace("@ADDRESS@", &world.apache.to_string())
            .replace("@ISSUER@", &world.issuer())
            .replace("@RESPONSE_TYPE@", response_type)
            .replace("@RESPONSE_MODE@", &mode);
        let path = folder.path().join("httpd.conf");
        std::fs::write(&path, config).expect("ours");
        // Apache of root serves as another user, who has to get at the pages.
        let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(folder.path()).status().expect("chmod runs");
        assert!(opened.success());
        // Debian keeps it out of an ordinary user's PATH.
        let mut command = Command::new("/usr/sbin/apache2");
        command.arg("-f").arg(path).arg("-DFOREGROUND").stdin(Stdio::null());
        let apache = Self { child: command.spawn().expect("tests/run installs it"), folder };
        eventually("Apache listens", PATIENCE, || Conn::try_open(world.apache).ok());
        apache
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Apache {
    #[expect(clippy::print_stdout, reason = "the failed test's output is where its reader looks")]
    fn drop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(3));
        if std::thread::panicking() {
            println!("--- Apache\n{}", self.log());
        }
    }
}

/// Signs in at Apache, which asks the authority in this way, and out.
#[track_caller]
fn at_apache(response_type: &str, mode: Option<&str>, checks: usize) {
    let world = World::start();
    let _apache = Apache::start(&world, response_type, mode);
    let at = format!("http://{}", world.apache);
    let options = json!({
        "url": format!("{at}/private/"),
        "expect": "the private page",
        "logout": format!("{at}/redirect_uri?logout={at}/bye/"),
        "response_type": response_type,
        "mode": mode,
    });
    world.node("rp-login.mjs", &basic("apache"), options, checks);
}

#[test]
fn mod_auth_openidc_signs_in_by_code() {
    at_apache("code", None, 8);
}

#[test]
fn mod_auth_openidc_signs_in_by_id_token() {
    at_apache("id_token", Some("form_post"), 8);
}

#[test]
fn mod_auth_openidc_signs_in_by_code_and_id_token() {
    at_apache("code id_token", Some("form_post"), 9);
}

#[test]
fn mod_auth_openidc_signs_in_by_id_token_and_token() {
    at_apache("id_token token", Some("form_post"), 9);
}

#[test]
fn mod_auth_openidc_signs_in_by_code_and_token() {
    at_apache("code token", Some("form_post"), 8);
}

#[test]
fn mod_auth_openidc_signs_in_by_all_three() {
    at_apache("code id_token token", Some("form_post"), 10);
}
