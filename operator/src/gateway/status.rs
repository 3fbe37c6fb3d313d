//! Fifth step, as a loop of its own: what a gateway's pods say about it.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use tokenweir_config::names::GATEWAY_LABEL;
use tokenweir_crds::api::{LLMGateway, LLMGatewayStatus, Protocol};
use tokenweir_crds::conditions::{ConditionStatus, ConditionType, Finding, Reason, find_condition, set_condition};

use super::error::GatewayError;
use super::key;
use crate::board::{Liveness, Seat, in_time, next_change};
use crate::context::Context;
use crate::kubernetes::Statuses;
use crate::runtime::Reconciler;
use crate::watch::find;

/// Field manager of the status.
const FIELD_MANAGER: &str = "tokenweir/llmgateway-status";

/// Writes the status of gateways.
pub struct GatewayStatusReconciler {
    context: Context,
    statuses: Statuses,
}

impl GatewayStatusReconciler {
    /// A reconciler over the given handles.
    pub fn new(context: Context) -> Self {
        let statuses = Statuses::new(context.client.clone(), FIELD_MANAGER);
        Self { context, statuses }
    }
}

impl Reconciler for GatewayStatusReconciler {
    type Object = LLMGateway;
    type Error = GatewayError;

    fn name(&self) -> &'static str {
        crate::watch::names::GATEWAY_STATUS
    }

    async fn reconcile(&self, gateway: &LLMGateway) -> Result<Action, GatewayError> {
        let Some(seat) = self.context.board.seat(&key(gateway)) else {
            return Ok(Action::await_change());
        };
        let namespace = gateway.namespace().unwrap_or_default();
        let deployment = find(&self.context.caches.deployments, &namespace, &gateway.name_any());
        let facts = Facts {
            seat: &seat,
            deployment: deployment.as_deref(),
            cluster_domain: &self.context.settings.cluster_domain,
        };
        let before = self.statuses.latest(gateway, gateway.status.as_ref());
        let now = self.context.clock.now();
        let Some(status) = status(gateway, before.as_ref(), &facts, now) else {
            // Compiled or asked too recently: the board tells when there is something to say.
            return Ok(Action::await_change());
        };
        let written = self
            .statuses
            .write(gateway, before.as_ref(), &status)
            .await
            .map_err(GatewayError::Status)?;
        if written {
            self.tell(gateway, before.as_ref(), &status).await;
        }
        Ok(next_change(&seat.certificates, now).map_or_else(Action::await_change, Action::requeue))
    }

    async fn unreadable(&self, _: &InvalidObject) -> Result<(), GatewayError> {
        // The other loop over gateways says it.
        Ok(())
    }
}

impl GatewayStatusReconciler {
    /// Events for what somebody who describes the gateway should have been told.
    async fn tell(&self, gateway: &LLMGateway, before: Option<&LLMGatewayStatus>, status: &LLMGatewayStatus) {
        let before = before.map(|status| status.conditions.as_slice());
        for kind in [
            ConditionType::Accepted,
            ConditionType::ResolvedRefs,
            ConditionType::Programmed,
        ] {
            let Some(now) = find_condition(&status.conditions, kind) else {
                continue;
            };
            let was = before.and_then(|conditions| find_condition(conditions, kind));
            if was.is_some_and(|was| was.reason == now.reason) {
                continue;
            }
            let about = gateway.object_ref(&());
            let holds =
                now.status == ConditionStatus::True.as_str() && now.reason != Reason::CertificateExpiring.as_str();
            if holds && kind == ConditionType::Programmed {
                self.context
                    .events
                    .normal(&about, &now.reason, now.message.clone())
                    .await;
            } else if !holds && now.reason != Reason::Pending.as_str() && now.reason != Reason::ScaledToZero.as_str() {
                self.context
                    .events
                    .warning(&about, &now.reason, now.message.clone())
                    .await;
            }
        }
    }
}

/// What a status is made of.
struct Facts<'a> {
    seat: &'a Seat,
    deployment: Option<&'a Deployment>,
    cluster_domain: &'a str,
}

/// The status, or nothing while it is not known yet.
fn status(
    gateway: &LLMGateway,
    before: Option<&LLMGatewayStatus>,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Option<LLMGatewayStatus> {
    let seat = facts.seat;
    let before = before.cloned().unwrap_or_default();
    let not_owned = seat.fault.clone().filter(|fault| fault.reason == Reason::NotOwned);
    let (observed, accepted) = match (&seat.own, not_owned) {
        (own, Some(fault)) => (
            own.as_ref()
                .map_or(gateway.metadata.generation, |(observed, _)| *observed),
            fault,
        ),
        (Some((observed, verdict)), None) => (*observed, verdict.accepted()),
        (None, None) => return None,
    };
    let counts = Counts::of(facts.deployment);
    let liveness = match (&seat.written, &seat.liveness) {
        (Some(_), None) if seat.fault.is_none() => return None,
        (_, liveness) => liveness.clone().unwrap_or_default(),
    };
    let generation = seat.written.as_ref().map_or(before.config_generation, |written| {
        i64::try_from(written.generation).unwrap_or(i64::MAX)
    });
    let programmed = programmed(&accepted, seat, generation, &liveness, counts.wanted);
    let ready = ready(&counts);
    let resolved = match &seat.own {
        Some((_, verdict)) => in_time(verdict.resolved_refs(), &seat.certificates, now),
        None => Finding::unknown(Reason::Pending, "the gateway has not been looked at yet"),
    };
    let mut conditions = before.conditions;
    for (kind, finding) in [
        (ConditionType::Accepted, &accepted),
        (ConditionType::ResolvedRefs, &resolved),
        (ConditionType::Programmed, &programmed),
        (ConditionType::Ready, &ready),
    ] {
        set_condition(&mut conditions, kind, finding, observed, now);
    }
    let mut lagging_pods = liveness.lagging.clone();
    lagging_pods.sort();
    Some(LLMGatewayStatus {
        replicas: counts.present,
        ready_replicas: counts.ready,
        selector: Some(format!("{GATEWAY_LABEL}={}", gateway.name_any())),
        config_generation: generation,
        pods_on_generation: i32::try_from(liveness.live).unwrap_or(i32::MAX),
        lagging_pods,
        addresses: addresses(gateway, facts.cluster_domain),
        observed_generation: observed,
        conditions,
    })
}

fn programmed(accepted: &Finding, seat: &Seat, generation: i64, liveness: &Liveness, wanted: i32) -> Finding {
    if accepted.reason == Reason::NotOwned {
        return accepted.clone();
    }
    if !accepted.is_true() {
        return Finding::fails(
            accepted.reason,
            "nothing was changed; what was served before is still served",
        );
    }
    if let Some(fault) = &seat.fault {
        return fault.clone();
    }
    if let Some((pod, words)) = liveness.refused.first() {
        return Finding::fails(
            Reason::Refused,
            format!(
                "generation {generation} live on {}; {pod} refuses it: {words}",
                liveness.share()
            ),
        );
    }
    if liveness.counted == 0 && wanted == 0 {
        return Finding::fails(
            Reason::ScaledToZero,
            format!("generation {generation} waits for pods; none are wanted"),
        );
    }
    let mut message = format!("generation {generation} live on {}", liveness.share());
    if !liveness.lagging.is_empty() {
        message.push_str("; lagging: ");
        message.push_str(&liveness.lagging.join(", "));
    }
    if !liveness.starting.is_empty() {
        message.push_str("; starting: ");
        message.push_str(&liveness.starting.join(", "));
    }
    if liveness.is_live() {
        Finding::holds(Reason::Programmed, message)
    } else {
        Finding::fails(Reason::Pending, message)
    }
}

/// Pods by the Deployment's account.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    wanted: i32,
    present: i32,
    ready: i32,
}

impl Counts {
    fn of(deployment: Option<&Deployment>) -> Self {
        let status = deployment.and_then(|deployment| deployment.status.as_ref());
        Self {
            wanted: deployment.and_then(|deployment| deployment.spec.replicas).unwrap_or(0),
            present: status.and_then(|status| status.replicas).unwrap_or(0),
            ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
        }
    }
}

fn ready(counts: &Counts) -> Finding {
    let message = format!("{}/{} pods are ready", counts.ready, counts.wanted);
    if counts.wanted == 0 {
        Finding::fails(Reason::ScaledToZero, "no pods are wanted")
    } else if counts.ready >= counts.wanted {
        Finding::holds(Reason::Ready, message)
    } else {
        Finding::fails(Reason::PodsNotReady, message)
    }
}

fn addresses(gateway: &LLMGateway, cluster_domain: &str) -> Vec<String> {
    let (name, namespace) = (gateway.name_any(), gateway.namespace().unwrap_or_default());
    gateway
        .spec
        .listeners
        .iter()
        .map(|listener| {
            let scheme = match listener.protocol {
                Protocol::Http => "http",
                Protocol::Https => "https",
            };
            format!("{scheme}://{name}.{namespace}.svc.{cluster_domain}:{}", listener.port)
        })
        .collect()
}

#[cfg(test)]
mod tests;
