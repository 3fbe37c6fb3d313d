//! Second step, pure: whether the policy holds, and what stands in its way.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource as _, ResourceExt as _};
use tokenweir_crds::api::{ScalingPolicy, Signal, SignalKind};
use tokenweir_crds::conditions::{Finding, Reason};

use super::dereference::Found;
use super::error::ScalingError;
use crate::watch::inner;

/// A policy that has been judged.
pub struct Valid<'a> {
    /// The policy.
    pub policy: &'a ScalingPolicy,
    /// Its namespace.
    pub namespace: String,
    /// Its name, and that of its autoscaler.
    pub name: String,
    /// Owner of the autoscaler.
    pub owner: OwnerReference,
    /// The condition `Accepted`.
    pub accepted: Finding,
    /// The condition `ResolvedRefs`.
    pub resolved: Finding,
    /// The policy is to have an autoscaler.
    pub acts: bool,
}

/// Judges a policy.
pub fn validate<'a>(policy: &'a ScalingPolicy, found: &Found) -> Result<Valid<'a>, ScalingError> {
    let namespace = policy.namespace().ok_or(ScalingError::Incomplete("namespace"))?;
    let name = policy.metadata.name.clone().ok_or(ScalingError::Incomplete("name"))?;
    let owner = policy
        .controller_owner_ref(&())
        .ok_or(ScalingError::Incomplete("uid"))?;
    let accepted = accepted(policy, &name, found);
    let resolved = resolved(policy, found);
    let acts = accepted.is_true() && found.gateway;
    Ok(Valid {
        policy,
        namespace,
        name,
        owner,
        accepted,
        resolved,
        acts,
    })
}

fn accepted(policy: &ScalingPolicy, name: &str, found: &Found) -> Finding {
    let target = &policy.spec.target_ref.name;
    let rivals = inner(&found.rivals);
    // The oldest wins, so that a policy that is added by mistake changes nothing.
    let winner = rivals
        .into_iter()
        .min_by_key(|rival| (rival.creation_timestamp().map(|time| time.0), rival.name_any()));
    if let Some(winner) = winner
        && winner.name_any() != name
    {
        return Finding::fails(
            Reason::Conflict,
            format!(
                "spec.targetRef: LLMGateway {target} is already scaled by ScalingPolicy {}, which is older; delete one of the two",
                winner.name_any()
            ),
        );
    }
    if let Some(foreign) = found.autoscalers.iter().find(|autoscaler| !is_ours(autoscaler)) {
        return Finding::fails(
            Reason::Conflict,
            format!(
                "spec.targetRef: LLMGateway {target} is already scaled by HorizontalPodAutoscaler {}, which no ScalingPolicy owns; delete \
                 one of the two",
                foreign.name_any()
            ),
        );
    }
    if let Some(index) = policy
        .spec
        .horizontal
        .signals
        .iter()
        .position(|signal| signal.kind().is_none())
    {
        let message = format!("spec.horizontal.signals[{index}]: exactly one signal must be given");
        return Finding::fails(Reason::Invalid, message);
    }
    Finding::holds(Reason::Accepted, "the object is valid")
}

/// Made by the operator for a policy, this one or another.
fn is_ours(autoscaler: &HorizontalPodAutoscaler) -> bool {
    autoscaler
        .owner_references()
        .iter()
        .any(|owner| owner.kind == "ScalingPolicy" && owner.api_version.starts_with("tokenweir.dev/"))
}

fn resolved(policy: &ScalingPolicy, found: &Found) -> Finding {
    let target = &policy.spec.target_ref.name;
    if !found.gateway {
        let message = format!("spec.targetRef.name: LLMGateway {target} does not exist in this namespace");
        return Finding::fails(Reason::TargetNotFound, message);
    }
    for (index, signal) in policy.spec.horizontal.signals.iter().enumerate() {
        let Some(Scope { field, tenant, route }) = scope(signal) else {
            continue;
        };
        let at = format!("spec.horizontal.signals[{index}].{field}");
        if let Some(tenant) = tenant.filter(|name| !found.tenants.contains(*name)) {
            let message = format!("{at}.tenantRef.name: Tenant {tenant} does not exist in this namespace");
            return Finding::fails(Reason::TenantNotFound, message);
        }
        if let Some(route) = route.filter(|name| !found.routes.contains(*name)) {
            let message = format!("{at}.routeRef.name: ModelRoute {route} does not exist in this namespace");
            return Finding::fails(Reason::RouteNotFound, message);
        }
    }
    Finding::holds(Reason::ResolvedRefs, "everything named exists")
}

/// What a signal is limited to.
struct Scope<'a> {
    /// The field of the signal that is given.
    field: &'static str,
    tenant: Option<&'a String>,
    route: Option<&'a String>,
}

fn scope(signal: &Signal) -> Option<Scope<'_>> {
    let (field, tenant, route) = match signal.kind()? {
        SignalKind::QueueDepth(count) => ("queueDepth", &count.tenant_ref, &count.route_ref),
        SignalKind::InFlight(count) => ("inFlight", &count.tenant_ref, &count.route_ref),
        SignalKind::TokenRate(rate) => ("tokenRate", &rate.tenant_ref, &rate.route_ref),
        SignalKind::RequestRate(rate) => ("requestRate", &rate.tenant_ref, &rate.route_ref),
        SignalKind::QueueWait(_) | SignalKind::Ttft(_) | SignalKind::Resource(_) => return None,
    };
    Some(Scope {
        field,
        tenant: tenant.as_ref().map(|reference| &reference.name),
        route: route.as_ref().map(|reference| &reference.name),
    })
}
