//! What models cost.
//!
//! - [`cost`] works out what an attempt cost, and [`worst_case`] what a request can cost at most.
//! - [`bundled`] is a dated table of what the providers that we speak to charge, from two sources.
//! - [`Counts`] are the tokens of an attempt, each counted once.
//!
//! Money is in integers throughout. A price is an integer of nano-USD for a million tokens, so that a token costs an
//! integer of femto-USD (10⁻¹⁵ dollars); these are added up exactly and rounded up to a nano-USD once, at the end.

mod bound;
mod compare;
mod cost;
mod counts;
mod model;
mod names;
mod table;

pub use bound::{Bounds, CacheWrites, worst_case};
pub use compare::Disagreement;
pub use cost::{Cost, Femto, Kind, cost};
pub use counts::{Counts, Reported};
pub use model::Priced;
pub use names::Family;
pub use table::{Entry, Found, Source, Tables, bundled};
