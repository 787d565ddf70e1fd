//! Issuers of a server that has one for each tenant: `tenants` lists whose tokens are accepted, and nothing of one tenant is
//! good for another.

mod support;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::{Gateway, run};
use support::keys::{Key, Kind};
use support::token::Token;
use support::upstream::{Then, Upstream, respond};

/// A server with a realm for each tenant, under `/realms/TENANT`, in the manner of Keycloak.
struct Server {
    upstream: Upstream,
    dead: Arc<Mutex<Vec<&'static str>>>,
}

/// Every tenant has a key of its own, under the same name.
fn key(tenant: &str) -> Key {
    let slot = ["north", "south", "east", "west"].iter().position(|known| *known == tenant).expect("a tenant");
    Key::of(Kind::P256, slot, "signing")
}

impl Server {
    fn start() -> Self {
        Self::publishing(|_, tenant| vec![key(tenant).jwk()])
    }

    /// What the tenants publish, by the URL in front of all of them.
    fn publishing(keys: impl Fn(&str, &str) -> Vec<Value> + Send + Sync + 'static) -> Self {
        let dead: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        let gone = Arc::clone(&dead);
        let upstream = Upstream::start(move |seen, conn| {
            let (_, rest) = seen.target.split_once("/realms/").unwrap_or_default();
            let (tenant, rest) = rest.split_once('/').unwrap_or_default();
            if gone.lock().expect("no panic while held").contains(&tenant) {
                return Ok(Then::Close);
            }
            let base = format!("http://{}/realms", seen.header("host").unwrap_or_default());
            let issuer = format!("{base}/{tenant}");
            let document = match rest {
                ".well-known/openid-configuration" => json!({"issuer": issuer, "jwks_uri": format!("{issuer}/certs")}),
                "certs" => json!({"keys": keys(&base, tenant)}),
                _ => return respond(conn, 404, "", ""),
            };
            respond(conn, 200, "Content-Type: application/json\r\n", document.to_string())
        });
        Self { upstream, dead }
    }

    fn issuer(&self, tenant: &str) -> String {
        format!("http://{}/realms/{tenant}", self.upstream.address)
    }

    fn token(&self, tenant: &str) -> Token {
        Token::new(&self.issuer(tenant), &key(tenant))
    }

    fn kill(&self, tenant: &'static str) {
        self.dead.lock().expect("no panic while held").push(tenant);
    }

    fn revive(&self) {
        self.dead.lock().expect("no panic while held").clear();
    }

    /// The tenants whose documents were asked for.
    fn asked(&self) -> Vec<String> {
        let seen = self.upstream.seen();
        let tenant =
            |target: &str| target.strip_prefix("/realms/")?.split_once('/').map(|(tenant, _)| tenant.to_owned());
        let mut tenants: Vec<String> = seen.iter().filter_map(|seen| tenant(&seen.target)).collect();
        tenants.sort();
        tenants.dedup();
        tenants
    }

    /// A gateway that trusts three of the four tenants.
    fn gateway(&self, api: &Upstream) -> Gateway {
        Gateway::listening(&format!(
            r#"
[issuers.realms]
issuer = "http://{}/realms/{{realm}}"
tenants = ["north", "south", "east"]
audiences = ["https://api.test"]

{}
[[routes]]
name = "all"
path = "/all"
upstream = "api"
issuers = ["realms"]
resource = "https://api.test/all"

[[routes]]
name = "north"
path = "/north"
upstream = "api"
issuers = ["realms/north"]
resource = "https://api.test/north"

[[routes]]
name = "south"
path = "/south"
upstream = "api"
issuers = ["realms/south"]

[[routes]]
name = "both"
path = "/both"
upstream = "api"
issuers = ["realms/north", "realms/south"]
"#,
            self.upstream.address,
            api.toml("api"),
        ))
    }
}

/// What comes of a token: `allow`, or the code.
#[track_caller]
fn outcome(gateway: &Gateway, path: &str, token: &str) -> String {
    gateway.call(&Request::get(path).bearer(token)).verdict()
}

/// The detail of the last refusal, which only operators see.
fn detail(gateway: &Gateway) -> String {
    gateway.until("the refusal is in the log", || {
        let log = gateway.access_log();
        log.iter().rev().find_map(|line| line["detail"].as_str().map(str::to_owned))
    })
}

#[test]
fn each_tenant_of_the_list_is_an_issuer_of_its_own() {
    let (server, api) = (Server::start(), Upstream::echo());
    let gateway = server.gateway(&api);
    gateway.wait_ready();
    let [north, south, west] = ["north", "south", "west"].map(|tenant| server.token(tenant).sign());
    // The key has the same name at each; the token of one, signed with the key of another, says what it is.
    let forged = Token::new(&server.issuer("north"), &key("south")).sign();
    let cases = [
        ("/all", &north, "allow"),
        ("/all", &south, "allow"),
        ("/north", &north, "allow"),
        ("/south", &south, "allow"),
        ("/both", &north, "allow"),
        ("/south", &north, "unknown_issuer"),
        ("/north", &south, "unknown_issuer"),
        ("/all", &west, "unknown_issuer"),
        ("/all", &forged, "bad_signature"),
    ];
    for (path, token, expected) in cases {
        assert_eq!(outcome(&gateway, path, token), expected, "{path} {token}");
    }
    assert_eq!(server.asked(), ["east", "north", "south"], "nobody is asked about a tenant that is not listed");
}

#[test]
fn what_only_looks_like_a_tenant_is_an_unknown_issuer() {
    let (server, api) = (Server::start(), Upstream::echo());
    let gateway = server.gateway(&api);
    gateway.wait_ready();
    let base = format!("http://{}/realms", server.upstream.address);
    let others = [
        format!("{base}/{{realm}}"),
        format!("{base}/"),
        format!("{base}/North"),
        format!("{base}/north/"),
        format!("{base}/north/../south"),
        format!("{base}/north/x"),
        format!("{base}/nort%68"),
        format!("{base}/north?x"),
        format!("{base}//north"),
        format!("{base}/west"),
        "realms/north".to_owned(),
        "north".to_owned(),
    ];
    for iss in others {
        assert_eq!(outcome(&gateway, "/all", &Token::new(&iss, &key("north")).sign()), "unknown_issuer", "{iss}");
    }
}

#[test]
fn a_tenant_whose_issuer_is_dead_touches_no_other() {
    let (server, api) = (Server::start(), Upstream::echo());
    server.kill("south");
    let gateway = server.gateway(&api);
    gateway.wait_ready();
    let (north, south) = (server.token("north").sign(), server.token("south").sign());
    for _ in 0..3 {
        assert_eq!(outcome(&gateway, "/all", &south), "issuer_unavailable");
        assert_eq!(outcome(&gateway, "/all", &north), "allow");
    }
    // Nor do its tokens open what is another's.
    assert_eq!(outcome(&gateway, "/north", &south), "unknown_issuer");
    let keys = |tenant: &str| gateway.metric("tollgate_jwks_keys", &[&format!("issuer=\"realms/{tenant}\"")]);
    assert_eq!((keys("north"), keys("south")), (1.0, 0.0));
    let ready = gateway.admin_page("/readyz?verbose").text();
    assert!(ready.contains("issuer:realms/south") && ready.contains("no keys"), "{ready}");
    server.revive();
    gateway.until("it is asked again", || (outcome(&gateway, "/all", &south) == "allow").then_some(()));
}

#[test]
fn operators_see_which_tenant_it_was() {
    let (server, api) = (Server::start(), Upstream::echo());
    let gateway = server.gateway(&api);
    gateway.wait_ready();
    assert_eq!(outcome(&gateway, "/all", &server.token("south").sign()), "allow");
    let line = gateway.until("the log has it", || gateway.access_log().into_iter().find(|line| line["route"] == "all"));
    assert_eq!(line["issuer"], "realms/south");
    assert_eq!(api.only().header("x-auth-issuer"), Some(&*server.issuer("south")));
    assert_eq!(outcome(&gateway, "/north", &server.token("south").sign()), "unknown_issuer");
    assert!(detail(&gateway).contains("\"realms/south\""), "{}", detail(&gateway));
    let shown: Value = gateway.admin_page("/config").json();
    assert_eq!(shown["issuers"]["realms/east"]["issuer"], server.issuer("east"), "{shown}");
}

#[test]
fn strangers_are_told_of_no_list_of_tenants() {
    let (server, api) = (Server::start(), Upstream::echo());
    let gateway = server.gateway(&api);
    let told = |path: &str| {
        let document = format!("/.well-known/oauth-protected-resource{path}");
        gateway.call(&Request::get(&document).host("api.test")).json()["authorization_servers"].clone()
    };
    assert_eq!(told("/all"), Value::Null);
    assert_eq!(told("/north"), json!([server.issuer("north")]));
    let refused = gateway.call(&Request::get("/all").bearer(&server.token("west").sign()));
    assert_eq!(refused.code(), "unknown_issuer");
    assert!(!refused.text().contains("north"), "{}", refused.text());
}

#[test]
fn keys_at_a_url_are_those_of_the_tenant() {
    let (server, api) = (Server::start(), Upstream::echo());
    let gateway = Gateway::start(&format!(
        "[issuers.realms]\nissuer = \"https://login.test/{{t}}/v2.0\"\ntenants = [\"north\", \"south\"]\n\
         audiences = [\"https://api.test\"]\njwks_uri = \"http://{}/realms/{{t}}/certs\"\n{}\
         [[routes]]\npath = \"/all\"\nupstream = \"api\"\n",
        server.upstream.address,
        api.toml("api"),
    ));
    let of = |tenant: &str, key: &Key| Token::new(&format!("https://login.test/{tenant}/v2.0"), key).sign();
    assert_eq!(outcome(&gateway, "/all", &of("north", &key("north"))), "allow");
    assert_eq!(outcome(&gateway, "/all", &of("south", &key("south"))), "allow");
    assert_eq!(outcome(&gateway, "/all", &of("south", &key("north"))), "bad_signature");
    assert_eq!(outcome(&gateway, "/all", &of("west", &key("west"))), "unknown_issuer");
}

/// Entra publishes keys of other issuers at a directory too, and says of each key whose it is.
#[test]
fn a_key_that_says_whose_it_is_serves_no_other_tenant() {
    let server = Server::publishing(|base, _| {
        let owned = |key: Key, issuer: String| {
            let mut jwk = key.jwk();
            jwk["issuer"] = json!(issuer);
            jwk
        };
        let personal = owned(key("west").named("personal"), format!("{base}/west"));
        vec![owned(key("north").named("all"), format!("{base}/{{tenantid}}")), personal]
    });
    let api = Upstream::echo();
    let gateway = |profile: &str| {
        Gateway::start(&format!(
            "[issuers.entra]\nissuer = \"http://{}/realms/{{tenantid}}\"\ntenants = [\"north\", \"south\", \"west\"]\n\
             audiences = [\"https://api.test\"]\nprofile = \"{profile}\"\n{}[[routes]]\npath = \"/all\"\nupstream = \"api\"\n",
            server.upstream.address,
            api.toml("api"),
        ))
    };
    let by = |tenant: &str, key: Key| Token::new(&server.issuer(tenant), &key).sign();
    let entra = gateway("entra");
    let (all, personal) = (|| key("north").named("all"), || key("west").named("personal"));
    let cases = [
        ("north", all(), "allow"),
        ("south", all(), "allow"),
        ("west", all(), "allow"),
        ("west", personal(), "allow"),
        ("north", personal(), "unknown_key"),
        ("south", personal(), "unknown_key"),
    ];
    for (tenant, key, expected) in cases {
        let kid = key.kid.clone();
        assert_eq!(outcome(&entra, "/all", &by(tenant, key)), expected, "{tenant} by {kid}");
    }
    assert!(detail(&entra).contains("it belongs to the issuer"), "{}", detail(&entra));
    // Elsewhere the member means nothing.
    assert_eq!(outcome(&gateway("rfc9068"), "/all", &by("north", personal())), "allow");
}

#[test]
fn a_reload_adds_a_tenant_and_takes_one_away() {
    let (server, api) = (Server::start(), Upstream::echo());
    let config = |tenants: &str| {
        format!(
            "[issuers.realms]\nissuer = \"http://{}/realms/{{realm}}\"\ntenants = [{tenants}]\n\
             audiences = [\"https://api.test\"]\n{}[[routes]]\npath = \"/all\"\nupstream = \"api\"\n",
            server.upstream.address,
            api.toml("api"),
        )
    };
    let gateway = Gateway::start(&config("\"north\", \"south\""));
    let [north, south, west] = ["north", "south", "west"].map(|tenant| server.token(tenant).sign());
    assert_eq!(outcome(&gateway, "/all", &south), "allow");
    assert_eq!(outcome(&gateway, "/all", &west), "unknown_issuer");
    gateway.rewrite(&config("\"west\", \"north\""));
    gateway.signal("HUP");
    gateway.until("the new list is in force", || (outcome(&gateway, "/all", &west) == "allow").then_some(()));
    assert_eq!(outcome(&gateway, "/all", &north), "allow");
    assert_eq!(outcome(&gateway, "/all", &south), "unknown_issuer", "although its verdict was remembered");
}

#[test]
fn check_names_a_table_for_all_of_its_tenants() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("tollgate.toml");
    let config = "[issuers.plain]\nissuer = \"https://plain.test\"\naudiences = [\"a\"]\n\
        [issuers.entra]\nissuer = \"https://login.test/{tenantid}/v2.0\"\ntenants = [\"one\", \"two\"]\naudiences = [\"a\"]\n\
        [upstreams.api]\nservers = [\"http://127.0.0.1:9\"]\n\
        [[routes]]\npath = \"/all\"\nupstream = \"api\"\nissuers = [\"entra\"]\n\
        [[routes]]\npath = \"/one\"\nupstream = \"api\"\nissuers = [\"plain\", \"entra/one\"]\n\
        [[tests]]\nrequest = \"GET https://x.test/all\"\nclaims = { iss = \"https://login.test/two/v2.0\" }\nexpect = \"allow\"\n\
        [[tests]]\nrequest = \"GET https://x.test/one\"\nclaims = { iss = \"https://login.test/two/v2.0\" }\n\
        expect = \"unknown_issuer\"\n\
        [[tests]]\nrequest = \"GET https://x.test/all\"\nclaims = { iss = \"https://login.test/three/v2.0\" }\n\
        expect = \"unknown_issuer\"\n";
    std::fs::write(&path, config).expect("a folder of ours");
    let output = run(&["check", "--effective", "--config", path.to_str().expect("a plain path")]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("3 issuers") && said.contains("3 policy tests passed"), "{said}");
    assert!(said.contains("[\"entra\"]"), "{said}");
    assert!(said.contains("[\"entra/one\",\"plain\"]"), "{said}");
}
