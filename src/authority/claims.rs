//! Which claims about a person go where: by scope (OpenID Connect Core 1.0, section 5.4) and by the `claims` parameter
//! (section 5.5).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::errors::{ErrorCode, OauthError};
use super::settings::User;

/// The scopes of OpenID Connect and the claims that each of them stands for.
const BY_SCOPE: [(&str, &[&str]); 4] = [
    (
        "profile",
        &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
    ),
    ("email", &["email", "email_verified"]),
    ("address", &["address"]),
    ("phone", &["phone_number", "phone_number_verified"]),
];

/// Claims that only the authority itself makes; a user cannot have them.
const OUR_OWN: [&str; 21] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "auth_time",
    "nonce",
    "acr",
    "amr",
    "azp",
    "at_hash",
    "c_hash",
    "sid",
    "scope",
    "client_id",
    "cnf",
    "act",
    "active",
    "events",
];

/// More claims than anybody asks for by name.
const MAX_CLAIMS: usize = 100;

/// What the `claims` parameter asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ClaimsRequest {
    /// Names for the ID token.
    pub(super) id_token: Vec<String>,
    /// Names for the answer of the userinfo endpoint.
    pub(super) userinfo: Vec<String>,
    /// The one subject that the client will take.
    pub(super) subject: Option<String>,
    /// The context classes that the client will take.
    pub(super) acr_values: Vec<String>,
    /// Whether it will take no other.
    pub(super) acr_is_essential: bool,
}

impl ClaimsRequest {
    /// Reads the parameter's JSON.
    pub(super) fn parse(text: &str) -> Result<Self, OauthError> {
        let bad = || ErrorCode::InvalidRequest.because("claims is not a JSON object of claims requests");
        let Ok(Value::Object(members)) = serde_json::from_str(text) else { return Err(bad()) };
        let mut request = Self::default();
        for (place, names) in [("id_token", &mut request.id_token), ("userinfo", &mut request.userinfo)] {
            match members.get(place) {
                None | Some(Value::Null) => {}
                Some(Value::Object(wanted)) if wanted.len() <= MAX_CLAIMS => {
                    if !wanted.values().all(|one| one.is_null() || one.is_object()) {
                        return Err(bad());
                    }
                    names.extend(wanted.keys().cloned());
                }
                Some(_) => return Err(bad()),
            }
        }
        let wanted = members.get("id_token");
        let values = |claim: &str| -> Vec<String> {
            let Some(request) = wanted.and_then(|wanted| wanted.get(claim)) else { return Vec::new() };
            let one = request.get("value").into_iter();
            let several = request.get("values").and_then(Value::as_array).into_iter().flatten();
            one.chain(several).filter_map(Value::as_str).map(str::to_owned).collect()
        };
        request.subject = values("sub").into_iter().next();
        request.acr_values = values("acr");
        let essential = wanted.and_then(|wanted| wanted.get("acr")).is_some_and(|acr| acr["essential"] == true);
        request.acr_is_essential = essential;
        Ok(request)
    }
}

/// Every claim that somebody may get a value for (OpenID Connect Discovery 1.0, section 3).
pub(super) fn supported(users: &[User]) -> BTreeSet<&str> {
    let of_users = users.iter().flat_map(|user| user.claims.keys().map(String::as_str));
    let theirs = of_users.filter(|name| !OUR_OWN.contains(name));
    theirs.chain(["sub", "auth_time", "acr", "amr", "sid"]).collect()
}

/// The claims about `user` that `scopes` and the single `names` give.
pub(super) fn about(user: &User, scopes: &[String], names: &[String]) -> Map<String, Value> {
    pick(user, |claim| names.iter().any(|name| name == claim) || is_given(claim, scopes))
}

/// Whether `scopes` give a claim. What OpenID Connect does not know belongs to the profile.
pub(super) fn is_given(claim: &str, scopes: &[String]) -> bool {
    let scope = scope_of(claim).unwrap_or("profile");
    scopes.iter().any(|known| known == scope)
}

/// Whether a claim says something about a person, rather than about the token or the sign-in.
pub(super) fn is_about_a_person(claim: &str) -> bool {
    !OUR_OWN.contains(&claim)
}

/// The claims about `user` that every access token has: those that OpenID Connect does not know, such as a department,
/// since they are what resource servers decide by (RFC 9068, section 2.2.3).
pub(super) fn for_resource_servers(user: &User) -> Map<String, Value> {
    pick(user, |claim| scope_of(claim).is_none())
}

fn pick(user: &User, wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
    let claims = user.claims.iter().filter(|(name, _)| !OUR_OWN.contains(&name.as_str()) && wanted(name));
    claims.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn scope_of(claim: &str) -> Option<&'static str> {
    BY_SCOPE.iter().find(|(_, claims)| claims.contains(&claim)).map(|(scope, _)| *scope)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::secret::Secret;

    #[test]
    fn claims_follow_scopes_and_names() {
        let claims =
            json!({ "name": "Al", "email": "a@b", "email_verified": true, "department": "sales", "iss": "evil" });
        let claims: BTreeMap<_, _> = claims.as_object().unwrap().clone().into_iter().collect();
        let user = User { name: "al".into(), sub: "al".into(), password: Secret::new("x".into()), claims };
        let cases: [(&[&str], &[&str], Value); 5] = [
            (&["openid"], &[], json!({})),
            (&["email"], &[], json!({ "email": "a@b", "email_verified": true })),
            (&["profile"], &[], json!({ "name": "Al", "department": "sales" })),
            (&[], &["name", "iss", "nothing"], json!({ "name": "Al" })),
            (&[], &["department"], json!({ "department": "sales" })),
        ];
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (scopes, names, expected) in cases {
            assert_eq!(Value::Object(about(&user, &owned(scopes), &owned(names))), expected, "{scopes:?} {names:?}");
        }
        assert_eq!(Value::Object(for_resource_servers(&user)), json!({ "department": "sales" }));
    }

    #[test]
    fn the_parameter_is_read_strictly() {
        let good = r#"{"id_token":{"sub":{"value":"al"},"acr":{"values":["a","b"]},"name":null},"userinfo":{"email":{"essential":true}}}"#;
        let request = ClaimsRequest::parse(good).unwrap();
        assert_eq!((request.subject.as_deref(), request.acr_values.len()), (Some("al"), 2));
        assert!(!request.acr_is_essential);
        assert_eq!((request.userinfo, request.id_token.len()), (vec!["email".to_owned()], 3));
        for bad in ["", "x", "[]", "1", r#"{"id_token":[]}"#, r#"{"userinfo":{"name":"x"}}"#] {
            assert!(ClaimsRequest::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(ClaimsRequest::parse(r#"{"id_token":null}"#).unwrap(), ClaimsRequest::default());
    }
}
