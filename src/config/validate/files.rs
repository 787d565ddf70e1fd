//! Files and variables that the configuration names: they exist, can be read, and hold what they should, so that
//! `tollgate check` finds a broken certificate before a restart does.

use std::path::PathBuf;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Check;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::table::Field;
use crate::config::word::names::FilePath;
use crate::config::word::secret::SecretSource;
use crate::secret::Secret;

/// Whether a secret may stand in the file itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Inline {
    /// With a warning.
    Warned,
    /// Without: development only.
    Fine,
}

impl Check<'_, '_> {
    /// The absolute path behind a key; nothing is read.
    pub fn path(&self, path: &FilePath) -> PathBuf {
        let joined = self.surroundings.folder().join(&path.0);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    /// A PEM file with one or more certificates.
    pub fn certificates(&mut self, field: &Field<FilePath>) -> Option<PathBuf> {
        self.certificate_list(field).map(|(path, _)| path)
    }

    /// As [`Check::certificates`], with what is in the file.
    pub fn certificate_list(&mut self, field: &Field<FilePath>) -> Option<(PathBuf, Vec<CertificateDer<'static>>)> {
        let (path, bytes, span) = self.content(field)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let problem = match found {
            Ok(certificates) if certificates.is_empty() => "has no certificate".to_owned(),
            Ok(certificates) => return Some((path, certificates)),
            Err(error) => format!("has a broken certificate: {error}"),
        };
        let message = format!("{} {problem}", path.display());
        let help = "a PEM file: its blocks begin with -----BEGIN CERTIFICATE-----";
        self.report(Diagnostic::new(Code::BadCertificate, message).at(&span, "").help(help));
        None
    }

    /// A PEM file with a private key.
    pub fn private_key(&mut self, field: &Field<FilePath>) -> Option<PathBuf> {
        let (path, bytes, span) = self.content(field)?;
        let Err(error) = PrivateKeyDer::from_pem_slice(&bytes) else { return Some(path) };
        let problem = match error {
            rustls_pki_types::pem::Error::NoItemsFound => "has no private key".to_owned(),
            other => format!("has a broken private key: {other}"),
        };
        let message = format!("{} {problem}", path.display());
        let help = "a PEM file with an unencrypted key: PKCS#8, PKCS#1 or SEC1";
        self.report(Diagnostic::new(Code::BadPrivateKey, message).at(&span, "").help(help));
        None
    }

    /// A file with a JWK Set.
    pub fn jwks(&mut self, field: &Field<FilePath>) -> Option<PathBuf> {
        self.jwk_set(field).map(|(path, _)| path)
    }

    /// As [`Check::jwks`], with what is in the file.
    pub fn jwk_set(&mut self, field: &Field<FilePath>) -> Option<(PathBuf, serde_json::Value)> {
        let (path, bytes, span) = self.content(field)?;
        let problem = match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Ok(set) => match set.get("keys").and_then(serde_json::Value::as_array) {
                Some(keys) if !keys.is_empty() => return Some((path, set)),
                Some(_) => "has no keys".to_owned(),
                None => "has no list `keys`".to_owned(),
            },
            Err(error) => format!("is not JSON: {error}"),
        };
        let message = format!("{} {problem}", path.display());
        let help = "a JWK Set (RFC 7517): { \"keys\": [ { \"kty\": ... }, ... ] }";
        self.report(Diagnostic::new(Code::BadJwks, message).at(&span, "").help(help));
        None
    }

    /// A secret, wherever it is.
    pub fn secret(&mut self, field: &Field<SecretSource>, inline: Inline) -> Option<Secret> {
        let (source, span) = field.written()?;
        match source {
            SecretSource::Inline(secret) => {
                if inline == Inline::Warned {
                    let message = "a secret stands in the file itself";
                    let help = "keep it elsewhere: { file = \"/run/secrets/name\" } or { env = \"NAME\" }";
                    self.report(Diagnostic::new(Code::InlineSecret, message).at(span, "").help(help));
                }
                Some(secret.clone())
            }
            SecretSource::File(path) => self.secret_file(&FilePath(path.clone()), span),
            SecretSource::Env(name) => self.secret_variable(name, span),
        }
    }

    fn secret_file(&mut self, path: &FilePath, span: &Span) -> Option<Secret> {
        let (path, bytes) = self.read_file(path, span)?;
        let text = String::from_utf8(bytes).ok().map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        let problem = match text {
            Some(text) if !text.is_empty() => return Some(Secret::new(text)),
            Some(_) => "is empty",
            None => "is not UTF-8 text",
        };
        let message = format!("the secret in {} {problem}", path.display());
        self.report(
            Diagnostic::new(Code::EmptySecret, message).at(span, "").help("put the secret into it, as plain text"),
        );
        None
    }

    fn secret_variable(&mut self, name: &str, span: &Span) -> Option<Secret> {
        let value = self.surroundings.variable(name).filter(|value| !value.is_empty());
        if value.is_none() {
            let message = format!("the environment variable {name} is not set, or empty");
            let help = format!("set it where Tollgate is started: {name}=... tollgate serve");
            self.report(Diagnostic::new(Code::EnvMissing, message).at(span, "").help(help));
        }
        value.map(Secret::new)
    }

    /// What is in a file.
    pub fn content(&mut self, field: &Field<FilePath>) -> Option<(PathBuf, Vec<u8>, Span)> {
        let (path, span) = field.written()?;
        let (path, bytes) = self.read_file(path, span)?;
        Some((path, bytes, span.clone()))
    }

    fn read_file(&mut self, path: &FilePath, span: &Span) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.path(path);
        match self.surroundings.read(&path) {
            Ok(bytes) => {
                self.files.push(path.clone());
                Some((path, bytes))
            }
            Err(error) => {
                let message = format!("{} cannot be read: {error}", path.display());
                let help = "paths start from the folder of the configuration file";
                self.report(Diagnostic::new(Code::FileUnreadable, message).at(span, "").help(help));
                None
            }
        }
    }
}
