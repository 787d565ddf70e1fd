//! How the gateway shows an issuer which client it is: at introspection, and in logins.

use super::Check;
use super::files::Inline;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::ClientAuth;
use crate::config::raw::issuer::{ClientAuthWord, Introspection};
use crate::config::raw::login::Login;
use crate::config::table::Field;
use crate::config::word::names::{FilePath, NonEmpty};
use crate::config::word::secret::SecretSource;

/// The keys of a table that say so.
pub struct Written<'a> {
    auth: &'a Field<ClientAuthWord>,
    client_secret: &'a Field<SecretSource>,
    private_key: &'a Field<FilePath>,
    key_id: &'a Field<NonEmpty>,
    certificate: &'a Field<FilePath>,
    /// Whether a table without any of them is fine.
    may_be_public: bool,
}

impl<'a> From<&'a Introspection> for Written<'a> {
    fn from(raw: &'a Introspection) -> Self {
        let Introspection { auth, client_secret, private_key, key_id, certificate, .. } = raw;
        Self { auth, client_secret, private_key, key_id, certificate, may_be_public: false }
    }
}

impl<'a> From<&'a Login> for Written<'a> {
    fn from(raw: &'a Login) -> Self {
        let Login { auth, client_secret, private_key, key_id, certificate, .. } = raw;
        Self { auth, client_secret, private_key, key_id, certificate, may_be_public: true }
    }
}

/// What a table says of it. Each way needs its keys, and has no use for those of the others.
pub fn own_client(written: &Written<'_>, header: &Span, check: &mut Check<'_, '_>) -> Option<ClientAuth> {
    let auth = written.way()?;
    let needs = needs(auth);
    for (name, absent, key) in written.keys() {
        match (needs.contains(&name), key) {
            (true, _) if absent => {
                let message = format!("{} needs the key `{name}`", spelled(auth));
                let place = written.auth.written().map_or(header, |(_, span)| span);
                check.report(Diagnostic::new(Code::ClientAuth, message).at(place, "").help(way_out(name)));
            }
            (false, Some(key)) if !(name == "key_id" && auth == Some(ClientAuthWord::PrivateKeyJwt)) => {
                let message = format!("`{name}` has no effect: {} does not use it", spelled(auth));
                let diagnostic = Diagnostic::new(Code::NoEffect, message).at(key, "");
                check.report(diagnostic.help("remove it, or write the `auth` that uses it"));
            }
            _ => {}
        }
    }
    let secret = check.secret(written.client_secret, Inline::Warned);
    let private_key = check.private_key(written.private_key);
    let certificate = check.certificates(written.certificate);
    match auth {
        None => Some(ClientAuth::None),
        Some(ClientAuthWord::Basic) => secret.map(ClientAuth::Basic),
        Some(ClientAuthWord::Post) => secret.map(ClientAuth::Post),
        Some(ClientAuthWord::PrivateKeyJwt) => {
            let key_id = written.key_id.get().map(|key_id| key_id.0.clone());
            private_key.map(|private_key| ClientAuth::PrivateKeyJwt { private_key, key_id })
        }
        Some(ClientAuthWord::Mtls) => {
            let (certificate, private_key) = certificate.zip(private_key)?;
            Some(ClientAuth::Mtls { certificate, private_key })
        }
    }
}

impl<'a> Written<'a> {
    /// By which way, or as what is there suggests; `Some(None)`: by none.
    #[expect(clippy::option_option, reason = "outside: something is wrong, and reported; inside: a public client")]
    fn way(&self) -> Option<Option<ClientAuthWord>> {
        let usual = *self.auth.get()?;
        if self.auth.written().is_some() || !self.client_secret.is_absent() {
            return Some(Some(usual));
        }
        Some(match (self.certificate.is_absent(), self.private_key.is_absent()) {
            (false, _) => Some(ClientAuthWord::Mtls),
            (true, false) => Some(ClientAuthWord::PrivateKeyJwt),
            (true, true) => Some(usual).filter(|_| !self.may_be_public),
        })
    }

    /// Name, absence and place of each.
    fn keys(&self) -> [(&'static str, bool, Option<&'a Span>); 4] {
        [
            ("client_secret", self.client_secret.is_absent(), self.client_secret.key()),
            ("private_key", self.private_key.is_absent(), self.private_key.key()),
            ("key_id", self.key_id.is_absent(), self.key_id.key()),
            ("certificate", self.certificate.is_absent(), self.certificate.key()),
        ]
    }
}

fn spelled(auth: Option<ClientAuthWord>) -> String {
    auth.map_or_else(|| "a public client".to_owned(), |auth| format!("`auth = \"{}\"`", auth.as_str()))
}

const fn needs(auth: Option<ClientAuthWord>) -> &'static [&'static str] {
    match auth {
        None => &[],
        Some(ClientAuthWord::Basic | ClientAuthWord::Post) => &["client_secret"],
        Some(ClientAuthWord::PrivateKeyJwt) => &["private_key"],
        Some(ClientAuthWord::Mtls) => &["certificate", "private_key"],
    }
}

fn way_out(key: &str) -> &'static str {
    match key {
        "client_secret" => "add `client_secret = { file = \"...\" }` or `{ env = \"...\" }`",
        "private_key" => "add `private_key = \"...\"`, a PEM file",
        _certificate => "add `certificate = \"...\"`, a PEM file that the issuer knows",
    }
}
