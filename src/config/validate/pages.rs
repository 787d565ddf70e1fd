//! `[pages]`: a template that could not do its work is found before a person misses something on its page.

use std::path::Path;
use std::sync::Arc;

use super::Check;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{OwnPage, Pages};
use crate::config::raw::Root;
use crate::config::table::Field;
use crate::config::template::{Filling, Flaw, MAX_BYTES, SAMPLE, Template};
use crate::config::word::names::FilePath;

pub fn pages(root: &Root, check: &mut Check<'_, '_>) -> Option<Pages> {
    let raw = root.pages.or_empty()?;
    let common = read(&raw.template, check);
    let mut own = |field: &Field<FilePath>, needs: Option<&Needs>| {
        let page = match field {
            Field::Absent | Field::Default(_) => common.clone(),
            Field::Broken | Field::Written { .. } => read(field, check),
        };
        if let (Some(page), Some(needs)) = (&page, needs) {
            needs.check(page, check);
        }
        page.map(|(page, _)| page)
    };
    Some(Pages {
        chooser: own(&raw.chooser, Some(&CHOOSER)),
        error: own(&raw.error, Some(&ERROR)),
        logged_out: own(&raw.logged_out, None),
        refusal: own(&raw.refusal, None),
    })
}

/// A template, and where its file is named.
type Read = (OwnPage, Span);

fn read(field: &Field<FilePath>, check: &mut Check<'_, '_>) -> Option<Read> {
    let (path, bytes, span) = check.content(field)?;
    match parse(bytes) {
        Ok(template) => Some((OwnPage { template: Arc::new(template), path }, span)),
        Err(flaw) => {
            refuse(&path, &flaw, &span, check);
            None
        }
    }
}

fn parse(bytes: Vec<u8>) -> Result<Template, Flaw> {
    let whole = |message: String, help: &str| Flaw { line: 1, message, help: help.into() };
    if bytes.len() > MAX_BYTES {
        let message = format!("a template has {MAX_BYTES} bytes at most, and this one {}", bytes.len());
        return Err(whole(message, "let pictures and fonts be files of the application"));
    }
    let text = String::from_utf8(bytes).map_err(|_| whole("it is not UTF-8".into(), "save the file as UTF-8"))?;
    Template::parse(&text)
}

fn refuse(path: &Path, flaw: &Flaw, span: &Span, check: &mut Check<'_, '_>) {
    let message = format!("{}, line {}: {}", path.display(), flaw.line, flaw.message);
    check.report(Diagnostic::new(Code::BadTemplate, message).at(span, "").help(flaw.help.clone()));
}

/// What a page cannot do without.
struct Needs {
    page: &'static str,
    what: &'static str,
    /// With this, one of the texts stands in the page.
    filling: Filling<'static>,
    any_of: &'static [&'static str],
    help: &'static str,
}

const CHOOSER: Needs = Needs {
    page: "the page that asks which login it shall be",
    what: "links",
    filling: Filling { page: "chooser", reference: None, ..SAMPLE },
    any_of: &["/a-url"],
    help: "write {% for link in links %}<a href=\"{{ link.url }}\">{{ link.text }}</a>{% endfor %} into it, or name another file as \
           `chooser`",
};
const ERROR: Needs = Needs {
    page: "the page of a failed login",
    what: "reference",
    filling: SAMPLE,
    any_of: &["a-reference", "a-note"],
    help: "write {{ reference }} into it, or name another file as `error`: the log has the reason beside this number",
};

impl Needs {
    fn check(&self, (page, span): &Read, check: &mut Check<'_, '_>) {
        let OwnPage { template, path } = page;
        let html = template.fill(&self.filling).unwrap_or_default();
        if !self.any_of.iter().any(|text| html.contains(text)) {
            let message = format!("{}: {} has to show its {}", path.display(), self.page, self.what);
            check.report(Diagnostic::new(Code::BadTemplate, message).at(span, "").help(self.help));
        }
    }
}
