//! `[authority]`: the embedded development Authorization Server.

use crate::config::read::{List, Tables};
use crate::config::table::{table, words};
use crate::config::word::json::{AnyTable, Claims};
use crate::config::word::names::{FilePath, NonEmpty, Scope};
use crate::config::word::net::Listen;
use crate::config::word::quantity::Period;
use crate::config::word::secret::SecretSource;
use crate::config::word::url::{IssuerUrl, WebUrl};

table! {
    /// The embedded Authorization Server, for development only: its keys are new with every start.
    Authority, "[authority]" {
        /// The address that it listens on; loopback, unless `allow_remote`.
        listen: Listen => required,
        /// Its issuer identifier, and the base of its endpoints.
        issuer: IssuerUrl => required,
        /// `aud` of its access tokens, when a client asks for no resource.
        audience: NonEmpty => required,
        /// How long its access tokens are valid.
        token_lifetime: Period = "5m",
        /// Whether it may listen off loopback.
        allow_remote: bool = false,
        /// Serving TLS.
        tls: AuthorityTls => later,
        /// Faults to make on purpose.
        faults: AnyTable => later,
        /// The people who can sign in: `[[authority.users]]`.
        users: Tables<User>,
        /// The clients that can ask for tokens: `[[authority.clients]]`.
        clients: Tables<Client>,
    }
}

table! {
    /// Serving TLS.
    AuthorityTls, "[authority.tls]" {
        /// PEM file with the certificate chain.
        certificate: FilePath => required,
        /// PEM file with the private key.
        private_key: FilePath => required,
    }
}

table! {
    /// A person who can sign in.
    User, "[[authority.users]]" {
        /// The name to sign in with.
        name: NonEmpty => required,
        /// The subject in tokens. Default: the name.
        sub: NonEmpty,
        /// The password.
        password: SecretSource => required,
        /// Claims about the person.
        claims: Claims,
    }
}

table! {
    /// A client that can ask for tokens.
    Client, "[[authority.clients]]" {
        /// Its `client_id`.
        id: NonEmpty => required,
        /// Its secret. Without it the client is public.
        secret: SecretSource,
        /// The grants that it may use. Today `client_credentials`; later also `authorization_code`, `refresh_token`,
        /// `implicit`, `password`, `device_code` and `token_exchange`.
        grants: List<Grant> => required,
        /// The scopes that it may ask for.
        scopes: List<Scope>,
        /// How it authenticates: `client_secret_basic` or `client_secret_post`; default: either. Later also `none`,
        /// `private_key_jwt` and `tls_client_auth`.
        auth: AuthWord,
        /// The form of its access tokens: `jwt`, later also `opaque`.
        access_tokens: TokenForm = "jwt",
        /// Where browsers may be sent back to.
        redirect_uris: List<WebUrl> => later,
        /// Where browsers may be sent after signing out.
        post_logout_redirect_uris: List<WebUrl> => later,
        /// Where the client hears of a logout, from the authority.
        backchannel_logout_uri: WebUrl => later,
        /// Where the client hears of a logout, by the browser.
        frontchannel_logout_uri: WebUrl => later,
        /// A file with the client's public keys.
        jwks_file: FilePath => later,
    }
}

words! {
    /// How a client gets tokens.
    Grant {
        /// RFC 6749, section 4.4
        ClientCredentials = "client_credentials",
        /// RFC 6749, section 4.1
        AuthorizationCode = "authorization_code",
        /// RFC 6749, section 6
        RefreshToken = "refresh_token",
        /// RFC 6749, section 4.2
        Implicit = "implicit",
        /// RFC 6749, section 4.3
        Password = "password",
        /// RFC 8628
        DeviceCode = "device_code",
        /// RFC 8693
        TokenExchange = "token_exchange",
    }
}

words! {
    /// How a client authenticates.
    AuthWord {
        /// Not at all.
        None = "none",
        /// HTTP Basic.
        ClientSecretBasic = "client_secret_basic",
        /// In the form.
        ClientSecretPost = "client_secret_post",
        /// RFC 7523
        PrivateKeyJwt = "private_key_jwt",
        /// RFC 8705
        TlsClientAuth = "tls_client_auth",
    }
}

words! {
    /// The form of access tokens.
    TokenForm {
        /// RFC 9068
        Jwt = "jwt",
        /// A reference.
        Opaque = "opaque",
    }
}
