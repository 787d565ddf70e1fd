//! Config RP: what is read from the issuer, and how keys that change are followed.

use serde_json::json;

use super::support::browser::Browser;
use super::support::client::Request;
use super::support::foreign::{Foreign, Mode, Provider};
use super::support::gateway::Gateway;
use super::support::keys::{Key, Kind};
use super::support::token::{AUDIENCE, Token};
use super::support::upstream::{Upstream, nobody, respond};
use super::support::world::World;
use super::{assert_refused, assert_shut_out, checks, world};

const JSON: &str = "Content-Type: application/json\r\n";

/// Everything is found by `/.well-known/openid-configuration`, wherever it says that it is.
#[test]
fn oidcc_client_test_discovery_openid_config() {
    let provider = Provider::start();
    let url = provider.url.clone();
    provider.metadata(move |mut document| {
        document["token_endpoint"] = json!(format!("{url}/odd/place/for/tokens"));
        document["userinfo_endpoint"] = json!(format!("{url}/odd/place/for/claims"));
        document["unknown_member"] = json!({ "a": [1] });
        document
    });
    let world = Foreign::at(provider, Mode::Query, "userinfo = true");
    assert_eq!(world.logged_in().1["sub"], "alice");
    assert!(!world.provider.asked("/.well-known/openid-configuration").is_empty());
    for path in ["/odd/place/for/tokens", "/odd/place/for/claims"] {
        assert_eq!(world.provider.asked(path).len(), 1, "{path}");
    }
}

/// Keys come from the `jwks_uri` that was discovered.
#[test]
fn oidcc_client_test_discovery_jwks_uri_keys() {
    let provider = Provider::start();
    let url = provider.url.clone();
    provider.metadata(move |mut document| {
        document["jwks_uri"] = json!(format!("{url}/4f6Yq2/keys?of=it"));
        document
    });
    let world = Foreign::at(provider, Mode::Query, "");
    assert_eq!(world.logged_in().1["sub"], "alice");
    assert!(!world.provider.asked("/4f6Yq2/keys").is_empty());
    assert!(world.provider.asked("/jwks").is_empty());
}

/// A document that is of another issuer is not used, not even to send anybody to the login.
#[test]
fn oidcc_client_test_discovery_issuer_mismatch() {
    let (world, mut browser) = (world(Mode::Query, ""), Browser::default());
    world.order("fault=wrong_issuer");
    let page = browser.visit(&world.url("/x"));
    assert_eq!(page.url, world.url("/x"), "it stays here");
    assert_refused(&page.response, "the configuration names", &world.gateway, &world.upstream);
    assert_shut_out(&mut browser, &world.url("/x"), &world.upstream);
    checks::it_was_the_fault(&world, &mut browser);
}

/// As in Basic.
#[test]
fn oidcc_client_test_idtoken_sig_none() {
    checks::idtoken_sig_none(Mode::Query);
}

/// The keys change between discovery and the first ID token: they are fetched once more.
#[test]
fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    let (world, mut browser) = (world(Mode::Query, ""), Browser::default());
    let fetches = || world.gateway.metric("tollgate_jwks_fetches_total", &["main", "ok"]);
    let page = browser.visit(&world.url("/x"));
    world.gateway.until("the first keys are there", || (fetches() == 1.0).then_some(()));
    assert_eq!(world.control("POST", "/rotate", "old=withdraw").status, 200);
    let page = browser.sign_in(page, "alice", "wonderland");
    assert_eq!(page.response.status, 200, "{}", page.response.text());
    world.gateway.until("they were fetched once more", || (fetches() == 2.0).then_some(()));
    assert_eq!(world.upstream.only().header("x-auth-subject"), Some("user-alice"));
}

/// The keys change between two logins: both work.
#[test]
fn oidcc_client_test_signing_key_rotation() {
    let world = world(Mode::Query, "");
    let fetches = || world.gateway.metric("tollgate_jwks_fetches_total", &["main", "ok"]);
    assert_eq!(world.log_in(&mut Browser::default(), "/x").response.status, 200);
    world.gateway.until("the first keys are there", || (fetches() == 1.0).then_some(()));
    assert_eq!(world.control("POST", "/rotate", "old=withdraw").status, 200);
    let mut browser = Browser::default();
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    assert!(World::session_cookie(&browser).is_some());
    world.gateway.until("they were fetched once more", || (fetches() == 2.0).then_some(()));
}

/// Beyond the plan: metadata that are not where OpenID Connect Discovery has them are looked for where RFC 8414, section 3.1,
/// inserts the well-known name before the path of the issuer. What is found there serves logins and tokens.
#[test]
fn metadata_are_found_by_the_inserted_form_of_rfc_8414() {
    let (key, address) = (Key::of(Kind::P256, 5, "inserted"), nobody());
    let issuer = format!("http://{address}/tenants/a");
    let (metadata, keys) = (
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
        }),
        json!({ "keys": [key.jwk()] }),
    );
    let server = Upstream::again_on(address, move |seen, conn| match seen.target.as_str() {
        "/.well-known/oauth-authorization-server/tenants/a" => respond(conn, 200, JSON, metadata.to_string()),
        "/tenants/a/keys" => respond(conn, 200, JSON, keys.to_string()),
        _ => respond(conn, 404, "", ""),
    });
    let (at, app) = (nobody(), Upstream::echo());
    let gateway = Gateway::start(&format!(
        r#"
[server]
listen = "{at}"

[issuers.main]
issuer = "{issuer}"
audiences = ["{AUDIENCE}"]

[logins.web]
issuer = "main"
client_id = "web"
public_url = "http://{at}"

{upstream}
[[routes]]
path = "/{{*rest}}"
upstream = "app"
login = "web"
"#,
        upstream = app.toml("app")
    ));
    let token = Token::new(&issuer, &key).sign();
    assert_eq!(gateway.call(&Request::get("/x").bearer(&token)).status, 200, "{}", gateway.logs());
    let sent = Browser::default().step("GET", &format!("http://{at}/x"), "");
    let location = sent.header("location").unwrap_or_default();
    assert!(location.starts_with(&format!("{issuer}/authorize?")), "{} {location}", sent.status);
    let asked: Vec<_> = server.seen().into_iter().map(|seen| seen.target).collect();
    let inserted = "/.well-known/oauth-authorization-server/tenants/a";
    assert_eq!(asked[..2], ["/tenants/a/.well-known/openid-configuration", inserted], "{asked:?}");
}
