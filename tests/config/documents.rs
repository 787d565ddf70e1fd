//! The schema fits the examples, and the documents say what the schema and the list of codes say.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tollgate::config::{Code, load, schema};
use tollgate::faults;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> Vec<PathBuf> {
    let files = std::fs::read_dir(root().join("config")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    assert!(files.len() >= 3);
    files
}

#[test]
fn every_example_is_valid_without_warnings() {
    for path in examples() {
        let loaded = load(&path).unwrap_or_else(|report| panic!("{report}"));
        assert!(loaded.warnings.is_empty(), "{}: {:?}", path.display(), loaded.warnings);
    }
}

#[test]
fn every_example_fits_the_schema() {
    let schema = schema();
    for path in examples() {
        let value: Value = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        fits(&value, &schema, &path.display().to_string());
    }
    let misfit =
        std::panic::catch_unwind(|| fits(&serde_json::json!({ "servr": {} }), &tollgate::config::schema(), ""));
    assert!(misfit.is_err(), "the check itself finds nothing");
}

/// A small part of JSON Schema: types, properties, items, enums, anyOf.
fn fits(value: &Value, schema: &Value, place: &str) {
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let fitting = choices.iter().find(|choice| has_type(value, choice));
        return fits(value, fitting.unwrap_or_else(|| panic!("{place}: no choice fits {value}")), place);
    }
    assert!(has_type(value, schema), "{place}: {value} is not {schema}");
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        assert!(words.contains(value), "{place}: {value} is none of {words:?}");
    }
    match value {
        Value::Object(members) => members.iter().for_each(|(key, member)| {
            let known = schema.get("properties").and_then(|properties| properties.get(key));
            let inner = known.or_else(|| schema.get("additionalProperties").filter(|schema| schema.is_object()));
            match inner {
                Some(inner) => fits(member, inner, &format!("{place}.{key}")),
                None => assert!(schema.get("additionalProperties").is_none(), "{place}.{key} is not in the schema"),
            }
        }),
        Value::Array(items) => {
            for item in items.iter().filter(|_| schema.get("items").is_some()) {
                fits(item, &schema["items"], place);
            }
        }
        _ => {}
    }
}

fn has_type(value: &Value, schema: &Value) -> bool {
    let kind = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Null => "null",
    };
    match schema.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(|allowed| allowed == kind),
        Some(allowed) => allowed == kind,
    }
}

/// Whether a file uses every key of the schema, at its place.
pub fn names_every_key(text: &str) {
    let file: Value = toml::from_str(text).unwrap();
    each_key(&schema(), "", &mut |path, _| {
        assert!(
            path.split('.')
                .try_fold(vec![&file], |found, key| Some(step(&found, key)).filter(|found| !found.is_empty()))
                .is_some(),
            "{path}"
        );
    });
}

/// What is behind a key: of a table, of the tables of a list, or of the tables with names.
fn step<'a>(found: &[&'a Value], key: &str) -> Vec<&'a Value> {
    let inside = |value: &'a Value| -> Vec<&'a Value> {
        match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(members) if !members.contains_key(key) => members.values().collect(),
            one => vec![one],
        }
    };
    found.iter().flat_map(|value| inside(value)).filter_map(|value| value.get(key)).collect()
}

#[test]
fn the_schema_describes_every_key() {
    each_key(&schema(), "", &mut |path, key| {
        assert!(
            key["description"].as_str().is_some_and(|text| text.ends_with('.') || text.ends_with('`')),
            "{path} has no description"
        );
    });
}

#[test]
fn the_reference_names_every_key() {
    let path = root().join("docs/configuration.md");
    keep(&path, &reference());
    let text = std::fs::read_to_string(path).unwrap();
    each_key(&schema(), "", &mut |path, _| {
        let key = path.rsplit('.').next().unwrap();
        assert!(
            text.contains(&format!("`{key}`")) || text.contains(&format!("[{key}")),
            "{path} is not in docs/configuration.md"
        );
    });
}

#[test]
fn the_diagnostics_page_names_every_code() {
    let path = root().join("docs/diagnostics.md");
    let mut table = String::from("| code | severity | meaning |\n| --- | --- | --- |\n");
    for code in Code::ALL {
        writeln!(table, "| `{}` | {} | {} |", code.as_str(), code.severity().as_str(), code.meaning().trim()).unwrap();
    }
    keep(&path, &table);
}

#[test]
fn the_page_of_the_authority_names_every_fault() {
    let path = root().join("docs/authority.md");
    let mut table = String::from("| fault | what is sent | places |\n| --- | --- | --- |\n");
    for fault in faults::ALL {
        let places = fault.place_words().iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        writeln!(table, "| `{}` | {} | {places} |", fault.word, fault.does).unwrap();
    }
    keep(&path, &table);
}

/// `FILE::NAME` in backticks, of a test.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|quoted| quoted.split_once("::").filter(|(file, _)| file.ends_with(".rs"))).collect()
}

/// Whether a text has a test of this name.
fn has_test(text: &str, name: &str) -> bool {
    text.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        let before = text[..at].trim_end_matches(|c| c != '\n').trim_end();
        let attributes = before.rsplit('\n').take_while(|line| line.trim_start().starts_with("#["));
        attributes.into_iter().any(|line| line.contains("#[test]") || line.contains("#[tokio::test]"))
    })
}

#[test]
fn every_bug_of_others_has_a_test_here() {
    let text = std::fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") && line.contains("`tests/")).collect();
    let numbers: Vec<String> = rows.iter().map(|row| row.split('|').nth(1).unwrap().trim().to_owned()).collect();
    assert_eq!(numbers, (1..=54).map(|number| number.to_string()).collect::<Vec<_>>(), "every row has its tests");
    let mut missing = Vec::new();
    for (file, name) in rows.iter().flat_map(|row| named_tests(row)) {
        let there = std::fs::read_to_string(root().join(file)).is_ok_and(|text| has_test(&text, name));
        if !there {
            missing.push(format!("{file}::{name}"));
        }
    }
    assert!(missing.is_empty(), "docs/threats.md names tests that do not exist: {missing:#?}");
    assert!(
        has_test("#[test]\n#[ignore]\nfn a() {", "a")
            && !has_test("fn a() {", "a")
            && !has_test("#[test]\nfn ab(", "a")
    );
}

/// The suites that the threat model names are there.
#[test]
fn every_defence_has_its_suite() {
    let text = std::fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let suites =
        text.split('`').skip(1).step_by(2).filter(|quoted| quoted.starts_with("tests/") || quoted.starts_with("src/"));
    let missing: Vec<&str> = suites.filter(|suite| !root().join(suite).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

const BEGIN: &str = "<!-- made from the source, by tests/config -->\n";
const END: &str = "<!-- end -->\n";

/// Compares the made part of a document with what it should be; writes it when asked to.
fn keep(path: &Path, made: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    let (front, rest) = text.split_once(BEGIN).expect("the document marks its made part");
    let (_, back) = rest.split_once(END).expect("the made part ends");
    let right = format!("{front}{BEGIN}{made}{END}{back}");
    if std::env::var_os("TOLLGATE_WRITE_DOCS").is_some() {
        std::fs::write(path, &right).unwrap();
    }
    let now = std::fs::read_to_string(path).unwrap();
    assert!(now == right, "{} is stale: TOLLGATE_WRITE_DOCS=1 cargo test --test config", path.display());
}

/// Calls `see` with the dotted path and the schema of every key.
fn each_key(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    for (key, inner) in table_of(schema).into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        see(&path, inner);
        if table_of(inner).is_some() {
            each_key(inner, &path, see);
        }
    }
}

/// The keys of a table: of the schema itself, of the tables in a list, or of those by name.
fn table_of(schema: &Value) -> Option<&Map<String, Value>> {
    let inner = [Some(schema), schema.get("items"), schema.get("additionalProperties")];
    inner.into_iter().flatten().find_map(|schema| schema.get("properties")?.as_object())
}

fn reference() -> String {
    let mut out = String::new();
    let schema = schema();
    for (key, table) in table_of(&schema).unwrap() {
        section(&mut out, key, table);
    }
    out
}

fn section(out: &mut String, path: &str, schema: &Value) {
    let list = schema.get("items").is_some();
    let named = schema.get("additionalProperties").is_some_and(Value::is_object);
    let header = match (list, named) {
        (true, _) => format!("[[{path}]]"),
        (_, true) if table_of(schema).is_some() => format!("[{path}.NAME]"),
        _ => format!("[{path}]"),
    };
    writeln!(out, "## `{header}`\n\n{}\n", flat(schema["description"].as_str().unwrap_or_default())).unwrap();
    let Some(keys) = table_of(schema) else { return };
    writeln!(out, "| key | value | default | meaning |\n| --- | --- | --- | --- |").unwrap();
    let (tables, plain): (Vec<_>, Vec<_>) = keys.iter().partition(|(_, inner)| table_of(inner).is_some());
    let required = required(schema);
    for (key, inner) in plain {
        let default = match (inner.get("default"), required.contains(key)) {
            (Some(default), _) => format!("`{default}`"),
            (None, true) => "required".into(),
            (None, false) => String::new(),
        };
        let meaning = flat(inner["description"].as_str().unwrap_or_default());
        writeln!(out, "| `{key}` | {} | {default} | {meaning} |", kind(inner)).unwrap();
    }
    for (key, inner) in &tables {
        writeln!(out, "| `{key}` | table | | {} |", flat(inner["description"].as_str().unwrap_or_default())).unwrap();
    }
    out.push('\n');
    let prefix = if named { format!("{path}.NAME") } else { path.to_owned() };
    for (key, inner) in tables {
        section(out, &format!("{prefix}.{key}"), inner);
    }
}

fn required(schema: &Value) -> Vec<String> {
    let inner = [Some(schema), schema.get("items"), schema.get("additionalProperties")];
    let list = inner.into_iter().flatten().find_map(|schema| schema.get("required")?.as_array());
    list.into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned)).collect()
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// What stands behind a key, in few words.
fn kind(schema: &Value) -> String {
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or_default();
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => match kind(&schema["items"]) {
            words if words.contains('`') => format!("list of {words}"),
            plain => format!("list of {plain}s"),
        },
        Some("object") => match schema.get("properties").and_then(Value::as_object) {
            Some(keys) => {
                format!("table with {}", keys.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" or "))
            }
            None => "table".into(),
        },
        Some("string") if pattern.contains("ms|s|m") => "duration".into(),
        Some("string") if pattern.contains("KiB") => "size".into(),
        Some("string") if schema.get("format").is_some() => "URL".into(),
        Some("string") => "text".into(),
        Some(other) => other.into(),
        None => "any value".into(),
    }
}
