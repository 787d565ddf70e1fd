use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn order(line: &str) -> Result<Order, Failure> {
    let words = ["token"].into_iter().chain(line.split_ascii_whitespace());
    Line::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).args.order()
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_reason() {
    let good = "--client-id c --issuer https://as.test";
    let cases = [
        ("--client-id c --issuer as.test", "not a URL"),
        ("--client-id c --issuer http://as.test", "http is for this machine only"),
        ("--client-id c --issuer ftp://as.test", "neither https nor http"),
        ("--client-id c --issuer https:as.test", "not a URL"),
        ("--client-id c --issuer localhost:9000", "not a URL"),
        ("--client-id c --issuer https://as.test?x", "no query"),
        ("--client-id c --issuer https://u:hunter2@as.test", "user name or a password"),
        ("--client-id c --issuer https://as.test/.well-known/openid-configuration", "use --issuer https://as.test"),
        ("--client-id= --issuer https://as.test", "--client-id is empty"),
        (&format!("{good} --flow client-credentials"), "TOLLGATE_CLIENT_SECRET"),
        (&format!("{good} --auth basic"), "need the client's secret"),
        (&format!("{good} --auth none --client-secret-file f"), "--auth none"),
        (&format!("{good} --client-secret-file /nowhere/f"), "/nowhere/f"),
        (&format!("{good} --flow password"), "--username"),
        (&format!("{good} --flow refresh"), "--refresh-token-file"),
        (&format!("{good} --username u"), "--flow password, and the flow would be code"),
        (&format!("{good} --flow device --port 8400"), "--flow code or --flow implicit, and the flow is device"),
        (&format!("{good} --flow password --username u --wait 5"), "--wait"),
        (&format!("{good} --client-secret-file - --flow refresh --refresh-token-file -"), "only one"),
        (&format!("{good} --scope a\\b"), "--scope"),
        (&format!("{good} --resource orders"), "--resource"),
        (&format!("{good} --resource https://a/#b"), "--resource"),
        (&format!("{good} --param state=1"), "sets this by itself"),
        (&format!("{good} --param prompt"), "NAME=VALUE"),
        (&format!("{good} --redirect-uri https://127.0.0.1/cb"), "it must be http://127.0.0.1"),
        (&format!("{good} --redirect-uri http://127.0.0.1:0/cb"), "port 0"),
        (&format!("{good} --redirect-uri http://as.test/cb"), "it must be http://127.0.0.1"),
        (&format!("{good} --redirect-uri http://localhost/cb?x=y"), "no user name, query"),
    ];
    for (line, complaint) in cases {
        let failure = order(line).expect_err(line);
        let text = failure.to_string();
        assert!(matches!(failure, Failure::Usage(_)) && text.contains(complaint), "{line}: {text}");
        assert!(!text.contains("hunter2"), "{line}: {text}");
    }
}

#[test]
fn what_is_not_said_follows_from_what_is() {
    let plain = order("--client-id c --issuer http://localhost:9000/x --scope a --scope b").unwrap();
    assert!(matches!(plain.client.auth, Auth::None));
    assert_eq!(plain.scopes, ["a", "b"]);
    let Flow::Code(visit) = plain.flow else { panic!("{:?}", plain.flow) };
    assert!(visit.open && visit.wait == PATIENCE);
    assert_eq!((visit.redirect.port, visit.redirect.exact), (0, None));
}

#[test]
fn a_redirect_uri_with_a_port_is_sent_as_it_was_written() {
    let cases = [
        ("http://127.0.0.1:8400", 8400, Some("http://127.0.0.1:8400")),
        ("http://localhost:80/cb", 80, Some("http://localhost:80/cb")),
        ("http://[::1]/cb", 0, None),
    ];
    for (text, port, exact) in cases {
        let redirect = redirect(text).unwrap();
        assert_eq!((redirect.port, redirect.exact.as_deref()), (port, exact), "{text}");
    }
}

#[test]
fn an_endpoint_is_as_safe_as_its_issuer() {
    let cases = [
        ("https://as.test", false, "https://elsewhere.test", true),
        ("https://as.test", false, "http://127.0.0.1:1/token", false),
        ("https://as.test", false, "http://as.test/token", false),
        ("https://as.test", true, "http://as.test/token", true),
        ("http://127.0.0.1:1", false, "http://localhost:2/token", true),
        ("http://127.0.0.1:1", false, "http://as.test/token", false),
        ("http://127.0.0.1:1", false, "file:///etc/passwd", false),
    ];
    for (text, allow_http, endpoint, expected) in cases {
        let issuer = issuer(text, allow_http).unwrap();
        assert_eq!(issuer.trusts_scheme(&endpoint.parse().unwrap()).is_ok(), expected, "{text} {endpoint}");
    }
}
