//! What good files become.

use std::time::Duration;

use tollgate::config::model::{AccessLog, KeySource, Profile, Scheme, TokenType, UpstreamHost};
use tollgate::config::{Code, Loaded, parse, redacted};

use super::cases::expand;
use super::surroundings::{FOLDER, Fake};

fn good(text: &str) -> Loaded {
    parse(&expand(text), "tollgate.toml", &Fake::new()).unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn what_is_not_written_has_its_default() {
    let config = good("@rest").config;
    assert_eq!(config.server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert!(config.server.workers >= 1);
    assert_eq!(config.server.drain_timeout, Duration::from_secs(30));
    assert_eq!(config.server.limits.header_timeout, Duration::from_secs(10));
    assert_eq!(config.server.limits.idle_timeout, Duration::from_secs(75));
    assert_eq!(config.server.limits.max_header_bytes, 65536);
    assert_eq!((config.server.limits.max_headers, config.server.limits.max_connections), (100, 10_000));
    assert_eq!(config.server.limits.max_body_bytes, None);
    assert!(config.admin.is_none() && config.authority.is_none() && config.files.is_empty());
    assert_eq!(config.log.access, AccessLog::Auto);
    let issuer = &config.issuers[0];
    assert_eq!((issuer.profile, &issuer.keys), (Profile::Rfc9068, &KeySource::Discovery));
    assert_eq!(issuer.token_types, [TokenType::Named("at+jwt".into())]);
    assert_eq!((issuer.clock_skew, issuer.max_stale), (Duration::from_secs(30), Duration::from_secs(86400)));
    assert_eq!(issuer.algorithms.len(), 9);
    let upstream = &config.upstreams[0];
    assert_eq!((&upstream.host, upstream.connect_timeout), (&UpstreamHost::Keep, Duration::from_secs(2)));
    let route = &config.routes[0];
    assert_eq!((&*route.name, route.upstream, &route.issuers[..], route.line), ("route-1", 0, &[0][..], 6));
    assert_eq!(route.methods, tollgate::pattern::MethodSet::DEFAULT);
}

#[test]
fn without_listen_tls_stands_alone() {
    let config = good(
        "@rest\n[server.tls]\nlisten = \"127.0.0.1:8443\"\ncertificate = \"chain.pem\"\nprivate_key = \"key.pem\"",
    )
    .config;
    assert!(config.server.listen.is_empty());
    let names: Vec<_> = config.files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(names, [format!("{FOLDER}/chain.pem"), format!("{FOLDER}/key.pem")]);
}

#[test]
fn every_profile_is_known() {
    let named = |name: &str| TokenType::Named(name.into());
    let cases = [
        ("rfc9068", vec![named("at+jwt")]),
        ("okta", vec![named("at+jwt"), TokenType::Absent]),
        ("auth0", vec![named("at+jwt"), named("jwt")]),
        ("entra", vec![named("at+jwt"), named("jwt")]),
        ("keycloak", vec![named("at+jwt"), named("jwt")]),
        ("cognito", vec![named("at+jwt"), TokenType::Absent]),
    ];
    for (profile, types) in cases {
        let config = good(&format!("@upstream\n@route\n@issuer\nprofile = \"{profile}\"")).config;
        assert_eq!(config.issuers[0].token_types, types, "{profile}");
    }
    let written =
        good("@upstream\n@route\n@issuer\ntoken_types = [\"JWT\", \"application/AT+JWT\", \"absent\"]").config;
    assert_eq!(written.issuers[0].token_types, [named("jwt"), named("at+jwt"), TokenType::Absent]);
}

#[test]
fn servers_become_origins() {
    let cases = [
        ("http://127.0.0.1:9001", Scheme::Http, "127.0.0.1", 9001),
        ("http://orders", Scheme::Http, "orders", 80),
        ("https://orders.example", Scheme::Https, "orders.example", 443),
        ("https://orders.example:80", Scheme::Https, "orders.example", 80),
        ("h2c://[::1]:9000", Scheme::H2c, "::1", 9000),
    ];
    for (url, scheme, host, port) in cases {
        let config = good(&format!("@issuer\n@route\n[upstreams.orders]\nservers = [\"{url}\"]")).config;
        let server = &config.upstreams[0].servers[0];
        assert_eq!((server.scheme, &*server.host, server.port), (scheme, host, port), "{url}");
    }
}

#[test]
fn secrets_come_from_files_and_the_environment_and_stay_out_of_the_view() {
    let text = "@authority\n[[authority.users]]\nname = \"a\"\npassword = { file = \"secret.txt\" }\n[[authority.users]]\nname = \"b\"\n\
                password = { env = \"SECRET\" }\n[[authority.users]]\nname = \"c\"\npassword = \"inline\"";
    let loaded = good(text);
    assert!(loaded.warnings.is_empty(), "inline secrets are fine in the authority");
    let users = &loaded.config.authority.as_ref().unwrap().users;
    let secrets: Vec<_> = users.iter().map(|user| user.password.expose()).collect();
    assert_eq!(secrets, ["from-a-file", "from-the-environment", "inline"]);
    let view = redacted(&loaded.config).to_string();
    assert!(view.contains("[redacted]"));
    assert!(secrets.iter().all(|secret| !view.contains(secret)), "{view}");
}

#[test]
fn a_smaller_set_of_methods_is_more_specific() {
    let loaded = good("@rest\nmethods = [\"GET\"]\n@route\n@route\nmethods = [\"POST\", \"PUT\"]");
    assert_eq!((loaded.config.routes.len(), loaded.warnings.len()), (3, 0));
}

#[test]
fn a_protected_catch_all_closes_the_gap_beside_a_public_one() {
    let open = "[[routes]]\npath = \"/{*rest}\"\nupstream = \"orders\"\naccess = \"public\"";
    let guard = "[[routes]]\npath = \"/orders/{*rest}\"\nupstream = \"orders\"";
    assert_eq!(good(&format!("@rest\n{open}")).warnings.len(), 1);
    assert_eq!(good(&format!("@rest\n{open}\n{guard}")).warnings.len(), 0);
    // What the guard's methods leave is refused with a 405, not left to the public route.
    assert_eq!(good(&format!("@rest\n{open}\n{guard}\nmethods = [\"GET\"]")).warnings.len(), 0);
    // On a host that the public route names, it comes first; the guard for any host does not help there.
    let named = format!("@rest\nhosts = [\"a.example\"]\n{open}\nhosts = [\"a.example\"]\n{guard}");
    assert!(good(&named).warnings.iter().any(|warning| warning.code == Code::PublicBesideProtected));
}

#[test]
fn the_view_shows_every_key_of_logins_issuers_and_sessions() {
    let loaded = good("@rest\n@login\nprompt = \"login\"\nresource = \"urn:x\"\nlogin_hint = \"x\"\nmax_age = \"1h\"");
    let (view, schema) = (redacted(&loaded.config), tollgate::config::schema());
    let keys =
        |schema: &serde_json::Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let (logins, issuers) = (&schema["properties"]["logins"], &schema["properties"]["issuers"]);
    let tables = [
        (keys(&logins["additionalProperties"]), &view["logins"]["web"]),
        (keys(&issuers["additionalProperties"]), &view["issuers"]["acme"]),
        (keys(&schema["properties"]["sessions"]), &view["sessions"]),
    ];
    for (keys, shown) in tables {
        assert!(keys.len() >= 5);
        // Each tenant is shown as an issuer of its own.
        for key in keys.into_iter().filter(|key| key != "tenants") {
            assert!(shown.get(&key).is_some(), "{key} is missing: {shown}");
        }
    }
    let web = &view["logins"]["web"];
    assert_eq!(web["prompt"], serde_json::json!(["login"]));
    assert_eq!((&web["max_age"], &web["login_hint"]), (&"1h".into(), &"x".into()));
}
