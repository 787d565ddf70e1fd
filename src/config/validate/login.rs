//! `[logins.*]` and `[sessions]`

use std::sync::Arc;

use url::Url;

use super::files::Inline;
use super::own_client::own_client;
use super::{Check, Named};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{Login, SessionStore, Sessions};
use crate::config::raw::{Root, login as raw};
use crate::config::read::{At, List};
use crate::config::table::Field;
use crate::config::word::names::{Name, NonEmpty};
use crate::config::word::url::is_loopback;

/// Below which callbacks are; nothing else of an application is.
const CALLBACK: &str = "/.tollgate/callback";

pub fn logins(root: &Root, check: &mut Check<'_, '_>) -> Option<Vec<Login>> {
    let entries = match &root.logins {
        Field::Absent | Field::Default(_) => return Some(Vec::new()),
        Field::Broken => return None,
        Field::Written { value, .. } => &value.0,
    };
    let issuers: Vec<&str> =
        root.issuers.get().map_or_else(Vec::new, |entries| entries.0.iter().map(|(name, _)| &*name.value.0).collect());
    callbacks_differ(entries.iter().map(|(_, login)| &login.value), check);
    let logins: Vec<_> = entries
        .iter()
        .map(|(name, table)| login(name, &table.value, &issuers, matches!(root.issuers, Field::Broken), check))
        .collect();
    logins.into_iter().collect()
}

fn login(
    name: &At<Name>,
    raw: &raw::Login,
    issuers: &[&str],
    issuers_broken: bool,
    check: &mut Check<'_, '_>,
) -> Option<Login> {
    let issuer = match raw.issuer.written() {
        Some((issuer, span)) if !issuers_broken => {
            let what = Named { code: Code::UnknownIssuer, noun: "issuer", table: "issuers" };
            check.resolve(&issuer.0, span, issuers, what)
        }
        _ => None,
    };
    let auth = own_client(&raw.into(), &name.span, check);
    refuse_cleartext(raw, check);
    let callback = callback(raw, check);
    let mut scopes = vec!["openid".to_owned()];
    let written = raw.scopes.get().map_or(&[][..], |list| &list.0);
    scopes.extend(written.iter().map(|scope| scope.value.0.clone()).filter(|scope| scope != "openid"));
    Some(Login {
        name: Arc::from(&*name.value.0),
        issuer: issuer?,
        client_id: raw.client_id.get()?.0.clone(),
        auth: auth?,
        scopes,
        public_url: raw.public_url.get()?.text.clone(),
        callback: callback?,
        form_post: *raw.response_mode.get()? == raw::ResponseMode::FormPost,
        userinfo: *raw.userinfo.get()?,
        trusted_audiences: texts(&raw.trusted_audiences),
        session_claims: texts(&raw.session_claims),
    })
}

fn texts(list: &Field<List<NonEmpty>>) -> Vec<String> {
    list.get().map_or_else(Vec::new, |list| list.0.iter().map(|text| text.value.0.clone()).collect())
}

/// Cookies of an http application can be read and planted on the way; and by http a browser would not keep the cookie
/// that a posted answer needs.
fn refuse_cleartext(raw: &raw::Login, check: &mut Check<'_, '_>) {
    let Some((origin, span)) = raw.public_url.written() else { return };
    let http = Url::parse(&origin.text).ok().filter(|url| url.scheme() == "http");
    let Some(url) = http else { return };
    if !is_loopback(&url) {
        let message = "sessions of an application that is reached by http can be stolen on the way";
        let help = format!("write \"https{}\"; http is for this machine alone", origin.text.trim_start_matches("http"));
        check.report(Diagnostic::new(Code::InsecureUrl, message).at(span, "").help(help));
    } else if let Some((raw::ResponseMode::FormPost, mode)) = raw.response_mode.written() {
        let message = "`response_mode = \"form_post\"` needs https: browsers keep the cookie for it only then";
        let diagnostic = Diagnostic::new(Code::LoginMismatch, message).at(mode, "").at(span, "this is http");
        check.report(diagnostic.help("use `response_mode = \"query\"`, or an https `public_url`"));
    }
}

fn callback(raw: &raw::Login, check: &mut Check<'_, '_>) -> Option<String> {
    let path = &raw.callback.get()?.0;
    let below =
        path.strip_prefix(CALLBACK).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') && rest.len() > 1);
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
    if below && plain && !path.contains("//") && !path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Some(path.clone());
    }
    if let Some((_, span)) = raw.callback.written() {
        let message = format!("a callback is below {CALLBACK}, in plain characters");
        let help = format!("as \"{CALLBACK}/NAME\"");
        check.report(Diagnostic::new(Code::LoginMismatch, message).at(span, "").help(help));
    }
    None
}

/// With one redirect URI for two issuers, one could pass off its answer as the other's (RFC 9700, section 4.4.2.2).
fn callbacks_differ<'a>(logins: impl Iterator<Item = &'a raw::Login>, check: &mut Check<'_, '_>) {
    let mut seen: std::collections::HashMap<(&str, &str), &Span> = std::collections::HashMap::new();
    for login in logins {
        let (Some((origin, span)), Some(callback)) = (login.public_url.written(), login.callback.get()) else {
            continue;
        };
        if let Some(first) = seen.insert((&origin.text, &callback.0), span) {
            let message = "two logins have the same redirect URI, so an answer of one could be taken for the other's";
            let diagnostic = Diagnostic::new(Code::LoginMismatch, message).at(span, "").at(first, "the other login");
            check.report(diagnostic.help(format!("give one a callback of its own: callback = \"{CALLBACK}/NAME\"")));
        }
    }
}

pub fn sessions(root: &Root, check: &mut Check<'_, '_>) -> Option<Sessions> {
    let raw = root.sessions.or_empty()?;
    if let (Some(key), Field::Absent) = (root.sessions.key(), &root.logins) {
        let diagnostic = Diagnostic::new(Code::NoEffect, "`[sessions]` has no effect: nobody can log in");
        check.report(diagnostic.at(key, "").help("add a table [logins.NAME], or remove this one"));
    }
    let keys = [&raw.key, &raw.previous_key].map(|field| check.secret(field, Inline::Warned));
    if let (Field::Absent, Some(key)) = (&raw.key, raw.previous_key.key()) {
        let diagnostic = Diagnostic::new(Code::NoEffect, "`previous_key` has no effect without `key`");
        check.report(diagnostic.at(key, "").help("write `key`, which seals"));
    }
    let store = match raw.store.get()? {
        raw::StoreWord::Memory => SessionStore::Memory,
        raw::StoreWord::Cookie => SessionStore::Cookie,
        raw::StoreWord::Redis => SessionStore::Redis,
    };
    needs_key(&raw, store, check);
    needs_redis(root, &raw, store, check);
    Some(Sessions {
        store,
        keys: keys.into_iter().flatten().collect(),
        idle_timeout: raw.idle_timeout.get()?.0,
        lifetime: raw.lifetime.get()?.0,
    })
}

/// What is sealed with a key of this process ends with it, and no other replica opens it.
fn needs_key(raw: &raw::Sessions, store: SessionStore, check: &mut Check<'_, '_>) {
    let word = match store {
        SessionStore::Memory => return,
        SessionStore::Cookie => "cookie",
        SessionStore::Redis => "redis",
    };
    if let (Field::Absent, Some((_, span))) = (&raw.key, raw.store.written()) {
        let message = format!("`store = \"{word}\"` needs a `key`: without one, sessions end with the process");
        let help = "openssl rand -base64 32 > session.key, then key = { file = \"session.key\" }";
        check.report(Diagnostic::new(Code::MissingKey, message).at(span, "").help(help));
    }
}

/// Sessions that replicas share are where all is that replicas share.
fn needs_redis(root: &Root, raw: &raw::Sessions, store: SessionStore, check: &mut Check<'_, '_>) {
    if let (SessionStore::Redis, Field::Absent, Some((_, span))) = (store, &root.redis, raw.store.written()) {
        let message = "`store = \"redis\"` needs to know where Redis is";
        let help = "add a table [redis] with url = { env = \"REDIS_URL\" }";
        check.report(Diagnostic::new(Code::MissingKey, message).at(span, "").help(help));
    }
}
