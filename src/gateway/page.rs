//! The gateway's own pages for people: a title, a sentence, perhaps a code and links. Nothing from elsewhere, no script,
//! dark or light as the reader's system says.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use http::HeaderValue;

use crate::secret::sha256;

/// What a page says; texts are escaped here.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The heading.
    pub title: &'a str,
    /// What happened, and what to do.
    pub sentence: &'a str,
    /// For who asks about it: a code, a reference.
    pub note: Option<&'a str>,
    /// Ways to go on: target and text.
    pub links: &'a [(&'a str, &'a str)],
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.6 system-ui,sans-serif;max-width:36rem;margin:16vh auto;padding:0 1.5rem}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}\
p{margin:.5rem 0}\
code{font:.9em ui-monospace,monospace;opacity:.75}\
a{display:inline-block;margin:.75rem .75rem 0 0;padding:.4rem 1rem;border:1px solid;border-radius:.4rem;\
color:inherit;text-decoration:none}\
a:hover,a:focus-visible{text-decoration:underline;outline:2px solid;outline-offset:2px}";

/// The Content-Security-Policy of every page.
pub static PAGE_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = base64::engine::general_purpose::STANDARD.encode(sha256(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("a digest in base64 is visible ASCII")
});

impl Page<'_> {
    /// The whole document.
    #[must_use]
    pub fn html(&self) -> String {
        let (title, sentence) = (escape(self.title), escape(self.sentence));
        let mut body = format!("<h1>{title}</h1><p>{sentence}</p>");
        if !self.links.is_empty() {
            let links =
                self.links.iter().map(|(url, text)| format!("<a href=\"{}\">{}</a>", escape(url), escape(text)));
            let _ = write!(body, "<p>{}</p>", links.collect::<String>());
        }
        if let Some(note) = self.note {
            let _ = write!(body, "<p><code>{}</code></p>", escape(note));
        }
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style></head>\n\
             <body><main>{body}</main></body></html>\n"
        )
    }
}

/// Text made safe for element content and quoted attributes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
