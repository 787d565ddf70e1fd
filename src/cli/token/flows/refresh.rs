//! A refresh token from before (RFC 6749, section 6).
//!
//! A server may give a new refresh token, and the old one is void then (RFC 9700, section 4.14). So the new one replaces
//! the file's content; without that, the second run would look like a theft to the server, which then revokes them all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::cli::token::answer::Answer;
use crate::cli::token::args::Order;
use crate::cli::token::endpoint::Server;
use crate::cli::token::failure::Failure;
use crate::secret::Secret;

pub(super) async fn run(
    order: &Order,
    token: &Secret,
    file: Option<&Path>,
    server: &Server<'_>,
) -> Result<Answer, Failure> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose())];
    let mut answer = super::grant(order, server, &form).await?;
    let successor = answer.text("refresh_token").filter(|new| !token.matches(new.as_bytes()));
    let Some(successor) = successor.map(|new| Secret::new(new.to_owned())) else { return Ok(answer) };
    let note = match file.map(|path| (path, replace(path, &successor))) {
        Some((path, Ok(()))) => format!("the server gave a new refresh token; it is in {} now", path.display()),
        Some((path, Err(error))) => format!(
            "the server gave a new refresh token, but {} cannot be written: {error}. The old one may be void; the new \
             one is shown with --json only",
            path.display()
        ),
        None => "the server gave a new refresh token, and the old one may be void; it is shown with --json only".into(),
    };
    answer.notes.push(note);
    Ok(answer)
}

/// Writes beside the file and renames, so that there is one whole token at every moment. Only the owner may read it.
fn replace(path: &Path, token: &Secret) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let written = File::options().write(true).create_new(true).mode(0o600).open(&beside).and_then(|mut file| {
        file.write_all(token.expose().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&beside, &path));
    if replaced.is_err() {
        // Half a token is no use; when it cannot be removed, the first error still tells more.
        let _ = fs::remove_file(&beside);
    }
    replaced
}
