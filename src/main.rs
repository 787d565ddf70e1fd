//! The `tollgate` binary: parses the command line, runs, and turns the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser as _;

use tollgate::cli::{Cli, Outcome};

/// hyper allocates small and often; this allocator keeps that off the system's lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Outcome::Fine => ExitCode::SUCCESS,
        Outcome::Denied => ExitCode::from(1),
        Outcome::Misconfigured => ExitCode::from(2),
        Outcome::Faulty => ExitCode::from(3),
    }
}
