//! Pages for people: nothing from elsewhere, dark or light as the reader's system says, usable without a mouse, and
//! marked as those of a development server.
//!
//! Every text that comes from settings or requests is escaped; secrets and passwords are not shown. There are no scripts
//! but the two lines that send a form_post answer and that read the answer of an implicit walk.

mod index;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};

use super::errors::OauthError;
use super::reply::{self, Reply};
use crate::secret::sha256;

pub(super) use self::index::index;

const STYLE: &str = include_str!("style.css");
/// For the flow page and the walks.
const WALK_STYLE: &str = include_str!("flows.css");

/// A page on its way.
#[derive(Debug)]
pub(super) struct Page<'a> {
    title: &'a str,
    body: &'a str,
    walking: bool,
    form_action: String,
    frame_src: String,
    refresh: String,
    script: Option<&'static str>,
}

impl<'a> Page<'a> {
    /// A page without forms. `body` is HTML.
    pub(super) fn new(title: &'a str, body: &'a str) -> Self {
        Self {
            title,
            body,
            walking: false,
            form_action: "'none'".into(),
            frame_src: String::new(),
            refresh: String::new(),
            script: None,
        }
    }

    /// It shows flows: it is wide, and has a second style sheet.
    pub(super) fn walking(self) -> Self {
        Self { walking: true, ..self }
    }

    /// Its forms go to this server.
    pub(super) fn with_form(self) -> Self {
        Self { form_action: "'self'".into(), ..self }
    }

    /// Its form ends, by way of redirects, at `uri`. Browsers hold the whole chain of redirects to `form-action`, and the
    /// client may redirect on to anywhere, so all web origins are allowed, and the scheme of a program's URI.
    pub(super) fn sending_to(self, uri: &str) -> Self {
        let scheme = uri.split(':').next().unwrap_or_default();
        let own = if matches!(scheme, "http" | "https") { String::new() } else { format!(" {scheme}:") };
        Self { form_action: format!("'self' http: https:{own}"), ..self }
    }

    /// It has frames of these URLs.
    pub(super) fn framing(self, urls: &[String]) -> Self {
        let origins = urls.iter().filter_map(|url| url::Url::parse(url).ok());
        let origins: Vec<_> = origins.map(|url| url.origin().ascii_serialization()).collect();
        let frame_src = if origins.is_empty() { String::new() } else { format!("frame-src {}; ", origins.join(" ")) };
        Self { frame_src, ..self }
    }

    /// It goes on to `target`, if there is one, after the moment that frames need.
    pub(super) fn going_on_to(self, target: Option<&str>) -> Self {
        let refresh =
            target.map(|target| format!("<meta http-equiv=\"refresh\" content=\"2; url={}\">\n", escape(target)));
        Self { refresh: refresh.unwrap_or_default(), ..self }
    }

    /// It runs this one script.
    pub(super) fn with_script(self, script: &'static str) -> Self {
        Self { script: Some(script), ..self }
    }

    /// The page in the frame that all pages share. The policy allows the one style sheet and the one script by their
    /// digests, and nothing else.
    pub(super) fn reply(&self, status: StatusCode) -> Reply {
        let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(sha256(text.as_bytes())));
        let script = self.script.map(|script| format!("<script>{script}</script>\n")).unwrap_or_default();
        let more_style = if self.walking { format!("<style>{WALK_STYLE}</style>\n") } else { String::new() };
        let styles = if self.walking { format!("{} {}", digest(STYLE), digest(WALK_STYLE)) } else { digest(STYLE) };
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{}<title>{} - Tollgate authority</title>\n\
             <style>{STYLE}</style>\n{more_style}</head>\n<body class=\"{}\">\n<header><span>Tollgate authority</span> \
             <strong>Development only</strong></header>\n<main>\n{}</main>\n{script}</body>\n</html>\n",
            self.refresh,
            self.title,
            if self.walking { "wide" } else { "card" },
            self.body,
        );
        let allowed = self.script.map(|script| format!("script-src {}; ", digest(script))).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src {styles}; {allowed}{}base-uri 'none'; form-action {}; frame-ancestors 'none'",
            self.frame_src, self.form_action,
        );
        let mut reply = reply::whole(status, "text/html; charset=utf-8", html);
        if let Ok(policy) = HeaderValue::try_from(policy) {
            reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        reply.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        reply::forbid_storing(&mut reply);
        reply
    }
}

/// A page that says which faults are made on purpose.
pub(super) fn with_faults(html: &str, on: &[String]) -> String {
    let mark = format!("<strong class=\"faults\">Faults are on: {}</strong></header>", escape(&on.join(", ")));
    html.replacen("</header>", &mark, 1)
}

/// A refusal for a person: nothing is sent anywhere.
pub(super) fn error(error: &OauthError) -> Reply {
    let body = format!(
        "<h1>This does not work</h1>\n<p class=\"failure\" role=\"alert\">{}</p>\n\
         <p>The error is <code>{}</code>. It is shown here and not sent to the application, because who asked and where \
         the answer should go is not certain.</p>\n",
        escape(&error.description()),
        error.code().name()
    );
    Page::new("Error", &body).reply(error.status())
}

/// A field that the person does not see.
pub(super) fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escape(value))
}

/// Escaped text in which backticks set code.
pub(super) fn prose(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for (position, part) in text.split('`').enumerate() {
        let part = escape(part);
        match position % 2 {
            0 => html.push_str(&part),
            _ => html.extend(["<code>", &part, "</code>"]),
        }
    }
    html
}

/// Text made safe for element content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
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
