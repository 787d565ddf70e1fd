//! What the access tokens of well-known providers look like, where they differ from RFC 9068, and what gives a token
//! away that is none: an ID token, a refresh token or a logout token of the same issuer.
//!
//! | profile | `aud` | client | an access token shows itself by |
//! | --- | --- | --- | --- |
//! | `rfc9068` | `aud` | `client_id` | header `typ` `at+jwt` |
//! | `okta` | `aud` | `cid` | no mark of another kind |
//! | `auth0` | `aud` | `azp` | no mark of another kind |
//! | `entra` | `aud` | `appid` (v1), `azp` (v2) | `scp`, `roles` or `idtyp`, and no mark of another kind |
//! | `keycloak` | `aud` | `azp` | claim `typ` `Bearer`; without that claim, no mark of another kind |
//! | `cognito` | `client_id` | `client_id` | claim `token_use` `access`, and no mark of another kind |
//!
//! Tokens that Entra makes for Microsoft Graph cannot be verified by anybody else (a `nonce` in their header) and are
//! refused as badly signed.

use super::claims::Claims;
use super::json::excerpt;
use crate::config::model::Profile;

/// Claims that only ID tokens and logout tokens have (OpenID Connect Core section 2, Back-Channel Logout section 2.4).
const MARKS: [&str; 4] = ["at_hash", "c_hash", "nonce", "events"];

/// The profile's name in the config.
pub(super) const fn name(profile: Profile) -> &'static str {
    match profile {
        Profile::Rfc9068 => "rfc9068",
        Profile::Okta => "okta",
        Profile::Auth0 => "auth0",
        Profile::Entra => "entra",
        Profile::Keycloak => "keycloak",
        Profile::Cognito => "cognito",
    }
}

/// The claim that names who a token is for.
pub(super) const fn audience_claim(profile: Profile) -> &'static str {
    match profile {
        Profile::Rfc9068 | Profile::Okta | Profile::Auth0 | Profile::Entra | Profile::Keycloak => "aud",
        Profile::Cognito => "client_id",
    }
}

/// The client that the token was made for.
pub(super) fn client(profile: Profile, claims: &Claims) -> Option<&str> {
    let names: &[&str] = match profile {
        Profile::Rfc9068 | Profile::Cognito => &["client_id"],
        Profile::Okta => &["cid", "client_id"],
        Profile::Auth0 | Profile::Keycloak => &["azp", "client_id"],
        Profile::Entra => &["appid", "azp", "client_id"],
    };
    names.iter().find_map(|name| claims.string(name))
}

/// Why a token whose `typ` header says nothing special is no access token; `None` when nothing speaks against it.
pub(super) fn wrong_kind(profile: Profile, claims: &Claims) -> Option<String> {
    match profile {
        Profile::Keycloak => match claims.string("typ") {
            // Older releases copy the `nonce` of the login into access tokens, but this claim tells them apart.
            Some("Bearer" | "DPoP") => None,
            Some(other) => Some(format!("the claim typ is {}; access tokens of keycloak have Bearer", excerpt(other))),
            None => mark(claims),
        },
        Profile::Cognito if claims.string("token_use") != Some("access") => {
            Some("the claim token_use is not \"access\"".into())
        }
        Profile::Entra if !["scp", "roles", "idtyp"].iter().any(|name| claims.has(name)) => {
            Some("none of the claims scp, roles and idtyp, so it may be an ID token".into())
        }
        Profile::Rfc9068 | Profile::Okta | Profile::Auth0 | Profile::Entra | Profile::Cognito => mark(claims),
    }
}

/// The `token_type` values of introspection answers that stand for an access token: those of RFC 6749 section 7.1 that we
/// know, and what servers write there instead.
const ACCESS_TOKENS: [&str; 4] = ["bearer", "dpop", "access_token", "urn:ietf:params:oauth:token-type:access_token"];

/// Why an introspection answer is about something else than an access token, such as a refresh token; `None` when
/// nothing in it says so.
pub(super) fn other_kind(profile: Profile, claims: &Claims) -> Option<String> {
    let known = |kind: &str| ACCESS_TOKENS.iter().any(|name| kind.eq_ignore_ascii_case(name));
    if let Some(kind) = claims.string("token_type").filter(|kind| !known(kind)) {
        return Some(format!("the token_type is {}", excerpt(kind)));
    }
    if let Some(kind) = claims.string("token_use").filter(|kind| !matches!(*kind, "access" | "access_token")) {
        return Some(format!("the token_use is {}", excerpt(kind)));
    }
    wrong_kind(profile, claims)
}

/// What gives away an ID token, a refresh token or a logout token.
pub(super) fn mark(claims: &Claims) -> Option<String> {
    if let Some(name) = MARKS.iter().find(|name| claims.has(name)) {
        return Some(format!("the claim {name}, which ID tokens and logout tokens have"));
    }
    let kind = claims.string("typ")?;
    let other = ["id", "refresh", "offline", "logout"].iter().any(|name| kind.eq_ignore_ascii_case(name));
    other.then(|| format!("the claim typ is {}", excerpt(kind)))
}

/// The profile that a token looks like, to help whoever wrote the wrong one.
pub(super) fn guess(claims: &Claims) -> Option<Profile> {
    if claims.has("token_use") {
        return Some(Profile::Cognito);
    }
    if claims.has("realm_access") || claims.string("typ") == Some("Bearer") {
        return Some(Profile::Keycloak);
    }
    if claims.has("tid") && claims.has("ver") {
        return Some(Profile::Entra);
    }
    if claims.has("cid") && claims.has("ver") {
        return Some(Profile::Okta);
    }
    let auth0 = claims.has("gty") || claims.issuer().is_some_and(|issuer| issuer.ends_with(".auth0.com/"));
    auth0.then_some(Profile::Auth0)
}
