//! Wildcards as other gateways write them: `/api/*`, `/api/**`, `/orders/:id`.
//!
//! These characters are ordinary ones of a path (RFC 3986, section 3.3), so such a route is legal; it takes almost no
//! request that its author had in mind.

use super::Check;
use crate::config::diagnostic::{Code, Diagnostic, Span};

/// Warns of what looks like a wildcard in the path of a route that was written at `place`.
pub fn check(path: &str, place: &Span, check: &mut Check<'_, '_>) {
    let Some((segment, meant, literal)) = mistaken(path) else { return };
    let message = format!("`{segment}` is no wildcard here: it stands for itself");
    let help = format!("write \"{meant}\"; where the character itself is meant, {literal} says so");
    check.report(Diagnostic::new(Code::LiteralWildcard, message).at(place, "").help(help));
}

/// The first segment that looks like a wildcard, the path that was meant, and how the character itself is written.
fn mistaken(path: &str) -> Option<(&str, String, &'static str)> {
    let (front, segment) = path
        .match_indices('/')
        .map(|(at, _)| (&path[..at], first_segment(&path[at + 1..])))
        .find(|(_, segment)| segment.contains('*') && !segment.contains('{') || parameter(segment).is_some())?;
    let after = &path[front.len() + 1 + segment.len()..];
    let meant = match parameter(segment) {
        Some(name) => return Some((segment, format!("{front}/{{{name}}}{after}"), "%3A")),
        None if after.is_empty() => format!("{front}/{{*rest}}"),
        None => format!("{front}/{{name}}{after}"),
    };
    Some((segment, meant, "%2A"))
}

fn first_segment(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// The name of `:name`.
fn parameter(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix(':')?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_is_known_with_what_was_meant() {
        for (path, segment, meant, literal) in [
            ("/api/*", "*", "/api/{*rest}", "%2A"),
            ("/*", "*", "/{*rest}", "%2A"),
            ("/api/**", "**", "/api/{*rest}", "%2A"),
            ("/api/v*/x", "v*", "/api/{name}/x", "%2A"),
            ("/orders/:id/items", ":id", "/orders/{id}/items", "%3A"),
            ("/{a}/:b", ":b", "/{a}/{b}", "%3A"),
        ] {
            assert_eq!(mistaken(path), Some((segment, meant.to_owned(), literal)), "{path}");
        }
        for path in ["/", "/api/{*rest}", "/orders/{id}", "/v1/books:read", "/a/:", "/a/:b-c", "/%2A", "/a%3Ab"] {
            assert_eq!(mistaken(path), None, "{path}");
        }
    }
}
