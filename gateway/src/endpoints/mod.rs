//! The addresses behind the Services that the configuration names.

mod table;

pub use table::EndpointTable;
