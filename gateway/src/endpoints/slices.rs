//! From EndpointSlices to addresses: pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use tokenweir_config::ServiceRef;

/// Label of an EndpointSlice with the name of its Service.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Names of a Service's ports by their numbers; a port without a name has an empty one.
pub(super) type PortNames = BTreeMap<u16, String>;

/// The name of the Service that a slice belongs to.
pub(super) fn service_of(slice: &EndpointSlice) -> Option<&str> {
    slice.metadata.labels.as_ref()?.get(SERVICE_LABEL).map(String::as_str)
}

/// Whether the slices leave open which of several ports a Service's port number means, so that the Service itself must be
/// asked.
pub(super) fn ambiguous<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> bool {
    slices
        .into_iter()
        .any(|slice| slice.ports.as_ref().is_some_and(|ports| ports.len() > 1))
}

/// The addresses that take requests: ready, serving and not terminating.
pub(super) fn ready<'a>(
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    service: &ServiceRef,
    names: Option<&PortNames>,
) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for slice in slices {
        let Some(port) = port(slice, service, names) else {
            continue;
        };
        for endpoint in slice
            .endpoints
            .iter()
            .flatten()
            .filter(|endpoint| takes_requests(endpoint))
        {
            // All addresses of one endpoint are the same pod; the first is the one to use.
            let address = endpoint
                .addresses
                .first()
                .and_then(|address| address.parse::<IpAddr>().ok());
            addresses.extend(address.map(|address| SocketAddr::new(address, port)));
        }
    }
    addresses
}

/// The port of the pods behind the Service's port.
fn port(slice: &EndpointSlice, service: &ServiceRef, names: Option<&PortNames>) -> Option<u16> {
    let ports = slice.ports.as_deref().unwrap_or_default();
    let port = match (ports, names) {
        ([only], None) => Some(only),
        (_, Some(names)) => {
            let name = names.get(&service.port)?;
            ports
                .iter()
                .find(|port| port.name.as_deref().unwrap_or_default() == name)
        }
        (_, None) => None,
    };
    u16::try_from(port?.port?).ok()
}

fn takes_requests(endpoint: &Endpoint) -> bool {
    // Absent means "unknown", which the API says to read as ready.
    endpoint.conditions.as_ref().is_none_or(|conditions| {
        conditions.ready != Some(false) && conditions.serving != Some(false) && conditions.terminating != Some(true)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(ports: &serde_json::Value, endpoints: &serde_json::Value) -> EndpointSlice {
        serde_json::from_value(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "vllm-abc", "labels": {SERVICE_LABEL: "vllm"}},
            "ports": ports, "endpoints": endpoints,
        }))
        .unwrap()
    }

    fn service(port: u16) -> ServiceRef {
        ServiceRef {
            namespace: "llm".into(),
            name: "vllm".into(),
            port,
            path: String::new(),
        }
    }

    fn one() -> serde_json::Value {
        json!([{"addresses": ["10.0.0.1"]}])
    }

    #[test]
    fn only_endpoints_that_take_requests_are_listed() {
        let slice = slice(
            &json!([{"port": 8001}]),
            &json!([
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false, "serving": false}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": false, "serving": true, "terminating": true}},
                {"addresses": ["10.0.0.4"], "conditions": {}},
                {"addresses": ["10.0.0.5"]},
                {"addresses": ["a name"]},
            ]),
        );
        let addresses = ready([&slice], &service(80), None);
        let expected: Vec<SocketAddr> = ["10.0.0.1:8001", "10.0.0.4:8001", "10.0.0.5:8001"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(addresses, expected);
        assert_eq!(service_of(&slice), Some("vllm"));
    }

    #[test]
    fn of_several_ports_the_one_with_the_name_of_the_services_port_is_taken() {
        let slice = slice(
            &json!([{"name": "metrics", "port": 9000}, {"name": "http", "port": 8001}]),
            &one(),
        );
        assert!(ambiguous([&slice]));
        let names = PortNames::from([(80, "http".into()), (90, "metrics".into())]);
        assert_eq!(
            ready([&slice], &service(80), Some(&names)),
            ["10.0.0.1:8001".parse().unwrap()]
        );
        assert_eq!(
            ready([&slice], &service(90), Some(&names)),
            ["10.0.0.1:9000".parse().unwrap()]
        );
        assert!(ready([&slice], &service(81), Some(&names)).is_empty());
        assert!(ready([&slice], &service(80), None).is_empty());
    }

    #[test]
    fn a_slice_without_ports_or_with_a_port_out_of_range_gives_nothing() {
        assert!(ready([&slice(&json!([]), &one())], &service(80), None).is_empty());
        assert!(ready([&slice(&json!([{"port": 70_000}]), &one())], &service(80), None).is_empty());
    }
}
