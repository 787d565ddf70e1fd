//! Distinguished names as people write them (RFC 4514): `CN=web,O=Acme`.
//!
//! Attribute types are known by their usual short names or by number. Refuses values in hexadecimal (`#...`) and quotes,
//! which nobody writes by hand.

/// The types that have names (RFC 4514, section 3; RFC 4519; RFC 2985, section 5.2.1).
const TYPES: [(&str, &str); 15] = [
    ("CN", "2.5.4.3"),
    ("SN", "2.5.4.4"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("TITLE", "2.5.4.12"),
    ("GIVENNAME", "2.5.4.42"),
    ("ORGANIZATIONIDENTIFIER", "2.5.4.97"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
];

/// A distinguished name, in the order of certificates: the country comes before the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinguishedName(Vec<Vec<(String, String)>>);

impl DistinguishedName {
    /// Of its relative names, each with attributes by number; their order inside a relative name means nothing.
    pub(super) fn of(mut relative: Vec<Vec<(String, String)>>) -> Self {
        relative.iter_mut().for_each(|attributes| attributes.sort());
        Self(relative)
    }

    /// Reads one as it is written, the person first.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let relative = split(text, ',').map(|part| split(part, '+').map(attribute).collect::<Result<Vec<_>, _>>());
        let mut relative: Vec<_> = relative.collect::<Result<_, _>>()?;
        relative.reverse();
        Ok(Self::of(relative))
    }
}

fn attribute(text: &str) -> Result<(String, String), &'static str> {
    let (kind, value) = text.split_once('=').ok_or("an attribute is written as TYPE=VALUE")?;
    let kind = kind.trim();
    let numeric = !kind.is_empty() && kind.split('.').all(|part| part.parse::<u64>().is_ok());
    let known = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind)).map(|(_, number)| *number);
    let kind = known.or(numeric.then_some(kind)).ok_or("an attribute type is not known; its number would do")?;
    Ok((kind.to_owned(), unescaped(trimmed(value))?))
}

/// Without the blanks around it, but for one that is escaped.
fn trimmed(text: &str) -> &str {
    let text = text.trim_start_matches(' ');
    let kept = text.trim_end_matches(' ');
    if kept.len() < text.len() && !backslashes(kept).is_multiple_of(2) { &text[..=kept.len()] } else { kept }
}

/// How many of them stand at the end.
fn backslashes(text: &str) -> usize {
    text.len() - text.trim_end_matches('\\').len()
}

/// The parts between separators that are not escaped.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end =
            text.match_indices(separator).map(|(at, _)| at).find(|at| backslashes(&text[..*at]).is_multiple_of(2));
        rest = end.map(|at| &text[at + separator.len_utf8()..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// Undoes `\,` and `\2C`.
fn unescaped(text: &str) -> Result<String, &'static str> {
    let broken = "a backslash is followed by a character to keep, or by two hexadecimal digits";
    if text.is_empty() || text.starts_with(['#', '"']) {
        return Err("an attribute has no value, or one in quotes or hexadecimal");
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let hex = rest.first_chunk::<2>().filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let hex = hex.and_then(|pair| std::str::from_utf8(pair).ok());
        if let Some(byte) = hex.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            bytes.push(byte);
            rest = &rest[2..];
        } else {
            let kept = rest.first().filter(|byte| b" \"#+,;<=>\\".contains(byte)).ok_or(broken)?;
            bytes.push(*kept);
            rest = &rest[1..];
        }
    }
    String::from_utf8(bytes).map_err(|_| "a value is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_specification_writes_them() {
        let name = |relative: &[&[(&str, &str)]]| {
            let owned = |(kind, value): &(&str, &str)| ((*kind).to_owned(), (*value).to_owned());
            DistinguishedName::of(relative.iter().map(|one| one.iter().map(owned).collect()).collect())
        };
        let (cn, o, ou, dc) = ("2.5.4.3", "2.5.4.10", "2.5.4.11", "0.9.2342.19200300.100.1.25");
        for (text, expected) in [
            ("CN=web", name(&[&[(cn, "web")]])),
            // RFC 4514, section 4.
            (
                "OU=Sales+CN=J.  Smith,DC=example,DC=net",
                name(&[&[(dc, "net")], &[(dc, "example")], &[(cn, "J.  Smith"), (ou, "Sales")]]),
            ),
            (r#"CN=James \"Jim\" Smith\, III"#, name(&[&[(cn, r#"James "Jim" Smith, III"#)]])),
            (r"CN=a\+f", name(&[&[(cn, "a+f")]])),
            (r"CN=Before\0dAfter", name(&[&[(cn, "Before\rAfter")]])),
            (r"CN=Lu\C4\8Di\C4\87", name(&[&[(cn, "Lučić")]])),
            (" cn = web , 2.5.4.10 = Acme ", name(&[&[(o, "Acme")], &[(cn, "web")]])),
            (r"CN=web\ ,O=\\", name(&[&[(o, "\\")], &[(cn, "web ")]])),
        ] {
            assert_eq!(DistinguishedName::parse(text), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "web",
            "CN=",
            "X=web",
            "CN=web,",
            "CN=a+",
            r"CN=\x",
            r"CN=\",
            "CN=#0403",
            "CN=\"web\"",
            r"CN=\ff",
            "=a",
        ] {
            assert!(DistinguishedName::parse(bad).is_err(), "{bad}");
        }
    }
}
