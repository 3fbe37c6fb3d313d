//! How the operator talks to the API server.

mod apply;
mod contents;
mod covers;
mod events;
#[cfg(test)]
pub mod fake;
mod status;

pub use apply::{Applier, ApplyError, fingerprint, is_owned_by};
pub use contents::{ConfigMaps, ContentError, Secrets};
pub use events::Events;
pub use status::{Statuses, patch_unreadable};
