//! What the data path serves: a configuration turned into lookup tables, and tied to the live state behind them.

mod build;
mod cell;
mod cloud;
mod credential;
mod glob;
mod header_changes;
mod keys;
mod listener;
mod matching;
mod models;
mod passage;
mod probe;
mod provider;
mod route;
mod uris;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use tokenweir_config::ServiceRef;
use tokenweir_crds::certificate::CertificateError;
use tokenweir_llm::{Peek, RequestError};

use crate::admission::Admission;
pub use cell::PlanCell;
pub use credential::Credential;
pub use glob::Glob;
pub use header_changes::HeaderChanges;
pub use keys::{Caller, KeyTable};
pub use listener::Listener;
pub use matching::ModelRoutes;
pub use models::ModelEntry;
pub use passage::Passage;
pub use probe::Probe;
pub use provider::{Provider, Target, Timeouts};
pub use route::{Backend, Retry, Route, Tenant};
pub use uris::{Line, Uris};

/// A configuration in service. Immutable but for the live state that it shares with the plan before it.
#[derive(Debug)]
pub struct Plan {
    /// The generation of the configuration.
    pub generation: u64,
    /// Sockets of the data plane.
    pub listeners: Vec<Listener>,
    /// What one client may cost.
    pub limits: Limits,
    /// Write one log line a request.
    pub access_log: bool,
    /// Who holds which API key.
    pub keys: KeyTable,
    /// Who goes on and who waits.
    pub admission: Arc<Admission>,
    exact: foldhash::HashMap<Box<str>, ModelRoutes>,
    /// Most specific first.
    globs: Vec<ModelRoutes>,
    tenants: BTreeMap<Box<str>, Arc<Tenant>>,
    providers: BTreeMap<Box<str>, Arc<Provider>>,
}

/// What one client may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body, before and after it is decompressed.
    pub max_body: usize,
    /// Connections of clients at a time.
    pub max_connections: usize,
}

/// Why a snapshot cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The key under which API keys are hashed is not one.
    #[error("the key of the API-key hashes is not 32 bytes of base64")]
    HashKey,
    /// A hash is not one.
    #[error("key {key} of tenant {tenant} does not have a hash of 32 bytes in base64")]
    KeyHash {
        /// The tenant.
        tenant: String,
        /// The key's name.
        key: String,
    },
    /// Two tenants hold the same API key, so nobody could say whose request it is.
    #[error("tenants {first} and {second} hold the same API key")]
    SharedKey {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A listener has a certificate that does not serve.
    #[error("the certificate of port {port} cannot be used: {why}")]
    Certificate {
        /// The listener's port.
        port: u16,
        /// What is wrong.
        why: CertificateError,
    },
    /// TLS cannot be set up, for want of randomness.
    #[error("TLS for port {port} cannot be set up")]
    Tls {
        /// The listener's port.
        port: u16,
    },
    /// A provider cannot be called.
    #[error("provider {provider} cannot be called: {what}")]
    Provider {
        /// The provider.
        provider: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A route points to a provider that is not there.
    #[error("route {route} names provider {provider}, which the configuration does not have")]
    DanglingProvider {
        /// The route.
        route: String,
        /// The missing provider.
        provider: String,
    },
    /// A route has more backends than are possible.
    #[error(
        "route {route} has {count} backends, up to {} are possible",
        crate::admission::MAX_BACKENDS
    )]
    Backends {
        /// The route.
        route: String,
        /// How many it has.
        count: usize,
    },
    /// The header by which requests are sticky has no name.
    #[error("route {route} is sticky by a header whose name is none")]
    StickyHeader {
        /// The route.
        route: String,
    },
    /// A route has a condition that cannot be checked.
    #[error("route {route} has a condition that cannot be checked: {why}")]
    Condition {
        /// The route.
        route: String,
        /// What is wrong.
        why: String,
    },
    /// A route changes headers to what they cannot be.
    #[error("route {route} cannot change headers: {why}")]
    HeaderChanges {
        /// The route.
        route: String,
        /// What is wrong.
        why: String,
    },
    /// Two routes serve the same model name or pattern, whatever the request.
    #[error("routes {first} and {second} both serve the model {model}")]
    SharedModel {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// The model.
        model: String,
    },
}

/// Which route a request gets.
#[derive(Debug, Clone, Copy)]
pub enum Routed<'a> {
    /// This one.
    To(&'a Arc<Route>),
    /// None: there are routes for the model, and none of them takes the request.
    NoMatch,
    /// None: there is no route for the model.
    NoModel,
}

impl Plan {
    /// The route for a request: of those of exactly the model's name, else of the most specific pattern that fits (most
    /// literal characters, then by pattern), the first one that takes it.
    ///
    /// The error is the client's: a field that decides is given twice.
    pub fn route(&self, headers: &HeaderMap, peek: &Peek) -> Result<Routed<'_>, RequestError> {
        let mut routed = Routed::NoModel;
        for routes in self.routes_for(peek.model()) {
            if let Some(route) = routes.find(headers, peek)? {
                return Ok(Routed::To(route));
            }
            routed = Routed::NoMatch;
        }
        Ok(routed)
    }

    /// The routes for a model name, most specific first.
    fn routes_for<'p>(&'p self, model: &str) -> impl Iterator<Item = &'p ModelRoutes> {
        let fits = move |routes: &&ModelRoutes| routes.model().is_some_and(|glob| glob.matches(model));
        self.exact.get(model).into_iter().chain(self.globs.iter().filter(fits))
    }

    /// The listener of a port.
    pub fn listener(&self, port: u16) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.port == port)
    }

    /// TCP ports of the data plane.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.listeners.iter().map(|listener| listener.port)
    }

    /// All routes, the exact ones in no order.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.exact.values().chain(&self.globs).flat_map(ModelRoutes::all)
    }

    /// All tenants by name.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.tenants.values()
    }

    /// All providers by name.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.values()
    }

    /// The Services whose endpoints the plan wants to know.
    pub fn services(&self) -> Vec<ServiceRef> {
        let mut services: Vec<ServiceRef> = Vec::new();
        for provider in self.providers.values() {
            if let Target::Service { service, .. } = &provider.target {
                services.push(service.clone());
            }
        }
        services
    }
}

#[cfg(test)]
pub(crate) mod tests;
