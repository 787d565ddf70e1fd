//! Config OP: what the metadata and the key set say.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use url::Url;

use super::rp::shared;

#[test]
fn oidcc_discovery_endpoint_verification() {
    let authority = shared();
    let issuer = format!("http://{}", authority.address);
    let answer = authority.get("/.well-known/openid-configuration");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let metadata = answer.json();
    assert_eq!(metadata["issuer"], issuer);
    let url = Url::parse(&issuer).unwrap();
    assert!(url.query().is_none() && url.fragment().is_none());
    let list = |name: &str| -> Vec<&str> {
        let list = metadata[name].as_array().unwrap_or_else(|| panic!("{name} is no list"));
        list.iter().map(|item| item.as_str().unwrap()).collect()
    };
    assert!(list("response_types_supported").contains(&"code"));
    assert!(!list("subject_types_supported").is_empty());
    assert!(list("subject_types_supported").iter().all(|kind| ["public", "pairwise"].contains(kind)));
    assert!(list("id_token_signing_alg_values_supported").contains(&"RS256"));
    assert!(list("scopes_supported").contains(&"openid"));
    let legal = |scope: &&str| scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    assert!(list("scopes_supported").iter().all(legal));
    assert!(
        ["authorization_code", "implicit", "refresh_token"]
            .iter()
            .all(|grant| list("grant_types_supported").contains(grant))
    );
    assert!(list("claims_supported").contains(&"sub") && list("claims_supported").contains(&"name"));
    assert!(!list("code_challenge_methods_supported").is_empty());
    for list in ["userinfo_signing_alg_values_supported", "request_object_signing_alg_values_supported"] {
        assert!(metadata[list].is_null() || metadata[list].is_array(), "{list}");
    }
    let urls =
        metadata.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri"));
    let urls: Vec<_> = urls.map(|(name, url)| (name.as_str(), url.as_str().unwrap())).collect();
    for needed in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"]
    {
        assert!(urls.iter().any(|(name, _)| *name == needed), "{needed}");
    }
    for (name, url) in urls {
        assert!(url.starts_with(&issuer) && Url::parse(url).unwrap().fragment().is_none(), "{name}: {url}");
        let path = Url::parse(url).unwrap().path().to_owned();
        assert_ne!(authority.get(&path).status, 404, "{name} leads somewhere");
    }
    judge_keys(&authority.get("/jwks").json());
}

/// Valid keys, each with a name of its own and nothing private.
fn judge_keys(set: &Value) {
    let keys = set["keys"].as_array().unwrap();
    let kids: BTreeSet<_> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(kids.len(), keys.len());
    assert!(keys.iter().any(|key| key["kty"] == "RSA" && key["use"] == json!("sig")));
    for key in keys {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert!(key.get(private).is_none(), "{private} in {}", key["kid"]);
        }
        let jwk = serde_json::from_value::<jsonwebtoken::jwk::Jwk>(key.clone()).unwrap();
        assert!(jsonwebtoken::DecodingKey::from_jwk(&jwk).is_ok());
    }
}
