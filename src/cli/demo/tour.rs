//! The tour in two forms: printed, with commands to paste, and walked by the demo itself.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::form_urlencoded;

use crate::cli::say;

use super::Places;
use super::browser::{Browser, SignIn};
use super::step::{Ask, Credential, Step};
use super::steps::{Chapter, chapters};
use super::wire::{Answer, ask};

/// All steps, with the places where the parts listen.
pub(super) struct Tour {
    places: Places,
    chapters: Vec<Chapter>,
}

/// What commands put into variables of the shell.
#[derive(Default)]
struct Variables(Vec<(&'static str, String)>);

impl Variables {
    fn set(&mut self, name: &'static str, value: &Value) {
        self.0.push((name, value.as_str().unwrap_or_default().to_owned()));
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().rev().find(|(set, _)| *set == name).map_or("", |(_, value)| value)
    }

    /// The value itself, or what the variable that it names holds.
    fn expand<'a>(&'a self, value: &'a str) -> &'a str {
        value.strip_prefix('$').map_or(value, |name| self.get(name))
    }
}

impl Tour {
    pub(super) fn of(places: Places) -> Self {
        Self { places, chapters: chapters() }
    }

    /// What the demo prints when everything listens. What a reader needs first is at the end: there the terminal stands.
    pub(super) fn introduction(&self) -> String {
        let mut text = "Tollgate demo. Paste these into another terminal, from the top:\n\n    \
                        pick() { sed -n \"s/.*\\\"$1\\\":\\\"\\([^\\\"]*\\)\\\".*/\\1/p\"; }\n"
            .to_owned();
        if let Some(folder) = not_on_the_path() {
            text.push_str(&format!("    PATH=\"$PATH\":'{}'\n", folder.display().to_string().replace('\'', "'\\''")));
        }
        let mut number = 0;
        for Chapter { title, steps } in &self.chapters {
            text.push_str(&format!("\n{title}\n"));
            for step in steps {
                number += 1;
                text.push_str(&format!("\n{number:>2}. {}  -> {}\n", step.title, step.outcome()));
                text.push_str(&format!("    {}\n", self.placed(&step.command())));
            }
        }
        let Places { gateway, authority, sample, admin } = self.places;
        text.push_str(&format!(
            "\nEverything runs on this machine, for development only:\n\n  \
             gateway     http://{gateway}   what you call\n  \
             login       http://{gateway}/account   for a browser: sign in as alice, wonderland\n  \
             authority   http://{authority}   gives tokens; open it in a browser: alice, wonderland\n  \
             sample API  http://{sample}   what the gateway stands in front of\n  \
             admin       http://{admin}   status and metrics; open it in a browser\n\n\
             Scroll up for {number} commands to paste into another terminal, or run `tollgate demo --once`:\n\
             it does the same by itself, and shows what comes. `tollgate demo --print-config` prints the\n\
             config. Requests are logged below. Ctrl-C ends the demo.\n\n"
        ));
        text
    }

    /// Runs every step and shows what came of it. Whether all came out as told.
    pub(super) fn walk(&self) -> bool {
        let mut variables = Variables::default();
        let mut browser = Browser::at(self.places.authority);
        let (mut number, mut failed) = (0, 0);
        for Chapter { title, steps } in &self.chapters {
            say(&format!("{}{title}\n\n", if number == 0 { "" } else { "\n" }));
            for step in steps {
                number += 1;
                let outcome = self.run(step, &mut variables, &mut browser);
                let as_told = outcome.as_ref().is_ok_and(|answer| step.is_met(answer));
                failed += usize::from(!as_told);
                say(&format!("{number:>2}. {}\n    {}\n", step.title, self.placed(&step.command())));
                say(&match &outcome {
                    Ok(answer) if as_told => format!("    -> {}\n", answer.told()),
                    Ok(answer) => {
                        format!(
                            "    -> {}\n    NOT AS TOLD, which was: {} {}\n",
                            answer.told(),
                            step.status,
                            step.shows
                        )
                    }
                    Err(error) => format!("    -> FAILED: {error}\n"),
                });
            }
        }
        say(&match failed {
            0 => format!("\nAll {number} came out as told.\n"),
            failed => format!("\n{failed} of {number} did not come out as told.\n"),
        });
        failed == 0
    }

    fn run(&self, step: &Step, variables: &mut Variables, browser: &mut Browser) -> io::Result<Answer> {
        let Places { gateway, authority, admin, .. } = self.places;
        match &step.ask {
            Ask::Form { path, client, form, keep } => {
                let mut content = form_urlencoded::Serializer::new(String::new());
                content.extend_pairs(form.iter().map(|(name, value)| (name, variables.expand(value))));
                let basic = STANDARD.encode(format!("{client}:{client}-secret"));
                let head =
                    format!("authorization: Basic {basic}\r\ncontent-type: application/x-www-form-urlencoded\r\n");
                let answer = ask(authority, &request("POST", path, authority, &head, &content.finish()), None)?;
                if let Some((variable, member)) = keep {
                    variables.set(variable, &answer.json()[member]);
                }
                Ok(answer)
            }
            Ask::SignIn { client, implicit, scope, variable } => {
                let (token, answer) = browser.get_token(&SignIn { client, scope, implicit: *implicit })?;
                variables.set(variable, &token.into());
                Ok(answer)
            }
            Ask::Call { method, path, credential, body } => {
                let mut head = header(*credential, variables);
                if !body.is_empty() {
                    head.push_str("content-type: application/json\r\n");
                }
                ask(gateway, &request(method, path, gateway, &head, body), None)
            }
            Ask::Navigate { path } => {
                let head = "accept: text/html\r\n";
                let mut answer = ask(gateway, &request("GET", path, gateway, head, ""), None)?;
                answer.body = format!("location: {}", answer.field("location").unwrap_or_default());
                Ok(answer)
            }
            Ask::Open { path } => browser.open("GET", gateway, path),
            Ask::Press { path, .. } => browser.open("POST", gateway, path),
            Ask::Watch { path, headers, until } => {
                let mut head = header(Credential::Of("TOKEN"), variables);
                headers.iter().for_each(|field| head.push_str(&format!("{field}\r\n")));
                ask(gateway, &format!("GET {path} HTTP/1.1\r\nhost: {gateway}\r\n{head}\r\n"), Some(until))
            }
            Ask::Metrics => {
                let mut answer = ask(admin, &request("GET", "/metrics", admin, "", ""), None)?;
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

/// A whole request on a connection of its own. `head` is lines of header fields.
pub(super) fn request(method: &str, target: &str, host: SocketAddr, head: &str, content: &str) -> String {
    let length = if content.is_empty() { String::new() } else { format!("content-length: {}\r\n", content.len()) };
    format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{head}{length}\r\n{content}")
}

fn header(credential: Credential, variables: &Variables) -> String {
    match credential {
        Credential::None => String::new(),
        Credential::Of(variable) => format!("authorization: Bearer {}\r\n", variables.get(variable)),
        Credential::Tampered(variable) => {
            let token = variables.get(variable);
            format!("authorization: Bearer {}AAAAAAAA\r\n", &token[..token.len().saturating_sub(8)])
        }
    }
}

/// The folder of this program, unless a shell looks there already.
fn not_on_the_path() -> Option<PathBuf> {
    let folder = std::env::current_exe().ok()?.parent()?.to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).all(|entry| entry != folder).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::token::OPENER;

    #[test]
    fn every_command_names_a_place_and_every_place_is_filled_in() {
        let tour = Tour::of(Places::usual());
        let text = tour.introduction();
        assert!(!text.contains("{gateway}") && !text.contains("{authority}") && !text.contains("{admin}"), "{text}");
        let steps: usize = tour.chapters.iter().map(|chapter| chapter.steps.len()).sum();
        let commands = ["curl ", "tollgate token ", &format!("    {OPENER} "), "    # in the browser"];
        assert_eq!(commands.iter().map(|command| text.matches(command).count()).sum::<usize>(), steps);
        assert_eq!(text.lines().find(|line| line.len() > 100 && !line.contains("PATH=")), None, "it fits a terminal");
    }
}
