//! Who may talk to gateway pods.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokenweir_config::names::{ADMIN_PORT, TELEMETRY_PORT};

use super::{label_selector, metadata};
use crate::gateway::validate::Valid;
use crate::settings::Settings;

/// Clients come from anywhere; the admin port is for the operator and the adapter; metrics are for any pod of the cluster,
/// because nobody knows where its Prometheus runs, and they tell no secrets. What pods send is not limited: providers are
/// anywhere.
pub fn policy(gateway: &Valid<'_>, settings: &Settings) -> NetworkPolicy {
    let listeners = gateway.spec.listeners.iter().map(|listener| port(listener.port));
    NetworkPolicy {
        metadata: metadata(gateway, &gateway.name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(label_selector(gateway)),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(vec![
                NetworkPolicyIngressRule {
                    from: None,
                    ports: Some(listeners.collect()),
                },
                NetworkPolicyIngressRule {
                    from: Some(vec![control_plane(&settings.install_namespace)]),
                    ports: Some(vec![port(ADMIN_PORT)]),
                },
                NetworkPolicyIngressRule {
                    from: Some(vec![NetworkPolicyPeer {
                        namespace_selector: Some(LabelSelector::default()),
                        ..NetworkPolicyPeer::default()
                    }]),
                    ports: Some(vec![port(TELEMETRY_PORT)]),
                },
            ]),
            egress: None,
        }),
    }
}

fn control_plane(install_namespace: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([(
                "kubernetes.io/metadata.name".to_owned(),
                install_namespace.to_owned(),
            )])),
            match_expressions: None,
        }),
        pod_selector: Some(LabelSelector {
            match_labels: None,
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: "app.kubernetes.io/name".into(),
                operator: "In".into(),
                values: Some(vec!["tokenweir-operator".into(), "tokenweir-adapter".into()]),
            }]),
        }),
        ip_block: None,
    }
}

fn port(port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(port))),
        protocol: Some("TCP".into()),
        end_port: None,
    }
}
