//! A question whose answer is not shown while it is typed.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::secret::Secret;

use super::failure::Failure;
use super::input::one_line;

/// One line from standard input. At a terminal it is asked for with `question`, and typed without echo; else the line
/// is read as it comes. Dropping the future gives the terminal its echo back.
pub(super) async fn secret(question: &str) -> Result<Secret, Failure> {
    let quiet = io::stdin().is_terminal().then(Quiet::begin).transpose().map_err(|error| fault(&error))?;
    if quiet.is_some() {
        let mut out = io::stderr().lock();
        // With standard error gone the question cannot be shown; the answer may still come.
        let _ = write!(out, "{question}").and_then(|()| out.flush());
    }
    // Reading a terminal cannot be cancelled: it waits on a thread that the end of the process does not wait for.
    let line = tokio::task::spawn_blocking(|| {
        let mut line = Zeroizing::new(String::new());
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = line.await.map_err(|_| Failure::fault("the prompt broke off"))?.map_err(|error| fault(&error))?;
    if let Some(mut quiet) = quiet {
        quiet.answered = true;
    }
    let wrong = |why| Failure::usage(format!("the password on standard input: {why}"));
    one_line(&line).map_err(|why| wrong(why).help("type it when asked, or give it with --password-file FILE"))
}

fn fault(error: &io::Error) -> Failure {
    Failure::fault(format!("standard input cannot be read: {error}"))
}

/// While it lives, standard input does not echo.
struct Quiet {
    before: Termios,
    answered: bool,
}

impl Quiet {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // The end of the line is echoed, so that what comes next does not stand beside the question.
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self { before, answered: false })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        if !self.answered {
            // What is told next must not stand beside the question.
            let _ = writeln!(io::stderr().lock());
        }
    }
}
