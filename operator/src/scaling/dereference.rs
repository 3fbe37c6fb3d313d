//! First step: what else has to do with the target.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::{CrossVersionObjectReference, HorizontalPodAutoscaler};
use kube::{Resource as _, ResourceExt as _};
use tokenweir_crds::api::ScalingPolicy;

use super::error::ScalingError;
use crate::runtime::Guarded;
use crate::watch::{Caches, find, in_namespace, inner, readable};

/// What a policy depends on.
pub struct Found {
    /// All policies on the same gateway, this one among them.
    pub rivals: Vec<Arc<Guarded<ScalingPolicy>>>,
    /// The gateway exists.
    pub gateway: bool,
    /// Tenants of the namespace.
    pub tenants: BTreeSet<String>,
    /// Routes of the namespace.
    pub routes: BTreeSet<String>,
    /// Autoscalers on the gateway or on its Deployment.
    pub autoscalers: Vec<Arc<HorizontalPodAutoscaler>>,
    /// The autoscaler with the name that ours has.
    pub live: Option<Arc<HorizontalPodAutoscaler>>,
}

/// Reads what a policy depends on, from what the watches have seen.
pub fn dereference(context: &crate::context::Context, policy: &ScalingPolicy) -> Result<Found, ScalingError> {
    let caches = &context.caches;
    let namespace = policy.namespace().ok_or(ScalingError::Incomplete("namespace"))?;
    let target = &policy.spec.target_ref.name;
    let mut rivals = readable(&caches.policies, &namespace);
    rivals.retain(|rival| rival.0.as_ref().is_ok_and(|rival| targets(rival, target)));
    Ok(Found {
        rivals,
        gateway: find(&caches.gateways, &namespace, target)
            .is_some_and(|gateway| gateway.meta().deletion_timestamp.is_none()),
        tenants: names(&readable(&caches.tenants, &namespace)),
        routes: names(&readable(&caches.routes, &namespace)),
        autoscalers: autoscalers(caches, &namespace, target),
        live: find(&caches.autoscalers, &namespace, &policy.name_any()),
    })
}

/// True if something else than the operator decides on the replicas of a gateway's Deployment.
pub fn is_autoscaled(caches: &Caches, namespace: &str, gateway: &str) -> bool {
    let policies = readable(&caches.policies, namespace);
    inner(&policies).into_iter().any(|policy| targets(policy, gateway))
        || autoscalers(caches, namespace, gateway)
            .iter()
            .any(|autoscaler| reference(autoscaler).kind == "Deployment")
}

/// A policy that is being deleted targets nothing any more.
fn targets(policy: &ScalingPolicy, gateway: &str) -> bool {
    policy.metadata.deletion_timestamp.is_none() && policy.spec.target_ref.name == gateway
}

/// Autoscalers on a gateway, or on the Deployment of the same name that it owns.
fn autoscalers(caches: &Caches, namespace: &str, gateway: &str) -> Vec<Arc<HorizontalPodAutoscaler>> {
    let mut found = caches.autoscalers.state_filter(|autoscaler| {
        let target = reference(autoscaler);
        in_namespace(autoscaler, namespace)
            && target.name == gateway
            && matches!(target.kind.as_str(), "Deployment" | "LLMGateway")
    });
    found.sort_by_key(|autoscaler| autoscaler.name_any());
    found
}

fn reference(autoscaler: &HorizontalPodAutoscaler) -> &CrossVersionObjectReference {
    &autoscaler.spec.scale_target_ref
}

fn names<K: kube::Resource>(objects: &[Arc<Guarded<K>>]) -> BTreeSet<String> {
    objects.iter().map(|object| object.name_any()).collect()
}
