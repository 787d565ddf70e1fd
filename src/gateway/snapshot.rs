//! The snapshot: everything that is compiled from one config. Immutable; a reload swaps it whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::config::model::{self, ClientAuth, Config};
use crate::fetch::{Fetch, HttpFetch};
use crate::login::{self, Login, provider::Provider};
use crate::pattern::HostPattern;
use crate::policy::Rule;
use crate::proxy::{HeaderRules, Plan, SystemAuthorities, Target, TargetError};
use crate::route::{Entry, RouteTable};
use crate::secret::seal::Sealer;
use crate::session::{self, Sessions, store::Store};
use crate::store;
use crate::token::cache::{self, Epoch};
use crate::token::checks::IssuerChecks;
use crate::token::dpop::{self, Dpop};
use crate::token::introspect::{self, Introspector};
use crate::token::jwks::{self, Keeper};
use crate::token::revocation::Revocations;

use super::judge::Verdict;
use super::metadata::{Metadata, Resource};
use super::page::Pages;

/// Everything compiled from one config.
pub struct Snapshot {
    /// What it was compiled from.
    pub config: Config,
    /// Finds the route of a request.
    pub table: RouteTable,
    /// By their position in the config.
    pub routes: Vec<Route>,
    /// By their position in the config.
    pub issuers: Vec<Issuer>,
    /// By their position in the config.
    pub targets: Vec<Arc<Target>>,
    /// The documents of RFC 9728.
    pub metadata: Metadata,
    /// What proofs of possession are held to.
    pub dpop: Dpop,
    /// By their position in the config.
    pub logins: Vec<Arc<Login>>,
    /// What people are shown.
    pub pages: Pages,
    /// Verdicts on tokens, judged by this config.
    pub verdicts: Arc<cache::Shared<Verdict>>,
    /// What is refused before its end.
    pub revocations: Arc<Revocations>,
    /// The routes' names, for logs and metrics.
    pub route_names: Vec<Arc<str>>,
    /// The upstreams' names, for logs and metrics.
    pub upstream_names: Vec<Arc<str>>,
}

/// One route, compiled.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// What it asks of a principal.
    pub rule: Rule,
    /// How it forwards.
    pub plan: Plan,
    /// Where a token may come beside `Authorization`.
    pub token_from: Option<model::TokenFrom>,
    /// Position of its upstream.
    pub upstream: usize,
    /// The hosts that it names.
    pub hosts: Vec<HostPattern>,
    /// What names its protected resource.
    pub resource: Resource,
    /// Position of the login that browsers without a session are sent to.
    pub login: Option<usize>,
    /// Whether upstreams get the access token of a session.
    pub passes_session_token: bool,
}

/// One issuer, compiled.
pub struct Issuer {
    /// Its name in the config.
    pub name: Arc<str>,
    /// What its tokens are held to.
    pub checks: IssuerChecks,
    /// Its keys.
    pub keys: Arc<Keeper>,
    /// Asks it about tokens, if it is to be asked.
    pub introspector: Option<Arc<Introspector>>,
}

/// What snapshots are compiled with; outlives them.
#[derive(Clone)]
pub struct Means {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Bumped when verdicts may rest on what is no more.
    pub epoch: Arc<Epoch>,
    /// What proofs of possession are checked with.
    pub dpop: dpop::Means,
    /// What is refused before its end.
    pub revocations: Arc<Revocations>,
    /// What logins and sessions keep over a reload.
    pub browsers: Arc<Browsers>,
}

/// What logins and sessions keep over a reload.
#[derive(Default)]
pub struct Browsers {
    sessions: Arc<session::Memory>,
    logins: Arc<login::Shared>,
    /// What replicas share, with `[redis]`.
    store: Option<Arc<dyn store::Store>>,
    /// The key for when the config has none.
    sealer: OnceLock<Arc<Sealer>>,
}

impl Browsers {
    /// With what replicas share, if anything is.
    #[must_use]
    pub fn sharing(store: Arc<dyn store::Store>) -> Self {
        Self { logins: Arc::new(login::Shared::new(Arc::clone(&store))), store: Some(store), ..Self::default() }
    }

    fn store(&self, settings: &model::Sessions, sealer: &Arc<Sealer>, clock: &Arc<dyn Clock>) -> Arc<dyn Store> {
        match (settings.store, &self.store) {
            (model::SessionStore::Redis, None) => Arc::new(session::store::Missing),
            (model::SessionStore::Redis, Some(store)) => {
                let (store, sealer, clock) = (Arc::clone(store), Arc::clone(sealer), Arc::clone(clock));
                Arc::new(session::Shared::new(store, sealer, clock, settings.idle_timeout))
            }
            (model::SessionStore::Memory | model::SessionStore::Cookie, _) => {
                Arc::clone(&self.sessions) as Arc<dyn Store>
            }
        }
    }

    fn sealer(&self, sessions: &model::Sessions) -> Arc<Sealer> {
        match sessions.keys.is_empty() {
            true => Arc::clone(self.sealer.get_or_init(|| Arc::new(Sealer::new(&[])))),
            false => Arc::new(Sealer::new(&sessions.keys)),
        }
    }
}

/// Why a valid config cannot be compiled: something that it names cannot be used on this machine.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// An upstream.
    #[error("upstream {name:?} cannot be used")]
    Upstream {
        /// Its name.
        name: Arc<str>,
        /// Why.
        source: Box<TargetError>,
    },
    /// What the gateway shows an issuer when it asks about tokens.
    #[error("issuer {name:?}: it cannot be asked about tokens")]
    Introspection {
        /// Its name.
        name: Arc<str>,
        /// Why.
        source: Source,
    },
    /// What a login shows its issuer.
    #[error("login {name:?}: it cannot prove which client it is")]
    Login {
        /// Its name.
        name: Arc<str>,
        /// Why.
        source: Source,
    },
    /// An issuer's certificate authorities.
    #[error("issuer {name:?}: its ca_file {path:?} cannot be used")]
    Authorities {
        /// Its name.
        name: Arc<str>,
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<crate::fetch::RootsError>,
    },
}

type Source = Box<dyn std::error::Error + Send + Sync>;

impl Snapshot {
    /// Compiles `config`. Key keepers of `previous` whose issuer has not changed are kept, the others are made and not
    /// started. Reads certificate authorities from disk; binds and asks nobody.
    ///
    /// # Errors
    /// The first upstream or issuer that cannot be used on this machine.
    pub fn compile(config: Config, means: &Means, previous: Option<&Self>) -> Result<Self, CompileError> {
        let mut authorities = SystemAuthorities::default();
        let targets = config
            .upstreams
            .iter()
            .map(|upstream| target(upstream, &mut authorities))
            .collect::<Result<Vec<_>, CompileError>>()?;
        let mut fetchers = Fetchers::default();
        let issuers = (0..config.issuers.len())
            .map(|position| Issuer::compile(position, &config, means, previous, &mut fetchers))
            .collect::<Result<Vec<_>, _>>()?;
        let logins = logins(&config, &issuers, means, &mut fetchers)?;
        let (metadata, resources) = Metadata::build(&config);
        let rules = HeaderRules::new(config.identity_headers.iter().map(|(name, _)| name));
        let certificate = config.server.forwarded_certificate.as_ref().map(|forwarded| &forwarded.header);
        let rules = Arc::new(rules.trusting(certificate));
        let routes = config
            .routes
            .iter()
            .zip(resources)
            .map(|(route, resource)| Route::compile(route, resource, &rules))
            .collect();
        Ok(Self {
            table: RouteTable::build(config.routes.iter().map(Entry::from)),
            routes,
            issuers,
            logins,
            targets,
            metadata,
            dpop: Dpop::new(&config.dpop, &means.dpop),
            pages: Pages::new(&config.pages),
            verdicts: cache::Shared::new(cache::Limits::default(), Arc::clone(&means.epoch)),
            revocations: Arc::clone(&means.revocations),
            route_names: config.routes.iter().map(|route| Arc::clone(&route.name)).collect(),
            upstream_names: config.upstreams.iter().map(|upstream| Arc::clone(&upstream.name)).collect(),
            config,
        })
    }

    /// Position and compilation of the issuer with this `iss`.
    #[must_use]
    pub fn issuer(&self, iss: &str) -> Option<(usize, &Issuer)> {
        self.issuers.iter().enumerate().find(|(_, issuer)| issuer.checks.issuer() == iss)
    }

    /// The one issuer of a rule that is asked about opaque tokens; `validate` sees to it that there are not two.
    #[must_use]
    pub fn introspecting(&self, rule: &Rule) -> Option<(&Issuer, &Introspector)> {
        rule.issuers.iter().find_map(|position| {
            let issuer = self.issuers.get(*position)?;
            Some((issuer, issuer.introspector.as_deref()?))
        })
    }
}

fn logins(
    config: &Config,
    issuers: &[Issuer],
    means: &Means,
    fetchers: &mut Fetchers,
) -> Result<Vec<Arc<Login>>, CompileError> {
    let shared = &means.browsers.logins;
    let (sealer, settings) = (means.browsers.sealer(&config.sessions), &config.sessions);
    let sessions = Arc::new(match settings.store {
        model::SessionStore::Memory | model::SessionStore::Redis => {
            let store = means.browsers.store(settings, &sealer, &means.clock);
            Sessions::stored(store, settings.idle_timeout, settings.lifetime)
        }
        model::SessionStore::Cookie => Sessions::sealed(Arc::clone(&sealer), settings.idle_timeout, settings.lifetime),
    });
    let one = |login: &model::Login| {
        let issuer = &config.issuers[login.issuer];
        let failed = |source| CompileError::Login { name: Arc::clone(&login.name), source };
        let fetch = fetchers.for_client(issuer, &login.auth, &failed)?;
        let provider = Provider::new(login, issuer, fetch, Arc::clone(&means.clock));
        let means = login::Means {
            provider: provider.map_err(|error| failed(error.into()))?,
            keys: Arc::clone(&issuers[login.issuer].keys),
            sealer: Arc::clone(&sealer),
            sessions: Arc::clone(&sessions),
            shared: Arc::clone(shared),
        };
        Ok(Arc::new(Login::new(login.clone(), issuer, means)))
    };
    config.logins.iter().map(one).collect()
}

fn target(upstream: &model::Upstream, system: &mut SystemAuthorities) -> Result<Arc<Target>, CompileError> {
    let failed = |source| CompileError::Upstream { name: Arc::clone(&upstream.name), source: Box::new(source) };
    Target::compile(upstream, system).map(Arc::new).map_err(failed)
}

/// One outgoing HTTP client per set of certificate authorities.
#[derive(Default)]
struct Fetchers {
    system: Option<Arc<dyn Fetch>>,
    private: BTreeMap<PathBuf, Arc<dyn Fetch>>,
}

impl Fetchers {
    fn of(&mut self, issuer: &model::Issuer) -> Result<Arc<dyn Fetch>, CompileError> {
        let Some(path) = &issuer.ca_file else {
            let system = self.system.get_or_insert_with(|| Arc::new(HttpFetch::with_system_roots()));
            return Ok(Arc::clone(system));
        };
        if let Some(fetch) = self.private.get(path) {
            return Ok(Arc::clone(fetch));
        }
        let failed = |source| CompileError::Authorities {
            name: Arc::clone(&issuer.name),
            path: path.clone(),
            source: Box::new(source),
        };
        let fetch: Arc<dyn Fetch> = Arc::new(HttpFetch::with_ca_file(path).map_err(failed)?);
        self.private.insert(path.clone(), Arc::clone(&fetch));
        Ok(fetch)
    }

    /// The client that proves itself by `auth`, which may have to show a certificate; `failed` says what it is for.
    fn for_client(
        &mut self,
        issuer: &model::Issuer,
        auth: &ClientAuth,
        failed: &impl Fn(Source) -> CompileError,
    ) -> Result<Arc<dyn Fetch>, CompileError> {
        match auth {
            ClientAuth::Mtls { certificate, private_key } => {
                let fetch = HttpFetch::with_identity(issuer.ca_file.as_deref(), certificate, private_key);
                Ok(Arc::new(fetch.map_err(|error| failed(error.into()))?))
            }
            ClientAuth::None | ClientAuth::Basic(_) | ClientAuth::Post(_) | ClientAuth::PrivateKeyJwt { .. } => {
                self.of(issuer)
            }
        }
    }
}

impl Issuer {
    fn compile(
        position: usize,
        config: &Config,
        means: &Means,
        previous: Option<&Snapshot>,
        fetchers: &mut Fetchers,
    ) -> Result<Self, CompileError> {
        let issuer = &config.issuers[position];
        let older = previous.and_then(|snapshot| snapshot.issuers.iter().find(|older| older.name == issuer.name));
        let keys = match older.filter(|older| issuer.ca_file.is_none() && older.keys.serves(issuer)) {
            Some(older) => Arc::clone(&older.keys),
            None => {
                let means = jwks::Means {
                    fetch: fetchers.of(issuer)?,
                    clock: Arc::clone(&means.clock),
                    epoch: Arc::clone(&means.epoch),
                };
                let keeper = Keeper::new(issuer, means, config.server.state_dir.as_deref());
                if let Some(older) = older {
                    keeper.inherit(&older.keys);
                }
                Arc::new(keeper)
            }
        };
        let introspector = introspector(issuer, &keys, means, older, fetchers)?;
        Ok(Self { name: Arc::clone(&issuer.name), checks: IssuerChecks::new(issuer, position), keys, introspector })
    }

    /// Starts what it does in the background, on `runtime`. Further calls do nothing.
    pub fn start(&self, runtime: &Handle) {
        self.keys.start(runtime);
        if let Some(introspector) = &self.introspector {
            introspector.start(runtime);
        }
    }
}

/// The introspector of an issuer: the one that an unchanged `older` has, or a new one.
fn introspector(
    issuer: &model::Issuer,
    keys: &Arc<Keeper>,
    means: &Means,
    older: Option<&Issuer>,
    fetchers: &mut Fetchers,
) -> Result<Option<Arc<Introspector>>, CompileError> {
    let Some(asked) = &issuer.introspection else { return Ok(None) };
    let failed = |source| CompileError::Introspection { name: Arc::clone(&issuer.name), source };
    let older = older.and_then(|older| older.introspector.as_ref());
    if let Some(same) = older.filter(|older| older.serves(issuer, keys)) {
        return Ok(Some(Arc::clone(same)));
    }
    let means = introspect::Means {
        fetch: fetchers.for_client(issuer, &asked.auth, &failed)?,
        clock: Arc::clone(&means.clock),
        epoch: Arc::clone(&means.epoch),
        keys: Arc::clone(keys),
    };
    let made = Introspector::new(issuer, means).map_err(|error| failed(error.into()))?;
    if let (Some(made), Some(older)) = (&made, older) {
        made.inherit(older);
    }
    Ok(made.map(Arc::new))
}

impl Route {
    fn compile(route: &model::Route, resource: Resource, rules: &Arc<HeaderRules>) -> Self {
        let plan = Plan {
            strip_prefix: route.strip_prefix.as_deref().map(Box::from),
            pass_credential: route.credential == model::Credential::Pass,
            rules: Arc::clone(rules),
        };
        let (name, hosts) = (Arc::clone(&route.name), route.hosts.clone());
        let (login, passes_session_token) = (route.login, route.passes_session_token);
        Self {
            name,
            rule: Rule::new(route),
            plan,
            token_from: route.token_from.clone(),
            upstream: route.upstream,
            hosts,
            resource,
            login,
            passes_session_token,
        }
    }
}
