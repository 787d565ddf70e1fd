//! Pages for people: no script, nothing from elsewhere, dark or light as the reader's system says.
//!
//! Every text that comes from the settings is escaped; secrets and passwords are not shown.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};

use super::State;
use super::endpoints::Endpoint;
use super::reply::{self, Reply};
use super::settings::{Client, Grant};
use crate::secret::sha256;

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1d2329; --paper: #fbfbfa; --line: #d5d9dd; --note: #8a4b00; --noted: #fff3df; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --paper: #16191d; --line: #3a4148; --note: #ffc978; --noted: #33270f; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 56rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
.note { display: inline-block; padding: .3rem .7rem; border-radius: .4rem; color: var(--note); background: var(--noted);
  font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .45rem .9rem .45rem 0; border-bottom: 1px solid var(--line); }
code, pre { font: .92em/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .4rem; }
a { color: inherit; }
";

/// The front page: what there is and who may use it.
pub(super) fn index(state: &State) -> Reply {
    let (settings, endpoints) = (&state.settings, &state.endpoints);
    let mut body = format!(
        "<h1>Tollgate authority</h1>\n<p class=\"note\">Development only</p>\n\
         <p>An OAuth 2.0 Authorization Server for trying things out. Its issuer is <code>{}</code>.</p>\n",
        escape(&settings.issuer)
    );
    let metadata = [
        ("OpenID Connect metadata", &endpoints.openid_configuration),
        ("OAuth 2.0 metadata", &endpoints.authorization_server),
        ("Keys", &endpoints.jwks),
    ];
    let mut rows: Vec<_> = metadata.iter().map(|(what, at)| vec![(*what).to_owned(), link(at)]).collect();
    rows.push(vec!["Tokens".into(), format!("<code>POST {}</code>", escape(&endpoints.token.url))]);
    table(&mut body, "Endpoints", &["What", "Where"], &rows);
    let clients: Vec<_> = settings.clients.iter().map(client_row).collect();
    table(&mut body, "Clients", &["Client", "Kind", "Grants", "Scopes"], &clients);
    let users: Vec<_> = settings.users.iter().map(|user| vec![code(&user.name), code(&user.sub)]).collect();
    table(&mut body, "Users", &["Name", "Subject"], &users);
    if let Some(client) = settings.clients.iter().find(|client| can_try(client)) {
        let _ = write!(
            body,
            "<h2>Try it</h2>\n<pre>curl -u {}:SECRET -d grant_type=client_credentials {}</pre>\n",
            escape(&client.id),
            escape(&endpoints.token.url)
        );
    }
    page("Tollgate authority", &body)
}

/// Whether the one-line command works for it: an id that a shell or form encoding would change is not shown in one.
fn can_try(client: &Client) -> bool {
    let plain = client.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    plain && client.secret.is_some() && client.grants.contains(&Grant::ClientCredentials)
}

fn client_row(client: &Client) -> Vec<String> {
    let grants: Vec<_> = client.grants.iter().map(|grant| code(grant.name())).collect();
    let scopes: Vec<_> = client.scopes.iter().map(|scope| code(scope)).collect();
    let kind = if client.secret.is_some() { "confidential" } else { "public" };
    vec![code(&client.id), kind.into(), grants.join(" "), scopes.join(" ")]
}

/// Appends a titled table; cells are HTML already.
fn table(body: &mut String, title: &str, heads: &[&str], rows: &[Vec<String>]) {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    let row = |cells: &Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows =
        if rows.is_empty() { "<tr><td>None.</td></tr>\n".into() } else { rows.iter().map(row).collect::<String>() };
    let _ = write!(
        body,
        "<h2>{title}</h2>\n<div class=\"wide\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    );
}

fn link(endpoint: &Endpoint) -> String {
    format!("<a href=\"{}\"><code>{}</code></a>", escape(&endpoint.path), escape(&endpoint.url))
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// `body` in the frame that all pages share. The policy allows the one style sheet by its digest, and nothing else.
fn page(title: &str, body: &str) -> Reply {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    );
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        STANDARD.encode(sha256(STYLE.as_bytes()))
    );
    let mut reply = reply::whole(StatusCode::OK, "text/html; charset=utf-8", html);
    if let Ok(policy) = HeaderValue::try_from(policy) {
        reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    reply.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply
}

/// Text made safe for element content and quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            plain => safe.push(plain),
        }
    }
    safe
}
