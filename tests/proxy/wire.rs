//! Kept connections, retries, faults and the head that goes up.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tollgate::clock::{ManualClock, UnixTime};
use tollgate::config::model::{Scheme, UpstreamHost};
use tollgate::proxy::*;

use super::support::*;

const GET: &str = "GET /orders/7?q=1 HTTP/1.1\r\nHost: api.acme.example\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn the_upstream_sees_our_headers_and_only_ours() {
    worker(|| async {
        let (address, _) = echo().await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        let request = "GET /a%2Fb?x=%41 HTTP/1.1\r\nHost: api.acme.example\r\nAuthorization: Bearer t\r\n\
            X-Auth-Subject: root\r\nX_Auth_Subject: root\r\nX-Auth-Client: root\r\nX-Forwarded-For: 1.1.1.1\r\n\
            Forwarded: for=1.1.1.1\r\nX-Original-URL: /x\r\nConnection: keep-alive, X-Auth-Subject\r\n\
            Expect: nothing\r\nAccept: */*\r\n\r\n";
        let (head, seen) = Wire::to(gateway.address).await.ask(request).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let mut lines: Vec<&str> = seen.trim_end().lines().collect();
        assert_eq!(lines.remove(0), "GET /a%2Fb?x=%41 HTTP/1.1");
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "accept: */*",
                "authorization: Bearer t",
                "forwarded: for=127.0.0.1;host=api.acme.example;proto=http",
                "host: api.acme.example",
                "x-auth-issuer: https://login.acme.example",
                "x-auth-scopes: orders:read",
                "x-auth-subject: alice",
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-host: api.acme.example",
                "x-forwarded-proto: http",
            ]
        );
    });
}

#[test]
fn targets_and_hosts_that_go_up() {
    worker(|| async {
        let (address, _) = echo().await;
        let own = address.to_string();
        let cases = [
            ("GET http://judged:81/x HTTP/1.1\r\nHost: other\r\n\r\n", UpstreamHost::Keep, None, "/x", "judged:81"),
            ("GET /x HTTP/1.1\r\nHost: a\r\n\r\n", UpstreamHost::Upstream, None, "/x", &*own),
            ("GET /x HTTP/1.1\r\nHost: a\r\n\r\n", UpstreamHost::Named("b:8".into()), None, "/x", "b:8"),
            ("GET /v1/x?y HTTP/1.1\r\nHost: a\r\n\r\n", UpstreamHost::Keep, Some("/v1"), "/x?y", "a"),
            ("GET /v1?y HTTP/1.1\r\nHost: a\r\n\r\n", UpstreamHost::Keep, Some("/v1"), "/?y", "a"),
            ("GET /x HTTP/1.0\r\n\r\n", UpstreamHost::Keep, None, "/x", &*own),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", UpstreamHost::Keep, None, "*", "a"),
        ];
        for (request, host, strip, target, expected) in cases {
            let mut settings = Settings::default();
            settings.plan.strip_prefix = strip.map(Into::into);
            settings.plan.pass_credential = false;
            let config = tollgate::config::model::Upstream { host, ..config(&[(Scheme::Http, address)]) };
            let gateway = gateway_with(&config, settings).await;
            let (_, seen) = Wire::to(gateway.address).await.ask(request).await;
            assert!(seen.contains(&format!(" {target} HTTP/1.1\r\n")), "{request}{seen}");
            assert!(seen.contains(&format!("host: {expected}\r\n")), "{request}{seen}");
        }
    });
}

#[test]
fn connections_are_kept_and_reused() {
    worker(|| async {
        let (address, connections) = echo().await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        for _ in 0..3 {
            let mut client = Wire::to(gateway.address).await;
            for _ in 0..5 {
                assert!(client.ask(GET).await.0.starts_with("HTTP/1.1 200"));
            }
        }
        assert_eq!((connections.get(), gateway.upstream.idle()), (1, 1));
    });
}

#[test]
fn a_connection_with_an_unfinished_upload_is_not_reused_before_its_end() {
    worker(|| async {
        let (address, connections) = scripted(|mut wire, _| async move {
            loop {
                if wire.head().await.is_empty() {
                    return;
                }
                wire.write(OK).await;
                wire.until("0\r\n\r\n").await;
            }
        })
        .await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        let mut client = Wire::to(gateway.address).await;
        let early = client.ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n").await;
        assert!(early.0.starts_with("HTTP/1.1 200"), "the response may come before the request is whole");
        assert_eq!(gateway.upstream.idle(), 0);
        client.write("0\r\n\r\n").await;
        eventually(|| gateway.upstream.idle() == 1).await;
        assert_eq!(connections.get(), 1);
    });
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_unseen() {
    worker(|| async {
        // Each connection serves one request and closes without saying so.
        let (address, connections) = scripted(|mut wire, _| async move {
            wire.until("!").await;
            wire.write(OK).await;
        })
        .await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        let mut client = Wire::to(gateway.address).await;
        for round in 1..=20 {
            let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx!";
            assert!(client.ask(post).await.0.starts_with("HTTP/1.1 200"), "round {round}");
            eventually(|| gateway.upstream.idle() == 0).await;
        }
        assert_eq!(connections.get(), 20);
    });
}

/// A server that answers the first request on a connection, and hangs up on the second without a word.
async fn fickle(seen: &Rc<Cell<usize>>) -> std::net::SocketAddr {
    let count = seen.clone();
    let (address, _) = scripted(move |mut wire, _| {
        let count = count.clone();
        async move {
            wire.head().await;
            wire.write(OK).await;
            if !wire.head().await.is_empty() {
                count.set(count.get() + 1);
            }
        }
    })
    .await;
    address
}

#[test]
fn a_request_that_was_written_is_not_sent_again() {
    worker(|| async {
        let seen = Rc::new(Cell::new(0));
        let gateway = gateway(&config(&[(Scheme::Http, fickle(&seen).await)])).await;
        let mut client = Wire::to(gateway.address).await;
        assert!(client.ask(POST).await.0.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(client.ask(POST).await.1, "Protocol");
        assert_eq!(seen.get(), 1);
    });
}

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";

#[test]
fn an_idempotent_request_on_a_connection_that_lay_idle_is_sent_once_more() {
    worker(|| async {
        let seen = Rc::new(Cell::new(0));
        let gateway = gateway(&config(&[(Scheme::Http, fickle(&seen).await)])).await;
        let mut client = Wire::to(gateway.address).await;
        assert!(client.ask(GET).await.0.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(client.ask(GET).await.0.starts_with("HTTP/1.1 200"));
        assert_eq!(seen.get(), 1, "once on the connection that was given up, then on a fresh one");
    });
}

#[test]
fn faults() {
    worker(|| async {
        let cases: [(&'static str, &str); 6] = [
            ("", "Protocol"),
            ("SSH-2.0-OpenSSH_9\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nContent-Le", "Protocol"),
            ("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", ""),
        ];
        for (answer, expected) in cases {
            let (address, _) = scripted(move |mut wire, _| async move {
                wire.head().await;
                wire.write(answer).await;
            })
            .await;
            let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
            assert_eq!(Wire::to(gateway.address).await.ask(GET).await.1, expected, "{answer:?}");
            assert_eq!(gateway.upstream.idle(), 0, "{answer:?}");
        }
    });
}

#[test]
fn a_silent_upstream_times_out_and_its_connection_is_closed() {
    worker(|| async {
        let closed = Rc::new(Cell::new(false));
        let seen = closed.clone();
        let (address, _) = scripted(move |mut wire, _| {
            let seen = seen.clone();
            async move {
                wire.head().await;
                wire.rest().await;
                seen.set(true);
            }
        })
        .await;
        let mut config = config(&[(Scheme::Http, address)]);
        config.response_timeout = Duration::from_millis(50);
        let gateway = gateway(&config).await;
        assert_eq!(Wire::to(gateway.address).await.ask(GET).await.1, "Timeout");
        eventually(|| closed.get()).await;
    });
}

#[test]
fn a_client_that_stalls_its_body_is_told_so() {
    worker(|| async {
        let (address, _) = scripted(|mut wire, _| async move { drop(wire.rest().await) }).await;
        let mut config = config(&[(Scheme::Http, address)]);
        config.response_timeout = Duration::from_millis(50);
        let gateway = gateway(&config).await;
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx";
        assert_eq!(Wire::to(gateway.address).await.ask(post).await.1, "ClientStalled");
    });
}

#[test]
fn a_client_that_goes_away_frees_the_upstream() {
    worker(|| async {
        let closed = Rc::new(Cell::new(0));
        let seen = closed.clone();
        let (address, connections) = scripted(move |mut wire, _| {
            let seen = seen.clone();
            async move {
                wire.rest().await;
                seen.set(seen.get() + 1);
            }
        })
        .await;
        let gateway = gateway(&config(&[(Scheme::Http, address)])).await;
        for request in [GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"] {
            let before = connections.get();
            let mut client = Wire::to(gateway.address).await;
            client.write(request).await;
            eventually(|| connections.get() > before).await;
            drop(client);
            eventually(|| closed.get() > before).await;
        }
    });
}

#[test]
fn servers_take_turns_and_dead_ones_are_passed_over() {
    worker(|| async {
        let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let ((first, first_count), (second, second_count)) = (echo().await, echo().await);
        let all = [(Scheme::Http, first), (Scheme::Http, dead), (Scheme::Http, second)];
        let alive = gateway(&config(&all)).await;
        for _ in 0..6 {
            assert!(Wire::to(alive.address).await.ask(GET).await.0.starts_with("HTTP/1.1 200"));
        }
        assert_eq!((first_count.get(), second_count.get()), (1, 1));
        let gone = gateway(&config(&[(Scheme::Http, dead)])).await;
        assert_eq!(Wire::to(gone.address).await.ask(GET).await.1, "Unreachable");
    });
}

#[test]
fn idle_connections_are_closed_after_idle_timeout() {
    worker(|| async {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(0)));
        let beat = Beat::new(clock.clone());
        let closed = Rc::new(Cell::new(false));
        let seen = closed.clone();
        let (address, _) = scripted(move |mut wire, _| {
            let seen = seen.clone();
            async move {
                wire.head().await;
                wire.write(OK).await;
                wire.rest().await;
                seen.set(true);
            }
        })
        .await;
        let (targets, none) = (compile(&config(&[(Scheme::Http, address)])), Upstreams::default());
        let upstreams = Upstreams::new(&targets, &beat, &none);
        let upstream = upstreams.get(0).unwrap();
        once(upstream).await;
        clock.advance(Duration::from_millis(59_999));
        beat.beat();
        assert_eq!(upstream.idle(), 1);
        clock.advance(Duration::from_millis(1));
        beat.beat();
        assert_eq!(upstream.idle(), 0);
        eventually(|| closed.get()).await;
    });
}

#[test]
fn a_reload_keeps_the_connections_of_what_did_not_change() {
    worker(|| async {
        let beat = Beat::new(Arc::new(ManualClock::at(UnixTime::from_secs(0))));
        let (address, _) = echo().await;
        let old_config = config(&[(Scheme::Http, address)]);
        let mut new_config = old_config.clone();
        new_config.response_timeout = Duration::from_secs(9);
        let first = Upstreams::new(&compile(&old_config), &beat, &Upstreams::default());
        once(first.get(0).unwrap()).await;
        let second = Upstreams::new(&compile(&old_config), &beat, &first);
        assert_eq!(second.get(0).unwrap().idle(), 1);
        let third = Upstreams::new(&compile(&new_config), &beat, &second);
        assert_eq!((third.get(0).unwrap().idle(), second.get(0).unwrap().idle()), (0, 0));
        once(second.get(0).unwrap()).await;
        assert_eq!(second.get(0).unwrap().idle(), 0, "what was retired keeps nothing");
    });
}

fn compile(config: &tollgate::config::model::Upstream) -> [Arc<Target>; 1] {
    [Arc::new(Target::compile(config, &mut SystemAuthorities::default()).unwrap())]
}

/// One exchange through a gateway over this very upstream.
async fn once(upstream: &Rc<Upstream>) {
    let address = serve_over(upstream.clone()).await;
    assert!(Wire::to(address).await.ask(GET).await.0.starts_with("HTTP/1.1 200"));
}

#[test]
fn the_state_of_a_request_in_flight_is_small() {
    fn size<F>(_: impl Fn(&'static Permit, &'static Rc<Upstream>, &'static Plan, Client<'static>, Sent) -> F) -> usize {
        size_of::<F>()
    }
    type Permit = tollgate::policy::Permit<Verdict>;
    type Sent = http::Request<RequestBody>;
    // Every connection holds one, and hyper moves one for every request.
    assert!(size(forward) < 2048, "{}", size(forward));
}
