//! The authority over TLS: clients that their certificates prove, and tokens that are bound to one (RFC 8705).

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use tollgate::authority::{Client, ClientAuth, Grant, Settings, Tls};
use tollgate::secret::Secret;
use tollgate::server::certificate::CertificateName;
use tollgate::server::distinguished::DistinguishedName;
use tollgate::server::presented::Authorities;
use tollgate::server::tls::{Clients, Files, HTTP1, server_config};

use super::flows::{encode, payload};
use super::harness::{self, Answer, Running, basic, send_over};
use super::support::keys::{b64, sha256};
use super::support::tls::{self, Authority, Identity};

const GRANT: &str = "grant_type=client_credentials";

/// An authority that serves TLS and trusts the authority of this process to sign certificates of clients.
fn start(change: impl FnOnce(&mut Settings)) -> Running {
    Running::with(|settings| {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, private_key) = Identity::loopback("authority").write(folder.path(), "server");
        let authorities = folder.path().join("ca.pem");
        std::fs::write(&authorities, tls::authority().pem()).unwrap();
        settings.issuer = settings.issuer.replace("http:", "https:");
        let files = Files { certificate, private_key, clients: Clients::Unverified };
        settings.tls = Some(Tls {
            server: Arc::new(server_config(&files, HTTP1).unwrap()),
            client_authorities: Some(Authorities::read(&authorities).unwrap()),
        });
        change(settings);
    })
}

fn get(authority: &Running, shown: Option<&Identity>, path: &str, headers: &[(&str, String)]) -> Answer {
    let request = harness::request(authority.address, Method::GET, path, headers, b"");
    send_over(tls::client(&["http/1.1"], shown), authority.address, request)
}

fn post(authority: &Running, shown: Option<&Identity>, path: &str, headers: &[(&str, String)], body: &str) -> Answer {
    let kind = [("content-type", "application/x-www-form-urlencoded".to_owned())];
    let headers = [&kind, headers].concat();
    let request = harness::request(authority.address, Method::POST, path, &headers, body.as_bytes());
    send_over(tls::client(&["http/1.1"], shown), authority.address, request)
}

/// A client of `settings` like the first, with changes.
fn client(settings: &mut Settings, id: &str, change: impl FnOnce(&mut Client)) {
    let mut client = Client { id: id.into(), ..settings.clients[0].clone() };
    change(&mut client);
    settings.clients.push(client);
}

#[test]
fn metadata_announce_certificates_where_they_can_be_shown() {
    let methods = |authority: &Running, answer: &Answer| {
        let issuer = &answer.json()["issuer"];
        assert!(issuer.as_str().unwrap().ends_with(&authority.address.to_string()), "{issuer}");
        answer.json()["token_endpoint_auth_methods_supported"].clone()
    };
    let path = "/.well-known/oauth-authorization-server";
    let with = start(|_| ());
    let answer = get(&with, None, path, &[]);
    let all = json!([
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth",
        "none"
    ]);
    assert_eq!(methods(&with, &answer), all);
    assert_eq!(answer.json()["tls_client_certificate_bound_access_tokens"], true);
    let without_ca = start(|settings| settings.tls.as_mut().unwrap().client_authorities = None);
    let answer = get(&without_ca, None, path, &[]);
    assert!(!methods(&without_ca, &answer).as_array().unwrap().contains(&json!("tls_client_auth")), "{answer:?}");
}

#[test]
fn a_certificate_proves_the_client_that_it_names() {
    let subject = |text: &str| CertificateName::Subject(DistinguishedName::parse(text).unwrap());
    let authority = start(|settings| {
        for (id, name) in [
            ("by-subject", subject("CN=batch")),
            ("by-host", CertificateName::Dns("batch.test".into())),
            ("by-ip", CertificateName::Ip("192.0.2.7".parse().unwrap())),
            ("by-other", subject("CN=other")),
        ] {
            client(settings, id, |client| {
                (client.secret, client.auth) = (None, Some(ClientAuth::Tls));
                client.certificate_name = Some(name);
            });
        }
    });
    let names = ["batch.test", "192.0.2.7"];
    let (good, forged) =
        (tls::authority().identity("batch", &names), Authority::new("Nobody").identity("batch", &names));
    let ask =
        |shown: Option<&Identity>, id: &str| post(&authority, shown, "/token", &[], &format!("{GRANT}&client_id={id}"));
    for id in ["by-subject", "by-host", "by-ip"] {
        assert_eq!(ask(Some(&good), id).status, 200, "{id}");
        for (name, shown) in [("nobody vouches for it", Some(&forged)), ("none", None)] {
            let answer = ask(shown, id);
            assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_client")), "{name}: {id}");
        }
    }
    let other = ask(Some(&good), "by-other");
    assert_eq!((other.status, &other.json()["error"]), (401, &json!("invalid_client")));
    let secret = post(&authority, Some(&good), "/token", &[basic("by-subject", "machine-secret")], GRANT);
    assert_eq!(secret.json()["error"], "invalid_client", "a secret is not its way");
    // A certificate is no harm to clients of another kind, and no help.
    assert_eq!(post(&authority, Some(&forged), "/token", &[basic("machine", "machine-secret")], GRANT).status, 200);
    assert_eq!(ask(Some(&good), "machine").json()["error"], "invalid_client");
    // At the other endpoints as well.
    for path in ["/introspect", "/revoke"] {
        let told = |shown| post(&authority, shown, path, &[], "token=x&client_id=by-host").status;
        assert_eq!((told(Some(&good)), told(None)), (200, 401), "{path}");
    }
}

#[test]
fn a_registered_certificate_needs_nobody_to_vouch_for_it() {
    let (own, next) =
        (Authority::new("Own").identity("x", &["a.test"]), Authority::new("Own").identity("x", &["a.test"]));
    let authority = start(|settings| {
        client(settings, "self", |client| {
            (client.secret, client.auth) = (None, Some(ClientAuth::SelfSignedTls));
            client.certificates = vec![own.der(), next.der()];
        });
    });
    let ask =
        |shown: &Identity| post(&authority, Some(shown), "/token", &[], &format!("{GRANT}&client_id=self")).status;
    assert_eq!((ask(&own), ask(&next)), (200, 200));
    assert_eq!(ask(&Authority::new("Own").identity("x", &["a.test"])), 401, "another key, the same names");
    assert_eq!(ask(&tls::authority().identity("x", &["a.test"])), 401, "vouched for, not registered");
}

#[test]
fn tokens_are_bound_to_the_certificate_of_the_connection() {
    let authority = start(|settings| {
        let bound = |client: &mut Client| client.certificate_bound_access_tokens = true;
        client(settings, "bound", bound);
        client(settings, "app", |client| {
            bound(client);
            (client.secret, client.scopes) = (None, vec!["openid".into()]);
            client.grants = vec![Grant::Password, Grant::RefreshToken, Grant::Implicit];
            client.redirect_uris = vec!["http://127.0.0.1/cb".into()];
        });
    });
    let (mine, other) = (Identity::loopback("mine"), Authority::new("Own").identity("x", &["a.test"]));
    let thumbprint = json!(b64(sha256(&mine.der())));
    let secret = [basic("bound", "machine-secret")];
    let none = post(&authority, None, "/token", &secret, GRANT);
    assert_eq!((none.status, &none.json()["error"]), (400, &json!("invalid_request")));
    let answer = post(&authority, Some(&mine), "/token", &secret, GRANT);
    assert_eq!(
        (&answer.claims()["cnf"], &answer.json()["token_type"]),
        (&json!({ "x5t#S256": thumbprint }), &json!("Bearer"))
    );
    let token = encode(&[("token", answer.json()["access_token"].as_str().unwrap())]);
    let told = post(&authority, None, "/introspect", &[basic("machine", "machine-secret")], &token).json();
    assert_eq!((&told["cnf"]["x5t#S256"], &told["token_type"]), (&thumbprint, &json!("Bearer")));
    let unbound = post(&authority, Some(&mine), "/token", &[basic("machine", "machine-secret")], GRANT);
    assert_eq!(unbound.claims()["cnf"], Value::Null, "only for clients that are registered for it");

    let password = "grant_type=password&client_id=app&username=alice&password=wonderland&scope=openid";
    let tokens = post(&authority, Some(&mine), "/token", &[], password).json();
    let bearer = [("authorization", format!("Bearer {}", tokens["access_token"].as_str().unwrap()))];
    assert_eq!(payload(tokens["access_token"].as_str().unwrap())["cnf"]["x5t#S256"], thumbprint);
    for (name, shown, status) in [("its own", Some(&mine), 200), ("another", Some(&other), 401), ("none", None, 401)] {
        let answer = get(&authority, shown, "/userinfo", &bearer);
        assert_eq!(answer.status, status, "{name}");
        if status == 401 {
            assert!(answer.all("www-authenticate")[0].contains("error=\"invalid_token\""), "{name}: {answer:?}");
        }
    }
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", "app"),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
    ];
    let stolen = post(&authority, Some(&other), "/token", &[], &encode(&refresh));
    assert_eq!(stolen.json()["error"], "invalid_grant", "refresh tokens of public clients are bound too");
    assert_eq!(post(&authority, Some(&mine), "/token", &[], &encode(&refresh)).claims()["cnf"]["x5t#S256"], thumbprint);
    let front = encode(&[
        ("client_id", "app"),
        ("response_type", "token"),
        ("redirect_uri", "http://127.0.0.1/cb"),
        ("scope", "openid"),
    ]);
    let front = get(&authority, Some(&mine), &format!("/authorize?{front}"), &[]);
    assert!(front.header("location").unwrap().contains("error=unauthorized_client"), "{front:?}");
}

#[test]
fn cookies_are_marked_and_neither_silence_nor_cleartext_is_in_the_way() {
    let authority = start(|settings| client(settings, "web", |client| client.secret = Some(Secret::new("s".into()))));
    let _silent = std::net::TcpStream::connect(authority.address).unwrap();
    let page = get(&authority, None, "/device", &[]);
    assert!(page.header("set-cookie").unwrap().ends_with("; Secure"), "{page:?}");
    let (mut stream, mut said) = (std::net::TcpStream::connect(authority.address).unwrap(), Vec::new());
    std::io::Write::write_all(&mut stream, b"GET /jwks HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let _ = std::io::Read::read_to_end(&mut stream, &mut said);
    assert!(!said.starts_with(b"HTTP/"), "{said:?}");
}
