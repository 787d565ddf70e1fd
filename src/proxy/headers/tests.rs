use super::*;

type Fields<'a> = &'a [(&'a str, &'a str)];

fn map(fields: Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn rules() -> HeaderRules {
    HeaderRules::new(&[HeaderName::from_static("x-auth-email"), HeaderName::from_static("remote-user")])
}

fn clean(fields: Fields<'_>, trusted: bool) -> (Hop, HeaderMap) {
    let mut headers = map(fields);
    let hop = rules().clean_request(&Method::GET, Version::HTTP_11, &mut headers, trusted).unwrap();
    (hop, headers)
}

#[test]
fn fields_that_never_go_up() {
    let never = [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "Proxy",
        "TE",
        "transfer_encoding",
        "Upgrade",
        "HTTP2-Settings",
        "http2_settings",
        "Expect",
        "content_length",
        "Content.Length",
        "X-Auth-Subject",
        "x-auth-subject",
        "X_Auth_Subject",
        "X-Auth_Subject",
        "X.Auth.Subject",
        "X!Auth-Subject",
        "X-AUTH-ISSUER",
        "X_AUTH_CLIENT",
        "X-Auth-Scopes",
        "x_auth-scopes",
        "X-Auth-Email",
        "X_Auth_Email",
        "Remote-User",
        "REMOTE_USER",
        "remote.user",
        "X_Forwarded_For",
        "X-Forwarded_Proto",
        "X_Forwarded-Host",
        "X.Original.Url",
        "x_rewrite_url",
        "X_Http_Method_Override",
        "X_Real_IP",
        "True_Client_IP",
        "X_Accel_Redirect",
        "X_Sendfile",
    ];
    for name in never {
        for trusted in [false, true] {
            let (_, left) = clean(&[("Host", "a"), (name, "x"), (name, "y"), ("Accept", "*/*")], trusted);
            assert_eq!(names(&left), ["accept", "host"], "{name}, trusted: {trusted}");
        }
    }
}

#[test]
fn fields_that_only_trusted_proxies_may_send() {
    let trusted_only = [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Uri",
        "X-Forwarded-Path",
        "X-Forwarded-Method",
        "X-Forwarded-User",
        "X-Forwarded-Server",
        "X-Original-URL",
        "X-Original-Method",
        "X-Original-Forwarded-For",
        "X-Rewrite-URL",
        "X-HTTP-Method",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Real-IP",
        "True-Client-IP",
        "X-Accel-Redirect",
        "X-Accel-Mapping",
        "X-Sendfile",
        "X-Sendfile-Type",
    ];
    for name in trusted_only {
        assert_eq!(names(&clean(&[("Host", "a"), (name, "x")], false).1), ["host"], "{name}");
        assert_eq!(names(&clean(&[("Host", "a"), (name, "x")], true).1).len(), 2, "{name} from a trusted proxy");
    }
}

#[test]
fn fields_that_pass() {
    let pass = [
        "Accept",
        "Authorization",
        "Cookie",
        "Content-Length",
        "Content-Type",
        "User-Agent",
        "If-None-Match",
        "Range",
        "Trailer",
        "X-Request-Id",
        "X-Auth-Token",
        "X-Auth-Subjects",
        "XAuthSubject",
        "X-Custom_Header",
        "Traceparent",
        "X-Forward",
        "Via",
        "Upgrade-Insecure-Requests",
        "Keep-Alive-Hint",
        "Expect-CT",
        "Remote-Users",
        "Origin",
        "Sec-WebSocket-Key",
        "Tenant",
        "Priority",
    ];
    for name in pass {
        assert_eq!(clean(&[(name, "x"), (name, "y")], false).1.get_all(name).iter().count(), 2, "{name}");
    }
}

#[test]
fn connection_names_fields_away_but_not_those_that_matter() {
    let cases: [(&str, Fields<'_>, &[&str]); 9] = [
        ("X-Custom", &[("X-Custom", "1")], &[]),
        ("close, x-one , ,X-TWO", &[("X-One", "1"), ("X-Two", "2"), ("X-Three", "3")], &["x-three"]),
        ("keep-alive", &[("X-One", "1")], &["x-one"]),
        ("Authorization", &[("Authorization", "Bearer t")], &["authorization"]),
        ("Host, Cookie", &[("Host", "a"), ("Cookie", "c=1")], &["cookie", "host"]),
        ("Content-Length", &[("Content-Length", "3")], &["content-length"]),
        ("DPoP", &[("DPoP", "proof")], &["dpop"]),
        ("@#()", &[("X-One", "1")], &["x-one"]),
        ("", &[("X-One", "1")], &["x-one"]),
    ];
    for (connection, fields, expected) in cases {
        let mut all = vec![("Connection", connection)];
        all.extend_from_slice(fields);
        assert_eq!(names(&clean(&all, false).1), expected, "Connection: {connection}");
    }
    let trusted =
        [("Connection", "X-Forwarded-For, Forwarded"), ("X-Forwarded-For", "1.2.3.4"), ("Forwarded", "for=x")];
    assert_eq!(names(&clean(&trusted, true).1), ["forwarded", "x-forwarded-for"]);
    let twice = [("Connection", "close"), ("Connection", "x-late"), ("X-Late", "1")];
    assert!(clean(&twice, false).1.is_empty());
}

#[test]
fn only_websocket_is_upgraded_to() {
    let cases: [(Method, Version, Fields<'_>, bool); 11] = [
        (Method::GET, Version::HTTP_11, &[("Connection", "Upgrade"), ("Upgrade", "websocket")], true),
        (Method::GET, Version::HTTP_11, &[("Connection", "keep-alive, upgrade"), ("Upgrade", "WebSocket")], true),
        (Method::POST, Version::HTTP_11, &[("Connection", "Upgrade"), ("Upgrade", "websocket")], false),
        (Method::GET, Version::HTTP_10, &[("Connection", "Upgrade"), ("Upgrade", "websocket")], false),
        (Method::GET, Version::HTTP_2, &[("Connection", "Upgrade"), ("Upgrade", "websocket")], false),
        (Method::GET, Version::HTTP_11, &[("Upgrade", "websocket")], false),
        (Method::GET, Version::HTTP_11, &[("Connection", "Upgrade")], false),
        (Method::GET, Version::HTTP_11, &[("Connection", "close"), ("Upgrade", "websocket")], false),
        (Method::GET, Version::HTTP_11, &[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")], false),
        (Method::GET, Version::HTTP_11, &[("Connection", "Upgrade"), ("Upgrade", "h2c, websocket")], false),
        (Method::GET, Version::HTTP_11, &[("Connection", "Upgrade"), ("Upgrade", "websocket/13")], false),
    ];
    for (method, version, fields, expected) in cases {
        let mut headers = map(fields);
        let hop = rules().clean_request(&method, version, &mut headers, false).unwrap();
        assert_eq!(hop.websocket, expected, "{method} {version:?} {fields:?}");
        assert!(headers.is_empty(), "{fields:?}");
    }
}

#[test]
fn te_keeps_trailers_alone() {
    for (te, trailers) in [("trailers", true), ("gzip, Trailers;q=0.5", true), ("gzip", false), ("trailersx", false)] {
        assert_eq!(clean(&[("TE", te), ("Connection", "TE")], false).0.trailers, trailers, "{te}");
    }
    let cases: [(Hop, Version, &[&str]); 5] = [
        (Hop { trailers: true, websocket: false }, Version::HTTP_11, &["connection", "te"]),
        (Hop { trailers: true, websocket: false }, Version::HTTP_2, &["te"]),
        (Hop { trailers: false, websocket: true }, Version::HTTP_11, &["connection", "upgrade"]),
        (Hop { trailers: false, websocket: true }, Version::HTTP_2, &[]),
        (Hop::default(), Version::HTTP_11, &[]),
    ];
    for (hop, version, expected) in cases {
        let mut headers = HeaderMap::new();
        write_hop(&mut headers, hop, version);
        assert_eq!(names(&headers), expected, "{hop:?} {version:?}");
    }
}

#[test]
fn only_a_chunked_body_was_undone() {
    let cases: [(Fields<'_>, bool); 6] = [
        (&[("Transfer-Encoding", "chunked")], true),
        (&[("Transfer-Encoding", "Chunked")], true),
        (&[("Transfer-Encoding", "gzip, chunked")], false),
        (&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], false),
        (&[("Transfer-Encoding", "gzip"), ("Transfer-Encoding", "chunked")], false),
        (&[("Transfer-Encoding", "")], false),
    ];
    for (fields, fine) in cases {
        let mut headers = map(fields);
        let hop = rules().clean_request(&Method::POST, Version::HTTP_11, &mut headers, false);
        assert_eq!(hop.is_ok(), fine, "{fields:?}");
        assert!(headers.is_empty() || !fine);
    }
}

#[test]
fn cookies_of_http2_become_one_field() {
    for (version, expected) in [(Version::HTTP_2, &["a=1; b=2; c=3"][..]), (Version::HTTP_11, &["a=1", "b=2; c=3"])] {
        let mut headers = map(&[("Cookie", "a=1"), ("Cookie", "b=2; c=3")]);
        rules().clean_request(&Method::GET, version, &mut headers, false).unwrap();
        assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn trailers_carry_no_identity_and_nothing_that_was_judged() {
    let mut trailers = map(&[
        ("Grpc-Status", "0"),
        ("X-Auth-Subject", "root"),
        ("X_Auth_Email", "root"),
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
        ("Host", "evil"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("X-Forwarded-For", "1.1.1.1"),
        ("Connection", "x"),
        ("TE", "trailers"),
        ("Server-Timing", "db"),
    ]);
    rules().clean_trailers(&mut trailers);
    assert_eq!(names(&trailers), ["grpc-status", "server-timing"]);
}

#[test]
fn the_hop_is_taken_out_of_responses() {
    let mut headers = map(&[
        ("Connection", "keep-alive, X-Hop, Set-Cookie2"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Proxy-Connection", "close"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2,h2c"),
        ("X-Hop", "1"),
        ("Server", "nginx"),
        ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Trailer", "Server-Timing"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Alt-Svc", "clear"),
    ]);
    clean_response(&mut headers);
    assert_eq!(names(&headers), ["alt-svc", "date", "server", "set-cookie", "trailer"]);
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
}

#[test]
fn the_credential_can_be_dropped() {
    let mut headers = map(&[("Authorization", "Bearer a"), ("DPoP", "p"), ("Accept", "*/*")]);
    drop_credential(&mut headers);
    assert_eq!(names(&headers), ["accept"]);
}

proptest::proptest! {
    #[test]
    fn no_spelling_of_an_identity_header_survives(
        name in proptest::sample::select(vec!["x-auth-subject", "x-auth-issuer", "x-auth-client", "x-auth-scopes", "remote-user"]),
        separators in proptest::collection::vec(proptest::sample::select(b"-_.!#$%&'*+^`|~".to_vec()), 4),
        upper in proptest::collection::vec(proptest::bool::ANY, 16),
        trusted in proptest::bool::ANY,
    ) {
        let mut separators = separators.into_iter();
        let spelled: Vec<u8> = name.bytes().zip(upper.iter().cycle()).map(|(byte, &up)| match byte {
            b'-' => separators.next().unwrap_or(b'-'),
            letter if up => letter.to_ascii_uppercase(),
            letter => letter,
        }).collect();
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_bytes(&spelled).unwrap(), HeaderValue::from_static("root"));
        rules().clean_request(&Method::GET, Version::HTTP_11, &mut headers, trusted).unwrap();
        proptest::prop_assert!(headers.is_empty());
    }
}
