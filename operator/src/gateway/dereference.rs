//! First step: everything that a gateway depends on, read but not judged.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt as _;
use tokenweir_config::names::snapshot_secret;
use tokenweir_config::shards;
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute, Tenant};
use tokenweir_crds::compile::{ConfigMaps, Secrets, referenced_config_maps, referenced_secrets};

use super::build::admin_service_name;
use super::error::GatewayError;
use crate::context::Context;
use crate::rootkey::GatewayKeys;
use crate::runtime::Guarded;
use crate::scaling::is_autoscaled;
use crate::watch::{find, inner, readable};

/// What a gateway depends on.
pub struct Found {
    /// Providers of the namespace that can be read.
    pub providers: Vec<Arc<Guarded<ModelProvider>>>,
    /// Routes of the namespace that can be read.
    pub routes: Vec<Arc<Guarded<ModelRoute>>>,
    /// Tenants of the namespace that can be read.
    pub tenants: Vec<Arc<Guarded<Tenant>>>,
    /// Names of all gateways of the namespace.
    pub gateways: BTreeSet<String>,
    /// Secrets that the gateway, providers and tenants name.
    pub secrets: Secrets,
    /// ConfigMaps that providers name.
    pub config_maps: ConfigMaps,
    /// Keys of this gateway.
    pub keys: GatewayKeys,
    /// The index of the snapshot as it is.
    pub index: Option<Arc<Secret>>,
    /// Secrets of the snapshot that exist, the index aside.
    pub shards: BTreeSet<String>,
    /// Something scales the gateway's Deployment, so its `replicas` are not ours.
    pub autoscaled: bool,
    /// Owned objects as they are.
    pub live: Live,
}

/// Owned objects as a watch has last seen them.
pub struct Live {
    /// The pods.
    pub deployment: Option<Arc<Deployment>>,
    /// Where clients go.
    pub data_service: Option<Arc<Service>>,
    /// Where the operator and the adapter go.
    pub admin_service: Option<Arc<Service>>,
    /// Identity of the pods.
    pub account: Option<Arc<ServiceAccount>>,
    /// What the pods may do.
    pub role: Option<Arc<Role>>,
    /// That they may.
    pub binding: Option<Arc<RoleBinding>>,
    /// How many may be disturbed at a time.
    pub budget: Option<Arc<PodDisruptionBudget>>,
    /// Who may talk to them.
    pub network_policy: Option<Arc<NetworkPolicy>>,
}

/// Reads what a gateway depends on.
pub async fn dereference(context: &Context, gateway: &LLMGateway) -> Result<Found, GatewayError> {
    let namespace = gateway.namespace().ok_or(GatewayError::Incomplete("namespace"))?;
    let name = gateway.name_any();
    let caches = &context.caches;
    let providers = readable(&caches.providers, &namespace);
    let routes = readable(&caches.routes, &namespace);
    let tenants = readable(&caches.tenants, &namespace);
    let names = referenced_secrets(gateway, inner(&providers), inner(&tenants));
    let fetched = context.secrets.get_all(&namespace, names).await?;
    let names = referenced_config_maps(inner(&providers));
    let config_maps = context.config_maps.get_all(&namespace, names).await?;
    let index = context.secrets.get(&namespace, &snapshot_secret(&name)).await?;
    let shards = shards::all_names(&name)
        .into_iter()
        .skip(1)
        .filter(|shard| find(&caches.secrets, &namespace, shard).is_some())
        .collect();
    let live = Live {
        deployment: find(&caches.deployments, &namespace, &name),
        data_service: find(&caches.services, &namespace, &name),
        admin_service: find(&caches.services, &namespace, &admin_service_name(&name)),
        account: find(&caches.accounts, &namespace, &name),
        role: find(&caches.roles, &namespace, &name),
        binding: find(&caches.bindings, &namespace, &name),
        budget: find(&caches.budgets, &namespace, &name),
        network_policy: find(&caches.network_policies, &namespace, &name),
    };
    Ok(Found {
        secrets: fetched.values().map(AsRef::as_ref).collect(),
        config_maps: config_maps.values().map(AsRef::as_ref).collect(),
        gateways: caches.gateway_names(&namespace),
        keys: context.root_key.derive(&namespace, &name)?,
        autoscaled: is_autoscaled(caches, &namespace, &name),
        providers,
        routes,
        tenants,
        index,
        shards,
        live,
    })
}
