//! The gateway's pages for people: a template each, built in or from a file of the configuration, and the policy under
//! which browsers show it.
//!
//! The built-in one has nothing from elsewhere and no script, and is dark or light as the reader's system says. A file may
//! have pictures, fonts and styles of the application's own origin beside the styles in it, and no script either.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::config::model;
use crate::config::template::Template;
use crate::secret::sha256;

pub use crate::config::template::{Filling, Link};

/// The pages that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Asks which login it shall be.
    Chooser,
    /// A login or logout that failed.
    Error,
    /// After a logout.
    LoggedOut,
    /// A refused request, or one whose upstream failed.
    Refusal,
}

impl Kind {
    /// As templates see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chooser => "chooser",
            Self::Error => "error",
            Self::LoggedOut => "logged-out",
            Self::Refusal => "refusal",
        }
    }
}

/// A template with its policy.
#[derive(Debug)]
struct Sheet {
    template: Arc<Template>,
    policy: HeaderValue,
}

static BUILT_IN: LazyLock<Arc<Sheet>> = LazyLock::new(|| {
    let template = Template::parse(include_str!("page.html")).expect("a test fills it in");
    Arc::new(Sheet::new(Arc::new(template), "", ""))
});

impl Sheet {
    /// Beside the styles in the template, `styles` are allowed, and what `more` says.
    fn new(template: Arc<Template>, styles: &str, more: &str) -> Self {
        let digest = |style: &String| format!(" 'sha256-{}'", STANDARD.encode(sha256(style.as_bytes())));
        let digests: String = template.styles().iter().map(digest).collect();
        let policy = format!(
            "default-src 'none'; style-src{styles}{digests}; {more}base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::try_from(policy).expect("words of this file, and digests in base64");
        Self { template, policy }
    }

    fn own(page: &model::OwnPage) -> Self {
        Self::new(Arc::clone(&page.template), " 'self'", "img-src 'self' data:; font-src 'self'; ")
    }
}

/// All pages of a snapshot.
#[derive(Debug)]
pub struct Pages {
    chooser: Arc<Sheet>,
    error: Arc<Sheet>,
    logged_out: Arc<Sheet>,
    refusal: Arc<Sheet>,
}

impl Default for Pages {
    fn default() -> Self {
        Self::new(&model::Pages::default())
    }
}

impl Pages {
    /// With the templates that the configuration names, and the built-in one for the rest.
    #[must_use]
    pub fn new(settings: &model::Pages) -> Self {
        let sheet = |own: &Option<model::OwnPage>| match own {
            Some(page) => Arc::new(Sheet::own(page)),
            None => Arc::clone(&BUILT_IN),
        };
        Self {
            chooser: sheet(&settings.chooser),
            error: sheet(&settings.error),
            logged_out: sheet(&settings.logged_out),
            refusal: sheet(&settings.refusal),
        }
    }

    /// A page, and the Content-Security-Policy that belongs to it.
    #[must_use]
    pub fn html(&self, kind: Kind, filling: Filling<'_>) -> (String, HeaderValue) {
        let sheet = match kind {
            Kind::Chooser => &self.chooser,
            Kind::Error => &self.error,
            Kind::LoggedOut => &self.logged_out,
            Kind::Refusal => &self.refusal,
        };
        let filling = Filling { page: kind.as_str(), ..filling };
        match sheet.template.fill(&filling) {
            Ok(html) => (html, sheet.policy.clone()),
            Err(error) => {
                tracing::warn!(page = kind.as_str(), %error, "a template cannot show a page, so the built-in one does");
                (BUILT_IN.template.fill(&filling).unwrap_or_default(), BUILT_IN.policy.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_page_shows_all_that_it_is_given() {
        let filling = Filling {
            title: "A title",
            sentence: "A <sentence>.",
            hint: Some("A hint."),
            note: Some("401 a_code"),
            site: Some("app.example"),
            links: &[Link { url: "/a?b&c", text: "On" }],
            ..Filling::default()
        };
        let (html, policy) = Pages::default().html(Kind::Error, filling);
        for shown in [
            "<body class=\"error\">",
            "<h1>A title</h1>",
            "<p>A &lt;sentence&gt;.</p>",
            "<p>A hint.</p>",
            "<code>401 a_code</code>",
            "<header>app.example</header>",
            "<nav><a href=\"/a?b&amp;c\">On</a></nav>",
        ] {
            assert!(html.contains(shown), "{shown}: {html}");
        }
        assert!(!html.contains("{{"), "{html}");
        let policy = policy.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("'self'") && !policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn an_own_template_takes_the_place_of_one_page() {
        let template = Arc::new(Template::parse("<style>a{}</style>{{ page }}").unwrap());
        let own = Some(model::OwnPage { template, path: "x".into() });
        let pages = Pages::new(&model::Pages { logged_out: own, ..model::Pages::default() });
        let (html, policy) = pages.html(Kind::LoggedOut, Filling::default());
        assert_eq!(html, "<style>a{}</style>logged-out");
        let digest = STANDARD.encode(sha256(b"a{}"));
        assert_eq!(
            policy.to_str().unwrap(),
            format!(
                "default-src 'none'; style-src 'self' 'sha256-{digest}'; img-src 'self' data:; font-src 'self'; \
                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        );
        assert!(pages.html(Kind::Chooser, Filling::default()).0.contains("<body class=\"chooser\">"));
    }

    #[test]
    fn a_template_that_fails_after_all_leaves_the_page_to_the_one_built_in() {
        let template = Arc::new(Template::parse("{% if status == '599' %}{{ 1 / 0 }}{% endif %}").unwrap());
        let own = Some(model::OwnPage { template, path: "x".into() });
        let pages = Pages::new(&model::Pages { error: own, ..model::Pages::default() });
        assert_eq!(pages.html(Kind::Error, Filling::default()).0, "");
        let (html, policy) = pages.html(Kind::Error, Filling { status: "599", ..Filling::default() });
        assert!(html.contains("<body class=\"error\">"));
        assert!(!policy.to_str().unwrap().contains("'self'"));
    }
}
