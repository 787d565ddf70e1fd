//! Tokens of well-known providers, shaped as their own documentation shows them (docs/providers.md names each source),
//! through the real binary: the access token passes and says who calls; an ID token, and what else the provider signs,
//! is refused, even where its audience would do.

mod support;

use serde_json::{Value, json};
use support::client::{Request, Response};
use support::gateway::{Gateway, run};
use support::issuer::Issuer;
use support::keys::{Key, Kind, b64, hs256};
use support::token::Token;
use support::upstream::Upstream;
use support::{now, report};

/// The API as the tokens name it.
const API: &str = "https://api.example.com";
/// The client, and for Cognito the audience of most access tokens.
const CLIENT: &str = "my_client_id";

const PROFILES: [&str; 6] = ["rfc9068", "okta", "auth0", "entra", "keycloak", "cognito"];

/// Every provider signs with a key of the same kind and name here, and yet none can stand in for another.
struct World {
    issuers: Vec<(&'static str, Issuer)>,
    upstream: Upstream,
    gateway: Gateway,
}

impl World {
    /// An issuer for each profile, named as it is, and a route for each: `/PROFILE`, and `/PROFILE/scoped`, which asks for the
    /// scope `orders:read` and the client.
    fn start() -> Self {
        let issuers: Vec<_> =
            PROFILES.iter().map(|profile| (*profile, Issuer::with_key(Key::of(Kind::Rsa, 0, "signing")))).collect();
        let upstream = Upstream::echo();
        let mut config = upstream.toml("api");
        for (profile, issuer) in &issuers {
            config += &format!(
                "[issuers.{profile}]\nissuer = \"{}\"\naudiences = [\"{API}\", \"{CLIENT}\"]\nprofile = \"{profile}\"\n\
                 [[routes]]\nname = \"{profile}\"\npath = \"/{profile}\"\nupstream = \"api\"\nissuers = [\"{profile}\"]\n\
                 [[routes]]\nname = \"{profile}-scoped\"\npath = \"/{profile}/scoped\"\nupstream = \"api\"\n\
                 issuers = [\"{profile}\"]\nscopes = [\"orders:read\"]\nclient_ids = [\"{CLIENT}\"]\n",
                issuer.url
            );
        }
        let gateway = Gateway::start(&config);
        Self { issuers, upstream, gateway }
    }

    fn issuer(&self, profile: &str) -> &Issuer {
        &self.issuers.iter().find(|(name, _)| *name == profile).expect("a profile").1
    }

    /// A token of a provider. `iss` and the times are filled in; `aud` is the API's, unless the claims say otherwise.
    fn token(&self, profile: &str, header: &Value, claims: &Value) -> String {
        let issuer = self.issuer(profile);
        let mut whole = json!({"iss": issuer.url, "aud": API, "iat": now(), "exp": now() + 300});
        for (name, value) in claims.as_object().expect("claims") {
            match value {
                Value::Null => drop(whole.as_object_mut().expect("an object").remove(name)),
                value => whole[name] = value.clone(),
            }
        }
        issuer.token().header_text(&header.to_string()).claims_text(&whole.to_string()).sign()
    }

    fn call(&self, path: &str, token: &str) -> Response {
        self.gateway.call(&Request::get(path).bearer(token))
    }

    /// What comes of a token: `allow`, or the code.
    fn outcome(&self, path: &str, token: &str) -> String {
        let answer = self.call(path, token);
        match (answer.status, self.upstream.drain().len()) {
            (200, 1) => "allow".to_owned(),
            (200, arrived) => format!("200, but {arrived} upstream"),
            (_, 0) => answer.code(),
            (status, _) => format!("{status}, but it went upstream"),
        }
    }

    /// The detail of the last refusal, as the log has it.
    fn detail(&self, nth: usize) -> String {
        self.gateway.until("the refusal is in the log", || {
            let log = self.gateway.access_log();
            let refused: Vec<_> = log.iter().filter_map(|line| line["detail"].as_str().map(str::to_owned)).collect();
            (refused.len() == nth).then(|| refused.last().cloned()).flatten()
        })
    }
}

/// RFC 9068 section 2.2, and the header of section 2.1.
fn rfc9068() -> (Value, Value) {
    (
        json!({"typ": "at+jwt", "alg": "RS256", "kid": "signing"}),
        json!({
            "sub": "5ba552d67", "client_id": CLIENT, "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
            "scope": "openid profile orders:read",
        }),
    )
}

/// Okta, "Access Token" of the OpenID Connect & OAuth 2.0 API.
fn okta() -> (Value, Value) {
    (
        json!({"alg": "RS256", "kid": "signing"}),
        json!({
            "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "sub": "00ujmkLgagxeRrAg20g3",
            "cid": CLIENT, "uid": "00ujmkLgagxeRrAg20g3", "scp": ["openid", "email", "orders:read"], "custom_claim": "CustomValue",
        }),
    )
}

/// Auth0, "Auth0 profile sample token".
fn auth0() -> (Value, Value) {
    (
        json!({"typ": "JWT", "alg": "RS256", "kid": "signing"}),
        json!({
            "sub": "auth0|123456", "aud": [API, "https://my-domain.auth0.com/userinfo"], "azp": CLIENT,
            "scope": "openid profile orders:read", "my_custom_claim": "my_custom_value",
        }),
    )
}

/// Entra, the decoded v2.0 sample of "Access tokens".
fn entra() -> (Value, Value) {
    (
        json!({"typ": "JWT", "alg": "RS256", "kid": "signing"}),
        json!({
            "nbf": now(), "aio": "AXQAi/8IAAAAtAaZLo3ChMif6KOnttRB7eBq4", "azp": CLIENT, "azpacr": "0", "name": "Abe Lincoln",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "preferred_username": "abeli@microsoft.com", "rh": "I",
            "scp": "access_as_user orders:read", "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
            "tid": "72f988bf-86f1-41af-91ab-2d7cd011db47", "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0",
        }),
    )
}

/// Keycloak: what the Evaluate tab of a client shows as generated access token.
fn keycloak() -> (Value, Value) {
    (
        json!({"alg": "RS256", "typ": "JWT", "kid": "signing"}),
        json!({
            "jti": "onrtac:d58f5dc8-fd8f-462b-8a19-716f8f83985b", "aud": [API, "account"],
            "sub": "36fa0f91-f94d-4a0c-afed-6b7d952e47da", "typ": "Bearer", "azp": CLIENT,
            "sid": "2a88c258-f73a-4103-b862-e1fbd8f4e04e", "acr": "1", "allowed-origins": ["https://app.example.com"],
            "realm_access": {"roles": ["offline_access", "uma_authorization"]},
            "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
            "scope": "openid email profile orders:read", "email_verified": true, "preferred_username": "alice",
        }),
    )
}

/// Cognito, "Access token default payload", without a resource binding.
fn cognito() -> (Value, Value) {
    (
        json!({"kid": "signing", "alg": "RS256"}),
        json!({
            "aud": null, "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "device_key": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "cognito:groups": ["testgroup"], "version": 2, "client_id": CLIENT,
            "origin_jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "event_id": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "token_use": "access", "scope": "phone openid profile orders:read email", "auth_time": now(),
            "jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "username": "my-test-user",
        }),
    )
}

fn access_token(profile: &str) -> (Value, Value) {
    match profile {
        "rfc9068" => rfc9068(),
        "okta" => okta(),
        "auth0" => auth0(),
        "entra" => entra(),
        "keycloak" => keycloak(),
        "cognito" => cognito(),
        other => panic!("no profile {other}"),
    }
}

/// A token with changes; a claim that is null in them is taken away.
fn changed((header, mut claims): (Value, Value), changes: Value) -> (Value, Value) {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        claims[name] = value;
    }
    (header, claims)
}

fn with_typ((mut header, claims): (Value, Value), typ: &str) -> (Value, Value) {
    header["typ"] = json!(typ);
    (header, claims)
}

#[test]
fn access_tokens_pass_and_say_who_calls() {
    let world = World::start();
    for profile in PROFILES {
        let (header, claims) = access_token(profile);
        let answer = world.call(&format!("/{profile}/scoped"), &world.token(profile, &header, &claims));
        assert_eq!(answer.status, 200, "{profile}: {} {}", answer.text(), world.gateway.logs());
        let seen = world.upstream.only();
        assert_eq!(seen.header("x-auth-client"), Some(CLIENT), "{profile}");
        assert_eq!(seen.header("x-auth-issuer"), Some(&*world.issuer(profile).url), "{profile}");
        let scopes = seen.header("x-auth-scopes").unwrap_or_default().to_owned();
        assert!(scopes.split(' ').any(|scope| scope == "orders:read"), "{profile}: {scopes}");
        assert!(seen.header("x-auth-subject").is_some(), "{profile}");
    }
}

/// A case: a provider, what the token is, and the token.
type Case = (&'static str, &'static str, (Value, Value), &'static str);

fn other_access_tokens() -> Vec<Case> {
    let at_jwt = |profile| with_typ(access_token(profile), "at+jwt");
    let resource_bound = json!({"aud": API});
    vec![
        ("rfc9068", "typ with application/", with_typ(rfc9068(), "application/at+jwt"), "allow"),
        ("okta", "of a program, without uid", changed(okta(), json!({"uid": null, "sub": CLIENT})), "allow"),
        ("okta", "at+jwt", at_jwt("okta"), "allow"),
        // Auth0, "RFC 9068 profile sample token".
        (
            "auth0",
            "the RFC 9068 profile",
            changed(at_jwt("auth0"), json!({"azp": null, "client_id": CLIENT, "jti": "73WakrfVbNJBaAmhQtEeDv"})),
            "allow",
        ),
        (
            "auth0",
            "of a program, with permissions",
            changed(
                auth0(),
                json!({"sub": format!("{CLIENT}@clients"), "gty": "client-credentials", "permissions": ["orders:read"]}),
            ),
            "allow",
        ),
        // Entra, the decoded v1.0 sample.
        (
            "entra",
            "version 1",
            changed(entra(), json!({"azp": null, "appid": CLIENT, "appidacr": "0", "ver": "1.0"})),
            "allow",
        ),
        (
            "entra",
            "of a program, with roles",
            changed(entra(), json!({"scp": null, "roles": ["Orders.Export"]})),
            "allow",
        ),
        ("entra", "of a program, with idtyp", changed(entra(), json!({"scp": null, "idtyp": "app"})), "allow"),
        ("keycloak", "at+jwt", at_jwt("keycloak"), "allow"),
        (
            "keycloak",
            "of an older release, with the nonce of the login",
            changed(keycloak(), json!({"nonce": "n-0S6"})),
            "allow",
        ),
        // Keycloak's lightweight access tokens leave out most claims.
        (
            "keycloak",
            "lightweight",
            changed(keycloak(), json!({"sub": null, "realm_access": null, "resource_access": null, "acr": null})),
            "allow",
        ),
        ("cognito", "bound to the API as a resource", changed(cognito(), resource_bound), "allow"),
        // What is bound to another API is not for this one, whichever client asked for it.
        (
            "cognito",
            "bound to another API",
            changed(cognito(), json!({"aud": "https://other.example.com"})),
            "wrong_audience",
        ),
        ("cognito", "of another client", changed(cognito(), json!({"client_id": "another"})), "wrong_audience"),
        ("keycloak", "without an audience mapper", changed(keycloak(), json!({"aud": "account"})), "wrong_audience"),
        ("keycloak", "without any audience", changed(keycloak(), json!({"aud": null})), "missing_claim"),
        (
            "auth0",
            "for userinfo alone",
            changed(auth0(), json!({"aud": "https://my-domain.auth0.com/userinfo"})),
            "wrong_audience",
        ),
        (
            "entra",
            "for another API",
            changed(entra(), json!({"aud": "00000003-0000-0000-c000-000000000000"})),
            "wrong_audience",
        ),
        ("okta", "of the org authorization server", with_typ(okta(), "application/okta-internal-at+jwt"), "wrong_type"),
        ("okta", "typ JWT", with_typ(okta(), "JWT"), "wrong_type"),
        ("rfc9068", "typ JWT", with_typ(rfc9068(), "JWT"), "wrong_type"),
    ]
}

/// Every one of them has an audience that the issuer's tokens may name: nothing but its kind is wrong.
fn no_access_tokens() -> Vec<Case> {
    let id = |typ: Option<&str>, claims: Value| {
        let header = json!({"alg": "RS256", "kid": "signing"});
        let plain = changed((header, json!({"sub": "alice", "aud": CLIENT})), claims);
        typ.map_or(plain.clone(), |typ| with_typ(plain, typ))
    };
    let person = || json!({"name": "Jane Doe", "email": "janedoe@example.com", "given_name": "Jane"});
    let okta_id = || {
        json!({
            "ver": 1, "sub": "00uid4BxXw6I6TV4m0g3", "amr": ["pwd"], "jti": "ID.4eAWJOCMB3SX8XewDfVR", "auth_time": now(),
            "idp": "00ok1u7AsAkrwdZL3z0g3", "preferred_username": "john.doe@example.com", "at_hash": "cpqKfdQA5eH891Ff5oJr_Q",
        })
    };
    let entra_id = || {
        json!({
            "ver": "2.0", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "preferred_username": "abeli@microsoft.com", "rh": "I",
            "tid": "72f988bf-86f1-41af-91ab-2d7cd011db47", "uti": "fqiBqXLPj0eQa82S-IYFAA", "nonce": "12345", "nbf": now(),
        })
    };
    let keycloak_id = || json!({"typ": "ID", "azp": CLIENT, "nonce": "n-0S6", "at_hash": "JyMVmkVDihFu5cignwASQQ", "acr": "1", "sid": "a7a5"});
    let without = |mut claims: Value, names: &[&str]| {
        for name in names {
            claims.as_object_mut().expect("claims").remove(*name);
        }
        claims
    };
    let logout =
        || json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}, "sid": "a7a5", "jti": "1"});
    let wrong = "wrong_type";
    vec![
        ("rfc9068", "an ID token", id(Some("JWT"), person()), wrong),
        ("rfc9068", "an ID token without typ", id(None, person()), wrong),
        ("rfc9068", "a logout token", id(Some("logout+jwt"), logout()), wrong),
        ("okta", "an ID token", id(None, okta_id()), wrong),
        ("okta", "an ID token that came without an access token", id(None, without(okta_id(), &["at_hash"])), wrong),
        // Auth0, "Sample ID Token": it has neither nonce nor at_hash.
        ("auth0", "an ID token", id(Some("JWT"), person()), wrong),
        ("auth0", "an ID token with nonce", id(Some("JWT"), json!({"nonce": "n-0S6", "sid": "s"})), wrong),
        ("auth0", "a logout token", id(Some("logout+jwt"), logout()), wrong),
        ("entra", "an ID token", id(Some("JWT"), entra_id()), wrong),
        ("entra", "an ID token without nonce", id(Some("JWT"), without(entra_id(), &["nonce"])), wrong),
        (
            "entra",
            "an ID token with the roles of the person",
            changed(id(Some("JWT"), without(entra_id(), &["nonce"])), json!({"roles": ["Orders.Admin"]})),
            wrong,
        ),
        ("entra", "a program's token without roles", changed(entra(), json!({"scp": null})), wrong),
        ("keycloak", "an ID token", id(Some("JWT"), keycloak_id()), wrong),
        (
            "keycloak",
            "an ID token without nonce and at_hash",
            id(Some("JWT"), without(keycloak_id(), &["nonce", "at_hash"])),
            wrong,
        ),
        ("keycloak", "a refresh token", changed(keycloak(), json!({"typ": "Refresh", "aud": CLIENT})), wrong),
        ("keycloak", "an offline token", changed(keycloak(), json!({"typ": "Offline", "aud": CLIENT})), wrong),
        (
            "keycloak",
            "a logout token",
            id(Some("JWT"), changed((json!({}), logout()), json!({"typ": "Logout"})).1),
            wrong,
        ),
        ("keycloak", "the cookie of a session", changed(keycloak(), json!({"typ": "Serialized-ID"})), wrong),
        ("keycloak", "no claim typ", changed(keycloak(), json!({"typ": null})), wrong),
        // Cognito, "ID token default payload".
        (
            "cognito",
            "an ID token",
            id(None, json!({"token_use": "id", "cognito:username": "janedoe", "auth_time": now(), "origin_jti": "a"})),
            wrong,
        ),
        (
            "cognito",
            "an ID token that names its client",
            id(None, json!({"token_use": "id", "client_id": CLIENT})),
            wrong,
        ),
        ("cognito", "no token_use", changed(cognito(), json!({"token_use": null})), wrong),
    ]
}

#[test]
fn what_else_providers_sign_is_judged_by_its_kind() {
    let world = World::start();
    let cases: Vec<Case> = other_access_tokens().into_iter().chain(no_access_tokens()).collect();
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|(profile, name, (header, claims), expected)| {
            let outcome = world.outcome(&format!("/{profile}"), &world.token(profile, header, claims));
            (outcome != *expected).then(|| format!("- {profile}: {name}: wanted {expected}, got {outcome}"))
        })
        .collect();
    report(cases.len(), &failures);
}

#[test]
fn what_others_cannot_verify_is_refused() {
    let world = World::start();
    let (header, claims) = changed(keycloak(), json!({"typ": "Refresh"}));
    // Keycloak signs refresh tokens with a secret of the realm.
    let issuer = world.issuer("keycloak");
    let claims = changed((json!({}), claims), json!({"iss": issuer.url, "exp": now() + 300})).1;
    let refresh = issuer
        .token()
        .header_text(&json!({"alg": "HS512", "typ": "JWT", "kid": "secret"}).to_string())
        .claims_text(&claims.to_string())
        .sign_by(|input| hs256(b"a secret of the realm", input));
    assert_eq!(world.outcome("/keycloak", &refresh), "algorithm_refused", "{header}");
    // Auth0's token without an audience: encrypted, five parts, nothing inside that anybody else could read.
    let jwe =
        format!("{}..{}.{}.{}", b64(r#"{"alg":"dir","enc":"A256GCM","iss":"x"}"#), b64("iv"), b64("text"), b64("tag"));
    assert_eq!(world.outcome("/auth0", &jwe), "malformed_token");
    // Microsoft Graph's: signed over another header than the one that is sent.
    let (mut header, claims) = entra();
    let sent = world.token("entra", &header, &claims);
    header["nonce"] = json!("PAQABAAAAAA");
    let graph = format!("{}.{}", b64(header.to_string()), sent.split_once('.').expect("three parts").1);
    assert_eq!(world.outcome("/entra", &graph), "bad_signature");
}

#[test]
fn a_refusal_names_the_profile_that_would_fit_to_operators_alone() {
    let world = World::start();
    let mut refused = 0;
    let mut check = |configured: &str, (header, claims): (Value, Value), wanted: &str| {
        let token = world.token(configured, &header, &claims);
        let answer = world.call(&format!("/{configured}"), &token);
        assert_eq!(answer.code(), "wrong_type", "{configured}: {}", answer.text());
        refused += 1;
        let detail = world.detail(refused);
        assert!(detail.contains(wanted), "{configured}: {detail}");
        let told = format!("{:?}{}", answer.head, answer.text());
        assert!(!told.contains("profile") && !told.contains("token_types"), "the caller is told {told}");
        for name in PROFILES.iter().filter(|name| **name != configured) {
            assert!(!told.contains(name), "the caller is told {told}");
        }
    };
    for fitting in &PROFILES[1..] {
        check("rfc9068", access_token(fitting), &format!("it looks like a token for profile = \"{fitting}\""));
    }
    check(
        "okta",
        keycloak(),
        "the typ is \"jwt\"; the profile okta takes at+jwt, no typ at all here; it looks like a token for profile = \"keycloak\"",
    );
    check(
        "entra",
        auth0(),
        "no access token: neither scp nor idtyp, nor roles beside appid or azp, so it may be an ID token; it looks like a token for profile = \"auth0\"",
    );
    check(
        "cognito",
        okta(),
        "no claim token_use; access tokens of cognito have access; it looks like a token for profile = \"okta\"",
    );
    check("keycloak", entra(), "it looks like a token for profile = \"entra\"");
    // A token with the marks of another kind fits nowhere, and nobody is told to take it.
    let id_token = changed(auth0(), json!({"nonce": "n"}));
    check("rfc9068", id_token, "it is probably no access token: the claim nonce");
    check("okta", with_typ(okta(), "application/okta-internal-at+jwt"), "use a custom authorization server");
    check("rfc9068", with_typ(rfc9068(), "JWT"), "token_types = [\"jwt\"] would take it");
}

#[test]
fn the_same_key_at_all_of_them_stays_apart() {
    let world = World::start();
    for profile in PROFILES {
        let (header, claims) = access_token(profile);
        let token = world.token(profile, &header, &claims);
        for other in PROFILES.iter().filter(|other| **other != profile) {
            assert_eq!(world.outcome(&format!("/{other}"), &token), "unknown_issuer", "{profile} at {other}");
        }
        assert_eq!(world.outcome(&format!("/{profile}"), &token), "allow", "{profile}");
    }
    let stranger = Token::new(&world.issuer("okta").url, &Key::of(Kind::Rsa, 1, "signing"));
    let (header, claims) = okta();
    let claims =
        changed((header.clone(), claims), json!({"iss": world.issuer("okta").url, "aud": API, "exp": now() + 300})).1;
    let forged = stranger.header_text(&header.to_string()).claims_text(&claims.to_string()).sign();
    assert_eq!(world.outcome("/okta", &forged), "bad_signature");
}

#[test]
fn every_profile_has_an_example_and_a_section() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/providers.md")).expect("the document");
    for profile in PROFILES {
        let path = root.join(format!("config/providers/{profile}.toml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let named =
            text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("profile = \"{profile}\"")));
        assert!(named, "{} says its profile", path.display());
        let output = run(&["check", "--json", "--config", path.to_str().expect("a plain path")]);
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(output.status.success() && told["ok"] == true, "{}: {told:#}", path.display());
        assert!(told["diagnostics"].as_array().is_some_and(Vec::is_empty), "{}: {told:#}", path.display());
        let tests = told["tests"].as_array().expect("a list");
        assert!(tests.iter().any(|test| test["expect"] == "allow"), "{} shows a token that passes", path.display());
        assert!(tests.iter().any(|test| test["expect"] != "allow"), "{} shows one that does not", path.display());
        assert!(document.contains(&format!("config/providers/{profile}.toml")), "{profile} is in docs/providers.md");
    }
    let sources = document.lines().filter(|line| line.contains("Source: [")).count();
    assert_eq!(sources, PROFILES.len(), "each section names its source");
}
