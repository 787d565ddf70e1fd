//! Where a browser goes after a login or a logout: a place of the application, and nowhere else.

use url::Url;

/// What cannot be read as a place of the application becomes its front page.
const FRONT: &str = "/";

/// The longest target that is kept, in bytes; a browser that needs more starts at the front page.
const MAX_BYTES: usize = 1024;

/// The path, query and fragment that `asked` leads to, if that is on `origin` and not one of the gateway's own paths; else `/`.
/// The fragment is where applications with routes in it stand; a browser shows it to no server, and resolves nothing in it.
///
/// What browsers forgive is refused here: backslashes, blanks and control characters, raw or at the edges, an
/// authority hidden behind slashes, a target without a leading slash.
#[must_use]
pub fn safe(asked: &str, origin: &str) -> String {
    let path = asked.strip_prefix(origin).filter(|rest| rest.starts_with(['/', '?'])).unwrap_or(asked);
    let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let rooted = path.starts_with('/') && !path.starts_with("//");
    // Percent-encoded slashes, dots and controls right at the front could be undone by a sloppy reader further on.
    let odd =
        path.get(1..).is_some_and(|rest| rest.starts_with('%') || rest.starts_with("/") || rest.starts_with(".%"));
    if plain && rooted && !odd && path.len() <= MAX_BYTES && !leads_elsewhere(&path, origin) {
        path
    } else {
        FRONT.to_owned()
    }
}

/// Whether a browser that is sent to `path` comes to one of the gateway's own paths, or leaves the origin: it resolves dot segments.
fn leads_elsewhere(path: &str, origin: &str) -> bool {
    let Some((origin, url)) =
        Url::parse(origin).ok().and_then(|origin| Some((origin.origin(), origin.join(path).ok()?)))
    else {
        return true;
    };
    let ours = url.path().strip_prefix("/.tollgate").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    ours || url.origin() != origin
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORIGIN: &str = "https://app.example";

    #[test]
    fn open_redirects_of_other_gateways_lead_to_the_front_page() {
        let good = [
            ("/", "/"),
            ("/a/b?c=d&e=https://x", "/a/b?c=d&e=https://x"),
            ("https://app.example/a", "/a"),
            ("https://app.example?x", "/?x"),
            ("/a%20b", "/a%20b"),
            ("/.tollgates", "/.tollgates"),
            ("/#/orders/7", "/#/orders/7"),
            ("https://app.example/a?b#c", "/a?b#c"),
            ("/a#//evil.example", "/a#//evil.example"),
        ];
        for (asked, expected) in good {
            assert_eq!(safe(asked, ORIGIN), expected, "{asked}");
        }
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for asked in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/%09/evil.example",
            "/%2f/evil.example",
            "/%5cevil.example",
            "/\t/evil.example",
            " /a",
            "/a ",
            "/a\r\nSet-Cookie: x=y",
            "https:evil.example",
            "https://evil.example/",
            "https://app.example.evil.example/",
            "https://app.example@evil.example/",
            "//a@evil.example",
            "https://app.exampleevil",
            "http://app.example/",
            "HTTPS://APP.EXAMPLE/",
            "javascript:1",
            "data:text/html,x",
            "#/evil",
            "https://app.example#@evil.example",
            "/.tollgate#/x",
            "/x/../.tollgate/login#/x",
            "/a#\\evil",
            "https://app.example//evil.example",
            "///evil.example",
            "/.tollgate/logout",
            "/.tollgate",
            "/.tollgate?x",
            "/./.tollgate/login",
            "/x/../.tollgate/login?return_to=/x",
            "/x/%2e%2E/.tollgate",
            "/\u{2028}",
            "/\u{ff0f}evil.example",
            &long,
        ] {
            assert_eq!(safe(asked, ORIGIN), "/", "{asked:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_stays_on_the_origin(asked in "[/\\\\.%a-z:@?#\t ]{0,24}") {
            let base = url::Url::parse(ORIGIN).unwrap();
            let target = base.join(&safe(&asked, ORIGIN)).unwrap();
            prop_assert_eq!(target.origin(), base.origin(), "{}", asked);
        }
    }
}
