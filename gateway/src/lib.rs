//! The Tokenweir gateway: the data plane.

pub mod clock;
pub mod drain;
pub mod endpoints;
pub mod meter;
pub mod metrics;
pub mod source;
pub mod state;
#[cfg(test)]
mod testing;
pub mod traces;
