//! Services of a gateway.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokenweir_config::names::{ADMIN_PORT, TELEMETRY_PORT};
use tokenweir_crds::api::{Listener, Protocol};

use super::{metadata, selector};
use crate::gateway::validate::Valid;

/// Name of the headless Service in front of the admin ports.
pub fn admin_service_name(gateway: &str) -> String {
    format!("{gateway}-admin")
}

/// Where clients go.
pub fn data(gateway: &Valid<'_>) -> Service {
    Service {
        metadata: metadata(gateway, &gateway.name),
        spec: Some(ServiceSpec {
            selector: Some(selector(gateway)),
            ports: Some(
                gateway
                    .spec
                    .listeners
                    .iter()
                    .map(|listener| port(&listener_name(listener), listener.port))
                    .collect(),
            ),
            type_: Some("ClusterIP".into()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Every pod by itself, ready or not: a pod that is not ready is the one that somebody wants to ask.
pub fn admin(gateway: &Valid<'_>) -> Service {
    Service {
        metadata: metadata(gateway, &admin_service_name(&gateway.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            selector: Some(selector(gateway)),
            publish_not_ready_addresses: Some(true),
            ports: Some(vec![port("admin", ADMIN_PORT), port("telemetry", TELEMETRY_PORT)]),
            type_: Some("ClusterIP".into()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Name of the port of a listener, in Services and pods.
pub fn listener_name(listener: &Listener) -> String {
    match listener.protocol {
        Protocol::Http => format!("http-{}", listener.port),
        Protocol::Https => format!("https-{}", listener.port),
    }
}

fn port(name: &str, port: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        target_port: Some(IntOrString::Int(i32::from(port))),
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    }
}
