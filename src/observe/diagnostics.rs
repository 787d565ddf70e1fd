//! Diagnostics: what the process has to say about itself, on standard error. The access log is another thing.

use std::fmt;
use std::io::IsTerminal as _;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt as format, reload};

/// How diagnostics look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagnosticsForm {
    /// One JSON object a line.
    Json,
    /// For a person; coloured on a terminal unless `NO_COLOR` is set.
    Pretty,
}

/// Running diagnostics; their level can be changed by a reload.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Why diagnostics were not started or changed.
#[derive(Debug)]
pub enum DiagnosticsError {
    /// The filter is not one, such as `info` or `tollgate=debug,hyper=warn`.
    Filter {
        /// The part of it that is wrong.
        part: String,
    },
    /// Somebody else in this process receives them already.
    Taken,
}

impl fmt::Display for DiagnosticsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter { part } => {
                write!(
                    f,
                    "{part:?} is not a log level (error, warn, info, debug, trace, off) or a filter such as \"tollgate=debug\""
                )
            }
            Self::Taken => f.write_str("diagnostics were started already"),
        }
    }
}

impl std::error::Error for DiagnosticsError {}

/// Starts diagnostics for the whole process. `level` is a filter: a level, or targets with theirs.
///
/// # Errors
/// When `level` is no filter, or diagnostics run already.
pub fn init_diagnostics(level: &str, form: DiagnosticsForm) -> Result<Diagnostics, DiagnosticsError> {
    let (filter, handle) = reload::Layer::new(parse(level)?);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match form {
        DiagnosticsForm::Json => {
            let layer = format::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(layer).try_init()
        }
        DiagnosticsForm::Pretty => {
            let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let layer = format::layer().with_ansi(wanted && std::io::stderr().is_terminal()).with_target(false);
            registry.with(layer.with_writer(std::io::stderr)).try_init()
        }
    };
    started.map_err(|_| DiagnosticsError::Taken)?;
    Ok(Diagnostics { filter: handle })
}

/// Whether `level` is a filter that [`init_diagnostics`] takes.
///
/// # Errors
/// When it is not.
pub fn check_level(level: &str) -> Result<(), DiagnosticsError> {
    parse(level).map(|_| ())
}

impl Diagnostics {
    /// Another level from now on.
    ///
    /// # Errors
    /// When it is no filter; the old level stays.
    pub fn set_level(&self, level: &str) -> Result<(), DiagnosticsError> {
        self.filter.reload(parse(level)?).map_err(|_| DiagnosticsError::Taken)
    }
}

fn parse(level: &str) -> Result<EnvFilter, DiagnosticsError> {
    let wrong = |part: &str| DiagnosticsError::Filter { part: part.into() };
    let parts: Vec<&str> = level.split(',').map(str::trim).collect();
    // Taken alone, a misspelt level would be the name of a target, and silence all the rest.
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    let misspelt = |part: &&&str| !part.contains(['=', '[', ':']) && !is_level(part);
    if let Some(part) = parts.iter().find(misspelt) {
        return Err(wrong(part));
    }
    EnvFilter::try_new(parts.join(",")).map_err(|_| wrong(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_are_filters_and_such_that_are_not() {
        for (level, good) in [
            ("info", true),
            ("OFF", true),
            ("warn, tollgate=debug", true),
            ("tollgate::app=trace", true),
            ("inof", false),
            ("", false),
            ("info,", false),
            ("tollgate=laut", false),
        ] {
            assert_eq!(check_level(level).is_ok(), good, "{level}");
        }
    }

    #[test]
    fn started_once_and_changed_while_running() {
        let diagnostics = init_diagnostics("off", DiagnosticsForm::Json).unwrap();
        assert!(!tracing::enabled!(tracing::Level::ERROR));
        diagnostics.set_level("debug").unwrap();
        assert!(tracing::enabled!(tracing::Level::DEBUG) && !tracing::enabled!(tracing::Level::TRACE));
        assert!(matches!(diagnostics.set_level("tollgate=laut"), Err(DiagnosticsError::Filter { .. })));
        assert!(tracing::enabled!(tracing::Level::DEBUG), "a bad level changes nothing");
        diagnostics.set_level("off").unwrap();
        let again = init_diagnostics("info", DiagnosticsForm::Pretty);
        assert!(matches!(again, Err(DiagnosticsError::Taken)));
    }
}
