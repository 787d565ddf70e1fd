//! What replicas share, against a real Redis: by itself and as a cluster, the same for both.

mod support;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use support::redis::{self, Redis};
use support::{PATIENCE, eventually, runtime};
use tollgate::clock::{Clock, SystemClock, UnixTime};
use tollgate::secret::Secret;
use tollgate::secret::seal::Sealer;
use tollgate::session::store::{Ends, Key};
use tollgate::session::{Memory, Session, Shared, Tokens, Who};
use tollgate::store::{Health, RedisStore, Settings, Store, StoreFault};

const MINUTE: Duration = Duration::from_secs(60);

fn settings(nodes: &[Redis]) -> Settings {
    Settings {
        url: Secret::new(nodes[0].url()),
        cluster: nodes[1..].iter().map(Redis::url).collect(),
        username: None,
        password: None,
        authorities: None,
        identity: None,
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        prefix: "test:".into(),
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("an answer") })
}

/// A store that is connected.
fn connected(nodes: &[Redis]) -> RedisStore {
    let store = RedisStore::start(settings(nodes), runtime().handle()).expect("good settings");
    let mut health = store.health();
    wait(health.wait_for(|health| *health == Health::Up)).expect("the store lives");
    store
}

fn both(what: impl Fn(&[Redis], &RedisStore)) {
    for nodes in [vec![Redis::start()], redis::cluster()] {
        let store = connected(&nodes);
        what(&nodes, &store);
    }
}

#[test]
fn values_end_and_change_hands_as_they_should() {
    both(|_, store| {
        assert_eq!(wait(store.get("a")).unwrap(), None);
        wait(store.put("a", b"1", MINUTE)).unwrap();
        assert_eq!(wait(store.get("a")).unwrap().as_deref(), Some(&b"1"[..]));
        assert!(!wait(store.put_if_absent("a", b"2", MINUTE)).unwrap(), "there is one");
        assert!(wait(store.put_if_absent("b", b"2", MINUTE)).unwrap());
        assert!(!wait(store.replace("a", b"2", b"3", MINUTE)).unwrap(), "it is another");
        assert!(!wait(store.replace("none", b"", b"3", MINUTE)).unwrap(), "there is none");
        assert!(wait(store.replace("a", b"1", b"3", MINUTE)).unwrap());
        assert!(!wait(store.delete_if("a", b"1")).unwrap() && wait(store.delete_if("a", b"3")).unwrap());
        assert!(!wait(store.delete("a")).unwrap() && wait(store.delete("b")).unwrap());
        wait(store.put("short", b"1", Duration::from_millis(30))).unwrap();
        assert!(wait(store.put_if_absent("lock", b"me", Duration::from_millis(30))).unwrap());
        wait(store.put("swapped", b"1", MINUTE)).unwrap();
        assert!(wait(store.replace("swapped", b"1", b"2", Duration::from_millis(30))).unwrap());
        for key in ["short", "lock", "swapped"] {
            eventually(key, PATIENCE, || wait(store.get(key)).unwrap().is_none().then_some(()));
        }
    });
}

#[test]
fn members_are_those_that_are_not_over() {
    both(|nodes, store| {
        // By the clock of the servers, as the set itself ends with its last member.
        let now = UnixTime::from_secs(support::now());
        let until = |seconds| now.plus(Duration::from_secs(seconds));
        for (member, end) in [("one", 10), ("two", 20), ("three", 30)] {
            wait(store.enroll("set", member.as_bytes(), until(end), now)).unwrap();
        }
        let members = |at: UnixTime| {
            let found = wait(store.members("set", at, 3)).unwrap();
            found.iter().map(|member| String::from_utf8(member.clone()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(members(now), ["one", "two", "three"]);
        assert_eq!(members(until(10)), ["two", "three"], "until is the first moment without");
        assert_eq!(wait(store.members("set", now, 2)), Err(StoreFault::TooMany(2)));
        assert!(wait(store.dismiss("set", b"two")).unwrap() && !wait(store.dismiss("set", b"two")).unwrap());
        wait(store.enroll("set", b"four", until(40), until(15))).unwrap();
        assert_eq!(members(now), ["three", "four"], "what is over is dropped when another comes");
        let other = connected(nodes);
        assert_eq!(wait(other.members("set", now, 9)).unwrap().len(), 2, "and all this is shared");
        wait(store.enroll("brief", b"x", now.plus(Duration::from_secs(1)), now)).unwrap();
        eventually("the set ends with its last member", PATIENCE, || {
            wait(store.members("brief", UnixTime::from_secs(0), 9)).unwrap().is_empty().then_some(())
        });
    });
}

#[test]
fn everybody_hears_a_channel_also_after_the_server_was_away() {
    let mut nodes = vec![Redis::start()];
    let (one, other) = (connected(&nodes), connected(&nodes));
    let mut heard = [one.subscribe("news"), other.subscribe("news")];
    let hear = |heard: &mut [tollgate::store::Messages; 2], what: &str| {
        eventually(what, PATIENCE, || {
            wait(one.publish("news", what.as_bytes())).ok()?;
            let all = heard.iter_mut().all(|messages| {
                std::iter::from_fn(|| messages.try_recv().ok()).any(|message| *message == *what.as_bytes())
            });
            all.then_some(())
        });
    };
    hear(&mut heard, "before");
    nodes[0].kill();
    let mut health = other.health();
    wait(health.wait_for(|health| matches!(health, Health::Down(_)))).expect("the store lives");
    let fault = wait(other.get("a"));
    assert!(matches!(fault, Err(StoreFault::Down(_))), "a command fails at once: {fault:?}");
    nodes[0].start_again();
    wait(health.wait_for(|health| *health == Health::Up)).expect("the store lives");
    hear(&mut heard, "after");
}

#[test]
fn a_cluster_carries_messages_from_any_node_to_any_other() {
    let nodes = redis::cluster();
    let (one, other) = (connected(&nodes), connected(&nodes));
    let mut heard = other.subscribe("news");
    eventually("the message", PATIENCE, || {
        wait(one.publish("news", b"hello")).unwrap();
        heard.try_recv().ok().filter(|message| **message == *b"hello")
    });
}

fn session(subject: &str, refreshes: u32) -> Arc<Session> {
    let now = SystemClock::start().now().millis();
    Arc::new(Session {
        login: "web".into(),
        issuer: "https://issuer.test".into(),
        subject: subject.into(),
        sid: Some(format!("sid-{subject}")),
        claims: serde_json::Map::new(),
        scopes: "openid".into(),
        tokens: Tokens::default(),
        began: now,
        seen: now.into(),
        refreshes,
    })
}

/// Of two who renew a session, whoever comes late changes nothing; and what ended does not come back. So in memory, and at two
/// replicas of a store.
#[test]
fn a_session_is_never_set_back_and_never_comes_back() {
    use tollgate::session::store::Store;
    let check = |one: &dyn Store, other: &dyn Store| {
        let (key, ends) = (Key::of("id"), Ends(SystemClock::start().now().plus(MINUTE)));
        let held = |store: &dyn Store| wait(store.load(key)).unwrap().map(|session| session.refreshes);
        wait(one.save(key, session("alice", 0), ends)).unwrap();
        assert_eq!((held(one), held(other)), (Some(0), Some(0)));
        assert!(wait(one.replace(key, session("alice", 2), ends)).unwrap());
        for late in [1, 2] {
            assert!(!wait(other.replace(key, session("alice", late), ends)).unwrap(), "{late}");
        }
        wait(other.touch(key, session("alice", 0), ends)).unwrap();
        assert_eq!((held(one), held(other)), (Some(2), Some(2)));
        let who = |subject: &str, sid: &str| Who {
            issuer: "https://issuer.test".into(),
            subject: Some(subject.into()),
            sid: Some(sid.into()),
        };
        for nobody in [who("bob", "sid-alice"), who("alice", "sid-bob")] {
            assert!(wait(other.list(&nobody)).unwrap().is_empty(), "both have to fit: {nobody:?}");
        }
        assert_eq!(wait(other.list(&who("alice", "sid-alice"))).unwrap().len(), 1);
        assert!(wait(other.remove(key)).unwrap().is_some());
        assert!(!wait(one.replace(key, session("alice", 3), ends)).unwrap());
        wait(one.touch(key, session("alice", 2), ends)).unwrap();
        assert_eq!((held(one), held(other)), (None, None));
    };
    let memory = Memory::default();
    check(&memory, &memory);
    both(|_, store| {
        let (sealer, store) = (Arc::new(Sealer::new(&[])), Arc::new(store.clone()));
        let replica = || Shared::new(store.clone(), Arc::clone(&sealer), Arc::new(SystemClock::start()), MINUTE);
        check(&replica(), &replica());
    });
}

#[test]
fn a_command_has_a_deadline() {
    let nodes = [Redis::start()];
    let mut settings = settings(&nodes);
    settings.timeout = Duration::from_millis(300);
    let store = RedisStore::start(settings, runtime().handle()).unwrap();
    let mut health = store.health();
    wait(health.wait_for(|health| *health == Health::Up)).unwrap();
    nodes[0].signal("STOP");
    let fault = wait(store.get("a")).unwrap_err();
    assert!(matches!(fault, StoreFault::Late(_) | StoreFault::Failed(_) | StoreFault::Down(_)), "{fault}");
    nodes[0].signal("CONT");
    eventually("it answers again", PATIENCE, || wait(store.get("a")).ok());
}

/// A worker's runtime is another one, with one thread and without I/O.
#[test]
fn handles_work_on_any_runtime() {
    let nodes = [Redis::start()];
    let store: Arc<dyn Store> = Arc::new(connected(&nodes));
    let worker = tokio::runtime::Builder::new_current_thread().build().unwrap();
    worker.block_on(store.put("a", b"1", MINUTE)).unwrap();
    assert_eq!(worker.block_on(store.get("a")).unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn settings_that_cannot_be_used_are_told_without_the_password() {
    let mut settings = settings(&[Redis::start()]);
    settings.url = Secret::new("redis://:hunter2@[::1".into());
    let fault = RedisStore::start(settings, runtime().handle()).err().expect("no URL");
    assert!(matches!(&fault, StoreFault::Settings(_)) && !fault.to_string().contains("hunter"), "{fault}");
}
