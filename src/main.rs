//! The `tollgate` binary: parses the command line, runs, and turns the outcome into an exit code.

fn main() {}
