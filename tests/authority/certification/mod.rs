//! The checks of the OpenID Foundation's certification plans for providers (Basic, Implicit, Hybrid, Form Post, Config,
//! RP-Initiated Logout, Back-Channel Logout), as tests of our own over real sockets: one function for each module of the
//! conformance suite, named after it. The words of a module's comment are ours.
//!
//! Two things differ from the suite. Where it waits, the clock is moved. And the authority stands on loopback without
//! TLS, so that nothing here asks for https.

mod backchannel_logout;
mod basic;
mod checks;
mod config;
mod form_post;
mod hybrid;
mod implicit;
mod rp;
mod rp_initiated_logout;
