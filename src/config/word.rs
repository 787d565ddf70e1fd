//! The values of the format: each is written as a text, a number or a small table, and becomes a type that cannot be
//! wrong. What is refused is told with a code of its own and, inside a text, with the place.

pub mod claim;
pub mod faults;
pub mod json;
pub mod names;
pub mod net;
pub mod quantity;
pub mod secret;
pub mod token;
pub mod url;
