//! `[server]`, `[admin]`, `[log]`, and all listeners together.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::Check;
use super::files::Inline;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{
    AccessLog, Admin, CertificateFormat, ClientCertificate, ForwardedCertificate, Limits, Log, Revocation, Server,
    ServerTls, SubjectLog,
};
use crate::config::raw::{Root, server as raw};
use crate::config::read::At;
use crate::config::table::Field;
use crate::config::word::net::Listen;
use crate::config::word::quantity::Size;

/// Where a gateway listens when the file does not say.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

pub fn server(root: &Root, check: &mut Check<'_, '_>) -> Option<Server> {
    let server = root.server.or_empty()?;
    let tls = match &server.tls {
        Field::Written { value, .. } => Some(tls(value, check)),
        Field::Absent | Field::Default(_) => None,
        Field::Broken => Some(None),
    };
    warn_of_trust(&server, check);
    let forwarded_certificate = forwarded_certificate(&server, check);
    let listen = match &server.listen {
        Field::Absent if tls.is_some() => Vec::new(),
        Field::Absent => vec![DEFAULT_LISTEN],
        written => addresses(&written.get()?.0),
    };
    Some(Server {
        listen,
        workers: server.workers.get().map_or_else(cores, |count| count.0),
        public_url: server.public_url.get().map(|origin| origin.text.clone()),
        state_dir: server.state_dir.get().map(|path| check.path(path)),
        tls: match tls {
            Some(tls) => Some(tls?),
            None => None,
        },
        limits: limits(&server.limits.or_empty()?)?,
        trusted_proxies: server
            .trusted_proxies
            .get()
            .map_or_else(Vec::new, |list| list.0.iter().map(|at| at.value.0).collect()),
        forwarded_certificate: forwarded_certificate?,
        drain_timeout: server.drain_timeout.get()?.0,
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn addresses(listen: &[At<Listen>]) -> Vec<SocketAddr> {
    listen.iter().map(|at| at.value.0).collect()
}

fn tls(tls: &raw::ServerTls, check: &mut Check<'_, '_>) -> Option<ServerTls> {
    let certificate = check.certificates(&tls.certificate);
    let private_key = check.private_key(&tls.private_key);
    let client_ca = check.certificates(&tls.client_ca);
    Some(ServerTls {
        listen: addresses(&tls.listen.get()?.0),
        certificate: certificate?,
        private_key: private_key?,
        client_ca,
        client_certificate: client_certificate(tls, check)?,
    })
}

fn client_certificate(tls: &raw::ServerTls, check: &mut Check<'_, '_>) -> Option<ClientCertificate> {
    let Some((word, span)) = tls.client_certificate.written() else {
        return match (&tls.client_certificate, &tls.client_ca) {
            (Field::Broken, _) | (_, Field::Broken) => None,
            (_, Field::Absent) => Some(ClientCertificate::NotAsked),
            _ => Some(ClientCertificate::Required),
        };
    };
    let authorities = tls.client_ca.key();
    match (word, authorities) {
        (raw::ClientCertificateWord::Required, Some(_)) => return Some(ClientCertificate::Required),
        (raw::ClientCertificateWord::Optional, Some(_)) => return Some(ClientCertificate::Optional),
        (raw::ClientCertificateWord::Unverified, None) => return Some(ClientCertificate::Unverified),
        (raw::ClientCertificateWord::Unverified, Some(authorities)) => {
            let message = "`client_ca` is not asked when any certificate will do";
            let help = "remove `client_ca`, or write client_certificate = \"optional\"";
            check.report(Diagnostic::new(Code::Conflict, message).at(span, "").at(authorities, "").help(help));
        }
        (word, None) => {
            let message = format!("client_certificate = {:?} needs the key `client_ca`", word.as_str());
            let help = "name the authorities; or \"unverified\", where certificates are only what tokens are bound to";
            check.report(Diagnostic::new(Code::MissingKey, message).at(span, "").help(help));
        }
    }
    None
}

fn forwarded_certificate(server: &raw::Server, check: &mut Check<'_, '_>) -> Option<Option<ForwardedCertificate>> {
    let (raw, key) = match &server.forwarded_certificate {
        Field::Absent | Field::Default(_) => return Some(None),
        Field::Broken => return None,
        Field::Written { value, key, .. } => (value, key),
    };
    if server.trusted_proxies.is_absent() {
        let message = "`forwarded_certificate` has no effect: no proxy is believed";
        let help = "name the proxies in `trusted_proxies`, or remove it";
        check.report(Diagnostic::new(Code::NoEffect, message).at(key, "").help(help));
    }
    let format = match raw.format.get()? {
        raw::CertificateFormatWord::Envoy => CertificateFormat::Envoy,
        raw::CertificateFormatWord::Pem => CertificateFormat::Pem,
        raw::CertificateFormatWord::Base64 => CertificateFormat::Base64,
        raw::CertificateFormatWord::Rfc9440 => CertificateFormat::Rfc9440,
    };
    Some(Some(ForwardedCertificate { header: raw.header.get()?.0.clone(), format }))
}

fn limits(limits: &raw::Limits) -> Option<Limits> {
    Some(Limits {
        header_timeout: limits.header_timeout.get()?.0,
        idle_timeout: limits.idle_timeout.get()?.0,
        max_header_bytes: usize::try_from(limits.max_header_bytes.get()?.0).unwrap_or(usize::MAX),
        max_headers: limits.max_headers.get()?.0,
        max_body_bytes: limits.max_body_bytes.get().map(|Size(bytes)| *bytes),
        max_connections: limits.max_connections.get()?.0,
    })
}

fn warn_of_trust(server: &raw::Server, check: &mut Check<'_, '_>) {
    let Some(networks) = server.trusted_proxies.get() else { return };
    for network in networks.0.iter().filter(|network| network.value.0.prefix_len() == 0) {
        let message = "every client could say where it comes from";
        let help = "name the addresses of the proxies in front of Tollgate, and nothing else";
        check.report(
            Diagnostic::new(Code::TrustsEveryone, message).at(&network.span, "this is the whole Internet").help(help),
        );
    }
}

pub fn admin(root: &Root, check: &mut Check<'_, '_>) -> Option<Option<Admin>> {
    let admin = match &root.admin {
        Field::Absent | Field::Default(_) => return Some(None),
        Field::Broken => return None,
        Field::Written { value, .. } => value,
    };
    if let Some((Listen(address), span)) = admin.listen.written().filter(|(listen, _)| !listen.0.ip().is_loopback()) {
        let message = "the admin listener can be reached from other machines, and shows its pages without a login";
        let help = format!("listen on \"127.0.0.1:{}\", or let a firewall keep others out", address.port());
        check.report(Diagnostic::new(Code::AdminExposed, message).at(span, "").help(help));
    }
    let token = check.secret(&admin.token, Inline::Warned);
    if !admin.token.is_absent() && token.is_none() {
        return None;
    }
    Some(Some(Admin { listen: admin.listen.get()?.0, token }))
}

pub fn revocation(root: &Root, check: &mut Check<'_, '_>) -> Option<Revocation> {
    let revocation = root.revocation.or_empty()?;
    if root.redis.is_absent() {
        for (name, key) in
            [("max_stale", revocation.max_stale.key()), ("on_store_loss", revocation.on_store_loss.key())]
        {
            if let Some(key) = key {
                let message = format!("`{name}` has no effect without [redis]: nothing is read from elsewhere");
                check.report(Diagnostic::new(Code::NoEffect, message).at(key, "").help("add [redis], or remove it"));
            }
        }
    }
    Some(Revocation {
        lifetime: revocation.lifetime.get()?.0,
        max_entries: revocation.max_entries.get()?.0,
        max_stale: revocation.max_stale.get()?.0,
        serve_on_store_loss: *revocation.on_store_loss.get()? == raw::StoreLossWord::Serve,
    })
}

pub fn log(root: &Root) -> Option<Log> {
    let log = root.log.or_empty()?;
    let access = match &log.access {
        Field::Absent => AccessLog::Auto,
        written => match written.get()? {
            raw::AccessWord::Json => AccessLog::Json,
            raw::AccessWord::Pretty => AccessLog::Pretty,
            raw::AccessWord::Off => AccessLog::Off,
        },
    };
    let subject = match log.subject.get()? {
        raw::SubjectWord::Hash => SubjectLog::Hash,
        raw::SubjectWord::Plain => SubjectLog::Plain,
        raw::SubjectWord::None => SubjectLog::None,
    };
    Some(Log { access, level: log.level.get()?.0.clone(), subject })
}

/// One listener: its address, its place, and whose it is.
struct Listener {
    address: SocketAddr,
    span: Span,
}

/// Refuses two listeners at one address. Port 0 is another one each time.
pub fn listeners(root: &Root, server: Option<&Server>, check: &mut Check<'_, '_>) {
    let all = all_listeners(root, server);
    for (position, later) in all.iter().enumerate() {
        let Some(first) = all[..position].iter().find(|earlier| collide(earlier.address, later.address)) else {
            continue;
        };
        let message = format!("{} is listened on twice", later.address);
        let diagnostic = Diagnostic::new(Code::DuplicateListen, message).at(&later.span, "again here");
        let diagnostic = if first.span.is_empty() { diagnostic } else { diagnostic.at(&first.span, "first here") };
        let help = match (first.span.is_empty(), first.address == later.address) {
            (true, _) => {
                format!("without `listen`, [server] listens on {DEFAULT_LISTEN}; take another port here or there")
            }
            (false, true) => "take another port for one of them".into(),
            (false, false) => {
                format!("{} covers {}; take another port for one of them", wider(first, later), narrower(first, later))
            }
        };
        check.report(diagnostic.help(help));
    }
}

fn wider(a: &Listener, b: &Listener) -> SocketAddr {
    if a.address.ip().is_unspecified() { a.address } else { b.address }
}

fn narrower(a: &Listener, b: &Listener) -> SocketAddr {
    if a.address.ip().is_unspecified() { b.address } else { a.address }
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let one_covers = a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified());
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || one_covers)
}

fn all_listeners(root: &Root, server: Option<&Server>) -> Vec<Listener> {
    let mut all = Vec::new();
    let mut add = |at: &At<Listen>| all.push(Listener { address: at.value.0, span: at.span.clone() });
    let raw = root.server.get();
    if let Some(listen) = raw.and_then(|server| server.listen.get()) {
        listen.0.iter().for_each(&mut add);
    }
    if let Some(listen) = raw.and_then(|server| server.tls.get()).and_then(|tls| tls.listen.get()) {
        listen.0.iter().for_each(&mut add);
    }
    let singles =
        [root.admin.get().map(|admin| &admin.listen), root.authority.get().map(|authority| &authority.listen)];
    for (listen, span) in singles.into_iter().flatten().filter_map(Field::written) {
        add(&At { value: *listen, span: span.clone() });
    }
    let by_default =
        server.is_some_and(|server| server.listen == [DEFAULT_LISTEN]) && raw.is_none_or(|raw| raw.listen.is_absent());
    if by_default {
        all.insert(0, Listener { address: DEFAULT_LISTEN, span: 0..0 });
    }
    all
}
