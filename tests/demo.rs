//! `tollgate demo` as a newcomer meets it: the tour that walks itself, and the commands of the introduction pasted into
//! a shell. What the demo says must come of a command is what must come of it.
//!
//! The usual ports of the demo may be taken on the machine that runs the tests, so it runs in a network namespace of its
//! own where the system lets us make one (`unshare`, `nsenter`, `ip`), else on the machine's own loopback.

#![cfg(target_os = "linux")]

mod support;

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use support::{PATIENCE, eventually, process};

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

/// The last line of the introduction.
const END: &str = "Ctrl-C ends the demo.";

/// Opens a page, signs in where that leads, agrees, and goes where the authority sends the browser; a fragment is posted, as
/// the page there does it. The jar is kept, as a browser keeps its cookies.
const ALICE: &str = r##"#!/bin/sh
jar=$CURL_HOME/jar
case $1 in
*/authorize*) jar=$(mktemp) ;;
esac
page() { curl -s -b "$jar" -c "$jar" -H 'Accept: text/html' "$@"; }
transaction() { sed -n 's/.*name="transaction" value="\([^"]*\)".*/\1/p'; }
to=$(page -L -o "$jar.page" -w '%{url_effective}' "$1")
case $to in
*/authorize*) ;;
*) cat "$jar.page"; exit ;;
esac
at=${to%%/authorize*}/authorize
id=$(transaction <"$jar.page")
id=$(page "$at/login" -d "transaction=$id" -d username=alice -d password=wonderland -d action=sign-in | transaction)
back=$(page "$at/consent" -d "transaction=$id" -d action=allow -o /dev/null -w '%{redirect_url}')
case $back in
*"#"*) origin=${back%%/callback*}; curl -s "${back%%#*}" -H "Origin: $origin" -d "${back#*#}" ;;
*) page -L "$back" ;;
esac
"##;

#[test]
fn the_tour_comes_out_as_told() {
    let output = support::gateway::run(&["demo", "--once"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("came out as told") && text.contains("insufficient_scope"), "{text}");
    let steps = text.lines().find_map(|line| line.strip_prefix("All ")?.strip_suffix(" came out as told."));
    let readme = include_str!("../README.md");
    assert!(readme.contains(&format!("does these {} steps", steps.unwrap_or("no"))), "the README has another number");
    assert!(!text.contains("NOT AS TOLD") && !text.contains("FAILED"), "{text}");
    assert!(!text.lines().any(holds_a_token), "a whole token is shown:\n{text}");
}

fn holds_a_token(line: &str) -> bool {
    line.split(['"', ' ']).any(|word| word.starts_with("eyJ") && word.len() > 40)
}

#[test]
fn its_config_can_be_kept_and_run() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let printed = support::gateway::run(&["demo", "--print-config"]);
    assert!(printed.status.success());
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, &printed.stdout).expect("ours");
    let checked = support::gateway::run(&["check", "--config", &file.display().to_string()]);
    assert!(checked.status.success(), "{checked:?}");
}

/// One numbered step of the introduction.
#[derive(Debug)]
struct Step {
    title: String,
    /// What stands behind the arrow.
    outcome: String,
    /// As printed, line ends included.
    command: String,
}

#[test]
fn its_commands_do_in_a_shell_what_it_says() {
    let demo = Demo::start();
    let introduction = demo.introduction();
    let (first, steps) = (first_lines(&introduction), steps(&introduction));
    assert!(steps.len() >= 20, "{introduction}");
    for covered in [
        "client credentials",
        "authorization code",
        "implicit",
        "password",
        "A refresh token",
        "Used twice",
        "An opaque token",
        "introspection",
        "Sign in with the browser",
    ] {
        assert!(steps.iter().any(|step| step.title.contains(covered)), "no step has {covered}");
    }
    let output = demo.paste(&first, &steps);
    let shown = String::from_utf8_lossy(&output.stdout);
    let mut answers = shown.split("=== step\n").skip(1);
    for step in &steps {
        let Step { title, outcome, command } = step;
        let answer = answers.next().unwrap_or_else(|| panic!("no answer to {command}:\n{shown}"));
        // What is to be pressed in the browser has no command; `--once` does it.
        assert!(
            command.trim_start().starts_with("# ") || is_met(outcome, answer),
            "{title}\n{command}should give {outcome}, but gave\n{answer}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    demo.end();
}

/// What has to be pasted before the steps.
fn first_lines(introduction: &str) -> String {
    let before = introduction.lines().take_while(|line| !line.starts_with(" 1. "));
    before.filter(|line| line.starts_with("    ")).map(|line| format!("{line}\n")).collect()
}

/// Reads ` 1. Title  -> outcome`, and the indented lines below it.
fn steps(introduction: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in introduction.lines() {
        let numbered = line.trim_start().split_once(". ").filter(|(number, _)| number.parse::<u8>().is_ok());
        if let Some((title, outcome)) = numbered.and_then(|(_, rest)| rest.split_once("  -> ")) {
            steps.push(Step { title: title.to_owned(), outcome: outcome.to_owned(), command: String::new() });
        } else if let Some(step) = steps.last_mut().filter(|_| line.starts_with("    ")) {
            step.command.push_str(line);
            step.command.push('\n');
        }
    }
    steps
}

/// Whether what a command printed is what the introduction said: a status and a code, a token, or counters.
fn is_met(outcome: &str, printed: &str) -> bool {
    let (first, rest) = outcome.split_once(' ').unwrap_or((outcome, ""));
    match first {
        "a" => rest.strip_prefix("page: ").is_some_and(|shown| printed.contains(shown)),
        "counters" => printed.contains("code=\"insufficient_scope\",route=\"create-order\"} 1"),
        "$REFRESH" | "$NEXT" | "$OPAQUE" => printed.contains("token of 1 parts"),
        _ if first.starts_with('$') => printed.contains("token of 3 parts"),
        // Without `-i` the stream itself is the answer.
        "200" if printed.starts_with("id:") || printed.starts_with("event:") || printed.starts_with("data:") => {
            printed.matches("data:").count() >= 2
        }
        status => printed.starts_with(&format!("HTTP/1.1 {status} ")) && printed.contains(rest),
    }
}

/// A running demo. Dropping it ends the process.
struct Demo {
    child: Child,
    apart: bool,
    folder: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let apart = namespaces_work();
        let mut command = if apart {
            let mut command = Command::new("unshare");
            command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" demo", BINARY]);
            command
        } else {
            let mut command = Command::new(BINARY);
            command.arg("demo");
            command
        };
        let log = |name: &str| File::create(folder.path().join(name)).expect("ours");
        let child = command.stdin(Stdio::null()).stdout(log("stdout")).stderr(log("stderr")).spawn();
        Self { child: child.expect("it starts"), apart, folder }
    }

    fn written(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// What it prints once everything listens.
    fn introduction(&self) -> String {
        let text = eventually("the demo prints its introduction", PATIENCE, || {
            let (text, trouble) = (self.written("stdout"), self.written("stderr"));
            assert!(!trouble.contains("error:"), "{trouble}");
            text.contains(END).then_some(text)
        });
        text.split(END).next().unwrap_or_default().to_owned()
    }

    /// Runs the commands in one shell, each as it stands; a stream that does not end by itself is cut.
    fn paste(&self, first: &str, steps: &[Step]) -> Output {
        let mut script = format!("PATH='{}':\"$PATH\"\n{first}", self.browser().display());
        for step in steps {
            let endless = step.command.trim_start().starts_with("curl -sN");
            let command =
                if endless { format!("timeout 3 {}", step.command.trim_start()) } else { step.command.clone() };
            script.push_str(&format!("echo '=== step'\n{command}echo\n"));
            if let Some(variable) = step.outcome.strip_prefix('$') {
                let parts = format!("echo \"token of $(echo \"${variable}\" | grep . | tr . '\\n' | wc -l) parts\"\n");
                script.push_str(&parts);
            }
        }
        self.shell(self.folder.path(), &script)
    }

    /// A folder with what opens a browser, on a machine that has none: Alice, by curl.
    fn browser(&self) -> PathBuf {
        let (folder, file) = (self.folder.path().join("bin"), self.folder.path().join("bin/xdg-open"));
        std::fs::create_dir(&folder).expect("ours");
        std::fs::write(&file, ALICE).expect("ours");
        std::fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("ours");
        folder
    }

    fn shell(&self, folder: &Path, script: &str) -> Output {
        let file = folder.join("pasted");
        std::fs::write(&file, script).expect("ours");
        let mut command = if self.apart {
            let mut command = Command::new("nsenter");
            let pid = self.child.id().to_string();
            command.args(["--target", &pid, "--net", "bash"]);
            command
        } else {
            Command::new("bash")
        };
        process::output(command.arg(file).env("CURL_HOME", folder)).expect("bash runs")
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) {
        process::signal(self.child.id(), "INT");
        let status = process::wait(&mut self.child, PATIENCE).expect("Ctrl-C ends the demo");
        assert_eq!(status.code(), Some(0), "{}", self.written("stderr"));
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(3));
    }
}

/// Whether this system lets us make a network namespace and enter it.
fn namespaces_work() -> bool {
    let probe = "ip link set lo up && nsenter --target $$ --net true";
    let status = Command::new("unshare")
        .args(["--net", "sh", "-c", probe])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
