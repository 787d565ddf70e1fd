//! Requests to the endpoints that a client calls itself: a form, the client's authentication, and an answer in JSON.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::fetch::{Fetch, Request, Response};
use crate::secret::Secret;
use crate::token::json;

use super::args::{Auth, Client, Order};
use super::discovery::Metadata;
use super::failure::Failure;
use super::shown::shown;

/// What error messages call it.
pub(super) const TOKEN_ENDPOINT: &str = "the token endpoint";

/// A server, and how to speak to it.
pub(super) struct Server<'a> {
    pub(super) metadata: Metadata,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) client: &'a Client,
    /// For each answer.
    pub(super) timeout: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

/// Parameters in the order in which they are sent.
pub(super) type Form<'a> = Vec<(&'a str, &'a str)>;

/// How the client shows who it is, once the server has been heard.
enum Shown<'a> {
    Public,
    Header(&'a Secret),
    Body(&'a Secret),
}

impl Server<'_> {
    /// A request to the token endpoint.
    pub(super) async fn token(&self, form: &Form<'_>) -> Result<Map<String, Value>, Failure> {
        self.post("token_endpoint", TOKEN_ENDPOINT, form).await
    }

    /// A request to the endpoint `name`, which messages call `by`.
    pub(super) async fn post(
        &self,
        name: &'static str,
        by: &'static str,
        form: &Form<'_>,
    ) -> Result<Map<String, Value>, Failure> {
        let url = self.metadata.endpoint(name)?.clone();
        let request = self.request(url, form)?;
        let response = self.fetch.fetch(request).await.map_err(|error| Failure::unanswered(&error))?;
        read(by, &response)
    }

    fn request(&self, url: Url, form: &Form<'_>) -> Result<Request, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let mut body = Serializer::new(String::new());
        body.extend_pairs(form);
        match self.authentication() {
            Shown::Public => drop(body.append_pair("client_id", &self.client.id)),
            Shown::Header(secret) => {
                headers.insert(AUTHORIZATION, basic(&self.client.id, secret)?);
            }
            Shown::Body(secret) => {
                body.append_pair("client_id", &self.client.id).append_pair("client_secret", secret.expose());
            }
        }
        let (method, body) = (Method::POST, Bytes::from(body.finish()));
        Ok(Request { method, headers, body, timeout: self.timeout, ..Request::get(url) })
    }

    /// `client_secret_basic` is what a server takes that announces nothing (RFC 8414, section 2).
    fn authentication(&self) -> Shown<'_> {
        match &self.client.auth {
            Auth::None => Shown::Public,
            Auth::Basic(secret) => Shown::Header(secret),
            Auth::Post(secret) => Shown::Body(secret),
            Auth::Announced(secret) => {
                let announced = self.metadata.list("token_endpoint_auth_methods_supported").unwrap_or_default();
                let only_post =
                    announced.contains(&"client_secret_post") && !announced.contains(&"client_secret_basic");
                if only_post { Shown::Body(secret) } else { Shown::Header(secret) }
            }
        }
    }
}

/// Id and secret are form-encoded before they are joined (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, Failure> {
    let mut pair = Zeroizing::new(String::new());
    pair.extend(byte_serialize(id.as_bytes()));
    pair.push(':');
    pair.extend(byte_serialize(secret.expose().as_bytes()));
    let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::try_from(encoded.as_str()).map_err(|_| Failure::fault("no header of the secret"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Puts what every request for a token may have behind what its flow needs.
pub(super) fn with_targets<'a>(mut form: Form<'a>, order: &'a Order, scope: &'a str) -> Form<'a> {
    if !scope.is_empty() {
        form.push(("scope", scope));
    }
    form.extend(order.resources.iter().map(|resource| ("resource", resource.as_str())));
    form.extend(order.audience.iter().map(|audience| ("audience", audience.as_str())));
    form
}

/// The members of a good answer.
fn read(by: &'static str, response: &Response) -> Result<Map<String, Value>, Failure> {
    let status = response.status;
    let kind = response.headers.get(CONTENT_TYPE).map_or(b"".as_slice(), HeaderValue::as_bytes);
    let kind = shown(&String::from_utf8_lossy(kind));
    let members = json::object(&response.body).map_err(|error| {
        // The body is not quoted: a server that errs in form may still have written a token into it.
        let what = match kind.is_empty() {
            true => format!("{by} answered {status} with something that is not JSON: {}", shown(&error.to_string())),
            false => format!("{by} answered {status} with {kind}, not JSON: {}", shown(&error.to_string())),
        };
        Failure::fault(what).help("is something else in front of the server, or behind its announced address?")
    })?;
    // Some servers refuse with 200.
    if let Some(code) = members.get("error").and_then(Value::as_str).map(str::to_owned) {
        return Err(Failure::refused(by, &code, members));
    }
    match status.is_success() {
        true => Ok(members),
        false => Err(Failure::fault(format!("{by} answered {status} and no `error` that says why"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_encoded_first() {
        let value = basic("a b", &Secret::new("c:d%\u{f6}".into())).unwrap();
        assert_eq!(value, format!("Basic {}", STANDARD.encode("a+b:c%3Ad%25%C3%B6")));
        assert!(value.is_sensitive());
    }
}
