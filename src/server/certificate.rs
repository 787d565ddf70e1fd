//! The names in a certificate by which its holder can be known (RFC 5280; RFC 8705, section 2.1.2).
//!
//! Names are compared exactly, but for the case of host names: a wildcard in a client's certificate names nobody. What
//! cannot be read has no names. Says nothing about who signed the certificate.

use std::net::IpAddr;

use super::der::{elements, value};
use super::distinguished::DistinguishedName;

/// The extension subjectAltName, 2.5.29.17 (RFC 5280, section 4.2.1.6).
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// One name that a certificate may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// The subject.
    Subject(DistinguishedName),
    /// A host name among the alternative names.
    Dns(String),
    /// A mail address among them.
    Email(String),
    /// A URI among them.
    Uri(String),
    /// An IP address among them.
    Ip(IpAddr),
}

impl CertificateName {
    /// Whether the certificate, in DER, has this name.
    #[must_use]
    pub fn is_in(&self, certificate: &[u8]) -> bool {
        let Some(names) = Names::of(certificate) else { return false };
        match self {
            Self::Subject(subject) => names.subject.as_ref() == Some(subject),
            Self::Dns(host) => names.texts(0x82).any(|found| found.eq_ignore_ascii_case(host)),
            Self::Email(address) => names.texts(0x81).any(|found| found == address),
            Self::Uri(uri) => names.texts(0x86).any(|found| found == uri),
            Self::Ip(ip) => names.addresses().any(|found| found == *ip),
        }
    }
}

/// The names in a certificate (RFC 5280, section 4.1).
struct Names<'a> {
    /// Absent when it has attributes that are no text.
    subject: Option<DistinguishedName>,
    /// The content of subjectAltName.
    others: &'a [u8],
}

impl<'a> Names<'a> {
    fn of(certificate: &'a [u8]) -> Option<Self> {
        let (certificate, []) = value(certificate, 0x30)? else { return None };
        let (to_be_signed, _) = value(certificate, 0x30)?;
        // The version has a tag of its own and may be absent; then come serial number, algorithm, issuer, validity.
        let mut fields = elements(to_be_signed).filter(|(tag, _)| *tag != 0xa0);
        let (_, subject) = fields.nth(4)?;
        let extensions = fields.find(|(tag, _)| *tag == 0xa3).and_then(|(_, wrapped)| value(wrapped, 0x30));
        let others = extensions.and_then(|(extensions, _)| elements(extensions).find_map(|(_, one)| alternative(one)));
        Some(Self { subject: distinguished(subject), others: others.unwrap_or_default() })
    }

    /// The alternative names of a kind that is text in ASCII.
    fn texts(&self, kind: u8) -> impl Iterator<Item = &'a str> {
        elements(self.others)
            .filter(move |(tag, _)| *tag == kind)
            .filter_map(|(_, name)| std::str::from_utf8(name).ok())
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        elements(self.others).filter(|(tag, _)| *tag == 0x87).filter_map(|(_, bytes)| {
            let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
        })
    }
}

/// The alternative names, if `extension` has them: its identifier, perhaps a mark that it is critical, its content.
fn alternative(extension: &[u8]) -> Option<&[u8]> {
    let (identifier, rest) = value(extension, 0x06)?;
    let content = elements(rest).find(|(tag, _)| *tag == 0x04).filter(|_| identifier == SUBJECT_ALT_NAME);
    content.and_then(|(_, content)| value(content, 0x30)).map(|(names, _)| names)
}

fn distinguished(name: &[u8]) -> Option<DistinguishedName> {
    let relative = |(_, set)| elements(set).map(|(_, attribute)| attribute_of(attribute)).collect::<Option<Vec<_>>>();
    elements(name).map(relative).collect::<Option<Vec<_>>>().map(DistinguishedName::of)
}

/// Type and value of one attribute, when the value is text.
fn attribute_of(attribute: &[u8]) -> Option<(String, String)> {
    let (kind, rest) = value(attribute, 0x06)?;
    let (tag, text) = elements(rest).next()?;
    // UTF8String, PrintableString, IA5String.
    let text = matches!(tag, 0x0c | 0x13 | 0x16).then(|| std::str::from_utf8(text).ok()).flatten()?;
    Some((dotted(kind)?, text.to_owned()))
}

/// An object identifier as numbers with dots between (X.690, section 8.19).
fn dotted(identifier: &[u8]) -> Option<String> {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number: u64 = 0;
    for byte in identifier {
        number = number.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
        }
    }
    let (first, rest) = numbers.split_first()?;
    let top = (*first / 40).min(2);
    let all = [top, first - 40 * top].into_iter().chain(rest.iter().copied());
    Some(all.map(|number| number.to_string()).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate() -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["Client.example".into(), "192.0.2.7".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.");
        params.distinguished_name.push(DnType::CommonName, "web");
        params.subject_alt_names.push(SanType::URI("spiffe://acme.example/web".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("web@acme.example".try_into().unwrap()));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_has_its_names_and_no_others() {
        let certificate = certificate();
        let subject = |text: &str| CertificateName::Subject(DistinguishedName::parse(text).unwrap());
        for (name, expected) in [
            (subject(r"CN=web,O=Acme\, Inc."), true),
            (subject(r"2.5.4.3=web, o=Acme\2c Inc."), true),
            (subject(r"O=Acme\, Inc.,CN=web"), false),
            (subject("CN=web"), false),
            (subject(r"CN=Web,O=Acme\, Inc."), false),
            (CertificateName::Dns("client.EXAMPLE".into()), true),
            (CertificateName::Dns("example".into()), false),
            (CertificateName::Dns("192.0.2.7".into()), false),
            (CertificateName::Ip("192.0.2.7".parse().unwrap()), true),
            (CertificateName::Ip("192.0.2.8".parse().unwrap()), false),
            (CertificateName::Uri("spiffe://acme.example/web".into()), true),
            (CertificateName::Uri("spiffe://acme.example/WEB".into()), false),
            (CertificateName::Email("web@acme.example".into()), true),
            (CertificateName::Email("spiffe://acme.example/web".into()), false),
        ] {
            assert_eq!(name.is_in(&certificate), expected, "{name:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        let (certificate, name) = (certificate(), CertificateName::Dns("client.example".into()));
        for end in 0..certificate.len() {
            assert!(!name.is_in(&certificate[..end]), "cut at {end}");
        }
    }

    #[test]
    fn identifiers_are_written_with_dots() {
        for (bytes, text) in [
            (&[0x55, 0x04, 0x03][..], "2.5.4.3"),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01], "1.2.840.113549.1.9.1"),
            (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "0.9.2342.19200300.100.1.25"),
        ] {
            assert_eq!(dotted(bytes).as_deref(), Some(text));
        }
    }
}
