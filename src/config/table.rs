//! The two declarations that the format is made of. From one `table!` come the struct, its reader (unknown keys with
//! the nearest right one, wrong types, missing keys, keys for later) and its JSON Schema; from one `words!` an enum, its
//! reader and its schema. Doc comments are the descriptions that editors and `docs/configuration.md` show.
//!
//! To add a key, add a line with its doc comment to the table in `raw`, and use the field in `validate`:
//!
//! ```text
//! /// How long requests in flight may take after SIGTERM.
//! drain_timeout: Period = "30s",          // with a default, read as if it were written
//! certificate: FilePath => required,      // its absence is an error
//! cors: AnyTable => later,                // read and checked, then refused as `not-supported-yet`
//! ```

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Code, Diagnostic, Span};
use super::read::{FromToml, Node, Reader};

/// What became of one key.
#[derive(Debug, Clone, Default)]
pub enum Field<T> {
    /// Not written.
    #[default]
    Absent,
    /// Written, but wrong; that is reported already.
    Broken,
    /// Not written, and this is its default.
    Default(T),
    /// Written.
    Written {
        /// Where the key stands.
        key: Span,
        /// Where the value stands.
        span: Span,
        /// The value.
        value: T,
    },
}

impl<T> Field<T> {
    /// The value, written or by default.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Default(value) | Self::Written { value, .. } => Some(value),
            Self::Absent | Self::Broken => None,
        }
    }

    /// The value and its place, when written.
    pub fn written(&self) -> Option<(&T, &Span)> {
        match self {
            Self::Written { value, span, .. } => Some((value, span)),
            Self::Absent | Self::Broken | Self::Default(_) => None,
        }
    }

    /// Where the key stands, when written.
    pub fn key(&self) -> Option<&Span> {
        match self {
            Self::Written { key, .. } => Some(key),
            Self::Absent | Self::Broken | Self::Default(_) => None,
        }
    }

    /// Whether nobody tried to write it.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent | Self::Default(_))
    }
}

impl<T: FromToml> Field<T> {
    /// Reads what stands behind a key.
    pub fn read(key: &Span, name: &str, node: &Node<'_>, reader: &mut Reader<'_>) -> Self {
        match reader.within(name, |reader| T::read(node, reader)) {
            Some(value) => Self::Written { key: key.clone(), span: node.span(), value },
            None => Self::Broken,
        }
    }

    /// The table, or one without keys when it is not written; `None` when it is broken. For tables without required keys.
    pub fn or_empty(&self) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Default(value) | Self::Written { value, .. } => Some(value.clone()),
            Self::Absent => {
                let empty = Spanned::new(0..0, DeValue::Table(DeTable::new()));
                T::read(&empty, &mut Reader::new("", std::collections::BTreeSet::new()))
            }
            Self::Broken => None,
        }
    }

    /// Fills in the default, read like a written value. A key that a syntax error took away, or that stands there misspelt,
    /// is broken rather than absent.
    pub fn settle(&mut self, name: &str, default: Option<Node<'_>>, misspelt: &[&str], reader: &mut Reader<'_>) {
        if !matches!(self, Self::Absent) {
            return;
        }
        if reader.lost(name) || misspelt.contains(&name) {
            *self = Self::Broken;
        } else if let Some(default) = default {
            *self = T::read(&default, reader).map_or(Self::Broken, Self::Default);
        }
    }

    /// Reports that a table cannot do without this key.
    pub fn require(&self, name: &str, table: &str, header: &Span, reader: &mut Reader<'_>) {
        if matches!(self, Self::Absent) {
            let message = format!("{table} needs the key `{name}`");
            let help = format!("add `{name} = ...`: {}", T::expected());
            reader.report(
                Diagnostic::new(Code::MissingKey, message).at(header, format!("`{name}` is missing")).help(help),
            );
        }
    }

    /// Reports that this version does not act on the key.
    pub fn refuse_for_now(&self, name: &str, reader: &mut Reader<'_>) {
        if let Self::Written { key, .. } = self {
            reader.report(not_yet(&format!("`{name}`"), key));
        }
    }
}

/// A part of the format that this version does not act on.
pub fn not_yet(what: &str, span: &Span) -> Diagnostic {
    Diagnostic::new(Code::NotSupportedYet, format!("{what} is not supported yet"))
        .at(span, "")
        .help("remove it: this version would not act on it, and Tollgate never ignores what it is told")
}

/// Reports a key that no table of this kind has; gives the one that was probably meant.
pub fn unknown_key<'k>(
    key: &Spanned<std::borrow::Cow<'_, str>>,
    table: &str,
    known: &[&'k str],
    reader: &mut Reader<'_>,
) -> Option<&'k str> {
    let name: &str = key.get_ref();
    let diagnostic = Diagnostic::new(Code::UnknownKey, format!("{table} has no key `{name}`"));
    let right = nearest(name, known);
    let help = match right {
        Some(right) => format!("did you mean `{right}`?"),
        None => format!("its keys are {}", listed(known)),
    };
    reader.report(diagnostic.at(&key.span(), "").help(help));
    right
}

/// The known word that was probably meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let folded = word.to_ascii_lowercase().replace('-', "_");
    let score = |candidate: &str| {
        let candidate = candidate.to_ascii_lowercase().replace('-', "_");
        match strsim::damerau_levenshtein(&folded, &candidate) <= 1 + candidate.len() / 8 {
            true => 1.0,
            false => strsim::jaro_winkler(&folded, &candidate),
        }
    };
    let best = known.iter().copied().map(|candidate| (score(candidate), candidate));
    best.filter(|(score, _)| *score > 0.84).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

/// `a`, `b` and `c`, in backticks.
pub fn listed(words: &[&str]) -> String {
    joined(words, "and")
}

/// `a`, `b` or `c`, in backticks.
pub fn choices(words: &[&str]) -> String {
    joined(words, "or")
}

fn joined(words: &[&str], last_by: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => "none".into(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} {last_by} {last}", others.join(", ")),
    }
}

/// The table behind a node, or a report of what stands there instead.
pub fn table_of<'a, 'i>(node: &'a Node<'i>, expected: &str, reader: &mut Reader<'_>) -> Option<&'a DeTable<'i>> {
    if let DeValue::Table(table) = node.get_ref() {
        return Some(table);
    }
    reader.wrong_type(node, expected);
    None
}

/// The schema of one key: its type's, with the description and what else is known.
pub fn described(mut schema: Json, doc: &str, default: Option<Json>, later: bool) -> Json {
    let note = if later { " Not supported yet." } else { "" };
    schema["description"] = format!("{}{note}", doc.trim()).into();
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}

/// The schema of a table.
pub fn object(doc: &str, properties: Vec<(&str, Json)>, required: &[&str]) -> Json {
    let properties: serde_json::Map<String, Json> =
        properties.into_iter().map(|(key, value)| (key.into(), value)).collect();
    let mut schema =
        json!({ "type": "object", "description": doc.trim(), "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        $name:ident, $title:literal {
            $($(#[doc = $key_doc:literal])+ $key:ident : $type:ty $(= $default:literal)? $(=> $mark:ident)?,)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Default)]
        pub struct $name { $($(#[doc = $key_doc])+ pub $key: $crate::config::table::Field<$type>,)+ }

        impl $name {
            const KEYS: &[&str] = &[$(stringify!($key),)+];
        }

        impl $crate::config::read::FromToml for $name {
            fn expected() -> String {
                concat!("a table like ", $title).into()
            }

            fn read(node: &$crate::config::read::Node<'_>, reader: &mut $crate::config::read::Reader<'_>) -> Option<Self> {
                use $crate::config::table::{Field, table_of, unknown_key};
                let table = table_of(node, &Self::expected(), reader)?;
                let mut this = Self::default();
                let mut meant: Vec<&str> = Vec::new();
                for (key, value) in table {
                    match &**key.get_ref() {
                        $(name @ stringify!($key) => this.$key = Field::read(&key.span(), name, value, reader),)+
                        _ => meant.extend(unknown_key(key, $title, Self::KEYS, reader)),
                    }
                }
                $(
                    let default = None$(.or_else(|| toml::de::DeValue::parse(stringify!($default)).ok()))?;
                    this.$key.settle(stringify!($key), default, &meant, reader);
                    $($crate::config::table::table!(@$mark this $key $title node reader);)?
                )+
                Some(this)
            }

            fn schema() -> serde_json::Value {
                use $crate::config::table::{described, object};
                let mut required: Vec<&str> = Vec::new();
                let mut properties = Vec::new();
                $(
                    let later = $crate::config::table::table!(@is_later $($mark)?);
                    let default: Option<serde_json::Value> = None$(.or(Some($default.into())))?;
                    let schema = <$type as $crate::config::read::FromToml>::schema();
                    properties.push((stringify!($key), described(schema, concat!($($key_doc, "\n",)+), default, later)));
                    if $crate::config::table::table!(@is_required $($mark)?) {
                        required.push(stringify!($key));
                    }
                )+
                object(concat!($($doc, "\n",)+), properties, &required)
            }
        }
    };
    (@required $this:ident $key:ident $title:literal $node:ident $reader:ident) => {
        $this.$key.require(stringify!($key), $title, &$node.span(), $reader);
    };
    (@later $this:ident $key:ident $title:literal $node:ident $reader:ident) => {
        $this.$key.refuse_for_now(stringify!($key), $reader);
    };
    (@is_later later) => { true };
    (@is_later $($other:ident)?) => { false };
    (@is_required required) => { true };
    (@is_required $($other:ident)?) => { false };
}

macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        $name:ident { $($(#[doc = $word_doc:literal])+ $word:ident = $text:literal,)+ }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $word_doc])+ $word,)+ }

        impl $name {
            const WORDS: &[&str] = &[$($text,)+];

            /// As it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)+ }
            }
        }

        impl $crate::config::read::Text for $name {
            const EXPECTED: &'static str = concat!("a text, one of", $(" \"", $text, "\"",)+);

            fn parse(text: &str) -> Result<Self, $crate::config::read::Refusal> {
                let word = [$(Self::$word,)+].into_iter().find(|word| word.as_str() == text);
                word.ok_or_else(|| $crate::config::table::unknown_word(text, Self::WORDS))
            }

            fn hints() -> serde_json::Value {
                serde_json::json!({ "enum": Self::WORDS })
            }
        }
    };
}

/// A word that a key does not take.
pub fn unknown_word(text: &str, known: &[&str]) -> super::read::Refusal {
    let help = match nearest(text, known) {
        Some(right) => format!("did you mean \"{right}\"? It can be {}", choices(known)),
        None => format!("it can be {}", choices(known)),
    };
    super::read::Refusal::new(Code::UnknownWord, format!("{text:?} is not a word that is known here"), help)
}

pub(crate) use {table, words};
