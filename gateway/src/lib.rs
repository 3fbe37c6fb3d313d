//! The Tokenweir gateway: the data plane.

pub mod clock;
pub mod drain;
pub mod endpoints;
pub mod meter;
pub mod traces;
