//! Cookies: reading the ones that a browser sends, and writing ours.
//!
//! Ours are HttpOnly and for the whole host. Over https their names begin with `__Host-`, so that no other host and no
//! cleartext page can plant one (RFC 6265bis, section 4.1.3.2), and they are Secure. A name that comes twice counts as
//! not there: who planted which cannot be told.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// How the cookies of one login are called and marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jar {
    name: String,
    secure: bool,
}

/// What a cookie is sent with when another site causes the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Only with navigations by GET.
    Lax,
    /// Always; browsers demand Secure for it.
    None,
}

impl Jar {
    /// The cookies of `login`; `secure` when the application is reached by https.
    #[must_use]
    pub fn new(login: &str, secure: bool) -> Self {
        Self { name: format!("{}{login}", prefix(secure)), secure }
    }

    /// The full name of the cookie with this suffix; the empty one is the session's own.
    #[must_use]
    pub fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.name)
    }

    /// The value of the cookie with this suffix, if it came exactly once.
    #[must_use]
    pub fn get<'h>(&self, headers: &'h HeaderMap, suffix: &str) -> Option<&'h str> {
        let name = self.name(suffix);
        let mut values = crumbs(headers).filter(|(found, _)| *found == name).map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    }

    /// The suffixes and values of all cookies whose suffix begins with `start`, as they came.
    pub fn beginning<'h>(&self, headers: &'h HeaderMap, start: &str) -> impl Iterator<Item = (&'h str, &'h str)> {
        let (own, start) = (self.name.clone(), start.to_owned());
        crumbs(headers).filter_map(move |(name, value)| {
            let suffix = name.strip_prefix(&*own)?;
            suffix.starts_with(&start).then_some((suffix, value))
        })
    }

    /// Sets a cookie. Without `max_age` (seconds) it ends with the browser's session.
    #[must_use]
    pub fn set(&self, suffix: &str, value: &str, max_age: Option<u64>, same_site: SameSite) -> Option<HeaderValue> {
        let same_site = match same_site {
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        let age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{}={value}; Path=/; HttpOnly; SameSite={same_site}{secure}{age}", self.name(suffix));
        HeaderValue::try_from(text).ok()
    }

    /// Takes a cookie away from the browser.
    #[must_use]
    pub fn clear(&self, suffix: &str) -> Option<HeaderValue> {
        self.set(suffix, "", Some(0), SameSite::Lax)
    }
}

const fn prefix(secure: bool) -> &'static str {
    if secure { "__Host-tollgate-" } else { "tollgate-" }
}

/// Whether a cookie is one of ours, of whatever login, and so nothing for upstreams.
#[must_use]
pub fn is_ours(name: &[u8]) -> bool {
    [prefix(true), prefix(false)]
        .iter()
        .any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())))
}

/// Name and value of every cookie that is plain ASCII. One that is not stands by itself: applications set such, and browsers put
/// all into one field.
fn crumbs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let fields = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    fields.flat_map(|field| field.split(|byte| *byte == b';')).filter_map(|crumb| {
        let crumb = std::str::from_utf8(crumb).ok().filter(|crumb| crumb.is_ascii())?;
        let (name, value) = crumb.split_once('=')?;
        Some((name.trim(), value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_bytes(field.as_bytes()).expect("a value"));
        }
        headers
    }

    #[test]
    fn a_cookie_counts_if_it_came_once() {
        let jar = Jar::new("web", true);
        let cases: [(&[&str], Option<&str>); 12] = [
            (&["a=b; __Host-tollgate-web=x; c=d"], Some("x")),
            (&["a=b", "__Host-tollgate-web=x"], Some("x")),
            (&["__Host-tollgate-web="], Some("")),
            (&["__Host-tollgate-web=x; __Host-tollgate-web=y"], None),
            (&["__Host-tollgate-web=x", "__Host-tollgate-web=x"], None),
            (&["tollgate-web=x"], None),
            (&["__Host-tollgate-web2=x; __host-tollgate-web=y"], None),
            (&[";;=;", "", "="], None),
            (&["__Host-tollgate-web"], None),
            (&["name=José; __Host-tollgate-web=x; größe=1"], Some("x")),
            // What a browser does not know as a name with the prefix is not one here either.
            (&["\u{a0}__Host-tollgate-web=x"], None),
            (&["__Host-tollgate-web=x; \u{3000}__Host-tollgate-web=y"], Some("x")),
        ];
        for (fields, expected) in cases {
            assert_eq!(jar.get(&headers(fields), ""), expected, "{fields:?}");
        }
        let found = headers(&["__Host-tollgate-web-tx-a=1; __Host-tollgate-web=s; __Host-tollgate-web-tx-b=2"]);
        assert_eq!(jar.beginning(&found, "-tx-").collect::<Vec<_>>(), [("-tx-a", "1"), ("-tx-b", "2")]);
    }

    #[test]
    fn cookies_are_marked_by_how_the_application_is_reached() {
        let set = |secure| Jar::new("web", secure).set("", "v", Some(9), SameSite::Lax).expect("a value");
        assert_eq!(set(true), "__Host-tollgate-web=v; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=9");
        assert_eq!(set(false), "tollgate-web=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=9");
        assert_eq!(Jar::new("web", true).set("", "a\nb", None, SameSite::None), None);
        for (name, ours) in [("tollgate-web", true), ("__HOST-Tollgate-x", true), ("xtollgate-web", false), ("", false)]
        {
            assert_eq!(is_ours(name.as_bytes()), ours, "{name}");
        }
    }
}
