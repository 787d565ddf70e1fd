//! How long sessions live, by the clock on the wall, in each store: so long without a request, so long at most, and not a
//! moment longer than somebody who knows says.

use std::thread::sleep;
use std::time::Duration;

use super::support::browser::Browser;
use super::support::redis::Redis;
use super::support::uptime;
use super::{World, script};

const KEY: &str = "key = \"0123456789abcdef0123456789abcdef\"";

/// In each store, with these keys of `[sessions]`.
#[track_caller]
fn in_each_store(keys: &str, case: impl Fn(&World, &str)) {
    let redis = Redis::start();
    for store in ["memory", "cookie", "redis"] {
        let shared = if store == "redis" { redis.toml() } else { String::new() };
        let world = World::with("", &format!("[sessions]\nstore = \"{store}\"\n{KEY}\n{keys}\n{shared}"));
        case(&world, store);
    }
}

#[track_caller]
fn logged_in(world: &World) -> Browser {
    let mut browser = Browser::default();
    assert_eq!(world.log_in(&mut browser, "/x").response.status, 200);
    browser
}

#[test]
fn a_session_without_requests_ends_and_one_with_requests_goes_on_to_its_end() {
    in_each_store("idle_timeout = \"2s\"\nlifetime = \"6s\"", |world, store| {
        let (mut busy, mut idle) = (logged_in(world), logged_in(world));
        let began = uptime();
        let mut last = 0;
        while uptime() - began < Duration::from_millis(4500) {
            assert_eq!(script(world, &mut busy, "/x").status, 200, "{store}, after {:?}", uptime() - began);
            last += 1;
            sleep(Duration::from_millis(500));
        }
        assert!(last >= 6, "{store}: it was used all the time");
        let over = script(world, &mut idle, "/x");
        assert_eq!((over.status, over.code().as_str()), (401, "session_expired"), "{store}: nobody used it");
        while uptime() - began < Duration::from_millis(5200) {
            assert_eq!(script(world, &mut busy, "/x").status, 200, "{store}, after {:?}", uptime() - began);
            sleep(Duration::from_millis(300));
        }
        sleep(Duration::from_millis(6100).saturating_sub(uptime() - began));
        let over = script(world, &mut busy, "/x");
        assert_eq!((over.status, over.code().as_str()), (401, "session_expired"), "{store}: its life is over");
        // Who comes back as a person is logged in anew, not sent in rounds.
        assert_eq!(busy.visit(&world.url("/x")).response.status, 200, "{store}");
    });
}

#[test]
fn every_login_begins_a_session_of_its_own() {
    in_each_store("", |world, store| {
        let mut browser = logged_in(world);
        let first = browser.cookies.clone();
        assert_eq!(browser.visit(&world.url("/.tollgate/login?return_to=%2Fx")).response.status, 200, "{store}");
        assert_ne!(
            World::session_cookie(&browser),
            World::session_cookie(&Browser { cookies: first.clone(), ..Browser::default() })
        );
        assert_eq!(script(world, &mut browser, "/x").status, 200, "{store}");
        let mut old = Browser { cookies: first, ..Browser::default() };
        // What is sealed in a browser cannot be ended from here: the page of the documents says so.
        let status = if store == "cookie" { 200 } else { 401 };
        assert_eq!(script(world, &mut old, "/x").status, status, "{store}: the session before");
    });
}

/// The old key opens, the new one seals; without the old one, what it sealed is like any other cookie.
#[test]
fn keys_change_without_losing_a_session() {
    const NEW: &str = "key = \"fedcba9876543210fedcba9876543210\"";
    in_each_store("idle_timeout = \"16s\"", |world, store| {
        if store == "memory" {
            return;
        }
        let file = world.gateway.folder().join("tollgate.toml");
        let config = std::fs::read_to_string(file).expect("it runs on it");
        let with = |keys: &str| {
            let before = world.gateway.metric("tollgate_config_reloads_total", &["result=\"ok\""]);
            world.gateway.rewrite(&config.replace(KEY, keys));
            world.gateway.signal("HUP");
            world.gateway.until("the file is read", || {
                (world.gateway.metric("tollgate_config_reloads_total", &["result=\"ok\""]) > before).then_some(())
            });
        };
        let mut old = logged_in(world);
        let mut idle = Browser { cookies: old.cookies.clone(), ..Browser::default() };
        with(&format!("{NEW}\nprevious_{KEY}"));
        // It is written anew when it was used for a while: a part of `idle_timeout`.
        sleep(Duration::from_millis(1100));
        assert_eq!(script(world, &mut old, "/x").status, 200, "{store}: sealed by the old key");
        let mut new = logged_in(world);
        with(NEW);
        for (browser, what) in [(&mut old, "written anew"), (&mut new, "begun with the new key")] {
            assert_eq!(script(world, browser, "/x").status, 200, "{store}: {what}");
        }
        if store == "cookie" {
            assert_eq!(script(world, &mut idle, "/x").code(), "session_expired", "sealed by the old key only");
        }
        with("key = \"another key that nobody had before\"");
        assert_eq!(script(world, &mut new, "/x").code(), "session_expired", "{store}");
    });
}
