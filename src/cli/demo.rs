//! (Being written.)

use super::Outcome;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run the commands, show request and verdict of each, and end
    #[arg(long)]
    once: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let _ = args.once;
    Outcome::Fine
}
