//! What the operator sees of the cluster: one watch for each kind, a store for each watch, and who is to be reconciled when
//! something changes.

mod caches;
mod feed;
mod queues;
mod router;
mod start;

pub use caches::{Caches, find, in_namespace, inner, readable};
pub use queues::{Inbox, Inboxes, Queues, names};
pub use router::Router;
pub use start::{Scope, start};

/// Label on every object that the operator makes, by which it watches them.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub const MANAGED_BY: &str = "tokenweir-operator";
