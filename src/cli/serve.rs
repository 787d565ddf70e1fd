//! `tollgate serve`: the gateway, until a signal ends it.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use crate::app::{self, Addresses, StartError, Watched, run_until_signalled};
use crate::observe::chain;
use crate::observe::diagnostics::{DiagnosticsForm, init_diagnostics};

use super::{ConfigFile, Outcome, complain, load};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Write the bound addresses to this file, as JSON, when everything listens
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    match serve(args) {
        Ok(()) => Outcome::Fine,
        Err(outcome) => outcome,
    }
}

fn serve(args: &Args) -> Result<(), Outcome> {
    if let Some(path) = &args.ready_file {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            complain(format_args!("error: --ready-file: there is no folder {}", folder.display()));
            return Err(Outcome::Misconfigured);
        }
    }
    let loaded = load(&args.file.config)?;
    let form = if io::stderr().is_terminal() { DiagnosticsForm::Pretty } else { DiagnosticsForm::Json };
    let diagnostics = init_diagnostics(&loaded.config.log.level, form).map_err(|error| {
        complain(format_args!("error: {error}"));
        Outcome::Misconfigured
    })?;
    let watched = Watched::new(&args.file.config, &loaded.config);
    let running = app::start(loaded.config, Box::new(io::stdout())).map_err(|error| unstarted(&error))?;
    if let Some(path) = &args.ready_file {
        write_ready_file(path, running.addresses()).map_err(|error| {
            complain(format_args!("error: the ready file {} cannot be written: {error}", path.display()));
            Outcome::Faulty
        })?;
    }
    run_until_signalled(running, Some(watched), Some(&diagnostics)).map_err(|error| faulty(&error))
}

fn unstarted(error: &StartError) -> Outcome {
    let outcome = faulty(error);
    if let Some(help) = error.help() {
        complain(format_args!("help: {help}"));
    }
    outcome
}

fn faulty(error: &dyn std::error::Error) -> Outcome {
    complain(format_args!("error: {}", chain(error)));
    Outcome::Faulty
}

/// Whoever waits for the file finds it whole: it is written beside and renamed.
fn write_ready_file(path: &Path, addresses: &Addresses) -> io::Result<()> {
    let text = serde_json::to_string(addresses).map_err(io::Error::other)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text + "\n")?;
    std::fs::rename(&beside, path)
}
