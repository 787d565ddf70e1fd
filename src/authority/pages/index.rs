//! The front page: the flows with their buttons, then what there is and who may use it.

use std::fmt::Write as _;

use http::{HeaderMap, StatusCode};

use super::super::State;
use super::super::endpoints::Endpoint;
use super::super::flows::{self, Flow};
use super::super::reply::Reply;
use super::super::settings::{Client, TokenForm};
use super::{Page, escape, hidden, prose};

/// The front page: the flows with their buttons, then what there is and who may use it.
pub(in super::super) fn index(state: &State, headers: &HeaderMap) -> Reply {
    let mut body = format!(
        "<h1>OAuth 2.0, step by step</h1>\n\
         <p class=\"lead\">This is an Authorization Server and OpenID Connect provider for development and tests. Its issuer is \
         <code>{}</code>. Choose a flow, walk it in this browser, and see every request and answer on its way.</p>\n{ROLES}",
        escape(&state.settings.issuer)
    );
    let hindrance = flows::hindrance(state, headers);
    if let Some(why) = &hindrance {
        let _ = writeln!(body, "<p class=\"warning\">{}</p>", escape(why));
    }
    let (good, discouraged): (Vec<_>, Vec<_>) =
        Flow::ALL.into_iter().partition(|flow: &Flow| flow.discouraged().is_none());
    for (title, flows) in [("Flows to use", good), ("Flows to know of, and to leave", discouraged)] {
        let _ = writeln!(body, "<h2>{title}</h2>\n<div class=\"flows\">");
        for flow in flows {
            card(&mut body, state, flow, hindrance.is_none());
        }
        body.push_str("</div>\n");
    }
    inventory(&mut body, state);
    Page::new("Flows", &body).with_form().walking().reply(StatusCode::OK)
}

/// Whoever knows these four can read every picture.
const ROLES: &str = "<h2>Who is who</h2>\n<dl class=\"roles\">\n\
    <div><dt>You</dt><dd>own the data (the <em>resource owner</em>), and sit at a browser.</dd></div>\n\
    <div><dt>Client</dt><dd>is the application that wants to use an API, for you or for itself. Here, this page plays \
    it.</dd></div>\n\
    <div><dt>Authorization Server</dt><dd>knows you and your password, and gives tokens to clients. This is it.</dd></div>\n\
    <div><dt>Resource server</dt><dd>is the API. It wants a token, and never a password.</dd></div>\n</dl>\n\
    <p>The idea of it all: the client gets to do one thing, for a while, without ever seeing your password. Most of the rules \
    are about what may pass through the browser, which many eyes can see, and what may not.</p>\n";

fn card(body: &mut String, state: &State, flow: Flow, open: bool) {
    let _ = write!(
        body,
        "<section class=\"flow\" aria-labelledby=\"flow-{0}\">\n<h3 id=\"flow-{0}\">{1}</h3>\n<p class=\"whom\">{2}</p>\n<p>{3}</p>\n",
        flow.name(),
        flow.title(),
        flow.fits_whom(),
        prose(flow.summary())
    );
    if let Some(why) = flow.discouraged() {
        let _ = writeln!(body, "<p class=\"why\"><strong>Discouraged:</strong> {}.</p>", prose(why));
    }
    let clients: Vec<_> = state.settings.clients.iter().filter(|client| flow.suits(client)).collect();
    if clients.is_empty() {
        let _ = writeln!(
            body,
            "<details><summary>No client is configured for it; this would be one</summary><pre>{}</pre></details>",
            escape(flow.example())
        );
    } else if open {
        try_it(body, state, flow, &clients);
    }
    body.push_str("</section>\n");
}

fn try_it(body: &mut String, state: &State, flow: Flow, clients: &[&Client]) {
    let _ = write!(
        body,
        "<form method=\"post\" action=\"{}/start\">\n{}",
        escape(&state.endpoints.flows.path),
        hidden("flow", flow.name())
    );
    let _ = match clients {
        [only] => {
            write!(body, "<p class=\"as\">as <code>{0}</code></p>\n{1}", escape(&only.id), hidden("client", &only.id))
        }
        several => {
            let options: String =
                several.iter().map(|client| format!("<option>{}</option>", escape(&client.id))).collect();
            writeln!(
                body,
                "<p class=\"as\"><label for=\"as-{0}\">as</label> <select id=\"as-{0}\" name=\"client\">{options}</select></p>",
                flow.name()
            )
        }
    };
    let _ = write!(body, "<button>Try it<span class=\"unseen\">: {}</span></button>\n</form>\n", flow.title());
}

/// Users, clients, endpoints.
fn inventory(body: &mut String, state: &State) {
    let (settings, endpoints) = (&state.settings, &state.endpoints);
    let users: Vec<_> = settings.users.iter().map(|user| vec![code(&user.name), code(&user.sub)]).collect();
    table(body, "Users", &["Name", "Subject"], &users);
    let clients: Vec<_> = settings.clients.iter().map(client_row).collect();
    table(body, "Clients", &["Client", "Kind", "Grants", "Scopes", "Tokens"], &clients);
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
    table(body, "Endpoints", &["What", "Where"], &rows);
    if let Some(client) = settings.clients.iter().find(|client| can_try(client)) {
        let _ = write!(
            body,
            "<h2>From a shell</h2>\n<pre>curl -u {}:SECRET -d grant_type=client_credentials {}</pre>\n",
            escape(&client.id),
            escape(&endpoints.token.url)
        );
    }
}

/// Whether the one-line command works for it: an id that a shell or form encoding would change is not shown in one.
fn can_try(client: &Client) -> bool {
    let plain = client.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    plain && Flow::Machine.suits(client)
}

fn client_row(client: &Client) -> Vec<String> {
    let grants: Vec<_> = client.grants.iter().map(|grant| code(grant.name())).collect();
    let scopes: Vec<_> = client.scopes.iter().map(|scope| code(scope)).collect();
    let kind = if client.is_public() { "public" } else { "confidential" };
    let tokens = match client.access_tokens {
        TokenForm::Jwt => "JWT",
        TokenForm::Opaque => "opaque",
    };
    vec![code(&client.id), kind.into(), grants.join(" "), scopes.join(" "), tokens.into()]
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
        "<h2>{title}</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table>\n\
         <thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    );
}

fn link(endpoint: &Endpoint) -> String {
    format!("<a href=\"{}\"><code>{}</code></a>", escape(&endpoint.path), escape(&endpoint.url))
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}
