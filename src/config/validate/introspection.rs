//! `[issuers.NAME.introspection]`

use super::Check;
use super::own_client::own_client;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{AnswerForm, Introspection};
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
    let auth = own_client(&raw.into(), header, check);
    if raw.auth.get() == Some(&raw::ClientAuthWord::Mtls) {
        refuse_cleartext(raw, check);
    }
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

/// A certificate is shown in a TLS handshake, and http has none.
fn refuse_cleartext(raw: &raw::Introspection, check: &mut Check<'_, '_>) {
    let Some((url, span)) = raw.endpoint.written().filter(|(url, _)| url.url.scheme() == "http") else { return };
    let message = "`auth = \"mtls\"` shows a certificate, which an http endpoint never asks for";
    let https = format!("https{}", url.text.trim_start_matches("http"));
    let diagnostic = Diagnostic::new(Code::Conflict, message).at(span, "");
    check.report(diagnostic.help(format!("write {https:?}, or another `auth`")));
}
