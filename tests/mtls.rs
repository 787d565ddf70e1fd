//! Tokens that are bound to a client's certificate (RFC 8705): shown in the TLS handshake, or told of by a trusted proxy.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::issuer::Issuer;
use support::keys::{Key, Kind, sha256};
use support::tls::{self, Authority, Identity, authority};
use support::token::Token;
use support::upstream::Upstream;
use support::{h2, report, runtime};
use tempfile::TempDir;

const ROUTES: &str = r#"
[[routes]]
name = "orders"
path = "/orders"
upstream = "api"

[[routes]]
name = "certified"
path = "/certified"
upstream = "api"
bind = "mtls"

[[routes]]
name = "public"
path = "/public"
upstream = "api"
access = "public"
"#;

struct World {
    issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
}

impl World {
    /// `server` is put into `[server]`, `tls` into `[server.tls]`.
    fn with(server: &str, tls: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Identity::loopback("gateway").write(folder.path(), "gateway");
        std::fs::write(folder.path().join("clients.pem"), authority().pem()).expect("a folder of ours");
        let (issuer, upstream) = (Issuer::start(), Upstream::echo());
        let head = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\npublic_url = \"https://api.test\"\n{server}\n\
             [server.tls]\nlisten = [\"127.0.0.1:0\"]\ncertificate = \"gateway.crt\"\nprivate_key = \"gateway.key\"\n{tls}\n"
        );
        let parts = [head, issuer.toml("acme"), upstream.toml("api"), ROUTES.to_owned()];
        let gateway = Gateway::listening_in(folder, &parts.join("\n"));
        gateway.wait_ready();
        Self { issuer, upstream, gateway }
    }

    /// Sends a request over TLS; `None` when the handshake, or the first answer after it, fails.
    fn call(&self, client: Option<&Identity>, request: &Request) -> Option<Response> {
        let config = tls::client(&["http/1.1"], client);
        let (mut conn, _) = tls::connect(self.gateway.https(), "localhost", &config).ok()?;
        conn.try_send(request.bytes()).ok()?;
        conn.try_response(&request.method).ok()
    }

    fn bound(&self, client: &Identity) -> String {
        self.issuer.token().certified(&client.thumbprint()).sign()
    }
}

fn outcome(answer: Option<&Response>) -> String {
    match answer {
        None => "no connection".to_owned(),
        Some(answer) if answer.status == 200 => "allow".to_owned(),
        Some(answer) => answer.code(),
    }
}

/// The certificate of the connection, that of the token, and how it ends.
type Shown<'i> = (Option<&'i Identity>, Option<&'i Identity>, &'static str);

#[test]
fn a_token_is_good_only_on_a_connection_with_its_certificate() {
    let ours = Identity::loopback("client");
    let other = Identity::loopback("another client");
    let nobodys = Identity::self_signed("nobody's");
    let foreign = Authority::new("Foreign").identity("client", &["client.test"]);
    let cases: [(&str, &[Shown<'_>]); 3] = [
        (
            "client_ca = \"clients.pem\"",
            &[
                (Some(&ours), Some(&ours), "allow"),
                (Some(&ours), None, "allow"),
                (Some(&other), Some(&ours), "bad_binding"),
                (None, Some(&ours), "no connection"),
                (None, None, "no connection"),
                (Some(&nobodys), Some(&nobodys), "no connection"),
                (Some(&foreign), Some(&foreign), "no connection"),
            ],
        ),
        (
            "client_ca = \"clients.pem\"\nclient_certificate = \"optional\"",
            &[
                (Some(&ours), Some(&ours), "allow"),
                (None, None, "allow"),
                (None, Some(&ours), "bad_binding"),
                (Some(&other), Some(&ours), "bad_binding"),
                (Some(&nobodys), Some(&nobodys), "no connection"),
            ],
        ),
        (
            "client_certificate = \"unverified\"",
            &[
                (Some(&ours), Some(&ours), "allow"),
                (Some(&nobodys), Some(&nobodys), "allow"),
                (Some(&foreign), Some(&foreign), "allow"),
                (Some(&nobodys), Some(&ours), "bad_binding"),
                (None, Some(&nobodys), "bad_binding"),
                (None, None, "allow"),
            ],
        ),
    ];
    let mut failures = Vec::new();
    for (tls, rows) in cases {
        let world = World::with("", tls);
        for (shown, bound, expected) in rows {
            let token = bound.map_or_else(|| world.issuer.token().sign(), |identity| world.bound(identity));
            let got = outcome(world.call(*shown, &Request::get("/orders").bearer(&token)).as_ref());
            // Only a bound token opens the other route.
            let certified = outcome(world.call(*shown, &Request::get("/certified").bearer(&token)).as_ref());
            let unbound = bound.is_none() && *expected == "allow";
            let wanted = if unbound { "bad_binding" } else { *expected };
            if (got.as_str(), certified.as_str()) != (*expected, wanted) {
                failures.push(format!("- {tls}: wanted {expected} and {wanted}, got {got} and {certified}"));
            }
            world.upstream.drain();
        }
    }
    report(18, &failures);
}

/// The certificate of a client is no forged key: what it shows has to sign the handshake.
#[test]
fn a_certificate_without_its_key_shows_nothing() {
    let world = World::with("", "client_certificate = \"unverified\"");
    let (ours, thief) = (Identity::loopback("client"), Identity::loopback("thief"));
    let stolen = Identity { certificate: ours.certificate.clone(), key: thief.key };
    let request = Request::get("/orders").bearer(&world.bound(&ours));
    let config = std::panic::catch_unwind(|| tls::client(&["http/1.1"], Some(&stolen)));
    // rustls refuses to be such a client; what it would send is refused by the signature check in any case.
    assert!(config.is_err(), "a client with another key than its certificate's");
    assert_eq!(outcome(world.call(Some(&ours), &request).as_ref()), "allow");
}

#[test]
fn every_request_of_a_connection_is_held_to_its_certificate() {
    let world = World::with("", "client_certificate = \"unverified\"");
    let (ours, other) = (Identity::self_signed("client"), Identity::self_signed("another"));
    let (mine, theirs) = (world.bound(&ours), world.bound(&other));
    let config = tls::client(&["http/1.1"], Some(&ours));
    let (mut conn, _) = tls::connect(world.gateway.https(), "localhost", &config).expect("a handshake");
    for (token, expected) in [(&mine, "allow"), (&theirs, "bad_binding"), (&mine, "allow")] {
        assert_eq!(outcome(Some(&conn.call(&Request::get("/orders").bearer(token)))), expected);
    }
    runtime().block_on(async {
        let mut h2 = h2::Client::tls(world.gateway.https(), tls::client(&["h2"], Some(&ours))).await;
        for (token, status) in [(&mine, 200), (&theirs, 401), (&mine, 200)] {
            let request = h2::request("GET", "/orders", Some(token)).body(h2::empty()).expect("a request");
            assert_eq!(h2.call(request).await.status, status);
        }
    });
    // A verdict that is remembered is no proof.
    assert_eq!(outcome(world.call(None, &Request::get("/orders").bearer(&mine)).as_ref()), "bad_binding");
    assert_eq!(outcome(Some(&world.gateway.call(&Request::get("/orders").bearer(&mine)))), "bad_binding");
}

#[test]
fn refusals_ask_for_a_bearer_token_and_metadata_tell_of_certificates() {
    let world = World::with("", "client_certificate = \"unverified\"");
    let answer = world.call(None, &Request::get("/certified").bearer(&world.issuer.token().sign())).expect("an answer");
    assert_eq!((answer.status, answer.code().as_str()), (401, "bad_binding"));
    assert_eq!((answer.bearer("error").as_deref(), answer.challenge("DPoP")), (Some("invalid_token"), None));
    let document = world.gateway.call(&Request::get("/.well-known/oauth-protected-resource")).json();
    assert_eq!(document["tls_client_certificate_bound_access_tokens"], true, "{document}");
}

/// Both ways to bind at once: both have to be proven.
#[test]
fn a_token_that_is_bound_twice_is_proven_twice() {
    let world = World::with("", "client_certificate = \"unverified\"");
    let (ours, key) = (Identity::self_signed("client"), Key::of(Kind::P256, 3, "client"));
    let cnf = json!({"x5t#S256": ours.thumbprint(), "jkt": key.thumbprint()});
    let token = world.issuer.token().claim("cnf", cnf).sign();
    let proof = || Token::proof(&key, "GET", "https://api.test/orders", &token).sign();
    let (with, without) = (Request::get("/orders").dpop(&token, &proof()), Request::get("/orders").bearer(&token));
    assert_eq!(outcome(world.call(Some(&ours), &with).as_ref()), "allow");
    assert_eq!(outcome(world.call(Some(&ours), &without).as_ref()), "bad_binding");
    let without = Request::get("/orders").dpop(&token, &proof());
    assert_eq!(outcome(world.call(None, &without).as_ref()), "bad_binding");
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// A certificate in every form that proxies write: format, header, value.
fn told(identity: &Identity) -> Vec<(&'static str, &'static str, String)> {
    let (pem, der) = (&identity.certificate, identity.der());
    let hash: String = sha256(&der).iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = STANDARD.encode(&der);
    vec![
        ("envoy", "X-Forwarded-Client-Cert", format!("By=spiffe://mesh/api;Hash={hash};Subject=\"CN=a,b\"")),
        ("envoy", "X-Forwarded-Client-Cert", format!("Hash={};URI=,Cert=\"{}\"", "0".repeat(64), escaped(pem))),
        ("pem", "X-SSL-Client-Cert", escaped(pem)),
        ("base64", "X-SSL-Client-Der", base64.clone()),
        ("base64", "X-Forwarded-Tls-Client-Cert", escaped(&base64)),
        ("rfc9440", "Client-Cert", format!(":{base64}:")),
    ]
}

#[test]
fn only_a_trusted_proxy_tells_of_a_certificate_in_the_form_that_is_named() {
    let (ours, other) = (Identity::self_signed("client"), Identity::self_signed("another"));
    let (mut failures, mut count) = (Vec::new(), 0);
    for ((format, header, value), (_, _, wrong)) in told(&ours).into_iter().zip(told(&other)) {
        let server = |proxies: &str| {
            format!(
                "trusted_proxies = [\"{proxies}\"]\nforwarded_certificate = {{ header = \"{header}\", format = \"{format}\" }}"
            )
        };
        let (trusted, distrusted) = (World::with(&server("127.0.0.1"), ""), World::with(&server("192.0.2.1"), ""));
        let underscored = header.replace('-', "_");
        let cases = [
            (&trusted, vec![(header, &value)], "allow"),
            (&trusted, vec![(header, &wrong)], "bad_binding"),
            (&trusted, vec![], "bad_binding"),
            (&trusted, vec![(underscored.as_str(), &value)], "bad_binding"),
            (&trusted, vec![(header, &value), (header, &wrong)], "bad_binding"),
            (&distrusted, vec![(header, &value)], "bad_binding"),
        ];
        for (world, fields, expected) in cases {
            count += 1;
            let token = world.bound(&ours);
            let fill =
                |request: Request| fields.iter().fold(request, |request, (name, value)| request.field(name, value));
            let got = outcome(Some(&world.gateway.call(&fill(Request::get("/certified").bearer(&token)))));
            if got != expected {
                failures.push(format!("- {format} in {header}, {} fields: wanted {expected}, got {got}", fields.len()));
            }
            world.upstream.drain();
            world.gateway.call(&fill(Request::get("/public")));
            let names = world.upstream.only().folded_names();
            let passed = names.contains(&header.to_ascii_lowercase());
            let plain = fields.first().is_some_and(|(name, _)| *name == header);
            if passed != (plain && std::ptr::eq(world, &raw const trusted)) {
                failures.push(format!("- {format} in {header}: {names:?} went up"));
            }
        }
    }
    report(count, &failures);
}

/// Behind a proxy that uses a certificate of its own, that one is not the client's.
#[test]
fn the_proxys_own_certificate_is_not_the_clients() {
    let settings = "trusted_proxies = [\"127.0.0.1\"]\n\
                    forwarded_certificate = { header = \"Client-Cert\", format = \"rfc9440\" }";
    let world = World::with(settings, "client_certificate = \"unverified\"");
    let (proxy, client) = (Identity::self_signed("proxy"), Identity::self_signed("client"));
    let value = format!(":{}:", STANDARD.encode(client.der()));
    let with = |token: &str| Request::get("/orders").bearer(token).field("Client-Cert", &value);
    assert_eq!(outcome(world.call(Some(&proxy), &with(&world.bound(&client))).as_ref()), "allow");
    assert_eq!(outcome(world.call(Some(&proxy), &with(&world.bound(&proxy))).as_ref()), "bad_binding");
    let without = Request::get("/orders").bearer(&world.bound(&proxy));
    assert_eq!(outcome(world.call(Some(&proxy), &without).as_ref()), "bad_binding");
}
