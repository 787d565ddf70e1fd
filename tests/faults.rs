//! Faults on purpose, seen through the real binary: each fault at each of its places, and the endpoint that drives them.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

#[path = "faults/bench.rs"]
mod bench;
mod support;

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::report;
use tollgate::faults::{self, Place};

use bench::{Bench, config, control_request};

/// What a fault looks like. Pointers lead into the claims of a token or the body of an answer.
enum Looks {
    /// The member has `1` behind it.
    Appended(&'static str),
    /// A member that was there is gone.
    Gone(&'static str),
    /// This holds, and did not hold before.
    So(fn(&Value) -> bool),
    /// This holds; nothing is said of before.
    Now(fn(&Value) -> bool),
}

use Looks::{Appended, Gone, Now, So};

impl Looks {
    fn is_seen(&self, right: &Value, seen: &Value) -> bool {
        let text = |value: &Value, pointer: &str| value.pointer(pointer).map(Value::to_string);
        match self {
            Appended(pointer) => {
                // What is new with each token, a hash, is compared by its length.
                let (right, seen) = (text(right, pointer).unwrap(), text(seen, pointer).unwrap_or_default());
                seen.len() == right.len() + 1 && seen.trim_end_matches(['"', ']']).ends_with('1')
            }
            Gone(pointer) => right.pointer(pointer).is_some() && seen.pointer(pointer).is_none(),
            So(holds) => !holds(right) && holds(seen),
            Now(holds) => holds(seen),
        }
    }
}

/// Every fault: what else is ordered with it, and what it looks like.
const FAULTS: &[(&str, &str, Looks)] = &[
    ("wrong_iss", "", Appended("/body/iss")),
    ("wrong_aud", "", Appended("/body/aud")),
    ("wrong_sub", "", Appended("/body/sub")),
    ("wrong_nonce", "", Appended("/body/nonce")),
    ("wrong_at_hash", "", Appended("/body/at_hash")),
    ("wrong_c_hash", "", Appended("/body/c_hash")),
    ("wrong_state", "", Appended("/body/state")),
    ("wrong_issuer", "", Appended("/body/issuer")),
    ("wrong_token_type", "", Appended("/body/token_type")),
    ("wrong_acr", "", Appended("/body/acr")),
    ("old_auth_time", "", So(|seen| seen["body"]["auth_time"].as_i64().unwrap() <= support::now() - 3600)),
    ("wrong_event", "", Gone("/body/events/http:~1~1schemas.openid.net~1event~1backchannel-logout")),
    ("further_aud", "", So(|seen| seen["body"]["aud"] == json!(["web", "https://other.example"]))),
    ("missing_iss", "", Gone("/body/iss")),
    ("missing_aud", "", Gone("/body/aud")),
    ("missing_sub", "", Gone("/body/sub")),
    ("missing_iat", "", Gone("/body/iat")),
    ("missing_exp", "", Gone("/body/exp")),
    ("missing_jti", "", Gone("/body/jti")),
    ("missing_nonce", "", Gone("/body/nonce")),
    ("missing_at_hash", "", Gone("/body/at_hash")),
    ("missing_c_hash", "", Gone("/body/c_hash")),
    ("missing_auth_time", "", Gone("/body/auth_time")),
    ("missing_events", "", Gone("/body/events")),
    ("missing_state", "", Gone("/body/state")),
    ("missing_access_token", "", Gone("/body/access_token")),
    ("missing_id_token", "", Gone("/body/id_token")),
    ("missing_refresh_token", "", Gone("/body/refresh_token")),
    ("missing_expires_in", "", Gone("/body/expires_in")),
    ("missing_active", "", Gone("/body/active")),
    (
        "missing_claims",
        "",
        So(|seen| seen["body"]["sub"].is_string() && seen["body"]["acr"].is_null() && seen["body"]["name"].is_null()),
    ),
    ("unannounced_iss", "", Gone("/body/authorization_response_iss_parameter_supported")),
    ("unannounced_par", "", Gone("/body/pushed_authorization_request_endpoint")),
    ("added_nonce", "", So(|seen| seen["body"]["nonce"] == "added")),
    ("expired", "", So(|seen| seen["body"]["exp"].as_i64().unwrap() <= support::now() - 3600)),
    ("not_yet_valid", "", So(|seen| seen["body"]["nbf"].as_i64().is_some_and(|nbf| nbf > support::now() + 3000))),
    ("wrong_typ", "", Appended("/header/typ")),
    ("unknown_kid", "", Appended("/header/kid")),
    ("missing_kid", "", Gone("/header/kid")),
    ("other_alg", "", So(|seen| seen["header"]["alg"] == "ES256" && seen["verified"] == true)),
    ("unsigned", "", So(|seen| seen["header"]["alg"] == "none" && seen["signature"] == 0)),
    ("hmac", "", So(|seen| seen["header"]["alg"] == "HS256" && seen["signature"] == 43 && seen["verified"] == false)),
    ("bad_signature", "", So(|seen| seen["header"]["alg"] == "RS256" && seen["verified"] == false)),
    ("no_keys", "", So(|seen| seen["body"]["keys"] == json!([]))),
    ("many_keys", "", So(|seen| seen["body"]["keys"].as_array().unwrap().len() == 2004)),
    (
        "unknown_kty",
        "",
        So(|seen| seen["body"]["keys"][0]["kty"] == "TOLLGATE-X" && seen["body"]["keys"][4]["kty"] == "RSA"),
    ),
    (
        "nameless_keys",
        "",
        So(|seen| seen["body"]["keys"].as_array().unwrap().iter().all(|key| key.get("kid").is_none())),
    ),
    ("inactive", "", So(|seen| seen["body"] == json!({ "active": false }))),
    ("active_as_text", "", So(|seen| seen["body"]["active"] == "true" && seen["body"]["sub"] == "web")),
    ("huge", "", So(|seen| seen["length"].as_u64().unwrap() > 16 << 20 && seen["body"].is_object())),
    ("garbage", "", So(|seen| seen["type"] == "application/json" && seen["body"].is_null())),
    ("html", "", So(|seen| seen["status"] == 200 && seen["text"].as_str().unwrap().contains("sign in to the network"))),
    ("html", "&status=502", So(|seen| seen["status"] == 502 && seen["type"] == "text/html; charset=utf-8")),
    ("status", "", So(|seen| seen["status"] == 503)),
    ("status", "&status=429", So(|seen| seen["status"] == 429)),
    // Never sooner than was ordered; how much later is nobody's business.
    ("slow", "&delay=300ms", Now(|seen| seen["ms"].as_u64().unwrap() >= 300)),
    ("invalid_grant", "", So(|seen| seen["status"] == 400 && seen["body"]["error"] == "invalid_grant")),
];

#[test]
fn every_fault_is_seen_at_each_of_its_places_while_it_is_on() {
    let bench = Bench::start();
    let right: Vec<Value> = Place::ALL.iter().map(|place| bench.look(*place)).collect();
    let (mut failures, mut cases) = (Vec::new(), 0);
    for (word, details, looks) in FAULTS {
        let fault = faults::Fault::named(word).unwrap();
        for place in fault.places {
            let right = &right[Place::ALL.iter().position(|other| other == place).unwrap()];
            bench.order(&format!("fault={word}&at={}{details}", place.word()));
            let seen = bench.look(*place);
            let listed = bench.control("GET", "/faults", "").json()["on"][0]["made"].clone();
            if !looks.is_seen(right, &seen) || listed != 1 {
                failures.push(format!("{word} at {place:?}, made {listed}: {seen}"));
            }
            bench.clear();
            cases += 1;
        }
    }
    for (place, right) in Place::ALL.iter().zip(&right) {
        let again = bench.look(*place);
        let ours = FAULTS.iter().filter(|(word, ..)| faults::Fault::named(word).unwrap().places.contains(place));
        let still = ours.filter(|(_, _, looks)| !matches!(looks, Now(_)) && looks.is_seen(right, &again));
        failures.extend(still.map(|(word, ..)| format!("{word} at {place:?} is still on: {again}")));
    }
    report(cases, &failures);
    let unseen = faults::words().into_iter().filter(|word| FAULTS.iter().all(|(row, ..)| row != word));
    assert_eq!(unseen.collect::<Vec<_>>(), [""; 0], "faults without a row");
}

#[test]
fn a_fault_happens_as_often_as_it_was_ordered_and_where_it_fits() {
    let bench = Bench::start();
    bench.order("fault=status&at=jwks&count=2");
    bench.order("fault=wrong_nonce&at=id_token&count=1");
    let statuses = [0; 4].map(|_| bench.get("/jwks").status);
    assert_eq!(statuses, [503, 503, 200, 200]);
    let on = || bench.control("GET", "/faults", "").json()["on"].clone();
    bench.look(Place::AccessToken);
    assert_eq!(on(), json!([{ "fault": "wrong_nonce", "at": "id_token", "made": 0, "count": 1 }]), "it has no nonce");
    bench.look(Place::Token);
    assert_eq!(on(), json!([]));
    bench.order("fault=slow&at=token&delay=1ms");
    bench.order("fault=slow&at=token&delay=2ms&count=7");
    let on = bench.order("fault=wrong_aud").json();
    let expected = json!([
        { "fault": "slow", "at": "token", "made": 0, "count": 7, "delay_ms": 2 },
        { "fault": "wrong_aud", "at": "id_token", "made": 0 },
    ]);
    assert_eq!(on["on"], expected, "the same fault at the same place is one");
    assert_eq!(bench.control("DELETE", "/faults?at=token", "").json()["on"].as_array().unwrap().len(), 1);
    assert_eq!(bench.control("DELETE", "/faults?fault=html", "").json()["on"].as_array().unwrap().len(), 1);
    assert_eq!(bench.control("DELETE", "/faults?fault=wrong_aud&at=id_token", "").json(), json!({ "on": [] }));
}

#[test]
fn keys_rotate_on_demand() {
    let bench = Bench::start();
    let kids = || -> Vec<String> {
        let keys = bench.get("/jwks").json();
        keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let first = kids();
    assert_eq!(bench.control("POST", "/rotate", "old=keep").json(), json!({ "rotated": true }));
    let second = kids();
    assert_eq!((second.len(), &second[4..]), (8, &first[..]));
    assert_eq!(bench.control("POST", "/rotate", "old=withdraw").status, 200);
    let third = kids();
    assert!(third.len() == 4 && third.iter().all(|kid| !second.contains(kid)), "{third:?}");
    assert_eq!(bench.look(Place::AccessToken)["verified"], true);
}

#[test]
fn the_control_endpoint_says_what_it_does_not_understand_and_obeys_no_browser() {
    let bench = Bench::start();
    let cases = [
        ("POST", "/faults", "", 400, "invalid_request", ""),
        ("POST", "/faults", "at=jwks", 400, "unknown_fault", "wrong_iss, "),
        ("POST", "/faults", "fault=wrong_audience", 400, "unknown_fault", "wrong_aud, "),
        ("POST", "/faults", "fault=Slow", 400, "unknown_fault", "slow"),
        ("POST", "/faults", "fault=slow&at=keys", 400, "unknown_place", "jwks, "),
        ("POST", "/faults", "fault=slow&at=id_token", 400, "unfit", "it can at: token, "),
        ("POST", "/faults", "fault=slow&for=ever", 400, "unknown_parameter", "delay"),
        ("POST", "/faults", "fault=slow&fault=slow", 400, "invalid_request", "fault"),
        ("POST", "/faults", "fault=slow&count=0", 400, "invalid_request", "count"),
        ("POST", "/faults", "fault=slow&delay=5", 400, "invalid_request", "500ms"),
        ("POST", "/faults", "fault=slow&delay=11m", 400, "unfit", "600 s"),
        ("POST", "/faults", "fault=slow&status=500", 400, "unfit", "has no status"),
        ("POST", "/faults", "fault=status&status=600", 400, "unfit", "200 to 599"),
        ("POST", "/faults", "fault=status&status=ok", 400, "invalid_request", "status"),
        ("DELETE", "/faults?fault=x", "", 400, "unknown_fault", "wrong_iss, "),
        ("DELETE", "/faults?word=slow", "", 400, "unknown_parameter", "fault, at"),
        ("POST", "/rotate", "old=drop", 400, "unknown_word", "keep, withdraw"),
        ("GET", "/rotate", "", 405, "method_not_allowed", ""),
        ("PUT", "/faults", "", 405, "method_not_allowed", ""),
        ("GET", "/", "", 404, "not_found", "/faults"),
    ];
    for (method, target, body, status, error, says) in cases {
        let answer = bench.control(method, target, body);
        let said = answer.json();
        assert_eq!((answer.status, said["error"].as_str()), (status, Some(error)), "{method} {target} {body}");
        assert!(said["error_description"].as_str().unwrap().contains(says), "{said}");
        if let Some(what) = error.strip_prefix("unknown_") {
            assert!(said["known"].as_array().is_some_and(|known| known.len() > 1), "{what}: {said}");
        }
    }
    let of_browsers = [
        ("Origin", "http://127.0.0.1:9001"),
        ("Origin", "null"),
        ("Referer", "http://evil.test/"),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Mode", "no-cors"),
        ("Sec-Fetch-Dest", "image"),
    ];
    let order = || control_request("POST", "/faults", "fault=slow");
    let mut refused: Vec<Request> = of_browsers.map(|(name, value)| order().field(name, value)).into();
    refused.extend(["evil.test", "127.0.0.1.evil.test:80", "192.168.0.1", ""].map(|host| order().host(host)));
    refused.extend(of_browsers.map(|(name, value)| control_request("GET", "/faults", "").field(name, value)));
    for request in refused {
        let answer = request.send(bench.gateway.authority_control());
        assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some("forbidden")), "{request:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let preflight = control_request("OPTIONS", "/faults", "").field("Access-Control-Request-Method", "DELETE");
    assert_ne!(preflight.send(bench.gateway.authority_control()).status, 204);
    let listed = bench.control("GET", "/faults", "").json();
    assert_eq!(listed["on"], json!([]), "none of these did anything");
    let known: Vec<_> =
        listed["known"].as_array().unwrap().iter().map(|fault| fault["fault"].as_str().unwrap()).collect();
    assert_eq!(known, faults::words());
}

#[test]
fn faults_of_the_file_are_on_from_the_start_and_every_page_and_the_log_say_so() {
    let faults = "[[authority.faults.on]]\nfault = \"status\"\nat = \"jwks\"\ncount = 1\nstatus = 500\n\
                  [[authority.faults.on]]\nfault = \"wrong_issuer\"\n";
    let gateway = Gateway::start(&config(faults, None));
    let get = |target: &str| Request::get(target).send(gateway.authority());
    let pages = [
        "/",
        "/device",
        "/logout",
        "/authorize",
        "/authorize?client_id=web&response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A4999%2Fcb",
    ];
    for page in pages {
        let text = get(page).text();
        assert!(text.contains("Faults are on: status at jwks, wrong_issuer at discovery</strong>"), "{page}: {text}");
    }
    assert_eq!([get("/jwks").status, get("/jwks").status], [500, 200]);
    assert!(get("/").text().contains("Faults are on: wrong_issuer at discovery</strong>"));
    let discovery = get("/.well-known/openid-configuration");
    assert_eq!(discovery.json()["issuer"], "http://127.0.0.1:91");
    assert_eq!(discovery.header("cache-control"), Some("no-store"), "no cache makes a fault last");
    let log = gateway.stderr();
    for line in ["makes faults on purpose", "status at jwks, wrong_issuer at discovery", "a fault was made on purpose"]
    {
        assert!(log.contains(line), "{line}: {log}");
    }
    let without = Gateway::start(&config("", None));
    assert!(!Request::get("/").send(without.authority()).text().contains("Faults are on"));
    assert!(!without.stderr().contains("faults on purpose"));
    assert_eq!(Request::get("/faults").send(without.authority()).status, 404, "it is no page of the authority");
}
