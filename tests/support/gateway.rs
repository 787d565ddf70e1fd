//! The real binary as a child process.
//!
//! `tollgate serve --config FILE --ready-file FILE` writes the ready file, whole (by renaming), once it listens:
//! `{"http": ["127.0.0.1:41234"], "https": [...], "admin": "127.0.0.1:5555"}`. Keys may still be on their way then;
//! `/readyz` of the admin listener tells when they are there.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::client::{Conn, Request, Response};
use super::{PATIENCE, process, uptime};

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

/// A running gateway. Dropping it ends the process.
pub struct Gateway {
    child: Child,
    dir: TempDir,
    bound: Value,
}

/// Runs the binary to its end, with nothing to read on standard input.
pub fn run(arguments: &[&str]) -> Output {
    process::output(Command::new(BINARY).args(arguments)).expect("the binary starts")
}

/// Completes a configuration: loopback listeners with ports that the system chooses, wherever the text says nothing.
pub fn complete(config: &str) -> String {
    let has = |table: &str| config.lines().any(|line| line.trim() == table);
    let mut whole = String::new();
    if !has("[server]") {
        whole.push_str("[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n");
    }
    if !has("[admin]") {
        whole.push_str("[admin]\nlisten = \"127.0.0.1:0\"\n");
    }
    if !has("[log]") {
        whole.push_str("[log]\naccess = \"json\"\nsubject = \"plain\"\n");
    }
    whole + config
}

impl Gateway {
    /// Starts on this configuration, [completed](complete), and waits until it is ready.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        let gateway = Self::listening(config);
        gateway.wait_ready();
        gateway
    }

    /// Starts on this configuration and waits only until it listens.
    #[track_caller]
    pub fn listening(config: &str) -> Self {
        Self::listening_in(TempDir::new().expect("a temporary folder"), config)
    }

    /// As [`Gateway::listening`], with the configuration and everything else in `dir`.
    #[track_caller]
    pub fn listening_in(dir: TempDir, config: &str) -> Self {
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("tollgate.toml"), complete(config)).expect("a folder of ours");
        let log = |name: &str| File::create(path(name)).expect("a folder of ours");
        let child = Command::new(BINARY)
            .arg("serve")
            .arg("--config")
            .arg(path("tollgate.toml"))
            .arg("--ready-file")
            .arg(path("ready.json"))
            .stdin(Stdio::null())
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .spawn()
            .expect("the binary starts");
        let mut gateway = Self { child, dir, bound: Value::Null };
        gateway.bound = gateway.wait_bound();
        gateway
    }

    #[track_caller]
    fn wait_bound(&mut self) -> Value {
        let (start, file) = (uptime(), self.file("ready.json"));
        loop {
            if let Ok(text) = std::fs::read(&file) {
                return serde_json::from_slice(&text).expect("the ready file is JSON");
            }
            let ended = self.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "the gateway ended with {ended:?} before it listened{}", self.logs());
            assert!(uptime() - start < PATIENCE, "no ready file after {PATIENCE:?}{}", self.logs());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until `/readyz` is content.
    #[track_caller]
    pub fn wait_ready(&self) {
        self.until("/readyz says 200", || (self.readyz().status == 200).then_some(()));
    }

    /// Asks `probe` until it answers; the failure shows the gateway's logs.
    #[track_caller]
    pub fn until<T>(&self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        let start = uptime();
        loop {
            if let Some(found) = probe() {
                return found;
            }
            assert!(uptime() - start < PATIENCE, "waited {PATIENCE:?} in vain: {what}{}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The folder of its configuration.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn bound_address(&self, pointer: &str) -> SocketAddr {
        let text = self.bound.pointer(pointer).and_then(Value::as_str);
        let text = text.unwrap_or_else(|| panic!("the ready file has no {pointer}: {}", self.bound));
        text.parse().unwrap_or_else(|_| panic!("the ready file's {pointer} is no address: {text:?}"))
    }

    /// The first cleartext listener.
    pub fn http(&self) -> SocketAddr {
        self.bound_address("/http/0")
    }

    /// The first TLS listener.
    pub fn https(&self) -> SocketAddr {
        self.bound_address("/https/0")
    }

    /// The admin listener.
    pub fn admin(&self) -> SocketAddr {
        self.bound_address("/admin")
    }

    /// The embedded authority.
    pub fn authority(&self) -> SocketAddr {
        self.bound_address("/authority")
    }

    /// The control endpoint of the authority's faults.
    pub fn authority_control(&self) -> SocketAddr {
        self.bound_address("/authority_control")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens a connection to the cleartext listener.
    #[track_caller]
    pub fn connect(&self) -> Conn {
        Conn::open(self.http())
    }

    /// Sends one request over a connection of its own.
    #[track_caller]
    pub fn call(&self, request: &Request) -> Response {
        request.send(self.http())
    }

    /// A page of the admin listener.
    #[track_caller]
    pub fn admin_page(&self, path: &str) -> Response {
        Request::get(path).host("localhost").send(self.admin())
    }

    /// `/readyz`
    #[track_caller]
    pub fn readyz(&self) -> Response {
        self.admin_page("/readyz")
    }

    /// The sum of all samples of a metric whose labels contain these, which must be written as `name="value"`.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.admin_page("/metrics").text();
        let sample = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let (set, value) = rest.rsplit_once(' ')?;
            let ours = (set.is_empty() || set.starts_with('{')) && labels.iter().all(|label| set.contains(label));
            ours.then(|| value.parse::<f64>().expect("a number"))
        };
        page.lines().filter_map(sample).sum()
    }

    /// The lines of the access log so far.
    pub fn access_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.file("stdout")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::String(line.to_owned()))).collect()
    }

    /// What it wrote on standard error.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.file("stderr")).unwrap_or_default()
    }

    /// The end of both logs, for messages.
    pub fn logs(&self) -> String {
        let tail = |name: &str| {
            let text = std::fs::read_to_string(self.file(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        format!("\n--- stdout\n{}\n--- stderr\n{}\n---", tail("stdout"), tail("stderr"))
    }

    /// Writes the configuration anew, by renaming, and tells nobody.
    pub fn rewrite(&self, config: &str) {
        let text = complete(config);
        std::fs::write(self.file("next.toml"), text).expect("a folder of ours");
        std::fs::rename(self.file("next.toml"), self.file("tollgate.toml")).expect("a folder of ours");
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        assert!(process::signal(self.pid(), name), "the gateway is gone{}", self.logs());
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_exit(&mut self, patience: Duration) -> ExitStatus {
        let status = process::wait(&mut self.child, patience);
        status.unwrap_or_else(|| panic!("the gateway still runs after {patience:?}{}", self.logs()))
    }

    /// Ends it and gives its folder back, for a second start on the same files.
    pub fn into_folder(mut self) -> TempDir {
        process::end(&mut self.child, Duration::from_secs(5));
        std::fs::remove_file(self.file("ready.json")).expect("it was written");
        let replacement = TempDir::new().expect("a temporary folder");
        std::mem::replace(&mut self.dir, replacement)
    }
}

impl Drop for Gateway {
    #[expect(clippy::print_stdout, reason = "the failed test's output is where its reader looks")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("gateway {}{}", self.pid(), self.logs());
        }
        process::end(&mut self.child, Duration::from_secs(3));
    }
}
