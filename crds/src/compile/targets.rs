//! Where a route sends requests: its providers, as far as they can be used and are where the route wants them.

use std::collections::BTreeSet;

use tokenweir_config::{Backend, Provider, Route};

use super::Problem;
use super::provider::{Providers, own_name};
use super::region::Regions;
use crate::api::ModelRouteSpec;
use crate::conditions::Reason;

/// The providers of a route; none by default.
#[derive(Default)]
pub(super) struct Targets {
    /// Chosen by weight; if there are any, at least one has some.
    pub backends: Vec<Backend>,
    /// In the order in which they are tried.
    pub fallbacks: Vec<Backend>,
}

/// What becomes of the targets in one list of a route.
struct List<'a> {
    spec: &'a ModelRouteSpec,
    providers: &'a Providers<'a>,
    regions: &'a Regions<'a>,
    name: &'static str,
    usable: Vec<Backend>,
    /// How many there are where the route does not want them.
    outside: usize,
}

impl List<'_> {
    fn take(&mut self, index: usize, provider: &str, model: Option<&str>, weight: u32, problems: &mut Vec<Problem>) {
        let found = backend(self.spec, provider, model, weight, self.providers);
        let mut found = match found {
            Ok(found) => found,
            Err((field, reason, message)) => {
                let field = format!("spec.{}[{index}].{field}", self.name);
                problems.push(Problem::unresolved(reason, field, message));
                return;
            }
        };
        let by_name = (!self.spec.model.contains('*')).then_some(self.spec.model.as_str());
        let region = self.providers.region(provider, found.model.as_deref().or(by_name));
        match self.regions.distance(region) {
            Some(distance) => {
                found.distance = distance;
                self.usable.push(found);
            }
            None => self.outside += 1,
        }
    }
}

/// The targets of a route; `None` if it cannot be served.
pub(super) fn targets(
    spec: &ModelRouteSpec,
    providers: &Providers<'_>,
    regions: &Regions<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Targets> {
    let list = |name| List {
        spec,
        providers,
        regions,
        name,
        usable: Vec::new(),
        outside: 0,
    };
    let (mut backends, mut fallbacks) = (list("backends"), list("fallbacks"));
    for (index, target) in spec.backends.iter().enumerate() {
        let name = &target.provider_ref.name;
        backends.take(index, name, target.model.as_deref(), target.weight, problems);
    }
    for (index, target) in spec.fallbacks.iter().enumerate() {
        fallbacks.take(index, &target.provider_ref.name, target.model.as_deref(), 0, problems);
    }
    let outside = backends.outside + fallbacks.outside;
    let (mut backends, mut fallbacks) = (backends.usable, fallbacks.usable);
    // The nearest first, and those as far as each other as they are written. From there on their order says it.
    fallbacks.sort_by_key(|fallback| fallback.distance);
    for fallback in &mut fallbacks {
        fallback.distance = 0;
    }
    if backends.iter().all(|backend| backend.weight == 0) {
        // Backends that cannot be used are failed backends: the first fallback steps in.
        if fallbacks.is_empty() {
            problems.extend(regions.nobody().filter(|_| outside > 0));
            return None;
        }
        let mut first = fallbacks.remove(0);
        first.weight = 1;
        backends = vec![first];
    }
    Some(Targets { backends, fallbacks })
}

/// True if a route sends requests to a provider.
pub(super) fn uses(route: &Route, provider: &str) -> bool {
    route
        .backends
        .iter()
        .chain(&route.fallbacks)
        .any(|backend| backend.provider == provider)
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
        distance: 0,
    })
}

/// "; there are a, b" for a message, bounded.
pub(super) fn known(names: &BTreeSet<String>) -> String {
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
