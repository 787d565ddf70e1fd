//! Exchanges, workers, families and lines together, as the gateway uses them.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode, Version};
use serde_json::Value;

use super::*;
use crate::clock::{ManualClock, UnixTime};

#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A process: clock, families and access log, for workers to come.
struct Process {
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
    log: AccessLog,
    out: Out,
}

impl Process {
    fn start(form: Form) -> Self {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(1_000_000_000)));
        let metrics = Metrics::new(clock.clone());
        let out = Out::default();
        let log = AccessLog::start(form, Box::new(out.clone()), metrics.log_lines_dropped()).unwrap();
        Self { clock, metrics, log, out }
    }

    fn worker(&self) -> Rc<WorkerSink> {
        WorkerSink::new(self.clock.clone(), Arc::clone(&self.metrics), self.log.clone())
    }

    /// The value of one series, as a scrape shows it; zero when there is no such series.
    fn value(&self, series: &str) -> f64 {
        let text = self.metrics.gather().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    fn lines(&self) -> Vec<Value> {
        assert!(self.log.drain(Duration::from_secs(60)));
        let written = self.out.0.lock().unwrap();
        std::str::from_utf8(&written).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|&name| name.into()).collect()
}

fn open(sink: &Rc<SnapshotSink>, method: &Method, path: &str) -> Exchange {
    let client_ip = Some([192, 0, 2, 7].into());
    Exchange::open(sink, &Opening { method, host: Some(b"api.example"), path, version: Version::HTTP_11, client_ip })
}

/// A request that went well.
fn good(sink: &Rc<SnapshotSink>, route: usize) {
    let exchange = open(sink, &Method::GET, "/orders");
    exchange.route(route);
    exchange.status(StatusCode::OK);
    exchange.finish();
}

const GOOD_A: &str = r#"tollgate_requests_total{method="GET",route="a",status_class="2xx"}"#;

#[test]
fn an_exchange_tells_all_that_it_learned() {
    let process = Process::start(Form::Json);
    let worker = process.worker();
    let sink = worker.for_snapshot(&names(&["a", "b"]), &names(&["x", "orders"]));
    let exchange = open(&sink, &Method::POST, "/orders/7");
    exchange.route(1);
    exchange.principal("acme", Some("first"), Some("web"));
    exchange.principal("acme", Some("second"), None);
    exchange.token_cache(CacheResult::Miss);
    process.clock.advance(Duration::from_millis(2));
    exchange.forwarding_to(1);
    process.clock.advance(Duration::from_millis(3));
    exchange.upstream_answered();
    exchange.fault("upstream_protocol", || "the body broke off".into());
    exchange.bytes_in(Some(Rc::new(std::cell::Cell::new(5))));
    exchange.add_bytes_out(7);
    exchange.add_bytes_out(1);
    exchange.status(StatusCode::BAD_GATEWAY);
    assert_eq!((process.metrics.gather().unwrap().contains("route=\"b\""), process.lines().len()), (false, 0));
    exchange.finish();
    process.clock.advance(Duration::from_millis(4));
    drop(exchange);
    worker.flush();
    let expected = serde_json::json!({
        "time": "2001-09-09T01:46:40.009Z", "client_ip": "192.0.2.7", "method": "POST",
        "host": "api.example", "path": "/orders/7", "protocol": "HTTP/1.1", "status": 502, "route": "b",
        "detail": "the body broke off", "issuer": "acme", "subject": "second", "client": "web", "upstream": "orders",
        "bytes_in": 5, "bytes_out": 8, "duration_ms": 9.0, "upstream_ms": 3.0, "token_cache": "miss",
        "fault": "upstream_protocol",
    });
    assert_eq!(process.lines(), [expected]);
    for (series, value) in [
        (r#"tollgate_requests_total{method="POST",route="b",status_class="5xx"}"#, 1.0),
        (r#"tollgate_request_seconds_sum{route="b"}"#, 0.009),
        (r#"tollgate_request_seconds_bucket{route="b",le="0.005"}"#, 0.0),
        (r#"tollgate_request_seconds_bucket{route="b",le="0.01"}"#, 1.0),
        (r#"tollgate_upstream_seconds_sum{upstream="orders"}"#, 0.003),
        (r#"tollgate_upstream_faults_total{code="upstream_protocol",upstream="orders"}"#, 1.0),
        (r#"tollgate_token_cache_total{result="miss"}"#, 1.0),
        (r#"tollgate_token_cache_total{result="hit"}"#, 0.0),
        (r#"tollgate_requests_aborted_total{route="b"}"#, 0.0),
    ] {
        assert!((process.value(series) - value).abs() < 1e-9, "{series} is {}", process.value(series));
    }
}

#[test]
fn a_denial_on_no_route_and_a_strange_method() {
    let process = Process::start(Form::Json);
    let worker = process.worker();
    let sink = worker.for_snapshot(&[], &[]);
    let exchange = open(&sink, &Method::from_bytes(b"BREW").unwrap(), "/pot");
    exchange.status(StatusCode::NOT_FOUND);
    exchange.denied("no_route", || "no route matches this host and path".into());
    exchange.finish();
    drop(exchange);
    worker.flush();
    let line = &process.lines()[0];
    assert_eq!((&line["method"], &line["denial"], &line["route"]), (&"BREW".into(), &"no_route".into(), &Value::Null));
    assert_eq!(line["detail"], "no route matches this host and path");
    for series in [
        r#"tollgate_requests_total{method="other",route="none",status_class="4xx"}"#,
        r#"tollgate_denials_total{code="no_route",route="none"}"#,
    ] {
        assert_eq!(process.value(series), 1.0, "{series}");
    }
    let totals = process.metrics.route_totals();
    assert_eq!((totals["none"].by_class["4xx"], totals["none"].denials["no_route"]), (1, 1));
}

#[test]
fn whatever_ends_an_exchange_early_counts_as_aborted() {
    let process = Process::start(Form::Json);
    let worker = process.worker();
    let sink = worker.for_snapshot(&names(&["a"]), &[]);
    for (status, finish, aborted) in [
        (None, false, true),
        (None, true, true),
        (Some(StatusCode::OK), false, true),
        (Some(StatusCode::OK), true, false),
    ] {
        let exchange = open(&sink, &Method::GET, "/");
        exchange.route(0);
        status.into_iter().for_each(|status| exchange.status(status));
        if finish {
            exchange.finish();
        }
        drop(exchange);
        worker.flush();
        assert_eq!(process.lines().last().unwrap().get("aborted").is_some(), aborted, "{status:?} {finish}");
    }
    assert_eq!(process.value(r#"tollgate_requests_aborted_total{route="a"}"#), 3.0);
    assert_eq!(process.value(r#"tollgate_requests_total{method="GET",route="a",status_class="none"}"#), 2.0);
}

#[test]
fn neither_a_query_nor_an_endless_text_reaches_the_log() {
    let process = Process::start(Form::Json);
    let worker = process.worker();
    let sink = worker.for_snapshot(&[], &[]);
    let long = format!("/{}", "é".repeat(4000));
    for (path, shown) in [
        ("/cb?access_token=secret", "/cb".to_owned()),
        ("/cb#access_token=secret", "/cb".to_owned()),
        (&long, format!("/{}…", "é".repeat(1023))),
    ] {
        drop(open(&sink, &Method::GET, path));
        worker.flush();
        assert_eq!(process.lines().last().unwrap()["path"], shown);
    }
    assert!(!String::from_utf8_lossy(&process.out.0.lock().unwrap()).contains("secret"));
}

#[test]
fn without_a_log_no_text_is_made() {
    let process = Process::start(Form::Off);
    let worker = process.worker();
    let sink = worker.for_snapshot(&names(&["a"]), &[]);
    let exchange = open(&sink, &Method::GET, "/");
    assert!(!exchange.is_logged());
    exchange.denied("no_credential", || unreachable!("nobody reads it"));
    drop(exchange);
    worker.flush();
    assert_eq!(
        (process.lines().len(), process.value(r#"tollgate_denials_total{code="no_credential",route="none"}"#)),
        (0, 1.0)
    );
    assert!(size_of::<Exchange>() <= 192, "{}", size_of::<Exchange>());
}

#[test]
fn texts_of_one_request_never_show_in_another() {
    let process = Process::start(Form::Json);
    let worker = process.worker();
    let sink = worker.for_snapshot(&[], &[]);
    let exchange = open(&sink, &Method::GET, "/first");
    exchange.principal("acme", Some("alice"), Some("web"));
    exchange.denied("expired", || "a minute ago".into());
    drop(exchange);
    // Long enough to lie where the texts of the first one were.
    let path = format!("/second/{}", "x".repeat(200));
    let opening = Opening { method: &Method::GET, host: None, path: &path, version: Version::HTTP_2, client_ip: None };
    drop(Exchange::open(&sink, &opening));
    worker.flush();
    let expected = serde_json::json!({
        "time": "2001-09-09T01:46:40.000Z", "method": "GET", "path": path, "protocol": "HTTP/2", "bytes_in": 0,
        "bytes_out": 0, "duration_ms": 0.0, "aborted": true,
    });
    assert_eq!(process.lines()[1], expected);
}

#[test]
fn two_workers_and_a_reload_lose_and_reset_nothing() {
    let process = Process::start(Form::Off);
    let workers = [process.worker(), process.worker()];
    assert_eq!(process.value("tollgate_workers"), 2.0);
    let [left, right] = workers.each_ref().map(|worker| worker.for_snapshot(&names(&["a", "b"]), &[]));
    good(&left, 0);
    good(&right, 0);
    good(&right, 0);
    assert_eq!(process.value(GOOD_A), 0.0, "nothing was handed in yet");
    workers.iter().for_each(|worker| worker.flush());
    assert_eq!(process.value(GOOD_A), 3.0);
    workers.iter().for_each(|worker| worker.flush());
    assert_eq!(process.value(GOOD_A), 3.0, "handed in once only");

    // A reload moves the route to another position; a request of the old snapshot is still under way.
    let late = open(&left, &Method::GET, "/");
    late.route(0);
    late.status(StatusCode::OK);
    late.finish();
    let moved = workers[0].for_snapshot(&names(&["new", "a"]), &[]);
    drop((left, right));
    good(&moved, 1);
    drop(late);
    workers[0].flush();
    assert_eq!(process.value(GOOD_A), 5.0);

    good(&moved, 1);
    drop(moved);
    assert_eq!(process.value(GOOD_A), 6.0, "a snapshot hands in as it goes");
    drop(workers);
    assert_eq!((process.value("tollgate_workers"), process.value("tollgate_requests_in_flight")), (0.0, 0.0));
}

#[test]
fn a_worker_that_ends_hands_in_its_lines() {
    let process = Process::start(Form::Json);
    let worker = process.worker();
    let sink = worker.for_snapshot(&names(&["a"]), &[]);
    let exchange = open(&sink, &Method::GET, "/");
    drop((worker, sink));
    drop(exchange);
    assert_eq!(process.lines().len(), 1);
}

#[test]
fn a_worker_that_ends_waits_for_a_place_in_a_full_queue() {
    let process = Process::start(Form::Json);
    let worker = process.worker();
    let sink = worker.for_snapshot(&names(&["a"]), &[]);
    let out = process.out.clone();
    let (locked, is_locked) = std::sync::mpsc::sync_channel(0);
    let (end, ends) = std::sync::mpsc::sync_channel(0);
    let reader = std::thread::spawn(move || {
        let stuck = out.0.lock().unwrap();
        locked.send(()).unwrap();
        ends.recv().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        drop(stuck);
    });
    is_locked.recv().unwrap();
    let mut handed_in = 0;
    while process.value("tollgate_log_lines_dropped_total") == 0.0 {
        good(&sink, 0);
        worker.flush();
        handed_in += 1;
    }
    good(&sink, 0);
    end.send(()).unwrap();
    drop((worker, sink));
    reader.join().unwrap();
    assert_eq!(process.lines().len(), handed_in, "one was lost while it ran, none as it ended");
    assert_eq!(process.value("tollgate_log_lines_dropped_total"), 1.0);
}

#[tokio::test]
async fn a_scrape_sees_what_happened_just_before_it() {
    let process = Process::start(Form::Json);
    let local = tokio::task::LocalSet::new();
    let worker = process.worker();
    let sink = worker.for_snapshot(&names(&["a"]), &[]);
    let handle = local.spawn_local(worker.flush_loop());
    local
        .run_until(async {
            for count in 1..20 {
                let open = open(&sink, &Method::GET, "/");
                good(&sink, 0);
                let text = process.metrics.scrape().await.unwrap();
                assert!(text.contains(&format!("{GOOD_A} {count}\n")), "{text}");
                assert!(text.contains("tollgate_requests_in_flight 1\n"), "{text}");
                drop(open);
            }
            drop((worker, sink));
            // The loop does not keep its worker alive: it ends at its next tick.
            handle.await.unwrap();
        })
        .await;
    assert_eq!(process.value("tollgate_workers"), 0.0);
    assert_eq!(process.lines().len(), 38);
}

#[test]
fn keys_age_with_the_clock_and_go_with_their_issuer() {
    let process = Process::start(Form::Off);
    let (acme, disk): (Arc<str>, Arc<str>) = ("acme".into(), "disk".into());
    process.clock.advance(Duration::from_secs(5));
    process.metrics.jwks_fetch("acme", "ok");
    process.metrics.jwks_in_use(&acme, 2, Duration::ZERO);
    process.metrics.jwks_in_use(&disk, 1, Duration::from_secs(3600));
    process.clock.advance(Duration::from_secs(7));
    assert_eq!(process.value(r#"tollgate_jwks_age_seconds{issuer="acme"}"#), 7.0);
    assert_eq!(process.value(r#"tollgate_jwks_age_seconds{issuer="disk"}"#), 3607.0);
    assert_eq!(process.value(r#"tollgate_jwks_keys{issuer="acme"}"#), 2.0);
    process.metrics.jwks_gone("acme");
    process.metrics.jwks_gone("nobody");
    assert!(!process.metrics.gather().unwrap().contains(r#"tollgate_jwks_age_seconds{issuer="acme"}"#));
    assert_eq!(process.value(r#"tollgate_jwks_fetches_total{issuer="acme",result="ok"}"#), 1.0, "a counter stays");
}

#[test]
fn gauges_of_connections_and_reloads() {
    let process = Process::start(Form::Off);
    let listener = process.metrics.connections("127.0.0.1:8080");
    let open = [listener.opened(), listener.opened()];
    assert_eq!(process.value(r#"tollgate_connections{listener="127.0.0.1:8080"}"#), 2.0);
    drop(open);
    assert_eq!(process.value(r#"tollgate_connections{listener="127.0.0.1:8080"}"#), 0.0);
    assert_eq!(process.value("tollgate_config_last_reload_successful"), 1.0);
    process.metrics.config_reloaded(false);
    assert_eq!(process.value("tollgate_config_last_reload_successful"), 0.0);
    assert_eq!(process.value(r#"tollgate_config_reloads_total{result="failed"}"#), 1.0);
}

/// Some of everything, so that each family has a series.
fn busy() -> Process {
    let process = Process::start(Form::Off);
    let worker = process.worker();
    let sink = worker.for_snapshot(&names(&["a \"quoted\\ route\n"]), &names(&["orders"]));
    let exchange = open(&sink, &Method::GET, "/");
    exchange.route(0);
    exchange.forwarding_to(0);
    exchange.upstream_answered();
    exchange.denied("expired", String::new);
    exchange.fault("upstream_timeout", String::new);
    drop(exchange);
    worker.flush();
    process.metrics.store_up("redis", true);
    process.metrics.jwks_fetch("acme", "ok");
    process.metrics.introspections("acme", "active", 1);
    process.metrics.introspection_up("acme", Some(true));
    process.metrics.jwks_in_use(&"acme".into(), 1, Duration::ZERO);
    drop(process.metrics.connections("127.0.0.1:8080").opened());
    process
}

#[test]
fn prometheus_takes_the_text() {
    let text = busy().metrics.gather().unwrap();
    assert_eq!(promtool(&["check", "metrics"], &text), (true, String::new()), "{text}");
}

#[test]
fn the_alerts_of_the_document_are_rules() {
    let document = include_str!("../../docs/metrics.md");
    let rules = document.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
    let (good, said) = promtool(&["check", "rules", "/dev/stdin"], rules);
    assert!(good && said.contains("6 rules found"), "{said}");
    let process = busy();
    let named =
        rules.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').filter(|word| is_family(word));
    for name in named {
        assert!(process.metrics.family_names().iter().any(|family| family == name), "{name}");
    }
}

/// Whether promtool was content with `input`, and what it said.
fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed for this test: apt-get install prometheus");
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let verdict = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&verdict.stderr).into_owned() + &String::from_utf8_lossy(&verdict.stdout);
    (verdict.status.success(), said)
}

#[test]
fn the_document_names_each_family_and_no_other() {
    let document = include_str!("../../docs/metrics.md");
    let documented: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next())
        .filter(|name| is_family(name))
        .collect();
    let process = busy();
    let registered: BTreeSet<&str> = process.metrics.family_names().iter().map(String::as_str).collect();
    assert_eq!(documented, registered);
    let text = process.metrics.gather().unwrap();
    let shown: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(shown, registered, "this test gives every family a series");
}

fn is_family(name: &str) -> bool {
    name.starts_with("tollgate_") || name.starts_with("process_")
}

#[test]
fn the_document_names_each_label_of_each_family() {
    let document = include_str!("../../docs/metrics.md");
    let text = busy().metrics.gather().unwrap();
    for series in text.lines().filter(|line| !line.starts_with('#') && !line.contains("le=\"")) {
        let Some((name, labels)) = series.split_once('{') else { continue };
        let name = name.trim_end_matches("_sum").trim_end_matches("_count");
        let row =
            document.lines().find(|line| line.starts_with(&format!("| `{name}{{"))).unwrap_or_else(|| panic!("{name}"));
        let head = row.split('}').next().unwrap();
        let mut mine: Vec<&str> = labels.split("=\"").filter_map(|part| part.rsplit(['{', ',', ' ']).next()).collect();
        mine.pop();
        let mut told: Vec<&str> = head.split_once('{').unwrap().1.split(',').collect();
        mine.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, mine, "{series}");
    }
}
