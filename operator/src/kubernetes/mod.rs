//! How the operator talks to the API server.

mod apply;
mod covers;
mod events;
#[cfg(test)]
pub mod fake;
mod secrets;
mod status;

pub use apply::{Applier, ApplyError, fingerprint, is_owned_by};
pub use events::Events;
pub use secrets::{SecretError, Secrets};
pub use status::{Statuses, patch_unreadable};
