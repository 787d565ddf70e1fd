//! Single sentences of what is promised, each with a test that can fail, where no flow or refusal stands for it.

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use tollgate::authority::{Grant, OldKeys, SigningAlgorithm, TokenForm};

use super::flows::{Browser, answer_in, redeem, request, start, start_and, start_with, token};
use super::harness::Running;

fn members(answer: &Value) -> Vec<&str> {
    answer.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_form_of_a_token_is_the_resources_or_else_the_clients() {
    let authority = start_and(|settings| {
        settings.clients.iter_mut().for_each(|client| client.grants.push(Grant::ClientCredentials));
        let forms = [("urn:opaque", TokenForm::Opaque), ("urn:jwt", TokenForm::Jwt)];
        settings.resources = forms.map(|(resource, form)| (resource.to_owned(), form)).into();
    });
    for (client, resources, is_jwt) in [
        ("web", &[][..], true),
        ("opaque", &[], false),
        ("web", &["urn:opaque"], false),
        ("opaque", &["urn:jwt"], true),
        ("web", &["urn:other"], true),
        ("opaque", &["urn:other"], false),
        ("opaque", &["urn:other", "urn:jwt"], true),
        ("web", &["urn:jwt", "urn:opaque"], false),
        ("web", &["urn:opaque", "urn:jwt"], false),
    ] {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(resources.iter().map(|resource| ("resource", *resource)));
        let answer = token(&authority, client, &form).json();
        let access = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(access.split('.').count() == 3, is_jwt, "{client} {resources:?}");
    }
}

#[test]
fn who_speaks_for_itself_gets_an_access_token_and_nothing_else() {
    let authority = start_with(|client| {
        client.grants.push(Grant::ClientCredentials);
        client.scopes.push("offline_access".into());
    });
    let ask = |client: &str, scope: &str| {
        token(&authority, client, &[("grant_type", "client_credentials"), ("scope", scope)]).json()
    };
    let answer = ask("web", "");
    assert_eq!(members(&answer), ["access_token", "expires_in", "scope", "token_type"], "{answer}");
    assert_eq!(answer["scope"], "profile email orders:read orders:write", "what is about a person is left out");
    for scope in ["openid", "offline_access", "orders:read openid"] {
        assert_eq!(ask("web", scope)["error"], "invalid_scope", "{scope}");
    }
    assert_eq!(ask("app", "")["error"], "unauthorized_client", "a public client proves nothing");
}

#[test]
fn passwords_are_for_clients_that_list_the_grant_with_a_secret_or_without() {
    let authority = start_with(|client| {
        if client.id == "other" {
            client.grants = vec![Grant::Password];
        }
    });
    let ask = |client: &str| {
        let form = [("grant_type", "password"), ("username", "alice"), ("password", "wonderland"), ("scope", "openid")];
        token(&authority, client, &form).json()
    };
    assert_eq!(members(&ask("app")), ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
    assert_eq!(members(&ask("other")), ["access_token", "expires_in", "scope", "token_type"], "no refresh token");
    assert_eq!(ask("code-only")["error"], "unauthorized_client");
}

#[test]
fn a_wrong_guess_uses_the_code_up() {
    let authority = start();
    let browser = Browser::new(&authority);
    let wrong = "x".repeat(43);
    for (name, guess) in [("code_verifier", &*wrong), ("code_verifier", ""), ("redirect_uri", "http://127.0.0.1/")] {
        let code = answer_in(&browser.go(&request("web", &[])), '?')["code"].clone();
        assert_eq!(redeem(&authority, "web", &code, &[(name, guess)]).json()["error"], "invalid_grant", "{name}");
        assert_eq!(
            redeem(&authority, "web", &code, &[]).json()["error"],
            "invalid_grant",
            "{name} {guess:?}, then right"
        );
    }
}

/// Each algorithm with its key, its hash, and what stands beside the ID token.
const ALGORITHMS: [(SigningAlgorithm, Algorithm); 4] = [
    (SigningAlgorithm::Rs256, Algorithm::RS256),
    (SigningAlgorithm::Es256, Algorithm::ES256),
    (SigningAlgorithm::EdDsa, Algorithm::EdDSA),
    (SigningAlgorithm::Ps256, Algorithm::PS256),
];

/// The claims of an ID token for `client` that a published key signed by this algorithm.
fn verified(authority: &Running, id_token: &str, algorithm: Algorithm) -> Option<Value> {
    let keys: JwkSet = serde_json::from_slice(&authority.get("/jwks").body).unwrap();
    let key = keys.find(&decode_header(id_token).unwrap().kid.unwrap())?;
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.set_audience(&["web"]);
    Some(decode::<Value>(id_token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims)
}

#[test]
fn id_tokens_are_signed_and_hashed_by_the_clients_algorithm() {
    for (signing, algorithm) in ALGORITHMS {
        let authority = start_with(|client| client.signing_alg = signing);
        let answer = Browser::new(&authority).go(&request("web", &[("response_type", "code id_token token")]));
        let found = answer_in(&answer, '#');
        let claims = verified(&authority, &found["id_token"], algorithm).unwrap();
        let half = |text: &str| {
            let whole = digest(if algorithm == Algorithm::EdDSA { &SHA512 } else { &SHA256 }, text.as_bytes());
            URL_SAFE_NO_PAD.encode(&whole.as_ref()[..whole.as_ref().len() / 2])
        };
        assert_eq!(claims["at_hash"], half(&found["access_token"]), "{algorithm:?}");
        assert_eq!(claims["c_hash"], half(&found["code"]), "{algorithm:?}");
    }
}

#[test]
fn a_rotation_is_one_of_every_key() {
    for (signing, algorithm) in ALGORITHMS {
        let authority = start_with(|client| client.signing_alg = signing);
        let browser = Browser::new(&authority);
        let ask = |more: &[(&str, &str)]| {
            let more = [&[("response_type", "id_token")][..], more].concat();
            answer_in(&browser.go(&request("web", &more)), '#')
        };
        let first = ask(&[])["id_token"].clone();
        authority.control.rotate(OldKeys::Published).unwrap();
        let second = ask(&[("id_token_hint", &first), ("prompt", "none")])["id_token"].clone();
        assert_ne!(decode_header(&first).unwrap().kid, decode_header(&second).unwrap().kid, "{algorithm:?}");
        for token in [&first, &second] {
            assert_eq!(verified(&authority, token, algorithm).unwrap()["sub"], "u-alice", "{algorithm:?}");
        }
        authority.control.rotate(OldKeys::Withdrawn).unwrap();
        assert!(verified(&authority, &second, algorithm).is_none(), "{algorithm:?}");
        let hinted = ask(&[("id_token_hint", &second), ("prompt", "none")]);
        assert_eq!(hinted["error"], "invalid_request", "{algorithm:?}: what its key does not sign any more is no hint");
    }
}

#[test]
fn a_walk_of_prompts_asks_what_they_name() {
    let authority = start();
    let browser = Browser::new(&authority);
    assert_eq!(browser.go(&request("web", &[])).status, 303);
    let title = |prompt: &str| {
        let page = browser.authorize(&request("web", &[("prompt", prompt)]));
        page.text().split("<h1>").nth(1).unwrap_or_default().split("</h1>").next().unwrap_or_default().to_owned()
    };
    for (prompt, expected) in [
        ("login", "Sign in"),
        ("consent", "Allow access?"),
        ("select_account", "Choose an account"),
        ("login consent", "Sign in"),
        ("consent select_account", "Choose an account"),
        ("none", ""),
    ] {
        assert_eq!(title(prompt), expected, "{prompt}");
    }
    let login = browser.authorize(&request("web", &[("prompt", "login consent")]));
    let consent = browser.submit(&login, &[("username", "alice"), ("password", "wonderland")]);
    assert!(consent.text().contains("<h1>Allow access?</h1>"), "both, one after the other");
    assert_eq!(browser.submit(&consent, &[("action", "allow")]).status, 303);
    assert_eq!(json!(title("none")), "");
}
