//! The cluster: objects, gateway pods, and their admin ports.

mod admin;
mod connect;
mod dry_run;
mod error;
mod events;
mod objects;
mod pods;
mod signals;

pub use admin::{Admin, PodError, forward, in_time, read_status};
pub use connect::{Access, Scope, connect};
pub use dry_run::{Judged, dry_run};
pub use error::{Ask, ClusterError, chain};
pub use events::events;
pub use objects::{find, list};
pub use pods::{GatewayPod, gateway_pods};
pub use signals::Board;
