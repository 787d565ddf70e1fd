//! The front page: what there is and who may use it.

use std::fmt::Write as _;

use http::StatusCode;

use super::super::State;
use super::super::endpoints::Endpoint;
use super::super::reply::Reply;
use super::super::settings::{Client, Grant};
use super::{Page, escape};

/// The front page: what there is and who may use it.
pub(in super::super) fn index(state: &State) -> Reply {
    let (settings, endpoints) = (&state.settings, &state.endpoints);
    let mut body = format!(
        "<h1>An authority to try things out</h1>\n\
         <p>An OAuth 2.0 Authorization Server and OpenID Connect provider for development and tests. Its issuer is <code>{}</code>.</p>\n",
        escape(&settings.issuer)
    );
    let metadata = [
        ("OpenID Connect metadata", &endpoints.openid_configuration),
        ("OAuth 2.0 metadata", &endpoints.authorization_server),
        ("Keys", &endpoints.jwks),
    ];
    let mut rows: Vec<_> = metadata.iter().map(|(what, at)| vec![(*what).to_owned(), link(at)]).collect();
    let services = [
        ("Authorization", "GET or POST", &endpoints.authorize),
        ("Pushed requests", "POST", &endpoints.pushed),
        ("Devices", "POST", &endpoints.device_authorization),
        ("A device's code", "GET or POST", &endpoints.device),
        ("Tokens", "POST", &endpoints.token),
        ("Who is it", "GET or POST", &endpoints.userinfo),
        ("Introspection", "POST", &endpoints.introspect),
        ("Revocation", "POST", &endpoints.revoke),
        ("Signing out", "GET or POST", &endpoints.end_session),
    ];
    rows.extend(services.map(|(what, how, at)| vec![what.into(), format!("<code>{how} {}</code>", escape(&at.url))]));
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
    discourage(&mut body, &settings.clients);
    Page::new("Front page", &body).wide().reply(StatusCode::OK)
}

/// Says why what some client still uses is discouraged.
fn discourage(body: &mut String, clients: &[Client]) {
    for grant in Grant::ALL {
        let Some(why) = grant.discouraged().filter(|_| clients.iter().any(|client| client.may(*grant))) else {
            continue;
        };
        let _ = writeln!(body, "<p class=\"hint\"><code>{}</code> is discouraged: {}.</p>", grant.name(), escape(why));
    }
}

/// Whether the one-line command works for it: an id that a shell or form encoding would change is not shown in one.
fn can_try(client: &Client) -> bool {
    let plain = client.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    plain && client.secret.is_some() && client.may(Grant::ClientCredentials)
}

fn client_row(client: &Client) -> Vec<String> {
    let grants: Vec<_> = client.grants.iter().map(|grant| code(grant.name())).collect();
    let scopes: Vec<_> = client.scopes.iter().map(|scope| code(scope)).collect();
    let kind = if client.is_public() { "public" } else { "confidential" };
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
        "<h2>{title}</h2>\n<div class=\"scroll\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    );
}

fn link(endpoint: &Endpoint) -> String {
    format!("<a href=\"{}\"><code>{}</code></a>", escape(&endpoint.path), escape(&endpoint.url))
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}
