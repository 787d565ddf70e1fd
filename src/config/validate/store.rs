//! `[redis]`

use super::Check;
use super::files::Inline;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::Redis;
use crate::config::raw::{Root, server as raw};
use crate::config::read::Text as _;
use crate::config::table::Field;
use crate::config::word::secret::SecretSource;
use crate::config::word::url::RedisUrl;
use crate::secret::Secret;

pub fn redis(root: &Root, check: &mut Check<'_, '_>) -> Option<Option<Redis>> {
    let (redis, header) = match &root.redis {
        Field::Absent | Field::Default(_) => return Some(None),
        Field::Broken => return None,
        Field::Written { value, key, .. } => (value, key),
    };
    if !cfg!(feature = "redis") {
        let message = "this program was built without the cargo feature `redis`";
        check.report(
            Diagnostic::new(Code::NotSupportedYet, message).at(header, "").help("build it with its default features"),
        );
    }
    let (url, cluster) = (url(redis, check), cluster(redis, check));
    let password = check.secret(&redis.password, Inline::Warned);
    let identity = identity(redis, check);
    let ca_file = check.certificates(&redis.ca_file);
    Some(Some(Redis {
        url: url?,
        cluster: cluster?,
        username: redis.username.get().map(|name| name.0.clone()),
        password,
        ca_file,
        identity,
        connect_timeout: redis.connect_timeout.get()?.0,
        timeout: redis.timeout.get()?.0,
        prefix: redis.prefix.get()?.0.clone(),
    }))
}

fn url(redis: &raw::Redis, check: &mut Check<'_, '_>) -> Option<Secret> {
    let url = check.secret(&redis.url, Inline::Fine)?;
    let (source, span) = redis.url.written()?;
    // The text may hold a password, so it is read here and not with the file.
    match RedisUrl::parse(url.expose()) {
        Ok(parsed) if parsed.password && matches!(source, SecretSource::Inline(_)) => {
            let message = "a password stands in the file itself";
            let help =
                "keep it elsewhere: `password = { file = ... }`, or the whole url in { file = ... } or { env = ... }";
            check.report(Diagnostic::new(Code::InlineSecret, message).at(span, "").help(help));
        }
        Ok(_plain) => {}
        Err(refusal) => {
            check.report(refusal.whole(span));
            return None;
        }
    }
    Some(url)
}

fn cluster(redis: &raw::Redis, check: &mut Check<'_, '_>) -> Option<Vec<String>> {
    let nodes = match &redis.cluster {
        Field::Absent => return Some(Vec::new()),
        written => written.get()?,
    };
    for node in nodes.0.iter().filter(|node| node.value.password) {
        let message = "a password stands in the file itself";
        let help = "remove what stands before the @: all nodes have the login of `url`, or `username` and `password`";
        check.report(Diagnostic::new(Code::InlineSecret, message).at(&node.span, "").help(help));
    }
    Some(nodes.0.iter().map(|node| node.value.text.clone()).collect())
}

fn identity(redis: &raw::Redis, check: &mut Check<'_, '_>) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    let (certificate, key) = (&redis.client_certificate, &redis.client_key);
    let lonely = match (certificate.is_absent(), key.is_absent()) {
        (false, true) => certificate.key(),
        (true, false) => key.key(),
        (true, true) | (false, false) => None,
    };
    if let Some(lonely) = lonely {
        let message = "`client_certificate` and `client_key` go together";
        check.report(Diagnostic::new(Code::MissingKey, message).at(lonely, "").help("add the other one"));
    }
    let (certificate, key) = (check.certificates(certificate), check.private_key(key));
    certificate.zip(key)
}
