//! `[authority]`: the embedded development Authorization Server stays on this machine, and what it cannot do is refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use url::Host;

use super::client_auth;
use super::faults::faults;
use super::files::Inline;
use super::{Check, refuse_repeats};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{Authority, AuthorityAuth, AuthorityClient, AuthorityTls, AuthorityUser};
use crate::config::raw::{Root, authority as raw};
use crate::config::read::List;
use crate::config::table::Field;
use crate::config::word::url::{IssuerUrl, RedirectUri};

pub fn authority(root: &Root, check: &mut Check<'_, '_>) -> Option<Option<Authority>> {
    let raw = match &root.authority {
        Field::Absent | Field::Default(_) => return Some(None),
        Field::Broken => return None,
        Field::Written { value, .. } => value,
    };
    stays_here(raw, check);
    issuer_leads_here(raw, check);
    is_trusted(root, raw, check);
    let tls = tls(&raw.tls, check);
    let users = users(raw, check);
    let clients = clients(raw, check);
    let faults = faults(&raw.faults, check);
    Some(Some(Authority {
        listen: raw.listen.get()?.0,
        tls: tls?,
        issuer: raw.issuer.get()?.text.clone(),
        audience: raw.audience.get()?.0.clone(),
        token_lifetime: raw.token_lifetime.get()?.0,
        code_lifetime: raw.code_lifetime.get()?.0,
        refresh_token_idle: raw.refresh_token_idle.get()?.0,
        refresh_token_lifetime: raw.refresh_token_lifetime.get()?.0,
        refresh_token_grace: raw.refresh_token_grace.get()?.0,
        session_lifetime: raw.session_lifetime.get()?.0,
        dpop_nonce: *raw.dpop_nonce.get()?,
        opaque_resources: resources(raw)?,
        scopes: scopes(raw)?,
        users: users?,
        clients: clients?,
        faults: faults?,
    }))
}

fn stays_here(raw: &raw::Authority, check: &mut Check<'_, '_>) {
    let remote = raw.allow_remote.get().copied().unwrap_or(true);
    if let Some((listen, span)) = raw.listen.written().filter(|(listen, _)| !remote && !listen.0.ip().is_loopback()) {
        let message = "the development authority would be reachable from other machines: it gives tokens to whoever knows this file";
        let help = format!("listen on \"127.0.0.1:{}\", or write `allow_remote = true`", listen.0.port());
        check.report(Diagnostic::new(Code::AuthorityExposed, message).at(span, "").help(help));
    }
}

/// An issuer must lead to the listener. An https one without `[authority.tls]` stands on a proxy in front, which is nobody's
/// business here.
fn issuer_leads_here(raw: &raw::Authority, check: &mut Check<'_, '_>) {
    let (Some((issuer, span)), Some((listen, listen_span))) = (raw.issuer.written(), raw.listen.written()) else {
        return;
    };
    let tls = raw.tls.written().is_some();
    let Some(problem) = misled(issuer, listen.0, tls) else { return };
    let diagnostic = Diagnostic::new(Code::AuthorityIssuer, problem).at(span, "").at(listen_span, "it listens here");
    let scheme = if tls { "https" } else { "http" };
    check.report(diagnostic.help(format!("issuer = \"{scheme}://{}\"", listen.0)));
}

fn misled(issuer: &IssuerUrl, listen: SocketAddr, tls: bool) -> Option<String> {
    let url = &issuer.url;
    if url.path() != "/" || issuer.text.ends_with('/') {
        return Some("the authority's issuer has no path: its endpoints stand at the root".into());
    }
    if tls && url.scheme() != "https" {
        return Some("the authority serves TLS, so its issuer begins with `https`".into());
    }
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => Some(ip.into()),
        Some(Host::Ipv6(ip)) => Some(ip.into()),
        Some(Host::Domain(_)) | None => None,
    };
    let elsewhere = ip.is_some_and(|ip: std::net::IpAddr| ip != listen.ip() && !listen.ip().is_unspecified());
    let other_port = listen.port() != 0 && url.port_or_known_default() != Some(listen.port());
    ((tls || url.scheme() == "http") && (elsewhere || other_port))
        .then(|| "the issuer does not lead to where the authority listens".into())
}

/// A gateway that does not trust its own authority is probably a slip.
fn is_trusted(root: &Root, raw: &raw::Authority, check: &mut Check<'_, '_>) {
    let Some((mine, span)) = raw.issuer.written() else { return };
    let routes = root.routes.get().is_some_and(|routes| !routes.0.is_empty());
    let known = |issuers: &crate::config::read::Entries<_, crate::config::raw::issuer::Issuer>| {
        issuers.0.iter().any(|(_, issuer)| issuer.value.issuer.get().is_none_or(|issuer| issuer.text == mine.text))
    };
    let trusted = match &root.issuers {
        Field::Broken => true,
        other => other.get().is_some_and(known),
    };
    if routes && !trusted && !check.lost_tables {
        let message = "no issuer is this authority, so the gateway refuses its tokens";
        let help = format!("add a table [issuers.NAME] with issuer = {:?}", mine.text);
        check.report(Diagnostic::new(Code::AuthorityUntrusted, message).at(span, "").help(help));
    }
}

fn tls(raw: &Field<raw::AuthorityTls>, check: &mut Check<'_, '_>) -> Option<Option<AuthorityTls>> {
    let raw = match raw {
        Field::Broken => return None,
        other => other.get(),
    };
    let Some(raw) = raw else { return Some(None) };
    let (certificate, private_key) = (check.certificates(&raw.certificate), check.private_key(&raw.private_key));
    let client_ca = if raw.client_ca.is_absent() { Some(None) } else { check.certificates(&raw.client_ca).map(Some) };
    Some(Some(AuthorityTls { certificate: certificate?, private_key: private_key?, client_ca: client_ca? }))
}

/// For each resource, whether its tokens are opaque.
fn resources(raw: &raw::Authority) -> Option<BTreeMap<String, bool>> {
    let entries = match &raw.resources {
        Field::Broken => return None,
        other => other.get().map_or(&[][..], |entries| &entries.0),
    };
    let opaque = |form: &raw::TokenForm| *form == raw::TokenForm::Opaque;
    Some(entries.iter().map(|(resource, form)| (resource.value.0.clone(), opaque(&form.value))).collect())
}

fn scopes(raw: &raw::Authority) -> Option<BTreeMap<String, String>> {
    let entries = match &raw.scopes {
        Field::Broken => return None,
        other => other.get().map_or(&[][..], |entries| &entries.0),
    };
    Some(entries.iter().map(|(scope, words)| (scope.value.0.clone(), words.value.0.clone())).collect())
}

fn users(raw: &raw::Authority, check: &mut Check<'_, '_>) -> Option<Vec<AuthorityUser>> {
    let tables = match &raw.users {
        Field::Broken => return None,
        other => other.get().map_or(&[][..], |tables| &tables.0),
    };
    let names = tables.iter().filter_map(|table| table.value.name.written()).map(|(name, span)| (&*name.0, span));
    refuse_repeats(names.collect::<Vec<_>>(), Code::DuplicateUser, "user", check);
    let users: Vec<_> = tables.iter().map(|table| user(&table.value, check)).collect();
    users.into_iter().collect()
}

fn user(raw: &raw::User, check: &mut Check<'_, '_>) -> Option<AuthorityUser> {
    let password = check.secret(&raw.password, Inline::Fine);
    let name = raw.name.get()?.0.clone();
    Some(AuthorityUser {
        sub: raw.sub.get().map_or_else(|| name.clone(), |sub| sub.0.clone()),
        name,
        password: password?,
        claims: raw.claims.get().map_or_else(Default::default, |claims| claims.0.clone().into_iter().collect()),
    })
}

fn clients(raw: &raw::Authority, check: &mut Check<'_, '_>) -> Option<Vec<AuthorityClient>> {
    let tables = match &raw.clients {
        Field::Broken => return None,
        other => other.get().map_or(&[][..], |tables| &tables.0),
    };
    let ids = tables.iter().filter_map(|table| table.value.id.written()).map(|(id, span)| (&*id.0, span));
    refuse_repeats(ids.collect::<Vec<_>>(), Code::DuplicateClient, "client", check);
    let clients: Vec<_> = tables.iter().map(|table| client(&table.value, &table.span, &raw.tls, check)).collect();
    clients.into_iter().collect()
}

fn client(
    raw: &raw::Client,
    header: &Span,
    tls: &Field<raw::AuthorityTls>,
    check: &mut Check<'_, '_>,
) -> Option<AuthorityClient> {
    let secret = check.secret(&raw.secret, Inline::Fine);
    client_auth::secret_fits(raw, header, check);
    let proofs = client_auth::proofs(raw, header, tls, check);
    has_a_way_back(raw, header, check);
    let uris = |field: &Field<List<RedirectUri>>| match field {
        Field::Broken => None,
        other => Some(other.get().map_or_else(Vec::new, |list| list.0.iter().map(|at| at.value.0.clone()).collect())),
    };
    let (redirect_uris, post_logout_redirect_uris) = (uris(&raw.redirect_uris), uris(&raw.post_logout_redirect_uris));
    let auth = match raw.auth.get() {
        Some(raw::AuthWord::None) => Some(AuthorityAuth::None),
        Some(raw::AuthWord::ClientSecretBasic) => Some(AuthorityAuth::Basic),
        Some(raw::AuthWord::ClientSecretPost) => Some(AuthorityAuth::Post),
        Some(raw::AuthWord::PrivateKeyJwt) => Some(AuthorityAuth::PrivateKeyJwt),
        Some(raw::AuthWord::TlsClientAuth) => Some(AuthorityAuth::TlsClientAuth),
        Some(raw::AuthWord::SelfSignedTlsClientAuth) => Some(AuthorityAuth::SelfSignedTls),
        None => None,
    };
    Some(AuthorityClient {
        id: raw.id.get()?.0.clone(),
        secret,
        grants: raw.grants.get()?.0.iter().map(|grant| grant.value.as_str().to_owned()).collect(),
        scopes: raw.scopes.get().map_or_else(Vec::new, |list| list.0.iter().map(|at| at.value.0.clone()).collect()),
        auth,
        opaque_tokens: *raw.access_tokens.get()? == raw::TokenForm::Opaque,
        signing_alg: raw.signing_alg.get()?.as_str(),
        jwks: proofs.jwks,
        certificate_name: proofs.name,
        certificates: proofs.certificates,
        certificate_bound_access_tokens: *raw.tls_client_certificate_bound_access_tokens.get()?,
        dpop_bound_access_tokens: *raw.dpop_bound_access_tokens.get()?,
        redirect_uris: redirect_uris?,
        post_logout_redirect_uris: post_logout_redirect_uris?,
        backchannel_logout_uri: raw.backchannel_logout_uri.get().map(|url| url.text.clone()),
        frontchannel_logout_uri: raw.frontchannel_logout_uri.get().map(|url| url.text.clone()),
    })
}

/// Grants by which a browser comes back need an address that it comes back to.
fn has_a_way_back(raw: &raw::Client, header: &Span, check: &mut Check<'_, '_>) {
    let grants = raw.grants.get().map_or(&[][..], |grants| &grants.0);
    let by_browser =
        grants.iter().find(|grant| matches!(grant.value, raw::Grant::AuthorizationCode | raw::Grant::Implicit));
    let none = match &raw.redirect_uris {
        Field::Broken => false,
        other => other.get().is_none_or(|list| list.0.is_empty()),
    };
    if let (Some(grant), true) = (by_browser, none) {
        let message = format!("a client with the grant `{}` needs a redirect URI", grant.value.as_str());
        let diagnostic = Diagnostic::new(Code::RedirectUri, message).at(&grant.span, "").at(header, "this client");
        check.report(
            diagnostic.help("add `redirect_uris = [\"http://127.0.0.1:8080/callback\"]`, or take the grant out"),
        );
    }
}
