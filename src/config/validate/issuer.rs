//! `[issuers.*]`

use std::sync::Arc;

use url::Url;

use super::{Check, login_only, refuse_both, tenant};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{Issuer, KeySource, Profile};
use crate::config::raw::{Root, issuer as raw};
use crate::config::read::At;
use crate::config::table::Field;
use crate::config::word::names::Name;
use crate::config::word::token::AlgorithmName;
use crate::config::word::url::is_loopback;

pub fn issuers(root: &Root, check: &mut Check<'_, '_>) -> Option<Vec<Issuer>> {
    let entries = match &root.issuers {
        Field::Absent | Field::Default(_) => return Some(Vec::new()),
        Field::Broken => return None,
        Field::Written { value, .. } => &value.0,
    };
    let each = |(name, table): &(At<Name>, At<raw::Issuer>), check: &mut Check<'_, '_>| {
        let issuer = issuer(&name.value.0, &table.value, check);
        tenant::each(issuer, &table.value, check)
    };
    let all: Vec<_> = entries.iter().map(|entry| each(entry, check)).collect();
    for (name, table) in entries.iter().filter(|(_, table)| table.value.audiences.is_absent()) {
        login_only::issuer(&name.value.0, table, root, check);
    }
    tenant::refuse_repeats(root, check);
    Some(all.into_iter().collect::<Option<Vec<_>>>()?.concat())
}

fn issuer(name: &str, raw: &raw::Issuer, check: &mut Check<'_, '_>) -> Option<Issuer> {
    let allow_http = raw.allow_http.get().copied();
    refuse_http(raw, check);
    let help = "keep the one that says where the keys are";
    refuse_both(("jwks_uri", &raw.jwks_uri), ("jwks_file", &raw.jwks_file), help, check);
    let jwks_file = check.jwks(&raw.jwks_file);
    let ca_file = check.certificates(&raw.ca_file);
    let introspection = super::introspection::introspection(raw, check);
    let keys = match (&raw.jwks_uri, &raw.jwks_file) {
        (Field::Written { value, .. }, _) => KeySource::Uri(value.text.clone()),
        (Field::Absent, Field::Written { .. }) => KeySource::File(jwks_file?),
        (Field::Absent, Field::Absent) => KeySource::Discovery,
        _ => return None,
    };
    let profile = profile(*raw.profile.get()?);
    Some(Issuer {
        name: Arc::from(name),
        issuer: Arc::from(&*raw.issuer.get()?.text),
        audiences: match &raw.audiences {
            Field::Absent => Vec::new(),
            written => written.get()?.0.iter().map(|at| at.value.0.clone()).collect(),
        },
        profile,
        token_types: match &raw.token_types {
            Field::Absent => profile.token_types(),
            written => written.get()?.0.iter().map(|at| at.value.0.clone()).collect(),
        },
        keys,
        algorithms: algorithms(raw)?,
        clock_skew: raw.clock_skew.get()?.0,
        required_claims: raw
            .required_claims
            .get()
            .map_or_else(Vec::new, |list| list.0.iter().map(|at| at.value.0.clone()).collect()),
        ca_file,
        allow_http: allow_http?,
        max_stale: raw.max_stale.get()?.0,
        refetch_cooldown: raw.refetch_cooldown.get()?.0,
        introspection: introspection?,
    })
}

fn profile(word: raw::ProfileWord) -> Profile {
    match word {
        raw::ProfileWord::Rfc9068 => Profile::Rfc9068,
        raw::ProfileWord::Okta => Profile::Okta,
        raw::ProfileWord::Auth0 => Profile::Auth0,
        raw::ProfileWord::Entra => Profile::Entra,
        raw::ProfileWord::Keycloak => Profile::Keycloak,
        raw::ProfileWord::Cognito => Profile::Cognito,
    }
}

fn algorithms(raw: &raw::Issuer) -> Option<Vec<jsonwebtoken::Algorithm>> {
    let written = match &raw.algorithms {
        Field::Absent => return Some(AlgorithmName::all()),
        written => written.get()?,
    };
    let mut algorithms = Vec::new();
    for at in &written.0 {
        // `EdDSA` and `Ed25519` are one.
        if !algorithms.contains(&at.value.0) {
            algorithms.push(at.value.0);
        }
    }
    Some(algorithms)
}

/// http URLs are for loopback, unless `allow_http` says otherwise, which is worth a warning.
fn refuse_http(raw: &raw::Issuer, check: &mut Check<'_, '_>) {
    let introspection = raw.introspection.get().and_then(|table| table.endpoint.written());
    let issuer = raw.issuer.written().map(|(url, span)| (&*url.text, &url.url, span));
    let others = [raw.jwks_uri.written(), introspection].into_iter().flatten();
    let all = issuer.into_iter().chain(others.map(|(url, span)| (&*url.text, &url.url, span)));
    let insecure: Vec<(&str, &Url, &Span)> =
        all.filter(|(_, url, _)| url.scheme() == "http" && !is_loopback(url)).collect();
    match (&raw.allow_http, insecure.first()) {
        (Field::Default(false) | Field::Written { value: false, .. }, Some(_)) => {
            for (text, _, span) in insecure {
                let message =
                    "whoever sits between could replace the issuer's keys: this URL is http and not on this machine";
                let https = format!("https{}", text.trim_start_matches("http").trim_end_matches('/'));
                let help = format!("write {https:?}, or `allow_http = true` where you know the network");
                check.report(Diagnostic::new(Code::InsecureUrl, message).at(span, "").help(help));
            }
        }
        (Field::Written { value: true, key, .. }, Some((_, _, span))) => {
            let message = "keys are fetched over http: whoever sits between can forge tokens";
            let diagnostic =
                Diagnostic::new(Code::HttpAllowed, message).at(key, "allowed here").at(span, "for this URL");
            check.report(diagnostic.help("use https, with `ca_file` for a private certificate authority"));
        }
        (Field::Written { value: true, key, .. }, None) => {
            let diagnostic =
                Diagnostic::new(Code::NoEffect, "`allow_http` has no effect: every URL is https or on this machine");
            check.report(diagnostic.at(key, "").help("remove it"));
        }
        _ => {}
    }
}
