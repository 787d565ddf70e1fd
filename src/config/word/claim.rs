//! What a rule asks of one claim: a value or a list of values, or a table with one test.

use serde_json::{Value as Json, json};
use toml::de::{DeTable, DeValue};

use super::json::ClaimValue;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{Accepted, ClaimTest};
use crate::config::read::{FromToml, Node, Reader};
use crate::pattern::is_parameter_name;

/// Parameters of paths are known by their names here.
type Test = ClaimTest<Box<str>>;
type Value = Accepted<Box<str>>;

/// A test of one claim.
#[derive(Debug, Clone)]
pub struct ClaimRule {
    /// The test.
    pub test: Test,
    /// Where each of [`ClaimTest::accepted`] stands.
    pub places: Vec<Span>,
}

const TESTS: &str = "{ equals = ... }, { one_of = [...] }, { contains = ... } or { exists = true }";

impl FromToml for ClaimRule {
    fn expected() -> String {
        format!("an accepted value, a list of them, or a table with one test: {TESTS}")
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Table(table) => test(node, table, reader),
            DeValue::Array(_) => values(node, reader, ClaimTest::Has),
            _ => value(node, reader, |value| ClaimTest::Has(vec![value])),
        }
    }

    fn schema() -> Json {
        let value = json!({ "type": ["string", "integer", "number", "boolean", "array"] });
        let list = json!({ "type": "array", "minItems": 1 });
        let tests = json!({ "equals": value, "contains": value, "one_of": list, "exists": { "type": "boolean" } });
        let table = json!({ "type": "object", "properties": tests, "additionalProperties": false, "maxProperties": 1 });
        json!({ "anyOf": [value, table] })
    }
}

fn test(node: &Node<'_>, table: &DeTable<'_>, reader: &mut Reader<'_>) -> Option<ClaimRule> {
    let mut keys = table.iter();
    let (Some((key, inner)), None) = (keys.next(), keys.next()) else {
        let message = format!("`{}` is a table with {} keys, not with one test", reader.path(), table.len());
        let help = format!("write {TESTS}");
        reader.report(Diagnostic::new(Code::BadClaimValue, message).at(&node.span(), "").help(help));
        return None;
    };
    match (&**key.get_ref(), inner.get_ref()) {
        ("exists", DeValue::Boolean(exists)) => {
            let test = if *exists { ClaimTest::Exists } else { ClaimTest::Absent };
            Some(ClaimRule { test, places: Vec::new() })
        }
        ("exists", _) => {
            reader.within("exists", |reader| reader.wrong_type(inner, "true or false"));
            None
        }
        ("equals", _) => value(inner, reader, |value| ClaimTest::OneOf(vec![value])),
        ("contains", DeValue::Array(_)) => {
            let help = "contains one value; a list under the pointer itself means: has one of these";
            let message = format!("`{}` compares an element with a list", reader.path());
            reader.report(Diagnostic::new(Code::BadClaimValue, message).at(&inner.span(), "").help(help));
            None
        }
        ("contains", _) => value(inner, reader, ClaimTest::Contains),
        ("one_of", DeValue::Array(_)) => values(inner, reader, ClaimTest::OneOf),
        ("one_of", _) => {
            reader.within("one_of", |reader| reader.wrong_type(inner, "a list of accepted values"));
            None
        }
        (other, _) => {
            let message = format!("`{}` compares with a table, and `{other}` is no test", reader.path());
            let help = format!(
                "write {TESTS}; to look at a member of the claim, point deeper: {{ \"/address/country\" = \"de\" }}"
            );
            reader.report(Diagnostic::new(Code::BadClaimValue, message).at(&key.span(), "").help(help));
            None
        }
    }
}

fn value(node: &Node<'_>, reader: &mut Reader<'_>, test: impl FnOnce(Value) -> Test) -> Option<ClaimRule> {
    accepted(node, reader).map(|value| ClaimRule { test: test(value), places: vec![node.span()] })
}

fn values(node: &Node<'_>, reader: &mut Reader<'_>, test: impl FnOnce(Vec<Value>) -> Test) -> Option<ClaimRule> {
    let items: &[Node<'_>] = node.get_ref().as_array().map_or(&[], |items| items);
    if items.is_empty() {
        let message = format!("`{}` accepts no value, so it refuses everybody", reader.path());
        let help = "name the accepted values, or remove the claim";
        reader.report(Diagnostic::new(Code::RuleNeverHolds, message).at(&node.span(), "").help(help));
        return None;
    }
    // Every element is read, so that each is told what is wrong with it.
    let read: Vec<_> = items.iter().map(|item| accepted(item, reader)).collect();
    let places = items.iter().map(|item| item.span()).collect();
    read.into_iter().collect::<Option<_>>().map(|values| ClaimRule { test: test(values), places })
}

/// One value. A text in braces is a path parameter; in double braces it is the text in single ones.
fn accepted(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Value> {
    let value = match ClaimValue::read(node, reader)?.0 {
        Json::Object(_) => {
            let message = format!("`{}` compares with a table", reader.path());
            let help = "point deeper instead: { \"/address/country\" = \"de\" }";
            reader.report(Diagnostic::new(Code::BadClaimValue, message).at(&node.span(), "").help(help));
            return None;
        }
        Json::String(text) => text,
        other => return Some(Accepted::Value(other)),
    };
    let Some(inner) = value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Some(Accepted::Value(value.into()));
    };
    if inner.starts_with('{') && inner.ends_with('}') {
        return Some(Accepted::Value(inner.into()));
    }
    if is_parameter_name(inner) {
        return Some(Accepted::Param(inner.into()));
    }
    let message = format!("{value:?} is in braces, but names no parameter of a path");
    let help = format!("for this very text, double the braces: \"{{{value}}}\"");
    reader.report(Diagnostic::new(Code::BadClaimValue, message).at(&node.span(), "").help(help));
    None
}
