//! Names: of tables, scopes, claims, headers, hosts, paths, methods and files.

use std::path::PathBuf;

use http::HeaderName;
use serde_json::{Value as Json, json};

use crate::config::diagnostic::Code;
use crate::config::read::{Refusal, Text};
use crate::config::table::nearest;
use crate::pattern::{HostPattern, MethodSet, PathPattern, PatternError};

/// A text that is not empty.
#[derive(Debug, Clone)]
pub struct NonEmpty(pub String);

impl Text for NonEmpty {
    const EXPECTED: &'static str = "a text";

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text.trim() {
            "" => Err(Refusal::new(Code::EmptyText, "an empty text", "write a text, or leave the key out")),
            _ => Ok(Self(text.to_owned())),
        }
    }

    fn hints() -> Json {
        json!({ "minLength": 1 })
    }
}

/// A file; relative to the folder of the configuration file.
#[derive(Debug, Clone)]
pub struct FilePath(pub PathBuf);

impl Text for FilePath {
    const EXPECTED: &'static str = "a text with the path of a file";

    fn parse(text: &str) -> Result<Self, Refusal> {
        NonEmpty::parse(text).map(|text| Self(text.0.into()))
    }

    fn hints() -> Json {
        json!({ "minLength": 1 })
    }
}

/// A name of a table or a route, which also stands in logs and metrics.
#[derive(Debug, Clone)]
pub struct Name(pub String);

impl Text for Name {
    const EXPECTED: &'static str = "a text with a name";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let help = "letters, digits, `-`, `_` and `.`, 64 at most: it stands in logs and metrics";
        let bad = |message: String| Refusal::new(Code::BadName, message, help);
        match text.char_indices().find(|(_, c)| !allowed(*c)) {
            Some((at, c)) => Err(bad(format!("{c:?} does not belong in a name")).at(at..at + c.len_utf8())),
            None if text.is_empty() || text.len() > 64 => {
                Err(bad(format!("a name has 1 to 64 characters, not {}", text.len())))
            }
            None => Ok(Self(text.to_owned())),
        }
    }

    fn hints() -> Json {
        json!({ "pattern": "^[A-Za-z0-9._-]{1,64}$" })
    }
}

/// What a token is found by: the name of a query parameter, a subprotocol or a cookie. No character in it has to be escaped
/// in any of them.
#[derive(Debug, Clone)]
pub struct TokenPlace(pub String);

impl Text for TokenPlace {
    const EXPECTED: &'static str = "a text with a name, such as \"access_token\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        let help = "letters, digits, `-`, `_`, `.` and `~`";
        match text.char_indices().find(|(_, c)| !allowed(*c)) {
            Some((at, c)) => {
                let message = format!("{c:?} does not belong in the name");
                Err(Refusal::new(Code::BadName, message, help).at(at..at + c.len_utf8()))
            }
            None if text.is_empty() => Err(Refusal::new(Code::BadName, "a name has at least one character", help)),
            None => Ok(Self(text.to_owned())),
        }
    }

    fn hints() -> Json {
        json!({ "pattern": "^[A-Za-z0-9._~-]+$" })
    }
}

/// One scope token (RFC 6749, section 3.3).
#[derive(Debug, Clone)]
pub struct Scope(pub String);

impl Text for Scope {
    const EXPECTED: &'static str = "a text with one scope";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let allowed = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
        if text.is_empty() {
            return Err(Refusal::new(Code::BadScope, "a scope is not empty", "remove it"));
        }
        let Some((at, c)) = text.char_indices().find(|(_, c)| !allowed(*c)) else { return Ok(Self(text.to_owned())) };
        let parts: Vec<String> = text.split_whitespace().map(|part| format!("{part:?}")).collect();
        let help = match (c.is_whitespace(), parts.len()) {
            (true, 2..) => format!("these are {} scopes; write {}", parts.len(), parts.join(", ")),
            (true, 1) => format!("write {}", parts[0]),
            _ => "printable ASCII without blank, quote and backslash".into(),
        };
        Err(Refusal::new(Code::BadScope, format!("a scope has no {c:?}"), help).at(at..at + c.len_utf8()))
    }

    fn hints() -> Json {
        json!({ "pattern": "^[!#-\\[\\]-~]+$" })
    }
}

/// One authentication context class (OpenID Connect Core, section 2); stands in a list that is separated by blanks.
#[derive(Debug, Clone)]
pub struct AcrValue(pub String);

impl Text for AcrValue {
    const EXPECTED: &'static str = "a text with one authentication context class";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let allowed = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
        match text.char_indices().find(|(_, c)| !allowed(*c)) {
            None if text.is_empty() => Err(Refusal::new(Code::EmptyText, "an empty text", "remove it")),
            None => Ok(Self(text.to_owned())),
            Some((at, c)) => {
                let help = "printable ASCII without blank, quote and backslash: it stands in the challenge";
                let message = format!("an authentication context class has no {c:?}");
                Err(Refusal::new(Code::BadAcr, message, help).at(at..at + c.len_utf8()))
            }
        }
    }

    fn hints() -> Json {
        json!({ "pattern": "^[!#-\\[\\]-~]+$" })
    }
}

/// A JSON Pointer into the claims (RFC 6901), to one claim or below it.
#[derive(Debug, Clone)]
pub struct Pointer(pub String);

impl Text for Pointer {
    const EXPECTED: &'static str = "a text with a JSON Pointer, such as \"/email\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let bad = |message: &str, help: String| Refusal::new(Code::BadPointer, message, help);
        if !text.starts_with('/') || text.len() == 1 {
            let help = format!(
                "a JSON Pointer begins with a slash: \"/{}\"",
                if text.len() > 1 { text } else { "department" }
            );
            return Err(bad("this is not a pointer to a claim", help));
        }
        let bytes = text.as_bytes();
        let broken =
            text.match_indices('~').map(|(at, _)| at).find(|at| !matches!(bytes.get(at + 1), Some(b'0' | b'1')));
        match broken {
            Some(at) => {
                let help = "in a JSON Pointer ~ is written ~0, and a slash inside a name ~1".into();
                Err(bad("a ~ that escapes nothing", help).at(at..at + 1))
            }
            None => Ok(Self(text.to_owned())),
        }
    }

    fn hints() -> Json {
        json!({ "pattern": "^/" })
    }
}

/// Headers that HTTP, the gateway or the credential needs; no claim may overwrite them.
const RESERVED_HEADERS: [&str; 30] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "dpop",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-auth-client",
    "x-auth-issuer",
    "x-auth-scopes",
    "x-auth-subject",
    "x-real-ip",
];

/// A header that carries a claim upstream.
#[derive(Debug, Clone)]
pub struct IdentityHeader(pub HeaderName);

impl Text for IdentityHeader {
    const EXPECTED: &'static str = "a text with a header name";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let help = "a name of its own, such as \"X-Auth-Email\"";
        let name = HeaderName::from_bytes(text.as_bytes());
        let Some(name) = name.ok().filter(|name| !name.as_str().contains('_')) else {
            let why = "letters, digits and hyphens (many servers cannot tell `_` from `-`): \"X-Auth-Email\"";
            return Err(Refusal::new(Code::BadHeader, format!("{text:?} is not a header name"), why));
        };
        let lower = name.as_str();
        if RESERVED_HEADERS.contains(&lower)
            || ["x-forwarded-", "sec-", "x-accel-", "access-control-", ":"].iter().any(|start| lower.starts_with(start))
        {
            return Err(Refusal::new(Code::ReservedHeader, format!("`{text}` has a meaning of its own"), help));
        }
        Ok(Self(name))
    }

    fn hints() -> Json {
        json!({ "pattern": "^[A-Za-z0-9-]+$" })
    }
}

/// A header in which a proxy tells of a client's certificate.
#[derive(Debug, Clone)]
pub struct CertificateHeader(pub HeaderName);

impl Text for CertificateHeader {
    const EXPECTED: &'static str = "a text with a header name";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let help = "a name of its own, such as \"X-Forwarded-Client-Cert\"";
        match text.to_ascii_lowercase().as_str() {
            "x-forwarded-client-cert" | "x-forwarded-tls-client-cert" => {}
            lower if lower.starts_with("x-auth-") => {
                return Err(Refusal::new(Code::ReservedHeader, format!("`{text}` has a meaning of its own"), help));
            }
            _ => drop(IdentityHeader::parse(text)?),
        }
        let name = HeaderName::from_bytes(text.as_bytes());
        name.map(Self).map_err(|_| Refusal::new(Code::BadHeader, format!("{text:?} is not a header name"), help))
    }

    fn hints() -> Json {
        IdentityHeader::hints()
    }
}

/// A host of a route.
#[derive(Debug, Clone)]
pub struct HostText(pub HostPattern);

impl Text for HostText {
    const EXPECTED: &'static str = "a text with a host, such as \"api.example.com\" or \"*.example.com\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        HostPattern::parse(text).map(Self).map_err(|error| pattern(Code::BadHost, text, error))
    }
}

/// A path of a route.
#[derive(Debug, Clone)]
pub struct PathText(pub PathPattern);

impl Text for PathText {
    const EXPECTED: &'static str = "a text with a path, such as \"/orders/{id}\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        PathPattern::parse(text).map(Self).map_err(|error| pattern(Code::BadPath, text, error))
    }

    fn hints() -> Json {
        json!({ "pattern": "^/" })
    }
}

/// A method of a route.
#[derive(Debug, Clone)]
pub struct MethodText(pub MethodSet);

impl Text for MethodText {
    const EXPECTED: &'static str = "a text with a method, such as \"GET\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        MethodSet::parse(text).map(Self).map_err(|error| pattern(Code::BadMethod, text, error))
    }

    fn hints() -> Json {
        json!({ "examples": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] })
    }
}

fn pattern(code: Code, text: &str, error: PatternError) -> Refusal {
    let refusal = Refusal::new(code, error.message, error.help);
    let width = text.get(error.offset..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    if text.is_empty() { refusal } else { refusal.at(error.offset..error.offset + width) }
}

/// A filter of the diagnostic log.
#[derive(Debug, Clone)]
pub struct LogLevel(pub String);

impl Text for LogLevel {
    const EXPECTED: &'static str = "a text with a level, such as \"info\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let help = "off, error, warn, info, debug or trace; or per module, such as \"info,tollgate=debug\"";
        let bad = |help: String| Refusal::new(Code::BadLogLevel, format!("{text:?} is not a log level"), help);
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric());
        if plain && !LEVELS.contains(&text) {
            return Err(bad(nearest(text, &LEVELS).map_or(help.into(), |right| format!("did you mean \"{right}\"?"))));
        }
        match tracing_subscriber::EnvFilter::builder().parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(bad(format!("{error}; {help}"))),
        }
    }

    fn hints() -> Json {
        json!({ "examples": ["info", "info,tollgate=debug"] })
    }
}

/// `allow`, or the code of a denial.
#[derive(Debug, Clone)]
pub struct Expectation(pub String);

/// The denial codes that a judgement can end with.
const DENIALS: [&str; 26] = [
    "no_credential",
    "bad_credential_syntax",
    "session_expired",
    "bad_proof",
    "proof_nonce_required",
    "malformed_token",
    "unknown_issuer",
    "wrong_type",
    "algorithm_refused",
    "unknown_key",
    "bad_signature",
    "expired",
    "not_yet_valid",
    "wrong_audience",
    "missing_claim",
    "inactive",
    "revoked",
    "bad_binding",
    "step_up_required",
    "insufficient_scope",
    "claim_refused",
    "cross_site",
    "ambiguous_path",
    "bad_request",
    "no_route",
    "method_not_allowed",
];

impl Text for Expectation {
    const EXPECTED: &'static str = "a text, \"allow\" or a denial code such as \"insufficient_scope\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        if text == "allow" || DENIALS.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        let known: Vec<&str> = std::iter::once("allow").chain(DENIALS).collect();
        let help = match (nearest(text, &known), text) {
            (_, "deny" | "denied" | "forbidden" | "401" | "403" | "404") => {
                "say which denial, such as \"no_credential\", \"insufficient_scope\" or \"no_route\"".to_owned()
            }
            (Some(right), _) => format!("did you mean \"{right}\"?"),
            (None, _) => format!("it can be {}", crate::config::table::choices(&known)),
        };
        Err(Refusal::new(Code::UnknownExpectation, format!("{text:?} is not an outcome of a request"), help))
    }

    fn hints() -> Json {
        let words: Vec<&str> = std::iter::once("allow").chain(DENIALS).collect();
        json!({ "enum": words })
    }
}
