use serde_json::json;
use tokenweir_crds::api::LLMGateway;

use super::*;
use crate::board::Seat;
use crate::settings::PullPolicy;

fn gateway(spec: &serde_json::Value) -> LLMGateway {
    serde_json::from_value(json!({
        "apiVersion": "tokenweir.dev/v1alpha1",
        "kind": "LLMGateway",
        "metadata": {"name": "edge", "namespace": "llm", "uid": "11111111-2222-3333-4444-555555555555"},
        "spec": spec,
    }))
    .unwrap()
}

fn valid(gateway: &LLMGateway, replicas: Option<i32>) -> Valid<'_> {
    use kube::Resource as _;
    Valid {
        namespace: "llm".into(),
        name: "edge".into(),
        owner: gateway.controller_owner_ref(&()).unwrap(),
        spec: &gateway.spec,
        plan: None,
        seat: Seat::default(),
        replicas,
    }
}

fn settings() -> Settings {
    Settings {
        install_namespace: "tokenweir-system".into(),
        gateway_image: "tokenweir/gateway:1.2.3".into(),
        pull_policy: PullPolicy::IfNotPresent,
        pull_secrets: Vec::new(),
        priority_class: None,
        cluster_domain: "cluster.local".into(),
    }
}

fn every_object(owned: &Owned) -> serde_json::Value {
    json!([
        owned.account,
        owned.role,
        owned.binding,
        owned.data_service,
        owned.admin_service,
        owned.network_policy,
        owned.budget,
        owned.deployment,
    ])
}

#[test]
fn a_gateway_with_defaults_owns_these_objects() {
    let gateway = gateway(&json!({}));
    let owned = build(&valid(&gateway, Some(2)), &settings());
    insta::assert_yaml_snapshot!(every_object(&owned));
}

#[test]
fn every_field_of_the_pod_reaches_the_deployment() {
    let gateway = gateway(&json!({
        "listeners": [{"port": 80}, {"port": 8443, "protocol": "HTTPS", "tlsSecretRef": {"name": "edge-tls"}}],
        "pod": {
            "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}},
            "nodeSelector": {"pool": "llm"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
            "topologySpread": "Hostname",
            "terminationGracePeriod": "10s",
        },
    }));
    let settings = Settings {
        pull_policy: PullPolicy::Never,
        pull_secrets: vec!["registry".into()],
        priority_class: Some("high".into()),
        ..settings()
    };
    let owned = build(&valid(&gateway, None), &settings);
    insta::assert_yaml_snapshot!(json!([owned.data_service, owned.network_policy, owned.deployment]));
}

#[test]
fn every_owned_object_carries_the_owner_and_the_label_by_which_it_is_watched() {
    let gateway = gateway(&json!({}));
    let owned = build(&valid(&gateway, Some(2)), &settings());
    let objects = every_object(&owned);
    for object in objects.as_array().unwrap() {
        let metadata = &object["metadata"];
        assert_eq!(metadata["ownerReferences"][0]["kind"], "LLMGateway", "{object}");
        assert_eq!(metadata["ownerReferences"][0]["controller"], true, "{object}");
        assert_eq!(metadata["labels"][MANAGED_BY_LABEL], MANAGED_BY, "{object}");
        assert_eq!(metadata["namespace"], "llm", "{object}");
    }
}

#[test]
fn an_autoscaled_deployment_does_not_say_how_many_replicas_it_has() {
    let gateway = gateway(&json!({"replicas": 5}));
    let owned = build(&valid(&gateway, None), &settings());
    let json = serde_json::to_value(&owned.deployment).unwrap();
    assert!(json["spec"].get("replicas").is_none());
}

#[test]
fn draining_ends_before_the_kubelet_ends_the_pod() {
    for grace in ["10s", "60s", "1h"] {
        let gateway = gateway(&json!({"pod": {"terminationGracePeriod": grace}}));
        let owned = build(&valid(&gateway, None), &settings());
        let pod = owned.deployment.spec.template.spec.unwrap();
        let seconds = |flag: &str| -> i64 {
            let arguments = pod.containers[0].args.as_ref().unwrap();
            let value = arguments
                .iter()
                .find_map(|argument| argument.strip_prefix(flag))
                .unwrap();
            value.strip_suffix('s').unwrap().parse().unwrap()
        };
        let drained = seconds("--lame-duck=") + seconds("--grace=");
        assert!(drained < pod.termination_grace_period_seconds.unwrap(), "{grace}");
        assert!(seconds("--lame-duck=") > 0, "{grace}");
    }
}
