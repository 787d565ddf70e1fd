//! Many requests at once, on several threads: what works once works once, and nothing is lost on the way.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tollgate::authority::Settings;

use super::flows::{Browser, answer_in, between, clients, encode, is_active, redeem, refresh, request, token, tokens};
use super::harness::{Answer, Running, basic};
use super::signed::{jws, key, parts};

const AT_ONCE: usize = 24;

/// An authority with the clients of every flow, on as many threads as a real one could have.
fn start(change: impl FnOnce(&mut Settings)) -> Running {
    Running::on_threads(4, |settings| {
        clients(settings);
        change(settings);
    })
}

/// Sends the same request from many threads in the same moment.
fn at_once(send: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    let barrier = Barrier::new(AT_ONCE);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                let (barrier, send) = (&barrier, &send);
                scope.spawn(move || {
                    barrier.wait();
                    send(number)
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    })
}

/// The good answers; all others have this `error`.
fn good<'a>(answers: &'a [Answer], error: &str) -> Vec<&'a Answer> {
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    for answer in bad {
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(error)), "{answer:?}");
    }
    good
}

#[test]
fn a_code_is_redeemed_once_and_the_others_end_what_came_of_it() {
    let authority = start(|_| ());
    let code = answer_in(&Browser::new(&authority).go(&request("web", &[])), '?')["code"].clone();
    let answers = at_once(|_| redeem(&authority, "web", &code, &[]));
    let [first] = good(&answers, "invalid_grant")[..] else { panic!("{answers:?}") };
    assert!(!is_active(&authority, &first.json()["access_token"]), "it was replayed");
    assert_eq!(refresh(&authority, "web", &first.json()["refresh_token"], &[]).status, 400);
}

#[test]
fn a_refresh_token_has_one_successor() {
    let authority = start(|_| ());
    let first = tokens(&authority, "web", &[]);
    let answers = at_once(|_| refresh(&authority, "web", &first["refresh_token"], &[]));
    let answers = good(&answers, "none is refused within the grace");
    assert_eq!(answers.len(), AT_ONCE);
    let successor = answers[0].json()["refresh_token"].clone();
    assert!(answers.iter().all(|answer| answer.json()["refresh_token"] == successor));
    assert_eq!(refresh(&authority, "web", &successor, &[]).status, 200);

    let strict = start(|settings| settings.refresh.grace = Duration::ZERO);
    let first = tokens(&strict, "web", &[]);
    let answers = at_once(|_| refresh(&strict, "web", &first["refresh_token"], &[]));
    let [one] = good(&answers, "invalid_grant")[..] else { panic!("{answers:?}") };
    assert_eq!(refresh(&strict, "web", &one.json()["refresh_token"], &[]).status, 400, "the family is dead");
}

#[test]
fn a_pushed_request_and_a_proof_work_once() {
    let authority = start(|_| ());
    let pushed = authority.post("/par", &[basic("web", "web-secret")], &encode(&request("web", &[])));
    let reference = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let query = encode(&[("client_id", "web"), ("request_uri", &reference)]);
    let pages = at_once(|_| authority.get(&format!("/authorize?{query}")));
    assert_eq!(pages.iter().filter(|page| page.status == 200).count(), 1, "one gets to sign in");

    let url = format!("http://{}/token", authority.address);
    let (header, claims) = parts(&key(0), "POST", &url);
    let proof = ("dpop", jws(&key(0), &header, &claims));
    let machine = basic("machine", "machine-secret");
    let answers =
        at_once(|_| authority.post("/token", &[machine.clone(), proof.clone()], "grant_type=client_credentials"));
    assert_eq!(good(&answers, "invalid_dpop_proof").len(), 1);
}

#[test]
fn a_device_and_a_page_get_one_answer() {
    let authority = start(|_| ());
    let device = authority.post("/device_authorization", &[], "client_id=app&scope=openid").json();
    let browser = Browser::new(&authority);
    browser.go(&request("web", &[]));
    let page = browser.send(Method::GET, "/device", "");
    let mark = between(page.text(), "name=\"mark\" value=\"", "\"");
    let typed = device["user_code"].as_str().unwrap();
    let cookie = browser.cookie();
    let answers = at_once(|number| {
        let action = if number % 2 == 0 { "allow" } else { "deny" };
        let form = encode(&[("mark", mark), ("user_code", typed), ("action", action)]);
        authority.post("/device", &[("cookie", cookie.clone())], &form)
    });
    let connected = answers.iter().filter(|page| page.text().contains("The device is connected")).count();
    let refused = answers.iter().filter(|page| page.text().contains("The device was refused")).count();
    assert_eq!(connected + refused, 1, "the first answer is the answer");
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", device["device_code"].as_str().unwrap()),
    ];
    let polled = at_once(|_| token(&authority, "app", &form));
    let given = polled.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(given, connected, "and so are the tokens: once, or never");
}

/// Many windows of one browser get answers while it signs out: whatever they got has ended with it.
#[test]
fn what_was_given_during_a_sign_out_ends_with_it() {
    let authority = start(|_| ());
    for _ in 0..4 {
        let browser = Browser::new(&authority);
        browser.go(&request("web", &[]));
        let cookie = [("cookie", browser.cookie())];
        let query = encode(&request("web", &[("prompt", "none")]));
        let answers = at_once(|number| match number {
            0 => authority.post("/logout", &cookie, "action=sign-out"),
            _ => authority.send(Method::GET, &format!("/authorize?{query}"), &cookie, ""),
        });
        assert!(answers[0].text().contains("You are signed out"));
        for answer in &answers[1..] {
            let Some(code) = answer_in(answer, '?').get("code").cloned() else { continue };
            let redeemed = redeem(&authority, "web", &code, &[]);
            assert_eq!((redeemed.status, &redeemed.json()["error"]), (400, &json!("invalid_grant")));
        }
    }
}

/// An answer in one window does not make the session forget those of others.
#[test]
fn answers_in_many_windows_all_end_with_the_sign_out() {
    let authority = start(|_| ());
    let browser = Browser::new(&authority);
    browser.go(&request("web", &[]));
    let cookie = [("cookie", browser.cookie())];
    let query = encode(&request("web", &[("prompt", "none")]));
    let given: Vec<Value> = at_once(|_| authority.send(Method::GET, &format!("/authorize?{query}"), &cookie, ""))
        .iter()
        .map(|answer| redeem(&authority, "web", &answer_in(answer, '?')["code"], &[]).json()["access_token"].clone())
        .collect();
    assert!(given.iter().all(|token| is_active(&authority, token)));
    assert!(authority.post("/logout", &cookie, "action=sign-out").text().contains("You are signed out"));
    assert_eq!(given.iter().filter(|token| is_active(&authority, token)).count(), 0);
}
