//! The compiler: the objects of one namespace in, the configuration of one gateway out.
//!
//! Pure and deterministic: equal objects give equal bytes, in whatever order they come. The operator and the file mode of
//! the gateway share it.
//!
//! An object with a mistake is left out, or only the part of it that is wrong; everything else is served. A route that
//! holds its requests apart from others and that nobody can serve refuses them. Each object gets a [`Verdict`] that names
//! the fields at fault.

mod cloud;
mod edge;
mod egress;
mod gateway;
mod headers;
mod hierarchy;
mod inputs;
mod matching;
mod price;
mod provider;
mod references;
mod region;
mod route;
mod targets;
mod tenant;
mod verdict;

use std::collections::BTreeMap;

use tokenweir_config::{GatewayRef, Snapshot};

pub use inputs::{ConfigMaps, Inputs, Keys, SecretError, Secrets};
pub use provider::check_backend_ref;
pub use references::{
    gateway_secrets, provider_config_map, provider_secrets, referenced_config_maps, referenced_secrets,
};
pub use route::check_gateway_refs;
pub use verdict::{Kind, Problem, Verdict};

/// The result of a compilation.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// What the gateway is to serve. To be used only if [`Compiled::gateway_accepted`].
    pub snapshot: Snapshot,
    /// One for the gateway and one for each provider, route and tenant of the namespace, by kind and name.
    pub verdicts: Vec<Verdict>,
}

impl Compiled {
    /// False if the `LLMGateway` itself cannot be served; its verdict says why.
    pub fn gateway_accepted(&self) -> bool {
        self.verdicts.iter().all(|v| v.kind != Kind::LLMGateway || v.served)
    }

    /// The verdict on an object.
    pub fn verdict(&self, kind: Kind, name: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|v| v.kind == kind && v.name == name)
    }
}

/// Compiles one gateway.
///
/// Objects without a name, or of another namespace than the gateway, are not looked at.
pub fn compile(inputs: &Inputs<'_>) -> Compiled {
    let namespace = inputs.namespace();
    let name = inputs.gateway_name();
    let mut verdicts = Vec::new();

    let settings = gateway::settings(inputs);
    verdicts.push(Verdict::new(Kind::LLMGateway, name, settings.problems, settings.usable));

    let providers = provider::providers(inputs, settings.egress.as_ref());
    let routes = route::routes(inputs, &providers);
    let tenants = tenant::tenants(inputs);

    // A provider that no route of this gateway uses stays out, and its credential with it.
    let used: BTreeMap<_, _> = providers
        .usable
        .into_iter()
        .filter(|(name, _)| routes.served.values().any(|route| targets::uses(route, name)))
        .collect();
    verdicts.extend(providers.problems.into_iter().map(|(name, problems)| {
        let served = used.contains_key(name);
        Verdict::new(Kind::ModelProvider, name, problems, served)
    }));
    verdicts.extend(routes.problems.into_iter().map(|(name, problems)| {
        let served = routes.served.get(name).is_some_and(|route| !route.backends.is_empty());
        Verdict::new(Kind::ModelRoute, name, problems, served)
    }));
    verdicts.extend(tenants.problems.into_iter().map(|(name, problems)| {
        let served = tenants.served.contains_key(name);
        Verdict::new(Kind::Tenant, name, problems, served)
    }));

    let mut snapshot = Snapshot {
        format: 0,
        generation: inputs.generation,
        gateway: GatewayRef {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
        listeners: settings.listeners,
        admission: settings.admission,
        limits: settings.limits,
        telemetry: settings.telemetry,
        providers: used,
        routes: routes.served,
        tenants: tenants.served,
        key_hash_key: inputs.keys.key_hash_key().to_owned(),
        admin_key: inputs.keys.admin_key().map(str::to_owned),
    };
    snapshot.format = snapshot.oldest_format();
    Compiled { snapshot, verdicts }
}
