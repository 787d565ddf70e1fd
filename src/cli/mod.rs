//! The command line: what a user types, and what each command prints.

mod check;
mod demo;
mod explain;
pub mod sample_api;
mod serve;
mod token;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{self, Loaded};

/// How a command ended; `main` turns it into an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well, or the request would be allowed. Exit code 0.
    Fine,
    /// The request would be denied, or a policy test failed. Exit code 1.
    Denied,
    /// The config or the command line is wrong. Exit code 2.
    Misconfigured,
    /// Something broke at run time. Exit code 3.
    Faulty,
}

/// A reverse-proxy gateway that enforces OAuth 2.0 access tokens, strict by default, and says why.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Try it with nothing else installed:
  tollgate demo                          an authority, a sample API and the gateway, with commands to paste

Put it in front of an API:
  tollgate check   -c tollgate.toml      every problem of the file, with its place and a way out
  tollgate explain -c tollgate.toml GET https://api.example.com/orders/7
                                         which route, which rule, and what the verdict would be
  tollgate serve   -c tollgate.toml      the gateway

Exit codes: 0 fine or allowed, 1 denied or a policy test failed, 2 config or command line wrong, 3 fault at run time."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    ///
    /// Listens as the file says until SIGTERM or SIGINT, then lets requests in flight end. Reloads on SIGHUP and
    /// when the content of the file, of a certificate or of a secret changes; a broken file keeps the old one running.
    Serve(serve::Args),
    /// Find every problem of a config file, and run its [[tests]]
    ///
    /// Reports all problems in one run: place, excerpt, and a way out. Then runs the policy tests of the file, without
    /// any network. Exits with 2 if the file is wrong, 1 if a policy test failed.
    Check(check::Args),
    /// Say which route a request takes and what the verdict would be
    ///
    /// Judges one request the way the gateway would and shows each step. With --token the token is verified for real
    /// (the issuer's keys are fetched); with --claims the claims of a JSON file are taken as verified; with neither the
    /// request is anonymous. Exits with 0 if the request would be allowed, 1 if denied.
    Explain(explain::Args),
    /// Run an authority, a sample API and the gateway in one process
    ///
    /// Everything listens on loopback. Prints commands to paste: get a token, call the API, be refused for each main
    /// reason, sign in and log in with the browser, look at the metrics. With --once it runs them itself and shows
    /// request and verdict.
    Demo(demo::Args),
    /// Get a token from any Authorization Server, as a client
    ///
    /// Prints the token and nothing else on standard output, so that it can stand in another command; whatever a person
    /// should read goes to standard error. The client can be a service with a secret, or act for a person who signs in
    /// with the browser, on another device, or by password.
    Token(token::Args),
    /// Print shell completions
    ///
    /// For example: tollgate completions bash > /etc/bash_completion.d/tollgate
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The config file, as several commands take it.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The config file
    #[arg(short, long, value_name = "FILE", env = "TOLLGATE_CONFIG", default_value = "tollgate.toml")]
    config: PathBuf,
}

impl Cli {
    /// Runs the command to its end.
    #[must_use]
    pub fn run(self) -> Outcome {
        match self.command {
            Command::Serve(args) => serve::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Token(args) => token::run(&args),
            Command::Completions { shell } => completions(shell),
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tollgate", &mut text);
    say(&String::from_utf8_lossy(&text))
}

/// Runs `work` to its end on this thread, and waits for nothing that it left behind, such as a prompt that nobody answered.
///
/// Other threads may at most wait for such things. One that asks for randomness while the process ends aborts it: the
/// cryptographic library does, when it is torn down under it.
fn run_here<F: Future>(work: F) -> Result<F::Output, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the system gives no event queue: {error}"))?;
    let done = runtime.block_on(work);
    #[expect(clippy::disallowed_methods, reason = "all tasks are on this thread, and end with it")]
    runtime.shutdown_background();
    Ok(done)
}

/// Writes to standard output. A reader that has gone away (`| head`) is no fault.
fn say(text: &str) -> Outcome {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Outcome::Faulty,
        _written => Outcome::Fine,
    }
}

/// Writes a line to standard error.
fn complain(text: impl std::fmt::Display) {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Reads the config file; its problems and warnings go to standard error.
fn load(path: &Path) -> Result<Loaded, Outcome> {
    let colour = io::stderr().is_terminal();
    match config::load(path) {
        Ok(loaded) => {
            let warnings = loaded.render_warnings(colour);
            if !warnings.is_empty() {
                complain(warnings.trim_end());
            }
            Ok(loaded)
        }
        Err(report) => {
            complain(report.render(colour).trim_end());
            Err(Outcome::Misconfigured)
        }
    }
}
