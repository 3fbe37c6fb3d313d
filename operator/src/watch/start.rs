//! Starting the watches.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::store::{Writer, WriterDropped};
use kube::runtime::reflector::{Store, store};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokenweir_config::names::GATEWAY_LABEL;
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute, ScalingPolicy, Tenant};
use tokio_util::sync::CancellationToken;

use super::caches::Caches;
use super::feed::{Change, follow};
use super::router::Router;
use super::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::runtime::Guarded;

/// Which namespaces the operator looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Cluster,
    /// One.
    Namespace(String),
}

impl Scope {
    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// The writing sides of [`Caches`].
pub struct Writers {
    gateways: Writer<Guarded<LLMGateway>>,
    providers: Writer<Guarded<ModelProvider>>,
    routes: Writer<Guarded<ModelRoute>>,
    tenants: Writer<Guarded<Tenant>>,
    policies: Writer<Guarded<ScalingPolicy>>,
    deployments: Writer<Deployment>,
    services: Writer<Service>,
    accounts: Writer<ServiceAccount>,
    roles: Writer<Role>,
    bindings: Writer<RoleBinding>,
    budgets: Writer<PodDisruptionBudget>,
    network_policies: Writer<NetworkPolicy>,
    autoscalers: Writer<HorizontalPodAutoscaler>,
    pods: Writer<Pod>,
    secrets: Writer<PartialObjectMeta<Secret>>,
    config_maps: Writer<PartialObjectMeta<ConfigMap>>,
}

impl Caches {
    /// Empty stores, and the sides that fill them.
    pub fn new() -> (Self, Writers) {
        let (gateways, gateways_in) = store();
        let (providers, providers_in) = store();
        let (routes, routes_in) = store();
        let (tenants, tenants_in) = store();
        let (policies, policies_in) = store();
        let (deployments, deployments_in) = store();
        let (services, services_in) = store();
        let (accounts, accounts_in) = store();
        let (roles, roles_in) = store();
        let (bindings, bindings_in) = store();
        let (budgets, budgets_in) = store();
        let (network_policies, network_policies_in) = store();
        let (autoscalers, autoscalers_in) = store();
        let (pods, pods_in) = store();
        let (secrets, secrets_in) = store();
        let (config_maps, config_maps_in) = store();
        let caches = Self {
            gateways,
            providers,
            routes,
            tenants,
            policies,
            deployments,
            services,
            accounts,
            roles,
            bindings,
            budgets,
            network_policies,
            autoscalers,
            pods,
            secrets,
            config_maps,
        };
        let writers = Writers {
            gateways: gateways_in,
            providers: providers_in,
            routes: routes_in,
            tenants: tenants_in,
            policies: policies_in,
            deployments: deployments_in,
            services: services_in,
            accounts: accounts_in,
            roles: roles_in,
            bindings: bindings_in,
            budgets: budgets_in,
            network_policies: network_policies_in,
            autoscalers: autoscalers_in,
            pods: pods_in,
            secrets: secrets_in,
            config_maps: config_maps_in,
        };
        (caches, writers)
    }

    /// Waits until every store has been filled once. Before that, what is missing from a store may well exist.
    pub async fn synced(&self) -> Result<(), WriterDropped> {
        // No `..`: a store that is added must be waited for.
        let Self {
            gateways,
            providers,
            routes,
            tenants,
            policies,
            deployments,
            services,
            accounts,
            roles,
            bindings,
            budgets,
            network_policies,
            autoscalers,
            pods,
            secrets,
            config_maps,
        } = self;
        filled("llmgateways", gateways).await?;
        filled("modelproviders", providers).await?;
        filled("modelroutes", routes).await?;
        filled("tenants", tenants).await?;
        filled("scalingpolicies", policies).await?;
        filled("deployments", deployments).await?;
        filled("services", services).await?;
        filled("serviceaccounts", accounts).await?;
        filled("roles", roles).await?;
        filled("rolebindings", bindings).await?;
        filled("poddisruptionbudgets", budgets).await?;
        filled("networkpolicies", network_policies).await?;
        filled("horizontalpodautoscalers", autoscalers).await?;
        filled("pods", pods).await?;
        filled("secrets", secrets).await?;
        filled("configmaps", config_maps).await
    }
}

async fn filled<K>(what: &str, store: &Store<K>) -> Result<(), WriterDropped>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.wait_until_ready().await?;
    tracing::debug!(what, objects = store.len(), "read");
    Ok(())
}

/// Starts a watch for each kind; they end with `shutdown`.
pub fn start(client: &Client, scope: &Scope, writers: Writers, router: &Arc<Router>, shutdown: &CancellationToken) {
    let managed = watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
    let everything = watcher::Config::default();
    let of_gateways = watcher::Config::default().labels(GATEWAY_LABEL);
    let starter = Starter {
        client,
        scope,
        router,
        shutdown,
    };
    starter.follow(writers.gateways, &everything, Router::gateway);
    starter.follow(writers.providers, &everything, Router::provider);
    starter.follow(writers.routes, &everything, Router::route);
    starter.follow(writers.tenants, &everything, Router::tenant);
    starter.follow(writers.policies, &everything, Router::policy);
    starter.follow(writers.services, &everything, Router::service);
    starter.follow(writers.accounts, &managed, Router::owned);
    starter.follow(writers.roles, &managed, Router::owned);
    starter.follow(writers.bindings, &managed, Router::owned);
    starter.follow(writers.network_policies, &managed, Router::owned);
    starter.follow(writers.autoscalers, &everything, Router::autoscaler);
    starter.follow(writers.budgets, &managed, |router, change| {
        // Kubernetes counts pods in its status all the time.
        if change.is_of_substance() {
            router.owned(change);
        }
    });
    // Who manages `replicas` is read from the managed fields of Deployments.
    starter.follow_with(writers.deployments, &managed, |_| (), Router::deployment);
    starter.follow_with(writers.pods, &of_gateways, slim_pod, Router::pod);
    // Metadata alone: the content of those that nobody names stays in the API server.
    starter.follow(writers.secrets, &everything, Router::secret);
    starter.follow(writers.config_maps, &everything, Router::config_map);
}

struct Starter<'a> {
    client: &'a Client,
    scope: &'a Scope,
    router: &'a Arc<Router>,
    shutdown: &'a CancellationToken,
}

impl Starter<'_> {
    fn follow<K>(
        &self,
        writer: Writer<K>,
        config: &watcher::Config,
        on_change: impl Fn(&Router, &Change<K>) + Send + 'static,
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        self.follow_with(writer, config, drop_managed_fields, on_change);
    }

    fn follow_with<K>(
        &self,
        writer: Writer<K>,
        config: &watcher::Config,
        trim: impl Fn(&mut K) + Send + 'static,
        on_change: impl Fn(&Router, &Change<K>) + Send + 'static,
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let events = watcher(self.scope.api::<K>(self.client), config.clone());
        let router = self.router.clone();
        tokio::spawn(follow(
            events,
            writer,
            trim,
            move |change| on_change(&router, change),
            self.shutdown.clone(),
        ));
    }
}

/// Half of an object's bytes are often managed fields that nobody here reads.
fn drop_managed_fields<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// Of a pod, only where it is and whether it is ready counts.
fn slim_pod(pod: &mut Pod) {
    drop_managed_fields(pod);
    pod.annotations_mut().clear();
    pod.spec = None;
}
