//! How diagnostics are shown: as excerpts with carets for a person, as JSON for a program.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Diagnostic, Severity, Source, Span};

/// The diagnostics as text, each with its place, an excerpt and a way out; ends with a line that counts them.
#[must_use]
pub fn text(diagnostics: &[Diagnostic], source: &Source, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[group(diagnostic, source)]));
        out.push_str("\n\n");
    }
    out.push_str(&tally(diagnostics, &source.name));
    out
}

fn group<'a>(diagnostic: &'a Diagnostic, source: &'a Source) -> Group<'a> {
    let level = match diagnostic.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(&*diagnostic.message)
        .id(diagnostic.code.as_str())
        .elements(None::<Snippet<'_, Annotation<'_>>>);
    group = if diagnostic.labels.is_empty() {
        group.element(Origin::path(&*source.name))
    } else {
        group.element(Snippet::source(&*source.shown).path(&*source.name).annotations(annotations(diagnostic, source)))
    };
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(&**help)),
        None => group,
    }
}

fn annotations<'a>(diagnostic: &'a Diagnostic, source: &Source) -> Vec<Annotation<'a>> {
    let kinds = std::iter::once(AnnotationKind::Primary).chain(std::iter::repeat(AnnotationKind::Context));
    kinds
        .zip(&diagnostic.labels)
        .map(|(kind, label)| {
            let annotation = kind.span(source.clamp(&label.span));
            if label.text.is_empty() { annotation } else { annotation.label(&*label.text) }
        })
        .collect()
}

/// `tollgate.toml: 2 errors, 1 warning`, with a line end.
fn tally(diagnostics: &[Diagnostic], name: &str) -> String {
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity() == severity).count();
    let word = |number: usize, severity: Severity| match number {
        1 => format!("1 {}", severity.as_str()),
        _ => format!("{number} {}s", severity.as_str()),
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    format!("{name}: {}, {}\n", word(errors, Severity::Error), word(warnings, Severity::Warning))
}

/// The diagnostics as a JSON array of objects. `line` and `column` count from 1, columns in characters; `end` is just
/// past the place.
#[must_use]
pub fn json(diagnostics: &[Diagnostic], source: &Source) -> Value {
    diagnostics.iter().map(|diagnostic| one_json(diagnostic, source)).collect()
}

fn one_json(diagnostic: &Diagnostic, source: &Source) -> Value {
    let mut labels = diagnostic.labels.iter().map(|label| place(&label.span, &label.text, source));
    let mut object = labels.next().unwrap_or_else(|| json!({ "line": null, "column": null, "end": null }));
    object["code"] = diagnostic.code.as_str().into();
    object["severity"] = diagnostic.severity().as_str().into();
    object["message"] = diagnostic.message.clone().into();
    object["file"] = source.name.clone().into();
    object["help"] = diagnostic.help.clone().into();
    object["related"] = labels.collect();
    object
}

fn place(span: &Span, label: &str, source: &Source) -> Value {
    let span = source.clamp(span);
    let ((line, column), (end_line, end_column)) = (source.line_column(span.start), source.line_column(span.end));
    json!({ "line": line, "column": column, "end": { "line": end_line, "column": end_column }, "label": label })
}

impl Source {
    /// Line and column, from 1; the column counts characters.
    #[must_use]
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.shown[..self.floor(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The nearest place inside the text that cuts no character in two.
    fn clamp(&self, span: &Span) -> Span {
        let start = self.floor(span.start);
        let end = self.floor(span.end).max(start);
        start..end
    }

    fn floor(&self, offset: usize) -> usize {
        self.shown.floor_char_boundary(offset.min(self.shown.len()))
    }
}
