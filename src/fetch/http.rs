//! Fetching over HTTP/1.1, one connection per call: calls are rare, and a connection kept would have to be watched.

use std::path::Path;
use std::pin::pin;
use std::sync::Mutex;

use ::http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, HOST, HeaderValue, LOCATION, USER_AGENT};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::Url;

use super::connect::{self, Identity, IdentityError, RootsError};
use super::{Fault, Fetch, FetchError, FetchFuture, Phase, Request, Response};

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// How much of a `Location` is shown, in characters.
const SHOWN_LOCATION: usize = 200;

/// Why there can be no client that shows a certificate.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The authorities that it would trust.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The certificate that it would show.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// [`Fetch`] over real sockets.
pub struct HttpFetch {
    /// `None`: nothing to verify with, so no https.
    tls: Option<TlsConnector>,
}

impl HttpFetch {
    /// Trusts the machine's certificate authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured).
    ///
    /// A machine without any is no error here: each https fetch will say so.
    #[must_use]
    pub fn with_system_roots() -> Self {
        let roots = connect::roots_of_system();
        Self { tls: (!roots.is_empty()).then(|| connect::tls(roots)) }
    }

    /// Trusts the certificate authorities of this PEM file and no other.
    ///
    /// # Errors
    /// When the file cannot be read, or holds anything but usable certificates.
    pub fn with_ca_file(path: &Path) -> Result<Self, RootsError> {
        Ok(Self { tls: Some(connect::tls(connect::roots_of_file(path)?)) })
    }

    /// The same client, which shows this certificate to servers that ask for one (RFC 8705 section 2). `ca_file` as in
    /// [`Self::with_ca_file`]; without one, the machine's authorities are trusted.
    ///
    /// # Errors
    /// When a file cannot be read, or certificate and key do not belong together.
    pub fn with_identity(ca_file: Option<&Path>, certificate: &Path, private_key: &Path) -> Result<Self, ClientError> {
        let roots = ca_file.map_or_else(|| Ok(connect::roots_of_system()), connect::roots_of_file)?;
        let identity = Identity::read(certificate, private_key)?;
        if roots.is_empty() {
            return Ok(Self { tls: None });
        }
        let pair = |source| IdentityError::Pair { certificate: certificate.to_path_buf(), source };
        Ok(Self { tls: Some(connect::tls_as(roots, identity).map_err(pair)?) })
    }

    async fn send(&self, request: Request, phase: &Tracker) -> Result<Response, Fault> {
        let outgoing = outgoing(&request)?;
        let secured = secured(&request.url, self.tls.as_ref())?;
        phase.enter(Phase::Resolving);
        let addresses = connect::resolve(&request.url).await?;
        phase.enter(Phase::Connecting);
        let stream = connect::connect(&addresses, request.timeout).await?;
        match secured {
            None => exchange(stream, outgoing, request.max_bytes, phase).await,
            Some(tls) => {
                phase.enter(Phase::Securing);
                let stream = connect::secure(tls, &request.url, stream).await?;
                exchange(stream, outgoing, request.max_bytes, phase).await
            }
        }
    }
}

impl std::fmt::Debug for HttpFetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpFetch").field("https", &self.tls.is_some()).finish()
    }
}

impl Fetch for HttpFetch {
    fn fetch(&self, request: Request) -> FetchFuture<'_> {
        Box::pin(async move {
            let (url, limit, phase) = (request.url.clone(), request.timeout, Tracker::default());
            tokio::time::timeout(limit, self.send(request, &phase))
                .await
                .unwrap_or_else(|_| Err(Fault::Timeout { doing: phase.get(), after: limit }))
                .map_err(|fault| FetchError::new(&url, fault))
        })
    }
}

/// Remembers what a fetch is doing, for when its time is up.
struct Tracker(Mutex<Phase>);

impl Default for Tracker {
    fn default() -> Self {
        Self(Mutex::new(Phase::Resolving))
    }
}

impl Tracker {
    fn enter(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = phase;
    }

    fn get(&self) -> Phase {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What secures the connection to `url`; `None` for http.
fn secured<'a>(url: &Url, tls: Option<&'a TlsConnector>) -> Result<Option<&'a TlsConnector>, Fault> {
    match url.scheme() {
        "https" => tls.map(Some).ok_or(Fault::NoRoots),
        "http" => Ok(None),
        _ => Err(Fault::Url("its scheme is neither https nor http")),
    }
}

/// The request as it goes over the wire.
fn outgoing(request: &Request) -> Result<hyper::Request<Full<Bytes>>, Fault> {
    let url = &request.url;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::Url("it holds credentials"));
    }
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let host = HeaderValue::from_str(authority).map_err(|_| Fault::Url("its host is no header value"))?;
    let mut outgoing = hyper::Request::new(Full::new(request.body.clone()));
    *outgoing.method_mut() = request.method.clone();
    *outgoing.uri_mut() = url[url::Position::BeforePath..url::Position::AfterQuery]
        .parse()
        .map_err(|_| Fault::Url("its path or query is no request target"))?;
    let headers = outgoing.headers_mut();
    headers.clone_from(&request.headers);
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(outgoing)
}

/// Sends and receives on a fresh connection, and drives that connection meanwhile: no task outlives the call.
async fn exchange<S>(
    stream: S,
    request: hyper::Request<Full<Bytes>>,
    max: usize,
    phase: &Tracker,
) -> Result<Response, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await.map_err(Fault::Exchange)?;
    let mut answer = pin!(async {
        phase.enter(Phase::Waiting);
        let response = sender.send_request(request).await.map_err(Fault::Exchange)?;
        phase.enter(Phase::Reading);
        read(response, max).await
    });
    tokio::select! {
        outcome = &mut answer => outcome,
        // The connection may end before its last bytes were taken out; its error, if any, shows there as well.
        _ = connection => answer.await,
    }
}

/// The whole answer, once its head shows that it can be taken.
async fn read(response: hyper::Response<Incoming>, max: usize) -> Result<Response, Fault> {
    let (head, body) = response.into_parts();
    if head.status.is_redirection() {
        return Err(Fault::Redirect { status: head.status, location: shown(head.headers.get(LOCATION)) });
    }
    if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Fault::Encoded);
    }
    Ok(Response { status: head.status, headers: head.headers, body: bounded(body, max).await? })
}

/// Gathers `body`, never more than `max` bytes of it.
async fn bounded(mut body: Incoming, max: usize) -> Result<Bytes, Fault> {
    let announced = body.size_hint().lower();
    if announced > max as u64 {
        return Err(Fault::TooLarge { max });
    }
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing here.
        let Ok(data) = frame.map_err(Fault::Body)?.into_data() else { continue };
        if data.len() > max - gathered.len() {
            return Err(Fault::TooLarge { max });
        }
        gathered.extend_from_slice(&data);
    }
    Ok(gathered.freeze())
}

/// A `Location` fit for a log: without query and fragment, which may hold codes and tokens, and not too long.
fn shown(location: Option<&HeaderValue>) -> String {
    let text = String::from_utf8_lossy(location.map_or(b"".as_slice(), HeaderValue::as_bytes)).into_owned();
    text.split(['?', '#']).next().unwrap_or_default().chars().take(SHOWN_LOCATION).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_carries_our_own_host_and_no_fragment() {
        let mut request = Request::get("http://[::1]:81/a%20b?c=d#e".parse().unwrap());
        request.headers.insert(HOST, HeaderValue::from_static("elsewhere"));
        request.headers.insert("accept", HeaderValue::from_static("application/json"));
        let outgoing = outgoing(&request).unwrap();
        assert_eq!(outgoing.uri(), "/a%20b?c=d");
        assert_eq!(outgoing.headers()[HOST], "[::1]:81");
        assert_eq!(outgoing.headers()["accept"], "application/json");
    }

    #[test]
    fn urls_that_cannot_be_fetched_are_refused() {
        let fetch = HttpFetch { tls: None };
        let cases = [
            ("http://user:pass@h/", "holds credentials"),
            ("ftp://127.0.0.1/", "neither https nor http"),
            ("https://127.0.0.1/", "no root certificates"),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (url, complaint) in cases {
            let error = runtime.block_on(fetch.fetch(Request::get(url.parse().unwrap()))).unwrap_err();
            assert!(error.to_string().contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_shown_location_is_short_and_holds_no_query() {
        assert_eq!(shown(None), "");
        assert_eq!(shown(Some(&HeaderValue::from_static("https://x/cb?code=1"))), "https://x/cb");
        assert_eq!(shown(Some(&HeaderValue::from_str(&"x".repeat(999)).unwrap())).len(), SHOWN_LOCATION);
    }
}
