//! The cluster: objects, gateway pods, and their admin ports.

mod admin;
mod connect;
mod error;
mod events;
mod objects;
mod pods;

pub use admin::{Admin, PodError, forward, read_status};
pub use connect::{Access, Scope, connect};
pub use error::{Ask, ClusterError};
pub use events::events;
pub use objects::{find, list};
pub use pods::{GatewayPod, gateway_pods};
