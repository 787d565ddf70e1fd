//! An application behind a gateway that logs browsers in, and the embedded authority that it logs them in at, all in one
//! process of the real binary. Everything stands on loopback: in cleartext, or all of it over TLS.

use std::net::SocketAddr;

use tempfile::TempDir;

use super::browser::{Browser, Page};
use super::client::{Request, Response};
use super::gateway::Gateway;
use super::tls::{self, Identity};
use super::upstream::{Upstream, nobody};

/// See the module.
pub struct World {
    pub gateway: Gateway,
    pub upstream: Upstream,
    /// Where browsers reach the application.
    pub address: SocketAddr,
    pub authority: SocketAddr,
    scheme: &'static str,
}

/// What is different in a world.
pub struct Setting<'a> {
    /// More keys of `[issuers.main]`.
    pub issuer: &'a str,
    /// More keys of `[logins.web]`, then tables. `@address` stands for where the application is.
    pub login: &'a str,
    /// More keys of `[authority]`, then tables.
    pub rest: &'a str,
    /// How the login proves which client it is.
    pub proof: &'a str,
    /// How the authority knows that client.
    pub registered: &'a str,
    /// The application; without one, an upstream that echoes.
    pub application: Option<Upstream>,
    /// Whether everything is https.
    pub tls: bool,
    /// The folder of the configuration, with files that it names.
    pub folder: TempDir,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self {
            issuer: "",
            login: "",
            rest: "",
            proof: "client_secret = \"web: secret/+%\"",
            registered: "secret = \"web: secret/+%\"",
            application: None,
            tls: false,
            folder: TempDir::new().expect("a temporary folder"),
        }
    }
}

impl World {
    #[track_caller]
    pub fn start() -> Self {
        Self::set(Setting::default())
    }

    /// With more keys of `[logins.web]`, and more of everything after `[authority]`.
    #[track_caller]
    pub fn with(login: &str, rest: &str) -> Self {
        Self::set(Setting { login, rest, ..Setting::default() })
    }

    #[track_caller]
    pub fn set(mut setting: Setting<'_>) -> Self {
        let upstream = setting.application.take().unwrap_or_else(Upstream::echo);
        let (address, authority) = (nobody(), nobody());
        let config = config(&setting, [address, authority], &upstream).replace("@address", &address.to_string());
        if setting.tls {
            let folder = setting.folder.path();
            Identity::loopback("tollgate").write(folder, "server");
            std::fs::write(folder.join("ca.pem"), tls::authority().pem()).expect("a folder of ours");
        }
        let gateway = Gateway::listening_in(setting.folder, &config);
        gateway.wait_ready();
        let scheme = if setting.tls { "https" } else { "http" };
        Self { gateway, upstream, address, authority, scheme }
    }

    /// Has the authority make this fault from now on, such as `fault=status&at=jwks`.
    #[track_caller]
    pub fn order(&self, fault: &str) {
        let answer = self.control("POST", "/faults", fault);
        assert_eq!(answer.status, 200, "{fault}: {}", answer.text());
    }

    /// Asks the control endpoint of the authority's faults.
    #[track_caller]
    pub fn control(&self, method: &str, target: &str, form: &str) -> Response {
        let request = Request::new(method, target).host("127.0.0.1");
        let request = match form {
            "" => request,
            form => request.field("Content-Type", "application/x-www-form-urlencoded").body(form.as_bytes()),
        };
        request.send(self.gateway.authority_control())
    }

    /// A URL of the application.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// A URL of the authority.
    pub fn at_authority(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.authority)
    }

    /// From the page that was asked for, over login and consent, back to it.
    #[track_caller]
    pub fn log_in(&self, browser: &mut Browser, path: &str) -> Page {
        let page = browser.visit(&self.url(path));
        assert!(page.url.contains(&self.authority.to_string()), "{} {}", page.url, page.response.text());
        browser.sign_in(page, "alice", "wonderland")
    }

    pub fn session_cookie(browser: &Browser) -> Option<String> {
        let plain = |name: &str| name.trim_start_matches("__Host-").to_owned();
        let ours = |name: &str| matches!(&*plain(name), "tollgate-web" | "tollgate-web-0");
        browser.cookies.iter().find(|((_, name), _)| ours(name)).map(|(_, value)| value.clone())
    }
}

fn config(setting: &Setting<'_>, [address, authority]: [SocketAddr; 2], upstream: &Upstream) -> String {
    let Setting { issuer, login, rest, proof, registered, tls, .. } = setting;
    let (scheme, server, trust, authority_tls) = match tls {
        false => ("http", format!("listen = [\"{address}\"]"), "", ""),
        true => {
            let certificate = "certificate = \"server.crt\"\nprivate_key = \"server.key\"";
            let server = format!("listen = [\"127.0.0.1:0\"]\n[server.tls]\nlisten = [\"{address}\"]\n{certificate}");
            let served =
                "[authority.tls]\ncertificate = \"server.crt\"\nprivate_key = \"server.key\"\nclient_ca = \"ca.pem\"";
            ("https", server, "ca_file = \"ca.pem\"", served)
        }
    };
    format!(
        r#"
[server]
workers = 2
{server}

[issuers.main]
issuer = "{scheme}://{authority}"
audiences = ["https://api.example"]
{trust}
{issuer}

{upstream}

[[routes]]
name = "private"
path = "/{{*rest}}"
upstream = "app"
login = "web"

[[routes]]
name = "readers"
path = "/reader"
upstream = "app"
login = "web"
scopes = ["orders:read"]
credential = "pass"

[[routes]]
name = "passwords"
path = "/acr"
upstream = "app"
login = "web"
claims = {{ "/acr" = {{ exists = true }} }}

[[routes]]
name = "sales"
path = "/sales"
upstream = "app"
login = "web"
claims = {{ "/department" = "sales" }}

[[routes]]
name = "writers"
path = "/writer"
upstream = "app"
login = "web"
scopes = ["orders:write"]

[[routes]]
name = "public"
path = "/public"
upstream = "app"
access = "public"

[logins.web]
issuer = "main"
client_id = "web"
{proof}
scopes = ["profile", "offline_access", "orders:read"]
public_url = "{scheme}://{address}"
session_claims = ["department", "absent"]
{login}

[authority]
listen = "{authority}"
issuer = "{scheme}://{authority}"
audience = "https://api.example"
{rest}

{authority_tls}

[authority.faults]
control = "127.0.0.1:0"

[[authority.users]]
name = "alice"
sub = "user-alice"
password = "wonderland"
claims = {{ name = "Alice", department = "sales" }}

[[authority.clients]]
id = "web"
{registered}
grants = ["authorization_code", "refresh_token"]
redirect_uris = ["{scheme}://{address}/.tollgate/callback"]
post_logout_redirect_uris = ["{scheme}://{address}/.tollgate/logged-out"]
backchannel_logout_uri = "{scheme}://{address}/.tollgate/backchannel-logout"
scopes = ["openid", "profile", "offline_access", "orders:read"]
"#,
        upstream = upstream.toml("app"),
    )
}
