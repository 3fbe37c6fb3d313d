//! What all controllers share: queues, the loop, back-off per object.

mod backoff;
mod controller;
mod queue;

pub use backoff::WatchBackoff;
pub use controller::{Class, Guarded, ReconcileError, Reconciler, run};
pub use queue::{Queue, Waiting};
