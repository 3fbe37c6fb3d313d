//! A way from this process to a Service or a pod of the cluster.
//!
//! Where the cluster's addresses can be reached from here (the local cluster), they are used as they are, so that
//! kube-proxy is part of what is tested. On any other cluster a loopback port stands in: each connection to it is
//! forwarded through the API server to one ready pod, so that load is spread over pods as a Service spreads it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::error::{HarnessError, Result, api};
use super::wait;

/// An address on this machine or in a cluster on it accepts within microseconds; one that is routed nowhere never does.
const DIRECT_TIMEOUT: Duration = Duration::from_millis(500);
/// A node learns of a Service's first endpoint within its sync period, a second; a busy one takes longer.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries at an address that refuses.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// How long a pod may take until a port accepts, once it is asked for.
const REACH_TIMEOUT: Duration = Duration::from_secs(20);

/// A base URL that leads into the cluster. Dropping it closes the tunnel behind it, if there is one.
#[derive(Debug)]
pub struct Route {
    authority: String,
    tunnel: Option<JoinHandle<()>>,
}

impl Route {
    /// `http://HOST:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Whether the cluster's own address is used, without a tunnel.
    pub fn is_direct(&self) -> bool {
        self.tunnel.is_none()
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        if let Some(tunnel) = &self.tunnel {
            tunnel.abort();
        }
    }
}

/// What a tunnel leads to.
#[derive(Debug, Clone)]
enum Target {
    Pod(String),
    Service(String),
}

/// The way to a port of a Service that has at least one ready endpoint.
pub async fn service(client: &Client, namespace: &str, name: &str, port: u16) -> Result<Route> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let found = services
        .get(name)
        .await
        .map_err(api(format!("read Service {namespace}/{name}")))?;
    let spec = found.spec.unwrap_or_default();
    if let Some(route) = direct(spec.cluster_ip.as_deref(), port).await {
        return Ok(route);
    }
    let target_port = ready_endpoints(client, namespace, name, port).await?.1;
    tunnel(client, namespace, Target::Service(name.to_owned()), target_port).await
}

/// The way to a port of one pod.
pub async fn pod(client: &Client, namespace: &str, name: &str, port: u16) -> Result<Route> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let ip = wait::watch(
        pods,
        name,
        format!("an address of pod {namespace}/{name}"),
        REACH_TIMEOUT,
        |pod| {
            let pod = pod.ok_or("it does not exist")?;
            let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
            ip.ok_or_else(|| "no address yet".to_owned())
        },
    )
    .await?;
    match direct(Some(&ip), port).await {
        Some(route) => Ok(route),
        None => tunnel(client, namespace, Target::Pod(name.to_owned()), port).await,
    }
}

/// The way without a tunnel, where this machine is on the cluster's network.
///
/// An address that refuses is on the network, and not served yet: a Service is for the moment between its endpoints being
/// ready and the node knowing of them.
async fn direct(ip: Option<&str>, port: u16) -> Option<Route> {
    let address = SocketAddr::new(ip?.parse().ok()?, port);
    let deadline = Instant::now() + REFUSED_TIMEOUT;
    loop {
        match tokio::time::timeout(DIRECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                return Some(Route {
                    authority: address.to_string(),
                    tunnel: None,
                });
            }
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
            Ok(Err(_)) | Err(_) => return None,
        }
    }
}

async fn tunnel(client: &Client, namespace: &str, target: Target, port: u16) -> Result<Route> {
    let unreachable = |e: std::io::Error| HarnessError::Unreachable {
        target: "a loopback port".to_owned(),
        reason: e.to_string(),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(unreachable)?;
    let authority = listener.local_addr().map_err(unreachable)?.to_string();
    let turn = Arc::new(AtomicUsize::new(0));
    let (client, namespace) = (client.clone(), namespace.to_owned());
    let task = tokio::spawn(async move {
        while let Ok((inbound, _)) = listener.accept().await {
            let (client, namespace, target, turn) = (client.clone(), namespace.clone(), target.clone(), turn.clone());
            tokio::spawn(async move {
                if let Err(error) = forward(&client, &namespace, &target, port, &turn, inbound).await {
                    // The caller sees a closed connection; the reason is for whoever reads the log of a failed test.
                    tracing::debug!(error = %error.chain(), "a forwarded connection ended");
                }
            });
        }
    });
    Ok(Route {
        authority,
        tunnel: Some(task),
    })
}

async fn forward(
    client: &Client,
    namespace: &str,
    target: &Target,
    port: u16,
    turn: &AtomicUsize,
    mut inbound: TcpStream,
) -> Result<()> {
    let pod = match target {
        Target::Pod(name) => name.clone(),
        Target::Service(name) => {
            let pods = ready_pods(&endpoint_slices(client, namespace, name).await?);
            let next = turn.fetch_add(1, Ordering::Relaxed);
            let missing = || HarnessError::Missing {
                object: format!("Service {namespace}/{name}"),
                missing: "ready endpoint".to_owned(),
            };
            pods.get(next % pods.len().max(1)).cloned().ok_or_else(missing)?
        }
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut forwarder = pods
        .portforward(&pod, &[port])
        .await
        .map_err(api(format!("forward to pod {namespace}/{pod}:{port}")))?;
    let mut outbound = forwarder.take_stream(port).ok_or_else(|| HarnessError::Missing {
        object: format!("forward to pod {namespace}/{pod}"),
        missing: format!("port {port}"),
    })?;
    let copied = tokio::io::copy_bidirectional(&mut inbound, &mut outbound).await;
    forwarder.abort();
    copied.map(|_| ()).map_err(|e| HarnessError::Unreachable {
        target: format!("pod {namespace}/{pod}:{port}"),
        reason: e.to_string(),
    })
}

/// Names of the pods behind a Service that are ready, and the port of theirs to which `port` of the Service leads.
async fn ready_endpoints(client: &Client, namespace: &str, name: &str, port: u16) -> Result<(Vec<String>, u16)> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service = services
        .get(name)
        .await
        .map_err(api(format!("read Service {namespace}/{name}")))?;
    let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
    let port_name = ports
        .iter()
        .find(|p| p.port == i32::from(port))
        .map(|p| p.name.clone().unwrap_or_default());
    wait::poll(
        format!("a ready endpoint of Service {namespace}/{name}"),
        REACH_TIMEOUT,
        || async {
            let slices = endpoint_slices(client, namespace, name).await.map_err(|e| e.chain())?;
            let pods = ready_pods(&slices);
            let target = slices
                .iter()
                .flat_map(|slice| slice.ports.iter().flatten())
                .find(|p| {
                    port_name
                        .as_deref()
                        .is_some_and(|name| p.name.as_deref().unwrap_or_default() == name)
                })
                .and_then(|p| p.port.and_then(|n| u16::try_from(n).ok()));
            match target {
                Some(target) if !pods.is_empty() => Ok((pods, target)),
                _ => Err(format!("{} ready pods, target port {target:?}", pods.len())),
            }
        },
    )
    .await
}

async fn endpoint_slices(client: &Client, namespace: &str, service: &str) -> Result<Vec<EndpointSlice>> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let list = slices
        .list(&of_service)
        .await
        .map_err(api(format!("list endpoints of {namespace}/{service}")))?;
    Ok(list.items)
}

fn ready_pods(slices: &[EndpointSlice]) -> Vec<String> {
    slices
        .iter()
        .flat_map(|slice| slice.endpoints.iter().flatten())
        .filter(|endpoint| endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true))
        .filter_map(|endpoint| endpoint.target_ref.as_ref().and_then(|target| target.name.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ready_pods_are_forwarded_to() {
        let slice: EndpointSlice = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "s"}, "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "a"}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "b"}},
                {"addresses": ["10.0.0.3"], "targetRef": {"kind": "Pod", "name": "c"}}
            ]
        }))
        .unwrap();
        assert_eq!(ready_pods(&[slice]), ["a", "c"]);
    }
}
