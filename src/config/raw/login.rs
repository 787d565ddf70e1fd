//! `[logins.*]` and `[sessions]`

use crate::config::read::List;
use crate::config::table::{table, words};
use crate::config::word::names::{FilePath, NonEmpty, PathText, Scope};
use crate::config::word::quantity::Period;
use crate::config::word::secret::SecretSource;
use crate::config::word::url::OriginUrl;

table! {
    /// Browsers without a session are sent to the issuer.
    Login, "[logins.NAME]" {
        /// The name of the issuer.
        issuer: NonEmpty => required,
        /// The client id of the gateway at the issuer.
        client_id: NonEmpty => required,
        /// The client secret. Without it the gateway is a public client.
        client_secret: SecretSource,
        /// PEM file with the private key for `private_key_jwt`.
        private_key: FilePath,
        /// The scopes to ask for.
        scopes: List<Scope>,
        /// The origin by which browsers know the application.
        public_url: OriginUrl => required,
        /// The path of the redirect URI.
        callback: PathText = "/.tollgate/callback",
        /// How the issuer answers: `query` or `form_post`.
        response_mode: ResponseMode = "query",
    }
}

words! {
    /// How the issuer answers a login.
    ResponseMode {
        /// In the query.
        Query = "query",
        /// By a form that posts itself.
        FormPost = "form_post",
    }
}

table! {
    /// Where browser sessions are kept.
    Sessions, "[sessions]" {
        /// `memory`, `cookie` (sealed, stateless) or `redis` (shared by replicas).
        store: StoreWord = "memory",
        /// The URL of the Redis or Valkey server for `redis`.
        redis_url: SecretSource,
        /// A session without a request ends after this.
        idle_timeout: Period = "30m",
        /// A session ends after this.
        lifetime: Period = "12h",
    }
}

words! {
    /// Where sessions are kept.
    StoreWord {
        /// In the process.
        Memory = "memory",
        /// In the browser.
        Cookie = "cookie",
        /// In Redis or Valkey.
        Redis = "redis",
    }
}
