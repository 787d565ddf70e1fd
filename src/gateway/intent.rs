//! What a browser means by a request, as far as it says: whether a person is on the way to a page, and whether another site
//! made it send this (Fetch Metadata; `Origin`; the older ways to tell of fetching ahead).
//!
//! Whoever says nothing is a program. What is told here opens nothing: it decides how a refusal looks, and refuses.

use http::Method;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, ORIGIN, UPGRADE};

const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Fields by which browsers say that nobody asked for the page yet; the last three are of older ones.
const AHEAD: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
];

/// What becomes of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// A person waits for a page, and can be led over a login to it.
    Visit,
    /// A person is shown it, but cannot be led anywhere: a form that was sent would be lost on the way, a page that is fetched
    /// ahead was not asked for, and in a frame of another site's page a login has no cookies.
    Show,
    /// A program reads it.
    Read,
}

impl Intent {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        if !navigates(headers) {
            return Self::Read;
        }
        let led = matches!(*method, Method::GET | Method::HEAD) && !is_ahead(headers) && !is_foreign_frame(headers);
        if led { Self::Visit } else { Self::Show }
    }
}

/// Whether this is a browser on its way to a page, by whatever method. Scripts of browsers that send no `Sec-Fetch-Mode` are
/// known by what their libraries add.
pub(super) fn navigates(headers: &HeaderMap) -> bool {
    // Most requests are of programs: what they lack is looked for first.
    let wants_page = match headers.get(FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => {
            let by_script = || headers.get(REQUESTED_WITH).is_some_and(|with| with == "XMLHttpRequest");
            headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html")) && !by_script()
        }
    };
    wants_page && !headers.contains_key(UPGRADE)
}

/// Whether the browser itself says that nobody is on the way to a page: it fetches ahead, or for a picture, a script or a
/// frame of another site's. Who says nothing may be a person.
pub(super) fn is_no_visit(headers: &HeaderMap) -> bool {
    is_ahead(headers) || is_foreign_frame(headers) || headers.get(FETCH_MODE).is_some_and(|mode| mode != "navigate")
}

/// Whether a browser fetches ahead what a person may want next.
fn is_ahead(headers: &HeaderMap) -> bool {
    let ahead = |field: &HeaderValue| {
        let mut words = field.as_bytes().split(|byte| b",;".contains(byte)).map(<[u8]>::trim_ascii);
        words.any(|word| word.eq_ignore_ascii_case(b"prefetch") || word.eq_ignore_ascii_case(b"preview"))
    };
    AHEAD.iter().any(|name| headers.get_all(name).iter().any(ahead))
}

/// Whether the page goes into a frame of another site's page, to which browsers send no cookies that are SameSite=Lax.
fn is_foreign_frame(headers: &HeaderMap) -> bool {
    let framed = headers.get(FETCH_DEST).is_some_and(|dest| dest != "document" && dest != "empty");
    framed && headers.get(FETCH_SITE).is_some_and(|site| site == "cross-site")
}

/// Whether more can come of a request than a page that another site cannot read: its method is not safe, or it opens a
/// WebSocket, which every site may read (RFC 6455 section 10.2).
pub(super) fn may_change(method: &Method, headers: &HeaderMap) -> bool {
    !method.is_safe() || headers.contains_key(UPGRADE)
}

/// Whether another site made the browser send this, as far as the browser says. One that says nothing sends a cookie that
/// is SameSite=Lax only from our own pages, when the method is unsafe.
pub(super) fn comes_from_elsewhere(headers: &HeaderMap, origin: &str) -> bool {
    let mut sites = headers.get_all(FETCH_SITE).iter().peekable();
    if sites.peek().is_some() {
        return !sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    }
    headers.get_all(ORIGIN).iter().any(|sent| sent.as_bytes() != origin.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'a> = &'a [(&'static str, &'static str)];

    fn headers(fields: Fields<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn other_sites_are_known_by_what_the_browser_says() {
        let own = "https://app.example";
        let cases: [(Fields<'_>, bool); 12] = [
            (&[], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "")], true),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")], true),
            (&[("origin", "https://app.example")], false),
            (&[("origin", "https://app.example:8443")], true),
            (&[("origin", "null")], true),
            (&[("origin", "https://app.example"), ("origin", "https://evil.example")], true),
        ];
        for (fields, elsewhere) in cases {
            assert_eq!(comes_from_elsewhere(&headers(fields), own), elsewhere, "{fields:?}");
        }
    }

    #[test]
    fn a_socket_may_change_things_as_an_unsafe_method_may() {
        let socket: Fields<'_> = &[("connection", "Upgrade"), ("upgrade", "websocket")];
        for (method, fields, changes) in [("GET", &[][..], false), ("GET", socket, true), ("POST", &[][..], true)] {
            assert_eq!(may_change(&method.parse().unwrap(), &headers(fields)), changes, "{method} {fields:?}");
        }
    }

    #[test]
    fn a_person_on_the_way_to_a_page_is_told_from_a_program() {
        use Intent::{Read, Show, Visit};
        let navigation = ("sec-fetch-mode", "navigate");
        let (html, frame) = (("accept", "text/html,application/xhtml+xml"), ("sec-fetch-dest", "iframe"));
        let cases: [(&str, Fields<'_>, Intent); 25] = [
            ("GET", &[navigation], Visit),
            ("HEAD", &[navigation], Visit),
            ("GET", &[navigation, ("accept", "application/json")], Visit),
            ("GET", &[html], Visit),
            ("GET", &[html, ("sec-fetch-mode", "cors")], Read),
            ("GET", &[html, ("sec-fetch-mode", "")], Read),
            ("GET", &[html, ("x-requested-with", "XMLHttpRequest")], Read),
            ("GET", &[("accept", "*/*")], Read),
            ("GET", &[("accept", "application/json, text/html")], Read),
            ("GET", &[], Read),
            ("POST", &[navigation], Show),
            ("POST", &[html], Show),
            ("OPTIONS", &[navigation], Show),
            ("GET", &[navigation, ("upgrade", "websocket")], Read),
            ("GET", &[navigation, ("sec-purpose", "prefetch")], Show),
            ("GET", &[navigation, ("sec-purpose", "prefetch;prerender")], Show),
            ("GET", &[html, ("purpose", "prefetch")], Show),
            ("GET", &[html, ("x-moz", "prefetch")], Show),
            ("GET", &[html, ("x-purpose", "preview")], Show),
            ("GET", &[navigation, ("sec-purpose", "")], Visit),
            ("GET", &[navigation, frame, ("sec-fetch-site", "same-origin")], Visit),
            ("GET", &[navigation, frame, ("sec-fetch-site", "cross-site")], Show),
            // Its cookies come along into the frame.
            ("GET", &[navigation, frame, ("sec-fetch-site", "same-site")], Visit),
            ("GET", &[navigation, ("sec-fetch-dest", "document"), ("sec-fetch-site", "cross-site")], Visit),
            // A download.
            ("GET", &[navigation, ("sec-fetch-dest", "empty"), ("sec-fetch-site", "cross-site")], Visit),
        ];
        for (method, fields, intent) in cases {
            assert_eq!(Intent::of(&method.parse().unwrap(), &headers(fields)), intent, "{method} {fields:?}");
        }
    }
}
