//! `[upstreams.*]`

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Check;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{Scheme, Upstream, UpstreamHost};
use crate::config::raw::{Root, server as raw};
use crate::config::table::Field;
use crate::pattern::HostPattern;

pub fn upstreams(root: &Root, check: &mut Check<'_, '_>) -> Option<Vec<Upstream>> {
    warn_of_unused(root, check);
    match &root.upstreams {
        Field::Absent | Field::Default(_) => Some(Vec::new()),
        Field::Broken => None,
        Field::Written { value, .. } => {
            // Every table is checked before any failure counts.
            let all: Vec<_> =
                value.0.iter().map(|(name, table)| upstream(&name.value.0, &table.value, check)).collect();
            all.into_iter().collect()
        }
    }
}

fn upstream(name: &str, raw: &raw::Upstream, check: &mut Check<'_, '_>) -> Option<Upstream> {
    let host = host(raw, check);
    let ca_file = check.certificates(&raw.ca_file);
    let servers: Vec<_> = raw.servers.get()?.0.iter().map(|at| at.value.0.clone()).collect();
    if let Some(key) = raw.ca_file.key().filter(|_| servers.iter().all(|server| server.scheme != Scheme::Https)) {
        let diagnostic = Diagnostic::new(Code::NoEffect, "`ca_file` has no effect: no server is https").at(key, "");
        check.report(diagnostic.help("remove it, or write the servers with https://"));
    }
    Some(Upstream {
        name: Arc::from(name),
        servers,
        host: host?,
        connect_timeout: raw.connect_timeout.get()?.0,
        response_timeout: raw.response_timeout.get()?.0,
        idle_timeout: raw.idle_timeout.get()?.0,
        ca_file,
    })
}

fn host(raw: &raw::Upstream, check: &mut Check<'_, '_>) -> Option<UpstreamHost> {
    let text = &raw.host.get()?.0;
    match &**text {
        "keep" => return Some(UpstreamHost::Keep),
        "upstream" => return Some(UpstreamHost::Upstream),
        _ => {}
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => (name, Some(port)),
        _ => (&**text, None),
    };
    match HostPattern::parse(name) {
        Ok(HostPattern::Exact(host)) => {
            Some(UpstreamHost::Named(port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"))))
        }
        Ok(HostPattern::Suffix(_)) | Err(_) => {
            let help = "`keep`, `upstream`, or a host name with or without a port";
            let message = format!("{text:?} is not a Host that an upstream could see");
            let (_, span) = raw.host.written()?;
            check.report(Diagnostic::new(Code::BadHost, message).at(span, "").help(help));
            None
        }
    }
}

fn warn_of_unused(root: &Root, check: &mut Check<'_, '_>) {
    let (Some(upstreams), Some(routes)) = (root.upstreams.get(), root.routes.get()) else { return };
    let names: BTreeSet<&str> = upstreams.0.iter().map(|(name, _)| &*name.value.0).collect();
    let named: Option<BTreeSet<&str>> =
        routes.0.iter().map(|route| route.value.upstream.get().map(|upstream| &*upstream.0)).collect();
    // A route that names nothing that exists may well mean the one that seems unused.
    let Some(named) = named.filter(|named| named.is_subset(&names)) else { return };
    for (name, _) in upstreams.0.iter().filter(|(name, _)| !named.contains(&*name.value.0)) {
        let message = format!("no route uses the upstream {:?}", name.value.0);
        check.report(
            Diagnostic::new(Code::UnusedUpstream, message).at(&name.span, "").help("name it in a route, or remove it"),
        );
    }
}
