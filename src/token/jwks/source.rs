//! One attempt to get an issuer's keys: discovery where there is any, then the JWK Set, or the reason why not.
//!
//! Promises to give no set without a usable key. A JWK Set that is valid but holds no usable key is a failure like any other:
//! an issuer that signs tokens has a key, so what came is a mistake, and the last good keys serve on.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, HeaderValue};
use tokio::io::AsyncReadExt as _;
use url::Url;

use super::FetchResult;
use super::discovery::Discovery;
use super::schedule;
use crate::config::model::{Issuer, KeySource, Profile};
use crate::fetch::{Fault, Fetch, FetchError, Request, Response};
use crate::token::key::KeySet;

/// The longest document that is read, in bytes.
pub(super) const MAX_BYTES: usize = 512 * 1024;
/// For one request, from the name lookup to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Keys as they came.
pub(super) struct Haul {
    /// At least one of them usable.
    pub(super) keys: KeySet,
    /// What they were read from.
    pub(super) document: Bytes,
    /// Its URL; for a file, its path.
    pub(super) place: String,
    /// How long they are fresh.
    pub(super) lifetime: Duration,
}

/// Why an attempt brought no keys, or no metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For metrics; never `Ok`.
    pub result: FetchResult,
    /// For operators, one line.
    pub detail: String,
}

impl Failure {
    pub(super) fn new(result: FetchResult, detail: impl Into<String>) -> Self {
        Self { result, detail: detail.into() }
    }

    /// An answer that says nothing of use.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(FetchResult::Invalid, detail)
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let result = match &error.fault {
            Fault::Redirect { .. } => FetchResult::Status,
            Fault::TooLarge { .. } => FetchResult::TooLarge,
            Fault::Url(_) | Fault::Encoded => FetchResult::Invalid,
            Fault::Resolve(_)
            | Fault::Connect(_)
            | Fault::NoRoots
            | Fault::Tls(_)
            | Fault::Exchange(_)
            | Fault::Body(_)
            | Fault::Timeout { .. } => FetchResult::Unreachable,
        };
        Self::new(result, error.to_string())
    }
}

/// Where the keys of one issuer come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) discovery: Discovery,
    pub(super) keys: KeySource,
    /// Whose the keys must be that say whose they are; `None`: it is not looked at.
    pub(super) owner: Option<Arc<str>>,
}

impl Source {
    pub(super) fn of(issuer: &Issuer) -> Self {
        let named = issuer.profile == Profile::Entra;
        let owner = named.then(|| Arc::clone(&issuer.issuer));
        Self { discovery: Discovery::of(issuer), keys: issuer.keys.clone(), owner }
    }

    /// Gets the keys, once.
    pub(super) async fn attempt(&self, fetch: &dyn Fetch) -> Result<Haul, Failure> {
        let url = match &self.keys {
            KeySource::File(path) => return self.read(path).await,
            KeySource::Uri(uri) => self.discovery.permitted("jwks_uri", uri)?,
            KeySource::Discovery => self.discovery.find(fetch, "jwks_uri", false).await?,
        };
        let response = get(fetch, url.clone(), "application/jwk-set+json, application/json").await?;
        let keys = self.usable(&response.body, &url)?;
        let lifetime = schedule::lifetime(&response.headers);
        Ok(Haul { keys, document: response.body, place: url.into(), lifetime })
    }

    async fn read(&self, path: &Path) -> Result<Haul, Failure> {
        let (document, place) = (read_file(path).await?, path.display().to_string());
        let keys = self.usable(&document, &place)?;
        Ok(Haul { keys, document, place, lifetime: schedule::lifetime(&http::HeaderMap::new()) })
    }

    fn usable(&self, document: &[u8], place: &dyn fmt::Display) -> Result<KeySet, Failure> {
        usable(document, self.owner.as_deref()).map_err(|why| Failure::invalid(format!("{place}: {why}")))
    }
}

pub(super) async fn get(fetch: &dyn Fetch, url: Url, accept: &'static str) -> Result<Response, Failure> {
    let mut request = Request::get(url.clone());
    request.headers.insert(ACCEPT, HeaderValue::from_static(accept));
    (request.max_bytes, request.timeout) = (MAX_BYTES, TIMEOUT);
    let response = fetch.fetch(request).await?;
    if response.status != StatusCode::OK {
        return Err(Failure::new(FetchResult::Status, format!("{url}: answered {}", response.status.as_u16())));
    }
    Ok(response)
}

async fn read_file(path: &Path) -> Result<Bytes, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::new(FetchResult::Unreachable, format!("{}: {error}", path.display()));
    // A named pipe would be waited for, for ever if nobody writes into it.
    if !tokio::fs::metadata(path).await.map_err(unreadable)?.is_file() {
        let detail = format!("{}: it is not a regular file", path.display());
        return Err(Failure::new(FetchResult::Unreachable, detail));
    }
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut content = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut content).await.map_err(unreadable)?;
    if content.len() > MAX_BYTES {
        let detail = format!("{}: longer than {MAX_BYTES} bytes", path.display());
        return Err(Failure::new(FetchResult::TooLarge, detail));
    }
    Ok(content.into())
}

/// The keys of a document, if it holds any that may verify; see [`KeySet::parse_for`].
pub(super) fn usable(document: &[u8], owner: Option<&str>) -> Result<KeySet, String> {
    let keys = KeySet::parse_for(owner, document).map_err(|error| error.to_string())?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    let first = keys.unusable().first();
    Err(match first {
        None => "a JWK Set without keys".into(),
        Some(key) => format!("a JWK Set of {} keys, none usable; the first {}", keys.unusable().len(), key.reason),
    })
}

/// Where the keys come from, as text: what a stored set is filed under, beside its issuer.
pub(super) fn label(keys: &KeySource) -> Option<String> {
    match keys {
        KeySource::Discovery => Some("discovery".into()),
        KeySource::Uri(uri) => Some(uri.clone()),
        KeySource::File(_) => None,
    }
}
