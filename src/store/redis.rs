//! The store in Redis or Valkey.
//!
//! One task keeps the connection: it connects, subscribes, asks for a sign of life every second and at once when something
//! looks wrong, and begins anew when there is none. Commands go through whatever connection there is, on the runtime of that
//! task, so that no socket ever belongs to a worker. RESP3, so that messages come over the same connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo as _,
    ProtocolVersion, PushInfo, PushKind, RedisResult, TlsCertificates, Value, cmd,
};
use tokio::runtime::Handle;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{sleep, timeout};

use super::{Health, Messages, Reply, Settings, Store, StoreFault};
use crate::clock::UnixTime;

/// Between two signs of life.
const PROBE: Duration = Duration::from_secs(1);
/// Between two attempts to connect: doubled from the first to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// Messages of one channel that a slow listener may leave waiting.
const BACKLOG: usize = 64;
/// Commands in flight on one connection; others wait, within their deadlines.
const CONCURRENCY: usize = 1024;

/// Replaces a value that is still the old one.
const REPLACE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 else return 0 end";
/// Removes a value that is still the known one.
const DELETE_IF: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";
/// Adds a member, drops those that are over, and lets the set end with its last.
const ENROLL: &str = "redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2]) \
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3]) \
    local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES') \
    if last[2] then redis.call('PEXPIREAT', KEYS[1], last[2]) end return 1";

/// Redis or Valkey, one server or a cluster. Clones share the connection.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
    runtime: Handle,
}

struct Shared {
    client: Kind,
    connect_timeout: Duration,
    timeout: Duration,
    prefix: String,
    link: ArcSwapOption<Link>,
    health: watch::Sender<Health>,
    channels: Channels,
}

/// Who hears what, by the full name of the channel; and the nudge for the keeper.
#[derive(Clone, Default)]
struct Channels {
    listeners: Arc<Mutex<Listeners>>,
    nudge: Arc<Notify>,
}

type Listeners = HashMap<String, broadcast::Sender<Arc<[u8]>>>;

enum Kind {
    One(Client, AsyncConnectionConfig),
    Cluster(ClusterClient),
}

enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl RedisStore {
    /// Starts to connect, on `runtime`, and keeps at it.
    ///
    /// # Errors
    /// When a URL or a certificate cannot be used.
    pub fn start(settings: Settings, runtime: &Handle) -> Result<Self, StoreFault> {
        // The library takes the provider of the process for TLS. An error says that there is one already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let channels = Channels::default();
        let client = client(&settings, &channels).map_err(|error| StoreFault::Settings(error.to_string()))?;
        let shared = Arc::new(Shared {
            client,
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
            prefix: settings.prefix,
            link: ArcSwapOption::empty(),
            health: watch::Sender::new(Health::Unknown),
            channels,
        });
        runtime.spawn(keep(Arc::clone(&shared)));
        Ok(Self { shared, runtime: runtime.clone() })
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.shared.prefix)
    }

    fn run<T: FromRedisValue + Send + 'static>(&self, command: Cmd) -> Reply<T> {
        let (shared, runtime) = (Arc::clone(&self.shared), self.runtime.clone());
        Box::pin(async move {
            let task = runtime.spawn(async move { shared.run(&command).await });
            task.await.unwrap_or_else(|_| Err(StoreFault::Down("the gateway ends".into())))
        })
    }
}

impl Store for RedisStore {
    fn get(&self, key: &str) -> Reply<Option<Vec<u8>>> {
        self.run(cmd("GET").arg(self.name(key)).take())
    }

    fn put(&self, key: &str, value: &[u8], life: Duration) -> Reply<()> {
        self.run(cmd("SET").arg(self.name(key)).arg(value).arg("PX").arg(millis(life)).take())
    }

    fn put_if_absent(&self, key: &str, value: &[u8], life: Duration) -> Reply<bool> {
        self.run(cmd("SET").arg(self.name(key)).arg(value).arg("PX").arg(millis(life)).arg("NX").take())
    }

    fn replace(&self, key: &str, old: &[u8], new: &[u8], life: Duration) -> Reply<bool> {
        self.run(cmd("EVAL").arg(REPLACE).arg(1).arg(self.name(key)).arg(old).arg(new).arg(millis(life)).take())
    }

    fn delete(&self, key: &str) -> Reply<bool> {
        self.run(cmd("DEL").arg(self.name(key)).take())
    }

    fn delete_if(&self, key: &str, value: &[u8]) -> Reply<bool> {
        self.run(cmd("EVAL").arg(DELETE_IF).arg(1).arg(self.name(key)).arg(value).take())
    }

    fn enroll(&self, set: &str, member: &[u8], until: UnixTime, now: UnixTime) -> Reply<()> {
        let mut command = cmd("EVAL");
        command.arg(ENROLL).arg(1).arg(self.name(set)).arg(until.millis()).arg(member).arg(now.millis());
        self.run(command)
    }

    fn dismiss(&self, set: &str, member: &[u8]) -> Reply<bool> {
        self.run(cmd("ZREM").arg(self.name(set)).arg(member).take())
    }

    fn members(&self, set: &str, now: UnixTime, most: usize) -> Reply<Vec<Vec<u8>>> {
        let mut command = cmd("ZRANGEBYSCORE");
        command.arg(self.name(set)).arg(format!("({}", now.millis())).arg("+inf");
        command.arg("LIMIT").arg(0).arg(most.saturating_add(1));
        let found = self.run::<Vec<Vec<u8>>>(command);
        Box::pin(async move {
            let found = found.await?;
            if found.len() > most { Err(StoreFault::TooMany(most)) } else { Ok(found) }
        })
    }

    fn publish(&self, channel: &str, message: &[u8]) -> Reply<()> {
        self.run(cmd("PUBLISH").arg(self.name(channel)).arg(message).take())
    }

    fn subscribe(&self, channel: &str) -> Messages {
        let channels = &self.shared.channels;
        let messages = channels.listeners().entry(self.name(channel)).or_insert_with(new_channel).subscribe();
        channels.nudge.notify_one();
        messages
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }
}

/// A life of no length would be refused by the server.
fn millis(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn new_channel() -> broadcast::Sender<Arc<[u8]>> {
    broadcast::Sender::new(BACKLOG)
}

impl Channels {
    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> Vec<String> {
        self.listeners().keys().cloned().collect()
    }

    /// What the server sends unasked: messages, and the end of a connection.
    fn take(&self, push: PushInfo) {
        match (push.kind, &*push.data) {
            (PushKind::Message, [Value::BulkString(channel), Value::BulkString(message)]) => {
                let listener = str::from_utf8(channel).ok().and_then(|name| self.listeners().get(name).cloned());
                // An error says that nobody listens at the moment.
                let _ = listener.map(|listener| listener.send(message.as_slice().into()));
            }
            (PushKind::Disconnection, _) => self.nudge.notify_one(),
            _ => {}
        }
    }
}

impl Shared {
    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreFault> {
        let Some(link) = self.link.load_full() else { return Err(StoreFault::Down(self.why())) };
        match timeout(self.timeout, link.run(command)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.channels.nudge.notify_one();
                Err(StoreFault::Failed(error.to_string()))
            }
            Err(_) => {
                self.channels.nudge.notify_one();
                Err(StoreFault::Late(self.timeout))
            }
        }
    }

    fn why(&self) -> Arc<str> {
        match &*self.health.borrow() {
            Health::Down(why) => Arc::clone(why),
            Health::Unknown | Health::Up => "no connection yet".into(),
        }
    }

    /// A connection that is able to serve, with the names that it has subscribed to.
    async fn connect(&self) -> Result<(Link, Vec<String>), String> {
        let connected = timeout(self.connect_timeout, async {
            let link = match &self.client {
                Kind::One(client, config) => {
                    Link::One(client.get_multiplexed_async_connection_with_config(config).await?)
                }
                Kind::Cluster(client) => Link::Cluster(client.get_async_connection().await?),
            };
            let names = self.channels.names();
            link.subscribe(&names).await?;
            self.probe(&link).await?;
            RedisResult::Ok((link, names))
        });
        match connected.await {
            Ok(connected) => connected.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no connection within {:?}", self.connect_timeout)),
        }
    }

    /// A command that needs a server which is able to serve keys.
    async fn probe(&self, link: &Link) -> RedisResult<()> {
        link.run::<bool>(cmd("EXISTS").arg(format!("{}probe", self.prefix))).await.map(drop)
    }

    /// Stays until the connection is no good any more; gives why.
    async fn watch_over(&self, link: &Link, mut subscribed: Vec<String>) -> String {
        loop {
            tokio::select! {
                () = sleep(PROBE) => {}
                () = self.channels.nudge.notified() => {}
            }
            let names = self.channels.names();
            let checked = timeout(self.timeout, async {
                if names.len() != subscribed.len() {
                    link.subscribe(&names).await?;
                }
                self.probe(link).await
            });
            match checked.await {
                Ok(Ok(())) => subscribed = names,
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return format!("no sign of life within {:?}", self.timeout),
            }
        }
    }

    fn tell(&self, health: Health) {
        let before = self.health.send_replace(health.clone());
        match (before, health) {
            (Health::Down(_), Health::Down(why)) => tracing::debug!(%why, "the store still cannot be reached"),
            (_, Health::Down(why)) => tracing::error!(%why, "the store cannot be reached"),
            (_, Health::Up) => tracing::info!("the store can be reached"),
            (_, Health::Unknown) => {}
        }
    }
}

/// Ends with the runtime.
async fn keep(shared: Arc<Shared>) {
    let mut pause = PAUSES[0];
    loop {
        let why = match shared.connect().await {
            Ok((link, subscribed)) => {
                let link = Arc::new(link);
                shared.link.store(Some(Arc::clone(&link)));
                shared.tell(Health::Up);
                pause = PAUSES[0];
                shared.watch_over(&link, subscribed).await
            }
            Err(why) => why,
        };
        shared.link.store(None);
        shared.tell(Health::Down(why.into()));
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES[1]);
    }
}

impl Link {
    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(connection) => command.query_async(&mut connection.clone()).await,
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }
    }

    async fn subscribe(&self, channels: &[String]) -> RedisResult<()> {
        if channels.is_empty() {
            return Ok(());
        }
        match self {
            Self::One(connection) => connection.clone().subscribe(channels).await,
            Self::Cluster(connection) => connection.clone().subscribe(channels).await,
        }
    }
}

fn client(settings: &Settings, channels: &Channels) -> RedisResult<Kind> {
    let channels = channels.clone();
    let push = move |info: PushInfo| {
        channels.take(info);
        Ok::<(), redis::aio::SendError>(())
    };
    let certificates = TlsCertificates {
        root_cert: settings.authorities.clone(),
        client_tls: settings.identity.as_ref().map(|identity| ClientTlsConfig {
            client_cert: identity.certificate.clone(),
            client_key: identity.key.clone(),
        }),
    };
    let own_certificates = certificates.root_cert.is_some() || certificates.client_tls.is_some();
    let first = with_login(settings.url.expose().into_connection_info()?, settings);
    if settings.cluster.is_empty() {
        let client = if own_certificates { Client::build_with_tls(first, certificates)? } else { Client::open(first)? };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.connect_timeout))
            .set_response_timeout(Some(settings.timeout))
            .set_concurrency_limit(CONCURRENCY)
            .set_push_sender(push);
        return Ok(Kind::One(client, config));
    }
    let login = first.redis_settings().clone();
    let mut nodes = vec![first];
    for url in &settings.cluster {
        nodes.push(url.as_str().into_connection_info()?.set_redis_settings(login.clone()));
    }
    let mut builder = ClusterClient::builder(nodes)
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(settings.connect_timeout)
        .response_timeout(settings.timeout)
        .connection_concurrency_limit(CONCURRENCY)
        .push_sender(push);
    if own_certificates {
        builder = builder.certs(certificates);
    }
    builder.build().map(Kind::Cluster)
}

fn with_login(info: ConnectionInfo, settings: &Settings) -> ConnectionInfo {
    let mut login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.expose());
    }
    info.set_redis_settings(login)
}
