//! From keys to a configuration: what keys ask of each other, of files and of the environment.
//!
//! Every problem is collected; a part that is broken already is left out of further checks rather than reported twice.

mod authority;
mod client_auth;
mod dpop;
mod faults;
mod files;
mod introspection;
mod issuer;
mod login;
mod login_only;
mod overlap;
mod own_client;
mod pages;
mod route;
mod rule;
mod server;
mod store;
mod tenant;
mod token_from;
mod upstream;
mod wildcard;

use std::path::PathBuf;

use super::Surroundings;
use super::diagnostic::{Code, Diagnostic, Span};
use super::model::Config;
use super::raw::Root;
use super::read::Reader;
use super::table::{Field, listed, nearest};

/// What the checks share.
struct Check<'c, 's> {
    reader: &'c mut Reader<'s>,
    surroundings: &'c dyn Surroundings,
    /// Files that were read, absolute.
    files: Vec<PathBuf>,
    /// Whether syntax errors took whole tables away.
    lost_tables: bool,
    /// Where lines end, for [`Check::line`].
    line_ends: Vec<usize>,
}

/// Checks the whole file. What comes back may be used only if no error was reported.
pub fn config(
    root: &Root,
    reader: &mut Reader<'_>,
    surroundings: &dyn Surroundings,
    lost_tables: bool,
) -> Option<Config> {
    let line_ends = reader.source().match_indices('\n').map(|(at, _)| at).collect();
    let mut check = Check { reader, surroundings, files: Vec::new(), lost_tables, line_ends };
    let server = server::server(root, &mut check);
    let admin = server::admin(root, &mut check);
    let redis = store::redis(root, &mut check);
    let revocation = server::revocation(root, &mut check);
    let log = server::log(root);
    let issuers = issuer::issuers(root, &mut check);
    let upstreams = upstream::upstreams(root, &mut check);
    let routes = route::routes(root, &mut check);
    let tests = route::tests(root, &mut check);
    let identity_headers = route::identity_headers(root, &mut check);
    let dpop = dpop::dpop(root, &mut check);
    let authority = authority::authority(root, &mut check);
    let logins = login::logins(root, &mut check);
    let sessions = login::sessions(root, &mut check);
    let pages = pages::pages(root, &mut check);
    server::listeners(root, server.as_ref(), &mut check);
    let Check { mut files, .. } = check;
    files.sort();
    files.dedup();
    Some(Config {
        server: server?,
        admin: admin?,
        revocation: revocation?,
        redis: redis?,
        issuers: issuers?,
        upstreams: upstreams?,
        routes: routes?,
        tests: tests?,
        identity_headers: identity_headers?,
        dpop: dpop?,
        log: log?,
        logins: logins?,
        sessions: sessions?,
        pages: pages?,
        authority: authority?,
        files,
    })
}

impl Check<'_, '_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.reader.report(diagnostic);
    }

    /// The line of a place, from 1.
    fn line(&self, span: &Span) -> usize {
        self.line_ends.partition_point(|end| *end < span.start) + 1
    }

    /// The position of `name` among `known`, or a report that it names nothing.
    fn resolve(&mut self, name: &str, span: &Span, known: &[&str], what: Named) -> Option<usize> {
        let position = known.iter().position(|candidate| *candidate == name);
        if position.is_none() && !self.lost_tables {
            let Named { code, noun, table } = what;
            let help = match (nearest(name, known), known) {
                (_, []) => format!("no {noun} is configured; add [{table}.{name}]"),
                (Some(right), _) => format!("did you mean \"{right}\"? There {}", there_are(noun, known)),
                (None, _) => format!("there {}; or add [{table}.{name}]", there_are(noun, known)),
            };
            self.report(Diagnostic::new(code, format!("no {noun} is named {name:?}")).at(span, "").help(help));
        }
        position
    }
}

/// What a name refers to.
#[derive(Clone, Copy)]
struct Named {
    code: Code,
    noun: &'static str,
    table: &'static str,
}

fn there_are(noun: &str, known: &[&str]) -> String {
    const SHOWN: usize = 12;
    match known {
        [only] => format!("is one {noun}, `{only}`"),
        few if few.len() <= SHOWN => format!("are {}", listed(few)),
        many => format!("are {} {noun}s, such as {}", many.len(), listed(&many[..SHOWN])),
    }
}

/// Reports every name that stands twice.
fn refuse_repeats<'a>(
    names: impl IntoIterator<Item = (&'a str, &'a Span)>,
    code: Code,
    noun: &str,
    check: &mut Check<'_, '_>,
) {
    let mut seen = std::collections::HashMap::new();
    for (name, span) in names {
        if let Some(first) = seen.insert(name, span) {
            let message = format!("two {noun}s are called {name:?}");
            let diagnostic = Diagnostic::new(code, message).at(span, "again here").at(first, "first here");
            check.report(diagnostic.help("give one of them another name"));
        }
    }
}

/// Reports two keys of one table that exclude each other.
fn refuse_both<A, B>(a: (&str, &Field<A>), b: (&str, &Field<B>), help: &str, check: &mut Check<'_, '_>) {
    if let (Some(first), Some(second)) = (a.1.key(), b.1.key()) {
        let message = format!("`{}` and `{}` exclude each other", a.0, b.0);
        check.report(Diagnostic::new(Code::Conflict, message).at(second, "").at(first, "").help(help));
    }
}
