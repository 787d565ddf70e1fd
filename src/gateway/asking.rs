//! What of a request its credential is found in, and how its sender proves to hold what the token is bound to.

use http::header::ORIGIN;
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::clock::UnixTime;
use crate::config::model::{ForwardedCertificate, TokenFrom};
use crate::token::certificate;
use crate::token::dpop::Purpose;
use crate::token::dpop::uri::Place;
use crate::token::extract::{Credential, Scheme};
use crate::token::principal::Principal;
use crate::token::{Rejection, RejectionCode};

use super::intent;
use super::judge::Target;
use super::snapshot::Snapshot;

/// What of a request its credential is found in and judged by.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'r> {
    /// The method.
    pub method: &'r Method,
    /// The target.
    pub uri: &'r Uri,
    /// All fields.
    pub headers: &'r HeaderMap,
    /// `http` or `https`, as the client used it.
    pub scheme: &'static str,
    /// The host that it names.
    pub target: Option<&'r Target<'r>>,
    /// The client's certificate.
    pub certificate: Shown<'r>,
    /// When it came.
    pub now: UnixTime,
}

/// How the client's certificate is known.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'r> {
    /// The SHA-256 of what it showed in the handshake.
    Itself(Option<[u8; 32]>),
    /// A proxy that is believed tells of it.
    ByProxy(&'r ForwardedCertificate),
}

impl<'r> Asking<'r> {
    /// The query, without the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&'r str> {
        self.uri.query()
    }

    fn place(&self) -> Place<'r> {
        let authority = self.target.and_then(|target| target.authority.to_str().ok()).unwrap_or_default();
        Place { scheme: self.scheme, authority, path: self.uri.path() }
    }

    /// Whether another site made a browser send this, with a cookie that `from` names: neither the origin that it is for nor
    /// one that is named beside.
    pub(super) fn is_cross_site(&self, from: Option<&TokenFrom>) -> bool {
        if !intent::may_change(self.method, self.headers) {
            return false;
        }
        let mut origins = self.headers.get_all(ORIGIN).iter();
        let named = |origin: &HeaderValue| {
            from.is_some_and(|from| from.cookie_origins.iter().any(|named| origin.as_bytes() == named.as_bytes()))
        };
        if let (Some(origin), None) = (origins.next(), origins.next())
            && named(origin)
        {
            return false;
        }
        let own = self.target.and_then(|target| target.authority.to_str().ok()).unwrap_or_default();
        intent::comes_from_elsewhere(self.headers, &format!("{}://{own}", self.scheme))
    }

    /// The SHA-256 of the client's certificate.
    fn certificate(&self) -> Option<[u8; 32]> {
        match self.certificate {
            Shown::Itself(certificate) => certificate,
            Shown::ByProxy(forwarded) => certificate::told(self.headers, &forwarded.header, forwarded.format),
        }
    }

    fn shows(&self, bound: [u8; 32]) -> Result<(), Rejection> {
        match self.certificate() {
            Some(shown) if shown == bound => Ok(()),
            Some(_) => Err(unproven("the token is bound to another certificate than the client's (cnf.x5t#S256)")),
            None => Err(unproven("the token is bound to a certificate (cnf.x5t#S256), and the client showed none")),
        }
    }

    /// Whether the sender holds what the token is bound to. Gives a newer nonce for the response, where there is one.
    ///
    /// # Errors
    /// `bad_binding`, `bad_proof`, `proof_nonce_required` or `store_unavailable`.
    pub(super) async fn proves(
        &self,
        credential: &Credential<'_>,
        principal: &Principal,
        snapshot: &Snapshot,
    ) -> Result<Option<HeaderValue>, Rejection> {
        let key = principal.binding.as_ref().and_then(|binding| binding.key.as_ref());
        if let Some(bound) = principal.binding.and_then(|binding| binding.certificate) {
            self.shows(bound)?;
        }
        match (credential.scheme, key) {
            (Scheme::Bearer, None) => Ok(None),
            (Scheme::Bearer, Some(_)) => Err(unproven(
                "the token is bound to a key (cnf.jkt) and was sent with the scheme Bearer, without proof",
            )),
            (Scheme::Dpop, None) => Err(unproven("the token was sent with the scheme DPoP and is not bound to a key")),
            (Scheme::Dpop, Some(key)) => {
                let (method, token) = (self.method.as_str(), &*credential.token);
                let public_url = snapshot.config.server.public_url.as_deref();
                let purpose = Purpose { method, place: self.place(), public_url, token, key };
                snapshot.dpop.check(self.headers, &purpose, self.now)?.first_use().await
            }
        }
    }
}

fn unproven(detail: &'static str) -> Rejection {
    Rejection::new(RejectionCode::BadBinding, detail)
}
