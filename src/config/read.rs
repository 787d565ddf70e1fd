//! Reading a tree of TOML values into typed ones: field by field, collecting every problem, stopping at none.
//!
//! A type that can stand behind a key implements [`FromToml`]; one that is written as a text only [`Text`]. The schema
//! of a type is made beside its reader, so the two cannot drift. Tables are declared by [`super::table::table`].

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Code, Diagnostic, Span};

/// One value of the tree.
pub type Node<'i> = Spanned<DeValue<'i>>;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// What can stand behind a key.
pub trait FromToml: Sized {
    /// What a person is asked to write, with its article: `a duration such as "10s"`.
    fn expected() -> String;

    /// Reads the value; reports what is wrong and gives `None` when nothing can be made of it.
    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self>;

    /// Its JSON Schema (draft 2020-12).
    fn schema() -> Json;
}

/// What is written as a text with an inner form.
pub trait Text: Sized {
    /// As [`FromToml::expected`].
    const EXPECTED: &'static str;

    /// Parses the text.
    ///
    /// # Errors
    /// Why it is refused.
    fn parse(text: &str) -> Result<Self, Refusal>;

    /// What the schema says beside `"type": "string"`.
    fn hints() -> Json {
        json!({})
    }
}

/// Why a text is refused.
#[derive(Debug)]
pub struct Refusal {
    code: Code,
    message: String,
    help: String,
    place: Option<Span>,
}

impl Refusal {
    /// As a report about all that stands at `span`.
    pub fn whole(self, span: &Span) -> Diagnostic {
        Diagnostic::new(self.code, self.message).at(span, "").help(self.help)
    }

    /// A refusal of the whole text.
    pub fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: help.into(), place: None }
    }

    /// Points at bytes inside the text.
    #[must_use]
    pub fn at(mut self, place: Span) -> Self {
        self.place = Some(place);
        self
    }
}

/// Reads one file: holds what was found wrong, and where secrets stand.
pub struct Reader<'s> {
    source: &'s str,
    /// Found so far.
    pub diagnostics: Vec<Diagnostic>,
    /// Values that excerpts must not show.
    pub secrets: Vec<Span>,
    lost_keys: BTreeSet<String>,
    path: Vec<String>,
}

impl<'s> Reader<'s> {
    /// A reader of `source`, in which the values of `lost_keys` could not be read.
    pub fn new(source: &'s str, lost_keys: BTreeSet<String>) -> Self {
        Self { source, diagnostics: Vec::new(), secrets: Vec::new(), lost_keys, path: Vec::new() }
    }

    /// The text that is read.
    pub fn source(&self) -> &'s str {
        self.source
    }

    /// Adds a problem.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Whether a syntax error took a value of this key away.
    pub fn lost(&self, key: &str) -> bool {
        self.lost_keys.contains(key)
    }

    /// Runs `read` with `key` on the path that messages name.
    pub fn within<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let result = read(self);
        self.path.pop();
        result
    }

    /// The key that is being read, dotted.
    pub fn path(&self) -> String {
        self.path.join(".")
    }

    /// Reports a value of a wrong type.
    pub fn wrong_type(&mut self, node: &Node<'_>, expected: &str) {
        let found = kind(node.get_ref());
        let message = format!("`{}` must be {expected}, not {found}", self.path());
        let help = way_out(node.get_ref(), expected);
        self.report(Diagnostic::new(Code::WrongType, message).at(&node.span(), format!("this is {found}")).help(help));
    }

    /// Reports a text that has not the form that its key asks for.
    pub fn refuse(&mut self, node: &Node<'_>, refusal: Refusal) {
        let Refusal { code, message, help, place } = refusal;
        let span = place.and_then(|place| self.inside(node, place)).unwrap_or_else(|| node.span());
        self.report(Diagnostic::new(code, message).at(&span, "").help(help));
    }

    /// The place of bytes of a text in the file, when the text is written there without escapes.
    fn inside(&self, node: &Node<'_>, place: Span) -> Option<Span> {
        let (span, text) = (node.span(), node.get_ref().as_str()?);
        let raw = self.source.get(span.clone())?;
        let plain = raw.len() == text.len() + 2 && raw.get(1..raw.len() - 1) == Some(text);
        let first = plain.then(|| span.start + 1 + place.start)?;
        // A place at the end of the text is the closing quote.
        let width = self.source.get(first..)?.chars().next().map_or(1, char::len_utf8);
        Some(first..first + place.len().max(width))
    }
}

/// Turns the value that was found into the one that was meant, where that is plain.
fn way_out(found: &DeValue<'_>, expected: &str) -> String {
    let wants_text = expected.starts_with("a text");
    match found {
        // Several in one text, as in the `scope` of OAuth: no such list has elements with blanks or commas.
        DeValue::String(text) if expected.starts_with("a list, each") => {
            let separated = |c: char| c == ',' || c.is_whitespace();
            let elements: Vec<_> = text.split(separated).filter(|element| !element.is_empty()).collect();
            let elements = if elements.is_empty() { vec![&**text] } else { elements };
            format!("write it as a list: {elements:?}")
        }
        DeValue::String(text) if expected.starts_with("a list") => format!("write it as a list: [{text:?}]"),
        DeValue::String(text) if expected.starts_with("true") && matches!(&**text, "true" | "false") => {
            format!("write it without quotes: {text}")
        }
        DeValue::String(text) if expected.starts_with("a whole number") && text.parse::<u64>().is_ok() => {
            format!("write it without quotes: {text}")
        }
        DeValue::Integer(number) if expected.contains("duration") => {
            format!("say the unit: \"{number}s\" or \"{number}ms\"")
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) if wants_text => {
            "put it in double quotes".into()
        }
        DeValue::Array(_) if wants_text => "write one value, without brackets".into(),
        _ => format!("write {expected}"),
    }
}

/// A type of value, with its article.
pub fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<T: Text> FromToml for T {
    fn expected() -> String {
        T::EXPECTED.into()
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = node.get_ref().as_str() else {
            reader.wrong_type(node, T::EXPECTED);
            return None;
        };
        match T::parse(text) {
            Ok(value) => Some(value),
            Err(refusal) => {
                reader.refuse(node, refusal);
                None
            }
        }
    }

    fn schema() -> Json {
        let mut schema = T::hints();
        schema["type"] = "string".into();
        schema
    }
}

impl FromToml for bool {
    fn expected() -> String {
        "true or false".into()
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let value = node.get_ref().as_bool();
        if value.is_none() {
            reader.wrong_type(node, &Self::expected());
        }
        value
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

impl<T: FromToml> FromToml for At<T> {
    fn expected() -> String {
        T::expected()
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(|value| Self { value, span: node.span() })
    }

    fn schema() -> Json {
        T::schema()
    }
}

/// A list of texts, without repeats; never empty.
#[derive(Debug, Clone)]
pub struct List<T>(pub Vec<At<T>>);

impl<T: FromToml> FromToml for List<T> {
    fn expected() -> String {
        format!("a list, each element {}", T::expected())
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Array(items) = node.get_ref() else {
            reader.wrong_type(node, &Self::expected());
            return None;
        };
        if items.is_empty() {
            let message = format!("`{}` is an empty list", reader.path());
            reader.report(
                Diagnostic::new(Code::EmptyList, message)
                    .at(&node.span(), "")
                    .help("name at least one, or leave the key out"),
            );
            return None;
        }
        report_repeats(items, reader);
        // Every element is read, so that each is told what is wrong with it.
        let read: Vec<_> = items.iter().map(|item| At::read(item, reader)).collect();
        read.into_iter().collect::<Option<_>>().map(Self)
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema(), "minItems": 1, "uniqueItems": true })
    }
}

fn report_repeats(items: &[Node<'_>], reader: &mut Reader<'_>) {
    let mut seen = std::collections::BTreeMap::new();
    for item in items {
        let Some(text) = item.get_ref().as_str() else { continue };
        match seen.entry(text) {
            std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(item.span())),
            std::collections::btree_map::Entry::Occupied(first) => reader.report(
                Diagnostic::new(Code::DuplicateItem, format!("{text:?} is listed twice in `{}`", reader.path()))
                    .at(&item.span(), "again here")
                    .at(first.get(), "first here")
                    .help("remove one of them"),
            ),
        }
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone)]
pub struct OneOrMany<T>(pub Vec<At<T>>);

impl<T: FromToml> FromToml for OneOrMany<T> {
    fn expected() -> String {
        format!("{}, or a list of such", T::expected())
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Array(_) => List::read(node, reader).map(|list| Self(list.0)),
            DeValue::Table(_) => {
                reader.wrong_type(node, &Self::expected());
                None
            }
            _ => At::read(node, reader).map(|one| Self(vec![one])),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [T::schema(), List::<T>::schema()] })
    }
}

/// As [`List`], but an empty one says something too.
#[derive(Debug, Clone)]
pub struct PerhapsEmpty<T>(pub Vec<At<T>>);

impl<T: FromToml> FromToml for PerhapsEmpty<T> {
    fn expected() -> String {
        List::<T>::expected()
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Array(items) if items.is_empty() => Some(Self(Vec::new())),
            _ => List::read(node, reader).map(|list| Self(list.0)),
        }
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema(), "uniqueItems": true })
    }
}

/// A table whose keys are names that the author chose, in their order by alphabet.
#[derive(Debug, Clone)]
pub struct Entries<K, V>(pub Vec<(At<K>, At<V>)>);

impl<K: Text, V: FromToml> FromToml for Entries<K, V> {
    fn expected() -> String {
        format!("a table, each value {}", V::expected())
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Table(table) = node.get_ref() else {
            reader.wrong_type(node, &Self::expected());
            return None;
        };
        let mut entries = Vec::new();
        for (key, value) in table {
            let name = Spanned::new(key.span(), DeValue::String(key.get_ref().clone()));
            let name = At::<K>::read(&name, reader);
            let value = reader.within(key.get_ref(), |reader| At::<V>::read(value, reader));
            entries.extend(name.zip(value));
        }
        Some(Self(entries))
    }

    fn schema() -> Json {
        json!({ "type": "object", "propertyNames": K::hints(), "additionalProperties": V::schema() })
    }
}

/// Several tables: `[[name]]`. May be empty.
#[derive(Debug, Clone)]
pub struct Tables<T>(pub Vec<At<T>>);

impl<T: FromToml> FromToml for Tables<T> {
    fn expected() -> String {
        "tables with double brackets: [[...]]".into()
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Array(items) => Some(Self(items.iter().filter_map(|item| At::read(item, reader)).collect())),
            DeValue::Table(_) => {
                let path = reader.path();
                let message = format!("`{path}` is a list of tables");
                let help = format!("write the header with double brackets: [[{path}]]");
                reader
                    .report(Diagnostic::new(Code::WrongType, message).at(&node.span(), "this is one table").help(help));
                None
            }
            _ => {
                reader.wrong_type(node, &Self::expected());
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema() })
    }
}
