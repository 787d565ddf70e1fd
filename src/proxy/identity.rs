//! Identity headers: what an upstream is told about the principal, computed once for each verified token.
//!
//! | header | value |
//! | --- | --- |
//! | `X-Auth-Subject` | `sub` |
//! | `X-Auth-Issuer` | `iss` |
//! | `X-Auth-Client` | the client |
//! | `X-Auth-Scopes` | the scopes, joined by one space |
//! | those of `[identity_headers]` | the claim that the JSON Pointer names |
//!
//! An absent (or null) claim has no header. A value is percent-encoded UTF-8 wherever it is not printable ASCII, and
//! `%` is encoded as well, so decoding is never ambiguous; blanks at either end are encoded, since a reader would trim
//! them. Arrays are joined by commas after each element, commas included, was encoded. Numbers, booleans and objects
//! are their JSON text. A control character makes the token malformed: nothing that looks like a line end goes up.

use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use crate::policy::Pointer;
use crate::token::principal::Principal;
use crate::token::{Rejection, RejectionCode};

/// `X-Auth-Subject`
pub const SUBJECT: HeaderName = HeaderName::from_static("x-auth-subject");
/// `X-Auth-Issuer`
pub const ISSUER: HeaderName = HeaderName::from_static("x-auth-issuer");
/// `X-Auth-Client`
pub const CLIENT: HeaderName = HeaderName::from_static("x-auth-client");
/// `X-Auth-Scopes`
pub const SCOPES: HeaderName = HeaderName::from_static("x-auth-scopes");

const TEXT: &AsciiSet = &CONTROLS.add(b'%');
const ELEMENT: &AsciiSet = &TEXT.add(b',');

/// The identity headers of one principal. Kept beside its verdict; a request clones values, which copies nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityHeaders(Vec<(HeaderName, HeaderValue)>);

impl IdentityHeaders {
    /// Name and value of each.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(HeaderName, HeaderValue)> {
        self.0.iter()
    }

    fn set(&mut self, name: HeaderName, text: String) -> Result<(), Rejection> {
        let Ok(value) = HeaderValue::try_from(text) else {
            return Err(malformed(&name));
        };
        self.0.push((name, value));
        Ok(())
    }
}

/// Something that an upstream is told about in identity headers: a cached verdict.
pub trait Identified {
    /// Its identity headers, from [`identity`].
    fn identity(&self) -> &IdentityHeaders;
}

impl<T: Identified> Identified for std::rc::Rc<T> {
    fn identity(&self) -> &IdentityHeaders {
        (**self).identity()
    }
}

impl<T: Identified> Identified for std::sync::Arc<T> {
    fn identity(&self) -> &IdentityHeaders {
        (**self).identity()
    }
}

/// The identity headers of `principal`; `extra` is `[identity_headers]`: header and JSON Pointer into the claims.
///
/// # Errors
/// `malformed_token` when a value holds a control character.
pub fn identity(principal: &Principal, extra: &[(HeaderName, String)]) -> Result<IdentityHeaders, Rejection> {
    let mut headers = IdentityHeaders(Vec::with_capacity(4 + extra.len()));
    if let Some(subject) = &principal.subject {
        headers.set(SUBJECT, encoded(subject, TEXT, &SUBJECT)?)?;
    }
    headers.set(ISSUER, encoded(&principal.issuer_id, TEXT, &ISSUER)?)?;
    if let Some(client) = &principal.client {
        headers.set(CLIENT, encoded(client, TEXT, &CLIENT)?)?;
    }
    if !principal.scopes.is_empty() {
        let scopes: Result<Vec<_>, _> = principal.scopes.iter().map(|scope| encoded(scope, TEXT, &SCOPES)).collect();
        headers.set(SCOPES, scopes?.join(" "))?;
    }
    for (name, pointer) in extra {
        let Some(claim) = Pointer::new(pointer).follow(&principal.claims) else { continue };
        if let Some(text) = claim_text(claim, name)? {
            headers.set(name.clone(), text)?;
        }
    }
    Ok(headers)
}

/// The value of a claim as one header; none when it is null.
fn claim_text(claim: &Value, name: &HeaderName) -> Result<Option<String>, Rejection> {
    match claim {
        Value::Null => Ok(None),
        Value::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| scalar_text(item, ELEMENT, name)).collect();
            Ok(Some(items?.join(",")))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            scalar_text(claim, TEXT, name).map(Some)
        }
    }
}

fn scalar_text(value: &Value, set: &'static AsciiSet, name: &HeaderName) -> Result<String, Rejection> {
    match value {
        Value::String(text) => encoded(text, set, name),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            encoded(&value.to_string(), set, name)
        }
    }
}

fn encoded(text: &str, set: &'static AsciiSet, name: &HeaderName) -> Result<String, Rejection> {
    if text.chars().any(char::is_control) {
        return Err(malformed(name));
    }
    let inner = text.trim_matches(' ');
    let lead = text.len() - text.trim_start_matches(' ').len();
    let trail = if inner.is_empty() { 0 } else { text.len() - lead - inner.len() };
    let mut out = "%20".repeat(lead);
    out.extend(utf8_percent_encode(inner, set));
    out.push_str(&"%20".repeat(trail));
    Ok(out)
}

fn malformed(name: &HeaderName) -> Rejection {
    Rejection::new(RejectionCode::MalformedToken, format!("a control character in the value for {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;
    use crate::token::principal::Scopes;

    fn principal(claims: Value) -> Principal {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(Box::from);
        Principal {
            issuer: 0,
            issuer_id: "https://login.acme.example".into(),
            subject: text("sub"),
            client: text("client_id"),
            scopes: Scopes::parse(claims.get("scope").and_then(Value::as_str).unwrap_or_default()),
            audiences: Vec::new(),
            expires_at: UnixTime::from_secs(0),
            binding: None,
            claims: claims.clone(),
        }
    }

    fn header(claims: Value, name: &str) -> Result<Option<String>, RejectionCode> {
        let extra = [
            (HeaderName::from_static("x-auth-email"), "/email".to_owned()),
            (HeaderName::from_static("x-team"), "/groups/0".to_owned()),
            (HeaderName::from_static("x-groups"), "/groups".to_owned()),
        ];
        let headers = identity(&principal(claims), &extra).map_err(|rejection| rejection.code)?;
        let value = headers.iter().find(|(header, _)| header == name).map(|(_, value)| value);
        Ok(value.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn claims_become_header_values() {
        let malformed = Err(RejectionCode::MalformedToken);
        let is = |text: &str| Ok(Some(text.to_owned()));
        let cases = [
            (serde_json::json!({ "sub": "alice" }), "x-auth-subject", is("alice")),
            (serde_json::json!({ "sub": "auth0|5f7c" }), "x-auth-subject", is("auth0|5f7c")),
            (serde_json::json!({ "sub": "zoë" }), "x-auth-subject", is("zo%C3%AB")),
            (serde_json::json!({ "sub": "100%" }), "x-auth-subject", is("100%25")),
            (serde_json::json!({ "sub": " a b " }), "x-auth-subject", is("%20a b%20")),
            (serde_json::json!({ "sub": "  " }), "x-auth-subject", is("%20%20")),
            (serde_json::json!({ "sub": "" }), "x-auth-subject", is("")),
            (serde_json::json!({ "sub": "a,b" }), "x-auth-subject", is("a,b")),
            (serde_json::json!({}), "x-auth-subject", Ok(None)),
            (serde_json::json!({}), "x-auth-client", Ok(None)),
            (serde_json::json!({}), "x-auth-scopes", Ok(None)),
            (serde_json::json!({}), "x-auth-issuer", is("https://login.acme.example")),
            (serde_json::json!({ "client_id": "web" }), "x-auth-client", is("web")),
            (serde_json::json!({ "scope": "b  a b" }), "x-auth-scopes", is("b a")),
            (serde_json::json!({ "email": null }), "x-auth-email", Ok(None)),
            (serde_json::json!({ "email": 7 }), "x-auth-email", is("7")),
            (serde_json::json!({ "email": true }), "x-auth-email", is("true")),
            (serde_json::json!({ "groups": ["a", "b,c", "d"] }), "x-groups", is("a,b%2Cc,d")),
            (serde_json::json!({ "groups": ["ä", 1, false] }), "x-groups", is("%C3%A4,1,false")),
            (serde_json::json!({ "groups": [] }), "x-groups", is("")),
            (serde_json::json!({ "groups": ["ops", "dev"] }), "x-team", is("ops")),
            (serde_json::json!({ "sub": "a\r\nX-Auth-Client: root" }), "x-auth-subject", malformed.clone()),
            (serde_json::json!({ "sub": "a\u{0}" }), "x-auth-subject", malformed.clone()),
            (serde_json::json!({ "sub": "a\u{85}b" }), "x-auth-subject", malformed.clone()),
            (serde_json::json!({ "sub": "a\u{7f}b" }), "x-auth-subject", malformed.clone()),
            (serde_json::json!({ "groups": ["a", "b\n"] }), "x-groups", malformed.clone()),
            (serde_json::json!({ "scope": "a\tb" }), "x-auth-scopes", malformed),
        ];
        for (claims, name, expected) in cases {
            assert_eq!(header(claims.clone(), name), expected, "{name} of {claims}");
        }
    }

    proptest::proptest! {
        #[test]
        fn decoding_gives_the_claim_back(subject in "\\PC*") {
            proptest::prop_assume!(!subject.chars().any(char::is_control));
            let value = header(serde_json::json!({ "sub": subject }), "x-auth-subject").unwrap().unwrap();
            let decoded = percent_encoding::percent_decode_str(&value).decode_utf8().unwrap();
            proptest::prop_assert_eq!(decoded, subject);
            proptest::prop_assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            proptest::prop_assert_eq!(value.trim(), value.as_str());
        }
    }
}
