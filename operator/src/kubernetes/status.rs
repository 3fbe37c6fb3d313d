//! Writing status: only when it says something new.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, ObjectMeta};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokenweir_crds::conditions::{ConditionType, Finding, Reason, set_condition};

/// Writes status under one field manager.
#[derive(Clone)]
pub struct Statuses {
    client: Client,
    manager: &'static str,
}

impl Statuses {
    /// A writer under the field manager `manager`.
    pub fn new(client: Client, manager: &'static str) -> Self {
        Self { client, manager }
    }

    /// Writes `status` unless the object already says the same, `lastTransitionTime` aside. True: it was written.
    pub async fn write<K, S>(&self, object: &K, before: Option<&S>, status: &S) -> Result<bool, kube::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        S: Serialize,
    {
        let after = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        let before = serde_json::to_value(before).map_err(kube::Error::SerdeError)?;
        if without_times(before) == without_times(after.clone()) {
            return Ok(false);
        }
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let (api_version, kind) = (K::api_version(&()), K::kind(&()));
        patch(&api, &api_version, &kind, &object.name_any(), self.manager, &after).await
    }
}

/// Says on an object that cannot be read as its kind that it cannot, and why.
pub async fn patch_unreadable<K>(
    client: &Client,
    manager: &'static str,
    metadata: &ObjectMeta,
    error: &str,
    now: Timestamp,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let (Some(namespace), Some(name)) = (metadata.namespace.as_deref(), metadata.name.as_deref()) else {
        return Ok(false);
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<K>(&()));
    let Some(live) = api.get_opt(name).await? else {
        return Ok(false);
    };
    let before = live.data.get("status").cloned().unwrap_or_default();
    let mut conditions: Vec<Condition> = before
        .get("conditions")
        .and_then(|conditions| serde_json::from_value(conditions.clone()).ok())
        .unwrap_or_default();
    let finding = Finding::fails(
        Reason::Unreadable,
        format!("the object cannot be read and is left out: {error}"),
    );
    let generation = metadata.generation;
    set_condition(&mut conditions, ConditionType::Accepted, &finding, generation, now);
    let mut status = before.clone();
    if !status.is_object() {
        status = json!({});
    }
    status["conditions"] = json!(conditions);
    status["observedGeneration"] = json!(generation);
    if without_times(before) == without_times(status.clone()) {
        return Ok(false);
    }
    patch(&api, &K::api_version(&()), &K::kind(&()), name, manager, &status).await
}

async fn patch<K>(
    api: &Api<K>,
    api_version: &str,
    kind: &str,
    name: &str,
    manager: &str,
    status: &Value,
) -> Result<bool, kube::Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let body = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "status": status});
    match api
        .patch_status(name, &PatchParams::apply(manager).force(), &Patch::Apply(body))
        .await
    {
        Ok(_) => Ok(true),
        // Deleted in the meantime: there is nothing left to say.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The status without the times at which its conditions began.
fn without_times(mut status: Value) -> Value {
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
            condition.remove("lastTransitionTime");
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_differs_in_times_alone_says_the_same() {
        let at = |time: &str| json!({"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time}]});
        assert_eq!(
            without_times(at("2026-01-01T00:00:00Z")),
            without_times(at("2026-02-01T00:00:00Z"))
        );
        let mut other = at("2026-01-01T00:00:00Z");
        other["conditions"][0]["status"] = json!("False");
        assert_ne!(without_times(at("2026-01-01T00:00:00Z")), without_times(other));
    }
}
