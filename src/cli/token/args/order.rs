//! From what was typed to what will be done.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use url::{Host, Url};

use crate::cli::token::failure::Failure;
use crate::cli::token::input;
use crate::config::is_loopback;
use crate::secret::Secret;

use super::{Args, AuthName, FlowName};

/// Where the secret of a client may stand.
pub(in crate::cli::token) const SECRET_VARIABLE: &str = "TOLLGATE_CLIENT_SECRET";

/// How long a person gets to sign in.
const PATIENCE: Duration = Duration::from_secs(300);

/// Parameters that a flow sets by itself, or that would void its protection.
const OURS: &[&str] = &[
    "access_token",
    "audience",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "device_code",
    "grant_type",
    "nonce",
    "password",
    "redirect_uri",
    "refresh_token",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "username",
];

/// What will be done.
#[derive(Debug)]
pub(in crate::cli::token) struct Order {
    pub(in crate::cli::token) issuer: Issuer,
    pub(in crate::cli::token) client: Client,
    pub(in crate::cli::token) flow: Flow,
    /// Each one scope.
    pub(in crate::cli::token) scopes: Vec<String>,
    pub(in crate::cli::token) resources: Vec<String>,
    pub(in crate::cli::token) audience: Option<String>,
    pub(in crate::cli::token) params: Vec<(String, String)>,
    pub(in crate::cli::token) ca_file: Option<PathBuf>,
    /// For each answer of the server.
    pub(in crate::cli::token) timeout: Duration,
}

/// The Authorization Server, and which of its URLs may be used.
#[derive(Debug)]
pub(in crate::cli::token) struct Issuer {
    /// As typed: what its metadata must say, letter by letter (RFC 8414, section 3.3).
    pub(in crate::cli::token) text: String,
    pub(in crate::cli::token) url: Url,
    /// Plain http to anywhere.
    pub(in crate::cli::token) allow_http: bool,
}

/// Who asks.
#[derive(Debug)]
pub(in crate::cli::token) struct Client {
    pub(in crate::cli::token) id: String,
    pub(in crate::cli::token) auth: Auth,
}

/// How the client authenticates.
#[derive(Debug)]
pub(in crate::cli::token) enum Auth {
    None,
    Basic(Secret),
    Post(Secret),
    /// As the server announces.
    Announced(Secret),
}

/// How the token is got.
#[derive(Debug)]
pub(in crate::cli::token) enum Flow {
    ClientCredentials,
    Code(Visit),
    Implicit(Visit),
    /// `password` is `None` when it is to be asked for.
    Password {
        username: String,
        password: Option<Secret>,
    },
    /// `file` is `None` when the token came from standard input.
    Refresh {
        token: Secret,
        file: Option<PathBuf>,
    },
    /// `wait` is `None` when only the server says how long.
    Device {
        wait: Option<Duration>,
    },
}

impl Flow {
    /// As users type it.
    pub(in crate::cli::token) fn name(&self) -> String {
        typed(match self {
            Self::ClientCredentials => FlowName::ClientCredentials,
            Self::Code(_) => FlowName::Code,
            Self::Implicit(_) => FlowName::Implicit,
            Self::Password { .. } => FlowName::Password,
            Self::Refresh { .. } => FlowName::Refresh,
            Self::Device { .. } => FlowName::Device,
        })
    }
}

/// A visit of a person to the authorization endpoint.
#[derive(Debug)]
pub(in crate::cli::token) struct Visit {
    pub(in crate::cli::token) redirect: Redirect,
    /// Open a browser, rather than only print the address.
    pub(in crate::cli::token) open: bool,
    pub(in crate::cli::token) wait: Duration,
}

/// The redirect URI: on this machine, plain http (RFC 8252, section 7.3).
#[derive(Debug, Clone)]
pub(in crate::cli::token) struct Redirect {
    pub(in crate::cli::token) url: Url,
    /// As it must be sent; `None` when its port is still open.
    pub(in crate::cli::token) exact: Option<String>,
    /// The port to listen on; 0: any.
    pub(in crate::cli::token) port: u16,
}

impl Args {
    /// Checks every word and reads every secret.
    pub(in crate::cli::token) fn order(&self) -> Result<Order, Failure> {
        self.one_standard_input()?;
        let issuer = issuer(&self.issuer, self.allow_http)?;
        if self.client_id.is_empty() || self.client_id.chars().any(char::is_control) {
            return Err(Failure::usage("--client-id is empty, or has control characters"));
        }
        let auth = self.authentication()?;
        let name = self.flow.unwrap_or(match auth {
            Auth::None => FlowName::Code,
            Auth::Basic(_) | Auth::Post(_) | Auth::Announced(_) => FlowName::ClientCredentials,
        });
        self.only_what_fits(name)?;
        Ok(Order {
            issuer,
            flow: self.flow(name, &auth)?,
            client: Client { id: self.client_id.clone(), auth },
            scopes: scopes(&self.scope)?,
            resources: self.resource.iter().map(|text| resource(text)).collect::<Result<_, _>>()?,
            audience: self.audience.clone(),
            params: self.param.iter().map(|text| param(text)).collect::<Result<_, _>>()?,
            ca_file: self.ca_file.clone(),
            timeout: Duration::from_secs(self.timeout),
        })
    }

    /// Standard input can be read once.
    fn one_standard_input(&self) -> Result<(), Failure> {
        let files = [&self.client_secret_file, &self.password_file, &self.refresh_token_file];
        let dashes = files.into_iter().flatten().filter(|path| path.as_path() == Path::new("-")).count();
        match dashes > 1 {
            true => Err(Failure::usage("only one of the files can be standard input")),
            false => Ok(()),
        }
    }

    fn authentication(&self) -> Result<Auth, Failure> {
        let of_file = self.client_secret_file.as_deref().map(|path| (path, "--client-secret-file"));
        if self.auth == Some(AuthName::None) {
            return match of_file {
                Some(_) => Err(Failure::usage("--auth none leaves no use for --client-secret-file")),
                None => Ok(Auth::None),
            };
        }
        let secret = match of_file {
            Some((path, what)) => Some(input::secret_file(path, what)?),
            None => input::secret_variable(SECRET_VARIABLE)?,
        };
        match (self.auth, secret) {
            (None, None) => Ok(Auth::None),
            (None, Some(secret)) => Ok(Auth::Announced(secret)),
            (Some(AuthName::Basic), Some(secret)) => Ok(Auth::Basic(secret)),
            (Some(AuthName::Post), Some(secret)) => Ok(Auth::Post(secret)),
            (Some(AuthName::None), Some(_)) => Ok(Auth::None),
            (Some(_), None) => Err(no_secret("--auth basic and --auth post need the client's secret")),
        }
    }

    /// An option of another flow is a misunderstanding, and is not passed over.
    fn only_what_fits(&self, flow: FlowName) -> Result<(), Failure> {
        use FlowName::{Code, Device, Implicit, Password, Refresh};
        let given: [(bool, &str, &[FlowName]); 7] = [
            // With device nothing is opened anyway.
            (self.no_browser, "--no-browser", &[Code, Implicit, Device]),
            (self.port.is_some(), "--port", &[Code, Implicit]),
            (self.redirect_uri.is_some(), "--redirect-uri", &[Code, Implicit]),
            (self.wait.is_some(), "--wait", &[Code, Implicit, Device]),
            (self.username.is_some(), "--username", &[Password]),
            (self.password_file.is_some(), "--password-file", &[Password]),
            (self.refresh_token_file.is_some(), "--refresh-token-file", &[Refresh]),
        ];
        let Some((_, option, flows)) = given.iter().find(|(given, _, flows)| *given && !flows.contains(&flow)) else {
            return Ok(());
        };
        let wanted: Vec<_> = flows.iter().map(|flow| format!("--flow {}", typed(*flow))).collect();
        let chosen = if self.flow.is_some() { "is" } else { "would be" };
        let what = format!("{option} is for {}, and the flow {chosen} {}", wanted.join(" or "), typed(flow));
        Err(Failure::usage(what))
    }

    fn flow(&self, name: FlowName, auth: &Auth) -> Result<Flow, Failure> {
        Ok(match name {
            FlowName::ClientCredentials if matches!(auth, Auth::None) => {
                return Err(no_secret("client-credentials is for clients with a secret"));
            }
            FlowName::ClientCredentials => Flow::ClientCredentials,
            FlowName::Code => Flow::Code(self.visit()?),
            FlowName::Implicit => Flow::Implicit(self.visit()?),
            FlowName::Device => Flow::Device { wait: self.wait.map(Duration::from_secs) },
            FlowName::Password => {
                let username = self.username.clone().filter(|name| !name.is_empty());
                let username = username.ok_or_else(|| Failure::usage("--flow password needs --username NAME"))?;
                let file = self.password_file.as_deref();
                Flow::Password {
                    username,
                    password: file.map(|path| input::secret_file(path, "--password-file")).transpose()?,
                }
            }
            FlowName::Refresh => {
                let missing = || Failure::usage("--flow refresh needs --refresh-token-file FILE");
                let file = self.refresh_token_file.as_deref().ok_or_else(missing)?;
                let token = input::secret_file(file, "--refresh-token-file")?;
                Flow::Refresh { token, file: (file != Path::new("-")).then(|| file.to_owned()) }
            }
        })
    }

    fn visit(&self) -> Result<Visit, Failure> {
        let redirect = match &self.redirect_uri {
            Some(text) => redirect(text)?,
            None => redirect(&self.port.map_or_else(
                || "http://127.0.0.1/callback".to_owned(),
                |port| format!("http://127.0.0.1:{port}/callback"),
            ))?,
        };
        let wait = self.wait.map_or(PATIENCE, Duration::from_secs);
        Ok(Visit { redirect, open: !self.no_browser, wait })
    }
}

fn typed(flow: FlowName) -> String {
    use clap::ValueEnum as _;
    flow.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn no_secret(what: &str) -> Failure {
    Failure::usage(what).help(format!("give it with --client-secret-file FILE, or in {SECRET_VARIABLE}"))
}

fn issuer(text: &str, allow_http: bool) -> Result<Issuer, Failure> {
    let wrong = |why: &str| Failure::usage(format!("--issuer {text:?}: {why}"));
    let url = Url::parse(text).ok().filter(|_| text.contains("://"));
    let url = url.ok_or_else(|| wrong("not a URL, such as https://login.example.com"))?;
    if !url.username().is_empty() || url.password().is_some() {
        // The text is not repeated: it may hold a password.
        return Err(Failure::usage("--issuer has a user name or a password in it"));
    }
    if let Some(at) = text.find("/.well-known/") {
        return Err(wrong("this is where its metadata is").help(format!("use --issuer {}", &text[..at])));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("an issuer has no query and no fragment (RFC 8414, section 2)"));
    }
    let issuer = Issuer { text: text.to_owned(), url, allow_http };
    match issuer.trusts_scheme(&issuer.url) {
        Ok(()) => Ok(issuer),
        Err(why) => Err(wrong(why).help("use https; --allow-http opens http to any machine")),
    }
}

impl Order {
    /// Whether an ID token is asked for.
    pub(in crate::cli::token) fn asks_openid(&self) -> bool {
        self.scopes.iter().any(|scope| scope == "openid")
    }

    /// What the user adds to the first request of the flow.
    pub(in crate::cli::token) fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Issuer {
    /// Whether a URL of this issuer may be asked: https, or http to this machine when the issuer itself is http.
    ///
    /// # Errors
    /// Why not.
    pub(in crate::cli::token) fn trusts_scheme(&self, url: &Url) -> Result<(), &'static str> {
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.allow_http => Ok(()),
            "http" if !is_loopback(url) => Err("http is for this machine only"),
            "http" if self.url.scheme() != "http" => Err("http, though the issuer is https"),
            "http" => Ok(()),
            _ => Err("neither https nor http"),
        }
    }
}

fn scopes(typed: &[String]) -> Result<Vec<String>, Failure> {
    // RFC 6749, section 3.3.
    let is_scope = |text: &&str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    let words: Vec<&str> = typed.iter().flat_map(|text| text.split_ascii_whitespace()).collect();
    match words.iter().find(|word| !is_scope(word)) {
        Some(word) => Err(Failure::usage(format!("--scope {word:?}: a scope is visible ASCII without \" and \\"))),
        None => Ok(words.into_iter().map(str::to_owned).collect()),
    }
}

fn resource(text: &str) -> Result<String, Failure> {
    match Url::parse(text) {
        Ok(url) if url.fragment().is_none() => Ok(text.to_owned()),
        _ => Err(Failure::usage(format!("--resource {text:?}: an absolute URI without fragment (RFC 8707)"))),
    }
}

fn param(text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((name, _)) if OURS.contains(&name) => {
            Err(Failure::usage(format!("--param {name}: the flow sets this by itself, or it has an option of its own")))
        }
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!("--param {text:?}: NAME=VALUE, such as prompt=login"))),
    }
}

fn redirect(text: &str) -> Result<Redirect, Failure> {
    let wrong = |why: &str| Failure::usage(format!("--redirect-uri {text:?}: {why}"));
    let url = Url::parse(text).map_err(|_| wrong("not a URL, such as http://127.0.0.1:8400/callback"))?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() != "http" || !here {
        return Err(wrong("it must be http://127.0.0.1, http://[::1] or http://localhost: that is where this waits"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("no user name, query or fragment can be in it"));
    }
    // `Url` forgets a port that is the scheme's own; whether one was written matters here.
    let written = text.parse::<Uri>().ok().and_then(|uri| uri.port_u16());
    if written == Some(0) {
        return Err(wrong("no browser can come back to port 0; without a port, one that is free is taken"));
    }
    Ok(Redirect { url, exact: written.map(|_| text.to_owned()), port: written.unwrap_or(0) })
}

#[cfg(test)]
mod tests;
