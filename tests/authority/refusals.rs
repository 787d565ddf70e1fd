//! Each refusal of the token endpoint with its exact status and `error` (RFC 6749, section 5.2; RFC 8707, section 2).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use super::harness::{Running, basic};

const GRANT: &str = "grant_type=client_credentials";
const POST: &str = "client_id=machine&client_secret=machine-secret";

/// Name, Authorization header, body, status, `error`.
type Case = (&'static str, Option<String>, String, u16, &'static str);

fn good() -> Option<String> {
    Some(basic("machine", "machine-secret").1)
}

fn with(extra: &str) -> String {
    format!("{GRANT}&{extra}")
}

fn client_cases() -> Vec<Case> {
    let raw = |text: &str| Some(text.to_owned());
    let basic = |id, secret| Some(basic(id, secret).1);
    let grant = || GRANT.to_owned();
    vec![
        ("no authentication", None, grant(), 401, "invalid_client"),
        ("unknown client", basic("nobody", "machine-secret"), grant(), 401, "invalid_client"),
        ("unknown client, empty secret", basic("nobody", ""), grant(), 401, "invalid_client"),
        ("wrong secret", basic("machine", "machine-secre"), grant(), 401, "invalid_client"),
        ("empty secret", basic("machine", ""), grant(), 401, "invalid_client"),
        ("secret in another case", basic("machine", "MACHINE-SECRET"), grant(), 401, "invalid_client"),
        ("wrong secret in the body", None, with("client_id=machine&client_secret=x"), 401, "invalid_client"),
        ("unknown client in the body", None, with("client_id=nobody&client_secret=x"), 401, "invalid_client"),
        ("unknown public client", None, with("client_id=nobody"), 401, "invalid_client"),
        ("confidential client without its secret", None, with("client_id=machine"), 401, "invalid_client"),
        ("confidential client, empty secret", None, with("client_id=machine&client_secret="), 401, "invalid_client"),
        ("secret of a public client", None, with("client_id=public&client_secret=x"), 401, "invalid_client"),
        ("Basic from a public client", basic("public", ""), grant(), 401, "invalid_client"),
        ("Basic from a client of post", basic("only-post", "machine-secret"), grant(), 401, "invalid_client"),
        (
            "post from a client of Basic",
            None,
            with("client_id=only-basic&client_secret=machine-secret"),
            401,
            "invalid_client",
        ),
        ("another scheme", raw("Bearer bWFjaGluZTptYWNoaW5lLXNlY3JldA=="), grant(), 401, "invalid_client"),
        ("a scheme alone", raw("Basic"), grant(), 401, "invalid_client"),
        ("not base64", raw("Basic machine:machine-secret"), grant(), 401, "invalid_client"),
        ("no colon", raw(&format!("Basic {}", STANDARD.encode("machine"))), grant(), 401, "invalid_client"),
        ("a broken escape", basic("machine", "100%"), grant(), 401, "invalid_client"),
        ("two ways at once", good(), with(POST), 400, "invalid_request"),
        ("a secret beside Basic", good(), with("client_secret=machine-secret"), 400, "invalid_request"),
        ("another client beside Basic", good(), with("client_id=scopeless"), 400, "invalid_request"),
        ("a secret without an id", None, with("client_secret=machine-secret"), 400, "invalid_request"),
        ("public client", None, with("client_id=public"), 400, "unauthorized_client"),
        ("client without the grant", basic("grantless", "machine-secret"), grant(), 400, "unauthorized_client"),
    ]
}

fn request_cases() -> Vec<Case> {
    let many = (0..65).map(|n| format!("&p{n}=1")).collect::<String>();
    let case = |name, body: &str, status, error| -> Case { (name, good(), body.to_owned(), status, error) };
    let granted = |name, extra: &str, error| -> Case { (name, good(), with(extra), 400, error) };
    vec![
        case("an empty body", "", 400, "invalid_request"),
        case("no grant type", "scope=orders:read", 400, "invalid_request"),
        case("an empty grant type", "grant_type=", 400, "invalid_request"),
        case("an unknown grant type", "grant_type=magic", 400, "unsupported_grant_type"),
        case("a grant type in another case", "grant_type=Client_Credentials", 400, "unsupported_grant_type"),
        case("the code grant", "grant_type=authorization_code&code=x", 400, "unauthorized_client"),
        case(
            "the password grant",
            "grant_type=password&username=alice&password=wonderland",
            400,
            "unauthorized_client",
        ),
        case("the refresh grant", "grant_type=refresh_token&refresh_token=x", 400, "unauthorized_client"),
        case("the implicit grant", "grant_type=implicit", 400, "unsupported_grant_type"),
        case("odd characters in the grant type", "grant_type=%22%5C%0A%C3%AB", 400, "unsupported_grant_type"),
        granted("a repeated grant type", GRANT, "invalid_request"),
        granted("a repeated scope", "scope=orders:read&scope=orders:write", "invalid_request"),
        granted("a repeated client", "client_id=machine&client_id=machine", "invalid_request"),
        granted("a repeated parameter that nobody knows", "x=1&x=1", "invalid_request"),
        granted("a repetition in disguise", "scope=orders:read&%73cope=", "invalid_request"),
        granted("too many parameters", &many, "invalid_request"),
        granted("a broken escape", "scope=%4", "invalid_request"),
        granted("not UTF-8", "scope=%ff", "invalid_request"),
        granted("a scope of somebody else", "scope=admin", "invalid_scope"),
        granted("one good scope and one bad", "scope=orders:read+admin", "invalid_scope"),
        granted("a scope in another case", "scope=ORDERS:READ", "invalid_scope"),
        granted("two blanks between scopes", "scope=orders:read++orders:write", "invalid_scope"),
        granted("a blank after the scope", "scope=orders:read+", "invalid_scope"),
        granted("a quote in the scope", "scope=%22orders:read%22", "invalid_scope"),
        granted("a line break in the scope", "scope=orders:read%0Aorders:write", "invalid_scope"),
        granted("a relative resource", "resource=/orders", "invalid_target"),
        granted("a resource that is a word", "resource=orders", "invalid_target"),
        granted("a resource with a fragment", "resource=https://a%23b", "invalid_target"),
        granted("a resource with an empty fragment", "resource=https://a%23", "invalid_target"),
        granted("a resource with a blank", "resource=https://a+b", "invalid_target"),
        granted("one good resource and one bad", "resource=https://a&resource=b", "invalid_target"),
    ]
}

#[test]
fn every_refusal_has_its_status_and_error() {
    let authority = Running::start();
    for (name, authorization, body, status, error) in client_cases().into_iter().chain(request_cases()) {
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        let answer = authority.post("/token", &headers, &body);
        let said = answer.json();
        assert_eq!((answer.status, said["error"].as_str()), (status, Some(error)), "{name}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
        assert_eq!(answer.header("pragma"), Some("no-cache"), "{name}");
        let challenged =
            answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic realm=\""));
        assert_eq!(challenged, status == 401, "{name}");
        let description = said["error_description"].as_str().unwrap();
        assert!(description.chars().all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\'), "{name}: {description}");
        assert!(!answer.text().contains("machine-secret") && !answer.text().contains("access_token"), "{name}");
    }
}

#[test]
fn requests_that_are_no_form_are_refused() {
    let authority = Running::start();
    let kinds = [
        vec![],
        vec![("content-type", "application/json".to_owned())],
        vec![("content-type", "multipart/form-data; boundary=x".to_owned())],
        vec![("content-type", "text/plain; application/x-www-form-urlencoded".to_owned())],
        vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("content-type", "text/plain".to_owned()),
        ],
    ];
    for mut headers in kinds {
        headers.push(basic("machine", "machine-secret"));
        let answer = authority.send(Method::POST, "/token", &headers, GRANT);
        assert_eq!((answer.status, &answer.json()["error"]), (400, &"invalid_request".into()), "{headers:?}");
    }
    let in_query = authority.post(&format!("/token?{POST}"), &[], GRANT);
    assert_eq!((in_query.status, &in_query.json()["error"]), (400, &"invalid_request".into()));
    let two = [basic("machine", "machine-secret"), basic("machine", "machine-secret")];
    let two = authority.post("/token", &two, GRANT);
    assert_eq!((two.status, &two.json()["error"]), (400, &"invalid_request".into()));
}

#[test]
fn methods_and_paths_that_are_not_there_are_refused() {
    let authority = Running::start();
    let cases = [
        (Method::GET, "/token", 405, Some("POST")),
        (Method::HEAD, "/token", 405, Some("POST")),
        (Method::PUT, "/token", 405, Some("POST")),
        (Method::OPTIONS, "/token", 405, Some("POST")),
        (Method::POST, "/jwks", 405, Some("GET, HEAD")),
        (Method::DELETE, "/.well-known/openid-configuration", 405, Some("GET, HEAD")),
        (Method::POST, "/", 405, Some("GET, HEAD")),
        (Method::GET, "/token/", 404, None),
        (Method::PUT, "/authorize", 405, Some("GET, HEAD, POST")),
        (Method::GET, "/authorize/login", 405, Some("POST")),
        (Method::GET, "/introspect", 405, Some("POST")),
        (Method::GET, "/revoke", 405, Some("POST")),
        (Method::DELETE, "/userinfo", 405, Some("GET, HEAD, POST")),
        (Method::DELETE, "/logout", 405, Some("GET, HEAD, POST")),
        (Method::GET, "/authorize/", 404, None),
        (Method::POST, "//token", 404, None),
        (Method::GET, "/%6awks", 404, None),
    ];
    for (method, path, status, allow) in cases {
        let answer = authority.send(method.clone(), path, &[], "");
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method} {path}");
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_however_it_is_framed() {
    let authority = Running::start();
    let fits = with(&format!("padding={}", "x".repeat(64 * 1024 - GRANT.len() - "&padding=".len())));
    assert_eq!(authority.post("/token", &[basic("machine", "machine-secret")], &fits).status, 200);
    let answer = authority.post("/token", &[basic("machine", "machine-secret")], &format!("{fits}x"));
    assert_eq!((answer.status, &answer.json()["error"]), (413, &"invalid_request".into()));
    let mut stream = TcpStream::connect(authority.address).unwrap();
    let head = "POST /token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("10001\r\n{}\r\n0\r\n\r\n", "x".repeat(0x10001));
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(chunk.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}
