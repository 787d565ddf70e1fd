//! Tollgate: a reverse-proxy gateway that enforces OAuth 2.0 access tokens.
//!
//! One word, one meaning, in code, configuration, documents and metrics:
//!
//! | word | meaning |
//! | --- | --- |
//! | issuer | an Authorization Server that we trust, as named in the config; its keys are bound to it |
//! | upstream | a resource server, or several replicas of one, behind the gateway |
//! | route | host + path + methods -> rules + upstream |
//! | principal | who the token speaks for: issuer, subject, client, scopes, claims, expiry, binding |
//! | permit | proof that a request was judged and may pass; only [`policy`] makes one, only a permit opens [`proxy`] |
//! | denial | an expected refusal: a closed list of codes ([`policy::denial`]) |
//! | fault | something broke: has a source chain and a side (client, upstream, issuer, store, gateway) |
//! | diagnostic | something wrong in the config file: code, place, help |
//! | snapshot | everything compiled from one config; immutable; a reload swaps it whole |
//! | exchange | one request and its response, from first byte to last; one log line and one set of metrics |
//! | authority | the embedded development Authorization Server; its [`faults`] are made on purpose |
//!
//! Modules import downward only, and `tests/layers.rs` holds them to it: ground ([`clock`], [`secret`], [`pattern`],
//! [`faults`]), means ([`observe`], [`fetch`], [`server`], [`store`]), words ([`config`]), judging ([`token`], [`policy`],
//! [`route`]), acting ([`session`], [`login`], [`proxy`]), request ([`gateway`], [`admin`]) and process ([`app`], [`cli`]). [`authority`] stands
//! aside and shares no verification code with the gateway, so that a misreading of a specification shows as a
//! disagreement.

// L0 ground
pub mod clock;
pub mod faults;
pub mod pattern;
pub mod secret;
// L1 means
pub mod fetch;
pub mod observe;
pub mod server;
pub mod store;
// L2 words
pub mod config;
// L3 judging
pub mod policy;
pub mod route;
pub mod token;
// L4 acting
pub mod login;
pub mod proxy;
pub mod session;
// L5 request
pub mod admin;
pub mod gateway;
// L6 process
pub mod app;
pub mod cli;
// aside
pub mod authority;
