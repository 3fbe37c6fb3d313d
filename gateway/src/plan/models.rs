//! The models that a tenant may ask for, by name.

use std::collections::BTreeMap;

use super::{ModelRoutes, Plan, Route};

/// One model in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry<'a> {
    /// What a client sends.
    pub id: &'a str,
    /// Name of the provider of the first backend that has it.
    pub owned_by: &'a str,
    /// Unix time in seconds since when this process knows it.
    pub since_unix: u64,
}

impl Plan {
    /// The models that somebody may see, sorted by name: routes of a plain name, and the models of providers that
    /// fit a route's pattern.
    pub fn models(&self, may_see: impl Fn(&str) -> bool) -> Vec<ModelEntry<'_>> {
        let mut entries = BTreeMap::new();
        for routes in self.exact.values().chain(&self.globs) {
            for entry in routes.all().iter().flat_map(|route| named_by(route)) {
                // A pattern lists only what reaches its routes, and not others that are more specific.
                let mut reached = self.reached_by(entry.id);
                if may_see(entry.id) && reached.any(|reached| std::ptr::eq(reached, routes)) {
                    entries.entry(entry.id).or_insert(entry);
                }
            }
        }
        entries.into_values().collect()
    }

    /// The routes that requests for a model can reach, most specific first: up to those that take every request.
    fn reached_by<'p>(&'p self, id: &str) -> impl Iterator<Item = &'p ModelRoutes> {
        let mut over = false;
        self.routes_for(id)
            .take_while(move |routes| !std::mem::replace(&mut over, routes.take_all()))
    }

    /// One model by its name: listed or reached through a pattern.
    pub fn model<'a>(&'a self, id: &'a str) -> Option<ModelEntry<'a>> {
        self.reached_by(id).flat_map(ModelRoutes::all).find_map(|route| {
            let backend = route.backends.iter().find(|backend| backend.model(id).is_some())?;
            Some(ModelEntry {
                id,
                owned_by: &backend.provider.name,
                since_unix: route.since_unix,
            })
        })
    }
}

fn named_by(route: &Route) -> Vec<ModelEntry<'_>> {
    let entry = |id, owned_by| ModelEntry {
        id,
        owned_by,
        since_unix: route.since_unix,
    };
    if route.model.is_exact() {
        let id = route.model.as_str();
        let owner = route.backends.iter().find(|backend| backend.model(id).is_some());
        return owner
            .map(|backend| entry(id, &backend.provider.name))
            .into_iter()
            .collect();
    }
    // A backend with a model of its own takes any name that fits; there is nothing to list.
    let passing = route.backends.iter().filter(|backend| backend.model.is_none());
    passing
        .flat_map(|backend| {
            backend
                .provider
                .known_models()
                .map(|id| entry(id, &backend.provider.name))
        })
        .filter(|entry| route.model.matches(entry.id))
        .collect()
}
