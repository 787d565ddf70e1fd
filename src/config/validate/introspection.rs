//! `[issuers.NAME.introspection]`

use super::Check;
use super::files::Inline;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{AnswerForm, ClientAuth, Introspection};
use crate::config::raw::issuer as raw;
use crate::config::table::Field;

/// `Some(None)`: the issuer is not asked about tokens. `None`: something is wrong, and reported.
pub fn introspection(issuer: &raw::Issuer, check: &mut Check<'_, '_>) -> Option<Option<Introspection>> {
    let always = issuer.introspect.get().copied();
    let table = match &issuer.introspection {
        Field::Written { value, key, .. } => (value, key),
        Field::Absent | Field::Default(_) => return without_table(issuer, check),
        Field::Broken => return None,
    };
    let (raw, header) = table;
    let auth = client_auth(raw, header, check);
    Some(Some(Introspection {
        endpoint: match &raw.endpoint {
            Field::Absent => None,
            written => Some(written.get()?.text.clone()),
        },
        client_id: raw.client_id.get()?.0.clone(),
        auth: auth?,
        always: always? == raw::IntrospectWord::Always,
        audience_optional: *raw.audience.get()? == raw::AudienceWord::Optional,
        answer: match raw.answer.get()? {
            raw::AnswerWord::Json => AnswerForm::Json,
            raw::AnswerWord::Jwt => AnswerForm::Jwt,
        },
        cache: raw.cache.get()?.0,
        negative_cache: raw.negative_cache.get()?.0,
        timeout: raw.timeout.get()?.0,
        serve_stale: raw.serve_stale.get()?.0,
    }))
}

fn without_table(issuer: &raw::Issuer, check: &mut Check<'_, '_>) -> Option<Option<Introspection>> {
    let Field::Written { value: raw::IntrospectWord::Always, key, .. } = &issuer.introspect else { return Some(None) };
    let message = "the issuer is always to be asked, but nothing says how";
    let help = "add a table [issuers.NAME.introspection] with `client_id` and how the gateway authenticates";
    check.report(Diagnostic::new(Code::MissingKey, message).at(key, "").help(help));
    None
}

fn client_auth(raw: &raw::Introspection, header: &Span, check: &mut Check<'_, '_>) -> Option<ClientAuth> {
    let auth = *raw.auth.get()?;
    let needs = needs(auth);
    let keys = [
        ("client_secret", raw.client_secret.is_absent(), raw.client_secret.key()),
        ("private_key", raw.private_key.is_absent(), raw.private_key.key()),
        ("key_id", raw.key_id.is_absent(), raw.key_id.key()),
        ("certificate", raw.certificate.is_absent(), raw.certificate.key()),
    ];
    for (name, absent, key) in keys {
        match (needs.contains(&name), key) {
            (true, _) if absent => {
                let message = format!("`auth = \"{}\"` needs the key `{name}`", auth.as_str());
                let place = raw.auth.written().map_or(header, |(_, span)| span);
                check.report(Diagnostic::new(Code::ClientAuth, message).at(place, "").help(way_out(name)));
            }
            (false, Some(key)) if !(name == "key_id" && auth == raw::IntrospectionAuth::PrivateKeyJwt) => {
                let message = format!("`{name}` has no effect: `auth = \"{}\"` does not use it", auth.as_str());
                let diagnostic = Diagnostic::new(Code::NoEffect, message).at(key, "");
                check.report(diagnostic.help("remove it, or write the `auth` that uses it"));
            }
            _ => {}
        }
    }
    let secret = check.secret(&raw.client_secret, Inline::Warned);
    let private_key = check.private_key(&raw.private_key);
    let certificate = check.certificates(&raw.certificate);
    match auth {
        raw::IntrospectionAuth::Basic => secret.map(ClientAuth::Basic),
        raw::IntrospectionAuth::Post => secret.map(ClientAuth::Post),
        raw::IntrospectionAuth::PrivateKeyJwt => {
            let key_id = raw.key_id.get().map(|key_id| key_id.0.clone());
            private_key.map(|private_key| ClientAuth::PrivateKeyJwt { private_key, key_id })
        }
        raw::IntrospectionAuth::Mtls => {
            refuse_cleartext(raw, check);
            let (certificate, private_key) = certificate.zip(private_key)?;
            Some(ClientAuth::Mtls { certificate, private_key })
        }
    }
}

const fn needs(auth: raw::IntrospectionAuth) -> &'static [&'static str] {
    match auth {
        raw::IntrospectionAuth::Basic | raw::IntrospectionAuth::Post => &["client_secret"],
        raw::IntrospectionAuth::PrivateKeyJwt => &["private_key"],
        raw::IntrospectionAuth::Mtls => &["certificate", "private_key"],
    }
}

fn way_out(key: &str) -> &'static str {
    match key {
        "client_secret" => "add `client_secret = { file = \"...\" }` or `{ env = \"...\" }`",
        "private_key" => "add `private_key = \"...\"`, a PEM file",
        _certificate => "add `certificate = \"...\"`, a PEM file that the issuer knows",
    }
}

/// A certificate is shown in a TLS handshake, and http has none.
fn refuse_cleartext(raw: &raw::Introspection, check: &mut Check<'_, '_>) {
    let Some((url, span)) = raw.endpoint.written().filter(|(url, _)| url.url.scheme() == "http") else { return };
    let message = "`auth = \"mtls\"` shows a certificate, which an http endpoint never asks for";
    let https = format!("https{}", url.text.trim_start_matches("http"));
    let diagnostic = Diagnostic::new(Code::Conflict, message).at(span, "");
    check.report(diagnostic.help(format!("write {https:?}, or another `auth`")));
}
