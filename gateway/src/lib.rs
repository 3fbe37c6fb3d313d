//! The Tokenweir gateway: the data plane.

pub mod admin;
pub mod admission;
mod answer;
pub mod app;
pub mod auth;
mod banner;
pub mod cli;
pub mod clock;
mod dataplane;
pub mod drain;
mod encoding;
pub mod endpoints;
pub mod health;
pub mod http;
pub mod meter;
pub mod metrics;
pub mod net;
pub mod plan;
mod preflight;
pub mod relay;
pub mod selection;
pub mod server;
pub mod source;
pub mod state;
mod statedir;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod traces;
pub mod upstream;
