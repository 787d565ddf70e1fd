//! `[logins.*]` and `[sessions]`

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use url::Url;

use super::Check;
use super::files::Inline;
use super::own_client::own_client;
use super::tenant::Roll;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{Login, SessionStore, Sessions};
use crate::config::raw::{Root, login as raw};
use crate::config::read::{At, List};
use crate::config::table::Field;
use crate::config::word::names::Name;
use crate::config::word::secret::SecretSource;
use crate::config::word::url::is_loopback;
use crate::secret::Secret;

/// Below which callbacks are; nothing else of an application is.
const CALLBACK: &str = "/.tollgate/callback";
/// Characters of a key that seals: 32 random bytes have more in any spelling.
const LEAST_KEY: usize = 32;

pub fn logins(root: &Root, check: &mut Check<'_, '_>) -> Option<Vec<Login>> {
    let entries = match &root.logins {
        Field::Absent | Field::Default(_) => return Some(Vec::new()),
        Field::Broken => return None,
        Field::Written { value, .. } => &value.0,
    };
    let issuers = Roll::of(root);
    let shared = shared_callbacks(entries.iter().map(|(_, login)| &login.value), check);
    refuse_names_of_cookies(&entries.iter().map(|(name, _)| name).collect::<Vec<_>>(), check);
    let logins = entries.iter().map(|(name, table)| login(name, &table.value, &issuers, check));
    let mut logins = logins.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
    for login in &mut logins {
        login.shares_callback = shared.contains(&login.redirect_uri());
    }
    Some(logins)
}

fn login(name: &At<Name>, raw: &raw::Login, issuers: &Roll<'_>, check: &mut Check<'_, '_>) -> Option<Login> {
    let issuer = issuer(raw, issuers, check);
    let auth = own_client(&raw.into(), &name.span, check);
    refuse_cleartext(raw, check);
    let callback = callback(raw, check);
    nothing_is_asked_alone(raw, check);
    let mut scopes = vec!["openid".to_owned()];
    let written = raw.scopes.get().map_or(&[][..], |list| &list.0);
    scopes.extend(written.iter().map(|scope| scope.value.0.clone()).filter(|scope| scope != "openid"));
    Some(Login {
        name: Arc::from(&*name.value.0),
        issuer: issuer?,
        label: raw.label.get().map_or_else(|| name.value.0.clone(), |label| label.0.clone()),
        client_id: raw.client_id.get()?.0.clone(),
        auth: auth?,
        scopes,
        resource: raw.resource.get().map_or_else(Vec::new, |all| all.0.iter().map(|one| one.value.0.clone()).collect()),
        prompt: raw.prompt.get().map_or_else(Vec::new, |all| all.0.iter().map(|word| word.value.as_str()).collect()),
        login_hint: raw.login_hint.get().map(|hint| hint.0.clone()),
        acr_values: texts(&raw.acr_values, |acr| &acr.0),
        max_age: raw.max_age.get().map(|age| age.0),
        public_url: raw.public_url.get()?.text.clone(),
        callback: callback?,
        shares_callback: false,
        form_post: *raw.response_mode.get()? == raw::ResponseMode::FormPost,
        userinfo: *raw.userinfo.get()?,
        trusted_audiences: texts(&raw.trusted_audiences, |audience| &audience.0),
        session_claims: texts(&raw.session_claims, |claim| &claim.0),
    })
}

/// The cookies of a login are called after it, with an ending for each use: where another login has such a name, what one sets
/// ends the session of the other.
fn refuse_names_of_cookies(names: &[&At<Name>], check: &mut Check<'_, '_>) {
    for name in names {
        let is_of = |other: &&&At<Name>| {
            let ending = name.value.0.strip_prefix(&*other.value.0);
            ending.is_some_and(|ending| matches!(ending, "-round" | "-0" | "-1" | "-2") || ending.starts_with("-tx-"))
        };
        if let Some(other) = names.iter().find(is_of) {
            let message = format!("a cookie of the login `{}` has the name of this one's", other.value.0);
            let diagnostic =
                Diagnostic::new(Code::LoginMismatch, message).at(&name.span, "").at(&other.span, "that one");
            check.report(diagnostic.help("call one of them otherwise"));
        }
    }
}

/// A browser is sent to one issuer, so a name that stands for several will not do.
fn issuer(raw: &raw::Login, issuers: &Roll<'_>, check: &mut Check<'_, '_>) -> Option<usize> {
    let (name, span) = raw.issuer.written().filter(|_| !issuers.broken)?;
    let found = issuers.resolve(&name.0, span, check)?;
    if found.len() > 1 {
        let message = format!("`{}` stands for {} issuers, and a login has one", name.0, found.len());
        let help = format!("name one of its tenants: issuer = {:?}", issuers.name(found.start));
        check.report(Diagnostic::new(Code::LoginMismatch, message).at(span, "").help(help));
        return None;
    }
    Some(found.start)
}

fn texts<T>(list: &Field<List<T>>, text: impl Fn(&T) -> &String) -> Vec<String> {
    list.get().map_or_else(Vec::new, |list| list.0.iter().map(|at| text(&at.value).clone()).collect())
}

/// The word `none` excludes every other (OpenID Connect Core 1.0, section 3.1.2.1).
fn nothing_is_asked_alone(raw: &raw::Login, check: &mut Check<'_, '_>) {
    let Some((prompt, _)) = raw.prompt.written().filter(|(prompt, _)| prompt.0.len() > 1) else { return };
    if let Some(none) = prompt.0.iter().find(|word| word.value == raw::PromptWord::None) {
        let message = "`none` stands alone: the issuer cannot ask nothing and something";
        let diagnostic = Diagnostic::new(Code::Conflict, message).at(&none.span, "");
        check.report(diagnostic.help("prompt = [\"none\"], or without it"));
    }
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

/// A login, and where its `public_url` stands.
type Placed<'a> = (&'a raw::Login, &'a Span);

/// The redirect URIs that several logins have.
fn shared_callbacks<'a>(logins: impl Iterator<Item = &'a raw::Login>, check: &mut Check<'_, '_>) -> HashSet<String> {
    let mut seen: HashMap<(&str, &str), Placed<'_>> = HashMap::new();
    let mut shared = HashSet::new();
    for login in logins {
        let (Some((origin, span)), Some(callback)) = (login.public_url.written(), login.callback.get()) else {
            continue;
        };
        let Some(first) = seen.insert((&origin.text, &callback.0), (login, span)) else { continue };
        refuse_to_share(first, (login, span), check);
        shared.insert(format!("{}{}", origin.text, callback.0));
    }
    shared
}

/// At a redirect URI of two logins, one issuer could pass off its answer as the other's, unless each answer names its issuer
/// (RFC 9700, section 4.4.2), so it takes more than leaving `callback` out.
fn refuse_to_share((first, first_span): Placed<'_>, (second, span): Placed<'_>, check: &mut Check<'_, '_>) {
    let (message, help) = if [first, second].iter().any(|login| login.callback.written().is_none()) {
        (
            "two logins have the same redirect URI, so an answer of one could be taken for the other's",
            format!(
                "give one a callback of its own: callback = \"{CALLBACK}/NAME\"; or write the same `callback` in both, if \
                 both issuers announce `authorization_response_iss_parameter_supported` (RFC 9207)"
            ),
        )
    } else if first.response_mode.get() != second.response_mode.get() {
        (
            "two logins have the same redirect URI, and expect answers there in different ways",
            "give both one `response_mode`, or one a callback of its own".to_owned(),
        )
    } else {
        return;
    };
    let diagnostic = Diagnostic::new(Code::LoginMismatch, message).at(span, "").at(first_span, "the other login");
    check.report(diagnostic.help(help));
}

pub fn sessions(root: &Root, check: &mut Check<'_, '_>) -> Option<Sessions> {
    let raw = root.sessions.or_empty()?;
    if let (Some(key), Field::Absent) = (root.sessions.key(), &root.logins) {
        let diagnostic = Diagnostic::new(Code::NoEffect, "`[sessions]` has no effect: nobody can log in");
        check.report(diagnostic.at(key, "").help("add a table [logins.NAME], or remove this one"));
    }
    let keys = [&raw.key, &raw.previous_key].map(|field| sealing_key(field, check));
    opens_more(&raw, &keys, check);
    let store = match raw.store.get()? {
        raw::StoreWord::Memory => SessionStore::Memory,
        raw::StoreWord::Cookie => SessionStore::Cookie,
        raw::StoreWord::Redis => SessionStore::Redis,
    };
    needs_key(&raw, store, check);
    needs_redis(root, &raw, store, check);
    ends_in_time(&raw, check);
    ends_from_outside(root, store, check);
    Some(Sessions {
        store,
        keys: keys.into_iter().flatten().collect(),
        idle_timeout: raw.idle_timeout.get()?.0,
        lifetime: raw.lifetime.get()?.0,
    })
}

/// A key before that opens nothing which `key` does not open is a mistake: the sessions that it shall save end.
fn opens_more(raw: &raw::Sessions, keys: &[Option<Secret>; 2], check: &mut Check<'_, '_>) {
    let Some(at) = raw.previous_key.key() else { return };
    let (message, help) = match keys {
        _ if matches!(raw.key, Field::Absent) => {
            ("`previous_key` has no effect without `key`", "write `key`, which seals")
        }
        [Some(key), Some(previous)] if key == previous => {
            ("`previous_key` has no effect: it is the same as `key`", "write the key that sealed before, or remove it")
        }
        _ => return,
    };
    check.report(Diagnostic::new(Code::NoEffect, message).at(at, "").help(help));
}

/// Sealed is as safe as the key is hard to guess.
fn sealing_key(field: &Field<SecretSource>, check: &mut Check<'_, '_>) -> Option<Secret> {
    let secret = check.secret(field, Inline::Warned)?;
    if let (true, Some((_, span))) = (secret.expose().len() < LEAST_KEY, field.written()) {
        let message =
            format!("a key that seals sessions has {LEAST_KEY} characters or more, so that nobody guesses it");
        let help = "openssl rand -base64 32 > session.key, then key = { file = \"session.key\" }";
        check.report(Diagnostic::new(Code::ShortKey, message).at(span, "").help(help));
        return None;
    }
    Some(secret)
}

/// Whoever is idle for so long is logged out already.
fn ends_in_time(raw: &raw::Sessions, check: &mut Check<'_, '_>) {
    let (Some((idle, span)), Some(lifetime)) = (raw.idle_timeout.written(), raw.lifetime.get()) else { return };
    if idle.0 > lifetime.0 {
        let message = "`idle_timeout` has no effect: `lifetime` ends every session before";
        check.report(
            Diagnostic::new(Code::NoEffect, message).at(span, "").help("make it shorter, or `lifetime` longer"),
        );
    }
}

/// An authority of the same file that shall tell of logouts, to sessions that nobody can end from outside.
fn ends_from_outside(root: &Root, store: SessionStore, check: &mut Check<'_, '_>) {
    let Some(clients) = root.authority.get().and_then(|authority| authority.clients.get()) else { return };
    for client in clients.0.iter().filter(|_| store == SessionStore::Cookie) {
        for told in [&client.value.backchannel_logout_uri, &client.value.frontchannel_logout_uri] {
            let Some((url, span)) = told.written().filter(|(url, _)| url.text.contains("/.tollgate/")) else {
                continue;
            };
            let message = format!("{} has no effect: sessions in cookies cannot be ended from outside", url.text);
            let help = "take it out, or keep sessions elsewhere: `store = \"memory\"` or `store = \"redis\"`";
            check.report(Diagnostic::new(Code::NoEffect, message).at(span, "").help(help));
        }
    }
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
