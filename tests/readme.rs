//! The README shows what happens: its console blocks are run, and must print what stands there; its links lead somewhere.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const README: &str = include_str!("../README.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of a document: what stands behind the opening fence, and the text.
fn blocks(document: &str) -> Vec<(&str, &str)> {
    let parts = document.split("\n```").enumerate().filter(|(number, _)| number % 2 == 1);
    parts.map(|(_, block)| block.split_once('\n').expect("a block has a line")).collect()
}

/// A console block as pairs of command and output.
fn commands(block: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => *output += &format!("{line}\n"),
            (None, None) => panic!("output before the first command: {line}"),
        }
    }
    found
}

#[test]
fn the_commands_print_what_the_readme_shows() {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("config")).expect("a folder of ours");
    for name in ["minimal.toml", "demo.toml"] {
        std::fs::copy(root().join("config").join(name), folder.path().join("config").join(name)).expect("an example");
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_tollgate")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").expect("a search path"));
    let mut ran = 0;
    for (command, shown) in
        blocks(README).into_iter().filter(|(kind, _)| *kind == "console").flat_map(|(_, text)| commands(text))
    {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{{ {command}\n}} 2>&1")]).current_dir(folder.path()).env("PATH", &path);
        let output = shell.stdin(Stdio::null()).output().expect("sh runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), shown.trim_end(), "$ {command}");
        ran += 1;
    }
    assert!(ran >= 4, "only {ran} commands were found");
}

#[test]
fn shown_files_are_the_files() {
    let shown: Vec<_> =
        blocks(README).into_iter().filter_map(|(kind, text)| Some((kind.strip_prefix("toml ")?, text))).collect();
    assert!(!shown.is_empty());
    for (name, text) in shown {
        let file = std::fs::read_to_string(root().join(name)).expect("a file of the repository");
        assert_eq!(file.trim_end(), text.trim_end(), "{name}");
    }
}

#[test]
fn links_lead_somewhere() {
    let mut followed = 0;
    for name in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benches/README.md", "deploy/README.md", "docs"] {
        let path = root().join(name);
        let documents = if path.is_dir() {
            path.read_dir().expect("readable").map(|entry| entry.expect("readable").path()).collect()
        } else {
            vec![path]
        };
        for document in documents {
            if document.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&document).expect("a document");
            for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                if !target.is_empty() && !target.contains("://") {
                    let file = document.parent().expect("a folder").join(target);
                    assert!(file.exists(), "{}: {target}", document.display());
                    followed += 1;
                }
            }
        }
    }
    assert!(followed > 20, "{followed}");
}
