//! The stores.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt as _};
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute, ScalingPolicy, Tenant};

use crate::runtime::Guarded;

/// A store of every kind that is watched. Clones share the stores.
#[derive(Clone)]
pub struct Caches {
    /// Gateways.
    pub gateways: Store<Guarded<LLMGateway>>,
    /// Providers.
    pub providers: Store<Guarded<ModelProvider>>,
    /// Routes.
    pub routes: Store<Guarded<ModelRoute>>,
    /// Tenants.
    pub tenants: Store<Guarded<Tenant>>,
    /// Scaling policies.
    pub policies: Store<Guarded<ScalingPolicy>>,
    /// Deployments that the operator manages, with their managed fields.
    pub deployments: Store<Deployment>,
    /// All Services: providers name them.
    pub services: Store<Service>,
    /// ServiceAccounts that the operator manages.
    pub accounts: Store<ServiceAccount>,
    /// Roles that the operator manages.
    pub roles: Store<Role>,
    /// RoleBindings that the operator manages.
    pub bindings: Store<RoleBinding>,
    /// PodDisruptionBudgets that the operator manages.
    pub budgets: Store<PodDisruptionBudget>,
    /// NetworkPolicies that the operator manages.
    pub network_policies: Store<NetworkPolicy>,
    /// All HorizontalPodAutoscalers: a foreign one on a gateway matters.
    pub autoscalers: Store<HorizontalPodAutoscaler>,
    /// Pods of gateways.
    pub pods: Store<Pod>,
    /// Names and versions of all Secrets, without their content.
    pub secrets: Store<PartialObjectMeta<Secret>>,
    /// Names and versions of all ConfigMaps, without their content.
    pub config_maps: Store<PartialObjectMeta<ConfigMap>>,
}

/// Objects of one namespace that can be read as their kind, by name.
pub fn readable<K>(store: &Store<Guarded<K>>, namespace: &str) -> Vec<Arc<Guarded<K>>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + 'static,
{
    let mut objects = store.state_filter(|object| object.0.is_ok() && in_namespace(object, namespace));
    objects.sort_by_key(|object| object.name_any());
    objects
}

/// Inner objects of what [`readable`] gives.
pub fn inner<K>(objects: &[Arc<Guarded<K>>]) -> Vec<&K> {
    objects.iter().filter_map(|object| object.0.as_ref().ok()).collect()
}

/// An object by namespace and name.
pub fn find<K>(store: &Store<K>, namespace: &str, name: &str) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
    ObjectRef<K>: Hash + Eq,
{
    store.get(&ObjectRef::new(name).within(namespace))
}

/// True if the object lies in the namespace.
pub fn in_namespace<K: Resource>(object: &K, namespace: &str) -> bool {
    object.meta().namespace.as_deref() == Some(namespace)
}

impl Caches {
    /// Names of all gateways of a namespace that are not being deleted, those that cannot be read included: they exist.
    pub fn gateway_names(&self, namespace: &str) -> BTreeSet<String> {
        self.gateways
            .state_filter(|gateway| in_namespace(gateway, namespace) && gateway.meta().deletion_timestamp.is_none())
            .iter()
            .map(|gateway| gateway.name_any())
            .collect()
    }
}
