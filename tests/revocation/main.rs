//! Tokens that are refused before they expire: what the admin listener takes, that a token which was good a moment ago is
//! refused by the next request, and that replicas agree.

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod desk;
mod replicas;
mod world;
