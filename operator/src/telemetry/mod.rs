//! What the operator tells about itself: metrics, health, readiness.

mod health;
mod metrics;
mod server;

pub use health::Health;
pub use metrics::{Metrics, Outcome, QueueDepth};
pub use server::{ServeError, serve};
