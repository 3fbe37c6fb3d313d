//! The pods of a gateway.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, ExecAction, HTTPGetAction,
    Lifecycle, LifecycleHandler, LocalObjectReference, ObjectFieldSelector, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext, Sysctl, TopologySpreadConstraint,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;
use tokenweir_config::names::{ADMIN_PORT, TELEMETRY_PORT};
use tokenweir_crds::api::TopologySpread;

use super::services::listener_name;
use super::{label_selector, labels, metadata, selector};
use crate::gateway::validate::Valid;
use crate::settings::Settings;

/// Where the image has the program.
const PROGRAM: &str = "/tokenweir-gateway";
/// User of the pods: any but root; the image has no user table.
const USER: i64 = 65532;
/// Where a pod keeps the last good configuration.
const STATE_DIR: &str = "/var/lib/tokenweir";
/// How long a pod that ends still takes connections, while load balancers learn of it. At most a quarter of the grace period.
const LAME_DUCK_SECONDS: u64 = 5;
/// What the kubelet needs between the end of the program and the end of the grace period.
const MARGIN_SECONDS: u64 = 2;

pub fn deployment(gateway: &Valid<'_>, settings: &Settings) -> Deployment {
    Deployment {
        metadata: metadata(gateway, &gateway.name),
        spec: DeploymentSpec {
            replicas: gateway.replicas,
            selector: label_selector(gateway),
            // A new pod first: capacity never falls below what was asked for.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            revision_history_limit: Some(3),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(gateway)),
                    annotations: Some(BTreeMap::from([(
                        "kubectl.kubernetes.io/default-container".to_owned(),
                        "gateway".to_owned(),
                    )])),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(gateway, settings)),
            },
            ..DeploymentSpec::default()
        },
        status: None,
    }
}

fn pod(gateway: &Valid<'_>, settings: &Settings) -> PodSpec {
    let pod = &gateway.spec.pod;
    PodSpec {
        service_account_name: Some(gateway.name.clone()),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        termination_grace_period_seconds: i64::try_from(pod.termination_grace_period.as_secs_ceil()).ok(),
        node_selector: Some(pod.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: Some(pod.tolerations.clone()).filter(|list| !list.is_empty()),
        topology_spread_constraints: spread(gateway),
        priority_class_name: settings.priority_class.clone(),
        image_pull_secrets: Some(
            settings
                .pull_secrets
                .iter()
                .map(|name| LocalObjectReference { name: name.clone() })
                .collect::<Vec<_>>(),
        )
        .filter(|list| !list.is_empty()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            sysctls: low_ports(gateway),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(gateway, settings)],
        volumes: Some(vec![Volume {
            name: "state".into(),
            // In memory: the copy of the configuration holds credentials, and need not outlive the pod.
            empty_dir: Some(EmptyDirVolumeSource {
                medium: Some("Memory".into()),
                size_limit: Some(Quantity("256Mi".into())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        }]),
        ..PodSpec::default()
    }
}

fn container(gateway: &Valid<'_>, settings: &Settings) -> Container {
    let resources = &gateway.spec.pod.resources;
    let mut ports: Vec<ContainerPort> = gateway
        .spec
        .listeners
        .iter()
        .map(|listener| port(&listener_name(listener), listener.port))
        .collect();
    ports.push(port("admin", ADMIN_PORT));
    ports.push(port("telemetry", TELEMETRY_PORT));
    Container {
        name: "gateway".into(),
        image: Some(settings.gateway_image.clone()),
        image_pull_policy: Some(settings.pull_policy.as_str().to_owned()),
        command: Some(vec![PROGRAM.to_owned()]),
        args: Some(arguments(gateway.spec.pod.termination_grace_period.as_secs_ceil())),
        env: Some(vec![
            field("POD_NAME", "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
            EnvVar {
                name: "TOKENWEIR_GATEWAY".into(),
                value: Some(gateway.name.clone()),
                value_from: None,
            },
        ]),
        ports: Some(ports),
        resources: Some(ResourceRequirements {
            requests: Some(resources.requests.clone()).filter(|map| !map.is_empty()),
            limits: Some(resources.limits.clone()).filter(|map| !map.is_empty()),
            claims: None,
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                add: None,
                drop: Some(vec!["ALL".into()]),
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![VolumeMount {
            name: "state".into(),
            mount_path: STATE_DIR.into(),
            ..VolumeMount::default()
        }]),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                exec: Some(ExecAction {
                    command: Some(vec![PROGRAM.to_owned(), "drain".to_owned()]),
                }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        // Fast to find a pod ready, so that a scale-up helps at once.
        startup_probe: Some(probe("/livez", 1, 60)),
        readiness_probe: Some(probe("/readyz", 1, 2)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        ..Container::default()
    }
}

/// Lets a program without privileges listen below 1024, where a listener is. The setting holds for the pod's own network alone.
fn low_ports(gateway: &Valid<'_>) -> Option<Vec<Sysctl>> {
    let needed = gateway.spec.listeners.iter().any(|listener| listener.port < 1024);
    needed.then(|| {
        vec![Sysctl {
            name: "net.ipv4.ip_unprivileged_port_start".into(),
            value: "0".into(),
        }]
    })
}

fn arguments(grace: u64) -> Vec<String> {
    let lame_duck = LAME_DUCK_SECONDS.min(grace / 4);
    let drain = grace.saturating_sub(lame_duck + MARGIN_SECONDS).max(1);
    vec![
        format!("--state-dir={STATE_DIR}"),
        format!("--lame-duck={lame_duck}s"),
        format!("--grace={drain}s"),
    ]
}

fn spread(gateway: &Valid<'_>) -> Option<Vec<TopologySpreadConstraint>> {
    let keys: &[&str] = match gateway.spec.pod.topology_spread {
        TopologySpread::Zone => &["topology.kubernetes.io/zone", "kubernetes.io/hostname"],
        TopologySpread::Hostname => &["kubernetes.io/hostname"],
        TopologySpread::None => return None,
    };
    let constraint = |key: &&str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: (*key).to_owned(),
        // A pod in the wrong place serves; a pod that waits for a better one does not.
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(LabelSelector {
            match_labels: Some(selector(gateway)),
            match_expressions: None,
        }),
        // Old and new pods of a rolling update are spread each by themselves.
        match_label_keys: Some(vec!["pod-template-hash".into()]),
        ..TopologySpreadConstraint::default()
    };
    Some(keys.iter().map(constraint).collect())
}

fn port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

fn field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".into()),
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(TELEMETRY_PORT)),
            scheme: Some("HTTP".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(1),
        ..Probe::default()
    }
}
