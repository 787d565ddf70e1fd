//! `tollgate check`: every problem of a config file, then its policy tests.

use std::io::{self, IsTerminal as _};

use serde_json::{Value, json};

use crate::app::{EffectiveRule, TestResult, effective_rules, run_tests, system_means};
use crate::config::{self, Loaded};
use crate::gateway::snapshot::Snapshot;

use super::{ConfigFile, Outcome, complain, run_here, say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Print problems and test results as JSON
    #[arg(long)]
    json: bool,
    /// Print what each route asks in the end: its own keys and those of its rule sets
    #[arg(long)]
    effective: bool,
    /// Print the JSON Schema of the config format, for editors, and read no file
    #[arg(long, conflicts_with_all = ["json", "effective"])]
    schema: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    if args.schema {
        return say(&format!("{:#}\n", config::schema()));
    }
    match config::load(&args.file.config) {
        Err(report) => {
            if args.json {
                say(&format!("{:#}\n", json!({ "ok": false, "diagnostics": report.to_json(), "tests": [] })));
            } else {
                complain(report.render(io::stderr().is_terminal()).trim_end());
            }
            Outcome::Misconfigured
        }
        Ok(loaded) => test(args, loaded),
    }
}

fn test(args: &Args, loaded: Loaded) -> Outcome {
    let (name, warnings) = (loaded.source.name.clone(), loaded.warnings.len());
    let diagnostics = loaded.warnings_to_json();
    let shown = loaded.render_warnings(io::stderr().is_terminal());
    let means = system_means();
    let snapshot = match Snapshot::compile(loaded.config, &means, None) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            complain(format_args!("error: {}", crate::observe::chain(&error)));
            return Outcome::Misconfigured;
        }
    };
    let rules = args.effective.then(|| effective_rules(&snapshot));
    let results = match run_here(run_tests(&snapshot, means.clock.now())) {
        Ok(results) => results,
        Err(problem) => {
            complain(format_args!("error: {problem}"));
            return Outcome::Faulty;
        }
    };
    let failed = results.iter().filter(|result| !result.passed()).count();
    if args.json {
        let tests: Vec<Value> = results.iter().map(|result| test_json(result, &snapshot)).collect();
        let mut told = json!({ "ok": failed == 0, "diagnostics": diagnostics, "tests": tests });
        if let Some(rules) = &rules {
            told["effective"] = rules.iter().map(EffectiveRule::to_json).collect();
        }
        say(&format!("{told:#}\n"));
    } else {
        if !shown.is_empty() {
            complain(shown.trim_end());
        }
        say(&rules.iter().flatten().map(EffectiveRule::to_text).collect::<String>());
        results.iter().filter(|result| !result.passed()).for_each(|result| complain(explain(result, &name)));
        say(&summary(&name, &snapshot, warnings, (results.len(), failed)));
    }
    if failed == 0 { Outcome::Fine } else { Outcome::Denied }
}

fn test_json(result: &TestResult, snapshot: &Snapshot) -> Value {
    json!({
        "line": result.test.line,
        "expect": result.test.expect,
        "passed": result.passed(),
        "rehearsal": result.rehearsal.to_json(snapshot),
    })
}

fn explain(result: &TestResult, name: &str) -> String {
    let mut text = format!(
        "error[test-failed]: {}\n --> {name}:{}\n  expected {}, got {}\n",
        result.rehearsal.request,
        result.test.line,
        result.test.expect,
        result.rehearsal.verdict()
    );
    for (step, what) in &result.rehearsal.steps {
        text.push_str(&format!("  {step:<9} {what}\n"));
    }
    if let Some(denial) = &result.rehearsal.denial {
        text.push_str(&format!("  {:<9} {}\n", "why", denial.detail()));
    }
    text
}

fn summary(name: &str, snapshot: &Snapshot, warnings: usize, (tests, failed): (usize, usize)) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    };
    let mut parts = vec![
        count(snapshot.routes.len(), "route"),
        count(snapshot.issuers.len(), "issuer"),
        count(snapshot.targets.len(), "upstream"),
    ];
    if warnings > 0 {
        parts.push(count(warnings, "warning"));
    }
    parts.push(match (tests, failed) {
        (0, _) => "no policy tests".into(),
        (tests, 0) => format!("{} passed", count(tests, "policy test")),
        (tests, failed) => format!("{failed} of {} failed", count(tests, "policy test")),
    });
    let verdict = if failed == 0 { "ok" } else { "failed" };
    format!("{name}: {verdict}: {}\n", parts.join(", "))
}
