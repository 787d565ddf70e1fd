//! `[[routes]]`, `[[tests]]` and `[identity_headers]`

use std::sync::Arc;

use http::HeaderName;

use super::login_only;
use super::overlap::{self, Seen};
use super::rule::{self, Sets};
use super::tenant::Roll;
use super::token_from::token_from;
use super::{Check, Named, refuse_repeats, wildcard};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{Access, Bind, Credential, PolicyTest, Route};
use crate::config::raw::login::Login;
use crate::config::raw::{Root, route as raw};
use crate::config::read::{At, List};
use crate::config::table::{Field, not_yet};
use crate::config::word::names::NonEmpty;
use crate::config::word::url::is_loopback;
use crate::pattern::{HostPattern, MethodSet, PathPattern, Segment, canonical_host};

/// The names that routes and rule sets can refer to.
pub struct Names<'a> {
    upstreams: Vec<&'a str>,
    pub issuers: Roll<'a>,
    upstreams_broken: bool,
    pub logins: Vec<(&'a str, &'a At<Login>)>,
    logins_broken: bool,
}

impl<'a> Names<'a> {
    fn of(root: &'a Root) -> Self {
        let upstreams = root.upstreams.get().map_or(&[][..], |entries| &entries.0);
        let logins = root.logins.get().map_or(&[][..], |entries| &entries.0);
        Self {
            upstreams: upstreams.iter().map(|(name, _)| &*name.value.0).collect(),
            issuers: Roll::of(root),
            upstreams_broken: matches!(root.upstreams, Field::Broken),
            logins: logins.iter().map(|(name, login)| (&*name.value.0, login)).collect(),
            logins_broken: matches!(root.logins, Field::Broken),
        }
    }

    /// The issuers of a list, by position: `Some(None)` when none is written, `None` when it is broken.
    pub fn issuers(&self, written: &Field<List<NonEmpty>>, check: &mut Check<'_, '_>) -> Option<Option<Vec<usize>>> {
        if self.issuers.broken {
            return None;
        }
        let Field::Absent = written else {
            let list = &written.get()?.0;
            let resolved: Vec<_> =
                list.iter().map(|name| self.issuers.resolve(&name.value.0, &name.span, check)).collect();
            let resolved = resolved.into_iter().collect::<Option<Vec<_>>>()?;
            return Some(Some(resolved.into_iter().flatten().collect()));
        };
        Some(None)
    }

    /// The audiences of these issuers, or of all; `None` when some cannot be read.
    pub fn audiences(&self, issuers: Option<&[usize]>) -> Option<Vec<&'a [At<NonEmpty>]>> {
        let of = |position: usize| match &self.issuers.table(position).audiences {
            Field::Absent => Some(&[][..]),
            written => written.get().map(|list| &*list.0),
        };
        match issuers {
            Some(issuers) => issuers.iter().map(|issuer| of(*issuer)).collect(),
            None => (0..self.issuers.len()).map(of).collect(),
        }
    }
}

pub fn routes(root: &Root, check: &mut Check<'_, '_>) -> Option<Vec<Route>> {
    let raw = match &root.routes {
        Field::Broken => return None,
        other => other.get().map_or(&[][..], |tables| &tables.0),
    };
    if raw.is_empty() && matches!(root.authority, Field::Absent) && !check.lost_tables {
        let diagnostic = Diagnostic::new(Code::NoRoutes, "there are no routes, so every request would be refused");
        check.report(
            diagnostic.help("add a route: [[routes]] with `path` and `upstream`; config/minimal.toml shows one"),
        );
    }
    let names = Names::of(root);
    let sets = rule::sets(root, &names, check);
    let names_of_routes: Vec<String> =
        raw.iter().enumerate().map(|(position, route)| name(position, &route.value)).collect();
    let places = raw.iter().map(|route| route.value.name.written().map_or(&route.span, |(_, span)| span));
    refuse_repeats(names_of_routes.iter().map(|name| &**name).zip(places), Code::DuplicateRoute, "route", check);
    need_issuers(raw, &names, check);
    need_certificates(root, raw, check);
    let routes: Vec<_> =
        raw.iter().zip(&names_of_routes).map(|(raw, name)| route(name, raw, (&names, &sets), check)).collect();
    overlap::check(
        &raw.iter().zip(&names_of_routes).filter_map(|(raw, name)| seen(name, raw)).collect::<Vec<_>>(),
        check,
    );
    routes.into_iter().collect()
}

fn name(position: usize, raw: &raw::Route) -> String {
    raw.name.get().map_or_else(|| format!("route-{}", position + 1), |name| name.0.clone())
}

/// A route that takes tokens needs somebody who makes them.
fn need_issuers(raw: &[At<raw::Route>], names: &Names<'_>, check: &mut Check<'_, '_>) {
    if names.issuers.len() > 0 || names.issuers.broken || check.lost_tables {
        return;
    }
    let protected =
        |route: &&At<raw::Route>| route.value.access.get().is_some_and(|access| *access != raw::AccessKind::Public);
    let Some(first) = raw.iter().find(protected) else { return };
    let place = first.value.access.written().map_or(&first.span, |(_, span)| span);
    let message = "the route takes tokens, but there is no issuer whose tokens could be accepted";
    let help = "add a table [issuers.NAME] with `issuer` and `audiences`; or, for everybody, access = \"public\"";
    check.report(Diagnostic::new(Code::NoIssuers, message).at(place, "").help(help));
}

/// A route that takes only tokens which are bound to a certificate needs clients that can show one.
fn need_certificates(root: &Root, raw: &[At<raw::Route>], check: &mut Check<'_, '_>) {
    let Some(server) = root.server.or_empty() else { return };
    let tls = server.tls.get();
    let asks = tls.is_some_and(|tls| !tls.client_ca.is_absent() || !tls.client_certificate.is_absent());
    if asks || !server.forwarded_certificate.is_absent() || matches!(server.tls, Field::Broken) || check.lost_tables {
        return;
    }
    for (word, span) in raw.iter().filter_map(|route| route.value.bind.written()) {
        if *word == raw::BindWord::Mtls {
            let message = "no token is ever bound to a certificate of the client's, for none is asked for";
            let help =
                "write `client_certificate` in [server.tls], or `forwarded_certificate` in [server] behind a proxy";
            check.report(Diagnostic::new(Code::RuleNeverHolds, message).at(span, "").help(help));
        }
    }
}

fn route<'a>(
    name: &str,
    at: &'a At<raw::Route>,
    (names, sets): (&Names<'_>, &Sets<'a>),
    check: &mut Check<'_, '_>,
) -> Option<Route> {
    let raw = &at.value;
    public_has_no_rules(raw, check);
    if let Some((path, span)) = raw.path.written() {
        wildcard::check(path.0.as_str(), span, check);
    }
    let credential = credential(raw, check);
    let upstream = upstream(raw, names, check);
    let parts = rule::parts(raw, sets, names, check);
    let rule = parts
        .zip(raw.path.written())
        .and_then(|(parts, (path, span))| rule::together(&parts, (&path.0, span), names.issuers.len(), check));
    let rule = rule.map(|(issuers, asks)| (login_only::left_out(at, issuers, names, check), asks));
    one_introspects(name, at, rule.as_ref().map(|(issuers, _)| &issuers[..]), names, check);
    let strip_prefix = strip_prefix(raw, check);
    let resource = resource(raw, check);
    let token_from = token_from(raw, check);
    let login = login(raw, rule.as_ref().map(|(issuers, _)| &issuers[..]), names, check);
    let access = match raw.access.get()? {
        raw::AccessKind::Token => Access::Token,
        raw::AccessKind::Optional => Access::Optional,
        raw::AccessKind::Public => Access::Public,
    };
    let (issuers, requirements) = if access == Access::Public { Default::default() } else { rule? };
    Some(Route {
        name: Arc::from(name),
        hosts: hosts(raw)?,
        path: path(raw)?.clone(),
        methods: methods(raw)?,
        upstream: upstream?,
        access,
        issuers,
        requirements,
        bind: match &raw.bind {
            Field::Absent => None,
            written => Some(match written.get()? {
                raw::BindWord::Dpop => Bind::Dpop,
                raw::BindWord::Mtls => Bind::Mtls,
            }),
        },
        token_from: token_from?,
        credential: credential?,
        strip_prefix,
        resource,
        login: login?,
        passes_session_token: matches!(raw.credential.written(), Some((raw::CredentialWord::Pass, _))),
        encoded_slash_in_segment: raw.encoded_slash.get().is_some(),
        line: check.line(&at.span),
    })
}

/// The hosts; empty for any.
fn hosts(raw: &raw::Route) -> Option<Vec<HostPattern>> {
    match &raw.hosts {
        Field::Absent => Some(Vec::new()),
        written => Some(written.get()?.0.iter().map(|host| host.value.0.clone()).collect()),
    }
}

fn path(raw: &raw::Route) -> Option<&PathPattern> {
    raw.path.get().map(|path| &path.0)
}

fn methods(raw: &raw::Route) -> Option<MethodSet> {
    match &raw.methods {
        Field::Absent => Some(MethodSet::DEFAULT),
        written => Some(written.get()?.0.iter().map(|method| method.value.0).collect()),
    }
}

fn seen<'a>(name: &'a str, at: &'a At<raw::Route>) -> Option<Seen<'a>> {
    let raw = &at.value;
    Some(Seen {
        name,
        place: raw.path.written()?.1,
        hosts: hosts(raw)?,
        path: path(raw)?,
        methods: methods(raw)?,
        public: *raw.access.get()? == raw::AccessKind::Public,
    })
}

fn public_has_no_rules(raw: &raw::Route, check: &mut Check<'_, '_>) {
    let Some((raw::AccessKind::Public, access)) = raw.access.written() else { return };
    for (name, key) in rule::written(raw) {
        let message = format!("`{name}` on a public route: nobody would ever look at it");
        let diagnostic = Diagnostic::new(Code::PublicWithRules, message).at(key, "").at(access, "public");
        check.report(diagnostic.help(format!("remove `access` to enforce the rule, or `{name}` to let everybody in")));
    }
}

fn credential(raw: &raw::Route, check: &mut Check<'_, '_>) -> Option<Credential> {
    match raw.credential.get()? {
        raw::CredentialWord::Pass => Some(Credential::Pass),
        raw::CredentialWord::Drop => Some(Credential::Drop),
        word @ (raw::CredentialWord::ClientCredentials
        | raw::CredentialWord::Exchange
        | raw::CredentialWord::Assertion) => {
            let (_, span) = raw.credential.written()?;
            check.report(not_yet(&format!("`credential = \"{}\"`", word.as_str()), span));
            None
        }
    }
}

fn upstream(raw: &raw::Route, names: &Names<'_>, check: &mut Check<'_, '_>) -> Option<usize> {
    let (name, span) = raw.upstream.written()?;
    if names.upstreams_broken {
        return None;
    }
    let what = Named { code: Code::UnknownUpstream, noun: "upstream", table: "upstreams" };
    check.resolve(&name.0, span, &names.upstreams, what)
}

/// Nothing in an opaque token says whose it is, and an issuer must not be shown the tokens of another.
fn one_introspects(
    name: &str,
    at: &At<raw::Route>,
    issuers: Option<&[usize]>,
    names: &Names<'_>,
    check: &mut Check<'_, '_>,
) {
    let public = at.value.access.get().is_some_and(|access| *access == raw::AccessKind::Public);
    let asked = |position: &usize| {
        let key = names.issuers.table(*position).introspection.key()?;
        Some((names.issuers.name(*position), key))
    };
    let asked: Vec<_> = issuers.unwrap_or_default().iter().filter_map(asked).collect();
    let ([(first, first_place), (second, second_place), ..], false) = (asked.as_slice(), public) else { return };
    let message =
        format!("the route {name:?} takes opaque tokens of `{first}` and of `{second}`, and could not tell them apart");
    let place = at.value.issuers.written().map_or(&at.span, |(_, span)| span);
    let diagnostic = Diagnostic::new(Code::AmbiguousIntrospection, message).at(place, "this route");
    let diagnostic = diagnostic.at(first_place, "one").at(second_place, "another");
    check.report(
        diagnostic.help(format!(
            "name one of them: issuers = [{first:?}]; for the other, write a second route or another host"
        )),
    );
}

fn strip_prefix(raw: &raw::Route, check: &mut Check<'_, '_>) -> Option<String> {
    let (NonEmpty(prefix), span) = raw.strip_prefix.written()?;
    let path = path(raw)?;
    let literal = |segment: &Segment| matches!(segment, Segment::Literal(text) if !text.is_empty());
    let problem = match PathPattern::parse(prefix) {
        Err(error) => error.message,
        Ok(parsed) if !parsed.segments().iter().all(literal) => {
            "what is stripped is literal segments, without a slash at the end".into()
        }
        Ok(parsed) if path.segments().starts_with(parsed.segments()) => return Some(prefix.clone()),
        Ok(_) => "the path does not begin with what is stripped".into(),
    };
    let front: String = path.segments().iter().take_while(|segment| literal(segment)).fold(
        String::new(),
        |front, segment| match segment {
            Segment::Literal(text) => front + "/" + text,
            Segment::Param(_) | Segment::Rest(_) => front,
        },
    );
    let help = match front.is_empty() {
        true => format!("the path {:?} has no literal beginning; remove `strip_prefix`", path.as_str()),
        false => format!("at most {front:?} can be stripped from {:?}", path.as_str()),
    };
    let diagnostic = Diagnostic::new(Code::BadStripPrefix, problem).at(span, "");
    let diagnostic = match raw.path.written() {
        Some((_, path)) => diagnostic.at(path, "the path"),
        None => diagnostic,
    };
    check.report(diagnostic.help(help));
    None
}

/// The login by position, if the route has one: `Some(None)` when it has none.
fn login(
    raw: &raw::Route,
    issuers: Option<&[usize]>,
    names: &Names<'_>,
    check: &mut Check<'_, '_>,
) -> Option<Option<usize>> {
    let Some((name, span)) = raw.login.written() else {
        return matches!(raw.login, Field::Absent).then_some(None);
    };
    if names.logins_broken {
        return None;
    }
    let known: Vec<&str> = names.logins.iter().map(|(name, _)| *name).collect();
    let position =
        check.resolve(&name.0, span, &known, Named { code: Code::UnknownLogin, noun: "login", table: "logins" })?;
    let login = &names.logins[position].1.value;
    issuer_is_taken(login, span, issuers, names, check);
    host_is_reached(raw, login, span, check);
    is_not_bound(raw, span, check);
    Some(Some(position))
}

/// A session is as good as its issuer is to the route.
fn issuer_is_taken(
    login: &Login,
    span: &Span,
    issuers: Option<&[usize]>,
    names: &Names<'_>,
    check: &mut Check<'_, '_>,
) {
    let (Some(issuer), Some(taken)) = (login.issuer.get(), issuers) else { return };
    let positions = names.issuers.find(&issuer.0);
    if positions.is_some_and(|positions| !taken.iter().any(|taken| positions.contains(taken))) {
        let message =
            format!("the login's issuer, \"{}\", is none of the route's, so no session would open it", issuer.0);
        let diagnostic = Diagnostic::new(Code::LoginMismatch, message).at(span, "");
        check.report(diagnostic.help("add the issuer to `issuers` of the route, or take another login"));
    }
}

/// A cookie proves no possession of a key, so a session on such a route would be a way around it.
fn is_not_bound(raw: &raw::Route, span: &Span, check: &mut Check<'_, '_>) {
    let Some((_, bind)) = raw.bind.written() else { return };
    let message = "`bind` and `login` exclude each other: a browser's session is bound to nothing";
    let diagnostic = Diagnostic::new(Code::LoginMismatch, message).at(span, "").at(bind, "bound tokens only");
    check.report(diagnostic.help("give browsers a route of their own, or take `bind` out"));
}

/// The session's cookie belongs to one host, and browsers send it nowhere else.
fn host_is_reached(raw: &raw::Route, login: &Login, span: &Span, check: &mut Check<'_, '_>) {
    let (Some(hosts), Some(origin)) = (raw.hosts.get(), login.public_url.get()) else { return };
    let authority = origin.text.split_once("://").map_or("", |(_, authority)| authority);
    let Some(own) = canonical_host(authority) else { return };
    for host in &hosts.0 {
        if matches!(&host.value.0, HostPattern::Exact(name) if **name == *own) {
            continue;
        }
        let message = format!("browsers log in at {} only, which this host is not", origin.text);
        let diagnostic = Diagnostic::new(Code::LoginMismatch, message).at(&host.span, "").at(span, "the login");
        check.report(diagnostic.help(format!("hosts = [\"{own}\"], or a login whose `public_url` has this host")));
    }
}

fn resource(raw: &raw::Route, check: &mut Check<'_, '_>) -> Option<String> {
    let (resource, span) = raw.resource.written()?;
    if resource.url.scheme() == "http" && !is_loopback(&resource.url) {
        let message = "a resource identifier is an https URL (RFC 9728, section 1.2)";
        check.report(Diagnostic::new(Code::InsecureUrl, message).at(span, "").help("write it with https://"));
    }
    Some(resource.text.clone())
}

pub fn tests(root: &Root, check: &mut Check<'_, '_>) -> Option<Vec<PolicyTest>> {
    let tables = match &root.tests {
        Field::Broken => return None,
        other => other.get().map_or(&[][..], |tables| &tables.0),
    };
    let tests = tables.iter().map(|at| {
        if let (Some(key), Field::Absent) = (at.value.signed_in.key(), &at.value.claims) {
            let diagnostic = Diagnostic::new(Code::NoEffect, "`signed_in` has no effect: the request has no token");
            check.report(diagnostic.at(key, "").help("add `claims`, or remove `signed_in`"));
        }
        let request = at.value.request.get()?;
        Some(PolicyTest {
            method: request.method.clone(),
            url: request.url.clone(),
            claims: at.value.claims.get().map(|claims| claims.0.clone()),
            signed_in: at.value.signed_in.get().map(|period| period.0),
            expect: at.value.expect.get()?.0.clone(),
            line: check.line(&at.span),
        })
    });
    // Every test is read, so that each is told what is wrong with it.
    tests.collect::<Vec<_>>().into_iter().collect()
}

pub fn identity_headers(root: &Root, check: &mut Check<'_, '_>) -> Option<Vec<(HeaderName, String)>> {
    let entries = match &root.identity_headers {
        Field::Absent | Field::Default(_) => return Some(Vec::new()),
        Field::Broken => return None,
        Field::Written { value, .. } => &value.0,
    };
    let mut seen: std::collections::HashMap<&HeaderName, &Span> = std::collections::HashMap::new();
    for (header, _) in entries {
        if let Some(first) = seen.insert(&header.value.0, &header.span) {
            let message = format!("the header `{}` is set twice; case does not count", header.value.0);
            let diagnostic =
                Diagnostic::new(Code::DuplicateItem, message).at(&header.span, "again here").at(first, "first here");
            check.report(diagnostic.help("remove one of them"));
        }
    }
    Some(entries.iter().map(|(header, pointer)| (header.value.0.clone(), pointer.value.0.clone())).collect())
}
