//! `[[routes]]` and `[[tests]]`

use crate::config::read::{Entries, List};
use crate::config::table::{table, words};
use crate::config::word::json::{Accepted, AnyTable, Claims};
use crate::config::word::names::{Expectation, HostText, MethodText, Name, NonEmpty, PathText, Pointer, Scope};
use crate::config::word::quantity::Period;
use crate::config::word::url::{RequestLine, WebUrl};

table! {
    /// Which requests go where, and what they need.
    Route, "[[routes]]" {
        /// Its name in logs and metrics. Default: `route-N` by its position.
        name: Name,
        /// The hosts: `api.example.com`, or `*.example.com` for all below it. Default: any host.
        hosts: List<HostText>,
        /// The path: `/orders/{id}` (one segment), `/files/{*rest}` (`/files`, `/files/` and all below). `/a/` is not `/a`.
        path: PathText => required,
        /// The methods. Default: all but CONNECT and TRACE. GET does not include HEAD.
        methods: List<MethodText>,
        /// The name of the upstream that gets the requests.
        upstream: NonEmpty => required,
        /// `token`: a valid token is needed. `optional`: no token is fine, a bad one is not. `public`: everybody.
        access: AccessKind = "token",
        /// Scopes of which a token must have all.
        scopes: List<Scope>,
        /// Scopes of which a token must have one.
        any_scope: List<Scope>,
        /// Claims that a token must have: a JSON Pointer, and the accepted value or values. A claim that is a list must
        /// contain one of them. As `{ "/department" = ["sales", "ops"] }`.
        claims: Entries<Pointer, Accepted>,
        /// The names of the issuers whose tokens are accepted. Default: all.
        issuers: List<NonEmpty>,
        /// Narrows the audiences of the issuers. Default: the issuers' audiences.
        audiences: List<NonEmpty>,
        /// What the upstream gets of the token: `pass` or `drop`; later also `client-credentials`, `exchange`, `assertion`.
        credential: CredentialWord = "pass",
        /// Cut from the front of the path before forwarding: literal segments, as `/v1`.
        strip_prefix: NonEmpty,
        /// The resource identifier (RFC 9728), in place of `public_url`.
        resource: WebUrl,
        /// `segment`: `%2F` is a plain character of its segment. Default: such a path is refused as ambiguous.
        encoded_slash: EncodedSlash,
        /// Authentication context classes, one of which a login must have had (RFC 9470).
        acr: List<NonEmpty> => later,
        /// How long ago a login may be (RFC 9470).
        max_age: Period => later,
        /// Takes only tokens that are bound to their sender: `dpop` (RFC 9449) or `mtls` (RFC 8705). Default: bound tokens are
        /// taken with their proof, others without.
        bind: BindWord,
        /// `report`: log what would be refused, and let it pass.
        mode: ModeWord => later,
        /// The name of the login that browsers without a session are sent to.
        login: NonEmpty,
        /// How often one caller may come.
        rate: AnyTable => later,
        /// Which origins' scripts may call.
        cors: AnyTable => later,
        /// Whether upgraded connections and event streams may go on after the token has expired.
        outlive_token: bool => later,
    }
}

words! {
    /// Who may use a route.
    AccessKind {
        /// A valid token is needed.
        Token = "token",
        /// No token is fine, a bad one is not.
        Optional = "optional",
        /// Everybody.
        Public = "public",
    }
}

words! {
    /// What the upstream gets of the caller's credential.
    CredentialWord {
        /// As it came.
        Pass = "pass",
        /// Nothing.
        Drop = "drop",
        /// A token of the gateway's own.
        ClientCredentials = "client-credentials",
        /// A token by RFC 8693.
        Exchange = "exchange",
        /// A statement that the gateway signs.
        Assertion = "assertion",
    }
}

words! {
    /// How an encoded slash is taken.
    EncodedSlash {
        /// As a plain character.
        Segment = "segment",
    }
}

words! {
    /// How a token is bound to its sender.
    BindWord {
        /// RFC 9449
        Dpop = "dpop",
        /// RFC 8705
        Mtls = "mtls",
    }
}

words! {
    /// Whether a route enforces.
    ModeWord {
        /// It does; the default.
        Enforce = "enforce",
        /// It only reports.
        Report = "report",
    }
}

table! {
    /// A request with the outcome that it must have.
    Test, "[[tests]]" {
        /// Method and absolute URL.
        request: RequestLine => required,
        /// The claims of the token. Without it the request has no token. `iss`, `aud` and `exp` get good values unless given.
        /// With `cnf` it is bound to its sender, who counts as having proven it.
        claims: Claims,
        /// `allow`, or the code of the denial, such as `insufficient_scope`.
        expect: Expectation => required,
    }
}
