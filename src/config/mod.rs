//! The configuration file: from bytes to a valid [`model::Config`], or to every diagnostic at once.

pub mod model;
