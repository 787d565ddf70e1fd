//! Metadata of the protected resources that the routes make up (RFC 9728): the documents, and the URLs that challenges
//! name them by.
//!
//! A route's resource is its `resource`, else `public_url`, else the host that its `hosts` names exactly, as the request
//! used it; never any other Host, so that a forged one cannot send a client to a server of the attacker's choice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};

use crate::config::model::{Access, Bind, Config, Route};
use crate::pattern::{HostPattern, MethodSet, canonical_host};
use crate::policy::Denial;

use super::judge::Target;
use super::snapshot;

/// The path under which documents are found, RFC 9728 section 3.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What names the resource that a route belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// This URL names the document; written in the config.
    Named(Arc<str>),
    /// The host of the request, if the route names it exactly.
    ByHost,
    /// Nothing: challenges leave `resource_metadata` out.
    Unnamed,
}

/// All documents of one config.
#[derive(Debug, Default)]
pub struct Metadata {
    /// By what follows [`WELL_KNOWN`] in the path; each with its resource's host.
    named: BTreeMap<String, Vec<(Box<str>, Bytes)>>,
    by_host: BTreeMap<Box<str>, Facts>,
}

/// What is told about one resource.
#[derive(Debug, Default)]
struct Facts {
    issuers: BTreeSet<String>,
    /// By the name of their table.
    tenants: BTreeMap<String, BTreeSet<String>>,
    scopes: BTreeSet<String>,
    /// The algorithms of proofs, where one of its routes offers DPoP.
    proofs: Vec<String>,
    /// Whether one of its routes takes other tokens than bound ones.
    unbound: bool,
    /// Whether one of its routes takes only tokens that are bound to a certificate.
    certificates: bool,
    /// Whether one of its routes takes tokens in the query.
    query: bool,
}

impl Facts {
    fn add(&mut self, config: &Config, route: &Route) {
        let giving = route.issuers.iter().map(|position| &config.issuers[*position]);
        for issuer in giving.filter(|issuer| issuer.gives_tokens()) {
            let named = match issuer.table_of_tenant() {
                None => &mut self.issuers,
                Some(table) => self.tenants.entry(table.to_owned()).or_default(),
            };
            named.insert(issuer.issuer.to_string());
        }
        let scopes = route.requirements.iter().flat_map(|asks| asks.scopes.iter().chain(&asks.any_scope));
        self.scopes.extend(scopes.cloned());
        self.unbound |= route.bind != Some(Bind::Dpop);
        self.certificates |= route.bind == Some(Bind::Mtls);
        // The parameter's name is fixed by RFC 6750 section 2.3; others are an agreement of their own.
        self.query |= route.token_from.as_ref().is_some_and(|from| from.query.as_deref() == Some("access_token"));
        if route.bind == Some(Bind::Dpop) || (route.bind.is_none() && config.dpop.offered) {
            self.proofs = config.dpop.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        }
    }

    fn document(&self, resource: &str) -> Bytes {
        // A list of tenants would tell strangers whom the service is for, and a client not which of them is its own.
        let alone = self.tenants.values().filter(|tenants| tenants.len() == 1).flatten();
        let issuers: BTreeSet<&String> = self.issuers.iter().chain(alone).collect();
        let mut document = serde_json::json!({
            "resource": resource,
            "bearer_methods_supported": if self.query { &["header", "query"][..] } else { &["header"] },
        });
        if !issuers.is_empty() {
            document["authorization_servers"] = serde_json::json!(issuers);
        }
        if !self.scopes.is_empty() {
            document["scopes_supported"] = serde_json::json!(self.scopes);
        }
        if !self.proofs.is_empty() {
            document["dpop_signing_alg_values_supported"] = serde_json::json!(self.proofs);
            document["dpop_bound_access_tokens_required"] = (!self.unbound).into();
        }
        if self.certificates {
            document["tls_client_certificate_bound_access_tokens"] = true.into();
        }
        document.to_string().into()
    }
}

impl Metadata {
    /// The documents of the routes that take tokens, and what names the resource of each route, in their order.
    #[must_use]
    pub fn build(config: &Config) -> (Self, Vec<Resource>) {
        let mut named: BTreeMap<String, Facts> = BTreeMap::new();
        let mut by_host: BTreeMap<Box<str>, Facts> = BTreeMap::new();
        let mut resources = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            resources.push(resource_of(config, route));
            if route.access == Access::Public {
                continue;
            }
            if let Some(identifier) = identifier_of(config, route) {
                named.entry(identifier.to_owned()).or_default().add(config, route);
                continue;
            }
            for host in &route.hosts {
                if let HostPattern::Exact(host) = host {
                    by_host.entry(host.clone()).or_default().add(config, route);
                }
            }
        }
        let mut documents: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (resource, facts) in &named {
            documents.entry(suffix(resource)).or_default().push((host_of(resource), facts.document(resource)));
        }
        (Self { named: documents, by_host }, resources)
    }

    /// What is answered under the paths that are kept for the gateway itself and win over any route; `None`: the
    /// request is not for one of these. `scheme` is what the client used, `target` the host that it named.
    #[must_use]
    pub fn answer<B>(
        &self,
        request: &Request<B>,
        scheme: &str,
        target: Option<&Target<'_>>,
    ) -> Option<Result<Response<Bytes>, Denial>> {
        let path = request.uri().path();
        let below =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if below("/.tollgate") {
            return Some(Err(Denial::NoRoute));
        }
        if !below(WELL_KNOWN) {
            return None;
        }
        let (authority, host) = names(target);
        Some(match (self.document(path, scheme, authority, host), request.method()) {
            (None, _) => Err(Denial::NoRoute),
            (Some(document), &(Method::GET | Method::HEAD)) => Ok(json(document)),
            (Some(_), _) => {
                let allow = [Method::GET, Method::HEAD].iter().map(MethodSet::of).collect();
                Err(Denial::MethodNotAllowed { allow })
            }
        })
    }

    /// The document at `path` (which begins with [`WELL_KNOWN`]), asked for by `scheme` at `authority`, whose canonical
    /// host is `host`. A resource's document is found at its own host; at every host, as behind a proxy that changes the
    /// Host, only when no other resource could be meant.
    fn document(&self, path: &str, scheme: &str, authority: &str, host: &str) -> Option<Bytes> {
        let suffix = path.strip_prefix(WELL_KNOWN)?;
        let named = self.named.get(suffix.trim_end_matches('/')).map_or(&[][..], Vec::as_slice);
        if let Some((_, document)) = named.iter().find(|(named, _)| **named == *host) {
            return Some(document.clone());
        }
        if let Some(facts) = self.by_host.get(host).filter(|_| suffix.is_empty()) {
            return Some(facts.document(&format!("{scheme}://{authority}")));
        }
        match named {
            [(_, document)] => Some(document.clone()),
            _ => None,
        }
    }
}

/// Authority and canonical host as text; empty without a target.
fn names<'t>(target: Option<&'t Target<'_>>) -> (&'t str, &'t str) {
    target.map_or(("", ""), |target| (target.authority.to_str().unwrap_or(""), &*target.host))
}

/// For everybody, scripts of any origin too: a client that runs in a browser has to find its way as well, and nothing in
/// it depends on who asks.
fn json(document: Bytes) -> Response<Bytes> {
    let mut response = Response::new(document);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// The URL of the document for a challenge on this route, on a request that used `scheme` and named `target`.
#[must_use]
pub fn url(route: &snapshot::Route, scheme: &str, target: Option<&Target<'_>>) -> Option<String> {
    let (authority, host) = names(target);
    url_at(&route.resource, &route.hosts, scheme, authority, host)
}

fn url_at(resource: &Resource, hosts: &[HostPattern], scheme: &str, authority: &str, host: &str) -> Option<String> {
    match resource {
        Resource::Named(url) => Some(url.to_string()),
        Resource::ByHost => {
            let is_named = hosts.iter().any(|pattern| matches!(pattern, HostPattern::Exact(name) if **name == *host));
            is_named.then(|| format!("{scheme}://{authority}{WELL_KNOWN}"))
        }
        Resource::Unnamed => None,
    }
}

fn resource_of(config: &Config, route: &Route) -> Resource {
    match identifier_of(config, route) {
        Some(identifier) => Resource::Named(document_url(identifier).into()),
        None if route.hosts.iter().any(|host| matches!(host, HostPattern::Exact(_))) => Resource::ByHost,
        None => Resource::Unnamed,
    }
}

fn identifier_of<'a>(config: &'a Config, route: &'a Route) -> Option<&'a str> {
    route.resource.as_deref().or(config.server.public_url.as_deref())
}

/// Inserts the well-known path between the host and the path of `resource` (RFC 9728 section 3.1).
fn document_url(resource: &str) -> String {
    let origin = resource.len() - path_of(resource).len();
    format!("{}{WELL_KNOWN}{}", &resource[..origin], suffix(resource))
}

fn suffix(resource: &str) -> String {
    path_of(resource).trim_end_matches('/').to_owned()
}

/// The host of an absolute URL, as the hosts of requests are compared.
fn host_of(url: &str) -> Box<str> {
    let authority = url[..url.len() - path_of(url).len()].split_once("://").map_or("", |(_, authority)| authority);
    canonical_host(authority).unwrap_or_default().into()
}

/// The path of an absolute URL without query, which may be empty.
fn path_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    match url[authority..].find('/') {
        Some(at) => &url[authority + at..],
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_path_goes_between_host_and_path() {
        let cases = [
            ("https://api.example", "https://api.example/.well-known/oauth-protected-resource"),
            ("https://api.example/", "https://api.example/.well-known/oauth-protected-resource"),
            ("https://api.example:8443/mcp", "https://api.example:8443/.well-known/oauth-protected-resource/mcp"),
        ];
        for (resource, url) in cases {
            assert_eq!(document_url(resource), url);
        }
    }

    #[test]
    fn only_a_host_that_the_route_names_exactly_names_the_resource() {
        let hosts = [HostPattern::Exact("a.example".into()), HostPattern::Suffix(".b.example".into())];
        let at = |host: &str| url_at(&Resource::ByHost, &hosts, "https", host, host);
        assert_eq!(at("a.example").as_deref(), Some("https://a.example/.well-known/oauth-protected-resource"));
        assert_eq!(at("x.b.example"), None);
        assert_eq!(at("evil.example"), None);
    }

    #[test]
    fn two_resources_with_the_same_path_have_their_own_documents() {
        let document = |name: &str| Bytes::from(name.to_owned());
        let at = |url: &str| (host_of(url), document(url));
        let named = BTreeMap::from([
            (String::new(), vec![at("https://a.example:8443"), at("https://b.example/")]),
            ("/mcp".to_owned(), vec![at("https://a.example/mcp")]),
        ]);
        let by_host = BTreeMap::from([("c.example".into(), Facts::default())]);
        let metadata = Metadata { named, by_host };
        let cases = [
            ("", "a.example", Some("https://a.example:8443")),
            ("/", "b.example", Some("https://b.example/")),
            ("", "evil.example", None),
            ("/mcp", "a.example", Some("https://a.example/mcp")),
            ("/mcp", "127.0.0.1", Some("https://a.example/mcp")),
            ("/other", "a.example", None),
        ];
        for (suffix, host, found) in cases {
            let path = format!("{WELL_KNOWN}{suffix}");
            assert_eq!(metadata.document(&path, "https", host, host), found.map(document), "{suffix} at {host}");
        }
        let own = metadata.document(WELL_KNOWN, "https", "c.example:1", "c.example").expect("it is named by its host");
        assert!(String::from_utf8_lossy(&own).contains("https://c.example:1"), "{own:?}");
    }
}
