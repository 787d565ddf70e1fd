//! The last good key set of an issuer on disk, for a start while that issuer is down.
//!
//! Promises: a file is written whole or not at all, with mode 0600, under a name that only the same issuer and the same
//! source of keys have; what is read back was written for exactly these, is not from the future and is younger than
//! the caller allows. Refuses a file that others may write: whoever plants a key there signs tokens.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::source::{self, MAX_BYTES};
use crate::clock::UnixTime;
use crate::secret;
use crate::token::key::KeySet;

/// The longest file that is read: a set in a JSON string, where a quote or a line end takes two bytes.
const MAX_FILE: u64 = 2 * MAX_BYTES as u64 + 64 * 1024;
/// How far ahead of our clock a file may be: clocks are set back by small steps.
const MAX_AHEAD: Duration = Duration::from_secs(60);

/// Why a stored set cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{}: {why}", path.display())]
    Refused { path: PathBuf, why: String },
}

/// The place of one issuer's set.
#[derive(Debug, Clone)]
pub(super) struct Store {
    path: PathBuf,
    issuer: String,
    source: String,
    owner: Option<String>,
}

/// A set read back.
pub(super) struct Kept {
    pub(super) keys: KeySet,
    /// The URL that it once came from.
    pub(super) place: String,
    pub(super) age: Duration,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    issuer: String,
    source: String,
    jwks_uri: String,
    /// Seconds since the epoch.
    fetched_at: i64,
    /// The JWK Set as it came.
    jwks: String,
}

impl Store {
    /// The place in `folder` of the set that `issuer` gives at `source`; whose its keys must be is `owner`.
    pub(super) fn new(folder: &Path, issuer: &str, source: &str, owner: Option<&str>) -> Self {
        // The length keeps two pairs apart that only share the joined text.
        let identity = format!("{}:{issuer}{source}", issuer.len());
        let name = format!("jwks-{}.json", URL_SAFE_NO_PAD.encode(secret::sha256(identity.as_bytes())));
        Self { path: folder.join(name), issuer: issuer.into(), source: source.into(), owner: owner.map(str::to_owned) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces what is stored. The folder is made (mode 0700) if it is missing.
    pub(super) fn save(&self, document: &[u8], place: &str, now: UnixTime) -> io::Result<()> {
        let content = Content {
            issuer: self.issuer.clone(),
            source: self.source.clone(),
            jwks_uri: place.into(),
            fetched_at: now.secs(),
            jwks: String::from_utf8(document.to_vec()).map_err(|error| io::Error::other(error.utf8_error()))?,
        };
        if let Some(folder) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let fresh = self.path.with_extension(format!("{}.tmp", secret::random_id()));
        let written = write_new(&fresh, &serde_json::to_vec(&content)?).and_then(|()| fs::rename(&fresh, &self.path));
        if written.is_err() {
            // Best effort: the first error is the one to tell.
            let _ = fs::remove_file(&fresh);
        }
        written
    }

    /// Reads what is stored; `None` when nothing is.
    pub(super) fn load(&self, now: UnixTime, max_age: Duration) -> Result<Option<Kept>, StoreError> {
        let Some(bytes) = self.read()? else { return Ok(None) };
        let refuse = |why: String| StoreError::Refused { path: self.path.clone(), why };
        let content: Content =
            serde_json::from_slice(&bytes).map_err(|error| refuse(format!("not a stored key set: {error}")))?;
        if content.issuer != self.issuer || content.source != self.source {
            return Err(refuse("was stored for another issuer".into()));
        }
        let fetched = UnixTime::from_secs(content.fetched_at);
        if fetched > now.plus(MAX_AHEAD) {
            return Err(refuse("was stored in the future; is the clock right?".into()));
        }
        let age = now.since(fetched);
        if age >= max_age {
            return Err(refuse(format!("is {} s old, more than max_stale", age.as_secs())));
        }
        let keys = source::usable(content.jwks.as_bytes(), self.owner.as_deref()).map_err(refuse)?;
        Ok(Some(Kept { keys, place: content.jwks_uri, age }))
    }

    fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let failed = |error| StoreError::Read { path: self.path.clone(), error };
        let refuse = |why: &str| Err(StoreError::Refused { path: self.path.clone(), why: why.into() });
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let about = file.metadata().map_err(failed)?;
        if about.permissions().mode() & 0o022 != 0 {
            return refuse("others may write it, so its keys cannot be trusted");
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE { refuse("too long") } else { Ok(Some(bytes)) }
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    // A rename may reach the disk before the content does; then a power cut would leave an empty file.
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::testing;

    const DAY: Duration = Duration::from_secs(86_400);

    fn document() -> String {
        serde_json::json!({ "keys": [testing::p256().jwk("a")] }).to_string()
    }

    fn stored(folder: &Path) -> Store {
        let store = Store::new(&folder.join("state"), "https://i", "discovery", None);
        store.save(document().as_bytes(), "https://i/jwks", UnixTime::from_secs(1000)).unwrap();
        store
    }

    #[test]
    fn a_set_comes_back_with_its_age_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = stored(folder.path());
        store.save(document().as_bytes(), "https://i/jwks", UnixTime::from_secs(1100)).unwrap();
        let kept = store.load(UnixTime::from_secs(1700), DAY).unwrap().unwrap();
        assert!(kept.keys.has_kid("a"));
        assert_eq!((kept.place.as_str(), kept.age.as_secs()), ("https://i/jwks", 600));
        assert_eq!(fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("state")).unwrap().count(), 1);
    }

    #[test]
    fn only_the_same_issuer_and_source_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        stored(folder.path());
        let now = UnixTime::from_secs(1000);
        for (issuer, source) in
            [("https://i", "https://i/jwks"), ("https://j", "discovery"), ("https://idisc", "overy")]
        {
            let other = Store::new(&folder.path().join("state"), issuer, source, None);
            assert!(other.load(now, DAY).unwrap().is_none(), "{issuer} {source}");
        }
    }

    #[test]
    fn a_file_that_is_broken_foreign_old_or_writable_is_refused_with_its_reason() {
        let content = |issuer: &str, at: i64, jwks: &str| {
            let source = "discovery".to_owned();
            let (issuer, jwks) = (issuer.to_owned(), jwks.to_owned());
            let content = Content { issuer, source, jwks_uri: String::new(), fetched_at: at, jwks };
            serde_json::to_string(&content).unwrap()
        };
        let good = content("https://i", 1000, &document());
        let cases = [
            (String::new(), 0o600, "not a stored key set"),
            (good[..good.len() / 2].to_owned(), 0o600, "not a stored key set"),
            (content("https://j", 1000, &document()), 0o600, "another issuer"),
            (content("https://i", 1000 - 86_400, &document()), 0o600, "max_stale"),
            (content("https://i", 1061, &document()), 0o600, "future"),
            (content("https://i", 1000, "{\"keys\":[]}"), 0o600, "without keys"),
            (" ".repeat(MAX_FILE as usize + 1), 0o600, "too long"),
            (good.clone(), 0o620, "others may write"),
            (good.clone(), 0o602, "others may write"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let store = stored(folder.path());
        for (text, mode, complaint) in cases {
            fs::write(store.path(), &text).unwrap();
            fs::set_permissions(store.path(), fs::Permissions::from_mode(mode)).unwrap();
            let Err(error) = store.load(UnixTime::from_secs(1000), DAY) else { panic!("accepted: {complaint}") };
            assert!(error.to_string().contains(complaint), "{error}");
        }
        fs::write(store.path(), good).unwrap();
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(store.load(UnixTime::from_secs(1000), DAY).unwrap().is_some());
    }
}
