//! The status page: one HTML document without script, its style inside it and named by digest in the policy.
//!
//! Everything that is not a literal of this file goes through [`Text`], which escapes it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::observe::metrics::{NO_ROUTE, RouteTotals};
use crate::observe::readiness::{Report, TaskState};
use crate::secret::sha256;

use super::{IssuerStatus, PATHS, RouteStatus};

/// Rows of the table of routes; the busiest are shown.
const ROWS: usize = 200;

/// Columns that hold numbers.
const NUMBERS: [&str; 6] = ["Keys", "Requests", "2xx", "3xx", "4xx", "5xx"];

const STYLE: &str = include_str!("page.css");

/// What the page shows.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) uptime: Duration,
    pub(super) ready: bool,
    pub(super) tasks: Vec<(Arc<str>, Report)>,
    pub(super) issuers: Vec<IssuerStatus>,
    pub(super) routes: Vec<RouteStatus>,
    pub(super) totals: BTreeMap<String, RouteTotals>,
}

/// No script, no frame, no form, nothing from elsewhere; the one style of the page.
pub(super) fn content_security_policy() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let digest = STANDARD.encode(sha256(STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        HeaderValue::try_from(policy).expect("letters and punctuation of this file, and base64")
    });
    POLICY.clone()
}

/// The whole document.
pub(super) fn render(status: &Status) -> String {
    let mut html = String::with_capacity(8 * 1024);
    // Writing to a String cannot fail.
    let _complete = write_page(&mut html, status).is_ok();
    html
}

fn write_page(html: &mut String, status: &Status) -> fmt::Result {
    let verdict = if status.ready { ("ok", "Ready") } else { ("failed", "Not ready") };
    write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Tollgate: {title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<header>\n<h1>Tollgate</h1>\n<p><span class=\"state {class}\">{title}</span> version {version}, \
         up for {uptime}</p>\n</header>\n<main>\n",
        title = verdict.1,
        class = verdict.0,
        version = env!("CARGO_PKG_VERSION"),
        uptime = Span(status.uptime),
    )?;
    write_tasks(html, &status.tasks)?;
    write_issuers(html, &status.issuers)?;
    write_routes(html, &status.routes, &status.totals)?;
    html.push_str("</main>\n<footer>\n<nav>");
    for (path, what) in &PATHS[1..] {
        write!(html, "<a href=\"{path}\" title=\"{}\">{path}</a> ", Text(what))?;
    }
    html.write_str("</nav>\n</footer>\n</body>\n</html>\n")
}

fn write_tasks(html: &mut String, tasks: &[(Arc<str>, Report)]) -> fmt::Result {
    if tasks.is_empty() {
        return empty_section(html, "Readiness", "Nothing has reported yet.");
    }
    section(html, "Readiness", &["Task", "State", "Reason"], |html| {
        tasks.iter().try_for_each(|(name, report)| {
            let class = match report.state {
                TaskState::Ok => "ok",
                TaskState::Pending => "pending",
                TaskState::Failed => "failed",
            };
            writeln!(
                html,
                "<tr><th scope=\"row\">{}</th><td><span class=\"state {class}\">{}</span></td><td>{}</td></tr>",
                Text(name),
                report.state.as_str(),
                Text(&report.reason)
            )
        })
    })
}

fn write_issuers(html: &mut String, issuers: &[IssuerStatus]) -> fmt::Result {
    if issuers.is_empty() {
        return empty_section(html, "Issuers", "No issuer is configured.");
    }
    let columns = ["Issuer", "Identifier", "Keys", "State", "Fetched", "Last error", "Introspection"];
    section(html, "Issuers", &columns, |html| {
        issuers.iter().try_for_each(|issuer| {
            write!(
                html,
                "<tr><th scope=\"row\">{}</th><td><code>{}</code></td><td class=\"number\">{}</td><td>{}</td><td>",
                Text(&issuer.name),
                Text(&issuer.issuer),
                issuer.keys,
                Text(issuer.state)
            )?;
            match issuer.age {
                Some(age) => write!(html, "{} ago", Span(age))?,
                None => html.push_str("never"),
            }
            let [error, asked] =
                [&issuer.last_error, &issuer.introspection].map(|text| text.as_deref().unwrap_or_default());
            writeln!(html, "</td><td>{}</td><td>{}</td></tr>", Text(error), Text(asked))
        })
    })
}

fn write_routes(html: &mut String, routes: &[RouteStatus], totals: &BTreeMap<String, RouteTotals>) -> fmt::Result {
    if routes.is_empty() {
        return empty_section(html, "Routes", "No route is configured.");
    }
    let columns = ["Route", "Matches", "Access", "Upstream", "Requests", "2xx", "3xx", "4xx", "5xx", "Refused"];
    let unseen = RouteTotals::default();
    let total = |name: &str| totals.get(name).unwrap_or(&unseen);
    let mut busiest: Vec<&RouteStatus> = routes.iter().collect();
    if busiest.len() > ROWS {
        busiest.sort_by_key(|route| std::cmp::Reverse(requests(total(&route.name))));
        busiest.truncate(ROWS);
    }
    section(html, "Routes", &columns, |html| {
        for route in &busiest {
            write!(
                html,
                "<tr><th scope=\"row\">{}</th><td><code>{}</code></td><td>{}</td><td>{}</td>",
                Text(&route.name),
                Text(&route.matches),
                Text(&route.access),
                Text(&route.upstream)
            )?;
            write_counts(html, total(&route.name))?;
        }
        write!(html, "<tr><th scope=\"row\">{NO_ROUTE}</th><td colspan=\"3\">what no route matched</td>")?;
        write_counts(html, total(NO_ROUTE))
    })?;
    if routes.len() > busiest.len() {
        writeln!(html, "<p>The {} busiest of {} routes.</p>", busiest.len(), routes.len())?;
    }
    Ok(())
}

fn write_counts(html: &mut String, totals: &RouteTotals) -> fmt::Result {
    write!(html, "<td class=\"number\">{}</td>", requests(totals))?;
    for class in ["2xx", "3xx", "4xx", "5xx"] {
        write!(html, "<td class=\"number\">{}</td>", totals.by_class.get(class).unwrap_or(&0))?;
    }
    let mut denials: Vec<(&String, &u64)> = totals.denials.iter().collect();
    denials.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    html.push_str("<td>");
    for (position, (code, count)) in denials.iter().enumerate() {
        write!(html, "{}{count} {}", if position > 0 { ", " } else { "" }, Text(code))?;
    }
    html.write_str("</td></tr>\n")
}

fn requests(totals: &RouteTotals) -> u64 {
    totals.by_class.values().sum()
}

/// A heading and a table.
fn section(
    html: &mut String,
    title: &str,
    columns: &[&str],
    rows: impl FnOnce(&mut String) -> fmt::Result,
) -> fmt::Result {
    write!(
        html,
        "<section>\n<h2>{title}</h2>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\
        <table>\n<thead><tr>"
    )?;
    columns.iter().try_for_each(|column| {
        let class = if NUMBERS.contains(column) { " class=\"number\"" } else { "" };
        write!(html, "<th scope=\"col\"{class}>{column}</th>")
    })?;
    html.push_str("</tr></thead>\n<tbody>\n");
    rows(html)?;
    html.write_str("</tbody>\n</table></div>\n</section>\n")
}

/// A heading, and a sentence in place of the table.
fn empty_section(html: &mut String, title: &str, sentence: &str) -> fmt::Result {
    writeln!(html, "<section>\n<h2>{title}</h2>\n<p>{sentence}</p>\n</section>")
}

/// A text that means nothing to HTML, in content and in quoted attributes.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            letter => f.write_char(letter),
        })
    }
}

/// A stretch of time in its two largest units.
struct Span(Duration);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..60 => write!(f, "{seconds} s"),
            60..3600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            3600..86_400 => write!(f, "{} h {} min", seconds / 3600, seconds / 60 % 60),
            _ => write!(f, "{} d {} h", seconds / 86_400, seconds / 3600 % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_spans() {
        assert_eq!(Text("<a href=\"x\">&'").to_string(), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        for (seconds, shown) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3725, "1 h 2 min"), (86_400 * 3 + 7_300, "3 d 2 h")]
        {
            assert_eq!(Span(Duration::from_secs(seconds)).to_string(), shown);
        }
    }

    #[test]
    fn of_many_routes_the_busiest_are_shown() {
        let route = |number: usize| RouteStatus {
            name: format!("route-{number}.").into(),
            matches: "GET /".into(),
            access: "public".into(),
            upstream: "orders".into(),
        };
        let busy =
            RouteTotals { by_class: [("2xx".to_owned(), 7)].into(), denials: [("expired".to_owned(), 2)].into() };
        let html = render(&Status {
            uptime: Duration::ZERO,
            ready: false,
            tasks: Vec::new(),
            issuers: Vec::new(),
            routes: (0..ROWS + 100).map(route).collect(),
            totals: [("route-250.".to_owned(), busy)].into(),
        });
        assert_eq!(html.matches("<th scope=\"row\">").count(), ROWS + 1);
        assert!(html.contains("route-250.</th>") && html.contains("2 expired") && !html.contains("route-299."));
        assert!(html.contains("The 200 busiest of 300 routes.") && html.contains("Nothing has reported yet."));
    }
}
