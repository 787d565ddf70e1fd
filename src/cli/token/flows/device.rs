//! A person signs in on another device with a short code, while this one asks again and again (RFC 8628).

use std::time::Duration;

use serde_json::{Map, Value};

use crate::cli::complain;
use crate::cli::token::answer::Answer;
use crate::cli::token::args::Order;
use crate::cli::token::endpoint::{Server, TOKEN_ENDPOINT, with_targets};
use crate::cli::token::failure::Failure;
use crate::cli::token::shown::shown;
use crate::secret::Secret;

const DEVICE_ENDPOINT: &str = "the device authorization endpoint";

/// Between two questions, when the server says nothing (section 3.2).
const INTERVAL: Duration = Duration::from_secs(5);
/// A server may not make us ask faster than this, nor wait longer.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(120);
/// What `slow_down` adds (section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

pub(super) async fn run(order: &Order, wait: Option<Duration>, server: &Server<'_>) -> Result<Answer, Failure> {
    let scope = order.scopes.join(" ");
    let mut form = with_targets(Vec::new(), order, &scope);
    form.extend(order.params());
    let started = server.clock.uptime();
    let answer = server.post("device_authorization_endpoint", DEVICE_ENDPOINT, &form).await?;
    let device = Device::read(&answer)?;
    complain(device.instructions());
    let lifetime = wait.map_or(device.lifetime, |wait| wait.min(device.lifetime));
    let mut pace = Pace { interval: device.interval, end: started.saturating_add(lifetime) };
    let mut form =
        vec![("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", device.code.expose())];
    form.extend(order.resources.iter().map(|resource| ("resource", resource.as_str())));
    loop {
        let Some(pause) = pace.pause(server.clock.uptime()) else { return Err(late(lifetime)) };
        tokio::time::sleep(pause).await;
        match server.token(&form).await {
            Ok(members) => return Answer::new(TOKEN_ENDPOINT, members, &order.scopes),
            Err(failure) => pace.after(failure)?,
        }
    }
}

fn late(after: Duration) -> Failure {
    Failure::fault(format!("nobody entered the code within {} s", after.as_secs())).help("start anew for a new code")
}

/// A device authorization response (section 3.2).
#[derive(Debug)]
struct Device {
    code: Secret,
    user_code: String,
    uri: String,
    /// With the code in it.
    complete_uri: Option<String>,
    lifetime: Duration,
    interval: Duration,
}

impl Device {
    fn read(answer: &Map<String, Value>) -> Result<Self, Failure> {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let needed = |name: &str| {
            text(name).ok_or_else(|| Failure::fault(format!("{DEVICE_ENDPOINT} answered without `{name}`")))
        };
        let seconds = |name: &str| answer.get(name).and_then(Value::as_u64).map(Duration::from_secs);
        let lifetime = seconds("expires_in")
            .ok_or_else(|| Failure::fault(format!("{DEVICE_ENDPOINT} answered without `expires_in`")))?;
        Ok(Self {
            code: Secret::new(needed("device_code")?.to_owned()),
            user_code: shown(needed("user_code")?),
            uri: shown(needed("verification_uri")?),
            complete_uri: text("verification_uri_complete").map(shown),
            lifetime,
            interval: seconds("interval").unwrap_or(INTERVAL).clamp(*INTERVALS.start(), *INTERVALS.end()),
        })
    }

    fn instructions(&self) -> String {
        let mut text =
            format!("To sign in, open on any device\n\n  {}\n\nand enter the code\n\n  {}\n", self.uri, self.user_code);
        if let Some(complete) = &self.complete_uri {
            text.push_str(&format!("\nor open\n\n  {complete}\n\nand compare the code with the one above\n"));
        }
        text.push_str("\nWaiting");
        text
    }
}

/// When to ask again.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    /// The moment, in uptime, after which the code is void.
    end: Duration,
}

impl Pace {
    /// How long to wait before the next question; `None` when the code is void before it.
    fn pause(&self, now: Duration) -> Option<Duration> {
        (now.saturating_add(self.interval) <= self.end).then_some(self.interval)
    }

    /// Goes on after an answer that is not the last word.
    ///
    /// # Errors
    /// The failure itself, when it is.
    fn after(&mut self, failure: Failure) -> Result<(), Failure> {
        match &failure {
            Failure::Refused(refusal) if refusal.code == "authorization_pending" => Ok(()),
            Failure::Refused(refusal) if refusal.code == "slow_down" => self.slower(SLOWER),
            // A server out of reach for a moment is asked less often, and not given up (section 3.5).
            Failure::Unanswered(_) => self.slower(self.interval),
            Failure::Refused(_) | Failure::Usage(_) | Failure::Fault(_) => Err(failure),
        }
    }

    fn slower(&mut self, by: Duration) -> Result<(), Failure> {
        self.interval = self.interval.saturating_add(by).min(*INTERVALS.end());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn refusal(code: &str) -> Failure {
        Failure::refused(TOKEN_ENDPOINT, code, Map::new())
    }

    #[test]
    fn the_pace_follows_the_server_until_the_code_is_void() {
        let mut pace = Pace { interval: seconds(5), end: seconds(100) };
        pace.after(refusal("authorization_pending")).unwrap();
        assert_eq!(pace.pause(seconds(0)), Some(seconds(5)));
        pace.after(refusal("slow_down")).unwrap();
        assert_eq!(pace.pause(seconds(0)), Some(seconds(10)));
        assert_eq!((pace.pause(seconds(90)), pace.pause(seconds(91))), (Some(seconds(10)), None));
        for last in ["access_denied", "expired_token", "invalid_grant"] {
            assert!(pace.after(refusal(last)).is_err(), "{last}");
        }
        assert!(pace.after(Failure::fault("x")).is_err());
        (0..99).for_each(|_| pace.after(refusal("slow_down")).unwrap());
        assert_eq!(pace.interval, *INTERVALS.end());
    }

    #[test]
    fn an_answer_without_what_is_needed_is_refused() {
        let good = json!({"device_code": "d", "user_code": "ABCD", "verification_uri": "https://as.test/d", "expires_in": 600});
        let device = Device::read(good.as_object().unwrap()).unwrap();
        assert_eq!((device.interval, device.lifetime), (INTERVAL, seconds(600)));
        for missing in ["device_code", "user_code", "verification_uri", "expires_in"] {
            let mut broken = good.clone();
            broken[missing] = json!("");
            let failure = Device::read(broken.as_object().unwrap()).unwrap_err().to_string();
            assert!(failure.contains(missing), "{failure}");
        }
        let mut odd = good;
        odd["user_code"] = json!("\u{1b}[2J");
        odd["interval"] = json!(0);
        let odd = Device::read(odd.as_object().unwrap()).unwrap();
        assert!(!odd.instructions().contains('\u{1b}') && odd.interval == seconds(1));
    }
}
