//! The rules in force: what each route asks in the end, and which table asks it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::model;
use crate::gateway::snapshot::{Route, Snapshot};
use crate::policy::{Access, Clause};

use super::report::{issuers_of, matches};

/// What one route asks.
#[derive(Debug)]
pub struct EffectiveRule {
    route: String,
    line: usize,
    matches: String,
    access: &'static str,
    /// Whose sessions count beside tokens.
    login: Option<String>,
    /// `None`: all of the config.
    issuers: Option<Vec<String>>,
    /// Where a token may come beside `Authorization`: the keys of `token_from`.
    token_from: Vec<(&'static str, String)>,
    clauses: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    key: String,
    value: Value,
    of: String,
}

impl Asked {
    fn of(clause: &Clause) -> Self {
        Self { key: clause.key().into_owned(), value: clause.value(), of: clause.origin().into_owned() }
    }
}

/// The rules of all routes, in the order of the file. They are those that requests are judged by.
#[must_use]
pub fn effective_rules(snapshot: &Snapshot) -> Vec<EffectiveRule> {
    let rule = |(compiled, written): (&Route, &model::Route)| EffectiveRule {
        route: compiled.name.to_string(),
        line: written.line,
        matches: matches(written),
        access: match compiled.rule.access {
            Access::Token => "token",
            Access::Optional => "optional",
            Access::Public => "public",
        },
        login: compiled.login.map(|login| snapshot.config.logins[login].name.to_string()),
        issuers: issuers_of(&compiled.rule, &snapshot.config)
            .map(|names| names.into_iter().map(str::to_owned).collect()),
        token_from: compiled.token_from.as_ref().map(places).unwrap_or_default(),
        clauses: compiled.rule.clauses().iter().map(Asked::of).collect(),
    };
    snapshot.routes.iter().zip(&snapshot.config.routes).map(rule).collect()
}

fn places(from: &model::TokenFrom) -> Vec<(&'static str, String)> {
    let places = [("query", &from.query), ("subprotocol", &from.subprotocol), ("cookie", &from.cookie)];
    places.into_iter().filter_map(|(place, name)| Some((place, name.clone()?))).collect()
}

impl EffectiveRule {
    /// For a program to read.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let clauses: Vec<Value> = self
            .clauses
            .iter()
            .map(|clause| json!({ "key": clause.key, "value": clause.value, "of": clause.of }))
            .collect();
        json!({
            "route": self.route,
            "line": self.line,
            "matches": self.matches,
            "access": self.access,
            "login": self.login,
            "issuers": self.issuers,
            "token_from": self.token_from.iter().cloned().collect::<BTreeMap<_, _>>(),
            "clauses": clauses,
        })
    }

    /// For a person: a heading, then a line for each thing that is asked.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines = vec![("access".to_owned(), self.access.to_owned(), String::new())];
        if let Some(login) = &self.login {
            lines.push(("login".to_owned(), json!(login).to_string(), String::new()));
        }
        if let Some(issuers) = &self.issuers {
            lines.push(("issuers".to_owned(), json!(issuers).to_string(), String::new()));
        }
        for (place, name) in &self.token_from {
            lines.push((format!("token_from.{place}"), json!(name).to_string(), String::new()));
        }
        lines.extend(self.clauses.iter().map(|clause| {
            let of = if clause.of.starts_with('[') { clause.of.clone() } else { String::new() };
            (clause.key.clone(), clause.value.to_string(), of)
        }));
        let width = |column: fn(&(String, String, String)) -> &String| {
            lines.iter().map(|line| column(line).chars().count()).max().unwrap_or_default()
        };
        let (keys, values) = (width(|line| &line.0), width(|line| &line.1));
        let mut text = format!("{} at line {}: {}\n", self.route, self.line, self.matches);
        for (key, value, of) in &lines {
            let line = format!("  {key:<keys$}  {value:<values$}  {of}");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
