//! `tenants` of `[issuers.*]`: one table for the issuers that a server has, one for each tenant.
//!
//! Every tenant of the list becomes an issuer like any other, with an `iss`, keys and a state of its own, so that nothing
//! of one tenant is ever good for another, and a tenant that is not listed is an unknown issuer. What the tenants could
//! share to each other's harm is refused: keys at one place, an introspection endpoint with one client.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Check, Named};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{Issuer, KeySource};
use crate::config::raw::{Root, issuer as raw};
use crate::config::read::At;
use crate::config::table::{Field, listed};
use crate::config::word::token::TenantText;

/// The tenants of a table, as far as they can be read; empty for an issuer without.
fn tenants(raw: &raw::Issuer) -> &[At<TenantText>] {
    raw.tenants.get().map_or(&[], |list| &list.0)
}

/// The issuers that a table stands for, by what it says of each of them; `None` when `tenants` do not fit to the rest, and
/// that is reported.
pub fn each(issuer: Option<Issuer>, raw: &raw::Issuer, check: &mut Check<'_, '_>) -> Option<Vec<Issuer>> {
    match (&raw.tenants, raw.issuer.get().and_then(|issuer| issuer.placeholder.as_deref())) {
        (Field::Broken, _) => None,
        (Field::Absent | Field::Default(_), None) => {
            whose_keys(raw, check);
            issuer.map(|issuer| vec![issuer])
        }
        (Field::Absent | Field::Default(_), Some(placeholder)) => {
            let (_, span) = raw.issuer.written()?;
            let message = format!("`{placeholder}` stands for a tenant, but nothing says which tenants are trusted");
            let help = "tenants = [\"...\"], as tokens have them in `iss`; no others are";
            check.report(Diagnostic::new(Code::TenantMismatch, message).at(span, "").help(help));
            None
        }
        (Field::Written { key, .. }, None) => {
            let (_, span) = raw.issuer.written()?;
            let message = "nothing in `issuer` stands for the tenant";
            let diagnostic = Diagnostic::new(Code::TenantMismatch, message).at(span, "").at(key, "for these tenants");
            check.report(
                diagnostic.help("write a name in braces where tokens have the tenant: \"https://.../{tenant}\""),
            );
            None
        }
        (Field::Written { key, .. }, Some(placeholder)) => {
            own_keys(raw, placeholder, key, check);
            own_client(raw, key, check);
            let issuer = issuer?;
            Some(tenants(raw).iter().map(|tenant| of_tenant(&issuer, placeholder, &tenant.value.0)).collect())
        }
    }
}

fn of_tenant(issuer: &Issuer, placeholder: &str, tenant: &str) -> Issuer {
    Issuer {
        name: Arc::from(format!("{}/{tenant}", issuer.name)),
        issuer: Arc::from(issuer.issuer.replace(placeholder, tenant)),
        keys: match &issuer.keys {
            KeySource::Uri(uri) => KeySource::Uri(uri.replace(placeholder, tenant)),
            other => other.clone(),
        },
        ..issuer.clone()
    }
}

/// With keys that are good for every tenant, whoever runs one could sign for another.
fn own_keys(raw: &raw::Issuer, placeholder: &str, tenants: &Span, check: &mut Check<'_, '_>) {
    let refuse = |span: &Span, help: String, check: &mut Check<'_, '_>| {
        let message = "these keys would be good for every tenant, so that one could sign for another";
        let diagnostic = Diagnostic::new(Code::TenantMismatch, message).at(span, "").at(tenants, "for these tenants");
        check.report(diagnostic.help(help));
    };
    if let Some((_, span)) = raw.jwks_file.written() {
        refuse(span, "write a table for each tenant, with a file of its own".into(), check);
    }
    if let Some((uri, span)) = raw.jwks_uri.written() {
        let rest = uri.text.replacen(placeholder, "", 1);
        if rest == uri.text || rest.contains(['{', '}']) || uri.url.host_str().is_none_or(|host| host.contains('{')) {
            refuse(span, format!("write `{placeholder}` once, where the tenant stands in the path"), check);
        }
    }
}

/// A URL with braces means a tenant, and there is none.
fn whose_keys(raw: &raw::Issuer, check: &mut Check<'_, '_>) {
    let Some((uri, span)) = raw.jwks_uri.written() else { return };
    if uri.text.contains(['{', '}']) && raw.issuer.written().is_some() {
        let message = "braces stand for a tenant, but the issuer has no tenants";
        let help = "write the URL without braces; or a name in braces in `issuer` too, and `tenants`";
        check.report(Diagnostic::new(Code::TenantMismatch, message).at(span, "").help(help));
    }
}

/// An opaque token does not say of which tenant it is, and the gateway is another client at each.
fn own_client(raw: &raw::Issuer, tenants: &Span, check: &mut Check<'_, '_>) {
    let Some(key) = raw.introspection.key() else { return };
    let message = "tenants cannot be asked about tokens: an opaque one does not say whose it is";
    let diagnostic = Diagnostic::new(Code::TenantMismatch, message).at(key, "").at(tenants, "of these tenants");
    let help = "take a tenant that is to be asked out of `tenants`, and describe it as an issuer of its own";
    check.report(diagnostic.help(help));
}

/// Reports each `iss` that two tables describe.
pub fn refuse_repeats(root: &Root, check: &mut Check<'_, '_>) {
    let mut seen: HashMap<String, (usize, &Span)> = HashMap::new();
    for (table, (_, at)) in root.issuers.get().map_or(&[][..], |entries| &entries.0).iter().enumerate() {
        for (iss, span) in identifiers(&at.value) {
            let first = *seen.entry(iss.clone()).or_insert((table, span));
            // A tenant that stands twice in one list is a repeated element, which is told already.
            if first.0 != table {
                let message = format!("two tables describe the issuer {iss:?}");
                let diagnostic = Diagnostic::new(Code::DuplicateIssuer, message);
                let diagnostic = diagnostic.at(span, "again here").at(first.1, "first here");
                check.report(diagnostic.help("keep one table; routes can narrow its audiences with `audiences`"));
            }
        }
    }
}

/// Every `iss` that a table describes, and where it says so.
fn identifiers(raw: &raw::Issuer) -> Vec<(String, &Span)> {
    let Some((issuer, span)) = raw.issuer.written() else { return Vec::new() };
    match &issuer.placeholder {
        None => vec![(issuer.text.clone(), span)],
        Some(placeholder) => tenants(raw)
            .iter()
            .map(|tenant| (issuer.text.replace(placeholder, &tenant.value.0), &tenant.span))
            .collect(),
    }
}

/// The issuers by position, as routes and logins name them.
pub struct Roll<'a> {
    /// A table, the positions of its issuers, and what it says.
    tables: Vec<(&'a str, Range<usize>, &'a raw::Issuer)>,
    /// Each with the position of its table.
    issuers: Vec<(String, usize)>,
    /// Whether `[issuers]` cannot be read, so that nothing is known.
    pub broken: bool,
}

impl<'a> Roll<'a> {
    pub fn of(root: &'a Root) -> Self {
        let mut roll = Self { tables: Vec::new(), issuers: Vec::new(), broken: matches!(root.issuers, Field::Broken) };
        for (table, (name, at)) in root.issuers.get().map_or(&[][..], |entries| &entries.0).iter().enumerate() {
            let (name, first) = (&*name.value.0, roll.issuers.len());
            let of_tenants = tenants(&at.value).iter().map(|tenant| (format!("{name}/{}", tenant.value.0), table));
            roll.issuers.extend(of_tenants);
            if roll.issuers.len() == first {
                roll.issuers.push((name.to_owned(), table));
            }
            roll.tables.push((name, first..roll.issuers.len(), &at.value));
        }
        roll
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.issuers.len()
    }

    /// The name of the one at this position.
    pub fn name(&self, position: usize) -> &str {
        &self.issuers[position].0
    }

    /// What the table of the one at this position says.
    pub fn table(&self, position: usize) -> &'a raw::Issuer {
        self.tables[self.issuers[position].1].2
    }

    /// The issuers that a name stands for: a table's, or one tenant's.
    pub fn find(&self, name: &str) -> Option<Range<usize>> {
        let table = self.tables.iter().find(|(table, ..)| *table == name);
        table.map(|(_, positions, _)| positions.clone()).or_else(|| {
            let position = self.issuers.iter().position(|(issuer, _)| issuer == name)?;
            Some(position..position + 1)
        })
    }

    /// As [`Roll::find`], with a report that it stands for none.
    pub fn resolve(&self, name: &str, span: &Span, check: &mut Check<'_, '_>) -> Option<Range<usize>> {
        let found = self.find(name);
        let table = name.split_once('/').and_then(|(table, _)| self.tables.iter().find(|(known, ..)| *known == table));
        match (&found, table) {
            (Some(_), _) => {}
            (None, Some((table, positions, _))) => {
                let known: Vec<&str> = positions.clone().map(|position| self.name(position)).collect();
                let message = format!("the issuer `{table}` has no such tenant");
                let help = match known.as_slice() {
                    [only] if only == table => format!("write \"{table}\": it has no tenants"),
                    known => format!("there are {}", listed(known)),
                };
                check.report(Diagnostic::new(Code::UnknownIssuer, message).at(span, "").help(help));
            }
            (None, None) => {
                let known: Vec<&str> = self.tables.iter().map(|(table, ..)| *table).collect();
                let what = Named { code: Code::UnknownIssuer, noun: "issuer", table: "issuers" };
                check.resolve(name, span, &known, what);
            }
        }
        found
    }
}
