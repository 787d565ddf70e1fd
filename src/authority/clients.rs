//! Client authentication (RFC 6749, section 2.3): finds out which client is asking and whether it proved it.
//!
//! Promises: secrets are compared in constant time, and an unknown client costs the same comparison as a known one.
//! Refuses: two ways of authentication in one request, a way that the client is not registered for, an Authorization
//! header of another scheme, a secret from a client that has none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::errors::{ErrorCode, OauthError};
use super::form::{Form, decode};
use super::settings::{Client, ClientAuth};
use crate::secret::{same, sha256};

/// The client that asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'a> {
    /// Who it is.
    pub(super) client: &'a Client,
    /// Whether it proved that; a public client cannot.
    pub(super) authenticated: bool,
}

/// Which of `clients` sent this request.
pub(super) fn authenticate<'a>(
    clients: &'a [Client],
    headers: &HeaderMap,
    form: &Form,
) -> Result<Caller<'a>, OauthError> {
    let shown = Shown::read(headers, form)?;
    let client = clients.iter().find(|client| client.id == shown.id);
    let expected = client.and_then(|client| client.secret.as_ref());
    if client.is_some_and(|client| client.auth == Some(ClientAuth::None)) && shown.secret.is_some() {
        return Err(ErrorCode::InvalidClient.because("this client is registered for none, and shows a secret"));
    }
    let Some((method, secret)) = &shown.secret else {
        return match client {
            Some(client) if expected.is_none() => Ok(Caller { client, authenticated: false }),
            Some(_) => Err(ErrorCode::InvalidClient.because("this client must authenticate")),
            None => Err(unknown_or_wrong()),
        };
    };
    // Digests have one length, so the time tells nothing of the secret's; without a secret there is nothing to match.
    let matches = same(&sha256(expected.map_or("", |known| known.expose()).as_bytes()), &sha256(secret.as_bytes()));
    let (Some(client), Some(_), true) = (client, expected, matches) else { return Err(unknown_or_wrong()) };
    match client.auth {
        Some(registered) if registered != *method => Err(ErrorCode::InvalidClient.because(format!(
            "this client is registered for {}, not {}",
            registered.name(),
            method.name()
        ))),
        Some(_) | None => Ok(Caller { client, authenticated: true }),
    }
}

/// One answer for both, so that nobody learns which clients exist.
fn unknown_or_wrong() -> OauthError {
    ErrorCode::InvalidClient.because("the client is unknown or its secret is wrong")
}

/// What the request says of its sender.
struct Shown {
    id: String,
    secret: Option<(ClientAuth, String)>,
}

impl Shown {
    fn read(headers: &HeaderMap, form: &Form) -> Result<Self, OauthError> {
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        let (header, second) = (authorizations.next(), authorizations.next());
        if second.is_some() {
            return Err(ErrorCode::InvalidRequest.because("there are two Authorization headers"));
        }
        if form.get("client_assertion").or(form.get("client_assertion_type")).is_some() {
            return Err(ErrorCode::InvalidClient.because("client assertions are not supported"));
        }
        match header {
            Some(header) => Self::from_header(header.as_bytes(), form),
            None => Self::from_body(form),
        }
    }

    fn from_header(header: &[u8], form: &Form) -> Result<Self, OauthError> {
        if form.get("client_secret").is_some() {
            return Err(ErrorCode::InvalidRequest.because("the client authenticates in two ways at once"));
        }
        let (id, secret) = basic(header).ok_or_else(|| {
            ErrorCode::InvalidClient.because("the Authorization header is not Basic with a form-encoded id and secret")
        })?;
        if form.get("client_id").is_some_and(|named| named != id) {
            return Err(ErrorCode::InvalidRequest.because("client_id is not the client of the Authorization header"));
        }
        Ok(Self { id, secret: Some((ClientAuth::Basic, secret)) })
    }

    fn from_body(form: &Form) -> Result<Self, OauthError> {
        let secret = form.get("client_secret");
        let Some(id) = form.get("client_id") else {
            return Err(match secret {
                Some(_) => ErrorCode::InvalidRequest.because("client_secret came without client_id"),
                None => ErrorCode::InvalidClient.because("the client did not authenticate"),
            });
        };
        Ok(Self { id: id.to_owned(), secret: secret.map(|secret| (ClientAuth::Post, secret.to_owned())) })
    }
}

/// Id and secret of a Basic credential. Both are form-encoded before they are joined by the colon (RFC 6749, section
/// 2.3.1), so that either may contain one.
fn basic(header: &[u8]) -> Option<(String, String)> {
    let (scheme, credential) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let joined = STANDARD.decode(credential.trim_ascii_start()).ok()?;
    let colon = joined.iter().position(|byte| *byte == b':')?;
    Some((decode(&joined[..colon])?, decode(&joined[colon + 1..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_decoded() {
        let header = |joined: &str| format!("basic {}", STANDARD.encode(joined)).into_bytes();
        let cases = [
            ("id:secret", Some(("id", "secret"))),
            ("a%3Ab:%25+%2B:x", Some(("a:b", "% +:x"))),
            ("id:", Some(("id", ""))),
            ("id", None),
            ("id:100%", None),
            ("id:%ff", None),
        ];
        for (joined, expected) in cases {
            let got = basic(&header(joined));
            let got = got.as_ref().map(|(id, secret)| (id.as_str(), secret.as_str()));
            assert_eq!(got, expected, "{joined}");
        }
        for bad in [&b"Basic"[..], b"Basic ", b"Basic !!!", b"Bearer aWQ6c2VjcmV0", b"Basic aWQ6c2VjcmV0 x"] {
            assert_eq!(basic(bad), None);
        }
    }
}
