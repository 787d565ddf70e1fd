//! The configuration file: from bytes to a valid [`model::Config`], or to every diagnostic at once.
//!
//! Bytes become a tree of spanned values (`syntax`), the tree becomes typed keys (`read`, `table`, `word`, `raw`), the
//! keys are checked against each other (`validate`), and only what passes is a [`model::Config`]. Each step collects;
//! none stops at its first problem. Nothing is ignored: an unknown key, and a key that this version does not act on,
//! are errors. Secrets are masked in everything that is shown.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub mod diagnostic;
pub mod model;
mod raw;
mod read;
mod syntax;
mod table;
pub mod template;
mod validate;
mod view;
mod word;

pub use diagnostic::{Code, Diagnostic, Report, Severity, Source};
pub use view::{claim_test_as_written, period, redacted};
pub use word::url::is_loopback;

use diagnostic::mask::mask;
use read::{FromToml, Reader};

/// What a configuration file refers to: other files and environment variables. A seam, so that tests need neither.
pub trait Surroundings {
    /// The folder that relative paths of the file start from.
    fn folder(&self) -> &Path;

    /// The content of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The file system and the environment of this process.
#[derive(Debug)]
pub struct System {
    folder: PathBuf,
}

impl System {
    /// The surroundings of the configuration file at `path`.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { folder: path.parent().map(Path::to_owned).unwrap_or_default() }
    }
}

impl Surroundings for System {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_regular(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// No file of a configuration is longer, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Reads a regular file (links are followed) of at most 16 MiB. Whoever serves reads no others: a named pipe would be
/// waited for, for ever if nobody writes into it, and a device may have no end.
///
/// # Errors
/// The system's, or that it is not such a file.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    read_bounded(path)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

/// A configuration that may be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: model::Config,
    /// What its author should look at; none of it is an error.
    pub warnings: Vec<Diagnostic>,
    /// What the places of the warnings refer to.
    pub source: Source,
}

impl Loaded {
    /// The warnings for a person; empty when there is none.
    #[must_use]
    pub fn render_warnings(&self, colour: bool) -> String {
        match self.warnings.as_slice() {
            [] => String::new(),
            warnings => diagnostic::render::text(warnings, &self.source, colour),
        }
    }

    /// The warnings for a program.
    #[must_use]
    pub fn warnings_to_json(&self) -> serde_json::Value {
        diagnostic::render::json(&self.warnings, &self.source)
    }
}

/// Reads the file at `path`, which may be a pipe (`check --config <(...)`), and the files and variables that it names.
///
/// # Errors
/// Everything that is wrong with it, at least one error.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    load_by(path, read_bounded)
}

/// As [`load`], for who must not wait: the file has to be a regular one, see [`read_regular`].
///
/// # Errors
/// Everything that is wrong with it, at least one error.
pub fn load_regular(path: &Path) -> Result<Loaded, Report> {
    load_by(path, read_regular)
}

fn load_by(path: &Path, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Loaded, Report> {
    let name = path.display().to_string();
    let failed = |code, message: String, help: &str| Report {
        diagnostics: vec![Diagnostic::new(code, message).help(help)],
        source: Source { name: name.clone(), shown: String::new() },
    };
    let bytes = read(path).map_err(|error| {
        failed(Code::Unreadable, format!("the file cannot be read: {error}"), "see that it exists and may be read")
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        failed(Code::NotUtf8, format!("line {line} is not UTF-8"), "save the file as UTF-8")
    })?;
    parse(&text, &name, &System::of(path))
}

/// Reads a configuration from its text. `name` is how diagnostics call the file.
///
/// # Errors
/// Everything that is wrong with it, at least one error.
pub fn parse(text: &str, name: &str, surroundings: &dyn Surroundings) -> Result<Loaded, Report> {
    let parsed = syntax::parse(text);
    let mut reader = Reader::new(text, parsed.lost_keys.clone());
    let root = {
        let tree = parsed.tree();
        let span = tree.span();
        let node = toml::Spanned::new(span, toml::de::DeValue::Table(tree.into_inner()));
        raw::Root::read(&node, &mut reader)
    };
    let config = root.and_then(|root| validate::config(&root, &mut reader, surroundings, parsed.lost_tables));
    let Reader { mut diagnostics, secrets, .. } = reader;
    diagnostics.extend(parsed.errors);
    diagnostics.sort_by_key(|diagnostic| (diagnostic.position(), diagnostic.code));
    let source = Source { name: name.to_owned(), shown: mask(text, &secrets) };
    let broken = diagnostics.iter().any(|diagnostic| diagnostic.severity() == Severity::Error);
    match config {
        Some(config) if !broken => Ok(Loaded { config, warnings: diagnostics, source }),
        _ => Err(Report { diagnostics, source }),
    }
}

/// The JSON Schema (draft 2020-12) of the format, from the declarations that read it.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = raw::Root::schema();
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Tollgate configuration".into();
    schema
}
