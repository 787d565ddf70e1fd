//! What an issuer's metadata say (OpenID Connect Discovery 1.0, RFC 8414), and which URLs may be asked at all.
//!
//! Promises to ask no URL but https ones, or http ones on loopback or where the configuration allows them, and to take
//! metadata only when its `issuer` is ours to the byte (RFC 8414 section 3.3).

use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::FetchResult;
use super::source::{Failure, get};
use crate::config::model::Issuer;
use crate::fetch::{Fetch, is_loopback};
use crate::token::json::{self, excerpt};

/// One issuer, and what it may point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    pub(in crate::token) issuer: Arc<str>,
    allow_http: bool,
}

/// The members of an issuer's metadata, whatever they are: what one reader does not need must not trouble it.
#[derive(Debug)]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    /// The text of this name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Whether the member of this name is `true`.
    #[must_use]
    pub fn says(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Bool(true))
    }

    /// The URL of this name; for clients that show a certificate, the one that is for them (RFC 8705 section 5).
    #[must_use]
    pub fn endpoint(&self, name: &str, certificate: bool) -> Option<&str> {
        let aliases = self.0.get("mtls_endpoint_aliases").filter(|_| certificate);
        aliases.and_then(|aliases| aliases.get(name)).and_then(Value::as_str).or_else(|| self.text(name))
    }
}

impl Discovery {
    /// What `issuer` may point at.
    #[must_use]
    pub fn of(issuer: &Issuer) -> Self {
        Self { issuer: Arc::clone(&issuer.issuer), allow_http: issuer.allow_http }
    }

    /// The URL that the issuer's metadata have under `name`, as [`Metadata::endpoint`] reads it.
    pub(in crate::token) async fn find(
        &self,
        fetch: &dyn Fetch,
        name: &str,
        certificate: bool,
    ) -> Result<Url, Failure> {
        let missing = || Failure::invalid(format!("the metadata name no {name}"));
        self.read(fetch, |metadata| {
            let url = metadata.endpoint(name, certificate).ok_or_else(missing)?;
            self.permitted(&format!("the {name} of the metadata"), url)
        })
        .await
    }

    /// What `take` finds in the issuer's metadata: in those of the first of the two places in which it does.
    ///
    /// # Errors
    /// Why they are not to be had, or what `take` misses.
    pub async fn read<T>(
        &self,
        fetch: &dyn Fetch,
        take: impl Fn(&Metadata) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let [first, second] = self.metadata_urls()?;
        let look_up = async |url: Url| -> Result<T, Failure> {
            let metadata = self.metadata(fetch, &url).await?;
            take(&metadata).map_err(|failure| Failure::new(failure.result, format!("{url}: {}", failure.detail)))
        };
        let failure = match look_up(first).await {
            Ok(found) => return Ok(found),
            Err(failure) => failure,
        };
        // Only an answer that is no metadata leaves hope for the other place.
        if !matches!(failure.result, FetchResult::Status | FetchResult::Invalid) {
            return Err(failure);
        }
        look_up(second).await.map_err(|other| match other.result {
            FetchResult::IssuerMismatch => other,
            _ => Failure::new(failure.result, format!("{}; {}", failure.detail, other.detail)),
        })
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

    async fn metadata(&self, fetch: &dyn Fetch, url: &Url) -> Result<Metadata, Failure> {
        let invalid = |why: String| Failure::invalid(format!("{url}: not an issuer's metadata: {why}"));
        let response = get(fetch, url.clone(), "application/json").await?;
        let metadata = Metadata(json::object(&response.body).map_err(|error| invalid(error.to_string()))?);
        let issuer = metadata.text("issuer").ok_or_else(|| invalid("no issuer".to_owned()))?;
        if *issuer == *self.issuer {
            return Ok(metadata);
        }
        let slash = issuer.trim_end_matches('/') == self.issuer.trim_end_matches('/');
        let hint = if slash { "; they differ by a slash at the end" } else { "" };
        let named = excerpt(issuer);
        let detail = format!("{url}: names the issuer {named}, the configuration names {:?}{hint}", self.issuer);
        Err(Failure::new(FetchResult::IssuerMismatch, detail))
    }

    /// `text` as a URL that may be asked, or to which a browser may be sent; `what` names it in the error.
    ///
    /// # Errors
    /// When it is none.
    pub fn permitted(&self, what: &str, text: &str) -> Result<Url, Failure> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn endpoints_for_certificates_are_for_clients_that_show_one() {
        let metadata = json!({
            "token_endpoint": "https://i.example/token", "revocation_endpoint": "https://i.example/revoke",
            "mtls_endpoint_aliases": { "token_endpoint": "https://mtls.i.example/token", "revocation_endpoint": 1 },
        });
        let metadata = Metadata(metadata.as_object().expect("an object").clone());
        assert_eq!(metadata.endpoint("token_endpoint", false), Some("https://i.example/token"));
        assert_eq!(metadata.endpoint("token_endpoint", true), Some("https://mtls.i.example/token"));
        assert_eq!(metadata.endpoint("revocation_endpoint", true), Some("https://i.example/revoke"));
        assert_eq!(metadata.endpoint("userinfo_endpoint", true), None);
    }
}
