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

/// The example of the documentation, as it is but for its address.
#[test]
fn the_start_and_the_front_page_say_what_it_is_for_and_what_to_leave() {
    let text = include_str!("../../config/examples/authority.toml");
    let address = super::support::upstream::nobody();
    let gateway = Gateway::start(&text.replace("127.0.0.1:9000", &address.to_string()));
    let log = gateway.stderr();
    let lines = |word: &str| -> Vec<serde_json::Value> {
        log.lines().filter(|line| line.contains(word)).map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let [start] = lines("development only").try_into().unwrap();
    assert_eq!((&start["level"], &start["address"]), (&json!("WARN"), &json!(address.to_string())));
    let warnings = lines("a discouraged grant");
    let mut told: Vec<_> = warnings.iter().map(|line| (line["grant"].as_str().unwrap(), &line["client"])).collect();
    told.sort_by_key(|(grant, _)| *grant);
    assert_eq!(told, [("implicit", &json!("legacy")), ("password", &json!("legacy"))]);
    let page = Request::get("/").send(gateway.authority()).text();
    assert!(page.contains("Development only"));
    for (grant, why, cards) in
        [("implicit", "(RFC 9700, section 2.1.2)", 2), ("password", "(RFC 9700, section 2.4)", 1)]
    {
        let warning = warnings.iter().find(|line| line["grant"] == grant).unwrap()["message"].as_str().unwrap();
        assert!(warning.contains(why) && warning.contains("use authorization_code with PKCE"), "{warning}");
        let reason = warning.strip_prefix("a discouraged grant: ").unwrap();
        let shown = page.matches(&format!("<strong>Discouraged:</strong> {reason}.")).count();
        assert_eq!(shown, cards, "{grant}: {page}");
    }
}

/// Whoever wants it on a network writes so.
#[test]
fn it_stays_on_this_machine_unless_the_file_says_otherwise() {
    let folder = TempDir::new().unwrap();
    let check = |more: &str| {
        let text = format!(
            "[authority]\nlisten = \"0.0.0.0:9000\"\nissuer = \"http://127.0.0.1:9000\"\naudience = \"a\"\n{more}"
        );
        let file = folder.path().join("tollgate.toml");
        std::fs::write(&file, text).unwrap();
        let output = super::support::gateway::run(&["check", "--config", &file.display().to_string()]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = check("");
    assert_eq!(
        (code, said.contains("authority-exposed"), said.contains("allow_remote = true")),
        (Some(2), true, true),
        "{said}"
    );
    let (code, said) = check("allow_remote = true");
    assert_eq!(code, Some(0), "{said}");
}

/// What the file says, with an issuer on this port.
fn config(port: u16) -> String {
    format!(
        "[issuers.dev]\nissuer = \"https://127.0.0.1:{port}\"\naudiences = [\"https://api.test\"]\nca_file = \"ca.pem\"\n\
         [[routes]]\nname = \"orders\"\npath = \"/orders\"\nupstream = \"up\"\nscopes = [\"orders:read\"]\n\
         [authority]\nlisten = \"127.0.0.1:{port}\"\nissuer = \"https://127.0.0.1:{port}\"\naudience = \"https://api.test\"\n\
         dpop_nonce = true\nresources = {{ \"https://refs.test\" = \"opaque\" }}\n\
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

    let claims = json!({ "iss": "signer", "sub": "signer", "aud": issuer, "exp": now + 60, "jti": random_id() });
    let assertion = jws(&key(0), &json!({ "alg": "ES256" }), &claims);
    let form = format!("client_assertion_type={kind}&client_assertion={assertion}&resource=https://refs.test");
    let opaque = ask(None, &[], &form).json()["access_token"].as_str().unwrap().to_owned();
    assert!(!opaque.contains('.'), "the resource decides: {opaque}");

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
