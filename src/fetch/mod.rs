//! Outgoing requests of the gateway itself: one request, one bounded answer, or an error that an operator can act on.
//!
//! Decides how such a request travels; what it means is the caller's to know. Promises: an answer comes within
//! [`Request::timeout`] or not at all; no more than [`Request::max_bytes`] of a body are ever held; a certificate is
//! always verified against the name in the URL; dropping the future ends the exchange and its connection. Refuses:
//! redirects (a 3xx is an error, for where it leads nobody configured), proxies, cookies, compressed bodies, and
//! credentials inside URLs. Whether a plain `http` URL may be used at all is decided before it comes here.

mod connect;
mod http;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use url::Url;

pub use connect::{IdentityError, RootsError};
pub use http::{ClientError, HttpFetch};

/// Sends requests. The seam at which a test fakes an issuer.
pub trait Fetch: Send + Sync + 'static {
    /// Sends `request` and reads its whole answer. Dropping the future abandons the exchange.
    fn fetch(&self, request: Request) -> FetchFuture<'_>;
}

/// What [`Fetch::fetch`] gives.
pub type FetchFuture<'a> = Pin<Box<dyn Future<Output = Result<Response, FetchError>> + Send + 'a>>;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET` unless said otherwise.
    pub method: Method,
    /// `https` or `http`; a fragment is not sent.
    pub url: Url,
    /// Beside `Host`, `User-Agent`, `Accept-Encoding`, `Connection` and the length, which are set here.
    pub headers: HeaderMap,
    /// Empty: no body is sent.
    pub body: Bytes,
    /// For everything from the name lookup to the last byte of the answer.
    pub timeout: Duration,
    /// The longest body of an answer that is taken.
    pub max_bytes: usize,
}

impl Request {
    /// A `GET` of `url` with 5 s and 512 KiB.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: Duration::from_secs(5),
            max_bytes: 512 * 1024,
        }
    }
}

/// The answer to a request. Any status but 3xx.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status as it came.
    pub status: StatusCode,
    /// The header fields as they came.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer. `Display` is one line: the origin, the phase, and the causes down to the last.
#[derive(Debug)]
pub struct FetchError {
    /// Scheme, host and port that were asked; never the path or the query, which may hold what must not be logged.
    pub origin: String,
    /// What happened.
    pub fault: Fault,
}

/// What went wrong with a fetch, by the phase in which it did.
#[derive(Debug)]
pub enum Fault {
    /// The URL cannot be fetched.
    Url(&'static str),
    /// The name does not resolve.
    Resolve(io::Error),
    /// No address accepted a connection. The error is the last address's.
    Connect(io::Error),
    /// There is nothing to verify a certificate with.
    NoRoots,
    /// The handshake failed; most often the certificate is not trusted, or is another host's.
    Tls(io::Error),
    /// The request could not be sent, or what came back is no HTTP answer.
    Exchange(hyper::Error),
    /// The answer is a redirect.
    Redirect {
        /// The status.
        status: StatusCode,
        /// Where it leads, without query, cut and escaped.
        location: String,
    },
    /// The body is compressed, though no encoding was asked for.
    Encoded,
    /// The body broke off.
    Body(hyper::Error),
    /// The body is longer than allowed.
    TooLarge {
        /// The limit, in bytes.
        max: usize,
    },
    /// The time was up.
    Timeout {
        /// What was being done.
        doing: Phase,
        /// The limit.
        after: Duration,
    },
}

/// What a fetch is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Looking up the name.
    Resolving,
    /// Connecting to one address after the other.
    Connecting,
    /// In the TLS handshake.
    Securing,
    /// Waiting for the head of the answer.
    Waiting,
    /// Reading the body of the answer.
    Reading,
}

impl FetchError {
    /// An error of fetching `url`.
    #[must_use]
    pub fn new(url: &Url, fault: Fault) -> Self {
        Self { origin: origin(url), fault }
    }
}

/// Scheme, host and port (if it is not the scheme's own) of `url`.
#[must_use]
pub fn origin(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[url::Position::BeforeHost..url::Position::AfterPort])
}

/// Whether a URL leads to this machine, whatever the network does: a loopback address, or `localhost`.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.fault)
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.fault.source()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "the URL cannot be fetched: {why}"),
            Self::Resolve(_) => f.write_str("the name does not resolve"),
            Self::Connect(_) => f.write_str("cannot connect"),
            Self::NoRoots => {
                f.write_str("this machine has no root certificates: install ca-certificates, or set ca_file")
            }
            Self::Tls(_) => f.write_str("the TLS handshake failed"),
            Self::Exchange(_) => f.write_str("no valid HTTP answer"),
            Self::Redirect { status, location } => {
                write!(f, "answered {} to {location:?}, and redirects are not followed", status.as_u16())
            }
            Self::Encoded => f.write_str("the answer has a Content-Encoding, and none was asked for"),
            Self::Body(_) => f.write_str("the answer broke off"),
            Self::TooLarge { max } => write!(f, "the answer is longer than {max} bytes"),
            Self::Timeout { doing, after } => write!(f, "no answer within {after:?} ({doing})"),
        }?;
        causes(f, self.source())
    }
}

/// Appends what is below an error, each cause after a colon, so that one line tells the whole story.
fn causes(f: &mut fmt::Formatter<'_>, mut cause: Option<&(dyn Error + 'static)>) -> fmt::Result {
    while let Some(error) = cause {
        write!(f, ": {error}")?;
        cause = error.source();
    }
    Ok(())
}

impl Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Resolve(error) | Self::Connect(error) | Self::Tls(error) => Some(error),
            Self::Exchange(error) | Self::Body(error) => Some(error),
            Self::Url(_)
            | Self::NoRoots
            | Self::Redirect { .. }
            | Self::Encoded
            | Self::TooLarge { .. }
            | Self::Timeout { .. } => None,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolving => "looking up the name",
            Self::Connecting => "connecting",
            Self::Securing => "in the TLS handshake",
            Self::Waiting => "connected, waiting for the head of the answer",
            Self::Reading => "reading the body",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_origin_and_nothing_more_of_the_url() {
        let cases = [
            ("https://login.example/a?token=secret#f", "https://login.example"),
            ("http://user:secret@[::1]:8080/secret", "http://[::1]:8080"),
            ("https://login.example:443", "https://login.example"),
        ];
        for (url, expected) in cases {
            let error = FetchError::new(&url.parse().unwrap(), Fault::NoRoots);
            assert_eq!(error.origin, expected);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_error_is_one_line_with_all_its_causes_and_keeps_them() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "Connection refused");
        let error = FetchError::new(&"http://h:1/".parse().unwrap(), Fault::Connect(refused));
        assert_eq!(error.to_string(), "http://h:1: cannot connect: Connection refused");
        let source = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
    }
}
