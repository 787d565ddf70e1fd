//! `[authority]`: the embedded development Authorization Server.

use crate::config::read::{Entries, List, PerhapsEmpty, Tables};
use crate::config::table::{table, words};
use crate::config::word::faults::{FaultWord, PlaceWord};
use crate::config::word::json::Claims;
use crate::config::word::names::{FilePath, NonEmpty, Scope};
use crate::config::word::net::Listen;
use crate::config::word::quantity::{Count, Memory, Period};
use crate::config::word::secret::SecretSource;
use crate::config::word::url::{IssuerUrl, RedirectUri, WebUrl};

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
        /// How long an authorization code can be redeemed.
        code_lifetime: Period = "60s",
        /// A refresh token that is not used for this long ends.
        refresh_token_idle: Period = "1d",
        /// Refresh tokens end this long after the person signed in, used or not.
        refresh_token_lifetime: Period = "30d",
        /// How long the refresh token that was rotated last may be used again, as long as its successor was not.
        refresh_token_grace: Memory = "10s",
        /// How long a browser stays signed in.
        session_lifetime: Period = "12h",
        /// Whether DPoP proofs have to carry a nonce of the authority.
        dpop_nonce: bool = false,
        /// Whether it may listen off loopback.
        allow_remote: bool = false,
        /// Serving TLS. The issuer then begins with `https`.
        tls: AuthorityTls,
        /// Faults to make on purpose, for tests of clients.
        faults: AuthorityFaults,
        /// The form of access tokens for a `resource` that a client asks for (RFC 8707), whatever its usual one: `jwt` or
        /// `opaque`.
        resources: Entries<NonEmpty, TokenForm>,
        /// What scopes mean, in words for the page that asks the person to agree.
        scopes: Entries<Scope, NonEmpty>,
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
        /// PEM file with the authorities that vouch for the certificates of `tls_client_auth`. Any certificate is taken in the
        /// handshake; what it proves is decided by the client's registration.
        client_ca: FilePath,
    }
}

table! {
    /// Faults to make on purpose, for tests of clients. `docs/authority.md` has the list.
    AuthorityFaults, "[authority.faults]" {
        /// The address of the endpoint that turns faults on and off and rotates keys; loopback, always. Default: none.
        control: Listen,
        /// Faults that are on from the start: `[[authority.faults.on]]`.
        on: Tables<AuthorityFault>,
    }
}

table! {
    /// A fault that is on from the start.
    AuthorityFault, "[[authority.faults.on]]" {
        /// Which.
        fault: FaultWord => required,
        /// Where: in which kind of token or at which endpoint. Default: the fault's usual place.
        at: PlaceWord,
        /// How often; then it is off. Default: always.
        count: Count<1_000_000>,
        /// How long `slow` takes; 5 s by default, ten minutes at most.
        delay: Period,
        /// The status of `status`, 503 by default, or of `html`, 200 by default.
        status: Count<599>,
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
        /// The grants that it may use: `authorization_code`, `refresh_token`, `client_credentials`, `device_code`,
        /// `token_exchange`, and the discouraged `implicit` and `password`. Empty: it only introspects.
        grants: PerhapsEmpty<Grant> => required,
        /// The scopes that it may ask for.
        scopes: List<Scope>,
        /// How it authenticates: `client_secret_basic` or `client_secret_post`, default either; `none` for a public
        /// client; `private_key_jwt` (RFC 7523); `tls_client_auth` or `self_signed_tls_client_auth` (RFC 8705).
        auth: AuthWord,
        /// The form of its access tokens: `jwt`, or `opaque`, which only introspection understands.
        access_tokens: TokenForm = "jwt",
        /// What its tokens are signed with.
        signing_alg: SigningWord = "RS256",
        /// Whether all its access tokens are bound to a key that it proves to have (DPoP). Otherwise those are that it asks
        /// for with a proof.
        dpop_bound_access_tokens: bool = false,
        /// Where browsers may be sent back to, compared character by character. For a public client the port of a
        /// loopback IP address is free.
        redirect_uris: List<RedirectUri>,
        /// Where browsers may be sent after signing out.
        post_logout_redirect_uris: List<RedirectUri>,
        /// Where the client hears of a logout, from the authority.
        backchannel_logout_uri: WebUrl,
        /// Where the client hears of a logout, by the browser.
        frontchannel_logout_uri: WebUrl,
        /// A file with the client's public keys, a JWK Set, for `private_key_jwt`.
        jwks_file: FilePath,
        /// PEM file with the certificates of which it shows one, for `self_signed_tls_client_auth`.
        certificate_file: FilePath,
        /// The subject of its certificate, as RFC 4514 writes it (`"CN=web,O=Acme"`), for `tls_client_auth`, which takes one
        /// of these five names.
        tls_client_auth_subject_dn: NonEmpty,
        /// A host name among the alternative names of its certificate.
        tls_client_auth_san_dns: NonEmpty,
        /// A URI among them.
        tls_client_auth_san_uri: NonEmpty,
        /// An IP address among them.
        tls_client_auth_san_ip: NonEmpty,
        /// A mail address among them.
        tls_client_auth_san_email: NonEmpty,
        /// Whether all its access tokens are bound to the certificate of the connection on which it asks for them.
        tls_client_certificate_bound_access_tokens: bool = false,
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
        /// RFC 8705, section 2.1
        TlsClientAuth = "tls_client_auth",
        /// RFC 8705, section 2.2
        SelfSignedTlsClientAuth = "self_signed_tls_client_auth",
    }
}

words! {
    /// A signature algorithm.
    SigningWord {
        /// RSASSA-PKCS1-v1_5
        Rs256 = "RS256",
        /// P-256
        Es256 = "ES256",
        /// Ed25519
        EdDsa = "EdDSA",
        /// RSASSA-PSS
        Ps256 = "PS256",
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
