//! Browsers that log in at the npm package `oidc-provider`: its pages, filled in by a scripted browser.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Provider;
use super::support::browser::{Browser, Page};
use super::support::client::Response;
use super::support::gateway::Gateway;
use super::support::tls::Identity;
use super::support::upstream::{Upstream, nobody};
use super::support::{PATIENCE, eventually};

/// An application behind the gateway.
struct Application {
    provider: Provider,
    upstream: Upstream,
    gateway: Gateway,
    address: SocketAddr,
    scheme: &'static str,
}

impl Application {
    /// By http.
    #[track_caller]
    fn start(login: &str) -> Self {
        Self::by("http", login)
    }

    /// With more keys of its login.
    #[track_caller]
    fn by(scheme: &'static str, login: &str) -> Self {
        let (address, upstream, folder) = (nobody(), Upstream::echo(), TempDir::new().expect("a temporary folder"));
        let provider = Provider::with_people(&format!("{scheme}://{address}"));
        let listen = match scheme {
            "https" => {
                Identity::loopback("tollgate").write(folder.path(), "server");
                let tls = "certificate = \"server.crt\"\nprivate_key = \"server.key\"";
                format!("listen = [\"127.0.0.1:0\"]\n[server.tls]\nlisten = [\"{address}\"]\n{tls}")
            }
            _ => format!("listen = [\"{address}\"]"),
        };
        let config = format!(
            r#"
[server]
{listen}

[issuers.people]
issuer = "{issuer}"

[logins.web]
issuer = "people"
client_id = "web"
client_secret = "a secret: 100% +*-._~"
public_url = "{scheme}://{address}"
session_claims = ["name", "email"]
{login}

{upstream}

[[routes]]
path = "/{{*rest}}"
upstream = "app"
login = "web"
credential = "pass"

[[routes]]
path = "/public"
upstream = "app"
access = "public"
"#,
            issuer = provider.issuer,
            upstream = upstream.toml("app"),
        );
        let gateway = Gateway::listening_in(folder, &config);
        gateway.wait_ready();
        Self { provider, upstream, gateway, address, scheme }
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Answers the provider's pages until they lead back.
    #[track_caller]
    fn answer(&self, browser: &mut Browser, mut page: Page) -> Page {
        for _ in 0..6 {
            if !page.url.starts_with(&self.provider.issuer) {
                return page;
            }
            let text = page.response.text();
            page = match text.contains("name=\"password\"") {
                true => browser.submit(&page, &[("login", "alice"), ("password", "any")]),
                false if text.contains("op.logoutForm") => browser.submit(&page, &[("logout", "yes")]),
                false => browser.submit(&page, &[]),
            };
        }
        panic!("no end of pages: {} {}", page.url, page.response.text());
    }

    #[track_caller]
    fn log_in(&self, browser: &mut Browser) {
        let page = browser.visit(&self.url("/x"));
        assert!(page.response.text().contains("name=\"password\""), "{} {}", page.url, page.response.text());
        let page = self.answer(browser, page);
        assert_eq!((page.response.status, page.url), (200, self.url("/x")), "{}", page.response.text());
    }

    fn session(&self, browser: &mut Browser) -> Response {
        browser.send("GET", &self.url("/.tollgate/session"), &[], "")
    }

    /// The access token that goes up.
    #[track_caller]
    fn bearer(&self, browser: &mut Browser) -> String {
        self.upstream.drain();
        assert_eq!(browser.step("GET", &self.url("/y"), "").status, 200);
        let seen = self.upstream.only();
        let bearer = seen.header("authorization").and_then(|field| field.strip_prefix("Bearer "));
        bearer.expect("the route passes it").to_owned()
    }

    #[track_caller]
    fn refreshed(&self, browser: &mut Browser) -> String {
        let first = self.bearer(browser);
        eventually("another token goes up", PATIENCE, || Some(self.bearer(browser)).filter(|bearer| *bearer != first))
    }
}

/// It gives refresh tokens only to who agreed anew, so the login has to ask for that.
const KEPT: &str = "scopes = [\"profile\", \"email\", \"offline_access\"]\nprompt = \"consent\"\nuserinfo = true";

#[test]
fn people_log_in_and_stay_logged_in() {
    let (application, mut browser) = (Application::start(KEPT), Browser::default());
    application.log_in(&mut browser);
    let seen = application.upstream.only();
    assert_eq!((seen.header("x-auth-subject"), seen.header("x-auth-client")), (Some("alice"), Some("web")));
    let who = application.session(&mut browser).json();
    assert_eq!(who["claims"], json!({ "name": "alice of Acme", "email": "alice@acme.example" }));
    for _ in 0..2 {
        application.refreshed(&mut browser);
    }
    assert_eq!(application.session(&mut browser).json()["claims"], who["claims"]);
}

/// The answer comes by a form that the provider's page posts.
#[test]
fn people_log_in_by_form_post() {
    let (application, mut browser) = (Application::by("https", "response_mode = \"form_post\""), Browser::default());
    application.log_in(&mut browser);
    assert_eq!(application.upstream.only().header("x-auth-subject"), Some("alice"));
    let posted = format!("POST {}", application.url("/.tollgate/callback"));
    assert!(browser.history.contains(&posted), "{:?}", browser.history);
}

#[test]
fn people_log_out_here_and_there() {
    let (application, mut browser) = (Application::start(KEPT), Browser::default());
    application.log_in(&mut browser);
    let page = browser.post(&application.url("/.tollgate/logout?return_to=%2Fpublic"), "");
    let page = application.answer(&mut browser, page);
    assert_eq!((page.response.status, page.url), (200, application.url("/public")), "{:?}", browser.history);
    assert_eq!(application.session(&mut browser).status, 401);
    let logs = application.gateway.stderr();
    assert!(!logs.contains("could not be revoked"), "{logs}");
    application.log_in(&mut browser);
}

/// One sign-in at the provider, and two sessions here: who leaves one of them is told to leave the other.
#[test]
fn the_back_channel_ends_every_session_of_a_sign_in() {
    let (application, mut browser) = (Application::start(KEPT), Browser::default());
    application.log_in(&mut browser);
    let mut other = Browser { cookies: browser.cookies.clone(), ..Browser::default() };
    other.cookies.retain(|(_, name), _| name != "tollgate-web");
    let page = other.visit(&application.url("/x"));
    assert!(!page.response.text().contains("name=\"password\""), "it knows the person");
    assert_eq!(application.answer(&mut other, page).response.status, 200);
    assert_eq!(application.session(&mut other).status, 200);
    let page = browser.post(&application.url("/.tollgate/logout"), "");
    application.answer(&mut browser, page);
    eventually("the other session is over", PATIENCE, || {
        (application.session(&mut other).code() == "session_expired").then_some(())
    });
}

#[test]
fn the_access_token_is_for_the_resource() {
    let login =
        "scopes = [\"offline_access\", \"orders:read\"]\nprompt = [\"consent\"]\nresource = \"https://api.test/ES256\"";
    let (application, mut browser) = (Application::start(login), Browser::default());
    application.log_in(&mut browser);
    let claims = |token: &str| -> Value {
        let payload = token.split('.').nth(1).expect("a JWT");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
    };
    let first = claims(&application.bearer(&mut browser));
    let second = claims(&application.refreshed(&mut browser));
    for claims in [first, second] {
        assert_eq!((&claims["aud"], &claims["scope"]), (&json!("https://api.test/ES256"), &json!("orders:read")));
    }
}

#[test]
fn the_provider_is_told_who_is_expected() {
    let (application, mut browser) = (Application::start(""), Browser::default());
    let page = browser.visit(&application.url("/.tollgate/login?return_to=%2Fx&login_hint=bob%40acme.example"));
    assert!(page.response.text().contains("value=\"bob@acme.example\""), "{}", page.response.text());
}
