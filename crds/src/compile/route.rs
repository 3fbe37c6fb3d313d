//! Routes.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use tokenweir_config::{Hedge, Retry, RetryOn, Route, Selection, SelectionMode};

use super::headers;
use super::inputs::by_age;
use super::matching::{self, Claims};
use super::provider::Providers;
use super::region::Regions;
use super::targets::{Targets, known, targets};
use super::{Inputs, Problem};
use crate::Duration;
use crate::api::{self, ModelRoute, ModelRouteSpec, RegionMode};
use crate::conditions::Reason;
use crate::own_headers::{TO_CLIENTS, TO_PROVIDERS};

pub(super) struct Routes<'a> {
    /// Routes of this gateway, those without backends among them: they take their requests and refuse them.
    pub served: BTreeMap<String, Route>,
    /// Mistakes by route, whichever gateways they name; each route has an entry.
    pub problems: BTreeMap<&'a str, Vec<Problem>>,
}

pub(super) fn routes<'a>(inputs: &'a Inputs<'_>, providers: &Providers<'_>) -> Routes<'a> {
    let mut served = BTreeMap::new();
    let mut problems: BTreeMap<&str, Vec<Problem>> = BTreeMap::new();
    let mut claims = Claims::new(inputs.gateway_name());
    let routes = inputs.by_name(&inputs.routes);
    let aged = by_age(&routes);
    for (name, object) in &aged {
        let spec = &object.spec;
        let mut found = check_gateway_refs(object, &inputs.gateways);
        let entries = matching::entries(&spec.matches, &mut found);
        let here = spec
            .gateway_refs
            .iter()
            .any(|reference| reference.name == inputs.gateway_name());
        let matches = entries
            .filter(|_| here)
            .and_then(|entries| claims.claim(name, &spec.model, entries, &mut found));
        // What another gateway's region makes of the route is for that gateway to say.
        let regions = here.then(|| Regions::of(&spec.selection, inputs.gateway.spec.region.as_deref()));
        let regions = regions.unwrap_or_default();
        found.extend(regions.missing(inputs.gateway_name()));
        let targets = targets(spec, providers, &regions, &mut found).or_else(|| refuses(spec).then(Targets::default));
        let route = targets.map(|targets| route(spec, targets, &mut found));
        if let (Some(mut route), Some(matches)) = (route, matches) {
            route.matches = matches;
            served.insert((*name).to_owned(), route);
        }
        problems.insert(*name, found);
    }
    matching::rank(aged.iter().map(|(name, _)| *name), &mut served);
    Routes { served, problems }
}

/// The gateways that a route names and that do not exist, given the names of all gateways of its namespace.
///
/// [`super::compile`] looks at this too; an operator needs it alone for a namespace without any gateway.
pub fn check_gateway_refs(route: &ModelRoute, gateways: &BTreeSet<String>) -> Vec<Problem> {
    let refs = route.spec.gateway_refs.iter().enumerate();
    refs.filter(|(_, reference)| !gateways.contains(&reference.name))
        .map(|(index, reference)| {
            Problem::unresolved(
                Reason::GatewayNotFound,
                format!("spec.gatewayRefs[{index}].name"),
                format!(
                    "LLMGateway {} does not exist in this namespace{}",
                    reference.name,
                    known(gateways)
                ),
            )
        })
        .collect()
}

/// Whether a route that nobody can serve keeps its requests from others: those that it was to hold in its regions or to
/// tell from the rest would otherwise go where nobody wanted them.
fn refuses(spec: &ModelRouteSpec) -> bool {
    spec.selection.region == RegionMode::Require || !spec.matches.is_empty()
}

fn route(spec: &ModelRouteSpec, targets: Targets, problems: &mut Vec<Problem>) -> Route {
    let Targets { backends, fallbacks } = targets;
    let mut on: Vec<RetryOn> = spec.retry.when.iter().copied().map(retry_on).collect();
    on.sort();
    on.dedup();
    Route {
        model: spec.model.clone(),
        matches: Vec::new(),
        backends,
        fallbacks,
        request_headers: headers::changes(
            spec.request_headers.as_ref(),
            "spec.requestHeaders",
            &TO_PROVIDERS,
            problems,
        ),
        response_headers: headers::changes(
            spec.response_headers.as_ref(),
            "spec.responseHeaders",
            &TO_CLIENTS,
            problems,
        ),
        retry: Retry {
            attempts: spec.retry.attempts,
            base_ms: spec.retry.backoff.base.as_millis(),
            max_ms: spec.retry.backoff.max.as_millis(),
            on,
            hedge: spec.retry.hedge_after.as_deref().and_then(hedge),
        },
        selection: selection(&spec.selection),
        priority: spec.priority.rank(),
        drop_unsupported: spec.drop_unsupported,
    }
}

/// The schema refuses what is neither; an object from before a change of the schema has no hedging then.
fn hedge(text: &str) -> Option<Hedge> {
    match text.strip_prefix('p') {
        Some(percent) => percent
            .parse()
            .ok()
            .filter(|percent| (1..=99).contains(percent))
            .map(Hedge::Percentile),
        None => Duration::from_str(text)
            .ok()
            .map(|after| Hedge::AfterMs(after.as_millis())),
    }
}

fn selection(spec: &api::Selection) -> Selection {
    Selection {
        mode: match spec.mode {
            api::SelectionMode::Weighted => SelectionMode::Weighted,
            api::SelectionMode::LeastOutstandingTokens => SelectionMode::LeastOutstandingTokens,
            api::SelectionMode::LeastLatency => SelectionMode::LeastLatency,
        },
        sticky_header: spec.sticky.as_ref().map(|sticky| sticky.header.to_ascii_lowercase()),
        prefix_affinity: spec.prefix_affinity,
    }
}

fn retry_on(failure: api::RetryOn) -> RetryOn {
    match failure {
        api::RetryOn::TooManyRequests => RetryOn::TooManyRequests,
        api::RetryOn::ServerError => RetryOn::ServerError,
        api::RetryOn::Connect => RetryOn::Connect,
        api::RetryOn::FirstTokenTimeout => RetryOn::FirstTokenTimeout,
    }
}
