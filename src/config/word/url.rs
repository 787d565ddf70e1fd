//! URLs, each kind with the parts that it may have.

use std::net::IpAddr;

use serde_json::{Value as Json, json};
use url::{Host, Url};

use crate::config::diagnostic::Code;
use crate::config::model::{Origin, Scheme};
use crate::config::read::{Refusal, Text};

pub use crate::fetch::is_loopback;

/// An absolute http or https URL without user information and fragment, parsed, and as it was written.
#[derive(Debug, Clone)]
pub struct WebUrl {
    /// As written.
    pub text: String,
    /// Parsed.
    pub url: Url,
}

impl Text for WebUrl {
    const EXPECTED: &'static str = "a text with an https URL";

    fn parse(text: &str) -> Result<Self, Refusal> {
        web_url(text, Code::BadUrl).map(|url| Self { text: text.to_owned(), url })
    }

    fn hints() -> Json {
        json!({ "format": "uri" })
    }
}

/// Where a browser may be sent back to: a web URL, or a URI of a private-use scheme, whose name has a dot (RFC 8252,
/// section 7.1). Kept as written, since it is compared so.
#[derive(Debug, Clone)]
pub struct RedirectUri(pub String);

impl Text for RedirectUri {
    const EXPECTED: &'static str = "a text with the URL that browsers are sent back to";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let private = text.split_once(':').is_some_and(|(scheme, _)| scheme.contains('.') && !scheme.contains('/'));
        if !private {
            return web_url(text, Code::BadUrl).map(|_| Self(text.to_owned()));
        }
        Url::parse(text).map_err(|error| bad_url(text, Code::BadUrl, error))?;
        match text.contains('#') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Err(Refusal::new(Code::BadUrl, "a redirect URI has no fragment and no blanks", "remove them")),
            false => Ok(Self(text.to_owned())),
        }
    }

    fn hints() -> Json {
        json!({ "format": "uri" })
    }
}

/// A resource to get a token for (RFC 8707, section 2): an absolute URI without a fragment, of any scheme. Kept as written,
/// since the issuer compares it.
#[derive(Debug, Clone)]
pub struct ResourceUri(pub String);

impl Text for ResourceUri {
    const EXPECTED: &'static str = "a text with a resource's URI, such as \"https://api.example.com\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Url::parse(text).map_err(|error| bad_url(text, Code::BadUrl, error))?;
        match text.find(|c: char| c == '#' || !c.is_ascii_graphic()) {
            Some(at) => Err(Refusal::new(Code::BadUrl, "a resource has no fragment and no blanks", "remove them")
                .at(at..text.len())),
            None => Ok(Self(text.to_owned())),
        }
    }

    fn hints() -> Json {
        json!({ "format": "uri" })
    }
}

/// An issuer identifier (RFC 8414, section 2): compared with `iss` as it is written.
#[derive(Debug, Clone)]
pub struct IssuerUrl {
    /// As written.
    pub text: String,
    /// Parsed.
    pub url: Url,
    /// What stands for a tenant, braces included: `{tenantid}`.
    pub placeholder: Option<String>,
}

impl Text for IssuerUrl {
    const EXPECTED: &'static str = "a text with the issuer's https URL";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let placeholder = placeholder(text)?.map(str::to_owned);
        let url = web_url(text, Code::BadIssuer)?;
        if let Some(query) = text.find('?') {
            let help = "write it exactly as tokens have it in `iss`, and as the issuer's discovery document has it";
            return Err(Refusal::new(Code::BadIssuer, "an issuer has no query", help).at(query..text.len()));
        }
        if let Some(at) = text.find("/.well-known/") {
            let help = format!("the issuer is \"{}\"; where its metadata is follows from it", &text[..at]);
            return Err(
                Refusal::new(Code::BadIssuer, "this is the address of the issuer's metadata", help).at(at..text.len())
            );
        }
        Ok(Self { text: text.to_owned(), url, placeholder })
    }

    fn hints() -> Json {
        json!({ "format": "uri" })
    }
}

/// The name in braces that is one segment of an issuer's path, if there are braces at all. In the host it would let
/// whoever has a tenant choose the server; elsewhere nobody could say where a tenant begins and ends.
fn placeholder(text: &str) -> Result<Option<&str>, Refusal> {
    let Some(first) = text.find(['{', '}']) else { return Ok(None) };
    let place = first..text.rfind(['{', '}']).map_or(text.len(), |last| last + 1);
    let inside = &text[place.clone()];
    let name = inside.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let named = name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_plain));
    let segment = text[..place.start].ends_with('/') && matches!(text.as_bytes().get(place.end), None | Some(b'/'));
    if place.start > after_authority(text) && named && segment {
        return Ok(Some(inside));
    }
    let message = "braces stand for a tenant, which is one whole segment of the path";
    let help = "as \"https://login.example.com/{tenant}/v2.0\"; for a tenant in the host, write a table for each";
    Err(Refusal::new(Code::BadIssuer, message, help).at(place))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// An origin: scheme, host and perhaps a port. Kept without the trailing slash.
#[derive(Debug, Clone)]
pub struct OriginUrl {
    /// Normalised, without a trailing slash.
    pub text: String,
}

impl Text for OriginUrl {
    const EXPECTED: &'static str = "a text with an origin, such as \"https://api.example.com\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let url = web_url(text, Code::BadOrigin)?;
        let origin = url.origin().ascii_serialization();
        if url.path() != "/" || url.query().is_some() || text.ends_with('/') {
            let help = format!("only scheme, host and port: \"{origin}\"");
            return Err(Refusal::new(Code::BadOrigin, format!("{text:?} is more than an origin"), help)
                .at(after_authority(text)..text.len()));
        }
        Ok(Self { text: origin })
    }

    fn hints() -> Json {
        json!({ "format": "uri" })
    }
}

/// One server of an upstream.
#[derive(Debug, Clone)]
pub struct ServerUrl(pub Origin);

impl Text for ServerUrl {
    const EXPECTED: &'static str = "a text with a server's URL, such as \"http://127.0.0.1:9001\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let help = format!("say how it is spoken to: \"http://{text}\", \"https://{text}\" or \"h2c://{text}\"");
            return Err(Refusal::new(Code::BadServer, "the server's URL has no scheme", help));
        };
        let (scheme, port) = match scheme {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            "h2c" => (Scheme::H2c, 80),
            _ => {
                let help = "http:// for HTTP/1.1, h2c:// for HTTP/2 in cleartext, https:// for TLS";
                return Err(Refusal::new(Code::BadServer, format!("a server is not spoken to by {scheme:?}"), help)
                    .at(0..scheme.len()));
            }
        };
        if let Some(at) = rest.rfind('@') {
            let start = text.len() - rest.len();
            let help = "remove it: the gateway sends no user information, and a file is no place for a password";
            return Err(
                Refusal::new(Code::BadServer, "the server's URL has user information", help).at(start..start + at + 1)
            );
        }
        // A slash alone, as URLs are often pasted, means no path.
        let rest = rest.strip_suffix('/').filter(|rest| !rest.contains(['/', '?', '#'])).unwrap_or(rest);
        if let Some(at) = rest.find(['/', '?', '#']) {
            let start = text.len() - rest.len() + at;
            let help = format!(
                "write \"{}\": the path of the request is what the upstream gets; `strip_prefix` of a route can shorten it",
                &text[..start]
            );
            return Err(Refusal::new(Code::BadServer, "a server is named without a path", help).at(start..text.len()));
        }
        let parsed = Url::parse(&format!("http://{rest}")).map_err(|error| bad_url(text, Code::BadServer, error))?;
        let host = host_text(&parsed).ok_or_else(|| bad_url(text, Code::BadServer, url::ParseError::EmptyHost))?;
        let default = if rest.ends_with(":80") { 80 } else { port };
        Ok(Self(Origin { scheme, host, port: parsed.port().unwrap_or(default) }))
    }

    fn hints() -> Json {
        json!({ "pattern": "^(http|https|h2c)://[^/?#@]+$" })
    }
}

/// A Redis or Valkey server. Kept as written.
#[derive(Debug, Clone)]
pub struct RedisUrl {
    /// As written.
    pub text: String,
    /// Whether it holds a password.
    pub password: bool,
}

impl Text for RedisUrl {
    const EXPECTED: &'static str = "a text with a server's URL, such as \"rediss://cache.internal:6379\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let help = "redis://HOST:PORT, or rediss://HOST:PORT for TLS, and perhaps /NUMBER of the database";
        // The text may hold a password, so no message quotes it.
        let bad = |message: &str| Refusal::new(Code::BadServer, message.to_owned(), help);
        let url = Url::parse(text).map_err(|_| bad("this is not the URL of a Redis server"))?;
        if !matches!(url.scheme(), "redis" | "rediss") || url.host_str().is_none_or(str::is_empty) {
            return Err(bad("the URL of a Redis server begins with redis:// or rediss://, and names a host"));
        }
        let database = url.path().trim_start_matches('/');
        if url.query().is_some() || url.fragment().is_some() || !database.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad("the URL of a Redis server has nothing behind the number of the database"));
        }
        Ok(Self { text: text.to_owned(), password: url.password().is_some() })
    }

    fn hints() -> Json {
        json!({ "pattern": "^rediss?://" })
    }
}

/// A name, an IPv4 address, or an IPv6 address without brackets.
fn host_text(url: &Url) -> Option<String> {
    url.host().map(|host| match host {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(ip) => IpAddr::from(ip).to_string(),
        Host::Ipv6(ip) => IpAddr::from(ip).to_string(),
    })
}

fn web_url(text: &str, code: Code) -> Result<Url, Refusal> {
    let url = Url::parse(text).map_err(|error| bad_url(text, code, error))?;
    if !matches!(url.scheme(), "http" | "https") || !text.contains("://") {
        let help = "it begins with https://";
        return Err(Refusal::new(code, format!("{text:?} is neither an https nor an http URL"), help));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = "remove what stands before the @";
        return Err(Refusal::new(code, "the URL has user information", help));
    }
    if let Some(fragment) = text.find('#') {
        return Err(Refusal::new(code, "the URL has a fragment", "remove it, with the #").at(fragment..text.len()));
    }
    if text.contains(char::is_whitespace) || text.contains('\\') {
        return Err(Refusal::new(code, "the URL has blanks or backslashes", "remove or encode them"));
    }
    Ok(url)
}

fn bad_url(text: &str, code: Code, error: url::ParseError) -> Refusal {
    let help = match text.contains("://") {
        true => format!("{error}"),
        false => "an absolute URL, such as \"https://login.example.com\"".to_owned(),
    };
    Refusal::new(code, "this is not a URL", help)
}

/// Where the part behind host and port begins.
fn after_authority(text: &str) -> usize {
    let start = text.find("://").map_or(0, |at| at + 3);
    text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at)
}

/// The request of a policy test: `"GET https://api.example.com/orders/7"`.
#[derive(Debug, Clone)]
pub struct RequestLine {
    /// The method.
    pub method: http::Method,
    /// The absolute URL, as written.
    pub url: String,
}

impl Text for RequestLine {
    const EXPECTED: &'static str = "a text with a method and a URL, such as \"GET https://api.example.com/orders/7\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let help = "a method, one blank and an absolute URL: \"GET https://api.example.com/orders/7\"";
        let bad = |message: &str| Refusal::new(Code::BadRequest, message, help);
        let (method, url) = text.split_once(' ').ok_or_else(|| bad("a request is a method and a URL"))?;
        let method = match method.parse::<http::Method>() {
            Ok(parsed) if method == method.to_ascii_uppercase() => parsed,
            _ => return Err(bad("a method is written in capitals").at(0..method.len())),
        };
        let place = text.len() - url.len()..text.len();
        // Odd paths are the very thing that a test may be about, so only what comes before the path is looked at.
        let authority = Url::parse(&url[..after_authority(url)]).ok();
        match authority {
            Some(origin) if matches!(origin.scheme(), "http" | "https") && !url.contains(char::is_whitespace) => {
                Ok(Self { method, url: url.to_owned() })
            }
            _ => Err(bad("the URL of a request is absolute").at(place)),
        }
    }

    fn hints() -> Json {
        json!({ "pattern": "^[A-Z-]+ https?://[^ ]+$" })
    }
}
