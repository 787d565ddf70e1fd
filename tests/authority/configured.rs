//! The same by the file: the real binary, an authority over TLS, clients of every kind, and a gateway that trusts it.

use http::Method;
use serde_json::json;
use tempfile::TempDir;
use tollgate::clock::{Clock as _, SystemClock};
use tollgate::secret::random_id;

use super::harness::{Answer, basic, request, send_over};
use super::signed::{jws, key, parts, thumbprint};
use super::support::client::Request;
use super::support::gateway::Gateway;
use super::support::tls::{self, Authority, Identity};
use super::support::upstream::Upstream;

const CLIENTS: &str = r#"
[[authority.users]]
name = "alice"
password = "wonderland"

[[authority.clients]]
id = "signer"
grants = ["client_credentials"]
scopes = ["orders:read"]
auth = "private_key_jwt"
jwks_file = "signer.jwks"

[[authority.clients]]
id = "named"
grants = ["client_credentials"]
auth = "tls_client_auth"
tls_client_auth_subject_dn = "CN=batch"
tls_client_certificate_bound_access_tokens = true

[[authority.clients]]
id = "known"
grants = ["client_credentials"]
auth = "self_signed_tls_client_auth"
certificate_file = "known.crt"

[[authority.clients]]
id = "bound"
secret = "s"
grants = ["client_credentials", "token_exchange"]
dpop_bound_access_tokens = true
"#;

/// What the file says, with an issuer on this port.
fn config(port: u16) -> String {
    format!(
        "[issuers.dev]\nissuer = \"https://127.0.0.1:{port}\"\naudiences = [\"https://api.test\"]\nca_file = \"ca.pem\"\n\
         [[routes]]\nname = \"orders\"\npath = \"/orders\"\nupstream = \"up\"\nscopes = [\"orders:read\"]\n\
         [authority]\nlisten = \"127.0.0.1:{port}\"\nissuer = \"https://127.0.0.1:{port}\"\naudience = \"https://api.test\"\n\
         dpop_nonce = true\n\
         [authority.tls]\ncertificate = \"server.crt\"\nprivate_key = \"server.key\"\nclient_ca = \"ca.pem\"\n{CLIENTS}"
    )
}

#[test]
fn the_file_gives_an_authority_over_tls_with_clients_of_every_kind() {
    let folder = TempDir::new().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Identity::loopback("authority").write(folder.path(), "server");
    let known = Authority::new("Own").identity("known", &["known.test"]);
    known.write(folder.path(), "known");
    std::fs::write(folder.path().join("ca.pem"), tls::authority().pem()).unwrap();
    std::fs::write(folder.path().join("signer.jwks"), json!({ "keys": [key(0).jwk()] }).to_string()).unwrap();
    let upstream = Upstream::echo();
    let gateway = Gateway::listening_in(folder, &format!("{}\n{}", upstream.toml("up"), config(port)));
    gateway.wait_ready();
    let issuer = format!("https://127.0.0.1:{port}");
    let now = SystemClock::start().now().secs();
    let ask = |shown: Option<&Identity>, headers: &[(&str, String)], body: &str| -> Answer {
        let kind = [("content-type", "application/x-www-form-urlencoded".to_owned())];
        let body = format!("grant_type=client_credentials&{body}");
        let request = request(gateway.authority(), Method::POST, "/token", &[&kind, headers].concat(), body.as_bytes());
        send_over(tls::client(&["http/1.1"], shown), gateway.authority(), request)
    };
    let claims = json!({ "iss": "signer", "sub": "signer", "aud": issuer, "exp": now + 60, "jti": random_id() });
    let assertion = jws(&key(0), &json!({ "alg": "ES256" }), &claims);
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let signed = ask(None, &[], &format!("client_assertion_type={kind}&client_assertion={assertion}"));
    assert_eq!((signed.status, &signed.claims()["sub"]), (200, &json!("signer")), "{signed:?}");
    let token = signed.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(gateway.call(&Request::get("/orders").bearer(&token)).status, 200, "the gateway has its keys over TLS");

    let named = ask(Some(&tls::authority().identity("batch", &["a.test"])), &[], "client_id=named");
    assert_eq!((named.status, named.claims()["cnf"]["x5t#S256"].is_string()), (200, true), "{named:?}");
    assert_eq!(ask(Some(&tls::authority().identity("other", &["a.test"])), &[], "client_id=named").status, 401);
    assert_eq!(ask(Some(&known), &[], "client_id=known").status, 200);

    let secret = basic("bound", "s");
    assert_eq!(ask(None, std::slice::from_ref(&secret), "").json()["error"], "invalid_dpop_proof");
    let prove = |nonce: &str| {
        let (header, mut claims) = parts(&key(1), "POST", &format!("{issuer}/token"));
        (claims["iat"], claims["nonce"]) = (json!(now), json!(nonce));
        ("dpop", jws(&key(1), &header, &claims))
    };
    let told = ask(None, &[secret.clone(), prove("")], "");
    assert_eq!(told.json()["error"], "use_dpop_nonce");
    let bound = ask(None, &[secret, prove(told.header("dpop-nonce").unwrap())], "");
    assert_eq!(bound.claims()["cnf"]["jkt"], thumbprint(&key(1)), "{bound:?}");
}
