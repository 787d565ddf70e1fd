//! Request methods (RFC 9110 section 9) as a set of bits.
//!
//! Every method of the IANA registry is a member of its own, so that a route that names `PROPFIND` takes nothing else;
//! unregistered ones share one member, "all others", which only [`MethodSet::DEFAULT`] has.

use std::fmt;

use http::Method;

use super::PatternError;

/// A set of request methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MethodSet(u64);

/// The member at each bit. The first nine are those that `http` knows as constants, in the order of [`MethodSet::of`].
const NAMES: [&str; 40] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];
const STANDARD: u64 = (1 << 9) - 1;
const TRACE: u64 = 1 << 7;
const CONNECT: u64 = 1 << 8;
const OTHERS: u64 = 1 << NAMES.len();
const ALL: u64 = (OTHERS << 1) - 1;

impl MethodSet {
    /// No method.
    pub const EMPTY: Self = Self(0);
    /// What a route without `methods` takes: all, extension methods too, but CONNECT and TRACE.
    pub const DEFAULT: Self = Self(ALL & !CONNECT & !TRACE);

    /// The one method that a request has.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        let bit = match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::PATCH => 4,
            Method::DELETE => 5,
            Method::OPTIONS => 6,
            Method::TRACE => 7,
            Method::CONNECT => 8,
            _ => NAMES.iter().position(|name| *name == method.as_str()).unwrap_or(NAMES.len()),
        };
        Self(1 << bit)
    }

    /// Parses one name as a route writes it.
    ///
    /// # Errors
    /// When it is not a registered method in its own spelling (method names are case-sensitive), or is CONNECT.
    pub fn parse(name: &str) -> Result<Self, PatternError> {
        match NAMES.iter().position(|known| *known == name) {
            Some(bit) if 1 << bit == CONNECT => Err(PatternError::new(
                0,
                "CONNECT asks for a tunnel, which a route cannot give",
                "take it out of `methods`",
            )),
            Some(bit) => Ok(Self(1 << bit)),
            None => Err(unknown(name)),
        }
    }

    /// Whether all of `other` are members.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The members of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The members of both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether they share a member.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is no member.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many members there are, "all others" counted once. Of two routes with one path, the smaller set wins.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The names of the members. A set with "all others" lists only the standard methods (RFC 9110 section 9.3), for
    /// the registry's long tail would say less than nothing in an `Allow` header.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        let shown = if self.0 & OTHERS == 0 { self.0 } else { self.0 & STANDARD };
        NAMES.iter().enumerate().filter(move |(bit, _)| shown & (1 << bit) != 0).map(|(_, name)| *name)
    }
}

impl FromIterator<MethodSet> for MethodSet {
    fn from_iter<I: IntoIterator<Item = MethodSet>>(sets: I) -> Self {
        sets.into_iter().fold(Self::EMPTY, Self::union)
    }
}

/// As in an `Allow` header (RFC 9110 section 10.2.1): `GET, HEAD`.
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

fn unknown(name: &str) -> PatternError {
    let upper = name.to_ascii_uppercase();
    if NAMES.contains(&upper.as_str()) {
        return PatternError::new(
            0,
            format!("{name:?} is not a method: their names are case-sensitive"),
            format!("write {upper:?}"),
        );
    }
    PatternError::new(
        0,
        format!("{name:?} is not a registered HTTP method"),
        "name methods such as \"GET\", or leave `methods` out to take all but CONNECT and TRACE",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_the_method_that_it_names() {
        for name in NAMES {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(MethodSet::of(&method).iter().collect::<Vec<_>>(), [name]);
            assert_eq!(MethodSet::parse(name).ok(), (name != "CONNECT").then(|| MethodSet::of(&method)), "{name}");
        }
    }

    #[test]
    fn the_default_takes_extensions_but_no_tunnel_and_no_echo() {
        for (name, taken) in
            [("GET", true), ("OPTIONS", true), ("PROPFIND", true), ("FROB", true), ("TRACE", false), ("CONNECT", false)]
        {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(MethodSet::DEFAULT.contains(MethodSet::of(&method)), taken, "{name}");
        }
    }

    #[test]
    fn a_named_extension_takes_nothing_but_itself() {
        let propfind = MethodSet::parse("PROPFIND").unwrap();
        assert!(!propfind.contains(MethodSet::of(&Method::from_bytes(b"PROPPATCH").unwrap())));
        assert!(!propfind.contains(MethodSet::of(&Method::from_bytes(b"FROB").unwrap())));
    }

    #[test]
    fn shown_as_an_allow_header() {
        let reads = MethodSet::of(&Method::HEAD).union(MethodSet::of(&Method::GET));
        for (set, shown) in [
            (MethodSet::EMPTY, ""),
            (reads, "GET, HEAD"),
            (reads.union(MethodSet::parse("QUERY").unwrap()), "GET, HEAD, QUERY"),
            (MethodSet::DEFAULT, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ] {
            assert_eq!(set.to_string(), shown);
        }
    }

    #[test]
    fn names_that_are_none_are_refused_with_the_way_out() {
        for (name, help) in [("get", "write \"GET\""), ("FROB", "leave `methods` out"), ("", "leave `methods` out")] {
            let error = MethodSet::parse(name).unwrap_err();
            assert!(error.help.contains(help), "{name}: {error:?}");
        }
    }
}
