//! What is wrong with a configuration file: a code that never changes, a message, the places, and the way out.
//!
//! The codes are a closed list; `docs/diagnostics.md` explains each. Texts may get better, codes stay, so that scripts
//! can rely on them. How a diagnostic looks is [`render`]'s to decide; it masks secrets in every excerpt.

use std::ops::Range;

pub mod mask;
pub mod render;

/// Bytes of the file's text.
pub type Span = Range<usize>;

/// Whether a problem keeps the file from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is used, but probably does something else than its author thinks.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $severity:ident;)+) => {
        /// The closed list of what can be wrong with a configuration file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code, in the order of the documents.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable name, in kebab case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Whether it keeps the file from being used.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// What it means, for the documents.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+),)+ }
            }
        }
    };
}

codes! {
    // The file as such.
    /// The file cannot be read.
    Unreadable = "unreadable", Error;
    /// The file is not UTF-8 text.
    NotUtf8 = "not-utf8", Error;
    /// The text is not TOML at this place. The statement is skipped and the rest of the file is still checked.
    Syntax = "syntax", Error;
    /// A key or a table is written twice.
    DuplicateKey = "duplicate-key", Error;
    /// No such key exists in this table. Keys are never ignored: a misspelt rule would be a rule that is not enforced.
    UnknownKey = "unknown-key", Error;
    /// A key that the table cannot do without is absent.
    MissingKey = "missing-key", Error;
    /// The value is of another type than the key takes.
    WrongType = "wrong-type", Error;
    /// The word is none of those that the key takes.
    UnknownWord = "unknown-word", Error;
    /// The number, duration or size is outside what makes sense.
    OutOfRange = "out-of-range", Error;
    /// A list without elements. Leave the key out to get its default.
    EmptyList = "empty-list", Error;
    /// An empty string where a text is needed.
    EmptyText = "empty-text", Error;
    /// The same element stands twice in one list.
    DuplicateItem = "duplicate-item", Error;
    /// The key belongs to the format, but this version of Tollgate does not act on it yet; it refuses rather than ignores.
    NotSupportedYet = "not-supported-yet", Error;

    // Values.
    /// Not a duration: a number and a unit, such as `"10s"` or `"500ms"`.
    BadDuration = "bad-duration", Error;
    /// Not a size: an integer of bytes or a string such as `"64KiB"`.
    BadSize = "bad-size", Error;
    /// Not an address to listen on: an IP address and a port.
    BadAddress = "bad-address", Error;
    /// Neither an IP address nor a network such as `"10.0.0.0/8"`.
    BadNetwork = "bad-network", Error;
    /// Not a URL, or one with parts that do not belong here.
    BadUrl = "bad-url", Error;
    /// An issuer identifier with a query, a fragment or user information (RFC 8414, section 2), or with braces that are not one
    /// segment of its path.
    BadIssuer = "bad-issuer", Error;
    /// Not an origin: `https://host` or `https://host:port`, without a path.
    BadOrigin = "bad-origin", Error;
    /// A server of an upstream is not `http://`, `https://` or `h2c://` with a host and perhaps a port.
    BadServer = "bad-server", Error;
    /// A name with other characters than letters, digits, `-`, `_` and `.`.
    BadName = "bad-name", Error;
    /// Not a host name or `*.` and a host name.
    BadHost = "bad-host", Error;
    /// Not a path pattern.
    BadPath = "bad-path", Error;
    /// A wildcard as other gateways write it, `*` or `:name`: it stands for itself.
    LiteralWildcard = "literal-wildcard", Warning;
    /// Not a request method, or one that a gateway does not forward.
    BadMethod = "bad-method", Error;
    /// Not one scope (RFC 6749, section 3.3): a scope has no blanks, quotes or backslashes.
    BadScope = "bad-scope", Error;
    /// Not an authentication context class: printable ASCII without blanks, quotes and backslashes.
    BadAcr = "bad-acr", Error;
    /// Not a JSON Pointer into the claims (RFC 6901), such as `"/department"`.
    BadPointer = "bad-pointer", Error;
    /// Not a header name.
    BadHeader = "bad-header", Error;
    /// A header that the gateway or HTTP itself needs; a claim must not overwrite it.
    ReservedHeader = "reserved-header", Error;
    /// Not a tenant: letters, digits, `-`, `.`, `_` and `~`, as they stand in `iss`.
    BadTenant = "bad-tenant", Error;
    /// Not a `typ` value.
    BadTokenType = "bad-token-type", Error;
    /// Not a filter of the diagnostic log.
    BadLogLevel = "bad-log-level", Error;
    /// Not a signature algorithm that Tollgate knows.
    UnknownAlgorithm = "unknown-algorithm", Error;
    /// `none` or an HMAC: tokens that everybody, or everybody who can check them, could forge.
    ForgeableAlgorithm = "forgeable-algorithm", Error;
    /// A secret that is neither a text nor `{ file = "..." }` nor `{ env = "..." }`.
    BadSecret = "bad-secret", Error;
    /// A key that seals sessions is too short to be one that nobody guesses.
    ShortKey = "short-key", Error;
    /// A value that no claim is compared with: a date, a table that names no test, or a text in braces that names no parameter.
    BadClaimValue = "bad-claim-value", Error;

    // Files and environment.
    /// A file that the configuration names cannot be read.
    FileUnreadable = "file-unreadable", Error;
    /// A certificate file without a certificate, or with a broken one.
    BadCertificate = "bad-certificate", Error;
    /// A key file without a private key, or with a broken one.
    BadPrivateKey = "bad-private-key", Error;
    /// A file that is not a JWK Set (RFC 7517, section 5) with at least one key.
    BadJwks = "bad-jwks", Error;
    /// A template of a page with something in it that pages cannot have, or without what the page is for.
    BadTemplate = "bad-template", Error;
    /// An environment variable that the configuration names is not set, or empty.
    EnvMissing = "env-missing", Error;
    /// A secret is empty.
    EmptySecret = "empty-secret", Error;
    /// A secret stands in the file itself, so everybody who can read the file has it.
    InlineSecret = "inline-secret", Warning;

    // Between keys.
    /// Two keys that exclude each other.
    Conflict = "conflict", Error;
    /// The key has no effect beside the others.
    NoEffect = "no-effect", Warning;
    /// Two listeners want the same address.
    DuplicateListen = "duplicate-listen", Error;
    /// The admin listener can be reached from other machines.
    AdminExposed = "admin-exposed", Warning;
    /// Every peer's `Forwarded` headers would be believed.
    TrustsEveryone = "trusts-everyone", Warning;
    /// A URL of an issuer or of a login is http and not on loopback: whoever sits between could replace keys or steal sessions.
    InsecureUrl = "insecure-url", Error;
    /// http URLs of an issuer are allowed off loopback.
    HttpAllowed = "http-allowed", Warning;
    /// `tenants` and the rest of an issuer do not fit together: which tenants are trusted, or whose keys are good for whom,
    /// would be left to chance.
    TenantMismatch = "tenant-mismatch", Error;
    /// Two tables describe the same issuer; keys and rules would depend on chance.
    DuplicateIssuer = "duplicate-issuer", Error;

    // Routes.
    /// Nothing to do: no routes, and no authority either.
    NoRoutes = "no-routes", Error;
    /// A route needs tokens, but no issuer is configured whose tokens could be accepted.
    NoIssuers = "no-issuers", Error;
    /// The upstream that the route names does not exist.
    UnknownUpstream = "unknown-upstream", Error;
    /// The name is not one of the logins.
    UnknownLogin = "unknown-login", Error;
    /// A login, its callback and the routes that use it do not fit together: browsers could not log in.
    LoginMismatch = "login-mismatch", Error;
    /// The issuer that is named does not exist.
    UnknownIssuer = "unknown-issuer", Error;
    /// A route takes opaque tokens of two issuers; nothing in such a token says whose it is.
    AmbiguousIntrospection = "ambiguous-introspection", Error;
    /// The rule set that the route names does not exist.
    UnknownRuleSet = "unknown-rule-set", Error;
    /// A claim is compared with a path parameter that the route's path does not have.
    UnknownParameter = "unknown-parameter", Error;
    /// Two routes have the same name; logs and metrics could not tell them apart.
    DuplicateRoute = "duplicate-route", Error;
    /// Two routes match the same requests, and neither is more specific.
    AmbiguousRoutes = "ambiguous-routes", Error;
    /// The route is public and has rules, which would never be looked at.
    PublicWithRules = "public-with-rules", Error;
    /// No token can ever satisfy the rules of the route.
    RuleNeverHolds = "rule-never-holds", Error;
    /// What is stripped is not a literal beginning of the path.
    BadStripPrefix = "bad-strip-prefix", Error;
    /// An audience of a route is none of its issuers', so tokens would have to name both.
    AudienceNotNarrowing = "audience-not-narrowing", Warning;
    /// No request ever gets to the route.
    UnreachableRoute = "unreachable-route", Warning;
    /// On some hosts another route takes the requests of this one.
    ShadowedRoute = "shadowed-route", Warning;
    /// What a protected route does not match falls to a public one.
    PublicBesideProtected = "public-beside-protected", Warning;
    /// An upstream that no route uses.
    UnusedUpstream = "unused-upstream", Warning;
    /// A rule set that no route uses.
    UnusedRuleSet = "unused-rule-set", Warning;

    // Policy tests.
    /// Not `"METHOD https://host/path"`.
    BadRequest = "bad-request", Error;
    /// Neither `allow` nor a denial code.
    UnknownExpectation = "unknown-expectation", Error;

    // The authority.
    /// The development authority would be reachable from other machines.
    AuthorityExposed = "authority-exposed", Error;
    /// The authority's issuer does not lead to the address that it listens on.
    AuthorityIssuer = "authority-issuer", Error;
    /// No issuer of the configuration is the authority, so the gateway refuses its tokens.
    AuthorityUntrusted = "authority-untrusted", Warning;
    /// Two users have the same name.
    DuplicateUser = "duplicate-user", Error;
    /// Two clients have the same id.
    DuplicateClient = "duplicate-client", Error;
    /// The way in which a client authenticates, its grants, and the secret, keys or certificates that it has do not fit
    /// together. The client is one of the authority, or the gateway where it asks an issuer about tokens.
    ClientAuth = "client-auth", Error;
    /// A client of the authority has a grant that sends browsers back, but no redirect URI.
    RedirectUri = "redirect-uri", Error;
    /// A fault that is ordered of the authority, and cannot happen there or with these details.
    FaultOrder = "fault-order", Error;
}

/// One place of a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where in the file.
    pub span: Span,
    /// What is there; may be empty.
    pub text: String,
}

/// One problem of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of problem; also says how severe.
    pub code: Code,
    /// What is wrong, for a person: one sentence, no capital, no full stop.
    pub message: String,
    /// The place, then others that belong to it. Empty when the file as a whole is meant.
    pub labels: Vec<Label>,
    /// The way out.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic without a place yet.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), labels: Vec::new(), help: None }
    }

    /// Adds a place; the first is where the caret goes.
    #[must_use]
    pub fn at(mut self, span: &Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span: span.clone(), text: text.into() });
        self
    }

    /// Names the way out.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Whether the file is refused for it.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Where it stands in the file, for sorting.
    pub(super) fn position(&self) -> usize {
        self.labels.first().map_or(0, |label| label.span.start)
    }
}

/// The text of a configuration file, with what is needed to show parts of it.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file's name as the user gave it.
    pub name: String,
    /// The text as it is shown: secrets are masked, and every byte keeps its place.
    pub(super) shown: String,
}

impl Source {
    /// Line and column of a diagnostic's first place, from 1; of none, the start of the file.
    #[must_use]
    pub fn place(&self, diagnostic: &Diagnostic) -> (usize, usize) {
        self.line_column(diagnostic.position())
    }
}

/// Everything that is wrong with one file; at least one of it is an error.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// What the places refer to.
    pub source: Source,
}

impl Report {
    /// How many of the diagnostics have this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity() == severity).count()
    }

    /// For a person: place, excerpt and way out of each.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        render::text(&self.diagnostics, &self.source, colour)
    }

    /// For a program.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        render::json(&self.diagnostics, &self.source)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&render::text(&self.diagnostics, &self.source, false))
    }
}

impl std::error::Error for Report {}
