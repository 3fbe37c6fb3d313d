//! First step: what gateways and neighbours say about an object.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::Resource as _;
use tokenweir_crds::api::{LLMGateway, LLMGatewaySpec, ModelProvider, ModelRoute, Tenant};
use tokenweir_crds::compile::{
    self, ConfigMaps, Inputs, Kind, Secrets, Verdict, referenced_config_maps, referenced_secrets,
};
use tokenweir_crds::conditions::Finding;

use super::error::PartError;
use crate::board::{GatewayKey, Part, PartKey, healthy};
use crate::context::Context;
use crate::runtime::Guarded;
use crate::watch::{find, inner};

/// An object that gateways compile.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A provider.
    Provider(&'a ModelProvider),
    /// A route.
    Route(&'a ModelRoute),
    /// A tenant.
    Tenant(&'a Tenant),
}

impl Subject<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Provider(_) => Kind::ModelProvider,
            Self::Route(_) => Kind::ModelRoute,
            Self::Tenant(_) => Kind::Tenant,
        }
    }

    fn meta(&self) -> &kube::core::ObjectMeta {
        match self {
            Self::Provider(object) => object.meta(),
            Self::Route(object) => object.meta(),
            Self::Tenant(object) => object.meta(),
        }
    }

    /// Gateways that should serve the object: those that a route names, for the others all of the namespace.
    fn gateways(&self, all: &BTreeSet<String>) -> BTreeSet<String> {
        match self {
            Self::Route(route) => route
                .spec
                .gateway_refs
                .iter()
                .map(|reference| reference.name.clone())
                .filter(|name| all.contains(name))
                .collect(),
            Self::Provider(_) | Self::Tenant(_) => all.clone(),
        }
    }
}

/// What is said about an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The compiler's verdict.
    pub verdict: Verdict,
    /// The object as each gateway that should serve it has it.
    pub parts: Vec<Part>,
}

/// Collects what is said about an object; nothing while a gateway that should serve it has not got to it yet: the board
/// tells when it has.
pub async fn dereference(context: &Context, subject: Subject<'_>) -> Result<Option<Found>, PartError> {
    let meta = subject.meta();
    let namespace = meta.namespace.clone().ok_or(PartError::Incomplete("namespace"))?;
    let name = meta.name.clone().ok_or(PartError::Incomplete("name"))?;
    let part = PartKey {
        kind: subject.kind(),
        name,
    };
    let all = context.caches.gateway_names(&namespace);
    let mut parts = Vec::new();
    for gateway in subject.gateways(&all) {
        if find(&context.caches.gateways, &namespace, &gateway).is_some_and(|object| object.0.is_err()) {
            // One that cannot be read compiles nothing. It must not keep the others from being reported.
            continue;
        }
        let key = GatewayKey {
            namespace: namespace.clone(),
            name: gateway,
        };
        match context.board.part(&key, &part) {
            Some(part) if is_settled(&part, meta.generation) => parts.push(part),
            _ => return Ok(None),
        }
    }
    if let Some(first) = parts.first() {
        let verdict = worst(&parts).unwrap_or_else(|| first.entry.verdict.clone());
        return Ok(Some(Found { verdict, parts }));
    }
    let verdict = solo(context, subject, &namespace, all).await?;
    Ok(verdict.map(|verdict| Found { verdict, parts }))
}

/// How the gateways that serve an object see a provider.
pub fn provider_health(context: &Context, namespace: &str, found: &Found, provider: &str) -> Finding {
    let reports: Vec<_> = found
        .parts
        .iter()
        .flat_map(|part| {
            let key = GatewayKey {
                namespace: namespace.to_owned(),
                name: part.gateway.clone(),
            };
            context.board.provider_reports(&key, provider)
        })
        .collect();
    healthy(&reports)
}

/// The board knows this version of the object, and the pods were asked about it.
fn is_settled(part: &Part, generation: Option<i64>) -> bool {
    part.entry.observed_generation == generation && (part.liveness.is_some() || !part.delivered)
}

/// The verdict of the first gateway that has something against the object.
fn worst(parts: &[Part]) -> Option<Verdict> {
    parts
        .iter()
        .map(|part| &part.entry.verdict)
        .find(|verdict| !verdict.problems.is_empty())
        .cloned()
}

/// The compiler's verdict on an object that no gateway has compiled: on the object, what it names, and nothing else.
async fn solo(
    context: &Context,
    subject: Subject<'_>,
    namespace: &str,
    gateways: BTreeSet<String>,
) -> Result<Option<Verdict>, PartError> {
    let mut gateway = LLMGateway::new("", LLMGatewaySpec::default());
    gateway.metadata.namespace = Some(namespace.to_owned());
    let mut providers: Vec<Arc<Guarded<ModelProvider>>> = Vec::new();
    if let Subject::Route(route) = subject {
        let backends = route.spec.backends.iter().map(|backend| &backend.provider_ref.name);
        let fallbacks = route.spec.fallbacks.iter().map(|backend| &backend.provider_ref.name);
        let names: BTreeSet<&String> = backends.chain(fallbacks).collect();
        providers = names
            .into_iter()
            .filter_map(|name| find(&context.caches.providers, namespace, name))
            .collect();
    }
    let mut inputs_providers = inner(&providers);
    let above = match subject {
        Subject::Tenant(tenant) => above(tenant, |name| find(&context.caches.tenants, namespace, name)),
        Subject::Provider(_) | Subject::Route(_) => Vec::new(),
    };
    let (mut routes, mut tenants) = (Vec::new(), inner(&above));
    match subject {
        Subject::Provider(provider) => inputs_providers.push(provider),
        Subject::Route(route) => routes.push(route),
        Subject::Tenant(tenant) => tenants.push(tenant),
    }
    let names = referenced_secrets(&gateway, inputs_providers.iter().copied(), tenants.iter().copied());
    let fetched = context.secrets.get_all(namespace, names).await?;
    let secrets: Secrets = fetched.values().map(AsRef::as_ref).collect();
    let names = referenced_config_maps(inputs_providers.iter().copied());
    let fetched = context.config_maps.get_all(namespace, names).await?;
    let config_maps: ConfigMaps = fetched.values().map(AsRef::as_ref).collect();
    let keys = context.root_key.derive(namespace, "")?;
    let compiled = compile::compile(&Inputs {
        gateway: &gateway,
        gateways,
        providers: inputs_providers,
        routes,
        tenants,
        secrets: &secrets,
        config_maps: &config_maps,
        keys: &keys.compile,
        generation: 0,
    });
    let name = subject.meta().name.as_deref().unwrap_or_default();
    Ok(compiled.verdict(subject.kind(), name).cloned())
}

/// The tenants above one, as far as they exist; what is wrong with the chain is for the compiler to say.
fn above(tenant: &Tenant, find: impl Fn(&str) -> Option<Arc<Guarded<Tenant>>>) -> Vec<Arc<Guarded<Tenant>>> {
    let parent = |tenant: &Tenant| tenant.spec.parent_ref.as_ref().map(|parent| parent.name.clone());
    let mut seen: BTreeSet<String> = tenant.metadata.name.clone().into_iter().collect();
    let mut found: Vec<Arc<Guarded<Tenant>>> = Vec::new();
    let mut next = parent(tenant);
    while let Some(object) = next
        .take()
        .filter(|name| seen.insert(name.clone()))
        .and_then(|name| find(&name))
    {
        next = object.0.as_ref().ok().and_then(parent);
        found.push(object);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Entry, Liveness};

    #[test]
    fn the_tenants_above_are_found_up_to_a_gap_or_a_circle() {
        let tenant = |name: &str, parent: &str| -> Tenant {
            let object = serde_json::json!({
                "apiVersion": "tokenweir.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name},
                "spec": {"parentRef": {"name": parent}},
            });
            serde_json::from_value(object).unwrap()
        };
        let all = [
            tenant("a", "b"),
            tenant("b", "c"),
            tenant("c", "a"),
            tenant("d", "gone"),
        ];
        let find = |name: &str| {
            let object = all
                .iter()
                .find(|tenant| tenant.metadata.name.as_deref() == Some(name))?;
            Some(Arc::new(kube::core::DeserializeGuard(Ok(object.clone()))))
        };
        let names = |from: &Tenant| -> Vec<String> {
            let found = above(from, find);
            inner(&found)
                .iter()
                .filter_map(|tenant| tenant.metadata.name.clone())
                .collect()
        };
        assert_eq!(names(&all[0]), ["b", "c"]);
        assert_eq!(names(&all[3]), [""; 0]);
    }

    fn part(generation: i64, delivered: bool, asked: bool) -> Part {
        Part {
            gateway: "edge".into(),
            entry: Entry {
                observed_generation: Some(generation),
                verdict: Verdict {
                    kind: Kind::Tenant,
                    name: "acme".into(),
                    problems: Vec::new(),
                    served: true,
                },
                fingerprint: Some(1),
                since: 1,
                exact: true,
            },
            delivered,
            liveness: asked.then(Liveness::default),
        }
    }

    #[test]
    fn nothing_is_said_about_an_older_version_or_before_pods_were_asked() {
        assert!(is_settled(&part(2, true, true), Some(2)));
        assert!(!is_settled(&part(1, true, true), Some(2)));
        assert!(!is_settled(&part(2, true, false), Some(2)));
        assert!(is_settled(&part(2, false, false), Some(2)));
    }
}
