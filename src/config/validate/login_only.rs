//! Issuers without `audiences`: browsers log in there, and nobody takes their access tokens.

use std::ops::Range;

use super::Check;
use super::route::Names;
use super::tenant::Roll;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw::{Root, issuer as raw, route};
use crate::config::read::At;
use crate::config::table::Field;
use crate::config::word::names::NonEmpty;

/// Without audiences an issuer is there for a login, and has nothing that is about access tokens.
pub fn issuer(name: &str, table: &At<raw::Issuer>, root: &Root, check: &mut Check<'_, '_>) {
    let raw = &table.value;
    if let Some(key) = raw.introspection.key() {
        let message = "the issuer is asked about tokens, but nothing says what they must be meant for";
        let help = "add `audiences` to the issuer, or take `introspection` out";
        check.report(
            Diagnostic::new(Code::MissingKey, message).at(key, "").at(&table.span, "no `audiences`").help(help),
        );
        return;
    }
    if !check.lost_tables && !may_have_a_login(name, root) {
        let message = "[issuers.NAME] needs the key `audiences`";
        let help = "add `audiences = [...]`: what its tokens must be meant for; only an issuer of a login goes without";
        let diagnostic = Diagnostic::new(Code::MissingKey, message).at(&table.span, "`audiences` is missing");
        check.report(diagnostic.help(help));
        return;
    }
    let of_tokens = [
        ("profile", raw.profile.key()),
        ("token_types", raw.token_types.key()),
        ("required_claims", raw.required_claims.key()),
    ];
    for (name, key) in of_tokens.into_iter().filter_map(|(name, key)| Some((name, key?))) {
        let message = format!("`{name}` has no effect: no route takes tokens of an issuer without `audiences`");
        let help = "add `audiences`, or remove it: logins check ID tokens in their own way";
        check.report(Diagnostic::new(Code::NoEffect, message).at(key, "").help(help));
    }
}

/// Whether a login is at the issuer of this name, as far as the logins can be read.
fn may_have_a_login(name: &str, root: &Root) -> bool {
    let logins = match &root.logins {
        Field::Broken => return true,
        logins => logins.get().map_or(&[][..], |logins| &logins.0),
    };
    let known = Roll::of(root);
    let may_be_its = |issuer: &Field<NonEmpty>| match issuer {
        Field::Broken => true,
        // What no issuer is called may be a misspelt name of this one, and is reported where it stands.
        issuer => issuer
            .get()
            .is_some_and(|issuer| known.find(&issuer.0).is_none() || issuer.0.split('/').next() == Some(name)),
    };
    logins.iter().any(|(_, login)| may_be_its(&login.value.issuer))
}

/// The issuers of a route without those of this kind, unless the route's login is at one: then its sessions count, and its
/// tokens still do not.
pub fn left_out(at: &At<route::Route>, all: Vec<usize>, names: &Names<'_>, check: &mut Check<'_, '_>) -> Vec<usize> {
    let of_login = of_login(&at.value.login, names);
    let at_login = of_login.clone().unwrap_or_default();
    let counts =
        |issuer: &usize| !matches!(names.issuers.table(*issuer).audiences, Field::Absent) || at_login.contains(issuer);
    let (kept, dropped): (Vec<usize>, Vec<usize>) = all.into_iter().partition(counts);
    let public = at.value.access.get().is_none_or(|access| *access == route::AccessKind::Public);
    if !public && of_login.is_some() {
        refuse_tokens(at, &kept, &dropped, names, check);
    }
    kept
}

/// The issuers at which a route's login is, none without a login; `None` when nobody knows, which is reported already.
fn of_login(login: &Field<NonEmpty>, names: &Names<'_>) -> Option<Range<usize>> {
    match login {
        Field::Absent | Field::Default(_) => Some(0..0),
        Field::Broken => None,
        Field::Written { value, .. } => {
            let (_, login) = names.logins.iter().find(|(name, _)| *name == value.0)?;
            names.issuers.find(&login.value.issuer.get()?.0)
        }
    }
}

/// A route that names an issuer of this kind, or that has no other, takes nobody's tokens in its place.
fn refuse_tokens(
    at: &At<route::Route>,
    kept: &[usize],
    dropped: &[usize],
    names: &Names<'_>,
    check: &mut Check<'_, '_>,
) {
    let named = at.value.issuers.get().map_or(&[][..], |list| &list.0);
    let stands_for = |name: &str, issuer: usize| names.issuers.find(name).is_some_and(|found| found.contains(&issuer));
    let named = named.iter().find(|name| dropped.iter().any(|issuer| stands_for(&name.value.0, *issuer)));
    let place = match (named, kept, dropped) {
        (Some(name), ..) => Some((&name.span, &*name.value.0)),
        (None, [], [first, ..]) => Some((&at.span, names.issuers.name(*first))),
        (None, ..) => None,
    };
    if let Some((span, issuer)) = place {
        let message =
            format!("the route would take tokens of `{issuer}`, which has no `audiences`: it is there for logins");
        let help = "add `audiences` to the issuer, or a `login` at it to the route";
        check.report(Diagnostic::new(Code::NoIssuers, message).at(span, "").help(help));
    }
}
