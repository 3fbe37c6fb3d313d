//! The addresses behind the Services that the configuration names.

mod slices;
mod table;
mod watch;

pub use table::EndpointTable;
pub use watch::follow;
