//! From text to a tree of spanned values, with every syntax error: a broken statement is reported once, blanked out by
//! spaces of the same length, and the text is read again, so that one slip hides nothing else.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Code, Diagnostic, Span};

/// More broken statements than this are not looked for: the file is something else than a configuration.
const MOST_ERRORS: usize = 50;

/// What could be read of a text.
pub struct Parsed {
    /// The text without its broken statements; every byte keeps its place.
    text: String,
    /// What was wrong.
    pub errors: Vec<Diagnostic>,
    /// Keys whose values were lost; that they are absent is nobody's mistake.
    pub lost_keys: BTreeSet<String>,
    /// Whether whole tables were lost; references into them are nobody's mistake.
    pub lost_tables: bool,
}

/// Reads a text as TOML 1.1.
pub fn parse(text: &str) -> Parsed {
    let mut parsed =
        Parsed { text: text.to_owned(), errors: Vec::new(), lost_keys: BTreeSet::new(), lost_tables: false };
    while let Some(statement) = parsed.next_broken() {
        if parsed.errors.len() >= MOST_ERRORS || !parsed.forget(&statement) {
            break;
        }
    }
    let duplicates = duplicates(&parsed.text);
    parsed.errors.extend(duplicates);
    // The parser may point into the middle of a character, above all where one was blanked out.
    for label in parsed.errors.iter_mut().flat_map(|error| &mut error.labels) {
        label.span = text.floor_char_boundary(label.span.start)..text.ceil_char_boundary(label.span.end);
    }
    parsed
}

fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message() == "duplicate key"
}

impl Parsed {
    /// The values, each with its place.
    pub fn tree(&self) -> Spanned<DeTable<'_>> {
        DeTable::parse_recoverable(&self.text).0
    }

    /// Reports the first syntax error that is left and says which statement it spoils.
    fn next_broken(&mut self) -> Option<Statement> {
        let (root, errors) = DeTable::parse_recoverable(&self.text);
        let position = |error: &toml::de::Error| error.span().map_or(usize::MAX, |span| span.start);
        let first = errors.into_iter().filter(|error| !is_duplicate(error)).min_by_key(position)?;
        let statement = Statement::around(first.span(), root.get_ref(), &self.text);
        self.errors.push(match &statement.unclosed {
            Some(opening) => unclosed(opening, &self.text),
            None => syntax_error(first.message(), first.span(), &self.text),
        });
        Some(statement)
    }

    /// Blanks out a broken statement; false when there is nothing to blank, so that another try would see the same.
    fn forget(&mut self, statement: &Statement) -> bool {
        match &statement.key {
            Some(key) => drop(self.lost_keys.insert(key.clone())),
            None => self.lost_tables |= statement.header,
        }
        let Some(lines) = self.text.get(statement.lines.clone()) else { return false };
        if lines.trim().is_empty() {
            return false;
        }
        let blank: String = lines.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        self.text.replace_range(statement.lines.clone(), &blank);
        true
    }
}

/// The lines of one broken `key = value` or `[header]`.
struct Statement {
    lines: Span,
    /// The last part of the key.
    key: Option<String>,
    header: bool,
    /// Where a value begins that has no end: the next statement stands inside of it.
    unclosed: Option<Span>,
}

impl Statement {
    fn around(error: Option<Span>, root: &DeTable<'_>, text: &str) -> Self {
        let offset = error.map_or(0, |span| span.start).min(text.len());
        match assignment_around(root, offset, text) {
            Some((key, value)) => Self::of_assignment(&key, &value, text),
            None => Self::of_line(offset, text),
        }
    }

    /// From the key's line to the end of the value; an unclosed value ends where the next statement begins.
    fn of_assignment(key: &Span, value: &Span, text: &str) -> Self {
        let start = line_start(text, key.start);
        let first_end = line_end(text, key.end);
        let mut end = first_end;
        let mut unclosed = None;
        while end < line_end(text, value.end) {
            let next = &text[end..line_end(text, (end + 1).min(text.len()))];
            if is_header(next) || is_assignment(next) {
                unclosed = Some(value.start..value.start + 1);
                break;
            }
            end += next.len().max(1);
        }
        Self { lines: start..end.min(text.len()), key: last_key(&text[start..first_end]), header: false, unclosed }
    }

    /// The line itself. A broken header takes the lines of its table with it: they would land in another table.
    fn of_line(offset: usize, text: &str) -> Self {
        let (start, mut end) = (line_start(text, offset), line_end(text, offset));
        let header = text[start..end].trim_start().starts_with('[');
        while header && end < text.len() {
            let next = &text[end..line_end(text, (end + 1).min(text.len()))];
            if is_header(next) {
                break;
            }
            end += next.len().max(1);
        }
        let key = if header { None } else { last_key(&text[start..end]) };
        Self { lines: start..end, key, header, unclosed: None }
    }
}

/// The outermost `key = value` whose value covers `offset`.
fn assignment_around(table: &DeTable<'_>, offset: usize, text: &str) -> Option<(Span, Span)> {
    table.iter().find_map(|(key, value)| {
        let (key, span) = (key.span(), value.span());
        let assigned =
            key.end <= span.start && text.get(key.end..span.start).is_some_and(|between| between.contains('='));
        if assigned {
            return (span.start <= offset && offset <= span.end).then_some((key, span));
        }
        match value.get_ref() {
            DeValue::Table(inner) => assignment_around(inner, offset, text),
            DeValue::Array(items) => items
                .iter()
                .filter_map(|item| item.get_ref().as_table())
                .find_map(|inner| assignment_around(inner, offset, text)),
            _ => None,
        }
    })
}

fn line_start(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// The offset of the line end at or after `offset`.
fn line_end(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    text.as_bytes()[offset..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| offset + at)
}

/// Whether a line is `[name]` or `[[name]]` and nothing else.
fn is_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default().trim();
    let inside = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name = inside.map(|name| name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name));
    name.is_some_and(|name| is_key(name.trim()) && !name.trim().starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether a line begins with `key =`.
fn is_assignment(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| is_key(key.trim()))
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '))
        && !text.starts_with(['"', '\''])
}

fn last_key(line: &str) -> Option<String> {
    let (key, _) = line.split_once('=')?;
    let last = key.rsplit('.').next()?.trim().trim_matches(['"', '\'']);
    (!last.is_empty()).then(|| last.to_owned())
}

fn unclosed(opening: &Span, text: &str) -> Diagnostic {
    let (what, end) = match text.as_bytes().get(opening.start) {
        Some(b'[') => ("list", "]"),
        Some(b'{') => ("table", "}"),
        Some(b'\'') => ("text", "'''"),
        _ => ("text", "\"\"\""),
    };
    let message = format!("the {what} that begins here has no end");
    Diagnostic::new(Code::Syntax, message).at(opening, "").help(format!("close it with {end}"))
}

fn syntax_error(message: &str, span: Option<Span>, text: &str) -> Diagnostic {
    let span = span.unwrap_or(0..0);
    // What the parser expects next is noise where the message already says it.
    let message = message.strip_suffix(", expected literal string").unwrap_or(message);
    let message = match message {
        "invalid basic string, expected `\"`" => "the text has no closing quote",
        text if text.starts_with("invalid float") || text.starts_with("invalid integer") => "this is not a number",
        other => other,
    };
    let help = match message {
        "this is not a number" => "a text stands in double quotes",
        "string values must be quoted" => "put the text in double quotes",
        text if text.starts_with("unexpected key or value") => "one `key = value` a line; lists are written [1, 2]",
        text if text.contains("array") => "a list is written [\"a\", \"b\"], and ends with `]`",
        text if text.contains("inline table") || text.contains("key-value pairs") => {
            "a table on one line is written { a = 1, b = 2 }"
        }
        text if text.contains("basic string") || text.contains("closing quote") => {
            "a text begins and ends with a double quote; a quote inside is written \\\""
        }
        _ => "see https://toml.io for how TOML is written",
    };
    let span = if span.is_empty() { widened(span.start, text) } else { span };
    Diagnostic::new(Code::Syntax, message).at(&span, "").help(help)
}

/// An empty place, widened to the character that stands there unless a line ends there.
fn widened(at: usize, text: &str) -> Span {
    let width =
        text.get(at..).and_then(|rest| rest.chars().next()).filter(|c| !c.is_control()).map_or(0, char::len_utf8);
    at..at + width
}

/// Keys and tables that are written twice. What stands in a table that is written twice is not told a second time.
fn duplicates(text: &str) -> Vec<Diagnostic> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let spans: Vec<Span> =
        errors.iter().filter(|error| is_duplicate(error)).filter_map(toml::de::Error::span).collect();
    let tables: Vec<usize> =
        spans.iter().filter_map(|span| header_at(text, span.start).map(|(start, _)| start)).collect();
    let mut diagnostics = Vec::new();
    for span in spans {
        match header_at(text, span.start) {
            Some((start, header)) => diagnostics.push(duplicate_table(start, header, text)),
            None if header_before(text, span.start).is_some_and(|start| tables.contains(&start)) => {}
            None => diagnostics.push(duplicate_key(&span, root.get_ref(), text)),
        }
    }
    diagnostics
}

/// The header line at `offset`: where it begins, and `[name]`.
fn header_at(text: &str, offset: usize) -> Option<(usize, &str)> {
    let start = line_start(text, offset);
    let line = text.get(start..line_end(text, offset))?;
    let header = line.split('#').next().unwrap_or_default().trim();
    (header.starts_with('[') && header.ends_with(']')).then_some((start, header))
}

/// Where the header begins under which `offset` stands.
fn header_before(text: &str, offset: usize) -> Option<usize> {
    let mut at = line_start(text, offset);
    loop {
        if let Some((start, _)) = header_at(text, at) {
            return Some(start);
        }
        at = line_start(text, at.checked_sub(1)?);
    }
}

fn duplicate_table(start: usize, header: &str, text: &str) -> Diagnostic {
    let place = |from: usize| {
        let from = from + text[from..].len() - text[from..].trim_start().len();
        from..from + header.len()
    };
    let lines = text.split_inclusive('\n').scan(0, |at, line| Some(std::mem::replace(at, *at + line.len())));
    let first =
        lines.take_while(|at| *at < start).find(|at| header_at(text, *at).is_some_and(|(_, other)| other == header));
    let diagnostic = Diagnostic::new(Code::DuplicateKey, format!("the table {header} is written twice"))
        .at(&place(start), "again here");
    let diagnostic = first.map_or(diagnostic.clone(), |first| diagnostic.at(&place(first), "first here"));
    diagnostic.help("put the keys of both into one, or give one another name")
}

fn duplicate_key(span: &Span, root: &DeTable<'_>, text: &str) -> Diagnostic {
    let name = text.get(span.clone()).unwrap_or_default();
    let mut first = None;
    find_before(root, name.trim_matches(['"', '\'']), span.start, &mut first);
    let diagnostic = Diagnostic::new(Code::DuplicateKey, format!("`{name}` is written twice")).at(span, "again here");
    let diagnostic = first.map_or(diagnostic.clone(), |first| diagnostic.at(&first, "first here"));
    diagnostic.help("keep one of them")
}

/// The last key of this name before `offset`.
fn find_before(table: &DeTable<'_>, name: &str, offset: usize, found: &mut Option<Span>) {
    for (key, value) in table {
        let span = key.span();
        if key.get_ref() == name && span.start < offset && found.as_ref().is_none_or(|best| best.start < span.start) {
            *found = Some(span);
        }
        match value.get_ref() {
            DeValue::Table(inner) => find_before(inner, name, offset, found),
            DeValue::Array(items) => {
                items
                    .iter()
                    .filter_map(|item| item.get_ref().as_table())
                    .for_each(|inner| find_before(inner, name, offset, found));
            }
            _ => {}
        }
    }
}
