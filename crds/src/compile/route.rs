//! Routes.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use tokenweir_config::{Backend, Hedge, Provider, Retry, RetryOn, Route, Selection, SelectionMode};

use super::inputs::by_age;
use super::provider::{Providers, own_name};
use super::{Inputs, Problem};
use crate::Duration;
use crate::api::{self, ModelRoute, ModelRouteSpec};
use crate::conditions::Reason;

pub(super) struct Routes<'a> {
    /// Routes of this gateway.
    pub served: BTreeMap<String, Route>,
    /// Mistakes by route, whichever gateways they name; each route has an entry.
    pub problems: BTreeMap<&'a str, Vec<Problem>>,
}

pub(super) fn routes<'a>(inputs: &'a Inputs<'_>, providers: &Providers<'_>) -> Routes<'a> {
    let mut served = BTreeMap::new();
    let mut problems: BTreeMap<&str, Vec<Problem>> = BTreeMap::new();
    let mut claimed: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, object) in by_age(&inputs.by_name(&inputs.routes)) {
        let spec = &object.spec;
        let mut found = check_gateway_refs(object, &inputs.gateways);
        let here = spec
            .gateway_refs
            .iter()
            .any(|reference| reference.name == inputs.gateway_name());
        let owner = if here {
            *claimed.entry(&spec.model).or_insert(name)
        } else {
            name
        };
        if owner != name {
            let message = format!(
                "model {:?} is already served by ModelRoute {owner} at LLMGateway {}; choose another name, or add backends there",
                spec.model,
                inputs.gateway_name()
            );
            found.push(Problem::invalid(Reason::Conflict, "spec.model", message));
        }
        let route = route(spec, providers, &mut found);
        if let Some(route) = route.filter(|_| here && owner == name) {
            served.insert(name.to_owned(), route);
        }
        problems.insert(name, found);
    }
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

/// True if a route sends requests to a provider.
pub(super) fn uses(route: &Route, provider: &str) -> bool {
    route
        .backends
        .iter()
        .chain(&route.fallbacks)
        .any(|backend| backend.provider == provider)
}

fn route(spec: &ModelRouteSpec, providers: &Providers<'_>, problems: &mut Vec<Problem>) -> Option<Route> {
    let mut backends: Vec<Backend> = Vec::new();
    for (index, target) in spec.backends.iter().enumerate() {
        let asked = target.model.as_deref();
        match backend(spec, &target.provider_ref.name, asked, target.weight, providers) {
            Ok(backend) => backends.push(backend),
            Err((field, reason, message)) => {
                problems.push(Problem::unresolved(
                    reason,
                    format!("spec.backends[{index}].{field}"),
                    message,
                ));
            }
        }
    }
    let mut fallbacks: Vec<Backend> = Vec::new();
    for (index, target) in spec.fallbacks.iter().enumerate() {
        let asked = target.model.as_deref();
        match backend(spec, &target.provider_ref.name, asked, 0, providers) {
            Ok(backend) => fallbacks.push(backend),
            Err((field, reason, message)) => {
                problems.push(Problem::unresolved(
                    reason,
                    format!("spec.fallbacks[{index}].{field}"),
                    message,
                ));
            }
        }
    }
    if backends.iter().all(|backend| backend.weight == 0) {
        // Backends that cannot be used are failed backends: the first fallback steps in.
        if fallbacks.is_empty() {
            return None;
        }
        let mut first = fallbacks.remove(0);
        first.weight = 1;
        backends = vec![first];
    }
    let mut on: Vec<RetryOn> = spec.retry.when.iter().copied().map(retry_on).collect();
    on.sort();
    on.dedup();
    Some(Route {
        model: spec.model.clone(),
        backends,
        fallbacks,
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
    })
}

type Fault = (&'static str, Reason, String);

fn backend(
    spec: &ModelRouteSpec,
    name: &str,
    asked: Option<&str>,
    weight: u32,
    providers: &Providers<'_>,
) -> Result<Backend, Fault> {
    let provider: &Provider = providers.usable.get(name).ok_or_else(|| {
        let message = if providers.problems.contains_key(name) {
            format!("ModelProvider {name} cannot be used; its own conditions say why")
        } else {
            let names = providers.problems.keys().map(|name| (*name).to_owned()).collect();
            format!("ModelProvider {name} does not exist in this namespace{}", known(&names))
        };
        ("providerRef.name", Reason::ProviderNotFound, message)
    })?;
    let no_model = |asked: &str| {
        let names: BTreeSet<String> = provider.models.iter().map(|model| model.name.clone()).collect();
        let message = format!("ModelProvider {name} has no model {asked:?}{}", known(&names));
        ("model", Reason::ModelNotFound, message)
    };
    let model = match asked {
        Some(asked) => Some(own_name(provider, asked).ok_or_else(|| no_model(asked))?.to_owned()),
        // Which name a client will send to a glob is known only when it does.
        None if spec.model.contains('*') => None,
        None => {
            own_name(provider, &spec.model).ok_or_else(|| no_model(&spec.model))?;
            None
        }
    };
    Ok(Backend {
        provider: name.to_owned(),
        model,
        weight,
    })
}

/// "; there are a, b" for a message, bounded.
fn known(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 8;
    if names.is_empty() {
        return "; there is none".to_owned();
    }
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!(
        "; there {} {}{more}",
        if names.len() == 1 { "is" } else { "are" },
        shown.join(", ")
    )
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
