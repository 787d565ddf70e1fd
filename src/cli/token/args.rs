//! What a user types, and the order that it amounts to: every word checked, every secret read, before anything is sent.

mod order;

use std::path::PathBuf;

use clap::ValueEnum;

pub(super) use order::{Auth, Client, Flow, Issuer, Order, Redirect, SECRET_VARIABLE, Visit};

const EXAMPLES: &str = "\
Examples (AS=https://login.example.com):
  A service, as itself; the secret is in a file, or in TOLLGATE_CLIENT_SECRET:
    tollgate token --issuer $AS --client-id batch --client-secret-file secret

  A person signs in with the browser; the client has no secret:
    tollgate token --issuer $AS --client-id cli --scope 'openid orders:read'

  A machine without a browser: the person signs in elsewhere, with a code:
    tollgate token --issuer $AS --client-id cli --flow device

  Call an API:
    TOKEN=$(tollgate token --issuer $AS --client-id cli)
    curl -H \"Authorization: Bearer $TOKEN\" https://api.example.com/orders

  See what is in the token:
    tollgate token --issuer $AS --client-id cli --decode > /dev/null

  Keep the refresh token for later:
    umask 077
    tollgate token --issuer $AS --client-id cli --scope offline_access --json |
        jq -r .refresh_token > refresh
    tollgate token --issuer $AS --client-id cli --flow refresh \\
        --refresh-token-file refresh

Exit codes: 0 a token, 1 refused by the server, 2 command line wrong, 3 something
broke, or an answer cannot be trusted.";

#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = "More with --help: what each flow is for, and examples.")]
pub(in crate::cli) struct Args {
    /// The Authorization Server, as its metadata names it
    ///
    /// Where its endpoints are is read from ISSUER/.well-known/openid-configuration or, failing that, from
    /// /.well-known/oauth-authorization-server (RFC 8414).
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// The client, as it is registered there
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// A file with the client's secret; `-`: standard input. Or set TOLLGATE_CLIENT_SECRET
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// How to get the token [default: client-credentials with a secret, code without]
    #[arg(long, value_enum)]
    flow: Option<FlowName>,
    /// How the client shows who it is [default: as the server announces; none without a secret]
    #[arg(long, value_enum)]
    auth: Option<AuthName>,
    /// A scope to ask for; may be repeated, and hold several with blanks between
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// The API that the token is for, as a URI (RFC 8707); may be repeated
    #[arg(long, value_name = "URI")]
    resource: Vec<String>,
    /// The API that the token is for, where a server takes `audience` in place of `resource`
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// One more parameter for the first request of the flow, such as prompt=login; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    param: Vec<String>,

    /// Print the whole answer as JSON
    #[arg(long, help_heading = "Output")]
    pub(in crate::cli) json: bool,
    /// Show what is in the tokens, on standard error, or as the member `decoded` with --json. Nothing is verified
    #[arg(long, help_heading = "Output")]
    pub(in crate::cli) decode: bool,

    /// Print the address to open, and open nothing
    #[arg(long, help_heading = "Signing in (flows code, implicit, device)")]
    no_browser: bool,
    /// The port of 127.0.0.1 to wait on [default: one that is free]
    #[arg(long, help_heading = "Signing in (flows code, implicit, device)", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The redirect URI as it is registered, on this machine [default: http://127.0.0.1:PORT/callback]
    ///
    /// The host is 127.0.0.1, [::1] or localhost. Without a port in it, one that is free is taken, which servers allow
    /// for clients on a person's machine (RFC 8252, section 7.3).
    #[arg(
        long,
        value_name = "URL",
        help_heading = "Signing in (flows code, implicit, device)",
        conflicts_with = "port"
    )]
    redirect_uri: Option<String>,
    /// How long to wait for the person [default: 300; with device, as long as the code is good]
    #[arg(
        long,
        value_name = "SECONDS",
        help_heading = "Signing in (flows code, implicit, device)",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    wait: Option<u64>,

    /// Who signs in, for the flow password
    #[arg(long, value_name = "NAME", help_heading = "Flows password and refresh")]
    username: Option<String>,
    /// A file with the password; `-`: standard input [default: ask, or read a line of standard input]
    #[arg(long, value_name = "FILE", help_heading = "Flows password and refresh")]
    password_file: Option<PathBuf>,
    /// A file with the refresh token; `-`: standard input
    ///
    /// When the server gives a new one in its place, the file is written anew, for the old one is void from then on.
    #[arg(long, value_name = "FILE", help_heading = "Flows password and refresh")]
    refresh_token_file: Option<PathBuf>,

    /// Trust the certificate authorities of this PEM file, and no others
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    ca_file: Option<PathBuf>,
    /// Allow http to other machines. Whoever is on the way reads secrets and tokens
    #[arg(long, help_heading = "Connection")]
    allow_http: bool,
    /// How long to wait for each answer of the server
    #[arg(
        long,
        value_name = "SECONDS",
        help_heading = "Connection",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    timeout: u64,
}

/// The flows by the names that a user types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FlowName {
    /// The client as itself, with its secret (RFC 6749, section 4.4)
    ClientCredentials,
    /// A person signs in with the browser; with PKCE (section 4.1 and RFC 7636)
    Code,
    /// A person's name and password; discouraged, and gone in OAuth 2.1 (section 4.3)
    Password,
    /// As code, but the token comes through the browser; discouraged, and gone in OAuth 2.1 (section 4.2)
    Implicit,
    /// A refresh token from before (section 6)
    Refresh,
    /// A person signs in on another device, with a short code (RFC 8628)
    Device,
}

/// Ways of client authentication by the names that a user types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AuthName {
    /// `client_secret_basic`: in the Authorization header
    Basic,
    /// `client_secret_post`: in the form
    Post,
    /// A public client, which has no secret
    None,
}
