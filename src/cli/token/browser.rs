//! Showing an address to a person.

use std::io;
use std::process::{Command, Stdio};

use url::Url;

use crate::cli::complain;

use super::args::SECRET_VARIABLE;

/// What opens an address in the browser that the person uses.
pub(in crate::cli) const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Shows `url`; with `open`, in a browser as well. `then` says what will happen after.
pub(super) fn visit(url: &Url, open: bool, then: &str) {
    let lead = match open.then(|| launch(url)) {
        None => "Open this address in a browser:".to_owned(),
        Some(Ok(())) => "Opening the browser. If nothing opens, go to:".to_owned(),
        Some(Err(error)) => format!("No browser can be opened ({OPENER}: {error}). Open this address in one:"),
    };
    complain(format_args!("{lead}\n\n  {url}\n\n{then}"));
}

/// Starts the opener. The address is one argument, which no shell reads, and begins with its scheme, so that it cannot be
/// taken for an option. What the opener writes must not mix with the token.
fn launch(url: &Url) -> io::Result<()> {
    let mut opener = Command::new(OPENER);
    opener.arg(url.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // The browser, and all that runs in it, has no business with the client's secret.
    opener.env_remove(SECRET_VARIABLE);
    // Some browsers stay in the foreground, so its end is not awaited; the system reaps it after us.
    opener.spawn().map(drop)
}
