//! The addresses behind the Services that the configuration names.

mod local;
mod saved;
mod slices;
mod table;
mod watch;

pub use local::{LocalServices, Override, OverrideError};
pub use saved::SavedEndpoints;
pub use table::EndpointTable;
pub use watch::{Follow, follow};
