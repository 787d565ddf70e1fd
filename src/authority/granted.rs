//! What was granted, and the codes and tokens that stand for it.
//!
//! One [`Authorization`] is shared by all that comes of it: code, access tokens, refresh tokens. Revoking it kills them
//! all at once, which is how the replay of a code and the reuse of a refresh token are answered (RFC 9700, section 4.14).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::bound::Bound;
use super::claims::ClaimsRequest;
use super::session::SignIn;
use super::store::Key;
use crate::clock::UnixTime;
use crate::secret::Secret;

/// What one client may do, and for whom.
#[derive(Debug)]
pub(super) struct Authorization {
    /// The client's id.
    pub(super) client: String,
    /// The person, by position in the settings; absent when the client speaks for itself.
    pub(super) user: Option<usize>,
    /// `sub`.
    pub(super) subject: String,
    /// What was allowed.
    pub(super) scopes: Vec<String>,
    /// Where it was asked for (RFC 8707); none: the audience of the settings.
    pub(super) resources: Vec<String>,
    /// How the person signed in.
    pub(super) sign_in: Option<SignIn>,
    /// Single claims that were asked for.
    pub(super) claims: ClaimsRequest,
    /// Whether ID tokens may come of it; of the password grant none do, whatever its scopes.
    pub(super) gives_id_tokens: bool,
    /// `nonce` of the authorization request, for its ID tokens.
    pub(super) nonce: Option<String>,
    /// Who acts in the subject's name: the claim `act` (RFC 8693, section 4.1).
    pub(super) actor: Option<serde_json::Value>,
    /// What the first token stood for of which this came by token exchange, however many were between. When that ends, so
    /// does this.
    pub(super) origin: Option<Arc<Authorization>>,
    revoked: AtomicBool,
}

impl Authorization {
    /// For a client that speaks for itself.
    pub(super) fn of_client(client: &str, scopes: Vec<String>, resources: Vec<String>) -> Self {
        Self {
            client: client.to_owned(),
            user: None,
            subject: client.to_owned(),
            scopes,
            resources,
            sign_in: None,
            claims: ClaimsRequest::default(),
            gives_id_tokens: false,
            nonce: None,
            actor: None,
            origin: None,
            revoked: AtomicBool::new(false),
        }
    }

    /// For a client that speaks for a person.
    pub(super) fn of_user(
        client: &str,
        (user, subject): (usize, &str),
        scopes: Vec<String>,
        resources: Vec<String>,
        sign_in: SignIn,
    ) -> Self {
        Self {
            user: Some(user),
            subject: subject.to_owned(),
            sign_in: Some(sign_in),
            gives_id_tokens: true,
            ..Self::of_client(client, scopes, resources)
        }
    }

    /// Of a grant that never gives ID tokens.
    pub(super) fn without_id_token(self) -> Self {
        Self { gives_id_tokens: false, ..self }
    }

    /// Whether a scope was allowed.
    pub(super) fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|known| known == scope)
    }

    /// Ends everything that stands for it.
    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    /// Whether it was ended.
    pub(super) fn is_revoked(&self) -> bool {
        let ended = |one: &Self| one.revoked.load(Ordering::Acquire);
        ended(self) || self.origin.as_deref().is_some_and(ended)
    }
}

/// An authorization code.
#[derive(Debug)]
pub(super) struct CodeRecord {
    /// What it stands for.
    pub(super) authorization: Arc<Authorization>,
    /// The redirect URI that the request named; the token request has to repeat it.
    pub(super) redirect_uri: Option<String>,
    /// The PKCE challenge, always by S256.
    pub(super) challenge: Option<String>,
    /// Thumbprint of the key that has to be proven when it is redeemed (RFC 9449, section 10).
    pub(super) key: Option<String>,
    /// The end of its use. It is remembered for longer, so that a replay is seen.
    pub(super) expires: UnixTime,
    /// Whether it was redeemed.
    pub(super) used: bool,
}

/// An access token.
#[derive(Debug)]
pub(super) struct AccessRecord {
    /// What it stands for.
    pub(super) authorization: Arc<Authorization>,
    /// What it may do, in the words of the answer that gave it.
    pub(super) scope: String,
    /// `aud`.
    pub(super) audience: serde_json::Value,
    /// What has to be proven by whoever uses it.
    pub(super) bound: Bound,
    /// `jti`.
    pub(super) id: String,
    /// When it was given, in seconds since the epoch.
    pub(super) issued: i64,
    /// When it ends, in seconds since the epoch.
    pub(super) expires: i64,
}

/// A refresh token and what became of it.
#[derive(Debug)]
pub(super) struct RefreshRecord {
    /// What it stands for; all tokens of the family share it.
    pub(super) authorization: Arc<Authorization>,
    /// What has to be proven by whoever uses it; a client that authenticates proves enough (RFC 9449, section 5).
    pub(super) bound: Bound,
    /// Its end when it is not used.
    pub(super) idle_end: UnixTime,
    /// The end of the family.
    pub(super) absolute_end: UnixTime,
    /// The token that came in its place.
    pub(super) rotated: Option<Rotation>,
}

/// A rotation: when, and to what.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    /// When the token was used first.
    pub(super) at: UnixTime,
    /// The token that came in its place, which a retry within the grace gets again.
    pub(super) successor: Secret,
    /// Its key.
    pub(super) successor_key: Key,
}

/// Lifetimes of refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshLifetimes {
    /// A token that is not used for this long ends.
    pub idle: Duration,
    /// The family ends after this, used or not.
    pub absolute: Duration,
    /// How long a token that was just rotated may be used again, for a client that lost the answer; only while nobody
    /// used its successor.
    pub grace: Duration,
}
