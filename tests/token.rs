//! `tollgate token` over real sockets: every flow against a server that checks what a client must send, every way in
//! which a server can be wrong, and the embedded authority.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

#[path = "token/client.rs"]
mod client;
#[path = "token/server.rs"]
mod server;
mod support;

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use support::gateway::Gateway;
use support::tls::{self, Identity};
use support::upstream::{Upstream, loopback};
use support::{PATIENCE, eventually, report};
use url::Url;

use client::{Browser, Line, browse, opener};
use server::{ALICE, Ask, MACHINE, PUBLIC, REFRESH, Reply, Server, TOKEN, fragment, granted, id_token, metadata};

const OPENID: &str = "/.well-known/openid-configuration";

/// What standard output holds when there is a token.
fn token_line() -> String {
    format!("{TOKEN}\n")
}

fn machine(server: &Server, words: &str) -> Line {
    Line::new(&server.issuer, &format!("--client-id {} --client-secret-file secret {words}", MACHINE.0))
        .file("secret", &format!("{}\n", MACHINE.1))
}

fn person(server: &Server, words: &str) -> Line {
    Line::new(&server.issuer, &format!("--client-id {PUBLIC} {words}"))
}

#[test]
fn a_machine_gets_a_token_and_nothing_else_is_on_standard_output() {
    let server = Server::good();
    let cases = [
        ("--client-secret-file secret", "", ("basic", "")),
        ("--client-secret-file secret --auth post", "", ("post", "")),
        ("--client-secret-file secret --auth basic", "", ("basic", "")),
        ("--client-secret-file -", "stdin", ("basic", "")),
        ("", "env", ("basic", "")),
        ("--scope a --scope b", "env", ("basic", "a b")),
    ];
    let mut failures = Vec::new();
    for (words, source, (auth, scope)) in &cases {
        let words = format!(
            "--client-id {} --resource https://a.test --resource urn:b --audience c --param x=y%26z {words}",
            MACHINE.0
        );
        let mut line = Line::new(&server.issuer, &words).file("secret", &format!("{}\r\n", MACHINE.1));
        line = match *source {
            "stdin" => line.input(MACHINE.1),
            "env" => line.env("TOLLGATE_CLIENT_SECRET", MACHINE.1),
            _ => line,
        };
        let ended = line.run();
        failures.extend(ended.differs(0, &token_line(), &[]));
        assert!(ended.stderr.is_empty(), "{ended:?}");
        let ask = server.asked("/token").pop().unwrap();
        assert_eq!(ask.get("grant_type"), "client_credentials");
        assert_eq!((ask.get("scope"), ask.get("audience"), ask.get("x")), (*scope, "c", "y%26z"));
        assert_eq!(ask.all("resource"), ["https://a.test", "urn:b"]);
        assert_eq!((ask.basic.is_some(), ask.get("client_secret").is_empty()), (*auth == "basic", *auth == "basic"));
    }
    report(cases.len(), &failures);
}

#[test]
fn the_secret_goes_where_the_server_announces() {
    for (methods, post) in [
        (json!(["client_secret_post"]), true),
        (json!(["client_secret_post", "client_secret_basic"]), false),
        (json!(["private_key_jwt"]), false),
    ] {
        let announced = methods.clone();
        let server = Server::with(move |ask| {
            let mut metadata = metadata(&ask.origin);
            metadata["token_endpoint_auth_methods_supported"] = announced.clone();
            (ask.path == OPENID).then(|| Reply::json(200, &metadata))
        });
        assert_eq!(machine(&server, "").run().differs(0, &token_line(), &[]), [""; 0], "{methods}");
        assert_eq!(server.asked("/token")[0].basic.is_none(), post, "{methods}");
    }
}

#[test]
fn metadata_is_found_in_both_places_and_must_be_the_issuers_own() {
    type Change = fn(&Ask) -> Option<Reply>;
    let cases: [(&str, &str, Change, i32, &str); 11] = [
        (
            "RFC 8414 with a path",
            "/tenant",
            |ask| {
                let inserted = ask.path == "/.well-known/oauth-authorization-server/tenant";
                let mut document = metadata(&ask.origin);
                document["issuer"] = json!(format!("{}/tenant", ask.origin));
                inserted.then(|| Reply::json(200, &document))
            },
            0,
            "",
        ),
        (
            "a page for everything, then RFC 8414",
            "",
            |ask| match ask.path.as_str() {
                OPENID => Some(Reply::html(200, "<!doctype html>")),
                "/.well-known/oauth-authorization-server" => Some(Reply::json(200, &metadata(&ask.origin))),
                _ => None,
            },
            0,
            "",
        ),
        ("no metadata", "/elsewhere", |_| None, 3, "no metadata of http://"),
        (
            "another issuer",
            "",
            |ask| change(ask, "issuer", json!("https://evil.test")),
            3,
            "is that of another issuer, https://evil.test",
        ),
        ("the issuer with a slash", "/", |_| None, 3, "if that is the server you mean: --issuer http://"),
        ("no issuer at all", "", |ask| change(ask, "issuer", json!(null)), 3, "names no issuer"),
        ("no token endpoint", "", |ask| change(ask, "token_endpoint", json!(null)), 3, "token_endpoint cannot be used"),
        (
            "an endpoint elsewhere over http",
            "",
            |ask| change(ask, "token_endpoint", json!("http://as.test/token")),
            3,
            "http is for this machine only",
        ),
        ("a relative endpoint", "", |ask| change(ask, "token_endpoint", json!("/token")), 3, "not a URL"),
        ("an endpoint that hides", "", |ask| change(ask, "jwks_uri", json!("\u{1b}]0;x\u{7}")), 3, "\\u{1b}"),
        (
            "a member twice",
            "",
            |ask| {
                (ask.path == OPENID).then(|| Reply {
                    body: "{\"issuer\":\"a\",\"issuer\":\"b\"}".into(),
                    ..Reply::json(200, &json!({}))
                })
            },
            3,
            "not metadata (application/json)",
        ),
    ];
    let mut failures = Vec::new();
    for (name, path, change, code, part) in &cases {
        let server = Server::with(*change);
        let line = Line::new(&format!("{}{path}", server.issuer), "--client-id machine --client-secret-file secret");
        let ended = line.file("secret", MACHINE.1).run();
        let stdout = if *code == 0 { token_line() } else { String::new() };
        failures.extend(ended.differs(*code, &stdout, &[part]).into_iter().map(|why| format!("{name}: {why}")));
        if *code != 0 {
            assert!(server.asked("/token").is_empty(), "{name}: the secret went out");
        }
    }
    report(cases.len(), &failures);
}

/// The metadata with one member changed; `null` stays in, as a value.
fn change(ask: &Ask, member: &str, value: Value) -> Option<Reply> {
    let mut document = metadata(&ask.origin);
    document[member] = value;
    (ask.path == OPENID).then(|| Reply::json(200, &document))
}

#[test]
fn what_the_token_endpoint_answers_is_told_plainly() {
    type Answer = fn(&Ask) -> Reply;
    let cases: [(&str, Answer, i32, &[&str]); 15] = [
        (
            "invalid_client",
            |_| Reply::error("invalid_client"),
            1,
            &["the token endpoint refused: invalid_client", "help: check --client-id"],
        ),
        (
            "with a description that would paint the terminal",
            |_| {
                Reply::json(
                    400,
                    &json!({"error": "invalid_scope", "error_description": "no \u{1b}[31m\u{202e}way", "error_uri": "https://as.test/e"}),
                )
            },
            1,
            &["it says: no \\u{1b}[31m\\u{202e}way", "see also: https://as.test/e", "openid orders:read"],
        ),
        ("401", |_| Reply { status: 401, ..Reply::error("invalid_client") }, 1, &["invalid_client"]),
        (
            "refused with 200",
            |_| Reply { status: 200, ..Reply::error("unauthorized_client") },
            1,
            &["unauthorized_client", "allow it where"],
        ),
        ("a code of its own", |_| Reply::error("E-17\r\n"), 1, &["refused: E-17\\r\\n"]),
        ("invalid_target", |_| Reply::error("invalid_target"), 1, &["--resource"]),
        ("a page", |_| Reply::html(200, "<p>sign in</p>"), 3, &["answered 200 OK with text/html, not JSON"]),
        (
            "a page that is an error",
            |_| Reply::html(502, "<p>Bad gateway</p>"),
            3,
            &["answered 502 Bad Gateway with text/html"],
        ),
        (
            "an error without its code",
            |_| Reply::json(400, &json!({"message": "no"})),
            3,
            &["no `error` that says why"],
        ),
        (
            "a redirect",
            |_| Reply { status: 302, fields: "Location: /login\r\n".into(), ..Reply::html(302, "") },
            3,
            &["302", "redirects are not followed"],
        ),
        ("no token", |_| Reply::json(200, &json!({"token_type": "Bearer"})), 3, &["without an `access_token`"]),
        (
            "a token of lines",
            |_| Reply::json(200, &json!({"access_token": "a\nb", "token_type": "Bearer"})),
            3,
            &["blanks or control"],
        ),
        ("a token that is a number", |_| Reply::json(200, &json!({"access_token": 7})), 3, &["no text"]),
        (
            "two tokens",
            |_| Reply {
                body: "{\"access_token\":\"a\",\"access_token\":\"b\"}".into(),
                ..Reply::json(200, &json!({}))
            },
            3,
            &["not JSON"],
        ),
        ("silence", |_| Reply::silence(), 3, &["no answer within 1s"]),
    ];
    let mut failures = Vec::new();
    for (name, answer, code, parts) in &cases {
        let answer = *answer;
        let server = Server::with(move |ask| (ask.path == "/token").then(|| answer(ask)));
        let ended = machine(&server, "--timeout 1").run();
        assert!(!ended.stderr.contains(MACHINE.1), "{name}: the secret is shown: {ended:?}");
        failures.extend(ended.differs(*code, "", parts).into_iter().map(|why| format!("{name}: {why}")));
    }
    report(cases.len(), &failures);
}

#[test]
fn surprises_are_noted_beside_the_token() {
    let cases: [(Value, &str); 3] = [
        (
            json!({"scope": "orders:read"}),
            "note: the scopes granted are: orders:read (asked for: orders:read orders:write)",
        ),
        (json!({"token_type": "DPoP"}), "note: the token is of type DPoP"),
        (json!({"token_type": null}), "note: the answer has no `token_type`"),
    ];
    for (members, note) in cases {
        let server = Server::with(move |ask| {
            let mut answer = granted();
            answer.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            (ask.path == "/token").then(|| Reply::json(200, &answer))
        });
        let ended = machine(&server, "--scope orders:read --scope orders:write").run();
        assert_eq!(ended.differs(0, &token_line(), &[note]), [""; 0]);
    }
}

#[test]
fn json_and_decode_show_the_whole_answer() {
    let jwt = |ask: &Ask| id_token(&ask.origin, "api", "n").claim("name", "\u{202e}\u{9b}x").sign();
    let server = Server::with(move |ask| {
        (ask.path == "/token")
            .then(|| Reply::json(200, &json!({"access_token": jwt(ask), "token_type": "Bearer", "id_token": "opaque"})))
    });
    let parsed = |ended: &client::Ended| serde_json::from_str::<Value>(&ended.stdout).unwrap();
    let whole = machine(&server, "--json").run();
    assert_eq!((parsed(&whole)["token_type"].as_str(), parsed(&whole).get("decoded")), (Some("Bearer"), None));
    let both = machine(&server, "--json --decode").run();
    let decoded = &parsed(&both)["decoded"];
    assert_eq!((&decoded["verified"], &decoded["access_token"]["claims"]["aud"]), (&json!(false), &json!("api")));
    assert!(decoded["id_token"]["unreadable"].as_str().unwrap().contains("opaque"), "{decoded}");
    assert!(!both.stdout.contains(['\u{202e}', '\u{9b}']), "{both:?}");
    let shown = machine(&server, "--decode").run();
    let token = parsed(&whole)["access_token"].as_str().unwrap().split('.').next().unwrap().to_owned();
    assert!(shown.stdout.starts_with(&token) && shown.stdout.lines().count() == 1, "{shown:?}");
    let parts =
        ["Access token (not verified)", "\"alg\": \"ES256\"", "\"aud\": \"api\"", "exp ", "(in ", "ID token: opaque"];
    assert_eq!(shown.differs(0, &shown.stdout, &parts), [""; 0]);
    let refused = Server::with(|ask| (ask.path == "/token").then(|| Reply::error("invalid_scope")));
    let ended = machine(&refused, "--json").run();
    assert_eq!((ended.code, &parsed(&ended)), (Some(1), &json!({"error": "invalid_scope"})));
}

#[test]
fn a_person_signs_in_and_the_code_is_traded() {
    for (scope, openid) in [("orders:read", false), ("openid orders:read", true)] {
        let server = Server::good();
        let scopes: String = scope.split(' ').map(|scope| format!(" --scope {scope}")).collect();
        let line = person(&server, &format!("--no-browser --resource https://a.test --param prompt=login{scopes}"));
        let (ended, page) = line.visited(browse);
        assert_eq!(
            ended.differs(
                0,
                &token_line(),
                &["Open this address in a browser:", "Waiting for the answer at http://127.0.0.1:"]
            ),
            [""; 0]
        );
        let page = page.unwrap().response;
        assert!(page.status == 200 && page.text().contains("The answer has arrived"), "{page:?}");
        let fields =
            [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff")];
        fields.iter().for_each(|(name, value)| assert_eq!(page.header(name), Some(*value)));
        let (asked, traded) = (&server.asked("/authorize")[0], &server.asked("/token")[0]);
        assert_eq!((asked.get("scope"), asked.get("prompt"), asked.get("nonce").is_empty()), (scope, "login", !openid));
        assert_eq!((asked.all("resource"), traded.all("resource")), (vec!["https://a.test"], vec!["https://a.test"]));
        assert_eq!((traded.get("scope"), traded.get("prompt"), traded.get("client_id")), ("", "", PUBLIC));
    }
}

#[test]
fn no_two_requests_share_what_must_be_fresh() {
    let server = Server::good();
    for _ in 0..2 {
        let (ended, _) = person(&server, "--no-browser --scope openid").visited(browse);
        assert_eq!(ended.differs(0, &token_line(), &[]), [""; 0]);
    }
    let asked = server.asked("/authorize");
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(asked[0].get(name), asked[1].get(name), "{name}");
    }
}

#[test]
fn an_answer_that_is_not_one_to_this_request_is_refused() {
    type Answer = fn(&Ask) -> Reply;
    let cases: [(&str, Answer, i32, &[&str], &str); 9] = [
        (
            "denied",
            |ask| {
                ask.back(
                    '?',
                    &[
                        ("error", "access_denied"),
                        ("error_description", "<b>\u{1b}no"),
                        ("state", ask.get("state")),
                        ("iss", &ask.origin),
                    ],
                )
            },
            1,
            &["the authorization endpoint refused: access_denied", "it says: <b>\\u{1b}no", "said no"],
            "The server refused",
        ),
        (
            "wrong state",
            |ask| ask.back('?', &[("code", "c"), ("state", "x"), ("iss", &ask.origin)]),
            3,
            &["a wrong `state`"],
            "not accepted",
        ),
        ("no state", |ask| ask.back('?', &[("code", "c"), ("iss", &ask.origin)]), 3, &["no `state`"], "not accepted"),
        (
            "denied without state",
            |ask| ask.back('?', &[("error", "access_denied")]),
            3,
            &["no `state`"],
            "not accepted",
        ),
        (
            "wrong iss",
            |ask| ask.back('?', &[("code", "c"), ("state", ask.get("state")), ("iss", "https://evil.test")]),
            3,
            &["its `iss` is \"https://evil.test\"", "RFC 9207"],
            "not accepted",
        ),
        (
            "no iss",
            |ask| ask.back('?', &[("code", "c"), ("state", ask.get("state"))]),
            3,
            &["no `iss`, which the server promises"],
            "not accepted",
        ),
        (
            "two codes",
            |ask| ask.back('?', &[("code", "c"), ("code", "d"), ("state", ask.get("state")), ("iss", &ask.origin)]),
            3,
            &["the parameter code twice"],
            "not accepted",
        ),
        (
            "no code",
            |ask| ask.back('?', &[("state", ask.get("state")), ("iss", &ask.origin)]),
            3,
            &["without a `code`"],
            "arrived",
        ),
        (
            "a code of somebody else",
            |ask| ask.back('?', &[("code", "stolen"), ("state", ask.get("state")), ("iss", &ask.origin)]),
            1,
            &["the token endpoint refused: invalid_grant"],
            "arrived",
        ),
    ];
    let mut failures = Vec::new();
    for (name, answer, code, parts, told) in &cases {
        let answer = *answer;
        let server = Server::with(move |ask| (ask.path == "/authorize").then(|| answer(ask)));
        let (ended, page) = person(&server, "--no-browser").visited(browse);
        failures.extend(ended.differs(*code, "", parts).into_iter().map(|why| format!("{name}: {why}")));
        let text = page.unwrap().response.text();
        if !text.contains(told) || text.contains("<b>") {
            failures.push(format!("{name}: the browser shows {text}"));
        }
        if *code == 3 {
            assert!(server.asked("/token").is_empty(), "{name}: the code was sent on");
        }
    }
    report(cases.len(), &failures);
}

#[test]
fn an_id_token_of_another_sign_in_is_refused() {
    type Make = fn(&Ask, &str) -> String;
    let cases: [(&str, Make, &str); 5] = [
        ("nonce", |ask, _| id_token(&ask.origin, PUBLIC, "replayed").sign(), "`nonce`"),
        ("audience", |ask, nonce| id_token(&ask.origin, "other", nonce).sign(), "`aud`"),
        ("issuer", |_, nonce| id_token("https://evil.test", PUBLIC, nonce).sign(), "`iss`"),
        ("expired", |ask, nonce| id_token(&ask.origin, PUBLIC, nonce).claim("exp", 5).sign(), "expired"),
        ("at_hash", |ask, nonce| id_token(&ask.origin, PUBLIC, nonce).claim("at_hash", "AAAA").sign(), "`at_hash`"),
    ];
    let mut failures = Vec::new();
    for (name, make, complaint) in cases {
        let nonce = std::sync::Mutex::new(String::new());
        let server = Server::with(move |ask| match ask.path.as_str() {
            "/authorize" => {
                ask.get("nonce").clone_into(&mut nonce.lock().unwrap());
                None
            }
            "/token" => {
                let mut answer = granted();
                answer["id_token"] = json!(make(ask, &nonce.lock().unwrap()));
                Some(Reply::json(200, &answer))
            }
            _ => None,
        });
        let (ended, _) = person(&server, "--no-browser --scope openid").visited(browse);
        failures.extend(ended.differs(3, "", &[complaint]).into_iter().map(|why| format!("{name}: {why}")));
    }
    report(cases.len(), &failures);
}

#[test]
fn the_implicit_flow_hands_the_fragment_back() {
    for (words, id) in [("", false), ("--scope openid", true)] {
        let server = Server::good();
        let line = person(&server, &format!("--flow implicit --no-browser --json {words}"));
        let (ended, answer) = line.visited(|url| browse(url).run_script());
        assert!(answer.as_ref().is_some_and(|answer| answer.text().contains("has arrived")), "{answer:?} {ended:?}");
        let json: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        assert_eq!((&json["access_token"], &json["expires_in"]), (&json!(TOKEN), &json!(300)));
        assert_eq!((json["id_token"].is_string(), json.get("state"), json.get("iss")), (id, None, None));
        assert_eq!((ended.code, server.asked("/token").len()), (Some(0), 0));
    }
}

#[test]
fn a_fragment_that_is_not_an_answer_to_this_request_is_refused() {
    type Make = fn(&Ask) -> Vec<(&str, &str)>;
    let cases: [(&str, &str, Make, i32, &str); 6] = [
        ("wrong state", "", |ask| fragment("x", ("iss", &ask.origin), &[]), 3, "a wrong `state`"),
        ("wrong iss", "", |ask| fragment(ask.get("state"), ("iss", "https://evil.test"), &[]), 3, "another server"),
        (
            "no ID token",
            "--scope openid",
            |ask| fragment(ask.get("state"), ("iss", &ask.origin), &[]),
            3,
            "no ID token",
        ),
        (
            "a forged ID token",
            "--scope openid",
            |ask| {
                let token = id_token(&ask.origin, PUBLIC, ask.get("nonce")).sign();
                let forged = format!("{}AAAA", &token[..token.len() - 4]);
                fragment(ask.get("state"), ("iss", &ask.origin), &[("id_token", Box::leak(forged.into_boxed_str()))])
            },
            3,
            "not an answer to this request: bad_signature",
        ),
        (
            "an ID token that says nothing of the access token",
            "--scope openid",
            |ask| {
                let token = id_token(&ask.origin, PUBLIC, ask.get("nonce")).without("at_hash").sign();
                fragment(ask.get("state"), ("iss", &ask.origin), &[("id_token", Box::leak(token.into_boxed_str()))])
            },
            3,
            "it has no `at_hash`",
        ),
        (
            "denied",
            "",
            |ask| vec![("error", "access_denied"), ("state", ask.get("state")), ("iss", &ask.origin)],
            1,
            "the authorization endpoint refused: access_denied",
        ),
    ];
    let mut failures = Vec::new();
    for (name, words, make, code, part) in cases {
        let server = Server::with(move |ask| (ask.path == "/authorize").then(|| ask.back('#', &make(ask))));
        let line = person(&server, &format!("--flow implicit --no-browser {words}"));
        let (ended, _) = line.visited(|url| browse(url).run_script());
        failures.extend(ended.differs(code, "", &[part]).into_iter().map(|why| format!("{name}: {why}")));
    }
    report(cases.len(), &failures);
}

/// What is no answer ends no wait; what comes from elsewhere is turned away.
#[test]
fn strangers_at_the_callback_change_nothing() {
    let server = Server::good();
    let (ended, statuses) = person(&server, "--flow implicit --no-browser").visited(|url| {
        let page = browse(url);
        let host = page.url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        let address = page.url.socket_addrs(|| None).unwrap()[0];
        let send = |method: &str, target: &str, host: &str| {
            support::client::Request::new(method, target).host(host).send(address).status
        };
        let (form, own) = (page.url.fragment().unwrap().to_owned(), format!("http://{host}"));
        let statuses = [
            send("GET", "/favicon.ico", &host),
            send("GET", "/callback?code=x&state=y", "rebound.test"),
            send("PUT", "/callback", &host),
            send("GET", "/callback", &host),
            page.hand_back("https://evil.test", &form).status,
            page.hand_back("null", &form).status,
        ];
        let taken = page.hand_back(&own, &form).status;
        (statuses, taken)
    });
    assert_eq!(statuses, Some(([404, 404, 405, 200, 403, 403], 200)), "{ended:?}");
    assert_eq!(ended.differs(0, &token_line(), &[]), [""; 0]);
}

#[test]
fn the_browser_is_opened_with_the_address_as_one_argument_and_no_secret() {
    let server = Server::good();
    let line = person(&server, "--scope openid --auth none").env("TOLLGATE_CLIENT_SECRET", "s3cret");
    let opened = opener(line.dir.path());
    let path = format!("{}:{}", line.dir.path().display(), std::env::var("PATH").unwrap());
    let (ended, shown) = line.env("PATH", &path).visited(|url| {
        let text = eventually("the opener ran", PATIENCE, || std::fs::read_to_string(&opened).ok());
        browse(&Url::parse(text.lines().next().unwrap()).unwrap());
        (url.to_string(), text)
    });
    let (printed, opened) = shown.unwrap();
    assert_eq!(opened, format!("{printed}\nno secret\n"));
    assert_eq!(ended.differs(0, &token_line(), &["If nothing opens, go to:"]), [""; 0]);
    let (ended, _) = person(&server, "").env("PATH", "/nowhere").visited(browse);
    assert_eq!(ended.differs(0, &token_line(), &["No browser can be opened (xdg-open:"]), [""; 0]);
}

#[test]
fn a_callback_that_cannot_be_had_or_is_not_used_says_so() {
    let server = Server::good();
    let taken = loopback();
    let port = taken.local_addr().unwrap().port();
    let ended = person(&server, &format!("--no-browser --port {port}")).run();
    assert_eq!(ended.differs(3, "", &[&format!("cannot listen on 127.0.0.1:{port}"), "help: another --port"]), [""; 0]);
    let ended = person(&server, "--no-browser --wait 1").run();
    assert_eq!(ended.differs(3, "", &["nobody came back within 1 s", "--redirect-uri"]), [""; 0]);
    drop(taken);
    let uri = format!("http://127.0.0.1:{port}/callback");
    let (ended, _) = person(&server, &format!("--no-browser --redirect-uri {uri}")).visited(browse);
    assert_eq!(ended.differs(0, &token_line(), &[&uri]), [""; 0]);
}

#[test]
fn a_password_comes_from_a_file_or_standard_input() {
    let server = Server::good();
    let words = format!("--flow password --username {}", ALICE.0);
    let cases = [
        ("--password-file pw", ALICE.1, "", 0, ""),
        ("--password-file -", "", ALICE.1, 0, ""),
        ("", "", ALICE.1, 0, ""),
        ("--password-file pw", "wrong", "", 1, "check --username and the password"),
        ("", "", "", 2, "the password on standard input: empty"),
        ("--password-file nowhere", "", "", 2, "--password-file: nowhere:"),
    ];
    let mut failures = Vec::new();
    for (more, file, input, code, part) in &cases {
        let ended = person(&server, &format!("{words} {more}")).file("pw", &format!("{file}\n")).input(input).run();
        let stdout = if *code == 0 { token_line() } else { String::new() };
        assert!(!ended.stderr.contains("wonder"), "{ended:?}");
        failures.extend(ended.differs(*code, &stdout, &[part]).into_iter().map(|why| format!("{more}: {why}")));
    }
    report(cases.len(), &failures);
}

#[test]
fn a_rotated_refresh_token_replaces_the_file() {
    let server = Server::good();
    let words = "--flow refresh --scope orders:read";
    let folder = tempfile::TempDir::new().unwrap();
    let (path, link) = (folder.path().join("kept"), folder.path().join("link"));
    std::fs::write(&path, REFRESH[0]).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let ended = person(&server, &format!("{words} --refresh-token-file {}", link.display())).run();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", REFRESH[1]));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(link.is_symlink() && folder.path().read_dir().unwrap().count() == 2, "nothing else is left");
    let note = format!("new refresh token; it is in {} now", link.display());
    assert_eq!(ended.differs(0, &token_line(), &[&note]), [""; 0]);
    assert!(!ended.stderr.contains("r3fresh"), "{ended:?}");
    assert_eq!(server.asked("/token")[0].get("scope"), "orders:read");
    let ended = person(&server, &format!("{words} --refresh-token-file -")).input(REFRESH[0]).run();
    assert_eq!(ended.differs(0, &token_line(), &["shown with --json only"]), [""; 0]);
    let ended = person(&server, &format!("{words} --refresh-token-file r")).file("r", "used").run();
    assert_eq!(ended.differs(1, "", &["invalid_grant", "sign in anew"]), [""; 0]);
}

#[test]
fn a_device_waits_for_its_person() {
    type Answer = fn(&Ask) -> Option<Reply>;
    let cases: [(&str, Answer, i32, &[&str]); 6] = [
        ("pending, then a token", |_| None, 0, &["WDJB-MJHT", "/enter\n", "/enter?user_code=WDJB-MJHT"]),
        ("denied", |ask| (ask.path == "/token").then(|| Reply::error("access_denied")), 1, &["refused: access_denied"]),
        ("expired", |ask| (ask.path == "/token").then(|| Reply::error("expired_token")), 1, &["start anew"]),
        (
            "nobody comes",
            |ask| match ask.path.as_str() {
                "/device" => Some(Reply::json(
                    200,
                    &json!({"device_code": "d", "user_code": "\u{1b}[2J", "verification_uri": "https://as.test", "expires_in": 2, "interval": 1}),
                )),
                "/token" => Some(Reply::error("authorization_pending")),
                _ => None,
            },
            3,
            &["nobody entered the code within 2 s", "\\u{1b}[2J"],
        ),
        (
            "slower than the code lasts",
            |ask| match ask.path.as_str() {
                "/device" => Some(Reply::json(
                    200,
                    &json!({"device_code": "d", "user_code": "u", "verification_uri": "https://as.test", "expires_in": 6, "interval": 1}),
                )),
                "/token" => Some(Reply::error("slow_down")),
                _ => None,
            },
            3,
            &["nobody entered the code within 6 s"],
        ),
        (
            "no such endpoint",
            |ask| {
                let mut document = metadata(&ask.origin);
                document.as_object_mut().unwrap().remove("device_authorization_endpoint");
                (ask.path == OPENID).then(|| Reply::json(200, &document))
            },
            3,
            &["announces no device_authorization_endpoint", "another --flow"],
        ),
    ];
    let mut failures = Vec::new();
    for (name, answer, code, parts) in &cases {
        let server = Server::with(*answer);
        let ended = person(&server, "--flow device --scope orders:read").run();
        let stdout = if *code == 0 { token_line() } else { String::new() };
        failures.extend(ended.differs(*code, &stdout, parts).into_iter().map(|why| format!("{name}: {why}")));
        assert!(!ended.stderr.contains(server::DEVICE_CODE), "{name}: {ended:?}");
        if name.starts_with("slower") {
            assert_eq!(server.asked("/token").len(), 1, "it asked faster than it was told");
        }
    }
    report(cases.len(), &failures);
}

#[test]
fn https_is_verified() {
    let server = Server::tls(&Identity::loopback("as"));
    let words = "--client-id machine --client-secret-file secret";
    let trusted = Line::new(&server.issuer, &format!("{words} --ca-file ca.pem"));
    let ended = trusted.file("secret", MACHINE.1).file("ca.pem", &tls::authority().pem()).run();
    assert_eq!(ended.differs(0, &token_line(), &[]), [""; 0]);
    let stranger = tls::Authority::new("Nobody").pem();
    for (ca, code, part) in [(stranger.as_str(), 3, "help: --ca-file FILE trusts"), ("", 2, "holds no certificate")] {
        let line = Line::new(&server.issuer, &format!("{words} --ca-file ca.pem")).file("ca.pem", ca);
        assert_eq!(line.file("secret", MACHINE.1).run().differs(code, "", &[part]), [""; 0]);
    }
    assert_eq!(server.asked("/token").len(), 1);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let address = support::upstream::nobody();
    let line = Line::new(&format!("http://{address}"), "--client-id c --no-browser");
    assert_eq!(
        line.run().differs(3, "", &[&format!("http://{address}: cannot connect"), "help: is the server running"]),
        [""; 0]
    );
}

#[test]
fn wrong_command_lines_are_refused_before_anything_is_sent() {
    let server = Server::good();
    let cases = [
        ("", "--client-id"),
        ("--client-id c --flow fly", "possible values"),
        ("--client-id c --flow client-credentials", "TOLLGATE_CLIENT_SECRET"),
        ("--client-id c --client-secret s3cret", "unexpected argument"),
        ("--client-id c --password s3cret", "unexpected argument"),
        (
            "--client-id c --flow refresh --no-browser",
            "--no-browser is for --flow code or --flow implicit or --flow device",
        ),
        ("--client-id c --port 0", "--port"),
        ("--client-id c --wait 0", "--wait"),
        ("--client-id c --ca-file /nowhere", "/nowhere"),
    ];
    let mut failures = Vec::new();
    for (words, part) in &cases {
        failures.extend(Line::new(&server.issuer, words).run().differs(2, "", &[part]));
    }
    assert!(server.asked(OPENID).is_empty());
    report(cases.len(), &failures);
}

/// The terminal of a person who types a password gets its echo back, whether the password is typed or given up.
#[test]
fn the_prompt_does_not_echo_and_gives_the_terminal_back() {
    let server = Server::good();
    let binary = env!("CARGO_BIN_EXE_tollgate");
    let dir = tempfile::TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for (name, typed, token) in
        [("typed", format!("{}\n", ALICE.1), token_line()), ("given up", "half\u{3}".into(), String::new())]
    {
        // `script` gives the command a terminal; what the terminal shows is what it prints.
        let inner = format!(
            "{binary} token --issuer {} --client-id {PUBLIC} --flow password --username {} > {}; stty -a > {}",
            server.issuer,
            ALICE.0,
            path("token"),
            path("stty")
        );
        std::fs::write(path("inner.sh"), inner).unwrap();
        let mut child = std::process::Command::new("script")
            .args(["-q", "-e", "-c", &format!("sh {}", path("inner.sh")), "/dev/null"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::fs::File::create(path("shown")).unwrap())
            .spawn()
            .unwrap();
        let shown = || std::fs::read_to_string(path("shown")).unwrap();
        eventually("the question", PATIENCE, || shown().contains("Password of alice at http://").then_some(()));
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), typed.as_bytes()).unwrap();
        support::process::wait(&mut child, PATIENCE).unwrap();
        assert_eq!(std::fs::read_to_string(path("token")).unwrap(), token, "{name}: {}", shown());
        assert!(!shown().contains("wonder") && !shown().contains("half"), "{name}: {}", shown());
        let terminal = std::fs::read_to_string(path("stty")).unwrap();
        assert!(terminal.split_whitespace().any(|word| word == "echo"), "{name}: {terminal}");
    }
}

#[test]
fn a_token_of_the_embedded_authority_opens_the_gateway() {
    let port = loopback().local_addr().unwrap().port();
    let issuer = format!("http://127.0.0.1:{port}");
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&format!(
        "{}\n[issuers.dev]\nissuer = \"{issuer}\"\naudiences = [\"https://api.test\"]\n\
         [[routes]]\nname = \"orders\"\npath = \"/orders\"\nupstream = \"up\"\nscopes = [\"orders:read\"]\n\
         [authority]\nlisten = \"127.0.0.1:{port}\"\nissuer = \"{issuer}\"\naudience = \"https://api.test\"\n\
         [[authority.clients]]\nid = \"batch\"\nsecret = \"a:b c%\"\ngrants = [\"client_credentials\"]\n\
         scopes = [\"orders:read\", \"orders:write\"]\n",
        upstream.toml("up")
    ));
    let line =
        |words: &str| Line::new(&issuer, &format!("--client-id batch {words}")).env("TOLLGATE_CLIENT_SECRET", "a:b c%");
    for auth in ["", "--auth post"] {
        let ended = line(&format!("--scope orders:read {auth}")).run();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        let call = support::client::Request::get("/orders").bearer(ended.stdout.trim_end());
        assert_eq!(gateway.call(&call).status, 200);
    }
    let decoded = line("--scope orders:write --decode").run();
    let parts = ["\"typ\": \"at+jwt\"", "\"scope\": \"orders:write\"", "\"client_id\": \"batch\""];
    assert_eq!(decoded.differs(0, &decoded.stdout, &parts), [""; 0]);
    let refused = line("--scope admin").run();
    assert_eq!(refused.differs(1, "", &["refused: invalid_scope", "orders:read"]), [""; 0]);
    let wrong = line("").env("TOLLGATE_CLIENT_SECRET", "guess").run();
    assert_eq!(wrong.differs(1, "", &["refused: invalid_client"]), [""; 0]);
}

#[test]
fn the_embedded_authority_does_every_flow_for_a_person() {
    let port = loopback().local_addr().unwrap().port();
    let issuer = format!("http://127.0.0.1:{port}");
    let _gateway = Gateway::start(&format!(
        "[authority]\nlisten = \"127.0.0.1:{port}\"\nissuer = \"{issuer}\"\naudience = \"https://api.test\"\n\
         [[authority.users]]\nname = \"alice\"\npassword = \"wonderland\"\n\
         [[authority.clients]]\nid = \"cli\"\nredirect_uris = [\"http://127.0.0.1/callback\"]\n\
         grants = [\"authorization_code\", \"refresh_token\", \"password\", \"implicit\", \"device_code\"]\n\
         scopes = [\"openid\", \"offline_access\", \"orders:read\"]\n"
    ));
    let line = |words: &str| Line::new(&issuer, &format!("--client-id {PUBLIC} {words}"));
    let json = |ended: &client::Ended| {
        serde_json::from_str::<Value>(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    };
    let person = |words: &str, last: &str| {
        let line = line(&format!("--no-browser --wait 20 --json --decode {words}"));
        line.visited(|url| {
            let page = Browser::default().sign_in(url, last);
            if words.contains("implicit") && last == "allow" { page.run_script() } else { page.response }
        })
    };
    let scopes = "--scope openid --scope orders:read --scope offline_access";
    let (coded, _) = person(scopes, "allow");
    let (implied, _) = person("--flow implicit --scope openid --scope orders:read", "allow");
    for ended in [&coded, &implied] {
        assert_eq!((ended.code, &json(ended)["decoded"]["access_token"]["claims"]["sub"]), (Some(0), &json!("alice")));
        assert_eq!(json(ended)["decoded"]["id_token"]["claims"]["aud"], json!(PUBLIC));
    }
    let (denied, page) = person(scopes, "cancel");
    assert_eq!((denied.code, &json(&denied)["error"]), (Some(1), &json!("access_denied")), "{denied:?}");
    assert!(page.unwrap().text().contains("The server refused"));
    let by_password = line("--flow password --username alice --scope orders:read").input("wonderland").run();
    assert_eq!((by_password.code, by_password.stdout.split('.').count()), (Some(0), 3), "{by_password:?}");
    let wrong = line("--flow password --username alice").input("guess").run();
    assert_eq!(wrong.differs(1, "", &["refused: invalid_grant"]), [""; 0]);
    for (last, code, part) in [("allow", 0, ""), ("deny", 1, "refused: access_denied")] {
        let device = line("--flow device --scope orders:read");
        let (ended, page) = device.visited(|url| Browser::default().connect(url, last).response.text());
        let seen = page.unwrap_or_default();
        assert!(ended.code == Some(code) && ended.stderr.contains(part), "{ended:?} {seen}");
        assert_eq!(ended.stdout.split('.').count(), if code == 0 { 3 } else { 1 }, "{ended:?}");
    }
    // The file follows the rotation, so the same command works again and again.
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("refresh");
    std::fs::write(&path, json(&coded)["refresh_token"].as_str().unwrap()).unwrap();
    for round in 0..3 {
        let ended = line(&format!("--flow refresh --refresh-token-file {}", path.display())).run();
        assert_eq!((ended.code, ended.stdout.split('.').count()), (Some(0), 3), "round {round}: {ended:?}");
    }
}
