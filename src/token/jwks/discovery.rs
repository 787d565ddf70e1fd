//! What an issuer's metadata name (OpenID Connect Discovery 1.0, RFC 8414), and which URLs may be asked at all.
//!
//! Promises to ask no URL but https ones, or http ones on loopback or where the configuration allows them, and to take
//! metadata only when its `issuer` is ours to the byte (RFC 8414 section 3.3).

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use super::FetchResult;
use super::source::{Failure, get};
use crate::config::model::Issuer;
use crate::fetch::Fetch;
use crate::token::json::excerpt;

/// One issuer, and what it may point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::token) struct Discovery {
    pub(in crate::token) issuer: Arc<str>,
    pub(in crate::token) allow_http: bool,
}

/// A URL that metadata name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::token) enum Member {
    JwksUri,
    IntrospectionEndpoint,
}

impl Member {
    const fn name(self) -> &'static str {
        match self {
            Self::JwksUri => "jwks_uri",
            Self::IntrospectionEndpoint => "introspection_endpoint",
        }
    }
}

/// What we read of an issuer's metadata (RFC 8414 section 2).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
    /// Whatever it is: keys must not be lost for it.
    introspection_endpoint: Option<Value>,
}

impl Metadata {
    fn get(&self, member: Member) -> Option<&str> {
        match member {
            Member::JwksUri => self.jwks_uri.as_deref(),
            Member::IntrospectionEndpoint => self.introspection_endpoint.as_ref().and_then(Value::as_str),
        }
    }
}

impl Discovery {
    pub(in crate::token) fn of(issuer: &Issuer) -> Self {
        Self { issuer: Arc::clone(&issuer.issuer), allow_http: issuer.allow_http }
    }

    /// The URL that the issuer's metadata name.
    pub(in crate::token) async fn find(&self, fetch: &dyn Fetch, member: Member) -> Result<Url, Failure> {
        let [first, second] = self.metadata_urls()?;
        let failure = match self.look_up(fetch, first, member).await {
            Ok(url) => return self.named(member, &url),
            Err(failure) => failure,
        };
        // Only an answer that is no metadata leaves hope for the other place.
        if !matches!(failure.result, FetchResult::Status | FetchResult::Invalid) {
            return Err(failure);
        }
        match self.look_up(fetch, second, member).await {
            Ok(url) => self.named(member, &url),
            Err(other) if other.result == FetchResult::IssuerMismatch => Err(other),
            Err(other) => Err(Failure::new(failure.result, format!("{}; {}", failure.detail, other.detail))),
        }
    }

    /// OpenID Connect Discovery section 4.1, then RFC 8414 section 3.1.
    fn metadata_urls(&self) -> Result<[Url; 2], Failure> {
        let issuer = self.permitted("issuer", &self.issuer)?;
        let path = issuer.path().trim_end_matches('/').to_owned();
        let at = |path: String| {
            let mut url = issuer.clone();
            url.set_path(&path);
            url
        };
        Ok([
            at(format!("{path}/.well-known/openid-configuration")),
            at(format!("/.well-known/oauth-authorization-server{path}")),
        ])
    }

    async fn look_up(&self, fetch: &dyn Fetch, url: Url, member: Member) -> Result<String, Failure> {
        let response = get(fetch, url.clone(), "application/json").await?;
        let metadata: Metadata = serde_json::from_slice(&response.body)
            .map_err(|error| Failure::invalid(format!("{url}: not an issuer's metadata: {error}")))?;
        if *metadata.issuer == *self.issuer {
            let missing = || Failure::invalid(format!("{url}: the metadata name no {}", member.name()));
            return metadata.get(member).map(str::to_owned).ok_or_else(missing);
        }
        let slash = metadata.issuer.trim_end_matches('/') == self.issuer.trim_end_matches('/');
        let hint = if slash { "; they differ by a slash at the end" } else { "" };
        let named = excerpt(&metadata.issuer);
        let detail = format!("{url}: names the issuer {named}, the configuration names {:?}{hint}", self.issuer);
        Err(Failure::new(FetchResult::IssuerMismatch, detail))
    }

    fn named(&self, member: Member, text: &str) -> Result<Url, Failure> {
        self.permitted(&format!("the {} of the metadata", member.name()), text)
    }

    /// `text` as a URL that may be fetched; `what` names it in the error.
    pub(in crate::token) fn permitted(&self, what: &str, text: &str) -> Result<Url, Failure> {
        let refuse = |why: &str| Failure::invalid(format!("{what} {}: {why}", excerpt(text)));
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.allow_http || is_loopback(&url) => Ok(url),
            "http" => Err(refuse("http is for loopback addresses, unless allow_http is set")),
            _ => Err(refuse("only https is fetched")),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    }
}
