//! The compiled configuration of a gateway, as the operator writes it and the gateway serves it.
//!
//! Plain serde types that both sides share: no Kubernetes, no sockets. The compiler in `tokenweir-crds` makes a
//! [`Snapshot`] out of custom resources; [`shards`] cuts it into pieces that fit Kubernetes Secrets; [`keys`] and
//! [`admin_token`] hold the two ways in which a caller proves who it is.

pub mod admin_token;
mod credential;
mod edge;
mod headers;
pub mod keys;
mod matching;
pub mod money;
pub mod names;
pub mod price;
mod resilience;
mod route;
pub mod service_account;
pub mod shards;
mod snapshot;
pub mod status;

pub use credential::{AwsCredential, Credential, HeaderCredential};
pub use edge::{KeyPair, Limits, Proxy, UpstreamTls};
pub use headers::{HeaderChanges, HeaderLine};
pub use matching::{FieldCondition, HeaderCondition, RouteMatch, ValueTest};
pub use resilience::{ActiveProbe, Health, Hedge, Outlier, Selection, SelectionMode};
pub use route::{Backend, Retry, RetryOn, Route};
pub use snapshot::{
    Admission, FORMAT, GatewayRef, KeyScope, Listener, Model, Order, Provider, ProviderKind, ProviderLimits, Queue,
    ScopeArea, ServiceRef, Snapshot, SnapshotError, Telemetry, Tenant, TenantKey, TenantLimits, Timeouts, Upstream,
};
