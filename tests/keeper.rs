//! Fetching keys over real sockets, from servers that behave badly in one way each.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test that called it")]

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer as Authority, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tollgate::clock::SystemClock;
use tollgate::config::model::{Issuer, KeySource, Profile, TokenType};
use tollgate::fetch::{Fault, Fetch as _, FetchError, HttpFetch, Phase, Request, Response};
use tollgate::token::RejectionCode;
use tollgate::token::jwks::{FetchResult, Keeper, Means, State};

/// The public key of RFC 7515 appendix A.3.
const JWKS: &str = r#"{"keys":[{"kty":"EC","kid":"a","crv":"P-256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// What a server does once it has read the head of a request.
#[derive(Clone)]
enum Reply {
    /// Sends this and closes.
    Send(String),
    /// Sends this and then nothing, for ever.
    Hang(String),
    /// Sends the first, then the second for as long as anybody takes it.
    Flood(&'static str, Vec<u8>),
}

/// A server on loopback; it ends with its runtime.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Speaks TLS if it is given a configuration for it. `reply` sees the first line of the request.
    async fn start<F>(tls: Option<rustls::ServerConfig>, reply: F) -> Self
    where
        F: Fn(&str) -> Reply + Clone + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let acceptor = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (acceptor, reply) = (acceptor.clone(), reply.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, reply).await,
                        // A client that does not trust us leaves here.
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => serve(stream, reply).await,
                            Err(_) => Ok(()),
                        },
                    }
                });
            }
        });
        Self { address, connections }
    }

    fn url(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}", self.address.port())
    }
}

async fn serve<S>(mut stream: S, reply: impl Fn(&str) -> Reply) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    match reply(&line) {
        Reply::Send(text) => stream.write_all(text.as_bytes()).await?,
        Reply::Hang(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await?;
            std::future::pending::<()>().await;
        }
        Reply::Flood(text, more) => {
            stream.write_all(text.as_bytes()).await?;
            loop {
                stream.write_all(&more).await?;
            }
        }
    }
    stream.shutdown().await
}

fn json(body: &str) -> Reply {
    Reply::Send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

/// A private authority, its certificate in a file.
struct Ca {
    authority: Authority<'static, KeyPair>,
    file: NamedTempFile,
}

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(params.self_signed(&key).unwrap().pem().as_bytes()).unwrap();
        Self { authority: Authority::new(params, key), file }
    }

    fn fetch(&self) -> HttpFetch {
        HttpFetch::with_ca_file(self.file.path()).unwrap()
    }

    /// What a server with a certificate for `name` needs; `expired` makes it one of the last century.
    fn server(&self, name: &str, expired: bool) -> rustls::ServerConfig {
        let mut params = CertificateParams::new(vec![name.into()]).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(1998, 1, 1);
            params.not_after = rcgen::date_time_ymd(1999, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        server_config(certificate.der().clone(), &key)
    }
}

fn server_config(certificate: CertificateDer<'static>, key: &KeyPair) -> rustls::ServerConfig {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

async fn get(fetch: &HttpFetch, url: &str, timeout: Duration) -> Result<Response, FetchError> {
    let mut request = Request::get(url.parse().unwrap());
    (request.timeout, request.max_bytes) = (timeout, 1000);
    fetch.fetch(request).await
}

/// Long enough for everything that ends by itself.
const LONG: Duration = Duration::from_secs(20);
/// Long enough to reach a server on this machine, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_answer_comes_whole_or_not_at_all() {
    let length = |n: usize, body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n{body}");
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let flood = |head, piece: &str| Reply::Flood(head, piece.as_bytes().to_vec());
    let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let thousand = "x".repeat(1000);
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /other?code=secret\r\nContent-Length: 0\r\n\r\n".to_owned();
    let cases: Vec<(Reply, &str)> = vec![
        (Reply::Send(length(1000, &thousand)), ""),
        (Reply::Send(chunked(&format!("3e8\r\n{thousand}\r\n0\r\n\r\n"))), ""),
        (Reply::Send(format!("HTTP/1.0 200 OK\r\n\r\n{thousand}")), ""),
        (Reply::Send(format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", length(1000, &thousand))), ""),
        (Reply::Send(length(1001, "")), "longer than 1000 bytes"),
        (Reply::Send(length(usize::MAX / 2, "")), "longer than 1000 bytes"),
        (Reply::Send(chunked(&format!("3e9\r\n{thousand}y\r\n0\r\n\r\n"))), "longer than 1000 bytes"),
        (flood(endless, "5\r\nxxxxx\r\n"), "longer than 1000 bytes"),
        (flood("HTTP/1.0 200 OK\r\n\r\n", "xxxxxxxx"), "longer than 1000 bytes"),
        (flood("HTTP/1.1 200 OK\r\n", "X: y\r\n"), "no valid HTTP answer"),
        (flood("HTTP/1.1 200 OK\r\nX: ", "yyyyyyyyyyyyyyyyy"), "no valid HTTP answer"),
        (flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;", "eeeeeeeeeeeeeeeee"), "broke off"),
        (Reply::Send(length(1000, "x")), "broke off"),
        (Reply::Send(chunked("3e8\r\nxxx")), "broke off"),
        (Reply::Send(chunked("3\r\nxxx\r\n")), "broke off"),
        (Reply::Send(chunked("zz\r\nxxx\r\n")), "broke off"),
        (Reply::Send(String::new()), "no valid HTTP answer"),
        (Reply::Send("SSH-2.0-OpenSSH_9\r\n\r\n".into()), "no valid HTTP answer"),
        (Reply::Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n".into()), "Encoding"),
        (Reply::Send(redirect), "answered 302 to \"/other\", and redirects are not followed"),
        (Reply::Send("HTTP/1.1 304 Not Modified\r\n\r\n".into()), "answered 304"),
    ];
    let fetch = HttpFetch::with_system_roots();
    for (number, (reply, complaint)) in cases.into_iter().enumerate() {
        let server = Server::start(None, move |_| reply.clone()).await;
        let answer = get(&fetch, &server.url("http", "127.0.0.1"), LONG).await;
        match answer {
            Ok(response) => assert_eq!((response.body.len(), complaint), (1000, ""), "case {number}"),
            Err(error) => {
                assert!(!complaint.is_empty() && error.to_string().contains(complaint), "case {number}: {error}");
                assert!(error.to_string().starts_with(&server.url("http", "127.0.0.1")), "case {number}: {error}");
            }
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "case {number}");
    }
}

#[tokio::test]
async fn time_runs_out_in_every_phase_and_the_error_says_in_which() {
    let cases = [
        ("https", "", Phase::Securing),
        ("http", "", Phase::Waiting),
        ("http", "HTTP/1.1 200 OK\r\nContent-", Phase::Waiting),
        ("http", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", Phase::Reading),
    ];
    let ca = Ca::new();
    for (scheme, text, phase) in cases {
        // No TLS on this side: it waits for the head of a request that never comes.
        let server = Server::start(None, move |_| Reply::Hang(text.into())).await;
        let error = get(&ca.fetch(), &server.url(scheme, "127.0.0.1"), SHORT).await.unwrap_err();
        let Fault::Timeout { doing, after } = error.fault else { panic!("{error}") };
        assert_eq!((doing, after), (phase, SHORT));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = get(&HttpFetch::with_system_roots(), &format!("http://{gone}/"), LONG).await.unwrap_err();
    assert!(matches!(error.fault, Fault::Connect(_)), "{error}");
    assert!(error.to_string().contains(&gone.to_string()), "{error}");
}

#[tokio::test]
async fn certificates_are_verified_against_the_chosen_authorities_and_the_name() {
    let (ca, stranger) = (Ca::new(), Ca::new());
    let self_signed = {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        server_config(certificate.der().clone(), &key)
    };
    let cases = [
        (ca.server("localhost", false), "localhost", ca.fetch(), ""),
        (ca.server("127.0.0.1", false), "127.0.0.1", ca.fetch(), ""),
        (ca.server("other.example", false), "localhost", ca.fetch(), "not valid for name"),
        (ca.server("localhost", false), "127.0.0.1", ca.fetch(), "not valid for name"),
        (ca.server("localhost", true), "localhost", ca.fetch(), "expired"),
        (ca.server("localhost", false), "localhost", stranger.fetch(), "invalid peer certificate"),
        (self_signed, "localhost", ca.fetch(), "invalid peer certificate"),
        // A machine without any roots says so instead.
        (ca.server("localhost", false), "localhost", HttpFetch::with_system_roots(), "certificate"),
    ];
    for (number, (tls, host, fetch, complaint)) in cases.into_iter().enumerate() {
        let server = Server::start(Some(tls), |_| json("{}")).await;
        match get(&fetch, &server.url("https", host), LONG).await {
            Ok(response) => assert_eq!((&response.body[..], complaint), (&b"{}"[..], ""), "case {number}"),
            Err(error) => {
                assert!(!complaint.is_empty() && error.to_string().contains(complaint), "case {number}: {error}");
                assert!(matches!(error.fault, Fault::Tls(_) | Fault::NoRoots), "case {number}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_tls_answer_without_an_end_is_cut_short_not_complete() {
    let ca = Ca::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(ca.server("127.0.0.1", false)));
    tokio::spawn(async move {
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{}").await.unwrap();
        stream.flush().await.unwrap();
        // The connection ends, and TLS was not told.
        let (mut plain, _): (TcpStream, _) = stream.into_inner();
        plain.shutdown().await.unwrap();
    });
    let error = get(&ca.fetch(), &format!("https://{address}/"), LONG).await.unwrap_err();
    assert!(matches!(error.fault, Fault::Body(_)), "{error}");
}

fn issuer(url: String, keys: KeySource) -> Issuer {
    Issuer {
        name: "acme".into(),
        issuer: url.into(),
        audiences: vec!["api".into()],
        profile: Profile::Rfc9068,
        token_types: vec![TokenType::Named("at+jwt".into())],
        keys,
        algorithms: vec![],
        clock_skew: Duration::ZERO,
        required_claims: vec![],
        ca_file: None,
        allow_http: false,
        max_stale: Duration::from_secs(60),
        refetch_cooldown: Duration::from_secs(5),
        introspection: None,
    }
}

fn keeper(issuer: &Issuer, fetch: HttpFetch, state_dir: Option<&std::path::Path>) -> Keeper {
    let means = Means { fetch: Arc::new(fetch), clock: Arc::new(SystemClock::start()), epoch: Arc::default() };
    let keeper = Keeper::new(issuer, means, state_dir);
    keeper.start(&tokio::runtime::Handle::current());
    keeper
}

#[tokio::test]
async fn keys_are_discovered_over_tls_with_a_private_authority() {
    let ca = Ca::new();
    let address = Arc::new(std::sync::OnceLock::<String>::new());
    let server = Server::start(Some(ca.server("localhost", false)), {
        let address = address.clone();
        move |line| match line.split(' ').nth(1) {
            Some("/t/.well-known/openid-configuration") => {
                let base = address.get().unwrap();
                json(&format!(r#"{{"issuer":"{base}/t","jwks_uri":"{base}/keys"}}"#))
            }
            Some("/keys") => json(JWKS),
            _ => Reply::Send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into()),
        }
    })
    .await;
    let base = address.get_or_init(|| server.url("https", "localhost"));
    let settings = issuer(format!("{base}/t"), KeySource::Discovery);

    let good = keeper(&settings, ca.fetch(), None);
    assert!(good.keys_for(Some("a")).await.unwrap().has_kid("a"));
    assert_eq!((good.status().state, good.status().jwks_uri), (State::Fresh, Some(format!("{base}/keys"))));
    assert_eq!(good.keys_for(Some("b")).await.unwrap_err().code, RejectionCode::UnknownKey);
    assert_eq!(good.fetches().next(), Some((FetchResult::Ok, 2)));

    let distrustful = keeper(&settings, HttpFetch::with_system_roots(), None);
    let rejection = distrustful.keys_for(Some("a")).await.unwrap_err();
    assert_eq!(rejection.code, RejectionCode::IssuerUnavailable);
    assert!(rejection.detail.contains("certificate"), "{}", rejection.detail);

    let elsewhere = keeper(&issuer(base.clone(), KeySource::Discovery), ca.fetch(), None);
    assert_eq!(elsewhere.keys_for(None).await.unwrap_err().code, RejectionCode::IssuerUnavailable);
    assert_eq!(elsewhere.status().state, State::Unavailable);
}

#[tokio::test]
async fn a_restart_while_the_issuer_is_down_serves_what_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(None, |_| json(JWKS)).await;
    let url = server.url("http", "127.0.0.1");
    let path = folder.path().join("state");
    let stored = |path: &std::path::Path| {
        std::fs::read_dir(path).is_ok_and(|mut files| {
            files.any(|file| file.unwrap().path().extension().is_some_and(|extension| extension == "json"))
        })
    };
    let up = keeper(
        &issuer(url.clone(), KeySource::Uri(format!("{url}/keys"))),
        HttpFetch::with_system_roots(),
        Some(&path),
    );
    up.keys_for(Some("a")).await.unwrap();
    let waiting = async {
        while !stored(&path) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap();
    drop(up);

    // The same settings, and a network that leads nowhere: nothing is trusted.
    let source = KeySource::Uri(format!("{url}/keys"));
    let dead = Server::start(None, |_| Reply::Send("HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n".into())).await;
    let means = Means {
        fetch: Arc::new(Detour(HttpFetch::with_system_roots(), dead.address.port())),
        clock: Arc::new(SystemClock::start()),
        epoch: Arc::default(),
    };
    let down = Keeper::new(&issuer(url, source), means, Some(&path));
    down.start(&tokio::runtime::Handle::current());
    assert!(down.keys_for(Some("a")).await.unwrap().has_kid("a"));
    assert!(matches!(down.status().state, State::Stale { .. }));
    assert!(down.status().last_error.unwrap().contains("503"));
}

/// Sends every request to another port.
struct Detour(HttpFetch, u16);

impl tollgate::fetch::Fetch for Detour {
    fn fetch(&self, mut request: Request) -> tollgate::fetch::FetchFuture<'_> {
        request.url.set_port(Some(self.1)).unwrap();
        self.0.fetch(request)
    }
}
