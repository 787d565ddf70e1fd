//! How a client of the embedded authority proves who it is: what its way to do so needs is there, and nothing else is.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;

use super::Check;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw::authority::{AuthWord, AuthorityTls, Client, Grant};
use crate::config::table::{Field, choices};
use crate::config::word::names::NonEmpty;
use crate::server::certificate::CertificateName;
use crate::server::distinguished::DistinguishedName;

/// What a client has beside a secret.
#[derive(Debug, Default)]
pub struct Proofs {
    /// Its JWK Set.
    pub jwks: Option<serde_json::Value>,
    /// The name in its certificate.
    pub name: Option<CertificateName>,
    /// The certificates of which it shows one.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Grants that are for clients that can prove who they are (RFC 6749, section 4.4; RFC 8693, section 5).
const CONFIDENTIAL: [Grant; 2] = [Grant::ClientCredentials, Grant::TokenExchange];

/// Whether the client has a secret exactly if it needs one.
pub fn secret_fits(raw: &Client, header: &Span, check: &mut Check<'_, '_>) {
    let grants = raw.grants.get().map_or(&[][..], |grants| &grants.0);
    let alone = grants.iter().find(|grant| CONFIDENTIAL.contains(&grant.value));
    let by_key = raw.auth.get().is_some_and(|auth| is_by_key(*auth));
    if let (Some(grant), Field::Absent, false) = (alone, &raw.secret, by_key) {
        let message = format!("a client without a secret cannot use `{}`: everybody could", grant.value.as_str());
        let diagnostic =
            Diagnostic::new(Code::ClientAuth, message).at(&grant.span, "").at(header, "this client is public");
        check.report(diagnostic.help("give the client a `secret` or an `auth` by key, or take the grant out"));
    }
    let Some((auth, span)) = raw.auth.written() else { return };
    let (message, help) = match (auth, &raw.secret) {
        (AuthWord::None, Field::Written { .. }) => (
            "a client with `auth = \"none\"` has no secret to keep",
            "a public client has `auth = \"none\"` or no `auth`, and no `secret`",
        ),
        (AuthWord::ClientSecretBasic | AuthWord::ClientSecretPost, Field::Absent) => (
            "this client has no secret to authenticate with",
            "a public client has `auth = \"none\"` or no `auth`, and no `secret`",
        ),
        (auth, Field::Written { .. }) if is_by_key(*auth) => {
            ("a client that authenticates by a key has no use for a secret", "take the `secret` out")
        }
        _ => return,
    };
    check.report(Diagnostic::new(Code::ClientAuth, message).at(span, "").at(header, "this client").help(help));
}

const fn is_by_key(auth: AuthWord) -> bool {
    matches!(auth, AuthWord::PrivateKeyJwt | AuthWord::TlsClientAuth | AuthWord::SelfSignedTlsClientAuth)
}

/// Reads what the client proves itself with.
pub fn proofs(raw: &Client, header: &Span, tls: &Field<AuthorityTls>, check: &mut Check<'_, '_>) -> Proofs {
    let mut client = Subject { raw, header, check };
    client.needs_tls(tls);
    let keys =
        client.belongs(&[("jwks_file", raw.jwks_file.key())], AuthWord::PrivateKeyJwt, raw.jwks_file.is_absent());
    let file = [("certificate_file", raw.certificate_file.key())];
    let certificates = client.belongs(&file, AuthWord::SelfSignedTlsClientAuth, raw.certificate_file.is_absent());
    let names = raw.names();
    let absent = names.iter().all(|(_, field)| field.is_absent());
    let keys_of_names: Vec<_> = names.iter().map(|(key, field)| (*key, field.key())).collect();
    let named = client.belongs(&keys_of_names, AuthWord::TlsClientAuth, absent);
    let name = if named { client.name(&names) } else { None };
    Proofs {
        jwks: keys.then(|| check.jwk_set(&raw.jwks_file)).flatten().map(|(_, set)| set),
        name,
        certificates: certificates
            .then(|| check.certificate_list(&raw.certificate_file))
            .flatten()
            .map_or_else(Vec::new, |(_, list)| list),
    }
}

impl Client {
    /// The five names that a certificate may be known by.
    fn names(&self) -> [(&'static str, &Field<NonEmpty>); 5] {
        [
            ("tls_client_auth_subject_dn", &self.tls_client_auth_subject_dn),
            ("tls_client_auth_san_dns", &self.tls_client_auth_san_dns),
            ("tls_client_auth_san_uri", &self.tls_client_auth_san_uri),
            ("tls_client_auth_san_ip", &self.tls_client_auth_san_ip),
            ("tls_client_auth_san_email", &self.tls_client_auth_san_email),
        ]
    }
}

/// The client that is looked at.
struct Subject<'a, 'c, 'b, 'd> {
    raw: &'a Client,
    header: &'a Span,
    check: &'c mut Check<'b, 'd>,
}

impl Subject<'_, '_, '_, '_> {
    fn report(&mut self, message: impl Into<String>, at: &Span, help: impl Into<String>) {
        let diagnostic = Diagnostic::new(Code::ClientAuth, message).at(at, "").at(self.header, "this client");
        self.check.report(diagnostic.help(help));
    }

    /// Certificates come by TLS only, and somebody has to vouch for those that are known by a name.
    fn needs_tls(&mut self, tls: &Field<AuthorityTls>) {
        if let Some((auth @ (AuthWord::TlsClientAuth | AuthWord::SelfSignedTlsClientAuth), span)) =
            self.raw.auth.written()
        {
            let vouched = tls.get().is_none_or(|tls| !tls.client_ca.is_absent());
            if matches!(tls, Field::Absent) {
                let message = format!("`{}` needs a certificate, and the authority does not serve TLS", auth.as_str());
                self.report(message, span, "add `[authority.tls]`");
            } else if *auth == AuthWord::TlsClientAuth && !vouched {
                let message =
                    "nobody vouches for the certificate of this client, so everybody could make one of its name";
                self.report(
                    message,
                    span,
                    "add `client_ca` to `[authority.tls]`, or use `self_signed_tls_client_auth`",
                );
            }
        }
        let bound = self.raw.tls_client_certificate_bound_access_tokens.written().filter(|(bound, _)| **bound);
        if let (Some((_, span)), Field::Absent) = (bound, tls) {
            self.report(
                "tokens are bound to certificates, and the authority does not serve TLS",
                span,
                "add `[authority.tls]`",
            );
        }
    }

    /// Whether these keys, of which the client has some unless `absent`, go with its way to authenticate; reports it when
    /// one stands without the other.
    fn belongs(&mut self, keys: &[(&str, Option<&Span>)], way: AuthWord, absent: bool) -> bool {
        let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
        let goes = self.raw.auth.get() == Some(&way);
        if let (true, true, Some((_, span))) = (goes, absent, self.raw.auth.written()) {
            let message = format!("`{}` does not say what the client proves itself with", way.as_str());
            self.report(message, span, format!("add {}", choices(&names)));
        }
        let stray = keys.iter().find_map(|(name, key)| key.filter(|_| !goes).map(|key| (*name, key.clone())));
        if let Some((name, key)) = stray {
            let message = format!("`{name}` is for clients with `auth = \"{}\"`", way.as_str());
            self.report(message, &key, format!("add `auth = \"{}\"`, or remove it", way.as_str()));
        }
        goes && !absent
    }

    /// The one name that is written.
    fn name(&mut self, names: &[(&'static str, &Field<NonEmpty>)]) -> Option<CertificateName> {
        let mut written =
            names.iter().filter_map(|(key, field)| field.written().map(|(text, span)| (*key, &text.0, span)));
        let (key, text, span) = written.next()?;
        if let Some((_, _, second)) = written.next() {
            self.report(
                "a client is known by one name in its certificate",
                second,
                "remove all but one (RFC 8705, section 2.1.2)",
            );
        }
        let parsed = match key {
            "tls_client_auth_subject_dn" => DistinguishedName::parse(text).map(CertificateName::Subject),
            "tls_client_auth_san_dns" => Ok(CertificateName::Dns(text.clone())),
            "tls_client_auth_san_uri" => Ok(CertificateName::Uri(text.clone())),
            "tls_client_auth_san_ip" => {
                text.parse::<IpAddr>().map(CertificateName::Ip).map_err(|_| "it is no IP address")
            }
            _ => Ok(CertificateName::Email(text.clone())),
        };
        let example = if key == "tls_client_auth_san_ip" { "192.0.2.7" } else { "CN=web,O=Acme" };
        let unread =
            |why| self.report(format!("`{key}` cannot be read: {why}"), span, format!("for example {example:?}"));
        parsed.map_err(unread).ok()
    }
}
