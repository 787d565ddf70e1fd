//! Reloads: on SIGHUP, and when the content of the config or of a file that it names has changed.
//!
//! Content is compared, not time stamps: Kubernetes swaps links, editors rename, and clocks lie. A change is acted upon
//! when two looks in a row have seen the same new content, so that a file which is being written is not taken half. A
//! config that does not pass keeps the old snapshot in force, and says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::config;
use crate::config::diagnostic::{Report, Severity};
use crate::config::model::{Config, KeySource};
use crate::gateway::snapshot::Snapshot;
use crate::observe::chain;
use crate::observe::diagnostics::Diagnostics;
use crate::secret::sha256;

use super::{Running, form, https};

/// Between two looks at the files.
const PERIOD: Duration = Duration::from_secs(1);

/// The files that a configuration consists of, and what was in them.
#[derive(Debug)]
pub struct Watched {
    config: PathBuf,
    files: Vec<PathBuf>,
    in_force: Contents,
    /// What the last look saw, when it differed.
    seen: Option<Contents>,
}

/// Digest by path; `None` for what cannot be read or is no regular file.
type Contents = BTreeMap<PathBuf, Option<[u8; 32]>>;

impl Watched {
    /// Watches the config file at `path` and the files that `config`, read from it, names.
    #[must_use]
    pub fn new(path: &Path, config: &Config) -> Self {
        let mut watched =
            Self { config: path.into(), files: config.files.clone(), in_force: Contents::new(), seen: None };
        watched.in_force = watched.look();
        watched
    }

    fn look(&self) -> Contents {
        let paths = self.files.iter().chain(std::iter::once(&self.config));
        paths.map(|path| (path.clone(), config::read_regular(path).ok().map(|bytes| sha256(&bytes)))).collect()
    }

    /// Whether the content has changed since it was last acted upon, and has come to rest.
    fn has_changed(&mut self) -> bool {
        let now = self.look();
        if now == self.in_force {
            self.seen = None;
            return false;
        }
        let rests = self.seen.as_ref() == Some(&now);
        self.seen = Some(now);
        rests
    }

    /// What is there now is acted upon, well or ill; the next change is one from here.
    fn acted(&mut self, config: Option<&Config>) {
        if let Some(config) = config {
            self.files.clone_from(&config.files);
        }
        self.in_force = self.look();
        self.seen = None;
    }
}

/// Serves until SIGTERM or SIGINT, reloading as asked and as needed; without `watched` there is nothing to reload.
///
/// # Errors
/// When the system does not let signals be received.
pub fn run_until_signalled(
    running: Running,
    mut watched: Option<Watched>,
    diagnostics: Option<&Diagnostics>,
) -> std::io::Result<()> {
    let outcome = running.runtime.block_on(async {
        let mut signals = Signals::install()?;
        let mut looks = tokio::time::interval(PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return Ok(()),
                _ = signals.interrupt.recv() => return Ok(()),
                _ = signals.hangup.recv() => if let Some(watched) = &mut watched {
                    running.reload(watched, diagnostics);
                },
                _ = looks.tick() => if let Some(watched) = &mut watched
                    && watched.has_changed()
                {
                    running.reload(watched, diagnostics);
                },
            }
        }
    });
    running.stop();
    outcome
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

impl Running {
    fn reload(&self, watched: &mut Watched, diagnostics: Option<&Diagnostics>) {
        let loaded = config::load_regular(&watched.config);
        let outcome = match &loaded {
            Ok(loaded) => self.replace(&loaded.config, diagnostics),
            Err(report) => Err(tell(report)),
        };
        watched.acted(loaded.ok().filter(|_| outcome.is_ok()).map(|loaded| loaded.config).as_ref());
        self.metrics.config_reloaded(outcome.is_ok());
        match outcome {
            Ok(()) => tracing::info!(config = %watched.config.display(), "the changed config is in force"),
            Err(problem) => {
                tracing::error!(config = %watched.config.display(), problem, "the changed config is not used; the old one stays in force");
            }
        }
    }

    /// Compiles everything first, and swaps only when all of it is there.
    fn replace(&self, config: &Config, diagnostics: Option<&Diagnostics>) -> Result<(), String> {
        let old = self.current.load_full();
        let snapshot = Snapshot::compile(config.clone(), &self.means, Some(&old)).map_err(|error| chain(&error))?;
        let tls = match (&self.tls, &config.server.tls) {
            (Some(slot), Some(settings)) => Some((slot, https(settings).map_err(|error| chain(&error))?)),
            _ => None,
        };
        warn_of_what_needs_a_restart(&old.config, config);
        let snapshot = Arc::new(snapshot);
        self.keys.follow(&self.runtime, &snapshot);
        for (issuer, written) in snapshot.issuers.iter().zip(&config.issuers) {
            if matches!(written.keys, KeySource::File(_)) {
                issuer.keys.refresh();
            }
        }
        self.current.store(snapshot);
        if let Some((slot, tls)) = tls {
            slot.store(Arc::new(tls));
        }
        self.log.set_form(form(config.log.access));
        if let Some(Err(error)) = diagnostics.map(|diagnostics| diagnostics.set_level(&config.log.level)) {
            tracing::warn!(%error, "the level of the diagnostic log is unchanged");
        }
        Ok(())
    }
}

/// One line for each problem, where the log of a running gateway is read.
fn tell(report: &Report) -> String {
    for diagnostic in &report.diagnostics {
        let (line, column) = report.source.place(diagnostic);
        match diagnostic.severity() {
            Severity::Error => {
                tracing::error!(code = diagnostic.code.as_str(), line, column, "{}", diagnostic.message);
            }
            Severity::Warning => {
                tracing::warn!(code = diagnostic.code.as_str(), line, column, "{}", diagnostic.message);
            }
        }
    }
    format!("{} errors", report.count(Severity::Error))
}

/// Sockets and threads are made once.
fn warn_of_what_needs_a_restart(old: &Config, new: &Config) {
    let listen = |config: &Config| config.admin.as_ref().map(|admin| admin.listen);
    let tls_listen = |config: &Config| config.server.tls.as_ref().map(|tls| tls.listen.clone());
    let fixed = [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.workers", old.server.workers != new.server.workers),
        ("server.tls.listen", tls_listen(old) != tls_listen(new)),
        ("server.limits", old.server.limits != new.server.limits),
        ("server.drain_timeout", old.server.drain_timeout != new.server.drain_timeout),
        ("admin.listen", listen(old) != listen(new)),
        ("redis", format!("{:?}", old.redis) != format!("{:?}", new.redis)),
        ("authority", format!("{:?}", old.authority) != format!("{:?}", new.authority)),
    ];
    for (key, _) in fixed.into_iter().filter(|(_, differs)| *differs) {
        tracing::warn!(key, "the change takes effect at the next start");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_change_counts_when_it_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, "one").unwrap();
        let mut watched = Watched { config: path.clone(), files: Vec::new(), in_force: Contents::new(), seen: None };
        watched.acted(None);
        assert!(!watched.has_changed());
        fs::write(&path, "tw").unwrap();
        assert!(!watched.has_changed(), "seen once");
        fs::write(&path, "two").unwrap();
        assert!(!watched.has_changed(), "still being written");
        assert!(watched.has_changed(), "seen twice");
        watched.acted(None);
        assert!(!watched.has_changed());
        fs::remove_file(&path).unwrap();
        assert!(!watched.has_changed());
        assert!(watched.has_changed(), "a file that is gone is a change");
        watched.acted(None);
        fs::write(&path, "two").unwrap();
        assert!(!watched.has_changed());
        assert!(watched.has_changed(), "and so is one that is back");
    }
}
