//! Who is to be reconciled when something changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt as _};
use tokenweir_config::names::GATEWAY_LABEL;
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute, ScalingPolicy, Tenant};
use tokenweir_crds::compile::{gateway_secrets, provider_config_map, provider_secrets};

use super::caches::{Caches, in_namespace, inner, readable};
use super::feed::Change;
use super::queues::Queues;
use crate::board::{Board, GatewayKey};
use crate::kubernetes::{ConfigMaps, Secrets};
use crate::probe::Prober;
use crate::runtime::Guarded;

/// Turns changes into queue entries.
pub struct Router {
    caches: Caches,
    queues: Queues,
    board: Arc<Board>,
    prober: Arc<Prober>,
    secrets: Arc<Secrets>,
    config_maps: Arc<ConfigMaps>,
}

impl Router {
    /// A router over the given stores.
    pub fn new(
        caches: Caches,
        queues: Queues,
        board: Arc<Board>,
        prober: Arc<Prober>,
        secrets: Arc<Secrets>,
        config_maps: Arc<ConfigMaps>,
    ) -> Self {
        Self {
            caches,
            queues,
            board,
            prober,
            secrets,
            config_maps,
        }
    }

    /// Queues every gateway, for what concerns them all.
    pub fn all_gateways(&self) {
        let all = self.caches.gateways.state();
        self.queues
            .gateways
            .push_all(all.iter().map(|gateway| reference(&**gateway)));
    }

    /// A gateway changed.
    pub fn gateway(&self, change: &Change<Guarded<LLMGateway>>) {
        let gateway = change.object();
        if let Change::Gone(gateway) = change {
            let key = key(&**gateway);
            self.board.forget(&key);
            self.prober.forget(&key);
        }
        if change.is_of_substance() {
            self.queues.gateways.push(reference(&**gateway));
        }
        if change.is_write() {
            self.queues.gateway_statuses.push(reference(&**gateway));
        }
        if change.is_of_existence() {
            // Others may have waited for it, or have lost it.
            let namespace = gateway.namespace().unwrap_or_default();
            self.queues.gateways.push_all(
                self.gateways_of(&namespace)
                    .into_iter()
                    .map(|name| ObjectRef::new(&name).within(&namespace)),
            );
            self.queues
                .providers
                .push_all(all_of(&self.caches.providers, &namespace));
            self.queues.routes.push_all(all_of(&self.caches.routes, &namespace));
            self.queues.tenants.push_all(all_of(&self.caches.tenants, &namespace));
            self.queues.policies.push_all(all_of(&self.caches.policies, &namespace));
        }
    }

    /// A provider changed.
    pub fn provider(&self, change: &Change<Guarded<ModelProvider>>) {
        if change.is_of_substance() {
            self.queues.providers.push(reference(&**change.object()));
            self.compile_all(&change.object().namespace().unwrap_or_default());
        }
    }

    /// A route changed. Only the gateways that it names, or named, serve it.
    pub fn route(&self, change: &Change<Guarded<ModelRoute>>) {
        if !change.is_of_substance() {
            return;
        }
        self.queues.routes.push(reference(&**change.object()));
        let namespace = change.object().namespace().unwrap_or_default();
        if change.is_of_existence() {
            // Policies may name it.
            self.queues.policies.push_all(all_of(&self.caches.policies, &namespace));
        }
        let readable: Vec<&ModelRoute> = change.versions().filter_map(|route| route.0.as_ref().ok()).collect();
        if readable.len() < change.versions().count() {
            return self.compile_all(&namespace);
        }
        let named: BTreeSet<&str> = readable
            .iter()
            .flat_map(|route| route.spec.gateway_refs.iter().map(|reference| reference.name.as_str()))
            .collect();
        let known = self.gateways_of(&namespace);
        if named.iter().any(|name| !known.contains(*name)) {
            // Which gateways exist is judged by every compilation, so any of them can tell.
            return self.compile_all(&namespace);
        }
        self.queues
            .gateways
            .push_all(named.into_iter().map(|name| ObjectRef::new(name).within(&namespace)));
    }

    /// A tenant changed.
    pub fn tenant(&self, change: &Change<Guarded<Tenant>>) {
        if !change.is_of_substance() {
            return;
        }
        self.queues.tenants.push(reference(&**change.object()));
        let namespace = change.object().namespace().unwrap_or_default();
        self.compile_all(&namespace);
        if self.gateways_of(&namespace).is_empty() {
            // No compilation tells those below it.
            let below = readable(&self.caches.tenants, &namespace);
            let below = inner(&below)
                .into_iter()
                .filter(|tenant| tenant.spec.parent_ref.is_some());
            self.queues.tenants.push_all(below.map(reference_to));
        }
        if change.is_of_existence() {
            // Policies may name it.
            self.queues.policies.push_all(all_of(&self.caches.policies, &namespace));
        }
    }

    /// A policy changed: its rivals for the same gateway may win or lose by it.
    pub fn policy(&self, change: &Change<Guarded<ScalingPolicy>>) {
        if !change.is_of_substance() {
            return;
        }
        self.queues.policies.push(reference(&**change.object()));
        let namespace = change.object().namespace().unwrap_or_default();
        for version in change.versions() {
            if let Ok(policy) = &version.0 {
                self.policies_of(&namespace, &policy.spec.target_ref.name);
                self.queues
                    .gateways
                    .push(ObjectRef::new(&policy.spec.target_ref.name).within(&namespace));
            }
        }
    }

    /// A Deployment of a gateway changed.
    pub fn deployment(&self, change: &Change<Deployment>) {
        let deployment = change.object();
        let Some(gateway) = owner(&**deployment, "LLMGateway") else {
            return;
        };
        let namespace = deployment.namespace().unwrap_or_default();
        let target = ObjectRef::new(&gateway).within(&namespace);
        if change.is_of_substance() {
            self.queues.gateways.push(target.clone());
        }
        if change.is_of_existence() {
            self.policies_of(&namespace, &gateway);
        }
        if change.is_write() {
            self.queues.gateway_statuses.push(target);
        }
    }

    /// Another owned object of a gateway changed.
    pub fn owned<K: Resource<DynamicType = ()>>(&self, change: &Change<K>) {
        if !change.is_write() {
            return;
        }
        let object = change.object();
        if let Some(gateway) = owner(&**object, "LLMGateway") {
            let namespace = object.namespace().unwrap_or_default();
            self.queues.gateways.push(ObjectRef::new(&gateway).within(&namespace));
        }
    }

    /// A Service changed, ours or one that a provider names.
    pub fn service(&self, change: &Change<Service>) {
        if !change.is_write() {
            return;
        }
        self.owned(change);
        let (namespace, name) = (
            change.object().namespace().unwrap_or_default(),
            change.object().name_any(),
        );
        for provider in inner(&readable(&self.caches.providers, &namespace)) {
            let backend = provider.spec.backend_ref.as_ref();
            if backend.is_some_and(|backend| backend.name == name) {
                self.queues.providers.push(reference_to(provider));
            }
        }
    }

    /// An autoscaler changed, ours or not.
    pub fn autoscaler(&self, change: &Change<HorizontalPodAutoscaler>) {
        if !change.is_write() {
            return;
        }
        let object = change.object();
        let namespace = object.namespace().unwrap_or_default();
        if let Some(policy) = owner(&**object, "ScalingPolicy") {
            self.queues.policies.push(ObjectRef::new(&policy).within(&namespace));
        }
        let targets: BTreeSet<&str> = change
            .versions()
            .map(|version| version.spec.scale_target_ref.name.as_str())
            .collect();
        // A status that changed concerns the policy alone.
        if change.is_of_existence() || targets.len() > 1 {
            for target in targets {
                self.policies_of(&namespace, target);
                self.queues.gateways.push(ObjectRef::new(target).within(&namespace));
            }
        }
    }

    /// A pod of a gateway changed.
    pub fn pod(&self, change: &Change<Pod>) {
        let pod = change.object();
        if let Some(gateway) = pod.labels().get(GATEWAY_LABEL) {
            self.prober.pods_changed(&GatewayKey {
                namespace: pod.namespace().unwrap_or_default(),
                name: gateway.clone(),
            });
        }
    }

    /// A Secret changed; only its metadata is known here.
    pub fn secret(&self, change: &Change<PartialObjectMeta<Secret>>) {
        let secret = change.object();
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        if let Change::Gone(_) = change {
            self.secrets.forget(&namespace, &name);
        } else if !change.is_write() || self.secrets.knows(secret) {
            return;
        }
        if let Some(gateway) = owner(&**secret, "LLMGateway") {
            self.queues.gateways.push(ObjectRef::new(&gateway).within(&namespace));
        }
        for gateway in inner(&readable(&self.caches.gateways, &namespace)) {
            if gateway_secrets(gateway).any(|named| named == name) {
                self.queues.gateways.push(reference_to(gateway));
            }
        }
        let mut referred = false;
        for provider in inner(&readable(&self.caches.providers, &namespace)) {
            if provider_secrets(provider).any(|named| named == name) {
                referred = true;
                self.queues.providers.push(reference_to(provider));
            }
        }
        for tenant in inner(&readable(&self.caches.tenants, &namespace)) {
            let tenant_name = tenant.name_any();
            let mut keys = tenant.spec.api_keys().iter();
            if keys.any(|key| key.secret(&tenant_name).name == name) {
                referred = true;
                self.queues
                    .tenants
                    .push(ObjectRef::new(&tenant_name).within(&namespace));
            }
        }
        if referred {
            self.compile_all(&namespace);
        }
    }

    /// A ConfigMap changed; only its metadata is known here.
    pub fn config_map(&self, change: &Change<PartialObjectMeta<ConfigMap>>) {
        let map = change.object();
        let (namespace, name) = (map.namespace().unwrap_or_default(), map.name_any());
        if let Change::Gone(_) = change {
            self.config_maps.forget(&namespace, &name);
        } else if !change.is_write() || self.config_maps.knows(map) {
            return;
        }
        let mut referred = false;
        for provider in inner(&readable(&self.caches.providers, &namespace)) {
            if provider_config_map(provider) == Some(&*name) {
                referred = true;
                self.queues.providers.push(reference_to(provider));
            }
        }
        if referred {
            self.compile_all(&namespace);
        }
    }

    fn compile_all(&self, namespace: &str) {
        let names = self.gateways_of(namespace);
        self.queues
            .gateways
            .push_all(names.into_iter().map(|name| ObjectRef::new(&name).within(namespace)));
    }

    fn gateways_of(&self, namespace: &str) -> BTreeSet<String> {
        self.caches.gateway_names(namespace)
    }

    fn policies_of(&self, namespace: &str, gateway: &str) {
        let policies = readable(&self.caches.policies, namespace);
        self.queues.policies.push_all(
            inner(&policies)
                .into_iter()
                .filter(|policy| policy.spec.target_ref.name == gateway)
                .map(|policy| ObjectRef::new(&policy.name_any()).within(namespace)),
        );
    }
}

fn all_of<K>(store: &kube::runtime::reflector::Store<Guarded<K>>, namespace: &str) -> Vec<ObjectRef<Guarded<K>>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + 'static,
{
    store
        .state_filter(|object| in_namespace(object, namespace))
        .iter()
        .map(|object| reference(&**object))
        .collect()
}

fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectRef<K> {
    ObjectRef::new(&object.name_any()).within(&object.namespace().unwrap_or_default())
}

/// The queue entry of an object that could be read.
fn reference_to<K: Resource<DynamicType = ()>>(object: &K) -> ObjectRef<Guarded<K>> {
    ObjectRef::new(&object.name_any()).within(&object.namespace().unwrap_or_default())
}

fn key<K: Resource>(object: &K) -> GatewayKey {
    GatewayKey {
        namespace: object.meta().namespace.clone().unwrap_or_default(),
        name: object.meta().name.clone().unwrap_or_default(),
    }
}

/// Name of the object of our group and `kind` that owns `object`.
fn owner<K: Resource>(object: &K, kind: &str) -> Option<String> {
    object
        .meta()
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.kind == kind && owner.api_version.starts_with("tokenweir.dev/"))
        .map(|owner| owner.name.clone())
}
