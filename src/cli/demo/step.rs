//! One step of the tour: what it sends, the command that does the same in a shell, and what must come of it.

use std::fmt::Write as _;

use super::wire::Answer;
use crate::cli::token::OPENER;

pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) ask: Ask,
    /// The status that must come.
    pub(super) status: u16,
    /// What must stand in the answer.
    pub(super) shows: &'static str,
}

/// What the step sends.
pub(super) enum Ask {
    /// A client posts this form to the authority. A value `$NAME` is what is in that variable. With `keep`, a member of
    /// the answer goes into a variable.
    Form {
        path: &'static str,
        client: &'static str,
        form: Vec<(&'static str, &'static str)>,
        keep: Option<(&'static str, &'static str)>,
    },
    /// Alice signs in with a browser and agrees, and the client's access token goes into a variable.
    SignIn { client: &'static str, implicit: bool, scope: &'static str, variable: &'static str },
    /// Calls the gateway.
    Call { method: &'static str, path: &'static str, credential: Credential, body: &'static str },
    /// A browser that has not logged in goes to this page.
    Navigate { path: &'static str },
    /// Alice opens a page in her browser, and signs in where that leads.
    Open { path: &'static str },
    /// Alice presses a button of the page that is open, which posts here.
    Press { button: &'static str, path: &'static str },
    /// Calls the gateway with `$TOKEN` and these header fields, and reads until this came.
    Watch { path: &'static str, headers: &'static [&'static str], until: &'static str },
    /// Reads the metrics.
    Metrics,
}

#[derive(Clone, Copy)]
pub(super) enum Credential {
    None,
    /// What is in the variable.
    Of(&'static str),
    /// The same with another signature.
    Tampered(&'static str),
}

/// How a command goes on in the next line.
const NEXT_LINE: &str = " \\\n        ";

impl Step {
    pub(super) const fn new(title: &'static str, ask: Ask) -> Self {
        Self { title, ask, status: 200, shows: "" }
    }

    pub(super) fn gives(mut self, status: u16, shows: &'static str) -> Self {
        (self.status, self.shows) = (status, shows);
        self
    }

    /// One field more in its form.
    pub(super) fn with(mut self, field: (&'static str, &'static str)) -> Self {
        if let Ask::Form { form, .. } = &mut self.ask {
            form.push(field);
        }
        self
    }

    /// A member of the answer goes into a variable, so it has to be there.
    pub(super) fn keeping(mut self, variable: &'static str, member: &'static str) -> Self {
        if let Ask::Form { keep, .. } = &mut self.ask {
            *keep = Some((variable, member));
        }
        self.gives(200, member)
    }

    /// With this content.
    pub(super) fn sending(mut self, json: &'static str) -> Self {
        if let Ask::Call { body, .. } = &mut self.ask {
            *body = json;
        }
        self
    }

    /// What a reader pastes; `{gateway}` and the like stand for addresses.
    pub(super) fn command(&self) -> String {
        match &self.ask {
            Ask::Form { path, client, form, keep } => form_command(path, client, form, *keep),
            Ask::SignIn { client, implicit, scope, variable } => {
                let flow = if *implicit { " --flow implicit" } else { "" };
                format!(
                    "{variable}=$(tollgate token --issuer {{authority}} --client-id {client}{flow}{NEXT_LINE}\
                     --scope '{scope}' --decode)"
                )
            }
            Ask::Call { method, path, credential, body } => call_command(method, path, *credential, body),
            Ask::Navigate { path } => format!("curl -i -H 'Accept: text/html' {{gateway}}{path}"),
            Ask::Open { path } => format!("{OPENER} {{gateway}}{path}"),
            Ask::Press { button, .. } => format!("# in the browser: {button}"),
            Ask::Watch { path, headers: [_], .. } => format!("curl -sN {{gateway}}{path}{}", bearer("$TOKEN")),
            Ask::Watch { path, headers, .. } => {
                let mut command = format!("curl -i -N -m 2 {{gateway}}{path}{}", bearer("$TOKEN"));
                for pair in headers.chunks(2) {
                    command.push_str(NEXT_LINE);
                    let fields: Vec<_> = pair.iter().map(|field| format!("-H '{field}'")).collect();
                    command.push_str(&fields.join(" "));
                }
                command
            }
            Ask::Metrics => "curl -s {admin}/metrics | grep tollgate_denials_total".into(),
        }
    }

    /// What must come of the command, in a word or two.
    pub(super) fn outcome(&self) -> String {
        match (&self.ask, self.status) {
            (Ask::Form { keep: Some((variable, _)), .. } | Ask::SignIn { variable, .. }, _) => format!("${variable}"),
            (Ask::Open { .. } | Ask::Press { .. }, _) => format!("a page: {}", self.shows),
            (Ask::Metrics, _) => "counters".into(),
            (_, status) if status >= 400 => format!("{status} {}", self.shows),
            (_, status) => status.to_string(),
        }
    }

    pub(super) fn is_met(&self, answer: &Answer) -> bool {
        answer.status == self.status && answer.shows(self.shows)
    }
}

fn form_command(path: &str, client: &str, form: &[(&str, &str)], keep: Option<(&str, &str)>) -> String {
    let (begin, end) = match keep {
        Some((variable, member)) => (format!("{variable}=$(curl -s"), format!(" | pick {member})")),
        None => ("curl -i".into(), String::new()),
    };
    let mut words = vec![format!(" -u {client}:{client}-secret")];
    words.extend(form.iter().map(|(name, value)| format!(" -d {name}={value}")));
    words.push(format!(" {{authority}}{path}{end}"));
    let (mut command, mut column) = (begin.clone(), begin.len());
    for word in words {
        if column + word.len() > WIDTH {
            command.push_str(NEXT_LINE);
            command.push_str(word.trim_start());
            column = 4 + word.len();
        } else {
            command.push_str(&word);
            column += word.len();
        }
    }
    command
}

/// Columns of a line of a command, at most, before addresses are filled in and the line is indented.
const WIDTH: usize = 80;

fn call_command(method: &str, path: &str, credential: Credential, body: &str) -> String {
    let as_is = if path.contains("..") { " --path-as-is" } else { "" };
    let verb = if method == "GET" { String::new() } else { format!(" -X {method}") };
    let credential = match credential {
        Credential::None => String::new(),
        Credential::Of(variable) => bearer(&format!("${variable}")),
        Credential::Tampered(variable) => bearer(&format!("${{{variable}%????????}}AAAAAAAA")),
    };
    let mut command = format!("curl -i{as_is}{verb} {{gateway}}{path}{credential}");
    if !body.is_empty() {
        let _ = write!(command, "{NEXT_LINE}-H 'Content-Type: application/json' -d '{body}'");
    }
    command
}

fn bearer(token: &str) -> String {
    format!(" -H \"Authorization: Bearer {token}\"")
}
