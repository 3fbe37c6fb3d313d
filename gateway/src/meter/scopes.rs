//! What the configuration has: the bounds of every label.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokenweir_config::Snapshot;

use super::series::SeriesKey;

/// Routes, tenants and providers of one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    /// Generation of the configuration.
    pub generation: u64,
    /// Model name or glob by route name.
    pub routes: BTreeMap<Arc<str>, Arc<str>>,
    /// Tenants by name.
    pub tenants: BTreeSet<Arc<str>>,
    /// Providers by name.
    pub providers: BTreeSet<Arc<str>>,
}

impl Scopes {
    /// The scopes of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            generation: snapshot.generation,
            routes: snapshot
                .routes
                .iter()
                .map(|(name, route)| (Arc::from(name.as_str()), Arc::from(route.model.as_str())))
                .collect(),
            tenants: snapshot.tenants.keys().map(|name| Arc::from(name.as_str())).collect(),
            providers: snapshot.providers.keys().map(|name| Arc::from(name.as_str())).collect(),
        }
    }

    /// Whether the configuration still has the route and the tenant of a series.
    pub(super) fn contain(&self, key: &SeriesKey) -> bool {
        self.routes.contains_key(&key.route) && self.tenants.contains(&key.tenant)
    }
}
