//! The pods of gateways.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokenweir_config::names::GATEWAY_LABEL;

use super::{Access, Ask, ClusterError, Scope};

/// A gateway pod that is not on its way out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GatewayPod {
    pub namespace: String,
    /// Name of its `LLMGateway`.
    pub gateway: String,
    pub name: String,
    pub ready: bool,
}

/// The pods of one gateway, or of all of them, sorted.
pub async fn gateway_pods(
    access: &Access,
    scope: &Scope,
    gateway: Option<&str>,
) -> Result<Vec<GatewayPod>, ClusterError> {
    let api: Api<Pod> = match scope {
        Scope::All => Api::all(access.client.clone()),
        Scope::Namespace(name) => Api::namespaced(access.client.clone(), name),
    };
    let ask = Ask {
        verbs: &["list"],
        group: "",
        resource: "pods",
        name: None,
        namespace: scope.namespace(),
    };
    let selector = match gateway {
        Some(gateway) => format!("{GATEWAY_LABEL}={gateway}"),
        None => GATEWAY_LABEL.to_owned(),
    };
    let list = api
        .list(&ListParams::default().labels(&selector))
        .await
        .map_err(|error| ClusterError::of(&ask, error))?;
    let mut pods: Vec<GatewayPod> = list
        .items
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(read)
        .collect();
    pods.sort();
    Ok(pods)
}

fn read(pod: &Pod) -> GatewayPod {
    let labels = pod.metadata.labels.as_ref();
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    GatewayPod {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        gateway: labels
            .and_then(|labels| labels.get(GATEWAY_LABEL).cloned())
            .unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        ready: conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True"),
    }
}
