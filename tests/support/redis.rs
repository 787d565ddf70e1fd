//! Real Redis servers: one by itself, with or without TLS, or a cluster of three. Each has a folder of its own, listens on a
//! loopback port that was free a moment ago, and is ended by its process id.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::tls::{Authority, Identity};
use super::{PATIENCE, eventually, process};

/// One server.
pub struct Redis {
    dir: TempDir,
    pub port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Redis {
    /// A server that keeps what it holds over a restart.
    pub fn start() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"], |port| vec!["--port".into(), port.to_string()])
    }

    /// A server that forgets everything when it ends.
    pub fn forgetful() -> Self {
        Self::with(&[], |port| vec!["--port".into(), port.to_string()])
    }

    /// A server that speaks TLS only, asks clients for a certificate of `authority`, and for this password.
    pub fn tls(authority: &Authority, identity: &Identity, password: &str) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let file = |name: &str, content: &str| {
            let path = dir.path().join(name);
            fs::write(&path, content).expect("a folder of ours");
            path.display().to_string()
        };
        let certificate = file("chain.pem", &identity.certificate);
        let (key, ca) = (file("key.pem", &identity.key), file("ca.pem", &authority.pem()));
        let fixed = [
            "--requirepass",
            password,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
        ];
        let mut server =
            Self::with(&fixed, |port| vec!["--port".into(), "0".into(), "--tls-port".into(), port.to_string()]);
        // The files have to stay as long as the server does.
        fs::rename(dir.keep(), server.dir.path().join("tls")).expect("both are temporary folders");
        server.arguments.clear();
        server
    }

    fn with(fixed: &[&str], ports: impl Fn(u16) -> Vec<String>) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        // Somebody else may take the port in between; then the server ends at once, and another port is tried.
        for _ in 0..10 {
            let port = free_port();
            let arguments: Vec<String> = fixed.iter().map(|text| (*text).to_owned()).chain(ports(port)).collect();
            let mut server = Self { dir: TempDir::new().expect("a temporary folder"), port, arguments, child: None };
            if server.run() {
                return server;
            }
        }
        panic!("redis-server does not start: {}", fs::read_to_string(dir.path().join("log")).unwrap_or_default());
    }

    /// Starts the process and waits until it listens.
    fn run(&mut self) -> bool {
        let log = fs::File::create(self.dir.path().join("log")).expect("a folder of ours");
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no", "--dir"])
            .arg(self.dir.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed: apt-get install redis-server, as tests/run does");
        let port = self.port;
        let listens = eventually("redis-server listens or ends", PATIENCE, || {
            let ended = child.try_wait().expect("a child of ours").is_some();
            (ended || TcpStream::connect(("127.0.0.1", port)).is_ok()).then_some(!ended)
        });
        self.child = Some(child);
        listens
    }

    /// Ends the process as a crash would; the port is free then.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
        }
    }

    /// Starts it again, on the same port and the same folder.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none() && self.run(), "{}", self.log());
    }

    /// Lets it hang (`STOP`) or go on (`CONT`).
    pub fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("it runs");
        assert!(process::signal(child.id(), name), "{}", self.log());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The table of the configuration.
    pub fn toml(&self) -> String {
        format!("[redis]\nurl = \"{}\"\ntimeout = \"500ms\"\n", self.url())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            process::signal(child.id(), "CONT");
            process::end(child, Duration::from_secs(5));
        }
    }
}

/// A port for the server and, as clusters need it, one for its bus (10000 above).
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("it is bound").port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// Three masters, each with a third of the keys.
pub fn cluster() -> Vec<Redis> {
    let start = || {
        Redis::with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"], |port| {
            vec!["--port".into(), port.to_string()]
        })
    };
    let nodes = [start(), start(), start()];
    let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]).args(addresses).arg("--cluster-yes");
    let made = process::output(&mut create);
    let made = made.expect("redis-cli is installed: apt-get install redis-server, as tests/run does");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    for node in &nodes {
        eventually("every node says that the cluster is whole", PATIENCE, || {
            let port = node.port.to_string();
            let told = process::output(Command::new("redis-cli").args(["-p", &port, "cluster", "info"]));
            let told = told.expect("redis-cli runs");
            String::from_utf8_lossy(&told.stdout).contains("cluster_state:ok").then_some(())
        });
    }
    nodes.into()
}
