//! The Tokenweir gateway: the data plane.

pub mod admin;
mod answer;
pub mod clock;
pub mod drain;
pub mod endpoints;
pub mod meter;
pub mod metrics;
pub mod net;
pub mod source;
pub mod state;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod traces;
