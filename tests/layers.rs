//! Modules import downward only: from lower layers, and inside a layer only from modules to their left. `authority`
//! stands aside and shares no verification code with the gateway. The table below is the one that `src/lib.rs` tells.

use std::path::{Path, PathBuf};

/// The layers from the ground up; in each, modules from left to right. Files of one folder are one module.
const LAYERS: [&[&str]; 7] = [
    &["clock", "secret", "pattern", "faults"],
    &["observe", "fetch", "server", "store"],
    &["config"],
    &["token", "policy", "route"],
    &["session", "login", "credential", "proxy"],
    &["gateway", "admin"],
    &["app", "cli", "lib", "main"],
];

/// What `authority` may use: ground and means. Who may use `authority`: the process layer alone.
const ASIDE: &str = "authority";

/// Layer and position of a module; `None` for a name that no layer has.
fn place(module: &str) -> Option<(usize, usize)> {
    let position = |layer: &&[&str]| layer.iter().position(|name| *name == module);
    LAYERS.iter().enumerate().find_map(|(height, layer)| Some((height, position(layer)?)))
}

/// Whether `from` may import `to`.
fn may_import(from: &str, to: &str) -> bool {
    if from == to {
        return true;
    }
    let process = |module: &str| place(module).is_some_and(|(height, _)| height == LAYERS.len() - 1);
    match (from, to) {
        (ASIDE, to) => place(to).is_some_and(|(height, _)| height <= 1),
        (from, ASIDE) => process(from),
        (from, to) => match (place(from), place(to)) {
            (Some(from), Some(to)) => to < from,
            _ => false,
        },
    }
}

/// The top-level modules that a source text names by `crate::…` or, in `main.rs`, by `tollgate::…`. Comments and string
/// literals do not count.
fn imports(source: &str, root: &str) -> Vec<String> {
    let code = without_comments_and_strings(source);
    let prefix = format!("{root}::");
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = code[at + prefix.len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_members(group)),
            None => found.extend(identifier(rest)),
        }
    }
    found
}

/// The first names of `a::b, c::{d, e}, f}`.
fn group_members(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.extend(identifier(group[start..at].trim()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

fn without_comments_and_strings(source: &str) -> String {
    let (mut code, mut rest) = (String::new(), source);
    while let Some(first) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if first == '"' {
            string_length(rest)
        } else if let Some(hashes) = raw_string_hashes(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            rest[open..].find(&end).map_or(rest.len(), |at| open + at + end.len())
        } else if rest.starts_with("'\"'") {
            3
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skip..];
    }
    code
}

fn raw_string_hashes(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    hashes[count..].starts_with('"').then_some(count)
}

fn string_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The module that a file belongs to: its folder in `src`, or its own name.
fn module_of(file: &Path, src: &Path) -> String {
    let inside = file.strip_prefix(src).expect("a file in src");
    let first = inside.components().next().expect("a name");
    Path::new(first.as_os_str()).with_extension("").display().to_string()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn violations(module: &str, source: &str) -> Vec<String> {
    let root = if module == "main" { "tollgate" } else { "crate" };
    let forbidden = imports(source, root).into_iter().filter(|to| {
        // Items of the crate root itself (macros, re-exports) are in capitals or unknown to the table: not a layer.
        !may_import(module, to)
    });
    forbidden.map(|to| format!("{module} imports {to}")).collect()
}

#[test]
fn modules_import_downward_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 10, "{files:?}");
    let mut found = Vec::new();
    for file in &files {
        let module = module_of(file, &src);
        assert!(module == ASIDE || place(&module).is_some(), "{} has no layer: name it in the table", file.display());
        let source = std::fs::read_to_string(file).expect("a readable file");
        found.extend(violations(&module, &source).into_iter().map(|wrong| format!("{}: {wrong}", file.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_rule_is_what_it_says() {
    let cases = [
        ("policy", "token", true),
        ("token", "policy", false),
        ("gateway", "clock", true),
        ("clock", "gateway", false),
        ("proxy", "proxy", true),
        ("admin", "gateway", true),
        ("gateway", "admin", false),
        ("authority", "secret", true),
        ("authority", "token", false),
        ("authority", "config", false),
        ("app", "authority", true),
        ("gateway", "authority", false),
        ("gateway", "nobody", false),
    ];
    for (from, to, allowed) in cases {
        assert_eq!(may_import(from, to), allowed, "{from} -> {to}");
    }
}

#[test]
fn a_bad_import_is_found_wherever_it_hides() {
    let bad = [
        "use crate::gateway::judge;",
        "pub use crate::gateway;",
        "use crate::{clock::{Clock, UnixTime}, gateway::respond};",
        "use crate::{\n    clock,\n    gateway,\n};",
        "fn f() { crate::gateway::judge() }",
        "fn f(x: &crate::gateway::X) {}",
        "const A: char = '\"'; use crate::gateway::judge;",
        "const A: &str = r#\"x\"#; use crate::gateway::judge;",
    ];
    for source in bad {
        assert_eq!(violations("token", source), ["token imports gateway"], "{source}");
    }
    let good = [
        "use crate::clock::Clock;",
        "// use crate::gateway::judge;",
        "//! [`crate::gateway`]",
        "/* crate::gateway */",
        "const A: &str = \"crate::gateway\";",
        "const A: &str = r#\"crate::gateway\"#;",
        "use other_crate::gateway;",
        "use super::gateway;",
    ];
    for source in good {
        assert!(violations("token", source).is_empty(), "{source}");
    }
    assert_eq!(violations("main", "use tollgate::cli;"), Vec::<String>::new());
}
