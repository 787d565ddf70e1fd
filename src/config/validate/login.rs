//! `[logins.*]` and `[sessions]`: not acted on yet, but what they name is checked, so that they are right when they are.

use super::files::Inline;
use super::{Check, Named};
use crate::config::diagnostic::Code;
use crate::config::raw::Root;
use crate::config::table::Field;

/// Reports what is wrong inside the two tables.
pub fn check(root: &Root, check: &mut Check<'_, '_>) {
    let issuers: Vec<&str> =
        root.issuers.get().map_or_else(Vec::new, |entries| entries.0.iter().map(|(name, _)| &*name.value.0).collect());
    for (_, login) in root.logins.get().map_or(&[][..], |entries| &entries.0) {
        if let (Some((name, span)), false) = (login.value.issuer.written(), matches!(root.issuers, Field::Broken)) {
            let what = Named { code: Code::UnknownIssuer, noun: "issuer", table: "issuers" };
            check.resolve(&name.0, span, &issuers, what);
        }
        check.secret(&login.value.client_secret, Inline::Warned);
        check.private_key(&login.value.private_key);
    }
    if let Some(sessions) = root.sessions.get() {
        check.secret(&sessions.redis_url, Inline::Warned);
    }
}
