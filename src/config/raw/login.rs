//! `[logins.*]` and `[sessions]`

use super::issuer::ClientAuthWord;
use crate::config::read::{List, OneOrMany};
use crate::config::table::{table, words};
use crate::config::word::names::{AcrValue, FilePath, NonEmpty, Scope};
use crate::config::word::quantity::{Memory, Period};
use crate::config::word::secret::SecretSource;
use crate::config::word::url::{OriginUrl, ResourceUri};

table! {
    /// Browsers without a session are sent to the issuer.
    Login, "[logins.NAME]" {
        /// The name of the issuer.
        issuer: NonEmpty => required,
        /// What the chooser page calls it, where there are several. Default: its name.
        label: NonEmpty,
        /// The client id of the gateway at the issuer.
        client_id: NonEmpty => required,
        /// The client secret of the gateway at the issuer, for `basic` and `post`.
        client_secret: SecretSource,
        /// How the gateway authenticates: `basic`, `post`, `private_key_jwt` or `mtls`. Without it and without a secret,
        /// `private_key` means `private_key_jwt`, and with `certificate` `mtls`; with none of them, it is a public client.
        auth: ClientAuthWord = "basic",
        /// PEM file with the gateway's private key, for `private_key_jwt` and `mtls`.
        private_key: FilePath,
        /// The `kid` by which the issuer knows the key of `private_key_jwt`.
        key_id: NonEmpty,
        /// PEM file with the gateway's certificate chain, for `mtls`.
        certificate: FilePath,
        /// The scopes to ask for; `openid` is always among them. `offline_access` gets a refresh token from most issuers.
        scopes: List<Scope>,
        /// The resource that the access token shall be for (RFC 8707), an absolute URI; or several, which many issuers refuse.
        resource: OneOrMany<ResourceUri>,
        /// What the issuer is to do though the person is signed in there already: `login` (ask again), `consent` or
        /// `select_account`; or `none`, alone: ask nothing, so that who is not signed in there sees an error page.
        prompt: OneOrMany<PromptWord>,
        /// Tells the issuer who is about to sign in, such as a domain. `login_hint` in the query of `/.tollgate/login` goes
        /// before.
        login_hint: NonEmpty,
        /// The context classes to ask for, the preferred one first. A sign-in that reaches none of them is refused.
        acr_values: List<AcrValue>,
        /// How long ago the person may have signed in at the issuer; `0s`: not at all, so they sign in each time.
        max_age: Memory,
        /// The origin by which browsers know the application: https, or http on this machine. It alone decides the redirect
        /// URI and how cookies are marked.
        public_url: OriginUrl => required,
        /// The path of the redirect URI, below `/.tollgate/callback`. Logins of one `public_url` have one each, or write the
        /// same one, if their issuers announce that they name themselves in their answers (RFC 9207).
        callback: NonEmpty = "/.tollgate/callback",
        /// What ID tokens may name in `aud` beside the client id, where the issuer writes more there. Such a party holds tokens
        /// that are good for this login too.
        trusted_audiences: List<NonEmpty>,
        /// Asks the issuer's userinfo endpoint for claims that the ID token lacks.
        userinfo: bool = false,
        /// The claims that `GET /.tollgate/session` shows to the application, beside `sub`.
        session_claims: List<NonEmpty>,
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

words! {
    /// What the issuer asks though it need not (OpenID Connect Core 1.0, section 3.1.2.1).
    PromptWord {
        /// Nothing.
        None = "none",
        /// To sign in again.
        Login = "login",
        /// To agree again.
        Consent = "consent",
        /// Which account it shall be.
        SelectAccount = "select_account",
    }
}

table! {
    /// Where browser sessions are kept.
    Sessions, "[sessions]" {
        /// `memory`, `cookie` (sealed, stateless) or `redis` (that of `[redis]`, shared by replicas).
        store: StoreWord = "memory",
        /// Seals cookies, and what is in Redis: 32 random bytes or more, in any spelling. Default: made at the start, so that
        /// what it sealed ends with the process; `cookie`, `redis` and replicas need one.
        key: SecretSource,
        /// The key before, which still opens what it sealed.
        previous_key: SecretSource,
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
