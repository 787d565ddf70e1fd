//! Every file in `config/` is a configuration that `tollgate check` accepts, tests included.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn toml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            toml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}

#[test]
fn every_example_passes_check() {
    let mut files = Vec::new();
    toml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config"), &mut files);
    assert!(!files.is_empty(), "there are no examples");
    let failures: Vec<String> = files
        .iter()
        .filter_map(|file| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
            let output = command.arg("check").arg("--config").arg(file).stdin(Stdio::null()).output();
            let output = output.expect("the binary starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            (!output.status.success()).then(|| format!("{}: {}\n{said}", file.display(), output.status))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
