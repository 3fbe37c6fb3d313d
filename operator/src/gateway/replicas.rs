//! Handing `spec.replicas` of a Deployment to an autoscaler without a jump.
//!
//! Server-side apply resets a field to its default when its last owner stops sending it: `replicas` would fall to 1. So a
//! second field manager takes the field at the value that it has, and only then the first one lets go. The autoscaler's
//! first write makes it the owner. Every write names the version that it is based on, so a scaling that comes in between
//! makes it fail and be tried again, and is never undone.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::FIELD_MANAGER;

/// The field manager that holds `replicas` between the operator and the autoscaler.
pub const HANDOVER_MANAGER: &str = "tokenweir/replicas-handover";

/// True if the operator's own field manager holds `spec.replicas`.
pub fn holds_replicas(deployment: &Deployment) -> bool {
    deployment
        .managed_fields()
        .iter()
        .any(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER) && has_replicas(entry))
}

fn has_replicas(entry: &ManagedFieldsEntry) -> bool {
    entry.subresource.as_deref().unwrap_or_default().is_empty()
        && entry
            .fields_v1
            .as_ref()
            .is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
}

/// Lets the second field manager take `replicas` at its present value. Returns the version of the Deployment afterwards.
///
/// A conflict means that the Deployment changed since it was read; the caller reads it again.
pub async fn hand_over(api: &Api<Deployment>, live: &Deployment) -> Result<Deployment, kube::Error> {
    let name = live.name_any();
    let body = hold(live);
    let params = PatchParams::apply(HANDOVER_MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&body)).await
}

fn hold(live: &Deployment) -> serde_json::Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": live.name_any(), "resourceVersion": live.resource_version()},
        "spec": {"replicas": live.spec.replicas},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::DeploymentSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use kube::api::ObjectMeta;

    fn deployment(manager: &str, fields: serde_json::Value, subresource: Option<&str>) -> Deployment {
        Deployment {
            metadata: ObjectMeta {
                name: Some("edge".into()),
                resource_version: Some("41".into()),
                managed_fields: Some(vec![ManagedFieldsEntry {
                    manager: Some(manager.into()),
                    fields_v1: Some(FieldsV1(fields)),
                    subresource: subresource.map(Into::into),
                    ..ManagedFieldsEntry::default()
                }]),
                ..ObjectMeta::default()
            },
            spec: DeploymentSpec {
                replicas: Some(7),
                ..DeploymentSpec::default()
            },
            ..Deployment::default()
        }
    }

    #[test]
    fn the_operator_holds_replicas_only_while_its_own_manager_lists_them() {
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        assert!(holds_replicas(&deployment(FIELD_MANAGER, replicas.clone(), None)));
        assert!(!holds_replicas(&deployment(
            "kube-controller-manager",
            replicas.clone(),
            Some("scale")
        )));
        assert!(!holds_replicas(&deployment(HANDOVER_MANAGER, replicas, None)));
        assert!(!holds_replicas(&deployment(
            FIELD_MANAGER,
            json!({"f:spec": {"f:template": {}}}),
            None
        )));
    }

    #[test]
    fn the_field_is_taken_at_its_live_value_and_on_the_version_that_was_read() {
        let body = hold(&deployment(FIELD_MANAGER, json!({}), None));
        assert_eq!(body["spec"]["replicas"], 7);
        assert_eq!(body["metadata"]["resourceVersion"], "41");
    }
}
