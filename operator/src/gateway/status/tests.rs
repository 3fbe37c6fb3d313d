use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tokenweir_crds::compile::{Kind, Verdict};

use super::*;
use crate::board::{PodReport, Written, judge};

fn gateway() -> LLMGateway {
    serde_json::from_value(json!({
        "apiVersion": "tokenweir.dev/v1alpha1", "kind": "LLMGateway",
        "metadata": {"name": "edge", "namespace": "llm", "generation": 3},
        "spec": {},
    }))
    .unwrap()
}

fn written() -> Written {
    Written {
        generation: 7,
        digest: "d7".into(),
    }
}

fn deployment(wanted: i32, ready: i32) -> Deployment {
    serde_json::from_value(json!({
        "spec": {"replicas": wanted, "selector": {}, "template": {}},
        "status": {"replicas": wanted, "readyReplicas": ready},
    }))
    .unwrap()
}

fn seat(pods: &[(&str, Option<u64>)]) -> Seat {
    let reports: BTreeMap<String, PodReport> = pods
        .iter()
        .map(|(name, generation)| {
            let report = PodReport {
                ready: generation.is_some(),
                serving: generation.map(|generation| Written {
                    generation,
                    digest: format!("d{generation}"),
                }),
                ..PodReport::default()
            };
            ((*name).to_owned(), report)
        })
        .collect();
    Seat {
        written: Some(written()),
        own: Some((
            Some(3),
            Verdict {
                kind: Kind::LLMGateway,
                name: "edge".into(),
                problems: Vec::new(),
                served: true,
            },
        )),
        entries: Arc::default(),
        liveness: Some(judge(&written(), &reports)),
        ..Seat::default()
    }
}

fn told(seat: &Seat, deployment: &Deployment) -> LLMGatewayStatus {
    let facts = Facts {
        seat,
        deployment: Some(deployment),
        cluster_domain: "cluster.local",
    };
    status(&gateway(), None, &facts, Timestamp::UNIX_EPOCH).unwrap()
}

fn condition(status: &LLMGatewayStatus, kind: ConditionType) -> (String, String, String) {
    let condition = find_condition(&status.conditions, kind).unwrap();
    (
        condition.status.clone(),
        condition.reason.clone(),
        condition.message.clone(),
    )
}

fn triple(status: &str, reason: &str, message: &str) -> (String, String, String) {
    (status.into(), reason.into(), message.into())
}

#[test]
fn a_gateway_whose_pods_all_confirm_is_programmed() {
    let status = told(
        &seat(&[("a", Some(7)), ("b", Some(7)), ("c", Some(7))]),
        &deployment(3, 3),
    );
    assert_eq!(
        condition(&status, ConditionType::Programmed),
        triple("True", "Programmed", "generation 7 live on 3/3 pods")
    );
    assert_eq!(
        condition(&status, ConditionType::Ready),
        triple("True", "Ready", "3/3 pods are ready")
    );
    assert_eq!((status.config_generation, status.pods_on_generation), (7, 3));
    assert_eq!(status.addresses, ["http://edge.llm.svc.cluster.local:8080"]);
    assert_eq!(status.selector.as_deref(), Some("tokenweir.dev/gateway=edge"));
    assert_eq!(status.observed_generation, Some(3));
}

#[test]
fn pods_that_lag_and_pods_that_start_are_named() {
    let status = told(&seat(&[("a", Some(7)), ("b", Some(6)), ("c", None)]), &deployment(3, 2));
    assert_eq!(
        condition(&status, ConditionType::Programmed),
        triple(
            "False",
            "Pending",
            "generation 7 live on 1/2 pods; lagging: b; starting: c"
        )
    );
    assert_eq!(status.lagging_pods, ["b"]);
    assert_eq!(condition(&status, ConditionType::Ready).1, "PodsNotReady");
}

#[test]
fn nothing_is_said_before_the_pods_were_asked() {
    let mut seat = seat(&[]);
    seat.liveness = None;
    let deployment = deployment(1, 1);
    let facts = Facts {
        seat: &seat,
        deployment: Some(&deployment),
        cluster_domain: "cluster.local",
    };
    assert!(status(&gateway(), None, &facts, Timestamp::UNIX_EPOCH).is_none());
}

#[test]
fn an_object_in_the_way_makes_the_gateway_unaccepted_and_is_named() {
    let mut seat = seat(&[("a", Some(7))]);
    seat.fault = Some(Finding::fails(
        Reason::NotOwned,
        "Deployment edge exists and is not owned by this object",
    ));
    let status = told(&seat, &deployment(1, 1));
    let (state, reason, message) = condition(&status, ConditionType::Accepted);
    assert_eq!((state.as_str(), reason.as_str()), ("False", "NotOwned"));
    assert!(message.contains("Deployment edge"));
    assert_eq!(condition(&status, ConditionType::Programmed).1, "NotOwned");
}

#[test]
fn a_configuration_that_does_not_fit_is_a_condition_beside_the_last_good_one() {
    let mut seat = seat(&[("a", Some(7))]);
    seat.fault = Some(Finding::fails(Reason::TooLarge, "too large"));
    let status = told(&seat, &deployment(1, 1));
    assert_eq!(condition(&status, ConditionType::Accepted).0, "True");
    assert_eq!(
        condition(&status, ConditionType::Programmed),
        triple("False", "TooLarge", "too large")
    );
}

#[test]
fn a_gateway_scaled_to_zero_says_so() {
    let status = told(&seat(&[]), &deployment(0, 0));
    assert_eq!(condition(&status, ConditionType::Programmed).1, "ScaledToZero");
    assert_eq!(condition(&status, ConditionType::Ready).1, "ScaledToZero");
}

#[test]
fn a_pod_that_refuses_is_named_with_its_words() {
    let mut seat = seat(&[("a", Some(6))]);
    if let Some(liveness) = &mut seat.liveness {
        liveness.refused = vec![("a".into(), "format 9 is too new".into())];
    }
    let status = told(&seat, &deployment(1, 1));
    let (_, reason, message) = condition(&status, ConditionType::Programmed);
    assert_eq!(reason, "Refused");
    assert!(message.contains("a refuses it: format 9 is too new"), "{message}");
}

#[test]
fn a_listener_with_tls_is_reached_by_https_and_its_certificate_is_watched_over() {
    use crate::board::Certificate;
    use tokenweir_crds::certificate::Validity;

    let mut gateway = gateway();
    gateway.spec = serde_json::from_value(json!({"listeners": [
        {"port": 8443, "protocol": "HTTPS", "tlsSecretRef": {"name": "edge-tls"}},
    ]}))
    .unwrap();
    let mut seat = seat(&[("a", Some(7))]);
    seat.certificates = vec![Certificate {
        port: 8443,
        secret: "edge-tls".into(),
        validity: Validity {
            from: "1970-01-01T00:00:00Z".parse().unwrap(),
            until: "1970-04-01T00:00:00Z".parse().unwrap(),
        },
    }];
    let deployment = deployment(1, 1);
    let facts = Facts {
        seat: &seat,
        deployment: Some(&deployment),
        cluster_domain: "cluster.local",
    };
    let at = |now: &str| status(&gateway, None, &facts, now.parse().unwrap()).unwrap();
    let reason = |now| condition(&at(now), ConditionType::ResolvedRefs).1;
    assert_eq!(reason("1970-02-01T00:00:00Z"), "ResolvedRefs");
    assert_eq!(reason("1970-03-30T00:00:00Z"), "CertificateExpiring");
    assert_eq!(reason("1970-04-02T00:00:00Z"), "CertificateExpired");
    assert_eq!(
        at("1970-02-01T00:00:00Z").addresses,
        ["https://edge.llm.svc.cluster.local:8443"]
    );
}
