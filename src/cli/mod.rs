//! The commands.

pub mod sample_api;
