//! `[routes.token_from]`

use super::Check;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::TokenFrom;
use crate::config::raw::route as raw;
use crate::config::table::Field;
use crate::config::word::names::TokenPlace;

/// `Some(None)`: tokens come in `Authorization` only. `None`: something is wrong, and reported.
pub fn token_from(route: &raw::Route, check: &mut Check<'_, '_>) -> Option<Option<TokenFrom>> {
    let (raw, header) = match &route.token_from {
        Field::Written { value, key, .. } => (value, key),
        Field::Absent | Field::Default(_) => return Some(None),
        Field::Broken => return None,
    };
    let places = [&raw.query, &raw.subprotocol, &raw.cookie];
    if places.iter().all(|place| place.is_absent()) {
        let diagnostic =
            Diagnostic::new(Code::NoEffect, "`token_from` has no effect: it names no place").at(header, "");
        check.report(diagnostic.help("write `query`, `subprotocol` or `cookie`, or remove it"));
        return Some(None);
    }
    if let (true, Some(key)) = (raw.cookie.is_absent(), raw.cookie_origins.key()) {
        let diagnostic = Diagnostic::new(Code::NoEffect, "`cookie_origins` has no effect: there is no `cookie`");
        check.report(diagnostic.at(key, "").help("add `cookie`, or remove it"));
    }
    cookie_is_foreign(&raw.cookie, check);
    let origins = match &raw.cookie_origins {
        Field::Absent => Vec::new(),
        written => written.get()?.0.iter().map(|origin| origin.value.text.clone()).collect(),
    };
    let [query, subprotocol, cookie] = places.map(name);
    Some(Some(TokenFrom { query: query?, subprotocol: subprotocol?, cookie: cookie?, cookie_origins: origins }))
}

fn name(place: &Field<TokenPlace>) -> Option<Option<String>> {
    match place {
        Field::Absent => Some(None),
        written => Some(Some(written.get()?.0.clone())),
    }
}

/// The gateway's own cookies hold no tokens that could be taken.
fn cookie_is_foreign(cookie: &Field<TokenPlace>, check: &mut Check<'_, '_>) {
    let Some((TokenPlace(name), span)) = cookie.written() else { return };
    let lower = name.to_ascii_lowercase();
    if lower.strip_prefix("__host-").unwrap_or(&lower).starts_with("tollgate-") {
        let message = "a cookie of the gateway's own, which is no token";
        let help = "name the cookie of the other application; for sessions of the gateway, write `login`";
        check.report(Diagnostic::new(Code::BadName, message).at(span, "").help(help));
    }
}
