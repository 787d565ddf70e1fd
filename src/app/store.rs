//! The shared store, from what the config says of it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::config::model;
use crate::store::{self, Store, StoreFault};

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file that the config names cannot be read any more.
    #[error("cannot read {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] StoreFault),
}

/// Begins to connect, on `runtime`; nothing has to be there yet.
pub(super) fn start(redis: &model::Redis, runtime: &Handle) -> Result<Arc<dyn Store>, SetupError> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|source| SetupError::File { path: path.clone(), source });
    let identity = match &redis.identity {
        Some((certificate, key)) => Some(store::Identity { certificate: read(certificate)?, key: read(key)? }),
        None => None,
    };
    let settings = store::Settings {
        url: redis.url.clone(),
        cluster: redis.cluster.clone(),
        username: redis.username.clone(),
        password: redis.password.clone(),
        authorities: redis.ca_file.as_ref().map(read).transpose()?,
        identity,
        connect_timeout: redis.connect_timeout,
        timeout: redis.timeout,
        prefix: redis.prefix.clone(),
    };
    open(settings, runtime)
}

#[cfg(feature = "redis")]
fn open(settings: store::Settings, runtime: &Handle) -> Result<Arc<dyn Store>, SetupError> {
    Ok(Arc::new(store::RedisStore::start(settings, runtime)?))
}

#[cfg(not(feature = "redis"))]
fn open(_: store::Settings, _: &Handle) -> Result<Arc<dyn Store>, SetupError> {
    Err(StoreFault::Settings("this program was built without the feature `redis`".into()).into())
}
