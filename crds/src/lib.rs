//! The API of Tokenweir: kinds, rules, conditions, and the compiler from objects to a gateway's configuration.
//!
//! Nothing here talks to an API server.

pub mod api;
pub mod compile;
pub mod conditions;
mod duration;
mod rules;

pub use duration::{Duration, DurationError};
