//! The command as a child process, and the person with a browser whom it waits for.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use url::{Url, form_urlencoded};

use crate::support::client::{Request, Response};
use crate::support::keys::sha256;
use crate::support::{PATIENCE, process};

/// How the command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Why this is not what was expected; empty when it is. No `part` may be missing from standard error.
    pub fn differs(&self, code: i32, stdout: &str, parts: &[&str]) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.code != Some(code) {
            wrong.push(format!("exit {:?}, not {code}", self.code));
        }
        if self.stdout != stdout {
            wrong.push(format!("standard output is not {stdout:?}"));
        }
        wrong.extend(parts.iter().filter(|part| !self.stderr.contains(**part)).map(|part| format!("no {part:?}")));
        if self.stderr.contains("panicked") || self.stderr.contains('\u{1b}') {
            wrong.push("a panic or a raw escape".into());
        }
        if wrong.is_empty() { wrong } else { vec![format!("{}: {self:#?}", wrong.join("; "))] }
    }
}

/// A command that does not outlive its test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A command line in the making, with a folder for its files.
pub struct Line {
    command: Command,
    pub dir: TempDir,
    input: String,
}

impl Line {
    /// `tollgate token --issuer ISSUER` and these words.
    pub fn new(issuer: &str, words: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["token", "--issuer", issuer]).args(words.split_whitespace()).current_dir(dir.path());
        command
            .env_remove("TOLLGATE_CLIENT_SECRET")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command, dir, input: String::new() }
    }

    /// A file in the folder that it runs in.
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.dir.path().join(name), text).unwrap();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn input(mut self, text: &str) -> Self {
        text.clone_into(&mut self.input);
        self
    }

    fn start(&mut self) -> Running {
        let mut child = Running(self.command.spawn().unwrap());
        // A command that ends before it reads is no failure of this.
        child.0.stdin.take().unwrap().write_all(self.input.as_bytes()).ok();
        child
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(mut self) -> Ended {
        let mut child = self.start();
        let stderr = BufReader::new(child.0.stderr.take().unwrap());
        finish(child, stderr, String::new())
    }

    /// Runs it, and gives the last address that it shows to `person`.
    #[track_caller]
    pub fn visited<T>(mut self, person: impl FnOnce(&Url) -> T) -> (Ended, Option<T>) {
        let mut child = self.start();
        let mut stderr = BufReader::new(child.0.stderr.take().unwrap());
        let (mut told, mut shown) = (String::new(), None);
        // The last line before it waits says so.
        while !told.lines().next_back().is_some_and(|line| line.starts_with("Waiting")) {
            let mut line = String::new();
            if stderr.read_line(&mut line).unwrap() == 0 {
                return (finish(child, stderr, told), None);
            }
            shown = line.strip_prefix("  ").and_then(|text| Url::parse(text.trim_end()).ok()).or(shown);
            told.push_str(&line);
        }
        let seen = shown.as_ref().map(person);
        (finish(child, stderr, told), seen)
    }
}

#[track_caller]
fn finish(mut child: Running, mut stderr: impl std::io::Read, told: String) -> Ended {
    let mut ended = Ended { code: None, stdout: String::new(), stderr: told };
    stderr.read_to_string(&mut ended.stderr).unwrap();
    child.0.stdout.take().unwrap().read_to_string(&mut ended.stdout).unwrap();
    let status = process::wait(&mut child.0, PATIENCE).unwrap_or_else(|| panic!("it does not end: {ended:#?}"));
    ended.code = status.code();
    ended
}

/// What a person sees at the end of a visit.
#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub response: Response,
}

/// Goes where the answers lead, and shows what is at the end.
pub fn browse(url: &Url) -> Page {
    Browser::default().follow(url, Request::get(target(url)))
}

/// A browser that knows redirects, cookies and the forms of one server.
#[derive(Default)]
pub struct Browser {
    cookies: Vec<String>,
}

impl Browser {
    /// Signs alice in where `url` leads, and then presses the button `last` of the consent page.
    pub fn sign_in(mut self, url: &Url, last: &str) -> Page {
        let login = self.follow(url, Request::get(target(url)));
        let consent = self.submit(&login, &[("username", "alice"), ("password", "wonderland"), ("action", "sign-in")]);
        self.submit(&consent, &[("action", last)])
    }

    /// Approves of a device, by the address that has its code inside.
    pub fn connect(mut self, url: &Url, last: &str) -> Page {
        let enter = self.follow(url, Request::get(target(url)));
        let login = self.submit(&enter, &[("action", "continue")]);
        let confirm = self.submit(&login, &[("username", "alice"), ("password", "wonderland"), ("action", "sign-in")]);
        self.submit(&confirm, &[("action", last)])
    }

    /// Sends the form of a page: `fields`, and what the form holds already.
    fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let html = page.response.text();
        let attribute = |tag: &str, name: &str| {
            let (_, rest) = tag.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        let tags = |name: &str| {
            html.split(&format!("<{name} ")).skip(1).map(|rest| rest.split('>').next().unwrap()).collect::<Vec<_>>()
        };
        let action =
            tags("form").first().and_then(|tag| attribute(tag, "action")).unwrap_or_else(|| panic!("no form: {html}"));
        let mut form = form_urlencoded::Serializer::new(String::new());
        for tag in tags("input") {
            let (name, value) = (attribute(tag, "name").unwrap(), attribute(tag, "value").unwrap_or_default());
            if !fields.iter().any(|(known, _)| *known == name) {
                form.append_pair(&name, &value);
            }
        }
        form.extend_pairs(fields);
        let url = page.url.join(&action).unwrap();
        let request = Request::new("POST", target(&url))
            .field("Origin", &url.origin().ascii_serialization())
            .field("Content-Type", "application/x-www-form-urlencoded")
            .body(form.finish().as_bytes());
        self.follow(&url, request)
    }

    /// Sends a request and follows the redirects, at most ten.
    fn follow(&mut self, url: &Url, first: Request) -> Page {
        let (mut url, mut request) = (url.clone(), first);
        for _ in 0..10 {
            let sent = request.host(&host(&url)).field("Cookie", &self.cookies.join("; "));
            let response = sent.send(address(&url));
            for cookie in response.head.all("set-cookie") {
                let (pair, name) = (cookie.split(';').next().unwrap(), cookie.split('=').next().unwrap());
                self.cookies.retain(|known| known.split('=').next() != Some(name));
                self.cookies.push(pair.to_owned());
            }
            let Some(location) = response.header("location").filter(|_| (300..400).contains(&response.status)) else {
                return Page { url, response };
            };
            url = url.join(location).unwrap();
            request = Request::get(target(&url));
        }
        panic!("the redirects do not end: {url}")
    }
}

fn target(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

fn host(url: &Url) -> String {
    url[url::Position::BeforeHost..url::Position::AfterPort].to_owned()
}

fn address(url: &Url) -> std::net::SocketAddr {
    url.socket_addrs(|| None).unwrap()[0]
}

impl Page {
    /// Does what the script of the page does, if its policy lets it run: hands the fragment back.
    pub fn run_script(&self) -> Response {
        let (html, policy) = (self.response.text(), self.response.header("content-security-policy").unwrap());
        let between =
            |open: &str, close: &str| html.split_once(open)?.1.split_once(close).map(|(inside, _)| inside.to_owned());
        let script = between("<script>", "</script>").unwrap_or_else(|| panic!("no script in {html}"));
        for (what, text) in [("script", script), ("style", between("<style>", "</style>").unwrap())] {
            let allowed = format!("{what}-src 'sha256-{}'", STANDARD.encode(sha256(text.as_bytes())));
            assert!(policy.contains(&allowed), "the policy does not allow its own {what}: {policy}");
        }
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        self.hand_back(&format!("http://{}", host(&self.url)), self.url.fragment().unwrap())
    }

    /// Posts an answer to the callback as a page of `origin` would.
    pub fn hand_back(&self, origin: &str, form: &str) -> Response {
        Request::new("POST", self.url.path())
            .host(&host(&self.url))
            .field("Origin", origin)
            .field("Content-Type", "application/x-www-form-urlencoded")
            .body(form.as_bytes())
            .send(address(&self.url))
    }
}

/// A folder with an `xdg-open` that writes its arguments into `opened`, one a line, and then the secret that it could read.
pub fn opener(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join("xdg-open");
    let opened = dir.join("opened");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" \"${{TOLLGATE_CLIENT_SECRET-no secret}}\" > '{0}.new'\nmv '{0}.new' '{0}'\necho noise\n",
        opened.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    opened
}
