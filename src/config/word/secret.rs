//! Secrets: a text in the file, the name of a file, or the name of an environment variable.

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::read::{FromToml, Node, Reader};
use crate::config::table::{Field, table};
use crate::config::word::names::{FilePath, NonEmpty};
use crate::secret::Secret;

/// Where a secret is to be had.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// In the file itself.
    Inline(Secret),
    /// In this file; line ends at its end do not count.
    File(PathBuf),
    /// In this environment variable.
    Env(String),
}

table! {
    /// A secret that stands elsewhere; one of the two keys.
    Reference, "{ file = \"...\" }" {
        /// A file whose content is the secret; line ends at its end do not count.
        file: FilePath,
        /// An environment variable whose value is the secret.
        env: NonEmpty,
    }
}

impl FromToml for SecretSource {
    fn expected() -> String {
        "a text, or { file = \"...\" } or { env = \"...\" }".into()
    }

    fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::String(text) => {
                reader.secrets.push(node.span());
                if text.is_empty() {
                    let message = format!("`{}` is an empty secret", reader.path());
                    reader.report(
                        Diagnostic::new(Code::EmptySecret, message)
                            .at(&node.span(), "")
                            .help("write a secret, or leave the key out"),
                    );
                    return None;
                }
                Some(Self::Inline(Secret::new(text.to_string())))
            }
            DeValue::Table(_) => reference(node, reader),
            _ => {
                reader.secrets.push(node.span());
                reader.wrong_type(node, &Self::expected());
                None
            }
        }
    }

    fn schema() -> Json {
        let mut reference = Reference::schema();
        reference["minProperties"] = 1.into();
        reference["maxProperties"] = 1.into();
        json!({ "anyOf": [{ "type": "string", "minLength": 1 }, reference] })
    }
}

fn reference(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<SecretSource> {
    let Reference { file, env } = Reference::read(node, reader)?;
    match (file, env) {
        (Field::Written { value, .. }, Field::Absent) => Some(SecretSource::File(value.0)),
        (Field::Absent, Field::Written { value, .. }) => Some(SecretSource::Env(value.0)),
        (Field::Broken, _) | (_, Field::Broken) => None,
        _ => {
            let message = format!("`{}` does not say where the secret is", reader.path());
            let help = "either { file = \"/run/secrets/name\" } or { env = \"NAME\" }";
            reader.report(Diagnostic::new(Code::BadSecret, message).at(&node.span(), "").help(help));
            None
        }
    }
}
