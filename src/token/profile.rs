//! What the access tokens of well-known providers look like, where they differ from RFC 9068, and what gives a token
//! away that is none: an ID token, a refresh token or a logout token of the same issuer.
//!
//! | profile | `aud` | client | scopes | an access token shows itself by |
//! | --- | --- | --- | --- | --- |
//! | `rfc9068` | `aud` | `client_id` | `scope` | header `typ` `at+jwt` |
//! | `okta` | `aud` | `cid` | `scp` | `cid` |
//! | `auth0` | `aud` | `azp` | `scope` | `azp` |
//! | `entra` | `aud` | `appid` (v1), `azp` (v2) | `scp` | `scp`, `idtyp`, or `roles` of a client (`appid`, `azp`) |
//! | `keycloak` | `aud` | `azp` | `scope` | claim `typ` `Bearer` or `DPoP` |
//! | `cognito` | `aud`, or else `client_id` | `client_id` | `scope` | `token_use` `access` |
//!
//! Everywhere a mark of another kind speaks against it, whatever else it has. `docs/providers.md` says where each provider
//! documents this. Tokens that Entra makes for Microsoft Graph cannot be verified by anybody else (a `nonce` in their header)
//! and are refused as badly signed.

use super::claims::Claims;
use super::json::excerpt;
use super::principal::Scopes;
use crate::config::model::{Profile, TokenType};

/// Claims that only ID tokens and logout tokens have (OpenID Connect Core section 2, Back-Channel Logout section 2.4).
const MARKS: [&str; 4] = ["at_hash", "c_hash", "nonce", "events"];

/// The claim that names who a token is for, in tokens that have only the claims that they must have.
pub(super) const fn audience_claim(profile: Profile) -> &'static str {
    match profile {
        Profile::Rfc9068 | Profile::Okta | Profile::Auth0 | Profile::Entra | Profile::Keycloak => "aud",
        Profile::Cognito => "client_id",
    }
}

/// The claim that names who this token is for. Tokens of Cognito that were asked for with a `resource` are for that alone.
pub(super) fn audience_claim_of(profile: Profile, claims: &Claims) -> &'static str {
    if claims.has("aud") { "aud" } else { audience_claim(profile) }
}

/// Who a token is for.
pub(super) fn audiences(profile: Profile, claims: &Claims) -> Vec<&str> {
    match audience_claim_of(profile, claims) {
        "aud" => claims.audiences().collect(),
        other => claims.string(other).into_iter().collect(),
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

/// What the token allows. The claim that the provider does not use counts only where the other is absent.
pub(super) fn scopes(profile: Profile, claims: &Claims) -> Scopes {
    match profile {
        Profile::Okta | Profile::Entra => claims.scopes(["scp", "scope"]),
        Profile::Rfc9068 | Profile::Auth0 | Profile::Keycloak | Profile::Cognito => claims.scopes(["scope", "scp"]),
    }
}

/// Why a token whose `typ` header says nothing special is no access token; `None` when it shows itself as one, and
/// nothing speaks against it.
pub(super) fn wrong_kind(profile: Profile, claims: &Claims) -> Option<String> {
    against(profile, claims).or_else(|| lacking(profile, claims).map(str::to_owned))
}

/// What speaks against an access token.
fn against(profile: Profile, claims: &Claims) -> Option<String> {
    match (profile, claims.string("typ"), claims.string("token_use")) {
        // Older releases copy the `nonce` of the login into access tokens, but this claim tells them apart.
        (Profile::Keycloak, Some("Bearer" | "DPoP"), _) => None,
        (Profile::Keycloak, Some(other), _) => {
            Some(format!("the claim typ is {}; access tokens of keycloak have Bearer", excerpt(other)))
        }
        (Profile::Cognito, _, Some(other)) if other != "access" => {
            Some(format!("the claim token_use is {}", excerpt(other)))
        }
        _ => mark(claims),
    }
}

/// What every access token of the provider has, and this one has not.
fn lacking(profile: Profile, claims: &Claims) -> Option<&'static str> {
    let has_one = |names: [&str; 2]| names.iter().any(|name| claims.has(name));
    let (shows, lacks) = match profile {
        Profile::Rfc9068 => return None,
        Profile::Okta => {
            (claims.has("cid"), "no claim cid, which access tokens of okta have, so it may be an ID token")
        }
        Profile::Auth0 => {
            (claims.has("azp"), "no claim azp, which access tokens of auth0 have, so it may be an ID token")
        }
        Profile::Entra => {
            // Roles of a user stand in ID tokens too.
            let roles_of_a_client = claims.has("roles") && has_one(["appid", "azp"]);
            let shows = roles_of_a_client || has_one(["scp", "idtyp"]);
            (shows, "neither scp nor idtyp, nor roles beside appid or azp, so it may be an ID token")
        }
        Profile::Keycloak => (claims.has("typ"), "no claim typ; access tokens of keycloak have Bearer"),
        Profile::Cognito => (claims.has("token_use"), "no claim token_use; access tokens of cognito have access"),
    };
    (!shows).then_some(lacks)
}

/// The `token_type` values of introspection answers that stand for an access token: those of RFC 6749 section 7.1 that we
/// know, and what servers write there instead.
const ACCESS_TOKENS: [&str; 4] = ["bearer", "dpop", "access_token", "urn:ietf:params:oauth:token-type:access_token"];

/// Why an introspection answer is about something else than an access token, such as a refresh token; `None` when
/// nothing in it says so. It has the members of RFC 7662, which need not be the claims of the provider's JWTs.
pub(super) fn other_kind(profile: Profile, claims: &Claims) -> Option<String> {
    let known = |kind: &str| ACCESS_TOKENS.iter().any(|name| kind.eq_ignore_ascii_case(name));
    if let Some(kind) = claims.string("token_type").filter(|kind| !known(kind)) {
        return Some(format!("the token_type is {}", excerpt(kind)));
    }
    if let Some(kind) = claims.string("token_use").filter(|kind| !matches!(*kind, "access" | "access_token")) {
        return Some(format!("the token_use is {}", excerpt(kind)));
    }
    against(profile, claims)
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

/// Whether an access token may have this `typ`: in lower case, without `application/`.
pub(super) fn accepts(accepted: &[TokenType], typ: Option<&str>) -> bool {
    accepted.iter().any(|accepted| match (accepted, typ) {
        (TokenType::Named(name), Some(typ)) => name.eq_ignore_ascii_case(typ),
        (TokenType::Absent, None) => true,
        (TokenType::Named(_), None) | (TokenType::Absent, Some(_)) => false,
    })
}

/// Whether a `typ` says no more than that this is a JWT.
pub(super) fn is_generic(typ: Option<&str>) -> bool {
    typ.is_none_or(|typ| typ == "jwt")
}

/// The profile that takes a token of this type and that shows itself in it, to help whoever wrote another one: the surest
/// first.
pub(super) fn fitting(typ: Option<&str>, claims: &Claims) -> Option<Profile> {
    let shows = |profile: Profile| match profile {
        // Any JWT may have `scp` or `roles`.
        Profile::Entra => claims.has("tid") && claims.has("ver"),
        Profile::Rfc9068 => false,
        Profile::Okta | Profile::Auth0 | Profile::Keycloak | Profile::Cognito => true,
    };
    let takes = |profile: &Profile| {
        is_generic(typ) && accepts(&profile.token_types(), typ) && wrong_kind(*profile, claims).is_none()
    };
    let surest = [Profile::Cognito, Profile::Keycloak, Profile::Entra, Profile::Okta, Profile::Auth0];
    surest.into_iter().find(|profile| shows(*profile) && takes(profile))
}
