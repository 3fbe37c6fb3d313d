//! The metrics adapter: an aggregated API server for `custom.metrics.k8s.io` and `external.metrics.k8s.io`.
//!
//! Every replica watches the gateway pods of the cluster and keeps one signal stream to each ([`signals`]). A request is
//! parsed ([`target`]), its caller checked ([`auth`]), and answered from what the pods last said ([`metrics_api`]) or from
//! fixed documents ([`discovery`], [`openapi`]). Values carry the time they were measured; a value that is too old is an
//! error, never a number.

pub mod app;
pub mod auth;
pub mod backoff;
pub mod cli;
pub mod clock;
pub mod discovery;
pub mod metrics_api;
pub mod named;
pub mod openapi;
pub mod readiness;
pub mod server;
pub mod signals;
pub mod status;
pub mod target;
pub mod telemetry;
pub mod tls;

#[cfg(test)]
mod fixtures;
