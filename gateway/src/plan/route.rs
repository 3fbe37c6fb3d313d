//! A route and a tenant, ready to be used.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokenweir_config as config;

use super::glob::Glob;
use super::header_changes::HeaderChanges;
use super::provider::Provider;
use crate::admission::{BackendSet, Candidates, Limit};
use crate::selection::Selection;
use crate::upstream::{FirstTokens, HedgeCounts, RetryBudget};

/// One `ModelRoute`.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// What it was made of.
    pub source: config::Route,
    /// What clients ask for.
    pub model: Glob,
    /// Targets chosen by weight. Without any it takes requests all the same, and refuses them.
    pub backends: Vec<Backend>,
    /// The backends' limits and weights, for admission.
    pub candidates: Arc<Candidates>,
    /// Targets tried in order when the backends failed.
    pub fallbacks: Vec<Backend>,
    /// Changes of what goes to providers.
    pub request_headers: Option<Arc<HeaderChanges>>,
    /// Changes of what goes back to clients.
    pub response_headers: Option<HeaderChanges>,
    /// How a backend is chosen.
    pub selection: Selection,
    /// When and how often to try again.
    pub retry: Retry,
    /// How many retries all its requests together have left.
    pub budget: Arc<RetryBudget>,
    /// How soon its answers begin, as far as somebody wants to know.
    pub first_tokens: Arc<FirstTokens>,
    /// What came of tries beside others.
    pub hedges: Arc<HedgeCounts>,
    /// How many answers there were to requests of which fields were left out.
    pub lossy: Arc<AtomicU64>,
    /// Priority for tenants that have none.
    pub priority: i32,
    /// Leave out what a target cannot express, instead of refusing the request.
    pub drop_unsupported: bool,
    /// Unix time in seconds since when this process knows the route.
    pub since_unix: u64,
}

/// A target of a route.
#[derive(Debug)]
pub struct Backend {
    /// Who answers.
    pub provider: Arc<Provider>,
    /// The provider's own name of the model; `None`: what the client asked for.
    pub model: Option<Arc<str>>,
}

impl Backend {
    /// The model name to send for what the client asked for; `None` if the provider does not have it.
    pub fn model<'a>(&'a self, asked: &'a str) -> Option<&'a str> {
        match &self.model {
            Some(name) => Some(name),
            None => self.provider.model(asked),
        }
    }
}

/// When and how often to try again. See [`config::Retry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Further tries after the first.
    pub attempts: u32,
    /// Wait before the first further try.
    pub base: Duration,
    /// Longest wait.
    pub max: Duration,
    /// What is worth another try.
    pub on: Vec<config::RetryOn>,
    /// When a second try begins beside the first; `None`: never.
    pub hedge: Option<config::Hedge>,
}

impl Route {
    /// The backends that can serve a model name.
    pub fn usable(&self, asked: &str) -> BackendSet {
        let can = self
            .backends
            .iter()
            .enumerate()
            .filter(|(_, backend)| backend.model(asked).is_some());
        can.fold(0, |set, (n, _)| {
            set | 1_u64.checked_shl(u32::try_from(n).unwrap_or(u32::MAX)).unwrap_or(0)
        }) & self.candidates.weighted()
    }
}

impl From<&config::Retry> for Retry {
    fn from(retry: &config::Retry) -> Self {
        Self {
            attempts: retry.attempts,
            base: Duration::from_millis(retry.base_ms),
            max: Duration::from_millis(retry.max_ms),
            on: retry.on.clone(),
            hedge: retry.hedge,
        }
    }
}

/// Distinguishes tenants in this process.
static NEXT_TENANT: AtomicU64 = AtomicU64::new(1);

/// One `Tenant`.
#[derive(Debug)]
pub struct Tenant {
    /// Its name.
    pub name: Arc<str>,
    /// Tells it apart from others for as long as the process knows it.
    pub id: u64,
    /// Requests at a time.
    pub limit: Arc<Limit>,
    /// Priority in the queue; `None`: the route's.
    pub priority: Option<i32>,
    /// Of the tenant itself, and of each one above it.
    allow: Vec<Vec<Glob>>,
}

impl Tenant {
    /// A tenant, below those of `above`.
    pub(super) fn new<'a>(
        name: &str,
        source: &'a config::Tenant,
        above: impl Iterator<Item = &'a config::Tenant>,
        max: Option<u32>,
        previous: Option<&Self>,
    ) -> Self {
        let globs = |tenant: &config::Tenant| tenant.allow_models.iter().map(|pattern| Glob::new(pattern)).collect();
        Self {
            name: previous.map_or_else(|| name.into(), |p| Arc::clone(&p.name)),
            id: previous.map_or_else(|| NEXT_TENANT.fetch_add(1, Relaxed), |p| p.id),
            limit: previous.map_or_else(|| Arc::new(Limit::new(max)), |p| Arc::clone(&p.limit)),
            priority: source.limits.priority,
            allow: std::iter::once(source).chain(above).map(globs).collect(),
        }
    }

    /// Whether the tenant may ask for a model name: it, and everybody above it.
    pub fn may_use(&self, model: &str) -> bool {
        let any = |globs: &Vec<Glob>| globs.iter().any(|glob| glob.matches(model));
        self.allow.iter().all(any)
    }
}
