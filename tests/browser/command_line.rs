//! `tollgate token` and the browser that it waits for: its page takes the answer out of the address and hands it over.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::json;

use super::support::gateway::Gateway;
use super::support::upstream::nobody;
use super::{config, play};

/// A command that waits for a person, and does not outlive its test.
struct Waiting {
    child: Child,
    told: BufReader<ChildStderr>,
    /// What the person has to open.
    url: String,
}

impl Waiting {
    /// `tollgate token` with these words.
    #[track_caller]
    fn start(words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["token", "--no-browser"]).args(words).env_remove("TOLLGATE_CLIENT_SECRET");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut told = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut line = String::new();
        while !line.starts_with("  http") {
            line.clear();
            assert_ne!(told.read_line(&mut line).expect("text"), 0, "it ended before it showed an address");
        }
        Self { child, told, url: line.trim().to_owned() }
    }

    /// What it printed, at its end.
    #[track_caller]
    fn printed(mut self) -> String {
        let (mut printed, mut told) = (String::new(), String::new());
        self.child.stdout.take().expect("it is piped").read_to_string(&mut printed).expect("text");
        self.told.read_to_string(&mut told).expect("text");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0), "{told}");
        printed
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_token_comes_through_the_browser_and_stays_nowhere_in_it() {
    let (authority, old) = (nobody(), nobody());
    let text = config(authority, nobody()).replace("http://127.0.0.1:8080/legacy", &format!("http://{old}/legacy"));
    let gateway = Gateway::start(&text);
    let issuer = format!("http://{authority}");
    let implicit = ["--client-id", "legacy", "--auth", "none", "--flow", "implicit"];
    let (old, new) = (format!("http://{old}/legacy"), format!("http://{}/callback", nobody()));
    for (words, callback) in [
        ([&implicit[..], &["--scope", "openid orders:read"]].concat(), &old),
        ([&implicit[..], &["--scope", "orders:read"]].concat(), &old),
        (vec!["--client-id", "app", "--scope", "openid orders:read"], &new),
    ] {
        let waiting = Waiting::start(&[&["--issuer", &issuer, "--redirect-uri", callback][..], &words].concat());
        let origin = callback.rsplit_once('/').expect("a path").0;
        let settings = json!({ "issuer": issuer, "command": origin, "callback": callback, "url": waiting.url });
        play("command-line", settings, &gateway);
        let printed = waiting.printed();
        let [token] = printed.lines().collect::<Vec<_>>()[..] else { panic!("{words:?}: {printed:?}") };
        assert_eq!(token.split('.').count(), 3, "{words:?}: a JWT and nothing else");
    }
}
