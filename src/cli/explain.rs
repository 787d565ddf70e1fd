//! `tollgate explain`: which route a request takes, and what the verdict would be.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use http::{Method, Uri};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::app::rehearse::{Caller, Rehearsal, rehearse};
use crate::app::system_means;
use crate::gateway::snapshot::Snapshot;
use crate::policy::Denial;
use crate::secret::sha256;

use super::{ConfigFile, Outcome, complain, load, run_here, say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// The access token of the request; `-` reads it from standard input. It is verified with the issuer's keys,
    /// or the issuer is asked about it
    #[arg(long, value_name = "TOKEN", conflicts_with = "claims", allow_hyphen_values = true)]
    token: Option<String>,
    /// The DPoP proof that comes with the token (RFC 9449): the value of the DPoP header. Whether it was used before is not
    /// known here
    #[arg(long, value_name = "PROOF", requires = "token")]
    proof: Option<String>,
    /// A PEM file with the certificate that the client shows, for tokens that are bound to it (RFC 8705)
    #[arg(long, value_name = "FILE", requires = "token")]
    client_certificate: Option<PathBuf>,
    /// A JSON file of claims that are taken as verified; absent iss, aud and exp get good values. `-`: standard input
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
    /// The method, such as GET
    method: Method,
    /// The absolute URL, such as https://api.example.com/orders/7
    url: Uri,
}

pub(super) fn run(args: &Args) -> Outcome {
    match explain(args) {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

fn explain(args: &Args) -> Result<Outcome, Outcome> {
    if args.url.authority().is_none() {
        complain("error: the URL must be absolute, such as https://api.example.com/orders/7");
        return Err(Outcome::Misconfigured);
    }
    if args.method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()) {
        let meant = args.method.as_str().to_ascii_uppercase();
        complain(format_args!("error: methods are written as they are sent, in capitals: {meant}"));
        return Err(Outcome::Misconfigured);
    }
    let caller = caller(args)?;
    let loaded = load(&args.file.config)?;
    let means = system_means();
    let snapshot = Snapshot::compile(loaded.config, &means, None).map_err(|error| {
        complain(format_args!("error: {}", crate::observe::chain(&error)));
        Outcome::Misconfigured
    })?;
    let rehearsal = run_here(async {
        if matches!(caller, Caller::Token { .. }) {
            snapshot.issuers.iter().for_each(|issuer| issuer.start(&Handle::current()));
        }
        rehearse(&snapshot, &args.method, &args.url, caller, means.clock.now()).await
    });
    let rehearsal = rehearsal.map_err(|problem| {
        complain(format_args!("error: {problem}"));
        Outcome::Faulty
    })?;
    let text = if args.json { format!("{:#}\n", rehearsal.to_json(&snapshot)) } else { tell(&rehearsal) };
    say(&text);
    Ok(if rehearsal.denial.is_none() { Outcome::Fine } else { Outcome::Denied })
}

fn caller(args: &Args) -> Result<Caller, Outcome> {
    match (&args.token, &args.claims) {
        (Some(token), _) => {
            let token = if token == "-" { read(Path::new("-"))?.trim().to_owned() } else { token.clone() };
            let certificate = args.client_certificate.as_deref().map(certificate).transpose()?;
            Ok(Caller::Token { token, proof: args.proof.clone(), certificate })
        }
        (None, Some(path)) => {
            let claims: Map<String, Value> = serde_json::from_str(&read(path)?).map_err(|error| {
                complain(format_args!("error: {}: not a JSON object of claims: {error}", path.display()));
                Outcome::Misconfigured
            })?;
            Ok(Caller::Claims(claims))
        }
        (None, None) => Ok(Caller::Anonymous),
    }
}

/// The hash of the first certificate of a PEM file.
fn certificate(path: &Path) -> Result<[u8; 32], Outcome> {
    let certificate = CertificateDer::from_pem_slice(read(path)?.as_bytes()).map_err(|error| {
        complain(format_args!("error: {}: not a certificate in PEM: {error}", path.display()));
        Outcome::Misconfigured
    })?;
    Ok(sha256(&certificate))
}

fn read(path: &Path) -> Result<String, Outcome> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| {
        complain(format_args!("error: {}: {error}", path.display()));
        Outcome::Misconfigured
    })
}

fn tell(rehearsal: &Rehearsal) -> String {
    let mut text = format!("{}\n", rehearsal.request);
    for (step, what) in &rehearsal.steps {
        text.push_str(&format!("  {step:<9} {what}\n"));
    }
    match &rehearsal.denial {
        None => text.push_str("  verdict   allow\n"),
        Some(denial) => {
            text.push_str(&format!("  verdict   {}\n  why       {}\n", denial.code(), denial.detail()));
            match denial {
                Denial::InsufficientScope { needed, .. } => text.push_str(&format!("  needed    {needed}\n")),
                Denial::MethodNotAllowed { allow } => text.push_str(&format!("  allowed   {allow}\n")),
                _nothing_more => {}
            }
        }
    }
    text
}
