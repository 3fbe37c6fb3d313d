use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use serde_json::json;
use tokenweir_crds::api::ScalingPolicy;
use tokenweir_crds::conditions::{ConditionType, find_condition};

use super::build::build;
use super::dereference::Found;
use super::status::status;
use super::validate::validate;
use crate::kubernetes::ApplyError;

fn policy(name: &str, created: &str, signals: &serde_json::Value) -> ScalingPolicy {
    serde_json::from_value(json!({
        "apiVersion": "tokenweir.dev/v1alpha1", "kind": "ScalingPolicy",
        "metadata": {
            "name": name, "namespace": "llm", "uid": format!("uid-{name}"), "generation": 1, "creationTimestamp": created,
        },
        "spec": {
            "targetRef": {"apiVersion": "tokenweir.dev/v1alpha1", "kind": "LLMGateway", "name": "edge"},
            "replicas": {"min": 2, "max": 9},
            "horizontal": {"signals": signals, "maxSignalAge": "3s", "scaleDown": {"stabilization": "10s"}},
        },
    }))
    .unwrap()
}

fn simple(name: &str, created: &str) -> ScalingPolicy {
    policy(name, created, &json!([{"queueDepth": {"perReplica": "4"}}]))
}

fn found(rivals: &[&ScalingPolicy], autoscalers: Vec<HorizontalPodAutoscaler>) -> Found {
    Found {
        rivals: rivals
            .iter()
            .map(|rival| Arc::new(DeserializeGuard(Ok((*rival).clone()))))
            .collect(),
        gateway: true,
        tenants: BTreeSet::from(["acme".into()]),
        routes: BTreeSet::from(["chat".into()]),
        autoscalers: autoscalers.into_iter().map(Arc::new).collect(),
        live: None,
    }
}

fn every_signal() -> serde_json::Value {
    json!([
        {"queueDepth": {"perReplica": "10"}},
        {"inFlight": {"perReplica": "5", "via": "Object", "routeRef": {"name": "chat"}}},
        {"tokenRate": {"perReplica": "2000", "window": "1s", "via": "External", "tenantRef": {"name": "acme"}}},
        {"requestRate": {"perReplica": "2.5"}},
        {"queueWait": {"target": "500ms"}},
        {"ttft": {"target": "2s", "quantile": "0.99"}},
        {"resource": {"name": "cpu", "utilization": 70}},
    ])
}

#[test]
fn every_signal_becomes_a_metric_of_the_autoscaler() {
    let policy = policy("edge", "2026-01-01T00:00:00Z", &every_signal());
    let valid = validate(&policy, &found(&[&policy], Vec::new())).unwrap();
    insta::assert_yaml_snapshot!(build(&valid).unwrap());
}

#[test]
fn the_older_of_two_policies_wins_and_the_newer_one_names_it() {
    let (old, new) = (
        simple("zeta", "2026-01-01T00:00:00Z"),
        simple("alpha", "2026-01-02T00:00:00Z"),
    );
    let all = found(&[&old, &new], Vec::new());
    assert!(validate(&old, &all).unwrap().acts);
    let loser = validate(&new, &all).unwrap();
    assert!(!loser.acts);
    assert_eq!(loser.accepted.reason.as_str(), "Conflict");
    assert!(loser.accepted.message.contains("ScalingPolicy zeta"));
    assert!(build(&loser).is_none());
}

#[test]
fn of_two_policies_of_one_second_the_first_by_name_wins() {
    let time = "2026-01-01T00:00:00Z";
    let (a, b) = (simple("a", time), simple("b", time));
    let all = found(&[&b, &a], Vec::new());
    assert!(validate(&a, &all).unwrap().acts);
    assert!(!validate(&b, &all).unwrap().acts);
}

#[test]
fn a_foreign_autoscaler_stops_the_policy_and_one_of_a_rival_does_not() {
    let policy = simple("edge", "2026-01-01T00:00:00Z");
    let autoscaler = |owner: Option<&str>| -> HorizontalPodAutoscaler {
        serde_json::from_value(json!({
            "metadata": {
                "name": "theirs", "namespace": "llm",
                "ownerReferences": owner.map(|kind| json!([{
                    "apiVersion": "tokenweir.dev/v1alpha1", "kind": kind, "name": "other", "uid": "u",
                }])),
            },
            "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "edge"}},
        }))
        .unwrap()
    };
    let foreign = validate(&policy, &found(&[&policy], vec![autoscaler(None)])).unwrap();
    assert!(!foreign.acts);
    assert!(foreign.accepted.message.contains("HorizontalPodAutoscaler theirs"));
    let rival = validate(&policy, &found(&[&policy], vec![autoscaler(Some("ScalingPolicy"))])).unwrap();
    assert!(rival.acts);
}

#[test]
fn a_missing_target_tenant_or_route_is_named_by_its_field() {
    let missing = policy(
        "edge",
        "2026-01-01T00:00:00Z",
        &json!([
            {"queueDepth": {"perReplica": "4"}},
            {"queueDepth": {"perReplica": "4", "via": "External", "tenantRef": {"name": "nobody"}}},
        ]),
    );
    let valid = validate(&missing, &found(&[&missing], Vec::new())).unwrap();
    assert_eq!(valid.resolved.reason.as_str(), "TenantNotFound");
    let message = &valid.resolved.message;
    assert!(
        message.starts_with("spec.horizontal.signals[1].queueDepth.tenantRef.name: "),
        "{message}"
    );
    let policy = simple("edge", "2026-01-01T00:00:00Z");
    let mut nothing = found(&[&policy], Vec::new());
    nothing.gateway = false;
    let valid = validate(&policy, &nothing).unwrap();
    assert_eq!(valid.resolved.reason.as_str(), "TargetNotFound");
    assert!(!valid.acts);
}

fn live(status: serde_json::Value) -> Arc<HorizontalPodAutoscaler> {
    let policy = policy(
        "edge",
        "2026-01-01T00:00:00Z",
        &json!([
            {"queueDepth": {"perReplica": "10"}},
            {"tokenRate": {"perReplica": "2000", "via": "External", "tenantRef": {"name": "acme"}}},
            {"resource": {"name": "cpu", "utilization": 70}},
        ]),
    );
    let valid = validate(&policy, &found(&[&policy], Vec::new())).unwrap();
    let mut autoscaler = build(&valid).unwrap();
    autoscaler.status = Some(serde_json::from_value(status).unwrap());
    Arc::new(autoscaler)
}

fn ready(applied: &Result<Option<Arc<HorizontalPodAutoscaler>>, ApplyError>) -> (String, String, String) {
    let policy = simple("edge", "2026-01-01T00:00:00Z");
    let valid = validate(&policy, &found(&[&policy], Vec::new())).unwrap();
    let status = status(&valid, None, applied, Timestamp::UNIX_EPOCH);
    let ready = find_condition(&status.conditions, ConditionType::Ready).unwrap();
    (ready.status.clone(), ready.reason.clone(), ready.message.clone())
}

#[test]
fn the_status_mirrors_the_autoscaler_and_leaves_a_missing_value_out() {
    let applied = Ok(Some(live(json!({
        "currentReplicas": 3, "desiredReplicas": 5, "lastScaleTime": "2026-01-01T00:00:00Z",
        "conditions": [
            {"type": "AbleToScale", "status": "True"},
            {"type": "ScalingActive", "status": "True"},
        ],
        "currentMetrics": [
            {"type": "Pods", "pods": {"metric": {"name": "queue_depth"}, "current": {"averageValue": "17"}}},
            {"type": ""},
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 55, "averageValue": "27m"}}},
        ],
    }))));
    let policy = simple("edge", "2026-01-01T00:00:00Z");
    let valid = validate(&policy, &found(&[&policy], Vec::new())).unwrap();
    let told = status(&valid, None, &applied, Timestamp::UNIX_EPOCH);
    assert_eq!((told.current_replicas, told.desired_replicas), (Some(3), Some(5)));
    let signals: Vec<(&str, Option<&str>, &str)> = told
        .signals
        .iter()
        .map(|signal| (signal.name.as_str(), signal.value.as_deref(), signal.target.as_str()))
        .collect();
    assert_eq!(
        signals,
        [
            ("queue_depth", Some("17"), "10"),
            ("token_rate{tenant=acme}", None, "2000"),
            ("cpu", Some("55%"), "70%"),
        ]
    );
    let (state, reason, message) = ready(&applied);
    assert_eq!((state.as_str(), reason.as_str()), ("False", "SignalUnavailable"));
    assert!(message.contains("token_rate{tenant=acme}"));
}

#[test]
fn what_the_autoscaler_cannot_do_is_the_condition() {
    let inactive = Ok(Some(live(json!({
        "desiredReplicas": 0,
        "conditions": [{
            "type": "ScalingActive", "status": "False", "reason": "FailedGetPodsMetric", "message": "no data",
        }],
    }))));
    let (state, reason, message) = ready(&inactive);
    assert_eq!((state.as_str(), reason.as_str()), ("False", "SignalUnavailable"));
    assert_eq!(message, "FailedGetPodsMetric: no data");
    let young = Ok(Some(live(json!({"desiredReplicas": 0}))));
    assert_eq!(ready(&young).0, "Unknown");
}
