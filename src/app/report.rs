//! What operators see of the keys and of the config: readiness tasks, metrics, and the exhibits of the admin listener.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::admin::{Exhibit, IssuerStatus, RouteStatus};
use crate::clock::Clock;
use crate::config;
use crate::config::model::{Config, Issuer, Route};
use crate::gateway::snapshot::{self, Snapshot};
use crate::observe::metrics::Metrics;
use crate::observe::readiness::{Readiness, Task};
use crate::policy::{Access, Clause, Rule};
use crate::store::{Health, Store};
use crate::token::introspect::{self, Introspector};
use crate::token::jwks::{Keeper, State};
use crate::token::revocation::{Office, Standing};

/// How often the state of the keys is brought to metrics and readiness.
const PERIOD: Duration = Duration::from_millis(200);

/// Follows the keepers of the snapshot in force. Clones share their state.
#[derive(Clone)]
pub(super) struct Keys(Arc<Board>);

struct Board {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    followed: Mutex<BTreeMap<Arc<str>, Followed>>,
}

struct Followed {
    keeper: Arc<Keeper>,
    introspector: Option<Arc<Introspector>>,
    task: Task,
    /// A reload brought it to a gateway that was ready.
    joined: bool,
    counted: BTreeMap<&'static str, u64>,
    asked: BTreeMap<&'static str, u64>,
}

impl Followed {
    /// Whether it can judge any tokens at the moment.
    fn can_judge(&self) -> bool {
        let asks = |introspector: &Arc<Introspector>| introspector.status().endpoint.is_some();
        self.keeper.keys().is_some() || self.introspector.as_ref().is_some_and(asks)
    }
}

impl Keys {
    pub(super) fn new(metrics: Arc<Metrics>, readiness: Readiness) -> Self {
        Self(Arc::new(Board { metrics, readiness, followed: Mutex::default() }))
    }

    /// Starts the keepers of `snapshot` that do not run yet, and follows these from now on, no others.
    pub(super) fn follow(&self, runtime: &Runtime, snapshot: &Snapshot) {
        let mut followed = self.followed();
        let mut before = std::mem::take(&mut *followed);
        let ready = self.0.readiness.is_ready();
        for issuer in &snapshot.issuers {
            issuer.start(runtime.handle());
            let introspector = issuer.introspector.clone();
            // New ones count from zero.
            let (mut counted, mut asked) = (BTreeMap::new(), BTreeMap::new());
            if let Some(old) = before.remove(&issuer.name) {
                if Arc::ptr_eq(&old.keeper, &issuer.keys) {
                    counted = old.counted;
                }
                if old.introspector.as_ref().map(Arc::as_ptr) == introspector.as_ref().map(Arc::as_ptr) {
                    asked = old.asked;
                }
            }
            let task = self.0.readiness.task(&format!("issuer:{}", issuer.name));
            if ready {
                task.ok();
            }
            let keeper = Arc::clone(&issuer.keys);
            let entry = Followed { keeper, introspector, task, joined: ready, counted, asked };
            followed.insert(Arc::clone(&issuer.name), entry);
        }
        for (name, gone) in before {
            self.0.metrics.jwks_gone(&name);
            self.0.metrics.introspection_up(&name, None);
            gone.task.withdraw();
        }
    }

    pub(super) async fn report_until(self, stopped: impl Future<Output = ()>) {
        let mut stopped = pin!(stopped);
        loop {
            self.report();
            tokio::select! {
                () = &mut stopped => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// An issuer without keys makes the gateway unready only when no tokens can be judged at all: a replica that can judge
    /// some is worth more than none. At the start, though, the first fetch of every issuer is waited for.
    fn report(&self) {
        let mut followed = self.followed();
        let some_can_be_judged = followed.values().any(Followed::can_judge);
        for (name, issuer) in followed.iter_mut() {
            let status = issuer.keeper.status();
            let why = status.last_error.unwrap_or_default();
            match status.state {
                State::Fresh => match resting(issuer) {
                    Some(why) => issuer.task.ok_but(format!("introspection fails: {why}")),
                    None => issuer.task.ok(),
                },
                State::Stale { .. } => issuer.task.ok_but(format!("keys are stale: {why}")),
                State::Starting if issuer.joined => issuer.task.ok_but("the first fetch of keys is under way"),
                State::Starting => issuer.task.pending("the first fetch of keys is under way"),
                State::Unavailable if some_can_be_judged => issuer.task.ok_but(format!("no keys: {why}")),
                State::Unavailable => issuer.task.failed(format!("no keys: {why}")),
            }
            match status.age {
                Some(age) => self.0.metrics.jwks_in_use(name, status.keys, age),
                None => self.0.metrics.jwks_gone(name),
            }
            for (result, total) in issuer.keeper.fetches() {
                let counted = issuer.counted.entry(result.as_str()).or_default();
                for _ in *counted..total {
                    self.0.metrics.jwks_fetch(name, result.as_str());
                }
                *counted = total;
            }
            self.report_introspection(name, issuer);
        }
    }

    fn report_introspection(&self, name: &str, issuer: &mut Followed) {
        let metrics = &self.0.metrics;
        let Some(introspector) = &issuer.introspector else { return metrics.introspection_up(name, None) };
        metrics.introspection_up(name, Some(!introspector.status().resting));
        for (result, total) in introspector.questions() {
            let counted = issuer.asked.entry(result.as_str()).or_default();
            metrics.introspections(name, result.as_str(), total.saturating_sub(*counted));
            *counted = total;
        }
    }

    fn followed(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Followed>> {
        self.0.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the issuer is not asked about tokens at the moment, if it should be.
fn resting(issuer: &Followed) -> Option<String> {
    let status = issuer.introspector.as_ref()?.status();
    (status.resting || status.endpoint.is_none()).then(|| status.last_error.unwrap_or_default())
}

/// What operators see of the revocations, and of the store that replicas share.
pub(super) struct Shared {
    office: Arc<Office>,
    /// The store, with the task of `/readyz` that speaks for it.
    store: Option<(Arc<dyn Store>, Task)>,
    current: Arc<ArcSwap<Snapshot>>,
    clock: Arc<dyn Clock>,
}

impl Shared {
    pub(super) fn new(
        office: Arc<Office>,
        store: Option<Arc<dyn Store>>,
        current: Arc<ArcSwap<Snapshot>>,
        readiness: &Readiness,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { office, store: store.map(|store| (store, readiness.task("redis"))), current, clock }
    }

    /// Drops revocations that are over, counts the others, and tells whether they are all.
    pub(super) async fn report_until(self, stopped: impl Future<Output = ()>, metrics: Arc<Metrics>) {
        let mut stopped = pin!(stopped);
        loop {
            metrics.revocations(self.office.sweep().await);
            if let Some((store, task)) = &self.store {
                let health = store.health().borrow().clone();
                metrics.store_up("redis", health == Health::Up);
                self.tell(&health, task);
            }
            tokio::select! {
                () = &mut stopped => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// A gateway that refuses all tokens is of no use to a load balancer.
    fn tell(&self, health: &Health, task: &Task) {
        let standing = self.office.standing();
        let serves = standing.serves(self.clock.now(), &self.current.load().config.revocation);
        let why = match health {
            Health::Down(why) => why,
            Health::Unknown | Health::Up => "being read",
        };
        match (standing, serves) {
            (Standing::Sure, _) => task.ok(),
            (_, true) => task.ok_but(format!("revocations may be missing: {why}")),
            (Standing::Unread, false) => task.pending(format!("revocations were not read yet: {why}")),
            (Standing::Stale(_), false) => {
                task.failed(format!("revocations cannot be read, tokens are refused: {why}"));
            }
        }
    }
}

/// What the admin listener shows of the snapshot in force.
pub(super) struct Exhibits {
    current: Arc<ArcSwap<Snapshot>>,
}

impl Exhibits {
    pub(super) fn new(current: Arc<ArcSwap<Snapshot>>) -> Self {
        Self { current }
    }
}

impl Exhibit for Exhibits {
    fn config(&self) -> Value {
        config::redacted(&self.current.load().config)
    }

    fn issuers(&self) -> Vec<IssuerStatus> {
        let snapshot = self.current.load();
        let status = |issuer: &crate::gateway::snapshot::Issuer| {
            let status = issuer.keys.status();
            IssuerStatus {
                name: Arc::clone(&issuer.name),
                issuer: issuer.checks.issuer().into(),
                state: match status.state {
                    State::Starting => "starting",
                    State::Fresh => "fresh",
                    State::Stale { .. } => "stale",
                    State::Unavailable => "unavailable",
                },
                keys: status.keys,
                age: status.age,
                last_error: status.last_error,
                introspection: issuer.introspector.as_ref().map(|introspector| introspection(&introspector.status())),
            }
        };
        snapshot.issuers.iter().map(status).collect()
    }

    fn routes(&self) -> Vec<RouteStatus> {
        let snapshot = self.current.load();
        let status = |(route, compiled): (&Route, &snapshot::Route)| RouteStatus {
            name: Arc::clone(&route.name),
            matches: matches(route),
            access: access(compiled, &snapshot.config),
            upstream: Arc::clone(&snapshot.config.upstreams[route.upstream].name),
        };
        snapshot.config.routes.iter().zip(&snapshot.routes).map(status).collect()
    }
}

/// Where an issuer is asked about tokens, and how that goes, for a person.
fn introspection(status: &introspect::Status) -> String {
    let why = status.last_error.as_deref().unwrap_or("it is being looked for");
    match (&status.endpoint, status.resting) {
        (Some(endpoint), false) => endpoint.clone(),
        (Some(endpoint), true) => format!("{endpoint}, resting: {why}"),
        (None, _) => format!("endpoint not known: {why}"),
    }
}

/// Methods, hosts and path of a route, as `GET api.acme.example/orders/{id}`.
pub(super) fn matches(route: &Route) -> String {
    let hosts: Vec<String> = route.hosts.iter().map(ToString::to_string).collect();
    format!("{} {}{}", route.methods, hosts.join("|"), route.path.as_str())
}

/// Who may use a route, for a person.
pub(super) fn access(route: &snapshot::Route, config: &Config) -> String {
    let rule = &route.rule;
    let mut asks: Vec<String> = rule.clauses().iter().map(Clause::brief).collect();
    asks.extend(issuers_of(rule, config).map(|names| format!("of {}", names.join(" or "))));
    let token = match rule.access {
        Access::Token => "token",
        Access::Optional => "optional token",
        Access::Public => "public",
    };
    let who = match route.login {
        Some(login) => format!("{token} or session of {}", config.logins[login].name),
        None => token.to_owned(),
    };
    if asks.is_empty() { who } else { format!("{who}: {}", asks.join(", ")) }
}

/// The names of the issuers whose tokens a rule takes, that of their table for all of its tenants; `None`: all of the config.
pub(super) fn issuers_of<'c>(rule: &Rule, config: &'c Config) -> Option<Vec<&'c str>> {
    let some = rule.access != Access::Public && rule.issuers.len() < config.issuers.len();
    some.then(|| {
        let taken = || rule.issuers.iter().map(|position| &config.issuers[*position]);
        let (of_rule, all) = (tenants(taken()), tenants(config.issuers.iter()));
        let whole = |table: &&str| of_rule.get(table) == all.get(table);
        let mut names: Vec<&str> =
            taken().map(|issuer| issuer.table_of_tenant().filter(whole).unwrap_or(&issuer.name)).collect();
        names.dedup();
        names
    })
}

/// How many tenants there are of each table.
fn tenants<'c>(issuers: impl Iterator<Item = &'c Issuer>) -> BTreeMap<&'c str, usize> {
    let mut tenants = BTreeMap::new();
    issuers.filter_map(Issuer::table_of_tenant).for_each(|table| *tenants.entry(table).or_default() += 1);
    tenants
}
