//! The tour: what a newcomer does with the demo, each step with the command to paste and what must come of it.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Places;
use super::wire::{Answer, ask};
use crate::cli::say;

/// All steps, with the places where the parts listen.
pub(super) struct Tour {
    places: Places,
    steps: Vec<Step>,
}

struct Step {
    title: &'static str,
    /// What a reader pastes; `{gateway}` and the like stand for addresses.
    command: String,
    ask: Ask,
    /// The status that must come.
    status: u16,
    /// What must stand in the answer.
    shows: &'static str,
}

/// What the step sends.
enum Ask {
    /// Gets a token for this client, and keeps it in this shell variable.
    Token { client: &'static str, variable: &'static str, resource: Option<&'static str> },
    /// Calls the gateway.
    Call { method: &'static str, path: &'static str, credential: Credential, body: &'static str },
    /// Calls the gateway, and reads until this came.
    Watch { path: &'static str, headers: &'static str, until: &'static str },
    /// Reads the metrics.
    Metrics,
}

#[derive(Clone, Copy)]
enum Credential {
    None,
    /// What is in the variable.
    Of(&'static str),
    /// The same with another signature.
    Tampered(&'static str),
    /// This text.
    Text(&'static str),
}

impl Credential {
    fn shell(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Of(variable) => format!(" -H \"Authorization: Bearer ${variable}\""),
            Self::Tampered(variable) => format!(" -H \"Authorization: Bearer ${{{variable}%????????}}AAAAAAAA\""),
            Self::Text(text) => format!(" -H 'Authorization: Bearer {text}'"),
        }
    }

    fn header(self, tokens: &[(&'static str, String)]) -> String {
        let token = |variable: &str| {
            tokens.iter().rev().find(|(name, _)| *name == variable).map_or("", |(_, token)| token.as_str())
        };
        match self {
            Self::None => String::new(),
            Self::Of(variable) => format!("authorization: Bearer {}\r\n", token(variable)),
            Self::Tampered(variable) => {
                let token = token(variable);
                format!("authorization: Bearer {}AAAAAAAA\r\n", &token[..token.len().saturating_sub(8)])
            }
            Self::Text(text) => format!("authorization: Bearer {text}\r\n"),
        }
    }
}

const WEBSOCKET: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                         sec-websocket-key: dG9sbGdhdGUtZGVtby13cw==\r\n";

fn token(title: &'static str, client: &'static str, variable: &'static str, resource: Option<&'static str>) -> Step {
    let wanted = resource.map(|resource| format!(" -d resource={resource}")).unwrap_or_default();
    let command = format!(
        "{variable}=$(curl -s -u {client}:{client}-secret -d grant_type=client_credentials{wanted} \\\n        \
         {{authority}}/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
    );
    Step { title, command, ask: Ask::Token { client, variable, resource }, status: 200, shows: "access_token" }
}

fn call(title: &'static str, (method, path): (&'static str, &'static str), credential: Credential) -> Step {
    let verb = if method == "GET" { String::new() } else { format!(" -X {method}") };
    let as_is = if path.contains("..") { " --path-as-is" } else { "" };
    let command = format!("curl -i{as_is}{verb} {{gateway}}{path}{}", credential.shell());
    Step { title, command, ask: Ask::Call { method, path, credential, body: "" }, status: 200, shows: "" }
}

impl Step {
    fn sending(mut self, json: &'static str) -> Self {
        self.command.push_str(&format!(" \\\n        -H 'Content-Type: application/json' -d '{json}'"));
        if let Ask::Call { body, .. } = &mut self.ask {
            *body = json;
        }
        self
    }

    const fn gives(mut self, status: u16, shows: &'static str) -> Self {
        self.status = status;
        self.shows = shows;
        self
    }
}

fn steps() -> Vec<Step> {
    let [orders, missing] = ["/orders", "/orders/7/items"];
    vec![
        token("Get an access token as the client \"reader\", which may have the scope orders:read.", "reader", "TOKEN", None),
        call("Call the API with it.", ("GET", orders), Credential::Of("TOKEN")).gives(200, "\"orders\""),
        call("See what the API is told about you, whatever headers you send.", ("GET", "/whoami"), Credential::Of("TOKEN"))
            .gives(200, "reader"),
        call("No token: refused, with a challenge that says what is needed.", ("GET", orders), Credential::None)
            .gives(401, "no_credential"),
        call("The reader may not write: the scope is missing.", ("POST", orders), Credential::Of("TOKEN"))
            .sending(ORDER)
            .gives(403, "insufficient_scope"),
        token("Get a token as the client \"writer\".", "writer", "WRITER", None),
        call("The writer may.", ("POST", orders), Credential::Of("WRITER")).sending(ORDER).gives(201, "tea"),
        call("A token with another signature is refused.", ("GET", orders), Credential::Tampered("TOKEN"))
            .gives(401, "bad_signature"),
        call("So is what is no token at all.", ("GET", orders), Credential::Text("sesame")).gives(401, "malformed_token"),
        token("Get a token for somebody else's API.", "reader", "OTHER", Some("https://other.example")),
        call("It is of no use here: another audience.", ("GET", orders), Credential::Of("OTHER"))
            .gives(401, "wrong_audience"),
        call("The public page needs no token.", ("GET", "/public"), Credential::None).gives(200, "public page"),
        call("But it is no way around: a path with two readings is refused.", ("GET", "/public/../orders"), Credential::None)
            .gives(400, "ambiguous_path"),
        call("What no route names does not exist.", ("GET", missing), Credential::Of("TOKEN")).gives(404, "no_route"),
        call("Nor does a method that no route names.", ("DELETE", "/orders/7"), Credential::Of("WRITER"))
            .gives(405, "method_not_allowed"),
        Step {
            title: "Server-sent events come through one by one (Ctrl-C ends it).",
            command: "curl -sN {gateway}/events -H \"Authorization: Bearer $TOKEN\"".into(),
            ask: Ask::Watch { path: "/events", headers: "accept: text/event-stream\r\n", until: "id: 2" },
            status: 200,
            shows: "data:",
        },
        Step {
            title: "WebSockets pass, too: the answer is 101, and bytes flow both ways from then on.",
            command: "curl -i -N -m 2 {gateway}/echo -H \"Authorization: Bearer $TOKEN\" -H 'Connection: Upgrade' \\\n        \
                      -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dG9sbGdhdGUtZGVtby13cw=='"
                .into(),
            ask: Ask::Watch { path: "/echo", headers: WEBSOCKET, until: "\r\n\r\n" },
            status: 101,
            shows: "",
        },
        Step {
            title: "Everything was counted.",
            command: "curl -s {admin}/metrics | grep tollgate_denials_total".into(),
            ask: Ask::Metrics,
            status: 200,
            shows: "tollgate_denials_total{code=\"insufficient_scope\",route=\"create-order\"} 1",
        },
    ]
}

const ORDER: &str = "{\"item\":\"tea\",\"quantity\":2}";

impl Tour {
    pub(super) fn of(places: Places) -> Self {
        Self { places, steps: steps() }
    }

    /// What the demo prints when everything listens.
    pub(super) fn introduction(&self) -> String {
        let Places { gateway, authority, sample, admin } = self.places;
        let mut text = format!(
            "Tollgate demo, all of it on this machine:\n\n  \
             gateway     http://{gateway}   what you call\n  \
             authority   http://{authority}   gives tokens; for development only\n  \
             sample API  http://{sample}   what the gateway stands in front of\n  \
             admin       http://{admin}   status page and metrics: open it in a browser\n\n\
             The config it runs: tollgate demo --print-config\n\n\
             Paste these into another terminal:\n"
        );
        for (number, step) in self.steps.iter().enumerate() {
            text.push_str(&format!("\n{:>2}. {}  -> {}\n", number + 1, step.title, step.outcome()));
            text.push_str(&format!("    {}\n", self.placed(&step.command)));
        }
        text.push_str("\nCtrl-C ends the demo. Requests are logged below.\n\n");
        text
    }

    /// Runs every step and shows what came of it. Whether all came out as told.
    pub(super) fn walk(&self) -> bool {
        let mut tokens = Vec::new();
        let mut failed = 0;
        for (number, step) in self.steps.iter().enumerate() {
            let outcome = self.run(step, &mut tokens);
            let as_told = outcome.as_ref().is_ok_and(|answer| step.is_met(answer));
            failed += usize::from(!as_told);
            say(&format!("{:>2}. {}\n    {}\n", number + 1, step.title, self.placed(&step.command)));
            say(&match &outcome {
                Ok(answer) if as_told => format!("    -> {}\n", answer.told()),
                Ok(answer) => {
                    format!("    -> {}\n    NOT AS TOLD, which was: {} {}\n", answer.told(), step.status, step.shows)
                }
                Err(error) => format!("    -> FAILED: {error}\n"),
            });
        }
        let count = self.steps.len();
        say(&match failed {
            0 => format!("\nAll {count} came out as told.\n"),
            failed => format!("\n{failed} of {count} did not come out as told.\n"),
        });
        failed == 0
    }

    fn run(&self, step: &Step, tokens: &mut Vec<(&'static str, String)>) -> std::io::Result<Answer> {
        let gateway = self.places.gateway;
        match &step.ask {
            Ask::Token { client, variable, resource } => {
                let answer =
                    ask(self.places.authority, &token_request(self.places.authority, client, *resource), None)?;
                let parsed: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                tokens.push((variable, parsed["access_token"].as_str().unwrap_or_default().to_owned()));
                Ok(answer)
            }
            Ask::Call { method, path, credential, body } => {
                let content = if body.is_empty() {
                    String::new()
                } else {
                    format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
                };
                let credential = credential.header(tokens);
                let request = format!(
                    "{method} {path} HTTP/1.1\r\nhost: {gateway}\r\nconnection: close\r\n{credential}{content}\r\n{body}"
                );
                ask(gateway, &request, None)
            }
            Ask::Watch { path, headers, until } => {
                let credential = Credential::Of("TOKEN").header(tokens);
                let request = format!("GET {path} HTTP/1.1\r\nhost: {gateway}\r\n{credential}{headers}\r\n");
                ask(gateway, &request, Some(until))
            }
            Ask::Metrics => {
                let admin = self.places.admin;
                let request = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
                let mut answer = ask(admin, &request, None)?;
                let counted = |line: &&str| line.starts_with("tollgate_denials_total");
                answer.body = answer.body.lines().filter(counted).collect::<Vec<_>>().join("\n");
                Ok(answer)
            }
        }
    }

    fn placed(&self, command: &str) -> String {
        let at = |address: SocketAddr| format!("http://{address}");
        command
            .replace("{gateway}", &at(self.places.gateway))
            .replace("{authority}", &at(self.places.authority))
            .replace("{admin}", &at(self.places.admin))
    }
}

fn token_request(authority: SocketAddr, client: &str, resource: Option<&str>) -> String {
    let resource = resource.map(|resource| format!("&resource={resource}")).unwrap_or_default();
    let form = format!("grant_type=client_credentials{resource}");
    let basic = STANDARD.encode(format!("{client}:{client}-secret"));
    format!(
        "POST /token HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\nauthorization: Basic {basic}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    )
}

impl Step {
    fn outcome(&self) -> String {
        match (self.status, &self.ask) {
            (status, Ask::Call { .. }) if status >= 400 => format!("{status} {}", self.shows),
            (status, Ask::Call { .. } | Ask::Watch { .. }) => status.to_string(),
            (_, Ask::Token { variable, .. }) => format!("${variable}"),
            (_, Ask::Metrics) => "counters".into(),
        }
    }

    fn is_met(&self, answer: &Answer) -> bool {
        answer.status == self.status && answer.body.contains(self.shows)
    }
}

impl Answer {
    /// Status and the beginning of the body, in one or a few lines.
    fn told(&self) -> String {
        let phrase = self.head.lines().next().unwrap_or_default().trim_start_matches("HTTP/1.1 ");
        let mut json: Option<Value> = serde_json::from_str(&self.body).ok();
        if let Some(token) = json.as_mut().and_then(|json| json.get_mut("access_token")) {
            // Nobody needs to see a whole token.
            *token = format!("{:.12}...", token.as_str().unwrap_or_default()).into();
        }
        let body = json.map_or_else(|| self.body.clone(), |json| json.to_string());
        let lines = body.lines().filter(|line| !line.is_empty());
        let shown: Vec<String> = lines.map(|line| line.chars().take(LONGEST).collect()).collect();
        match shown.as_slice() {
            [] => phrase.to_owned(),
            [line] => format!("{phrase}  {line}"),
            lines => format!("{phrase}\n       {}", lines.join("\n       ")),
        }
    }
}

/// Characters of one line that are shown.
const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_names_a_place_and_every_place_is_filled_in() {
        let tour = Tour::of(Places::usual());
        let text = tour.introduction();
        assert!(!text.contains("{gateway}") && !text.contains("{authority}") && !text.contains("{admin}"), "{text}");
        assert_eq!(text.matches("curl ").count(), tour.steps.len());
    }
}
