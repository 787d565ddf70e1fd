//! The configuration as a user meets it: every diagnostic as it is printed, the examples, the schema and the documents.
//!
//! The snapshots under `tests/snapshots` are what people read; look at them when they change (`cargo insta review`, or
//! `INSTA_UPDATE=always cargo test --test config`). The documents are made from the schema and the list of codes:
//! `TOLLGATE_WRITE_DOCS=1 cargo test --test config` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod config {
    pub mod cases;
    pub mod documents;
    pub mod properties;
    pub mod surroundings;
    pub mod values;
}

use std::collections::BTreeSet;

use config::cases::{CASES, expand};
use config::surroundings::Fake;
use tollgate::config::diagnostic::render;
use tollgate::config::{Code, Diagnostic, Report, Severity, parse};

fn diagnostics(text: &str) -> Report {
    match parse(text, "tollgate.toml", &Fake::new()) {
        Ok(loaded) => Report { diagnostics: loaded.warnings, source: loaded.source },
        Err(report) => report,
    }
}

#[test]
fn each_diagnostic_says_what_is_wrong_where_and_how_out() {
    let mut wrong = String::new();
    for (code, text) in CASES {
        let report = diagnostics(&expand(text));
        let codes: Vec<&str> = report.diagnostics.iter().map(|diagnostic| diagnostic.code.as_str()).collect();
        // Today every place for such a secret is a part of the format that is not acted on.
        let expected = |found: &&str| found == code || (*code == "inline-secret" && *found == "not-supported-yet");
        if !codes.contains(code) || !codes.iter().all(expected) {
            wrong += &format!("for {code}:\n{report}\n");
        }
        insta::assert_snapshot!(format!("{code}{}", nth(code, text)), report.to_string());
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Which case of its code this is: empty for the first.
fn nth(code: &str, text: &str) -> String {
    let position = CASES.iter().filter(|(other, _)| *other == code).position(|(_, other)| *other == text).unwrap_or(0);
    if position == 0 { String::new() } else { format!("-{}", position + 1) }
}

#[test]
fn every_code_has_a_case_or_a_test_of_its_own() {
    let shown: BTreeSet<&str> = CASES.iter().map(|(code, _)| *code).collect();
    // These two are about bytes, not text: `a_file_that_cannot_be_read_as_text`.
    let elsewhere = [Code::Unreadable, Code::NotUtf8];
    for code in Code::ALL.iter().filter(|code| !elsewhere.contains(code)) {
        assert!(shown.contains(code.as_str()), "no case shows {}", code.as_str());
    }
}

#[test]
fn every_diagnostic_has_a_place_and_a_way_out() {
    for (code, text) in CASES {
        for diagnostic in diagnostics(&expand(text)).diagnostics {
            assert!(diagnostic.help.is_some(), "{code}: no way out: {}", diagnostic.message);
            assert!(!diagnostic.labels.is_empty() || diagnostic.code == Code::NoRoutes, "{code}: no place");
            assert!(!diagnostic.message.ends_with('.'), "{code}: {}", diagnostic.message);
        }
    }
}

#[test]
fn all_problems_of_a_file_are_told_in_one_run() {
    let text = include_str!("config/many_problems.toml");
    let report = diagnostics(text);
    insta::assert_snapshot!("many-problems", report.to_string());
    assert!(report.count(Severity::Error) >= 25, "{}", report.count(Severity::Error));
    insta::assert_snapshot!(
        "many-problems-json",
        serde_json::to_string_pretty(&render::json(&report.diagnostics[..3], &report.source)).unwrap()
    );
}

#[test]
fn every_key_of_the_format_is_known() {
    let text = include_str!("config/every_key.toml");
    let report = diagnostics(text);
    let others: Vec<_> = report.diagnostics.iter().filter(|found| found.code != Code::NotSupportedYet).collect();
    assert!(others.is_empty(), "{others:#?}");
    insta::assert_snapshot!("every-key", report.to_string());
    config::documents::names_every_key(text);
}

#[test]
fn line_ends_of_either_kind_are_fine() {
    let text = expand("@rest\nscope = [\"a\"]\nmethods = [\"GET\"").replace('\n', "\r\n");
    let report = diagnostics(&text);
    let places: Vec<_> =
        report.diagnostics.iter().map(|found| report.source.line_column(found.labels[0].span.start)).collect();
    assert_eq!(places[0], (9, 1), "{report}");
    assert_eq!(report.diagnostics.len(), 2, "{report}");
}

#[test]
fn a_broken_statement_hides_nothing_else() {
    // Each breaks one statement; the slip in `[log]` at the end must still be found, and nothing else be made up.
    let breaks = [
        "[server]\nlisten = [\"127.0.0.1:1\"",
        "[server]\nlisten = \"127.0.0.1:1",
        "[server]\nlisten = ",
        "[server]\nlisten",
        "[server\nlisten = \"127.0.0.1:1\"",
        "[server]\nlisten = 127.0.0.1:1",
        "[server]\ntrusted_proxies = [\n  \"10.0.0.0/8\"\n  \"10.0.0.0/8\",\n]",
        "[server]\nlimits = { max_headers = 3",
        "[server]\npublic_url = \"\"\"https://x.example",
        "[server]\nworkers = 1 1",
        "= 3",
        "]",
    ];
    for broken in breaks {
        let report = diagnostics(&expand(&format!("{broken}\n@issuer\n@upstream\n@route\n[log]\nacess = \"json\"\n")));
        let codes: Vec<&str> = report.diagnostics.iter().map(|diagnostic| diagnostic.code.as_str()).collect();
        assert_eq!(codes, ["syntax", "unknown-key"], "{broken:?}: {report}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let text = include_str!("config/secrets.toml");
    let report = diagnostics(text);
    let json = render::json(&report.diagnostics, &report.source).to_string();
    let debug = format!("{report:?}");
    for shown in [report.to_string(), render::text(&report.diagnostics, &report.source, true), json, debug] {
        assert!(!shown.contains("hunter"), "{shown}");
    }
    insta::assert_snapshot!("secrets", report.to_string());
}

#[test]
fn colour_is_by_choice() {
    let report = diagnostics("x = 1");
    assert!(render::text(&report.diagnostics, &report.source, true).contains('\u{1b}'));
    assert!(!render::text(&report.diagnostics, &report.source, false).contains('\u{1b}'));
}

#[test]
fn a_file_that_cannot_be_read_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let absent = tollgate::config::load(&folder.path().join("absent.toml")).unwrap_err();
    assert_eq!(absent.diagnostics[0].code, Code::Unreadable);
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"[server]\n# caf\xe9\n").unwrap();
    let Diagnostic { code, message, .. } = &tollgate::config::load(&path).unwrap_err().diagnostics[0];
    assert_eq!((*code, &**message), (Code::NotUtf8, "line 2 is not UTF-8"));
}

#[test]
fn ten_thousand_routes_are_checked_in_no_time() {
    let mut text = expand("@issuer\n@upstream\n");
    for number in 0..10_000 {
        text += &format!("[[routes]]\npath = \"/api/{number}/{{id}}\"\nupstream = \"orders\"\n");
    }
    text += "[[routes]]\npath = \"/{*rest}\"\nupstream = \"orders\"\naccess = \"public\"\n";
    // Were anything here quadratic in a bad way, this test would not end.
    let loaded = parse(&text, "tollgate.toml", &Fake::new()).map_err(|report| report.to_string()).unwrap();
    assert_eq!(loaded.config.routes.len(), 10_001);
    let codes: Vec<_> = loaded.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, [Code::PublicBesideProtected]);
}
