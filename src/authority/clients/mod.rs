//! Client authentication (RFC 6749, section 2.3): finds out which client is asking and whether it proved it.
//!
//! A client proves itself by its secret, by an assertion that it signed, or by the certificate of its connection.
//! Promises: secrets are compared in constant time, and an unknown client costs the same comparison as a known one.
//! Refuses: two ways of authentication in one request, a way that the client is not registered for, an Authorization
//! header of another scheme, a secret from a client that has none.

mod assertion;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, request};

use super::State;
use super::endpoints::Endpoint;
use super::errors::{ErrorCode, OauthError};
use super::form::{Form, decode};
use super::jws::Jws;
use super::settings::{Client, ClientAuth};
use crate::secret::{same, sha256};
use crate::server::presented::Presented;

/// The client that asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'a> {
    /// Who it is.
    pub(super) client: &'a Client,
    /// Whether it proved that; a public client cannot.
    pub(super) authenticated: bool,
}

/// Which client sent this request to `endpoint`.
pub(super) fn authenticate<'a>(
    state: &'a State,
    head: &request::Parts,
    endpoint: &Endpoint,
    form: &Form,
) -> Result<Caller<'a>, OauthError> {
    let shown = Shown::read(&head.headers, form)?;
    let client = state.settings.client(&shown.id);
    match shown.proof {
        Proof::Nothing => by_connection(state, client, head.extensions.get()),
        Proof::Secret(method, secret) => by_secret(client, method, &secret),
        Proof::Assertion(text) => by_assertion(state, client, endpoint, text),
    }
}

/// A request without a proof in it: of a public client, or of one that its connection proves.
fn by_connection<'a>(
    state: &State,
    client: Option<&'a Client>,
    presented: Option<&Presented>,
) -> Result<Caller<'a>, OauthError> {
    let client = client.ok_or_else(unknown_or_wrong)?;
    let proven = match client.auth {
        Some(ClientAuth::Tls) => presented.map(|shown| is_named(state, client, shown)),
        Some(ClientAuth::SelfSignedTls) => presented.map(|shown| client.certificates.contains(shown.leaf())),
        _ if client.is_public() => return Ok(Caller { client, authenticated: false }),
        _ => return Err(ErrorCode::InvalidClient.because("this client must authenticate")),
    };
    match proven {
        Some(true) => Ok(Caller { client, authenticated: true }),
        Some(false) => Err(ErrorCode::InvalidClient.because("the certificate of the connection is not the client's")),
        None => Err(ErrorCode::InvalidClient.because("this client must show its certificate, over TLS")),
    }
}

/// Whether an authority of the settings vouches for the certificate, and it has the client's name (RFC 8705, section 2.1).
fn is_named(state: &State, client: &Client, presented: &Presented) -> bool {
    let authorities = state.settings.tls.as_ref().and_then(|tls| tls.client_authorities.as_ref());
    let vouched = authorities.is_some_and(|known| presented.is_vouched_for(known, state.clock.now()));
    vouched && client.certificate_name.as_ref().is_some_and(|name| name.is_in(presented.leaf()))
}

fn by_secret<'a>(client: Option<&'a Client>, method: ClientAuth, secret: &str) -> Result<Caller<'a>, OauthError> {
    if client.is_some_and(|client| client.auth == Some(ClientAuth::None)) {
        return Err(ErrorCode::InvalidClient.because("this client is registered for none, and shows a secret"));
    }
    let expected = client.and_then(|client| client.secret.as_ref());
    // Digests have one length, so the time tells nothing of the secret's; without a secret there is nothing to match.
    let matches = same(&sha256(expected.map_or("", |known| known.expose()).as_bytes()), &sha256(secret.as_bytes()));
    let (Some(client), Some(_), true) = (client, expected, matches) else { return Err(unknown_or_wrong()) };
    match client.auth {
        Some(registered) if registered != method => Err(registered_for_another(registered, method)),
        Some(_) | None => Ok(Caller { client, authenticated: true }),
    }
}

fn by_assertion<'a>(
    state: &State,
    client: Option<&'a Client>,
    endpoint: &Endpoint,
    text: &str,
) -> Result<Caller<'a>, OauthError> {
    let client = client.ok_or_else(unknown_or_wrong)?;
    let bad = |why: &str| ErrorCode::InvalidClient.because(format!("the client assertion is not good: {why}"));
    if let Some(registered) = client.auth.filter(|registered| *registered != ClientAuth::PrivateKeyJwt) {
        return Err(registered_for_another(registered, ClientAuth::PrivateKeyJwt));
    }
    let jws = Jws::parse(text).map_err(bad)?;
    assertion::check(state, client, endpoint, &jws).map_err(bad)?;
    Ok(Caller { client, authenticated: true })
}

fn registered_for_another(registered: ClientAuth, used: ClientAuth) -> OauthError {
    let why = format!("this client is registered for {}, not {}", registered.name(), used.name());
    ErrorCode::InvalidClient.because(why)
}

/// One answer for both, so that nobody learns which clients exist.
fn unknown_or_wrong() -> OauthError {
    ErrorCode::InvalidClient.because("the client is unknown or its secret is wrong")
}

/// What the request says of its sender.
struct Shown<'f> {
    id: String,
    proof: Proof<'f>,
}

/// What it has in it to prove that.
enum Proof<'f> {
    Nothing,
    Secret(ClientAuth, String),
    Assertion(&'f str),
}

impl<'f> Shown<'f> {
    fn read(headers: &HeaderMap, form: &'f Form) -> Result<Self, OauthError> {
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        let (header, second) = (authorizations.next(), authorizations.next());
        if second.is_some() {
            return Err(ErrorCode::InvalidRequest.because("there are two Authorization headers"));
        }
        let assertion = Self::from_assertion(form)?;
        match (header, assertion) {
            (Some(_), Some(_)) => Err(two_ways()),
            (Some(header), None) => Self::from_header(header.as_bytes(), form),
            (None, Some(shown)) => Ok(shown),
            (None, None) => Self::from_body(form),
        }
    }

    /// The assertion says who sent it; `client_id` may repeat that (RFC 7521, section 4.2).
    fn from_assertion(form: &'f Form) -> Result<Option<Self>, OauthError> {
        let (text, kind) = (form.get("client_assertion"), form.get("client_assertion_type"));
        let Some((text, kind)) = text.zip(kind) else {
            let why = "client_assertion and client_assertion_type come together";
            return text.or(kind).map_or(Ok(None), |_| Err(ErrorCode::InvalidRequest.because(why)));
        };
        if kind != assertion::TYPE {
            return Err(ErrorCode::InvalidClient.because("client_assertion_type is not that of a JWT"));
        }
        if form.get("client_secret").is_some() {
            return Err(two_ways());
        }
        let subject = Jws::parse(text).ok().and_then(|jws| jws.text("sub").map(str::to_owned));
        let id = subject.or_else(|| form.get("client_id").map(str::to_owned));
        let id = id.ok_or_else(|| ErrorCode::InvalidClient.because("the client assertion names no client"))?;
        if form.get("client_id").is_some_and(|named| named != id) {
            return Err(ErrorCode::InvalidRequest.because("client_id is not the client of the assertion"));
        }
        Ok(Some(Self { id, proof: Proof::Assertion(text) }))
    }

    fn from_header(header: &[u8], form: &Form) -> Result<Self, OauthError> {
        if form.get("client_secret").is_some() {
            return Err(two_ways());
        }
        let (id, secret) = basic(header).ok_or_else(|| {
            ErrorCode::InvalidClient.because("the Authorization header is not Basic with a form-encoded id and secret")
        })?;
        if form.get("client_id").is_some_and(|named| named != id) {
            return Err(ErrorCode::InvalidRequest.because("client_id is not the client of the Authorization header"));
        }
        Ok(Self { id, proof: Proof::Secret(ClientAuth::Basic, secret) })
    }

    fn from_body(form: &Form) -> Result<Self, OauthError> {
        let secret = form.get("client_secret");
        let Some(id) = form.get("client_id") else {
            return Err(match secret {
                Some(_) => ErrorCode::InvalidRequest.because("client_secret came without client_id"),
                None => ErrorCode::InvalidClient.because("the client did not authenticate"),
            });
        };
        let proof = secret.map_or(Proof::Nothing, |secret| Proof::Secret(ClientAuth::Post, secret.to_owned()));
        Ok(Self { id: id.to_owned(), proof })
    }
}

fn two_ways() -> OauthError {
    ErrorCode::InvalidRequest.because("the client authenticates in two ways at once")
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
