//! The page of a walk: the picture, the steps, and what the reader does next.

use std::fmt::Write as _;

use http::StatusCode;

use super::super::State;
use super::super::authorize::sign_in_fields;
use super::super::errors::OauthError;
use super::super::pages::{Page, escape, hidden, prose};
use super::super::reply::Reply;
use super::picture;
use super::shown::{Token, meaning};
use super::walk::{Role, Stage, Step, Walk};

/// Longer messages are folded.
const MOST_LINES: usize = 22;

/// Hands what stands behind the `#` to the client, and takes it out of the address line.
const HAND_OVER: &str = "const f=document.forms[0];f.elements.answer.value=location.hash.slice(1);\
    history.replaceState(null,'',location.pathname);f.submit()";

/// A walk that cannot be.
pub(super) fn refusal(state: &State, error: &OauthError) -> Reply {
    let body = format!(
        "<h1>This walk does not go on</h1>\n<p class=\"failure\" role=\"alert\">{}.</p>\n<p><a href=\"{}\">All flows</a></p>\n",
        escape(&capital(error.description().trim_end_matches('.'))),
        escape(&state.endpoints.index.path)
    );
    Page::new("No walk", &body).reply(error.status())
}

/// The client's page that reads the answer of the implicit flow.
pub(super) fn fragment(state: &State) -> Reply {
    let body = format!(
        "<h1>Back at the client</h1>\n<p>This flow leaves its answer behind the <code>#</code> of the address, which only a \
         script can read.</p>\n<form method=\"post\" action=\"{}/fragment\">\n<input type=\"hidden\" name=\"answer\" value=\"\">\n\
         </form>\n<noscript><p class=\"failure\">Scripts are off in this browser, so the flow ends here.</p></noscript>\n",
        escape(&state.endpoints.flows.path)
    );
    Page::new("Back at the client", &body).with_form().with_script(HAND_OVER).reply(StatusCode::OK)
}

/// The page of `walk`, which is called `id`.
pub(super) fn walk(state: &State, id: &str, walk: &Walk) -> Reply {
    let flow = walk.flow;
    let mut body = format!(
        "<p><a href=\"{}\">All flows</a></p>\n<h1>{}</h1>\n<p>Played with the client <code>{}</code>. {}</p>\n",
        escape(&state.endpoints.index.path),
        flow.title(),
        escape(&walk.client),
        prose(flow.summary())
    );
    if let Some(why) = flow.discouraged() {
        let _ = writeln!(body, "<p class=\"warning\"><strong>Discouraged.</strong> {}.</p>", prose(&capital(why)));
    }
    if !walk.steps.is_empty() {
        let _ = write!(
            body,
            "<section class=\"drawn\" aria-labelledby=\"picture\">\n<h2 id=\"picture\">The picture</h2>\n{}\
             <p class=\"hint legend\"><span class=\"front\">Through the browser</span> \
             <span class=\"back\">Behind it, from server to server</span></p>\n</section>\n",
            picture::draw(&walk.steps)
        );
    }
    body.push_str("<section class=\"told\" aria-labelledby=\"steps\">\n<h2 id=\"steps\">Step by step</h2>\n");
    if !walk.steps.is_empty() {
        body.push_str(
            "<p class=\"hint\">These are the requests and answers of this very walk. Secrets and passwords show as \
             <code>\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}</code>, tokens and codes are cut with <code>\u{2026}</code>, and parameters are \
             shown decoded, one a line.</p>\n<ol class=\"steps\">\n",
        );
        for (position, step) in walk.steps.iter().enumerate() {
            tell(&mut body, position + 1, step, &walk.steps[..position]);
        }
        body.push_str("</ol>\n");
    }
    what_next(&mut body, state, id, walk);
    body.push_str("</section>\n");
    Page::new(flow.title(), &body).with_form().walking().reply(StatusCode::OK)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn tell(body: &mut String, number: usize, step: &Step, earlier: &[Step]) {
    let (way, words) = match step.is_seen_by_the_browser() {
        true => ("front", "through the browser"),
        false => ("back", "behind the browser"),
    };
    let _ = write!(
        body,
        "<li id=\"step-{number}\" class=\"{way}\">\n<h3><b>{number}</b> {}</h3>\n<p class=\"parties\">{}",
        escape(step.title),
        step.from.name()
    );
    if step.from != step.to {
        let _ = write!(
            body,
            " <span aria-hidden=\"true\">\u{2192}</span><span class=\"unseen\"> to </span> {}",
            step.to.name()
        );
    }
    let _ = write!(body, " <span class=\"way\">{words}</span></p>\n<p>{}</p>\n", prose(&step.why));
    let sent = match (step.from, step.to) {
        (Role::Client, Role::Browser) => "What the browser gets",
        (Role::Api, Role::Client) => "The answer",
        _ => "The request",
    };
    message(body, sent, step.sent.as_deref());
    message(body, "The answer", step.answer.as_deref());
    for token in &step.tokens {
        take_apart(body, token, !earlier.iter().flat_map(|step| &step.tokens).any(|seen| seen.name == token.name));
    }
    body.push_str("</li>\n");
}

fn message(body: &mut String, title: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    let lines = text.lines().count();
    let _ = if lines > MOST_LINES {
        writeln!(body, "<details><summary>{title}, {lines} lines</summary><pre>{}</pre></details>", escape(text))
    } else {
        writeln!(body, "<h4>{title}</h4>\n<pre>{}</pre>", escape(text))
    };
}

/// The claims of a token; unfolded if it is the first of its kind.
fn take_apart(body: &mut String, token: &Token, unfolded: bool) {
    let open = if unfolded { " open" } else { "" };
    let name = token.name.replace('_', " ").replace("id token", "ID token");
    let _ = write!(
        body,
        "<details{open}><summary>The {name}, decoded</summary>\n<p>Header <code>{}</code></p>\n<div class=\"scroll\" tabindex=\"0\" \
         role=\"region\" aria-label=\"Claims of the {name}\"><table>\n<thead><tr><th scope=\"col\">Claim</th>\
         <th scope=\"col\">Value</th><th scope=\"col\">Meaning</th></tr></thead>\n<tbody>\n",
        escape(&token.header)
    );
    for (claim, value) in &token.claims {
        let _ = writeln!(
            body,
            "<tr><th scope=\"row\"><code>{}</code></th><td><code>{}</code></td><td>{}</td></tr>",
            escape(claim),
            escape(value),
            meaning(claim)
        );
    }
    body.push_str("</tbody>\n</table></div></details>\n");
}

/// What the reader can do, or keep in mind.
fn what_next(body: &mut String, state: &State, id: &str, walk: &Walk) {
    let flows = escape(&state.endpoints.flows.path);
    let _ = match &walk.stage {
        Stage::Away { .. } => writeln!(
            body,
            "<p class=\"next\">This walk waits for the answer of the Authorization Server, in the page where you left it.</p>"
        ),
        Stage::AtPassword => write!(
            body,
            "<div class=\"next\"><h3>Pretend that this is the client</h3>\n<p>It asks for the password that you have at the \
             Authorization Server. Take one of the users of the configuration.</p>\n<form method=\"post\" action=\"{flows}/password\">\n\
             {}{}<div class=\"buttons\"><button>Give it to the client</button></div>\n</form></div>\n",
            hidden("id", id),
            sign_in_fields(state, "")
        ),
        Stage::AtDevice { page, .. } => write!(
            body,
            "<div class=\"next\"><h3>Your turn</h3>\n<p>Be the person: <a href=\"{}\" target=\"_blank\" rel=\"noopener\">open the page \
             for the code</a> (in a new tab), sign in and agree. Then let the device ask again, as it would every 5 \
             seconds.</p>\n<form method=\"post\" action=\"{flows}/device\">\n{}<div class=\"buttons\"><button>The device asks \
             again</button></div>\n</form></div>\n",
            escape(page),
            hidden("id", id)
        ),
        Stage::Over => write!(
            body,
            "<div class=\"next\"><h3>To remember</h3>\n<p>{}</p>\n<form method=\"post\" action=\"{flows}/start\">\n{}{}\
             <div class=\"buttons\"><button class=\"quiet\">Walk it again</button></div>\n</form></div>\n",
            prose(walk.flow.lesson()),
            hidden("flow", walk.flow.name()),
            hidden("client", &walk.client)
        ),
    };
}
