//! The faults that the authority can make on purpose: a closed table of words, the same in the config, at the control
//! endpoint and in the documents. Each has the places where it can happen; the first is where it does unless told
//! otherwise.
//!
//! It promises that an [`Order`] makes sense: its fault can happen at its place, and it has no detail that would mean
//! nothing. A wrong value is the right one with `1` behind it, so that a comparison of beginnings is caught too.

mod order;

pub use order::{Details, MAX_DELAY, Order, STATUSES, Unfit};

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The word for it.
    pub word: &'static str,
    /// What is done.
    pub act: Act,
    /// Where it can happen, the usual place first.
    pub places: &'static [Place],
    /// What it does, for the reader of a list.
    pub does: &'static str,
}

/// What a fault does, by the seam at which it does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Something else in a JSON object: the claims of a token, an answer, a document.
    Edit(Edit),
    /// Another header or signature around good claims.
    Forge(Forge),
    /// Something before the answer, or in place of it.
    Obstruct(Obstruct),
}

/// A change of a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// `1` is put behind the value of a member, if it is there.
    Append(&'static str),
    /// A member is taken out.
    Remove(&'static str),
    /// `exp` was an hour ago, and `iat` an hour before.
    Expire,
    /// `nbf` and `iat` are in an hour, `exp` an hour later.
    Postpone,
    /// `auth_time` is an hour earlier.
    SignInEarlier,
    /// A `nonce` that does not belong there.
    AddNonce,
    /// Another event in `events`.
    OtherEvent,
    /// `aud` names another party too, and `azp` the right one.
    FurtherAudience,
    /// Nothing is said of the person but who it is.
    Bare,
    /// `active` is false, and nothing else is said.
    Inactive,
    /// `active` is a text.
    ActiveAsText,
    /// 16 MiB of padding.
    Huge,
    /// A key set without keys.
    NoKeys,
    /// 2000 keys of nobody before the right ones.
    ManyKeys,
    /// Keys of no known type, curve and use before the right ones.
    OddKeys,
    /// Keys without `kid`.
    NamelessKeys,
}

/// A change of a token's header or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forge {
    /// `1` is put behind `typ`.
    OtherType,
    /// `1` is put behind `kid`.
    OtherKid,
    /// There is no `kid`.
    NoKid,
    /// Signed by another algorithm than the client's, with a good key.
    OtherAlgorithm,
    /// `alg` is `none`, and there is no signature.
    Unsigned,
    /// `alg` is HS256, and the secret is the public key as PEM.
    Hmac,
    /// The signature is of something else.
    BadSignature,
}

/// What happens instead of an answer, or before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstruct {
    /// It takes a while.
    Slow,
    /// An answer of a status, with a line of text.
    Status,
    /// A page, as of a proxy in between.
    Html,
    /// What says that it is JSON and is none.
    Garbage,
    /// The OAuth error `invalid_grant`.
    InvalidGrant,
}

macro_rules! places {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// Where a fault can happen: in a kind of token, or at an endpoint.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Place { $($(#[doc = $doc])+ $name,)+ }

        impl Place {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
            /// Their words.
            pub const WORDS: &[&str] = &[$($word,)+];

            /// The word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

places! {
    /// Every ID token, refreshed ones too.
    IdToken = "id_token",
    /// ID tokens that come of a refresh token.
    RefreshedIdToken = "refreshed_id_token",
    /// Access tokens that are JWTs.
    AccessToken = "access_token",
    /// Logout tokens, which are posted to clients.
    LogoutToken = "logout_token",
    /// What the browser brings back to the client.
    AuthorizationResponse = "authorization_response",
    /// Both metadata documents.
    Discovery = "discovery",
    /// The key set.
    Jwks = "jwks",
    /// The authorization endpoint.
    Authorize = "authorize",
    /// Pushed authorization requests.
    Par = "par",
    /// Where a device begins.
    DeviceAuthorization = "device_authorization",
    /// The token endpoint, whatever the grant.
    Token = "token",
    /// The token endpoint for refresh tokens only.
    Refresh = "refresh",
    /// The userinfo endpoint.
    Userinfo = "userinfo",
    /// Introspection.
    Introspect = "introspect",
    /// Revocation.
    Revoke = "revoke",
    /// Signing out.
    Logout = "logout",
}

impl Place {
    /// The place of that word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|place| place.word() == word)
    }
}

use Place::{
    AccessToken, AuthorizationResponse, Authorize, DeviceAuthorization, Discovery, IdToken, Introspect, Jwks, Logout,
    LogoutToken, Par, Refresh, RefreshedIdToken, Revoke, Token, Userinfo,
};

const TOKENS: &[Place] = &[IdToken, RefreshedIdToken, AccessToken, LogoutToken];
const TIMED: &[Place] = &[IdToken, RefreshedIdToken, AccessToken, LogoutToken, Introspect];
const ENDPOINTS: &[Place] =
    &[Token, Refresh, Discovery, Jwks, Userinfo, Introspect, Authorize, Par, DeviceAuthorization, Revoke, Logout];
const DOCUMENTS: &[Place] = &[Jwks, Token, Refresh, Discovery, Userinfo, Introspect, Par, DeviceAuthorization];
const ANSWERS: &[Place] = &[Token, Refresh];

const fn edit(word: &'static str, edit: Edit, places: &'static [Place], does: &'static str) -> Fault {
    Fault { word, act: Act::Edit(edit), places, does }
}

const fn forge(word: &'static str, forge: Forge, does: &'static str) -> Fault {
    Fault { word, act: Act::Forge(forge), places: TOKENS, does }
}

const fn obstruct(word: &'static str, obstruct: Obstruct, places: &'static [Place], does: &'static str) -> Fault {
    Fault { word, act: Act::Obstruct(obstruct), places, does }
}

/// The table.
pub const ALL: &[Fault] = &[
    edit(
        "wrong_iss",
        Edit::Append("iss"),
        &[IdToken, RefreshedIdToken, AccessToken, LogoutToken, AuthorizationResponse, Introspect],
        "`iss` with 1 behind it",
    ),
    edit("wrong_aud", Edit::Append("aud"), TIMED, "`aud` with 1 behind it"),
    edit(
        "wrong_sub",
        Edit::Append("sub"),
        &[IdToken, RefreshedIdToken, AccessToken, LogoutToken, Userinfo, Introspect],
        "`sub` with 1 behind it",
    ),
    edit("wrong_nonce", Edit::Append("nonce"), &[IdToken], "`nonce` with 1 behind it"),
    edit("wrong_at_hash", Edit::Append("at_hash"), &[IdToken, RefreshedIdToken], "`at_hash` with 1 behind it"),
    edit("wrong_c_hash", Edit::Append("c_hash"), &[IdToken], "`c_hash` with 1 behind it"),
    edit("wrong_state", Edit::Append("state"), &[AuthorizationResponse], "`state` with 1 behind it"),
    edit("wrong_issuer", Edit::Append("issuer"), &[Discovery], "`issuer` with 1 behind it"),
    edit("wrong_token_type", Edit::Append("token_type"), ANSWERS, "`token_type` with 1 behind it"),
    edit(
        "further_aud",
        Edit::FurtherAudience,
        &[IdToken, RefreshedIdToken, LogoutToken],
        "`aud` names `https://other.example` too, and `azp` the right one",
    ),
    edit("wrong_acr", Edit::Append("acr"), &[IdToken, RefreshedIdToken], "`acr` with 1 behind it"),
    edit(
        "old_auth_time",
        Edit::SignInEarlier,
        &[IdToken, RefreshedIdToken],
        "`auth_time` is an hour earlier than the sign-in",
    ),
    edit("wrong_event", Edit::OtherEvent, &[LogoutToken], "`events` has another event only"),
    edit(
        "missing_iss",
        Edit::Remove("iss"),
        &[IdToken, RefreshedIdToken, AccessToken, LogoutToken, AuthorizationResponse],
        "no `iss`",
    ),
    edit("missing_aud", Edit::Remove("aud"), TOKENS, "no `aud`"),
    edit(
        "missing_sub",
        Edit::Remove("sub"),
        &[IdToken, RefreshedIdToken, AccessToken, LogoutToken, Userinfo],
        "no `sub`",
    ),
    edit("missing_iat", Edit::Remove("iat"), TOKENS, "no `iat`"),
    edit("missing_exp", Edit::Remove("exp"), TIMED, "no `exp`"),
    edit("missing_jti", Edit::Remove("jti"), &[LogoutToken, AccessToken], "no `jti`"),
    edit("missing_nonce", Edit::Remove("nonce"), &[IdToken], "no `nonce`"),
    edit("missing_at_hash", Edit::Remove("at_hash"), &[IdToken, RefreshedIdToken], "no `at_hash`"),
    edit("missing_c_hash", Edit::Remove("c_hash"), &[IdToken], "no `c_hash`"),
    edit("missing_auth_time", Edit::Remove("auth_time"), &[IdToken, RefreshedIdToken], "no `auth_time`"),
    edit("missing_events", Edit::Remove("events"), &[LogoutToken], "no `events`"),
    edit("missing_state", Edit::Remove("state"), &[AuthorizationResponse], "no `state`"),
    edit("missing_access_token", Edit::Remove("access_token"), ANSWERS, "no `access_token`"),
    edit("missing_id_token", Edit::Remove("id_token"), ANSWERS, "no `id_token`"),
    edit("missing_refresh_token", Edit::Remove("refresh_token"), ANSWERS, "no `refresh_token`"),
    edit("missing_expires_in", Edit::Remove("expires_in"), ANSWERS, "no `expires_in`"),
    edit("missing_active", Edit::Remove("active"), &[Introspect], "no `active`"),
    edit(
        "missing_claims",
        Edit::Bare,
        &[IdToken, RefreshedIdToken, Userinfo],
        "no claims about the person but who it is and when that one signed in",
    ),
    edit(
        "unannounced_iss",
        Edit::Remove("authorization_response_iss_parameter_supported"),
        &[Discovery],
        "the metadata do not say that answers have `iss`",
    ),
    edit(
        "unannounced_par",
        Edit::Remove("pushed_authorization_request_endpoint"),
        &[Discovery],
        "the metadata do not say where requests are pushed",
    ),
    edit("added_nonce", Edit::AddNonce, &[LogoutToken, RefreshedIdToken], "a `nonce` that does not belong there"),
    edit("expired", Edit::Expire, TIMED, "`exp` was an hour ago"),
    edit("not_yet_valid", Edit::Postpone, TIMED, "`iat` and `nbf` are an hour ahead"),
    forge("wrong_typ", Forge::OtherType, "`typ` in the header with 1 behind it"),
    forge("unknown_kid", Forge::OtherKid, "`kid` in the header with 1 behind it"),
    forge("missing_kid", Forge::NoKid, "no `kid` in the header"),
    forge(
        "other_alg",
        Forge::OtherAlgorithm,
        "a good signature by another algorithm: ES256, or RS256 in place of ES256",
    ),
    forge("unsigned", Forge::Unsigned, "`alg` is none, and there is no signature"),
    forge("hmac", Forge::Hmac, "`alg` is HS256, and the secret is the public key as PEM"),
    forge("bad_signature", Forge::BadSignature, "the signature is of something else"),
    edit("no_keys", Edit::NoKeys, &[Jwks], "a key set without keys"),
    edit("many_keys", Edit::ManyKeys, &[Jwks], "2000 keys of nobody before the right ones"),
    edit("unknown_kty", Edit::OddKeys, &[Jwks], "keys of unknown type, curve and use before the right ones"),
    edit("nameless_keys", Edit::NamelessKeys, &[Jwks], "keys without `kid`"),
    edit("inactive", Edit::Inactive, &[Introspect], "`active` is false"),
    edit("active_as_text", Edit::ActiveAsText, &[Introspect], "`active` is the text \"true\""),
    edit("huge", Edit::Huge, DOCUMENTS, "a good answer with 16 MiB of padding"),
    obstruct(
        "garbage",
        Obstruct::Garbage,
        &[Jwks, Token, Refresh, Discovery, Userinfo, Introspect, Par, DeviceAuthorization],
        "says that it is JSON, and is none",
    ),
    obstruct("html", Obstruct::Html, ENDPOINTS, "a page with the status 200, or `status`"),
    obstruct("status", Obstruct::Status, ENDPOINTS, "the status 503, or `status`, and nothing else"),
    obstruct("slow", Obstruct::Slow, ENDPOINTS, "the answer takes 5 s more, or `delay`"),
    obstruct("invalid_grant", Obstruct::InvalidGrant, &[Refresh, Token], "the error `invalid_grant`"),
];

/// The words of the table.
#[must_use]
pub fn words() -> Vec<&'static str> {
    ALL.iter().map(|fault| fault.word).collect()
}

impl Fault {
    /// The fault of that word.
    #[must_use]
    pub fn named(word: &str) -> Option<&'static Self> {
        ALL.iter().find(|fault| fault.word == word)
    }

    /// The words of its places.
    #[must_use]
    pub fn place_words(&self) -> Vec<&'static str> {
        self.places.iter().map(|place| place.word()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_means_one_thing() {
        for (position, fault) in ALL.iter().enumerate() {
            assert!(
                ALL[..position].iter().all(|other| other.word != fault.word && other.act != fault.act),
                "{fault:?}"
            );
            assert_eq!(Fault::named(fault.word), Some(fault));
            assert!(!fault.places.is_empty(), "{fault:?}");
            assert!(fault.word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{fault:?}");
        }
        assert!(Place::ALL.iter().all(|place| Place::named(place.word()) == Some(*place)));
        assert_eq!((Fault::named("Slow"), Place::named("")), (None, None));
    }
}
