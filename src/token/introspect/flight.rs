//! One question under way, and those who wait for it.
//!
//! A flight is a task of its own on the runtime that outlives requests. Whatever ends it, an answer, the time, a panic or
//! the end of the runtime, its place is given back and those who wait are told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use url::Url;

use super::answer::{self, Said};
use super::memory::Digest;
use super::status::{AskResult, Sign, Trouble};
use super::{Core, FLIGHTS, Testimony};
use crate::fetch::Response;
use crate::token::{Rejection, RejectionCode};

/// Where those who wait are told.
pub(super) type Landing = watch::Receiver<Option<Landed>>;

/// What a question brought.
pub(super) type Landed = Result<Said, Trouble>;

/// What becomes of one who comes with a question.
pub(super) enum Boarded {
    /// The answer has come meanwhile.
    Known(Result<Testimony, Rejection>),
    Flying(Landing),
}

impl Core {
    /// Joins the flight for this token, or starts one.
    pub(super) fn board(self: &Arc<Self>, digest: Digest, endpoint: Url, token: &str) -> Result<Boarded, Trouble> {
        let mut flights = self.flights();
        if let Some(landing) = flights.get(&digest) {
            return Ok(Boarded::Flying(landing.clone()));
        }
        // An answer is remembered before its flight is gone, so who finds neither is the first.
        if let Some(known) = self.memory.fresh(&digest, self.moment()) {
            return Ok(Boarded::Known(known));
        }
        let turned_away = |why: String| {
            self.count(AskResult::Skipped);
            Trouble::skipped(why)
        };
        let Some(runtime) = self.runtime.get() else { return Err(turned_away("nothing is asked yet".into())) };
        if flights.len() >= FLIGHTS {
            return Err(turned_away(format!("{FLIGHTS} questions are under way")));
        }
        if !self.breaker().admits(self.clock.uptime()) {
            let why = self.last_error().clone().unwrap_or_default();
            return Err(turned_away(format!("it did not answer the last questions, and is left alone for now: {why}")));
        }
        let (sender, landing) = watch::channel(None);
        flights.insert(digest, landing.clone());
        let flight = Flight { core: Arc::clone(self), digest, landing: Some(sender) };
        runtime.spawn(flight.fly(endpoint, token.to_owned()));
        Ok(Boarded::Flying(landing))
    }

    async fn question(&self, endpoint: Url, token: &str) -> Result<(Said, usize), Trouble> {
        let (limit, begun) = (self.settings.introspection.timeout, self.clock.uptime());
        let place = timeout(limit, self.places.acquire()).await;
        let full =
            || Trouble::skipped(format!("so many questions are under way that its turn did not come within {limit:?}"));
        let _place = place.map_err(|_| full())?;
        // Whole milliseconds, so that an error tells the limit as it is configured.
        let waited = self.clock.uptime().saturating_sub(begun).as_millis();
        let left = limit.saturating_sub(Duration::from_millis(u64::try_from(waited).unwrap_or(u64::MAX)));
        let request = self.question.write(endpoint, token, self.clock.now(), left)?;
        let asked = async {
            let response = self.fetch.fetch(request).await?;
            Ok((self.read(&response).await?, response.body.len()))
        };
        // The fetch has its own limit, and knows better what it was doing. Keys for a signed answer have none.
        timeout(left + super::BREATH / 2, asked)
            .await
            .unwrap_or_else(|_| Err(Trouble::silent(format!("no answer within {limit:?}"))))
    }

    async fn read(&self, response: &Response) -> Result<Said, Trouble> {
        match &self.seal {
            None => answer::plain(response),
            Some(seal) => answer::signed(response, seal, self.clock.now()).await,
        }
    }

    /// Takes note of how a question went, and tells the log when that has changed.
    fn note(&self, landed: &Landed) {
        let now = self.clock.uptime();
        let Err(trouble) = landed else {
            self.breaker().answered();
            if self.last_error().take().is_some() {
                tracing::info!(issuer = %self.settings.name, "introspection works again");
            }
            return;
        };
        match trouble.sign {
            Sign::Up => self.breaker().answered(),
            Sign::Down => self.breaker().failed(now),
            Sign::None => self.breaker().undecided(now),
        }
        if self.last_error().replace(trouble.detail.clone()).is_none() {
            let (issuer, result) = (&self.settings.name, trouble.result.as_str());
            tracing::warn!(%issuer, result, reason = %trouble.detail, "introspection failed");
        }
    }
}

/// One question, with the place that it takes among the others.
struct Flight {
    core: Arc<Core>,
    digest: Digest,
    /// Empty once it has landed.
    landing: Option<watch::Sender<Option<Landed>>>,
}

impl Flight {
    async fn fly(mut self, endpoint: Url, token: String) {
        let asked = self.core.question(endpoint, &token).await;
        let result = match &asked {
            Ok((Said::Active(_), _)) => AskResult::Active,
            Ok((Said::Not(rejection), _)) if rejection.code == RejectionCode::Inactive => AskResult::Inactive,
            Ok((Said::Not(_), _)) => AskResult::Malformed,
            Err(trouble) => trouble.result,
        };
        self.core.count(result);
        if let Ok((said, bytes)) = &asked {
            self.core.memory.keep(self.digest, said, *bytes, self.core.moment());
        }
        let landed = asked.map(|(said, _)| said);
        self.core.note(&landed);
        self.land(Some(landed));
    }

    fn land(&mut self, landed: Option<Landed>) {
        let Some(landing) = self.landing.take() else { return };
        self.core.flights().remove(&self.digest);
        landing.send_replace(landed);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.landing.is_some() {
            let now = self.core.clock.uptime();
            self.core.breaker().failed(now);
            self.land(None);
        }
    }
}
