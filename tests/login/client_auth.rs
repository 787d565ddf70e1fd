//! How the gateway proves which client it is: each way against the authority over TLS, which takes that one alone.

use std::path::Path;

use rcgen::PublicKeyData as _;
use serde_json::json;

use super::script;
use super::support::browser::Browser;
use super::support::keys::b64;
use super::support::tls::{self, Identity};
use super::support::world::{Setting, World};
use super::support::{PATIENCE, eventually};

const SECRET: &str = "web: sécret*-._~/+%&=";

/// Writes a P-256 key and the JWK Set that has its public half.
fn write_key(folder: &Path) {
    let pair = rcgen::KeyPair::generate().expect("a key pair");
    std::fs::write(folder.join("client.pem"), pair.serialize_pem()).expect("ours");
    let (x, y) = pair.der_bytes()[1..].split_at(32);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "x": b64(x), "y": b64(y) });
    std::fs::write(folder.join("client.jwks"), json!({ "keys": [jwk] }).to_string()).expect("ours");
}

fn world(proof: &str, registered: &str) -> World {
    let setting = Setting { proof, registered, tls: true, rest: "token_lifetime = \"2s\"", ..Setting::default() };
    let folder = setting.folder.path();
    write_key(folder);
    tls::authority().identity("gateway", &[]).write(folder, "named");
    Identity::self_signed("gateway").write(folder, "self");
    World::set(setting)
}

#[test]
fn each_way_of_client_authentication_works_at_every_endpoint_that_wants_it() {
    let secret = format!("client_secret = {SECRET:?}");
    let registered = format!("secret = {SECRET:?}");
    let certificate =
        |name: &str| format!("auth = \"mtls\"\ncertificate = \"{name}.crt\"\nprivate_key = \"{name}.key\"");
    let cases = [
        ("none", String::new(), "auth = \"none\"".to_owned()),
        ("client_secret_basic", secret.clone(), format!("{registered}\nauth = \"client_secret_basic\"")),
        (
            "client_secret_post",
            format!("{secret}\nauth = \"post\""),
            format!("{registered}\nauth = \"client_secret_post\""),
        ),
        (
            "private_key_jwt",
            "private_key = \"client.pem\"\nkey_id = \"k1\"".to_owned(),
            "auth = \"private_key_jwt\"\njwks_file = \"client.jwks\"".to_owned(),
        ),
        (
            "tls_client_auth",
            certificate("named"),
            "auth = \"tls_client_auth\"\ntls_client_auth_subject_dn = \"CN=gateway\"".to_owned(),
        ),
        (
            "self_signed_tls_client_auth",
            certificate("self"),
            "auth = \"self_signed_tls_client_auth\"\ncertificate_file = \"self.crt\"".to_owned(),
        ),
    ];
    for (way, proof, registered) in &cases {
        let (world, mut browser) = (world(proof, registered), Browser::default());
        // The request is pushed, the code redeemed.
        assert_eq!(world.log_in(&mut browser, "/x").response.status, 200, "{way}");
        let pushed = browser.history.iter().find(|at| at.contains("/authorize?")).expect("a login");
        assert!(pushed.contains("request_uri="), "{way}: {pushed}");
        // The refresh token is used.
        let mut bearer = || {
            world.upstream.drain();
            assert_eq!(script(&world, &mut browser, "/reader").status, 200, "{way}");
            world.upstream.drain().pop()?.header("authorization").map(str::to_owned)
        };
        let first = bearer();
        eventually("another token goes up", PATIENCE, || (bearer() != first).then_some(()));
        // And given back.
        let page = browser.post(&world.url("/.tollgate/logout?return_to=%2Fpublic"), "");
        assert_eq!((page.url.as_str(), page.response.status), (&*world.url("/public"), 200), "{way}");
        assert!(!world.gateway.stderr().contains("could not be revoked"), "{way}: {}", world.gateway.stderr());
    }
}

#[test]
fn a_client_that_proves_itself_in_another_way_is_not_let_in() {
    let cases = [
        ("client_secret = \"wrong\"", "secret = \"right\""),
        ("client_secret = \"right\"\nauth = \"post\"", "secret = \"right\"\nauth = \"client_secret_basic\""),
        ("", "secret = \"right\""),
        (
            "auth = \"mtls\"\ncertificate = \"self.crt\"\nprivate_key = \"self.key\"",
            "auth = \"tls_client_auth\"\ntls_client_auth_subject_dn = \"CN=gateway\"",
        ),
    ];
    for (proof, registered) in cases {
        let (world, mut browser) = (world(proof, registered), Browser::default());
        let page = browser.visit(&world.url("/x"));
        assert_eq!((page.response.status, &*page.url), (502, &*world.url("/x")), "{proof}");
        let logged = world.gateway.until("it is in the log", || {
            world.gateway.access_log().into_iter().find(|line| line.to_string().contains("invalid_client"))
        });
        assert_eq!(logged["denial"], "login_failed", "{proof}");
    }
}
