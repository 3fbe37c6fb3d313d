//! Fifth step: what the autoscaler does.

use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricSpec, MetricStatus,
    MetricTarget, MetricValueStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::jiff::Timestamp;
use kube::Resource as _;
use tokenweir_crds::api::{ScalingPolicy, ScalingPolicyStatus, SignalStatus};
use tokenweir_crds::conditions::{ConditionType, Finding, Reason, find_condition, set_condition};

use super::error::ScalingError;
use super::validate::Valid;
use crate::context::Context;
use crate::kubernetes::{ApplyError, Statuses};

type Applied = Result<Option<Arc<HorizontalPodAutoscaler>>, ApplyError>;

/// Writes the status of a policy, and an event if it has lost or found its way.
pub async fn write(
    context: &Context,
    statuses: &Statuses,
    valid: &Valid<'_>,
    applied: &Applied,
) -> Result<(), ScalingError> {
    let policy = valid.policy;
    let before = statuses.latest(policy, policy.status.as_ref());
    let status = status(valid, before.as_ref(), applied, context.clock.now());
    let written = statuses
        .write(policy, before.as_ref(), &status)
        .await
        .map_err(ScalingError::Status)?;
    if written {
        tell(context, policy, before.as_ref(), &status).await;
    }
    Ok(())
}

async fn tell(
    context: &Context,
    policy: &ScalingPolicy,
    before: Option<&ScalingPolicyStatus>,
    status: &ScalingPolicyStatus,
) {
    for kind in [ConditionType::Accepted, ConditionType::ResolvedRefs] {
        let Some(now) = find_condition(&status.conditions, kind).filter(|now| now.status == "False") else {
            continue;
        };
        let was = before.and_then(|status| find_condition(&status.conditions, kind));
        if was.is_none_or(|was| was.reason != now.reason) {
            let about = policy.object_ref(&());
            context.events.warning(&about, &now.reason, now.message.clone()).await;
        }
    }
}

/// The status of a policy whose autoscaler is as `applied` says.
pub fn status(
    valid: &Valid<'_>,
    before: Option<&ScalingPolicyStatus>,
    applied: &Applied,
    now: Timestamp,
) -> ScalingPolicyStatus {
    let policy = valid.policy;
    let autoscaler = applied.as_ref().ok().and_then(Option::as_deref);
    let live = autoscaler.and_then(|autoscaler| autoscaler.status.as_ref());
    let signals = autoscaler.map(signals).unwrap_or_default();
    let accepted = match applied {
        Err(error @ ApplyError::NotOwned { .. }) => Finding::fails(Reason::NotOwned, error.to_string()),
        _ => valid.accepted.clone(),
    };
    let ready = ready(valid, applied, live, &signals);
    let generation = policy.metadata.generation;
    let mut conditions = before.map(|status| status.conditions.clone()).unwrap_or_default();
    for (kind, finding) in [
        (ConditionType::Accepted, &accepted),
        (ConditionType::ResolvedRefs, &valid.resolved),
        (ConditionType::Ready, &ready),
    ] {
        set_condition(&mut conditions, kind, finding, generation, now);
    }
    ScalingPolicyStatus {
        current_replicas: live.and_then(|live| live.current_replicas),
        // 0 is what an autoscaler says before it has looked for the first time; a policy never asks for none.
        desired_replicas: live.map(|live| live.desired_replicas).filter(|desired| *desired > 0),
        last_scale_time: live.and_then(|live| live.last_scale_time.clone()),
        signals,
        observed_generation: generation,
        conditions,
    }
}

fn ready(
    valid: &Valid<'_>,
    applied: &Applied,
    live: Option<&HorizontalPodAutoscalerStatus>,
    signals: &[SignalStatus],
) -> Finding {
    if let Err(error) = applied {
        let reason = match error {
            ApplyError::NotOwned { .. } => Reason::NotOwned,
            ApplyError::Api { .. } | ApplyError::Ending { .. } | ApplyError::Serialise { .. } => Reason::ApplyFailed,
        };
        return Finding::fails(reason, error.to_string());
    }
    if !valid.acts {
        let why = if valid.accepted.is_true() {
            &valid.resolved
        } else {
            &valid.accepted
        };
        return Finding::fails(why.reason, format!("the policy does not act: {}", why.message));
    }
    let conditions = live.and_then(|live| live.conditions.as_deref()).unwrap_or_default();
    if let Some(stuck) = failing(conditions, "AbleToScale") {
        return Finding::fails(Reason::ScalingInactive, words(stuck));
    }
    if let Some(inactive) = failing(conditions, "ScalingActive") {
        let reason = if inactive.reason.as_deref() == Some("ScalingDisabled") {
            Reason::ScalingInactive
        } else {
            Reason::SignalUnavailable
        };
        return Finding::fails(reason, words(inactive));
    }
    if !conditions.iter().any(|condition| condition.type_ == "ScalingActive") {
        return Finding::unknown(Reason::Pending, "the autoscaler has not looked at the signals yet");
    }
    let silent: Vec<&str> = signals
        .iter()
        .filter(|signal| signal.value.is_none())
        .map(|signal| signal.name.as_str())
        .collect();
    if silent.is_empty() {
        Finding::holds(Reason::Ready, "the autoscaler acts on every signal")
    } else {
        Finding::fails(Reason::SignalUnavailable, format!("no value for {}", silent.join(", ")))
    }
}

fn failing<'a>(
    conditions: &'a [HorizontalPodAutoscalerCondition],
    type_: &str,
) -> Option<&'a HorizontalPodAutoscalerCondition> {
    conditions
        .iter()
        .find(|condition| condition.type_ == type_ && condition.status == "False")
}

fn words(condition: &HorizontalPodAutoscalerCondition) -> String {
    let reason = condition.reason.as_deref().unwrap_or_default();
    let message = condition.message.as_deref().unwrap_or_default();
    format!("{reason}: {message}")
}

/// The signals in the order of the policy. The autoscaler keeps that order, and leaves the place of a metric that it cannot
/// read empty.
fn signals(autoscaler: &HorizontalPodAutoscaler) -> Vec<SignalStatus> {
    let metrics = autoscaler.spec.metrics.as_deref();
    let current = autoscaler
        .status
        .as_ref()
        .and_then(|status| status.current_metrics.as_deref())
        .unwrap_or_default();
    metrics
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(index, metric)| {
            let (name, target) = described(metric);
            let value = current.get(index).filter(|status| status.type_ == metric.type_);
            SignalStatus {
                name,
                value: value.and_then(value_of),
                target,
            }
        })
        .collect()
}

fn described(metric: &MetricSpec) -> (String, String) {
    let named = |identifier: &k8s_openapi::api::autoscaling::v2::MetricIdentifier, target: &MetricTarget| {
        let labels = identifier
            .selector
            .as_ref()
            .and_then(|selector| selector.match_labels.clone())
            .unwrap_or_default();
        let scope: Vec<String> = ["tenant", "route"]
            .into_iter()
            .filter_map(|label| labels.get(label).map(|value| format!("{label}={value}")))
            .collect();
        let name = if scope.is_empty() {
            identifier.name.clone()
        } else {
            format!("{}{{{}}}", identifier.name, scope.join(","))
        };
        (name, target_text(target))
    };
    if let Some(pods) = &metric.pods {
        named(&pods.metric, &pods.target)
    } else if let Some(object) = &metric.object {
        named(&object.metric, &object.target)
    } else if let Some(external) = &metric.external {
        named(&external.metric, &external.target)
    } else if let Some(resource) = &metric.resource {
        (resource.name.clone(), target_text(&resource.target))
    } else {
        (metric.type_.clone(), String::new())
    }
}

fn target_text(target: &MetricTarget) -> String {
    let quantity = target.average_value.as_ref().or(target.value.as_ref());
    match (quantity, target.average_utilization) {
        (Some(Quantity(text)), _) => text.clone(),
        (None, Some(percent)) => format!("{percent}%"),
        (None, None) => String::new(),
    }
}

fn value_of(status: &MetricStatus) -> Option<String> {
    let current: &MetricValueStatus = status
        .pods
        .as_ref()
        .map(|pods| &pods.current)
        .or(status.object.as_ref().map(|object| &object.current))
        .or(status.external.as_ref().map(|external| &external.current))
        .or(status.resource.as_ref().map(|resource| &resource.current))?;
    if let Some(percent) = current.average_utilization {
        return Some(format!("{percent}%"));
    }
    let Quantity(text) = current.average_value.as_ref().or(current.value.as_ref())?;
    Some(text.clone())
}
