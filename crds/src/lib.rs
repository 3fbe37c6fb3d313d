//! The API of Tokenweir: kinds, rules, conditions, and the compiler from objects to a gateway's configuration.
//!
//! Nothing here talks to an API server.

pub mod api;
pub mod certificate;
pub mod compile;
pub mod conditions;
mod duration;
pub mod file;
pub mod generate;
mod own_headers;
pub mod pattern;
mod rules;
pub mod schema;
mod span;

pub use duration::{Duration, DurationError};
pub use span::{Span, SpanError};
