//! The cluster: objects, gateway pods, and their admin ports.

mod admin;
mod client;
mod connect;
mod dry_run;
mod error;
mod events;
mod forwarded;
mod kubeconfig;
mod objects;
mod pods;
mod proxy;
mod signals;

pub use admin::{Admin, PodError, in_time, read_status};
pub use connect::{Access, Scope, connect, contexts};
pub use dry_run::{Judged, dry_run};
pub use error::{Ask, ClusterError, chain};
pub use events::events;
pub use forwarded::forward;
pub use objects::{find, list, namespaces};
pub use pods::{GatewayPod, gateway_pods};
pub use signals::Board;
