//! The format, key by key: what the file says, with places, before anything is checked against anything else.
//!
//! The doc comments here are the reference that users read: editors show them by the JSON Schema, and
//! `docs/configuration.md` prints them. A default stands beside its key and nowhere else.

pub mod authority;
pub mod dpop;
pub mod issuer;
pub mod login;
pub mod pages;
pub mod route;
pub mod server;

use super::read::{Entries, Tables};
use super::table::table;
use super::word::names::{IdentityHeader, Name, Pointer};

table! {
    /// The configuration of Tollgate.
    Root, "the file" {
        /// Where and how the gateway listens.
        server: server::Server,
        /// The admin listener: `/metrics`, `/healthz`, `/readyz`, `/config`, `/revocations`, `/sessions`, and a status page.
        /// Without the table there is none.
        admin: server::Admin,
        /// Refusing tokens before they expire, as `POST /revocations` of the admin listener orders it.
        revocation: server::Revocation,
        /// A Redis or Valkey server, or a cluster, by which replicas share sessions, revocations and DPoP proofs.
        redis: server::Redis,
        /// The Authorization Servers whose tokens are accepted, by name: `[issuers.NAME]`.
        issuers: Entries<Name, issuer::Issuer>,
        /// The APIs behind the gateway, by name: `[upstreams.NAME]`.
        upstreams: Entries<Name, server::Upstream>,
        /// Which requests go where, and what they need: `[[routes]]`. What no route matches is refused. The most specific
        /// route wins: by host, then path, then method.
        routes: Tables<route::Route>,
        /// Rule sets that routes share, by name: `[rules.NAME]`.
        rules: Entries<Name, route::RuleSet>,
        /// Requests with the outcome that they must have: `[[tests]]`. `tollgate check` runs them, without network.
        tests: Tables<route::Test>,
        /// Further headers that tell the upstream who is calling: the name of a header, and a JSON Pointer to the claim,
        /// as `"X-Auth-Email" = "/email"`. What clients send of them is removed.
        identity_headers: Entries<IdentityHeader, Pointer>,
        /// Proofs of possession (RFC 9449): what they are held to.
        dpop: dpop::Dpop,
        /// What is logged, and how.
        log: server::Log,
        /// Browser logins by OpenID Connect, by name: `[logins.NAME]`.
        logins: Entries<Name, login::Login>,
        /// Where browser sessions are kept.
        sessions: login::Sessions,
        /// Files in place of the gateway's own pages; docs/logins.md says what may stand in them.
        pages: pages::Pages,
        /// The embedded Authorization Server, for development only. Without the table there is none.
        authority: authority::Authority,
    }
}
