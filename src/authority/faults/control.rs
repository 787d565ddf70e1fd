//! The control endpoint: turns faults on and off and rotates keys while the authority serves.
//!
//! It has an address of its own, always on loopback, so that no proxy in front of the authority leads to it. Refuses
//! whatever a browser sends, and a Host that is not this machine: no web page can drive it, by whatever name it reaches it.

use std::num::NonZeroU32;
use std::time::Duration;

use http::header::{HOST, ORIGIN, REFERER};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::super::Control;
use super::super::form::Form;
use super::super::intake;
use super::super::keys::OldKeys;
use super::super::reply::{self, Reply};
use super::Pinned;
use crate::faults::{ALL, Details, Fault, Order, Place, words};

/// What only browsers send.
const OF_BROWSERS: [&str; 4] = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user"];

/// Answers one request.
pub(in super::super) async fn handle(control: &Control, request: Request<Incoming>) -> Reply {
    match answer(control, request).await {
        Ok(body) => said(StatusCode::OK, &body),
        Err(refused) => refused.reply(),
    }
}

/// A request that is not followed.
struct Refused {
    status: StatusCode,
    error: &'static str,
    why: String,
    known: Option<Vec<&'static str>>,
}

impl Refused {
    fn new(status: StatusCode, error: &'static str, why: impl Into<String>) -> Self {
        Self { status, error, why: why.into(), known: None }
    }

    fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", why)
    }

    /// A word that is not one of those that are known.
    fn unknown(error: &'static str, word: &str, known: Vec<&'static str>) -> Self {
        let refused =
            Self::new(StatusCode::BAD_REQUEST, error, format!("{word:?} is not one of: {}", known.join(", ")));
        Self { known: Some(known), ..refused }
    }

    fn reply(self) -> Reply {
        let mut body = json!({ "error": self.error, "error_description": self.why });
        if let Some(known) = self.known {
            body["known"] = json!(known);
        }
        said(self.status, &body)
    }
}

fn said(status: StatusCode, body: &Value) -> Reply {
    let mut reply = reply::json(status, body);
    reply::forbid_storing(&mut reply);
    reply
}

async fn answer(control: &Control, request: Request<Incoming>) -> Result<Value, Refused> {
    refuse_browsers(request.headers())?;
    let (head, body) = request.into_parts();
    match (head.uri.path(), &head.method) {
        ("/faults", &Method::GET) => Ok(json!({ "on": on(control), "known": known() })),
        ("/faults", &Method::POST) => {
            control.faults.put(order(&form(&head, body).await?)?);
            Ok(json!({ "on": on(control) }))
        }
        ("/faults", &Method::DELETE) => {
            clear(control, head.uri.query().unwrap_or_default())?;
            Ok(json!({ "on": on(control) }))
        }
        ("/rotate", &Method::POST) => rotate(control, &form(&head, body).await?).await,
        ("/faults" | "/rotate", _) => {
            let why = "there is GET, POST and DELETE of /faults, and POST of /rotate";
            Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", why))
        }
        _ => Err(Refused::new(StatusCode::NOT_FOUND, "not_found", "there is /faults and /rotate")),
    }
}

fn refuse_browsers(headers: &HeaderMap) -> Result<(), Refused> {
    let forbidden = |why: &str| Refused::new(StatusCode::FORBIDDEN, "forbidden", why);
    let of_browser = [ORIGIN, REFERER].iter().any(|name| headers.contains_key(name))
        || OF_BROWSERS.iter().any(|name| headers.contains_key(*name));
    if of_browser {
        return Err(forbidden("no browser drives this endpoint; ask with curl or from a test"));
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    match hosts.next().is_none() && is_this_machine(host) {
        true => Ok(()),
        false => Err(forbidden("the Host must be a loopback address or localhost")),
    }
}

/// A name could be led here by whoever owns it (DNS rebinding).
fn is_this_machine(host: &str) -> bool {
    let Ok(url) = url::Url::parse(&format!("http://{host}/")) else { return false };
    let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.query().is_none();
    plain
        && match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        }
}

async fn form(head: &http::request::Parts, body: Incoming) -> Result<Form, Refused> {
    intake::form(head, body).await.map_err(|error| Refused::bad(error.description()))
}

fn order(form: &Form) -> Result<Order, Refused> {
    let names = ["fault", "at", "count", "delay", "status"];
    if let Some(name) = form.names().find(|name| !names.contains(name)) {
        return Err(Refused::unknown("unknown_parameter", name, names.to_vec()));
    }
    let fault = fault(form)?.ok_or_else(|| Refused::unknown("unknown_fault", "", words()))?;
    let number = |name, text: &str| Refused::bad(format!("{name} is not a number that it can be: {text:?}"));
    let count = form.get("count").map(|text| text.parse::<NonZeroU32>().map_err(|_| number("count", text)));
    let status = form.get("status").map(|text| text.parse::<u16>().map_err(|_| number("status", text)));
    let delay = form.get("delay").map(|text| {
        duration(text).ok_or_else(|| Refused::bad(format!("delay is not a duration such as 500ms or 10s: {text:?}")))
    });
    let details = Details {
        place: place(form)?,
        count: count.transpose()?,
        delay: delay.transpose()?,
        status: status.transpose()?,
    };
    Order::new(fault, details).map_err(|unfit| Refused::new(StatusCode::BAD_REQUEST, "unfit", unfit.to_string()))
}

fn fault(form: &Form) -> Result<Option<&'static Fault>, Refused> {
    let found = |word: &str| Fault::named(word).ok_or_else(|| Refused::unknown("unknown_fault", word, words()));
    form.get("fault").map(found).transpose()
}

fn place(form: &Form) -> Result<Option<Place>, Refused> {
    let found =
        |word: &str| Place::named(word).ok_or_else(|| Refused::unknown("unknown_place", word, Place::WORDS.to_vec()));
    form.get("at").map(found).transpose()
}

/// As in the config: a whole number and a unit.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(millis).map(Duration::from_millis)
}

fn clear(control: &Control, query: &str) -> Result<(), Refused> {
    let form = Form::parse(query.as_bytes()).map_err(|error| Refused::bad(error.description()))?;
    if let Some(name) = form.names().find(|name| !["fault", "at"].contains(name)) {
        return Err(Refused::unknown("unknown_parameter", name, vec!["fault", "at"]));
    }
    let (fault, place) = (fault(&form)?, place(&form)?);
    control.faults.clear(|order| {
        fault.is_none_or(|fault| fault.word == order.fault.word) && place.is_none_or(|place| place == order.place)
    });
    Ok(())
}

async fn rotate(control: &Control, form: &Form) -> Result<Value, Refused> {
    let old = match form.get("old") {
        Some("keep") => OldKeys::Published,
        Some("withdraw") => OldKeys::Withdrawn,
        other => return Err(Refused::unknown("unknown_word", other.unwrap_or_default(), vec!["keep", "withdraw"])),
    };
    let rotating = control.clone();
    let rotated = tokio::task::spawn_blocking(move || rotating.rotate(old)).await;
    match rotated {
        Ok(Ok(())) => Ok(json!({ "rotated": true })),
        Ok(Err(_)) | Err(_) => {
            Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "there are no new keys"))
        }
    }
}

fn on(control: &Control) -> Value {
    control.faults.on().iter().map(shown).collect()
}

fn shown(pinned: &Pinned) -> Value {
    let Pinned { order, made } = pinned;
    let mut shown = json!({ "fault": order.fault.word, "at": order.place.word(), "made": made });
    if let Some(count) = order.count {
        shown["count"] = json!(count);
    }
    if let Some(delay) = order.delay {
        shown["delay_ms"] = json!(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    }
    if let Some(status) = order.status {
        shown["status"] = json!(status);
    }
    shown
}

fn known() -> Value {
    ALL.iter().map(|fault| json!({ "fault": fault.word, "at": fault.place_words(), "does": fault.does })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_this_machine() {
        for good in ["127.0.0.1", "127.0.0.1:9001", "127.9.9.9:1", "[::1]:9001", "localhost", "LOCALHOST:9001"] {
            assert!(is_this_machine(good), "{good}");
        }
        for bad in [
            "",
            "evil.test",
            "127.0.0.1.evil.test",
            "localhost.evil.test",
            "10.0.0.1",
            "x@127.0.0.1",
            "127.0.0.1/x",
            "[::2]",
        ] {
            assert!(!is_this_machine(bad), "{bad}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        let cases =
            [("10s", Some(10_000)), ("5ms", Some(5)), ("2m", Some(120_000)), ("10", None), ("s", None), ("", None)];
        for (text, millis) in cases {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
        assert_eq!(duration("99999999999999999999s"), None);
    }
}
