//! Tokens that are bound to their sender, as Authorization Servers mint them: the embedded authority and the npm package
//! `oidc-provider`, as JWTs and as opaque tokens, bound to a key (RFC 9449) and to a certificate (RFC 8705). Each is taken
//! with its proof or its certificate, and with nothing else.

mod support;

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::keys::{Key, Kind};
use support::provider::Provider;
use support::report;
use support::tls::{self, Identity, authority};
use support::token::Token;
use support::upstream::{Upstream, nobody};
use tempfile::TempDir;

/// A gateway that trusts both servers, each on routes of its own; one of them is in the same process.
struct World {
    provider: Provider,
    upstream: Upstream,
    gateway: Gateway,
    authority: SocketAddr,
}

/// Routes for the tokens of one issuer: whether a token is bound is its own matter, or the route wants it to be.
fn routes(issuer: &str) -> String {
    [("", ""), ("dpop", "bind = \"dpop\""), ("mtls", "bind = \"mtls\"")]
        .map(|(name, bind)| {
            format!(
                "[[routes]]\nname = \"{issuer}-{name}\"\npath = \"/{issuer}/any{name}\"\nupstream = \"api\"\n\
                 issuers = [\"{issuer}\"]\nscopes = [\"orders:read\"]\n{bind}\n"
            )
        })
        .concat()
}

/// Clients of the embedded authority that get tokens for themselves.
fn clients() -> String {
    let client = |format: &str, bound: &str| {
        format!(
            "[[authority.clients]]\nid = \"{format}{bound}\"\nsecret = \"secret\"\ngrants = [\"client_credentials\"]\n\
             scopes = [\"orders:read\"]\naccess_tokens = \"{format}\"\n\
             tls_client_certificate_bound_access_tokens = {}\n",
            !bound.is_empty()
        )
    };
    ["jwt", "opaque"].map(|format| client(format, "") + &client(format, "-certified")).concat()
}

impl World {
    #[track_caller]
    fn start() -> Self {
        let (provider, upstream, authority) = (Provider::start(), Upstream::echo(), nobody());
        let folder = TempDir::new().expect("a temporary folder");
        Identity::loopback("tollgate").write(folder.path(), "server");
        std::fs::write(folder.path().join("ca.pem"), tls::authority().pem()).expect("a folder of ours");
        let pair = "certificate = \"server.crt\"\nprivate_key = \"server.key\"";
        let config = format!(
            r#"
[server]
listen = ["127.0.0.1:0"]
workers = 2
public_url = "https://api.test"

[server.tls]
listen = ["127.0.0.1:0"]
{pair}
client_certificate = "unverified"

[issuers.authority]
issuer = "https://{authority}"
audiences = ["https://api.test"]
ca_file = "ca.pem"

[issuers.authority.introspection]
client_id = "opaque"
client_secret = "secret"

[issuers.provider]
issuer = "{provider}"
audiences = ["https://api.test/RS256", "https://api.test/opaque"]

[issuers.provider.introspection]
client_id = "plain"
client_secret = "a secret: 100% +*-._~"

{upstream}
{routes}
[authority]
listen = "{authority}"
issuer = "https://{authority}"
audience = "https://api.test"

[authority.tls]
{pair}
client_ca = "ca.pem"

{clients}
"#,
            provider = provider.issuer,
            upstream = upstream.toml("api"),
            routes = routes("authority") + &routes("provider"),
            clients = clients(),
        );
        let gateway = Gateway::listening_in(folder, &config);
        gateway.wait_ready();
        Self { provider, upstream, gateway, authority }
    }

    /// A token of the embedded authority, for a client that shows this certificate and sends this proof.
    #[track_caller]
    fn of_authority(&self, client: &str, shown: Option<&Identity>, key: Option<&Key>) -> String {
        let basic = STANDARD.encode(format!("{client}:secret"));
        let mut request = Request::new("POST", "/token")
            .host(&self.authority.to_string())
            .field("Authorization", &format!("Basic {basic}"))
            .field("Content-Type", "application/x-www-form-urlencoded");
        if let Some(key) = key {
            let url = format!("https://{}/token", self.authority);
            request = request.field("DPoP", &Token::proof(key, "POST", &url, "").without("ath").sign());
        }
        let request = request.body(b"grant_type=client_credentials&scope=orders:read");
        let (mut conn, _) =
            tls::connect(self.authority, "localhost", &tls::client(&["http/1.1"], shown)).expect("a handshake");
        let answer = conn.call(&request);
        let token = answer.json()["access_token"].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("no token: {} {}", answer.status, answer.text()))
    }

    /// Tokens for one holder by every server and in every format: the issuer's name, the format, the token.
    fn minted(&self, holder: &Holder) -> Vec<(&'static str, &'static str, String)> {
        let (of, client) = match holder {
            Holder::Nobody => ((None, None), ""),
            Holder::Key(key) => ((None, Some(key)), ""),
            Holder::Certificate(identity) => ((Some(identity), None), "-certified"),
        };
        let authority = |format: &str| self.of_authority(&format!("{format}{client}"), of.0, of.1);
        let provider = |format: &str| {
            let resource = format!("https://api.test/{format}");
            match holder {
                Holder::Nobody => self.provider.token(&resource, "orders:read"),
                Holder::Key(key) => self.provider.proven(&resource, "orders:read", key),
                Holder::Certificate(identity) => self.provider.certified(&resource, "orders:read", identity),
            }
        };
        vec![
            ("authority", "jwt", authority("jwt")),
            ("authority", "opaque", authority("opaque")),
            ("provider", "jwt", provider("RS256")),
            ("provider", "opaque", provider("opaque")),
        ]
    }

    /// Sends a request over TLS, with this certificate.
    fn call(&self, shown: Option<&Identity>, request: &Request) -> Response {
        let config = tls::client(&["http/1.1"], shown);
        let (mut conn, _) = tls::connect(self.gateway.https(), "localhost", &config).expect("a handshake");
        conn.call(request)
    }
}

/// To whom a token is bound.
enum Holder {
    Nobody,
    Key(Key),
    Certificate(Identity),
}

fn key(slot: usize) -> Key {
    Key::of(Kind::P256, slot, "client")
}

fn proof(by: &Key, path: &str, token: &str) -> String {
    Token::proof(by, "GET", &format!("https://api.test{path}"), token).sign()
}

#[test]
fn a_token_that_is_bound_to_a_key_is_taken_with_its_proof_alone() {
    let world = World::start();
    let (ours, other) = (key(3), key(4));
    let (mut failures, mut count) = (Vec::new(), 0);
    for (issuer, format, token) in world.minted(&Holder::Key(ours.clone())) {
        assert_eq!(token.contains('.'), format == "jwt", "{issuer} {format}: {token}");
        let path = format!("/{issuer}/any");
        let get = |path: &str| Request::get(path);
        let with = |path: &str, by: &Key| get(path).dpop(&token, &proof(by, path, &token));
        let used = with(&path, &ours);
        let cases = [
            ("with its proof", used.clone(), "allow"),
            ("again, remembered, with a new proof", with(&path, &ours), "allow"),
            ("with a proof that was used", used, "bad_proof"),
            ("as a plain bearer token", get(&path).bearer(&token), "bad_binding"),
            (
                "as a bearer token beside its proof",
                { get(&path).bearer(&token).field("DPoP", &proof(&ours, &path, &token)) },
                "bad_binding",
            ),
            ("without a proof", get(&path).field("Authorization", &format!("DPoP {token}")), "bad_proof"),
            ("with the proof of another key", with(&path, &other), "bad_binding"),
            ("with a proof for another token", get(&path).dpop(&token, &proof(&ours, &path, "x")), "bad_proof"),
            ("where a key is wanted", with(&format!("{path}dpop"), &ours), "allow"),
            ("where a certificate is wanted", with(&format!("{path}mtls"), &ours), "bad_binding"),
        ];
        for (name, request, expected) in cases {
            count += 1;
            let name = format!("{issuer}, {format}, {name}");
            failures.extend(world.upstream.misjudged(&name, &world.call(None, &request), expected));
        }
    }
    report(count, &failures);
}

#[test]
fn a_token_that_is_bound_to_a_certificate_is_taken_on_its_connections_alone() {
    let world = World::start();
    let [vouched, own] = [Identity::loopback("client"), Identity::self_signed("client")];
    let other = authority().identity("client", &["client.test"]);
    let (mut failures, mut count) = (Vec::new(), 0);
    for ours in [vouched, own] {
        let holder = Holder::Certificate(ours);
        let minted = world.minted(&holder);
        let Holder::Certificate(ours) = holder else { unreachable!("it is one") };
        for (issuer, format, token) in minted {
            let path = format!("/{issuer}/any");
            let bearer = |path: &str| Request::get(path).bearer(&token);
            let (mtls, dpop) = (bearer(&format!("{path}mtls")), bearer(&format!("{path}dpop")));
            let proven = Request::get(&path).dpop(&token, &proof(&key(3), &path, &token));
            let cases = [
                ("with its certificate", Some(&ours), bearer(&path), "allow"),
                ("again, remembered", Some(&ours), bearer(&path), "allow"),
                ("without a certificate", None, bearer(&path), "bad_binding"),
                ("with another certificate", Some(&other), bearer(&path), "bad_binding"),
                ("with a proof of some key", Some(&ours), proven, "bad_binding"),
                ("where a certificate is wanted", Some(&ours), mtls, "allow"),
                ("where a key is wanted", Some(&ours), dpop, "bad_binding"),
            ];
            for (name, shown, request, expected) in cases {
                count += 1;
                let name = format!("{issuer}, {format}, {name}");
                failures.extend(world.upstream.misjudged(&name, &world.call(shown, &request), expected));
            }
            count += 1;
            let cleartext = world.gateway.call(&bearer(&path));
            let name = format!("{issuer}, {format}, in cleartext");
            failures.extend(world.upstream.misjudged(&name, &cleartext, "bad_binding"));
        }
    }
    report(count, &failures);
}

#[test]
fn a_token_that_is_bound_to_nothing_opens_no_route_that_wants_it() {
    let world = World::start();
    let (ours, mut failures) = (Identity::self_signed("client"), Vec::new());
    for (issuer, format, token) in world.minted(&Holder::Nobody) {
        for (path, expected) in [("any", "allow"), ("anydpop", "bad_binding"), ("anymtls", "bad_binding")] {
            let request = Request::get(&format!("/{issuer}/{path}")).bearer(&token);
            let answer = world.call(Some(&ours), &request);
            failures.extend(world.upstream.misjudged(&format!("{issuer}, {format}, {path}"), &answer, expected));
            let asked = answer.challenge_parameter(if path == "anydpop" { "DPoP" } else { "Bearer" }, "error");
            let told = asked.map_or(Value::Null, Value::from);
            assert_eq!(told.is_string(), expected != "allow", "{issuer} {path}: {:?}", answer.head);
        }
    }
    report(12, &failures);
}
