//! Whatever stands in a file, reading and rendering end, without a panic, with valid places.

use proptest::prelude::*;
use tollgate::config::diagnostic::render;
use tollgate::config::{Report, parse};

use super::surroundings::Fake;

const EXAMPLES: [&str; 3] = [
    include_str!("../../config/tollgate.toml"),
    include_str!("../../config/demo.toml"),
    include_str!("many_problems.toml"),
];

fn survives(text: &str) {
    let (diagnostics, source) = match parse(text, "x.toml", &Fake::new()) {
        Ok(loaded) => (loaded.warnings, loaded.source),
        Err(Report { diagnostics, source }) => {
            assert!(!diagnostics.is_empty(), "refused without a reason");
            (diagnostics, source)
        }
    };
    for label in diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels) {
        assert!(text.get(label.span.clone()).is_some(), "{:?} is no place of the text", label.span);
    }
    let text = render::text(&diagnostics, &source, false);
    assert_eq!(render::json(&diagnostics, &source).as_array().map(Vec::len), Some(diagnostics.len()));
    assert!(text.ends_with('\n'));
}

/// An example with some bytes' worth of characters replaced, removed or added.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0..12_usize, "[\\[\\]{}=\"',.#\\n a-zé0-9~\\\\]{0,6}");
    (0..EXAMPLES.len(), prop::collection::vec(edit, 1..6)).prop_map(|(example, edits)| {
        let mut text: Vec<char> = EXAMPLES[example].chars().collect();
        for (place, remove, insert) in edits {
            let start = place.index(text.len() + 1);
            let end = (start + remove).min(text.len());
            text.splice(start..end, insert.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn any_tomlish_text_is_survived(text in "([\\[\\]{}=\"'.#,\\n\\r\t a-cé0-9-]|secret|server|routes|listen|\"\"\"){0,80}") {
        survives(&text);
    }

    #[test]
    fn any_slip_in_an_example_is_survived(text in mutated()) {
        survives(&text);
    }
}
