//! What is told about routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenweir_config::status::{RouteReport, TargetReport};

use crate::meter::Load;
use crate::plan::{Backend, Plan, Route};

/// The routes of a plan by name, with what runs on each.
pub(super) fn report(plan: &Plan, load: &BTreeMap<Arc<str>, Load>) -> Vec<RouteReport> {
    let mut routes: Vec<RouteReport> = plan.routes().map(|route| told(route, load)).collect();
    routes.sort_by(|a, b| a.name.cmp(&b.name));
    routes
}

fn told(route: &Route, load: &BTreeMap<Arc<str>, Load>) -> RouteReport {
    let load = load.get(&route.name);
    let weights = route.candidates.weights().map(Some);
    RouteReport {
        name: route.name.to_string(),
        model: route.model.as_str().to_owned(),
        in_flight: load.map_or(0, |load| load.in_flight),
        queue_depth: load.map_or(0, |load| load.queue_depth),
        backends: route
            .backends
            .iter()
            .zip(weights)
            .map(|(backend, weight)| target(backend, weight))
            .collect(),
        fallbacks: route.fallbacks.iter().map(|fallback| target(fallback, None)).collect(),
    }
}

fn target(backend: &Backend, weight: Option<u32>) -> TargetReport {
    TargetReport {
        provider: backend.provider.name.to_string(),
        model: backend.model.as_deref().map(str::to_owned),
        weight,
        in_flight: backend.provider.live.limit.used(),
    }
}
