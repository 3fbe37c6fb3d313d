//! The pods of gateways.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokenweir_config::names::GATEWAY_LABEL;

use super::{Access, Ask, ClusterError, Scope};

/// A gateway pod that has not ended, and is not on its way out.
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
    let labelled = ListParams::default().labels(&selector);
    let list = access.answer(&ask, api.list(&labelled)).await?;
    let mut pods: Vec<GatewayPod> = list.items.iter().filter(|pod| runs(pod)).map(read).collect();
    pods.sort();
    Ok(pods)
}

/// Whether somebody may be there to answer: a pod that was evicted stays in the list, and nothing of it runs.
fn runs(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_that_have_ended_or_are_on_their_way_out_are_not_asked() {
        let pod = |phase: &str, ends: Option<&str>| -> Pod {
            let pod = json!({"metadata": {"name": "edge-0", "deletionTimestamp": ends}, "status": {"phase": phase}});
            serde_json::from_value(pod).unwrap()
        };
        for phase in ["Running", "Pending", "Unknown"] {
            assert!(runs(&pod(phase, None)), "{phase}");
        }
        for phase in ["Failed", "Succeeded"] {
            assert!(!runs(&pod(phase, None)), "{phase}");
        }
        assert!(!runs(&pod("Running", Some("2026-01-01T00:00:00Z"))));
        assert!(runs(&Pod::default()), "a pod that nobody has reported yet");
    }
}
