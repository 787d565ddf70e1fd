//! Where the endpoints of a server are: OpenID Connect Discovery 1.0 (section 4), then RFC 8414 (section 3).
//!
//! The metadata must name the very issuer that was asked for, else another server could answer in its place; and every
//! endpoint in it must be one that may be spoken to.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use crate::fetch::{Fetch, Request};
use crate::token::json;

use super::args::Issuer;
use super::failure::Failure;
use super::shown::shown;

/// What a server says of itself.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    members: Map<String, Value>,
    endpoints: Vec<(&'static str, Url)>,
}

/// The endpoints that are used here.
const ENDPOINTS: [&str; 4] = ["authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "jwks_uri"];

/// Finds the metadata of `issuer`; each answer may take `timeout`.
pub(super) async fn discover(fetch: &dyn Fetch, issuer: &Issuer, timeout: Duration) -> Result<Metadata, Failure> {
    let mut misses = Vec::new();
    for url in places(&issuer.url) {
        match ask(fetch, &url, timeout).await? {
            Ok(members) => return Metadata::read(members, issuer),
            Err(miss) => misses.push(format!("\n  {url}: {miss}")),
        }
    }
    let what = format!("no metadata of {}:{}", shown(&issuer.text), misses.concat());
    Err(Failure::fault(what)
        .help("--issuer is the issuer itself, as in `iss` of its tokens, with its path if it has one"))
}

/// Where metadata may be: after the issuer, and between its host and its path.
fn places(issuer: &Url) -> [Url; 2] {
    let path = issuer.path().trim_end_matches('/');
    [format!("{path}/.well-known/openid-configuration"), format!("/.well-known/oauth-authorization-server{path}")].map(
        |path| {
            let mut url = issuer.clone();
            url.set_path(&path);
            url
        },
    )
}

/// The document at `url`; inside, why there is none there, so that the next place may be tried.
async fn ask(fetch: &dyn Fetch, url: &Url, timeout: Duration) -> Result<Result<Map<String, Value>, String>, Failure> {
    let mut request = Request { timeout, ..Request::get(url.clone()) };
    request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let response = fetch.fetch(request).await.map_err(|error| Failure::unanswered(&error))?;
    if response.status != StatusCode::OK {
        return Ok(Err(format!("answered {}", response.status)));
    }
    Ok(json::object(&response.body).map_err(|error| {
        let kind = response
            .headers
            .get(CONTENT_TYPE)
            .map_or("no content type".into(), |kind| shown(&String::from_utf8_lossy(kind.as_bytes())));
        format!("not metadata ({kind}): {}", shown(&error.to_string()))
    }))
}

impl Metadata {
    fn read(members: Map<String, Value>, issuer: &Issuer) -> Result<Self, Failure> {
        match members.get("issuer").and_then(Value::as_str) {
            Some(named) if named == issuer.text => {}
            Some(named) => {
                let (asked, named) = (shown(&issuer.text), shown(named));
                let what = format!("the metadata of {asked} is that of another issuer, {named}");
                return Err(Failure::fault(what).help(format!("if that is the server you mean: --issuer {named}")));
            }
            None => return Err(Failure::fault(format!("the metadata of {} names no issuer", shown(&issuer.text)))),
        }
        let mut endpoints = Vec::new();
        for name in ENDPOINTS {
            let Some(value) = members.get(name) else { continue };
            let text = value.as_str().unwrap_or_default();
            let refused =
                |why: &str| Failure::fault(format!("the server's {name} cannot be used: {:?}: {why}", shown(text)));
            let url = Url::parse(text).map_err(|_| refused("not a URL"))?;
            issuer.trusts_scheme(&url).map_err(|why| refused(why).help("--allow-http opens http to any machine"))?;
            endpoints.push((name, url));
        }
        Ok(Self { issuer: issuer.text.clone(), members, endpoints })
    }

    /// The endpoint of this name.
    ///
    /// # Errors
    /// When the server has none.
    pub(super) fn endpoint(&self, name: &'static str) -> Result<&Url, Failure> {
        let found = self.endpoints.iter().find(|(known, _)| *known == name);
        found.map(|(_, url)| url).ok_or_else(|| {
            Failure::fault(format!("the server announces no {name}, which this flow needs")).help("try another --flow")
        })
    }

    /// What a list member announces; `None` when it is absent, which is not the same as empty.
    pub(super) fn list(&self, member: &str) -> Option<Vec<&str>> {
        let list = self.members.get(member)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).collect())
    }

    /// Whether answers of the authorization endpoint carry `iss` (RFC 9207, section 3).
    pub(super) fn promises_iss(&self) -> bool {
        self.members.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_after_the_issuer_and_inside_it() {
        let cases = [
            (
                "https://as.test",
                "https://as.test/.well-known/openid-configuration",
                "https://as.test/.well-known/oauth-authorization-server",
            ),
            (
                "https://as.test/",
                "https://as.test/.well-known/openid-configuration",
                "https://as.test/.well-known/oauth-authorization-server",
            ),
            (
                "https://as.test/t/1",
                "https://as.test/t/1/.well-known/openid-configuration",
                "https://as.test/.well-known/oauth-authorization-server/t/1",
            ),
        ];
        for (issuer, first, second) in cases {
            assert_eq!(places(&issuer.parse().unwrap()).map(String::from), [first, second]);
        }
    }
}
