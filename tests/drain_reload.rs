//! Ending and changing a gateway that is at work: SIGTERM drains, SIGHUP and changed files reload, and a broken file
//! changes nothing.

mod support;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::client::{Conn, Request};
use support::gateway::Gateway;
use support::issuer::{Answer, Issuer};
use support::keys::{Key, Kind};
use support::tls::{self, Identity};
use support::token::Token;
use support::upstream::{Then, Upstream, chunk, respond};
use support::{PATIENCE, eventually, h2, runtime};

const BASE: &str = "[[routes]]\nname = \"base\"\npath = \"/base/{*rest}\"\nupstream = \"api\"\naccess = \"public\"\n";
const ADDED: &str = "[[routes]]\nname = \"added\"\npath = \"/added\"\nupstream = \"api\"\naccess = \"public\"\n";

fn config(upstream: &Upstream, routes: &[&str]) -> String {
    upstream.toml("api") + &routes.concat()
}

/// An upstream that answers once it is told.
fn gated() -> (Upstream, Arc<AtomicBool>) {
    let gate = Arc::new(AtomicBool::new(false));
    let open = Arc::clone(&gate);
    let upstream = Upstream::start(move |seen, conn| {
        if seen.target.contains("stream") {
            conn.try_send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            conn.try_send(chunk("begun"))?;
        }
        while seen.target.contains("wait") && !open.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10));
        }
        if seen.target.contains("stream") {
            conn.try_send([chunk(" ended"), chunk("")].concat())?;
            return Ok(Then::Keep);
        }
        respond(conn, 200, "", "done")
    });
    (upstream, gate)
}

#[test]
fn a_term_signal_lets_requests_end() {
    let (upstream, gate) = gated();
    let mut gateway = Gateway::start(&config(&upstream, &[BASE]));
    let mut waiting = gateway.connect();
    waiting.send(Request::get("/base/wait").bytes());
    let mut streaming = gateway.connect();
    streaming.send(Request::get("/base/wait/stream").bytes());
    let head = streaming.head();
    let mut idle = gateway.connect();
    assert_eq!(idle.call(&Request::get("/base/x")).status, 200);
    eventually("all have arrived", PATIENCE, || (upstream.seen().len() == 3).then_some(()));
    let (http, h2_gate) = (gateway.http(), Arc::clone(&gate));
    runtime().block_on(async {
        let mut client = h2::Client::cleartext(http).await;
        let mut sender = client.clone();
        let request = h2::request("GET", "/base/wait/h2", None).body(h2::empty()).expect("a request");
        let in_flight = tokio::spawn(async move { sender.call(request).await.status.as_u16() });
        eventually("the fourth has arrived", PATIENCE, || (upstream.seen().len() == 4).then_some(()));
        gateway.signal("TERM");
        eventually("new connections are refused", PATIENCE, || Conn::try_open(http).is_err().then_some(()));
        assert!(idle.is_closed(), "a connection without a request is closed");
        assert!(gateway.is_alive(), "it waits for those in flight");
        h2_gate.store(true, Ordering::SeqCst);
        assert_eq!(in_flight.await.expect("no panic"), 200);
        let request = h2::request("GET", "/base/late", None).body(h2::empty()).expect("a request");
        assert!(client.send(request).await.is_err(), "an HTTP/2 connection takes nothing new");
    });
    assert_eq!(waiting.response("GET").text(), "done");
    let mut body = Vec::new();
    let (_, complete) = streaming.body(&head, &mut |bytes| body.extend_from_slice(bytes)).expect("a body");
    assert!(complete && body == b"begun ended", "{}", String::from_utf8_lossy(&body));
    let status = gateway.wait_exit(PATIENCE);
    assert_eq!(status.code(), Some(0), "{}", gateway.logs());
    let logged = gateway.access_log().len();
    assert_eq!(logged, 4, "every exchange is logged before the end: {:?}", gateway.access_log());
}

#[test]
fn draining_has_an_end() {
    let (upstream, _never) = gated();
    let server = "[server]\nlisten = [\"127.0.0.1:0\"]\ndrain_timeout = \"1s\"\n";
    let mut gateway = Gateway::start(&(server.to_owned() + &config(&upstream, &[BASE])));
    let mut waiting = gateway.connect();
    waiting.send(Request::get("/base/wait").bytes());
    eventually("it has arrived", PATIENCE, || (upstream.seen().len() == 1).then_some(()));
    gateway.signal("TERM");
    gateway.wait_exit(PATIENCE);
    assert!(waiting.is_closed(), "cut, not forgotten");
}

#[test]
fn an_interrupt_ends_it_too() {
    let (upstream, _gate) = gated();
    let mut gateway = Gateway::start(&config(&upstream, &[BASE]));
    gateway.signal("INT");
    assert_eq!(gateway.wait_exit(PATIENCE).code(), Some(0), "{}", gateway.logs());
}

#[test]
fn a_reload_adds_a_route_under_a_live_connection() {
    let (upstream, gate) = gated();
    let gateway = Gateway::start(&config(&upstream, &[BASE]));
    let mut kept = gateway.connect();
    assert_eq!(kept.call(&Request::get("/added")).status, 404);
    let mut streaming = gateway.connect();
    streaming.send(Request::get("/base/wait/stream").bytes());
    let head = streaming.head();
    gateway.rewrite(&config(&upstream, &[BASE, ADDED]));
    gateway.signal("HUP");
    gateway.until("the same connection sees the new route", || {
        (kept.call(&Request::get("/added")).status == 200).then_some(())
    });
    gate.store(true, Ordering::SeqCst);
    let mut body = Vec::new();
    let (_, complete) = streaming.body(&head, &mut |bytes| body.extend_from_slice(bytes)).expect("a body");
    assert!(complete && body == b"begun ended", "a response in flight survives");
    assert!(gateway.metric("tollgate_config_reloads_total", &[]) >= 1.0);
    gateway.rewrite(&config(&upstream, &[ADDED]));
    gateway.signal("HUP");
    gateway.until("the old route is gone", || (kept.call(&Request::get("/base/x")).status == 404).then_some(()));
}

#[test]
fn a_broken_file_changes_nothing_and_is_named() {
    let (upstream, _gate) = gated();
    let mut gateway = Gateway::start(&config(&upstream, &[BASE]));
    let broken = [
        ("unreadable", "[[routes]\n".to_owned()),
        ("an unknown key", config(&upstream, &[BASE, "colour = \"red\"\n"])),
        (
            "no such upstream",
            config(&upstream, &[BASE, "[[routes]]\npath = \"/y\"\nupstream = \"nobody\"\naccess = \"public\"\n"]),
        ),
    ];
    for (round, (name, text)) in (1_u8..).zip(&broken) {
        gateway.rewrite(text);
        gateway.signal("HUP");
        gateway.until("the failed reload is counted", || {
            let all = gateway.metric("tollgate_config_reloads_total", &[]);
            (all >= f64::from(round)).then_some(())
        });
        assert_eq!(gateway.call(&Request::get("/base/x")).status, 200, "{name}: the old routes serve");
        assert_eq!(gateway.call(&Request::get("/y")).status, 404, "{name}");
    }
    let stderr = gateway.stderr();
    assert!(stderr.contains("colour") && stderr.contains("nobody"), "it says what is wrong: {stderr}");
    gateway.rewrite(&config(&upstream, &[BASE, ADDED]));
    gateway.signal("HUP");
    gateway.until("a good file is taken again", || (gateway.call(&Request::get("/added")).status == 200).then_some(()));
    assert!(gateway.is_alive());
}

#[test]
fn changed_content_is_noticed_without_a_signal() {
    let (upstream, _gate) = gated();
    let gateway = Gateway::start(&config(&upstream, &[BASE]));
    gateway.rewrite(&config(&upstream, &[BASE, ADDED]));
    gateway.until("the new route is served", || (gateway.call(&Request::get("/added")).status == 200).then_some(()));
}

/// A reload may not keep a verdict that the new configuration would not give.
#[test]
fn a_reload_judges_cached_tokens_anew() {
    let (issuer, upstream) = (Issuer::start(), Upstream::echo());
    let text = |audience: &str| {
        let issuer = issuer.toml("acme").replace(support::token::AUDIENCE, audience);
        format!("{issuer}{}[[routes]]\npath = \"/\"\nupstream = \"api\"\n", upstream.toml("api"))
    };
    let gateway = Gateway::start(&text(support::token::AUDIENCE));
    let request = Request::get("/").bearer(&issuer.token().sign());
    assert_eq!((gateway.call(&request).status, gateway.call(&request).status), (200, 200), "warm");
    gateway.rewrite(&text("https://other.test"));
    gateway.signal("HUP");
    let refused = gateway.until("the token is refused", || {
        let answer = gateway.call(&request);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refused.code(), "wrong_audience");
}

#[test]
fn a_key_file_is_part_of_the_configuration() {
    let upstream = Upstream::echo();
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("keys.json");
    let publish = |key: &Key| {
        let next = file.with_extension("next");
        std::fs::write(&next, json!({"keys": [key.jwk()]}).to_string()).expect("ours");
        std::fs::rename(next, &file).expect("ours");
    };
    let (old, new) = (Key::of(Kind::P256, 0, "old"), Key::of(Kind::P256, 1, "new"));
    publish(&old);
    let text = format!(
        "[issuers.file]\nissuer = \"https://as.test\"\naudiences = [\"{}\"]\njwks_file = \"keys.json\"\n{}[[routes]]\npath = \"/\"\nupstream = \"api\"\n",
        support::token::AUDIENCE,
        upstream.toml("api")
    );
    let gateway = Gateway::listening_in(folder, &text);
    gateway.wait_ready();
    let status = |key: &Key| {
        let token = Token::new("https://as.test", key).sign();
        gateway.call(&Request::get("/").bearer(&token)).status
    };
    assert_eq!((status(&old), status(&new)), (200, 401));
    publish(&new);
    gateway.until("the new key is read", || ((status(&old), status(&new)) == (401, 200)).then_some(()));
}

/// The verdict of a token that is asked for all the time must not hide that its key was taken out of the file.
#[test]
fn a_key_taken_out_of_a_key_file_is_dead() {
    let upstream = Upstream::echo();
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("keys.json");
    let publish = |keys: &[&Key]| {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        std::fs::write(&file, json!({"keys": keys}).to_string()).expect("ours");
    };
    let (bad, good) = (Key::of(Kind::P256, 0, "leaked"), Key::of(Kind::P256, 1, "good"));
    publish(&[&bad, &good]);
    let text = format!(
        "[issuers.file]\nissuer = \"https://as.test\"\naudiences = [\"{}\"]\njwks_file = \"keys.json\"\n{}[[routes]]\npath = \"/\"\nupstream = \"api\"\n",
        support::token::AUDIENCE,
        upstream.toml("api")
    );
    let gateway = Gateway::listening_in(folder, &text);
    gateway.wait_ready();
    let status = |token: &str| gateway.call(&Request::get("/").bearer(token)).status;
    let [leaked, fine] = [&bad, &good].map(|key| Token::new("https://as.test", key).sign());
    assert_eq!((status(&leaked), status(&leaked), status(&fine)), (200, 200, 200), "warm");
    publish(&[&good]);
    gateway.until("the key is dead", || (status(&leaked) == 401).then_some(()));
    assert_eq!(status(&fine), 200);
    // Half a file is no key set.
    std::fs::write(&file, "{\"keys\": [").expect("ours");
    gateway.signal("HUP");
    gateway.until("the file was looked at", || gateway.stderr().contains("is not JSON").then_some(()));
    assert_eq!((status(&fine), status(&leaked)), (200, 401));
}

/// An issuer that a reload adds may be slow; those who serve already go on, and so does the load balancer's trust.
#[test]
fn a_slow_new_issuer_does_not_make_a_ready_gateway_unready() {
    let (issuer, slow, upstream) = (Issuer::start(), Issuer::start(), Upstream::echo());
    slow.jwks(Answer::Slow(Duration::from_secs(2)));
    let text = |extra: &str| {
        format!("{}{extra}{}[[routes]]\npath = \"/\"\nupstream = \"api\"\n", issuer.toml("acme"), upstream.toml("api"))
    };
    let gateway = Gateway::start(&text(""));
    gateway.rewrite(&text(&slow.toml("slow")));
    gateway.signal("HUP");
    gateway.until("the issuer is asked", || {
        let ready = gateway.readyz();
        assert_eq!(ready.status, 200, "{}", ready.text());
        (slow.jwks_hits() > 0).then_some(())
    });
    let token = slow.token().sign();
    gateway.until("its tokens are taken", || {
        assert_eq!(gateway.readyz().status, 200);
        (gateway.call(&Request::get("/").bearer(&token)).status == 200).then_some(())
    });
}

#[test]
fn a_new_certificate_is_shown() {
    let upstream = Upstream::echo();
    let (first, second) = (Identity::loopback("first"), Identity::loopback("second"));
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let home = folder.path().to_owned();
    first.write(&home, "server");
    let tls_table =
        "[server.tls]\nlisten = [\"127.0.0.1:0\"]\ncertificate = \"server.crt\"\nprivate_key = \"server.key\"\n";
    let text = format!("[server]\nlisten = [\"127.0.0.1:0\"]\n{tls_table}{}", config(&upstream, &[BASE]));
    let gateway = Gateway::listening_in(folder, &text);
    let client = tls::client(&["http/1.1"], None);
    let (mut kept, shook) = tls::connect(gateway.https(), "localhost", &client).expect("a handshake");
    assert_eq!(shook.server, first.der());
    // Half of the pair alone does not fit: nothing changes until both are there.
    second.write(&home, "next");
    std::fs::rename(home.join("next.crt"), home.join("server.crt")).expect("ours");
    gateway.signal("HUP");
    let (_, shook) = tls::connect(gateway.https(), "localhost", &client).expect("a handshake");
    assert_eq!(shook.server, first.der(), "a certificate without its key is not taken");
    std::fs::rename(home.join("next.key"), home.join("server.key")).expect("ours");
    gateway.signal("HUP");
    gateway.until("the new certificate is shown", || {
        let (_, shook) = tls::connect(gateway.https(), "localhost", &client).expect("a handshake");
        (shook.server == second.der()).then_some(())
    });
    assert_eq!(kept.call(&Request::get("/base/x")).status, 200, "the old connection lives");
}

#[test]
fn a_config_replaced_by_a_pipe_or_a_device_neither_hangs_nor_fills_memory() {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::start(&config(&upstream, &[BASE]));
    let file = gateway.folder().join("tollgate.toml");
    let failures = |gateway: &Gateway| gateway.metric("tollgate_config_reloads_total", &["result=\"failed\""]);
    for (count, replace) in [(1.0, "mkfifo"), (2.0, "ln -s /dev/zero"), (3.0, "mkdir")] {
        std::fs::remove_file(&file).expect("it is there");
        let line = format!("{replace} '{}'", file.display());
        assert!(Command::new("sh").args(["-c", &line]).status().expect("a shell").success(), "{line}");
        gateway.signal("HUP");
        gateway.until("the reload has failed", || (failures(&gateway) >= count).then_some(()));
        assert_eq!(gateway.call(&Request::get("/base/x")).status, 200, "the old config serves after {line}");
    }
    assert!(gateway.stderr().contains("not a regular file"), "{}", gateway.logs());
    gateway.signal("TERM");
    assert_eq!(gateway.wait_exit(PATIENCE).code(), Some(0), "it still listens to signals");
}
