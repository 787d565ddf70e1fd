//! TOML values where JSON is meant: claims.

use serde_json::{Map, Value as Json, json};
use toml::de::DeValue;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::read::{FromToml, Node, Reader, kind};
use crate::config::table::table_of;

/// A value as it may stand in a token: everything that JSON has, but null.
#[derive(Debug, Clone)]
pub struct ClaimValue(pub Json);

impl FromToml for ClaimValue {
    fn expected() -> String {
        "a value as it may stand in a token".into()
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let value = convert(node.get_ref());
        if value.is_none() {
            let message = format!("`{}` has {} that no JSON has", reader.path(), kind(node.get_ref()));
            let help = "dates are texts in tokens, or numbers of seconds since 1970";
            reader.report(Diagnostic::new(Code::BadClaimValue, message).at(&node.span(), "").help(help));
        }
        value.map(Self)
    }

    fn schema() -> Json {
        json!({})
    }
}

/// A table of claims by name.
#[derive(Debug, Clone)]
pub struct Claims(pub Map<String, Json>);

impl FromToml for Claims {
    fn expected() -> String {
        "a table of claims, such as { scope = \"orders:read\" }".into()
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let table = table_of(node, &Self::expected(), reader)?;
        let mut claims = Map::new();
        for (name, value) in table {
            let value = reader.within(name.get_ref(), |reader| ClaimValue::read(value, reader));
            claims.extend(value.map(|value| (name.get_ref().to_string(), value.0)));
        }
        Some(Self(claims))
    }

    fn schema() -> Json {
        json!({ "type": "object" })
    }
}

/// A table whose inside is not fixed yet.
#[derive(Debug, Clone)]
pub struct AnyTable;

impl FromToml for AnyTable {
    fn expected() -> String {
        "a table".into()
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        table_of(node, "a table", reader).map(|_| Self)
    }

    fn schema() -> Json {
        json!({ "type": "object" })
    }
}

fn convert(value: &DeValue<'_>) -> Option<Json> {
    Some(match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok()?.into(),
        DeValue::Float(number) => serde_json::Number::from_f64(number.as_str().parse().ok()?)?.into(),
        DeValue::Datetime(_) => return None,
        DeValue::Array(items) => Json::Array(items.iter().map(|item| convert(item.get_ref())).collect::<Option<_>>()?),
        DeValue::Table(table) => {
            let members = table.iter().map(|(key, value)| Some((key.get_ref().to_string(), convert(value.get_ref())?)));
            Json::Object(members.collect::<Option<_>>()?)
        }
    })
}
