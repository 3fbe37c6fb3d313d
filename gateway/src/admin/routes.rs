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
    let source = &route.source;
    RouteReport {
        name: route.name.to_string(),
        model: route.model.as_str().to_owned(),
        matches: source.matches.clone(),
        request_headers: source.request_headers.clone(),
        response_headers: source.response_headers.clone(),
        in_flight: load.map_or(0, |load| load.in_flight),
        queue_depth: load.map_or(0, |load| load.queue_depth),
        backends: route
            .backends
            .iter()
            .zip(&source.backends)
            .map(|(backend, source)| target(backend, Some(source.weight), source.distance))
            .collect(),
        fallbacks: route
            .fallbacks
            .iter()
            .map(|fallback| target(fallback, None, 0))
            .collect(),
    }
}

fn target(backend: &Backend, weight: Option<u32>, distance: u32) -> TargetReport {
    TargetReport {
        provider: backend.provider.name.to_string(),
        model: backend.model.as_deref().map(str::to_owned),
        weight,
        region: backend.provider.region().map(str::to_owned),
        distance,
        in_flight: backend.provider.live.limit.used(),
    }
}
