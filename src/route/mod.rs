//! Which route a request belongs to.
//!
//! The most specific route decides, and it alone: host first (exact, then the longest `*.suffix`, then any), then path
//! (literal, `{name}`, `{*rest}`, segment by segment), then method (of two routes that take it, the one that takes
//! fewer). A host with no matching path leaves the request to the less specific hosts. A path whose routes do not take
//! the method is refused (405), never left to a less specific path.
//!
//! A request is refused as ambiguous when its path, read as some upstream may read it, would lead elsewhere than the
//! path as it was sent: see [`crate::pattern::reading`]. Two more readings even plain paths have, for many frameworks
//! match without regard to letter case, and with or without a last slash. So where a path matched a `{name}` or
//! `{*rest}` only because it differs from a more specific route in letter case or in a last slash, it is refused too:
//! `/Admin` and `/admin/` do not fall through `/admin` to a public `/{*rest}`. Routes that name both spellings, or a
//! `/admin/{*rest}`, settle it.
//!
//! Where a route strips a prefix, the upstream reads only what is left, so that is read on its own as well.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use http::Method;

use crate::config::model;
use crate::pattern::{CanonicalPath, EncodedSlash, HostPattern, MethodSet, PathPattern, Reading, reading};
use crate::policy::Denial;

use self::site::Site;

mod site;
mod trie;

/// What the table needs to know of one route.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// For the detail of a refusal.
    pub name: &'a str,
    /// Any host when empty.
    pub hosts: &'a [HostPattern],
    /// The path.
    pub path: &'a PathPattern,
    /// The methods.
    pub methods: MethodSet,
    /// Whether `%2F` is a character of its segment for the upstream.
    pub encoded_slash: EncodedSlash,
    /// What is cut from the front of the path before the upstream sees it.
    pub strip_prefix: Option<&'a str>,
}

impl<'a> From<&'a model::Route> for Entry<'a> {
    fn from(route: &'a model::Route) -> Self {
        let encoded_slash =
            if route.encoded_slash_in_segment { EncodedSlash::InSegment } else { EncodedSlash::Separates };
        Self {
            name: &route.name,
            hosts: &route.hosts,
            path: &route.path,
            methods: route.methods,
            encoded_slash,
            strip_prefix: route.strip_prefix.as_deref(),
        }
    }
}

/// All routes, compiled. Immutable; a part of the snapshot.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<Box<str>, usize, RandomState>,
    suffixes: HashMap<Box<str>, usize, RandomState>,
    any: Option<usize>,
    sites: Vec<Site>,
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    name: Box<str>,
    path: PathPattern,
    encoded_slash: EncodedSlash,
    strip_prefix: Option<Box<str>>,
}

/// Where a request belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<'p> {
    /// Position of the route among the entries of the table.
    pub route: usize,
    /// The path in canonical spelling: what was judged, and what is to be forwarded.
    pub path: Cow<'p, str>,
    /// Whether every reading of the path gives the route's `{name}`s the same values. When it does not, no decision
    /// may rest on them.
    pub certain: bool,
}

impl RouteTable {
    /// Compiles routes; a route is known by its position from now on. Of two that match the very same requests, the
    /// first is taken (`config::validate` refuses such routes).
    #[must_use]
    pub fn build<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Self {
        let mut table = Self::default();
        for entry in entries {
            table.insert(&entry);
        }
        for site in &mut table.sites {
            site.finish();
        }
        table
    }

    fn insert(&mut self, entry: &Entry<'_>) {
        let route = self.routes.len();
        self.routes.push(Route {
            name: entry.name.into(),
            path: entry.path.clone(),
            encoded_slash: entry.encoded_slash,
            strip_prefix: entry.strip_prefix.map(canonical_prefix),
        });
        if entry.hosts.is_empty() {
            let site = *self.any.get_or_insert(self.sites.len());
            self.insert_at(site, entry, route);
        }
        for host in entry.hosts {
            let (sites, name) = match host {
                HostPattern::Exact(name) => (&mut self.exact, name),
                HostPattern::Suffix(name) => (&mut self.suffixes, name),
            };
            let site = *sites.entry(name.clone()).or_insert(self.sites.len());
            self.insert_at(site, entry, route);
        }
    }

    fn insert_at(&mut self, site: usize, entry: &Entry<'_>, route: usize) {
        if site == self.sites.len() {
            self.sites.push(Site::new());
        }
        self.sites[site].insert(entry.path.segments(), entry.methods, route);
    }

    /// Finds the route of a request.
    ///
    /// `host` is as [`crate::pattern::canonical_host`] spells it; without one, only routes for any host count. `path`
    /// is the raw path, without the query. A plain path is borrowed and costs one walk, or two where its route has
    /// more specific ones beside it.
    ///
    /// # Errors
    /// `BadRequest`, `NoRoute`, `MethodNotAllowed` or `AmbiguousPath`.
    pub fn locate<'p>(&self, host: Option<&str>, path: &'p str, method: &Method) -> Result<Located<'p>, Denial> {
        let path = CanonicalPath::parse(path).map_err(|error| Denial::BadRequest { detail: error.message() })?;
        let asked = Asked { host, method: MethodSet::of(method) };
        let chosen = self.choose(asked, path.as_str())?;
        let certain = if path.is_plain() {
            chosen.unrivalled || self.refuse_near_miss(asked, path.as_str(), chosen.route, None).map(|()| true)?
        } else {
            self.refuse_ambiguity(asked, path.as_str(), chosen.route)?
        };
        Ok(Located { route: chosen.route, path: path.into_inner(), certain })
    }

    /// The values of the route's path parameters, by name: a `{name}` decoded, a `{*name}` in canonical spelling.
    /// Mind [`Located::certain`].
    pub fn params<'t>(&'t self, located: &'t Located<'_>) -> impl Iterator<Item = (&'t str, Cow<'t, str>)> {
        self.routes.get(located.route).into_iter().flat_map(|route| route.path.captures(&located.path))
    }

    /// The route of a path as it stands.
    fn choose(&self, asked: Asked<'_>, path: &str) -> Result<Chosen, Denial> {
        let found = self.sites(asked.host).enumerate().find_map(|(rank, site)| Some((rank, site.find(path)?)));
        let (rank, leaf) = found.ok_or(Denial::NoRoute)?;
        match leaf.route(asked.method) {
            Some(route) => Ok(Chosen { route, unrivalled: rank == 0 && leaf.stands_alone }),
            None => Err(Denial::MethodNotAllowed { allow: leaf.allow }),
        }
    }

    /// Those that know this host, the most specific first.
    fn sites<'t>(&'t self, host: Option<&'t str>) -> impl Iterator<Item = &'t Site> {
        let exact = host.and_then(|host| self.exact.get(host));
        let wild = host.filter(|_| !self.suffixes.is_empty()).into_iter().flat_map(suffixes_of);
        let suffixes = wild.filter_map(|suffix| self.suffixes.get(suffix));
        exact.into_iter().chain(suffixes).chain(&self.any).filter_map(|site| self.sites.get(*site))
    }

    /// Holds every reading of an odd path against the route that was chosen. Tells whether all agree on its `{name}`s.
    fn refuse_ambiguity(&self, asked: Asked<'_>, path: &str, chosen: usize) -> Result<bool, Denial> {
        let route = &self.routes[chosen];
        self.refuse_near_miss(asked, path, chosen, None)?;
        let mut certain = true;
        for (reading, full) in route.readings(path)? {
            self.refuse_other_route(asked, &full, chosen, &reading)?;
            self.refuse_near_miss(asked, &full, chosen, Some(&reading))?;
            certain &= route.path.same_params(path, &full);
        }
        Ok(certain)
    }

    fn refuse_other_route(&self, asked: Asked<'_>, path: &str, chosen: usize, reading: &Reading) -> Result<(), Denial> {
        let there = match self.choose(asked, path) {
            Ok(there) if there.route == chosen => return Ok(()),
            Ok(there) => self.named(there.route),
            Err(Denial::MethodNotAllowed { .. }) => "routes without this method".into(),
            Err(_) => "no route".into(),
        };
        let how = reading.how.join(" and ");
        Err(self
            .ambiguous(chosen, &format!("with {how}, it reads {:?} and leads to {there}", shortened(&reading.path))))
    }

    /// Refuses a path that is another route's but for letter case or a last slash.
    fn refuse_near_miss(
        &self,
        asked: Asked<'_>,
        path: &str,
        chosen: usize,
        reading: Option<&Reading>,
    ) -> Result<(), Denial> {
        let near = self.sites(asked.host).find_map(|site| site.find_leniently(path)).unwrap_or_default();
        let Some(there) = near.first().filter(|_| !near.contains(&chosen)) else { return Ok(()) };
        let how = reading.map_or_else(String::new, |reading| format!("with {} and ", reading.how.join(" and ")));
        let there = self.named(*there);
        Err(self.ambiguous(chosen, &format!("{how}with letter case and a last slash left aside, it leads to {there}")))
    }

    fn ambiguous(&self, chosen: usize, reading: &str) -> Denial {
        Denial::AmbiguousPath { detail: format!("as sent, the path leads to {}; {reading}", self.named(chosen)) }
    }

    fn named(&self, route: usize) -> String {
        self.routes.get(route).map_or_else(|| "no route".into(), |route| format!("the route {:?}", route.name))
    }
}

impl Route {
    /// All readings of a path of this route, each with the whole path that it stands for.
    fn readings(&self, path: &str) -> Result<Vec<(Reading, String)>, Denial> {
        let whole = self.read(path)?.into_iter().map(|reading| (reading.clone(), reading.path));
        let Some((prefix, tail)) = self.stripped(path) else { return Ok(whole.collect()) };
        let tails = self.read(tail)?.into_iter().map(|reading| {
            let full = format!("{prefix}{}", reading.path);
            (reading, full)
        });
        Ok(whole.chain(tails).collect())
    }

    fn read(&self, path: &str) -> Result<Vec<Reading>, Denial> {
        reading::readings(path, self.encoded_slash).map_err(|_| Denial::AmbiguousPath {
            detail: format!(
                "the path can be read in more than {} ways or {} bytes",
                reading::MAX_READINGS,
                reading::MAX_BYTES
            ),
        })
    }

    fn stripped<'p>(&self, path: &'p str) -> Option<(&str, &'p str)> {
        let prefix = self.strip_prefix.as_deref()?;
        let tail = path.strip_prefix(prefix).filter(|tail| tail.starts_with('/'))?;
        Some((prefix, tail))
    }
}

#[derive(Clone, Copy)]
struct Asked<'a> {
    host: Option<&'a str>,
    method: MethodSet,
}

struct Chosen {
    route: usize,
    /// No other route could have taken the path, whatever its letter case and last slash.
    unrivalled: bool,
}

/// In the spelling of the paths that it is cut from.
fn canonical_prefix(prefix: &str) -> Box<str> {
    CanonicalPath::parse(prefix).map_or_else(|_| prefix.into(), |path| path.as_str().into())
}

/// `.b.c` and `.c` of `a.b.c`.
fn suffixes_of(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(dot, _)| &host[dot..])
}

/// Enough of a path for a log line.
fn shortened(path: &str) -> Cow<'_, str> {
    const SHOWN: usize = 200;
    match path.get(..SHOWN) {
        Some(front) if path.len() > SHOWN => Cow::Owned(format!("{front}...")),
        _ => Cow::Borrowed(path),
    }
}

#[cfg(test)]
mod tests;
