//! Hosts: what a route may name, and what a request's authority says.
//!
//! One spelling on both sides: lower case, no port, no trailing dot, IPv6 in brackets and in its shortest form
//! (RFC 5952). A name is labels of letters, digits, `-` and `_`; a name whose last label is a number must be a dotted
//! quad, for upstreams read `127.1` and `0x7f000001` as addresses. Everything else is no host.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::PatternError;

/// A host that a route names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host; lower case, no port, no trailing dot.
    Exact(Box<str>),
    /// `*.example.com`: holds `.example.com`; matches one or more labels in front of it.
    Suffix(Box<str>),
}

impl HostPattern {
    /// Parses what a route writes.
    ///
    /// # Errors
    /// When it is neither a host nor `*.` and a host name.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        refuse_what_is_no_host(text)?;
        let Some(name) = text.strip_prefix("*.") else {
            return match canonical_host(text) {
                Some(host) => Ok(Self::Exact(host.into())),
                None => Err(explain(text, 0)),
            };
        };
        match canonical_host(name) {
            Some(host) if is_address(&host) => {
                Err(PatternError::new(0, "an address has no subdomains", format!("write {host:?}")))
            }
            Some(host) => Ok(Self::Suffix(format!(".{host}").into())),
            None => Err(explain(name, 2)),
        }
    }

    /// Whether it matches this host, as [`canonical_host`] spells it.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Suffix(suffix) => host.strip_suffix(&**suffix).is_some_and(|front| !front.is_empty()),
        }
    }

    /// Whether every host that `other` matches is matched by this one too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(mine), Self::Exact(theirs)) => mine == theirs,
            (Self::Exact(_), Self::Suffix(_)) => false,
            (Self::Suffix(_), Self::Exact(theirs)) => self.matches(theirs),
            (Self::Suffix(mine), Self::Suffix(theirs)) => theirs.ends_with(&**mine),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// The host of an authority (a `Host` header or an absolute URI, without userinfo), in the spelling that patterns have.
///
/// Drops the port and one trailing dot. `None` when it is no authority that names one host: userinfo, a port that is
/// none, blanks, percent-encoding, an address in an unusual notation. Borrows unless the spelling changes.
#[must_use]
pub fn canonical_host(authority: &str) -> Option<Cow<'_, str>> {
    if authority.starts_with('[') {
        return canonical_ipv6(authority);
    }
    let scanned = scan_name(authority)?;
    let (name, port) = authority.split_at(scanned.length);
    if !port.is_empty() && !is_port(&port[1..]) {
        return None;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if looks_numeric(&name[scanned.last_label..]) && name.parse::<Ipv4Addr>().is_err() {
        return None;
    }
    Some(if scanned.has_upper_case { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

fn canonical_ipv6(authority: &str) -> Option<Cow<'_, str>> {
    let (address, port) = authority.strip_prefix('[')?.split_once(']')?;
    if !port.is_empty() && !is_port(port.strip_prefix(':')?) {
        return None;
    }
    let canonical = format!("[{}]", address.parse::<Ipv6Addr>().ok()?);
    Some(match authority.get(..canonical.len()) {
        Some(front) if front == canonical => Cow::Borrowed(front),
        _ => Cow::Owned(canonical),
    })
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// What one scan tells of the name in front of an authority's port.
struct ScannedName {
    /// Bytes of the name, with one trailing dot if it has one.
    length: usize,
    /// Where its last label begins.
    last_label: usize,
    has_upper_case: bool,
}

/// Takes labels of at most 63 bytes, 253 in all (RFC 1035 section 2.3.4), up to a colon or the end.
fn scan_name(authority: &str) -> Option<ScannedName> {
    let (mut length, mut label, mut label_before) = (0, 0, 0);
    let (mut before, mut has_upper_case) = (b'.', false);
    for byte in authority.bytes().take_while(|byte| *byte != b':') {
        match byte {
            b'.' if matches!(before, b'.' | b'-') || length - label > 63 => return None,
            b'.' => {
                label_before = label;
                label = length + 1;
            }
            b'-' if before == b'.' => return None,
            b'A'..=b'Z' => has_upper_case = true,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            _ => return None,
        }
        before = byte;
        length += 1;
    }
    let dotted = before == b'.';
    let well_formed = length > 0 && before != b'-' && length - label <= 63 && length - usize::from(dotted) <= 253;
    let last_label = if dotted { label_before } else { label };
    well_formed.then_some(ScannedName { length, last_label, has_upper_case })
}

/// As the URL standard's "ends in a number": such a name is read as an IPv4 address or not at all.
fn looks_numeric(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

/// The mistakes that have a better answer than "this is no host".
fn refuse_what_is_no_host(text: &str) -> Result<(), PatternError> {
    let refuse = |offset, message: &str, help: String| Err(PatternError::new(offset, message, help));
    if text.is_empty() || text == "*" {
        return refuse(0, "this names no host", "leave `hosts` out to match any host".into());
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or(rest);
        return refuse(0, "a host has no scheme", format!("write {host:?}"));
    }
    if let Some(offset) = text.find(['/', '?', '#']) {
        return refuse(offset, "a host has no path", format!("write {:?}, and the path in `path`", &text[..offset]));
    }
    if let Some(offset) = text.find('@') {
        return refuse(offset, "a host has no user name", format!("write {:?}", &text[offset + 1..]));
    }
    if let Some(offset) = text.rfind('*').filter(|offset| *offset > 0 || !text.starts_with("*.")) {
        let help = "write `*.` in front of a name, as in \"*.example.com\", or list the hosts one by one";
        return refuse(offset, "a wildcard stands for whole labels in front of a name", help.into());
    }
    if let Some(offset) = port_offset(text) {
        let help = format!("write {:?}: a route matches its host on every port", &text[..offset]);
        return refuse(offset, "a host has no port here", help);
    }
    Ok(())
}

fn port_offset(text: &str) -> Option<usize> {
    match text.rfind(']') {
        Some(end) => text[end..].find(':').map(|colon| end + colon),
        None if text.bytes().filter(|byte| *byte == b':').count() > 1 => None,
        None => text.find(':'),
    }
}

fn explain(name: &str, offset: usize) -> PatternError {
    if name.parse::<Ipv6Addr>().is_ok() {
        return PatternError::new(offset, "an IPv6 address stands in brackets", format!("write \"[{name}]\""));
    }
    if name.starts_with('.') || name.contains("..") || name.is_empty() {
        let at = name.find("..").map_or(0, |dots| dots + 1);
        return PatternError::new(offset + at, "a label of this host is empty", "write each label once, as in \"a.b\"");
    }
    if let Ok(url::Host::Domain(ascii)) = url::Host::parse(name)
        && !name.is_ascii()
    {
        return PatternError::new(
            offset,
            "a host is compared in the ASCII form that requests carry",
            format!("write {ascii:?}"),
        );
    }
    let help = "a host is labels of letters, digits, `-` and `_` with dots between, an IPv4 address, or an IPv6 address \
                in brackets";
    PatternError::new(offset, format!("{name:?} is not a host"), help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn authorities_and_the_host_that_they_name() {
        let long = "a".repeat(64);
        let cases: &[(&str, Option<&str>)] = &[
            ("api.acme.example", Some("api.acme.example")),
            ("Api.Acme.EXAMPLE", Some("api.acme.example")),
            ("api.acme.example:443", Some("api.acme.example")),
            ("Api.Example.COM.:443", Some("api.example.com")),
            ("api.acme.example.", Some("api.acme.example")),
            ("localhost:8080", Some("localhost")),
            ("my_service", Some("my_service")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("[::1]", Some("[::1]")),
            ("[::1]:8080", Some("[::1]")),
            ("[0:0:0:0:0:0:0:1]", Some("[::1]")),
            ("[2001:DB8::A]", Some("[2001:db8::a]")),
            ("", None),
            (".", None),
            ("a..", None),
            ("a..b", None),
            (".a", None),
            ("-a.b", None),
            (&long, None),
            ("user@a", None),
            ("user:pw@a", None),
            ("a b", None),
            (" a", None),
            ("a:", None),
            ("a:x", None),
            ("a:+80", None),
            ("a:65536", None),
            ("a:80:80", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[::1]:", None),
            ("[fe80::1%25eth0]", None),
            ("a%2eb", None),
            ("a/b", None),
            ("a,b", None),
            ("127.1", None),
            ("127.0.0.01", None),
            ("0x7f000001", None),
            ("2130706433", None),
            ("bücher.example", None),
        ];
        for (authority, host) in cases {
            assert_eq!(canonical_host(authority).as_deref(), *host, "{authority}");
        }
    }

    #[test]
    fn a_plain_host_is_borrowed() {
        for authority in ["api.acme.example:443", "api.acme.example.", "[::1]:80"] {
            assert!(matches!(canonical_host(authority), Some(Cow::Borrowed(_))), "{authority}");
        }
    }

    #[test]
    fn patterns_match_whole_labels() {
        let cases = [
            ("API.acme.example", "api.acme.example", true),
            ("api.acme.example", "apixacme.example", false),
            ("*.acme.example", "a.acme.example", true),
            ("*.acme.example", "a.b.acme.example", true),
            ("*.acme.example", "acme.example", false),
            ("*.acme.example", "evilacme.example", false),
            ("[::1]", "[::1]", true),
            ("10.0.0.1", "10.0.0.1", true),
        ];
        for (pattern, host, matches) in cases {
            assert_eq!(HostPattern::parse(pattern).unwrap().matches(host), matches, "{pattern} {host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_way_out() {
        let cases = [
            ("", 0, "leave `hosts` out"),
            ("*", 0, "leave `hosts` out"),
            ("https://api.acme.example/x", 0, "write \"api.acme.example\""),
            ("api.acme.example/x", 16, "write \"api.acme.example\""),
            ("api.acme.example:443", 16, "write \"api.acme.example\""),
            ("[::1]:443", 5, "write \"[::1]\""),
            ("me@api.acme.example", 2, "write \"api.acme.example\""),
            ("::1", 0, "write \"[::1]\""),
            ("a.*.example", 2, "\"*.example.com\""),
            ("*.*.example", 2, "\"*.example.com\""),
            ("*example.com", 0, "\"*.example.com\""),
            ("a..b", 2, "each label once"),
            ("*.", 2, "each label once"),
            ("*.10.0.0.1", 0, "write \"10.0.0.1\""),
            ("bücher.example", 0, "write \"xn--bcher-kva.example\""),
            ("a b", 0, "letters, digits"),
            ("127.1", 0, "letters, digits"),
        ];
        for (text, offset, help) in cases {
            let error = HostPattern::parse(text).unwrap_err();
            assert_eq!(error.offset, offset, "{text}: {error:?}");
            assert!(error.help.contains(help), "{text}: {error:?}");
        }
    }

    #[test]
    fn covering_hosts() {
        let cases = [
            ("a.b", "a.b", true),
            ("*.b", "a.b", true),
            ("*.b", "*.a.b", true),
            ("*.a.b", "*.b", false),
            ("a.b", "*.b", false),
            ("*.b", "b", false),
        ];
        for (wide, narrow, covers) in cases {
            let [wide, narrow] = [wide, narrow].map(|text| HostPattern::parse(text).unwrap());
            assert_eq!(wide.covers(&narrow), covers, "{wide} {narrow}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_host_is_its_own_canonical_form(text in "\\PC{0,40}|[a-zA-Z0-9.:\\[\\]-]{0,30}") {
            if let Some(host) = canonical_host(&text) {
                let again = canonical_host(&host);
                prop_assert_eq!(again.as_deref(), Some(&*host));
                prop_assert_eq!(HostPattern::parse(&host), Ok(HostPattern::Exact((&*host).into())));
            }
            let _ = HostPattern::parse(&text);
        }
    }
}
