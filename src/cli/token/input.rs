//! Secrets from files, standard input and the environment. None is ever taken from the command line, which every user of
//! the machine can read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::secret::Secret;

use super::failure::Failure;

/// The longest secret, in bytes. A refresh token may be a JWT.
const MAX: u64 = 64 * 1024;

/// The one line of `path`, or of standard input for `-`; line ends at its end do not count.
pub(super) fn secret_file(path: &Path, what: &str) -> Result<Secret, Failure> {
    let place = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let broken = |error: &dyn std::fmt::Display| Failure::usage(format!("{what}: {place}: {error}"));
    let text = match path == Path::new("-") {
        true => read(io::stdin().lock()),
        false => File::open(path).and_then(read),
    };
    one_line(&text.map_err(|error| broken(&error))?).map_err(|why| broken(&why))
}

/// The value of the environment variable `name`; `None` when it is not set.
pub(super) fn secret_variable(name: &str) -> Result<Option<Secret>, Failure> {
    let Some(value) = std::env::var_os(name) else { return Ok(None) };
    let text = value.into_string().map_err(|_| Failure::usage(format!("{name} is not UTF-8")))?;
    one_line(&Zeroizing::new(text)).map(Some).map_err(|why| Failure::usage(format!("{name}: {why}")))
}

fn read(source: impl Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    source.take(MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {MAX} bytes"))),
        false => Ok(text),
    }
}

/// `text` as a secret, when it is one line and not empty.
pub(super) fn one_line(text: &str) -> Result<Secret, &'static str> {
    let line = text.trim_end_matches(['\r', '\n']);
    match line {
        "" => Err("empty"),
        _ if line.chars().any(char::is_control) => Err("more than one line, or control characters"),
        _ => Ok(Secret::new(line.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_without_its_end() {
        let cases = [
            ("s3cret\n", Ok("s3cret")),
            (" with blanks \r\n\n", Ok(" with blanks ")),
            ("", Err("empty")),
            ("\n\n", Err("empty")),
            ("a\nb", Err("more than one line, or control characters")),
            ("a\0b", Err("more than one line, or control characters")),
        ];
        for (text, expected) in cases {
            let got = one_line(text);
            assert_eq!(got.as_ref().map(Secret::expose).map_err(|why| *why), expected, "{text:?}");
        }
        assert!(read(&[b'x'; 70_000][..]).is_err());
    }
}
