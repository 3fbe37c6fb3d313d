//! Snapshot to plan.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use tokenweir_config as config;
use tokenweir_config::Snapshot;
use tokenweir_config::keys::{KeyHasher, decode_32};
use tokio::time::Instant;

use super::glob::Glob;
use super::header_changes::HeaderChanges;
use super::keys::{Caller, KeyTable};
use super::matching::ModelRoutes;
use super::provider::Provider;
use super::route::{Backend, Route, Tenant};
use super::{Limits, Listener, Plan, PlanError};
use crate::admission::{Admission, Candidate, Candidates, MAX_BACKENDS};
use crate::selection::{Hash64, Selection};
use crate::upstream::{FirstTokens, HedgeCounts, RetryBudget};

impl Plan {
    /// Turns a snapshot into a plan that takes over from `previous`.
    ///
    /// Live state goes on where its thing is still there: in-flight counts and the queue, connections, and what runs at
    /// each endpoint. The limits of `previous` move to those of the snapshot as the last step, after all that can fail,
    /// so that a plan once built is to be served; an error leaves everything as it was.
    pub fn build(snapshot: &Snapshot, previous: Option<&Self>) -> Result<Self, PlanError> {
        let listeners = snapshot
            .listeners
            .iter()
            .map(|source| Listener::new(source, previous.and_then(|plan| plan.listener(source.port))))
            .collect::<Result<_, _>>()?;
        let providers = providers(snapshot, previous)?;
        let routes = routes(snapshot, previous, &providers)?;
        let tenants: BTreeMap<Box<str>, Arc<Tenant>> = snapshot
            .tenants
            .iter()
            .map(|(name, tenant)| {
                let before = previous.and_then(|p| p.tenants.get(name.as_str()));
                // A snapshot that was read has all of them.
                let above = tenant.ancestors.iter().filter_map(|name| snapshot.tenants.get(name));
                let made = Tenant::new(name, tenant, above, tenant_max(snapshot, tenant), before.map(|t| &**t));
                (name.as_str().into(), Arc::new(made))
            })
            .collect();
        let keys = keys(snapshot, &tenants)?;
        let (exact, globs) = tables(routes)?;

        for (name, provider) in &snapshot.providers {
            if let Some(made) = providers.get(name.as_str()) {
                let limits = &provider.limits;
                made.live.limit.set_max(limits.max_in_flight);
                made.live
                    .rates
                    .configure(limits.requests_per_minute, limits.tokens_per_minute);
                let before = previous.and_then(|p| p.providers.get(name.as_str()));
                let moved = before.is_some_and(|before| before.source.upstream != provider.upstream);
                made.live.serve(made.term);
                // What another place did says nothing about this one.
                if moved || made.outlier.is_none() {
                    made.reset_health(Instant::now());
                } else if before.is_some_and(|before| before.term != made.term) {
                    made.judge_anew();
                }
                if before.is_some_and(|before| !before.is_same_account(made)) {
                    made.live.rates.renewed();
                }
            }
        }
        for (name, tenant) in &snapshot.tenants {
            if let Some(made) = tenants.get(name.as_str()) {
                made.limit.set_max(tenant_max(snapshot, tenant));
            }
        }
        let limits = &snapshot.admission;
        let admission = match previous {
            Some(previous) => {
                previous.admission.configure(limits.max_in_flight, &limits.queue);
                Arc::clone(&previous.admission)
            }
            None => Admission::new(limits.max_in_flight, &limits.queue),
        };
        Ok(Self {
            generation: snapshot.generation,
            listeners,
            limits: Limits {
                max_body: usize::try_from(snapshot.limits.max_body_bytes).unwrap_or(usize::MAX),
                max_connections: usize::try_from(snapshot.limits.max_connections).unwrap_or(usize::MAX),
            },
            access_log: snapshot.telemetry.access_log,
            keys,
            admission,
            exact,
            globs,
            tenants,
            providers,
        })
    }
}

fn tenant_max(snapshot: &Snapshot, tenant: &config::Tenant) -> Option<u32> {
    tenant
        .limits
        .max_in_flight
        .or(snapshot.admission.per_tenant_max_in_flight)
}

type Providers = BTreeMap<Box<str>, Arc<Provider>>;

fn providers(snapshot: &Snapshot, previous: Option<&Plan>) -> Result<Providers, PlanError> {
    let make = |(name, source): (&String, &config::Provider)| {
        let before = previous.and_then(|plan| plan.providers.get(name.as_str()));
        let provider = match before {
            Some(before) if before.source == *source => Arc::clone(before),
            _ => Arc::new(Provider::new(name, source, before.map(|p| &**p))?),
        };
        Ok((name.as_str().into(), provider))
    };
    snapshot.providers.iter().map(make).collect()
}

fn routes(snapshot: &Snapshot, previous: Option<&Plan>, providers: &Providers) -> Result<Vec<Arc<Route>>, PlanError> {
    // A clock set before 1970 reads as 1970.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let before: HashMap<&str, &Arc<Route>> = previous
        .iter()
        .flat_map(|plan| plan.routes())
        .map(|route| (&*route.name, route))
        .collect();
    snapshot
        .routes
        .iter()
        .map(|(name, source)| {
            let before = before.get(name.as_str());
            let since = before
                .filter(|route| route.model.as_str() == source.model)
                .map_or(now, |route| route.since_unix);
            let live = before.map_or_else(RouteLive::new, |route| RouteLive::of(route));
            route(name, source, since, live, providers).map(Arc::new)
        })
        .collect()
}

/// What is live about a route, kept when the configuration changes.
struct RouteLive {
    budget: Arc<RetryBudget>,
    first_tokens: Arc<FirstTokens>,
    hedges: Arc<HedgeCounts>,
    lossy: Arc<AtomicU64>,
}

impl RouteLive {
    fn new() -> Self {
        Self {
            budget: Arc::new(RetryBudget::new(Instant::now())),
            first_tokens: Arc::default(),
            hedges: Arc::default(),
            lossy: Arc::default(),
        }
    }

    fn of(route: &Route) -> Self {
        Self {
            budget: Arc::clone(&route.budget),
            first_tokens: Arc::clone(&route.first_tokens),
            hedges: Arc::clone(&route.hedges),
            lossy: Arc::clone(&route.lossy),
        }
    }
}

fn route(
    name: &str,
    source: &config::Route,
    since_unix: u64,
    live: RouteLive,
    providers: &Providers,
) -> Result<Route, PlanError> {
    let count = source.backends.len();
    if count > MAX_BACKENDS {
        return Err(PlanError::Backends {
            route: name.to_owned(),
            count,
        });
    }
    let backend = |backend: &config::Backend| {
        let provider = providers
            .get(backend.provider.as_str())
            .ok_or_else(|| PlanError::DanglingProvider {
                route: name.to_owned(),
                provider: backend.provider.clone(),
            })?;
        // What a provider does not list is sent as it is written: the route says so explicitly.
        let model = backend
            .model
            .as_deref()
            .map(|model| provider.model(model).unwrap_or(model).into());
        Ok(Backend {
            provider: Arc::clone(provider),
            model,
        })
    };
    let backends: Vec<Backend> = source.backends.iter().map(backend).collect::<Result<_, _>>()?;
    let candidate = |(backend, source): (&Backend, &config::Backend)| Candidate {
        provider: Arc::clone(&backend.provider.live),
        weight: source.weight,
        distance: source.distance,
        rule: backend.provider.outlier,
        key: Hash64::default()
            .and(backend.provider.name.as_bytes())
            .and(&[0])
            .and(backend.model.as_deref().unwrap_or_default().as_bytes())
            .finish(),
    };
    let selection =
        Selection::new(&source.selection).ok_or_else(|| PlanError::StickyHeader { route: name.to_owned() })?;
    let candidates = Candidates::new(
        backends.iter().zip(&source.backends).map(candidate),
        selection.mode,
        !source.fallbacks.is_empty(),
    );
    let changes = |source| {
        HeaderChanges::new(source).map_err(|why| PlanError::HeaderChanges {
            route: name.to_owned(),
            why,
        })
    };
    Ok(Route {
        name: name.into(),
        model: Glob::new(&source.model),
        source: source.clone(),
        candidates: Arc::new(candidates),
        fallbacks: source.fallbacks.iter().map(backend).collect::<Result<_, _>>()?,
        backends,
        request_headers: changes(&source.request_headers)?.map(Arc::new),
        response_headers: changes(&source.response_headers)?,
        selection,
        retry: (&source.retry).into(),
        budget: live.budget,
        first_tokens: live.first_tokens,
        hedges: live.hedges,
        lossy: live.lossy,
        priority: source.priority,
        drop_unsupported: source.drop_unsupported,
        since_unix,
    })
}

type Tables = (foldhash::HashMap<Box<str>, ModelRoutes>, Vec<ModelRoutes>);

fn tables(routes: Vec<Arc<Route>>) -> Result<Tables, PlanError> {
    let mut by_model: BTreeMap<Box<str>, Vec<Arc<Route>>> = BTreeMap::new();
    for route in routes {
        by_model.entry(route.model.as_str().into()).or_default().push(route);
    }
    let mut exact = foldhash::HashMap::default();
    let mut globs = Vec::new();
    for (model, routes) in by_model {
        let glob = Glob::new(&model);
        let routes = ModelRoutes::new(&routes)?;
        if glob.is_exact() {
            exact.insert(model, routes);
        } else {
            globs.push((Reverse(glob.literal_len()), routes));
        }
    }
    // The sort is stable, and the patterns come in their own order.
    globs.sort_by_key(|(literal, _)| *literal);
    Ok((exact, globs.into_iter().map(|(_, routes)| routes).collect()))
}

fn keys(snapshot: &Snapshot, tenants: &BTreeMap<Box<str>, Arc<Tenant>>) -> Result<KeyTable, PlanError> {
    let hasher = KeyHasher::new(&snapshot.key_hash_key).map_err(|_| PlanError::HashKey)?;
    let mut callers: foldhash::HashMap<_, Caller> = foldhash::HashMap::default();
    for (name, tenant) in tenants {
        for key in snapshot
            .tenants
            .get(&**name)
            .into_iter()
            .flat_map(|source| &source.keys)
        {
            let hash = decode_32(&key.hash).map_err(|_| PlanError::KeyHash {
                tenant: name.to_string(),
                key: key.name.clone(),
            })?;
            let caller = Caller {
                tenant: Arc::clone(tenant),
                key: key.name.as_str().into(),
                expires_unix: key.expires_unix,
                scopes: (key.scopes.iter())
                    .map(|scope| (scope.area, Glob::new(&scope.models)))
                    .collect(),
            };
            match callers.insert(hash, caller) {
                // One tenant may list a key under two names; the later entry counts.
                Some(first) if first.tenant.id != tenant.id => {
                    return Err(PlanError::SharedKey {
                        first: first.tenant.name.to_string(),
                        second: name.to_string(),
                    });
                }
                _ => {}
            }
        }
    }
    Ok(KeyTable { hasher, callers })
}
