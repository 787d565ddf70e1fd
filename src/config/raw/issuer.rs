//! `[issuers.*]`

use crate::config::read::List;
use crate::config::table::{table, words};
use crate::config::word::names::{FilePath, NonEmpty};
use crate::config::word::quantity::{Memory, Period, Tolerance};
use crate::config::word::secret::SecretSource;
use crate::config::word::token::{AlgorithmName, TenantText, TokenTypeText};
use crate::config::word::url::{IssuerUrl, WebUrl};

table! {
    /// An Authorization Server whose access tokens are accepted, or at which browsers log in.
    Issuer, "[issuers.NAME]" {
        /// Its identifier, exactly as tokens have it in `iss`. Its metadata is read from there, unless `jwks_uri` or
        /// `jwks_file` is given. With `tenants`, one segment of its path is a name in braces that stands for the tenant.
        issuer: IssuerUrl => required,
        /// The tenants whose tokens are accepted, of a server that has an issuer for each. Each of them is an issuer of its
        /// own, named `NAME/TENANT`, with its own keys; `NAME` in a route means all of them.
        tenants: List<TenantText>,
        /// A token must name one of these in `aud`; for the profile `cognito`, in `client_id` when it has no `aud`. An issuer
        /// without any is there for logins only, and no route takes its tokens.
        audiences: List<NonEmpty>,
        /// Whose tokens these are; decides which `typ` values are accepted, by what access tokens are told from others, and how
        /// claims are named: docs/providers.md.
        profile: ProfileWord = "rfc9068",
        /// The accepted `typ` values, in place of the profile's; `absent` stands for tokens without `typ`.
        token_types: List<TokenTypeText>,
        /// Where its keys are, in place of discovery. With `tenants`, the name in braces stands in it too.
        jwks_uri: WebUrl,
        /// A file with its keys (a JWK Set), in place of discovery. Its content is watched.
        jwks_file: FilePath,
        /// The accepted signature algorithms. Default: all that are known, which are asymmetric.
        algorithms: List<AlgorithmName>,
        /// How far its clock may be off when `exp`, `nbf` and `iat` are judged; ten minutes at most.
        clock_skew: Tolerance = "30s",
        /// Claims that must be there, beside `iss`, `aud` and `exp`.
        required_claims: List<NonEmpty>,
        /// PEM file with certificate authorities for the issuer's URLs, in place of the system's.
        ca_file: FilePath,
        /// Whether its URLs may be http off loopback. Whoever sits on the way can then forge tokens.
        allow_http: bool = false,
        /// How long the last good keys serve while the issuer cannot be reached.
        max_stale: Period = "24h",
        /// The least time between two fetches of keys that tokens with unknown keys cause.
        refetch_cooldown: Memory = "5s",
        /// Which tokens the issuer is asked about, where there is a table `introspection`: `opaque` ones, or `always`, JWTs
        /// too, so that their revocation is seen; their signature is checked all the same.
        introspect: IntrospectWord = "opaque",
        /// Asking the issuer about tokens (RFC 7662).
        introspection: Introspection,
    }
}

words! {
    /// Whose token shape an issuer writes.
    ProfileWord {
        /// RFC 9068.
        Rfc9068 = "rfc9068",
        /// Okta.
        Okta = "okta",
        /// Auth0.
        Auth0 = "auth0",
        /// Microsoft Entra ID.
        Entra = "entra",
        /// Keycloak.
        Keycloak = "keycloak",
        /// Amazon Cognito.
        Cognito = "cognito",
    }
}

words! {
    /// Which tokens an issuer is asked about.
    IntrospectWord {
        /// Those that are no JWTs.
        Opaque = "opaque",
        /// All.
        Always = "always",
    }
}

table! {
    /// Asking the issuer about tokens (RFC 7662). A route takes opaque tokens of one issuer at most.
    Introspection, "[issuers.NAME.introspection]" {
        /// The introspection endpoint. Default: from the issuer's metadata. Written here, it works without them.
        endpoint: WebUrl,
        /// The client id of the gateway at the issuer.
        client_id: NonEmpty => required,
        /// The client secret of the gateway at the issuer, for `basic` and `post`.
        client_secret: SecretSource,
        /// How the gateway authenticates: `basic`, `post`, `private_key_jwt` or `mtls`. Without it and without a secret,
        /// `private_key` means `private_key_jwt`, and with `certificate` `mtls`.
        auth: ClientAuthWord = "basic",
        /// PEM file with the gateway's private key, for `private_key_jwt` and `mtls`.
        private_key: FilePath,
        /// The `kid` by which the issuer knows the key of `private_key_jwt`.
        key_id: NonEmpty,
        /// PEM file with the gateway's certificate chain, for `mtls`.
        certificate: FilePath,
        /// Whether an answer may be without `aud`. One that is there must always name one of `audiences`.
        audience: AudienceWord = "required",
        /// What is asked for: `json`, or `jwt`, an answer that the issuer signs (RFC 9701).
        answer: AnswerWord = "json",
        /// How long a good answer is remembered, at most until the token's `exp`. So long a revocation may go unseen.
        cache: Memory = "30s",
        /// How long it is remembered that a token is not active.
        negative_cache: Memory = "5s",
        /// How long a token may take to judge, waiting included.
        timeout: Period = "3s",
        /// How much longer a good answer serves while the issuer cannot be asked, never beyond the token's `exp`.
        serve_stale: Memory = "0s",
    }
}

words! {
    /// How the gateway shows an issuer which client it is.
    ClientAuthWord {
        /// `client_secret_basic`
        Basic = "basic",
        /// `client_secret_post`
        Post = "post",
        /// RFC 7523
        PrivateKeyJwt = "private_key_jwt",
        /// RFC 8705
        Mtls = "mtls",
    }
}

words! {
    /// Whether an answer has to name an audience.
    AudienceWord {
        /// Without `aud` it is refused.
        Required = "required",
        /// It may be without `aud`.
        Optional = "optional",
    }
}

words! {
    /// The form of answers.
    AnswerWord {
        /// RFC 7662
        Json = "json",
        /// RFC 9701
        Jwt = "jwt",
    }
}
