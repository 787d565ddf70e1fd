use http::HeaderName;
use proptest::prelude::*;

use super::*;
use crate::token::extract;
use crate::token::{RejectionCode, testing::b64};

fn from() -> TokenFrom {
    let name = |name: &str| Some(name.to_owned());
    TokenFrom {
        query: name("token"),
        subprotocol: name("bearer.example"),
        cookie: name("jwt"),
        cookie_origins: Vec::new(),
    }
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_str(value).expect("a value"))
    };
    fields.iter().map(field).collect()
}

fn told(fields: &[(&str, &str)], query: &str) -> Result<Option<(String, Place)>, RejectionCode> {
    let headers = headers(fields);
    let found = extract::credential(&headers, Some(query), Some(&from()));
    found.map(|found| found.map(|found| (found.token.into_owned(), found.place))).map_err(|rejection| rejection.code)
}

fn protocol(value: &str) -> [(&str, &str); 1] {
    [("sec-websocket-protocol", value)]
}

#[test]
fn one_token_in_one_place_or_none() {
    let offers = |token: &str| format!("chat, bearer.example.{}", b64(token));
    let (abc, odd, none) = (offers("abc"), offers("a+/~=="), offers(""));
    let alone = format!("bearer.example.{}", b64("abc"));
    let twice = format!("{abc}, bearer.example.{}", b64("def"));
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<(&'a str, Place)>);
    let cases: &[Case<'_>] = &[
        (&[], "", None),
        (&[], "a=b&tokens=abc&TOKEN=abc", None),
        (&[], "token=abc", Some(("abc", Place::Query))),
        (&[], "a=b&token=a.b-c_d~e%2Bf%2Fg%3D%3D&c", Some(("a.b-c_d~e+f/g==", Place::Query))),
        (&[], "%74oken=abc", Some(("abc", Place::Query))),
        (&[], "a=1;token=abc", None),
        (&protocol(&abc), "", Some(("abc", Place::Subprotocol))),
        (&protocol(&odd), "", Some(("a+/~==", Place::Subprotocol))),
        (&[protocol("chat")[0], protocol(&alone)[0]], "", Some(("abc", Place::Subprotocol))),
        (&protocol("chat, bearer.examples, BEARER.EXAMPLE.YWJj"), "", None),
        (&[("cookie", "a=b; jwt=abc; c=d")], "", Some(("abc", Place::Cookie))),
        (&[("cookie", "a=b"), ("cookie", "jwt=\"abc==\"")], "", Some(("abc==", Place::Cookie))),
        (&[("cookie", "JWT=abc; xjwt=abc; jwt")], "", None),
        (&[("cookie", "jwt=; a=b")], "", None),
        (&[("cookie", "jwt=")], "token=abc", Some(("abc", Place::Query))),
        (&[("authorization", "Bearer abc"), ("cookie", "a=b")], "a=b", Some(("abc", Place::Authorization))),
    ];
    for (fields, query, expected) in cases {
        let expected = expected.map(|(token, place)| (token.to_owned(), place));
        assert_eq!(told(fields, query), Ok(expected), "{fields:?} {query:?}");
    }
    let refused: &[(&[(&str, &str)], &str)] = &[
        (&[], "token="),
        (&[], "token"),
        (&[], "token=a+b"),
        (&[], "token=a%20b"),
        (&[], "token=a%C3%A9"),
        (&[], "token=a%FF"),
        (&[], "token=a,b"),
        (&[], "token=abc&token=abc"),
        (&[], "token=abc&tok%65n="),
        (&[], "token=abc&access_token=def"),
        (&protocol(&none), ""),
        (&protocol("chat, bearer.example.a*b"), ""),
        (&protocol("chat, bearer.example.YWJj="), ""),
        (&protocol(&alone), ""),
        (&protocol(&twice), ""),
        (&[("cookie", "jwt=a b")], ""),
        (&[("cookie", "jwt=abc; jwt=abc")], ""),
        (&[("cookie", "jwt=abc"), ("cookie", "a=b; jwt=")], ""),
        (&[("cookie", "jwt=abc")], "token=abc"),
        (&[("cookie", "jwt=abc")], "access_token=abc"),
        (&[("cookie", "jwt=abc"), protocol(&abc)[0]], ""),
        (&protocol(&abc), "token=abc"),
        (&[("authorization", "Bearer abc")], "token=abc"),
        (&[("authorization", "Bearer abc")], "token="),
        (&[("authorization", "Bearer abc"), ("cookie", "jwt=abc")], ""),
        (&[("authorization", "Bearer abc"), protocol(&abc)[0]], ""),
        (&[("authorization", "Basic YTpi")], "token=abc"),
        (&[("authorization", "Basic YTpi"), ("cookie", "jwt=abc")], ""),
    ];
    for (fields, query) in refused {
        assert_eq!(told(fields, query), Err(RejectionCode::BadCredentialSyntax), "{fields:?} {query:?}");
    }
}

#[test]
fn places_that_the_route_does_not_name_are_not_looked_at() {
    let bare = TokenFrom { query: None, subprotocol: None, cookie: Some("other".into()), cookie_origins: Vec::new() };
    let headers = headers(&[("cookie", "jwt=abc"), ("sec-websocket-protocol", "chat, bearer.example.YWJj")]);
    for from in [None, Some(&bare)] {
        assert_eq!(extract::credential(&headers, Some("token=abc&access_token=abc"), from), Ok(None), "{from:?}");
    }
}

#[test]
fn a_token_goes_on_in_authorization_alone() {
    let offer = format!("bearer.example.{}", b64("abc"));
    let (first, middle) = (format!("{offer},chat"), format!("chat, {offer},super"));
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a [(&'a str, &'a str)]);
    let cases: &[Case<'_>] = &[
        ("/a?token=abc", &[], "/a", &[]),
        ("/a%2F?b=%20+&%74oken=abc&&c=", &[], "/a%2F?b=%20+&&c=", &[]),
        ("/a?b", &[("sec-websocket-protocol", &first)], "/a?b", &[("sec-websocket-protocol", "chat")]),
        ("/", &[("sec-websocket-protocol", &middle)], "/", &[("sec-websocket-protocol", "chat, super")]),
        ("/", &[("cookie", "jwt=abc")], "/", &[]),
        ("/", &[("cookie", "a=b;jwt=\"abc\"; c=d=e")], "/", &[("cookie", "a=b; c=d=e")]),
        ("http://h.test/a?token=abc&b", &[], "http://h.test/a?b", &[]),
    ];
    for (target, fields, expected, kept) in cases {
        let (mut sent, mut uri) = (headers(fields), target.parse::<Uri>().expect("a target"));
        bring_home(&from(), &mut sent, &mut uri).expect("it can be written").expect("there is a token");
        let mut expected_headers = headers(kept);
        expected_headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
        assert_eq!((uri.to_string().as_str(), &sent), (*expected, &expected_headers), "{target} {fields:?}");
        assert!(sent[AUTHORIZATION].is_sensitive());
    }
    let (mut sent, mut uri) = (headers(&[("authorization", "Bearer abc")]), Uri::from_static("/a?b"));
    assert_eq!(bring_home(&from(), &mut sent, &mut uri), Ok(None));
    assert_eq!((uri.to_string().as_str(), &sent[AUTHORIZATION]), ("/a?b", &HeaderValue::from_static("Bearer abc")));
}

#[test]
fn an_answer_to_a_token_from_elsewhere_is_for_no_shared_cache() {
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[], "private"),
        (&[("cache-control", "public, max-age=60")], "private"),
        (&[("cache-control", "max-age=60, Private")], "max-age=60, Private"),
        (&[("cache-control", "no-store")], "no-store"),
        (&[("cache-control", "max-age=60"), ("referrer-policy", "unsafe-url")], "private"),
    ];
    for (fields, expected) in cases {
        let mut answer = headers(fields);
        keep_private(&mut answer, Place::Query);
        assert_eq!(answer[CACHE_CONTROL], expected, "{fields:?}");
        assert_eq!(answer[REFERRER_POLICY], "no-referrer", "{fields:?}");
        let mut answer = headers(fields);
        let before = answer.get(REFERRER_POLICY).cloned();
        keep_private(&mut answer, Place::Cookie);
        assert_eq!(answer[CACHE_CONTROL], expected, "{fields:?}");
        assert_eq!(answer.get(REFERRER_POLICY), before.as_ref(), "{fields:?}");
    }
}

proptest! {
    /// Whatever comes, nothing panics, and what is taken out stands nowhere else afterwards.
    #[test]
    fn what_is_left_holds_no_token(query in "(token=|a=|&|%74oken=|[a-f]{1,3}|;|=){0,6}", cookie in "(jwt=|a=|; |\"|[a-f]{1,3}){0,6}") {
        let Ok(mut uri) = format!("/x?{query}").parse::<Uri>() else { return Ok(()) };
        let mut sent = headers(&[("cookie", &cookie)]);
        if let Ok(Some(_)) = bring_home(&from(), &mut sent, &mut uri) {
            prop_assert!(sent.remove(AUTHORIZATION).is_some());
            prop_assert_eq!(credential(&from(), &sent, uri.query()), Ok(None));
        }
    }
}
