//! The words for faults that the authority makes on purpose, and for the places where they happen.

use serde_json::{Value as Json, json};

use crate::config::read::{Refusal, Text};
use crate::config::table::unknown_word;
use crate::faults::{Fault, Place, words};

/// A fault by its word.
#[derive(Debug, Clone, Copy)]
pub struct FaultWord(pub &'static Fault);

impl Text for FaultWord {
    const EXPECTED: &'static str = "a text with the word for a fault, such as \"wrong_aud\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Fault::named(text).map(Self).ok_or_else(|| unknown_word(text, &words()))
    }

    fn hints() -> Json {
        json!({ "enum": words() })
    }
}

/// A place by its word.
#[derive(Debug, Clone, Copy)]
pub struct PlaceWord(pub Place);

impl Text for PlaceWord {
    const EXPECTED: &'static str = "a text with the word for a place, such as \"id_token\" or \"jwks\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Place::named(text).map(Self).ok_or_else(|| unknown_word(text, Place::WORDS))
    }

    fn hints() -> Json {
        json!({ "enum": Place::WORDS })
    }
}
