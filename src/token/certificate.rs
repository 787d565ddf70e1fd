//! The client certificate that a trusted proxy tells of in a header (RFC 8705 with TLS terminated in front of us).
//!
//! Promises the SHA-256 of one certificate in DER, or nothing: a field that is not wholly of the expected form tells of
//! none. Who may be believed is not decided here. Of Envoy's list only the last element counts, which is what the proxy
//! next to us saw with its own eyes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::config::model::CertificateFormat;
use crate::secret::sha256;

/// The hash of the certificate that the field `name` tells of.
#[must_use]
pub fn told(headers: &HeaderMap, name: &HeaderName, format: CertificateFormat) -> Option<[u8; 32]> {
    let mut fields = headers.get_all(name).iter();
    let last = fields.next_back()?;
    match format {
        // A proxy that appends may begin another line.
        CertificateFormat::Envoy => of_envoy(last.to_str().ok()?),
        _ if fields.next().is_some() => None,
        CertificateFormat::Pem => of_pem(last.as_bytes()),
        CertificateFormat::Base64 => of_base64(last.as_bytes()),
        CertificateFormat::Rfc9440 => {
            let inner = last.as_bytes().strip_prefix(b":")?.strip_suffix(b":")?;
            of_der(&STANDARD.decode(inner).ok()?)
        }
    }
}

/// `X-Forwarded-Client-Cert`: elements by commas, in each pairs by semicolons, values perhaps in quotes.
fn of_envoy(field: &str) -> Option<[u8; 32]> {
    let element = outside_quotes(field, ',')?.pop()?;
    let (mut hash, mut certificate) = (None, None);
    for pair in outside_quotes(element, ';')? {
        let (name, value) = pair.trim().split_once('=')?;
        let seen = match name {
            _ if name.eq_ignore_ascii_case("Hash") => hash.replace(of_hex(&unquoted(value))?).is_some(),
            _ if name.eq_ignore_ascii_case("Cert") => {
                certificate.replace(of_pem(unquoted(value).as_bytes())?).is_some()
            }
            _ => false,
        };
        if seen {
            return None;
        }
    }
    match (hash, certificate) {
        (Some(hash), Some(certificate)) if hash != certificate => None,
        (Some(found), _) | (None, Some(found)) => Some(found),
        (None, None) => None,
    }
}

/// The parts between separators that stand in no quotes; `None` when a quote is not closed.
fn outside_quotes(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return value.to_owned() };
    let (mut text, mut chars) = (String::with_capacity(inner.len()), inner.chars());
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

fn of_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high * 16 + low).collect();
    <[u8; 32]>::try_from(bytes).ok().filter(|_| rest.is_empty())
}

/// A PEM certificate with escapes as in a URL; the leaf stands first.
fn of_pem(text: &[u8]) -> Option<[u8; 32]> {
    let pem: Vec<u8> = percent_decode(text).collect();
    of_der(&CertificateDer::from_pem_slice(&pem).ok()?)
}

/// The DER in base64, perhaps escaped, perhaps followed by the rest of the chain.
fn of_base64(text: &[u8]) -> Option<[u8; 32]> {
    let decoded: Vec<u8> = percent_decode(text).collect();
    let leaf = decoded.split(|byte| *byte == b',').next()?;
    of_der(&STANDARD.decode(leaf).ok()?)
}

fn of_der(der: &[u8]) -> Option<[u8; 32]> {
    (!der.is_empty()).then(|| sha256(der))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    const NAME: HeaderName = HeaderName::from_static("x-cert");
    const DER: &[u8] = b"as good as a certificate, for its hash";

    fn pem() -> String {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(DER))
    }

    fn escaped(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    fn read(fields: &[&str], format: CertificateFormat) -> Option<[u8; 32]> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(NAME, HeaderValue::from_str(field).expect("a field value"));
        }
        told(&headers, &NAME, format)
    }

    #[test]
    fn each_form_tells_of_one_certificate_or_of_none() {
        use CertificateFormat::{Base64, Envoy, Pem, Rfc9440};
        let base64 = STANDARD.encode(DER);
        let hash: String = sha256(DER).iter().map(|byte| format!("{byte:02x}")).collect();
        let other = "0".repeat(64);
        let pem = escaped(&pem());
        let cases: Vec<(CertificateFormat, Vec<String>, bool)> = vec![
            (Pem, vec![pem.clone()], true),
            (Pem, vec![format!("{pem}{pem}")], true),
            (Pem, vec![base64.clone()], false),
            (Pem, vec![pem.clone(), pem.clone()], false),
            (Pem, vec![String::new()], false),
            (Pem, vec!["%ZZ".into()], false),
            (Pem, vec![pem.replace("BEGIN", "BEGUN")], false),
            (Base64, vec![base64.clone()], true),
            (Base64, vec![escaped(&base64)], true),
            (Base64, vec![format!("{base64},{}", STANDARD.encode(b"the next one"))], true),
            (Base64, vec![format!("x{base64}")], false),
            (Base64, vec![base64.clone(), base64.clone()], false),
            (Base64, vec![String::new()], false),
            (Rfc9440, vec![format!(":{base64}:")], true),
            (Rfc9440, vec![base64.clone()], false),
            (Rfc9440, vec![format!(":{base64}")], false),
            (Rfc9440, vec![":".into()], false),
            (Rfc9440, vec!["::".into()], false),
            (Envoy, vec![format!("Hash={hash}")], true),
            (Envoy, vec![format!("By=spiffe://a;hash={};Subject=\"CN=a,b;c\\\"\"", hash.to_uppercase())], true),
            (Envoy, vec![format!("Cert=\"{pem}\"")], true),
            (Envoy, vec![format!("Hash={hash};Cert=\"{pem}\"")], true),
            (Envoy, vec![format!("Hash={other};Cert=\"{pem}\"")], false),
            (Envoy, vec![format!("Hash={other},Hash={hash}")], true),
            (Envoy, vec![format!("Hash={hash},Hash={other}")], false),
            (Envoy, vec![format!("Hash={other}"), format!("Hash={hash}")], true),
            (Envoy, vec![format!("Hash={hash}"), "By=x".into()], false),
            (Envoy, vec![format!("Hash={hash};Hash={hash}")], false),
            (Envoy, vec![format!("Subject=\",Hash={hash}\"")], false),
            (Envoy, vec![format!("Subject=\"a;Hash={hash}")], false),
            (Envoy, vec![format!("Subject=\"a\\\",Hash={hash}")], false),
            (Envoy, vec![format!("Hash={}", &hash[1..])], false),
            (Envoy, vec![format!("Hash={hash}0")], false),
            (Envoy, vec!["Hash=".into()], false),
            (Envoy, vec![hash], false),
            (Envoy, vec![], false),
        ];
        for (format, fields, good) in cases {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let found = read(&fields, format);
            assert_eq!(found == Some(sha256(DER)), good, "{format:?} {fields:?}");
        }
    }

    proptest! {
        #[test]
        fn no_field_makes_it_panic(bytes in prop::collection::vec(0x20..=0xff_u8, 0..80), text in "[=;,\"\\\\%:a-fHash0-9+/]{0,60}") {
            use CertificateFormat::{Base64, Envoy, Pem, Rfc9440};
            for value in [HeaderValue::from_bytes(&bytes).ok(), HeaderValue::from_str(&text).ok()].into_iter().flatten() {
                let headers = HeaderMap::from_iter([(NAME, value)]);
                for format in [Envoy, Pem, Base64, Rfc9440] {
                    let _ = told(&headers, &NAME, format);
                }
            }
        }
    }
}
