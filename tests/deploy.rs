//! What stands in `deploy/`: rules, dashboard and documents name metrics that exist, with labels that they have, and
//! the tools that will read the files take them. `tests/run` installs promtool and systemd-analyze.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tollgate::clock::SystemClock;
use tollgate::observe::Metrics;

const RULES: &str = include_str!("../deploy/prometheus/tollgate.rules.yml");
const UNIT: &str = include_str!("../deploy/tollgate.service");
const DOCKERFILE: &str = include_str!("../deploy/Dockerfile");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below `folder` whose names end so.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![root().join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no *{ending} in {folder}");
    found
}

/// Runs a tool that `tests/run` installs, in `folder`.
#[track_caller]
fn tool(package: &str, folder: &Path, command: &[&str]) -> Output {
    let (program, arguments) = command.split_first().expect("a command");
    let mut process = Command::new(program);
    let run = process.args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    run.unwrap_or_else(|error| panic!("{program}: {error}; this test needs it: apt-get install {package}"))
}

#[track_caller]
fn is_content(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Words of letters, digits, `_` and `:`, as PromQL has them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':')
}

/// The metric that a word names, without what a histogram adds to it.
fn family(word: &str) -> Option<&str> {
    let ours = word.starts_with("tollgate_") || word.starts_with("process_");
    let bare = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
    ours.then(|| bare.unwrap_or(word))
}

/// The labels of every family, as `docs/metrics.md` has them; another test holds it to the source.
fn labels_of_families() -> BTreeMap<String, BTreeSet<String>> {
    let document = read(&root().join("docs/metrics.md"));
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned));
    rows.filter_map(|head| {
        let (name, labels) = head.split_once('{').unwrap_or((head.as_str(), ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        Some((family(name)?.to_owned(), labels.map(str::to_owned).collect()))
    })
    .collect()
}

struct Panel {
    title: String,
    expressions: Vec<String>,
}

fn dashboard() -> Value {
    serde_json::from_str(&read(&root().join("deploy/grafana/tollgate.json"))).expect("the dashboard is JSON")
}

fn panels(dashboard: &Value) -> Vec<Panel> {
    let panels = dashboard["panels"].as_array().expect("panels").iter().filter(|panel| panel["type"] != "row");
    panels
        .map(|panel| {
            let targets = panel["targets"].as_array().expect("targets").iter();
            let expressions = targets.map(|target| target["expr"].as_str().expect("an expression").to_owned());
            Panel { title: panel["title"].as_str().expect("a title").to_owned(), expressions: expressions.collect() }
        })
        .collect()
}

/// The expressions of the rules: what follows `expr:`, on its line or indented below it.
fn rule_expressions() -> Vec<String> {
    let lines: Vec<&str> = RULES.lines().collect();
    let starts = lines.iter().enumerate().filter_map(|(at, line)| Some((at, line.trim().strip_prefix("expr: ")?)));
    starts
        .map(|(at, text)| match text {
            "|" => lines[at + 1..].iter().take_while(|line| line.starts_with("          ")).copied().collect(),
            line => line.to_owned(),
        })
        .collect()
}

/// Label names that an expression selects or groups by.
fn labels_in(expression: &str) -> BTreeSet<String> {
    let groups = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    let selectors = expression.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let selected = selectors.flat_map(|inside| {
        // What stands in quotes are values.
        inside.split('"').step_by(2).flat_map(words).filter(|word| !word.is_empty())
    });
    groups.flat_map(|inside| inside.split(',').map(str::trim)).chain(selected).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_is_named_exists() {
    let metrics = Metrics::new(Arc::new(SystemClock::start()));
    let exists = |name: &str| metrics.family_names().iter().any(|family| family == name);
    let places = [("deploy", ".md"), ("deploy", ".json"), ("deploy", ".yml"), ("deploy", ".service"), ("docs", ".md")];
    let mut texts: Vec<(String, String)> = places
        .into_iter()
        .flat_map(|(folder, ending)| files(folder, ending))
        .map(|path| (path.display().to_string(), read(&path)))
        .collect();
    for name in ["README.md", "CONTRIBUTING.md", "benches/README.md"] {
        texts.push((name.to_owned(), read(&root().join(name))));
    }
    let mut named = 0;
    for (path, text) in &texts {
        // `tollgate_` alone, and `process_*`, stand for all of them; a recorded series has colons.
        for word in words(text).filter(|word| !word.contains(':') && !word.ends_with('_')) {
            let Some(family) = family(word) else { continue };
            assert!(exists(family) || exists(word), "{path} names {word}, which does not exist");
            named += 1;
        }
    }
    assert!(named > 100, "only {named} names were found: this test looks at the wrong places");
}

#[test]
fn expressions_use_labels_that_their_metrics_have() {
    let known = labels_of_families();
    let dashboard = dashboard();
    let shown = panels(&dashboard).into_iter().flat_map(|panel| panel.expressions);
    let expressions: Vec<String> = shown.chain(rule_expressions()).collect();
    assert!(expressions.len() > 40, "{}", expressions.len());
    for expression in &expressions {
        let mut allowed: BTreeSet<String> = ["job", "instance", "le"].map(str::to_owned).into();
        for family in words(expression).filter_map(family) {
            allowed.extend(known.get(family).unwrap_or_else(|| panic!("{family}: {expression}")).iter().cloned());
        }
        let unknown: Vec<_> = labels_in(expression).difference(&allowed).cloned().collect();
        assert!(unknown.is_empty(), "no such labels {unknown:?}: {expression}");
    }
}

#[test]
fn prometheus_takes_config_and_rules() {
    let folder = root().join("deploy/prometheus");
    is_content(&tool("prometheus", &folder, &["promtool", "check", "config", "prometheus.yml"]));
    is_content(&tool("prometheus", &folder, &["promtool", "check", "rules", "tollgate.rules.yml"]));
    is_content(&tool("prometheus", &folder, &["promtool", "test", "rules", "tollgate.rules.test.yml"]));
}

#[test]
fn every_alert_has_a_test() {
    let tests = read(&root().join("deploy/prometheus/tollgate.rules.test.yml"));
    let guide = read(&root().join("docs/operations.md"));
    let alerts: Vec<&str> = RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        let name = format!("alertname: {alert}\n");
        let fires = tests.split(&name).skip(1).any(|rest| rest.trim_start().starts_with("exp_alerts:\n"));
        assert!(fires, "no test sees {alert} fire");
        assert!(guide.contains(&format!("`{alert}`")), "docs/operations.md does not name {alert}");
    }
}

#[test]
fn the_dashboard_is_promql_on_a_grid() {
    let dashboard = dashboard();
    let panels = panels(&dashboard);
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    for (number, expression) in panels.iter().flat_map(|panel| &panel.expressions).enumerate() {
        let expression =
            expression.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$job", "tollgate");
        assert!(!expression.contains('$'), "a variable that nobody sets: {expression}");
        rules.push_str(&format!("  - record: panel:{number}\n    expr: '{expression}'\n"));
    }
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("rules.yml"), rules).expect("a folder of ours");
    is_content(&tool("prometheus", folder.path(), &["promtool", "check", "rules", "rules.yml"]));
    let mut cells = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap_or_else(|| panic!("{side} of {}", panel["title"]));
        assert!(at("x") + at("w") <= 24, "{} is too wide", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
    }
    let titles: BTreeSet<&String> = panels.iter().map(|panel| &panel.title).collect();
    assert_eq!(titles.len(), panels.len(), "two panels have one title");
}

/// The unit with programs that are here, in a folder of its own.
fn unit() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let unit = UNIT.replace("/usr/local/bin/tollgate", env!("CARGO_BIN_EXE_tollgate"));
    // systemd-analyze looks whether programs exist, and `kill` is in a package that a container may lack.
    let unit = unit.replace("/bin/kill", "/bin/true");
    std::fs::write(folder.path().join("tollgate.service"), unit).expect("a folder of ours");
    folder
}

/// Whether systemd-analyze has what came with 250; Ubuntu 22.04 is the last that has not.
fn analyzes_offline() -> bool {
    let version = tool("systemd", root(), &["systemd-analyze", "--version"]);
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    let number =
        text.split_whitespace().nth(1).and_then(|word| word.split(|letter: char| !letter.is_ascii_digit()).next());
    number.and_then(|digits| digits.parse::<u32>().ok()).unwrap_or_else(|| panic!("no version: {text}")) >= 250
}

#[test]
fn systemd_takes_the_unit() {
    let folder = unit();
    let mut command = vec!["systemd-analyze", "verify", "--man=no"];
    // Other units of the machine are not ours to judge.
    command.extend(analyzes_offline().then_some("--recursive-errors=no"));
    command.push("./tollgate.service");
    let verdict = tool("systemd", folder.path(), &command);
    is_content(&verdict);
    let said = String::from_utf8_lossy(&verdict.stderr);
    assert!(!said.contains("tollgate.service"), "systemd-analyze verify: {said}");
}

#[test]
fn the_unit_stays_hardened() {
    let pillars = [
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "DynamicUser=yes",
        "MemoryDenyWriteExecute=yes",
        "NoNewPrivileges=yes",
        "PrivateDevices=yes",
        "PrivateTmp=yes",
        "ProtectHome=yes",
        "ProtectSystem=strict",
        "RestrictNamespaces=yes",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
    ];
    for line in pillars {
        assert!(UNIT.lines().any(|written| written == line), "{line}");
    }
    if analyzes_offline() {
        // In tenths; 100 is a service without any confinement. It is at 14 by systemd 252, and other versions count a
        // little differently.
        let (worst, folder) = ("--threshold=18", unit());
        let command = ["systemd-analyze", "security", "--offline=true", "--no-pager", worst, "./tollgate.service"];
        is_content(&tool("systemd", folder.path(), &command));
    }
}

#[test]
fn the_container_is_built_from_what_is_there() {
    let copied =
        DOCKERFILE.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|rest| !rest.starts_with("--"));
    let sources: BTreeSet<&str> = copied
        .flat_map(|rest| {
            let mut parts: Vec<&str> = rest.split_whitespace().collect();
            parts.pop();
            parts
        })
        .map(|path| path.trim_start_matches("./"))
        .collect();
    assert!(sources.len() > 3, "{sources:?}");
    for source in &sources {
        assert!(root().join(source).exists(), "COPY {source}");
    }
    let ignored = read(&root().join("deploy/Dockerfile.dockerignore"));
    let let_in: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(let_in, sources, "the build context is what the Dockerfile copies");
    // Whatever the source includes must be there as well, but for what only its tests do.
    for path in files("src", ".rs").iter().filter(|path| !path.ends_with("tests.rs")) {
        let source = read(path);
        let built = source.split("#[cfg(test)]").next().expect("the part before the tests");
        for included in built.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let file = path.parent().expect("a folder").join(included).canonicalize();
            let file = file.unwrap_or_else(|error| panic!("{}: {included}: {error}", path.display()));
            let relative = file.strip_prefix(root()).expect("inside the repository").to_string_lossy().into_owned();
            assert!(sources.iter().any(|source| relative.starts_with(source)), "{relative} is not copied");
        }
    }
}

#[test]
fn the_compose_files_mount_what_is_there() {
    for (name, least) in [("compose.yaml", 4), ("compose.spa.yaml", 2)] {
        let compose = read(&root().join("deploy").join(name));
        assert!(!compose.contains('\t'), "YAML has no tabs");
        let volumes = compose.lines().filter_map(|line| line.trim().strip_prefix("- "));
        let mounts: Vec<&str> =
            volumes.filter(|path| path.starts_with('.')).filter_map(|path| path.split(':').next()).collect();
        assert!(mounts.len() >= least, "{name}: {mounts:?}");
        for mount in mounts {
            assert!(root().join("deploy").join(mount).exists(), "{name}: {mount}");
        }
    }
}

/// In containers it is the example, but for where things are.
#[test]
fn the_application_in_containers_is_that_of_the_example() {
    let table = |path: &str| toml::from_str::<toml::Table>(&read(&root().join(path))).expect("TOML");
    let (mut example, mut deployed) = (table("config/examples/spa.toml"), table("deploy/compose/spa.toml"));
    for config in [&mut example, &mut deployed] {
        for part in ["server", "upstreams"] {
            config.remove(part).expect("it says where things are");
        }
        let authority = config["authority"].as_table_mut().expect("a table");
        authority.remove("listen");
        authority.remove("allow_remote");
    }
    assert_eq!(example, deployed);
}

#[test]
fn the_configs_pass_check() {
    for file in files("deploy", ".toml") {
        let path = file.display().to_string();
        is_content(&tool("tollgate", root(), &[env!("CARGO_BIN_EXE_tollgate"), "check", "--config", &path]));
    }
    toml::from_str::<toml::Table>(&read(&root().join("deny.toml"))).expect("deny.toml is TOML");
}
