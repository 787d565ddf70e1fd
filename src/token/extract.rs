//! Exactly one credential from a request, or none (RFC 6750 section 2.1).
//!
//! Promises that what it gives is the whole b64token of the only `Authorization` field, sent with the scheme `Bearer` or
//! `DPoP` (RFC 9449 section 7.1). Any other scheme is no credential of ours. Refuses everything that two parties could read
//! differently: a second field, another separator than spaces, a list, bytes after the token, and a second token in the
//! query. A token that is only in the query is not read, for it would end up in logs and histories, unless the route says
//! so: then, and only if there is no `Authorization` at all, the token may be in the places of [`elsewhere`].

use std::borrow::Cow;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{Rejection, RejectionCode, elsewhere};
use crate::config::model::TokenFrom;

/// How a token was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750
    Bearer,
    /// RFC 9449
    Dpop,
}

/// Where a token came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The field `Authorization`.
    Authorization,
    /// A parameter of the query.
    Query,
    /// A WebSocket subprotocol.
    Subprotocol,
    /// A cookie.
    Cookie,
}

/// A token, and how it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential<'h> {
    /// The token.
    pub token: Cow<'h, str>,
    /// How it was sent.
    pub scheme: Scheme,
    /// Where.
    pub place: Place,
}

/// The one credential of a request; `None` when it brought none of ours.
///
/// `query` is the request's query without the question mark; `from` are the places beside `Authorization`.
///
/// # Errors
/// `bad_credential_syntax`
pub fn credential<'h>(
    headers: &'h HeaderMap,
    query: Option<&'h str>,
    from: Option<&TokenFrom>,
) -> Result<Option<Credential<'h>>, Rejection> {
    let written = in_authorization(headers)?;
    let found = match from {
        None => written,
        Some(from) => match elsewhere::credential(from, headers, query)? {
            Some(_) if headers.contains_key(AUTHORIZATION) => {
                return Err(bad("an Authorization field, and a token in another place"));
            }
            other => written.or(other),
        },
    };
    let named = from.and_then(|from| from.query.as_deref());
    match named != Some(ACCESS_TOKEN) && found.is_some() && query.is_some_and(has_access_token) {
        true => Err(bad("a token, and another in the query")),
        false => Ok(found),
    }
}

/// The parameter of RFC 6750 section 2.3.
const ACCESS_TOKEN: &str = "access_token";

fn in_authorization(headers: &HeaderMap) -> Result<Option<Credential<'_>>, Rejection> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(bad("more than one Authorization field"));
    }
    let field = field.as_bytes();
    let (scheme, rest) = field.split_at(field.iter().take_while(|byte| is_token_char(**byte)).count());
    let Some(scheme) = ours(scheme) else {
        return match scheme.is_empty() || hides_another(rest) {
            true => Err(bad("an Authorization field that does not begin with one scheme")),
            false => Ok(None),
        };
    };
    Ok(Some(Credential { token: token(rest)?.into(), scheme, place: Place::Authorization }))
}

/// Whether the first Authorization field of a request has the scheme `DPoP`, whatever else is wrong with it.
#[must_use]
pub fn is_dpop(headers: &HeaderMap) -> bool {
    headers.get(AUTHORIZATION).is_some_and(|field| {
        let scheme = field.as_bytes().split(|byte| !is_token_char(*byte)).next();
        scheme.and_then(ours) == Some(Scheme::Dpop)
    })
}

fn ours(scheme: &[u8]) -> Option<Scheme> {
    match scheme {
        _ if scheme.eq_ignore_ascii_case(b"Bearer") => Some(Scheme::Bearer),
        _ if scheme.eq_ignore_ascii_case(b"DPoP") => Some(Scheme::Dpop),
        _ => None,
    }
}

/// `1*SP b64token`, what follows the scheme.
fn token(rest: &[u8]) -> Result<&str, Rejection> {
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let token = &rest[spaces..];
    if spaces == 0 || token.is_empty() {
        return Err(bad("the scheme is not followed by a space and a token"));
    }
    match std::str::from_utf8(token).ok().filter(|text| is_b64token(text.as_bytes())) {
        Some(token) => Ok(token),
        None => Err(bad("what follows the scheme is not one b64token (RFC 6750 section 2.1)")),
    }
}

pub(super) fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &token[..token.len() - padding];
    // Every byte is looked at, whatever the ones before it were: such a loop is done many bytes at a time.
    !body.is_empty() && body.iter().fold(true, |all, &byte| all & is_b64token_char(byte))
}

/// A letter, a digit, or one of `-._~+/`. In ASCII, `-./` stand right before the digits.
const fn is_b64token_char(byte: u8) -> bool {
    ((byte | 0x20).wrapping_sub(b'a') < 26)
        | (byte.wrapping_sub(b'-') <= b'9' - b'-')
        | (byte == b'_')
        | (byte == b'~')
        | (byte == b'+')
}

/// `tchar` of RFC 9110 section 5.6.2, of which a scheme consists.
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a field that begins with another scheme goes on with one of ours, as a joined list of two fields would.
fn hides_another(rest: &[u8]) -> bool {
    rest.split(|byte| *byte == b',').skip(1).any(|item| {
        let item = item.trim_ascii_start();
        let name = &item[..item.iter().take_while(|byte| is_token_char(**byte)).count()];
        ours(name).is_some() && item.get(name.len()).is_none_or(|next| *next != b'=')
    })
}

/// Whether a query has the parameter of RFC 6750 section 2.3, however it is escaped.
fn has_access_token(query: &str) -> bool {
    query.split('&').any(|parameter| elsewhere::is_named(parameter, ACCESS_TOKEN))
}

pub(super) fn bad(detail: &'static str) -> Rejection {
    Rejection::new(RejectionCode::BadCredentialSyntax, detail)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn code(fields: &[&[u8]], query: Option<&str>) -> Result<Option<String>, RejectionCode> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(field).expect("a field value"));
        }
        let told = |found: Credential<'_>| match found.scheme {
            Scheme::Bearer => found.token.into_owned(),
            Scheme::Dpop => format!("DPoP {}", found.token),
        };
        credential(&headers, query, None).map(|found| found.map(told)).map_err(|rejection| rejection.code)
    }

    #[test]
    fn the_characters_of_a_token_are_those_of_rfc_6750() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_b64token_char(byte), expected, "{byte:#x}");
        }
    }

    #[test]
    fn exactly_one_bearer_token_or_none() {
        use RejectionCode::BadCredentialSyntax as Bad;
        type Case<'a> = (&'a [&'a [u8]], Option<&'a str>, Result<Option<&'a str>, RejectionCode>);
        let cases: &[Case<'_>] = &[
            (&[], None, Ok(None)),
            (&[], Some("access_token=x"), Ok(None)),
            (&[b"Bearer abc"], None, Ok(Some("abc"))),
            (&[b"bEARER abc"], None, Ok(Some("abc"))),
            (&[b"Bearer   abc"], None, Ok(Some("abc"))),
            (&[b"Bearer a.b-c_d~e+f/g=="], None, Ok(Some("a.b-c_d~e+f/g=="))),
            (&[b"Bearer abc"], Some("a=1&access=2&token_access_token=3"), Ok(Some("abc"))),
            (&[b"Basic YTpi"], None, Ok(None)),
            (&[b"Basic YTpi"], Some("access_token=x"), Ok(None)),
            (&[b"Digest username=\"a\", realm=\"b\", bearer=\"c\""], None, Ok(None)),
            (&[b"Bearerx abc"], None, Ok(None)),
            (&[b"Negotiate"], None, Ok(None)),
            (&[b"Bearer"], None, Err(Bad)),
            (&[b"Bearer "], None, Err(Bad)),
            (&[b"Bearer\tabc"], None, Err(Bad)),
            (&[b"Bearer \tabc"], None, Err(Bad)),
            (&[b"Bearer=abc"], None, Err(Bad)),
            (&[b"Bearer,abc"], None, Err(Bad)),
            (&[b"Bearer abc,def"], None, Err(Bad)),
            (&[b"Bearer abc, Bearer def"], None, Err(Bad)),
            (&[b"Bearer abc def"], None, Err(Bad)),
            (&[b"Bearer abc "], None, Err(Bad)),
            (&[b"Bearer abc\t"], None, Err(Bad)),
            (&[b"Bearer \"abc\""], None, Err(Bad)),
            (&[b"Bearer ="], None, Err(Bad)),
            (&[b"Bearer a=b"], None, Err(Bad)),
            (&[b"Bearer ab\xe9"], None, Err(Bad)),
            (&[b"Bearer ab\xc3\xa9"], None, Err(Bad)),
            (&[b"Bearer abc", b"Bearer abc"], None, Err(Bad)),
            (&[b"Bearer abc", b"Basic YTpi"], None, Err(Bad)),
            (&[b"Basic YTpi", b"Bearer abc"], None, Err(Bad)),
            (&[b"Basic YTpi, Bearer abc"], None, Err(Bad)),
            (&[b"Basic YTpi,DPoP\tabc"], None, Err(Bad)),
            (&[b""], None, Err(Bad)),
            (&[b" Bearer abc"], None, Err(Bad)),
            (&[b"\"Bearer\" abc"], None, Err(Bad)),
            (&[b"Bearer abc"], Some("access_token=x"), Err(Bad)),
            (&[b"Bearer abc"], Some("a=1&access%5Ftoken"), Err(Bad)),
            (&[b"DPoP abc"], None, Ok(Some("DPoP abc"))),
            (&[b"dpop   abc=="], Some("x"), Ok(Some("DPoP abc=="))),
            (&[b"dpop"], None, Err(Bad)),
            (&[b"DPoP abc, Bearer abc"], None, Err(Bad)),
            (&[b"DPoP abc"], Some("access_token=x"), Err(Bad)),
            (&[b"DPoP abc", b"Bearer abc"], None, Err(Bad)),
            (&[b"DPoPx abc"], None, Ok(None)),
        ];
        for (fields, query, expected) in cases {
            let shown: Vec<_> = fields.iter().map(|field| String::from_utf8_lossy(field)).collect();
            assert_eq!(code(fields, *query), expected.map(|token| token.map(str::to_owned)), "{shown:?} {query:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_the_whole_rest_of_the_field(rest in "[ -~\t]{0,24}") {
            let field = format!("Bearer {rest}");
            if let Ok(Some(token)) = code(&[field.as_bytes()], None) {
                prop_assert_eq!(rest.trim_start_matches(' '), &token);
                prop_assert!(!token.contains([' ', '\t', ',', '"', ';']));
            }
        }
    }
}
