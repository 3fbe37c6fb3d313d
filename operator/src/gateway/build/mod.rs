//! Third step, pure: every object that a gateway owns.

mod deployment;
mod network;
mod rbac;
mod services;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;
use tokenweir_config::names::GATEWAY_LABEL;

use super::validate::Valid;
use crate::settings::Settings;
use crate::watch::{MANAGED_BY, MANAGED_BY_LABEL};

pub use services::admin_service_name;

/// Every object that a gateway owns, the Secrets of its configuration aside.
#[derive(Debug, Clone, PartialEq)]
pub struct Owned {
    /// Identity of the pods.
    pub account: ServiceAccount,
    /// What the pods may do.
    pub role: Role,
    /// That they may.
    pub binding: RoleBinding,
    /// Where clients go.
    pub data_service: Service,
    /// Where the operator and the adapter go.
    pub admin_service: Service,
    /// Who may talk to the pods.
    pub network_policy: NetworkPolicy,
    /// How many pods may be disturbed at a time.
    pub budget: PodDisruptionBudget,
    /// The pods.
    pub deployment: Deployment,
}

/// Builds the objects of a gateway.
pub fn build(gateway: &Valid<'_>, settings: &Settings) -> Owned {
    Owned {
        account: rbac::account(gateway),
        role: rbac::role(gateway),
        binding: rbac::binding(gateway),
        data_service: services::data(gateway),
        admin_service: services::admin(gateway),
        network_policy: network::policy(gateway, settings),
        budget: budget(gateway),
        deployment: deployment::deployment(gateway, settings),
    }
}

/// Metadata of an owned object.
pub fn metadata(gateway: &Valid<'_>, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(gateway.namespace.clone()),
        labels: Some(labels(gateway)),
        owner_references: Some(vec![gateway.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// Labels of owned objects and of pods.
fn labels(gateway: &Valid<'_>) -> BTreeMap<String, String> {
    let pairs = [
        ("app.kubernetes.io/name", "tokenweir-gateway"),
        ("app.kubernetes.io/instance", &gateway.name),
        ("app.kubernetes.io/part-of", "tokenweir"),
        (MANAGED_BY_LABEL, MANAGED_BY),
        (GATEWAY_LABEL, &gateway.name),
    ];
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Labels by which the pods are found. Cannot change during the life of a Deployment.
fn selector(gateway: &Valid<'_>) -> BTreeMap<String, String> {
    BTreeMap::from([(GATEWAY_LABEL.to_owned(), gateway.name.clone())])
}

fn label_selector(gateway: &Valid<'_>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(selector(gateway)),
        match_expressions: None,
    }
}

/// One pod at a time: right for any number of replicas, and it never blocks the drain of a node, as a minimum would with
/// one replica.
fn budget(gateway: &Valid<'_>) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(gateway, &gateway.name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(label_selector(gateway)),
            // A pod that is not ready serves nobody; it must not hold a drain up.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests;
