//! What routes do to each other: matching the same requests, never being reached, or leaving a public gap beside a
//! protected path.
//!
//! Most specific wins: by host (exact, wildcard, any), then path, then the smaller set of methods. So two routes clash
//! only on the same host and the same shape of path, and only when neither set of methods is part of the other.

use std::collections::{BTreeSet, HashMap};

use super::Check;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::pattern::{HostPattern, MethodSet, PathPattern, PathShape, Segment};

/// A route as far as it matters here.
pub struct Seen<'a> {
    pub name: &'a str,
    /// Where its path stands.
    pub place: &'a Span,
    /// Empty: any.
    pub hosts: Vec<HostPattern>,
    pub path: &'a PathPattern,
    pub methods: MethodSet,
    pub public: bool,
}

/// Paths that the gateway answers itself.
const OWN_PATHS: [&str; 2] = ["/.tollgate/{*rest}", "/.well-known/oauth-protected-resource/{*rest}"];

pub fn check(routes: &[Seen<'_>], check: &mut Check<'_, '_>) {
    let groups = groups(routes);
    same_requests(routes, &groups, check);
    never_reached(routes, &groups, check);
    shadowed(routes, check);
    public_methods(routes, &groups, check);
    public_gaps(routes, check);
}

type Groups<'a> = HashMap<(Option<&'a HostPattern>, PathShape), Vec<usize>>;

/// Routes of one host pattern and one shape of path, in the order of the file.
fn groups<'a>(routes: &'a [Seen<'_>]) -> Groups<'a> {
    let mut groups = Groups::new();
    for (position, route) in routes.iter().enumerate() {
        for host in hosts(route) {
            groups.entry((host, route.path.shape())).or_default().push(position);
        }
    }
    groups
}

/// The host patterns; `None` is any host.
fn hosts<'a>(route: &'a Seen<'_>) -> impl Iterator<Item = Option<&'a HostPattern>> {
    let any = route.hosts.is_empty().then_some(None);
    any.into_iter().chain(route.hosts.iter().map(Some))
}

/// Pairs of one group, earlier first, each once.
fn pairs(groups: &Groups<'_>) -> BTreeSet<(usize, usize)> {
    let mut pairs = BTreeSet::new();
    for members in groups.values() {
        for (nth, later) in members.iter().enumerate() {
            pairs.extend(members[..nth].iter().filter(|earlier| *earlier != later).map(|earlier| (*earlier, *later)));
        }
    }
    pairs
}

fn same_requests(routes: &[Seen<'_>], groups: &Groups<'_>, check: &mut Check<'_, '_>) {
    for (earlier, later) in pairs(groups) {
        let (first, second) = (&routes[earlier], &routes[later]);
        if !clash(first, second) {
            continue;
        }
        let (a, b) = (first.methods, second.methods);
        let what = match a == b {
            true => "the same requests".to_owned(),
            false => format!("{} of the same path", a.intersection(b)),
        };
        let message = format!("the routes `{}` and `{}` both match {what}", first.name, second.name);
        let diagnostic = Diagnostic::new(Code::AmbiguousRoutes, message)
            .at(second.place, "this one")
            .at(first.place, "and this one");
        check.report(diagnostic.help("make `hosts`, `path` or `methods` of one narrower, or merge the two"));
    }
}

/// Whether both take some method and neither has the smaller set.
fn clash(first: &Seen<'_>, second: &Seen<'_>) -> bool {
    let (a, b) = (first.methods, second.methods);
    let nested = a != b && (a.contains(b) || b.contains(a));
    a.intersects(b) && !nested
}

fn never_reached(routes: &[Seen<'_>], groups: &Groups<'_>, check: &mut Check<'_, '_>) {
    let own: Vec<PathPattern> = OWN_PATHS.iter().filter_map(|path| PathPattern::parse(path).ok()).collect();
    for (position, route) in routes.iter().enumerate() {
        let diagnostic =
            Diagnostic::new(Code::UnreachableRoute, format!("no request ever gets to the route `{}`", route.name));
        if own.iter().any(|own| own.covers(route.path)) {
            let diagnostic = diagnostic.at(route.place, "the gateway answers here itself");
            check.report(diagnostic.help("take a path outside /.tollgate/ and /.well-known/oauth-protected-resource"));
        } else if hosts(route).all(|host| methods_taken(position, host, routes, groups)) {
            let diagnostic = diagnostic.at(route.place, "routes with fewer methods take all of its methods");
            check.report(diagnostic.help("remove it, or a method from the others"));
        }
    }
}

/// Whether routes with smaller sets of methods take every method of this one on this host.
fn methods_taken(position: usize, host: Option<&HostPattern>, routes: &[Seen<'_>], groups: &Groups<'_>) -> bool {
    let mine = routes[position].methods;
    let Some(members) = groups.get(&(host, routes[position].path.shape())) else { return false };
    let smaller = members.iter().map(|member| routes[*member].methods).filter(|methods| methods.len() < mine.len());
    smaller.collect::<MethodSet>().contains(mine)
}

/// A route for any host, or a wildcard, whose path a catch-all of a more specific host takes on that host.
fn shadowed(routes: &[Seen<'_>], check: &mut Check<'_, '_>) {
    let catch_alls: Vec<_> = routes.iter().filter(|route| takes_rest(route) && !route.hosts.is_empty()).collect();
    for route in routes.iter().filter(|route| !matches!(&route.hosts[..], [HostPattern::Exact(_), ..])) {
        let taken = catch_alls.iter().find_map(|other| {
            let broader = other.path.covers(route.path) && other.path.shape() != route.path.shape();
            let host = other.hosts.iter().find(|host| broader && inside(host, route))?;
            Some((other, host))
        });
        let Some((other, host)) = taken else { continue };
        let message = format!("on the host {host} the route `{}` takes the requests of `{}`", other.name, route.name);
        let diagnostic = Diagnostic::new(Code::ShadowedRoute, message)
            .at(route.place, "")
            .at(other.place, format!("wins on {host}"));
        check.report(diagnostic.help(format!(
            "a named host wins before any path does; add {host} to `hosts` of `{}` if it is to work there",
            route.name
        )));
    }
}

/// Whether a host is matched by a less specific pattern of the route, and not named by it.
fn inside(host: &HostPattern, route: &Seen<'_>) -> bool {
    !route.hosts.contains(host) && (route.hosts.is_empty() || route.hosts.iter().any(|wider| wider.covers(host)))
}

fn takes_rest(route: &Seen<'_>) -> bool {
    matches!(route.path.segments().last(), Some(Segment::Rest(_)))
}

/// One path, public for some methods and protected for others.
fn public_methods(routes: &[Seen<'_>], groups: &Groups<'_>, check: &mut Check<'_, '_>) {
    for (earlier, later) in pairs(groups).into_iter().filter(|(a, b)| !clash(&routes[*a], &routes[*b])) {
        let (open, closed) = match (routes[earlier].public, routes[later].public) {
            (true, false) => (&routes[earlier], &routes[later]),
            (false, true) => (&routes[later], &routes[earlier]),
            _ => continue,
        };
        let message =
            format!("one path is public by `{}` and protected by `{}`; the method decides", open.name, closed.name);
        let diagnostic = Diagnostic::new(Code::PublicBesideProtected, message)
            .at(open.place, "public")
            .at(closed.place, "protected");
        let left = open.methods.contains(MethodSet::DEFAULT);
        let help = match left {
            true => "list the `methods` of the public route: now every method that the other does not name is public",
            false => "see that no public method changes or shows what the others protect",
        };
        check.report(diagnostic.help(help));
    }
}

/// Public catch-alls around protected paths: what the protected routes do not match is public.
fn public_gaps(routes: &[Seen<'_>], check: &mut Check<'_, '_>) {
    const SHOWN: usize = 3;
    for open in routes.iter().filter(|route| route.public && takes_rest(route)) {
        let closing: Vec<_> = routes.iter().filter(|route| closes(route, open)).collect();
        let gap = |closed: &&Seen<'_>| {
            let guarded = |guard: &&Seen<'_>| guard.path.covers(closed.path) && hosts_cover(guard, closed);
            protects_inside(closed, open) && hosts_overlap(open, closed) && !closing.iter().any(guarded)
        };
        let gaps: Vec<_> = routes.iter().filter(gap).take(SHOWN + 1).collect();
        let Some(first) = gaps.first() else { continue };
        let message =
            format!("what `{}` does not match under its path falls to the public route `{}`", first.name, open.name);
        let mut diagnostic =
            Diagnostic::new(Code::PublicBesideProtected, message).at(open.place, "public, with all below");
        for closed in gaps.iter().take(SHOWN) {
            diagnostic = diagnostic.at(closed.place, "protected, but not what is beside or below it");
        }
        let help = format!(
            "if all of it is to be protected, add a route with the path \"{}\" for the rest of it",
            guard(first)
        );
        check.report(diagnostic.help(help));
    }
}

/// Whether a protected route stands inside of a public one.
fn protects_inside(closed: &Seen<'_>, open: &Seen<'_>) -> bool {
    !closed.public && open.path.covers(closed.path) && open.path.shape() != closed.path.shape()
}

/// Whether a route protects a whole subtree of a public one: what it does not take there is a 405, never left to the
/// public route. Where that one names a host and this one does not, the host decides first.
fn closes(closed: &Seen<'_>, open: &Seen<'_>) -> bool {
    protects_inside(closed, open) && takes_rest(closed) && hosts_cover(open, closed)
}

fn hosts_cover(wide: &Seen<'_>, narrow: &Seen<'_>) -> bool {
    let covered = |host: &HostPattern| wide.hosts.iter().any(|wider| wider.covers(host));
    wide.hosts.is_empty() || (!narrow.hosts.is_empty() && narrow.hosts.iter().all(covered))
}

/// Whether the public route also works where the protected one does. A host that only the protected one names still
/// falls back to a public route for any host.
fn hosts_overlap(a: &Seen<'_>, b: &Seen<'_>) -> bool {
    let overlap = |x: &HostPattern, y: &HostPattern| x.covers(y) || y.covers(x);
    a.hosts.is_empty() || b.hosts.is_empty() || a.hosts.iter().any(|x| b.hosts.iter().any(|y| overlap(x, y)))
}

/// The catch-all that would close the subtree of a route.
fn guard(route: &Seen<'_>) -> String {
    let literal = route.path.segments().iter().map_while(|segment| match segment {
        Segment::Literal(text) if !text.is_empty() => Some(&**text),
        Segment::Literal(_) | Segment::Param(_) | Segment::Rest(_) => None,
    });
    let front: String = literal.fold(String::new(), |front, text| front + "/" + text);
    format!("{front}/{{*rest}}")
}
