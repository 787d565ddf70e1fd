//! `[[routes]]`, `[rules.*]` and `[[tests]]`

use crate::config::read::{Entries, List};
use crate::config::table::{table, words};
use crate::config::word::claim::ClaimRule;
use crate::config::word::json::{AnyTable, Claims};
use crate::config::word::names::{
    AcrValue, Expectation, HostText, MethodText, Name, NonEmpty, PathText, Pointer, Scope, TokenPlace,
};
use crate::config::word::quantity::{Memory, Period};
use crate::config::word::url::{OriginUrl, RequestLine, WebUrl};

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
        /// `token`: a valid token is needed. `optional`: no token is fine, a bad one is not, and credentials of other
        /// schemes, such as Basic, are the upstream's to judge. `public`: everybody.
        access: AccessKind = "token",
        /// The names of the rule sets `[rules.NAME]` that must hold as well.
        rules: List<NonEmpty>,
        /// Scopes of which a token must have all.
        scopes: List<Scope>,
        /// Scopes of which a token must have one.
        any_scope: List<Scope>,
        /// Claims that a token must have: a JSON Pointer, and what must hold there. A value, or a list of values: the claim
        /// equals one, or is a list that contains one, as `{ "/department" = ["sales", "ops"] }`. `{ equals = ... }` and
        /// `{ one_of = [...] }`: it equals one. `{ contains = ... }`: it is a list with this element. `{ exists = true }`: it
        /// is there and not null. The text `"{tenant}"` stands for the value of `{tenant}` in the path, `"{{x}}"` for the
        /// text `{x}`.
        claims: Entries<Pointer, ClaimRule>,
        /// The names of the issuers whose tokens are accepted. Default: all.
        issuers: List<NonEmpty>,
        /// Narrows the audiences of the issuers: `aud` must name one of these too. Default: the issuers' audiences.
        audiences: List<NonEmpty>,
        /// The clients whose tokens are accepted: `client_id`, or the claim that the issuer's profile has in its place.
        client_ids: List<NonEmpty>,
        /// Authentication context classes, one of which the login must have had (`acr`). Others are asked to step up (RFC 9470).
        acr: List<AcrValue>,
        /// How long ago the login (`auth_time`) may be. Others, and tokens that do not say, are asked to step up (RFC 9470).
        max_age: Period,
        /// How long a token must still be good, so that it does not expire on its way through slower services.
        min_remaining_life: Period,
        /// How long a token may live from `iat` to `exp`. A token that does not say when it was issued is refused.
        max_total_life: Period,
        /// What the upstream gets of the token: `pass` or `drop`; later also `client-credentials`, `exchange`, `assertion`.
        credential: CredentialWord = "pass",
        /// Cut from the front of the path before forwarding: literal segments, as `/v1`.
        strip_prefix: NonEmpty,
        /// The resource identifier (RFC 9728), in place of `public_url`.
        resource: WebUrl,
        /// `segment`: `%2F` is a plain character of its segment. Default: such a path is refused as ambiguous.
        encoded_slash: EncodedSlash,
        /// Takes only tokens that are bound to their sender: `dpop` (RFC 9449) or `mtls` (RFC 8705). Default: bound tokens are
        /// taken with their proof, others without.
        bind: BindWord,
        /// Where a bearer token may come beside `Authorization`, from senders that cannot set headers. It is taken out of its
        /// place before the request is forwarded; with `credential = "pass"` the upstream gets it in `Authorization`. Two
        /// credentials on one request are refused. Default: nowhere.
        token_from: TokenFrom,
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

table! {
    /// Places in which a route takes a bearer token beside `Authorization`.
    TokenFrom, "[routes.token_from]" {
        /// A parameter of the query, for browsers' WebSockets and event streams: `access_token` is the usual name (RFC 6750,
        /// section 2.3). It is never logged here; what stands in front of the gateway may log it.
        query: TokenPlace,
        /// A WebSocket subprotocol: this name, a dot, and the token in base64url without padding. Kubernetes' name is
        /// `base64url.bearer.authorization.k8s.io`. Another subprotocol has to be offered beside it, from which the upstream
        /// chooses.
        subprotocol: TokenPlace,
        /// A cookie that another application sets; its value is the token. What another site makes a browser send with it is
        /// refused (`cross_site`), unless its method is safe and it is no WebSocket.
        cookie: TokenPlace,
        /// Further origins whose pages may send such requests. Default: only the origin that the request is for.
        cookie_origins: List<OriginUrl>,
    }
}

table! {
    /// What several routes ask alike: a route names it in `rules`. It only ever adds: everything that it and the route
    /// ask must hold.
    RuleSet, "[rules.NAME]" {
        /// Scopes of which a token must have all.
        scopes: List<Scope>,
        /// Scopes of which a token must have one.
        any_scope: List<Scope>,
        /// Claims that a token must have: a JSON Pointer, and what must hold there. A value, or a list of values: the claim
        /// equals one, or is a list that contains one, as `{ "/department" = ["sales", "ops"] }`. `{ equals = ... }` and
        /// `{ one_of = [...] }`: it equals one. `{ contains = ... }`: it is a list with this element. `{ exists = true }`: it
        /// is there and not null. The text `"{tenant}"` stands for the value of `{tenant}` in the path, `"{{x}}"` for the
        /// text `{x}`.
        claims: Entries<Pointer, ClaimRule>,
        /// The names of the issuers whose tokens are accepted. Default: all.
        issuers: List<NonEmpty>,
        /// Narrows the audiences of the issuers: `aud` must name one of these too. Default: the issuers' audiences.
        audiences: List<NonEmpty>,
        /// The clients whose tokens are accepted: `client_id`, or the claim that the issuer's profile has in its place.
        client_ids: List<NonEmpty>,
        /// Authentication context classes, one of which the login must have had (`acr`). Others are asked to step up (RFC 9470).
        acr: List<AcrValue>,
        /// How long ago the login (`auth_time`) may be. Others, and tokens that do not say, are asked to step up (RFC 9470).
        max_age: Period,
        /// How long a token must still be good, so that it does not expire on its way through slower services.
        min_remaining_life: Period,
        /// How long a token may live from `iat` to `exp`. A token that does not say when it was issued is refused.
        max_total_life: Period,
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
        /// How long before the request the user signed in: sets `auth_time`, for routes with `max_age`.
        signed_in: Memory,
        /// `allow`, or the code of the denial, such as `insufficient_scope`.
        expect: Expectation => required,
    }
}
